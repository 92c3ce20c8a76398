/*
 * Questions to the cluster about topics, through one client of their own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bus/kafka_state.h"
#include "clock/clock.h"

enum { ASK_TOPIC_MS = 5000, LATE_MS = 200 };

/* ---- asking ---- */

void
kafka_event_freep(rd_kafka_event_t **event)
{
    if (*event != NULL)
        rd_kafka_event_destroy(*event);
    *event = NULL;
}

void
kafka_queue_freep(rd_kafka_queue_t **queue)
{
    if (*queue != NULL)
        rd_kafka_queue_destroy(*queue);
    *queue = NULL;
}

void
kafka_options_freep(rd_kafka_AdminOptions_t **options)
{
    if (*options != NULL)
        rd_kafka_AdminOptions_destroy(*options);
    *options = NULL;
}

void
kafka_list_freep(rd_kafka_topic_partition_list_t **list)
{
    if (*list != NULL)
        rd_kafka_topic_partition_list_destroy(*list);
    *list = NULL;
}

void
kafka_pause(void)
{
    (void)nanosleep(&(struct timespec){ .tv_nsec = KAFKA_LOOK_AGAIN_MS * 1000000 }, NULL);
}

rd_kafka_AdminOptions_t *
kafka_options(struct kafka_bus *bus, rd_kafka_admin_op_t operation, int timeout_ms)
{
    char text[128];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(bus->client.rk, operation);
    int most_ms = timeout_ms > 0 ? timeout_ms : 1;
    MR_ASSERT(options != NULL);
    MR_ASSERT(rd_kafka_AdminOptions_set_request_timeout(options, most_ms, text, sizeof(text)) ==
              RD_KAFKA_RESP_ERR_NO_ERROR);
    return options;
}

int
kafka_await(struct kafka_bus *bus, rd_kafka_queue_t *queue, int timeout_ms, const char *what,
            rd_kafka_event_t **ret, struct mr_err *err)
{
    /* The request has its own timeout; a little more lets its text come. */
    MR_CLEANUP(kafka_event_freep)
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + LATE_MS);
    kafka_client_listen(&bus->client);
    if (event == NULL)
        return kafka_fail(err, &bus->client, RD_KAFKA_RESP_ERR__TIMED_OUT, "%s", what);
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &bus->client, code, "%s", what);
    kafka_client_well(&bus->client);
    *ret = MR_TAKE(event);
    return 0;
}

static int
cluster_id(struct mr_bus *handle, const char **ret, int timeout_ms, struct mr_err *err)
{
    struct kafka_bus *bus = (struct kafka_bus *)handle;
    if (bus->cluster_id == NULL) {
        char *id = rd_kafka_clusterid(bus->client.rk, timeout_ms);
        kafka_client_listen(&bus->client);
        if (id == NULL)
            return kafka_fail(err, &bus->client, RD_KAFKA_RESP_ERR__TIMED_OUT, "broker %s",
                              bus->bootstrap);
        bus->cluster_id = mr_strdup(id);
        rd_kafka_mem_free(bus->client.rk, id);
    }
    *ret = bus->cluster_id;
    return 0;
}

/* ---- topics ---- */

/* Names of all topics, as far as the broker lets us see them. */
static int
list_names(struct kafka_bus *bus, int timeout_ms, const struct rd_kafka_metadata **ret,
           struct mr_err *err)
{
    rd_kafka_resp_err_t code = rd_kafka_metadata(bus->client.rk, 1, NULL, ret, timeout_ms);
    kafka_client_listen(&bus->client);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &bus->client, code, "list of topics");
    kafka_client_well(&bus->client);
    return 0;
}

void
kafka_describe(struct kafka_bus *bus, const char **names, size_t count, int timeout_ms,
               rd_kafka_queue_t *queue)
{
    MR_CLEANUP(kafka_options_freep)
    rd_kafka_AdminOptions_t *options =
        kafka_options(bus, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout_ms);
    rd_kafka_TopicCollection_t *topics = rd_kafka_TopicCollection_of_topic_names(names, count);
    rd_kafka_DescribeTopics(bus->client.rk, topics, options, queue);
    rd_kafka_TopicCollection_destroy(topics);
}

void
kafka_topic_id(const rd_kafka_TopicDescription_t *topic, uint8_t ret[MR_TOPIC_ID_BYTES])
{
    const rd_kafka_Uuid_t *id = rd_kafka_TopicDescription_topic_id(topic);
    uint64_t halves[2] = { (uint64_t)rd_kafka_Uuid_most_significant_bits(id),
                           (uint64_t)rd_kafka_Uuid_least_significant_bits(id) };
    for (size_t i = 0; i < MR_TOPIC_ID_BYTES; i++)
        ret[i] = (uint8_t)(halves[i / 8] >> (56 - 8 * (i % 8)));
}

