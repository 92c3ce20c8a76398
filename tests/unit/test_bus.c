/* The promises of bus.h on the memory driver, and what memory.h adds for tests. */
#include "bus/memory.h"

#include "bus_promises.h"
#include "bus_tools.h"

static int
open_bus(void **state)
{
    *state = mr_bus_memory();
    return 0;
}

static int
close_bus(void **state)
{
    mr_bus_close(*state);
    return 0;
}

static void
lost_assignment_refuses_commits_and_is_dealt_anew(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL), *group = tool_name("g");
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, tool_name("txn"));
    struct member member;
    member_open(&member, bus, group, NULL, topic);
    member_wait_assigned(&member);
    struct mr_position position = { .next = 1 };
    TOOL_OK(mr_writer_begin(writer, &oops));
    mr_bus_memory_rebalance(bus, group, true);
    struct mr_err err = { 0 };
    assert_int_equal(mr_writer_commit(writer, member.reader, &position, 1, 1000, &err),
                     MR_E(STALE));
    TOOL_OK(mr_writer_abort(writer, 1000, &oops));
    member_step(&member, 0);
    assert_int_equal(member.lost_count, 1);
    member_step(&member, 0);
    assert_true(member.assigned);
    member_close(&member);
}

static void
asked_rebalance_revokes_and_assigns_again(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL), *group = tool_name("g");
    struct member member;
    member_open(&member, bus, group, "one", topic);
    member_wait_assigned(&member);
    mr_bus_memory_rebalance(bus, group, false);
    member_step(&member, 0);
    assert_int_equal(member.revoked_count, 1);
    member_step(&member, 0);
    assert_int_equal(member.assigned_count, 2);
    member_close(&member);
}

static void
answer_to_an_assignment_that_has_gone_is_stale(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL), *group = tool_name("g");
    struct member member;
    member_open(&member, bus, group, NULL, topic);
    struct mr_batch batch;
    TOOL_OK(mr_reader_poll(member.reader, 10, 0, &batch, &oops));
    assert_int_equal(batch.event, MR_BUS_ASSIGNED);
    mr_bus_memory_rebalance(bus, group, false);
    struct mr_part part = batch.parts[0];
    struct mr_err err = { 0 };
    assert_int_equal(mr_reader_assign(member.reader, &part, 1, &err), MR_E(STALE));
    member.parts_count = 1;
    member_step(&member, 0);
    assert_int_equal(member.revoked_count, 1);
    member_wait_assigned(&member);
    member_close(&member);
}

static void
faults_strike_after_the_good_calls_and_then_stop(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL);
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, tool_name("txn"));
    struct mr_err down = { .code = MR_E(UNAVAILABLE), .remedy = MR_RETRY, .text = "down" };
    mr_bus_memory_fault(bus, "begin", 1, 2, &down);
    TOOL_OK(mr_writer_begin(writer, &oops));
    TOOL_OK(mr_writer_abort(writer, 1000, &oops));
    for (int i = 0; i < 2; i++) {
        struct mr_err err = { 0 };
        assert_int_equal(mr_writer_begin(writer, &err), MR_E(UNAVAILABLE));
        assert_string_equal(err.text, "down");
    }
    TOOL_OK(mr_writer_begin(writer, &oops));
    tool_put(writer, topic, 0, "x");
    TOOL_OK(mr_writer_commit(writer, NULL, NULL, 0, 1000, &oops));
}

static void
failed_look_up_keeps_the_assignment_pending(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL);
    struct mr_err down = { .code = MR_E(UNAVAILABLE), .remedy = MR_RETRY, .text = "down" };
    struct member member;
    member_open(&member, bus, tool_name("g"), NULL, topic);
    mr_bus_memory_fault(bus, "offsets", 0, 1, &down);
    struct mr_batch batch;
    struct mr_err err = { 0 };
    assert_int_equal(mr_reader_poll(member.reader, 10, 0, &batch, &err), MR_E(UNAVAILABLE));
    member_step(&member, 0);
    assert_true(member.assigned);
    member_close(&member);
}

