/*
 * Which tables there are and what the store holds of each. A refresh is one job on the worker
 * thread: list the topics, read new commits, bring new data files to the local cache, ask where the
 * partitions end. The main thread then takes the result in: a new snapshot replaces the old one,
 * which lives on in the jobs that pinned it, and the tail drops what the snapshot now holds (LAW
 * 25).
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock/clock.h"
#include "letter/letter.h"
#include "log/log.h"
#include "query.h"

enum { ASK_MS_MAX = 3000, STALE_MS = 4000, GROUP_BYTES = 256 };

struct refresh {
    struct mr_job job;
    struct query *q;         /* only what belongs to the worker thread, and names and schemas */
    struct table **tables;   /* as they were at submission */
    struct snapshot **fresh; /* of each table: NULL = as before */
    size_t tables_count;
    struct mr_topic *topics;
    size_t topics_count;
    struct mr_offsets *ends; /* of each lane, asked at asked_us; topic NULL: it is gone */
    char group[GROUP_BYTES]; /* the archiver's, when a lane has a hole; "": not asked */
    size_t ends_count;
    int64_t asked_us; /* before the bus was asked; 0: it did not answer */
};

/* ---- snapshots ---- */

struct snapshot *
snapshot_hold(struct snapshot *snapshot)
{
    atomic_fetch_add(&snapshot->holders, 1);
    return snapshot;
}

/* Both name their files in the order they were added, and seldom is one gone. */
static void
delete_gone(const struct snapshot *snapshot, const struct snapshot *successor)
{
    for (size_t i = 0, next = 0; i < snapshot->files_count; i++) {
        size_t j = next;
        while (j < successor->files_count && strcmp(snapshot->files[i], successor->files[j]) != 0)
            j++;
        if (j < successor->files_count)
            next = j + 1;
        else
            (void)unlink(snapshot->files[i]);
    }
}

void
snapshot_drop(struct snapshot *snapshot)
{
    while (snapshot != NULL && atomic_fetch_sub(&snapshot->holders, 1) == 1) {
        struct snapshot *successor = snapshot->successor;
        if (successor != NULL)
            delete_gone(snapshot, successor);
        for (size_t i = 0; i < snapshot->files_count; i++)
            free(snapshot->files[i]);
        free(snapshot->files);
        free(snapshot->parts);
        if (snapshot->schema.count > 0)
            mr_schema_fini(&snapshot->schema);
        free(snapshot);
        snapshot = successor;
    }
}

static struct snapshot *
snapshot_new(void)
{
    struct snapshot *snapshot = mr_alloc(sizeof(*snapshot));
    snapshot->version = -1;
    atomic_init(&snapshot->holders, 1);
    return snapshot;
}

/* ---- on the worker thread ---- */

static int
fetch_files(struct query *q, struct table *table, struct snapshot *snapshot, struct mr_err *err)
{
    size_t count = 0;
    const struct mr_table_file *files = mr_table_files(table->delta, &count);
    char cache[4096];
    (void)snprintf(cache, sizeof(cache), "%s/cache", q->options.work_dir);
    snapshot->files = mr_alloc((count + 1) * sizeof(*snapshot->files));
    for (size_t i = 0; i < count; i++) {
        if (mr_table_fetch(table->delta, &files[i], cache, &snapshot->files[i], err) != 0)
            return err->code;
        snapshot->files_count = i + 1;
        snapshot->rows += files[i].rows;
    }
    return 0;
}

static int
read_snapshot(struct query *q, struct table *table, struct snapshot **ret, struct mr_err *err)
{
    bool is_first = table->snapshot == NULL;
    if (table->delta == NULL) {
        char path[MR_TABLE_MAX + 8];
        (void)snprintf(path, sizeof(path), "tables/%s", table->name);
        struct mr_table_options options = {
            .store = q->store, .sql = q->sql, .path = path, .work_dir = q->options.work_dir
        };
        int result = mr_table_open(&options, false, &table->delta, err);
        if (result == MR_E(NOT_FOUND)) {
            *err = (struct mr_err){ 0 };
            *ret = is_first ? snapshot_new() : NULL;
            return 0;
        }
        if (result != 0)
            return result;
    } else if (mr_table_refresh(table->delta, err) < 0) {
        return err->code;
    }
    /* Not by the count of new commits: their files may have failed to come the last time. */
    if (!is_first && table->snapshot->version == mr_table_version(table->delta))
        return 0;
    struct snapshot *snapshot = snapshot_new();
    size_t count = 0;
    const struct mr_table_part *parts = mr_table_parts(table->delta, &count);
    snapshot->version = mr_table_version(table->delta);
    mr_schema_copy(mr_table_schema(table->delta), &snapshot->schema);
    snapshot->parts = mr_alloc((count + 1) * sizeof(*parts));
    snapshot->parts_count = count;
    if (count > 0)
        memcpy(snapshot->parts, parts, count * sizeof(*parts));
    if (fetch_files(q, table, snapshot, err) != 0) {
        snapshot_drop(snapshot);
        return err->code;
    }
    *ret = snapshot;
    return 0;
}

