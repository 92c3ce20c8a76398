/*
 * Questions about offsets and groups. However many partitions, it is one request to each broker
 * that leads some of them and one to the group's coordinator; all travel at the same time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bus/kafka_state.h"
#include "clock/clock.h"

/* Answers of one question, by kind. */
struct answers {
    rd_kafka_event_t *starts, *ends, *committed;
};

static void
answers_fini(struct answers *answers)
{
    kafka_event_freep(&answers->starts);
    kafka_event_freep(&answers->ends);
    kafka_event_freep(&answers->committed);
}

static rd_kafka_topic_partition_list_t *
new_list(const struct mr_offsets *offsets, size_t count, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, offsets[i].topic, offsets[i].partition)->offset =
            offset;
    return list;
}

/* Read committed: the end is the last stable offset. */
static void
ask_offsets(struct kafka_bus *bus, const struct mr_offsets *offsets, size_t count,
            rd_kafka_OffsetSpec_t spec, int timeout_ms, rd_kafka_queue_t *queue)
{
    MR_CLEANUP(kafka_options_freep)
    rd_kafka_AdminOptions_t *options =
        kafka_options(bus, RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout_ms);
    MR_CLEANUP(kafka_list_freep)
    rd_kafka_topic_partition_list_t *list = new_list(offsets, count, (int64_t)spec);
    rd_kafka_error_t *error =
        rd_kafka_AdminOptions_set_isolation_level(options, RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED);
    MR_ASSERT(error == NULL);
    rd_kafka_ListOffsets(bus->client.rk, list, options, queue);
}

/* Stable: an offset that an open transaction may still change is waited for. */
static void
ask_committed(struct kafka_bus *bus, const char *group, const struct mr_offsets *offsets,
              size_t count, int timeout_ms, rd_kafka_queue_t *queue)
{
    MR_CLEANUP(kafka_options_freep)
    rd_kafka_AdminOptions_t *options =
        kafka_options(bus, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, timeout_ms);
    MR_CLEANUP(kafka_list_freep)
    rd_kafka_topic_partition_list_t *list = new_list(offsets, count, RD_KAFKA_OFFSET_INVALID);
    rd_kafka_ListConsumerGroupOffsets_t *request =
        rd_kafka_ListConsumerGroupOffsets_new(group, list);
    rd_kafka_error_t *error = rd_kafka_AdminOptions_set_require_stable_offsets(options, 1);
    MR_ASSERT(error == NULL);
    rd_kafka_ListConsumerGroupOffsets(bus->client.rk, &request, 1, options, queue);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
}

static int
ask(struct kafka_bus *bus, const char *group, struct mr_offsets *offsets, size_t count,
    int timeout_ms, struct answers *ret, struct mr_err *err)
{
    MR_CLEANUP(kafka_queue_freep) rd_kafka_queue_t *starts = rd_kafka_queue_new(bus->client.rk);
    MR_CLEANUP(kafka_queue_freep) rd_kafka_queue_t *ends = rd_kafka_queue_new(bus->client.rk);
    MR_CLEANUP(kafka_queue_freep) rd_kafka_queue_t *committed = rd_kafka_queue_new(bus->client.rk);
    ask_offsets(bus, offsets, count, RD_KAFKA_OFFSET_SPEC_EARLIEST, timeout_ms, starts);
    ask_offsets(bus, offsets, count, RD_KAFKA_OFFSET_SPEC_LATEST, timeout_ms, ends);
    if (group != NULL)
        ask_committed(bus, group, offsets, count, timeout_ms, committed);
    if (kafka_await(bus, starts, timeout_ms, "first offsets", &ret->starts, err) < 0 ||
        kafka_await(bus, ends, timeout_ms, "end offsets", &ret->ends, err) < 0)
        return err->code;
    if (group != NULL &&
        kafka_await(bus, committed, timeout_ms, "committed offsets", &ret->committed, err) < 0)
        return err->code;
    return 0;
}

/* ---- answers ---- */

static const rd_kafka_topic_partition_t *
find_info(const rd_kafka_event_t *event, const struct mr_offsets *one, size_t hint)
{
    size_t count;
    const rd_kafka_ListOffsetsResultInfo_t **infos =
        rd_kafka_ListOffsets_result_infos(event, &count);
    /* The answer keeps the order of the question as a rule; look there first. */
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_topic_partition_t *at =
            rd_kafka_ListOffsetsResultInfo_topic_partition(infos[(hint + i) % count]);
        if (at->partition == one->partition && strcmp(at->topic, one->topic) == 0)
            return at;
    }
    return NULL;
}

