/* What the files of sql share. */
#ifndef MR_SQL_PRIVATE_H
#define MR_SQL_PRIVATE_H

#include "sql/sql.h"

#include <duckdb.h>
#include <jansson.h>

struct relation;

struct mr_sql {
    duckdb_database database;
    duckdb_connection connection;
    struct relation *relations;
    unsigned relations_made; /* each gets a table function of its own name */
    int64_t memory_max;
    bool zero_copy;    /* text may be pointed at: the engine's layout is the known one */
    bool result_open;  /* the engine holds one stream a connection */
    json_t *functions; /* name -> kinds of function, read at the first check */
    struct mr_statement *parse, *respell, *macro; /* made at first use */
};

/* Fills err with the engine's text, folded into one line; returns its code. */
int mr_sql_fail(const char *text, duckdb_error_type type, struct mr_err *err);
/* All rows of one prepared statement, kept in *cache, with its parameter, if any, bound to value.
 */
int mr_sql_ask(struct mr_sql *sql, struct mr_statement **cache, const char *text, const char *value,
               struct mr_columns **ret_rows, struct mr_err *err);

void mr_relations_close(struct mr_sql *sql);
const struct mr_schema *mr_relation_schema(const struct mr_sql *sql, const char *name);
/* Does a duckdb_string_t of our making equal one of the engine's? */
bool mr_relation_layout_known(void);

/* ---- syntax trees ---- */

enum { TREE_DEPTH_MAX = 500, TREE_NAME_MAX = 128, TREE_TEXT_MAX = 1 << 20 };

/* Kinds of function that one name may stand for. */
enum { FUNCTION_SCALAR = 1, FUNCTION_CHANCE = 2, FUNCTION_AGGREGATE = 4, FUNCTION_MACRO = 8 };

/* Names in sight: common table expressions, parameters of lambdas and macros. */
struct scope {
    const char *name;
    const struct scope *up;
};

/* The tree of the one statement in text, owned by the caller; root is its query node. */
int mr_tree_parse(struct mr_sql *sql, const char *text, json_t **ret, struct mr_err *err);
json_t *mr_tree_root(const json_t *tree);
int mr_tree_load_functions(struct mr_sql *sql, struct mr_err *err);
int mr_tree_function(const struct mr_sql *sql, const char *name); /* its kinds; 0: none */
int mr_tree_refuse(struct mr_err *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
const char *mr_tree_text(const json_t *node, const char *key); /* "" when there is none */
bool mr_tree_is_one_of(const char *word, const char *const *words, size_t count);
bool mr_tree_in_scope(const struct scope *scope, const char *name);
/* Is the name without schema and catalog? */
bool mr_tree_is_bare(const json_t *node, const char *schema_key, const char *catalog_key);

#endif
