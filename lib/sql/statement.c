/*
 * Prepared statements and their streamed results. Types that our columns do not hold are cast by
 * the engine, in a SELECT around the text, so that only seven types need code here.
 */
#include "sql/private.h"

#include <stdlib.h>

enum { TEXT_MAX = 1 << 20, LONG_DIGITS = 18 };

struct mr_statement {
    struct mr_sql *sql;
    duckdb_prepared_statement prepared;
    struct mr_schema schema;
};

struct mr_result {
    struct mr_statement *statement;
    duckdb_result rows;
};

/* ---- what a result column becomes ---- */

/* Our type for one of the engine's; false when values must be cast to it first. */
static bool
our_type(duckdb_logical_type type, enum mr_type *ret)
{
    switch (duckdb_get_type_id(type)) {
    case DUCKDB_TYPE_BOOLEAN:
        return *ret = MR_TYPE_BOOL, true;
    case DUCKDB_TYPE_INTEGER:
        return *ret = MR_TYPE_INTEGER, true;
    case DUCKDB_TYPE_BIGINT:
        return *ret = MR_TYPE_LONG, true;
    case DUCKDB_TYPE_DOUBLE:
        return *ret = MR_TYPE_DOUBLE, true;
    case DUCKDB_TYPE_VARCHAR:
        return *ret = MR_TYPE_STRING, true;
    case DUCKDB_TYPE_BLOB:
        return *ret = MR_TYPE_BINARY, true;
    case DUCKDB_TYPE_TIMESTAMP:
    case DUCKDB_TYPE_TIMESTAMP_TZ: /* the same microseconds, and the zone is UTC */
        return *ret = MR_TYPE_TIMESTAMP, true;
    case DUCKDB_TYPE_TINYINT:
    case DUCKDB_TYPE_SMALLINT:
    case DUCKDB_TYPE_UTINYINT:
    case DUCKDB_TYPE_USMALLINT:
        return *ret = MR_TYPE_INTEGER, false;
    case DUCKDB_TYPE_UINTEGER:
        return *ret = MR_TYPE_LONG, false;
    case DUCKDB_TYPE_FLOAT:
    case DUCKDB_TYPE_UBIGINT:
    case DUCKDB_TYPE_HUGEINT:
    case DUCKDB_TYPE_UHUGEINT:
        return *ret = MR_TYPE_DOUBLE, false;
    case DUCKDB_TYPE_DECIMAL:
        *ret = duckdb_decimal_scale(type) == 0 && duckdb_decimal_width(type) <= LONG_DIGITS
                   ? MR_TYPE_LONG
                   : MR_TYPE_DOUBLE;
        return false;
    case DUCKDB_TYPE_DATE:
    case DUCKDB_TYPE_TIMESTAMP_S:
    case DUCKDB_TYPE_TIMESTAMP_MS:
    case DUCKDB_TYPE_TIMESTAMP_NS:
        return *ret = MR_TYPE_TIMESTAMP, false;
    default:
        return *ret = MR_TYPE_STRING, false;
    }
}

static bool
our_field(duckdb_logical_type type, struct mr_field *ret)
{
    if (duckdb_get_type_id(type) != DUCKDB_TYPE_LIST)
        return our_type(type, &ret->type);
    duckdb_logical_type element = duckdb_list_type_child_type(type);
    bool nested = duckdb_get_type_id(element) == DUCKDB_TYPE_LIST;
    bool direct = !nested && our_type(element, &ret->type);
    if (nested)
        ret->type = MR_TYPE_STRING;
    ret->is_list = !nested;
    duckdb_destroy_logical_type(&element);
    return direct;
}

/* A name longer than a field's is cut between characters. */
static void
copy_name(const char *name, char ret[MR_FIELD_NAME_MAX + 1])
{
    size_t size = strnlen(name, MR_FIELD_NAME_MAX + 1);
    if (size > MR_FIELD_NAME_MAX) {
        size = MR_FIELD_NAME_MAX;
        while (size > 0 && ((unsigned char)name[size] & 0xc0) == 0x80)
            size--;
    }
    memcpy(ret, name, size);
    ret[size] = '\0';
}

