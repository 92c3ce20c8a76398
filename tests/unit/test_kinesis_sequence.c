/*
 * Shards, sequence numbers and hash keys. The ranges are those that the service itself gave to
 * streams of one to four shards.
 */
#include "gateway/kinesis_sequence.h"

#include "test.h"

#include <stdlib.h>
#include <string.h>

static void
ranges_are_those_of_the_service(void **state)
{
    (void)state;
    static const struct {
        int shards;
        int32_t shard;
        const char *first, *last;
    } known[] = {
        { 1, 0, "0", "340282366920938463463374607431768211455" },
        { 2, 0, "0", "170141183460469231731687303715884105727" },
        { 2, 1, "170141183460469231731687303715884105728",
          "340282366920938463463374607431768211455" },
        { 3, 0, "0", "113427455640312821154458202477256070484" },
        { 3, 1, "113427455640312821154458202477256070485",
          "226854911280625642308916404954512140969" },
        { 3, 2, "226854911280625642308916404954512140970",
          "340282366920938463463374607431768211455" },
        { 4, 1, "85070591730234615865843651857942052864",
          "170141183460469231731687303715884105727" },
    };
    for (size_t i = 0; i < MR_COUNT(known); i++) {
        hash_key first, last;
        char text[HASH_KEY_DIGITS + 1];
        shard_range(known[i].shard, known[i].shards, &first, &last);
        hash_key_format(first, text);
        assert_string_equal(text, known[i].first);
        hash_key_format(last, text);
        assert_string_equal(text, known[i].last);
    }
}

static void
ranges_meet_and_hold_the_keys_that_go_there(void **state)
{
    (void)state;
    for (int shards = 1; shards < 1000; shards++) {
        hash_key next = 0;
        for (int32_t shard = 0; shard < shards; shard++) {
            hash_key first, last;
            shard_range(shard, shards, &first, &last);
            assert_true(first == next);
            assert_true(last >= first);
            assert_int_equal(shard_of(first, shards), shard);
            assert_int_equal(shard_of(last, shards), shard);
            next = last + 1;
        }
        assert_true(next == 0);
    }
}

static void
hash_key_is_the_md5_of_the_partition_key(void **state)
{
    (void)state;
    char text[HASH_KEY_DIGITS + 1];
    hash_key_format(hash_key_of(MR_SLICE("a")), text); /* 0cc175b9c0f1b6a831c399e269772661 */
    assert_string_equal(text, "16955237001963240173058271559858726497");
}

static void
hash_key_is_read_only_when_it_is_one(void **state)
{
    (void)state;
    static const char *const good[] = { "0", "1", "340282366920938463463374607431768211455" };
    static const char *const bad[] = { "",
                                       "-1",
                                       "+1",
                                       "01",
                                       "1 ",
                                       "x",
                                       "1e3",
                                       "340282366920938463463374607431768211456",
                                       "999999999999999999999999999999999999999",
                                       "1000000000000000000000000000000000000000" };
    hash_key key;
    for (size_t i = 0; i < MR_COUNT(good); i++) {
        char text[HASH_KEY_DIGITS + 1];
        assert_true(hash_key_parse(mr_slice_text(good[i]), &key));
        hash_key_format(key, text);
        assert_string_equal(text, good[i]);
    }
    for (size_t i = 0; i < MR_COUNT(bad); i++)
        assert_false(hash_key_parse(mr_slice_text(bad[i]), &key));
}

static void
sequence_numbers_are_ordered_and_read_back(void **state)
{
    (void)state;
    static const int64_t offsets[] = { 0, 1, 9, 10, 4294967296, INT64_MAX - 8 };
    char before[SEQUENCE_BYTES] = "";
    for (size_t i = 0; i < MR_COUNT(offsets); i++) {
        char text[SEQUENCE_BYTES];
        int32_t partition;
        int64_t offset;
        sequence_format(99999, offsets[i], text);
        assert_true(strcmp(before, text) < 0);
        assert_true(sequence_parse(mr_slice_text(text), &partition, &offset));
        assert_int_equal(partition, 99999);
        assert_int_equal(offset, offsets[i]);
        memcpy(before, text, sizeof(text));
    }
    static const char *const bad[] = { "",
                                       "0",
                                       "4900000000000000000000000x",
                                       "48000000000000000000000000",
                                       "490000000000000000000000000",
                                       "49999999999999999999900000" };
    for (size_t i = 0; i < MR_COUNT(bad); i++) {
        int32_t partition;
        int64_t offset;
        assert_false(sequence_parse(mr_slice_text(bad[i]), &partition, &offset));
    }
}

static void
shards_are_read_by_name_or_number(void **state)
{
    (void)state;
    char name[SHARD_NAME_BYTES];
    int32_t partition;
    shard_name(7, name);
    assert_string_equal(name, "shardId-000000000007");
    assert_true(shard_parse(mr_slice_text(name), &partition));
    assert_int_equal(partition, 7);
    assert_true(shard_parse(MR_SLICE("12"), &partition));
    assert_int_equal(partition, 12);
    assert_false(shard_parse(MR_SLICE("shardId-"), &partition));
    assert_false(shard_parse(MR_SLICE("shardId--1"), &partition));
    assert_false(shard_parse(MR_SLICE("shardId-2147483648"), &partition));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_those_of_the_service),
        cmocka_unit_test(ranges_meet_and_hold_the_keys_that_go_there),
        cmocka_unit_test(hash_key_is_the_md5_of_the_partition_key),
        cmocka_unit_test(hash_key_is_read_only_when_it_is_one),
        cmocka_unit_test(sequence_numbers_are_ordered_and_read_back),
        cmocka_unit_test(shards_are_read_by_name_or_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