static int
take_offset(struct kafka_bus *bus, const rd_kafka_event_t *event, const struct mr_offsets *one,
            size_t hint, int64_t *ret, struct mr_err *err)
{
    const rd_kafka_topic_partition_t *at = find_info(event, one, hint);
    rd_kafka_resp_err_t code = at == NULL ? RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION : at->err;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &bus->client, code, "topic %s partition %d", one->topic,
                          (int)one->partition);
    *ret = at->offset;
    return 0;
}

static const rd_kafka_topic_partition_list_t *
committed_list(struct kafka_bus *bus, const rd_kafka_event_t *event, const char *group,
               struct mr_err *err)
{
    size_t count;
    const rd_kafka_group_result_t **groups =
        rd_kafka_ListConsumerGroupOffsets_result_groups(event, &count);
    MR_ASSERT(count == 1);
    const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[0]);
    if (error != NULL) {
        (void)kafka_fail(err, &bus->client, rd_kafka_error_code(error), "group %s", group);
        return NULL;
    }
    return rd_kafka_group_result_partitions(groups[0]);
}

static int
take_committed(struct kafka_bus *bus, const rd_kafka_topic_partition_list_t *list,
               struct mr_offsets *one, struct mr_err *err)
{
    const rd_kafka_topic_partition_t *at = rd_kafka_topic_partition_list_find(
        (rd_kafka_topic_partition_list_t *)list, one->topic, one->partition);
    one->committed = MR_NO_OFFSET;
    one->note[0] = '\0';
    if (at == NULL)
        return 0;
    if (at->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &bus->client, at->err, "committed offset of topic %s partition %d",
                          one->topic, (int)one->partition);
    if (at->offset >= 0)
        one->committed = at->offset;
    if (at->metadata_size >= sizeof(one->note))
        return mr_fail(err, MR_E(TOO_LARGE), MR_FATAL,
                       "the note at the committed offset of topic %s partition %d has %zu bytes: "
                       "it is not ours",
                       one->topic, (int)one->partition, at->metadata_size);
    (void)snprintf(one->note, sizeof(one->note), "%.*s", (int)at->metadata_size,
                   at->metadata != NULL ? (const char *)at->metadata : "");
    return 0;
}

static int
offsets_once(struct kafka_bus *bus, const char *group, struct mr_offsets *offsets, size_t count,
             int timeout_ms, struct mr_err *err)
{
    MR_CLEANUP(answers_fini) struct answers answers = { 0 };
    const rd_kafka_topic_partition_list_t *committed = NULL;
    if (ask(bus, group, offsets, count, timeout_ms, &answers, err) < 0)
        return err->code;
    if (group != NULL) {
        committed = committed_list(bus, answers.committed, group, err);
        if (committed == NULL)
            return err->code;
    }
    for (size_t i = 0; i < count; i++) {
        struct mr_offsets *one = &offsets[i];
        if (take_offset(bus, answers.starts, one, i, &one->log_start, err) < 0 ||
            take_offset(bus, answers.ends, one, i, &one->end, err) < 0)
            return err->code;
        one->committed = MR_NO_OFFSET;
        one->note[0] = '\0';
        if (committed != NULL && take_committed(bus, committed, one, err) < 0)
            return err->code;
    }
    return 0;
}

/* What is not stable yet, or has no leader or coordinator for a moment, is asked again until the
 * deadline. */
int
kafka_offsets(struct mr_bus *handle, const char *group, struct mr_offsets *offsets, size_t count,
              int timeout_ms, struct mr_err *err)
{
    struct kafka_bus *bus = (struct kafka_bus *)handle;
    int64_t deadline_ms = mr_now_ms() + timeout_ms;
    for (;;) {
        struct mr_err once = { 0 };
        int left_ms = (int)mr_left_ms(deadline_ms, timeout_ms);
        if (offsets_once(bus, group, offsets, count, left_ms, &once) == 0)
            return 0;
        if (once.code != MR_E(UNAVAILABLE) || mr_now_ms() + KAFKA_LOOK_AGAIN_MS >= deadline_ms)
            return mr_fail(err, once.code, once.remedy, "%s", once.text);
        kafka_pause();
    }
}

/* ---- for takeover ---- */

