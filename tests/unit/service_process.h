/*
 * A process made of service and a step that does what a test tells it, by shared memory. The test
 * program starts itself again with PROCESS_FLAG, so signals, exit codes and ports are real ones.
 */
#ifndef MR_SERVICE_PROCESS_H
#define MR_SERVICE_PROCESS_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_FLAG "--process"

enum order { ORDER_WORK, ORDER_RETRY, ORDER_BREAK, ORDER_IDENTITY, ORDER_HANG };

struct script {
    atomic_int step, drain;    /* enum order */
    atomic_bool is_clock_held; /* before the start: time stands still in the process */
    atomic_bool is_unready;    /* what ops->ready says */
    atomic_bool has_no_calls;  /* before the start: ops->call is NULL */
    atomic_int steps, drains, reloads, calls;
};

struct process {
    struct script *script;
    pid_t pid;
    int log_fd;
    int admin_port;
    char rpc[64];
    char log[16384]; /* what it has written so far */
    size_t log_size;
};

/* Starts it with further arguments (ends with NULL) and waits until it listens. */
void process_start(struct process *process, struct script *script, const char *const *arguments);
/* Waits until text stands in its log. */
void process_await_log(struct process *process, const char *text);
/* Waits for its end; the exit code. */
int process_end(struct process *process);
int process_main(int argc, char **argv);
/* Shared with processes that are started later; all zero. */
struct script *script_new(void);

/* GET of a path: the status; what came, head and body, goes to ret_text. */
int http_get(int port, const char *path, char *ret_text, size_t size);

#endif
