#include "bus_promises.h"

#include <poll.h>
#include <stdio.h>

#include "bus_tools.h"

/* ---- writer ---- */

struct tally {
    unsigned good, bad;
    int64_t last_offset;
    void *bad_opaque;
    struct mr_err err;
};

static void
count_delivery(void *self, void *opaque, int32_t partition, int64_t offset,
               const struct mr_err *err)
{
    struct tally *tally = self;
    (void)partition;
    if (err == NULL) {
        tally->good++;
        tally->last_offset = offset;
        return;
    }
    tally->bad++;
    tally->bad_opaque = opaque;
    tally->err = *err;
}

static struct mr_writer *
tallied_writer(struct mr_bus *bus, const char *id, int64_t queue_bytes_max, struct tally *tally)
{
    struct mr_writer *writer;
    struct mr_writer_options options = { .transactional_id = id,
                                         .linger_ms = -1,
                                         .queue_bytes_max = queue_bytes_max,
                                         .delivered = count_delivery,
                                         .self = tally };
    TOOL_OK(mr_writer_open(bus, &options, &writer, &oops));
    return writer;
}

static void
delivery_makes_the_descriptor_readable_and_is_told_once(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL);
    struct tally tally = { 0 };
    MR_CLEANUP(mr_writer_closep)
    struct mr_writer *writer = tallied_writer(bus, NULL, 1 << 20, &tally);
    for (unsigned round = 1; round <= 3; round++) {
        tool_put(writer, topic, 0, "x");
        int64_t deadline_ms = tool_now_ms() + WAIT_MS;
        while (tally.good < round) {
            struct pollfd readable = { .fd = mr_writer_fd(writer), .events = POLLIN };
            assert_true(tool_now_ms() < deadline_ms);
            assert_true(poll(&readable, 1, WAIT_MS) > 0);
            (void)mr_writer_poll(writer, 0);
        }
        assert_int_equal(tally.good, round);
        assert_int_equal(tally.last_offset, round - 1);
    }
}

static void
full_queue_answers_full_and_takes_more_after_polling(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL);
    struct tally tally = { 0 };
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tallied_writer(bus, NULL, 1000, &tally);
    static const char value[600];
    struct mr_message message = { .topic = topic, .value = mr_slice(value, sizeof(value)) };
    struct mr_message large = { .topic = topic, .value = mr_slice(value, 400) };
    struct mr_err err = { 0 };
    TOOL_OK(mr_writer_produce(writer, &message, &oops));
    TOOL_OK(mr_writer_produce(writer, &large, &oops)); /* exactly full */
    large.value.size = 1;
    assert_int_equal(mr_writer_produce(writer, &large, &err), MR_E(FULL));
    assert_int_equal(err.remedy, MR_RETRY);
    TOOL_OK(mr_writer_flush(writer, WAIT_MS, &oops));
    TOOL_OK(mr_writer_produce(writer, &large, &oops));
    TOOL_OK(mr_writer_flush(writer, WAIT_MS, &oops));
    assert_int_equal(tally.good, 3);
}

static void
partition_counts_are_known_and_unknown_topics_not_found(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 4, NULL);
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, NULL);
    struct mr_err err = { 0 };
    assert_int_equal(mr_writer_partitions(writer, topic, WAIT_MS, &err), 4);
    assert_int_equal(mr_writer_partitions(writer, topic, 0, &err), 4);
    assert_int_equal(mr_writer_partitions(writer, tool_name("nowhere"), WAIT_MS, &err),
                     MR_E(NOT_FOUND));
}

/* Random bytes: a broker judges what is left after compression. */
static void
too_large_record_is_named_and_the_others_are_stored(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL);
    struct tally tally = { 0 };
    MR_CLEANUP(mr_writer_closep)
    struct mr_writer *writer = tallied_writer(bus, NULL, 16 << 20, &tally);
    enum { LARGE = 2 << 20 };
    MR_CLEANUP(mr_freep) char *noise = mr_alloc(LARGE);
    mr_random(noise, LARGE);
    tool_put(writer, topic, 0, "before");
    struct mr_message large = {
        .topic = topic, .value = mr_slice(noise, LARGE), .value_borrowed = true, .opaque = &tally
    };
    TOOL_OK(mr_writer_produce(writer, &large, &oops));
    tool_put(writer, topic, 0, "after");
    struct mr_err err = { 0 };
    assert_int_equal(mr_writer_flush(writer, WAIT_MS, &err), MR_E(TOO_LARGE));
    assert_int_equal(tally.bad, 1);
    assert_ptr_equal(tally.bad_opaque, &tally);
    assert_int_equal(tally.err.code, MR_E(TOO_LARGE));
    assert_int_equal(tally.good, 2);
    TOOL_OK(mr_writer_flush(writer, WAIT_MS, &oops)); /* told once */
}

