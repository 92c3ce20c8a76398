/*
 * Rows of the batch are found by key through a hash table; the table's files are asked in two
 * steps. First only their key columns are read, joined with the batch: that is all when nothing is
 * repeated. Then whole rows are read, from the files that have a key of the batch, to see whether
 * what is left out equals what stays.
 */
#include "first.h"

#include <stdlib.h>

enum { SQL_BYTES_MAX = 64 << 20 };

/* ---- keys of rows ---- */

static uint64_t
key_hash(const struct mr_column *column, size_t row)
{
    if (column->field.type == MR_TYPE_STRING || column->field.type == MR_TYPE_BINARY) {
        struct mr_slice text = mr_column_text(column, row);
        return mr_hash64(text.data, text.size, 0);
    }
    if (column->field.type == MR_TYPE_DOUBLE) {
        double value = mr_column_double(column, row) + 0.0; /* -0.0 is 0.0 */
        return mr_hash64(&value, sizeof(value), 0);
    }
    int64_t value = mr_column_int(column, row);
    return mr_hash64(&value, sizeof(value), 0);
}

static bool
scalar_equal(const struct mr_column *a, size_t i, const struct mr_column *b, size_t j)
{
    if (mr_column_is_null(a, i) || mr_column_is_null(b, j))
        return mr_column_is_null(a, i) == mr_column_is_null(b, j);
    switch (a->field.type) {
    case MR_TYPE_STRING:
    case MR_TYPE_BINARY:
        return mr_slice_is(mr_column_text(a, i), mr_column_text(b, j));
    case MR_TYPE_DOUBLE:
        return mr_column_double(a, i) == mr_column_double(b, j);
    default:
        return mr_column_int(a, i) == mr_column_int(b, j);
    }
}

static bool
value_equal(const struct mr_column *a, size_t i, const struct mr_column *b, size_t j)
{
    size_t from_a, to_a, from_b, to_b;
    if (a->child == NULL || mr_column_is_null(a, i) || mr_column_is_null(b, j))
        return scalar_equal(a, i, b, j);
    mr_column_list(a, i, &from_a, &to_a);
    mr_column_list(b, j, &from_b, &to_b);
    bool equal = to_a - from_a == to_b - from_b;
    for (; equal && from_a < to_a; from_a++, from_b++)
        equal = scalar_equal(a->child, from_a, b->child, from_b);
    return equal;
}

/* A column that other lacks (its file is older) is NULL there. */
static bool
row_equal(const struct mr_columns *rows, size_t i, const struct mr_columns *other,
          const int *other_column, size_t j)
{
    for (size_t c = 0; c < rows->count; c++) {
        const struct mr_column *mine = &rows->columns[c];
        if (other_column[c] < 0) {
            if (!mr_column_is_null(mine, i))
                return false;
        } else if (!value_equal(mine, i, &other->columns[other_column[c]], j)) {
            return false;
        }
    }
    return true;
}

/* The slot of the key in row of column, or the free one where it belongs. */
static size_t
slot_of(const struct first *first, const struct mr_column *column, size_t row)
{
    const struct mr_column *keys = &first->rows->columns[first->key];
    size_t mask = first->slots_count - 1;
    for (size_t at = key_hash(column, row) & mask;; at = (at + 1) & mask)
        if (first->slots[at] == 0 || scalar_equal(keys, first->slots[at] - 1, column, row))
            return at;
}

/* ---- with itself ---- */

static void
mark(struct first *first, size_t row, bool differs)
{
    first->repeated_count += first->repeated[row] == 0;
    first->repeated[row] = 1;
    first->differs[row] = differs;
}

