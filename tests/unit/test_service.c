#include "service/service.h"

#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include "clock/clock.h"
#include "millrace/v1/rpc.pb-c.h"
#include "service_process.h"
#include "test.h"

enum { WAIT_MS_MAX = 20000 };

static const char *const no_arguments[] = { NULL };

static char text[1 << 16];

/* Until a GET of path answers status and its text holds part. */
static void
await_page(const struct process *process, const char *path, int status, const char *part)
{
    int64_t deadline_ms = mr_now_ms() + WAIT_MS_MAX;
    while (http_get(process->admin_port, path, text, sizeof(text)) != status ||
           strstr(text, part) == NULL) {
        if (mr_now_ms() > deadline_ms)
            fail_msg("%s never answered %d with \"%s\"; the last answer: %s", path, status, part,
                     text);
        (void)poll(NULL, 0, 5);
    }
}

static void
await_count(const atomic_int *count, int least)
{
    int64_t deadline_ms = mr_now_ms() + WAIT_MS_MAX;
    while (atomic_load(count) < least) {
        assert_true(mr_now_ms() < deadline_ms);
        (void)poll(NULL, 0, 2);
    }
}

static int
stop(struct process *process)
{
    assert_int_equal(kill(process->pid, SIGTERM), 0);
    return process_end(process);
}

/* ---- pages ---- */

static void
a_process_becomes_ready_and_shows_itself(void **state)
{
    struct process process;
    (void)state;
    process_start(&process, script_new(), no_arguments);
    await_page(&process, "/ready", 200, "ready");
    assert_int_equal(http_get(process.admin_port, "/live", text, sizeof(text)), 200);
    await_page(&process, "/metrics", 200, "\nmillrace_state 1\n");
    assert_non_null(strstr(text, "\nmillrace_process_start_time_seconds 1"));
    assert_non_null(strstr(text, "# TYPE millrace_scripts_total counter"));
    assert_non_null(strstr(text, "\nmillrace_step_errors_total 0\n"));
    assert_non_null(strstr(text, "\nprocess_cpu_seconds_total 0."));
    assert_null(strstr(text, "\nprocess_resident_memory_bytes 0\n"));
    assert_int_equal(http_get(process.admin_port, "/nothing", text, sizeof(text)), 404);
    assert_int_equal(stop(&process), 0);
}

static void
status_is_one_object_around_what_the_process_says(void **state)
{
    struct process process;
    (void)state;
    process_start(&process, script_new(), no_arguments);
    await_page(&process, "/status", 200, "\"parts\"");
    json_t *status = json_loads(strstr(text, "\r\n\r\n"), 0, NULL);
    const char *name, *instance, *now, *why;
    json_t *parts;
    assert_int_equal(json_unpack(status, "{s:s, s:s, s:s, s:s, s:{s:o}}", "process", &name,
                                 "instance", &instance, "state", &now, "why", &why, "detail",
                                 "parts", &parts),
                     0);
    assert_string_equal(name, "millrace-script");
    assert_string_equal(instance, "one");
    assert_string_equal(now, "ready");
    assert_string_equal(why, "");
    assert_int_equal(json_array_size(parts), 2);
    json_decref(status);
    assert_int_equal(stop(&process), 0);
}

static void
without_an_admin_port_rpc_and_signals_still_work(void **state)
{
    struct process process;
    struct mr_rpc_client *client = NULL;
    struct mr_rpc_answer answer;
    struct mr_err err = { 0 };
    (void)state;
    process_start(&process, script_new(), (const char *const[]){ "--admin=", NULL });
    assert_int_equal(process.admin_port, 0);
    assert_int_equal(mr_rpc_dial(process.rpc, &client, &err), 0);
    assert_int_equal(mr_rpc_call(client, "Echo", MR_SLICE("x"), WAIT_MS_MAX, &answer, &err), 0);
    assert_int_equal(answer.status, MR_RPC_OK);
    mr_rpc_close(client);
    assert_int_equal(stop(&process), 0);
}

