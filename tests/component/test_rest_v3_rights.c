/*
 * What a principal may do with v3: see, post, administrate, each only as far as it is granted.
 */
#include "guard_fixture.h"

#define C "/v3/clusters/memory"
#define POLICY                                                                                     \
    "{'principals':[{'name':'keeper','api_keys':['" KEY_HASH                                       \
    "'],'grants':[{'tenants':['a1b2c3'],'"                                                         \
    "kinds':['*'],'rights':['produce','admin']}]},{'name':'reader','api_keys':['" KEY2_HASH        \
    "'],'grants':[{'tenants':['other'],'kinds':['pin'],'rights':['consume']}]}]}"
#define VALUE "{\"value\":{\"type\":\"JSON\",\"data\":1}}"

static const struct {
    const char *key, *method, *path, *body;
    int status;
    const char *words;
} exchanges[] = {
    { "", "GET", "/v3/clusters", "", 401, "{\"error_code\":40101," },
    { KEY, "GET", "/v3/clusters", "", 200, "\"cluster_id\":\"memory\"" },
    { KEY2, "GET", C "/brokers", "", 200, "\"broker_id\":1" },
    { KEY, "GET", C "/topics", "", 200, "\"topic_name\":\"" TOPIC "\"" },
    { KEY2, "GET", C "/topics", "", 200, "\"data\":[]}" },
    { KEY, "GET", C "/topics/" TOPIC, "", 200, "\"partitions_count\":1" },
    { KEY2, "GET", C "/topics/" TOPIC, "", 403,
      "{\"error_code\":40301,\"message\":\"reader may not see topic " TOPIC "\"}" },
    { KEY2, "GET", C "/topics/" TOPIC "/configs", "", 403, "\"error_code\":40301" },
    { KEY2, "GET", C "/topics/" TOPIC "/partitions/0/replicas", "", 403, "\"error_code\":40301" },
    { KEY2, "GET", C "/topics/other.pin", "", 404, "\"error_code\":40403" },
    { KEY2, "POST", C "/topics", "{\"topic_name\":\"other.pin\"}", 403,
      "reader may not make topic other.pin" },
    { KEY, "POST", C "/topics", "{\"topic_name\":\"other.pin\"}", 403, "keeper may not make" },
    { KEY, "POST", C "/topics", "{\"topic_name\":\"a1b2c3.geo\"}", 201, "\"topic_name\":" },
    { KEY2, "POST", C "/topics/" TOPIC "/records", VALUE, 403, "\"error_code\":40301" },
    { KEY2, "POST", C "/topics/" TOPIC "/records:batch",
      "{\"entries\":[{\"id\":\"1\",\"value\":null}]}", 403, "\"error_code\":40301" },
    { KEY, "POST", C "/topics/" TOPIC "/records", VALUE, 200, "{\"error_code\":200," },
    { KEY2, "DELETE", C "/topics/" TOPIC, "", 403, "reader may not delete topic " TOPIC },
    { KEY, "DELETE", C "/topics/" TOPIC, "", 204, "" },
};

static void
each_right_opens_what_it_names(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    guarded_open(&guarded, POLICY);
    for (size_t i = 0; i < MR_COUNT(exchanges); i++) {
        struct answer answer;
        gate_call(&guarded.gate, exchanges[i].method, exchanges[i].path, exchanges[i].key,
                  mr_slice_text(exchanges[i].body), &answer);
        if (answer.status != exchanges[i].status || strstr(answer.body, exchanges[i].words) == NULL)
            fail_msg("%s %s: %s", exchanges[i].method, exchanges[i].path, answer.text.data);
        if (answer.status != 204)
            assert_non_null(strstr(answer.text.data, "Content-Type: application/json\r\n"));
        answer_fini(&answer);
    }
    guarded_close(&guarded);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_right_opens_what_it_names) };
    return cmocka_run_group_tests_name("rights in rest v3", tests, NULL, NULL);
}
