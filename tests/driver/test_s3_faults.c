/*
 * The S3 driver against a server that fails on demand (tests/support/s3stub): the key says how.
 */
#include "server.h"
#include "store_promises.h"

#include "clock/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BODY_MAX = 8 * 1024 * 1024, BIG_BYTES = 2 * 1024 * 1024 };

static struct server good, racing, deaf, tls;
static const struct server *server = &good;
static struct mr_store *store;
static struct mr_buf body;
static struct mr_err err;
static char certificate[] = "/tmp/millrace-tls-XXXXXX"; /* and its key */

static struct mr_store *
open_at(const char *url, int64_t deadline_ms)
{
    MR_CLEANUP(mr_freep)
    char *endpoint =
        mr_printf("%s://127.0.0.1:%s", server == &tls ? "https" : "http", server->line);
    struct mr_store_options options = { .s3_endpoint = endpoint, .deadline_ms = deadline_ms };
    struct mr_store *opened = NULL;
    STORE_GOOD(mr_store_open(url, &options, &opened, &err), err);
    return opened;
}

static struct mr_store *
open_here(void)
{
    return open_at("s3://bucket/p", 0);
}

static int
set_up(void **state)
{
    (void)state;
    server = &good;
    mr_buf_init(&body, BODY_MAX);
    err = (struct mr_err){ 0 };
    store = open_at("s3://bucket/p", 20000);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    mr_store_closep(&store);
    mr_buf_fini(&body);
    return 0;
}

static void
assert_code(int code, int wanted)
{
    assert_string_equal(mr_code_name(code), mr_code_name(wanted));
}

static void
assert_body(const char *key, const char *text)
{
    STORE_GOOD(mr_store_get(store, key, &body, NULL, &err), err);
    assert_true(mr_slice_is_text(mr_buf_slice(&body), text));
}

/* How often the server was asked, "put /bucket/p/key". */
static size_t
count_asked(const char *line)
{
    MR_CLEANUP(mr_store_closep) struct mr_store *stub = open_at("s3://stub", 0);
    MR_CLEANUP(mr_buf_fini) struct mr_buf log;
    MR_CLEANUP(mr_freep) char *wanted = mr_printf("%s\n", line);
    size_t count = 0;
    mr_buf_init(&log, BODY_MAX);
    STORE_GOOD(mr_store_get(stub, "log", &log, NULL, &err), err);
    mr_buf_text(&log, "\n");
    for (const char *at = log.data; (at = strstr(at, wanted)) != NULL; at++)
        count++;
    return count;
}

static char *
big_text(void)
{
    char *text = mr_alloc(BIG_BYTES + 1);
    for (size_t i = 0; i < BIG_BYTES; i++)
        text[i] = (char)('a' + i * 2654435761u % 26);
    return text;
}

static char *
big_file(const char *text)
{
    char path[] = "/tmp/millrace-big-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, text, BIG_BYTES), BIG_BYTES);
    (void)close(fd);
    return mr_strdup(path);
}

/* ---- retries ---- */

static void
what_passes_is_tried_again(void **state)
{
    (void)state;
    static const char *const faults[] = { "500", "503", "429", "409", "408", "307", "reset" };
    for (size_t i = 0; i < MR_COUNT(faults); i++) {
        MR_CLEANUP(mr_freep) char *key = mr_printf("fault-put-%s-2/k", faults[i]);
        MR_CLEANUP(mr_freep) char *asked = mr_printf("put /bucket/p/%s", key);
        STORE_GOOD(mr_store_put_new(store, key, MR_SLICE("x"), NULL, &err), err);
        assert_body(key, "x");
        assert_int_equal(count_asked(asked), 3);
    }
}

