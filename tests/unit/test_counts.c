/*
 * The note of a committed offset: counts that survive, dead letters by code among them.
 */
#include "bus/bus.h"
#include "stage/stage.h"
#include "test.h"

static const uint8_t topic_id[MR_TOPIC_ID_BYTES] = { 0xab, 0xcd };

static void
counts_by_code_come_back(void **state)
{
    (void)state;
    struct mr_counts counts = { .in = 12, .good = 8, .repeated = 1, .dead = 3 }, read;
    char note[MR_POSITION_NOTE_MAX];
    counts.codes[1] = 2;
    counts.codes[19] = 1;
    mr_counts_note(&counts, topic_id, note);
    assert_string_equal(note, "1 in=12 good=8 repeated=1 dead=3 codes=1:2,19:1 "
                              "topic=abcd0000000000000000000000000000");
    assert_true(mr_counts_parse(note, &read));
    assert_memory_equal(&read, &counts, sizeof(read));
    mr_counts_note(&counts, NULL, note);
    assert_true(mr_counts_parse(note, &read));
    assert_memory_equal(&read, &counts, sizeof(read));
}

static void
a_note_of_before_codes_is_read(void **state)
{
    (void)state;
    struct mr_counts read;
    assert_true(mr_counts_parse("1 in=3 good=1 repeated=0 dead=2", &read));
    assert_int_equal(read.dead, 2);
    assert_int_equal(read.codes[1], 0);
}

static void
the_largest_note_has_room(void **state)
{
    (void)state;
    struct mr_counts counts, read;
    char note[MR_POSITION_NOTE_MAX];
    counts.in = counts.good = counts.repeated = counts.dead = 999999999999999999;
    for (int code = 0; code < MR_DEAD_CODES; code++)
        counts.codes[code] = 999999999999999999;
    mr_counts_note(&counts, topic_id, note);
    assert_true(mr_counts_parse(note, &read));
    assert_memory_equal(&read, &counts, sizeof(read));
}

static void
other_notes_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       "1 in=3 good=1 repeated=0",
                                       "2 in=3 good=1 repeated=0 dead=2",
                                       "1 in=3 good=1 repeated=0 dead=2 more",
                                       "1 in=3 good=1 repeated=0 dead=2 codes=",
                                       "1 in=3 good=1 repeated=0 dead=2 codes=1",
                                       "1 in=3 good=1 repeated=0 dead=2 codes=32:1",
                                       "1 in=3 good=1 repeated=0 dead=2 codes=1:1,",
                                       "1 in=3 good=1 repeated=0 dead=2 codes=1:1;" };
    struct mr_counts read;
    for (size_t i = 0; i < MR_COUNT(bad); i++)
        assert_false(mr_counts_parse(bad[i], &read));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_by_code_come_back),
        cmocka_unit_test(a_note_of_before_codes_is_read),
        cmocka_unit_test(the_largest_note_has_room),
        cmocka_unit_test(other_notes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
