/*
 * Calls become jobs, and answers are pulled: Run gives the first chunk and, when there is more, a
 * cursor; Next gives one chunk more. A cursor holds few chunks, so a slow reader stops its SQL
 * process instead of filling memory. Every wait has a deadline; who waits for nobody is stopped.
 *
 * One lock guards the queue of jobs and all cursors: it is held for moments only.
 */
#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "millrace/v1/rpc.pb-c.h"
#include "query.h"

struct chunk {
    struct mr_buf flat;
    uint32_t rows;
    bool is_last, is_cut; /* is_cut: there are more rows than were asked for */
};

struct cursor {
    struct answers *answers;
    char id[MR_UUID_TEXT + 1];
    struct chunk chunks[CURSOR_CHUNKS_MAX];
    size_t chunks_count;
    uint32_t sequence;           /* of the next chunk to hand out */
    struct mr_rpc_call *waiting; /* a Run or Next that waits for it */
    uint64_t rows_total;
    bool is_stopped; /* cancelled, or nobody came for it */
    bool has_ended;  /* the runner is done with it */
    int status;      /* when it failed */
    char message[MR_ERR_TEXT_MAX];
    int64_t touched_ms;
    struct mr_buf freshness; /* packed Freshness, for the first chunk */
};

struct answers {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a job came, a chunk was taken, a cursor was stopped, closing */
    struct job *first, *last;
    size_t jobs_count;
    struct cursor *cursors[CURSORS_MAX];
    bool is_closing;
    struct runner *runners[RUNNERS_MAX];
    size_t runners_count;
    const struct query_options *options;
};

/* ---- replies ---- */

static void
reply_status(struct mr_rpc_call *call, int status, const char *message)
{
    mr_rpc_reply(call,
                 &(struct mr_rpc_answer){ .status = status, .message = message, .is_last = true });
}

static void
reply_chunk(struct cursor *cursor, struct mr_rpc_call *call, const struct chunk *chunk)
{
    Millrace__V1__Chunk message = MILLRACE__V1__CHUNK__INIT;
    MR_CLEANUP(mr_buf_fini) struct mr_buf packed;
    mr_buf_init(&packed, MR_RPC_BYTES_MAX);
    message.columns = (ProtobufCBinaryData){ chunk->flat.size, (uint8_t *)chunk->flat.data };
    message.rows = chunk->rows;
    cursor->rows_total += chunk->rows;
    if (chunk->is_last)
        message.rows_total = cursor->rows_total;
    message.is_cut = chunk->is_cut;
    Millrace__V1__Freshness *freshness = NULL;
    if (cursor->sequence == 0)
        freshness = millrace__v1__freshness__unpack(NULL, cursor->freshness.size,
                                                    (uint8_t *)cursor->freshness.data);
    message.freshness = freshness;
    uint8_t *room = mr_buf_extend(&packed, millrace__v1__chunk__get_packed_size(&message));
    if (room != NULL)
        (void)millrace__v1__chunk__pack(&message, room);
    if (freshness != NULL)
        millrace__v1__freshness__free_unpacked(freshness, NULL);
    if (packed.failed) {
        reply_status(call, MR_RPC_RESOURCE_EXHAUSTED, "one row is larger than a chunk may be");
        return;
    }
    mr_rpc_reply(call, &(struct mr_rpc_answer){ .status = MR_RPC_OK,
                                                .body = mr_buf_slice(&packed),
                                                .cursor = chunk->is_last ? NULL : cursor->id,
                                                .sequence = cursor->sequence,
                                                .is_last = chunk->is_last });
}

/* ---- cursors; the lock is held ---- */

static struct cursor *
cursor_find(struct answers *answers, const char *id)
{
    for (size_t i = 0; i < CURSORS_MAX; i++)
        if (answers->cursors[i] != NULL && strcmp(answers->cursors[i]->id, id) == 0)
            return answers->cursors[i];
    return NULL;
}

static struct cursor *
cursor_new(struct answers *answers)
{
    for (size_t i = 0; i < CURSORS_MAX; i++) {
        if (answers->cursors[i] != NULL)
            continue;
        struct cursor *cursor = mr_alloc(sizeof(*cursor));
        cursor->answers = answers;
        mr_uuid_text(cursor->id);
        cursor->touched_ms = mr_now_ms();
        mr_buf_init(&cursor->freshness, 1 << 20);
        answers->cursors[i] = cursor;
        return cursor;
    }
    return NULL;
}

