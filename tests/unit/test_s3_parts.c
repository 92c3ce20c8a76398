/*
 * What the S3 driver is made of and needs no server: the signature against AWS's own examples,
 * credentials, XML.
 */
#include "clock/clock.h"
#include "store/credentials.h"
#include "store/driver.h"
#include "store/s3_http.h"
#include "store/s3_xml.h"
#include "store/sigv4.h"
#include "store/store.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- Signature Version 4 ---- */

#define SHA256_OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct vector {
    const char *name, *method, *path, *query, *payload;
    const char *headers[6][2];
    const char *signature;
};

/* "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)", Amazon S3
 * API reference: bucket examplebucket, 2013-05-24, us-east-1. */
static const struct vector s3_vectors[] = {
    { "GET with Range",
      "GET",
      "/test.txt",
      "",
      SHA256_OF_NOTHING,
      { { "host", "examplebucket.s3.amazonaws.com" },
        { "x-amz-date", "20130524T000000Z" },
        { "x-amz-content-sha256", SHA256_OF_NOTHING },
        { "range", "bytes=0-9" } },
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
    { "PUT",
      "PUT",
      "/test%24file.text",
      "",
      "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
      { { "host", "examplebucket.s3.amazonaws.com" },
        { "date", "Fri, 24 May 2013 00:00:00 GMT" },
        { "x-amz-date", "20130524T000000Z" },
        { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
        { "x-amz-content-sha256",
          "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072" } },
      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
    { "GET ?lifecycle",
      "GET",
      "/",
      "lifecycle=",
      SHA256_OF_NOTHING,
      { { "x-amz-content-sha256", SHA256_OF_NOTHING },
        { "x-amz-date", "20130524T000000Z" },
        { "host", "examplebucket.s3.amazonaws.com" } },
      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
    { "GET of a listing",
      "GET",
      "/",
      "max-keys=2&prefix=J",
      SHA256_OF_NOTHING,
      { { "host", "examplebucket.s3.amazonaws.com" },
        { "x-amz-content-sha256", SHA256_OF_NOTHING },
        { "x-amz-date", "20130524T000000Z" } },
      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
};

/* The Signature Version 4 test suite of AWS: service "service", 2015-08-30, us-east-1. */
static const struct vector suite_vectors[] = {
    { "get-vanilla",
      "GET",
      "/",
      "",
      SHA256_OF_NOTHING,
      { { "host", "example.amazonaws.com" }, { "x-amz-date", "20150830T123600Z" } },
      "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
    { "get-utf8",
      "GET",
      "/%E1%88%B4",
      "",
      SHA256_OF_NOTHING,
      { { "host", "example.amazonaws.com" }, { "x-amz-date", "20150830T123600Z" } },
      "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85" },
    { "get-vanilla-query-order-key-case",
      "GET",
      "/",
      "Param1=value1&Param2=value2",
      SHA256_OF_NOTHING,
      { { "host", "example.amazonaws.com" }, { "x-amz-date", "20150830T123600Z" } },
      "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
    { "get-header-value-trim",
      "GET",
      "/",
      "",
      SHA256_OF_NOTHING,
      { { "host", "example.amazonaws.com" },
        { "my-header1", " value1" },
        { "my-header2", " \"a   b   c\"" },
        { "x-amz-date", "20150830T123600Z" } },
      "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },
    { "post-vanilla",
      "POST",
      "/",
      "",
      SHA256_OF_NOTHING,
      { { "host", "example.amazonaws.com" }, { "x-amz-date", "20150830T123600Z" } },
      "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
};

static void
assert_signed(const struct vector *vector, const char *service, const char *time,
              const char *key_id, const char *secret)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf authorization;
    MR_CLEANUP(mr_sigv4_fini)
    struct mr_sigv4_request request = { .method = vector->method,
                                        .path = vector->path,
                                        .query = vector->query,
                                        .payload = vector->payload,
                                        .region = "us-east-1",
                                        .service = service };
    struct mr_credentials *credentials = mr_alloc(sizeof(*credentials));
    mr_buf_init(&authorization, 4096);
    (void)snprintf(request.time, sizeof(request.time), "%s", time);
    (void)snprintf(credentials->key_id, sizeof(credentials->key_id), "%s", key_id);
    (void)snprintf(credentials->secret, sizeof(credentials->secret), "%s", secret);
    for (size_t i = 0; i < 6 && vector->headers[i][0] != NULL; i++)
        mr_sigv4_header(&request, vector->headers[i][0], vector->headers[i][1]);
    mr_sigv4_sign(&request, credentials, &authorization);
    free(credentials);

    MR_CLEANUP(mr_freep) char *tail = mr_printf(", Signature=%s", vector->signature);
    MR_CLEANUP(mr_freep)
    char *head = mr_printf("AWS4-HMAC-SHA256 Credential=%s/%.8s/us-east-1/%s/aws4_request, ",
                           key_id, time, service);
    if (strstr(authorization.data, tail) == NULL)
        fail_msg("%s: wanted %s, got %s", vector->name, tail, authorization.data);
    assert_int_equal(strncmp(authorization.data, head, strlen(head)), 0);
}

static void
signatures_are_those_of_the_s3_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < MR_COUNT(s3_vectors); i++)
        assert_signed(&s3_vectors[i], "s3", "20130524T000000Z", "AKIAIOSFODNN7EXAMPLE",
                      "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
}

static void
signatures_are_those_of_the_published_test_suite(void **state)
{
    (void)state;
    for (size_t i = 0; i < MR_COUNT(suite_vectors); i++)
        assert_signed(&suite_vectors[i], "service", "20150830T123600Z", "AKIDEXAMPLE",
                      "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
}

static void
signed_headers_are_sorted_and_named(void **state)
{
    (void)state;
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    MR_CLEANUP(mr_sigv4_fini)
    struct mr_sigv4_request request = { .method = "PUT",
                                        .path = "/k",
                                        .query = "",
                                        .payload = "UNSIGNED-PAYLOAD",
                                        .region = "r",
                                        .service = "s3",
                                        .time = "20130524T000000Z" };
    struct mr_credentials *credentials = mr_alloc(sizeof(*credentials));
    mr_buf_init(&text, 4096);
    mr_sigv4_header(&request, "x-amz-meta-millrace-b", "1");
    mr_sigv4_header(&request, "x-amz-meta-millrace-a", "1");
    mr_sigv4_header(&request, "if-none-match", "*");
    mr_sigv4_header(&request, "host", "h");
    mr_sigv4_sign(&request, credentials, &text);
    free(credentials);
    assert_non_null(strstr(text.data, "SignedHeaders=host;if-none-match;x-amz-meta-millrace-a;"
                                      "x-amz-meta-millrace-b,"));
}

static void
text_is_encoded_as_aws_wants_it(void **state)
{
    (void)state;
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, 4096);
    mr_sigv4_encode(mr_slice_text("a=b/c d+e%\xc3\xbc?&\"~-._Z9"), MR_SIGV4_PATH, &text);
    assert_string_equal(text.data, "a%3Db/c%20d%2Be%25%C3%BC%3F%26%22~-._Z9");
    mr_buf_reset(&text);
    mr_sigv4_encode(mr_slice_text("a/b"), MR_SIGV4_QUERY, &text);
    assert_string_equal(text.data, "a%2Fb");
}

static void
time_is_written_in_basic_form(void **state)
{
    (void)state;
    char text[MR_SIGV4_TIME + 1];
    mr_sigv4_time(1369353600LL * 1000000 + 999999, text);
    assert_string_equal(text, "20130524T000000Z");
}

/* ---- credentials ---- */

static struct mr_credentials got; /* large: it holds a session token */

static int
forget_environment(void **state)
{
    (void)state;
    static const char *const names[] = { "AWS_ACCESS_KEY_ID",           "AWS_SECRET_ACCESS_KEY",
                                         "AWS_SESSION_TOKEN",           "AWS_PROFILE",
                                         "AWS_SHARED_CREDENTIALS_FILE", "AWS_REGION",
                                         "AWS_DEFAULT_REGION" };
    for (size_t i = 0; i < MR_COUNT(names); i++)
        (void)unsetenv(names[i]);
    memset(&got, 0, sizeof(got));
    return 0;
}

static const char profiles[] = "# ours\n"
                               "[default]\n"
                               "aws_access_key_id = ID1\r\n"
                               "aws_secret_access_key=se/cr+et=\n"
                               "\n"
                               "[ other ]\n"
                               "region = eu-west-1\n"
                               "aws_access_key_id=ID2\n"
                               "aws_secret_access_key=two\n"
                               "aws_session_token = tok/en==";

static void
a_profile_is_found_in_the_file(void **state)
{
    (void)state;
    assert_true(mr_credentials_parse(mr_slice_text(profiles), "default", &got));
    assert_string_equal(got.key_id, "ID1");
    assert_string_equal(got.secret, "se/cr+et=");
    assert_string_equal(got.token, "");
    assert_true(mr_credentials_parse(mr_slice_text(profiles), "other", &got));
    assert_string_equal(got.key_id, "ID2");
    assert_string_equal(got.token, "tok/en==");
    assert_false(mr_credentials_parse(mr_slice_text(profiles), "third", &got));
    assert_string_equal(got.key_id, "ID2");
}

static void
half_or_overlong_credentials_are_none(void **state)
{
    (void)state;
    char text[MR_KEY_ID_MAX + 100];
    assert_false(mr_credentials_parse(MR_SLICE("[a]\naws_access_key_id=x"), "a", &got));
    assert_false(mr_credentials_parse(MR_SLICE("[a]\naws_secret_access_key=x"), "a", &got));
    for (int extra = 0; extra < 2; extra++) {
        int length =
            snprintf(text, sizeof(text), "[a]\naws_secret_access_key=x\naws_access_key_id=%0*d",
                     MR_KEY_ID_MAX + extra, 0);
        assert_int_equal(mr_credentials_parse(mr_slice(text, (size_t)length), "a", &got),
                         extra == 0);
    }
}

static void
the_environment_comes_before_the_file(void **state)
{
    (void)state;
    struct mr_err err = { 0 };
    char path[] = "/tmp/millrace-aws-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, profiles, sizeof(profiles) - 1), sizeof(profiles) - 1);
    (void)close(fd);
    (void)setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    (void)setenv("AWS_PROFILE", "other", 1);
    assert_int_equal(mr_credentials_load(&got, &err), 0);
    assert_string_equal(got.key_id, "ID2");
    (void)setenv("AWS_ACCESS_KEY_ID", "env", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
    assert_int_equal(mr_credentials_load(&got, &err), 0);
    assert_string_equal(got.key_id, "env");
    assert_string_equal(got.token, "");
    (void)unlink(path);
}

static void
without_credentials_the_store_says_where_it_looked(void **state)
{
    (void)state;
    struct mr_err err = { 0 };
    struct mr_store *store = NULL;
    (void)setenv("AWS_SHARED_CREDENTIALS_FILE", "/no/such/file", 1);
    int code = mr_store_open("s3://bucket", NULL, &store, &err);
    assert_int_equal(code, MR_E(DENIED));
    assert_int_equal(err.remedy, MR_FATAL);
    assert_non_null(strstr(err.text, "AWS_ACCESS_KEY_ID"));
    assert_non_null(strstr(err.text, "/no/such/file"));
    assert_null(store);
}

static void
an_endpoint_is_a_scheme_a_host_and_a_port(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint;
        int code;
    } cases[] = {
        { "http://127.0.0.1:9000", 0 },
        { "http://127.0.0.1:9000/", 0 },
        { "https://s3.example.org", 0 },
        { "127.0.0.1:9000", MR_E(INVALID) },
        { "http://", MR_E(INVALID) },
        { "http://host/path", MR_E(INVALID) },
        { "http://user:pass@host", MR_E(INVALID) },
        { "ftp://host", MR_E(INVALID) },
    };
    (void)setenv("AWS_ACCESS_KEY_ID", "env", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        MR_CLEANUP(mr_store_closep) struct mr_store *store = NULL;
        struct mr_store_options options = { .s3_endpoint = cases[i].endpoint };
        int code = mr_store_open("s3://bucket/some/prefix/", &options, &store, NULL);
        assert_string_equal(mr_code_name(code), mr_code_name(cases[i].code));
        if (code == 0)
            assert_string_equal(mr_store_url(store), "s3://bucket/some/prefix");
    }
}

static void
a_bucket_is_a_host_at_aws_and_a_path_elsewhere(void **state)
{
    (void)state;
    static const struct {
        const char *path, *endpoint, *region, *origin, *authority, *root, *prefix;
    } cases[] = {
        { "bucket", NULL, "eu-west-1", "https://bucket.s3.eu-west-1.amazonaws.com",
          "bucket.s3.eu-west-1.amazonaws.com", "", "" },
        /* A wildcard certificate does not cover the dot. */
        { "my.bucket/a", NULL, NULL, "https://s3.us-east-1.amazonaws.com",
          "s3.us-east-1.amazonaws.com", "/my.bucket", "a/" },
        { "bucket/a/b/", "http://127.0.0.1:9000/", NULL, "http://127.0.0.1:9000", "127.0.0.1:9000",
          "/bucket", "a/b/" },
        { "bucket/", "https://s3.example.org", NULL, "https://s3.example.org", "s3.example.org",
          "/bucket", "" },
    };
    (void)setenv("AWS_ACCESS_KEY_ID", "env", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        struct mr_store_options options = { .s3_endpoint = cases[i].endpoint,
                                            .s3_region = cases[i].region };
        MR_CLEANUP(mr_freep) char *url = NULL;
        void *opened = NULL;
        struct mr_err err = { 0 };
        assert_int_equal(mr_store_s3_open(cases[i].path, &options, &opened, &url, &err), 0);
        const struct mr_s3 *s3 = opened;
        assert_string_equal(s3->origin, cases[i].origin);
        assert_string_equal(s3->authority, cases[i].authority);
        assert_string_equal(s3->path, cases[i].root);
        assert_string_equal(s3->prefix, cases[i].prefix);
        assert_int_equal(s3->hashed, strncmp(s3->origin, "http:", 5) == 0);
        mr_store_s3.close(opened);
    }
}

static void
the_region_comes_from_the_option_or_the_environment(void **state)
{
    (void)state;
    static const struct {
        const char *option, *region, *fallback, *wanted;
    } cases[] = {
        { "opt", "env", "def", "opt" },
        { NULL, "env", "def", "env" },
        { NULL, "", "def", "def" },
        { NULL, "", "", "us-east-1" },
    };
    (void)setenv("AWS_ACCESS_KEY_ID", "env", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        struct mr_store_options options = { .s3_region = cases[i].option };
        MR_CLEANUP(mr_freep) char *url = NULL;
        void *opened = NULL;
        (void)setenv("AWS_REGION", cases[i].region, 1);
        (void)setenv("AWS_DEFAULT_REGION", cases[i].fallback, 1);
        assert_int_equal(mr_store_s3_open("bucket", &options, &opened, &url, NULL), 0);
        assert_string_equal(((const struct mr_s3 *)opened)->region, cases[i].wanted);
        mr_store_s3.close(opened);
    }
}

/* ---- XML ---- */

static void
an_element_is_decoded(void **state)
{
    (void)state;
    struct mr_slice xml =
        MR_SLICE("<Error><Code>NoSuchKey</Code><Message>a &lt;b&gt; &amp;amp; &quot;c&apos; &#228;"
                 "&#x20AC;&#x1F600;</Message><Bad>&nope;</Bad><Open>text</Error>");
    char text[64], small[9];
    mr_s3_element(xml, "Code", text, sizeof(text));
    assert_string_equal(text, "NoSuchKey");
    mr_s3_element(xml, "Message", text, sizeof(text));
    assert_string_equal(text, "a <b> &amp; \"c' \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    mr_s3_element(xml, "Bad", text, sizeof(text));
    assert_string_equal(text, "");
    mr_s3_element(xml, "Open", text, sizeof(text));
    assert_string_equal(text, "");
    mr_s3_element(xml, "Code", small, sizeof(small)); /* 9 bytes and the NUL do not fit */
    assert_string_equal(small, "");
    mr_s3_element(mr_slice(NULL, 0), "Code", text, sizeof(text));
    assert_string_equal(text, "");
}

static void
a_listing_is_read_object_by_object(void **state)
{
    (void)state;
    struct mr_s3_listing listing;
    struct mr_object object;
    struct mr_err err = { 0 };
    struct mr_slice xml =
        MR_SLICE("<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3\"><Name>b</Name>"
                 "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><Prefix>x</Prefix>"
                 "<Contents><ETag>&quot;1&quot;</ETag><Key>a%2Bb+c%C3%BC/%26</Key><Size>17</Size>"
                 "<LastModified>1970-01-02T00:00:01.500Z</LastModified></Contents>\n"
                 "<Contents><Key>z</Key><Size>0</Size></Contents></ListBucketResult>");
    assert_int_equal(mr_s3_listing_open(xml, &listing, &err), 0);
    assert_true(listing.truncated);
    assert_int_equal(mr_s3_listing_next(&listing, &object, &err), 1);
    assert_string_equal(object.key, "a+b c\xc3\xbc/&");
    assert_int_equal(object.bytes, 17);
    assert_int_equal(object.modified_ms, 86401500);
    assert_int_equal(mr_s3_listing_next(&listing, &object, &err), 1);
    assert_string_equal(object.key, "z");
    assert_int_equal(mr_s3_listing_next(&listing, &object, &err), 0);
}

static void
keys_are_url_decoded_only_when_the_server_says_so(void **state)
{
    (void)state;
    struct mr_s3_listing listing;
    struct mr_object object;
    struct mr_slice xml = MR_SLICE("<ListBucketResult><Contents><Key>a+b%20&amp;</Key><Size>1"
                                   "</Size></Contents></ListBucketResult>");
    assert_int_equal(mr_s3_listing_open(xml, &listing, NULL), 0);
    assert_false(listing.truncated);
    assert_int_equal(mr_s3_listing_next(&listing, &object, NULL), 1);
    assert_string_equal(object.key, "a+b%20&");
}

static void
a_damaged_listing_is_corrupt(void **state)
{
    (void)state;
    static const char *const contents[] = {
        "<Key></Key><Size>1</Size>",
        "<Size>1</Size>",
        "<Key>a</Key>",
        "<Key>a</Key><Size>x</Size>",
        "<Key>a</Key><Size>-1</Size>",
        "<Key>a%2</Key><Size>1</Size>",
        "<Key>a%zz</Key><Size>1</Size>",
        "<Key>a%00</Key><Size>1</Size>",
        "<Key>&x;</Key><Size>1</Size>",
        "<Key>a</Key><Size>99999999999999999999</Size>",
    };
    for (size_t i = 0; i < MR_COUNT(contents); i++) {
        struct mr_s3_listing listing;
        struct mr_object object;
        MR_CLEANUP(mr_freep)
        char *xml = mr_printf("<ListBucketResult><EncodingType>url</EncodingType><Contents>%s"
                              "</Contents></ListBucketResult>",
                              contents[i]);
        assert_int_equal(mr_s3_listing_open(mr_slice_text(xml), &listing, NULL), 0);
        assert_int_equal(mr_s3_listing_next(&listing, &object, NULL), MR_E(CORRUPT));
    }
    struct mr_s3_listing none;
    assert_int_equal(mr_s3_listing_open(MR_SLICE("<html>"), &none, NULL), MR_E(CORRUPT));
    assert_int_equal(mr_s3_listing_open(mr_slice(NULL, 0), &none, NULL), MR_E(CORRUPT));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_those_of_the_s3_reference),
        cmocka_unit_test(signatures_are_those_of_the_published_test_suite),
        cmocka_unit_test(signed_headers_are_sorted_and_named),
        cmocka_unit_test(text_is_encoded_as_aws_wants_it),
        cmocka_unit_test(time_is_written_in_basic_form),
        cmocka_unit_test_setup(a_profile_is_found_in_the_file, forget_environment),
        cmocka_unit_test_setup(half_or_overlong_credentials_are_none, forget_environment),
        cmocka_unit_test_setup(the_environment_comes_before_the_file, forget_environment),
        cmocka_unit_test_setup(without_credentials_the_store_says_where_it_looked,
                               forget_environment),
        cmocka_unit_test_setup(an_endpoint_is_a_scheme_a_host_and_a_port, forget_environment),
        cmocka_unit_test_setup(a_bucket_is_a_host_at_aws_and_a_path_elsewhere, forget_environment),
        cmocka_unit_test_setup(the_region_comes_from_the_option_or_the_environment,
                               forget_environment),
        cmocka_unit_test(an_element_is_decoded),
        cmocka_unit_test(a_listing_is_read_object_by_object),
        cmocka_unit_test(keys_are_url_decoded_only_when_the_server_says_so),
        cmocka_unit_test(a_damaged_listing_is_corrupt),
    };
    return cmocka_run_group_tests_name("parts of the S3 driver", tests, NULL, NULL);
}
