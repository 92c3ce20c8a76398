/*
 * The loop: signals, calls, one step, what came of it. States and their moves:
 *
 *   starting -> ready <-> waiting -> draining -> stopped
 */
#include "service/service.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "clock/clock.h"
#include "log/log.h"
#include "service/private.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_MISUSE = 2, SAY_AGAIN_MS = 10000, CLOSE_MS = 3000 };

const struct mr_metric mr_service_core_metrics[] = {
    { "millrace_process_start_time_seconds", MR_GAUGE, "", "When this process started, UTC." },
    { "process_resident_memory_bytes", MR_GAUGE, "", "Resident memory." },
    { "process_cpu_seconds_total", MR_COUNTER, "", "CPU time, user and system." },
    { "millrace_state", MR_GAUGE, "", "0 starting, 1 ready, 2 waiting, 3 draining, 4 stopped." },
    { "millrace_steps_total", MR_COUNTER, "", "Steps that came back." },
    { "millrace_step_errors_total", MR_COUNTER, "", "Steps that came back with an error." },
};
const size_t mr_service_core_metrics_count = MR_COUNT(mr_service_core_metrics);

/* One per process: signals are the process's too. It stays after mr_service_run, because parts that
 * are closed behind it still hold cells. */
static struct mr_service *opened;

/* ---- exit codes ---- */

/* What a person has to mend first is misuse; all else may be gone at the next start. */
static int
exit_code(const struct mr_err *err)
{
    switch (err->code) {
    case MR_E(INVALID):
    case MR_E(NOT_FOUND):
    case MR_E(UNSUPPORTED):
    case MR_E(IDENTITY):
    case MR_E(IO): /* a local folder or address that cannot be used */
        return EXIT_MISUSE;
    default:
        return EXIT_FAILED;
    }
}

int
mr_service_refuse(const char *process, const struct mr_err *err)
{
    (void)fprintf(stderr, "%s: %s\n", process, err->text);
    if (opened != NULL)
        service_admin_close(opened);
    return exit_code(err);
}

/* ---- open ---- */

static enum mr_level
level_of(const char *word)
{
    return word[0] == 'e'   ? MR_LOG_ERROR
           : word[0] == 'w' ? MR_LOG_WARN
           : word[0] == 'i' ? MR_LOG_INFO
                            : MR_LOG_DEBUG;
}

/* One table out of ours and the process's; it lives as long as the process, like the registry. */
static struct mr_metrics *
open_metrics(const struct mr_metric *const *tables, const size_t *counts)
{
    size_t total = mr_service_core_metrics_count;
    for (size_t i = 0; tables[i] != NULL; i++)
        total += counts[i];
    struct mr_metric *all = mr_alloc(total * sizeof(*all));
    memcpy(all, mr_service_core_metrics, sizeof(mr_service_core_metrics));
    total = mr_service_core_metrics_count;
    for (size_t i = 0; tables[i] != NULL; i++) {
        memcpy(all + total, tables[i], counts[i] * sizeof(*all));
        total += counts[i];
    }
    return mr_metrics_open(all, total);
}

static void
name_instance(struct mr_service *service)
{
    if (service->options->instance[0] != '\0')
        (void)snprintf(service->instance, sizeof(service->instance), "%s",
                       service->options->instance);
    else if (gethostname(service->instance, sizeof(service->instance) - 1) != 0)
        (void)snprintf(service->instance, sizeof(service->instance), "localhost");
}

