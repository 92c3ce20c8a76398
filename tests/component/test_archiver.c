/* Raw objects, assignment, budget and Flush. Tables: test_archiver_tables.c. */
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "archiver_fixture.h"
#include "archiver_tests.h"
#include "bus/memory.h"
#include "clock/clock.h"
#include "line.h"
#include "millrace/v1/rpc.pb-c.h"
#include "private.h"
#include "test.h"

/* ---- lines ---- */

static void
check_line(const char *value, const char *line)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf lines;
    mr_buf_init(&lines, 1 << 16);
    line_put(&lines, mr_slice_text(value));
    assert_string_equal(lines.data, line);
}

static void
json_is_written_as_posted_on_one_line(void **state)
{
    (void)state;
    check_line("{\"a\":1}", "{\"a\":1}\n");
    check_line(" {\r\n\t\"a\" : [1,\n2]\n} ", " {  \t\"a\" : [1, 2] } \n");
    check_line("\"text \\n \\u000a\"", "\"text \\n \\u000a\"\n");
    check_line("-1.5e+3", "-1.5e+3\n");
    check_line("{\"\xe2\x80\xa8\":\"\xc3\xa4\"}", "{\"\xe2\x80\xa8\":\"\xc3\xa4\"}\n");
}

static void
what_is_not_json_becomes_base64_and_no_value_null(void **state)
{
    (void)state;
    check_line("", "{\"millrace_base64\":\"\"}\n");
    check_line("ab\ncd", "{\"millrace_base64\":\"YWIKY2Q=\"}\n");
    check_line("{\"a\":\"\xff\"}", "{\"millrace_base64\":\"eyJhIjoi/yJ9\"}\n");
    check_line("{} {}", "{\"millrace_base64\":\"e30ge30=\"}\n");
    MR_CLEANUP(mr_buf_fini) struct mr_buf lines;
    mr_buf_init(&lines, 1 << 16);
    line_put(&lines, mr_slice(NULL, 0));
    assert_string_equal(lines.data, "{\"millrace_null\":true}\n");
}

static void
json_is_judged_as_another_parser_judges_it(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "[]",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "01",
        "1.",
        ".5",
        "-",
        "1e",
        "1e5",
        "1E-5",
        "+1",
        "true",
        "tru",
        "nul",
        "null ",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u0041\"",
        "\"\t\"",
        "[[[1]],{\"a\":{\"b\":[]}}]",
        "[1 2]",
        "{\"a\":1 \"b\":2}",
        "[}",
        "{]",
        "]",
        "[1]]",
        "'a'",
        "\xef\xbb\xbf{}",
        "{\"a\":1}\n",
        "[\"a\",\"b\"]",
        "NaN",
        "Infinity",
        "-0",
        "-01",
        "1.0e+",
        "\"\xc3\"",
        "\"\xed\xa0\x80\"",
    };
    for (size_t i = 0; i < MR_COUNT(texts); i++) {
        json_t *json = json_loadb(texts[i], strlen(texts[i]), JSON_DECODE_ANY, NULL);
        if (line_is_json(mr_slice_text(texts[i])) != (json != NULL))
            fail_msg("judged differently: %s", texts[i]);
        json_decref(json);
    }
}

static void
nesting_is_json_up_to_its_maximum(void **state)
{
    (void)state;
    char text[2 * (LINE_DEPTH_MAX + 1)];
    memset(text, '[', sizeof(text) / 2);
    memset(text + sizeof(text) / 2, ']', sizeof(text) / 2);
    assert_false(line_is_json(mr_slice(text, sizeof(text))));
    assert_true(line_is_json(mr_slice(text + 1, sizeof(text) - 2)));
}

/* ---- objects ---- */

