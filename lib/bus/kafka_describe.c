/*
 * Questions about one topic: who keeps it, how it is set; and its end. Metadata is asked with the
 * plain call, which names brokers and partitions in one answer and frees nothing that it still
 * uses.
 */
#include <stdlib.h>

#include "bus/kafka_state.h"
#include "clock/clock.h"

/* ---- brokers and partitions ---- */

static int
by_id(const void *a, const void *b)
{
    const struct mr_broker *one = a, *other = b;
    return (one->id > other->id) - (one->id < other->id);
}

static void
put_brokers(const struct rd_kafka_metadata *metadata, struct mr_arena *arena,
            struct mr_description *ret)
{
    size_t count = (size_t)metadata->broker_cnt;
    struct mr_broker *brokers = mr_arena_alloc(arena, (count + 1) * sizeof(*brokers));
    for (size_t i = 0; i < count; i++) {
        const char *host = metadata->brokers[i].host;
        brokers[i] = (struct mr_broker){ .id = metadata->brokers[i].id,
                                         .host = mr_arena_copy(arena, host, strlen(host)),
                                         .port = metadata->brokers[i].port };
    }
    qsort(brokers, count, sizeof(*brokers), by_id);
    ret->brokers = brokers;
    ret->brokers_count = count;
}

/* The broker may list partitions in any order. */
static int
put_partitions(const struct rd_kafka_metadata_topic *topic, struct mr_arena *arena,
               struct mr_description *ret, struct mr_err *err)
{
    size_t count = (size_t)topic->partition_cnt;
    struct mr_partition *partitions = mr_arena_alloc(arena, (count + 1) * sizeof(*partitions));
    memset(partitions, 0, count * sizeof(*partitions));
    for (size_t i = 0; i < count; i++) {
        const struct rd_kafka_metadata_partition *one = &topic->partitions[i];
        if (one->id < 0 || (size_t)one->id >= count || partitions[one->id].replicas != NULL)
            return mr_fail(err, MR_E(INTERNAL), MR_RETRY,
                           "the broker's list of partitions is not from 0 to %zu", count - 1);
        size_t replicas = (size_t)one->replica_cnt, insync = (size_t)one->isr_cnt;
        partitions[one->id] = (struct mr_partition){
            .leader = one->leader,
            .replicas = mr_arena_copy(arena, one->replicas, replicas * sizeof(int32_t)),
            .insync = mr_arena_copy(arena, one->isrs, insync * sizeof(int32_t)),
            .replicas_count = replicas,
            .insync_count = insync,
        };
    }
    ret->partitions = partitions;
    ret->partitions_count = count;
    return 0;
}

/* The topic's metadata, or with NULL only the brokers'. */
static int
ask_metadata(struct kafka_bus *bus, const char *name, const struct rd_kafka_metadata **ret,
             int timeout_ms, struct mr_err *err)
{
    rd_kafka_topic_t *topic = name != NULL ? rd_kafka_topic_new(bus->client.rk, name, NULL) : NULL;
    if (name != NULL && topic == NULL)
        return mr_fail(err, MR_E(INVALID), MR_REJECT, "this is not a topic name");
    rd_kafka_resp_err_t code = rd_kafka_metadata(bus->client.rk, 0, topic, ret, timeout_ms);
    if (topic != NULL)
        rd_kafka_topic_destroy(topic);
    kafka_client_listen(&bus->client);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &bus->client, code, "description");
    kafka_client_well(&bus->client);
    return 0;
}

static int
put_description(struct kafka_bus *bus, const struct rd_kafka_metadata *metadata, bool has_topic,
                struct mr_arena *arena, struct mr_description *ret, struct mr_err *err)
{
    struct mr_description description = { .controller = rd_kafka_controllerid(bus->client.rk, 0) };
    put_brokers(metadata, arena, &description);
    if (has_topic) {
        MR_ASSERT(metadata->topic_cnt == 1);
        rd_kafka_resp_err_t code = metadata->topics[0].err;
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            return kafka_fail(err, &bus->client, code, "description");
        if (put_partitions(&metadata->topics[0], arena, &description, err) < 0)
            return err->code;
    }
    *ret = description;
    return 0;
}

int
kafka_describe_parts(struct mr_bus *handle, const char *topic, struct mr_arena *arena,
                     struct mr_description *ret, int timeout_ms, struct mr_err *err)
{
    struct kafka_bus *bus = (struct kafka_bus *)handle;
    const struct rd_kafka_metadata *metadata;
    if (ask_metadata(bus, topic, &metadata, timeout_ms, err) < 0)
        return err->code;
    int code = put_description(bus, metadata, topic != NULL, arena, ret, err);
    rd_kafka_metadata_destroy(metadata);
    return code;
}

/* ---- settings ---- */

