/*
 * The forms in which clients send their records, and what stands in Kafka for each; and the forms
 * that are refused, with the words that help.
 */
#include "gate.h"

#define T    "12b287eedf6d.pin"
#define JSON "Content-Type: application/vnd.kafka.json.v2+json\r\n"

struct form {
    const char *method, *path, *headers, *body;
    const char *topic, *key; /* key NULL: none */
    const char *values[4];   /* as they must stand in Kafka */
};

static const struct form rest_forms[] = {
    { "POST",
      "/test/topics/" T,
      JSON,
      "{\"records\":[{\"value\":{\"index\":7528}}]}",
      T,
      NULL,
      { "{\"index\":7528}" } },
    { "POST",
      "/topics/" T,
      JSON,
      "{\"records\":[{\"value\":{\"index\":1}}]}",
      T,
      NULL,
      { "{\"index\":1}" } },
    { "PUT",
      "/Production/topics/" T "/",
      JSON,
      "{\"records\":[{\"value\":{}}]}",
      T,
      NULL,
      { "{}" } },
    { "POST",
      "/dev//topics/" T,
      "Content-Type: application/json; charset=utf-8\r\n",
      "{\"records\":[{\"value\":{\"a\":1}}]}",
      T,
      NULL,
      { "{\"a\":1}" } },
    { "POST",
      "/prod/topics/" T,
      "Content-Type: application/vnd.kafka.v2+json\r\n",
      "{\"records\":[{\"value\":{\"a\":1}}]}",
      T,
      NULL,
      { "{\"a\":1}" } },
    { "POST",
      "/prod/topics/" T,
      "Accept: application/vnd.kafka.v2+json\r\n",
      "{\"records\":[{\"value\":{\"a\":1}}]}",
      T,
      NULL,
      { "{\"a\":1}" } },
    { "POST",
      "/t/topics/" T,
      JSON,
      "{\"records\":[{\"key\":null,\"value\":{\"a\":1}}]}",
      T,
      NULL,
      { "{\"a\":1}" } },
    { "POST",
      "/t/topics/" T,
      JSON,
      "{\"records\":[{\"key\":\"k\",\"value\":{\"a\":1}}]}",
      T,
      "\"k\"",
      { "{\"a\":1}" } },
    { "POST",
      "/t/topics/" T,
      JSON,
      "{\"records\":[{\"value\":\"{\\\"a\\\":1}\"}]}",
      T,
      NULL,
      { "\"{\\\"a\\\":1}\"" } },
    { "POST",
      "/t/topics/" T,
      JSON,
      "{\"records\":[{\"value\":[{\"a\":1}]}]}",
      T,
      NULL,
      { "[{\"a\":1}]" } },
    { "POST",
      "/t/topics/" T,
      JSON,
      "{\"records\":[{\"value\":{\"value\":{\"a\":1}}}]}",
      T,
      NULL,
      { "{\"value\":{\"a\":1}}" } },
    { "POST",
      "/t/topics/" T,
      JSON,
      " {\r\n\"records\" : [ {\"value\" : { \"a\" :\n 1, \"b\":\"} ] \\\" \\\\\" } } ] } \n",
      T,
      NULL,
      { "{ \"a\" :\n 1, \"b\":\"} ] \\\" \\\\\" }" } },
    { "POST",
      "/t/topics/" T,
      JSON,
      "{\"records\":[{\"value\":{\"n\":1}},{\"value\":{\"n\":2}},{\"value\":null}],\"x\":[1]}",
      T,
      NULL,
      { "{\"n\":1}", "{\"n\":2}", "" } },
    { "POST",
      "/t/topics/" T,
      JSON,
      "{\"records\":[{\"value\":{\"t\":\"\303\244\\ud83d\\ude00\"},\"partition\":0}]}",
      T,
      NULL,
      { "{\"t\":\"\303\244\\ud83d\\ude00\"}" } },
    { "POST",
      "/t/topics/" T,
      JSON,
      "{\"records\":[{\"value\":{\"a\":tru, 1}}]}",
      T,
      NULL,
      { "{\"a\":tru, 1}" } },
    { "POST",
      "/t/topics/" T,
      "Content-Type: application/vnd.kafka.binary.v2+json\r\n",
      "{\"records\":[{\"key\":\"aw==\",\"value\":\"eyJhIjoxfQ==\"}]}",
      T,
      "k",
      { "{\"a\":1}" } },
    { "POST",
      "/v1/events/12b287eedf6d/pin",
      "Content-Type: application/json\r\n",
      "{\"a\":1,\n \"b\":2}",
      T,
      NULL,
      { "{\"a\":1,\n \"b\":2}" } },
    { "POST",
      "/v1/events/12b287eedf6d/pin",
      "Content-Type: application/json\r\n",
      " [ {\"a\":1} , {\"a\":2} ] ",
      T,
      NULL,
      { "{\"a\":1}", "{\"a\":2}" } },
    { "POST",
      "/v1/events/12b287eedf6d/pin",
      "",
      "{\"a\":1}\n{\"a\":2}\n",
      T,
      NULL,
      { "{\"a\":1}", "{\"a\":2}" } },
    { "POST",
      "/v1/events/12b287eedf6d/pin",
      "Content-Type: application/x-ndjson\r\n",
      "{\"a\":1}\r\n\n{\"broken\nnot json \n{\"a\":2}",
      T,
      NULL,
      { "{\"a\":1}", "{\"broken", "not json", "{\"a\":2}" } },
};