/* ---- transactions ---- */

static void
aborted_records_are_never_seen_and_markers_take_offsets(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL);
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, tool_name("txn"));
    TOOL_OK(mr_writer_begin(writer, &oops));
    tool_put(writer, topic, 0, "aborted");
    TOOL_OK(mr_writer_flush(writer, WAIT_MS, &oops));
    TOOL_OK(mr_writer_abort(writer, WAIT_MS, &oops));
    TOOL_OK(mr_writer_begin(writer, &oops));
    tool_put(writer, topic, 0, "good");
    TOOL_OK(mr_writer_commit(writer, NULL, NULL, 0, WAIT_MS, &oops));

    struct member member;
    member_open_at(&member, bus, topic, 0, 0);
    member_wait_end(&member, 0, 4); /* aborted, marker, good, marker */
    assert_int_equal(member_records(&member), 1);
    assert_string_equal(member_record(&member, 0)->value, "good");
    assert_int_equal(member_record(&member, 0)->offset, 2);
    assert_int_equal(tool_offsets(bus, NULL, topic, 0).end, 4);
    member_close(&member);
}

static void
open_transaction_holds_back_all_that_follows(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL);
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, tool_name("txn"));
    TOOL_OK(mr_writer_begin(writer, &oops));
    tool_put(writer, topic, 0, "open");
    TOOL_OK(mr_writer_flush(writer, WAIT_MS, &oops));
    tool_fill(bus, topic, 0, 1);
    assert_int_equal(tool_offsets(bus, NULL, topic, 0).end, 0);
    struct member member;
    member_open_at(&member, bus, topic, 0, 0);
    member_wait_end(&member, 0, 0);
    assert_int_equal(member_records(&member), 0);
    TOOL_OK(mr_writer_commit(writer, NULL, NULL, 0, WAIT_MS, &oops));
    member_wait_end(&member, 0, 3);
    assert_string_equal(member_record(&member, 0)->value, "open");
    assert_string_equal(member_record(&member, 1)->value, "0");
    member_close(&member);
}

static void
second_writer_of_a_name_fences_the_first(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL), *id = tool_name("txn");
    MR_CLEANUP(mr_writer_closep) struct mr_writer *first = tool_writer(bus, id);
    TOOL_OK(mr_writer_begin(first, &oops));
    tool_put(first, topic, 0, "zombie");
    TOOL_OK(mr_writer_flush(first, WAIT_MS, &oops));
    MR_CLEANUP(mr_writer_closep) struct mr_writer *second = tool_writer(bus, id);
    TOOL_OK(mr_writer_begin(second, &oops));
    tool_put(second, topic, 0, "heir");
    TOOL_OK(mr_writer_commit(second, NULL, NULL, 0, WAIT_MS, &oops));

    struct mr_err err = { 0 };
    assert_int_equal(mr_writer_commit(first, NULL, NULL, 0, WAIT_MS, &err), MR_E(FENCED));
    assert_int_equal(err.remedy, MR_FATAL);
    struct member member;
    member_open_at(&member, bus, topic, 0, 0);
    member_wait_end(&member, 0, 4);
    assert_int_equal(member_records(&member), 1);
    assert_true(member_saw(&member, "heir"));
    member_close(&member);
}

