#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

static void
first_failure_wins_and_gets_a_place_in_front(void **state)
{
    (void)state;
    struct mr_err err = { 0 };

    assert_int_equal(mr_fail(&err, MR_E(TIMEOUT), MR_RETRY, "no answer in %d ms", 5),
                     MR_E(TIMEOUT));
    assert_int_equal(mr_fail(&err, MR_E(IO), MR_FATAL, "later"), MR_E(TIMEOUT));
    assert_int_equal(mr_fail_in(&err, "topic %s", "a.pin"), MR_E(TIMEOUT));
    assert_string_equal(err.text, "topic a.pin: no answer in 5 ms");
    assert_int_equal(err.remedy, MR_RETRY);
    assert_string_equal(mr_code_name(err.code), "TIMEOUT");
}

static void
error_text_is_cut_not_overrun(void **state)
{
    (void)state;
    struct mr_err err = { 0 };
    char large[2 * MR_ERR_TEXT_MAX];
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';

    (void)mr_fail(&err, MR_E(IO), MR_RETRY, "%s", large);
    assert_int_equal(strlen(err.text), MR_ERR_TEXT_MAX - 1);
    (void)mr_fail_in(&err, "thing");
    assert_int_equal(strncmp(err.text, "thing: xxx", 10), 0);
    (void)mr_fail_in(&err, "%s", large);
    assert_int_equal(strncmp(err.text, "thing: xxx", 10), 0);
}

static void
buffer_stops_at_its_maximum_and_keeps_what_it_had(void **state)
{
    (void)state;
    struct mr_buf buf;
    mr_buf_init(&buf, 10);

    mr_buf_text(&buf, "0123456789");
    assert_false(buf.failed);
    mr_buf_text(&buf, "a");
    assert_true(buf.failed);
    assert_string_equal(buf.data, "0123456789");
    mr_buf_reset(&buf);
    mr_buf_printf(&buf, "%d+%d", 12, 34);
    assert_false(buf.failed);
    assert_string_equal(buf.data, "12+34");
    mr_buf_fini(&buf);
}

static void
json_text_is_escaped(void **state)
{
    (void)state;
    struct mr_buf buf;
    mr_buf_init(&buf, 1000);
    mr_buf_json(&buf, MR_SLICE("a\"b\\c\nd\x01 \xc3\xa9"));
    assert_string_equal(buf.data, "\"a\\\"b\\\\c\\nd\\u0001 \xc3\xa9\"");
    mr_buf_fini(&buf);
}

static void
arena_reuses_its_blocks_after_reset(void **state)
{
    (void)state;
    struct mr_arena arena;
    mr_arena_init(&arena);
    void *first = mr_arena_alloc(&arena, 100);
    char *large = mr_arena_alloc(&arena, 1 << 20);
    memset(large, 1, 1 << 20);
    assert_int_equal((uintptr_t)large % 16, 0);
    assert_int_equal(arena.used, 112 + (1 << 20));
    mr_arena_reset(&arena);
    assert_ptr_equal(mr_arena_alloc(&arena, 100), first);
    assert_ptr_equal(mr_arena_alloc(&arena, 1 << 20), large);
    assert_string_equal(mr_arena_copy(&arena, "abc", 3), "abc");
    mr_arena_fini(&arena);
}

/* Reference values of org.apache.kafka.common.utils.Utils.murmur2, as published in its unit test,
 * with the sign bit cleared. */
static void
murmur2_is_javas(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int32_t hash;
    } known[] = { { "21", -973932308 },
                  { "foobar", -790332482 },
                  { "a-little-bit-long-string", -985981536 },
                  { "a-little-bit-longer-string", -1486304829 },
                  { "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971 },
                  { "abc", 479470107 } };
    for (size_t i = 0; i < MR_COUNT(known); i++)
        assert_int_equal(mr_murmur2(known[i].key, strlen(known[i].key)),
                         (uint32_t)known[i].hash & 0x7fffffffU);
}

static void
hash64_is_xxh64(void **state)
{
    (void)state;
    assert_true(mr_hash64("", 0, 0) == 0xef46db3751d8e999U);
    assert_true(mr_hash64("abc", 3, 0) == 0x44bc2cf5ad770999U);
}

static void
utf8_is_judged_by_the_table_of_well_formed_sequences(void **state)
{
    (void)state;
    static const char *const good[] = { "",
                                        "plain text of ten",
                                        "\xc2\x80",
                                        "\xe0\xa0\x80",
                                        "\xed\x9f\xbf",
                                        "\xf0\x90\x80\x80",
                                        "\xf4\x8f\xbf\xbf" };
    static const char *const bad[] = { "\x80",         "\xc1\xbf",         "\xe0\x9f\xbf",
                                       "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                                       "\xc2",         "\xe2\x82",         "12345678\xff" };
    for (size_t i = 0; i < MR_COUNT(good); i++)
        assert_true(mr_utf8_valid(mr_slice_text(good[i])));
    for (size_t i = 0; i < MR_COUNT(bad); i++)
        assert_false(mr_utf8_valid(mr_slice_text(bad[i])));
}

static void
base64_round_trips_and_refuses_what_is_not_base64(void **state)
{
    (void)state;
    char bytes[64];
    struct mr_buf text;
    mr_buf_init(&text, 100);
    for (size_t size = 0; size < 10; size++) {
        mr_buf_reset(&text);
        mr_base64_encode(mr_slice("\x00\xff{\"a\":1}", size), &text);
        assert_int_equal(mr_base64_decode(mr_buf_slice(&text), bytes), size);
        assert_memory_equal(bytes, "\x00\xff{\"a\":1}", size);
    }
    mr_buf_fini(&text);
    static const char *const bad[] = { "abc", "ab c", "a===", "ab=c", "{\"a\"" };
    for (size_t i = 0; i < MR_COUNT(bad); i++)
        assert_int_equal(mr_base64_decode(mr_slice_text(bad[i]), bytes), MR_E(INVALID));
}

static void
uuids_have_their_shape_and_differ(void **state)
{
    (void)state;
    char a[MR_UUID_TEXT + 1], b[MR_UUID_TEXT + 1];
    mr_uuid_text(a);
    mr_uuid_text(b);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), MR_UUID_TEXT);
    assert_int_equal(a[14], '4');
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_failure_wins_and_gets_a_place_in_front),
        cmocka_unit_test(error_text_is_cut_not_overrun),
        cmocka_unit_test(buffer_stops_at_its_maximum_and_keeps_what_it_had),
        cmocka_unit_test(json_text_is_escaped),
        cmocka_unit_test(arena_reuses_its_blocks_after_reset),
        cmocka_unit_test(murmur2_is_javas),
        cmocka_unit_test(hash64_is_xxh64),
        cmocka_unit_test(utf8_is_judged_by_the_table_of_well_formed_sequences),
        cmocka_unit_test(base64_round_trips_and_refuses_what_is_not_base64),
        cmocka_unit_test(uuids_have_their_shape_and_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
