/*
 * Asks the questions of rules.c and prints what they answer.
 */
#include "verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHOWN_MAX = 5, TEXT_BYTES_MAX = 1 << 20 };

/* Behind all offsets and times, and far from where adding to it would overflow. */
#define AFTER_ALL "4000000000000000000"

/* ---- asking ---- */

static void
put_value(const struct verify *v, const struct check_options *options, char name, struct mr_buf *to)
{
    switch (name) {
    case 'T':
        mr_buf_text(to, v->topics[MR_TOPIC_RAW]);
        break;
    case 'W':
        mr_buf_printf(to, "%" PRId64, v->repeat_window);
        break;
    case 'K':
        mr_buf_text(to, v->kind->key_in >= 0 ? "true" : "false");
        break;
    case 'N':
        mr_buf_printf(to, "%" PRId64, options->now_ms);
        break;
    case 'L':
        mr_buf_printf(to, "%" PRId64, options->in_flight_ms);
        break;
    default:
        MR_ASSERT(name == 'A');
        mr_buf_text(to, AFTER_ALL);
    }
}

/* text with $T and the others filled in. */
static char *
fill(const struct verify *v, const struct check_options *options, const char *text)
{
    struct mr_buf buf;
    mr_buf_init(&buf, TEXT_BYTES_MAX);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '$')
            put_value(v, options, *++at, &buf);
        else
            mr_buf_put(&buf, at, 1);
    }
    char *ret = mr_strndup(buf.data, buf.size);
    mr_buf_fini(&buf);
    return ret;
}

/* Calls take for each row of the answer. */
static int
ask(struct verify *v, const struct check_options *options, const char *text,
    void (*take)(void *self, const struct mr_columns *rows, size_t row), void *self,
    struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *sql = fill(v, options, text);
    MR_CLEANUP(mr_statement_closep) struct mr_statement *statement = NULL;
    MR_CLEANUP(mr_result_closep) struct mr_result *result = NULL;
    if (mr_sql_prepare(v->ground.sql, sql, &statement, err) != 0)
        return err->code;
    MR_CLEANUP(mr_columns_freep)
    struct mr_columns *rows = mr_columns_new(mr_statement_schema(statement));
    if (mr_statement_run(statement, &result, err) != 0)
        return err->code;
    for (int count; (count = mr_result_next(result, rows, err)) != 0; mr_columns_reset(rows)) {
        if (count < 0)
            return err->code;
        for (size_t row = 0; row < rows->rows; row++)
            take(self, rows, row);
    }
    return 0;
}

static void
print_json(struct mr_slice text, bool is_first)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf line;
    mr_buf_init(&line, TEXT_BYTES_MAX);
    mr_buf_json(&line, text);
    printf("%s%.*s", is_first ? "" : ",", (int)line.size, line.data);
}

struct found {
    bool json;
    size_t count;
};

static void
take_place(void *self, const struct mr_columns *rows, size_t row)
{
    struct found *found = self;
    struct mr_slice text = mr_column_text(&rows->columns[0], row);
    if (found->count++ >= SHOWN_MAX)
        return;
    if (found->json)
        print_json(text, found->count == 1);
    else
        printf("      %.*s\n", (int)text.size, (const char *)text.data);
}

static void
take_gap(void *self, const struct mr_columns *rows, size_t row)
{
    struct found *found = self;
    struct mr_slice text = mr_column_text(&rows->columns[0], row);
    if (found->json)
        print_json(text, found->count++ == 0);
    else
        printf("  not checked: %.*s\n", (int)text.size, (const char *)text.data);
}

static int
run_rule(struct verify *v, const struct check_options *options, const struct rule *rule,
         bool *ret_holds, struct mr_err *err)
{
    struct found found = { .json = options->json };
    MR_CLEANUP(mr_freep) char *text = fill(v, options, rule->text);
    if (options->json)
        printf("{\"rule\":\"%s\",\"places\":[", text);
    if (ask(v, options, rule->sql, take_place, &found, err) != 0)
        return mr_fail_in(err, "%s", text);
    if (options->json)
        printf("],\"broken\":%zu}", found.count);
    else if (found.count > 0)
        printf("  BROKEN %s: %zu\n", text, found.count);
    *ret_holds = *ret_holds && found.count == 0;
    return 0;
}

