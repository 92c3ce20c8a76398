/*
 * A row for people and for comparisons: one JSON object, every field, in the order of the schema.
 */
#include "contract/private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DIGITS_MIN = 15, DIGITS_MAX = 17, NUMBER_TEXT_MAX = 40 };

/* The fewest digits that read back as the same number. */
static void
print_double(struct mr_buf *to, double value)
{
    char text[NUMBER_TEXT_MAX];
    if (!isfinite(value)) {
        mr_buf_text(to, "null"); /* JSON has no other word for it */
        return;
    }
    for (int digits = DIGITS_MIN; digits <= DIGITS_MAX; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    mr_buf_text(to, text);
}

static void
print_value(struct mr_buf *to, const struct mr_column *column, size_t row)
{
    char time[MR_TIME_TEXT_MAX + 1];
    if (mr_column_is_null(column, row)) {
        mr_buf_text(to, "null");
        return;
    }
    switch (column->field.type) {
    case MR_TYPE_BOOL:
        mr_buf_text(to, mr_column_int(column, row) != 0 ? "true" : "false");
        return;
    case MR_TYPE_DOUBLE:
        print_double(to, mr_column_double(column, row));
        return;
    case MR_TYPE_STRING:
        mr_buf_json(to, mr_column_text(column, row));
        return;
    case MR_TYPE_BINARY:
        mr_buf_text(to, "\"");
        mr_base64_encode(mr_column_text(column, row), to);
        mr_buf_text(to, "\"");
        return;
    case MR_TYPE_TIMESTAMP:
        mr_time_format(mr_column_int(column, row), time);
        mr_buf_printf(to, "\"%s\"", time);
        return;
    default:
        mr_buf_printf(to, "%" PRId64, mr_column_int(column, row));
    }
}

static void
print_column(struct mr_buf *to, const struct mr_column *column, size_t row)
{
    size_t from, end;
    if (column->child == NULL || mr_column_is_null(column, row)) {
        print_value(to, column, row);
        return;
    }
    mr_column_list(column, row, &from, &end);
    mr_buf_text(to, "[");
    for (size_t i = from; i < end; i++) {
        mr_buf_text(to, i > from ? "," : "");
        print_value(to, column->child, i);
    }
    mr_buf_text(to, "]");
}

void
mr_contract_json(const struct mr_schema *schema, const struct mr_columns *from, size_t row,
                 struct mr_buf *ret_json)
{
    MR_ASSERT(from->count == schema->count && row < from->rows);
    for (size_t i = 0; i < schema->count; i++) {
        mr_buf_printf(ret_json, "%s\"%s\":", i > 0 ? "," : "{", schema->fields[i].name);
        print_column(ret_json, &from->columns[i], row);
    }
    mr_buf_text(ret_json, "}");
}
