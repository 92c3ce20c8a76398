/*
 * query: what its files share. The way of a question:
 *
 *   catalog.c  which tables there are, and the pinned snapshot of each (slow calls on the worker
 *              thread of lib/service)
 *   tail.c     rows of T.clean and T.dead behind the snapshots, in segments
 *   job.c      a question with the snapshots and tails that it pinned
 *   answer.c   rpc calls become jobs; cursors; pulled chunks
 *   runner.c   threads that own a disposable SQL process each, with its deadline
 *   sandbox.c  that process: views over snapshot and tail, rows out
 *   confine.c  what it may not do
 *   folders.c  cache, spill and shared memory, and what crashed processes left there
 *
 * Threads: the main thread owns catalog and tail; the worker thread the Delta handles; a runner
 * its process. Between them go only whole objects: jobs, snapshots, chunks.
 */
#ifndef MR_QUERY_H
#define MR_QUERY_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "bus/bus.h"
#include "contract/contract.h"
#include "names/names.h"
#include "rpc/rpc.h"
#include "service/service.h"
#include "table/table.h"

enum {
    QUERY_TABLES_MAX = 4096,
    QUERY_LANES_MAX = 16384,
    SEGMENT_ROWS_MAX = 8192,
    RUNNERS_MAX = 16,
    JOBS_WAITING_MAX = 64,
    CURSORS_MAX = 64,
    CURSOR_CHUNKS_MAX = 4,
    CURSOR_IDLE_MS = 30000,
    CHUNK_BYTES_MIN = 256 << 10, /* a chunk is sent when it has this much, or at the end */
    CHUNK_BYTES_MAX = 8 << 20,
    SQL_BYTES_MAX = 1 << 20,
};

struct query_options {
    struct mr_service_options service;
    const char *work_dir, *shm_dir; /* shm_dir: of this process alone once folders are open */
    int64_t refresh_ms, tail_bytes, rows_max;
    int64_t sql_processes, sql_memory, sql_threads;
};

/* ---- catalog ---- */

/* One version of a table as the worker thread saw it; never changes. */
struct snapshot {
    int64_t version; /* -1: no table yet */
    int64_t rows;
    char **files; /* local paths */
    size_t files_count;
    struct mr_table_part *parts;
    size_t parts_count;
    struct mr_schema schema; /* of the table then; later columns are NULL in its files */
    /* What came after it, held as long as this one: its files that the successor does not have are
     * deleted when nobody holds it any more. */
    struct snapshot *successor;
    _Atomic int holders;
};
struct snapshot *snapshot_hold(struct snapshot *snapshot);
void snapshot_drop(struct snapshot *snapshot);

/* Rows in shared memory, readable by the SQL process; unlinked when the last holder drops it. */
struct shared {
    char *path;
    size_t rows;
    _Atomic int holders;
};
void shared_drop(struct shared *shared);

struct segment {
    const struct mr_schema *schema; /* of the contract that its rows were read with */
    struct mr_columns *columns;
    uint32_t *lanes;       /* of each row */
    int64_t *offsets;      /* of each row */
    struct shared *shared; /* its rows so far, or NULL */
    struct segment *next;
};

struct table {
    char name[MR_TABLE_MAX + 1];
    char tenant[MR_TENANT_MAX + 1];
    char kind[MR_KIND_MAX + 1];     /* "dead" for dead letters */
    const struct mr_kind *contract; /* NULL for dead letters */
    const struct mr_schema *schema;
    int key;                   /* column that is unique (KEEP_FIRST), or -1 */
    struct mr_table *delta;    /* the worker thread's */
    struct snapshot *snapshot; /* NULL until first read */
    struct segment *first, *last;
    size_t tail_rows;
    bool is_fresh; /* its snapshot was just replaced */
};

/* NEW: its snapshot or its ends are not known yet. NEWER: a record of a newer contract stands at
 * next (LAW 22). CORRUPT: what stands there cannot be read. HOLE: it is gone from the log and in no
 * commit. Of a table with one of these two no question is answered. GONE: its topic was deleted;
 * what was taken in of it stays. */
enum lane_state { LANE_NEW, LANE_FLOWS, LANE_NEWER, LANE_CORRUPT, LANE_HOLE, LANE_GONE };

/* A partition that feeds a table. */
struct lane {
    struct mr_part part;
    char app_id[MR_TABLE_APP_MAX + 1];
    struct table *table;
    int64_t next;     /* behind the last row taken into the tail */
    int64_t covered;  /* the snapshot holds everything below it */
    int64_t end_us;   /* everything up to this time has been taken in; 0: never yet */
    int64_t asked_us; /* part.end was read from the broker behind this time; 0: never yet */
    enum lane_state state;
};

struct query {
    struct query_options options;
    struct mr_service *service;
    struct mr_contracts *contracts;
    struct mr_bus *bus;
    struct mr_reader *reader;
    struct mr_worker *worker;
    struct mr_bus *worker_bus; /* this and the next three are the worker thread's; both buses are
                                  lent */
    struct mr_store *store;
    struct mr_sql *sql;
    const char *cluster_id;

