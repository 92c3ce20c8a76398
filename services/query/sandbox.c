/*
 * The SQL process: people's SQL runs here and nowhere else. It has no network, no credentials, a
 * limit on memory, and sees data files of the local cache and tails in shared memory only. Each
 * table of a job becomes one view: the snapshot's files, and the rows of the tail that the snapshot
 * does not have; where a key is unique, the first row of a key stays (KEEP_FIRST).
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "query.h"
#include "sql/sql.h"

enum { TAILS_MAX = 65536, VIEW_BYTES_MAX = 64 << 20 };

/* Spark's names for what the engine calls otherwise, so that saved queries run in both. */
static const char *const macros[] = {
    "CREATE MACRO get(l, i) AS l[i + 1]",
    "CREATE MACRO element_at(l, i) AS l[i]",
    "CREATE MACRO try_element_at(l, i) AS l[i]",
    "CREATE MACRO size(l) AS len(l)",
    "CREATE MACRO nvl(a, b) AS coalesce(a, b)",
    "CREATE MACRO percentile_approx(c, p) AS quantile_disc(c, p)",
    "CREATE MACRO regexp_like(a, b) AS regexp_matches(a, b)",
};

/* What one job maps and makes; freed at its end. */
struct room {
    struct mr_sql *sql;
    struct mr_columns **tails;
    struct mapping {
        void *data;
        size_t size;
    } * mappings;
    size_t tails_count;
    struct mr_columns **wide; /* each tail with the table's columns, borrowed, and its order */
    struct mr_columns **made; /* columns that no tail has */
    size_t made_count;
    const char **relations;
    size_t relations_count;
};
#define ORDER_COLUMN "row number of the tail"

/* ---- tails ---- */

/* A column of that many rows: their numbers, or NULL. */
static struct mr_columns *
make_column(struct mr_field field, size_t rows, bool is_order, size_t n)
{
    const struct mr_schema schema = { &field, 1 };
    struct mr_columns *made = mr_columns_new(&schema);
    for (size_t i = 0; i < rows; i++) {
        if (is_order)
            mr_columns_int(made, 0, (int64_t)n * SEGMENT_ROWS_MAX + (int64_t)i);
        mr_columns_end_row(made);
    }
    return made;
}

/* Tail n as the table is now: columns that are younger than its rows are NULL, and behind them
 * stands a column of row numbers, for "first of a key" needs an order. */
static void
widen(struct room *room, size_t n, const struct mr_schema *wide_schema)
{
    const struct mr_columns *tail = room->tails[n];
    struct mr_columns *wide = mr_alloc(sizeof(*wide));
    wide->count = wide_schema->count;
    wide->rows = tail->rows;
    wide->columns = mr_alloc(wide->count * sizeof(*wide->columns));
    for (size_t c = 0; c < wide->count; c++) {
        const struct mr_field *field = &wide_schema->fields[c];
        size_t found = 0;
        while (found < tail->count && strcmp(tail->columns[found].field.name, field->name) != 0)
            found++;
        if (found < tail->count) {
            wide->columns[c] = tail->columns[found];
            continue;
        }
        struct mr_columns *made = make_column(*field, tail->rows, c + 1 == wide->count, n);
        room->made = mr_realloc(room->made, (room->made_count + 1) * sizeof(struct mr_columns *));
        room->made[room->made_count++] = made;
        wide->columns[c] = made->columns[0];
    }
    room->wide[n] = wide;
}

static int
map_tail(struct room *room, const char *path, const struct mr_schema *wide, struct mr_err *err)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        if (fd >= 0)
            (void)close(fd);
        return mr_fail(err, MR_E(IO), MR_RETRY, "the tail %s cannot be read", path);
    }
    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    (void)close(fd);
    if (data == MAP_FAILED)
        return mr_fail(err, MR_E(IO), MR_RETRY, "the tail %s cannot be mapped", path);
    size_t n = room->tails_count;
    room->mappings[n] = (struct mapping){ data, (size_t)info.st_size };
    if (mr_columns_map(mr_slice(data, (size_t)info.st_size), &room->tails[n], err) != 0) {
        (void)munmap(data, (size_t)info.st_size);
        return err->code;
    }
    room->tails_count++;
    widen(room, n, wide);
    return 0;
}

static void
room_clear(struct room *room)
{
    mr_sql_close(room->sql);
    for (size_t i = 0; i < room->tails_count; i++) {
        free(room->wide[i]->columns);
        free(room->wide[i]);
        mr_columns_free(room->tails[i]);
        (void)munmap(room->mappings[i].data, room->mappings[i].size);
    }
    free(room->tails);
    for (size_t i = 0; i < room->made_count; i++)
        mr_columns_free(room->made[i]);
    free(room->made);
    free(room->wide);
    free(room->mappings);
    free(room->relations);
    *room = (struct room){ 0 };
}

