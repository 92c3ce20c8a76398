/*
 * What is told: metrics, lag, the offsets that the group shows, readiness, status, and the answers
 * to Flush.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "millrace/v1/rpc.pb-c.h"
#include "private.h"

static const char stage[] = "archiver";

const struct mr_metric archive_metrics[] = {
    { "millrace_events_total", MR_COUNTER, "stage,tenant,kind,outcome",
      "Records of clean topics by outcome (in, good, repeated) whose result is committed." },
    { "millrace_lag_records", MR_GAUGE, "stage,topic,partition",
      "Records of a partition that are not yet durable; transaction markers count until passed." },
    { "millrace_lag_seconds", MR_GAUGE, "stage,topic,partition",
      "Age of the oldest record that was taken and is not durable; with none, the age that the "
      "oldest record not yet taken has at most; 0 when all is durable." },
    { "millrace_repeated_differing_total", MR_COUNTER, "tenant,kind",
      "Repeated rows that were left out although they differ from the row that stays." },
    { "millrace_archiver_objects_total", MR_COUNTER, "", "Raw objects created." },
    { "millrace_archiver_object_records_total", MR_COUNTER, "", "Records in raw objects created." },
    { "millrace_archiver_object_bytes_total", MR_COUNTER, "", "Bytes of raw objects created." },
    { "millrace_archiver_adopted_total", MR_COUNTER, "",
      "Raw objects that were there already, by another archiver or a lost answer." },
    { "millrace_archiver_rows_total", MR_COUNTER, "table", "Rows written to a table." },
    { "millrace_archiver_commits_total", MR_COUNTER, "table", "Commits made to a table." },
    { "millrace_archiver_conflicts_total", MR_COUNTER, "table",
      "Commits that were tried again because somebody else's came first." },
    { "millrace_archiver_stale_total", MR_COUNTER, "table",
      "Batches dropped because their records were in the table already." },
    { "millrace_archiver_failures_total", MR_COUNTER, "",
      "Works that failed for a cause outside and were tried again." },
    { "millrace_archiver_failing_seconds", MR_GAUGE, "",
      "Since how long the object or commit fails that has failed longest; 0: none does." },
    { "millrace_archiver_held_bytes", MR_GAUGE, "", "Memory of records that are not yet durable." },
    { "millrace_archiver_object_seconds", MR_HISTOGRAM, "", "Time that raw objects took." },
    { "millrace_archiver_commit_seconds", MR_HISTOGRAM, "",
      "Time that commits took, joins and data files included." },
};
const size_t archive_metrics_count = MR_COUNT(archive_metrics);

void
archive_cells(struct archive *archive)
{
    struct mr_metrics *metrics = archive->options.metrics;
    archive->objects = mr_metrics_cell(metrics, "millrace_archiver_objects_total", NULL);
    archive->object_records =
        mr_metrics_cell(metrics, "millrace_archiver_object_records_total", NULL);
    archive->object_bytes = mr_metrics_cell(metrics, "millrace_archiver_object_bytes_total", NULL);
    archive->adopted = mr_metrics_cell(metrics, "millrace_archiver_adopted_total", NULL);
    archive->failures = mr_metrics_cell(metrics, "millrace_archiver_failures_total", NULL);
    archive->failing_seconds = mr_metrics_cell(metrics, "millrace_archiver_failing_seconds", NULL);
    archive->held_bytes = mr_metrics_cell(metrics, "millrace_archiver_held_bytes", NULL);
    archive->raw_seconds = mr_metrics_cell(metrics, "millrace_archiver_object_seconds", NULL);
    archive->table_seconds = mr_metrics_cell(metrics, "millrace_archiver_commit_seconds", NULL);
}

void
target_cells(struct archive *archive, struct target *target)
{
    static const char *const outcomes[] = { "in", "good", "repeated" };
    struct mr_metrics *metrics = archive->options.metrics;
    const char *table[] = { target->name }, *kind[] = { target->tenant, target->kind_name };
    target->rows = mr_metrics_cell(metrics, "millrace_archiver_rows_total", table);
    target->commits = mr_metrics_cell(metrics, "millrace_archiver_commits_total", table);
    target->conflicts = mr_metrics_cell(metrics, "millrace_archiver_conflicts_total", table);
    target->stale = mr_metrics_cell(metrics, "millrace_archiver_stale_total", table);
    if (target->kind == NULL)
        return;
    target->differing = mr_metrics_cell(metrics, "millrace_repeated_differing_total", kind);
    for (size_t i = 0; i < MR_COUNT(outcomes); i++) {
        const char *labels[] = { stage, target->tenant, target->kind_name, outcomes[i] };
        target->outcomes[i] = mr_metrics_cell(metrics, "millrace_events_total", labels);
    }
}

void
part_cells(struct archive *archive, struct part *part)
{
    char partition[16];
    (void)snprintf(partition, sizeof(partition), "%d", (int)part->bus.partition);
    const char *labels[] = { stage, part->bus.topic, partition };
    part->lag_records = mr_metrics_cell(archive->options.metrics, "millrace_lag_records", labels);
    part->lag_seconds = mr_metrics_cell(archive->options.metrics, "millrace_lag_seconds", labels);
}

/* ---- lag ---- */

