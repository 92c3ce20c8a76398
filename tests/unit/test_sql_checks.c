/*
 * What clean.sql and people's SQL may say, case by case.
 */
#include "sql/sql.h"

#include <stdlib.h>

#include "test.h"

static struct mr_field fields[] = {
    { "ind", MR_TYPE_LONG, false },     { "title", MR_TYPE_STRING, false },
    { "score", MR_TYPE_DOUBLE, false }, { "at", MR_TYPE_TIMESTAMP, false },
    { "point", MR_TYPE_DOUBLE, true },  { "flag", MR_TYPE_BOOL, false },
};
static const struct mr_schema schema = { fields, MR_COUNT(fields) };

struct fixture {
    struct mr_sql *sql;
    struct mr_columns *batch;
};

static int
set_up(void **state)
{
    struct fixture *f = mr_alloc(sizeof(*f));
    struct mr_err err = { 0 };
    assert_int_equal(mr_sql_open(&(struct mr_sql_options){ 0 }, &f->sql, &err), 0);
    assert_int_equal(mr_sql_relation(f->sql, "pin", &schema, &err), 0);
    f->batch = mr_columns_new(&schema);
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;
    mr_sql_close(f->sql);
    mr_columns_free(f->batch);
    free(f);
    return 0;
}

/* Runs text over three rows whose ind is 0, 1, 2; the caller frees the result. */
static struct mr_columns *
query_three(struct fixture *f, const char *text)
{
    struct mr_err err = { 0 };
    const struct mr_columns *batches[] = { f->batch };
    MR_CLEANUP(mr_statement_closep) struct mr_statement *statement = NULL;
    MR_CLEANUP(mr_result_closep) struct mr_result *result = NULL;
    for (int n = 0; n < 3; n++) {
        mr_columns_int(f->batch, 0, n);
        mr_columns_end_row(f->batch);
    }
    assert_int_equal(mr_sql_bind(f->sql, "pin", batches, 1, &err), 0);
    if (mr_sql_prepare(f->sql, text, &statement, &err) != 0 ||
        mr_statement_run(statement, &result, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    struct mr_columns *rows = mr_columns_new(mr_statement_schema(statement));
    assert_int_equal(mr_result_next(result, rows, &err), 3);
    return rows;
}

static void
assert_map(struct fixture *f, const char *text, const char *why)
{
    struct mr_err err = { 0 };
    int code = mr_sql_check_map(f->sql, text, "pin", &err);
    if (why == NULL && code != 0)
        fail_msg("%s: %s", text, err.text);
    if (why != NULL && (code != MR_E(INVALID) || strstr(err.text, why) == NULL))
        fail_msg("%s: wanted '%s', got '%s'", text, why, err.text);
}

static void
a_map_takes_what_stays_within_its_row(void **state)
{
    struct fixture *f = *state;
    assert_map(f,
               "-- a comment\nSELECT ind, nullif(title, 'x') AS title, CASE WHEN title LIKE '%k' "
               "THEN try_cast(title AS DECIMAL(18,3)) * 1000 END, list_transform(point, lambda x: "
               "x + ind), title IN ('a', 'b'), coalesce(title, ''), make_timestamp(ind), "
               "split_part(title, ' ', 1), regexp_replace(title, '^a', ''), [score, 1.0], pin.ind "
               "+ 1 AS next, next * 2, try(CAST(title AS BIGINT)), list_reduce(point, lambda x, y: "
               "x + y), extract(year FROM \"at\"), title || 'x' COLLATE nocase FROM pin;",
               NULL);
}

static void
a_map_refuses_what_leaves_its_row_or_is_left_to_chance(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][2] = {
        { "SELECT count(*) FROM pin", "each row must stand alone" },
        { "SELECT max(ind) FROM pin", "max()" },
        { "SELECT row_number() OVER () FROM pin", "OVER looks at other rows" },
        { "SELECT DISTINCT ind FROM pin", "DISTINCT" },
        { "SELECT ind FROM pin WHERE ind > 1", "WHERE" },
        { "SELECT ind FROM pin ORDER BY ind", "ORDER" },
        { "SELECT ind FROM pin LIMIT 1", "LIMIT" },
        { "SELECT ind FROM pin GROUP BY ALL", "GROUP BY" },
        { "SELECT ind FROM pin GROUP BY ind", "GROUP BY" },
        { "SELECT ind FROM pin HAVING ind > 1", "HAVING" },
        { "SELECT ind FROM pin QUALIFY ind > 1", "QUALIFY" },
        { "SELECT ind FROM pin TABLESAMPLE 10%", "sample" },
        { "SELECT ind FROM pin USING SAMPLE 10", "AMPLE" },
        { "SELECT ind FROM pin, pin AS q", "FROM must name relation pin alone" },
        { "SELECT ind FROM (SELECT * FROM pin)", "FROM must name relation pin alone" },
        { "SELECT 1", "FROM must name relation pin alone" },
        { "SELECT ind FROM other", "FROM must be plainly pin, not other" },
        { "SELECT ind FROM pin UNION ALL SELECT ind FROM pin", "set operation" },
        { "WITH x AS (SELECT 1) SELECT ind FROM pin", "WITH" },
        { "SELECT (SELECT 1) FROM pin", "subquery" },
        { "SELECT * FROM pin", "name each column" },
        { "SELECT unnest(point) FROM pin", "unnest()" },
        { "SELECT random() FROM pin", "random()" },
        { "SELECT RANDOM() FROM pin", "same result" },
        { "SELECT ind + (CASE WHEN flag THEN uuid()::VARCHAR END) FROM pin", "uuid()" },
        { "SELECT now() FROM pin", "now()" },
        { "SELECT current_date FROM pin", "'current_date' is not a column" },
        { "SELECT current_timestamp FROM pin", "'current_timestamp' is not a column" },
        { "SELECT nextval('s') FROM pin", "nextval()" },
        { "SELECT ago(INTERVAL 1 DAY) FROM pin", "'current_timestamp'" },
        { "SELECT weighted_avg(score, score) FROM pin", "sum()" },
        { "SELECT list_transform(point, lambda x: x + random()) FROM pin", "random()" },
        { "SELECT nosuch(ind) FROM pin", "nosuch()" },
        { "SELECT missing FROM pin", "'missing' is not a column of pin" },
        { "SELECT $1 FROM pin", "PARAMETER" },
        { "SELECT ind FROM pin; SELECT ind FROM pin", "2 statements" },
        { "DELETE FROM pin", "Only SELECT" },
        { "SELEC ind", "syntax error" },
    };
    for (size_t i = 0; i < MR_COUNT(cases); i++)
        assert_map(f, cases[i][0], cases[i][1]);
}

static void
a_map_is_extended_by_more_columns(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    const char *more[] = { "title = 'x' OR ind > 9007199254740993 AS \"rule big\"", "ind - 1",
                           NULL };
    mr_buf_init(&text, 1 << 16);
    assert_int_equal(mr_sql_extend(f->sql, "SELECT ind, /* x */ title FROM pin; -- end", "pin",
                                   more, &text, &err),
                     0);
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = query_three(f, text.data);
    assert_int_equal(rows->count, 4);
    assert_string_equal(rows->columns[2].field.name, "rule big");
    assert_int_equal(mr_column_int(&rows->columns[3], 2), 1);
    assert_non_null(strstr(text.data, "9007199254740993"));

    mr_buf_reset(&text);
    const char *trick[] = { "1 FROM pin WHERE false --", NULL };
    assert_int_equal(mr_sql_extend(f->sql, "SELECT ind FROM pin", "pin", trick, &text, &err),
                     MR_E(INVALID));
}

static void
assert_select(struct fixture *f, const char *text, const char *why)
{
    static const char *const relations[] = { "pin", "user", "12b287eedf6d_pin_table", NULL };
    struct mr_err err = { 0 };
    int code = mr_sql_check_select(f->sql, text, relations, &err);
    if (why == NULL && code != 0)
        fail_msg("%s: %s", text, err.text);
    if (why != NULL && (code != MR_E(INVALID) || strstr(err.text, why) == NULL))
        fail_msg("%s: wanted '%s', got '%s'", text, why, err.text);
}

static void
people_may_select_from_their_tables(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    assert_int_equal(mr_sql_execute(f->sql, "CREATE MACRO nvl(a, b) AS coalesce(a, b)", &err), 0);
    static const char *const fine[] = {
        "SELECT * FROM pin",
        "FROM Pin JOIN \"user\" USING (ind) ORDER BY 1 DESC LIMIT 10",
        "SELECT category, count(*) FILTER (WHERE ind > 1) AS n FROM \"12b287eedf6d_pin_table\" "
        "GROUP BY ALL HAVING n > 1 QUALIFY rank() OVER (PARTITION BY category ORDER BY n DESC) = 1",
        "WITH a AS (SELECT 1 AS x), b AS (SELECT x FROM a) SELECT * FROM a, b",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 5) FROM t",
        "SELECT nvl(title, ''), median(ind), percentile_cont(0.5) WITHIN GROUP (ORDER BY ind), "
        "CAST(1 AS DECIMAL(9, 2)), now(), [x FOR x IN point] FROM pin GROUP BY ALL",
        "SELECT * FROM range(3) r, (VALUES (1), (2)) v, LATERAL (SELECT 1), unnest([1, 2]) u",
        "SELECT 1 UNION SELECT 2 EXCEPT SELECT (SELECT max(ind) FROM pin WHERE EXISTS (FROM pin))",
        "SELECT DISTINCT ON (title) title, unnest(point), #1 FROM pin",
        "SELECT * FROM pin PIVOT (count(*) FOR flag IN (true, false))",
    };
    for (size_t i = 0; i < MR_COUNT(fine); i++)
        assert_select(f, fine[i], NULL);
}

