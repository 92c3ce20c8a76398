#include "query_fixture.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "clock/clock.h"
#include "millrace/v1/rpc.pb-c.h"
#include "test.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned fetches_away;

/* ---- the desk ---- */

static int64_t
real_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void
desk_open(struct desk *desk, struct bench *b, const struct desk_wish *wish)
{
    static const struct desk_wish none;
    wish = wish != NULL ? wish : &none;
    *desk = (struct desk){ .b = b };
    struct query *q = &desk->q;
    q->options = (struct query_options){
        .service = { .kinds = b->kinds,
                     .store = b->url,
                     .pipeline = "millrace",
                     .memory = 256 << 20 },
        .work_dir = mr_printf("%s/query", b->dir),
        .shm_dir = b->dir,
        .refresh_ms = 10,
        .tail_bytes = wish->tail_bytes > 0 ? wish->tail_bytes : 16 << 20,
        .rows_max = wish->rows_max > 0 ? wish->rows_max : 1000000,
        .sql_processes = 1,
        .sql_memory = wish->sql_memory > 0 ? wish->sql_memory : 128 << 20,
        .sql_threads = 1,
    };
    desk->metrics = mr_metrics_open(query_metrics, query_metrics_count);
    q->tail_rows_cell = mr_metrics_cell(desk->metrics, "millrace_tail_rows", NULL);
    q->tail_bytes_cell = mr_metrics_cell(desk->metrics, "millrace_tail_bytes", NULL);
    q->bus = q->worker_bus = b->bus;
    BENCH_OK(mr_contracts_open(b->kinds, &q->contracts, &oops));
    BENCH_OK(folders_open(q, &oops));
    BENCH_OK(catalog_open(q, &oops));
    BENCH_OK(answers_open(q, &oops));
}

void
desk_close(struct desk *desk)
{
    answers_close(&desk->q);
    catalog_close(&desk->q);
    folders_close(&desk->q);
    mr_metrics_close(desk->metrics);
    free((char *)(uintptr_t)desk->q.options.work_dir);
}

void
desk_step(struct desk *desk)
{
    if (desk->crank_ms > 0)
        mr_clock_crank(desk->crank_ms);
    answers_sweep(&desk->q);
    BENCH_OK(catalog_step(&desk->q, &oops));
    BENCH_OK(tail_step(&desk->q, 1, &oops));
}

void
desk_until(struct desk *desk, bool (*fact)(struct desk *desk))
{
    int64_t deadline_ms = real_ms() + CALL_MS_MAX;
    while (!fact(desk)) {
        desk_step(desk);
        if (real_ms() > deadline_ms)
            fail_msg("waited in vain: %s", desk->q.trouble);
    }
}

void
desk_catch_up(struct desk *desk)
{
    int64_t now_us = mr_wall_us(), deadline_ms = real_ms() + CALL_MS_MAX;
    while (tail_as_of_us(&desk->q) <= now_us) {
        desk_step(desk);
        if (real_ms() > deadline_ms)
            fail_msg("not caught up: %s", desk->q.trouble);
    }
}

/* ---- answers ---- */

static void
print_scalar(const struct mr_column *column, size_t row, struct mr_buf *ret)
{
    if (mr_column_is_null(column, row))
        mr_buf_text(ret, "NULL");
    else if (column->field.type == MR_TYPE_STRING || column->field.type == MR_TYPE_BINARY)
        mr_buf_put(ret, mr_column_text(column, row).data, mr_column_text(column, row).size);
    else if (column->field.type == MR_TYPE_DOUBLE)
        mr_buf_printf(ret, "%g", mr_column_double(column, row));
    else
        mr_buf_printf(ret, "%" PRId64, mr_column_int(column, row));
}

static void
print_value(const struct mr_column *column, size_t row, struct mr_buf *ret)
{
    size_t from, to;
    if (column->child == NULL || mr_column_is_null(column, row)) {
        print_scalar(column, row, ret);
        return;
    }
    mr_column_list(column, row, &from, &to);
    for (size_t i = from; i < to; i++) {
        mr_buf_text(ret, i > from ? "," : "[");
        print_scalar(column->child, i, ret);
    }
    mr_buf_text(ret, "]");
}

static void
take_chunk(struct call *call, struct mr_slice body)
{
    struct mr_columns *rows = NULL;
    Millrace__V1__Chunk *chunk = millrace__v1__chunk__unpack(NULL, body.size, body.data);
    if (chunk == NULL || chunk->columns.len == 0) {
        if (chunk != NULL)
            millrace__v1__chunk__free_unpacked(chunk, NULL);
        return;
    }
    BENCH_OK(mr_columns_map(mr_slice(chunk->columns.data, chunk->columns.len), &rows, &oops));
    for (size_t row = 0; row < rows->rows; row++)
        for (size_t c = 0; c < rows->count; c++) {
            mr_buf_text(&call->text, call->text.size > 0 ? " " : "");
            print_value(&rows->columns[c], row, &call->text);
        }
    call->rows = rows->rows;
    call->rows_total = chunk->rows_total;
    call->is_cut = chunk->is_cut;
    mr_columns_free(rows);
    if (chunk->freshness != NULL) {
        call->as_of_us = chunk->freshness->as_of_us;
        for (size_t i = 0; i < chunk->freshness->n_covered; i++)
            call->covered += chunk->freshness->covered[i]->next;
    }
    millrace__v1__chunk__free_unpacked(chunk, NULL);
}

void __wrap_mr_rpc_reply(struct mr_rpc_call *rpc, const struct mr_rpc_answer *answer);

