/*
 * door: the gateway without its process: HTTP in front, a bus behind. Everything that a dialect
 * needs is behind admit.h; everything of a request's way to it behind routes.h.
 *
 * Threads: one.
 */
#ifndef MR_DOOR_H
#define MR_DOOR_H

#include "base/base.h"
#include "bus/bus.h"
#include "http/http.h"
#include "metrics/metrics.h"
#include "topics/topics.h"

struct door;

struct door_options {
    struct mr_bus *bus; /* borrowed; used on the door's worker thread from here on */
    const struct mr_plan *plan;
    const char *host;
    int port; /* 0: a free one */
    struct mr_http_limits limits;
    struct mr_http_tls tls;
    const char *kinds;
    const char *strict; /* patterns of what is checked at the door (strict.h); NULL: nothing */
    const char *query;  /* the query service, for those who wait to see their events; NULL: none */
    const char *policy; /* file of principals (guard.h); NULL: all may do all */
    bool auto_topics;
    int linger_ms;
    int delivery_ms_max; /* 0: 10 s */
    int64_t in_flight_bytes_max;
    size_t consumers_max;       /* 0: 100 */
    int64_t consumer_idle_ms;   /* 0: 5 minutes */
    const char *pipeline;       /* its groups are not for clients; NULL: none */
    int64_t receipts_bytes_max; /* 0: none are kept */
    const char *access_log;     /* see visit.h; NULL: off */
    struct mr_metrics *metrics; /* made with gateway_metrics (reply.h) */
};
int door_open(const struct door_options *options, struct door **ret, struct mr_err *err);
/* Requests without an answer are dropped: drain first. */
void door_close(struct door *door);
int door_port(const struct door *door);
/* Serves what is ready, waiting up to timeout_ms for the first of it. */
int door_step(struct door *door, int timeout_ms);
/* No more connections; true when all requests have been answered. */
bool door_drain(struct door *door, int timeout_ms);
/* The certificates and the policy; of what fails the old stays. */
int door_reload(struct door *door, struct mr_err *err);
bool door_ready(const struct door *door, char *ret_why, size_t size);
void door_status(const struct door *door, struct mr_buf *ret_json);

#endif
