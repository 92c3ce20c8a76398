/*
 * Native Kinesis, each operation in JSON and in CBOR: what goes in through PutRecord stands in
 * Kafka and comes out of GetRecords.
 */
#include "kinesis_client.h"

#include "clock/clock.h"
#include "gateway/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LAST_HASH_KEY "340282366920938463463374607431768211455"

/* {"StreamName", "Data", "PartitionKey"} */
static json_t *
put_fields(const char *data, const char *key)
{
    json_t *fields = client_record(data, key);
    assert_int_equal(json_object_set_new(fields, "StreamName", json_string(CLIENT_STREAM)), 0);
    return fields;
}

static json_t *
put_one(struct gate *gate, bool is_cbor, const char *data, const char *key)
{
    return client_ask(gate, is_cbor, "PutRecord", put_fields(data, key));
}

static void
put(struct gate *gate, const char *data)
{
    json_decref(put_one(gate, false, data, "k"));
}

static json_t *
get(struct gate *gate, bool is_cbor, const char *iterator, int limit)
{
    return client_ask(gate, is_cbor, "GetRecords",
                      json_pack("{sssi}", "ShardIterator", iterator, "Limit", limit));
}

static json_t *
record_at(const json_t *answer, size_t i)
{
    json_t *record = json_array_get(json_object_get(answer, "Records"), i);
    assert_non_null(record);
    return record;
}

static size_t
count_records(const json_t *answer)
{
    return json_array_size(json_object_get(answer, "Records"));
}

/* ---- put and get ---- */

static void
bytes_come_out_as_they_went_in(void **state)
{
    (void)state;
    static const char data[] = "{\"a\":\"\303\244\",\n \"raw\":\"\\u0000\"}\001\377\000z";
    for (BOTH_CODINGS) {
        struct gate gate;
        struct stored stored;
        struct mr_buf base64;
        json_t *began;
        client_open(&gate, 1);
        mr_buf_init(&base64, 1024);
        mr_base64_encode(mr_slice(data, sizeof(data) - 1), &base64);
        json_t *placed = client_ask(&gate, is_cbor, "PutRecord",
                                    json_pack("{ssssss}", "StreamName", CLIENT_STREAM, "Data",
                                              base64.data, "PartitionKey", "k\303\244"));
        assert_string_equal(client_text(placed, "ShardId"), "shardId-000000000000");

        const char *iterator = client_iterator(&gate, is_cbor, 0, "TRIM_HORIZON", &began);
        json_t *got = get(&gate, is_cbor, iterator, 10), *record = record_at(got, 0);
        double age_s = (double)mr_wall_ms() / 1000 -
                       json_real_value(json_object_get(record, "ApproximateArrivalTimestamp"));
        assert_int_equal(count_records(got), 1);
        assert_string_equal(client_text(record, "Data"), base64.data);
        assert_string_equal(client_text(record, "PartitionKey"), "k\303\244");
        assert_string_equal(client_text(record, "SequenceNumber"),
                            client_text(placed, "SequenceNumber"));
        assert_true(age_s > -1 && age_s < 60);
        assert_int_equal(json_integer_value(json_object_get(got, "MillisBehindLatest")), 0);

        stored_read(&gate, CLIENT_TOPIC, &stored);
        assert_int_equal(stored.values[0].size, sizeof(data) - 1);
        assert_memory_equal(stored.values[0].data, data, sizeof(data) - 1);
        assert_string_equal(stored.keys[0].data, "k\303\244");
        stored_fini(&stored);
        json_decref(got);
        json_decref(began);
        json_decref(placed);
        mr_buf_fini(&base64);
        gate_close(&gate);
    }
}

static void
records_go_to_the_shard_whose_range_holds_their_key(void **state)
{
    (void)state;
    /* MD5 of "a" is 0c.., of "b" 92.., of "c" 4a.., of "e" e1.. */
    static const struct {
        const char *key, *explicit_key, *shard;
    } cases[] = {
        { "a", NULL, "shardId-000000000000" },
        { "b", NULL, "shardId-000000000002" },
        { "c", NULL, "shardId-000000000001" },
        { "e", NULL, "shardId-000000000003" },
        { "a", "0", "shardId-000000000000" },
        { "a", "85070591730234615865843651857942052863", "shardId-000000000000" },
        { "a", "85070591730234615865843651857942052864", "shardId-000000000001" },
        { "a", LAST_HASH_KEY, "shardId-000000000003" },
    };
    struct gate gate;
    client_open(&gate, 4);
    for (BOTH_CODINGS) {
        for (size_t i = 0; i < MR_COUNT(cases); i++) {
            json_t *fields = put_fields("{\"a\":1}", cases[i].key);
            if (cases[i].explicit_key != NULL)
                (void)json_object_set_new(fields, "ExplicitHashKey",
                                          json_string(cases[i].explicit_key));
            json_t *placed = client_ask(&gate, is_cbor, "PutRecord", fields);
            assert_string_equal(client_text(placed, "ShardId"), cases[i].shard);
            json_decref(placed);
        }
    }
    gate_close(&gate);
}