/* What was taken and is not durable, and what is still to be read; at the end of the partition the
 * latter is nothing, markers or not. */
static int64_t
lag_records(const struct part *part)
{
    int64_t unread = part->at_end || part->end <= part->next ? 0 : part->end - part->next;
    return part->is_ours ? unread + part->held : 0;
}

static int64_t
lag_ms(const struct part *part)
{
    if (lag_records(part) == 0)
        return 0;
    int64_t held_ms = archive_held_time_ms(part);
    int64_t age_ms = mr_wall_ms() - (held_ms > 0 ? held_ms : part->fresh_ms);
    return age_ms > 0 ? age_ms : 0;
}

static int
check_topic(const struct part *part, const struct mr_offsets *now, struct mr_err *err)
{
    struct mr_err why = { 0 };
    if (mr_part_check_topic(&part->bus, now, &why) == 0)
        return 0;
    return mr_fail(err, why.code, why.remedy,
                   "%s; what is archived under its name is of the one before: move that away or "
                   "give another store",
                   why.text);
}

static int
measure(struct archive *archive, struct mr_err *err)
{
    size_t count = archive->parts_count;
    MR_CLEANUP(mr_freep) struct mr_offsets *offsets = mr_alloc((count + 1) * sizeof(*offsets));
    for (size_t i = 0; i < count; i++)
        offsets[i] = (struct mr_offsets){ .topic = archive->parts[i].bus.topic,
                                          .partition = archive->parts[i].bus.partition };
    struct mr_err ignored = { 0 };
    const struct archive_options *options = &archive->options;
    bool answered =
        mr_bus_offsets(options->bus, options->group, offsets, count, ASK_MS_MAX, &ignored) == 0;
    for (size_t i = 0; i < count; i++) {
        struct part *part = &archive->parts[i];
        if (answered && check_topic(part, &offsets[i], err) != 0)
            return err->code;
        if (answered) /* a commit that got lost, in a rebalance for instance, is made again */
            part->committed = offsets[i].committed;
        if (answered && offsets[i].end > part->end) {
            part->end = offsets[i].end;
            part->at_end = part->at_end && part->end <= part->next;
        }
        if (answered && (part->at_end || part->end <= part->next))
            part->fresh_ms = mr_wall_ms();
    }
    return 0;
}

void
archive_show(struct archive *archive)
{
    mr_set(archive->failing_seconds, archive_failing_ms(archive) * 1000);
    for (size_t i = 0; i < archive->parts_count; i++) {
        struct part *part = &archive->parts[i];
        mr_set(part->lag_records, lag_records(part));
        mr_set(part->lag_seconds, lag_ms(part) * 1000);
    }
}

/* Up to where a partition is done: behind the markers at its end too, which are no lag (LAW 12).
 * Not before its table or an object knows of it, which the next start would take for one that was
 * lost. */
static int64_t
done(const struct part *part)
{
    bool is_known = part->target != NULL ? part->durable > 0 : part->object >= 0;
    bool is_through = is_known && part->at_end && part->held == 0;
    return is_through && part->end > part->durable ? part->end : part->durable;
}

