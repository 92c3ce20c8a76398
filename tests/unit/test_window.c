/*
 * The repeat window against its definition, computed by brute force over the log.
 */
#include "window.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "test.h"

struct fact {
    uint8_t id[WINDOW_ID_BYTES];
    int64_t offset;
    uint64_t value;
};

enum { LOG_MAX = 4000 };

static void
id_of(unsigned n, uint8_t ret[WINDOW_ID_BYTES])
{
    memset(ret, 0, WINDOW_ID_BYTES);
    memcpy(ret, &n, sizeof(n));
}

/* The definition: the earliest record with that id in [offset - reach, offset). */
static const struct fact *
by_definition(const struct fact *log, size_t count, const struct fact *record, int64_t reach)
{
    for (size_t i = 0; i < count; i++)
        if (log[i].offset >= record->offset - reach && log[i].offset < record->offset &&
            memcmp(log[i].id, record->id, WINDOW_ID_BYTES) == 0)
            return &log[i];
    return NULL;
}

static void
assert_same(const struct window *window, const struct fact *log, size_t count,
            const struct fact *record, int64_t reach)
{
    uint64_t value = 0;
    const struct fact *expected = by_definition(log, count, record, reach);
    assert_int_equal(window_find(window, record->id, record->offset, &value), expected != NULL);
    if (expected != NULL)
        assert_true(value == expected->value);
}

static void
only_what_stands_before_a_record_makes_it_a_repeat(void **state)
{
    (void)state;
    uint8_t id[WINDOW_ID_BYTES];
    uint64_t value = 0;
    struct window *window = window_new(100);
    id_of(1, id);
    window_add(window, id, 5, 7);
    assert_false(window_find(window, id, 5, &value));
    assert_false(window_find(window, id, 3, &value));
    assert_true(window_find(window, id, 6, &value));
    window_free(window);
}

/* Random ids from a small set, random gaps, commits and aborts at random places. */
static void
decides_like_its_definition_through_commits_and_aborts(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    printf("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 20; round++) {
        static struct fact log[LOG_MAX];
        int64_t reach = rand() % 600, committed = 0;
        unsigned ids = 1 + (unsigned)rand() % 400;
        size_t count = 0, committed_count = 0;
        struct window *window = window_new(reach);
        for (int64_t offset = 0; count < LOG_MAX; offset += 1 + rand() % 3) {
            struct fact *record = &log[count];
            id_of((unsigned)rand() % ids, record->id);
            record->offset = offset;
            record->value = (uint64_t)rand();
            assert_same(window, log, count, record, reach);
            window_add(window, record->id, record->offset, record->value);
            count++;
            int chance = rand() % 100;
            if (chance < 5) {
                committed = offset + 1;
                committed_count = count;
                window_advance(window, committed);
            } else if (chance < 7) {
                window_rewind(window, committed);
                count = committed_count;
                offset = committed;
            }
        }
        window_free(window);
    }
}

static void
a_record_read_again_after_an_abort_is_no_repeat_of_itself(void **state)
{
    (void)state;
    struct window *window = window_new(100);
    uint8_t id[WINDOW_ID_BYTES];
    uint64_t value;
    id_of(1, id);

    window_add(window, id, 7, 42);
    window_rewind(window, 7);
    assert_false(window_find(window, id, 7, &value));
    window_add(window, id, 7, 42);
    assert_true(window_find(window, id, 8, &value));
    window_free(window);
}

static void
reach_is_exact_at_its_edge(void **state)
{
    (void)state;
    struct window *window = window_new(10);
    uint8_t id[WINDOW_ID_BYTES];
    uint64_t value;
    id_of(1, id);

    window_add(window, id, 5, 42);
    assert_true(window_find(window, id, 15, &value));
    assert_false(window_find(window, id, 16, &value));
    window_free(window);
}

static void
memory_stays_bounded_by_the_reach(void **state)
{
    (void)state;
    struct window *window = window_new(1000);
    uint8_t id[WINDOW_ID_BYTES];

    for (unsigned i = 0; i < 100000; i++) {
        id_of(i, id);
        window_add(window, id, i, i);
        if (i % 100 == 0)
            window_advance(window, i + 1);
    }
    assert_true(window_count(window) <= 1100);
    assert_true(window_bytes(window) <= 2048 * 64);
    window_free(window);
}

/* With a walk along the chain each time this would take hours. */
static void
an_id_that_always_comes_again_costs_no_more_each_time(void **state)
{
    (void)state;
    enum { TIMES = 1000000 };
    struct window *window = window_new(TIMES);
    uint8_t id[WINDOW_ID_BYTES];
    uint64_t value;
    id_of(1, id);

    for (int64_t i = 0; i < TIMES; i++)
        window_add(window, id, i, (uint64_t)i);
    window_rewind(window, TIMES / 2);
    for (int64_t i = TIMES / 2; i < TIMES; i++)
        window_add(window, id, i, (uint64_t)i);
    assert_true(window_find(window, id, TIMES, &value));
    assert_true(value == 0);
    window_advance(window, TIMES + 10);
    assert_true(window_find(window, id, TIMES + 1, &value));
    assert_true(value == 10);
    window_free(window);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_stands_before_a_record_makes_it_a_repeat),
        cmocka_unit_test(decides_like_its_definition_through_commits_and_aborts),
        cmocka_unit_test(a_record_read_again_after_an_abort_is_no_repeat_of_itself),
        cmocka_unit_test(reach_is_exact_at_its_edge),
        cmocka_unit_test(an_id_that_always_comes_again_costs_no_more_each_time),
        cmocka_unit_test(memory_stays_bounded_by_the_reach),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
