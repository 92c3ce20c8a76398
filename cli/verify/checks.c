/*
 * Asks the questions of rules.c and prints what they answer.
 */
#include "verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

/* What one question found. */
struct found {
    size_t count;
    char *places[SHOWN_MAX];
};

static void
found_free(struct found *found, size_t count)
{
    for (size_t i = 0; found != NULL && i < count; i++)
        for (size_t place = 0; place < SHOWN_MAX; place++)
            free(found[i].places[place]);
    free(found);
}

static void
take_place(void *self, const struct mr_columns *rows, size_t row)
{
    struct found *found = self;
    struct mr_slice text = mr_column_text(&rows->columns[0], row);
    if (found->count++ < SHOWN_MAX)
        found->places[found->count - 1] = mr_strndup(text.data, text.size);
}

struct numbers {
    int64_t of[5]; /* in, good, repeated, dead, in flight */
};

static void
take_law(void *self, const struct mr_columns *rows, size_t row)
{
    struct numbers *numbers = self;
    for (size_t i = 0; i < MR_COUNT(numbers->of); i++)
        numbers->of[i] += mr_column_int(&rows->columns[i], row);
}

/* ---- slices ---- */

struct checking {
    struct verify *v;
    const struct check_options *options;
    struct numbers *laws;
    struct found *rules;
    size_t slices;
};

static size_t
slices_of(const struct checking *c, enum by by)
{
    return by == ONCE ? 1 : c->slices;
}

/* What the views show from here on. */
static int
choose_slice(const struct checking *c, size_t slice, struct mr_err *err)
{
    const struct verify *v = c->v;
    int64_t step = (v->high - v->low) / (int64_t)c->slices + 1;
    int64_t low = v->low + step * (int64_t)slice;
    bool is_first = slice == 0, is_last = slice + 1 == c->slices;
    MR_CLEANUP(mr_freep)
    char *text = mr_printf("SET VARIABLE low = %s%" PRId64 "; SET VARIABLE high = %" PRId64
                           "; SET VARIABLE part = %zu; SET VARIABLE parts = %zu",
                           is_first ? "-" : "", is_first ? INT64_MAX : low,
                           is_last ? INT64_MAX : low + step, slice, c->slices);
    return mr_sql_execute(v->ground.sql, text, err);
}

static char *
slice_path(const struct checking *c, const struct view *view, const char *slice)
{
    return mr_printf("%s/%s-%s.parquet", c->v->ground.dir, view->name, slice);
}

static int
show_files(struct checking *c, const struct view *view, const char *path, struct mr_err *err)
{
    MR_CLEANUP(mr_freep)
    char *text = mr_printf("CREATE OR REPLACE VIEW %s AS SELECT * FROM read_parquet('%s')",
                           view->name, path);
    return mr_sql_execute(c->v->ground.sql, text, err);
}

static int
derive(struct checking *c, const struct view *view, size_t slice, struct mr_err *err)
{
    char number[16];
    (void)snprintf(number, sizeof(number), "%06zu", slice);
    MR_CLEANUP(mr_freep) char *path = slice_path(c, view, number);
    MR_CLEANUP(mr_freep) char *select = fill(c->v, c->options, view->sql);
    MR_CLEANUP(mr_freep) char *copy = mr_printf("COPY (%s) TO '%s' (FORMAT parquet)", select, path);
    if (mr_sql_execute(c->v->ground.sql, copy, err) != 0 || show_files(c, view, path, err) != 0)
        return mr_fail_in(err, "%s", view->name);
    return 0;
}

/* Of all slices. */
static int
show_whole(struct checking *c, const struct view *view, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *path = slice_path(c, view, "*");
    return show_files(c, view, path, err);
}

/* One that is derived later is replaced then; until then others can be made on top of it. */
static int
make_view(struct checking *c, const struct view *view, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *select = fill(c->v, c->options, view->sql);
    MR_CLEANUP(mr_freep) char *text = mr_printf("CREATE VIEW %s AS %s", view->name, select);
    if (mr_sql_execute(c->v->ground.sql, text, err) != 0)
        return mr_fail_in(err, "%s", view->name);
    return 0;
}

static int
prepare_view(struct checking *c, const struct view *view, struct mr_err *err)
{
    for (size_t slice = 0; slice < slices_of(c, view->by); slice++)
        if (choose_slice(c, slice, err) != 0 || derive(c, view, slice, err) != 0)
            return err->code;
    return show_whole(c, view, err);
}

/* What rules of one slice need beside; `all` of it is there afterwards, or nothing. */
static int
derive_slice(struct checking *c, enum by by, size_t slice, struct mr_err *err)
{
    for (size_t i = 0; i < verify_views_count; i++) {
        const struct view *view = &verify_views[i];
        if (view->by == by && view->derived >= DURING && derive(c, view, slice, err) != 0)
            return err->code;
    }
    return 0;
}

static int
drop_slice(struct checking *c, enum by by, size_t slice, struct mr_err *err)
{
    bool is_last = slice + 1 == slices_of(c, by);
    for (size_t i = 0; i < verify_views_count; i++) {
        const struct view *view = &verify_views[i];
        char number[16];
        (void)snprintf(number, sizeof(number), "%06zu", slice);
        MR_CLEANUP(mr_freep) char *path = slice_path(c, view, number);
        if (view->by == by && view->derived == DURING)
            (void)unlink(path);
        if (view->by == by && view->derived == GATHER && is_last && show_whole(c, view, err) != 0)
            return err->code;
    }
    return 0;
}

