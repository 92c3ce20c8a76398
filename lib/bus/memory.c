/*
 * The bus in memory: topics are arrays of entries, a transaction is a state that its entries point
 * to, readers stop before the first entry whose transaction is open. Kept as strict as a broker
 * where tests of logic lean on it: markers take offsets, aborted records stay in the log unseen,
 * a batch is gone at the next call.
 */
#include "bus/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bus/memory_state.h"

/* ---- lock, time, faults ---- */

struct memory_bus *
memory_lock(struct memory_bus *bus)
{
    MR_ASSERT(pthread_mutex_lock(&bus->lock) == 0);
    return bus;
}

void
memory_unlock(struct memory_bus **bus)
{
    MR_ASSERT(pthread_mutex_unlock(&(*bus)->lock) == 0);
}

/* The machine's clock, not the one that tests hold still: a wait must end. */
int64_t
memory_deadline(int timeout_ms)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + timeout_ms;
}

bool
memory_wait(struct memory_bus *bus, int64_t deadline_ms)
{
    struct timespec until = { .tv_sec = deadline_ms / 1000,
                              .tv_nsec = deadline_ms % 1000 * 1000000 };
    return memory_deadline(0) < deadline_ms &&
           pthread_cond_timedwait(&bus->changed, &bus->lock, &until) != ETIMEDOUT;
}

int
memory_fault(struct memory_bus *bus, const char *call, struct mr_err *err)
{
    for (size_t i = 0; i < bus->faults_count; i++) {
        struct fault *fault = &bus->faults[i];
        if (strcmp(fault->call, call) != 0 || fault->count == 0)
            continue;
        if (fault->skip > 0) {
            fault->skip--;
            return 0;
        }
        fault->count--;
        return mr_fail(err, fault->err.code, fault->err.remedy, "%s", fault->err.text);
    }
    return 0;
}

void
mr_bus_memory_fault(struct mr_bus *handle, const char *call, unsigned skip, unsigned count,
                    const struct mr_err *err)
{
    struct memory_bus *bus = (struct memory_bus *)handle;
    MEMORY_LOCKED(bus);
    MR_ASSERT(bus->faults_count < MEMORY_FAULTS_MAX);
    MR_ASSERT(err->code < 0);
    struct fault *fault = &bus->faults[bus->faults_count++];
    *fault = (struct fault){ .skip = skip, .count = count, .err = *err };
    (void)snprintf(fault->call, sizeof(fault->call), "%s", call);
}

void
mr_bus_memory_hold(struct mr_bus *handle, bool hold)
{
    struct memory_bus *bus = (struct memory_bus *)handle;
    MEMORY_LOCKED(bus);
    bus->hold = hold;
}

/* ---- topics and logs ---- */

struct topic *
memory_topic(struct memory_bus *bus, const char *name)
{
    struct topic *topic = bus->topics;
    while (topic != NULL && strcmp(topic->pub.name, name) != 0)
        topic = topic->next;
    return topic;
}

static bool
is_open(const struct entry *entry)
{
    return entry->txn != NULL && entry->txn->state == TXN_OPEN;
}

int64_t
memory_stable_end(struct log *log)
{
    while (log->decided < log->count && !is_open(&log->entries[log->decided]))
        log->decided++;
    return log->decided;
}

static struct mr_slice
keep(struct memory_bus *bus, struct mr_slice bytes)
{
    if (bytes.data == NULL)
        return bytes;
    return mr_slice(mr_arena_copy(&bus->arena, bytes.data, bytes.size), bytes.size);
}

int64_t
memory_append(struct memory_bus *bus, struct log *log, const struct entry *entry)
{
    if (log->count == log->capacity) {
        log->capacity = log->capacity == 0 ? 64 : 2 * log->capacity;
        log->entries = mr_realloc(log->entries, (size_t)log->capacity * sizeof(*log->entries));
    }
    struct entry *kept = &log->entries[log->count];
    *kept = *entry;
    kept->key = keep(bus, entry->key);
    kept->value = keep(bus, entry->value);
    kept->header = keep(bus, entry->header);
    (void)pthread_cond_broadcast(&bus->changed);
    return log->count++;
}

