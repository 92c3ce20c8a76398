/*
 * T.dead is read twice: for the marks, which may stand anywhere behind their letters, and then for
 * the letters. So memory holds the places of marks and one letter, however many there are.
 */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "private.h"

enum {
    ASK_MS_MAX = 10000,
    POLL_MAX = 1000,
    POLL_MS = 200,
    STALL_MS_MAX = 60000, /* an open transaction holds reading up until its timeout at most */
    FETCH_MS_MAX = 10000,
    QUEUE_BYTES = 32 << 20,
};

/* ---- topics ---- */

static int
find_topics(struct letters *letters, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) struct mr_topic *topics = NULL;
    size_t count = 0;
    if (mr_bus_topics(letters->replay->bus, &topics, &count, ASK_MS_MAX, err) != 0)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(topics[i].name, letters->raw) == 0) {
            memcpy(letters->raw_id, topics[i].id, sizeof(letters->raw_id));
            letters->raw_partitions = topics[i].partitions;
        } else if (strcmp(topics[i].name, letters->dead) == 0) {
            letters->parts_count = (size_t)topics[i].partitions;
        }
    }
    if (letters->raw_partitions == 0 || letters->parts_count == 0)
        return mr_fail(err, MR_E(NOT_FOUND), MR_FATAL, "there is no topic %s",
                       letters->raw_partitions == 0 ? letters->raw : letters->dead);
    return 0;
}

static int
find_ends(struct letters *letters, struct mr_err *err)
{
    size_t count = letters->parts_count;
    MR_CLEANUP(mr_freep) struct mr_offsets *offsets = mr_alloc(count * sizeof(*offsets));
    for (size_t p = 0; p < count; p++)
        offsets[p] = (struct mr_offsets){ .topic = letters->dead, .partition = (int32_t)p };
    if (mr_bus_high_watermarks(letters->replay->bus, offsets, count, ASK_MS_MAX, err) != 0 ||
        mr_bus_offsets(letters->replay->bus, NULL, offsets, count, ASK_MS_MAX, err) != 0)
        return err->code;
    letters->parts = mr_alloc(count * sizeof(*letters->parts));
    for (size_t p = 0; p < count; p++) {
        struct mr_part *part = &letters->parts[p];
        (void)snprintf(part->topic, sizeof(part->topic), "%s", letters->dead);
        part->partition = (int32_t)p;
        part->start = part->log_start = offsets[p].log_start;
        part->end = offsets[p].high;
    }
    return 0;
}

/* ---- reading ---- */

typedef int record_taker(void *self, int32_t partition, const struct mr_record *record,
                         struct mr_err *err);

/* What is left to be read of each partition. */
struct course {
    const struct letters *letters;
    bool *done;
    size_t left;
};

static int
take_batch(struct course *course, const struct mr_batch *batch, record_taker *take, void *self,
           struct mr_err *err)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct mr_record *record = &batch->records[i];
        const struct mr_part *part = &course->letters->parts[record->slot];
        bool *done = &course->done[record->slot];
        if (*done)
            continue;
        if (!record->is_end && record->offset < part->end &&
            take(self, part->partition, record, err) != 0)
            return err->code;
        *done = record->offset + !record->is_end >= part->end;
        course->left -= *done;
    }
    return 0;
}

static int
read_all(struct letters *letters, record_taker *take, void *self, struct mr_err *err)
{
    const struct mr_reader_options options = { .queue_bytes_max = QUEUE_BYTES };
    MR_CLEANUP(mr_reader_closep) struct mr_reader *reader = NULL;
    MR_CLEANUP(mr_freep) bool *done = mr_alloc(letters->parts_count * sizeof(*done));
    struct course course = { letters, done, 0 };
    for (size_t p = 0; p < letters->parts_count; p++) {
        done[p] = letters->parts[p].log_start >= letters->parts[p].end;
        course.left += !done[p];
    }
    if (mr_reader_open(letters->replay->bus, &options, &reader, err) != 0 ||
        mr_reader_assign(reader, letters->parts, letters->parts_count, err) != 0)
        return err->code;
    int64_t stall_ms = mr_now_ms() + STALL_MS_MAX;
    while (course.left > 0) {
        struct mr_batch batch;
        if (mr_reader_poll(reader, POLL_MAX, POLL_MS, &batch, err) < 0 ||
            take_batch(&course, &batch, take, self, err) != 0)
            return err->code;
        if (batch.count > 0)
            stall_ms = mr_now_ms() + STALL_MS_MAX;
        else if (mr_now_ms() > stall_ms)
            return mr_fail(err, MR_E(TIMEOUT), MR_RETRY,
                           "%s cannot be read to its end: a transaction on it stays open",
                           letters->dead);
    }
    return 0;
}

