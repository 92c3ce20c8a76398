/*
 * replay: plays the dead letters of one kind of one tenant again (LAW 24).
 *
 * A replay is a new record of T with an origin of its own, on the partition of the record that
 * died, under the same event id. Its provenance says replay_of: where the record that died stands
 * in T, which is the name that a letter has everywhere (not where the letter stands in T.dead). In
 * the same transaction a mark is written behind the letter, on its partition of T.dead. A letter
 * that has a mark is not played again.
 *
 * All transactions of a kind of a tenant go by one name, <pipeline>.replay.<tenant>.<kind>. Whoever
 * opens it fences who had it and ends what that one left open; then T.dead is read up to its high
 * watermark, behind which the other can write nothing any more. So of two replays at once one ends
 * with FENCED and the other sees its marks; one that is killed has played a letter and marked it,
 * or neither.
 *
 *   letters.c  T.dead from its start to where it ended, what is marked, which letters are meant
 *   batch.c    some letters again, and their marks, in one transaction
 *   judge.c    would the stages pass it now?
 *   replay.c   the rounds
 *
 * Threads: one.
 */
#ifndef MR_REPLAY_H
#define MR_REPLAY_H

#include "bus/bus.h"
#include "clean/clean.h"
#include "contract/contract.h"
#include "millrace/v1/event.pb-c.h"
#include "names/names.h"

enum {
    REPLAY_BATCH_MAX = 500, /* letters in one transaction */
    REPLAY_BATCH_BYTES = 16 << 20,
    REPLAY_PLACE_TEXT = MR_TOPIC_MAX + 40,
    REPLAY_WHY_MAX = 512,
};

struct replay_filter {
    uint64_t codes;             /* bit n: letters of DeadCode n; 0: of all */
    int64_t since_us, until_us; /* died from .. to before; 0: no limit */
    bool has_origin;            /* only the one letter of this place in T */
    int32_t partition;
    int64_t offset;
};

/* A letter that is meant, and the value that would be posted: its original, whole. */
struct replay_letter {
    const Millrace__V1__DeadLetter *letter;
    struct mr_slice value; /* data NULL: a tombstone */
    struct mr_slice key;
    char place[REPLAY_PLACE_TEXT]; /* T/partition/offset of what died */
};

struct replay {
    struct mr_bus *bus;
    const char *pipeline, *tenant, *kind;
    struct replay_filter filter;
    struct mr_slice repaired; /* takes the place of the one original; data NULL: none */
    /* Judges each letter before it is played; false: leave it out. NULL: all are played. */
    bool (*wants)(void *self, const struct replay_letter *letter);
    /* Told once of each letter that cannot be played again. */
    void (*refused)(void *self, const char *place, const char *why);
    void *self;
};

struct replay_counts {
    int64_t replayed, marked, unwanted, refused; /* marked: before this run */
};

/* FENCED: another replay of this kind took over. After any error what was committed is counted, and
 * the same call goes on with the rest. */
int replay_run(const struct replay *replay, struct replay_counts *ret, struct mr_err *err);
/* Writes nothing: wants is asked about each letter that replay_run would play. */
int replay_look(const struct replay *replay, struct replay_counts *ret, struct mr_err *err);

/* ---- judge ---- */

enum replay_fate { REPLAY_PASSES, REPLAY_DIES, REPLAY_OPEN };
struct replay_judge {
    struct mr_contracts *contracts;
    struct mr_clean *clean;
    struct mr_columns *input;
    struct mr_buf record, key, row; /* row: what the cleaner would make of it, as JSON */
    struct mr_verdict verdict;
    const char *kind;
};
int replay_judge_open(const char *kinds, const char *kind, struct replay_judge *ret,
                      struct mr_err *err);
void replay_judge_close(struct replay_judge *judge);
/* By the contract and the clean.sql that were read at open, which need not be those of the
 * services. OPEN: it holds, but died for its size, and what the topics take now is not asked. */
enum replay_fate replay_judge(struct replay_judge *judge, const struct replay_letter *letter);

#endif
