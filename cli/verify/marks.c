/*
 * Where reading begins, and how far the stages have come.
 *
 * With --since a raw topic is judged from the first record of that time on; what stands before is
 * taken as given, but read as far as the window of repeats reaches. Its outputs are chosen by
 * origin: the broker is asked for a time so much earlier that no clock and no producer's own time
 * (brokers refuse one that is more than an hour ahead) can put an output before it.
 */
#include "verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ASK_MS_MAX = 25000 /* an offset that a killed process left undecided is known then */ };
static const int64_t clocks_differ_ms = 2 * 3600 * 1000;

int64_t
since_of(const struct verify *v, enum mr_topic_role role, size_t partition)
{
    return partition < v->since_count[role] ? v->since[role][partition] : 0;
}

int
list_parts(struct verify *v, enum mr_topic_role role, struct mr_part **ret, size_t *ret_count,
           struct mr_err *err)
{
    const char *topic = v->topics[role];
    MR_CLEANUP(mr_freep) struct mr_topic *topics = NULL;
    size_t count, parts = 0;
    if (mr_bus_topics(v->bus, &topics, &count, ASK_MS_MAX, err) != 0)
        return err->code;
    for (size_t i = 0; i < count; i++)
        if (strcmp(topics[i].name, topic) == 0)
            parts = (size_t)topics[i].partitions;
    if (parts == 0)
        return mr_fail(err, MR_E(NOT_FOUND), MR_FATAL, "there is no topic %s", topic);
    MR_CLEANUP(mr_freep) struct mr_part *list = mr_alloc(parts * sizeof(*list));
    MR_CLEANUP(mr_freep) struct mr_offsets *offsets = mr_alloc(parts * sizeof(*offsets));
    for (size_t p = 0; p < parts; p++)
        offsets[p] = (struct mr_offsets){ .topic = topic, .partition = (int32_t)p };
    if (mr_bus_offsets(v->bus, NULL, offsets, parts, ASK_MS_MAX, err) != 0)
        return err->code;
    for (size_t p = 0; p < parts; p++) {
        int64_t back = role == MR_TOPIC_RAW ? v->repeat_window : 0;
        int64_t start = since_of(v, role, p) - back;
        (void)snprintf(list[p].topic, sizeof(list[p].topic), "%s", topic);
        list[p].partition = (int32_t)p;
        list[p].log_start = offsets[p].log_start;
        list[p].start = start > offsets[p].log_start ? start : offsets[p].log_start;
        list[p].end = offsets[p].end;
    }
    *ret = MR_TAKE(list);
    *ret_count = parts;
    return 0;
}

/* ---- since ---- */

static int
find_since_of(struct verify *v, enum mr_topic_role role, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) struct mr_part *parts = NULL;
    size_t count = 0;
    int64_t time_ms = v->since_ms - (role == MR_TOPIC_RAW ? 0 : clocks_differ_ms);
    if (list_parts(v, role, &parts, &count, err) != 0)
        return err->code;
    v->since[role] = mr_alloc(count * sizeof(*v->since[role]));
    for (size_t p = 0; p < count; p++) {
        struct mr_offsets at = { .topic = v->topics[role], .partition = (int32_t)p };
        if (mr_bus_offset_at(v->bus, &at, time_ms, &v->since[role][p], ASK_MS_MAX, err) != 0)
            return err->code;
    }
    v->since_count[role] = count;
    return 0;
}

int
find_since(struct verify *v, struct mr_err *err)
{
    for (int role = MR_TOPIC_RAW; role <= MR_TOPIC_DEAD && v->since_ms != VERIFY_ALL; role++)
        if (find_since_of(v, (enum mr_topic_role)role, err) != 0)
            return err->code;
    return 0;
}

/* ---- marks ---- */

static struct mr_field marks_fields[] = {
    { "topic", MR_TYPE_STRING, false }, { "p", MR_TYPE_INTEGER, false },
    { "handled", MR_TYPE_LONG, false }, { "archived", MR_TYPE_LONG, false },
    { "adopted", MR_TYPE_BOOL, false }, { "object", MR_TYPE_LONG, false },
};
static const struct mr_schema marks_schema = { marks_fields, MR_COUNT(marks_fields) };

/* Who makes the next topic of one; nobody behind clean and dead. */
static const char *const stages[] = { "validator", "cleaner", "archiver", "archiver" };

/* How far the group of a stage has come; 0: it has none. */
static int
ask_committed(struct verify *v, const char *stage, struct mr_offsets *at, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *group = mr_printf("%s.%s", v->pipeline, stage);
    if (mr_bus_offsets(v->bus, group, at, 1, ASK_MS_MAX, err) != 0)
        return err->code;
    if (at->committed == MR_NO_OFFSET)
        at->committed = 0;
    return 0;
}

static int
mark_topic(struct verify *v, struct facts *facts, enum mr_topic_role role, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) struct mr_part *parts = NULL;
    size_t count = 0;
    if (list_parts(v, role, &parts, &count, err) != 0)
        return err->code;
    for (size_t p = 0; p < count; p++) {
        struct mr_offsets stage = { .topic = v->topics[role], .partition = (int32_t)p };
        struct mr_offsets archiver = stage;
        int64_t object = -1;
        if (ask_committed(v, stages[role], &stage, err) != 0 ||
            (role != MR_TOPIC_VALID && ask_committed(v, "archiver", &archiver, err) != 0))
            return err->code;
        (void)sscanf(archiver.note, "1 object=%" SCNd64, &object);
        struct mr_columns *row = facts_rows(facts);
        mr_columns_text(row, 0, mr_slice_text(mr_topic_suffix(role)));
        mr_columns_int(row, 1, (int64_t)p);
        mr_columns_int(row, 2, stage.committed);
        mr_columns_int(row, 3, archiver.committed);
        mr_columns_bool(row, 4, strncmp(archiver.note, "adopt", 5) == 0);
        mr_columns_int(row, 5, object);
        if (facts_row(facts, err) != 0)
            return err->code;
    }
    return 0;
}

int
find_marks(struct verify *v, struct mr_err *err)
{
    MR_CLEANUP(facts_drop) struct facts *facts = NULL;
    const struct facts_shape shape = { "marks", &marks_schema, NULL, &marks_schema, NULL };
    if (facts_open(&v->ground, &shape, &facts, err) != 0)
        return err->code;
    for (int role = MR_TOPIC_RAW; role <= MR_TOPIC_DEAD; role++)
        if (mark_topic(v, facts, (enum mr_topic_role)role, err) != 0)
            return err->code;
    return facts_close(MR_TAKE(facts), err);
}
