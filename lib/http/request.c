/*
 * What the handler sees of a request, and how a reply is written. Requests are pooled: their
 * buffers keep the memory that the last one needed, up to a bound.
 */
#include "http/private.h"

#include "clock/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

const char request_no_room[] = "there is no room for this body now";
const char request_continue[] = "HTTP/1.1 100 Continue\r\n\r\n";

size_t
request_room(const struct mr_http *http)
{
    size_t max = http->limits.held_bytes_max;
    return http->held_bytes < max ? max - http->held_bytes : 0;
}

void
request_weigh(struct mr_http_request *request)
{
    size_t weight = sizeof(*request) + request->head.size + request->body.size + request->out.size;
    request->conn->http->held_bytes += weight - request->weight;
    request->weight = weight;
}

struct mr_http_request *
request_new(struct conn *conn)
{
    struct mr_http *http = conn->http;
    struct mr_http_request *request = http->spare;
    if (request != NULL) {
        http->spare = request->next;
        http->spare_count--;
    } else {
        request = mr_alloc(sizeof(*request));
        mr_buf_init(&request->head, http->limits.header_bytes_max);
        mr_buf_init(&request->body, 0);
        mr_buf_init(&request->out, REPLY_BYTES_MAX);
        mr_arena_init(&request->arena);
    }
    request->conn = conn;
    request->next = NULL;
    request_weigh(request);
    return request;
}

void
request_destroy(struct mr_http_request *request)
{
    mr_buf_fini(&request->head);
    mr_buf_fini(&request->body);
    mr_buf_fini(&request->out);
    mr_arena_fini(&request->arena);
    free(request);
}

/* Ready for the next one; what was large is given back. */
static void
reset(struct mr_http_request *request)
{
    mr_buf_reset(&request->head);
    mr_buf_reset(&request->body);
    mr_buf_reset(&request->out);
    if (request->body.capacity > KEPT_BODY_BYTES_MAX)
        mr_buf_fini(&request->body);
    if (request->out.capacity > KEPT_BODY_BYTES_MAX)
        mr_buf_fini(&request->out);
    if (request->arena.used > KEPT_BODY_BYTES_MAX)
        mr_arena_fini(&request->arena);
    else
        mr_arena_reset(&request->arena);
    request->headers_count = 0;
    request->slot = NULL;
    request->parsed = (struct parsed){ 0 };
}

void
request_free(struct mr_http_request *request)
{
    if (request == NULL)
        return;
    struct mr_http *http = request->conn->http;
    http->held_bytes -= request->weight;
    request->weight = 0;
    if (http->spare_count == SPARE_REQUESTS_MAX) {
        request_destroy(request);
        return;
    }
    reset(request);
    request->next = http->spare;
    http->spare = request;
    http->spare_count++;
}

int
request_body_put(struct mr_http_request *request, const char *data, size_t size)
{
    struct mr_http *http = request->conn->http;
    request->parsed.expects_continue = false;
    if (size > request_room(http))
        return 503;
    mr_buf_put(&request->body, data, size);
    if (request->body.failed)
        return 413;
    request_weigh(request);
    return 0;
}

const struct header *
request_header(const struct mr_http_request *request, const char *name, size_t *ret_count)
{
    const struct header *found = NULL;
    size_t length = strlen(name);
    *ret_count = 0;
    for (size_t i = 0; i < request->headers_count; i++) {
        const struct header *header = &request->headers[i];
        if (header->name.size != length || strncasecmp(header->name.data, name, length) != 0)
            continue;
        if (found == NULL)
            found = header;
        (*ret_count)++;
    }
    return found;
}

struct mr_slice
mr_http_header(struct mr_http_request *request, const char *name)
{
    MR_ASSERT(request != NULL);
    MR_ASSERT(name != NULL);
    size_t count = 0;
    const struct header *first = request_header(request, name, &count);
    if (count <= 1)
        return first != NULL ? first->value : mr_slice(NULL, 0);
    size_t size = 0, length = strlen(name);
    char *joined = mr_arena_alloc(&request->arena, request->head.size);
    for (size_t i = 0; i < request->headers_count; i++) {
        const struct header *header = &request->headers[i];
        if (header->name.size != length || strncasecmp(header->name.data, name, length) != 0)
            continue;
        if (size > 0) {
            memcpy(joined + size, ", ", 2);
            size += 2;
        }
        memcpy(joined + size, header->value.data, header->value.size);
        size += header->value.size;
    }
    return mr_slice(joined, size);
}

