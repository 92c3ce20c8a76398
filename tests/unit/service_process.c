#include "service_process.h"

#include <arpa/inet.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock/clock.h"
#include "service/service.h"
#include "test.h"

enum { WAIT_MS_MAX = 20000, STEP_PAUSE_MS = 2, HANG_CRANK_MS = 5001 };

static int script_fd = -1;

struct script *
script_new(void)
{
    if (script_fd >= 0)
        (void)close(script_fd);
    script_fd = memfd_create("script", 0);
    assert_true(script_fd >= 0);
    assert_int_equal(ftruncate(script_fd, sizeof(struct script)), 0);
    void *map = mmap(NULL, sizeof(struct script), PROT_READ | PROT_WRITE, MAP_SHARED, script_fd, 0);
    assert_true(map != MAP_FAILED);
    return map;
}

/* ---- inside the process ---- */

static int
obey(const struct script *script, const atomic_int *order, struct mr_err *err)
{
    switch (atomic_load(order)) {
    case ORDER_RETRY:
        return mr_fail(err, MR_E(UNAVAILABLE), MR_RETRY, "the broker \"b\" is away");
    case ORDER_BREAK:
        return mr_fail(err, MR_E(FENCED), MR_FATAL, "somebody took over");
    case ORDER_IDENTITY:
        return mr_fail(err, MR_E(IDENTITY), MR_FATAL, "another topic id");
    case ORDER_HANG:
        if (atomic_load(&script->is_clock_held))
            mr_clock_crank(HANG_CRANK_MS);
        while (atomic_load(order) == ORDER_HANG)
            (void)poll(NULL, 0, STEP_PAUSE_MS);
        return 1;
    default:
        (void)poll(NULL, 0, STEP_PAUSE_MS);
        return 0;
    }
}

static int
step(void *self, struct mr_err *err)
{
    struct script *script = self;
    atomic_fetch_add(&script->steps, 1);
    return obey(script, &script->step, err);
}

static int
drain(void *self, struct mr_err *err)
{
    struct script *script = self;
    atomic_fetch_add(&script->drains, 1);
    return obey(script, &script->drain, err);
}

static int
reload(void *self, struct mr_err *err)
{
    struct script *script = self;
    atomic_fetch_add(&script->reloads, 1);
    return mr_fail(err, MR_E(INVALID), MR_REJECT, "kind pin: version is not raised");
}

static bool
ready(void *self, char *ret_why, size_t size)
{
    const struct script *script = self;
    if (!atomic_load(&script->is_unready))
        return true;
    (void)snprintf(ret_why, size, "no partition is assigned");
    return false;
}

static void
status(void *self, struct mr_buf *ret_json)
{
    (void)self;
    mr_buf_text(ret_json, "{\"parts\":[1,2]}");
}

static void
call(void *self, struct mr_rpc_call *rpc_call)
{
    struct script *script = self;
    atomic_fetch_add(&script->calls, 1);
    mr_rpc_reply(rpc_call, &(struct mr_rpc_answer){ .body = rpc_call->body, .is_last = true });
}

int
process_main(int argc, char **argv)
{
    static struct mr_service_options options;
    static const char name[] = "millrace-script";
    const struct mr_conf conf = { .process = name, .summary = "", .tables = { mr_service_opts } };
    static const struct mr_metric metrics[] = { { "millrace_scripts_total", MR_COUNTER, "", "." } };
    const struct mr_metric *const tables[] = { metrics, NULL };
    const size_t counts[] = { MR_COUNT(metrics) };
    struct mr_service *service = NULL;
    struct mr_err err = { 0 };
    struct script *script = mmap(NULL, sizeof(*script), PROT_READ | PROT_WRITE, MAP_SHARED,
                                 (int)strtol(getenv("SCRIPT_FD"), NULL, 10), 0);

    if (mr_conf_load(&conf, &options, argc, argv, &err) != 0)
        return mr_service_refuse(name, &err);
    if (atomic_load(&script->is_clock_held))
        mr_clock_hold(1000000, 1700000000000000);
    if (mr_service_open(name, &options, tables, counts, &service, &err) != 0)
        return mr_service_refuse(name, &err);
    struct mr_service_ops ops = { step, drain, reload, ready, status, call };
    if (atomic_load(&script->has_no_calls))
        ops.call = NULL;
    return mr_service_run(service, &ops, script);
}

