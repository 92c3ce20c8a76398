/*
 * Partitions come and go. Where each one starts is found by the worker, in the store and in the
 * tables (never from the group's offsets); until it has been found nothing is fetched. When
 * partitions go, what is held of them is dropped: their next owner reads it again, and a work that
 * is still away cannot double anything.
 */
#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "log/log.h"
#include "private.h"

/* ---- the work that finds start offsets ---- */

struct start_part {
    struct delta_place place; /* table "": raw objects */
    int64_t object;           /* as in struct part */
    bool is_ours;
};

struct start {
    struct work work; /* first */
    struct start_part *parts;
    size_t count;
};

static int
find_starts(struct mr_job *job, struct mr_err *err)
{
    struct start *start = (struct start *)job;
    for (size_t i = 0; i < start->count && err->code == 0; i++) {
        struct delta_place *place = &start->parts[i].place;
        if (!start->parts[i].is_ours)
            place->part.start = place->part.end;
        else if (place->table[0] == '\0')
            (void)raw_start(start->work.keeper, &place->part, &start->parts[i].object, err);
        else
            (void)delta_start(start->work.keeper, place, err);
    }
    return err->code;
}

static void
start_free(struct start *start)
{
    free(start->parts);
    free(start);
}

void
work_free(struct work *work)
{
    if (work == NULL)
        return;
    switch (work->type) {
    case WORK_START:
        start_free((struct start *)work);
        break;
    case WORK_LOOK:
        free(work);
        break;
    case WORK_RAW:
        raw_object_free((struct raw_object *)work);
        break;
    case WORK_TABLE:
        delta_batch_free((struct delta_batch *)work);
        break;
    }
}

/* ---- which topics ---- */

int
archive_subscribe(struct archive *archive, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf pattern;
    mr_buf_init(&pattern, 1 << 20);
    mr_buf_text(&pattern, "^[A-Za-z0-9_-]+[.](");
    for (size_t i = 0; i < mr_contracts_count(archive->contracts); i++)
        mr_buf_printf(&pattern, "%s%s", i > 0 ? "|" : "",
                      mr_contracts_at(archive->contracts, i)->name);
    mr_buf_printf(&pattern, ")(%s|%s)?$", "[.]clean", "[.]dead");
    MR_ASSERT(!pattern.failed);
    const char *topics[] = { pattern.data };
    return mr_reader_subscribe(archive->reader, topics, 1, err);
}

/* ---- coming ---- */

static struct target *
target_of(struct archive *archive, const struct mr_topic_name *name)
{
    bool is_dead = name->role == MR_TOPIC_DEAD;
    char table[MR_TABLE_MAX + 1];
    mr_table_name(name->tenant, is_dead ? "dead" : name->kind, table);
    for (size_t i = 0; i < archive->targets_count; i++)
        if (strcmp(archive->targets[i]->name, table) == 0)
            return archive->targets[i];
    struct target *target = mr_alloc(sizeof(*target));
    memcpy(target->name, table, sizeof(target->name));
    memcpy(target->tenant, name->tenant, sizeof(target->tenant));
    (void)snprintf(target->kind_name, sizeof(target->kind_name), "%s",
                   is_dead ? "dead" : name->kind);
    target->kind = is_dead ? NULL : mr_contracts_find(archive->contracts, name->kind);
    target->version = -1;
    target_cells(archive, target);
    archive->targets =
        mr_realloc(archive->targets, (archive->targets_count + 1) * sizeof(*archive->targets));
    archive->targets[archive->targets_count++] = target;
    return target;
}

static void
part_init(struct archive *archive, struct part *part, const struct mr_part *bus)
{
    *part = (struct part){ .bus = *bus, .object = -1, .committed = bus->committed };
    part->is_ours = mr_topic_parse(bus->topic, &part->name) && part->name.role != MR_TOPIC_VALID &&
                    mr_contracts_find(archive->contracts, part->name.kind) != NULL;
    if (part->is_ours && part->name.role != MR_TOPIC_RAW)
        part->target = target_of(archive, &part->name);
    part_cells(archive, part);
}

static int
submit_start(struct archive *archive, struct mr_err *err)
{
    MR_ASSERT(archive->start == NULL);
    struct start *start = mr_alloc(sizeof(*start));
    start->work = (struct work){ .job = { .run = find_starts },
                                 .type = WORK_START,
                                 .keeper = archive->keeper,
                                 .generation = archive->generation };
    start->parts = mr_alloc((archive->parts_count + 1) * sizeof(*start->parts));
    start->count = archive->parts_count;
    for (size_t i = 0; i < start->count; i++) {
        const struct part *part = &archive->parts[i];
        struct delta_place *to = &start->parts[i].place;
        to->part = part->bus;
        start->parts[i].is_ours = part->is_ours;
        if (part->target != NULL) {
            memcpy(to->table, part->target->name, sizeof(to->table));
            to->schema = delta_schema(part->target->kind);
        }
    }
    if (mr_worker_submit(archive->worker, &start->work.job, err) != 0) {
        start_free(start);
        return err->code;
    }
    archive->start = &start->work;
    return 0;
}

