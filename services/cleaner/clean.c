/*
 * One poll: each Event is unpacked and its record becomes a row of its kind's batch; each batch
 * runs through the rules; each row that comes out becomes an Event again. A record that is no
 * Event, or whose row fails, is a dead letter. Nothing is kept between polls but counts for the
 * metrics.
 */
#include "clean.h"

#include <stdio.h>
#include <stdlib.h>

#include "millrace/v1/event.pb-c.h"

enum { RECORD_BYTES_MAX = 64 << 20 };

const struct mr_metric cleaner_metrics[] = {
    { "millrace_rule_hits_total", MR_COUNTER, "kind,rule",
      "Rows that a counted rule of clean.sql was true for." },
    { "millrace_column_nulls_total", MR_COUNTER, "kind,column", "NULLs in cleaned columns." },
};
const size_t cleaner_metrics_count = MR_COUNT(cleaner_metrics);

/* One record that waits for its batch to be cleaned. */
struct waiting {
    const struct mr_record *record;
    struct mr_stage_part *part;
    const Millrace__V1__Event *event; /* in the stage's arena */
};

struct group {
    struct group *next;
    struct mr_clean_kind *rules;
    const struct mr_kind *kind;
    struct mr_columns *input;
    struct waiting *waiting; /* one for each row of input */
    size_t capacity;
    uint32_t needs; /* version that events wait for; 0: none */
    /* Counted since the last commit, for the cells below. */
    int64_t rule_hits[MR_RULES_MAX], column_nulls[MR_FIELDS_MAX];
    struct mr_cell *rule_cells[MR_RULES_MAX], *column_cells[MR_FIELDS_MAX];
};

/* ---- groups ---- */

static void
set_rules(struct cleaner *cleaner, struct group *group, struct mr_clean_kind *rules)
{
    group->rules = rules;
    group->kind = mr_clean_contract(rules);
    mr_columns_free(group->input);
    group->input = mr_columns_new(&group->kind->input);
    if (group->needs <= group->kind->version)
        group->needs = 0;
    memset(group->rule_hits, 0, sizeof(group->rule_hits));
    memset(group->column_nulls, 0, sizeof(group->column_nulls));
    for (size_t i = 0; i < mr_clean_rules(rules); i++) {
        const char *labels[] = { group->kind->name, mr_clean_rule(rules, i) };
        group->rule_cells[i] =
            mr_metrics_cell(cleaner->metrics, "millrace_rule_hits_total", labels);
    }
    for (size_t c = 0; c < group->kind->output.count; c++) {
        const char *labels[] = { group->kind->name, group->kind->output.fields[c].name };
        group->column_cells[c] =
            mr_metrics_cell(cleaner->metrics, "millrace_column_nulls_total", labels);
    }
}

void
cleaner_init(struct cleaner *cleaner, struct mr_clean *clean, struct mr_metrics *metrics)
{
    *cleaner = (struct cleaner){ .clean = clean, .metrics = metrics };
    mr_buf_init(&cleaner->record, RECORD_BYTES_MAX);
    mr_buf_init(&cleaner->json, RECORD_BYTES_MAX);
}

void
cleaner_fini(struct cleaner *cleaner)
{
    while (cleaner->groups != NULL) {
        struct group *group = cleaner->groups;
        cleaner->groups = group->next;
        mr_columns_free(group->input);
        free(group->waiting);
        free(group);
    }
    mr_buf_fini(&cleaner->record);
    mr_buf_fini(&cleaner->json);
}

int
cleaner_reload(struct cleaner *cleaner, struct mr_clean *clean, struct mr_err *err)
{
    for (struct group *group = cleaner->groups; group != NULL; group = group->next)
        if (mr_clean_find(clean, group->kind->name) == NULL)
            return mr_fail(err, MR_E(INVALID), MR_REJECT,
                           "kind %s is in use and missing in the new contracts", group->kind->name);
    for (struct group *group = cleaner->groups; group != NULL; group = group->next)
        set_rules(cleaner, group, mr_clean_find(clean, group->kind->name));
    cleaner->clean = clean;
    return 0;
}

const char *
cleaner_waits_for(const struct cleaner *cleaner, uint32_t *ret_version)
{
    for (const struct group *group = cleaner->groups; group != NULL; group = group->next) {
        if (group->needs == 0)
            continue;
        *ret_version = group->needs;
        return group->kind->name;
    }
    return NULL;
}

/* ---- what goes out ---- */

/* cleaner->record holds the row. */
static int
emit_clean(struct cleaner *cleaner, const struct group *group, size_t row, struct mr_err *err)
{
    const struct waiting *w = &group->waiting[row];
    Millrace__V1__Event event = MILLRACE__V1__EVENT__INIT;
    event.provenance = w->event->provenance;
    event.origin = w->event->origin;
    event.kind = (char *)group->kind->name;
    event.contract_version = group->kind->version;
    event.record = (ProtobufCBinaryData){ cleaner->record.size, (uint8_t *)cleaner->record.data };
    size_t size = millrace__v1__event__get_packed_size(&event);
    uint8_t *packed = mr_arena_alloc(mr_stage_arena(cleaner->stage), size);
    (void)millrace__v1__event__pack(&event, packed);
    w->part->counts.good++;
    return mr_stage_emit(cleaner->stage, w->part->clean, w->part->part.partition, w->record->key,
                         mr_slice(NULL, 0), mr_slice(packed, size), err);
}

