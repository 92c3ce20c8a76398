/*
 * Answers of v3 carry links to themselves and to what belongs to them. They begin with the address
 * that the client used: its Host, and whatever stood before /v3 in its path.
 */
#include "gateway/rest_v3.h"

#include <stdarg.h>
#include <stdio.h>

/* As the inside of a JSON string, in the request's memory. */
static const char *
escape(const struct call *call, struct mr_slice text)
{
    struct mr_arena *arena = mr_http_arena(call->request);
    MR_CLEANUP(mr_buf_fini) struct mr_buf quoted;
    mr_buf_init(&quoted, 8 * text.size + 3);
    mr_buf_json(&quoted, text);
    MR_ASSERT(!quoted.failed);
    return mr_arena_copy(arena, quoted.data + 1, quoted.size - 2);
}

void
v3_page_init(struct v3_page *page, const struct call *call, const char *cluster)
{
    struct mr_slice path = mr_http_path(call->request);
    struct mr_slice host = mr_http_header(call->request, "host");
    const char *v3 = call->path.segments[0].data;
    size_t before = (size_t)(v3 - (const char *)path.data);
    MR_CLEANUP(mr_buf_fini) struct mr_buf root;
    MR_ASSERT(v3 > (const char *)path.data);
    MR_ASSERT(before <= path.size);
    mr_buf_init(&root, host.size + before + 64);
    mr_buf_text(&root, mr_http_is_tls(call->request) ? "https://" : "http://");
    mr_buf_put(&root, host.data, host.size);
    mr_buf_put(&root, path.data, before);
    mr_buf_text(&root, "v3/clusters");
    MR_ASSERT(!root.failed);
    page->root = escape(call, mr_buf_slice(&root));
    page->cluster = escape(call, mr_slice_text(cluster));
    mr_buf_init(&page->body, REPLY_JSON_BYTES_MAX);
}

void
v3_put_resource(struct v3_page *page, const char *kind, const char *path, const char *name)
{
    mr_buf_printf(&page->body,
                  "{\"kind\":\"%s\",\"metadata\":{\"self\":\"%s/%s%s\",\"resource_name\":"
                  "\"crn:///kafka=%s%s\"},\"cluster_id\":\"%s\"",
                  kind, page->root, page->cluster, path, page->cluster, name, page->cluster);
}

void
v3_put_link(struct v3_page *page, const char *name, const char *format, ...)
{
    char path[V3_PATH_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(path, sizeof(path), format, arguments);
    va_end(arguments);
    MR_ASSERT(size >= 0);
    MR_ASSERT((size_t)size < sizeof(path));
    mr_buf_printf(&page->body, ",\"%s\":{\"related\":\"%s/%s%s\"}", name, page->root, page->cluster,
                  path);
}

void
v3_begin_list(struct v3_page *page, const char *kind, const char *path)
{
    mr_buf_printf(&page->body, "{\"kind\":\"%s\",\"metadata\":{\"self\":\"%s", kind, page->root);
    if (path != NULL)
        mr_buf_printf(&page->body, "/%s%s", page->cluster, path);
    mr_buf_text(&page->body, "\",\"next\":null},\"data\":[");
}

void
v3_end_list(struct v3_page *page)
{
    mr_buf_text(&page->body, "]}");
}

void
v3_send(struct v3_page *page, const struct call *call, int status, const char *headers)
{
    if (page->body.failed)
        v3_refuse(call, 413,
                  "the answer would be larger than %d bytes; ask for one thing of the "
                  "list",
                  REPLY_JSON_BYTES_MAX);
    else
        reply_send(call->gateway->replies, call->request, &rest_v3,
                   &(struct mr_http_reply){ .status = status,
                                            .content_type = rest_v3.content_type,
                                            .headers = headers,
                                            .body = mr_buf_slice(&page->body) });
    mr_buf_fini(&page->body);
}
