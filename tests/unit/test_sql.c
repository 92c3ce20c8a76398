#include "sql/sql.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "test.h"

enum { IND, TITLE, SCORE, AT, POINT, FLAG, RAW, FIELDS };

static struct mr_field fields[FIELDS] = {
    [IND] = { "ind", MR_TYPE_LONG, false },       [TITLE] = { "title", MR_TYPE_STRING, false },
    [SCORE] = { "score", MR_TYPE_DOUBLE, false }, [AT] = { "at", MR_TYPE_TIMESTAMP, false },
    [POINT] = { "point", MR_TYPE_DOUBLE, true },  [FLAG] = { "flag", MR_TYPE_BOOL, false },
    [RAW] = { "raw", MR_TYPE_BINARY, false },
};
static const struct mr_schema schema = { fields, FIELDS };
static atomic_bool interrupted;

struct fixture {
    struct mr_sql *sql;
    struct mr_columns *batch;
    char dir[64];
};

/* Row n: every seventh value of a column is NULL. */
static void
put_row(struct mr_columns *to, int n)
{
    char title[80];
    int length = snprintf(title, sizeof(title), "%d %.*s", n, n % 60,
                          "a title that is longer than twelve bytes, now and then, or not");
    mr_columns_int(to, IND, n);
    if (n % 7 != 1)
        mr_columns_text(to, TITLE, mr_slice(title, (size_t)length));
    if (n % 7 != 2)
        mr_columns_double(to, SCORE, n * 0.5);
    if (n % 7 != 3)
        mr_columns_int(to, AT, n * INT64_C(1000001));
    if (n % 7 != 4) {
        struct mr_column *point = mr_columns_list(to, POINT);
        for (int i = 0; i < n % 4; i++)
            mr_column_put_double(point, n + i);
    }
    if (n % 7 != 5)
        mr_columns_bool(to, FLAG, n % 2 == 1);
    if (n % 7 != 6)
        mr_columns_text(to, RAW, mr_slice("\0\xff longer than twelve", (size_t)n % 20));
    mr_columns_end_row(to);
}

static int
set_up(void **state)
{
    struct fixture *f = mr_alloc(sizeof(*f));
    struct mr_err err = { 0 };
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/millrace-sql-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    const char *dirs[] = { f->dir, NULL };
    assert_int_equal(mr_sql_open(&(struct mr_sql_options){ .dirs = dirs }, &f->sql, &err), 0);
    assert_int_equal(mr_sql_relation(f->sql, "pin", &schema, &err), 0);
    f->batch = mr_columns_new(&schema);
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];
    mr_sql_close(f->sql);
    mr_columns_free(f->batch);
    (void)snprintf(command, sizeof(command), "rm -r %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void
bind(struct fixture *f, int rows)
{
    struct mr_err err = { 0 };
    mr_columns_reset(f->batch);
    for (int n = 0; n < rows; n++)
        put_row(f->batch, n);
    const struct mr_columns *batches[] = { f->batch };
    assert_int_equal(mr_sql_bind(f->sql, "pin", batches, 1, &err), 0);
}

/* All rows of a statement; the caller frees them. */
static struct mr_columns *
run(struct mr_statement *statement)
{
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_result_closep) struct mr_result *result = NULL;
    struct mr_columns *rows = mr_columns_new(mr_statement_schema(statement));
    if (mr_statement_run(statement, &result, &err) != 0)
        fail_msg("%s", err.text);
    int count;
    while ((count = mr_result_next(result, rows, &err)) > 0)
        continue;
    if (count < 0)
        fail_msg("%s", err.text);
    return rows;
}

static struct mr_columns *
query(struct fixture *f, const char *text)
{
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_statement_closep) struct mr_statement *statement = NULL;
    if (mr_sql_prepare(f->sql, text, &statement, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    return run(statement);
}

static void
assert_same(const struct mr_columns *a, const struct mr_columns *b)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf x, y;
    mr_buf_init(&x, 1 << 28);
    mr_buf_init(&y, 1 << 28);
    mr_columns_write(a, &x);
    mr_columns_write(b, &y);
    assert_int_equal(x.size, y.size);
    assert_memory_equal(x.data, y.data, x.size);
}

