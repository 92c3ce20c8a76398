/* What the files of replay share. */
#ifndef MR_REPLAY_PRIVATE_H
#define MR_REPLAY_PRIVATE_H

#include "cli/replay/replay.h"

/* ---- places: a set of partitions and offsets ---- */

struct places {
    struct place {
        int32_t partition;
        int64_t offset; /* -1: free */
    } * slots;
    size_t count, capacity; /* a power of two, or 0 */
};
bool places_has(const struct places *places, int32_t partition, int64_t offset);
void places_add(struct places *places, int32_t partition, int64_t offset);
void places_fini(struct places *places);

/* ---- letters ---- */

struct letters {
    const struct replay *replay;
    char raw[MR_TOPIC_MAX + 1], dead[MR_TOPIC_MAX + 1];
    uint8_t raw_id[MR_TOPIC_ID_BYTES];
    int32_t raw_partitions;
    struct mr_part *parts; /* of T.dead; end: behind what was written when it was opened */
    size_t parts_count;
    struct places marked;  /* origins in T */
    struct mr_arena arena; /* of one letter */
};
/* Finds where T.dead ends now and reads all marks. */
int letters_open(const struct replay *replay, struct letters *ret, struct mr_err *err);
void letters_fini(struct letters *letters);

/* Calls take for each letter that the filter means, marked or not; partition: of T.dead. */
typedef int letter_taker(void *self, int32_t partition, const Millrace__V1__DeadLetter *letter,
                         struct mr_slice key, struct mr_err *err);
int letters_each(struct letters *letters, letter_taker *take, void *self, struct mr_err *err);
/* What would be posted, valid until the next letter. False: it cannot be, why says so. */
bool letters_value(struct letters *letters, const Millrace__V1__DeadLetter *letter,
                   struct replay_letter *ret, char ret_why[REPLAY_WHY_MAX]);

/* ---- batch ---- */

struct batch;
/* With it the name is ours. */
int batch_open(const struct replay *replay, struct batch **ret, struct mr_err *err);
void batch_closep(struct batch **batch);
void batch_add(struct batch *batch, int32_t partition, const struct replay_letter *letter);
bool batch_is_full(const struct batch *batch);
size_t batch_count(const struct batch *batch);
/* One transaction; the batch is empty then. After an error the writer must not be used again:
 * whoever begins anew has to look for marks first, another replay may have come between. */
int batch_commit(struct batch *batch, struct mr_err *err);

#endif
