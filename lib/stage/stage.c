/*
 * The step of a transactional stage. One rule carries it: whatever fails, the open transaction is
 * aborted and every partition goes back to its committed offset; nothing is mended half-way. So a
 * record is handled in one of two ways only: its outputs and its offset are visible together, or it
 * comes again.
 *
 * Rejected: resuming a transaction call after a timeout (the client library cannot tell late
 * answers of one transaction from those of the next, LAW 8).
 */
#include "stage/stage.h"

#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "stage/private.h"

/* ---- open and close ---- */

static int
check_options(const struct mr_stage_options *options, struct mr_err *err)
{
    if (options->batch_max < 1 || options->batch_max > MR_BUS_BATCH_MAX)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "batch of %zu records is outside 1..%d",
                       options->batch_max, MR_BUS_BATCH_MAX);
    if (options->batch_wait_ms < 0 || options->batch_wait_ms > 1000)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "batch wait %lld ms is outside 0..1000",
                       (long long)options->batch_wait_ms);
    return 0;
}

int
mr_stage_open(const struct mr_stage_options *options, struct mr_stage **ret, struct mr_err *err)
{
    MR_ASSERT(options->handler != NULL && options->handler->handle != NULL);
    if (check_options(options, err) != 0)
        return err->code;
    MR_CLEANUP(mr_stage_closep) struct mr_stage *stage = mr_alloc(sizeof(*stage));
    stage->options = *options;
    stage->live = mr_alloc(MR_BUS_BATCH_MAX * sizeof(*stage->live));
    mr_arena_init(&stage->arena);
    (void)snprintf(stage->id, sizeof(stage->id), "%s.%s.%s", options->pipeline, options->name,
                   options->instance);
    stage->commits =
        mr_metrics_cell(options->metrics, "millrace_stage_commits_total", &options->name);
    stage->aborts =
        mr_metrics_cell(options->metrics, "millrace_stage_aborts_total", &options->name);
    stage->failures =
        mr_metrics_cell(options->metrics, "millrace_stage_commit_failures_total", &options->name);
    stage->failing_seconds =
        mr_metrics_cell(options->metrics, "millrace_stage_commit_failing_seconds", &options->name);
    stage->commit_seconds =
        mr_metrics_cell(options->metrics, "millrace_stage_commit_seconds", &options->name);
    (void)snprintf(stage->group, sizeof(stage->group), "%s.%s", options->pipeline, options->name);
    struct mr_reader_options reader = { .group = stage->group,
                                        .instance = stage->id,
                                        .queue_bytes_max = options->memory_max / 2 };
    if (mr_reader_open(options->bus, &reader, &stage->reader, err) != 0)
        return err->code;
    if (mr_stage_subscribe(stage, options->contracts, err) != 0)
        return err->code;
    *ret = MR_TAKE(stage);
    return 0;
}

int
mr_stage_subscribe(struct mr_stage *stage, const struct mr_contracts *contracts, struct mr_err *err)
{
    size_t count = mr_contracts_count(contracts);
    char **patterns = mr_alloc((count + 1) * sizeof(*patterns));
    const char *suffix = mr_topic_suffix(stage->options.input);

    for (size_t i = 0; i < count; i++)
        patterns[i] = mr_printf("^[A-Za-z0-9_-]{1,%d}\\.%s%s%s$", MR_TENANT_MAX,
                                mr_contracts_at(contracts, i)->name, suffix[0] ? "\\" : "", suffix);
    int result = mr_reader_subscribe(stage->reader, (const char *const *)patterns, count, err);
    for (size_t i = 0; i < count; i++)
        free(patterns[i]);
    free(patterns);
    return result;
}

void
mr_stage_close(struct mr_stage *stage)
{
    if (stage == NULL)
        return;
    stage_let_go(stage);
    mr_writer_close(stage->writer);
    mr_reader_close(stage->reader);
    mr_arena_fini(&stage->arena);
    free(stage->live);
    free(stage);
}

void
mr_stage_closep(struct mr_stage **stage)
{
    mr_stage_close(*stage);
    *stage = NULL;
}

/* ---- commit and abort ---- */

static int
begin(struct mr_stage *stage, struct mr_err *err)
{
    if (stage->is_open)
        return 0;
    if (mr_writer_begin(stage->writer, err) != 0)
        return stage_commit_failed(stage, err);
    stage->is_open = true;
    return 0;
}