static int64_t
one_int(struct fixture *f, const char *text)
{
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = query(f, text);
    assert_int_equal(rows->rows, 1);
    return mr_column_int(&rows->columns[0], 0);
}

static void
rows_come_back_as_they_went_in(void **state)
{
    struct fixture *f = *state;
    static const int sizes[] = { 0, 1, 2047, 2048, 2049, 10000 };
    for (size_t i = 0; i < MR_COUNT(sizes); i++) {
        bind(f, sizes[i]);
        MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = query(f, "SELECT * FROM pin");
        assert_same(rows, f->batch);
    }
}

static void
batches_are_read_in_their_order(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    const struct mr_columns *batches[40];
    MR_CLEANUP(mr_columns_freep) struct mr_columns *all = mr_columns_new(&schema);
    for (int b = 0; b < 40; b++) {
        struct mr_columns *batch = mr_columns_new(&schema);
        for (int n = 0; n < b * 7; n++) {
            put_row(batch, b * 1000 + n);
            put_row(all, b * 1000 + n);
        }
        batches[b] = batch;
    }
    assert_int_equal(mr_sql_bind(f->sql, "pin", batches, 40, &err), 0);
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = query(f, "FROM pin");
    assert_same(rows, all);
    for (int b = 0; b < 40; b++)
        mr_columns_free((struct mr_columns *)(uintptr_t)batches[b]);
}

static void
a_prepared_statement_sees_the_batches_bound_last(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_statement_closep) struct mr_statement *statement = NULL;
    assert_int_equal(mr_sql_prepare(f->sql, "SELECT count(*), max(ind) FROM pin", &statement, &err),
                     0);
    for (int n = 1; n < 200; n += 37) {
        bind(f, n);
        MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = run(statement);
        assert_int_equal(mr_column_int(&rows->columns[0], 0), n);
        assert_int_equal(mr_column_int(&rows->columns[1], 0), n - 1);
    }
    assert_int_equal(mr_sql_bind(f->sql, "pin", NULL, 0, &err), 0);
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = run(statement);
    assert_int_equal(mr_column_int(&rows->columns[0], 0), 0);
    assert_true(mr_column_is_null(&rows->columns[1], 0));
}

static void
a_relation_changes_its_schema_when_declared_anew(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    struct mr_schema less = { fields, TITLE + 1 };
    MR_CLEANUP(mr_columns_freep) struct mr_columns *batch = mr_columns_new(&less);
    mr_columns_int(batch, IND, 5);
    mr_columns_end_row(batch);
    assert_int_equal(mr_sql_relation(f->sql, "pin", &less, &err), 0);
    const struct mr_columns *batches[] = { batch };
    assert_int_equal(mr_sql_bind(f->sql, "pin", batches, 1, &err), 0);
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = query(f, "FROM pin");
    assert_same(rows, batch);
    assert_int_equal(mr_sql_bind(f->sql, "geo", batches, 1, &err), MR_E(NOT_FOUND));
}

static void
other_types_become_ours(void **state)
{
    struct fixture *f = *state;
    MR_CLEANUP(mr_columns_freep)
    struct mr_columns *rows = query(
        f, "SELECT 3::TINYINT a, 4000000000::UINTEGER b, 12::DECIMAL(18,0) c, 1.25::DECIMAL(9,2) d,"
           " sum(x) e, DATE '1970-01-02' f, TIMESTAMPTZ '1970-01-01 02:00:00+02' g,"
           " UUID 'f47ac10b-58cc-4372-a567-0e02b2c3d479' h, {'k': 1} i, [1::TINYINT, NULL] j,"
           " [[1]] k, 1 AS \"a\", NULL l FROM range(3) t(x); ");
    const struct mr_column *at = rows->columns;
    static const enum mr_type types[] = { MR_TYPE_INTEGER,   MR_TYPE_LONG,   MR_TYPE_LONG,
                                          MR_TYPE_DOUBLE,    MR_TYPE_DOUBLE, MR_TYPE_TIMESTAMP,
                                          MR_TYPE_TIMESTAMP, MR_TYPE_STRING, MR_TYPE_STRING,
                                          MR_TYPE_INTEGER,   MR_TYPE_STRING, MR_TYPE_INTEGER };
    for (size_t c = 0; c < MR_COUNT(types); c++)
        assert_int_equal(at[c].field.type, types[c]);
    assert_true(mr_column_int(&at[1], 0) == 4000000000);
    assert_int_equal(mr_column_int(&at[2], 0), 12);
    assert_true(mr_column_double(&at[3], 0) == 1.25);
    assert_true(mr_column_double(&at[4], 0) == 3);
    assert_true(mr_column_int(&at[5], 0) == INT64_C(86400000000));
    assert_int_equal(mr_column_int(&at[6], 0), 0);
    assert_true(
        mr_slice_is_text(mr_column_text(&at[7], 0), "f47ac10b-58cc-4372-a567-0e02b2c3d479"));
    assert_true(mr_slice_is_text(mr_column_text(&at[8], 0), "{'k': 1}"));
    assert_true(at[9].field.is_list);
    assert_int_equal(mr_column_int(at[9].child, 0), 3 - 2);
    assert_true(mr_column_is_null(at[9].child, 1));
    assert_true(mr_slice_is_text(mr_column_text(&at[10], 0), "[[1]]"));
    assert_string_equal(at[11].field.name, "a");
    assert_true(mr_column_is_null(&at[12], 0));
}

