/*
 * The tables, as facts: the chain of offsets in their commits, and the rows of their live files.
 */
#include "verify.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "letter/letter.h"
#include "table/table.h"

enum { COMMIT_BYTES_MAX = 64 << 20, SELECT_BYTES_MAX = 256 << 20 };

static struct mr_field commit_fields[] = {
    { "version", MR_TYPE_LONG, false }, { "topic", MR_TYPE_STRING, false },
    { "p", MR_TYPE_INTEGER, false },    { "start", MR_TYPE_LONG, false },
    { "next", MR_TYPE_LONG, false },    { "good", MR_TYPE_LONG, false },
    { "repeated", MR_TYPE_LONG, false }
};
static struct mr_field log_fields[] = { { "topic", MR_TYPE_STRING, false },
                                        { "first", MR_TYPE_LONG, false } };
static struct mr_field add_fields[] = { { "path", MR_TYPE_STRING, false },
                                        { "version", MR_TYPE_LONG, false } };
static struct mr_field file_fields[] = { { "path", MR_TYPE_STRING, false },
                                         { "local", MR_TYPE_STRING, false } };
static const struct mr_schema commit_schema = { commit_fields, MR_COUNT(commit_fields) },
                              log_schema = { log_fields, MR_COUNT(log_fields) },
                              add_schema = { add_fields, MR_COUNT(add_fields) },
                              file_schema = { file_fields, MR_COUNT(file_fields) };

void
hash_expression(const struct mr_schema *schema, int column, struct mr_buf *ret)
{
    if (column >= 0) {
        mr_buf_text(ret, "if(r.");
        mr_sql_identifier(ret, schema->fields[column].name);
        mr_buf_text(ret, " IS NULL, NULL, ");
    }
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
    if (column >= 0)
        mr_buf_text(ret, ")");
}

/* ---- commits ---- */

/* What is found of one table. */
struct kept {
    const char *view, *adds, *files; /* names of facts */
    char table[MR_TABLE_MAX + 1];
    const struct mr_schema *schema;
    const char *topic;   /* whose records it keeps: its suffix */
    const char *columns; /* of the view, beside h; from rows r and their file f */
    const char *where;   /* "": all rows */
};

struct finding {
    struct verify *verify;
    struct facts *commits, *logs;
    struct facts *adds, *files; /* of one table */
    bool is_ours;               /* the commit that is being read */
};

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

/* Ranges of the commit and the files that it adds, when it is one of ours. */
static int
take_action(struct finding *f, int64_t version, const struct mr_table_action *action,
            struct mr_err *err)
{
    const char *place;
    json_t *range, *ours = json_object_get(action->json, "millrace");
    if (action->type == MR_ACTION_COMMIT) {
        f->is_ours = ours != NULL;
        json_object_foreach(json_object_get(ours, "partitions"), place,
                            range) if (take_range(f->commits, version, place, range, err) !=
                                       0) return err->code;
    }
    const char *path = json_string_value(json_object_get(action->json, "path"));
    if (action->type != MR_ACTION_ADD || !f->is_ours || path == NULL)
        return 0;
    mr_columns_text(facts_rows(f->adds), 0, mr_slice_text(path));
    mr_columns_int(facts_rows(f->adds), 1, version);
    return facts_row(f->adds, err);
}

static int
take_commit(struct finding *f, int64_t version, struct mr_slice text, struct mr_err *err)
{
    const char *at = text.data, *end = at + text.size;
    int code = 0;
    f->is_ours = false;
    while (at < end && code == 0) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        struct mr_table_action action = { 0 };
        code = stop > at ? mr_table_parse(mr_slice(at, (size_t)(stop - at)), &action, err) : 0;
        if (code == 0)
            code = take_action(f, version, &action, err);
        mr_table_action_fini(&action);
        at = stop + 1;
    }
    return code;
}

