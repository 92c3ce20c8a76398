/*
 * Who is let in, as whom, to what, and in whose words the others are refused.
 */
#include "guard_fixture.h"

#include "clock/clock.h"

#include <stdio.h>

#define PASSWORD "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW" /* secret */

#define GRANT(tenants, kinds, rights)                                                              \
    "{'tenants':['" tenants "'],'kinds':['" kinds "'],'rights':['" rights "']}"
#define INGEST                                                                                     \
    "{'name':'ingest','api_keys':['" KEY_HASH "'],'basic':{'user':'ann','password':'" PASSWORD     \
    "'},'grants':[" GRANT("a1b2c3", "pin", "produce") "]}"
#define READER                                                                                     \
    "{'name':'reader','api_keys':['" KEY2_HASH "'],'grants':[" GRANT("*", "*", "consume") "]}"
#define TWO "{'principals':[" INGEST "," READER "]}"

/* user:password in base64 */
#define ANN_SECRET "Authorization: Basic YW5uOnNlY3JldA==\r\n"
#define ANN_WRONG  "Authorization: Basic YW5uOndyb25n\r\n"
#define BOB_SECRET "Authorization: Basic Ym9iOnNlY3JldA==\r\n"

static void
a_key_opens_what_its_principal_is_granted(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    struct stored stored;
    guarded_open(&guarded, TWO);
    assert_int_equal(guarded_post(&guarded, TOPIC, KEY, NULL), 200);
    stored_read(&guarded.gate, TOPIC, &stored);
    assert_int_equal(stored.count, 1);
    assert_string_equal(stored.provenance[0]->principal, "ingest");
    stored_fini(&stored);
    assert_int_equal(guarded_count(&guarded, "api-key", "admitted"), 1);
    guarded_close(&guarded);
}

static void
what_is_not_granted_is_403(void **state)
{
    (void)state;
    static const char *const topics[] = { "a1b2c3.geo", "other.pin", "a1b2c3", "__consumer" };
    struct guarded guarded = { 0 };
    struct answer answer;
    guarded_open(&guarded, TWO);
    for (size_t i = 0; i < MR_COUNT(topics); i++) {
        assert_int_equal(guarded_post(&guarded, topics[i], KEY, &answer), 403);
        assert_non_null(strstr(answer.body, "\"error_code\":40301"));
        answer_fini(&answer);
    }
    assert_int_equal(guarded_post(&guarded, TOPIC, KEY2, NULL), 403);
    gate_call(&guarded.gate, "PUT", "/streams/streaming-other-pin/record", KEY,
              MR_SLICE("{\"Data\":{},\"PartitionKey\":\"p\"}"), &answer);
    assert_non_null(strstr(answer.body, "AccessDeniedException"));
    answer_fini(&answer);
    guarded_close(&guarded);
}

static void
topics_of_no_pipeline_need_a_grant_for_all(void **state)
{
    (void)state;
    static const char *const topics[] = { "a1b2c3.geo", "orders", "__consumer_offsets" };
    struct guarded guarded = { 0 };
    struct mr_err err = { 0 };
    guarded_open(&guarded, "{'anonymous':{'grants':[" GRANT("*", "pin", "produce") "," GRANT(
                               "a1b2c3", "*", "consume") "]}}");
    for (size_t i = 0; i < MR_COUNT(topics); i++)
        assert_int_equal(guarded_post(&guarded, topics[i], "", NULL), 403);
    assert_int_equal(guarded_post(&guarded, TOPIC, "", NULL), 200);
    assert_int_equal(guarded_replace(&guarded,
                                     "{'anonymous':{'grants':[" GRANT("*", "*", "produce") "]}}",
                                     &err),
                     0);
    for (size_t i = 0; i < MR_COUNT(topics); i++)
        assert_int_equal(guarded_post(&guarded, topics[i], "", NULL), 404);
    guarded_close(&guarded);
}