static void
failed_delivery_fails_the_commit_and_the_next_transaction_is_clean(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL);
    struct tally tally = { 0 };
    MR_CLEANUP(mr_writer_closep)
    struct mr_writer *writer = tallied_writer(bus, tool_name("txn"), 16 << 20, &tally);
    enum { LARGE = 2 << 20 };
    MR_CLEANUP(mr_freep) char *noise = mr_alloc(LARGE);
    mr_random(noise, LARGE);
    TOOL_OK(mr_writer_begin(writer, &oops));
    tool_put(writer, topic, 0, "dropped");
    struct mr_message large = { .topic = topic, .value = mr_slice(noise, LARGE), .opaque = &tally };
    TOOL_OK(mr_writer_produce(writer, &large, &oops));
    struct mr_err err = { 0 };
    assert_int_equal(mr_writer_commit(writer, NULL, NULL, 0, WAIT_MS, &err), MR_E(TOO_LARGE));
    assert_non_null(strstr(err.text, topic));
    assert_ptr_equal(tally.bad_opaque, &tally);
    assert_int_equal(tally.err.code, MR_E(TOO_LARGE));
    TOOL_OK(mr_writer_abort(writer, WAIT_MS, &oops));
    TOOL_OK(mr_writer_begin(writer, &oops));
    tool_put(writer, topic, 0, "good");
    TOOL_OK(mr_writer_commit(writer, NULL, NULL, 0, WAIT_MS, &oops));
    struct member member;
    member_open_at(&member, bus, topic, 0, 0);
    member_wait_records(&member, 1);
    assert_string_equal(member_record(&member, 0)->value, "good");
    member_close(&member);
}

/* ---- groups ---- */

static void
assignment_is_told_until_answered_and_nothing_is_read_before(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 2, NULL);
    tool_fill(bus, topic, 0, 4);
    struct member member;
    member_open(&member, bus, tool_name("g"), NULL, topic);
    struct mr_batch batch = { 0 };
    int64_t deadline_ms = tool_now_ms() + WAIT_MS;
    while (batch.event != MR_BUS_ASSIGNED) {
        assert_true(tool_now_ms() < deadline_ms);
        TOOL_OK(mr_reader_poll(member.reader, 10, 50, &batch, &oops));
        assert_int_equal(batch.count, 0);
    }
    TOOL_OK(mr_reader_poll(member.reader, 10, 0, &batch, &oops));
    assert_int_equal(batch.event, MR_BUS_ASSIGNED);
    assert_int_equal(batch.parts_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct mr_part *part = &batch.parts[i];
        static const uint8_t nothing[MR_TOPIC_ID_BYTES];
        assert_string_equal(part->topic, topic);
        assert_memory_not_equal(part->topic_id, nothing, sizeof(nothing));
        assert_int_equal(part->log_start, 0);
        assert_int_equal(part->end, part->partition == 0 ? 4 : 0);
        assert_int_equal(part->committed, MR_NO_OFFSET);
        batch.parts[i].start = part->partition == 0 ? 3 : 0;
        member.parts[i] = *part;
    }
    member.parts_count = 2;
    TOOL_OK(mr_reader_assign(member.reader, batch.parts, 2, &oops));
    member_wait_records(&member, 1);
    assert_int_equal(member_record(&member, 0)->offset, 3);
    member_close(&member);
}

static uint32_t
slot_of(const struct member *member, int32_t partition)
{
    for (size_t i = 0; i < member->parts_count; i++)
        if (member->parts[i].partition == partition)
            return (uint32_t)i;
    fail_msg("partition %d is not assigned", (int)partition);
    return 0;
}

static void
commit_in_transaction(struct mr_bus *bus, struct member *member, const char *id,
                      const struct mr_position *position)
{
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, id);
    TOOL_OK(mr_writer_begin(writer, &oops));
    TOOL_OK(mr_writer_commit(writer, member->reader, position, 1, WAIT_MS, &oops));
}

static void
positions_and_notes_are_committed_with_the_transaction_and_come_back(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL), *group = tool_name("g"), *id = tool_name("txn");
    tool_fill(bus, topic, 0, 4);
    struct member member;
    member_open(&member, bus, group, NULL, topic);
    member_wait_assigned(&member);
    char longest[MR_POSITION_NOTE_MAX];
    memset(longest, 'n', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    struct mr_position position = { .next = 3, .note = longest };
    commit_in_transaction(bus, &member, id, &position);
    struct mr_offsets offsets = tool_offsets(bus, group, topic, 0);
    assert_int_equal(offsets.committed, 3);
    assert_string_equal(offsets.note, longest);

    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, id);
    TOOL_OK(mr_writer_begin(writer, &oops));
    TOOL_OK(mr_writer_abort(writer, WAIT_MS, &oops));
    position = (struct mr_position){ .next = 4, .note = "1 in=4" };
    commit_in_transaction(bus, &member, id, &position);
    member_close(&member);

    member_open(&member, bus, group, NULL, topic);
    member_wait_assigned(&member);
    assert_int_equal(member.parts[0].committed, 4);
    assert_string_equal(member.parts[0].note, "1 in=4");
    member_close(&member);
}

