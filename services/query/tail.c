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
#include "log/log.h"
#include "millrace/v1/event.pb-c.h"
#include "query.h"

enum { POLL_MAX = 4096, RELOAD_MS = 5000 };

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
segment_new(const struct mr_schema *schema)
{
    struct segment *segment = mr_alloc(sizeof(*segment));
    segment->schema = schema;
    segment->columns = mr_columns_new(schema);
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
segment_without_covered(const struct query *q, const struct segment *segment)
{
    struct segment *kept = segment_new(segment->schema);
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

static void
prune_table(const struct query *q, struct table *table)
{
    struct segment *segment = table->first;
    table->first = table->last = NULL;
    table->tail_rows = 0;
    while (segment != NULL) {
        struct segment *next = segment->next;
        size_t left = rows_left(q, segment);
        segment->next = NULL;
        if (left < segment->columns->rows) {
            struct segment *kept = left > 0 ? segment_without_covered(q, segment) : NULL;
            segment_free(segment);
            segment = kept;
        }
        if (segment != NULL) {
            table->tail_rows += segment->columns->rows;
            append_segment(table, segment);
        }
        segment = next;
    }
}

void
tail_prune(struct query *q)
{
    for (size_t i = 0; i < q->tables_count; i++) {
        if (!q->tables[i]->is_fresh)
            continue;
        q->tables[i]->is_fresh = false;
        prune_table(q, q->tables[i]);
    }
    measure(q);
}

/* ---- reading ---- */

bool
tail_trouble(const struct lane *lane, char *ret_why, size_t size)
{
    const struct mr_part *part = &lane->part;
    long long next = (long long)lane->next;
    if (lane->state == LANE_NEWER)
        (void)snprintf(ret_why, size,
                       "%s part %d offset %lld needs a newer contract than version %u of %s: bring "
                       "it to --kinds",
                       part->topic, (int)part->partition, next, lane->table->contract->version,
                       lane->table->kind);
    else if (lane->state == LANE_CORRUPT)
        (void)snprintf(ret_why, size, "%s part %d offset %lld cannot be read", part->topic,
                       (int)part->partition, next);
    else if (lane->state == LANE_HOLE)
        (void)snprintf(ret_why, size,
                       "%s part %d: records [%lld, %lld) are in no commit and gone from the log",
                       part->topic, (int)part->partition, next, (long long)part->log_start);
    else
        return false;
    return true;
}

/* An end-of-partition event may have waited in a queue, so its time says nothing; the end that the
 * broker gave when asked does. */
void
tail_settle(struct lane *lane)
{
    if (lane->next >= lane->part.end && lane->end_us < lane->asked_us)
        lane->end_us = lane->asked_us;
}

/* Reads the lanes from where they are now on. One whose next record is gone from the log while no
 * snapshot holds it stands still: never skip. */
static int
assign(struct query *q, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) struct mr_part *parts = mr_alloc((q->lanes_count + 1) * sizeof(*parts));
    q->slots = mr_realloc(q->slots, (q->lanes_count + 1) * sizeof(*q->slots));
    q->slots_count = 0;
    for (size_t i = 0; i < q->lanes_count; i++) {
        struct lane *lane = &q->lanes[i];
        if (lane->state == LANE_FLOWS || lane->state == LANE_HOLE)
            lane->state = lane->part.log_start > lane->next ? LANE_HOLE : LANE_FLOWS;
        if (lane->state != LANE_FLOWS)
            continue;
        lane->part.start = lane->next;
        parts[q->slots_count] = lane->part;
        q->slots[q->slots_count++] = (uint32_t)i;
    }
    if (mr_reader_assign(q->reader, parts, q->slots_count, err) != 0)
        return err->code;
    q->must_assign = false;
    return 0;
}

/* One row more in columns, or a lane that stands. */
static void
decode(struct lane *lane, const struct mr_record *record, struct mr_columns *columns)
{
    const struct table *table = lane->table;
    struct mr_err err = { 0 };
    if (table->contract == NULL) {
        if (mr_letter_decode(record->value, columns, &err) != 0)
            lane->state = LANE_CORRUPT;
        return;
    }
    Millrace__V1__Event *event =
        millrace__v1__event__unpack(NULL, record->value.size, record->value.data);
    if (event != NULL && event->contract_version > table->contract->version)
        lane->state = LANE_NEWER;
    else if (event == NULL || mr_contract_decode(table->contract, MR_OUTPUT,
                                                 mr_slice(event->record.data, event->record.len),
                                                 columns, &err) != 0)
        lane->state = LANE_CORRUPT;
    if (event != NULL)
        millrace__v1__event__free_unpacked(event, NULL);
}

static void
take_row(struct query *q, struct lane *lane, const struct mr_record *record)
{
    struct table *table = lane->table;
    struct segment *segment = table->last;
    if (segment == NULL || segment->columns->rows == SEGMENT_ROWS_MAX ||
        segment->schema != table->schema) {
        segment = segment_new(table->schema);
        append_segment(table, segment);
    }
    size_t row = segment->columns->rows;
    decode(lane, record, segment->columns);
    if (lane->state != LANE_FLOWS) {
        char why[MR_ERR_TEXT_MAX];
        (void)tail_trouble(lane, why, sizeof(why));
        q->must_assign = true; /* without it */
        mr_log(MR_LOG_ERROR, "lane-stands", " why=%s", mr_log_quote(mr_slice_text(why)));
        return;
    }
    segment->lanes[row] = (uint32_t)(lane - q->lanes);
    segment->offsets[row] = record->offset;
    table->tail_rows++;
    lane->next = record->offset + 1;
}

static void
take_records(struct query *q, const struct mr_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct mr_record *record = &batch->records[i];
        struct lane *lane = &q->lanes[q->slots[record->slot]];
        if (lane->state != LANE_FLOWS || record->offset < lane->next)
            continue;
        if (record->is_end)
            lane->next = record->offset; /* behind markers (LAW 12) */
        else
            take_row(q, lane, record);
        tail_settle(lane);
    }
}

/* Looks for the contract that a lane waits for. */
static int
look_newer(struct query *q, struct mr_err *err)
{
    if (mr_now_ms() < q->reload_ms)
        return 0;
    for (size_t i = 0; i < q->lanes_count; i++) {
        if (q->lanes[i].state != LANE_NEWER)
            continue;
        q->reload_ms = mr_now_ms() + RELOAD_MS;
        return catalog_reload(q, err);
    }
    return 0;
}

int
tail_step(struct query *q, int wait_ms, struct mr_err *err)
{
    struct mr_batch batch;
    if (look_newer(q, err) != 0 || (q->must_assign && assign(q, err) != 0))
        return err->code;
    if (q->is_full) {
        (void)usleep((useconds_t)wait_ms * 1000);
        return 0;
    }
    if (mr_reader_poll(q->reader, POLL_MAX, wait_ms, &batch, err) < 0)
        return err->code;
    MR_ASSERT(batch.event == MR_BUS_RECORDS);
    take_records(q, &batch);
    if (batch.count > 0)
        measure(q);
    return (int)batch.count;
}

int64_t
tail_as_of_us(const struct query *q)
{
    int64_t as_of_us = INT64_MAX;
    for (size_t i = 0; i < q->lanes_count; i++)
        if (q->lanes[i].state != LANE_GONE && q->lanes[i].end_us < as_of_us)
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
