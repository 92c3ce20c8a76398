/*
 * Taking over partitions: where each one starts (LAW 11), which of them must wait because an output
 * cannot be seen (LAW 13), and giving them back.
 *
 * The danger is silence: offsets that have expired look like offsets that never were, and they
 * expire topic by topic. So a topic of which the group holds no offset starts at 0 only when its
 * outputs hold nothing of the stage; everything else ends the process with the range that it would
 * have to skip or to repeat. That can be told apart only
 * because a partition flows no sooner than its start is committed: outputs of ours, be they
 * aborted, mean that the group has had offsets.
 */
#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "millrace/v1/event.pb-c.h"
#include "stage/private.h"

static const char *
output_topic(const struct mr_stage_part *part, enum mr_topic_role role)
{
    switch (role) {
    case MR_TOPIC_VALID:
        return part->valid;
    case MR_TOPIC_CLEAN:
        return part->clean;
    case MR_TOPIC_DEAD:
        return part->dead;
    case MR_TOPIC_RAW:
        break;
    }
    return part->raw;
}

static int
name_part(struct mr_stage *stage, struct slot *slot, const struct mr_part *part, struct mr_err *err)
{
    struct mr_stage_part *pub = &slot->pub;
    pub->part = *part;
    if (!mr_topic_parse(part->topic, &pub->name) || pub->name.role != stage->options.input)
        return mr_fail(err, MR_E(INTERNAL), MR_FATAL, "topic %s was assigned but is no input",
                       part->topic);
    mr_topic_format(pub->name.tenant, pub->name.kind, MR_TOPIC_RAW, pub->raw);
    mr_topic_format(pub->name.tenant, pub->name.kind, MR_TOPIC_VALID, pub->valid);
    mr_topic_format(pub->name.tenant, pub->name.kind, MR_TOPIC_CLEAN, pub->clean);
    mr_topic_format(pub->name.tenant, pub->name.kind, MR_TOPIC_DEAD, pub->dead);
    return 0;
}

/* ---- has this group ever committed, has it ever written? ---- */

/* Does the group hold an offset for any partition of the topic? */
static int
group_has_begun(struct mr_stage *stage, const char *topic, bool *ret, struct mr_err *err)
{
    int partitions = mr_writer_partitions(stage->writer, topic, ASK_MS_MAX, err);
    if (partitions < 0)
        return partitions;
    MR_CLEANUP(mr_freep) struct mr_offsets *at = mr_alloc((size_t)partitions * sizeof(*at));
    for (int32_t p = 0; p < partitions; p++)
        at[p] = (struct mr_offsets){ .topic = topic, .partition = p };
    if (mr_bus_offsets(stage->options.bus, stage->group, at, (size_t)partitions, ASK_MS_MAX, err) !=
        0)
        return err->code;
    *ret = false;
    for (int32_t p = 0; p < partitions; p++)
        *ret = *ret || at[p].committed != MR_NO_OFFSET;
    return 0;
}

/* Reads a dead topic's partition from start to end for a letter of this stage. */
static int
dead_has_ours(struct mr_stage *stage, const struct mr_offsets *at, bool *ret, struct mr_err *err)
{
    MR_CLEANUP(mr_reader_closep) struct mr_reader *reader = NULL;
    struct mr_reader_options options = { .queue_bytes_max = stage->options.memory_max / 4 };
    struct mr_part part = { .partition = at->partition, .start = at->log_start };
    (void)snprintf(part.topic, sizeof(part.topic), "%s", at->topic);

    if (mr_reader_open(stage->options.bus, &options, &reader, err) != 0 ||
        mr_reader_assign(reader, &part, 1, err) != 0)
        return err->code;
    int64_t deadline_ms = mr_now_ms() + 60000;
    while (mr_now_ms() < deadline_ms) {
        struct mr_batch batch;
        if (mr_reader_poll(reader, 1000, 100, &batch, err) < 0)
            return err->code;
        for (size_t i = 0; i < batch.count; i++) {
            const struct mr_record *record = &batch.records[i];
            if (record->is_end)
                return 0;
            Millrace__V1__DeadLetter *letter =
                millrace__v1__dead_letter__unpack(NULL, record->value.size, record->value.data);
            *ret = *ret || letter == NULL || strcmp(letter->stage, stage->options.name) == 0;
            if (letter != NULL)
                millrace__v1__dead_letter__free_unpacked(letter, NULL);
        }
        if (*ret)
            return 0;
    }
    return mr_fail(err, MR_E(TIMEOUT), MR_RETRY, "topic %s part %d: not read to its end in 60 s",
                   at->topic, (int)at->partition);
}

/* Does a topic hold, or did it ever hold, an output of this stage? One that is not there does not:
 * its input is held until it comes. */
