/*
 * What the files of stage share. stage.c: the step; takeover.c: who starts where; report.c: counts,
 * lag and status.
 */
#ifndef MR_STAGE_PRIVATE_H
#define MR_STAGE_PRIVATE_H

#include "stage/stage.h"

enum {
    ASK_MS_MAX = 2000,    /* one question to the broker */
    COMMIT_MS_MAX = 8000, /* below transaction.timeout */
    EMIT_MS_MAX = 8000,   /* waiting for room in the producer's queue */
    SURVEY_MS = 1000,     /* how often lag and paused outputs are looked at */
    SETTLE_MS = 200,      /* idle time before a position behind a marker is committed */
    MEET_MS_MAX = 500,    /* waiting to see outputs before partitions are held for them */
    WHY_MAX = 400,
};

struct slot {
    struct mr_stage_part pub;
    int64_t committed;           /* next of the last commit */
    int64_t next;                /* behind the last record handled, or an end-of-partition */
    struct mr_counts counts;     /* as committed */
    int64_t heard;               /* the reader is behind it: seek there first; MR_NO_OFFSET: no */
    int64_t end;                 /* last known, for lag */
    int64_t fresh_ms;            /* what is not handled yet came later than this; UTC */
    int64_t settled_ms;          /* what is not committed yet came later than this; UTC */
    bool opened;                 /* the handler has state for it */
    bool held;                   /* paused: stage->held_why */
    bool hold_failed;            /* the last call that was to change it: it may be either */
    bool unborn;                 /* has no committed offset: commit its start first (LAW 11) */
    struct mr_cell *outcomes[4]; /* in, good, repeated, dead */
    struct mr_cell *codes[MR_DEAD_CODES]; /* NULL: none of that code yet */
    struct mr_cell *lag_records, *lag_seconds;
};

struct mr_stage {
    struct mr_stage_options options;
    char id[256];    /* <pipeline>.<stage>.<instance> */
    char group[256]; /* <pipeline>.<stage> */
    struct mr_reader *reader;
    struct mr_writer *writer;
    struct mr_arena arena;
    struct slot *slots;
    size_t slots_count;
    struct mr_record *live; /* records of one poll that are to be handled */

    bool joined;      /* an assignment has come, be it an empty one */
    bool is_open;     /* a transaction is open */
    bool is_broken;   /* it failed: abort and rewind before anything else */
    bool is_fenced;   /* the writer was: by another process, or by the broker alone? */
    bool is_in_doubt; /* the last commit got no answer: it may have taken effect */
    size_t in_batch;  /* records since the last commit */
    size_t careful;   /* so many records still go one by one: one of them was too large */
    int64_t opened_ms, committed_ms, survey_ms;
    char trouble[MR_ERR_TEXT_MAX]; /* why not ready; "" = fine */
    int64_t failing_ms;            /* since when commits fail; 0: the last one did not */
    unsigned failing_count;        /* so many in a row */
    char failing[MR_ERR_TEXT_MAX]; /* the last one's reason */
    char held_why[WHY_MAX];        /* of the last slot that is held; "" = none is */

    struct mr_cell *commits, *aborts, *commit_seconds, *failures, *failing_seconds;
};

/* takeover.c */
int stage_take_over(struct mr_stage *stage, const struct mr_batch *batch, struct mr_err *err);
void stage_let_go(struct mr_stage *stage);
/* Pauses what may not flow and resumes what may. */
void stage_hold(struct mr_stage *stage);
/* report.c */
void stage_cells(struct mr_stage *stage, struct slot *slot);
/* Asks where the logs end; fails when a topic is another one now. */
int stage_survey(struct mr_stage *stage, struct mr_err *err);
/* A position that its log does not hold: says so when that is because the topic is another one. */
int stage_unread(struct mr_stage *stage, struct mr_err *err);
void stage_show(struct mr_stage *stage); /* what is known: lag grows with the clock */
void stage_count(struct mr_stage *stage, struct slot *slot);
void stage_failing(struct mr_stage *stage, const struct mr_err *why); /* NULL: not any more */
/* Notes it, and says in err what may be done when it happens again and again. */
int stage_commit_failed(struct mr_stage *stage, struct mr_err *err);
/* The topic id in hex that the note names, or NULL. */
const char *stage_note_topic(const char *note);

#endif
