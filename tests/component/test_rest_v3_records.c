/*
 * Posts of the REST proxy's v3 dialect: one record, streams of them, batches, and what each refused
 * record is told while the others are stored.
 */
#include "gate.h"

#include <jansson.h>
#include <stdio.h>

#define T       "12b287eedf6d.pin"
#define RECORDS "/v3/clusters/memory/topics/" T "/records"
#define BATCH   RECORDS ":batch"
#define JSON    "Content-Type: application/json\r\n"
#define VALUE   "{\"value\":{\"type\":\"JSON\",\"data\":{\"index\":7528}}}"

enum { STREAM = 1000, RECORDS_MAX = 10000 };

static void
post(struct gate *gate, const char *path, struct mr_slice body, struct answer *ret)
{
    gate_call(gate, "POST", path, JSON, body, ret);
}

static void
check(struct gate *gate, const char *path, const char *body, int status, const char *words)
{
    struct answer answer;
    post(gate, path, mr_slice_text(body), &answer);
    if (answer.status != status || strstr(answer.text.data, words) == NULL)
        fail_msg("%s: %s", body, answer.text.data);
    json_t *root = json_loads(answer.body, 0, NULL);
    if (root == NULL)
        fail_msg("%s: %s", body, answer.body);
    json_decref(root);
    answer_fini(&answer);
}

/* The concatenated objects of an answer, as a list. */
static json_t *
split(const struct answer *answer)
{
    json_t *list = json_array();
    const char *at = answer->body, *end = answer->text.data + answer->text.size;
    while (at < end) {
        json_error_t where;
        json_t *one = json_loadb(at, (size_t)(end - at), JSON_DISABLE_EOF_CHECK, &where);
        assert_non_null(one);
        at += where.position;
        while (at < end && *at == '\n')
            at++;
        (void)json_array_append_new(list, one);
    }
    return list;
}

static json_int_t
number(const json_t *list, size_t i, const char *field)
{
    return json_integer_value(json_object_get(json_array_get(list, i), field));
}

/* LAW 3: an id under an Idempotency-Key goes by the place in the request, bad records included. */
static void
record_keeps_its_id_when_one_before_it_is_mended(void **state)
{
    static const char *const bodies[] = { "{\"value\":{}}" VALUE,
                                          "{\"value\":{\"type\":\"JSON\",\"data\":1}}" VALUE };
    (void)state;
    struct gate gate;
    struct stored stored;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    for (size_t i = 0; i < MR_COUNT(bodies); i++) {
        struct answer answer;
        gate_call(&gate, "POST", RECORDS, JSON "Idempotency-Key: k\r\n", mr_slice_text(bodies[i]),
                  &answer);
        json_t *list = split(&answer);
        assert_int_equal(json_array_size(list), 2);
        assert_int_equal(number(list, 0, "error_code"), i == 0 ? 400 : 200);
        assert_int_equal(number(list, 1, "error_code"), 200);
        assert_int_equal(number(list, 1, "offset"), 0);
        json_decref(list);
        answer_fini(&answer);
    }
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, 2);
    stored_fini(&stored);
    gate_close(&gate);
}

static void
record_is_answered_as_published(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    struct stored stored;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    post(&gate, "/kafka" RECORDS,
         MR_SLICE("{\"partition_id\":0,\"headers\":[],\"key\":{\"type\":\"STRING\",\"data\":"
                  "\"k\\u00e9y\"},\"value\":{\"type\":\"JSON\",\"data\":{\"a\" : [1]}},"
                  "\"timestamp\":null}"),
         &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.text.data, "Content-Type: application/json\r\n"));
    static const char head[] = "{\"error_code\":200,\"cluster_id\":\"memory\",\"topic_name\":\"" T
                               "\",\"partition_id\":0,\"offset\":0,\"timestamp\":\"2";
    static const char tail[] = "Z\",\"key\":{\"type\":\"STRING\",\"size\":4},\"value\":{\"type\":"
                               "\"JSON\",\"size\":11}}\n";
    assert_memory_equal(answer.body, head, strlen(head));
    assert_non_null(strstr(answer.body, tail));
    assert_string_equal(strstr(answer.body, tail), tail);
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, 1);
    assert_string_equal(stored.keys[0].data, "k\xc3\xa9y");
    assert_string_equal(stored.values[0].data, "{\"a\" : [1]}");
    stored_fini(&stored);
    answer_fini(&answer);
    gate_close(&gate);
}

struct form {
    const char *body;
    bool has_key, has_value;
    const char *key, *value;
};

