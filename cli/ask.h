/*
 * ask: questions of SQL to millrace-query, for the commands that need rows.
 *
 * An answer comes in chunks, which are pulled one by one and handed on as they come, so memory is
 * bounded whatever the question gives. Threads: one.
 */
#ifndef MR_ASK_H
#define MR_ASK_H

#include "base/base.h"
#include "columns/columns.h"
#include "rpc/rpc.h"

struct Millrace__V1__Chunk;
struct Millrace__V1__TablesReply;

struct ask {
    struct mr_rpc_client *client;
    int64_t timeout_ms; /* of each chunk */
};

struct question {
    const char *sql, *tenant; /* tenant: whose plain kind names stand for tables; "": nobody's */
    uint32_t rows_max;        /* 0: the limit of the server */
    /* Takes the rows of one chunk; called at least once, with no rows when there are none. */
    int (*take)(void *self, const struct mr_columns *rows, struct mr_err *err);
    void *self;
    bool *ret_cut; /* there are more rows than the maximum; NULL: that is a failure, TOO_LARGE */
};

/* INVALID: the server does not take the statement; UNAVAILABLE: it cannot answer now. *ret_first
 * (may be NULL) holds the freshness, and is the caller's to free. */
int ask_sql(struct ask *ask, const struct question *question,
            struct Millrace__V1__Chunk **ret_first, uint64_t *ret_rows, struct mr_err *err);
/* The caller frees it. */
int ask_tables(struct ask *ask, struct Millrace__V1__TablesReply **ret, struct mr_err *err);

#endif
