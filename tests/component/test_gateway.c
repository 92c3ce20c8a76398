/*
 * What the gateway promises, on a bus in memory: answers only after the delivery report, ids,
 * limits, partial failures, topics made on first use. The forms of bodies: test_gateway_forms.c.
 */
#include "gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define T    "12b287eedf6d.pin"
#define JSON "Content-Type: application/vnd.kafka.json.v2+json\r\n"
#define ONE  MR_SLICE("{\"records\":[{\"value\":{\"index\":7528}}]}")

static void
post(struct gate *gate, const char *headers, struct mr_slice body, struct answer *ret)
{
    gate_call(gate, "POST", "/prod/topics/" T, headers, body, ret);
}

static void
the_rest_answer_is_the_published_one(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    for (int offset = 0; offset < 2; offset++) {
        char expected[256];
        post(&gate, JSON, ONE, &answer);
        (void)snprintf(expected, sizeof(expected),
                       "{\"offsets\":[{\"partition\":0,\"offset\":%d,\"error_code\":null,"
                       "\"error\":null}],\"key_schema_id\":null,\"value_schema_id\":null}",
                       offset);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.body, expected);
        assert_non_null(
            strstr(answer.text.data, "Content-Type: application/vnd.kafka.v2+json\r\n"));
        answer_fini(&answer);
    }
    gate_close(&gate);
}

static void
the_kinesis_answer_names_shard_and_sequence(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    gate_call(&gate, "PUT", "/prod/streams/streaming-12b287eedf6d-pin/record", "",
              MR_SLICE("{\"Data\":{},\"PartitionKey\":\"p\"}"), &answer);
    assert_string_equal(answer.body, "{\"ShardId\":\"shardId-000000000000\",\"SequenceNumber\":"
                                     "\"49000000000000000000000000\"}");
    answer_fini(&answer);
    gate_call(&gate, "PUT", "/prod/streams/streaming-12b287eedf6d-pin/records", "",
              MR_SLICE("{\"Records\":[{\"Data\":{},\"PartitionKey\":\"p\"}]}"), &answer);
    assert_string_equal(
        answer.body, "{\"FailedRecordCount\":0,\"Records\":[{\"ShardId\":\"shardId-000000000000\""
                     ",\"SequenceNumber\":\"49000000000000000000100000\"}]}");
    answer_fini(&answer);
    gate_close(&gate);
}

static void
each_event_gets_a_receipt(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    gate_call(&gate, "POST", "/v1/events/12b287eedf6d/pin", "", MR_SLICE("{}\n{}\n"), &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body,
                        "{\"failed\":0,\"receipts\":[{\"topic\":\"" T "\",\"partition\":0,"
                        "\"offset\":0},{\"topic\":\"" T "\",\"partition\":0,\"offset\":1}]}");
    answer_fini(&answer);
    gate_close(&gate);
}

