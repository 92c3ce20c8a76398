/*
 * What a stage tells of itself: lag, readiness, and commits that fail.
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

static int64_t
lag_seconds(struct mill *mill)
{
    static const char mark[] = "\"lag_seconds\":";
    MR_CLEANUP(mr_buf_fini) struct mr_buf json;
    int64_t most = -1;
    mr_buf_init(&json, 1 << 20);
    mr_stage_status(mill->stage, &json);
    for (const char *at = json.data; (at = strstr(at, mark)) != NULL; at += strlen(mark)) {
        int64_t one = atoll(at + strlen(mark));
        most = one > most ? one : most;
    }
    return most;
}

static void
a_record_that_has_just_come_is_not_as_old_as_the_one_before_it(void **state)
{
    struct mill *mill = *state;
    struct mr_err err = { 0 };
    mill->batch_max = 1;
    mill_topics(mill, 0);
    mill_start(mill);
    post_pins(mill, 2);
    mill_run(mill, 2);
    for (int i = 0; i < 5; i++)
        (void)mill_step(mill, &err);
    mr_clock_hold(mr_now_ms(), mr_wall_us());
    mr_clock_crank(3600 * 1000);
    (void)mill_step(mill, &err);
    assert_int_equal(lag_seconds(mill), 0);
    mr_clock_crank(2000);
    post_pins(mill, 2);
    mr_clock_crank(2000);
    (void)mill_step(mill, &err); /* takes one of the two */
    int64_t seconds = lag_seconds(mill);
    mr_clock_release();
    assert_in_range(seconds, 1, 10);
}

static void
a_partition_that_is_held_shows_how_long_it_waits(void **state)
{
    struct mill *mill = *state;
    struct mr_err err = { 0 };
    const struct mr_topic_spec raw = { MILL_RAW, MILL_PARTS, 1, NULL };
    mr_clock_hold(mr_now_ms(), mr_wall_us());
    assert_int_equal(mr_bus_create(mill->bus, &raw, 1, 1000, &err), 0);
    post_pins(mill, 4);
    mill_start(mill);
    for (int i = 0; i < 30; i++) {
        mr_clock_crank(1000);
        (void)mill_step(mill, &err);
    }
    int64_t seconds = lag_seconds(mill);
    mr_clock_release();
    assert_in_range(seconds, 20, 40);
}

/* The greatest value that a metric has under any labels. */
static double
metric(const struct mill *mill, const char *name)
{
    double most = -1, value;
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, 1 << 20);
    mr_metrics_write(mill->metrics, &text);
    mr_buf_put(&text, "", 1);
    for (char *at = text.data; (at = strstr(at, name)) != NULL; at += strlen(name))
        if (at > (char *)text.data && at[-1] == '\n' && sscanf(strchr(at, ' '), "%lf", &value) == 1)
            most = value > most ? value : most;
    return most;
}

static void
commits_that_keep_failing_are_told_by_every_way_until_one_is_good(void **state)
{
    enum { FAILURES = 5, SECONDS = 30 };
    struct mill *mill = *state;
    const char *why = NULL;
    struct mr_err err = { 0 }, said = { 0 };
    const struct mr_err refused = { MR_E(ABORTED), MR_RETRY, "no replicas" };
    MR_CLEANUP(mr_buf_fini) struct mr_buf status;
    mr_buf_init(&status, 1 << 20);
    mill_topics(mill, 0);
    mill_start(mill);
    post_pins(mill, 4);
    mill_run(mill, 4);
    mr_clock_hold(mr_now_ms(), mr_wall_us());
    mr_bus_memory_fault(mill->bus, "commit", 0, FAILURES, &refused);
    post_pins(mill, 4);
    for (int i = 0; mill_counts(mill).in == 4 && i < 1000; i++) {
        if (mill_step(mill, &err) < 0)
            said = err;
        if (metric(mill, "millrace_stage_commit_failures_total{") == 0)
            continue;
        /* Also behind a step that found nothing to do. */
        if (mill_counts(mill).in == 4)
            assert_false(mr_stage_ready(mill->stage, &why));
        if (metric(mill, "millrace_stage_commit_failures_total{") == FAILURES && status.size == 0) {
            mr_clock_crank(SECONDS * 1000);
            mr_stage_status(mill->stage, &status);
        }
        mr_clock_crank(50);
    }
    mr_clock_release();
    mr_buf_put(&status, "", 1);
    assert_non_null(strstr(said.text, "5 commits of validator have failed in a row"));
    assert_non_null(strstr(said.text, "no replicas"));
    assert_non_null(strstr(status.data, "\"commits_failing\":5"));
    assert_non_null(strstr(status.data, "no replicas"));
    assert_true(metric(mill, "millrace_stage_commit_failures_total{") == FAILURES);
    mill_run(mill, 8);
    (void)mill_step(mill, &err);
    assert_true(mr_stage_ready(mill->stage, &why));
    assert_int_equal(mill_counts(mill).good, 8);
    mill_assert_origins_once(mill);
}

static void
a_stage_whose_steps_fail_shows_a_lag_that_grows_with_the_clock(void **state)
{
    enum { SECONDS = 60 };
    struct mill *mill = *state;
    struct mr_err err = { 0 };
    const struct mr_err away = { MR_E(UNAVAILABLE), MR_RETRY, "away" };
    mill_topics(mill, 0);
    mill_start(mill);
    post_pins(mill, 4);
    mill_run(mill, 4);
    mr_clock_hold(mr_now_ms(), mr_wall_us());
    post_pins(mill, 4);
    mr_bus_memory_fault(mill->bus, "commit", 0, 1000, &away);
    for (int i = 0; i < SECONDS; i++) {
        (void)mill_step(mill, &err);
        mr_clock_crank(1000);
    }
    (void)mill_step(mill, &err);
    double seconds = metric(mill, "millrace_lag_seconds{");
    double failing = metric(mill, "millrace_stage_commit_failing_seconds{");
    mr_clock_release();
    assert_in_range((int64_t)seconds, SECONDS - 3, SECONDS + 3);
    assert_in_range((int64_t)failing, SECONDS - 3, SECONDS + 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_record_that_has_just_come_is_not_as_old_as_the_one_before_it, mill_open, mill_close),
        cmocka_unit_test_setup_teardown(a_partition_that_is_held_shows_how_long_it_waits, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(
            commits_that_keep_failing_are_told_by_every_way_until_one_is_good, mill_open,
            mill_close),
        cmocka_unit_test_setup_teardown(
            a_stage_whose_steps_fail_shows_a_lag_that_grows_with_the_clock, mill_open, mill_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
