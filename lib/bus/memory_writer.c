/*
 * The writer of the memory driver. A record stands in its log at once; its delivery report waits,
 * and counts against the queue, until it is served.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bus/memory_state.h"
#include "clock/clock.h"

/* ---- reports ---- */

static void
put_report(struct memory_writer *writer, const struct report *report)
{
    if (writer->reports_count == writer->reports_capacity) {
        writer->reports_capacity = 2 * writer->reports_capacity + 64;
        writer->reports =
            mr_realloc(writer->reports, writer->reports_capacity * sizeof(*writer->reports));
    }
    writer->reports[writer->reports_count++] = *report;
    writer->queued_bytes += (int64_t)report->bytes;
    MR_ASSERT(eventfd_write(writer->fd, 1) == 0);
}

static bool
pop_report(struct memory_writer *writer, struct report *ret)
{
    MEMORY_LOCKED(writer->bus);
    if (writer->reports_first == writer->reports_count) {
        writer->reports_first = writer->reports_count = 0;
        return false;
    }
    *ret = writer->reports[writer->reports_first++];
    writer->queued_bytes -= (int64_t)ret->bytes;
    return true;
}

/* The callback runs without the lock: it may produce. Only what waits now is served, so that it
 * ends. */
static int
serve(struct memory_writer *writer)
{
    eventfd_t drained;
    struct report report;
    int served = 0;
    if (eventfd_read(writer->fd, &drained) < 0)
        drained = 0; /* may be spent already */
    size_t waiting = writer->reports_count - writer->reports_first;
    while (waiting-- > 0 && pop_report(writer, &report)) {
        if (writer->options.delivered != NULL)
            writer->options.delivered(writer->options.self, report.opaque, report.partition,
                                      report.offset, report.err.code < 0 ? &report.err : NULL);
        served++;
    }
    return served;
}

static void
serve_all(struct memory_writer *writer)
{
    while (serve(writer) > 0)
        continue;
}

/* ---- transactions ---- */

static void
touch(struct memory_writer *writer, struct topic *topic, int32_t partition)
{
    for (size_t i = 0; i < writer->touched; i++)
        if (writer->topics[i] == topic && writer->partitions[i] == partition)
            return;
    size_t count = writer->touched + 1;
    writer->topics = mr_realloc(writer->topics, count * sizeof(struct topic *));
    writer->partitions = mr_realloc(writer->partitions, count * sizeof(*writer->partitions));
    writer->topics[writer->touched] = topic;
    writer->partitions[writer->touched] = partition;
    writer->touched = count;
}

/* A marker in each partition that was written to takes an offset there. */
static void
end_txn(struct memory_writer *writer, enum txn_state state)
{
    if (writer->txn == NULL)
        return;
    writer->txn->state = state;
    struct entry marker = { .is_marker = true, .time_ms = mr_wall_ms() };
    for (size_t i = 0; i < writer->touched; i++)
        (void)memory_append(writer->bus, &writer->topics[i]->logs[writer->partitions[i]], &marker);
    writer->touched = 0;
    writer->txn = NULL;
    writer->failed = (struct mr_err){ 0 };
}

static int
check_fence(const struct memory_writer *writer, struct mr_err *err)
{
    if (writer->producer != NULL && writer->epoch != writer->producer->epoch)
        return mr_fail(err, MR_E(FENCED), MR_FATAL, "another writer took over the name %s",
                       writer->producer->id);
    return 0;
}

static int
begin(struct mr_writer *handle, struct mr_err *err)
{
    struct memory_writer *writer = (struct memory_writer *)handle;
    MEMORY_LOCKED(writer->bus);
    MR_ASSERT(writer->producer != NULL);
    MR_ASSERT(writer->txn == NULL);
    if (check_fence(writer, err) < 0 || memory_fault(writer->bus, "begin", err) < 0)
        return err->code;
    writer->txn = mr_arena_alloc(&writer->bus->arena, sizeof(*writer->txn));
    writer->txn->state = TXN_OPEN;
    return 0;
}

