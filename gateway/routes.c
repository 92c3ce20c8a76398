/*
 * From a path to a dialect, by the first segment. Any other segment may stand before it (the stage
 * of an API gateway); a slash at the end is no difference.
 */
#include "gateway/routes.h"

#include "gateway/call.h"
#include "gateway/dialects.h"
#include "gateway/index.h"
#include "gateway/visit.h"

static const struct {
    const char *segment;
    void (*route)(const struct call *call);
} roots[] = {
    { "topics", rest_v2_route },
    { "brokers", rest_v2_route },
    { "consumers", rest_v2_consumers_route },
    { "streams", kinesis_route },
    { "v1", events_route },
    { "v3", rest_v3_route },
    { "openapi.json", index_openapi },
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
            if (ret->count == PATH_SEGMENTS_MAX)
                return false;
            ret->segments[ret->count++] = mr_slice(at, (size_t)(stop - at));
        }
        at = stop;
    }
    return true;
}

/* The place in roots, or -1. */
static int
root_of(const struct path *path, size_t i)
{
    for (size_t root = 0; i < path->count && root < MR_COUNT(roots); root++)
        if (mr_slice_is_text(path->segments[i], roots[root].segment))
            return (int)root;
    return -1;
}

static void
drop_stage(struct path *path)
{
    if (root_of(path, 0) >= 0 || root_of(path, 1) < 0)
        return;
    path->count--;
    memmove(path->segments, path->segments + 1, path->count * sizeof(path->segments[0]));
}

bool
call_segment_is(const struct call *call, size_t i, const char *text)
{
    return i < call->path.count && mr_slice_is_text(call->path.segments[i], text);
}

void
call_no_method(const struct call *call, const struct dialect *dialect)
{
    struct mr_slice method = mr_http_method(call->request);
    reply_fault(call->gateway->replies, call->request, dialect, FAULT_METHOD,
                "%.*s is not offered on this path", (int)method.size, (const char *)method.data);
}

/* In whose words the guard refuses. */
static const struct dialect *
dialect_of(const struct call *call)
{
    if (call_segment_is(call, 0, "streams"))
        return &kinesis;
    if (kinesis_is_native(call) || mr_http_header(call->request, "x-amz-target").data != NULL)
        return &kinesis_native;
    if (call_segment_is(call, 0, "v3"))
        return &rest_v3;
    return call_segment_is(call, 0, "v1") ? &events_v1 : &rest_v2;
}

static bool
is_open_to_all(const struct call *call)
{
    return call->is_get && (call->path.count == 0 || call_segment_is(call, 0, "openapi.json"));
}

bool
route_wants_stream(void *self, struct mr_http_request *request)
{
    struct call call = { .gateway = self, .request = request };
    bool is_short = split(mr_http_path(request), &call.path);
    drop_stage(&call.path);
    return is_short && call_segment_is(&call, 0, "v3") && rest_v3_wants_stream(&call);
}

void
route(void *self, struct mr_http_request *request)
{
    const struct gateway *gateway = self;
    if (visit_of(request) == NULL) /* it may come again: guard.h */
        visit_begin(gateway->visits, request);
    struct mr_slice method = mr_http_method(request);
    struct call call = {
        .gateway = gateway,
        .request = request,
        .is_get = mr_slice_is_text(method, "GET") || mr_slice_is_text(method, "HEAD"),
        .is_post = mr_slice_is_text(method, "POST") || mr_slice_is_text(method, "PUT"),
        .is_delete = mr_slice_is_text(method, "DELETE"),
    };
    bool is_short = split(mr_http_path(request), &call.path);
    drop_stage(&call.path);
    int root = root_of(&call.path, 0);
    if (!(is_short && is_open_to_all(&call)
              ? guard_greet(gateway->guard, &call)
              : guard_admit(gateway->guard, &call, dialect_of(&call))))
        return;
    visit_of(request)->who = call.who;
    if (is_short && call.path.count == 0 && call.is_get)
        index_show(&call);
    else if (is_short && root >= 0)
        roots[root].route(&call);
    else if (is_short && kinesis_is_native(&call))
        kinesis_native_route(&call);
    else
        reply_fault(gateway->replies, request, &events_v1, FAULT_ROUTE,
                    "there is nothing at this path; GET / lists what there is");
}