static void
who_shows_nothing_is_told_what_to_show(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    struct answer answer;
    guarded_open(&guarded, TWO);
    assert_int_equal(guarded_post(&guarded, TOPIC, "", &answer), 401);
    assert_non_null(strstr(answer.body, "\"error_code\":40101"));
    assert_non_null(strstr(answer.text.data, "WWW-Authenticate: Basic realm=\"millrace\""));
    assert_non_null(strstr(answer.text.data, "WWW-Authenticate: ApiKey "));
    answer_fini(&answer);
    gate_call(&guarded.gate, "GET", "/", "", MR_SLICE(""), &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    gate_call(&guarded.gate, "GET", "/nothing", "", MR_SLICE(""), &answer);
    assert_int_equal(answer.status, 401);
    answer_fini(&answer);
    guarded_close(&guarded);
}

static void
a_wrong_key_is_refused_in_the_words_of_the_dialect(void **state)
{
    (void)state;
    static const char wrong[] = "x-api-key: nonsense\r\n";
    struct guarded guarded = { 0 };
    struct answer answer;
    guarded_open(&guarded, TWO);
    assert_int_equal(guarded_post(&guarded, TOPIC, wrong, &answer), 401);
    assert_non_null(strstr(answer.body, "\"error_code\":40101"));
    assert_null(strstr(answer.text.data, "nonsense"));
    answer_fini(&answer);
    gate_call(&guarded.gate, "PUT", "/prod/streams/s/record", wrong, MR_SLICE("{}"), &answer);
    assert_int_equal(answer.status, 403);
    assert_string_equal(answer.body, "{\"message\":\"Forbidden\"}");
    answer_fini(&answer);
    gate_call(&guarded.gate, "POST", "/",
              "X-Amz-Target: Kinesis_20131202.ListStreams\r\n"
              "Content-Type: application/x-amz-json-1.1\r\n",
              MR_SLICE("{}"), &answer);
    assert_int_equal(answer.status, 400);
    assert_non_null(strstr(answer.body, "{\"__type\":\"MissingAuthenticationTokenException\""));
    assert_non_null(strstr(answer.text.data, "x-amzn-ErrorType: MissingAuthenticationToken"));
    answer_fini(&answer);
    gate_call(&guarded.gate, "POST", "/",
              "X-Amz-Target: Kinesis_20131202.ListStreams\r\n"
              "Content-Type: application/x-amz-cbor-1.1\r\n",
              MR_SLICE("\xa0"), &answer);
    assert_int_equal(answer.status, 400);
    assert_non_null(strstr(answer.text.data, "Content-Type: application/x-amz-cbor-1.1\r\n"));
    assert_memory_equal(answer.body + 1, "\x66__type", 7);
    answer_fini(&answer);
    guarded_close(&guarded);
}

static void
a_wrong_key_is_never_taken_for_nobody(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    guarded_open(&guarded, "{'principals':[" INGEST
                           "],'anonymous':{'grants':[" GRANT("*", "*", "produce") "]}}");
    assert_int_equal(guarded_post(&guarded, TOPIC, "", NULL), 200);
    assert_int_equal(guarded_post(&guarded, TOPIC, KEY, NULL), 200);
    assert_int_equal(guarded_post(&guarded, TOPIC, "x-api-key: nonsense\r\n", NULL), 401);
    assert_int_equal(guarded_post(&guarded, TOPIC, "x-api-key:\r\n", NULL), 401);
    assert_int_equal(guarded_post(&guarded, TOPIC, "Authorization: Magic x\r\n", NULL), 401);
    assert_int_equal(guarded_post(&guarded, TOPIC, "Authorization:\r\n", NULL), 401);
    assert_int_equal(guarded_post(&guarded, TOPIC, ANN_WRONG, NULL), 401);
    guarded_close(&guarded);
}

static void
a_password_is_checked_and_then_known(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    guarded_open(&guarded, TWO);
    for (int i = 0; i < 3; i++)
        assert_int_equal(guarded_post(&guarded, TOPIC, ANN_SECRET, NULL), 200);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(guarded_post(&guarded, TOPIC, ANN_WRONG, NULL), 401);
        assert_int_equal(guarded_post(&guarded, TOPIC, BOB_SECRET, NULL), 401);
    }
    assert_int_equal(guarded_count(&guarded, "basic", "admitted"), 3);
    assert_int_equal(guarded_count(&guarded, "basic", "wrong"), 6);
    guarded_close(&guarded);
}

static void
a_password_without_a_form_is_wrong(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "Authorization: Basic\r\n",
        "Authorization: Basic \r\n",
        "Authorization: Basic !!!!\r\n",
        "Authorization: Basic YW5u\r\n" /* no colon */,
        "Authorization: Basic YW4AOng=\r\n" /* NUL */,
        ANN_SECRET ANN_SECRET,
        ANN_SECRET "Authorization: Bearer x\r\n",
    };
    char huge[4096];
    struct guarded guarded = { 0 };
    guarded_open(&guarded, TWO);
    for (size_t i = 0; i < MR_COUNT(forms); i++)
        if (guarded_post(&guarded, TOPIC, forms[i], NULL) != 401)
            fail_msg("%s was let in", forms[i]);
    (void)snprintf(huge, sizeof(huge), "Authorization: Basic %04000d\r\n", 0);
    assert_int_equal(guarded_post(&guarded, TOPIC, huge, NULL), 401);
    guarded_close(&guarded);
}

