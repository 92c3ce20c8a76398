/*
 * The reader of the memory driver: tells the events of its group first, then records up to the
 * stable end of each partition, in turn over the partitions.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bus/memory_state.h"

/* ---- open and close ---- */

void
memory_reader_free(struct memory_reader *reader)
{
    for (size_t i = 0; i < reader->patterns_count; i++) {
        if (reader->patterns[i][0] == '^')
            regfree(&reader->compiled[i]);
        free(reader->patterns[i]);
    }
    free(reader->hand);
    free(reader->going);
    free(reader->slots);
    free(reader->records);
    mr_arena_fini(&reader->batch);
    free(reader);
}

static void
close_reader(struct mr_reader *handle)
{
    struct memory_reader *reader = (struct memory_reader *)handle;
    MEMORY_LOCKED(reader->bus);
    mr_arena_fini(&reader->batch);
    memory_group_leave(reader);
}

static int
subscribe(struct mr_reader *handle, const char *const *topics, size_t count, struct mr_err *err)
{
    struct memory_reader *reader = (struct memory_reader *)handle;
    MR_ASSERT(reader->group != NULL);
    MR_ASSERT(count <= MEMORY_PATTERNS_MAX);
    MEMORY_LOCKED(reader->bus);
    for (size_t i = 0; i < reader->patterns_count; i++) {
        if (reader->patterns[i][0] == '^')
            regfree(&reader->compiled[i]);
        free(reader->patterns[i]);
    }
    reader->patterns_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (topics[i][0] == '^' &&
            regcomp(&reader->compiled[i], topics[i], REG_EXTENDED | REG_NOSUB) != 0)
            return mr_fail(err, MR_E(INVALID), MR_FATAL, "'%s' is no extended regular expression",
                           topics[i]);
        reader->patterns[i] = mr_strdup(topics[i]);
        reader->patterns_count++;
    }
    memory_group_join(reader);
    return 0;
}

/* ---- records ---- */

static struct mr_slice
lend(struct memory_reader *reader, struct mr_slice bytes)
{
    if (bytes.data == NULL)
        return bytes;
    return mr_slice(mr_arena_copy(&reader->batch, bytes.data, bytes.size), bytes.size);
}

static int
out_of_range(const struct slot *slot, struct mr_err *err)
{
    const struct log *log = &slot->topic->logs[slot->partition];
    return mr_fail(err, MR_E(NOT_FOUND), MR_FATAL,
                   "offset %lld of topic %s partition %d is not in the log, which holds %lld to "
                   "%lld",
                   (long long)slot->next, slot->topic->pub.name, (int)slot->partition,
                   (long long)log->start, (long long)log->count);
}

static bool
is_visible(const struct entry *entry)
{
    return !entry->is_marker && (entry->txn == NULL || entry->txn->state == TXN_COMMITTED);
}

/* Takes what one slot has, at most room records: the count, or an error. */
static int
take(struct memory_reader *reader, uint32_t index, size_t room, struct mr_record *ret,
     struct mr_err *err)
{
    struct slot *slot = &reader->slots[index];
    struct log *log = &slot->topic->logs[slot->partition];
    int64_t end = memory_stable_end(log);
    size_t count = 0;
    if (slot->next < log->start || slot->next > log->count)
        return out_of_range(slot, err);
    while (slot->next < end && count < room) {
        const struct entry *entry = &log->entries[slot->next];
        if (is_visible(entry))
            ret[count++] = (struct mr_record){ .slot = index,
                                               .offset = slot->next,
                                               .time_ms = entry->time_ms,
                                               .key = lend(reader, entry->key),
                                               .value = lend(reader, entry->value),
                                               .header = lend(reader, entry->header) };
        slot->next++;
    }
    if (slot->next >= end && slot->end_told != slot->next && count < room) {
        ret[count++] = (struct mr_record){ .slot = index, .is_end = true, .offset = slot->next };
        slot->end_told = slot->next;
    }
    return (int)count;
}

static int
take_all(struct memory_reader *reader, size_t count_max, struct mr_err *err)
{
    size_t count = 0;
    for (size_t i = 0; i < reader->slots_count && count < count_max; i++) {
        uint32_t index = (uint32_t)((reader->turn + i) % reader->slots_count);
        if (reader->slots[index].paused)
            continue;
        int taken = take(reader, index, count_max - count, reader->records + count, err);
        if (taken < 0)
            return taken;
        count += (size_t)taken;
    }
    reader->turn++;
    return (int)count;
}

