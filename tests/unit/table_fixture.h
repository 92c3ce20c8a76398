/* A table in a temporary folder, and what the tests of table do with it. */
#ifndef MR_TABLE_FIXTURE_H
#define MR_TABLE_FIXTURE_H

#include "table/table.h"

struct fixture {
    char dir[64], work[80], url[80];
    struct mr_store *store;
    struct mr_sql *sql;
};

int fixture_open(void **state);
int fixture_close(void **state);

extern const struct mr_schema fixture_schema; /* id long, name string */
#define FIXTURE_APP  "millrace/C/T/a.pin.clean/0"
#define FIXTURE_PATH "tables/a_pin_table"

struct mr_table *fixture_table(struct fixture *f, bool create);
/* Appends ids [from, next) of partition 0 in one file; the code of mr_table_append. */
int fixture_append(struct fixture *f, struct mr_table *table, int64_t from, int64_t next,
                   struct mr_err *err);
/* Puts a commit of somebody else. */
void fixture_foreign(struct fixture *f, int64_t version, const char *text);
/* Text of commit version. The caller frees it. */
char *fixture_commit(struct fixture *f, int64_t version);

/* What happens to the next conditional create: it is done and its answer lost, or it is not done.
 */
enum fault { FAULT_NONE, FAULT_LOST_AFTER, FAULT_LOST_BEFORE, FAULT_EXISTS_AFTER };
extern enum fault fixture_fault;

#endif
