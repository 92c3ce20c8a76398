#include "columns/columns.h"

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

enum { FLAG, COUNT, KEY, SCORE, NAME, BYTES, WHEN, POINT, TAGS, FIELDS };

static struct mr_field fields[FIELDS] = {
    [FLAG] = { "flag", MR_TYPE_BOOL, false },      [COUNT] = { "count", MR_TYPE_INTEGER, false },
    [KEY] = { "key", MR_TYPE_LONG, false },        [SCORE] = { "score", MR_TYPE_DOUBLE, false },
    [NAME] = { "name", MR_TYPE_STRING, false },    [BYTES] = { "bytes", MR_TYPE_BINARY, false },
    [WHEN] = { "when", MR_TYPE_TIMESTAMP, false }, [POINT] = { "point", MR_TYPE_DOUBLE, true },
    [TAGS] = { "tags", MR_TYPE_STRING, true },
};
static const struct mr_schema schema = { fields, FIELDS };

/* Row n, made only from its number; every fifth value is NULL. */
static void
put_row(struct mr_columns *to, int n)
{
    char text[300];
    int length = snprintf(text, sizeof(text), "n%d %.*s", n, n % 200, "äöü€😀");
    while (length > 0 && !mr_utf8_valid(mr_slice(text, (size_t)length)))
        length--;
    if (n % 5 != FLAG % 5)
        mr_columns_bool(to, FLAG, n % 2 == 0);
    if (n % 5 != COUNT % 5)
        mr_columns_int(to, COUNT, -n);
    if (n % 5 != KEY % 5)
        mr_columns_int(to, KEY, INT64_MIN + n);
    if (n % 5 != SCORE % 5)
        mr_columns_double(to, SCORE, n / 4.0);
    if (n % 5 != NAME % 5)
        mr_columns_text(to, NAME, mr_slice(text, (size_t)length));
    if (n % 5 != BYTES % 5)
        mr_columns_text(to, BYTES, mr_slice("\xff\0\xfe", (size_t)n % 4));
    if (n % 5 != WHEN % 5)
        mr_columns_int(to, WHEN, n * INT64_C(1000001));
    if (n % 5 != POINT % 5) {
        struct mr_column *point = mr_columns_list(to, POINT);
        for (int i = 0; i < n % 3; i++)
            mr_column_put_double(point, n + i);
    }
    if (n % 5 != TAGS % 5) {
        struct mr_column *tags = mr_columns_list(to, TAGS);
        mr_column_put_text(tags, mr_slice(text, (size_t)length));
        mr_column_put_null(tags);
    }
    mr_columns_end_row(to);
}

static void
assert_same(const struct mr_columns *a, const struct mr_columns *b)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf x, y;
    mr_buf_init(&x, 1 << 26);
    mr_buf_init(&y, 1 << 26);
    mr_columns_write(a, &x);
    mr_columns_write(b, &y);
    assert_false(x.failed);
    assert_int_equal(x.size, y.size);
    assert_memory_equal(x.data, y.data, x.size);
}

static void
every_type_reads_back_as_put(void **state)
{
    (void)state;
    MR_CLEANUP(mr_columns_freep) struct mr_columns *batch = mr_columns_new(&schema);
    for (int n = 0; n < 1000; n++)
        put_row(batch, n);

    const struct mr_column *at = batch->columns;
    assert_int_equal(batch->rows, 1000);
    assert_true(mr_column_is_null(&at[FLAG], 5));
    assert_int_equal(mr_column_int(&at[FLAG], 6), 1);
    assert_int_equal(mr_column_int(&at[COUNT], 7), -7);
    assert_true(mr_column_int(&at[KEY], 999) == INT64_MIN + 999);
    assert_true(mr_column_double(&at[SCORE], 2) == 0.5);
    assert_true(mr_slice_is_text(mr_column_text(&at[NAME], 2), "n2 ä"));
    assert_true(mr_slice_is(mr_column_text(&at[BYTES], 3), mr_slice("\xff\0\xfe", 3)));
    assert_int_equal(mr_column_text(&at[BYTES], 4).size, 0);
    assert_false(mr_column_is_null(&at[BYTES], 4));
    assert_true(mr_column_int(&at[WHEN], 999) == 999000999);

    size_t from, to;
    mr_column_list(&at[POINT], 8, &from, &to);
    assert_int_equal(to - from, 2);
    assert_true(mr_column_double(at[POINT].child, to - 1) == 9.0);
    mr_column_list(&at[TAGS], 9, &from, &to);
    assert_int_equal(to - from, 2);
    assert_true(mr_column_is_null(at[TAGS].child, from + 1));
}

