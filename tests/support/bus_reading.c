#include "bus_promises.h"

#include <stdio.h>
#include <stdlib.h>

#include "bus_tools.h"

/* ---- topics and offsets ---- */

static void
topics_are_listed_sorted_with_ids_and_made_only_once(void **state)
{
    struct mr_bus *bus = *state;
    const char *a = tool_topic(bus, 3, NULL);
    const char *b = tool_topic(bus, 1, NULL);
    struct mr_topic_spec again = { .name = a, .partitions = 3, .replicas = 1 };
    TOOL_OK(mr_bus_create(bus, &again, 1, WAIT_MS, &oops));
    MR_CLEANUP(mr_freep) struct mr_topic *topics = NULL;
    size_t count;
    TOOL_OK(mr_bus_topics(bus, &topics, &count, WAIT_MS, &oops));

    const struct mr_topic *found[2] = { NULL, NULL };
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || strcmp(topics[i - 1].name, topics[i].name) < 0);
        if (strcmp(topics[i].name, a) == 0)
            found[0] = &topics[i];
        if (strcmp(topics[i].name, b) == 0)
            found[1] = &topics[i];
    }
    assert_non_null(found[0]);
    assert_non_null(found[1]);
    assert_int_equal(found[0]->partitions, 3);
    assert_int_equal(found[0]->replicas, 1);
    assert_int_equal(found[1]->partitions, 1);
    assert_memory_not_equal(found[0]->id, found[1]->id, MR_TOPIC_ID_BYTES);
}

static void
settings_are_what_the_topic_was_made_with(void **state)
{
    struct mr_bus *bus = *state;
    const char *settings[] = { "max.message.bytes", "2000000", "retention.ms", "777000", NULL };
    const char *topic = tool_topic(bus, 1, settings);
    char value[32], small[4];
    TOOL_OK(mr_bus_setting(bus, topic, "retention.ms", value, sizeof(value), WAIT_MS, &oops));
    assert_string_equal(value, "777000");
    struct mr_err err = { 0 };
    assert_int_equal(
        mr_bus_setting(bus, topic, "retention.ms", small, sizeof(small), WAIT_MS, &err),
        MR_E(TOO_LARGE));
}

static void
cluster_has_an_id(void **state)
{
    const char *id, *again;
    TOOL_OK(mr_bus_cluster_id(*state, &id, WAIT_MS, &oops));
    TOOL_OK(mr_bus_cluster_id(*state, &again, WAIT_MS, &oops));
    assert_true(strlen(id) > 0);
    assert_string_equal(id, again);
}

static void
offsets_of_what_does_not_exist_are_not_found(void **state)
{
    struct mr_bus *bus = *state;
    struct mr_offsets offsets[2] = { { .topic = tool_topic(bus, 1, NULL) },
                                     { .topic = tool_name("nowhere") } };
    struct mr_err err = { 0 };
    assert_int_equal(mr_bus_offsets(bus, NULL, offsets, 2, WAIT_MS, &err), MR_E(NOT_FOUND));
    assert_non_null(strstr(err.text, offsets[1].topic));
    offsets[1] = (struct mr_offsets){ .topic = offsets[0].topic, .partition = 7 };
    err = (struct mr_err){ 0 };
    assert_int_equal(mr_bus_offsets(bus, "g", offsets, 2, WAIT_MS, &err), MR_E(NOT_FOUND));
}

static void
offsets_of_many_partitions_come_in_one_answer(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 2, NULL);
    tool_fill(bus, topic, 1, 5);
    struct mr_offsets offsets[2] = { { .topic = topic, .partition = 1 },
                                     { .topic = topic, .partition = 0 } };
    TOOL_OK(mr_bus_offsets(bus, tool_name("g"), offsets, 2, WAIT_MS, &oops));
    assert_int_equal(offsets[0].log_start, 0);
    assert_int_equal(offsets[0].end, 5);
    assert_int_equal(offsets[0].committed, MR_NO_OFFSET);
    assert_string_equal(offsets[0].note, "");
    assert_int_equal(offsets[1].end, 0);
}

/* ---- records ---- */

