/*
 * The reader is opened at the first subscription and thrown away with it: changing one's mind is
 * rare, and a new member has no past. A reader that failed for good is replaced in the same way;
 * the group then tells where to go on, so a failure repeats records and loses none.
 */
#include "gateway/consumer.h"

#include "clock/clock.h"
#include "gateway/consumer_private.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    QUEUE_BYTES_MAX = 1 << 20,
    COMMIT_MS_MAX = 5000,
    LOOK_MS_MAX = 5000,
    QUIET_MS = 1000, /* a client that reads again within it finds what was fetched meanwhile */
};

struct consumer *
consumer_new(struct mr_bus *bus, const struct consumer_options *options)
{
    struct consumer *consumer = mr_alloc(sizeof(*consumer));
    consumer->bus = bus;
    consumer->options = *options;
    consumer->options.group = consumer->group = mr_strdup(options->group);
    return consumer;
}

/* ---- what is wished ---- */

static void
drop_parts(struct consumer *consumer)
{
    free(consumer->parts);
    free(consumer->slots);
    consumer->parts = NULL;
    consumer->slots = NULL;
    consumer->parts_count = 0;
}

void
consumer_drop(struct consumer *consumer)
{
    mr_reader_closep(&consumer->reader);
    drop_parts(consumer);
    consumer->is_paused = true;
}

static void
drop_wish(struct consumer *consumer)
{
    for (size_t i = 0; i < consumer->topics_count; i++)
        free(consumer->topics[i]);
    free(consumer->topics);
    free(consumer->wished);
    consumer->topics = NULL;
    consumer->wished = NULL;
    consumer->topics_count = consumer->wished_count = 0;
}

void
consumer_free(struct consumer *consumer)
{
    if (consumer == NULL)
        return;
    consumer_drop(consumer);
    drop_wish(consumer);
    free(consumer->group);
    free(consumer);
}

/* ---- what is assigned ---- */

static int64_t
start_of(const struct consumer *consumer, const struct mr_part *part, int64_t wished)
{
    if (wished >= part->log_start && wished <= part->end)
        return wished;
    return consumer->options.is_earliest ? part->log_start : part->end;
}

static void
keep_parts(struct consumer *consumer, const struct mr_part *parts, size_t count)
{
    drop_parts(consumer);
    consumer->parts = mr_alloc((count + 1) * sizeof(*parts));
    consumer->slots = mr_alloc((count + 1) * sizeof(*consumer->slots));
    if (count > 0)
        memcpy(consumer->parts, parts, count * sizeof(*parts));
    consumer->parts_count = count;
    for (size_t i = 0; i < count; i++) {
        struct mr_part *part = &consumer->parts[i];
        part->start = start_of(consumer, part, part->committed);
        consumer->slots[i] = (struct consumer_slot){
            .next = part->start,
            .committed = part->committed,
            .is_internal = strncmp(part->topic, "__", 2) == 0,
        };
    }
}

/* Kafka's own topics match many a pattern, but hold nothing for clients. */
static void
pause_parts(struct consumer *consumer, bool all, bool paused)
{
    struct mr_err gone = { 0 };
    for (size_t i = 0; i < consumer->parts_count; i++)
        if (all || consumer->slots[i].is_internal)
            (void)mr_reader_pause(consumer->reader, (uint32_t)i,
                                  paused || consumer->slots[i].is_internal, &gone);
}

static int
take_assignment(struct consumer *consumer, const struct mr_part *parts, size_t count,
                struct mr_err *err)
{
    keep_parts(consumer, parts, count);
    if (mr_reader_assign(consumer->reader, consumer->parts, count, err) != 0) {
        drop_parts(consumer);
        return err->code;
    }
    pause_parts(consumer, consumer->is_paused, true);
    return 0;
}

void
consumer_answer(struct consumer *consumer, const struct mr_batch *batch)
{
    struct mr_err ignored = { 0 };
    if (batch->event == MR_BUS_ASSIGNED) {
        (void)take_assignment(consumer, batch->parts, batch->parts_count, &ignored);
        return;
    }
    if (batch->event == MR_BUS_REVOKED && consumer->options.auto_commit)
        (void)consumer_commit(consumer, NULL, 0, &ignored);
    (void)mr_reader_release(consumer->reader, &ignored);
    drop_parts(consumer);
}

