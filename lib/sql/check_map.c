/*
 * Does a SELECT map rows one to one and without chance? Judged on the engine's own syntax tree by
 * allow-lists: a form that nobody thought of is refused, also when a newer engine brings it.
 */
#include "sql/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct check {
    struct mr_sql *sql;
    struct mr_err *err;
    const struct mr_schema *schema; /* NULL inside of a macro: only scope names values */
    const char *relation;
    json_t *select_list; /* its aliases may be used further on in the list */
};

static int map_expression(const struct check *check, const json_t *node, const struct scope *scope,
                          int depth);

/* Walks all that hangs below an expression's node. */
static int
map_below(const struct check *check, const json_t *node, const struct scope *scope, int depth)
{
    if (json_is_object(node) && json_object_get(node, "class") != NULL)
        return map_expression(check, node, scope, depth);
    if (depth > TREE_DEPTH_MAX)
        return mr_tree_refuse(check->err, "expressions nested deeper than %d", TREE_DEPTH_MAX);
    const char *key;
    json_t *below;
    size_t i;
    int code = 0;
    json_object_foreach((json_t *)(uintptr_t)node, key, below)
    {
        code = map_below(check, below, scope, depth + 1);
        if (code != 0)
            return code;
    }
    json_array_foreach(node, i, below)
    {
        code = map_below(check, below, scope, depth + 1);
        if (code != 0)
            return code;
    }
    return code;
}

/* A macro is what it stands for, with its parameters in scope. */
static int
map_macro(const struct check *check, const char *name, int depth)
{
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = NULL;
    struct check inside = { .sql = check->sql, .err = check->err };
    int code = mr_sql_ask(check->sql, &check->sql->macro,
                          "SELECT 'SELECT ' || macro_definition, parameters FROM "
                          "duckdb_functions() WHERE function_type = 'macro' AND "
                          "schema_name = 'main' AND lower(function_name) = lower(?)",
                          name, &rows, check->err);
    for (size_t row = 0; code == 0 && row < rows->rows; row++) {
        struct mr_slice text = mr_column_text(&rows->columns[0], row);
        MR_CLEANUP(mr_freep) char *select = mr_strndup(text.data, text.size);
        struct scope parameters[64] = { 0 };
        char names[MR_COUNT(parameters)][TREE_NAME_MAX];
        const struct scope *scope = NULL;
        size_t at, end, n = 0;
        json_t *tree = NULL;
        mr_column_list(&rows->columns[1], row, &at, &end);
        for (; at < end && n < MR_COUNT(parameters); at++, n++) {
            struct mr_slice parameter = mr_column_text(rows->columns[1].child, at);
            (void)snprintf(names[n], TREE_NAME_MAX, "%.*s", (int)parameter.size,
                           (const char *)parameter.data);
            parameters[n] = (struct scope){ names[n], scope };
            scope = &parameters[n];
        }
        code = mr_tree_parse(check->sql, select, &tree, check->err);
        if (code == 0)
            code = map_below(&inside, json_object_get(mr_tree_root(tree), "select_list"), scope,
                             depth + 1);
        json_decref(tree);
    }
    return code;
}

static int
map_function(const struct check *check, const json_t *node, int depth)
{
    const char *name = mr_tree_text(node, "function_name");
    int kinds = mr_tree_function(check->sql, name);
    if (kinds & FUNCTION_CHANCE)
        return mr_tree_refuse(check->err,
                              "%s() does not give the same result each time: a row cleaned again "
                              "must come out the same",
                              name);
    if (kinds & FUNCTION_AGGREGATE)
        return mr_tree_refuse(check->err,
                              "%s() makes one value of many rows: each row must stand alone", name);
    if (kinds & FUNCTION_MACRO)
        return map_macro(check, name, depth);
    if (kinds & FUNCTION_SCALAR)
        return 0;
    return mr_tree_refuse(check->err, "%s() is not a function from one row to one value", name);
}

static bool
is_alias(const struct check *check, const char *name)
{
    json_t *item;
    size_t i;
    json_array_foreach(check->select_list, i, item)
    {
        if (strcasecmp(mr_tree_text(item, "alias"), name) == 0)
            return true;
    }
    return false;
}

/* A name that is no column may be a function in disguise: current_date. */
static int
map_column(const struct check *check, const json_t *node, const struct scope *scope)
{
    const json_t *names = json_object_get(node, "column_names");
    const char *name = json_string_value(json_array_get(names, 0));
    if (mr_tree_in_scope(scope, name))
        return 0;
    if (check->schema == NULL)
        return mr_tree_refuse(check->err, "a macro that uses '%s'", name);
    if (json_array_size(names) == 2 && strcasecmp(name, check->relation) == 0)
        name = json_string_value(json_array_get(names, 1));
    for (size_t c = 0; c < check->schema->count; c++)
        if (strcasecmp(check->schema->fields[c].name, name) == 0)
            return 0;
    if (is_alias(check, name))
        return 0;
    return mr_tree_refuse(check->err, "'%s' is not a column of %s", name, check->relation);
}

