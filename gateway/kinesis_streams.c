/*
 * What a Kinesis client asks about streams: each raw topic of a pipeline is one, under the name
 * that the original pipeline gave it; its partitions are the shards, which are never split.
 *
 * Kafka does not know when a topic was made: StreamCreationTimestamp is 0 everywhere.
 */
#include "gateway/kinesis_native.h"

#include "clock/clock.h"
#include "gateway/kinesis_sequence.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    NAME_BYTES = MR_TOPIC_MAX + 16,
    STREAMS_DEFAULT = 100,
    SHARDS_DEFAULT = 100, /* of DescribeStream */
    SHARDS_LISTED_DEFAULT = 1000,
    SETTING_MS_MAX = 5000,
    HOURS_DEFAULT = 168, /* Kafka's own */
    HOURS_MAX = 8760,
    RIGHTS_SEEING = RIGHT_PRODUCE | RIGHT_CONSUME | RIGHT_ADMIN,
};

static const int64_t hour_ms = 3600000;

/* ---- all streams ---- */

struct listed {
    char name[NAME_BYTES];
    const struct mr_topic *topic;
};

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct listed *)a)->name, ((const struct listed *)b)->name);
}

static bool
may_see(const struct principal *who, const char *topic)
{
    return guard_may(who, RIGHT_CONSUME, topic) || guard_may(who, RIGHT_PRODUCE, topic) ||
           guard_may(who, RIGHT_ADMIN, topic);
}

/* What the caller may see, sorted; the caller frees it. */
static struct listed *
all_streams(const struct call *call, size_t *ret_count)
{
    size_t topics_count, count = 0;
    const struct mr_topic *topics = topics_list(admit_topics(call->gateway->admit), &topics_count);
    struct listed *streams = mr_alloc((topics_count + 1) * sizeof(*streams));
    for (size_t i = 0; i < topics_count; i++) {
        struct mr_topic_name parts;
        if (!mr_topic_parse(topics[i].name, &parts) || parts.role != MR_TOPIC_RAW ||
            !may_see(call->who, topics[i].name))
            continue;
        streams[count].topic = &topics[i];
        (void)snprintf(streams[count].name, NAME_BYTES, "streaming-%s-%s", parts.tenant,
                       parts.kind);
        count++;
    }
    qsort(streams, count, sizeof(*streams), by_name);
    *ret_count = count;
    return streams;
}

static void
put_mode(struct form *form)
{
    form_open(form, "StreamModeDetails", '{');
    form_text(form, "StreamMode", MR_SLICE("PROVISIONED"));
    form_close(form, '}');
}

/* What stands in every description. */
static void
put_stream(struct form *form, struct mr_slice name)
{
    form_text(form, "StreamName", name);
    put_arn(form, name);
    form_text(form, "StreamStatus", MR_SLICE("ACTIVE"));
    put_mode(form);
    form_time(form, "StreamCreationTimestamp", 0);
}

static void
put_list(struct form *form, struct mr_arena *arena, const struct listed *streams, size_t count,
         bool has_more)
{
    form_open(form, NULL, '{');
    form_open(form, "StreamNames", '[');
    for (size_t i = 0; i < count; i++)
        form_text(form, NULL, mr_slice_text(streams[i].name));
    form_close(form, ']');
    form_bool(form, "HasMoreStreams", has_more);
    form_open(form, "StreamSummaries", '[');
    for (size_t i = 0; i < count; i++) {
        form_open(form, NULL, '{');
        put_stream(form, mr_slice_text(streams[i].name));
        form_close(form, '}');
    }
    form_close(form, ']');
    if (has_more)
        form_text(form, "NextToken", token_write(arena, 's', "%s", streams[count - 1].name));
    form_close(form, '}');
}

/* What a token is about; false: it is answered. */
static bool
read_token(const struct ask *ask, char letter, struct mr_slice token, const char **ret)
{
    int64_t made_ms;
    if (!token_read(mr_http_arena(ask->back.request), letter, token, ret, &made_ms)) {
        back_fail(&ask->back, FAULT_ARGUMENT, "NextToken is invalid: it was not given by %s",
                  ask->operation);
        return false;
    }
    if (mr_wall_ms() - made_ms <= TOKEN_MS_MAX)
        return true;
    back_fail(&ask->back, FAULT_EXPIRED_TOKEN, "NextToken is older than %d seconds; list anew",
              TOKEN_MS_MAX / 1000);
    return false;
}