bool
mr_http_header_at(const struct mr_http_request *request, size_t i, struct mr_slice *ret_name,
                  struct mr_slice *ret_value)
{
    MR_ASSERT(request != NULL);
    if (i >= request->headers_count)
        return false;
    *ret_name = request->headers[i].name;
    *ret_value = request->headers[i].value;
    return true;
}

struct mr_slice
mr_http_target(const struct mr_http_request *request)
{
    MR_ASSERT(request != NULL);
    return request->parsed.target;
}

struct mr_slice
mr_http_method(const struct mr_http_request *request)
{
    MR_ASSERT(request != NULL);
    return request->parsed.method;
}

struct mr_slice
mr_http_path(const struct mr_http_request *request)
{
    MR_ASSERT(request != NULL);
    return request->parsed.path;
}

struct mr_slice
mr_http_query(const struct mr_http_request *request)
{
    MR_ASSERT(request != NULL);
    return request->parsed.query;
}

struct mr_slice
mr_http_body(const struct mr_http_request *request)
{
    MR_ASSERT(request != NULL);
    return mr_buf_slice(&request->body);
}

const char *
mr_http_peer(const struct mr_http_request *request)
{
    MR_ASSERT(request != NULL);
    return request->conn->peer;
}

struct mr_arena *
mr_http_arena(struct mr_http_request *request)
{
    MR_ASSERT(request != NULL);
    return &request->arena;
}

void **
mr_http_slot(struct mr_http_request *request)
{
    MR_ASSERT(request != NULL);
    return &request->slot;
}

/* ---- replies ---- */

static const struct {
    int status;
    const char *line;
} status_lines[] = {
    { 200, "HTTP/1.1 200 OK\r\n" },
    { 201, "HTTP/1.1 201 Created\r\n" },
    { 202, "HTTP/1.1 202 Accepted\r\n" },
    { 204, "HTTP/1.1 204 No Content\r\n" },
    { 207, "HTTP/1.1 207 Multi-Status\r\n" },
    { 304, "HTTP/1.1 304 Not Modified\r\n" },
    { 400, "HTTP/1.1 400 Bad Request\r\n" },
    { 401, "HTTP/1.1 401 Unauthorized\r\n" },
    { 403, "HTTP/1.1 403 Forbidden\r\n" },
    { 404, "HTTP/1.1 404 Not Found\r\n" },
    { 405, "HTTP/1.1 405 Method Not Allowed\r\n" },
    { 406, "HTTP/1.1 406 Not Acceptable\r\n" },
    { 408, "HTTP/1.1 408 Request Timeout\r\n" },
    { 409, "HTTP/1.1 409 Conflict\r\n" },
    { 413, "HTTP/1.1 413 Content Too Large\r\n" },
    { 415, "HTTP/1.1 415 Unsupported Media Type\r\n" },
    { 417, "HTTP/1.1 417 Expectation Failed\r\n" },
    { 422, "HTTP/1.1 422 Unprocessable Content\r\n" },
    { 429, "HTTP/1.1 429 Too Many Requests\r\n" },
    { 431, "HTTP/1.1 431 Request Header Fields Too Large\r\n" },
    { 500, "HTTP/1.1 500 Internal Server Error\r\n" },
    { 501, "HTTP/1.1 501 Not Implemented\r\n" },
    { 503, "HTTP/1.1 503 Service Unavailable\r\n" },
    { 504, "HTTP/1.1 504 Gateway Timeout\r\n" },
    { 505, "HTTP/1.1 505 HTTP Version Not Supported\r\n" },
};

static void
put_status(struct mr_buf *out, int status)
{
    for (size_t i = 0; i < MR_COUNT(status_lines); i++) {
        if (status_lines[i].status == status) {
            mr_buf_text(out, status_lines[i].line);
            return;
        }
    }
    MR_ASSERT(status >= 200);
    MR_ASSERT(status <= 599);
    mr_buf_printf(out, "HTTP/1.1 %d \r\n", status);
}

