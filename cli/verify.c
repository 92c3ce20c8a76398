/*
 * millrace verify: is the law kept? Everything is read again from where it stands, one kind of one
 * tenant after the other. The tables are read first and the raw topic last, so what moves on
 * meanwhile is in flight and never too much.
 */
#include "cli/verify/verify.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"
#include "clock/clock.h"

enum { ASK_MS_MAX = 10000, OPEN_FILES_MAX = 16, AGO_MAX = 1000000, SELECT_BYTES_MAX = 1000 };

/* What joining takes for each record of a slice, with as much to spare. */
enum { SLICE_RECORD_BYTES = 512 };

struct options {
    struct cli_options common;
    const char *kind, *since, *work_dir;
    int64_t repeat_window, in_flight_ms, memory;
    bool json;
};

static const struct mr_opt table[] = {
    { "kind", MR_OPT_TEXT, offsetof(struct options, kind), "", 0, MR_KIND_MAX, NULL,
      "Which kind's events; none: all.", false },
    { "since", MR_OPT_TEXT, offsetof(struct options, since), "", 0, 40, NULL,
      "Only records from this time on: 2h ago (s, m, h, d), or 2026-01-31T08:00:00Z; what came "
      "before is taken as given. None: all.",
      false },
    { "in-flight-max", MR_OPT_MS, offsetof(struct options, in_flight_ms), "1h", 0, INT64_C(1) << 40,
      NULL, "What is in flight for longer breaks the law; 0: nothing may be in flight.", false },
    { "repeat-window", MR_OPT_INT, offsetof(struct options, repeat_window), "100000", 0, 100000000,
      NULL, "As the validators have it.", false },
    { "memory", MR_OPT_BYTES, offsetof(struct options, memory), "512M", 64 << 20, (int64_t)1 << 40,
      NULL,
      "For the engine that compares; beyond it the disk is used. The process takes up to 400M "
      "more.",
      false },
    { "work-dir", MR_OPT_TEXT, offsetof(struct options, work_dir), "/var/tmp", 1, 1000, NULL,
      "Where facts are kept while they are compared.", false },
    { "json", MR_OPT_BOOL, offsetof(struct options, json), "false", 0, 0, NULL,
      "One JSON object instead of text.", false },
    { 0 },
};

struct run {
    struct options options;
    struct mr_contracts *contracts;
    struct mr_bus *bus;
    struct mr_store *store;
    size_t flows;
    int64_t since_ms;
};

static int
unlink_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static int
find_all(struct verify *v, struct mr_err *err)
{
    int (*const finders[])(struct verify * v, struct mr_err * err) = {
        find_since, find_tables, find_objects, find_marks,
        find_dead,  find_clean,  find_valid,   find_raw,
    };
    static struct mr_field fields[] = {
        { "topic", MR_TYPE_STRING, false },   { "p", MR_TYPE_INTEGER, false },
        { "log_start", MR_TYPE_LONG, false }, { "start", MR_TYPE_LONG, false },
        { "since", MR_TYPE_LONG, false },
    };
    static const struct mr_schema schema = { fields, MR_COUNT(fields) };
    static const struct facts_shape shape = { "reads", &schema, NULL, &schema, NULL };
    if (facts_open(&v->ground, &shape, &v->reads, err) != 0)
        return err->code;
    for (size_t i = 0; i < MR_COUNT(finders); i++)
        if (finders[i](v, err) != 0)
            return err->code;
    return facts_close(MR_TAKE(v->reads), err);
}

static int
verify_in(struct run *run, struct verify *v, bool *ret_holds, struct mr_err *err)
{
    MR_CLEANUP(mr_sql_closep) struct mr_sql *sql = NULL;
    const char *const dirs[] = { v->ground.dir, NULL };
    const struct mr_sql_options engine = { .memory_max = run->options.memory,
                                           .temp_dir = v->ground.dir,
                                           .dirs = dirs };
    const struct check_options check = { run->options.in_flight_ms, mr_wall_ms(),
                                         run->options.memory / SLICE_RECORD_BYTES,
                                         run->options.json };
    if (mr_sql_open(&engine, &sql, err) != 0)
        return err->code;
    v->ground.sql = sql;
    if (find_all(v, err) != 0)
        return err->code;
    return check_all(v, &check, ret_holds, err);
}

static int
verify_flow(struct run *run, const struct mr_topic_name *name, bool *ret_holds, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *dir = mr_printf("%s/verify-XXXXXX", run->options.work_dir);
    struct verify v = { .bus = run->bus,
                        .store = run->store,
                        .kind = mr_contracts_find(run->contracts, name->kind),
                        .tenant = name->tenant,
                        .since_ms = run->since_ms,
                        .repeat_window = run->options.repeat_window,
                        .pipeline = run->options.common.pipeline };
    if (v.kind == NULL)
        return mr_fail(err, MR_E(NOT_FOUND), MR_FATAL, "%s has no kind %s: give another --kinds",
                       run->options.common.kinds, name->kind);
    if (mkdtemp(dir) == NULL)
        return mr_fail(err, MR_E(IO), MR_FATAL, "--work-dir %s: %m", run->options.work_dir);
    for (int role = MR_TOPIC_RAW; role <= MR_TOPIC_DEAD; role++)
        mr_topic_format(name->tenant, name->kind, (enum mr_topic_role)role, v.topics[role]);
    v.ground.dir = dir;
    int code = verify_in(run, &v, ret_holds, err);
    (void)nftw(dir, unlink_one, OPEN_FILES_MAX, FTW_DEPTH | FTW_PHYS);
    facts_drop(&v.reads);
    for (int role = MR_TOPIC_RAW; role <= MR_TOPIC_DEAD; role++)
        free(v.since[role]);
    return code != 0 ? mr_fail_in(err, "%s.%s", name->tenant, name->kind) : 0;
}

