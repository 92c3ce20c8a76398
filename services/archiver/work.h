/*
 * work: what goes from the step thread to the worker thread and back, and what the worker thread
 * owns.
 *
 * The step thread fills a work (lines of a raw object, rows of a table), closes it, and hands it
 * over through mr_worker. While it is away nobody else touches it. Each raw partition and each
 * table has one sink: one work that is being filled, closed ones in order behind it, and at most
 * one of them away, since the next one continues where it ended.
 */
#ifndef MR_ARCHIVER_WORK_H
#define MR_ARCHIVER_WORK_H

#include "bus/bus.h"
#include "service/service.h"
#include "sql/sql.h"
#include "store/store.h"
#include "table/table.h"

/* LOOK: is the store there? Its answer is in mr_store_away. */
enum work_type { WORK_START, WORK_RAW, WORK_TABLE, WORK_LOOK };

struct work {
    struct mr_job job; /* first */
    enum work_type type;
    struct keeper *keeper;
    struct sink *sink;
    uint64_t generation; /* of the assignment it belongs to */
    struct work *next;
    int64_t opened_ms, records;
    int64_t took_us;
};

struct sink {
    struct work *filling;
    struct work *head, *tail; /* closed, oldest first */
    size_t closed;
    bool is_away;       /* head is with the worker */
    unsigned attempts;  /* of head that failed so far */
    int64_t failing_ms; /* when the first of them did */
    int64_t retry_ms;   /* head may go at this time */
};

/* ---- keeper: on the worker thread only, once the first work was handed over ---- */

struct keeper_table {
    char *name;
    const struct mr_schema *schema; /* borrowed: of a contract that lives as long as the keeper */
    struct mr_table *table;
    char relation[32], hits[32]; /* names of the batch and of found keys in SQL */
};

struct keeper {
    struct mr_store *store;
    struct mr_sql *sql;
    char *pipeline, *cluster, *work_dir, *cache_dir;
    struct keeper_table *tables;
    size_t tables_count;
    unsigned serial;
};

struct keeper_options {
    struct mr_store *store; /* taken, also when open fails */
    struct mr_sql *sql;     /* likewise; may use work_dir */
    const char *pipeline, *cluster;
    const char *work_dir; /* of this process alone: what a former one left there is removed */
};
int keeper_open(const struct keeper_options *options, struct keeper **ret, struct mr_err *err);
void keeper_close(struct keeper *keeper);
/* The open table of that name. NOT_FOUND when there is none and create is false. Borrowed until the
 * next call. */
int keeper_table(struct keeper *keeper, const char *name, const struct mr_schema *schema,
                 bool create, struct keeper_table **ret, struct mr_err *err);
/* <pipeline>/<cluster id>/<topic id>/<topic>/<partition> (LAW 7). */
void keeper_app_id(const struct keeper *keeper, const struct mr_part *part,
                   char ret_app_id[MR_TABLE_APP_MAX + 1]);

/* Did `millrace topics --adopt` choose the committed offset as the first one (LAW 11)? */
static inline bool
keeper_is_adopted(const struct mr_part *part)
{
    return part->committed != MR_NO_OFFSET && strncmp(part->note, "adopt", 5) == 0;
}

#endif