static int
by_name(const void *name, const void *topic)
{
    return strcmp(name, ((const struct mr_topic *)topic)->name);
}

/* Of the topics that are there: of one that was deleted nothing can be asked. */
static int
ask_ends(struct query *q, struct refresh *refresh, struct mr_err *err)
{
    size_t count = 0;
    MR_CLEANUP(mr_freep)
    struct mr_offsets *there = mr_alloc((refresh->ends_count + 1) * sizeof(*there));
    for (size_t i = 0; i < refresh->ends_count; i++) {
        struct mr_offsets *one = &refresh->ends[i];
        if (bsearch(one->topic, refresh->topics, refresh->topics_count, sizeof(*refresh->topics),
                    by_name) != NULL)
            there[count++] = *one;
        else
            one->topic = NULL;
    }
    const char *group = refresh->group[0] != '\0' ? refresh->group : NULL;
    if (mr_bus_offsets(q->worker_bus, group, there, count, ASK_MS_MAX, err) != 0)
        return err->code;
    count = 0;
    for (size_t i = 0; i < refresh->ends_count; i++)
        if (refresh->ends[i].topic != NULL)
            refresh->ends[i] = there[count++];
    return 0;
}

static int
ask_bus(struct query *q, struct refresh *refresh, struct mr_err *err)
{
    int64_t asked_us = mr_wall_us();
    if (q->cluster_id == NULL &&
        mr_bus_cluster_id(q->worker_bus, &q->cluster_id, ASK_MS_MAX, err) != 0)
        return err->code;
    if (mr_bus_topics(q->worker_bus, &refresh->topics, &refresh->topics_count, ASK_MS_MAX, err) !=
            0 ||
        ask_ends(q, refresh, err) != 0)
        return err->code;
    refresh->asked_us = asked_us;
    return 0;
}

/* The first error; what could be read stands in refresh all the same. */
static int
run_refresh(struct mr_job *job, struct mr_err *err)
{
    struct refresh *refresh = (struct refresh *)job;
    (void)ask_bus(refresh->q, refresh, err);
    for (size_t i = 0; i < refresh->tables_count; i++) {
        struct mr_err failed = { 0 };
        struct table *table = refresh->tables[i];
        if (read_snapshot(refresh->q, table, &refresh->fresh[i], &failed) == 0)
            continue;
        (void)mr_fail_in(&failed, "table %s", table->name);
        if (err->code == 0)
            *err = failed;
        if (failed.remedy == MR_RETRY) /* the others would wait for the same store */
            break;
    }
    return err->code;
}

/* ---- tables and lanes, on the main thread ---- */

struct table *
catalog_find(struct query *q, const char *name)
{
    for (size_t i = 0; i < q->tables_count; i++)
        if (strcmp(q->tables[i]->name, name) == 0)
            return q->tables[i];
    return NULL;
}

static void
set_contract(struct table *table, const struct mr_kind *contract)
{
    table->contract = contract;
    table->schema = contract != NULL ? &contract->output : mr_letter_schema();
    table->key = contract != NULL && contract->duplicates == MR_KEEP_FIRST ? contract->key_out : -1;
}

static struct table *
find_or_add_table(struct query *q, const struct mr_topic_name *name)
{
    const struct mr_kind *contract = mr_contracts_find(q->contracts, name->kind);
    const char *kind = name->role == MR_TOPIC_DEAD ? "dead" : name->kind;
    char table_name[MR_TABLE_MAX + 1];

    if (contract == NULL)
        return NULL;
    mr_table_name(name->tenant, kind, table_name);
    struct table *table = catalog_find(q, table_name);
    if (table != NULL || q->tables_count == QUERY_TABLES_MAX)
        return table;
    table = mr_alloc(sizeof(*table));
    (void)snprintf(table->name, sizeof(table->name), "%s", table_name);
    (void)snprintf(table->tenant, sizeof(table->tenant), "%s", name->tenant);
    (void)snprintf(table->kind, sizeof(table->kind), "%s", kind);
    set_contract(table, name->role == MR_TOPIC_DEAD ? NULL : contract);
    q->tables = mr_realloc(q->tables, (q->tables_count + 1) * sizeof(*q->tables));
    q->tables[q->tables_count++] = table;
    return table;
}

