/*
 * Our own dialect: POST /v1/events/{tenant}/{kind} with one object, a list of objects, one object a
 * line (NDJSON), or CloudEvents (cloudevents.c), and a receipt for each.
 *
 * Lines that are declared as NDJSON are split at line ends only, so that one broken line is one
 * dead letter and no matter of its neighbours. Other media types than JSON are refused but for the
 * two that tools send without being told to.
 */
#include "gateway/events.h"

#include "clock/clock.h"
#include "gateway/barrier.h"
#include "gateway/dialects.h"

#include <millrace/v1/event.pb-c.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

static const char forms[] = "send one JSON object, a list of objects, or one object a line";

/* ---- the intake ---- */

bool
intake_refuse(struct intake *intake, enum fault fault, const char *format, ...)
{
    va_list arguments;
    if (intake->is_refused)
        return false;
    intake->is_refused = true;
    intake->fault = fault;
    va_start(arguments, format);
    (void)vsnprintf(intake->text, sizeof(intake->text), format, arguments);
    va_end(arguments);
    return false;
}

bool
intake_refuse_scan(struct intake *intake, const struct scan *scan)
{
    if (intake->is_refused)
        return false;
    MR_ASSERT(scan->fault != NULL);
    return intake_refuse(intake, FAULT_JSON,
                         "the body is not the JSON that is expected: %s at byte %zu", scan->fault,
                         (size_t)(scan->at - scan->start));
}

struct event *
intake_add(struct intake *intake, struct mr_slice value)
{
    struct event *event = post_add(intake->post, intake->topic);
    if (event == NULL)
        (void)intake_refuse(intake, FAULT_TOO_MANY,
                            "there are more than %d events in one request; send them in several",
                            POST_EVENTS_MAX);
    else
        event->value = value;
    return event;
}

/* ---- ?id= ---- */

/* A text without its quotes, a number as it stands. */
static bool
take_id(struct mr_slice value, struct mr_arena *arena, struct mr_slice *ret)
{
    char first = ((const char *)value.data)[0];
    if (first == '"')
        return scan_unescape(value, arena, ret) && ret->size > 0;
    *ret = value;
    return first == '-' || (first >= '0' && first <= '9');
}

static bool
find_id(const struct intake *intake, struct mr_slice object, struct mr_slice *ret)
{
    struct scan scan;
    struct mr_slice key, value;
    scan_init(&scan, object);
    if (!scan_enter(&scan, '{'))
        return false;
    while (scan_key(&scan, &key) && scan_value(&scan, &value))
        if (mr_slice_is(key, intake->id_field))
            return take_id(value, mr_http_arena(intake->call->request), ret) &&
                   ret->size <= EVENT_NAME_BYTES_MAX;
    return false;
}

static bool
put_event(struct intake *intake, struct mr_slice value)
{
    struct mr_slice id;
    struct event *event = intake_add(intake, value);
    if (event == NULL || intake->id_field.data == NULL)
        return event != NULL;
    if (!find_id(intake, value, &id))
        return intake_refuse(intake, FAULT_ATTRIBUTE,
                             "event %zu has no field %.*s with a text or a number of at most %d "
                             "bytes, which ?id= names as its id",
                             intake->post->count - 1, (int)intake->id_field.size,
                             (const char *)intake->id_field.data, EVENT_NAME_BYTES_MAX);
    event_name(event, mr_slice(NULL, 0), id);
    return true;
}

/* ---- bodies ---- */

static bool
is_type(struct mr_slice type, const char *name)
{
    size_t size = strlen(name);
    return type.size >= size && strncasecmp(type.data, name, size) == 0 &&
           (type.size == size || strchr("; \t", ((const char *)type.data)[size]) != NULL);
}

static bool
is_lines(struct mr_slice type)
{
    return is_type(type, "application/x-ndjson") || is_type(type, "application/ndjson") ||
           is_type(type, "application/jsonl") || is_type(type, "application/x-jsonlines");
}

/* Lines of nothing but blanks are no events. */
static bool
take_lines(struct intake *intake, struct mr_slice body)
{
    const char *at = body.data, *end = at + body.size;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        size_t size = (size_t)(stop - at);
        while (size > 0 && (at[size - 1] == '\r' || at[size - 1] == ' ' || at[size - 1] == '\t'))
            size--;
        if (size > 0 && !put_event(intake, mr_slice(at, size)))
            return false;
        at = stop + 1;
    }
    return true;
}