static void
cursor_free(struct cursor *cursor)
{
    struct answers *answers = cursor->answers;
    for (size_t i = 0; i < CURSORS_MAX; i++)
        if (answers->cursors[i] == cursor)
            answers->cursors[i] = NULL;
    for (size_t i = 0; i < cursor->chunks_count; i++)
        mr_buf_fini(&cursor->chunks[i].flat);
    mr_buf_fini(&cursor->freshness);
    free(cursor);
}

/* Gives the waiting call what there is for it. True: the cursor has been used up and is gone. */
static bool
cursor_serve(struct cursor *cursor)
{
    if (cursor->waiting != NULL && cursor->chunks_count > 0) {
        struct chunk chunk = cursor->chunks[0];
        cursor->touched_ms = mr_now_ms(); /* before it is told, or its time begins later */
        reply_chunk(cursor, MR_TAKE(cursor->waiting), &chunk);
        cursor->sequence++;
        mr_buf_fini(&chunk.flat);
        cursor->chunks_count--;
        memmove(cursor->chunks, cursor->chunks + 1, cursor->chunks_count * sizeof(chunk));
        cursor->is_stopped = cursor->is_stopped || chunk.is_last;
    } else if (cursor->waiting != NULL && cursor->status != MR_RPC_OK) {
        reply_status(MR_TAKE(cursor->waiting), cursor->status, cursor->message);
        cursor->is_stopped = true;
    }
    pthread_cond_broadcast(&cursor->answers->changed);
    if (!cursor->is_stopped || !cursor->has_ended)
        return false;
    cursor_free(cursor);
    return true;
}

static void
cursor_stop(struct cursor *cursor, int status, const char *message)
{
    cursor->is_stopped = true;
    if (cursor->waiting != NULL)
        reply_status(MR_TAKE(cursor->waiting), status, message);
    (void)cursor_serve(cursor);
}

/* ---- called by runners ---- */

enum push
cursor_push(struct cursor *cursor, struct mr_slice flat, uint32_t rows, enum frame_type type)
{
    bool is_last = type != FRAME_ROWS;
    struct answers *answers = cursor->answers;
    enum push answer = PUSH_STOP;
    pthread_mutex_lock(&answers->lock);
    while (cursor->chunks_count == CURSOR_CHUNKS_MAX && !cursor->is_stopped && !answers->is_closing)
        pthread_cond_wait(&answers->changed, &answers->lock);
    if (!cursor->is_stopped && !answers->is_closing) {
        struct chunk *chunk = &cursor->chunks[cursor->chunks_count++];
        *chunk = (struct chunk){ .rows = rows, .is_last = is_last, .is_cut = type == FRAME_CUT };
        mr_buf_init(&chunk->flat, CHUNK_BYTES_MAX);
        mr_buf_put(&chunk->flat, flat.data, flat.size);
        MR_ASSERT(!chunk->flat.failed); /* frames are bounded by the same maximum */
        answer = is_last ? PUSH_STOP : PUSH_MORE;
        cursor->has_ended = is_last;
        (void)cursor_serve(cursor);
    } else {
        cursor->has_ended = true;
        (void)cursor_serve(cursor);
    }
    pthread_mutex_unlock(&answers->lock);
    return answer;
}

void
cursor_fail(struct cursor *cursor, int status, const char *message)
{
    struct answers *answers = cursor->answers;
    pthread_mutex_lock(&answers->lock);
    cursor->has_ended = true;
    cursor->status = answers->is_closing ? MR_RPC_UNAVAILABLE : status;
    (void)snprintf(cursor->message, sizeof(cursor->message), "%s",
                   answers->is_closing ? "the query service is stopping" : message);
    (void)cursor_serve(cursor);
    pthread_mutex_unlock(&answers->lock);
}

