/*
 * What clients ask about the cluster: GET /topics, /brokers and what stands below /topics/{topic}.
 * The list is the one that the door keeps; everything else is asked of the broker as an errand.
 */
#include "gateway/rest_v2.h"

#include "clock/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum { ASK_MS_MAX = 5000 };

enum what { WHAT_BROKERS, WHAT_TOPIC, WHAT_PARTITIONS, WHAT_PARTITION, WHAT_OFFSETS };

struct ask {
    struct errand errand;
    struct replies *replies;
    struct mr_http_request *request;
    const struct dialect *as;
    enum what what;
    char topic[MR_BUS_TOPIC_MAX + 1];
    int32_t partition;
    struct mr_arena arena; /* of the answer */
    struct mr_description description;
    const struct mr_setting *settings;
    size_t settings_count;
    struct mr_offsets offsets;
};

/* ---- on the thread of the errands ---- */

static int
run(struct mr_job *job, struct mr_err *err)
{
    struct ask *ask = (struct ask *)job;
    struct mr_bus *bus = ask->errand.bus;
    int64_t deadline_ms = mr_now_ms() + ASK_MS_MAX;
    if (mr_bus_describe(bus, ask->what == WHAT_BROKERS ? NULL : ask->topic, &ask->arena,
                        &ask->description, ASK_MS_MAX, err) != 0)
        return err->code;
    int left_ms = (int)mr_left_ms(deadline_ms, ASK_MS_MAX);
    if (ask->what == WHAT_TOPIC)
        return mr_bus_settings(bus, ask->topic, &ask->arena, &ask->settings, &ask->settings_count,
                               left_ms, err);
    if (ask->what != WHAT_OFFSETS || (size_t)ask->partition >= ask->description.partitions_count)
        return 0;
    ask->offsets = (struct mr_offsets){ .topic = ask->topic, .partition = ask->partition };
    return mr_bus_offsets(bus, NULL, &ask->offsets, 1, left_ms, err);
}

/* ---- answers ---- */

static bool
has(const int32_t *brokers, size_t count, int32_t broker)
{
    for (size_t i = 0; i < count; i++)
        if (brokers[i] == broker)
            return true;
    return false;
}

static const char *
truth(bool is)
{
    return is ? "true" : "false";
}

static void
put_partition(struct mr_buf *body, const struct mr_description *description, size_t number)
{
    const struct mr_partition *partition = &description->partitions[number];
    mr_buf_printf(body, "{\"partition\":%zu,\"leader\":%d,\"replicas\":[", number,
                  (int)partition->leader);
    for (size_t i = 0; i < partition->replicas_count; i++) {
        int32_t broker = partition->replicas[i];
        mr_buf_printf(body, "%s{\"broker\":%d,\"leader\":%s,\"in_sync\":%s}", i > 0 ? "," : "",
                      (int)broker, truth(broker == partition->leader),
                      truth(has(partition->insync, partition->insync_count, broker)));
    }
    mr_buf_text(body, "]}");
}

static void
put_partitions(struct mr_buf *body, const struct mr_description *description)
{
    mr_buf_text(body, "[");
    for (size_t i = 0; i < description->partitions_count; i++) {
        if (i > 0)
            mr_buf_text(body, ",");
        put_partition(body, description, i);
    }
    mr_buf_text(body, "]");
}

static void
put_topic(struct mr_buf *body, const struct ask *ask)
{
    bool is_first = true;
    mr_buf_text(body, "{\"name\":");
    mr_buf_json(body, mr_slice_text(ask->topic));
    mr_buf_text(body, ",\"configs\":{");
    for (size_t i = 0; i < ask->settings_count; i++) {
        if (ask->settings[i].value == NULL)
            continue;
        mr_buf_text(body, is_first ? "" : ",");
        is_first = false;
        mr_buf_json(body, mr_slice_text(ask->settings[i].name));
        mr_buf_text(body, ":");
        mr_buf_json(body, mr_slice_text(ask->settings[i].value));
    }
    mr_buf_text(body, "},\"partitions\":");
    put_partitions(body, &ask->description);
    mr_buf_text(body, "}");
}

static void
put_brokers(struct mr_buf *body, const struct mr_description *description)
{
    mr_buf_text(body, "{\"brokers\":[");
    for (size_t i = 0; i < description->brokers_count; i++)
        mr_buf_printf(body, "%s%d", i > 0 ? "," : "", (int)description->brokers[i].id);
    mr_buf_text(body, "]}");
}

static void
put_answer(struct mr_buf *body, const struct ask *ask)
{
    switch (ask->what) {
    case WHAT_BROKERS:
        put_brokers(body, &ask->description);
        break;
    case WHAT_TOPIC:
        put_topic(body, ask);
        break;
    case WHAT_PARTITIONS:
        put_partitions(body, &ask->description);
        break;
    case WHAT_PARTITION:
        put_partition(body, &ask->description, (size_t)ask->partition);
        break;
    case WHAT_OFFSETS:
        mr_buf_printf(body, "{\"beginning_offset\":%lld,\"end_offset\":%lld}",
                      (long long)ask->offsets.log_start, (long long)ask->offsets.end);
        break;
    }
}

static void
answer(const struct ask *ask)
{
    struct mr_buf body;
    mr_buf_init(&body, REPLY_JSON_BYTES_MAX);
    put_answer(&body, ask);
    MR_ASSERT(!body.failed);
    reply_json(ask->replies, ask->request, ask->as, 200, mr_buf_slice(&body));
    mr_buf_fini(&body);
}

