/*
 * A round is one job of the worker: it takes each run as far as it goes now. While it is under way
 * the runs are the worker's; the waits always are the door's.
 */
#include "gateway/barrier.h"

#include "clock/clock.h"
#include "names/names.h"
#include "rpc/rpc.h"
#include "service/service.h"

#include <millrace/v1/rpc.pb-c.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    RUNS_MAX = 64,
    ROUND_EVERY_MS = 20,
    ASK_MS_MAX = 2000,
    GROUP_BYTES = 256,
};

enum phase { PHASE_VALIDATOR, PHASE_CLEANER, PHASE_QUERY, PHASE_DONE };

/* Offsets that must be reached, by partition. */
struct goal {
    char topic[MR_TOPIC_MAX + 1];
    struct mr_offsets *parts; /* end: to be reached */
    size_t count;
};

struct run {
    struct mr_topic_name name;
    enum phase phase;
    struct goal raw, valid, clean, dead;
    struct wait *waits;
    struct run *next;
};

struct barriers {
    struct barriers_options options;
    struct mr_worker *worker;
    struct mr_rpc_client *query;
    bool is_running;
    struct run *runs;
    size_t runs_count, waiting;
    struct wait *waits; /* for a run to begin */
    int64_t round_ms;   /* when the next is due */
};

/* ---- on the worker ---- */

struct round {
    struct mr_job job;
    struct barriers *barriers;
};

/* The offsets that the group has committed reach the goal. */
static bool
has_reached(const struct barriers *b, const char *stage, const struct goal *goal)
{
    char group[GROUP_BYTES];
    struct mr_err unknown = { 0 };
    bool reached = true;
    MR_CLEANUP(mr_freep) struct mr_offsets *now = mr_alloc((goal->count + 1) * sizeof(*now));
    for (size_t i = 0; i < goal->count; i++)
        now[i] = (struct mr_offsets){ .topic = goal->topic, .partition = goal->parts[i].partition };
    (void)snprintf(group, sizeof(group), "%s.%s", b->options.pipeline, stage);
    if (mr_bus_offsets(b->options.bus, group, now, goal->count, ASK_MS_MAX, &unknown) != 0)
        return false;
    for (size_t i = 0; i < goal->count; i++)
        reached = reached && (goal->parts[i].end == 0 || now[i].committed >= goal->parts[i].end);
    return reached;
}

/* All partitions of the topic with their ends of now: the high watermarks. The markers of one
 * transaction are not written at one moment, so the last stable end may not yet hold records whose
 * offsets are committed already; all of them lie below the high watermark. */
static bool
take_ends(const struct barriers *b, const struct run *run, enum mr_topic_role role,
          struct goal *ret)
{
    MR_CLEANUP(mr_freep) struct mr_topic *topics = NULL;
    struct mr_err unknown = { 0 };
    size_t count = 0;
    int partitions = 0;
    mr_topic_format(run->name.tenant, run->name.kind, role, ret->topic);
    if (mr_bus_topics(b->options.bus, &topics, &count, ASK_MS_MAX, &unknown) != 0)
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(topics[i].name, ret->topic) == 0)
            partitions = topics[i].partitions;
    free(ret->parts);
    ret->count = (size_t)partitions;
    ret->parts = mr_alloc((ret->count + 1) * sizeof(*ret->parts));
    for (int32_t p = 0; p < partitions; p++)
        ret->parts[p] = (struct mr_offsets){ .topic = ret->topic, .partition = p };
    if (partitions == 0 ||
        mr_bus_high_watermarks(b->options.bus, ret->parts, ret->count, ASK_MS_MAX, &unknown) != 0)
        return false;
    for (int32_t p = 0; p < partitions; p++)
        ret->parts[p].end = ret->parts[p].high;
    return true;
}