int
archive_assigned(struct archive *archive, const struct mr_batch *batch, struct mr_err *err)
{
    if (archive->phase == PHASE_RESOLVING)
        return 0; /* told again until it is answered */
    archive_forget(archive);
    archive->parts = mr_alloc((batch->parts_count + 1) * sizeof(*archive->parts));
    archive->parts_count = batch->parts_count;
    for (size_t i = 0; i < batch->parts_count; i++)
        part_init(archive, &archive->parts[i], &batch->parts[i]);
    archive->phase = PHASE_RESOLVING;
    archive->start_attempts = 0;
    return submit_start(archive, err);
}

/* Behind the last archived record there were only markers up to where the log begins now: so the
 * group was told when that record was durable. A store that was set back does not fit the note. */
static bool
is_through(const struct mr_part *part)
{
    const char *next = strstr(part->note, "next=");
    return part->committed >= part->log_start && next != NULL &&
           strtoll(next + strlen("next="), NULL, 10) == part->start;
}

/* A start that lies outside of the log would lose records or belongs to another topic. The end is
 * asked for again: it may have moved since the assignment. */
static int
check_start(struct archive *archive, struct mr_part *part, struct mr_err *err)
{
    if (part->start > part->end) {
        struct mr_offsets now = { .topic = part->topic, .partition = part->partition };
        if (mr_bus_offsets(archive->options.bus, NULL, &now, 1, ASK_MS_MAX, err) != 0)
            return err->code;
        part->end = now.end;
    }
    if (part->start > part->end)
        return mr_fail(err, MR_E(IDENTITY), MR_FATAL,
                       "topic %s part %d: the archive stands at %lld, behind the log's end %lld: "
                       "it is of another cluster, or the topic was cut",
                       part->topic, (int)part->partition, (long long)part->start,
                       (long long)part->end);
    if (part->start < part->log_start && !is_through(part))
        return mr_fail(
            err, MR_E(IDENTITY), MR_FATAL,
            "topic %s part %d: [%lld, %lld) is gone from the log and not in the archive; "
            "adopt the present start only if that range may be left out",
            part->topic, (int)part->partition, (long long)part->start, (long long)part->log_start);
    return 0;
}

int
archive_started(struct archive *archive, struct work *work, struct mr_err *err)
{
    struct start *start = (struct start *)work;
    if (work->generation != archive->generation) {
        work_free(work);
        return 0;
    }
    archive->start = NULL;
    if (work->job.result != 0) {
        struct mr_err why = work->job.err;
        work_free(work);
        if (why.remedy != MR_RETRY)
            return mr_fail(err, why.code, MR_FATAL, "%s", why.text);
        archive_failed(archive, &why);
        archive->start_retry_ms = mr_now_ms() + mr_backoff_ms(archive->start_attempts++);
        return 0;
    }
    MR_ASSERT(start->count == archive->parts_count);
    MR_CLEANUP(mr_freep)
    struct mr_part *parts = mr_alloc((start->count + 1) * sizeof(*parts));
    for (size_t i = 0; i < start->count && err->code == 0; i++) {
        struct part *part = &archive->parts[i];
        const struct delta_place *place = &start->parts[i].place;
        part->bus = place->part;
        part->object = part->target == NULL && part->is_ours ? start->parts[i].object : -1;
        part->good = place->good;
        part->repeated = place->repeated;
        (void)check_start(archive, &part->bus, err);
        part->next = part->durable = part->bus.start;
        part->end = part->bus.end;
        part->fresh_ms = mr_wall_ms();
        parts[i] = part->bus;
        if (parts[i].start < parts[i].log_start)
            parts[i].start = parts[i].log_start;
    }
    size_t count = start->count;
    work_free(work);
    if (err->code == 0 && mr_reader_assign(archive->reader, parts, count, err) == MR_E(STALE)) {
        *err = (struct mr_err){ 0 }; /* they go again, as the next poll tells */
        archive->start_retry_ms = mr_now_ms() + mr_backoff_ms(archive->start_attempts++);
        return 0;
    }
    if (err->code != 0)
        return err->code;
    mr_log(MR_LOG_INFO, "assigned", " parts=%zu tables=%zu", count, archive->targets_count);
    archive->phase = PHASE_FLOWING;
    archive->survey_ms = 0;
    archive->trouble[0] = '\0';
    return 0;
}

int
archive_start_again(struct archive *archive, struct mr_err *err)
{
    if (archive->phase != PHASE_RESOLVING || archive->start != NULL ||
        mr_now_ms() < archive->start_retry_ms)
        return 0;
    return submit_start(archive, err);
}

/* ---- going ---- */

void
archive_forget(struct archive *archive)
{
    archive->generation++; /* works that are away come back to nobody */
    archive->start = NULL;
    for (size_t i = 0; i < archive->parts_count; i++) {
        sink_empty(&archive->parts[i].sink);
        mr_metrics_hide(archive->parts[i].lag_records);
        mr_metrics_hide(archive->parts[i].lag_seconds);
    }
    for (size_t i = 0; i < archive->targets_count; i++) {
        sink_empty(&archive->targets[i]->sink);
        free(archive->targets[i]);
    }
    free(archive->parts);
    free(archive->targets);
    archive->parts = NULL;
    archive->targets = NULL;
    archive->parts_count = archive->targets_count = 0;
    archive->blocked_ms = 0;
    archive->trouble[0] = '\0';
    archive->phase = PHASE_IDLE;
}

int
archive_released(struct archive *archive, struct mr_err *err)
{
    archive_forget(archive);
    return mr_reader_release(archive->reader, err);
}
