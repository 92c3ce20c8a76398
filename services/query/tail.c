/*
 * The live tail: rows that were cleaned or buried but are not in a snapshot yet. Rows are kept in
 * segments in the order of arrival, each row with its lane and offset, so that a new snapshot takes
 * away exactly the rows that it holds. A full tail stops reading: answers then have an older
 * watermark, never a hole (LAW 25).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock/clock.h"
#include "letter/letter.h"
#include "millrace/v1/event.pb-c.h"
#include "query.h"

enum { POLL_MAX = 4096, ASK_MS_MAX = 3000, RELOAD_MS = 5000 };

/* ---- segments ---- */

void
shared_drop(struct shared *shared)
{
    if (shared == NULL || atomic_fetch_sub(&shared->holders, 1) > 1)
        return;
    (void)unlink(shared->path);
    free(shared->path);
    free(shared);
}

static void
segment_free(struct segment *segment)
{
    shared_drop(segment->shared);
    mr_columns_free(segment->columns);
    free(segment->lanes);
    free(segment->offsets);
    free(segment);
}

static struct segment *
segment_new(const struct table *table)
{
    struct segment *segment = mr_alloc(sizeof(*segment));
    segment->columns = mr_columns_new(table->schema);
    segment->lanes = mr_alloc(SEGMENT_ROWS_MAX * sizeof(*segment->lanes));
    segment->offsets = mr_alloc(SEGMENT_ROWS_MAX * sizeof(*segment->offsets));
    return segment;
}

static void
append_segment(struct table *table, struct segment *segment)
{
    if (table->last != NULL)
        table->last->next = segment;
    else
        table->first = segment;
    table->last = segment;
}

void
tail_close_segment(struct table *table)
{
    if (table->last != NULL && table->last->columns->rows > 0)
        append_segment(table, segment_new(table));
    else
        tail_drop_table(table);
}

void
tail_drop_table(struct table *table)
{
    while (table->first != NULL) {
        struct segment *segment = table->first;
        table->first = segment->next;
        segment_free(segment);
    }
    table->last = NULL;
    table->tail_rows = 0;
}

/* ---- pruning ---- */

static size_t
rows_left(const struct query *q, const struct segment *segment)
{
    size_t left = 0;
    for (size_t i = 0; i < segment->columns->rows; i++)
        left += segment->offsets[i] >= q->lanes[segment->lanes[i]].covered;
    return left;
}

static struct segment *
segment_without_covered(const struct query *q, struct table *table, const struct segment *segment)
{
    struct segment *kept = segment_new(table);
    for (size_t i = 0; i < segment->columns->rows; i++) {
        if (segment->offsets[i] < q->lanes[segment->lanes[i]].covered)
            continue;
        size_t row = kept->columns->rows;
        kept->lanes[row] = segment->lanes[i];
        kept->offsets[row] = segment->offsets[i];
        mr_columns_copy_row(kept->columns, segment->columns, i);
    }
    return kept;
}

static void
measure(struct query *q)
{
    size_t rows = 0;
    q->tail_bytes = 0;
    for (size_t i = 0; i < q->tables_count; i++) {
        rows += q->tables[i]->tail_rows;
        for (struct segment *s = q->tables[i]->first; s != NULL; s = s->next)
            q->tail_bytes += mr_columns_bytes(s->columns) +
                             SEGMENT_ROWS_MAX * (sizeof(*s->lanes) + sizeof(*s->offsets));
    }
    q->is_full = q->tail_bytes > (size_t)q->options.tail_bytes;
    mr_set(q->tail_rows_cell, (int64_t)rows);
    mr_set(q->tail_bytes_cell, (int64_t)q->tail_bytes);
}

void
tail_prune(struct query *q, struct table *table)
{
    struct segment *segment = table->first;
    table->first = table->last = NULL;
    table->tail_rows = 0;
    while (segment != NULL) {
        struct segment *next = segment->next;
        size_t left = rows_left(q, segment);
        segment->next = NULL;
        if (left < segment->columns->rows) {
            struct segment *kept = left > 0 ? segment_without_covered(q, table, segment) : NULL;
            segment_free(segment);
            segment = kept;
        }
        if (segment != NULL) {
            table->tail_rows += segment->columns->rows;
            append_segment(table, segment);
        }
        segment = next;
    }
    measure(q);
}

