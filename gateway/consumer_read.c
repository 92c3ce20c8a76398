/*
 * A read takes batches until it has enough. What was polled and does not fit is polled again by the
 * next read: the reader is sent back there.
 */
#include "clock/clock.h"
#include "gateway/consumer_private.h"

#include <jansson.h>

enum {
    BATCH_MAX = 500,
    SLICE_MS = 50,
    ANSWER_BYTES_MAX = 2 * CONSUMER_BYTES_MAX, /* of many small records; one large one may pass */
};

enum taking { TAKING_ALL, TAKING_FULL, TAKING_BROKEN };

struct progress {
    struct consumer *consumer;
    struct reading *reading;
    size_t count;
    int64_t bytes;
    struct mr_err *err; /* why TAKING_BROKEN */
};

static bool
is_json(struct mr_slice text)
{
    json_error_t where;
    json_t *value = json_loadb(text.data, text.size,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &where);
    bool is = value != NULL;
    json_decref(value);
    return is;
}

/* False: it cannot be shown. A key that is only text is shown as such: producers other than the
 * REST proxy's do not write their keys as JSON. */
static bool
put_bytes(struct mr_buf *body, struct mr_slice bytes, bool as_json, bool is_key)
{
    if (bytes.data == NULL) {
        mr_buf_text(body, "null");
    } else if (!as_json) {
        mr_buf_text(body, "\"");
        mr_base64_encode(bytes, body);
        mr_buf_text(body, "\"");
    } else if (is_json(bytes)) {
        mr_buf_put(body, bytes.data, bytes.size);
    } else if (is_key && mr_utf8_valid(bytes)) {
        mr_buf_json(body, bytes);
    } else {
        return false;
    }
    return true;
}

static void
note_topic(struct reading *reading, const char *topic)
{
    for (size_t i = reading->topics_count; i-- > 0;)
        if (strcmp(reading->topics[i], topic) == 0)
            return;
    reading->topics[reading->topics_count++] = mr_arena_copy(reading->arena, topic, strlen(topic));
}

static bool
put_record(const struct progress *progress, const struct mr_record *record)
{
    const struct mr_part *part = &progress->consumer->parts[record->slot];
    struct mr_buf *body = progress->reading->body;
    bool as_json = progress->consumer->options.is_json;
    size_t before = body->size;
    mr_buf_text(body, progress->count > 0 ? ",{\"topic\":" : "{\"topic\":");
    mr_buf_json(body, mr_slice_text(part->topic));
    mr_buf_text(body, ",\"key\":");
    bool is_good = put_bytes(body, record->key, as_json, true);
    mr_buf_text(body, ",\"value\":");
    is_good = is_good && put_bytes(body, record->value, as_json, false);
    mr_buf_printf(body, ",\"partition\":%d,\"offset\":%lld}", (int)part->partition,
                  (long long)record->offset);
    if (is_good && !body->failed)
        return true;
    bool is_large = body->failed;
    body->size = before;
    body->failed = false;
    if (is_large)
        return mr_fail(progress->err, MR_E(TOO_LARGE), MR_REJECT,
                       "Kafka error: the record at offset %lld of topic %s partition %d is too "
                       "large for an answer",
                       (long long)record->offset, part->topic, (int)part->partition) == 0;
    return mr_fail(progress->err, MR_E(CORRUPT), MR_REJECT,
                   "Kafka error: the record at offset %lld of topic %s partition %d is no JSON; "
                   "read it with a consumer of format binary, or POST positions with offset %lld "
                   "to go on behind it",
                   (long long)record->offset, part->topic, (int)part->partition,
                   (long long)record->offset + 1) == 0;
}

