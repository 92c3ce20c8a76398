/*
 * The rules that the frame keeps, whatever fails: LAW 7, 11, 12, 13, and every call failing once.
 */
#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "stage_fixture.h"
#include "test.h"

static void
post_pins(struct mill *mill, int count)
{
    for (int i = 0; i < count; i++) {
        char *pin = mill_pin(i);
        mill_post(mill, i % MILL_PARTS, NULL, pin);
        free(pin);
    }
}

static void
assert_all_once(struct mill *mill, int64_t count)
{
    assert_int_equal(mill_counts(mill).in, count);
    assert_int_equal(mill_counts(mill).good, count);
    assert_int_equal(mill_records(mill, MILL_VALID), count);
    mill_assert_origins_once(mill);
}

static void
run_with_fault(const char *call, int code, unsigned skip)
{
    void *state = NULL;
    struct mr_err fault = { .code = code, .remedy = MR_RETRY, .text = "fault" };
    (void)mill_open(&state);
    struct mill *mill = state;
    mill_topics(mill, 0);
    mill_start(mill);
    post_pins(mill, 16);
    mr_bus_memory_fault(mill->bus, call, skip, 1, &fault);
    while (mill_counts(mill).in < 16) {
        struct mr_err err;
        if (mill_step(mill, &err) < 0)
            assert_int_equal(err.remedy, MR_RETRY);
    }
    assert_all_once(mill, 16);
    (void)mill_close(&state);
}

static void
every_call_may_fail_in_turn_and_each_record_is_there_once(void **state)
{
    static const char *const calls[] = { "begin", "produce", "commit", "commit-reply",
                                         "abort", "poll",    "offsets" };
    static const int codes[] = { MR_E(UNAVAILABLE), MR_E(ABORTED), MR_E(TIMEOUT) };
    (void)state;
    for (size_t c = 0; c < MR_COUNT(calls); c++)
        for (size_t k = 0; k < MR_COUNT(codes); k++)
            for (unsigned skip = 0; skip < 8; skip++)
                if (strcmp(calls[c], "commit-reply") != 0 || codes[k] != MR_E(ABORTED))
                    run_with_fault(calls[c], codes[k], skip);
}

static void
a_commit_whose_answer_was_lost_is_not_done_again(void **state)
{
    struct mill *mill = *state;
    struct mr_err fault = { .code = MR_E(TIMEOUT), .remedy = MR_RETRY, .text = "no answer" };
    mill_topics(mill, 0);
    mill_start(mill);
    for (int round = 0; round < 5; round++) {
        mr_bus_memory_fault(mill->bus, "commit-reply", (unsigned)round % 2, 1, &fault);
        post_pins(mill, 10);
        mill_run(mill, 10 * (round + 1));
    }
    assert_all_once(mill, 50);
}

static void
a_rebalance_in_the_middle_doubles_nothing(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    mill_start(mill);
    for (int round = 0; round < 10; round++) {
        struct mr_err err;
        post_pins(mill, 20);
        (void)mill_step(mill, &err);
        mr_bus_memory_rebalance(mill->bus, MILL_GROUP, round % 2 == 0);
        mill_run(mill, 20 * (round + 1));
    }
    assert_all_once(mill, 200);
}

/* Ten records are handled and not committed when the group rebalances. */
static void
rebalance_with_an_open_batch(struct mill *mill, bool lost)
{
    struct mr_err err = { 0 };
    int handled = 0;
    mill->batch_max = 1000;
    mill->batch_wait_ms = 1000;
    mill_topics(mill, 0);
    mill_start(mill);
    post_pins(mill, 1);
    mill_run(mill, 1);
    mr_clock_hold(mr_now_ms(), mr_wall_us()); /* so the batch is not due */
    post_pins(mill, 10);
    for (int i = 0; i < 100 && handled < 10; i++)
        handled += mill_step(mill, &err);
    mr_bus_memory_rebalance(mill->bus, MILL_GROUP, lost);
    int result = mill_step(mill, &err);
    mr_clock_release();
    assert_int_equal(handled, 10);
    assert_int_equal(result, 0);
}