bool
cursor_deadline(struct cursor *cursor, int64_t *ret_deadline_ms)
{
    struct answers *answers = cursor->answers;
    pthread_mutex_lock(&answers->lock);
    bool is_wanted = !cursor->is_stopped && !answers->is_closing;
    *ret_deadline_ms = cursor->waiting != NULL ? cursor->waiting->deadline_ms
                                               : cursor->touched_ms + CURSOR_IDLE_MS;
    pthread_mutex_unlock(&answers->lock);
    return is_wanted;
}

struct job *
answers_take(struct answers *answers)
{
    pthread_mutex_lock(&answers->lock);
    while (answers->first == NULL && !answers->is_closing)
        pthread_cond_wait(&answers->changed, &answers->lock);
    struct job *job = answers->is_closing ? NULL : answers->first;
    if (job != NULL) {
        answers->first = job->next;
        if (answers->first == NULL)
            answers->last = NULL;
        answers->jobs_count--;
    }
    pthread_mutex_unlock(&answers->lock);
    return job;
}

/* ---- jobs ---- */

static bool
has_pinned(const struct job *job, const struct table *table)
{
    for (size_t i = 0; i < job->tables_count; i++)
        if (strcmp(job->tables[i].name, table->name) == 0)
            return true;
    return false;
}

/* What the answer stands on: taken together with the pins, before anything else moves. Without a
 * job: what an answer about all tables would stand on now. */
static void
stamp(const struct query *q, const struct job *job, struct mr_buf *ret_packed)
{
    Millrace__V1__Freshness freshness = MILLRACE__V1__FRESHNESS__INIT;
    MR_CLEANUP(mr_freep)
    Millrace__V1__Covered *covered = mr_alloc((q->lanes_count + 1) * sizeof(*covered));
    MR_CLEANUP(mr_freep)
    Millrace__V1__Covered **list = mr_alloc((q->lanes_count + 1) * sizeof(*list));
    int64_t as_of_us = INT64_MAX;
    size_t count = 0;
    for (size_t i = 0; i < q->lanes_count; i++) {
        const struct lane *lane = &q->lanes[i];
        if (job != NULL && !has_pinned(job, lane->table))
            continue;
        millrace__v1__covered__init(&covered[count]);
        covered[count].topic = (char *)lane->part.topic;
        covered[count].partition = lane->part.partition;
        covered[count].next = lane->next;
        list[count] = &covered[count];
        count++;
        if (lane->state != LANE_GONE && lane->end_us < as_of_us)
            as_of_us = lane->end_us;
    }
    freshness.as_of_us = as_of_us < INT64_MAX ? as_of_us : 0;
    freshness.n_covered = count;
    freshness.covered = list;
    uint8_t *room = mr_buf_extend(ret_packed, millrace__v1__freshness__get_packed_size(&freshness));
    if (room != NULL)
        (void)millrace__v1__freshness__pack(&freshness, room);
}

static void
enqueue(struct query *q, struct mr_rpc_call *call, struct job *job)
{
    struct answers *answers = q->answers;
    pthread_mutex_lock(&answers->lock);
    struct cursor *cursor = answers->jobs_count < JOBS_WAITING_MAX ? cursor_new(answers) : NULL;
    if (cursor == NULL) {
        pthread_mutex_unlock(&answers->lock);
        job_free(job);
        reply_status(call, MR_RPC_RESOURCE_EXHAUSTED, "too many questions at once; ask again");
        return;
    }
    stamp(q, job, &cursor->freshness);
    cursor->waiting = call;
    job->cursor = cursor;
    if (answers->last != NULL)
        answers->last->next = job;
    else
        answers->first = job;
    answers->last = job;
    answers->jobs_count++;
    pthread_cond_broadcast(&answers->changed);
    pthread_mutex_unlock(&answers->lock);
}

/* ---- calls ---- */

static int
status_of(const struct mr_err *err)
{
    switch (err->code) {
    case MR_E(CORRUPT):
        return MR_RPC_FAILED_PRECONDITION;
    case MR_E(INVALID):
        return MR_RPC_INVALID_ARGUMENT;
    default:
        return MR_RPC_UNAVAILABLE;
    }
}

