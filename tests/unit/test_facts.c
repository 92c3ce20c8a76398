/*
 * Facts are written down in pieces whose number and size are bounded, however long the rows are.
 */
#include "verify/facts.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "test.h"

enum { LONG_BYTES = 400000, LONG_ROWS = 200, FILES_MAX = 10 };

static size_t files;

static int
count_file(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)walk;
    files += type == FTW_F && strstr(path, ".parquet") != NULL;
    return 0;
}

static int
remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

/* 80 MB in rows of 400 kB: more than is kept in memory, far less than a file each. */
static void
rows_beyond_the_bytes_that_are_kept_go_into_few_files(void **state)
{
    static struct mr_field fields[] = { { "n", MR_TYPE_LONG, false },
                                        { "text", MR_TYPE_STRING, false } };
    const struct mr_schema schema = { fields, MR_COUNT(fields) };
    char dir[] = "/tmp/test-facts-XXXXXX";
    assert_non_null(mkdtemp(dir));
    const char *const dirs[] = { dir, NULL };
    const struct mr_sql_options options = { .temp_dir = dir, .dirs = dirs };
    struct ground ground = { .dir = dir };
    struct mr_err err = { 0 };
    struct facts *facts = NULL;
    const struct facts_shape shape = { "wide", &schema, NULL, &schema, NULL };
    char *text = mr_alloc(LONG_BYTES);
    memset(text, 'x', LONG_BYTES);
    (void)state;

    assert_int_equal(mr_sql_open(&options, &ground.sql, &err), 0);
    assert_int_equal(facts_open(&ground, &shape, &facts, &err), 0);
    for (int64_t row = 0; row < LONG_ROWS; row++) {
        mr_columns_int(facts_rows(facts), 0, row);
        mr_columns_text(facts_rows(facts), 1, mr_slice(text, LONG_BYTES));
        assert_int_equal(facts_row(facts, &err), 0);
    }
    assert_int_equal(facts_close(facts, &err), 0);

    assert_int_equal(nftw(dir, count_file, 8, FTW_PHYS), 0);
    assert_in_range(files, 2, FILES_MAX);
    assert_int_equal(mr_sql_execute(ground.sql,
                                    "SELECT CASE WHEN count(*) <> 200 THEN error('rows') END "
                                    "FROM wide",
                                    &err),
                     0);
    free(text);
    mr_sql_close(ground.sql);
    (void)nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_beyond_the_bytes_that_are_kept_go_into_few_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