static void
a_failing_row_fails_the_statement_with_the_engines_words(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_statement_closep) struct mr_statement *statement = NULL;
    MR_CLEANUP(mr_result_closep) struct mr_result *result = NULL;
    bind(f, 5000);
    assert_int_equal(mr_sql_prepare(f->sql,
                                    "SELECT CASE WHEN ind = 4998 THEN CAST(title AS BIGINT) END AS"
                                    " x FROM pin",
                                    &statement, &err),
                     0);
    MR_CLEANUP(mr_columns_freep)
    struct mr_columns *rows = mr_columns_new(mr_statement_schema(statement));
    int code = mr_statement_run(statement, &result, &err);
    while (code >= 0 && (code = mr_result_next(result, rows, &err)) > 0)
        continue;
    assert_int_equal(code, MR_E(INVALID));
    assert_non_null(strstr(err.text, "Could not convert string '4998"));
    assert_null(strchr(err.text, '\n'));

    /* And the instance goes on. */
    mr_result_close(MR_TAKE(result));
    assert_int_equal(one_int(f, "SELECT count(*) FROM pin"), 5000);
}

static void
a_statement_that_needs_too_much_memory_ends_alone(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_sql_closep) struct mr_sql *small = NULL;
    MR_CLEANUP(mr_statement_closep) struct mr_statement *statement = NULL;
    MR_CLEANUP(mr_result_closep) struct mr_result *result = NULL;
    struct mr_sql_options options = { .memory_max = 8 << 20 };
    (void)f;
    assert_int_equal(mr_sql_open(&options, &small, &err), 0);
    assert_int_equal(mr_sql_prepare(small, "SELECT x FROM range(10000000) t(x) ORDER BY hash(x)",
                                    &statement, &err),
                     0);
    assert_int_equal(mr_statement_run(statement, &result, &err), MR_E(TOO_LARGE));
}

static void *
interrupt(void *sql)
{
    /* Again and again, for the statement may not have begun when the first one comes. */
    while (!atomic_load(&interrupted)) {
        mr_sql_interrupt(sql);
        (void)sched_yield();
    }
    return NULL;
}

static void
a_long_statement_ends_when_interrupted_from_another_thread(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_statement_closep) struct mr_statement *statement = NULL;
    MR_CLEANUP(mr_result_closep) struct mr_result *result = NULL;
    pthread_t thread;
    assert_int_equal(mr_sql_prepare(f->sql,
                                    "SELECT count(*) FROM range(10000000) a, range(10000000) b "
                                    "WHERE hash(a.range) = b.range + 1",
                                    &statement, &err),
                     0);
    assert_int_equal(pthread_create(&thread, NULL, interrupt, f->sql), 0);
    assert_int_equal(mr_statement_run(statement, &result, &err), MR_E(CANCELLED));
    atomic_store(&interrupted, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(one_int(f, "SELECT 1"), 1);
}

