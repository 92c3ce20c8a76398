/*
 * millrace-query: answers SQL over what is in the Delta tables and what is not in them yet. It
 * follows T.clean and T.dead behind each table's snapshot, and serves Run, Next, Cancel, Tables and
 * Status over nng. Each answer says which offsets it covers; nothing is kept between two starts.
 */
#include "clock/clock.h"
#include "query.h"

static const char name[] = "millrace-query";

static const struct mr_opt options_table[] = {
    { "work-dir", MR_OPT_TEXT, offsetof(struct query_options, work_dir), "/var/tmp/millrace-query",
      1, 1000, NULL, "Folder for the cache of data files and for spilling; made when missing.",
      false },
    { "shm-dir", MR_OPT_TEXT, offsetof(struct query_options, shm_dir), "/dev/shm", 1, 1000, NULL,
      "Memory file system for the tail that SQL processes map.", false },
    { "refresh-ms", MR_OPT_MS, offsetof(struct query_options, refresh_ms), "500ms", 10, 60000, NULL,
      "How often new commits, topics and ends of partitions are looked for.", false },
    { "tail-bytes", MR_OPT_BYTES, offsetof(struct query_options, tail_bytes), "48M", 1 << 20,
      (int64_t)64 << 30, NULL,
      "Memory for rows that no commit holds yet; when full, answers have an older watermark.",
      false },
    { "rows-max", MR_OPT_INT, offsetof(struct query_options, rows_max), "1000000", 1, 1000000000,
      NULL, "Rows of one answer at most.", false },
    { "sql-processes", MR_OPT_INT, offsetof(struct query_options, sql_processes), "2", 1,
      RUNNERS_MAX, NULL, "Questions that are worked on at the same time.", false },
    { "sql-memory", MR_OPT_BYTES, offsetof(struct query_options, sql_memory), "1G",
      (int64_t)64 << 20, (int64_t)1 << 40, NULL, "Memory of one SQL process; it spills beyond.",
      false },
    { "sql-threads", MR_OPT_INT, offsetof(struct query_options, sql_threads), "2", 1, 64, NULL,
      "Threads of one SQL process.", false },
    { 0 },
};

static int
step(void *self, struct mr_err *err)
{
    struct query *q = self;
    answers_sweep(q);
    if (catalog_step(q, err) != 0)
        return err->code;
    return tail_step(q, 10, err);
}

/* Whoever still waits is told before the socket closes. */
static int
drain(void *self, struct mr_err *err)
{
    (void)err;
    answers_close(self);
    return 0;
}

static int
reload(void *self, struct mr_err *err)
{
    return catalog_reload(self, err);
}

static bool
ready(void *self, char *ret_why, size_t size)
{
    return query_ready(self, ret_why, size);
}

static void
status(void *self, struct mr_buf *ret_json)
{
    const struct query *q = self;
    mr_buf_printf(ret_json, "{\"as_of_us\":%lld,\"tail_bytes\":%zu,\"tail_full\":%s,\"tables\":[",
                  (long long)tail_as_of_us(q), q->tail_bytes, q->is_full ? "true" : "false");
    for (size_t i = 0; i < q->tables_count; i++) {
        const struct table *table = q->tables[i];
        mr_buf_printf(
            ret_json, "%s{\"name\":\"%s\",\"version\":%lld,\"rows\":%lld,\"tail_rows\":%zu",
            i > 0 ? "," : "", table->name,
            table->snapshot != NULL ? (long long)table->snapshot->version : -1,
            table->snapshot != NULL ? (long long)table->snapshot->rows : 0, table->tail_rows);
        mr_buf_text(ret_json, "}");
    }
    mr_buf_text(ret_json, "],\"parts\":[");
    for (size_t i = 0; i < q->lanes_count; i++) {
        const struct lane *lane = &q->lanes[i];
        int64_t lag = lane->part.end > lane->next ? lane->part.end - lane->next : 0;
        int64_t age_us = lag > 0 && lane->end_us > 0 ? mr_wall_us() - lane->end_us : 0;
        mr_buf_printf(ret_json,
                      "%s{\"topic\":\"%s\",\"partition\":%d,\"next\":%lld,\"covered\":%lld,"
                      "\"lag_records\":%lld,\"lag_seconds\":%.3f,\"trouble\":",
                      i > 0 ? "," : "", lane->part.topic, (int)lane->part.partition,
                      (long long)lane->next, (long long)lane->covered, (long long)lag,
                      (double)age_us / 1e6);
        char why[MR_ERR_TEXT_MAX] = "";
        (void)tail_trouble(lane, why, sizeof(why));
        mr_buf_json(ret_json, mr_slice_text(why));
        mr_buf_text(ret_json, "}");
    }
    mr_buf_text(ret_json, "]}");
}

static void
call(void *self, struct mr_rpc_call *rpc_call)
{
    answers_call(self, rpc_call);
}

static const struct mr_service_ops ops = { step, drain, reload, ready, status, call };

static int
open_parts(struct query *q, struct mr_err *err)
{
    struct mr_metrics *registry = mr_service_metrics(q->service);
    q->tail_rows_cell = mr_metrics_cell(registry, "millrace_tail_rows", NULL);
    q->tail_bytes_cell = mr_metrics_cell(registry, "millrace_tail_bytes", NULL);
    const struct mr_service_options *common = &q->options.service;
    struct mr_bus_options bus = { common->bootstrap, common->kafka_config, "millrace-query" };
    if (mr_contracts_open(common->kinds, &q->contracts, err) != 0 ||
        mr_bus_open(&bus, &q->bus, err) != 0 || mr_bus_open(&bus, &q->worker_bus, err) != 0 ||
        folders_open(q, err) != 0 || catalog_open(q, err) != 0)
        return err->code;
    return answers_open(q, err);
}

int
main(int argc, char **argv)
{
    static struct query q;
    struct mr_err err = { 0 };
    const struct mr_metric *const tables[] = { query_metrics, NULL };
    const size_t counts[] = { query_metrics_count };
    const struct mr_conf conf = { .process = name,
                                  .summary = "Answers SQL over tables and the live tail.",
                                  .tables = { mr_service_opts, options_table, NULL },
                                  .metrics = tables,
                                  .metrics_counts = counts };

    if (argc > 1 && strcmp(argv[1], SANDBOX_FLAG) == 0)
        return sandbox_main(argc, argv);
    int result = mr_conf_load(&conf, &q.options, argc, argv, &err);
    if (result > 0)
        return 0;
    if (result < 0 ||
        mr_service_open(name, &q.options.service, tables, counts, &q.service, &err) != 0 ||
        open_parts(&q, &err) != 0)
        return mr_service_refuse(name, &err);
    int code = mr_service_run(q.service, &ops, &q);
    catalog_close(&q);
    mr_bus_close(q.bus);
    mr_bus_close(q.worker_bus);
    folders_close(&q);
    return code;
}
