/*
 * A fixed set of lanes, each with one nng context and at most one call: receive, hand out, reply,
 * receive again. nng's threads only parse and queue; everything else happens where the calls are
 * taken. Contexts are never closed under traffic (their close races with deadlines in nng 1.x).
 */
#include "rpc/private.h"

#include <nng/protocol/reqrep0/rep.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock/clock.h"

struct lane {
    struct mr_rpc_call call; /* first: a call's address is its lane's */
    struct mr_rpc_server *server;
    nng_ctx context;
    nng_aio *receive, *send;
    Millrace__V1__Request *request;
    struct lane *next; /* in the queue */
};

struct mr_rpc_server {
    nng_socket socket;
    char url[256];
    int event_fd;
    pthread_mutex_t lock;
    struct lane *first, *last; /* calls that wait to be taken */
    struct lane lanes[MR_RPC_CALLS_MAX];
};

/* ---- receiving, on nng's threads ---- */

static void
receive_next(struct lane *lane)
{
    nng_ctx_recv(lane->context, lane->receive);
}

static void
enqueue(struct lane *lane)
{
    struct mr_rpc_server *server = lane->server;
    uint64_t one = 1;
    pthread_mutex_lock(&server->lock);
    lane->next = NULL;
    if (server->last != NULL)
        server->last->next = lane;
    else
        server->first = lane;
    server->last = lane;
    pthread_mutex_unlock(&server->lock);
    (void)!write(server->event_fd, &one, sizeof(one));
}

static void
on_received(void *self)
{
    struct lane *lane = self;
    if (nng_aio_result(lane->receive) != 0) /* without a deadline only closing ends it */
        return;
    nng_msg *message = nng_aio_get_msg(lane->receive);
    lane->request =
        rpc_parse_request(mr_slice(nng_msg_body(message), nng_msg_len(message)), &lane->call);
    nng_msg_free(message);
    if (lane->request != NULL)
        enqueue(lane);
    else
        receive_next(lane); /* not ours: no answer; the peer's deadline ends it */
}

static void
on_sent(void *self)
{
    struct lane *lane = self;
    if (nng_aio_result(lane->send) == 0)
        receive_next(lane);
    else /* closing */
        nng_msg_free(nng_aio_get_msg(lane->send));
}

/* ---- taking and replying ---- */

struct mr_rpc_call *
mr_rpc_take(struct mr_rpc_server *server, int timeout_ms)
{
    int64_t until_ms = mr_now_ms() + timeout_ms;
    for (;;) {
        pthread_mutex_lock(&server->lock);
        struct lane *lane = server->first;
        if (lane != NULL) {
            server->first = lane->next;
            if (server->first == NULL)
                server->last = NULL;
        }
        pthread_mutex_unlock(&server->lock);
        if (lane != NULL && mr_now_ms() <= lane->call.deadline_ms)
            return &lane->call;
        if (lane != NULL) {
            mr_rpc_reply(&lane->call, &(struct mr_rpc_answer){ .status = MR_RPC_DEADLINE_EXCEEDED,
                                                               .is_last = true });
            continue;
        }
        uint64_t count;
        struct pollfd poll_fd = { .fd = server->event_fd, .events = POLLIN };
        if (poll(&poll_fd, 1, (int)mr_left_ms(until_ms, timeout_ms)) <= 0)
            return NULL;
        (void)!read(server->event_fd, &count, sizeof(count));
    }
}

void
mr_rpc_reply(struct mr_rpc_call *call, const struct mr_rpc_answer *answer)
{
    struct lane *lane = (struct lane *)call;
    MR_ASSERT(lane->request != NULL); /* exactly once */
    nng_msg *message = rpc_pack_reply(lane->request->id, answer);
    millrace__v1__request__free_unpacked(MR_TAKE(lane->request), NULL);
    nng_aio_set_msg(lane->send, message);
    nng_ctx_send(lane->context, lane->send);
}

/* ---- open and close ---- */

const char *
mr_rpc_url(const struct mr_rpc_server *server)
{
    return server->url;
}

int
mr_rpc_fd(struct mr_rpc_server *server)
{
    return server->event_fd;
}

static int
listen_at(struct mr_rpc_server *server, const char *url, struct mr_err *err)
{
    nng_listener listener;
    int port;
    int failed = nng_listen(server->socket, url, &listener, 0);
    if (failed != 0)
        return mr_fail(err, failed == NNG_EADDRINUSE ? MR_E(UNAVAILABLE) : MR_E(INVALID), MR_FATAL,
                       "cannot listen at %s: %s", url, nng_strerror(failed));
    const char *colon = strrchr(url, ':');
    if (strncmp(url, "tcp:", 4) == 0 &&
        nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port) == 0)
        (void)snprintf(server->url, sizeof(server->url), "%.*s:%d", (int)(colon - url), url, port);
    else
        (void)snprintf(server->url, sizeof(server->url), "%s", url);
    return 0;
}

static int
open_lanes(struct mr_rpc_server *server, struct mr_err *err)
{
    for (size_t i = 0; i < MR_RPC_CALLS_MAX; i++) {
        struct lane *lane = &server->lanes[i];
        lane->server = server;
        if (nng_ctx_open(&lane->context, server->socket) != 0 ||
            nng_aio_alloc(&lane->receive, on_received, lane) != 0 ||
            nng_aio_alloc(&lane->send, on_sent, lane) != 0)
            return mr_fail(err, MR_E(INTERNAL), MR_FATAL, "rpc: no context");
    }
    for (size_t i = 0; i < MR_RPC_CALLS_MAX; i++)
        receive_next(&server->lanes[i]);
    return 0;
}

int
mr_rpc_serve(const char *url, struct mr_rpc_server **ret, struct mr_err *err)
{
    struct mr_rpc_server *server = mr_alloc(sizeof(*server));
    pthread_mutex_init(&server->lock, NULL);
    server->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    MR_ASSERT(server->event_fd >= 0);
    int failed = nng_rep0_open(&server->socket);
    MR_ASSERT(failed == 0);
    (void)nng_socket_set_size(server->socket, NNG_OPT_RECVMAXSZ, MR_RPC_BYTES_MAX);
    int result = listen_at(server, url, err);
    if (result == 0)
        result = open_lanes(server, err);
    if (result != 0)
        mr_rpc_close_server(server);
    else
        *ret = server;
    return result;
}

void
mr_rpc_close_server(struct mr_rpc_server *server)
{
    if (server == NULL)
        return;
    (void)nng_close(server->socket);
    for (size_t i = 0; i < MR_RPC_CALLS_MAX; i++) {
        struct lane *lane = &server->lanes[i];
        /* Both wait for a callback that runs; that of send may still begin to receive. */
        nng_aio_free(lane->send);
        nng_aio_free(lane->receive);
        millrace__v1__request__free_unpacked(lane->request, NULL);
    }
    (void)close(server->event_fd);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
