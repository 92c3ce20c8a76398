/*
 * Rows as a table, CSV or JSON lines.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "clock/clock.h"
#include "contract/contract.h"

enum { CELL_WIDTH_MAX = 60, COLUMNS_MAX = MR_FIELDS_MAX, ROWS_SHOWN_MAX = 1000 };

struct printer {
    enum print_format format;
    struct mr_schema schema;
    struct mr_buf line;
    char **cells; /* of a table: rows * columns */
    size_t rows, shown;
};

bool
print_format_of(const char *word, enum print_format *ret)
{
    static const char *const words[] = { "table", "csv", "json" };
    for (size_t i = 0; i < MR_COUNT(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            *ret = (enum print_format)i;
            return true;
        }
    }
    return false;
}

/* ---- text of strangers ---- */

/* Controls (C0, DEL, C1), and what a terminal does not show but obeys: marks of direction, joiners,
 * separators, tags. */
static bool
is_shown(uint32_t c)
{
    static const struct {
        uint32_t from, to;
    } hidden[] = { { 0, 0x1f },        { 0x7f, 0x9f },      { 0xad, 0xad },     { 0x61c, 0x61c },
                   { 0x200b, 0x200f }, { 0x2028, 0x202e },  { 0x2060, 0x206f }, { 0xfeff, 0xfeff },
                   { 0xfff9, 0xfffb }, { 0xe0000, 0xe007f } };
    for (size_t i = 0; i < MR_COUNT(hidden); i++)
        if (c >= hidden[i].from && c <= hidden[i].to)
            return false;
    return true;
}

/* Bytes of the character at text, at most left; 0: it is no UTF-8. */
static size_t
character(const unsigned char *text, size_t left, uint32_t *ret)
{
    size_t size = text[0] < 0x80 ? 1 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    if (size > left || !mr_utf8_valid(mr_slice(text, size)))
        return 0;
    *ret = size == 1 ? text[0] : text[0] & (0x7fU >> size);
    for (size_t i = 1; i < size; i++)
        *ret = *ret << 6 | (text[i] & 0x3f);
    return size;
}

void
print_plain(struct mr_buf *to, struct mr_slice text)
{
    const unsigned char *bytes = text.data;
    for (size_t i = 0; i < text.size;) {
        uint32_t c = 0;
        size_t size = character(bytes + i, text.size - i, &c);
        if (size > 0 && is_shown(c))
            mr_buf_put(to, bytes + i, size);
        else
            for (size_t b = 0; b < (size > 0 ? size : 1); b++)
                mr_buf_printf(to, "\\x%02x", bytes[i + b]);
        i += size > 0 ? size : 1;
    }
}

void
print_plain_json(struct mr_buf *to, struct mr_slice json)
{
    const unsigned char *bytes = json.data;
    for (size_t i = 0; i < json.size;) {
        uint32_t c = 0;
        size_t size = character(bytes + i, json.size - i, &c);
        MR_ASSERT(size > 0);
        if (is_shown(c))
            mr_buf_put(to, bytes + i, size);
        else if (c < 0x10000)
            mr_buf_printf(to, "\\u%04x", (unsigned)c);
        else
            mr_buf_printf(to, "\\u%04x\\u%04x", (unsigned)(0xd7c0 + (c >> 10)),
                          (unsigned)(0xdc00 + (c & 0x3ff)));
        i += size;
    }
}

/* ---- values ---- */

void
print_double(struct mr_buf *buf, double value)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    if (strchr(text, 'e') != NULL && value > -1e15 && value < 1e15 &&
        value == (double)(int64_t)value)
        (void)snprintf(text, sizeof(text), "%" PRId64, (int64_t)value);
    mr_buf_text(buf, text);
}

static void
put_value(struct mr_buf *buf, const struct mr_column *column, size_t row)
{
    char text[MR_TIME_TEXT];
    struct mr_slice slice;
    switch (column->field.type) {
    case MR_TYPE_BOOL:
        mr_buf_text(buf, mr_column_int(column, row) != 0 ? "true" : "false");
        break;
    case MR_TYPE_INTEGER:
    case MR_TYPE_LONG:
        mr_buf_printf(buf, "%" PRId64, mr_column_int(column, row));
        break;
    case MR_TYPE_DOUBLE:
        print_double(buf, mr_column_double(column, row));
        break;
    case MR_TYPE_TIMESTAMP:
        mr_time_text(mr_column_int(column, row), text);
        text[10] = ' ';
        mr_buf_put(buf, text, strcmp(text + 19, ".000000Z") == 0 ? 19 : 26);
        break;
    case MR_TYPE_STRING:
    case MR_TYPE_BINARY:
        slice = mr_column_text(column, row);
        mr_buf_put(buf, slice.data, slice.size);
        break;
    case MR_TYPE_COUNT:
        MR_ASSERT(false);
    }
}

static void
put_cell(struct mr_buf *buf, const struct mr_column *column, size_t row)
{
    size_t from, to;
    if (mr_column_is_null(column, row))
        return;
    if (!column->field.is_list) {
        put_value(buf, column, row);
        return;
    }
    mr_column_list(column, row, &from, &to);
    mr_buf_text(buf, "[");
    for (size_t i = from; i < to; i++) {
        mr_buf_text(buf, i > from ? ", " : "");
        if (!mr_column_is_null(column->child, i))
            put_value(buf, column->child, i);
    }
    mr_buf_text(buf, "]");
}

/* RFC 4180: quoted when it holds a comma, a quote or a line break. */
static void
put_csv(struct mr_buf *line, const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        mr_buf_text(line, text);
        return;
    }
    mr_buf_text(line, "\"");
    for (; *text != '\0'; text++)
        mr_buf_printf(line, "%s%c", *text == '"' ? "\"" : "", *text);
    mr_buf_text(line, "\"");
}

