/*
 * What the door tells of its requests: the access log, their trace context, and the metrics by
 * dialect, status, tenant and reason.
 */
#include "gate.h"
#include "gateway/trace.h"
#include "gateway/visit.h"

#include "clock/clock.h"
#include "log/log.h"

#include <stdio.h>
#include <stdlib.h>

#define T     "12b287eedf6d.pin"
#define JSON  "Content-Type: application/vnd.kafka.json.v2+json\r\n"
#define ONE   MR_SLICE("{\"records\":[{\"value\":{\"index\":7528}}]}")
#define EMPTY MR_SLICE("")
#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* A door whose log lines go into a buffer. */
struct scene {
    struct gate gate;
    struct mr_buf log;
};

static void
scene_open(struct scene *scene, const char *access_log)
{
    mr_buf_init(&scene->log, 1 << 20);
    gate_open(&scene->gate, &(struct gate_wish){ .topic = T, .access_log = access_log });
    mr_log_capture(&scene->log);
}

static void
scene_close(struct scene *scene)
{
    mr_log_capture(NULL);
    gate_close(&scene->gate);
    mr_buf_fini(&scene->log);
}

static int
call(struct scene *scene, const char *method, const char *path, const char *headers,
     struct mr_slice body)
{
    struct answer answer;
    gate_call(&scene->gate, method, path, headers, body, &answer);
    answer_fini(&answer);
    return answer.status;
}

/* The lines of requests, not of what else the door has to say. */
static int
lines_of(const struct scene *scene)
{
    int count = 0;
    for (const char *at = scene->log.data;
         at != NULL && (at = strstr(at, " event=request ")) != NULL; at++)
        count++;
    return count;
}

/* The value of a key in the last line of a request. */
static void
value_of(const struct scene *scene, const char *key, char *ret, size_t size)
{
    const char *line = NULL;
    char word[32];
    (void)snprintf(word, sizeof(word), " %s=", key);
    for (const char *at = scene->log.data; (at = strstr(at, " event=request ")) != NULL; at++)
        line = at;
    assert_non_null(line);
    const char *value = strstr(line, word);
    assert_non_null(value);
    value += strlen(word);
    (void)snprintf(ret, size, "%.*s", (int)strcspn(value, " \n"), value);
}

static void
check_value(const struct scene *scene, const char *key, const char *expected)
{
    char value[1024];
    value_of(scene, key, value, sizeof(value));
    assert_string_equal(value, expected);
}

static bool
has_metric(struct scene *scene, const char *line)
{
    struct mr_buf text;
    mr_buf_init(&text, 8 << 20);
    mr_metrics_write(scene->gate.metrics, &text);
    bool has = strstr(text.data, line) != NULL;
    mr_buf_fini(&text);
    return has;
}

/* ---- the access log ---- */

static void
a_line_says_what_was_asked_and_answered(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "all");
    assert_int_equal(call(&scene, "POST", "/prod/topics/" T, JSON, ONE), 200);
    assert_int_equal(lines_of(&scene), 1);
    check_value(&scene, "dialect", "rest");
    check_value(&scene, "method", "POST");
    check_value(&scene, "path", "/prod/topics/" T);
    check_value(&scene, "status", "200");
    check_value(&scene, "principal", "-");
    check_value(&scene, "body_bytes", "38");
    check_value(&scene, "answer_bytes", "115");
    check_value(&scene, "events", "1");
    scene_close(&scene);
}

static void
errors_are_those_from_400_on(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "errors");
    assert_int_equal(call(&scene, "GET", "/", "", EMPTY), 200);
    assert_int_equal(lines_of(&scene), 0);
    assert_int_equal(call(&scene, "GET", "/nothing", "", EMPTY), 404);
    assert_int_equal(lines_of(&scene), 1);
    scene_close(&scene);
}

static void
of_n_requests_one_has_a_line_and_each_that_failed_at_ours(void **state)
{
    (void)state;
    struct scene scene;
    const struct mr_err full = { MR_E(FULL), MR_RETRY, "the queue is full" };
    scene_open(&scene, "3");
    for (int i = 0; i < 7; i++)
        assert_int_equal(call(&scene, "GET", "/nothing", "", EMPTY), 404);
    assert_int_equal(lines_of(&scene), 2);
    mr_bus_memory_fault(scene.gate.bus, "produce", 0, 1, &full);
    assert_int_equal(call(&scene, "POST", "/topics/" T, JSON, ONE), 503);
    assert_int_equal(lines_of(&scene), 3);
    check_value(&scene, "status", "503");
    scene_close(&scene);
}