static int
emit_dead(struct cleaner *cleaner, const struct waiting *w, int code, const char *reason,
          struct mr_slice original, struct mr_err *err)
{
    struct mr_verdict verdict = { .code = code };
    bool is_large = code == MILLRACE__V1__DEAD_CODE__TOO_LARGE;
    (void)snprintf(verdict.rule, sizeof(verdict.rule), "%s",
                   is_large ? "max.message.bytes" : "clean.sql");
    mr_verdict_show(&verdict, original);
    mr_verdict_say(&verdict, reason);
    const struct group *group = w->part->state;
    struct mr_dead dead = { .provenance = w->event->provenance,
                            .origin = w->event->origin,
                            .verdict = &verdict,
                            .original = original,
                            .key = group->kind->key_in < 0 ? w->record->key : mr_slice(NULL, 0),
                            .contract_version = group->kind->version,
                            .is_cut = is_large };
    return mr_stage_emit_dead(cleaner->stage, w->part, &dead, err);
}

/* The row of the input batch as JSON. */
static struct mr_slice
original_of(struct cleaner *cleaner, const struct group *group, size_t row)
{
    mr_buf_reset(&cleaner->json);
    mr_contract_json(&group->kind->input, group->input, row, &cleaner->json);
    return mr_buf_slice(&cleaner->json);
}

/* ---- what comes in ---- */

/* A record of T.valid that nobody of ours wrote: its origin is the only place known for it. */
static const Millrace__V1__Event *
stand_in(struct cleaner *cleaner, struct mr_stage_part *part, const struct mr_record *record)
{
    struct mr_arena *arena = mr_stage_arena(cleaner->stage);
    Millrace__V1__Event *event = mr_arena_alloc(arena, sizeof(*event));
    Millrace__V1__Origin *origin = mr_arena_alloc(arena, sizeof(*origin));
    millrace__v1__event__init(event);
    millrace__v1__origin__init(origin);
    origin->topic = part->part.topic;
    origin->topic_id = (ProtobufCBinaryData){ MR_TOPIC_ID_BYTES, part->part.topic_id };
    origin->partition = part->part.partition;
    origin->offset = record->offset;
    event->origin = origin;
    return event;
}

/* Fills waiting and appends its row to the group's batch. 1: it is no event of this kind; why says
 * so and a stand-in holds its place. */
static int
unpack(struct cleaner *cleaner, const struct mr_record *record, struct waiting *ret,
       struct mr_err *why, struct mr_err *err)
{
    struct mr_stage_part *part = mr_stage_part_at(cleaner->stage, record->slot);
    struct group *group = part->state;
    ProtobufCAllocator allocator;
    mr_arena_protobuf(mr_stage_arena(cleaner->stage), &allocator);
    const Millrace__V1__Event *event =
        record->value.data == NULL
            ? NULL
            : millrace__v1__event__unpack(&allocator, record->value.size, record->value.data);
    *ret = (struct waiting){ record, part, event };
    if (event == NULL || event->origin == NULL || event->provenance == NULL) {
        ret->event = stand_in(cleaner, part, record);
        (void)mr_fail(why, MR_E(CORRUPT), MR_REJECT, "the record on %s is no Event",
                      part->part.topic);
        return 1;
    }
    if (event->contract_version > group->kind->version) {
        group->needs = event->contract_version;
        return mr_fail(err, MR_E(UNAVAILABLE), MR_RETRY,
                       "%s holds events of contract version %u, ours is %u", part->part.topic,
                       event->contract_version, group->kind->version);
    }
    struct mr_slice packed = mr_slice(event->record.data, event->record.len);
    return mr_contract_decode(group->kind, MR_INPUT, packed, group->input, why) == 0 ? 0 : 1;
}

static void
remember(struct group *group, const struct waiting *waiting)
{
    size_t row = group->input->rows - 1;
    if (row >= group->capacity) {
        group->capacity = group->capacity > 0 ? group->capacity * 2 : 64;
        group->waiting = mr_realloc(group->waiting, group->capacity * sizeof(*group->waiting));
    }
    group->waiting[row] = *waiting;
}

/* why: the rules failed for this row; NULL: they did not. What they give may still be no record,
 * such as a list with a NULL in it. */
static int
emit_row(struct cleaner *cleaner, const struct group *group, const struct mr_columns *rows,
         size_t row, const char *why, struct mr_err *err)
{
    struct mr_err unfit = { 0 };
    mr_buf_reset(&cleaner->record);
    if (why == NULL && mr_contract_encode(group->kind, rows, row, &cleaner->record, &unfit) != 0) {
        if (unfit.code == MR_E(TOO_LARGE))
            return *err = unfit, err->code;
        why = unfit.text;
    }
    if (why == NULL)
        return emit_clean(cleaner, group, row, err);
    return emit_dead(cleaner, &group->waiting[row], MILLRACE__V1__DEAD_CODE__RULE_FAILED, why,
                     original_of(cleaner, group, row), err);
}

