#include "metrics/metrics.h"

#include <pthread.h>
#include <stdio.h>

#include "test.h"

static const struct mr_metric table[] = {
    { "t_events_total", MR_COUNTER, "tenant,outcome", "Events." },
    { "t_lag_records", MR_GAUGE, "", "Records behind." },
    { "t_lag_seconds", MR_GAUGE, "", "Age of the oldest." },
    { "t_busy_seconds_total", MR_COUNTER, "", "Time at work." },
    { "t_commit_seconds", MR_HISTOGRAM, "table", "Time of a commit." },
    { "t_plain_seconds", MR_HISTOGRAM, "", "Without labels." },
};

struct sheet {
    struct mr_metrics *metrics;
    struct mr_buf text;
};

static int
set_up(void **state)
{
    static struct sheet sheet;
    sheet.metrics = mr_metrics_open(table, MR_COUNT(table));
    mr_buf_init(&sheet.text, 8 << 20);
    *state = &sheet;
    return 0;
}

static int
tear_down(void **state)
{
    struct sheet *sheet = *state;
    mr_metrics_close(sheet->metrics);
    mr_buf_fini(&sheet->text);
    return 0;
}

static const char *
written(struct sheet *sheet)
{
    mr_buf_reset(&sheet->text);
    mr_metrics_write(sheet->metrics, &sheet->text);
    assert_false(sheet->text.failed);
    return sheet->text.data;
}

static struct mr_cell *
events(struct sheet *sheet, const char *tenant)
{
    const char *labels[] = { tenant, "good" };
    return mr_metrics_cell(sheet->metrics, "t_events_total", labels);
}

static void
a_counter_is_written_with_its_labels_help_and_type(void **state)
{
    mr_add(events(*state, "a"), 3);
    mr_add(events(*state, "b"), 4);
    mr_add(events(*state, "a"), 2);
    assert_non_null(strstr(written(*state), "# HELP t_events_total Events.\n"
                                            "# TYPE t_events_total counter\n"
                                            "t_events_total{tenant=\"a\",outcome=\"good\"} 5\n"
                                            "t_events_total{tenant=\"b\",outcome=\"good\"} 4\n"));
}

static void
label_values_are_escaped(void **state)
{
    mr_add(events(*state, "a\"b\\c\nd"), 1);
    assert_non_null(strstr(written(*state),
                           "\nt_events_total{tenant=\"a\\\"b\\\\c\\nd\",outcome=\"good\"} 1\n"));
}

static void
what_is_named_seconds_holds_microseconds(void **state)
{
    struct sheet *sheet = *state;
    mr_set(mr_metrics_cell(sheet->metrics, "t_lag_seconds", NULL), 1500001);
    mr_add(mr_metrics_cell(sheet->metrics, "t_busy_seconds_total", NULL), 7);
    mr_set(mr_metrics_cell(sheet->metrics, "t_lag_records", NULL), -12);
    const char *text = written(sheet);
    assert_non_null(strstr(text, "\nt_lag_seconds 1.500001\n"));
    assert_non_null(strstr(text, "\nt_busy_seconds_total 0.000007\n"));
    assert_non_null(strstr(text, "\nt_lag_records -12\n"));
    mr_set(mr_metrics_cell(sheet->metrics, "t_lag_seconds", NULL), -500000);
    assert_non_null(strstr(written(sheet), "\nt_lag_seconds -0.500000\n"));
}

static void
a_histogram_counts_what_is_at_or_below_each_bound(void **state)
{
    struct sheet *sheet = *state;
    const char *labels[] = { "x" };
    struct mr_cell *cell = mr_metrics_cell(sheet->metrics, "t_commit_seconds", labels);
    mr_observe_us(cell, 0);
    mr_observe_us(cell, 1000);
    mr_observe_us(cell, 1001);
    mr_observe_us(cell, 60000000);
    mr_observe_us(cell, 60000001);
    const char *text = written(sheet);
    assert_non_null(strstr(text, "# TYPE t_commit_seconds histogram\n"));
    assert_non_null(strstr(text, "\nt_commit_seconds_bucket{table=\"x\",le=\"0.001\"} 2\n"));
    assert_non_null(strstr(text, "\nt_commit_seconds_bucket{table=\"x\",le=\"0.0025\"} 3\n"));
    assert_non_null(strstr(text, "\nt_commit_seconds_bucket{table=\"x\",le=\"25\"} 3\n"));
    assert_non_null(strstr(text, "\nt_commit_seconds_bucket{table=\"x\",le=\"60\"} 4\n"));
    assert_non_null(strstr(text, "\nt_commit_seconds_bucket{table=\"x\",le=\"+Inf\"} 5\n"));
    assert_non_null(strstr(text, "\nt_commit_seconds_sum{table=\"x\"} 120.002002\n"));
    assert_non_null(strstr(text, "\nt_commit_seconds_count{table=\"x\"} 5\n"));
}

