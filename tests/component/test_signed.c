/*
 * Signed requests, and what can be done to one on its way. The canonical form and the signature are
 * held against AWS's examples in unit.sigv4; here requests are signed as SDKs do.
 */
#include "guard_fixture.h"

#include "clock/clock.h"
#include "sigv4/sigv4.h"

#include <stdio.h>
#include <stdlib.h>

#define ID     "AKIDEXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define POLICY                                                                                     \
    "{'principals':[{'name':'sdk','aws':[{'access_key_id':'" ID "','secret':'" SECRET "'}],"       \
    "'api_keys':['" KEY_HASH "'],'grants':[{'tenants':['*'],'kinds':['*'],"                        \
    "'rights':['produce','consume']}]}],'anonymous':{'grants':[]}}"

enum { NOW_S = 1800000000, HEADERS_BYTES = 4096 };

/* A request as it is signed, and as it is sent. */
struct trip {
    const char *method, *target;
    const char *path, *query; /* as they are signed */
    struct mr_slice body;
    const char *service, *secret, *payload;
    int64_t skew_s;
    const char *extra;        /* header lines that are sent and not signed */
    const char *signed_extra; /* value of a signed header x-extra */
    bool says_hash;
    const char *sent_target; /* when another one is sent */
    struct mr_slice sent_body;
};

static const struct trip plain = {
    .method = "POST",
    .target = "/topics/" TOPIC,
    .path = "/topics/" TOPIC,
    .query = "",
    .service = "kinesis",
    .secret = SECRET,
};

static void
sign(const struct trip *trip, char ret_lines[HEADERS_BYTES])
{
    char hash[MR_SHA256_HEX + 1];
    struct mr_buf authorization;
    MR_CLEANUP(mr_sigv4_fini)
    struct mr_sigv4_request request = { .method = trip->method,
                                        .path = trip->path,
                                        .query = trip->query,
                                        .region = "eu-west-1",
                                        .service = trip->service };
    mr_sigv4_sha256(trip->body, hash);
    request.payload = trip->payload != NULL ? trip->payload : hash;
    mr_sigv4_time(mr_wall_us() + trip->skew_s * 1000000, request.time);
    mr_sigv4_header(&request, "host", "x");
    mr_sigv4_header(&request, "x-amz-date", request.time);
    if (trip->says_hash)
        mr_sigv4_header(&request, "x-amz-content-sha256", request.payload);
    if (trip->signed_extra != NULL)
        mr_sigv4_header(&request, "x-extra", trip->signed_extra);
    mr_buf_init(&authorization, HEADERS_BYTES);
    mr_sigv4_sign(&request, ID, trip->secret, &authorization);
    int size = snprintf(ret_lines, HEADERS_BYTES, "Authorization: %s\r\nx-amz-date: %s\r\n%s",
                        authorization.data, request.time, trip->extra != NULL ? trip->extra : "");
    if (trip->says_hash)
        size += snprintf(ret_lines + size, HEADERS_BYTES - (size_t)size,
                         "x-amz-content-sha256: %s\r\n", request.payload);
    if (trip->signed_extra != NULL)
        (void)snprintf(ret_lines + size, HEADERS_BYTES - (size_t)size, "x-extra: %s\r\n",
                       trip->signed_extra);
    mr_buf_fini(&authorization);
}

static int
go(struct guarded *guarded, const struct trip *trip, struct answer *ret)
{
    char lines[HEADERS_BYTES + 200], own[HEADERS_BYTES];
    struct answer answer;
    sign(trip, own);
    (void)snprintf(lines, sizeof(lines), JSON "%s", own);
    gate_call(&guarded->gate, trip->method,
              trip->sent_target != NULL ? trip->sent_target : trip->target, lines,
              trip->sent_body.data != NULL ? trip->sent_body : trip->body, &answer);
    int status = answer.status;
    if (ret != NULL)
        *ret = answer;
    else
        answer_fini(&answer);
    return status;
}

