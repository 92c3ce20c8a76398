/*
 * Questions about offsets. However many partitions, it is one request about the topics,
 * then one each for starts and ends to each broker that leads some, then one to the coordinator.
 *
 * Only the calls of librdkafka 2.8.0 that wait for their answer are used. Rejected: its admin calls
 * ListOffsets and ListConsumerGroupOffsets, which use memory after it was freed (the address
 * sanitizer shows it) when metadata comes or the time is up while they are asked, and which crash
 * in a client without group when a coordinator has moved. Committed offsets can then be asked only
 * in the name of the group: a reader asks for its own, and each other group that was ever asked for
 * has a client, which never joins. Likewise the end of what is not committed is told only to a
 * client that reads it: one more, the seer.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bus/kafka_state.h"
#include "clock/clock.h"

struct question {
    struct kafka_bus *bus;
    const char *group;           /* or NULL */
    struct kafka_client *member; /* of the group, or NULL */
    struct mr_offsets *offsets;
    size_t count;
    int64_t time_ms, *ret_at; /* where the first offset of that time goes; or NULL */
    bool is_high;             /* high watermarks and nothing else */
};

/* ---- topics ---- */

static int
by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int
describe(const struct question *question, int timeout_ms, rd_kafka_event_t **ret,
         struct mr_err *err)
{
    MR_CLEANUP(mr_freep) const char **names = mr_alloc(question->count * sizeof(*names));
    MR_CLEANUP(kafka_queue_freep)
    rd_kafka_queue_t *queue = rd_kafka_queue_new(question->bus->client.rk);
    size_t unique = 0;
    for (size_t i = 0; i < question->count; i++)
        names[i] = question->offsets[i].topic;
    qsort(names, question->count, sizeof(*names), by_text);
    for (size_t i = 0; i < question->count; i++)
        if (unique == 0 || strcmp(names[unique - 1], names[i]) != 0)
            names[unique++] = names[i];
    kafka_describe(question->bus, names, unique, timeout_ms, queue);
    return kafka_await(question->bus, queue, timeout_ms, "description of topics", ret, err);
}

static int
by_name(const void *a, const void *b)
{
    const rd_kafka_TopicDescription_t *const *one = a, *const *other = b;
    return strcmp(rd_kafka_TopicDescription_name(*one), rd_kafka_TopicDescription_name(*other));
}

static int
by_key(const void *name, const void *topic)
{
    const rd_kafka_TopicDescription_t *const *at = topic;
    return strcmp(name, rd_kafka_TopicDescription_name(*at));
}

static int
check_partition(const struct question *question, const rd_kafka_TopicDescription_t *const *topic,
                const struct mr_offsets *one, struct mr_err *err)
{
    rd_kafka_resp_err_t code = topic == NULL
                                   ? RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
                                   : rd_kafka_error_code(rd_kafka_TopicDescription_error(*topic));
    size_t partitions = 0;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        (void)rd_kafka_TopicDescription_partitions(*topic, &partitions);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && (size_t)one->partition >= partitions)
        code = RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &question->bus->client, code, "topic %s partition %d", one->topic,
                          (int)one->partition);
    return 0;
}

/* First of all: offsets of a partition that is not there would be waited for in vain. */
static int
ask_topics(const struct question *question, int timeout_ms, struct mr_err *err)
{
    MR_CLEANUP(kafka_event_freep) rd_kafka_event_t *event = NULL;
    size_t count;
    if (describe(question, timeout_ms, &event, err) < 0)
        return err->code;
    const rd_kafka_TopicDescription_t **all = rd_kafka_DescribeTopics_result_topics(event, &count);
    MR_CLEANUP(mr_freep)
    const rd_kafka_TopicDescription_t **sorted = mr_alloc(count * sizeof(*sorted));
    memcpy(sorted, all, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_name);
    for (size_t i = 0; i < question->count; i++) {
        struct mr_offsets *one = &question->offsets[i];
        const rd_kafka_TopicDescription_t *const *topic =
            bsearch(one->topic, sorted, count, sizeof(*sorted), by_key);
        if (check_partition(question, topic, one, err) < 0)
            return err->code;
        kafka_topic_id(*topic, one->topic_id);
    }
    return 0;
}

