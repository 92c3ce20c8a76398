/*
 * Consumers of the REST proxy on a bus in memory: what they read, where they go on, and that nobody
 * waits for anybody else. What is refused: test_consumers_refused.c.
 */
#include "consumer_fixture.h"

#include "clock/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define G    "/consumers/g"
#define C    G "/instances/c"
#define BOTH "{\"topics\":[\"" PIN "\"]}"

static void
one_partition(struct gate *gate, const char *settings)
{
    gate_open(gate, &(struct gate_wish){ .topic = PIN });
    make_consumer(gate, "g", settings);
}

static void
records_are_read_as_published(void **state)
{
    (void)state;
    struct gate gate;
    one_partition(&gate, "'format':'json','auto.offset.reset':'earliest'");
    say(&gate, "POST", C "/subscription", BOTH, 204, "HTTP/1.1 204 No Content\r\n");
    say(&gate, "POST", "/topics/" PIN, "{\"records\":[{\"key\":\"k\",\"value\":{\"n\":1}}]}", 200,
        "offsets");
    char *read = read_records(&gate, C, 1);
    assert_non_null(strstr(read, "[{\"topic\":\"" PIN "\",\"key\":\"k\",\"value\":{\"n\":1},"
                                 "\"partition\":0,\"offset\":0}]"));
    free(read);
    say(&gate, "GET", C "/subscription", "", 200, "{\"topics\":[\"" PIN "\"]}");
    say(&gate, "GET", C "/assignments", "", 200,
        "{\"partitions\":[{\"topic\":\"" PIN "\",\"partition\":0}]}");
    say(&gate, "GET", C "/records?timeout=1", "", 200, "\r\n\r\n[]");
    say(&gate, "DELETE", C, "", 204, "");
    say(&gate, "GET", C "/records", "", 404, "\"error_code\":40403");
    gate_close(&gate);
}

static void
binary_is_the_default_and_comes_in_base64(void **state)
{
    (void)state;
    struct gate gate;
    one_partition(&gate, "'auto.offset.reset':'earliest'");
    say_with(
        &gate, "Content-Type: application/vnd.kafka.binary.v2+json\r\n", "POST", "/topics/" PIN,
        "{\"records\":[{\"key\":\"aGk=\",\"value\":\"/w==\"},{\"value\":null}]}", 200, "offsets");
    say(&gate, "POST", C "/subscription", BOTH, 204, "");
    char *read = read_records(&gate, C, 2);
    assert_non_null(strstr(read, "\"key\":\"aGk=\",\"value\":\"/w==\","));
    assert_non_null(strstr(read, "\"key\":null,\"value\":null,"));
    free(read);
    gate_close(&gate);
}

static void
key_that_is_only_text_is_shown_as_such(void **state)
{
    (void)state;
    struct gate gate;
    one_partition(&gate, "'format':'json','auto.offset.reset':'earliest'");
    say(&gate, "PUT", "/streams/streaming-12b287eedf6d-pin/record",
        "{\"Data\":{\"n\":1},\"PartitionKey\":\"test\"}", 200, "Sequence");
    say(&gate, "POST", C "/subscription", BOTH, 204, "");
    char *read = read_records(&gate, C, 1);
    assert_non_null(strstr(read, "\"key\":\"test\",\"value\":{\"n\":1}"));
    free(read);
    gate_close(&gate);
}