static void
an_api_gateway_puts_into_the_same_shard(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    client_open(&gate, 4);
    gate_call(&gate, "PUT", "/prod/streams/" CLIENT_STREAM "/record", "",
              MR_SLICE("{\"Data\":{\"a\":1},\"PartitionKey\":\"e\"}"), &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"ShardId\":\"shardId-000000000003\""));
    answer_fini(&answer);
    gate_close(&gate);
}

static void
an_idempotency_key_chooses_the_shard_alone(void **state)
{
    (void)state;
    struct gate gate;
    client_open(&gate, 16);
    client_header("Idempotency-Key: once\r\n");
    char shard[64] = "";
    static const char *const keys[] = { "a", "b", "c", "e" };
    for (size_t i = 0; i < MR_COUNT(keys); i++) {
        json_t *fields = put_fields("{\"a\":1}", keys[i]);
        (void)json_object_set_new(fields, "ExplicitHashKey",
                                  json_string(i % 2 == 0 ? "0" : LAST_HASH_KEY));
        json_t *placed = client_ask(&gate, false, "PutRecord", fields);
        if (i > 0)
            assert_string_equal(client_text(placed, "ShardId"), shard);
        (void)snprintf(shard, sizeof(shard), "%s", client_text(placed, "ShardId"));
        json_decref(placed);
    }
    client_header(NULL);
    gate_close(&gate);
}

static json_t *
put_records_fields(size_t count, const char *data)
{
    json_t *records = json_array();
    for (size_t i = 0; i < count; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "k%zu", i);
        assert_int_equal(json_array_append_new(records, client_record(data, key)), 0);
    }
    return json_pack("{ssso}", "StreamName", CLIENT_STREAM, "Records", records);
}

static void
failures_are_told_record_by_record(void **state)
{
    (void)state;
    struct mr_err full = { MR_E(FULL), MR_RETRY, "the queue is full" };
    struct mr_err broken = { MR_E(INTERNAL), MR_REJECT, "no more" };
    for (BOTH_CODINGS) {
        struct gate gate;
        client_open(&gate, 1);
        mr_bus_memory_fault(gate.bus, "produce", 1, 1, &full);
        mr_bus_memory_fault(gate.bus, "produce", 1, 1, &broken);
        json_t *answer =
            client_ask(&gate, is_cbor, "PutRecords", put_records_fields(4, "{\"a\":1}"));
        assert_int_equal(json_integer_value(json_object_get(answer, "FailedRecordCount")), 2);
        assert_int_equal(count_records(answer), 4);
        (void)client_text(record_at(answer, 0), "SequenceNumber");
        assert_string_equal(client_text(record_at(answer, 1), "ErrorCode"),
                            "ProvisionedThroughputExceededException");
        assert_string_equal(client_text(record_at(answer, 1), "ErrorMessage"), "the queue is full");
        assert_null(json_object_get(record_at(answer, 1), "SequenceNumber"));
        assert_string_equal(client_text(record_at(answer, 3), "ErrorCode"), "InternalFailure");
        json_decref(answer);
        gate_close(&gate);
    }
}

static void
with_nothing_stored_the_request_has_failed(void **state)
{
    (void)state;
    static const struct {
        struct mr_err err;
        const char *type;
    } cases[] = {
        { { MR_E(FULL), MR_RETRY, "full" }, "ProvisionedThroughputExceededException" },
        { { MR_E(TIMEOUT), MR_RETRY, "late" }, "ServiceUnavailable" },
        { { MR_E(TOO_LARGE), MR_REJECT, "large" }, "InvalidArgumentException" },
        { { MR_E(INTERNAL), MR_REJECT, "broken" }, "InternalFailure" },
    };
    struct gate gate;
    client_open(&gate, 1);
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        mr_bus_memory_fault(gate.bus, "produce", 0, 3, &cases[i].err);
        client_refused(&gate, i % 2 == 0, "PutRecord", put_fields("{}", "k"), cases[i].type,
                       cases[i].err.text);
        client_refused(&gate, i % 2 == 1, "PutRecords", put_records_fields(2, "{}"), cases[i].type,
                       cases[i].err.text);
    }
    gate_close(&gate);
}

