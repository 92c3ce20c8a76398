/*
 * The law, per tenant, kind and stage, read from where it is durable: the counts of validator and
 * cleaner stand in the notes of their committed offsets, those of the archiver in the tables'
 * commits. No running process is asked, so it is as true when all of them are down.
 *
 *   total: in = records of T, good = rows of the table, repeated and dead of all stages
 *
 * Records that left a log before their stage had read them are in flight for ever: the law is
 * broken there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/bus.h"
#include "cli.h"
#include "clock/clock.h"
#include "names/names.h"
#include "sql/sql.h"
#include "stage/stage.h"
#include "store/store.h"
#include "table/table.h"

/* An offset that a killed process left undecided is known after its transaction's timeout and the
 * broker's scan, 10 s each. */
enum { ASK_MS_MAX = 25000, STAGES = 3, PEEK_MS_MAX = 3000 };

static const char *const stages[STAGES] = { "validator", "cleaner", "archiver" };
static const enum mr_topic_role inputs[STAGES] = { MR_TOPIC_RAW, MR_TOPIC_VALID, MR_TOPIC_CLEAN };

struct options {
    struct cli_options common;
    bool json;
};

static const struct mr_opt table[] = {
    { "json", MR_OPT_BOOL, offsetof(struct options, json), "false", 0, 0, NULL,
      "One JSON object instead of tables.", false },
    { 0 },
};

struct lag {
    int stage;
    const char *topic;
    int32_t partition;
    int64_t records;
    double seconds;
};

/* One tenant's kind. */
struct flow {
    struct mr_topic_name name;
    struct mr_counts counts[STAGES];
    int64_t waiting;       /* records of T that the validator has not committed */
    bool has_lost[STAGES]; /* records that were not read are gone from its input */
};

struct status {
    struct options options;
    struct mr_bus *bus;
    struct mr_store *store;
    struct mr_sql *sql;
    struct mr_topic *topics;
    size_t topics_count;
    struct flow *flows;
    size_t flows_count;
    struct lag *lags;
    size_t lags_count;
};

/* ---- what Kafka knows ---- */

static struct flow *
flow_of(struct status *s, const struct mr_topic_name *name)
{
    const char *tenant = s->options.common.tenant;
    if (tenant[0] != '\0' && strcmp(tenant, name->tenant) != 0)
        return NULL;
    for (size_t i = 0; i < s->flows_count; i++)
        if (strcmp(s->flows[i].name.tenant, name->tenant) == 0 &&
            strcmp(s->flows[i].name.kind, name->kind) == 0)
            return &s->flows[i];
    s->flows = mr_realloc(s->flows, (s->flows_count + 1) * sizeof(*s->flows));
    s->flows[s->flows_count] = (struct flow){ .name = *name };
    return &s->flows[s->flows_count++];
}

/* How long the first unhandled record has been waiting; 0 when it cannot be read in time. */
static double
waiting_seconds(struct status *s, const char *topic, int32_t partition, int64_t next)
{
    MR_CLEANUP(mr_reader_closep) struct mr_reader *reader = NULL;
    const struct mr_reader_options options = { .queue_bytes_max = 4 << 20 };
    struct mr_part part = { .partition = partition, .start = next };
    struct mr_err unknown = { 0 };
    int64_t until_ms = mr_now_ms() + PEEK_MS_MAX;
    (void)snprintf(part.topic, sizeof(part.topic), "%s", topic);
    if (mr_reader_open(s->bus, &options, &reader, &unknown) != 0 ||
        mr_reader_assign(reader, &part, 1, &unknown) != 0)
        return 0;
    while (mr_now_ms() < until_ms) {
        struct mr_batch batch;
        if (mr_reader_poll(reader, 1, 100, &batch, &unknown) < 0)
            return 0;
        if (batch.count > 0)
            return batch.records[0].is_end
                       ? 0
                       : (double)(mr_wall_ms() - batch.records[0].time_ms) / 1000;
    }
    return 0;
}

