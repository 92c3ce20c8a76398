/*
 * What the files of service share. service.c: the loop on the main thread; admin.c: the thread that
 * answers for the process; worker.c: the thread for slow calls; options.c: the common table.
 */
#ifndef MR_SERVICE_PRIVATE_H
#define MR_SERVICE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "http/http.h"
#include "service/service.h"

enum { STUCK_MS = 5000, PUBLISH_MS = 1000, STATUS_BYTES_MAX = 16 << 20, WHY_MAX = 512 };

enum state { STARTING, READY, WAITING, DRAINING, STOPPED, STATES };

struct mr_service {
    const char *process;
    struct mr_service_options *options;
    char instance[128];
    struct mr_metrics *metrics;
    struct mr_cell *state_cell, *steps, *step_errors, *start_time, *resident, *cpu;

    /* Set by the main thread, read by the admin thread. */
    _Atomic int state;
    _Atomic int64_t step_began_ms; /* 0: between steps */
    _Atomic int64_t drain_until_ms;
    /* Set by the admin thread, read by the main thread. */
    atomic_uint stops, reloads;
    atomic_bool is_closing;
    int wake_fd; /* wakes the main thread out of a backoff */

    pthread_mutex_t lock;                        /* of what follows */
    char why[WHY_MAX];                           /* why not ready */
    struct mr_buf status;                        /* JSON of the process, published */
    struct mr_rpc_call *calls[MR_RPC_CALLS_MAX]; /* for the main thread */
    size_t calls_count;

    pthread_t admin;
    bool has_admin;
    int signal_fd;
    struct mr_http *http;      /* the admin thread's */
    struct mr_rpc_server *rpc; /* taken from by the admin thread */
};

const char *service_state_name(enum state state);
/* admin.c: starts the thread; listens first, so that a busy port is a configuration error. */
int service_admin_open(struct mr_service *service, struct mr_err *err);
void service_admin_close(struct mr_service *service);

#endif
