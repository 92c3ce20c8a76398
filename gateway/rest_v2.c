/*
 * Kafka REST Proxy v2: POST /topics/{topic} with
 * {"records":[{"value":..,"key":..,"partition":..}]}. The value goes on as its bytes stand in the
 * body; in the binary format it is decoded first.
 */
#include "gateway/dialects.h"
#include "gateway/scan.h"

#include <millrace/v1/event.pb-c.h>
#include <stdlib.h>
#include <strings.h>

#define WRAP "{\"records\":[{\"value\":{...}}]}"

enum { PARTITION_MAX = 1000000 };

/* What was seen besides records, for an answer that helps. */
struct envelope {
    struct post *post;
    struct scan scan;
    const char *topic;
    bool is_binary;
    bool has_records, has_data;
    const char *fault; /* of a record */
    size_t fault_at;
};

static const char *const kinesis_words[] = { "Data", "data", "StreamName", "PartitionKey" };

static bool
is_kinesis_word(struct mr_slice key)
{
    for (size_t i = 0; i < MR_COUNT(kinesis_words); i++)
        if (mr_slice_is_text(key, kinesis_words[i]))
            return true;
    return false;
}

static bool
fail(struct envelope *envelope, const char *fault)
{
    envelope->fault = fault;
    envelope->fault_at = envelope->post->count > 0 ? envelope->post->count - 1 : 0;
    return false;
}

/* Base64 in a JSON string, decoded into the request's memory. */
static bool
decode(struct envelope *envelope, struct mr_slice *value)
{
    struct mr_arena *arena = mr_http_arena(envelope->post->request);
    struct mr_slice text;
    if (((const char *)value->data)[0] != '"' || !scan_unescape(*value, arena, &text))
        return fail(envelope, "is not base64 in a string");
    char *bytes = mr_arena_alloc(arena, text.size / 4 * 3 + 3);
    int64_t size = mr_base64_decode(text, bytes);
    if (size < 0)
        return fail(envelope, "is not base64 in a string");
    *value = mr_slice(bytes, (size_t)size);
    return true;
}

static bool
take_partition(struct envelope *envelope, struct mr_slice value, struct event *event)
{
    const char *digits = value.data;
    int64_t number = 0;
    if (mr_slice_is_text(value, "null"))
        return true;
    for (size_t i = 0; i < value.size; i++) {
        if (digits[i] < '0' || digits[i] > '9' || number > PARTITION_MAX)
            return fail(envelope, "has a partition that is not a partition number");
        number = number * 10 + (digits[i] - '0');
    }
    event->partition = (int32_t)number;
    return true;
}

/* null is no key, and as a value a tombstone. */
static bool
take_field(struct envelope *envelope, struct mr_slice raw, struct mr_slice *ret)
{
    *ret = mr_slice(NULL, 0);
    if (mr_slice_is_text(raw, "null"))
        return true;
    *ret = raw;
    return !envelope->is_binary || decode(envelope, ret);
}

static bool
take_record(struct envelope *envelope)
{
    struct scan *scan = &envelope->scan;
    struct mr_slice key, value;
    bool has_value = false, has_data = false;
    struct event *event = post_add(envelope->post, envelope->topic);
    if (event == NULL)
        return fail(envelope, "is one too many for one request");
    if (scan_peek(scan) != '{')
        return fail(envelope, "is not an object");
    if (!scan_enter(scan, '{'))
        return false;
    while (scan_key(scan, &key) && scan_value(scan, &value)) {
        if (mr_slice_is_text(key, "value")) {
            has_value = true;
            if (!take_field(envelope, value, &event->value))
                return false;
        } else if (mr_slice_is_text(key, "key")) {
            if (!take_field(envelope, value, &event->key))
                return false;
        } else if (mr_slice_is_text(key, "partition")) {
            if (!take_partition(envelope, value, event))
                return false;
        } else if (is_kinesis_word(key)) {
            has_data = true;
        }
    }
    if (scan->fault == NULL && !has_value)
        return fail(envelope, has_data ? "has the shape of a Kinesis record; send it to "
                                         "/streams/{name}/records, or put the data in \"value\""
                                       : "has no \"value\"");
    return scan->fault == NULL;
}

static bool
take_records(struct envelope *envelope)
{
    envelope->has_records = true;
    if (!scan_enter(&envelope->scan, '['))
        return false;
    while (scan_item(&envelope->scan))
        if (!take_record(envelope))
            return false;
    return envelope->scan.fault == NULL;
}

