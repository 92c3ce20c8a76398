/*
 * The REST proxy's v2 dialect as published: media types, partitions, what is told of the cluster,
 * and the codes of refusals.
 */
#include "gate.h"

#include <stdio.h>

#define T      "12b287eedf6d.pin"
#define V2     "application/vnd.kafka.v2+json"
#define JSON   "Content-Type: application/vnd.kafka.json.v2+json\r\n"
#define BINARY "Content-Type: application/vnd.kafka.binary.v2+json\r\n"

struct exchange {
    const char *method, *path, *headers, *body;
    int status;
    const char *words; /* in the answer */
};

static void
check(struct gate *gate, const struct exchange *exchange)
{
    struct answer answer;
    gate_call(gate, exchange->method, exchange->path, exchange->headers,
              mr_slice_text(exchange->body), &answer);
    if (answer.status != exchange->status || strstr(answer.text.data, exchange->words) == NULL)
        fail_msg("%s %s %s%s: %s", exchange->method, exchange->path, exchange->headers,
                 exchange->body, answer.text.data);
    answer_fini(&answer);
}

static void
check_all(const struct gate_wish *wish, const struct exchange *exchanges, size_t count)
{
    struct gate gate;
    gate_open(&gate, wish);
    for (size_t i = 0; i < count; i++)
        check(&gate, &exchanges[i]);
    gate_close(&gate);
}

#define ACCEPT(range, type)                                                                        \
    {                                                                                              \
        "GET", "/topics/" T "/partitions", "Accept: " range "\r\n", "", 200,                       \
            "Content-Type: " type "\r\n"                                                           \
    }
#define NOT_ACCEPTED(range)                                                                        \
    {                                                                                              \
        "GET", "/topics/" T "/partitions", "Accept: " range "\r\n", "", 406,                       \
            "{\"error_code\":406,\"message\":\"Accept " range                                      \
    }

static void
answer_has_the_type_that_accept_weighs_most(void **state)
{
    (void)state;
    static const struct exchange exchanges[] = {
        { "GET", "/topics/" T "/partitions", "", "", 200, "Content-Type: " V2 "\r\n" },
        ACCEPT("*/*", V2),
        ACCEPT("application/*", V2),
        ACCEPT("application/vnd.kafka.v2+json, application/vnd.kafka+json, application/json", V2),
        ACCEPT("application/vnd.kafka.v2+json; q=0.5, application/json; q=0.9", "application/json"),
        ACCEPT("application/json;q=0.5,application/vnd.kafka+json;q=0.501",
               "application/vnd.kafka+json"),
        ACCEPT("application/json;charset=utf-8", "application/json"),
        ACCEPT("Application/JSON", "application/json"),
        ACCEPT("application/vnd.kafka.v2+json;q=0, */*;q=0.1", "application/vnd.kafka+json"),
        ACCEPT("application/vnd.kafka.json.v2+json", "application/vnd.kafka.json.v2+json"),
        ACCEPT("application/vnd.kafka.binary.v2+json", "application/vnd.kafka.binary.v2+json"),
        ACCEPT("text/html, */*;q=0.01", V2),
        NOT_ACCEPTED("text/html"),
        NOT_ACCEPTED("application/vnd.kafka.v1+json"),
        NOT_ACCEPTED("application/json;q=0"),
        NOT_ACCEPTED("text/*"),
    };
    check_all(&(struct gate_wish){ .topic = T }, exchanges, MR_COUNT(exchanges));
}

