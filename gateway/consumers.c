/*
 * The descriptors of all threads hang in one epoll set, which is the one descriptor that the door
 * watches: instances come and go, its watchers stay.
 */
#include "gateway/consumers.h"

#include "clock/clock.h"
#include "log/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { TEND_EVERY_MS = 250, EVENTS_MAX = 32 };

struct consumers {
    struct consumers_options options;
    struct instance *all;
    size_t count;
    int epoll;
    bool is_draining;
};

int
consumers_open(const struct consumers_options *options, struct consumers **ret, struct mr_err *err)
{
    MR_ASSERT(options->count_max > 0);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        return mr_fail(err, MR_E(IO), MR_FATAL, "epoll: %s", strerror(errno));
    struct consumers *consumers = mr_alloc(sizeof(*consumers));
    consumers->options = *options;
    consumers->epoll = epoll;
    *ret = consumers;
    return 0;
}

/* ---- instances ---- */

static void
free_instance(struct instance *instance)
{
    struct consumers *consumers = instance->consumers;
    struct instance **place = &consumers->all;
    while (*place != instance)
        place = &(*place)->next;
    *place = instance->next;
    consumers->count--;
    (void)atomic_fetch_add(&instance->waiting, 1); /* ends a read that waits */
    (void)epoll_ctl(consumers->epoll, EPOLL_CTL_DEL, errands_fd(instance->errands), NULL);
    errands_close(instance->errands);
    consumer_free(instance->consumer);
    free(instance->group);
    free(instance->name);
    free(instance->owner);
    free(instance->subscribed);
    free(instance);
}

struct instance *
consumers_find(struct consumers *consumers, const char *group, const char *name,
               const struct principal *who)
{
    struct instance *at = consumers->all;
    while (at != NULL &&
           (at->is_closing || strcmp(at->group, group) != 0 || strcmp(at->name, name) != 0 ||
            (who != NULL && strcmp(at->owner, principal_name(who)) != 0)))
        at = at->next;
    return at;
}

static int
check_room(struct consumers *consumers, const char *group, const char *name, struct mr_err *err)
{
    if (consumers->is_draining)
        return mr_fail(err, MR_E(UNAVAILABLE), MR_RETRY, "the gateway is stopping; try again");
    if (consumers_find(consumers, group, name, NULL) != NULL)
        return mr_fail(err, MR_E(EXISTS), MR_REJECT,
                       "Consumer instance %s exists in group %s already; DELETE it or take another "
                       "name",
                       name, group);
    if (consumers->count >= consumers->options.count_max)
        return mr_fail(err, MR_E(FULL), MR_RETRY,
                       "there are %zu consumer instances, the most that --consumers-max allows; "
                       "DELETE those that are not used",
                       consumers->count);
    return 0;
}

int
consumers_add(struct consumers *consumers, const char *name, const struct principal *owner,
              const struct consumer_options *options, struct instance **ret, struct mr_err *err)
{
    if (check_room(consumers, options->group, name, err) != 0)
        return err->code;
    struct instance *instance = mr_alloc(sizeof(*instance));
    *instance = (struct instance){ .group = mr_strdup(options->group),
                                   .name = mr_strdup(name),
                                   .owner = mr_strdup(principal_name(owner)),
                                   .options = *options,
                                   .consumers = consumers,
                                   .errands = errands_open(consumers->options.bus),
                                   .next = consumers->all,
                                   .used_ms = mr_now_ms() };
    instance->options.group = instance->group;
    instance->consumer = consumer_new(consumers->options.bus, &instance->options);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = instance };
    int failed = epoll_ctl(consumers->epoll, EPOLL_CTL_ADD, errands_fd(instance->errands), &event);
    MR_ASSERT(failed == 0);
    consumers->all = instance;
    consumers->count++;
    *ret = instance;
    return 0;
}

/* ---- errands ---- */

