/*
 * receipts: what became of the latest events that can be told from others (LAW 3): the same event
 * again gets the same receipt without being stored again, another value under its id is refused,
 * and what is still in flight is waited for. A window, bounded by bytes: what was not asked for
 * longest goes first, and is then the validator's to recognise.
 *
 * Threads: the door's.
 */
#ifndef MR_RECEIPTS_H
#define MR_RECEIPTS_H

#include "base/base.h"
#include "gateway/stamp.h"

struct receipts;

enum {
    RECEIPT_BYTES = 72, /* of one event, all told */
    RECEIPTS_BYTES_DEFAULT = 8 << 20,
    RECEIPTS_BYTES_MAX = 1 << 30,
};

struct receipt {
    uint64_t value_hash;
    uint32_t incarnation; /* of its topic: a topic that was made anew holds nothing of the old */
    uint32_t place;       /* of an event in flight: where it stands in its post */
    int32_t partition;
    int64_t offset; /* -1: still in flight */
};

/* bytes_max is taken as it is used; 0: nothing is kept. */
struct receipts *receipts_open(int64_t bytes_max);
void receipts_close(struct receipts *receipts);
/* NULL: not known. Borrowed until the next call. */
const struct receipt *receipts_find(struct receipts *receipts, const uint8_t id[STAMP_ID_BYTES],
                                    uint32_t incarnation);
/* The event is in flight; not called for one that is known. */
void receipts_begin(struct receipts *receipts, const uint8_t id[STAMP_ID_BYTES],
                    const struct receipt *receipt);
/* receipt: with its value_hash, partition and offset. */
void receipts_settle(struct receipts *receipts, const uint8_t id[STAMP_ID_BYTES],
                     const struct receipt *receipt);
/* It was not stored, or nobody knows. */
void receipts_forget(struct receipts *receipts, const uint8_t id[STAMP_ID_BYTES]);
size_t receipts_count(const struct receipts *receipts);

#endif
