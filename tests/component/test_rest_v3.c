/*
 * The REST proxy's v3 dialect as published: the cluster, its brokers, and topics from their making
 * to their end. Posts: test_rest_v3_records.c.
 */
#include "gate.h"

#include <jansson.h>
#include <stdio.h>

#define T    "12b287eedf6d.pin"
#define C    "/v3/clusters/memory"
#define SELF "http://x/v3/clusters/memory"
#define JSON "Content-Type: application/json\r\n"

struct exchange {
    const char *method, *path, *body;
    int status;
    const char *words; /* in the answer */
};

static void
check(struct gate *gate, const struct exchange *exchange)
{
    struct answer answer;
    gate_call(gate, exchange->method, exchange->path, JSON, mr_slice_text(exchange->body), &answer);
    if (answer.status != exchange->status || strstr(answer.text.data, exchange->words) == NULL)
        fail_msg("%s %s %s: %s", exchange->method, exchange->path, exchange->body,
                 answer.text.data);
    json_t *root = json_loads(answer.body, 0, NULL);
    assert_true(root != NULL || answer.status == 204);
    json_decref(root);
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

/* The whole body, and the status 200. */
static void
check_body(struct gate *gate, const char *path, const char *body)
{
    struct answer answer;
    gate_call(gate, "GET", path, "", MR_SLICE(""), &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.text.data, "Content-Type: application/json\r\n"));
    assert_string_equal(answer.body, body);
    answer_fini(&answer);
}

#define CLUSTER                                                                                    \
    "{\"kind\":\"KafkaCluster\",\"metadata\":{\"self\":\"" SELF "\",\"resource_name\":"            \
    "\"crn:///kafka=memory\"},\"cluster_id\":\"memory\",\"controller\":{\"related\":\"" SELF       \
    "/brokers/1\"},\"acls\":{\"related\":\"" SELF "/acls\"},\"brokers\":{\"related\":\"" SELF      \
    "/brokers\"},\"broker_configs\":{\"related\":\"" SELF                                          \
    "/broker-configs\"},\"consumer_groups\":{\"related\":\"" SELF                                  \
    "/consumer-groups\"},\"topics\":{\"related\":\"" SELF                                          \
    "/topics\"},\"partition_reassignments\":{\"related\":\"" SELF                                  \
    "/topics/-/partitions/-/reassignment\"}}"

static void
clusters_are_told_as_published(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ 0 });
    check_body(&gate, C, CLUSTER);
    check_body(&gate, "/v3/clusters",
               "{\"kind\":\"KafkaClusterList\",\"metadata\":{\"self\":\"http://x/v3/clusters\","
               "\"next\":null},\"data\":[" CLUSTER "]}");
    gate_close(&gate);
}

static void
links_begin_with_what_the_client_asked_for(void **state)
{
    (void)state;
    static const struct exchange exchanges[] = {
        { "GET", "/kafka/v3/clusters", "", 200, "\"self\":\"http://x/kafka/v3/clusters/memory\"" },
        { "GET", "/kafka" C "/topics/" T, "", 200,
          "\"configs\":{\"related\":\"http://x/kafka" C "/topics/" T "/configs\"}" },
        { "GET", "/sta%22ge/v3/clusters", "", 200, "\"http://x/sta\\\"ge/v3/clusters\"" },
    };
    check_all(&(struct gate_wish){ .topic = T }, exchanges, MR_COUNT(exchanges));
}

#define BROKER                                                                                     \
    "{\"kind\":\"KafkaBroker\",\"metadata\":{\"self\":\"" SELF "/brokers/1\",\"resource_name\":"   \
    "\"crn:///kafka=memory/broker=1\"},\"cluster_id\":\"memory\",\"broker_id\":1,\"host\":"        \
    "\"memory\",\"port\":9092,\"rack\":null,\"configs\":{\"related\":\"" SELF                      \
    "/brokers/1/configs\"},\"partition_replicas\":{\"related\":\"" SELF                            \
    "/brokers/1/partition-replicas\"}}"

static void
brokers_are_told_as_published(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ 0 });
    check_body(&gate, C "/brokers/1", BROKER);
    check_body(&gate, C "/brokers",
               "{\"kind\":\"KafkaBrokerList\",\"metadata\":{\"self\":\"" SELF
               "/brokers\",\"next\":null},\"data\":[" BROKER "]}");
    check(&gate, &(struct exchange){ "GET", C "/brokers/7", "", 404,
                                     "{\"error_code\":404,\"message\":\"Broker 7 cannot be" });
    check(&gate, &(struct exchange){ "GET", C "/brokers/one", "", 404, "Broker one cannot be" });
    gate_close(&gate);
}

