/*
 * One raw record: read its provenance, ask the window, ask the contract, emit.
 *
 * Only ids that a client chose (Idempotency-Key, explicit id) and replays can come twice, so only
 * they enter the window; ids that the gateway or an origin made are unique by construction (LAW 3).
 */
#include "validate.h"

#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "letter/letter.h"
#include "millrace/v1/event.pb-c.h"
#include "window.h"

enum { VALUE_BYTES_MAX = 64 << 20, PROVENANCE_VERSION = 1 };
static const int64_t time_us_max = 253402300799999999; /* the end of the year 9999 */

const struct mr_metric validator_metrics[] = {
    { "millrace_window_entries", MR_GAUGE, "topic,partition",
      "Client-chosen event ids that are remembered for a partition." },
    { "millrace_window_bytes", MR_GAUGE, "topic,partition", "Memory that they take." },
    { "millrace_window_offsets", MR_GAUGE, "topic,partition",
      "Offsets that the window of repeats reaches back now: those of --repeat-window, or fewer "
      "while the log is younger." },
    { "millrace_window_reread_seconds", MR_GAUGE, "topic,partition",
      "Time that reading the window again took when the partition was assigned." },
};
const size_t validator_metrics_count = MR_COUNT(validator_metrics);

/* State of one raw partition. */
struct lane {
    const struct mr_kind *kind;
    struct window *window;
    int64_t next; /* behind the last record judged, and as of the last commit */
    int64_t committed;
    int64_t from;    /* all ids of [from, next) that lie within reach are known */
    int64_t came_us; /* when the partition was assigned */
    int64_t reread_us;
    const struct mr_stage_part *part;
    struct mr_cell *entries, *bytes, *offsets, *reread;
    struct lane *later;
};

/* What travels with one record. */
struct judged {
    const struct mr_record *record;
    struct mr_stage_part *part;
    struct lane *lane;
    Millrace__V1__Provenance *provenance;
    Millrace__V1__Origin origin;
    uint8_t id[WINDOW_ID_BYTES]; /* what the window knows it by */
};

void
validator_init(struct validator *validator, const struct mr_contracts *contracts, int64_t window,
               struct mr_metrics *metrics)
{
    *validator = (struct validator){ .contracts = contracts, .window = window, .metrics = metrics };
    mr_buf_init(&validator->record, VALUE_BYTES_MAX);
    mr_buf_init(&validator->key, VALUE_BYTES_MAX);
}

void
validator_fini(struct validator *validator)
{
    mr_buf_fini(&validator->record);
    mr_buf_fini(&validator->key);
}

/* ---- partitions ---- */

static int64_t
reach_of(const struct lane *lane, int64_t window)
{
    int64_t reach = lane->committed - lane->from;
    return reach < window ? reach : window;
}

static void
show(const struct lane *lane, int64_t window)
{
    mr_set(lane->entries, (int64_t)window_count(lane->window));
    mr_set(lane->bytes, (int64_t)window_bytes(lane->window));
    mr_set(lane->offsets, reach_of(lane, window));
    mr_set(lane->reread, lane->reread_us);
}

static int
open_lane(void *self, struct mr_stage_part *part, struct mr_err *err)
{
    struct validator *v = self;
    const struct mr_kind *kind = mr_contracts_find(v->contracts, part->name.kind);
    if (kind == NULL)
        return mr_fail(err, MR_E(NOT_FOUND), MR_RETRY, "topic %s: kind %s has no contract",
                       part->part.topic, part->name.kind);
    struct lane *lane = mr_alloc(sizeof(*lane));
    char partition[16];
    (void)snprintf(partition, sizeof(partition), "%d", (int)part->part.partition);
    const char *labels[] = { part->part.topic, partition };

    lane->kind = kind;
    lane->window = window_new(v->window);
    lane->next = lane->committed = part->part.committed > 0 ? part->part.committed : 0;
    lane->from = part->part.start;
    lane->came_us = mr_now_us();
    lane->part = part;
    lane->entries = mr_metrics_cell(v->metrics, "millrace_window_entries", labels);
    lane->bytes = mr_metrics_cell(v->metrics, "millrace_window_bytes", labels);
    lane->offsets = mr_metrics_cell(v->metrics, "millrace_window_offsets", labels);
    lane->reread = mr_metrics_cell(v->metrics, "millrace_window_reread_seconds", labels);
    show(lane, v->window);
    part->state = lane;
    lane->later = v->lanes;
    v->lanes = lane;
    return 0;
}

