/*
 * Questions about the members of a group: has this one what it was offered, and whose is its name.
 *
 * A static member's name is its own until another process joins with it. The broker says "fenced"
 * also when nobody did: librdkafka forgets its member id when no broker answered for a session, and
 * its next heartbeats go out without one until the application has given its partitions back. So
 * who is told to be fenced looks who stands in the group under its name (LAW 9): itself, nobody, or
 * really another.
 */
#include <stdlib.h>

#include "bus/kafka_reader_state.h"

enum {
    /* A description of a group uses memory after it was freed when it runs into its own timeout:
     * that is put out of reach, kafka_await gives up earlier and drops a late answer. */
    GROUP_REQUEST_MS = 3600000,
};

/* The description lives as long as the event. */
static int
describe(struct kafka_bus *bus, const char *group, rd_kafka_event_t **ret_event,
         const rd_kafka_ConsumerGroupDescription_t **ret, int timeout_ms, struct mr_err *err)
{
    /* Asked first: descriptions would pile up while no broker is there. */
    const struct rd_kafka_metadata *harmless;
    rd_kafka_resp_err_t code = rd_kafka_metadata(bus->client.rk, 0, NULL, &harmless, timeout_ms);
    kafka_client_listen(&bus->client);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &bus->client, code, "group %s", group);
    rd_kafka_metadata_destroy(harmless);
    MR_CLEANUP(kafka_options_freep)
    rd_kafka_AdminOptions_t *options =
        kafka_options(bus, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, GROUP_REQUEST_MS);
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
    *ret = all[0];
    *ret_event = MR_TAKE(event);
    return 0;
}

/* ---- has it what it was offered ---- */

static bool
same_parts(const rd_kafka_topic_partition_list_t *a, const rd_kafka_topic_partition_list_t *b)
{
    if (a == NULL || a->cnt != b->cnt)
        return false;
    for (int i = 0; i < b->cnt; i++)
        if (rd_kafka_topic_partition_list_find((rd_kafka_topic_partition_list_t *)a,
                                               b->elems[i].topic, b->elems[i].partition) == NULL)
            return false;
    return true;
}

static void
add_all(rd_kafka_topic_partition_list_t *list, const rd_kafka_topic_partition_list_t *parts)
{
    for (int i = 0; parts != NULL && i < parts->cnt; i++)
        (void)rd_kafka_topic_partition_list_add(list, parts->elems[i].topic,
                                                parts->elems[i].partition);
}

static bool
confirms(const rd_kafka_ConsumerGroupDescription_t *group, const char *member,
         const rd_kafka_topic_partition_list_t *parts, rd_kafka_topic_partition_list_t *held)
{
    size_t members = rd_kafka_ConsumerGroupDescription_member_count(group);
    bool confirmed = false;
    if (rd_kafka_ConsumerGroupDescription_state(group) != RD_KAFKA_CONSUMER_GROUP_STATE_STABLE)
        return false;
    for (size_t i = 0; i < members; i++) {
        const rd_kafka_MemberDescription_t *at = rd_kafka_ConsumerGroupDescription_member(group, i);
        const rd_kafka_topic_partition_list_t *its =
            rd_kafka_MemberAssignment_partitions(rd_kafka_MemberDescription_assignment(at));
        add_all(held, its);
        if (strcmp(rd_kafka_MemberDescription_consumer_id(at), member) == 0)
            confirmed = same_parts(its, parts);
    }
    return confirmed;
}

int
kafka_group_confirms(struct kafka_bus *bus, const rd_kafka_consumer_group_metadata_t *metadata,
                     const rd_kafka_topic_partition_list_t *parts,
                     rd_kafka_topic_partition_list_t *held, int timeout_ms, struct mr_err *err)
{
    const char *name = rd_kafka_consumer_group_metadata_group_id(metadata);
    const char *member = rd_kafka_consumer_group_metadata_member_id(metadata);
    const rd_kafka_ConsumerGroupDescription_t *group;
    MR_CLEANUP(kafka_event_freep) rd_kafka_event_t *event = NULL;
    if (describe(bus, name, &event, &group, timeout_ms, err) < 0)
        return err->code;
    return confirms(group, member, parts, held) ? 1 : 0;
}

/* ---- whose is its name ---- */

static bool
is_equal(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static bool
is_held_by_another(const struct kafka_reader *reader,
                   const rd_kafka_ConsumerGroupDescription_t *group)
{
    size_t members = rd_kafka_ConsumerGroupDescription_member_count(group);
    char *joining = rd_kafka_memberid(reader->client.rk);
    bool taken = false;
    for (size_t i = 0; i < members; i++) {
        const rd_kafka_MemberDescription_t *at = rd_kafka_ConsumerGroupDescription_member(group, i);
        const char *id = rd_kafka_MemberDescription_consumer_id(at);
        taken |= is_equal(rd_kafka_MemberDescription_group_instance_id(at), reader->instance) &&
                 !is_equal(id, reader->member) && !is_equal(id, joining);
    }
    if (joining != NULL)
        rd_kafka_mem_free(reader->client.rk, joining);
    return taken;
}

int
kafka_reader_is_taken(struct mr_reader *handle, int timeout_ms, struct mr_err *err)
{
    struct kafka_reader *reader = (struct kafka_reader *)handle;
    const rd_kafka_ConsumerGroupDescription_t *group;
    MR_CLEANUP(kafka_event_freep) rd_kafka_event_t *event = NULL;
    if (reader->instance == NULL)
        return 0;
    if (describe(reader->client.bus, reader->group, &event, &group, timeout_ms, err) < 0)
        return err->code;
    return is_held_by_another(reader, group) ? 1 : 0;
}
