/*
 * The admin thread: signals, one HTTP server and the rpc socket. It shows what the main thread
 * published last and hands calls over; it never waits for the main thread, so it can also end the
 * process while a step hangs.
 */
#include "service/private.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "clock/clock.h"
#include "log/log.h"
#include "millrace/v1/rpc.pb-c.h"

enum {
    WAIT_MS = 100, /* how late the drain deadline and the end of the thread may be seen */
    METRICS_BYTES_MAX = 64 << 20,
    STATUS_TEXT_MAX = STATUS_BYTES_MAX - (64 << 10), /* in an rpc reply, with what stands around */
    CONNECTIONS_MAX = 64,
    HOST_MAX = 256
};

/* ---- what is shown ---- */

/* A step that does not come back is seen here, not where the step runs. */
static enum state
shown_state(struct mr_service *service, char ret_why[WHY_MAX])
{
    int64_t began_ms = atomic_load(&service->step_began_ms);
    int64_t age_ms = began_ms > 0 ? mr_now_ms() - began_ms : 0;
    pthread_mutex_lock(&service->lock);
    enum state state = (enum state)atomic_load(&service->state);
    memcpy(ret_why, service->why, WHY_MAX);
    pthread_mutex_unlock(&service->lock);
    if (age_ms > STUCK_MS && state == READY) {
        state = WAITING;
        (void)snprintf(ret_why, WHY_MAX, "a step has not come back for %d s", (int)(age_ms / 1000));
    }
    return state;
}

static int64_t
resident_bytes(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*d %ld", &pages) != 1)
        pages = 0;
    (void)fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static int64_t
cpu_us(void)
{
    struct rusage usage;
    int failed = getrusage(RUSAGE_SELF, &usage);
    MR_ASSERT(failed == 0);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}

static void
put_metrics(struct mr_service *service, struct mr_buf *text)
{
    char why[WHY_MAX];
    mr_set(service->state_cell, shown_state(service, why));
    mr_set(service->resident, resident_bytes());
    mr_set(service->cpu, cpu_us());
    mr_metrics_write(service->metrics, text);
}

static void
put_status(struct mr_service *service, struct mr_buf *json)
{
    char why[WHY_MAX], started[MR_TIME_TEXT];
    enum state shown = shown_state(service, why);
    mr_time_text(atomic_load(&service->start_time->value), started);
    mr_buf_printf(json, "{\"process\":\"%s\",\"instance\":", service->process);
    mr_buf_json(json, mr_slice_text(service->instance));
    mr_buf_printf(json, ",\"version\":\"%s\",\"started_at\":\"%s\",\"state\":\"%s\",\"why\":",
                  MR_VERSION_TEXT, started, service_state_name(shown));
    mr_buf_json(json, mr_slice_text(why));
    mr_buf_text(json, ",\"detail\":");
    pthread_mutex_lock(&service->lock);
    if (service->status.size > 0 && !service->status.failed)
        mr_buf_put(json, service->status.data, service->status.size);
    else
        mr_buf_text(json, "{}");
    pthread_mutex_unlock(&service->lock);
    mr_buf_text(json, "}");
}

/* ---- HTTP ---- */

static void
answer(struct mr_http_request *request, int status, const char *type, struct mr_buf *body)
{
    struct mr_http_reply reply = { .status = status, .content_type = type };
    if (body->failed)
        reply.status = 500;
    reply.body = mr_buf_slice(body);
    mr_http_reply(request, &reply);
}

static void
handle(void *self, struct mr_http_request *request)
{
    struct mr_service *service = self;
    struct mr_slice path = mr_http_path(request), method = mr_http_method(request);
    const char *type = "text/plain; charset=utf-8";
    char why[WHY_MAX];
    int status = 200;
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    mr_buf_init(&body, METRICS_BYTES_MAX);

    if (!mr_slice_is_text(method, "GET") && !mr_slice_is_text(method, "HEAD")) {
        status = 405;
        mr_buf_text(&body, "only GET is served here\n");
    } else if (mr_slice_is_text(path, "/live")) {
        mr_buf_text(&body, "live\n");
    } else if (mr_slice_is_text(path, "/ready")) {
        enum state shown = shown_state(service, why);
        status = shown == READY ? 200 : 503;
        mr_buf_printf(&body, "%s%s%s\n", service_state_name(shown), why[0] != '\0' ? ": " : "",
                      why);
    } else if (mr_slice_is_text(path, "/metrics")) {
        type = "text/plain; version=0.0.4; charset=utf-8";
        put_metrics(service, &body);
    } else if (mr_slice_is_text(path, "/status")) {
        type = "application/json";
        put_status(service, &body);
    } else {
        status = 404;
        mr_buf_text(&body, "there is /live, /ready, /metrics and /status\n");
    }
    answer(request, status, type, &body);
}

/* ---- rpc ---- */

static void
answer_status(struct mr_service *service, struct mr_rpc_call *call)
{
    Millrace__V1__StatusReply reply = MILLRACE__V1__STATUS_REPLY__INIT;
    char why[WHY_MAX];
    MR_CLEANUP(mr_buf_fini) struct mr_buf json;
    MR_CLEANUP(mr_freep) uint8_t *packed = NULL;
    mr_buf_init(&json, STATUS_TEXT_MAX);
    put_status(service, &json);
    MR_ASSERT(!json.failed);
    reply.process = (char *)service->process;
    reply.instance = service->instance;
    reply.state = (char *)service_state_name(shown_state(service, why));
    reply.version = (char *)MR_VERSION_TEXT;
    reply.json = json.data;
    packed = mr_alloc(millrace__v1__status_reply__get_packed_size(&reply));
    size_t size = millrace__v1__status_reply__pack(&reply, packed);
    mr_rpc_reply(call, &(struct mr_rpc_answer){
                           .status = MR_RPC_OK, .body = mr_slice(packed, size), .is_last = true });
}

/* False when the main thread takes no more. The queue has a place for each call that rpc can have
 * under way. */
static bool
hand_over(struct mr_service *service, struct mr_rpc_call *call)
{
    uint64_t one = 1;
    pthread_mutex_lock(&service->lock);
    bool takes_calls = atomic_load(&service->state) < DRAINING;
    if (takes_calls) {
        MR_ASSERT(service->calls_count < MR_RPC_CALLS_MAX);
        service->calls[service->calls_count++] = call;
    }
    pthread_mutex_unlock(&service->lock);
    if (takes_calls)
        (void)!write(service->wake_fd, &one, sizeof(one));
    return takes_calls;
}

static void
take_calls(void *self)
{
    struct mr_service *service = self;
    struct mr_rpc_call *call;
    while ((call = mr_rpc_take(service->rpc, 0)) != NULL) {
        if (strcmp(call->method, "Status") == 0)
            answer_status(service, call);
        else if (!hand_over(service, call))
            mr_rpc_reply(call, &(struct mr_rpc_answer){ .status = MR_RPC_UNAVAILABLE,
                                                        .message = "the process is ending",
                                                        .is_last = true });
    }
}

/* ---- signals ---- */

static _Noreturn void
give_up(const char *why)
{
    mr_log(MR_LOG_ERROR, "ended-undrained", " why=\"%s\"", why);
    _exit(1);
}

static void
take_signals(void *self)
{
    struct mr_service *service = self;
    struct signalfd_siginfo info;
    uint64_t one = 1;
    while (read(service->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP)
            atomic_fetch_add(&service->reloads, 1);
        else if (atomic_fetch_add(&service->stops, 1) > 0)
            give_up("a second signal asked for it");
        (void)!write(service->wake_fd, &one, sizeof(one));
    }
}

static void
open_signals(struct mr_service *service)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    int failed = pthread_sigmask(SIG_BLOCK, &set, NULL);
    MR_ASSERT(failed == 0);
    service->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    MR_ASSERT(service->signal_fd >= 0);
}

