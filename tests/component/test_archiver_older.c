/* A store that is older than the archiver: made by a former version, or set back. */
#include <stdio.h>
#include <stdlib.h>

#include "archiver_fixture.h"
#include "archiver_tests.h"
#include "bus/memory.h"
#include "letter/letter.h"
#include "private.h"
#include "test.h"

#define TABLE "t_pin_table"
#define CLEAN "t.pin.clean"

/* A table of letters with one row, as it was made before there were replays. */
static void
make_older_table(struct bench *b)
{
    const struct mr_schema older = { mr_letter_schema()->fields,
                                     (size_t)mr_schema_find(mr_letter_schema(), "attempts") };
    const char *const dirs[] = { b->dir, NULL };
    const struct mr_sql_options engine = { .dirs = dirs };
    MR_CLEANUP(mr_sql_closep) struct mr_sql *sql = NULL;
    MR_CLEANUP(mr_table_closep) struct mr_table *table = NULL;
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = mr_columns_new(&older);
    MR_CLEANUP(mr_freep) char *path = mr_printf("%s/older.parquet", b->dir);
    struct mr_file_stats stats = { 0 };
    BENCH_OK(mr_sql_open(&engine, &sql, &oops));
    const struct mr_table_options options = { .store = b->store,
                                              .sql = sql,
                                              .path = "tables/t_dead_table",
                                              .schema = &older,
                                              .work_dir = b->dir };
    BENCH_OK(mr_table_open(&options, true, &table, &oops));
    mr_columns_text(rows, (size_t)mr_schema_find(&older, "reason"), mr_slice_text("older"));
    mr_columns_end_row(rows);
    const struct mr_columns *batch = rows;
    BENCH_OK(mr_sql_relation(sql, "older", &older, &oops));
    BENCH_OK(mr_sql_bind(sql, "older", &batch, 1, &oops));
    BENCH_OK(mr_sql_write_parquet(sql, "SELECT * FROM older", &older, path, &stats, &oops));
    const struct mr_table_range range = { "older/app", "a.pin.dead", 0, "00ff", 0, 1, 1, 0, NULL };
    const struct mr_table_new_file file = { path, &stats };
    BENCH_OK(mr_table_append(table, &range, 1, &file, 1, true, &oops));
    free(stats.columns);
}

static void
an_older_table_of_letters_gets_its_new_columns(void **state)
{
    struct bench *b = *state;
    bench_topic(b, "t.pin.dead", 1);
    make_older_table(b);
    struct archive *archive = bench_archive(b, NULL);
    bench_letter(b, "t.pin.dead", 0, "pin", "younger");
    bench_mark(b, "t.pin.dead", 0, "pin", 12);
    bench_settle(archive);
    MR_CLEANUP(mr_freep)
    char *rows = bench_rows(b, "t_dead_table",
                            "SELECT reason, code, \"offset\", replayed_partition, replayed_offset "
                            "FROM t ORDER BY ALL");
    assert_string_equal(rows, "older NULL NULL NULL NULL younger NOT_JSON 7 NULL NULL "
                              "NULL NULL 7 0 12");
    archive_close(archive);
}

/* The group says 2, but not of this table: records may be gone. */
static void
a_table_that_was_set_back_is_refused(void **state)
{
    struct bench *b = *state;
    bench_topic(b, CLEAN, 1);
    struct archive *archive = bench_archive(b, NULL);
    for (int i = 1; i <= 2; i++) {
        bench_pin(b, CLEAN, 0, i, "x");
        bench_settle(archive);
    }
    archive->survey_ms = 0;
    bench_step(archive);
    bench_crash(archive);
    MR_CLEANUP(mr_freep)
    char *back = mr_printf("rm %s/tables/" TABLE "/_delta_log/00000000000000000002.json",
                           b->url + strlen("file:"));
    assert_int_equal(system(back), 0);
    mr_bus_memory_trim(b->bus, CLEAN, 0, 2);
    struct mr_err err = { 0 };
    bench_archive_fails(b, &err);
    assert_non_null(strstr(err.text, "[1, 2) is gone from the log"));
}

int
archiver_older_tests(void)
{
#define ON_BENCH(test) cmocka_unit_test_setup_teardown(test, bench_open, bench_close)
    const struct CMUnitTest older[] = {
        ON_BENCH(an_older_table_of_letters_gets_its_new_columns),
        ON_BENCH(a_table_that_was_set_back_is_refused),
    };
    return cmocka_run_group_tests_name("older", older, NULL, NULL);
}