/* ---- views ---- */

static struct mr_schema
schema_of(json_t *columns, struct mr_field *fields)
{
    size_t i;
    json_t *column;
    json_array_foreach(columns, i, column)
    {
        (void)snprintf(fields[i].name, sizeof(fields[i].name), "%s",
                       json_string_value(json_array_get(column, 0)));
        fields[i].type = (enum mr_type)json_integer_value(json_array_get(column, 1));
        fields[i].is_list = json_is_true(json_array_get(column, 2));
    }
    return (struct mr_schema){ fields, json_array_size(columns) };
}

static void
put_file_list(struct mr_buf *text, json_t *files)
{
    size_t i;
    json_t *file;
    mr_buf_text(text, "read_parquet([");
    json_array_foreach(files, i, file)
    {
        mr_buf_text(text, i > 0 ? ", " : "");
        mr_sql_literal(text, json_string_value(file));
    }
    mr_buf_text(text, "], union_by_name = true)");
}

/* The files hold times with a zone (UTC); people get them without, which also spares the calendar
 * library's cost on each row. */
static void
put_snapshot(struct mr_buf *text, json_t *table, const struct mr_schema *schema)
{
    json_t *columns = json_object_get(table, "columns");
    mr_buf_text(text, "SELECT ");
    for (size_t i = 0; i < schema->count; i++) {
        const struct mr_field *field = &schema->fields[i];
        bool is_new = json_is_true(json_array_get(json_array_get(columns, i), 3));
        mr_buf_text(text, i > 0 ? ", " : "");
        if (is_new) {
            mr_buf_printf(text, "CAST(NULL AS %s%s)", mr_type_duckdb(field->type),
                          field->is_list ? "[]" : "");
        } else if (field->type == MR_TYPE_TIMESTAMP && !field->is_list) {
            mr_buf_text(text, "make_timestamp(epoch_us(");
            mr_sql_identifier(text, field->name);
            mr_buf_text(text, "))");
        } else {
            mr_sql_identifier(text, field->name);
        }
        mr_buf_text(text, " AS ");
        mr_sql_identifier(text, field->name);
    }
    mr_buf_text(text, " FROM ");
    put_file_list(text, json_object_get(table, "files"));
}

/* Rows of the tail; with a key the first of each key that no file has. (Not by QUALIFY row_number()
 * = 1: DuckDB 1.5.6 rewrites that into an aggregate and then fails on a range of the key.) */
static void
put_tail(struct mr_buf *text, json_t *table, const struct mr_schema *schema, const char *relation)
{
    json_int_t key = json_integer_value(json_object_get(table, "key"));
    json_t *files = json_object_get(table, "files");
    mr_buf_text(text, "SELECT ");
    for (size_t i = 0; i < schema->count; i++) {
        mr_buf_text(text, i > 0 ? ", " : "");
        mr_sql_identifier(text, schema->fields[i].name);
    }
    mr_buf_text(text, " FROM ");
    mr_sql_identifier(text, relation);
    if (key < 0)
        return;
    const char *name = schema->fields[key].name;
    mr_buf_text(text,
                " AS t WHERE t.\"" ORDER_COLUMN "\" IN (SELECT min(\"" ORDER_COLUMN "\") FROM ");
    mr_sql_identifier(text, relation);
    mr_buf_text(text, " GROUP BY ");
    mr_sql_identifier(text, name);
    mr_buf_text(text, ")");
    if (json_array_size(files) == 0)
        return;
    mr_buf_text(text, " AND NOT EXISTS (SELECT 1 FROM ");
    put_file_list(text, files);
    mr_buf_text(text, " AS s WHERE s.");
    mr_sql_identifier(text, name);
    mr_buf_text(text, " = t.");
    mr_sql_identifier(text, name);
    mr_buf_text(text, ")");
}

/* The rows of the tail as a relation; its batches stay bound until the job ends. */
static int
bind_tail(struct room *room, json_t *table, const struct mr_schema *schema, const char *relation,
          struct mr_err *err)
{
    struct mr_field fields[MR_FIELDS_MAX + 1];
    struct mr_schema wide = { fields, schema->count + 1 };
    size_t first = room->tails_count, i;
    json_t *path;

    memcpy(fields, schema->fields, schema->count * sizeof(*fields));
    fields[schema->count] = (struct mr_field){ ORDER_COLUMN, MR_TYPE_LONG, false };
    json_array_foreach(json_object_get(table, "tail"), i, path)
    {
        if (map_tail(room, json_string_value(path), &wide, err) != 0)
            return err->code;
    }
    if (mr_sql_relation(room->sql, relation, &wide, err) != 0)
        return err->code;
    return mr_sql_bind(room->sql, relation, (const struct mr_columns *const *)room->wide + first,
                       room->tails_count - first, err);
}