void
first_init(struct first *first, const struct mr_columns *rows, size_t key)
{
    MR_ASSERT(key < rows->count && rows->columns[key].child == NULL);
    size_t count = 16;
    int same_column[MR_FIELDS_MAX];
    while (count < rows->rows * 2)
        count *= 2;
    *first = (struct first){ .rows = rows,
                             .key = key,
                             .slots = mr_alloc(count * sizeof(uint32_t)),
                             .slots_count = count,
                             .same = mr_alloc(rows->rows * sizeof(uint32_t)),
                             .repeated = mr_alloc(rows->rows),
                             .differs = mr_alloc(rows->rows) };
    for (size_t c = 0; c < rows->count; c++)
        same_column[c] = (int)c;
    const struct mr_column *keys = &rows->columns[key];
    for (size_t row = 0; row < rows->rows; row++) {
        if (mr_column_is_null(keys, row))
            continue;
        uint32_t *slot = &first->slots[slot_of(first, keys, row)];
        if (*slot == 0) {
            *slot = (uint32_t)(row + 1);
            continue;
        }
        size_t winner = *slot - 1;
        first->same[row] = first->same[winner];
        first->same[winner] = (uint32_t)row;
        mark(first, row, !row_equal(rows, winner, rows, same_column, row));
    }
}

void
first_fini(struct first *first)
{
    free(first->slots);
    free(first->same);
    free(first->repeated);
    free(first->differs);
    *first = (struct first){ 0 };
}

/* ---- with the table ---- */

/* Local copies of the files to look into, in the order of their paths. */
struct files {
    char **paths;
    uint8_t *hit; /* has a key of the batch */
    size_t count;
    struct mr_columns *keys; /* found so far, one column */
};

static void
files_fini(struct files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->paths[i]);
    free(files->paths);
    free(files->hit);
    mr_columns_free(files->keys);
}

static int
compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
fetch(struct files *files, struct keeper *keeper, struct keeper_table *entry, int64_t version,
      struct mr_err *err)
{
    size_t count;
    const struct mr_table_file *all = mr_table_files(entry->table, &count);
    files->paths = mr_alloc(count * sizeof(*files->paths));
    files->hit = mr_alloc(count);
    for (size_t i = 0; i < count; i++) {
        if (all[i].version <= version)
            continue;
        if (mr_table_fetch(entry->table, &all[i], keeper->cache_dir, &files->paths[files->count],
                           err) != 0)
            return err->code;
        files->count++;
    }
    qsort(files->paths, files->count, sizeof(*files->paths), compare_paths);
    return 0;
}

static void
put_scan(struct mr_buf *text, const struct files *files, bool only_hit, const char *option)
{
    const char *comma = "";
    mr_buf_text(text, " FROM read_parquet([");
    for (size_t i = 0; i < files->count; i++) {
        if (only_hit && files->hit[i] == 0)
            continue;
        mr_buf_text(text, comma);
        mr_sql_literal(text, files->paths[i]);
        comma = ", ";
    }
    mr_buf_printf(text, "], %s = true) AS t SEMI JOIN ", option);
}

/* "t.key = other.key" */
static void
put_equal(struct mr_buf *text, const char *other, const char *key)
{
    mr_buf_printf(text, "%s AS o ON t.", other);
    mr_sql_identifier(text, key);
    mr_buf_text(text, " = o.");
    mr_sql_identifier(text, key);
}

typedef void take_rows(struct first *first, const struct mr_columns *rows, struct files *files);

/* Runs text and hands each batch of its rows to take. */
static int
each(struct mr_sql *sql, const struct mr_buf *text, take_rows *take, struct first *first,
     struct files *files, struct mr_err *err)
{
    MR_CLEANUP(mr_statement_closep) struct mr_statement *statement = NULL;
    MR_CLEANUP(mr_result_closep) struct mr_result *result = NULL;
    if (text->failed)
        return mr_fail(err, MR_E(TOO_LARGE), MR_FATAL, "%zu files are too many for one statement",
                       files->count);
    if (mr_sql_prepare(sql, text->data, &statement, err) != 0 ||
        mr_statement_run(statement, &result, err) != 0)
        return err->code;
    MR_CLEANUP(mr_columns_freep)
    struct mr_columns *rows = mr_columns_new(mr_statement_schema(statement));
    int count;
    while ((count = mr_result_next(result, rows, err)) > 0) {
        take(first, rows, files);
        mr_columns_reset(rows);
    }
    return count;
}

