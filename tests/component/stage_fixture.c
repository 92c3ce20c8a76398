#include "stage_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "test.h"

enum { PATIENCE_MS = 10000, ASK_MS = 1000, RAW_BYTES_MAX = 1 << 20 };

int
mill_open(void **state)
{
    struct mr_err err = { 0 };
    struct mill *mill = mr_alloc(sizeof(*mill));
    char *kinds = mr_printf("%s/kinds", getenv("MILLRACE_BUILD"));
    struct mr_metric *table = mill->table =
        mr_alloc((mr_stage_metrics_count + validator_metrics_count) * sizeof(*table));
    memcpy(table, mr_stage_metrics, mr_stage_metrics_count * sizeof(*table));
    memcpy(table + mr_stage_metrics_count, validator_metrics,
           validator_metrics_count * sizeof(*table));
    mill->metrics = mr_metrics_open(table, mr_stage_metrics_count + validator_metrics_count);
    mill->bus = mr_bus_memory();
    assert_int_equal(mr_contracts_open(kinds, &mill->contracts, &err), 0);
    free(kinds);
    struct mr_writer_options options = { .queue_bytes_max = 64 << 20 };
    assert_int_equal(mr_writer_open(mill->bus, &options, &mill->poster, &err), 0);
    mill->pipeline = "test";
    mill->instance = "one";
    mill->batch_max = 5;
    mill->memory_max = 64 << 20;
    *state = mill;
    return 0;
}

int
mill_close(void **state)
{
    struct mill *mill = *state;
    mill_crash(mill);
    mr_writer_close(mill->poster);
    mr_contracts_close(mill->contracts);
    mr_bus_close(mill->bus);
    mr_metrics_close(mill->metrics);
    free(mill->table);
    free(mill);
    return 0;
}

void
mill_topics(struct mill *mill, int64_t record_max)
{
    struct mr_err err = { 0 };
    char limit[32];
    (void)snprintf(limit, sizeof(limit), "%lld", (long long)record_max);
    const char *const settings[] = { "max.message.bytes", limit, NULL };
    const struct mr_topic_spec specs[] = {
        { MILL_DEAD, MILL_PARTS, 1, record_max > 0 ? settings : NULL },
        { MILL_VALID, MILL_PARTS, 1, record_max > 0 ? settings : NULL },
        { MILL_RAW, MILL_PARTS, 1, record_max > RAW_BYTES_MAX ? settings : NULL },
    };
    assert_int_equal(mr_bus_create(mill->bus, specs, MR_COUNT(specs), ASK_MS, &err), 0);
}

void
mill_start(struct mill *mill)
{
    struct mr_err err = { 0 };
    validator_init(&mill->validator, mill->contracts, MILL_WINDOW, mill->metrics);
    struct mr_stage_options options = { .bus = mill->bus,
                                        .pipeline = mill->pipeline,
                                        .name = "validator",
                                        .instance = mill->instance,
                                        .contracts = mill->contracts,
                                        .input = MR_TOPIC_RAW,
                                        .outputs = { MR_TOPIC_VALID, MR_TOPIC_DEAD },
                                        .batch_max = mill->batch_max,
                                        .batch_wait_ms = mill->batch_wait_ms,
                                        .look_back = MILL_WINDOW,
                                        .memory_max = mill->memory_max,
                                        .handler = &validator_handler,
                                        .self = &mill->validator,
                                        .metrics = mill->metrics };
    assert_int_equal(mr_stage_open(&options, &mill->stage, &err), 0);
    mill->validator.stage = mill->stage;
}

void
mill_stop(struct mill *mill)
{
    struct mr_err err = { 0 };
    assert_int_equal(mr_stage_drain(mill->stage, &err), 0);
    mill_crash(mill);
}

void
mill_crash(struct mill *mill)
{
    if (mill->stage == NULL)
        return;
    mr_stage_close(MR_TAKE(mill->stage));
    validator_fini(&mill->validator);
}

int
mill_step(struct mill *mill, struct mr_err *err)
{
    *err = (struct mr_err){ 0 };
    return mr_stage_step(mill->stage, 1, err);
}

void
mill_run(struct mill *mill, int64_t count)
{
    int64_t until_ms = mr_now_ms() + PATIENCE_MS;
    struct mr_err err = { 0 };
    while (mill_counts(mill).in < count) {
        int result = mill_step(mill, &err);
        if (result < 0 && err.remedy == MR_FATAL)
            fail_msg("step: %s", err.text);
        if (mr_now_ms() > until_ms)
            fail_msg("%lld of %lld judged, last: %s", (long long)mill_counts(mill).in,
                     (long long)count, err.text);
    }
}

/* ---- posting ---- */

static void
post(struct mill *mill, int32_t partition, struct mr_slice value, struct mr_slice header)
{
    struct mr_err err = { 0 };
    const struct mr_message message = {
        .topic = MILL_RAW, .partition = partition, .value = value, .header = header
    };
    assert_int_equal(mr_writer_produce(mill->poster, &message, &err), 0);
    assert_int_equal(mr_writer_flush(mill->poster, ASK_MS, &err), 0);
}

void
mill_post(struct mill *mill, int32_t partition, const char *id, const char *value)
{
    Millrace__V1__Provenance provenance = MILLRACE__V1__PROVENANCE__INIT;
    uint8_t packed[512], event_id[16] = { 0 };
    struct mr_slice header = { 0 };
    if (id != NULL) {
        memcpy(event_id, id, strlen(id));
        provenance.version = 1;
        provenance.event_id = (ProtobufCBinaryData){ sizeof(event_id), event_id };
        provenance.idempotency_hash = (ProtobufCBinaryData){ strlen(id), (uint8_t *)id };
        provenance.value_hash = mr_hash64(value, strlen(value), 0);
        header = mr_slice(packed, millrace__v1__provenance__pack(&provenance, packed));
    }
    post(mill, partition, mr_slice_text(value), header);
}