static void
the_outside_world_cannot_be_reached(void **state)
{
    struct fixture *f = *state;
    static const char *const attempts[] = {
        "SELECT * FROM read_text('/etc/passwd')",
        "SET enable_external_access = true",
        "SET threads = 8",
        "INSTALL httpfs",
        "COPY (SELECT 1) TO '/tmp/millrace-escape'",
    };
    for (size_t i = 0; i < MR_COUNT(attempts); i++) {
        struct mr_err err = { 0 };
        assert_int_not_equal(mr_sql_execute(f->sql, attempts[i], &err), 0);
    }
    assert_int_equal(access("/tmp/millrace-escape", F_OK), -1);
}

static struct mr_file_stats
write_pins(struct fixture *f, const char *name, char path[128])
{
    struct mr_err err = { 0 };
    struct mr_file_stats stats;
    (void)snprintf(path, 128, "%s/%s", f->dir, name);
    if (mr_sql_write_parquet(f->sql, "SELECT * FROM pin", &schema, path, &stats, &err) != 0)
        fail_msg("%s", err.text);
    return stats;
}

static void
a_parquet_file_holds_the_rows_and_their_statistics(void **state)
{
    struct fixture *f = *state;
    char path[128], text[256];
    bind(f, 50000); /* three row groups */
    struct mr_file_stats stats = write_pins(f, "a.parquet", path);
    assert_int_equal(stats.rows, 50000);
    assert_string_equal(stats.columns[IND].min, "0");
    assert_string_equal(stats.columns[IND].max, "49999");
    assert_int_equal(stats.columns[IND].null_count, 0);
    assert_string_equal(stats.columns[SCORE].min, "-0.0");
    assert_string_equal(stats.columns[SCORE].max, "24999.5");
    assert_int_equal(stats.columns[SCORE].null_count, 7143);
    assert_string_equal(stats.columns[AT].min, "\"1970-01-01T00:00:00.000Z\"");
    assert_string_equal(stats.columns[AT].max, "\"1970-01-01T13:53:19.050Z\"");
    assert_false(stats.columns[POINT].has_bounds);
    assert_false(stats.columns[FLAG].has_bounds);
    assert_false(stats.columns[RAW].has_bounds);
    assert_true(stats.columns[TITLE].has_bounds);
    assert_string_equal(stats.columns[TITLE].min, "\"0 \"");

    (void)snprintf(text, sizeof(text), "SELECT * FROM read_parquet('%s')", path);
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = query(f, text);
    assert_same(rows, f->batch);
    (void)snprintf(text, sizeof(text),
                   "SELECT count(*) FROM parquet_schema('%s') WHERE name = 'at' AND "
                   "logical_type LIKE '%%isAdjustedToUTC=1%%MICROS%%'",
                   path);
    assert_int_equal(one_int(f, text), 1);
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_freep)
    char *size = mr_printf("SELECT octet_length(content) FROM read_blob('%s')", path);
    (void)err;
    assert_int_equal(one_int(f, size), stats.bytes);
    free(stats.columns);
}

/* One row after the other in column SCORE, TITLE and AT. */
static void
put_edge(struct fixture *f, double score, const char *title, int64_t at)
{
    mr_columns_double(f->batch, SCORE, score);
    mr_columns_text(f->batch, TITLE, mr_slice_text(title));
    mr_columns_int(f->batch, AT, at);
    mr_columns_end_row(f->batch);
}

static void
statistics_keep_to_what_readers_understand(void **state)
{
    struct fixture *f = *state;
    char path[128];
    bind(f, 0);
    put_edge(f, -0.0, "\"quoted\"\n", -1);
    put_edge(f, 1e-320, "b", 1);
    struct mr_file_stats stats = write_pins(f, "a.parquet", path);
    assert_string_equal(stats.columns[SCORE].min, "-0.0");
    assert_true(strtod(stats.columns[SCORE].max, NULL) == 1e-320);
    assert_string_equal(stats.columns[TITLE].min, "\"\\\"quoted\\\"\\n\"");
    assert_string_equal(stats.columns[AT].min, "\"1969-12-31T23:59:59.999Z\"");
    assert_string_equal(stats.columns[AT].max, "\"1970-01-01T00:00:00.001Z\"");
    assert_false(stats.columns[IND].has_bounds); /* all NULL */
    assert_int_equal(stats.columns[IND].null_count, 2);
    free(stats.columns);

    bind(f, 0);
    put_edge(f, NAN, "a text of more than sixty-four bytes, which is left out of the log file", 0);
    put_edge(f, 1, "b", INT64_C(253402300800000000)); /* the year 10000 */
    stats = write_pins(f, "b.parquet", path);
    assert_false(stats.columns[SCORE].has_bounds);
    assert_false(stats.columns[TITLE].has_bounds);
    assert_false(stats.columns[AT].has_bounds);
    free(stats.columns);

    bind(f, 0);
    put_edge(f, INFINITY, "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01",
             0);
    stats = write_pins(f, "c.parquet", path);
    assert_false(stats.columns[SCORE].has_bounds);
    assert_false(stats.columns[TITLE].has_bounds); /* its JSON is too long */
    free(stats.columns);
}