static void
what_is_revoked_is_finished_first(void **state)
{
    struct mill *mill = *state;
    rebalance_with_an_open_batch(mill, false);
    assert_int_equal(mill_counts(mill).in, 11);
    post_pins(mill, 10);
    mill_run(mill, 21);
    assert_all_once(mill, 21);
}

static void
what_is_lost_is_aborted(void **state)
{
    struct mill *mill = *state;
    rebalance_with_an_open_batch(mill, true);
    assert_int_equal(mill_counts(mill).in, 1);
    post_pins(mill, 10);
    mill_run(mill, 21);
    assert_all_once(mill, 21);
}

/* As after an outage in which the member was sent away: only poll says that its parts are gone. */
static void
a_stage_that_cannot_rewind_hears_that_its_partitions_are_gone(void **state)
{
    struct mill *mill = *state;
    struct mr_err err, fault = { .code = MR_E(INTERNAL), .remedy = MR_RETRY, .text = "gone" };
    mill_topics(mill, 0);
    mill_start(mill);
    mill_post(mill, 0, NULL, "{\"index\":1}");
    mill_run(mill, 1);
    post_pins(mill, 20);
    mr_bus_memory_fault(mill->bus, "commit", 0, 1, &fault);
    mr_bus_memory_fault(mill->bus, "seek", 0, UINT_MAX, &fault);
    while (mill_step(mill, &err) >= 0)
        continue;
    mr_bus_memory_rebalance(mill->bus, MILL_GROUP, true);
    mill_run(mill, 21);
    assert_all_once(mill, 21);
}

static void
what_is_polled_while_rewinding_fails_comes_again(void **state)
{
    (void)state;
    for (unsigned count = 1; count < 6; count++) {
        void *own = NULL;
        struct mr_err fault = { .code = MR_E(INTERNAL), .remedy = MR_RETRY, .text = "busy" };
        (void)mill_open(&own);
        struct mill *mill = own;
        mill_topics(mill, 0);
        mill->batch_max = 3;
        mill_start(mill);
        post_pins(mill, 30);
        mr_bus_memory_fault(mill->bus, "commit", 2, 1, &fault);
        mr_bus_memory_fault(mill->bus, "seek", count % 2, count, &fault);
        mill_run(mill, 30);
        assert_all_once(mill, 30);
        (void)mill_close(&own);
    }
}

static void
a_crash_at_any_step_loses_nothing(void **state)
{
    struct mill *mill = *state;
    int64_t posted = 0;
    mill_topics(mill, 0);
    for (int steps = 0; steps < 8; steps++) {
        mill_start(mill);
        posted += 10;
        post_pins(mill, 10);
        for (int i = 0; i < steps; i++) {
            struct mr_err err;
            (void)mill_step(mill, &err);
        }
        mill_crash(mill);
    }
    mill_start(mill);
    mill_run(mill, posted);
    assert_all_once(mill, posted);
}

/* ---- LAW 11 ---- */

static int
step_until_fatal(struct mill *mill, struct mr_err *err)
{
    for (int i = 0; i < 1000; i++)
        if (mill_step(mill, err) < 0 && err->remedy == MR_FATAL)
            return err->code;
    return 0;
}

static void
offsets_that_were_lost_end_the_process_instead_of_doubling(void **state)
{
    struct mill *mill = *state;
    struct mr_err err = { 0 };
    mill_topics(mill, 0);
    mill_start(mill);
    post_pins(mill, 10);
    mill_run(mill, 10);
    mill_stop(mill);
    /* The same outputs, a group that knows nothing: as after offsets.retention. */
    mill->pipeline = "forgotten";
    mill_start(mill);
    assert_int_equal(step_until_fatal(mill, &err), MR_E(IDENTITY));
    assert_non_null(strstr(err.text, "would repeat [0,"));
}

