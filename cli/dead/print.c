/*
 * Letters as people read them. Whatever came from a producer passes print_plain.
 */
#include "cli/dead/dead.h"

#include <ctype.h>
#include <inttypes.h>

#include "clock/clock.h"
#include "contract/contract.h"

enum { HEX_BYTES = 16, SECONDS_TEXT = 19, PLACE_WIDTH = 28 };

/* ---- cells ---- */

static struct mr_slice
text_of(const struct mr_columns *rows, size_t row, size_t column)
{
    const struct mr_column *from = &rows->columns[column];
    return mr_column_is_null(from, row) ? MR_SLICE("") : mr_column_text(from, row);
}

/* Up to width characters in their column, and two blanks. */
static void
put_padded(struct mr_buf *to, struct mr_slice text, size_t width)
{
    size_t before = to->size, shown = 0;
    print_plain(to, text);
    for (size_t i = before; i < to->size; i++)
        shown += ((unsigned char)to->data[i] & 0xc0) != 0x80;
    mr_buf_printf(to, "%*s", shown < width ? (int)(width - shown) + 2 : 2, "");
}

static void
put_time(struct mr_buf *to, const struct mr_columns *rows, size_t row, size_t column)
{
    char text[MR_TIME_TEXT];
    if (mr_column_is_null(&rows->columns[column], row)) {
        mr_buf_text(to, "-");
        return;
    }
    mr_time_text(mr_column_int(&rows->columns[column], row), text);
    text[10] = ' ';
    mr_buf_put(to, text, SECONDS_TEXT);
}

static void
put_place(struct mr_buf *to, const struct mr_columns *rows, size_t row)
{
    print_plain(to, text_of(rows, row, LETTER_TOPIC));
    mr_buf_printf(to, "/%" PRId64 "/%" PRId64, mr_column_int(&rows->columns[LETTER_PARTITION], row),
                  mr_column_int(&rows->columns[LETTER_OFFSET], row));
}

/* Letters of before replays were known do not say how many attempts there were. */
static void
put_count(struct mr_buf *to, const struct mr_columns *rows, size_t row, size_t column)
{
    const struct mr_column *from = &rows->columns[column];
    if (mr_column_is_null(from, row))
        mr_buf_printf(to, "%5s  ", "-");
    else
        mr_buf_printf(to, "%5" PRId64 "  ", mr_column_int(from, row));
}

static bool
is_replayed(const struct mr_columns *rows, size_t row)
{
    return !mr_column_is_null(&rows->columns[LETTER_REPLAYED_AT], row);
}

/* ---- lines ---- */

void
dead_put_heading(struct mr_buf *to)
{
    mr_buf_printf(to, "%-19s  %-9s  %-15s  %-*s  %5s  %-8s  %-16s  %-14s  %s\n", "DEAD AT (UTC)",
                  "STAGE", "CODE", PLACE_WIDTH, "LETTER", "TRIES", "REPLAYED", "FIELD", "RULE",
                  "VALUE");
}

void
dead_put_line(struct mr_buf *to, const struct mr_columns *rows, size_t row)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf place;
    MR_ASSERT(rows->count == LETTER_COLUMNS);
    mr_buf_init(&place, 4096);
    put_place(&place, rows, row);
    put_time(to, rows, row, LETTER_DEAD_AT);
    mr_buf_text(to, "  ");
    put_padded(to, text_of(rows, row, LETTER_STAGE), 9);
    put_padded(to, text_of(rows, row, LETTER_CODE), 15);
    put_padded(to, mr_buf_slice(&place), PLACE_WIDTH);
    put_count(to, rows, row, LETTER_ATTEMPTS);
    put_padded(to, is_replayed(rows, row) ? MR_SLICE("yes") : MR_SLICE("no"), 8);
    put_padded(to, text_of(rows, row, LETTER_FIELD), 16);
    put_padded(to, text_of(rows, row, LETTER_RULE), 14);
    print_plain(to, text_of(rows, row, LETTER_VALUE));
    mr_buf_text(to, "\n");
}

void
dead_put_stats_heading(struct mr_buf *to)
{
    mr_buf_printf(to, "%9s  %9s  %-14s  %-8s  %-9s  %-15s  %-16s  %-19s  %s\n", "LETTERS",
                  "REPLAYED", "TENANT", "KIND", "STAGE", "CODE", "FIELD", "FIRST (UTC)",
                  "LAST (UTC)");
}

void
dead_put_stats_line(struct mr_buf *to, const struct mr_columns *rows, size_t row)
{
    MR_ASSERT(rows->count == STATS_COLUMNS);
    mr_buf_printf(to, "%9" PRId64 "  %9" PRId64 "  ",
                  mr_column_int(&rows->columns[STATS_LETTERS], row),
                  mr_column_int(&rows->columns[STATS_REPLAYED], row));
    put_padded(to, text_of(rows, row, STATS_TENANT), 14);
    put_padded(to, text_of(rows, row, STATS_KIND), 8);
    put_padded(to, text_of(rows, row, STATS_STAGE), 9);
    put_padded(to, text_of(rows, row, STATS_CODE), 15);
    put_padded(to, text_of(rows, row, STATS_FIELD), 16);
    put_time(to, rows, row, STATS_FIRST);
    mr_buf_text(to, "  ");
    put_time(to, rows, row, STATS_LAST);
    mr_buf_text(to, "\n");
}

