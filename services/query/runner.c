/*
 * A runner is a thread that owns one SQL process. It hands the process a job and passes its frames
 * on; when the deadline comes, or nobody wants the answer any more, it kills the process and starts
 * another: people's SQL cannot be trusted to stop when asked (some functions do not look).
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock/clock.h"
#include "letter/letter.h"
#include "query.h"

enum { JOBS_PER_PROCESS = 100, LOOK_MS = 50, STALL_S = 5 };

struct runner {
    const struct query_options *options;
    struct answers *answers;
    pthread_t thread;
    char *cache, *spill; /* folders; spill is of this runner alone */
    pid_t pid;           /* 0: none */
    int fd;
    unsigned jobs;
    struct mr_buf body;
};

/* ---- the process ---- */

static void
end_process(struct runner *runner)
{
    if (runner->pid == 0)
        return;
    (void)close(runner->fd);
    (void)kill(runner->pid, SIGKILL);
    while (waitpid(runner->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    runner->pid = 0;
    folder_remove(runner->spill);
}

static int
start_process(struct runner *runner, struct mr_err *err)
{
    extern char **environ;
    int pair[2];
    char memory[32], threads[32];
    posix_spawn_file_actions_t actions;

    if (runner->pid != 0 && runner->jobs < JOBS_PER_PROCESS)
        return 0;
    end_process(runner);
    if (mkdir(runner->spill, 0700) != 0 && errno != EEXIST)
        return mr_fail(err, MR_E(IO), MR_RETRY, "%s: %s", runner->spill, strerror(errno));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return mr_fail(err, MR_E(IO), MR_RETRY, "socketpair: %s", strerror(errno));
    (void)snprintf(memory, sizeof(memory), "%lld", (long long)runner->options->sql_memory);
    (void)snprintf(threads, sizeof(threads), "%lld", (long long)runner->options->sql_threads);
    const char *const arguments[SANDBOX_ARGS + 1] = {
        "millrace-query", SANDBOX_FLAG, memory, threads, runner->cache, runner->spill, NULL
    };
    /* A process that stops in the middle of a frame must not stop us. */
    const struct timeval stall = { .tv_sec = STALL_S };
    (void)setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &stall, sizeof(stall));
    (void)setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &stall, sizeof(stall));
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pair[1], SANDBOX_FD);
    int failed = posix_spawn(&runner->pid, "/proc/self/exe", &actions, NULL,
                             (char *const *)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    (void)close(pair[1]);
    if (failed != 0) {
        (void)close(pair[0]);
        runner->pid = 0;
        return mr_fail(err, MR_E(IO), MR_RETRY, "the SQL process does not start: %s",
                       strerror(failed));
    }
    runner->fd = pair[0];
    runner->jobs = 0;
    return 0;
}

/* ---- a job ---- */

static void
describe_table(struct mr_buf *json, const struct job_table *table)
{
    const struct mr_schema *old = &table->snapshot->schema;
    mr_buf_text(json, "{\"name\":");
    mr_buf_json(json, mr_slice_text(table->name));
    mr_buf_text(json, ",\"alias\":");
    mr_buf_json(json, mr_slice_text(table->alias != NULL ? table->alias : ""));
    mr_buf_printf(json, ",\"key\":%d,\"is_dead\":%s,\"columns\":[", table->key,
                  table->schema == mr_letter_schema() ? "true" : "false");
    for (size_t i = 0; i < table->schema->count; i++) {
        const struct mr_field *field = &table->schema->fields[i];
        bool is_new = old->count == 0 || mr_schema_find(old, field->name) < 0;
        mr_buf_printf(json, "%s[\"%s\",%d,%s,%s]", i > 0 ? "," : "", field->name, (int)field->type,
                      field->is_list ? "true" : "false", is_new ? "true" : "false");
    }
    mr_buf_text(json, "],\"files\":[");
    for (size_t i = 0; i < table->snapshot->files_count; i++) {
        mr_buf_text(json, i > 0 ? "," : "");
        mr_buf_json(json, mr_slice_text(table->snapshot->files[i]));
    }
    mr_buf_text(json, "],\"tail\":[");
    for (size_t i = 0; i < table->tail_count; i++) {
        mr_buf_text(json, i > 0 ? "," : "");
        mr_buf_json(json, mr_slice_text(table->tail[i]->path));
    }
    mr_buf_text(json, "]}");
}

