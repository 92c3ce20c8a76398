#include "rpc/rpc.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock/clock.h"
#include "test.h"

enum { WAIT_MS = 20000, SHORT_MS = 50 };

static int
set_up(void **state)
{
    struct mr_rpc_server *server = NULL;
    struct mr_err err = { 0 };
    if (mr_rpc_serve("tcp://127.0.0.1:0", &server, &err) != 0)
        fail_msg("%s", err.text);
    *state = server;
    return 0;
}

static int
tear_down(void **state)
{
    mr_rpc_close_server(*state);
    return 0;
}

/* ---- callers, each in a thread of its own ---- */

struct caller {
    pthread_t thread;
    char url[128];
    char method[16];
    int64_t timeout_ms;
    int result, status;
    char body[64];
    struct mr_err err;
};

static void *
run_caller(void *self)
{
    struct caller *caller = self;
    struct mr_rpc_client *client = NULL;
    struct mr_rpc_answer answer;
    caller->result = mr_rpc_dial(caller->url, &client, &caller->err);
    if (caller->result == 0)
        caller->result = mr_rpc_call(client, caller->method, mr_slice_text(caller->method),
                                     caller->timeout_ms, &answer, &caller->err);
    if (caller->result == 0) {
        caller->status = answer.status;
        (void)snprintf(caller->body, sizeof(caller->body), "%.*s", (int)answer.body.size,
                       (const char *)answer.body.data);
    }
    mr_rpc_close(client);
    return NULL;
}

static void
caller_start(struct caller *caller, const struct mr_rpc_server *server, const char *method,
             int64_t timeout_ms)
{
    *caller = (struct caller){ .timeout_ms = timeout_ms };
    (void)snprintf(caller->url, sizeof(caller->url), "%s", mr_rpc_url(server));
    (void)snprintf(caller->method, sizeof(caller->method), "%s", method);
    assert_int_equal(pthread_create(&caller->thread, NULL, run_caller, caller), 0);
}

static void
caller_join(struct caller *caller)
{
    assert_int_equal(pthread_join(caller->thread, NULL), 0);
}

static struct mr_rpc_call *
take(struct mr_rpc_server *server)
{
    struct mr_rpc_call *call = mr_rpc_take(server, WAIT_MS);
    assert_non_null(call);
    return call;
}

static void
echo(struct mr_rpc_call *call)
{
    mr_rpc_reply(call, &(struct mr_rpc_answer){ .body = call->body, .is_last = true });
}

/* ---- calls ---- */

static void
a_call_carries_its_fields_there_and_back_over_each_transport(void **state)
{
    char file[64];
    (void)state;
    (void)snprintf(file, sizeof(file), "ipc:///tmp/millrace-rpc-%d", (int)getpid());
    const char *const urls[] = { "tcp://127.0.0.1:0", "inproc://here", file };
    for (size_t i = 0; i < MR_COUNT(urls); i++) {
        struct mr_rpc_server *server = NULL;
        struct caller caller;
        assert_int_equal(mr_rpc_serve(urls[i], &server, NULL), 0);
        assert_null(strstr(mr_rpc_url(server), ":0"));
        int64_t before_ms = mr_now_ms();
        caller_start(&caller, server, "Echo", WAIT_MS);
        struct mr_rpc_call *call = take(server);
        assert_string_equal(call->method, "Echo");
        assert_true(mr_slice_is_text(call->body, "Echo"));
        assert_in_range(call->deadline_ms, before_ms + WAIT_MS, mr_now_ms() + WAIT_MS);
        assert_int_equal(strlen(call->id), MR_UUID_TEXT);
        echo(call);
        caller_join(&caller);
        assert_int_equal(caller.result, 0);
        assert_int_equal(caller.status, MR_RPC_OK);
        assert_string_equal(caller.body, "Echo");
        mr_rpc_close_server(server);
    }
}

static void *
answer_with_everything(void *server)
{
    mr_rpc_reply(take(server), &(struct mr_rpc_answer){ .status = MR_RPC_NOT_FOUND,
                                                        .message = "no such cursor",
                                                        .body = MR_SLICE("abc"),
                                                        .cursor = "c1",
                                                        .sequence = 7 });
    mr_rpc_reply(take(server),
                 &(struct mr_rpc_answer){ .status = MR_RPC_UNIMPLEMENTED, .is_last = true });
    return NULL;
}

