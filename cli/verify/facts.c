#include "facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROWS_KEPT_MAX = 65536, BYTES_KEPT_MAX = 32 << 20 };

struct facts {
    const struct ground *ground;
    struct facts_shape shape;
    struct mr_columns *rows, *beside;
    size_t count; /* complete rows that are not written yet */
    int files;
};

/* Rows that are reset keep their memory, so where one piece was long each row after it would look
 * like a full piece. */
static void
begin_anew(struct mr_columns **rows, const struct mr_schema *schema)
{
    mr_columns_free(*rows);
    *rows = mr_columns_new(schema);
}

static int
relate(struct facts *facts, const char *ending, const struct mr_schema *schema, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *name = mr_printf("%s_%s", facts->shape.name, ending);
    return mr_sql_relation(facts->ground->sql, name, schema, err);
}

static int
bind(struct facts *facts, const char *ending, const struct mr_columns *rows, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *name = mr_printf("%s_%s", facts->shape.name, ending);
    return mr_sql_bind(facts->ground->sql, name, &rows, 1, err);
}

void
facts_drop(struct facts **facts)
{
    if (*facts == NULL)
        return;
    mr_columns_free((*facts)->rows);
    mr_columns_free((*facts)->beside);
    free(MR_TAKE(*facts));
}

int
facts_open(const struct ground *ground, const struct facts_shape *shape, struct facts **ret,
           struct mr_err *err)
{
    MR_CLEANUP(facts_drop) struct facts *facts = mr_alloc(sizeof(*facts));
    facts->ground = ground;
    facts->shape = *shape;
    facts->rows = mr_columns_new(shape->in);
    if (relate(facts, "rows", shape->in, err) != 0)
        return err->code;
    if (shape->beside != NULL) {
        facts->beside = mr_columns_new(shape->beside);
        if (relate(facts, "beside", shape->beside, err) != 0)
            return err->code;
    }
    *ret = MR_TAKE(facts);
    return 0;
}

struct mr_columns *
facts_rows(struct facts *facts)
{
    return facts->rows;
}

struct mr_columns *
facts_beside(struct facts *facts)
{
    return facts->beside;
}

static int
keep(struct facts *facts, struct mr_err *err)
{
    MR_CLEANUP(mr_freep)
    char *path =
        mr_printf("%s/%s-%06d.parquet", facts->ground->dir, facts->shape.name, facts->files++);
    MR_CLEANUP(mr_freep) char *all = mr_printf("SELECT * FROM %s_rows", facts->shape.name);
    const char *select = facts->shape.select != NULL ? facts->shape.select : all;
    struct mr_file_stats stats = { 0 };
    if (bind(facts, "rows", facts->rows, err) != 0 ||
        (facts->beside != NULL && bind(facts, "beside", facts->beside, err) != 0))
        return err->code;
    int code =
        mr_sql_write_parquet(facts->ground->sql, select, facts->shape.out, path, &stats, err);
    free(stats.columns);
    begin_anew(&facts->rows, facts->shape.in);
    if (facts->beside != NULL)
        begin_anew(&facts->beside, facts->shape.beside);
    facts->count = 0;
    return code;
}

int
facts_row(struct facts *facts, struct mr_err *err)
{
    facts->count++;
    if (facts->rows->rows < facts->count)
        mr_columns_end_row(facts->rows);
    if (facts->beside != NULL)
        mr_columns_end_row(facts->beside);
    MR_ASSERT(facts->rows->rows == facts->count);
    bool is_full = facts->count == ROWS_KEPT_MAX || mr_columns_bytes(facts->rows) > BYTES_KEPT_MAX;
    return is_full ? keep(facts, err) : 0;
}

int
facts_close(struct facts *facts, struct mr_err *err)
{
    MR_CLEANUP(facts_drop) struct facts *taken = facts;
    /* A view wants at least one file. */
    if ((taken->count > 0 || taken->files == 0) && keep(taken, err) != 0)
        return err->code;
    MR_CLEANUP(mr_freep)
    char *view = mr_printf("CREATE VIEW %s AS SELECT * FROM read_parquet('%s/%s-*.parquet')",
                           taken->shape.name, taken->ground->dir, taken->shape.name);
    return mr_sql_execute(taken->ground->sql, view, err);
}

int
facts_derive(const struct ground *ground, const char *name, const char *select, struct mr_err *err)
{
    MR_CLEANUP(mr_freep)
    char *copy =
        mr_printf("COPY (%s) TO '%s/%s.parquet' (FORMAT parquet)", select, ground->dir, name);
    MR_CLEANUP(mr_freep)
    char *view = mr_printf("CREATE VIEW %s AS SELECT * FROM read_parquet('%s/%s.parquet')", name,
                           ground->dir, name);
    if (mr_sql_execute(ground->sql, copy, err) != 0 || mr_sql_execute(ground->sql, view, err) != 0)
        return mr_fail_in(err, "%s", name);
    return 0;
}
