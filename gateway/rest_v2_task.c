#include "gateway/rest_v2_task.h"

#include <stdlib.h>

struct task *
task_new(const struct call *call, const struct dialect *as, struct instance *instance)
{
    struct task *task = mr_alloc(sizeof(*task));
    *task = (struct task){ .instance = instance,
                           .replies = call->gateway->replies,
                           .request = call->request,
                           .as = as,
                           .who = call->who };
    mr_arena_init(&task->arena);
    mr_buf_init(&task->body, REPLY_JSON_BYTES_MAX);
    task->reading.body = &task->body;
    task->reading.arena = &task->arena;
    task->reading.waiting = &instance->waiting;
    return task;
}

void
task_free(struct task *task)
{
    mr_arena_fini(&task->arena);
    mr_buf_fini(&task->body);
    free(task);
}

/* ---- on the instance's thread ---- */

int
task_subscribe(struct mr_job *job, struct mr_err *err)
{
    struct task *task = (struct task *)job;
    return consumer_subscribe(task->instance->consumer, task->topics, task->count, err);
}

int
task_assign(struct mr_job *job, struct mr_err *err)
{
    struct task *task = (struct task *)job;
    return consumer_assign(task->instance->consumer, task->places, task->count, err);
}

int
task_leave(struct mr_job *job, struct mr_err *err)
{
    (void)err;
    consumer_leave(((struct task *)job)->instance->consumer);
    return 0;
}

int
task_show_parts(struct mr_job *job, struct mr_err *err)
{
    (void)err;
    struct task *task = (struct task *)job;
    size_t count;
    const struct mr_part *parts = consumer_parts(task->instance->consumer, &count);
    mr_buf_text(&task->body, "{\"partitions\":[");
    for (size_t i = 0; i < count; i++) {
        mr_buf_text(&task->body, i > 0 ? ",{\"topic\":" : "{\"topic\":");
        mr_buf_json(&task->body, mr_slice_text(parts[i].topic));
        mr_buf_printf(&task->body, ",\"partition\":%d}", (int)parts[i].partition);
    }
    mr_buf_text(&task->body, "]}");
    return 0;
}

int
task_read(struct mr_job *job, struct mr_err *err)
{
    struct task *task = (struct task *)job;
    return consumer_read(task->instance->consumer, &task->reading, err);
}

int
task_seek(struct mr_job *job, struct mr_err *err)
{
    struct task *task = (struct task *)job;
    return consumer_seek(task->instance->consumer, task->seek, task->places, task->count, err);
}

int
task_commit(struct mr_job *job, struct mr_err *err)
{
    struct task *task = (struct task *)job;
    int code = consumer_commit(task->instance->consumer, task->places, task->count, err);
    mr_buf_text(&task->body, "[]");
    return code;
}

static void
put_committed(struct mr_buf *body, const struct mr_offsets *offsets, bool is_first)
{
    mr_buf_text(body, is_first ? "{\"topic\":" : ",{\"topic\":");
    mr_buf_json(body, mr_slice_text(offsets->topic));
    mr_buf_printf(body, ",\"partition\":%d,\"offset\":%lld,\"metadata\":", (int)offsets->partition,
                  (long long)offsets->committed);
    mr_buf_json(body, mr_slice_text(offsets->note));
    mr_buf_text(body, "}");
}

int
task_show_committed(struct mr_job *job, struct mr_err *err)
{
    struct task *task = (struct task *)job;
    bool is_first = true;
    MR_CLEANUP(mr_freep) struct mr_offsets *offsets = mr_alloc(task->count * sizeof(*offsets));
    for (size_t i = 0; i < task->count; i++)
        offsets[i] = (struct mr_offsets){ .topic = task->places[i].topic,
                                          .partition = task->places[i].partition };
    if (consumer_committed(task->instance->consumer, offsets, task->count, err) != 0)
        return err->code;
    mr_buf_text(&task->body, "{\"offsets\":[");
    for (size_t i = 0; i < task->count; i++) {
        if (offsets[i].committed == MR_NO_OFFSET)
            continue;
        put_committed(&task->body, &offsets[i], is_first);
        is_first = false;
    }
    mr_buf_text(&task->body, "]}");
    return 0;
}

/* ---- on the door's thread ---- */

static enum fault
fault_of(const struct mr_err *err)
{
    if (err->remedy == MR_FATAL) /* of the reader, which is replaced */
        return FAULT_KAFKA;
    switch (err->code) {
    case MR_E(CONFLICT):
    case MR_E(STALE):
        return FAULT_STATE;
    case MR_E(INVALID):
        return FAULT_ENVELOPE;
    default:
        return rest_v2_fault(err);
    }
}

/* A pattern may match what its owner must not read; rights may have changed, too. */
static bool
check_read(const struct task *task)
{
    for (size_t i = 0; i < task->reading.topics_count; i++) {
        if (guard_may(task->who, RIGHT_CONSUME, task->reading.topics[i]))
            continue;
        reply_fault(task->replies, task->request, task->as, FAULT_DENIED,
                    "%s may not read topic %s", principal_name(task->who), task->reading.topics[i]);
        return false;
    }
    return true;
}

static void
finish(struct errand *errand)
{
    struct task *task = (struct task *)errand;
    const struct mr_err *err = &errand->job.err;
    MR_ASSERT(!task->body.failed);
    if (errand->job.result != 0 && task->sets_wish) {
        free(task->instance->subscribed);
        task->instance->subscribed = NULL;
        task->instance->is_assigned = false;
    }
    if (errand->job.result != 0)
        reply_fault(task->replies, task->request, task->as, fault_of(err), "%s", err->text);
    else if (check_read(task))
        reply_json(task->replies, task->request, task->as, task->body.size > 0 ? 200 : 204,
                   mr_buf_slice(&task->body));
    instance_finished(task->instance);
    task_free(task);
}

bool
task_start(struct task *task, int (*run)(struct mr_job *job, struct mr_err *err))
{
    struct mr_err err = { 0 };
    task->errand = (struct errand){ .job.run = run, .finish = finish };
    if (instance_submit(task->instance, &task->errand, &err) == 0)
        return true;
    reply_fault(task->replies, task->request, task->as, FAULT_BUSY,
                "too many requests wait for consumer instance %s; try again", task->instance->name);
    task_free(task);
    return false;
}