static void
limits_hold_at_their_maximum_and_one_more(void **state)
{
    (void)state;
    enum { MIB = 1 << 20 };
    struct gate gate;
    char key[300];
    memset(key, 'k', sizeof(key));
    MR_CLEANUP(mr_freep) char *data = mr_alloc(MIB + 2);
    memset(data, 'x', MIB + 1);
    data[0] = '"';
    gate_open(&gate, &(struct gate_wish){ .topic = CLIENT_TOPIC, .record_bytes_max = 2 * MIB });
    for (BOTH_CODINGS) {
        json_decref(client_ask(&gate, is_cbor, "PutRecords", put_records_fields(500, "{}")));
        client_refused(&gate, is_cbor, "PutRecords", put_records_fields(501, "{}"),
                       "ValidationException",
                       "at 'records' failed to satisfy constraint: Member must have length less "
                       "than or equal to 500");
        client_refused(&gate, is_cbor, "PutRecords", put_records_fields(0, "{}"),
                       "ValidationException", "greater than or equal to 1");
        data[MIB] = '\0';
        json_decref(put_one(&gate, is_cbor, data, "k"));
        client_refused(&gate, is_cbor, "PutRecords", put_records_fields(5, data),
                       "InvalidArgumentException", "Records size exceeds 5 MB limit");
        data[MIB] = 'x';
        client_refused(&gate, is_cbor, "PutRecord", put_fields(data, "k"), "ValidationException",
                       "Value 'java.nio.HeapByteBuffer[pos=0 lim=1048577 cap=1048577]' at 'data' "
                       "failed to satisfy constraint: Member must have length less than or equal "
                       "to 1048576");
        key[256] = '\0';
        json_decref(put_one(&gate, is_cbor, "{}", key));
        key[256] = 'k';
        key[257] = '\0';
        client_refused(&gate, is_cbor, "PutRecord", put_fields("{}", key), "ValidationException",
                       "at 'partitionKey' failed to satisfy constraint: Member must have length "
                       "less than or equal to 256");
    }
    gate_close(&gate);
}

/* ---- reading ---- */

static void
reading_goes_on_page_by_page(void **state)
{
    (void)state;
    for (BOTH_CODINGS) {
        struct gate gate;
        client_open(&gate, 1);
        json_decref(client_ask(&gate, is_cbor, "PutRecords", put_records_fields(7, "{}")));
        json_t *answer;
        const char *iterator = client_iterator(&gate, is_cbor, 0, "TRIM_HORIZON", &answer);
        static const size_t counts[] = { 3, 3, 1, 0 };
        size_t number = 0;
        for (size_t i = 0; i < MR_COUNT(counts); i++) {
            json_t *page = get(&gate, is_cbor, iterator, 3);
            assert_int_equal(count_records(page), counts[i]);
            for (size_t j = 0; j < counts[i]; j++) {
                char key[32];
                (void)snprintf(key, sizeof(key), "k%zu", number++);
                assert_string_equal(client_text(record_at(page, j), "PartitionKey"), key);
            }
            int64_t behind = json_integer_value(json_object_get(page, "MillisBehindLatest"));
            assert_int_equal(behind == 0, i >= 2);
            json_decref(answer);
            answer = page;
            iterator = client_text(page, "NextShardIterator");
        }
        put(&gate, "{\"late\":1}");
        json_t *late = get(&gate, is_cbor, iterator, 3);
        assert_int_equal(count_records(late), 1);
        json_decref(late);
        json_decref(answer);
        gate_close(&gate);
    }
}

static void
iterators_stand_where_their_type_says(void **state)
{
    (void)state;
    struct gate gate;
    client_open(&gate, 1);
    json_t *first = put_one(&gate, false, "{\"n\":0}", "k");
    put(&gate, "{\"n\":1}");
    for (BOTH_CODINGS) {
        static const struct {
            const char *type;
            size_t seen;
        } cases[] = { { "AT_SEQUENCE_NUMBER", 2 },
                      { "AFTER_SEQUENCE_NUMBER", 1 },
                      { "TRIM_HORIZON", 2 },
                      { "LATEST", 0 },
                      { "AT_TIMESTAMP", 2 } };
        for (size_t i = 0; i < MR_COUNT(cases); i++) {
            json_t *fields = json_pack("{ssssss}", "StreamName", CLIENT_STREAM, "ShardId",
                                       "shardId-000000000000", "ShardIteratorType", cases[i].type);
            if (strstr(cases[i].type, "SEQUENCE") != NULL)
                (void)json_object_set(fields, "StartingSequenceNumber",
                                      json_object_get(first, "SequenceNumber"));
            if (i == 4)
                (void)json_object_set_new(fields, "Timestamp", json_real(1600000000.5));
            json_t *began = client_ask(&gate, is_cbor, "GetShardIterator", fields);
            json_t *got = get(&gate, is_cbor, client_text(began, "ShardIterator"), 10);
            assert_int_equal(count_records(got), cases[i].seen);
            json_decref(got);
            json_decref(began);
        }
    }
    json_decref(first);
    gate_close(&gate);
}

