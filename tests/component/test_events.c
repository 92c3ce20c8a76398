/*
 * Our own dialect: CloudEvents in their three modes, events with names of their own, and the words
 * of refusals.
 */
#include "gate.h"

#define T      "a1b2c3.pin"
#define PATH   "/v1/events/a1b2c3/pin"
#define CE     "application/cloudevents+json"
#define BATCH  "application/cloudevents-batch+json"
#define BINARY "ce-specversion: 1.0\r\nce-id: 7\r\nce-source: /s\r\nce-type: pin\r\n"
#define ATTRS  "\"specversion\":\"1.0\",\"id\":\"7\",\"source\":\"/s\",\"type\":\"pin\""

static void
open_three(struct gate *gate)
{
    gate_open(gate, &(struct gate_wish){ .partitions = 3, .topic = T });
}

static int
post(struct gate *gate, const char *path, const char *headers, const char *body,
     const char *part_of_answer)
{
    struct answer answer;
    gate_call(gate, "POST", path, headers, mr_slice_text(body), &answer);
    if (strstr(answer.body, part_of_answer) == NULL)
        fail_msg("%d %s does not hold %s", answer.status, answer.body, part_of_answer);
    int status = answer.status;
    answer_fini(&answer);
    return status;
}

static void
assert_stored(const struct stored *stored, size_t i, const char *key, const char *value)
{
    assert_true(i < stored->count);
    assert_string_equal(stored->values[i].data, value);
    assert_int_equal(stored->has_key[i], key != NULL);
    if (key != NULL)
        assert_string_equal(stored->keys[i].data, key);
}

/* One event in each mode that means the same: the same id in the same partition. */
static void
cloudevents_of_all_modes_are_the_same_event(void **state)
{
    (void)state;
    static const struct {
        const char *headers, *body;
    } forms[] = {
        { "Content-Type: application/json\r\n" BINARY "ce-subject: k\r\n", "{\"a\":1}" },
        { "ce-specversion: \"1.0\"\r\nce-id: %37\r\nce-source: %2fs\r\nce-type: pin\r\n"
          "ce-subject: other\r\nce-partitionkey: k\r\n",
          "{\"a\":1}" },
        { "Content-Type: " CE "; charset=utf-8\r\n",
          "{" ATTRS ",\"subject\":\"k\",\"time\":\"2020-01-01T00:00:00Z\",\"data\":{\"a\":1}}" },
        { "Content-Type: " CE "\r\n",
          "{\"data_base64\":\"eyJhIjoxfQ==\",\"partitionkey\":\"k\"," ATTRS "}" },
        { "Content-Type: " BATCH "\r\n",
          "[{" ATTRS ",\"subject\":\"k\",\"datacontenttype\":\"application/x+json\","
          "\"data\":{\"a\":1}}]" },
    };
    struct stored first = { 0 };
    for (size_t i = 0; i < MR_COUNT(forms); i++) {
        struct gate gate;
        struct stored stored;
        open_three(&gate);
        assert_int_equal(post(&gate, PATH, forms[i].headers, forms[i].body, "\"failed\":0"), 200);
        stored_read(&gate, T, &stored);
        assert_int_equal(stored.count, 1);
        assert_stored(&stored, 0, "k", "{\"a\":1}");
        if (i > 0) {
            assert_int_equal(stored.partitions[0], first.partitions[0]);
            assert_memory_equal(stored.provenance[0]->event_id.data,
                                first.provenance[0]->event_id.data, 16);
            stored_fini(&stored);
        } else {
            first = stored;
        }
        gate_close(&gate);
    }
    stored_fini(&first);
}

static void
a_name_is_the_event_wherever_it_stands(void **state)
{
    (void)state;
    struct gate gate;
    struct stored stored;
    open_three(&gate);
    static const char lines[] = "Content-Type: application/x-ndjson\r\n";
    assert_int_equal(post(&gate, PATH "?id=n", lines, "{\"n\":1}\n{\"n\":\"2\"}\n", "\"failed\":0"),
                     200);
    gate_close(&gate);
    struct stored again;
    open_three(&gate);
    assert_int_equal(
        post(&gate, PATH "?id=n", "", "[{\"n\":2},{\"n\":3},{\"n\":1}]", "\"failed\":0"), 200);
    stored_read(&gate, T, &again);
    gate_close(&gate);
    open_three(&gate);
    assert_int_equal(post(&gate, PATH "?id=n", "Idempotency-Key: k\r\n", "[{\"n\":1},{\"n\":2}]",
                          "\"failed\":0"),
                     200);
    stored_read(&gate, T, &stored);
    gate_close(&gate);
    assert_int_equal(stored.count, 2);
    assert_int_equal(again.count, 3);
    size_t same = 0;
    for (size_t i = 0; i < stored.count; i++)
        for (size_t j = 0; j < again.count; j++)
            same += memcmp(stored.provenance[i]->event_id.data, again.provenance[j]->event_id.data,
                           16) == 0 &&
                    stored.partitions[i] == again.partitions[j];
    assert_int_equal(same, 2);
    stored_fini(&stored);
    stored_fini(&again);
}

