/*
 * Replays on the memory bus: what is played is marked in the same transaction, whoever comes
 * between (LAW 24). The validator of the fixture judges what is posted and what is played.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/replay/replay.h"
#include "stage_fixture.h"
#include "test.h"

enum { BAD_MAX = 2000, ASK_MS = 1000 };
#define BAD "{\"index\":\"no number\"}"

/* ---- who waits for an open transaction ---- */

static struct mr_writer *holder; /* committed once nothing came three times */
static int idle;

int __real_mr_reader_poll(struct mr_reader *reader, size_t count_max, int timeout_ms,
                          struct mr_batch *ret, struct mr_err *err);
int __wrap_mr_reader_poll(struct mr_reader *reader, size_t count_max, int timeout_ms,
                          struct mr_batch *ret, struct mr_err *err);
int
__wrap_mr_reader_poll(struct mr_reader *reader, size_t count_max, int timeout_ms,
                      struct mr_batch *ret, struct mr_err *err)
{
    int count = __real_mr_reader_poll(reader, count_max, timeout_ms, ret, err);
    if (holder != NULL && count == 0 && ++idle == 3) {
        struct mr_err failed = { 0 };
        struct mr_writer *writer = MR_TAKE(holder);
        assert_int_equal(mr_writer_commit(writer, NULL, NULL, 0, ASK_MS, &failed), 0);
    }
    return count;
}

/* ---- what stands in the topics ---- */

struct mark {
    int32_t partition, replayed_partition;
    int64_t offset, replayed_offset;
    bool is_met;
};

struct seen {
    struct mark letters[BAD_MAX], marks[BAD_MAX], replays[BAD_MAX];
    size_t letters_count, marks_count, replays_count;
};

static void
see_letter(const struct mr_record *record, void *self)
{
    struct seen *seen = self;
    Millrace__V1__DeadLetter *letter =
        millrace__v1__dead_letter__unpack(NULL, record->value.size, record->value.data);
    assert_non_null(letter);
    struct mark mark = { .partition = letter->origin->partition, .offset = letter->origin->offset };
    if (letter->replayed_as == NULL) {
        seen->letters[seen->letters_count++] = mark;
    } else {
        mark.replayed_partition = letter->replayed_as->partition;
        mark.replayed_offset = letter->replayed_as->offset;
        seen->marks[seen->marks_count++] = mark;
    }
    millrace__v1__dead_letter__free_unpacked(letter, NULL);
}

static void
see_replay(const struct mr_record *record, void *self)
{
    struct seen *seen = self;
    if (record->header.data == NULL)
        return;
    Millrace__V1__Provenance *provenance =
        millrace__v1__provenance__unpack(NULL, record->header.size, record->header.data);
    assert_non_null(provenance);
    if (provenance->replay_of != NULL)
        seen->replays[seen->replays_count++] =
            (struct mark){ .partition = provenance->replay_of->partition,
                           .offset = provenance->replay_of->offset,
                           .replayed_partition = (int32_t)record->slot,
                           .replayed_offset = record->offset };
    millrace__v1__provenance__free_unpacked(provenance, NULL);
}

/* Each mark has its letter and its replay, each of them once; the count of marks. */
static size_t
check_marks(struct mill *mill)
{
    struct seen *seen = mr_alloc(sizeof(*seen));
    (void)mill_each(mill, MILL_DEAD, see_letter, seen);
    (void)mill_each(mill, MILL_RAW, see_replay, seen);
    size_t count = seen->marks_count;
    assert_int_equal(seen->replays_count, count);
    for (size_t i = 0; i < count; i++) {
        const struct mark *mark = &seen->marks[i];
        size_t letters = 0, replays = 0;
        for (size_t k = 0; k < seen->letters_count; k++)
            letters += seen->letters[k].partition == mark->partition &&
                       seen->letters[k].offset == mark->offset;
        for (size_t k = 0; k < count; k++)
            replays += memcmp(&seen->replays[k], mark, sizeof(*mark)) == 0;
        assert_int_equal(letters, 1);
        assert_int_equal(replays, 1);
    }
    free(seen);
    return count;
}