static int
assign_wished(struct consumer *consumer, struct mr_err *err)
{
    size_t count = consumer->wished_count;
    MR_CLEANUP(mr_freep) struct mr_offsets *offsets = mr_alloc(count * sizeof(*offsets));
    for (size_t i = 0; i < count; i++)
        offsets[i] = (struct mr_offsets){ .topic = consumer->wished[i].topic,
                                          .partition = consumer->wished[i].partition };
    if (mr_reader_offsets(consumer->reader, offsets, count, LOOK_MS_MAX, err) != 0)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        consumer->wished[i].log_start = offsets[i].log_start;
        consumer->wished[i].end = offsets[i].end;
        consumer->wished[i].committed = offsets[i].committed;
    }
    return take_assignment(consumer, consumer->wished, count, err);
}

int
consumer_ensure(struct consumer *consumer, struct mr_err *err)
{
    const struct mr_reader_options options = { .group = consumer->group,
                                               .queue_bytes_max = QUEUE_BYTES_MAX };
    if (consumer->reader != NULL || consumer->topics_count + consumer->wished_count == 0)
        return 0;
    consumer->is_paused = true;
    if (mr_reader_open(consumer->bus, &options, &consumer->reader, err) != 0)
        return err->code;
    int code = consumer->topics_count > 0
                   ? mr_reader_subscribe(consumer->reader, (const char *const *)consumer->topics,
                                         consumer->topics_count, err)
                   : assign_wished(consumer, err);
    if (code != 0)
        consumer_drop(consumer);
    return code;
}

/* What cannot be had is not wished any more, but what may come yet is. */
static int
start(struct consumer *consumer, struct mr_err *err)
{
    int code = consumer_ensure(consumer, err);
    if (code != 0)
        drop_wish(consumer);
    return code;
}

int
consumer_subscribe(struct consumer *consumer, const char *const *topics, size_t count,
                   struct mr_err *err)
{
    bool is_same = count == consumer->topics_count;
    for (size_t i = 0; is_same && i < count; i++)
        is_same = strcmp(topics[i], consumer->topics[i]) == 0;
    if (is_same)
        return consumer_ensure(consumer, err);
    consumer_leave(consumer);
    consumer->topics = mr_alloc(count * sizeof(*consumer->topics));
    for (size_t i = 0; i < count; i++)
        consumer->topics[i] = mr_strdup(topics[i]);
    consumer->topics_count = count;
    return start(consumer, err);
}

int
consumer_assign(struct consumer *consumer, const struct place *places, size_t count,
                struct mr_err *err)
{
    consumer_leave(consumer);
    consumer->wished = mr_alloc(count * sizeof(*consumer->wished));
    consumer->wished_count = count;
    for (size_t i = 0; i < count; i++) {
        consumer->wished[i].partition = places[i].partition;
        (void)snprintf(consumer->wished[i].topic, sizeof(consumer->wished[i].topic), "%s",
                       places[i].topic);
    }
    return start(consumer, err);
}

void
consumer_leave(struct consumer *consumer)
{
    struct mr_err ignored = { 0 };
    if (consumer->options.auto_commit)
        (void)consumer_commit(consumer, NULL, 0, &ignored);
    consumer_drop(consumer);
    drop_wish(consumer);
}

const struct mr_part *
consumer_parts(const struct consumer *consumer, size_t *ret_count)
{
    *ret_count = consumer->parts_count;
    return consumer->parts;
}

void
consumer_pause(struct consumer *consumer, bool paused)
{
    if (consumer->is_paused == paused)
        return;
    consumer->is_paused = paused;
    pause_parts(consumer, true, paused);
    if (paused)
        (void)malloc_trim(0); /* what was fetched and dropped would stay with the process */
}

void
consumer_tend(struct consumer *consumer)
{
    struct mr_err err = { 0 };
    struct mr_batch batch;
    if (consumer_ensure(consumer, &err) != 0 || consumer->reader == NULL)
        return;
    if (!consumer->is_paused && mr_now_ms() < consumer->read_ms + QUIET_MS)
        return;
    consumer_pause(consumer, true);
    if (mr_reader_poll(consumer->reader, 1, 0, &batch, &err) >= 0) {
        if (batch.event != MR_BUS_RECORDS)
            consumer_answer(consumer, &batch);
    } else if (err.remedy == MR_FATAL) {
        consumer_drop(consumer);
    }
}

/* ---- positions ---- */

