/*
 * POST .../records takes one record or many, one behind the other, and answers each in its place;
 * records:batch takes a list of entries that have names. A record that is refused does not keep the
 * others from being stored. What concerns all of them (the topic, rights, overload) is answered
 * once, with its status.
 */
#include "gateway/rest_v3.h"

#include "gateway/scan.h"
#include "gateway/topics.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

enum { RECORDS_FIRST = 4, TIME_BYTES = 40, FAULT_BYTES = 256 };

/* ---- the answer ---- */

/* What became of a record that was handed over, in the codes of v3. */
static void
judge(struct v3_record *record, const struct post *post)
{
    if (record->code != 0 || post->events[record->event].code == 0)
        return;
    const struct event *event = &post->events[record->event];
    int missing = event->topic == NULL                            ? 40401
                  : record->partition >= event->topic->partitions ? 40402
                                                                  : 40403;
    record->text = event->text;
    record->code = event->code == MR_E(TOO_LARGE)   ? 413
                   : event->code == MR_E(NOT_FOUND) ? missing
                   : event->code == MR_E(DENIED)    ? 40301
                   : event->code == MR_E(CONFLICT)  ? 409
                   : event->code == MR_E(INVALID)   ? 422
                   : event->is_retriable            ? 50003
                                                    : 50002;
}

int
v3_status(const struct v3_record *record)
{
    return record->code == 0       ? 200
           : record->code == 50003 ? 503
           : record->code < 1000   ? record->code
                                   : record->code / 100;
}

static void
put_time(struct mr_buf *body, int64_t time_us)
{
    char text[TIME_BYTES];
    struct tm parts;
    time_t seconds = (time_t)(time_us / 1000000);
    (void)gmtime_r(&seconds, &parts);
    size_t size = strftime(text, sizeof(text), ",\"timestamp\":\"%Y-%m-%dT%H:%M:%S", &parts);
    MR_ASSERT(size > 0);
    mr_buf_put(body, text, size);
    mr_buf_printf(body, ".%03dZ\"", (int)(time_us / 1000 % 1000));
}

static void
put_part(struct mr_buf *body, const char *field, const char *type, size_t bytes)
{
    if (type == NULL)
        return;
    mr_buf_printf(body, ",\"%s\":{\"type\":\"%s\",\"size\":", field, type);
    reply_put_number(body, (int64_t)bytes);
    mr_buf_text(body, "}");
}

static void
put_stored(struct mr_buf *body, const struct v3_receipts *receipts, const struct v3_record *record,
           const struct post *post)
{
    const struct event *event = &post->events[record->event];
    mr_buf_text(body, "\"cluster_id\":");
    mr_buf_json(body, mr_slice_text(receipts->cluster));
    mr_buf_printf(body, ",\"topic_name\":\"%s\",\"partition_id\":", receipts->topic);
    reply_put_number(body, event->partition);
    mr_buf_text(body, ",\"offset\":");
    reply_put_number(body, event->offset);
    put_time(body, post->received_us);
    put_part(body, "key", record->key_type, record->key.size);
    put_part(body, "value", record->value_type, record->value.size);
}

static void
put_fault(struct mr_buf *body, const struct v3_record *record)
{
    char text[MR_ERR_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "%s", record->text);
    reply_clean(text);
    mr_buf_printf(body, "\"error_code\":%d,\"message\":", record->code);
    mr_buf_json(body, mr_slice_text(text));
}

void
v3_put_receipts(struct mr_buf *body, const struct post *post)
{
    const struct v3_receipts *receipts = post->state;
    for (size_t i = 0; i < receipts->count; i++) {
        struct v3_record *record = &receipts->records[i];
        judge(record, post);
        if (record->code != 0) {
            mr_buf_text(body, "{");
            put_fault(body, record);
        } else {
            mr_buf_text(body, "{\"error_code\":200,");
            put_stored(body, receipts, record, post);
        }
        mr_buf_text(body, "}\n");
    }
}

