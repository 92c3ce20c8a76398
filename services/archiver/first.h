/*
 * first: of rows with one key the first in the table's commit order stays (LAW 20, 21).
 *
 * A batch is joined with itself, then with the table's files, by scanning their key columns: exact,
 * and without state that could be lost. An index of key hashes under a memory budget can stand in
 * front of first_join without a change to its callers.
 */
#ifndef MR_ARCHIVER_FIRST_H
#define MR_ARCHIVER_FIRST_H

#include "work.h"

struct first {
    const struct mr_columns *rows;
    size_t key;
    uint32_t *slots; /* hash of keys: first row with it + 1 */
    size_t slots_count;
    uint32_t *same;    /* of each row: the next row with its key, 0: none */
    uint8_t *repeated; /* of each row */
    uint8_t *differs;  /* of each row: not equal to the one that stays */
    size_t repeated_count;
};

/* Joins rows (borrowed) with themselves; key is a column. A NULL key equals none. */
void first_init(struct first *first, const struct mr_columns *rows, size_t key);
void first_fini(struct first *first); /* also for MR_CLEANUP */
/* Joins with those of the table's files that were added behind version. The batch must be bound to
 * entry->relation. */
int first_join(struct first *first, struct keeper *keeper, struct keeper_table *entry,
               int64_t version, struct mr_err *err);

#endif
