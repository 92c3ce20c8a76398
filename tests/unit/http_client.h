/*
 * For the tests of http: a server and its clients in one thread, so that nothing depends on timing.
 * Every wait polls the server and ends at a condition or, after ten seconds, in a failed test.
 */
#ifndef MR_TEST_HTTP_CLIENT_H
#define MR_TEST_HTTP_CLIENT_H

#include "clock/clock.h"
#include "http/http.h"

#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PARKED_MAX = 64, WAIT_MS_MAX = 10000 };

/* Answers "METHOD path body", or parks requests when told to. */
struct fixture {
    struct mr_http *http;
    size_t handled;
    bool park;
    struct mr_http_request *parked[PARKED_MAX];
    size_t parked_count;
};

static inline void
fixture_answer(struct mr_http_request *request, bool close)
{
    struct mr_buf body;
    mr_buf_init(&body, (size_t)64 << 20);
    struct mr_slice method = mr_http_method(request), path = mr_http_path(request);
    mr_buf_put(&body, method.data, method.size);
    mr_buf_text(&body, " ");
    mr_buf_put(&body, path.data, path.size);
    mr_buf_text(&body, " ");
    mr_buf_put(&body, mr_http_body(request).data, mr_http_body(request).size);
    mr_http_reply(request, &(struct mr_http_reply){ .status = 200,
                                                    .content_type = "text/plain",
                                                    .body = mr_buf_slice(&body),
                                                    .close = close });
    mr_buf_fini(&body);
}

static inline void
fixture_handle(void *self, struct mr_http_request *request)
{
    struct fixture *fixture = self;
    fixture->handled++;
    if (!fixture->park) {
        fixture_answer(request, false);
        return;
    }
    assert_true(fixture->parked_count < PARKED_MAX);
    fixture->parked[fixture->parked_count++] = request;
}

static inline void
fixture_open(struct fixture *fixture, const struct mr_http_limits *limits)
{
    struct mr_err err = { 0 };
    *fixture = (struct fixture){ 0 };
    struct mr_http_options options = { .host = "127.0.0.1",
                                       .handler = fixture_handle,
                                       .self = fixture };
    if (limits != NULL)
        options.limits = *limits;
    int code = mr_http_listen(&options, &fixture->http, &err);
    assert_int_equal(code, 0);
    assert_true(mr_http_port(fixture->http) > 0);
}

static inline int
client_open(struct fixture *fixture)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)mr_http_port(fixture->http)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static inline int64_t
real_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Sends all of it, serving meanwhile. */
static inline void
client_send(struct fixture *fixture, int fd, const void *data, size_t size)
{
    int64_t deadline_ms = real_ms() + WAIT_MS_MAX;
    for (size_t at = 0; at < size;) {
        ssize_t count = send(fd, (const char *)data + at, size - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count > 0)
            at += (size_t)count;
        else if (errno != EAGAIN)
            return; /* refused and closed: what comes back says why */
        (void)mr_http_poll(fixture->http, 0);
        assert_true(real_ms() < deadline_ms);
    }
}

/* Reads what has come; false at the end of the connection. */
static inline bool
client_read(int fd, struct mr_buf *ret)
{
    char piece[65536];
    ssize_t count = recv(fd, piece, sizeof(piece), MSG_DONTWAIT);
    if (count > 0)
        mr_buf_put(ret, piece, (size_t)count);
    return count > 0 || (count < 0 && errno == EAGAIN);
}

static inline size_t
count_text(const struct mr_buf *buf, const char *text)
{
    size_t count = 0;
    if (buf->size == 0)
        return 0;
    for (const char *at = buf->data; (at = strstr(at, text)) != NULL; at += strlen(text))
        count++;
    return count;
}

/* Serves until `times` copies of text have come, or (text NULL) until the server closes. */
static inline void
client_await(struct fixture *fixture, int fd, struct mr_buf *ret, const char *text, size_t times)
{
    int64_t deadline_ms = real_ms() + WAIT_MS_MAX;
    bool is_open = true;
    while (is_open && (text == NULL || count_text(ret, text) < times)) {
        (void)mr_http_poll(fixture->http, 1);
        is_open = client_read(fd, ret);
        assert_true(real_ms() < deadline_ms);
    }
    if (text != NULL && count_text(ret, text) < times)
        fail_msg("closed before %zu times \"%s\"; came: %s", times, text,
                 ret->data != NULL ? ret->data : "nothing");
}

static inline void
await_handled(struct fixture *fixture, size_t count)
{
    int64_t deadline_ms = real_ms() + WAIT_MS_MAX;
    while (fixture->handled < count) {
        (void)mr_http_poll(fixture->http, 1);
        assert_true(real_ms() < deadline_ms);
    }
}

static inline void
await_connections(struct fixture *fixture, size_t count)
{
    int64_t deadline_ms = real_ms() + WAIT_MS_MAX;
    while (mr_http_open_connections(fixture->http) != count) {
        (void)mr_http_poll(fixture->http, 1);
        assert_true(real_ms() < deadline_ms);
    }
}

/* One connection: sends, reads to the end of the connection. */
static inline void
exchange(struct fixture *fixture, const char *data, size_t size, struct mr_buf *ret)
{
    int fd = client_open(fixture);
    mr_buf_init(ret, (size_t)64 << 20);
    client_send(fixture, fd, data, size);
    client_await(fixture, fd, ret, NULL, 0);
    (void)close(fd);
}

int limit_tests(void);
int probe_tests(void);
int coding_tests(void);
int tls_tests(void);
int stream_tests(void);

#endif
