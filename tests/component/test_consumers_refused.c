/*
 * What the REST proxy's consumers refuse, with the published codes, and who may use which.
 */
#include "guard_fixture.h"

#undef TOPIC
#include "consumer_fixture.h"

#include <stdio.h>

#define C         "/consumers/g/instances/c"
#define PARTS     "{\"partitions\":[{\"topic\":\"" PIN "\",\"partition\":0}]}"
#define OFFSETS   "{\"offsets\":[{\"topic\":\"" PIN "\",\"partition\":0,\"offset\":1}]}"
#define TOPICS    "{\"topics\":[\"" PIN "\"]}"
#define OWN_TOPIC "a1b2c3.pin"

struct exchange {
    const char *method, *path, *body;
    int status;
    const char *words;
};

static void
say_all(struct gate *gate, const struct exchange *exchanges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        say(gate, exchanges[i].method, exchanges[i].path, exchanges[i].body, exchanges[i].status,
            exchanges[i].words);
}

static const struct exchange refusals[] = {
    { "POST", "/consumers/g", "{\"name\":\"c\"}", 409,
      "{\"error_code\":40902,\"message\":\"Consumer instance c exists in group g already" },
    { "POST", "/consumers/g", "{\"format\":\"avro\"}", 422, "\"error_code\":42204" },
    { "POST", "/consumers/g", "{\"format\":\"xml\"}", 422, "format must be json or binary" },
    { "POST", "/consumers/g", "{\"auto.offset.reset\":\"smallest\"}", 422,
      "{\"error_code\":42204,\"message\":\"Invalid consumer configuration: auto.offset.reset" },
    { "POST", "/consumers/g", "{\"auto.commit.enable\":\"maybe\"}", 422, "42204" },
    { "POST", "/consumers/g", "{\"fetch.min.bytes\":\"-1\"}", 422, "42204" },
    { "POST", "/consumers/g", "{\"consumer.request.timeout.ms\":300001}", 422, "42204" },
    { "POST", "/consumers/g", "{\"consumer.request.timeout.ms\":300000,\"name\":\"top\"}", 200,
      "top" },
    { "POST", "/consumers/g", "{\"name\":\"a/b\"}", 422, "42204" },
    { "POST", "/consumers/g", "{\"group\":\"x\"}", 422,
      "{\"error_code\":422,\"message\":\"Unrecognized field: group" },
    { "POST", "/consumers/g", "[]", 422, "not a JSON object" },
    { "POST", "/consumers/g", "{\"name\":", 400, "\"error_code\":400" },
    { "POST", "/consumers/%ff", "", 400, "\"error_code\":400" },
    { "POST", "/consumers/mill.validator", "", 403, "\"error_code\":40301" },
    { "GET", "/consumers/g", "", 405, "GET is not offered" },
    { "POST", "/consumers", "", 404, "POST to /consumers/<group>" },
    { "GET", C, "", 405, "\"error_code\":405" },
    { "GET", C "/nothing", "", 404, "there is nothing at this path" },
    { "POST", C "/positions/middle", PARTS, 404, "there is nothing at this path" },
    { "DELETE", C "/records", "", 405, "DELETE is not offered" },
    { "DELETE", "/consumers/g/instances/x", "", 404,
      "{\"error_code\":40403,\"message\":\"Consumer instance not found" },
    { "DELETE", "/consumers/x/instances/c", "", 404, "40403" },
    { "GET", "/consumers/g/instances/x/records", "", 404, "40403" },
    { "POST", C "/subscription", "", 422, "\\\"topics\\\":[" },
    { "POST", C "/subscription", "{\"topics\":[]}", 422, "1 to 256 names" },
    { "POST", C "/subscription", "{\"topics\":[7]}", 422, "no name of a topic" },
    { "POST", C "/subscription", "{\"topics\":[\"a\"],\"topic_pattern\":\"a\"}", 409, "40903" },
    { "POST", C "/subscription", "{\"topic_pattern\":\"a(\"}", 422, "regular expression" },
    { "POST", C "/assignments", "{\"partitions\":[]}", 422, "list of 1 to 1000" },
    { "POST", C "/assignments", "{\"partitions\":[{\"topic\":\"a\"}]}", 422,
      "element 0 has no \\\"partition\\\"" },
    { "POST", C "/assignments", "{\"partitions\":[{\"topic\":\"none\",\"partition\":0}]}", 404,
      "\"error_code\":40402" },
    { "POST", C "/positions", OFFSETS, 409,
      "{\"error_code\":40903,\"message\":\"No current assignment for partition" },
    { "POST", C "/positions", "{\"offsets\":[{\"topic\":\"a\",\"partition\":0}]}", 422,
      "has no \\\"offset\\\"" },
    { "POST", C "/positions/end", PARTS, 409, "40903" },
    { "POST", C "/offsets", OFFSETS, 409, "40903" },
    { "POST", C "/offsets", "", 200, "[]" },
    { "GET", C "/offsets", "", 422, "partitions" },
    { "GET", C "/offsets", "{\"partitions\":[{\"topic\":\"none\",\"partition\":0}]}", 404,
      "40402" },
    { "GET", C "/records?timeout=soon", "", 422, "timeout must be a number" },
    { "GET", C "/records?max_bytes=1k", "", 422, "max_bytes must be a number" },
    { "GET", C "/records?timeout=1", "", 200, "[]" },
    { "POST", C "/subscription", TOPICS, 204, "" },
    { "POST", C "/subscription", TOPICS, 204, "" },
    { "POST", C "/assignments", PARTS, 409, "40903" },
    { "POST", C "/subscription", "{\"topic_pattern\":\"a.*\"}", 409, "40903" },
    { "DELETE", C "/subscription", "", 204, "" },
    { "POST", C "/assignments", PARTS, 204, "" },
    { "POST", C "/subscription", TOPICS, 409,
      "{\"error_code\":40903,\"message\":\"Subscription to topics, partitions and pattern" },
};