static void
new_instance_goes_on_behind_what_was_committed(void **state)
{
    (void)state;
    struct gate gate;
    one_partition(&gate,
                  "'format':'json','auto.offset.reset':'earliest','auto.commit.enable':'false'");
    say(&gate, "POST", C "/subscription", BOTH, 204, "");
    put(&gate, 0, 0, 3);
    free(read_records(&gate, C, 3));
    say(&gate, "POST", C "/offsets",
        "{\"offsets\":[{\"topic\":\"" PIN "\",\"partition\":0,\"offset\":0,\"metadata\":\"m\"}]}",
        200, "\r\n\r\n[]");
    say(&gate, "GET", C "/offsets", "{\"partitions\":[{\"topic\":\"" PIN "\",\"partition\":0}]}",
        200,
        "{\"offsets\":[{\"topic\":\"" PIN "\",\"partition\":0,\"offset\":1,\"metadata\":\"m\"}]}");
    say(&gate, "DELETE", C, "", 204, "");
    make_consumer(&gate, "g", "'format':'json','auto.commit.enable':false");
    say(&gate, "POST", C "/subscription", BOTH, 204, "");
    char *read = read_records(&gate, C, 2);
    assert_null(strstr(read, "{\"n\":0}"));
    free(read);
    say(&gate, "POST", C "/offsets", "", 200, "\r\n\r\n[]");
    say(&gate, "GET", C "/offsets", "{\"partitions\":[{\"topic\":\"" PIN "\",\"partition\":0}]}",
        200, "\"offset\":3,");
    gate_close(&gate);
}

static void
what_was_read_is_committed_by_itself_when_it_shall(void **state)
{
    (void)state;
    static const struct {
        const char *settings, *committed;
    } cases[] = {
        { "'format':'json','auto.offset.reset':'earliest'", "\"offset\":2," },
        { "'format':'json','auto.offset.reset':'earliest','auto.commit.enable':'false'",
          "{\"offsets\":[]}" },
    };
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        struct gate gate;
        one_partition(&gate, cases[i].settings);
        put(&gate, 0, 0, 2);
        say(&gate, "POST", C "/subscription", BOTH, 204, "");
        free(read_records(&gate, C, 2));
        say(&gate, "DELETE", C, "", 204, "");
        make_consumer(&gate, "g", "");
        say(&gate, "GET", C "/offsets",
            "{\"partitions\":[{\"topic\":\"" PIN "\",\"partition\":0}]}", 200, cases[i].committed);
        gate_close(&gate);
    }
}

static void
latest_reads_only_what_comes_from_now_on(void **state)
{
    (void)state;
    struct gate gate;
    one_partition(&gate, "'format':'json'");
    put(&gate, 0, 0, 2);
    say(&gate, "POST", C "/subscription", BOTH, 204, "");
    say(&gate, "GET", C "/records?timeout=100", "", 200, "\r\n\r\n[]");
    put(&gate, 0, 2, 1);
    char *read = read_records(&gate, C, 1);
    assert_non_null(strstr(read, "{\"n\":2}"));
    free(read);
    gate_close(&gate);
}

static void
answer_holds_no_more_than_max_bytes_and_nothing_is_passed_over(void **state)
{
    (void)state;
    struct gate gate;
    one_partition(&gate, "'format':'json','auto.offset.reset':'earliest'");
    put(&gate, 0, 0, 5);
    say(&gate, "POST", C "/subscription", BOTH, 204, "");
    /* Each value has 7 bytes; one that is too large alone is given all the same. */
    static const struct {
        const char *path;
        int first, count;
    } reads[] = { { C "/records?max_bytes=1", 0, 1 },
                  { C "/records?max_bytes=15", 1, 2 },
                  { C "/records?max_bytes=14", 3, 2 } };
    for (size_t i = 0; i < MR_COUNT(reads); i++) {
        struct answer answer;
        char first[16];
        gate_call(&gate, "GET", reads[i].path, "", mr_slice_text(""), &answer);
        assert_int_equal(count_of(answer.body, "\"offset\":"), reads[i].count);
        (void)snprintf(first, sizeof(first), "{\"n\":%d}", reads[i].first);
        assert_non_null(strstr(answer.body, first));
        answer_fini(&answer);
    }
    gate_close(&gate);
}