static void
free_logs(struct topic *topic)
{
    for (int i = 0; i < topic->pub.partitions; i++)
        free(topic->logs[i].entries);
    free(topic->logs);
}

static void
put_settings(struct memory_bus *bus, struct topic *topic, const char *const *settings)
{
    size_t count = 0;
    while (settings != NULL && settings[count] != NULL)
        count += 2;
    topic->settings = mr_arena_alloc(&bus->arena, (count + 1) * sizeof(*topic->settings));
    for (size_t i = 0; i < count; i++)
        topic->settings[i] = mr_arena_copy(&bus->arena, settings[i], strlen(settings[i]));
    topic->settings[count] = NULL;
    topic->record_max = MEMORY_RECORD_BYTES_MAX;
    for (size_t i = 0; i < count; i += 2)
        if (strcmp(settings[i], "max.message.bytes") == 0)
            topic->record_max = strtoll(settings[i + 1], NULL, 10);
}

static int
create(struct mr_bus *handle, const struct mr_topic_spec *spec, int timeout_ms, struct mr_err *err)
{
    (void)timeout_ms;
    struct memory_bus *bus = (struct memory_bus *)handle;
    MEMORY_LOCKED(bus);
    if (memory_fault(bus, "create", err) < 0)
        return err->code;
    if (memory_topic(bus, spec->name) != NULL)
        return 0;
    struct topic *topic = mr_arena_alloc(&bus->arena, sizeof(*topic));
    *topic = (struct topic){
        .pub = { .partitions = spec->partitions, .replicas = spec->replicas },
        .logs = mr_alloc((size_t)spec->partitions * sizeof(*topic->logs)),
    };
    (void)snprintf(topic->pub.name, sizeof(topic->pub.name), "%s", spec->name);
    mr_random(topic->pub.id, sizeof(topic->pub.id));
    put_settings(bus, topic, spec->settings);
    struct topic **place = &bus->topics;
    while (*place != NULL && strcmp((*place)->pub.name, spec->name) < 0)
        place = &(*place)->next;
    topic->next = *place;
    *place = topic;
    memory_group_topic_changed(bus, topic);
    return 0;
}

void
mr_bus_memory_trim(struct mr_bus *handle, const char *name, int32_t partition, int64_t offset)
{
    struct memory_bus *bus = (struct memory_bus *)handle;
    MEMORY_LOCKED(bus);
    struct topic *topic = memory_topic(bus, name);
    MR_ASSERT(topic != NULL && partition < topic->pub.partitions);
    MR_ASSERT(offset <= topic->logs[partition].count);
    topic->logs[partition].start = offset;
}

/* Of one group, or of all: offsets of a deleted topic go with it, as they do on a broker. */
void
memory_forget_offsets(struct memory_bus *bus, const char *group, const struct topic *topic)
{
    struct committed **place = &bus->committed;
    while (*place != NULL) {
        if ((*place)->topic == topic && (group == NULL || strcmp((*place)->group, group) == 0))
            *place = (*place)->next;
        else
            place = &(*place)->next;
    }
}

void
mr_bus_memory_forget(struct mr_bus *handle, const char *group, const char *name)
{
    struct memory_bus *bus = (struct memory_bus *)handle;
    MEMORY_LOCKED(bus);
    memory_forget_offsets(bus, group, memory_topic(bus, name));
}

void
mr_bus_memory_recreate(struct mr_bus *handle, const char *name)
{
    struct memory_bus *bus = (struct memory_bus *)handle;
    MEMORY_LOCKED(bus);
    struct topic *topic = memory_topic(bus, name);
    MR_ASSERT(topic != NULL);
    free_logs(topic);
    topic->logs = mr_alloc((size_t)topic->pub.partitions * sizeof(*topic->logs));
    mr_random(topic->pub.id, sizeof(topic->pub.id));
    memory_forget_offsets(bus, NULL, topic);
    memory_group_topic_changed(bus, topic);
}

