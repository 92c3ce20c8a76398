#include "bus_promises.h"

#include <stdlib.h>

#include "bus_tools.h"

static const struct mr_setting *
find(const struct mr_setting *settings, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(settings[i].name, name) == 0)
            return &settings[i];
    fail_msg("setting %s is not told", name);
    return NULL;
}

static void
settings_tell_their_values_and_where_they_come_from(void **state)
{
    struct mr_bus *bus = *state;
    const char *wishes[] = { "retention.ms", "777000", NULL };
    const char *topic = tool_topic(bus, 1, wishes);
    MR_CLEANUP(mr_arena_fini) struct mr_arena arena;
    const struct mr_setting *all;
    size_t count;
    mr_arena_init(&arena);
    TOOL_OK(mr_bus_settings(bus, topic, &arena, &all, &count, WAIT_MS, &oops));
    for (size_t i = 1; i < count; i++)
        assert_true(strcmp(all[i - 1].name, all[i].name) < 0);
    const struct mr_setting *wished = find(all, count, "retention.ms");
    assert_string_equal(wished->value, "777000");
    assert_false(wished->is_default);
    assert_string_equal(wished->source, "DYNAMIC_TOPIC_CONFIG");
    assert_true(wished->synonyms_count >= 1);
    assert_string_equal(wished->synonyms[0].value, "777000");
    assert_string_equal(wished->synonyms[0].source, "DYNAMIC_TOPIC_CONFIG");
    const struct mr_setting *given = find(all, count, "max.message.bytes");
    assert_string_equal(given->value, "1048588");
    assert_true(given->is_default);
    assert_string_equal(given->source, "DEFAULT_CONFIG");
    assert_false(given->is_sensitive);
}

static void
settings_of_what_does_not_exist_are_not_found(void **state)
{
    struct mr_bus *bus = *state;
    MR_CLEANUP(mr_arena_fini) struct mr_arena arena;
    const struct mr_setting *all;
    size_t count;
    char value[32];
    struct mr_err err = { 0 }, other = { 0 };
    mr_arena_init(&arena);
    assert_int_equal(
        mr_bus_settings(bus, tool_name("nowhere"), &arena, &all, &count, WAIT_MS, &err),
        MR_E(NOT_FOUND));
    assert_int_equal(mr_bus_setting(bus, tool_topic(bus, 1, NULL), "no.such.setting", value,
                                    sizeof(value), WAIT_MS, &other),
                     MR_E(NOT_FOUND));
    assert_non_null(strstr(other.text, "no.such.setting"));
}

static bool
has_broker(const struct mr_description *description, int32_t id)
{
    for (size_t i = 0; i < description->brokers_count; i++)
        if (description->brokers[i].id == id)
            return true;
    return false;
}

static void
description_names_brokers_leaders_and_replicas(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 3, NULL);
    MR_CLEANUP(mr_arena_fini) struct mr_arena arena;
    struct mr_description seen;
    mr_arena_init(&arena);
    TOOL_OK(mr_bus_describe(bus, topic, &arena, &seen, WAIT_MS, &oops));
    assert_true(seen.brokers_count >= 1);
    assert_true(strlen(seen.brokers[0].host) > 0);
    assert_true(seen.brokers[0].port > 0);
    assert_true(has_broker(&seen, seen.controller));
    assert_int_equal(seen.partitions_count, 3);
    for (size_t i = 0; i < seen.partitions_count; i++) {
        const struct mr_partition *partition = &seen.partitions[i];
        assert_true(has_broker(&seen, partition->leader));
        assert_int_equal(partition->replicas_count, 1);
        assert_int_equal(partition->replicas[0], partition->leader);
        assert_int_equal(partition->insync_count, 1);
        assert_int_equal(partition->insync[0], partition->leader);
    }
}

static void
description_without_a_topic_names_the_brokers(void **state)
{
    struct mr_bus *bus = *state;
    MR_CLEANUP(mr_arena_fini) struct mr_arena arena;
    struct mr_description seen;
    mr_arena_init(&arena);
    TOOL_OK(mr_bus_describe(bus, NULL, &arena, &seen, WAIT_MS, &oops));
    assert_true(seen.brokers_count >= 1);
    assert_int_equal(seen.partitions_count, 0);
}

static void
description_of_what_does_not_exist_is_not_found_and_makes_nothing(void **state)
{
    struct mr_bus *bus = *state;
    const char *name = tool_name("nowhere");
    MR_CLEANUP(mr_arena_fini) struct mr_arena arena;
    struct mr_description seen;
    mr_arena_init(&arena);
    for (int i = 0; i < 2; i++) {
        struct mr_err err = { 0 };
        assert_int_equal(mr_bus_describe(bus, name, &arena, &seen, WAIT_MS, &err), MR_E(NOT_FOUND));
        assert_non_null(strstr(err.text, name));
    }
}

static bool
is_listed(struct mr_bus *bus, const char *name)
{
    MR_CLEANUP(mr_freep) struct mr_topic *topics = NULL;
    size_t count;
    TOOL_OK(mr_bus_topics(bus, &topics, &count, WAIT_MS, &oops));
    for (size_t i = 0; i < count; i++)
        if (strcmp(topics[i].name, name) == 0)
            return true;
    return false;
}

