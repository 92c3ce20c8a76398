/*
 * Signatures against AWS's own examples.
 */
#include "sigv4/sigv4.h"

#include "test.h"

#include <stdio.h>
#include <string.h>

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
    mr_buf_init(&authorization, 4096);
    (void)snprintf(request.time, sizeof(request.time), "%s", time);
    for (size_t i = 0; i < 6 && vector->headers[i][0] != NULL; i++)
        mr_sigv4_header(&request, vector->headers[i][0], vector->headers[i][1]);
    mr_sigv4_sign(&request, key_id, secret, &authorization);

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
    mr_buf_init(&text, 4096);
    mr_sigv4_header(&request, "x-amz-meta-millrace-b", "1");
    mr_sigv4_header(&request, "x-amz-meta-millrace-a", "1");
    mr_sigv4_header(&request, "if-none-match", "*");
    mr_sigv4_header(&request, "host", "h");
    mr_sigv4_sign(&request, "id", "secret", &text);
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_those_of_the_s3_reference),
        cmocka_unit_test(signatures_are_those_of_the_published_test_suite),
        cmocka_unit_test(signed_headers_are_sorted_and_named),
        cmocka_unit_test(text_is_encoded_as_aws_wants_it),
        cmocka_unit_test(time_is_written_in_basic_form),
    };
    return cmocka_run_group_tests_name("sigv4", tests, NULL, NULL);
}