int
instance_submit(struct instance *instance, struct errand *errand, struct mr_err *err)
{
    MR_ASSERT(!instance->is_closing);
    if (errands_submit(instance->errands, errand, err) != 0)
        return err->code;
    instance->used_ms = mr_now_ms();
    (void)atomic_fetch_add(&instance->waiting, 1);
    return 0;
}

void
instance_finished(struct instance *instance)
{
    (void)atomic_fetch_sub(&instance->waiting, 1);
    instance->used_ms = mr_now_ms();
}

static struct instance *
tended(struct errand *errand)
{
    return (struct instance *)((char *)errand - offsetof(struct instance, tending));
}

static int
run_tend(struct mr_job *job, struct mr_err *err)
{
    (void)err;
    consumer_tend(tended((struct errand *)job)->consumer);
    return 0;
}

static void
finish_tend(struct errand *errand)
{
    struct instance *instance = tended(errand);
    instance->is_tended = false;
    instance->tended_ms = mr_now_ms();
}

static void
tend(struct instance *instance)
{
    struct mr_err err = { 0 };
    if (instance->is_tended || atomic_load(&instance->waiting) > 0 ||
        mr_now_ms() < instance->tended_ms + TEND_EVERY_MS)
        return;
    instance->tending = (struct errand){ .job.run = run_tend, .finish = finish_tend };
    instance->is_tended = errands_submit(instance->errands, &instance->tending, &err) == 0;
}

struct end {
    struct errand errand;
    struct instance *instance;
};

static int
run_end(struct mr_job *job, struct mr_err *err)
{
    (void)err;
    consumer_free(MR_TAKE(((struct end *)job)->instance->consumer));
    return 0;
}

static void
finish_end(struct errand *errand)
{
    ((struct end *)errand)->instance->is_closed = true;
    free(errand);
}

void
instance_end(struct instance *instance)
{
    struct mr_err err = { 0 };
    struct end *end = mr_alloc(sizeof(*end));
    *end = (struct end){ .errand = { .job.run = run_end, .finish = finish_end },
                         .instance = instance };
    if (errands_submit(instance->errands, &end->errand, &err) != 0) {
        free(end); /* it is tried again when it is idle */
        return;
    }
    instance->is_closing = true;
    (void)atomic_fetch_add(&instance->waiting, 1);
}

/* ---- the door's round ---- */

int
consumers_fd(const struct consumers *consumers)
{
    return consumers->epoll;
}

void
consumers_serve(void *self)
{
    struct consumers *consumers = self;
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(consumers->epoll, events, EVENTS_MAX, 0);
    for (int i = 0; i < count; i++) {
        struct instance *instance = events[i].data.ptr;
        errands_serve(instance->errands);
        if (instance->is_closed)
            free_instance(instance);
    }
}

void
consumers_step(struct consumers *consumers)
{
    int64_t now_ms = mr_now_ms();
    for (struct instance *at = consumers->all; at != NULL; at = at->next) {
        if (at->is_closing)
            continue;
        if (atomic_load(&at->waiting) == 0 &&
            now_ms > at->used_ms + consumers->options.idle_ms_max) {
            mr_log(MR_LOG_INFO, "consumer-expired", " group=%s instance=%s",
                   mr_log_quote(mr_slice_text(at->group)), mr_log_quote(mr_slice_text(at->name)));
            instance_end(at);
        } else {
            tend(at);
        }
    }
}

void
consumers_drain(struct consumers *consumers)
{
    consumers->is_draining = true;
    for (struct instance *at = consumers->all; at != NULL; at = at->next)
        if (!at->is_closing)
            instance_end(at);
}

size_t
consumers_count(const struct consumers *consumers)
{
    return consumers->count;
}

void
consumers_close(struct consumers *consumers)
{
    if (consumers == NULL)
        return;
    while (consumers->all != NULL)
        free_instance(consumers->all);
    (void)close(consumers->epoll);
    free(consumers);
}
