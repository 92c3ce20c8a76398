/*
 * Torture of the two transactional stages: every call on the bus fails once, in every way that it
 * may, while records flow, partitions move and the process is drained and started again. A process
 * that ends is started anew, as its supervisor would. Whatever was struck, each record of the input
 * has one outcome, and the committed counts say the same.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bus/memory.h"
#include "clean.h"
#include "clock/clock.h"
#include "faulty_bus.h"
#include "millrace/v1/event.pb-c.h"
#include "strike.h"
#include "test.h"
#include "validate.h"

enum { PARTS = 2, RECORDS_MAX = 64, WINDOW = 1000, STEPS_MAX = 3000, STEP_MS = 2, PAIRS = 6 };

#define RAW   "t.pin"
#define VALID "t.pin.valid"
#define CLEAN "t.pin.clean"
#define DEAD  "t.pin.dead"

enum outcome { GOOD, REPEATED, BURIED };

struct rack;

/* What differs between the two. */
struct mill {
    const char *name, *group, *in, *good;
    enum mr_topic_role input, output;
    const struct mr_stage_handler *handler;
    void (*post)(struct rack *rack, int32_t partition, enum outcome outcome);
};

struct rack {
    const struct mill *mill;
    struct mr_contracts *contracts;
    struct mr_clean *clean;
    struct mr_metric table[64];
    struct mr_metrics *metrics;
    struct mr_bus *bus, *outer;
    struct mr_writer *poster;
    struct mr_stage *stage; /* NULL while stopped */
    union {
        struct validator validator;
        struct cleaner cleaner;
    };
    enum outcome expected[PARTS][RECORDS_MAX];
    int seen[PARTS][RECORDS_MAX];
    int64_t posted[PARTS];
    unsigned ends; /* of processes */
};

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct mr_err oops = { 0 };                                                                \
        if ((call) < 0)                                                                            \
            fail_msg("%s: %s", #call, oops.text);                                                  \
    } while (0)

/* ---- the input ---- */

static void
produce(struct rack *rack, int32_t partition, struct mr_slice value, struct mr_slice header)
{
    const struct mr_message message = {
        .topic = rack->mill->in, .partition = partition, .value = value, .header = header
    };
    OK(mr_writer_produce(rack->poster, &message, &oops));
    OK(mr_writer_flush(rack->poster, 1000, &oops));
}

/* Each record has an id that its client chose; a repeated one has the id of the partition's first
 * record. */
static void
post_raw(struct rack *rack, int32_t partition, enum outcome outcome)
{
    int64_t number = outcome == REPEATED ? 0 : rack->posted[partition];
    MR_CLEANUP(mr_freep)
    char *value = mr_printf(outcome == BURIED ? "{\"index\":\"bad %lld\"}" : "{\"index\":%lld}",
                            (long long)number * PARTS + partition);
    uint8_t packed[256], id[16] = { (uint8_t)(number + 1) };
    Millrace__V1__Provenance provenance = MILLRACE__V1__PROVENANCE__INIT;
    provenance.version = 1;
    provenance.event_id = (ProtobufCBinaryData){ sizeof(id), id };
    provenance.idempotency_hash = (ProtobufCBinaryData){ sizeof(id), id };
    size_t size = millrace__v1__provenance__pack(&provenance, packed);
    produce(rack, partition, mr_slice_text(value), mr_slice(packed, size));
}

