/*
 * How much one may ask for, and pages of other origins.
 */
#include "guard_fixture.h"

#include "clock/clock.h"
#include "gateway/rates.h"

#define GRANTS "'grants':[{'tenants':['*'],'kinds':['*'],'rights':['produce']}]"
#define LIMITED(limits)                                                                            \
    "{'principals':[{'name':'p','api_keys':['" KEY_HASH "']," GRANTS ",'limits':{" limits          \
    "}},{'name':'q','api_keys':['" KEY2_HASH "']," GRANTS "}],'anonymous':{" GRANTS                \
    ",'limits':{'requests_per_s':1,'burst_s':1}},'cors':{'origins':['https://app.example']}}"

static void
a_bucket_holds_what_flows_in_a_burst(void **state)
{
    (void)state;
    static const int64_t second_ns = 1000000000;
    struct rate rate = { 0 };
    struct limits limits = { .requests_per_s = 10, .burst_s = 2 };
    int64_t now_ns = 5 * second_ns;
    for (int i = 0; i < 20; i++)
        assert_int_equal(rate_take(&rate, &limits, 100, now_ns), 0);
    assert_int_equal(rate_take(&rate, &limits, 100, now_ns), 1);
    assert_int_equal(rate_take(&rate, &limits, 100, now_ns + second_ns / 10 - 1), 1);
    assert_int_equal(rate_take(&rate, &limits, 100, now_ns + second_ns / 10), 0);
    assert_int_equal(rate_take(&rate, &limits, 100, now_ns + second_ns / 10), 1);
    for (int i = 0; i < 20; i++) /* full again, and no more than full */
        assert_int_equal(rate_take(&rate, &limits, 100, now_ns + 100 * second_ns), 0);
    assert_int_equal(rate_take(&rate, &limits, 100, now_ns + 100 * second_ns), 1);
}

static void
a_large_body_goes_in_and_is_paid_for(void **state)
{
    (void)state;
    static const int64_t second_ns = 1000000000;
    struct rate rate = { 0 };
    struct limits limits = { .bytes_per_s = 1000, .burst_s = 1 };
    assert_int_equal(rate_take(&rate, &limits, 5000, second_ns), 0);
    assert_int_equal(rate_take(&rate, &limits, 1, second_ns), 5);
    assert_int_equal(rate_take(&rate, &limits, 0, second_ns), 0); /* a question costs no bytes */
    assert_int_equal(rate_take(&rate, &limits, 1, 5 * second_ns), 1);
    assert_int_equal(rate_take(&rate, &limits, 1, 5 * second_ns + 1000000), 0);
    rate = (struct rate){ 0 };
    assert_int_equal(rate_take(&rate, &limits, SIZE_MAX / 2, second_ns), 0);
    assert_true(rate_take(&rate, &limits, 1, second_ns) > 0);
}

static void
beyond_the_rate_is_429_in_the_words_of_the_dialect(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    struct answer answer;
    mr_clock_hold(1000, 0);
    guarded_open(&guarded, LIMITED("'requests_per_s':1,'burst_s':3"));
    for (int i = 0; i < 3; i++)
        assert_int_equal(guarded_post(&guarded, TOPIC, KEY, NULL), 200);
    assert_int_equal(guarded_post(&guarded, TOPIC, KEY, &answer), 429);
    assert_non_null(strstr(answer.body, "\"error_code\":429"));
    assert_non_null(strstr(answer.text.data, "Retry-After: 1\r\n"));
    answer_fini(&answer);
    gate_call(&guarded.gate, "GET", "/streams", KEY, MR_SLICE(""), &answer);
    assert_int_equal(answer.status, 429);
    assert_string_equal(answer.body, "{\"message\":\"Too Many Requests\"}");
    answer_fini(&answer);
    gate_call(&guarded.gate, "POST", "/", KEY "X-Amz-Target: Kinesis_20131202.ListStreams\r\n",
              MR_SLICE("{}"), &answer);
    assert_int_equal(answer.status, 400);
    assert_non_null(strstr(answer.body, "ProvisionedThroughputExceededException"));
    answer_fini(&answer);
    for (int i = 0; i < 10; i++) /* another one's bucket is another */
        assert_int_equal(guarded_post(&guarded, TOPIC, KEY2, NULL), 200);
    mr_clock_crank(1000);
    assert_int_equal(guarded_post(&guarded, TOPIC, KEY, NULL), 200);
    assert_int_equal(guarded_post(&guarded, TOPIC, KEY, NULL), 429);
    assert_int_equal(guarded_count(&guarded, "api-key", "rate"), 4);
    guarded_close(&guarded);
    mr_clock_release();
}

