/*
 * The S3 driver against a real server (s3proxy by tools/s3): the promises of every store, and the
 * ways in which a server can refuse us.
 */
#include "server.h"
#include "store_promises.h"

#include "clock/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECRET "zoo-secret/+="

static struct server server;
static char place[64];
static int places;

static struct mr_store *
open_at(const char *url, const char *endpoint, int64_t deadline_ms)
{
    struct mr_store_options options = { .s3_endpoint = endpoint, .deadline_ms = deadline_ms };
    struct mr_err err = { 0 };
    struct mr_store *store = NULL;
    STORE_GOOD(mr_store_open(url, &options, &store, &err), err);
    return store;
}

static void
new_place(void)
{
    (void)snprintf(place, sizeof(place), "s3://objects/p %d+%%/x", places++);
}

static struct mr_store *
open_here(void)
{
    return open_at(place, server.line, 0);
}

static size_t
key_max(void)
{
    return MR_STORE_KEY_MAX - strlen(place + strlen("s3://objects/")) - 1;
}

static void
assert_code(int code, int wanted)
{
    assert_string_equal(mr_code_name(code), mr_code_name(wanted));
}

static void
set_secret(const char *secret)
{
    (void)setenv("AWS_SECRET_ACCESS_KEY", secret, 1);
}

static void
prefixes_do_not_see_each_other(void **state)
{
    (void)state;
    struct mr_err err = { 0 };
    struct mr_object *items = NULL;
    size_t count = 0;
    MR_CLEANUP(mr_store_closep) struct mr_store *a = open_at("s3://two", server.line, 0);
    MR_CLEANUP(mr_store_closep) struct mr_store *b = open_at("s3://two/a/", server.line, 0);
    assert_string_equal(mr_store_url(b), "s3://two/a");
    STORE_GOOD(mr_store_put_new(b, "k", MR_SLICE("x"), NULL, &err), err);
    STORE_GOOD(mr_store_put_new(a, "ab", MR_SLICE("y"), NULL, &err), err);
    STORE_GOOD(mr_store_list(b, "", NULL, 10, &items, &count, &err), err);
    assert_int_equal(count, 1);
    assert_string_equal(items[0].key, "k");
    free(items);
    STORE_GOOD(mr_store_list(a, "", NULL, 10, &items, &count, &err), err);
    assert_int_equal(count, 2);
    assert_string_equal(items[0].key, "a/k");
    free(items);
}

static void
a_wrong_secret_is_denied_and_the_text_says_so(void **state)
{
    (void)state;
    struct mr_err err = { 0 }, at_start = { 0 };
    struct mr_object *items = NULL;
    size_t count = 0;
    set_secret("wrong-secret");
    MR_CLEANUP(mr_store_closep) struct mr_store *store = open_at("s3://objects", server.line, 0);
    set_secret(SECRET);
    assert_code(mr_store_put(store, "k", MR_SLICE("x"), NULL, &err), MR_E(DENIED));
    assert_int_equal(err.remedy, MR_RETRY);
    assert_non_null(strstr(err.text, "s3://objects/k: 403 SignatureDoesNotMatch"));
    assert_non_null(strstr(err.text, "check the S3 credentials"));
    assert_null(strstr(err.text, "secret"));
    /* Our own environment is right again, and that is looked up after a refusal. */
    STORE_GOOD(mr_store_list(store, "", NULL, 1, &items, &count, &at_start), at_start);
    free(items);
}

static void
a_wrong_secret_ends_the_probe_for_good(void **state)
{
    (void)state;
    struct mr_err err = { 0 };
    set_secret("wrong-secret");
    MR_CLEANUP(mr_store_closep) struct mr_store *store = open_at("s3://objects", server.line, 0);
    assert_code(mr_store_probe(store, &err), MR_E(DENIED));
    assert_int_equal(err.remedy, MR_FATAL);
    set_secret(SECRET);
}

static void
a_bucket_that_is_missing_is_not_a_missing_object(void **state)
{
    (void)state;
    struct mr_object *items = NULL;
    size_t count = 0;
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    mr_buf_init(&body, 100);
    MR_CLEANUP(mr_store_closep) struct mr_store *store = open_at("s3://no-such", server.line, 0);
    assert_code(mr_store_put_new(store, "k", MR_SLICE("x"), NULL, NULL), MR_E(INVALID));
    assert_code(mr_store_get(store, "k", &body, NULL, NULL), MR_E(INVALID));
    assert_code(mr_store_list(store, "", NULL, 1, &items, &count, NULL), MR_E(INVALID));
    assert_code(mr_store_probe(store, &err), MR_E(INVALID));
    assert_int_equal(err.remedy, MR_FATAL);
    assert_non_null(strstr(err.text, "NoSuchBucket"));
}

static void
an_unreachable_endpoint_is_unavailable_within_the_deadline(void **state)
{
    (void)state;
    /* Bound but not listening: nobody else can take the port, and connecting is refused. */
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    MR_CLEANUP(mr_freep)
    char *endpoint = mr_printf("http://127.0.0.1:%d", ntohs(address.sin_port));
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_store_closep) struct mr_store *store = open_at("s3://objects", endpoint, 700);
    int64_t start_ms = mr_now_ms();
    assert_code(mr_store_put(store, "k", MR_SLICE("x"), NULL, &err), MR_E(UNAVAILABLE));
    assert_in_range(mr_now_ms() - start_ms, 100, 2000);
    assert_int_equal(err.remedy, MR_RETRY);
    assert_non_null(strstr(err.text, "s3://objects/k"));
    assert_non_null(strstr(err.text, endpoint + strlen("http://127.0.0.1:")));
    assert_non_null(strstr(err.text, "(try "));
    (void)close(fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefixes_do_not_see_each_other),
        cmocka_unit_test(a_wrong_secret_is_denied_and_the_text_says_so),
        cmocka_unit_test(a_wrong_secret_ends_the_probe_for_good),
        cmocka_unit_test(a_bucket_that_is_missing_is_not_a_missing_object),
        cmocka_unit_test(an_unreachable_endpoint_is_unavailable_within_the_deadline),
    };
    char root[] = "/tmp/millrace-s3-XXXXXX";
    const char *source = getenv("MILLRACE_SOURCE");
    if (source == NULL || mkdtemp(root) == NULL) {
        (void)fprintf(stderr, "run this by ctest: MILLRACE_SOURCE is not set\n");
        return 1;
    }
    (void)setenv("AWS_ACCESS_KEY_ID", "zoo", 1);
    (void)unsetenv("AWS_SESSION_TOKEN");
    set_secret(SECRET);
    MR_CLEANUP(mr_freep)
    char *command = mr_printf("%s/tools/s3 start --dir %s --key zoo --secret '%s' --bucket objects "
                              "--bucket two; cat; %s/tools/s3 stop --dir %s; rm -rf %s",
                              source, root, SECRET, source, root, root);
    if (server_start(&server, command) != 0) {
        (void)fprintf(stderr, "tools/s3 did not start\n");
        return 1;
    }
    store_new_place = new_place;
    store_open_here = open_here;
    store_key_max = key_max;
    int failed = store_promises_run("promises of a store, S3");
    failed += cmocka_run_group_tests_name("S3 driver", tests, NULL, NULL);
    server_stop(&server);
    return failed == 0 ? 0 : 1;
}
