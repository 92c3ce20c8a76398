/*
 * http: each limit at its maximum and one above, and the deadlines on a hand-cranked clock.
 */
#include "http_client.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

/* ---- limits ---- */

static const char *
status_of(struct fixture *fixture, const struct mr_buf *request, char ret_status[4])
{
    struct mr_buf reply;
    mr_buf_init(&reply, 65536);
    int fd = client_open(fixture);
    client_send(fixture, fd, request->data, request->size);
    client_await(fixture, fd, &reply, "\r\n\r\n", 1);
    memcpy(ret_status, reply.data + 9, 3);
    ret_status[3] = '\0';
    (void)close(fd);
    mr_buf_fini(&reply);
    return ret_status;
}

static void
a_header_has_a_largest_size(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf request;
    char status[4];
    fixture_open(&fixture, &(struct mr_http_limits){ .header_bytes_max = 1000 });
    for (size_t size = 1000; size <= 1001; size++) {
        mr_buf_init(&request, 4096);
        mr_buf_text(&request, "GET / HTTP/1.1\r\nHost: x\r\nA: ");
        while (request.size < size - 4)
            mr_buf_text(&request, "b");
        mr_buf_text(&request, "\r\n\r\n");
        assert_string_equal(status_of(&fixture, &request, status), size == 1000 ? "200" : "431");
        mr_buf_fini(&request);
    }
    mr_http_close(fixture.http);
}

static void
a_header_has_a_largest_number_of_lines(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf request;
    char status[4];
    fixture_open(&fixture, NULL);
    for (int lines = 100; lines <= 101; lines++) {
        mr_buf_init(&request, 4096);
        mr_buf_text(&request, "GET / HTTP/1.1\r\nHost: x\r\n");
        for (int i = 1; i < lines; i++)
            mr_buf_text(&request, "A: b\r\n");
        mr_buf_text(&request, "\r\n");
        assert_string_equal(status_of(&fixture, &request, status), lines == 100 ? "200" : "431");
        mr_buf_fini(&request);
    }
    mr_http_close(fixture.http);
}

