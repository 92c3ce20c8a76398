/*
 * The header of a request. It is collected whole, line by line, so that what concerns the raw bytes
 * (line ends, folds, NUL, its size) is judged before any parser reads it; then llhttp reads it, and
 * what llhttp leaves open is judged last: Host, the framing headers, the exact request line.
 *
 * llhttp alone was not enough: it lets pass obs-fold, a missing Host and several blanks in the
 * request line. Framing is decided here by our own reading of Content-Length and
 * Transfer-Encoding; llhttp must agree with it, or the request is refused.
 */
#include "http/private.h"

#include <ctype.h>
#include <strings.h>

/* ---- what llhttp reports ---- */

static int
on_header_field(llhttp_t *parser, const char *at, size_t length)
{
    struct conn *conn = parser->data;
    struct mr_http_request *request = conn->reading;
    if (conn->phase != PHASE_HEAD || request->headers_count == HEADERS_MAX)
        return -1; /* a trailer, or too many */
    request->headers[request->headers_count++] =
        (struct header){ .name = mr_slice(at, length), .value = mr_slice(at + length, 0) };
    return 0;
}

static int
on_header_value(llhttp_t *parser, const char *at, size_t length)
{
    struct conn *conn = parser->data;
    struct mr_http_request *request = conn->reading;
    if (conn->phase != PHASE_HEAD || request->headers_count == 0)
        return -1;
    while (length > 0 && (at[length - 1] == ' ' || at[length - 1] == '\t'))
        length--;
    request->headers[request->headers_count - 1].value = mr_slice(at, length);
    return 0;
}

/* Upgrades are not offered, so the request goes on as plain HTTP/1.1 (RFC 9110 7.8). */
static int
on_headers_complete(llhttp_t *parser)
{
    parser->upgrade = 0;
    return 0;
}

static int
on_body(llhttp_t *parser, const char *at, size_t length)
{
    struct conn *conn = parser->data;
    if (conn->phase != PHASE_CHUNKS)
        return -1; /* a stream that its handler has ended */
    if (conn->stream != NULL)
        return stream_part(conn, at, length) ? 0 : -1;
    conn->reading->parsed.refusal = request_body_put(conn->reading, at, length);
    return conn->reading->parsed.refusal == 0 ? 0 : -1;
}

/* Says no before the bytes come. */
static int
on_chunk_header(llhttp_t *parser)
{
    struct conn *conn = parser->data;
    if (conn->phase != PHASE_CHUNKS || conn->stream != NULL)
        return 0;
    const struct mr_buf *body = &conn->reading->body;
    if (parser->content_length > body->max - body->size)
        conn->reading->parsed.refusal = 413;
    return conn->reading->parsed.refusal == 0 ? 0 : -1;
}

static int
on_extension(llhttp_t *parser, const char *at, size_t length)
{
    struct conn *conn = parser->data;
    (void)at;
    if (conn->phase != PHASE_CHUNKS)
        return -1;
    conn->reading->parsed.extension_bytes += length;
    return conn->reading->parsed.extension_bytes <= CHUNK_EXTENSION_BYTES_MAX ? 0 : -1;
}

static int
on_message_complete(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_header = on_chunk_header,
    .on_chunk_extension_name = on_extension,
    .on_chunk_extension_value = on_extension,
    .on_message_complete = on_message_complete,
};

void
head_init(struct conn *conn)
{
    llhttp_init(&conn->parser, HTTP_REQUEST, &settings);
    conn->parser.data = conn;
}

/* ---- raw bytes ---- */

/* Judges the line that has just been completed: NULL, or what is wrong. */
static const char *
line_fault(struct mr_http_request *request)
{
    const char *line = request->head.data + request->parsed.line_start;
    size_t size = request->head.size - request->parsed.line_start;
    if (size < 2 || line[size - 2] != '\r')
        return "lines of a header end in CR LF";
    if (memchr(line, '\r', size) != line + size - 2)
        return "there is a bare CR in the header";
    if (memchr(line, '\0', size) != NULL)
        return "there is a NUL in the header";
    if (line[0] == ' ' || line[0] == '\t')
        return "folded header lines are not accepted";
    if (line[0] == ':')
        return "there is a header without a name";
    return NULL;
}