static void
content_type_decides_what_a_value_is(void **state)
{
    (void)state;
    static const struct exchange exchanges[] = {
        { "POST", "/topics/" T, BINARY "Accept: application/json\r\n",
          "{\"records\":[{\"value\":\"aGk=\"}]}", 200, "Content-Type: application/json\r\n" },
        { "POST", "/topics/" T, "Content-Type: application/octet-stream\r\n",
          "{\"records\":[{\"value\":\"aGk=\"}]}", 200, "\"offset\":1," },
        { "POST", "/topics/" T, "Content-Type: application/vnd.kafka+json; charset=utf-8\r\n",
          "{\"records\":[{\"value\":\"aGk=\"}]}", 200, "\"offset\":2," },
        { "POST", "/topics/" T, "Content-Type: application/vnd.kafka.protobuf.v2+json\r\n", "{}",
          415, "\"error_code\":415,\"message\":\"Content-Type application/vnd.kafka.protobuf" },
        { "POST", "/topics/" T, "Content-Type: application/vnd.kafka.jsonschema.v2+json\r\n", "{}",
          415, "needs a schema registry" },
        { "POST", "/topics/" T, "Content-Type: application/vnd.kafka.json.v1+json\r\n", "{}", 415,
          "is not taken here" },
        { "POST", "/topics/" T, "Content-Type: application/x-www-form-urlencoded\r\n", "{}", 415,
          "send application/vnd.kafka.json.v2+json" },
    };
    struct gate gate;
    struct stored stored;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    for (size_t i = 0; i < MR_COUNT(exchanges); i++)
        check(&gate, &exchanges[i]);
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, 3);
    assert_string_equal(stored.values[0].data, "hi");
    assert_string_equal(stored.values[1].data, "hi");
    assert_string_equal(stored.values[2].data, "\"aGk=\"");
    stored_fini(&stored);
    gate_close(&gate);
}

static void
partition_is_taken_from_path_or_record(void **state)
{
    (void)state;
    static const struct exchange exchanges[] = {
        { "POST", "/v/topics/" T "/partitions/1", JSON, "{\"records\":[{\"value\":1}]}", 200,
          "{\"offsets\":[{\"partition\":1,\"offset\":0,\"error_code\":null,\"error\":null}]" },
        { "POST", "/topics/" T, JSON, "{\"records\":[{\"value\":2,\"partition\":2}]}", 200,
          "{\"partition\":2,\"offset\":0," },
        { "POST", "/topics/" T "/partitions/2", JSON,
          "{\"records\":[{\"value\":3,\"partition\":2},{\"value\":4,\"partition\":null}]}", 200,
          "{\"partition\":2,\"offset\":1," },
        { "POST", "/topics/" T "/partitions/2", JSON,
          "{\"records\":[{\"value\":5,\"partition\":1}]}", 422, "names another partition" },
        { "POST", "/topics/" T "/partitions/3", JSON, "{\"records\":[{\"value\":5}]}", 404,
          "{\"error_code\":40402,\"message\":\"Partition 3 not found\"}" },
        { "POST", "/topics/" T "/partitions/x", JSON, "{\"records\":[{\"value\":5}]}", 404,
          "{\"error_code\":40402," },
        { "POST", "/topics/" T, JSON,
          "{\"records\":[{\"value\":5,\"partition\":9},{\"value\":6,\"partition\":0}]}", 200,
          "{\"offsets\":[{\"partition\":null,\"offset\":null,\"error_code\":40402,\"error\":"
          "\"Partition 9 not found\"},{\"partition\":0,\"offset\":0," },
        { "POST", "/topics/none.pin/partitions/0", JSON, "{\"records\":[{\"value\":5}]}", 404,
          "\"error_code\":40401" },
    };
    check_all(&(struct gate_wish){ .topic = T, .partitions = 3 }, exchanges, MR_COUNT(exchanges));
}

/* "eyJhIjoxfQ==" is {"a":1}. */
static void
base64_too_much_or_too_little_is_told(void **state)
{
    (void)state;
    static const struct exchange exchanges[] = {
        { "POST", "/topics/" T, BINARY, "{\"records\":[{\"value\":\"ZXlKaElqb3hmUT09\"}]}", 422,
          "{\"error_code\":42203,\"message\":\"record 0 is base64 twice" },
        { "POST", "/topics/" T, JSON, "{\"records\":[{\"value\":\"eyJhIjoxfQ==\"}]}", 422,
          "record 0 is base64 of an object; send the object itself" },
        { "POST", "/topics/" T, BINARY, "{\"records\":[{\"value\":{\"a\":1}}]}", 422,
          "record 0 is not base64 in a string" },
        { "POST", "/topics/" T, BINARY, "{\"records\":[{\"value\":\"aGk=\",\"key\":\"?\"}]}", 422,
          "\"error_code\":42203" },
        { "POST", "/topics/" T, JSON, "{\"records\":[{\"value\":\"eyes\"}]}", 200, "offsets" },
    };
    check_all(&(struct gate_wish){ .topic = T }, exchanges, MR_COUNT(exchanges));
}

