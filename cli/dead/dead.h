/*
 * dead: what the files of `millrace dead` share. sql.c: what is asked; print.c: how it looks;
 * show.c: one letter with its bytes; ../dead.c: the command.
 */
#ifndef MR_CLI_DEAD_H
#define MR_CLI_DEAD_H

#include "cli/ask.h"
#include "cli/cli.h"
#include "names/names.h"

enum { DEAD_SQL_MAX = 1 << 20 };

struct dead_options {
    struct cli_options common;
    const char *kind, *code, *stage, *since, *until;
    int64_t limit, timeout_ms;
    bool json, raw;
};

/* Where a letter's record stands: its name for people, T/P/O. */
struct dead_place {
    char topic[MR_TOPIC_MAX + 1];
    int32_t partition;
    int64_t offset;
};
/* INVALID: text is none. */
int dead_place_parse(const char *text, struct dead_place *ret, struct mr_err *err);

/* ---- what is asked ---- */

/* The columns of a letter as list and show ask for them. */
enum {
    LETTER_TENANT,
    LETTER_KIND,
    LETTER_TOPIC,
    LETTER_PARTITION,
    LETTER_OFFSET,
    LETTER_DEAD_AT,
    LETTER_STAGE,
    LETTER_CODE,
    LETTER_FIELD,
    LETTER_RULE,
    LETTER_VALUE,
    LETTER_REASON,
    LETTER_VERSION,
    LETTER_EVENT_ID,
    LETTER_RECEIVED_AT,
    LETTER_TRACE,
    LETTER_BYTES, /* of the original; NULL: it had no value */
    LETTER_ATTEMPTS,
    LETTER_FIRST_DEAD_AT,
    LETTER_REPLAYED_PARTITION, /* this and the next two: NULL when it was not played again */
    LETTER_REPLAYED_OFFSET,
    LETTER_REPLAYED_AT,
    LETTER_COLUMNS
};
/* The columns of a line of the stats. */
enum {
    STATS_TENANT,
    STATS_KIND,
    STATS_STAGE,
    STATS_CODE,
    STATS_FIELD,
    STATS_LETTERS,
    STATS_REPLAYED,
    STATS_FIRST,
    STATS_LAST,
    STATS_COLUMNS
};

/* Tables by name and tenant, as the server knows them. */
struct dead_source {
    const char *tenant, *table;
};
/* Checks the filters and appends the question. One row more than the limit is asked for, so that
 * what is left out is known. */
int dead_sql_list(const struct dead_options *options, const struct dead_source *sources,
                  size_t count, struct mr_buf *sql, struct mr_err *err);
int dead_sql_stats(const struct dead_options *options, const struct dead_source *sources,
                   size_t count, struct mr_buf *sql, struct mr_err *err);
void dead_sql_show(const struct dead_source *source, const struct dead_place *place,
                   struct mr_buf *sql);
/* Bytes [from, from + size) of the original. */
void dead_sql_original(const struct dead_source *source, const struct dead_place *place,
                       int64_t from, int64_t size, struct mr_buf *sql);

/* ---- how it looks ---- */

void dead_put_heading(struct mr_buf *to);
void dead_put_line(struct mr_buf *to, const struct mr_columns *rows, size_t row);
void dead_put_stats_heading(struct mr_buf *to);
void dead_put_stats_line(struct mr_buf *to, const struct mr_columns *rows, size_t row);
void dead_put_letter(struct mr_buf *to, const struct mr_columns *rows, size_t row);
void dead_put_json(struct mr_buf *to, const struct mr_columns *rows, size_t row); /* no line end */
/* Text when it is printable UTF-8, else hex, 16 bytes a line. */
void dead_put_original(struct mr_buf *to, struct mr_slice original);

/* ---- one letter ---- */

int dead_show(struct ask *ask, const struct dead_options *options, const struct dead_source *source,
              const struct dead_place *place, struct mr_err *err);

#endif
