/*
 * Typed columns that grow. Each column is a byte of validity and a fixed-size value a row; text and
 * lists keep their bytes and elements behind them and store where each value ends, so taking a row
 * back is cutting four numbers. A bitmap would save 7 bits a value and cost a shift on every read.
 */
#include "columns/columns.h"

#include <stdlib.h>

enum { CAPACITY_MIN = 64, HEAP_MIN = 1024 };

static const struct {
    const char *delta, *duckdb;
    size_t bytes;
} types[MR_TYPE_COUNT] = {
#define MR_X(name, delta, duckdb, bytes) [MR_TYPE_##name] = { delta, duckdb, bytes },
    MR_TYPES(MR_X)
#undef MR_X
};

const char *
mr_type_delta(enum mr_type type)
{
    MR_ASSERT(type < MR_TYPE_COUNT);
    return types[type].delta;
}

const char *
mr_type_duckdb(enum mr_type type)
{
    MR_ASSERT(type < MR_TYPE_COUNT);
    return types[type].duckdb;
}

/* ---- schema ---- */

static bool
field_is(const struct mr_field *a, const struct mr_field *b)
{
    return strcmp(a->name, b->name) == 0 && a->type == b->type && a->is_list == b->is_list;
}

bool
mr_schema_is(const struct mr_schema *a, const struct mr_schema *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!field_is(&a->fields[i], &b->fields[i]))
            return false;
    return true;
}

int
mr_schema_find(const struct mr_schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->count; i++)
        if (strcmp(schema->fields[i].name, name) == 0)
            return (int)i;
    return -1;
}

void
mr_schema_copy(const struct mr_schema *from, struct mr_schema *ret)
{
    MR_ASSERT(from->count >= 1 && from->count <= MR_FIELDS_MAX);
    *ret = (struct mr_schema){ mr_alloc(from->count * sizeof(*from->fields)), from->count };
    memcpy(ret->fields, from->fields, from->count * sizeof(*from->fields));
}

void
mr_schema_fini(struct mr_schema *schema)
{
    free(schema->fields);
    *schema = (struct mr_schema){ 0 };
}

/* ---- one column ---- */

size_t
mr_column_value_bytes(const struct mr_column *column)
{
    return column->child != NULL ? sizeof(uint32_t) : types[column->field.type].bytes;
}

static bool
is_text(const struct mr_column *column)
{
    return column->child == NULL &&
           (column->field.type == MR_TYPE_STRING || column->field.type == MR_TYPE_BINARY);
}

static void
grow(struct mr_column *column)
{
    column->capacity = column->capacity > 0 ? column->capacity * 2 : CAPACITY_MIN;
    column->valid = mr_realloc(column->valid, column->capacity);
    column->values = mr_realloc(column->values, column->capacity * mr_column_value_bytes(column));
}

/* The next row's index, with room for it. */
static size_t
next_row(struct mr_column *column, bool valid)
{
    if (column->rows == column->capacity)
        grow(column);
    column->valid[column->rows] = valid;
    return column->rows++;
}

void
mr_column_put_null(struct mr_column *column)
{
    size_t row = next_row(column, false);
    if (column->child != NULL)
        ((uint32_t *)column->values)[row] = (uint32_t)column->child->rows;
    else if (is_text(column))
        ((uint32_t *)column->values)[row] = (uint32_t)column->heap_size;
    else
        memset((char *)column->values + row * types[column->field.type].bytes, 0,
               types[column->field.type].bytes);
}

void
mr_column_put_bool(struct mr_column *column, bool value)
{
    MR_ASSERT(column->field.type == MR_TYPE_BOOL && column->child == NULL);
    size_t row = next_row(column, true);
    ((uint8_t *)column->values)[row] = value;
}

void
mr_column_put_int(struct mr_column *column, int64_t value)
{
    MR_ASSERT(column->child == NULL);
    size_t row = next_row(column, true);
    if (column->field.type == MR_TYPE_INTEGER) {
        MR_ASSERT(value >= INT32_MIN && value <= INT32_MAX);
        ((int32_t *)column->values)[row] = (int32_t)value;
        return;
    }
    MR_ASSERT(column->field.type == MR_TYPE_LONG || column->field.type == MR_TYPE_TIMESTAMP);
    ((int64_t *)column->values)[row] = value;
}

void
mr_column_put_double(struct mr_column *column, double value)
{
    MR_ASSERT(column->field.type == MR_TYPE_DOUBLE && column->child == NULL);
    size_t row = next_row(column, true);
    ((double *)column->values)[row] = value;
}