static struct mr_setting
copy_entry(const rd_kafka_ConfigEntry_t *entry, struct mr_arena *arena)
{
    const char *name = rd_kafka_ConfigEntry_name(entry), *value = rd_kafka_ConfigEntry_value(entry);
    return (struct mr_setting){
        .name = mr_arena_copy(arena, name, strlen(name)),
        .value = value != NULL ? mr_arena_copy(arena, value, strlen(value)) : NULL,
        .source = rd_kafka_ConfigSource_name(rd_kafka_ConfigEntry_source(entry)),
        .is_default = rd_kafka_ConfigEntry_is_default(entry) > 0,
        .is_read_only = rd_kafka_ConfigEntry_is_read_only(entry) > 0,
        .is_sensitive = rd_kafka_ConfigEntry_is_sensitive(entry) > 0,
    };
}

static void
put_setting(const rd_kafka_ConfigEntry_t *entry, struct mr_arena *arena, struct mr_setting *ret)
{
    size_t count;
    const rd_kafka_ConfigEntry_t **synonyms = rd_kafka_ConfigEntry_synonyms(entry, &count);
    struct mr_setting *copies = mr_arena_alloc(arena, (count + 1) * sizeof(*copies));
    for (size_t i = 0; i < count; i++)
        copies[i] = copy_entry(synonyms[i], arena);
    *ret = copy_entry(entry, arena);
    ret->synonyms = copies;
    ret->synonyms_count = count;
}

static int
put_settings(struct kafka_bus *bus, const rd_kafka_event_t *event, struct mr_arena *arena,
             struct mr_settings *ret, struct mr_err *err)
{
    size_t count;
    const rd_kafka_ConfigResource_t **all =
        rd_kafka_DescribeConfigs_result_resources(event, &count);
    MR_ASSERT(count == 1);
    rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(all[0]);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &bus->client, code, "cannot be read");
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(all[0], &count);
    ret->all = mr_arena_alloc(arena, (count + 1) * sizeof(*ret->all));
    ret->count = count;
    for (size_t i = 0; i < count; i++)
        put_setting(entries[i], arena, &ret->all[i]);
    return 0;
}

int
kafka_settings(struct mr_bus *handle, const char *topic, struct mr_arena *arena,
               struct mr_settings *ret, int timeout_ms, struct mr_err *err)
{
    struct kafka_bus *bus = (struct kafka_bus *)handle;
    MR_CLEANUP(kafka_options_freep)
    rd_kafka_AdminOptions_t *options =
        kafka_options(bus, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout_ms);
    MR_CLEANUP(kafka_queue_freep) rd_kafka_queue_t *queue = rd_kafka_queue_new(bus->client.rk);
    MR_CLEANUP(kafka_event_freep) rd_kafka_event_t *event = NULL;
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_DescribeConfigs(bus->client.rk, &resource, 1, options, queue);
    rd_kafka_ConfigResource_destroy(resource);
    if (kafka_await(bus, queue, timeout_ms, "settings", &event, err) < 0)
        return err->code;
    return put_settings(bus, event, arena, ret, err);
}

/* ---- delete ---- */

static int
ask_remove(struct kafka_bus *bus, const char *name, int timeout_ms, struct mr_err *err)
{
    MR_CLEANUP(kafka_options_freep)
    rd_kafka_AdminOptions_t *options =
        kafka_options(bus, RD_KAFKA_ADMIN_OP_DELETETOPICS, timeout_ms);
    MR_CLEANUP(kafka_queue_freep) rd_kafka_queue_t *queue = rd_kafka_queue_new(bus->client.rk);
    MR_CLEANUP(kafka_event_freep) rd_kafka_event_t *event = NULL;
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
    size_t count;
    rd_kafka_DeleteTopics(bus->client.rk, &topic, 1, options, queue);
    rd_kafka_DeleteTopic_destroy(topic);
    if (kafka_await(bus, queue, timeout_ms, "deletion", &event, err) < 0)
        return err->code;
    const rd_kafka_topic_result_t **results = rd_kafka_DeleteTopics_result_topics(event, &count);
    MR_ASSERT(count == 1);
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[0]);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &bus->client, code, "cannot be deleted");
    return 0;
}

/* The controller answers before every broker has forgotten the topic. */
int
kafka_remove(struct mr_bus *handle, const char *topic, int timeout_ms, struct mr_err *err)
{
    struct kafka_bus *bus = (struct kafka_bus *)handle;
    int64_t deadline_ms = mr_now_ms() + timeout_ms;
    if (ask_remove(bus, topic, timeout_ms, err) < 0)
        return err->code;
    do {
        const struct rd_kafka_metadata *metadata;
        struct mr_err trouble = { 0 };
        int left_ms = (int)mr_left_ms(deadline_ms, timeout_ms);
        if (ask_metadata(bus, topic, &metadata, left_ms, &trouble) == 0) {
            rd_kafka_resp_err_t code = metadata->topics[0].err;
            rd_kafka_metadata_destroy(metadata);
            if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
                return 0;
        }
        kafka_pause();
    } while (mr_now_ms() < deadline_ms);
    return kafka_fail(err, &bus->client, RD_KAFKA_RESP_ERR__TIMED_OUT, "waiting for its end");
}
