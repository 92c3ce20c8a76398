/*
 * service: turns a step function into a process: common options, signals, states, the admin port,
 * rpc with Status in every process, a worker thread for slow calls, drain and exit codes.
 *
 * States: starting -> ready <-> waiting -> draining -> stopped. A step that returns an error with
 * remedy RETRY makes the process wait (not ready, the reason shown) and is called again after a
 * backoff of 0.1 to 5 s; FATAL ends the process with exit code 1. A step is bounded: when one has
 * not come back for 5 s the process is not ready either.
 * SIGTERM or SIGINT: not ready, drain, close, exit 0; a second one or the drain deadline: exit 1.
 * SIGHUP: reload is called between two steps.
 *
 * Threads: steps run on the main thread. The admin thread serves HTTP and rpc Status from what was
 * published last; it never touches the step's objects.
 */
#ifndef MR_SERVICE_H
#define MR_SERVICE_H

#include "base/base.h"
#include "conf/conf.h"
#include "metrics/metrics.h"
#include "rpc/rpc.h"

#define MR_VERSION_TEXT MILLRACE_VERSION /* from project(VERSION) */

/* Options that every process has: the first member of its options struct. */
struct mr_service_options {
    const char *bootstrap, *kafka_config;
    const char *store, *s3_endpoint;
    const char *kinds;
    const char *pipeline, *instance; /* instance "": host name */
    const char *admin, *rpc;         /* "": none; port 0: free */
    const char *log_level;
    int64_t drain_ms, memory;
};
extern const struct mr_metric mr_service_core_metrics[]; /* of every process */
extern const size_t mr_service_core_metrics_count;
extern const struct mr_opt mr_service_opts[]; /* offsets count from the struct's start */

struct mr_service;

struct mr_service_ops {
    /* One bounded piece of work: count of things done (0 = idle), or an error. */
    int (*step)(void *self, struct mr_err *err);
    int (*drain)(void *self, struct mr_err *err);  /* NULL: nothing to finish */
    int (*reload)(void *self, struct mr_err *err); /* SIGHUP; NULL: ignored. Failure: logged, the
                                                      old contracts stay */
    /* Fills why when the process cannot do its job although steps succeed; NULL: it can. */
    bool (*ready)(void *self, char *ret_why, size_t size);
    /* One JSON object for /status and rpc Status, published after steps, at most once a second. */
    void (*status)(void *self, struct mr_buf *ret_json);
    /* rpc calls other than Status; on the main thread, between steps. NULL: UNIMPLEMENTED. */
    void (*call)(void *self, struct mr_rpc_call *call);
};

/* Prints "millrace-validator: reason" and returns exit code 2 (or 1 for what is not
 * configuration): return mr_service_refuse("millrace-validator", &err); */
int mr_service_refuse(const char *process, const struct mr_err *err);
/* Opens log, metrics, admin port and rpc. tables: metric tables, ends with NULL; counts beside. */
int mr_service_open(const char *process, struct mr_service_options *options,
                    const struct mr_metric *const *tables, const size_t *counts,
                    struct mr_service **ret, struct mr_err *err);
/* Runs until drained; the exit code of the process. Closes service. */
int mr_service_run(struct mr_service *service, const struct mr_service_ops *ops, void *self);
struct mr_metrics *mr_service_metrics(struct mr_service *service);
const char *mr_service_instance(const struct mr_service *service);

/* ---- one worker thread for calls that may take longer than 100 ms ---- */

struct mr_worker;
struct mr_job {
    int (*run)(struct mr_job *job, struct mr_err *err); /* on the worker thread */
    int result;                                         /* what run returned */
    struct mr_err err;
    struct mr_job *next_; /* the worker's */
};
struct mr_worker *mr_worker_open(size_t queue_max);
/* FULL when queue_max jobs are waiting. The job belongs to the worker until it comes back. */
int mr_worker_submit(struct mr_worker *worker, struct mr_job *job, struct mr_err *err);
/* A finished job, or NULL after timeout_ms. In order of submission. */
struct mr_job *mr_worker_done(struct mr_worker *worker, int timeout_ms);
/* A descriptor that is readable while finished jobs wait. */
int mr_worker_fd(const struct mr_worker *worker);
size_t mr_worker_pending(const struct mr_worker *worker); /* submitted and not yet taken back */
void mr_worker_close(struct mr_worker *worker);           /* waits for the running job */

#endif