void
native_list_streams(struct ask *ask)
{
    static const struct rule name_rule = { .most = NATIVE_STREAM_MAX, .pattern = PATTERN_NAME };
    static const struct rule token_rule = { 0 };
    struct mr_arena *arena = mr_http_arena(ask->back.request);
    struct mr_slice start = ask_text(ask, "ExclusiveStartStreamName", &name_rule);
    struct mr_slice token = ask_text(ask, "NextToken", &token_rule);
    size_t limit = (size_t)ask_int(ask, "Limit", 1, NATIVE_LIMIT_MAX, STREAMS_DEFAULT);
    size_t count, first = 0;
    struct form form;
    const char *after = start.data != NULL ? mr_arena_copy(arena, start.data, start.size) : NULL;
    if (!ask_ok(ask) || (token.data != NULL && !read_token(ask, 's', token, &after)))
        return;
    if (topics_list(admit_topics(ask->call->gateway->admit), &count) == NULL) {
        back_fail(&ask->back, FAULT_DOWN, "Kafka has not answered yet; try again");
        return;
    }
    MR_CLEANUP(mr_freep) struct listed *streams = all_streams(ask->call, &count);
    while (after != NULL && first < count && strcmp(streams[first].name, after) <= 0)
        first++;
    size_t shown = count - first < limit ? count - first : limit;
    back_form(&ask->back, &form);
    put_list(&form, arena, streams + first, shown, first + shown < count);
    back_send(&ask->back, &form);
}

void
native_list_tags(struct ask *ask)
{
    struct mr_slice name = ask_stream(ask, true);
    struct stream stream;
    struct form form;
    if (!ask_ok(ask) || !find_stream(ask, name, RIGHTS_SEEING, &stream))
        return;
    back_form(&ask->back, &form);
    form_open(&form, NULL, '{');
    form_open(&form, "Tags", '[');
    form_close(&form, ']');
    form_bool(&form, "HasMoreTags", false);
    form_close(&form, '}');
    back_send(&ask->back, &form);
}

/* ---- shards ---- */

static void
put_shard(struct form *form, int32_t partition, int shards)
{
    char shard[SHARD_NAME_BYTES], sequence[SEQUENCE_BYTES], text[HASH_KEY_DIGITS + 1];
    hash_key first, last;
    shard_name(partition, shard);
    sequence_format(partition, 0, sequence);
    shard_range(partition, shards, &first, &last);
    form_open(form, NULL, '{');
    form_text(form, "ShardId", mr_slice_text(shard));
    form_open(form, "HashKeyRange", '{');
    hash_key_format(first, text);
    form_text(form, "StartingHashKey", mr_slice_text(text));
    hash_key_format(last, text);
    form_text(form, "EndingHashKey", mr_slice_text(text));
    form_close(form, '}');
    form_open(form, "SequenceNumberRange", '{');
    form_text(form, "StartingSequenceNumber", mr_slice_text(sequence));
    form_close(form, '}');
    form_close(form, '}');
}

/* Shards of the stream from first on, at most limit; the first one not shown. */
static int32_t
put_shards(struct form *form, int shards, int64_t first, int64_t limit)
{
    int64_t end = first + limit < shards ? first + limit : shards;
    form_open(form, "Shards", '[');
    for (int64_t i = first; i < end; i++)
        put_shard(form, (int32_t)i, shards);
    form_close(form, ']');
    return (int32_t)end;
}

/* The shard behind the one that the field names, 0 without it. */
static int64_t
shard_after(struct ask *ask, const char *field)
{
    static const struct rule rule = { .most = NATIVE_STREAM_MAX, .pattern = PATTERN_NAME };
    struct mr_slice name = ask_text(ask, field, &rule);
    int32_t shard;
    if (name.data == NULL)
        return 0;
    if (shard_parse(name, &shard))
        return (int64_t)shard + 1;
    if (ask->violations_count == 0)
        ask_violate(ask, field, name,
                    "Member must satisfy regular expression pattern: shardId-\\d{12}");
    return 0;
}

/* ShardFilter: of shards that are never split or closed all are open at any time. */
static int64_t
filtered_first(struct ask *ask)
{
    static const char *const types[] = { "AFTER_SHARD_ID",
                                         "AT_TRIM_HORIZON",
                                         "FROM_TRIM_HORIZON",
                                         "AT_LATEST",
                                         "AT_TIMESTAMP",
                                         "FROM_TIMESTAMP",
                                         NULL };
    const struct doc *whole = ask->map, *filter = doc_get(whole, "ShardFilter");
    int64_t first = 0;
    if (filter == NULL)
        return 0;
    if (filter->type != DOC_MAP) {
        ask_mismatch(ask, "ShardFilter", "is no object");
        return 0;
    }
    ask->map = filter;
    (void)snprintf(ask->place, sizeof(ask->place), "shardFilter.");
    int type = ask_word(ask, "Type", true, types);
    if (type == 0 && doc_get(filter, "ShardId") == NULL)
        ask_violate(ask, "ShardId", mr_slice(NULL, 0), "Member must not be null");
    if (type == 0)
        first = shard_after(ask, "ShardId");
    if (type >= 4 && ask_time(ask, "Timestamp") < 0)
        ask_violate(ask, "Timestamp", mr_slice(NULL, 0), "Member must not be null");
    ask->map = whole;
    ask->place[0] = '\0';
    return first;
}

