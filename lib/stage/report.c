/*
 * Counts that survive (the note of a committed offset), lag, readiness and status.
 */
#include <inttypes.h>
#include <stdio.h>

#include "clock/clock.h"
#include "stage/private.h"

const struct mr_metric mr_stage_metrics[] = {
    { "millrace_events_total", MR_COUNTER, "stage,tenant,kind,outcome",
      "Records by outcome (in, good, repeated, dead) whose result is committed." },
    { "millrace_dead_total", MR_COUNTER, "tenant,kind,code",
      "Dead letters by reason that are committed." },
    { "millrace_lag_records", MR_GAUGE, "stage,topic,partition",
      "Records of a partition that are not yet committed; transaction markers count until "
      "passed." },
    { "millrace_lag_seconds", MR_GAUGE, "stage,topic,partition",
      "Age that the oldest record not yet committed has at most; 0 at the end of the partition." },
    { "millrace_stage_commits_total", MR_COUNTER, "stage", "Transactions committed." },
    { "millrace_stage_aborts_total", MR_COUNTER, "stage", "Transactions aborted." },
    { "millrace_stage_commit_failures_total", MR_COUNTER, "stage",
      "Commits that failed, but for those that a rebalance took the partitions from." },
    { "millrace_stage_commit_failing_seconds", MR_GAUGE, "stage",
      "Since how long each commit has failed; 0: the last one did not." },
    { "millrace_stage_commit_seconds", MR_HISTOGRAM, "stage",
      "Time that commits took, delivery of the outputs included." },
};
const size_t mr_stage_metrics_count = MR_COUNT(mr_stage_metrics);

static const char topic_mark[] = " topic=", codes_mark[] = " codes=";

/* " codes=1:12,5:1": what is not 0. */
static void
put_codes(struct mr_buf *note, const struct mr_counts *counts)
{
    const char *before = codes_mark;
    for (int code = 0; code < MR_DEAD_CODES; code++) {
        if (counts->codes[code] == 0)
            continue;
        mr_buf_printf(note, "%s%d:%" PRId64, before, code, counts->codes[code]);
        before = ",";
    }
}

void
mr_counts_note(const struct mr_counts *counts, const uint8_t *topic_id,
               char ret_note[MR_POSITION_NOTE_MAX])
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf note;
    char hex[2 * MR_TOPIC_ID_BYTES + 1] = "";
    mr_buf_init(&note, MR_POSITION_NOTE_MAX - 1);
    mr_buf_printf(&note, "1 in=%" PRId64 " good=%" PRId64 " repeated=%" PRId64 " dead=%" PRId64,
                  counts->in, counts->good, counts->repeated, counts->dead);
    put_codes(&note, counts);
    if (topic_id != NULL) {
        mr_hex(topic_id, MR_TOPIC_ID_BYTES, hex);
        mr_buf_printf(&note, "%s%s", topic_mark, hex);
    }
    MR_ASSERT(!note.failed);
    memcpy(ret_note, note.data, note.size + 1);
}

const char *
stage_note_topic(const char *note)
{
    const char *at = strstr(note, topic_mark);
    return at != NULL ? at + strlen(topic_mark) : NULL;
}

/* What stands behind the mark; NULL: no list of counts by code. */
static const char *
read_codes(const char *at, struct mr_counts *counts)
{
    for (at += strlen(codes_mark);; at++) {
        int code, end = 0;
        int64_t count;
        if (sscanf(at, "%2d:%18" SCNd64 "%n", &code, &count, &end) != 2 || code < 0 ||
            code >= MR_DEAD_CODES)
            return NULL;
        counts->codes[code] = count;
        at += end;
        if (*at != ',')
            return at;
    }
}

bool
mr_counts_parse(const char *note, struct mr_counts *ret)
{
    struct mr_counts counts = { 0 };
    int end = 0;
    int fields =
        sscanf(note, "1 in=%" SCNd64 " good=%" SCNd64 " repeated=%" SCNd64 " dead=%" SCNd64 "%n",
               &counts.in, &counts.good, &counts.repeated, &counts.dead, &end);
    const char *at = note + end;
    if (fields == 4 && strncmp(at, codes_mark, strlen(codes_mark)) == 0)
        at = read_codes(at, &counts);
    if (fields != 4 || at == NULL ||
        (*at != '\0' && strncmp(at, topic_mark, strlen(topic_mark)) != 0))
        return false;
    *ret = counts;
    return true;
}

