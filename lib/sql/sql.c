/*
 * An instance: one in-memory database that stays empty, one connection, configuration locked before
 * any foreign text is seen. What needs the network or an extension is switched off rather than
 * hoped to be absent.
 */
#include "sql/private.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t memory_default = 256 << 20;

int
mr_sql_fail(const char *text, duckdb_error_type type, struct mr_err *err)
{
    char line[MR_ERR_TEXT_MAX];
    size_t size = 0;
    for (const char *at = text != NULL ? text : "no reason given";
         *at != '\0' && size < sizeof(line) - 1; at++) {
        if (!isspace((unsigned char)*at))
            line[size++] = *at;
        else if (size > 0 && line[size - 1] != ' ')
            line[size++] = ' ';
    }
    while (size > 0 && line[size - 1] == ' ')
        size--;
    line[size] = '\0';
    switch (type) {
    case DUCKDB_ERROR_INTERRUPT:
        return mr_fail(err, MR_E(CANCELLED), MR_REJECT, "%s", line);
    case DUCKDB_ERROR_OUT_OF_MEMORY:
        return mr_fail(err, MR_E(TOO_LARGE), MR_REJECT, "%s", line);
    case DUCKDB_ERROR_IO:
        return mr_fail(err, MR_E(IO), MR_RETRY, "%s", line);
    case DUCKDB_ERROR_INTERNAL:
    case DUCKDB_ERROR_FATAL:
        return mr_fail(err, MR_E(INTERNAL), MR_FATAL, "%s", line);
    default:
        return mr_fail(err, MR_E(INVALID), MR_REJECT, "%s", line);
    }
}

int
mr_sql_execute(struct mr_sql *sql, const char *text, struct mr_err *err)
{
    duckdb_result result;
    int code = 0;
    if (duckdb_query(sql->connection, text, &result) != DuckDBSuccess)
        code = mr_sql_fail(duckdb_result_error(&result), duckdb_result_error_type(&result), err);
    duckdb_destroy_result(&result);
    /* It may have made a macro. */
    json_decref(sql->functions);
    sql->functions = NULL;
    return code;
}

static void
put_quoted(struct mr_buf *buf, const char *text, char quote)
{
    mr_buf_put(buf, &quote, 1);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == quote)
            mr_buf_put(buf, at, 1);
        mr_buf_put(buf, at, 1);
    }
    mr_buf_put(buf, &quote, 1);
}

void
mr_sql_literal(struct mr_buf *buf, const char *text)
{
    put_quoted(buf, text, '\'');
}

void
mr_sql_identifier(struct mr_buf *buf, const char *name)
{
    put_quoted(buf, name, '"');
}

static int
configure(duckdb_config config, const struct mr_sql_options *options, int64_t memory_max,
          struct mr_err *err)
{
    char threads[16], memory[32];
    (void)snprintf(threads, sizeof(threads), "%d", options->threads > 0 ? options->threads : 1);
    (void)snprintf(memory, sizeof(memory), "%lldB", (long long)memory_max);
    const char *const settings[][2] = {
        { "threads", threads },
        { "memory_limit", memory },
        { "temp_directory", options->temp_dir != NULL ? options->temp_dir : "" },
        { "autoinstall_known_extensions", "false" },
        { "autoload_known_extensions", "false" },
        { "allow_community_extensions", "false" },
    };
    for (size_t i = 0; i < MR_COUNT(settings); i++)
        if (duckdb_set_config(config, settings[i][0], settings[i][1]) != DuckDBSuccess)
            return mr_fail(err, MR_E(INVALID), MR_FATAL, "duckdb takes no %s = '%s'",
                           settings[i][0], settings[i][1]);
    return 0;
}

static int
lock(struct mr_sql *sql, const struct mr_sql_options *options, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, 1 << 20);
    mr_buf_text(&text, "SET TimeZone = 'UTC'; SET allowed_directories = [");
    for (size_t i = 0; options->dirs != NULL && options->dirs[i] != NULL; i++) {
        mr_buf_text(&text, i > 0 ? ", " : "");
        mr_sql_literal(&text, options->dirs[i]);
    }
    mr_buf_text(&text, "]; SET enable_external_access = false; SET lock_configuration = true");
    MR_ASSERT(!text.failed);
    return mr_sql_execute(sql, text.data, err);
}

static int
start(struct mr_sql *sql, const struct mr_sql_options *options, duckdb_config config,
      struct mr_err *err)
{
    char *reason = NULL;
    sql->memory_max = options->memory_max > 0 ? options->memory_max : memory_default;
    int code = configure(config, options, sql->memory_max, err);
    if (code != 0)
        return code;
    if (duckdb_open_ext(NULL, &sql->database, config, &reason) != DuckDBSuccess)
        code = mr_fail(err, MR_E(INTERNAL), MR_FATAL, "duckdb does not open: %s",
                       reason != NULL ? reason : "no reason given");
    duckdb_free(reason);
    if (code != 0)
        return code;
    if (duckdb_connect(sql->database, &sql->connection) != DuckDBSuccess)
        return mr_fail(err, MR_E(INTERNAL), MR_FATAL, "duckdb does not connect");
    sql->zero_copy = mr_relation_layout_known();
    return lock(sql, options, err);
}

int
mr_sql_open(const struct mr_sql_options *options, struct mr_sql **ret, struct mr_err *err)
{
    MR_CLEANUP(mr_sql_closep) struct mr_sql *sql = mr_alloc(sizeof(*sql));
    duckdb_config config;
    if (duckdb_create_config(&config) != DuckDBSuccess)
        return mr_fail(err, MR_E(INTERNAL), MR_FATAL, "duckdb makes no configuration");
    int code = start(sql, options, config, err);
    duckdb_destroy_config(&config);
    if (code != 0)
        return code;
    *ret = MR_TAKE(sql);
    return 0;
}

void
mr_sql_close(struct mr_sql *sql)
{
    if (sql == NULL)
        return;
    mr_statement_close(sql->parse);
    mr_statement_close(sql->respell);
    mr_statement_close(sql->macro);
    duckdb_disconnect(&sql->connection);
    duckdb_close(&sql->database);
    mr_relations_close(sql);
    json_decref(sql->functions);
    free(sql);
}

void
mr_sql_closep(struct mr_sql **sql)
{
    mr_sql_close(*sql);
    *sql = NULL;
}

void
mr_sql_interrupt(struct mr_sql *sql)
{
    duckdb_interrupt(sql->connection);
}
