/*
 * millrace dead: the letters of events that could not be used, as a list, one by one, or counted.
 *
 * It asks millrace-query, whose dead tables hold all letters ever written, those of the last moment
 * included. Reading T.dead itself would need no service, but knows only what its retention has
 * left, and would have to read all of it for any filter or order. The server filters, sorts and
 * counts within its own limits; here one chunk of an answer is held at a time.
 */
#include "cli/dead/dead.h"

#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "millrace/v1/rpc.pb-c.h"

enum { LINE_BYTES_MAX = 16 << 20, NAMES_MAX = 200 };

static const struct mr_opt table[] = {
    { "kind", MR_OPT_TEXT, offsetof(struct dead_options, kind), "", 0, MR_KIND_MAX, NULL,
      "Only of this kind.", false },
    { "code", MR_OPT_TEXT, offsetof(struct dead_options, code), "", 0, 32, NULL,
      "Only with this code, such as WRONG_TYPE.", false },
    { "stage", MR_OPT_CHOICE, offsetof(struct dead_options, stage), "any", 0, 0,
      "any|validator|cleaner", "Only from this stage.", false },
    { "since", MR_OPT_TEXT, offsetof(struct dead_options, since), "", 0, 32, NULL,
      "Only of this time or later: 2026-02-28, 2026-02-28T23:59:59 (UTC), or 90s, 15m, 2h, 7d ago.",
      false },
    { "until", MR_OPT_TEXT, offsetof(struct dead_options, until), "", 0, 32, NULL,
      "Only from before this time.", false },
    { "limit", MR_OPT_INT, offsetof(struct dead_options, limit), "50", 1, 1000000, NULL,
      "Lines at most.", false },
    { "timeout-ms", MR_OPT_MS, offsetof(struct dead_options, timeout_ms), "60s", 1,
      MR_RPC_TIMEOUT_MAX_MS, NULL, "Deadline of each chunk.", false },
    { "json", MR_OPT_BOOL, offsetof(struct dead_options, json), "false", 0, 0, NULL,
      "JSON, one object a line; show: with the original as base64.", false },
    { "raw", MR_OPT_BOOL, offsetof(struct dead_options, raw), "false", 0, 0, NULL,
      "show: only the original, byte for byte.", false },
    { 0 },
};

/* ---- whose letters ---- */

struct sources {
    Millrace__V1__TablesReply *reply;
    struct dead_source *sources;
    size_t count;
};

static void
add_name(struct mr_buf *names, const char *name)
{
    if (names->size > 0 && strstr(names->data, name) != NULL)
        return;
    mr_buf_printf(names, " %s", name);
}

/* Is there anything of this tenant, and of this kind? A typing mistake must not look like "no dead
 * letters". */
static int
check_names(const struct sources *s, const char *tenant, const char *kind, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf tenants, kinds;
    bool has_tenant = tenant[0] == '\0', has_kind = kind[0] == '\0';
    mr_buf_init(&tenants, NAMES_MAX);
    mr_buf_init(&kinds, NAMES_MAX);
    for (size_t i = 0; i < s->reply->n_tables; i++) {
        const Millrace__V1__TablesReply__Table *t = s->reply->tables[i];
        bool is_asked = tenant[0] == '\0' || strcmp(t->tenant, tenant) == 0;
        add_name(&tenants, t->tenant);
        has_tenant = has_tenant || is_asked;
        if (!is_asked || strcmp(t->kind, "dead") == 0)
            continue;
        add_name(&kinds, t->kind);
        has_kind = has_kind || strcmp(t->kind, kind) == 0;
    }
    if (!has_tenant)
        return mr_fail(err, MR_E(NOT_FOUND), MR_FATAL, "there is no tenant %s; there are:%s",
                       tenant, tenants.size > 0 ? tenants.data : " none, see millrace topics");
    if (!has_kind)
        return mr_fail(err, MR_E(NOT_FOUND), MR_FATAL, "there is no kind %s; there are:%s", kind,
                       kinds.size > 0 ? kinds.data : " none, see millrace topics");
    return 0;
}

static int
find_sources(struct ask *ask, const char *tenant, const char *kind, struct sources *ret,
             struct mr_err *err)
{
    if (ask_tables(ask, &ret->reply, err) != 0 || check_names(ret, tenant, kind, err) != 0)
        return err->code;
    ret->sources = mr_alloc((ret->reply->n_tables + 1) * sizeof(*ret->sources));
    for (size_t i = 0; i < ret->reply->n_tables; i++) {
        const Millrace__V1__TablesReply__Table *t = ret->reply->tables[i];
        if (strcmp(t->kind, "dead") == 0 && (tenant[0] == '\0' || strcmp(t->tenant, tenant) == 0))
            ret->sources[ret->count++] = (struct dead_source){ t->tenant, t->name };
    }
    return 0;
}

