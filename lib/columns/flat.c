/*
 * The flat form of a batch: one head, one description a column (a list's elements follow it as one
 * more), then the arrays as they stand in memory. Reading is checking and pointing, no copy.
 */
#include "columns/columns.h"

enum { ALIGN = 8, FLAT_NAME = 72 };

static const char magic[4] = "MRC1";

struct head {
    char magic[4];
    uint32_t columns; /* without the children of lists */
    uint64_t rows, bytes;
};

struct part {
    char name[FLAT_NAME];
    uint32_t type, is_list;
    uint64_t rows, valid_at, values_at, heap_at, heap_bytes;
};
_Static_assert(sizeof(struct head) % ALIGN == 0 && sizeof(struct part) % ALIGN == 0, "aligned");
_Static_assert(FLAT_NAME >= sizeof(((struct mr_field *)NULL)->name), "names fit");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the flat form is little endian");

static uint64_t
aligned(uint64_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* ---- writing ---- */

static void
put_padded(struct mr_buf *buf, const void *data, size_t bytes)
{
    static const char zeros[ALIGN];
    mr_buf_put(buf, data, bytes);
    mr_buf_put(buf, zeros, (size_t)(aligned(bytes) - bytes));
}

static bool
has_heap(const struct mr_column *column)
{
    return column->child == NULL &&
           (column->field.type == MR_TYPE_STRING || column->field.type == MR_TYPE_BINARY);
}

/* Bytes of text or elements of lists that the first rows hold. */
static size_t
end_of(const struct mr_column *column, size_t rows)
{
    bool has_ends = has_heap(column) || column->child != NULL;
    return has_ends && rows > 0 ? ((const uint32_t *)column->values)[rows - 1] : 0;
}

/* A row that is not complete is left out: a column goes as far as complete rows do. */
static void
describe(const struct mr_column *column, size_t rows, uint64_t *at, struct mr_buf *ret)
{
    size_t end = end_of(column, rows);
    struct part part = { .type = column->field.type,
                         .is_list = column->field.is_list,
                         .rows = rows,
                         .heap_bytes = has_heap(column) ? end : 0 };
    memcpy(part.name, column->field.name, sizeof(column->field.name));
    part.valid_at = *at;
    part.values_at = part.valid_at + aligned(rows);
    part.heap_at = part.values_at + aligned(rows * mr_column_value_bytes(column));
    *at = part.heap_at + aligned(part.heap_bytes);
    mr_buf_put(ret, &part, sizeof(part));
    if (column->child != NULL)
        describe(column->child, end, at, ret);
}

static void
put_arrays(const struct mr_column *column, size_t rows, struct mr_buf *ret)
{
    put_padded(ret, column->valid, rows);
    put_padded(ret, column->values, rows * mr_column_value_bytes(column));
    if (column->child != NULL)
        put_arrays(column->child, end_of(column, rows), ret);
    else if (has_heap(column))
        put_padded(ret, column->heap, end_of(column, rows));
}

void
mr_columns_write(const struct mr_columns *columns, struct mr_buf *ret)
{
    size_t start = ret->size;
    struct head head = { .columns = (uint32_t)columns->count, .rows = columns->rows };
    memcpy(head.magic, magic, sizeof(magic));
    uint64_t at = sizeof(head);
    for (size_t c = 0; c < columns->count; c++)
        at += sizeof(struct part) * (columns->columns[c].child != NULL ? 2 : 1);

    mr_buf_put(ret, &head, sizeof(head));
    for (size_t c = 0; c < columns->count; c++)
        describe(&columns->columns[c], columns->rows, &at, ret);
    for (size_t c = 0; c < columns->count; c++)
        put_arrays(&columns->columns[c], columns->rows, ret);
    if (ret->failed)
        return;
    MR_ASSERT(ret->size - start == at);
    head.bytes = at;
    memcpy(ret->data + start, &head, sizeof(head));
}

/* ---- mapping ---- */

static int
corrupt(struct mr_err *err, const char *what)
{
    return mr_fail(err, MR_E(CORRUPT), MR_REJECT, "flat columns: %s", what);
}

/* The array of bytes at offset at, or NULL when it is not wholly inside. */
static void *
array_at(struct mr_slice flat, uint64_t at, uint64_t bytes)
{
    if (at % ALIGN != 0 || at > flat.size || bytes > flat.size - at)
        return NULL;
    return (char *)(uintptr_t)flat.data + at;
}

static int
map_ends(const struct mr_column *column, uint64_t most, struct mr_err *err)
{
    const uint32_t *ends = column->values;
    for (size_t i = 0; i < column->rows; i++)
        if (ends[i] > most || (i > 0 && ends[i] < ends[i - 1]))
            return corrupt(err, "a value ends outside of its column");
    return 0;
}

/* Every value is UTF-8 when the whole is and none begins inside a character. */
static int
map_utf8(const struct mr_column *column, struct mr_err *err)
{
    const uint32_t *ends = column->values;
    if (!mr_utf8_valid(mr_slice(column->heap, column->heap_size)))
        return corrupt(err, "text is not UTF-8");
    for (size_t i = 0; i < column->rows; i++)
        if (ends[i] < column->heap_size && ((uint8_t)column->heap[ends[i]] & 0xc0) == 0x80)
            return corrupt(err, "text is cut inside a character");
    return 0;
}

/* Fills column from its description; rows of a list's child are the list's last end. */
static int
map_column(struct mr_slice flat, const struct part *part, bool is_list, struct mr_column *column,
           struct mr_err *err)
{
    if (memchr(part->name, '\0', MR_FIELD_NAME_MAX + 1) == NULL || part->name[0] == '\0')
        return corrupt(err, "a column has no proper name");
    if (part->type >= MR_TYPE_COUNT || part->is_list != is_list || part->rows > UINT32_MAX)
        return corrupt(err, "a column's description is impossible");
    memcpy(column->field.name, part->name, sizeof(column->field.name));
    column->field.type = (enum mr_type)part->type;
    column->field.is_list = is_list;
    column->rows = column->capacity = (size_t)part->rows;
    column->heap_size = column->heap_capacity = (size_t)part->heap_bytes;
    column->valid = array_at(flat, part->valid_at, part->rows);
    column->values = array_at(flat, part->values_at, part->rows * mr_column_value_bytes(column));
    column->heap = array_at(flat, part->heap_at, part->heap_bytes);
    if (column->valid == NULL || column->values == NULL || column->heap == NULL)
        return corrupt(err, "a column lies outside of the data");
    if (!has_heap(column))
        return 0;
    int code = map_ends(column, column->heap_size, err);
    return code == 0 && column->field.type == MR_TYPE_STRING ? map_utf8(column, err) : code;
}

static int
map_columns(struct mr_slice flat, const struct head *head, struct mr_columns *columns,
            struct mr_err *err)
{
    size_t part_count = (flat.size - sizeof(*head)) / sizeof(struct part);
    const struct part *parts = (const struct part *)(head + 1);
    size_t p = 0;

    for (size_t c = 0; c < columns->count; c++) {
        struct mr_column *column = &columns->columns[c];
        if (p >= part_count || parts[p].rows != head->rows || parts[p].is_list > 1)
            return corrupt(err, "a column is missing or has other rows");
        bool is_list = parts[p].is_list == 1;
        column->child = is_list ? mr_alloc(sizeof(*column->child)) : NULL;
        int code = map_column(flat, &parts[p++], is_list, column, err);
        if (code != 0)
            return code;
        if (!is_list)
            continue;
        if (p >= part_count || parts[p].type != parts[p - 1].type)
            return corrupt(err, "a list has no elements or other ones");
        code = map_column(flat, &parts[p++], false, column->child, err);
        if (code == 0)
            code = map_ends(column, column->child->rows, err);
        if (code != 0)
            return code;
    }
    return 0;
}

int
mr_columns_map(struct mr_slice flat, struct mr_columns **ret, struct mr_err *err)
{
    MR_ASSERT((uintptr_t)flat.data % ALIGN == 0);
    const struct head *head = flat.data;
    if (flat.size < sizeof(*head) || memcmp(head->magic, magic, sizeof(magic)) != 0)
        return corrupt(err, "it does not start with MRC1");
    if (head->bytes != flat.size)
        return corrupt(err, "its length is not the one that it states");
    if (head->columns < 1 || head->columns > MR_FIELDS_MAX || head->rows > MR_ROWS_MAX)
        return corrupt(err, "too few or too many columns or rows");

    MR_CLEANUP(mr_columns_freep) struct mr_columns *columns = mr_alloc(sizeof(*columns));
    columns->mapping = (void *)(uintptr_t)flat.data;
    columns->count = head->columns;
    columns->rows = (size_t)head->rows;
    columns->columns = mr_alloc(columns->count * sizeof(*columns->columns));
    int code = map_columns(flat, head, columns, err);
    if (code != 0)
        return code;
    *ret = MR_TAKE(columns);
    return 0;
}