static void
close_lane(void *self, struct mr_stage_part *part)
{
    struct validator *v = self;
    struct lane *lane = part->state;
    for (struct lane **at = &v->lanes; *at != NULL; at = &(*at)->later) {
        if (*at == lane) {
            *at = lane->later;
            break;
        }
    }
    mr_metrics_hide(lane->entries);
    mr_metrics_hide(lane->bytes);
    mr_metrics_hide(lane->offsets);
    mr_metrics_hide(lane->reread);
    window_free(lane->window);
    free(lane);
    part->state = NULL;
}

static void
batch_committed(void *self)
{
    struct validator *v = self;
    for (struct lane *lane = v->lanes; lane != NULL; lane = lane->later) {
        lane->committed = lane->next;
        window_advance(lane->window, lane->committed);
        show(lane, v->window);
    }
}

static void
batch_aborted(void *self)
{
    struct validator *v = self;
    for (struct lane *lane = v->lanes; lane != NULL; lane = lane->later) {
        window_rewind(lane->window, lane->committed);
        lane->next = lane->committed;
    }
}

void
validator_status(const struct validator *v, struct mr_buf *ret_json)
{
    mr_buf_printf(ret_json, "{\"offsets_max\":%lld,\"parts\":[", (long long)v->window);
    const char *comma = "";
    for (const struct lane *lane = v->lanes; lane != NULL; lane = lane->later) {
        mr_buf_printf(ret_json,
                      "%s{\"topic\":\"%s\",\"partition\":%d,\"offsets\":%lld,\"entries\":%zu,"
                      "\"bytes\":%zu,\"reread_seconds\":%.3f}",
                      comma, lane->part->part.topic, (int)lane->part->part.partition,
                      (long long)reach_of(lane, v->window), window_count(lane->window),
                      window_bytes(lane->window), (double)lane->reread_us / 1e6);
        comma = ",";
    }
    mr_buf_text(ret_json, "]}");
}

int
validator_reload(struct validator *v, const struct mr_contracts *contracts, struct mr_err *err)
{
    for (struct lane *lane = v->lanes; lane != NULL; lane = lane->later)
        if (mr_contracts_find(contracts, lane->kind->name) == NULL)
            return mr_fail(err, MR_E(INVALID), MR_REJECT,
                           "kind %s is in use and missing in the new contracts", lane->kind->name);
    for (struct lane *lane = v->lanes; lane != NULL; lane = lane->later)
        lane->kind = mr_contracts_find(contracts, lane->kind->name);
    v->contracts = contracts;
    return 0;
}

/* ---- one record ---- */

static struct mr_slice
packed_event(struct validator *v, const struct judged *j)
{
    Millrace__V1__Event event = MILLRACE__V1__EVENT__INIT;
    event.provenance = j->provenance;
    event.origin = (Millrace__V1__Origin *)&j->origin;
    event.kind = (char *)j->lane->kind->name;
    event.contract_version = j->lane->kind->version;
    event.record = (ProtobufCBinaryData){ v->record.size, (uint8_t *)v->record.data };
    size_t size = millrace__v1__event__get_packed_size(&event);
    uint8_t *packed = mr_arena_alloc(mr_stage_arena(v->stage), size);
    (void)millrace__v1__event__pack(&event, packed);
    return mr_slice(packed, size);
}

static int
emit_good(struct validator *v, struct judged *j, struct mr_err *err)
{
    struct mr_slice key = mr_buf_slice(&v->key);
    bool is_keyed = j->lane->kind->key_in >= 0;
    int32_t partition = is_keyed ? -1 : j->part->part.partition;
    j->part->counts.good++;
    return mr_stage_emit(v->stage, j->part->valid, partition, is_keyed ? key : j->record->key,
                         mr_slice(NULL, 0), packed_event(v, j), err);
}

