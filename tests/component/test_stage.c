/*
 * The rules that the frame keeps, whatever fails: LAW 7, 11, 12, 13, and every call failing once.
 */
#include <stdlib.h>

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
    static const char *const calls[] = { "begin",        "produce", "commit",
                                         "commit-reply", "abort",   "poll" };
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
    validator_init(&mill->validator, mill->contracts, MILL_WINDOW, mill->metrics);
    struct mr_stage_options options = { .bus = mill->bus,
                                        .pipeline = "forgotten",
                                        .name = "validator",
                                        .instance = "one",
                                        .contracts = mill->contracts,
                                        .input = MR_TOPIC_RAW,
                                        .outputs = { MR_TOPIC_VALID, MR_TOPIC_DEAD },
                                        .batch_max = 100,
                                        .memory_max = 1 << 20,
                                        .handler = &validator_handler,
                                        .self = &mill->validator,
                                        .metrics = mill->metrics };
    assert_int_equal(mr_stage_open(&options, &mill->stage, &err), 0);
    mill->validator.stage = mill->stage;
    assert_int_equal(step_until_fatal(mill, &err), MR_E(IDENTITY));
    assert_non_null(strstr(err.text, "would repeat t.pin [0,"));
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

/* ---- LAW 13, readiness ---- */

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
        cmocka_unit_test_setup_teardown(a_crash_at_any_step_loses_nothing, mill_open, mill_close),
        cmocka_unit_test_setup_teardown(offsets_that_were_lost_end_the_process_instead_of_doubling,
                                        mill_open, mill_close),
        cmocka_unit_test_setup_teardown(
            records_that_left_the_log_unread_end_the_process_and_are_named, mill_open, mill_close),
        cmocka_unit_test_setup_teardown(a_log_that_begins_behind_0_is_not_taken_for_a_new_one,
                                        mill_open, mill_close),
        cmocka_unit_test_setup_teardown(the_first_commit_gives_every_partition_an_offset, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(an_input_waits_until_its_outputs_are_there, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(two_of_one_name_do_not_both_work, mill_open, mill_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