static void
an_unfinished_row_is_taken_back_whole(void **state)
{
    (void)state;
    MR_CLEANUP(mr_columns_freep) struct mr_columns *plain = mr_columns_new(&schema);
    MR_CLEANUP(mr_columns_freep) struct mr_columns *taken = mr_columns_new(&schema);
    for (int n = 0; n < 300; n++) {
        put_row(plain, n);
        put_row(taken, n);
        mr_columns_text(taken, NAME, MR_SLICE("half a row"));
        mr_column_put_text(mr_columns_list(taken, TAGS), MR_SLICE("and its tag"));
        mr_columns_drop_row(taken);
    }
    assert_same(plain, taken);
}

static void
an_unfinished_row_is_not_written(void **state)
{
    (void)state;
    MR_CLEANUP(mr_columns_freep) struct mr_columns *plain = mr_columns_new(&schema);
    MR_CLEANUP(mr_columns_freep) struct mr_columns *open = mr_columns_new(&schema);
    put_row(plain, 1);
    put_row(open, 1);
    mr_columns_text(open, NAME, MR_SLICE("half a row"));
    mr_column_put_double(mr_columns_list(open, POINT), 1);
    assert_same(plain, open);
}

static void
reset_keeps_memory_and_nothing_else(void **state)
{
    (void)state;
    MR_CLEANUP(mr_columns_freep) struct mr_columns *batch = mr_columns_new(&schema);
    MR_CLEANUP(mr_columns_freep) struct mr_columns *fresh = mr_columns_new(&schema);
    for (int n = 0; n < 500; n++)
        put_row(batch, n);
    size_t held = mr_columns_bytes(batch);
    mr_columns_reset(batch);
    assert_int_equal(batch->rows, 0);
    assert_int_equal(mr_columns_bytes(batch), held);
    put_row(batch, 77);
    put_row(fresh, 77);
    assert_same(batch, fresh);
}

static void
a_batch_is_cut_to_its_first_rows(void **state)
{
    (void)state;
    MR_CLEANUP(mr_columns_freep) struct mr_columns *plain = mr_columns_new(&schema);
    MR_CLEANUP(mr_columns_freep) struct mr_columns *cut = mr_columns_new(&schema);
    for (int n = 0; n < 500; n++) {
        put_row(cut, n);
        if (n < 123)
            put_row(plain, n);
    }
    mr_columns_cut(cut, 123);
    assert_same(plain, cut);
}

static void
a_mapped_batch_equals_its_source_and_copies_row_by_row(void **state)
{
    (void)state;
    MR_CLEANUP(mr_columns_freep) struct mr_columns *batch = mr_columns_new(&schema);
    MR_CLEANUP(mr_columns_freep) struct mr_columns *copy = mr_columns_new(&schema);
    MR_CLEANUP(mr_columns_freep) struct mr_columns *mapped = NULL;
    MR_CLEANUP(mr_buf_fini) struct mr_buf flat;
    struct mr_err err = { 0 };
    mr_buf_init(&flat, 1 << 26);
    for (int n = 0; n < 777; n++)
        put_row(batch, n);

    mr_columns_write(batch, &flat);
    assert_int_equal(mr_columns_map(mr_buf_slice(&flat), &mapped, &err), 0);
    assert_same(batch, mapped);
    for (size_t row = 0; row < mapped->rows; row++)
        mr_columns_copy_row(copy, mapped, row);
    assert_same(batch, copy);
}

static void
a_batch_without_rows_maps(void **state)
{
    (void)state;
    MR_CLEANUP(mr_columns_freep) struct mr_columns *batch = mr_columns_new(&schema);
    MR_CLEANUP(mr_columns_freep) struct mr_columns *mapped = NULL;
    MR_CLEANUP(mr_buf_fini) struct mr_buf flat;
    struct mr_err err = { 0 };
    mr_buf_init(&flat, 1 << 20);
    mr_columns_write(batch, &flat);
    assert_int_equal(mr_columns_map(mr_buf_slice(&flat), &mapped, &err), 0);
    assert_int_equal(mapped->rows, 0);
    assert_int_equal(mapped->count, FIELDS);
    assert_string_equal(mapped->columns[TAGS].field.name, "tags");
}

