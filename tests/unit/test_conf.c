#include "conf/conf.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

struct options {
    const char *name, *listen, *level, *token, *store;
    int64_t batch, bytes, wait_ms;
    bool fast;
};

#define AT(member) offsetof(struct options, member)

static const struct mr_opt first_table[] = {
    { "name", MR_OPT_TEXT, AT(name), "none", 2, 8, NULL, "Name.", false },
    { "listen", MR_OPT_ADDR, AT(listen), "", 0, 0, NULL, "Address.", false },
    { "log-level", MR_OPT_CHOICE, AT(level), "info", 0, 0, "error|info|debug", "Level.", false },
    { 0 },
};
static const struct mr_opt no_table[] = { { 0 } };
static const struct mr_opt second_table[] = {
    { "batch-max", MR_OPT_INT, AT(batch), "1000", 1, 10000, NULL, "Batch.", false },
    { "bytes", MR_OPT_BYTES, AT(bytes), "64M", 1024, (int64_t)1 << 40, NULL, "Bytes.", false },
    { "wait", MR_OPT_MS, AT(wait_ms), "20ms", 0, 60000, NULL, "Wait.", false },
    { "fast", MR_OPT_BOOL, AT(fast), "false", 0, 0, NULL, "Fast.", false },
    { "token", MR_OPT_TEXT, AT(token), "", 0, 4, NULL, "Token.", true },
    { 0 },
};
static const struct mr_opt must_table[] = {
    { "store", MR_OPT_TEXT, AT(store), NULL, 1, 100, NULL, "Store.", false },
    { 0 },
};

static const struct mr_conf conf = { .process = "millrace-test",
                                     .summary = "Does a test.",
                                     .tables = { first_table, no_table, second_table, NULL } };

static struct options options;
static struct mr_err err;
static char path[64];

enum { ARGUMENTS_MAX = 8 };

static int
load_with(const struct mr_conf *with, const char *const *arguments)
{
    char *argv[ARGUMENTS_MAX + 2] = { (char *)"test" };
    int argc = 1;
    for (; *arguments != NULL; arguments++)
        argv[argc++] = (char *)*arguments;
    options = (struct options){ 0 };
    err = (struct mr_err){ 0 };
    return mr_conf_load(with, &options, argc, argv, &err);
}

#define LOAD(...)      load_with(&conf, (const char *const[]){ __VA_ARGS__, NULL })
#define LOAD_NOTHING() load_with(&conf, (const char *const[]){ NULL })