/* As after a topic that was not subscribed to for a week, while the group went on with others. */
static void
offsets_of_one_topic_that_were_lost_end_the_process_too(void **state)
{
    struct mill *mill = *state;
    struct mr_err err = { 0 };
    const struct mr_topic_spec others[] = { { "u.pin.dead", 1, 1, NULL },
                                            { "u.pin.valid", 1, 1, NULL },
                                            { "u.pin", 1, 1, NULL } };
    mill_topics(mill, 0);
    assert_int_equal(mr_bus_create(mill->bus, others, MR_COUNT(others), 1000, &err), 0);
    mill_start(mill);
    post_pins(mill, 10);
    mill_run(mill, 10);
    mill_stop(mill);
    struct mr_offsets other = { .topic = "u.pin" };
    assert_int_equal(mr_bus_offsets(mill->bus, MILL_GROUP, &other, 1, 1000, &err), 0);
    assert_int_equal(other.committed, 0);
    mr_bus_memory_forget(mill->bus, MILL_GROUP, MILL_RAW);
    mill_start(mill);
    assert_int_equal(step_until_fatal(mill, &err), MR_E(IDENTITY));
    assert_non_null(strstr(err.text, "no offsets of topic t.pin"));
}

static void
records_that_left_the_log_unread_end_the_process_and_are_named(void **state)
{
    struct mill *mill = *state;
    struct mr_err err = { 0 };
    mill_topics(mill, 0);
    mill_start(mill);
    post_pins(mill, 10);
    mill_run(mill, 10);
    mill_stop(mill);
    post_pins(mill, 10);
    mr_bus_memory_trim(mill->bus, MILL_RAW, 0, 8);
    mill_start(mill);
    assert_int_equal(step_until_fatal(mill, &err), MR_E(IDENTITY));
    assert_non_null(strstr(err.text, "committed offset 5 is outside of the log [8,"));
}

static void
a_log_that_begins_behind_0_is_not_taken_for_a_new_one(void **state)
{
    struct mill *mill = *state;
    struct mr_err err = { 0 };
    mill_topics(mill, 0);
    post_pins(mill, 10);
    mr_bus_memory_trim(mill->bus, MILL_RAW, 1, 3);
    mill_start(mill);
    assert_int_equal(step_until_fatal(mill, &err), MR_E(IDENTITY));
    assert_non_null(strstr(err.text, "[0, 3) is gone"));
}

static void
offsets_of_somebody_else_end_the_process(void **state)
{
    struct mill *mill = *state;
    struct mr_err err = { 0 };
    struct mr_reader *reader = NULL;
    struct mr_reader_options options = { .group = MILL_GROUP, .queue_bytes_max = 1 << 20 };
    struct mr_part part = { .topic = MILL_RAW };
    struct mr_position position = { .next = 3, .note = "not ours" };
    mill_topics(mill, 0);
    post_pins(mill, 10);
    assert_int_equal(mr_reader_open(mill->bus, &options, &reader, &err), 0);
    assert_int_equal(mr_reader_assign(reader, &part, 1, &err), 0);
    assert_int_equal(mr_reader_commit(reader, &position, 1, 0, &err), 0);
    mr_reader_close(reader);
    mill_start(mill);
    assert_int_equal(step_until_fatal(mill, &err), MR_E(IDENTITY));
    assert_non_null(strstr(err.text, "not ours"));
}

static void
the_first_commit_gives_every_partition_an_offset(void **state)
{
    struct mill *mill = *state;
    struct mr_err err = { 0 };
    mill_topics(mill, 0);
    mill_start(mill);
    mill_post(mill, 0, NULL, "{\"index\":1}");
    mill_run(mill, 1);
    struct mr_offsets at = { .topic = MILL_RAW, .partition = 1 };
    assert_int_equal(mr_bus_offsets(mill->bus, MILL_GROUP, &at, 1, 1000, &err), 0);
    assert_int_equal(at.committed, 0);
}