static void
two_instances_share_the_partitions(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ .topic = PIN, .partitions = 2 });
    make_consumer(&gate, "g", "'format':'json','auto.offset.reset':'earliest'");
    say(&gate, "POST", G, "{\"name\":\"d\",\"format\":\"json\",\"auto.offset.reset\":\"earliest\"}",
        200, "\"d\"");
    say(&gate, "POST", C "/subscription", BOTH, 204, "");
    say(&gate, "POST", G "/instances/d/subscription", BOTH, 204, "");
    put(&gate, 0, 0, 3);
    put(&gate, 1, 10, 3);
    char *one = read_records(&gate, C, 3), *other = read_records(&gate, G "/instances/d", 3);
    bool is_first = strstr(one, "\"partition\":0") != NULL;
    assert_int_equal(count_of(one, is_first ? "\"partition\":0" : "\"partition\":1"), 3);
    assert_int_equal(count_of(other, is_first ? "\"partition\":1" : "\"partition\":0"), 3);
    free(one);
    free(other);
    gate_close(&gate);
}

static void
assignment_by_hand_can_be_sent_to_any_position(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ .topic = PIN, .partitions = 2 });
    make_consumer(&gate, "g", "'format':'json','auto.offset.reset':'earliest'");
    put(&gate, 1, 0, 3);
    say(&gate, "POST", C "/assignments",
        "{\"partitions\":[{\"topic\":\"" PIN "\",\"partition\":1}]}", 204, "");
    say(&gate, "GET", C "/assignments", "", 200,
        "{\"partitions\":[{\"topic\":\"" PIN "\",\"partition\":1}]}");
    free(read_records(&gate, C, 3));
    say(&gate, "POST", C "/positions/beginning",
        "{\"partitions\":[{\"topic\":\"" PIN "\",\"partition\":1}]}", 204, "");
    free(read_records(&gate, C, 3));
    say(&gate, "POST", C "/positions",
        "{\"offsets\":[{\"topic\":\"" PIN "\",\"partition\":1,\"offset\":2}]}", 204, "");
    char *read = read_records(&gate, C, 1);
    assert_non_null(strstr(read, "{\"n\":2}"));
    free(read);
    say(&gate, "POST", C "/positions/beginning",
        "{\"partitions\":[{\"topic\":\"" PIN "\",\"partition\":1}]}", 204, "");
    say(&gate, "POST", C "/positions/end",
        "{\"partitions\":[{\"topic\":\"" PIN "\",\"partition\":1}]}", 204, "");
    say(&gate, "GET", C "/records?timeout=50", "", 200, "\r\n\r\n[]");
    say(&gate, "POST", C "/positions",
        "{\"offsets\":[{\"topic\":\"" PIN "\",\"partition\":1,\"offset\":777}]}", 204, "");
    free(read_records(&gate, C, 3)); /* there is no such offset: as auto.offset.reset says */
    gate_close(&gate);
}

static void
pattern_matches_whole_names_and_never_kafka_s_own(void **state)
{
    (void)state;
    struct gate gate;
    struct mr_err err = { 0 };
    const struct mr_topic_spec own = { .name = "__consumer_offsets",
                                       .partitions = 1,
                                       .replicas = 1 };
    one_partition(&gate, "'format':'json','auto.offset.reset':'earliest'");
    assert_int_equal(mr_bus_create(gate.bus, &own, 1, 1000, &err), 0);
    say(&gate, "POST", C "/subscription", "{\"topic_pattern\":\"12b287eedf6d\\\\.p.n|__.*\"}", 204,
        "");
    put(&gate, 0, 0, 1);
    struct mr_writer *writer = NULL;
    struct mr_writer_options options = { .queue_bytes_max = 1000 };
    assert_int_equal(mr_writer_open(gate.bus, &options, &writer, &err), 0);
    struct mr_message message = { .topic = own.name, .value = MR_SLICE("{}") };
    assert_int_equal(mr_writer_produce(writer, &message, &err), 0);
    assert_int_equal(mr_writer_flush(writer, 1000, &err), 0);
    mr_writer_close(writer);
    char *read = read_records(&gate, C, 1);
    assert_non_null(strstr(read, PIN));
    free(read);
    say(&gate, "GET", C "/records?timeout=50", "", 200, "\r\n\r\n[]");
    say(&gate, "DELETE", C "/subscription", "", 204, "");
    say(&gate, "GET", C "/subscription", "", 200, "{\"topics\":[]}");
    say(&gate, "GET", C "/assignments", "", 200, "{\"partitions\":[]}");
    gate_close(&gate);
}

