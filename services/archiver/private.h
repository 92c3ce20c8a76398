/*
 * What the files of archive share. archive.c: open, step, close; assign.c: partitions come and go;
 * flow.c: records into works, works to the worker and back; report.c: metrics, lag, status, Flush.
 */
#ifndef MR_ARCHIVER_PRIVATE_H
#define MR_ARCHIVER_PRIVATE_H

#include "archive.h"
#include "delta.h"
#include "log/log.h"
#include "names/names.h"
#include "raw.h"
#include "work.h"

enum {
    POLL_RECORDS_MAX = 2000,
    QUEUE_MAX = 4096,  /* works with the worker: one per sink */
    CLOSED_MAX = 8,    /* closed works of a sink that wait, then its partitions pause */
    SURVEY_MS = 1000,  /* lag, committed offsets, contracts that are waited for */
    ASK_MS_MAX = 2000, /* one question to the broker */
    PATIENCE_MS = 300, /* nothing is polled so long before partitions are paused */
    WORKER_WAIT_MS = 20,
    CLOSE_WAIT_MS = 1000,
    DRAIN_MS_MAX = 600000, /* of --drain-ms, which ends it earlier */
    SAY_AGAIN_MS = 10000,
    TROUBLE_MAX = 256,
    LOOK_MS = 2000,      /* how often an idle archiver looks whether its store is there */
    STORE_MS_MAX = 3000, /* without an answer of the store, then not ready */
};

/* One table that is written to. */
struct target {
    char name[MR_TABLE_MAX + 1];
    char tenant[MR_TENANT_MAX + 1], kind_name[MR_KIND_MAX + 1]; /* kind "dead": dead letters */
    const struct mr_kind *kind;                                 /* NULL: dead letters */
    struct sink sink;
    int64_t version;
    struct mr_cell *outcomes[3]; /* in, good, repeated; NULL for dead letters */
    struct mr_cell *rows, *commits, *conflicts, *stale, *differing;
};

/* One assigned partition. */
struct part {
    struct mr_part bus;
    struct mr_topic_name name;
    bool is_ours;           /* a raw, clean or dead topic of a known kind */
    struct sink sink;       /* raw only */
    struct target *target;  /* clean and dead */
    int64_t next;           /* behind the last record taken */
    int64_t durable;        /* behind the last record in the store */
    int64_t object;         /* raw: first offset of the last object, for the hint; -1: unknown */
    int64_t committed;      /* to the group, for display */
    int64_t good, repeated; /* of the partition since its table began */
    int64_t held;           /* records taken and not durable */
    int64_t end;
    int64_t fresh_ms; /* what is not taken yet came later than this; UTC */
    bool at_end, paused;
    bool pause_failed; /* the last call that was to change it: it may be either */
    bool seek_due;     /* the reader does not stand at next yet */
    bool waits_for_contract;
    char trouble[TROUBLE_MAX]; /* why it does not flow; "": it does */
    struct mr_cell *lag_records, *lag_seconds;
};

enum phase { PHASE_IDLE, PHASE_RESOLVING, PHASE_FLOWING };

struct flush {
    struct mr_rpc_call *call;
    uint64_t generation;
    int64_t *targets; /* of each part */
    int64_t records;
};

struct archive {
    struct archive_options options;
    char *group;
    struct keeper *keeper; /* the worker's, but for open and close */
    struct mr_worker *worker;
    struct mr_reader *reader;
    struct mr_contracts *contracts;
    struct mr_contracts **retired; /* schemas that open tables still point to */
    size_t retired_count;
    struct mr_arena arena; /* scratch, for one record */

    enum phase phase;
    uint64_t generation;
    struct part *parts;
    size_t parts_count;
    struct target **targets;
    size_t targets_count;
    struct work *start; /* the work that finds start offsets, while it may be tried again */
    unsigned start_attempts;
    int64_t start_retry_ms;

    bool over_budget;
    int64_t blocked_ms; /* since when some partition may not flow; 0: all may */
    int64_t survey_ms;
    int64_t look_ms;           /* when the store is to be looked at */
    char trouble[TROUBLE_MAX]; /* the last failure of a work that is tried again; "": none is */
    struct mr_log_gate gate;
    struct flush flushes[MR_RPC_CALLS_MAX];
    size_t flushes_count;
    struct mr_cell *objects, *object_records, *object_bytes, *adopted, *failures, *held_bytes,
        *raw_seconds, *table_seconds, *failing_seconds;
};

/* assign.c */
int archive_subscribe(struct archive *archive, struct mr_err *err);
int archive_assigned(struct archive *archive, const struct mr_batch *batch, struct mr_err *err);
int archive_released(struct archive *archive, struct mr_err *err);
int archive_started(struct archive *archive, struct work *work, struct mr_err *err);
int archive_start_again(struct archive *archive, struct mr_err *err);
void archive_forget(struct archive *archive);
void work_free(struct work *work);

/* flow.c */
void archive_take(struct archive *archive, const struct mr_record *records, size_t count);
void archive_rotate(struct archive *archive, bool everything);
int archive_submit(struct archive *archive, struct mr_err *err);
int archive_settled(struct archive *archive, struct work *work, struct mr_err *err);
void archive_failed(struct archive *archive, const struct mr_err *why); /* tried again later */
/* Since how long the work has failed that has failed longest; 0: none does. */
int64_t archive_failing_ms(const struct archive *archive);
/* Of the oldest record of the partition that was taken and is not durable; 0: there is none. */
int64_t archive_held_time_ms(const struct part *part);
bool archive_may_flow(const struct archive *archive, const struct part *part);
void sink_close(struct sink *sink);
void sink_empty(struct sink *sink);

/* report.c */
void archive_cells(struct archive *archive);
void target_cells(struct archive *archive, struct target *target);
void part_cells(struct archive *archive, struct part *part);
int archive_survey(struct archive *archive, struct mr_err *err);
/* A position that its log does not hold: says so when that is because the topic is another one. */
int archive_unread(struct archive *archive, struct mr_err *err);
void archive_show(struct archive *archive); /* what is known: lag grows with the clock */
void archive_answer(struct archive *archive);

#endif
