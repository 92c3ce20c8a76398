/*
 * Parquet files for Delta tables, and their statistics as Delta's log holds them. The statistics
 * come from the written file's own footer, one row a row group and column, and are merged here.
 */
#include "sql/private.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

enum { TEXT_MAX = 1 << 20, BOUND_BYTES_MAX = 64, BOUND_DIGITS = 17, GROUP_ROWS = 20480 };

/* Columns of the footer query. */
enum { PATH, VALUES, NULLS, MIN, MAX, MIN_US, MAX_US };

/* ---- bounds as JSON ---- */

struct bounds {
    bool known, lost; /* lost: some row group has values but no bounds */
    int64_t least, most;
    double low, high;
    struct mr_slice first, last;
};

static void
merge_text(struct bounds *bounds, struct mr_slice low, struct mr_slice high)
{
    if (low.size > BOUND_BYTES_MAX || high.size > BOUND_BYTES_MAX) {
        bounds->lost = true;
        return;
    }
    size_t least = low.size < bounds->first.size ? low.size : bounds->first.size;
    int order = memcmp(low.data, bounds->known ? bounds->first.data : low.data, least);
    if (!bounds->known || order < 0 || (order == 0 && low.size < bounds->first.size))
        bounds->first = low;
    least = high.size < bounds->last.size ? high.size : bounds->last.size;
    order = memcmp(high.data, bounds->known ? bounds->last.data : high.data, least);
    if (!bounds->known || order > 0 || (order == 0 && high.size > bounds->last.size))
        bounds->last = high;
}

static void
merge_long(struct bounds *bounds, int64_t low, int64_t high)
{
    bounds->least = !bounds->known || low < bounds->least ? low : bounds->least;
    bounds->most = !bounds->known || high > bounds->most ? high : bounds->most;
}

static void
merge_double(struct bounds *bounds, double low, double high)
{
    if (!isfinite(low) || !isfinite(high)) {
        bounds->lost = true;
        return;
    }
    bounds->low = !bounds->known || low < bounds->low ? low : bounds->low;
    bounds->high = !bounds->known || high > bounds->high ? high : bounds->high;
}

static void
merge(struct bounds *bounds, enum mr_type type, const struct mr_columns *footer, size_t row)
{
    const struct mr_column *at = footer->columns;
    bool is_time = type == MR_TYPE_TIMESTAMP;
    if (mr_column_is_null(&at[is_time ? MIN_US : MIN], row) ||
        mr_column_is_null(&at[is_time ? MAX_US : MAX], row)) {
        bounds->lost = true;
        return;
    }
    struct mr_slice low = mr_column_text(&at[MIN], row), high = mr_column_text(&at[MAX], row);
    char number[2][48];
    (void)snprintf(number[0], sizeof(number[0]), "%.*s", (int)low.size, (const char *)low.data);
    (void)snprintf(number[1], sizeof(number[1]), "%.*s", (int)high.size, (const char *)high.data);
    if (type == MR_TYPE_STRING)
        merge_text(bounds, low, high);
    else if (type == MR_TYPE_DOUBLE)
        merge_double(bounds, strtod(number[0], NULL), strtod(number[1], NULL));
    else if (is_time)
        merge_long(bounds, mr_column_int(&at[MIN_US], row), mr_column_int(&at[MAX_US], row));
    else
        merge_long(bounds, strtoll(number[0], NULL, 10), strtoll(number[1], NULL, 10));
    bounds->known = true;
}

/* Milliseconds, as Delta wants them; false for years that its text cannot hold. */
static bool
put_time(char *to, size_t size, int64_t us)
{
    int64_t ms = us / 1000 - (us % 1000 < 0);
    time_t seconds = (time_t)(ms / 1000 - (ms % 1000 < 0));
    struct tm parts;
    char text[32];
    if (gmtime_r(&seconds, &parts) == NULL || parts.tm_year < -1899 || parts.tm_year > 8099)
        return false;
    (void)snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d", parts.tm_year + 1900,
                   parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    (void)snprintf(to, size, "\"%s.%03dZ\"", text, (int)(ms - (int64_t)seconds * 1000));
    return true;
}

/* The shortest decimals that read back as the same number. Zero has two signs that compare equal: a
 * bound is the outer one of them. */
static void
put_double(char *to, size_t size, double value, const char *zero)
{
    if (value == 0) {
        (void)snprintf(to, size, "%s", zero);
        return;
    }
    for (int digits = 1; digits <= BOUND_DIGITS; digits++) {
        (void)snprintf(to, size, "%.*g", digits, value);
        if (strtod(to, NULL) == value)
            return;
    }
}

static bool
put_text(char *to, size_t size, struct mr_slice text)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf json;
    mr_buf_init(&json, size - 1);
    mr_buf_json(&json, text);
    if (json.failed)
        return false;
    memcpy(to, json.data, json.size + 1);
    return true;
}

static bool
put_bounds(const struct bounds *bounds, enum mr_type type, struct mr_column_stats *ret)
{
    size_t size = sizeof(ret->min);
    switch (type) {
    case MR_TYPE_STRING:
        return put_text(ret->min, size, bounds->first) && put_text(ret->max, size, bounds->last);
    case MR_TYPE_TIMESTAMP: /* the greatest is rounded up to its millisecond */
        return bounds->most <= INT64_MAX - 999 && put_time(ret->min, size, bounds->least) &&
               put_time(ret->max, size, bounds->most + 999);
    case MR_TYPE_DOUBLE:
        put_double(ret->min, size, bounds->low, "-0.0");
        put_double(ret->max, size, bounds->high, "0.0");
        return true;
    case MR_TYPE_INTEGER:
    case MR_TYPE_LONG:
        (void)snprintf(ret->min, size, "%lld", (long long)bounds->least);
        (void)snprintf(ret->max, size, "%lld", (long long)bounds->most);
        return true;
    default: /* Delta's readers use no bounds of these */
        return false;
    }
}