static bool
is_covered(const Millrace__V1__Freshness *freshness, const struct goal *goal)
{
    for (size_t i = 0; i < goal->count; i++) {
        const struct mr_offsets *part = &goal->parts[i];
        bool reached = part->end == 0;
        for (size_t k = 0; k < freshness->n_covered && !reached; k++) {
            const Millrace__V1__Covered *at = freshness->covered[k];
            reached = at->partition == part->partition && strcmp(at->topic, goal->topic) == 0 &&
                      at->next >= part->end;
        }
        if (!reached)
            return false;
    }
    return true;
}

/* What the query service's answers stand on now; NULL: it did not say. */
static Millrace__V1__Freshness *
ask_query(struct barriers *b)
{
    struct mr_rpc_answer answer;
    struct mr_err unknown = { 0 };
    if (mr_rpc_call(b->query, "Positions", mr_slice(NULL, 0), ASK_MS_MAX, &answer, &unknown) != 0 ||
        answer.status != MR_RPC_OK)
        return NULL;
    return millrace__v1__freshness__unpack(NULL, answer.body.size, answer.body.data);
}

static void
advance(struct barriers *b, struct run *run)
{
    if (run->phase == PHASE_VALIDATOR && has_reached(b, "validator", &run->raw) &&
        take_ends(b, run, MR_TOPIC_VALID, &run->valid))
        run->phase = PHASE_CLEANER;
    if (run->phase == PHASE_CLEANER && has_reached(b, "cleaner", &run->valid) &&
        take_ends(b, run, MR_TOPIC_CLEAN, &run->clean) &&
        take_ends(b, run, MR_TOPIC_DEAD, &run->dead))
        run->phase = PHASE_QUERY;
}

static int
run_round(struct mr_job *job, struct mr_err *err)
{
    struct barriers *b = ((struct round *)job)->barriers;
    bool must_ask = false;
    (void)err;
    for (struct run *run = b->runs; run != NULL; run = run->next) {
        advance(b, run);
        must_ask = must_ask || run->phase == PHASE_QUERY;
    }
    Millrace__V1__Freshness *freshness = must_ask ? ask_query(b) : NULL;
    if (freshness == NULL)
        return 0;
    for (struct run *run = b->runs; run != NULL; run = run->next)
        if (run->phase == PHASE_QUERY && is_covered(freshness, &run->clean) &&
            is_covered(freshness, &run->dead))
            run->phase = PHASE_DONE;
    millrace__v1__freshness__free_unpacked(freshness, NULL);
    return 0;
}

/* ---- runs; on the door's thread, between rounds ---- */

static void
free_run(struct run *run)
{
    free(run->raw.parts);
    free(run->valid.parts);
    free(run->clean.parts);
    free(run->dead.parts);
    free(run);
}

/* The furthest place of each partition where an event of the waits stands. */
static void
add_places(struct goal *raw, const struct post *post)
{
    for (size_t i = 0; i < post->count; i++) {
        const struct event *event = &post->events[i];
        size_t k = 0;
        if (event->code != 0)
            continue;
        while (k < raw->count && raw->parts[k].partition != event->partition)
            k++;
        if (k == raw->count) {
            raw->parts = mr_realloc(raw->parts, ++raw->count * sizeof(*raw->parts));
            raw->parts[k] = (struct mr_offsets){ .partition = event->partition };
        }
        if (raw->parts[k].end < event->offset + 1)
            raw->parts[k].end = event->offset + 1;
    }
}

static bool
has_run(const struct barriers *b, const char *topic)
{
    const struct run *run = b->runs;
    while (run != NULL && strcmp(run->raw.topic, topic) != 0)
        run = run->next;
    return run != NULL;
}

static void
begin_run(struct barriers *b, const char *topic)
{
    struct run *run = mr_alloc(sizeof(*run));
    bool is_parsed = mr_topic_parse(topic, &run->name);
    MR_ASSERT(is_parsed);
    (void)snprintf(run->raw.topic, sizeof(run->raw.topic), "%s", topic);
    for (struct wait **at = &b->waits; *at != NULL;) {
        struct wait *wait = *at;
        if (strcmp(wait->post->events[0].name, topic) != 0) {
            at = &wait->next;
            continue;
        }
        *at = wait->next;
        wait->next = run->waits;
        run->waits = wait;
        add_places(&run->raw, wait->post);
    }
    run->next = b->runs;
    b->runs = run;
    b->runs_count++;
}

