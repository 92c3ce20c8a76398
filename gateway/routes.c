/*
 * From a path to a dialect. Any first segment may stand before a path (the stage of an API
 * gateway); a slash at the end is no difference.
 */
#include "gateway/routes.h"

#include "gateway/dialects.h"

enum { SEGMENTS_MAX = 6 };

struct path {
    struct mr_slice segments[SEGMENTS_MAX];
    size_t count;
};

static bool
split(struct mr_slice text, struct path *ret)
{
    const char *at = text.data, *end = at + text.size;
    ret->count = 0;
    while (at < end) {
        at++; /* the slash */
        const char *slash = memchr(at, '/', (size_t)(end - at));
        const char *stop = slash != NULL ? slash : end;
        if (stop > at) {
            if (ret->count == SEGMENTS_MAX)
                return false;
            ret->segments[ret->count++] = mr_slice(at, (size_t)(stop - at));
        }
        at = stop;
    }
    return true;
}

static bool
is_root(struct mr_slice segment)
{
    return mr_slice_is_text(segment, "topics") || mr_slice_is_text(segment, "streams") ||
           mr_slice_is_text(segment, "v1");
}

static void
drop_stage(struct path *path)
{
    if (path->count < 2 || is_root(path->segments[0]) || !is_root(path->segments[1]))
        return;
    path->count--;
    memmove(path->segments, path->segments + 1, path->count * sizeof(path->segments[0]));
}

struct call {
    struct admit *admit;
    struct mr_http_request *request;
    struct path path;
    bool is_get, is_post; /* is_post: POST or PUT */
};

static bool
segment_is(const struct call *call, size_t i, const char *text)
{
    return i < call->path.count && mr_slice_is_text(call->path.segments[i], text);
}

static void
no_method(const struct call *call, const struct dialect *dialect)
{
    struct mr_slice method = mr_http_method(call->request);
    reply_fault(admit_replies(call->admit), call->request, dialect, FAULT_METHOD,
                "%.*s is not offered on this path", (int)method.size, (const char *)method.data);
}

static void
topics_route(const struct call *call)
{
    struct replies *replies = admit_replies(call->admit);
    if (call->path.count == 1 && call->is_get)
        rest_v2_list(call->admit, call->request);
    else if (call->path.count == 1 && call->is_post)
        reply_fault(replies, call->request, &rest_v2, FAULT_ROUTE,
                    "the topic is missing from the path; POST to /topics/<tenant>.<kind>");
    else if (call->path.count == 2 && call->is_post)
        rest_v2_post(call->admit, call->request, call->path.segments[1]);
    else if (call->path.count > 2)
        reply_fault(replies, call->request, &rest_v2, FAULT_ROUTE,
                    "this path is not offered; POST to /topics/<tenant>.<kind>");
    else
        no_method(call, &rest_v2);
}

static bool
is_record(const struct call *call, size_t i)
{
    return segment_is(call, i, "record") || segment_is(call, i, "records");
}

static void
streams_route(const struct call *call)
{
    struct replies *replies = admit_replies(call->admit);
    struct mr_slice named = mr_http_param(call->request, "stream-name");
    if (call->path.count == 1 && call->is_get)
        kinesis_list(call->admit, call->request);
    else if (call->path.count == 2 && is_record(call, 1) && named.size > 0 && call->is_post)
        kinesis_put(call->admit, call->request, named);
    else if (call->path.count == 2 && call->is_get)
        kinesis_describe(call->admit, call->request, call->path.segments[1]);
    else if (call->path.count == 3 && is_record(call, 2) && call->is_post)
        kinesis_put(call->admit, call->request, call->path.segments[1]);
    else if (call->path.count <= 2 && call->is_post)
        reply_fault(replies, call->request, &kinesis, FAULT_ROUTE,
                    "PUT records to /streams/<name>/record");
    else if (call->path.count > 3 || (call->path.count == 3 && !is_record(call, 2)))
        reply_fault(replies, call->request, &kinesis, FAULT_ROUTE,
                    "this path is not offered; PUT records to /streams/<name>/record");
    else
        no_method(call, &kinesis);
}

static void
events_route(const struct call *call)
{
    if (call->path.count == 4 && segment_is(call, 1, "events") && call->is_post)
        events_post(call->admit, call->request, call->path.segments[2], call->path.segments[3]);
    else if (call->path.count == 4 && segment_is(call, 1, "events"))
        no_method(call, &events_v1);
    else
        reply_fault(admit_replies(call->admit), call->request, &events_v1, FAULT_ROUTE,
                    "this path is not offered; POST to /v1/events/<tenant>/<kind>");
}

static void
index_route(const struct call *call)
{
    static const char text[] =
        "{\"service\":\"millrace-gateway\",\"version\":\"" MILLRACE_VERSION "\",\"paths\":["
        "\"POST /topics/<tenant>.<kind> {\\\"records\\\":[{\\\"value\\\":{..}}]}\","
        "\"PUT /streams/streaming-<tenant>-<kind>/record "
        "{\\\"Data\\\":{..},\\\"PartitionKey\\\":\\\"..\\\"}\","
        "\"POST /v1/events/<tenant>/<kind> {..}\",\"GET /topics\",\"GET /streams\"]}";
    reply_json(admit_replies(call->admit), call->request, &events_v1, 200, MR_SLICE(text));
}

/* Bodies are taken as they are; a coding that is not undone here would be stored as garbage. */
static bool
is_coded(struct mr_http_request *request)
{
    struct mr_slice coding = mr_http_header(request, "content-encoding");
    return coding.size > 0 && !mr_slice_is_text(coding, "identity");
}

void
route(void *self, struct mr_http_request *request)
{
    struct mr_slice method = mr_http_method(request);
    struct call call = {
        .admit = self,
        .request = request,
        .is_get = mr_slice_is_text(method, "GET") || mr_slice_is_text(method, "HEAD"),
        .is_post = mr_slice_is_text(method, "POST") || mr_slice_is_text(method, "PUT"),
    };
    bool is_short = split(mr_http_path(request), &call.path);
    drop_stage(&call.path);
    if (is_coded(request))
        reply_fault(admit_replies(self), request, &events_v1, FAULT_MEDIA,
                    "compressed bodies are not taken; send it without Content-Encoding");
    else if (is_short && call.path.count == 0 && call.is_get)
        index_route(&call);
    else if (is_short && segment_is(&call, 0, "topics"))
        topics_route(&call);
    else if (is_short && segment_is(&call, 0, "streams"))
        streams_route(&call);
    else if (is_short && segment_is(&call, 0, "v1"))
        events_route(&call);
    else
        reply_fault(admit_replies(self), request, &events_v1, FAULT_ROUTE,
                    "there is nothing at this path; GET / lists what there is");
}
