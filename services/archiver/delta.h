/*
 * delta: batches of rows for Delta tables: what records become, and how a batch becomes one commit
 * that holds each record exactly once (LAW 18 to 21).
 */
#ifndef MR_ARCHIVER_DELTA_H
#define MR_ARCHIVER_DELTA_H

#include "contract/contract.h"
#include "names/names.h"
#include "work.h"

enum {
    DELTA_CONFLICTS_MAX = 20,
    DELTA_TRACE_TEXT = 32,
    DELTA_TRACES_MAX = 16, /* named for each partition of a commit */
};

/* One partition in a batch. */
struct delta_range {
    struct mr_part part;
    int64_t from, next, rows;
    int64_t time_ms;        /* of the first record */
    int64_t good, repeated; /* after the work */
    /* Trace ids of those records whose client samples their trace, with commas between. */
    char traces[DELTA_TRACES_MAX * (DELTA_TRACE_TEXT + 1)];
};

struct delta_batch {
    struct work work; /* first */
    char table[MR_TABLE_MAX + 1];
    const struct mr_kind *kind; /* NULL: a table of dead letters */
    struct mr_columns *rows;
    uint16_t *owner; /* of each row: index into ranges */
    size_t owner_capacity;
    struct delta_range *ranges;
    size_t ranges_count;
    /* after the work */
    int64_t differing; /* repeated rows that are not equal to the one that stays */
    int64_t version, rows_written;
    unsigned conflicts;
};

const struct mr_schema *delta_schema(const struct mr_kind *kind); /* NULL: of dead letters */
struct delta_batch *delta_batch_new(const char *table, const struct mr_kind *kind);
void delta_batch_free(struct delta_batch *batch);
size_t delta_batch_bytes(const struct delta_batch *batch);

/* Adds a record of part, whose rows so far end at from. 0; UNSUPPORTED: it is of a newer contract
 * than ours; CORRUPT: it is no message of ours. In both cases nothing was added. arena: scratch. */
int delta_batch_put(struct delta_batch *batch, const struct mr_part *part, int64_t from,
                    const struct mr_record *record, struct mr_arena *arena, struct mr_err *err);

/* A partition and its place in a table. */
struct delta_place {
    struct mr_part part;
    char table[MR_TABLE_MAX + 1];
    const struct mr_schema *schema;
    int64_t good, repeated; /* totals so far */
};
/* Sets part.start to the table's txn, 0 when it has none, and the totals. Worker thread. */
int delta_start(struct keeper *keeper, struct delta_place *place, struct mr_err *err);

#endif
