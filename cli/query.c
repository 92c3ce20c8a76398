/*
 * Asks millrace-query: SQL as it is typed, or a question saved under a name in --queries. What the
 * answer covers goes to stderr, so stdout holds rows only.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ask.h"
#include "cli.h"
#include "clock/clock.h"
#include "millrace/v1/rpc.pb-c.h"

enum { SQL_BYTES_MAX = 1 << 20 };

struct options {
    struct cli_options common;
    const char *format, *queries, *median;
    int64_t timeout_ms, rows_max;
    bool quiet, tables;
};

static const struct mr_opt table[] = {
    { "format", MR_OPT_CHOICE, offsetof(struct options, format), "table", 0, 0, "table|csv|json",
      "How rows are written.", false },
    { "queries", MR_OPT_TEXT, offsetof(struct options, queries), "/usr/share/millrace/queries", 1,
      4096, NULL, "Folder of saved questions, NAME.sql.", false },
    { "median", MR_OPT_CHOICE, offsetof(struct options, median), "exact", 0, 0, "exact|lower",
      "Of saved questions with a median: its exact value, or the lower of the two in the middle.",
      false },
    { "timeout-ms", MR_OPT_MS, offsetof(struct options, timeout_ms), "60s", 1,
      MR_RPC_TIMEOUT_MAX_MS, NULL, "Deadline of each chunk.", false },
    { "rows-max", MR_OPT_INT, offsetof(struct options, rows_max), "0", 0, UINT32_MAX, NULL,
      "Rows at most; 0: the limit of the server.", false },
    { "quiet", MR_OPT_BOOL, offsetof(struct options, quiet), "false", 0, 0, NULL,
      "Do not say on stderr what the answer covers.", false },
    { "tables", MR_OPT_BOOL, offsetof(struct options, tables), "false", 0, 0, NULL,
      "List the tables and their columns instead of asking.", false },
    { 0 },
};

/* ---- what is asked ---- */

static int
read_file(const char *path, struct mr_buf *ret_text)
{
    FILE *file = fopen(path, "r");
    char block[4096];
    size_t got;
    if (file == NULL)
        return -1;
    while ((got = fread(block, 1, sizeof(block), file)) > 0)
        mr_buf_put(ret_text, block, got);
    (void)fclose(file);
    return 0;
}

/* One word is a name, anything else is SQL. */
static int
find_sql(const struct options *options, const char *words, struct mr_buf *ret_sql,
         struct mr_err *err)
{
    char path[4608];
    if (strspn(words, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") !=
        strlen(words)) {
        mr_buf_text(ret_sql, words);
        return 0;
    }
    if (strcmp(options->median, "lower") == 0) {
        (void)snprintf(path, sizeof(path), "%s/%s_lower.sql", options->queries, words);
        if (read_file(path, ret_sql) == 0)
            return 0;
    }
    (void)snprintf(path, sizeof(path), "%s/%s.sql", options->queries, words);
    if (read_file(path, ret_sql) == 0)
        return 0;
    return mr_fail(err, MR_E(INVALID), MR_FATAL, "there is no saved question %s (%s)", path,
                   strerror(errno));
}

/* ---- answers ---- */

static void
tell_freshness(const Millrace__V1__Chunk *first, uint64_t rows)
{
    const Millrace__V1__Freshness *fresh = first->freshness;
    char as_of[MR_TIME_TEXT];
    if (fresh == NULL || fresh->n_covered == 0)
        return;
    mr_time_text(fresh->as_of_us, as_of);
    (void)fprintf(stderr, "-- %llu rows, as of %s (%.3f s ago)\n", (unsigned long long)rows, as_of,
                  (double)(mr_wall_us() - fresh->as_of_us) / 1e6);
    for (size_t i = 0; i < fresh->n_covered; i++)
        (void)fprintf(stderr, "%s%s/%d < %lld", i == 0 ? "-- covers " : ", ",
                      fresh->covered[i]->topic, (int)fresh->covered[i]->partition,
                      (long long)fresh->covered[i]->next);
    (void)fprintf(stderr, "%s", fresh->n_covered > 0 ? "\n" : "");
}

struct output {
    enum print_format format;
    struct printer *printer;
};

static int
print_rows(void *self, const struct mr_columns *rows, struct mr_err *err)
{
    struct output *output = self;
    struct mr_field fields[MR_FIELDS_MAX];
    struct mr_schema schema = { fields, 0 };
    (void)err;
    for (; schema.count < rows->count; schema.count++)
        fields[schema.count] = rows->columns[schema.count].field;
    if (output->printer == NULL)
        output->printer = printer_open(output->format, &schema);
    printer_rows(output->printer, rows);
    return 0;
}

static int
ask_and_print(struct ask *ask, const struct options *options, const char *words, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf sql;
    struct output output = { .format = PRINT_TABLE };
    struct question question = { .tenant = options->common.tenant,
                                 .rows_max = (uint32_t)options->rows_max,
                                 .take = print_rows,
                                 .self = &output };
    Millrace__V1__Chunk *first = NULL;
    uint64_t rows = 0;
    bool is_cut = false;
    question.ret_cut = &is_cut;
    mr_buf_init(&sql, SQL_BYTES_MAX);
    (void)print_format_of(options->format, &output.format);
    if (find_sql(options, words, &sql, err) != 0)
        return err->code;
    question.sql = sql.data;
    int code = ask_sql(ask, &question, &first, &rows, err);
    printer_close(output.printer);
    if (is_cut) {
        (void)fflush(stdout);
        (void)fprintf(stderr,
                      "-- cut after %llu rows: there are more; see --rows-max here and of "
                      "millrace-query\n",
                      (unsigned long long)rows);
    }
    if (first == NULL)
        return code;
    if (!options->quiet) {
        (void)fflush(stdout);
        tell_freshness(first, rows);
    }
    millrace__v1__chunk__free_unpacked(first, NULL);
    return code;
}

static int
list_tables(struct ask *ask, struct mr_err *err)
{
    Millrace__V1__TablesReply *reply = NULL;
    if (ask_tables(ask, &reply, err) != 0)
        return err->code;
    for (size_t i = 0; i < reply->n_tables; i++) {
        const Millrace__V1__TablesReply__Table *t = reply->tables[i];
        printf("%s  version %lld, %lld rows and %lld in the tail\n", t->name, (long long)t->version,
               (long long)t->rows, (long long)t->tail_rows);
        for (size_t c = 0; c < t->n_columns; c++)
            printf("    %s\n", t->columns[c]);
    }
    millrace__v1__tables_reply__free_unpacked(reply, NULL);
    return 0;
}

int
command_query(int argc, char **argv)
{
    struct options options = { 0 };
    struct mr_err err = { 0 };
    struct ask ask = { 0 };
    int rest_count = 0;
    char **rest = NULL;
    int result = cli_load("millrace query SQL|NAME", "Asks SQL, or a saved question by its name.",
                          table, &options, argc, argv, &rest_count, &rest, &err);
    if (result > 0)
        return EXIT_FINE;
    if (result == 0 && rest_count != (options.tables ? 0 : 1))
        result = mr_fail(&err, MR_E(INVALID), MR_FATAL,
                         "query wants one SQL statement or name; see millrace query --help");
    ask.timeout_ms = options.timeout_ms;
    if (result == 0)
        result = mr_rpc_dial(options.common.query, &ask.client, &err);
    if (result == 0)
        result =
            options.tables ? list_tables(&ask, &err) : ask_and_print(&ask, &options, rest[0], &err);
    mr_rpc_close(ask.client);
    free(rest);
    return result == 0 ? EXIT_FINE : cli_refuse(&err);
}
