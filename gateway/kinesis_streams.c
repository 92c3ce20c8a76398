/*
 * What a Kinesis client asks about streams: each raw topic of a pipeline is one, under the name
 * that the original pipeline gave it; its partitions are the shards.
 */
#include "gateway/dialects.h"
#include "gateway/kinesis_sequence.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAME_BYTES = MR_TOPIC_MAX + 16, LIMIT_DEFAULT = 100, LIMIT_MAX = 10000 };

struct stream {
    char name[NAME_BYTES];
    const struct mr_topic *topic;
};

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct stream *)a)->name, ((const struct stream *)b)->name);
}

/* All streams, sorted; the caller frees them. */
static struct stream *
all_streams(struct admit *admit, size_t *ret_count)
{
    size_t topics_count, count = 0;
    const struct mr_topic *topics = topics_list(admit_topics(admit), &topics_count);
    struct stream *streams = mr_alloc((topics_count + 1) * sizeof(*streams));
    for (size_t i = 0; i < topics_count; i++) {
        struct mr_topic_name parts;
        if (!mr_topic_parse(topics[i].name, &parts) || parts.role != MR_TOPIC_RAW)
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

/* ?Limit=3 */
static size_t
limit_of(struct mr_http_request *request)
{
    struct mr_slice text = mr_http_param(request, "Limit");
    if (text.size == 0)
        return LIMIT_DEFAULT;
    long limit = strtol(text.data, NULL, 10);
    return limit < 1 ? 1 : limit > LIMIT_MAX ? LIMIT_MAX : (size_t)limit;
}

void
kinesis_list(const struct call *call)
{
    struct admit *admit = call->gateway->admit;
    struct mr_http_request *request = call->request;
    struct mr_slice after = mr_http_param(request, "ExclusiveStartStreamName");
    size_t count, shown = 0, limit = limit_of(request), i = 0;
    MR_CLEANUP(mr_freep) struct stream *streams = all_streams(admit, &count);
    struct mr_buf body;

    mr_buf_init(&body, REPLY_JSON_BYTES_MAX);
    mr_buf_text(&body, "{\"StreamNames\":[");
    while (i < count && after.data != NULL && strcmp(streams[i].name, after.data) <= 0)
        i++;
    for (; i < count && shown < limit; i++, shown++) {
        if (shown > 0)
            mr_buf_text(&body, ",");
        mr_buf_json(&body, mr_slice_text(streams[i].name));
    }
    mr_buf_printf(&body, "],\"HasMoreStreams\":%s}", i < count ? "true" : "false");
    MR_ASSERT(!body.failed);
    reply_json(call->gateway->replies, request, &kinesis, 200, mr_buf_slice(&body));
    mr_buf_fini(&body);
}

static void
put_shard(struct mr_buf *body, int partition, int count)
{
    char shard[SHARD_NAME_BYTES], sequence[SEQUENCE_BYTES];
    char first_text[HASH_KEY_DIGITS + 1], last_text[HASH_KEY_DIGITS + 1];
    hash_key first, last;
    shard_name(partition, shard);
    sequence_format(partition, 0, sequence);
    shard_range(partition, count, &first, &last);
    hash_key_format(first, first_text);
    hash_key_format(last, last_text);
    mr_buf_printf(body,
                  "%s{\"ShardId\":\"%s\",\"HashKeyRange\":{\"StartingHashKey\":\"%s\","
                  "\"EndingHashKey\":\"%s\"},\"SequenceNumberRange\":{"
                  "\"StartingSequenceNumber\":\"%s\"}}",
                  partition > 0 ? "," : "", shard, first_text, last_text, sequence);
}

void
kinesis_describe(const struct call *call, struct mr_slice name)
{
    struct admit *admit = call->gateway->admit;
    struct mr_http_request *request = call->request;
    size_t count;
    struct mr_topic_name parts;
    char topic[MR_TOPIC_MAX + 1] = "";
    const struct mr_topic *topics = topics_list(admit_topics(admit), &count), *found = NULL;
    if (mr_stream_parse(name, &parts))
        mr_topic_format(parts.tenant, parts.kind, MR_TOPIC_RAW, topic);
    for (size_t i = 0; i < count && found == NULL; i++)
        if (strcmp(topics[i].name, topic) == 0)
            found = &topics[i];
    if (found == NULL) {
        reply_fault(call->gateway->replies, request, &kinesis, FAULT_TOPIC,
                    "Stream %.*s not found.", (int)name.size, (const char *)name.data);
        return;
    }
    struct mr_buf body;
    mr_buf_init(&body, REPLY_JSON_BYTES_MAX);
    mr_buf_text(&body, "{\"StreamDescription\":{\"StreamName\":");
    mr_buf_json(&body, name);
    mr_buf_text(&body, ",\"StreamStatus\":\"ACTIVE\",\"HasMoreShards\":false,\"Shards\":[");
    for (int i = 0; i < found->partitions; i++)
        put_shard(&body, i, found->partitions);
    mr_buf_text(&body, "]}}");
    MR_ASSERT(!body.failed);
    reply_json(call->gateway->replies, request, &kinesis, 200, mr_buf_slice(&body));
    mr_buf_fini(&body);
}