static void
types_are_stored_as_what_they_mean(void **state)
{
    (void)state;
    static const struct form forms[] = {
        { "{\"value\":{\"type\":\"BINARY\",\"data\":\"eyJhIjoxfQ==\"}}", false, true, "",
          "{\"a\":1}" },
        { "{\"value\":{\"type\":\"STRING\",\"data\":\"a\\nb\"}}", false, true, "", "a\nb" },
        { "{\"value\":{\"type\":\"STRING\",\"data\":12.50}}", false, true, "", "12.50" },
        { "{\"value\":{\"data\":\"x\",\"type\":\"JSON\"}}", false, true, "", "\"x\"" },
        { "{\"key\":{\"type\":\"JSON\",\"data\":[1, 2]},\"value\":{\"type\":\"JSON\",\"data\":0}}",
          true, true, "[1, 2]", "0" },
        { "{\"key\":{\"type\":\"BINARY\",\"data\":\"aw==\"},\"value\":null}", true, false, "k",
          "" },
        { "{\"key\":null,\"value\":{\"type\":\"JSON\",\"data\":null}}", false, false, "", "" },
        { "{\"key\":{\"type\":\"STRING\",\"data\":null},\"value\":{\"type\":\"STRING\",\"data\":"
          "\"\"}}",
          false, true, "", "" },
    };
    struct gate gate;
    struct stored stored;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    for (size_t i = 0; i < MR_COUNT(forms); i++)
        check(&gate, RECORDS, forms[i].body, 200, "{\"error_code\":200,");
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, MR_COUNT(forms));
    for (size_t i = 0; i < MR_COUNT(forms); i++) {
        assert_int_equal(stored.has_key[i], forms[i].has_key);
        assert_int_equal(stored.has_value[i], forms[i].has_value);
        if (forms[i].has_key)
            assert_string_equal(stored.keys[i].data, forms[i].key);
        if (forms[i].has_value && stored.values[i].size > 0)
            assert_string_equal(stored.values[i].data, forms[i].value);
    }
    stored_fini(&stored);
    gate_close(&gate);
}

static void
stream_is_answered_in_order(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    struct mr_buf body;
    gate_open(&gate, &(struct gate_wish){ .topic = T, .partitions = 3 });
    mr_buf_init(&body, 1 << 20);
    for (int i = 0; i < STREAM; i++)
        mr_buf_printf(&body, "{\"partition_id\":%d,\"value\":{\"type\":\"JSON\",\"data\":%d}}%s",
                      i % 3, i, i % 2 == 0 ? "" : "\r\n ");
    post(&gate, RECORDS, mr_buf_slice(&body), &answer);
    assert_int_equal(answer.status, 200);
    json_t *list = split(&answer);
    assert_int_equal(json_array_size(list), STREAM);
    for (size_t i = 0; i < STREAM; i++) {
        assert_int_equal(number(list, i, "error_code"), 200);
        assert_int_equal(number(list, i, "partition_id"), i % 3);
        assert_int_equal(number(list, i, "offset"), i / 3);
    }
    json_decref(list);
    mr_buf_fini(&body);
    answer_fini(&answer);
    gate_close(&gate);
}

static void
bad_record_of_a_stream_has_its_own_answer_and_the_others_go_on(void **state)
{
    (void)state;
    static const json_int_t codes[] = { 200, 400, 200, 42207, 40402, 413, 400, 200 };
    struct gate gate;
    struct answer answer;
    struct stored stored;
    struct mr_buf body;
    gate_open(&gate, &(struct gate_wish){ .topic = T, .record_bytes_max = 2000 });
    mr_buf_init(&body, 1 << 16);
    mr_buf_text(&body, VALUE "{\"valu\":1}" VALUE
                             "{\"value\":{\"type\":\"AVRO\",\"schema\":\"{}\",\"data\":{}}}"
                             "{\"partition_id\":7,\"value\":{\"type\":\"JSON\",\"data\":1}}"
                             "{\"value\":{\"type\":\"STRING\",\"data\":\"");
    for (int i = 0; i < 2001; i++)
        mr_buf_text(&body, "x");
    mr_buf_text(&body, "\"}}{\"value\" {}}" VALUE);
    post(&gate, RECORDS, mr_buf_slice(&body), &answer);
    assert_int_equal(answer.status, 200);
    json_t *list = split(&answer);
    assert_int_equal(json_array_size(list), MR_COUNT(codes));
    for (size_t i = 0; i < MR_COUNT(codes); i++)
        assert_int_equal(number(list, i, "error_code"), codes[i]);
    assert_non_null(strstr(answer.body, "valu is not a field of a record"));
    assert_non_null(strstr(answer.body, "value.schema needs a schema registry"));
    assert_int_equal(number(list, 7, "offset"), 2);
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, 3);
    stored_fini(&stored);
    json_decref(list);
    mr_buf_fini(&body);
    answer_fini(&answer);
    gate_close(&gate);
}