#define S "/prod/streams/streaming-12b287eedf6d-pin"

static const struct form kinesis_forms[] = {
    { "PUT",
      S "/record",
      "Content-Type: application/json\r\n",
      "{\"StreamName\":\"streaming-12b287eedf6d-pin\",\"Data\":{\"index\":1},"
      "\"PartitionKey\":\"test\"}",
      T,
      "test",
      { "{\"index\":1}" } },
    { "PUT",
      S "/record/",
      JSON,
      "{\"Data\":{\"a\":1},\"PartitionKey\":\"p\"}",
      T,
      "p",
      { "{\"a\":1}" } },
    { "POST",
      "/streams/12b287eedf6d-pin/record",
      "",
      "{\"Data\":{\"a\":1},\"PartitionKey\":7}",
      T,
      "7",
      { "{\"a\":1}" } },
    { "POST",
      "/streams/record?stream-name=streaming-12b287eedf6d-pin",
      "",
      "{\"Data\":{\"a\":1},\"PartitionKey\":\"p\"}",
      T,
      "p",
      { "{\"a\":1}" } },
    { "PUT",
      "/dev/streams/12b287eedf6d_pin/record",
      "",
      "{\"stream-name\":\"wrong\",\"Data\":{\"a\":1},\"PartitionKey\":\"\"}",
      T,
      "",
      { "{\"a\":1}" } },
    { "PUT",
      S "/record",
      "",
      "{\"Data\":\"{\\\"a\\\":\\\"\\u00e4\\\\n\\\"}\"}",
      T,
      NULL,
      { "{\"a\":\"\303\244\\n\"}" } },
    { "PUT",
      S "/record",
      "",
      "{\"Data\":\"eyJhIjoxfQ==\",\"PartitionKey\":\"p\"}",
      T,
      "p",
      { "{\"a\":1}" } },
    { "PUT",
      S "/record",
      "",
      "{\"Data\":\"no json\",\"PartitionKey\":\"p\"}",
      T,
      "p",
      { "no json" } },
    { "PUT", S "/record", "", "{\"Data\":\"\",\"PartitionKey\":\"p\"}", T, "p", { "" } },
    { "PUT",
      S "/record",
      "",
      "{\"Data\":[{\"a\":1},{\"a\":2}],\"PartitionKey\":\"p\"}",
      T,
      "p",
      { "{\"a\":1}", "{\"a\":2}" } },
    { "PUT",
      S "/record",
      "",
      "{\"Data\":{\"StreamName\":\"x\",\"Data\":{\"a\":1},\"PartitionKey\":\"q\"},"
      "\"PartitionKey\":\"p\"}",
      T,
      "p",
      { "{\"a\":1}" } },
    { "PUT",
      S "/records",
      "",
      "{\"StreamName\":\"x\",\"Records\":[{\"Data\":{\"a\":1},\"PartitionKey\":\"p\"},"
      "{\"Data\":\"{\\\"a\\\":2}\",\"PartitionKey\":\"p\"}]}",
      T,
      "p",
      { "{\"a\":1}", "{\"a\":2}" } },
    { "PUT",
      S "/records",
      "",
      "{\"records\":[{\"data\":{\"a\":1},\"partition-key\":\"p\"}]}",
      T,
      "p",
      { "{\"a\":1}" } },
    { "PUT",
      "/test/streams/Kinesis-Prod-Stream/record",
      "",
      "{\"Data\":{\"a\":1},\"PartitionKey\":\"12b287eedf6d-pin\"}",
      T,
      "12b287eedf6d-pin",
      { "{\"a\":1}" } },
    { "PUT",
      "/test/streams/Kinesis-Prod-Stream/record",
      "",
      "{\"Data\":{\"a\":1},\"PartitionKey\":\"streaming-12b287eedf6d-pin\"}",
      T,
      "streaming-12b287eedf6d-pin",
      { "{\"a\":1}" } },
    { "PUT",
      "/test/streams/kinesis-prod-stream/record",
      "",
      "{\"Data\":{\"a\":1},\"PartitionKey\":\"12b287eedf6d_pin\"}",
      T,
      "12b287eedf6d_pin",
      { "{\"a\":1}" } },
    { "PUT",
      "/test/streams/kinesis-prod-stream/record",
      "",
      "{\"Data\":{\"a\":1},\"PartitionKey\":\"12b287eedf6d.pin\"}",
      T,
      "12b287eedf6d.pin",
      { "{\"a\":1}" } },
    { "PUT",
      "/test/streams/Kinesis-Prod-Stream/record",
      "",
      "{\"Data\":{\"a\":1},\"PartitionKey\":\"pin\"}",
      "Kinesis-Prod-Stream.pin",
      "pin",
      { "{\"a\":1}" } },
};

