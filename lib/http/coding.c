/*
 * Content codings of request bodies. A body is undone in one piece when it is whole, so that an
 * unfinished upload costs no decoder, and one decoder of each sort serves all connections.
 *
 * How large a body may become is known before the first byte is undone: its own limit, the room
 * that is left for all bodies, and the ratio to the bytes that came over the wire, whatever the
 * number of codings. So work and memory for a bomb are bounded by what was paid for it.
 */
#include "http/private.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <zlib.h>
#include <zstd.h>

enum {
    STEP_BYTES = 16 * 1024,
    FREE_BYTES = 64 * 1024,   /* a body may become so large whatever the ratio */
    ZSTD_WINDOW_LOG_MAX = 23, /* 8 MiB, as RFC 9659 asks of HTTP */
    ZLIB_AUTO_GZIP = 15 + 16,
    ZLIB_WRAPPED = 15,
    ZLIB_RAW = -15,
    NAME_BYTES_MAX = 32,
    TEXT_BYTES = 160,
};

struct codings {
    z_stream zlib;
    ZSTD_DCtx *zstd;
    struct mr_buf out; /* becomes the body; the body's old memory takes its place */
};

static const struct {
    const char *name;
    enum coding coding;
} names[] = {
    { "gzip", CODING_GZIP }, { "x-gzip", CODING_GZIP },       { "deflate", CODING_DEFLATE },
    { "zstd", CODING_ZSTD }, { "identity", CODING_IDENTITY },
};

/* ---- names ---- */

static bool
find(struct mr_slice name, enum coding *ret)
{
    for (size_t i = 0; i < MR_COUNT(names); i++) {
        if (strlen(names[i].name) == name.size &&
            strncasecmp(names[i].name, name.data, name.size) == 0) {
            *ret = names[i].coding;
            return true;
        }
    }
    return false;
}

/* Quotes the name as far as it needs no escapes. */
static const char *
unknown_text(struct mr_http_request *request, struct mr_slice name)
{
    char *text = mr_arena_alloc(&request->arena, TEXT_BYTES);
    const char *at = name.data;
    int size = 0;
    while (size < NAME_BYTES_MAX && (size_t)size < name.size &&
           (isalnum((unsigned char)at[size]) || at[size] == '-'))
        size++;
    (void)snprintf(text, TEXT_BYTES,
                   "the Content-Encoding %.*s is not taken; send gzip, deflate, zstd or none", size,
                   at);
    return text;
}

/* The next member of a comma-separated list without blanks around it; size 0: the end. */
static struct mr_slice
next_member(struct mr_slice list, size_t *at)
{
    const char *text = list.data != NULL ? list.data : "";
    while (*at < list.size && (text[*at] == ',' || text[*at] == ' ' || text[*at] == '\t'))
        (*at)++;
    size_t start = *at;
    while (*at < list.size && text[*at] != ',')
        (*at)++;
    size_t end = *at;
    while (end > start && (text[end - 1] == ' ' || text[end - 1] == '\t'))
        end--;
    return mr_slice(text + start, end - start);
}

int
coding_parse(struct mr_http_request *request, const char **ret_text)
{
    struct parsed *parsed = &request->parsed;
    struct mr_slice list = mr_http_header(request, "content-encoding"), name;
    size_t at = 0;
    if (list.size == 0)
        return 0;
    while ((name = next_member(list, &at)).size > 0) {
        *ret_text = "a body has two content codings at the most";
        if (parsed->codings_count == CODINGS_MAX)
            return 415;
        if (!find(name, &parsed->codings[parsed->codings_count])) {
            *ret_text = unknown_text(request, name);
            return 415;
        }
        parsed->codings_count++;
    }
    return 0;
}

/* ---- decoders ---- */

