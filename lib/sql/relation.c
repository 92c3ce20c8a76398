/*
 * A relation is a table function over borrowed column batches and a view of the relation's name on
 * it. The function fills the engine's vectors straight from the batches; text is not copied but
 * pointed at, by writing the engine's own string structure, whose layout is checked at open.
 *
 * Rejected: a temporary table (4 to 8 times slower, and memory stays), Arrow (cannot be prepared).
 */
#include "sql/private.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    INLINED_MAX = 12,
    PREFIX = 4,
    CHUNK_SHARE = 16, /* of the engine's memory, for the text of one chunk */
};

struct relation {
    struct relation *next;
    char *name;
    struct mr_schema schema;
    const struct mr_columns *const *batches; /* a copy of the caller's list */
    size_t count;
    size_t text_max; /* in a chunk of more than one row */
    bool zero_copy;
};

/* One scan: where it stands, and which columns the query wants. */
struct scan {
    size_t batch, row;
    idx_t columns_count;
    idx_t columns[];
};

/* What is copied into a vector: rows [from, from + count) of column to vector rows from at. */
struct span {
    const struct mr_column *column;
    size_t from, count;
    idx_t at;
    bool zero_copy;
};

static void fill(duckdb_vector vector, struct span span);

static duckdb_string_t
point_at(struct mr_slice text)
{
    duckdb_string_t string = { 0 };
    MR_ASSERT(text.size <= UINT32_MAX);
    string.value.inlined.length = (uint32_t)text.size;
    if (text.size <= INLINED_MAX) {
        memcpy(string.value.inlined.inlined, text.data, text.size);
    } else {
        memcpy(string.value.pointer.prefix, text.data, PREFIX);
        string.value.pointer.ptr = (char *)(uintptr_t)text.data;
    }
    return string;
}

bool
mr_relation_layout_known(void)
{
    static const char *const probes[] = { "", "abc", "twelve bytes", "thirteen byte",
                                          "a longer ä" };
    duckdb_logical_type type = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);
    duckdb_vector vector = duckdb_create_vector(type, MR_COUNT(probes));
    const duckdb_string_t *theirs = duckdb_vector_get_data(vector);
    bool known = sizeof(*theirs) == 16;

    for (size_t i = 0; known && i < MR_COUNT(probes); i++) {
        struct mr_slice text = mr_slice_text(probes[i]);
        duckdb_vector_assign_string_element_len(vector, i, text.data, text.size);
        duckdb_string_t ours = point_at(text);
        if (text.size <= INLINED_MAX)
            known = memcmp(&ours, &theirs[i], sizeof(ours)) == 0;
        else
            known = memcmp(&ours, &theirs[i], 8) == 0 &&
                    memcmp(theirs[i].value.pointer.ptr, text.data, text.size) == 0;
    }
    duckdb_destroy_vector(&vector);
    duckdb_destroy_logical_type(&type);
    return known;
}

static void
fill_validity(duckdb_vector vector, struct span span)
{
    const uint8_t *valid = span.column->valid + span.from;
    if (span.count == 0 || memchr(valid, 0, span.count) == NULL)
        return;
    duckdb_vector_ensure_validity_writable(vector);
    uint64_t *validity = duckdb_vector_get_validity(vector);
    for (size_t i = 0; i < span.count; i++)
        if (valid[i] == 0)
            duckdb_validity_set_row_invalid(validity, span.at + i);
}

static void
fill_text(duckdb_vector vector, struct span span)
{
    duckdb_string_t *strings = (duckdb_string_t *)duckdb_vector_get_data(vector) + span.at;
    for (size_t i = 0; i < span.count; i++) {
        struct mr_slice text = mr_column_text(span.column, span.from + i);
        if (span.zero_copy)
            strings[i] = point_at(text);
        else
            duckdb_vector_assign_string_element_len(vector, span.at + i, text.data, text.size);
    }
}

static void
fill_lists(duckdb_vector vector, struct span span)
{
    duckdb_list_entry *entries = (duckdb_list_entry *)duckdb_vector_get_data(vector) + span.at;
    size_t first = 0, end = 0, row_end;
    uint64_t filled = duckdb_list_vector_get_size(vector);

    for (size_t i = 0; i < span.count; i++) {
        size_t from;
        mr_column_list(span.column, span.from + i, &from, &row_end);
        if (i == 0)
            first = from;
        entries[i] = (duckdb_list_entry){ filled + (from - first), row_end - from };
        end = row_end;
    }
    struct span elements = { span.column->child, first, end - first, filled, span.zero_copy };
    (void)duckdb_list_vector_reserve(vector, filled + elements.count);
    (void)duckdb_list_vector_set_size(vector, filled + elements.count);
    fill(duckdb_list_vector_get_child(vector), elements);
}

