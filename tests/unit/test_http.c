/*
 * http: what a well-behaved peer sees. Limits and deadlines: test_http_limits.c; malformed
 * requests: test_http_probes.c.
 */
#include "http_client.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static void
a_connection_serves_one_request_after_the_other(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf reply;
    fixture_open(&fixture, NULL);
    mr_buf_init(&reply, 65536);
    int fd = client_open(&fixture);
    for (size_t i = 1; i <= 3; i++) {
        const char text[] = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
        client_send(&fixture, fd, text, sizeof(text) - 1);
        client_await(&fixture, fd, &reply, "POST /a hello", i);
    }
    assert_int_equal(count_text(&reply, "HTTP/1.1 200 OK\r\nDate: "), 3);
    assert_int_equal(count_text(&reply, "Content-Type: text/plain\r\nContent-Length: 13\r\n"), 3);
    assert_int_equal(mr_http_open_connections(fixture.http), 1);
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
late_replies_leave_in_the_order_of_their_requests(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf reply;
    fixture_open(&fixture, NULL);
    fixture.park = true;
    mr_buf_init(&reply, 65536);
    int fd = client_open(&fixture);
    const char text[] = GET("/1") GET("/2") GET("/3");
    client_send(&fixture, fd, text, sizeof(text) - 1);
    await_handled(&fixture, 3);
    assert_int_equal(mr_http_pending(fixture.http), 3);
    fixture_answer(fixture.parked[2], false);
    fixture_answer(fixture.parked[1], false);
    (void)mr_http_poll(fixture.http, 0);
    assert_true(client_read(fd, &reply));
    assert_int_equal(reply.size, 0);
    fixture_answer(fixture.parked[0], false);
    client_await(&fixture, fd, &reply, "GET /3", 1);
    assert_true(strstr(reply.data, "GET /1") < strstr(reply.data, "GET /2"));
    assert_true(strstr(reply.data, "GET /2") < strstr(reply.data, "GET /3"));
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
check_bodies_arrive(const char *bytes, size_t size, size_t step)
{
    struct fixture fixture;
    struct mr_buf reply;
    fixture_open(&fixture, NULL);
    mr_buf_init(&reply, 65536);
    int fd = client_open(&fixture);
    for (size_t at = 0; at < size; at += step)
        client_send(&fixture, fd, bytes + at, size - at < step ? size - at : step);
    client_await(&fixture, fd, &reply, "GET /end", 1);
    assert_non_null(strstr(reply.data, "POST /c hello world"));
    assert_non_null(strstr(reply.data, "POST /l \r\n\r\nGET / HTTP"));
    assert_non_null(strstr(reply.data, "PUT /e "));
    assert_int_equal(fixture.handled, 4);
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
bodies_arrive_whole_however_they_are_cut(void **state)
{
    (void)state;
    const char bytes[] =
        "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"
        "5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
        "POST /l HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n\r\n\r\nGET / HTTP"
        "PUT /e HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        "\r\n" GET("/end");
    for (size_t step = 1; step < 40; step += 3)
        check_bodies_arrive(bytes, sizeof(bytes) - 1, step);
    check_bodies_arrive(bytes, sizeof(bytes) - 1, sizeof(bytes));
}

static void
a_large_body_arrives_whole(void **state)
{
    (void)state;
    enum { SIZE = 3 << 20 };
    struct fixture fixture;
    struct mr_buf reply, request;
    fixture_open(&fixture, NULL);
    mr_buf_init(&reply, SIZE + 65536);
    mr_buf_init(&request, SIZE + 65536);
    mr_buf_printf(&request, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", SIZE);
    char *body = mr_buf_extend(&request, SIZE);
    for (size_t i = 0; i < SIZE; i++)
        body[i] = (char)('a' + i % 23);
    int fd = client_open(&fixture);
    client_send(&fixture, fd, request.data, request.size);
    int64_t deadline_ms = real_ms() + WAIT_MS_MAX;
    while (reply.size < SIZE) {
        (void)mr_http_poll(fixture.http, 1);
        assert_true(client_read(fd, &reply));
        assert_true(real_ms() < deadline_ms);
    }
    assert_memory_equal(reply.data + reply.size - SIZE, body, SIZE);
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_buf_fini(&request);
    mr_http_close(fixture.http);
}

static void
a_body_is_invited_when_the_peer_waits_for_it(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf reply;
    fixture_open(&fixture, NULL);
    mr_buf_init(&reply, 65536);
    int fd = client_open(&fixture);
    const char head[] = "POST /b HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n"
                        "Content-Length: 3\r\n\r\n";
    client_send(&fixture, fd, head, sizeof(head) - 1);
    client_await(&fixture, fd, &reply, "HTTP/1.1 100 Continue\r\n\r\n", 1);
    client_send(&fixture, fd, "abc", 3);
    client_await(&fixture, fd, &reply, "POST /b abc", 1);
    assert_int_equal(count_text(&reply, "100 Continue"), 1);
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
head_is_answered_without_a_body(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf reply;
    fixture_open(&fixture, NULL);
    const char text[] = "HEAD /h HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    exchange(&fixture, text, sizeof(text) - 1, &reply);
    assert_non_null(strstr(reply.data, "Content-Length: 8\r\n"));
    assert_string_equal(reply.data + reply.size - 4, "\r\n\r\n");
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
http_1_0_closes_unless_it_asks_to_stay(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf reply;
    fixture_open(&fixture, NULL);
    const char text[] = "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                        "GET /b HTTP/1.0\r\n\r\n";
    exchange(&fixture, text, sizeof(text) - 1, &reply);
    assert_int_equal(count_text(&reply, "HTTP/1.1 200 OK"), 2);
    assert_int_equal(count_text(&reply, "Connection: keep-alive"), 1);
    assert_int_equal(count_text(&reply, "Connection: close"), 1);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
an_upgrade_that_is_not_offered_is_ignored(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf reply;
    fixture_open(&fixture, NULL);
    const char text[] = "POST /u HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                        "Upgrade: h2c\r\nContent-Length: 2\r\n\r\nhi"
                        "GET /v HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    exchange(&fixture, text, sizeof(text) - 1, &reply);
    assert_non_null(strstr(reply.data, "POST /u hi"));
    assert_non_null(strstr(reply.data, "GET /v "));
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
look_at_request(void *self, struct mr_http_request *request)
{
    (void)self;
    assert_true(mr_slice_is_text(mr_http_method(request), "PUT"));
    assert_true(mr_slice_is_text(mr_http_path(request), "/a b/\303\244/"));
    assert_true(mr_slice_is_text(mr_http_query(request), "x=1&name=a%20b+c&empty=&flag"));
    assert_true(mr_slice_is_text(mr_http_param(request, "name"), "a b c"));
    assert_int_equal(mr_http_param(request, "empty").size, 0);
    assert_non_null(mr_http_param(request, "empty").data);
    assert_non_null(mr_http_param(request, "flag").data);
    assert_null(mr_http_param(request, "none").data);
    assert_true(mr_slice_is_text(mr_http_header(request, "x-one"), "first, second"));
    assert_true(mr_slice_is_text(mr_http_header(request, "X-TRIM"), "v"));
    assert_int_equal(mr_http_header(request, "x-empty").size, 0);
    assert_non_null(mr_http_header(request, "x-empty").data);
    assert_null(mr_http_header(request, "x-none").data);
    assert_memory_equal(mr_http_peer(request), "127.0.0.1:", 10);
    *mr_http_slot(request) = request;
    mr_http_reply(request, &(struct mr_http_reply){ .status = 204, .headers = "X-Y: z\r\n" });
}

static void
the_handler_sees_decoded_parts(void **state)
{
    (void)state;
    struct fixture fixture = { 0 };
    struct mr_err err = { 0 };
    struct mr_buf reply;
    struct mr_http_options options = { .host = "127.0.0.1", .handler = look_at_request };
    assert_int_equal(mr_http_listen(&options, &fixture.http, &err), 0);
    const char text[] =
        "PUT http://x:80//a%20b//%C3%A4/?x=1&name=a%20b+c&empty=&flag HTTP/1.1\r\nHost: x:80\r\n"
        "X-One: first\r\nX-Trim:  \t v \t\r\nx-empty:\r\nx-ONE: second\r\nConnection: "
        "close\r\n\r\n";
    exchange(&fixture, text, sizeof(text) - 1, &reply);
    assert_non_null(strstr(reply.data, "HTTP/1.1 204 No Content\r\n"));
    assert_non_null(strstr(reply.data, "X-Y: z\r\n"));
    assert_null(strstr(reply.data, "Content-Length"));
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

/* ---- endings ---- */

static void
a_drain_finishes_what_is_under_way(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf reply;
    fixture_open(&fixture, NULL);
    fixture.park = true;
    mr_buf_init(&reply, 65536);
    int idle = client_open(&fixture), fd = client_open(&fixture), half = client_open(&fixture);
    client_send(&fixture, half, "GET /half HTTP/1.1\r\n", 20);
    client_send(&fixture, fd, GET("/1"), sizeof(GET("/1")) - 1);
    await_handled(&fixture, 1);
    mr_http_drain(fixture.http);
    client_await(&fixture, idle, &reply, NULL, 0);
    assert_int_equal(reply.size, 0);
    fixture_answer(fixture.parked[0], false);
    client_await(&fixture, fd, &reply, NULL, 0);
    assert_non_null(strstr(reply.data, "GET /1"));
    assert_non_null(strstr(reply.data, "Connection: close\r\n"));
    fixture.park = false;
    client_send(&fixture, half, "Host: x\r\n\r\n", 11);
    client_await(&fixture, half, &reply, NULL, 0);
    assert_non_null(strstr(reply.data, "GET /half"));
    (void)close(idle);
    (void)close(fd);
    (void)close(half);
    await_connections(&fixture, 0);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
a_reply_to_a_peer_that_has_gone_is_dropped(void **state)
{
    (void)state;
    struct fixture fixture;
    struct linger abort_at_once = { .l_onoff = 1 };
    fixture_open(&fixture, NULL);
    fixture.park = true;
    int fd = client_open(&fixture);
    const char text[] = GET("/1") GET("/2");
    client_send(&fixture, fd, text, sizeof(text) - 1);
    await_handled(&fixture, 2);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_at_once, sizeof(abort_at_once));
    (void)close(fd);
    await_connections(&fixture, 0);
    assert_int_equal(mr_http_pending(fixture.http), 2);
    fixture_answer(fixture.parked[1], false);
    fixture_answer(fixture.parked[0], false);
    (void)mr_http_poll(fixture.http, 0);
    assert_int_equal(mr_http_pending(fixture.http), 0);
    mr_http_close(fixture.http);
}

static void
a_peer_that_only_stops_sending_still_gets_its_answers(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf reply;
    fixture_open(&fixture, NULL);
    fixture.park = true;
    mr_buf_init(&reply, 65536);
    int fd = client_open(&fixture);
    client_send(&fixture, fd, GET("/1"), sizeof(GET("/1")) - 1);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    await_handled(&fixture, 1);
    for (int i = 0; i < 3; i++)
        (void)mr_http_poll(fixture.http, 0);
    fixture_answer(fixture.parked[0], false);
    client_await(&fixture, fd, &reply, NULL, 0);
    assert_non_null(strstr(reply.data, "GET /1"));
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
a_reply_that_closes_ends_the_connection(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf reply;
    fixture_open(&fixture, NULL);
    fixture.park = true;
    mr_buf_init(&reply, 65536);
    int fd = client_open(&fixture);
    const char text[] = GET("/1") GET("/2");
    client_send(&fixture, fd, text, sizeof(text) - 1);
    await_handled(&fixture, 2);
    fixture_answer(fixture.parked[0], true);
    client_await(&fixture, fd, &reply, NULL, 0);
    fixture_answer(fixture.parked[1], false);
    assert_int_equal(count_text(&reply, "200 OK"), 1);
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
note_ready(void *self)
{
    char byte;
    assert_int_equal(read(*(int *)self, &byte, 1), 1);
    *(int *)self = -1;
}

static void
a_watched_descriptor_wakes_the_loop(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_err err = { 0 };
    int pipe_fds[2];
    fixture_open(&fixture, NULL);
    assert_int_equal(pipe(pipe_fds), 0);
    int watched = pipe_fds[0];
    assert_int_equal(mr_http_watch(fixture.http, pipe_fds[0], note_ready, &watched, &err), 0);
    assert_int_equal(mr_http_poll(fixture.http, 0), 0);
    assert_int_equal(write(pipe_fds[1], "x", 1), 1);
    assert_int_equal(mr_http_poll(fixture.http, WAIT_MS_MAX), 1);
    assert_int_equal(watched, -1);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
    mr_http_close(fixture.http);
}

static void
a_port_that_is_taken_is_named(void **state)
{
    (void)state;
    struct mr_err err = { 0 };
    struct mr_http *http = NULL;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    struct mr_http_options options = { .host = "127.0.0.1",
                                       .port = ntohs(address.sin_port),
                                       .handler = fixture_handle };
    int code = mr_http_listen(&options, &http, &err);
    assert_int_equal(code, MR_E(UNAVAILABLE));
    assert_non_null(strstr(err.text, "cannot listen on 127.0.0.1:"));
    (void)close(fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_serves_one_request_after_the_other),
        cmocka_unit_test(late_replies_leave_in_the_order_of_their_requests),
        cmocka_unit_test(bodies_arrive_whole_however_they_are_cut),
        cmocka_unit_test(a_large_body_arrives_whole),
        cmocka_unit_test(a_body_is_invited_when_the_peer_waits_for_it),
        cmocka_unit_test(head_is_answered_without_a_body),
        cmocka_unit_test(http_1_0_closes_unless_it_asks_to_stay),
        cmocka_unit_test(an_upgrade_that_is_not_offered_is_ignored),
        cmocka_unit_test(the_handler_sees_decoded_parts),
        cmocka_unit_test(a_drain_finishes_what_is_under_way),
        cmocka_unit_test(a_reply_to_a_peer_that_has_gone_is_dropped),
        cmocka_unit_test(a_peer_that_only_stops_sending_still_gets_its_answers),
        cmocka_unit_test(a_reply_that_closes_ends_the_connection),
        cmocka_unit_test(a_watched_descriptor_wakes_the_loop),
        cmocka_unit_test(a_port_that_is_taken_is_named),
    };
    int failed = cmocka_run_group_tests_name("http", tests, NULL, NULL);
    return failed + limit_tests() + probe_tests() + coding_tests() + tls_tests() + stream_tests();
}