/* It moved since the last commit, or its start was never committed. */
static bool
is_pending(const struct slot *slot)
{
    return slot->next != slot->committed || slot->unborn;
}

static size_t
collect_positions(struct mr_stage *stage, struct mr_position *positions,
                  char (*notes)[MR_POSITION_NOTE_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < stage->slots_count; i++) {
        struct slot *slot = &stage->slots[i];
        if (!is_pending(slot))
            continue;
        mr_counts_note(&slot->pub.counts, slot->pub.part.topic_id, notes[count]);
        positions[count] =
            (struct mr_position){ .slot = (uint32_t)i, .next = slot->next, .note = notes[count] };
        count++;
    }
    return count;
}

static void
committed(struct mr_stage *stage)
{
    for (size_t i = 0; i < stage->slots_count; i++) {
        struct slot *slot = &stage->slots[i];
        stage_count(stage, slot);
        slot->committed = slot->next;
        slot->settled_ms = slot->fresh_ms;
        slot->counts = slot->pub.counts;
        if (slot->unborn)
            stage->survey_ms = 0; /* it may flow now */
        slot->unborn = false;
    }
    stage->careful -= stage->careful < stage->in_batch ? stage->careful : stage->in_batch;
    stage->is_open = false;
    stage->is_in_doubt = false;
    stage->in_batch = 0;
    stage->committed_ms = mr_now_ms();
    stage_failing(stage, NULL);
    mr_arena_reset(&stage->arena);
    mr_add(stage->commits, 1);
    if (stage->options.handler->committed != NULL)
        stage->options.handler->committed(stage->options.self);
}

static int
commit(struct mr_stage *stage, struct mr_err *err)
{
    int64_t from_us = mr_now_us();
    size_t most = stage->slots_count > 0 ? stage->slots_count : 1;
    MR_CLEANUP(mr_freep) struct mr_position *positions = mr_alloc(most * sizeof(*positions));
    MR_CLEANUP(mr_freep) char(*notes)[MR_POSITION_NOTE_MAX] = mr_alloc(most * sizeof(*notes));

    if (begin(stage, err) != 0)
        return err->code;
    size_t count = collect_positions(stage, positions, notes);
    int result =
        mr_writer_commit(stage->writer, stage->reader, positions, count, COMMIT_MS_MAX, err);
    stage->is_in_doubt = result != 0 && result != MR_E(ABORTED) && result != MR_E(STALE) &&
                         result != MR_E(TOO_LARGE);
    if (result != 0)
        return stage_commit_failed(stage, err);
    committed(stage);
    mr_observe_us(stage->commit_seconds, mr_now_us() - from_us);
    return 0;
}

/* A commit without an answer may have taken effect. A new transaction settles the old one; then the
 * group's offsets tell, all of them or none, since they were one transaction. Returns 1 when it had
 * taken effect. */
static int
resolve_doubt(struct mr_stage *stage, struct mr_err *err)
{
    size_t count = 0;
    bool took_effect = true;
    MR_CLEANUP(mr_freep)
    struct mr_offsets *offsets = mr_alloc((stage->slots_count + 1) * sizeof(*offsets));
    if (begin(stage, err) != 0)
        return err->code;
    for (size_t i = 0; i < stage->slots_count; i++) {
        const struct mr_part *part = &stage->slots[i].pub.part;
        if (is_pending(&stage->slots[i]))
            offsets[count++] =
                (struct mr_offsets){ .topic = part->topic, .partition = part->partition };
    }
    if (mr_bus_offsets(stage->options.bus, stage->group, offsets, count, ASK_MS_MAX, err) != 0)
        return err->code;
    count = 0;
    for (size_t i = 0; i < stage->slots_count; i++)
        if (is_pending(&stage->slots[i]))
            took_effect = offsets[count++].committed == stage->slots[i].next && took_effect;
    stage->is_in_doubt = false;
    if (!took_effect)
        return 0;
    committed(stage);
    stage->is_open = true;
    return 1;
}

static void
forget_batch(struct mr_stage *stage)
{
    if (stage->options.handler->aborted != NULL)
        stage->options.handler->aborted(stage->options.self);
    stage->in_batch = 0;
    mr_arena_reset(&stage->arena);
}

/* Takes back what was done since the last commit. Only partitions that moved are rewound: one that
 * is still looking back must not lose the rest of its window. Positions can be moved only while the
 * assignment stands; with a rebalance pending, REVOKED or LOST comes next and they go anyway. */
