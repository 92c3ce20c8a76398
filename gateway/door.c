/*
 * One epoll loop serves clients and, through the watched descriptor of the writer, delivery
 * reports: an answer leaves in the same round in which its last report arrives.
 */
#include "gateway/door.h"

#include "clock/clock.h"
#include "gateway/barrier.h"
#include "gateway/call.h"
#include "gateway/routes.h"
#include "gateway/strict.h"
#include "gateway/visit.h"
#include "log/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    DELIVERY_MS_DEFAULT = 10000,
    BACKGROUND_EVERY_MS = 20, /* topics and deadlines need not be looked at more often */
    CERTIFICATES_EVERY_MS = 1000,
    CONSUMERS_MAX_DEFAULT = 100,
    CONSUMER_IDLE_MS_DEFAULT = 300000,
};

struct door {
    struct mr_http *http;
    struct gateway gateway;
    struct strict *strict; /* NULL: off */
    struct mr_cell *connections;
    int64_t background_next_ms, certificates_next_ms;
};

/* Whatever ends on another thread is served in the round in which it is told. */
static int
watch_parts(struct door *door, struct mr_err *err)
{
    struct gateway *gateway = &door->gateway;
    struct errands *const lanes[] = { fetches_errands(gateway->fetches, 0),
                                      fetches_errands(gateway->fetches, 1) };
    _Static_assert(MR_COUNT(lanes) == FETCH_THREADS, "all are watched");
    const struct {
        int fd;
        void (*ready)(void *self);
        void *self;
    } parts[] = {
        { admit_fd(gateway->admit), admit_reports, gateway->admit },
        { errands_fd(gateway->errands), errands_serve, gateway->errands },
        { errands_fd(lanes[0]), errands_serve, lanes[0] },
        { errands_fd(lanes[1]), errands_serve, lanes[1] },
        { barriers_fd(gateway->barriers), barriers_serve, gateway->barriers },
        { consumers_fd(gateway->consumers), consumers_serve, gateway->consumers },
        { guard_fd(gateway->guard), guard_serve, gateway->guard },
    };
    for (size_t i = 0; i < MR_COUNT(parts); i++)
        if (parts[i].fd >= 0 &&
            mr_http_watch(door->http, parts[i].fd, parts[i].ready, parts[i].self, err) != 0)
            return err->code;
    return 0;
}

int
door_open(const struct door_options *options, struct door **ret, struct mr_err *err)
{
    MR_ASSERT(options->bus != NULL);
    struct door *door = mr_alloc(sizeof(*door));
    struct gateway *gateway = &door->gateway;
    gateway->replies = replies_open(options->metrics);
    gateway->errands = errands_open(options->bus);
    gateway->fetches = fetches_open(options->bus);
    const char *access_log = options->access_log != NULL ? options->access_log : "off";
    door->connections = mr_metrics_cell(options->metrics, "millrace_gateway_connections", NULL);
    int delivery_ms = options->delivery_ms_max > 0 ? options->delivery_ms_max : DELIVERY_MS_DEFAULT;
    struct admit_options admit = {
        .bus = options->bus,
        .errands = gateway->errands,
        .plan = options->plan,
        .kinds = options->kinds,
        .auto_topics = options->auto_topics,
        .linger_ms = options->linger_ms,
        .delivery_ms_max = delivery_ms,
        .in_flight_bytes_max = options->in_flight_bytes_max,
        .receipts_bytes_max = options->receipts_bytes_max,
        .metrics = options->metrics,
        .replies = gateway->replies,
    };
    struct guard_options guard = {
        .policy = options->policy, .again = route, .self = gateway, .metrics = options->metrics
    };
    struct consumers_options consumers = {
        .bus = options->bus,
        .count_max = options->consumers_max > 0 ? options->consumers_max : CONSUMERS_MAX_DEFAULT,
        .idle_ms_max =
            options->consumer_idle_ms > 0 ? options->consumer_idle_ms : CONSUMER_IDLE_MS_DEFAULT,
    };
    gateway->pipeline = options->pipeline;
    struct mr_http_options http = {
        .host = options->host,
        .port = options->port,
        .limits = options->limits,
        .tls = options->tls,
        .handler = route,
        .wants_stream = route_wants_stream,
        .self = gateway,
    };
    if (strict_open(options->strict, options->kinds, &door->strict, err) != 0) {
        door_close(door);
        return err->code;
    }
    admit.strict = door->strict;
    struct barriers_options barriers = { .bus = options->bus,
                                         .pipeline = options->pipeline,
                                         .query = options->query };
    if (guard_open(&guard, &gateway->guard, err) != 0 ||
        visits_open(access_log, options->metrics, &gateway->visits, err) != 0 ||
        admit_open(&admit, &gateway->admit, err) != 0 ||
        consumers_open(&consumers, &gateway->consumers, err) != 0 ||
        (options->query != NULL && options->query[0] != '\0' &&
         barriers_open(&barriers, &gateway->barriers, err) != 0) ||
        mr_http_listen(&http, &door->http, err) != 0 || watch_parts(door, err) != 0) {
        door_close(door);
        return err->code;
    }
    mr_http_observe(door->http, visits_answered, gateway->visits);
    *ret = door;
    return 0;
}