/* ---- states ---- */

static void
a_step_to_be_tried_again_makes_it_wait_with_the_reason(void **state)
{
    struct process process;
    struct script *script = script_new();
    (void)state;
    atomic_store(&script->step, ORDER_RETRY);
    process_start(&process, script, no_arguments);
    await_page(&process, "/ready", 503, "waiting: the broker \"b\" is away");
    await_count(&script->steps, 2);
    atomic_store(&script->step, ORDER_WORK);
    await_page(&process, "/ready", 200, "ready");
    http_get(process.admin_port, "/metrics", text, sizeof(text));
    assert_null(strstr(text, "\nmillrace_step_errors_total 0\n"));
    assert_int_equal(stop(&process), 0);
}

static void
steps_that_succeed_do_not_make_it_ready_when_it_says_why_not(void **state)
{
    struct process process;
    struct script *script = script_new();
    (void)state;
    atomic_store(&script->is_unready, true);
    process_start(&process, script, no_arguments);
    await_page(&process, "/ready", 503, "no partition is assigned");
    atomic_store(&script->is_unready, false);
    await_page(&process, "/ready", 200, "ready");
    atomic_store(&script->is_unready, true);
    await_page(&process, "/ready", 503, "waiting: no partition is assigned");
    assert_int_equal(stop(&process), 0);
}

static void
a_step_that_does_not_come_back_for_5_s_is_shown_while_it_hangs(void **state)
{
    struct process process;
    struct script *script = script_new();
    (void)state;
    atomic_store(&script->is_clock_held, true);
    process_start(&process, script, no_arguments);
    await_page(&process, "/ready", 200, "ready");
    atomic_store(&script->step, ORDER_HANG);
    await_page(&process, "/ready", 503, "a step has not come back for 5 s");
    await_page(&process, "/metrics", 200, "\nmillrace_state 2\n");
    atomic_store(&script->step, ORDER_WORK);
    await_page(&process, "/ready", 200, "ready");
    assert_int_equal(stop(&process), 0);
}

static void
a_fatal_step_ends_the_process_with_1(void **state)
{
    struct process process;
    struct script *script = script_new();
    (void)state;
    atomic_store(&script->step, ORDER_BREAK);
    process_start(&process, script, no_arguments);
    process_await_log(&process, "code=FENCED reason=\"somebody took over\"");
    assert_int_equal(atomic_load(&script->drains), 0);
    assert_int_equal(process_end(&process), 1);
}

static void
an_identity_that_does_not_fit_ends_the_process_with_2(void **state)
{
    struct process process;
    struct script *script = script_new();
    (void)state;
    atomic_store(&script->step, ORDER_IDENTITY);
    process_start(&process, script, no_arguments);
    assert_int_equal(process_end(&process), 2);
}

/* ---- signals ---- */

static void
a_signal_drains_once_and_ends_with_0(void **state)
{
    static const int signals[] = { SIGTERM, SIGINT };
    (void)state;
    for (size_t i = 0; i < MR_COUNT(signals); i++) {
        struct process process;
        struct script *script = script_new();
        process_start(&process, script, no_arguments);
        await_page(&process, "/ready", 200, "ready");
        assert_int_equal(kill(process.pid, signals[i]), 0);
        process_await_log(&process, "to=stopped");
        assert_int_equal(atomic_load(&script->drains), 1);
        assert_int_equal(process_end(&process), 0);
    }
}

static void
while_it_drains_it_is_not_ready_and_takes_no_calls(void **state)
{
    struct process process;
    struct script *script = script_new();
    struct mr_rpc_client *client = NULL;
    struct mr_rpc_answer answer;
    struct mr_err err = { 0 };
    (void)state;
    atomic_store(&script->drain, ORDER_HANG);
    process_start(&process, script, no_arguments);
    assert_int_equal(mr_rpc_dial(process.rpc, &client, &err), 0);
    assert_int_equal(kill(process.pid, SIGTERM), 0);
    await_page(&process, "/ready", 503, "draining");
    assert_int_equal(mr_rpc_call(client, "Echo", MR_SLICE("x"), WAIT_MS_MAX, &answer, &err), 0);
    assert_int_equal(answer.status, MR_RPC_UNAVAILABLE);
    atomic_store(&script->drain, ORDER_WORK);
    mr_rpc_close(client);
    assert_int_equal(process_end(&process), 0);
}

