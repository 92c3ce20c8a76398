/*
 * REST Proxy v3 on a real broker, in one go as a client would: find the cluster, make a topic,
 * describe it, post to it in every way, delete it, make it again.
 */
#include "gate.h"

#include "broker.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define JSON "Content-Type: application/json\r\n"

enum { STREAM = 1000, LARGE = 2 << 20, WAIT_MS = 30000 };

static struct broker broker;

/* The status; *ret_body, unless NULL, is the parsed body (of a stream its first object). */
static int
call(struct gate *gate, const char *method, const char *path, struct mr_slice body,
     json_t **ret_body)
{
    struct answer answer;
    gate_call(gate, method, path, JSON, body, &answer);
    if (ret_body != NULL) {
        *ret_body = json_loads(answer.body, JSON_DISABLE_EOF_CHECK, NULL);
        if (*ret_body == NULL)
            fail_msg("%s %s: %s", method, path, answer.text.data);
    }
    int status = answer.status;
    answer_fini(&answer);
    return status;
}

/* Fails with what the answer says when its status is another one. */
static json_t *
expect(struct gate *gate, const char *method, const char *path, const char *body, int status)
{
    json_t *answer = NULL;
    int got = call(gate, method, path, mr_slice_text(body), &answer);
    if (got != status)
        fail_msg("%s %s: %d %s", method, path, got, json_dumps(answer, 0));
    return answer;
}

static void
check_number(json_t *answer, const char *field, json_int_t number)
{
    assert_int_equal(json_integer_value(json_object_get(answer, field)), number);
    json_decref(answer);
}

static size_t
check_stream(const char *at, const char *end, json_int_t first_offset)
{
    size_t count = 0;
    while (at < end) {
        json_error_t where;
        json_t *one = json_loadb(at, (size_t)(end - at), JSON_DISABLE_EOF_CHECK, &where);
        assert_non_null(one);
        assert_int_equal(json_integer_value(json_object_get(one, "error_code")), 200);
        assert_int_equal(json_integer_value(json_object_get(one, "offset")),
                         first_offset + (json_int_t)count++);
        json_decref(one);
        at += where.position + 1; /* with the line break */
    }
    return count;
}