static void
add_lag(struct status *s, int stage, const struct mr_offsets *at)
{
    int64_t next = at->committed == MR_NO_OFFSET ? at->log_start : at->committed;
    int64_t records = at->end > next ? at->end - next : 0;
    struct lag lag = { stage, at->topic, at->partition, records, 0 };
    if (lag.records > 0)
        lag.seconds = waiting_seconds(s, at->topic, at->partition, next);
    s->lags = mr_realloc(s->lags, (s->lags_count + 1) * sizeof(*s->lags));
    s->lags[s->lags_count++] = lag;
}

static int
add_offsets(struct status *s, int stage, struct flow *flow, const struct mr_offsets *at,
            struct mr_err *err)
{
    struct mr_counts counts = { 0 };
    int64_t next = at->committed == MR_NO_OFFSET ? 0 : at->committed;
    add_lag(s, stage, at);
    if (stage == 0 && at->end > next) /* the end may have been asked for a moment earlier */
        flow->waiting += at->end - next;
    if (stage == 2)
        return 0;
    flow->has_lost[stage] = flow->has_lost[stage] || next < at->log_start;
    if (at->committed == MR_NO_OFFSET)
        return 0;
    if (!mr_counts_parse(at->note, &counts))
        return mr_fail(err, MR_E(CORRUPT), MR_FATAL,
                       "%s part %d: the committed offset of %s has no counts", at->topic,
                       (int)at->partition, stages[stage]);
    flow->counts[stage].in += counts.in;
    flow->counts[stage].good += counts.good;
    flow->counts[stage].repeated += counts.repeated;
    flow->counts[stage].dead += counts.dead;
    for (int code = 0; code < MR_DEAD_CODES; code++)
        flow->counts[stage].codes[code] += counts.codes[code];
    return 0;
}

/* The archiver's lag is shown for all that it reads; its counts come from the tables. */
static bool
reads(int stage, enum mr_topic_role role)
{
    return stage == 2 ? role != MR_TOPIC_VALID : role == inputs[stage];
}

static int
read_topic(struct status *s, int stage, const struct mr_topic *topic, struct mr_err *err)
{
    struct mr_topic_name name;
    char group[256];
    if (!mr_topic_parse(topic->name, &name))
        return 0;
    bool is_counted = inputs[stage] == name.role;
    name.role = MR_TOPIC_RAW;
    struct flow *flow = flow_of(s, &name);
    if (flow == NULL)
        return 0;
    MR_CLEANUP(mr_freep)
    struct mr_offsets *offsets = mr_alloc((size_t)topic->partitions * sizeof(*offsets));
    for (int32_t p = 0; p < topic->partitions; p++)
        offsets[p] = (struct mr_offsets){ .topic = topic->name, .partition = p };
    (void)snprintf(group, sizeof(group), "%s.%s", s->options.common.pipeline, stages[stage]);
    if (mr_bus_offsets(s->bus, group, offsets, (size_t)topic->partitions, ASK_MS_MAX, err) != 0)
        return err->code;
    for (int32_t p = 0; p < topic->partitions; p++) {
        if (!is_counted)
            add_lag(s, stage, &offsets[p]);
        else if (add_offsets(s, stage, flow, &offsets[p], err) != 0)
            return err->code;
    }
    return 0;
}

/* ---- what the tables know ---- */

static int
read_table(struct status *s, struct flow *flow, struct mr_err *err)
{
    MR_CLEANUP(mr_table_closep) struct mr_table *delta = NULL;
    char name[MR_TABLE_MAX + 1], path[MR_TABLE_MAX + 8], topic[MR_TOPIC_MAX + 3];
    size_t count = 0;
    struct mr_counts *counts = &flow->counts[2];

    mr_table_name(flow->name.tenant, flow->name.kind, name);
    (void)snprintf(path, sizeof(path), "tables/%s", name);
    (void)snprintf(topic, sizeof(topic), "/%s.%s.clean/", flow->name.tenant, flow->name.kind);
    const struct mr_table_options options = {
        .store = s->store, .sql = s->sql, .path = path, .work_dir = "/tmp"
    };
    int result = mr_table_open(&options, false, &delta, err);
    if (result == MR_E(NOT_FOUND)) {
        *err = (struct mr_err){ 0 };
        return 0;
    }
    if (result != 0)
        return result;
    const struct mr_table_part *parts = mr_table_parts(delta, &count);
    for (size_t i = 0; i < count; i++) {
        if (strstr(parts[i].app_id, topic) == NULL)
            continue;
        counts->good += parts[i].good;
        counts->repeated += parts[i].repeated;
    }
    counts->in = counts->good + counts->repeated;
    return 0;
}