static void
each_offset_stands_once_in_objects_named_by_first_offset(void **state)
{
    struct bench *b = *state;
    b->raw.records = 3;
    bench_topic(b, "t.pin", 2);
    struct archive *archive = bench_archive(b, NULL);
    for (int i = 0; i < 7; i++) {
        char text[8];
        (void)snprintf(text, sizeof(text), "%d", i);
        bench_put_text(b, "t.pin", 0, text);
    }
    bench_put_text(b, "t.pin", 1, "{\"a\":\n1}");
    bench_put_text(b, "t.pin", 1, "no JSON");
    bench_put(b, "t.pin", 1, mr_slice(NULL, 0));
    bench_settle(archive);

    struct mr_err err = { 0 };
    assert_int_equal(mr_store_head(b->store, "topics/t.pin/partition=0/t.pin+0+0000000003.json",
                                   NULL, NULL, &err),
                     0);
    MR_CLEANUP(mr_freep) char *zero = bench_raw(b, "t.pin", 0);
    MR_CLEANUP(mr_freep) char *one = bench_raw(b, "t.pin", 1);
    assert_string_equal(zero, "0=0 1=1 2=2 3=3 4=4 5=5 6=6");
    assert_string_equal(one, "0={\"a\": 1} 1={\"millrace_base64\":\"bm8gSlNPTg==\"} "
                             "2={\"millrace_null\":true}");
    archive_close(archive);
}

static void
object_ends_before_a_jump_in_offsets(void **state)
{
    struct bench *b = *state;
    struct mr_writer *writer = NULL;
    const struct mr_writer_options options = { .transactional_id = "native",
                                               .queue_bytes_max = 1 << 20 };
    bench_topic(b, "t.pin", 1);
    struct archive *archive = bench_archive(b, NULL);
    BENCH_OK(mr_writer_open(b->bus, &options, &writer, &oops));
    for (int i = 0; i < 3; i++) { /* each commit and abort leaves a marker behind */
        const struct mr_message message = { .topic = "t.pin",
                                            .value =
                                                i == 1 ? MR_SLICE("\"lost\"") : MR_SLICE("7") };
        BENCH_OK(mr_writer_begin(writer, &oops));
        BENCH_OK(mr_writer_produce(writer, &message, &oops));
        BENCH_OK(i == 1 ? mr_writer_abort(writer, 1000, &oops)
                        : mr_writer_commit(writer, NULL, NULL, 0, 1000, &oops));
    }
    bench_put_text(b, "t.pin", 0, "8");
    bench_settle(archive);

    MR_CLEANUP(mr_freep) char *raw = bench_raw(b, "t.pin", 0);
    assert_string_equal(raw, "0=7 4=7 6=8");
    archive_close(archive);
    mr_writer_close(writer);
}

/* As a replay leaves it. */
static void
marker_at_the_end_of_a_raw_partition_is_no_lag(void **state)
{
    struct bench *b = *state;
    struct mr_writer *writer = NULL;
    const struct mr_writer_options options = { .transactional_id = "replay",
                                               .queue_bytes_max = 1 << 20 };
    const struct mr_message message = { .topic = "t.pin", .value = MR_SLICE("7") };
    struct mr_offsets at = { .topic = "t.pin" };
    bench_topic(b, "t.pin", 1);
    struct archive *archive = bench_archive(b, NULL);
    BENCH_OK(mr_writer_open(b->bus, &options, &writer, &oops));
    BENCH_OK(mr_writer_begin(writer, &oops));
    BENCH_OK(mr_writer_produce(writer, &message, &oops));
    BENCH_OK(mr_writer_commit(writer, NULL, NULL, 0, 1000, &oops));
    bench_settle(archive);
    archive->survey_ms = 0;
    bench_step(archive);
    BENCH_OK(mr_bus_offsets(b->bus, archive->options.group, &at, 1, 1000, &oops));
    assert_int_equal(at.end, 2);
    assert_int_equal(at.committed, 2);
    archive_close(archive);

    archive = bench_archive(b, NULL); /* it goes on from the object, not from there */
    bench_put_text(b, "t.pin", 0, "8");
    bench_settle(archive);
    MR_CLEANUP(mr_freep) char *raw = bench_raw(b, "t.pin", 0);
    assert_string_equal(raw, "0=7 2=8");
    archive_close(archive);
    mr_writer_close(writer);
}

