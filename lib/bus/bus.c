/*
 * The seam: checks what both drivers may rely on, then forwards. Two dozen plain forwards are the
 * honest price of having a second driver; macros would only hide them.
 */
#include "bus/bus.h"

#include <stdio.h>
#include <stdlib.h>

#include "bus/driver.h"

/* ---- bus ---- */

void
mr_bus_close(struct mr_bus *bus)
{
    if (bus != NULL)
        bus->driver->close(bus);
}

void
mr_bus_closep(struct mr_bus **bus)
{
    mr_bus_close(MR_TAKE(*bus));
}

int
mr_bus_cluster_id(struct mr_bus *bus, const char **ret, int timeout_ms, struct mr_err *err)
{
    MR_ASSERT(timeout_ms >= 0);
    return bus->driver->cluster_id(bus, ret, timeout_ms, err);
}

int
mr_bus_topics(struct mr_bus *bus, struct mr_topic **ret, size_t *ret_count, int timeout_ms,
              struct mr_err *err)
{
    MR_ASSERT(timeout_ms >= 0);
    return bus->driver->topics(bus, ret, ret_count, timeout_ms, err);
}

int
mr_bus_create(struct mr_bus *bus, const struct mr_topic_spec *specs, size_t count, int timeout_ms,
              struct mr_err *err)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(specs[i].name);
        if (length == 0 || length > MR_BUS_TOPIC_MAX)
            return mr_fail(err, MR_E(INVALID), MR_REJECT,
                           "topic name '%s' must have 1 to %d characters", specs[i].name,
                           MR_BUS_TOPIC_MAX);
        if (specs[i].partitions < 1)
            return mr_fail(err, MR_E(INVALID), MR_REJECT, "topic %s: partitions must be 1 or more",
                           specs[i].name);
        if (bus->driver->create(bus, &specs[i], timeout_ms, err) < 0)
            return mr_fail_in(err, "topic %s", specs[i].name);
    }
    return 0;
}

int
mr_bus_delete(struct mr_bus *bus, const char *topic, int timeout_ms, struct mr_err *err)
{
    MR_ASSERT(topic != NULL);
    if (bus->driver->remove(bus, topic, timeout_ms, err) < 0)
        return mr_fail_in(err, "topic %s", topic);
    return 0;
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct mr_setting *)a)->name, ((const struct mr_setting *)b)->name);
}

int
mr_bus_settings(struct mr_bus *bus, const char *topic, struct mr_arena *arena,
                const struct mr_setting **ret, size_t *ret_count, int timeout_ms,
                struct mr_err *err)
{
    struct mr_settings settings = { 0 };
    MR_ASSERT(topic != NULL);
    if (bus->driver->settings(bus, topic, arena, &settings, timeout_ms, err) < 0)
        return mr_fail_in(err, "settings of topic %s", topic);
    if (settings.count > 0)
        qsort(settings.all, settings.count, sizeof(*settings.all), by_name);
    *ret = settings.all;
    *ret_count = settings.count;
    return 0;
}

int
mr_bus_setting(struct mr_bus *bus, const char *topic, const char *setting, char *ret_value,
               size_t size, int timeout_ms, struct mr_err *err)
{
    MR_CLEANUP(mr_arena_fini) struct mr_arena arena;
    const struct mr_setting *all;
    size_t count, i = 0;
    mr_arena_init(&arena);
    if (mr_bus_settings(bus, topic, &arena, &all, &count, timeout_ms, err) < 0)
        return err->code;
    while (i < count && strcmp(all[i].name, setting) != 0)
        i++;
    if (i == count || all[i].value == NULL)
        return mr_fail(err, MR_E(NOT_FOUND), MR_REJECT, "topic %s has no setting %s", topic,
                       setting);
    if (strlen(all[i].value) >= size)
        return mr_fail(err, MR_E(TOO_LARGE), MR_REJECT,
                       "setting %s of topic %s has %zu characters, there is room for %zu", setting,
                       topic, strlen(all[i].value), size - 1);
    (void)snprintf(ret_value, size, "%s", all[i].value);
    return 0;
}

