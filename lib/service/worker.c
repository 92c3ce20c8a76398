/*
 * One thread, jobs in their order, and a list of those that are done.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "service/service.h"

struct list {
    struct mr_job *first, *last;
};

struct mr_worker {
    pthread_mutex_t lock;
    pthread_cond_t came, done;
    pthread_t thread;
    struct list waiting, finished;
    size_t waiting_count, pending, queue_max;
    int fd; /* holds something while finished jobs wait */
    bool is_closing;
};

static void
append(struct list *list, struct mr_job *job)
{
    job->next_ = NULL;
    if (list->last != NULL)
        list->last->next_ = job;
    else
        list->first = job;
    list->last = job;
}

static struct mr_job *
take_first(struct list *list)
{
    struct mr_job *job = list->first;
    if (job != NULL) {
        list->first = job->next_;
        if (list->first == NULL)
            list->last = NULL;
    }
    return job;
}

static void *
run(void *self)
{
    struct mr_worker *worker = self;
    pthread_mutex_lock(&worker->lock);
    while (!worker->is_closing) {
        struct mr_job *job = take_first(&worker->waiting);
        if (job == NULL) {
            pthread_cond_wait(&worker->came, &worker->lock);
            continue;
        }
        worker->waiting_count--;
        pthread_mutex_unlock(&worker->lock);
        job->err = (struct mr_err){ 0 };
        job->result = job->run(job, &job->err);
        pthread_mutex_lock(&worker->lock);
        append(&worker->finished, job);
        (void)eventfd_write(worker->fd, 1);
        pthread_cond_broadcast(&worker->done);
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

struct mr_worker *
mr_worker_open(size_t queue_max)
{
    MR_ASSERT(queue_max > 0);
    struct mr_worker *worker = mr_alloc(sizeof(*worker));
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->came, NULL);
    pthread_cond_init(&worker->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    worker->queue_max = queue_max;
    worker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    MR_ASSERT(worker->fd >= 0);
    int failed = pthread_create(&worker->thread, NULL, run, worker);
    MR_ASSERT(failed == 0);
    return worker;
}

int
mr_worker_submit(struct mr_worker *worker, struct mr_job *job, struct mr_err *err)
{
    int result = 0;
    pthread_mutex_lock(&worker->lock);
    if (worker->waiting_count >= worker->queue_max) {
        result = mr_fail(err, MR_E(FULL), MR_RETRY, "%zu jobs are waiting for the worker thread",
                         worker->waiting_count);
    } else {
        append(&worker->waiting, job);
        worker->waiting_count++;
        worker->pending++;
        pthread_cond_signal(&worker->came);
    }
    pthread_mutex_unlock(&worker->lock);
    return result;
}

struct mr_job *
mr_worker_done(struct mr_worker *worker, int timeout_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&worker->lock);
    while (worker->finished.first == NULL && timeout_ms > 0 &&
           pthread_cond_timedwait(&worker->done, &worker->lock, &until) != ETIMEDOUT)
        continue;
    struct mr_job *job = take_first(&worker->finished);
    worker->pending -= job != NULL;
    eventfd_t ignored;
    if (worker->finished.first == NULL)
        (void)eventfd_read(worker->fd, &ignored);
    pthread_mutex_unlock(&worker->lock);
    return job;
}

int
mr_worker_fd(const struct mr_worker *worker)
{
    return worker->fd;
}

size_t
mr_worker_pending(const struct mr_worker *worker)
{
    struct mr_worker *locked = (struct mr_worker *)worker;
    pthread_mutex_lock(&locked->lock);
    size_t pending = worker->pending;
    pthread_mutex_unlock(&locked->lock);
    return pending;
}

void
mr_worker_close(struct mr_worker *worker)
{
    if (worker == NULL)
        return;
    pthread_mutex_lock(&worker->lock);
    worker->is_closing = true;
    pthread_cond_signal(&worker->came);
    pthread_mutex_unlock(&worker->lock);
    (void)pthread_join(worker->thread, NULL);
    pthread_mutex_destroy(&worker->lock);
    pthread_cond_destroy(&worker->came);
    pthread_cond_destroy(&worker->done);
    (void)close(worker->fd);
    free(worker);
}