/* ---- outside of it ---- */

void
process_await_log(struct process *process, const char *text)
{
    int64_t deadline_ms = mr_now_ms() + WAIT_MS_MAX;
    while (strstr(process->log, text) == NULL) {
        struct pollfd fd = { .fd = process->log_fd, .events = POLLIN };
        int64_t left_ms = mr_left_ms(deadline_ms, WAIT_MS_MAX);
        if (left_ms == 0 || poll(&fd, 1, (int)left_ms) <= 0)
            fail_msg("\"%s\" did not come; the log: %s", text, process->log);
        ssize_t got = read(process->log_fd, process->log + process->log_size,
                           sizeof(process->log) - 1 - process->log_size);
        if (got <= 0)
            fail_msg("the process ended without \"%s\"; its log: %s", text, process->log);
        process->log_size += (size_t)got;
        process->log[process->log_size] = '\0';
    }
}

void
process_start(struct process *process, struct script *script, const char *const *arguments)
{
    char *argv[16] = { (char *)"test_service", (char *)PROCESS_FLAG, (char *)"--instance=one" };
    char shared[16];
    int log[2];
    size_t count = 3;
    posix_spawn_file_actions_t actions;

    *process = (struct process){ .script = script };
    for (; *arguments != NULL; arguments++)
        argv[count++] = (char *)*arguments;
    (void)snprintf(shared, sizeof(shared), "%d", script_fd);
    assert_int_equal(setenv("SCRIPT_FD", shared, 1), 0);
    assert_int_equal(pipe(log), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, log[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, log[0]);
    posix_spawn_file_actions_addclose(&actions, log[1]);
    assert_int_equal(posix_spawn(&process->pid, "/proc/self/exe", &actions, NULL, argv, environ),
                     0);
    posix_spawn_file_actions_destroy(&actions);
    (void)close(log[1]);
    process->log_fd = log[0];
    process_await_log(process, "event=started");
    process_await_log(process, "\n");
    const char *line = strstr(process->log, " admin=");
    assert_non_null(line);
    assert_int_equal(sscanf(line, " admin=%d rpc=%63s", &process->admin_port, process->rpc), 2);
}

int
process_end(struct process *process)
{
    int64_t deadline_ms = mr_now_ms() + WAIT_MS_MAX;
    struct pollfd fd = { .fd = process->log_fd, .events = POLLIN };
    char rest[4096];
    int code;
    /* Its end of the pipe closes when it ends: a wait with a deadline. */
    do {
        if (poll(&fd, 1, (int)mr_left_ms(deadline_ms, WAIT_MS_MAX)) <= 0)
            fail_msg("the process does not end; its log: %s", process->log);
    } while (read(process->log_fd, rest, sizeof(rest)) > 0);
    assert_int_equal(waitpid(process->pid, &code, 0), process->pid);
    (void)close(process->log_fd);
    (void)munmap(process->script, sizeof(*process->script));
    assert_true(WIFEXITED(code));
    return WEXITSTATUS(code);
}

int
http_get(int port, const char *path, char *ret_text, size_t size)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    struct timeval patience = { .tv_sec = WAIT_MS_MAX / 1000 };
    char request[256];
    size_t length = 0;
    int status;
    ssize_t got;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    int wanted = snprintf(request, sizeof(request),
                          "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    assert_int_equal(write(fd, request, (size_t)wanted), wanted);
    while ((got = read(fd, ret_text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    ret_text[length] = '\0';
    (void)close(fd);
    assert_int_equal(sscanf(ret_text, "HTTP/1.1 %d", &status), 1);
    return status;
}
