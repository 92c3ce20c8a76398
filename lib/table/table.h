/*
 * table: a Delta table on a store, protocol reader 1 / writer 2, unpartitioned, written so that
 * each record of a topic partition is in it exactly once.
 *
 * A commit is one conditional create of _delta_log/%020d.json. It holds, for each partition whose
 * records it adds, a txn action (appId = the partition, version = next offset) beside the files,
 * and in commitInfo the chain [from, next) with its counts (LAW 18, 19). A commit is
 * made against one snapshot and only if each partition's txn there is the `from` of the commit:
 * anything else is CONFLICT (read again, decide anew) or STALE (somebody has these records in).
 *
 * Threads: a handle belongs to one thread and uses its store from it.
 */
#ifndef MR_TABLE_H
#define MR_TABLE_H

#include "base/base.h"
#include "columns/columns.h"
#include "sql/sql.h"
#include "store/store.h"

struct mr_table;

enum {
    MR_TABLE_APP_MAX = 400,
    MR_TABLE_FILES_MAX = 1 << 20,
    MR_TABLE_CHECKPOINT_EVERY = 50, /* commits */
};

struct mr_table_options {
    struct mr_store *store;         /* borrowed */
    struct mr_sql *sql;             /* borrowed: checkpoints */
    const char *path;               /* below the store: "tables/12b287eedf6d_pin_table" */
    const struct mr_schema *schema; /* expected; NULL: take what the table has (readers) */
    const char *work_dir;           /* local files that are being made or read */
};
/* Reads the table as it stands; NOT_FOUND when it does not exist and create is false. A schema that
 * differs from the expected one is IDENTITY, naming the column, except for expected columns that
 * the table does not have yet: these are added by the next append (NULL in older rows). */
int mr_table_open(const struct mr_table_options *options, bool create, struct mr_table **ret,
                  struct mr_err *err);
void mr_table_close(struct mr_table *table);
void mr_table_closep(struct mr_table **table);

/* ---- snapshot ---- */

/* Takes in the commits made since (by anybody); returns how many. */
int mr_table_refresh(struct mr_table *table, struct mr_err *err);
int64_t mr_table_version(const struct mr_table *table);
const struct mr_schema *mr_table_schema(const struct mr_table *table);

struct mr_table_file {
    char *path;          /* below the table's path, as stored (decoded) */
    int64_t bytes, rows; /* rows -1: its writer did not say */
    int64_t version;     /* of the commit that added it, or of the checkpoint it was read from */
};
/* Live files in the order they were added. Borrowed until the next refresh or append. */
const struct mr_table_file *mr_table_files(const struct mr_table *table, size_t *ret_count);

struct mr_table_part {
    char app_id[MR_TABLE_APP_MAX + 1]; /* <pipeline>/<cluster>/<topic id>/<topic>/<partition> */
    int64_t next;                      /* txn version */
    int64_t good, repeated;            /* totals since the table began, kept in each commitInfo */
};
/* NULL: no commit has this app_id. Borrowed as above. */
const struct mr_table_part *mr_table_part(const struct mr_table *table, const char *app_id);
const struct mr_table_part *mr_table_parts(const struct mr_table *table, size_t *ret_count);

/* ---- append ---- */

struct mr_table_range {
    const char *app_id;
    const char *topic; /* for commitInfo */
    int32_t partition;
    const char *topic_id; /* hex */
    int64_t from; /* must equal the snapshot's next (or have none there: first commit of it) */
    int64_t next;
    int64_t good, repeated;
    const char *traces; /* for commitInfo: trace ids of these records; NULL: none */
};
struct mr_table_new_file {
    const char *local_path; /* made by mr_sql_write_parquet with the expected schema */
    const struct mr_file_stats *stats;
};
/* Uploads the files under new names and commits. 0: in, and the snapshot is now this commit.
 * CONFLICT: another commit came first; refresh, then decide anew (KEEP_FIRST must join again).
 * STALE: a range's from is not where the table stands. blind: the content did not depend on what
 * the table holds (KEEP_ALL). A lost reply is settled by reading back the commit id. Writes a
 * checkpoint when one is due; its failure is not an error (it is tried again later). */
int mr_table_append(struct mr_table *table, const struct mr_table_range *ranges,
                    size_t ranges_count, const struct mr_table_new_file *files, size_t files_count,
                    bool blind, struct mr_err *err);
int mr_table_checkpoint(struct mr_table *table, struct mr_err *err);

/* Makes sure that a data file is in the local cache directory dir, returns its local path there
 * (names are unique for ever, so a file that is there is right). The caller frees *ret_path. */
int mr_table_fetch(struct mr_table *table, const struct mr_table_file *file, const char *dir,
                   char **ret_path, struct mr_err *err);
/* Where fetch keeps it, there or not: a writer renames its own file to this after an append instead
 * of fetching it back. The caller frees it. */
char *mr_table_local(const struct mr_table *table, const struct mr_table_file *file,
                     const char *dir);

/* One line of a commit file, for fuzzing and for readers of chains: fills what it knows. */
struct mr_table_action {
    enum {
        MR_ACTION_OTHER,
        MR_ACTION_COMMIT,
        MR_ACTION_PROTOCOL,
        MR_ACTION_METADATA,
        MR_ACTION_TXN,
        MR_ACTION_ADD,
        MR_ACTION_REMOVE
    } type;
    struct json_t *json; /* owned: the action's object; freed by mr_table_action_fini */
};
int mr_table_parse(struct mr_slice line, struct mr_table_action *ret, struct mr_err *err);
void mr_table_action_fini(struct mr_table_action *action);

#endif