int64_t
head_take(struct conn *conn, const char *data, size_t size, bool *ret_complete,
          const char **ret_text)
{
    struct mr_http_request *request = conn->reading;
    struct mr_buf *head = &request->head;
    size_t at = 0;
    while (at < size && !*ret_complete) {
        /* Says no at once to TLS and other protocols instead of waiting for their line end. */
        *ret_text = "this is not an HTTP/1.1 request";
        if (head->size == 0 && !isupper((unsigned char)data[at]) && data[at] != '\r')
            return -400;
        const char *end = memchr(data + at, '\n', size - at);
        size_t count = end != NULL ? (size_t)(end - data) + 1 - at : size - at;
        *ret_text = request_no_room;
        if (count > request_room(conn->http))
            return -503;
        *ret_text = "the header is too large";
        mr_buf_put(head, data + at, count);
        if (head->failed)
            return -431;
        request_weigh(request);
        at += count;
        if (end == NULL)
            break;
        *ret_text = line_fault(request);
        if (*ret_text != NULL)
            return -400;
        bool is_empty = head->size - request->parsed.line_start == 2;
        if (!is_empty) {
            request->parsed.line_start = head->size;
            continue;
        }
        *ret_complete = request->parsed.line_start > 0;
        if (*ret_complete)
            break;
        *ret_text = "empty lines stand before the request";
        if (request->parsed.blank_line)
            return -400;
        request->parsed.blank_line = true; /* RFC 9112 2.2: one is forgiven */
        mr_buf_reset(head);
    }
    return (int64_t)at;
}

/* ---- meaning ---- */

/* METHOD SP target SP HTTP/1.x, with exactly these blanks. */
static int
request_line(struct mr_http_request *request, const char **ret_text)
{
    const char *line = request->head.data;
    const char *end = memchr(line, '\r', request->head.size);
    MR_ASSERT(end != NULL);
    const char *target = memchr(line, ' ', (size_t)(end - line));
    *ret_text = "the request line is malformed";
    if (target == NULL || end - target < (ptrdiff_t)strlen(" / HTTP/1.1"))
        return 400;
    const char *version = end - strlen(" HTTP/1.1");
    *ret_text = "only HTTP/1.1 and HTTP/1.0 are spoken here";
    if (memcmp(version, " HTTP/1.", strlen(" HTTP/1.")) != 0 ||
        (version[8] != '0' && version[8] != '1'))
        return 505;
    request->parsed.is_old = version[8] == '0';
    request->parsed.method = mr_slice(line, (size_t)(target - line));
    target++;
    *ret_text = "the request line is malformed";
    if (version <= target || memchr(target, ' ', (size_t)(version - target)) != NULL)
        return 400;
    request->parsed.target = mr_slice(target, (size_t)(version - target));
    return 0;
}

/* host[:port] of RFC 3986, without user information and without escapes: a name or address of
 * letters, digits and -._~, or an address in brackets. */
static bool
host_ok(struct mr_slice host)
{
    const char *text = host.data;
    bool is_literal = host.size > 0 && text[0] == '[';
    size_t at = is_literal ? 1 : 0, start = at;
    while (at < host.size && (isalnum((unsigned char)text[at]) || text[at] == '.' ||
                              (is_literal ? text[at] == ':' : memchr("-_~", text[at], 3) != NULL)))
        at++;
    if (at == start || (is_literal && (at == host.size || text[at++] != ']')))
        return false;
    if (at < host.size && text[at++] != ':')
        return false;
    while (at < host.size && isdigit((unsigned char)text[at]))
        at++;
    return at == host.size;
}

static int
check_host(struct mr_http_request *request, struct mr_slice *ret_host, const char **ret_text)
{
    size_t count = 0;
    const struct header *host = request_header(request, "host", &count);
    *ret_text = "HTTP/1.1 needs exactly one Host header";
    if (count > 1 || (count == 0 && !request->parsed.is_old))
        return 400;
    *ret_text = "the Host header is not a host name";
    if (count == 1 && !host_ok(host->value))
        return 400;
    *ret_host = count == 1 ? host->value : mr_slice(NULL, 0);
    return 0;
}

/* 1*DIGIT that fits: false for signs, blanks, lists and more than 18 digits. */
static bool
length_parse(struct mr_slice text, size_t *ret)
{
    const char *digits = text.data;
    size_t value = 0;
    if (text.size == 0 || text.size > 18)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        value = value * 10 + (size_t)(digits[i] - '0');
    }
    *ret = value;
    return true;
}