/* What the validator would write: the origin is the place on the input itself. */
static void
post_valid(struct rack *rack, int32_t partition, enum outcome outcome)
{
    const struct mr_kind *kind = mr_contracts_find(rack->contracts, "pin");
    MR_CLEANUP(mr_buf_fini) struct mr_buf record, key;
    struct mr_verdict verdict;
    mr_buf_init(&record, 1 << 20);
    mr_buf_init(&key, 1 << 20);
    MR_CLEANUP(mr_freep)
    char *json = mr_printf("{\"index\":%lld,\"follower_count\":\"%s\"}",
                           (long long)rack->posted[partition], outcome == GOOD ? "3" : "a lot");
    assert_int_equal(mr_contract_check(kind, mr_slice_text(json), &record, &key, &verdict), 0);
    Millrace__V1__Provenance provenance = MILLRACE__V1__PROVENANCE__INIT;
    Millrace__V1__Origin origin = MILLRACE__V1__ORIGIN__INIT;
    Millrace__V1__Event event = MILLRACE__V1__EVENT__INIT;
    static char raw[] = RAW, pin[] = "pin";
    event.provenance = &provenance;
    origin.topic = raw;
    origin.partition = partition;
    origin.offset = rack->posted[partition];
    event.origin = &origin;
    event.kind = pin;
    event.contract_version = kind->version;
    event.record = (ProtobufCBinaryData){ record.size, (uint8_t *)record.data };
    MR_CLEANUP(mr_freep) uint8_t *packed = mr_alloc(millrace__v1__event__get_packed_size(&event));
    produce(rack, partition, mr_slice(packed, millrace__v1__event__pack(&event, packed)),
            mr_slice(NULL, 0));
}

static void
post(struct rack *rack, const char *outcomes)
{
    for (const char *at = outcomes; *at != '\0'; at++) {
        int32_t partition = (int32_t)((at - outcomes) % PARTS);
        enum outcome outcome = *at == 'g' ? GOOD : *at == 'r' ? REPEATED : BURIED;
        rack->mill->post(rack, partition, outcome);
        assert_true(rack->posted[partition] < RECORDS_MAX);
        rack->expected[partition][rack->posted[partition]++] = outcome;
    }
}

/* ---- the process and its supervisor ---- */

static void
end(struct rack *rack)
{
    if (rack->stage == NULL)
        return;
    mr_stage_close(MR_TAKE(rack->stage));
    if (rack->mill->input == MR_TOPIC_RAW)
        validator_fini(&rack->validator);
    else
        cleaner_fini(&rack->cleaner);
    rack->ends++;
}

static void
start(struct rack *rack)
{
    struct mr_err err = { 0 };
    bool validates = rack->mill->input == MR_TOPIC_RAW;
    struct mr_stage_options options = { .bus = rack->outer,
                                        .pipeline = "test",
                                        .name = rack->mill->name,
                                        .instance = "one",
                                        .contracts = rack->contracts,
                                        .input = rack->mill->input,
                                        .outputs = { rack->mill->output, MR_TOPIC_DEAD },
                                        .batch_max = 4,
                                        .batch_wait_ms = 6,
                                        .look_back = validates ? WINDOW : 0,
                                        .memory_max = 64 << 20,
                                        .handler = rack->mill->handler,
                                        .self = &rack->validator,
                                        .metrics = rack->metrics };
    if (mr_stage_open(&options, &rack->stage, &err) != 0) {
        assert_int_equal(err.remedy, MR_RETRY);
        return;
    }
    if (validates) {
        validator_init(&rack->validator, rack->contracts, WINDOW, rack->metrics);
        rack->validator.stage = rack->stage;
    } else {
        cleaner_init(&rack->cleaner, rack->clean, rack->metrics);
        rack->cleaner.stage = rack->stage;
    }
}

static void
step(struct rack *rack)
{
    struct mr_err err = { 0 };
    mr_clock_crank(STEP_MS);
    if (rack->stage == NULL)
        start(rack);
    if (rack->stage == NULL || mr_stage_step(rack->stage, 0, &err) >= 0)
        return;
    if (err.remedy == MR_RETRY)
        return;
    if (err.code != MR_E(FENCED))
        fail_msg("ended: %s", err.text);
    end(rack);
}

static struct mr_counts
counts_of(struct rack *rack)
{
    struct mr_counts sum = { 0 };
    for (int32_t p = 0; p < PARTS; p++) {
        struct mr_offsets at = { .topic = rack->mill->in, .partition = p };
        struct mr_counts counts;
        OK(mr_bus_offsets(rack->bus, rack->mill->group, &at, 1, 1000, &oops));
        if (at.committed == MR_NO_OFFSET)
            continue;
        assert_true(mr_counts_parse(at.note, &counts));
        sum.in += counts.in;
        sum.good += counts.good;
        sum.repeated += counts.repeated;
        sum.dead += counts.dead;
    }
    return sum;
}