#define PARTITION(number)                                                                          \
    "{\"partition\":" #number                                                                      \
    ",\"leader\":1,\"replicas\":[{\"broker\":1,\"leader\":true,\"in_sync\":true}]}"

static void
cluster_is_described_as_the_proxy_does(void **state)
{
    (void)state;
    static const struct exchange exchanges[] = {
        { "GET", "/brokers", "", "", 200, "{\"brokers\":[1]}" },
        { "GET", "/stage/brokers", "", "", 200, "{\"brokers\":[1]}" },
        { "GET", "/topics/" T, "", "", 200,
          "{\"name\":\"" T "\",\"configs\":{\"cleanup.policy\":\"delete\",\"max.message.bytes\":"
          "\"1048588\"},\"partitions\":"
          "[" PARTITION(0) "," PARTITION(1) "]}" },
        { "GET", "/topics/" T "/partitions", "", "", 200,
          "\r\n\r\n[" PARTITION(0) "," PARTITION(1) "]" },
        { "GET", "/topics/" T "/partitions/1", "", "", 200, "\r\n\r\n" PARTITION(1) },
        { "POST", "/topics/" T "/partitions/1", JSON, "{\"records\":[{\"value\":1},{\"value\":2}]}",
          200, "" },
        { "GET", "/topics/" T "/partitions/1/offsets", "", "", 200,
          "{\"beginning_offset\":0,\"end_offset\":2}" },
        { "GET", "/topics/" T "/partitions/0/offsets", "", "", 200,
          "{\"beginning_offset\":0,\"end_offset\":0}" },
        { "GET", "/topics/none", "", "", 404,
          "{\"error_code\":40401,\"message\":\"Topic none not found\"}" },
        { "GET", "/topics/none/partitions", "", "", 404, "\"error_code\":40401" },
        { "GET", "/topics/none/partitions/0/offsets", "", "", 404, "\"error_code\":40401" },
        { "GET", "/topics/" T "/partitions/2", "", "", 404,
          "{\"error_code\":40402,\"message\":\"Partition 2 not found: topic " T " has 2\"}" },
        { "GET", "/topics/" T "/partitions/2/offsets", "", "", 404, "\"error_code\":40402" },
        { "GET", "/topics/" T "/partitions/-1", "", "", 404, "\"error_code\":40402" },
        { "GET", "/topics/" T "/partitions/0/offsets/1", "", "", 404, "\"error_code\":404," },
        { "GET", "/topics/" T "/nothing", "", "", 404, "GET /topics lists the topics" },
        { "POST", "/brokers", JSON, "{}", 405, "\"error_code\":405" },
        { "DELETE", "/topics/" T, "", "", 405, "DELETE is not offered" },
    };
    check_all(&(struct gate_wish){ .topic = T, .partitions = 2 }, exchanges, MR_COUNT(exchanges));
}

static void
broker_away_is_told_as_retriable(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    mr_bus_memory_fault(gate.bus, "describe", 0, 1,
                        &(struct mr_err){ MR_E(UNAVAILABLE), MR_RETRY, "no broker answers" });
    check(&gate, &(struct exchange){ "GET", "/brokers", "", "", 503,
                                     "{\"error_code\":50003,\"message\":\"no broker answers\"}" });
    gate_close(&gate);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answer_has_the_type_that_accept_weighs_most),
        cmocka_unit_test(content_type_decides_what_a_value_is),
        cmocka_unit_test(partition_is_taken_from_path_or_record),
        cmocka_unit_test(base64_too_much_or_too_little_is_told),
        cmocka_unit_test(cluster_is_described_as_the_proxy_does),
        cmocka_unit_test(broker_away_is_told_as_retriable),
    };
    return cmocka_run_group_tests_name("rest v2", tests, NULL, NULL);
}