static int
take_log(struct finding *f, const struct kept *kept, int64_t last, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    int64_t first = -1;
    mr_buf_init(&body, COMMIT_BYTES_MAX);
    for (int64_t version = 0; version <= last; version++) {
        MR_CLEANUP(mr_freep)
        char *key = mr_printf("tables/%s/_delta_log/%020" PRId64 ".json", kept->table, version);
        struct mr_err why = { 0 };
        mr_buf_reset(&body);
        int code = mr_store_get(f->verify->store, key, &body, NULL, &why);
        if (code == MR_E(NOT_FOUND)) { /* cleaned up behind a checkpoint */
            first = -1;
            continue;
        }
        if (code != 0)
            return mr_fail(err, code, why.remedy, "%s", why.text);
        if (take_commit(f, version, mr_buf_slice(&body), err) != 0)
            return err->code;
        first = first < 0 ? version : first;
    }
    mr_columns_text(facts_rows(f->logs), 0, mr_slice_text(kept->topic));
    mr_columns_int(facts_rows(f->logs), 1, first);
    return facts_row(f->logs, err);
}

/* ---- rows ---- */

/* A file that is older than a column has NULL in it: an empty relation names them all. */
static void
put_columns(const struct mr_schema *schema, struct mr_buf *ret)
{
    for (size_t i = 0; i < schema->count; i++) {
        const struct mr_field *field = &schema->fields[i];
        mr_buf_printf(ret, "%sNULL::%s%s AS ", i > 0 ? ", " : "", mr_type_duckdb(field->type),
                      field->is_list ? "[]" : "");
        mr_sql_identifier(ret, field->name);
    }
}

/* Writes down the hashes of the rows of all files in dir. */
static int
derive_rows(struct finding *f, const struct kept *kept, const char *dir, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf select;
    mr_buf_init(&select, SELECT_BYTES_MAX);
    mr_buf_printf(&select, "SELECT %s, ", kept->columns);
    hash_expression(kept->schema, -1, &select);
    mr_buf_text(&select, " AS h FROM (SELECT ");
    put_columns(kept->schema, &select);
    mr_buf_printf(&select,
                  ", '' AS local WHERE false UNION ALL BY NAME SELECT * FROM read_parquet("
                  "'%s/*.parquet', union_by_name = true, filename = 'local')) AS r "
                  "JOIN %s USING (local) LEFT JOIN %s AS a USING (path)%s",
                  dir, kept->files, kept->adds, kept->where);
    if (select.failed)
        return mr_fail(err, MR_E(TOO_LARGE), MR_FATAL, "%s has too many columns", kept->table);
    return facts_derive(&f->verify->ground, kept->view, select.data, err);
}

/* Copies the live files here, one after the other, and takes their rows. */
static int
take_rows(struct finding *f, struct mr_table *table, const struct kept *kept, struct mr_err *err)
{
    size_t count = 0;
    const struct mr_table_file *files = mr_table_files(table, &count);
    MR_CLEANUP(mr_freep) char *dir = mr_printf("%s/%s", f->verify->ground.dir, kept->view);
    if (mkdir(dir, 0700) != 0)
        return mr_fail(err, MR_E(IO), MR_FATAL, "%s: %m", dir);
    for (size_t i = 0; i < count; i++) {
        MR_CLEANUP(mr_freep) char *local = NULL;
        if (mr_table_fetch(table, &files[i], dir, &local, err) != 0)
            return err->code;
        mr_columns_text(facts_rows(f->files), 0, mr_slice_text(files[i].path));
        mr_columns_text(facts_rows(f->files), 1, mr_slice_text(local));
        if (facts_row(f->files, err) != 0)
            return err->code;
    }
    if (facts_close(MR_TAKE(f->files), err) != 0 || facts_close(MR_TAKE(f->adds), err) != 0 ||
        derive_rows(f, kept, dir, err) != 0)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        MR_CLEANUP(mr_freep) char *local = mr_table_local(table, &files[i], dir);
        (void)unlink(local);
    }
    return 0;
}