void
__wrap_mr_rpc_reply(struct mr_rpc_call *rpc, const struct mr_rpc_answer *answer)
{
    struct call *call = (struct call *)rpc;
    (void)pthread_mutex_lock(&lock);
    MR_ASSERT(!call->is_done); /* exactly once */
    call->status = answer->status;
    call->is_last = answer->is_last;
    call->sequence = answer->sequence;
    (void)snprintf(call->message, sizeof(call->message), "%s",
                   answer->message != NULL ? answer->message : "");
    (void)snprintf(call->cursor, sizeof(call->cursor), "%s",
                   answer->cursor != NULL ? answer->cursor : "");
    mr_buf_put(&call->body, answer->body.data, answer->body.size);
    call->is_done = true;
    (void)pthread_mutex_unlock(&lock);
}

bool
call_is_done(struct call *call)
{
    (void)pthread_mutex_lock(&lock);
    bool is_done = call->is_done;
    (void)pthread_mutex_unlock(&lock);
    return is_done;
}

/* ---- calls ---- */

static void
send(struct desk *desk, struct call *call, const char *method, struct mr_slice body,
     int64_t timeout_ms)
{
    *call = (struct call){
        .rpc = { .method = method, .body = body, .deadline_ms = mr_now_ms() + timeout_ms }
    };
    mr_buf_init(&call->body, MR_RPC_BYTES_MAX);
    mr_buf_init(&call->text, MR_RPC_BYTES_MAX);
    mr_buf_text(&call->text, "");
    answers_call(&desk->q, &call->rpc);
}

void
send_run(struct desk *desk, struct call *call, const char *tenant, const char *sql,
         int64_t timeout_ms)
{
    Millrace__V1__RunRequest request = MILLRACE__V1__RUN_REQUEST__INIT;
    request.sql = (char *)(uintptr_t)sql;
    request.tenant = (char *)(uintptr_t)tenant;
    MR_CLEANUP(mr_freep)
    uint8_t *packed = mr_alloc(millrace__v1__run_request__get_packed_size(&request) + 1);
    send(desk, call, "Run", mr_slice(packed, millrace__v1__run_request__pack(&request, packed)),
         timeout_ms);
}

void
send_next(struct desk *desk, struct call *call, const char *cursor, uint32_t sequence)
{
    Millrace__V1__NextRequest request = MILLRACE__V1__NEXT_REQUEST__INIT;
    uint8_t packed[256];
    request.cursor = (char *)(uintptr_t)cursor;
    request.sequence = sequence;
    send(desk, call, "Next", mr_slice(packed, millrace__v1__next_request__pack(&request, packed)),
         CALL_MS_MAX);
}

void
send_cancel(struct desk *desk, struct call *call, const char *cursor)
{
    Millrace__V1__CancelRequest request = MILLRACE__V1__CANCEL_REQUEST__INIT;
    uint8_t packed[256];
    request.cursor = (char *)(uintptr_t)cursor;
    send(desk, call, "Cancel",
         mr_slice(packed, millrace__v1__cancel_request__pack(&request, packed)), CALL_MS_MAX);
}

void
call_wait(struct desk *desk, struct call *call)
{
    int64_t deadline_ms = real_ms() + CALL_MS_MAX;
    while (!call_is_done(call)) {
        desk_step(desk);
        assert_true(real_ms() < deadline_ms);
    }
    if (call->status == MR_RPC_OK && call->body.size > 0)
        take_chunk(call, mr_buf_slice(&call->body));
}

void
call_fini(struct call *call)
{
    mr_buf_fini(&call->body);
    mr_buf_fini(&call->text);
}

void
ask_is(struct desk *desk, const char *tenant, const char *sql, const char *text)
{
    struct call call;
    send_run(desk, &call, tenant, sql, CALL_MS_MAX);
    call_wait(desk, &call);
    if (call.status != MR_RPC_OK)
        fail_msg("%s: %d %s", sql, call.status, call.message);
    assert_true(call.is_last);
    assert_string_equal(call.text.data, text);
    call_fini(&call);
}

bool
ask_is_cut(struct desk *desk, const char *sql)
{
    struct call call;
    send_run(desk, &call, "", sql, CALL_MS_MAX);
    call_wait(desk, &call);
    assert_int_equal(call.status, MR_RPC_OK);
    assert_true(call.is_last);
    bool is_cut = call.is_cut;
    call_fini(&call);
    return is_cut;
}

void
ask_fails(struct desk *desk, const char *sql, int status, const char *text)
{
    struct call call;
    send_run(desk, &call, "", sql, CALL_MS_MAX);
    call_wait(desk, &call);
    if (call.status != status || strstr(call.message, text) == NULL)
        fail_msg("%s: %d %s", sql, call.status, call.message);
    call_fini(&call);
}

/* ---- faults of the store ---- */

int __real_mr_table_fetch(struct mr_table *table, const struct mr_table_file *file, const char *dir,
                          char **ret_path, struct mr_err *err);
int __wrap_mr_table_fetch(struct mr_table *table, const struct mr_table_file *file, const char *dir,
                          char **ret_path, struct mr_err *err);

int
__wrap_mr_table_fetch(struct mr_table *table, const struct mr_table_file *file, const char *dir,
                      char **ret_path, struct mr_err *err)
{
    if (atomic_load(&fetches_away) > 0) {
        atomic_fetch_sub(&fetches_away, 1);
        return mr_fail(err, MR_E(UNAVAILABLE), MR_RETRY, "the store is away");
    }
    return __real_mr_table_fetch(table, file, dir, ret_path, err);
}

void
desk_fetch_away(unsigned count)
{
    atomic_store(&fetches_away, count);
}