static void
call_run(struct query *q, struct mr_rpc_call *call)
{
    struct mr_err err = { 0 };
    struct job *job = NULL;
    Millrace__V1__RunRequest *request =
        millrace__v1__run_request__unpack(NULL, call->body.size, call->body.data);
    if (request == NULL || request->sql[0] == '\0' || strlen(request->sql) > SQL_BYTES_MAX) {
        reply_status(call, MR_RPC_INVALID_ARGUMENT,
                     "Run wants a RunRequest with sql of 1 byte to 1 MiB");
    } else if (q->surveyed_us == 0) {
        reply_status(call, MR_RPC_UNAVAILABLE, "the tables are being looked up; ask again");
    } else if (job_make(q, request, &job, &err) != 0) {
        reply_status(call, status_of(&err), err.text);
    } else {
        enqueue(q, call, job);
    }
    if (request != NULL)
        millrace__v1__run_request__free_unpacked(request, NULL);
}

static void
call_next(struct query *q, struct mr_rpc_call *call)
{
    Millrace__V1__NextRequest *request =
        millrace__v1__next_request__unpack(NULL, call->body.size, call->body.data);
    if (request == NULL) {
        reply_status(call, MR_RPC_INVALID_ARGUMENT, "Next wants a NextRequest");
        return;
    }
    pthread_mutex_lock(&q->answers->lock);
    struct cursor *cursor = cursor_find(q->answers, request->cursor);
    if (cursor == NULL || cursor->is_stopped) {
        reply_status(call, MR_RPC_NOT_FOUND, "this cursor is used up or was idle for 30 s");
    } else if (cursor->waiting != NULL || request->sequence != cursor->sequence) {
        reply_status(call, MR_RPC_INVALID_ARGUMENT, "chunks are pulled one by one, in order");
    } else {
        cursor->waiting = call;
        cursor->touched_ms = mr_now_ms();
        (void)cursor_serve(cursor);
    }
    pthread_mutex_unlock(&q->answers->lock);
    millrace__v1__next_request__free_unpacked(request, NULL);
}

static void
call_cancel(struct query *q, struct mr_rpc_call *call)
{
    Millrace__V1__CancelRequest *request =
        millrace__v1__cancel_request__unpack(NULL, call->body.size, call->body.data);
    if (request == NULL) {
        reply_status(call, MR_RPC_INVALID_ARGUMENT, "Cancel wants a CancelRequest");
        return;
    }
    pthread_mutex_lock(&q->answers->lock);
    struct cursor *cursor = cursor_find(q->answers, request->cursor);
    if (cursor != NULL)
        cursor_stop(cursor, MR_RPC_CANCELLED, "cancelled");
    pthread_mutex_unlock(&q->answers->lock);
    reply_status(call, MR_RPC_OK, NULL);
    millrace__v1__cancel_request__free_unpacked(request, NULL);
}

static void
describe(const struct table *table, Millrace__V1__TablesReply__Table *message, char **columns)
{
    millrace__v1__tables_reply__table__init(message);
    message->name = (char *)table->name;
    message->tenant = (char *)table->tenant;
    message->kind = (char *)table->kind;
    message->version = table->snapshot != NULL ? table->snapshot->version : -1;
    message->rows = table->snapshot != NULL ? table->snapshot->rows : 0;
    message->tail_rows = (int64_t)table->tail_rows;
    message->n_columns = table->schema->count;
    message->columns = columns;
    for (size_t i = 0; i < table->schema->count; i++) {
        const struct mr_field *field = &table->schema->fields[i];
        columns[i] = mr_printf("%s %s%s%s", field->name, field->is_list ? "array<" : "",
                               mr_type_delta(field->type), field->is_list ? ">" : "");
    }
}

static void
call_tables(struct query *q, struct mr_rpc_call *call)
{
    size_t count = q->tables_count;
    Millrace__V1__TablesReply reply = MILLRACE__V1__TABLES_REPLY__INIT;
    Millrace__V1__TablesReply__Table *tables = mr_alloc((count + 1) * sizeof(*tables));
    Millrace__V1__TablesReply__Table **list = mr_alloc((count + 1) * sizeof(*list));
    MR_CLEANUP(mr_buf_fini) struct mr_buf packed;
    mr_buf_init(&packed, MR_RPC_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        char **columns = mr_alloc((q->tables[i]->schema->count + 1) * sizeof(*columns));
        describe(q->tables[i], &tables[i], columns);
        list[i] = &tables[i];
    }
    reply.n_tables = count;
    reply.tables = list;
    uint8_t *room = mr_buf_extend(&packed, millrace__v1__tables_reply__get_packed_size(&reply));
    if (room != NULL)
        (void)millrace__v1__tables_reply__pack(&reply, room);
    mr_rpc_reply(call, &(struct mr_rpc_answer){
                           .status = MR_RPC_OK, .body = mr_buf_slice(&packed), .is_last = true });
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < tables[i].n_columns; j++)
            free(tables[i].columns[j]);
        free(tables[i].columns);
    }
    free(tables);
    free(list);
}

