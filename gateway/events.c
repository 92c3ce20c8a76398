/*
 * Our own dialect: POST /v1/events/{tenant}/{kind} with one object, a list of objects, or one
 * object a line (NDJSON), and a receipt for each.
 *
 * Lines that are declared as NDJSON are split at line ends only, so that one broken line is one
 * dead letter and no matter of its neighbours.
 */
#include "gateway/dialects.h"
#include "gateway/scan.h"

#include <millrace/v1/event.pb-c.h>
#include <strings.h>

static bool
put_event(struct post *post, const char *topic, struct mr_slice value)
{
    struct event *event = post_add(post, topic);
    if (event == NULL)
        return false;
    event->value = value;
    return true;
}

static bool
is_lines(struct mr_http_request *request)
{
    struct mr_slice type = mr_http_header(request, "content-type");
    static const char *const names[] = { "application/x-ndjson", "application/ndjson",
                                         "application/jsonl", "application/x-jsonlines" };
    for (size_t i = 0; i < MR_COUNT(names); i++)
        if (type.size >= strlen(names[i]) &&
            strncasecmp(type.data, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* False: too many. Lines of nothing but blanks are no events. */
static bool
take_lines(struct post *post, const char *topic, struct mr_slice body)
{
    const char *at = body.data, *end = at + body.size;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        size_t size = (size_t)(stop - at);
        while (size > 0 && (at[size - 1] == '\r' || at[size - 1] == ' ' || at[size - 1] == '\t'))
            size--;
        if (size > 0 && !put_event(post, topic, mr_slice(at, size)))
            return false;
        at = stop + 1;
    }
    return true;
}

/* A list of events, or values one after the other. */
static bool
take_values(struct post *post, const char *topic, struct scan *scan)
{
    struct mr_slice value;
    if (scan_peek(scan) == '[') {
        if (!scan_enter(scan, '['))
            return true;
        while (scan_item(scan) && scan_value(scan, &value))
            if (!put_event(post, topic, value))
                return false;
        (void)scan_end(scan);
        return true;
    }
    while (scan_peek(scan) != '\0' && scan_value(scan, &value))
        if (!put_event(post, topic, value))
            return false;
    (void)scan_end(scan);
    return true;
}

static void
refuse(const struct call *call, const struct scan *scan, bool fits)
{
    struct mr_http_request *request = call->request;
    struct replies *replies = call->gateway->replies;
    if (!fits)
        reply_fault(replies, request, &events_v1, FAULT_TOO_MANY,
                    "there are more than %d events in one request", POST_EVENTS_MAX);
    else if (scan->fault != NULL)
        reply_fault(replies, request, &events_v1, FAULT_JSON,
                    "the body is not the JSON that is expected: %s at byte %zu", scan->fault,
                    (size_t)(scan->at - scan->start));
    else
        reply_fault(replies, request, &events_v1, FAULT_ENVELOPE,
                    "there is no event in the body; send one JSON object, a list of objects, or "
                    "one object a line");
}

static void
post_events(const struct call *call, struct mr_slice tenant, struct mr_slice kind)
{
    struct mr_http_request *request = call->request;
    char topic[MR_TOPIC_MAX + 1];
    if (!mr_tenant_ok(tenant) || !mr_kind_ok(kind)) {
        reply_fault(call->gateway->replies, request, &events_v1, FAULT_TOPIC,
                    "%.*s/%.*s is not a tenant and a kind; POST to /v1/events/a1b2c3/pin",
                    (int)tenant.size, (const char *)tenant.data, (int)kind.size,
                    (const char *)kind.data);
        return;
    }
    struct mr_arena *arena = mr_http_arena(request);
    const char *tenant_text = mr_arena_copy(arena, tenant.data, tenant.size);
    const char *kind_text = mr_arena_copy(arena, kind.data, kind.size);
    mr_topic_format(tenant_text, kind_text, MR_TOPIC_RAW, topic);

    struct post *post = post_new(call, &events_v1);
    const char *name = mr_arena_copy(arena, topic, strlen(topic));
    struct scan scan;
    struct mr_slice body = mr_http_body(request);
    scan_init(&scan, body);
    bool fits = is_lines(request) ? body.size == 0 || take_lines(post, name, body)
                                  : take_values(post, name, &scan);
    if (fits && scan.fault == NULL && post->count > 0)
        post_admit(post);
    else
        refuse(call, &scan, fits);
}

static void
put_receipt(struct mr_buf *body, const struct event *event)
{
    mr_buf_text(body, "{\"topic\":");
    mr_buf_json(body, mr_slice_text(event->name));
    if (event->code == 0) {
        mr_buf_text(body, ",\"partition\":");
        reply_put_number(body, event->partition);
        mr_buf_text(body, ",\"offset\":");
        reply_put_number(body, event->offset);
    } else {
        mr_buf_text(body, ",\"error_code\":");
        reply_put_number(body, reply_event_code(event->code, event->is_retriable));
        mr_buf_text(body, ",\"message\":");
        mr_buf_json(body, mr_slice_text(event->text));
    }
    mr_buf_text(body, "}");
}

static void
answer(struct post *post)
{
    int status;
    struct mr_buf body;
    size_t failed = post_failed(post, &status);
    mr_buf_init(&body, REPLY_JSON_BYTES_MAX);
    if (status != 200)
        mr_buf_printf(&body, "{\"error_code\":%d,\"message\":\"nothing was stored\",",
                      reply_event_code(post->events[0].code, post->events[0].is_retriable));
    else
        mr_buf_text(&body, "{");
    mr_buf_printf(&body, "\"failed\":%zu,\"receipts\":[", failed);
    for (size_t i = 0; i < post->count; i++) {
        if (i > 0)
            mr_buf_put(&body, ",", 1);
        put_receipt(&body, &post->events[i]);
    }
    mr_buf_text(&body, "]}");
    MR_ASSERT(!body.failed);
    reply_json(admit_replies(post->admit), post->request, &events_v1, status, mr_buf_slice(&body));
    mr_buf_fini(&body);
}

void
events_route(const struct call *call)
{
    const struct path *path = &call->path;
    if (path->count == 4 && call_segment_is(call, 1, "events") && call->is_post)
        post_events(call, path->segments[2], path->segments[3]);
    else if (path->count == 4 && call_segment_is(call, 1, "events"))
        call_no_method(call, &events_v1);
    else
        reply_fault(call->gateway->replies, call->request, &events_v1, FAULT_ROUTE,
                    "this path is not offered; POST to /v1/events/<tenant>/<kind>");
}

const struct dialect events_v1 = {
    .name = DIALECT_NAME_EVENTS,
    .wire = MILLRACE__V1__DIALECT__DIALECT_EVENTS,
    .content_type = "application/json",
    .answer = answer,
};
