/*
 * Lists the topics of kinds, makes those of a tenant (clean and dead first, the raw topic last), or
 * adopts a raw topic whose first records are gone.
 */
#include <stdio.h>

#include "bus/bus.h"
#include "cli.h"
#include "clock/clock.h"
#include "contract/contract.h"
#include "names/names.h"
#include "stage/stage.h"
#include "topics/topics.h"

enum { ASK_MS_MAX = 10000, MAKE_MS_MAX = 60000, SHOW_MS = 200 };

struct options {
    struct cli_options common;
    const char *topics, *kind, *adopt;
    bool create;
};

static const struct mr_opt table[] = {
    { "create", MR_OPT_BOOL, offsetof(struct options, create), "false", 0, 0, NULL,
      "Make the topics of --tenant that are missing.", false },
    { "adopt", MR_OPT_TEXT, offsetof(struct options, adopt), "", 0, MR_TOPIC_MAX, NULL,
      "Let all stages of --pipeline begin this raw topic where its log begins now.", false },
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

/* ---- adopt (LAW 11) ---- */

static int
ask(struct mr_bus *bus, const char *group, const struct mr_topic *topic, struct mr_offsets **ret,
    struct mr_err *err)
{
    *ret = mr_alloc((size_t)topic->partitions * sizeof(**ret));
    for (int32_t p = 0; p < topic->partitions; p++)
        (*ret)[p] = (struct mr_offsets){ .topic = topic->name, .partition = p };
    return mr_bus_offsets(bus, group, *ret, (size_t)topic->partitions, ASK_MS_MAX, err);
}

/* No stage may have begun, but by an adoption that was broken off, and nothing may stand behind the
 * raw topic. */
static int
check_untouched(struct mr_bus *bus, const char *group, const struct mr_topic *topic, bool is_input,
                struct mr_err *err)
{
    MR_CLEANUP(mr_freep) struct mr_offsets *offsets = NULL;
    if (ask(bus, group, topic, &offsets, err) != 0)
        return err->code;
    for (int32_t p = 0; p < topic->partitions; p++) {
        const struct mr_offsets *at = &offsets[p];
        if (is_input && at->committed != MR_NO_OFFSET && at->committed != at->log_start)
            return mr_fail(err, MR_E(CONFLICT), MR_FATAL,
                           "%s part %d: group %s has begun it already, at %lld", topic->name,
                           (int)p, group, (long long)at->committed);
        if (!is_input && at->end > 0)
            return mr_fail(err, MR_E(CONFLICT), MR_FATAL,
                           "%s part %d holds records: only a topic without outputs can be adopted",
                           topic->name, (int)p);
    }
    return 0;
}

/* A commit outside of transactions is only on its way when it returns, and a group that still has
 * members refuses it: it counts when the group shows it. */
static int
commit_until_shown(struct mr_bus *bus, struct mr_reader *reader, const char *group,
                   const struct mr_topic *topic, const struct mr_position *positions,
                   struct mr_err *err)
{
    int64_t until_ms = mr_now_ms() + MAKE_MS_MAX;
    while (mr_now_ms() < until_ms) {
        MR_CLEANUP(mr_freep) struct mr_offsets *shown = NULL;
        struct mr_batch ignored;
        bool is_there = true;
        if (mr_reader_commit(reader, positions, (size_t)topic->partitions, 0, err) != 0 ||
            mr_reader_poll(reader, 1, SHOW_MS, &ignored, err) < 0 ||
            ask(bus, group, topic, &shown, err) != 0)
            return err->code;
        for (int32_t p = 0; p < topic->partitions; p++)
            is_there = is_there && shown[p].committed == positions[p].next;
        if (is_there)
            return 0;
    }
    return mr_fail(err, MR_E(TIMEOUT), MR_FATAL, "offsets were not taken: end its processes first");
}

static int
commit_starts(struct mr_bus *bus, const char *group, const struct mr_topic *topic, const char *note,
              struct mr_err *err)
{
    MR_CLEANUP(mr_freep) struct mr_offsets *offsets = NULL;
    MR_CLEANUP(mr_reader_closep) struct mr_reader *reader = NULL;
    const struct mr_reader_options options = { .group = group, .queue_bytes_max = 1 << 20 };
    size_t count = (size_t)topic->partitions;
    MR_CLEANUP(mr_freep) struct mr_part *parts = mr_alloc(count * sizeof(*parts));
    MR_CLEANUP(mr_freep) struct mr_position *positions = mr_alloc(count * sizeof(*positions));
    if (ask(bus, group, topic, &offsets, err) != 0)
        return err->code;
    for (size_t p = 0; p < count; p++) {
        (void)snprintf(parts[p].topic, sizeof(parts[p].topic), "%s", topic->name);
        parts[p].partition = (int32_t)p;
        parts[p].start = offsets[p].log_start;
        positions[p] = (struct mr_position){ (uint32_t)p, offsets[p].log_start, note };
    }
    if (mr_reader_open(bus, &options, &reader, err) != 0 ||
        mr_reader_assign(reader, parts, count, err) != 0 ||
        commit_until_shown(bus, reader, group, topic, positions, err) != 0)
        return mr_fail_in(err, "group %s", group);
    for (size_t p = 0; p < count; p++)
        printf("%s part %zu begins at %lld for %s\n", topic->name, p, (long long)positions[p].next,
               group);
    return 0;
}

/* The archiver's start stands in the chain by itself: its first object begins there. */
static int
adopt(struct mr_bus *bus, const struct options *options, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) struct mr_topic *topics = NULL;
    const struct mr_topic *raw = NULL;
    struct mr_topic_name wanted, name;
    struct mr_counts none = { 0 };
    char validator[128], archiver[128], note[MR_POSITION_NOTE_MAX];
    size_t count = 0;
    (void)snprintf(validator, sizeof(validator), "%s.validator", options->common.pipeline);
    (void)snprintf(archiver, sizeof(archiver), "%s.archiver", options->common.pipeline);
    mr_counts_note(&none, NULL, note);
    if (!mr_topic_parse(options->adopt, &wanted) || wanted.role != MR_TOPIC_RAW)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "option --adopt: \"%s\" is no raw topic",
                       options->adopt);
    if (mr_bus_topics(bus, &topics, &count, ASK_MS_MAX, err) != 0)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        if (!mr_topic_parse(topics[i].name, &name) || strcmp(name.tenant, wanted.tenant) != 0 ||
            strcmp(name.kind, wanted.kind) != 0)
            continue;
        if (name.role == MR_TOPIC_RAW)
            raw = &topics[i];
        bool is_input = name.role == MR_TOPIC_RAW;
        if (check_untouched(bus, validator, &topics[i], is_input, err) != 0 ||
            (is_input && check_untouched(bus, archiver, &topics[i], true, err) != 0))
            return err->code;
    }
    if (raw == NULL)
        return mr_fail(err, MR_E(NOT_FOUND), MR_FATAL, "there is no topic %s", options->adopt);
    if (commit_starts(bus, archiver, raw, "adopted", err) != 0)
        return err->code;
    return commit_starts(bus, validator, raw, note, err);
}

int
command_topics(int argc, char **argv)
{
    struct options options = { 0 };
    MR_CLEANUP(mr_bus_closep) struct mr_bus *bus = NULL;
    struct mr_err err = { 0 };
    int result =
        cli_load("millrace topics", "Lists topics, makes those of a tenant, or adopts one.", table,
                 &options, argc, argv, NULL, NULL, &err);
    if (result > 0)
        return EXIT_FINE;
    const struct mr_bus_options bus_options = { options.common.bootstrap,
                                                options.common.kafka_config, "millrace" };
    if (result == 0 && mr_bus_open(&bus_options, &bus, &err) == 0)
        result = options.adopt[0] != '\0' ? adopt(bus, &options, &err)
                 : options.create         ? create(bus, &options, &err)
                                          : list(bus, &options, &err);
    return err.code == 0 ? EXIT_FINE : cli_refuse(&err);
}
