/*
 * barrier: when can events be seen in SQL (LAW 26)? For the places where a request's events stand:
 *
 *   1. the validator's committed offsets pass them; then the high watermarks of T.valid are taken
 *   2. the cleaner's committed offsets reach those; then those of T.clean and T.dead are taken
 *   3. the query service's positions reach both
 *
 * What was asked before a run of a topic's barriers began is served by that run, all together; what
 * comes later, by the next. What has not come about at its deadline is told so, never guessed.
 *
 * Threads: the door's. Questions to Kafka and to the query service run on a worker of its own.
 */
#ifndef MR_BARRIER_H
#define MR_BARRIER_H

#include "base/base.h"
#include "bus/bus.h"
#include "gateway/admit.h"

struct barriers;

enum { WAITS_MAX = 1024, WAIT_MS_DEFAULT = 10000, WAIT_MS_MAX = 60000 };

/* In the memory of its request. */
struct wait {
    struct post *post; /* of events of one topic */
    int64_t deadline_ms;
    void (*done)(struct wait *wait, bool is_seen);
    struct wait *next; /* barriers' */
};

struct barriers_options {
    struct mr_bus *bus;
    const char *pipeline;
    const char *query; /* tcp://HOST:PORT */
};
int barriers_open(const struct barriers_options *options, struct barriers **ret,
                  struct mr_err *err);
/* Waits for the question that is being asked; nobody is told any more. */
void barriers_close(struct barriers *barriers);
/* wait->done follows, but not from in here, unless too many wait already. */
void barriers_wait(struct barriers *barriers, struct wait *wait);
int barriers_fd(const struct barriers *barriers); /* readable: then barriers_serve */
void barriers_serve(void *barriers);
void barriers_step(struct barriers *barriers); /* deadlines, and the next round */
size_t barriers_waiting(const struct barriers *barriers);

#endif