    struct table **tables;
    size_t tables_count;
    struct lane *lanes; /* grows only: its indices stand in segments */
    size_t lanes_count;
    uint32_t *slots; /* lane of each slot of the reader */
    size_t slots_count;
    int64_t surveyed_us;  /* the topics were read behind this time; 0: never yet */
    bool is_opened;       /* each table had its first snapshot */
    bool is_refreshing;   /* a job is with the worker thread */
    bool must_assign;     /* the reader does not know yet what the lanes say */
    int64_t refresh_ms;   /* when the next one is due */
    int64_t refreshed_ms; /* when the last good one came in */
    unsigned failures;    /* of refreshes in a row */
    int64_t reload_ms;    /* when a newer contract may be looked for again */
    size_t tail_bytes;
    bool is_full;                  /* the tail stands still until snapshots advance */
    char trouble[MR_ERR_TEXT_MAX]; /* of the last refresh; "": none */

    int lock_fd, shm_fd; /* hold the locks on work_dir and on our folder below shm_dir */
    struct answers *answers;
    struct mr_cell *tail_rows_cell, *tail_bytes_cell;
};

extern const struct mr_metric query_metrics[];
extern const size_t query_metrics_count;

/* Can it do its job? If not, why. */
bool query_ready(const struct query *q, char *ret_why, size_t size);

/* ---- folders ---- */

/* Makes and locks work_dir and a folder of our own below shm_dir; what crashed processes left is
 * removed. */
int folders_open(struct query *q, struct mr_err *err);
void folders_close(struct query *q);
void folder_remove(const char *path);
/* Deletes what stands in the cache and in no snapshot. */
void folders_sweep_cache(const struct query *q);

/* Looks for new topics and new commits, and takes in what the worker thread found. A store or a
 * broker that is away is no error: q->trouble says so, and what is there is served. */
int catalog_open(struct query *q, struct mr_err *err);
int catalog_step(struct query *q, struct mr_err *err);
void catalog_close(struct query *q);
struct table *catalog_find(struct query *q, const char *name);
/* Reads the contracts anew; what is open goes on with them. */
int catalog_reload(struct query *q, struct mr_err *err);

/* ---- tail ---- */

int tail_step(struct query *q, int wait_ms, struct mr_err *err);
/* Drops the rows that the snapshots of fresh tables cover now. */
void tail_prune(struct query *q);
/* Notes how far a lane is known to hold everything. */
void tail_settle(struct lane *lane);
/* False: nothing is wrong with this lane. */
bool tail_trouble(const struct lane *lane, char *ret_why, size_t size);
/* The rows of the tail in shared memory; the caller drops each. Returns how many. */
int tail_share(struct query *q, struct table *table, struct shared ***ret, size_t *ret_count,
               struct mr_err *err);
int64_t tail_as_of_us(const struct query *q);
void tail_drop_table(struct table *table);

/* ---- answers ---- */

struct job_table {
    char *name;
    char *alias; /* plain name of the kind within the asked tenant, or NULL */
    const struct mr_schema *schema;
    int key;
    struct snapshot *snapshot;
    struct shared **tail;
    size_t tail_count;
};

struct job {
    char *sql;
    char *known; /* names that may be asked for, for whoever named another */
    uint64_t rows_max;
    struct job_table *tables;
    size_t tables_count;
    struct cursor *cursor;
    struct job *next;
};
struct Millrace__V1__RunRequest;
int job_make(struct query *q, const struct Millrace__V1__RunRequest *request, struct job **ret,
             struct mr_err *err);
void job_free(struct job *job);

/* Frames of the socket: type, number and length, then the bytes. ROWS, LAST and CUT: number of rows
 * and their flat form, CUT when it is the last one although there are more rows; FAILED: rpc status
 * and text; JOB: 0 and JSON. */
enum frame_type {
    FRAME_JOB = 'J',
    FRAME_ROWS = 'R',
    FRAME_LAST = 'L',
    FRAME_CUT = 'C',
    FRAME_FAILED = 'F'
};

/* How a job ends or goes on; called by runners, answers the waiting call or queues the chunk. */
enum push { PUSH_MORE, PUSH_STOP };
enum push cursor_push(struct cursor *cursor, struct mr_slice flat, uint32_t rows,
                      enum frame_type type);
void cursor_fail(struct cursor *cursor, int status, const char *message);
/* Until when the runner may go on by itself; false: nobody waits any more. */
bool cursor_deadline(struct cursor *cursor, int64_t *ret_deadline_ms);

int answers_open(struct query *q, struct mr_err *err);
void answers_call(struct query *q, struct mr_rpc_call *call);
void answers_sweep(struct query *q);               /* idle cursors */
struct job *answers_take(struct answers *answers); /* runners: blocks; NULL: closing */
void answers_close(struct query *q);

/* ---- runner and sandbox ---- */

struct runner;
struct runner *runner_start(const struct query_options *options, struct answers *answers,
                            size_t number);
void runner_stop(struct runner *runner);
/* The SQL process: serves jobs from the socket fd until it closes. Its exit code. */
int sandbox_main(int argc, char **argv);
#define SANDBOX_FLAG "--sandbox" /* first argument; then memory, threads, cache, spill folder */
enum { SANDBOX_FD = 3, SANDBOX_ARGS = 6 };

struct frame {
    uint32_t type, number, size;
};
int frame_send(int fd, enum frame_type type, uint32_t number, struct mr_slice body,
               struct mr_err *err);
/* Waits up to wait_ms for a frame to begin: 1 when there is one, 0 when not, or an error. */
int frame_wait(int fd, int64_t wait_ms, struct mr_err *err);
/* Nothing that the process may do is needed any more but memory, files and the socket. */
int sandbox_confine(int64_t memory);
int frame_receive(int fd, struct frame *ret_frame, struct mr_buf *ret_body, struct mr_err *err);

#endif
