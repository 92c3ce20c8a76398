/*
 * What the files of conf share. conf.c: where values come from; value.c: what they may be; text.c:
 * what a person reads.
 */
#ifndef MR_CONF_PRIVATE_H
#define MR_CONF_PRIVATE_H

#include "conf/conf.h"

/* Checks text against the row and stores it in the options struct. */
int conf_set(const struct mr_opt *opt, void *options, const char *text, struct mr_err *err);
const char *conf_kind(const struct mr_opt *opt); /* "text", "bytes" .. for tables */
void conf_range(const struct mr_opt *opt, struct mr_buf *ret_text);
void conf_help(const struct mr_conf *conf, struct mr_buf *ret_text);
/* The row after opt, over all tables; NULL starts and ends. */
const struct mr_opt *conf_next(const struct mr_conf *conf, const struct mr_opt *opt);
const struct mr_opt *conf_find(const struct mr_conf *conf, const char *name, size_t length);
void conf_variable(const char *name, char *ret_variable, size_t size); /* MILLRACE_SOME_NAME */

#endif
