/*
 * columns: a batch of typed columns. It is what the contract decodes events into, what SQL reads
 * and gives back, what the table module writes, and (in its flat form) what crosses to a worker
 * process through shared memory.
 *
 * No pointers inside the data: text and lists are offsets, so a batch can be written out and mapped
 * again as it stands. Threads: one owner; a batch that is no longer appended to may be read by any.
 */
#ifndef MR_COLUMNS_H
#define MR_COLUMNS_H

#include "base/base.h"

/* X(name, Delta type, DuckDB type, bytes of a value). */
#define MR_TYPES(X)                                                                                \
    X(BOOL, "boolean", "BOOLEAN", 1)                                                               \
    X(INTEGER, "integer", "INTEGER", 4)                                                            \
    X(LONG, "long", "BIGINT", 8)                                                                   \
    X(DOUBLE, "double", "DOUBLE", 8)                                                               \
    X(STRING, "string", "VARCHAR", 4)                                                              \
    X(BINARY, "binary", "BLOB", 4)                                                                 \
    X(TIMESTAMP, "timestamp", "TIMESTAMP", 8)

enum mr_type {
#define MR_X(name, delta, duckdb, bytes) MR_TYPE_##name,
    MR_TYPES(MR_X)
#undef MR_X
        MR_TYPE_COUNT
};
const char *mr_type_delta(enum mr_type type);
const char *mr_type_duckdb(enum mr_type type);

enum { MR_FIELD_NAME_MAX = 64, MR_FIELDS_MAX = 256, MR_ROWS_MAX = 1 << 24 };

struct mr_field {
    char name[MR_FIELD_NAME_MAX + 1];
    enum mr_type type;
    bool is_list; /* a list of type; lists of lists do not exist here */
};

struct mr_schema {
    struct mr_field *fields;
    size_t count; /* 1 .. MR_FIELDS_MAX */
};
bool mr_schema_is(const struct mr_schema *a, const struct mr_schema *b);
int mr_schema_find(const struct mr_schema *schema, const char *name); /* index or -1 */
/* A deep copy owned by the caller; mr_schema_fini frees it. */
void mr_schema_copy(const struct mr_schema *from, struct mr_schema *ret);
void mr_schema_fini(struct mr_schema *schema);

/* One column. values: bool u8, integer i32, long i64, double f64, timestamp i64 (UTC microseconds),
 * string and binary u32 end offsets into heap (value i is heap[ends[i-1], ends[i]), ends[-1] = 0).
 * For a list values are u32 end offsets into child, which is a column of the element type. */
struct mr_column {
    struct mr_field field;
    uint8_t *valid; /* one byte a row, 1 = not NULL */
    void *values;
    char *heap;
    size_t heap_size, heap_capacity;
    struct mr_column *child; /* NULL unless is_list */
    size_t rows, capacity;
};

struct mr_columns {
    struct mr_column *columns;
    size_t count;
    size_t rows;   /* complete rows, see mr_columns_end_row */
    void *mapping; /* when mapped: memory is borrowed, appending is not allowed */
};

struct mr_columns *mr_columns_new(const struct mr_schema *schema);
void mr_columns_free(struct mr_columns *columns);
void mr_columns_freep(struct mr_columns **columns);
void mr_columns_reset(struct mr_columns *columns);         /* 0 rows, keeps the memory */
size_t mr_columns_bytes(const struct mr_columns *columns); /* memory held, for budgets */

/* Append one value to column c. A row is complete when each column has one more value; a column
 * that got none until mr_columns_end_row becomes NULL there. */
void mr_columns_null(struct mr_columns *columns, size_t c);
void mr_columns_bool(struct mr_columns *columns, size_t c, bool value);
void mr_columns_int(struct mr_columns *columns, size_t c,
                    int64_t value); /* INTEGER LONG TIMESTAMP */
void mr_columns_double(struct mr_columns *columns, size_t c, double value);
/* STRING is valid UTF-8: what comes from outside is checked by whoever takes it in. */
void mr_columns_text(struct mr_columns *columns, size_t c, struct mr_slice value); /* and BINARY */
/* Lists: begin, then append elements to the child column with mr_column_*, then end. */
struct mr_column *mr_columns_list(struct mr_columns *columns, size_t c); /* child to append to */
void mr_column_put_int(struct mr_column *column, int64_t value);
void mr_column_put_double(struct mr_column *column, double value);
void mr_column_put_bool(struct mr_column *column, bool value);
void mr_column_put_text(struct mr_column *column, struct mr_slice value);
void mr_column_put_null(struct mr_column *column);
void mr_columns_end_row(struct mr_columns *columns);
/* Column by column: put count values into each column (a list: its elements into child, then
 * mr_column_put_list, which ends it), then end the rows together. */
void mr_column_put_list(struct mr_column *column);
void mr_columns_end_rows(struct mr_columns *columns, size_t count);
/* Takes back the values of an unfinished row (a record that failed half-way). */
void mr_columns_drop_row(struct mr_columns *columns);
/* Keeps the first rows, at most as many as there are. */
void mr_columns_cut(struct mr_columns *columns, size_t rows);

/* Read. Row indices below columns->rows (or column->rows for a child). */
size_t mr_column_value_bytes(const struct mr_column *column); /* of one of values */
static inline bool
mr_column_is_null(const struct mr_column *column, size_t row)
{
    return column->valid[row] == 0;
}
int64_t mr_column_int(const struct mr_column *column, size_t row); /* BOOL INTEGER LONG TIMESTAMP */
double mr_column_double(const struct mr_column *column, size_t row);
struct mr_slice mr_column_text(const struct mr_column *column, size_t row);
/* Child rows [ret_from, ret_to) of a list. */
void mr_column_list(const struct mr_column *column, size_t row, size_t *ret_from, size_t *ret_to);
/* Appends row of from (same schema) to to. */
void mr_columns_copy_row(struct mr_columns *to, const struct mr_columns *from, size_t row);

/* The flat form: magic "MRC1", schema and arrays, 8-byte aligned, little endian. map checks every
 * offset against the size and that STRING is UTF-8, so a damaged file is CORRUPT, not a crash. flat
 * is borrowed until mr_columns_free and starts at a multiple of 8. */
void mr_columns_write(const struct mr_columns *columns, struct mr_buf *ret);
int mr_columns_map(struct mr_slice flat, struct mr_columns **ret, struct mr_err *err);

#endif
