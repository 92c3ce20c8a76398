/*
 * Content codings of request bodies. The first byte picks the codings; the rest is the body as it
 * came over the wire, or (its highest bit) what is compressed here first and must come out again.
 * Whatever comes, the handler sees no more than the limits allow.
 */
#include "http/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { BODY_BYTES_MAX = 128 * 1024, RATIO_MAX = 20, FREE_BYTES = 64 * 1024, WIRE_BYTES = 65536 };
enum { WRAPPED = 15, RAW = -15, GZIP = 31, ZSTD = 0 };

static const struct {
    const char *names;
    int format; /* of what is compressed here */
} codings[] = {
    { "gzip", GZIP },           { "deflate", WRAPPED },     { "deflate", RAW },
    { "zstd", ZSTD },           { "identity, gzip", GZIP }, { "gzip, gzip", GZIP },
    { "zstd, gzip", GZIP },     { "gzip, zstd", ZSTD },     { "deflate, zstd", ZSTD },
    { "identity, zstd", ZSTD },
};

static struct mr_http *http;
static struct mr_slice wanted; /* data NULL: anything */
static size_t wire_bytes;
static int handled;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
handle(void *self, struct mr_http_request *request)
{
    (void)self;
    struct mr_slice body = mr_http_body(request);
    MR_ASSERT(body.size <= BODY_BYTES_MAX);
    MR_ASSERT(body.size <= FREE_BYTES + RATIO_MAX * wire_bytes);
    MR_ASSERT(wanted.data == NULL || mr_slice_is(body, wanted));
    handled++;
    mr_http_reply(request, &(struct mr_http_reply){ .status = 200 });
}

static size_t
compress_body(int format, const uint8_t *data, size_t size, uint8_t *ret)
{
    if (format == ZSTD)
        return ZSTD_compress(ret, WIRE_BYTES, data, size, 1);
    z_stream zlib = { .next_in = (z_const Bytef *)data, .avail_in = (uInt)size };
    int code = deflateInit2(&zlib, 6, Z_DEFLATED, format, 8, Z_DEFAULT_STRATEGY);
    MR_ASSERT(code == Z_OK);
    zlib.next_out = ret;
    zlib.avail_out = WIRE_BYTES;
    code = deflate(&zlib, Z_FINISH);
    MR_ASSERT(code == Z_STREAM_END);
    (void)deflateEnd(&zlib);
    return WIRE_BYTES - zlib.avail_out;
}

static int
connect_client(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)mr_http_port(http)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct linger abort_at_once = { .l_onoff = 1 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MR_ASSERT(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_at_once, sizeof(abort_at_once));
    int failed = connect(fd, (struct sockaddr *)&address, sizeof(address));
    MR_ASSERT(failed == 0);
    return fd;
}

static void
exchange(const char *names, const uint8_t *body, size_t size)
{
    char head[256], reply[4096];
    int length = snprintf(head, sizeof(head),
                          "POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: %s\r\n"
                          "Content-Length: %zu\r\n\r\n",
                          names, size);
    int fd = connect_client();
    ssize_t sent = send(fd, head, (size_t)length, MSG_NOSIGNAL);
    MR_ASSERT(sent == length);
    sent = send(fd, body, size, MSG_NOSIGNAL);
    MR_ASSERT(sent == (ssize_t)size);
    ssize_t count = 0;
    while (count <= 0) {
        (void)mr_http_poll(http, 1);
        count = recv(fd, reply, sizeof(reply) - 1, MSG_DONTWAIT);
    }
    reply[count] = '\0';
    MR_ASSERT(strncmp(reply, handled == 1 ? "HTTP/1.1 200 " : "HTTP/1.1 4", 10) == 0);
    (void)close(fd);
    while (mr_http_open_connections(http) > 0)
        (void)mr_http_poll(http, 10);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t wire[WIRE_BYTES];
    struct mr_http_options options = { .host = "127.0.0.1",
                                       .limits = { .body_bytes_max = BODY_BYTES_MAX,
                                                   .inflate_ratio_max = RATIO_MAX },
                                       .handler = handle };
    struct mr_err err = { 0 };
    if (http == NULL && mr_http_listen(&options, &http, &err) != 0)
        mr_assert_failed(err.text, __FILE__, __LINE__);
    if (size < 2 || size > WIRE_BYTES / 2)
        return 0;
    size_t choice = (data[0] & 0x7f) % MR_COUNT(codings);
    bool is_made = (data[0] & 0x80) != 0;
    bool is_single = strchr(codings[choice].names, ',') == NULL;
    data++;
    size--;
    handled = 0;
    wanted = is_made && is_single ? mr_slice(data, size) : mr_slice(NULL, 0);
    wire_bytes = is_made ? compress_body(codings[choice].format, data, size, wire) : size;
    exchange(codings[choice].names, is_made ? wire : data, wire_bytes);
    MR_ASSERT(wanted.data == NULL || handled == 1);
    return 0;
}
