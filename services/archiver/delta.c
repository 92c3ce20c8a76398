/*
 * The step thread decodes records straight into columns; the worker thread joins, writes and
 * commits them. A batch that meets a conflict is joined with what was added meanwhile and tried
 * again against the newer snapshot; one whose records somebody else has committed is STALE, and its
 * partitions go on where the table stands.
 */
#include "delta.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock/clock.h"
#include "first.h"
#include "letter/letter.h"
#include "millrace/v1/event.pb-c.h"

/* ---- batches ---- */

const struct mr_schema *
delta_schema(const struct mr_kind *kind)
{
    return kind != NULL ? &kind->output : mr_letter_schema();
}

static int commit(struct mr_job *job, struct mr_err *err);

struct delta_batch *
delta_batch_new(const char *table, const struct mr_kind *kind)
{
    struct delta_batch *batch = mr_alloc(sizeof(*batch));
    batch->work =
        (struct work){ .job = { .run = commit }, .type = WORK_TABLE, .opened_ms = mr_now_ms() };
    (void)snprintf(batch->table, sizeof(batch->table), "%s", table);
    batch->kind = kind;
    batch->rows = mr_columns_new(delta_schema(kind));
    return batch;
}

void
delta_batch_free(struct delta_batch *batch)
{
    mr_columns_free(batch->rows);
    free(batch->owner);
    free(batch->ranges);
    free(batch);
}

size_t
delta_batch_bytes(const struct delta_batch *batch)
{
    return mr_columns_bytes(batch->rows) + batch->owner_capacity * sizeof(*batch->owner);
}

static size_t
range_of(struct delta_batch *batch, const struct mr_part *part, int64_t from)
{
    for (size_t i = 0; i < batch->ranges_count; i++)
        if (batch->ranges[i].part.partition == part->partition &&
            strcmp(batch->ranges[i].part.topic, part->topic) == 0)
            return i;
    MR_ASSERT(batch->ranges_count < UINT16_MAX);
    batch->ranges = mr_realloc(batch->ranges, (batch->ranges_count + 1) * sizeof(*batch->ranges));
    batch->ranges[batch->ranges_count] =
        (struct delta_range){ .part = *part, .from = from, .next = from };
    return batch->ranges_count++;
}

/* W3C Trace Context: version "-" trace-id "-" parent-id "-" flags; bit 0: sampled. */
static void
note_trace(struct delta_range *range, const char *traceparent)
{
    enum { TEXT = 55, ID_AT = 3 };
    size_t used = strlen(range->traces);
    if (traceparent == NULL || strlen(traceparent) != TEXT ||
        strchr("13579bdf", traceparent[TEXT - 1]) == NULL)
        return;
    const char *last = range->traces + (used > DELTA_TRACE_TEXT ? used - DELTA_TRACE_TEXT : 0);
    if (memcmp(last, traceparent + ID_AT, DELTA_TRACE_TEXT) == 0 ||
        used + 1 + DELTA_TRACE_TEXT >= sizeof(range->traces))
        return;
    (void)snprintf(range->traces + used, sizeof(range->traces) - used, "%s%.*s",
                   used > 0 ? "," : "", DELTA_TRACE_TEXT, traceparent + ID_AT);
}

static int
put_event(struct delta_batch *batch, const struct mr_record *record, struct mr_arena *arena,
          const char **ret_trace, struct mr_err *err)
{
    ProtobufCAllocator allocator;
    mr_arena_protobuf(arena, &allocator);
    const Millrace__V1__Event *event =
        millrace__v1__event__unpack(&allocator, record->value.size, record->value.data);
    if (event == NULL || strcmp(event->kind, batch->kind->name) != 0)
        return mr_fail(err, MR_E(CORRUPT), MR_FATAL, "the record is no event of kind %s",
                       batch->kind->name);
    if (event->contract_version > batch->kind->version)
        return mr_fail(err, MR_E(UNSUPPORTED), MR_RETRY,
                       "the record is of contract version %u of kind %s, this process has %u",
                       event->contract_version, batch->kind->name, batch->kind->version);
    *ret_trace = event->provenance != NULL ? event->provenance->traceparent : NULL;
    return mr_contract_decode(batch->kind, MR_OUTPUT,
                              mr_slice(event->record.data, event->record.len), batch->rows, err);
}