/* ---- playing ---- */

static char refused_why[REPLAY_WHY_MAX];

static void
refused(void *self, const char *place, const char *why)
{
    (void)self;
    (void)place;
    (void)snprintf(refused_why, sizeof(refused_why), "%s", why);
}

static struct replay
replay_of(struct mill *mill)
{
    return (struct replay){ .bus = mill->bus,
                            .pipeline = mill->pipeline,
                            .tenant = "t",
                            .kind = "pin",
                            .refused = refused };
}

static void
assert_plays(const struct replay *replay, int64_t replayed, int64_t marked, int64_t refusals)
{
    struct mr_err err = { 0 };
    struct replay_counts counts;
    if (replay_run(replay, &counts, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(counts.replayed, replayed);
    assert_int_equal(counts.marked, marked);
    assert_int_equal(counts.refused, refusals);
}

static void
assert_fails(const struct replay *replay, int code, int64_t replayed)
{
    struct mr_err err = { 0 };
    struct replay_counts counts;
    assert_int_equal(replay_run(replay, &counts, &err), code);
    assert_int_equal(counts.replayed, replayed);
}

static void
start(struct mill *mill)
{
    mill_topics(mill, 0);
    mill_start(mill);
}

/* count bad records, judged; every second one on the other partition. */
static void
post_bad(struct mill *mill, int count)
{
    int64_t before = mill_counts(mill).in;
    for (int i = 0; i < count; i++)
        mill_post(mill, i % MILL_PARTS, NULL, BAD);
    mill_run(mill, before + count);
}

static void
a_letter_is_played_once_under_its_id_and_marked(void **state)
{
    struct mill *mill = *state;
    struct replay replay = replay_of(mill);
    start(mill);
    mill_post(mill, 1, "id-1", BAD);
    mill_run(mill, 1);
    Millrace__V1__DeadLetter *first = mill_letter(mill);
    replay.repaired = MR_SLICE("{\"index\":7}");
    assert_plays(&replay, 1, 0, 0);
    mill_run(mill, 2);
    assert_plays(&replay, 0, 1, 0);
    struct mr_counts counts = mill_counts(mill);
    assert_int_equal(counts.in, 2);
    assert_int_equal(counts.good, 1);
    assert_int_equal(counts.dead, 1);
    assert_int_equal(check_marks(mill), 1);
    Millrace__V1__DeadLetter *mark = mill_letter(mill);
    assert_string_equal(mark->stage, "replay");
    assert_int_equal(mark->replayed_as->partition, 1);
    assert_int_equal(mark->provenance->event_id.len, first->provenance->event_id.len);
    assert_memory_equal(mark->provenance->event_id.data, first->provenance->event_id.data,
                        first->provenance->event_id.len);
    millrace__v1__dead_letter__free_unpacked(first, NULL);
    millrace__v1__dead_letter__free_unpacked(mark, NULL);
}

static void
take_key(const struct mr_record *record, void *self)
{
    struct mr_buf *keys = self;
    mr_buf_put(keys, record->key.data, record->key.size);
    mr_buf_text(keys, ".");
}

static void
a_replay_has_the_key_of_what_died(void **state)
{
    struct mill *mill = *state;
    struct replay replay = replay_of(mill);
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_buf_fini) struct mr_buf keys;
    const struct mr_message message = { .topic = MILL_RAW,
                                        .key = MR_SLICE("its key"),
                                        .value = MR_SLICE(BAD) };
    mr_buf_init(&keys, 1 << 20);
    start(mill);
    assert_int_equal(mr_writer_produce(mill->poster, &message, &err), 0);
    mill_run(mill, 1);
    assert_plays(&replay, 1, 0, 0);
    (void)mill_each(mill, MILL_RAW, take_key, &keys);
    assert_string_equal(keys.data, "its key.its key.");
}

static void
what_dies_again_has_a_letter_of_its_own_that_counts(void **state)
{
    struct mill *mill = *state;
    struct replay replay = replay_of(mill);
    start(mill);
    post_bad(mill, 1);
    Millrace__V1__DeadLetter *first = mill_letter(mill);
    for (int64_t death = 2; death <= 4; death++) {
        assert_plays(&replay, 1, death - 2, 0);
        mill_run(mill, death);
        Millrace__V1__DeadLetter *letter = mill_letter(mill);
        assert_int_equal(letter->attempts, death);
        assert_int_equal(letter->first_dead_us, first->dead_us);
        assert_memory_equal(letter->provenance->event_id.data, first->provenance->event_id.data,
                            first->provenance->event_id.len);
        millrace__v1__dead_letter__free_unpacked(letter, NULL);
    }
    assert_int_equal(check_marks(mill), 3);
    millrace__v1__dead_letter__free_unpacked(first, NULL);
}

static void
the_filter_chooses_by_code_time_and_place(void **state)
{
    struct mill *mill = *state;
    struct replay replay = replay_of(mill);
    start(mill);
    post_bad(mill, 2);
    mill_post(mill, 0, NULL, "not JSON");
    mill_run(mill, 3);
    Millrace__V1__DeadLetter *last = mill_letter(mill);
    int64_t died_us = last->dead_us;
    millrace__v1__dead_letter__free_unpacked(last, NULL);
    replay.filter = (struct replay_filter){ .until_us = 1 };
    assert_plays(&replay, 0, 0, 0);
    replay.filter = (struct replay_filter){ .since_us = died_us + 60000000 };
    assert_plays(&replay, 0, 0, 0);
    replay.filter = (struct replay_filter){ .has_origin = true, .partition = 1, .offset = 0 };
    assert_plays(&replay, 1, 0, 0);
    replay.filter = (struct replay_filter){
        .codes = UINT64_C(1) << MILLRACE__V1__DEAD_CODE__NOT_JSON,
        .until_us = died_us + 60000000,
    };
    assert_plays(&replay, 1, 0, 0);
    replay.filter = (struct replay_filter){ 0 };
    assert_plays(&replay, 1, 2, 0);
    assert_int_equal(check_marks(mill), 3);
}

static void
a_failed_transaction_leaves_nothing_and_the_next_run_goes_on(void **state)
{
    static const struct mr_err fault = { .code = MR_E(ABORTED),
                                         .remedy = MR_RETRY,
                                         .text = "on purpose" };
    struct mill *mill = *state;
    struct replay replay = replay_of(mill);
    mill->batch_max = 1000;
    start(mill);
    post_bad(mill, 1200);
    mill_stop(mill);
    mr_bus_memory_fault(mill->bus, "commit", 1, 1, &fault);
    assert_fails(&replay, MR_E(ABORTED), REPLAY_BATCH_MAX);
    assert_int_equal(check_marks(mill), REPLAY_BATCH_MAX);
    mr_bus_memory_fault(mill->bus, "produce", 700, 1, &fault); /* among the marks */
    assert_fails(&replay, MR_E(ABORTED), 0);
    assert_int_equal(check_marks(mill), REPLAY_BATCH_MAX);
    assert_plays(&replay, 700, REPLAY_BATCH_MAX, 0);
    assert_int_equal(check_marks(mill), 1200);
}

static void
a_commit_without_an_answer_is_found_by_its_marks(void **state)
{
    static const struct mr_err fault = { .code = MR_E(TIMEOUT),
                                         .remedy = MR_RETRY,
                                         .text = "on purpose" };
    struct mill *mill = *state;
    struct replay replay = replay_of(mill);
    start(mill);
    post_bad(mill, 3);
    mill_stop(mill);
    mr_bus_memory_fault(mill->bus, "commit-reply", 0, 1, &fault);
    assert_fails(&replay, MR_E(TIMEOUT), 0);
    assert_plays(&replay, 0, 3, 0);
    assert_int_equal(check_marks(mill), 3);
}

/* Another replay of the same kind runs from begin to end when this one has read all marks. */
static bool
come_between(void *self, const struct replay_letter *letter)
{
    struct replay other = *(struct replay *)self;
    struct mr_err err = { 0 };
    struct replay_counts counts;
    (void)letter;
    other.wants = NULL;
    assert_int_equal(replay_run(&other, &counts, &err), 0);
    assert_in_range(counts.replayed + counts.marked, 3, 3);
    return true;
}

static void
of_two_at_once_one_is_fenced_and_nothing_is_doubled(void **state)
{
    struct mill *mill = *state;
    struct replay replay = replay_of(mill);
    start(mill);
    post_bad(mill, 3);
    mill_stop(mill);
    replay.wants = come_between;
    replay.self = &replay;
    assert_fails(&replay, MR_E(FENCED), 0);
    assert_int_equal(check_marks(mill), 3);
}

/* Opens a transaction on T.dead in front of the marks that come next. */
static bool
hold_up(void *self, const struct replay_letter *letter)
{
    struct mill *mill = self;
    struct mr_err err = { 0 };
    const struct mr_writer_options options = { .transactional_id = "test.validator.another",
                                               .queue_bytes_max = 1 << 20 };
    const Millrace__V1__DeadLetter *copied = letter->letter;
    uint8_t packed[4096];
    if (holder != NULL)
        return true;
    size_t size = millrace__v1__dead_letter__pack(copied, packed);
    const struct mr_message message = { .topic = MILL_DEAD, .value = mr_slice(packed, size) };
    assert_int_equal(mr_writer_open(mill->bus, &options, &holder, &err), 0);
    assert_int_equal(mr_writer_begin(holder, &err), 0);
    assert_int_equal(mr_writer_produce(holder, &message, &err), 0);
    return true;
}

static void
marks_behind_a_transaction_that_is_open_are_waited_for(void **state)
{
    struct mill *mill = *state;
    struct replay replay = replay_of(mill);
    struct mr_err err = { 0 };
    start(mill);
    mill_post(mill, 0, NULL, BAD);
    mill_run(mill, 1);
    mill_stop(mill);
    replay.wants = hold_up;
    replay.self = mill;
    assert_plays(&replay, 1, 0, 0);
    struct mr_offsets at = { .topic = MILL_DEAD };
    assert_int_equal(mr_bus_offsets(mill->bus, NULL, &at, 1, ASK_MS, &err), 0);
    assert_int_equal(at.end, 2); /* the letter and its marker: the mark cannot be read yet */
    struct mr_writer *open = holder;
    idle = 0;
    replay.wants = NULL;
    assert_plays(&replay, 0, 2, 0);
    assert_null(holder);
    mr_writer_close(open);
}

static void
fill(char *value, size_t size)
{
    memset(value, 'x', size);
    value[0] = value[size - 1] = '"';
}

static void
take_last(const struct mr_record *record, void *self)
{
    struct mr_buf *last = self;
    mr_buf_reset(last);
    mr_buf_put(last, record->value.data, record->value.size);
}

static void
a_cut_original_is_fetched_whole_from_where_it_died(void **state)
{
    struct mill *mill = *state;
    struct replay replay = replay_of(mill);
    static char value[300000];
    MR_CLEANUP(mr_buf_fini) struct mr_buf last;
    mr_buf_init(&last, 1 << 20);
    fill(value, sizeof(value));
    mill_topics(mill, 100000);
    mill_start(mill);
    mill_post_raw(mill, mr_slice(value, sizeof(value)), mr_slice(NULL, 0));
    mill_run(mill, 1);
    mill_stop(mill);
    assert_plays(&replay, 1, 0, 0);
    (void)mill_each(mill, MILL_RAW, take_last, &last);
    assert_int_equal(last.size, sizeof(value));
    assert_memory_equal(last.data, value, sizeof(value));
    assert_int_equal(check_marks(mill), 1);
}

static void
a_cut_original_that_is_gone_is_refused_and_can_be_given(void **state)
{
    struct mill *mill = *state;
    struct replay replay = replay_of(mill);
    static char value[300000];
    fill(value, sizeof(value));
    mill_topics(mill, 100000);
    mill_start(mill);
    mill_post_raw(mill, mr_slice(value, sizeof(value)), mr_slice(NULL, 0));
    mill_run(mill, 1);
    mill_stop(mill);
    mr_bus_memory_trim(mill->bus, MILL_RAW, 0, 1);
    assert_plays(&replay, 0, 0, 1);
    assert_non_null(strstr(refused_why, "of its 300000 bytes the letter holds 65536"));
    replay.repaired = MR_SLICE("{\"index\":7}");
    assert_plays(&replay, 1, 0, 0);
    assert_int_equal(mill_records(mill, MILL_DEAD), 2); /* the letter and its mark */
}

static void
what_its_topic_does_not_take_is_refused_and_the_others_are_played(void **state)
{
    struct mill *mill = *state;
    struct replay replay = replay_of(mill);
    static char value[1048560]; /* without a header just what the topic takes */
    fill(value, sizeof(value));
    start(mill);
    mill_post(mill, 0, NULL, BAD);
    mill_post_raw(mill, mr_slice(value, sizeof(value)), mr_slice(NULL, 0));
    mill_post(mill, 0, NULL, BAD);
    mill_run(mill, 3);
    mill_stop(mill);
    assert_plays(&replay, 2, 0, 1);
    assert_non_null(strstr(refused_why, "max.message.bytes"));
    assert_int_equal(check_marks(mill), 2);
}

static void
letters_of_a_topic_that_was_made_anew_are_refused(void **state)
{
    struct mill *mill = *state;
    struct replay replay = replay_of(mill);
    start(mill);
    post_bad(mill, 1);
    mill_stop(mill);
    mr_bus_memory_recreate(mill->bus, MILL_RAW);
    assert_plays(&replay, 0, 0, 1);
    assert_non_null(strstr(refused_why, "was made anew"));
}

static bool
passes(void *self, const struct replay_letter *letter)
{
    return replay_judge(self, letter) != REPLAY_DIES;
}

static void
looking_judges_by_the_contract_and_writes_nothing(void **state)
{
    struct mill *mill = *state;
    struct replay replay = replay_of(mill);
    struct replay_judge judge;
    struct replay_counts counts;
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_freep) char *kinds = mr_printf("%s/kinds", getenv("MILLRACE_BUILD"));
    start(mill);
    mill_post(mill, 0, "id-1", "{\"index\":1}");
    mill_post(mill, 0, "id-1", "{\"index\":2}"); /* ID_REUSED: good under an identity of its own */
    mill_post(mill, 0, NULL, BAD);
    mill_post(mill, 0, NULL, "");
    mill_run(mill, 4);
    mill_stop(mill);
    assert_int_equal(replay_judge_open(kinds, "pin", &judge, &err), 0);
    replay.wants = passes;
    replay.self = &judge;
    int64_t records = mill_records(mill, MILL_RAW), letters = mill_records(mill, MILL_DEAD);
    assert_int_equal(replay_look(&replay, &counts, &err), 0);
    assert_int_equal(counts.unwanted, 2);
    assert_int_equal(counts.replayed, 0);
    assert_int_equal(mill_records(mill, MILL_RAW), records);
    assert_int_equal(mill_records(mill, MILL_DEAD), letters);
    assert_plays(&replay, 1, 0, 0);
    replay_judge_close(&judge);
    mill_start(mill);
    mill_run(mill, 5);
    assert_int_equal(mill_counts(mill).good, 2);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, mill_open, mill_close)
    const struct CMUnitTest tests[] = {
        TEST(a_letter_is_played_once_under_its_id_and_marked),
        TEST(a_replay_has_the_key_of_what_died),
        TEST(what_dies_again_has_a_letter_of_its_own_that_counts),
        TEST(the_filter_chooses_by_code_time_and_place),
        TEST(a_failed_transaction_leaves_nothing_and_the_next_run_goes_on),
        TEST(a_commit_without_an_answer_is_found_by_its_marks),
        TEST(of_two_at_once_one_is_fenced_and_nothing_is_doubled),
        TEST(marks_behind_a_transaction_that_is_open_are_waited_for),
        TEST(a_cut_original_is_fetched_whole_from_where_it_died),
        TEST(a_cut_original_that_is_gone_is_refused_and_can_be_given),
        TEST(what_its_topic_does_not_take_is_refused_and_the_others_are_played),
        TEST(letters_of_a_topic_that_was_made_anew_are_refused),
        TEST(looking_judges_by_the_contract_and_writes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