static void
a_body_has_a_largest_size(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf request;
    char status[4];
    fixture_open(&fixture, &(struct mr_http_limits){ .body_bytes_max = 1000 });
    for (int chunked = 0; chunked <= 1; chunked++) {
        for (size_t size = 1000; size <= 1001; size++) {
            mr_buf_init(&request, 4096);
            mr_buf_text(&request, "POST / HTTP/1.1\r\nHost: x\r\n");
            if (chunked)
                mr_buf_printf(&request, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", size);
            else
                mr_buf_printf(&request, "Content-Length: %zu\r\n\r\n", size);
            memset(mr_buf_extend(&request, size), 'a', size);
            mr_buf_text(&request, chunked ? "\r\n0\r\n\r\n" : "");
            assert_string_equal(status_of(&fixture, &request, status),
                                size == 1000 ? "200" : "413");
            mr_buf_fini(&request);
        }
    }
    mr_http_close(fixture.http);
}

static void
chunk_extensions_have_a_largest_size(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf request;
    char status[4];
    fixture_open(&fixture, NULL);
    for (size_t size = 256; size <= 257; size++) {
        mr_buf_init(&request, 4096);
        mr_buf_text(&request, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;");
        memset(mr_buf_extend(&request, size), 'e', size);
        mr_buf_text(&request, "\r\na\r\n0\r\n\r\n");
        assert_string_equal(status_of(&fixture, &request, status), size == 256 ? "200" : "400");
        mr_buf_fini(&request);
    }
    mr_http_close(fixture.http);
}

static void
all_requests_together_have_a_largest_size(void **state)
{
    (void)state;
    enum { HELD_MAX = 100000, FIRST = 60000, SECOND = 50000 };
    struct fixture fixture;
    struct mr_buf first, second, reply;
    char status[4];
    fixture_open(&fixture, &(struct mr_http_limits){ .held_bytes_max = HELD_MAX });
    fixture.park = true;
    mr_buf_init(&first, HELD_MAX);
    mr_buf_init(&second, HELD_MAX);
    mr_buf_init(&reply, HELD_MAX);
    mr_buf_printf(&first, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", FIRST);
    memset(mr_buf_extend(&first, FIRST), 'a', FIRST);
    mr_buf_printf(&second, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", SECOND);
    memset(mr_buf_extend(&second, SECOND), 'a', SECOND);
    int fd = client_open(&fixture);
    client_send(&fixture, fd, first.data, first.size);
    await_handled(&fixture, 1);
    assert_true(mr_http_held_bytes(fixture.http) >= FIRST);
    assert_string_equal(status_of(&fixture, &second, status), "503");
    fixture_answer(fixture.parked[0], false);
    client_await(&fixture, fd, &reply, "POST / aaa", 1);
    fixture.park = false;
    assert_string_equal(status_of(&fixture, &second, status), "200");
    (void)close(fd);
    await_connections(&fixture, 0);
    assert_int_equal(mr_http_held_bytes(fixture.http), 0);
    mr_buf_fini(&first);
    mr_buf_fini(&second);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

/* Many that send slowly and never end: what the server holds stays below its limit, and it serves
 * on when they are gone. */
static void
check_crowd(const char *head, size_t piece_bytes)
{
    enum { CROWD = 400, ROUNDS = 20, HELD_MAX = 2 << 20 };
    struct fixture fixture;
    struct mr_buf reply;
    int fds[CROWD];
    MR_CLEANUP(mr_freep) char *piece = mr_alloc(piece_bytes);
    memset(piece, 'a', piece_bytes);
    fixture_open(&fixture, &(struct mr_http_limits){ .held_bytes_max = HELD_MAX });
    size_t peak = 0;
    for (size_t i = 0; i < CROWD; i++) {
        fds[i] = client_open(&fixture);
        client_send(&fixture, fds[i], head, strlen(head));
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < CROWD; i++) {
            (void)send(fds[i], piece, piece_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
            (void)mr_http_poll(fixture.http, 0);
            size_t held = mr_http_held_bytes(fixture.http);
            peak = held > peak ? held : peak;
        }
    }
    /* Refusals go beyond it by no more than themselves. */
    assert_true(peak > HELD_MAX / 2);
    assert_true(peak < HELD_MAX + CROWD * 5000);
    for (size_t i = 0; i < CROWD; i++)
        (void)close(fds[i]);
    await_connections(&fixture, 0);
    assert_int_equal(mr_http_held_bytes(fixture.http), 0);
    assert_int_equal(fixture.handled, 0);
    exchange(&fixture, "GET / HTTP/1.0\r\n\r\n", 18, &reply);
    assert_memory_equal(reply.data, "HTTP/1.1 200 ", 13);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
slow_bodies_of_a_crowd_are_bounded(void **state)
{
    (void)state;
    check_crowd("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n", 2000);
    check_crowd("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFF\r\n", 2000);
}

static void
headers_of_a_crowd_are_bounded(void **state)
{
    (void)state;
    check_crowd("GET / HTTP/1.1\r\nHost: x\r\nA: ", 700);
}

static void
a_connection_too_many_is_told_so(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf reply;
    fixture_open(&fixture, &(struct mr_http_limits){ .connections_max = 2 });
    int fds[2] = { client_open(&fixture), client_open(&fixture) };
    exchange(&fixture, GET("/"), sizeof(GET("/")) - 1, &reply);
    assert_memory_equal(reply.data, "HTTP/1.1 503 ", 13);
    assert_non_null(strstr(reply.data, "Retry-After: 1\r\n"));
    mr_buf_reset(&reply);
    client_send(&fixture, fds[1], GET("/"), sizeof(GET("/")) - 1);
    client_await(&fixture, fds[1], &reply, "200 OK", 1);
    (void)close(fds[0]);
    (void)close(fds[1]);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
a_pipeline_has_a_largest_depth(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf reply;
    fixture_open(&fixture, &(struct mr_http_limits){ .pipeline_max = 2 });
    fixture.park = true;
    mr_buf_init(&reply, 65536);
    int fd = client_open(&fixture);
    const char text[] = GET("/1") GET("/2") GET("/3") GET("/4") GET("/5");
    client_send(&fixture, fd, text, sizeof(text) - 1);
    await_handled(&fixture, 2);
    for (int i = 0; i < 5; i++)
        (void)mr_http_poll(fixture.http, 0);
    assert_int_equal(fixture.handled, 2);
    fixture_answer(fixture.parked[0], false);
    await_handled(&fixture, 3);
    assert_int_equal(fixture.handled, 3);
    fixture.park = false;
    fixture_answer(fixture.parked[1], false);
    fixture_answer(fixture.parked[2], false);
    client_await(&fixture, fd, &reply, "GET /5", 1);
    assert_int_equal(fixture.handled, 5);
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
a_connection_ends_after_its_last_request(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf reply;
    fixture_open(&fixture, &(struct mr_http_limits){ .requests_max = 2 });
    const char text[] = GET("/1") GET("/2") GET("/3");
    exchange(&fixture, text, sizeof(text) - 1, &reply);
    assert_int_equal(fixture.handled, 2);
    assert_int_equal(count_text(&reply, "200 OK"), 2);
    assert_int_equal(count_text(&reply, "Connection: close"), 1);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

/* ---- deadlines ---- */

/* Sends a beginning, passes the deadline by one millisecond, expects the end of the connection. */
static void
check_deadline(const char *text, int64_t limit_ms, const char *status)
{
    struct fixture fixture;
    struct mr_buf reply;
    mr_clock_hold(1000000, 1700000000000000);
    fixture_open(&fixture, &(struct mr_http_limits){
                               .idle_ms_max = 100, .header_ms_max = 200, .body_ms_max = 300 });
    mr_buf_init(&reply, 65536);
    int fd = client_open(&fixture);
    await_connections(&fixture, 1);
    client_send(&fixture, fd, text, strlen(text));
    for (int i = 0; i < 5; i++)
        (void)mr_http_poll(fixture.http, 0);
    mr_clock_crank(limit_ms - 1);
    (void)mr_http_poll(fixture.http, 0);
    assert_true(client_read(fd, &reply));
    assert_int_equal(reply.size, 0);
    mr_clock_crank(1);
    client_await(&fixture, fd, &reply, NULL, 0);
    assert_int_equal(fixture.handled, 0);
    if (status == NULL)
        assert_int_equal(reply.size, 0);
    else
        assert_non_null(strstr(reply.data, status));
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
    mr_clock_release();
}

static void
an_idle_connection_is_closed(void **state)
{
    (void)state;
    check_deadline("", 100, NULL);
}

static void
a_slow_header_is_refused(void **state)
{
    (void)state;
    check_deadline("GET / HTTP/1.1\r\nHost:", 200, "HTTP/1.1 408 ");
}

static void
a_slow_body_is_refused(void **state)
{
    (void)state;
    check_deadline("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", 300,
                   "HTTP/1.1 408 ");
}

static void
a_peer_that_does_not_read_is_closed(void **state)
{
    (void)state;
    enum { SIZE = 8 << 20 };
    struct fixture fixture;
    mr_clock_hold(1000000, 1700000000000000);
    fixture_open(&fixture, &(struct mr_http_limits){ .write_ms_max = 400 });
    fixture.park = true;
    int fd = client_open(&fixture);
    client_send(&fixture, fd, GET("/"), sizeof(GET("/")) - 1);
    await_handled(&fixture, 1);
    MR_CLEANUP(mr_freep) char *body = mr_alloc(SIZE);
    mr_http_reply(fixture.parked[0],
                  &(struct mr_http_reply){ .status = 200, .body = mr_slice(body, SIZE) });
    (void)mr_http_poll(fixture.http, 0);
    mr_clock_crank(399);
    (void)mr_http_poll(fixture.http, 0);
    assert_int_equal(mr_http_open_connections(fixture.http), 1);
    mr_clock_crank(1);
    (void)mr_http_poll(fixture.http, 0);
    assert_int_equal(mr_http_open_connections(fixture.http), 0);
    (void)close(fd);
    mr_http_close(fixture.http);
    mr_clock_release();
}

int
limit_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_has_a_largest_size),
        cmocka_unit_test(a_header_has_a_largest_number_of_lines),
        cmocka_unit_test(a_body_has_a_largest_size),
        cmocka_unit_test(chunk_extensions_have_a_largest_size),
        cmocka_unit_test(all_requests_together_have_a_largest_size),
        cmocka_unit_test(slow_bodies_of_a_crowd_are_bounded),
        cmocka_unit_test(headers_of_a_crowd_are_bounded),
        cmocka_unit_test(a_connection_too_many_is_told_so),
        cmocka_unit_test(a_pipeline_has_a_largest_depth),
        cmocka_unit_test(a_connection_ends_after_its_last_request),
        cmocka_unit_test(an_idle_connection_is_closed),
        cmocka_unit_test(a_slow_header_is_refused),
        cmocka_unit_test(a_slow_body_is_refused),
        cmocka_unit_test(a_peer_that_does_not_read_is_closed),
    };
    return cmocka_run_group_tests_name("http limits", tests, NULL, NULL);
}