/* For people who look at the group, and as a hint for the next start. That it fails is no harm. */
static void
show_offsets(struct archive *archive)
{
    size_t count = 0;
    struct note {
        char text[MR_POSITION_NOTE_MAX];
    };
    MR_CLEANUP(mr_freep)
    struct note *notes = mr_alloc((archive->parts_count + 1) * sizeof(*notes));
    MR_CLEANUP(mr_freep)
    struct mr_position *positions = mr_alloc((archive->parts_count + 1) * sizeof(*positions));
    for (size_t i = 0; i < archive->parts_count; i++) {
        struct part *part = &archive->parts[i];
        if (done(part) <= part->committed || (part->target == NULL && part->object < 0))
            continue;
        if (part->target == NULL)
            raw_note(part->object, part->durable, notes[count].text);
        else
            (void)snprintf(notes[count].text, sizeof(notes[count].text), "1 next=%" PRId64,
                           part->durable);
        positions[count] = (struct mr_position){ (uint32_t)i, done(part), notes[count].text };
        count++;
    }
    struct mr_err ignored = { 0 };
    if (count == 0 || mr_reader_commit(archive->reader, positions, count, 0, &ignored) != 0)
        return;
    for (size_t i = 0; i < count; i++)
        archive->parts[positions[i].slot].committed = positions[i].next;
}

static bool
waits_for_contract(const struct archive *archive)
{
    bool waits = false;
    for (size_t i = 0; i < archive->parts_count; i++)
        waits |= archive->parts[i].waits_for_contract;
    return waits;
}

int
archive_survey(struct archive *archive, struct mr_err *err)
{
    int64_t now_ms = mr_now_ms();
    if (archive->phase != PHASE_FLOWING || now_ms < archive->survey_ms)
        return 0;
    archive->survey_ms = now_ms + SURVEY_MS;
    if (measure(archive, err) != 0)
        return err->code;
    archive_show(archive);
    show_offsets(archive);
    struct mr_err why = { 0 };
    if (waits_for_contract(archive) && archive_reload(archive, &why) != 0 &&
        why.remedy == MR_FATAL && why.code == MR_E(INTERNAL))
        return mr_fail(err, why.code, why.remedy, "%s", why.text);
    return 0;
}

int
archive_unread(struct archive *archive, struct mr_err *err)
{
    struct mr_err why = { 0 };
    if (err->code == MR_E(NOT_FOUND) && measure(archive, &why) != 0)
        *err = why;
    return err->code;
}

/* ---- ready and status ---- */

bool
archive_ready(const struct archive *archive, char *ret_why, size_t size)
{
    const char *why = archive->phase == PHASE_IDLE        ? "no assignment yet"
                      : archive->phase == PHASE_RESOLVING ? "looking for start offsets"
                                                          : "";
    if (archive->trouble[0] != '\0')
        why = archive->trouble;
    for (size_t i = 0; i < archive->parts_count && why[0] == '\0'; i++)
        why = archive->parts[i].trouble;
    if (why[0] == '\0' && mr_store_away(archive->keeper->store, STORE_MS_MAX, ret_why, size))
        return false;
    (void)snprintf(ret_why, size, "%s", why);
    return why[0] == '\0';
}

