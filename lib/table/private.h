/*
 * What the files of table share: the snapshot (what a log says up to one version), the lines of a
 * commit, schemas as Delta writes them.
 */
#ifndef MR_TABLE_PRIVATE_H
#define MR_TABLE_PRIVATE_H

#include <jansson.h>

#include "table/table.h"

enum { COMMIT_BYTES_MAX = 64 << 20 };

/* ---- schemas (schema.c) ---- */

int mr_delta_schema_parse(const char *text, struct mr_schema *ret, struct mr_err *err);
/* The schemaString of schema; base (may be NULL) is an older one, whose fields stay as they are and
 * in front. The caller frees. */
char *mr_delta_schema_text(const char *base, const struct mr_schema *schema);
/* How have stands to what is expected: MR_OK, or IDENTITY naming the column; columns that are only
 * missing are fine and counted. */
int mr_delta_schema_check(const struct mr_schema *expected, const struct mr_schema *have,
                          size_t *ret_missing, struct mr_err *err);

/* ---- snapshot (snapshot.c) ---- */

struct mr_snapshot {
    int64_t version;    /* -1: no commit yet */
    int64_t checkpoint; /* newest one that is known; -1: none */
    int reader_version, writer_version;
    bool is_partitioned;
    bool has_totals; /* some commit so far carried ours */
    json_t *metadata;
    struct mr_schema schema;
    struct mr_table_file *files; /* path NULL: removed in the commit that is being applied */
    size_t files_count, files_capacity;
    uint32_t *slots; /* hash of paths: index + 1 into files */
    size_t slots_count;
    struct mr_table_part *parts;
    size_t parts_count;
};
void mr_snapshot_init(struct mr_snapshot *snapshot);
void mr_snapshot_fini(struct mr_snapshot *snapshot); /* also for MR_CLEANUP */
/* Takes in one commit whole, or nothing of it. */
int mr_snapshot_apply(struct mr_snapshot *snapshot, int64_t version, struct mr_slice text,
                      struct mr_err *err);
/* Takes in one action of a checkpoint of that version. */
int mr_snapshot_restore(struct mr_snapshot *snapshot, int64_t version, struct mr_slice line,
                        struct mr_err *err);
/* Only the totals of our commitInfo; false: this commit is not ours. */
bool mr_snapshot_totals(struct mr_snapshot *snapshot, struct mr_slice text);
struct mr_table_part *mr_snapshot_part(const struct mr_snapshot *snapshot, const char *app_id);

/* ---- the log (log.c) ---- */

struct mr_table {
    struct mr_store *store;
    struct mr_sql *sql;
    char *path, *work_dir;
    struct mr_schema expected;
    bool has_expected;
    struct mr_snapshot snapshot;
};

char *mr_log_key(const struct mr_table *table, int64_t version, const char *ending);
int mr_log_load(struct mr_table *table, struct mr_err *err);
int mr_log_advance(struct mr_table *table, struct mr_err *err);
/* The commit id that stands in commit version; NOT_FOUND when there is no such commit, "" when it
 * has none. */
int mr_log_commit_id(struct mr_table *table, int64_t version, char ret_id[MR_UUID_TEXT + 1],
                     struct mr_err *err);

/* ---- checkpoint (checkpoint.c) ---- */

int mr_checkpoint_read(struct mr_table *table, int64_t version, struct mr_snapshot *ret,
                       struct mr_err *err);

#endif