static int
create_view(struct room *room, const char *name, const struct mr_buf *body, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, VIEW_BYTES_MAX);
    mr_buf_text(&text, "CREATE VIEW ");
    mr_sql_identifier(&text, name);
    mr_buf_text(&text, " AS ");
    mr_buf_put(&text, body->data, body->size);
    if (text.failed)
        return mr_fail(err, MR_E(TOO_LARGE), MR_REJECT, "view %s has too many files", name);
    room->relations[room->relations_count++] = name;
    return mr_sql_execute(room->sql, text.data, err);
}

/* Of the dead letters the rows are letters and marks of replays; what is asked are the letters,
 * each with what its mark says. */
static const char marked_from[] = "WITH every AS NOT MATERIALIZED (";
static const char marked_to[] =
    ") SELECT l.* REPLACE (m.replayed_partition AS replayed_partition, m.replayed_offset AS "
    "replayed_offset, m.replayed_at AS replayed_at) FROM every AS l LEFT JOIN every AS m ON "
    "m.replayed_at IS NOT NULL AND m.topic = l.topic AND m.partition = l.partition AND "
    "m.\"offset\" = l.\"offset\" WHERE l.replayed_at IS NULL";

static int
open_table(struct room *room, json_t *table, struct mr_err *err)
{
    struct mr_field fields[MR_FIELDS_MAX];
    struct mr_schema schema = schema_of(json_object_get(table, "columns"), fields);
    const char *name = json_string_value(json_object_get(table, "name"));
    const char *alias = json_string_value(json_object_get(table, "alias"));
    bool has_files = json_array_size(json_object_get(table, "files")) > 0;
    bool has_tail = json_array_size(json_object_get(table, "tail")) > 0 || !has_files;
    bool is_dead = json_is_true(json_object_get(table, "is_dead"));
    MR_CLEANUP(mr_freep) char *relation = mr_printf("tail of %s", name);
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    mr_buf_init(&body, VIEW_BYTES_MAX);

    if (has_tail && bind_tail(room, table, &schema, relation, err) != 0)
        return err->code;
    mr_buf_text(&body, is_dead ? marked_from : "");
    if (has_files)
        put_snapshot(&body, table, &schema);
    if (has_files && has_tail)
        mr_buf_text(&body, " UNION ALL ");
    if (has_tail)
        put_tail(&body, table, &schema, relation);
    mr_buf_text(&body, is_dead ? marked_to : "");
    if (create_view(room, name, &body, err) != 0)
        return err->code;
    return alias[0] != '\0' ? create_view(room, alias, &body, err) : 0;
}

/* ---- a job ---- */

/* A fresh engine for each job, opened while nobody waits: that takes longer than most questions. */
static int
open_engine(struct room *room, const struct mr_sql_options *options, struct mr_err *err)
{
    if (mr_sql_open(options, &room->sql, err) != 0)
        return err->code;
    for (size_t i = 0; i < MR_COUNT(macros); i++)
        if (mr_sql_execute(room->sql, macros[i], err) != 0)
            return err->code;
    return 0;
}

static int
room_open(struct room *room, json_t *job, struct mr_err *err)
{
    json_t *tables = json_object_get(job, "tables");
    size_t tails = 0, i;
    json_t *table;

    json_array_foreach(tables, i, table) tails += json_array_size(json_object_get(table, "tail"));
    if (tails > TAILS_MAX)
        return mr_fail(err, MR_E(TOO_LARGE), MR_RETRY, "the tail has %zu segments", tails);
    room->tails = mr_alloc((tails + 1) * sizeof(*room->tails));
    room->wide = mr_alloc((tails + 1) * sizeof(*room->wide));
    room->mappings = mr_alloc((tails + 1) * sizeof(*room->mappings));
    room->relations = mr_alloc((2 * json_array_size(tables) + 1) * sizeof(*room->relations));
    json_array_foreach(tables, i, table) if (open_table(room, table, err) != 0) return err->code;
    return 0;
}

/* Rows [from, to) in a batch of their own. */
static struct mr_columns *
cut(const struct mr_columns *rows, const struct mr_schema *schema, size_t from, size_t to)
{
    struct mr_columns *made = mr_columns_new(schema);
    for (size_t i = from; i < to; i++)
        mr_columns_copy_row(made, rows, i);
    return made;
}