static void
no_answer_leaves_before_the_event_is_stored(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    mr_bus_memory_hold(gate.bus, true);
    int fd = gate_send(&gate, "POST", "/topics/" T, JSON, ONE);
    assert_true(gate_is_silent(&gate, fd));
    mr_bus_memory_hold(gate.bus, false);
    gate_receive(&gate, fd, &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    gate_close(&gate);
}

static void
too_much_in_flight_is_refused_for_a_while(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    gate_open(&gate, &(struct gate_wish){ .topic = T, .in_flight_bytes_max = 1000 });
    mr_bus_memory_hold(gate.bus, true);
    int fd = gate_send(&gate, "POST", "/topics/" T, JSON, ONE);
    assert_true(gate_is_silent(&gate, fd));
    post(&gate, JSON, ONE, &answer);
    assert_int_equal(answer.status, 503);
    assert_non_null(strstr(answer.text.data, "Retry-After: 1\r\n"));
    answer_fini(&answer);
    mr_bus_memory_hold(gate.bus, false);
    gate_receive(&gate, fd, &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    post(&gate, JSON, ONE, &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    gate_close(&gate);
}

static void
a_failure_is_told_for_its_record(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    struct mr_buf body;
    gate_open(&gate, &(struct gate_wish){ .topic = T, .record_bytes_max = 2000 });
    mr_buf_init(&body, 65536);
    mr_buf_text(&body, "{\"records\":[{\"value\":{}},{\"value\":\"");
    memset(mr_buf_extend(&body, 2000), 'a', 2000);
    mr_buf_text(&body, "\"},{\"value\":{}}]}");
    post(&gate, JSON, mr_buf_slice(&body), &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "[{\"partition\":0,\"offset\":0,\"error_code\":null"));
    assert_non_null(strstr(answer.body, "{\"partition\":null,\"offset\":null,\"error_code\":41301,"
                                        "\"error\":\"topic " T));
    assert_non_null(strstr(answer.body, "{\"partition\":0,\"offset\":1,\"error_code\":null"));
    answer_fini(&answer);
    mr_buf_fini(&body);
    gate_close(&gate);
}

static void
a_record_that_is_too_large_alone_is_413(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    struct mr_buf body;
    gate_open(&gate, &(struct gate_wish){ .topic = T, .record_bytes_max = 2000 });
    mr_buf_init(&body, 65536);
    memset(mr_buf_extend(&body, 2000), '1', 2000);
    gate_call(&gate, "POST", "/v1/events/12b287eedf6d/pin", "", mr_buf_slice(&body), &answer);
    assert_int_equal(answer.status, 413);
    answer_fini(&answer);
    mr_buf_fini(&body);
    gate_close(&gate);
}

static void
a_full_queue_is_503_and_the_next_try_works(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    struct mr_err full = { MR_E(FULL), MR_RETRY, "the queue is full" };
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    mr_bus_memory_fault(gate.bus, "produce", 0, 1, &full);
    post(&gate, JSON, ONE, &answer);
    assert_int_equal(answer.status, 503);
    assert_non_null(strstr(answer.body, "\"error_code\":50003"));
    assert_non_null(strstr(answer.text.data, "Retry-After: 1\r\n"));
    answer_fini(&answer);
    post(&gate, JSON, ONE, &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    gate_close(&gate);
}

/* 10,000 records and one more. */
static void
a_request_has_a_largest_number_of_records(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    for (int count = 10000; count <= 10001; count++) {
        struct mr_buf body;
        mr_buf_init(&body, 1 << 20);
        mr_buf_text(&body, "{\"records\":[{\"value\":1}");
        for (int i = 1; i < count; i++)
            mr_buf_text(&body, ",{\"value\":1}");
        mr_buf_text(&body, "]}");
        post(&gate, JSON, mr_buf_slice(&body), &answer);
        assert_int_equal(answer.status, count == 10000 ? 200 : 413);
        answer_fini(&answer);
        mr_buf_fini(&body);
    }
    gate_close(&gate);
}

/* ---- who a record is ---- */

static bool
same_id(const Millrace__V1__Provenance *a, const Millrace__V1__Provenance *b)
{
    return memcmp(a->event_id.data, b->event_id.data, 16) == 0;
}

static void
the_same_idempotency_key_gives_the_same_ids_and_partition(void **state)
{
    (void)state;
    static const char two[] = "{\"records\":[{\"value\":{\"n\":1}},{\"value\":{\"n\":2}}]}";
    struct gate gate;
    struct answer answer;
    struct stored stored;
    gate_open(&gate, &(struct gate_wish){ .topic = T, .partitions = 3, .receipts_bytes_max = 1 });
    for (int i = 0; i < 2; i++) {
        post(&gate, JSON "Idempotency-Key: order-1\r\n", MR_SLICE(two), &answer);
        assert_int_equal(answer.status, 200);
        answer_fini(&answer);
    }
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, 4);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(stored.partitions[i], stored.partitions[0]);
    assert_true(same_id(stored.provenance[0], stored.provenance[2]));
    assert_true(same_id(stored.provenance[1], stored.provenance[3]));
    assert_false(same_id(stored.provenance[0], stored.provenance[1]));
    assert_true(stored.provenance[0]->idempotency_hash.len > 0);
    stored_fini(&stored);
    gate_close(&gate);
}

static void
another_key_or_topic_gives_another_id(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    struct stored pins, geos;
    gate_open(&gate, &(struct gate_wish){ .auto_topics = true });
    post(&gate, JSON "Idempotency-Key: 1\r\n", ONE, &answer);
    answer_fini(&answer);
    post(&gate, JSON "Idempotency-Key: 2\r\n", ONE, &answer);
    answer_fini(&answer);
    gate_call(&gate, "POST", "/topics/12b287eedf6d.geo", JSON "Idempotency-Key: 1\r\n", ONE,
              &answer);
    answer_fini(&answer);
    stored_read(&gate, T, &pins);
    stored_read(&gate, "12b287eedf6d.geo", &geos);
    assert_int_equal(pins.count, 2);
    assert_int_equal(geos.count, 1);
    assert_false(same_id(pins.provenance[0], pins.provenance[1]));
    assert_false(same_id(pins.provenance[0], geos.provenance[0]));
    stored_fini(&pins);
    stored_fini(&geos);
    gate_close(&gate);
}

static void
without_a_key_every_record_is_another(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    struct stored stored;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    for (int i = 0; i < 3; i++) {
        post(&gate, JSON, ONE, &answer);
        answer_fini(&answer);
    }
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(stored.provenance[i]->idempotency_hash.len, 0);
        for (size_t k = 0; k < i; k++)
            assert_false(same_id(stored.provenance[i], stored.provenance[k]));
    }
    stored_fini(&stored);
    gate_close(&gate);
}

static void
the_header_says_when_and_how_it_came(void **state)
{
    (void)state;
    static const char trace[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    struct gate gate;
    struct answer answer;
    struct stored stored;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    post(&gate, JSON "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
         ONE, &answer);
    answer_fini(&answer);
    post(&gate, JSON "traceparent: nonsense\r\n", ONE, &answer);
    answer_fini(&answer);
    gate_call(&gate, "PUT", "/streams/12b287eedf6d-pin/record", "",
              MR_SLICE("{\"Data\":{},\"PartitionKey\":\"p\"}"), &answer);
    answer_fini(&answer);
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, 3);
    assert_string_equal(stored.provenance[0]->traceparent, trace);
    assert_int_equal(strlen(stored.provenance[1]->traceparent), strlen(trace));
    assert_memory_not_equal(stored.provenance[1]->traceparent, trace, 35);
    assert_int_equal(stored.provenance[0]->dialect, MILLRACE__V1__DIALECT__DIALECT_REST);
    assert_int_equal(stored.provenance[2]->dialect, MILLRACE__V1__DIALECT__DIALECT_KINESIS);
    assert_true(stored.provenance[0]->received_us > 1600000000000000);
    assert_true(stored.provenance[0]->received_us <= stored.provenance[1]->received_us);
    stored_fini(&stored);
    gate_close(&gate);
}

/* ---- topics ---- */

static void
a_topic_of_a_known_kind_is_made_on_first_use(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_freep) struct mr_topic *topics = NULL;
    size_t count = 0;
    gate_open(&gate, &(struct gate_wish){ .auto_topics = true, .partitions = 3 });
    int first = gate_send(&gate, "POST", "/topics/" T, JSON, ONE);
    int second = gate_send(&gate, "POST", "/topics/" T, JSON, ONE);
    gate_receive(&gate, first, &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    gate_receive(&gate, second, &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    assert_int_equal(mr_bus_topics(gate.bus, &topics, &count, 1000, &err), 0);
    assert_int_equal(count, 4);
    assert_string_equal(topics[0].name, T);
    assert_string_equal(topics[1].name, T ".clean");
    assert_string_equal(topics[2].name, T ".dead");
    assert_string_equal(topics[3].name, T ".valid");
    for (size_t i = 0; i < count; i++)
        assert_int_equal(topics[i].partitions, 3);
    gate_close(&gate);
}

static void
behind_the_raw_topic_there_is_room_for_64_kib_more(void **state)
{
    (void)state;
    struct gate gate;
    struct mr_err err = { 0 };
    char value[32];
    gate_open(&gate, &(struct gate_wish){ .topic = T, .record_bytes_max = 100000 });
    static const char *const names[] = { T ".valid", T ".clean", T ".dead" };
    assert_int_equal(
        mr_bus_setting(gate.bus, T, "max.message.bytes", value, sizeof(value), 1000, &err), 0);
    assert_string_equal(value, "100000");
    for (size_t i = 0; i < MR_COUNT(names); i++) {
        assert_int_equal(mr_bus_setting(gate.bus, names[i], "max.message.bytes", value,
                                        sizeof(value), 1000, &err),
                         0);
        assert_string_equal(value, "165536");
    }
    gate_close(&gate);
}

static void
an_unknown_topic_is_40401(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    gate_open(&gate, &(struct gate_wish){ 0 });
    post(&gate, JSON, ONE, &answer);
    assert_int_equal(answer.status, 404);
    assert_string_equal(answer.body, "{\"error_code\":40401,\"message\":\"Topic " T " not found; "
                                     "make it with: millrace topics --tenant 12b287eedf6d\"}");
    answer_fini(&answer);
    gate_close(&gate);
}

static bool
is_ready(void *self)
{
    char why[256];
    return door_ready(self, why, sizeof(why));
}

static void
topics_and_streams_are_listed(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    gate_open(&gate, &(struct gate_wish){ .topic = T, .partitions = 2 });
    gate_await(&gate, is_ready, gate.door);
    gate_call(&gate, "GET", "/prod/topics", "", MR_SLICE(""), &answer);
    assert_string_equal(answer.body, "[\"" T "\",\"" T ".clean\",\"" T ".dead\",\"" T ".valid\"]");
    answer_fini(&answer);
    gate_call(&gate, "GET", "/prod/streams", "", MR_SLICE(""), &answer);
    assert_non_null(strstr(answer.body, "{\"StreamNames\":[\"streaming-12b287eedf6d-pin\"],"
                                        "\"HasMoreStreams\":false,"));
    answer_fini(&answer);
    gate_call(&gate, "GET", "/streams?ExclusiveStartStreamName=streaming-12b287eedf6d-pin&Limit=3",
              "", MR_SLICE(""), &answer);
    assert_non_null(strstr(answer.body, "{\"StreamNames\":[],\"HasMoreStreams\":false,"));
    answer_fini(&answer);
    gate_call(&gate, "GET", "/streams/streaming-12b287eedf6d-pin", "", MR_SLICE(""), &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"StreamStatus\":\"ACTIVE\""));
    assert_non_null(strstr(answer.body,
                           "\"ShardId\":\"shardId-000000000001\",\"HashKeyRange\":{"
                           "\"StartingHashKey\":\"170141183460469231731687303715884105"
                           "728\",\"EndingHashKey\":\"340282366920938463463374607431768"
                           "211455\"}"));
    answer_fini(&answer);
    gate_close(&gate);
}

static void
the_root_says_where_one_is(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    gate_open(&gate, &(struct gate_wish){ 0 });
    gate_call(&gate, "GET", "/", "", MR_SLICE(""), &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"service\":\"millrace-gateway\""));
    assert_non_null(strstr(answer.body, "http://x/topics/a1b2c3.pin"));
    answer_fini(&answer);
    gate_call(&gate, "GET", "/", "Accept: text/html,application/xml;q=0.9,*/*;q=0.8\r\n",
              MR_SLICE(""), &answer);
    assert_non_null(strstr(answer.text.data, "Content-Type: text/html; charset=utf-8\r\n"));
    assert_non_null(strstr(answer.body, "http://x/v1/events/a1b2c3/pin"));
    answer_fini(&answer);
    gate_call(&gate, "GET", "/prod/openapi.json", "", MR_SLICE(""), &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"version\": \"" MILLRACE_VERSION "\""));
    answer_fini(&answer);
    gate_close(&gate);
}

