/*
 * Letters as rows: whatever a letter holds, the row can be kept by a table.
 */
#include <stdlib.h>

#include "letter/letter.h"
#include "millrace/v1/event.pb-c.h"
#include "test.h"

static struct mr_columns *
decoded(const Millrace__V1__DeadLetter *letter)
{
    struct mr_err err = { 0 };
    struct mr_columns *rows = mr_columns_new(mr_letter_schema());
    size_t size = millrace__v1__dead_letter__get_packed_size(letter);
    MR_CLEANUP(mr_freep) uint8_t *packed = mr_alloc(size);
    (void)millrace__v1__dead_letter__pack(letter, packed);
    assert_int_equal(mr_letter_decode(mr_slice(packed, size), rows, &err), 0);
    assert_int_equal(rows->rows, 1);
    return rows;
}

static const struct mr_column *
column(const struct mr_columns *rows, const char *name)
{
    int at = mr_schema_find(mr_letter_schema(), name);
    assert_true(at >= 0);
    return &rows->columns[at];
}

static void
texts_that_are_no_utf8_are_escaped(void **state)
{
    (void)state;
    static const char *const names[] = { "kind",  "stage",  "field", "rule",
                                         "value", "reason", "topic", "traceparent" };
    Millrace__V1__Provenance provenance = MILLRACE__V1__PROVENANCE__INIT;
    Millrace__V1__Origin origin = MILLRACE__V1__ORIGIN__INIT;
    Millrace__V1__DeadLetter letter = MILLRACE__V1__DEAD_LETTER__INIT;
    char bad[] = "a\xff\xe9z";
    provenance.traceparent = origin.topic = letter.kind = letter.stage = bad;
    letter.field = letter.rule = letter.value = letter.reason = bad;
    letter.provenance = &provenance;
    letter.origin = &origin;
    struct mr_columns *rows = decoded(&letter);
    for (size_t i = 0; i < MR_COUNT(names); i++)
        assert_true(mr_slice_is_text(mr_column_text(column(rows, names[i]), 0), "a\\xff\\xe9z"));
    mr_columns_free(rows);
}

static void
times_without_a_calendar_are_null(void **state)
{
    (void)state;
    static const int64_t bad[] = { INT64_MAX, INT64_MIN, -1, 0, 253402300800000000 };
    Millrace__V1__Provenance provenance = MILLRACE__V1__PROVENANCE__INIT;
    Millrace__V1__DeadLetter letter = MILLRACE__V1__DEAD_LETTER__INIT;
    letter.provenance = &provenance;
    for (size_t i = 0; i < MR_COUNT(bad); i++) {
        provenance.received_us = letter.dead_us = bad[i];
        struct mr_columns *rows = decoded(&letter);
        assert_true(mr_column_is_null(column(rows, "received_at"), 0));
        assert_true(mr_column_is_null(column(rows, "dead_at"), 0));
        mr_columns_free(rows);
    }
    provenance.received_us = letter.dead_us = 253402300799999999;
    struct mr_columns *rows = decoded(&letter);
    assert_int_equal(mr_column_int(column(rows, "received_at"), 0), 253402300799999999);
    assert_int_equal(mr_column_int(column(rows, "dead_at"), 0), 253402300799999999);
    mr_columns_free(rows);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_that_are_no_utf8_are_escaped),
        cmocka_unit_test(times_without_a_calendar_are_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
