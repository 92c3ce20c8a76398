/*
 * One connection: bytes in, requests out to the handler; replies leave by send.c. Everything that
 * touches a connection marks it dirty; at the end of the round each dirty one is settled once:
 * replies leave together, held-back input goes on, epoll and the deadline are brought up to date.
 *
 * An idle connection owns no buffer: reads go through one scratch area of the server, and a request
 * with its buffers exists from its first byte to the end of its reply. A body with a known length
 * is read straight into its place.
 */
#include "http/private.h"

#include "clock/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

const char conn_too_many[] = "too many connections";

/* Whoever lingers only waits for the end, which needs no key. */
static ssize_t
receive_bytes(struct conn *conn, void *room, size_t size)
{
    if (conn->ssl != NULL && !conn->lingering)
        return tls_receive(conn, room, size);
    return recv(conn->fd, room, size, MSG_DONTWAIT);
}

static void
name_peer(struct conn *conn, const struct sockaddr_storage *address)
{
    char host[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
    if (address->ss_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host));
        (void)snprintf(conn->peer, PEER_TEXT, "[%s]:%d", host, ntohs(six->sin6_port));
        return;
    }
    (void)inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host));
    (void)snprintf(conn->peer, PEER_TEXT, "%s:%d", host, ntohs(four->sin_port));
}