static void
what_cannot_be_taken_is_refused_with_its_name(void **state)
{
    (void)state;
    static const struct {
        const char *path, *headers, *body;
        int status;
        const char *text;
    } forms[] = {
        { PATH, "ce-specversion: 1.0\r\nce-source: /s\r\nce-type: t\r\n", "{}", 400, "has no id" },
        { PATH, "ce-id: 1\r\nce-source: /s\r\nce-type: t\r\n", "{}", 400, "has no specversion" },
        { PATH, "ce-id: 1\r\nce-specversion: 1.0\r\nce-type: t\r\n", "{}", 400, "has no source" },
        { PATH, "ce-id: 1\r\nce-specversion: 1.0\r\nce-source: t\r\n", "{}", 400, "has no type" },
        { PATH, "ce-id: 1\r\nce-specversion: 0.3\r\nce-source: t\r\nce-type: t\r\n", "{}", 400,
          "has specversion 0.3; send 1.0" },
        { PATH, "ce-id: %ff\r\nce-specversion: 1.0\r\nce-source: t\r\nce-type: t\r\n", "{}", 400,
          "ce-id is not UTF-8" },
        { PATH, BINARY "Content-Type: text/xml\r\n", "<a/>", 415, "text/xml" },
        { PATH, BINARY, "", 422, "the body is empty" },
        { PATH, "Content-Type: " CE "\r\n", "{" ATTRS "}", 400, "CloudEvent 0 has no data" },
        { PATH, "Content-Type: " CE "\r\n", "{" ATTRS ",\"data\":1,\"data_base64\":\"\"}", 400,
          "has its data twice" },
        { PATH, "Content-Type: " CE "\r\n", "{" ATTRS ",\"data_base64\":\"?\"}", 400,
          "not base64" },
        { PATH, "Content-Type: " CE "\r\n", "{" ATTRS ",\"id\":7,\"data\":1}", 400,
          "has a id that is not a text" },
        { PATH, "Content-Type: " CE "\r\n",
          "{" ATTRS ",\"datacontenttype\":\"text/csv\",\"data\":\"a,b\"}", 415, "text/csv" },
        { PATH, "Content-Type: " CE "\r\n", "[{" ATTRS ",\"data\":1}]", 422, BATCH },
        { PATH, "Content-Type: " BATCH "\r\n", "{" ATTRS ",\"data\":1}", 422, CE },
        { PATH, "Content-Type: " BATCH "\r\n", "[{" ATTRS ",\"data\":1},{\"data\":1}]", 400,
          "CloudEvent 1 has no specversion" },
        { PATH, "Content-Type: " BATCH "\r\n", "[]", 422, "no event" },
        { PATH, "Content-Type: " CE "\r\n", "{" ATTRS ",\"data\":1", 400, "at byte" },
        { PATH, "Content-Type: application/cloudevents+avro\r\n", "x", 415, CE },
        { PATH "?id=a", BINARY, "{}", 400, "leave ?id=a away" },
        { PATH "?id=a", "", "[{\"a\":1},{\"b\":1}]", 400, "event 1 has no field a" },
        { PATH "?id=a", "", "{\"a\":null}", 400, "event 0 has no field a" },
        { PATH "?id=a", "", "{\"a\":\"\"}", 400, "event 0 has no field a" },
        { PATH, "Content-Type: text/csv\r\n", "a,b", 415, "application/x-ndjson" },
        { PATH, "", "{\"records\":[{\"value\":{}}]}", 422, "/topics/<tenant>.<kind>" },
        { PATH, "", "{\"StreamName\":\"s\",\"Data\":{}}", 422, "/streams/" },
        { PATH, "", "{" ATTRS ",\"data\":{}}", 422, CE },
        { "/v1/events/a1b2c3", "", "{}", 404, "does not name a tenant and a kind" },
        { "/v1/events/a1b2c3/pin/7", "", "{}", 404, "goes on too far" },
    };
    struct gate gate;
    struct stored stored;
    open_three(&gate);
    for (size_t i = 0; i < MR_COUNT(forms); i++)
        if (post(&gate, forms[i].path, forms[i].headers, forms[i].body, forms[i].text) !=
            forms[i].status)
            fail_msg("%s: not %d", forms[i].text, forms[i].status);
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, 0);
    stored_fini(&stored);
    gate_close(&gate);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cloudevents_of_all_modes_are_the_same_event),
        cmocka_unit_test(a_name_is_the_event_wherever_it_stands),
        cmocka_unit_test(what_cannot_be_taken_is_refused_with_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
