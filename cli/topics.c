/*
 * Lists the topics of kinds, or makes those of a tenant: clean and dead first, the raw topic last.
 */
#include <stdio.h>

#include "bus/bus.h"
#include "cli.h"
#include "contract/contract.h"
#include "names/names.h"
#include "topics/topics.h"

enum { ASK_MS_MAX = 10000, MAKE_MS_MAX = 60000 };

struct options {
    struct cli_options common;
    const char *topics, *kind;
    bool create;
};

static const struct mr_opt table[] = {
    { "create", MR_OPT_BOOL, offsetof(struct options, create), "false", 0, 0, NULL,
      "Make the topics of --tenant that are missing.", false },
    { "kind", MR_OPT_TEXT, offsetof(struct options, kind), "", 0, MR_KIND_MAX, NULL,
      "Only of this kind; none: all kinds of --kinds.", false },
    { "topics", MR_OPT_TEXT, offsetof(struct options, topics), "/usr/share/millrace/topics.json", 1,
      4096, NULL, "Partitions, replicas and settings.", false },
    { 0 },
};

static int
list(struct mr_bus *bus, const struct options *options, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) struct mr_topic *topics = NULL;
    size_t count = 0;
    if (mr_bus_topics(bus, &topics, &count, ASK_MS_MAX, err) != 0)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        struct mr_topic_name name;
        char id[2 * MR_TOPIC_ID_BYTES + 1];
        if (!mr_topic_parse(topics[i].name, &name) ||
            (options->common.tenant[0] != '\0' &&
             strcmp(options->common.tenant, name.tenant) != 0) ||
            (options->kind[0] != '\0' && strcmp(options->kind, name.kind) != 0))
            continue;
        mr_hex(topics[i].id, sizeof(topics[i].id), id);
        printf("%-40s partitions=%d replicas=%d id=%s\n", topics[i].name, topics[i].partitions,
               topics[i].replicas, id);
    }
    return 0;
}

static int
create(struct mr_bus *bus, const struct options *options, struct mr_err *err)
{
    MR_CLEANUP(mr_plan_closep) struct mr_plan *plan = NULL;
    MR_CLEANUP(mr_contracts_closep) struct mr_contracts *contracts = NULL;
    if (!mr_tenant_ok(mr_slice_text(options->common.tenant)))
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "option --tenant: \"%s\" is not 1 to %d of A-Z a-z 0-9 _ -",
                       options->common.tenant, MR_TENANT_MAX);
    if (mr_plan_open(options->topics, &plan, err) != 0 ||
        mr_contracts_open(options->common.kinds, &contracts, err) != 0)
        return err->code;
    if (options->kind[0] != '\0' && mr_contracts_find(contracts, options->kind) == NULL)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "option --kind: %s has no folder in %s",
                       options->kind, options->common.kinds);
    for (size_t i = 0; i < mr_contracts_count(contracts); i++) {
        const char *kind = mr_contracts_at(contracts, i)->name;
        if (options->kind[0] != '\0' && strcmp(options->kind, kind) != 0)
            continue;
        if (mr_plan_make(plan, bus, options->common.tenant, kind, MAKE_MS_MAX, err) != 0)
            return err->code;
        printf("%s.%s is there\n", options->common.tenant, kind);
    }
    return 0;
}

int
command_topics(int argc, char **argv)
{
    struct options options = { 0 };
    MR_CLEANUP(mr_bus_closep) struct mr_bus *bus = NULL;
    struct mr_err err = { 0 };
    int result = cli_load("millrace topics", "Lists topics, or makes those of a tenant.", table,
                          &options, argc, argv, NULL, NULL, &err);
    if (result > 0)
        return EXIT_FINE;
    const struct mr_bus_options bus_options = { options.common.bootstrap,
                                                options.common.kafka_config, "millrace" };
    if (result == 0 && mr_bus_open(&bus_options, &bus, &err) == 0)
        result = options.create ? create(bus, &options, &err) : list(bus, &options, &err);
    return err.code == 0 ? EXIT_FINE : cli_refuse(&err);
}
