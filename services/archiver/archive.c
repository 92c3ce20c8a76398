/*
 * The step: take back what the worker has finished, close works that are due, hand over the next
 * ones, then read. Reading waits a little for the worker before it pauses partitions, since a
 * paused partition loses what was fetched of it.
 */
#include "archive.h"

#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "private.h"

/* ---- open and close ---- */

static int
open_parts(struct archive *archive, struct mr_err *err)
{
    const struct archive_options *options = &archive->options;
    struct mr_reader_options reader = { .group = options->group,
                                        .instance = options->instance,
                                        .queue_bytes_max = options->queue_bytes_max };
    if (mr_contracts_open(options->kinds, &archive->contracts, err) != 0 ||
        mr_reader_open(options->bus, &reader, &archive->reader, err) != 0)
        return err->code;
    return archive_subscribe(archive, err);
}

int
archive_open(const struct archive_options *options, struct archive **ret, struct mr_err *err)
{
    MR_ASSERT(options->queue_bytes_max > 0 && options->held_bytes_max > 0);
    struct archive *archive = mr_alloc(sizeof(*archive));
    archive->options = *options;
    mr_arena_init(&archive->arena);
    archive->options.group = archive->group = mr_strdup(options->group);
    archive_cells(archive);
    struct keeper_options keeper = { options->store, options->sql, options->pipeline, NULL,
                                     options->work_dir };
    if (mr_bus_cluster_id(options->bus, &keeper.cluster, ASK_MS_MAX, err) != 0) {
        mr_sql_close(options->sql);
        mr_store_close(options->store);
    } else if (keeper_open(&keeper, &archive->keeper, err) == 0) {
        archive->worker = mr_worker_open(QUEUE_MAX);
        (void)open_parts(archive, err);
    }
    if (err->code != 0) {
        archive_close(archive);
        return err->code;
    }
    *ret = archive;
    return 0;
}

void
archive_close(struct archive *archive)
{
    if (archive == NULL)
        return;
    archive_forget(archive);
    while (archive->worker != NULL && mr_worker_pending(archive->worker) > 0)
        work_free((struct work *)mr_worker_done(archive->worker, CLOSE_WAIT_MS));
    mr_worker_close(archive->worker);
    keeper_close(archive->keeper);
    mr_reader_close(archive->reader);
    mr_contracts_close(archive->contracts);
    for (size_t i = 0; i < archive->retired_count; i++)
        mr_contracts_close(archive->retired[i]);
    free(archive->retired);
    mr_arena_fini(&archive->arena);
    free(archive->group);
    free(archive);
}

/* ---- contracts ---- */

static bool
is_newer(const struct mr_contracts *now, const struct mr_contracts *next, bool *ret_kinds_differ)
{
    bool newer = false;
    *ret_kinds_differ = mr_contracts_count(now) != mr_contracts_count(next);
    for (size_t i = 0; i < mr_contracts_count(next); i++) {
        const struct mr_kind *kind = mr_contracts_at(next, i);
        const struct mr_kind *old = mr_contracts_find(now, kind->name);
        *ret_kinds_differ |= old == NULL;
        newer |= old == NULL || kind->version > old->version;
    }
    return newer || *ret_kinds_differ;
}

int
archive_reload(struct archive *archive, struct mr_err *err)
{
    struct mr_contracts *next = NULL;
    bool kinds_differ;
    if (mr_contracts_open(archive->options.kinds, &next, err) != 0)
        return err->code;
    if (mr_contracts_compatible(archive->contracts, next, err) != 0 ||
        !is_newer(archive->contracts, next, &kinds_differ)) {
        mr_contracts_close(next);
        return err->code;
    }
    archive->retired =
        mr_realloc(archive->retired, (archive->retired_count + 1) * sizeof(*archive->retired));
    archive->retired[archive->retired_count++] = archive->contracts;
    archive->contracts = next;
    for (size_t i = 0; i < archive->targets_count; i++) {
        struct target *target = archive->targets[i];
        sink_close(&target->sink);
        if (target->kind != NULL)
            target->kind = mr_contracts_find(next, target->kind_name);
    }
    for (size_t i = 0; i < archive->parts_count; i++) {
        struct part *part = &archive->parts[i];
        if (!part->waits_for_contract)
            continue;
        part->seek_due = true;
        part->waits_for_contract = false;
        part->trouble[0] = '\0';
    }
    return kinds_differ ? archive_subscribe(archive, err) : 0;
}

/* ---- the step ---- */

static int
take_back(struct archive *archive, int wait_ms, struct mr_err *err)
{
    struct mr_job *job;
    while ((job = mr_worker_done(archive->worker, wait_ms)) != NULL) {
        struct work *work = (struct work *)job;
        int code = 0;
        archive->look_ms = mr_now_ms() + LOOK_MS;
        if (work->type == WORK_LOOK)
            work_free(work);
        else if (work->type == WORK_START)
            code = archive_started(archive, work, err);
        else
            code = archive_settled(archive, work, err);
        if (code != 0)
            return code;
        wait_ms = 0;
    }
    return 0;
}

static bool
is_blocked(const struct archive *archive)
{
    bool blocked = false;
    for (size_t i = 0; i < archive->parts_count; i++) {
        const struct part *part = &archive->parts[i];
        bool stands_anyway = !part->is_ours || part->trouble[0] != '\0';
        blocked |= !stands_anyway && !archive_may_flow(archive, part);
    }
    return blocked;
}