static struct lane *
find_lane(struct query *q, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < q->lanes_count; i++)
        if (q->lanes[i].part.partition == partition && strcmp(q->lanes[i].part.topic, topic) == 0)
            return &q->lanes[i];
    return NULL;
}

static void
add_lane(struct query *q, struct table *table, const struct mr_topic *topic, int32_t partition)
{
    char id[2 * MR_TOPIC_ID_BYTES + 1];
    q->lanes = mr_realloc(q->lanes, (q->lanes_count + 1) * sizeof(*q->lanes));
    struct lane *lane = &q->lanes[q->lanes_count++];
    /* When the topics were read last, there was nothing of it. */
    *lane = (struct lane){ .table = table, .end_us = q->surveyed_us };
    (void)snprintf(lane->part.topic, sizeof(lane->part.topic), "%s", topic->name);
    memcpy(lane->part.topic_id, topic->id, sizeof(topic->id));
    lane->part.partition = partition;
    mr_hex(topic->id, sizeof(topic->id), id);
    (void)snprintf(lane->app_id, sizeof(lane->app_id), "%s/%s/%s/%s/%d",
                   q->options.service.pipeline, q->cluster_id, id, topic->name, (int)partition);
}

static int
take_topics(struct query *q, const struct refresh *refresh, struct mr_err *err)
{
    for (size_t i = 0; i < refresh->topics_count; i++) {
        const struct mr_topic *topic = &refresh->topics[i];
        struct mr_topic_name name;
        if (!mr_topic_parse(topic->name, &name) ||
            (name.role != MR_TOPIC_CLEAN && name.role != MR_TOPIC_DEAD))
            continue;
        struct table *table = find_or_add_table(q, &name);
        for (int32_t p = 0; table != NULL && p < topic->partitions; p++) {
            const struct lane *lane = find_lane(q, topic->name, p);
            if (lane == NULL && q->lanes_count < QUERY_LANES_MAX)
                add_lane(q, table, topic, p);
            else if (lane != NULL && memcmp(lane->part.topic_id, topic->id, sizeof(topic->id)) != 0)
                return mr_fail(err, MR_E(IDENTITY), MR_FATAL,
                               "topic %s was deleted and made again: its table holds another one",
                               topic->name);
        }
    }
    q->surveyed_us = refresh->asked_us;
    return 0;
}

static int64_t
covered_by(const struct snapshot *snapshot, const struct lane *lane)
{
    for (size_t i = 0; i < snapshot->parts_count; i++)
        if (strcmp(snapshot->parts[i].app_id, lane->app_id) == 0)
            return snapshot->parts[i].next;
    return 0;
}

/* A commit may be ahead of the tail: then the lane goes on behind it. */
static void
cover(struct query *q, struct lane *lane)
{
    int64_t covered = covered_by(lane->table->snapshot, lane);
    if (covered > lane->covered)
        lane->covered = covered;
    if (lane->state == LANE_NEW || lane->next < lane->covered)
        q->must_assign = true;
    if (lane->state == LANE_NEW)
        lane->state = LANE_FLOWS;
    if (lane->next < lane->covered)
        lane->next = lane->covered;
    tail_settle(lane);
}

static void
take_snapshots(struct query *q, struct refresh *refresh)
{
    for (size_t i = 0; i < refresh->tables_count; i++) {
        struct table *table = refresh->tables[i];
        if (refresh->fresh[i] == NULL)
            continue;
        if (table->snapshot != NULL)
            table->snapshot->successor = snapshot_hold(refresh->fresh[i]);
        snapshot_drop(table->snapshot);
        table->snapshot = MR_TAKE(refresh->fresh[i]);
        table->is_fresh = true;
    }
    for (size_t i = 0; i < q->lanes_count; i++) {
        struct lane *lane = &q->lanes[i];
        bool can_start = lane->asked_us > 0 && lane->table->snapshot != NULL;
        if (lane->state == LANE_NEW ? can_start : lane->table->is_fresh)
            cover(q, lane);
    }
    tail_prune(q);
}

