/*
 * POST /topics/{topic} and /topics/{topic}/partitions/{partition} with
 * {"records":[{"value":..,"key":..,"partition":..}]}. The value goes on as its bytes stand in the
 * body; in the binary format it is decoded first.
 */
#include "gateway/rest_v2.h"
#include "gateway/scan.h"

#define WRAP "{\"records\":[{\"value\":{...}}]}"

/* What was seen besides records, for an answer that helps. */
struct envelope {
    struct post *post;
    struct scan scan;
    const char *topic;
    int32_t partition; /* that the path names; -1: none */
    bool is_binary;
    bool has_records, has_data;
    const char *fault; /* of a record */
    enum fault fault_kind;
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
fail(struct envelope *envelope, enum fault kind, const char *fault)
{
    envelope->fault = fault;
    envelope->fault_kind = kind;
    envelope->fault_at = envelope->post->count > 0 ? envelope->post->count - 1 : 0;
    return false;
}

/* Is it base64 of a JSON object? Nobody means to send that as the event. */
static bool
hides_object(struct mr_slice text, struct mr_arena *arena)
{
    if (text.size < 4 || ((const char *)text.data)[0] != 'e') /* '{' begins so */
        return false;
    char *bytes = mr_arena_alloc(arena, text.size / 4 * 3 + 3);
    int64_t size = mr_base64_decode(text, bytes);
    return size > 0 && bytes[0] == '{' && scan_is_json(mr_slice(bytes, (size_t)size));
}

/* Base64 in a JSON string, decoded into the request's memory. */
static bool
decode(struct envelope *envelope, struct mr_slice *value)
{
    struct mr_arena *arena = mr_http_arena(envelope->post->request);
    struct mr_slice text;
    if (((const char *)value->data)[0] != '"' || !scan_unescape(*value, arena, &text))
        return fail(envelope, FAULT_CONVERSION,
                    "is not base64 in a string, which the binary format needs; send it as base64, "
                    "or as it is with Content-Type application/vnd.kafka.json.v2+json");
    char *bytes = mr_arena_alloc(arena, text.size / 4 * 3 + 3);
    int64_t size = mr_base64_decode(text, bytes);
    if (size < 0)
        return fail(envelope, FAULT_CONVERSION,
                    "is not base64 (standard alphabet, with padding); encode its bytes again");
    *value = mr_slice(bytes, (size_t)size);
    if (hides_object(*value, arena))
        return fail(envelope, FAULT_CONVERSION, "is base64 twice; encode it once");
    return true;
}

static bool
take_partition(struct envelope *envelope, struct mr_slice value, struct event *event)
{
    int32_t number;
    if (mr_slice_is_text(value, "null"))
        return true;
    if (!rest_v2_partition(value, &number))
        return fail(envelope, FAULT_ENVELOPE, "has a partition that is not a partition number");
    if (envelope->partition >= 0 && number != envelope->partition)
        return fail(envelope, FAULT_ENVELOPE,
                    "names another partition than the path; POST it to /topics/<topic>");
    event->partition = number;
    return true;
}

/* null is no key, and as a value a tombstone. */
static bool
take_field(struct envelope *envelope, struct mr_slice raw, struct mr_slice *ret)
{
    const char *text = raw.data;
    *ret = mr_slice(NULL, 0);
    if (mr_slice_is_text(raw, "null"))
        return true;
    *ret = raw;
    if (envelope->is_binary)
        return decode(envelope, ret);
    if (text[0] == '"' && raw.size > 2 &&
        hides_object(mr_slice(text + 1, raw.size - 2), mr_http_arena(envelope->post->request)))
        return fail(envelope, FAULT_CONVERSION,
                    "is base64 of an object; send the object itself, or the base64 with "
                    "Content-Type application/vnd.kafka.binary.v2+json");
    return true;
}

static bool
take_record(struct envelope *envelope)
{
    struct scan *scan = &envelope->scan;
    struct mr_slice key, value;
    bool has_value = false, has_data = false;
    struct event *event = post_add(envelope->post, envelope->topic);
    if (event == NULL)
        return fail(envelope, FAULT_TOO_MANY, "is one too many for one request");
    event->partition = envelope->partition;
    if (scan_peek(scan) != '{')
        return fail(envelope, FAULT_ENVELOPE, "is not an object");
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
        return fail(envelope, FAULT_ENVELOPE,
                    has_data ? "has the shape of a Kinesis record; send it to "
                               "/streams/{name}/records, or put the data in \"value\""
                             : "has no \"value\"; wrap the event: {\"value\":{..}}");
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
    const struct dialect *as = envelope->post->dialect;
    const struct scan *scan = &envelope->scan;
    size_t size = (size_t)(scan->end - scan->start);
    char first = size > 0 ? *scan->start : '\0';
    if (size == 0)
        reply_fault(replies, request, as, FAULT_ENVELOPE, "the body is empty; send " WRAP);
    else if (envelope->fault != NULL)
        reply_fault(replies, request, as, envelope->fault_kind, "record %zu %s", envelope->fault_at,
                    envelope->fault);
    else if (first == '[')
        reply_fault(replies, request, as, FAULT_ENVELOPE,
                    "the body is a list; wrap each record: " WRAP);
    else if (scan->fault != NULL)
        reply_fault(replies, request, as, FAULT_JSON,
                    "the body is not the JSON that is expected: %s at byte %zu", scan->fault,
                    (size_t)(scan->at - scan->start));
    else if (envelope->has_data && !envelope->has_records)
        reply_fault(replies, request, as, FAULT_ENVELOPE,
                    "this is a Kinesis body; PUT it to /streams/{name}/record, or wrap the record "
                    "for this path: " WRAP);
    else if (!envelope->has_records)
        reply_fault(replies, request, as, FAULT_ENVELOPE,
                    "\"records\" is missing; wrap the record: " WRAP);
    else
        reply_fault(replies, request, as, FAULT_ENVELOPE, "\"records\" is empty");
}

void
rest_v2_produce(const struct call *call, const struct dialect *as, int32_t partition)
{
    struct mr_http_request *request = call->request;
    struct mr_slice topic = call->path.segments[1];
    struct mr_slice type = mr_http_header(request, "content-type");
    enum format format = media_format(type);
    if (format == FORMAT_REGISTRY || format == FORMAT_UNKNOWN) {
        reply_fault(call->gateway->replies, request, as, FAULT_MEDIA,
                    "Content-Type %.*s %s; send application/vnd.kafka.json.v2+json",
                    (int)(type.size < 100 ? type.size : 100), (const char *)type.data,
                    format == FORMAT_REGISTRY ? "needs a schema registry, which is not used here"
                                              : "is not taken here");
        return;
    }
    struct envelope envelope = {
        .post = post_new(call, as),
        .topic = mr_arena_copy(mr_http_arena(request), topic.data, topic.size),
        .partition = partition,
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

void
rest_v2_receipts(struct post *post)
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
    reply_json(replies, post->request, post->dialect, status, mr_buf_slice(&body));
    mr_buf_fini(&body);
}
