/*
 * archive: the whole archiver behind main: reads raw, clean and dead topics, keeps what it read in
 * works under one memory budget, and makes raw objects and table commits of them.
 *
 * Threads: one, and a worker thread of its own for everything that touches the store.
 */
#ifndef MR_ARCHIVER_ARCHIVE_H
#define MR_ARCHIVER_ARCHIVE_H

#include "bus/bus.h"
#include "contract/contract.h"
#include "metrics/metrics.h"
#include "rpc/rpc.h"
#include "sql/sql.h"
#include "store/store.h"

struct archive;

struct archive_rotation { /* what closes a work; the first one reached counts */
    int64_t records, bytes, age_ms;
};

struct archive_options {
    struct mr_bus *bus;
    struct mr_store *store; /* taken, also when open fails */
    struct mr_sql *sql;     /* taken likewise; may use work_dir */
    const char *kinds;
    const char *pipeline;
    const char *group, *instance; /* of the consumer group; instance may be NULL */
    const char *work_dir;
    int64_t queue_bytes_max, held_bytes_max; /* fetched and not yet taken; taken and not durable */
    struct archive_rotation raw, table;
    struct mr_metrics *metrics; /* of archive_metrics */
};
extern const struct mr_metric archive_metrics[];
extern const size_t archive_metrics_count;

int archive_open(const struct archive_options *options, struct archive **ret, struct mr_err *err);
void archive_close(struct archive *archive);
/* One bounded piece of work of at most wait_ms idle time; the count of records taken. */
int archive_step(struct archive *archive, int wait_ms, struct mr_err *err);
/* Makes everything that was read durable, then stops reading. */
int archive_drain(struct archive *archive, struct mr_err *err);
/* Reads the contracts again. */
int archive_reload(struct archive *archive, struct mr_err *err);

bool archive_ready(const struct archive *archive, char *ret_why, size_t size);
void archive_status(struct archive *archive, struct mr_buf *ret_json);
/* rpc Flush: replied to when everything that was read before it is durable. */
void archive_call(struct archive *archive, struct mr_rpc_call *call);
/* The same without rpc: true when nothing that was read is waiting to become durable. Closes all
 * works that are being filled. */
bool archive_flush(struct archive *archive);
/* Bytes held in memory for works (for the budget's test). */
int64_t archive_held(const struct archive *archive);

#endif