static int
emit_dead(struct validator *v, struct judged *j, bool is_cut, struct mr_err *err)
{
    struct mr_dead dead = { .provenance = j->provenance,
                            .origin = &j->origin,
                            .verdict = &v->verdict,
                            .original = j->record->value,
                            .key = j->record->key,
                            .contract_version = j->lane->kind->version,
                            .is_cut = is_cut };
    return mr_stage_emit_dead(v->stage, j->part, &dead, err);
}

struct cause {
    int code;
    const char *field, *rule, *reason;
    struct mr_slice value;
};

static int
die(struct validator *v, struct judged *j, const struct cause *cause, struct mr_err *err)
{
    struct mr_verdict *verdict = &v->verdict;
    *verdict = (struct mr_verdict){ .code = cause->code };
    (void)snprintf(verdict->field, sizeof(verdict->field), "%s", cause->field);
    (void)snprintf(verdict->rule, sizeof(verdict->rule), "%s", cause->rule);
    mr_verdict_say(verdict, cause->reason);
    mr_verdict_show(verdict, cause->value);
    return emit_dead(v, j, cause->code == MILLRACE__V1__DEAD_CODE__TOO_LARGE, err);
}

static int
die_of_size(struct validator *v, struct judged *j, struct mr_err *err)
{
    MR_CLEANUP(mr_freep)
    char *reason =
        mr_printf("what becomes of this record of %zu bytes is larger than %s or %s takes: "
                  "send less at once, or raise their max.message.bytes",
                  j->record->value.size, j->part->valid, j->part->dead);
    return die(v, j,
               &(struct cause){ MILLRACE__V1__DEAD_CODE__TOO_LARGE, "", "max.message.bytes", reason,
                                j->record->value },
               err);
}

/* An id made of a place in a log and what j->id holds already. */
static void
mix_place(struct judged *j, const Millrace__V1__Origin *origin)
{
    struct {
        uint8_t id[WINDOW_ID_BYTES], topic_id[MR_TOPIC_ID_BYTES];
        int64_t partition, offset;
    } place = { .partition = origin->partition, .offset = origin->offset };
    memcpy(place.id, j->id, sizeof(place.id));
    if (origin->topic_id.len == sizeof(place.topic_id))
        memcpy(place.topic_id, origin->topic_id.data, sizeof(place.topic_id));
    uint64_t halves[2] = { mr_hash64(&place, sizeof(place), 1),
                           mr_hash64(&place, sizeof(place), 2) };
    memcpy(j->id, halves, sizeof(j->id));
}

/* Not what the header says it is: two values must not pass for one because a client was wrong. */
static uint64_t
hash_of(const struct mr_record *record)
{
    return mr_hash64(record->value.data, record->value.size, 0);
}

/* A native producer sets the time of its records to whatever it likes; 0: not known. */
static int64_t
received_us(const struct mr_record *record)
{
    bool is_usable = record->time_ms > 0 && record->time_ms <= time_us_max / 1000;
    return is_usable ? record->time_ms * 1000 : 0;
}

/* Fills who and where; the fault of a header that is there but cannot be used, or NULL. */
static const char *
identify(struct validator *v, struct judged *j)
{
    const struct mr_record *record = j->record;
    struct mr_arena *arena = mr_stage_arena(v->stage);
    const char *fault = NULL;
    ProtobufCAllocator allocator;
    mr_arena_protobuf(arena, &allocator);

    millrace__v1__origin__init(&j->origin);
    j->origin.topic = j->part->part.topic;
    j->origin.topic_id = (ProtobufCBinaryData){ MR_TOPIC_ID_BYTES, j->part->part.topic_id };
    j->origin.partition = j->part->part.partition;
    j->origin.offset = record->offset;
    if (record->header.data != NULL) {
        j->provenance =
            millrace__v1__provenance__unpack(&allocator, record->header.size, record->header.data);
        fault = mr_provenance_fault(j->provenance);
        if (fault == NULL) {
            memcpy(j->id, j->provenance->event_id.data, sizeof(j->id));
            if (j->provenance->replay_of != NULL) /* no repeat of what it replays: LAW 24 */
                mix_place(j, j->provenance->replay_of);
            return NULL;
        }
    }
    mix_place(j, &j->origin);
    j->provenance = mr_arena_alloc(arena, sizeof(*j->provenance));
    millrace__v1__provenance__init(j->provenance);
    j->provenance->version = PROVENANCE_VERSION;
    j->provenance->event_id =
        (ProtobufCBinaryData){ sizeof(j->id), mr_arena_copy(arena, j->id, sizeof(j->id)) };
    j->provenance->received_us = received_us(record);
    j->provenance->value_hash = hash_of(record);
    return fault;
}