static void
open_signed(struct guarded *guarded)
{
    *guarded = (struct guarded){ 0 };
    mr_clock_hold(1000, (int64_t)NOW_S * 1000000);
    guarded_open(guarded, POLICY);
}

static void
close_signed(struct guarded *guarded)
{
    guarded_close(guarded);
    mr_clock_release();
}

static void
a_signed_request_is_taken(void **state)
{
    (void)state;
    struct guarded guarded;
    struct stored stored;
    struct trip trip = plain;
    trip.body = ONE;
    open_signed(&guarded);
    assert_int_equal(go(&guarded, &trip, NULL), 200);
    trip.says_hash = true;
    trip.service = "execute-api";
    trip.signed_extra = "a   b";
    assert_int_equal(go(&guarded, &trip, NULL), 200);
    stored_read(&guarded.gate, TOPIC, &stored);
    assert_int_equal(stored.count, 2);
    assert_string_equal(stored.provenance[0]->principal, "sdk");
    stored_fini(&stored);
    assert_int_equal(guarded_count(&guarded, "sigv4", "admitted"), 2);
    close_signed(&guarded);
}

static void
paths_and_queries_are_signed_as_aws_spells_them(void **state)
{
    (void)state;
    static const struct {
        const char *target, *path, *query;
    } spellings[] = {
        { "/streams", "/streams", "" },
        { "/prod//streams", "/prod/streams", "" },
        { "/streams/a%20b~c", "/streams/a%2520b~c", "" },
        { "/streams/a%c3%bc", "/streams/a%25c3%25bc", "" },
        { "/streams?Limit=3&a=2&a=1&B", "/streams", "B=&Limit=3&a=1&a=2" },
        { "/streams?x=a%2fb&y=a/b&z=1+2", "/streams", "x=a%2Fb&y=a%2Fb&z=1%2B2" },
        { "/streams?a%2dz=1&a=2", "/streams", "a=2&a-z=1" },
        { "http://x/streams?b", "/streams", "b=" },
    };
    struct guarded guarded;
    open_signed(&guarded);
    for (size_t i = 0; i < MR_COUNT(spellings); i++) {
        struct trip trip = plain;
        struct answer answer;
        trip.method = "GET";
        trip.target = spellings[i].target;
        trip.path = spellings[i].path;
        trip.query = spellings[i].query;
        (void)go(&guarded, &trip, &answer);
        if (strstr(answer.body, "signature") != NULL)
            fail_msg("%s: %s", spellings[i].target, answer.body);
        answer_fini(&answer);
    }
    assert_int_equal(guarded_count(&guarded, "sigv4", "admitted"), (int)MR_COUNT(spellings));
    close_signed(&guarded);
}

static void
what_was_changed_on_the_way_is_refused(void **state)
{
    (void)state;
    struct trip trips[10];
    struct guarded guarded;
    for (size_t i = 0; i < MR_COUNT(trips); i++) {
        trips[i] = plain;
        trips[i].body = ONE;
    }
    trips[0].secret = SECRET "x";
    trips[1].sent_target = "/topics/a1b2c3.geo";
    trips[2].sent_target = "/topics/" TOPIC "?a=1";
    trips[3].sent_body = MR_SLICE("{\"records\":[{\"value\":{\"index\":2}}]}");
    trips[4].sent_body = trips[3].sent_body;
    trips[4].says_hash = true;
    trips[5].service = "s3";
    trips[6].extra = "X-Amz-Target: Kinesis_20131202.DeleteStream\r\n";
    trips[7].payload = "UNSIGNED-PAYLOAD"; /* without TLS */
    trips[7].says_hash = true;
    trips[8].payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    trips[8].says_hash = true;
    trips[9].extra = "X-Amz-Security-Token: t\r\n";
    open_signed(&guarded);
    for (size_t i = 0; i < MR_COUNT(trips); i++) {
        int status = go(&guarded, &trips[i], NULL);
        if (status != (i == 6 ? 400 : 401))
            fail_msg("trip %zu: %d", i, status);
    }
    assert_int_equal(guarded_count(&guarded, "sigv4", "admitted"), 0);
    close_signed(&guarded);
}

