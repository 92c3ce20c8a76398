/*
 * raw: the objects of a raw partition (LAW 15, 16).
 *
 *   topics/<T>/partition=<p>/<T>+<p>+<offset of the first record, 10 digits or more>.json
 *
 * Line i (from 0) is the record at that offset + i: an object ends before any jump in offsets. The
 * objects of a partition are a chain: each begins where the one before ends.
 */
#ifndef MR_ARCHIVER_RAW_H
#define MR_ARCHIVER_RAW_H

#include "work.h"

struct raw_object {
    struct work work; /* first */
    char topic[MR_BUS_TOPIC_MAX + 1];
    char topic_id[2 * MR_TOPIC_ID_BYTES + 1];
    int32_t partition;
    int64_t from;    /* next of the object before */
    int64_t first;   /* offset of the first record: the name */
    int64_t next;    /* behind the last record; after the work: where the chain stands */
    int64_t time_ms; /* of the first record */
    bool adopted;    /* after the work: the store had one of that name already */
    struct mr_buf lines;
};

struct raw_object *raw_object_new(const struct mr_part *part, int64_t from, int64_t first);
void raw_object_free(struct raw_object *object);
/* May the record at offset go into it? */
bool raw_object_continues(const struct raw_object *object, int64_t offset);
void raw_object_put(struct raw_object *object, const struct mr_record *record);

/* What is kept with the partition's committed offset: where the last object begins and what
 * is behind it. */
void raw_note(int64_t first, int64_t next, char ret_note[MR_POSITION_NOTE_MAX]);
/* Sets part->start to where the chain ends, and *ret_last to where its last object begins (-1:
 * there is none). Worker thread. */
int raw_start(struct keeper *keeper, struct mr_part *part, int64_t *ret_last, struct mr_err *err);

#endif