static struct codings *
open_decoders(void)
{
    struct codings *codings = mr_alloc(sizeof(*codings));
    mr_buf_init(&codings->out, 0);
    codings->zstd = ZSTD_createDCtx();
    MR_ASSERT(codings->zstd != NULL);
    int code = inflateInit2(&codings->zlib, ZLIB_AUTO_GZIP);
    MR_ASSERT(code == Z_OK);
    size_t failed = ZSTD_DCtx_setParameter(codings->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    MR_ASSERT(!ZSTD_isError(failed));
    return codings;
}

void
codings_close(struct codings *codings)
{
    if (codings == NULL)
        return;
    (void)inflateEnd(&codings->zlib);
    (void)ZSTD_freeDCtx(codings->zstd);
    mr_buf_fini(&codings->out);
    free(codings);
}

/* What is at the end of out, counted already; never empty, for max is one above what may come. */
static void *
make_room(struct mr_buf *out, size_t *ret_size)
{
    size_t size = out->size > STEP_BYTES ? out->size : STEP_BYTES;
    *ret_size = size < out->max - out->size ? size : out->max - out->size;
    return mr_buf_extend(out, *ret_size);
}

/* Raw deflate is what some clients send for deflate, which is the zlib format (RFC 9110 8.4.1.2).
 */
static int
window_of(enum coding coding, struct mr_slice in)
{
    const unsigned char *bytes = in.data;
    if (coding == CODING_GZIP)
        return ZLIB_AUTO_GZIP;
    bool is_wrapped =
        in.size >= 2 && (bytes[0] & 0x0f) == Z_DEFLATED && (bytes[0] << 8 | bytes[1]) % 31 == 0;
    return is_wrapped ? ZLIB_WRAPPED : ZLIB_RAW;
}

/* True at the good end of the body; out at its maximum: too large; else broken. */
static bool
undo_zlib(z_stream *zlib, enum coding coding, struct mr_slice in, struct mr_buf *out)
{
    MR_ASSERT(in.size <= UINT32_MAX);
    (void)inflateReset2(zlib, window_of(coding, in));
    zlib->next_in = (z_const Bytef *)in.data;
    zlib->avail_in = (uInt)in.size;
    while (out->size < out->max) {
        size_t room;
        zlib->next_out = make_room(out, &room);
        zlib->avail_out = (uInt)room;
        int code = inflate(zlib, Z_NO_FLUSH);
        out->size -= zlib->avail_out;
        if (code == Z_STREAM_END && zlib->avail_in == 0)
            return out->size < out->max;
        /* A gzip file may have several members; nothing may stand behind the other formats. */
        if (code == Z_STREAM_END && coding == CODING_GZIP)
            (void)inflateReset(zlib);
        else if (code != Z_OK)
            return false;
    }
    return false;
}

static bool
undo_zstd(ZSTD_DCtx *zstd, struct mr_slice in, struct mr_buf *out)
{
    ZSTD_inBuffer input = { in.data, in.size, 0 };
    (void)ZSTD_DCtx_reset(zstd, ZSTD_reset_session_only);
    while (out->size < out->max) {
        ZSTD_outBuffer output = { .pos = 0 };
        output.dst = make_room(out, &output.size);
        size_t code = ZSTD_decompressStream(zstd, &output, &input);
        out->size -= output.size - output.pos;
        if (ZSTD_isError(code))
            return false;
        bool is_all = input.pos == input.size && output.pos < output.size;
        if (is_all)
            return code == 0;
    }
    return false;
}

/* ---- limits ---- */

struct bound {
    size_t bytes;
    int status;
    const char *text;
};

static struct bound
bound_of(const struct mr_http *http, size_t wire_bytes)
{
    const struct mr_http_limits *limits = &http->limits;
    struct bound bound = { limits->body_bytes_max, 413,
                           "the body is larger than this server takes when it is inflated" };
    size_t paid = FREE_BYTES + wire_bytes * limits->inflate_ratio_max;
    if (paid < bound.bytes)
        bound = (struct bound){ paid, 413,
                                "the body inflates by a larger ratio than this server takes" };
    size_t left = request_room(http);
    if (left < bound.bytes)
        bound = (struct bound){ left, 503, request_no_room };
    return bound;
}

/* The result becomes the body. */
static void
swap_body(struct mr_http_request *request, struct mr_buf *out)
{
    struct mr_buf old = request->body;
    request->body = *out;
    *out = old;
    request_weigh(request);
}

int
coding_undo(struct mr_http_request *request, const char **ret_text)
{
    struct mr_http *http = request->conn->http;
    if (request->parsed.codings_count == 0)
        return 0;
    if (http->codings == NULL)
        http->codings = open_decoders();
    struct codings *codings = http->codings;
    size_t wire_bytes = request->body.size;
    bool is_good = true;
    struct bound bound = { 0 };
    for (size_t i = request->parsed.codings_count; i > 0 && wire_bytes > 0 && is_good; i--) {
        enum coding coding = request->parsed.codings[i - 1];
        struct mr_slice in = mr_buf_slice(&request->body);
        if (coding == CODING_IDENTITY)
            continue;
        bound = bound_of(http, wire_bytes);
        mr_buf_reset(&codings->out);
        codings->out.max = bound.bytes + 1;
        is_good = coding == CODING_ZSTD ? undo_zstd(codings->zstd, in, &codings->out)
                                        : undo_zlib(&codings->zlib, coding, in, &codings->out);
        if (is_good)
            swap_body(request, &codings->out);
    }
    bool is_large = !is_good && codings->out.size > bound.bytes;
    if (codings->out.capacity > KEPT_BODY_BYTES_MAX)
        mr_buf_fini(&codings->out);
    *ret_text = is_large ? bound.text : "the body is not what its Content-Encoding says";
    return is_good ? 0 : is_large ? bound.status : 400;
}
