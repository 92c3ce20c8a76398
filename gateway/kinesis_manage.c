/*
 * CreateStream and DeleteStream: a stream comes and goes with the topics behind it, as the plan
 * says. What has been archived or written to tables stays when a stream is deleted.
 */
#include "gateway/kinesis_native.h"

#include "clock/clock.h"
#include "log/log.h"

#include <stdlib.h>

enum { CREATED_SHARDS_MAX = 500, MANAGE_MS_MAX = 8000, KINDS_BYTES_MAX = 1024 };

struct change {
    struct errand errand;
    struct back back;
    struct topics *topics;
    const struct mr_plan *plan;
    struct mr_slice name;
    struct mr_topic_name parts;
    char topic[MR_TOPIC_MAX + 1];
    int shards;
    struct mr_topic *list; /* all topics, after it */
    size_t list_count;
};

/* ---- on the thread of the errands ---- */

/* How much of the time for the whole change is left. */
static int
left_ms(int64_t deadline_ms)
{
    return (int)mr_left_ms(deadline_ms, MANAGE_MS_MAX);
}

static int
check_new(struct change *change, int64_t deadline_ms, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) struct mr_topic *all = NULL;
    size_t count;
    if (mr_bus_topics(change->errand.bus, &all, &count, left_ms(deadline_ms), err) < 0)
        return err->code;
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].name, change->topic) == 0)
            return mr_fail(err, MR_E(EXISTS), MR_REJECT,
                           "Stream %.*s under account " KINESIS_ACCOUNT " already exists.",
                           (int)change->name.size, (const char *)change->name.data);
    return 0;
}

static int
run_create(struct mr_job *job, struct mr_err *err)
{
    struct change *change = (struct change *)job;
    struct mr_bus *bus = change->errand.bus;
    int64_t deadline_ms = mr_now_ms() + MANAGE_MS_MAX;
    if (check_new(change, deadline_ms, err) < 0 ||
        mr_plan_make_sized(change->plan, bus, change->parts.tenant, change->parts.kind,
                           change->shards, left_ms(deadline_ms), err) < 0)
        return err->code;
    return mr_bus_topics(bus, &change->list, &change->list_count, left_ms(deadline_ms), err);
}

/* Upstream first: nothing flows into what is gone. */
static int
run_delete(struct mr_job *job, struct mr_err *err)
{
    static const enum mr_topic_role order[] = { MR_TOPIC_RAW, MR_TOPIC_VALID, MR_TOPIC_CLEAN,
                                                MR_TOPIC_DEAD };
    struct change *change = (struct change *)job;
    struct mr_bus *bus = change->errand.bus;
    int64_t deadline_ms = mr_now_ms() + MANAGE_MS_MAX;
    for (size_t i = 0; i < MR_COUNT(order); i++) {
        char topic[MR_TOPIC_MAX + 1];
        struct mr_err one = { 0 };
        mr_topic_format(change->parts.tenant, change->parts.kind, order[i], topic);
        if (mr_bus_delete(bus, topic, left_ms(deadline_ms), &one) < 0 &&
            (one.code != MR_E(NOT_FOUND) || order[i] == MR_TOPIC_RAW))
            return mr_fail(err, one.code, one.remedy, "%s", one.text);
    }
    return mr_bus_topics(bus, &change->list, &change->list_count, left_ms(deadline_ms), err);
}

/* ---- on the door's ---- */

static void
finish(struct errand *errand)
{
    struct change *change = (struct change *)errand;
    const char *event = errand->job.run == run_create ? "stream-made" : "stream-deleted";
    if (change->list != NULL)
        topics_take_list(change->topics, change->list, change->list_count);
    if (errand->job.result == 0) {
        mr_log(MR_LOG_INFO, event, " topic=%s", change->topic);
        back_send_empty(&change->back);
    } else {
        back_fail_with(&change->back, &errand->job.err);
    }
    free(change);
}

static void
submit(struct ask *ask, const struct change *wish, int (*run)(struct mr_job *job, struct mr_err *))
{
    struct admit *admit = ask->call->gateway->admit;
    struct change *change = mr_alloc(sizeof(*change));
    struct mr_err err = { 0 };
    *change = *wish;
    change->errand = (struct errand){ .job.run = run, .finish = finish };
    change->back = ask->back;
    change->topics = admit_topics(admit);
    change->plan = topics_plan(change->topics);
    mr_topic_format(change->parts.tenant, change->parts.kind, MR_TOPIC_RAW, change->topic);
    if (change->shards == 0)
        change->shards = mr_plan_partitions(change->plan);
    if (errands_submit(ask->call->gateway->errands, &change->errand, &err) == 0)
        return;
    back_fail(&ask->back, FAULT_BUSY, "%s", err.text);
    free(change);
}

/* False, and answered, when there is no contract for what the stream would hold. */
static bool
check_kind(const struct ask *ask, struct mr_slice name, struct mr_topic_name *ret)
{
    const struct topics *topics = admit_topics(ask->call->gateway->admit);
    struct mr_buf kinds;
    if (mr_stream_parse(name, ret) && topics_kind_known(topics, ret->kind))
        return true;
    mr_buf_init(&kinds, KINDS_BYTES_MAX);
    topics_kinds(topics, &kinds);
    back_fail(&ask->back, FAULT_ARGUMENT,
              "Stream %.*s names no kind of event that is known here; name it "
              "streaming-<tenant>-<kind>, kinds are: %s",
              (int)name.size, (const char *)name.data, kinds.size > 0 ? kinds.data : "none");
    mr_buf_fini(&kinds);
    return false;
}

/* Only what would mean something else here is refused. */
static bool
check_options(const struct ask *ask, int64_t shards)
{
    const struct doc *tags = doc_get(ask->map, "Tags");
    if (tags != NULL && tags->count > 0) {
        back_fail(&ask->back, FAULT_ARGUMENT, "Tags are not kept here; create the stream without");
        return false;
    }
    if (shards <= CREATED_SHARDS_MAX)
        return true;
    back_fail(&ask->back, FAULT_LIMIT,
              "This request would exceed the shard limit: %lld shards were asked for, a stream is "
              "made with at most %d",
              (long long)shards, CREATED_SHARDS_MAX);
    return false;
}

void
native_create(struct ask *ask)
{
    struct mr_slice name = ask_stream(ask, true);
    int64_t shards = ask_int(ask, "ShardCount", 1, INT32_MAX, 0);
    struct change change = { .name = name };
    char topic[MR_TOPIC_MAX + 1];
    if (!ask_ok(ask) || !check_kind(ask, name, &change.parts))
        return;
    mr_topic_format(change.parts.tenant, change.parts.kind, MR_TOPIC_RAW, topic);
    if (!check_rights(ask, RIGHT_ADMIN, topic) || !check_options(ask, shards))
        return;
    change.shards = (int)shards;
    submit(ask, &change, run_create);
}

void
native_delete(struct ask *ask)
{
    struct mr_slice name = ask_stream(ask, true);
    struct change change = { .name = name };
    struct stream stream;
    if (!ask_ok(ask) || !find_stream(ask, name, RIGHT_ADMIN, &stream))
        return;
    bool is_stream = mr_stream_parse(name, &change.parts);
    MR_ASSERT(is_stream);
    submit(ask, &change, run_delete);
}