static void
off_is_silent(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "off");
    assert_int_equal(call(&scene, "GET", "/nothing", "", EMPTY), 404);
    assert_int_equal(lines_of(&scene), 0);
    scene_close(&scene);
}

static void
what_the_server_itself_refuses_has_a_line(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "errors");
    assert_int_equal(call(&scene, "GET", "/a/%2e%2e/b", "", EMPTY), 400);
    assert_int_equal(lines_of(&scene), 1);
    check_value(&scene, "dialect", "none");
    check_value(&scene, "status", "400");
    check_value(&scene, "trace", "-");
    assert_true(
        has_metric(&scene, "millrace_gateway_requests_total{dialect=\"none\",status=\"4xx\"} 1\n"));
    assert_true(has_metric(&scene, "millrace_gateway_refused_total{reason=\"HTTP_400\"} 1\n"));
    scene_close(&scene);
}

static void
no_secret_reaches_the_log(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "all");
    (void)call(&scene, "POST", "/topics/" T "?token=hush",
               JSON "Authorization: Bearer hush\r\nx-api-key: hush\r\nIdempotency-Key: hush\r\n"
                    "Cookie: hush\r\nUser-Agent: hush\r\n",
               MR_SLICE("{\"records\":[{\"value\":{\"password\":\"hush\"}}]}"));
    assert_int_equal(lines_of(&scene), 1);
    assert_null(strstr(scene.log.data, "hush"));
    scene_close(&scene);
}

static void
no_path_makes_a_line_or_a_field_of_its_own(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "all");
    (void)call(&scene, "GET", "/x%20event=forged%22%5B2J%C2%9B/%E2%80%A8%25", "", EMPTY);
    assert_int_equal(lines_of(&scene), 1);
    check_value(&scene, "path", "/x%20event%3Dforged%22%5B2J%C2%9B/%E2%80%A8%25");
    (void)call(&scene, "GET", "/x%0Aevent=forged", "", EMPTY);
    assert_int_equal(lines_of(&scene), 2);
    check_value(&scene, "path", "-");
    scene_close(&scene);
}

static void
a_flood_is_bounded_and_counted(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "all");
    mr_clock_hold(1000, 0);
    for (int i = 0; i < VISITS_LINES_PER_S_MAX + 7; i++)
        (void)call(&scene, "GET", "/", "", EMPTY);
    assert_int_equal(lines_of(&scene), VISITS_LINES_PER_S_MAX);
    assert_true(has_metric(&scene, "millrace_gateway_access_lines_dropped_total 7\n"));
    mr_clock_crank(1000);
    (void)call(&scene, "GET", "/", "", EMPTY);
    assert_int_equal(lines_of(&scene), VISITS_LINES_PER_S_MAX + 1);
    mr_clock_release();
    scene_close(&scene);
}

static void
an_option_that_says_nothing_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "none", "0", "-1", "3x", "99999999999999999999" };
    struct mr_metrics *metrics = mr_metrics_open(gateway_metrics, gateway_metrics_count);
    for (size_t i = 0; i < MR_COUNT(bad); i++) {
        struct visits *visits = NULL;
        struct mr_err err = { 0 };
        assert_int_equal(visits_open(bad[i], metrics, &visits, &err), MR_E(INVALID));
        assert_non_null(strstr(err.text, "--access-log"));
    }
    mr_metrics_close(metrics);
}

/* ---- trace context ---- */

static void
a_trace_is_taken_only_when_it_is_well_formed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        TRACE "-more",
        "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        TRACE ", " TRACE,
    };
    char trace[TRACE_TEXT + 1];
    for (size_t i = 0; i < MR_COUNT(bad); i++)
        assert_false(trace_take(mr_slice_text(bad[i]), trace));
    assert_true(trace_take(MR_SLICE(TRACE), trace));
    assert_string_equal(trace, TRACE);
    assert_true(trace_take(
        MR_SLICE("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-else"), trace));
    assert_string_equal(trace, TRACE);
}

static void
a_made_trace_is_well_formed_and_another_each_time(void **state)
{
    (void)state;
    char first[TRACE_TEXT + 1], second[TRACE_TEXT + 1], again[TRACE_TEXT + 1];
    trace_make(0x1234, first);
    trace_make(0x1234, second);
    assert_true(trace_take(mr_slice_text(first), again));
    assert_string_equal(first + 35, "-0000000000001234-00");
    assert_memory_not_equal(first + TRACE_ID_AT, second + TRACE_ID_AT, TRACE_ID_TEXT);
}