static void
put_topic(const rd_kafka_TopicDescription_t *topic, struct mr_topic *ret)
{
    size_t count, replicas = 0;
    const rd_kafka_TopicPartitionInfo_t **partitions =
        rd_kafka_TopicDescription_partitions(topic, &count);
    if (count > 0)
        (void)rd_kafka_TopicPartitionInfo_replicas(partitions[0], &replicas);
    *ret = (struct mr_topic){ .partitions = (int)count, .replicas = (int)replicas };
    (void)snprintf(ret->name, sizeof(ret->name), "%s", rd_kafka_TopicDescription_name(topic));
    kafka_topic_id(topic, ret->id);
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct mr_topic *)a)->name, ((const struct mr_topic *)b)->name);
}

static int
describe_all(struct kafka_bus *bus, const struct rd_kafka_metadata *metadata, int timeout_ms,
             rd_kafka_event_t **ret, struct mr_err *err)
{
    MR_CLEANUP(mr_freep)
    const char **names = mr_alloc((size_t)metadata->topic_cnt * sizeof(*names));
    MR_CLEANUP(kafka_queue_freep) rd_kafka_queue_t *queue = rd_kafka_queue_new(bus->client.rk);
    for (int i = 0; i < metadata->topic_cnt; i++)
        names[i] = metadata->topics[i].topic;
    kafka_describe(bus, names, (size_t)metadata->topic_cnt, timeout_ms, queue);
    return kafka_await(bus, queue, timeout_ms, "description of topics", ret, err);
}

static int
topics(struct mr_bus *handle, struct mr_topic **ret, size_t *ret_count, int timeout_ms,
       struct mr_err *err)
{
    struct kafka_bus *bus = (struct kafka_bus *)handle;
    int64_t deadline_ms = mr_now_ms() + timeout_ms;
    MR_CLEANUP(kafka_event_freep) rd_kafka_event_t *event = NULL;
    const struct rd_kafka_metadata *metadata;
    size_t count = 0, kept = 0;
    const rd_kafka_TopicDescription_t **described = NULL;
    if (list_names(bus, timeout_ms, &metadata, err) < 0)
        return err->code;
    int failed = 0;
    if (metadata->topic_cnt > 0)
        failed = describe_all(bus, metadata, (int)mr_left_ms(deadline_ms, timeout_ms), &event, err);
    rd_kafka_metadata_destroy(metadata);
    if (failed < 0)
        return err->code;
    if (event != NULL)
        described = rd_kafka_DescribeTopics_result_topics(event, &count);
    struct mr_topic *all = mr_alloc((count + 1) * sizeof(*all));
    /* One that was deleted between the two questions has an error: it is not there. */
    for (size_t i = 0; i < count; i++)
        if (!rd_kafka_TopicDescription_is_internal(described[i]) &&
            rd_kafka_error_code(rd_kafka_TopicDescription_error(described[i])) ==
                RD_KAFKA_RESP_ERR_NO_ERROR)
            put_topic(described[i], &all[kept++]);
    qsort(all, kept, sizeof(*all), by_name);
    *ret = all;
    *ret_count = kept;
    return 0;
}

static int
check_created(struct kafka_bus *bus, const rd_kafka_event_t *event, struct mr_err *err)
{
    size_t count;
    const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(event, &count);
    MR_ASSERT(count == 1);
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[0]);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return 0;
    const char *why = rd_kafka_topic_result_error_string(results[0]);
    return kafka_fail(err, &bus->client, code, "cannot be made (%s)", why != NULL ? why : "");
}

static int
ask_create(struct kafka_bus *bus, const struct mr_topic_spec *spec, int timeout_ms,
           struct mr_err *err)
{
    char text[256];
    MR_CLEANUP(kafka_options_freep)
    rd_kafka_AdminOptions_t *options =
        kafka_options(bus, RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout_ms);
    MR_CLEANUP(kafka_queue_freep) rd_kafka_queue_t *queue = rd_kafka_queue_new(bus->client.rk);
    MR_CLEANUP(kafka_event_freep) rd_kafka_event_t *event = NULL;
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(spec->name, spec->partitions, spec->replicas, text, sizeof(text));
    if (topic == NULL)
        return mr_fail(err, MR_E(INVALID), MR_REJECT, "%s", text);
    for (size_t i = 0; spec->settings != NULL && spec->settings[i] != NULL; i += 2)
        (void)rd_kafka_NewTopic_set_config(topic, spec->settings[i], spec->settings[i + 1]);
    rd_kafka_CreateTopics(bus->client.rk, &topic, 1, options, queue);
    rd_kafka_NewTopic_destroy(topic);
    if (kafka_await(bus, queue, timeout_ms, "creation", &event, err) < 0)
        return err->code;
    return check_created(bus, event, err);
}