int
delta_batch_put(struct delta_batch *batch, const struct mr_part *part, int64_t from,
                const struct mr_record *record, struct mr_arena *arena, struct mr_err *err)
{
    if (record->value.data == NULL)
        return mr_fail(err, MR_E(CORRUPT), MR_FATAL, "the record has no value");
    const char *trace = NULL;
    int code = batch->kind != NULL ? put_event(batch, record, arena, &trace, err)
                                   : mr_letter_decode(record->value, batch->rows, err);
    if (code != 0)
        return mr_fail_in(err, "topic %s part %d offset %lld", part->topic, (int)part->partition,
                          (long long)record->offset);
    size_t index = range_of(batch, part, from);
    if (batch->rows->rows > batch->owner_capacity) {
        batch->owner_capacity = batch->owner_capacity * 2 + 1024;
        batch->owner = mr_realloc(batch->owner, batch->owner_capacity * sizeof(*batch->owner));
    }
    batch->owner[batch->rows->rows - 1] = (uint16_t)index;
    batch->ranges[index].next = record->offset + 1;
    if (batch->ranges[index].rows++ == 0)
        batch->ranges[index].time_ms = record->time_ms;
    note_trace(&batch->ranges[index], trace);
    batch->work.records++;
    return 0;
}

/* ---- where a partition stands in its table ---- */

/* The same topic under another pipeline, cluster or topic id (LAW 2)? Behind the last slash of an
 * app id stands the partition, before it the topic. */
static bool
is_rival(const char *other, const char *app_id, const char *topic)
{
    const char *end = strrchr(other, '/');
    size_t own = (size_t)(strrchr(app_id, '/') - app_id), tail = strlen(topic) + 1;
    size_t size = end != NULL ? (size_t)(end - other) : 0;
    if (size <= tail || (size == own && memcmp(other, app_id, own) == 0))
        return false;
    return other[size - tail] == '/' && memcmp(end - tail + 1, topic, tail - 1) == 0;
}

static int
check_identity(const struct mr_table *table, const struct mr_part *part, const char *app_id,
               struct mr_err *err)
{
    size_t count;
    const struct mr_table_part *parts = mr_table_parts(table, &count);
    for (size_t i = 0; i < count; i++)
        if (is_rival(parts[i].app_id, app_id, part->topic))
            return mr_fail(err, MR_E(IDENTITY), MR_FATAL,
                           "the table holds %s, this is %s: another pipeline or cluster, or the "
                           "topic was made anew; move the table away or give another store",
                           parts[i].app_id, app_id);
    return 0;
}

int
delta_start(struct keeper *keeper, struct delta_place *place, struct mr_err *err)
{
    char app_id[MR_TABLE_APP_MAX + 1];
    struct mr_part *part = &place->part;
    struct keeper_table *entry = NULL;
    struct mr_err why = { 0 };
    const struct mr_table_part *known = NULL;
    keeper_app_id(keeper, part, app_id);
    int code = keeper_table(keeper, place->table, place->schema, false, &entry, &why);
    if (code != 0 && code != MR_E(NOT_FOUND))
        return mr_fail(err, code, why.remedy, "table %s: %s", place->table, why.text);
    if (code == 0) {
        if (mr_table_refresh(entry->table, err) < 0 ||
            check_identity(entry->table, part, app_id, err) != 0)
            return mr_fail_in(err, "table %s", place->table);
        known = mr_table_part(entry->table, app_id);
    }
    if (known != NULL) {
        place->good = known->good;
        place->repeated = known->repeated;
        part->start = known->next;
        return 0;
    }
    part->start = keeper_is_adopted(part) ? part->committed : 0;
    if (part->committed != part->start && part->committed != MR_NO_OFFSET)
        return mr_fail(err, MR_E(IDENTITY), MR_FATAL,
                       "topic %s part %d: the group has archived up to %lld, but table %s in %s "
                       "knows nothing of it; give the store of before",
                       part->topic, (int)part->partition, (long long)part->committed, place->table,
                       mr_store_url(keeper->store));
    return 0;
}

/* ---- one commit: worker thread ---- */