static int
read_all(struct status *s, struct mr_err *err)
{
    const struct cli_options *o = &s->options.common;
    const struct mr_bus_options bus = { o->bootstrap, o->kafka_config, "millrace" };
    const struct mr_store_options store = { .s3_endpoint = o->s3_endpoint };
    const char *const dirs[] = { "/tmp", NULL };
    const struct mr_sql_options sql = { .dirs = dirs };
    if (o->store[0] == '\0')
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "option --store is missing: where are the tables?");
    if (mr_bus_open(&bus, &s->bus, err) != 0 ||
        mr_store_open(o->store, &store, &s->store, err) != 0 ||
        mr_sql_open(&sql, &s->sql, err) != 0 ||
        mr_bus_topics(s->bus, &s->topics, &s->topics_count, ASK_MS_MAX, err) != 0)
        return err->code;
    /* Downstream first: what moves on meanwhile shows as in flight, never as too much. */
    for (int pass = STAGES - 1; pass >= 0; pass--) {
        for (size_t i = 0; i < s->topics_count; i++) {
            struct mr_topic_name name;
            if (mr_topic_parse(s->topics[i].name, &name) && reads(pass, name.role) &&
                read_topic(s, pass, &s->topics[i], err) != 0)
                return err->code;
        }
        for (size_t i = 0; pass == STAGES - 1 && i < s->flows_count; i++)
            if (read_table(s, &s->flows[i], err) != 0)
                return err->code;
    }
    return 0;
}

/* ---- what a person and a program see ---- */

struct line {
    const char *stage;
    struct mr_counts counts;
    int64_t in_flight;
    bool holds;
};

static void
make_lines(const struct flow *flow, struct line lines[STAGES + 1])
{
    const struct mr_counts *c = flow->counts;
    int64_t in_flight[STAGES] = { flow->waiting, c[0].good - c[1].in, c[1].good - c[2].in };
    struct line *total = &lines[STAGES];
    *total = (struct line){ "total",
                            { .in = c[0].in + flow->waiting,
                              .good = c[2].good,
                              .repeated = c[0].repeated + c[2].repeated,
                              .dead = c[0].dead + c[1].dead },
                            0,
                            true };
    for (int code = 0; code < MR_DEAD_CODES; code++)
        total->counts.codes[code] = c[0].codes[code] + c[1].codes[code];
    for (int i = 0; i < STAGES; i++) {
        bool holds = c[i].in == c[i].good + c[i].repeated + c[i].dead && in_flight[i] >= 0 &&
                     !flow->has_lost[i];
        lines[i] = (struct line){ stages[i], c[i], in_flight[i], holds };
        total->in_flight += in_flight[i];
        total->holds = total->holds && holds;
    }
    total->holds = total->holds && total->counts.in == total->counts.good + total->counts.repeated +
                                                           total->counts.dead + total->in_flight;
}

/* Letters by code; counts of before codes were noted do not tell. */
static void
print_codes(const struct mr_counts *counts, bool is_json)
{
    const char *before = "";
    for (int code = 0; code < MR_DEAD_CODES; code++) {
        if (counts->codes[code] == 0 || mr_dead_code_name(code) == NULL)
            continue;
        printf(is_json ? "%s\"%s\":%" PRId64 : "%s%s %" PRId64, before, mr_dead_code_name(code),
               counts->codes[code]);
        before = is_json ? "," : ", ";
    }
}