static void
the_log_and_the_event_have_one_trace(void **state)
{
    (void)state;
    struct scene scene;
    struct stored stored;
    char id[64], trace[64], expected[160];
    scene_open(&scene, "all");
    assert_int_equal(call(&scene, "POST", "/topics/" T, JSON "traceparent: " TRACE "\r\n", ONE),
                     200);
    check_value(&scene, "trace", "0af7651916cd43dd8448eb211c80319c");
    assert_int_equal(call(&scene, "POST", "/topics/" T, JSON, ONE), 200);
    value_of(&scene, "id", id, sizeof(id));
    value_of(&scene, "trace", trace, sizeof(trace));
    (void)snprintf(expected, sizeof(expected), "00-%s-%s-00", trace, id);
    stored_read(&scene.gate, T, &stored);
    assert_int_equal(stored.count, 2);
    assert_string_equal(stored.provenance[0]->traceparent, TRACE);
    assert_string_equal(stored.provenance[1]->traceparent, expected);
    stored_fini(&stored);
    scene_close(&scene);
}

/* ---- metrics ---- */

static void
requests_are_counted_by_tenant_and_reason_and_size(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "off");
    assert_int_equal(call(&scene, "POST", "/topics/" T, JSON, ONE), 200);
    assert_int_equal(call(&scene, "POST", "/topics/nobody.pin", JSON, ONE), 404);
    assert_true(has_metric(&scene, "millrace_gateway_tenant_requests_total{tenant=\"12b287eedf6d\""
                                   ",status=\"2xx\"} 1\n"));
    assert_true(has_metric(
        &scene, "millrace_gateway_tenant_requests_total{tenant=\"other\",status=\"4xx\"} 1\n"));
    assert_false(has_metric(&scene, "tenant=\"nobody\""));
    assert_true(has_metric(&scene, "millrace_gateway_refused_total{reason=\"TOPIC\"} 1\n"));
    assert_true(has_metric(&scene, "millrace_gateway_request_seconds_count{dialect=\"rest\"} 2\n"));
    assert_true(has_metric(
        &scene, "millrace_gateway_request_body_bytes_bucket{dialect=\"rest\",le=\"16\"} 0\n"));
    assert_true(has_metric(
        &scene, "millrace_gateway_request_body_bytes_bucket{dialect=\"rest\",le=\"64\"} 2\n"));
    assert_true(
        has_metric(&scene, "millrace_gateway_request_body_bytes_sum{dialect=\"rest\"} 76\n"));
    scene_close(&scene);
}

static void
tenants_beyond_the_limit_are_others(void **state)
{
    (void)state;
    struct gate gate;
    struct mr_buf text;
    gate_open(&gate, &(struct gate_wish){ .auto_topics = true });
    for (int i = 0; i < VISITS_TENANTS_MAX + 2; i++) {
        char path[64];
        struct answer answer;
        (void)snprintf(path, sizeof(path), "/v1/events/t%d/pin", i);
        gate_call(&gate, "POST", path, "", MR_SLICE("{}"), &answer);
        assert_int_equal(answer.status, 200);
        answer_fini(&answer);
    }
    mr_buf_init(&text, 8 << 20);
    mr_metrics_write(gate.metrics, &text);
    assert_non_null(strstr(text.data, "_tenant_requests_total{tenant=\"t99\",status=\"2xx\"} 1\n"));
    assert_null(strstr(text.data, "_tenant_requests_total{tenant=\"t100\""));
    assert_non_null(
        strstr(text.data, "_tenant_requests_total{tenant=\"other\",status=\"2xx\"} 2\n"));
    mr_buf_fini(&text);
    gate_close(&gate);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_what_was_asked_and_answered),
        cmocka_unit_test(errors_are_those_from_400_on),
        cmocka_unit_test(of_n_requests_one_has_a_line_and_each_that_failed_at_ours),
        cmocka_unit_test(off_is_silent),
        cmocka_unit_test(what_the_server_itself_refuses_has_a_line),
        cmocka_unit_test(no_secret_reaches_the_log),
        cmocka_unit_test(no_path_makes_a_line_or_a_field_of_its_own),
        cmocka_unit_test(a_flood_is_bounded_and_counted),
        cmocka_unit_test(an_option_that_says_nothing_is_refused),
        cmocka_unit_test(a_trace_is_taken_only_when_it_is_well_formed),
        cmocka_unit_test(a_made_trace_is_well_formed_and_another_each_time),
        cmocka_unit_test(the_log_and_the_event_have_one_trace),
        cmocka_unit_test(requests_are_counted_by_tenant_and_reason_and_size),
        cmocka_unit_test(tenants_beyond_the_limit_are_others),
    };
    return cmocka_run_group_tests_name("visit", tests, NULL, NULL);
}
