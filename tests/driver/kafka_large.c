/*
 * A record larger than its topic takes, in a transaction. The broker's refusal may come before,
 * while or after the next call is made, so each way is tried again and again; the caller always has
 * to learn that it was the size (LAW 14), since the same batch would fail in the same way for ever.
 */
#include <stdlib.h>

#include "kafka_tests.h"

enum { LARGE = 2 << 20, ROUNDS = 20, AROUND = 200, PARTITIONS = 3 };

struct scene {
    struct mr_writer *writer;
    struct member member;
    const char *output;
    char *noise; /* LARGE random bytes: a broker judges what is left after compression */
};

static void
set_scene(struct scene *scene, struct mr_bus *bus)
{
    const char *input = tool_topic(bus, 1, NULL);
    *scene = (struct scene){ .writer = tool_writer(bus, tool_name("txn")),
                             .output = tool_topic(bus, PARTITIONS, NULL),
                             .noise = mr_alloc(LARGE) };
    mr_random(scene->noise, LARGE);
    tool_fill(bus, input, 0, 1);
    member_open(&scene->member, bus, tool_name("g"), NULL, input);
    member_wait_records(&scene->member, 1);
}

/* In the end a transaction without the large record goes through, and its records only are there.
 */
static void
end_scene(struct scene *scene, struct mr_bus *bus)
{
    struct member reader;
    TOOL_OK(mr_writer_begin(scene->writer, &oops));
    tool_put(scene->writer, scene->output, 0, "good");
    TOOL_OK(mr_writer_commit(scene->writer, NULL, NULL, 0, WAIT_MS, &oops));
    member_open_at(&reader, bus, scene->output, 0, 0);
    member_wait_records(&reader, 1);
    assert_string_equal(member_record(&reader, 0)->value, "good");
    member_close(&reader);
    member_close(&scene->member);
    mr_writer_close(scene->writer);
    free(scene->noise);
}

static void
put_large(struct scene *scene)
{
    struct mr_message large = { .topic = scene->output,
                                .value = mr_slice(scene->noise, LARGE),
                                .value_borrowed = true };
    TOOL_OK(mr_writer_begin(scene->writer, &oops));
    tool_put(scene->writer, scene->output, 0, "before");
    TOOL_OK(mr_writer_produce(scene->writer, &large, &oops));
}

static void
expect_too_large(struct scene *scene, int result, const struct mr_err *err)
{
    if (result != MR_E(TOO_LARGE))
        fail_msg("%s: %s", mr_code_name(result), err->text);
    assert_int_equal(err->remedy, MR_RETRY);
    assert_non_null(strstr(err->text, scene->output));
    TOOL_OK(mr_writer_abort(scene->writer, WAIT_MS, &oops));
    member_step(&scene->member, 0);
}

static void
commit_says_too_large(struct mr_bus *bus, bool with_positions, bool flushed)
{
    struct scene scene;
    struct mr_position position = { .next = 1, .note = "1 in=1" };
    set_scene(&scene, bus);
    for (int i = 0; i < ROUNDS; i++) {
        struct mr_err err = { 0 }, ignored = { 0 };
        put_large(&scene);
        if (flushed)
            (void)mr_writer_flush(scene.writer, WAIT_MS, &ignored);
        int result = mr_writer_commit(scene.writer, with_positions ? scene.member.reader : NULL,
                                      &position, with_positions, WAIT_MS, &err);
        expect_too_large(&scene, result, &err);
    }
    end_scene(&scene, bus);
}

static void
commit_with_positions_right_away(void **state)
{
    commit_says_too_large(*state, true, false);
}

static void
commit_without_positions(void **state)
{
    commit_says_too_large(*state, false, false);
}

static void
commit_with_positions_after_a_flush(void **state)
{
    commit_says_too_large(*state, true, true);
}

static void
commit_without_positions_after_a_flush(void **state)
{
    commit_says_too_large(*state, false, true);
}

/* As a stage does: it only produces, to all partitions, until it is told. */
static void
produce_of_what_comes_behind_it(void **state)
{
    struct scene scene;
    set_scene(&scene, *state);
    for (int i = 0; i < ROUNDS; i++) {
        struct mr_err err = { 0 };
        int result = 0;
        int64_t deadline_ms = tool_now_ms() + WAIT_MS;
        put_large(&scene);
        for (int j = 0; result == 0; j++) {
            struct mr_message message = { .topic = scene.output,
                                          .partition = j % PARTITIONS,
                                          .value = MR_SLICE("behind") };
            assert_true(tool_now_ms() < deadline_ms);
            result = mr_writer_produce(scene.writer, &message, &err);
        }
        expect_too_large(&scene, result, &err);
    }
    end_scene(&scene, *state);
}

static void
commit_of_many_records_around_it(void **state)
{
    struct scene scene;
    struct mr_position position = { .next = 1, .note = "1 in=1" };
    set_scene(&scene, *state);
    for (int i = 0; i < ROUNDS; i++) {
        struct mr_err err = { 0 };
        int result = 0;
        put_large(&scene);
        for (int j = 0; j < AROUND && result == 0; j++) {
            struct mr_message message = { .topic = scene.output,
                                          .partition = j % PARTITIONS,
                                          .value = MR_SLICE("behind") };
            result = mr_writer_produce(scene.writer, &message, &err);
        }
        if (result == 0)
            result =
                mr_writer_commit(scene.writer, scene.member.reader, &position, 1, WAIT_MS, &err);
        expect_too_large(&scene, result, &err);
    }
    end_scene(&scene, *state);
}

const struct CMUnitTest kafka_large[] = {
    cmocka_unit_test(commit_with_positions_right_away),
    cmocka_unit_test(commit_without_positions),
    cmocka_unit_test(commit_with_positions_after_a_flush),
    cmocka_unit_test(commit_without_positions_after_a_flush),
    cmocka_unit_test(produce_of_what_comes_behind_it),
    cmocka_unit_test(commit_of_many_records_around_it),
};
const size_t kafka_large_count = MR_COUNT(kafka_large);