static void
a_drain_that_fails_ends_with_1(void **state)
{
    struct process process;
    struct script *script = script_new();
    (void)state;
    atomic_store(&script->drain, ORDER_RETRY);
    process_start(&process, script, no_arguments);
    assert_int_equal(stop(&process), 1);
}

static void
a_second_signal_ends_a_hanging_drain_with_1(void **state)
{
    struct process process;
    struct script *script = script_new();
    (void)state;
    atomic_store(&script->drain, ORDER_HANG);
    process_start(&process, script, no_arguments);
    assert_int_equal(kill(process.pid, SIGTERM), 0);
    await_count(&script->drains, 1);
    assert_int_equal(stop(&process), 1);
}

static void
the_drain_deadline_ends_a_hanging_drain_with_1(void **state)
{
    struct process process;
    struct script *script = script_new();
    (void)state;
    atomic_store(&script->drain, ORDER_HANG);
    process_start(&process, script, (const char *const[]){ "--drain-ms=100ms", NULL });
    assert_int_equal(stop(&process), 1);
}

static void
a_reload_that_is_refused_is_logged_and_the_process_goes_on(void **state)
{
    struct process process;
    struct script *script = script_new();
    (void)state;
    process_start(&process, script, no_arguments);
    assert_int_equal(kill(process.pid, SIGHUP), 0);
    process_await_log(&process, "event=reload-refused");
    process_await_log(&process, "version is not raised");
    await_count(&script->steps, atomic_load(&script->steps) + 2);
    assert_int_equal(atomic_load(&script->reloads), 1);
    assert_int_equal(stop(&process), 0);
}

/* Time stands still, so the pause before the next try would never be over by itself. */
static void
a_pause_before_the_next_try_serves_calls_and_ends_at_a_signal(void **state)
{
    struct process process;
    struct script *script = script_new();
    struct mr_rpc_client *client = NULL;
    struct mr_rpc_answer answer;
    struct mr_err err = { 0 };
    (void)state;
    atomic_store(&script->is_clock_held, true);
    atomic_store(&script->step, ORDER_RETRY);
    process_start(&process, script, no_arguments);
    await_page(&process, "/ready", 503, "away");
    assert_int_equal(mr_rpc_dial(process.rpc, &client, &err), 0);
    assert_int_equal(mr_rpc_call(client, "Echo", MR_SLICE("x"), WAIT_MS_MAX, &answer, &err), 0);
    assert_int_equal(answer.status, MR_RPC_OK);
    assert_int_equal(atomic_load(&script->steps), 1);
    mr_rpc_close(client);
    assert_int_equal(stop(&process), 0);
}

/* ---- rpc ---- */

static void
status_is_answered_by_rpc_while_a_step_hangs(void **state)
{
    struct process process;
    struct script *script = script_new();
    struct mr_rpc_client *client = NULL;
    struct mr_rpc_answer answer;
    struct mr_err err = { 0 };
    (void)state;
    process_start(&process, script, no_arguments);
    await_page(&process, "/status", 200, "\"parts\"");
    atomic_store(&script->step, ORDER_HANG);
    assert_int_equal(mr_rpc_dial(process.rpc, &client, &err), 0);
    assert_int_equal(mr_rpc_call(client, "Status", MR_SLICE(""), WAIT_MS_MAX, &answer, &err), 0);
    assert_int_equal(answer.status, MR_RPC_OK);
    Millrace__V1__StatusReply *reply =
        millrace__v1__status_reply__unpack(NULL, answer.body.size, answer.body.data);
    assert_string_equal(reply->process, "millrace-script");
    assert_string_equal(reply->instance, "one");
    assert_string_equal(reply->state, "ready");
    assert_string_equal(reply->version, MR_VERSION_TEXT);
    assert_non_null(strstr(reply->json, "{\"parts\":[1,2]}"));
    millrace__v1__status_reply__free_unpacked(reply, NULL);
    mr_rpc_close(client);
    atomic_store(&script->step, ORDER_WORK);
    assert_int_equal(stop(&process), 0);
}

