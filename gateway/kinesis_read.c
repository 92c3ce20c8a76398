/*
 * GetShardIterator and GetRecords. An iterator is a token that holds all that it stands for: the
 * stream, the shard and an offset; so it is good at every gateway and after a restart.
 */
#include "gateway/kinesis_native.h"

#include "clock/clock.h"
#include "gateway/fetch.h"
#include "gateway/kinesis_sequence.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ASK_MS_MAX = 5000, ITERATOR_MAX = 512, TIME_BYTES = 48 };

enum iterator { AT_SEQUENCE, AFTER_SEQUENCE, TRIM_HORIZON, LATEST, AT_TIMESTAMP };

static const char *const iterator_names[] = { "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER",
                                              "TRIM_HORIZON",       "LATEST",
                                              "AT_TIMESTAMP",       NULL };

static void
put_iterator(struct form *form, const char *name, struct mr_arena *arena,
             const struct stream *stream, int32_t shard, int64_t offset)
{
    form_text(form, name,
              token_write(arena, 'i', "%d %lld %.*s", (int)shard, (long long)offset,
                          (int)stream->name.size, (const char *)stream->name.data));
}

/* ---- GetShardIterator ---- */

struct search {
    struct errand errand;
    struct back back;
    struct stream stream;
    int32_t shard;
    int64_t time_ms; /* -1: the end */
    int64_t offset;
};

static void
send_iterator(const struct back *back, const struct stream *stream, int32_t shard, int64_t offset)
{
    struct form form;
    back_form(back, &form);
    form_open(&form, NULL, '{');
    put_iterator(&form, "ShardIterator", mr_http_arena(back->request), stream, shard, offset);
    form_close(&form, '}');
    back_send(back, &form);
}

static int
run_search(struct mr_job *job, struct mr_err *err)
{
    struct search *search = (struct search *)job;
    struct mr_offsets offsets = { .topic = search->stream.topic, .partition = search->shard };
    struct mr_bus *bus = search->errand.bus;
    int code = search->time_ms < 0 ? mr_bus_offsets(bus, NULL, &offsets, 1, ASK_MS_MAX, err)
                                   : mr_bus_offset_at(bus, &offsets, search->time_ms,
                                                      &search->offset, ASK_MS_MAX, err);
    if (code == 0 && search->time_ms < 0)
        search->offset = offsets.end;
    return code;
}

static void
finish_search(struct errand *errand)
{
    struct search *search = (struct search *)errand;
    if (errand->job.result == 0)
        send_iterator(&search->back, &search->stream, search->shard, search->offset);
    else
        back_fail_with(&search->back, &errand->job.err);
    free(search);
}

static void
start_search(const struct ask *ask, const struct stream *stream, int32_t shard, int64_t time_ms)
{
    struct search *search = mr_alloc(sizeof(*search));
    struct mr_err err = { 0 };
    *search = (struct search){ .errand = { .job.run = run_search, .finish = finish_search },
                               .back = ask->back,
                               .stream = *stream,
                               .shard = shard,
                               .time_ms = time_ms };
    if (errands_submit(ask->call->gateway->errands, &search->errand, &err) == 0)
        return;
    back_fail(&ask->back, FAULT_BUSY, "%s", err.text);
    free(search);
}

/* The offset that a sequence number stands for; false: it is answered. */
static bool
read_sequence(const struct ask *ask, struct mr_slice text, const struct stream *stream,
              int32_t shard, int64_t *ret)
{
    char asked[SHARD_NAME_BYTES], named[SHARD_NAME_BYTES];
    int32_t partition;
    shard_name(shard, asked);
    if (!sequence_parse(text, &partition, ret)) {
        back_fail(&ask->back, FAULT_ARGUMENT,
                  "StartingSequenceNumber %.*s used in GetShardIterator on shard %s in stream %.*s "
                  "under account " KINESIS_ACCOUNT
                  " is invalid because it did not come from this stream.",
                  (int)text.size, (const char *)text.data, asked, (int)stream->name.size,
                  (const char *)stream->name.data);
        return false;
    }
    if (partition == shard)
        return true;
    shard_name(partition, named);
    back_fail(&ask->back, FAULT_ARGUMENT,
              "Invalid StartingSequenceNumber. It encodes %s, while it was used in a call to a "
              "shard with %s",
              named, asked);
    return false;
}

