/*
 * The records of the four topics, as facts. Each topic is read to where it stands when its turn
 * comes.
 */
#include "verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "letter/letter.h"
#include "millrace/v1/event.pb-c.h"

enum {
    POLL_MAX = 1000,
    POLL_MS = 200,
    STALL_MS_MAX = 30000,
    QUEUE_BYTES = 32 << 20,
    PARTS_MAX = 4096,
    LINE_BYTES_MAX = 256 << 20,
};

/* ---- one topic from start to end ---- */

struct reading {
    struct verify *verify;
    struct facts *facts;
    int (*take)(struct reading *reading, int32_t partition, const struct mr_record *record,
                struct mr_err *err);
    struct mr_buf line; /* of take */
};

static int
read_all(struct reading *reading, struct mr_reader *reader, const struct mr_part *parts,
         size_t count, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) bool *done = mr_alloc(count * sizeof(*done));
    size_t left = 0;
    for (size_t p = 0; p < count; p++) {
        done[p] = parts[p].start >= parts[p].end;
        left += !done[p];
    }
    int64_t stall_ms = mr_now_ms() + STALL_MS_MAX;
    while (left > 0) {
        struct mr_batch batch;
        if (mr_reader_poll(reader, POLL_MAX, POLL_MS, &batch, err) < 0)
            return err->code;
        for (size_t i = 0; i < batch.count; i++) {
            const struct mr_record *record = &batch.records[i];
            uint32_t slot = record->slot;
            if (!done[slot] && !record->is_end && record->offset < parts[slot].end &&
                reading->take(reading, parts[slot].partition, record, err) != 0)
                return err->code;
            if (!done[slot] && (record->is_end || record->offset + 1 >= parts[slot].end)) {
                done[slot] = true;
                left--;
            }
        }
        if (batch.count > 0)
            stall_ms = mr_now_ms() + STALL_MS_MAX;
        else if (mr_now_ms() > stall_ms)
            return mr_fail(err, MR_E(TIMEOUT), MR_FATAL, "%s: no record came for %d s",
                           parts[0].topic, STALL_MS_MAX / 1000);
    }
    return 0;
}

/* Says what of the topic was read. */
static int
note_reads(struct verify *v, enum mr_topic_role role, const struct mr_part *parts, size_t count,
           struct mr_err *err)
{
    for (size_t p = 0; p < count; p++) {
        struct mr_columns *row = facts_rows(v->reads);
        int64_t since = since_of(v, role, p);
        mr_columns_text(row, 0, mr_slice_text(mr_topic_suffix(role)));
        mr_columns_int(row, 1, (int64_t)p);
        mr_columns_int(row, 2, parts[p].log_start);
        mr_columns_int(row, 3, parts[p].start);
        mr_columns_int(row, 4, since > parts[p].start ? since : parts[p].start);
        if (facts_row(v->reads, err) != 0)
            return err->code;
        if (role != MR_TOPIC_RAW)
            continue;
        v->records += parts[p].end - parts[p].start;
        v->low = p == 0 || parts[p].start < v->low ? parts[p].start : v->low;
        v->high = parts[p].end > v->high ? parts[p].end : v->high;
    }
    return 0;
}

static int
read_topic(struct reading *reading, enum mr_topic_role role, struct mr_err *err)
{
    struct verify *v = reading->verify;
    MR_CLEANUP(mr_freep) struct mr_part *parts = NULL;
    MR_CLEANUP(mr_reader_closep) struct mr_reader *reader = NULL;
    const struct mr_reader_options options = { .queue_bytes_max = QUEUE_BYTES };
    size_t count = 0;
    if (list_parts(v, role, &parts, &count, err) != 0 ||
        note_reads(v, role, parts, count, err) != 0 ||
        mr_reader_open(v->bus, &options, &reader, err) != 0 ||
        mr_reader_assign(reader, parts, count, err) != 0 ||
        read_all(reading, reader, parts, count, err) != 0)
        return err->code;
    return 0;
}

static int
find(struct verify *v, enum mr_topic_role role, const struct facts_shape *shape,
     int (*take)(struct reading *, int32_t, const struct mr_record *, struct mr_err *),
     struct mr_err *err)
{
    MR_CLEANUP(facts_drop) struct facts *facts = NULL;
    if (facts_open(&v->ground, shape, &facts, err) != 0)
        return err->code;
    struct reading reading = { .verify = v, .facts = facts, .take = take };
    mr_buf_init(&reading.line, LINE_BYTES_MAX);
    int code = read_topic(&reading, role, err);
    mr_buf_fini(&reading.line);
    return code != 0 ? code : facts_close(MR_TAKE(facts), err);
}

/* ---- raw ---- */