static int
commit_locked(struct memory_writer *writer, struct memory_reader *reader,
              const struct mr_position *positions, size_t count, struct mr_err *err)
{
    MEMORY_LOCKED(writer->bus);
    if (check_fence(writer, err) < 0 || memory_fault(writer->bus, "commit", err) < 0)
        return err->code;
    MR_ASSERT(writer->txn != NULL);
    if (reader != NULL && memory_reader_owns(reader, err) < 0)
        return err->code;
    /* A record that is too large will be so again: the caller has to know. */
    bool is_size = writer->failed.code == MR_E(TOO_LARGE);
    if (writer->failed.code < 0)
        return mr_fail(err, is_size ? MR_E(TOO_LARGE) : MR_E(ABORTED), MR_RETRY, "%s",
                       writer->failed.text);
    for (size_t i = 0; i < count; i++) {
        MR_ASSERT(positions[i].slot < reader->slots_count);
        memory_commit_offset(writer->bus, reader->group, &reader->slots[positions[i].slot],
                             &positions[i]);
    }
    end_txn(writer, TXN_COMMITTED);
    return memory_fault(writer->bus, "commit-reply", err);
}

static int
commit(struct mr_writer *handle, struct mr_reader *reader, const struct mr_position *positions,
       size_t count, int timeout_ms, struct mr_err *err)
{
    (void)timeout_ms;
    struct memory_writer *writer = (struct memory_writer *)handle;
    serve_all(writer);
    return commit_locked(writer, (struct memory_reader *)reader, positions, count, err);
}

static int
abort_txn(struct mr_writer *handle, int timeout_ms, struct mr_err *err)
{
    (void)timeout_ms;
    struct memory_writer *writer = (struct memory_writer *)handle;
    MR_ASSERT(writer->producer != NULL);
    serve_all(writer);
    MEMORY_LOCKED(writer->bus);
    if (check_fence(writer, err) < 0 || memory_fault(writer->bus, "abort", err) < 0)
        return err->code;
    end_txn(writer, TXN_ABORTED);
    return 0;
}

/* ---- producing ---- */

static int32_t
choose_partition(struct memory_writer *writer, const struct mr_message *message,
                 const struct topic *topic)
{
    if (message->partition >= 0)
        return message->partition;
    uint32_t number = message->key.data != NULL ? mr_murmur2(message->key.data, message->key.size)
                                                : writer->turn++;
    return (int32_t)(number % (uint32_t)topic->pub.partitions);
}

static void
store(struct memory_writer *writer, const struct mr_message *message, struct topic *topic,
      int32_t partition)
{
    size_t bytes = message->key.size + message->value.size + message->header.size;
    struct report report = {
        .opaque = message->opaque, .partition = partition, .offset = -1, .bytes = bytes
    };
    if ((int64_t)bytes > topic->record_max) {
        (void)mr_fail(&report.err, MR_E(TOO_LARGE), MR_REJECT,
                      "topic %s partition %d refused a record of %zu bytes: max.message.bytes is "
                      "%lld",
                      topic->pub.name, (int)partition, bytes, (long long)topic->record_max);
        (void)mr_fail(&writer->failed, report.err.code, MR_REJECT, "%s", report.err.text);
    } else {
        struct entry entry = { .txn = writer->txn,
                               .time_ms = message->time_ms != 0 ? message->time_ms : mr_wall_ms(),
                               .key = message->key,
                               .value = message->value,
                               .header = message->header };
        report.offset = memory_append(writer->bus, &topic->logs[partition], &entry);
        if (writer->txn != NULL)
            touch(writer, topic, partition);
    }
    put_report(writer, &report);
}

static int
produce(struct mr_writer *handle, const struct mr_message *message, struct mr_err *err)
{
    struct memory_writer *writer = (struct memory_writer *)handle;
    MEMORY_LOCKED(writer->bus);
    if (check_fence(writer, err) < 0 || memory_fault(writer->bus, "produce", err) < 0)
        return err->code;
    MR_ASSERT(writer->producer == NULL || writer->txn != NULL);
    struct topic *topic = memory_topic(writer->bus, message->topic);
    if (topic == NULL)
        return mr_fail(err, MR_E(NOT_FOUND), MR_REJECT, "there is no topic %s", message->topic);
    int32_t partition = choose_partition(writer, message, topic);
    if (partition >= topic->pub.partitions)
        return mr_fail(err, MR_E(NOT_FOUND), MR_REJECT, "there is no partition %d of topic %s",
                       (int)partition, message->topic);
    int64_t bytes = (int64_t)(message->key.size + message->value.size + message->header.size);
    if (writer->queued_bytes > 0 && writer->queued_bytes + bytes > writer->options.queue_bytes_max)
        return mr_fail(err, MR_E(FULL), MR_RETRY, "%lld bytes wait to be acknowledged",
                       (long long)writer->queued_bytes);
    store(writer, message, topic, partition);
    return 0;
}