static void
begin_runs(struct barriers *b)
{
    struct wait *wait = b->waits;
    while (wait != NULL && b->runs_count < RUNS_MAX) {
        const char *topic = wait->post->events[0].name;
        if (has_run(b, topic)) {
            wait = wait->next;
            continue;
        }
        begin_run(b, topic);
        wait = b->waits;
    }
}

/* Takes out those who are to be told, then tells them: that may change the lists. */
static void
tell(struct barriers *b, struct wait **list, int64_t until_ms, bool is_seen)
{
    struct wait *told = NULL;
    while (*list != NULL) {
        struct wait *wait = *list;
        if (wait->deadline_ms > until_ms) {
            list = &wait->next;
            continue;
        }
        *list = wait->next;
        wait->next = told;
        told = wait;
    }
    while (told != NULL) {
        struct wait *wait = told;
        told = wait->next;
        b->waiting--;
        wait->done(wait, is_seen);
    }
}

static void
finish_runs(struct barriers *b)
{
    for (struct run **at = &b->runs; *at != NULL;) {
        struct run *run = *at;
        if (run->phase != PHASE_DONE && run->waits != NULL) {
            at = &run->next;
            continue;
        }
        *at = run->next;
        b->runs_count--;
        tell(b, &run->waits, INT64_MAX, true);
        free_run(run);
    }
}

void
barriers_serve(void *self)
{
    struct barriers *b = self;
    struct mr_job *job = mr_worker_done(b->worker, 0);
    if (job == NULL)
        return;
    free(job);
    b->is_running = false;
    b->round_ms = mr_now_ms() + ROUND_EVERY_MS;
    finish_runs(b);
}

void
barriers_step(struct barriers *b)
{
    int64_t now_ms = mr_now_ms();
    struct mr_err unknown = { 0 };
    tell(b, &b->waits, now_ms, false);
    for (struct run *run = b->runs; run != NULL; run = run->next)
        tell(b, &run->waits, now_ms, false);
    if (b->is_running || b->waiting == 0 || now_ms < b->round_ms)
        return;
    finish_runs(b); /* those that nobody waits for any more */
    begin_runs(b);
    struct round *round = mr_alloc(sizeof(*round));
    *round = (struct round){ .job.run = run_round, .barriers = b };
    b->is_running = mr_worker_submit(b->worker, &round->job, &unknown) == 0;
    MR_ASSERT(b->is_running); /* one at a time always has room */
}

void
barriers_wait(struct barriers *b, struct wait *wait)
{
    if (b->waiting == WAITS_MAX) {
        wait->done(wait, false);
        return;
    }
    b->waiting++;
    wait->next = b->waits;
    b->waits = wait;
}

size_t
barriers_waiting(const struct barriers *b)
{
    return b != NULL ? b->waiting : 0;
}

int
barriers_fd(const struct barriers *b)
{
    return b != NULL ? mr_worker_fd(b->worker) : -1;
}

int
barriers_open(const struct barriers_options *options, struct barriers **ret, struct mr_err *err)
{
    struct barriers *b = mr_alloc(sizeof(*b));
    b->options = *options;
    if (mr_rpc_dial(options->query, &b->query, err) != 0) {
        free(b);
        return mr_fail_in(err, "option --query %s", options->query);
    }
    b->worker = mr_worker_open(1);
    *ret = b;
    return 0;
}

void
barriers_close(struct barriers *b)
{
    if (b == NULL)
        return;
    mr_worker_close(b->worker);
    mr_rpc_close(b->query);
    while (b->runs != NULL) {
        struct run *run = b->runs;
        b->runs = run->next;
        free_run(run);
    }
    free(b);
}
