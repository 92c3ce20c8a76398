/*
 * facts: what was found, as rows of one relation that SQL can ask about. Rows are kept in Parquet
 * files, so their number is bounded by the disk and not by memory.
 *
 *   facts_open(ground, &shape, &facts, &err);
 *   mr_columns_int(facts_rows(facts), 0, partition); ..
 *   facts_row(facts, &err)                  once for each
 *   facts_close(facts, &err)                from here on `raw` can be asked
 *
 * Threads: one.
 */
#ifndef MR_FACTS_H
#define MR_FACTS_H

#include "base/base.h"
#include "columns/columns.h"
#include "sql/sql.h"

/* Where facts stand: an engine with a memory limit and a folder for its files. */
struct ground {
    struct mr_sql *sql;
    const char *dir;
};

struct facts;
/* Columns of `in` are relation <name>_rows, those of `beside` (NULL: none) <name>_beside, row by
 * row; select makes the rows that are kept, with the columns of `out`. What this points to lives
 * longer than the facts. */
struct facts_shape {
    const char *name;
    const struct mr_schema *in, *beside, *out;
    const char *select; /* NULL: what is in */
};
int facts_open(const struct ground *ground, const struct facts_shape *shape, struct facts **ret,
               struct mr_err *err);
struct mr_columns *facts_rows(struct facts *facts);
struct mr_columns *facts_beside(struct facts *facts);
/* Ends a row of both; `in` may have been ended already (mr_contract_decode does). */
int facts_row(struct facts *facts, struct mr_err *err);
/* Writes what is left and makes the view <name>. Frees facts. */
int facts_close(struct facts *facts, struct mr_err *err);
void facts_drop(struct facts **facts); /* MR_CLEANUP: without a view */
/* Relation name from what is there, worked out once. */
int facts_derive(const struct ground *ground, const char *name, const char *select,
                 struct mr_err *err);

#endif
