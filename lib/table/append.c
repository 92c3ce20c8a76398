/*
 * An append: upload the files, then one conditional create of the next commit. Whoever creates the
 * file of a version owns it, so an append is made against exactly the snapshot it was checked
 * with.
 *
 * When the create says that the name is taken, or when no answer came, the commit is read back: our
 * own id in it means that the first try went through and only its answer was lost.
 */
#include "table/private.h"

#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"

/* ---- the text of a commit ---- */

static void
put_stats(struct mr_buf *to, const struct mr_schema *schema, const struct mr_file_stats *stats)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, COMMIT_BYTES_MAX);
    mr_buf_printf(&text, "{\"numRecords\":%lld", (long long)stats->rows);
    static const char *const names[] = { "minValues", "maxValues", "nullCount" };
    for (int what = 0; what < 3; what++) {
        const char *comma = "";
        mr_buf_printf(&text, ",\"%s\":{", names[what]);
        for (size_t i = 0; i < schema->count; i++) {
            const struct mr_column_stats *column = &stats->columns[i];
            if (schema->fields[i].is_list || (what < 2 && !column->has_bounds))
                continue;
            mr_buf_text(&text, comma);
            mr_buf_json(&text, mr_slice_text(schema->fields[i].name));
            mr_buf_text(&text, ":");
            if (what == 2)
                mr_buf_printf(&text, "%lld", (long long)column->null_count);
            else
                mr_buf_text(&text, what == 0 ? column->min : column->max);
            comma = ",";
        }
        mr_buf_text(&text, "}");
    }
    mr_buf_text(&text, ",\"tightBounds\":true}");
    mr_buf_json(to, mr_buf_slice(&text));
}

static const struct mr_table_range *
range_of(const struct mr_table_range *ranges, size_t count, const char *app_id)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(ranges[i].app_id, app_id) == 0)
            return &ranges[i];
    return NULL;
}

static void
put_total(struct mr_buf *to, const char **comma, const char *app_id, int64_t good, int64_t repeated)
{
    mr_buf_text(to, *comma);
    mr_buf_json(to, mr_slice_text(app_id));
    mr_buf_printf(to, ":{\"good\":%lld,\"repeated\":%lld}", (long long)good, (long long)repeated);
    *comma = ",";
}

/* The chain and the totals of all partitions, so that each commit of ours tells the whole law. */
static void
put_millrace(struct mr_buf *to, const struct mr_snapshot *snapshot, const char *id,
             const struct mr_table_range *ranges, size_t count)
{
    mr_buf_printf(to, "\"millrace\":{\"commit_id\":\"%s\",\"partitions\":{", id);
    for (size_t i = 0; i < count; i++) {
        const struct mr_table_range *r = &ranges[i];
        mr_buf_printf(to, "%s\"%s/%d\":{\"topic_id\":\"%s\",\"from\":%lld,\"next\":%lld,",
                      i > 0 ? "," : "", r->topic, (int)r->partition, r->topic_id,
                      (long long)r->from, (long long)r->next);
        mr_buf_printf(to, "\"good\":%lld,\"repeated\":%lld", (long long)r->good,
                      (long long)r->repeated);
        if (r->traces != NULL) {
            mr_buf_text(to, ",\"traces\":");
            mr_buf_json(to, mr_slice_text(r->traces));
        }
        mr_buf_text(to, "}");
    }
    mr_buf_text(to, "},\"totals\":{");
    const char *comma = "";
    for (size_t i = 0; i < snapshot->parts_count; i++) {
        const struct mr_table_part *part = &snapshot->parts[i];
        if (range_of(ranges, count, part->app_id) == NULL && part->good + part->repeated > 0)
            put_total(to, &comma, part->app_id, part->good, part->repeated);
    }
    for (size_t i = 0; i < count; i++) {
        const struct mr_table_part *part = mr_snapshot_part(snapshot, ranges[i].app_id);
        put_total(to, &comma, ranges[i].app_id, ranges[i].good + (part != NULL ? part->good : 0),
                  ranges[i].repeated + (part != NULL ? part->repeated : 0));
    }
    mr_buf_text(to, "}}");
}

struct upload {
    const struct mr_table_new_file *file;
    char *path; /* below the table */
};