static int
unpack(const struct letters *letters, int32_t partition, const struct mr_record *record,
       Millrace__V1__DeadLetter **ret, struct mr_err *err)
{
    *ret = millrace__v1__dead_letter__unpack(NULL, record->value.size, record->value.data);
    if (*ret != NULL && (*ret)->origin != NULL)
        return 0;
    if (*ret != NULL)
        millrace__v1__dead_letter__free_unpacked(*ret, NULL);
    return mr_fail(err, MR_E(CORRUPT), MR_FATAL, "%s part %d offset %" PRId64 " cannot be read",
                   letters->dead, (int)partition, record->offset);
}

static int
take_mark(void *self, int32_t partition, const struct mr_record *record, struct mr_err *err)
{
    struct letters *letters = self;
    Millrace__V1__DeadLetter *letter;
    if (unpack(letters, partition, record, &letter, err) != 0)
        return err->code;
    if (letter->replayed_as != NULL)
        places_add(&letters->marked, letter->origin->partition, letter->origin->offset);
    millrace__v1__dead_letter__free_unpacked(letter, NULL);
    return 0;
}

int
letters_open(const struct replay *replay, struct letters *ret, struct mr_err *err)
{
    *ret = (struct letters){ .replay = replay };
    mr_arena_init(&ret->arena);
    mr_topic_format(replay->tenant, replay->kind, MR_TOPIC_RAW, ret->raw);
    mr_topic_format(replay->tenant, replay->kind, MR_TOPIC_DEAD, ret->dead);
    if (find_topics(ret, err) != 0 || find_ends(ret, err) != 0)
        return err->code;
    return read_all(ret, take_mark, ret, err);
}

void
letters_fini(struct letters *letters)
{
    free(letters->parts);
    places_fini(&letters->marked);
    mr_arena_fini(&letters->arena);
}

/* ---- which ---- */

static bool
is_meant(const struct replay_filter *filter, const Millrace__V1__DeadLetter *letter)
{
    if (letter->replayed_as != NULL)
        return false;
    if (filter->codes != 0 && (letter->code > 63 || (filter->codes >> letter->code & 1) == 0))
        return false;
    if (letter->dead_us < filter->since_us ||
        (filter->until_us != 0 && letter->dead_us >= filter->until_us))
        return false;
    return !filter->has_origin || (letter->origin->partition == filter->partition &&
                                   letter->origin->offset == filter->offset);
}

struct picking {
    struct letters *letters;
    letter_taker *take;
    void *self;
};

static int
pick(void *self, int32_t partition, const struct mr_record *record, struct mr_err *err)
{
    struct picking *picking = self;
    Millrace__V1__DeadLetter *letter;
    if (unpack(picking->letters, partition, record, &letter, err) != 0)
        return err->code;
    int code = 0;
    if (is_meant(&picking->letters->replay->filter, letter))
        code = picking->take(picking->self, partition, letter, record->key, err);
    millrace__v1__dead_letter__free_unpacked(letter, NULL);
    mr_arena_reset(&picking->letters->arena);
    return code;
}

int
letters_each(struct letters *letters, letter_taker *take, void *self, struct mr_err *err)
{
    struct picking picking = { letters, take, self };
    return read_all(letters, pick, &picking, err);
}

/* ---- the value ---- */