static void
drop_sources(struct sources *s)
{
    if (s->reply != NULL)
        millrace__v1__tables_reply__free_unpacked(s->reply, NULL);
    free(s->sources);
}

/* ---- list and stats ---- */

struct lines {
    const struct dead_options *options;
    void (*put)(struct mr_buf *to, const struct mr_columns *rows, size_t row);
    struct mr_buf buf;
    int64_t count;
};

static int
take_lines(void *self, const struct mr_columns *rows, struct mr_err *err)
{
    struct lines *lines = self;
    (void)err;
    for (size_t row = 0; row < rows->rows; row++) {
        if (++lines->count > lines->options->limit)
            break;
        if (lines->options->json) {
            dead_put_json(&lines->buf, rows, row);
            mr_buf_text(&lines->buf, "\n");
        } else {
            lines->put(&lines->buf, rows, row);
        }
        (void)fwrite(lines->buf.data, 1, lines->buf.size, stdout);
        mr_buf_reset(&lines->buf);
    }
    return 0;
}

static void
tell_rest(const struct lines *lines, const Millrace__V1__Chunk *first)
{
    (void)fflush(stdout);
    if (lines->count > lines->options->limit)
        (void)fprintf(stderr, "-- and more: raise --limit or narrow the filter\n");
    else if (first->freshness != NULL && first->freshness->n_covered > 0)
        (void)fprintf(stderr, "-- %lld lines, all that there were %.3f s ago\n",
                      (long long)lines->count,
                      (double)(mr_wall_us() - first->freshness->as_of_us) / 1e6);
}

static int
print_lines(struct ask *ask, struct lines *lines, const struct mr_buf *sql, struct mr_err *err)
{
    Millrace__V1__Chunk *first = NULL;
    const struct question question = {
        .sql = sql->data, .tenant = "", .take = take_lines, .self = lines
    };
    if (!lines->options->json)
        (void)fwrite(lines->buf.data, 1, lines->buf.size, stdout);
    mr_buf_reset(&lines->buf);
    int code = ask_sql(ask, &question, &first, NULL, err);
    if (first != NULL) {
        tell_rest(lines, first);
        millrace__v1__chunk__free_unpacked(first, NULL);
    }
    return code;
}

static int
print_all(struct ask *ask, const struct dead_options *options, bool is_list, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf sql;
    struct lines lines = { .options = options,
                           .put = is_list ? dead_put_line : dead_put_stats_line };
    struct sources s = { 0 };
    mr_buf_init(&sql, DEAD_SQL_MAX);
    mr_buf_init(&lines.buf, LINE_BYTES_MAX);
    (is_list ? dead_put_heading : dead_put_stats_heading)(&lines.buf);
    int code = find_sources(ask, options->common.tenant, options->kind, &s, err);
    if (code == 0)
        code = (is_list ? dead_sql_list : dead_sql_stats)(options, s.sources, s.count, &sql, err);
    if (code == 0)
        code = print_lines(ask, &lines, &sql, err);
    mr_buf_fini(&lines.buf);
    drop_sources(&s);
    return code;
}

/* ---- the command ---- */

static int
show(struct ask *ask, const struct dead_options *options, const char *text, struct mr_err *err)
{
    struct dead_place place;
    struct mr_topic_name name;
    struct sources s = { 0 };
    if (dead_place_parse(text, &place, err) != 0)
        return err->code;
    (void)mr_topic_parse(place.topic, &name);
    int code = find_sources(ask, name.tenant, name.kind, &s, err);
    if (code == 0)
        code = dead_show(ask, options, &s.sources[0], &place, err);
    drop_sources(&s);
    return code;
}

static int
run(const struct dead_options *options, int count, char **words, struct mr_err *err)
{
    MR_CLEANUP(mr_rpc_closep) struct mr_rpc_client *client = NULL;
    bool is_list = count == 1 && strcmp(words[0], "list") == 0;
    bool is_stats = count == 1 && strcmp(words[0], "stats") == 0;
    bool is_show = count == 2 && strcmp(words[0], "show") == 0;
    if (!is_list && !is_stats && !is_show)
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "dead wants list, stats, or show TOPIC/PARTITION/OFFSET");
    if (mr_rpc_dial(options->common.query, &client, err) != 0)
        return err->code;
    struct ask ask = { client, options->timeout_ms };
    return is_show ? show(&ask, options, words[1], err) : print_all(&ask, options, is_list, err);
}

int
command_dead(int argc, char **argv)
{
    static struct dead_options options;
    struct mr_err err = { 0 };
    int count = 0;
    char **words = NULL;
    int result = cli_load("millrace dead list|stats|show TOPIC/PARTITION/OFFSET",
                          "Events that could not be used: which, why, and what they were.", table,
                          &options, argc, argv, &count, &words, &err);
    if (result > 0)
        return EXIT_FINE;
    if (result == 0)
        result = run(&options, count, words, &err);
    free(words);
    return result == 0 ? EXIT_FINE : cli_refuse(&err);
}