struct append {
    struct mr_table *table;
    const struct mr_table_range *ranges;
    size_t ranges_count;
    struct upload *uploads;
    size_t uploads_count;
    bool blind;
    char id[MR_UUID_TEXT + 1];
    struct mr_buf text;
};

static void
append_fini(struct append *append)
{
    for (size_t i = 0; i < append->uploads_count; i++)
        free(append->uploads[i].path);
    free(append->uploads);
    mr_buf_fini(&append->text);
}

static void
put_metadata(struct append *append)
{
    json_t *metadata = json_deep_copy(append->table->snapshot.metadata);
    MR_CLEANUP(mr_freep)
    char *schema = mr_delta_schema_text(
        json_string_value(json_object_get(metadata, "schemaString")), &append->table->expected);
    (void)json_object_set_new(metadata, "schemaString", json_string(schema));
    char *text = json_dumps(metadata, JSON_COMPACT);
    mr_buf_printf(&append->text, "{\"metaData\":%s}\n", text);
    free(text);
    json_decref(metadata);
}

static void
put_add(struct append *append, const struct upload *upload, int64_t now_ms)
{
    const struct mr_table *table = append->table;
    mr_buf_printf(&append->text,
                  "{\"add\":{\"path\":\"%s\",\"partitionValues\":{},\"size\":%lld,"
                  "\"modificationTime\":%lld,\"dataChange\":true,\"stats\":",
                  upload->path, (long long)upload->file->stats->bytes, (long long)now_ms);
    put_stats(&append->text, &table->expected, upload->file->stats);
    mr_buf_text(&append->text, "}}\n");
}

static void
compose(struct append *append, bool adds_columns)
{
    const struct mr_snapshot *snapshot = &append->table->snapshot;
    struct mr_buf *text = &append->text;
    int64_t now_ms = mr_wall_ms(), rows = 0;
    for (size_t i = 0; i < append->uploads_count; i++)
        rows += append->uploads[i].file->stats->rows;
    mr_buf_printf(text,
                  "{\"commitInfo\":{\"timestamp\":%lld,\"operation\":\"WRITE\","
                  "\"operationParameters\":{\"mode\":\"Append\",\"partitionBy\":\"[]\"},"
                  "\"readVersion\":%lld,\"isolationLevel\":\"Serializable\",\"isBlindAppend\":%s,",
                  (long long)now_ms, (long long)snapshot->version,
                  append->blind ? "true" : "false");
    mr_buf_printf(text,
                  "\"operationMetrics\":{\"numFiles\":\"%zu\",\"numOutputRows\":\"%lld\"},"
                  "\"engineInfo\":\"millrace/%s\",\"txnId\":\"%s\",",
                  append->uploads_count, (long long)rows, MILLRACE_VERSION, append->id);
    put_millrace(text, snapshot, append->id, append->ranges, append->ranges_count);
    mr_buf_text(text, "}}\n");
    if (adds_columns)
        put_metadata(append);
    for (size_t i = 0; i < append->ranges_count; i++) {
        mr_buf_text(text, "{\"txn\":{\"appId\":");
        mr_buf_json(text, mr_slice_text(append->ranges[i].app_id));
        mr_buf_printf(text, ",\"version\":%lld,\"lastUpdated\":%lld}}\n",
                      (long long)append->ranges[i].next, (long long)now_ms);
    }
    for (size_t i = 0; i < append->uploads_count; i++)
        put_add(append, &append->uploads[i], now_ms);
}

/* ---- checks ---- */

static int
check_ranges(const struct append *append, struct mr_err *err)
{
    for (size_t i = 0; i < append->ranges_count; i++) {
        const struct mr_table_range *range = &append->ranges[i];
        MR_ASSERT(range->from >= 0 && range->from <= range->next);
        MR_ASSERT(range->good >= 0 && range->repeated >= 0);
        MR_ASSERT(strlen(range->app_id) <= MR_TABLE_APP_MAX);
        if (range_of(append->ranges, i, range->app_id) != NULL)
            return mr_fail(err, MR_E(INVALID), MR_REJECT, "partition %s stands twice in one append",
                           range->app_id);
        const struct mr_table_part *part =
            mr_snapshot_part(&append->table->snapshot, range->app_id);
        if (part != NULL && part->next >= 0 && part->next != range->from)
            return mr_fail(err, MR_E(STALE), MR_REJECT,
                           "%s has %s/%d up to %lld, this append begins at %lld",
                           append->table->path, range->topic, (int)range->partition,
                           (long long)part->next, (long long)range->from);
    }
    return 0;
}

