/*
 * A lane is a thread with its readers; a partition always goes to the same one. The end is asked
 * first: a reader at the end of its partition says so once only, and would be waited for in vain.
 */
#include "gateway/fetch.h"

#include "clock/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum { POLL_COUNT_MAX = 500, POLL_MS_MAX = 100, QUEUE_BYTES_MAX = 1 << 20 };

struct seat {
    struct mr_reader *reader; /* NULL: this place is free */
    char topic[MR_BUS_TOPIC_MAX + 1];
    int32_t partition;
    int64_t next; /* what it reads next; -1: not known */
    uint64_t used;
};

struct lane {
    struct errands *errands;
    struct seat seats[FETCH_READERS_MAX];
    uint64_t uses;
};

struct fetches {
    struct lane lanes[FETCH_THREADS];
};

/* ---- on the thread of the lane ---- */

static struct seat *
pick_seat(struct lane *lane, const struct fetch *fetch)
{
    struct seat *oldest = &lane->seats[0];
    for (size_t i = 0; i < FETCH_READERS_MAX; i++) {
        struct seat *seat = &lane->seats[i];
        if (seat->reader != NULL && seat->partition == fetch->partition &&
            strcmp(seat->topic, fetch->topic) == 0)
            return seat;
        if (seat->used < oldest->used)
            oldest = seat;
    }
    return oldest;
}

/* A reader that stands at the offset. */
static int
take_seat(struct lane *lane, const struct fetch *fetch, int64_t offset, struct seat **ret,
          struct mr_err *err)
{
    static const struct mr_reader_options options = { .queue_bytes_max = QUEUE_BYTES_MAX };
    struct seat *seat = pick_seat(lane, fetch);
    struct mr_part part = { .partition = fetch->partition, .start = offset };
    bool is_there = seat->reader != NULL && seat->next == offset &&
                    seat->partition == fetch->partition && strcmp(seat->topic, fetch->topic) == 0;
    seat->used = ++lane->uses;
    *ret = seat;
    if (is_there)
        return 0;
    if (seat->reader == NULL && mr_reader_open(fetch->errand.bus, &options, &seat->reader, err) < 0)
        return err->code;
    memcpy(part.topic, fetch->topic, sizeof(part.topic));
    memcpy(seat->topic, fetch->topic, sizeof(seat->topic));
    seat->partition = fetch->partition;
    seat->next = -1;
    if (mr_reader_assign(seat->reader, &part, 1, err) < 0)
        return err->code;
    seat->next = offset;
    return 0;
}

static struct mr_slice
keep(struct fetch *fetch, struct mr_slice bytes)
{
    if (bytes.data == NULL)
        return bytes;
    return mr_slice(mr_arena_copy(&fetch->arena, bytes.data, bytes.size), bytes.size);
}

static bool
has_room(const struct fetch *fetch, size_t more)
{
    return fetch->count < fetch->count_max &&
           (fetch->count == 0 || fetch->bytes + more <= FETCH_BYTES_MAX);
}

/* False when the record is one too many. */
static bool
take_record(struct fetch *fetch, const struct mr_record *record)
{
    size_t bytes = record->key.size + record->value.size;
    if (record->is_end) {
        fetch->next = record->offset;
        return true;
    }
    if (!has_room(fetch, bytes))
        return false;
    fetch->records[fetch->count++] = (struct fetched){ .offset = record->offset,
                                                       .time_ms = record->time_ms,
                                                       .key = keep(fetch, record->key),
                                                       .value = keep(fetch, record->value) };
    fetch->bytes += bytes;
    fetch->next = record->offset + 1;
    return true;
}

/* One poll's worth; false when there is no room for more. */
static bool
take_batch(struct fetch *fetch, struct seat *seat, const struct mr_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (!take_record(fetch, &batch->records[i])) {
            seat->next = -1; /* the rest of the batch is lost for this reader */
            return false;
        }
        seat->next = fetch->next;
    }
    return has_room(fetch, 0);
}

static int
read_records(struct fetch *fetch, struct seat *seat, struct mr_err *err)
{
    int64_t deadline_ms = mr_now_ms() + FETCH_MS_MAX;
    bool goes_on = true;
    fetch->records = mr_alloc(fetch->count_max * sizeof(*fetch->records));
    while (goes_on && fetch->next < fetch->end && mr_now_ms() < deadline_ms) {
        size_t left = fetch->count_max - fetch->count;
        struct mr_batch batch = { 0 };
        int count = mr_reader_poll(seat->reader, left < POLL_COUNT_MAX ? left : POLL_COUNT_MAX,
                                   (int)mr_left_ms(deadline_ms, POLL_MS_MAX), &batch, err);
        if (count < 0) {
            seat->next = -1;
            return count;
        }
        goes_on = take_batch(fetch, seat, &batch);
    }
    return 0;
}

static int
run(struct mr_job *job, struct mr_err *err)
{
    struct fetch *fetch = (struct fetch *)job;
    struct mr_offsets offsets = { .topic = fetch->topic, .partition = fetch->partition };
    struct mr_err gone = { 0 };
    struct seat *seat;
    if (mr_bus_offsets(fetch->errand.bus, NULL, &offsets, 1, FETCH_MS_MAX, err) < 0)
        return err->code;
    fetch->end = offsets.end;
    fetch->next = fetch->offset > offsets.log_start ? fetch->offset : offsets.log_start;
    if (fetch->next >= fetch->end)
        return 0;
    if (take_seat(fetch->lane, fetch, fetch->next, &seat, err) < 0)
        return err->code;
    if (read_records(fetch, seat, &gone) < 0)
        return mr_fail(err, MR_E(UNAVAILABLE), MR_RETRY, "records cannot be read now: %s",
                       gone.text);
    return 0;
}

/* ---- on the door's ---- */

struct fetches *
fetches_open(struct mr_bus *bus)
{
    struct fetches *fetches = mr_alloc(sizeof(*fetches));
    for (size_t i = 0; i < FETCH_THREADS; i++)
        fetches->lanes[i].errands = errands_open(bus);
    return fetches;
}

void
fetches_close(struct fetches *fetches)
{
    if (fetches == NULL)
        return;
    for (size_t i = 0; i < FETCH_THREADS; i++) {
        struct lane *lane = &fetches->lanes[i];
        errands_close(lane->errands);
        for (size_t j = 0; j < FETCH_READERS_MAX; j++)
            mr_reader_close(lane->seats[j].reader);
    }
    free(fetches);
}

struct errands *
fetches_errands(struct fetches *fetches, size_t i)
{
    MR_ASSERT(i < FETCH_THREADS);
    return fetches->lanes[i].errands;
}

int
fetch_submit(struct fetches *fetches, struct fetch *fetch, struct mr_err *err)
{
    MR_ASSERT(fetch->count_max > 0);
    MR_ASSERT(fetch->count_max <= FETCH_COUNT_MAX);
    MR_ASSERT(fetch->offset >= 0);
    uint64_t hash = mr_hash64(fetch->topic, strlen(fetch->topic), (uint64_t)fetch->partition);
    fetch->lane = &fetches->lanes[hash % FETCH_THREADS];
    fetch->errand.job.run = run;
    mr_arena_init(&fetch->arena);
    return errands_submit(fetch->lane->errands, &fetch->errand, err);
}

void
fetch_fini(struct fetch *fetch)
{
    mr_arena_fini(&fetch->arena);
    free(fetch->records);
}