/* 90m: so long ago. */
static bool
ago(const char *text, int64_t *ret_ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 } };
    char *end;
    int64_t count = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || count > AGO_MAX)
        return false;
    for (size_t i = 0; i < MR_COUNT(units); i++) {
        if (end[0] != units[i].unit || end[1] != '\0')
            continue;
        *ret_ms = mr_wall_ms() - count * units[i].ms;
        return true;
    }
    return false;
}

/* RFC 3339, by the engine. */
static int
moment(const char *text, int64_t *ret_ms, struct mr_err *err)
{
    MR_CLEANUP(mr_sql_closep) struct mr_sql *sql = NULL;
    MR_CLEANUP(mr_statement_closep) struct mr_statement *statement = NULL;
    MR_CLEANUP(mr_result_closep) struct mr_result *result = NULL;
    MR_CLEANUP(mr_buf_fini) struct mr_buf select;
    const struct mr_sql_options options = { 0 };
    mr_buf_init(&select, SELECT_BYTES_MAX);
    mr_buf_text(&select, "SELECT epoch_ms(CAST(");
    mr_sql_literal(&select, text);
    mr_buf_text(&select, " AS TIMESTAMPTZ))");
    if (mr_sql_open(&options, &sql, err) != 0 ||
        mr_sql_prepare(sql, select.data, &statement, err) != 0)
        return err->code;
    MR_CLEANUP(mr_columns_freep)
    struct mr_columns *rows = mr_columns_new(mr_statement_schema(statement));
    if (mr_statement_run(statement, &result, err) != 0 || mr_result_next(result, rows, err) < 0)
        return err->code;
    MR_ASSERT(rows->rows == 1);
    *ret_ms = mr_column_int(&rows->columns[0], 0);
    return 0;
}

static int
find_time(const char *text, int64_t *ret_ms, struct mr_err *err)
{
    struct mr_err why = { 0 };
    *ret_ms = VERIFY_ALL;
    if (text[0] == '\0' || ago(text, ret_ms) ||
        (text[0] >= '0' && text[0] <= '9' && moment(text, ret_ms, &why) == 0))
        return 0;
    return mr_fail(err, MR_E(INVALID), MR_FATAL,
                   "option --since: \"%s\" is neither like 2h (s, m, h, d) nor like "
                   "2026-01-31T08:00:00Z",
                   text);
}

static bool
is_asked(const struct options *options, const struct mr_topic_name *name)
{
    return name->role == MR_TOPIC_RAW &&
           (options->common.tenant[0] == '\0' ||
            strcmp(options->common.tenant, name->tenant) == 0) &&
           (options->kind[0] == '\0' || strcmp(options->kind, name->kind) == 0);
}

static int
verify_all(struct run *run, bool *ret_holds, struct mr_err *err)
{
    const struct cli_options *o = &run->options.common;
    const struct mr_bus_options bus = { o->bootstrap, o->kafka_config, "millrace" };
    const struct mr_store_options store = { .s3_endpoint = o->s3_endpoint };
    MR_CLEANUP(mr_freep) struct mr_topic *topics = NULL;
    size_t count = 0;
    if (o->store[0] == '\0')
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "option --store is missing: where are objects and tables?");
    if (find_time(run->options.since, &run->since_ms, err) != 0 ||
        mr_contracts_open(o->kinds, &run->contracts, err) != 0 ||
        mr_store_open(o->store, &store, &run->store, err) != 0 ||
        mr_bus_open(&bus, &run->bus, err) != 0 ||
        mr_bus_topics(run->bus, &topics, &count, ASK_MS_MAX, err) != 0)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        struct mr_topic_name name;
        if (!mr_topic_parse(topics[i].name, &name) || !is_asked(&run->options, &name))
            continue;
        if (run->options.json)
            printf("%s{\"law\":[", run->flows > 0 ? "," : "");
        else if (run->flows == 0)
            printf("%-14s %-8s %-10s %10s %10s %10s %10s %10s  law\n", "tenant", "kind", "stage",
                   "in", "good", "repeated", "dead", "in flight");
        run->flows++;
        if (verify_flow(run, &name, ret_holds, err) != 0)
            return err->code;
        printf("%s", run->options.json ? "]}" : "");
    }
    if (run->flows == 0)
        return mr_fail(err, MR_E(NOT_FOUND), MR_FATAL, "there is no topic of this tenant and kind");
    return 0;
}

int
command_verify(int argc, char **argv)
{
    static struct run run;
    struct mr_err err = { 0 };
    bool holds = true;
    int result = cli_load("millrace verify",
                          "Checks from the records themselves that nothing is lost or doubled.",
                          table, &run.options, argc, argv, NULL, NULL, &err);
    if (result > 0)
        return EXIT_FINE;
    if (result == 0 && run.options.json)
        printf("{\"flows\":[");
    if (result == 0)
        result = verify_all(&run, &holds, &err);
    if (result == 0 && run.options.json)
        printf("],\"holds\":%s}\n", holds ? "true" : "false");
    else if (result == 0)
        printf("%s\n", holds ? "nothing is lost, doubled or changed" : "the law is BROKEN");
    mr_store_close(run.store);
    mr_bus_close(run.bus);
    mr_contracts_close(run.contracts);
    if (result != 0)
        return cli_refuse(&err);
    return holds ? EXIT_FINE : EXIT_FAILED;
}