/* Nothing is read before each reader's position is where the next record has to come from, or one
 * would be passed over. STALE: the partitions go, which the next poll tells. */
static int
place_part(struct archive *archive, uint32_t slot, struct mr_err *err)
{
    struct part *part = &archive->parts[slot];
    bool pause = !archive_may_flow(archive, part);
    int code = 0;
    if (part->seek_due)
        code = mr_reader_seek(archive->reader, slot, part->next, err);
    if (code != 0)
        return code;
    part->seek_due = false;
    if (pause == part->paused && !part->pause_failed)
        return 0;
    code = mr_reader_pause(archive->reader, slot, pause, err);
    part->pause_failed = code != 0;
    if (code == 0)
        part->paused = pause;
    return code;
}

static int
place_parts(struct archive *archive, struct mr_err *err)
{
    for (size_t i = 0; i < archive->parts_count; i++) {
        struct mr_err why = { 0 };
        int code = place_part(archive, (uint32_t)i, &why);
        if (code != 0 && code != MR_E(STALE))
            return mr_fail(err, code, why.remedy, "%s", why.text);
    }
    return 0;
}

static int
read_some(struct archive *archive, int wait_ms, struct mr_err *err)
{
    struct mr_batch batch;
    int count = mr_reader_poll(archive->reader, POLL_RECORDS_MAX, wait_ms, &batch, err);
    if (count < 0)
        return archive_unread(archive, err);
    int code = 0;
    switch (batch.event) {
    case MR_BUS_ASSIGNED:
        code = archive_assigned(archive, &batch, err);
        break;
    case MR_BUS_REVOKED:
    case MR_BUS_LOST:
        code = archive_released(archive, err);
        break;
    case MR_BUS_RECORDS:
        archive_take(archive, batch.records, batch.count);
        break;
    }
    return code != 0 ? code : count;
}

static int
look(struct mr_job *job, struct mr_err *err)
{
    struct mr_err why = { 0 };
    (void)err;
    (void)mr_store_head(((struct work *)job)->keeper->store, "tables", NULL, NULL, &why);
    return 0;
}

/* Who has nothing to write would not notice that it could not. */
static void
look_at_store(struct archive *archive)
{
    struct mr_err full = { 0 };
    if (mr_now_ms() < archive->look_ms || mr_worker_pending(archive->worker) > 0)
        return;
    archive->look_ms = mr_now_ms() + LOOK_MS;
    struct work *work = mr_alloc(sizeof(*work));
    *work = (struct work){ .job = { .run = look }, .type = WORK_LOOK, .keeper = archive->keeper };
    if (mr_worker_submit(archive->worker, &work->job, &full) != 0)
        work_free(work);
}

/* Settled works, due works, the worker's next ones. */
static int
tend(struct archive *archive, int wait_ms, struct mr_err *err)
{
    if (take_back(archive, wait_ms, err) != 0 || archive_start_again(archive, err) != 0)
        return err->code;
    archive_rotate(archive, false);
    if (archive_submit(archive, err) != 0)
        return err->code;
    look_at_store(archive);
    return 0;
}

int
archive_step(struct archive *archive, int wait_ms, struct mr_err *err)
{
    if (tend(archive, 0, err) != 0)
        return err->code;
    int64_t now_ms = mr_now_ms();
    bool blocked = is_blocked(archive);
    if (!blocked)
        archive->blocked_ms = 0;
    else if (archive->blocked_ms == 0)
        archive->blocked_ms = now_ms;
    int busy_wait_ms = wait_ms < WORKER_WAIT_MS ? wait_ms : WORKER_WAIT_MS;
    bool waits = blocked && now_ms - archive->blocked_ms < PATIENCE_MS;
    if (waits || archive->phase == PHASE_RESOLVING) {
        if (tend(archive, busy_wait_ms, err) != 0)
            return err->code;
    } else if (place_parts(archive, err) != 0) {
        return err->code;
    }
    int count = 0;
    if (!waits)
        count = read_some(archive, mr_worker_pending(archive->worker) > 0 ? busy_wait_ms : wait_ms,
                          err);
    if (count < 0)
        archive_show(archive);
    if (count < 0 || archive_survey(archive, err) != 0)
        return err->code;
    archive_answer(archive);
    return count;
}

bool
archive_flush(struct archive *archive)
{
    archive_rotate(archive, true);
    for (size_t i = 0; i < archive->parts_count; i++)
        if (archive->parts[i].held > 0)
            return false;
    return true;
}

int
archive_drain(struct archive *archive, struct mr_err *err)
{
    int64_t deadline_ms = mr_now_ms() + DRAIN_MS_MAX;
    while (archive->phase == PHASE_FLOWING && !archive_flush(archive)) {
        if (mr_now_ms() > deadline_ms)
            return mr_fail(err, MR_E(TIMEOUT), MR_FATAL, "not everything could be written: %s",
                           archive->trouble);
        if (archive_submit(archive, err) != 0 || take_back(archive, WORKER_WAIT_MS, err) != 0)
            return err->code;
    }
    archive->survey_ms = 0;
    (void)archive_survey(archive, err);
    archive_answer(archive);
    return err->code;
}