/* The slot of a place, or -1. */
static int64_t
slot_of(const struct consumer *consumer, const struct place *place, struct mr_err *err)
{
    for (size_t i = 0; i < consumer->parts_count; i++)
        if (consumer->parts[i].partition == place->partition &&
            strcmp(consumer->parts[i].topic, place->topic) == 0)
            return (int64_t)i;
    (void)mr_fail(err, MR_E(CONFLICT), MR_REJECT,
                  "No current assignment for partition %s-%d: it is not assigned to this consumer "
                  "(yet)",
                  place->topic, (int)place->partition);
    return -1;
}

static int
seek_to(struct consumer *consumer, uint32_t slot, int64_t offset, struct mr_err *err)
{
    if (mr_reader_seek(consumer->reader, slot, offset, err) != 0)
        return err->code;
    consumer->slots[slot].next = offset;
    return 0;
}

int
consumer_seek(struct consumer *consumer, enum seek seek, const struct place *places, size_t count,
              struct mr_err *err)
{
    MR_CLEANUP(mr_freep) struct mr_offsets *offsets = mr_alloc(count * sizeof(*offsets));
    for (size_t i = 0; i < count; i++) {
        if (slot_of(consumer, &places[i], err) < 0)
            return err->code;
        offsets[i] =
            (struct mr_offsets){ .topic = places[i].topic, .partition = places[i].partition };
    }
    if (mr_bus_offsets(consumer->bus, NULL, offsets, count, LOOK_MS_MAX, err) != 0)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        const struct mr_part log = { .log_start = offsets[i].log_start, .end = offsets[i].end };
        int64_t offset = seek == SEEK_BEGINNING ? log.log_start
                         : seek == SEEK_END     ? log.end
                                                : start_of(consumer, &log, places[i].offset);
        if (seek_to(consumer, (uint32_t)slot_of(consumer, &places[i], err), offset, err) != 0)
            return err->code;
    }
    return 0;
}

/* Everything that moved since the last commit; the count of positions. */
static size_t
moved(const struct consumer *consumer, struct mr_position *ret)
{
    size_t count = 0;
    for (size_t i = 0; i < consumer->parts_count; i++) {
        const struct consumer_slot *slot = &consumer->slots[i];
        if (slot->next != slot->committed && !slot->is_internal)
            ret[count++] = (struct mr_position){ .slot = (uint32_t)i, .next = slot->next };
    }
    return count;
}

static int
store(struct consumer *consumer, const struct mr_position *positions, size_t count, int timeout_ms,
      struct mr_err *err)
{
    if (mr_reader_commit(consumer->reader, positions, count, timeout_ms, err) != 0)
        return err->code;
    for (size_t i = 0; i < count; i++)
        consumer->slots[positions[i].slot].committed = positions[i].next;
    return 0;
}

void
consumer_commit_soon(struct consumer *consumer)
{
    struct mr_err ignored = { 0 };
    MR_CLEANUP(mr_freep)
    struct mr_position *positions = mr_alloc((consumer->parts_count + 1) * sizeof(*positions));
    size_t count = moved(consumer, positions);
    if (count > 0)
        (void)store(consumer, positions, count, 0, &ignored);
}

int
consumer_commit(struct consumer *consumer, const struct place *places, size_t count,
                struct mr_err *err)
{
    size_t room = count > 0 ? count : consumer->parts_count;
    MR_CLEANUP(mr_freep) struct mr_position *positions = mr_alloc((room + 1) * sizeof(*positions));
    for (size_t i = 0; i < count; i++) {
        int64_t slot = slot_of(consumer, &places[i], err);
        if (slot < 0)
            return err->code;
        positions[i] = (struct mr_position){ .slot = (uint32_t)slot,
                                             .next = places[i].offset + 1,
                                             .note = places[i].note };
    }
    if (count == 0)
        count = moved(consumer, positions);
    return count == 0 ? 0 : store(consumer, positions, count, COMMIT_MS_MAX, err);
}

int
consumer_committed(struct consumer *consumer, struct mr_offsets *offsets, size_t count,
                   struct mr_err *err)
{
    if (consumer->reader != NULL)
        return mr_reader_offsets(consumer->reader, offsets, count, LOOK_MS_MAX, err);
    const struct mr_reader_options options = { .group = consumer->group,
                                               .queue_bytes_max = QUEUE_BYTES_MAX };
    MR_CLEANUP(mr_reader_closep) struct mr_reader *reader = NULL;
    if (mr_reader_open(consumer->bus, &options, &reader, err) != 0)
        return err->code;
    return mr_reader_offsets(reader, offsets, count, LOOK_MS_MAX, err);
}