static void
an_answer_has_status_message_body_cursor_and_sequence(void **state)
{
    struct mr_rpc_client *client = NULL;
    struct mr_rpc_answer answer;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer_with_everything, *state), 0);
    assert_int_equal(mr_rpc_dial(mr_rpc_url(*state), &client, NULL), 0);
    assert_int_equal(mr_rpc_call(client, "Next", MR_SLICE(""), WAIT_MS, &answer, NULL), 0);
    assert_int_equal(answer.status, MR_RPC_NOT_FOUND);
    assert_string_equal(answer.message, "no such cursor");
    assert_true(mr_slice_is_text(answer.body, "abc"));
    assert_string_equal(answer.cursor, "c1");
    assert_int_equal(answer.sequence, 7);
    assert_false(answer.is_last);
    assert_int_equal(mr_rpc_call(client, "Next", MR_SLICE(""), WAIT_MS, &answer, NULL), 0);
    assert_string_equal(answer.message, "UNIMPLEMENTED");
    assert_null(answer.cursor);
    assert_true(answer.is_last);
    assert_int_equal(pthread_join(thread, NULL), 0);
    mr_rpc_close(client);
}

static void
calls_can_be_answered_in_any_order(void **state)
{
    struct caller first, second;
    caller_start(&first, *state, "first", WAIT_MS);
    struct mr_rpc_call *first_call = take(*state);
    caller_start(&second, *state, "second", WAIT_MS);
    struct mr_rpc_call *second_call = take(*state);
    echo(second_call);
    caller_join(&second);
    echo(first_call);
    caller_join(&first);
    assert_string_equal(first.body, "first");
    assert_string_equal(second.body, "second");
}

static void
the_descriptor_is_readable_when_a_call_waits(void **state)
{
    struct caller caller;
    struct pollfd fd = { .fd = mr_rpc_fd(*state), .events = POLLIN };
    assert_null(mr_rpc_take(*state, 0));
    assert_int_equal(poll(&fd, 1, 0), 0);
    caller_start(&caller, *state, "Echo", WAIT_MS);
    assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
    struct mr_rpc_call *call = mr_rpc_take(*state, 0);
    assert_non_null(call);
    assert_null(mr_rpc_take(*state, 0));
    assert_int_equal(poll(&fd, 1, 0), 0);
    echo(call);
    caller_join(&caller);
}

/* ---- deadlines ---- */

static void
without_an_answer_a_call_ends_at_its_deadline(void **state)
{
    struct caller caller;
    caller_start(&caller, *state, "Slow", SHORT_MS);
    struct mr_rpc_call *call = take(*state);
    caller_join(&caller);
    assert_int_equal(caller.result, MR_E(TIMEOUT));
    assert_int_equal(caller.err.remedy, MR_RETRY);
    assert_non_null(strstr(caller.err.text, "Slow of tcp://127.0.0.1:"));
    echo(call);    /* nobody is there any more */
    *state = NULL; /* not closed with a reply on its way */
}

static void
a_call_whose_deadline_has_passed_is_not_handed_out(void **state)
{
    struct caller caller, other;
    struct pollfd fd = { .fd = mr_rpc_fd(*state), .events = POLLIN };
    mr_clock_hold(1000, 0);
    caller_start(&caller, *state, "late", SHORT_MS);
    assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
    caller_join(&caller);
    assert_int_equal(caller.result, MR_E(TIMEOUT));
    mr_clock_crank(SHORT_MS + 1);
    assert_null(mr_rpc_take(*state, 0));
    mr_clock_release();
    caller_start(&other, *state, "other", WAIT_MS);
    struct mr_rpc_call *call = take(*state);
    assert_string_equal(call->method, "other");
    echo(call);
    caller_join(&other);
}

static void *
answer_late(void *server)
{
    struct mr_rpc_call *first = take(server), *second = take(server);
    mr_rpc_reply(first, &(struct mr_rpc_answer){ .body = MR_SLICE("late") });
    mr_rpc_reply(second, &(struct mr_rpc_answer){ .body = MR_SLICE("right") });
    return NULL;
}

static void
a_late_answer_is_not_taken_for_that_of_the_next_call(void **state)
{
    struct mr_rpc_client *client = NULL;
    struct mr_rpc_answer answer;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer_late, *state), 0);
    assert_int_equal(mr_rpc_dial(mr_rpc_url(*state), &client, NULL), 0);
    assert_int_equal(mr_rpc_call(client, "A", MR_SLICE(""), SHORT_MS, &answer, NULL),
                     MR_E(TIMEOUT));
    assert_int_equal(mr_rpc_call(client, "B", MR_SLICE(""), WAIT_MS, &answer, NULL), 0);
    assert_true(mr_slice_is_text(answer.body, "right"));
    assert_int_equal(pthread_join(thread, NULL), 0);
    mr_rpc_close(client);
}

