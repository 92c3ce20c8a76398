/*
 * What the archiver tells of itself: lag with known delays, and works that keep failing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "archiver_fixture.h"
#include "archiver_tests.h"
#include "bus/memory.h"
#include "clock/clock.h"
#include "private.h"
#include "test.h"

enum { SECOND = 1000 };

/* A record of a raw topic whose time is age_s seconds ago. */
static void
put_old(struct bench *b, const char *topic, int age_s)
{
    struct mr_err err = { 0 };
    const struct mr_message message = { .topic = topic,
                                        .partition = 0,
                                        .value = mr_slice_text("1"),
                                        .time_ms = mr_wall_ms() - (int64_t)age_s * SECOND };
    assert_int_equal(mr_writer_produce(b->writer, &message, &err), 0);
    assert_int_equal(mr_writer_flush(b->writer, FIXTURE_WAIT_MS, &err), 0);
}

/* As the metrics say, behind the next look. */
static void
assert_lag(struct bench *b, struct archive *archive, const char *topic, int64_t records,
           int64_t seconds)
{
    const char *labels[] = { "archiver", topic, "0" };
    archive->survey_ms = 0;
    bench_step(archive);
    assert_int_equal(bench_metric(b, "millrace_lag_records", labels), records);
    assert_int_equal(bench_metric(b, "millrace_lag_seconds", labels) / 1000000, seconds);
}

static void
lag_is_the_age_of_the_oldest_record_that_is_not_durable(void **state)
{
    struct bench *b = *state;
    b->raw.age_ms = 3600 * SECOND;
    bench_topic(b, "t.pin", 1);
    mr_clock_hold(mr_now_ms(), mr_wall_us());
    struct archive *archive = bench_archive(b, NULL);
    bench_read(archive);
    mr_clock_crank(60 * SECOND);
    assert_lag(b, archive, "t.pin", 0, 0); /* idle, however long */
    put_old(b, "t.pin", 120);
    put_old(b, "t.pin", 5);
    bench_read(archive);
    assert_lag(b, archive, "t.pin", 2, 120);
    mr_clock_crank(10 * SECOND);
    assert_lag(b, archive, "t.pin", 2, 130);
    bench_flush(archive);
    assert_lag(b, archive, "t.pin", 0, 0);
    archive_close(archive);
    mr_clock_release();
}

static void
lag_is_as_old_after_a_rebalance_and_grows_while_the_store_is_away(void **state)
{
    struct bench *b = *state;
    b->raw.age_ms = 3600 * SECOND;
    bench_topic(b, "t.pin", 1);
    bench_store_away("t.pin+0+", 1u << 30);
    mr_clock_hold(mr_now_ms(), mr_wall_us());
    struct archive *archive = bench_archive(b, NULL);
    put_old(b, "t.pin", 50);
    bench_read(archive);
    assert_lag(b, archive, "t.pin", 1, 50);
    uint64_t before = archive->generation;
    mr_bus_memory_rebalance(b->bus, "millrace.archiver", true);
    for (int i = 0; archive->generation == before || archive->phase != PHASE_FLOWING; i++) {
        bench_step(archive);
        assert_true(i < 10000);
    }
    bench_read(archive);
    assert_lag(b, archive, "t.pin", 1, 50);
    (void)archive_flush(archive);
    mr_clock_crank(30 * SECOND);
    assert_lag(b, archive, "t.pin", 1, 80);
    bench_store_away(NULL, 0);
    for (int i = 0; archive->parts[0].held > 0; i++) {
        mr_clock_crank(SECOND); /* to its next try */
        bench_step(archive);
        assert_true(i < 10000);
    }
    assert_lag(b, archive, "t.pin", 0, 0);
    archive_close(archive);
    mr_clock_release();
}

static void
what_keeps_failing_is_told_by_every_way_though_other_works_are_good(void **state)
{
    struct bench *b = *state;
    char why[256];
    MR_CLEANUP(mr_buf_fini) struct mr_buf status;
    mr_buf_init(&status, 1 << 20);
    b->raw.records = 1;
    bench_topic(b, "t.geo", 1);
    bench_topic(b, "t.pin", 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_read(archive);
    bench_store_away("t.geo+0+", 1u << 30);
    bench_put_text(b, "t.geo", 0, "1");
    int64_t deadline_ms = mr_now_ms() + FIXTURE_WAIT_MS;
    while (bench_metric(b, "millrace_archiver_failures_total", NULL) < 2) {
        bench_step(archive);
        assert_true(mr_now_ms() < deadline_ms);
    }
    bench_put_text(b, "t.pin", 0, "2");
    while (bench_metric(b, "millrace_archiver_objects_total", NULL) < 1) {
        bench_step(archive);
        assert_true(mr_now_ms() < deadline_ms);
    }
    assert_false(archive_ready(archive, why, sizeof(why)));
    assert_non_null(strstr(why, "the store is away"));
    archive_status(archive, &status);
    mr_buf_put(&status, "", 1);
    assert_non_null(strstr(status.data, "\"failing_why\":\"raw object: "));
    assert_null(strstr(status.data, "\"failing_ms\":0,"));
    bench_store_away(NULL, 0);
    bench_flush(archive);
    assert_true(archive_ready(archive, why, sizeof(why)));
    archive_close(archive);
}

int
archiver_told_tests(void)
{
#define ON_BENCH(test) cmocka_unit_test_setup_teardown(test, bench_open, bench_close)
    const struct CMUnitTest tests[] = {
        ON_BENCH(lag_is_the_age_of_the_oldest_record_that_is_not_durable),
        ON_BENCH(lag_is_as_old_after_a_rebalance_and_grows_while_the_store_is_away),
        ON_BENCH(what_keeps_failing_is_told_by_every_way_though_other_works_are_good),
    };
    return cmocka_run_group_tests_name("archiver: told", tests, NULL, NULL);
#undef ON_BENCH
}
