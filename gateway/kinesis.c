/*
 * Kinesis as an API gateway passes it on: PUT /streams/{name}/record with {"Data","PartitionKey"},
 * or Records:[..], in the spellings that are in use. The URL names the stream. On a stream that all
 * kinds share the PartitionKey names the kind.
 *
 * Data, in this order: an object; a list (one event an element); a string that is JSON; base64 of
 * JSON; any other string goes on as its text, and the validator judges it.
 */
#include "gateway/dialects.h"
#include "gateway/kinesis_sequence.h"
#include "gateway/scan.h"

#include <ctype.h>
#include <millrace/v1/event.pb-c.h>
#include <stdio.h>

#define WRAP "{\"StreamName\":\"...\",\"Data\":{...},\"PartitionKey\":\"...\"}"

enum { DATA_LEVELS_MAX = 3 };

enum form { FORM_RECORD, FORM_RECORDS };

struct envelope {
    const struct call *call;
    struct post *post;
    struct scan scan;
    struct mr_slice stream;
    bool has_records, has_value;
    const char *fault;
    enum fault kind; /* of fault */
};

static bool
is_one_of(struct mr_slice key, const char *a, const char *b, const char *c)
{
    return mr_slice_is_text(key, a) || mr_slice_is_text(key, b) || mr_slice_is_text(key, c);
}

static bool
is_data(struct mr_slice key)
{
    return is_one_of(key, "Data", "data", "DATA");
}

static bool
is_partition_key(struct mr_slice key)
{
    return is_one_of(key, "PartitionKey", "partition-key", "partitionKey");
}

static bool
is_stream_name(struct mr_slice key)
{
    return is_one_of(key, "StreamName", "stream-name", "streamName");
}

static bool
fail(struct envelope *envelope, enum fault kind, const char *fault)
{
    if (envelope->fault == NULL) {
        envelope->fault = fault;
        envelope->kind = kind;
    }
    return false;
}

/* ---- which topic ---- */

static bool
known(const struct call *call, const struct mr_topic_name *name)
{
    return topics_kind_known(admit_topics(call->gateway->admit), name->kind);
}

/* The stream's own kind when it is known; else what the PartitionKey names; else the stream's. */
const char *
kinesis_topic_of(const struct call *call, struct mr_slice stream, struct mr_slice partition_key)
{
    struct mr_topic_name parts, named;
    char topic[MR_TOPIC_MAX + 1];
    bool is_stream = mr_stream_parse(stream, &parts);
    if (!is_stream || !known(call, &parts)) {
        if (mr_stream_parse(partition_key, &named) && known(call, &named)) {
            parts = named;
            is_stream = true;
        } else if (mr_kind_ok(partition_key) && mr_tenant_ok(stream)) {
            memset(&named, 0, sizeof(named));
            memcpy(named.tenant, stream.data, stream.size);
            memcpy(named.kind, partition_key.data, partition_key.size);
            if (known(call, &named)) {
                parts = named;
                is_stream = true;
            }
        }
    }
    if (!is_stream)
        return NULL;
    mr_topic_format(parts.tenant, parts.kind, MR_TOPIC_RAW, topic);
    return mr_arena_copy(mr_http_arena(call->request), topic, strlen(topic));
}

/* ---- what Data holds ---- */

static bool
put_event(struct envelope *envelope, const char *topic, struct mr_slice key, struct mr_slice value)
{
    struct event *event = post_add(envelope->post, topic);
    if (event == NULL)
        return fail(envelope, FAULT_TOO_MANY, "there are too many records in one request");
    event->key = key;
    event->value = value;
    return true;
}

/* Data inside Data: an object of nothing but the envelope's own fields. */
static bool
is_wrapped(struct mr_slice object, struct mr_slice *ret_data)
{
    struct scan scan;
    struct mr_slice key, value;
    bool has_data = false;
    scan_init(&scan, object);
    if (!scan_enter(&scan, '{'))
        return false;
    while (scan_key(&scan, &key)) {
        if (!is_data(key) && !is_partition_key(key) && !is_stream_name(key))
            return false;
        if (!scan_value(&scan, &value))
            return false;
        if (is_data(key)) {
            *ret_data = value;
            has_data = true;
        }
    }
    return has_data && scan_end(&scan);
}

/* What text is base64 of, in the arena; data NULL: it is none. */
static struct mr_slice
decode(struct mr_slice text, struct mr_arena *arena)
{
    if (text.size == 0 || text.size % 4 != 0)
        return mr_slice(NULL, 0);
    char *bytes = mr_arena_alloc(arena, text.size / 4 * 3 + 3);
    int64_t size = mr_base64_decode(text, bytes);
    return size >= 0 ? mr_slice(bytes, (size_t)size) : mr_slice(NULL, 0);
}

bool
kinesis_is_coded_json(struct mr_slice data, struct mr_arena *arena)
{
    if (data.size == 0 || !isalnum(*(const unsigned char *)data.data) || scan_is_json(data))
        return false;
    struct mr_slice decoded = decode(data, arena);
    return decoded.data != NULL && scan_is_json(decoded);
}