static int
recover(struct mr_stage *stage, struct mr_err *err)
{
    struct mr_err abort_err = { 0 };
    if (stage->is_open) {
        mr_add(stage->aborts, 1);
        stage->is_open = false;
        /* A writer that could not abort is replaced by the next begin: only a fence matters. */
        if (mr_writer_abort(stage->writer, COMMIT_MS_MAX, &abort_err) != 0 &&
            abort_err.remedy == MR_FATAL) {
            *err = abort_err;
            return err->code;
        }
    }
    int took_effect = stage->is_in_doubt ? resolve_doubt(stage, err) : 0;
    if (took_effect < 0)
        return took_effect;
    if (took_effect == 0)
        forget_batch(stage);
    for (size_t i = 0; i < stage->slots_count; i++) {
        struct slot *slot = &stage->slots[i];
        struct mr_err seek_err = { 0 };
        int64_t to = slot->next != slot->committed ? slot->committed : slot->heard;
        if (to != MR_NO_OFFSET && mr_reader_seek(stage->reader, (uint32_t)i, to, &seek_err) != 0 &&
            seek_err.code != MR_E(STALE)) {
            slot->next = MR_NO_OFFSET; /* it may have moved all the same */
            *err = seek_err;
            return err->code;
        }
        slot->heard = MR_NO_OFFSET;
        slot->pub.counts = slot->counts;
        slot->next = slot->committed;
        slot->fresh_ms = slot->settled_ms;
    }
    stage_hold(stage);
    stage->is_broken = false;
    return 0;
}

/* ---- records ---- */

/* Sorts a poll: what lies below the committed offset is only recalled, the end of a partition only
 * moves the position, the rest is for the handler. */
static size_t
sort_out(struct mr_stage *stage, const struct mr_batch *batch)
{
    const struct mr_stage_handler *handler = stage->options.handler;
    size_t live = 0;

    for (size_t i = 0; i < batch->count; i++) {
        const struct mr_record *record = &batch->records[i];
        struct slot *slot = &stage->slots[record->slot];
        if (record->is_end) {
            slot->end = record->offset;
            slot->fresh_ms = mr_wall_ms();
            if (record->offset > slot->next)
                slot->next = record->offset;
            continue;
        }
        if (record->offset < slot->committed) {
            if (handler->recall != NULL)
                handler->recall(stage->options.self, &slot->pub, record);
            continue;
        }
        MR_ASSERT(record->offset >= slot->next);
        slot->next = record->offset + 1;
        slot->end = slot->end > slot->next ? slot->end : slot->next;
        slot->fresh_ms = record->time_ms;
        slot->pub.counts.in++;
        stage->live[live++] = *record;
    }
    return live;
}

static int
handle(struct mr_stage *stage, size_t count, struct mr_err *err)
{
    const struct mr_stage_handler *handler = stage->options.handler;
    if (begin(stage, err) != 0)
        return err->code;
    if (stage->in_batch == 0)
        stage->opened_ms = mr_now_ms();
    stage->in_batch += count;
    return handler->handle(stage->options.self, stage->live, count, err);
}

static void *
copy_of(struct mr_slice *slice)
{
    void *copy = slice->data != NULL ? mr_strndup(slice->data, slice->size) : NULL;
    slice->data = copy;
    return copy;
}

/* A batch of one failed for its size: its dead letter takes its place. The record is copied, since
 * rewinding gives its memory back. */
static int
bury(struct mr_stage *stage, struct mr_err *err)
{
    const struct mr_stage_handler *handler = stage->options.handler;
    struct mr_record record = stage->live[0];
    struct slot *slot = &stage->slots[record.slot];
    MR_CLEANUP(mr_freep) void *key = copy_of(&record.key);
    MR_CLEANUP(mr_freep) void *value = copy_of(&record.value);
    MR_CLEANUP(mr_freep) void *header = copy_of(&record.header);

    if (recover(stage, err) != 0 || begin(stage, err) != 0)
        return err->code;
    slot->pub.counts.in++;
    slot->next = record.offset + 1;
    stage->in_batch = 1;
    if (handler->too_large(stage->options.self, &record, err) != 0)
        return err->code;
    if (mr_reader_seek(stage->reader, record.slot, slot->next, err) != 0)
        return err->code;
    return commit(stage, err);
}