static void
copy_key(struct mr_columns *to, const struct mr_column *key, size_t row)
{
    switch (key->field.type) {
    case MR_TYPE_STRING:
    case MR_TYPE_BINARY:
        mr_columns_text(to, 0, mr_column_text(key, row));
        break;
    case MR_TYPE_DOUBLE:
        mr_columns_double(to, 0, mr_column_double(key, row));
        break;
    case MR_TYPE_BOOL:
        mr_columns_bool(to, 0, mr_column_int(key, row) != 0);
        break;
    default:
        mr_columns_int(to, 0, mr_column_int(key, row));
    }
    mr_columns_end_row(to);
}

/* Rows of (key, file name). */
static void
take_keys(struct first *first, const struct mr_columns *rows, struct files *files)
{
    for (size_t row = 0; row < rows->rows; row++) {
        size_t at = first->slots[slot_of(first, &rows->columns[0], row)];
        MR_ASSERT(at > 0);
        MR_CLEANUP(mr_freep) char *path = NULL;
        struct mr_slice name = mr_column_text(&rows->columns[1], row);
        path = mr_strndup(name.data, name.size);
        char **file =
            bsearch(&path, files->paths, files->count, sizeof(*files->paths), compare_paths);
        MR_ASSERT(file != NULL);
        files->hit[file - files->paths] = 1;
        copy_key(files->keys, &first->rows->columns[first->key], at - 1);
    }
}

/* Whole rows of the table that have a key of the batch. */
static void
take_whole(struct first *first, const struct mr_columns *rows, struct files *files)
{
    int other[MR_FIELDS_MAX];
    (void)files;
    for (size_t c = 0; c < first->rows->count; c++) {
        other[c] = -1;
        for (size_t o = 0; o < rows->count; o++)
            if (strcmp(rows->columns[o].field.name, first->rows->columns[c].field.name) == 0)
                other[c] = (int)o;
    }
    MR_ASSERT(other[first->key] >= 0);
    for (size_t row = 0; row < rows->rows; row++) {
        size_t at = first->slots[slot_of(first, &rows->columns[other[first->key]], row)];
        MR_ASSERT(at > 0);
        for (size_t mine = at - 1, next = 1; next != 0; mine = next) {
            mark(first, mine, !row_equal(first->rows, mine, rows, other, row));
            next = first->same[mine];
        }
    }
}

static int
compare_whole(struct first *first, struct keeper *keeper, struct keeper_table *entry,
              struct files *files, struct mr_err *err)
{
    const char *key = first->rows->columns[first->key].field.name;
    struct mr_schema one = { .fields = &first->rows->columns[first->key].field, .count = 1 };
    const struct mr_columns *keys = files->keys;
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, SQL_BYTES_MAX);
    mr_buf_text(&text, "SELECT t.*");
    put_scan(&text, files, true, "union_by_name");
    put_equal(&text, entry->hits, key);
    if (mr_sql_relation(keeper->sql, entry->hits, &one, err) != 0 ||
        mr_sql_bind(keeper->sql, entry->hits, &keys, 1, err) != 0)
        return err->code;
    int code = each(keeper->sql, &text, take_whole, first, files, err);
    struct mr_err ignored = { 0 };
    (void)mr_sql_bind(keeper->sql, entry->hits, NULL, 0, &ignored);
    return code;
}

int
first_join(struct first *first, struct keeper *keeper, struct keeper_table *entry, int64_t version,
           struct mr_err *err)
{
    const struct mr_field *key = &first->rows->columns[first->key].field;
    struct mr_schema one = { .fields = &first->rows->columns[first->key].field, .count = 1 };
    MR_CLEANUP(files_fini) struct files files = { .keys = mr_columns_new(&one) };
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, SQL_BYTES_MAX);
    if (fetch(&files, keeper, entry, version, err) != 0)
        return err->code;
    if (files.count == 0)
        return 0;
    mr_buf_text(&text, "SELECT t.");
    mr_sql_identifier(&text, key->name);
    mr_buf_text(&text, ", t.filename");
    put_scan(&text, &files, false, "filename");
    put_equal(&text, entry->relation, key->name);
    if (each(keeper->sql, &text, take_keys, first, &files, err) != 0)
        return err->code;
    return files.keys->rows > 0 ? compare_whole(first, keeper, entry, &files, err) : 0;
}
