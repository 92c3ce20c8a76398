/*
 * The server: one epoll set, one thread. A round of mr_http_poll takes what is ready, lets
 * deadlines pass, settles the connections that were touched, and only then frees the dead.
 */
#include "http/private.h"

#include "clock/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS_MAX = 256, ACCEPTS_MAX = 64, BACKLOG = 1024 };

static size_t
or_default(size_t value, size_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static int
or_default_ms(int value, int otherwise)
{
    return value != 0 ? value : otherwise;
}

static void
set_limits(struct mr_http *http, struct mr_http_limits limits)
{
    limits.connections_max = or_default(limits.connections_max, 4096);
    limits.header_bytes_max = or_default(limits.header_bytes_max, 16384);
    limits.body_bytes_max = or_default(limits.body_bytes_max, (size_t)16 << 20);
    limits.held_bytes_max = or_default(limits.held_bytes_max, (size_t)64 << 20);
    limits.inflate_ratio_max = or_default(limits.inflate_ratio_max, 200);
    limits.pipeline_max = or_default(limits.pipeline_max, 16);
    http->limits = limits;
    http->timers[TIMER_IDLE].limit_ms = or_default_ms(limits.idle_ms_max, 60000);
    http->timers[TIMER_HEADER].limit_ms = or_default_ms(limits.header_ms_max, 10000);
    http->timers[TIMER_BODY].limit_ms = or_default_ms(limits.body_ms_max, 30000);
    http->timers[TIMER_STREAM].limit_ms = or_default_ms(limits.stream_idle_ms_max, 300000);
    http->timers[TIMER_WRITE].limit_ms = or_default_ms(limits.write_ms_max, 30000);
    http->timers[TIMER_LINGER].limit_ms = LINGER_MS;
}

/* TCP_NODELAY is inherited by what is accepted (Linux): one system call less a connection. */
static int
bind_socket(const struct addrinfo *address)
{
    int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0 &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
        bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return -1;
}

static int
open_listener(const char *host, int port, int *ret_fd, struct mr_err *err)
{
    struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    char service[12];
    (void)snprintf(service, sizeof(service), "%d", port);
    int code = getaddrinfo(host[0] != '\0' ? host : NULL, service, &hints, &found);
    if (code != 0)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "cannot listen on %s:%d: %s", host, port,
                       gai_strerror(code));
    *ret_fd = bind_socket(found);
    int reason = errno;
    freeaddrinfo(found);
    if (*ret_fd < 0)
        return mr_fail(err, MR_E(UNAVAILABLE), MR_FATAL, "cannot listen on %s:%d: %s", host, port,
                       strerror(reason));
    return 0;
}

int
mr_http_listen(const struct mr_http_options *options, struct mr_http **ret, struct mr_err *err)
{
    MR_ASSERT(options->host != NULL);
    MR_ASSERT(options->handler != NULL);
    int listen_fd = -1;
    int code = open_listener(options->host, options->port, &listen_fd, err);
    if (code != 0)
        return code;
    struct mr_http *http = mr_alloc(sizeof(*http));
    http->source = SOURCE_LISTENER;
    http->listen_fd = listen_fd;
    http->handler = options->handler;
    http->wants_stream = options->wants_stream;
    http->self = options->self;
    http->now_ms = mr_now_ms();
    set_limits(http, options->limits);
    http->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    http->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = http };
    if (http->epoll_fd < 0 || http->spare_fd < 0 ||
        epoll_ctl(http->epoll_fd, EPOLL_CTL_ADD, listen_fd, &event) != 0) {
        code = mr_fail(err, MR_E(IO), MR_FATAL, "cannot listen on %s:%d: %s", options->host,
                       options->port, strerror(errno));
        mr_http_close(http);
        return code;
    }
    code = tls_open(http, &options->tls, err);
    if (code != 0) {
        mr_http_close(http);
        return code;
    }
    *ret = http;
    return 0;
}