static bool
is_due(const struct mr_stage *stage)
{
    return stage->in_batch > 0 &&
           (stage->in_batch >= stage->options.batch_max || stage->careful > 0 ||
            (int64_t)stage->arena.used >= stage->options.memory_max / 8 ||
            mr_now_ms() - stage->opened_ms >= stage->options.batch_wait_ms);
}

/* One output of the batch is larger than its topic takes. Alone and still in our hands, its record
 * is buried; otherwise the batch comes again one by one until it shows itself. */
static int
narrow_down(struct mr_stage *stage, size_t live, struct mr_err *err)
{
    if (stage->in_batch == 1 && live == 1 && stage->options.handler->too_large != NULL) {
        *err = (struct mr_err){ 0 };
        return bury(stage, err);
    }
    stage->careful = stage->in_batch;
    err->remedy = MR_RETRY;
    return err->code;
}

/* Positions that only passed transaction markers are committed when nothing else is to be done, so
 * that "committed" reaches "end" on an idle topic. */
static int
settle(struct mr_stage *stage, struct mr_err *err)
{
    bool moved = false;
    for (size_t i = 0; i < stage->slots_count && !moved; i++)
        moved = is_pending(&stage->slots[i]);
    if (!moved || stage->in_batch > 0 || mr_now_ms() - stage->committed_ms < SETTLE_MS)
        return 0;
    return commit(stage, err);
}

static int
work(struct mr_stage *stage, const struct mr_batch *batch, struct mr_err *err)
{
    size_t live = sort_out(stage, batch);
    int result = 0;
    if (!stage->is_open)
        mr_arena_reset(&stage->arena); /* what recalled records left there */
    if (live > 0)
        result = handle(stage, live, err);
    if (result == 0 && is_due(stage))
        result = commit(stage, err);
    else if (result == 0 && live == 0)
        result = settle(stage, err);
    if (result == MR_E(TOO_LARGE))
        result = narrow_down(stage, live, err);
    return result < 0 ? result : (int)live;
}

/* ---- the step ---- */

static int
hand_back(struct mr_stage *stage, bool is_lost, struct mr_err *err)
{
    struct mr_err why = { 0 };
    bool clean = !stage->is_broken;
    if (clean && !is_lost && stage->in_batch > 0)
        clean = commit(stage, &why) == 0;
    if ((!clean && why.remedy != MR_FATAL) || is_lost) {
        if (recover(stage, &why) != 0)
            forget_batch(stage);
        stage->is_broken = stage->is_in_doubt = false;
    }
    if (why.remedy == MR_FATAL) { /* a fence */
        *err = why;
        return err->code;
    }
    stage_let_go(stage);
    stage_failing(stage, NULL);
    stage->joined = false;
    return mr_reader_release(stage->reader, err);
}

static int
react(struct mr_stage *stage, const struct mr_batch *batch, struct mr_err *err)
{
    switch (batch->event) {
    case MR_BUS_ASSIGNED:
        if (stage_take_over(stage, batch, err) != 0) {
            stage_let_go(stage); /* told again */
            return err->code;
        }
        stage->joined = true;
        return 0;
    case MR_BUS_REVOKED:
        return hand_back(stage, false, err);
    case MR_BUS_LOST:
        return hand_back(stage, true, err);
    case MR_BUS_RECORDS:
        return work(stage, batch, err);
    }
    return mr_fail(err, MR_E(INTERNAL), MR_FATAL, "bus event %d is unknown", (int)batch->event);
}

static int
open_writer(struct mr_stage *stage, struct mr_err *err)
{
    if (stage->writer != NULL)
        return 0;
    struct mr_writer_options options = { .transactional_id = stage->id,
                                         .linger_ms = -1,
                                         .queue_bytes_max = stage->options.memory_max / 4 };
    return mr_writer_open(stage->options.bus, &options, &stage->writer, err);
}

/* Recovery may fail for long, and the group is heard all the same: partitions that are gone cannot
 * be rewound, and only poll says that they are. Records that come along are read again; positions
 * stay, as a commit in doubt is judged by them. */