/* A string's text, or what it is base64 of when that is JSON. */
static bool
take_text(struct envelope *envelope, const char *topic, struct mr_slice key, struct mr_slice string)
{
    struct mr_arena *arena = mr_http_arena(envelope->post->request);
    struct mr_slice text;
    if (!scan_unescape(string, arena, &text))
        return put_event(envelope, topic, key, string);
    struct mr_slice decoded = scan_is_json(text) ? mr_slice(NULL, 0) : decode(text, arena);
    if (decoded.data == NULL)
        return put_event(envelope, topic, key, text);
    if (kinesis_is_coded_json(decoded, arena))
        return fail(envelope, FAULT_ENVELOPE,
                    "Data is base64 twice: decoded once it is still base64 of JSON; encode the "
                    "event's JSON once, or send it as it is");
    return put_event(envelope, topic, key, scan_is_json(decoded) ? decoded : text);
}

static bool
take_data(struct envelope *envelope, const char *topic, struct mr_slice key, struct mr_slice data)
{
    struct mr_slice inner = data;
    for (int level = 0; level < DATA_LEVELS_MAX && is_wrapped(inner, &inner); level++)
        continue;
    char first = ((const char *)inner.data)[0];
    if (first == '"')
        return take_text(envelope, topic, key, inner);
    return put_event(envelope, topic, key, inner);
}

static bool
take_list(struct envelope *envelope, const char *topic, struct mr_slice key, struct mr_slice list)
{
    struct scan scan;
    struct mr_slice element;
    size_t before = envelope->post->count;
    scan_init(&scan, list);
    if (!scan_enter(&scan, '['))
        return false;
    while (scan_item(&scan) && scan_value(&scan, &element))
        if (!take_data(envelope, topic, key, element))
            return false;
    if (scan.fault != NULL)
        return fail(envelope, FAULT_JSON, scan.fault);
    return envelope->post->count > before ||
           fail(envelope, FAULT_ENVELOPE, "Data is an empty list; put a record in it");
}

/* ---- the envelope ---- */

/* The PartitionKey as text; an integer or null may stand there too. */
static struct mr_slice
key_of(struct envelope *envelope, struct mr_slice raw)
{
    struct mr_slice text;
    if (raw.size == 0 || mr_slice_is_text(raw, "null"))
        return mr_slice(NULL, 0);
    if (((const char *)raw.data)[0] == '"' &&
        scan_unescape(raw, mr_http_arena(envelope->post->request), &text))
        return text;
    return raw;
}

static bool
take_pair(struct envelope *envelope, struct mr_slice data, struct mr_slice raw_key)
{
    struct mr_slice key = key_of(envelope, raw_key);
    const char *topic = kinesis_topic_of(envelope->call, envelope->stream, key);
    if (topic == NULL)
        return fail(envelope, FAULT_TOPIC,
                    "neither the stream's name nor the PartitionKey names a kind; use "
                    "streaming-<tenant>-<kind> as one of them");
    if (((const char *)data.data)[0] == '[')
        return take_list(envelope, topic, key, data);
    return take_data(envelope, topic, key, data);
}

static bool
take_record(struct envelope *envelope)
{
    struct scan *scan = &envelope->scan;
    struct mr_slice name, value, data = { 0 }, key = { 0 };
    if (!scan_enter(scan, '{'))
        return false;
    while (scan_key(scan, &name) && scan_value(scan, &value)) {
        if (is_data(name))
            data = value;
        else if (is_partition_key(name))
            key = value;
        else if (mr_slice_is_text(name, "value"))
            envelope->has_value = true;
    }
    if (scan->fault != NULL)
        return false;
    if (data.data == NULL)
        return fail(envelope, FAULT_ENVELOPE,
                    envelope->has_value
                        ? "this is a REST proxy body; POST it to /topics/<tenant>.<kind>, or "
                          "send " WRAP
                        : "a record has no \"Data\"; send " WRAP);
    return take_pair(envelope, data, key);
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
    struct mr_slice name, value, data = { 0 }, key = { 0 };
    if (!scan_enter(scan, '{'))
        return false;
    while (scan_key(scan, &name)) {
        if (is_one_of(name, "Records", "records", "RECORDS")) {
            if (!take_records(envelope))
                return false;
            continue;
        }
        if (!scan_value(scan, &value))
            return false;
        if (is_data(name))
            data = value;
        else if (is_partition_key(name))
            key = value;
    }
    if (!scan_end(scan))
        return false;
    if (data.data != NULL)
        return take_pair(envelope, data, key);
    if (envelope->has_records)
        return envelope->post->count > 0 ||
               fail(envelope, FAULT_ENVELOPE, "\"Records\" is empty; put a record in it");
    return fail(envelope, FAULT_ENVELOPE, "\"Data\" is missing; send " WRAP);
}