void
mr_bus_memory_swap(struct mr_bus *handle, const char *name)
{
    struct memory_bus *bus = (struct memory_bus *)handle;
    MEMORY_LOCKED(bus);
    struct topic *topic = memory_topic(bus, name);
    MR_ASSERT(topic != NULL);
    mr_random(topic->pub.id, sizeof(topic->pub.id));
}

/* ---- questions ---- */

static int
cluster_id(struct mr_bus *bus, const char **ret, int timeout_ms, struct mr_err *err)
{
    (void)bus;
    (void)timeout_ms;
    (void)err;
    *ret = "memory";
    return 0;
}

static int
topics(struct mr_bus *handle, struct mr_topic **ret, size_t *ret_count, int timeout_ms,
       struct mr_err *err)
{
    (void)timeout_ms;
    (void)err;
    struct memory_bus *bus = (struct memory_bus *)handle;
    MEMORY_LOCKED(bus);
    size_t count = 0;
    for (struct topic *topic = bus->topics; topic != NULL; topic = topic->next)
        count++;
    *ret = mr_alloc(count * sizeof(**ret));
    *ret_count = 0;
    for (struct topic *topic = bus->topics; topic != NULL; topic = topic->next)
        (*ret)[(*ret_count)++] = topic->pub;
    return 0;
}

static struct committed *
find_committed(struct memory_bus *bus, const char *group, const struct topic *topic,
               int32_t partition)
{
    struct committed *at = bus->committed;
    while (at != NULL &&
           (strcmp(at->group, group) != 0 || at->topic != topic || at->partition != partition))
        at = at->next;
    return at;
}

void
memory_commit_offset(struct memory_bus *bus, const char *group, const struct slot *slot,
                     const struct mr_position *position)
{
    struct committed *at = find_committed(bus, group, slot->topic, slot->partition);
    if (at == NULL) {
        at = mr_arena_alloc(&bus->arena, sizeof(*at));
        *at = (struct committed){ .next = bus->committed,
                                  .group = mr_arena_copy(&bus->arena, group, strlen(group)),
                                  .topic = slot->topic,
                                  .partition = slot->partition };
        bus->committed = at;
    }
    at->offset = position->next;
    (void)snprintf(at->note, sizeof(at->note), "%s", position->note != NULL ? position->note : "");
}

static int
find_part(struct memory_bus *bus, const struct mr_offsets *one, struct topic **ret,
          struct mr_err *err)
{
    struct topic *topic = memory_topic(bus, one->topic);
    if (topic == NULL || one->partition < 0 || one->partition >= topic->pub.partitions)
        return mr_fail(err, MR_E(NOT_FOUND), MR_REJECT, "there is no partition %d of topic %s",
                       (int)one->partition, one->topic);
    *ret = topic;
    return 0;
}

static int
offsets_of(struct memory_bus *bus, const char *group, struct mr_offsets *one, struct mr_err *err)
{
    struct topic *topic = NULL;
    if (find_part(bus, one, &topic, err) < 0)
        return err->code;
    struct log *log = &topic->logs[one->partition];
    const struct committed *committed =
        group != NULL ? find_committed(bus, group, topic, one->partition) : NULL;
    memcpy(one->topic_id, topic->pub.id, sizeof(one->topic_id));
    one->log_start = log->start;
    one->end = memory_stable_end(log);
    one->committed = committed != NULL ? committed->offset : MR_NO_OFFSET;
    (void)snprintf(one->note, sizeof(one->note), "%s", committed != NULL ? committed->note : "");
    return 0;
}