void
dead_put_json(struct mr_buf *to, const struct mr_columns *rows, size_t row)
{
    struct mr_field fields[MR_FIELDS_MAX];
    struct mr_schema schema = { fields, rows->count };
    MR_CLEANUP(mr_buf_fini) struct mr_buf json;
    for (size_t c = 0; c < rows->count; c++)
        fields[c] = rows->columns[c].field;
    mr_buf_init(&json, to->max);
    mr_contract_json(&schema, rows, row, &json);
    print_plain_json(to, mr_buf_slice(&json));
}

/* ---- one letter ---- */

static void
put_entry(struct mr_buf *to, const char *name, struct mr_slice text)
{
    mr_buf_printf(to, "%-17s ", name);
    print_plain(to, text);
    mr_buf_text(to, "\n");
}

static void
put_time_entry(struct mr_buf *to, const char *name, const struct mr_columns *rows, size_t row,
               size_t column)
{
    mr_buf_printf(to, "%-17s ", name);
    put_time(to, rows, row, column);
    mr_buf_text(to, "\n");
}

/* When it was played again, and what the new record is called. */
static void
put_replay(struct mr_buf *to, const struct mr_columns *rows, size_t row)
{
    if (!is_replayed(rows, row)) {
        put_entry(to, "replayed", MR_SLICE("no"));
        return;
    }
    mr_buf_printf(to, "%-17s ", "replayed at");
    put_time(to, rows, row, LETTER_REPLAYED_AT);
    mr_buf_printf(to, ", as partition %" PRId64 " offset %" PRId64 "\n",
                  mr_column_int(&rows->columns[LETTER_REPLAYED_PARTITION], row),
                  mr_column_int(&rows->columns[LETTER_REPLAYED_OFFSET], row));
}

void
dead_put_letter(struct mr_buf *to, const struct mr_columns *rows, size_t row)
{
    static const struct {
        const char *name;
        size_t column;
    } texts[] = { { "tenant", LETTER_TENANT },     { "kind", LETTER_KIND },
                  { "stage", LETTER_STAGE },       { "code", LETTER_CODE },
                  { "field", LETTER_FIELD },       { "rule", LETTER_RULE },
                  { "value", LETTER_VALUE },       { "reason", LETTER_REASON },
                  { "event id", LETTER_EVENT_ID }, { "trace", LETTER_TRACE } };
    const struct mr_column *bytes = &rows->columns[LETTER_BYTES];
    MR_ASSERT(rows->count == LETTER_COLUMNS);
    mr_buf_printf(to, "%-17s ", "letter");
    put_place(to, rows, row);
    mr_buf_text(to, "\n");
    for (size_t i = 0; i < MR_COUNT(texts); i++)
        if (text_of(rows, row, texts[i].column).size > 0)
            put_entry(to, texts[i].name, text_of(rows, row, texts[i].column));
    mr_buf_printf(to, "%-17s %" PRId64 "\n", "contract version",
                  mr_column_int(&rows->columns[LETTER_VERSION], row));
    put_time_entry(to, "received at", rows, row, LETTER_RECEIVED_AT);
    put_time_entry(to, "dead at", rows, row, LETTER_DEAD_AT);
    if (!mr_column_is_null(&rows->columns[LETTER_ATTEMPTS], row)) {
        mr_buf_printf(to, "%-17s %" PRId64 "\n", "attempts",
                      mr_column_int(&rows->columns[LETTER_ATTEMPTS], row));
        put_time_entry(to, "first dead at", rows, row, LETTER_FIRST_DEAD_AT);
    }
    put_replay(to, rows, row);
    if (mr_column_is_null(bytes, row))
        put_entry(to, "original", MR_SLICE("none: a record without value (tombstone)"));
    else
        mr_buf_printf(to, "%-17s %" PRId64 " bytes\n", "original", mr_column_int(bytes, row));
}

/* Line breaks and tabs are no harm in a text of its own. */
static bool
is_text(struct mr_slice bytes)
{
    const char *text = bytes.data;
    if (!mr_utf8_valid(bytes))
        return false;
    for (size_t i = 0; i < bytes.size; i++)
        if (((unsigned char)text[i] < 0x20 && text[i] != '\n' && text[i] != '\t') ||
            text[i] == 0x7f)
            return false;
    return true;
}

static void
put_text(struct mr_buf *to, struct mr_slice text)
{
    const char *from = text.data, *end = from + text.size;
    while (from < end) {
        const char *at = from;
        while (at < end && *at != '\n' && *at != '\t')
            at++;
        print_plain(to, mr_slice(from, (size_t)(at - from)));
        if (at < end)
            mr_buf_put(to, at, 1);
        from = at + (at < end);
    }
    mr_buf_text(to, "\n");
}

static void
put_hex(struct mr_buf *to, struct mr_slice bytes)
{
    const unsigned char *from = bytes.data;
    for (size_t at = 0; at < bytes.size; at += HEX_BYTES) {
        size_t count = bytes.size - at < HEX_BYTES ? bytes.size - at : HEX_BYTES;
        mr_buf_printf(to, "%08zx ", at);
        for (size_t i = 0; i < HEX_BYTES; i++)
            if (i < count)
                mr_buf_printf(to, " %02x", from[at + i]);
            else
                mr_buf_text(to, "   ");
        mr_buf_text(to, "  ");
        for (size_t i = 0; i < count; i++)
            mr_buf_printf(to, "%c",
                          from[at + i] >= 0x20 && from[at + i] < 0x7f ? from[at + i] : '.');
        mr_buf_text(to, "\n");
    }
}

void
dead_put_original(struct mr_buf *to, struct mr_slice original)
{
    if (is_text(original))
        put_text(to, original);
    else
        put_hex(to, original);
}
