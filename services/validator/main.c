/*
 * millrace-validator: reads raw topics T, judges each record by its kind's contract, and writes
 * Events to T.valid and DeadLetters to T.dead, outputs and offsets in one Kafka transaction. Every
 * record of T becomes exactly one of good, repeated or dead.
 */
#include <stdio.h>

#include "bus/bus.h"
#include "contract/contract.h"
#include "service/service.h"
#include "stage/stage.h"
#include "validate.h"
#include "window.h"

static const char name[] = "millrace-validator";

struct options {
    struct mr_service_options service;
    int64_t batch_max, batch_wait_ms, repeat_window;
};

static const struct mr_opt options_table[] = {
    { "batch-max", MR_OPT_INT, offsetof(struct options, batch_max), "1000", 1, MR_BUS_BATCH_MAX,
      NULL, "Records in one transaction at most.", false },
    { "batch-wait-ms", MR_OPT_MS, offsetof(struct options, batch_wait_ms), "20ms", 0, 1000, NULL,
      "A transaction is committed so long after its first record, full or not.", false },
    { "repeat-window", MR_OPT_INT, offsetof(struct options, repeat_window), "100000", 0,
      WINDOW_REACH_MAX, NULL,
      "Offsets of a raw partition that a client's event id is remembered for, 8 MiB a partition "
      "when all of 100000 have one; 0 forgets at once.",
      false },
    { 0 },
};

struct process {
    struct options options;
    struct mr_contracts *contracts;
    struct mr_bus *bus;
    struct validator validator;
    struct mr_stage *stage;
};

static int
step(void *self, struct mr_err *err)
{
    struct process *p = self;
    return mr_stage_step(p->stage, 100, err);
}

static int
drain(void *self, struct mr_err *err)
{
    struct process *p = self;
    return mr_stage_drain(p->stage, err);
}

static int
reload(void *self, struct mr_err *err)
{
    struct process *p = self;
    MR_CLEANUP(mr_contracts_closep) struct mr_contracts *next = NULL;

    if (mr_contracts_open(p->options.service.kinds, &next, err) != 0 ||
        mr_contracts_compatible(p->contracts, next, err) != 0 ||
        mr_stage_subscribe(p->stage, next, err) != 0 ||
        validator_reload(&p->validator, next, err) != 0)
        return err->code;
    mr_contracts_close(p->contracts);
    p->contracts = MR_TAKE(next);
    return 0;
}

static bool
ready(void *self, char *ret_why, size_t size)
{
    struct process *p = self;
    const char *why;
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
    ret_json->size--; /* its closing brace */
    mr_buf_text(ret_json, ",\"window\":");
    validator_status(&p->validator, ret_json);
    mr_buf_text(ret_json, "}");
}

static const struct mr_service_ops ops = { step, drain, reload, ready, status, NULL };

static int
open_parts(struct process *p, struct mr_service *service, struct mr_err *err)
{
    const struct mr_service_options *common = &p->options.service;
    struct mr_bus_options bus = { common->bootstrap, common->kafka_config, name };

    if (mr_contracts_open(common->kinds, &p->contracts, err) != 0 ||
        mr_bus_open(&bus, &p->bus, err) != 0)
        return err->code;
    validator_init(&p->validator, p->contracts, p->options.repeat_window,
                   mr_service_metrics(service));
    struct mr_stage_options stage = {
        .bus = p->bus,
        .pipeline = common->pipeline,
        .name = "validator",
        .instance = mr_service_instance(service),
        .contracts = p->contracts,
        .input = MR_TOPIC_RAW,
        .outputs = { MR_TOPIC_VALID, MR_TOPIC_DEAD },
        .batch_max = (size_t)p->options.batch_max,
        .batch_wait_ms = p->options.batch_wait_ms,
        .look_back = p->options.repeat_window,
        .memory_max = common->memory / 2, /* queued bytes take about twice their size */
        .handler = &validator_handler,
        .self = &p->validator,
        .metrics = mr_service_metrics(service),
    };
    if (mr_stage_open(&stage, &p->stage, err) != 0)
        return err->code;
    p->validator.stage = p->stage;
    return 0;
}

int
main(int argc, char **argv)
{
    static struct process p;
    struct mr_service *service = NULL;
    struct mr_err err = { 0 };
    const struct mr_metric *const tables[] = { mr_stage_metrics, validator_metrics, NULL };
    const size_t counts[] = { mr_stage_metrics_count, validator_metrics_count };
    const struct mr_conf conf = { .process = name,
                                  .summary = "Judges raw events by their kind's contract.",
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
    validator_fini(&p.validator);
    mr_bus_close(p.bus);
    mr_contracts_close(p.contracts);
    return code;
}