/* Only markers stood in the hole: so the archiver noted with its group when its table was there. */
static bool
is_no_loss(const struct lane *lane, const struct mr_offsets *archived)
{
    const char *next = strstr(archived->note, "next=");
    return lane->state == LANE_HOLE && archived->committed >= archived->log_start && next != NULL &&
           strtoll(next + strlen("next="), NULL, 10) == lane->next;
}

/* Its topic was deleted, or is seen again. */
static void
move_lane(struct query *q, struct lane *lane)
{
    bool is_back = lane->state == LANE_GONE;
    lane->state = is_back ? LANE_FLOWS : LANE_GONE;
    q->must_assign = true;
    mr_log(MR_LOG_WARN, is_back ? "topic-back" : "topic-gone", " topic=%s part=%d next=%lld",
           lane->part.topic, (int)lane->part.partition, (long long)lane->next);
}

static void
take_ends(struct query *q, const struct refresh *refresh)
{
    for (size_t i = 0; i < refresh->ends_count; i++) {
        struct lane *lane = &q->lanes[i];
        if ((lane->state == LANE_GONE) != (refresh->ends[i].topic == NULL))
            move_lane(q, lane);
        if (lane->state == LANE_GONE)
            continue;
        lane->part.end = refresh->ends[i].end;
        lane->part.log_start = refresh->ends[i].log_start;
        lane->asked_us = refresh->asked_us;
        if (is_no_loss(lane, &refresh->ends[i])) {
            lane->next = lane->part.log_start;
            q->must_assign = true;
        }
        if (lane->state != LANE_NEW)
            tail_settle(lane);
    }
}

/* ---- the job ---- */

static void
refresh_free(struct refresh *refresh)
{
    for (size_t i = 0; i < refresh->tables_count; i++)
        snapshot_drop(refresh->fresh[i]);
    free(refresh->tables);
    free(refresh->fresh);
    free(refresh->topics);
    free(refresh->ends);
    free(refresh);
}

static int
submit(struct query *q, struct mr_err *err)
{
    struct refresh *refresh = mr_alloc(sizeof(*refresh));
    refresh->job.run = run_refresh;
    refresh->q = q;
    refresh->tables_count = q->tables_count;
    refresh->tables = mr_alloc((q->tables_count + 1) * sizeof(*refresh->tables));
    refresh->fresh = mr_alloc((q->tables_count + 1) * sizeof(struct snapshot *));
    if (q->tables_count > 0)
        memcpy(refresh->tables, q->tables, q->tables_count * sizeof(*q->tables));
    refresh->ends = mr_alloc((q->lanes_count + 1) * sizeof(*refresh->ends));
    refresh->ends_count = q->lanes_count;
    for (size_t i = 0; i < q->lanes_count; i++) {
        refresh->ends[i] = (struct mr_offsets){ .topic = q->lanes[i].part.topic,
                                                .partition = q->lanes[i].part.partition };
        if (q->lanes[i].state == LANE_HOLE)
            (void)snprintf(refresh->group, sizeof(refresh->group), "%s.archiver",
                           q->options.service.pipeline);
    }
    if (mr_worker_submit(q->worker, &refresh->job, err) != 0) {
        refresh_free(refresh);
        return err->code;
    }
    q->is_refreshing = true;
    return 0;
}

static void
look_opened(struct query *q)
{
    if (q->is_opened || q->surveyed_us == 0)
        return;
    for (size_t i = 0; i < q->tables_count; i++)
        if (q->tables[i]->snapshot == NULL)
            return;
    q->is_opened = true;
    folders_sweep_cache(q);
}

static int
take_in(struct query *q, struct refresh *refresh, struct mr_err *err)
{
    const struct mr_err *failed = &refresh->job.err;
    size_t lanes_before = q->lanes_count;
    bool is_good = refresh->job.result == 0;

    (void)snprintf(q->trouble, sizeof(q->trouble), "%s", is_good ? "" : failed->text);
    q->failures = is_good ? 0 : q->failures + 1;
    q->refresh_ms =
        mr_now_ms() + (is_good ? q->options.refresh_ms : mr_backoff_ms(q->failures - 1));
    if (is_good)
        q->refreshed_ms = mr_now_ms();
    else if (failed->code == MR_E(FENCED) || failed->code == MR_E(IDENTITY))
        return *err = *failed, err->code;
    if (refresh->asked_us > 0) {
        take_ends(q, refresh);
        if (take_topics(q, refresh, err) != 0)
            return err->code;
    }
    if (q->lanes_count > lanes_before)
        q->refresh_ms = 0; /* new ones are waiting for their snapshot and ends */
    take_snapshots(q, refresh);
    look_opened(q);
    return 0;
}