static int
listen(struct mr_stage *stage, struct mr_err *err)
{
    struct mr_batch batch;
    struct mr_err unheard = { 0 };
    if (mr_reader_poll(stage->reader, 1, 0, &batch, &unheard) < 0) {
        if (unheard.remedy == MR_FATAL)
            *err = unheard;
        return stage_unread(stage, err);
    }
    for (size_t i = 0; i < batch.count; i++) {
        struct slot *slot = &stage->slots[batch.records[i].slot];
        if (slot->heard == MR_NO_OFFSET || batch.records[i].offset < slot->heard)
            slot->heard = batch.records[i].offset;
    }
    if (batch.event == MR_BUS_RECORDS)
        return err->code;
    *err = (struct mr_err){ 0 };
    return react(stage, &batch, err);
}

/* The broker fences a writer also when it ended its transaction for its age, as after a stop of the
 * process. The group tells whether another process has come under our name (LAW 9). */
static int
look_who_fenced(struct mr_stage *stage, struct mr_err *err)
{
    int taken = stage->is_fenced ? mr_reader_is_taken(stage->reader, ASK_MS_MAX, err) : 0;
    if (taken > 0)
        return mr_fail(err, MR_E(FENCED), MR_FATAL, "another process took over the name %s",
                       stage->id);
    stage->is_fenced = taken < 0;
    return taken;
}

static int
step(struct mr_stage *stage, int wait_ms, struct mr_err *err)
{
    if (look_who_fenced(stage, err) != 0 || open_writer(stage, err) != 0)
        return err->code;
    if (stage->is_broken && recover(stage, err) != 0)
        return err->remedy == MR_FATAL ? err->code : listen(stage, err);
    size_t room = stage->careful > 0 ? 1 : stage->options.batch_max - stage->in_batch;
    if (stage->in_batch > 0) {
        int64_t left = stage->opened_ms + stage->options.batch_wait_ms - mr_now_ms();
        wait_ms = left < 0 ? 0 : left < wait_ms ? (int)left : wait_ms;
    }
    struct mr_batch batch;
    if (mr_reader_poll(stage->reader, room, wait_ms, &batch, err) < 0)
        return stage_unread(stage, err);
    return react(stage, &batch, err);
}

/* After this nothing but close may follow for the writer; who did it is asked before the next one
 * is opened. */
static void
note_fence(struct mr_stage *stage, struct mr_err *err)
{
    if (err->code != MR_E(FENCED) || stage->writer == NULL)
        return;
    mr_writer_close(stage->writer);
    stage->writer = NULL;
    stage->is_open = false;
    stage->is_fenced = true;
    err->remedy = MR_RETRY;
}

int
mr_stage_step(struct mr_stage *stage, int wait_ms, struct mr_err *err)
{
    MR_ASSERT(err->code == 0);
    int result = step(stage, wait_ms, err);
    if (result < 0) {
        note_fence(stage, err);
        stage->is_broken = true;
        (void)snprintf(stage->trouble, sizeof(stage->trouble), "%s", err->text);
        stage_show(stage);
        return result;
    }
    stage->trouble[0] = '\0';
    if (mr_now_ms() >= stage->survey_ms) {
        stage_hold(stage);
        stage->survey_ms = mr_now_ms() + SURVEY_MS;
        if (stage_survey(stage, err) != 0)
            return err->code;
    }
    return result;
}

int
mr_stage_drain(struct mr_stage *stage, struct mr_err *err)
{
    return stage->in_batch > 0 && !stage->is_broken ? commit(stage, err) : 0;
}

/* ---- what the handler uses ---- */

struct mr_stage_part *
mr_stage_part_at(struct mr_stage *stage, uint32_t slot)
{
    MR_ASSERT(slot < stage->slots_count);
    return &stage->slots[slot].pub;
}

struct mr_arena *
mr_stage_arena(struct mr_stage *stage)
{
    return &stage->arena;
}

int
mr_stage_emit(struct mr_stage *stage, const char *topic, int32_t partition, struct mr_slice key,
              struct mr_slice header, struct mr_slice value, struct mr_err *err)
{
    MR_ASSERT(stage->is_open);
    struct mr_message message = { .topic = topic,
                                  .partition = partition,
                                  .key = key,
                                  .value = value,
                                  .header = header,
                                  .value_borrowed = true };
    int64_t deadline_ms = mr_now_ms() + EMIT_MS_MAX;
    while (mr_writer_produce(stage->writer, &message, err) != 0) {
        if (err->code != MR_E(FULL))
            return err->code;
        if (mr_now_ms() >= deadline_ms)
            return err->code;
        *err = (struct mr_err){ 0 };
        (void)mr_writer_poll(stage->writer, 10);
    }
    return 0;
}