struct conn *
conn_open(struct mr_http *http, int fd, const struct sockaddr_storage *address)
{
    struct conn *conn = mr_alloc(sizeof(*conn));
    conn->source = SOURCE_CONN;
    conn->fd = fd;
    conn->http = http;
    conn->timer = TIMER_NONE;
    conn->events = EPOLLIN;
    mr_buf_init(&conn->rest, SCRATCH_BYTES);
    name_peer(conn, address);
    head_init(conn);
    conn->next = http->conns;
    if (http->conns != NULL)
        http->conns->prev = conn;
    http->conns = conn;
    http->open++;
    struct epoll_event event = { .events = conn->events, .data.ptr = conn };
    if (epoll_ctl(http->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0 ||
        (http->tls != NULL && !tls_start(conn)))
        conn_close(conn);
    else
        timer_update(conn);
    return conn;
}

void
conn_dirty(struct conn *conn)
{
    if (conn->dirty)
        return;
    conn->dirty = true;
    conn->dirty_next = conn->http->dirty;
    conn->http->dirty = conn;
}

static void
bury(struct conn *conn)
{
    MR_ASSERT(conn->fd < 0);
    MR_ASSERT(conn->first == NULL);
    conn->dead_next = conn->http->dead;
    conn->http->dead = conn;
}

/* Takes a request out of the list, wherever it stands. */
static void
forget(struct conn *conn, struct mr_http_request *request)
{
    struct mr_http_request *before = NULL;
    for (struct mr_http_request *at = conn->first; at != request; at = at->next) {
        MR_ASSERT(at != NULL);
        before = at;
    }
    if (before == NULL)
        conn->first = request->next;
    else
        before->next = request->next;
    if (conn->last == request)
        conn->last = before;
    conn->pending--;
    request_free(request);
}

void
conn_drop_rest(struct conn *conn)
{
    conn->http->held_bytes -= conn->rest.size;
    mr_buf_fini(&conn->rest);
}

void
conn_forget(struct conn *conn, struct mr_http_request *request)
{
    forget(conn, request);
    if (conn->fd < 0 && conn->first == NULL)
        bury(conn);
}

/* A stream lives on in the list. */
static void
drop_reading(struct conn *conn)
{
    if (conn->reading != NULL && !conn->reading->parsed.is_stream)
        request_free(conn->reading);
    conn->reading = NULL;
}

/* Requests that are still with the handler keep the connection's memory until they are replied. */
void
conn_close(struct conn *conn)
{
    if (conn->fd < 0)
        return;
    timer_drop(conn);
    if (!conn->lingering)
        tls_say_end(conn);
    tls_stop(conn);
    (void)close(conn->fd);
    conn->fd = -1;
    conn->phase = PHASE_STOP;
    conn->http->open--;
    if (conn->is_extra)
        conn->http->extra--;
    conn_drop_rest(conn);
    drop_reading(conn);
    for (struct mr_http_request *request = conn->first, *next; request != NULL; request = next) {
        next = request->next;
        if (request->parsed.replied)
            forget(conn, request);
    }
    if (conn->first == NULL)
        bury(conn);
    else
        stream_gone(conn);
}

void
conn_free(struct conn *conn)
{
    MR_ASSERT(conn->fd < 0);
    while (conn->first != NULL)
        forget(conn, conn->first);
    if (conn->prev != NULL)
        conn->prev->next = conn->next;
    else
        conn->http->conns = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
    free(conn->client_name);
    free(conn);
}

static void
append(struct conn *conn, struct mr_http_request *request)
{
    request->next = NULL;
    if (conn->last != NULL)
        conn->last->next = request;
    else
        conn->first = request;
    conn->last = request;
    conn->pending++;
}

void
conn_refuse(struct conn *conn, int status, const char *text)
{
    struct mr_http_request *request = conn->reading;
    if (request == NULL)
        request = request_new(conn);
    conn->reading = NULL;
    conn->phase = PHASE_STOP;
    conn->linger = true;
    conn_drop_rest(conn);
    append(conn, request);
    request_refuse(request, status, text, true);
    conn_dirty(conn);
}

static void
admit(struct conn *conn, struct mr_http_request *request)
{
    struct mr_http *http = conn->http;
    conn->served++;
    bool is_last = http->limits.requests_max > 0 && conn->served >= http->limits.requests_max;
    if (!request->parsed.keep_alive || is_last || http->draining) {
        conn->linger = request->parsed.keep_alive; /* the peer may have sent more already */
        request->parsed.keep_alive = false;
    }
    append(conn, request);
}

/* The header of a stream is whole. */
static void
begin_stream(struct conn *conn)
{
    struct mr_http *http = conn->http;
    stream_open(conn);
    admit(conn, conn->stream);
    http->pending++;
    http->handler(http->self, conn->stream);
}

/* The request is whole. */
static void
hand_over(struct conn *conn)
{
    struct mr_http *http = conn->http;
    struct mr_http_request *request = conn->reading;
    if (conn->stream != NULL) {
        stream_whole(conn);
        return;
    }
    conn->reading = NULL;
    admit(conn, request);
    conn->phase = request->parsed.keep_alive ? PHASE_HEAD : PHASE_STOP;
    const char *text = NULL;
    int status = coding_undo(request, &text);
    if (status != 0) {
        request_refuse(request, status, text, false);
        return;
    }
    http->pending++;
    http->handler(http->self, request);
}

/* A header is whole: 0, or the status of a refusal. */
static int
judge_head(struct conn *conn, bool *ret_complete, const char **ret_text)
{
    const struct mr_http *http = conn->http;
    struct mr_http_request *request = conn->reading;
    int status = head_parse(conn, ret_text);
    if (status != 0)
        return status;
    *ret_complete = conn->phase == PHASE_BODY && conn->left == 0;
    if (*ret_complete || request->parsed.is_old || http->wants_stream == NULL ||
        !http->wants_stream(http->self, request))
        return 0;
    *ret_text = "a stream has no Content-Encoding";
    if (request->parsed.codings_count > 0)
        return 415;
    request->parsed.is_stream = true;
    begin_stream(conn);
    return 0;
}

/* What one phase takes of the input: bytes, or a negative status. */
static int64_t
take(struct conn *conn, const char *data, size_t size, bool *ret_complete, const char **ret_text)
{
    struct mr_http_request *request = conn->reading;
    if (conn->phase == PHASE_CHUNKS)
        return head_chunks(conn, data, size, ret_complete, ret_text);
    if (conn->phase == PHASE_HEAD) {
        bool is_head = false;
        int64_t taken = head_take(conn, data, size, &is_head, ret_text);
        if (taken < 0 || !is_head)
            return taken;
        int status = judge_head(conn, ret_complete, ret_text);
        return status != 0 ? -status : taken;
    }
    size_t count = size < conn->left ? size : conn->left;
    int status = 0;
    if (conn->stream != NULL)
        (void)stream_part(conn, data, count);
    else
        status = request_body_put(request, data, count);
    if (status != 0) {
        *ret_text = request_no_room;
        return -status;
    }
    conn->left -= count;
    *ret_complete = conn->left == 0;
    return (int64_t)count;
}

/* Full too when the peer asks and asks and reads no answer: few such peers could otherwise hold
 * the memory that all share. */
static bool
pipeline_is_full(const struct conn *conn)
{
    size_t waiting = 0;
    for (const struct mr_http_request *at = conn->first; at != NULL; at = at->next)
        waiting += at->out.size;
    return conn->pending >= conn->http->limits.pipeline_max || waiting >= ANSWER_BYTES_AHEAD;
}

/* Returns the bytes consumed: all, unless the pipeline is full. */
static size_t
feed(struct conn *conn, const char *data, size_t size)
{
    size_t at = 0;
    while (at < size && conn->phase != PHASE_STOP) {
        if (stream_holds(conn))
            return at;
        if (conn->reading == NULL) {
            if (pipeline_is_full(conn))
                return at;
            conn->reading = request_new(conn);
            conn->timer_restart = true;
        }
        bool complete = false;
        const char *text = NULL;
        int64_t taken = take(conn, data + at, size - at, &complete, &text);
        if (conn->phase == PHASE_STOP)
            return size; /* the handler has ended its stream */
        if (taken < 0) {
            if (stream_reads(conn))
                stream_stop(conn, (int)-taken, text);
            else
                conn_refuse(conn, (int)-taken, text);
            return size;
        }
        at += (size_t)taken;
        if (complete)
            hand_over(conn);
    }
    return size;
}

/* Reads into the body itself when its length is known. Room is made for no more than what has come
 * already, so that a body costs memory only as it arrives. */
static ssize_t
receive_body(struct conn *conn)
{
    struct mr_buf *body = &conn->reading->body;
    size_t want = body->size < conn->left ? body->size : conn->left;
    if (want > request_room(conn->http)) {
        conn_refuse(conn, 503, request_no_room);
        return (ssize_t)want;
    }
    char *room = mr_buf_extend(body, want);
    MR_ASSERT(room != NULL);
    ssize_t count = receive_bytes(conn, room, want);
    size_t got = count > 0 ? (size_t)count : 0;
    body->size -= want - got;
    body->data[body->size] = '\0';
    request_weigh(conn->reading);
    conn->left -= got;
    conn->reading->parsed.expects_continue = false;
    if (got > 0 && conn->left == 0)
        hand_over(conn);
    return count;
}

/* Input that has to wait: for room in the pipeline, or for a stream. */
static void
keep_rest(struct conn *conn, const char *data, size_t size)
{
    if (size > request_room(conn->http)) {
        if (stream_reads(conn))
            stream_stop(conn, 503, request_no_room);
        else
            conn_refuse(conn, 503, request_no_room);
        return;
    }
    mr_buf_put(&conn->rest, data, size);
    MR_ASSERT(!conn->rest.failed);
    conn->http->held_bytes += size;
}

static ssize_t
receive(struct conn *conn)
{
    char *scratch = conn->http->scratch;
    if (conn->phase == PHASE_BODY && conn->reading != NULL && conn->stream == NULL &&
        conn->reading->body.size >= SCRATCH_BYTES)
        return receive_body(conn);
    ssize_t count = receive_bytes(conn, scratch, SCRATCH_BYTES);
    if (count <= 0 || conn->lingering)
        return count;
    size_t used = feed(conn, scratch, (size_t)count);
    if (used < (size_t)count)
        keep_rest(conn, scratch + used, (size_t)count - used);
    return count;
}

/* The peer has said all that it had to say; it may still want its answers. */
static void
end_of_input(struct conn *conn)
{
    if (stream_reads(conn))
        stream_stop(conn, 400, "the peer ended inside the body");
    drop_reading(conn);
    conn->phase = PHASE_STOP;
    if (conn->pending == 0 || conn->lingering)
        conn_close(conn);
}

/* True when requests may come. */
static bool
shake_hands(struct conn *conn)
{
    switch (tls_handshake(conn)) {
    case TLS_DONE:
        if (conn->is_extra)
            conn_refuse(conn, 503, conn_too_many);
        return !conn->is_extra;
    case TLS_PLAIN:
        tls_stop(conn);
        conn_refuse(conn, 400, "this port speaks TLS: the address begins with https");
        return false;
    case TLS_FAILED:
        tls_stop(conn);
        conn->phase = PHASE_STOP;
        conn->linger = true; /* for the alert that says why */
        send_end(conn);
        return false;
    case TLS_AGAIN:
        break;
    }
    return false;
}

static void
read_some(struct conn *conn)
{
    conn_dirty(conn);
    if (conn->handshaking && !shake_hands(conn))
        return;
    ssize_t count = receive(conn);
    if (count == 0)
        end_of_input(conn);
    else if (count < 0 && errno != EAGAIN && errno != EINTR)
        conn_close(conn);
}

void
conn_ready(struct conn *conn, uint32_t events)
{
    if (conn->fd < 0)
        return;
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
        conn->ssl_failed = true; /* nobody is there to be told of the end */
        conn_close(conn);
        return;
    }
    bool is_readable = (events & EPOLLIN) != 0;
    if ((events & EPOLLOUT) != 0) {
        conn->blocked = false;
        is_readable |= conn->ssl_wants_write;
    }
    conn_dirty(conn);
    if (is_readable)
        read_some(conn);
}