static int
ask_all(struct checking *c, enum by by, struct mr_err *err)
{
    bool keeps_first = c->v->kind->duplicates == MR_KEEP_FIRST;
    for (size_t i = 0; i < verify_laws_count; i++)
        if (verify_laws[i].by == by &&
            ask(c->v, c->options, verify_laws[i].sql, take_law, &c->laws[i], err) != 0)
            return mr_fail_in(err, "%s", verify_laws[i].stage);
    for (size_t i = 0; i < verify_rules_count; i++)
        if (verify_rules[i].by == by &&
            verify_rules[i].when != (keeps_first ? KEEP_ALL : KEEP_FIRST) &&
            ask(c->v, c->options, verify_rules[i].sql, take_place, &c->rules[i], err) != 0)
            return mr_fail_in(err, "%s", verify_rules[i].text);
    return 0;
}

static int
pass(struct checking *c, enum by by, struct mr_err *err)
{
    for (size_t slice = 0; slice < slices_of(c, by); slice++)
        if (choose_slice(c, slice, err) != 0 || derive_slice(c, by, slice, err) != 0 ||
            ask_all(c, by, err) != 0 || drop_slice(c, by, slice, err) != 0)
            return err->code;
    return 0;
}

static int
ask_slices(struct checking *c, struct mr_err *err)
{
    static const enum by passes[] = { ORIGIN, KEY, ONCE };
    for (size_t i = 0; i < verify_views_count; i++) {
        const struct view *view = &verify_views[i];
        if ((view->derived == BEFORE ? prepare_view(c, view, err) : make_view(c, view, err)) != 0)
            return err->code;
    }
    for (size_t i = 0; i < MR_COUNT(passes); i++)
        if (pass(c, passes[i], err) != 0)
            return err->code;
    return 0;
}

/* ---- printing ---- */

static void
print_json(const char *text, bool is_first)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf line;
    mr_buf_init(&line, TEXT_BYTES_MAX);
    mr_buf_json(&line, mr_slice_text(text));
    printf("%s%.*s", is_first ? "" : ",", (int)line.size, line.data);
}

static void
print_rule(const struct checking *c, const struct rule *rule, const struct found *found)
{
    if (c->options->json)
        printf("{\"rule\":\"%s\",\"places\":[", rule->text);
    else if (found->count > 0)
        printf("  BROKEN %s: %zu\n", rule->text, found->count);
    for (size_t i = 0; i < SHOWN_MAX && i < found->count; i++)
        if (c->options->json)
            print_json(found->places[i], i == 0);
        else
            printf("      %s\n", found->places[i]);
    if (c->options->json)
        printf("],\"broken\":%zu}", found->count);
}

static bool
print_law(const struct checking *c, const char *stage, const int64_t n[5])
{
    bool holds = n[0] == n[1] + n[2] + n[3] + n[4];
    const struct verify *v = c->v;
    if (c->options->json)
        printf("{\"tenant\":\"%s\",\"kind\":\"%s\",\"stage\":\"%s\",\"in\":%" PRId64
               ",\"good\":%" PRId64 ",\"repeated\":%" PRId64 ",\"dead\":%" PRId64
               ",\"in_flight\":%" PRId64 ",\"holds\":%s}",
               v->tenant, v->kind->name, stage, n[0], n[1], n[2], n[3], n[4],
               holds ? "true" : "false");
    else
        printf("%-14s %-8s %-10s %10" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64
               "  %s\n",
               v->tenant, v->kind->name, stage, n[0], n[1], n[2], n[3], n[4],
               holds ? "holds" : "BROKEN");
    return holds;
}

static int
print_gaps(const struct checking *c, struct mr_err *err)
{
    bool is_first = true;
    for (size_t i = 0; i < verify_gaps_count && err->code == 0; i++) {
        struct found *found = mr_alloc(sizeof(*found));
        (void)ask(c->v, c->options, verify_gaps[i], take_place, found, err);
        for (size_t place = 0; place < SHOWN_MAX && place < found->count; place++) {
            if (c->options->json)
                print_json(found->places[place], is_first);
            else
                printf("  not checked: %s\n", found->places[place]);
            is_first = false;
        }
        found_free(found, 1);
    }
    return err->code;
}

static int
print_all(const struct checking *c, bool *ret_holds, struct mr_err *err)
{
    bool json = c->options->json, keeps_first = c->v->kind->duplicates == MR_KEEP_FIRST;
    const char *comma = "";
    for (size_t i = 0; i < verify_laws_count; i++) {
        printf("%s", json && i > 0 ? "," : "");
        *ret_holds = print_law(c, verify_laws[i].stage, c->laws[i].of) && *ret_holds;
    }
    printf("%s", json ? "],\"rules\":[" : "");
    for (size_t i = 0; i < verify_rules_count; i++) {
        if (verify_rules[i].when == (keeps_first ? KEEP_ALL : KEEP_FIRST))
            continue;
        printf("%s", json ? comma : "");
        comma = ",";
        print_rule(c, &verify_rules[i], &c->rules[i]);
        *ret_holds = *ret_holds && c->rules[i].count == 0;
    }
    printf("%s", json ? "],\"unchecked\":[" : "");
    return print_gaps(c, err);
}

int
check_all(struct verify *v, const struct check_options *options, bool *ret_holds,
          struct mr_err *err)
{
    MR_CLEANUP(mr_freep)
    struct numbers *laws = mr_alloc(verify_laws_count * sizeof(*laws));
    struct checking c = { .v = v,
                          .options = options,
                          .laws = laws,
                          .rules = mr_alloc(verify_rules_count * sizeof(*c.rules)),
                          .slices = (size_t)(v->records / options->slice_records) + 1 };
    int code = ask_slices(&c, err);
    if (code == 0)
        code = print_all(&c, ret_holds, err);
    found_free(c.rules, verify_rules_count);
    return code;
}