static void
write_file(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int
set_up(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof(path), "/tmp/millrace-conf-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    return 0;
}

static int
tear_down(void **state)
{
    static const char *const variables[] = { "MILLRACE_BATCH_MAX", "MILLRACE_TOKEN",
                                             "MILLRACE_CONFIG", "MILLRACE_BACH_MAX",
                                             "MILLRACE_STORE" };
    (void)state;
    for (size_t i = 0; i < MR_COUNT(variables); i++)
        (void)unsetenv(variables[i]);
    return unlink(path);
}

/* ---- where values come from ---- */

static void
without_anything_given_the_defaults_hold(void **state)
{
    (void)state;
    assert_int_equal(LOAD_NOTHING(), 0);
    assert_string_equal(options.name, "none");
    assert_string_equal(options.listen, "");
    assert_string_equal(options.level, "info");
    assert_int_equal(options.batch, 1000);
    assert_int_equal(options.bytes, 64 << 20);
    assert_int_equal(options.wait_ms, 20);
    assert_false(options.fast);
}

static void
a_flag_beats_the_environment_beats_the_file_beats_the_default(void **state)
{
    (void)state;
    write_file("{\"batch-max\": 7}");
    assert_int_equal(LOAD("--config", path), 0);
    assert_int_equal(options.batch, 7);
    setenv("MILLRACE_BATCH_MAX", "8", 1);
    assert_int_equal(LOAD("--config", path), 0);
    assert_int_equal(options.batch, 8);
    assert_int_equal(LOAD("--batch-max", "9", "--config", path), 0);
    assert_int_equal(options.batch, 9);
}

static void
the_file_can_be_named_by_the_environment(void **state)
{
    (void)state;
    write_file("{\"name\": \"filed\", \"fast\": true, \"bytes\": \"2K\"}");
    setenv("MILLRACE_CONFIG", path, 1);
    assert_int_equal(LOAD_NOTHING(), 0);
    assert_string_equal(options.name, "filed");
    assert_true(options.fast);
    assert_int_equal(options.bytes, 2048);
}

static void
a_variable_of_another_process_is_no_error(void **state)
{
    (void)state;
    setenv("MILLRACE_BACH_MAX", "oops", 1);
    assert_int_equal(LOAD_NOTHING(), 0);
    assert_int_equal(options.batch, 1000);
}

static void
flags_take_their_value_behind_a_blank_or_an_equals_sign(void **state)
{
    (void)state;
    assert_int_equal(LOAD("--name=abc", "--wait", "5s", "--fast", "--batch-max=2"), 0);
    assert_string_equal(options.name, "abc");
    assert_int_equal(options.wait_ms, 5000);
    assert_true(options.fast);
    assert_int_equal(options.batch, 2);
    assert_int_equal(LOAD("--fast=false"), 0);
    assert_false(options.fast);
}

static void
words_that_are_no_flags_are_refused_or_handed_on(void **state)
{
    int rest_count = -1;
    char **rest = NULL;
    struct mr_conf with_rest = conf;
    (void)state;
    assert_int_equal(LOAD("pin"), MR_E(INVALID));
    assert_string_equal(err.text, "\"pin\" is not an option; see --help");
    with_rest.ret_rest_count = &rest_count;
    with_rest.ret_rest = &rest;
    const char *const arguments[] = { "check", "--fast", "-", "--", "--name", NULL };
    assert_int_equal(load_with(&with_rest, arguments), 0);
    assert_int_equal(rest_count, 3);
    assert_string_equal(rest[0], "check");
    assert_string_equal(rest[1], "-");
    assert_string_equal(rest[2], "--name");
    assert_string_equal(options.name, "none");
    free(rest);
}

/* ---- what values may be ---- */

static void
values_at_their_bounds_are_taken_and_one_beyond_is_not(void **state)
{
    static const struct {
        const char *flag, *text; /* NULL: good */
    } cases[] = {
        { "--batch-max=1", NULL },
        { "--batch-max=10000", NULL },
        { "--batch-max=0", "option --batch-max: 0 is outside 1..10000" },
        { "--batch-max=10001", "option --batch-max: 10001 is outside 1..10000" },
        { "--bytes=1K", NULL },
        { "--bytes=1T", NULL },
        { "--bytes=1023", "option --bytes: 1023 is outside 1K..1T" },
        { "--bytes=2T", "option --bytes: 2T is outside 1K..1T" },
        { "--wait=0", NULL },
        { "--wait=1m", NULL },
        { "--wait=61s", "option --wait: 61s is outside 0..1m" },
        { "--wait=-1ms", "option --wait: -1ms is outside 0..1m" },
        { "--name=ab", NULL },
        { "--name=abcdefgh", NULL },
        { "--name=a", "option --name: a text of 1 bytes is outside 2..8" },
        { "--name=abcdefghi", "option --name: a text of 9 bytes is outside 2..8" },
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        int result = LOAD(cases[i].flag);
        assert_int_equal(result, cases[i].text == NULL ? 0 : MR_E(INVALID));
        assert_string_equal(err.text, cases[i].text == NULL ? "" : cases[i].text);
    }
}

static void
what_is_no_number_is_refused_with_the_range(void **state)
{
    static const char *const bad[] = { "",   " 1",  "+1", "1 ",  "1x",  "0x10",
                                       "1K", "1.5", "-",  "--1", "1e3", "99999999999999999999" };
    char flag[64];
    (void)state;
    for (size_t i = 0; i < MR_COUNT(bad); i++) {
        (void)snprintf(flag, sizeof(flag), "--batch-max=%s", bad[i]);
        assert_int_equal(LOAD(flag), MR_E(INVALID));
        assert_non_null(strstr(err.text, "is not a number in 1..10000"));
    }
    assert_int_equal(LOAD("--bytes=9223372036854775807K"), MR_E(INVALID));
    assert_int_equal(LOAD("--bytes=1ms"), MR_E(INVALID));
    assert_int_equal(LOAD("--wait=1K"), MR_E(INVALID));
}

static void
a_word_must_be_one_of_its_choices(void **state)
{
    (void)state;
    assert_int_equal(LOAD("--log-level=debug"), 0);
    assert_int_equal(LOAD("--log-level=inf"), MR_E(INVALID));
    assert_string_equal(err.text, "option --log-level: \"inf\" is none of error|info|debug");
    assert_int_equal(LOAD("--log-level="), MR_E(INVALID));
    assert_int_equal(LOAD("--log-level=error|info"), MR_E(INVALID));
    assert_int_equal(LOAD("--fast=maybe"), MR_E(INVALID));
    assert_string_equal(err.text, "option --fast: \"maybe\" is neither true nor false");
}

static void
an_address_is_a_host_and_a_port(void **state)
{
    static const char *const bad[] = { "host",   ":80",     "host:",    "host:65536", "host:-1",
                                       "host:x", "host: 1", "host:80x", "[]:80",      "host:+1" };
    char host[256];
    int port;
    (void)state;
    assert_int_equal(mr_conf_addr("127.0.0.1:0", host, sizeof(host), &port, NULL), 0);
    assert_string_equal(host, "127.0.0.1");
    assert_int_equal(port, 0);
    assert_int_equal(mr_conf_addr("[::1]:65535", host, sizeof(host), &port, NULL), 0);
    assert_string_equal(host, "::1");
    assert_int_equal(port, 65535);
    for (size_t i = 0; i < MR_COUNT(bad); i++)
        assert_int_equal(mr_conf_addr(bad[i], host, sizeof(host), &port, NULL), MR_E(INVALID));
    assert_int_equal(mr_conf_addr("abc:1", host, 4, &port, NULL), 0);
    assert_int_equal(mr_conf_addr("abcd:1", host, 4, &port, NULL), MR_E(INVALID));
    assert_int_equal(LOAD("--listen=localhost"), MR_E(INVALID));
    assert_non_null(strstr(err.text, "option --listen: \"localhost\" is not HOST:PORT"));
}

/* ---- what is not known or missing ---- */

static void
an_unknown_flag_names_the_nearest_known_one(void **state)
{
    (void)state;
    assert_int_equal(LOAD("--bach-max=3"), MR_E(INVALID));
    assert_string_equal(err.text,
                        "option --bach-max is not known; did you mean batch-max; see --help");
    assert_int_equal(LOAD("--completely-different"), MR_E(INVALID));
    assert_string_equal(err.text, "option --completely-different is not known; see --help");
    assert_int_equal(LOAD("--name"), MR_E(INVALID));
    assert_string_equal(err.text, "option --name needs a value");
}

static void
the_file_is_held_to_the_same_rules(void **state)
{
    static const struct {
        const char *file, *text;
    } cases[] = {
        { "{\"batch-max\": 0}", "key batch-max: 0 is outside 1..10000" },
        { "{\"batch_max\": 1}", "key batch_max is not known; did you mean batch-max" },
        { "{\"batch-max\": 1.5}", "must be text, a whole number or a boolean" },
        { "{\"name\": null}", "must be text, a whole number or a boolean" },
        { "{\"name\": \"ab\", \"name\": \"cd\"}", "duplicate" },
        { "[]", "must hold one JSON object" },
        { "{", ":1: " },
        { "{\"config\": \"x\"}", "key config is not known" },
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        write_file(cases[i].file);
        assert_int_equal(LOAD("--config", path), MR_E(INVALID));
        assert_non_null(strstr(err.text, cases[i].text));
        assert_int_equal(strncmp(err.text, path, strlen(path)), 0);
        assert_null(strchr(err.text, '\n'));
    }
    assert_int_equal(LOAD("--config=/nonexistent/file"), MR_E(INVALID));
    assert_non_null(strstr(err.text, "/nonexistent/file"));
}

static void
an_environment_error_names_the_variable(void **state)
{
    (void)state;
    setenv("MILLRACE_BATCH_MAX", "many", 1);
    assert_int_equal(LOAD_NOTHING(), MR_E(INVALID));
    assert_string_equal(err.text,
                        "variable MILLRACE_BATCH_MAX: \"many\" is not a number in 1..10000");
}

static void
what_must_be_given_is_asked_for_by_both_names(void **state)
{
    struct mr_conf must = { .process = "p", .summary = "", .tables = { must_table } };
    const char *const nothing[] = { NULL };
    (void)state;
    assert_int_equal(load_with(&must, nothing), MR_E(INVALID));
    assert_string_equal(err.text, "option --store is missing; give it, or set MILLRACE_STORE");
    setenv("MILLRACE_STORE", "file:/x", 1);
    assert_int_equal(load_with(&must, nothing), 0);
    assert_string_equal(options.store, "file:/x");
}

static void
a_secret_comes_by_environment_or_file_and_is_never_shown(void **state)
{
    (void)state;
    assert_int_equal(LOAD("--token=abc"), MR_E(INVALID));
    assert_null(strstr(err.text, "abc"));
    setenv("MILLRACE_TOKEN", "abc", 1);
    assert_int_equal(LOAD_NOTHING(), 0);
    assert_string_equal(options.token, "abc");
    setenv("MILLRACE_TOKEN", "abcde", 1);
    assert_int_equal(LOAD_NOTHING(), MR_E(INVALID));
    assert_null(strstr(err.text, "abcde"));
}

/* ---- what a person reads ---- */

static void
the_reference_has_a_row_for_each_option(void **state)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    (void)state;
    mr_buf_init(&text, 1 << 20);
    mr_conf_reference(&conf, &text);
    assert_non_null(strstr(text.data, "# millrace-test\n"));
    assert_non_null(strstr(text.data, "| `--batch-max` | `MILLRACE_BATCH_MAX` | number | 1..10000 "
                                      "| 1000 | Batch. |\n"));
    assert_non_null(strstr(text.data, "| `--log-level` | `MILLRACE_LOG_LEVEL` | word | "
                                      "error\\|info\\|debug | info | Level. |\n"));
    assert_non_null(strstr(text.data, "| `--config` | `MILLRACE_CONFIG` |"));
}