static void
every_call_is_tried_again(void **state)
{
    (void)state;
    struct mr_object *items = NULL;
    struct mr_object object;
    size_t count = 0;
    STORE_GOOD(mr_store_put(store, "fault-get-503-1/k", MR_SLICE("x"), NULL, &err), err);
    assert_body("fault-get-503-1/k", "x");
    STORE_GOOD(mr_store_put(store, "fault-head-reset-1/k", MR_SLICE("x"), NULL, &err), err);
    STORE_GOOD(mr_store_head(store, "fault-head-reset-1/k", &object, NULL, &err), err);
    assert_int_equal(object.bytes, 1);
    STORE_GOOD(mr_store_put(store, "fault-list-500-2/k", MR_SLICE("x"), NULL, &err), err);
    STORE_GOOD(mr_store_list(store, "fault-list-500-2/", NULL, 9, &items, &count, &err), err);
    assert_int_equal(count, 1);
    free(items);
    STORE_GOOD(mr_store_put(store, "fault-delete-drop-1/k", MR_SLICE("x"), NULL, &err), err);
    STORE_GOOD(mr_store_remove(store, "fault-delete-drop-1/k", &err), err);
    assert_code(mr_store_head(store, "fault-delete-drop-1/k", NULL, NULL, NULL), MR_E(NOT_FOUND));
}

static void
what_does_not_pass_is_unavailable_at_the_deadline(void **state)
{
    (void)state;
    MR_CLEANUP(mr_store_closep) struct mr_store *hasty = open_at("s3://bucket/p", 800);
    int64_t start_ms = mr_now_ms();
    int code = mr_store_put(hasty, "fault-put-503-9999/k", MR_SLICE("x"), NULL, &err);
    assert_code(code, MR_E(UNAVAILABLE));
    assert_true(mr_now_ms() - start_ms < 3000);
    assert_int_equal(err.remedy, MR_RETRY);
    assert_non_null(strstr(err.text, "s3://bucket/p/fault-put-503-9999/k: 503 Made503: made up & "
                                     "sent by s3stub (try "));
}

static void
a_refusal_is_not_tried_again(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int code;
    } cases[] = {
        { "fault-put-403-9/k", MR_E(DENIED) },      { "fault-put-401-9/k", MR_E(DENIED) },
        { "fault-put-413-9/k", MR_E(TOO_LARGE) },   { "fault-put-400-9/k", MR_E(INTERNAL) },
        { "fault-put-501-9/k", MR_E(UNSUPPORTED) }, { "fault-put-301-9/k", MR_E(INVALID) },
        { "fault-put-412-9/k", MR_E(EXISTS) },
    };
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        MR_CLEANUP(mr_freep) char *asked = mr_printf("put /bucket/p/%s", cases[i].key);
        struct mr_err refused = { 0 };
        int code = mr_store_put_new(store, cases[i].key, MR_SLICE("x"), NULL, &refused);
        assert_code(code, cases[i].code);
        assert_non_null(strstr(refused.text, cases[i].key));
        assert_null(strstr(refused.text, "hush"));
        assert_int_equal(count_asked(asked), 1);
    }
}

/* ---- lost replies ---- */

static void
a_lost_reply_to_put_is_mended_by_the_next_try(void **state)
{
    (void)state;
    STORE_GOOD(mr_store_put(store, "fault-put-drop-1/k", MR_SLICE("x"), NULL, &err), err);
    assert_body("fault-put-drop-1/k", "x");
    assert_int_equal(count_asked("put /bucket/p/fault-put-drop-1/k"), 2);
}

static void
a_lost_reply_to_put_new_is_exists_and_the_object_is_ours(void **state)
{
    (void)state;
    struct mr_meta meta = { 0 }, got = { 0 };
    mr_meta_set(&meta, "commit-id", "ours");
    int code = mr_store_put_new(store, "fault-put-drop-1/new", MR_SLICE("x"), &meta, &err);
    assert_code(code, MR_E(EXISTS));
    assert_non_null(strstr(err.text, "(try 2"));
    assert_code(mr_store_get(store, "fault-put-drop-1/new", &body, &got, NULL), 0);
    assert_string_equal(mr_meta_get(&got, "commit-id"), "ours");
    assert_true(mr_slice_is_text(mr_buf_slice(&body), "x"));
}

static void
a_file_is_sent_again_from_its_beginning(void **state)
{
    (void)state;
    MR_CLEANUP(mr_freep) char *text = big_text();
    MR_CLEANUP(mr_freep) char *path = big_file(text);
    STORE_GOOD(mr_store_put_new_file(store, "fault-put-503-2/file", path, NULL, &err), err);
    assert_body("fault-put-503-2/file", text);
    assert_code(mr_store_put_new_file(store, "fault-put-drop-1/file", path, NULL, NULL),
                MR_E(EXISTS));
    assert_body("fault-put-drop-1/file", text);
    (void)unlink(path);
}