static int
partitions(struct mr_writer *handle, const char *name, int timeout_ms, struct mr_err *err)
{
    (void)timeout_ms;
    struct memory_writer *writer = (struct memory_writer *)handle;
    MEMORY_LOCKED(writer->bus);
    const struct topic *topic = memory_topic(writer->bus, name);
    if (topic == NULL)
        return mr_fail(err, MR_E(NOT_FOUND), MR_REJECT, "there is no topic %s", name);
    return topic->pub.partitions;
}

static int
fd(struct mr_writer *handle)
{
    return ((struct memory_writer *)handle)->fd;
}

static bool
is_held(struct memory_writer *writer)
{
    MEMORY_LOCKED(writer->bus);
    return writer->bus->hold;
}

static int
poll_writer(struct mr_writer *handle, int timeout_ms)
{
    struct memory_writer *writer = (struct memory_writer *)handle;
    if (is_held(writer))
        return 0;
    struct pollfd readable = { .fd = writer->fd, .events = POLLIN };
    if (timeout_ms > 0 && writer->reports_first == writer->reports_count)
        (void)poll(&readable, 1, timeout_ms);
    return serve(writer);
}

static int
flush(struct mr_writer *handle, int timeout_ms, struct mr_err *err)
{
    (void)timeout_ms;
    struct memory_writer *writer = (struct memory_writer *)handle;
    serve_all(writer);
    if (writer->producer != NULL || writer->failed.code == 0)
        return 0;
    (void)mr_fail(err, writer->failed.code, writer->failed.remedy, "%s", writer->failed.text);
    writer->failed = (struct mr_err){ 0 };
    return err->code;
}

/* ---- open and close ---- */

static void
close_writer(struct mr_writer *handle)
{
    struct memory_writer *writer = (struct memory_writer *)handle;
    serve_all(writer);
    {
        MEMORY_LOCKED(writer->bus);
        end_txn(writer, TXN_ABORTED);
        if (writer->producer != NULL && writer->producer->writer == writer)
            writer->producer->writer = NULL;
    }
    (void)close(writer->fd);
    free(writer->topics);
    free(writer->partitions);
    free(writer->reports);
    free(writer);
}

static const struct mr_writer_driver driver = {
    .close = close_writer,
    .produce = produce,
    .partitions = partitions,
    .fd = fd,
    .poll = poll_writer,
    .flush = flush,
    .begin = begin,
    .commit = commit,
    .abort = abort_txn,
};

static struct producer *
find_producer(struct memory_bus *bus, const char *id)
{
    struct producer *at = bus->producers;
    while (at != NULL && strcmp(at->id, id) != 0)
        at = at->next;
    if (at == NULL) {
        at = mr_arena_alloc(&bus->arena, sizeof(*at));
        *at = (struct producer){ .next = bus->producers,
                                 .id = mr_arena_copy(&bus->arena, id, strlen(id)) };
        bus->producers = at;
    }
    return at;
}

int
memory_writer_open(struct mr_bus *handle, const struct mr_writer_options *options,
                   struct mr_writer **ret, struct mr_err *err)
{
    struct memory_bus *bus = (struct memory_bus *)handle;
    int events = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (events < 0)
        return mr_fail(err, MR_E(IO), MR_RETRY, "cannot make an eventfd: %s", strerror(errno));
    MEMORY_LOCKED(bus);
    struct memory_writer *writer = mr_alloc(sizeof(*writer));
    writer->base.driver = &driver;
    writer->bus = bus;
    writer->options = *options;
    writer->fd = events;
    if (options->transactional_id != NULL) {
        writer->producer = find_producer(bus, options->transactional_id);
        if (writer->producer->writer != NULL)
            end_txn(writer->producer->writer, TXN_ABORTED);
        writer->producer->writer = writer;
        writer->epoch = ++writer->producer->epoch;
    }
    *ret = &writer->base;
    return 0;
}