int
mr_bus_describe(struct mr_bus *bus, const char *topic, struct mr_arena *arena,
                struct mr_description *ret, int timeout_ms, struct mr_err *err)
{
    MR_ASSERT(arena != NULL);
    if (bus->driver->describe(bus, topic, arena, ret, timeout_ms, err) < 0)
        return topic != NULL ? mr_fail_in(err, "topic %s", topic) : err->code;
    return 0;
}

int
mr_bus_offsets(struct mr_bus *bus, const char *group, struct mr_offsets *offsets, size_t count,
               int timeout_ms, struct mr_err *err)
{
    MR_ASSERT(group == NULL || group[0] != '\0');
    if (count == 0)
        return 0;
    return bus->driver->offsets(bus, group, offsets, count, timeout_ms, err);
}

int
mr_bus_high_watermarks(struct mr_bus *bus, struct mr_offsets *offsets, size_t count, int timeout_ms,
                       struct mr_err *err)
{
    if (count == 0)
        return 0;
    return bus->driver->high_watermarks(bus, offsets, count, timeout_ms, err);
}

int
mr_bus_offset_at(struct mr_bus *bus, struct mr_offsets *offsets, int64_t time_ms,
                 int64_t *ret_offset, int timeout_ms, struct mr_err *err)
{
    MR_ASSERT(time_ms >= 0);
    return bus->driver->offset_at(bus, offsets, time_ms, ret_offset, timeout_ms, err);
}

/* ---- reader ---- */

int
mr_reader_open(struct mr_bus *bus, const struct mr_reader_options *options, struct mr_reader **ret,
               struct mr_err *err)
{
    MR_ASSERT(options->queue_bytes_max > 0);
    MR_ASSERT(options->instance == NULL || options->group != NULL);
    return bus->driver->reader_open(bus, options, ret, err);
}

void
mr_reader_close(struct mr_reader *reader)
{
    if (reader != NULL)
        reader->driver->close(reader);
}

void
mr_reader_closep(struct mr_reader **reader)
{
    mr_reader_close(MR_TAKE(*reader));
}

int
mr_reader_subscribe(struct mr_reader *reader, const char *const *topics, size_t count,
                    struct mr_err *err)
{
    MR_ASSERT(count > 0);
    return reader->driver->subscribe(reader, topics, count, err);
}

int
mr_reader_poll(struct mr_reader *reader, size_t count_max, int timeout_ms, struct mr_batch *ret,
               struct mr_err *err)
{
    MR_ASSERT(count_max > 0 && count_max <= MR_BUS_BATCH_MAX);
    MR_ASSERT(timeout_ms >= 0);
    return reader->driver->poll(reader, count_max, timeout_ms, ret, err);
}

int
mr_reader_assign(struct mr_reader *reader, const struct mr_part *parts, size_t count,
                 struct mr_err *err)
{
    for (size_t i = 0; i < count; i++)
        MR_ASSERT(parts[i].start >= 0);
    return reader->driver->assign(reader, parts, count, err);
}

int
mr_reader_release(struct mr_reader *reader, struct mr_err *err)
{
    return reader->driver->release(reader, err);
}

int
mr_reader_seek(struct mr_reader *reader, uint32_t slot, int64_t offset, struct mr_err *err)
{
    MR_ASSERT(offset >= 0);
    return reader->driver->seek(reader, slot, offset, err);
}

int
mr_reader_pause(struct mr_reader *reader, uint32_t slot, bool paused, struct mr_err *err)
{
    return reader->driver->pause(reader, slot, paused, err);
}

static void
check_positions(const struct mr_position *positions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        MR_ASSERT(positions[i].next >= 0);
        MR_ASSERT(positions[i].note == NULL || strlen(positions[i].note) < MR_POSITION_NOTE_MAX);
    }
}