static bool
wants_input(const struct conn *conn)
{
    bool has_room = conn->reading != NULL || !pipeline_is_full(conn);
    return conn->lingering || (conn->phase != PHASE_STOP && !conn->blocked &&
                               conn->rest.size == 0 && has_room && !stream_holds(conn));
}

static void
watch_again(struct conn *conn)
{
    uint32_t events = conn->blocked || conn->ssl_wants_write ? EPOLLOUT : 0;
    if (wants_input(conn) && !conn->ssl_wants_write)
        events |= EPOLLIN;
    if (events == conn->events)
        return;
    conn->events = events;
    struct epoll_event event = { .events = events, .data.ptr = conn };
    int failed = epoll_ctl(conn->http->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event);
    MR_ASSERT(failed == 0);
}

/* Taken away first: whatever ends the connection drops its rest, and these bytes are being read. */
static void
feed_rest(struct conn *conn)
{
    struct mr_buf rest = conn->rest;
    mr_buf_init(&conn->rest, SCRATCH_BYTES);
    conn->http->held_bytes -= rest.size;
    size_t used = feed(conn, rest.data, rest.size);
    MR_ASSERT(used <= rest.size);
    if (used > 0)
        conn_dirty(conn);
    if (used == rest.size) {
        mr_buf_fini(&rest);
        return;
    }
    rest.size -= used;
    memmove(rest.data, rest.data + used, rest.size);
    conn->rest = rest;
    conn->http->held_bytes += rest.size;
}

