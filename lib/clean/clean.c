/*
 * Rules on micro-batches. One statement a kind is prepared at open: clean.sql's own columns, cast
 * to the table's types, and behind them one column for each counted rule, so that counting costs no
 * second pass. A failed statement fails all its rows; halving finds the guilty ones, since each row
 * stands alone (mr_sql_check_map).
 */
#include "clean/clean.h"

#include <ctype.h>
#include <stdlib.h>

#include "sql/sql.h"

enum { TEXT_MAX = 1 << 20 };
static const int64_t memory_default = 64 << 20;

struct mr_clean_kind {
    const struct mr_kind *kind;
    struct mr_sql *sql; /* shared by all kinds */
    struct mr_statement *statement;
    size_t rules_count;
    char *rules[MR_RULES_MAX];           /* names, and below what is counted */
    char *expressions[MR_RULES_MAX + 1]; /* '(..) AS "name"', ends with NULL */
    struct mr_columns *rows;             /* of the statement: output, then rules */
    struct mr_columns *part;             /* some of the input, when halving */
    struct mr_columns view;              /* rows without the columns of the rules */
    struct mr_clean_error *errors;
    size_t errors_count, errors_capacity;
    int64_t rule_hits[MR_RULES_MAX], column_nulls[MR_FIELDS_MAX];
};

struct mr_clean {
    struct mr_sql *sql;
    size_t count;
    struct mr_clean_kind kinds[];
};

/* ---- the rules in the comments ---- */

static int
add_rule(struct mr_clean_kind *kind, const char *line, size_t size, struct mr_err *err)
{
    const char *colon = memchr(line, ':', size);
    size_t name_size = colon != NULL ? (size_t)(colon - line) : 0;
    if (name_size < 1 || name_size > MR_RULE_NAME_MAX)
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "'-- rule %.*s': write -- rule NAME: EXPRESSION", (int)size, line);
    for (size_t i = 0; i < name_size; i++)
        if (!islower((unsigned char)line[i]) && !isdigit((unsigned char)line[i]) && line[i] != '_')
            return mr_fail(err, MR_E(INVALID), MR_FATAL,
                           "rule '%.*s': a name holds a-z, 0-9 and _ only", (int)name_size, line);
    if (kind->rules_count == MR_RULES_MAX)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "more than %d rules", MR_RULES_MAX);
    size_t i = kind->rules_count++;
    kind->rules[i] = mr_strndup(line, name_size);
    kind->expressions[i] =
        mr_printf("(%.*s) AS \"rule %s\"", (int)(size - name_size - 1), colon + 1, kind->rules[i]);
    for (size_t other = 0; other < i; other++)
        if (strcmp(kind->rules[other], kind->rules[i]) == 0)
            return mr_fail(err, MR_E(INVALID), MR_FATAL, "rule '%s' stands there twice",
                           kind->rules[i]);
    return 0;
}

static int
find_rules(struct mr_clean_kind *kind, struct mr_err *err)
{
    static const char mark[] = "-- rule ";
    for (const char *line = kind->kind->clean_sql; *line != '\0';) {
        size_t size = strcspn(line, "\n");
        if (strncmp(line, mark, sizeof(mark) - 1) == 0 &&
            add_rule(kind, line + sizeof(mark) - 1, size - (sizeof(mark) - 1), err) != 0)
            return err->code;
        line += size + (line[size] == '\n');
    }
    return 0;
}

/* ---- open ---- */

/* The engine refuses an impossible cast only when it meets a row: too late, all rows would die. */
static bool
is_castable(const struct mr_field *from, const struct mr_field *to)
{
    static const bool is_number[MR_TYPE_COUNT] = {
        [MR_TYPE_INTEGER] = true, [MR_TYPE_LONG] = true, [MR_TYPE_DOUBLE] = true
    };
    return from->is_list == to->is_list &&
           (from->type == to->type || from->type == MR_TYPE_STRING || to->type == MR_TYPE_STRING ||
            (is_number[from->type] && is_number[to->type]));
}

static int
check_columns(const struct mr_clean_kind *kind, struct mr_err *err)
{
    MR_CLEANUP(mr_statement_closep) struct mr_statement *plain = NULL;
    const struct mr_schema *wanted = &kind->kind->output;
    if (mr_sql_prepare(kind->sql, kind->kind->clean_sql, &plain, err) != 0)
        return err->code;
    const struct mr_schema *given = mr_statement_schema(plain);
    for (size_t c = 0; c < wanted->count; c++) {
        if (c == given->count)
            return mr_fail(err, MR_E(INVALID), MR_FATAL,
                           "column %zu is missing: the table's field '%s' belongs there", c + 1,
                           wanted->fields[c].name);
        if (strcmp(wanted->fields[c].name, given->fields[c].name) != 0)
            return mr_fail(err, MR_E(INVALID), MR_FATAL,
                           "column %zu is '%s', the table's field '%s' belongs there", c + 1,
                           given->fields[c].name, wanted->fields[c].name);
        if (!is_castable(&given->fields[c], &wanted->fields[c]))
            return mr_fail(err, MR_E(INVALID), MR_FATAL,
                           "column %zu, '%s', is %s%s, the table's field is %s%s", c + 1,
                           given->fields[c].name, mr_type_delta(given->fields[c].type),
                           given->fields[c].is_list ? " list" : "",
                           mr_type_delta(wanted->fields[c].type),
                           wanted->fields[c].is_list ? " list" : "");
    }
    if (given->count > wanted->count)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "column %zu, '%s', is more than the table has",
                       wanted->count + 1, given->fields[wanted->count].name);
    return 0;
}

