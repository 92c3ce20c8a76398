/*
 * A server that is starting, or has just lost its broker, says UNAVAILABLE: it is asked again for a
 * while. Everything else is an answer.
 */
#include "ask.h"

#include <time.h>

#include "clock/clock.h"
#include "millrace/v1/rpc.pb-c.h"

enum { BODY_BYTES_MAX = 2 << 20, TRIES_MS_MAX = 10000 };

static int
call(struct ask *ask, const char *method, struct mr_slice body, struct mr_rpc_answer *answer,
     struct mr_err *err)
{
    int64_t until_ms = mr_now_ms() + TRIES_MS_MAX;
    for (unsigned attempt = 0;; attempt++) {
        if (mr_rpc_call(ask->client, method, body, ask->timeout_ms, answer, err) != 0)
            return err->code;
        if (answer->status != MR_RPC_UNAVAILABLE || mr_now_ms() > until_ms)
            break;
        struct timespec pause = { .tv_nsec = (long)(mr_backoff_ms(attempt) % 1000) * 1000000 };
        (void)nanosleep(&pause, NULL);
    }
    if (answer->status == MR_RPC_OK)
        return 0;
    int code = answer->status == MR_RPC_INVALID_ARGUMENT ? MR_E(INVALID) : MR_E(UNAVAILABLE);
    return mr_fail(err, code, MR_FATAL, "%s: %s", mr_rpc_status_name(answer->status),
                   answer->message);
}

static struct mr_slice
pack(const ProtobufCMessage *message, struct mr_buf *buf)
{
    mr_buf_reset(buf);
    void *room = mr_buf_extend(buf, protobuf_c_message_get_packed_size(message));
    MR_ASSERT(room != NULL);
    (void)protobuf_c_message_pack(message, room);
    return mr_buf_slice(buf);
}

static int
take_chunk(const Millrace__V1__Chunk *chunk, const struct question *question, struct mr_err *err)
{
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = NULL;
    if (mr_columns_map(mr_slice(chunk->columns.data, chunk->columns.len), &rows, err) != 0)
        return err->code;
    return question->take(question->self, rows, err);
}

/* Half of an answer must not be taken for the whole one. */
static int
look_cut(const Millrace__V1__Chunk *chunk, const struct question *question, struct mr_err *err)
{
    if (question->ret_cut != NULL)
        *question->ret_cut = chunk->is_cut;
    else if (chunk->is_cut)
        return mr_fail(err, MR_E(TOO_LARGE), MR_REJECT,
                       "the answer has more than %llu rows, the most that millrace-query gives: "
                       "start it with a greater --rows-max",
                       (unsigned long long)chunk->rows_total);
    return 0;
}

/* Takes what answer holds and pulls the rest. */
static int
take_chunks(struct ask *ask, const struct question *question, struct mr_rpc_answer *answer,
            Millrace__V1__Chunk **ret_first, uint64_t *ret_rows, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    mr_buf_init(&body, BODY_BYTES_MAX);
    for (;;) {
        Millrace__V1__Chunk *chunk =
            millrace__v1__chunk__unpack(NULL, answer->body.size, answer->body.data);
        if (chunk == NULL)
            return mr_fail(err, MR_E(INTERNAL), MR_FATAL, "the answer is no Chunk");
        *ret_rows += chunk->rows;
        int code = take_chunk(chunk, question, err);
        if (code == 0 && answer->is_last)
            code = look_cut(chunk, question, err);
        if (*ret_first == NULL)
            *ret_first = chunk;
        else
            millrace__v1__chunk__free_unpacked(chunk, NULL);
        if (code != 0 || answer->is_last)
            return code;
        Millrace__V1__NextRequest next = MILLRACE__V1__NEXT_REQUEST__INIT;
        MR_CLEANUP(mr_freep) char *cursor = mr_strdup(answer->cursor);
        next.cursor = cursor;
        next.sequence = answer->sequence + 1;
        if (call(ask, "Next", pack(&next.base, &body), answer, err) != 0)
            return err->code;
    }
}

int
ask_sql(struct ask *ask, const struct question *question, Millrace__V1__Chunk **ret_first,
        uint64_t *ret_rows, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    Millrace__V1__RunRequest request = MILLRACE__V1__RUN_REQUEST__INIT;
    Millrace__V1__Chunk *first = NULL;
    struct mr_rpc_answer answer;
    uint64_t rows = 0;
    MR_ASSERT(question->take != NULL);
    mr_buf_init(&body, BODY_BYTES_MAX);
    request.sql = (char *)question->sql;
    request.tenant = (char *)question->tenant;
    request.rows_max = question->rows_max;
    int code = call(ask, "Run", pack(&request.base, &body), &answer, err);
    if (code == 0)
        code = take_chunks(ask, question, &answer, &first, &rows, err);
    if (code == 0 && ret_rows != NULL)
        *ret_rows = rows;
    if (code == 0 && ret_first != NULL)
        *ret_first = MR_TAKE(first);
    if (first != NULL)
        millrace__v1__chunk__free_unpacked(first, NULL);
    return code;
}

int
ask_tables(struct ask *ask, Millrace__V1__TablesReply **ret, struct mr_err *err)
{
    struct mr_rpc_answer answer;
    if (call(ask, "Tables", mr_slice(NULL, 0), &answer, err) != 0)
        return err->code;
    *ret = millrace__v1__tables_reply__unpack(NULL, answer.body.size, answer.body.data);
    if (*ret == NULL)
        return mr_fail(err, MR_E(INTERNAL), MR_FATAL, "the answer is no TablesReply");
    return 0;
}