static void
put_entries(struct mr_buf *body, const struct v3_receipts *receipts, const struct post *post,
            bool is_stored)
{
    bool is_first = true;
    for (size_t i = 0; i < receipts->count; i++) {
        const struct v3_record *record = &receipts->records[i];
        if ((record->code == 0) != is_stored)
            continue;
        mr_buf_text(body, is_first ? "{\"id\":" : ",{\"id\":");
        mr_buf_json(body, record->id);
        mr_buf_text(body, ",");
        is_first = false;
        if (is_stored)
            put_stored(body, receipts, record, post);
        else
            put_fault(body, record);
        mr_buf_text(body, "}");
    }
}

static void
put_batch(struct mr_buf *body, const struct post *post)
{
    const struct v3_receipts *receipts = post->state;
    for (size_t i = 0; i < receipts->count; i++)
        judge(&receipts->records[i], post);
    mr_buf_text(body, "{\"successes\":[");
    put_entries(body, receipts, post, true);
    mr_buf_text(body, "],\"failures\":[");
    put_entries(body, receipts, post, false);
    mr_buf_text(body, "]}");
}

void
v3_answer(struct post *post)
{
    const struct v3_receipts *receipts = post->state;
    struct mr_buf body;
    if (receipts->stream != NULL) {
        v3_stream_answered(receipts->stream);
        return;
    }
    mr_buf_init(&body, REPLY_JSON_BYTES_MAX);
    if (receipts->is_batch)
        put_batch(&body, post);
    else
        v3_put_receipts(&body, post);
    MR_ASSERT(!body.failed);
    int status = receipts->is_batch     ? 207
                 : receipts->count == 1 ? v3_status(&receipts->records[0])
                                        : 200;
    reply_json(admit_replies(post->admit), post->request, &rest_v3, status, mr_buf_slice(&body));
    mr_buf_fini(&body);
}

/* ---- the request ---- */

static struct v3_record *
add_record(struct post *post)
{
    struct v3_receipts *receipts = post->state;
    if (receipts->count == receipts->room) {
        size_t room = receipts->room == 0 ? RECORDS_FIRST : 4 * receipts->room;
        struct v3_record *records = mr_arena_alloc(post->arena, room * sizeof(*records));
        if (receipts->count > 0)
            memcpy(records, receipts->records, receipts->count * sizeof(*records));
        receipts->records = records;
        receipts->room = room;
    }
    return &receipts->records[receipts->count++];
}

void
v3_take_record(struct post *post, struct mr_slice json)
{
    const struct v3_receipts *receipts = post->state;
    struct v3_record *record = add_record(post);
    v3_parse_record(json, receipts->is_batch, post->arena, record);
    if (record->code != 0)
        return;
    struct event *event = post_add(post, receipts->topic);
    MR_ASSERT(event != NULL);
    record->event = post->count - 1;
    event->place = receipts->count - 1;
    event->key = record->key;
    event->value = record->value;
    event->partition = record->partition;
}

