/*
 * visit: one request from its coming to its answer, as the access log and the metrics see it.
 *
 * The router begins a visit, the parts on its way add what they know, and lib/http tells its end,
 * also of requests that it refused itself and that nobody else has seen. A visit lives in its
 * request's memory. Threads: the door's.
 */
#ifndef MR_VISIT_H
#define MR_VISIT_H

#include "base/base.h"
#include "gateway/guard.h"
#include "gateway/trace.h"
#include "http/http.h"
#include "metrics/metrics.h"

struct dialect;
struct visits;

enum {
    VISITS_TENANTS_MAX = 100,     /* counted each by its name, the others together */
    VISITS_LINES_PER_S_MAX = 500, /* of the access log; what is more is counted */
};

struct visit {
    uint64_t number; /* names the request in the access log */
    int64_t begun_us;
    const struct dialect *dialect; /* NULL: not answered by one yet */
    const struct principal *who;   /* NULL: not known */
    size_t events;                 /* posted, stored or not */
    const char *topic;             /* of the first of them; NULL: none */
    bool is_topic_found;        /* tenants that only a client has named are not counted by name */
    char trace[TRACE_TEXT + 1]; /* "": not asked for yet */
};

/* access_log: off, errors, all, or a number n for each nth. INVALID: none of these. */
int visits_open(const char *access_log, struct mr_metrics *metrics, struct visits **ret,
                struct mr_err *err);
void visits_close(struct visits *visits);
void visit_begin(struct visits *visits, struct mr_http_request *request);
/* NULL for a request that the server refused itself. */
struct visit *visit_of(struct mr_http_request *request);
/* The trace context of the request's events: its own, or one made now. */
const char *visit_trace(struct mr_http_request *request);
/* For mr_http_observe. */
void visits_answered(void *visits, struct mr_http_request *request, int status, size_t body_bytes);

#endif