static void
commit_that_is_waited_for_is_read_at_once(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 2, NULL), *group = tool_name("g");
    tool_fill(bus, topic, 0, 4);
    struct member member;
    member_open(&member, bus, group, NULL, topic);
    member_wait_assigned(&member);
    struct mr_position position = { .next = 3, .note = "mine" };
    TOOL_OK(mr_reader_commit(member.reader, &position, 1, WAIT_MS, &oops));
    struct mr_offsets offsets[2] = { { .topic = topic }, { .topic = topic, .partition = 1 } };
    TOOL_OK(mr_reader_offsets(member.reader, offsets, 2, WAIT_MS, &oops));
    assert_int_equal(offsets[0].committed, 3);
    assert_string_equal(offsets[0].note, "mine");
    assert_int_equal(offsets[0].end, 4);
    assert_int_equal(offsets[1].committed, MR_NO_OFFSET);
    assert_int_equal(tool_offsets(bus, group, topic, 0).committed, 3);
    member_close(&member);
}

/* Without a subscription, as some clients hand out partitions among themselves. */
static void
group_keeps_offsets_of_a_reader_that_assigns_by_hand(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL), *group = tool_name("g");
    tool_fill(bus, topic, 0, 4);
    struct mr_reader_options options = { .group = group, .queue_bytes_max = 1 << 20 };
    MR_CLEANUP(mr_reader_closep) struct mr_reader *reader = NULL;
    TOOL_OK(mr_reader_open(bus, &options, &reader, &oops));
    struct mr_part part = { .start = 0 };
    (void)snprintf(part.topic, sizeof(part.topic), "%s", topic);
    TOOL_OK(mr_reader_assign(reader, &part, 1, &oops));
    struct mr_position position = { .next = 2 };
    TOOL_OK(mr_reader_commit(reader, &position, 1, WAIT_MS, &oops));
    struct mr_offsets offsets = { .topic = topic };
    TOOL_OK(mr_reader_offsets(reader, &offsets, 1, WAIT_MS, &oops));
    assert_int_equal(offsets.committed, 2);
}

static void
position_for_display_is_committed_outside_of_transactions(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL), *group = tool_name("g");
    tool_fill(bus, topic, 0, 4);
    struct member member;
    member_open(&member, bus, group, NULL, topic);
    member_wait_assigned(&member);
    struct mr_position position = { .next = 2, .note = "shown" };
    TOOL_OK(mr_reader_commit(member.reader, &position, 1, 0, &oops));
    struct mr_offsets offsets = { .committed = MR_NO_OFFSET };
    int64_t deadline_ms = tool_now_ms() + WAIT_MS;
    while (offsets.committed == MR_NO_OFFSET) {
        assert_true(tool_now_ms() < deadline_ms);
        member_step(&member, 10);
        offsets = tool_offsets(bus, group, topic, 0);
    }
    assert_int_equal(offsets.committed, 2);
    assert_string_equal(offsets.note, "shown");
    member_close(&member);
}

/* Steps both until the second has joined and each has one of two partitions. */
static void
share(struct member *first, struct member *second)
{
    int64_t deadline_ms = tool_now_ms() + WAIT_MS;
    while (!(first->assigned && second->assigned && first->parts_count == 1 &&
             second->parts_count == 1)) {
        assert_true(tool_now_ms() < deadline_ms);
        member_step(first, 20);
        member_step(second, 20);
    }
}

static void
joining_member_takes_its_share_after_the_first_gave_it_back(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 2, NULL), *group = tool_name("g");
    struct member first, second;
    member_open(&first, bus, group, NULL, topic);
    member_wait_assigned(&first);
    assert_int_equal(first.parts_count, 2);
    member_open(&second, bus, group, NULL, topic);
    share(&first, &second);
    assert_int_equal(first.revoked_count, 1);
    assert_int_equal(first.lost_count, 0);
    assert_int_not_equal(first.parts[0].partition, second.parts[0].partition);
    member_close(&second);
    first.assigned = false;
    member_wait_assigned(&first);
    member_close(&first);
}