/* Where the list goes on; false: it is answered. */
static bool
follow_token(const struct ask *ask, struct mr_slice token, struct mr_slice *ret_name,
             int64_t *ret_first)
{
    const char *text;
    char *end;
    if (ret_name->data != NULL) {
        back_fail(&ask->back, FAULT_ARGUMENT,
                  "NextToken and StreamName cannot be provided together.");
        return false;
    }
    if (!read_token(ask, 'h', token, &text))
        return false;
    *ret_first = strtoll(text, &end, 10);
    if (*end != ' ' || *ret_first < 0 || *ret_first > SHARDS_MAX) {
        back_fail(&ask->back, FAULT_ARGUMENT, "NextToken is invalid");
        return false;
    }
    *ret_name = mr_slice_text(end + 1);
    return true;
}

void
native_list_shards(struct ask *ask)
{
    static const struct rule token_rule = { 0 };
    struct mr_slice name = ask_stream(ask, false);
    struct mr_slice token = ask_text(ask, "NextToken", &token_rule);
    int64_t first = shard_after(ask, "ExclusiveStartShardId"), filtered = filtered_first(ask);
    int64_t limit = ask_int(ask, "MaxResults", 1, NATIVE_LIMIT_MAX, SHARDS_LISTED_DEFAULT);
    struct stream stream;
    struct form form;
    (void)ask_time(ask, "StreamCreationTimestamp"); /* there is only one stream of a name */
    first = filtered > first ? filtered : first;
    if (!ask_ok(ask) || (token.data != NULL && !follow_token(ask, token, &name, &first)))
        return;
    if (name.data == NULL) {
        back_fail(&ask->back, FAULT_ARGUMENT, "Either NextToken or StreamName should be provided.");
        return;
    }
    if (!find_stream(ask, name, RIGHTS_SEEING, &stream))
        return;
    back_form(&ask->back, &form);
    form_open(&form, NULL, '{');
    int32_t next = put_shards(&form, stream.shards, first, limit);
    if (next < stream.shards)
        form_text(&form, "NextToken",
                  token_write(mr_http_arena(ask->back.request), 'h', "%d %.*s", (int)next,
                              (int)name.size, (const char *)name.data));
    form_close(&form, '}');
    back_send(&ask->back, &form);
}

/* ---- one stream ---- */

struct description {
    struct errand errand;
    struct back back;
    struct stream stream;
    bool is_summary;
    int64_t first, limit; /* shards */
    int64_t hours;
};

static int
run_description(struct mr_job *job, struct mr_err *err)
{
    struct description *description = (struct description *)job;
    char text[32];
    if (mr_bus_setting(description->errand.bus, description->stream.topic, "retention.ms", text,
                       sizeof(text), SETTING_MS_MAX, err) != 0) {
        if (err->code != MR_E(NOT_FOUND))
            return err->code;
        description->hours = HOURS_DEFAULT;
        return 0;
    }
    int64_t hours = strtoll(text, NULL, 10) / hour_ms;
    description->hours = text[0] == '-' || hours > HOURS_MAX ? HOURS_MAX : hours;
    return 0;
}

static void
put_description(struct form *form, const struct description *description)
{
    const struct stream *stream = &description->stream;
    form_open(form, NULL, '{');
    form_open(form, description->is_summary ? "StreamDescriptionSummary" : "StreamDescription",
              '{');
    put_stream(form, stream->name);
    form_int(form, "RetentionPeriodHours", description->hours);
    form_open(form, "EnhancedMonitoring", '[');
    form_open(form, NULL, '{');
    form_open(form, "ShardLevelMetrics", '[');
    form_close(form, ']');
    form_close(form, '}');
    form_close(form, ']');
    form_text(form, "EncryptionType", MR_SLICE("NONE"));
    if (description->is_summary) {
        form_int(form, "OpenShardCount", stream->shards);
        form_int(form, "ConsumerCount", 0);
    } else {
        int32_t next = put_shards(form, stream->shards, description->first, description->limit);
        form_bool(form, "HasMoreShards", next < stream->shards);
    }
    form_close(form, '}');
    form_close(form, '}');
}

static void
finish_description(struct errand *errand)
{
    struct description *description = (struct description *)errand;
    struct form form;
    if (errand->job.result != 0) {
        back_fail_with(&description->back, &errand->job.err);
    } else {
        back_form(&description->back, &form);
        put_description(&form, description);
        back_send(&description->back, &form);
    }
    free(description);
}

static void
describe(struct ask *ask, bool is_summary)
{
    struct mr_slice name = ask_stream(ask, true);
    struct description *description = mr_alloc(sizeof(*description));
    struct mr_err err = { 0 };
    *description = (struct description){
        .errand = { .job.run = run_description, .finish = finish_description },
        .back = ask->back,
        .is_summary = is_summary,
        .first = shard_after(ask, "ExclusiveStartShardId"),
        .limit = ask_int(ask, "Limit", 1, NATIVE_LIMIT_MAX, SHARDS_DEFAULT),
    };
    if (!ask_ok(ask) || !find_stream(ask, name, RIGHTS_SEEING, &description->stream)) {
        free(description);
    } else if (errands_submit(ask->call->gateway->errands, &description->errand, &err) != 0) {
        back_fail(&ask->back, FAULT_BUSY, "%s", err.text);
        free(description);
    }
}

void
native_describe(struct ask *ask)
{
    describe(ask, false);
}

void
native_summarize(struct ask *ask)
{
    describe(ask, true);
}