static void
latest_sees_what_comes_after_it(void **state)
{
    (void)state;
    struct gate gate;
    json_t *began;
    client_open(&gate, 1);
    put(&gate, "{\"n\":0}");
    const char *iterator = client_iterator(&gate, false, 0, "LATEST", &began);
    put(&gate, "{\"n\":1}");
    json_t *got = get(&gate, false, iterator, 10);
    assert_int_equal(count_records(got), 1);
    assert_string_equal(client_text(record_at(got, 0), "Data"), "eyJuIjoxfQ==");
    json_decref(got);
    json_decref(began);
    gate_close(&gate);
}

static void
a_time_is_found_by_the_broker(void **state)
{
    (void)state;
    struct gate gate;
    json_t *began;
    client_open(&gate, 1);
    put(&gate, "{\"n\":0}");
    const char *iterator = client_iterator(&gate, false, 0, "TRIM_HORIZON", &began);
    json_t *got = get(&gate, false, iterator, 1);
    double time_s =
        json_real_value(json_object_get(record_at(got, 0), "ApproximateArrivalTimestamp"));
    for (BOTH_CODINGS) {
        json_t *at =
            client_ask(&gate, is_cbor, "GetShardIterator",
                       json_pack("{sssssssf}", "StreamName", CLIENT_STREAM, "ShardId", "0",
                                 "ShardIteratorType", "AT_TIMESTAMP", "Timestamp", time_s));
        json_t *again = get(&gate, is_cbor, client_text(at, "ShardIterator"), 1);
        assert_int_equal(count_records(again), 1);
        json_decref(again);
        json_decref(at);
    }
    json_decref(got);
    json_decref(began);
    gate_close(&gate);
}

static void
what_was_deleted_meanwhile_is_passed_over(void **state)
{
    (void)state;
    struct gate gate;
    json_t *began;
    client_open(&gate, 1);
    const char *iterator = client_iterator(&gate, false, 0, "TRIM_HORIZON", &began);
    for (int i = 0; i < 5; i++)
        put(&gate, "{\"n\":0}");
    mr_bus_memory_trim(gate.bus, CLIENT_TOPIC, 0, 3);
    json_t *got = get(&gate, false, iterator, 10);
    assert_int_equal(count_records(got), 2);
    json_decref(got);
    json_decref(began);
    gate_close(&gate);
}