static void
write_line(struct mr_buf *line)
{
    mr_buf_text(line, "\n");
    (void)fwrite(line->data, 1, line->size, stdout);
    mr_buf_reset(line);
}

struct printer *
printer_open(enum print_format format, const struct mr_schema *schema)
{
    struct printer *printer = mr_alloc(sizeof(*printer));
    printer->format = format;
    mr_schema_copy(schema, &printer->schema);
    mr_buf_init(&printer->line, (size_t)1 << 30);
    if (format != PRINT_CSV)
        return printer;
    for (size_t c = 0; c < schema->count; c++) {
        mr_buf_text(&printer->line, c > 0 ? "," : "");
        put_csv(&printer->line, schema->fields[c].name);
    }
    write_line(&printer->line);
    return printer;
}

static void
print_csv_row(struct printer *printer, const struct mr_columns *rows, size_t row)
{
    for (size_t c = 0; c < rows->count; c++) {
        MR_CLEANUP(mr_buf_fini) struct mr_buf cell;
        mr_buf_init(&cell, (size_t)1 << 30);
        mr_buf_text(&cell, "");
        put_cell(&cell, &rows->columns[c], row);
        mr_buf_text(&printer->line, c > 0 ? "," : "");
        put_csv(&printer->line, cell.data);
    }
    write_line(&printer->line);
}

static void
keep_table_row(struct printer *printer, const struct mr_columns *rows, size_t row)
{
    size_t columns = printer->schema.count;
    printer->rows++;
    if (printer->shown == ROWS_SHOWN_MAX)
        return;
    printer->cells =
        mr_realloc(printer->cells, (printer->shown + 1) * columns * sizeof(*printer->cells));
    for (size_t c = 0; c < columns; c++) {
        MR_CLEANUP(mr_buf_fini) struct mr_buf value;
        struct mr_buf cell;
        mr_buf_init(&value, (size_t)1 << 30);
        mr_buf_init(&cell, (size_t)1 << 30);
        mr_buf_text(&cell, "");
        put_cell(&value, &rows->columns[c], row);
        for (size_t i = 0; i < value.size; i++)
            if (isspace((unsigned char)value.data[i]))
                value.data[i] = ' ';
        print_plain(&cell, mr_buf_slice(&value));
        printer->cells[printer->shown * columns + c] = cell.data;
    }
    printer->shown++;
}

void
printer_rows(struct printer *printer, const struct mr_columns *rows)
{
    for (size_t row = 0; row < rows->rows; row++) {
        if (printer->format == PRINT_TABLE) {
            keep_table_row(printer, rows, row);
        } else if (printer->format == PRINT_CSV) {
            print_csv_row(printer, rows, row);
        } else {
            MR_CLEANUP(mr_buf_fini) struct mr_buf json;
            mr_buf_init(&json, (size_t)1 << 30);
            mr_contract_json(&printer->schema, rows, row, &json);
            print_plain_json(&printer->line, mr_buf_slice(&json));
            write_line(&printer->line);
        }
    }
}

/* Characters, as a terminal shows most of them: code points. */
static size_t
width_of(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void
print_cell(const char *text, size_t width, bool right)
{
    size_t length = width_of(text), bytes = 0, shown = 0;
    while (text[bytes] != '\0' && (shown < width || ((unsigned char)text[bytes] & 0xc0) == 0x80)) {
        shown += ((unsigned char)text[bytes] & 0xc0) != 0x80;
        bytes++;
    }
    int blanks = (int)(width - (length < width ? length : width));
    printf("%*s%.*s%*s", right ? blanks : 0, "", (int)bytes, text, right ? 0 : blanks, "");
}

static void
print_table(const struct printer *printer)
{
    size_t columns = printer->schema.count, widths[COLUMNS_MAX];
    for (size_t c = 0; c < columns; c++) {
        widths[c] = width_of(printer->schema.fields[c].name);
        for (size_t r = 0; r < printer->shown; r++) {
            size_t width = width_of(printer->cells[r * columns + c]);
            widths[c] = width > widths[c] ? width : widths[c];
        }
        widths[c] = widths[c] < CELL_WIDTH_MAX ? widths[c] : CELL_WIDTH_MAX;
    }
    for (size_t c = 0; c < columns; c++) {
        printf("%s", c > 0 ? "  " : "");
        print_cell(printer->schema.fields[c].name, widths[c], false);
    }
    printf("\n");
    for (size_t r = 0; r < printer->shown; r++) {
        for (size_t c = 0; c < columns; c++) {
            const struct mr_field *field = &printer->schema.fields[c];
            bool is_number =
                !field->is_list && (field->type == MR_TYPE_INTEGER || field->type == MR_TYPE_LONG ||
                                    field->type == MR_TYPE_DOUBLE);
            printf("%s", c > 0 ? "  " : "");
            print_cell(printer->cells[r * columns + c], widths[c], is_number);
        }
        printf("\n");
    }
    if (printer->shown < printer->rows)
        printf("... and %zu rows more; --format csv or json shows all\n",
               printer->rows - printer->shown);
}

void
printer_close(struct printer *printer)
{
    if (printer == NULL)
        return;
    if (printer->format == PRINT_TABLE)
        print_table(printer);
    for (size_t i = 0; i < printer->shown * printer->schema.count; i++)
        free(printer->cells[i]);
    free(printer->cells);
    mr_buf_fini(&printer->line);
    mr_schema_fini(&printer->schema);
    free(printer);
}