int
catalog_step(struct query *q, struct mr_err *err)
{
    if (!q->is_refreshing)
        return mr_now_ms() < q->refresh_ms ? 0 : submit(q, err);
    struct refresh *refresh = (struct refresh *)mr_worker_done(q->worker, 0);
    if (refresh == NULL)
        return 0;
    q->is_refreshing = false;
    int result = take_in(q, refresh, err);
    refresh_free(refresh);
    return result;
}

/* ---- open, reload, close ---- */

const struct mr_metric query_metrics[] = {
    { "millrace_tail_rows", MR_GAUGE, "", "Rows of the live tail." },
    { "millrace_tail_bytes", MR_GAUGE, "", "Memory that the live tail takes." },
};
const size_t query_metrics_count = MR_COUNT(query_metrics);

bool
query_ready(const struct query *q, char *ret_why, size_t size)
{
    int64_t age_ms = mr_now_ms() - q->refreshed_ms;
    if (q->trouble[0] != '\0') {
        (void)snprintf(ret_why, size, "%s", q->trouble);
        return false;
    }
    if (!q->is_opened || age_ms > q->options.refresh_ms + STALE_MS) {
        (void)snprintf(ret_why, size, "the tables have not been read for %lld ms",
                       (long long)age_ms);
        return false;
    }
    for (size_t i = 0; i < q->lanes_count; i++)
        if (q->lanes[i].state == LANE_NEWER && tail_trouble(&q->lanes[i], ret_why, size))
            return false;
    return true;
}

int
catalog_open(struct query *q, struct mr_err *err)
{
    const struct mr_service_options *common = &q->options.service;
    struct mr_store_options store = { .s3_endpoint = common->s3_endpoint };
    const char *const dirs[] = { q->options.work_dir, NULL };
    struct mr_sql_options sql = { .dirs = dirs };
    struct mr_reader_options reader = { .queue_bytes_max = common->memory / 8 };

    q->worker = mr_worker_open(1);
    q->refreshed_ms = mr_now_ms();
    if (mr_reader_open(q->bus, &reader, &q->reader, err) != 0 ||
        mr_store_open(common->store, &store, &q->store, err) != 0)
        return err->code;
    return mr_sql_open(&sql, &q->sql, err);
}

static bool
is_newer(const struct mr_contracts *now, const struct mr_contracts *next)
{
    for (size_t i = 0; i < mr_contracts_count(next); i++) {
        const struct mr_kind *kind = mr_contracts_at(next, i);
        const struct mr_kind *before = mr_contracts_find(now, kind->name);
        if (before == NULL || before->version < kind->version)
            return true;
    }
    return false;
}

int
catalog_reload(struct query *q, struct mr_err *err)
{
    MR_CLEANUP(mr_contracts_closep) struct mr_contracts *next = NULL;
    if (mr_contracts_open(q->options.service.kinds, &next, err) != 0 ||
        mr_contracts_compatible(q->contracts, next, err) != 0)
        return err->code;
    if (!is_newer(q->contracts, next))
        return 0;
    for (size_t i = 0; i < q->tables_count; i++)
        if (q->tables[i]->contract != NULL)
            set_contract(q->tables[i], mr_contracts_find(next, q->tables[i]->kind));
    for (size_t i = 0; i < q->lanes_count; i++)
        if (q->lanes[i].state == LANE_NEWER || q->lanes[i].state == LANE_CORRUPT)
            q->lanes[i].state = LANE_FLOWS;
    /* The old contracts live on: jobs and segments that were made with them hold their schemas. */
    (void)MR_TAKE(q->contracts);
    q->contracts = MR_TAKE(next);
    q->must_assign = true;
    q->refresh_ms = 0;
    return 0;
}

void
catalog_close(struct query *q)
{
    while (q->is_refreshing) {
        struct refresh *refresh = (struct refresh *)mr_worker_done(q->worker, ASK_MS_MAX);
        q->is_refreshing = refresh == NULL;
        if (refresh != NULL)
            refresh_free(refresh);
    }
    mr_worker_close(q->worker);
    for (size_t i = 0; i < q->tables_count; i++) {
        struct table *table = q->tables[i];
        tail_drop_table(table);
        snapshot_drop(table->snapshot);
        mr_table_close(table->delta);
        free(table);
    }
    free(q->tables);
    free(q->lanes);
    free(q->slots);
    mr_reader_close(q->reader);
    mr_sql_close(q->sql);
    mr_store_close(q->store);
    mr_contracts_close(q->contracts);
}