/* One SELECT that gives the cast columns and, behind them, a flag for each rule. */
static int
prepare(struct mr_clean_kind *kind, struct mr_err *err)
{
    const struct mr_schema *output = &kind->kind->output;
    MR_CLEANUP(mr_buf_fini) struct mr_buf inner, text;
    mr_buf_init(&inner, TEXT_MAX);
    mr_buf_init(&text, 2 * TEXT_MAX);
    if (mr_sql_extend(kind->sql, kind->kind->clean_sql, kind->kind->name,
                      (const char *const *)kind->expressions, &inner, err) != 0 ||
        mr_sql_check_map(kind->sql, inner.data, kind->kind->name, err) != 0)
        return err->code;
    mr_buf_text(&text, "SELECT ");
    for (size_t c = 0; c < output->count; c++) {
        const struct mr_field *field = &output->fields[c];
        mr_buf_printf(&text, "%sCAST(#%zu AS %s%s) AS ", c > 0 ? ", " : "", c + 1,
                      mr_type_duckdb(field->type), field->is_list ? "[]" : "");
        mr_sql_identifier(&text, field->name);
    }
    for (size_t i = 0; i < kind->rules_count; i++)
        mr_buf_printf(&text, ", #%zu", output->count + i + 1);
    mr_buf_printf(&text, " FROM (%s)", inner.data);
    if (text.failed)
        return mr_fail(err, MR_E(TOO_LARGE), MR_FATAL, "the text is too long");
    if (mr_sql_prepare(kind->sql, text.data, &kind->statement, err) != 0)
        return err->code;
    for (size_t i = 0; i < kind->rules_count; i++) {
        const struct mr_field *flag =
            &mr_statement_schema(kind->statement)->fields[output->count + i];
        if (flag->type != MR_TYPE_BOOL || flag->is_list)
            return mr_fail(err, MR_E(INVALID), MR_FATAL, "rule '%s' is not true or false",
                           kind->rules[i]);
    }
    return 0;
}

static int
open_kind(struct mr_clean_kind *kind, struct mr_err *err)
{
    const char *name = kind->kind->name;
    if (mr_sql_relation(kind->sql, name, &kind->kind->input, err) != 0 ||
        find_rules(kind, err) != 0 ||
        mr_sql_check_map(kind->sql, kind->kind->clean_sql, name, err) != 0 ||
        check_columns(kind, err) != 0 || prepare(kind, err) != 0)
        return mr_fail_in(err, "kind %s, clean.sql", name);
    kind->rows = mr_columns_new(mr_statement_schema(kind->statement));
    kind->part = mr_columns_new(&kind->kind->input);
    return 0;
}

int
mr_clean_open(const struct mr_contracts *contracts, int64_t memory_max, struct mr_clean **ret,
              struct mr_err *err)
{
    size_t count = mr_contracts_count(contracts);
    struct mr_sql_options options = { .memory_max = memory_max > 0 ? memory_max : memory_default };
    MR_CLEANUP(mr_clean_closep)
    struct mr_clean *clean = mr_alloc(sizeof(*clean) + count * sizeof(clean->kinds[0]));
    if (mr_sql_open(&options, &clean->sql, err) != 0)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        struct mr_clean_kind *kind = &clean->kinds[clean->count++];
        kind->kind = mr_contracts_at(contracts, i);
        kind->sql = clean->sql;
        if (open_kind(kind, err) != 0)
            return err->code;
    }
    *ret = MR_TAKE(clean);
    return 0;
}

void
mr_clean_close(struct mr_clean *clean)
{
    if (clean == NULL)
        return;
    for (size_t i = 0; i < clean->count; i++) {
        struct mr_clean_kind *kind = &clean->kinds[i];
        mr_statement_close(kind->statement);
        mr_columns_free(kind->rows);
        mr_columns_free(kind->part);
        for (size_t r = 0; r < kind->rules_count; r++) {
            free(kind->rules[r]);
            free(kind->expressions[r]);
        }
        free(kind->errors);
    }
    mr_sql_close(clean->sql);
    free(clean);
}

