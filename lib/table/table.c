/*
 * A handle of a Delta table: open or create, look, fetch. The log is read in log.c, appended to in
 * append.c.
 */
#include "table/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock/clock.h"

/* Version 0. That somebody else makes it at the same time is fine: theirs is read then. */
static int
create_log(struct mr_table *table, struct mr_err *err)
{
    int64_t now_ms = mr_wall_ms();
    char id[MR_UUID_TEXT + 1], txn[MR_UUID_TEXT + 1];
    mr_uuid_text(id);
    mr_uuid_text(txn);
    MR_CLEANUP(mr_freep) char *schema = mr_delta_schema_text(NULL, &table->expected);
    MR_CLEANUP(mr_freep) char *key = mr_log_key(table, 0, ".json");
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, COMMIT_BYTES_MAX);
    mr_buf_printf(&text,
                  "{\"commitInfo\":{\"timestamp\":%lld,\"operation\":\"CREATE TABLE\","
                  "\"operationParameters\":{\"isManaged\":\"false\",\"description\":null,"
                  "\"partitionBy\":\"[]\",\"properties\":\"{}\"},"
                  "\"isolationLevel\":\"Serializable\",\"isBlindAppend\":true,",
                  (long long)now_ms);
    mr_buf_printf(&text,
                  "\"operationMetrics\":{},\"engineInfo\":\"millrace/%s\",\"txnId\":\"%s\"}}\n"
                  "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}\n",
                  MILLRACE_VERSION, txn);
    mr_buf_printf(&text,
                  "{\"metaData\":{\"id\":\"%s\",\"name\":null,\"description\":null,\"format\":"
                  "{\"provider\":\"parquet\",\"options\":{}},\"schemaString\":",
                  id);
    mr_buf_json(&text, mr_slice_text(schema));
    mr_buf_printf(&text, ",\"partitionColumns\":[],\"configuration\":{},\"createdTime\":%lld}}\n",
                  (long long)now_ms);
    struct mr_err why = { 0 };
    int code = mr_store_put_new(table->store, key, mr_buf_slice(&text), NULL, &why);
    if (code != 0 && code != MR_E(EXISTS))
        return mr_fail(err, code, why.remedy, "create %s: %s", table->path, why.text);
    return 0;
}

int
mr_table_open(const struct mr_table_options *options, bool create, struct mr_table **ret,
              struct mr_err *err)
{
    MR_ASSERT(options->store != NULL && options->sql != NULL);
    MR_ASSERT(options->path != NULL && options->work_dir != NULL);
    MR_ASSERT(!create || options->schema != NULL);
    MR_CLEANUP(mr_table_closep) struct mr_table *table = mr_alloc(sizeof(*table));
    table->store = options->store;
    table->sql = options->sql;
    table->path = mr_strdup(options->path);
    table->work_dir = mr_strdup(options->work_dir);
    table->has_expected = options->schema != NULL;
    if (table->has_expected)
        mr_schema_copy(options->schema, &table->expected);
    mr_snapshot_init(&table->snapshot);
    struct mr_err why = { 0 };
    int code = mr_log_load(table, &why);
    if (code == MR_E(NOT_FOUND) && create) {
        why = (struct mr_err){ 0 };
        if (create_log(table, err) != 0)
            return err->code;
        code = mr_log_load(table, &why);
    }
    if (code != 0)
        return mr_fail(err, code, why.remedy, "%s", why.text);
    *ret = MR_TAKE(table);
    return 0;
}

void
mr_table_close(struct mr_table *table)
{
    if (table == NULL)
        return;
    mr_snapshot_fini(&table->snapshot);
    mr_schema_fini(&table->expected);
    free(table->path);
    free(table->work_dir);
    free(table);
}

void
mr_table_closep(struct mr_table **table)
{
    mr_table_close(MR_TAKE(*table));
}

int
mr_table_refresh(struct mr_table *table, struct mr_err *err)
{
    return mr_log_advance(table, err);
}

int64_t
mr_table_version(const struct mr_table *table)
{
    return table->snapshot.version;
}

const struct mr_schema *
mr_table_schema(const struct mr_table *table)
{
    return &table->snapshot.schema;
}

const struct mr_table_file *
mr_table_files(const struct mr_table *table, size_t *ret_count)
{
    *ret_count = table->snapshot.files_count;
    return table->snapshot.files;
}

const struct mr_table_part *
mr_table_part(const struct mr_table *table, const char *app_id)
{
    return mr_snapshot_part(&table->snapshot, app_id);
}

const struct mr_table_part *
mr_table_parts(const struct mr_table *table, size_t *ret_count)
{
    *ret_count = table->snapshot.parts_count;
    return table->snapshot.parts;
}

char *
mr_table_local(const struct mr_table *table, const struct mr_table_file *file, const char *dir)
{
    /* Others choose deep and long names: 128 bits of hash are as unique and always a file name. */
    MR_CLEANUP(mr_freep) char *key = mr_printf("%s/%s", table->path, file->path);
    return mr_printf("%s/%016llx%016llx.parquet", dir,
                     (unsigned long long)mr_hash64(key, strlen(key), 1),
                     (unsigned long long)mr_hash64(key, strlen(key), 2));
}

int
mr_table_fetch(struct mr_table *table, const struct mr_table_file *file, const char *dir,
               char **ret_path, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *key = mr_printf("%s/%s", table->path, file->path);
    MR_CLEANUP(mr_freep) char *path = mr_table_local(table, file, dir);
    if (access(path, R_OK) != 0 && mr_store_get_file(table->store, key, path, err) != 0)
        return mr_fail_in(err, "data file of %s", table->path);
    *ret_path = MR_TAKE(path);
    return 0;
}