static void
what_is_refused_has_the_published_code(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ .topic = PIN });
    make_consumer(&gate, "g", "");
    say_all(&gate, refusals, MR_COUNT(refusals));
    say_with(&gate, "Content-Type: text/xml\r\n", "POST", "/consumers/g", "{}", 415, "415");
    say_with(&gate, "Accept: text/xml\r\n", "POST", "/consumers/g", "{}", 406, "406");
    gate_close(&gate);
}

static void
format_of_records_is_that_of_the_instance(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        int status;
        const char *words;
    } cases[] = {
        { "", 200, "Content-Type: application/vnd.kafka.json.v2+json\r\n" },
        { "Accept: */*\r\n", 200, "Content-Type: application/vnd.kafka.json.v2+json\r\n" },
        { "Accept: application/vnd.kafka.json.v2+json\r\n", 200, "kafka.json.v2" },
        { "Accept: application/json\r\n", 200, "Content-Type: application/json\r\n" },
        { "Accept: application/vnd.kafka.binary.v2+json\r\n", 406,
          "{\"error_code\":40601,\"message\":\"Accept application/vnd.kafka.binary.v2+json is not "
          "offered: this consumer was made with format json" },
        { "Accept: application/vnd.kafka.avro.v2+json\r\n", 406, "\"error_code\":40601" },
        { "Accept: text/html\r\n", 406, "\"error_code\":406," },
    };
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ .topic = PIN });
    make_consumer(&gate, "g", "'format':'json'");
    for (size_t i = 0; i < MR_COUNT(cases); i++)
        say_with(&gate, cases[i].accept, "GET", C "/records?timeout=1", "", cases[i].status,
                 cases[i].words);
    gate_close(&gate);
}