/* ---- reading ---- */

/* A lane whose next record is gone from the log while no snapshot holds it: say so, never skip. */
static bool
has_hole(struct lane *lane, const struct mr_offsets *at)
{
    if (at->log_start <= lane->next)
        return false;
    (void)snprintf(lane->table->trouble, sizeof(lane->table->trouble),
                   "%s part %d: records [%lld, %lld) are in no commit and gone from the log",
                   lane->part.topic, (int)lane->part.partition, (long long)lane->next,
                   (long long)at->log_start);
    return true;
}

int
tail_assign(struct query *q, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) struct mr_part *parts = mr_alloc((q->lanes_count + 1) * sizeof(*parts));
    MR_CLEANUP(mr_freep) struct mr_offsets *at = mr_alloc((q->lanes_count + 1) * sizeof(*at));
    for (size_t i = 0; i < q->lanes_count; i++)
        at[i] = (struct mr_offsets){ .topic = q->lanes[i].part.topic,
                                     .partition = q->lanes[i].part.partition };
    if (mr_bus_offsets(q->bus, NULL, at, q->lanes_count, ASK_MS_MAX, err) != 0)
        return err->code;
    q->slots = mr_realloc(q->slots, (q->lanes_count + 1) * sizeof(*q->slots));
    q->slots_count = 0;
    for (size_t i = 0; i < q->lanes_count; i++) {
        struct lane *lane = &q->lanes[i];
        if (!lane->is_known || lane->is_blocked || has_hole(lane, &at[i]))
            continue;
        lane->part.start = lane->next;
        parts[q->slots_count] = lane->part;
        q->slots[q->slots_count++] = (uint32_t)i;
    }
    return mr_reader_assign(q->reader, parts, q->slots_count, err);
}

/* A record of a newer contract than ours: its lane waits for a reload (LAW 22). */
static int
block(struct query *q, struct lane *lane, uint32_t version)
{
    lane->is_blocked = true;
    (void)snprintf(q->trouble, sizeof(q->trouble),
                   "%s part %d offset %lld has contract version %u of %s, ours is %u: reload kinds",
                   lane->part.topic, (int)lane->part.partition, (long long)lane->next, version,
                   lane->table->kind, lane->table->contract->version);
    return 0;
}

static int
take_row(struct query *q, struct lane *lane, const struct mr_record *record, struct mr_err *err)
{
    struct table *table = lane->table;
    if (table->last == NULL || table->last->columns->rows == SEGMENT_ROWS_MAX)
        append_segment(table, segment_new(table));
    struct segment *segment = table->last;
    size_t row = segment->columns->rows;

    if (table->contract == NULL) {
        if (mr_letter_decode(record->value, segment->columns, err) != 0)
            return err->code;
    } else {
        Millrace__V1__Event *event =
            millrace__v1__event__unpack(NULL, record->value.size, record->value.data);
        if (event == NULL)
            return mr_fail(err, MR_E(CORRUPT), MR_FATAL, "no event at offset %lld",
                           (long long)record->offset);
        int result = event->contract_version > table->contract->version
                         ? block(q, lane, event->contract_version)
                         : mr_contract_decode(table->contract, MR_OUTPUT,
                                              mr_slice(event->record.data, event->record.len),
                                              segment->columns, err);
        millrace__v1__event__free_unpacked(event, NULL);
        if (result != 0 || lane->is_blocked)
            return result;
    }
    segment->lanes[row] = (uint32_t)(lane - q->lanes);
    segment->offsets[row] = record->offset;
    table->tail_rows++;
    return 0;
}