/* ---- the thread ---- */

static void
poll_without_http(struct mr_service *service)
{
    struct pollfd fds[] = { { .fd = service->signal_fd, .events = POLLIN },
                            { .fd = service->rpc != NULL ? mr_rpc_fd(service->rpc) : -1,
                              .events = POLLIN } };
    (void)poll(fds, MR_COUNT(fds), WAIT_MS);
    if (fds[0].revents != 0)
        take_signals(service);
    if (fds[1].revents != 0)
        take_calls(service);
}

static void *
serve(void *self)
{
    struct mr_service *service = self;
    while (!atomic_load(&service->is_closing)) {
        int64_t until_ms = atomic_load(&service->drain_until_ms);
        if (until_ms > 0 && mr_now_ms() > until_ms)
            give_up("draining took longer than --drain-ms");
        if (service->http != NULL)
            (void)mr_http_poll(service->http, WAIT_MS);
        else
            poll_without_http(service);
    }
    return NULL;
}

static int
open_http(struct mr_service *service, struct mr_err *err)
{
    char host[HOST_MAX];
    struct mr_http_options http = {
        .host = host,
        .limits = { .connections_max = CONNECTIONS_MAX, .body_bytes_max = 4096 },
        .handler = handle,
        .self = service,
    };
    if (mr_conf_addr(service->options->admin, host, sizeof(host), &http.port, err) != 0 ||
        mr_http_listen(&http, &service->http, err) != 0)
        return mr_fail_in(err, "option --admin");
    if (mr_http_watch(service->http, service->signal_fd, take_signals, service, err) != 0 ||
        (service->rpc != NULL &&
         mr_http_watch(service->http, mr_rpc_fd(service->rpc), take_calls, service, err) != 0))
        return err->code;
    return 0;
}

/* Signals are blocked before the first thread begins, so that only signal_fd sees them. */
int
service_admin_open(struct mr_service *service, struct mr_err *err)
{
    open_signals(service);
    if (service->options->rpc[0] != '\0' &&
        mr_rpc_serve(service->options->rpc, &service->rpc, err) != 0)
        return mr_fail_in(err, "option --rpc");
    if (service->options->admin[0] != '\0' && open_http(service, err) != 0)
        return err->code;
    int failed = pthread_create(&service->admin, NULL, serve, service);
    MR_ASSERT(failed == 0);
    service->has_admin = true;
    return 0;
}

/* The rpc socket stays open to the end of the process: the last replies are still on their way. */
void
service_admin_close(struct mr_service *service)
{
    if (service->has_admin) {
        atomic_store(&service->is_closing, true);
        pthread_join(service->admin, NULL);
        service->has_admin = false;
    }
    mr_http_close(service->http);
    service->http = NULL;
}