static void
people_may_not_reach_anything_else(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][2] = {
        { "SELECT * FROM geo", "no table geo" },
        { "SELECT * FROM '/etc/passwd'", "no table /etc/passwd" },
        { "SELECT * FROM main.pin", "no table pin" },
        { "SELECT * FROM read_text('/etc/passwd')", "no table function read_text()" },
        { "SELECT * FROM duckdb_settings()", "duckdb_settings()" },
        { "SELECT * FROM information_schema.tables", "no table tables" },
        { "SELECT * FROM query('SELECT 1')", "query()" },
        { "SELECT * FROM pin WHERE ind IN (SELECT ind FROM geo)", "no table geo" },
        { "WITH a AS (WITH \"x.parquet\" AS (SELECT 1) SELECT 1) FROM \"x.parquet\"", "x.parquet" },
        { "WITH a AS (FROM \"x.parquet\"), \"x.parquet\" AS (SELECT 1) FROM a", "x.parquet" },
        { "WITH \"x.parquet\" AS (SELECT * FROM \"x.parquet\") SELECT 1", "x.parquet" },
        { "SELECT current_setting('threads')", "not offered" },
        { "SELECT write_log('x')", "not offered" },
        { "SELECT pg_catalog.pg_get_viewdef(1)", "no function" },
        { "SELECT sleep_ms(1000)", "not offered" },
        { "SELECT nextval('x')", "not offered" },
        { "SELECT max(ind) OVER (ORDER BY getvariable('x')) FROM pin", "not offered" },
        { "DESCRIBE pin", "SHOW_REF" },
        { "SHOW TABLES", "SHOW_REF" },
        { "COPY pin TO 'x'", "Only SELECT" },
        { "SET threads = 1", "Only SELECT" },
        { "SELECT 1; SELECT 2", "2 statements" },
        { "SELECT ?", "PARAMETER" },
        { "", "0 statements" },
    };
    for (size_t i = 0; i < MR_COUNT(cases); i++)
        assert_select(f, cases[i][0], cases[i][1]);
}

static void
deep_nesting_is_refused_not_a_crash(void **state)
{
    struct fixture *f = *state;
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    static const char *const relations[] = { "pin", NULL };
    mr_buf_init(&text, 1 << 20);
    for (int depth = 10; depth < 100000; depth *= 10) {
        struct mr_err err = { 0 };
        mr_buf_reset(&text);
        mr_buf_text(&text, "SELECT ");
        for (int i = 0; i < depth; i++)
            mr_buf_text(&text, "abs(");
        mr_buf_text(&text, "1");
        for (int i = 0; i < depth; i++)
            mr_buf_text(&text, ")");
        int code = mr_sql_check_select(f->sql, text.data, relations, &err);
        assert_int_equal(code, depth > 100 ? MR_E(INVALID) : 0);
    }
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_map_takes_what_stays_within_its_row),
        TEST(a_map_refuses_what_leaves_its_row_or_is_left_to_chance),
        TEST(a_map_is_extended_by_more_columns),
        TEST(people_may_select_from_their_tables),
        TEST(people_may_not_reach_anything_else),
        TEST(deep_nesting_is_refused_not_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