/* ---- starts and ends ---- */

static rd_kafka_topic_partition_list_t *
new_list(const struct question *question, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)question->count);
    for (size_t i = 0; i < question->count; i++) {
        const struct mr_offsets *one = &question->offsets[i];
        rd_kafka_topic_partition_list_add(list, one->topic, one->partition)->offset = offset;
    }
    return list;
}

static int
check_answer(const struct question *question, const rd_kafka_topic_partition_t *at,
             struct mr_err *err)
{
    if (at->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    return kafka_fail(err, &question->bus->client, at->err, "topic %s partition %d", at->topic,
                      (int)at->partition);
}

/* The protocol knows the start and the end as the times -2 and -1; in a client that reads what is
 * committed the end is the last stable offset, in another the high watermark. */
static int
ask_times(const struct question *question, struct kafka_client *asker, int64_t time, int timeout_ms,
          rd_kafka_topic_partition_list_t **ret, struct mr_err *err)
{
    MR_CLEANUP(kafka_list_freep)
    rd_kafka_topic_partition_list_t *list = new_list(question, time);
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(asker->rk, list, timeout_ms);
    kafka_client_listen(asker);
    /* The broker has just said that they are there: their leaders are what is not known. */
    if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        code = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, asker, code, "offsets of %zu partitions", question->count);
    for (int i = 0; i < list->cnt; i++)
        if (check_answer(question, &list->elems[i], err) < 0)
            return err->code;
    *ret = MR_TAKE(list);
    return 0;
}

static int
ask_range(const struct question *question, int timeout_ms, struct mr_err *err)
{
    MR_CLEANUP(kafka_list_freep) rd_kafka_topic_partition_list_t *starts = NULL;
    MR_CLEANUP(kafka_list_freep) rd_kafka_topic_partition_list_t *ends = NULL;
    struct kafka_client *asker = &question->bus->client;
    if (ask_times(question, asker, RD_KAFKA_OFFSET_SPEC_EARLIEST, timeout_ms, &starts, err) < 0 ||
        ask_times(question, asker, RD_KAFKA_OFFSET_SPEC_LATEST, timeout_ms, &ends, err) < 0)
        return err->code;
    for (size_t i = 0; i < question->count; i++) {
        question->offsets[i].log_start = starts->elems[i].offset;
        question->offsets[i].end = ends->elems[i].offset;
    }
    return 0;
}

static int
ask_at(const struct question *question, int timeout_ms, struct mr_err *err)
{
    MR_CLEANUP(kafka_list_freep) rd_kafka_topic_partition_list_t *found = NULL;
    MR_ASSERT(question->count == 1);
    if (ask_times(question, &question->bus->client, question->time_ms, timeout_ms, &found, err) < 0)
        return err->code;
    int64_t at = found->elems[0].offset, end = question->offsets[0].end;
    *question->ret_at = at >= 0 && at < end ? at : end;
    return 0;
}

/* ---- clients that only ask ---- */

static int
open_asker(struct kafka_bus *bus, struct kafka_client *client, const struct kafka_option *options,
           struct mr_err *err)
{
    kafka_client_init(client, bus, bus);
    if (kafka_client_open(client, KAFKA_ADMIN, rd_kafka_conf_new(), options, err) < 0) {
        kafka_client_fini(client);
        return err->code;
    }
    (void)rd_kafka_poll_set_consumer(client->rk);
    return 0;
}