static void
a_process_without_verbs_says_unimplemented(void **state)
{
    struct process process;
    struct script *script = script_new();
    struct mr_rpc_client *client = NULL;
    struct mr_rpc_answer answer;
    struct mr_err err = { 0 };
    (void)state;
    atomic_store(&script->has_no_calls, true);
    process_start(&process, script, no_arguments);
    assert_int_equal(mr_rpc_dial(process.rpc, &client, &err), 0);
    assert_int_equal(mr_rpc_call(client, "Echo", MR_SLICE("x"), WAIT_MS_MAX, &answer, &err), 0);
    assert_int_equal(answer.status, MR_RPC_UNIMPLEMENTED);
    mr_rpc_close(client);
    assert_int_equal(stop(&process), 0);
}

/* ---- refusals ---- */

static void
what_a_person_must_mend_is_refused_with_2_and_the_rest_with_1(void **state)
{
    static const int mend[] = { MR_E(INVALID), MR_E(NOT_FOUND), MR_E(UNSUPPORTED), MR_E(IDENTITY),
                                MR_E(IO) };
    static const int rest[] = { MR_E(UNAVAILABLE), MR_E(TIMEOUT), MR_E(DENIED), MR_E(FENCED) };
    (void)state;
    for (size_t i = 0; i < MR_COUNT(mend); i++)
        assert_int_equal(mr_service_refuse("test", &(struct mr_err){ .code = mend[i] }), 2);
    for (size_t i = 0; i < MR_COUNT(rest); i++)
        assert_int_equal(mr_service_refuse("test", &(struct mr_err){ .code = rest[i] }), 1);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_becomes_ready_and_shows_itself),
        cmocka_unit_test(status_is_one_object_around_what_the_process_says),
        cmocka_unit_test(without_an_admin_port_rpc_and_signals_still_work),
        cmocka_unit_test(a_step_to_be_tried_again_makes_it_wait_with_the_reason),
        cmocka_unit_test(steps_that_succeed_do_not_make_it_ready_when_it_says_why_not),
        cmocka_unit_test(a_step_that_does_not_come_back_for_5_s_is_shown_while_it_hangs),
        cmocka_unit_test(a_fatal_step_ends_the_process_with_1),
        cmocka_unit_test(an_identity_that_does_not_fit_ends_the_process_with_2),
        cmocka_unit_test(a_signal_drains_once_and_ends_with_0),
        cmocka_unit_test(while_it_drains_it_is_not_ready_and_takes_no_calls),
        cmocka_unit_test(a_drain_that_fails_ends_with_1),
        cmocka_unit_test(a_second_signal_ends_a_hanging_drain_with_1),
        cmocka_unit_test(the_drain_deadline_ends_a_hanging_drain_with_1),
        cmocka_unit_test(a_reload_that_is_refused_is_logged_and_the_process_goes_on),
        cmocka_unit_test(a_pause_before_the_next_try_serves_calls_and_ends_at_a_signal),
        cmocka_unit_test(status_is_answered_by_rpc_while_a_step_hangs),
        cmocka_unit_test(a_process_without_verbs_says_unimplemented),
        cmocka_unit_test(what_a_person_must_mend_is_refused_with_2_and_the_rest_with_1),
    };
    if (argc > 1 && strcmp(argv[1], PROCESS_FLAG) == 0)
        return process_main(argc - 1, argv + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