static void
a_signature_is_good_for_five_minutes(void **state)
{
    (void)state;
    static const struct {
        int64_t skew_s;
        int status;
    } skews[] = { { -300, 200 }, { -301, 401 }, { 300, 200 }, { 301, 401 }, { -86400, 401 } };
    struct guarded guarded;
    struct trip trip = plain;
    trip.body = ONE;
    open_signed(&guarded);
    for (size_t i = 0; i < MR_COUNT(skews); i++) {
        trip.skew_s = skews[i].skew_s;
        assert_int_equal(go(&guarded, &trip, NULL), skews[i].status);
    }
    close_signed(&guarded);
}

static void
the_key_that_is_kept_is_of_its_day_and_service(void **state)
{
    (void)state;
    static const char *const services[] = { "kinesis", "kinesis", "execute-api", "kinesis" };
    struct guarded guarded;
    struct trip trip = plain;
    trip.body = ONE;
    open_signed(&guarded);
    for (int day = 0; day < 2; day++) {
        for (size_t i = 0; i < MR_COUNT(services); i++) {
            trip.service = services[i];
            assert_int_equal(go(&guarded, &trip, NULL), 200);
        }
        mr_clock_crank(86400 * 1000);
    }
    trip.secret = SECRET "x";
    assert_int_equal(go(&guarded, &trip, NULL), 401);
    close_signed(&guarded);
}

#define SCOPE "AKIDEXAMPLE/20270115/eu-west-1/kinesis/aws4_request"
#define HEX   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define AWS   "Authorization: AWS4-HMAC-SHA256 "
#define DATE  "x-amz-date: 20270115T080000Z\r\n"

static const struct {
    const char *lines, *type;
} malformed[] = {
    { AWS "\r\n", "UnrecognizedClientException" /* no scheme that is known */ },
    { AWS "Credential=" SCOPE "\r\n", "IncompleteSignatureException" },
    { AWS "Credential=" SCOPE ", SignedHeaders=host;x-amz-date\r\n" DATE,
      "IncompleteSignatureException" },
    { AWS "Credential=" SCOPE ", SignedHeaders=host;x-amz-date, Signature=ab\r\n" DATE,
      "IncompleteSignatureException" },
    { AWS "Credential=" SCOPE ", Credential=" SCOPE ", Signature=" HEX "\r\n" DATE,
      "IncompleteSignatureException" },
    { AWS "Credential=AKIDEXAMPLE/20270115, SignedHeaders=host;x-amz-date, Signature=" HEX
          "\r\n" DATE,
      "IncompleteSignatureException" },
    { AWS "Credential=" SCOPE ", SignedHeaders=x-amz-date;x-amz-target, Signature=" HEX "\r\n" DATE,
      "IncompleteSignatureException" /* host is not signed */ },
    { AWS "Credential=" SCOPE ", SignedHeaders=host;x-amz-target, Signature=" HEX "\r\n" DATE,
      "IncompleteSignatureException" /* the date is not signed */ },
    { AWS "Credential=" SCOPE ", SignedHeaders=x-amz-date;host, Signature=" HEX "\r\n" DATE,
      "IncompleteSignatureException" /* not sorted */ },
    { AWS "Credential=" SCOPE ", SignedHeaders=host;none;x-amz-date, Signature=" HEX "\r\n" DATE,
      "IncompleteSignatureException" },
    { AWS "Credential=" SCOPE ", SignedHeaders=host;x-amz-date, Signature=" HEX "\r\n" DATE DATE,
      "IncompleteSignatureException" /* twice */ },
    { AWS "Credential=" SCOPE ", SignedHeaders=host;x-amz-date;x-amz-target, Signature=" HEX
          "\r\nx-amz-date: now\r\n",
      "InvalidSignatureException" },
    { AWS "Credential=" SCOPE ", SignedHeaders=host;x-amz-date;x-amz-target, Signature=" HEX
          "\r\nx-amz-date: 20270115T256161Z\r\n",
      "InvalidSignatureException" },
    { AWS "Credential=" SCOPE ", SignedHeaders=host;x-amz-date;x-amz-target, Signature=" HEX
          "\r\nx-amz-date: 20270114T080000Z\r\n",
      "InvalidSignatureException" /* another day than the scope */ },
    { AWS "Credential=NOBODY/20270115/eu-west-1/kinesis/aws4_request, SignedHeaders=host;"
          "x-amz-date;x-amz-target, Signature=" HEX "\r\n" DATE,
      "UnrecognizedClientException" },
    { AWS "Credential=" SCOPE ", SignedHeaders=host;x-amz-date;x-amz-target, Signature=" HEX
          "\r\n" DATE,
      "InvalidSignatureException" },
};