/* Formatted once a second. */
static const char *
date_line(struct mr_http *http)
{
    int64_t now_s = mr_wall_ms() / 1000;
    if (now_s != http->date_s) {
        struct tm parts;
        time_t now = (time_t)now_s;
        http->date_s = now_s;
        (void)gmtime_r(&now, &parts);
        (void)strftime(http->date, sizeof(http->date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n",
                       &parts);
    }
    return http->date;
}

static void
put_length(struct mr_buf *out, size_t length)
{
    char digits[24];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + length % 10);
        length /= 10;
    } while (length > 0);
    mr_buf_text(out, "Content-Length: ");
    mr_buf_put(out, digits + at, sizeof(digits) - at);
    mr_buf_put(out, "\r\n", 2);
}

void
mr_http_reply_lines(struct mr_http_request *request, const char *lines)
{
    MR_ASSERT(request != NULL);
    size_t size = strlen(lines);
    MR_ASSERT(size >= 2 && memcmp(lines + size - 2, "\r\n", 2) == 0);
    const char *before = request->parsed.lines != NULL ? request->parsed.lines : "";
    size_t kept = strlen(before);
    char *joined = mr_arena_alloc(&request->arena, kept + size + 1);
    memcpy(joined, before, kept);
    memcpy(joined + kept, lines, size + 1);
    request->parsed.lines = joined;
}

void
request_observe(struct mr_http_request *request, int status, size_t body_bytes)
{
    const struct mr_http *http = request->conn->http;
    if (http->observer != NULL)
        http->observer(http->observer_self, request, status, body_bytes);
}

static bool
may_have_body(const struct mr_http_reply *reply)
{
    return reply->status != 204 && reply->status != 304;
}

void
request_head(struct mr_http_request *request, const struct mr_http_reply *reply, bool is_chunked)
{
    struct mr_buf *out = &request->out;
    put_status(out, reply->status);
    mr_buf_text(out, date_line(request->conn->http));
    if (reply->content_type != NULL) {
        mr_buf_text(out, "Content-Type: ");
        mr_buf_text(out, reply->content_type);
        mr_buf_put(out, "\r\n", 2);
    }
    if (is_chunked)
        mr_buf_text(out, "Transfer-Encoding: chunked\r\n");
    else if (may_have_body(reply))
        put_length(out, reply->body.size);
    if (reply->headers != NULL)
        mr_buf_text(out, reply->headers);
    if (request->parsed.lines != NULL)
        mr_buf_text(out, request->parsed.lines);
    if (request->parsed.close)
        mr_buf_text(out, "Connection: close\r\n");
    else if (request->parsed.is_old)
        mr_buf_text(out, "Connection: keep-alive\r\n");
    mr_buf_put(out, "\r\n", 2);
}

void
request_reply(struct mr_http_request *request, const struct mr_http_reply *reply)
{
    struct mr_buf *out = &request->out;
    request_observe(request, reply->status, reply->body.size);
    request->parsed.replied = true;
    request->parsed.close =
        reply->close || !request->parsed.keep_alive || request->conn->http->draining;
    request_head(request, reply, false);
    if (may_have_body(reply) && !mr_slice_is_text(request->parsed.method, "HEAD"))
        mr_buf_put(out, reply->body.data, reply->body.size);
    MR_ASSERT(!out->failed);
    /* The request itself is over; its body need not wait for the reply to be read. */
    mr_buf_reset(&request->body);
    request_weigh(request);
}

void
request_refuse(struct mr_http_request *request, int status, const char *text, bool close)
{
    const char *headers = status == 503   ? "Retry-After: 1\r\n"
                          : status == 415 ? "Accept-Encoding: gzip, deflate, zstd\r\n"
                                          : NULL;
    char body[256];
    int size = snprintf(body, sizeof(body), "{\"error_code\":%d,\"message\":\"%s\"}", status, text);
    MR_ASSERT(size > 0);
    MR_ASSERT((size_t)size < sizeof(body));
    request_reply(request, &(struct mr_http_reply){
                               .status = status,
                               .content_type = "application/json",
                               .headers = headers,
                               .body = mr_slice(body, (size_t)size),
                               .close = close,
                           });
}