static void
record_that_is_no_json_is_told_with_its_place(void **state)
{
    (void)state;
    struct gate gate;
    one_partition(&gate, "'format':'json','auto.offset.reset':'earliest'");
    put(&gate, 0, 0, 1);
    say_with(&gate, "Content-Type: application/vnd.kafka.binary.v2+json\r\n", "POST",
             "/topics/" PIN, "{\"records\":[{\"value\":\"eyJhIjp0cnUsfQ==\"}]}", 200, "offsets");
    put(&gate, 0, 2, 1);
    say(&gate, "POST", C "/subscription", BOTH, 204, "");
    free(read_records(&gate, C, 1));
    for (int i = 0; i < 2; i++)
        say(&gate, "GET", C "/records", "", 500,
            "{\"error_code\":50002,\"message\":\"Kafka error: the record at offset 1 of topic " PIN
            " partition 0 is no JSON");
    say(&gate, "POST", C "/positions",
        "{\"offsets\":[{\"topic\":\"" PIN "\",\"partition\":0,\"offset\":2}]}", 204, "");
    char *read = read_records(&gate, C, 1);
    assert_non_null(strstr(read, "{\"n\":2}"));
    free(read);
    gate_close(&gate);
}

/* A read waits, and then its poll fails. */
static void
fail_a_read(struct gate *gate, const struct mr_err *fault, int status, const char *words)
{
    struct answer answer;
    int fd = gate_send(gate, "GET", C "/records", "", mr_slice_text(""));
    assert_true(gate_is_silent(gate, fd));
    mr_bus_memory_fault(gate->bus, "poll", 0, 1, fault);
    gate_receive(gate, fd, &answer);
    assert_int_equal(answer.status, status);
    assert_non_null(strstr(answer.body, words));
    answer_fini(&answer);
}

static void
broker_away_is_told_as_retriable_and_nothing_is_lost(void **state)
{
    (void)state;
    struct gate gate;
    one_partition(&gate, "'format':'json','auto.offset.reset':'earliest',"
                         "'consumer.request.timeout.ms':60000");
    put(&gate, 0, 0, 2);
    say(&gate, "POST", C "/assignments",
        "{\"partitions\":[{\"topic\":\"" PIN "\",\"partition\":0}]}", 204, "");
    free(read_records(&gate, C, 2));
    fail_a_read(&gate, &(struct mr_err){ MR_E(UNAVAILABLE), MR_RETRY, "no broker answers" }, 503,
                "{\"error_code\":50003,\"message\":\"no broker answers\"}");
    /* A reader that failed for good is replaced, and goes on where the group stands. */
    fail_a_read(&gate, &(struct mr_err){ MR_E(NOT_FOUND), MR_FATAL, "offset 2 is gone" }, 500,
                "{\"error_code\":50002,\"message\":\"");
    put(&gate, 0, 2, 1);
    char *read = read_records(&gate, C, 1);
    assert_non_null(strstr(read, "{\"n\":2}"));
    free(read);
    gate_close(&gate);
}

/* ---- waiting ---- */

static void
long_poll_holds_up_nobody_and_ends_with_the_first_record(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    one_partition(&gate, "'format':'json','auto.offset.reset':'earliest',"
                         "'consumer.request.timeout.ms':60000");
    say(&gate, "POST", C "/subscription", BOTH, 204, "");
    int fd = gate_send(&gate, "GET", C "/records", "", mr_slice_text(""));
    assert_true(gate_is_silent(&gate, fd));
    say(&gate, "GET", "/brokers", "", 200, "[1]");
    put(&gate, 0, 0, 1);
    gate_receive(&gate, fd, &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "{\"n\":0}"));
    answer_fini(&answer);
    gate_close(&gate);
}

