/*
 * CORS: which pages of other origins may talk to the door. What a browser's page may send is then
 * up to the page: any header and any method, as the credentials, not the page, say what is allowed.
 * Cookies are not used here, so Access-Control-Allow-Credentials is never sent.
 */
#include "gateway/identify.h"

enum { LINES_BYTES = 2048, HEADERS_BYTES_MAX = 1024 };

static const char *
match(const struct cors *cors, struct mr_slice origin)
{
    if (cors->is_any)
        return "*";
    for (const char **at = cors->origins; *at != NULL; at++)
        if (mr_slice_is_text(origin, *at))
            return *at;
    return NULL;
}

/* Header names and commas, so that nothing else is echoed. */
static bool
is_names(struct mr_slice text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_, ";
    const char *at = text.data;
    for (size_t i = 0; i < text.size; i++)
        if (memchr(plain, at[i], sizeof(plain) - 1) == NULL)
            return false;
    return text.size > 0 && text.size <= HEADERS_BYTES_MAX;
}

static void
put_preflight(struct mr_buf *lines, const struct cors *cors, struct mr_http_request *request)
{
    struct mr_slice names = mr_http_header(request, "access-control-request-headers");
    mr_buf_text(lines, "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, DELETE, PATCH\r\n");
    if (is_names(names))
        mr_buf_printf(lines, "Access-Control-Allow-Headers: %.*s\r\n", (int)names.size,
                      (const char *)names.data);
    mr_buf_printf(lines, "Access-Control-Max-Age: %lld\r\n", (long long)cors->max_age_s);
}

bool
cors_serve(const struct call *call, const struct cors *cors)
{
    struct mr_http_request *request = call->request;
    struct mr_slice origin = mr_http_header(request, "origin");
    bool is_preflight = mr_slice_is_text(mr_http_method(request), "OPTIONS") &&
                        mr_http_header(request, "access-control-request-method").data != NULL;
    MR_CLEANUP(mr_buf_fini) struct mr_buf lines;
    mr_buf_init(&lines, LINES_BYTES);
    if (!cors->is_any)
        mr_buf_text(&lines, "Vary: Origin\r\n");
    const char *allowed = origin.data != NULL ? match(cors, origin) : NULL;
    if (allowed != NULL) {
        mr_buf_printf(&lines, "Access-Control-Allow-Origin: %s\r\n", allowed);
        mr_buf_text(&lines, "Access-Control-Expose-Headers: Retry-After, WWW-Authenticate, "
                            "x-amzn-ErrorType, x-amzn-RequestId\r\n");
        if (is_preflight)
            put_preflight(&lines, cors, request);
    }
    MR_ASSERT(!lines.failed);
    if (lines.size > 0)
        mr_http_reply_lines(request, lines.data);
    if (is_preflight && allowed != NULL)
        mr_http_reply(request, &(struct mr_http_reply){ .status = 204 });
    return is_preflight && allowed != NULL;
}