/* What belongs to the type and what does not; false: it is answered. */
static bool
check_start(const struct ask *ask, enum iterator type, bool has_sequence, int64_t time_ms)
{
    bool wants_sequence = type == AT_SEQUENCE || type == AFTER_SEQUENCE;
    int64_t now_ms = mr_wall_ms();
    if (wants_sequence != has_sequence) {
        back_fail(&ask->back, FAULT_ARGUMENT,
                  "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and "
                  "StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no "
                  "StartingSequenceNumber. Request specified %s and %s StartingSequenceNumber.",
                  iterator_names[type], has_sequence ? "also a" : "no");
        return false;
    }
    if (type == AT_TIMESTAMP && time_ms < 0) {
        back_fail(&ask->back, FAULT_ARGUMENT,
                  "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. "
                  "Current request has no timestamp parameter.");
        return false;
    }
    if (type == AT_TIMESTAMP && time_ms > now_ms) {
        back_fail(&ask->back, FAULT_ARGUMENT,
                  "The timestampInMillis parameter cannot be greater than the "
                  "currentTimestampInMillis. timestampInMillis: %lld, currentTimestampInMillis: "
                  "%lld",
                  (long long)time_ms, (long long)now_ms);
        return false;
    }
    return true;
}

static bool
find_shard(const struct ask *ask, struct mr_slice name, const struct stream *stream, int32_t *ret)
{
    if (shard_parse(name, ret) && *ret < stream->shards)
        return true;
    back_fail(&ask->back, FAULT_TOPIC,
              "Shard %.*s in stream %.*s under account " KINESIS_ACCOUNT " does not exist",
              (int)name.size, (const char *)name.data, (int)stream->name.size,
              (const char *)stream->name.data);
    return false;
}

void
native_get_iterator(struct ask *ask)
{
    static const struct rule shard_rule = { .is_required = true,
                                            .most = NATIVE_STREAM_MAX,
                                            .pattern = PATTERN_NAME };
    static const struct rule sequence_rule = { .pattern = PATTERN_SEQUENCE };
    struct mr_slice name = ask_stream(ask, true);
    struct mr_slice shard_text = ask_text(ask, "ShardId", &shard_rule);
    int type = ask_word(ask, "ShardIteratorType", true, iterator_names);
    struct mr_slice sequence = ask_text(ask, "StartingSequenceNumber", &sequence_rule);
    int64_t time_ms = ask_time(ask, "Timestamp"), offset = 0;
    struct stream stream;
    int32_t shard;
    if (!ask_ok(ask) || !find_stream(ask, name, RIGHT_CONSUME, &stream) ||
        !find_shard(ask, shard_text, &stream, &shard) ||
        !check_start(ask, (enum iterator)type, sequence.data != NULL, time_ms))
        return;
    if (sequence.data != NULL && !read_sequence(ask, sequence, &stream, shard, &offset))
        return;
    if (type == LATEST || type == AT_TIMESTAMP)
        start_search(ask, &stream, shard, type == LATEST ? -1 : time_ms);
    else
        send_iterator(&ask->back, &stream, shard, offset + (type == AFTER_SEQUENCE));
}

/* ---- GetRecords ---- */

struct getting {
    struct fetch fetch;
    struct back back;
    struct stream stream;
};

/* A key that Kinesis would not have taken is shown as "-", a longer one by its beginning. */
static struct mr_slice
shown_key(struct mr_slice key)
{
    const unsigned char *at = key.data;
    size_t size = 0, characters = 0;
    if (key.size == 0 || !mr_utf8_valid(key))
        return MR_SLICE("-");
    for (; size < key.size; size++) {
        characters += (at[size] & 0xc0) != 0x80;
        if (characters > NATIVE_KEY_MAX)
            break;
    }
    return mr_slice(key.data, size);
}

static void
put_record(struct form *form, const struct fetched *record, int32_t shard)
{
    char sequence[SEQUENCE_BYTES];
    sequence_format(shard, record->offset, sequence);
    form_open(form, NULL, '{');
    form_text(form, "SequenceNumber", mr_slice_text(sequence));
    form_time(form, "ApproximateArrivalTimestamp", record->time_ms);
    form_bytes(form, "Data", record->value);
    form_text(form, "PartitionKey", shown_key(record->key));
    form_close(form, '}');
}

