/*
 * errand: a question to the broker that may take long. It runs on one thread, which alone uses the
 * bus handle; its end is told on the door's thread.
 *
 *   struct create { struct errand errand; ... };     errand first
 *   create->errand = (struct errand){ .job.run = run_create, .finish = finish_create };
 *   errands_submit(errands, &create->errand, &err);
 *
 * run gets the errand as its job and uses errand->bus; finish finds job.result and job.err. Each
 * errand is finished once: errands_close finishes those that did not come back as UNAVAILABLE.
 */
#ifndef MR_ERRAND_H
#define MR_ERRAND_H

#include "base/base.h"
#include "bus/bus.h"
#include "service/service.h"

enum { ERRANDS_MAX = 256 }; /* waiting */

struct errand {
    struct mr_job job;
    struct mr_bus *bus;                    /* set by errands_submit */
    void (*finish)(struct errand *errand); /* on the door's thread; may free the errand */
    struct errand *previous, *next;        /* all that are under way */
};

struct errands;
struct errands *errands_open(struct mr_bus *bus);
/* Waits for the running one. Before the parts that errands report to. */
void errands_close(struct errands *errands);
/* FULL when ERRANDS_MAX wait. */
int errands_submit(struct errands *errands, struct errand *errand, struct mr_err *err);
/* Readable when finished ones wait; then call errands_serve. */
int errands_fd(const struct errands *errands);
void errands_serve(void *errands);

#endif
