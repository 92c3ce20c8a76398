/*
 * Asks millrace-query: SQL as it is typed, or a question saved under a name in --queries. Chunks
 * are pulled one by one; what the answer covers goes to stderr, so stdout holds rows only.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli.h"
#include "clock/clock.h"
#include "millrace/v1/rpc.pb-c.h"
#include "rpc/rpc.h"

enum { SQL_BYTES_MAX = 1 << 20, TRIES_MS_MAX = 10000 };

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

/* ---- calls ---- */

static int
call(struct mr_rpc_client *client, const char *method, struct mr_slice body, int64_t timeout_ms,
     struct mr_rpc_answer *answer, struct mr_err *err)
{
    int64_t until_ms = mr_now_ms() + TRIES_MS_MAX;
    for (unsigned attempt = 0;; attempt++) {
        if (mr_rpc_call(client, method, body, timeout_ms, answer, err) != 0)
            return err->code;
        if (answer->status != MR_RPC_UNAVAILABLE || mr_now_ms() > until_ms)
            break;
        struct timespec pause = { .tv_nsec = (long)(mr_backoff_ms(attempt) % 1000) * 1000000 };
        (void)nanosleep(&pause, NULL);
    }
    if (answer->status == MR_RPC_OK)
        return 0;
    int code = answer->status == MR_RPC_INVALID_ARGUMENT ? MR_E(INVALID) : MR_E(UNAVAILABLE);
    return mr_fail(err, code, MR_FATAL, "%s: %s", mr_rpc_status_name(answer->status),
                   answer->message);
}

static struct mr_slice
pack(const ProtobufCMessage *message, struct mr_buf *buf)
{
    mr_buf_reset(buf);
    void *room = mr_buf_extend(buf, protobuf_c_message_get_packed_size(message));
    MR_ASSERT(room != NULL);
    (void)protobuf_c_message_pack(message, room);
    return mr_buf_slice(buf);
}

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

static int
print_chunk(const Millrace__V1__Chunk *chunk, enum print_format format, struct printer **printer,
            struct mr_err *err)
{
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = NULL;
    struct mr_field fields[MR_FIELDS_MAX];
    struct mr_schema schema = { fields, 0 };
    if (mr_columns_map(mr_slice(chunk->columns.data, chunk->columns.len), &rows, err) != 0)
        return err->code;
    for (; schema.count < rows->count; schema.count++)
        fields[schema.count] = rows->columns[schema.count].field;
    if (*printer == NULL)
        *printer = printer_open(format, &schema);
    printer_rows(*printer, rows);
    return 0;
}

static int
print_answer(struct mr_rpc_client *client, const struct options *options,
             struct mr_rpc_answer *answer, struct mr_err *err)
{
    enum print_format format = PRINT_TABLE;
    struct printer *printer = NULL;
    Millrace__V1__Chunk *first = NULL;
    struct mr_buf body;
    uint64_t rows = 0;
    int result = 0;

    (void)print_format_of(options->format, &format);
    mr_buf_init(&body, SQL_BYTES_MAX);
    for (bool is_last = false; !is_last && result == 0;) {
        Millrace__V1__Chunk *chunk =
            millrace__v1__chunk__unpack(NULL, answer->body.size, answer->body.data);
        if (chunk == NULL) {
            result = mr_fail(err, MR_E(INTERNAL), MR_FATAL, "the answer is no Chunk");
            break;
        }
        rows += chunk->rows;
        result = print_chunk(chunk, format, &printer, err);
        if (first == NULL)
            first = chunk;
        else
            millrace__v1__chunk__free_unpacked(chunk, NULL);
        is_last = answer->is_last;
        if (is_last || result != 0)
            break;
        Millrace__V1__NextRequest next = MILLRACE__V1__NEXT_REQUEST__INIT;
        MR_CLEANUP(mr_freep) char *cursor = mr_strdup(answer->cursor);
        next.cursor = cursor;
        next.sequence = answer->sequence + 1;
        result = call(client, "Next", pack(&next.base, &body), options->timeout_ms, answer, err);
    }
    printer_close(printer);
    if (first != NULL && result == 0 && !options->quiet) {
        (void)fflush(stdout);
        tell_freshness(first, rows);
    }
    if (first != NULL)
        millrace__v1__chunk__free_unpacked(first, NULL);
    mr_buf_fini(&body);
    return result;
}

static int
ask(struct mr_rpc_client *client, const struct options *options, const char *words,
    struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf sql, body;
    Millrace__V1__RunRequest request = MILLRACE__V1__RUN_REQUEST__INIT;
    struct mr_rpc_answer answer;
    mr_buf_init(&sql, SQL_BYTES_MAX);
    mr_buf_init(&body, 2 * SQL_BYTES_MAX);
    if (find_sql(options, words, &sql, err) != 0)
        return err->code;
    request.sql = sql.data;
    request.tenant = (char *)options->common.tenant;
    request.rows_max = (uint32_t)options->rows_max;
    if (call(client, "Run", pack(&request.base, &body), options->timeout_ms, &answer, err) != 0)
        return err->code;
    return print_answer(client, options, &answer, err);
}

static int
list_tables(struct mr_rpc_client *client, const struct options *options, struct mr_err *err)
{
    struct mr_rpc_answer answer;
    if (call(client, "Tables", mr_slice(NULL, 0), options->timeout_ms, &answer, err) != 0)
        return err->code;
    Millrace__V1__TablesReply *reply =
        millrace__v1__tables_reply__unpack(NULL, answer.body.size, answer.body.data);
    if (reply == NULL)
        return mr_fail(err, MR_E(INTERNAL), MR_FATAL, "the answer is no TablesReply");
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
    struct mr_rpc_client *client = NULL;
    int rest_count = 0;
    char **rest = NULL;
    int result = cli_load("millrace query SQL|NAME", "Asks SQL, or a saved question by its name.",
                          table, &options, argc, argv, &rest_count, &rest, &err);
    if (result > 0)
        return EXIT_FINE;
    if (result == 0 && rest_count != (options.tables ? 0 : 1))
        result = mr_fail(&err, MR_E(INVALID), MR_FATAL,
                         "query wants one SQL statement or name; see millrace query --help");
    if (result == 0)
        result = mr_rpc_dial(options.common.query, &client, &err);
    if (result == 0)
        result = options.tables ? list_tables(client, &options, &err)
                                : ask(client, &options, rest[0], &err);
    mr_rpc_close(client);
    free(rest);
    return result == 0 ? EXIT_FINE : cli_refuse(&err);
}
