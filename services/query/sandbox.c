/*
 * The SQL process: people's SQL runs here and nowhere else. It has no network, no credentials, a
 * limit on memory, and sees data files of the local cache and tails in shared memory only. Each
 * table of a job becomes one view: the snapshot's files, and the rows of the tail that the snapshot
 * does not have; where a key is unique, the first row of a key stays (KEEP_FIRST).
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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
    struct mr_columns **orders; /* for each tail the column of row numbers */
    struct mr_columns **wide;   /* each tail with that column behind its own */
    const char **relations;
    size_t relations_count;
};
#define ORDER_COLUMN "row number of the tail"

/* ---- confinement ---- */

static void
limit(int resource, int64_t value)
{
    struct rlimit limit = { (rlim_t)value, (rlim_t)value };
    (void)setrlimit((__rlimit_resource_t)resource, &limit);
}

/* No sockets and no programs from here on; everything else is bounded by limits. */
static int
forbid_network(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execve, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execveat, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    struct sock_fprog program = { (unsigned short)MR_COUNT(filter), filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int
confine(int64_t memory)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)close_range(SANDBOX_FD + 1, ~0U, 0);
    (void)clearenv();
    limit(RLIMIT_AS, 2 * memory + ((int64_t)1 << 30)); /* code, stacks and mapped tails beside */
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, (int64_t)4 << 30);
    return forbid_network();
}

/* ---- tails ---- */

/* Puts a column of row numbers behind those of tail n: "first of a key" needs an order. */
static void
number_rows(struct room *room, size_t n)
{
    struct mr_field field = { ORDER_COLUMN, MR_TYPE_LONG, false };
    const struct mr_schema schema = { &field, 1 };
    const struct mr_columns *tail = room->tails[n];
    struct mr_columns *order = mr_columns_new(&schema);
    struct mr_columns *wide = mr_alloc(sizeof(*wide));

    for (size_t i = 0; i < tail->rows; i++) {
        mr_columns_int(order, 0, (int64_t)n * SEGMENT_ROWS_MAX + (int64_t)i);
        mr_columns_end_row(order);
    }
    wide->count = tail->count + 1;
    wide->rows = tail->rows;
    wide->columns = mr_alloc(wide->count * sizeof(*wide->columns));
    memcpy(wide->columns, tail->columns, tail->count * sizeof(*wide->columns));
    wide->columns[tail->count] = order->columns[0];
    room->orders[n] = order;
    room->wide[n] = wide;
}

static int
map_tail(struct room *room, const char *path, struct mr_err *err)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0)
        return mr_fail(err, MR_E(IO), MR_RETRY, "the tail %s cannot be read", path);
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
    number_rows(room, n);
    return 0;
}

