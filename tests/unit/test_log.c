#include "log/log.h"

#include "clock/clock.h"
#include "test.h"

static struct mr_buf lines;

static int
set_up(void **state)
{
    (void)state;
    mr_buf_init(&lines, 1 << 20);
    mr_log_open("validator", MR_LOG_INFO);
    mr_log_capture(&lines);
    mr_clock_hold(0, 1767323045678901);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    mr_clock_release();
    mr_log_capture(NULL);
    mr_buf_fini(&lines);
    return 0;
}

static void
a_line_has_time_level_process_event_and_the_pairs(void **state)
{
    (void)state;
    mr_log(MR_LOG_INFO, "assigned", " topic=%s part=%d", "a.pin", 0);
    assert_string_equal(lines.data, "time=2026-01-02T03:04:05.678Z level=info process=validator "
                                    "event=assigned topic=a.pin part=0\n");
}

static void
lines_below_the_level_are_not_written(void **state)
{
    (void)state;
    mr_log(MR_LOG_DEBUG, "batch", " records=%d", 7);
    mr_log_err(MR_LOG_DEBUG, "batch", &(struct mr_err){ .code = MR_E(IO) }, "");
    assert_int_equal(lines.size, 0);
    mr_log_open("validator", MR_LOG_DEBUG);
    mr_log(MR_LOG_DEBUG, "batch", " records=%d", 7);
    assert_non_null(strstr(lines.data, "level=debug"));
}

static void
an_error_adds_its_code_and_its_reason(void **state)
{
    struct mr_err err = { 0 };
    (void)state;
    (void)mr_fail(&err, MR_E(NOT_FOUND), MR_FATAL, "no \"x\"\nin y");
    mr_log_err(MR_LOG_ERROR, "lost", &err, " try=%d", 3);
    assert_non_null(strstr(lines.data, "level=error process=validator event=lost try=3 "
                                       "code=NOT_FOUND reason=\"no \\\"x\\\"\\nin y\"\n"));
}

static void
a_quoted_value_stays_on_one_line_and_closes_wherever_it_is_cut(void **state)
{
    char text[400];
    (void)state;
    assert_string_equal(mr_log_quote(MR_SLICE("a\"b\\c\n\x01")), "\"a\\\"b\\\\c\\n\\u0001\"");
    for (size_t size = 250; size < sizeof(text); size++) {
        memset(text, '"', size);
        const char *quoted = mr_log_quote(mr_slice(text, size));
        size_t kept = size < 256 ? size : 256;
        assert_int_equal(strlen(quoted), 2 * kept + 2);
        assert_string_equal(quoted + 2 * kept, "\"\"");
    }
}

static void
a_quoted_value_is_not_cut_inside_a_character(void **state)
{
    char text[258];
    (void)state;
    memset(text, 'x', sizeof(text));
    memcpy(text + 254, "\xe2\x82\xac", 3); /* bytes 254, 255 and 256 */
    const char *quoted = mr_log_quote(mr_slice(text, sizeof(text)));
    assert_int_equal(strlen(quoted), 1 + 254 + 1);
    assert_int_equal(quoted[254], 'x');
}

static void
eight_quoted_values_can_stand_in_one_line(void **state)
{
    const char *quoted[8];
    (void)state;
    for (int i = 0; i < 8; i++)
        quoted[i] = mr_log_quote(mr_slice(&"abcdefgh"[i], 1));
    for (int i = 0; i < 8; i++)
        assert_int_equal(quoted[i][1], "abcdefgh"[i]);
}

static void
a_gate_opens_once_an_interval(void **state)
{
    struct mr_log_gate gate = { 0 };
    (void)state;
    mr_clock_hold(1000, 0);
    assert_true(mr_log_due(&gate, 500));
    mr_clock_crank(499);
    assert_false(mr_log_due(&gate, 500));
    mr_clock_crank(1);
    assert_true(mr_log_due(&gate, 500));
    assert_false(mr_log_due(&gate, 500));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_has_time_level_process_event_and_the_pairs),
        TEST(lines_below_the_level_are_not_written),
        TEST(an_error_adds_its_code_and_its_reason),
        TEST(a_quoted_value_stays_on_one_line_and_closes_wherever_it_is_cut),
        TEST(a_quoted_value_is_not_cut_inside_a_character),
        TEST(eight_quoted_values_can_stand_in_one_line),
        TEST(a_gate_opens_once_an_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