int
mr_reader_commit(struct mr_reader *reader, const struct mr_position *positions, size_t count,
                 int timeout_ms, struct mr_err *err)
{
    MR_ASSERT(timeout_ms >= 0);
    check_positions(positions, count);
    return count == 0 ? 0 : reader->driver->commit(reader, positions, count, timeout_ms, err);
}

int
mr_reader_offsets(struct mr_reader *reader, struct mr_offsets *offsets, size_t count,
                  int timeout_ms, struct mr_err *err)
{
    MR_ASSERT(timeout_ms >= 0);
    return count == 0 ? 0 : reader->driver->offsets(reader, offsets, count, timeout_ms, err);
}

int
mr_reader_is_taken(struct mr_reader *reader, int timeout_ms, struct mr_err *err)
{
    MR_ASSERT(timeout_ms >= 0);
    return reader->driver->is_taken(reader, timeout_ms, err);
}

int
mr_part_check_topic(const struct mr_part *part, const struct mr_offsets *now, struct mr_err *err)
{
    char before[2 * MR_TOPIC_ID_BYTES + 1], id[2 * MR_TOPIC_ID_BYTES + 1];
    if (memcmp(part->topic_id, now->topic_id, sizeof(now->topic_id)) == 0)
        return 0;
    mr_hex(part->topic_id, MR_TOPIC_ID_BYTES, before);
    mr_hex(now->topic_id, MR_TOPIC_ID_BYTES, id);
    return mr_fail(err, MR_E(IDENTITY), MR_FATAL,
                   "topic %s was made anew while it was read: it had id %s, now it has id %s",
                   part->topic, before, id);
}

/* ---- writer ---- */

int
mr_writer_open(struct mr_bus *bus, const struct mr_writer_options *options, struct mr_writer **ret,
               struct mr_err *err)
{
    MR_ASSERT(options->queue_bytes_max > 0);
    return bus->driver->writer_open(bus, options, ret, err);
}

void
mr_writer_close(struct mr_writer *writer)
{
    if (writer != NULL)
        writer->driver->close(writer);
}

void
mr_writer_closep(struct mr_writer **writer)
{
    mr_writer_close(MR_TAKE(*writer));
}

int
mr_writer_produce(struct mr_writer *writer, const struct mr_message *message, struct mr_err *err)
{
    MR_ASSERT(message->topic != NULL);
    MR_ASSERT(message->partition >= -1);
    return writer->driver->produce(writer, message, err);
}

int
mr_writer_partitions(struct mr_writer *writer, const char *topic, int timeout_ms,
                     struct mr_err *err)
{
    MR_ASSERT(timeout_ms >= 0);
    return writer->driver->partitions(writer, topic, timeout_ms, err);
}

int
mr_writer_fd(struct mr_writer *writer)
{
    return writer->driver->fd(writer);
}

int
mr_writer_poll(struct mr_writer *writer, int timeout_ms)
{
    MR_ASSERT(timeout_ms >= 0);
    return writer->driver->poll(writer, timeout_ms);
}

int
mr_writer_flush(struct mr_writer *writer, int timeout_ms, struct mr_err *err)
{
    MR_ASSERT(timeout_ms >= 0);
    return writer->driver->flush(writer, timeout_ms, err);
}

int
mr_writer_begin(struct mr_writer *writer, struct mr_err *err)
{
    return writer->driver->begin(writer, err);
}

int
mr_writer_commit(struct mr_writer *writer, struct mr_reader *reader,
                 const struct mr_position *positions, size_t count, int timeout_ms,
                 struct mr_err *err)
{
    MR_ASSERT(count == 0 || reader != NULL);
    MR_ASSERT(timeout_ms > 0);
    check_positions(positions, count);
    return writer->driver->commit(writer, reader, positions, count, timeout_ms, err);
}

int
mr_writer_abort(struct mr_writer *writer, int timeout_ms, struct mr_err *err)
{
    MR_ASSERT(timeout_ms > 0);
    return writer->driver->abort(writer, timeout_ms, err);
}