static void
a_histogram_without_labels_still_has_its_bounds(void **state)
{
    struct sheet *sheet = *state;
    mr_observe_us(mr_metrics_cell(sheet->metrics, "t_plain_seconds", NULL), 1);
    const char *text = written(sheet);
    assert_non_null(strstr(text, "\nt_plain_seconds_bucket{le=\"0.001\"} 1\n"));
    assert_non_null(strstr(text, "\nt_plain_seconds_sum 0.000001\n"));
    assert_non_null(strstr(text, "\nt_plain_seconds_count 1\n"));
}

static void
a_hidden_cell_is_not_written_until_it_is_asked_for_again(void **state)
{
    struct sheet *sheet = *state;
    struct mr_cell *cell = mr_metrics_cell(sheet->metrics, "t_lag_records", NULL);
    mr_set(cell, 9);
    mr_metrics_hide(cell);
    assert_null(strstr(written(sheet), "\nt_lag_records 9\n"));
    assert_ptr_equal(mr_metrics_cell(sheet->metrics, "t_lag_records", NULL), cell);
    assert_non_null(strstr(written(sheet), "\nt_lag_records 9\n"));
}

static void
beyond_the_maximum_one_cell_serves_the_others_and_the_first_stay(void **state)
{
    struct sheet *sheet = *state;
    struct mr_cell *first = events(sheet, "0"), *cell = NULL;
    char tenant[16];
    for (int i = 0; i < MR_METRIC_CELLS_MAX - 1; i++) {
        (void)snprintf(tenant, sizeof(tenant), "%d", i);
        cell = events(sheet, tenant);
    }
    struct mr_cell *other = events(sheet, "one more");
    assert_ptr_not_equal(other, cell);
    assert_ptr_equal(events(sheet, "and one more"), other);
    assert_ptr_equal(events(sheet, tenant), cell);
    assert_ptr_equal(events(sheet, "0"), first);
    mr_add(other, 2);
    assert_non_null(
        strstr(written(sheet), "\nt_events_total{tenant=\"other\",outcome=\"other\"} 2\n"));
}

static void *
add_many(void *cell)
{
    for (int i = 0; i < 100000; i++)
        mr_add(cell, 1);
    return NULL;
}

static void
threads_can_add_to_one_cell(void **state)
{
    pthread_t threads[4];
    struct mr_cell *cell = events(*state, "a");
    for (size_t i = 0; i < MR_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, cell), 0);
    for (size_t i = 0; i < MR_COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_non_null(strstr(written(*state), "{tenant=\"a\",outcome=\"good\"} 400000\n"));
}

static void
the_reference_has_a_row_for_each_metric(void **state)
{
    struct sheet *sheet = *state;
    mr_metrics_reference(table, MR_COUNT(table), &sheet->text);
    assert_non_null(
        strstr(sheet->text.data, "\n| `t_events_total` | counter | tenant,outcome | Events. |\n"));
    assert_non_null(strstr(sheet->text.data,
                           "\n| `t_commit_seconds` | histogram | table | Time of a commit. |\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_counter_is_written_with_its_labels_help_and_type),
        TEST(label_values_are_escaped),
        TEST(what_is_named_seconds_holds_microseconds),
        TEST(a_histogram_counts_what_is_at_or_below_each_bound),
        TEST(a_histogram_without_labels_still_has_its_bounds),
        TEST(a_hidden_cell_is_not_written_until_it_is_asked_for_again),
        TEST(beyond_the_maximum_one_cell_serves_the_others_and_the_first_stay),
        TEST(threads_can_add_to_one_cell),
        TEST(the_reference_has_a_row_for_each_metric),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