static int
send_job(struct runner *runner, const struct job *job, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf json;
    mr_buf_init(&json, CHUNK_BYTES_MAX);
    mr_buf_printf(&json, "{\"rows_max\":%llu,\"sql\":", (unsigned long long)job->rows_max);
    mr_buf_json(&json, mr_slice_text(job->sql));
    mr_buf_text(&json, ",\"known\":");
    mr_buf_json(&json, mr_slice_text(job->known));
    mr_buf_text(&json, ",\"tables\":[");
    for (size_t i = 0; i < job->tables_count; i++) {
        mr_buf_text(&json, i > 0 ? "," : "");
        describe_table(&json, &job->tables[i]);
    }
    mr_buf_text(&json, "]}");
    if (json.failed)
        return mr_fail(err, MR_E(TOO_LARGE), MR_REJECT, "the tables have too many files");
    return frame_send(runner->fd, FRAME_JOB, 0, mr_buf_slice(&json), err);
}

/* Passes one frame on. True: the job is over, and the cursor is not ours any more. */
static bool
pass_on(struct runner *runner, struct cursor *cursor, struct mr_err *err)
{
    struct frame frame;
    if (frame_receive(runner->fd, &frame, &runner->body, err) != 0)
        return false;
    struct mr_slice body = mr_buf_slice(&runner->body);
    if (frame.type == FRAME_FAILED) {
        cursor_fail(cursor, (int)frame.number, runner->body.data);
        return true;
    }
    if (cursor_push(cursor, body, frame.number, (enum frame_type)frame.type) == PUSH_MORE)
        return false;
    if (frame.type == FRAME_ROWS)
        end_process(runner); /* it still has rows that nobody wants */
    return true;
}

static void
give_up(struct runner *runner, struct cursor *cursor, int status, const char *why)
{
    end_process(runner);
    cursor_fail(cursor, status, why);
}

static void
serve(struct runner *runner, struct job *job)
{
    struct cursor *cursor = job->cursor;
    struct mr_err err = { 0 };
    int64_t deadline_ms = 0;

    if (!cursor_deadline(cursor, &deadline_ms)) { /* it waited too long in the queue */
        cursor_fail(cursor, MR_RPC_CANCELLED, "nobody waits for the answer");
        return;
    }
    if (start_process(runner, &err) != 0 || send_job(runner, job, &err) != 0) {
        give_up(runner, cursor, MR_RPC_UNAVAILABLE, err.text);
        return;
    }
    runner->jobs++;
    for (;;) {
        if (!cursor_deadline(cursor, &deadline_ms)) {
            give_up(runner, cursor, MR_RPC_CANCELLED, "nobody waits for the answer");
            return;
        }
        if (mr_now_ms() > deadline_ms) {
            give_up(runner, cursor, MR_RPC_DEADLINE_EXCEEDED,
                    "the answer took longer than asked for");
            return;
        }
        int ready = frame_wait(runner->fd, mr_left_ms(deadline_ms, LOOK_MS), &err);
        if (ready > 0 && pass_on(runner, cursor, &err))
            return;
        if (err.code != 0) {
            give_up(runner, cursor, MR_RPC_RESOURCE_EXHAUSTED,
                    "the SQL process ended: it may have needed more than --sql-memory");
            return;
        }
    }
}

static void *
run(void *self)
{
    struct runner *runner = self;
    for (struct job *job; (job = answers_take(runner->answers)) != NULL;) {
        serve(runner, job);
        job_free(job);
    }
    end_process(runner);
    return NULL;
}

struct runner *
runner_start(const struct query_options *options, struct answers *answers, size_t number)
{
    struct runner *runner = mr_alloc(sizeof(*runner));
    runner->options = options;
    runner->answers = answers;
    runner->cache = mr_printf("%s/cache", options->work_dir);
    runner->spill = mr_printf("%s/spill/%zu", options->work_dir, number);
    mr_buf_init(&runner->body, CHUNK_BYTES_MAX);
    int failed = pthread_create(&runner->thread, NULL, run, runner);
    MR_ASSERT(failed == 0);
    return runner;
}

void
runner_stop(struct runner *runner)
{
    (void)pthread_join(runner->thread, NULL);
    mr_buf_fini(&runner->body);
    free(runner->cache);
    free(runner->spill);
    free(runner);
}