void
mr_column_put_text(struct mr_column *column, struct mr_slice value)
{
    MR_ASSERT(is_text(column));
    MR_ASSERT(value.size <= UINT32_MAX - column->heap_size);
    size_t row = next_row(column, true);
    size_t need = column->heap_size + value.size;
    if (need > column->heap_capacity) {
        size_t twice = column->heap_capacity > 0 ? column->heap_capacity * 2 : HEAP_MIN;
        column->heap_capacity = twice > need ? twice : need;
        column->heap = mr_realloc(column->heap, column->heap_capacity);
    }
    if (value.size > 0)
        memcpy(column->heap + column->heap_size, value.data, value.size);
    column->heap_size = need;
    ((uint32_t *)column->values)[row] = (uint32_t)need;
}

void
mr_column_put_list(struct mr_column *column)
{
    MR_ASSERT(column->child != NULL && column->child->rows <= UINT32_MAX);
    size_t row = next_row(column, true);
    ((uint32_t *)column->values)[row] = (uint32_t)column->child->rows;
}

static void
init(struct mr_column *column, const struct mr_field *field)
{
    MR_ASSERT(field->type < MR_TYPE_COUNT);
    column->field = *field;
    if (!field->is_list)
        return;
    struct mr_field element = { "element", field->type, false };
    column->child = mr_alloc(sizeof(*column->child));
    init(column->child, &element);
}

static void
fini(struct mr_column *column, bool borrowed)
{
    if (column->child != NULL)
        fini(column->child, borrowed);
    free(column->child);
    if (borrowed)
        return;
    free(column->valid);
    free(column->values);
    free(column->heap);
}

/* Keeps the first rows and forgets the rest. */
static void
cut(struct mr_column *column, size_t rows)
{
    MR_ASSERT(rows <= column->rows);
    column->rows = rows;
    size_t end = 0;
    if (rows > 0 && (is_text(column) || column->child != NULL))
        end = ((const uint32_t *)column->values)[rows - 1];
    if (column->child != NULL)
        cut(column->child, end);
    else if (is_text(column))
        column->heap_size = end;
}

static size_t
held(const struct mr_column *column)
{
    size_t bytes = column->capacity * (1 + mr_column_value_bytes(column)) + column->heap_capacity;
    return bytes + (column->child != NULL ? sizeof(*column) + held(column->child) : 0);
}

/* ---- a batch ---- */

struct mr_columns *
mr_columns_new(const struct mr_schema *schema)
{
    MR_ASSERT(schema->count >= 1 && schema->count <= MR_FIELDS_MAX);
    struct mr_columns *columns = mr_alloc(sizeof(*columns));
    columns->count = schema->count;
    columns->columns = mr_alloc(schema->count * sizeof(*columns->columns));
    for (size_t c = 0; c < schema->count; c++)
        init(&columns->columns[c], &schema->fields[c]);
    return columns;
}

void
mr_columns_free(struct mr_columns *columns)
{
    if (columns == NULL)
        return;
    for (size_t c = 0; c < columns->count; c++)
        fini(&columns->columns[c], columns->mapping != NULL);
    free(columns->columns);
    free(columns);
}

void
mr_columns_freep(struct mr_columns **columns)
{
    mr_columns_free(*columns);
    *columns = NULL;
}

void
mr_columns_reset(struct mr_columns *columns)
{
    mr_columns_cut(columns, 0);
}

size_t
mr_columns_bytes(const struct mr_columns *columns)
{
    size_t bytes = sizeof(*columns) + columns->count * sizeof(*columns->columns);
    for (size_t c = 0; c < columns->count; c++)
        bytes += held(&columns->columns[c]);
    return bytes;
}

/* The column, checked to have no value yet in the row that is being made. */
static struct mr_column *
open_column(struct mr_columns *columns, size_t c)
{
    MR_ASSERT(columns->mapping == NULL);
    MR_ASSERT(c < columns->count);
    MR_ASSERT(columns->columns[c].rows == columns->rows);
    return &columns->columns[c];
}

void
mr_columns_null(struct mr_columns *columns, size_t c)
{
    mr_column_put_null(open_column(columns, c));
}

void
mr_columns_bool(struct mr_columns *columns, size_t c, bool value)
{
    mr_column_put_bool(open_column(columns, c), value);
}

void
mr_columns_int(struct mr_columns *columns, size_t c, int64_t value)
{
    mr_column_put_int(open_column(columns, c), value);
}

void
mr_columns_double(struct mr_columns *columns, size_t c, double value)
{
    mr_column_put_double(open_column(columns, c), value);
}

void
mr_columns_text(struct mr_columns *columns, size_t c, struct mr_slice value)
{
    mr_column_put_text(open_column(columns, c), value);
}

