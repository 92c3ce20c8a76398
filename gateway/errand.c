#include "gateway/errand.h"

#include <stdlib.h>

struct errands {
    struct mr_worker *worker;
    struct mr_bus *bus;
    struct errand *all;
};

struct errands *
errands_open(struct mr_bus *bus)
{
    struct errands *errands = mr_alloc(sizeof(*errands));
    errands->bus = bus;
    errands->worker = mr_worker_open(ERRANDS_MAX);
    return errands;
}

static void
finish(struct errands *errands, struct errand *errand)
{
    if (errand->previous != NULL)
        errand->previous->next = errand->next;
    else
        errands->all = errand->next;
    if (errand->next != NULL)
        errand->next->previous = errand->previous;
    errand->finish(errand);
}

void
errands_close(struct errands *errands)
{
    if (errands == NULL)
        return;
    mr_worker_close(errands->worker);
    while (errands->all != NULL) {
        struct errand *errand = errands->all;
        errand->job.result = mr_fail(&errand->job.err, MR_E(UNAVAILABLE), MR_RETRY,
                                     "the gateway is stopping; try again");
        finish(errands, errand);
    }
    free(errands);
}

int
errands_submit(struct errands *errands, struct errand *errand, struct mr_err *err)
{
    MR_ASSERT(errand->job.run != NULL);
    MR_ASSERT(errand->finish != NULL);
    errand->bus = errands->bus;
    if (mr_worker_submit(errands->worker, &errand->job, err) != 0)
        return err->code;
    errand->previous = NULL;
    errand->next = errands->all;
    if (errands->all != NULL)
        errands->all->previous = errand;
    errands->all = errand;
    return 0;
}

int
errands_fd(const struct errands *errands)
{
    return mr_worker_fd(errands->worker);
}

void
errands_serve(void *self)
{
    struct errands *errands = self;
    for (struct mr_job *job; (job = mr_worker_done(errands->worker, 0)) != NULL;)
        finish(errands, (struct errand *)job);
}