/* Fills the schema; true: no column needs a cast. */
static bool
describe(struct mr_statement *statement, idx_t count)
{
    bool direct = true;
    statement->schema = (struct mr_schema){ mr_alloc(count * sizeof(struct mr_field)), count };
    for (idx_t c = 0; c < count; c++) {
        struct mr_field *field = &statement->schema.fields[c];
        duckdb_logical_type type =
            duckdb_prepared_statement_column_logical_type(statement->prepared, c);
        const char *name = duckdb_prepared_statement_column_name(statement->prepared, c);
        direct = our_field(type, field) && direct;
        copy_name(name != NULL ? name : "", field->name);
        duckdb_free((void *)(uintptr_t)name);
        duckdb_destroy_logical_type(&type);
    }
    return direct;
}

/* ---- statements ---- */

static int
prepare(struct mr_statement *statement, const char *text, struct mr_err *err)
{
    duckdb_destroy_prepare(&statement->prepared);
    if (duckdb_prepare(statement->sql->connection, text, &statement->prepared) == DuckDBSuccess)
        return 0;
    return mr_sql_fail(duckdb_prepare_error(statement->prepared), DUCKDB_ERROR_INVALID, err);
}

/* The text as a subquery, by position, so that columns may share a name. */
static int
prepare_with_casts(struct mr_statement *statement, const char *text, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf around;
    size_t size = strlen(text);
    while (size > 0 && strchr("; \t\r\n", text[size - 1]) != NULL)
        size--;
    mr_buf_init(&around, TEXT_MAX);
    mr_buf_text(&around, "SELECT ");
    for (size_t c = 0; c < statement->schema.count; c++) {
        const struct mr_field *field = &statement->schema.fields[c];
        mr_buf_printf(&around, "%sCAST(#%zu AS %s%s) AS ", c > 0 ? ", " : "", c + 1,
                      mr_type_duckdb(field->type), field->is_list ? "[]" : "");
        mr_sql_identifier(&around, field->name);
    }
    mr_buf_text(&around, " FROM (");
    mr_buf_put(&around, text, size);
    mr_buf_text(&around, "\n)");
    if (around.failed)
        return mr_fail(err, MR_E(TOO_LARGE), MR_REJECT, "a statement of %zu bytes", size);
    return prepare(statement, around.data, err);
}

int
mr_sql_prepare(struct mr_sql *sql, const char *text, struct mr_statement **ret, struct mr_err *err)
{
    MR_CLEANUP(mr_statement_closep) struct mr_statement *statement = mr_alloc(sizeof(*statement));
    statement->sql = sql;
    int code = prepare(statement, text, err);
    if (code != 0)
        return code;
    idx_t count = duckdb_prepared_statement_column_count(statement->prepared);
    if (count < 1 || count > MR_FIELDS_MAX)
        return mr_fail(err, MR_E(INVALID), MR_REJECT, "a result of %llu columns, 1 to %d can be",
                       (unsigned long long)count, MR_FIELDS_MAX);
    if (!describe(statement, count))
        code = prepare_with_casts(statement, text, err);
    if (code != 0)
        return code;
    *ret = MR_TAKE(statement);
    return 0;
}

void
mr_statement_close(struct mr_statement *statement)
{
    if (statement == NULL)
        return;
    duckdb_destroy_prepare(&statement->prepared);
    mr_schema_fini(&statement->schema);
    free(statement);
}

void
mr_statement_closep(struct mr_statement **statement)
{
    mr_statement_close(*statement);
    *statement = NULL;
}

const struct mr_schema *
mr_statement_schema(const struct mr_statement *statement)
{
    return &statement->schema;
}

int
mr_statement_run(struct mr_statement *statement, struct mr_result **ret, struct mr_err *err)
{
    MR_ASSERT(!statement->sql->result_open);
    duckdb_pending_result pending = NULL;
    int code = 0;
    struct mr_result *result = mr_alloc(sizeof(*result));
    result->statement = statement;
    statement->sql->result_open = true;

    if (duckdb_pending_prepared_streaming(statement->prepared, &pending) != DuckDBSuccess)
        code = mr_sql_fail(duckdb_pending_error(pending), DUCKDB_ERROR_INVALID, err);
    else if (duckdb_execute_pending(pending, &result->rows) != DuckDBSuccess)
        code = mr_sql_fail(duckdb_result_error(&result->rows),
                           duckdb_result_error_type(&result->rows), err);
    duckdb_destroy_pending(&pending);
    if (code != 0)
        mr_result_close(result);
    else
        *ret = result;
    return code;
}

