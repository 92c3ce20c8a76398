/*
 * What the S3 driver is made of and needs no server: credentials, XML.
 */
#include "clock/clock.h"
#include "store/credentials.h"
#include "store/driver.h"
#include "store/s3_http.h"
#include "store/s3_xml.h"
#include "store/store.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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