/* ---- files and the commit ---- */

static int
upload_all(struct append *append, const struct mr_table_new_file *files, size_t count,
           struct mr_err *err)
{
    struct mr_table *table = append->table;
    append->uploads = mr_alloc(count * sizeof(*append->uploads));
    for (size_t i = 0; i < count; i++) {
        char uuid[MR_UUID_TEXT + 1];
        mr_uuid_text(uuid);
        struct upload *upload = &append->uploads[append->uploads_count++];
        upload->file = &files[i];
        upload->path = mr_printf("part-%010lld-%s.zstd.parquet",
                                 (long long)(table->snapshot.version + 1), uuid);
        MR_CLEANUP(mr_freep) char *key = mr_printf("%s/%s", table->path, upload->path);
        if (mr_store_put_new_file(table->store, key, files[i].local_path, NULL, err) != 0)
            return mr_fail_in(err, "data file of %s", table->path);
    }
    return 0;
}

/* For files that certainly no commit names. */
static void
take_back(struct append *append)
{
    for (size_t i = 0; i < append->uploads_count; i++) {
        struct mr_err ignored = { 0 };
        MR_CLEANUP(mr_freep)
        char *key = mr_printf("%s/%s", append->table->path, append->uploads[i].path);
        (void)mr_store_remove(append->table->store, key, &ignored);
    }
}

/* 0: our commit is in; CONFLICT: somebody else's is; else what failed, and nobody knows. */
static int
commit(struct append *append, struct mr_err *err)
{
    struct mr_table *table = append->table;
    int64_t version = table->snapshot.version + 1;
    MR_CLEANUP(mr_freep) char *key = mr_log_key(table, version, ".json");
    struct mr_err first = { 0 }, second = { 0 };
    int code = mr_store_put_new(table->store, key, mr_buf_slice(&append->text), NULL, &first);
    if (code == 0)
        return 0;
    char id[MR_UUID_TEXT + 1];
    if (mr_log_commit_id(table, version, id, &second) == 0) {
        if (strcmp(id, append->id) == 0)
            return 0;
        return mr_fail(err, MR_E(CONFLICT), MR_RETRY, "%s: version %lld was made by somebody else",
                       table->path, (long long)version);
    }
    return mr_fail(err, first.code, MR_RETRY, "commit %lld of %s: %s", (long long)version,
                   table->path, first.text);
}

int
mr_table_append(struct mr_table *table, const struct mr_table_range *ranges, size_t ranges_count,
                const struct mr_table_new_file *files, size_t files_count, bool blind,
                struct mr_err *err)
{
    MR_ASSERT(table != NULL && ranges_count > 0);
    MR_ASSERT(table->has_expected);
    size_t missing = 0;
    MR_CLEANUP(append_fini)
    struct append append = { table, ranges, ranges_count, NULL, 0, blind, { 0 }, { 0 } };
    mr_buf_init(&append.text, COMMIT_BYTES_MAX);
    mr_uuid_text(append.id);
    if (table->snapshot.writer_version > 2)
        return mr_fail(err, MR_E(UNSUPPORTED), MR_FATAL,
                       "%s needs Delta writer version %d, millrace writes 2", table->path,
                       table->snapshot.writer_version);
    if (check_ranges(&append, err) != 0 ||
        mr_delta_schema_check(&table->expected, &table->snapshot.schema, &missing, err) != 0 ||
        upload_all(&append, files, files_count, err) != 0)
        return err->code;
    compose(&append, missing > 0);
    if (append.text.failed)
        return mr_fail(err, MR_E(TOO_LARGE), MR_FATAL, "a commit of %s is over %d bytes",
                       table->path, COMMIT_BYTES_MAX);
    if (commit(&append, err) != 0) {
        if (err->code == MR_E(CONFLICT))
            take_back(&append);
        return err->code;
    }
    if (mr_snapshot_apply(&table->snapshot, table->snapshot.version + 1, mr_buf_slice(&append.text),
                          err) != 0)
        return err->code;
    struct mr_err later = { 0 };
    if (table->snapshot.version - table->snapshot.checkpoint >= MR_TABLE_CHECKPOINT_EVERY)
        (void)mr_table_checkpoint(table, &later);
    return 0;
}
