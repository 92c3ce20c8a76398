/*
 * Records go into works, works go to the worker one at a time for each sink, and what comes back
 * moves the partition's durable position. The budget counts everything that was taken and is not
 * durable: at half of it the largest work is closed early, at all of it nothing more is read.
 */
#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "log/log.h"
#include "private.h"

/* ---- sinks ---- */

static size_t
work_bytes(const struct work *work)
{
    if (work->type == WORK_RAW)
        return ((const struct raw_object *)work)->lines.capacity;
    return delta_batch_bytes((const struct delta_batch *)work);
}

void
sink_close(struct sink *sink)
{
    struct work *work = MR_TAKE(sink->filling);
    if (work == NULL)
        return;
    if (sink->tail != NULL)
        sink->tail->next = work;
    else
        sink->head = work;
    sink->tail = work;
    sink->closed++;
}

static struct work *
sink_pop(struct sink *sink)
{
    struct work *work = sink->head;
    sink->head = work->next;
    if (sink->head == NULL)
        sink->tail = NULL;
    sink->closed--;
    sink->attempts = 0;
    sink->retry_ms = 0;
    return work;
}

/* Drops all of it; a work that is away is freed when it comes back. */
void
sink_empty(struct sink *sink)
{
    work_free(MR_TAKE(sink->filling));
    while (sink->head != NULL) {
        bool is_away = sink->is_away;
        struct work *work = sink_pop(sink);
        if (!is_away)
            work_free(work);
        sink->is_away = false;
    }
}

static size_t
sink_bytes(const struct sink *sink)
{
    size_t bytes = sink->filling != NULL ? work_bytes(sink->filling) : 0;
    for (const struct work *work = sink->head; work != NULL; work = work->next)
        bytes += work_bytes(work);
    return bytes;
}

static struct sink *
sink_at(struct archive *archive, size_t i)
{
    return i < archive->parts_count ? &archive->parts[i].sink
                                    : &archive->targets[i - archive->parts_count]->sink;
}

static size_t
sinks_count(const struct archive *archive)
{
    return archive->parts_count + archive->targets_count;
}

int64_t
archive_held(const struct archive *archive)
{
    size_t bytes = 0;
    for (size_t i = 0; i < archive->parts_count; i++)
        bytes += sink_bytes(&archive->parts[i].sink);
    for (size_t i = 0; i < archive->targets_count; i++)
        bytes += sink_bytes(&archive->targets[i]->sink);
    return (int64_t)bytes;
}

/* ---- records ---- */

static void
take_raw(struct part *part, const struct mr_record *record)
{
    struct raw_object *object = (struct raw_object *)part->sink.filling;
    if (object != NULL && !raw_object_continues(object, record->offset)) {
        sink_close(&part->sink);
        object = NULL;
    }
    if (object == NULL) {
        object = raw_object_new(&part->bus, part->next, record->offset);
        part->sink.filling = &object->work;
    }
    raw_object_put(object, record);
}

static int
take_row(struct archive *archive, struct part *part, const struct mr_record *record,
         struct mr_err *err)
{
    struct target *target = part->target;
    if (target->sink.filling == NULL)
        target->sink.filling = &delta_batch_new(target->name, target->kind)->work;
    struct delta_batch *batch = (struct delta_batch *)target->sink.filling;
    int code = delta_batch_put(batch, &part->bus, part->next, record, &archive->arena, err);
    if (batch->work.records == 0)
        work_free(MR_TAKE(target->sink.filling));
    return code;
}

/* The record cannot be taken now: the partition stops in front of it, the others flow on. */
static void
stop(struct part *part, const struct mr_err *why)
{
    (void)snprintf(part->trouble, sizeof(part->trouble), "%.250s", why->text);
    part->waits_for_contract = why->code == MR_E(UNSUPPORTED);
    mr_log_err(MR_LOG_ERROR, "partition-stopped", why, "");
}

static void
take(struct archive *archive, const struct mr_record *record)
{
    struct part *part = &archive->parts[record->slot];
    if (record->is_end) {
        part->at_end = true;
        part->end = record->offset > part->end ? record->offset : part->end;
        part->fresh_ms = mr_wall_ms();
        return;
    }
    /* Behind a stop the rest of the poll comes again; below next it has been taken before. */
    if (!part->is_ours || part->trouble[0] != '\0' || record->offset < part->next)
        return;
    struct mr_err why = { 0 };
    if (part->target == NULL)
        take_raw(part, record);
    else
        (void)take_row(archive, part, record, &why);
    if (why.code != 0) {
        stop(part, &why);
        return;
    }
    part->next = record->offset + 1;
    part->fresh_ms = record->time_ms;
    part->at_end = false;
    part->held++;
}

static bool
is_full(const struct work *work, const struct archive_rotation *rotation)
{
    return work->records >= rotation->records || (int64_t)work_bytes(work) >= rotation->bytes;
}

