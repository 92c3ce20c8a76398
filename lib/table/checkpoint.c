/*
 * Checkpoints by SQL, in both directions: the engine reads and writes Parquet with nested types, so
 * nothing of that is done in C. Reading turns each row back into the line of JSON that it came
 * from. Writing joins the previous checkpoint with the commits since; the log itself is the source,
 * so fields of others that a snapshot does not keep survive.
 *
 * The checkpoint is there before the pointer names it: a pointer to nothing breaks readers.
 */
#include "table/private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock/clock.h"

enum { SQL_BYTES_MAX = 8 << 20, REMOVES_KEPT_MS = 7 * 24 * 3600 * 1000 };

/* ---- a folder for the files of one checkpoint ---- */

struct folder {
    char *path;
    char **files;
    size_t count;
};

static int
folder_open(const struct mr_table *table, struct folder *ret, struct mr_err *err)
{
    char uuid[MR_UUID_TEXT + 1];
    mr_uuid_text(uuid);
    *ret = (struct folder){ .path = mr_printf("%s/log-%s", table->work_dir, uuid) };
    if (mkdir(ret->path, 0700) != 0)
        return mr_fail(err, MR_E(IO), MR_RETRY, "cannot make folder %s: %s", ret->path,
                       strerror(errno));
    return 0;
}

static void
folder_close(struct folder *folder)
{
    for (size_t i = 0; i < folder->count; i++) {
        (void)unlink(folder->files[i]);
        free(folder->files[i]);
    }
    free(folder->files);
    if (folder->path != NULL)
        (void)rmdir(folder->path);
    free(folder->path);
}

/* The path of a file in it that goes away with it. Borrowed. */
static const char *
folder_file(struct folder *folder, int64_t version, const char *ending)
{
    folder->files = mr_realloc(folder->files, (folder->count + 1) * sizeof(*folder->files));
    folder->files[folder->count] =
        mr_printf("%s/%020lld%s", folder->path, (long long)version, ending);
    return folder->files[folder->count++];
}

static int
folder_get(struct folder *folder, struct mr_table *table, int64_t version, const char *ending,
           const char **ret, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *key = mr_log_key(table, version, ending);
    *ret = folder_file(folder, version, ending);
    return mr_store_get_file(table->store, key, *ret, err);
}

/* ---- reading ---- */

static const char READ[] =
    "SELECT CASE WHEN txn IS NOT NULL THEN json_object('txn', "
    "json_object('appId', txn.appId, 'version', txn.\"version\")) "
    "WHEN add IS NOT NULL THEN json_object('add', json_object('path', add.path, 'size', add.size, "
    "'stats', add.stats)) "
    "WHEN \"metaData\" IS NOT NULL THEN json_object('metaData', \"metaData\") "
    "ELSE json_object('protocol', protocol) END::VARCHAR AS line FROM read_parquet(";

static int
restore(struct mr_result *result, struct mr_columns *rows, int64_t version,
        struct mr_snapshot *snapshot, struct mr_err *err)
{
    for (;;) {
        mr_columns_reset(rows);
        int count = mr_result_next(result, rows, err);
        if (count <= 0)
            return count;
        for (size_t row = 0; row < rows->rows; row++)
            if (mr_snapshot_restore(snapshot, version, mr_column_text(&rows->columns[0], row),
                                    err) != 0)
                return err->code;
    }
}

int
mr_checkpoint_read(struct mr_table *table, int64_t version, struct mr_snapshot *ret,
                   struct mr_err *err)
{
    MR_CLEANUP(folder_close) struct folder folder = { 0 };
    const char *path;
    if (folder_open(table, &folder, err) != 0 ||
        folder_get(&folder, table, version, ".checkpoint.parquet", &path, err) != 0)
        return err->code;
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, SQL_BYTES_MAX);
    mr_buf_text(&text, READ);
    mr_sql_literal(&text, path);
    mr_buf_text(&text, ") WHERE txn IS NOT NULL OR add IS NOT NULL OR \"metaData\" IS NOT NULL "
                       "OR protocol IS NOT NULL");
    MR_CLEANUP(mr_statement_closep) struct mr_statement *statement = NULL;
    MR_CLEANUP(mr_result_closep) struct mr_result *result = NULL;
    if (mr_sql_prepare(table->sql, text.data, &statement, err) != 0 ||
        mr_statement_run(statement, &result, err) != 0)
        return mr_fail_in(err, "checkpoint %lld of %s", (long long)version, table->path);
    MR_CLEANUP(mr_columns_freep)
    struct mr_columns *rows = mr_columns_new(mr_statement_schema(statement));
    if (restore(result, rows, version, ret, err) != 0)
        return mr_fail_in(err, "%s", table->path);
    ret->version = ret->checkpoint = version;
    return 0;
}