static void
finish(struct errand *errand)
{
    struct ask *ask = (struct ask *)errand;
    const struct mr_err *err = &errand->job.err;
    bool is_one = ask->what == WHAT_PARTITION || ask->what == WHAT_OFFSETS;
    if (errand->job.result == MR_E(NOT_FOUND))
        reply_fault(ask->replies, ask->request, ask->as, FAULT_TOPIC, "Topic %s not found",
                    ask->topic);
    else if (errand->job.result != 0)
        reply_fault(ask->replies, ask->request, ask->as, rest_v2_fault(err), "%s", err->text);
    else if (is_one && (size_t)ask->partition >= ask->description.partitions_count)
        reply_fault(ask->replies, ask->request, ask->as, FAULT_PARTITION,
                    "Partition %d not found: topic %s has %zu", (int)ask->partition, ask->topic,
                    ask->description.partitions_count);
    else
        answer(ask);
    mr_arena_fini(&ask->arena);
    free(ask);
}

/* ---- the way in ---- */

static bool
may_see(const struct principal *who, const char *topic)
{
    return guard_may(who, RIGHT_CONSUME, topic) || guard_may(who, RIGHT_PRODUCE, topic) ||
           guard_may(who, RIGHT_ADMIN, topic);
}

static void
start(const struct call *call, const struct dialect *as, enum what what, int32_t partition)
{
    struct replies *replies = call->gateway->replies;
    struct mr_err err = { 0 };
    struct ask *ask = mr_alloc(sizeof(*ask));
    *ask = (struct ask){ .errand = { .job.run = run, .finish = finish },
                         .replies = replies,
                         .request = call->request,
                         .as = as,
                         .what = what,
                         .partition = partition };
    mr_arena_init(&ask->arena);
    if (what != WHAT_BROKERS)
        (void)snprintf(ask->topic, sizeof(ask->topic), "%.*s", (int)call->path.segments[1].size,
                       (const char *)call->path.segments[1].data);
    if (!may_see(call->who, what == WHAT_BROKERS ? NULL : ask->topic))
        reply_fault(replies, call->request, as, FAULT_DENIED, "%s may not see %s",
                    principal_name(call->who), what == WHAT_BROKERS ? "the brokers" : ask->topic);
    else if (errands_submit(call->gateway->errands, &ask->errand, &err) == 0)
        return;
    else
        reply_fault(replies, call->request, as, FAULT_BUSY,
                    "too many questions wait for Kafka's answer; try again");
    mr_arena_fini(&ask->arena);
    free(ask);
}

static void
list_topics(const struct call *call, const struct dialect *as)
{
    struct topics *topics = admit_topics(call->gateway->admit);
    struct replies *replies = call->gateway->replies;
    size_t count;
    const struct mr_topic *list = topics_list(topics, &count);
    if (list == NULL && !topics_reachable(topics)) {
        reply_fault(replies, call->request, as, FAULT_DOWN, "Kafka does not answer");
        return;
    }
    struct mr_buf body;
    bool is_first = true;
    mr_buf_init(&body, REPLY_JSON_BYTES_MAX);
    mr_buf_text(&body, "[");
    for (size_t i = 0; i < count; i++) {
        if (!may_see(call->who, list[i].name))
            continue;
        mr_buf_text(&body, is_first ? "" : ",");
        is_first = false;
        mr_buf_json(&body, mr_slice_text(list[i].name));
    }
    mr_buf_text(&body, "]");
    if (body.failed)
        reply_fault(replies, call->request, as, FAULT_TOO_MANY,
                    "there are too many topics for one answer");
    else
        reply_json(replies, call->request, as, 200, mr_buf_slice(&body));
    mr_buf_fini(&body);
}

static void
show_partition(const struct call *call, const struct dialect *as)
{
    struct mr_slice text = call->path.segments[3];
    int32_t partition;
    if (!rest_v2_partition(text, &partition))
        rest_v2_no_partition(call, as, text);
    else
        start(call, as, call->path.count == 5 ? WHAT_OFFSETS : WHAT_PARTITION, partition);
}

void
rest_v2_topics(const struct call *call, const struct dialect *as)
{
    const struct path *path = &call->path;
    bool is_partitions = path->count > 2 && call_segment_is(call, 2, "partitions");
    if (path->count == 1 && call_segment_is(call, 0, "brokers"))
        start(call, as, WHAT_BROKERS, -1);
    else if (path->count == 1)
        list_topics(call, as);
    else if (call_segment_is(call, 0, "topics") && path->segments[1].size > MR_BUS_TOPIC_MAX)
        reply_fault(call->gateway->replies, call->request, as, FAULT_TOPIC,
                    "Topic not found: its name has more than %d bytes", MR_BUS_TOPIC_MAX);
    else if (call_segment_is(call, 0, "topics") && path->count == 2)
        start(call, as, WHAT_TOPIC, -1);
    else if (is_partitions && path->count == 3)
        start(call, as, WHAT_PARTITIONS, -1);
    else if (is_partitions && (path->count == 4 || call_segment_is(call, 4, "offsets")) &&
             path->count <= 5)
        show_partition(call, as);
    else
        reply_fault(call->gateway->replies, call->request, as, FAULT_ROUTE,
                    "there is nothing at this path; GET /topics lists the topics");
}