int
mr_http_port(const struct mr_http *http)
{
    MR_ASSERT(http != NULL);
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    if (getsockname(http->listen_fd, (struct sockaddr *)&address, &size) != 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

/* Out of descriptors: without this the listener would stay readable and the loop would spin. */
static void
turn_away(struct mr_http *http)
{
    (void)close(http->spare_fd);
    int fd = accept(http->listen_fd, NULL, NULL);
    if (fd >= 0)
        (void)close(fd);
    http->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static bool
accept_one(struct mr_http *http)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    int fd =
        accept4(http->listen_fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE)
            turn_away(http);
        return false;
    }
    bool is_extra = http->open - http->extra >= http->limits.connections_max;
    if (is_extra && http->extra == REFUSALS_MAX) {
        (void)close(fd);
        return true;
    }
    struct conn *conn = conn_open(http, fd, &address);
    if (conn->fd >= 0 && is_extra) {
        conn->is_extra = true;
        http->extra++;
        if (!conn->handshaking)
            conn_refuse(conn, 503, conn_too_many);
    }
    return true;
}

static void
accept_some(struct mr_http *http)
{
    for (int i = 0; i < ACCEPTS_MAX && accept_one(http); i++)
        continue;
}

static void
dispatch(struct mr_http *http, const struct epoll_event *event)
{
    switch (*(const enum source *)event->data.ptr) {
    case SOURCE_LISTENER:
        if (http->listen_fd >= 0)
            accept_some(http);
        break;
    case SOURCE_CONN:
        conn_ready(event->data.ptr, event->events);
        break;
    case SOURCE_WATCH: {
        const struct watch *watch = event->data.ptr;
        watch->ready(watch->self);
        break;
    }
    }
}

static void
settle_all(struct mr_http *http)
{
    while (http->dirty != NULL) {
        struct conn *conn = http->dirty;
        http->dirty = conn->dirty_next;
        conn->dirty = false;
        conn_settle(conn);
    }
}

static void
free_dead(struct mr_http *http)
{
    while (http->dead != NULL) {
        struct conn *conn = http->dead;
        http->dead = conn->dead_next;
        conn_free(conn);
    }
}

int
mr_http_poll(struct mr_http *http, int timeout_ms)
{
    MR_ASSERT(http != NULL);
    struct epoll_event events[EVENTS_MAX];
    http->now_ms = mr_now_ms();
    settle_all(http); /* replies given between two polls */
    int64_t next_ms = timer_next_ms(http);
    if (next_ms >= 0 && next_ms < timeout_ms)
        timeout_ms = (int)next_ms;
    int count = epoll_wait(http->epoll_fd, events, EVENTS_MAX, timeout_ms);
    http->now_ms = mr_now_ms();
    for (int i = 0; i < count; i++)
        dispatch(http, &events[i]);
    timer_expire(http);
    settle_all(http);
    free_dead(http);
    return count > 0 ? count : 0;
}

int
mr_http_watch(struct mr_http *http, int fd, void (*ready)(void *self), void *self,
              struct mr_err *err)
{
    MR_ASSERT(http != NULL);
    MR_ASSERT(ready != NULL);
    MR_ASSERT(http->watches_count < WATCHES_MAX);
    struct watch *watch = &http->watches[http->watches_count];
    *watch = (struct watch){ SOURCE_WATCH, ready, self };
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = watch };
    if (epoll_ctl(http->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return mr_fail(err, MR_E(IO), MR_FATAL, "cannot watch descriptor %d: %s", fd,
                       strerror(errno));
    http->watches_count++;
    return 0;
}

void
mr_http_observe(struct mr_http *http, mr_http_observer *observer, void *self)
{
    MR_ASSERT(http != NULL);
    http->observer = observer;
    http->observer_self = self;
}

void
mr_http_drain(struct mr_http *http)
{
    MR_ASSERT(http != NULL);
    if (http->draining)
        return;
    /* What the kernel has taken already would be reset by closing the listener. */
    accept_some(http);
    http->draining = true;
    (void)close(http->listen_fd);
    http->listen_fd = -1;
    for (struct conn *conn = http->conns; conn != NULL; conn = conn->next)
        conn_dirty(conn);
}

size_t
mr_http_open_connections(const struct mr_http *http)
{
    MR_ASSERT(http != NULL);
    return http->open;
}

size_t
mr_http_pending(const struct mr_http *http)
{
    MR_ASSERT(http != NULL);
    return http->pending;
}

size_t
mr_http_held_bytes(const struct mr_http *http)
{
    MR_ASSERT(http != NULL);
    return http->held_bytes;
}

void
mr_http_close(struct mr_http *http)
{
    if (http == NULL)
        return;
    free_dead(http);
    for (struct conn *conn = http->conns, *next; conn != NULL; conn = next) {
        next = conn->next;
        conn->stream = NULL; /* its handler may be gone already */
        conn_close(conn);
        conn_free(conn);
    }
    while (http->spare != NULL) {
        struct mr_http_request *request = http->spare;
        http->spare = request->next;
        http->spare_count--;
        request_destroy(request);
    }
    codings_close(http->codings);
    tls_close(http->tls);
    if (http->listen_fd >= 0)
        (void)close(http->listen_fd);
    if (http->spare_fd >= 0)
        (void)close(http->spare_fd);
    if (http->epoll_fd >= 0)
        (void)close(http->epoll_fd);
    free(http);
}