static void
who_shows_nothing_is_limited_by_address(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    static struct rates_peers peers;
    mr_clock_hold(1000, 0);
    guarded_open(&guarded, LIMITED("'bytes_per_s':1000000"));
    assert_int_equal(guarded_post(&guarded, TOPIC, "", NULL), 200);
    assert_int_equal(guarded_post(&guarded, TOPIC, "", NULL), 429);
    guarded_close(&guarded);
    mr_clock_release();
    assert_ptr_equal(rates_of_peer(&peers, "10.0.0.1:1"), rates_of_peer(&peers, "10.0.0.1:65535"));
    size_t others = 0;
    for (int i = 2; i < 12; i++) {
        MR_CLEANUP(mr_freep) char *peer = mr_printf("10.0.0.%d:1", i);
        others += rates_of_peer(&peers, peer) != rates_of_peer(&peers, "10.0.0.1:1");
    }
    assert_true(others >= 8); /* two may share one by chance, hardly three */
}

static void
a_new_policy_does_not_fill_the_bucket(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    struct mr_err err = { 0 };
    mr_clock_hold(1000, 0);
    guarded_open(&guarded, LIMITED("'requests_per_s':1,'burst_s':1"));
    assert_int_equal(guarded_post(&guarded, TOPIC, KEY, NULL), 200);
    assert_int_equal(guarded_replace(&guarded, LIMITED("'requests_per_s':1,'burst_s':1"), &err), 0);
    assert_int_equal(guarded_post(&guarded, TOPIC, KEY, NULL), 429);
    guarded_close(&guarded);
    mr_clock_release();
}

/* ---- CORS ---- */

#define ORIGIN "Origin: https://app.example\r\n"
#define ASK    "Access-Control-Request-Method: POST\r\n"

static void
a_page_of_a_known_origin_may_ask(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    struct answer answer;
    guarded_open(&guarded, LIMITED("'requests_per_s':1000"));
    gate_call(&guarded.gate, "OPTIONS", "/topics/" TOPIC,
              ORIGIN ASK "Access-Control-Request-Headers: authorization,x-api-key,ce-id\r\n",
              MR_SLICE(""), &answer);
    assert_int_equal(answer.status, 204);
    assert_non_null(
        strstr(answer.text.data, "Access-Control-Allow-Origin: https://app.example\r\n"));
    assert_non_null(strstr(answer.text.data, "Access-Control-Allow-Methods: GET, HEAD, POST"));
    assert_non_null(strstr(answer.text.data,
                           "Access-Control-Allow-Headers: authorization,x-api-key,ce-id\r\n"));
    assert_non_null(strstr(answer.text.data, "Access-Control-Max-Age: 600\r\n"));
    assert_non_null(strstr(answer.text.data, "Vary: Origin\r\n"));
    answer_fini(&answer);
    assert_int_equal(guarded_post(&guarded, TOPIC, KEY ORIGIN, &answer), 200);
    assert_non_null(
        strstr(answer.text.data, "Access-Control-Allow-Origin: https://app.example\r\n"));
    assert_non_null(strstr(answer.text.data, "Access-Control-Expose-Headers: "));
    answer_fini(&answer);
    /* A refusal can be read by the page too. */
    assert_int_equal(guarded_post(&guarded, TOPIC, "x-api-key: no\r\n" ORIGIN, &answer), 401);
    assert_non_null(strstr(answer.text.data, "Access-Control-Allow-Origin: "));
    answer_fini(&answer);
    guarded_close(&guarded);
}