static void
the_start_of_an_idle_partition_is_committed_though_the_first_try_got_no_answer(void **state)
{
    struct mill *mill = *state;
    struct mr_err fault = { .code = MR_E(TIMEOUT), .remedy = MR_RETRY, .text = "no answer" };
    struct mr_err err = { 0 };
    mill_topics(mill, 0);
    mr_bus_memory_fault(mill->bus, "commit", 0, 1, &fault);
    mill_start(mill);
    for (int i = 0; i < 400; i++)
        (void)mill_step(mill, &err);
    struct mr_offsets at = { .topic = MILL_RAW, .partition = 1 };
    assert_int_equal(mr_bus_offsets(mill->bus, MILL_GROUP, &at, 1, 1000, &err), 0);
    assert_int_equal(at.committed, 0);
}

/* Aborted outputs stay in their log: a group without offsets must not take them for its past. */
static void
a_crash_before_the_first_commit_does_not_look_like_lost_offsets(void **state)
{
    (void)state;
    for (unsigned skip = 0; skip < 3; skip++) {
        void *own = NULL;
        struct mr_err fault = { .code = MR_E(TIMEOUT), .remedy = MR_RETRY, .text = "no answer" };
        struct mr_err err = { 0 };
        (void)mill_open(&own);
        struct mill *mill = own;
        mill_topics(mill, 0);
        post_pins(mill, 10);
        mr_bus_memory_fault(mill->bus, "commit", skip, 1, &fault);
        mill_start(mill);
        while (mill_step(mill, &err) >= 0)
            continue;
        assert_string_equal(err.text, "no answer");
        mill_crash(mill);
        mill_start(mill);
        mill_run(mill, 10);
        assert_all_once(mill, 10);
        (void)mill_close(&own);
    }
}

/* The end of a topic may lie behind a marker; "committed" has to reach it all the same. */
static void
an_end_behind_a_marker_is_committed_after_a_commit_without_answer(void **state)
{
    struct mill *mill = *state;
    struct mr_err fault = { .code = MR_E(TIMEOUT), .remedy = MR_RETRY, .text = "no answer" };
    struct mr_err err = { 0 };
    struct mr_writer *writer = NULL;
    struct mr_writer_options options = { .transactional_id = "poster", .queue_bytes_max = 1 << 20 };
    struct mr_message pin = { .topic = MILL_RAW, .value = MR_SLICE("{\"index\":1}") };
    mill_topics(mill, 0);
    mill->batch_max = 1;
    mill_start(mill);
    for (int i = 0; i < 20; i++)
        (void)mill_step(mill, &err);
    mr_bus_memory_fault(mill->bus, "commit-reply", 1, 1, &fault);
    assert_int_equal(mr_writer_open(mill->bus, &options, &writer, &err), 0);
    assert_int_equal(mr_writer_begin(writer, &err), 0);
    assert_int_equal(mr_writer_produce(writer, &pin, &err), 0);
    assert_int_equal(mr_writer_commit(writer, NULL, NULL, 0, 1000, &err), 0);
    mr_writer_close(writer);
    for (int i = 0; i < 500; i++)
        (void)mill_step(mill, &err);
    struct mr_offsets at = { .topic = MILL_RAW };
    assert_int_equal(mr_bus_offsets(mill->bus, MILL_GROUP, &at, 1, 1000, &err), 0);
    assert_int_equal(at.end, 2);
    assert_int_equal(at.committed, 2);
}

/* ---- LAW 13, readiness ---- */

static void
put(struct mill *mill, const char *topic, int32_t partition, const char *value)
{
    struct mr_err err = { 0 };
    const struct mr_message message = { .topic = topic,
                                        .partition = partition,
                                        .value = mr_slice_text(value) };
    assert_int_equal(mr_writer_produce(mill->poster, &message, &err), 0);
    assert_int_equal(mr_writer_flush(mill->poster, 1000, &err), 0);
}

static void
a_tenant_without_outputs_does_not_stop_the_others(void **state)
{
    struct mill *mill = *state;
    struct mr_err err = { 0 };
    const char *why = NULL;
    const struct mr_topic_spec lonely = { "lonely.pin", 1, 1, NULL };
    assert_int_equal(mr_bus_create(mill->bus, &lonely, 1, 1000, &err), 0);
    mill_topics(mill, 0);
    put(mill, "lonely.pin", 0, "{\"index\":1}");
    mill_start(mill);
    post_pins(mill, 4);
    mill_run(mill, 4);
    assert_false(mr_stage_ready(mill->stage, &why));
    assert_non_null(strstr(why, "lonely.pin."));
}