static int
offsets(struct mr_bus *handle, const char *group, struct mr_offsets *all, size_t count,
        int timeout_ms, struct mr_err *err)
{
    (void)timeout_ms;
    struct memory_bus *bus = (struct memory_bus *)handle;
    MEMORY_LOCKED(bus);
    if (memory_fault(bus, "offsets", err) < 0)
        return err->code;
    for (size_t i = 0; i < count; i++)
        if (offsets_of(bus, group, &all[i], err) < 0)
            return err->code;
    return 0;
}

static int
high_watermarks(struct mr_bus *handle, struct mr_offsets *all, size_t count, int timeout_ms,
                struct mr_err *err)
{
    (void)timeout_ms;
    struct memory_bus *bus = (struct memory_bus *)handle;
    MEMORY_LOCKED(bus);
    if (memory_fault(bus, "offsets", err) < 0)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        struct topic *topic = NULL;
        if (find_part(bus, &all[i], &topic, err) < 0)
            return err->code;
        all[i].high = topic->logs[all[i].partition].count;
    }
    return 0;
}

static int
offset_at(struct mr_bus *handle, struct mr_offsets *one, int64_t time_ms, int64_t *ret_offset,
          int timeout_ms, struct mr_err *err)
{
    if (offsets(handle, NULL, one, 1, timeout_ms, err) < 0)
        return err->code;
    struct memory_bus *bus = (struct memory_bus *)handle;
    MEMORY_LOCKED(bus);
    const struct log *log = &memory_topic(bus, one->topic)->logs[one->partition];
    *ret_offset = one->log_start;
    while (*ret_offset < one->end && log->entries[*ret_offset].time_ms < time_ms)
        (*ret_offset)++;
    return 0;
}

int
memory_part_offsets(struct memory_bus *bus, const char *group, struct mr_part *part,
                    struct mr_err *err)
{
    struct mr_offsets one = { .topic = part->topic, .partition = part->partition };
    if (offsets_of(bus, group, &one, err) < 0)
        return err->code;
    memcpy(part->topic_id, one.topic_id, sizeof(part->topic_id));
    part->log_start = one.log_start;
    part->end = one.end;
    part->committed = one.committed;
    memcpy(part->note, one.note, sizeof(part->note));
    return 0;
}

/* ---- open and close ---- */

static void
close_bus(struct mr_bus *handle)
{
    struct memory_bus *bus = (struct memory_bus *)handle;
    while (bus->readers != NULL) {
        struct memory_reader *ghost = bus->readers;
        MR_ASSERT(ghost->closed); /* the bus outlives its readers */
        bus->readers = ghost->next;
        memory_reader_free(ghost);
    }
    for (struct topic *topic = bus->topics; topic != NULL; topic = topic->next)
        free_logs(topic);
    for (struct topic *topic = bus->gone; topic != NULL; topic = topic->next)
        free_logs(topic);
    mr_arena_fini(&bus->arena);
    (void)pthread_cond_destroy(&bus->changed);
    (void)pthread_mutex_destroy(&bus->lock);
    free(bus);
}

static const struct mr_bus_driver driver = {
    .close = close_bus,
    .cluster_id = cluster_id,
    .topics = topics,
    .create = create,
    .remove = memory_remove,
    .settings = memory_settings,
    .describe = memory_describe,
    .offsets = offsets,
    .high_watermarks = high_watermarks,
    .offset_at = offset_at,
    .reader_open = memory_reader_open,
    .writer_open = memory_writer_open,
};

struct mr_bus *
mr_bus_memory(void)
{
    struct memory_bus *bus = mr_alloc(sizeof(*bus));
    bus->base.driver = &driver;
    mr_arena_init(&bus->arena);
    pthread_condattr_t monotonic;
    MR_ASSERT(pthread_condattr_init(&monotonic) == 0);
    MR_ASSERT(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    MR_ASSERT(pthread_cond_init(&bus->changed, &monotonic) == 0);
    (void)pthread_condattr_destroy(&monotonic);
    MR_ASSERT(pthread_mutex_init(&bus->lock, NULL) == 0);
    return &bus->base;
}
