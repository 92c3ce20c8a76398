/*
 * Where a stage starts, and where it refuses to (LAW 2, 7, 11): offsets that belong to another log,
 * outputs that tell of a past that the group has forgotten, and members of one group.
 */
#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "stage_fixture.h"
#include "test.h"

static void
post_pins(struct mill *mill, int count)
{
    for (int i = 0; i < count; i++) {
        MR_CLEANUP(mr_freep) char *pin = mill_pin(i);
        mill_post(mill, i % MILL_PARTS, NULL, pin);
    }
}

static void
assert_ends_with(struct mill *mill, const char *words)
{
    struct mr_err err = { 0 };
    int64_t until_ms = mr_now_ms() + 10000;
    while (err.remedy != MR_FATAL && mr_now_ms() < until_ms)
        (void)mill_step(mill, &err);
    assert_int_equal(err.code, MR_E(IDENTITY));
    if (strstr(err.text, words) == NULL)
        fail_msg("%s", err.text);
}

static void
commit_by_hand(struct mill *mill, int64_t next, const char *note)
{
    struct mr_err err = { 0 };
    struct mr_reader *reader = NULL;
    const struct mr_reader_options options = { .group = MILL_GROUP, .queue_bytes_max = 1 << 20 };
    const struct mr_part part = { .topic = MILL_RAW };
    const struct mr_position position = { .next = next, .note = note };
    assert_int_equal(mr_reader_open(mill->bus, &options, &reader, &err), 0);
    assert_int_equal(mr_reader_assign(reader, &part, 1, &err), 0);
    assert_int_equal(mr_reader_commit(reader, &position, 1, 1000, &err), 0);
    mr_reader_close(reader);
}

/* ---- another log under the name ---- */

static void
a_topic_made_anew_under_a_running_stage_ends_it(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    mill_start(mill);
    post_pins(mill, 10);
    mill_run(mill, 10);
    mr_bus_memory_recreate(mill->bus, MILL_RAW);
    post_pins(mill, 20);
    assert_ends_with(mill, "no offsets of topic t.pin");
}

static void
a_topic_made_anew_that_its_reader_did_not_notice_ends_it(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    mill_start(mill);
    post_pins(mill, 10);
    mill_run(mill, 10);
    mr_bus_memory_swap(mill->bus, MILL_RAW);
    assert_ends_with(mill, "topic t.pin was made anew while it was read: it had id ");
    mill_crash(mill);
    mill_start(mill); /* what was committed since is of the old one */
    assert_ends_with(mill, "the topic now has id ");
}

/* Some brokers keep offsets of a deleted topic, and a stage that runs may commit them again. */
static void
offsets_of_the_topic_that_was_there_before_end_the_process(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    post_pins(mill, 10);
    commit_by_hand(mill, 3,
                   "1 in=3 good=3 repeated=0 dead=0 topic=000102030405060708090a0b0c0d0e0f");
    mill_start(mill);
    assert_ends_with(mill, "of topic id 000102030405060708090a0b0c0d0e0f, the topic now has id ");
}

static void
offsets_that_name_no_topic_id_are_gone_on_with(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    post_pins(mill, 10);
    commit_by_hand(mill, 3, "1 in=3 good=3 repeated=0 dead=0");
    mill_start(mill);
    mill_run(mill, 10);
    assert_int_equal(mill_records(mill, MILL_VALID), 7);
}

static void
an_offset_behind_the_end_ends_the_process(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    post_pins(mill, 10);
    commit_by_hand(mill, 6, "1 in=6 good=6 repeated=0 dead=0");
    mill_start(mill);
    assert_ends_with(mill, "committed offset 6 is outside of the log [0, 5]");
}

/* ---- what the outputs tell ---- */

static void
put_letter(struct mill *mill, const char *stage)
{
    struct mr_err err = { 0 };
    uint8_t packed[256];
    Millrace__V1__DeadLetter letter = MILLRACE__V1__DEAD_LETTER__INIT;
    letter.stage = (char *)stage;
    const struct mr_message message = {
        .topic = MILL_DEAD,
        .value = mr_slice(packed, millrace__v1__dead_letter__pack(&letter, packed)),
    };
    assert_int_equal(mr_writer_produce(mill->poster, &message, &err), 0);
    assert_int_equal(mr_writer_flush(mill->poster, 1000, &err), 0);
}

static void
dead_letters_of_another_stage_are_no_past_of_this_one(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    put_letter(mill, "cleaner");
    post_pins(mill, 10);
    mill_start(mill);
    mill_run(mill, 10);
    assert_int_equal(mill_records(mill, MILL_VALID), 10);
}

static void
dead_letters_of_this_stage_are_its_past(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    put_letter(mill, "validator");
    post_pins(mill, 10);
    mill_start(mill);
    assert_ends_with(mill, MILL_DEAD " holds its outputs");
}

static void
dead_letters_that_left_the_log_may_have_been_its_past(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    put_letter(mill, "cleaner");
    struct mr_offsets at[MILL_PARTS];
    struct mr_err err = { 0 };
    for (int32_t p = 0; p < MILL_PARTS; p++)
        at[p] = (struct mr_offsets){ .topic = MILL_DEAD, .partition = p };
    assert_int_equal(mr_bus_offsets(mill->bus, NULL, at, MILL_PARTS, 1000, &err), 0);
    for (int32_t p = 0; p < MILL_PARTS; p++)
        mr_bus_memory_trim(mill->bus, MILL_DEAD, p, at[p].end);
    post_pins(mill, 10);
    mill_start(mill);
    assert_ends_with(mill, MILL_DEAD " holds its outputs");
}

/* ---- members ---- */

static void
two_names_share_the_work(void **state)
{
    struct mill *mill = *state;
    struct mill other = *mill;
    struct mr_err err = { 0 };
    mill_topics(mill, 0);
    mill_start(mill);
    other.stage = NULL;
    other.instance = "two";
    mill_start(&other);
    post_pins(mill, 40);
    for (int i = 0; i < 5000 && mill_counts(mill).in < 40; i++) {
        if (mill_step(mill, &err) < 0)
            assert_int_equal(err.remedy, MR_RETRY);
        if (mill_step(&other, &err) < 0)
            assert_int_equal(err.remedy, MR_RETRY);
    }
    assert_int_equal(mill_records(mill, MILL_VALID), 40);
    mill_assert_origins_once(mill);
    mill_crash(&other);
}

int
main(void)
{
#define ON_MILL(test) cmocka_unit_test_setup_teardown(test, mill_open, mill_close)
    const struct CMUnitTest tests[] = {
        ON_MILL(a_topic_made_anew_under_a_running_stage_ends_it),
        ON_MILL(a_topic_made_anew_that_its_reader_did_not_notice_ends_it),
        ON_MILL(offsets_of_the_topic_that_was_there_before_end_the_process),
        ON_MILL(offsets_that_name_no_topic_id_are_gone_on_with),
        ON_MILL(an_offset_behind_the_end_ends_the_process),
        ON_MILL(dead_letters_of_another_stage_are_no_past_of_this_one),
        ON_MILL(dead_letters_of_this_stage_are_its_past),
        ON_MILL(dead_letters_that_left_the_log_may_have_been_its_past),
        ON_MILL(two_names_share_the_work),
    };
    return cmocka_run_group_tests_name("takeover", tests, NULL, NULL);
}