/* Raw has grown before its outputs. */
static void
a_partition_without_its_like_in_the_outputs_waits_alone(void **state)
{
    struct mill *mill = *state;
    struct mr_err err = { 0 };
    const char *why = NULL;
    const struct mr_topic_spec grown[] = { { "grown.pin.dead", 1, 1, NULL },
                                           { "grown.pin.valid", 1, 1, NULL },
                                           { "grown.pin", 2, 1, NULL } };
    assert_int_equal(mr_bus_create(mill->bus, grown, MR_COUNT(grown), 1000, &err), 0);
    mill_topics(mill, 0);
    put(mill, "grown.pin", 0, "{\"index\":1}");
    put(mill, "grown.pin", 1, "poison, whose dead letter keeps its partition");
    mill_start(mill);
    post_pins(mill, 4);
    mill_run(mill, 4);
    assert_false(mr_stage_ready(mill->stage, &why));
    assert_non_null(strstr(why, "has no part 1"));
}

static void
between_two_assignments_it_is_not_ready(void **state)
{
    struct mill *mill = *state;
    struct mr_err err = { 0 };
    const char *why = NULL;
    mill_topics(mill, 0);
    mill_start(mill);
    post_pins(mill, 4);
    mill_run(mill, 4);
    assert_true(mr_stage_ready(mill->stage, &why));
    mr_bus_memory_rebalance(mill->bus, MILL_GROUP, false);
    assert_int_equal(mill_step(mill, &err), 0); /* gives back */
    assert_false(mr_stage_ready(mill->stage, &why));
    assert_string_equal(why, "no assignment yet");
    assert_int_equal(mill_step(mill, &err), 0);
    assert_true(mr_stage_ready(mill->stage, &why));
}

/* The largest of all partitions. */
static void
a_batch_is_bounded_in_bytes_too(void **state)
{
    struct mill *mill = *state;
    struct mr_err err = { 0 };
    char *title = mr_alloc(40001);
    memset(title, 'x', 40000);
    char *pin = mr_printf("{\"index\":1,\"title\":\"%s\"}", title);
    mill->batch_max = 1000;
    mill->batch_wait_ms = 1000;
    mill->memory_max = 2 << 20;
    mill_topics(mill, 0);
    mill_start(mill);
    mill_post(mill, 1, NULL, "{\"index\":1}");
    mill_run(mill, 1);
    for (int i = 0; i < 10; i++)
        mill_post(mill, 0, NULL, pin);
    (void)mill_step(mill, &err);
    assert_int_equal(mill_counts(mill).in, 11); /* no second was waited for */
    free(pin);
    free(title);
}

static void
an_input_waits_until_its_outputs_are_there(void **state)
{
    struct mill *mill = *state;
    const char *why = NULL;
    struct mr_err err = { 0 };
    const struct mr_topic_spec raw = { MILL_RAW, MILL_PARTS, 1, NULL };
    assert_int_equal(mr_bus_create(mill->bus, &raw, 1, 1000, &err), 0);
    post_pins(mill, 4);
    mill_start(mill);
    for (int i = 0; i < 50; i++)
        (void)mill_step(mill, &err);
    assert_int_equal(mill_counts(mill).in, 0);
    assert_false(mr_stage_ready(mill->stage, &why));
    assert_non_null(strstr(why, "t.pin."));
    mill_topics(mill, 0);
    mill_run(mill, 4);
    assert_true(mr_stage_ready(mill->stage, &why));
    assert_all_once(mill, 4);
}

static void
two_of_one_name_do_not_both_work(void **state)
{
    struct mill *mill = *state;
    struct mill other = *mill;
    struct mr_err err = { 0 };
    mill_topics(mill, 0);
    mill_start(mill);
    post_pins(mill, 10);
    mill_run(mill, 10);
    other.stage = NULL;
    mill_start(&other);
    (void)mill_step(&other, &err); /* takes the name */
    post_pins(mill, 10);
    assert_int_equal(step_until_fatal(mill, &err), MR_E(FENCED));
    mill_crash(mill);
    mill_run(&other, 20);
    assert_all_once(&other, 20);
    mill_crash(&other);
}

