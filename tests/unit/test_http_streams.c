/*
 * http: streams: parts of a body come and answers leave while the request is open; what happens to
 * its neighbours, to slow and cut peers, and when the server drains.
 */
#include "http_streamer.h"

#define GET(path)  "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define HEAD(path) "POST " path " HTTP/1.1\r\nHost: x\r\n"
#define STREAM     HEAD("/s") "Transfer-Encoding: chunked\r\n\r\n"
#define BEGUN      "Transfer-Encoding: chunked\r\n\r\n"
#define ENDED      "\r\n0\r\n\r\n"

static void
answers_leave_while_the_stream_is_open(void **state)
{
    (void)state;
    struct streamer streamer;
    struct mr_buf reply;
    streamer_open(&streamer, NULL);
    mr_buf_init(&reply, 65536);
    int fd = client_open(&streamer.fixture);
    say(&streamer, fd, STREAM);
    client_await(&streamer.fixture, fd, &reply, BEGUN, 1);
    assert_non_null(strstr(reply.data, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(reply.data, "Content-Type: x/y\r\n"));
    say(&streamer, fd, "3\r\none\r\n");
    client_await(&streamer.fixture, fd, &reply, "5\r\n[one]\r\n", 1);
    say(&streamer, fd, "5\r\nthree\r\n");
    client_await(&streamer.fixture, fd, &reply, "7\r\n[three]\r\n", 1);
    assert_int_equal(mr_http_pending(streamer.fixture.http), 1);
    say(&streamer, fd, "0\r\n\r\n");
    client_await(&streamer.fixture, fd, &reply, ENDED, 1);
    assert_int_equal(streamer.end_status, 0);
    assert_int_equal(mr_http_pending(streamer.fixture.http), 0);
    say(&streamer, fd, GET("/after"));
    client_await(&streamer.fixture, fd, &reply, "GET /after", 1);
    assert_int_equal(streamer.ends, 1);
    assert_int_equal(streamer.gones, 0);
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_http_close(streamer.fixture.http);
}

static void
check_neighbours(size_t step)
{
    const char bytes[] = GET("/1") STREAM "3\r\none\r\n2;x=y\r\nto\r\n0\r\n\r\n" GET("/2")
        HEAD("/s") "Content-Length: 4\r\n\r\nfour" GET("/3");
    struct streamer streamer;
    struct mr_buf reply;
    streamer_open(&streamer, NULL);
    mr_buf_init(&reply, 65536);
    int fd = client_open(&streamer.fixture);
    for (size_t at = 0; at < sizeof(bytes) - 1; at += step)
        client_send(&streamer.fixture, fd, bytes + at,
                    sizeof(bytes) - 1 - at < step ? sizeof(bytes) - 1 - at : step);
    client_await(&streamer.fixture, fd, &reply, "GET /3", 1);
    assert_int_equal(streamer.parts_bytes, 9);
    assert_int_equal(streamer.ends, 2);
    assert_int_equal(count_text(&reply, ENDED), 2);
    assert_true(strstr(reply.data, "GET /1") < strstr(reply.data, ENDED));
    assert_true(strstr(reply.data, ENDED) < strstr(reply.data, "GET /2"));
    assert_true(strstr(strstr(reply.data, "GET /2"), ENDED) < strstr(reply.data, "GET /3"));
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_http_close(streamer.fixture.http);
}

static void
streams_and_their_neighbours_keep_their_order(void **state)
{
    (void)state;
    for (size_t step = 1; step < 30; step += 4)
        check_neighbours(step);
    check_neighbours(65536);
}

static void
nothing_begins_before_the_stream_has_ended(void **state)
{
    (void)state;
    struct streamer streamer;
    struct mr_buf reply;
    streamer_open(&streamer, NULL);
    streamer.keeps_open = true;
    mr_buf_init(&reply, 65536);
    int fd = client_open(&streamer.fixture);
    say(&streamer, fd, STREAM "3\r\none\r\n0\r\n\r\n" GET("/2"));
    client_await(&streamer.fixture, fd, &reply, "[one]", 1);
    for (int i = 0; i < 5; i++)
        (void)mr_http_poll(streamer.fixture.http, 0);
    assert_int_equal(streamer.fixture.handled, 1);
    mr_http_reply_part(streamer.request, MR_SLICE("late"));
    mr_http_reply_end(streamer.request);
    client_await(&streamer.fixture, fd, &reply, "GET /2", 1);
    assert_non_null(strstr(reply.data, "4\r\nlate" ENDED));
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_http_close(streamer.fixture.http);
}

static void
a_stream_waits_for_its_turn_to_answer(void **state)
{
    (void)state;
    struct streamer streamer;
    struct mr_buf reply;
    streamer_open(&streamer, NULL);
    streamer.fixture.park = true;
    mr_buf_init(&reply, 65536);
    int fd = client_open(&streamer.fixture);
    say(&streamer, fd, GET("/1") STREAM "3\r\none\r\n");
    await_parts(&streamer, 3);
    assert_true(client_read(fd, &reply));
    assert_int_equal(reply.size, 0);
    fixture_answer(streamer.fixture.parked[0], false);
    client_await(&streamer.fixture, fd, &reply, "[one]", 1);
    assert_true(strstr(reply.data, "GET /1") < strstr(reply.data, "[one]"));
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_http_close(streamer.fixture.http);
}

static void
a_stream_may_be_refused(void **state)
{
    (void)state;
    struct streamer streamer;
    struct mr_buf reply;
    streamer_open(&streamer, NULL);
    streamer.is_late = true;
    mr_buf_init(&reply, 65536);
    int fd = client_open(&streamer.fixture);
    say(&streamer, fd, STREAM "3\r\none\r\n");
    await_handled(&streamer.fixture, 1);
    mr_http_reply(streamer.request, &(struct mr_http_reply){ .status = 404 });
    say(&streamer, fd, "0\r\n\r\n" GET("/smuggled"));
    client_await(&streamer.fixture, fd, &reply, NULL, 0);
    assert_memory_equal(reply.data, "HTTP/1.1 404 ", 13);
    assert_int_equal(count_text(&reply, "Date: "), 1);
    assert_non_null(strstr(reply.data, "Connection: close\r\n"));
    assert_int_equal(streamer.fixture.handled, 1);
    assert_int_equal(mr_http_pending(streamer.fixture.http), 0);
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_http_close(streamer.fixture.http);
}

static void
a_stream_that_its_handler_ends_ends_the_connection(void **state)
{
    (void)state;
    struct streamer streamer;
    struct mr_buf reply;
    streamer_open(&streamer, NULL);
    streamer.stops = true;
    const char text[] = STREAM "3\r\none\r\n5\r\nthree\r\n0\r\n\r\n" GET("/smuggled");
    exchange(&streamer.fixture, text, sizeof(text) - 1, &reply);
    assert_non_null(strstr(reply.data, "[one]" ENDED));
    assert_int_equal(count_text(&reply, "Date: "), 1);
    assert_int_equal(streamer.parts_bytes, 3);
    assert_int_equal(streamer.ends, 0);
    assert_int_equal(streamer.fixture.handled, 1);
    mr_buf_fini(&reply);
    mr_http_close(streamer.fixture.http);
}

static void
codings_are_refused_for_streams(void **state)
{
    (void)state;
    struct streamer streamer;
    struct mr_buf reply;
    streamer_open(&streamer, NULL);
    const char text[] = HEAD("/s") "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n";
    exchange(&streamer.fixture, text, sizeof(text) - 1, &reply);
    assert_memory_equal(reply.data, "HTTP/1.1 415 ", 13);
    assert_int_equal(streamer.fixture.handled, 0);
    mr_buf_fini(&reply);
    mr_http_close(streamer.fixture.http);
}

static void
the_body_of_a_stream_is_invited(void **state)
{
    (void)state;
    struct streamer streamer;
    struct mr_buf reply;
    streamer_open(&streamer, NULL);
    mr_buf_init(&reply, 65536);
    int fd = client_open(&streamer.fixture);
    say(&streamer, fd, HEAD("/s") "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    client_await(&streamer.fixture, fd, &reply, BEGUN, 1);
    assert_memory_equal(reply.data, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", 42);
    say(&streamer, fd, "four");
    client_await(&streamer.fixture, fd, &reply, "[four]" ENDED, 1);
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_http_close(streamer.fixture.http);
}

/* ---- bounds ---- */

/* As much as the socket takes. */
static size_t
pour(struct streamer *streamer, int fd, size_t chunk_bytes)
{
    MR_CLEANUP(mr_freep) char *chunk = mr_alloc(chunk_bytes + 32);
    size_t poured = 0;
    int head = snprintf(chunk, 32, "%zx\r\n", chunk_bytes);
    memset(chunk + head, 'x', chunk_bytes);
    memcpy(chunk + head + chunk_bytes, "\r\n", 2);
    size_t size = (size_t)head + chunk_bytes + 2;
    for (int idle = 0; idle < 50;) {
        ssize_t count =
            send(fd, chunk + poured % size, size - poured % size, MSG_DONTWAIT | MSG_NOSIGNAL);
        idle = count > 0 ? 0 : idle + 1;
        poured += count > 0 ? (size_t)count : 0;
        (void)mr_http_poll(streamer->fixture.http, 0);
    }
    return poured;
}

static void
a_paused_stream_is_not_read(void **state)
{
    (void)state;
    struct streamer streamer;
    struct mr_buf reply;
    streamer_open(&streamer, NULL);
    streamer.pauses = true;
    mr_buf_init(&reply, 65536);
    int fd = client_open(&streamer.fixture);
    say(&streamer, fd, STREAM);
    size_t poured = pour(&streamer, fd, 1000), before = streamer.parts_bytes;
    assert_true(poured > 4 * 65536);
    assert_true(before > 0);
    assert_true(before <= 65536);
    mr_http_resume(streamer.request);
    await_parts(&streamer, before + 1);
    assert_true(streamer.parts_bytes <= 2 * 65536);
    (void)close(fd);
    await_connections(&streamer.fixture, 1); /* nothing is read, so nobody has seen its end */
    streamer.pauses = false;
    mr_http_resume(streamer.request);
    await_connections(&streamer.fixture, 0);
    assert_int_equal(streamer.ends + streamer.gones, 1);
    mr_buf_fini(&reply);
    mr_http_close(streamer.fixture.http);
}

static void
a_stream_whose_answers_are_not_read_is_not_read(void **state)
{
    (void)state;
    struct streamer streamer;
    char filler[10000];
    memset(filler, 'f', sizeof(filler));
    mr_clock_hold(1000000, 1700000000000000);
    streamer_open(&streamer, &(struct mr_http_limits){ .write_ms_max = 400 });
    streamer.filler = mr_slice(filler, sizeof(filler));
    int fd = client_open(&streamer.fixture);
    say(&streamer, fd, STREAM);
    (void)pour(&streamer, fd, 1000);
    size_t before = streamer.parts_bytes;
    assert_true(pour(&streamer, fd, 1000) < 1000);
    assert_int_equal(streamer.parts_bytes, before);
    assert_int_equal(streamer.gones, 0);
    mr_clock_crank(400);
    (void)mr_http_poll(streamer.fixture.http, 0);
    assert_int_equal(streamer.gones, 1);
    assert_int_equal(mr_http_pending(streamer.fixture.http), 0);
    assert_int_equal(mr_http_open_connections(streamer.fixture.http), 0);
    (void)close(fd);
    mr_http_close(streamer.fixture.http);
    mr_clock_release();
}

/* Without a client that reads or a handler that stops. */
static void
answers_without_end_cost_the_connection(void **state)
{
    (void)state;
    enum { PIECE = 1 << 20 };
    struct streamer streamer;
    streamer_open(&streamer, NULL);
    MR_CLEANUP(mr_freep) char *piece = mr_alloc(PIECE);
    int fd = client_open(&streamer.fixture);
    say(&streamer, fd, STREAM);
    await_handled(&streamer.fixture, 1);
    for (int i = 0; i < 100 && streamer.gones == 0; i++) {
        mr_http_reply_part(streamer.request, mr_slice(piece, PIECE));
        (void)mr_http_poll(streamer.fixture.http, 0);
    }
    assert_int_equal(streamer.gones, 1);
    assert_int_equal(mr_http_open_connections(streamer.fixture.http), 0);
    (void)close(fd);
    mr_http_close(streamer.fixture.http);
}

static void
a_long_stream_does_not_grow(void **state)
{
    (void)state;
    enum { ROUNDS = 300 };
    struct streamer streamer;
    struct mr_buf reply;
    char filler[40000];
    memset(filler, 'f', sizeof(filler));
    streamer_open(&streamer, NULL);
    streamer.filler = mr_slice(filler, sizeof(filler));
    mr_buf_init(&reply, 1 << 20);
    int fd = client_open(&streamer.fixture);
    say(&streamer, fd, STREAM);
    /* 12 MB of answers, three times of what would end the connection if it were kept. */
    for (size_t i = 1; i <= ROUNDS; i++) {
        say(&streamer, fd, "1\r\na\r\n");
        mr_buf_reset(&reply);
        while (reply.size < sizeof(filler)) {
            (void)mr_http_poll(streamer.fixture.http, 1);
            assert_true(client_read(fd, &reply));
        }
    }
    assert_int_equal(streamer.parts_bytes, ROUNDS);
    assert_int_equal(streamer.gones, 0);
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_http_close(streamer.fixture.http);
}

/* ---- endings ---- */

static void
a_peer_that_has_gone_is_told_once(void **state)
{
    (void)state;
    struct linger abort_at_once = { .l_onoff = 1 };
    struct streamer streamer;
    streamer_open(&streamer, NULL);
    streamer.keeps_open = true;
    int fd = client_open(&streamer.fixture);
    say(&streamer, fd, STREAM "3\r\none\r\n");
    await_parts(&streamer, 3);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_at_once, sizeof(abort_at_once));
    (void)close(fd);
    await_connections(&streamer.fixture, 0);
    assert_int_equal(streamer.gones, 1);
    assert_int_equal(mr_http_pending(streamer.fixture.http), 1);
    mr_http_reply_part(streamer.request, MR_SLICE("to nobody"));
    mr_http_reply_end(streamer.request);
    (void)mr_http_poll(streamer.fixture.http, 0);
    assert_int_equal(mr_http_pending(streamer.fixture.http), 0);
    assert_int_equal(streamer.gones, 1);
    mr_http_close(streamer.fixture.http);
}

static void
a_peer_that_goes_before_the_stream_begins_is_told_then(void **state)
{
    (void)state;
    struct linger abort_at_once = { .l_onoff = 1 };
    struct streamer streamer;
    streamer_open(&streamer, NULL);
    streamer.is_late = true;
    int fd = client_open(&streamer.fixture);
    say(&streamer, fd, STREAM "3\r\none\r\n");
    await_handled(&streamer.fixture, 1);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_at_once, sizeof(abort_at_once));
    (void)close(fd);
    await_connections(&streamer.fixture, 0);
    assert_int_equal(streamer.gones, 0);
    begin(&streamer);
    (void)mr_http_poll(streamer.fixture.http, 0);
    assert_int_equal(streamer.gones, 1);
    assert_int_equal(streamer.parts_bytes, 0);
    assert_int_equal(mr_http_pending(streamer.fixture.http), 0);
    mr_http_close(streamer.fixture.http);
}

/* Answers to what came before can still be given. */
static void
check_broken(const char *text, bool is_cut, int status)
{
    struct streamer streamer;
    struct mr_buf reply;
    streamer_open(&streamer, NULL);
    mr_buf_init(&reply, 65536);
    int fd = client_open(&streamer.fixture);
    say(&streamer, fd, text);
    if (is_cut)
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
    client_await(&streamer.fixture, fd, &reply, NULL, 0);
    assert_non_null(strstr(reply.data, "[one]"));
    assert_non_null(strstr(reply.data, ENDED));
    assert_int_equal(count_text(&reply, "Date: "), 1);
    assert_int_equal(streamer.end_status, status);
    assert_int_equal(streamer.ends, 1);
    assert_int_equal(streamer.gones, 0);
    assert_int_equal(streamer.fixture.handled, 1);
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_http_close(streamer.fixture.http);
}

static void
a_broken_or_cut_body_ends_behind_the_answers(void **state)
{
    (void)state;
    check_broken(STREAM "3\r\none\r\n-1\r\n" GET("/smuggled"), false, 400);
    check_broken(STREAM "3\r\none\r\n0\r\nX: y\r\n\r\n" GET("/smuggled"), false, 400);
    check_broken(STREAM "3\r\none\r\n0\r\n\n" GET("/smuggled"), false, 400);
    check_broken(STREAM "3\r\none\r\n5\r\nth", true, 400);
    check_broken(HEAD("/s") "Content-Length: 9\r\n\r\none", true, 400);
}

static void
a_stream_without_parts_ends_in_time(void **state)
{
    (void)state;
    struct streamer streamer;
    struct mr_buf reply;
    mr_clock_hold(1000000, 1700000000000000);
    streamer_open(&streamer, &(struct mr_http_limits){ .body_ms_max = 100,
                                                       .idle_ms_max = 100,
                                                       .stream_idle_ms_max = 300 });
    mr_buf_init(&reply, 65536);
    int fd = client_open(&streamer.fixture);
    say(&streamer, fd, STREAM);
    await_handled(&streamer.fixture, 1);
    for (size_t i = 1; i <= 5; i++) {
        say(&streamer, fd, "1\r\na\r\n");
        await_parts(&streamer, i);
        mr_clock_crank(299);
        (void)mr_http_poll(streamer.fixture.http, 0);
    }
    assert_int_equal(streamer.ends, 0);
    mr_clock_crank(1);
    client_await(&streamer.fixture, fd, &reply, NULL, 0);
    assert_int_equal(streamer.end_status, 408);
    assert_non_null(strstr(reply.data, ENDED));
    (void)close(fd);
    mr_buf_fini(&reply);
    mr_http_close(streamer.fixture.http);
    mr_clock_release();
}

static void
a_drain_ends_streams_behind_what_is_under_way(void **state)
{
    (void)state;
    struct streamer streamer;
    struct mr_buf reply;
    streamer_open(&streamer, NULL);
    streamer.keeps_open = true;
    mr_buf_init(&reply, 65536);
    int fd = client_open(&streamer.fixture);
    say(&streamer, fd, STREAM "3\r\none\r\n");
    await_parts(&streamer, 3);
    mr_http_drain(streamer.fixture.http);
    (void)mr_http_poll(streamer.fixture.http, 0);
    assert_int_equal(streamer.end_status, 503);
    say(&streamer, fd, "5\r\nthree\r\n");
    (void)mr_http_poll(streamer.fixture.http, 0);
    assert_int_equal(streamer.parts_bytes, 3);
    mr_http_reply_part(streamer.request, MR_SLICE("receipt"));
    mr_http_reply_end(streamer.request);
    client_await(&streamer.fixture, fd, &reply, NULL, 0);
    assert_non_null(strstr(reply.data, "7\r\nreceipt" ENDED));
    (void)close(fd);
    await_connections(&streamer.fixture, 0);
    mr_buf_fini(&reply);
    mr_http_close(streamer.fixture.http);
}

static void
a_server_closes_with_a_stream_open(void **state)
{
    (void)state;
    struct streamer streamer;
    streamer_open(&streamer, NULL);
    int fd = client_open(&streamer.fixture);
    say(&streamer, fd, STREAM "3\r\none\r\n");
    await_parts(&streamer, 3);
    mr_http_close(streamer.fixture.http);
    assert_int_equal(streamer.gones + streamer.ends, 0);
    (void)close(fd);
}

int
stream_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_leave_while_the_stream_is_open),
        cmocka_unit_test(streams_and_their_neighbours_keep_their_order),
        cmocka_unit_test(nothing_begins_before_the_stream_has_ended),
        cmocka_unit_test(a_stream_waits_for_its_turn_to_answer),
        cmocka_unit_test(a_stream_may_be_refused),
        cmocka_unit_test(a_stream_that_its_handler_ends_ends_the_connection),
        cmocka_unit_test(codings_are_refused_for_streams),
        cmocka_unit_test(the_body_of_a_stream_is_invited),
        cmocka_unit_test(a_paused_stream_is_not_read),
        cmocka_unit_test(a_stream_whose_answers_are_not_read_is_not_read),
        cmocka_unit_test(answers_without_end_cost_the_connection),
        cmocka_unit_test(a_long_stream_does_not_grow),
        cmocka_unit_test(a_peer_that_has_gone_is_told_once),
        cmocka_unit_test(a_peer_that_goes_before_the_stream_begins_is_told_then),
        cmocka_unit_test(a_broken_or_cut_body_ends_behind_the_answers),
        cmocka_unit_test(a_stream_without_parts_ends_in_time),
        cmocka_unit_test(a_drain_ends_streams_behind_what_is_under_way),
        cmocka_unit_test(a_server_closes_with_a_stream_open),
    };
    return cmocka_run_group_tests_name("http streams", tests, NULL, NULL);
}