static void
a_page_of_another_origin_is_told_nothing(void **state)
{
    (void)state;
    static const char *const origins[] = {
        "Origin: https://evil.example\r\n",
        "Origin: https://app.example.evil\r\n",
        "Origin: http://app.example\r\n",
        "Origin: null\r\n",
        ORIGIN ORIGIN,
        "",
    };
    struct guarded guarded = { 0 };
    struct answer answer;
    guarded_open(&guarded, LIMITED("'requests_per_s':1000"));
    for (size_t i = 0; i < MR_COUNT(origins); i++) {
        MR_CLEANUP(mr_freep) char *lines = mr_printf(KEY "%s" ASK, origins[i]);
        assert_int_equal(guarded_post(&guarded, TOPIC, lines, &answer), 200);
        assert_null(strstr(answer.text.data, "Access-Control-"));
        assert_non_null(strstr(answer.text.data, "Vary: Origin\r\n"));
        answer_fini(&answer);
        gate_call(&guarded.gate, "OPTIONS", "/topics/" TOPIC, lines, MR_SLICE(""), &answer);
        assert_true(answer.status >= 400);
        assert_null(strstr(answer.text.data, "Access-Control-"));
        answer_fini(&answer);
    }
    guarded_close(&guarded);
}

static void
nothing_but_names_is_echoed(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    struct answer answer;
    guarded_open(&guarded, LIMITED("'requests_per_s':1000"));
    gate_call(&guarded.gate, "OPTIONS", "/topics/" TOPIC,
              ORIGIN ASK "Access-Control-Request-Headers: a:b\r\n", MR_SLICE(""), &answer);
    assert_int_equal(answer.status, 204);
    assert_null(strstr(answer.text.data, "Access-Control-Allow-Headers"));
    answer_fini(&answer);
    guarded_close(&guarded);
}

static void
all_origins_are_one_star(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    struct answer answer;
    guarded_open(&guarded, "{'anonymous':{" GRANTS "},'cors':{'origins':['*'],'max_age_s':60}}");
    assert_int_equal(guarded_post(&guarded, TOPIC, "Origin: https://any\r\n", &answer), 200);
    assert_non_null(strstr(answer.text.data, "Access-Control-Allow-Origin: *\r\n"));
    assert_null(strstr(answer.text.data, "Vary"));
    answer_fini(&answer);
    gate_call(&guarded.gate, "GET", "/", "Origin: https://any\r\n", MR_SLICE(""), &answer);
    assert_non_null(strstr(answer.text.data, "Access-Control-Allow-Origin: *\r\n"));
    answer_fini(&answer);
    guarded_close(&guarded);
}

static void
without_cors_there_is_not_a_word_of_it(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    struct answer answer;
    guarded_open(&guarded, "{'anonymous':{" GRANTS "}}");
    assert_int_equal(guarded_post(&guarded, TOPIC, ORIGIN, &answer), 200);
    assert_null(strstr(answer.text.data, "Access-Control-"));
    assert_null(strstr(answer.text.data, "Vary"));
    answer_fini(&answer);
    gate_call(&guarded.gate, "OPTIONS", "/topics/" TOPIC, ORIGIN ASK, MR_SLICE(""), &answer);
    assert_int_equal(answer.status, 405);
    answer_fini(&answer);
    guarded_close(&guarded);
}

int
rate_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_holds_what_flows_in_a_burst),
        cmocka_unit_test(a_large_body_goes_in_and_is_paid_for),
        cmocka_unit_test(beyond_the_rate_is_429_in_the_words_of_the_dialect),
        cmocka_unit_test(who_shows_nothing_is_limited_by_address),
        cmocka_unit_test(a_new_policy_does_not_fill_the_bucket),
        cmocka_unit_test(a_page_of_a_known_origin_may_ask),
        cmocka_unit_test(a_page_of_another_origin_is_told_nothing),
        cmocka_unit_test(nothing_but_names_is_echoed),
        cmocka_unit_test(all_origins_are_one_star),
        cmocka_unit_test(without_cors_there_is_not_a_word_of_it),
    };
    return cmocka_run_group_tests_name("rates", tests, NULL, NULL);
}