static void
stream_that_breaks_off_keeps_what_stood_before(void **state)
{
    (void)state;
    static const char *const tails[] = { "{\"value\":{", "{\"value\":\"x", "]", "nul", ",{}" };
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    for (size_t i = 0; i < MR_COUNT(tails); i++) {
        char body[256];
        struct answer answer;
        (void)snprintf(body, sizeof(body), "%s%s", VALUE, tails[i]);
        post(&gate, RECORDS, mr_slice_text(body), &answer);
        assert_int_equal(answer.status, 200);
        json_t *list = split(&answer);
        assert_int_equal(json_array_size(list), 2);
        assert_int_equal(number(list, 0, "offset"), i);
        assert_int_equal(number(list, 1, "error_code"), 400);
        assert_non_null(strstr(answer.body, "nothing from here on was read"));
        json_decref(list);
        answer_fini(&answer);
    }
    gate_close(&gate);
}

struct refusal {
    const char *body;
    int status;
    const char *words;
};

static void
single_record_that_is_refused_has_the_status_of_its_code(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        { "", 422, "{\"error_code\":42206,\"message\":\"Payload error. Empty input provided." },
        { " \n", 422, "\"error_code\":42206" },
        { "{}", 400, "{\"error_code\":400,\"message\":\"value is missing; send {" },
        { "{", 400, "record 0 is not JSON: a bracket is not closed at byte" },
        { "7", 400, "this is no record" },
        { "[" VALUE "]", 400, "this is no record" },
        { "{\"records\":[{\"value\":1}]}", 400, "this is a body of v2; post it to /topics/" },
        { "{\"entries\":[]}", 400, "post it to records:batch" },
        { "{\"Data\":{},\"PartitionKey\":\"p\"}", 400, "this is a Kinesis record" },
        { "{\"\x92\xc3\xa9\":1}", 400, "??? is not a field of a record" },
        { "{\"value\":{}}", 400, "value.type is missing; send JSON, STRING or BINARY" },
        { "{\"value\":5}", 400, "value is not {\\\"type\\\"" },
        { "{\"value\":{\"type\":\"JSON\"}}", 400, "value.data is missing" },
        { "{\"value\":{\"type\":\"json\",\"data\":1}}", 400, "value.type is \\\"json\\\"; send" },
        { "{\"value\":{\"type\":7,\"data\":1}}", 400, "value.type is 7; send JSON" },
        { "{\"value\":{\"type\":\"JSON\",\"dat\":1}}", 400, "value.dat is not a field" },
        { "{\"value\":{\"type\":\"JSON\" \"data\":1}}", 400, "value is not JSON: ',' or '}'" },
        { "{\"value\":{\"type\":\"BINARY\",\"data\":\"*\"}}", 400, "is not base64 in a string" },
        { "{\"value\":{\"type\":\"BINARY\",\"data\":{}}}", 400, "is not base64 in a string" },
        { "{\"value\":{\"type\":\"STRING\",\"data\":{}}}", 400, "type STRING is not a string" },
        { "{\"key\":{\"type\":\"BINARY\",\"data\":1},\"value\":null}", 400, "key.data of type" },
        { "{\"value\":{\"type\":\"PROTOBUF\",\"data\":{}}}", 422,
          "{\"error_code\":42207,\"message\":\"Error serializing message. value.type PROTOBUF" },
        { "{\"value\":{\"type\":\"JSONSCHEMA\",\"data\":{}}}", 422, "type JSONSCHEMA needs a" },
        { "{\"value\":{\"schema_id\":1,\"data\":{}}}", 422, "value.schema_id needs a schema" },
        { "{\"partition_id\":1,\"value\":null}", 404, "{\"error_code\":40402,\"message\":\"Part" },
        { "{\"partition_id\":99999999999,\"value\":null}", 404, "{\"error_code\":40402," },
        { "{\"partition_id\":-1,\"value\":null}", 404, "{\"error_code\":40402," },
        { "{\"partition_id\":\"0\",\"value\":null}", 400, "is not a partition number" },
        { "{\"headers\":[{\"name\":\"a\",\"value\":\"Yg==\"}],\"value\":null}", 400,
          "headers are not kept here" },
        { "{\"headers\":7,\"value\":null}", 400, "headers are not kept here" },
        { "{\"timestamp\":\"2021-02-05T19:14:42Z\",\"value\":null}", 400, "timestamp is not kept" },
        { "{\"id\":\"1\",\"value\":null}", 400, "id is not a field of a record" },
    };
    struct gate gate;
    struct stored stored;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    for (size_t i = 0; i < MR_COUNT(refusals); i++)
        check(&gate, RECORDS, refusals[i].body, refusals[i].status, refusals[i].words);
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, 0);
    stored_fini(&stored);
    gate_close(&gate);
}