static void
check_form(const struct form *form)
{
    struct gate gate;
    struct answer answer;
    struct stored stored;
    size_t count = 0;
    while (count < MR_COUNT(form->values) && form->values[count] != NULL)
        count++;
    gate_open(&gate, &(struct gate_wish){ .auto_topics = true });
    gate_call(&gate, form->method, form->path, form->headers, mr_slice_text(form->body), &answer);
    if (answer.status != 200)
        fail_msg("%s %s %s: %s", form->method, form->path, form->body, answer.text.data);
    stored_read(&gate, form->topic, &stored);
    if (stored.count != count)
        fail_msg("%s: %zu records", form->body, stored.count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(stored.has_value[i] && stored.values[i].size > 0 ? stored.values[i].data
                                                                             : "",
                            form->values[i]);
        assert_int_equal(stored.has_key[i], form->key != NULL);
        if (form->key != NULL && form->key[0] != '\0')
            assert_string_equal(stored.keys[i].data, form->key);
    }
    stored_fini(&stored);
    answer_fini(&answer);
    gate_close(&gate);
}

static void
every_rest_form_is_stored_as_it_stands(void **state)
{
    (void)state;
    for (size_t i = 0; i < MR_COUNT(rest_forms); i++)
        check_form(&rest_forms[i]);
}

static void
every_kinesis_form_is_stored_as_its_data(void **state)
{
    (void)state;
    for (size_t i = 0; i < MR_COUNT(kinesis_forms); i++)
        check_form(&kinesis_forms[i]);
}