struct mr_column *
mr_columns_list(struct mr_columns *columns, size_t c)
{
    struct mr_column *column = open_column(columns, c);
    mr_column_put_list(column); /* mr_columns_end_row moves its end behind its elements */
    return column->child;
}

void
mr_columns_end_row(struct mr_columns *columns)
{
    MR_ASSERT(columns->mapping == NULL);
    MR_ASSERT(columns->rows < MR_ROWS_MAX);
    for (size_t c = 0; c < columns->count; c++) {
        struct mr_column *column = &columns->columns[c];
        if (column->rows == columns->rows)
            mr_column_put_null(column);
        MR_ASSERT(column->rows == columns->rows + 1);
        if (column->child == NULL)
            continue;
        MR_ASSERT(column->child->rows <= UINT32_MAX);
        ((uint32_t *)column->values)[columns->rows] = (uint32_t)column->child->rows;
    }
    columns->rows++;
}

void
mr_columns_end_rows(struct mr_columns *columns, size_t count)
{
    MR_ASSERT(columns->mapping == NULL);
    MR_ASSERT(count <= MR_ROWS_MAX - columns->rows);
    for (size_t c = 0; c < columns->count; c++)
        MR_ASSERT(columns->columns[c].rows == columns->rows + count);
    columns->rows += count;
}

void
mr_columns_drop_row(struct mr_columns *columns)
{
    mr_columns_cut(columns, columns->rows);
}

void
mr_columns_cut(struct mr_columns *columns, size_t rows)
{
    MR_ASSERT(columns->mapping == NULL);
    MR_ASSERT(rows <= columns->rows);
    columns->rows = rows;
    for (size_t c = 0; c < columns->count; c++)
        cut(&columns->columns[c], rows);
}

/* ---- reading ---- */

int64_t
mr_column_int(const struct mr_column *column, size_t row)
{
    MR_ASSERT(row < column->rows && column->child == NULL);
    switch (column->field.type) {
    case MR_TYPE_BOOL:
        return ((const uint8_t *)column->values)[row] != 0;
    case MR_TYPE_INTEGER:
        return ((const int32_t *)column->values)[row];
    default:
        MR_ASSERT(column->field.type == MR_TYPE_LONG || column->field.type == MR_TYPE_TIMESTAMP);
        return ((const int64_t *)column->values)[row];
    }
}

double
mr_column_double(const struct mr_column *column, size_t row)
{
    MR_ASSERT(row < column->rows && column->child == NULL);
    MR_ASSERT(column->field.type == MR_TYPE_DOUBLE);
    return ((const double *)column->values)[row];
}

struct mr_slice
mr_column_text(const struct mr_column *column, size_t row)
{
    MR_ASSERT(row < column->rows && is_text(column));
    const uint32_t *ends = column->values;
    size_t from = row > 0 ? ends[row - 1] : 0;
    return ends[row] == from ? mr_slice("", 0) : mr_slice(column->heap + from, ends[row] - from);
}

void
mr_column_list(const struct mr_column *column, size_t row, size_t *ret_from, size_t *ret_to)
{
    MR_ASSERT(row < column->rows && column->child != NULL);
    const uint32_t *ends = column->values;
    *ret_from = row > 0 ? ends[row - 1] : 0;
    *ret_to = ends[row];
}

static void
copy_value(struct mr_column *to, const struct mr_column *from, size_t row)
{
    if (mr_column_is_null(from, row)) {
        mr_column_put_null(to);
    } else if (is_text(from)) {
        mr_column_put_text(to, mr_column_text(from, row));
    } else if (from->field.type == MR_TYPE_DOUBLE) {
        mr_column_put_double(to, mr_column_double(from, row));
    } else if (from->field.type == MR_TYPE_BOOL) {
        mr_column_put_bool(to, mr_column_int(from, row) != 0);
    } else {
        mr_column_put_int(to, mr_column_int(from, row));
    }
}

void
mr_columns_copy_row(struct mr_columns *to, const struct mr_columns *from, size_t row)
{
    MR_ASSERT(to->count == from->count && row < from->rows);
    for (size_t c = 0; c < from->count; c++) {
        const struct mr_column *column = &from->columns[c];
        MR_ASSERT(field_is(&column->field, &to->columns[c].field));
        if (column->child == NULL || mr_column_is_null(column, row)) {
            copy_value(open_column(to, c), column, row);
            continue;
        }
        struct mr_column *child = mr_columns_list(to, c);
        size_t at, end;
        for (mr_column_list(column, row, &at, &end); at < end; at++)
            copy_value(child, column->child, at);
    }
    mr_columns_end_row(to);
}