static void
deleted_topic_is_gone_and_can_be_made_again_empty(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 2, NULL);
    MR_CLEANUP(mr_arena_fini) struct mr_arena arena;
    struct mr_description seen;
    struct mr_err err = { 0 }, again = { 0 };
    mr_arena_init(&arena);
    tool_fill(bus, topic, 1, 3);
    TOOL_OK(mr_bus_delete(bus, topic, WAIT_MS, &oops));
    assert_false(is_listed(bus, topic));
    assert_int_equal(mr_bus_describe(bus, topic, &arena, &seen, WAIT_MS, &err), MR_E(NOT_FOUND));
    assert_int_equal(mr_bus_delete(bus, topic, WAIT_MS, &again), MR_E(NOT_FOUND));
    struct mr_topic_spec spec = { .name = topic, .partitions = 2, .replicas = 1 };
    TOOL_OK(mr_bus_create(bus, &spec, 1, WAIT_MS, &oops));
    assert_true(is_listed(bus, topic));
    assert_int_equal(tool_offsets(bus, NULL, topic, 1).end, 0);
}

static void
writer_learns_that_its_topic_is_gone(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL);
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, NULL);
    struct mr_err err = { 0 };
    assert_int_equal(mr_writer_partitions(writer, topic, WAIT_MS, &err), 1);
    TOOL_OK(mr_bus_delete(bus, topic, WAIT_MS, &oops));
    int64_t deadline_ms = tool_now_ms() + WAIT_MS;
    int partitions = 1;
    while (partitions != MR_E(NOT_FOUND)) {
        struct mr_err now = { 0 };
        assert_true(tool_now_ms() < deadline_ms);
        (void)mr_writer_poll(writer, 20);
        partitions = mr_writer_partitions(writer, topic, 0, &now);
    }
}

static void
offset_of_a_time_is_the_first_record_from_then_on(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 2, NULL);
    struct mr_offsets offsets = { .topic = topic, .partition = 1 };
    struct mr_offsets nowhere = { .topic = topic, .partition = 7 };
    struct mr_err err = { 0 };
    int64_t offset, first_ms, day_ms = 86400000;
    struct member member;
    struct mr_batch batch = { 0 };
    tool_fill(bus, topic, 1, 3);
    member_open_at(&member, bus, topic, 1, 0);
    int64_t deadline_ms = tool_now_ms() + WAIT_MS;
    while (batch.count == 0 && tool_now_ms() < deadline_ms)
        TOOL_OK(mr_reader_poll(member.reader, 1, 50, &batch, &oops));
    assert_int_equal(batch.count, 1);
    first_ms = batch.records[0].time_ms;
    member_close(&member);

    TOOL_OK(mr_bus_offset_at(bus, &offsets, 0, &offset, WAIT_MS, &oops));
    assert_int_equal(offset, 0);
    assert_int_equal(offsets.log_start, 0);
    assert_int_equal(offsets.end, 3);
    TOOL_OK(mr_bus_offset_at(bus, &offsets, first_ms, &offset, WAIT_MS, &oops));
    assert_int_equal(offset, 0);
    TOOL_OK(mr_bus_offset_at(bus, &offsets, first_ms + day_ms, &offset, WAIT_MS, &oops));
    assert_int_equal(offset, 3);
    assert_int_equal(mr_bus_offset_at(bus, &nowhere, 0, &offset, WAIT_MS, &err), MR_E(NOT_FOUND));
}

static int64_t
high_of(struct mr_bus *bus, const char *topic)
{
    struct mr_offsets offsets = { .topic = topic };
    TOOL_OK(mr_bus_high_watermarks(bus, &offsets, 1, WAIT_MS, &oops));
    return offsets.high;
}

static void
high_watermark_lies_behind_what_is_not_committed_yet(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL);
    struct mr_offsets nowhere = { .topic = topic, .partition = 7 };
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, tool_name("txn"));
    assert_int_equal(high_of(bus, topic), 0);
    TOOL_OK(mr_writer_begin(writer, &oops));
    tool_put(writer, topic, 0, "open");
    TOOL_OK(mr_writer_flush(writer, WAIT_MS, &oops));
    assert_int_equal(high_of(bus, topic), 1);
    assert_int_equal(tool_offsets(bus, NULL, topic, 0).end, 0);
    TOOL_OK(mr_writer_commit(writer, NULL, NULL, 0, WAIT_MS, &oops));
    struct member member;
    member_open_at(&member, bus, topic, 0, 0);
    member_wait_end(&member, 0, 2);
    member_close(&member);
    assert_int_equal(high_of(bus, topic), 2); /* behind the marker */
    assert_int_equal(mr_bus_high_watermarks(bus, &nowhere, 1, WAIT_MS, &err), MR_E(NOT_FOUND));
}

const struct CMUnitTest bus_topics[] = {
    cmocka_unit_test(offset_of_a_time_is_the_first_record_from_then_on),
    cmocka_unit_test(high_watermark_lies_behind_what_is_not_committed_yet),
    cmocka_unit_test(settings_tell_their_values_and_where_they_come_from),
    cmocka_unit_test(settings_of_what_does_not_exist_are_not_found),
    cmocka_unit_test(description_names_brokers_leaders_and_replicas),
    cmocka_unit_test(description_without_a_topic_names_the_brokers),
    cmocka_unit_test(description_of_what_does_not_exist_is_not_found_and_makes_nothing),
    cmocka_unit_test(deleted_topic_is_gone_and_can_be_made_again_empty),
    cmocka_unit_test(writer_learns_that_its_topic_is_gone),
};
const size_t bus_topics_count = MR_COUNT(bus_topics);
