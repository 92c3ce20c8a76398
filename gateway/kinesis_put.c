/*
 * PutRecord and PutRecords. What Data holds is stored byte for byte, under the PartitionKey. A
 * request with anything wrong in it is refused as a whole; what Kafka then does not store is told
 * record by record.
 */
#include "gateway/kinesis_native.h"

#include "gateway/kinesis_sequence.h"
#include "gateway/scan.h"

#include <stdio.h>
#include <stdlib.h>

enum form_of_put { FORM_RECORD, FORM_RECORDS };

struct put {
    struct mr_slice data, key;
    const hash_key *explicit_key; /* or NULL */
};

/* ---- where a record goes ---- */

int32_t
kinesis_place(const struct event *event)
{
    const hash_key *explicit_key = event->hint;
    int shards = event->topic->partitions;
    if (explicit_key != NULL)
        return shard_of(*explicit_key, shards);
    return event->key.data != NULL ? shard_of(hash_key_of(event->key), shards) : -1;
}

/* ---- fields ---- */

static void
read_put(struct ask *ask, struct put *ret)
{
    static const struct rule key_rule = { .is_required = true, .most = NATIVE_KEY_MAX };
    static const struct rule hash_rule = { .pattern = PATTERN_HASH_KEY };
    static const struct rule sequence_rule = { .pattern = PATTERN_SEQUENCE };
    *ret = (struct put){ .data = ask_bytes(ask, "Data", NATIVE_RECORD_BYTES_MAX),
                         .key = ask_text(ask, "PartitionKey", &key_rule) };
    (void)ask_text(ask, "SequenceNumberForOrdering", &sequence_rule); /* numbers grow anyway */
    struct mr_slice text = ask_text(ask, "ExplicitHashKey", &hash_rule);
    if (text.data == NULL)
        return;
    hash_key *key = mr_arena_alloc(mr_http_arena(ask->back.request), sizeof(*key));
    if (hash_key_parse(text, key))
        ret->explicit_key = key;
}

/* Bodies that are meant for another place; false: it is answered. */
static bool
check_envelope(const struct ask *ask, bool is_list)
{
    const char *text = NULL;
    if (doc_get(ask->map, "records") != NULL || doc_get(ask->map, "value") != NULL)
        text = "this is a REST proxy body; POST it to /topics/<tenant>.<kind>, or send "
               "{\"StreamName\",\"Data\",\"PartitionKey\"}";
    else if (!is_list && doc_get(ask->map, "Records") != NULL)
        text = "these are the Records of PutRecords, but X-Amz-Target says PutRecord";
    else if (is_list && doc_get(ask->map, "Data") != NULL)
        text = "this is the record of a PutRecord, but X-Amz-Target says PutRecords";
    if (text != NULL)
        back_fail(&ask->back, FAULT_ENVELOPE, "%s", text);
    return text == NULL;
}

/* What no rule of a single field says; false: it is answered. */
static bool
check_put(struct ask *ask, const struct put *put)
{
    const struct doc *explicit_key = doc_get(ask->map, "ExplicitHashKey");
    if (explicit_key != NULL && put->explicit_key == NULL) {
        back_fail(&ask->back, FAULT_ARGUMENT,
                  "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. "
                  "Specified value was %.*s",
                  (int)explicit_key->text.size, (const char *)explicit_key->text.data);
        return false;
    }
    if (kinesis_is_coded_json(put->data, mr_http_arena(ask->back.request))) {
        back_fail(&ask->back, FAULT_ARGUMENT,
                  "%sData is base64 twice: decoded once it is still base64 of JSON. Encode the "
                  "event's JSON once; an SDK does it by itself, give it the JSON",
                  ask->place);
        return false;
    }
    return true;
}

static bool
add_event(struct ask *ask, struct post *post, struct mr_slice stream, const struct put *put)
{
    const char *topic = kinesis_topic_of(ask->call, stream, put->key);
    if (topic == NULL) {
        back_fail(&ask->back, FAULT_TOPIC,
                  "Stream %.*s under account " KINESIS_ACCOUNT
                  " not found; streams are named streaming-<tenant>-<kind>",
                  (int)stream.size, (const char *)stream.data);
        return false;
    }
    struct event *event = post_add(post, topic);
    MR_ASSERT(event != NULL);
    event->key = put->key;
    event->value = put->data;
    event->hint = put->explicit_key;
    return true;
}

void
native_put_record(struct ask *ask)
{
    struct put put;
    if (!check_envelope(ask, false))
        return;
    struct mr_slice stream = ask_stream(ask, true);
    read_put(ask, &put);
    if (!ask_ok(ask) || !check_put(ask, &put))
        return;
    struct post *post = post_new(ask->call, ask->back.dialect);
    post->form = FORM_RECORD;
    if (add_event(ask, post, stream, &put))
        post_admit(post);
}