static void
fill(duckdb_vector vector, struct span span)
{
    const struct mr_column *column = span.column;
    fill_validity(vector, span);
    if (span.count == 0)
        return;
    if (column->child != NULL) {
        fill_lists(vector, span);
    } else if (column->field.type == MR_TYPE_STRING || column->field.type == MR_TYPE_BINARY) {
        fill_text(vector, span);
    } else if (column->field.type == MR_TYPE_BOOL) {
        bool *flags = (bool *)duckdb_vector_get_data(vector) + span.at;
        for (size_t i = 0; i < span.count; i++)
            flags[i] = ((const uint8_t *)column->values)[span.from + i] != 0;
    } else {
        size_t bytes = mr_column_value_bytes(column);
        memcpy((char *)duckdb_vector_get_data(vector) + span.at * bytes,
               (const char *)column->values + span.from * bytes, span.count * bytes);
    }
}

/* ---- the engine's three calls ---- */

static duckdb_logical_type
logical_type(const struct mr_field *field)
{
    static const duckdb_type types[MR_TYPE_COUNT] = {
        [MR_TYPE_BOOL] = DUCKDB_TYPE_BOOLEAN,        [MR_TYPE_INTEGER] = DUCKDB_TYPE_INTEGER,
        [MR_TYPE_LONG] = DUCKDB_TYPE_BIGINT,         [MR_TYPE_DOUBLE] = DUCKDB_TYPE_DOUBLE,
        [MR_TYPE_STRING] = DUCKDB_TYPE_VARCHAR,      [MR_TYPE_BINARY] = DUCKDB_TYPE_BLOB,
        [MR_TYPE_TIMESTAMP] = DUCKDB_TYPE_TIMESTAMP,
    };
    duckdb_logical_type type = duckdb_create_logical_type(types[field->type]);
    if (!field->is_list)
        return type;
    duckdb_logical_type list = duckdb_create_list_type(type);
    duckdb_destroy_logical_type(&type);
    return list;
}

static void
bind_scan(duckdb_bind_info info)
{
    const struct relation *relation = duckdb_bind_get_extra_info(info);
    idx_t rows = 0;
    for (size_t c = 0; c < relation->schema.count; c++) {
        duckdb_logical_type type = logical_type(&relation->schema.fields[c]);
        duckdb_bind_add_result_column(info, relation->schema.fields[c].name, type);
        duckdb_destroy_logical_type(&type);
    }
    for (size_t i = 0; i < relation->count; i++)
        rows += relation->batches[i]->rows;
    if (rows > 0)
        duckdb_bind_set_cardinality(info, rows, false);
}

static void
init_scan(duckdb_init_info info)
{
    idx_t count = duckdb_init_get_column_count(info);
    struct scan *scan = mr_alloc(sizeof(*scan) + count * sizeof(scan->columns[0]));
    scan->columns_count = count;
    for (idx_t i = 0; i < count; i++)
        scan->columns[i] = duckdb_init_get_column_index(info, i);
    /* One thread, so that rows come in the order of the batches. */
    duckdb_init_set_max_threads(info, 1);
    duckdb_init_set_init_data(info, scan, free);
}

/* Of rows [from, to), which are some. */
static size_t
text_bytes(const struct mr_column *column, size_t from, size_t to)
{
    size_t first, end, ignored;
    if (column->child != NULL) {
        mr_column_list(column, from, &first, &ignored);
        mr_column_list(column, to - 1, &ignored, &end);
        return end > first ? text_bytes(column->child, first, end) : 0;
    }
    if (column->field.type != MR_TYPE_STRING && column->field.type != MR_TYPE_BINARY)
        return 0;
    const uint32_t *ends = column->values;
    return ends[to - 1] - (from > 0 ? ends[from - 1] : 0);
}

/* How many of the next rows fit: who gathers chunks of wide rows would have all of them at once. */
static size_t
fitting(const struct relation *relation, const struct scan *scan, size_t count)
{
    const struct mr_columns *batch = relation->batches[scan->batch];
    for (;; count = (count + 1) / 2) {
        size_t bytes = 0;
        for (idx_t i = 0; i < scan->columns_count; i++)
            if (scan->columns[i] < relation->schema.count)
                bytes +=
                    text_bytes(&batch->columns[scan->columns[i]], scan->row, scan->row + count);
        if (bytes <= relation->text_max || count == 1)
            return count;
    }
}