static int
ask_high(const struct question *question, int timeout_ms, struct mr_err *err)
{
    struct kafka_bus *bus = question->bus;
    const struct kafka_option options[] = { { "group.id", bus->client_id },
                                            { "session.timeout.ms", "6000" },
                                            { "isolation.level", "read_uncommitted" },
                                            { NULL, NULL } };
    MR_CLEANUP(kafka_list_freep) rd_kafka_topic_partition_list_t *ends = NULL;
    MR_ASSERT(pthread_mutex_lock(&bus->lock) == 0);
    int opened = bus->seer.rk != NULL ? 0 : open_asker(bus, &bus->seer, options, err);
    MR_ASSERT(pthread_mutex_unlock(&bus->lock) == 0);
    if (opened < 0 ||
        ask_times(question, &bus->seer, RD_KAFKA_OFFSET_SPEC_LATEST, timeout_ms, &ends, err) < 0)
        return err->code;
    kafka_client_well(&bus->seer);
    for (size_t i = 0; i < question->count; i++)
        question->offsets[i].high = ends->elems[i].offset;
    return 0;
}

/* ---- committed ---- */

/* The client that asks in the name of the group; it lives as long as the bus. */
static int
find_asker(struct kafka_bus *bus, const char *group, struct kafka_client **ret, struct mr_err *err)
{
    const struct kafka_option options[] = { { "group.id", group },
                                            { "session.timeout.ms", "6000" },
                                            { NULL, NULL } };
    for (size_t i = 0; i < bus->askers_count; i++) {
        if (strcmp(bus->askers[i].group, group) == 0) {
            *ret = &bus->askers[i].client;
            return 0;
        }
    }
    if (bus->askers_count == KAFKA_ASKERS_MAX)
        return mr_fail(err, MR_E(FULL), MR_REJECT,
                       "offsets of more than %d groups were asked for, last of %s",
                       KAFKA_ASKERS_MAX, group);
    struct kafka_asker *asker = &bus->askers[bus->askers_count];
    if (open_asker(bus, &asker->client, options, err) < 0)
        return err->code;
    asker->group = mr_strdup(group);
    bus->askers_count++;
    *ret = &asker->client;
    return 0;
}

static int
take_committed(const struct question *question, const rd_kafka_topic_partition_t *at,
               struct mr_offsets *ret, struct mr_err *err)
{
    if (check_answer(question, at, err) < 0)
        return err->code;
    if (at->metadata_size >= sizeof(ret->note))
        return mr_fail(err, MR_E(TOO_LARGE), MR_FATAL,
                       "the note at the committed offset of topic %s partition %d has %zu bytes: "
                       "it is not ours",
                       at->topic, (int)at->partition, at->metadata_size);
    ret->committed = at->offset >= 0 ? at->offset : MR_NO_OFFSET;
    (void)snprintf(ret->note, sizeof(ret->note), "%.*s", (int)at->metadata_size,
                   at->metadata != NULL ? (const char *)at->metadata : "");
    return 0;
}

static int
pick_asker(const struct question *question, struct kafka_client **ret, struct mr_err *err)
{
    struct kafka_bus *bus = question->bus;
    if (question->member != NULL) {
        *ret = question->member;
        return 0;
    }
    MR_ASSERT(pthread_mutex_lock(&bus->lock) == 0);
    int found = find_asker(bus, question->group, ret, err);
    MR_ASSERT(pthread_mutex_unlock(&bus->lock) == 0);
    return found;
}

/* Stable: what an open transaction may still change is waited for. */
static int
ask_committed(const struct question *question, int timeout_ms, struct mr_err *err)
{
    struct kafka_client *asker = NULL;
    MR_CLEANUP(kafka_list_freep)
    rd_kafka_topic_partition_list_t *list = new_list(question, RD_KAFKA_OFFSET_INVALID);
    if (pick_asker(question, &asker, err) < 0)
        return err->code;
    rd_kafka_resp_err_t code = rd_kafka_committed(asker->rk, list, timeout_ms);
    if (asker != question->member) /* a reader listens in its own time: records come with it */
        kafka_client_listen(asker);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, asker, code, "committed offsets of %zu partitions", question->count);
    kafka_client_well(asker);
    for (size_t i = 0; i < question->count; i++)
        if (take_committed(question, &list->elems[i], &question->offsets[i], err) < 0)
            return err->code;
    return 0;
}

/* ---- all together ---- */