/* The broker answers before its own view has the topic with all leaders. */
static int
await_leaders(struct kafka_bus *bus, const struct mr_topic_spec *spec, int64_t deadline_ms,
              int timeout_ms, struct mr_err *err)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(bus->client.rk, spec->name, NULL);
    bool known = false;
    do {
        const struct rd_kafka_metadata *metadata;
        int left_ms = (int)mr_left_ms(deadline_ms, timeout_ms);
        if (rd_kafka_metadata(bus->client.rk, 0, topic, &metadata, left_ms) == 0) {
            const struct rd_kafka_metadata_topic *one = &metadata->topics[0];
            known = metadata->topic_cnt == 1 && one->err == 0 && one->partition_cnt > 0;
            for (int i = 0; known && i < one->partition_cnt; i++)
                known = one->partitions[i].leader >= 0;
            rd_kafka_metadata_destroy(metadata);
        }
        if (!known)
            kafka_pause();
    } while (!known && mr_now_ms() < deadline_ms);
    rd_kafka_topic_destroy(topic);
    if (!known)
        return kafka_fail(err, &bus->client, RD_KAFKA_RESP_ERR__TIMED_OUT, "waiting for leaders");
    return 0;
}

/* A broker answers before the controller gives it partitions, and is "fenced" until then. */
static bool
is_still_starting(const struct mr_err *err)
{
    return err->code == MR_E(INVALID) && strstr(err->text, "fenced") != NULL;
}

static int
create(struct mr_bus *handle, const struct mr_topic_spec *spec, int timeout_ms, struct mr_err *err)
{
    struct kafka_bus *bus = (struct kafka_bus *)handle;
    int64_t deadline_ms = mr_now_ms() + timeout_ms;
    struct mr_err why = { 0 };
    while (ask_create(bus, spec, timeout_ms, &why) < 0) {
        if (!is_still_starting(&why) || mr_now_ms() >= deadline_ms)
            return mr_fail(err, why.code, why.remedy, "%s", why.text);
        why = (struct mr_err){ 0 };
        kafka_pause();
    }
    return await_leaders(bus, spec, deadline_ms, timeout_ms, err);
}

void
kafka_ask_topic(struct kafka_bus *bus, const char *topic, rd_kafka_queue_t *queue)
{
    kafka_describe(bus, &topic, 1, ASK_TOPIC_MS, queue);
}

int
kafka_topic_answer(struct kafka_bus *bus, rd_kafka_event_t *event, const char *topic,
                   struct mr_err *err)
{
    size_t count;
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &bus->client, rd_kafka_event_error(event), "topic %s", topic);
    const rd_kafka_TopicDescription_t **one = rd_kafka_DescribeTopics_result_topics(event, &count);
    MR_ASSERT(count == 1);
    rd_kafka_resp_err_t code = rd_kafka_error_code(rd_kafka_TopicDescription_error(one[0]));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &bus->client, code, "topic %s", topic);
    (void)rd_kafka_TopicDescription_partitions(one[0], &count);
    return (int)count;
}

/* ---- the driver ---- */

static void
close_bus(struct mr_bus *handle)
{
    struct kafka_bus *bus = (struct kafka_bus *)handle;
    for (size_t i = 0; i < bus->askers_count; i++) {
        kafka_client_fini(&bus->askers[i].client);
        free(bus->askers[i].group);
    }
    kafka_client_fini(&bus->seer);
    kafka_client_fini(&bus->client);
    (void)pthread_mutex_destroy(&bus->lock);
    kafka_config_fini(&bus->config);
    free(bus->bootstrap);
    free(bus->client_id);
    free(bus->cluster_id);
    free(bus);
}

const struct mr_bus_driver kafka_bus_driver = {
    .close = close_bus,
    .cluster_id = cluster_id,
    .topics = topics,
    .create = create,
    .remove = kafka_remove,
    .settings = kafka_settings,
    .describe = kafka_describe_parts,
    .offsets = kafka_offsets,
    .high_watermarks = kafka_high_watermarks,
    .offset_at = kafka_offset_at,
    .reader_open = kafka_reader_open,
    .writer_open = kafka_writer_open,
};