void
mill_post_raw(struct mill *mill, struct mr_slice value, struct mr_slice header)
{
    post(mill, 0, value, header);
}

void
mill_post_with(struct mill *mill, const Millrace__V1__Provenance *provenance, const char *value)
{
    uint8_t packed[512];
    assert_true(millrace__v1__provenance__get_packed_size(provenance) <= sizeof(packed));
    size_t size = millrace__v1__provenance__pack(provenance, packed);
    post(mill, 0, mr_slice_text(value), mr_slice(packed, size));
}

char *
mill_pin(int index)
{
    return mr_printf("{\"index\":%d,\"title\":\"t\",\"category\":\"art\"}", index);
}

/* ---- what stands behind ---- */

struct mr_counts
mill_counts(struct mill *mill)
{
    struct mr_err err = { 0 };
    struct mr_counts sum = { 0 };
    for (int32_t p = 0; p < MILL_PARTS; p++) {
        struct mr_offsets at = { .topic = MILL_RAW, .partition = p };
        struct mr_counts counts;
        while (mr_bus_offsets(mill->bus, MILL_GROUP, &at, 1, ASK_MS, &err) != 0) {
            assert_string_equal(err.text, "fault"); /* meant for the stage */
            err = (struct mr_err){ 0 };
        }
        if (at.committed == MR_NO_OFFSET)
            continue;
        assert_true(mr_counts_parse(at.note, &counts));
        assert_int_equal(counts.in, counts.good + counts.repeated + counts.dead);
        sum.in += counts.in;
        sum.good += counts.good;
        sum.repeated += counts.repeated;
        sum.dead += counts.dead;
    }
    return sum;
}

int64_t
mill_each(struct mill *mill, const char *topic, void (*each)(const struct mr_record *, void *),
          void *self)
{
    struct mr_err err = { 0 };
    struct mr_reader *reader = NULL;
    struct mr_reader_options options = { .queue_bytes_max = 1 << 20 };
    struct mr_part parts[MILL_PARTS] = { 0 };
    int64_t count = 0;
    int ends = 0;
    for (int32_t p = 0; p < MILL_PARTS; p++) {
        (void)snprintf(parts[p].topic, sizeof(parts[p].topic), "%s", topic);
        parts[p].partition = p;
    }
    assert_int_equal(mr_reader_open(mill->bus, &options, &reader, &err), 0);
    assert_int_equal(mr_reader_assign(reader, parts, MILL_PARTS, &err), 0);
    while (ends < MILL_PARTS) {
        struct mr_batch batch;
        err = (struct mr_err){ 0 };
        if (mr_reader_poll(reader, 1000, 10, &batch, &err) < 0)
            continue; /* a fault that the stage did not take */
        for (size_t i = 0; i < batch.count; i++) {
            ends += batch.records[i].is_end;
            if (batch.records[i].is_end)
                continue;
            count++;
            if (each != NULL)
                each(&batch.records[i], self);
        }
    }
    mr_reader_close(reader);
    return count;
}

int64_t
mill_records(struct mill *mill, const char *topic)
{
    return mill_each(mill, topic, NULL, NULL);
}

static void
add_code(const struct mr_record *record, void *self)
{
    struct mr_buf *codes = self;
    Millrace__V1__DeadLetter *letter =
        millrace__v1__dead_letter__unpack(NULL, record->value.size, record->value.data);
    assert_non_null(letter);
    mr_buf_printf(codes, "%s%s", codes->size > 0 ? " " : "",
                  protobuf_c_enum_descriptor_get_value(&millrace__v1__dead_code__descriptor,
                                                       (int)letter->code)
                      ->name);
    millrace__v1__dead_letter__free_unpacked(letter, NULL);
}

char *
mill_dead(struct mill *mill)
{
    struct mr_buf codes;
    mr_buf_init(&codes, 1 << 20);
    mr_buf_text(&codes, "");
    (void)mill_each(mill, MILL_DEAD, add_code, &codes);
    return codes.data;
}

static void
take_letter(const struct mr_record *record, void *self)
{
    Millrace__V1__DeadLetter **letter = self;
    if (*letter != NULL)
        millrace__v1__dead_letter__free_unpacked(*letter, NULL);
    *letter = millrace__v1__dead_letter__unpack(NULL, record->value.size, record->value.data);
}

Millrace__V1__DeadLetter *
mill_letter(struct mill *mill)
{
    Millrace__V1__DeadLetter *letter = NULL;
    (void)mill_each(mill, MILL_DEAD, take_letter, &letter);
    assert_non_null(letter);
    return letter;
}

struct origins {
    struct {
        int32_t partition;
        int64_t offset;
    } seen[10000];
    size_t count;
};

static void
add_origin(const struct mr_record *record, void *self)
{
    struct origins *origins = self;
    Millrace__V1__Event *event =
        millrace__v1__event__unpack(NULL, record->value.size, record->value.data);
    assert_non_null(event);
    for (size_t i = 0; i < origins->count; i++)
        assert_false(origins->seen[i].partition == event->origin->partition &&
                     origins->seen[i].offset == event->origin->offset);
    origins->seen[origins->count].partition = event->origin->partition;
    origins->seen[origins->count++].offset = event->origin->offset;
    millrace__v1__event__free_unpacked(event, NULL);
}

void
mill_assert_origins_once(struct mill *mill)
{
    static struct origins origins;
    origins.count = 0;
    (void)mill_each(mill, MILL_VALID, add_origin, &origins);
}