static int
ask_once(const struct question *question, int64_t deadline_ms, struct mr_err *err)
{
    int most_ms = (int)mr_left_ms(deadline_ms, INT32_MAX);
    if (ask_topics(question, most_ms, err) < 0)
        return err->code;
    if (question->is_high)
        return ask_high(question, (int)mr_left_ms(deadline_ms, most_ms), err);
    if (ask_range(question, (int)mr_left_ms(deadline_ms, most_ms), err) < 0)
        return err->code;
    for (size_t i = 0; i < question->count; i++) {
        question->offsets[i].committed = MR_NO_OFFSET;
        question->offsets[i].note[0] = '\0';
    }
    if (question->ret_at != NULL)
        return ask_at(question, (int)mr_left_ms(deadline_ms, most_ms), err);
    if (question->group == NULL && question->member == NULL)
        return 0;
    return ask_committed(question, (int)mr_left_ms(deadline_ms, most_ms), err);
}

/* What has no leader or coordinator for a moment is asked again until the deadline. */
static int
ask_until(const struct question *question, int timeout_ms, struct mr_err *err)
{
    int64_t deadline_ms = mr_now_ms() + timeout_ms;
    for (;;) {
        struct mr_err once = { 0 };
        if (ask_once(question, deadline_ms, &once) == 0)
            return 0;
        if (once.code != MR_E(UNAVAILABLE) || mr_now_ms() + KAFKA_LOOK_AGAIN_MS >= deadline_ms)
            return mr_fail(err, once.code, once.remedy, "%s", once.text);
        kafka_pause();
    }
}

int
kafka_offsets(struct mr_bus *handle, const char *group, struct mr_offsets *offsets, size_t count,
              int timeout_ms, struct mr_err *err)
{
    const struct question question = {
        .bus = (struct kafka_bus *)handle, .group = group, .offsets = offsets, .count = count
    };
    return ask_until(&question, timeout_ms, err);
}

int
kafka_high_watermarks(struct mr_bus *handle, struct mr_offsets *offsets, size_t count,
                      int timeout_ms, struct mr_err *err)
{
    const struct question question = {
        .bus = (struct kafka_bus *)handle, .offsets = offsets, .count = count, .is_high = true
    };
    return ask_until(&question, timeout_ms, err);
}

int
kafka_reader_offsets(struct kafka_bus *bus, struct kafka_client *member, struct mr_offsets *offsets,
                     size_t count, int timeout_ms, struct mr_err *err)
{
    const struct question question = {
        .bus = bus, .member = member, .offsets = offsets, .count = count
    };
    return ask_until(&question, timeout_ms, err);
}

int
kafka_offset_at(struct mr_bus *handle, struct mr_offsets *offsets, int64_t time_ms,
                int64_t *ret_offset, int timeout_ms, struct mr_err *err)
{
    const struct question question = { .bus = (struct kafka_bus *)handle,
                                       .offsets = offsets,
                                       .count = 1,
                                       .time_ms = time_ms,
                                       .ret_at = ret_offset };
    return ask_until(&question, timeout_ms, err);
}

/* ---- for takeover ---- */

int
kafka_part_offsets(struct kafka_bus *bus, struct kafka_client *member, struct mr_part *parts,
                   size_t count, int timeout_ms, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) struct mr_offsets *offsets = mr_alloc(count * sizeof(*offsets));
    const struct question question = {
        .bus = bus, .member = member, .offsets = offsets, .count = count
    };
    if (count == 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        offsets[i] =
            (struct mr_offsets){ .topic = parts[i].topic, .partition = parts[i].partition };
    if (ask_until(&question, timeout_ms, err) < 0)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        parts[i].log_start = offsets[i].log_start;
        parts[i].end = offsets[i].end;
        parts[i].committed = offsets[i].committed;
        memcpy(parts[i].topic_id, offsets[i].topic_id, sizeof(parts[i].topic_id));
        memcpy(parts[i].note, offsets[i].note, sizeof(parts[i].note));
    }
    return 0;
}