/* How old the last record is that was given, while there are more. */
static int64_t
behind_ms(const struct fetch *fetch)
{
    if (fetch->next >= fetch->end)
        return 0;
    int64_t age_ms = fetch->count > 0 ? mr_wall_ms() - fetch->records[fetch->count - 1].time_ms : 1;
    return age_ms > 1 ? age_ms : 1;
}

static void
finish_getting(struct errand *errand)
{
    struct getting *getting = (struct getting *)errand;
    const struct fetch *fetch = &getting->fetch;
    struct form form;
    if (errand->job.result != 0) {
        back_fail_with(&getting->back, &errand->job.err);
    } else {
        back_form(&getting->back, &form);
        form_open(&form, NULL, '{');
        form_open(&form, "Records", '[');
        for (size_t i = 0; i < fetch->count; i++)
            put_record(&form, &fetch->records[i], fetch->partition);
        form_close(&form, ']');
        put_iterator(&form, "NextShardIterator", mr_http_arena(getting->back.request),
                     &getting->stream, fetch->partition, fetch->next);
        form_int(&form, "MillisBehindLatest", behind_ms(fetch));
        form_close(&form, '}');
        back_send(&getting->back, &form);
    }
    fetch_fini(&getting->fetch);
    free(getting);
}

static void
format_time(int64_t time_ms, char ret[TIME_BYTES])
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(ret, TIME_BYTES, "%a %b %d %H:%M:%S UTC %Y", &parts) == 0)
        ret[0] = '\0';
}

/* What the iterator stands for; false: it is answered. */
static bool
read_iterator(const struct ask *ask, struct mr_slice iterator, struct mr_slice *ret_stream,
              int32_t *ret_shard, int64_t *ret_offset)
{
    const char *text;
    char *end = NULL;
    int64_t made_ms, now_ms = mr_wall_ms();
    bool is_good = token_read(mr_http_arena(ask->back.request), 'i', iterator, &text, &made_ms);
    long shard = is_good ? strtol(text, &end, 10) : -1;
    is_good = shard >= 0 && shard < SHARDS_MAX && *end == ' ';
    *ret_offset = is_good ? strtoll(end + 1, &end, 10) : -1;
    if (!is_good || *ret_offset < 0 || *ret_offset == INT64_MAX || *end != ' ') {
        back_fail(&ask->back, FAULT_ARGUMENT, "Invalid ShardIterator.");
        return false;
    }
    *ret_shard = (int32_t)shard;
    *ret_stream = mr_slice_text(end + 1);
    if (now_ms - made_ms <= TOKEN_MS_MAX)
        return true;
    char made[TIME_BYTES], now[TIME_BYTES];
    format_time(made_ms, made);
    format_time(now_ms, now);
    back_fail(&ask->back, FAULT_EXPIRED,
              "Iterator expired. The iterator was created at time %s while right now it is %s "
              "which is further in the future than the tolerated delay of %d milliseconds.",
              made, now, TOKEN_MS_MAX);
    return false;
}

void
native_get_records(struct ask *ask)
{
    static const struct rule iterator_rule = { .is_required = true, .most = ITERATOR_MAX };
    struct mr_slice iterator = ask_text(ask, "ShardIterator", &iterator_rule), name;
    int64_t limit = ask_int(ask, "Limit", 1, NATIVE_LIMIT_MAX, NATIVE_LIMIT_MAX), offset;
    struct stream stream;
    struct mr_err err = { 0 };
    int32_t shard;
    if (!ask_ok(ask) || !read_iterator(ask, iterator, &name, &shard, &offset) ||
        !find_stream(ask, name, RIGHT_CONSUME, &stream))
        return;
    char shard_text[SHARD_NAME_BYTES];
    shard_name(shard, shard_text);
    if (!find_shard(ask, mr_slice_text(shard_text), &stream, &shard))
        return;
    struct getting *getting = mr_alloc(sizeof(*getting));
    *getting = (struct getting){ .fetch = { .errand.finish = finish_getting,
                                            .partition = shard,
                                            .offset = offset,
                                            .count_max = (size_t)limit },
                                 .back = ask->back,
                                 .stream = stream };
    (void)snprintf(getting->fetch.topic, sizeof(getting->fetch.topic), "%s", stream.topic);
    if (fetch_submit(ask->call->gateway->fetches, &getting->fetch, &err) == 0)
        return;
    back_fail(&ask->back, FAULT_BUSY, "%s", err.text);
    fetch_fini(&getting->fetch);
    free(getting);
}