#define TOPIC(name, partitions)                                                                    \
    "{\"kind\":\"KafkaTopic\",\"metadata\":{\"self\":\"" SELF "/topics/" name                      \
    "\",\"resource_name\":\"crn:///kafka=memory/topic=" name                                       \
    "\"},\"cluster_id\":\"memory\",\"topic_name\":\"" name                                         \
    "\",\"is_internal\":false,\"replication_factor\":1,\"partitions_count\":" partitions           \
    ",\"partitions\":{\"related\":\"" SELF "/topics/" name                                         \
    "/partitions\"},\"configs\":{\"related\":\"" SELF "/topics/" name                              \
    "/configs\"},\"partition_reassignments\":{\"related\":\"" SELF "/topics/" name                 \
    "/partitions/-/reassignment\"}}"

static void
topics_are_told_as_published(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ .topic = T, .partitions = 2 });
    check_body(&gate, C "/topics/" T, TOPIC(T, "2"));
    check_body(&gate, C "/topics",
               "{\"kind\":\"KafkaTopicList\",\"metadata\":{\"self\":\"" SELF
               "/topics\",\"next\":null},\"data\":[" TOPIC(T, "2") "," TOPIC(
                   T ".clean", "2") "," TOPIC(T ".dead", "2") "," TOPIC(T ".valid", "2") "]}");
    gate_close(&gate);
}

#define PARTITION(number)                                                                          \
    "{\"kind\":\"KafkaPartition\",\"metadata\":{\"self\":\"" SELF "/topics/" T                     \
    "/partitions/" number "\",\"resource_name\":\"crn:///kafka=memory/topic=" T                    \
    "/partition=" number "\"},\"cluster_id\":\"memory\",\"topic_name\":\"" T                       \
    "\",\"partition_id\":" number ",\"leader\":{\"related\":\"" SELF "/topics/" T                  \
    "/partitions/" number "/replicas/1\"},\"replicas\":{\"related\":\"" SELF "/topics/" T          \
    "/partitions/" number "/replicas\"},\"reassignment\":{\"related\":\"" SELF "/topics/" T        \
    "/partitions/" number "/reassignment\"}}"
#define REPLICA                                                                                    \
    "{\"kind\":\"KafkaReplica\",\"metadata\":{\"self\":\"" SELF "/topics/" T                       \
    "/partitions/1/replicas/1\",\"resource_name\":\"crn:///kafka=memory/topic=" T                  \
    "/partition=1/replica=1\"},\"cluster_id\":\"memory\",\"topic_name\":\"" T                      \
    "\",\"partition_id\":1,\"broker_id\":1,\"is_leader\":true,\"is_in_sync\":true,\"broker\":"     \
    "{\"related\":\"" SELF "/brokers/1\"}}"

static void
partitions_and_replicas_are_told_as_published(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ .topic = T, .partitions = 2 });
    check_body(&gate, C "/topics/" T "/partitions/1", PARTITION("1"));
    check_body(&gate, C "/topics/" T "/partitions",
               "{\"kind\":\"KafkaPartitionList\",\"metadata\":{\"self\":\"" SELF "/topics/" T
               "/partitions\",\"next\":null},\"data\":[" PARTITION("0") "," PARTITION("1") "]}");
    check_body(&gate, C "/topics/" T "/partitions/1/replicas/1", REPLICA);
    check_body(&gate, C "/topics/" T "/partitions/1/replicas",
               "{\"kind\":\"KafkaReplicaList\",\"metadata\":{\"self\":\"" SELF "/topics/" T
               "/partitions/1/replicas\",\"next\":null},\"data\":[" REPLICA "]}");
    static const struct exchange missing[] = {
        { "GET", C "/topics/" T "/partitions/2", "", 404, "Partition 2 of topic " T " cannot be" },
        { "GET", C "/topics/" T "/partitions/x", "", 404, "Partition x of topic " T " cannot be" },
        { "GET", C "/topics/" T "/partitions/2/replicas", "", 404, "Partition 2 of topic" },
        { "GET", C "/topics/" T "/partitions/0/replicas/9", "", 404, "Replica 9 of partition 0" },
    };
    for (size_t i = 0; i < MR_COUNT(missing); i++)
        check(&gate, &missing[i]);
    gate_close(&gate);
}