/* ---- the file ---- */

static void
summarise(const struct mr_columns *footer, const struct mr_field *field,
          struct mr_column_stats *ret)
{
    struct bounds bounds = { 0 };
    if (field->is_list)
        return;
    for (size_t row = 0; row < footer->rows; row++) {
        if (!mr_slice_is_text(mr_column_text(&footer->columns[PATH], row), field->name))
            continue;
        int64_t nulls = mr_column_int(&footer->columns[NULLS], row);
        ret->null_count += nulls;
        if (nulls < mr_column_int(&footer->columns[VALUES], row))
            merge(&bounds, field->type, footer, row);
    }
    ret->has_bounds = bounds.known && !bounds.lost && put_bounds(&bounds, field->type, ret);
}

static void
put_copy(struct mr_buf *to, const char *select, const struct mr_schema *schema, const char *path,
         int rows)
{
    mr_buf_text(to, "COPY (SELECT ");
    for (size_t c = 0; c < schema->count; c++) {
        const struct mr_field *field = &schema->fields[c];
        /* Epoch and back is the cast in UTC without the calendar, which costs ten times more. */
        bool is_time = field->type == MR_TYPE_TIMESTAMP && !field->is_list;
        mr_buf_text(to, c > 0 ? ", " : "");
        mr_buf_text(to, is_time ? "make_timestamptz(epoch_us(" : "CAST(");
        mr_sql_identifier(to, field->name);
        if (is_time)
            mr_buf_text(to, "))");
        else
            mr_buf_printf(to, " AS %s%s)",
                          field->type == MR_TYPE_TIMESTAMP ? "TIMESTAMPTZ"
                                                           : mr_type_duckdb(field->type),
                          field->is_list ? "[]" : "");
        mr_buf_text(to, " AS ");
        mr_sql_identifier(to, field->name);
    }
    mr_buf_printf(to, " FROM (%s\n)) TO ", select);
    mr_sql_literal(to, path);
    mr_buf_printf(to, " (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE %d)",
                  rows);
}

static int
copy_to(struct mr_sql *sql, const struct mr_buf *text, int64_t *ret_rows, struct mr_err *err)
{
    duckdb_result result;
    int code = 0;
    MR_ASSERT(!sql->result_open);
    if (duckdb_query(sql->connection, text->data, &result) != DuckDBSuccess)
        code = mr_sql_fail(duckdb_result_error(&result), duckdb_result_error_type(&result), err);
    else
        *ret_rows = (int64_t)duckdb_rows_changed(&result);
    duckdb_destroy_result(&result);
    return code;
}

/* A row group is gathered in memory before it is written. Of wide rows that may be more than there
 * is: then each chunk becomes one. */
static int
copy_within(struct mr_sql *sql, const char *select, const struct mr_schema *schema,
            const char *path, int64_t *ret_rows, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    struct mr_err why = { 0 };
    mr_buf_init(&text, TEXT_MAX);
    put_copy(&text, select, schema, path, GROUP_ROWS);
    if (text.failed)
        return mr_fail(err, MR_E(TOO_LARGE), MR_FATAL, "a SELECT of %zu bytes", strlen(select));
    int code = copy_to(sql, &text, ret_rows, &why);
    if (code != MR_E(TOO_LARGE))
        return code == 0 ? 0 : mr_fail(err, code, why.remedy, "%s", why.text);
    mr_buf_reset(&text);
    put_copy(&text, select, schema, path, 1);
    return copy_to(sql, &text, ret_rows, err);
}

/* One row a row group and column of the written file. */
static int
read_footer(struct mr_sql *sql, const char *path, struct mr_columns **ret, struct mr_err *err)
{
    /* Not prepared once: a table function's parameter hides the columns of its result. */
    MR_CLEANUP(mr_statement_closep) struct mr_statement *statement = NULL;
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, TEXT_MAX);
    mr_buf_text(&text, "SELECT path_in_schema, num_values, stats_null_count, stats_min_value, "
                       "stats_max_value, epoch_us(TRY_CAST(stats_min_value AS TIMESTAMPTZ)), "
                       "epoch_us(TRY_CAST(stats_max_value AS TIMESTAMPTZ)) "
                       "FROM parquet_metadata(");
    mr_sql_literal(&text, path);
    mr_buf_text(&text, ") ORDER BY row_group_id, column_id");
    return mr_sql_ask(sql, &statement, text.data, NULL, ret, err);
}

int
mr_sql_write_parquet(struct mr_sql *sql, const char *select, const struct mr_schema *schema,
                     const char *path, struct mr_file_stats *ret_stats, struct mr_err *err)
{
    struct mr_file_stats stats = { 0 };
    struct stat file;
    MR_CLEANUP(mr_columns_freep) struct mr_columns *footer = NULL;

    int code = copy_within(sql, select, schema, path, &stats.rows, err);
    if (code == 0)
        code = read_footer(sql, path, &footer, err);
    if (code != 0)
        return code;
    if (stat(path, &file) != 0)
        return mr_fail(err, MR_E(IO), MR_RETRY, "%s: %s", path, strerror(errno));
    stats.bytes = file.st_size;
    stats.columns = mr_alloc(schema->count * sizeof(*stats.columns));
    for (size_t c = 0; c < schema->count; c++)
        summarise(footer, &schema->fields[c], &stats.columns[c]);
    *ret_stats = stats;
    return 0;
}
