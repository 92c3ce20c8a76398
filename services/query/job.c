/*
 * A job is a question with everything that it stands on: the snapshots and tails of the tables that
 * its text may mean, pinned together, so that its answer has one state of things.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "millrace/v1/rpc.pb-c.h"
#include "query.h"

void
job_free(struct job *job)
{
    if (job == NULL)
        return;
    for (size_t i = 0; i < job->tables_count; i++) {
        struct job_table *table = &job->tables[i];
        for (size_t j = 0; j < table->tail_count; j++)
            shared_drop(table->tail[j]);
        free(table->tail);
        snapshot_drop(table->snapshot);
        free(table->name);
        free(table->alias);
    }
    free(job->tables);
    free(job->sql);
    free(job->known);
    free(job);
}

/* Pins a table when the text names it, or may: a name that only stands in a literal costs little.
 */
static int
pin_table(struct query *q, struct job *job, struct table *table, const char *tenant,
          struct mr_err *err)
{
    bool is_plain = strcmp(table->tenant, tenant) == 0;
    if (strcasestr(job->sql, table->name) == NULL &&
        (!is_plain || strcasestr(job->sql, table->kind) == NULL))
        return 0;
    for (size_t i = 0; i < q->lanes_count; i++) {
        char why[MR_ERR_TEXT_MAX];
        const struct lane *lane = &q->lanes[i];
        if (lane->table == table && lane->state != LANE_NEWER &&
            tail_trouble(lane, why, sizeof(why)))
            return mr_fail(err, MR_E(CORRUPT), MR_REJECT, "table %s: %s", table->name, why);
    }
    if (table->snapshot == NULL)
        return mr_fail(err, MR_E(UNAVAILABLE), MR_RETRY, "table %s is being opened; ask again",
                       table->name);
    struct job_table *pinned = &job->tables[job->tables_count++];
    *pinned = (struct job_table){ .name = mr_strdup(table->name),
                                  .alias = is_plain ? mr_strdup(table->kind) : NULL,
                                  .schema = table->schema,
                                  .key = table->key,
                                  .snapshot = snapshot_hold(table->snapshot) };
    return tail_share(q, table, &pinned->tail, &pinned->tail_count, err);
}

/* The tenant whose plain kind names stand for tables: the asked one, or the only one there is. */
static const char *
tenant_of(const struct query *q, const char *asked)
{
    if (asked[0] != '\0')
        return asked;
    const char *only = "";
    for (size_t i = 0; i < q->tables_count; i++) {
        if (only[0] != '\0' && strcmp(only, q->tables[i]->tenant) != 0)
            return "";
        only = q->tables[i]->tenant;
    }
    return only;
}

/* Plain names of the asked tenant and full ones of the others, as long as there is room. */
static char *
name_tables(const struct query *q, const char *tenant)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf names;
    mr_buf_init(&names, MR_ERR_TEXT_MAX);
    for (size_t i = 0; i < q->tables_count && names.size < MR_ERR_TEXT_MAX / 2; i++) {
        const struct table *table = q->tables[i];
        bool is_plain = strcmp(table->tenant, tenant) == 0;
        mr_buf_printf(&names, "%s%s%s%s", i > 0 ? ", " : "", is_plain ? "" : "\"",
                      is_plain ? table->kind : table->name, is_plain ? "" : "\"");
    }
    return mr_strdup(names.size > 0 ? names.data : "none yet");
}

int
job_make(struct query *q, const struct Millrace__V1__RunRequest *request, struct job **ret,
         struct mr_err *err)
{
    struct job *job = mr_alloc(sizeof(*job));
    const char *tenant = tenant_of(q, request->tenant);
    uint64_t rows_max = (uint64_t)q->options.rows_max;

    job->sql = mr_strdup(request->sql);
    job->known = name_tables(q, tenant);
    job->rows_max =
        request->rows_max > 0 && request->rows_max < rows_max ? request->rows_max : rows_max;
    job->tables = mr_alloc((q->tables_count + 1) * sizeof(*job->tables));
    for (size_t i = 0; i < q->tables_count; i++) {
        if (pin_table(q, job, q->tables[i], tenant, err) != 0) {
            job_free(job);
            return err->code;
        }
    }
    *ret = job;
    return 0;
}