/* ---- events ---- */

/* 1: an event is due and stands in ret; 0: none; or an error, and the event stays due. */
static int
tell_event(struct memory_reader *reader, struct mr_batch *ret, struct mr_err *err)
{
    if (reader->fenced)
        return mr_fail(err, MR_E(FENCED), MR_FATAL,
                       "another reader took over the name %s in group %s", reader->instance,
                       reader->group);
    if (reader->state == OFFERED) {
        if (memory_fault(reader->bus, "offsets", err) < 0)
            return err->code;
        for (size_t i = 0; i < reader->hand_count; i++)
            if (memory_part_offsets(reader->bus, reader->group, &reader->hand[i], err) < 0)
                return err->code;
        reader->state = ASKED;
    }
    if (reader->state == ASKED) {
        ret->event = MR_BUS_ASSIGNED;
        ret->parts = reader->hand;
        ret->parts_count = reader->hand_count;
        return 1;
    }
    if (reader->state == LEAVING) {
        ret->event = reader->lost ? MR_BUS_LOST : MR_BUS_REVOKED;
        ret->parts = reader->going;
        ret->parts_count = reader->going_count;
        return 1;
    }
    return 0;
}

static int
poll_reader(struct mr_reader *handle, size_t count_max, int timeout_ms, struct mr_batch *ret,
            struct mr_err *err)
{
    struct memory_reader *reader = (struct memory_reader *)handle;
    int64_t deadline_ms = memory_deadline(timeout_ms);
    int count;
    MEMORY_LOCKED(reader->bus);
    mr_arena_fini(&reader->batch);
    if (memory_fault(reader->bus, "poll", err) < 0)
        return err->code;
    do {
        struct mr_batch batch = { .event = MR_BUS_RECORDS };
        int told = tell_event(reader, &batch, err);
        if (told < 0)
            return told;
        count = 0;
        if (told == 0) {
            reader->records = mr_realloc(reader->records, count_max * sizeof(*reader->records));
            count = take_all(reader, count_max, err);
            if (count < 0)
                return count;
            batch.records = reader->records;
            batch.count = (size_t)count;
        }
        *ret = batch;
    } while (count == 0 && ret->event == MR_BUS_RECORDS && memory_wait(reader->bus, deadline_ms));
    return count;
}

/* ---- assignment and positions ---- */

static int
put_slots(struct memory_reader *reader, const struct mr_part *parts, size_t count,
          struct mr_err *err)
{
    struct slot *slots = mr_alloc(count * sizeof(*slots));
    for (size_t i = 0; i < count; i++) {
        struct topic *topic = memory_topic(reader->bus, parts[i].topic);
        if (topic == NULL || parts[i].partition >= topic->pub.partitions) {
            free(slots);
            return mr_fail(err, MR_E(NOT_FOUND), MR_REJECT, "there is no partition %d of topic %s",
                           (int)parts[i].partition, parts[i].topic);
        }
        slots[i] = (struct slot){ .topic = topic,
                                  .partition = parts[i].partition,
                                  .next = parts[i].start,
                                  .end_told = MR_NO_OFFSET };
    }
    free(reader->slots);
    reader->slots = slots;
    reader->slots_count = count;
    return 0;
}

static int
stale(const struct memory_reader *reader, struct mr_err *err)
{
    return mr_fail(err, MR_E(STALE), MR_RETRY, "the assignment in group %s has gone",
                   reader->group != NULL ? reader->group : "(none)");
}

static int
assign(struct mr_reader *handle, const struct mr_part *parts, size_t count, struct mr_err *err)
{
    struct memory_reader *reader = (struct memory_reader *)handle;
    MEMORY_LOCKED(reader->bus);
    mr_arena_fini(&reader->batch);
    if (reader->patterns_count == 0)
        return put_slots(reader, parts, count, err);
    if (reader->state != ASKED)
        return stale(reader, err);
    MR_ASSERT(count == reader->hand_count);
    if (put_slots(reader, parts, count, err) < 0)
        return err->code;
    reader->state = OWNING;
    return 0;
}