/* The envelope of another dialect, known by its first field; NULL: it is none. */
static const char *
other_envelope(struct mr_slice body)
{
    struct scan scan;
    struct mr_slice key;
    scan_init(&scan, body);
    if (scan_peek(&scan) != '{' || !scan_enter(&scan, '{') || !scan_key(&scan, &key))
        return NULL;
    if (mr_slice_is_text(key, "records") && scan_peek(&scan) == '[')
        return "a list of records as the REST proxy takes it; POST it to "
               "/topics/<tenant>.<kind>, or send the values alone";
    if (mr_slice_is_text(key, "StreamName") || mr_slice_is_text(key, "PartitionKey") ||
        mr_slice_is_text(key, "Data"))
        return "a Kinesis record; PUT it to /streams/streaming-<tenant>-<kind>/record, or send "
               "what stands in Data alone";
    if (mr_slice_is_text(key, "specversion"))
        return "a CloudEvent; send it with Content-Type application/cloudevents+json";
    return NULL;
}

/* A list of events, or values one after the other. */
static bool
take_values(struct intake *intake, struct mr_slice body)
{
    struct scan scan;
    struct mr_slice value;
    const char *other = other_envelope(body);
    if (other != NULL)
        return intake_refuse(intake, FAULT_ENVELOPE, "the body is %s", other);
    scan_init(&scan, body);
    if (scan_peek(&scan) == '[') {
        (void)scan_enter(&scan, '[');
        while (scan_item(&scan) && scan_value(&scan, &value))
            if (!put_event(intake, value))
                return false;
    } else {
        while (scan_peek(&scan) != '\0' && scan_value(&scan, &value))
            if (!put_event(intake, value))
                return false;
    }
    return scan_end(&scan) || intake_refuse_scan(intake, &scan);
}

static bool
take_body(struct intake *intake)
{
    struct mr_http_request *request = intake->call->request;
    struct mr_slice body = mr_http_body(request), type = mr_http_header(request, "content-type");
    enum cloudevents form = cloudevents_form(request);
    if (form != CLOUDEVENTS_NONE && intake->id_field.data != NULL)
        return intake_refuse(intake, FAULT_ATTRIBUTE,
                             "CloudEvents have ids of their own; leave ?id=%.*s away",
                             (int)intake->id_field.size, (const char *)intake->id_field.data);
    if (form != CLOUDEVENTS_NONE)
        return cloudevents_take(intake, form);
    if (body.size == 0)
        return intake_refuse(intake, FAULT_ENVELOPE, "the body is empty; %s", forms);
    if (is_lines(type))
        return take_lines(intake, body);
    if (type.size > 0 && !media_is_json(type) && !is_type(type, "text/plain") &&
        !is_type(type, "application/x-www-form-urlencoded"))
        return intake_refuse(intake, FAULT_MEDIA,
                             "Content-Type %.*s is not taken; send application/json, "
                             "application/x-ndjson or application/cloudevents+json",
                             (int)(type.size < EVENT_SHOWN_MAX ? type.size : EVENT_SHOWN_MAX),
                             (const char *)type.data);
    return take_values(intake, body);
}

/* ---- ?wait=visible ---- */

/* What an answer waits for, beside the post. */
struct sight {
    struct wait wait; /* first: done gets it */
    struct barriers *barriers;
    int64_t timeout_ms;
};

/* 1 to WAIT_MS_MAX, or -1. */
static int64_t
timeout_of(struct mr_slice text)
{
    int64_t number = 0;
    const char *digits = text.data;
    if (text.data == NULL)
        return WAIT_MS_DEFAULT;
    for (size_t i = 0; i < text.size && number <= WAIT_MS_MAX; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return -1;
        number = 10 * number + (digits[i] - '0');
    }
    return number >= 1 && number <= WAIT_MS_MAX ? number : -1;
}

static bool
take_wait(struct intake *intake)
{
    struct mr_http_request *request = intake->call->request;
    struct mr_slice wait = mr_http_param(request, "wait");
    if (wait.data == NULL)
        return true;
    int64_t timeout_ms = timeout_of(mr_http_param(request, "timeout_ms"));
    if (!mr_slice_is_text(wait, "visible"))
        return intake_refuse(intake, FAULT_ATTRIBUTE, "wait=%.*s is not known; send wait=visible",
                             (int)(wait.size < EVENT_SHOWN_MAX ? wait.size : EVENT_SHOWN_MAX),
                             (const char *)wait.data);
    if (timeout_ms < 0)
        return intake_refuse(intake, FAULT_ATTRIBUTE,
                             "timeout_ms must be a whole number from 1 to %d", WAIT_MS_MAX);
    if (intake->call->gateway->barriers == NULL)
        return intake_refuse(intake, FAULT_NO_QUERY,
                             "wait=visible needs a query service to ask, and this gateway was "
                             "started without --query; nothing was stored");
    struct sight *sight = mr_arena_alloc(mr_http_arena(request), sizeof(*sight));
    *sight = (struct sight){ .wait.post = intake->post,
                             .barriers = intake->call->gateway->barriers,
                             .timeout_ms = timeout_ms };
    intake->post->state = sight;
    return true;
}