static bool
take_envelope(struct envelope *envelope)
{
    struct scan *scan = &envelope->scan;
    struct mr_slice key, value;
    if (!scan_enter(scan, '{'))
        return false;
    while (scan_key(scan, &key)) {
        if (mr_slice_is_text(key, "records")) {
            if (!take_records(envelope))
                return false;
            continue;
        }
        envelope->has_data = envelope->has_data || is_kinesis_word(key);
        if (!scan_value(scan, &value))
            return false;
    }
    return scan_end(scan);
}

static void
refuse_envelope(const struct call *call, const struct envelope *envelope)
{
    struct mr_http_request *request = call->request;
    struct replies *replies = call->gateway->replies;
    const struct scan *scan = &envelope->scan;
    size_t size = (size_t)(scan->end - scan->start);
    char first = size > 0 ? *scan->start : '\0';
    if (size == 0)
        reply_fault(replies, request, &rest_v2, FAULT_ENVELOPE, "the body is empty; send " WRAP);
    else if (envelope->fault != NULL)
        reply_fault(replies, request, &rest_v2,
                    envelope->post->count == POST_EVENTS_MAX ? FAULT_TOO_MANY : FAULT_ENVELOPE,
                    "record %zu %s", envelope->fault_at, envelope->fault);
    else if (first == '[')
        reply_fault(replies, request, &rest_v2, FAULT_ENVELOPE,
                    "the body is a list; wrap each record: " WRAP);
    else if (scan->fault != NULL)
        reply_fault(replies, request, &rest_v2, FAULT_JSON,
                    "the body is not the JSON that is expected: %s at byte %zu", scan->fault,
                    (size_t)(scan->at - scan->start));
    else if (envelope->has_data && !envelope->has_records)
        reply_fault(replies, request, &rest_v2, FAULT_ENVELOPE,
                    "this is a Kinesis body; PUT it to /streams/{name}/record, or wrap the record "
                    "for this path: " WRAP);
    else if (!envelope->has_records)
        reply_fault(replies, request, &rest_v2, FAULT_ENVELOPE,
                    "\"records\" is missing; wrap the record: " WRAP);
    else
        reply_fault(replies, request, &rest_v2, FAULT_ENVELOPE, "\"records\" is empty");
}

enum format { FORMAT_JSON, FORMAT_BINARY, FORMAT_REGISTRY, FORMAT_UNKNOWN };

static enum format
format_of(struct mr_slice content_type)
{
    static const struct {
        const char *type;
        enum format format;
    } known[] = {
        { "", FORMAT_JSON },
        { "application/json", FORMAT_JSON },
        { "application/vnd.kafka+json", FORMAT_JSON },
        { "application/vnd.kafka.v2+json", FORMAT_JSON },
        { "application/vnd.kafka.json.v2+json", FORMAT_JSON },
        { "application/vnd.kafka.binary.v2+json", FORMAT_BINARY },
        { "application/vnd.kafka.avro.v2+json", FORMAT_REGISTRY },
        { "application/vnd.kafka.jsonschema.v2+json", FORMAT_REGISTRY },
        { "application/vnd.kafka.protobuf.v2+json", FORMAT_REGISTRY },
    };
    const char *text = content_type.data != NULL ? content_type.data : "";
    const char *end = memchr(text, ';', content_type.size);
    size_t size = end != NULL ? (size_t)(end - text) : content_type.size;
    while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\t'))
        size--;
    for (size_t i = 0; i < MR_COUNT(known); i++)
        if (strlen(known[i].type) == size && strncasecmp(known[i].type, text, size) == 0)
            return known[i].format;
    return FORMAT_UNKNOWN;
}

static void
post_records(const struct call *call, struct mr_slice topic)
{
    struct mr_http_request *request = call->request;
    struct mr_slice type = mr_http_header(request, "content-type");
    enum format format = format_of(type);
    if (format == FORMAT_REGISTRY || format == FORMAT_UNKNOWN) {
        reply_fault(call->gateway->replies, request, &rest_v2, FAULT_MEDIA,
                    "Content-Type %.*s %s; send application/vnd.kafka.json.v2+json",
                    (int)(type.size < 100 ? type.size : 100), (const char *)type.data,
                    format == FORMAT_REGISTRY ? "needs a schema registry, which is not used here"
                                              : "is not taken here");
        return;
    }
    struct envelope envelope = {
        .post = post_new(call, &rest_v2),
        .topic = mr_arena_copy(mr_http_arena(request), topic.data, topic.size),
        .is_binary = format == FORMAT_BINARY,
    };
    scan_init(&envelope.scan, mr_http_body(request));
    if (take_envelope(&envelope) && envelope.post->count > 0)
        post_admit(envelope.post);
    else
        refuse_envelope(call, &envelope);
}