static void
start_goes_on_behind_the_last_object(void **state)
{
    struct bench *b = *state;
    bench_topic(b, "t.pin", 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_put_text(b, "t.pin", 0, "0");
    bench_put_text(b, "t.pin", 0, "1");
    bench_settle(archive);
    bench_put_text(b, "t.pin", 0, "2");
    bench_read(archive); /* taken, not written */
    bench_crash(archive);

    archive = bench_archive(b, NULL);
    bench_settle(archive);
    MR_CLEANUP(mr_freep) char *raw = bench_raw(b, "t.pin", 0);
    assert_string_equal(raw, "0=0 1=1 2=2");
    archive_close(archive);
}

static void
object_of_another_archiver_is_adopted(void **state)
{
    struct bench *b = *state;
    bench_topic(b, "t.pin", 1);
    struct archive *slow = bench_archive(b, "zombies");
    bench_read(slow);
    struct archive *fast = bench_archive(b, NULL);
    for (int i = 0; i < 5; i++)
        bench_put_text(b, "t.pin", 0, "1");
    bench_settle(fast); /* 0 to 4 */
    archive_close(fast);
    bench_put_text(b, "t.pin", 0, "2");
    bench_put_text(b, "t.pin", 0, "3");
    bench_settle(slow); /* has 0 to 6, finds 0 to 4 */
    bench_put_text(b, "t.pin", 0, "4");
    bench_settle(slow);

    MR_CLEANUP(mr_freep) char *raw = bench_raw(b, "t.pin", 0);
    assert_string_equal(raw, "0=1 1=1 2=1 3=1 4=1 5=2 6=3 7=4");
    assert_int_equal(bench_metric(b, "millrace_archiver_adopted_total", NULL), 1);
    archive_close(slow);
}

static void
order_of_objects_is_by_number(void **state)
{
    struct bench *b = *state;
    bench_topic(b, "t.pin", 1);
    struct mr_topic *topics;
    size_t count;
    char id[33];
    BENCH_OK(mr_bus_topics(b->bus, &topics, &count, 1000, &oops));
    mr_hex(topics[0].id, MR_TOPIC_ID_BYTES, id);
    free(topics);
    /* Ten digits sort behind eleven; the chain ends at the greater number. */
    static const int64_t firsts[] = { 9999999998, 10000000000 };
    for (size_t i = 0; i < MR_COUNT(firsts); i++) {
        struct mr_meta meta = { 0 };
        MR_CLEANUP(mr_freep)
        char *key =
            mr_printf("topics/t.pin/partition=0/t.pin+0+%010lld.json", (long long)firsts[i]);
        mr_meta_set(&meta, "topic-id", "%s", id);
        mr_meta_set(&meta, "from", "%lld", (long long)firsts[i]);
        mr_meta_set(&meta, "next", "%lld", (long long)firsts[i] + 2);
        BENCH_OK(mr_store_put_new(b->store, key, MR_SLICE("1\n2\n"), &meta, &oops));
    }
    struct mr_err err = { 0 };
    bench_archive_fails(b, &err);
    assert_int_equal(err.code, MR_E(IDENTITY));
    assert_non_null(strstr(err.text, "stands at 10000000002, behind the log's end 0"));
}

/* ---- identity ---- */

static void
topic_made_anew_is_refused_naming_both(void **state)
{
    struct bench *b = *state;
    bench_topic(b, "t.pin", 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_put_text(b, "t.pin", 0, "0");
    bench_settle(archive);
    archive_close(archive);
    mr_bus_memory_recreate(b->bus, "t.pin");
    bench_put_text(b, "t.pin", 0, "0");

    struct mr_err err = { 0 };
    bench_archive_fails(b, &err);
    assert_int_equal(err.code, MR_E(IDENTITY));
    assert_int_equal(err.remedy, MR_FATAL);
    assert_non_null(strstr(err.text, "is of topic id "));
    assert_non_null(strstr(err.text, "the topic now has id "));
}

static void
topic_made_anew_unnoticed_is_refused_while_it_is_read(void **state)
{
    struct bench *b = *state;
    bench_topic(b, "t.pin", 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_put_text(b, "t.pin", 0, "0");
    bench_settle(archive);
    mr_bus_memory_swap(b->bus, "t.pin");
    struct mr_err err = { 0 };
    int64_t deadline_ms = mr_now_ms() + FIXTURE_WAIT_MS;
    while (err.code == 0 && mr_now_ms() < deadline_ms)
        (void)archive_step(archive, 10, &err);
    assert_int_equal(err.code, MR_E(IDENTITY));
    assert_non_null(strstr(err.text, "topic t.pin was made anew while it was read: it had id "));
    assert_non_null(strstr(err.text, ", now it has id "));
    archive_close(archive);
}

static void
object_without_our_metadata_is_refused(void **state)
{
    struct bench *b = *state;
    bench_topic(b, "t.pin", 1);
    BENCH_OK(mr_store_put_new(b->store, "topics/t.pin/partition=0/t.pin+0+0000000000.json",
                              MR_SLICE("1\n"), NULL, &oops));
    struct mr_err err = { 0 };
    bench_archive_fails(b, &err);
    assert_int_equal(err.code, MR_E(IDENTITY));
    assert_non_null(strstr(err.text, "has no metadata of millrace"));
}

static void
records_that_are_gone_are_refused_naming_the_range(void **state)
{
    struct bench *b = *state;
    bench_topic(b, "t.pin", 1);
    for (int i = 0; i < 5; i++)
        bench_put_text(b, "t.pin", 0, "0");
    mr_bus_memory_trim(b->bus, "t.pin", 0, 3);
    struct mr_err err = { 0 };
    bench_archive_fails(b, &err);
    assert_int_equal(err.code, MR_E(IDENTITY));
    assert_non_null(strstr(err.text, "[0, 3) is gone from the log"));
}

static void
store_that_lost_its_objects_is_refused(void **state)
{
    struct bench *b = *state;
    bench_topic(b, "t.pin", 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_put_text(b, "t.pin", 0, "0");
    bench_settle(archive);
    BENCH_OK(archive_drain(archive, &oops)); /* shows the group's offsets */
    archive_close(archive);
    BENCH_OK(mr_store_remove(b->store, "topics/t.pin/partition=0/t.pin+0+0000000000.json", &oops));
    struct mr_err err = { 0 };
    bench_archive_fails(b, &err);
    assert_int_equal(err.code, MR_E(IDENTITY));
    assert_non_null(strstr(err.text, "holds no object of it"));
}

/* ---- rebalances, budget, outages ---- */

static void
partitions_that_go_are_dropped_and_come_again(void **state)
{
    struct bench *b = *state;
    bench_topic(b, "t.pin", 2);
    struct archive *one = bench_archive(b, NULL);
    for (int i = 0; i < 4; i++)
        bench_put_text(b, "t.pin", i % 2, "5");
    bench_read(one);
    struct archive *two = bench_archive(b, NULL);
    for (int i = 0; i < 2; i++) {
        mr_bus_memory_rebalance(b->bus, "millrace.archiver", i == 1);
        int64_t deadline_ms = mr_now_ms() + FIXTURE_WAIT_MS;
        uint64_t before = one->generation;
        while (one->generation == before || one->phase != PHASE_FLOWING ||
               two->phase != PHASE_FLOWING || one->parts_count + two->parts_count != 2) {
            bench_step(one);
            bench_step(two);
            assert_true(mr_now_ms() < deadline_ms);
        }
    }
    bench_settle(one);
    bench_settle(two);
    MR_CLEANUP(mr_freep) char *zero = bench_raw(b, "t.pin", 0);
    MR_CLEANUP(mr_freep) char *other = bench_raw(b, "t.pin", 1);
    assert_string_equal(zero, "0=5 1=5");
    assert_string_equal(other, "0=5 1=5");
    archive_close(one);
    archive_close(two);
}

static void
reading_pauses_at_the_budget_and_goes_on_when_the_store_is_back(void **state)
{
    struct bench *b = *state;
    enum { COUNT = 400, BYTES = 10000 };
    b->held_bytes_max = 1 << 20;
    b->raw.bytes = 200000;
    bench_topic(b, "t.pin", 1);
    struct archive *archive = bench_archive(b, NULL);
    char value[BYTES + 1];
    memset(value, '1', BYTES);
    value[BYTES] = '\0';
    bench_store_away("t.pin+0+", 1u << 30);
    int64_t most = 0, deadline_ms = mr_now_ms() + FIXTURE_WAIT_MS;
    bench_read(archive);
    for (int i = 0; i < COUNT; i++) {
        bench_put_text(b, "t.pin", 0, value);
        bench_step(archive);
        most = archive_held(archive) > most ? archive_held(archive) : most;
    }
    while (!archive->parts[0].paused) {
        bench_step(archive);
        assert_true(mr_now_ms() < deadline_ms);
    }
    assert_true(most < 2 * b->held_bytes_max);
    assert_true(archive->parts[0].next < COUNT);
    char why[256];
    assert_false(archive_ready(archive, why, sizeof(why)));
    assert_non_null(strstr(why, "the store is away"));

    bench_store_away(NULL, 0);
    while (archive->parts[0].durable < COUNT) {
        (void)archive_flush(archive);
        bench_step(archive);
        assert_true(mr_now_ms() < deadline_ms + FIXTURE_WAIT_MS);
    }
    assert_true(archive_ready(archive, why, sizeof(why)));
    MR_CLEANUP(mr_freep) char *raw = bench_raw(b, "t.pin", 0);
    assert_int_equal(strlen(raw), COUNT * (BYTES + 2) + 10 + 2 * 90 + 3 * 300 - 1);
    archive_close(archive);
}

static void
one_slow_topic_does_not_hold_up_another(void **state)
{
    struct bench *b = *state;
    b->raw.records = 1;
    bench_topic(b, "t.geo", 1);
    bench_topic(b, "t.pin", 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_read(archive);
    bench_store_away("t.geo+0+", 1u << 30);
    for (int i = 0; i < 3 * CLOSED_MAX; i++)
        bench_put_text(b, "t.geo", 0, "1");
    bench_step(archive);
    bench_put_text(b, "t.pin", 0, "2");
    int64_t deadline_ms = mr_now_ms() + FIXTURE_WAIT_MS;
    for (size_t pin = 0; archive->parts[pin].durable < 1;) {
        while (strcmp(archive->parts[pin].bus.topic, "t.pin") != 0)
            pin++;
        bench_step(archive);
        assert_true(mr_now_ms() < deadline_ms);
    }
    archive_close(archive);
}

static void
drain_writes_everything_that_was_read(void **state)
{
    struct bench *b = *state;
    bench_topic(b, "t.pin", 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_put_text(b, "t.pin", 0, "0");
    bench_read(archive);
    BENCH_OK(archive_drain(archive, &oops));
    MR_CLEANUP(mr_freep) char *raw = bench_raw(b, "t.pin", 0);
    assert_string_equal(raw, "0=0");
    struct mr_offsets offsets = { .topic = "t.pin" };
    BENCH_OK(mr_bus_offsets(b->bus, "millrace.archiver", &offsets, 1, 1000, &oops));
    assert_int_equal(offsets.committed, 1);
    archive_close(archive);
}

static void
works_are_closed_by_age(void **state)
{
    struct bench *b = *state;
    b->raw.age_ms = 20;
    bench_topic(b, "t.pin", 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_put_text(b, "t.pin", 0, "0");
    bench_read(archive);
    int64_t deadline_ms = mr_now_ms() + FIXTURE_WAIT_MS;
    while (archive->parts[0].durable < 1) {
        bench_step(archive);
        assert_true(mr_now_ms() < deadline_ms);
    }
    archive_close(archive);
}

struct asker {
    const char *url;
    int code, status;
    int64_t records;
    atomic_bool done;
};

static void *
ask_to_flush(void *self)
{
    struct asker *asker = self;
    struct mr_err err = { 0 };
    struct mr_rpc_answer answer = { 0 };
    MR_CLEANUP(mr_rpc_closep) struct mr_rpc_client *client = NULL;
    asker->code = mr_rpc_dial(asker->url, &client, &err);
    if (asker->code == 0)
        asker->code = mr_rpc_call(client, "Flush", mr_slice("", 0), FIXTURE_WAIT_MS, &answer, &err);
    Millrace__V1__FlushReply *reply =
        millrace__v1__flush_reply__unpack(NULL, answer.body.size, answer.body.data);
    asker->status = answer.status;
    asker->records = reply != NULL ? reply->records : -1;
    millrace__v1__flush_reply__free_unpacked(reply, NULL);
    atomic_store(&asker->done, true);
    return NULL;
}

static void
flush_is_answered_when_all_that_was_read_is_durable(void **state)
{
    struct bench *b = *state;
    struct mr_rpc_server *server = NULL;
    pthread_t thread;
    bench_topic(b, "t.pin", 1);
    bench_topic(b, "t.pin.clean", 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_put_text(b, "t.pin", 0, "0");
    bench_pin(b, "t.pin.clean", 0, 1, "a");
    bench_pin(b, "t.pin.clean", 0, 1, "a");
    bench_read(archive);
    BENCH_OK(mr_rpc_serve("inproc://archiver-flush", &server, &oops));
    struct asker asker = { .url = mr_rpc_url(server) };
    assert_int_equal(pthread_create(&thread, NULL, ask_to_flush, &asker), 0);
    int64_t deadline_ms = mr_now_ms() + FIXTURE_WAIT_MS;
    while (!atomic_load(&asker.done)) {
        struct mr_rpc_call *call = mr_rpc_take(server, 5);
        if (call != NULL)
            archive_call(archive, call);
        bench_step(archive);
        assert_true(mr_now_ms() < deadline_ms);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(asker.code, 0);
    assert_int_equal(asker.status, MR_RPC_OK);
    assert_int_equal(asker.records, 3);
    for (size_t i = 0; i < archive->parts_count; i++)
        assert_int_equal(archive->parts[i].durable, archive->parts[i].next);
    mr_rpc_close_server(server);
    archive_close(archive);
}

int
main(void)
{
#define ON_BENCH(test) cmocka_unit_test_setup_teardown(test, bench_open, bench_close)
    const struct CMUnitTest raw[] = {
        cmocka_unit_test(json_is_written_as_posted_on_one_line),
        cmocka_unit_test(what_is_not_json_becomes_base64_and_no_value_null),
        cmocka_unit_test(json_is_judged_as_another_parser_judges_it),
        cmocka_unit_test(nesting_is_json_up_to_its_maximum),
        ON_BENCH(each_offset_stands_once_in_objects_named_by_first_offset),
        ON_BENCH(object_ends_before_a_jump_in_offsets),
        ON_BENCH(marker_at_the_end_of_a_raw_partition_is_no_lag),
        ON_BENCH(start_goes_on_behind_the_last_object),
        ON_BENCH(object_of_another_archiver_is_adopted),
        ON_BENCH(order_of_objects_is_by_number),
        ON_BENCH(topic_made_anew_is_refused_naming_both),
        ON_BENCH(topic_made_anew_unnoticed_is_refused_while_it_is_read),
        ON_BENCH(object_without_our_metadata_is_refused),
        ON_BENCH(records_that_are_gone_are_refused_naming_the_range),
        ON_BENCH(store_that_lost_its_objects_is_refused),
        ON_BENCH(partitions_that_go_are_dropped_and_come_again),
        ON_BENCH(reading_pauses_at_the_budget_and_goes_on_when_the_store_is_back),
        ON_BENCH(one_slow_topic_does_not_hold_up_another),
        ON_BENCH(drain_writes_everything_that_was_read),
        ON_BENCH(works_are_closed_by_age),
        ON_BENCH(flush_is_answered_when_all_that_was_read_is_durable),
    };
    int failed = cmocka_run_group_tests_name("raw", raw, NULL, NULL);
    return failed + archiver_table_tests() + archiver_older_tests() + archiver_told_tests();
}