static void
next_chunk(duckdb_function_info info, duckdb_data_chunk chunk)
{
    const struct relation *relation = duckdb_function_get_extra_info(info);
    struct scan *scan = duckdb_function_get_init_data(info);
    idx_t filled = 0, most = duckdb_vector_size();

    while (filled < most && scan->batch < relation->count) {
        const struct mr_columns *batch = relation->batches[scan->batch];
        size_t left = batch->rows - scan->row;
        size_t wanted = left < most - filled ? left : most - filled;
        size_t count = wanted > 0 ? fitting(relation, scan, wanted) : 0;
        if (count < wanted)
            most = filled + count; /* the chunk ends here */
        for (idx_t i = 0; i < scan->columns_count; i++) {
            /* A query that only counts rows asks for a column that is none of ours. */
            if (scan->columns[i] >= relation->schema.count)
                continue;
            struct span span = { &batch->columns[scan->columns[i]], scan->row, count, filled,
                                 relation->zero_copy };
            fill(duckdb_data_chunk_get_vector(chunk, i), span);
        }
        filled += count;
        scan->row += count;
        if (scan->row == batch->rows) {
            scan->batch++;
            scan->row = 0;
        }
    }
    duckdb_data_chunk_set_size(chunk, filled);
}

/* ---- making and binding ---- */

static void
free_relation(struct relation *relation)
{
    free(relation->name);
    mr_schema_fini(&relation->schema);
    free((void *)relation->batches);
    free(relation);
}

void
mr_relations_close(struct mr_sql *sql)
{
    while (sql->relations != NULL) {
        struct relation *relation = sql->relations;
        sql->relations = relation->next;
        free_relation(relation);
    }
}

static struct relation *
find(const struct mr_sql *sql, const char *name)
{
    struct relation *relation = sql->relations;
    while (relation != NULL && strcmp(relation->name, name) != 0)
        relation = relation->next;
    return relation;
}

const struct mr_schema *
mr_relation_schema(const struct mr_sql *sql, const char *name)
{
    const struct relation *relation = find(sql, name);
    return relation != NULL ? &relation->schema : NULL;
}

static int
register_scan(struct mr_sql *sql, struct relation *relation, const char *function,
              struct mr_err *err)
{
    duckdb_table_function scan = duckdb_create_table_function();
    duckdb_table_function_set_name(scan, function);
    duckdb_table_function_set_extra_info(scan, relation, NULL);
    duckdb_table_function_set_bind(scan, bind_scan);
    duckdb_table_function_set_init(scan, init_scan);
    duckdb_table_function_set_function(scan, next_chunk);
    duckdb_table_function_supports_projection_pushdown(scan, true);
    duckdb_state state = duckdb_register_table_function(sql->connection, scan);
    duckdb_destroy_table_function(&scan);
    if (state != DuckDBSuccess)
        return mr_fail(err, MR_E(INTERNAL), MR_FATAL, "relation %s: duckdb takes no table function",
                       relation->name);
    return 0;
}

int
mr_sql_relation(struct mr_sql *sql, const char *name, const struct mr_schema *schema,
                struct mr_err *err)
{
    MR_ASSERT(schema->count >= 1 && schema->count <= MR_FIELDS_MAX);
    const struct mr_schema *known = mr_relation_schema(sql, name);
    if (known != NULL && mr_schema_is(known, schema))
        return mr_sql_bind(sql, name, NULL, 0, err);

    /* A relation of an older schema stays behind, unseen, for the statements that hold it. */
    struct relation *relation = mr_alloc(sizeof(*relation));
    relation->name = mr_strdup(name);
    relation->zero_copy = sql->zero_copy;
    relation->text_max = (size_t)(sql->memory_max / CHUNK_SHARE);
    mr_schema_copy(schema, &relation->schema);
    relation->next = sql->relations;
    sql->relations = relation;

    MR_CLEANUP(mr_freep) char *function = mr_printf("mr_scan_%u", sql->relations_made++);
    int code = register_scan(sql, relation, function, err);
    if (code != 0)
        return code;
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, 4096);
    mr_buf_text(&text, "CREATE OR REPLACE VIEW ");
    mr_sql_identifier(&text, name);
    mr_buf_printf(&text, " AS SELECT * FROM %s()", function);
    if (text.failed)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "relation name of %zu bytes", strlen(name));
    return mr_sql_execute(sql, text.data, err);
}

int
mr_sql_bind(struct mr_sql *sql, const char *name, const struct mr_columns *const *batches,
            size_t count, struct mr_err *err)
{
    struct relation *relation = find(sql, name);
    if (relation == NULL)
        return mr_fail(err, MR_E(NOT_FOUND), MR_FATAL, "there is no relation %s", name);
    for (size_t i = 0; i < count; i++) {
        MR_ASSERT(batches[i]->count == relation->schema.count);
        for (size_t c = 0; c < batches[i]->count; c++) {
            const struct mr_field *field = &batches[i]->columns[c].field;
            MR_ASSERT(field->type == relation->schema.fields[c].type);
            MR_ASSERT(field->is_list == relation->schema.fields[c].is_list);
        }
    }
    relation->batches = mr_realloc((void *)relation->batches, count * sizeof(*batches));
    if (count > 0)
        memcpy((void *)relation->batches, batches, count * sizeof(*batches));
    relation->count = count;
    return 0;
}