static void
put_receipt(struct mr_buf *body, const struct event *event)
{
    if (event->code != 0) {
        mr_buf_text(body, "{\"partition\":null,\"offset\":null,\"error_code\":");
        reply_put_number(body, reply_event_code(event->code, event->is_retriable));
        mr_buf_text(body, ",\"error\":");
        mr_buf_json(body, mr_slice_text(event->text));
        mr_buf_text(body, "}");
        return;
    }
    mr_buf_text(body, "{\"partition\":");
    reply_put_number(body, event->partition);
    mr_buf_text(body, ",\"offset\":");
    reply_put_number(body, event->offset);
    mr_buf_text(body, ",\"error_code\":null,\"error\":null}");
}

static void
answer(struct post *post)
{
    struct replies *replies = admit_replies(post->admit);
    int status;
    struct mr_buf body;
    (void)post_failed(post, &status);
    mr_buf_init(&body, REPLY_JSON_BYTES_MAX);
    if (status != 200) {
        const struct event *event = &post->events[0];
        mr_buf_text(&body, "{\"error_code\":");
        reply_put_number(&body, reply_event_code(event->code, event->is_retriable));
        mr_buf_text(&body, ",\"message\":");
        mr_buf_json(&body, mr_slice_text(event->text));
        mr_buf_text(&body, "}");
    } else {
        mr_buf_text(&body, "{\"offsets\":[");
        for (size_t i = 0; i < post->count; i++) {
            if (i > 0)
                mr_buf_put(&body, ",", 1);
            put_receipt(&body, &post->events[i]);
        }
        mr_buf_text(&body, "],\"key_schema_id\":null,\"value_schema_id\":null}");
    }
    MR_ASSERT(!body.failed);
    reply_json(replies, post->request, &rest_v2, status, mr_buf_slice(&body));
    mr_buf_fini(&body);
}

static void
list_topics(const struct call *call)
{
    struct admit *admit = call->gateway->admit;
    struct mr_http_request *request = call->request;
    size_t count;
    const struct mr_topic *topics = topics_list(admit_topics(admit), &count);
    if (topics == NULL && !topics_reachable(admit_topics(admit))) {
        reply_fault(admit_replies(admit), request, &rest_v2, FAULT_DOWN, "Kafka does not answer");
        return;
    }
    struct mr_buf body;
    mr_buf_init(&body, REPLY_JSON_BYTES_MAX);
    mr_buf_text(&body, "[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            mr_buf_put(&body, ",", 1);
        mr_buf_json(&body, mr_slice_text(topics[i].name));
    }
    mr_buf_text(&body, "]");
    if (body.failed)
        reply_fault(admit_replies(admit), request, &rest_v2, FAULT_TOO_MANY,
                    "there are too many topics for one answer");
    else
        reply_json(admit_replies(admit), request, &rest_v2, 200, mr_buf_slice(&body));
    mr_buf_fini(&body);
}

void
rest_v2_route(const struct call *call)
{
    struct replies *replies = call->gateway->replies;
    const struct path *path = &call->path;
    if (path->count == 1 && call->is_get)
        list_topics(call);
    else if (path->count == 1 && call->is_post)
        reply_fault(replies, call->request, &rest_v2, FAULT_ROUTE,
                    "the topic is missing from the path; POST to /topics/<tenant>.<kind>");
    else if (path->count == 2 && call->is_post)
        post_records(call, path->segments[1]);
    else if (path->count > 2)
        reply_fault(replies, call->request, &rest_v2, FAULT_ROUTE,
                    "this path is not offered; POST to /topics/<tenant>.<kind>");
    else
        call_no_method(call, &rest_v2);
}

const struct dialect rest_v2 = {
    .name = DIALECT_NAME_REST,
    .wire = MILLRACE__V1__DIALECT__DIALECT_REST,
    .content_type = "application/vnd.kafka.v2+json",
    .answer = answer,
};
