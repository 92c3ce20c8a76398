/*
 * The tables, as facts: the chain of offsets in their commits, and the rows of their live files.
 */
#include "verify.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "letter/letter.h"
#include "table/table.h"

enum { COMMIT_BYTES_MAX = 64 << 20, SELECT_BYTES_MAX = 256 << 20 };

static struct mr_field commit_fields[] = {
    { "version", MR_TYPE_LONG, false }, { "topic", MR_TYPE_STRING, false },
    { "p", MR_TYPE_INTEGER, false },    { "start", MR_TYPE_LONG, false },
    { "next", MR_TYPE_LONG, false },    { "good", MR_TYPE_LONG, false },
    { "repeated", MR_TYPE_LONG, false }
};
static const struct mr_schema commit_schema = { commit_fields, MR_COUNT(commit_fields) };

void
hash_expression(const struct mr_schema *schema, int column, struct mr_buf *ret)
{
    mr_buf_text(ret, "(hash(");
    for (size_t i = 0; i < schema->count; i++) {
        const struct mr_field *field = &schema->fields[i];
        if (column >= 0 && (size_t)column != i)
            continue;
        mr_buf_text(ret, column < 0 && i > 0 ? ", r." : "r.");
        mr_sql_identifier(ret, field->name);
        mr_buf_printf(ret, "::%s%s", mr_type_duckdb(field->type), field->is_list ? "[]" : "");
    }
    mr_buf_text(ret, ") >> 1)::BIGINT");
}

/* ---- commits ---- */

static int
take_range(struct facts *facts, int64_t version, const char *place, const json_t *range,
           struct mr_err *err)
{
    static const char *const names[] = { "from", "next", "good", "repeated" };
    struct mr_columns *row = facts_rows(facts);
    const char *slash = strrchr(place, '/');
    if (slash == NULL)
        return mr_fail(err, MR_E(CORRUPT), MR_FATAL, "commit %" PRId64 " names partition %s",
                       version, place);
    mr_columns_int(row, 0, version);
    mr_columns_text(row, 1, mr_slice(place, (size_t)(slash - place)));
    mr_columns_int(row, 2, strtol(slash + 1, NULL, 10));
    for (size_t i = 0; i < MR_COUNT(names); i++)
        mr_columns_int(row, 3 + i, json_integer_value(json_object_get(range, names[i])));
    return facts_row(facts, err);
}

static int
take_commit(struct facts *facts, int64_t version, struct mr_slice text, struct mr_err *err)
{
    const char *at = text.data, *end = at + text.size;
    int code = 0;
    while (at < end && code == 0) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        struct mr_table_action action = { 0 };
        code = stop > at ? mr_table_parse(mr_slice(at, (size_t)(stop - at)), &action, err) : 0;
        const char *place;
        json_t *range;
        if (code == 0 && action.type == MR_ACTION_COMMIT)
            json_object_foreach(
                json_object_get(json_object_get(action.json, "millrace"), "partitions"), place,
                range) if (code == 0) code = take_range(facts, version, place, range, err);
        mr_table_action_fini(&action);
        at = stop + 1;
    }
    return code;
}

static int
take_log(struct verify *v, struct facts *facts, const char *table, int64_t last, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    mr_buf_init(&body, COMMIT_BYTES_MAX);
    for (int64_t version = 0; version <= last; version++) {
        MR_CLEANUP(mr_freep)
        char *key = mr_printf("tables/%s/_delta_log/%020" PRId64 ".json", table, version);
        struct mr_err why = { 0 };
        mr_buf_reset(&body);
        int code = mr_store_get(v->store, key, &body, NULL, &why);
        if (code == MR_E(NOT_FOUND)) /* cleaned up behind a checkpoint */
            continue;
        if (code != 0)
            return mr_fail(err, code, why.remedy, "%s", why.text);
        if (take_commit(facts, version, mr_buf_slice(&body), err) != 0)
            return err->code;
    }
    return 0;
}

/* ---- rows ---- */

struct kept {
    const char *view;
    char table[MR_TABLE_MAX + 1];
    const struct mr_schema *schema;
    int key;
    const char *topic; /* only rows of this one; NULL: all */
};

/* Copies the live files here and makes view name of their rows. */
static int
take_rows(struct verify *v, struct mr_table *table, const struct kept *kept, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf view;
    size_t count = 0;
    const struct mr_table_file *files = mr_table_files(table, &count);
    mr_buf_init(&view, SELECT_BYTES_MAX);
    mr_buf_printf(&view, "CREATE VIEW %s AS SELECT ", kept->view);
    hash_expression(kept->schema, kept->key, &view);
    mr_buf_text(&view, " AS k, ");
    hash_expression(kept->schema, -1, &view);
    mr_buf_text(&view, " AS h FROM read_parquet([");
    for (size_t i = 0; i < count; i++) {
        MR_CLEANUP(mr_freep) char *path = NULL;
        if (mr_table_fetch(table, &files[i], v->ground.dir, &path, err) != 0)
            return err->code;
        mr_buf_text(&view, i > 0 ? "," : "");
        mr_sql_literal(&view, path);
    }
    mr_buf_text(&view, "], union_by_name = true) AS r");
    if (kept->topic != NULL) {
        mr_buf_text(&view, " WHERE r.topic = ");
        mr_sql_literal(&view, kept->topic);
    }
    if (view.failed)
        return mr_fail(err, MR_E(TOO_LARGE), MR_FATAL, "%s has too many files", kept->table);
    return mr_sql_execute(v->ground.sql, view.data, err);
}

static int
no_rows(struct verify *v, const char *name, struct mr_err *err)
{
    MR_CLEANUP(mr_freep)
    char *view =
        mr_printf("CREATE VIEW %s AS SELECT 0::BIGINT AS k, 0::BIGINT AS h WHERE false", name);
    return mr_sql_execute(v->ground.sql, view, err);
}

static int
take_table(struct verify *v, struct facts *commits, const struct kept *kept, struct mr_err *err)
{
    MR_CLEANUP(mr_table_closep) struct mr_table *table = NULL;
    MR_CLEANUP(mr_freep) char *path = mr_printf("tables/%s", kept->table);
    const struct mr_table_options options = {
        .store = v->store, .sql = v->ground.sql, .path = path, .work_dir = v->ground.dir
    };
    int code = mr_table_open(&options, false, &table, err);
    if (code == MR_E(NOT_FOUND)) {
        *err = (struct mr_err){ 0 };
        return no_rows(v, kept->view, err);
    }
    size_t count = 0;
    if (code != 0 || take_log(v, commits, kept->table, mr_table_version(table), err) != 0)
        return err->code;
    (void)mr_table_files(table, &count);
    return count == 0 ? no_rows(v, kept->view, err) : take_rows(v, table, kept, err);
}

int
find_tables(struct verify *v, struct mr_err *err)
{
    MR_CLEANUP(facts_drop) struct facts *commits = NULL;
    const struct facts_shape shape = { "commits", &commit_schema, NULL, &commit_schema,
                                       "SELECT * FROM commits_rows" };
    struct kept clean = { "kept", "", &v->kind->output, v->kind->key_out, NULL };
    struct kept dead = { "kept_dead", "", mr_letter_schema(), 0, v->topics[MR_TOPIC_RAW] };
    mr_table_name(v->tenant, v->kind->name, clean.table);
    mr_table_name(v->tenant, "dead", dead.table);
    if (facts_open(&v->ground, &shape, &commits, err) != 0 ||
        take_table(v, commits, &clean, err) != 0 || take_table(v, commits, &dead, err) != 0)
        return err->code;
    return facts_close(MR_TAKE(commits), err);
}
