/*
 * rpc: one request, one reply, always a deadline; gRPC's shape over nng REQ/REP.
 *
 * The messages are Request and Reply of proto/millrace/v1/rpc.proto. nng is seen in this module
 * only, and used by these rules: a fixed pool of contexts for the life of the socket, deadlines by
 * the aio's own timeout, no resend, no close under traffic, a receive size limit.
 *
 * Server: nng's threads put calls into a bounded queue; one thread of the process takes them with
 * mr_rpc_take; each is answered exactly once with mr_rpc_reply, at once or later, in any order, on
 * any thread. A call whose deadline has passed is answered DEADLINE_EXCEEDED and not handed out.
 * Client: one handle = one peer = one thread; a call blocks until reply or deadline.
 */
#ifndef MR_RPC_H
#define MR_RPC_H

#include "base/base.h"

/* Status codes, numbers as in gRPC. */
enum mr_rpc_status {
    MR_RPC_OK = 0,
    MR_RPC_CANCELLED = 1,
    MR_RPC_UNKNOWN = 2,
    MR_RPC_INVALID_ARGUMENT = 3,
    MR_RPC_DEADLINE_EXCEEDED = 4,
    MR_RPC_NOT_FOUND = 5,
    MR_RPC_RESOURCE_EXHAUSTED = 8,
    MR_RPC_FAILED_PRECONDITION = 9,
    MR_RPC_UNIMPLEMENTED = 12,
    MR_RPC_INTERNAL = 13,
    MR_RPC_UNAVAILABLE = 14,
};
const char *mr_rpc_status_name(int status);

enum { MR_RPC_BYTES_MAX = 16 << 20, MR_RPC_CALLS_MAX = 64, MR_RPC_TIMEOUT_MAX_MS = 600000 };

struct mr_rpc_server;

struct mr_rpc_call {
    const char *method;
    struct mr_slice body;
    int64_t deadline_ms; /* monotonic */
    const char *traceparent;
    const char *id;
};

/* url: tcp://HOST:PORT (port 0: free, see mr_rpc_url), ipc:///path or inproc://name. */
int mr_rpc_serve(const char *url, struct mr_rpc_server **ret, struct mr_err *err);
const char *mr_rpc_url(const struct mr_rpc_server *server); /* with the real port */
int mr_rpc_fd(struct mr_rpc_server *server);                /* readable when a call waits */
/* The next call or NULL after timeout_ms. It stays valid until it is replied to. */
struct mr_rpc_call *mr_rpc_take(struct mr_rpc_server *server, int timeout_ms);
struct mr_rpc_answer {
    int status;
    const char *message; /* for a person, when status is not OK; NULL: the status' name */
    struct mr_slice body;
    const char *cursor; /* more is to be had with it, from this peer; NULL: none */
    uint32_t sequence;
    bool is_last;
};
void mr_rpc_reply(struct mr_rpc_call *call, const struct mr_rpc_answer *answer);
/* Not with replies on their way: nng 1.5 may hang here. A process simply ends instead. */
void mr_rpc_close_server(struct mr_rpc_server *server);

struct mr_rpc_client;
int mr_rpc_dial(const char *url, struct mr_rpc_client **ret, struct mr_err *err);
/* After a TIMEOUT the connection itself stays until the process ends: keep such a client and call
 * again with it. */
void mr_rpc_close(struct mr_rpc_client *client);
void mr_rpc_closep(struct mr_rpc_client **client);
/* 0 when a reply came, whatever its status; TIMEOUT or UNAVAILABLE when none did; TOO_LARGE when
 * the request is above MR_RPC_BYTES_MAX. ret is borrowed until the next call on this client. */
int mr_rpc_call(struct mr_rpc_client *client, const char *method, struct mr_slice body,
                int64_t timeout_ms, struct mr_rpc_answer *ret, struct mr_err *err);

#endif
