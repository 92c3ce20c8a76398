/*
 * Does people's SQL only read what it may? Judged on the engine's own syntax tree by allow-lists:
 * DuckDB 2.0 puts COPY into a CTE, so that "the statement is a SELECT" proves nothing.
 */
#include "sql/private.h"

#include <strings.h>

struct check {
    struct mr_sql *sql;
    struct mr_err *err;
    const char *const *relations;
};

static int select_walk(const struct check *check, const json_t *node, const struct scope *scope,
                       int depth);

static int
select_table(const struct check *check, const json_t *node, const struct scope *scope)
{
    const char *name = mr_tree_text(node, "table_name");
    bool bare = mr_tree_is_bare(node, "schema_name", "catalog_name");
    bool known = bare && mr_tree_in_scope(scope, name);
    for (size_t i = 0; bare && !known && check->relations[i] != NULL; i++)
        known = strcasecmp(name, check->relations[i]) == 0;
    return known ? 0 : mr_tree_refuse(check->err, "there is no table %s", name);
}

static int
select_function(const struct check *check, const json_t *node)
{
    /* They write, wait, or tell of the process instead of the data. */
    static const char *const refused[] = {
        "currval",         "nextval",     "setseed",       "sleep_ms",       "write_log",
        "current_setting", "getvariable", "current_query", "get_block_size", "in_search_path",
    };
    const char *name = mr_tree_text(node, "function_name");
    const char *schema = mr_tree_text(node, "schema");
    bool ours = (schema[0] == '\0' || strcmp(schema, "main") == 0) &&
                mr_tree_text(node, "catalog")[0] == '\0';
    if (strcasecmp(name, "unnest") == 0 && ours)
        return 0;
    if (!ours || mr_tree_function(check->sql, name) == 0)
        return mr_tree_refuse(check->err, "there is no function %s()", name);
    for (size_t i = 0; i < MR_COUNT(refused); i++)
        if (strcasecmp(name, refused[i]) == 0)
            return mr_tree_refuse(check->err, "%s() is not offered here", name);
    return 0;
}

static int
select_table_function(const struct check *check, const json_t *node)
{
    static const char *const offered[] = { "range", "generate_series", "unnest" };
    const json_t *function = json_object_get(node, "function");
    const char *name = mr_tree_text(function, "function_name");
    bool bare = mr_tree_is_bare(function, "schema", "catalog");
    bool known = bare && mr_tree_is_one_of(name, offered, MR_COUNT(offered));
    for (size_t i = 0; bare && !known && check->relations[i] != NULL; i++)
        known = strcasecmp(name, check->relations[i]) == 0;
    return known ? 0 : mr_tree_refuse(check->err, "there is no table function %s()", name);
}

static int
select_expression(const struct check *check, const json_t *node, const char *class)
{
    static const char *const allowed[] = {
        "BETWEEN",     "CASE",     "CAST",   "COLLATE",  "COLUMN_REF",           "COMPARISON",
        "CONJUNCTION", "CONSTANT", "LAMBDA", "OPERATOR", "POSITIONAL_REFERENCE", "STAR",
        "SUBQUERY",
    };
    if (strcmp(class, "FUNCTION") == 0 || strcmp(class, "WINDOW") == 0)
        return select_function(check, node);
    if (mr_tree_is_one_of(class, allowed, MR_COUNT(allowed)))
        return 0;
    return mr_tree_refuse(check->err, "an expression of class %s has no place here", class);
}