struct refusal {
    const char *method, *path, *headers, *body;
    int status;
    const char *words;
};

static const struct refusal refusals[] = {
    { "POST", "/topics/" T, JSON, "", 422, "the body is empty" },
    { "POST", "/topics/" T, JSON, "{}", 422, "\\\"records\\\" is missing" },
    { "POST", "/topics/" T, JSON, "{\"index\":1}", 422, "wrap the record" },
    { "POST", "/topics/" T, JSON, "[{\"value\":1}]", 422, "the body is a list" },
    { "POST", "/topics/" T, JSON, "{\"records\":[]}", 422, "is empty" },
    { "POST", "/topics/" T, JSON, "{\"records\":{}}", 400, "a list is expected at byte 11" },
    { "POST", "/topics/" T, JSON, "{\"records\":[1]}", 422, "record 0 is not an object" },
    { "POST", "/topics/" T, JSON, "{\"records\":[{\"value\":1},{\"key\":1}]}", 422,
      "record 1 has no \\\"value\\\"" },
    { "POST", "/topics/" T, JSON, "{\"records\":[{\"value\":{]}]}", 400, "brackets do not match" },
    { "POST", "/topics/" T, JSON, "{\"records\":[{\"value\":{}}]", 400, "is expected" },
    { "POST", "/topics/" T, JSON, "{\"records\":[{\"value\":{}}]} x", 400, "behind the end" },
    { "POST", "/topics/" T, JSON, "{\"records\":[{\"value\":\"abc}]}", 400, "does not end" },
    { "POST", "/topics/" T, JSON, "{\"records\":[{\"value\":nope}]}", 400, "a value is expected" },
    { "POST", "/topics/" T, JSON, "{\"records\":[{\"value\":1},]}", 400, "a ',' too many" },
    { "POST", "/topics/" T, JSON, "{\"records\":[{\"value\":1 \"key\":2}]}", 400, "is expected" },
    { "POST", "/topics/" T, JSON, "{records:[]}", 400, "a field name is expected" },
    { "POST", "/topics/" T, JSON, "{\"records\":[{\"value\":1,\"partition\":-1}]}", 422,
      "not a partition number" },
    { "POST", "/topics/" T, JSON, "{\"records\":[{\"value\":1,\"partition\":9}]}", 404,
      "Partition 9 not found" },
    { "POST", "/topics/" T, JSON, "{\"StreamName\":\"s\",\"Data\":{},\"PartitionKey\":\"p\"}", 422,
      "this is a Kinesis body" },
    { "POST", "/topics/" T, JSON, "{\"records\":[{\"data\":{},\"partition-key\":\"p\"}]}", 422,
      "the shape of a Kinesis record" },
    { "POST", "/topics/" T, "Content-Type: application/vnd.kafka.avro.v2+json\r\n", "{}", 415,
      "needs a schema registry" },
    { "POST", "/topics/" T, "Content-Type: text/xml\r\n", "{}", 415, "is not taken here" },
    { "POST", "/topics/" T, "Content-Type: application/vnd.kafka.binary.v2+json\r\n",
      "{\"records\":[{\"value\":\"***\"}]}", 422, "record 0 is not base64" },
    { "POST", "/topics/" T, JSON "Content-Encoding: br\r\n", "{}", 415, "send gzip" },
    { "POST", "/topics/" T, JSON "Content-Encoding: gzip\r\n", "{}", 400, "Content-Encoding" },
    { "POST", "/topics", JSON, "{}", 404, "the topic is missing from the path" },
    { "DELETE", "/topics/" T, "", "", 405, "DELETE is not offered" },
    { "POST", "/topics/" T "/offsets", JSON, "{}", 404, "nothing can be posted" },
    { "POST", "/topics/a.b", JSON, "{\"records\":[{\"value\":1}]}", 404, "\"error_code\":40401" },
    { "POST", "/topics/a.nokind", JSON, "{\"records\":[{\"value\":1}]}", 404, "no kind nokind" },
    { "POST", "/topics/nodot", JSON, "{\"records\":[{\"value\":1}]}", 404, "<tenant>.<kind>" },
    { "POST", "/topics/" T ".clean", JSON, "{\"records\":[{\"value\":1}]}", 403,
      "written by the pipeline itself" },
    { "POST", "/topics/__consumer_offsets", JSON, "{\"records\":[{\"value\":1}]}", 404,
      "not a topic name" },
    { "POST", "/topics/12B287eedf6d.pin", JSON, "{\"records\":[{\"value\":1}]}", 409,
      "differs only in case" },
    { "PUT", S "/record", "", "", 400, "the body is empty" },
    { "PUT", S "/record", "", "{\"PartitionKey\":\"p\"}", 400, "\\\"Data\\\" is missing" },
    { "PUT", S "/record", "", "{\"Data\":[],\"PartitionKey\":\"p\"}", 400, "empty list" },
    { "PUT", S "/record", "", "{\"Data\":{]", 400, "SerializationException" },
    { "PUT", S "/record", "", "{\"Data\":\"ZXlKaElqb3hmUT09\",\"PartitionKey\":\"p\"}", 400,
      "Data is base64 twice" },
    { "POST", S, "", "{\"Data\":{}}", 404, "PUT records to /streams/<name>/record" },
    { "PUT", S "/records", "", "{\"Records\":[]}", 400, "is empty" },
    { "PUT", S "/record", JSON, "{\"records\":[{\"value\":{}}]}", 400,
      "this is a REST proxy body" },
    { "PUT", "/streams/shared/record", "", "{\"Data\":{},\"PartitionKey\":\"x\"}", 400,
      "names a kind" },
    { "PUT", "/streams/tenant-nokind/record", "", "{\"Data\":{},\"PartitionKey\":\"x\"}", 400,
      "ResourceNotFoundException" },
    { "PUT", S, "", "{\"Data\":{}}", 404, "/streams/<name>/record" },
    { "GET", S "/record", "", "", 405, "GET is not offered" },
    { "GET", "/streams/none", "", "", 400, "ResourceNotFoundException" },
    { "POST", "/v1/events/a/pin", "", "", 422, "the body is empty" },
    { "POST", "/v1/events/a/pin", "", "{\"a\":1} nope", 400, "a value is expected" },
    { "POST", "/v1/events/a/Pin", "", "{}", 404, "is not a tenant and a kind" },
    { "POST", "/v1/events/a", "", "{}", 404, "/v1/events/<tenant>/<kind>" },
    { "GET", "/v1/events/a/pin", "", "", 405, "GET is not offered" },
    { "GET", "/nothing/here", "", "", 404, "GET / lists" },
    { "GET", "/1/2/3/4/5/6/7", "", "", 404, "GET / lists" },
};

static void
what_is_refused_is_told_what_to_send_instead(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ .auto_topics = true, .topic = T });
    for (size_t i = 0; i < MR_COUNT(refusals); i++) {
        const struct refusal *refusal = &refusals[i];
        struct answer answer;
        gate_call(&gate, refusal->method, refusal->path, refusal->headers,
                  mr_slice_text(refusal->body), &answer);
        if (answer.status != refusal->status || strstr(answer.body, refusal->words) == NULL)
            fail_msg("%s %s %s: %s", refusal->method, refusal->path, refusal->body,
                     answer.text.data);
        answer_fini(&answer);
    }
    struct stored stored;
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, 0);
    stored_fini(&stored);
    gate_close(&gate);
}

int
form_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rest_form_is_stored_as_it_stands),
        cmocka_unit_test(every_kinesis_form_is_stored_as_its_data),
        cmocka_unit_test(what_is_refused_is_told_what_to_send_instead),
    };
    return cmocka_run_group_tests_name("gateway forms", tests, NULL, NULL);
}