/* ---- writing ---- */

static const char LOG_COLUMNS[] =
    "], format='newline_delimited', filename=true, maximum_object_size=67108864, columns={"
    "'txn':'STRUCT(appId VARCHAR, \"version\" BIGINT, lastUpdated BIGINT)',"
    "'add':'STRUCT(path VARCHAR, partitionValues MAP(VARCHAR,VARCHAR), size BIGINT, "
    "modificationTime BIGINT, dataChange BOOLEAN, stats VARCHAR, tags MAP(VARCHAR,VARCHAR))',"
    "'remove':'STRUCT(path VARCHAR, deletionTimestamp BIGINT, dataChange BOOLEAN, "
    "extendedFileMetadata BOOLEAN, partitionValues MAP(VARCHAR,VARCHAR), size BIGINT)',"
    "'metaData':'STRUCT(id VARCHAR, name VARCHAR, description VARCHAR, format STRUCT(provider "
    "VARCHAR, options MAP(VARCHAR,VARCHAR)), schemaString VARCHAR, partitionColumns VARCHAR[], "
    "configuration MAP(VARCHAR,VARCHAR), createdTime BIGINT)',"
    "'protocol':'STRUCT(minReaderVersion INTEGER, minWriterVersion INTEGER)'})";

static const char REDUCE[] =
    "), f AS (SELECT arg_max({'a':add,'r':remove}, v) AS x FROM log WHERE add IS NOT NULL OR "
    "remove IS NOT NULL GROUP BY coalesce(add.path, remove.path)), "
    "t AS (SELECT arg_max(txn, v) AS txn FROM log WHERE txn IS NOT NULL GROUP BY txn.appId) "
    "SELECT txn, add, remove, metaData, protocol FROM ("
    "SELECT 0 AS o, NULL AS txn, NULL AS add, NULL AS remove, NULL AS metaData, "
    "arg_max(protocol, v) AS protocol FROM log WHERE protocol IS NOT NULL "
    "UNION ALL SELECT 1, NULL, NULL, NULL, arg_max(metaData, v), NULL FROM log "
    "WHERE metaData IS NOT NULL "
    "UNION ALL SELECT 2, txn, NULL, NULL, NULL, NULL FROM t "
    "UNION ALL SELECT 3, NULL, struct_update(x.a, dataChange := false), NULL, NULL, NULL FROM f "
    "WHERE x.a IS NOT NULL "
    "UNION ALL SELECT 4, NULL, NULL, struct_update(x.r, dataChange := false), NULL, NULL FROM f "
    "WHERE x.a IS NULL AND x.r.deletionTimestamp > ";

/* Files stay in the order they were added, as far as their times tell. */
static const char ORDER[] = ") ORDER BY o, add.modificationTime, add.path) TO ";

static int
gather(struct folder *folder, struct mr_table *table, struct mr_buf *text, struct mr_err *err)
{
    int64_t base = table->snapshot.checkpoint;
    const char *path;
    mr_buf_text(text, "COPY (WITH log AS (SELECT CAST(parse_filename(filename, true) AS BIGINT) AS "
                      "v, * EXCLUDE (filename) FROM read_json([");
    for (int64_t v = base + 1; v <= table->snapshot.version; v++) {
        if (folder_get(folder, table, v, ".json", &path, err) != 0)
            return err->code;
        if (v > base + 1)
            mr_buf_text(text, ", ");
        mr_sql_literal(text, path);
    }
    mr_buf_text(text, LOG_COLUMNS);
    if (base < 0)
        return 0;
    if (folder_get(folder, table, base, ".checkpoint.parquet", &path, err) != 0)
        return err->code;
    mr_buf_printf(text,
                  " UNION ALL BY NAME SELECT %lld AS v, txn, add, remove, metaData, protocol "
                  "FROM read_parquet(",
                  (long long)base);
    mr_sql_literal(text, path);
    mr_buf_text(text, ")");
    return 0;
}