struct attempt {
    struct delta_batch *batch;
    struct keeper *keeper;
    struct keeper_table *entry;
    struct first first;
    bool joins; /* KEEP_FIRST */
};

static void
attempt_fini(struct attempt *attempt)
{
    first_fini(&attempt->first);
    struct mr_err ignored = { 0 };
    (void)mr_sql_bind(attempt->keeper->sql, attempt->entry->relation, NULL, 0, &ignored);
}

static void
count(struct attempt *attempt)
{
    struct delta_batch *batch = attempt->batch;
    for (size_t i = 0; i < batch->ranges_count; i++) {
        batch->ranges[i].good = batch->ranges[i].rows;
        batch->ranges[i].repeated = 0;
    }
    batch->differing = 0;
    for (size_t row = 0; attempt->joins && row < batch->rows->rows; row++) {
        struct delta_range *range = &batch->ranges[batch->owner[row]];
        range->repeated += attempt->first.repeated[row];
        range->good -= attempt->first.repeated[row];
        batch->differing += attempt->first.repeated[row] && attempt->first.differs[row];
    }
}

/* The rows that stay, in a new batch; NULL: all do. */
static struct mr_columns *
kept_rows(const struct attempt *attempt)
{
    const struct delta_batch *batch = attempt->batch;
    if (!attempt->joins || attempt->first.repeated_count == 0)
        return NULL;
    struct mr_columns *kept = mr_columns_new(delta_schema(batch->kind));
    for (size_t row = 0; row < batch->rows->rows; row++)
        if (!attempt->first.repeated[row])
            mr_columns_copy_row(kept, batch->rows, row);
    return kept;
}

static int
append(struct attempt *attempt, const struct mr_table_new_file *file, struct mr_err *err)
{
    struct delta_batch *batch = attempt->batch;
    size_t count = batch->ranges_count;
    struct name {
        char app[MR_TABLE_APP_MAX + 1], topic_id[2 * MR_TOPIC_ID_BYTES + 1];
    };
    MR_CLEANUP(mr_freep) struct name *names = mr_alloc(count * sizeof(*names));
    MR_CLEANUP(mr_freep) struct mr_table_range *ranges = mr_alloc(count * sizeof(*ranges));
    for (size_t i = 0; i < count; i++) {
        const struct delta_range *range = &batch->ranges[i];
        keeper_app_id(attempt->keeper, &range->part, names[i].app);
        /* Not only at the start: both may have found the table empty. */
        if (check_identity(attempt->entry->table, &range->part, names[i].app, err) != 0)
            return err->code;
        mr_hex(range->part.topic_id, MR_TOPIC_ID_BYTES, names[i].topic_id);
        ranges[i] =
            (struct mr_table_range){ .app_id = names[i].app,
                                     .topic = range->part.topic,
                                     .partition = range->part.partition,
                                     .topic_id = names[i].topic_id,
                                     .from = range->from,
                                     .next = range->next,
                                     .good = range->good,
                                     .repeated = range->repeated,
                                     .traces = range->traces[0] != '\0' ? range->traces : NULL };
    }
    return mr_table_append(attempt->entry->table, ranges, count, file, file != NULL ? 1 : 0,
                           !attempt->joins, err);
}

/* The file that was just committed is what the next join would fetch: keep it. */
static void
keep_local(struct attempt *attempt, const char *path)
{
    size_t count;
    const struct mr_table_file *files = mr_table_files(attempt->entry->table, &count);
    MR_ASSERT(count > 0);
    MR_CLEANUP(mr_freep)
    char *local =
        mr_table_local(attempt->entry->table, &files[count - 1], attempt->keeper->cache_dir);
    if (!attempt->joins || rename(path, local) != 0)
        (void)unlink(path);
}

