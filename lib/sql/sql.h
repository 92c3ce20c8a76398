/*
 * sql: SQL over our own column buffers and over Parquet files, by DuckDB as a stateless engine: no
 * table is ever kept in it, no extension is loaded, no network is used.
 *
 * Settings of every instance: TimeZone UTC, no autoload or community extensions, no external access
 * except below the named directories, configuration locked once open.
 *
 * Threads: an instance and all that comes from it belong to one thread; only mr_sql_interrupt may
 * be called from another.
 */
#ifndef MR_SQL_H
#define MR_SQL_H

#include "base/base.h"
#include "columns/columns.h"

struct mr_sql;
struct mr_statement;
struct mr_result;

struct mr_sql_options {
    int threads;             /* 0: 1 */
    int64_t memory_max;      /* 0: 256 MiB */
    const char *temp_dir;    /* spill; NULL: no spilling */
    const char *const *dirs; /* NULL-terminated: what Parquet may be read from and written to */
};
int mr_sql_open(const struct mr_sql_options *options, struct mr_sql **ret, struct mr_err *err);
void mr_sql_close(struct mr_sql *sql);
void mr_sql_closep(struct mr_sql **sql);
void mr_sql_interrupt(struct mr_sql *sql);
/* Runs a statement without result (CREATE VIEW, CREATE MACRO). */
int mr_sql_execute(struct mr_sql *sql, const char *text, struct mr_err *err);

/* Makes relation name (quoted as needed) readable in SQL with these columns. Rows are those of the
 * batches bound last, in order; none at first. Batches are borrowed until bound anew and must not
 * change while a result is open. Only the columns that a query needs are read. */
int mr_sql_relation(struct mr_sql *sql, const char *name, const struct mr_schema *schema,
                    struct mr_err *err);
int mr_sql_bind(struct mr_sql *sql, const char *name, const struct mr_columns *const *batches,
                size_t count, struct mr_err *err);

int mr_sql_prepare(struct mr_sql *sql, const char *text, struct mr_statement **ret,
                   struct mr_err *err);
void mr_statement_close(struct mr_statement *statement);
void mr_statement_closep(struct mr_statement **statement);
/* Columns of the result. Small integers come as INTEGER; UINTEGER and DECIMAL(18,0) or less as
 * LONG; HUGEINT (the type of sum() over integers), UBIGINT, FLOAT and other DECIMAL as DOUBLE; DATE
 * and every TIMESTAMP as TIMESTAMP; what else there is as STRING. */
const struct mr_schema *mr_statement_schema(const struct mr_statement *statement);
/* Starts the statement; its rows stream. INVALID with the engine's own text when SQL fails,
 * TOO_LARGE when memory_max is reached, CANCELLED after mr_sql_interrupt. An instance has one open
 * result at a time: close it before anything else is run. */
int mr_statement_run(struct mr_statement *statement, struct mr_result **ret, struct mr_err *err);
/* Appends the next rows (about 2,048) to to, a batch of the statement's schema; returns how many,
 * 0 at the end. */
int mr_result_next(struct mr_result *result, struct mr_columns *to, struct mr_err *err);
void mr_result_close(struct mr_result *result);
void mr_result_closep(struct mr_result **result);

/* Is text one SELECT that maps rows of relation one to one: a single plain SELECT from that
 * relation, no aggregate, window, DISTINCT, WHERE, ORDER, LIMIT, join, set operation, table
 * function or subquery, and no volatile function (random, now, uuid, nextval ..)? INVALID says
 * what was found and why it cannot stay. */
int mr_sql_check_map(struct mr_sql *sql, const char *text, const char *relation,
                     struct mr_err *err);
/* text, a SELECT that mr_sql_check_map takes, with expressions ('value AS "name"', NULL-terminated)
 * put behind its columns: one pass gives both. Appended to ret_text. */
int mr_sql_extend(struct mr_sql *sql, const char *text, const char *relation,
                  const char *const *expressions, struct mr_buf *ret_text, struct mr_err *err);
/* Is text one SELECT that reads nothing but the named relations and macros (for people's SQL)? */
int mr_sql_check_select(struct mr_sql *sql, const char *text, const char *const *relations,
                        struct mr_err *err);

/* Parquet for Delta (facts: zstd level 1, row groups of 20,480, timestamps as UTC micros). */
struct mr_column_stats {
    bool has_bounds;       /* false: lists, long text, NaN, all NULL */
    char min[96], max[96]; /* JSON values as Delta's stats hold them */
    int64_t null_count;    /* of lists: not known, 0 */
};
struct mr_file_stats {
    int64_t rows, bytes;
    struct mr_column_stats *columns; /* one for each field of the schema; the caller frees */
};
/* Writes the rows of a SELECT, whose columns are cast to schema, to path. */
int mr_sql_write_parquet(struct mr_sql *sql, const char *select, const struct mr_schema *schema,
                         const char *path, struct mr_file_stats *ret_stats, struct mr_err *err);
/* 'text' and "name" with what needs doubling doubled, appended. */
void mr_sql_literal(struct mr_buf *buf, const char *text);
void mr_sql_identifier(struct mr_buf *buf, const char *name);

#endif