void
archive_take(struct archive *archive, const struct mr_record *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct part *part = &archive->parts[records[i].slot];
        take(archive, &records[i]);
        mr_arena_reset(&archive->arena);
        const struct archive_rotation *rotation =
            part->target == NULL ? &archive->options.raw : &archive->options.table;
        struct sink *sink = part->target == NULL ? &part->sink : &part->target->sink;
        if (sink->filling != NULL && is_full(sink->filling, rotation))
            sink_close(sink);
    }
}

/* ---- closing works ---- */

static void
close_old(struct sink *sink, int64_t age_ms, bool everything, int64_t now_ms)
{
    if (sink->filling != NULL && (everything || now_ms - sink->filling->opened_ms >= age_ms))
        sink_close(sink);
}

void
archive_rotate(struct archive *archive, bool everything)
{
    int64_t now_ms = mr_now_ms();
    for (size_t i = 0; i < archive->parts_count; i++)
        close_old(&archive->parts[i].sink, archive->options.raw.age_ms, everything, now_ms);
    for (size_t i = 0; i < archive->targets_count; i++)
        close_old(&archive->targets[i]->sink, archive->options.table.age_ms, everything, now_ms);

    int64_t held = archive_held(archive), most = archive->options.held_bytes_max;
    mr_set(archive->held_bytes, held);
    struct sink *largest = NULL;
    for (size_t i = 0; held > most / 2 && i < sinks_count(archive); i++) {
        struct sink *sink = sink_at(archive, i);
        if (sink->filling != NULL && sink->head == NULL &&
            (largest == NULL || work_bytes(sink->filling) > work_bytes(largest->filling)))
            largest = sink;
    }
    if (largest != NULL)
        sink_close(largest);
    archive->over_budget = held > (archive->over_budget ? most / 4 * 3 : most);
}

bool
archive_may_flow(const struct archive *archive, const struct part *part)
{
    const struct sink *sink = part->target == NULL ? &part->sink : &part->target->sink;
    return part->is_ours && part->trouble[0] == '\0' && !archive->over_budget &&
           sink->closed < CLOSED_MAX;
}

/* ---- to the worker and back ---- */

int
archive_submit(struct archive *archive, struct mr_err *err)
{
    int64_t now_ms = mr_now_ms();
    for (size_t i = 0; i < sinks_count(archive); i++) {
        struct sink *sink = sink_at(archive, i);
        if (sink->head == NULL || sink->is_away || now_ms < sink->retry_ms)
            continue;
        struct work *work = sink->head;
        work->keeper = archive->keeper;
        work->sink = sink;
        work->generation = archive->generation;
        if (mr_worker_submit(archive->worker, &work->job, err) != 0)
            return err->code;
        sink->is_away = true;
    }
    return 0;
}

static struct part *
part_of(struct archive *archive, const struct mr_part *bus, uint32_t *ret_slot)
{
    for (size_t i = 0; i < archive->parts_count; i++)
        if (archive->parts[i].bus.partition == bus->partition &&
            strcmp(archive->parts[i].bus.topic, bus->topic) == 0) {
            *ret_slot = (uint32_t)i;
            return &archive->parts[i];
        }
    return NULL;
}

/* The store is further than we knew: what is held is there already, or must be read again. */
static void
go_on_from(struct part *part, int64_t next)
{
    part->next = part->durable = next;
    part->held = 0;
    part->at_end = false;
    part->seek_due = true;
}

static void
raw_settled(struct archive *archive, struct raw_object *object)
{
    uint32_t slot = 0;
    while (&archive->parts[slot].sink != object->work.sink)
        slot++;
    struct part *part = &archive->parts[slot];
    int64_t expected = object->first + object->work.records;
    part->object = object->first;
    part->durable = object->next;
    part->held -= object->work.records;
    mr_observe_us(archive->raw_seconds, object->work.took_us);
    if (!object->adopted) {
        mr_add(archive->objects, 1);
        mr_add(archive->object_records, object->work.records);
        mr_add(archive->object_bytes, (int64_t)object->lines.size);
        return;
    }
    mr_add(archive->adopted, 1);
    mr_log(MR_LOG_INFO, "object-adopted", " topic=%s part=%d from=%lld next=%lld", object->topic,
           (int)object->partition, (long long)object->from, (long long)object->next);
    if (object->next == expected)
        return;
    sink_empty(&part->sink);
    go_on_from(part, object->next);
}

static void
table_counted(struct archive *archive, struct target *target, const struct delta_batch *batch)
{
    for (size_t i = 0; i < batch->ranges_count; i++) {
        const struct delta_range *range = &batch->ranges[i];
        uint32_t slot;
        struct part *part = part_of(archive, &range->part, &slot);
        MR_ASSERT(part != NULL);
        part->durable = range->next;
        part->held -= range->rows;
        part->good += range->good;
        part->repeated += range->repeated;
        if (target->kind == NULL)
            continue;
        mr_add(target->outcomes[0], range->rows);
        mr_add(target->outcomes[1], range->good);
        mr_add(target->outcomes[2], range->repeated);
    }
    target->version = batch->version;
    mr_add(target->rows, batch->rows_written);
    mr_add(target->commits, 1);
    if (target->differing != NULL)
        mr_add(target->differing, batch->differing);
}