static int
write_and_append(struct attempt *attempt, struct mr_err *err)
{
    struct keeper *keeper = attempt->keeper;
    MR_CLEANUP(mr_columns_freep) struct mr_columns *kept = kept_rows(attempt);
    const struct mr_columns *rows = kept != NULL ? kept : attempt->batch->rows;
    attempt->batch->rows_written = (int64_t)rows->rows;
    if (rows->rows == 0)
        return append(attempt, NULL, err);
    char uuid[MR_UUID_TEXT + 1];
    mr_uuid_text(uuid);
    MR_CLEANUP(mr_freep) char *path = mr_printf("%s/new-%s.parquet", keeper->work_dir, uuid);
    MR_CLEANUP(mr_freep)
    char *select = mr_printf("SELECT * FROM %s", attempt->entry->relation);
    struct mr_file_stats stats = { 0 };
    if (mr_sql_bind(keeper->sql, attempt->entry->relation, &rows, 1, err) == 0 &&
        mr_sql_write_parquet(keeper->sql, select, delta_schema(attempt->batch->kind), path, &stats,
                             err) == 0) {
        struct mr_table_new_file file = { path, &stats };
        (void)append(attempt, &file, err);
    }
    if (err->code == 0)
        keep_local(attempt, path);
    else
        (void)unlink(path);
    free(stats.columns);
    /* kept goes away: the relation must not point to it. */
    const struct mr_columns *whole = attempt->batch->rows;
    struct mr_err ignored = { 0 };
    (void)mr_sql_bind(keeper->sql, attempt->entry->relation, &whole, 1, &ignored);
    return err->code;
}

/* Joins with everything up to the snapshot and commits against it, until nobody comes between. */
static int
settle(struct attempt *attempt, struct mr_err *err)
{
    struct mr_table *table = attempt->entry->table;
    int64_t joined = -1;
    for (unsigned try = 0; try <= DELTA_CONFLICTS_MAX; try++) {
        struct mr_err why = { 0 };
        if (attempt->joins &&
            first_join(&attempt->first, attempt->keeper, attempt->entry, joined, err) != 0)
            return err->code;
        joined = mr_table_version(table);
        count(attempt);
        int code = write_and_append(attempt, &why);
        if (code != MR_E(CONFLICT))
            return code == 0 ? 0 : mr_fail(err, code, why.remedy, "%s", why.text);
        attempt->batch->conflicts++;
        if (mr_table_refresh(table, err) < 0)
            return err->code;
    }
    return mr_fail(err, MR_E(CONFLICT), MR_RETRY, "table %s: others committed first %d times",
                   attempt->batch->table, DELTA_CONFLICTS_MAX);
}

/* Somebody else has these records in, or took some back: where do the partitions stand? */
static int
find_ends(struct attempt *attempt, struct mr_err *err)
{
    if (mr_table_refresh(attempt->entry->table, err) < 0)
        return err->code;
    for (size_t i = 0; i < attempt->batch->ranges_count; i++) {
        struct delta_range *range = &attempt->batch->ranges[i];
        char app_id[MR_TABLE_APP_MAX + 1];
        keeper_app_id(attempt->keeper, &range->part, app_id);
        const struct mr_table_part *part = mr_table_part(attempt->entry->table, app_id);
        range->next = part != NULL ? part->next : range->from;
        range->good = part != NULL ? part->good : 0;
        range->repeated = part != NULL ? part->repeated : 0;
    }
    return 0;
}

static int
commit(struct mr_job *job, struct mr_err *err)
{
    struct delta_batch *batch = (struct delta_batch *)job;
    struct keeper *keeper = batch->work.keeper;
    const struct mr_columns *rows = batch->rows;
    int64_t began_us = mr_now_us();
    struct keeper_table *entry;
    batch->conflicts = 0;
    if (keeper_table(keeper, batch->table, delta_schema(batch->kind), true, &entry, err) != 0 ||
        mr_sql_bind(keeper->sql, entry->relation, &rows, 1, err) != 0)
        return mr_fail_in(err, "table %s", batch->table);
    MR_CLEANUP(attempt_fini)
    struct attempt attempt = { .batch = batch, .keeper = keeper, .entry = entry };
    attempt.joins = batch->kind != NULL && batch->kind->duplicates == MR_KEEP_FIRST &&
                    batch->kind->key_out >= 0;
    if (attempt.joins)
        first_init(&attempt.first, rows, (size_t)batch->kind->key_out);
    struct mr_err why = { 0 };
    int code = settle(&attempt, &why);
    if (code == MR_E(STALE) && find_ends(&attempt, err) != 0)
        return err->code;
    batch->version = mr_table_version(entry->table);
    batch->work.took_us = mr_now_us() - began_us;
    return code == 0 ? 0 : mr_fail(err, code, why.remedy, "%s", why.text);
}