static void
what_concerns_all_records_is_answered_once(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    check(&gate, "/v3/clusters/memory/topics/a.pin/records", VALUE VALUE, 404,
          "{\"error_code\":40401,\"message\":\"Topic a.pin not found");
    check(&gate, "/v3/clusters/memory/topics/" T ".valid/records", VALUE, 403,
          "{\"error_code\":40301,");
    check(&gate, "/v3/clusters/other/topics/" T "/records", VALUE, 404,
          "{\"error_code\":404,\"message\":\"Cluster other cannot be found");
    gate_call(&gate, "POST", RECORDS, "Content-Type: application/vnd.kafka.binary.v2+json\r\n",
              MR_SLICE(VALUE), &answer);
    assert_int_equal(answer.status, 415);
    answer_fini(&answer);
    gate_close(&gate);
}

static void
record_that_cannot_be_taken_now_says_so(void **state)
{
    (void)state;
    struct gate gate;
    struct mr_err full = { .code = MR_E(FULL), .remedy = MR_RETRY, .text = "full" };
    struct mr_err lost = { .code = MR_E(INTERNAL), .remedy = MR_REJECT, .text = "lost" };
    struct mr_err denied = { .code = MR_E(DENIED), .remedy = MR_REJECT, .text = "denied" };
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    mr_bus_memory_fault(gate.bus, "produce", 0, 1, &full);
    check(&gate, RECORDS, VALUE, 503, "Retry-After: 1\r\n");
    mr_bus_memory_fault(gate.bus, "produce", 0, 1, &lost);
    check(&gate, RECORDS, VALUE, 500, "{\"error_code\":50002,\"message\":\"lost\"}");
    mr_bus_memory_fault(gate.bus, "produce", 0, 1, &denied);
    check(&gate, RECORDS, VALUE, 403, "{\"error_code\":40301,\"message\":\"denied\"}");
    gate_close(&gate);
}

static void
one_record_too_many_is_told_and_the_others_are_stored(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    struct mr_buf body;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    mr_buf_init(&body, 1 << 20);
    for (int i = 0; i < RECORDS_MAX + 2; i++)
        mr_buf_text(&body, "{\"value\":{\"type\":\"JSON\",\"data\":1}}");
    post(&gate, RECORDS, mr_buf_slice(&body), &answer);
    assert_int_equal(answer.status, 200);
    json_t *list = split(&answer);
    assert_int_equal(json_array_size(list), RECORDS_MAX + 1);
    assert_int_equal(number(list, RECORDS_MAX - 1, "error_code"), 200);
    assert_int_equal(number(list, RECORDS_MAX - 1, "offset"), RECORDS_MAX - 1);
    assert_int_equal(number(list, RECORDS_MAX, "error_code"), 413);
    json_decref(list);
    mr_buf_fini(&body);
    answer_fini(&answer);
    gate_close(&gate);
}

static void
batch_tells_which_entries_were_stored(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    struct stored stored;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    post(&gate, BATCH,
         MR_SLICE("{\"entries\":[{\"id\":\"a\",\"value\":{\"type\":\"JSON\",\"data\":1}},"
                  "{\"id\":\"\\u00e9\\\"\",\"value\":{\"type\":\"AVRO\",\"data\":1}},"
                  "{\"value\":{\"type\":\"JSON\",\"data\":2},\"partition_id\":5,\"id\":\"c\"},"
                  "{\"id\":\"d\",\"value\":{\"type\":\"JSON\",\"data\":3}}]}"),
         &answer);
    assert_int_equal(answer.status, 207);
    assert_non_null(strstr(answer.text.data, "HTTP/1.1 207 Multi-Status\r\n"));
    static const char first[] = "{\"successes\":[{\"id\":\"a\",\"cluster_id\":\"memory\","
                                "\"topic_name\":\"" T "\",\"partition_id\":0,\"offset\":0,";
    assert_memory_equal(answer.body, first, strlen(first));
    json_t *root = json_loads(answer.body, 0, NULL);
    const json_t *successes = json_object_get(root, "successes");
    const json_t *failures = json_object_get(root, "failures");
    assert_int_equal(json_array_size(successes), 2);
    assert_int_equal(number(successes, 1, "offset"), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(successes, 1), "id")),
                        "d");
    assert_int_equal(json_array_size(failures), 2);
    assert_int_equal(number(failures, 0, "error_code"), 42207);
    assert_string_equal(json_string_value(json_object_get(json_array_get(failures, 0), "id")),
                        "\xc3\xa9\"");
    assert_int_equal(number(failures, 1, "error_code"), 40402);
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, 2);
    stored_fini(&stored);
    json_decref(root);
    answer_fini(&answer);
    gate_close(&gate);
}