void
conn_settle(struct conn *conn)
{
    if (conn->flooded)
        conn_close(conn);
    if (conn->fd < 0) {
        stream_gone(conn);
        return;
    }
    if (conn->http->draining && stream_reads(conn))
        stream_stop(conn, 503, "the server is ending");
    send_all(conn);
    if (conn->fd < 0)
        return;
    if (conn->rest.size > 0 && !conn->blocked && conn->phase != PHASE_STOP)
        feed_rest(conn);
    if (send_invitation(conn))
        send_all(conn);
    if (conn->fd < 0)
        return;
    bool is_idle = conn->reading == NULL && conn->pending == 0 && conn->rest.size == 0;
    if (is_idle && !conn->lingering && (conn->phase == PHASE_STOP || conn->http->draining)) {
        conn_close(conn);
        return;
    }
    if (conn->ssl_buffered && wants_input(conn))
        read_some(conn);
    if (conn->fd < 0)
        return;
    watch_again(conn);
    timer_update(conn);
}

void
mr_http_reply(struct mr_http_request *request, const struct mr_http_reply *reply)
{
    MR_ASSERT(request != NULL);
    MR_ASSERT(reply != NULL);
    MR_ASSERT(!request->parsed.replied);
    struct conn *conn = request->conn;
    MR_ASSERT(request->parsed.status == 0);
    conn->http->pending--;
    stream_forget(request);
    if (conn->fd < 0 || conn->lingering) {
        request_observe(request, reply->status, reply->body.size);
        conn_forget(conn, request);
        return;
    }
    request_reply(request, reply);
    conn_dirty(conn);
}
