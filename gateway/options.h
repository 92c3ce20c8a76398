/*
 * options: what the door's process can be told about its clients: where they come in, TLS, and the
 * limits of the HTTP server (http.h says what happens at each).
 */
#ifndef MR_GATEWAY_OPTIONS_H
#define MR_GATEWAY_OPTIONS_H

#include "conf/conf.h"
#include "gateway/door.h"
#include "service/service.h"

struct options {
    struct mr_service_options service;
    const char *listen, *topics, *policy, *strict, *query;
    bool auto_topics, insecure;
    const char *access_log;
    int64_t receipts_bytes;
    int64_t linger_ms, in_flight_bytes, body_bytes_max, connections_max;
    int64_t held_bytes_max, header_bytes_max, inflate_ratio_max, pipeline_max, requests_max;
    int64_t header_ms_max, body_ms_max, idle_ms_max, write_ms_max, stream_idle_ms_max;
    int64_t consumers_max, consumer_idle_ms;
    const char *tls_cert, *tls_key, *tls_client_ca, *tls_client;
};

extern const struct mr_opt options_http[];

/* INVALID when others than this machine could come in without TLS or without saying who they are.
 */
int options_check_listen(const struct options *options, const char *host, struct mr_err *err);
/* Fills limits, tls and what concerns consumers; strings are borrowed. Raises the process's limit
 * of descriptors to what the connections need. */
int options_apply(const struct options *options, struct door_options *ret, struct mr_err *err);

#endif