void
stage_cells(struct mr_stage *stage, struct slot *slot)
{
    static const char *const outcomes[] = { "in", "good", "repeated", "dead" };
    const struct mr_stage_part *pub = &slot->pub;
    struct mr_metrics *metrics = stage->options.metrics;
    char partition[16];

    for (size_t i = 0; i < MR_COUNT(outcomes); i++) {
        const char *labels[] = { stage->options.name, pub->name.tenant, pub->name.kind,
                                 outcomes[i] };
        slot->outcomes[i] = mr_metrics_cell(metrics, "millrace_events_total", labels);
    }
    (void)snprintf(partition, sizeof(partition), "%d", (int)pub->part.partition);
    const char *labels[] = { stage->options.name, pub->part.topic, partition };
    slot->lag_records = mr_metrics_cell(metrics, "millrace_lag_records", labels);
    slot->lag_seconds = mr_metrics_cell(metrics, "millrace_lag_seconds", labels);
}

/* Cells by code are looked up when the first letter of that code is committed: most never are. */
static void
count_codes(struct mr_stage *stage, struct slot *slot)
{
    for (int code = 0; code < MR_DEAD_CODES; code++) {
        int64_t more = slot->pub.counts.codes[code] - slot->counts.codes[code];
        if (more == 0)
            continue;
        const char *labels[] = { slot->pub.name.tenant, slot->pub.name.kind,
                                 mr_dead_code_name(code) };
        if (slot->codes[code] == NULL)
            slot->codes[code] =
                mr_metrics_cell(stage->options.metrics, "millrace_dead_total", labels);
        mr_add(slot->codes[code], more);
    }
}

void
stage_count(struct mr_stage *stage, struct slot *slot)
{
    const struct mr_counts *now = &slot->pub.counts, *before = &slot->counts;
    mr_add(slot->outcomes[0], now->in - before->in);
    mr_add(slot->outcomes[1], now->good - before->good);
    mr_add(slot->outcomes[2], now->repeated - before->repeated);
    mr_add(slot->outcomes[3], now->dead - before->dead);
    count_codes(stage, slot);
}

/* What is handled and not committed is no less behind: it may come again for ever. */
static int64_t
lag_records(const struct slot *slot)
{
    return slot->end <= slot->committed ? 0 : slot->end - slot->committed;
}

static int64_t
lag_ms(const struct slot *slot)
{
    if (lag_records(slot) == 0 || slot->settled_ms <= 0)
        return 0;
    int64_t age_ms = mr_wall_ms() - slot->settled_ms;
    return age_ms > 0 ? age_ms : 0;
}

static int
check_topic(const struct slot *slot, const struct mr_offsets *now, struct mr_err *err)
{
    const struct mr_part *part = &slot->pub.part;
    struct mr_err why = { 0 };
    if (mr_part_check_topic(part, now, &why) == 0)
        return 0;
    return mr_fail(
        err, why.code, why.remedy,
        "%s; its events below %lld of part %d may have been passed over; post them again "
        "or post to another topic",
        why.text, (long long)slot->next, (int)part->partition);
}

/* Where the logs end now. A broker that does not answer leaves the figures as they are: the step
 * itself will find out and say so. */
static int
look_at_ends(struct mr_stage *stage, struct mr_err *err)
{
    size_t count = stage->slots_count;
    MR_CLEANUP(mr_freep) struct mr_offsets *offsets = mr_alloc(count * sizeof(*offsets));
    for (size_t i = 0; i < count; i++)
        offsets[i] = (struct mr_offsets){ .topic = stage->slots[i].pub.part.topic,
                                          .partition = stage->slots[i].pub.part.partition };
    struct mr_err shown_by_the_step = { 0 };
    bool answered = mr_bus_offsets(stage->options.bus, NULL, offsets, count, ASK_MS_MAX,
                                   &shown_by_the_step) == 0;
    for (size_t i = 0; i < count; i++) {
        struct slot *slot = &stage->slots[i];
        if (answered && check_topic(slot, &offsets[i], err) != 0)
            return err->code;
        if (answered && offsets[i].end > slot->end)
            slot->end = offsets[i].end;
        if (answered && slot->end <= slot->next)
            slot->fresh_ms = mr_wall_ms();
        if (answered && slot->end <= slot->committed)
            slot->settled_ms = slot->fresh_ms;
    }
    return 0;
}

/* A step without a commit succeeds between two that fail: what was wrong stays until one is good.
 */