/* ---- peers that are away ---- */

static void
where_nobody_listens_a_call_says_so(void **state)
{
    struct caller caller;
    char url[128];
    (void)snprintf(url, sizeof(url), "%s", mr_rpc_url(*state));
    mr_rpc_close_server(MR_TAKE(*state));
    caller = (struct caller){ .timeout_ms = SHORT_MS, .method = "Echo" };
    (void)snprintf(caller.url, sizeof(caller.url), "%s", url);
    (void)run_caller(&caller);
    assert_int_equal(caller.result, MR_E(UNAVAILABLE));
    assert_non_null(strstr(caller.err.text, url));
}

static void
a_call_is_lost_at_once_when_its_server_goes(void **state)
{
    struct caller caller;
    caller_start(&caller, *state, "Echo", MR_RPC_TIMEOUT_MAX_MS);
    (void)take(*state);
    mr_rpc_close_server(MR_TAKE(*state));
    caller_join(&caller);
    assert_int_equal(caller.result, MR_E(UNAVAILABLE));
}

static void
a_client_finds_a_server_that_starts_later(void **state)
{
    struct caller caller;
    char url[128];
    (void)snprintf(url, sizeof(url), "%s", mr_rpc_url(*state));
    caller_start(&caller, *state, "Echo", WAIT_MS);
    echo(take(*state));
    caller_join(&caller);
    mr_rpc_close_server(MR_TAKE(*state));
    caller = (struct caller){ .timeout_ms = WAIT_MS, .method = "Again" };
    (void)snprintf(caller.url, sizeof(caller.url), "%s", url);
    assert_int_equal(pthread_create(&caller.thread, NULL, run_caller, &caller), 0);
    struct mr_rpc_server *server = NULL;
    assert_int_equal(mr_rpc_serve(url, &server, NULL), 0);
    echo(take(server));
    caller_join(&caller);
    assert_string_equal(caller.body, "Again");
    mr_rpc_close_server(server);
}

static void
a_url_that_cannot_be_served_is_refused(void **state)
{
    struct mr_rpc_server *server = NULL;
    struct mr_rpc_client *client = NULL;
    struct mr_err err = { 0 };
    assert_int_equal(mr_rpc_serve(mr_rpc_url(*state), &server, &err), MR_E(UNAVAILABLE));
    assert_non_null(strstr(err.text, mr_rpc_url(*state)));
    assert_int_equal(mr_rpc_serve("nowhere", &server, NULL), MR_E(INVALID));
    assert_int_equal(mr_rpc_dial("nowhere", &client, NULL), MR_E(INVALID));
    assert_null(server);
    assert_null(client);
}

/* ---- limits ---- */

static void
as_many_calls_as_stated_are_under_way_and_one_more_waits(void **state)
{
    static struct caller callers[MR_RPC_CALLS_MAX + 1];
    struct mr_rpc_call *calls[MR_RPC_CALLS_MAX + 1];
    for (size_t i = 0; i < MR_COUNT(callers); i++)
        caller_start(&callers[i], *state, "Echo", WAIT_MS);
    for (size_t i = 0; i < MR_RPC_CALLS_MAX; i++)
        calls[i] = take(*state);
    assert_null(mr_rpc_take(*state, SHORT_MS));
    echo(calls[0]);
    calls[MR_RPC_CALLS_MAX] = take(*state);
    for (size_t i = 1; i < MR_COUNT(calls); i++)
        echo(calls[i]);
    for (size_t i = 0; i < MR_COUNT(callers); i++) {
        caller_join(&callers[i]);
        assert_int_equal(callers[i].result, 0);
    }
}

static void *
echo_until_told(void *server)
{
    static const char large[MR_RPC_BYTES_MAX];
    bool is_last = false;
    while (!is_last) {
        struct mr_rpc_call *call = take(server);
        is_last = strcmp(call->method, "Last") == 0;
        if (strcmp(call->method, "TooLarge") == 0)
            mr_rpc_reply(call, &(struct mr_rpc_answer){ .body = mr_slice(large, sizeof(large)) });
        else
            echo(call);
    }
    return NULL;
}