static int
topic_has_ours(struct mr_stage *stage, const char *topic, enum mr_topic_role role, bool *ret,
               struct mr_err *err)
{
    int partitions = mr_writer_partitions(stage->writer, topic, ASK_MS_MAX, err);
    if (partitions == MR_E(NOT_FOUND)) {
        *err = (struct mr_err){ 0 };
        return 0;
    }
    if (partitions < 0)
        return partitions;
    MR_CLEANUP(mr_freep) struct mr_offsets *at = mr_alloc((size_t)partitions * sizeof(*at));
    for (int32_t p = 0; p < partitions; p++)
        at[p] = (struct mr_offsets){ .topic = topic, .partition = p };
    if (mr_bus_offsets(stage->options.bus, NULL, at, (size_t)partitions, ASK_MS_MAX, err) != 0)
        return err->code;
    for (int32_t p = 0; p < partitions && !*ret; p++) {
        if (at[p].end == 0)
            continue;
        if (role != MR_TOPIC_DEAD || at[p].log_start > 0)
            *ret = true;
        else if (dead_has_ours(stage, &at[p], ret, err) != 0)
            return err->code;
    }
    return 0;
}

/* Of a topic that the group has not begun. It is asked again when there are outputs: another member
 * may have begun meanwhile. */
static int
check_outputs(struct mr_stage *stage, const struct mr_stage_part *part, struct mr_err *err)
{
    for (size_t i = 0; i < MR_COUNT(stage->options.outputs); i++) {
        enum mr_topic_role role = stage->options.outputs[i];
        const char *topic = output_topic(part, role);
        bool has = false, begun = false;
        if (topic_has_ours(stage, topic, role, &has, err) != 0 ||
            (has && group_has_begun(stage, part->part.topic, &begun, err) != 0))
            return err->code;
        if (has && !begun)
            return mr_fail(err, MR_E(IDENTITY), MR_FATAL,
                           "group %s has no offsets of topic %s, but %s holds its outputs: "
                           "starting at 0 would repeat [0, %lld) of part %d; restore the group's "
                           "offsets or delete the outputs",
                           stage->group, part->part.topic, topic, (long long)part->part.end,
                           (int)part->part.partition);
    }
    return 0;
}

/* ---- where to start ---- */

static bool
is_first_of_topic(const struct mr_stage *stage, const struct slot *slot)
{
    const struct slot *at = stage->slots;
    while (strcmp(at->pub.part.topic, slot->pub.part.topic) != 0)
        at++;
    return at == slot;
}

/* One that was added to a topic that the group has begun is new; else the topic must be. */
static int
start_unborn(struct mr_stage *stage, struct slot *slot, struct mr_err *err)
{
    const struct mr_part *part = &slot->pub.part;
    bool begun = false;
    if (part->log_start > 0)
        return mr_fail(err, MR_E(IDENTITY), MR_FATAL,
                       "topic %s part %d: no committed offset, and [0, %lld) is gone from the log; "
                       "adopt the present start only if that range may be left out",
                       part->topic, (int)part->partition, (long long)part->log_start);
    if (is_first_of_topic(stage, slot) && (group_has_begun(stage, part->topic, &begun, err) != 0 ||
                                           (!begun && check_outputs(stage, &slot->pub, err) != 0)))
        return err->code;
    slot->unborn = true;
    slot->committed = slot->next = 0;
    return 0;
}

/* Offsets of a topic that was deleted and made again under its name mean nothing, but may fit. */
static int
check_topic_id(const struct mr_part *part, struct mr_err *err)
{
    char ours[2 * MR_TOPIC_ID_BYTES + 1];
    const char *noted = stage_note_topic(part->note);
    mr_hex(part->topic_id, MR_TOPIC_ID_BYTES, ours);
    if (noted == NULL || strcmp(noted, ours) == 0)
        return 0;
    return mr_fail(err, MR_E(IDENTITY), MR_FATAL,
                   "topic %s part %d: committed offset %lld is of topic id %s, the topic now has "
                   "id %s: it was made anew; delete the group's offsets and the outputs, or post "
                   "to another topic",
                   part->topic, (int)part->partition, (long long)part->committed, noted, ours);
}

static int
start_known(struct slot *slot, struct mr_err *err)
{
    const struct mr_part *part = &slot->pub.part;
    if (check_topic_id(part, err) != 0)
        return err->code;
    if (part->committed < part->log_start || part->committed > part->end)
        return mr_fail(
            err, MR_E(IDENTITY), MR_FATAL,
            "topic %s part %d: committed offset %lld is outside of the log [%lld, %lld]; "
            "records would be lost or repeated",
            part->topic, (int)part->partition, (long long)part->committed,
            (long long)part->log_start, (long long)part->end);
    if (!mr_counts_parse(part->note, &slot->counts))
        return mr_fail(err, MR_E(IDENTITY), MR_FATAL,
                       "topic %s part %d: committed offset %lld carries no counts (\"%.40s\"): it "
                       "was not committed by this stage",
                       part->topic, (int)part->partition, (long long)part->committed, part->note);
    slot->pub.counts = slot->counts;
    slot->committed = slot->next = part->committed;
    return 0;
}