void
stage_failing(struct mr_stage *stage, const struct mr_err *why)
{
    if (why == NULL) {
        stage->failing_ms = 0;
        stage->failing_count = 0;
        return;
    }
    if (stage->failing_count++ == 0)
        stage->failing_ms = mr_now_ms();
    mr_add(stage->failures, 1);
    (void)snprintf(stage->failing, sizeof(stage->failing), "%s", why->text);
}

/* What is said of one that fails again, and what may be done about it. */
int
stage_commit_failed(struct mr_stage *stage, struct mr_err *err)
{
    if (err->code == MR_E(STALE) || err->code == MR_E(TOO_LARGE))
        return err->code; /* a rebalance, or a record that is buried */
    stage_failing(stage, err);
    int64_t age_ms = mr_now_ms() - stage->failing_ms;
    if (stage->failing_count < 2)
        return err->code;
    return mr_fail_in(
        err,
        "%u commits of %s have failed in a row, for %lld s (its records stay and come "
        "again; look at the broker's log and the in-sync replicas of "
        "__transaction_state, __consumer_offsets and the outputs)",
        stage->failing_count, stage->options.name, (long long)(age_ms / 1000));
}

static int64_t
failing_age_ms(const struct mr_stage *stage)
{
    return stage->failing_count > 0 ? mr_now_ms() - stage->failing_ms : 0;
}

void
stage_show(struct mr_stage *stage)
{
    mr_set(stage->failing_seconds, failing_age_ms(stage) * 1000);
    for (size_t i = 0; i < stage->slots_count; i++) {
        struct slot *slot = &stage->slots[i];
        if (slot->lag_records == NULL)
            continue; /* not taken over yet */
        mr_set(slot->lag_records, lag_records(slot));
        mr_set(slot->lag_seconds, lag_ms(slot) * 1000);
    }
}

int
stage_survey(struct mr_stage *stage, struct mr_err *err)
{
    int result = stage->slots_count > 0 ? look_at_ends(stage, err) : 0;
    stage_show(stage);
    return result;
}

int
stage_unread(struct mr_stage *stage, struct mr_err *err)
{
    struct mr_err why = { 0 };
    if (err->code == MR_E(NOT_FOUND) && stage_survey(stage, &why) != 0)
        *err = why;
    return err->code;
}

bool
mr_stage_ready(const struct mr_stage *stage, const char **ret_why_not)
{
    *ret_why_not = NULL;
    if (stage->trouble[0] != '\0')
        *ret_why_not = stage->trouble;
    else if (!stage->joined)
        *ret_why_not = "no assignment yet";
    else if (stage->failing_count > 0)
        *ret_why_not = stage->failing;
    else if (stage->held_why[0] != '\0')
        *ret_why_not = stage->held_why;
    return *ret_why_not == NULL;
}

void
mr_stage_status(const struct mr_stage *stage, struct mr_buf *ret_json)
{
    int64_t age_ms = stage->committed_ms > 0 ? mr_now_ms() - stage->committed_ms : -1;
    mr_buf_printf(ret_json,
                  "{\"last_commit_ms_ago\":%" PRId64 ",\"in_batch\":%zu"
                  ",\"commits_failing\":%u,\"failing_ms\":%" PRId64 ",\"failing_why\":",
                  age_ms, stage->in_batch, stage->failing_count, failing_age_ms(stage));
    mr_buf_json(ret_json, mr_slice_text(stage->failing_count > 0 ? stage->failing : ""));
    mr_buf_text(ret_json, ",\"parts\":[");
    for (size_t i = 0; i < stage->slots_count; i++) {
        const struct slot *slot = &stage->slots[i];
        const struct mr_counts *counts = &slot->counts;
        mr_buf_printf(ret_json,
                      "%s{\"topic\":\"%s\",\"partition\":%d,\"next\":%" PRId64
                      ",\"lag_records\":%" PRId64 ",\"lag_seconds\":%.3f,\"held\":%s,"
                      "\"in\":%" PRId64 ",\"good\":%" PRId64 ",\"repeated\":%" PRId64
                      ",\"dead\":%" PRId64 "}",
                      i > 0 ? "," : "", slot->pub.part.topic, (int)slot->pub.part.partition,
                      slot->committed, lag_records(slot), (double)lag_ms(slot) / 1000.0,
                      slot->held ? "true" : "false", counts->in, counts->good, counts->repeated,
                      counts->dead);
    }
    mr_buf_text(ret_json, "]}");
}