static struct mr_field raw_fields[] = {
    { "p", MR_TYPE_INTEGER, false },      { "o", MR_TYPE_LONG, false },
    { "t", MR_TYPE_LONG, false },         { "ia", MR_TYPE_LONG, false },
    { "ib", MR_TYPE_LONG, false },        { "value_hash", MR_TYPE_LONG, false },
    { "line", MR_TYPE_LONG, false },      { "tombstone", MR_TYPE_BOOL, false },
    { "header_ok", MR_TYPE_BOOL, false }, { "rp", MR_TYPE_INTEGER, false },
    { "ro", MR_TYPE_LONG, false },
};
static const struct mr_schema raw_schema = { raw_fields, MR_COUNT(raw_fields) };

/* The value as a line of an object has it: line breaks are blanks (LAW 15). */
static int64_t
hash_line(struct mr_buf *line, struct mr_slice value)
{
    mr_buf_reset(line);
    mr_buf_put(line, value.data, value.size);
    for (size_t i = 0; i < line->size; i++)
        if (line->data[i] == '\n' || line->data[i] == '\r')
            line->data[i] = ' ';
    return (int64_t)(mr_hash64(line->data, line->size, 0) >> 1);
}

/* Only an id that a client chose can come twice, or a replay, which goes by what it replays too
 * (LAW 3 and 24). */
static void
put_id(struct mr_columns *row, const Millrace__V1__Provenance *header)
{
    bool is_replay = header != NULL && header->replay_of != NULL;
    int64_t id[2];
    if (header == NULL || header->event_id.len != sizeof(id) ||
        (!is_replay && header->idempotency_hash.len == 0)) {
        mr_columns_null(row, 3);
        mr_columns_null(row, 4);
        return;
    }
    memcpy(id, header->event_id.data, sizeof(id));
    mr_columns_int(row, 3, id[0]);
    mr_columns_int(row, 4, id[1]);
    if (is_replay) {
        mr_columns_int(row, 9, header->replay_of->partition);
        mr_columns_int(row, 10, header->replay_of->offset);
    }
}

static int
take_raw(struct reading *reading, int32_t partition, const struct mr_record *record,
         struct mr_err *err)
{
    struct mr_columns *row = facts_rows(reading->facts);
    uint64_t hash = mr_hash64(record->value.data, record->value.size, 0);
    Millrace__V1__Provenance *header =
        record->header.data != NULL
            ? millrace__v1__provenance__unpack(NULL, record->header.size, record->header.data)
            : NULL;
    /* One that cannot be used says nothing about the record, which is dead for it. */
    if (header != NULL && mr_provenance_fault(header) != NULL) {
        millrace__v1__provenance__free_unpacked(header, NULL);
        header = NULL;
    }
    mr_columns_int(row, 0, partition);
    mr_columns_int(row, 1, record->offset);
    mr_columns_int(row, 2, record->time_ms);
    put_id(row, header);
    mr_columns_int(row, 5, (int64_t)(hash >> 1));
    mr_columns_int(row, 6, hash_line(&reading->line, record->value));
    mr_columns_bool(row, 7, record->value.data == NULL);
    mr_columns_bool(row, 8, header == NULL || header->value_hash == hash);
    if (header != NULL)
        millrace__v1__provenance__free_unpacked(header, NULL);
    return facts_row(reading->facts, err);
}

int
find_raw(struct verify *v, struct mr_err *err)
{
    const struct facts_shape shape = { "all_raw", &raw_schema, NULL, &raw_schema, NULL };
    return find(v, MR_TOPIC_RAW, &shape, take_raw, err);
}

/* ---- what the stages made of it ---- */

#define PLACE                                                                                      \
    { "p", MR_TYPE_INTEGER, false }, { "o", MR_TYPE_LONG, false },                                 \
        { "op", MR_TYPE_INTEGER, false }, { "oo", MR_TYPE_LONG, false },                           \
    {                                                                                              \
        "t", MR_TYPE_LONG, false                                                                   \
    }

static struct mr_field place_fields[] = { PLACE, { "stage", MR_TYPE_STRING, false } };
static struct mr_field clean_fields[] = { PLACE,
                                          { "k", MR_TYPE_LONG, false },
                                          { "h", MR_TYPE_LONG, false } };
static struct mr_field dead_fields[] = { PLACE,
                                         { "stage", MR_TYPE_STRING, false },
                                         { "rp", MR_TYPE_INTEGER, false },
                                         { "ro", MR_TYPE_LONG, false },
                                         { "h", MR_TYPE_LONG, false } };
static const struct mr_schema place_schema = { place_fields, MR_COUNT(place_fields) - 1 },
                              staged_schema = { place_fields, MR_COUNT(place_fields) },
                              clean_schema = { clean_fields, MR_COUNT(clean_fields) },
                              dead_schema = { dead_fields, MR_COUNT(dead_fields) };