static void
step_until(struct rack *rack, int64_t in)
{
    int steps = 0;
    for (; counts_of(rack).in < in && steps < STEPS_MAX; steps++)
        step(rack);
    if (steps == STEPS_MAX)
        fail_msg("%lld of %lld are through", (long long)counts_of(rack).in, (long long)in);
}

static void
drain(struct rack *rack)
{
    struct mr_err err = { 0 };
    if (rack->stage != NULL && mr_stage_drain(rack->stage, &err) < 0)
        assert_true(err.remedy == MR_RETRY || err.code == MR_E(FENCED));
    end(rack);
}

/* ---- what stands behind ---- */

static void
see(struct rack *rack, const struct mr_record *record, bool is_dead)
{
    const uint8_t *bytes = record->value.data;
    Millrace__V1__Event *event = NULL;
    Millrace__V1__DeadLetter *letter = NULL;
    if (is_dead)
        letter = millrace__v1__dead_letter__unpack(NULL, record->value.size, bytes);
    else
        event = millrace__v1__event__unpack(NULL, record->value.size, bytes);
    assert_true(event != NULL || letter != NULL);
    const Millrace__V1__Origin *origin = is_dead ? letter->origin : event->origin;
    assert_in_range(origin->partition, 0, PARTS - 1);
    assert_in_range(origin->offset, 0, rack->posted[origin->partition] - 1);
    if (rack->expected[origin->partition][origin->offset] != (is_dead ? BURIED : GOOD))
        fail_msg("part %d offset %d: %s", origin->partition, (int)origin->offset,
                 is_dead ? letter->reason : "good");
    rack->seen[origin->partition][origin->offset]++;
    if (event != NULL)
        millrace__v1__event__free_unpacked(event, NULL);
    if (letter != NULL)
        millrace__v1__dead_letter__free_unpacked(letter, NULL);
}

static void
see_all(struct rack *rack, const char *topic)
{
    struct mr_part parts[PARTS] = { 0 };
    MR_CLEANUP(mr_reader_closep) struct mr_reader *reader = NULL;
    const struct mr_reader_options options = { .queue_bytes_max = 1 << 20 };
    for (int32_t p = 0; p < PARTS; p++) {
        (void)snprintf(parts[p].topic, sizeof(parts[p].topic), "%s", topic);
        parts[p].partition = p;
    }
    OK(mr_reader_open(rack->bus, &options, &reader, &oops));
    OK(mr_reader_assign(reader, parts, PARTS, &oops));
    for (int ends = 0; ends < PARTS;) {
        struct mr_batch batch;
        OK(mr_reader_poll(reader, 1000, 10, &batch, &oops));
        for (size_t i = 0; i < batch.count; i++) {
            ends += batch.records[i].is_end;
            if (!batch.records[i].is_end)
                see(rack, &batch.records[i], strcmp(topic, DEAD) == 0);
        }
    }
}

static void
check(struct rack *rack)
{
    struct mr_counts expected = { 0 }, counts = counts_of(rack);
    see_all(rack, rack->mill->good);
    see_all(rack, DEAD);
    for (int p = 0; p < PARTS; p++) {
        for (int64_t i = 0; i < rack->posted[p]; i++) {
            enum outcome outcome = rack->expected[p][i];
            assert_int_equal(rack->seen[p][i], outcome == REPEATED ? 0 : 1);
            expected.in++;
            expected.good += outcome == GOOD;
            expected.repeated += outcome == REPEATED;
            expected.dead += outcome == BURIED;
        }
    }
    assert_memory_equal(&counts, &expected, sizeof(counts));
}

/* ---- the scenario ---- */