static void
half_a_body_is_thrown_away(void **state)
{
    (void)state;
    MR_CLEANUP(mr_freep) char *text = big_text();
    MR_CLEANUP(mr_freep) char *path = big_file(text);
    static const char *const keys[] = { "fault-get-cut-2/body", "fault-get-cut-2/file" };
    for (size_t i = 0; i < MR_COUNT(keys); i++)
        STORE_GOOD(mr_store_put(store, keys[i], mr_slice_text(text), NULL, &err), err);
    assert_body(keys[0], text);
    STORE_GOOD(mr_store_get_file(store, keys[1], path, &err), err);
    MR_CLEANUP(mr_freep) char *back = mr_alloc(BIG_BYTES + 1);
    FILE *file = fopen(path, "rb");
    assert_int_equal(fread(back, 1, BIG_BYTES + 1, file), BIG_BYTES);
    (void)fclose(file);
    assert_memory_equal(back, text, BIG_BYTES);
    (void)unlink(path);
}

/* ---- time ---- */

static void
a_server_that_stalls_is_left_within_the_deadline(void **state)
{
    (void)state;
    MR_CLEANUP(mr_store_closep) struct mr_store *hasty = open_at("s3://bucket/p", 900);
    int64_t start_ms = mr_now_ms();
    int code = mr_store_get(hasty, "fault-get-stall-99/k", &body, NULL, &err);
    assert_code(code, MR_E(TIMEOUT));
    assert_in_range(mr_now_ms() - start_ms, 300, 3000);
    assert_int_equal(err.remedy, MR_RETRY);
    assert_non_null(strstr(err.text, "does not answer"));
}

static void
a_stall_is_tried_again_while_there_is_time(void **state)
{
    (void)state;
    MR_CLEANUP(mr_store_closep) struct mr_store *patient = open_at("s3://bucket/p", 6000);
    STORE_GOOD(mr_store_put(patient, "fault-put-stall-1/k", MR_SLICE("x"), NULL, &err), err);
    assert_body("fault-put-stall-1/k", "x");
}

static void
a_body_that_flows_slowly_may_pass_the_deadline(void **state)
{
    (void)state;
    MR_CLEANUP(mr_freep) char *text = big_text();
    MR_CLEANUP(mr_store_closep) struct mr_store *hasty = open_at("s3://bucket/p", 1500);
    STORE_GOOD(mr_store_put(store, "fault-get-slow-1/k", mr_slice_text(text), NULL, &err), err);
    int64_t start_ms = mr_now_ms();
    STORE_GOOD(mr_store_get(hasty, "fault-get-slow-1/k", &body, NULL, &err), err);
    assert_true(mr_now_ms() - start_ms > 1500);
    assert_true(mr_slice_is_text(mr_buf_slice(&body), text));
}

/* ---- the rest ---- */

static void
calls_share_one_connection(void **state)
{
    (void)state;
    size_t before = count_asked("connect");
    for (int i = 0; i < 20; i++)
        STORE_GOOD(mr_store_put(store, "k", MR_SLICE("x"), NULL, &err), err);
    assert_code(mr_store_head(store, "none", NULL, NULL, NULL), MR_E(NOT_FOUND));
    assert_body("k", "x");
    /* One of ours and one for counting. */
    assert_int_equal(count_asked("connect"), before + 2);
}

static void
a_server_without_url_encoding_lists_odd_keys(void **state)
{
    (void)state;
    struct mr_object *items = NULL;
    size_t count = 0;
    static const char key[] = "fault-list-plain-1/a+b %41&amp;<\xc3\xbc>";
    STORE_GOOD(mr_store_put(store, key, MR_SLICE("x"), NULL, &err), err);
    STORE_GOOD(mr_store_list(store, "fault-list-plain-1/", NULL, 9, &items, &count, &err), err);
    assert_int_equal(count, 1);
    assert_string_equal(items[0].key, key);
    free(items);
}