static void
requests_with_one_password_wait_for_one_check(void **state)
{
    (void)state;
    enum { REQUESTS = 40 }; /* more than passwords that may wait */
    int fds[REQUESTS];
    struct answer answer;
    struct guarded guarded = { 0 };
    guarded_open(&guarded, TWO);
    for (int i = 0; i < REQUESTS; i++)
        fds[i] = gate_send(&guarded.gate, "POST", "/topics/" TOPIC, JSON ANN_SECRET, ONE);
    for (int i = 0; i < REQUESTS; i++) {
        gate_receive(&guarded.gate, fds[i], &answer);
        assert_int_equal(answer.status, 200);
        answer_fini(&answer);
    }
    guarded_close(&guarded);
}

static void
two_credentials_must_be_of_one_principal(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    struct answer answer;
    guarded_open(&guarded, TWO);
    assert_int_equal(guarded_post(&guarded, TOPIC, KEY ANN_SECRET, NULL), 200);
    assert_int_equal(guarded_post(&guarded, TOPIC, KEY2 ANN_SECRET, &answer), 401);
    assert_non_null(strstr(answer.body, "two principals"));
    answer_fini(&answer);
    assert_int_equal(guarded_post(&guarded, TOPIC, KEY ANN_WRONG, NULL), 401);
    assert_int_equal(guarded_post(&guarded, TOPIC, KEY KEY, NULL), 401);
    guarded_close(&guarded);
}

static bool
has_new_policy(void *self)
{
    return guarded_says(self, "\"principals\":1");
}

static bool
has_broken_policy(void *self)
{
    return guarded_says(self, "line 1");
}

static void
a_changed_policy_is_read_without_being_told(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    guarded_open(&guarded, TWO);
    assert_int_equal(guarded_post(&guarded, TOPIC, KEY, NULL), 200);
    guarded_file(&guarded, "policy.json", "{'principals':[" READER "]}", 0600);
    gate_await(&guarded.gate, has_new_policy, &guarded);
    assert_int_equal(guarded_post(&guarded, TOPIC, KEY, NULL), 401);
    guarded_close(&guarded);
}

static void
a_broken_policy_leaves_the_old_one_in_force(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    struct mr_err err = { 0 };
    guarded_open(&guarded, TWO);
    guarded_file(&guarded, "policy.json", "{'principals'", 0600);
    gate_await(&guarded.gate, has_broken_policy, &guarded);
    struct mr_cell *broken =
        mr_metrics_cell(guarded.gate.metrics, "millrace_gateway_policy_broken", NULL);
    assert_int_equal(broken->value, 1);
    assert_int_equal(guarded_post(&guarded, TOPIC, KEY, NULL), 200);
    assert_int_equal(guarded_replace(&guarded, "[]", &err), MR_E(INVALID));
    err = (struct mr_err){ 0 };
    assert_int_equal(guarded_replace(&guarded, TWO, &err), 0);
    assert_int_equal(broken->value, 0);
    assert_true(guarded_says(&guarded, "\"broken\":null"));
    guarded_close(&guarded);
}

static void
a_new_policy_forgets_passwords_and_rights(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    struct mr_err err = { 0 };
    guarded_open(&guarded, TWO);
    assert_int_equal(guarded_post(&guarded, TOPIC, ANN_SECRET, NULL), 200);
    assert_int_equal(guarded_replace(&guarded, "{'principals':[" READER "]}", &err), 0);
    assert_int_equal(guarded_post(&guarded, TOPIC, ANN_SECRET, NULL), 401);
    guarded_close(&guarded);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_opens_what_its_principal_is_granted),
        cmocka_unit_test(what_is_not_granted_is_403),
        cmocka_unit_test(topics_of_no_pipeline_need_a_grant_for_all),
        cmocka_unit_test(who_shows_nothing_is_told_what_to_show),
        cmocka_unit_test(a_wrong_key_is_refused_in_the_words_of_the_dialect),
        cmocka_unit_test(a_wrong_key_is_never_taken_for_nobody),
        cmocka_unit_test(a_password_is_checked_and_then_known),
        cmocka_unit_test(a_password_without_a_form_is_wrong),
        cmocka_unit_test(requests_with_one_password_wait_for_one_check),
        cmocka_unit_test(two_credentials_must_be_of_one_principal),
        cmocka_unit_test(a_changed_policy_is_read_without_being_told),
        cmocka_unit_test(a_broken_policy_leaves_the_old_one_in_force),
        cmocka_unit_test(a_new_policy_forgets_passwords_and_rights),
    };
    int failed = cmocka_run_group_tests_name("guard", tests, NULL, NULL);
    failed += policy_tests() + token_tests() + signed_tests();
    return failed + rate_tests() + certificate_tests();
}