/* The list of records, within its bounds; NULL: that is noted. */
static const struct doc *
get_records(struct ask *ask)
{
    const struct doc *records = doc_get(ask->map, "Records");
    char shown[32];
    if (records == NULL) {
        ask_violate(ask, "Records", mr_slice(NULL, 0), "Member must not be null");
        return NULL;
    }
    if (records->type != DOC_LIST) {
        ask_mismatch(ask, "Records", "is no list; one record alone goes with PutRecord");
        return NULL;
    }
    (void)snprintf(shown, sizeof(shown), "[%zu records]", records->count);
    if (records->count < 1)
        ask_violate(ask, "Records", mr_slice_text(shown),
                    "Member must have length greater than or equal to 1");
    else if (records->count > NATIVE_RECORDS_MAX)
        ask_violate(ask, "Records", mr_slice_text(shown),
                    "Member must have length less than or equal to %d", NATIVE_RECORDS_MAX);
    else
        return records;
    return NULL;
}

/* Reads from now on from the i-th record. */
static void
enter_record(struct ask *ask, const struct doc *record, size_t i)
{
    static const struct doc nothing = { .type = DOC_MAP };
    ask->map = record;
    (void)snprintf(ask->place, sizeof(ask->place), "records.%zu.member.", i + 1);
    if (record->type == DOC_MAP)
        return;
    ask_mismatch(ask, "", "is no object with Data and PartitionKey");
    ask->map = &nothing;
}

static struct put *
read_puts(struct ask *ask, const struct doc *records)
{
    struct put *puts =
        mr_arena_alloc(mr_http_arena(ask->back.request), records->count * sizeof(*puts));
    size_t i = 0;
    for (const struct doc *record = records->first; record != NULL; record = record->next, i++) {
        enter_record(ask, record, i);
        read_put(ask, &puts[i]);
    }
    return puts;
}

static bool
check_puts(struct ask *ask, const struct doc *records, const struct put *puts)
{
    size_t i = 0, bytes = 0;
    for (i = 0; i < records->count; i++)
        bytes += puts[i].data.size + puts[i].key.size;
    if (bytes > NATIVE_BYTES_MAX) {
        back_fail(&ask->back, FAULT_ARGUMENT, "Records size exceeds 5 MB limit");
        return false;
    }
    i = 0;
    for (const struct doc *record = records->first; record != NULL; record = record->next, i++) {
        enter_record(ask, record, i);
        if (!check_put(ask, &puts[i]))
            return false;
    }
    return true;
}

void
native_put_records(struct ask *ask)
{
    if (!check_envelope(ask, true))
        return;
    struct mr_slice stream = ask_stream(ask, true);
    const struct doc *records = get_records(ask);
    const struct put *puts = records != NULL ? read_puts(ask, records) : NULL;
    if (!ask_ok(ask) || !check_puts(ask, records, puts))
        return;
    struct post *post = post_new(ask->call, ask->back.dialect);
    post->form = FORM_RECORDS;
    post->is_partial = true;
    for (size_t i = 0; i < records->count; i++)
        if (!add_event(ask, post, stream, &puts[i]))
            return;
    post_admit(post);
}

/* ---- answers ---- */

static void
put_receipt(struct form *form, const struct event *event)
{
    char shard[SHARD_NAME_BYTES], sequence[SEQUENCE_BYTES];
    if (event->code != 0) {
        form_text(form, "ErrorCode",
                  event->code == MR_E(FULL) ? MR_SLICE("ProvisionedThroughputExceededException")
                  : event->code == MR_E(INVALID) ? MR_SLICE("InvalidArgumentException")
                                                 : MR_SLICE("InternalFailure"));
        form_text(form, "ErrorMessage", mr_slice_text(event->text));
        return;
    }
    shard_name(event->partition, shard);
    sequence_format(event->partition, event->offset, sequence);
    form_text(form, "ShardId", mr_slice_text(shard));
    form_text(form, "SequenceNumber", mr_slice_text(sequence));
}

static enum fault
fault_of(const struct event *event)
{
    switch (event->code) {
    case MR_E(FULL):
        return FAULT_BUSY;
    case MR_E(TOO_LARGE):
        return FAULT_ARGUMENT;
    default:
        return event->is_retriable ? FAULT_DOWN : FAULT_KAFKA;
    }
}

/* With nothing stored it is the request that failed: SDKs try that again by themselves. */
void
kinesis_put_answer(struct post *post)
{
    const struct back back = { admit_replies(post->admit), post->request, post->dialect };
    int status;
    struct form form;
    size_t failed = post_failed(post, &status);
    if (failed == post->count && status != 200) {
        back_fail(&back, fault_of(&post->events[0]), "%s", post->events[0].text);
        return;
    }
    back_form(&back, &form);
    form_open(&form, NULL, '{');
    if (post->form == FORM_RECORD) {
        put_receipt(&form, &post->events[0]);
    } else {
        form_int(&form, "FailedRecordCount", (int64_t)failed);
        form_open(&form, "Records", '[');
        for (size_t i = 0; i < post->count; i++) {
            form_open(&form, NULL, '{');
            put_receipt(&form, &post->events[i]);
            form_close(&form, '}');
        }
        form_close(&form, ']');
    }
    form_close(&form, '}');
    back_send(&back, &form);
}
