/*
 * millrace-cleaner: reads checked Events from T.valid, cleans their records by their kind's
 * clean.sql, and writes Events to T.clean and DeadLetters to T.dead, outputs and offsets in one
 * Kafka transaction. Every record of T.valid becomes exactly one of good or dead.
 */
#include <stdio.h>

#include "bus/bus.h"
#include "clean.h"
#include "clock/clock.h"
#include "contract/contract.h"
#include "service/service.h"
#include "stage/stage.h"

static const char name[] = "millrace-cleaner";
enum { RELOAD_MS = 2000 };

struct options {
    struct mr_service_options service;
    int64_t batch_max, batch_wait_ms;
};

static const struct mr_opt options_table[] = {
    { "batch-max", MR_OPT_INT, offsetof(struct options, batch_max), "1000", 1, MR_BUS_BATCH_MAX,
      NULL, "Records in one transaction at most.", false },
    { "batch-wait-ms", MR_OPT_MS, offsetof(struct options, batch_wait_ms), "20ms", 0, 1000, NULL,
      "A transaction is committed so long after its first record, full or not.", false },
    { 0 },
};

struct process {
    struct options options;
    struct mr_contracts *contracts;
    struct mr_clean *clean;
    struct mr_bus *bus;
    struct cleaner cleaner;
    struct mr_stage *stage;
    int64_t reload_ms; /* when to look for newer contracts, while events wait for them */
};

/* Contracts and rules are opened whole before anything is replaced. */
static int
take_contracts(struct process *p, struct mr_contracts *next, struct mr_err *err)
{
    MR_CLEANUP(mr_clean_closep) struct mr_clean *clean = NULL;
    if (mr_clean_open(next, p->options.service.memory / 2, &clean, err) != 0 ||
        mr_stage_subscribe(p->stage, next, err) != 0 ||
        cleaner_reload(&p->cleaner, clean, err) != 0)
        return err->code;
    mr_clean_close(p->clean);
    p->clean = MR_TAKE(clean);
    return 0;
}

static int
reload(void *self, struct mr_err *err)
{
    struct process *p = self;
    MR_CLEANUP(mr_contracts_closep) struct mr_contracts *next = NULL;

    if (mr_contracts_open(p->options.service.kinds, &next, err) != 0 ||
        mr_contracts_compatible(p->contracts, next, err) != 0 || take_contracts(p, next, err) != 0)
        return err->code;
    mr_contracts_close(p->contracts);
    p->contracts = MR_TAKE(next);
    return 0;
}

/* Events of a newer contract wait (LAW 22): it may be in the folder by now. */
static void
catch_up(struct process *p)
{
    MR_CLEANUP(mr_contracts_closep) struct mr_contracts *seen = NULL;
    struct mr_err err = { 0 };
    uint32_t version;
    const char *kind = cleaner_waits_for(&p->cleaner, &version);
    if (kind == NULL || mr_now_ms() < p->reload_ms)
        return;
    p->reload_ms = mr_now_ms() + RELOAD_MS;
    if (mr_contracts_open(p->options.service.kinds, &seen, &err) != 0)
        return;
    const struct mr_kind *there = mr_contracts_find(seen, kind);
    if (there != NULL && there->version >= version)
        (void)reload(p, &err); /* what cannot be taken shows as not ready */
}

static int
step(void *self, struct mr_err *err)
{
    struct process *p = self;
    catch_up(p);
    return mr_stage_step(p->stage, 100, err);
}

static int
drain(void *self, struct mr_err *err)
{
    struct process *p = self;
    return mr_stage_drain(p->stage, err);
}

static bool
ready(void *self, char *ret_why, size_t size)
{
    struct process *p = self;
    const char *why;
    uint32_t version;
    const char *kind = cleaner_waits_for(&p->cleaner, &version);
    if (kind != NULL) {
        (void)snprintf(ret_why, size,
                       "events of kind %s wait for contract version %u: put it into --kinds", kind,
                       version);
        return false;
    }
    if (mr_stage_ready(p->stage, &why))
        return true;
    (void)snprintf(ret_why, size, "%s", why);
    return false;
}

static void
status(void *self, struct mr_buf *ret_json)
{
    struct process *p = self;
    mr_stage_status(p->stage, ret_json);
}

static const struct mr_service_ops ops = { step, drain, reload, ready, status, NULL };

static int
open_parts(struct process *p, struct mr_service *service, struct mr_err *err)
{
    const struct mr_service_options *common = &p->options.service;
    struct mr_bus_options bus = { common->bootstrap, common->kafka_config, name };

    if (mr_contracts_open(common->kinds, &p->contracts, err) != 0 ||
        mr_clean_open(p->contracts, common->memory / 2, &p->clean, err) != 0 ||
        mr_bus_open(&bus, &p->bus, err) != 0)
        return err->code;
    cleaner_init(&p->cleaner, p->clean, mr_service_metrics(service));
    struct mr_stage_options stage = {
        .bus = p->bus,
        .pipeline = common->pipeline,
        .name = "cleaner",
        .instance = mr_service_instance(service),
        .contracts = p->contracts,
        .input = MR_TOPIC_VALID,
        .outputs = { MR_TOPIC_CLEAN, MR_TOPIC_DEAD },
        .batch_max = (size_t)p->options.batch_max,
        .batch_wait_ms = p->options.batch_wait_ms,
        .memory_max = common->memory / 3, /* queued bytes take about twice their size */
        .handler = &cleaner_handler,
        .self = &p->cleaner,
        .metrics = mr_service_metrics(service),
    };
    if (mr_stage_open(&stage, &p->stage, err) != 0)
        return err->code;
    p->cleaner.stage = p->stage;
    return 0;
}

int
main(int argc, char **argv)
{
    static struct process p;
    struct mr_service *service = NULL;
    struct mr_err err = { 0 };
    const struct mr_metric *const tables[] = { mr_stage_metrics, cleaner_metrics, NULL };
    const size_t counts[] = { mr_stage_metrics_count, cleaner_metrics_count };
    const struct mr_conf conf = { .process = name,
                                  .summary = "Cleans checked events by their kind's clean.sql.",
                                  .tables = { mr_service_opts, options_table, NULL },
                                  .metrics = tables,
                                  .metrics_counts = counts };

    int result = mr_conf_load(&conf, &p.options, argc, argv, &err);
    if (result > 0)
        return 0;
    if (result < 0 ||
        mr_service_open(name, &p.options.service, tables, counts, &service, &err) != 0 ||
        open_parts(&p, service, &err) != 0)
        return mr_service_refuse(name, &err);
    int code = mr_service_run(service, &ops, &p);
    mr_stage_close(p.stage);
    cleaner_fini(&p.cleaner);
    mr_bus_close(p.bus);
    mr_clean_close(p.clean);
    mr_contracts_close(p.contracts);
    return code;
}