static int
clean_group(struct cleaner *cleaner, struct group *group, struct mr_err *err)
{
    struct mr_cleaned cleaned;
    if (mr_clean_run(group->rules, group->input, &cleaned, err) != 0)
        return err->code;
    size_t failed = 0;
    for (size_t row = 0; row < cleaned.rows->rows; row++) {
        bool has_failed = failed < cleaned.errors_count && cleaned.errors[failed].row == row;
        const char *why = has_failed ? cleaned.errors[failed++].text : NULL;
        if (emit_row(cleaner, group, cleaned.rows, row, why, err) != 0)
            return err->code;
    }
    for (size_t i = 0; i < mr_clean_rules(group->rules); i++)
        group->rule_hits[i] += cleaned.rule_hits[i];
    for (size_t c = 0; c < cleaned.rows->count; c++)
        group->column_nulls[c] += cleaned.column_nulls[c];
    return 0;
}

/* ---- the handler ---- */

static int
open_part(void *self, struct mr_stage_part *part, struct mr_err *err)
{
    struct cleaner *cleaner = self;
    struct mr_clean_kind *rules = mr_clean_find(cleaner->clean, part->name.kind);
    if (rules == NULL)
        return mr_fail(err, MR_E(NOT_FOUND), MR_RETRY, "topic %s: kind %s has no contract",
                       part->part.topic, part->name.kind);
    struct group *group = cleaner->groups;
    while (group != NULL && strcmp(group->kind->name, part->name.kind) != 0)
        group = group->next;
    if (group == NULL) {
        group = mr_alloc(sizeof(*group));
        group->next = cleaner->groups;
        cleaner->groups = group;
        set_rules(cleaner, group, rules);
    }
    part->state = group;
    return 0;
}

static int
handle(void *self, const struct mr_record *records, size_t count, struct mr_err *err)
{
    struct cleaner *cleaner = self;
    for (struct group *group = cleaner->groups; group != NULL; group = group->next)
        mr_columns_reset(group->input);
    for (size_t i = 0; i < count; i++) {
        struct waiting waiting;
        struct mr_err why = { 0 };
        int code = unpack(cleaner, &records[i], &waiting, &why, err);
        if (code == 0)
            remember(waiting.part->state, &waiting);
        else if (code > 0)
            code = emit_dead(cleaner, &waiting, MILLRACE__V1__DEAD_CODE__RULE_FAILED, why.text,
                             records[i].value, err);
        if (code < 0)
            return code;
    }
    for (struct group *group = cleaner->groups; group != NULL; group = group->next)
        if (group->input->rows > 0 && clean_group(cleaner, group, err) != 0)
            return err->code;
    return 0;
}

static void
committed(void *self)
{
    struct cleaner *cleaner = self;
    for (struct group *group = cleaner->groups; group != NULL; group = group->next) {
        for (size_t i = 0; i < mr_clean_rules(group->rules); i++)
            mr_add(group->rule_cells[i], group->rule_hits[i]);
        for (size_t c = 0; c < group->kind->output.count; c++)
            mr_add(group->column_cells[c], group->column_nulls[c]);
        memset(group->rule_hits, 0, sizeof(group->rule_hits));
        memset(group->column_nulls, 0, sizeof(group->column_nulls));
    }
}

static void
aborted(void *self)
{
    struct cleaner *cleaner = self;
    for (struct group *group = cleaner->groups; group != NULL; group = group->next) {
        memset(group->rule_hits, 0, sizeof(group->rule_hits));
        memset(group->column_nulls, 0, sizeof(group->column_nulls));
    }
}

static bool
holds(void *self, const struct mr_stage_part *part)
{
    const struct group *group = part->state;
    (void)self;
    return group->needs > 0;
}

static int
too_large(void *self, const struct mr_record *record, struct mr_err *err)
{
    struct cleaner *cleaner = self;
    struct mr_stage_part *part = mr_stage_part_at(cleaner->stage, record->slot);
    struct group *group = part->state;
    struct waiting waiting;
    struct mr_err why = { 0 };
    mr_columns_reset(group->input);
    int code = unpack(cleaner, record, &waiting, &why, err);
    if (code < 0)
        return code;
    MR_CLEANUP(mr_freep)
    char *reason = mr_printf("what becomes of this record is larger than %s takes: send less at "
                             "once, or raise its max.message.bytes",
                             part->clean);
    return emit_dead(cleaner, &waiting, MILLRACE__V1__DEAD_CODE__TOO_LARGE, reason,
                     code == 0 ? original_of(cleaner, group, 0) : record->value, err);
}

const struct mr_stage_handler cleaner_handler = {
    .open = open_part,
    .handle = handle,
    .committed = committed,
    .aborted = aborted,
    .holds = holds,
    .too_large = too_large,
};
