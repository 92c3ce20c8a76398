/*
 * A request that its consumer instance does on its own thread (rest_v2_task.c), from the routes
 * and bodies of rest_v2_consumers.c.
 */
#ifndef MR_REST_V2_TASK_H
#define MR_REST_V2_TASK_H

#include "gateway/consumers.h"
#include "gateway/rest_v2.h"

struct task {
    struct errand errand;
    struct instance *instance;
    struct replies *replies;
    struct mr_http_request *request;
    const struct dialect *as;
    const struct principal *who;
    struct mr_arena arena; /* of what follows */
    const char **topics;
    struct place *places;
    size_t count;
    enum seek seek;
    struct reading reading;
    bool sets_wish;     /* what is subscribed or assigned, when it succeeds */
    struct mr_buf body; /* of the answer; empty: 204 */
};

struct task *task_new(const struct call *call, const struct dialect *as, struct instance *instance);
void task_free(struct task *task);
/* The task answers and frees itself. False: it has, as there was no room. */
bool task_start(struct task *task, int (*run)(struct mr_job *job, struct mr_err *err));

/* What a task does, on the instance's thread. */
int task_subscribe(struct mr_job *job, struct mr_err *err);
int task_assign(struct mr_job *job, struct mr_err *err);
int task_leave(struct mr_job *job, struct mr_err *err);
int task_show_parts(struct mr_job *job, struct mr_err *err);
int task_read(struct mr_job *job, struct mr_err *err);
int task_seek(struct mr_job *job, struct mr_err *err);
int task_commit(struct mr_job *job, struct mr_err *err);
int task_show_committed(struct mr_job *job, struct mr_err *err);

#endif