#define CONFIG(name, value)                                                                        \
    "{\"kind\":\"KafkaTopicConfig\",\"metadata\":{\"self\":\"" SELF "/topics/" T "/configs/" name  \
    "\",\"resource_name\":\"crn:///kafka=memory/topic=" T "/config=" name                          \
    "\"},\"cluster_id\":\"memory\",\"topic_name\":\"" T "\",\"name\":\"" name                      \
    "\",\"value\":\"" value                                                                        \
    "\",\"is_default\":false,\"is_read_only\":false,\"is_sensitive\":false,"                       \
    "\"source\":\"DYNAMIC_TOPIC_CONFIG\",\"synonyms\":[{\"name\":\"" name "\",\"value\":\"" value  \
    "\",\"source\":\"DYNAMIC_TOPIC_CONFIG\"}]}"
#define SIZE CONFIG("max.message.bytes", "5000")

static void
settings_are_told_as_published(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ .topic = T, .record_bytes_max = 5000 });
    check_body(&gate, C "/topics/" T "/configs/max.message.bytes", SIZE);
    check_body(&gate, C "/topics/" T "/configs",
               "{\"kind\":\"KafkaTopicConfigList\",\"metadata\":{\"self\":\"" SELF "/topics/" T
               "/configs\",\"next\":null},\"data\":[" CONFIG("cleanup.policy", "delete") "," SIZE
                                                                                         "]}");
    check(&gate, &(struct exchange){ "GET", C "/topics/" T "/configs/no.such", "", 404,
                                     "Config no.such of topic " T " cannot be found" });
    gate_close(&gate);
}

static void
what_is_not_there_has_the_published_codes(void **state)
{
    (void)state;
    static const struct exchange exchanges[] = {
        { "GET", "/v3/clusters/other", "", 404,
          "{\"error_code\":404,\"message\":\"Cluster other cannot be found; this is cluster "
          "memory\"}" },
        { "GET", "/v3/clusters/other/topics", "", 404, "Cluster other cannot be found" },
        { "DELETE", "/v3/clusters/other/topics/" T, "", 404, "Cluster other cannot be found" },
        { "GET", C "/topics/a.pin", "", 404,
          "{\"error_code\":40403,\"message\":\"This server does not host this topic-partition" },
        { "GET", C "/topics/a.pin/configs", "", 404, "\"error_code\":40403" },
        { "GET", C "/topics/a.pin/partitions", "", 404, "\"error_code\":40403" },
        { "GET", C "/topics/a.pin/partitions/0/replicas", "", 404, "\"error_code\":40403" },
        { "DELETE", C "/topics/a.pin", "", 404, "\"error_code\":40403" },
        { "GET", "/v3", "", 404, "{\"error_code\":404,\"message\":\"this path of v3 is not" },
        { "GET", C "/acls", "", 404, "/v3/clusters leads to those that are" },
        { "GET", C "/topics/" T "/partitions/-/reassignment", "", 404, "is not offered" },
        { "DELETE", "/v3/clusters", "", 405, "{\"error_code\":405,\"message\":\"DELETE is not" },
        { "GET", C "/topics/" T "/records", "", 405, "\"error_code\":405" },
        { "PUT", C "/topics/" T, "", 405, "\"error_code\":405" },
    };
    check_all(&(struct gate_wish){ .topic = T }, exchanges, MR_COUNT(exchanges));
}