static int
map_lambda(const struct check *check, const json_t *node, const struct scope *scope, int depth)
{
    /* One parameter is a column reference, several are row(x, y). */
    json_t *left = json_object_get(node, "lhs");
    json_t *many = json_object_get(left, "children");
    size_t count = many != NULL ? json_array_size(many) : 1;
    struct scope parameters[8];
    if (count > MR_COUNT(parameters))
        return mr_tree_refuse(check->err, "a lambda of %zu parameters", count);
    for (size_t i = 0; i < count; i++) {
        json_t *parameter = many != NULL ? json_array_get(many, i) : left;
        json_t *names = json_object_get(parameter, "column_names");
        const char *name = json_string_value(json_array_get(names, 0));
        parameters[i] = (struct scope){ name != NULL ? name : "", scope };
        scope = &parameters[i];
    }
    return map_below(check, json_object_get(node, "expr"), scope, depth + 1);
}

static int
map_expression(const struct check *check, const json_t *node, const struct scope *scope, int depth)
{
    static const char *const plain[] = { "BETWEEN",    "CASE",        "CAST",     "COLLATE",
                                         "COMPARISON", "CONJUNCTION", "CONSTANT", "OPERATOR" };
    const char *class = mr_tree_text(node, "class");
    int code = 0;
    if (strcmp(class, "COLUMN_REF") == 0)
        return map_column(check, node, scope);
    if (strcmp(class, "LAMBDA") == 0)
        return map_lambda(check, node, scope, depth);
    if (strcmp(class, "FUNCTION") == 0)
        code = map_function(check, node, depth);
    else if (strcmp(class, "WINDOW") == 0)
        return mr_tree_refuse(check->err,
                              "%s() OVER looks at other rows: each row must stand alone",
                              mr_tree_text(node, "function_name"));
    else if (strcmp(class, "SUBQUERY") == 0)
        return mr_tree_refuse(check->err, "a subquery reads other rows: each row must stand alone");
    else if (strcmp(class, "STAR") == 0)
        return mr_tree_refuse(check->err,
                              "* and COLUMNS() change with the input: name each column");
    else if (!mr_tree_is_one_of(class, plain, MR_COUNT(plain)))
        return mr_tree_refuse(check->err, "an expression of class %s has no place here", class);
    if (code != 0 || depth > TREE_DEPTH_MAX)
        return code != 0 ? code
                         : mr_tree_refuse(check->err, "expressions nested deeper than %d",
                                          TREE_DEPTH_MAX);

    const char *key;
    json_t *below;
    json_object_foreach((json_t *)(uintptr_t)node, key, below)
    {
        code = map_below(check, below, scope, depth + 1);
        if (code != 0)
            return code;
    }
    return 0;
}

static int
map_source(const struct check *check, const json_t *from)
{
    if (strcmp(mr_tree_text(from, "type"), "BASE_TABLE") != 0)
        return mr_tree_refuse(check->err,
                              "FROM must name relation %s alone: no join, subquery or function",
                              check->relation);
    const char *name = mr_tree_text(from, "table_name");
    bool bare = mr_tree_is_bare(from, "schema_name", "catalog_name");
    if (strcasecmp(name, check->relation) != 0 || !bare || mr_tree_text(from, "alias")[0] != '\0')
        return mr_tree_refuse(check->err, "FROM must be plainly %s, not %s", check->relation, name);
    if (json_is_object(json_object_get(from, "sample")) ||
        json_is_object(json_object_get(from, "at_clause")))
        return mr_tree_refuse(check->err, "a sample of %s leaves rows out", check->relation);
    return 0;
}

static int
map_select(const struct check *check, const json_t *node)
{
    static const char *const absent[][2] = {
        { "where_clause", "WHERE leaves rows out" },
        { "having", "HAVING leaves rows out" },
        { "qualify", "QUALIFY leaves rows out" },
        { "sample", "SAMPLE leaves rows out" },
        { "modifiers", "DISTINCT, ORDER and LIMIT change the rows" },
        { "group_expressions", "GROUP BY merges rows" },
        { "group_sets", "GROUP BY merges rows" },
    };
    if (strcmp(mr_tree_text(node, "type"), "SELECT_NODE") != 0)
        return mr_tree_refuse(check->err,
                              "a set operation has no place here: write one plain SELECT");
    for (size_t i = 0; i < MR_COUNT(absent); i++) {
        const json_t *part = json_object_get(node, absent[i][0]);
        if (json_is_object(part) || json_array_size(part) > 0)
            return mr_tree_refuse(check->err, "%s: each row must give exactly one", absent[i][1]);
    }
    if (json_array_size(json_object_get(json_object_get(node, "cte_map"), "map")) > 0)
        return mr_tree_refuse(check->err, "WITH has no place here: write one plain SELECT");
    if (strcmp(mr_tree_text(node, "aggregate_handling"), "STANDARD_HANDLING") != 0)
        return mr_tree_refuse(check->err, "GROUP BY merges rows: each row must give exactly one");
    int code = map_source(check, json_object_get(node, "from_table"));
    return code != 0 ? code : map_below(check, json_object_get(node, "select_list"), NULL, 0);
}

int
mr_sql_check_map(struct mr_sql *sql, const char *text, const char *relation, struct mr_err *err)
{
    struct check check = { .sql = sql, .err = err, .relation = relation };
    json_t *tree = NULL;
    check.schema = mr_relation_schema(sql, relation);
    MR_ASSERT(check.schema != NULL);
    int code = mr_tree_load_functions(sql, err);
    if (code == 0)
        code = mr_tree_parse(sql, text, &tree, err);
    if (code == 0) {
        check.select_list = json_object_get(mr_tree_root(tree), "select_list");
        code = map_select(&check, mr_tree_root(tree));
    }
    json_decref(tree);
    return code;
}