void
v3_take_fault(struct post *post, int code, const char *format, ...)
{
    char text[FAULT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    *add_record(post) =
        (struct v3_record){ .code = code, .text = mr_arena_copy(post->arena, text, strlen(text)) };
}

/* Where brackets or strings do not close, nobody can tell where the next record begins. */
static void
take_all(struct post *post)
{
    const struct v3_receipts *receipts = post->state;
    struct scan scan;
    struct mr_slice json;
    scan_init(&scan, mr_http_body(post->request));
    while (scan_peek(&scan) != '\0' || scan.at < scan.end) {
        if (receipts->count == POST_EVENTS_MAX) {
            v3_take_fault(post, 413,
                          "this record is one too many for one request, and nothing from here on "
                          "was read");
            return;
        }
        if (!scan_value(&scan, &json)) {
            v3_take_fault(
                post, 400,
                "record %zu is not JSON: %s at byte %zu of the body; nothing from here on "
                "was read",
                receipts->count, scan.fault, (size_t)(scan.at - scan.start));
            return;
        }
        v3_take_record(post, json);
    }
}

/* ---- batches ---- */

/* NULL: the entries can be told apart. */
static const char *
ids_fault(const struct v3_receipts *receipts)
{
    for (size_t i = 0; i < receipts->count; i++) {
        if (receipts->records[i].id.data == NULL)
            return "Batch entry identifier is not a valid string.";
        for (size_t j = 0; j < i; j++)
            if (mr_slice_is(receipts->records[i].id, receipts->records[j].id))
                return "Batch entry identifiers are not distinct.";
    }
    return NULL;
}

static bool
take_entries(struct post *post, struct scan *scan)
{
    struct v3_receipts *receipts = post->state;
    struct mr_slice json;
    if (!scan_enter(scan, '['))
        return false;
    while (scan_item(scan) && scan_value(scan, &json))
        if (receipts->count <= V3_ENTRIES_MAX)
            v3_take_record(post, json);
    return scan->fault == NULL;
}

/* False after a refusal. */
static bool
take_batch(const struct call *call, struct post *post)
{
    struct v3_receipts *receipts = post->state;
    struct scan scan;
    struct mr_slice key, value;
    scan_init(&scan, mr_http_body(post->request));
    if (scan_enter(&scan, '{'))
        while (scan_key(&scan, &key)) {
            bool is_good = mr_slice_is_text(key, "entries") ? take_entries(post, &scan)
                                                            : scan_value(&scan, &value);
            if (!is_good)
                break;
        }
    const char *fault = ids_fault(receipts);
    if (!scan_end(&scan))
        v3_refuse(call, 400,
                  "the body is not {\"entries\":[{\"id\":\"1\",\"value\":{..}}]}: %s at "
                  "byte %zu",
                  scan.fault, (size_t)(scan.at - scan.start));
    else if (receipts->count == 0)
        v3_refuse(call, 42208, "Empty batch.");
    else if (receipts->count > V3_ENTRIES_MAX)
        v3_refuse(call, 42208, "Too many entries in batch; %d at most. /records takes any number",
                  V3_ENTRIES_MAX);
    else if (fault != NULL)
        v3_refuse(call, 42208, "%s", fault);
    else
        return true;
    return false;
}

/* ---- the path ---- */

static void
post_records(const struct call *call, const char *cluster)
{
    if (mr_http_is_stream(call->request)) {
        v3_stream_begin(call, cluster);
        return;
    }
    struct v3_receipts *receipts = mr_arena_alloc(mr_http_arena(call->request), sizeof(*receipts));
    *receipts = (struct v3_receipts){ .cluster = cluster,
                                      .topic = v3_segment(call, V3_TOPIC),
                                      .is_batch = call_segment_is(call, 5, "records:batch") };
    struct post *post = post_new(call, &rest_v3);
    post->state = receipts;
    if (receipts->is_batch) {
        if (!take_batch(call, post))
            return;
    } else {
        take_all(post);
    }
    if (receipts->count == 0)
        v3_refuse(call, 42206,
                  "Payload error. Empty input provided. Data is required; send "
                  "{\"value\":{\"type\":\"JSON\",\"data\":..}}");
    else if (post->count > 0)
        post_admit(post);
    else
        v3_answer(post);
}

static void
tell_cluster(struct v3_question *question)
{
    post_records(&question->call, question->cluster);
}

/* The cluster's id is known but for the first moments. */
void
v3_records(const struct call *call)
{
    const char *cluster = topics_cluster(admit_topics(call->gateway->admit));
    if (!v3_check_media(call))
        return;
    if (cluster != NULL && mr_slice_is_text(call->path.segments[2], cluster))
        post_records(call, cluster);
    else
        v3_ask(v3_question(call), NULL, tell_cluster);
}