static void
base_uri_is_where_the_client_came_in(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ .topic = PIN });
    say(&gate, "POST", "/consumers/g", "{\"name\":\"c\"}", 200,
        "{\"instance_id\":\"c\",\"base_uri\":\"http://x/consumers/g/instances/c\"}");
    say(&gate, "POST", "/my%20stage/consumers/a%20b/", "{\"name\":\"\303\244\"}", 200,
        "\"base_uri\":\"http://x/my%20stage/consumers/a%20b/instances/%C3%A4\"");
    say(&gate, "DELETE", "/my%20stage/consumers/a%20b/instances/%C3%A4", "", 204, "");
    say_with(&gate, "X-Forwarded-Proto: https\r\n", "POST", "/consumers/h", "", 200,
             "\"base_uri\":\"https://x/consumers/h/instances/rest-consumer-");
    gate_close(&gate);
}

static void
one_instance_more_than_allowed_is_refused(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ .topic = PIN, .consumers_max = 2 });
    say(&gate, "POST", "/consumers/g", "{\"name\":\"a\"}", 200, "");
    say(&gate, "POST", "/consumers/h", "{\"name\":\"a\"}", 200, "");
    say(&gate, "POST", "/consumers/g", "{\"name\":\"b\"}", 429,
        "{\"error_code\":42901,\"message\":\"there are 2 consumer instances, the most that "
        "--consumers-max allows");
    gate_close(&gate);
}

#define GRANT(tenant)                                                                              \
    "'grants':[{'tenants':['" tenant "'],'kinds':['*'],'rights':['consume','produce']}]"

static void
instance_is_there_only_for_its_principal_and_within_its_rights(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    struct gate *gate = &guarded.gate;
    guarded_open(&guarded, "{'principals':[{'name':'one','api_keys':['" KEY_HASH
                           "']," GRANT("a1b2c3") "},{'name':'two','api_keys':['" KEY2_HASH
                                                 "']," GRANT("d4e5f6") "}]}");
    assert_int_equal(guarded_post(&guarded, OWN_TOPIC, KEY, NULL), 200);
    say_with(gate, KEY V2, "POST", "/consumers/g",
             "{\"name\":\"c\",\"auto.offset.reset\":\"earliest\"}", 200, "");
    say_with(gate, KEY2, "GET", C "/records", "", 404, "40403");
    say_with(gate, KEY2, "DELETE", C, "", 404, "40403");
    say_with(gate, KEY V2, "POST", C "/subscription", "{\"topics\":[\"d4e5f6.pin\"]}", 403,
             "one may not read topic d4e5f6.pin");
    say_with(gate, KEY V2, "POST", C "/assignments",
             "{\"partitions\":[{\"topic\":\"d4e5f6.pin\",\"partition\":0}]}", 403, "40301");
    say_with(gate, KEY V2, "GET", C "/offsets",
             "{\"partitions\":[{\"topic\":\"d4e5f6.pin\",\"partition\":0}]}", 403, "40301");
    say_with(gate, KEY V2, "POST", C "/subscription", "{\"topics\":[\"" OWN_TOPIC "\"]}", 204, "");
    say_with(gate, KEY, "GET", C "/records", "", 200, "\"offset\":0");
    say_with(gate, KEY2 V2, "POST", "/consumers/h",
             "{\"name\":\"c\",\"auto.offset.reset\":\"earliest\"}", 200, "");
    say_with(gate, KEY2 V2, "POST", "/consumers/h/instances/c/subscription",
             "{\"topic_pattern\":\".*\"}", 204, "");
    say_with(gate, KEY2, "GET", "/consumers/h/instances/c/subscription", "", 200,
             "{\"topics\":[]}");
    say_with(gate, KEY2, "GET", "/consumers/h/instances/c/records", "", 403,
             "two may not read topic " OWN_TOPIC);
    guarded_close(&guarded);
}

int
refusal_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_refused_has_the_published_code),
        cmocka_unit_test(format_of_records_is_that_of_the_instance),
        cmocka_unit_test(base_uri_is_where_the_client_came_in),
        cmocka_unit_test(one_instance_more_than_allowed_is_refused),
        cmocka_unit_test(instance_is_there_only_for_its_principal_and_within_its_rights),
    };
    return cmocka_run_group_tests_name("consumers refused", tests, NULL, NULL);
}
