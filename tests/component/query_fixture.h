/* A query service on the memory bus and a folder, beside the archiver of archiver_fixture.h. Its
 * SQL processes are this very program: main hands them to sandbox_main. */
#ifndef MR_QUERY_FIXTURE_H
#define MR_QUERY_FIXTURE_H

#include "archiver_fixture.h"
#include "query.h"

enum { CALL_MS_MAX = 15000, TEXT_BYTES = 1024 };

struct desk {
    struct bench *b;
    struct query q;
    struct mr_metrics *metrics;
    int64_t crank_ms; /* a held clock moves so much with each step; 0: the real one */
};

/* What a person may have got wrong is 0 in wish: the default in brackets. */
struct desk_wish {
    int64_t tail_bytes; /* [16 MiB] */
    int64_t rows_max;   /* [1000000] */
    int64_t sql_memory; /* [128 MiB] */
};
void desk_open(struct desk *desk, struct bench *b, const struct desk_wish *wish);
void desk_close(struct desk *desk);
void desk_step(struct desk *desk);
/* Steps until everything that is on the bus now is said to be in. */
void desk_catch_up(struct desk *desk);
void desk_until(struct desk *desk, bool (*fact)(struct desk *desk));

struct call {
    struct mr_rpc_call rpc;
    struct mr_buf body;
    bool is_done, is_last, is_cut;
    int status;
    char message[TEXT_BYTES], cursor[64];
    uint32_t sequence;
    uint64_t rows_total;
    struct mr_buf text; /* rows, values parted by blanks */
    size_t rows;
    int64_t as_of_us, covered; /* covered: sum of next over the partitions */
};
/* Sends it; desk_wait steps until it is answered. The caller ends it with call_fini. */
void send_run(struct desk *desk, struct call *call, const char *tenant, const char *sql,
              int64_t timeout_ms);
void send_next(struct desk *desk, struct call *call, const char *cursor, uint32_t sequence);
void send_cancel(struct desk *desk, struct call *call, const char *cursor);
void call_wait(struct desk *desk, struct call *call);
bool call_is_done(struct call *call);
void call_fini(struct call *call);

/* The whole answer is text. */
void ask_is(struct desk *desk, const char *tenant, const char *sql, const char *text);
/* Is the answer to sql, in one chunk, marked as cut? */
bool ask_is_cut(struct desk *desk, const char *sql);
/* It fails with status, and the message contains text. */
void ask_fails(struct desk *desk, const char *sql, int status, const char *text);

/* The next count fetches of data files fail. */
void desk_fetch_away(unsigned count);

int tail_tests(void);

#endif