/* On revoke the open work may be finished; after the release it is too late. */
static void
commit_is_good_until_release_and_stale_after_it(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 2, NULL), *group = tool_name("g");
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, tool_name("txn"));
    tool_fill(bus, topic, 0, 4);
    struct member first, second;
    member_open(&first, bus, group, NULL, topic);
    member_wait_assigned(&first);
    struct mr_position position = { .slot = slot_of(&first, 0), .next = 2 };
    member_open(&second, bus, group, NULL, topic);
    struct mr_batch batch = { 0 };
    int64_t deadline_ms = tool_now_ms() + WAIT_MS;
    while (batch.event != MR_BUS_REVOKED) {
        assert_true(tool_now_ms() < deadline_ms);
        member_step(&second, 10);
        TOOL_OK(mr_reader_poll(first.reader, 10, 20, &batch, &oops));
    }
    assert_int_equal(batch.parts_count, 2);
    TOOL_OK(mr_writer_begin(writer, &oops));
    TOOL_OK(mr_writer_commit(writer, first.reader, &position, 1, WAIT_MS, &oops));
    TOOL_OK(mr_reader_release(first.reader, &oops));
    first.assigned = false;
    TOOL_OK(mr_writer_begin(writer, &oops));
    struct mr_err err = { 0 };
    position.next = 4;
    assert_int_equal(mr_writer_commit(writer, first.reader, &position, 1, WAIT_MS, &err),
                     MR_E(STALE));
    TOOL_OK(mr_writer_abort(writer, WAIT_MS, &oops));
    first.parts_count = 0;
    share(&first, &second);
    assert_int_equal(tool_offsets(bus, group, topic, 0).committed, 2);
    member_close(&first);
    member_close(&second);
}

static void
static_member_comes_back_to_its_partitions_without_a_rebalance(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 2, NULL), *group = tool_name("g");
    struct member first, second;
    member_open(&first, bus, group, "one", topic);
    member_open(&second, bus, group, "two", topic);
    share(&first, &second);
    int32_t partition = first.parts[0].partition;
    unsigned assigned_count = second.assigned_count;
    member_close(&first);
    member_open(&first, bus, group, "one", topic);
    int64_t deadline_ms = tool_now_ms() + WAIT_MS;
    while (!first.assigned) {
        assert_true(tool_now_ms() < deadline_ms);
        member_step(&first, 20);
        member_step(&second, 20);
    }
    assert_int_equal(first.parts_count, 1);
    assert_int_equal(first.parts[0].partition, partition);
    assert_int_equal(second.assigned_count, assigned_count);
    member_close(&first);
    member_close(&second);
}

static void
static_member_that_comes_back_finds_topics_made_meanwhile(void **state)
{
    struct mr_bus *bus = *state;
    const char *prefix = tool_name("away"), *group = tool_name("g");
    char pattern[128], names[2][128];
    (void)snprintf(pattern, sizeof(pattern), "^%s\\.[a-z]{1,3}$", prefix);
    (void)snprintf(names[0], sizeof(names[0]), "%s.geo", prefix);
    (void)snprintf(names[1], sizeof(names[1]), "%s.pin", prefix);
    struct mr_topic_spec specs[2] = { { .name = names[0], .partitions = 1, .replicas = 1 },
                                      { .name = names[1], .partitions = 1, .replicas = 1 } };
    struct member member;
    TOOL_OK(mr_bus_create(bus, &specs[0], 1, WAIT_MS, &oops));
    member_open(&member, bus, group, "one", pattern);
    member_wait_assigned(&member);
    member_close(&member);
    TOOL_OK(mr_bus_create(bus, &specs[1], 1, WAIT_MS, &oops));
    tool_fill(bus, names[1], 0, 1);
    member_open(&member, bus, group, "one", pattern);
    member_wait_records(&member, 1);
    assert_int_equal(member.parts_count, 2);
    member_close(&member);
}

static void
reader_of_a_name_fences_an_older_one(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL), *group = tool_name("g");
    struct member first, second;
    member_open(&first, bus, group, "one", topic);
    member_wait_assigned(&first);
    member_open(&second, bus, group, "one", topic);
    member_wait_assigned(&second);
    struct mr_batch batch;
    struct mr_err err = { 0 };
    int64_t deadline_ms = tool_now_ms() + WAIT_MS;
    while (mr_reader_poll(first.reader, 10, 20, &batch, &err) >= 0) {
        assert_true(tool_now_ms() < deadline_ms);
        member_step(&second, 20);
    }
    assert_int_equal(err.code, MR_E(FENCED));
    assert_int_equal(err.remedy, MR_FATAL);
    member_close(&first);
    member_close(&second);
}