static void
the_probe_finds_a_server_that_ignores_conditions(void **state)
{
    (void)state;
    server = &deaf;
    MR_CLEANUP(mr_store_closep) struct mr_store *there = open_here();
    assert_code(mr_store_probe(there, &err), MR_E(UNSUPPORTED));
    assert_int_equal(err.remedy, MR_FATAL);
    assert_non_null(strstr(err.text, "create-if-absent"));
}

static void
the_race_of_the_promises_finds_a_server_that_checks_then_stores(void **state)
{
    (void)state;
    server = &racing;
    MR_CLEANUP(mr_store_closep) struct mr_store *there = open_here();
    STORE_GOOD(mr_store_probe(there, &err), err); /* which a probe alone cannot find */
    assert_true(store_race(10) > 0);
}

static void
https_needs_a_known_certificate_and_signs_no_body(void **state)
{
    (void)state;
    server = &tls;
    MR_CLEANUP(mr_store_closep) struct mr_store *stranger = open_here();
    assert_code(mr_store_put(stranger, "k", MR_SLICE("x"), NULL, &err), MR_E(DENIED));
    assert_non_null(strstr(err.text, "certificate"));
    assert_non_null(strstr(err.text, "AWS_CA_BUNDLE"));
    err = (struct mr_err){ 0 };
    (void)setenv("AWS_CA_BUNDLE", certificate, 1);
    MR_CLEANUP(mr_store_closep) struct mr_store *there = open_here();
    (void)unsetenv("AWS_CA_BUNDLE");
    STORE_GOOD(mr_store_put_new(there, "k", MR_SLICE("x"), NULL, &err), err);
    STORE_GOOD(mr_store_get(there, "k", &body, NULL, &err), err);
    assert_true(mr_slice_is_text(mr_buf_slice(&body), "x"));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_passes_is_tried_again),
        TEST(every_call_is_tried_again),
        TEST(what_does_not_pass_is_unavailable_at_the_deadline),
        TEST(a_refusal_is_not_tried_again),
        TEST(a_lost_reply_to_put_is_mended_by_the_next_try),
        TEST(a_lost_reply_to_put_new_is_exists_and_the_object_is_ours),
        TEST(a_file_is_sent_again_from_its_beginning),
        TEST(half_a_body_is_thrown_away),
        TEST(a_server_that_stalls_is_left_within_the_deadline),
        TEST(a_stall_is_tried_again_while_there_is_time),
        TEST(a_body_that_flows_slowly_may_pass_the_deadline),
        TEST(calls_share_one_connection),
        TEST(a_server_without_url_encoding_lists_odd_keys),
        TEST(https_needs_a_known_certificate_and_signs_no_body),
        TEST(the_probe_finds_a_server_that_ignores_conditions),
        TEST(the_race_of_the_promises_finds_a_server_that_checks_then_stores),
    };
    const char *source = getenv("MILLRACE_SOURCE");
    (void)close(mkstemp(certificate));
    (void)setenv("AWS_ACCESS_KEY_ID", "zoo", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "hush-hush", 1);
    MR_CLEANUP(mr_freep) char *stub = mr_printf("exec %s/tests/support/s3stub", source);
    MR_CLEANUP(mr_freep) char *stub_racing = mr_printf("%s --race", stub);
    MR_CLEANUP(mr_freep) char *stub_deaf = mr_printf("%s --deaf", stub);
    MR_CLEANUP(mr_freep)
    char *stub_tls = mr_printf("openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=stub "
                               "-addext subjectAltName=IP:127.0.0.1 -keyout %s -out %s.crt "
                               "2>/dev/null && cat %s.crt >> %s && rm %s.crt && %s --tls %s",
                               certificate, certificate, certificate, certificate, certificate,
                               stub, certificate);
    if (source == NULL || server_start(&good, stub) != 0 ||
        server_start(&racing, stub_racing) != 0 || server_start(&deaf, stub_deaf) != 0 ||
        server_start(&tls, stub_tls) != 0) {
        (void)fprintf(stderr, "tests/support/s3stub did not start (is MILLRACE_SOURCE set?)\n");
        return 1;
    }
    store_open_here = open_here;
    int failed = cmocka_run_group_tests_name("S3 driver, faults", tests, NULL, NULL);
    server_stop(&good);
    server_stop(&racing);
    server_stop(&deaf);
    server_stop(&tls);
    (void)unlink(certificate);
    return failed == 0 ? 0 : 1;
}