static void
records_come_back_as_they_were_given(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL);
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, NULL);
    struct mr_message full = { .topic = topic,
                               .key = MR_SLICE("key"),
                               .value = MR_SLICE("with\0zero"),
                               .header = MR_SLICE("\x01\x00\x02"),
                               .time_ms = 1700000000123 };
    struct mr_message tombstone = { .topic = topic, .key = MR_SLICE("key") };
    struct mr_message empty = { .topic = topic, .value = MR_SLICE(""), .value_borrowed = true };
    TOOL_OK(mr_writer_produce(writer, &full, &oops));
    TOOL_OK(mr_writer_produce(writer, &tombstone, &oops));
    TOOL_OK(mr_writer_produce(writer, &empty, &oops));
    TOOL_OK(mr_writer_flush(writer, WAIT_MS, &oops));

    struct member member;
    member_open_at(&member, bus, topic, 0, 0);
    struct mr_batch batch;
    struct mr_record got[3];
    size_t count = 0;
    int64_t deadline_ms = tool_now_ms() + WAIT_MS;
    while (count < 3) {
        assert_true(tool_now_ms() < deadline_ms);
        TOOL_OK(mr_reader_poll(member.reader, 1, 50, &batch, &oops));
        if (batch.count == 0 || batch.records[0].is_end)
            continue;
        got[count] = batch.records[0];
        if (count++ > 0)
            continue;
        assert_true(mr_slice_is(got[0].key, full.key));
        assert_true(mr_slice_is(got[0].value, full.value));
        assert_true(mr_slice_is(got[0].header, full.header));
        assert_true(got[0].time_ms == full.time_ms);
    }
    assert_true(got[2].time_ms > full.time_ms);
    assert_null(got[1].value.data);
    assert_int_equal(got[1].offset, 1);
    assert_null(got[1].header.data);
    assert_null(got[2].key.data);
    assert_non_null(got[2].value.data);
    assert_int_equal(got[2].value.size, 0);
    member_close(&member);
}

static void
order_holds_and_no_batch_passes_its_maximum(void **state)
{
    struct mr_bus *bus = *state;
    enum { COUNT = 2500 };
    const char *topic = tool_topic(bus, 1, NULL);
    tool_fill(bus, topic, 0, COUNT);
    struct member member;
    member_open_at(&member, bus, topic, 0, 0);
    int64_t next = 0, deadline_ms = tool_now_ms() + WAIT_MS;
    while (next < COUNT) {
        struct mr_batch batch;
        assert_true(tool_now_ms() < deadline_ms);
        TOOL_OK(mr_reader_poll(member.reader, 700, 50, &batch, &oops));
        assert_true(batch.count <= 700);
        for (size_t i = 0; i < batch.count && !batch.records[i].is_end; i++)
            assert_int_equal(batch.records[i].offset, next++);
    }
    member_close(&member);
}

static void
end_of_partition_is_told_with_its_offset(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL);
    struct member member;
    member_open_at(&member, bus, topic, 0, 0);
    member_wait_end(&member, 0, 0);
    assert_int_equal(member.seen[member.seen_count - 1].offset, 0);
    tool_fill(bus, topic, 0, 3);
    member_wait_end(&member, 0, 3);
    assert_int_equal(member_records(&member), 3);
    assert_int_equal(member.seen[member.seen_count - 1].offset, 3);
    member_close(&member);
}

static void
equal_keys_meet_in_the_partition_that_java_would_choose(void **state)
{
    struct mr_bus *bus = *state;
    enum { PARTITIONS = 5 };
    const char *topic = tool_topic(bus, PARTITIONS, NULL);
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, NULL);
    static const char *const keys[] = { "foobar", "21", "abc", "a-little-bit-long-string" };
    for (size_t i = 0; i < MR_COUNT(keys); i++) {
        struct mr_message message = { .topic = topic,
                                      .partition = -1,
                                      .key = mr_slice_text(keys[i]),
                                      .value = mr_slice_text(keys[i]) };
        TOOL_OK(mr_writer_produce(writer, &message, &oops));
    }
    TOOL_OK(mr_writer_flush(writer, WAIT_MS, &oops));
    for (size_t i = 0; i < MR_COUNT(keys); i++) {
        struct member member;
        int32_t partition = (int32_t)(mr_murmur2(keys[i], strlen(keys[i])) % PARTITIONS);
        member_open_at(&member, bus, topic, partition, 0);
        member_wait_records(&member, 1);
        member_wait_end(&member, partition, 1);
        assert_true(member_saw(&member, keys[i]));
        member_close(&member);
    }
}

static void
start_outside_of_the_log_is_fatal_and_named(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL);
    tool_fill(bus, topic, 0, 3);
    struct member member;
    struct mr_batch batch;
    struct mr_err err = { 0 };
    member_open_at(&member, bus, topic, 0, 500);
    int64_t deadline_ms = tool_now_ms() + WAIT_MS;
    while (mr_reader_poll(member.reader, 10, 50, &batch, &err) == 0)
        assert_true(tool_now_ms() < deadline_ms);
    assert_int_equal(err.code, MR_E(NOT_FOUND));
    assert_int_equal(err.remedy, MR_FATAL);
    assert_non_null(strstr(err.text, topic));
    assert_non_null(strstr(err.text, "500"));
    member_close(&member);
}

/* Old prefetched records must never come after a seek: the first one behind it is the very offset
 * that was asked for, however often. */
