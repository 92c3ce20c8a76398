/*
 * The lines to copy name the host that the client itself has named, so that they work through
 * whatever stands in between. openapi.json is written by hand and becomes part of the program.
 */
#include "gateway/index.h"

#include "gateway/dialects.h"
#include "gateway/media.h"

#include <openapi_json.h> /* made from openapi.json: openapi_json, openapi_json_size */

enum { PAGE_BYTES_MAX = 16 * 1024, HOST_BYTES_MAX = 255 };

static const struct example {
    const char *what, *options, *path;
} examples[] = {
    { "Post events as to the Kafka REST Proxy",
      "-H 'Content-Type: application/vnd.kafka.json.v2+json' "
      "-d '{\"records\":[{\"value\":{\"index\":1}}]}'",
      "/topics/a1b2c3.pin" },
    { "Post an event as to Kinesis behind an API gateway",
      "-X PUT -H 'Content-Type: application/json' "
      "-d '{\"Data\":{\"index\":1},\"PartitionKey\":\"1\"}'",
      "/streams/streaming-a1b2c3-pin/record" },
    { "Post an event that may be sent again without being counted twice",
      "-H 'Content-Type: application/json' -H 'Idempotency-Key: 8e03978e' -d '{\"index\":1}'",
      "/v1/events/a1b2c3/pin" },
    { "See which topics there are", "", "/topics" },
};

static const char secured[] =
    "If the door asks who you are, add -H 'x-api-key: <key>' or -u <name>:<password>";

/* http://host, in characters that mean nothing to HTML, JSON or a shell. */
static void
put_base(struct mr_buf *page, struct mr_http_request *request)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]";
    struct mr_slice host = mr_http_header(request, "host");
    struct mr_slice forwarded = mr_http_header(request, "x-forwarded-proto");
    char text[HOST_BYTES_MAX + 1] = "";
    if (host.size <= HOST_BYTES_MAX && host.size > 0)
        memcpy(text, host.data, host.size);
    bool is_plain = text[0] != '\0' && strspn(text, plain) == host.size;
    bool is_https = mr_http_is_tls(request) || mr_slice_is_text(forwarded, "https");
    mr_buf_printf(page, "%s://%s", is_https ? "https" : "http", is_plain ? text : "localhost");
}

static void
put_curl(struct mr_buf *page, struct mr_http_request *request, const struct example *example)
{
    mr_buf_printf(page, "curl %s%s", example->options, example->options[0] != '\0' ? " " : "");
    put_base(page, request);
    mr_buf_text(page, example->path);
}

static void
put_json(struct mr_buf *page, struct mr_http_request *request)
{
    mr_buf_text(page, "{\"service\":\"millrace-gateway\",\"version\":\"" MILLRACE_VERSION
                      "\",\"openapi\":\"");
    put_base(page, request);
    mr_buf_text(page, "/openapi.json\",\"examples\":[");
    for (size_t i = 0; i < MR_COUNT(examples); i++) {
        MR_CLEANUP(mr_buf_fini) struct mr_buf curl;
        mr_buf_init(&curl, PAGE_BYTES_MAX);
        put_curl(&curl, request, &examples[i]);
        mr_buf_printf(page, "%s{\"what\":\"%s\",\"curl\":", i > 0 ? "," : "", examples[i].what);
        mr_buf_json(page, mr_buf_slice(&curl));
        mr_buf_text(page, "}");
    }
    mr_buf_text(page, "],\"note\":");
    mr_buf_json(page, mr_slice_text(secured));
    mr_buf_text(page, "}");
}

static void
put_escaped(struct mr_buf *page, struct mr_slice text)
{
    const char *from = text.data;
    for (size_t i = 0; i < text.size; i++) {
        if (from[i] == '<')
            mr_buf_text(page, "&lt;");
        else if (from[i] == '>')
            mr_buf_text(page, "&gt;");
        else if (from[i] == '&')
            mr_buf_text(page, "&amp;");
        else
            mr_buf_put(page, from + i, 1);
    }
}

static void
put_html(struct mr_buf *page, struct mr_http_request *request)
{
    mr_buf_text(page,
                "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width\">\n"
                "<title>millrace gateway</title>\n<style>\n"
                "body { max-width: 50rem; margin: 2rem auto; padding: 0 1rem;"
                " font: 1rem/1.5 system-ui, sans-serif; color: #222; }\n"
                "pre { padding: .7rem; background: #f3f3f0; white-space: pre-wrap;"
                " overflow-wrap: anywhere; }\n"
                "small { color: #666; font-weight: normal; }\n</style>\n</head>\n<body>\n"
                "<h1>millrace gateway <small>" MILLRACE_VERSION "</small></h1>\n"
                "<p>This door takes JSON events over HTTP and answers when Kafka has stored them"
                " on all in-sync replicas.</p>\n");
    for (size_t i = 0; i < MR_COUNT(examples); i++) {
        MR_CLEANUP(mr_buf_fini) struct mr_buf curl;
        mr_buf_init(&curl, PAGE_BYTES_MAX);
        put_curl(&curl, request, &examples[i]);
        mr_buf_printf(page, "<h2>%s</h2>\n<pre>", examples[i].what);
        put_escaped(page, mr_buf_slice(&curl));
        mr_buf_text(page, "</pre>\n");
    }
    mr_buf_text(page, "<p>");
    put_escaped(page, mr_slice_text(secured));
    mr_buf_text(page, ".</p>\n<p>Everything that is offered here, for people and tools: "
                      "<a href=\"openapi.json\">openapi.json</a>.</p>\n</body>\n</html>\n");
}

void
index_show(const struct call *call)
{
    static const char *const types[] = { "application/json", "text/html" };
    struct mr_http_request *request = call->request;
    bool is_html = media_pick(mr_http_header(request, "accept"), types, MR_COUNT(types)) == 1;
    MR_CLEANUP(mr_buf_fini) struct mr_buf page;
    mr_buf_init(&page, PAGE_BYTES_MAX);
    if (is_html)
        put_html(&page, request);
    else
        put_json(&page, request);
    MR_ASSERT(!page.failed);
    reply_page(call->gateway->replies, request, &events_v1,
               is_html ? "text/html; charset=utf-8" : types[0], mr_buf_slice(&page));
}

void
index_openapi(const struct call *call)
{
    struct replies *replies = call->gateway->replies;
    if (call->path.count > 1)
        reply_fault(replies, call->request, &events_v1, FAULT_ROUTE,
                    "there is nothing behind /openapi.json");
    else if (!call->is_get)
        call_no_method(call, &events_v1);
    else
        reply_page(replies, call->request, &events_v1, "application/json",
                   mr_slice(openapi_json, openapi_json_size));
}