static void
batches_have_ten_entries_at_most(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    for (int count = 10; count <= 11; count++) {
        struct mr_buf body;
        mr_buf_init(&body, 1 << 16);
        mr_buf_text(&body, "{\"entries\":[");
        for (int i = 0; i < count; i++)
            mr_buf_printf(&body, "%s{\"id\":\"%d\",\"value\":null}", i > 0 ? "," : "", i);
        mr_buf_text(&body, "]}");
        check(&gate, BATCH, body.data, count == 10 ? 207 : 422,
              count == 10 ? "\"failures\":[]}"
                          : "{\"error_code\":42208,\"message\":\"Too many entries in batch; 10");
        mr_buf_fini(&body);
    }
    gate_close(&gate);
}

static void
batches_whose_entries_cannot_be_told_apart_are_refused(void **state)
{
    (void)state;
#define ID80 "01234567890123456789012345678901234567890123456789012345678901234567890123456789"
    static const struct refusal refusals[] = {
        { "{\"entries\":[]}", 422, "{\"error_code\":42208,\"message\":\"Empty batch.\"}" },
        { "{}", 422, "Empty batch." },
        { "", 400, "{\"error_code\":400,\"message\":\"the body is not {" },
        { "{\"entries\":{}}", 400, "a list is expected at byte" },
        { "{\"entries\":[{\"id\":\"1\",\"value\":null}", 400, "\"error_code\":400" },
        { "{\"entries\":[{\"value\":null}]}", 422,
          "{\"error_code\":42208,\"message\":\"Batch entry identifier is not a valid string.\"}" },
        { "{\"entries\":[{\"id\":1,\"value\":null}]}", 422, "is not a valid string" },
        { "{\"entries\":[{\"id\":\"\",\"value\":null}]}", 422, "is not a valid string" },
        { "{\"entries\":[{\"id\":\"\\q\",\"value\":null}]}", 422, "is not a valid string" },
        { "{\"entries\":[{\"id\":\"" ID80 "x\",\"value\":null}]}", 422, "is not a valid string" },
        { "{\"entries\":[{\"id\":\"1\",\"value\":null},{\"id\":\"\\u0031\",\"value\":null}]}", 422,
          "Batch entry identifiers are not distinct." },
        { "{\"entries\":[{\"id\":\"" ID80 "\",\"value\":null}]}", 207, "\"failures\":[]" },
    };
    struct gate gate;
    struct stored stored;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    for (size_t i = 0; i < MR_COUNT(refusals); i++)
        check(&gate, BATCH, refusals[i].body, refusals[i].status, refusals[i].words);
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, 1);
    stored_fini(&stored);
    gate_close(&gate);
}

static void
topic_of_a_known_kind_is_made_on_its_first_record(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ .auto_topics = true });
    check(&gate, "/v3/clusters/memory/topics/new.pin/records", VALUE, 200, "{\"error_code\":200,");
    gate_close(&gate);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_is_answered_as_published),
        cmocka_unit_test(record_keeps_its_id_when_one_before_it_is_mended),
        cmocka_unit_test(types_are_stored_as_what_they_mean),
        cmocka_unit_test(stream_is_answered_in_order),
        cmocka_unit_test(bad_record_of_a_stream_has_its_own_answer_and_the_others_go_on),
        cmocka_unit_test(stream_that_breaks_off_keeps_what_stood_before),
        cmocka_unit_test(single_record_that_is_refused_has_the_status_of_its_code),
        cmocka_unit_test(what_concerns_all_records_is_answered_once),
        cmocka_unit_test(record_that_cannot_be_taken_now_says_so),
        cmocka_unit_test(one_record_too_many_is_told_and_the_others_are_stored),
        cmocka_unit_test(batch_tells_which_entries_were_stored),
        cmocka_unit_test(batches_have_ten_entries_at_most),
        cmocka_unit_test(batches_whose_entries_cannot_be_told_apart_are_refused),
        cmocka_unit_test(topic_of_a_known_kind_is_made_on_its_first_record),
    };
    return cmocka_run_group_tests_name("records of rest v3", tests, NULL, NULL);
}