int
mr_service_open(const char *process, struct mr_service_options *options,
                const struct mr_metric *const *tables, const size_t *counts,
                struct mr_service **ret, struct mr_err *err)
{
    struct mr_service *service = opened = mr_alloc(sizeof(*service));
    if (options->kafka_config[0] == '\0')
        options->kafka_config = NULL;
    if (options->s3_endpoint[0] == '\0')
        options->s3_endpoint = NULL;
    service->process = process;
    service->options = options;
    name_instance(service);
    mr_log_open(process, level_of(options->log_level));
    (void)signal(SIGPIPE, SIG_IGN);
    pthread_mutex_init(&service->lock, NULL);
    mr_buf_init(&service->status, STATUS_BYTES_MAX);
    service->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    MR_ASSERT(service->wake_fd >= 0);
    service->metrics = open_metrics(tables, counts);
    service->start_time =
        mr_metrics_cell(service->metrics, "millrace_process_start_time_seconds", NULL);
    service->resident = mr_metrics_cell(service->metrics, "process_resident_memory_bytes", NULL);
    service->cpu = mr_metrics_cell(service->metrics, "process_cpu_seconds_total", NULL);
    service->state_cell = mr_metrics_cell(service->metrics, "millrace_state", NULL);
    service->steps = mr_metrics_cell(service->metrics, "millrace_steps_total", NULL);
    service->step_errors = mr_metrics_cell(service->metrics, "millrace_step_errors_total", NULL);
    mr_set(service->start_time, mr_wall_us());
    if (service_admin_open(service, err) != 0)
        return err->code;
    *ret = service;
    return 0;
}

struct mr_metrics *
mr_service_metrics(struct mr_service *service)
{
    return service->metrics;
}

const char *
mr_service_instance(const struct mr_service *service)
{
    return service->instance;
}

/* ---- states ---- */

const char *
service_state_name(enum state state)
{
    static const char *const names[STATES] = { "starting", "ready", "waiting", "draining",
                                               "stopped" };
    MR_ASSERT(state < STATES);
    return names[state];
}

static void
move(struct mr_service *service, enum state to, const char *why)
{
    static const bool allowed[STATES][STATES] = {
        [STARTING] = { [STARTING] = true, [READY] = true, [WAITING] = true, [DRAINING] = true },
        [READY] = { [READY] = true, [WAITING] = true, [DRAINING] = true },
        [WAITING] = { [READY] = true, [WAITING] = true, [DRAINING] = true },
        [DRAINING] = { [STOPPED] = true },
    };
    enum state from = (enum state)atomic_load(&service->state);
    MR_ASSERT(allowed[from][to]);
    if (from == to && strcmp(service->why, why) == 0)
        return;
    pthread_mutex_lock(&service->lock);
    (void)snprintf(service->why, sizeof(service->why), "%s", why);
    atomic_store(&service->state, to);
    pthread_mutex_unlock(&service->lock);
    if (from != to)
        mr_log(to == WAITING ? MR_LOG_WARN : MR_LOG_INFO, "state", " from=%s to=%s why=%s",
               service_state_name(from), service_state_name(to), mr_log_quote(mr_slice_text(why)));
}

/* ---- between steps ---- */

static void
serve_calls(struct mr_service *service, const struct mr_service_ops *ops, void *self)
{
    struct mr_rpc_call *calls[MR_RPC_CALLS_MAX];
    pthread_mutex_lock(&service->lock);
    size_t count = service->calls_count;
    memcpy(calls, service->calls, count * sizeof(struct mr_rpc_call *));
    service->calls_count = 0;
    pthread_mutex_unlock(&service->lock);
    for (size_t i = 0; i < count; i++) {
        if (ops->call != NULL)
            ops->call(self, calls[i]);
        else
            mr_rpc_reply(calls[i], &(struct mr_rpc_answer){ .status = MR_RPC_UNIMPLEMENTED,
                                                            .is_last = true });
    }
}

static void
serve_reload(struct mr_service *service, const struct mr_service_ops *ops, void *self)
{
    struct mr_err err = { 0 };
    if (atomic_exchange(&service->reloads, 0) == 0 || ops->reload == NULL)
        return;
    if (ops->reload(self, &err) < 0)
        mr_log_err(MR_LOG_ERROR, "reload-refused", &err, "");
    else
        mr_log(MR_LOG_INFO, "reloaded", "%s", "");
}

static void
publish(struct mr_service *service, const struct mr_service_ops *ops, void *self, int64_t *next_ms)
{
    if (ops->status == NULL || mr_now_ms() < *next_ms)
        return;
    *next_ms = mr_now_ms() + PUBLISH_MS;
    struct mr_buf json;
    mr_buf_init(&json, STATUS_BYTES_MAX);
    ops->status(self, &json);
    pthread_mutex_lock(&service->lock);
    struct mr_buf old = service->status;
    service->status = json;
    pthread_mutex_unlock(&service->lock);
    mr_buf_fini(&old);
}