void
door_close(struct door *door)
{
    if (door == NULL)
        return;
    struct gateway *gateway = &door->gateway;
    errands_close(gateway->errands);
    consumers_close(gateway->consumers);
    fetches_close(gateway->fetches);
    admit_close(gateway->admit); /* before http: the writer may still read request bodies */
    mr_http_close(door->http);
    visits_close(gateway->visits);
    guard_close(gateway->guard);
    strict_close(door->strict);
    replies_close(gateway->replies);
    free(door);
}

int
door_port(const struct door *door)
{
    return mr_http_port(door->http);
}

/* Looks at the files of TLS: whoever renews them need not tell us. */
static void
renew_certificates(struct door *door, int64_t now_ms)
{
    struct mr_err err = { 0 };
    if (now_ms < door->certificates_next_ms)
        return;
    door->certificates_next_ms = now_ms + CERTIFICATES_EVERY_MS;
    if (!mr_http_tls_changed(door->http))
        return;
    if (mr_http_tls_reload(door->http, &err) != 0)
        mr_log_err(MR_LOG_ERROR, "certificates-refused", &err, "");
    else
        mr_log(MR_LOG_INFO, "certificates-renewed", "%s", "");
}

int
door_step(struct door *door, int timeout_ms)
{
    if (timeout_ms > BACKGROUND_EVERY_MS &&
        (admit_waiting(door->gateway.admit) > 0 || barriers_waiting(door->gateway.barriers) > 0))
        timeout_ms = BACKGROUND_EVERY_MS;
    int count = mr_http_poll(door->http, timeout_ms);
    int64_t now_ms = mr_now_ms();
    if (now_ms >= door->background_next_ms) {
        door->background_next_ms = now_ms + BACKGROUND_EVERY_MS;
        count += admit_step(door->gateway.admit);
        guard_step(door->gateway.guard);
        if (door->gateway.barriers != NULL)
            barriers_step(door->gateway.barriers);
        consumers_step(door->gateway.consumers);
        renew_certificates(door, now_ms);
        mr_set(door->connections, (int64_t)mr_http_open_connections(door->http));
    }
    return count;
}

bool
door_drain(struct door *door, int timeout_ms)
{
    mr_http_drain(door->http);
    consumers_drain(door->gateway.consumers);
    (void)door_step(door, timeout_ms);
    return consumers_count(door->gateway.consumers) == 0 && mr_http_pending(door->http) == 0 &&
           mr_http_open_connections(door->http) == 0;
}

int
door_reload(struct door *door, struct mr_err *err)
{
    (void)mr_http_tls_reload(door->http, err);
    (void)guard_reload(door->gateway.guard, err);
    if (door->strict != NULL)
        (void)strict_reload(door->strict, err);
    return err->code;
}

bool
door_ready(const struct door *door, char *ret_why, size_t size)
{
    if (topics_reachable(admit_topics(door->gateway.admit)))
        return true;
    (void)snprintf(ret_why, size, "Kafka does not answer");
    return false;
}

void
door_status(const struct door *door, struct mr_buf *ret_json)
{
    mr_buf_printf(ret_json,
                  "{\"connections\":%zu,\"requests_waiting\":%zu,\"in_flight_bytes\":%zu,"
                  "\"streamed_bytes\":%zu,\"receipts\":%zu,\"consumers\":%zu,"
                  "\"topics_less_durable_than_planned\":%zu,\"policy\":",
                  mr_http_open_connections(door->http), admit_waiting(door->gateway.admit),
                  admit_in_flight_bytes(door->gateway.admit), admit_held_bytes(door->gateway.admit),
                  admit_receipts(door->gateway.admit), consumers_count(door->gateway.consumers),
                  topics_weak(admit_topics(door->gateway.admit)));
    guard_status(door->gateway.guard, ret_json);
    mr_buf_text(ret_json, "}");
}