static int
release(struct mr_reader *handle, struct mr_err *err)
{
    (void)err;
    struct memory_reader *reader = (struct memory_reader *)handle;
    MEMORY_LOCKED(reader->bus);
    mr_arena_fini(&reader->batch);
    reader->slots_count = 0;
    if (reader->state == LEAVING)
        memory_group_released(reader);
    return 0;
}

static int
seek(struct mr_reader *handle, uint32_t slot, int64_t offset, struct mr_err *err)
{
    struct memory_reader *reader = (struct memory_reader *)handle;
    MEMORY_LOCKED(reader->bus);
    mr_arena_fini(&reader->batch);
    if (slot >= reader->slots_count || reader->state == LEAVING)
        return stale(reader, err);
    if (memory_fault(reader->bus, "seek", err) < 0)
        return err->code;
    reader->slots[slot].next = offset;
    reader->slots[slot].end_told = MR_NO_OFFSET;
    return 0;
}

static int
pause_slot(struct mr_reader *handle, uint32_t slot, bool paused, struct mr_err *err)
{
    struct memory_reader *reader = (struct memory_reader *)handle;
    MEMORY_LOCKED(reader->bus);
    mr_arena_fini(&reader->batch);
    if (slot >= reader->slots_count || reader->state == LEAVING)
        return stale(reader, err);
    reader->slots[slot].paused = paused;
    return 0;
}

int
memory_reader_owns(const struct memory_reader *reader, struct mr_err *err)
{
    if (reader->fenced)
        return mr_fail(err, MR_E(FENCED), MR_FATAL, "another reader took over the name %s",
                       reader->instance);
    if (reader->patterns_count > 0 && reader->state != OWNING &&
        !(reader->state == LEAVING && !reader->lost))
        return stale(reader, err);
    return 0;
}

static int
commit(struct mr_reader *handle, const struct mr_position *positions, size_t count, int timeout_ms,
       struct mr_err *err)
{
    (void)timeout_ms;
    struct memory_reader *reader = (struct memory_reader *)handle;
    MEMORY_LOCKED(reader->bus);
    mr_arena_fini(&reader->batch);
    MR_ASSERT(reader->group != NULL);
    if (memory_reader_owns(reader, err) < 0)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        if (positions[i].slot >= reader->slots_count)
            return stale(reader, err);
        memory_commit_offset(reader->bus, reader->group, &reader->slots[positions[i].slot],
                             &positions[i]);
    }
    return 0;
}

static int
offsets(struct mr_reader *handle, struct mr_offsets *all, size_t count, int timeout_ms,
        struct mr_err *err)
{
    struct memory_reader *reader = (struct memory_reader *)handle;
    struct mr_bus *bus = &reader->bus->base;
    return bus->driver->offsets(bus, reader->group, all, count, timeout_ms, err);
}

static int
is_taken(struct mr_reader *handle, int timeout_ms, struct mr_err *err)
{
    (void)timeout_ms;
    struct memory_reader *reader = (struct memory_reader *)handle;
    MEMORY_LOCKED(reader->bus);
    return memory_fault(reader->bus, "offsets", err) < 0 ? err->code : reader->fenced;
}

static const struct mr_reader_driver driver = {
    .close = close_reader,
    .subscribe = subscribe,
    .poll = poll_reader,
    .assign = assign,
    .release = release,
    .seek = seek,
    .pause = pause_slot,
    .commit = commit,
    .offsets = offsets,
    .is_taken = is_taken,
};

int
memory_reader_open(struct mr_bus *handle, const struct mr_reader_options *options,
                   struct mr_reader **ret, struct mr_err *err)
{
    (void)err;
    struct memory_bus *bus = (struct memory_bus *)handle;
    MEMORY_LOCKED(bus);
    struct memory_reader *reader = mr_alloc(sizeof(*reader));
    reader->base.driver = &driver;
    reader->bus = bus;
    if (options->group != NULL)
        reader->group = mr_arena_copy(&bus->arena, options->group, strlen(options->group));
    if (options->instance != NULL)
        reader->instance = mr_arena_copy(&bus->arena, options->instance, strlen(options->instance));
    mr_arena_init(&reader->batch);
    struct memory_reader **place = &bus->readers;
    while (*place != NULL)
        place = &(*place)->next;
    *place = reader;
    *ret = &reader->base;
    return 0;
}