static void
room_clear(struct room *room)
{
    mr_sql_close(room->sql);
    for (size_t i = 0; i < room->tails_count; i++) {
        free(room->wide[i]->columns);
        free(room->wide[i]);
        mr_columns_free(room->orders[i]);
        mr_columns_free(room->tails[i]);
        (void)munmap(room->mappings[i].data, room->mappings[i].size);
    }
    free(room->tails);
    free(room->orders);
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

/* Rows of the tail; with a key the first of each key that no file has. */
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
    if (json_array_size(files) > 0) {
        mr_buf_text(text, " AS t WHERE NOT EXISTS (SELECT 1 FROM ");
        put_file_list(text, files);
        mr_buf_text(text, " AS s WHERE s.");
        mr_sql_identifier(text, name);
        mr_buf_text(text, " = t.");
        mr_sql_identifier(text, name);
        mr_buf_text(text, ")");
    }
    mr_buf_text(text, " QUALIFY row_number() OVER (PARTITION BY ");
    mr_sql_identifier(text, name);
    mr_buf_text(text, " ORDER BY \"" ORDER_COLUMN "\") = 1");
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
    json_array_foreach(json_object_get(table, "tail"), i,
                       path) if (map_tail(room, json_string_value(path), err) !=
                                 0) return err->code;
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

static int
open_table(struct room *room, json_t *table, struct mr_err *err)
{
    struct mr_field fields[MR_FIELDS_MAX];
    struct mr_schema schema = schema_of(json_object_get(table, "columns"), fields);
    const char *name = json_string_value(json_object_get(table, "name"));
    const char *alias = json_string_value(json_object_get(table, "alias"));
    bool has_files = json_array_size(json_object_get(table, "files")) > 0;
    bool has_tail = json_array_size(json_object_get(table, "tail")) > 0 || !has_files;
    MR_CLEANUP(mr_freep) char *relation = mr_printf("tail of %s", name);
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    mr_buf_init(&body, VIEW_BYTES_MAX);

    if (has_tail && bind_tail(room, table, &schema, relation, err) != 0)
        return err->code;
    if (has_files)
        put_snapshot(&body, table, &schema);
    if (has_files && has_tail)
        mr_buf_text(&body, " UNION ALL ");
    if (has_tail)
        put_tail(&body, table, &schema, relation);
    if (create_view(room, name, &body, err) != 0)
        return err->code;
    return alias[0] != '\0' ? create_view(room, alias, &body, err) : 0;
}

/* ---- a job ---- */

static int
room_open(struct room *room, json_t *job, const struct mr_sql_options *options, struct mr_err *err)
{
    json_t *tables = json_object_get(job, "tables");
    size_t tails = 0, i;
    json_t *table;

    json_array_foreach(tables, i, table) tails += json_array_size(json_object_get(table, "tail"));
    if (tails > TAILS_MAX)
        return mr_fail(err, MR_E(TOO_LARGE), MR_RETRY, "the tail has %zu segments", tails);
    room->tails = mr_alloc((tails + 1) * sizeof(*room->tails));
    room->orders = mr_alloc((tails + 1) * sizeof(*room->orders));
    room->wide = mr_alloc((tails + 1) * sizeof(*room->wide));
    room->mappings = mr_alloc((tails + 1) * sizeof(*room->mappings));
    room->relations = mr_alloc((2 * json_array_size(tables) + 1) * sizeof(*room->relations));
    if (mr_sql_open(options, &room->sql, err) != 0)
        return err->code;
    for (i = 0; i < MR_COUNT(macros); i++)
        if (mr_sql_execute(room->sql, macros[i], err) != 0)
            return err->code;
    json_array_foreach(tables, i, table) if (open_table(room, table, err) != 0) return err->code;
    return 0;
}

static int
send_rows(enum frame_type type, const struct mr_columns *rows, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf flat;
    mr_buf_init(&flat, CHUNK_BYTES_MAX);
    mr_columns_write(rows, &flat);
    if (flat.failed)
        return mr_fail(err, MR_E(TOO_LARGE), MR_REJECT,
                       "%zu rows are more than %d bytes: select fewer columns or shorter text",
                       rows->rows, CHUNK_BYTES_MAX);
    return frame_send(SANDBOX_FD, type, (uint32_t)rows->rows, mr_buf_slice(&flat), err);
}

/* The first count rows of from, in a batch of their own. */
static struct mr_columns *
head(const struct mr_columns *from, const struct mr_schema *schema, size_t count)
{
    struct mr_columns *to = mr_columns_new(schema);
    for (size_t i = 0; i < count; i++)
        mr_columns_copy_row(to, from, i);
    return to;
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
        if (rows->rows >= left) {
            MR_CLEANUP(mr_columns_freep) struct mr_columns *last = head(rows, schema, left);
            return send_rows(FRAME_LAST, last, err);
        }
        if (count == 0)
            return send_rows(FRAME_LAST, rows, err);
        if (mr_columns_bytes(rows) < CHUNK_BYTES_MIN)
            continue;
        left -= rows->rows;
        if (send_rows(FRAME_ROWS, rows, err) != 0)
            return err->code;
        mr_columns_reset(rows);
    }
}

static int
answer(struct room *room, json_t *job, const struct mr_sql_options *options, struct mr_err *err)
{
    MR_CLEANUP(mr_statement_closep) struct mr_statement *statement = NULL;
    const char *sql = json_string_value(json_object_get(job, "sql"));

    if (room_open(room, job, options, err) != 0)
        return err->code;
    room->relations[room->relations_count] = NULL;
    if (mr_sql_check_select(room->sql, sql, room->relations, err) != 0 ||
        mr_sql_prepare(room->sql, sql, &statement, err) != 0)
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
    char *cache = mr_printf("%s/cache", argv[4]);
    char *spill = mr_printf("%s/spill", argv[4]);
    const char *const dirs[] = { cache, spill, NULL };
    struct mr_sql_options options = { .threads = (int)strtol(argv[3], NULL, 10),
                                      .memory_max = memory,
                                      .temp_dir = spill,
                                      .dirs = dirs };
    struct mr_buf body;
    struct frame frame;
    mr_buf_init(&body, CHUNK_BYTES_MAX);
    if (confine(memory) != 0)
        return 1;
    for (;;) {
        struct mr_err err = { 0 };
        struct room room = { 0 };
        if (frame_receive(SANDBOX_FD, &frame, &body, &err) != 0)
            return 0;
        json_t *job = json_loadb(body.data, body.size, 0, NULL);
        MR_ASSERT(job != NULL);
        if (answer(&room, job, &options, &err) != 0 &&
            frame_send(SANDBOX_FD, FRAME_FAILED, (uint32_t)rpc_status(&err),
                       mr_slice(err.text, strlen(err.text)), &err) != 0)
            return 1;
        room_clear(&room);
        json_decref(job);
    }
}