void
archive_status(struct archive *archive, struct mr_buf *ret_json)
{
    mr_buf_printf(ret_json,
                  "{\"held_bytes\":%" PRId64 ",\"works_away\":%zu,\"failing_ms\":%" PRId64
                  ",\"failing_why\":",
                  archive_held(archive), mr_worker_pending(archive->worker),
                  archive_failing_ms(archive));
    mr_buf_json(ret_json, mr_slice_text(archive->trouble));
    mr_buf_text(ret_json, ",\"parts\":[");
    const char *comma = "";
    for (size_t i = 0; i < archive->parts_count; i++) {
        const struct part *part = &archive->parts[i];
        if (!part->is_ours)
            continue;
        mr_buf_printf(ret_json,
                      "%s{\"topic\":\"%s\",\"partition\":%d,\"next\":%" PRId64
                      ",\"lag_records\":%" PRId64 ",\"lag_seconds\":%.3f,\"held\":%s,"
                      "\"in_flight\":%" PRId64,
                      comma, part->bus.topic, (int)part->bus.partition, part->durable,
                      lag_records(part), (double)lag_ms(part) / 1000.0,
                      part->paused ? "true" : "false", part->held);
        if (part->target != NULL && part->target->kind != NULL)
            mr_buf_printf(ret_json,
                          ",\"in\":%" PRId64 ",\"good\":%" PRId64 ",\"repeated\":%" PRId64
                          ",\"dead\":0",
                          part->good + part->repeated, part->good, part->repeated);
        mr_buf_text(ret_json, "}");
        comma = ",";
    }
    mr_buf_text(ret_json, "],\"tables\":[");
    for (size_t i = 0; i < archive->targets_count; i++)
        mr_buf_printf(ret_json, "%s{\"table\":\"%s\",\"version\":%" PRId64 "}", i > 0 ? "," : "",
                      archive->targets[i]->name, archive->targets[i]->version);
    mr_buf_text(ret_json, "]}");
}

/* ---- Flush ---- */

static void
refuse(struct mr_rpc_call *call, int status, const char *message)
{
    const struct mr_rpc_answer answer = { .status = status, .message = message, .is_last = true };
    mr_rpc_reply(call, &answer);
}

void
archive_call(struct archive *archive, struct mr_rpc_call *call)
{
    if (strcmp(call->method, "Flush") != 0) {
        refuse(call, MR_RPC_UNIMPLEMENTED, "the archiver answers Flush and Status");
        return;
    }
    if (archive->phase != PHASE_FLOWING) {
        refuse(call, MR_RPC_UNAVAILABLE, "no partitions are assigned yet; try again");
        return;
    }
    if (archive->flushes_count == MR_COUNT(archive->flushes)) {
        refuse(call, MR_RPC_RESOURCE_EXHAUSTED, "too many flushes are waiting; try again");
        return;
    }
    struct flush *flush = &archive->flushes[archive->flushes_count++];
    *flush = (struct flush){ .call = call,
                             .generation = archive->generation,
                             .targets = mr_alloc((archive->parts_count + 1) * sizeof(int64_t)) };
    for (size_t i = 0; i < archive->parts_count; i++) {
        flush->targets[i] = archive->parts[i].next;
        flush->records += archive->parts[i].held;
    }
    archive_rotate(archive, true);
}

static bool
is_done(const struct archive *archive, const struct flush *flush)
{
    for (size_t i = 0; i < archive->parts_count; i++)
        if (archive->parts[i].durable < flush->targets[i])
            return false;
    return true;
}

static void
reply_flushed(struct mr_rpc_call *call, int64_t records)
{
    Millrace__V1__FlushReply reply = MILLRACE__V1__FLUSH_REPLY__INIT;
    uint8_t body[32];
    reply.records = records;
    MR_ASSERT(millrace__v1__flush_reply__get_packed_size(&reply) <= sizeof(body));
    size_t size = millrace__v1__flush_reply__pack(&reply, body);
    const struct mr_rpc_answer answer = { .status = MR_RPC_OK,
                                          .body = mr_slice(body, size),
                                          .is_last = true };
    mr_rpc_reply(call, &answer);
}

void
archive_answer(struct archive *archive)
{
    size_t kept = 0;
    for (size_t i = 0; i < archive->flushes_count; i++) {
        struct flush *flush = &archive->flushes[i];
        bool moved = flush->generation != archive->generation;
        if (!moved && is_done(archive, flush))
            reply_flushed(flush->call, flush->records);
        else if (moved)
            refuse(flush->call, MR_RPC_UNAVAILABLE, "the assignment changed meanwhile; try again");
        else if (mr_now_ms() >= flush->call->deadline_ms)
            refuse(flush->call, MR_RPC_DEADLINE_EXCEEDED, archive->trouble);
        else {
            archive->flushes[kept++] = *flush;
            continue;
        }
        free(flush->targets);
    }
    archive->flushes_count = kept;
}