static void
topic_of_a_known_kind_is_made_with_those_behind_it(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    gate_open(&gate, &(struct gate_wish){ .partitions = 3 });
    gate_call(&gate, "POST", C "/topics", JSON,
              MR_SLICE("{\"topic_name\":\"a1.pin\",\"partitions_count\":1,\"replication_factor\":1,"
                       "\"configs\":[{\"name\":\"max.message.bytes\",\"value\":\"1048588\"}]}"),
              &answer);
    assert_int_equal(answer.status, 201);
    assert_non_null(strstr(answer.text.data, "Location: " SELF "/topics/a1.pin\r\n"));
    assert_string_equal(answer.body, TOPIC("a1.pin", "3"));
    answer_fini(&answer);
    static const struct exchange exchanges[] = {
        { "GET", C "/topics/a1.pin.valid", "", 200, "\"partitions_count\":3" },
        { "GET", C "/topics/a1.pin.clean", "", 200, "\"partitions_count\":3" },
        { "GET", C "/topics/a1.pin.dead", "", 200, "\"partitions_count\":3" },
        { "POST", C "/topics", "{\"topic_name\":\"a1.pin\"}", 400,
          "{\"error_code\":40002,\"message\":\"Topic 'a1.pin' already exists.\"}" },
        { "POST", C "/topics", "{\"topic_name\":\"a2.pin\",\"partitions_count\":4}", 400,
          "with 3 partitions and replication factor 1; ask for no more" },
        { "POST", C "/topics",
          "{\"topic_name\":\"a2.pin\",\"configs\":[{\"name\":\"retention.ms\",\"value\":\"5\"}]}",
          400, "where retention.ms is the broker's own; leave it out of configs" },
        { "POST", C "/topics", "{\"topic_name\":\"a2.pin.valid\"}", 400,
          "Topic a2.pin.valid is made together with a2.pin; make that one" },
        { "POST", C "/topics", "{\"topic_name\":\"A1.pin\"}", 400, "\"error_code\":40002" },
    };
    for (size_t i = 0; i < MR_COUNT(exchanges); i++)
        check(&gate, &exchanges[i]);
    gate_close(&gate);
}

static void
other_topics_are_made_as_asked(void **state)
{
    (void)state;
    static const struct exchange exchanges[] = {
        { "POST", C "/topics",
          "{\"topic_name\":\"logs\",\"partitions_count\":5,\"replication_factor\":1,\"configs\":"
          "[{\"name\":\"retention.ms\",\"value\":\"777\"}],\"validate_only\":false}",
          201, "\"partitions_count\":5" },
        { "GET", C "/topics/logs/configs/retention.ms", "", 200, "\"value\":\"777\"" },
        { "POST", C "/topics", "{\"topic_name\":\"t.unknownkind\"}", 201,
          "\"partitions_count\":2" },
        { "GET", C "/topics/t.unknownkind.valid", "", 404, "\"error_code\":40403" },
    };
    check_all(&(struct gate_wish){ .partitions = 2 }, exchanges, MR_COUNT(exchanges));
}

#define CREATE(body, status, words)                                                                \
    {                                                                                              \
        "POST", C "/topics", body, status, words                                                   \
    }

static void
requests_for_topics_that_say_nothing_good_are_refused(void **state)
{
    (void)state;
    static const struct exchange exchanges[] = {
        CREATE("", 400, "{\"error_code\":400,\"message\":\"the body must be one JSON object"),
        CREATE("[1]", 400, "must be one JSON object"),
        CREATE("{", 400, "must be one JSON object"),
        CREATE("{}", 400, "topic_name is missing"),
        CREATE("{\"topic_name\":5}", 400, "topic_name is missing"),
        CREATE("{\"topic_name\":\"a b\"}", 400,
               "{\"error_code\":40002,\"message\":\"Topic name a b"),
        CREATE("{\"topic_name\":\"__secret\"}", 400, "Topic name __secret is not one"),
        CREATE("{\"topic_name\":\"\"}", 400, "is not one: 1 to 249"),
        CREATE("{\"topic_name\":\"l\",\"partitions_count\":0}", 400,
               "partitions_count must be a number from 1 to 10000"),
        CREATE("{\"topic_name\":\"l\",\"partitions_count\":10001}", 400, "partitions_count must"),
        CREATE("{\"topic_name\":\"l\",\"partitions_count\":\"3\"}", 400, "partitions_count must"),
        CREATE("{\"topic_name\":\"l\",\"replication_factor\":101}", 400,
               "replication_factor must be a number from 1 to 100"),
        CREATE("{\"topic_name\":\"l\",\"configs\":{}}", 400, "configs must be a list"),
        CREATE("{\"topic_name\":\"l\",\"configs\":[{\"name\":\"a\",\"value\":1}]}", 400,
               "configs must be a list of"),
        CREATE("{\"topic_name\":\"l\",\"validate_only\":true}", 400, "validate_only is not"),
        CREATE("{\"topic_name\":\"l\",\"replicas_assignments\":[{}]}", 400,
               "replicas_assignments is not offered"),
    };
    check_all(&(struct gate_wish){ .topic = T }, exchanges, MR_COUNT(exchanges));
}