static void
seek_drops_what_was_prefetched(void **state)
{
    struct mr_bus *bus = *state;
    enum { COUNT = 3000, ROUNDS = 60 };
    const char *topic = tool_topic(bus, 1, NULL);
    tool_fill(bus, topic, 0, COUNT);
    struct member member;
    member_open_at(&member, bus, topic, 0, 0);
    unsigned seed = 1;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t offset = rand_r(&seed) % (COUNT - 1);
        struct mr_batch batch = { 0 };
        int64_t deadline_ms = tool_now_ms() + WAIT_MS;
        TOOL_OK(mr_reader_seek(member.reader, 0, offset, &oops));
        for (int64_t next = offset; next < offset + 1;) {
            assert_true(tool_now_ms() < deadline_ms);
            TOOL_OK(mr_reader_poll(member.reader, 1 + (size_t)round % 7, 50, &batch, &oops));
            for (size_t i = 0; i < batch.count && !batch.records[i].is_end; i++)
                assert_int_equal(batch.records[i].offset, next++);
        }
    }
    member_close(&member);
}

static void
paused_slot_is_silent_and_goes_on_where_it_was(void **state)
{
    struct mr_bus *bus = *state;
    enum { COUNT = 1000 };
    const char *topic = tool_topic(bus, 2, NULL);
    tool_fill(bus, topic, 0, COUNT);
    struct member member;
    member_open_at(&member, bus, topic, 0, 0);
    member.parts[1] = member.parts[0];
    member.parts[1].partition = 1;
    member.parts_count = 2;
    TOOL_OK(mr_reader_assign(member.reader, member.parts, 2, &oops));
    struct mr_batch batch;
    int64_t next = 0, deadline_ms = tool_now_ms() + WAIT_MS;
    while (next < COUNT) {
        assert_true(tool_now_ms() < deadline_ms);
        TOOL_OK(mr_reader_poll(member.reader, 90, 50, &batch, &oops));
        bool moved = false;
        for (size_t i = 0; i < batch.count; i++) {
            if (batch.records[i].slot == 0 && !batch.records[i].is_end) {
                assert_int_equal(batch.records[i].offset, next++);
                moved = true;
            }
        }
        if (!moved || next >= COUNT)
            continue;
        TOOL_OK(mr_reader_pause(member.reader, 0, true, &oops));
        TOOL_OK(mr_reader_poll(member.reader, 90, 5, &batch, &oops));
        for (size_t i = 0; i < batch.count; i++)
            assert_int_equal(batch.records[i].slot, 1);
        TOOL_OK(mr_reader_pause(member.reader, 0, false, &oops));
    }
    member_close(&member);
}

static void
pause_at_the_end_skips_nothing(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL);
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, NULL);
    struct member member;
    member_open_at(&member, bus, topic, 0, 0);
    for (int64_t i = 0; i < 5; i++) {
        member_wait_end(&member, 0, i);
        TOOL_OK(mr_reader_pause(member.reader, 0, true, &oops));
        tool_put(writer, topic, 0, "x");
        TOOL_OK(mr_writer_flush(writer, WAIT_MS, &oops));
        TOOL_OK(mr_reader_pause(member.reader, 0, false, &oops));
        member_wait_records(&member, (size_t)i + 1);
        assert_int_equal(member_record(&member, (size_t)i)->offset, i);
    }
    member_close(&member);
}

static void
assignment_by_hand_replaces_the_former_one(void **state)
{
    struct mr_bus *bus = *state;
    const char *first = tool_topic(bus, 1, NULL), *second = tool_topic(bus, 1, NULL);
    tool_fill(bus, first, 0, 2000);
    tool_fill(bus, second, 0, 3);
    struct member member;
    member_open_at(&member, bus, first, 0, 0);
    struct mr_batch batch;
    TOOL_OK(mr_reader_poll(member.reader, 5, WAIT_MS, &batch, &oops));
    struct mr_part part = { .start = 1 };
    (void)snprintf(part.topic, sizeof(part.topic), "%s", second);
    TOOL_OK(mr_reader_assign(member.reader, &part, 1, &oops));
    member_wait_end(&member, 0, 3);
    assert_int_equal(member_records(&member), 2);
    assert_int_equal(member_record(&member, 0)->offset, 1);
    member_close(&member);
}

const struct CMUnitTest bus_reading[] = {
    cmocka_unit_test(topics_are_listed_sorted_with_ids_and_made_only_once),
    cmocka_unit_test(settings_are_what_the_topic_was_made_with),
    cmocka_unit_test(cluster_has_an_id),
    cmocka_unit_test(offsets_of_what_does_not_exist_are_not_found),
    cmocka_unit_test(offsets_of_many_partitions_come_in_one_answer),
    cmocka_unit_test(records_come_back_as_they_were_given),
    cmocka_unit_test(order_holds_and_no_batch_passes_its_maximum),
    cmocka_unit_test(end_of_partition_is_told_with_its_offset),
    cmocka_unit_test(equal_keys_meet_in_the_partition_that_java_would_choose),
    cmocka_unit_test(start_outside_of_the_log_is_fatal_and_named),
    cmocka_unit_test(seek_drops_what_was_prefetched),
    cmocka_unit_test(paused_slot_is_silent_and_goes_on_where_it_was),
    cmocka_unit_test(pause_at_the_end_skips_nothing),
    cmocka_unit_test(assignment_by_hand_replaces_the_former_one),
};
const size_t bus_reading_count = MR_COUNT(bus_reading);