/* As large as the archiver makes a batch, and an engine as small as it may have. */
static void
wide_rows_are_written_in_row_groups_that_fit(void **state)
{
    enum { ROWS = 10000, WIDTH = 2400, HUGE = 1 << 20 };
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    char path[128];
    const char *dirs[] = { f->dir, NULL };
    mr_sql_close(MR_TAKE(f->sql));
    const struct mr_sql_options small = { .memory_max = 36 << 20, .dirs = dirs };
    assert_int_equal(mr_sql_open(&small, &f->sql, &err), 0);
    assert_int_equal(mr_sql_relation(f->sql, "pin", &schema, &err), 0);
    MR_CLEANUP(mr_freep) char *text = mr_alloc(HUGE + WIDTH);
    uint64_t random = 1;
    for (size_t i = 0; i < HUGE + WIDTH; i++) {
        random = random * UINT64_C(6364136223846793005) + 1;
        text[i] = (char)(' ' + (random >> 33) % 90);
    }
    for (int row = 0; row < ROWS; row++) {
        mr_columns_text(f->batch, TITLE, mr_slice(text + row * 100 % HUGE, WIDTH));
        mr_columns_end_row(f->batch);
    }
    for (int row = 0; row < 8; row++) {
        mr_columns_text(f->batch, TITLE, mr_slice(text + row, HUGE));
        mr_columns_end_row(f->batch);
    }
    const struct mr_columns *batch = f->batch;
    assert_int_equal(mr_sql_bind(f->sql, "pin", &batch, 1, &err), 0);
    struct mr_file_stats stats = write_pins(f, "wide.parquet", path);
    assert_int_equal(stats.rows, ROWS + 8);
    free(stats.columns);
    MR_CLEANUP(mr_freep)
    char *bytes = mr_printf("SELECT sum(strlen(title))::BIGINT FROM read_parquet('%s')", path);
    assert_int_equal(one_int(f, bytes), (int64_t)ROWS * WIDTH + INT64_C(8) * HUGE);
}

static void
a_parquet_file_without_rows_is_written(void **state)
{
    struct fixture *f = *state;
    char path[128];
    bind(f, 0);
    struct mr_file_stats stats = write_pins(f, "a.parquet", path);
    assert_int_equal(stats.rows, 0);
    assert_true(stats.bytes > 0);
    for (size_t c = 0; c < FIELDS; c++)
        assert_false(stats.columns[c].has_bounds);
    free(stats.columns);
}

static void
names_and_texts_are_quoted(void **state)
{
    (void)state;
    MR_CLEANUP(mr_buf_fini) struct mr_buf buf;
    mr_buf_init(&buf, 100);
    mr_sql_literal(&buf, "it's");
    mr_sql_identifier(&buf, "a \"b\"");
    assert_string_equal(buf.data, "'it''s'\"a \"\"b\"\"\"");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(rows_come_back_as_they_went_in),
        TEST(batches_are_read_in_their_order),
        TEST(a_prepared_statement_sees_the_batches_bound_last),
        TEST(a_relation_changes_its_schema_when_declared_anew),
        TEST(other_types_become_ours),
        TEST(a_failing_row_fails_the_statement_with_the_engines_words),
        TEST(a_statement_that_needs_too_much_memory_ends_alone),
        TEST(a_long_statement_ends_when_interrupted_from_another_thread),
        TEST(the_outside_world_cannot_be_reached),
        TEST(a_parquet_file_holds_the_rows_and_their_statistics),
        TEST(statistics_keep_to_what_readers_understand),
        TEST(wide_rows_are_written_in_row_groups_that_fit),
        TEST(a_parquet_file_without_rows_is_written),
        cmocka_unit_test(names_and_texts_are_quoted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