static int
choose_starts(struct mr_stage *stage, struct mr_err *err)
{
    for (size_t i = 0; i < stage->slots_count; i++) {
        struct slot *slot = &stage->slots[i];
        bool is_known = slot->pub.part.committed != MR_NO_OFFSET;
        if ((is_known ? start_known(slot, err) : start_unborn(stage, slot, err)) != 0)
            return err->code;
    }
    return 0;
}

static int64_t
fetch_from(const struct mr_stage *stage, const struct slot *slot)
{
    int64_t from = slot->committed - stage->options.look_back;
    return from > slot->pub.part.log_start ? from : slot->pub.part.log_start;
}

/* Asked for once, outputs are known from then on; without this each assignment would begin with a
 * second of pause. */
static void
meet_outputs(struct mr_stage *stage)
{
    int64_t until_ms = mr_now_ms() + MEET_MS_MAX;
    for (size_t i = 0; i < stage->slots_count; i++) {
        for (size_t o = 0; o < MR_COUNT(stage->options.outputs); o++) {
            struct mr_err ignored = { 0 };
            (void)mr_writer_partitions(
                stage->writer, output_topic(&stage->slots[i].pub, stage->options.outputs[o]),
                (int)mr_left_ms(until_ms, MEET_MS_MAX), &ignored);
        }
    }
}

int
stage_take_over(struct mr_stage *stage, const struct mr_batch *batch, struct mr_err *err)
{
    const struct mr_stage_handler *handler = stage->options.handler;
    stage_let_go(stage);
    stage->slots = mr_alloc((batch->parts_count + 1) * sizeof(*stage->slots));
    stage->slots_count = batch->parts_count;
    for (size_t i = 0; i < batch->parts_count; i++)
        if (name_part(stage, &stage->slots[i], &batch->parts[i], err) != 0)
            return err->code;
    if (choose_starts(stage, err) != 0)
        return err->code;
    for (size_t i = 0; i < batch->parts_count; i++) {
        struct slot *slot = &stage->slots[i];
        slot->end = slot->pub.part.end;
        slot->heard = MR_NO_OFFSET;
        slot->fresh_ms = slot->settled_ms = mr_wall_ms();
        slot->pub.part.start = batch->parts[i].start = fetch_from(stage, slot);
        stage_cells(stage, slot);
        if (handler->open != NULL && handler->open(stage->options.self, &slot->pub, err) != 0)
            return err->code;
        slot->opened = true;
    }
    if (mr_reader_assign(stage->reader, batch->parts, batch->parts_count, err) != 0)
        return err->code;
    stage->survey_ms = 0;
    meet_outputs(stage);
    stage_hold(stage);
    return 0;
}

void
stage_let_go(struct mr_stage *stage)
{
    const struct mr_stage_handler *handler = stage->options.handler;
    for (size_t i = 0; i < stage->slots_count; i++) {
        struct slot *slot = &stage->slots[i];
        if (handler->close != NULL && slot->opened)
            handler->close(stage->options.self, &slot->pub);
        if (slot->lag_records != NULL) {
            mr_metrics_hide(slot->lag_records);
            mr_metrics_hide(slot->lag_seconds);
        }
    }
    free(stage->slots);
    stage->slots = NULL;
    stage->slots_count = 0;
}

/* ---- partitions that may not flow ---- */

static bool
must_wait(struct mr_stage *stage, const struct slot *slot, char *ret_why, size_t size)
{
    const struct mr_stage_handler *handler = stage->options.handler;
    const struct mr_stage_part *part = &slot->pub;
    for (size_t i = 0; i < MR_COUNT(stage->options.outputs); i++) {
        const char *topic = output_topic(part, stage->options.outputs[i]);
        struct mr_err unseen = { 0 };
        if (mr_writer_partitions(stage->writer, topic, 0, &unseen) > part->part.partition)
            continue;
        (void)snprintf(ret_why, size, "topic %s, an output, is missing or has no part %d", topic,
                       (int)part->part.partition);
        return true;
    }
    if (slot->unborn) {
        (void)snprintf(ret_why, size, "the start of topic %s part %d is not committed yet",
                       part->part.topic, (int)part->part.partition);
        return true;
    }
    if (handler->holds == NULL || !handler->holds(stage->options.self, part))
        return false;
    (void)snprintf(ret_why, size, "topic %s waits for its contract", part->part.topic);
    return true;
}

void
stage_hold(struct mr_stage *stage)
{
    char why[WHY_MAX] = "";
    for (size_t i = 0; i < stage->slots_count; i++) {
        struct slot *slot = &stage->slots[i];
        struct mr_err later = { 0 }; /* tried again at the next look */
        bool hold = must_wait(stage, slot, why, sizeof(why));
        if (hold == slot->held && !slot->hold_failed)
            continue;
        slot->hold_failed = mr_reader_pause(stage->reader, (uint32_t)i, hold, &later) != 0;
        if (!slot->hold_failed)
            slot->held = hold;
    }
    memcpy(stage->held_why, why, sizeof(why));
}
