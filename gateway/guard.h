/*
 * guard: who a request is from, and what that principal may do. Without a policy there is one
 * principal, the nameless one, who may do everything.
 *
 * A policy that changes is read anew, at most a second later; one that is broken is told and leaves
 * the old one in force. Principals are known by name and stay: what was let in under a name goes on
 * under the rights that the name has now, and none when it is gone.
 *
 * Threads: the door's.
 */
#ifndef MR_GUARD_H
#define MR_GUARD_H

#include "base/base.h"
#include "http/http.h"
#include "metrics/metrics.h"

struct call;
struct dialect;
struct guard;
struct principal; /* lives as long as its guard */

enum right { RIGHT_PRODUCE = 1, RIGHT_CONSUME = 2, RIGHT_QUERY = 4, RIGHT_ADMIN = 8 };

struct guard_options {
    const char *policy;     /* file; NULL or "": none */
    mr_http_handler *again; /* gets a request back when its password has been judged */
    void *self;
    struct mr_metrics *metrics;
};
int guard_open(const struct guard_options *options, struct guard **ret, struct mr_err *err);
void guard_close(struct guard *guard);
/* Readable when passwords have been judged, then guard_serve; -1: there is no policy. */
int guard_fd(const struct guard *guard);
void guard_serve(void *guard);
void guard_step(struct guard *guard); /* reads a changed policy */
int guard_reload(struct guard *guard, struct mr_err *err);
void guard_status(const struct guard *guard, struct mr_buf *ret_json); /* one JSON object */

/* Sets call->who. False: the request is answered in the dialect's words, or will come again. */
bool guard_admit(struct guard *guard, struct call *call, const struct dialect *dialect);
/* For a body that comes in parts: false when the sender's limits do not allow so many bytes now. */
bool guard_spend(struct guard *guard, const struct call *call, size_t bytes);
/* For what is open to all: only what browsers need. False: it is answered. */
bool guard_greet(struct guard *guard, struct call *call);

/* "" for the nameless one; part of every event id (LAW 3). */
const char *principal_name(const struct principal *who);
/* topic: a topic of the cluster, or NULL for what concerns none (listing, the cluster itself).
 * Topics that are none of a pipeline's need a grant for all tenants and kinds. */
bool guard_may(const struct principal *who, enum right right, const char *topic);

#endif
