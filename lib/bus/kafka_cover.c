/*
 * Whether a group holds all that its subscription means. librdkafka has the group assign anew when
 * topics change while it looks. But a static member that comes back, or whose broker comes back, is
 * given what it held before: topics that were made meanwhile are no change to it, and nobody would
 * ever read them. So each assignment is looked at, and one with gaps is asked for again: at once,
 * then ever more rarely, as a leader that may not see a topic never assigns it.
 */
#include <regex.h>

#include "bus/kafka_reader_state.h"
#include "clock/clock.h"

/* The least is more than other members need to see a new topic themselves. */
enum { GAP_MS_MIN = 3000, GAP_MS_MAX = 300000 };

static bool
matches(const char *pattern, const char *topic)
{
    regex_t regex;
    if (pattern[0] != '^')
        return strcmp(pattern, topic) == 0;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool matched = regexec(&regex, topic, 0, NULL, 0) == 0;
    regfree(&regex);
    return matched;
}

static bool
is_meant(const rd_kafka_topic_partition_list_t *subscription, const char *topic)
{
    for (int i = 0; i < subscription->cnt; i++)
        if (matches(subscription->elems[i].topic, topic))
            return true;
    return false;
}

static rd_kafka_topic_partition_list_t *
meant_parts(const rd_kafka_topic_partition_list_t *subscription,
            const struct rd_kafka_metadata *metadata)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(0);
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
        if (!is_meant(subscription, topic->topic))
            continue;
        for (int p = 0; p < topic->partition_cnt; p++)
            (void)rd_kafka_topic_partition_list_add(list, topic->topic, topic->partitions[p].id);
    }
    return list;
}

/* Sorts both. */
static bool
holds_all(rd_kafka_topic_partition_list_t *held, rd_kafka_topic_partition_list_t *meant)
{
    int at = 0;
    rd_kafka_topic_partition_list_sort(held, NULL, NULL);
    rd_kafka_topic_partition_list_sort(meant, NULL, NULL);
    for (int i = 0; i < meant->cnt; i++) {
        const rd_kafka_topic_partition_t *part = &meant->elems[i];
        while (at < held->cnt && (held->elems[at].partition != part->partition ||
                                  strcmp(held->elems[at].topic, part->topic) != 0))
            at++;
        if (at == held->cnt)
            return false;
    }
    return true;
}

int
kafka_group_look_for_gaps(struct kafka_reader *reader, rd_kafka_topic_partition_list_t *held,
                          int timeout_ms, struct mr_err *err)
{
    struct kafka_client *client = &reader->client.bus->client;
    MR_CLEANUP(kafka_list_freep) rd_kafka_topic_partition_list_t *subscription = NULL;
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code = rd_kafka_subscription(reader->client.rk, &subscription);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = rd_kafka_metadata(client->rk, 1, NULL, &metadata, timeout_ms);
    kafka_client_listen(client);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, client, code, "topics of group %s", reader->group);
    MR_CLEANUP(kafka_list_freep)
    rd_kafka_topic_partition_list_t *meant = meant_parts(subscription, metadata);
    rd_kafka_metadata_destroy(metadata);
    if (holds_all(held, meant)) {
        reader->gap_due_ms = reader->gap_wait_ms = 0;
        return 0;
    }
    int wait_ms = reader->gap_wait_ms;
    reader->gap_due_ms = mr_now_ms() + wait_ms;
    reader->gap_wait_ms = wait_ms == 0               ? GAP_MS_MIN
                          : wait_ms < GAP_MS_MAX / 2 ? wait_ms * 2
                                                     : GAP_MS_MAX;
    return 0;
}

/* To give the subscription up and take it up again makes the leader's broker call all members to a
 * new assignment; to subscribe to the same once more does nothing. */
int
kafka_group_close_gaps(struct kafka_reader *reader, struct mr_err *err)
{
    if (reader->gap_due_ms == 0 || reader->claim != OWNING || reader->going ||
        mr_now_ms() < reader->gap_due_ms)
        return 0;
    MR_CLEANUP(kafka_list_freep) rd_kafka_topic_partition_list_t *subscription = NULL;
    rd_kafka_resp_err_t code = rd_kafka_subscription(reader->client.rk, &subscription);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = rd_kafka_unsubscribe(reader->client.rk);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = rd_kafka_subscribe(reader->client.rk, subscription);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &reader->client, code, "subscription of group %s", reader->group);
    reader->gap_due_ms = 0;
    return 0;
}