/* Can this id come twice? A replay's may, whoever made the event's: a second one is a repeat of the
 * first (LAW 24). */
static bool
can_repeat(const struct judged *j)
{
    return j->provenance->idempotency_hash.len > 0 || j->provenance->replay_of != NULL;
}

static int
judge_value(struct validator *v, struct judged *j, struct mr_err *err)
{
    const struct mr_slice value = j->record->value;
    if (value.data == NULL)
        return die(v, j,
                   &(struct cause){ MILLRACE__V1__DEAD_CODE__TOMBSTONE, "", "event",
                                    "the record has no value: send one JSON object", value },
                   err);
    if (value.size == 0)
        return die(v, j,
                   &(struct cause){ MILLRACE__V1__DEAD_CODE__EMPTY, "", "event",
                                    "the value is empty: send one JSON object", value },
                   err);
    if (mr_contract_check(j->lane->kind, value, &v->record, &v->key, &v->verdict) == 0)
        return emit_good(v, j, err);
    return emit_dead(v, j, false, err);
}

static int
judge(struct validator *v, const struct mr_record *record, struct mr_err *err)
{
    struct judged j = { .record = record, .part = mr_stage_part_at(v->stage, record->slot) };
    uint64_t first_hash = 0, hash;

    j.lane = j.part->state;
    j.lane->next = record->offset + 1;
    const char *fault = identify(v, &j);
    if (fault != NULL)
        return die(v, &j,
                   &(struct cause){ MILLRACE__V1__DEAD_CODE__BAD_HEADER, "millrace", "header",
                                    fault, record->header },
                   err);
    if (!can_repeat(&j))
        return judge_value(v, &j, err);
    hash = hash_of(record);
    bool is_known = window_find(j.lane->window, j.id, record->offset, &first_hash);
    window_add(j.lane->window, j.id, record->offset, hash);
    if (!is_known)
        return judge_value(v, &j, err);
    if (first_hash != hash)
        return die(v, &j,
                   &(struct cause){ MILLRACE__V1__DEAD_CODE__ID_REUSED, "", "id",
                                    "this Idempotency-Key or event id came before with another "
                                    "value: use a new one",
                                    record->value },
                   err);
    j.part->counts.repeated++;
    return 0;
}

/* ---- the handler ---- */

static int
handle(void *self, const struct mr_record *records, size_t count, struct mr_err *err)
{
    struct validator *v = self;
    for (size_t i = 0; i < count; i++)
        if (judge(v, &records[i], err) != 0)
            return err->code;
    return 0;
}

static void
recall(void *self, struct mr_stage_part *part, const struct mr_record *record)
{
    struct validator *v = self;
    struct judged j = { .record = record, .part = part, .lane = part->state };
    if (identify(v, &j) == NULL && can_repeat(&j))
        window_add(j.lane->window, j.id, record->offset, hash_of(record));
    j.lane->reread_us = mr_now_us() - j.lane->came_us;
    show(j.lane, v->window);
}

static int
too_large(void *self, const struct mr_record *record, struct mr_err *err)
{
    struct validator *v = self;
    struct judged j = { .record = record, .part = mr_stage_part_at(v->stage, record->slot) };
    j.lane = j.part->state;
    j.lane->next = record->offset + 1;
    if (identify(v, &j) == NULL && can_repeat(&j))
        window_add(j.lane->window, j.id, record->offset, hash_of(record));
    return die_of_size(v, &j, err);
}

const struct mr_stage_handler validator_handler = {
    .open = open_lane,
    .close = close_lane,
    .recall = recall,
    .handle = handle,
    .committed = batch_committed,
    .aborted = batch_aborted,
    .too_large = too_large,
};