static void
pattern_finds_topics_that_are_made_later(void **state)
{
    struct mr_bus *bus = *state;
    const char *prefix = tool_name("late");
    char pattern[128], name[128];
    (void)snprintf(pattern, sizeof(pattern), "^%s\\.[a-z]{1,3}$", prefix);
    (void)snprintf(name, sizeof(name), "%s.pin", prefix);
    struct member member;
    member_open(&member, bus, tool_name("g"), NULL, pattern);
    member_step(&member, 100);
    struct mr_topic_spec specs[2] = {
        { .name = name, .partitions = 1, .replicas = 1 },
        { .name = tool_name("other"), .partitions = 1, .replicas = 1 }
    };
    TOOL_OK(mr_bus_create(bus, specs, 2, WAIT_MS, &oops));
    tool_fill(bus, name, 0, 1);
    member_wait_records(&member, 1);
    assert_string_equal(member.parts[0].topic, name);
    assert_int_equal(member.parts_count, 1);
    member_close(&member);
}

static void
pause_ends_when_the_group_assigns_anew(void **state)
{
    struct mr_bus *bus = *state;
    const char *prefix = tool_name("tenant");
    char pattern[128], first[128], second[128];
    (void)snprintf(pattern, sizeof(pattern), "^%s\\.[a-z]{1,3}$", prefix);
    (void)snprintf(first, sizeof(first), "%s.geo", prefix);
    (void)snprintf(second, sizeof(second), "%s.pin", prefix);
    struct mr_topic_spec one = { .name = first, .partitions = 1, .replicas = 1 };
    struct mr_topic_spec more = { .name = second, .partitions = 1, .replicas = 1 };
    TOOL_OK(mr_bus_create(bus, &one, 1, WAIT_MS, &oops));
    struct member member;
    member_open(&member, bus, tool_name("g"), NULL, pattern);
    member_wait_assigned(&member);
    TOOL_OK(mr_reader_pause(member.reader, 0, true, &oops));
    tool_fill(bus, first, 0, 3);
    TOOL_OK(mr_bus_create(bus, &more, 1, WAIT_MS, &oops));
    member_wait_records(&member, 3);
    assert_int_equal(member.assigned_count, 2);
    member_close(&member);
}

const struct CMUnitTest bus_writing[] = {
    cmocka_unit_test(delivery_makes_the_descriptor_readable_and_is_told_once),
    cmocka_unit_test(full_queue_answers_full_and_takes_more_after_polling),
    cmocka_unit_test(partition_counts_are_known_and_unknown_topics_not_found),
    cmocka_unit_test(too_large_record_is_named_and_the_others_are_stored),
    cmocka_unit_test(aborted_records_are_never_seen_and_markers_take_offsets),
    cmocka_unit_test(open_transaction_holds_back_all_that_follows),
    cmocka_unit_test(second_writer_of_a_name_fences_the_first),
    cmocka_unit_test(failed_delivery_fails_the_commit_and_the_next_transaction_is_clean),
    cmocka_unit_test(assignment_is_told_until_answered_and_nothing_is_read_before),
    cmocka_unit_test(positions_and_notes_are_committed_with_the_transaction_and_come_back),
    cmocka_unit_test(commit_that_is_waited_for_is_read_at_once),
    cmocka_unit_test(group_keeps_offsets_of_a_reader_that_assigns_by_hand),
    cmocka_unit_test(position_for_display_is_committed_outside_of_transactions),
    cmocka_unit_test(joining_member_takes_its_share_after_the_first_gave_it_back),
    cmocka_unit_test(commit_is_good_until_release_and_stale_after_it),
    cmocka_unit_test(static_member_comes_back_to_its_partitions_without_a_rebalance),
    cmocka_unit_test(static_member_that_comes_back_finds_topics_made_meanwhile),
    cmocka_unit_test(reader_of_a_name_fences_an_older_one),
    cmocka_unit_test(pattern_finds_topics_that_are_made_later),
    cmocka_unit_test(pause_ends_when_the_group_assigns_anew),
};
const size_t bus_writing_count = MR_COUNT(bus_writing);
