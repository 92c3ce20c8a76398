#include "names/names.h"

#include <stdio.h>

#include "test.h"

#define X64 "0123456789012345678901234567890123456789012345678901234567890123"
#define X32 "abcdefghijklmnopqrstuvwxyz012345"

static void
a_tenant_has_1_to_64_letters_digits_dashes_and_underscores(void **state)
{
    static const char *const good[] = { "a", "12b287eedf6d", "A-b_9", "-", X64 };
    static const char *const bad[] = { "", "a.b", "a b", "a/b", "\xc3\xa4", X64 "4" };
    (void)state;
    for (size_t i = 0; i < MR_COUNT(good); i++)
        assert_true(mr_tenant_ok(mr_slice_text(good[i])));
    for (size_t i = 0; i < MR_COUNT(bad); i++)
        assert_false(mr_tenant_ok(mr_slice_text(bad[i])));
}

static void
a_kind_is_a_lower_case_word_that_no_suffix_uses(void **state)
{
    static const char *const good[] = { "p", "pin", "a9", "valida", "tables", X32 };
    static const char *const bad[] = { "",      "9a",    "Pin",  "p_n",   "p-n",  "p.n",
                                       "valid", "clean", "dead", "table", X32 "6" };
    (void)state;
    for (size_t i = 0; i < MR_COUNT(good); i++)
        assert_true(mr_kind_ok(mr_slice_text(good[i])));
    for (size_t i = 0; i < MR_COUNT(bad); i++)
        assert_false(mr_kind_ok(mr_slice_text(bad[i])));
}

static void
a_topic_reads_back_as_it_was_written(void **state)
{
    static const char *const suffixes[] = { "", ".valid", ".clean", ".dead" };
    (void)state;
    for (size_t role = 0; role < MR_COUNT(suffixes); role++) {
        char topic[MR_TOPIC_MAX + 1], expected[MR_TOPIC_MAX + 1];
        struct mr_topic_name name;
        mr_topic_format(X64, X32, (enum mr_topic_role)role, topic);
        (void)snprintf(expected, sizeof(expected), "%s.%s%s", X64, X32, suffixes[role]);
        assert_string_equal(topic, expected);
        assert_string_equal(mr_topic_suffix((enum mr_topic_role)role), suffixes[role]);
        assert_true(mr_topic_parse(topic, &name));
        assert_string_equal(name.tenant, X64);
        assert_string_equal(name.kind, X32);
        assert_int_equal(name.role, role);
    }
}

static void
topics_of_others_are_not_ours(void **state)
{
    static const char *const others[] = { "",        "pin",         "a.",         ".pin",
                                          "a.valid", "a.pin.other", "a.pin.",     "a.pin.dead.x",
                                          "a.Pin",   "a b.pin",     "a.pin.Dead", "__offsets" };
    (void)state;
    for (size_t i = 0; i < MR_COUNT(others); i++) {
        struct mr_topic_name name;
        assert_false(mr_topic_parse(others[i], &name));
    }
}

static void
a_stream_names_its_tenant_and_kind_in_each_known_spelling(void **state)
{
    static const struct {
        const char *stream, *tenant;
    } cases[] = {
        { "streaming-12b287eedf6d-pin", "12b287eedf6d" }, { "12b287eedf6d-pin", "12b287eedf6d" },
        { "12b287eedf6d_pin", "12b287eedf6d" },           { "12b287eedf6d.pin", "12b287eedf6d" },
        { "12b287eedf6d_pin_table", "12b287eedf6d" },     { "streaming-a-b_c-pin", "a-b_c" }
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        struct mr_topic_name name;
        assert_true(mr_stream_parse(mr_slice_text(cases[i].stream), &name));
        assert_string_equal(name.tenant, cases[i].tenant);
        assert_string_equal(name.kind, "pin");
        assert_int_equal(name.role, MR_TOPIC_RAW);
    }
}

static void
a_stream_without_a_tenant_or_a_kind_is_refused(void **state)
{
    static const char *const bad[] = { "",          "pin",        "-pin",
                                       "a-",        "a-table",    "a-Pin1",
                                       "a.b.c.pin", "streaming-", "streaming-pin" };
    (void)state;
    for (size_t i = 0; i < MR_COUNT(bad); i++) {
        struct mr_topic_name name;
        assert_false(mr_stream_parse(mr_slice_text(bad[i]), &name));
    }
}

static void
a_table_has_the_longest_name_that_fits(void **state)
{
    char table[MR_TABLE_MAX + 1];
    (void)state;
    mr_table_name("12b287eedf6d", "pin", table);
    assert_string_equal(table, "12b287eedf6d_pin_table");
    mr_table_name("12b287eedf6d", "dead", table);
    assert_string_equal(table, "12b287eedf6d_dead_table");
    mr_table_name(X64, X32, table);
    assert_string_equal(table, X64 "_" X32 "_table");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tenant_has_1_to_64_letters_digits_dashes_and_underscores),
        cmocka_unit_test(a_kind_is_a_lower_case_word_that_no_suffix_uses),
        cmocka_unit_test(a_topic_reads_back_as_it_was_written),
        cmocka_unit_test(topics_of_others_are_not_ours),
        cmocka_unit_test(a_stream_names_its_tenant_and_kind_in_each_known_spelling),
        cmocka_unit_test(a_stream_without_a_tenant_or_a_kind_is_refused),
        cmocka_unit_test(a_table_has_the_longest_name_that_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
