/*
 * What makes an event the same event (LAW 3): every part of its name counts, and where one part
 * ends and the next begins.
 */
#include "gateway/stamp.h"

#include "test.h"

struct naming {
    const char *principal, *key, *topic, *source, *id;
    uint32_t index;
};

static void
name_it(const struct naming *naming, uint8_t ret[STAMP_ID_BYTES])
{
    struct stamp stamp;
    struct stamp_name name = { 0 };
    struct stamp_origin origin = { .principal = naming->principal };
    if (naming->key != NULL)
        origin.key = mr_slice_text(naming->key);
    if (naming->id != NULL) {
        origin.is_named = true;
        name.source = mr_slice_text(naming->source);
        name.id = mr_slice_text(naming->id);
    }
    stamp_init(&stamp, &origin);
    stamp_id(&stamp, naming->topic, naming->index, &name, ret);
}

static void
assert_same_is(bool same, const struct naming *a, const struct naming *b)
{
    uint8_t one[STAMP_ID_BYTES], other[STAMP_ID_BYTES];
    name_it(a, one);
    name_it(b, other);
    assert_int_equal(memcmp(one, other, sizeof(one)) == 0, same);
}

static void
each_part_of_a_key_makes_another_event(void **state)
{
    (void)state;
    const struct naming base = { "alice", "1", "t.pin", NULL, NULL, 0 };
    const struct naming others[] = {
        { "bob", "1", "t.pin", NULL, NULL, 0 },   { "alice", "2", "t.pin", NULL, NULL, 0 },
        { "alice", "1", "t.geo", NULL, NULL, 0 }, { "alice", "1", "t.pin", NULL, NULL, 1 },
        { "alice", "1", "t.pin", "", "1", 0 },
    };
    assert_same_is(true, &base, &base);
    for (size_t i = 0; i < MR_COUNT(others); i++)
        assert_same_is(false, &base, &others[i]);
}

static void
each_part_of_a_name_makes_another_event(void **state)
{
    (void)state;
    const struct naming base = { "alice", NULL, "t.pin", "/shop", "1", 0 };
    const struct naming others[] = {
        { "bob", NULL, "t.pin", "/shop", "1", 0 },
        { "alice", NULL, "t.geo", "/shop", "1", 0 },
        { "alice", NULL, "t.pin", "/bank", "1", 0 },
        { "alice", NULL, "t.pin", "/shop", "2", 0 },
    };
    const struct naming elsewhere = { "alice", "k", "t.pin", "/shop", "1", 7 };
    assert_same_is(true, &base, &elsewhere); /* its own name is all that counts */
    for (size_t i = 0; i < MR_COUNT(others); i++)
        assert_same_is(false, &base, &others[i]);
}

static void
parts_do_not_run_into_each_other(void **state)
{
    (void)state;
    const struct naming pairs[][2] = {
        { { "alice", NULL, "t.pin", "/a", "bc", 0 }, { "alice", NULL, "t.pin", "/ab", "c", 0 } },
        { { "a", "k", "lice.pin", NULL, NULL, 0 }, { "al", "k", "ice.pin", NULL, NULL, 0 } },
        { { "a", "1", "t.pin", NULL, NULL, 0 }, { "a", "n1", "t.pi", NULL, NULL, 0 } },
    };
    for (size_t i = 0; i < MR_COUNT(pairs); i++)
        assert_same_is(false, &pairs[i][0], &pairs[i][1]);
}

static void
without_key_and_name_no_two_are_the_same(void **state)
{
    (void)state;
    const struct naming nameless = { "alice", NULL, "t.pin", NULL, NULL, 0 };
    assert_same_is(false, &nameless, &nameless);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_of_a_key_makes_another_event),
        cmocka_unit_test(each_part_of_a_name_makes_another_event),
        cmocka_unit_test(parts_do_not_run_into_each_other),
        cmocka_unit_test(without_key_and_name_no_two_are_the_same),
    };
    return cmocka_run_group_tests_name("stamp", tests, NULL, NULL);
}
