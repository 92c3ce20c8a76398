/*
 * Membership. librdkafka's callback only records; poll tells the caller, who answers when it has
 * finished what is open. How that maps:
 *
 * An offer is answered inside the callback with an empty assignment: so librdkafka is not left
 * waiting, further rebalances come as ordinary events, and nothing is fetched. mr_reader_assign
 * replaces it by the parts with their starts.
 *
 * A revocation is answered by mr_reader_release. Until then this member has not joined the next
 * generation, so nobody else can have been given its parts, unless they are lost.
 *
 * The metadata of the group must be that of the generation which made the offer: with a newer one
 * the broker would take commits for partitions that have moved on (it checks the generation, not
 * the partitions). An offer can be outdated when it is seen, as librdkafka joins again by itself
 * when topics change. So the metadata is taken first, then the group is asked whether in its
 * present, settled generation this member has these very parts; any later generation makes the
 * metadata worthless, which is what it is for.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bus/kafka_reader_state.h"

enum { LOOK_UP_MS = 2000 };

/* ---- callback ---- */

static void
assign_nothing(rd_kafka_t *rk)
{
    MR_CLEANUP(kafka_list_freep)
    rd_kafka_topic_partition_list_t *nothing = rd_kafka_topic_partition_list_new(0);
    (void)rd_kafka_assign(rk, nothing);
}

static void
record_offer(struct kafka_reader *reader, const rd_kafka_topic_partition_list_t *parts)
{
    kafka_list_freep(&reader->offer);
    reader->offer = rd_kafka_topic_partition_list_copy(parts);
    rd_kafka_topic_partition_list_sort(reader->offer, NULL, NULL);
    /* Offered anew without a revocation in between: what was held is not ours any more. */
    if (reader->claim != NOTHING)
        reader->going = reader->lost = true;
    assign_nothing(reader->client.rk);
}

static void
record_revocation(struct kafka_reader *reader)
{
    bool lost = rd_kafka_assignment_lost(reader->client.rk) != 0;
    kafka_list_freep(&reader->offer);
    if (reader->claim == NOTHING) {
        (void)rd_kafka_assign(reader->client.rk, NULL);
        return;
    }
    reader->going = true;
    reader->lost |= lost;
}

static void
on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *parts,
             void *opaque)
{
    struct kafka_reader *reader = ((struct kafka_client *)opaque)->owner;
    if (reader->closing)
        (void)rd_kafka_assign(rk, NULL);
    else if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        record_offer(reader, parts);
    else
        record_revocation(reader);
    rd_kafka_yield(rk); /* poll returns now, not when a record comes */
}

void
kafka_group_conf(rd_kafka_conf_t *conf)
{
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
}

/* A revocation was told, or will be, and librdkafka waits for its answer. */
static bool
is_unanswered(const struct kafka_reader *reader)
{
    return reader->going && reader->offer == NULL;
}

/* ---- telling ---- */

static void
drop_metadata(struct kafka_reader *reader)
{
    if (reader->metadata != NULL)
        rd_kafka_consumer_group_metadata_destroy(reader->metadata);
    reader->metadata = NULL;
}

static struct mr_part *
offered_parts(const rd_kafka_topic_partition_list_t *offer)
{
    struct mr_part *parts = mr_alloc((size_t)offer->cnt * sizeof(*parts));
    for (int i = 0; i < offer->cnt; i++) {
        (void)snprintf(parts[i].topic, sizeof(parts[i].topic), "%s", offer->elems[i].topic);
        parts[i].partition = offer->elems[i].partition;
        parts[i].committed = MR_NO_OFFSET;
    }
    return parts;
}

/* 1: the offer is a claim now; 0: it is outdated or the group not settled, the next event will
 * tell; or an error. */
static int
claim_offer(struct kafka_reader *reader, struct mr_err *err)
{
    size_t count = (size_t)reader->offer->cnt;
    struct kafka_bus *bus = reader->client.bus;
    MR_CLEANUP(mr_freep) struct mr_part *parts = offered_parts(reader->offer);
    drop_metadata(reader);
    reader->metadata = rd_kafka_consumer_group_metadata(reader->client.rk);
    if (reader->metadata == NULL)
        return 0;
    MR_CLEANUP(kafka_list_freep)
    rd_kafka_topic_partition_list_t *held = rd_kafka_topic_partition_list_new(0);
    int confirmed =
        kafka_group_confirms(bus, reader->metadata, reader->offer, held, LOOK_UP_MS, err);
    if (confirmed <= 0)
        return confirmed;
    if (kafka_group_look_for_gaps(reader, held, LOOK_UP_MS, err) < 0)
        return err->code;
    if (kafka_part_offsets(bus, &reader->client, parts, count, LOOK_UP_MS, err) < 0)
        return mr_fail_in(err, "assignment of group %s", reader->group);
    kafka_list_freep(&reader->offer);
    free(reader->member);
    reader->member = mr_strdup(rd_kafka_consumer_group_metadata_member_id(reader->metadata));
    free(reader->parts);
    reader->parts = MR_TAKE(parts);
    reader->parts_count = count;
    reader->claim = ASKED;
    return 1;
}

