#include "clock/clock.h"

#include <limits.h>

#include "test.h"

static void
a_held_clock_moves_only_when_cranked(void **state)
{
    (void)state;
    mr_clock_hold(5000, 1700000000000000);
    assert_int_equal(mr_now_ms(), 5000);
    assert_int_equal(mr_wall_us(), 1700000000000000);
    mr_clock_crank(250);
    assert_int_equal(mr_now_us(), 5250000);
    assert_int_equal(mr_wall_ms(), 1700000000250);
    mr_clock_release();
    assert_true(mr_wall_us() > 1700000000250000);
}

static void
the_monotonic_clock_does_not_go_back(void **state)
{
    (void)state;
    int64_t before = mr_now_us();
    for (int i = 0; i < 1000; i++) {
        int64_t now = mr_now_us();
        assert_true(now >= before);
        before = now;
    }
}

static void
what_is_left_stays_between_nothing_and_the_most(void **state)
{
    (void)state;
    mr_clock_hold(1000, 0);
    assert_int_equal(mr_left_ms(1200, 1000), 200);
    assert_int_equal(mr_left_ms(1200, 100), 100);
    assert_int_equal(mr_left_ms(1000, 100), 0);
    assert_int_equal(mr_left_ms(999, 100), 0);
    mr_clock_release();
}

static void
a_backoff_grows_from_a_tenth_of_a_second_to_five_and_is_not_always_the_same(void **state)
{
    static const struct {
        unsigned attempt;
        int64_t least_ms, most_ms;
    } cases[] = { { 0, 100, 200 },    { 1, 200, 400 },         { 2, 400, 800 },
                  { 3, 800, 1600 },   { 4, 1600, 3200 },       { 5, 2500, 5000 },
                  { 6, 2500, 5000 },  { 7, 2500, 5000 },       { 31, 2500, 5000 },
                  { 32, 2500, 5000 }, { UINT_MAX, 2500, 5000 } };
    (void)state;
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        int64_t first_ms = mr_backoff_ms(cases[i].attempt), differing = 0;
        for (int try = 0; try < 200; try++) {
            int64_t ms = mr_backoff_ms(cases[i].attempt);
            assert_in_range(ms, cases[i].least_ms, cases[i].most_ms);
            differing += ms != first_ms;
        }
        assert_true(differing > 100);
    }
}

static void
a_time_is_written_in_utc_with_microseconds(void **state)
{
    static const struct {
        int64_t wall_us;
        const char *text;
    } cases[] = { { 0, "1970-01-01T00:00:00.000000Z" },
                  { 1508426022123456, "2017-10-19T15:13:42.123456Z" },
                  { 951868799999999, "2000-02-29T23:59:59.999999Z" },
                  { -1, "1969-12-31T23:59:59.999999Z" },
                  { -1000000, "1969-12-31T23:59:59.000000Z" },
                  { 253402300799999999, "9999-12-31T23:59:59.999999Z" } };
    (void)state;
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        char text[MR_TIME_TEXT];
        mr_time_text(cases[i].wall_us, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void
days_are_counted_from_1970_in_both_directions(void **state)
{
    static const struct {
        int year, month, day;
        int64_t days;
    } cases[] = { { 1970, 1, 1, 0 },       { 1969, 12, 31, -1 },     { 2000, 2, 29, 11016 },
                  { 2017, 10, 19, 17458 }, { 1600, 2, 29, -135081 }, { 1, 1, 1, -719162 },
                  { 0, 1, 1, -719528 },    { -1, 12, 31, -719529 },  { 9999, 12, 31, 2932896 } };
    (void)state;
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        int64_t days;
        assert_true(mr_days_from_civil(cases[i].year, cases[i].month, cases[i].day, &days));
        assert_int_equal(days, cases[i].days);
    }
}

static void
days_that_do_not_exist_are_refused(void **state)
{
    static const int cases[][3] = { { 2001, 2, 29 }, { 1900, 2, 29 }, { 2000, 2, 30 },
                                    { 2000, 4, 31 }, { 2000, 0, 1 },  { 2000, 13, 1 },
                                    { 2000, 1, 0 },  { 2000, 1, 32 }, { 2000, 12, -1 } };
    (void)state;
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        int64_t days = 42;
        assert_false(mr_days_from_civil(cases[i][0], cases[i][1], cases[i][2], &days));
        assert_int_equal(days, 42);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_held_clock_moves_only_when_cranked),
        cmocka_unit_test(the_monotonic_clock_does_not_go_back),
        cmocka_unit_test(what_is_left_stays_between_nothing_and_the_most),
        cmocka_unit_test(
            a_backoff_grows_from_a_tenth_of_a_second_to_five_and_is_not_always_the_same),
        cmocka_unit_test(a_time_is_written_in_utc_with_microseconds),
        cmocka_unit_test(days_are_counted_from_1970_in_both_directions),
        cmocka_unit_test(days_that_do_not_exist_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