/* ---- rows ---- */

static bool
is_valid(const uint64_t *validity, idx_t row)
{
    return validity == NULL || duckdb_validity_row_is_valid((uint64_t *)(uintptr_t)validity, row);
}

static void
put_value(struct mr_column *to, void *data, idx_t row)
{
    switch (to->field.type) {
    case MR_TYPE_BOOL:
        mr_column_put_bool(to, ((const bool *)data)[row]);
        return;
    case MR_TYPE_INTEGER:
        mr_column_put_int(to, ((const int32_t *)data)[row]);
        return;
    case MR_TYPE_DOUBLE:
        mr_column_put_double(to, ((const double *)data)[row]);
        return;
    case MR_TYPE_STRING:
    case MR_TYPE_BINARY: {
        duckdb_string_t *text = (duckdb_string_t *)data + row;
        mr_column_put_text(to, mr_slice(duckdb_string_t_data(text), duckdb_string_t_length(*text)));
        return;
    }
    default:
        mr_column_put_int(to, ((const int64_t *)data)[row]);
    }
}

static void
take_values(struct mr_column *to, duckdb_vector vector, idx_t from, idx_t count)
{
    void *data = duckdb_vector_get_data(vector);
    const uint64_t *validity = duckdb_vector_get_validity(vector);
    for (idx_t row = from; row < from + count; row++) {
        if (is_valid(validity, row))
            put_value(to, data, row);
        else
            mr_column_put_null(to);
    }
}

static void
take_lists(struct mr_column *to, duckdb_vector vector, idx_t count)
{
    const duckdb_list_entry *entries = duckdb_vector_get_data(vector);
    const uint64_t *validity = duckdb_vector_get_validity(vector);
    for (idx_t row = 0; row < count; row++) {
        if (!is_valid(validity, row)) {
            mr_column_put_null(to);
            continue;
        }
        take_values(to->child, duckdb_list_vector_get_child(vector), entries[row].offset,
                    entries[row].length);
        mr_column_put_list(to);
    }
}

int
mr_result_next(struct mr_result *result, struct mr_columns *to, struct mr_err *err)
{
    MR_ASSERT(to->count == result->statement->schema.count);
    duckdb_data_chunk chunk = duckdb_fetch_chunk(result->rows);
    if (chunk == NULL) {
        const char *reason = duckdb_result_error(&result->rows);
        if (reason == NULL || reason[0] == '\0')
            return 0;
        return mr_sql_fail(reason, duckdb_result_error_type(&result->rows), err);
    }
    idx_t count = duckdb_data_chunk_get_size(chunk);
    for (size_t c = 0; c < to->count; c++) {
        struct mr_column *column = &to->columns[c];
        duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, c);
        MR_ASSERT(column->field.type == result->statement->schema.fields[c].type);
        if (column->child != NULL)
            take_lists(column, vector, count);
        else
            take_values(column, vector, 0, count);
    }
    mr_columns_end_rows(to, count);
    duckdb_destroy_data_chunk(&chunk);
    return (int)count;
}

void
mr_result_close(struct mr_result *result)
{
    if (result == NULL)
        return;
    result->statement->sql->result_open = false;
    duckdb_destroy_result(&result->rows);
    free(result);
}

void
mr_result_closep(struct mr_result **result)
{
    mr_result_close(*result);
    *result = NULL;
}

int
mr_sql_ask(struct mr_sql *sql, struct mr_statement **cache, const char *text, const char *value,
           struct mr_columns **ret_rows, struct mr_err *err)
{
    int code = *cache == NULL ? mr_sql_prepare(sql, text, cache, err) : 0;
    if (code != 0)
        return code;
    if (value != NULL && duckdb_bind_varchar((*cache)->prepared, 1, value) != DuckDBSuccess)
        return mr_fail(err, MR_E(INVALID), MR_REJECT, "text that is no UTF-8: %.100s", value);
    MR_CLEANUP(mr_result_closep) struct mr_result *result = NULL;
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = mr_columns_new(&(*cache)->schema);
    code = mr_statement_run(*cache, &result, err);
    if (code != 0)
        return code;
    do
        code = mr_result_next(result, rows, err);
    while (code > 0);
    if (code == 0)
        *ret_rows = MR_TAKE(rows);
    return code;
}