static void
take_law(void *self, const struct mr_columns *rows, size_t row)
{
    int64_t *numbers = self;
    for (size_t i = 0; i < 5; i++)
        numbers[i] = mr_column_int(&rows->columns[i], row);
}

static int
run_law(struct verify *v, const struct check_options *options, const struct law *law,
        bool *ret_holds, struct mr_err *err)
{
    int64_t n[5] = { 0 };
    if (ask(v, options, law->sql, take_law, n, err) != 0)
        return mr_fail_in(err, "%s", law->stage);
    bool holds = n[0] == n[1] + n[2] + n[3] + n[4];
    if (options->json)
        printf("{\"tenant\":\"%s\",\"kind\":\"%s\",\"stage\":\"%s\",\"in\":%" PRId64
               ",\"good\":%" PRId64 ",\"repeated\":%" PRId64 ",\"dead\":%" PRId64
               ",\"in_flight\":%" PRId64 ",\"holds\":%s}",
               v->tenant, v->kind->name, law->stage, n[0], n[1], n[2], n[3], n[4],
               holds ? "true" : "false");
    else
        printf("%-14s %-8s %-10s %10" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64
               "  %s\n",
               v->tenant, v->kind->name, law->stage, n[0], n[1], n[2], n[3], n[4],
               holds ? "holds" : "BROKEN");
    *ret_holds = *ret_holds && holds;
    return 0;
}

static int
run_laws(struct verify *v, const struct check_options *options, bool *ret_holds, struct mr_err *err)
{
    for (size_t i = 0; i < verify_laws_count; i++) {
        printf("%s", options->json && i > 0 ? "," : "");
        if (run_law(v, options, &verify_laws[i], ret_holds, err) != 0)
            return err->code;
    }
    return 0;
}

static int
run_rules(struct verify *v, const struct check_options *options, bool *ret_holds,
          struct mr_err *err)
{
    bool first_only = v->kind->duplicates == MR_KEEP_FIRST;
    const char *comma = "";
    for (size_t i = 0; i < verify_rules_count; i++) {
        const struct rule *rule = &verify_rules[i];
        if (rule->when == (first_only ? KEEP_ALL : KEEP_FIRST))
            continue;
        printf("%s", options->json ? comma : "");
        comma = ",";
        if (run_rule(v, options, rule, ret_holds, err) != 0)
            return err->code;
    }
    return 0;
}

static int
run_gaps(struct verify *v, const struct check_options *options, struct mr_err *err)
{
    struct found found = { .json = options->json };
    for (size_t i = 0; i < verify_gaps_count; i++)
        if (ask(v, options, verify_gaps[i], take_gap, &found, err) != 0)
            return mr_fail_in(err, "what is not checked");
    return 0;
}

int
check_all(struct verify *v, const struct check_options *options, bool *ret_holds,
          struct mr_err *err)
{
    for (size_t i = 0; i < verify_views_count; i++) {
        const struct view *view = &verify_views[i];
        MR_CLEANUP(mr_freep) char *select = fill(v, options, view->sql);
        MR_CLEANUP(mr_freep) char *text = mr_printf("CREATE VIEW %s AS %s", view->name, select);
        if ((view->kept ? facts_derive(&v->ground, view->name, select, err)
                        : mr_sql_execute(v->ground.sql, text, err)) != 0)
            return mr_fail_in(err, "%s", view->name);
    }
    if (run_laws(v, options, ret_holds, err) != 0)
        return err->code;
    printf("%s", options->json ? "],\"rules\":[" : "");
    if (run_rules(v, options, ret_holds, err) != 0)
        return err->code;
    printf("%s", options->json ? "],\"unchecked\":[" : "");
    return run_gaps(v, options, err);
}