/* A member that was sent away while its revocation waited to be told: librdkafka does not say so
 * again, but its membership is not the one of the claim any more. */
static bool
is_outdated(const struct kafka_reader *reader)
{
    rd_kafka_consumer_group_metadata_t *now = rd_kafka_consumer_group_metadata(reader->client.rk);
    if (now == NULL)
        return true;
    bool same = rd_kafka_consumer_group_metadata_generation_id(now) ==
                    rd_kafka_consumer_group_metadata_generation_id(reader->metadata) &&
                strcmp(rd_kafka_consumer_group_metadata_member_id(now),
                       rd_kafka_consumer_group_metadata_member_id(reader->metadata)) == 0;
    rd_kafka_consumer_group_metadata_destroy(now);
    return !same;
}

static bool
is_fatal(const struct kafka_reader *reader)
{
    return rd_kafka_fatal_error(reader->client.rk, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* A client that failed for good can only be replaced; fenced without cause, it is. 1: what it held
 * is lost, which the caller hears first. */
static int
check_fatal(struct kafka_reader *reader, struct mr_err *err)
{
    char text[256];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(reader->client.rk, text, sizeof(text));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    int taken = code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID
                    ? kafka_reader_is_taken(&reader->base, LOOK_UP_MS, err)
                    : 1;
    if (taken < 0)
        return taken;
    if (taken > 0) {
        (void)kafka_fail(err, &reader->client, code, "group %s (%s)", reader->group, text);
        err->remedy = MR_FATAL;
        return err->code;
    }
    if (reader->claim == NOTHING)
        return kafka_reader_renew(reader, err);
    reader->lost = true;
    return 1;
}

int
kafka_group_tell(struct kafka_reader *reader, struct mr_batch *ret, struct mr_err *err)
{
    int failed = check_fatal(reader, err);
    if (failed < 0 || kafka_group_close_gaps(reader, err) < 0)
        return err->code;
    bool goes = failed > 0 || reader->going;
    if (goes) {
        reader->lost = reader->lost || is_outdated(reader);
        *ret = (struct mr_batch){ .event = reader->lost ? MR_BUS_LOST : MR_BUS_REVOKED };
    } else if (reader->offer != NULL) {
        int claimed = claim_offer(reader, err);
        if (claimed <= 0)
            return claimed;
    }
    if (!goes && reader->claim != ASKED)
        return 0;
    if (!goes)
        *ret = (struct mr_batch){ .event = MR_BUS_ASSIGNED };
    ret->parts = reader->parts;
    ret->parts_count = reader->parts_count;
    return 1;
}

/* ---- answers ---- */

/* Nothing more is told of an assignment that is lost, which librdkafka may know before it says so:
 * its positions cannot be moved any more, and records would come with a gap. */
bool
kafka_group_has_gone(struct kafka_reader *reader)
{
    reader->lost = reader->lost || is_fatal(reader) ||
                   (reader->subscribed && rd_kafka_assignment_lost(reader->client.rk) != 0);
    return reader->going || reader->lost;
}

int
kafka_group_stale(const struct kafka_reader *reader, struct mr_err *err)
{
    return mr_fail(err, MR_E(STALE), MR_RETRY, "the assignment in group %s has gone",
                   reader->group);
}

int
kafka_group_release(struct mr_reader *handle, struct mr_err *err)
{
    struct kafka_reader *reader = (struct kafka_reader *)handle;
    kafka_reader_forget(reader);
    drop_metadata(reader);
    if (is_fatal(reader))
        return kafka_reader_renew(reader, err);
    /* An offer that waits behind this was answered already, and there is nothing to answer when
     * the caller gives up what nobody asked back. */
    if (is_unanswered(reader) || (reader->offer == NULL && !reader->subscribed))
        (void)rd_kafka_assign(reader->client.rk, NULL);
    else
        assign_nothing(reader->client.rk);
    reader->going = reader->lost = false;
    reader->claim = NOTHING;
    return 0;
}

/* A rebalance that was not seen yet is answered by the callback while the consumer closes. A second
 * answer could find the group gone, and librdkafka 2.8.0 would wait for ever for what becomes of
 * it. */
void
kafka_group_close(struct kafka_reader *reader)
{
    reader->closing = true;
    if (is_unanswered(reader))
        (void)rd_kafka_assign(reader->client.rk, NULL);
    (void)rd_kafka_consumer_close(reader->client.rk);
    kafka_list_freep(&reader->offer);
    drop_metadata(reader);
    reader->closing = reader->going = reader->lost = false;
    reader->claim = NOTHING;
}