static int
no_rows(struct finding *f, const struct kept *kept, struct mr_err *err)
{
    MR_CLEANUP(mr_freep)
    char *view = mr_printf("CREATE VIEW %s AS SELECT 0::BIGINT AS k, 0 AS op, 0::BIGINT AS oo, '' "
                           "AS stage, 0::BIGINT AS version, 0::BIGINT AS h WHERE false",
                           kept->view);
    return mr_sql_execute(f->verify->ground.sql, view, err);
}

static int
take_table(struct finding *f, const struct kept *kept, struct mr_err *err)
{
    struct verify *v = f->verify;
    MR_CLEANUP(mr_table_closep) struct mr_table *table = NULL;
    MR_CLEANUP(mr_freep) char *path = mr_printf("tables/%s", kept->table);
    const struct mr_table_options options = {
        .store = v->store, .sql = v->ground.sql, .path = path, .work_dir = v->ground.dir
    };
    struct mr_err why = { 0 };
    int code = mr_table_open(&options, false, &table, &why);
    if (code == MR_E(NOT_FOUND))
        return no_rows(f, kept, err);
    if (code != 0)
        return mr_fail(err, code, why.remedy, "%s", why.text);
    const struct facts_shape adds = { kept->adds, &add_schema, NULL, &add_schema, NULL };
    const struct facts_shape files = { kept->files, &file_schema, NULL, &file_schema, NULL };
    size_t count = 0;
    (void)mr_table_files(table, &count);
    facts_drop(&f->adds); /* of the table before, when it had no files */
    facts_drop(&f->files);
    if (facts_open(&v->ground, &adds, &f->adds, err) != 0 ||
        facts_open(&v->ground, &files, &f->files, err) != 0 ||
        take_log(f, kept, mr_table_version(table), err) != 0)
        return err->code;
    return count == 0 ? no_rows(f, kept, err) : take_rows(f, table, kept, err);
}

static void
finding_fini(struct finding *f)
{
    facts_drop(&f->commits);
    facts_drop(&f->logs);
    facts_drop(&f->adds);
    facts_drop(&f->files);
}

int
find_tables(struct verify *v, struct mr_err *err)
{
    const struct facts_shape commits = { "commits", &commit_schema, NULL, &commit_schema, NULL };
    const struct facts_shape logs = { "logs", &log_schema, NULL, &log_schema, NULL };
    MR_CLEANUP(finding_fini) struct finding f = { .verify = v };
    MR_CLEANUP(mr_buf_fini) struct mr_buf key, topic;
    struct kept clean = { .view = "all_kept",
                          .adds = "kept_adds",
                          .files = "kept_files",
                          .schema = &v->kind->output,
                          .topic = mr_topic_suffix(MR_TOPIC_CLEAN),
                          .where = "" };
    struct kept dead = { .view = "all_kept_dead",
                         .adds = "kept_dead_adds",
                         .files = "kept_dead_files",
                         .schema = mr_letter_schema(),
                         .topic = mr_topic_suffix(MR_TOPIC_DEAD),
                         .columns = "r.\"partition\" AS op, r.\"offset\" AS oo, r.stage" };
    mr_buf_init(&key, SELECT_BYTES_MAX);
    mr_buf_init(&topic, SELECT_BYTES_MAX);
    hash_expression(clean.schema, v->kind->key_out, &key);
    mr_buf_text(&key, " AS k, a.version");
    clean.columns = key.data;
    mr_buf_text(&topic, " WHERE r.topic = ");
    mr_sql_literal(&topic, v->topics[MR_TOPIC_RAW]);
    dead.where = topic.data;
    mr_table_name(v->tenant, v->kind->name, clean.table);
    mr_table_name(v->tenant, "dead", dead.table);
    if (facts_open(&v->ground, &commits, &f.commits, err) != 0 ||
        facts_open(&v->ground, &logs, &f.logs, err) != 0 || take_table(&f, &clean, err) != 0 ||
        take_table(&f, &dead, err) != 0 || facts_close(MR_TAKE(f.commits), err) != 0)
        return err->code;
    return facts_close(MR_TAKE(f.logs), err);
}