static void
call_positions(struct query *q, struct mr_rpc_call *call)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf packed;
    mr_buf_init(&packed, MR_RPC_BYTES_MAX);
    stamp(q, NULL, &packed);
    mr_rpc_reply(call, &(struct mr_rpc_answer){
                           .status = MR_RPC_OK, .body = mr_buf_slice(&packed), .is_last = true });
}

void
answers_call(struct query *q, struct mr_rpc_call *call)
{
    static const struct {
        const char *method;
        void (*serve)(struct query *q, struct mr_rpc_call *call);
    } methods[] = {
        { "Run", call_run },       { "Next", call_next },           { "Cancel", call_cancel },
        { "Tables", call_tables }, { "Positions", call_positions },
    };
    for (size_t i = 0; i < MR_COUNT(methods); i++) {
        if (strcmp(call->method, methods[i].method) == 0) {
            methods[i].serve(q, call);
            return;
        }
    }
    reply_status(call, MR_RPC_UNIMPLEMENTED,
                 "query serves Run, Next, Cancel, Tables, Positions and Status");
}

/* ---- open, sweep, close ---- */

void
answers_sweep(struct query *q)
{
    int64_t now_ms = mr_now_ms();
    pthread_mutex_lock(&q->answers->lock);
    for (size_t i = 0; i < CURSORS_MAX; i++) {
        struct cursor *cursor = q->answers->cursors[i];
        if (cursor == NULL || cursor->is_stopped)
            continue;
        if (cursor->waiting != NULL && now_ms > cursor->waiting->deadline_ms)
            cursor_stop(cursor, MR_RPC_DEADLINE_EXCEEDED, "the answer took longer than asked for");
        else if (cursor->waiting == NULL && now_ms > cursor->touched_ms + CURSOR_IDLE_MS)
            cursor_stop(cursor, MR_RPC_CANCELLED, "idle");
    }
    pthread_mutex_unlock(&q->answers->lock);
}

int
answers_open(struct query *q, struct mr_err *err)
{
    struct answers *answers = mr_alloc(sizeof(*answers));
    (void)err;
    answers->options = &q->options;
    pthread_mutex_init(&answers->lock, NULL);
    pthread_cond_init(&answers->changed, NULL);
    q->answers = answers;
    for (int64_t i = 0; i < q->options.sql_processes; i++)
        answers->runners[answers->runners_count++] = runner_start(&q->options, answers, (size_t)i);
    return 0;
}

void
answers_close(struct query *q)
{
    struct answers *answers = q->answers;
    if (answers == NULL)
        return;
    pthread_mutex_lock(&answers->lock);
    answers->is_closing = true;
    pthread_cond_broadcast(&answers->changed);
    pthread_mutex_unlock(&answers->lock);
    for (size_t i = 0; i < answers->runners_count; i++)
        runner_stop(answers->runners[i]);
    while (answers->first != NULL) {
        struct job *job = answers->first;
        answers->first = job->next;
        cursor_fail(job->cursor, MR_RPC_UNAVAILABLE, "the query service is stopping");
        job_free(job);
    }
    for (size_t i = 0; i < CURSORS_MAX; i++) {
        struct cursor *cursor = answers->cursors[i];
        if (cursor == NULL)
            continue;
        if (cursor->waiting != NULL)
            reply_status(MR_TAKE(cursor->waiting), MR_RPC_UNAVAILABLE,
                         "the query service is stopping");
        cursor_free(cursor);
    }
    pthread_mutex_destroy(&answers->lock);
    pthread_cond_destroy(&answers->changed);
    free(answers);
    q->answers = NULL;
}