/* Runs load with stdout in a file; what was printed, until the next call. */
static const char *
printed(const char *flag, int *ret_result)
{
    static char text[1 << 16];
    (void)fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    assert_non_null(freopen(path, "w", stdout));
    *ret_result = LOAD("--name=x", flag);
    (void)fflush(stdout);
    assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
    (void)close(saved);
    FILE *file = fopen(path, "r");
    size_t size = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[size] = '\0';
    return text;
}

static void
questions_are_answered_before_anything_is_judged(void **state)
{
    int result;
    (void)state;
    const char *text = printed("--help", &result);
    assert_int_equal(result, 1);
    assert_non_null(strstr(text, "--batch-max"));
    assert_non_null(strstr(text, "1..10000; default 1000"));
    assert_non_null(strstr(text, "--config"));
    text = printed("--version", &result);
    assert_int_equal(result, 1);
    assert_string_equal(text, "millrace-test " MILLRACE_VERSION "\n");
    text = printed("--reference", &result);
    assert_int_equal(result, 1);
    assert_non_null(strstr(text, "| option |"));
}

/* NULL from jansson would be taken for bad input, or be written as "(null)". */
static void
json_without_memory_ends_the_process(void **state)
{
    static const char list[] = "[[1],[1],[1],[1],[1],[1],[1],[1],[1],[1]]";
    const struct rlimit none = { 1, 1 };
    int result, status;
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* it takes address space as it likes */
#endif
    (void)printed("--version", &result);
    pid_t child = fork();
    if (child == 0) {
        (void)close(STDERR_FILENO);
        if (setrlimit(RLIMIT_AS, &none) != 0)
            _exit(1);
        while (json_loads(list, 0, NULL) != NULL)
            continue;
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_anything_given_the_defaults_hold),
        TEST(a_flag_beats_the_environment_beats_the_file_beats_the_default),
        TEST(the_file_can_be_named_by_the_environment),
        TEST(a_variable_of_another_process_is_no_error),
        TEST(flags_take_their_value_behind_a_blank_or_an_equals_sign),
        TEST(words_that_are_no_flags_are_refused_or_handed_on),
        TEST(values_at_their_bounds_are_taken_and_one_beyond_is_not),
        TEST(what_is_no_number_is_refused_with_the_range),
        TEST(a_word_must_be_one_of_its_choices),
        TEST(an_address_is_a_host_and_a_port),
        TEST(an_unknown_flag_names_the_nearest_known_one),
        TEST(the_file_is_held_to_the_same_rules),
        TEST(an_environment_error_names_the_variable),
        TEST(what_must_be_given_is_asked_for_by_both_names),
        TEST(a_secret_comes_by_environment_or_file_and_is_never_shown),
        TEST(the_reference_has_a_row_for_each_option),
        TEST(questions_are_answered_before_anything_is_judged),
        TEST(json_without_memory_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