/* The record at that place, in the arena; false: it is not there any more. */
static bool
fetch(struct letters *letters, const Millrace__V1__Origin *at, struct mr_slice *ret_value)
{
    const struct mr_reader_options options = { .queue_bytes_max = QUEUE_BYTES };
    MR_CLEANUP(mr_reader_closep) struct mr_reader *reader = NULL;
    struct mr_part part = { .partition = at->partition, .start = at->offset };
    struct mr_offsets now = { .topic = letters->raw, .partition = at->partition };
    struct mr_err unknown = { 0 };
    int64_t until_ms = mr_now_ms() + FETCH_MS_MAX;
    (void)snprintf(part.topic, sizeof(part.topic), "%s", letters->raw);
    if (mr_bus_offsets(letters->replay->bus, NULL, &now, 1, ASK_MS_MAX, &unknown) != 0 ||
        at->offset < now.log_start || at->offset >= now.end ||
        mr_reader_open(letters->replay->bus, &options, &reader, &unknown) != 0 ||
        mr_reader_assign(reader, &part, 1, &unknown) != 0)
        return false;
    while (mr_now_ms() < until_ms) {
        struct mr_batch batch;
        int count = mr_reader_poll(reader, 1, POLL_MS, &batch, &unknown);
        if (count < 0)
            return false;
        if (count == 0)
            continue;
        const struct mr_record *record = &batch.records[0];
        if (record->is_end || record->offset != at->offset || record->value.data == NULL)
            return false;
        *ret_value =
            mr_slice(mr_arena_copy(&letters->arena, record->value.data, record->value.size),
                     record->value.size);
        return true;
    }
    return false;
}

static bool
is_whole(const Millrace__V1__DeadLetter *letter, struct mr_slice value)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    int done = EVP_Digest(value.data, value.size, digest, &size, EVP_sha256(), NULL);
    MR_ASSERT(done == 1);
    return value.size == letter->original_bytes && letter->original_sha256.len == size &&
           memcmp(letter->original_sha256.data, digest, size) == 0;
}

/* Only the beginning of the original is kept: the rest stands where it died, if it still does. */
static bool
fetch_whole(struct letters *letters, const Millrace__V1__DeadLetter *letter,
            struct mr_slice *ret_value, char ret_why[REPLAY_WHY_MAX])
{
    bool is_there = fetch(letters, letter->origin, ret_value);
    if (is_there && is_whole(letter, *ret_value))
        return true;
    (void)snprintf(ret_why, REPLAY_WHY_MAX,
                   "of its %" PRIu64 " bytes the letter holds %zu, and %s; give it with --record",
                   letter->original_bytes, letter->original.len,
                   is_there ? "what stands in its place does not match its SHA-256"
                            : "its record is gone from the topic");
    return false;
}

static bool
is_ours(const struct letters *letters, const Millrace__V1__DeadLetter *letter,
        char ret_why[REPLAY_WHY_MAX])
{
    const Millrace__V1__Origin *origin = letter->origin;
    if (strcmp(origin->topic, letters->raw) != 0)
        (void)snprintf(ret_why, REPLAY_WHY_MAX, "what died stands in %s and never was in %s",
                       origin->topic, letters->raw);
    else if (origin->topic_id.len != sizeof(letters->raw_id) ||
             memcmp(origin->topic_id.data, letters->raw_id, sizeof(letters->raw_id)) != 0 ||
             origin->partition >= letters->raw_partitions)
        (void)snprintf(ret_why, REPLAY_WHY_MAX, "%s was made anew since it died", letters->raw);
    else if (letter->provenance == NULL || letter->provenance->event_id.len != 16)
        (void)snprintf(ret_why, REPLAY_WHY_MAX, "the letter holds no event id");
    else
        return true;
    return false;
}

bool
letters_value(struct letters *letters, const Millrace__V1__DeadLetter *letter,
              struct replay_letter *ret, char ret_why[REPLAY_WHY_MAX])
{
    const struct replay *replay = letters->replay;
    if (!is_ours(letters, letter, ret_why))
        return false;
    if (replay->repaired.data != NULL) {
        ret->value = replay->repaired;
        return true;
    }
    if (letter->tombstone)
        ret->value = mr_slice(NULL, 0);
    else if (letter->original.len < letter->original_bytes)
        return fetch_whole(letters, letter, &ret->value, ret_why);
    else /* empty is not none */
        ret->value = letter->original.len > 0
                         ? mr_slice(letter->original.data, letter->original.len)
                         : mr_slice("", 0);
    return true;
}