/* Each byte of a small batch is damaged in three ways; what still maps can be read to the end. */
static void
damage_anywhere_is_corrupt_or_harmless(void **state)
{
    (void)state;
    MR_CLEANUP(mr_columns_freep) struct mr_columns *batch = mr_columns_new(&schema);
    MR_CLEANUP(mr_buf_fini) struct mr_buf flat;
    int refused = 0;
    mr_buf_init(&flat, 1 << 20);
    for (int n = 1; n < 8; n++)
        put_row(batch, n);
    mr_columns_write(batch, &flat);

    for (size_t i = 0; i < flat.size * 3; i++) {
        static const uint8_t flips[] = { 0x01, 0x80, 0xff };
        char *byte = &flat.data[i / 3], was = *byte;
        MR_CLEANUP(mr_columns_freep) struct mr_columns *mapped = NULL;
        MR_CLEANUP(mr_columns_freep) struct mr_columns *copy = NULL;
        struct mr_err err = { 0 };
        *byte = (char)(was ^ flips[i % 3]);
        if (mr_columns_map(mr_buf_slice(&flat), &mapped, &err) != 0) {
            assert_int_equal(err.code, MR_E(CORRUPT));
            refused++;
        } else {
            struct mr_field seen[FIELDS];
            assert_in_range(mapped->count, 1, FIELDS);
            for (size_t c = 0; c < mapped->count; c++)
                seen[c] = mapped->columns[c].field;
            copy = mr_columns_new(&(struct mr_schema){ seen, mapped->count });
            for (size_t row = 0; row < mapped->rows; row++)
                mr_columns_copy_row(copy, mapped, row);
        }
        *byte = was;
    }
    assert_true(refused > 1000);
}

static void
a_cut_off_file_is_corrupt_at_every_length(void **state)
{
    (void)state;
    MR_CLEANUP(mr_columns_freep) struct mr_columns *batch = mr_columns_new(&schema);
    MR_CLEANUP(mr_columns_freep) struct mr_columns *mapped = NULL;
    MR_CLEANUP(mr_buf_fini) struct mr_buf flat;
    mr_buf_init(&flat, 1 << 20);
    put_row(batch, 7);
    mr_columns_write(batch, &flat);
    for (size_t size = 0; size < flat.size; size++) {
        struct mr_err err = { 0 };
        assert_int_equal(mr_columns_map(mr_slice(flat.data, size), &mapped, &err), MR_E(CORRUPT));
    }
}

static void
schemas_compare_by_name_type_and_list(void **state)
{
    (void)state;
    struct mr_schema copy;
    mr_schema_copy(&schema, &copy);
    assert_true(mr_schema_is(&schema, &copy));
    assert_int_equal(mr_schema_find(&copy, "when"), WHEN);
    assert_int_equal(mr_schema_find(&copy, "When"), -1);
    copy.fields[POINT].is_list = false;
    assert_false(mr_schema_is(&schema, &copy));
    copy.fields[POINT] = schema.fields[POINT];
    copy.fields[NAME].type = MR_TYPE_BINARY;
    assert_false(mr_schema_is(&schema, &copy));
    copy.count--;
    assert_false(mr_schema_is(&schema, &copy));
    mr_schema_fini(&copy);
    assert_string_equal(mr_type_delta(MR_TYPE_LONG), "long");
    assert_string_equal(mr_type_duckdb(MR_TYPE_BINARY), "BLOB");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_reads_back_as_put),
        cmocka_unit_test(an_unfinished_row_is_taken_back_whole),
        cmocka_unit_test(an_unfinished_row_is_not_written),
        cmocka_unit_test(reset_keeps_memory_and_nothing_else),
        cmocka_unit_test(a_batch_is_cut_to_its_first_rows),
        cmocka_unit_test(a_mapped_batch_equals_its_source_and_copies_row_by_row),
        cmocka_unit_test(a_batch_without_rows_maps),
        cmocka_unit_test(damage_anywhere_is_corrupt_or_harmless),
        cmocka_unit_test(a_cut_off_file_is_corrupt_at_every_length),
        cmocka_unit_test(schemas_compare_by_name_type_and_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