static int
put_ids(struct kafka_bus *bus, struct mr_part *parts, size_t count, int timeout_ms,
        struct mr_err *err)
{
    MR_CLEANUP(mr_freep) const char **names = mr_alloc(count * sizeof(*names));
    MR_CLEANUP(kafka_queue_freep) rd_kafka_queue_t *queue = rd_kafka_queue_new(bus->client.rk);
    MR_CLEANUP(kafka_event_freep) rd_kafka_event_t *event = NULL;
    size_t unique = 0, described;
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(parts[i].topic, parts[i - 1].topic) != 0)
            names[unique++] = parts[i].topic;
    kafka_describe(bus, names, unique, timeout_ms, queue);
    if (kafka_await(bus, queue, timeout_ms, "description of topics", &event, err) < 0)
        return err->code;
    const rd_kafka_TopicDescription_t **all =
        rd_kafka_DescribeTopics_result_topics(event, &described);
    for (size_t i = 0; i < described; i++) {
        const char *name = rd_kafka_TopicDescription_name(all[i]);
        rd_kafka_resp_err_t code = rd_kafka_error_code(rd_kafka_TopicDescription_error(all[i]));
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            return kafka_fail(err, &bus->client, code, "topic %s", name);
        for (size_t j = 0; j < count; j++)
            if (strcmp(parts[j].topic, name) == 0)
                kafka_topic_id(all[i], parts[j].topic_id);
    }
    return 0;
}

int
kafka_part_offsets(struct kafka_bus *bus, const char *group, struct mr_part *parts, size_t count,
                   int timeout_ms, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) struct mr_offsets *offsets = mr_alloc(count * sizeof(*offsets));
    if (count == 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        offsets[i] =
            (struct mr_offsets){ .topic = parts[i].topic, .partition = parts[i].partition };
    if (put_ids(bus, parts, count, timeout_ms, err) < 0 ||
        kafka_offsets(&bus->base, group, offsets, count, timeout_ms, err) < 0)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        parts[i].log_start = offsets[i].log_start;
        parts[i].end = offsets[i].end;
        parts[i].committed = offsets[i].committed;
        memcpy(parts[i].note, offsets[i].note, sizeof(parts[i].note));
    }
    return 0;
}

static bool
same_parts(const rd_kafka_topic_partition_list_t *list, const struct mr_part *parts, size_t count)
{
    if (list == NULL || (size_t)list->cnt != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (rd_kafka_topic_partition_list_find((rd_kafka_topic_partition_list_t *)list,
                                               parts[i].topic, parts[i].partition) == NULL)
            return false;
    return true;
}

static bool
confirms(const rd_kafka_ConsumerGroupDescription_t *group, const char *member,
         const struct mr_part *parts, size_t count)
{
    size_t members = rd_kafka_ConsumerGroupDescription_member_count(group);
    if (rd_kafka_ConsumerGroupDescription_state(group) != RD_KAFKA_CONSUMER_GROUP_STATE_STABLE)
        return false;
    for (size_t i = 0; i < members; i++) {
        const rd_kafka_MemberDescription_t *at = rd_kafka_ConsumerGroupDescription_member(group, i);
        if (strcmp(rd_kafka_MemberDescription_consumer_id(at), member) == 0)
            return same_parts(
                rd_kafka_MemberAssignment_partitions(rd_kafka_MemberDescription_assignment(at)),
                parts, count);
    }
    return false;
}

int
kafka_group_confirms(struct kafka_bus *bus, const char *group, const char *member,
                     const struct mr_part *parts, size_t count, int timeout_ms, struct mr_err *err)
{
    MR_CLEANUP(kafka_options_freep)
    rd_kafka_AdminOptions_t *options =
        kafka_options(bus, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, timeout_ms);
    MR_CLEANUP(kafka_queue_freep) rd_kafka_queue_t *queue = rd_kafka_queue_new(bus->client.rk);
    MR_CLEANUP(kafka_event_freep) rd_kafka_event_t *event = NULL;
    size_t groups;
    rd_kafka_DescribeConsumerGroups(bus->client.rk, &group, 1, options, queue);
    if (kafka_await(bus, queue, timeout_ms, "description of the group", &event, err) < 0)
        return err->code;
    const rd_kafka_ConsumerGroupDescription_t **all =
        rd_kafka_DescribeConsumerGroups_result_groups(event, &groups);
    MR_ASSERT(groups == 1);
    const rd_kafka_error_t *error = rd_kafka_ConsumerGroupDescription_error(all[0]);
    if (error != NULL)
        return kafka_fail(err, &bus->client, rd_kafka_error_code(error), "group %s", group);
    return confirms(all[0], member, parts, count) ? 1 : 0;
}
