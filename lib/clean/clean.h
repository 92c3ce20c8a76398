/*
 * clean: the rules of each kind, ready to run: a batch of checked input rows becomes as many rows
 * of the kind's table, by the one SELECT of its clean.sql. The cleaner, `millrace check` and the
 * golden cases all clean through this module.
 *
 * clean.sql is refused at open unless it maps rows one to one and without chance (mr_sql_check_map)
 * and its result columns are the output's fields by name, in order; each is cast to its field's
 * type. Comment lines "-- rule NAME: BOOLEAN EXPRESSION" (over the input columns, on one line) are
 * counted: they are evaluated with each batch, in the same pass.
 *
 * Threads: one owner.
 */
#ifndef MR_CLEAN_H
#define MR_CLEAN_H

#include "base/base.h"
#include "columns/columns.h"
#include "contract/contract.h"

enum { MR_RULES_MAX = 64, MR_RULE_NAME_MAX = 64 };

struct mr_clean; /* of all kinds of a set of contracts */
struct mr_clean_kind;

/* contracts is borrowed until close. memory_max: bytes for the engine, 0 = 64 MiB. INVALID names
 * kind, file and column. */
int mr_clean_open(const struct mr_contracts *contracts, int64_t memory_max, struct mr_clean **ret,
                  struct mr_err *err);
void mr_clean_close(struct mr_clean *clean);
void mr_clean_closep(struct mr_clean **clean);
struct mr_clean_kind *mr_clean_find(struct mr_clean *clean, const char *kind); /* or NULL */
const struct mr_kind *mr_clean_contract(const struct mr_clean_kind *kind);
size_t mr_clean_rules(const struct mr_clean_kind *kind);
const char *mr_clean_rule(const struct mr_clean_kind *kind, size_t rule); /* its name */

struct mr_clean_error {
    size_t row;
    char text[MR_ERR_TEXT_MAX]; /* the engine's own words */
};

struct mr_cleaned {
    const struct mr_columns *rows;       /* of the output's schema; as many as came in; a row that
                                            failed is all NULL here */
    const struct mr_clean_error *errors; /* by row */
    size_t errors_count;
    const int64_t *rule_hits;    /* rows that a rule was true for, one each of mr_clean_rules */
    const int64_t *column_nulls; /* NULLs, one each of the output's fields; good rows only */
};
/* Cleans a batch of the kind's input schema. When the statement fails the batch is halved until the
 * failing rows stand alone, so that only they are blamed. ret is borrowed until the next run. */
int mr_clean_run(struct mr_clean_kind *kind, const struct mr_columns *input, struct mr_cleaned *ret,
                 struct mr_err *err);

#endif