static void
post_stream(struct gate *gate, const char *records, json_int_t first_offset)
{
    struct answer answer;
    struct mr_buf body;
    mr_buf_init(&body, 1 << 20);
    for (int i = 0; i < STREAM; i++)
        mr_buf_printf(&body, "{\"partition_id\":1,\"value\":{\"type\":\"JSON\",\"data\":%d}}\n", i);
    gate_call(gate, "POST", records, JSON, mr_buf_slice(&body), &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(check_stream(answer.body, answer.text.data + answer.text.size, first_offset),
                     STREAM);
    answer_fini(&answer);
    mr_buf_fini(&body);
}

/* Random text: a broker judges what is left after compression. */
static void
post_too_large(struct gate *gate, const char *records)
{
    static char noise[LARGE / 2], text[LARGE + 1];
    struct mr_buf body;
    json_t *answer;
    mr_random(noise, sizeof(noise));
    mr_hex(noise, sizeof(noise), text);
    mr_buf_init(&body, 2 * LARGE);
    mr_buf_printf(&body, "{\"value\":{\"type\":\"STRING\",\"data\":\"%s\"}}", text);
    assert_int_equal(call(gate, "POST", records, mr_buf_slice(&body), &answer), 413);
    check_number(answer, "error_code", 413);
    mr_buf_fini(&body);
}

static void
post_batch(struct gate *gate, const char *records)
{
    MR_CLEANUP(mr_freep) char *path = mr_printf("%s:batch", records);
    json_t *answer = expect(gate, "POST", path,
                            "{\"entries\":[{\"id\":\"a\",\"partition_id\":0,\"value\":{\"type\":"
                            "\"JSON\",\"data\":1}},{\"id\":\"b\",\"partition_id\":9,\"value\":"
                            "{\"type\":\"JSON\",\"data\":1}}]}",
                            207);
    assert_int_equal(json_array_size(json_object_get(answer, "successes")), 1);
    json_t *failure = json_array_get(json_object_get(answer, "failures"), 0);
    assert_string_equal(json_string_value(json_object_get(failure, "id")), "b");
    assert_int_equal(json_integer_value(json_object_get(failure, "error_code")), 40402);
    json_decref(answer);
}

static int64_t
end_of(struct gate *gate, const char *topic, int32_t partition)
{
    struct mr_offsets offsets = { .topic = topic, .partition = partition };
    struct mr_err err = { 0 };
    if (mr_bus_offsets(gate->bus, NULL, &offsets, 1, WAIT_MS, &err) != 0)
        fail_msg("%s", err.text);
    return offsets.end;
}

static void
describe(struct gate *gate, const char *topic)
{
    json_t *answer = expect(gate, "GET", topic, "", 200);
    MR_CLEANUP(mr_freep) char *replicas = mr_printf("%s/partitions/1/replicas", topic);
    MR_CLEANUP(mr_freep) char *configs = mr_printf("%s/configs", topic);
    MR_CLEANUP(mr_freep) char *config = mr_printf("%s/max.message.bytes", configs);
    assert_int_equal(json_integer_value(json_object_get(answer, "replication_factor")), 1);
    check_number(answer, "partitions_count", 2);
    answer = expect(gate, "GET", replicas, "", 200);
    json_t *replica = json_array_get(json_object_get(answer, "data"), 0);
    assert_true(json_is_true(json_object_get(replica, "is_leader")));
    assert_true(json_is_true(json_object_get(replica, "is_in_sync")));
    json_decref(answer);
    answer = expect(gate, "GET", config, "", 200);
    assert_string_equal(json_string_value(json_object_get(answer, "value")), "1048588");
    assert_string_equal(json_string_value(json_object_get(answer, "source")),
                        "DYNAMIC_TOPIC_CONFIG");
    assert_true(json_array_size(json_object_get(answer, "synonyms")) > 1);
    json_decref(answer);
    answer = expect(gate, "GET", configs, "", 200);
    assert_true(json_array_size(json_object_get(answer, "data")) > 20);
    json_decref(answer);
}

/* The path of the cluster's topics, as clients find it; the caller frees it. */
static char *
find_topics(struct gate *gate)
{
    json_t *answer = expect(gate, "GET", "/v3/clusters", "", 200);
    const json_t *cluster = json_array_get(json_object_get(answer, "data"), 0);
    const char *id = json_string_value(json_object_get(cluster, "cluster_id"));
    MR_CLEANUP(mr_freep) char *brokers = mr_printf("/v3/clusters/%s/brokers", id);
    char *topics = mr_printf("/v3/clusters/%s/topics", id);
    json_decref(answer);
    answer = expect(gate, "GET", brokers, "", 200);
    assert_int_equal(json_array_size(json_object_get(answer, "data")), 1);
    json_decref(answer);
    return topics;
}

static void
topic_lives_from_its_making_to_its_end(void **state)
{
    struct gate *gate = *state;
    MR_CLEANUP(mr_freep) char *topics = find_topics(gate);
    MR_CLEANUP(mr_freep) char *topic = mr_printf("%s/t.pin", topics);
    MR_CLEANUP(mr_freep) char *records = mr_printf("%s/records", topic);

    check_number(expect(gate, "POST", topics, "{\"topic_name\":\"t.pin\"}", 201),
                 "partitions_count", 2);
    json_t *list = expect(gate, "GET", topics, "", 200);
    assert_int_equal(json_array_size(json_object_get(list, "data")), 4);
    json_decref(list);
    describe(gate, topic);

    static const char one[] = "{\"partition_id\":1,\"key\":{\"type\":\"STRING\",\"data\":\"k\"},"
                              "\"value\":{\"type\":\"JSON\",\"data\":{}}}";
    check_number(expect(gate, "POST", records, one, 200), "offset", 0);
    post_stream(gate, records, 1);
    post_too_large(gate, records);
    post_batch(gate, records);
    assert_int_equal(end_of(gate, "t.pin", 0), 1);
    assert_int_equal(end_of(gate, "t.pin", 1), 1 + STREAM);

    assert_int_equal(call(gate, "DELETE", topic, MR_SLICE(""), NULL), 204);
    check_number(expect(gate, "GET", topic, "", 404), "error_code", 40403);
    check_number(expect(gate, "DELETE", topic, "", 404), "error_code", 40403);
    check_number(expect(gate, "POST", topics, "{\"topic_name\":\"t.pin\"}", 201),
                 "partitions_count", 2);
    check_number(expect(gate, "POST", records, one, 200), "offset", 0);
}

static void
what_the_broker_refuses_is_told(void **state)
{
    struct gate *gate = *state;
    MR_CLEANUP(mr_freep) char *topics = find_topics(gate);
    check_number(
        expect(gate, "POST", topics, "{\"topic_name\":\"l\",\"replication_factor\":5}", 400),
        "error_code", 40002);
    check_number(
        expect(gate, "POST", topics,
               "{\"topic_name\":\"l\",\"configs\":[{\"name\":\"no.such\",\"value\":\"1\"}]}", 400),
        "error_code", 40002);
    check_number(expect(gate, "POST", topics,
                        "{\"topic_name\":\"l\",\"partitions_count\":3,\"configs\":[{\"name\":"
                        "\"retention.ms\",\"value\":\"777\"}]}",
                        201),
                 "partitions_count", 3);
}

static int
open_gate(void **state)
{
    static struct gate gate;
    struct mr_bus *bus = NULL;
    struct mr_err err = { 0 };
    struct mr_bus_options options = { .bootstrap = broker.bootstrap, .client_id = "test" };
    if (mr_bus_open(&options, &bus, &err) != 0)
        fail_msg("%s", err.text);
    gate_open(&gate, &(struct gate_wish){ .bus = bus, .partitions = 2 });
    *state = &gate;
    return 0;
}

static int
close_gate(void **state)
{
    gate_close(*state);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topic_lives_from_its_making_to_its_end),
        cmocka_unit_test(what_the_broker_refuses_is_told),
    };
    broker_start(&broker, NULL);
    return cmocka_run_group_tests_name("rest v3 on Kafka", tests, open_gate, close_gate);
}
