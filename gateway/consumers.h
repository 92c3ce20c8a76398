/*
 * consumers: the consumer instances that clients of the REST proxy made at this door. Each has a
 * thread of its own, so that a long poll holds up nobody else; what is asked of one is done in
 * order, as an errand on that thread, and a read that waits ends when something else is asked.
 *
 * An instance belongs to the principal that made it, to others it is not there. One that is not
 * used for a while leaves its group and is gone.
 *
 * Threads: the door's, but for the run functions of errands, which alone use instance->consumer.
 */
#ifndef MR_CONSUMERS_H
#define MR_CONSUMERS_H

#include "base/base.h"
#include "bus/bus.h"
#include "gateway/consumer.h"
#include "gateway/errand.h"
#include "gateway/guard.h"

struct consumers;

struct consumers_options {
    struct mr_bus *bus;
    size_t count_max;
    int64_t idle_ms_max;
};
int consumers_open(const struct consumers_options *options, struct consumers **ret,
                   struct mr_err *err);
/* Waits for what runs; what has not run is finished as UNAVAILABLE. */
void consumers_close(struct consumers *consumers);
/* Readable when errands are done, then consumers_serve. */
int consumers_fd(const struct consumers *consumers);
void consumers_serve(void *consumers);
/* Sees to groups and to those who are idle. */
void consumers_step(struct consumers *consumers);
/* No more are made; all leave their groups. */
void consumers_drain(struct consumers *consumers);
size_t consumers_count(const struct consumers *consumers);

struct instance {
    char *group, *name, *owner;
    struct consumer *consumer;
    struct consumer_options options;
    int timeout_ms_max; /* of a read */
    atomic_int waiting; /* errands under way */
    char *subscribed;   /* JSON list of what was subscribed to */
    bool is_assigned;   /* by hand */

    struct consumers *consumers;
    struct errands *errands;
    struct instance *next;
    struct errand tending;
    bool is_tended, is_closing, is_closed;
    int64_t used_ms, tended_ms;
};

/* EXISTS, or FULL beyond count_max. */
int consumers_add(struct consumers *consumers, const char *name, const struct principal *owner,
                  const struct consumer_options *options, struct instance **ret,
                  struct mr_err *err);
/* NULL: there is none for this principal. */
struct instance *consumers_find(struct consumers *consumers, const char *group, const char *name,
                                const struct principal *who);
/* FULL when too much waits for this instance. The errand's finish calls instance_finished. */
int instance_submit(struct instance *instance, struct errand *errand, struct mr_err *err);
void instance_finished(struct instance *instance);
/* It is not found from now on, and gone when its errands are done. */
void instance_end(struct instance *instance);

#endif