static void
post_events(const struct call *call, struct mr_slice tenant, struct mr_slice kind)
{
    struct mr_http_request *request = call->request;
    struct replies *replies = call->gateway->replies;
    char topic[MR_TOPIC_MAX + 1];
    if (!mr_tenant_ok(tenant) || !mr_kind_ok(kind)) {
        reply_fault(replies, request, &events_v1, FAULT_TOPIC,
                    "%.*s/%.*s is not a tenant and a kind; POST to /v1/events/a1b2c3/pin",
                    (int)tenant.size, (const char *)tenant.data, (int)kind.size,
                    (const char *)kind.data);
        return;
    }
    struct mr_arena *arena = mr_http_arena(request);
    const char *tenant_text = mr_arena_copy(arena, tenant.data, tenant.size);
    const char *kind_text = mr_arena_copy(arena, kind.data, kind.size);
    mr_topic_format(tenant_text, kind_text, MR_TOPIC_RAW, topic);
    struct intake intake = { .call = call,
                             .post = post_new(call, &events_v1),
                             .topic = mr_arena_copy(arena, topic, strlen(topic)),
                             .id_field = mr_http_param(request, "id") };
    if (take_wait(&intake) && take_body(&intake) && intake.post->count == 0)
        (void)intake_refuse(&intake, FAULT_ENVELOPE, "there is no event in the body; %s", forms);
    if (intake.is_refused)
        reply_fault(replies, request, &events_v1, intake.fault, "%s", intake.text);
    else
        post_admit(intake.post);
}

/* ---- answers ---- */

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

/* members: what the answer says beside the receipts. */
static void
tell(struct post *post, int status, size_t failed, const char *members)
{
    struct mr_buf body;
    mr_buf_init(&body, REPLY_JSON_BYTES_MAX);
    mr_buf_printf(&body, "{%s\"failed\":%zu,\"receipts\":[", members, failed);
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

/* Which of the three became of an event the offsets do not say, so the answer does not either. */
static void
on_sight(struct wait *wait, bool is_seen)
{
    int status;
    struct post *post = wait->post;
    const struct sight *sight = (const struct sight *)wait;
    size_t failed = post_failed(post, &status);
    char members[256];
    (void)snprintf(members, sizeof(members),
                   "\"error_code\":504,\"message\":\"DEADLINE_EXCEEDED: the events are stored, but "
                   "not known to be visible after %lld ms; do not post them again\",",
                   (long long)sight->timeout_ms);
    tell(post, is_seen ? status : 504, failed,
         is_seen ? "\"outcome\":\"visible, dead or repeated\"," : members);
}

static void
answer(struct post *post)
{
    int status;
    char members[128] = "";
    struct sight *sight = post->state;
    size_t failed = post_failed(post, &status);
    if (sight != NULL && failed < post->count) {
        sight->wait.done = on_sight;
        sight->wait.deadline_ms = mr_now_ms() + sight->timeout_ms;
        barriers_wait(sight->barriers, &sight->wait);
        return;
    }
    if (status != 200)
        (void)snprintf(members, sizeof(members),
                       "\"error_code\":%d,\"message\":\"nothing was stored\",",
                       reply_event_code(post->events[0].code, post->events[0].is_retriable));
    tell(post, status, failed, members);
}

void
events_route(const struct call *call)
{
    const struct path *path = &call->path;
    struct replies *replies = call->gateway->replies;
    bool is_events = call_segment_is(call, 1, "events");
    if (path->count == 4 && is_events && call->is_post)
        post_events(call, path->segments[2], path->segments[3]);
    else if (path->count == 4 && is_events)
        call_no_method(call, &events_v1);
    else if (is_events && call->is_post)
        reply_fault(replies, call->request, &events_v1, FAULT_ROUTE,
                    "the path %s; POST to /v1/events/<tenant>/<kind>, such as "
                    "/v1/events/a1b2c3/pin",
                    path->count < 4 ? "does not name a tenant and a kind" : "goes on too far");
    else
        reply_fault(replies, call->request, &events_v1, FAULT_ROUTE,
                    "this path is not offered; POST to /v1/events/<tenant>/<kind>");
}

const struct dialect events_v1 = {
    .name = DIALECT_NAME_EVENTS,
    .wire = MILLRACE__V1__DIALECT__DIALECT_EVENTS,
    .content_type = "application/json",
    .answer = answer,
};
