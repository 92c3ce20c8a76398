/*
 * The scanner of envelopes. Bodies as a whole: tests/component/test_gateway_forms.c and fuzzing.
 */
#include "gateway/scan.h"

#include "test.h"

static void
json_is_told_from_what_is_not(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{}",       " [ ] ", "\"\"", "\"a\\\"b\\\\\"", "0",
        "-0.5e+10", "1E9",   "true", "null",           "{\"a\":[{\"b\":\"}\"}]}"
    };
    static const char *const bad[] = {
        "",   " ",  "{", "[}",  "{]",  "\"",    "\"\\\"", "01",           "+1",  ".5",
        "1.", "1e", "-", "tru", "nul", "{} {}", "1 2",    "eyJhIjoxfQ==", "abc", "nullx"
    };
    for (size_t i = 0; i < MR_COUNT(good); i++)
        if (!scan_is_json(mr_slice_text(good[i])))
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < MR_COUNT(bad); i++)
        if (scan_is_json(mr_slice_text(bad[i])))
            fail_msg("%s", bad[i]);
    assert_false(scan_is_json(mr_slice(NULL, 0)));
}

static void
a_value_has_a_largest_depth(void **state)
{
    (void)state;
    for (size_t depth = SCAN_DEPTH_MAX; depth <= SCAN_DEPTH_MAX + 1; depth++) {
        struct mr_buf text;
        mr_buf_init(&text, 4096);
        memset(mr_buf_extend(&text, depth), '[', depth);
        memset(mr_buf_extend(&text, depth), ']', depth);
        assert_int_equal(scan_is_json(mr_buf_slice(&text)), depth == SCAN_DEPTH_MAX);
        mr_buf_fini(&text);
    }
}

static void
nothing_follows_the_first_fault(void **state)
{
    (void)state;
    struct scan scan;
    struct mr_slice value;
    scan_init(&scan, MR_SLICE("[1,,2]"));
    assert_true(scan_enter(&scan, '['));
    assert_true(scan_item(&scan));
    assert_true(scan_value(&scan, &value));
    assert_true(scan_item(&scan));
    assert_false(scan_value(&scan, &value));
    assert_string_equal(scan.fault, "a value is expected");
    assert_false(scan_item(&scan));
    assert_false(scan_end(&scan));
}

static void
escapes_become_what_they_stand_for(void **state)
{
    (void)state;
    static const struct {
        const char *string, *text;
    } cases[] = {
        { "\"\"", "" },
        { "\"plain\"", "plain" },
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
        { "\"\\u0041\\u00e4\\u20AC\"", "A\303\244\342\202\254" },
        { "\"\\ud83d\\ude00\"", "\360\237\230\200" },
        { "\"\\ud83dx\"", "\355\240\275x" }, /* a lone surrogate is no UTF-8, and stays so */
        { "\"\\ud83d\\u0041\"", "\355\240\275A" },
    };
    struct mr_arena arena;
    mr_arena_init(&arena);
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        struct mr_slice text;
        assert_true(scan_unescape(mr_slice_text(cases[i].string), &arena, &text));
        if (!mr_slice_is_text(text, cases[i].text))
            fail_msg("%s: %.*s", cases[i].string, (int)text.size, (const char *)text.data);
    }
    static const char *const bad[] = { "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\u\"" };
    for (size_t i = 0; i < MR_COUNT(bad); i++) {
        struct mr_slice text;
        assert_false(scan_unescape(mr_slice_text(bad[i]), &arena, &text));
    }
    mr_arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_told_from_what_is_not),
        cmocka_unit_test(a_value_has_a_largest_depth),
        cmocka_unit_test(nothing_follows_the_first_fault),
        cmocka_unit_test(escapes_become_what_they_stand_for),
    };
    return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