void
mr_clean_closep(struct mr_clean **clean)
{
    mr_clean_close(*clean);
    *clean = NULL;
}

struct mr_clean_kind *
mr_clean_find(struct mr_clean *clean, const char *kind)
{
    for (size_t i = 0; i < clean->count; i++)
        if (strcmp(clean->kinds[i].kind->name, kind) == 0)
            return &clean->kinds[i];
    return NULL;
}

const struct mr_kind *
mr_clean_contract(const struct mr_clean_kind *kind)
{
    return kind->kind;
}

size_t
mr_clean_rules(const struct mr_clean_kind *kind)
{
    return kind->rules_count;
}

const char *
mr_clean_rule(const struct mr_clean_kind *kind, size_t rule)
{
    MR_ASSERT(rule < kind->rules_count);
    return kind->rules[rule];
}

/* ---- run ---- */

static int
run_batch(struct mr_clean_kind *kind, const struct mr_columns *batch, struct mr_err *err)
{
    MR_CLEANUP(mr_result_closep) struct mr_result *result = NULL;
    size_t before = kind->rows->rows;
    int code = mr_sql_bind(kind->sql, kind->kind->name, &batch, 1, err);
    if (code == 0)
        code = mr_statement_run(kind->statement, &result, err);
    while (code == 0 && (code = mr_result_next(result, kind->rows, err)) > 0)
        code = 0;
    if (code != 0)
        mr_columns_cut(kind->rows, before);
    else
        MR_ASSERT(kind->rows->rows == before + batch->rows);
    return code;
}

static void
blame(struct mr_clean_kind *kind, size_t row, const struct mr_err *err)
{
    if (kind->errors_count == kind->errors_capacity) {
        kind->errors_capacity = kind->errors_capacity > 0 ? 2 * kind->errors_capacity : 16;
        kind->errors = mr_realloc(kind->errors, kind->errors_capacity * sizeof(kind->errors[0]));
    }
    struct mr_clean_error *error = &kind->errors[kind->errors_count++];
    error->row = row;
    memcpy(error->text, err->text, sizeof(error->text));
    mr_columns_end_row(kind->rows);
}

/* Rows [from, to) of input, which as a whole failed. */
static int
halve(struct mr_clean_kind *kind, const struct mr_columns *input, size_t from, size_t to,
      struct mr_err *err)
{
    size_t halves[] = { from, from + (to - from) / 2, to };
    for (size_t i = 0; i < 2; i++) {
        struct mr_err why = { 0 };
        if (halves[i] == halves[i + 1])
            continue;
        mr_columns_reset(kind->part);
        for (size_t row = halves[i]; row < halves[i + 1]; row++)
            mr_columns_copy_row(kind->part, input, row);
        int code = run_batch(kind, kind->part, &why);
        bool alone = halves[i + 1] - halves[i] == 1;
        if (code == 0)
            continue;
        if (why.remedy != MR_REJECT)
            return mr_fail(err, why.code, why.remedy, "%s", why.text);
        if (alone)
            blame(kind, halves[i], &why);
        else if (halve(kind, input, halves[i], halves[i + 1], err) != 0)
            return err->code;
    }
    return 0;
}

static void
count(struct mr_clean_kind *kind)
{
    size_t rows = kind->rows->rows, outputs = kind->kind->output.count;
    for (size_t c = 0; c < outputs; c++) {
        int64_t nulls = 0;
        for (size_t row = 0; row < rows; row++)
            nulls += kind->rows->columns[c].valid[row] == 0;
        kind->column_nulls[c] = nulls - (int64_t)kind->errors_count;
    }
    for (size_t r = 0; r < kind->rules_count; r++) {
        const struct mr_column *flags = &kind->rows->columns[outputs + r];
        int64_t hits = 0;
        for (size_t row = 0; row < rows; row++)
            hits += ((const uint8_t *)flags->values)[row]; /* 0 where NULL */
        kind->rule_hits[r] = hits;
    }
}

int
mr_clean_run(struct mr_clean_kind *kind, const struct mr_columns *input, struct mr_cleaned *ret,
             struct mr_err *err)
{
    struct mr_err why = { 0 };
    mr_columns_reset(kind->rows);
    kind->errors_count = 0;
    int code = input->rows > 0 ? run_batch(kind, input, &why) : 0;
    if (code != 0 && why.remedy != MR_REJECT)
        return mr_fail(err, why.code, why.remedy, "%s", why.text);
    if (code != 0 && halve(kind, input, 0, input->rows, err) != 0)
        return err->code;
    MR_ASSERT(kind->rows->rows == input->rows);
    count(kind);
    kind->view = (struct mr_columns){ .columns = kind->rows->columns,
                                      .count = kind->kind->output.count,
                                      .rows = kind->rows->rows };
    *ret = (struct mr_cleaned){ &kind->view, kind->errors, kind->errors_count, kind->rule_hits,
                                kind->column_nulls };
    return 0;
}