/* How long the body is: sets phase and left. */
static int
check_framing(struct conn *conn, const char **ret_text)
{
    struct mr_http_request *request = conn->reading;
    const struct mr_http_limits *limits = &conn->http->limits;
    size_t lengths = 0, encodings = 0, length = 0;
    const struct header *content_length = request_header(request, "content-length", &lengths);
    const struct header *encoding = request_header(request, "transfer-encoding", &encodings);

    *ret_text = "the framing headers contradict each other";
    if (lengths + encodings > 1)
        return 400;
    *ret_text = "Transfer-Encoding can only be chunked, and only in HTTP/1.1";
    if (encodings == 1 && (request->parsed.is_old || encoding->value.size != strlen("chunked") ||
                           strncasecmp(encoding->value.data, "chunked", 7) != 0))
        return 501;
    *ret_text = "Content-Length is not a number";
    if (lengths == 1 && !length_parse(content_length->value, &length))
        return 400;
    *ret_text = "the body is larger than this server takes";
    if (length > limits->body_bytes_max)
        return 413;
    *ret_text = request_no_room;
    if (length > request_room(conn->http))
        return 503;
    request->body.max = encodings == 1 ? limits->body_bytes_max : length;
    conn->left = length;
    conn->phase = encodings == 1 ? PHASE_CHUNKS : PHASE_BODY;
    return 0;
}

static int
check_expect(struct mr_http_request *request, const char **ret_text)
{
    size_t count = 0;
    const struct header *expect = request_header(request, "expect", &count);
    *ret_text = "the only expectation that is met here is 100-continue";
    if (count == 0)
        return 0;
    if (count > 1 || expect->value.size != strlen("100-continue") ||
        strncasecmp(expect->value.data, "100-continue", strlen("100-continue")) != 0)
        return 417;
    request->parsed.expects_continue = !request->parsed.is_old;
    return 0;
}

int
head_parse(struct conn *conn, const char **ret_text)
{
    struct mr_http_request *request = conn->reading;
    struct mr_slice host = { 0 };
    int status = request_line(request, ret_text);
    if (status != 0)
        return status;
    llhttp_reset(&conn->parser);
    enum llhttp_errno code = llhttp_execute(&conn->parser, request->head.data, request->head.size);
    *ret_text = "the header is malformed";
    if (code != HPE_OK && code != HPE_PAUSED)
        return request->headers_count == HEADERS_MAX ? 431 : 400;
    request->parsed.keep_alive = llhttp_should_keep_alive(&conn->parser) != 0;
    *ret_text = "CONNECT is not offered";
    if (mr_slice_is_text(request->parsed.method, "CONNECT"))
        return 501;
    status = check_host(request, &host, ret_text);
    if (status != 0)
        return status;
    *ret_text = "the request target is malformed";
    if (!target_parse(request, host))
        return 400;
    status = check_expect(request, ret_text);
    if (status != 0)
        return status;
    status = check_framing(conn, ret_text);
    if (status != 0)
        return status;
    bool has_body = conn->phase == PHASE_CHUNKS || conn->left > 0;
    *ret_text = "the header is malformed";
    if (has_body != (code == HPE_OK))
        return 400;
    return has_body ? coding_parse(request, ret_text) : 0;
}

static void
keep_tail(struct parsed *parsed, const char *data, size_t size)
{
    size_t fresh = size < sizeof(parsed->tail) ? size : sizeof(parsed->tail);
    memmove(parsed->tail, parsed->tail + fresh, sizeof(parsed->tail) - fresh);
    memcpy(parsed->tail + sizeof(parsed->tail) - fresh, data + size - fresh, fresh);
}

int64_t
head_chunks(struct conn *conn, const char *data, size_t size, bool *ret_complete,
            const char **ret_text)
{
    struct parsed *parsed = &conn->reading->parsed;
    parsed->expects_continue = false;
    enum llhttp_errno code = llhttp_execute(&conn->parser, data, size);
    bool is_end = code == HPE_PAUSED;
    size_t taken = is_end ? (size_t)(llhttp_get_error_pos(&conn->parser) - data) : size;
    keep_tail(parsed, data, taken);
    /* llhttp 8.1 takes a bare LF for the empty line behind the last chunk. */
    *ret_complete = is_end && memcmp(parsed->tail, "\r\n\r\n", 4) == 0;
    if (code == HPE_OK || *ret_complete)
        return (int64_t)taken;
    int status = parsed->refusal != 0 ? parsed->refusal : 400;
    *ret_text = status == 413   ? "the body is larger than this server takes"
                : status == 503 ? request_no_room
                                : "the chunks of the body are malformed";
    return -status;
}