/* As a broker does with a transaction that is older than its timeout. */
static void
a_writer_that_was_fenced_while_nobody_took_the_name_goes_on(void **state)
{
    struct mill *mill = *state;
    struct mr_err err = { 0 };
    struct mr_writer *fence = NULL;
    char id[128];
    (void)snprintf(id, sizeof(id), "%s.validator.%s", mill->pipeline, mill->instance);
    const struct mr_writer_options options = { .transactional_id = id,
                                               .linger_ms = -1,
                                               .queue_bytes_max = 1 << 20 };
    mill->batch_wait_ms = 1000; /* the transaction stays open */
    mill_topics(mill, 0);
    mill_start(mill);
    for (int i = 1; i <= 3; i++) {
        post_pins(mill, 10);
        for (int step = 0; step < 20; step++)
            (void)mill_step(mill, &err);
        assert_int_equal(mr_writer_open(mill->bus, &options, &fence, &err), 0);
        mr_writer_close(fence);
        mill_run(mill, 10L * i);
    }
    assert_all_once(mill, 30);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_call_may_fail_in_turn_and_each_record_is_there_once,
                                        mill_open, mill_close),
        cmocka_unit_test_setup_teardown(a_commit_whose_answer_was_lost_is_not_done_again, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(a_rebalance_in_the_middle_doubles_nothing, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(what_is_revoked_is_finished_first, mill_open, mill_close),
        cmocka_unit_test_setup_teardown(what_is_lost_is_aborted, mill_open, mill_close),
        cmocka_unit_test_setup_teardown(
            a_stage_that_cannot_rewind_hears_that_its_partitions_are_gone, mill_open, mill_close),
        cmocka_unit_test(what_is_polled_while_rewinding_fails_comes_again),
        cmocka_unit_test_setup_teardown(a_crash_at_any_step_loses_nothing, mill_open, mill_close),
        cmocka_unit_test_setup_teardown(offsets_of_one_topic_that_were_lost_end_the_process_too,
                                        mill_open, mill_close),
        cmocka_unit_test_setup_teardown(offsets_that_were_lost_end_the_process_instead_of_doubling,
                                        mill_open, mill_close),
        cmocka_unit_test_setup_teardown(
            records_that_left_the_log_unread_end_the_process_and_are_named, mill_open, mill_close),
        cmocka_unit_test_setup_teardown(a_log_that_begins_behind_0_is_not_taken_for_a_new_one,
                                        mill_open, mill_close),
        cmocka_unit_test_setup_teardown(offsets_of_somebody_else_end_the_process, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(the_first_commit_gives_every_partition_an_offset, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(
            the_start_of_an_idle_partition_is_committed_though_the_first_try_got_no_answer,
            mill_open, mill_close),
        cmocka_unit_test(a_crash_before_the_first_commit_does_not_look_like_lost_offsets),
        cmocka_unit_test_setup_teardown(
            an_end_behind_a_marker_is_committed_after_a_commit_without_answer, mill_open,
            mill_close),
        cmocka_unit_test_setup_teardown(a_tenant_without_outputs_does_not_stop_the_others,
                                        mill_open, mill_close),
        cmocka_unit_test_setup_teardown(a_partition_without_its_like_in_the_outputs_waits_alone,
                                        mill_open, mill_close),
        cmocka_unit_test_setup_teardown(between_two_assignments_it_is_not_ready, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(a_batch_is_bounded_in_bytes_too, mill_open, mill_close),
        cmocka_unit_test_setup_teardown(an_input_waits_until_its_outputs_are_there, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(two_of_one_name_do_not_both_work, mill_open, mill_close),
        cmocka_unit_test_setup_teardown(a_writer_that_was_fenced_while_nobody_took_the_name_goes_on,
                                        mill_open, mill_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
