/*
 * cli: what the commands of `millrace` share. Each command is one file with its own option table;
 * it talks to the others like any outsider, by HTTP, rpc, Kafka and the store.
 *
 * A command returns the exit code: 0 fine, 1 failed, 2 misuse.
 */
#ifndef MR_CLI_H
#define MR_CLI_H

#include "base/base.h"
#include "columns/columns.h"
#include "conf/conf.h"

enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_MISUSE = 2 };

int command_emulate(int argc, char **argv);
int command_topics(int argc, char **argv);
int command_query(int argc, char **argv);
int command_check(int argc, char **argv);
int command_tail(int argc, char **argv);
int command_status(int argc, char **argv);
int command_verify(int argc, char **argv);
int command_replay(int argc, char **argv);
int command_dead(int argc, char **argv);

/* Options for what a command talks to; the first member of its options struct. */
struct cli_options {
    const char *bootstrap, *kafka_config, *store, *s3_endpoint, *kinds, *pipeline, *query, *tenant;
};
extern const struct mr_opt cli_options_table[];

/* Loads options; a negative result is for cli_refuse, 1 means answered (--help). */
int cli_load(const char *command, const char *summary, const struct mr_opt *table, void *options,
             int argc, char **argv, int *ret_count, char ***ret_rest, struct mr_err *err);
int cli_refuse(const struct mr_err *err); /* one line on stderr; the exit code */
/* A time as people give it: 2026-02-29, 2026-02-29T23:59, 2026-02-29 23:59:59 (UTC), or how long
 * ago: 90s, 15m, 2h, 7d. INVALID: it is none; option is named. */
int cli_when(const char *option, const char *text, int64_t *ret_us, struct mr_err *err);

/* ---- rows for people and programs ---- */

enum print_format { PRINT_TABLE, PRINT_CSV, PRINT_JSON };
bool print_format_of(const char *word, enum print_format *ret);
struct printer;
/* A table is written when the printer is closed, since it must know the widths; CSV (RFC 4180, LF,
 * header, NULL empty) and JSON (one object a line) are written as rows come. */
struct printer *printer_open(enum print_format format, const struct mr_schema *schema);
void printer_rows(struct printer *printer, const struct mr_columns *rows);
void printer_close(struct printer *printer);
/* What strangers sent, made fit for a terminal: characters that control it, hide text or turn its
 * order are written as their bytes, \x1b, and so is what is no UTF-8. */
void print_plain(struct mr_buf *to, struct mr_slice text);
/* The same for JSON: they become \u001b, so that it means what it meant. */
void print_plain_json(struct mr_buf *to, struct mr_slice json);
/* The shortest decimals that read back as value; whole numbers without a point. */
void print_double(struct mr_buf *buf, double value);

#endif
