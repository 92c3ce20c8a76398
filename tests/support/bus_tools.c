#include "bus_tools.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

enum { NAMES_MAX = 64, NAME_MAX_BYTES = 64, QUEUE_BYTES = 16 << 20 };

int64_t
tool_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *
tool_name(const char *what)
{
    static char names[NAMES_MAX][NAME_MAX_BYTES];
    static unsigned count;
    uint32_t chance;
    mr_random(&chance, sizeof(chance));
    char *name = names[count % NAMES_MAX];
    (void)snprintf(name, NAME_MAX_BYTES, "%s-%u-%08x", what, count++, (unsigned)chance);
    return name;
}

const char *
tool_topic(struct mr_bus *bus, int partitions, const char *const *settings)
{
    const char *name = tool_name("t");
    struct mr_topic_spec spec = {
        .name = name, .partitions = partitions, .replicas = 1, .settings = settings
    };
    TOOL_OK(mr_bus_create(bus, &spec, 1, WAIT_MS, &oops));
    return name;
}

struct mr_writer *
tool_writer(struct mr_bus *bus, const char *transactional_id)
{
    struct mr_writer *writer;
    struct mr_writer_options options = { .transactional_id = transactional_id,
                                         .linger_ms = -1,
                                         .queue_bytes_max = QUEUE_BYTES };
    TOOL_OK(mr_writer_open(bus, &options, &writer, &oops));
    return writer;
}

void
tool_put(struct mr_writer *writer, const char *topic, int32_t partition, const char *value)
{
    struct mr_message message = { .topic = topic,
                                  .partition = partition,
                                  .value = mr_slice_text(value) };
    TOOL_OK(mr_writer_produce(writer, &message, &oops));
}

void
tool_fill(struct mr_bus *bus, const char *topic, int32_t partition, int count)
{
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, NULL);
    for (int i = 0; i < count; i++) {
        char value[16];
        (void)snprintf(value, sizeof(value), "%d", i);
        tool_put(writer, topic, partition, value);
    }
    TOOL_OK(mr_writer_flush(writer, WAIT_MS, &oops));
}

void
member_open(struct member *member, struct mr_bus *bus, const char *group, const char *instance,
            const char *topic)
{
    struct mr_reader_options options = { .group = group,
                                         .instance = instance,
                                         .queue_bytes_max = QUEUE_BYTES };
    *member = (struct member){ .seen = mr_alloc(SEEN_MAX * sizeof(*member->seen)) };
    TOOL_OK(mr_reader_open(bus, &options, &member->reader, &oops));
    if (topic != NULL)
        TOOL_OK(mr_reader_subscribe(member->reader, &topic, 1, &oops));
}

void
member_open_at(struct member *member, struct mr_bus *bus, const char *topic, int32_t partition,
               int64_t start)
{
    member_open(member, bus, NULL, NULL, NULL);
    struct mr_part *part = &member->parts[0];
    part->partition = partition;
    part->start = start;
    (void)snprintf(part->topic, sizeof(part->topic), "%s", topic);
    member->parts_count = 1;
    TOOL_OK(mr_reader_assign(member->reader, part, 1, &oops));
}

void
member_close(struct member *member)
{
    mr_reader_close(member->reader);
    free(member->seen);
    *member = (struct member){ 0 };
}

static void
answer_assigned(struct member *member, const struct mr_batch *batch)
{
    assert_true(batch->parts_count <= MEMBER_PARTS_MAX);
    for (size_t i = 0; i < batch->parts_count; i++) {
        struct mr_part *part = &batch->parts[i];
        part->start = part->committed != MR_NO_OFFSET ? part->committed : part->log_start;
        member->parts[i] = *part;
    }
    member->parts_count = batch->parts_count;
    TOOL_OK(mr_reader_assign(member->reader, batch->parts, batch->parts_count, &oops));
    member->assigned = true;
    member->assigned_count++;
}

static void
answer_going(struct member *member, const struct mr_batch *batch)
{
    if (batch->event == MR_BUS_LOST)
        member->lost_count++;
    else
        member->revoked_count++;
    assert_int_equal(batch->parts_count, member->parts_count);
    member->assigned = false;
    member->parts_count = 0;
    TOOL_OK(mr_reader_release(member->reader, &oops));
}

static void
remember(struct member *member, const struct mr_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct mr_record *record = &batch->records[i];
        assert_true(record->slot < member->parts_count);
        assert_true(member->seen_count < SEEN_MAX);
        struct seen *seen = &member->seen[member->seen_count++];
        *seen = (struct seen){ .partition = member->parts[record->slot].partition,
                               .is_end = record->is_end,
                               .offset = record->offset };
        (void)snprintf(seen->value, sizeof(seen->value), "%.*s", (int)record->value.size,
                       record->value.data != NULL ? (const char *)record->value.data : "");
    }
}

void
member_answer(struct member *member, const struct mr_batch *batch)
{
    if (batch->event == MR_BUS_ASSIGNED)
        answer_assigned(member, batch);
    else if (batch->event == MR_BUS_REVOKED || batch->event == MR_BUS_LOST)
        answer_going(member, batch);
    else
        remember(member, batch);
}

void
member_step(struct member *member, int timeout_ms)
{
    struct mr_batch batch;
    TOOL_OK(mr_reader_poll(member->reader, 1000, timeout_ms, &batch, &oops));
    member_answer(member, &batch);
}

void
member_wait_assigned(struct member *member)
{
    int64_t deadline_ms = tool_now_ms() + WAIT_MS;
    while (!member->assigned) {
        assert_true(tool_now_ms() < deadline_ms);
        member_step(member, 50);
    }
}

size_t
member_records(const struct member *member)
{
    size_t count = 0;
    for (size_t i = 0; i < member->seen_count; i++)
        count += !member->seen[i].is_end;
    return count;
}

const struct seen *
member_record(const struct member *member, size_t i)
{
    size_t at = 0;
    while (member->seen[at].is_end || i-- > 0) {
        at++;
        assert_true(at < member->seen_count);
    }
    return &member->seen[at];
}

bool
member_saw(const struct member *member, const char *value)
{
    for (size_t i = 0; i < member->seen_count; i++)
        if (!member->seen[i].is_end && strcmp(member->seen[i].value, value) == 0)
            return true;
    return false;
}

void
member_wait_records(struct member *member, size_t count)
{
    int64_t deadline_ms = tool_now_ms() + WAIT_MS;
    while (member_records(member) < count) {
        if (tool_now_ms() > deadline_ms)
            fail_msg("only %zu of %zu records came", member_records(member), count);
        member_step(member, 50);
    }
}

static bool
has_end(const struct member *member, int32_t partition, int64_t offset)
{
    for (size_t i = 0; i < member->seen_count; i++)
        if (member->seen[i].is_end && member->seen[i].partition == partition &&
            member->seen[i].offset >= offset)
            return true;
    return false;
}

void
member_wait_end(struct member *member, int32_t partition, int64_t offset)
{
    int64_t deadline_ms = tool_now_ms() + WAIT_MS;
    while (!has_end(member, partition, offset)) {
        if (tool_now_ms() > deadline_ms)
            fail_msg("the end of partition %d at %lld was not told", (int)partition,
                     (long long)offset);
        member_step(member, 50);
    }
}

struct mr_offsets
tool_offsets(struct mr_bus *bus, const char *group, const char *topic, int32_t partition)
{
    struct mr_offsets offsets = { .topic = topic, .partition = partition };
    TOOL_OK(mr_bus_offsets(bus, group, &offsets, 1, WAIT_MS, &oops));
    return offsets;
}