/* Somebody else has committed records of this batch. Its partitions go on where the table stands;
 * those that it does not hold go back to what is durable. */
static void
table_stale(struct archive *archive, struct target *target, const struct delta_batch *batch)
{
    mr_add(target->stale, 1);
    mr_log_err(MR_LOG_INFO, "batch-stale", &batch->work.job.err, " table=%s", target->name);
    for (size_t i = 0; i < batch->ranges_count; i++) {
        uint32_t slot;
        struct part *part = part_of(archive, &batch->ranges[i].part, &slot);
        MR_ASSERT(part != NULL);
        part->durable = batch->ranges[i].next;
        part->good = batch->ranges[i].good;
        part->repeated = batch->ranges[i].repeated;
    }
    sink_empty(&target->sink);
    for (size_t i = 0; i < archive->parts_count; i++) {
        struct part *part = &archive->parts[i];
        if (part->target == target)
            go_on_from(part, part->durable);
    }
}

static struct target *
target_of_sink(struct archive *archive, const struct sink *sink)
{
    for (size_t i = 0; i < archive->targets_count; i++)
        if (&archive->targets[i]->sink == sink)
            return archive->targets[i];
    return NULL;
}

/* The sink whose first work has failed longest, or NULL. */
static const struct sink *
failing(const struct archive *archive)
{
    const struct sink *longest = NULL;
    for (size_t i = 0; i < sinks_count(archive); i++) {
        const struct sink *sink = sink_at((struct archive *)archive, i);
        if (sink->attempts > 0 && (longest == NULL || sink->failing_ms < longest->failing_ms))
            longest = sink;
    }
    return longest;
}

int64_t
archive_failing_ms(const struct archive *archive)
{
    const struct sink *sink = failing(archive);
    return sink != NULL ? mr_now_ms() - sink->failing_ms : 0;
}

static int64_t
work_time_ms(const struct work *work, const struct part *part)
{
    if (work->type == WORK_RAW)
        return ((const struct raw_object *)work)->time_ms;
    const struct delta_batch *batch = (const struct delta_batch *)work;
    for (size_t i = 0; i < batch->ranges_count; i++)
        if (batch->ranges[i].part.partition == part->bus.partition &&
            strcmp(batch->ranges[i].part.topic, part->bus.topic) == 0)
            return batch->ranges[i].time_ms;
    return 0;
}

int64_t
archive_held_time_ms(const struct part *part)
{
    const struct sink *sink = part->target == NULL ? &part->sink : &part->target->sink;
    int64_t time_ms = 0;
    for (const struct work *work = sink->head; work != NULL && time_ms == 0; work = work->next)
        time_ms = work_time_ms(work, part);
    if (time_ms == 0 && sink->filling != NULL)
        time_ms = work_time_ms(sink->filling, part);
    return time_ms;
}

void
archive_failed(struct archive *archive, const struct mr_err *why)
{
    (void)snprintf(archive->trouble, sizeof(archive->trouble), "%.250s", why->text);
    mr_add(archive->failures, 1);
    if (mr_log_due(&archive->gate, SAY_AGAIN_MS))
        mr_log_err(MR_LOG_WARN, "work-failed", why, " failing_s=%lld",
                   (long long)(archive_failing_ms(archive) / 1000));
}

int
archive_settled(struct archive *archive, struct work *work, struct mr_err *err)
{
    struct sink *sink = work->sink;
    int code = work->job.result;
    if (work->generation != archive->generation) {
        work_free(work);
        return 0;
    }
    MR_ASSERT(sink->is_away && sink->head == work);
    sink->is_away = false;
    struct target *target = work->type == WORK_TABLE ? target_of_sink(archive, sink) : NULL;
    if (target != NULL)
        mr_add(target->conflicts, ((struct delta_batch *)work)->conflicts);
    if (code != 0 && code != MR_E(STALE)) {
        if (work->job.err.remedy == MR_FATAL)
            return mr_fail(err, code, MR_FATAL, "%s", work->job.err.text);
        if (sink->attempts == 0)
            sink->failing_ms = mr_now_ms();
        sink->retry_ms = mr_now_ms() + mr_backoff_ms(sink->attempts++);
        archive_failed(archive, &work->job.err);
        work->job.result = 0;
        work->job.err = (struct mr_err){ 0 };
        return 0;
    }
    (void)sink_pop(sink);
    if (failing(archive) == NULL) /* one good work does not make up for another */
        archive->trouble[0] = '\0';
    if (work->type == WORK_RAW) {
        raw_settled(archive, (struct raw_object *)work);
    } else if (code == MR_E(STALE)) {
        table_stale(archive, target, (struct delta_batch *)work);
    } else {
        mr_observe_us(archive->table_seconds, work->took_us);
        table_counted(archive, target, (struct delta_batch *)work);
    }
    work_free(work);
    return 0;
}