static void
bodies_go_up_to_the_stated_size_and_not_beyond(void **state)
{
    struct mr_rpc_client *client = NULL;
    struct mr_rpc_answer answer;
    pthread_t thread;
    MR_CLEANUP(mr_freep) char *bytes = mr_alloc(MR_RPC_BYTES_MAX + 1);
    /* What stands around a body: id, method and timeout take less than this. */
    size_t most = MR_RPC_BYTES_MAX - 128;
    assert_int_equal(pthread_create(&thread, NULL, echo_until_told, *state), 0);
    assert_int_equal(mr_rpc_dial(mr_rpc_url(*state), &client, NULL), 0);
    assert_int_equal(mr_rpc_call(client, "Echo", mr_slice(bytes, most), WAIT_MS, &answer, NULL), 0);
    assert_int_equal(answer.body.size, most);
    assert_int_equal(
        mr_rpc_call(client, "Echo", mr_slice(bytes, MR_RPC_BYTES_MAX), WAIT_MS, &answer, NULL),
        MR_E(TOO_LARGE));
    assert_int_equal(mr_rpc_call(client, "TooLarge", MR_SLICE(""), WAIT_MS, &answer, NULL), 0);
    assert_int_equal(answer.status, MR_RPC_RESOURCE_EXHAUSTED);
    assert_int_equal(answer.body.size, 0);
    assert_int_equal(mr_rpc_call(client, "Last", MR_SLICE(""), WAIT_MS, &answer, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    mr_rpc_close(client);
}

/* Sends a message as it stands; waits for a reply only until the next one is sent. */
static void
send_raw(nng_socket socket, const void *data, size_t size)
{
    nng_msg *message;
    assert_int_equal(nng_msg_alloc(&message, 0), 0);
    assert_int_equal(nng_msg_append(message, data, size), 0);
    assert_int_equal(nng_sendmsg(socket, message, 0), 0);
}

static void
what_is_no_request_gets_no_answer_and_takes_no_place(void **state)
{
    nng_socket socket;
    struct caller caller;
    assert_int_equal(nng_req0_open(&socket), 0);
    assert_int_equal(nng_dial(socket, mr_rpc_url(*state), NULL, 0), 0);
    for (int i = 0; i < 2 * MR_RPC_CALLS_MAX; i++) {
        send_raw(socket, "\xff\xff\xff", 3);
        send_raw(socket, "", 0); /* a Request without a method */
    }
    caller_start(&caller, *state, "Echo", WAIT_MS);
    struct mr_rpc_call *call = take(*state);
    assert_string_equal(call->method, "Echo");
    echo(call);
    caller_join(&caller);
    assert_string_equal(caller.body, "Echo");
    *state = NULL; /* neither end is closed under traffic */
}

static void
status_codes_have_the_names_of_grpc(void **state)
{
    (void)state;
    assert_string_equal(mr_rpc_status_name(MR_RPC_OK), "OK");
    assert_string_equal(mr_rpc_status_name(MR_RPC_DEADLINE_EXCEEDED), "DEADLINE_EXCEEDED");
    assert_string_equal(mr_rpc_status_name(MR_RPC_RESOURCE_EXHAUSTED), "RESOURCE_EXHAUSTED");
    assert_string_equal(mr_rpc_status_name(MR_RPC_UNAVAILABLE), "UNAVAILABLE");
    assert_string_equal(mr_rpc_status_name(16), "UNAUTHENTICATED");
    assert_string_equal(mr_rpc_status_name(17), "UNKNOWN");
    assert_string_equal(mr_rpc_status_name(-1), "UNKNOWN");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_carries_its_fields_there_and_back_over_each_transport),
        TEST(an_answer_has_status_message_body_cursor_and_sequence),
        TEST(calls_can_be_answered_in_any_order),
        TEST(the_descriptor_is_readable_when_a_call_waits),
        TEST(without_an_answer_a_call_ends_at_its_deadline),
        TEST(a_call_whose_deadline_has_passed_is_not_handed_out),
        TEST(a_late_answer_is_not_taken_for_that_of_the_next_call),
        TEST(where_nobody_listens_a_call_says_so),
        TEST(a_call_is_lost_at_once_when_its_server_goes),
        TEST(a_client_finds_a_server_that_starts_later),
        TEST(a_url_that_cannot_be_served_is_refused),
        TEST(as_many_calls_as_stated_are_under_way_and_one_more_waits),
        TEST(bodies_go_up_to_the_stated_size_and_not_beyond),
        TEST(what_is_no_request_gets_no_answer_and_takes_no_place),
        TEST(status_codes_have_the_names_of_grpc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
