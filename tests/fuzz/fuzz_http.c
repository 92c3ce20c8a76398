/*
 * Bytes of a client, cut in pieces, against a real server on a loopback port. The first byte says
 * how large the pieces are. What reaches the handler must keep the promises of http.h, and every
 * answer must stand for one request. Below /s requests are streams that answer each part.
 */
#include "http/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static struct mr_http *http;
static size_t handled;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
choose(void *self, struct mr_http_request *request)
{
    (void)self;
    struct mr_slice path = mr_http_path(request);
    return path.size > 1 && memcmp(path.data, "/s", 2) == 0;
}

static void
see_part(void *self, struct mr_http_request *request, struct mr_slice part)
{
    (void)self;
    MR_ASSERT(part.size > 0);
    if (*(const char *)part.data == 'p')
        mr_http_pause(request);
    mr_http_reply_part(request, part);
    if (*(const char *)part.data == 'e')
        mr_http_reply_end(request);
}

static void
see_end(void *self, struct mr_http_request *request, int status, const char *text)
{
    (void)self;
    MR_ASSERT((status == 0) == (text == NULL));
    mr_http_reply_end(request);
}

static void
see_gone(void *self, struct mr_http_request *request)
{
    (void)self;
    mr_http_reply_end(request);
}

static void
begin(struct mr_http_request *request)
{
    static const struct mr_http_stream events = { see_part, see_end, see_gone };
    mr_http_stream(request, &events, NULL);
    mr_http_reply_begin(request, &(struct mr_http_reply){ .status = 200 });
}

static void
handle(void *self, struct mr_http_request *request)
{
    (void)self;
    struct mr_slice path = mr_http_path(request), body = mr_http_body(request);
    const char *text = path.data;
    MR_ASSERT(path.size > 0);
    MR_ASSERT(text[0] == '/');
    MR_ASSERT(memchr(text, '\0', path.size) == NULL);
    MR_ASSERT(memmem(text, path.size, "//", 2) == NULL);
    MR_ASSERT(memmem(text, path.size, "/../", 4) == NULL);
    MR_ASSERT(mr_http_method(request).size > 0);
    (void)mr_http_param(request, "a");
    (void)mr_http_header(request, "host");
    handled++;
    if (mr_http_is_stream(request) && mr_http_query(request).size > 0)
        begin(request);
    else
        mr_http_reply(request, &(struct mr_http_reply){ .status = 200, .body = body });
}

static void
open_server(void)
{
    struct mr_http_options options = { .host = "127.0.0.1",
                                       .limits = { .header_bytes_max = 2048,
                                                   .body_bytes_max = 4096 },
                                       .handler = handle,
                                       .wants_stream = choose };
    struct mr_err err = { 0 };
    int code = mr_http_listen(&options, &http, &err);
    MR_ASSERT(code == 0);
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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (http == NULL)
        open_server();
    if (size < 2 || size > 65536)
        return 0;
    size_t step = (size_t)data[0] + 1;
    int fd = connect_client();
    char reply[65536];
    handled = 0;
    for (size_t at = 1; at < size; at += step) {
        size_t count = size - at < step ? size - at : step;
        if (send(fd, data + at, count, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            break;
        (void)mr_http_poll(http, 0);
        (void)recv(fd, reply, sizeof(reply), MSG_DONTWAIT);
    }
    (void)mr_http_poll(http, 0);
    MR_ASSERT(handled <= size / 18); /* no request is shorter than GET / HTTP/1.0 and its ends */
    (void)close(fd);
    while (mr_http_open_connections(http) > 0)
        (void)mr_http_poll(http, 10);
    MR_ASSERT(mr_http_pending(http) == 0);
    return 0;
}