static int
take_records(struct query *q, const struct mr_batch *batch, struct mr_err *err)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct mr_record *record = &batch->records[i];
        struct lane *lane = &q->lanes[q->slots[record->slot]];
        if (lane->is_blocked)
            continue;
        if (record->is_end) {
            lane->end_us = mr_wall_us();
            if (record->offset > lane->next)
                lane->next = record->offset;
            continue;
        }
        if (record->offset < lane->next)
            continue;
        if (take_row(q, lane, record, err) != 0)
            return mr_fail_in(err, "%s part %d", lane->part.topic, (int)lane->part.partition);
        if (!lane->is_blocked)
            lane->next = record->offset + 1;
    }
    return (int)batch->count;
}

int
tail_step(struct query *q, int wait_ms, struct mr_err *err)
{
    struct mr_batch batch;
    if (q->trouble[0] != '\0' && mr_now_ms() >= q->reload_ms) {
        q->reload_ms = mr_now_ms() + RELOAD_MS;
        q->trouble[0] = '\0';
        if (catalog_reload(q, err) != 0)
            return err->code;
    }
    if (q->is_full) {
        (void)usleep((useconds_t)wait_ms * 1000);
        return 0;
    }
    if (mr_reader_poll(q->reader, POLL_MAX, wait_ms, &batch, err) < 0)
        return err->code;
    MR_ASSERT(batch.event == MR_BUS_RECORDS);
    int count = take_records(q, &batch, err);
    if (count > 0)
        measure(q);
    return count;
}

int64_t
tail_as_of_us(const struct query *q)
{
    int64_t as_of_us = INT64_MAX;
    for (size_t i = 0; i < q->lanes_count; i++)
        if (q->lanes[i].end_us < as_of_us)
            as_of_us = q->lanes[i].end_us;
    return as_of_us == INT64_MAX ? 0 : as_of_us;
}

/* ---- sharing with the SQL process ---- */

static int
write_all(int fd, struct mr_slice bytes)
{
    const char *at = bytes.data;
    for (size_t left = bytes.size; left > 0;) {
        ssize_t wrote = write(fd, at, left);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return -1;
        at += wrote;
        left -= (size_t)wrote;
    }
    return 0;
}

static int
share_segment(struct query *q, struct segment *segment, struct mr_err *err)
{
    static uint64_t sequence;
    if (segment->shared != NULL && segment->shared->rows == segment->columns->rows)
        return 0;
    MR_CLEANUP(mr_buf_fini) struct mr_buf flat;
    mr_buf_init(&flat, 1U << 30);
    mr_columns_write(segment->columns, &flat);
    struct shared *shared = mr_alloc(sizeof(*shared));
    atomic_init(&shared->holders, 1);
    shared->rows = segment->columns->rows;
    shared->path = mr_printf("%s/tail-%llu", q->options.shm_dir, (unsigned long long)sequence++);
    int fd = open(shared->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int failed = flat.failed || fd < 0 || write_all(fd, mr_buf_slice(&flat)) != 0;
    if (fd >= 0)
        (void)close(fd);
    if (failed) {
        (void)mr_fail(err, MR_E(IO), MR_RETRY, "%s cannot be written: %s", shared->path,
                      strerror(errno));
        shared_drop(shared);
        return err->code;
    }
    shared_drop(segment->shared);
    segment->shared = shared;
    return 0;
}

int
tail_share(struct query *q, struct table *table, struct shared ***ret, size_t *ret_count,
           struct mr_err *err)
{
    size_t count = 0;
    for (struct segment *s = table->first; s != NULL; s = s->next)
        count++;
    struct shared **list = mr_alloc((count + 1) * sizeof(*list));
    size_t taken = 0;
    for (struct segment *s = table->first; s != NULL; s = s->next) {
        if (s->columns->rows == 0)
            continue;
        if (share_segment(q, s, err) != 0) {
            for (size_t i = 0; i < taken; i++)
                shared_drop(list[i]);
            free(list);
            return err->code;
        }
        atomic_fetch_add(&s->shared->holders, 1);
        list[taken++] = s->shared;
    }
    *ret = list;
    *ret_count = taken;
    return 0;
}
