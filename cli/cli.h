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

/* Options for what a command talks to; the first member of its options struct. */
struct cli_options {
    const char *bootstrap, *kafka_config, *store, *s3_endpoint, *kinds, *pipeline, *query, *tenant;
};
extern const struct mr_opt cli_options_table[];

/* Loads options; a negative result is for cli_refuse, 1 means answered (--help). */
int cli_load(const char *command, const char *summary, const struct mr_opt *table, void *options,
             int argc, char **argv, int *ret_count, char ***ret_rest, struct mr_err *err);
int cli_refuse(const struct mr_err *err); /* one line on stderr; the exit code */

/* ---- rows for people and programs ---- */

enum print_format { PRINT_TABLE, PRINT_CSV, PRINT_JSON };
bool print_format_of(const char *word, enum print_format *ret);
struct printer;
/* A table is written when the printer is closed, since it must know the widths; CSV (RFC 4180, LF,
 * header, NULL empty) and JSON (one object a line) are written as rows come. */
struct printer *printer_open(enum print_format format, const struct mr_schema *schema);
void printer_rows(struct printer *printer, const struct mr_columns *rows);
void printer_close(struct printer *printer);
/* The shortest decimals that read back as value; whole numbers without a point. */
void print_double(struct mr_buf *buf, double value);

#endif
