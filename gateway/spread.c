/*
 * The record is the note of an offset committed for partition 0. A topic has no setting that could
 * carry it. Kafka forgets an offset of a group without members so long after its commit (7 days),
 * be the topic in use or not: so what was found is committed again each time.
 */
#include "gateway/spread.h"

#include "clock/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define SPREAD_GROUP "millrace-spread"

static const char prefix[] = "partitions=";

/* 0: nothing is recorded. */
static int
look(struct mr_bus *bus, const char *topic, int *ret, int timeout_ms, struct mr_err *err)
{
    struct mr_offsets at = { .topic = topic };
    *ret = 0;
    if (mr_bus_offsets(bus, SPREAD_GROUP, &at, 1, timeout_ms, err) != 0)
        return err->code;
    if (at.committed == MR_NO_OFFSET || strncmp(at.note, prefix, sizeof(prefix) - 1) != 0)
        return 0;
    long count = strtol(at.note + sizeof(prefix) - 1, NULL, 10);
    *ret = count > 0 && count <= INT32_MAX ? (int)count : 0;
    return 0;
}

static int
record(struct mr_bus *bus, const char *topic, int count, int timeout_ms, struct mr_err *err)
{
    MR_CLEANUP(mr_reader_closep) struct mr_reader *reader = NULL;
    const struct mr_reader_options options = { .group = SPREAD_GROUP, .queue_bytes_max = 1 << 16 };
    struct mr_part part = { 0 };
    char note[sizeof(prefix) + 16];
    (void)snprintf(part.topic, sizeof(part.topic), "%s", topic);
    (void)snprintf(note, sizeof(note), "%s%d", prefix, count);
    const struct mr_position position = { .note = note };
    if (mr_reader_open(bus, &options, &reader, err) != 0 ||
        mr_reader_assign(reader, &part, 1, err) != 0 ||
        mr_reader_commit(reader, &position, 1, timeout_ms, err) != 0)
        return mr_fail_in(err, "group %s", SPREAD_GROUP);
    return 0;
}

int
spread_recorded(struct mr_bus *bus, const char *topic, int present, int *ret, int timeout_ms,
                struct mr_err *err)
{
    MR_ASSERT(present > 0);
    int64_t deadline_ms = mr_now_ms() + timeout_ms;
    int found;
    if (look(bus, topic, &found, timeout_ms, err) != 0)
        return err->code;
    /* What stands there in the end counts: another gateway may have recorded at the same time. */
    if (record(bus, topic, found > 0 ? found : present, (int)mr_left_ms(deadline_ms, timeout_ms),
               err) != 0 ||
        look(bus, topic, &found, (int)mr_left_ms(deadline_ms, timeout_ms), err) != 0)
        return err->code;
    *ret = found > 0 ? found : present;
    return 0;
}