static void
put_place(struct mr_columns *row, int32_t partition, const struct mr_record *record,
          const Millrace__V1__Origin *origin)
{
    mr_columns_int(row, 0, partition);
    mr_columns_int(row, 1, record->offset);
    mr_columns_int(row, 2, origin->partition);
    mr_columns_int(row, 3, origin->offset);
    mr_columns_int(row, 4, record->time_ms);
}

static int
no_event(const struct reading *reading, enum mr_topic_role role, int32_t partition,
         const struct mr_record *record, struct mr_err *err)
{
    return mr_fail(err, MR_E(CORRUPT), MR_FATAL, "%s part %d offset %" PRId64 " cannot be read",
                   reading->verify->topics[role], (int)partition, record->offset);
}

static int
take_valid(struct reading *reading, int32_t partition, const struct mr_record *record,
           struct mr_err *err)
{
    Millrace__V1__Event *event =
        millrace__v1__event__unpack(NULL, record->value.size, record->value.data);
    bool is_good = event != NULL && event->origin != NULL;
    if (is_good)
        put_place(facts_rows(reading->facts), partition, record, event->origin);
    if (event != NULL)
        millrace__v1__event__free_unpacked(event, NULL);
    return is_good ? facts_row(reading->facts, err)
                   : no_event(reading, MR_TOPIC_VALID, partition, record, err);
}

int
find_valid(struct verify *v, struct mr_err *err)
{
    const struct facts_shape shape = { "all_valid", &place_schema, NULL, &place_schema, NULL };
    return find(v, MR_TOPIC_VALID, &shape, take_valid, err);
}

static int
take_clean(struct reading *reading, int32_t partition, const struct mr_record *record,
           struct mr_err *err)
{
    const struct mr_kind *kind = reading->verify->kind;
    Millrace__V1__Event *event =
        millrace__v1__event__unpack(NULL, record->value.size, record->value.data);
    bool is_good =
        event != NULL && event->origin != NULL &&
        mr_contract_decode(kind, MR_OUTPUT, mr_slice(event->record.data, event->record.len),
                           facts_rows(reading->facts), err) == 0;
    if (is_good)
        put_place(facts_beside(reading->facts), partition, record, event->origin);
    if (event != NULL)
        millrace__v1__event__free_unpacked(event, NULL);
    return is_good ? facts_row(reading->facts, err)
                   : no_event(reading, MR_TOPIC_CLEAN, partition, record, err);
}

int
find_clean(struct verify *v, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf select;
    mr_buf_init(&select, 1 << 20);
    mr_buf_text(&select, "SELECT b.p, b.o, b.op, b.oo, b.t, ");
    hash_expression(&v->kind->output, v->kind->key_out, &select);
    mr_buf_text(&select, " AS k, ");
    hash_expression(&v->kind->output, -1, &select);
    mr_buf_text(&select, " AS h FROM all_clean_beside AS b POSITIONAL JOIN all_clean_rows AS r");
    const struct facts_shape shape = { "all_clean", &v->kind->output, &place_schema, &clean_schema,
                                       select.data };
    return find(v, MR_TOPIC_CLEAN, &shape, take_clean, err);
}

static int
take_dead(struct reading *reading, int32_t partition, const struct mr_record *record,
          struct mr_err *err)
{
    Millrace__V1__DeadLetter *letter =
        millrace__v1__dead_letter__unpack(NULL, record->value.size, record->value.data);
    bool is_good = letter != NULL && letter->origin != NULL &&
                   mr_letter_decode(record->value, facts_rows(reading->facts), err) == 0;
    if (is_good) {
        put_place(facts_beside(reading->facts), partition, record, letter->origin);
        mr_columns_text(facts_beside(reading->facts), 5, mr_slice_text(letter->stage));
    }
    if (letter != NULL)
        millrace__v1__dead_letter__free_unpacked(letter, NULL);
    return is_good ? facts_row(reading->facts, err)
                   : no_event(reading, MR_TOPIC_DEAD, partition, record, err);
}

int
find_dead(struct verify *v, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf select;
    mr_buf_init(&select, 1 << 20);
    mr_buf_text(&select, "SELECT b.p, b.o, b.op, b.oo, b.t, b.stage, r.replayed_partition AS rp, "
                         "r.replayed_offset AS ro, ");
    hash_expression(mr_letter_schema(), -1, &select);
    mr_buf_text(&select, " AS h FROM all_dead_beside AS b POSITIONAL JOIN all_dead_rows AS r");
    const struct facts_shape shape = { "all_dead", mr_letter_schema(), &staged_schema, &dead_schema,
                                       select.data };
    return find(v, MR_TOPIC_DEAD, &shape, take_dead, err);
}