static enum taking
take_record(struct progress *progress, const struct mr_record *record)
{
    struct consumer_slot *slot = &progress->consumer->slots[record->slot];
    struct reading *reading = progress->reading;
    int64_t bytes = (int64_t)(record->key.size + record->value.size);
    if (slot->is_internal)
        return TAKING_ALL;
    if (!record->is_end) {
        if (progress->count > 0 && (progress->bytes + bytes > reading->bytes_max ||
                                    reading->body->size > ANSWER_BYTES_MAX))
            return TAKING_FULL;
        if (reading->topics_count == MR_COUNT(reading->topics))
            return TAKING_FULL;
        if (!put_record(progress, record))
            return TAKING_BROKEN;
        note_topic(reading, progress->consumer->parts[record->slot].topic);
        progress->count++;
        progress->bytes += bytes;
    }
    slot->next = record->offset + !record->is_end;
    return TAKING_ALL;
}

/* Sends the reader back to what was polled but not given. */
static void
give_back(struct consumer *consumer, const struct mr_record *records, size_t count)
{
    struct mr_err err = { 0 };
    for (size_t i = 0; i < consumer->parts_count; i++)
        consumer->slots[i].again = MR_NO_OFFSET;
    for (size_t i = 0; i < count; i++)
        if (consumer->slots[records[i].slot].again == MR_NO_OFFSET)
            consumer->slots[records[i].slot].again = records[i].offset;
    for (size_t i = 0; i < consumer->parts_count; i++)
        if (consumer->slots[i].again != MR_NO_OFFSET)
            (void)mr_reader_seek(consumer->reader, (uint32_t)i, consumer->slots[i].again, &err);
    if (err.code != 0) /* or what was not given would be passed over */
        consumer_drop(consumer);
}

static enum taking
take(struct progress *progress, const struct mr_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        enum taking taken = take_record(progress, &batch->records[i]);
        if (taken != TAKING_ALL) {
            give_back(progress->consumer, batch->records + i, batch->count - i);
            return taken;
        }
    }
    return TAKING_ALL;
}

static bool
is_enough(const struct progress *progress)
{
    return progress->count > 0 && progress->bytes >= progress->consumer->options.bytes_min;
}

/* One poll. False: the read is over, and err says when it failed. */
static bool
step(struct progress *progress, int64_t deadline_ms, struct mr_err *err)
{
    struct consumer *consumer = progress->consumer;
    struct mr_batch batch;
    bool is_due = mr_now_ms() >= deadline_ms || atomic_load(progress->reading->waiting) > 1;
    int wait_ms = is_due || is_enough(progress) ? 0 : (int)mr_left_ms(deadline_ms, SLICE_MS);
    int count = mr_reader_poll(consumer->reader, BATCH_MAX, wait_ms, &batch, err);
    if (count < 0) {
        if (err->remedy == MR_FATAL)
            consumer_drop(consumer);
        return false;
    }
    if (batch.event != MR_BUS_RECORDS) {
        consumer_answer(consumer, &batch);
        return !is_due;
    }
    enum taking taken = take(progress, &batch);
    if (taken == TAKING_BROKEN && progress->count == 0)
        *err = *progress->err;
    return taken == TAKING_ALL && consumer->reader != NULL && !is_due &&
           (count > 0 || !is_enough(progress));
}

int
consumer_read(struct consumer *consumer, struct reading *reading, struct mr_err *err)
{
    struct mr_err broken = { 0 };
    struct progress progress = { .consumer = consumer, .reading = reading, .err = &broken };
    int64_t deadline_ms = mr_now_ms() + reading->timeout_ms;
    MR_ASSERT(reading->bytes_max > 0);
    mr_buf_text(reading->body, "[");
    if (consumer_ensure(consumer, err) != 0)
        return err->code;
    if (consumer->reader != NULL) {
        if (consumer->options.auto_commit)
            consumer_commit_soon(consumer);
        consumer_pause(consumer, false);
        while (step(&progress, deadline_ms, err))
            continue;
        consumer->read_ms = mr_now_ms();
    }
    mr_buf_text(reading->body, "]");
    if (err->code != 0 && progress.count > 0)
        *err = (struct mr_err){ 0 }; /* what was taken is given first; the next read tells it */
    return err->code;
}