/* Query nodes, table references, modifiers and orders, by their type. */
static int
select_node(const struct check *check, const json_t *node, const char *type,
            const struct scope *scope)
{
    static const char *const allowed[] = {
        "SELECT_NODE",
        "SET_OPERATION_NODE",
        "RECURSIVE_CTE_NODE",
        "EMPTY",
        "EXPRESSION_LIST",
        "JOIN",
        "PIVOT",
        "SUBQUERY",
        "ORDER_MODIFIER",
        "LIMIT_MODIFIER",
        "LIMIT_PERCENT_MODIFIER",
        "DISTINCT_MODIFIER",
        "ORDER_DEFAULT",
        "ASCENDING",
        "DESCENDING",
    };
    size_t size = strlen(type);
    if (strcmp(type, "BASE_TABLE") == 0)
        return select_table(check, node, scope);
    if (strcmp(type, "TABLE_FUNCTION") == 0)
        return select_table_function(check, node);
    /* Parameters of a type: DECIMAL_TYPE_INFO. */
    if (size > 10 && strcmp(type + size - 10, "_TYPE_INFO") == 0)
        return 0;
    if (mr_tree_is_one_of(type, allowed, MR_COUNT(allowed)))
        return 0;
    return mr_tree_refuse(check->err, "%s has no place here: write one SELECT", type);
}

static int
select_below(const struct check *check, const json_t *node, const struct scope *scope, int depth)
{
    const char *key;
    json_t *below;
    size_t i;
    int code = 0;
    json_object_foreach((json_t *)(uintptr_t)node, key, below)
    {
        if (strcmp(key, "cte_map") == 0)
            continue;
        code = select_walk(check, below, scope, depth + 1);
        if (code != 0)
            return code;
    }
    json_array_foreach(node, i, below)
    {
        code = select_walk(check, below, scope, depth + 1);
        if (code != 0)
            return code;
    }
    return code;
}

/* The i-th common table expression sees those before it, and itself when it is recursive; the
 * query sees all of them. */
static int
select_with(const struct check *check, const json_t *node, size_t i, const struct scope *scope,
            int depth)
{
    const json_t *map = json_object_get(json_object_get(node, "cte_map"), "map");
    if (i == json_array_size(map))
        return select_below(check, node, scope, depth);
    const json_t *entry = json_array_get(map, i);
    struct scope with = { mr_tree_text(entry, "key"), scope };
    const json_t *query = json_object_get(json_object_get(entry, "value"), "query");
    bool recursive =
        strcmp(mr_tree_text(json_object_get(query, "node"), "type"), "RECURSIVE_CTE_NODE") == 0;
    int code =
        select_walk(check, json_object_get(entry, "value"), recursive ? &with : scope, depth + 1);
    return code != 0 ? code : select_with(check, node, i + 1, &with, depth + 1);
}

static int
select_walk(const struct check *check, const json_t *node, const struct scope *scope, int depth)
{
    if (depth > TREE_DEPTH_MAX)
        return mr_tree_refuse(check->err, "a statement nested deeper than %d", TREE_DEPTH_MAX);
    const char *class = mr_tree_text(node, "class"), *type = mr_tree_text(node, "type");
    int code = 0;
    if (class[0] != '\0')
        code = select_expression(check, node, class);
    else if (type[0] != '\0')
        code = select_node(check, node, type, scope);
    if (code != 0)
        return code;
    /* The function of a table function was judged above, by other rules. */
    if (class[0] == '\0' && strcmp(type, "TABLE_FUNCTION") == 0)
        return select_below(check, json_object_get(json_object_get(node, "function"), "children"),
                            scope, depth + 1);
    if (json_object_get(node, "cte_map") != NULL)
        return select_with(check, node, 0, scope, depth);
    return select_below(check, node, scope, depth);
}

int
mr_sql_check_select(struct mr_sql *sql, const char *text, const char *const *relations,
                    struct mr_err *err)
{
    struct check check = { .sql = sql, .err = err, .relations = relations };
    json_t *tree = NULL;
    int code = mr_tree_load_functions(sql, err);
    if (code == 0)
        code = mr_tree_parse(sql, text, &tree, err);
    if (code == 0)
        code = select_walk(&check, mr_tree_root(tree), NULL, 0);
    json_decref(tree);
    return code;
}