static void
sizes_and_types_of_a_description_are_bounded(void **state)
{
    (void)state;
    enum { MOST = 64 * 1024 };
    struct gate gate;
    struct answer answer;
    struct mr_buf body;
    gate_open(&gate, &(struct gate_wish){ 0 });
    mr_buf_init(&body, 2 * MOST);
    mr_buf_text(&body, "{\"topic_name\":\"logs\"");
    while (body.size < MOST - 1)
        mr_buf_text(&body, " ");
    mr_buf_text(&body, "}");
    gate_call(&gate, "POST", C "/topics", "", mr_buf_slice(&body), &answer);
    assert_int_equal(answer.status, 201);
    answer_fini(&answer);
    mr_buf_text(&body, " ");
    gate_call(&gate, "POST", C "/topics", "", mr_buf_slice(&body), &answer);
    assert_int_equal(answer.status, 413);
    answer_fini(&answer);
    gate_call(&gate, "POST", C "/topics", "Content-Type: text/plain\r\n", MR_SLICE("{}"), &answer);
    assert_int_equal(answer.status, 415);
    assert_non_null(strstr(answer.body, "{\"error_code\":415,\"message\":\"Content-Type text/pl"));
    answer_fini(&answer);
    mr_buf_fini(&body);
    gate_close(&gate);
}

static void
topics_are_deleted_but_not_those_that_the_pipeline_writes(void **state)
{
    (void)state;
    static const struct exchange exchanges[] = {
        { "POST", C "/topics", "{\"topic_name\":\"logs\"}", 201, "" },
        { "DELETE", C "/topics/logs", "", 204, "" },
        { "GET", C "/topics/logs", "", 404, "\"error_code\":40403" },
        { "DELETE", C "/topics/" T ".valid", "", 400,
          "{\"error_code\":40002,\"message\":\"Topic " T ".valid is written by the pipeline of " T
          ", which would stand still without it" },
        { "DELETE", C "/topics/" T ".clean", "", 400, "is written by the pipeline" },
        { "DELETE", C "/topics/" T ".dead", "", 400, "is written by the pipeline" },
        { "DELETE", C "/topics/__consumer_offsets", "", 400, "is not one" },
        { "DELETE", C "/topics/" T, "", 204, "" },
        { "GET", C "/topics/" T, "", 404, "\"error_code\":40403" },
        { "GET", C "/topics/" T ".valid", "", 200, "" },
    };
    check_all(&(struct gate_wish){ .topic = T }, exchanges, MR_COUNT(exchanges));
}

static void
broker_that_does_not_answer_is_503(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    struct mr_err down = { .code = MR_E(UNAVAILABLE), .remedy = MR_RETRY, .text = "down" };
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    mr_bus_memory_fault(gate.bus, "describe", 0, 2, &down);
    mr_bus_memory_fault(gate.bus, "delete", 0, 1, &down);
    static const struct exchange exchanges[] = {
        { "GET", C "/topics/" T, "", 503, "{\"error_code\":50003,\"message\":\"" },
        { "POST", C "/topics", "{\"topic_name\":\"logs\"}", 503, "{\"error_code\":50003" },
        { "DELETE", C "/topics/" T, "", 503, "Retry-After: 1\r\n" },
        { "GET", C "/topics/" T, "", 200, "" },
    };
    for (size_t i = 0; i < MR_COUNT(exchanges); i++)
        check(&gate, &exchanges[i]);
    gate_call(&gate, "HEAD", C "/topics/" T, "", MR_SLICE(""), &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "");
    answer_fini(&answer);
    gate_close(&gate);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clusters_are_told_as_published),
        cmocka_unit_test(links_begin_with_what_the_client_asked_for),
        cmocka_unit_test(brokers_are_told_as_published),
        cmocka_unit_test(topics_are_told_as_published),
        cmocka_unit_test(partitions_and_replicas_are_told_as_published),
        cmocka_unit_test(settings_are_told_as_published),
        cmocka_unit_test(what_is_not_there_has_the_published_codes),
        cmocka_unit_test(topic_of_a_known_kind_is_made_with_those_behind_it),
        cmocka_unit_test(other_topics_are_made_as_asked),
        cmocka_unit_test(requests_for_topics_that_say_nothing_good_are_refused),
        cmocka_unit_test(sizes_and_types_of_a_description_are_bounded),
        cmocka_unit_test(topics_are_deleted_but_not_those_that_the_pipeline_writes),
        cmocka_unit_test(broker_that_does_not_answer_is_503),
    };
    return cmocka_run_group_tests_name("rest v3", tests, NULL, NULL);
}