static void
waiting_read_ends_when_its_instance_is_deleted(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    one_partition(&gate, "'consumer.request.timeout.ms':'60000'");
    say(&gate, "POST", C "/subscription", BOTH, 204, "");
    int fd = gate_send(&gate, "GET", C "/records", "", mr_slice_text(""));
    assert_true(gate_is_silent(&gate, fd));
    say(&gate, "DELETE", C, "", 204, "");
    gate_receive(&gate, fd, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "[]");
    answer_fini(&answer);
    gate_close(&gate);
}

static bool
is_drained(void *self)
{
    struct gate *gate = self;
    return door_drain(gate->door, 1);
}

static void
door_that_drains_answers_readers_and_leaves_groups(void **state)
{
    (void)state;
    struct gate gate;
    one_partition(&gate, "'consumer.request.timeout.ms':'60000'");
    say(&gate, "POST", C "/subscription", BOTH, 204, "");
    int fd = gate_send(&gate, "GET", C "/records", "", mr_slice_text(""));
    assert_true(gate_is_silent(&gate, fd));
    (void)door_drain(gate.door, 1);
    struct answer answer;
    gate_receive(&gate, fd, &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    gate_await(&gate, is_drained, &gate);
    gate_close(&gate);
}

static void
reader_that_waits_is_answered_when_the_door_closes(void **state)
{
    (void)state;
    struct gate gate;
    one_partition(&gate, "'consumer.request.timeout.ms':'60000'");
    say(&gate, "POST", C "/subscription", BOTH, 204, "");
    int fd = gate_send(&gate, "GET", C "/records", "", mr_slice_text(""));
    assert_true(gate_is_silent(&gate, fd));
    int64_t before_ms = mr_now_ms();
    gate_close(&gate);
    assert_true(mr_now_ms() < before_ms + 10000);
    (void)close(fd);
}

static bool
is_gone(void *self)
{
    struct answer answer;
    gate_call(self, "GET", "/consumers/idle/instances/c/subscription", "", mr_slice_text(""),
              &answer);
    bool is_gone = answer.status == 404 && strstr(answer.body, "40403") != NULL;
    answer_fini(&answer);
    return is_gone;
}

static void
idle_instance_expires(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ .topic = PIN, .consumer_idle_ms = 1 });
    say(&gate, "POST", "/consumers/idle", "{\"name\":\"c\"}", 200, "idle");
    gate_await(&gate, is_gone, &gate);
    gate_close(&gate);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_read_as_published),
        cmocka_unit_test(binary_is_the_default_and_comes_in_base64),
        cmocka_unit_test(key_that_is_only_text_is_shown_as_such),
        cmocka_unit_test(new_instance_goes_on_behind_what_was_committed),
        cmocka_unit_test(what_was_read_is_committed_by_itself_when_it_shall),
        cmocka_unit_test(latest_reads_only_what_comes_from_now_on),
        cmocka_unit_test(answer_holds_no_more_than_max_bytes_and_nothing_is_passed_over),
        cmocka_unit_test(two_instances_share_the_partitions),
        cmocka_unit_test(assignment_by_hand_can_be_sent_to_any_position),
        cmocka_unit_test(pattern_matches_whole_names_and_never_kafka_s_own),
        cmocka_unit_test(record_that_is_no_json_is_told_with_its_place),
        cmocka_unit_test(broker_away_is_told_as_retriable_and_nothing_is_lost),
        cmocka_unit_test(long_poll_holds_up_nobody_and_ends_with_the_first_record),
        cmocka_unit_test(waiting_read_ends_when_its_instance_is_deleted),
        cmocka_unit_test(door_that_drains_answers_readers_and_leaves_groups),
        cmocka_unit_test(reader_that_waits_is_answered_when_the_door_closes),
        cmocka_unit_test(idle_instance_expires),
    };
    int failed = refusal_tests();
    return failed + cmocka_run_group_tests_name("consumers", tests, NULL, NULL);
}