static bool
print_law(const struct status *s)
{
    bool holds = true;
    printf("%-14s %-8s %-10s %10s %10s %10s %10s %10s  law\n", "tenant", "kind", "stage", "in",
           "good", "repeated", "dead", "in flight");
    for (size_t i = 0; i < s->flows_count; i++) {
        struct line lines[STAGES + 1];
        make_lines(&s->flows[i], lines);
        for (size_t j = 0; j < MR_COUNT(lines); j++) {
            const struct line *l = &lines[j];
            printf("%-14s %-8s %-10s %10" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64
                   " %10" PRId64 "  %s\n",
                   s->flows[i].name.tenant, s->flows[i].name.kind, l->stage, l->counts.in,
                   l->counts.good, l->counts.repeated, l->counts.dead, l->in_flight,
                   l->holds ? "holds" : "BROKEN");
            holds = holds && l->holds;
        }
    }
    for (size_t i = 0; i < s->flows_count; i++) {
        struct line lines[STAGES + 1];
        make_lines(&s->flows[i], lines);
        if (lines[STAGES].counts.dead == 0)
            continue;
        printf("dead: %s %s: ", s->flows[i].name.tenant, s->flows[i].name.kind);
        print_codes(&lines[STAGES].counts, false);
        printf("\n");
    }
    for (size_t i = 0; i < s->lags_count; i++)
        if (s->lags[i].records > 0)
            printf("lag: %s of %s part %d: %" PRId64 " records, %.3f s\n", stages[s->lags[i].stage],
                   s->lags[i].topic, (int)s->lags[i].partition, s->lags[i].records,
                   s->lags[i].seconds);
    return holds;
}

static bool
print_json(const struct status *s)
{
    bool holds = true;
    printf("{\"stages\":[");
    for (size_t i = 0; i < s->flows_count; i++) {
        struct line lines[STAGES + 1];
        make_lines(&s->flows[i], lines);
        for (size_t j = 0; j < MR_COUNT(lines); j++) {
            const struct line *l = &lines[j];
            printf("%s{\"tenant\":\"%s\",\"kind\":\"%s\",\"stage\":\"%s\",\"in\":%" PRId64
                   ",\"good\":%" PRId64 ",\"repeated\":%" PRId64 ",\"dead\":%" PRId64
                   ",\"in_flight\":%" PRId64 ",\"holds\":%s,\"dead_codes\":{",
                   i + j > 0 ? "," : "", s->flows[i].name.tenant, s->flows[i].name.kind, l->stage,
                   l->counts.in, l->counts.good, l->counts.repeated, l->counts.dead, l->in_flight,
                   l->holds ? "true" : "false");
            print_codes(&l->counts, true);
            printf("}}");
            holds = holds && l->holds;
        }
    }
    printf("],\"lag\":[");
    for (size_t i = 0; i < s->lags_count; i++)
        printf("%s{\"stage\":\"%s\",\"topic\":\"%s\",\"partition\":%d,\"records\":%" PRId64
               ",\"seconds\":%.3f}",
               i > 0 ? "," : "", stages[s->lags[i].stage], s->lags[i].topic,
               (int)s->lags[i].partition, s->lags[i].records, s->lags[i].seconds);
    printf("]}\n");
    return holds;
}

int
command_status(int argc, char **argv)
{
    static struct status s;
    struct mr_err err = { 0 };
    bool holds = false;
    int result = cli_load("millrace status",
                          "The law (in = good + repeated + dead) and the lag of each stage.", table,
                          &s.options, argc, argv, NULL, NULL, &err);
    if (result > 0)
        return EXIT_FINE;
    if (result == 0)
        result = read_all(&s, &err);
    if (result == 0)
        holds = s.options.json ? print_json(&s) : print_law(&s);
    free(s.flows);
    free(s.lags);
    free(s.topics);
    mr_sql_close(s.sql);
    mr_store_close(s.store);
    mr_bus_close(s.bus);
    if (result != 0)
        return cli_refuse(&err);
    return holds ? EXIT_FINE : EXIT_FAILED;
}