static void
records_of_other_dialects_are_read_too(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    json_t *began;
    client_open(&gate, 1);
    gate_call(&gate, "POST", "/topics/" CLIENT_TOPIC,
              "Content-Type: application/vnd.kafka.json.v2+json\r\n",
              MR_SLICE("{\"records\":[{\"value\":{\"a\":1}},{\"value\":null,\"key\":7}]}"),
              &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    const char *iterator = client_iterator(&gate, true, 0, "TRIM_HORIZON", &began);
    json_t *got = get(&gate, true, iterator, 10);
    assert_string_equal(client_text(record_at(got, 0), "Data"), "eyJhIjoxfQ==");
    assert_string_equal(client_text(record_at(got, 0), "PartitionKey"), "-");
    assert_string_equal(client_text(record_at(got, 1), "Data"), "");
    assert_string_equal(client_text(record_at(got, 1), "PartitionKey"), "7");
    json_decref(got);
    json_decref(began);
    gate_close(&gate);
}

static void
more_shards_than_readers_are_read_in_turn(void **state)
{
    (void)state;
    enum { SHARDS = FETCH_THREADS * FETCH_READERS_MAX * 2 + 1, ROUNDS = 3 };
    struct gate gate;
    json_t *answers[SHARDS];
    client_open(&gate, SHARDS);
    for (int i = 0; i < SHARDS; i++)
        (void)client_iterator(&gate, false, i, "LATEST", &answers[i]);
    for (int round = 0; round < ROUNDS; round++) {
        json_decref(client_ask(&gate, false, "PutRecords", put_records_fields(500, "{}")));
        size_t seen = 0;
        for (int i = 0; i < SHARDS; i++) {
            const char *name = round == 0 ? "ShardIterator" : "NextShardIterator";
            json_t *got = get(&gate, false, client_text(answers[i], name), 1000);
            seen += count_records(got);
            json_decref(answers[i]);
            answers[i] = got;
        }
        assert_int_equal(seen, 500);
    }
    for (int i = 0; i < SHARDS; i++)
        json_decref(answers[i]);
    gate_close(&gate);
}

static void
iterators_expire_after_five_minutes(void **state)
{
    (void)state;
    struct gate gate;
    json_t *began;
    mr_clock_hold(1000000, 1795262400000000);
    client_open(&gate, 1);
    const char *iterator = client_iterator(&gate, false, 0, "TRIM_HORIZON", &began);
    mr_clock_crank(300000);
    json_decref(get(&gate, false, iterator, 1));
    mr_clock_crank(1);
    for (BOTH_CODINGS)
        client_refused(&gate, is_cbor, "GetRecords", json_pack("{ss}", "ShardIterator", iterator),
                       "ExpiredIteratorException",
                       "The iterator was created at time Sat Nov 21 12:00:00 UTC 2026 while right "
                       "now it is Sat Nov 21 12:05:00 UTC 2026");
    json_decref(began);
    gate_close(&gate);
    mr_clock_release();
}

static void
a_broker_away_is_told_as_such(void **state)
{
    (void)state;
    static const struct mr_err away = { MR_E(UNAVAILABLE), MR_RETRY, "no broker answers" };
    struct gate gate;
    json_t *began;
    client_open(&gate, 1);
    const char *iterator = client_iterator(&gate, false, 0, "TRIM_HORIZON", &began);
    put(&gate, "{}");
    mr_bus_memory_fault(gate.bus, "offsets", 0, 2, &away);
    client_refused(&gate, false, "GetRecords", json_pack("{ss}", "ShardIterator", iterator),
                   "ServiceUnavailable", "no broker answers");
    client_refused(&gate, true, "GetShardIterator",
                   json_pack("{ssssss}", "StreamName", CLIENT_STREAM, "ShardId", "0",
                             "ShardIteratorType", "LATEST"),
                   "ServiceUnavailable", "no broker answers");
    mr_bus_memory_fault(gate.bus, "poll", 0, 1, &away);
    client_refused(&gate, false, "GetRecords", json_pack("{ss}", "ShardIterator", iterator),
                   "ServiceUnavailable", "records cannot be read now");
    json_t *got = get(&gate, false, iterator, 1);
    assert_int_equal(count_records(got), 1);
    json_decref(got);
    json_decref(began);
    gate_close(&gate);
}

static void
a_door_may_close_while_records_are_fetched(void **state)
{
    (void)state;
    struct gate gate;
    json_t *began;
    client_open(&gate, 1);
    char body[600];
    (void)snprintf(body, sizeof(body), "{\"ShardIterator\":\"%s\"}",
                   client_iterator(&gate, false, 0, "TRIM_HORIZON", &began));
    int fd = gate_send(&gate, "POST", "/",
                       "Content-Type: application/x-amz-json-1.1\r\n"
                       "X-Amz-Target: Kinesis_20131202.GetRecords\r\n",
                       mr_slice_text(body));
    json_decref(began);
    (void)door_step(gate.door, 0);
    gate_close(&gate);
    (void)close(fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_as_they_went_in),
        cmocka_unit_test(records_go_to_the_shard_whose_range_holds_their_key),
        cmocka_unit_test(an_api_gateway_puts_into_the_same_shard),
        cmocka_unit_test(an_idempotency_key_chooses_the_shard_alone),
        cmocka_unit_test(failures_are_told_record_by_record),
        cmocka_unit_test(with_nothing_stored_the_request_has_failed),
        cmocka_unit_test(limits_hold_at_their_maximum_and_one_more),
        cmocka_unit_test(reading_goes_on_page_by_page),
        cmocka_unit_test(iterators_stand_where_their_type_says),
        cmocka_unit_test(latest_sees_what_comes_after_it),
        cmocka_unit_test(a_time_is_found_by_the_broker),
        cmocka_unit_test(what_was_deleted_meanwhile_is_passed_over),
        cmocka_unit_test(records_of_other_dialects_are_read_too),
        cmocka_unit_test(more_shards_than_readers_are_read_in_turn),
        cmocka_unit_test(iterators_expire_after_five_minutes),
        cmocka_unit_test(a_broker_away_is_told_as_such),
        cmocka_unit_test(a_door_may_close_while_records_are_fetched),
    };
    return cmocka_run_group_tests_name("records", tests, NULL, NULL) + kinesis_stream_tests() +
           kinesis_refusal_tests();
}
