/*
 * conf: one table per process gives flags, environment variables, a JSON file, range errors,
 * --help and --reference.
 *
 * Option --some-name = MILLRACE_SOME_NAME = key "some-name" in the file of --config; flag beats
 * environment beats file beats default. Values are checked against the range of the row; an unknown
 * flag or key is an error that names it and, where there is one, the nearest known name. Variables
 * of the environment are only looked up by the names of the tables: all processes of a pipeline may
 * share one environment. Threads: only before threads start.
 */
#ifndef MR_CONF_H
#define MR_CONF_H

#include "base/base.h"
#include "metrics/metrics.h"

enum mr_opt_type {
    MR_OPT_TEXT,  /* const char *; min and max bound the length */
    MR_OPT_INT,   /* int64_t in [min, max] */
    MR_OPT_BYTES, /* int64_t; accepts 64K, 64M, 1G (powers of 1024) */
    MR_OPT_MS,    /* int64_t milliseconds; accepts 250ms, 10s, 5m */
    MR_OPT_BOOL,  /* bool; flag without value = true */
    MR_OPT_ADDR,  /* const char *; HOST:PORT, port 0..65535, or empty */
    MR_OPT_CHOICE /* const char *; one of the words in choices */
};

struct mr_opt {
    const char *name; /* without dashes */
    enum mr_opt_type type;
    size_t offset;             /* into the options struct */
    const char *default_value; /* NULL: must be given (texts, addresses and words only) */
    int64_t min, max;
    const char *choices; /* "a|b|c" for MR_OPT_CHOICE */
    const char *help;    /* one sentence; says what happens at the bounds */
    bool secret;         /* only from environment or file; never shown */
};

struct mr_conf {
    const char *process;            /* "millrace-validator" */
    const char *summary;            /* two lines for --help */
    const struct mr_opt *tables[4]; /* each ends with a row of name NULL; the list with NULL */
    /* Positional arguments left over after the flags, for the CLI; NULL: none are allowed. */
    int *ret_rest_count;
    char ***ret_rest;
    /* Metric tables of the process for --reference, ends with NULL, counts beside; or NULL. */
    const struct mr_metric *const *metrics;
    const size_t *metrics_counts;
};

/* Returns 0; 1 when --help, --version or --reference was answered on stdout (exit 0); or a
 * negative code (exit 2) with a one-line text. options is all zero before; strings live as long as
 * the process. */
int mr_conf_load(const struct mr_conf *conf, void *options, int argc, char **argv,
                 struct mr_err *err);
void mr_conf_reference(const struct mr_conf *conf, struct mr_buf *ret_markdown);
/* "host:port" apart; port 0 stays 0. */
int mr_conf_addr(const char *text, char *ret_host, size_t host_size, int *ret_port,
                 struct mr_err *err);

#endif