static void
what_is_malformed_is_named_as_kinesis_does(void **state)
{
    (void)state;
    struct guarded guarded;
    struct answer answer;
    char lines[HEADERS_BYTES];
    open_signed(&guarded); /* 2027-01-15T08:00:00Z */
    for (size_t i = 0; i < MR_COUNT(malformed); i++) {
        (void)snprintf(lines, sizeof(lines), "%sX-Amz-Target: Kinesis_20131202.ListStreams\r\n",
                       malformed[i].lines);
        gate_call(&guarded.gate, "POST", "/", lines, MR_SLICE("{}"), &answer);
        assert_int_equal(answer.status, 400);
        if (strstr(answer.body, malformed[i].type) == NULL)
            fail_msg("%s: %s", malformed[i].lines, answer.body);
        answer_fini(&answer);
    }
    gate_call(&guarded.gate, "GET", "/streams?X-Amz-Algorithm=AWS4-HMAC-SHA256", "", MR_SLICE(""),
              &answer);
    assert_int_equal(answer.status, 403);
    answer_fini(&answer);
    close_signed(&guarded);
}

static void
without_keys_signatures_say_nothing(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    struct trip trip = plain;
    trip.body = ONE;
    guarded_open(&guarded, "{'principals':[],'anonymous':{'grants':[{'tenants':['*'],'kinds':"
                           "['*'],'rights':['produce']}]}}");
    trip.secret = "any";
    assert_int_equal(go(&guarded, &trip, NULL), 200);
    guarded_close(&guarded);
}

static void
a_secret_may_stand_in_a_file_of_its_own(void **state)
{
    (void)state;
    static const char policy[] = "{'principals':[{'name':'sdk','aws':[{'access_key_id':'" ID
                                 "','secret_file':'secret'}],'grants':[{'tenants':['*'],'kinds':"
                                 "['*'],'rights':['produce']}]}]}";
    struct guarded guarded = { .folder = "/tmp/millrace-signed-XXXXXX" };
    struct trip trip = plain;
    struct mr_err err = { 0 };
    trip.body = ONE;
    assert_non_null(mkdtemp(guarded.folder));
    guarded_file(&guarded, "secret", SECRET "\n", 0600);
    guarded_open(&guarded, policy);
    assert_int_equal(go(&guarded, &trip, NULL), 200);
    guarded_file(&guarded, "secret", SECRET "\n", 0644);
    assert_int_not_equal(guarded_replace(&guarded, policy, &err), 0);
    assert_non_null(strstr(err.text, "chmod 600"));
    guarded_close(&guarded);
}

int
signed_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signed_request_is_taken),
        cmocka_unit_test(paths_and_queries_are_signed_as_aws_spells_them),
        cmocka_unit_test(what_was_changed_on_the_way_is_refused),
        cmocka_unit_test(a_signature_is_good_for_five_minutes),
        cmocka_unit_test(the_key_that_is_kept_is_of_its_day_and_service),
        cmocka_unit_test(what_is_malformed_is_named_as_kinesis_does),
        cmocka_unit_test(without_keys_signatures_say_nothing),
        cmocka_unit_test(a_secret_may_stand_in_a_file_of_its_own),
    };
    return cmocka_run_group_tests_name("signed", tests, NULL, NULL);
}
