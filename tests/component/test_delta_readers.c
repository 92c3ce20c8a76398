/*
 * Tables that the archiver wrote, read by delta-rs and by DuckDB's Delta extension: every row must
 * be what went in. The rows come from this test, not from any engine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "archiver_fixture.h"
#include "test.h"

enum { COMMITS = 60, ROWS_A_COMMIT = 7 }; /* beyond a checkpoint */

static const char *const texts[] = {
    "",
    "plain",
    "quotes \" ' \\ /",
    "line\nbreak\r\n",
    "\xc2\xa0 nbsp",
    "\xe2\x80\xa8\xe2\x80\xa9",
    "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac",
    "\xf4\x8f\xbf\xbf",
    "\x01\x1f\x7f",
    "%2B + %",
    "a text that is longer than the sixty-four bytes up to which bounds are kept as statistics",
};
static const int64_t times[] = { 0, -1, 1514851445000000, 253402300799999999, -62135596800000000 };
static const double places[] = { -0.0, 89.9999999, -179.123456789, 5e-324, 1e308 };

static void
put_value(struct mr_columns *rows, const struct mr_schema *schema, size_t c, int i)
{
    const struct mr_field *field = &schema->fields[c];
    if (field->is_list) {
        if (i % 3 == 0) /* an empty list and none are one in protobuf */
            return;
        struct mr_column *list = mr_columns_list(rows, c);
        for (int e = 0; e < i % 3; e++)
            mr_column_put_double(list, places[(i + e) % (int)MR_COUNT(places)]);
    } else if (field->type == MR_TYPE_STRING) {
        if (i % 5 > 0)
            mr_columns_text(rows, c, mr_slice_text(texts[(i + (int)c) % (int)MR_COUNT(texts)]));
    } else if (field->type == MR_TYPE_TIMESTAMP) {
        if (i % 7 > 0)
            mr_columns_int(rows, c, times[i % (int)MR_COUNT(times)]);
    } else if (i % 4 > 0) {
        mr_columns_int(rows, c, i % 4 == 1 ? INT64_MAX - i : INT64_MIN + i);
    }
}

/* Rows with keys 0 .. of a kind, some sent twice, in many commits; what the table must hold goes to
 * path. */
static void
fill(struct bench *b, struct archive *archive, const char *kind_name, const char *path)
{
    const struct mr_kind *kind = mr_contracts_find(b->contracts, kind_name);
    MR_CLEANUP(mr_freep) char *topic = mr_printf("t.%s.clean", kind_name);
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = mr_columns_new(&kind->output);
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, 1 << 24);
    for (int i = 0; i < COMMITS * ROWS_A_COMMIT; i++) {
        for (size_t c = 0; c < kind->output.count; c++) {
            if ((int)c == kind->key_out)
                mr_columns_int(rows, c, i);
            else
                put_value(rows, &kind->output, c, i);
        }
        mr_columns_end_row(rows);
        mr_contract_json(&kind->output, rows, (size_t)i, &text);
        mr_buf_text(&text, "\n");
        bench_event(b, topic, i % 2, rows, (size_t)i, kind->version);
        if (i % 3 == 0)
            bench_event(b, topic, i % 2, rows, (size_t)i / 2, kind->version);
        if (i % ROWS_A_COMMIT == ROWS_A_COMMIT - 1)
            bench_settle(archive);
    }
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text.data, 1, text.size, file), text.size);
    assert_int_equal(fclose(file), 0);
}

static int
compare(struct bench *b, const char *table, const char *rows)
{
    MR_CLEANUP(mr_freep)
    char *command =
        mr_printf("%s/build/deps/venv/bin/python %s/tests/component/read_delta.py "
                  "%s/store/tables/%s %s",
                  getenv("MILLRACE_SOURCE"), getenv("MILLRACE_SOURCE"), b->dir, table, rows);
    int status = system(command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void
independent_readers_see_every_row_as_it_went_in(void **state)
{
    struct bench *b = *state;
    MR_CLEANUP(mr_freep)
    char *python = mr_printf("%s/build/deps/venv/bin/python", getenv("MILLRACE_SOURCE"));
    if (access(python, X_OK) != 0) {
        print_message("no readers here: tools/deps --tests brings them\n");
        skip();
    }
    static const char *const kinds[] = { "pin", "geo", "user" };
    for (size_t k = 0; k < MR_COUNT(kinds); k++) {
        MR_CLEANUP(mr_freep) char *topic = mr_printf("t.%s.clean", kinds[k]);
        bench_topic(b, topic, 2);
    }
    struct archive *archive = bench_archive(b, NULL);
    for (size_t k = 0; k < MR_COUNT(kinds); k++) {
        MR_CLEANUP(mr_freep) char *rows = mr_printf("%s/%s.ndjson", b->dir, kinds[k]);
        MR_CLEANUP(mr_freep) char *table = mr_printf("t_%s_table", kinds[k]);
        fill(b, archive, kinds[k], rows);
        assert_int_equal(compare(b, table, rows), 0);
    }
    archive_close(archive);

    /* The comparison itself is tested: one row more. */
    MR_CLEANUP(mr_freep) char *rows = mr_printf("%s/user.ndjson", b->dir);
    MR_CLEANUP(mr_freep) char *change = mr_printf("sed -i 1p %s", rows);
    assert_int_equal(system(change), 0);
    assert_int_equal(compare(b, "t_user_table", rows), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(independent_readers_see_every_row_as_it_went_in, bench_open,
                                        bench_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
