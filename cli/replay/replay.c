/*
 * A round opens the writer, reads the marks, plays what has none. It ends at the first transaction
 * that fails, and nothing is tried again inside it: a writer that begins anew may take the name
 * back from another replay whose marks were never read. Only when a record is larger than T takes
 * there is another round, with one letter in each transaction, so that the guilty one shows itself.
 */
#include "cli/replay/replay.h"

#include <inttypes.h>
#include <stdio.h>

#include "private.h"

struct run {
    const struct replay *replay;
    struct replay_counts *counts;
    struct letters letters;
    struct batch *batch;   /* NULL: only looking */
    struct places settled; /* letters that this run refused or did not want */
    bool careful;          /* one letter in each transaction */
    bool again;            /* not the first round */
    char place[REPLAY_PLACE_TEXT];
    int32_t partition; /* of the letter that was added last */
    int64_t offset;
};

static void
refuse(struct run *run, int32_t partition, int64_t offset, const char *place, const char *why)
{
    places_add(&run->settled, partition, offset);
    run->counts->refused++;
    run->replay->refused(run->replay->self, place, why);
}

static int
commit(struct run *run, struct mr_err *err)
{
    size_t count = batch_count(run->batch);
    struct mr_err why = { 0 };
    if (batch_commit(run->batch, &why) == 0) {
        run->counts->replayed += (int64_t)count;
        return 0;
    }
    if (why.code == MR_E(TOO_LARGE) && count == 1)
        refuse(run, run->partition, run->offset, run->place, why.text);
    return mr_fail(err, why.code, why.remedy, "%s", why.text);
}

static int
take(void *self, int32_t partition, const Millrace__V1__DeadLetter *letter, struct mr_slice key,
     struct mr_err *err)
{
    struct run *run = self;
    const struct replay *replay = run->replay;
    struct replay_letter one = { .letter = letter, .key = key };
    int32_t from = letter->origin->partition;
    int64_t offset = letter->origin->offset;
    char why[REPLAY_WHY_MAX];
    if (places_has(&run->settled, from, offset))
        return 0;
    if (places_has(&run->letters.marked, from, offset)) {
        run->counts->marked += !run->again;
        return 0;
    }
    (void)snprintf(one.place, sizeof(one.place), "%s/%d/%" PRId64, letter->origin->topic, (int)from,
                   offset);
    if (!letters_value(&run->letters, letter, &one, why)) {
        refuse(run, from, offset, one.place, why);
        return 0;
    }
    if (replay->wants != NULL && !replay->wants(replay->self, &one)) {
        places_add(&run->settled, from, offset);
        run->counts->unwanted++;
        return 0;
    }
    if (run->batch == NULL)
        return 0;
    batch_add(run->batch, partition, &one);
    places_add(&run->letters.marked, from, offset);
    memcpy(run->place, one.place, sizeof(run->place));
    run->partition = from;
    run->offset = offset;
    return run->careful || batch_is_full(run->batch) ? commit(run, err) : 0;
}

static int
play_round(struct run *run, bool writes, struct mr_err *err)
{
    MR_CLEANUP(batch_closep) struct batch *batch = NULL;
    /* In this order: what the one who is fenced here has committed must be seen. */
    if (writes && batch_open(run->replay, &batch, err) != 0)
        return err->code;
    run->batch = batch;
    int code = letters_open(run->replay, &run->letters, err);
    if (code == 0)
        code = letters_each(&run->letters, take, run, err);
    if (code == 0 && writes)
        code = commit(run, err);
    letters_fini(&run->letters);
    return code;
}

int
replay_run(const struct replay *replay, struct replay_counts *ret, struct mr_err *err)
{
    MR_ASSERT(replay->refused != NULL);
    struct run run = { .replay = replay, .counts = ret };
    *ret = (struct replay_counts){ 0 };
    int code = play_round(&run, true, err);
    while (code == MR_E(TOO_LARGE)) {
        *err = (struct mr_err){ 0 };
        run.again = run.careful = true;
        code = play_round(&run, true, err);
    }
    places_fini(&run.settled);
    return code;
}

int
replay_look(const struct replay *replay, struct replay_counts *ret, struct mr_err *err)
{
    MR_ASSERT(replay->wants != NULL && replay->refused != NULL);
    struct run run = { .replay = replay, .counts = ret };
    *ret = (struct replay_counts){ 0 };
    int code = play_round(&run, false, err);
    places_fini(&run.settled);
    return code;
}