/* What is too much for one frame goes in halves. */
static int
send_rows(enum frame_type type, const struct mr_columns *rows, const struct mr_schema *schema,
          struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf flat;
    mr_buf_init(&flat, CHUNK_BYTES_MAX);
    mr_columns_write(rows, &flat);
    if (!flat.failed)
        return frame_send(SANDBOX_FD, type, (uint32_t)rows->rows, mr_buf_slice(&flat), err);
    if (rows->rows < 2)
        return mr_fail(err, MR_E(TOO_LARGE), MR_REJECT,
                       "one row is more than %d bytes: select fewer columns or shorter text",
                       CHUNK_BYTES_MAX);
    size_t middle = rows->rows / 2;
    MR_CLEANUP(mr_columns_freep) struct mr_columns *first = cut(rows, schema, 0, middle);
    MR_CLEANUP(mr_columns_freep) struct mr_columns *second = cut(rows, schema, middle, rows->rows);
    if (send_rows(FRAME_ROWS, first, schema, err) != 0)
        return err->code;
    return send_rows(type, second, schema, err);
}

static int
stream(struct mr_statement *statement, uint64_t rows_max, struct mr_err *err)
{
    const struct mr_schema *schema = mr_statement_schema(statement);
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = mr_columns_new(schema);
    MR_CLEANUP(mr_result_closep) struct mr_result *result = NULL;
    uint64_t left = rows_max;

    if (mr_statement_run(statement, &result, err) != 0)
        return err->code;
    for (;;) {
        int count = mr_result_next(result, rows, err);
        if (count < 0)
            return count;
        if (rows->rows > left) {
            MR_CLEANUP(mr_columns_freep) struct mr_columns *last = cut(rows, schema, 0, left);
            return send_rows(FRAME_CUT, last, schema, err);
        }
        if (count == 0)
            return send_rows(FRAME_LAST, rows, schema, err);
        if (mr_columns_bytes(rows) < CHUNK_BYTES_MIN)
            continue;
        left -= rows->rows;
        if (send_rows(FRAME_ROWS, rows, schema, err) != 0)
            return err->code;
        mr_columns_free(rows); /* not reset: kept memory would count as a full chunk */
        rows = mr_columns_new(schema);
    }
}

/* Whoever asked for a table that is not there is told of those that are. */
static int
name_known(json_t *job, struct mr_err *err)
{
    char text[MR_ERR_TEXT_MAX];
    if (strncmp(err->text, "there is no table ", strlen("there is no table ")) == 0) {
        (void)snprintf(text, sizeof(text), "%s", err->text);
        (void)snprintf(err->text, sizeof(err->text), "%.200s; there is %s", text,
                       json_string_value(json_object_get(job, "known")));
    }
    return err->code;
}

static int
answer(struct room *room, json_t *job, struct mr_err *err)
{
    MR_CLEANUP(mr_statement_closep) struct mr_statement *statement = NULL;
    const char *sql = json_string_value(json_object_get(job, "sql"));

    if (room_open(room, job, err) != 0)
        return err->code;
    room->relations[room->relations_count] = NULL;
    if (mr_sql_check_select(room->sql, sql, room->relations, err) != 0)
        return name_known(job, err);
    if (mr_sql_prepare(room->sql, sql, &statement, err) != 0)
        return err->code;
    return stream(statement, (uint64_t)json_integer_value(json_object_get(job, "rows_max")), err);
}

static int
rpc_status(const struct mr_err *err)
{
    switch (err->code) {
    case MR_E(INVALID):
    case MR_E(NOT_FOUND):
    case MR_E(UNSUPPORTED):
        return MR_RPC_INVALID_ARGUMENT;
    case MR_E(TOO_LARGE):
    case MR_E(FULL):
        return MR_RPC_RESOURCE_EXHAUSTED;
    default:
        return MR_RPC_INTERNAL;
    }
}

int
sandbox_main(int argc, char **argv)
{
    MR_ASSERT(argc == SANDBOX_ARGS);
    int64_t memory = strtoll(argv[2], NULL, 10);
    const char *const dirs[] = { argv[4], argv[5], NULL };
    struct mr_sql_options options = { .threads = (int)strtol(argv[3], NULL, 10),
                                      .memory_max = memory,
                                      .temp_dir = argv[5],
                                      .dirs = dirs };
    struct mr_buf body;
    struct frame frame;
    mr_buf_init(&body, CHUNK_BYTES_MAX);
    if (sandbox_confine(memory) != 0)
        return 1;
    for (;;) {
        struct mr_err err = { 0 };
        struct room room = { 0 };
        if (open_engine(&room, &options, &err) != 0)
            return 1;
        if (frame_receive(SANDBOX_FD, &frame, &body, &err) != 0)
            return 0;
        json_t *job = json_loadb(body.data, body.size, 0, NULL);
        MR_ASSERT(job != NULL);
        if (answer(&room, job, &err) != 0 &&
            frame_send(SANDBOX_FD, FRAME_FAILED, (uint32_t)rpc_status(&err),
                       mr_slice(err.text, strlen(err.text)), &err) != 0)
            return 1;
        room_clear(&room);
        json_decref(job);
    }
}