static void
refuse_envelope(const struct call *call, const struct envelope *envelope)
{
    struct mr_http_request *request = call->request;
    const struct scan *scan = &envelope->scan;
    if (envelope->fault != NULL)
        reply_fault(call->gateway->replies, request, &kinesis, envelope->kind, "%s",
                    envelope->fault);
    else if (scan->start == scan->end)
        reply_fault(call->gateway->replies, request, &kinesis, FAULT_ENVELOPE,
                    "the body is empty; send " WRAP);
    else
        reply_fault(call->gateway->replies, request, &kinesis, FAULT_JSON,
                    "the body is not the JSON that is expected: %s at byte %zu", scan->fault,
                    (size_t)(scan->at - scan->start));
}

static void
put(const struct call *call, struct mr_slice stream)
{
    struct mr_http_request *request = call->request;
    struct envelope envelope = {
        .call = call,
        .post = post_new(call, &kinesis),
        .stream = stream,
    };
    scan_init(&envelope.scan, mr_http_body(request));
    if (!take_envelope(&envelope)) {
        refuse_envelope(call, &envelope);
        return;
    }
    envelope.post->form = envelope.has_records ? FORM_RECORDS : FORM_RECORD;
    envelope.post->is_partial = envelope.has_records;
    post_admit(envelope.post);
}

/* ---- answers ---- */

static void
put_place(struct mr_buf *body, int32_t partition, int64_t offset)
{
    char shard[SHARD_NAME_BYTES], sequence[SEQUENCE_BYTES];
    shard_name(partition, shard);
    sequence_format(partition, offset, sequence);
    mr_buf_printf(body, "\"ShardId\":\"%s\",\"SequenceNumber\":\"%s\"", shard, sequence);
}

static void
put_receipt(struct mr_buf *body, const struct event *event)
{
    mr_buf_text(body, "{");
    if (event->code == 0) {
        put_place(body, event->partition, event->offset);
    } else {
        mr_buf_printf(body, "\"ErrorCode\":\"%s\",\"ErrorMessage\":",
                      event->code == MR_E(INVALID) ? "InvalidArgumentException"
                                                   : "InternalFailure");
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
    const struct event *event = &post->events[post->count - 1];
    mr_buf_init(&body, REPLY_JSON_BYTES_MAX);
    if (status != 200 || (failed > 0 && post->form == FORM_RECORD)) {
        for (size_t i = 0; i < post->count && event->code == 0; i++)
            event = &post->events[i];
        status = status != 200 ? status : event->is_retriable ? 503 : 500;
        mr_buf_printf(&body, "{\"__type\":\"%s\",\"message\":",
                      status == 503 ? "ServiceUnavailableException" : "InternalFailure");
        mr_buf_json(&body, mr_slice_text(event->text));
        mr_buf_text(&body, "}");
    } else if (post->form == FORM_RECORD) {
        /* Of a list the last: all before it are stored too. */
        put_receipt(&body, event);
    } else {
        mr_buf_printf(&body, "{\"FailedRecordCount\":%zu,\"Records\":[", failed);
        for (size_t i = 0; i < post->count; i++) {
            if (i > 0)
                mr_buf_put(&body, ",", 1);
            put_receipt(&body, &post->events[i]);
        }
        mr_buf_text(&body, "]}");
    }
    MR_ASSERT(!body.failed);
    reply_json(admit_replies(post->admit), post->request, &kinesis, status, mr_buf_slice(&body));
    mr_buf_fini(&body);
}

static bool
is_record(const struct call *call, size_t i)
{
    return call_segment_is(call, i, "record") || call_segment_is(call, i, "records");
}

void
kinesis_route(const struct call *call)
{
    struct replies *replies = call->gateway->replies;
    const struct path *path = &call->path;
    struct mr_slice named = mr_http_param(call->request, "stream-name");
    if (path->count == 1 && call->is_get)
        kinesis_list(call);
    else if (path->count == 2 && is_record(call, 1) && named.size > 0 && call->is_post)
        put(call, named);
    else if (path->count == 2 && call->is_get)
        kinesis_describe(call, path->segments[1]);
    else if (path->count == 3 && is_record(call, 2) && call->is_post)
        put(call, path->segments[1]);
    else if (path->count == 2 && call->is_delete)
        kinesis_delete(call, path->segments[1]);
    else if (path->count == 2 && mr_slice_is_text(mr_http_method(call->request), "POST") &&
             !is_record(call, 1))
        kinesis_create(call, path->segments[1]);
    else if (path->count <= 2 && call->is_post)
        reply_fault(replies, call->request, &kinesis, FAULT_ROUTE,
                    "PUT records to /streams/<name>/record");
    else if (path->count > 3 || (path->count == 3 && !is_record(call, 2)))
        reply_fault(replies, call->request, &kinesis, FAULT_ROUTE,
                    "this path is not offered; PUT records to /streams/<name>/record");
    else
        call_no_method(call, &kinesis);
}

const struct dialect kinesis = {
    .name = DIALECT_NAME_KINESIS,
    .wire = MILLRACE__V1__DIALECT__DIALECT_KINESIS,
    .content_type = "application/json",
    .answer = answer,
    .place = kinesis_place,
};