static void
make_bus(struct rack *rack)
{
    const struct mr_topic_spec topics[] = { { DEAD, PARTS, 1, NULL },
                                            { rack->mill->good, PARTS, 1, NULL },
                                            { rack->mill->in, PARTS, 1, NULL } };
    const struct mr_writer_options options = { .queue_bytes_max = 1 << 20 };
    rack->bus = mr_bus_memory();
    rack->outer = faulty_bus(rack->bus);
    OK(mr_bus_create(rack->bus, topics, MR_COUNT(topics), 1000, &oops));
    OK(mr_writer_open(rack->bus, &options, &rack->poster, &oops));
    memset(rack->posted, 0, sizeof(rack->posted));
    memset(rack->seen, 0, sizeof(rack->seen));
}

static void
scenario(void *self)
{
    struct rack *rack = self;
    bool repeats = rack->mill->input == MR_TOPIC_RAW;
    mr_clock_hold(1000000, 1700000000000000);
    make_bus(rack);
    strike_arm();
    post(rack, repeats ? "ggrbgrgb" : "gggbgggg");
    step_until(rack, 3);
    mr_bus_memory_rebalance(rack->bus, rack->mill->group, false);
    post(rack, repeats ? "ggbg" : "gggg");
    step(rack);
    mr_bus_memory_rebalance(rack->bus, rack->mill->group, true);
    step_until(rack, 10);
    drain(rack);
    post(rack, repeats ? "rrgg" : "gbgg");
    step_until(rack, 16);
    drain(rack);
    strike_rest();
    check(rack);
    mr_clock_release();
    mr_writer_close(rack->poster);
    mr_bus_close(rack->outer);
    mr_bus_close(rack->bus);
}

/* ---- tests ---- */

static int
open_rack(void **state)
{
    struct rack *rack = mr_alloc(sizeof(*rack));
    MR_CLEANUP(mr_freep) char *kinds = mr_printf("%s/kinds", getenv("MILLRACE_BUILD"));
    size_t count = 0;
    memcpy(rack->table, mr_stage_metrics, mr_stage_metrics_count * sizeof(*rack->table));
    count += mr_stage_metrics_count;
    memcpy(rack->table + count, validator_metrics, validator_metrics_count * sizeof(*rack->table));
    count += validator_metrics_count;
    memcpy(rack->table + count, cleaner_metrics, cleaner_metrics_count * sizeof(*rack->table));
    count += cleaner_metrics_count;
    rack->metrics = mr_metrics_open(rack->table, count);
    OK(mr_contracts_open(kinds, &rack->contracts, &oops));
    OK(mr_clean_open(rack->contracts, 0, &rack->clean, &oops));
    *state = rack;
    return 0;
}

static int
close_rack(void **state)
{
    struct rack *rack = *state;
    mr_clean_close(rack->clean);
    mr_contracts_close(rack->contracts);
    mr_metrics_close(rack->metrics);
    free(rack);
    return strike_tell(state);
}

static void
the_validator_gives_each_record_one_outcome_whatever_call_fails(void **state)
{
    static const struct mill validator = {
        "validator",    "test.validator",   RAW,     VALID, MR_TOPIC_RAW,
        MR_TOPIC_VALID, &validator_handler, post_raw
    };
    struct rack *rack = *state;
    rack->mill = &validator;
    strike_every("validator", scenario, rack, PAIRS, NULL);
}

static void
the_cleaner_gives_each_record_one_outcome_whatever_call_fails(void **state)
{
    static const struct mill cleaner = {
        "cleaner",      "test.cleaner",   VALID,     CLEAN, MR_TOPIC_VALID,
        MR_TOPIC_CLEAN, &cleaner_handler, post_valid
    };
    struct rack *rack = *state;
    rack->mill = &cleaner;
    strike_every("cleaner", scenario, rack, 0, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            the_validator_gives_each_record_one_outcome_whatever_call_fails, open_rack, close_rack),
        cmocka_unit_test_setup_teardown(
            the_cleaner_gives_each_record_one_outcome_whatever_call_fails, open_rack, close_rack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
