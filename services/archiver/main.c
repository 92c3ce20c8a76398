/*
 * millrace-archiver: reads raw topics T into raw objects, and T.clean and T.dead into Delta tables.
 * Every offset is in the archive exactly once: objects are created once and never overwritten, and
 * a table's commit carries the offsets that it holds.
 */
#include <malloc.h>
#include <stdio.h>

#include "archive.h"
#include "bus/bus.h"
#include "log/log.h"
#include "service/service.h"

static const char name[] = "millrace-archiver";

struct options {
    struct mr_service_options service;
    struct archive_rotation raw, table;
    const char *work_dir;
};

static const struct mr_opt options_table[] = {
    { "raw-records", MR_OPT_INT, offsetof(struct options, raw.records), "50000", 1, 10000000, NULL,
      "Records in one raw object at most; 1 makes an object of each record.", false },
    { "raw-bytes", MR_OPT_BYTES, offsetof(struct options, raw.bytes), "8M", 1, 1 << 30, NULL,
      "A raw object is written when it has reached so many bytes.", false },
    { "raw-age", MR_OPT_MS, offsetof(struct options, raw.age_ms), "10s", 10, 86400000, NULL,
      "A raw object is written so long after its first record, full or not.", false },
    { "table-rows", MR_OPT_INT, offsetof(struct options, table.records), "100000", 1, 10000000,
      NULL, "Rows in one commit at most.", false },
    { "table-bytes", MR_OPT_BYTES, offsetof(struct options, table.bytes), "24M", 1, 1 << 30, NULL,
      "A commit is made when its rows have reached so many bytes in memory.", false },
    { "table-age", MR_OPT_MS, offsetof(struct options, table.age_ms), "5s", 10, 86400000, NULL,
      "A commit is made so long after its first row, full or not.", false },
    { "work-dir", MR_OPT_TEXT, offsetof(struct options, work_dir), "/var/tmp/millrace-archiver", 1,
      1000, NULL,
      "Local folder for data files that are being made, and for copies of a table's files where "
      "equal keys are looked for; each instance has a folder of its name in it.",
      false },
    { 0 },
};

struct process {
    struct options options;
    const char *instance;
    struct mr_metrics *metrics;
    struct mr_bus *bus;
    struct archive *archive; /* NULL: the store or the broker has not been reached yet */
};

static int
begin(struct process *p, struct mr_err *err)
{
    const struct mr_service_options *common = &p->options.service;
    MR_CLEANUP(mr_store_closep) struct mr_store *store = NULL;
    MR_CLEANUP(mr_sql_closep) struct mr_sql *sql = NULL;
    MR_CLEANUP(mr_freep) char *group = mr_printf("%s.archiver", common->pipeline);
    MR_CLEANUP(mr_freep) char *member = mr_printf("%s.%s", group, p->instance);
    struct mr_store_options remote = { .s3_endpoint = common->s3_endpoint };
    MR_CLEANUP(mr_freep) char *work_dir = mr_printf("%s/%s", p->options.work_dir, p->instance);
    const char *const dirs[] = { work_dir, NULL };
    /* Of the budget an eighth each goes to what is fetched and to the process itself. */
    struct mr_sql_options engine = { .memory_max = common->memory * 3 / 8, .dirs = dirs };
    if (mr_store_open(common->store, &remote, &store, err) != 0 ||
        mr_store_probe(store, err) != 0 || mr_sql_open(&engine, &sql, err) != 0)
        return err->code;
    struct archive_options archive = {
        .bus = p->bus,
        .store = MR_TAKE(store),
        .sql = MR_TAKE(sql),
        .kinds = common->kinds,
        .pipeline = common->pipeline,
        .group = group,
        .instance = member,
        .work_dir = work_dir,
        .queue_bytes_max = common->memory / 8,
        .held_bytes_max = common->memory * 3 / 8,
        .raw = p->options.raw,
        .table = p->options.table,
        .metrics = p->metrics,
    };
    return archive_open(&archive, &p->archive, err);
}

static int
step(void *self, struct mr_err *err)
{
    struct process *p = self;
    return p->archive == NULL ? begin(p, err) : archive_step(p->archive, 100, err);
}

static int
drain(void *self, struct mr_err *err)
{
    struct process *p = self;
    return p->archive == NULL ? 0 : archive_drain(p->archive, err);
}

static int
reload(void *self, struct mr_err *err)
{
    struct process *p = self;
    return p->archive == NULL ? 0 : archive_reload(p->archive, err);
}

static bool
ready(void *self, char *ret_why, size_t size)
{
    struct process *p = self;
    if (p->archive != NULL)
        return archive_ready(p->archive, ret_why, size);
    (void)snprintf(ret_why, size, "the store or the broker has not been reached yet");
    return false;
}

static void
status(void *self, struct mr_buf *ret_json)
{
    struct process *p = self;
    if (p->archive != NULL)
        archive_status(p->archive, ret_json);
    else
        mr_buf_text(ret_json, "{}");
}

static void
call(void *self, struct mr_rpc_call *rpc)
{
    struct process *p = self;
    if (p->archive != NULL)
        archive_call(p->archive, rpc);
    else
        mr_rpc_reply(rpc, &(struct mr_rpc_answer){ .status = MR_RPC_UNAVAILABLE,
                                                   .message = "the archiver is starting",
                                                   .is_last = true });
}

static const struct mr_service_ops ops = { step, drain, reload, ready, status, call };

/* What is away at the start is waited for as it is later. */
static int
open_parts(struct process *p, struct mr_service *service, struct mr_err *err)
{
    const struct mr_service_options *common = &p->options.service;
    struct mr_bus_options bus = { common->bootstrap, common->kafka_config, name };
    p->instance = mr_service_instance(service);
    p->metrics = mr_service_metrics(service);
    if (mr_bus_open(&bus, &p->bus, err) != 0)
        return err->code;
    if (begin(p, err) == 0 || err->remedy != MR_RETRY)
        return err->code;
    mr_log_err(MR_LOG_WARN, "waiting", err, " for=start");
    *err = (struct mr_err){ 0 };
    return 0;
}

/* Batches of megabytes come and go on two threads. With the allocator's own choice what was freed
 * stays in many arenas: a sixth of the most memory that an outage of the store costs. */
static void
give_memory_back(void)
{
    (void)mallopt(M_ARENA_MAX, 2);
    (void)mallopt(M_MMAP_THRESHOLD, 256 << 10);
    (void)mallopt(M_TRIM_THRESHOLD, 4 << 20);
}

int
main(int argc, char **argv)
{
    static struct process p;
    struct mr_service *service = NULL;
    struct mr_err err = { 0 };
    const struct mr_metric *const tables[] = { archive_metrics, NULL };
    const size_t counts[] = { archive_metrics_count };
    const struct mr_conf conf = { .process = name,
                                  .summary = "Keeps raw, clean and dead events in a store: raw "
                                             "objects and Delta tables.",
                                  .tables = { mr_service_opts, options_table, NULL },
                                  .metrics = tables,
                                  .metrics_counts = counts };

    give_memory_back();
    int result = mr_conf_load(&conf, &p.options, argc, argv, &err);
    if (result > 0)
        return 0;
    if (result < 0 ||
        mr_service_open(name, &p.options.service, tables, counts, &service, &err) != 0 ||
        open_parts(&p, service, &err) != 0)
        return mr_service_refuse(name, &err);
    int code = mr_service_run(service, &ops, &p);
    archive_close(p.archive);
    mr_bus_close(p.bus);
    return code;
}