static int
count_rows(struct mr_sql *sql, const char *path, int64_t *ret, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, SQL_BYTES_MAX);
    mr_buf_text(&text, "SELECT count(*) AS n FROM read_parquet(");
    mr_sql_literal(&text, path);
    mr_buf_text(&text, ")");
    MR_CLEANUP(mr_statement_closep) struct mr_statement *statement = NULL;
    MR_CLEANUP(mr_result_closep) struct mr_result *result = NULL;
    if (mr_sql_prepare(sql, text.data, &statement, err) != 0 ||
        mr_statement_run(statement, &result, err) != 0)
        return err->code;
    MR_CLEANUP(mr_columns_freep)
    struct mr_columns *rows = mr_columns_new(mr_statement_schema(statement));
    if (mr_result_next(result, rows, err) < 0)
        return err->code;
    MR_ASSERT(rows->rows == 1);
    *ret = mr_column_int(&rows->columns[0], 0);
    return 0;
}

static int
publish(struct mr_table *table, const char *path, struct mr_err *err)
{
    const struct mr_snapshot *snapshot = &table->snapshot;
    int64_t rows = 0;
    struct stat file;
    if (count_rows(table->sql, path, &rows, err) != 0)
        return err->code;
    if (stat(path, &file) != 0)
        return mr_fail(err, MR_E(IO), MR_RETRY, "cannot read %s: %s", path, strerror(errno));
    MR_CLEANUP(mr_freep) char *key = mr_log_key(table, snapshot->version, ".checkpoint.parquet");
    struct mr_err why = { 0 };
    int code = mr_store_put_new_file(table->store, key, path, NULL, &why);
    if (code == MR_E(EXISTS)) /* made by another writer of the same version: it says the same */
        return 0;
    if (code != 0)
        return mr_fail(err, code, why.remedy, "%s", why.text);
    MR_CLEANUP(mr_freep) char *pointer = mr_printf("%s/_delta_log/_last_checkpoint", table->path);
    MR_CLEANUP(mr_freep)
    char *body = mr_printf("{\"version\":%lld,\"size\":%lld,\"sizeInBytes\":%lld,"
                           "\"numOfAddFiles\":%zu}",
                           (long long)snapshot->version, (long long)rows, (long long)file.st_size,
                           snapshot->files_count);
    return mr_store_put(table->store, pointer, mr_slice_text(body), NULL, err);
}

int
mr_table_checkpoint(struct mr_table *table, struct mr_err *err)
{
    struct mr_snapshot *snapshot = &table->snapshot;
    MR_ASSERT(snapshot->version >= 0);
    if (snapshot->version == snapshot->checkpoint)
        return 0;
    MR_CLEANUP(folder_close) struct folder folder = { 0 };
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, SQL_BYTES_MAX);
    if (folder_open(table, &folder, err) != 0 || gather(&folder, table, &text, err) != 0)
        return err->code;
    const char *path = folder_file(&folder, snapshot->version, ".checkpoint.parquet");
    mr_buf_text(&text, REDUCE);
    mr_buf_printf(&text, "%lld", (long long)(mr_wall_ms() - REMOVES_KEPT_MS));
    mr_buf_text(&text, ORDER);
    mr_sql_literal(&text, path);
    mr_buf_text(&text, " (FORMAT parquet, COMPRESSION snappy)");
    if (text.failed)
        return mr_fail(err, MR_E(TOO_LARGE), MR_RETRY, "too many commits since checkpoint %lld",
                       (long long)snapshot->checkpoint);
    if (mr_sql_execute(table->sql, text.data, err) != 0 || publish(table, path, err) != 0)
        return mr_fail_in(err, "checkpoint %lld of %s", (long long)snapshot->version, table->path);
    snapshot->checkpoint = snapshot->version;
    return 0;
}