/* Waits before the next try, but not past a signal; calls are served meanwhile. */
static void
wait_backoff(struct mr_service *service, const struct mr_service_ops *ops, void *self,
             unsigned attempt)
{
    int64_t until_ms = mr_now_ms() + mr_backoff_ms(attempt);
    while (mr_now_ms() < until_ms && atomic_load(&service->stops) == 0) {
        uint64_t count;
        struct pollfd poll_fd = { .fd = service->wake_fd, .events = POLLIN };
        (void)poll(&poll_fd, 1, (int)mr_left_ms(until_ms, 5000));
        (void)!read(service->wake_fd, &count, sizeof(count));
        serve_calls(service, ops, self);
    }
}

/* ---- run ---- */

static void
look_ready(struct mr_service *service, const struct mr_service_ops *ops, void *self)
{
    char why[WHY_MAX] = "";
    bool ready = ops->ready == NULL || ops->ready(self, why, sizeof(why));
    move(service, ready ? READY : WAITING, ready ? "" : why);
}

static int
loop(struct mr_service *service, const struct mr_service_ops *ops, void *self)
{
    unsigned attempt = 0;
    int64_t publish_ms = 0;
    struct mr_log_gate gate = { 0 };

    while (atomic_load(&service->stops) == 0) {
        struct mr_err err = { 0 };
        serve_calls(service, ops, self);
        serve_reload(service, ops, self);
        atomic_store(&service->step_began_ms, mr_now_ms());
        int result = ops->step(self, &err);
        atomic_store(&service->step_began_ms, 0);
        mr_add(service->steps, 1);
        if (result >= 0) {
            attempt = 0;
            look_ready(service, ops, self);
        } else {
            mr_add(service->step_errors, 1);
            if (err.remedy == MR_FATAL) {
                mr_log_err(MR_LOG_ERROR, "fatal", &err, "");
                return exit_code(&err);
            }
            if (mr_log_due(&gate, SAY_AGAIN_MS))
                mr_log_err(MR_LOG_WARN, "step-failed", &err, " attempt=%u", attempt);
            move(service, WAITING, err.text);
        }
        publish(service, ops, self, &publish_ms);
        if (result < 0)
            wait_backoff(service, ops, self, attempt++);
    }
    return EXIT_OK;
}

/* A library that hangs in its own clean-up must not keep a process that has nothing left to do. */
static void *
end_anyway(void *code)
{
    struct timespec time = { .tv_sec = CLOSE_MS / 1000 };
    (void)nanosleep(&time, NULL);
    _exit((int)(intptr_t)code);
}

int
mr_service_run(struct mr_service *service, const struct mr_service_ops *ops, void *self)
{
    struct mr_err err = { 0 };
    pthread_t guard;
    /* Not when it was opened: what is refused behind that says so in one line alone. */
    mr_log(MR_LOG_INFO, "started", " version=%s instance=%s pid=%d admin=%d rpc=%s",
           MR_VERSION_TEXT, mr_log_quote(mr_slice_text(service->instance)), (int)getpid(),
           service->http != NULL ? mr_http_port(service->http) : 0,
           service->rpc != NULL ? mr_rpc_url(service->rpc) : "");
    int code = loop(service, ops, self);

    move(service, DRAINING, code == EXIT_OK ? "the process was asked to end" : service->why);
    atomic_store(&service->drain_until_ms, mr_now_ms() + service->options->drain_ms);
    if (code == EXIT_OK)
        serve_calls(service, ops, self); /* no more come from here on */
    if (code == EXIT_OK && ops->drain != NULL && ops->drain(self, &err) < 0) {
        mr_log_err(MR_LOG_ERROR, "drain-failed", &err, "");
        code = EXIT_FAILED;
    }
    atomic_store(&service->drain_until_ms, 0);
    move(service, STOPPED, "");
    if (pthread_create(&guard, NULL, end_anyway, (void *)(intptr_t)code) == 0)
        (void)pthread_detach(guard);
    service_admin_close(service);
    return code;
}