/* ---- process ---- */

static void
what_came_in_and_what_was_stored_is_counted(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    struct mr_buf text;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    post(&gate, JSON, ONE, &answer);
    answer_fini(&answer);
    mr_buf_init(&text, 1 << 20);
    mr_metrics_write(gate.metrics, &text);
    assert_non_null(strstr(text.data, "millrace_events_total{stage=\"gateway\",tenant=\""
                                      "12b287eedf6d\",kind=\"pin\",outcome=\"in\"} 1\n"));
    assert_non_null(strstr(text.data, "outcome=\"good\"} 1\n"));
    assert_non_null(strstr(text.data, "millrace_gateway_requests_total{dialect=\"rest\",status=\""
                                      "2xx\"} 1\n"));
    assert_non_null(strstr(text.data, "millrace_gateway_in_flight_bytes 0\n"));
    mr_buf_fini(&text);
    gate_close(&gate);
}

static bool
is_told_as_weak(void *self)
{
    struct gate *gate = self;
    MR_CLEANUP(mr_buf_fini) struct mr_buf status;
    mr_buf_init(&status, 1 << 16);
    door_status(gate->door, &status);
    return strstr(status.data, "\"topics_less_durable_than_planned\":1,") != NULL;
}

static void
a_topic_with_fewer_replicas_than_planned_is_told(void **state)
{
    (void)state;
    static const char *const settings[] = { "min.insync.replicas", "1", NULL };
    const struct mr_topic_spec spec = { T, 1, 1, settings };
    struct gate gate;
    struct answer answer;
    struct mr_err err = { 0 };
    gate_open(&gate, &(struct gate_wish){ .replicas = 3 });
    assert_int_equal(mr_bus_create(gate.bus, &spec, 1, 1000, &err), 0);
    post(&gate, JSON, MR_SLICE("{\"records\":[{\"value\":1}]}"), &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    gate_await(&gate, is_told_as_weak, &gate);
    gate_close(&gate);
}

static void
a_drain_waits_for_the_last_answer(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    mr_bus_memory_hold(gate.bus, true);
    int fd = gate_send(&gate, "POST", "/topics/" T, JSON, ONE);
    assert_true(gate_is_silent(&gate, fd));
    assert_false(door_drain(gate.door, 0));
    assert_true(gate_is_silent(&gate, fd));
    mr_bus_memory_hold(gate.bus, false);
    gate_receive(&gate, fd, &answer);
    assert_int_equal(answer.status, 200);
    assert_true(door_drain(gate.door, 0));
    answer_fini(&answer);
    gate_close(&gate);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rest_answer_is_the_published_one),
        cmocka_unit_test(the_kinesis_answer_names_shard_and_sequence),
        cmocka_unit_test(each_event_gets_a_receipt),
        cmocka_unit_test(no_answer_leaves_before_the_event_is_stored),
        cmocka_unit_test(too_much_in_flight_is_refused_for_a_while),
        cmocka_unit_test(a_failure_is_told_for_its_record),
        cmocka_unit_test(a_record_that_is_too_large_alone_is_413),
        cmocka_unit_test(a_full_queue_is_503_and_the_next_try_works),
        cmocka_unit_test(a_request_has_a_largest_number_of_records),
        cmocka_unit_test(the_same_idempotency_key_gives_the_same_ids_and_partition),
        cmocka_unit_test(another_key_or_topic_gives_another_id),
        cmocka_unit_test(without_a_key_every_record_is_another),
        cmocka_unit_test(the_header_says_when_and_how_it_came),
        cmocka_unit_test(a_topic_of_a_known_kind_is_made_on_first_use),
        cmocka_unit_test(behind_the_raw_topic_there_is_room_for_64_kib_more),
        cmocka_unit_test(an_unknown_topic_is_40401),
        cmocka_unit_test(topics_and_streams_are_listed),
        cmocka_unit_test(the_root_says_where_one_is),
        cmocka_unit_test(what_came_in_and_what_was_stored_is_counted),
        cmocka_unit_test(a_topic_with_fewer_replicas_than_planned_is_told),
        cmocka_unit_test(a_drain_waits_for_the_last_answer),
    };
    int failed = cmocka_run_group_tests_name("gateway", tests, NULL, NULL);
    return failed + form_tests();
}