static void
lost_answer_of_a_commit_leaves_it_committed(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL), *group = tool_name("g");
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, tool_name("txn"));
    struct mr_err late = { .code = MR_E(TIMEOUT), .remedy = MR_RETRY, .text = "late" };
    struct member member;
    member_open(&member, bus, group, NULL, topic);
    member_wait_assigned(&member);
    mr_bus_memory_fault(bus, "commit-reply", 0, 1, &late);
    TOOL_OK(mr_writer_begin(writer, &oops));
    tool_put(writer, topic, 0, "kept");
    struct mr_position position = { .next = 1 };
    struct mr_err err = { 0 };
    assert_int_equal(mr_writer_commit(writer, member.reader, &position, 1, 1000, &err),
                     MR_E(TIMEOUT));
    TOOL_OK(mr_writer_abort(writer, 1000, &oops));
    TOOL_OK(mr_writer_begin(writer, &oops));
    assert_int_equal(tool_offsets(bus, group, topic, 0).committed, 1);
    TOOL_OK(mr_writer_abort(writer, 1000, &oops));
    member_wait_records(&member, 1);
    assert_true(member_saw(&member, "kept"));
    member_close(&member);
}

static void
trimmed_records_are_gone_and_the_log_starts_behind_them(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL);
    tool_fill(bus, topic, 0, 5);
    mr_bus_memory_trim(bus, topic, 0, 3);
    assert_int_equal(tool_offsets(bus, NULL, topic, 0).log_start, 3);
    struct member member;
    struct mr_batch batch;
    struct mr_err err = { 0 };
    member_open_at(&member, bus, topic, 0, 2);
    assert_int_equal(mr_reader_poll(member.reader, 10, 0, &batch, &err), MR_E(NOT_FOUND));
    assert_non_null(strstr(err.text, "3 to 5"));
    member_close(&member);
}

static void
topic_made_again_has_another_id_and_no_offsets(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL), *group = tool_name("g");
    tool_fill(bus, topic, 0, 5);
    struct member member;
    member_open(&member, bus, group, NULL, topic);
    member_wait_assigned(&member);
    uint8_t id[MR_TOPIC_ID_BYTES];
    memcpy(id, member.parts[0].topic_id, sizeof(id));
    struct mr_position position = { .next = 5 };
    TOOL_OK(mr_reader_commit(member.reader, &position, 1, 0, &oops));
    mr_bus_memory_recreate(bus, topic);
    member_step(&member, 0);
    assert_int_equal(member.revoked_count, 1);
    member_wait_assigned(&member);
    assert_memory_not_equal(member.parts[0].topic_id, id, sizeof(id));
    assert_int_equal(member.parts[0].committed, MR_NO_OFFSET);
    assert_int_equal(member.parts[0].end, 0);
    member_close(&member);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_assignment_refuses_commits_and_is_dealt_anew),
        cmocka_unit_test(asked_rebalance_revokes_and_assigns_again),
        cmocka_unit_test(answer_to_an_assignment_that_has_gone_is_stale),
        cmocka_unit_test(faults_strike_after_the_good_calls_and_then_stop),
        cmocka_unit_test(failed_look_up_keeps_the_assignment_pending),
        cmocka_unit_test(lost_answer_of_a_commit_leaves_it_committed),
        cmocka_unit_test(trimmed_records_are_gone_and_the_log_starts_behind_them),
        cmocka_unit_test(topic_made_again_has_another_id_and_no_offsets),
    };
    int failed = _cmocka_run_group_tests("reading on memory", bus_reading, bus_reading_count,
                                         open_bus, close_bus);
    failed += _cmocka_run_group_tests("writing on memory", bus_writing, bus_writing_count, open_bus,
                                      close_bus);
    failed += _cmocka_run_group_tests("topics on memory", bus_topics, bus_topics_count, open_bus,
                                      close_bus);
    return failed + cmocka_run_group_tests_name("memory", tests, open_bus, close_bus);
}
