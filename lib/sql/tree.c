/*
 * The syntax tree of a statement as the engine itself gives it (json_serialize_sql), the catalogue
 * of its functions, and text made from trees. The checks stand on this.
 */
#include "sql/private.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

int
mr_tree_refuse(struct mr_err *err, const char *format, ...)
{
    char text[MR_ERR_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return mr_fail(err, MR_E(INVALID), MR_REJECT, "%s", text);
}

const char *
mr_tree_text(const json_t *node, const char *key)
{
    const char *text = json_string_value(json_object_get(node, key));
    return text != NULL ? text : "";
}

bool
mr_tree_is_one_of(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

bool
mr_tree_in_scope(const struct scope *scope, const char *name)
{
    while (scope != NULL && strcasecmp(scope->name, name) != 0)
        scope = scope->up;
    return scope != NULL;
}

bool
mr_tree_is_bare(const json_t *node, const char *schema_key, const char *catalog_key)
{
    return mr_tree_text(node, schema_key)[0] == '\0' && mr_tree_text(node, catalog_key)[0] == '\0';
}

json_t *
mr_tree_root(const json_t *tree)
{
    json_t *statement = json_array_get(json_object_get(tree, "statements"), 0);
    return json_object_get(statement, "node");
}

int
mr_tree_parse(struct mr_sql *sql, const char *text, json_t **ret, struct mr_err *err)
{
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = NULL;
    int code = mr_sql_ask(sql, &sql->parse,
                          "SELECT CAST(json_serialize_sql(CAST(? AS VARCHAR)) AS VARCHAR)", text,
                          &rows, err);
    if (code != 0)
        return code;
    MR_ASSERT(rows->rows == 1);
    struct mr_slice json = mr_column_text(&rows->columns[0], 0);
    /* Unknown places come as 2^64 - 1, more than jansson's integers hold. */
    json_t *tree = json_loadb(json.data, json.size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    if (tree == NULL)
        return mr_fail(err, MR_E(INVALID), MR_REJECT, "the statement is nested too deep");
    if (json_is_true(json_object_get(tree, "error")))
        code = mr_fail(err, MR_E(INVALID), MR_REJECT, "%s", mr_tree_text(tree, "error_message"));
    else if (json_array_size(json_object_get(tree, "statements")) != 1)
        code = mr_fail(err, MR_E(INVALID), MR_REJECT, "%zu statements where one SELECT belongs",
                       json_array_size(json_object_get(tree, "statements")));
    if (code != 0)
        json_decref(tree);
    else
        *ret = tree;
    return code;
}

int
mr_tree_load_functions(struct mr_sql *sql, struct mr_err *err)
{
    struct mr_statement *statement = NULL;
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = NULL;
    if (sql->functions != NULL)
        return 0;
    MR_CLEANUP(mr_freep)
    char *text = mr_printf(
        "SELECT lower(function_name), CASE WHEN function_type = 'aggregate' THEN %d "
        "WHEN function_type = 'macro' THEN %d WHEN stability = 'CONSISTENT' THEN %d ELSE %d END "
        "FROM duckdb_functions() WHERE schema_name = 'main' "
        "AND function_type IN ('scalar', 'aggregate', 'macro')",
        FUNCTION_AGGREGATE, FUNCTION_MACRO, FUNCTION_SCALAR, FUNCTION_CHANCE);
    int code = mr_sql_ask(sql, &statement, text, NULL, &rows, err);
    mr_statement_close(statement);
    if (code != 0)
        return code;
    sql->functions = json_object();
    for (size_t row = 0; row < rows->rows; row++) {
        struct mr_slice name = mr_column_text(&rows->columns[0], row);
        char key[TREE_NAME_MAX];
        (void)snprintf(key, sizeof(key), "%.*s", (int)name.size, (const char *)name.data);
        json_int_t kinds = json_integer_value(json_object_get(sql->functions, key));
        (void)json_object_set_new(sql->functions, key,
                                  json_integer(kinds | mr_column_int(&rows->columns[1], row)));
    }
    return 0;
}

int
mr_tree_function(const struct mr_sql *sql, const char *name)
{
    char key[TREE_NAME_MAX];
    size_t size = 0;
    for (; name[size] != '\0' && size < sizeof(key) - 1; size++)
        key[size] = (char)tolower((unsigned char)name[size]);
    key[size] = '\0';
    return (int)json_integer_value(json_object_get(sql->functions, key));
}

/* ---- text from trees ---- */

/* The engine's own spelling of a SELECT, without comments. */
static int
respell(struct mr_sql *sql, const char *text, char **ret, struct mr_err *err)
{
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = NULL;
    int code = mr_sql_ask(sql, &sql->respell,
                          "SELECT json_deserialize_sql(json_serialize_sql(CAST(? AS VARCHAR)))",
                          text, &rows, err);
    if (code != 0)
        return code;
    struct mr_slice spelled = mr_column_text(&rows->columns[0], 0);
    *ret = mr_strndup(spelled.data, spelled.size);
    return 0;
}

/* The select list of a respelled SELECT from relation, appended to ret. */
static int
put_list(struct mr_sql *sql, const char *text, const char *relation, struct mr_buf *ret,
         struct mr_err *err)
{
    static const char select[] = "SELECT ";
    MR_CLEANUP(mr_freep) char *spelled = NULL, *probe = NULL;
    MR_CLEANUP(mr_buf_fini) struct mr_buf from;
    mr_buf_init(&from, 4096);
    mr_buf_text(&from, "SELECT 1 FROM ");
    mr_sql_identifier(&from, relation);
    int code = respell(sql, text, &spelled, err);
    if (code == 0)
        code = respell(sql, from.data, &probe, err);
    if (code != 0)
        return code;
    const char *tail = strstr(probe, " FROM ");
    size_t size = strlen(spelled), tail_size = tail != NULL ? strlen(tail) : 0;
    if (tail == NULL || size < sizeof(select) + tail_size ||
        strncmp(spelled, select, sizeof(select) - 1) != 0 ||
        strcasecmp(spelled + size - tail_size, tail) != 0)
        return mr_fail(err, MR_E(INVALID), MR_REJECT, "not a plain SELECT from %s: %s", relation,
                       text);
    mr_buf_put(ret, spelled + sizeof(select) - 1, size - tail_size - (sizeof(select) - 1));
    return 0;
}

int
mr_sql_extend(struct mr_sql *sql, const char *text, const char *relation,
              const char *const *expressions, struct mr_buf *ret_text, struct mr_err *err)
{
    mr_buf_text(ret_text, "SELECT ");
    int code = put_list(sql, text, relation, ret_text, err);
    for (size_t i = 0; code == 0 && expressions[i] != NULL; i++) {
        MR_CLEANUP(mr_buf_fini) struct mr_buf alone;
        mr_buf_init(&alone, TREE_TEXT_MAX);
        mr_buf_printf(&alone, "SELECT %s FROM ", expressions[i]);
        mr_sql_identifier(&alone, relation);
        mr_buf_text(ret_text, ", ");
        code = alone.failed ? mr_fail(err, MR_E(TOO_LARGE), MR_REJECT, "a long expression")
                            : put_list(sql, alone.data, relation, ret_text, err);
    }
    mr_buf_text(ret_text, " FROM ");
    mr_sql_identifier(ret_text, relation);
    if (code == 0 && ret_text->failed)
        code = mr_fail(err, MR_E(TOO_LARGE), MR_REJECT, "a statement too long to extend");
    return code;
}
