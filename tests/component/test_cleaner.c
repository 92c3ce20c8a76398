/*
 * The cleaner's handler in a real stage on the memory bus: what stands on T.valid is found once on
 * T.clean or T.dead, whatever fails in between.
 */
#include "clean.h"

#include <stdio.h>
#include <stdlib.h>

#include "bus/memory.h"
#include "clock/clock.h"
#include "contract/contract.h"
#include "millrace/v1/event.pb-c.h"
#include "test.h"

enum { STEPS_MS_MAX = 10000, OUT_MAX = 4096 };

struct out {
    int32_t partition;
    struct mr_buf key, value;
};

struct bench {
    struct mr_bus *bus;
    struct mr_contracts *contracts;
    struct mr_clean *clean;
    struct mr_metrics *metrics;
    struct cleaner cleaner;
    struct mr_stage *stage;
    struct mr_writer *writer;
    struct out out[OUT_MAX];
    size_t out_count;
};

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct mr_err err = { 0 };                                                                 \
        if ((call) < 0)                                                                            \
            fail_msg("%s: %s", #call, err.text);                                                   \
    } while (0)

/* One registry of the stage's and the cleaner's tables, as the service makes it. */
static struct mr_metrics *
open_metrics(void)
{
    static struct mr_metric table[64];
    size_t count = mr_stage_metrics_count;
    memcpy(table, mr_stage_metrics, count * sizeof(table[0]));
    memcpy(table + count, cleaner_metrics, cleaner_metrics_count * sizeof(table[0]));
    return mr_metrics_open(table, count + cleaner_metrics_count);
}

static void
open_stage(struct bench *b)
{
    struct mr_stage_options options = { .bus = b->bus,
                                        .pipeline = "millrace",
                                        .name = "cleaner",
                                        .instance = "one",
                                        .contracts = b->contracts,
                                        .input = MR_TOPIC_VALID,
                                        .outputs = { MR_TOPIC_CLEAN, MR_TOPIC_DEAD },
                                        .batch_max = 100,
                                        .batch_wait_ms = 0,
                                        .memory_max = 64 << 20,
                                        .handler = &cleaner_handler,
                                        .self = &b->cleaner,
                                        .metrics = b->metrics };
    cleaner_init(&b->cleaner, b->clean, b->metrics);
    OK(mr_stage_open(&options, &b->stage, &err));
    b->cleaner.stage = b->stage;
}

static void
make_topics(struct bench *b, const char *kind, const char *bytes_max)
{
    static const char *const roles[] = { ".dead", ".clean", ".valid" };
    for (size_t i = 0; i < MR_COUNT(roles); i++) {
        MR_CLEANUP(mr_freep) char *topic = mr_printf("a.%s%s", kind, roles[i]);
        const char *settings[] = { "max.message.bytes", bytes_max, NULL };
        bool is_small = strcmp(roles[i], ".clean") == 0 && bytes_max != NULL;
        const struct mr_topic_spec spec = { topic, 3, 1, is_small ? settings : NULL };
        OK(mr_bus_create(b->bus, &spec, 1, 1000, &err));
    }
}

static int
set_up(void **state)
{
    struct bench *b = mr_alloc(sizeof(*b));
    MR_CLEANUP(mr_freep) char *kinds = mr_printf("%s/kinds", getenv("MILLRACE_BUILD"));
    b->bus = mr_bus_memory();
    b->metrics = open_metrics();
    OK(mr_contracts_open(kinds, &b->contracts, &err));
    OK(mr_clean_open(b->contracts, 0, &b->clean, &err));
    const struct mr_writer_options writer = { .linger_ms = -1, .queue_bytes_max = 64 << 20 };
    OK(mr_writer_open(b->bus, &writer, &b->writer, &err));
    *state = b;
    return 0;
}

static void
forget_out(struct bench *b)
{
    for (size_t i = 0; i < b->out_count; i++) {
        mr_buf_fini(&b->out[i].key);
        mr_buf_fini(&b->out[i].value);
    }
    b->out_count = 0;
}

static int
tear_down(void **state)
{
    struct bench *b = *state;
    forget_out(b);
    mr_stage_close(b->stage);
    cleaner_fini(&b->cleaner);
    mr_writer_close(b->writer);
    mr_bus_close(b->bus);
    mr_clean_close(b->clean);
    mr_contracts_close(b->contracts);
    mr_metrics_close(b->metrics);
    free(b);
    return 0;
}

/* ---- in ---- */

static void
put(struct bench *b, const char *topic, int32_t partition, const char *key, struct mr_slice value)
{
    const struct mr_message message = {
        .topic = topic, .partition = partition, .key = mr_slice_text(key), .value = value
    };
    OK(mr_writer_produce(b->writer, &message, &err));
    OK(mr_writer_flush(b->writer, 1000, &err));
}

/* What the validator would write for posted JSON: offset is its place on the raw topic. */
static void
put_event(struct bench *b, const char *kind_name, int32_t partition, int64_t offset,
          uint32_t version, const char *json)
{
    const struct mr_kind *kind = mr_contracts_find(b->contracts, kind_name);
    MR_CLEANUP(mr_buf_fini) struct mr_buf record, key;
    struct mr_verdict verdict;
    mr_buf_init(&record, 8 << 20);
    mr_buf_init(&key, 8 << 20);
    if (mr_contract_check(kind, mr_slice_text(json), &record, &key, &verdict) != 0)
        fail_msg("%s", verdict.reason);
    Millrace__V1__Provenance provenance = MILLRACE__V1__PROVENANCE__INIT;
    Millrace__V1__Origin origin = MILLRACE__V1__ORIGIN__INIT;
    Millrace__V1__Event event = MILLRACE__V1__EVENT__INIT;
    provenance.version = 1;
    provenance.principal = (char *)(uintptr_t) "ann";
    origin.topic = (char *)(uintptr_t) "a.raw";
    origin.offset = offset;
    event.provenance = &provenance;
    event.origin = &origin;
    event.kind = (char *)(uintptr_t)kind_name;
    event.contract_version = version;
    event.record = (ProtobufCBinaryData){ record.size, (uint8_t *)record.data };
    MR_CLEANUP(mr_freep) uint8_t *packed = mr_alloc(millrace__v1__event__get_packed_size(&event));
    MR_CLEANUP(mr_freep) char *topic = mr_printf("a.%s.valid", kind_name);
    put(b, topic, partition, key.size > 0 ? key.data : "",
        mr_slice(packed, millrace__v1__event__pack(&event, packed)));
}

static void
put_pin(struct bench *b, int64_t index, const char *followers)
{
    MR_CLEANUP(mr_freep)
    char *json = mr_printf("{\"index\":%lld,\"title\":\"\",\"follower_count\":\"%s\"}",
                           (long long)index, followers);
    put_event(b, "pin", (int32_t)(index % 3), index, 1, json);
}

/* ---- run and look ---- */

static int64_t
committed_of(struct bench *b, const char *topic, int64_t *ret_end, struct mr_counts *ret_counts)
{
    int64_t next = 0;
    *ret_end = 0;
    for (int32_t p = 0; p < 3; p++) {
        struct mr_offsets offsets = { .topic = topic, .partition = p };
        struct mr_counts counts;
        OK(mr_bus_offsets(b->bus, "millrace.cleaner", &offsets, 1, 1000, &err));
        next += offsets.committed != MR_NO_OFFSET ? offsets.committed : 0;
        *ret_end += offsets.end;
        if (ret_counts != NULL && mr_counts_parse(offsets.note, &counts)) {
            ret_counts->in += counts.in;
            ret_counts->good += counts.good;
            ret_counts->dead += counts.dead;
        }
    }
    return next;
}

/* Steps until the whole input topic is committed; errors of the world are tried again. */
static struct mr_counts
run(struct bench *b, const char *topic)
{
    int64_t deadline_ms = mr_now_ms() + STEPS_MS_MAX, end;
    while (committed_of(b, topic, &end, NULL) < end) {
        struct mr_err err = { 0 };
        if (mr_stage_step(b->stage, 1, &err) < 0 && err.remedy != MR_RETRY)
            fail_msg("%s", err.text);
        if (mr_now_ms() > deadline_ms)
            fail_msg("%s is not done", topic);
    }
    struct mr_counts counts = { 0 };
    (void)committed_of(b, topic, &end, &counts);
    return counts;
}

/* Everything committed on a topic of three partitions, into b->out. */
static void
read_out(struct bench *b, const char *topic)
{
    struct mr_part parts[3];
    MR_CLEANUP(mr_reader_closep) struct mr_reader *reader = NULL;
    const struct mr_reader_options options = { .queue_bytes_max = 64 << 20 };
    unsigned ends = 0;
    memset(parts, 0, sizeof(parts));
    forget_out(b);
    for (int32_t p = 0; p < 3; p++) {
        (void)snprintf(parts[p].topic, sizeof(parts[p].topic), "%s", topic);
        parts[p].partition = p;
    }
    OK(mr_reader_open(b->bus, &options, &reader, &err));
    OK(mr_reader_assign(reader, parts, 3, &err));
    int64_t deadline_ms = mr_now_ms() + STEPS_MS_MAX;
    while (ends != 7) {
        struct mr_batch batch;
        OK(mr_reader_poll(reader, 100, 10, &batch, &err));
        for (size_t i = 0; i < batch.count; i++) {
            const struct mr_record *record = &batch.records[i];
            if (record->is_end) {
                ends |= 1U << record->slot;
                continue;
            }
            assert_true(b->out_count < OUT_MAX);
            struct out *out = &b->out[b->out_count++];
            out->partition = (int32_t)record->slot;
            mr_buf_init(&out->key, 1 << 20);
            mr_buf_init(&out->value, 1 << 26);
            mr_buf_put(&out->key, record->key.data, record->key.size);
            mr_buf_put(&out->value, record->value.data, record->value.size);
        }
        assert_true(mr_now_ms() < deadline_ms);
    }
}

static Millrace__V1__Event *
event_at(struct bench *b, size_t i)
{
    assert_true(i < b->out_count);
    Millrace__V1__Event *event = millrace__v1__event__unpack(NULL, b->out[i].value.size,
                                                             (const uint8_t *)b->out[i].value.data);
    assert_non_null(event);
    return event;
}

static Millrace__V1__DeadLetter *
letter_at(struct bench *b, size_t i)
{
    assert_true(i < b->out_count);
    Millrace__V1__DeadLetter *letter = millrace__v1__dead_letter__unpack(
        NULL, b->out[i].value.size, (const uint8_t *)b->out[i].value.data);
    assert_non_null(letter);
    return letter;
}

/* Each index 0 .. count - 1 stands on T.clean once, in order within its partition. */
static void
assert_each_once(struct bench *b, int64_t count)
{
    const struct mr_kind *kind = mr_contracts_find(b->contracts, "pin");
    int64_t last[3] = { -1, -1, -1 };
    read_out(b, "a.pin.clean");
    assert_int_equal(b->out_count, count);
    for (size_t i = 0; i < b->out_count; i++) {
        Millrace__V1__Event *event = event_at(b, i);
        MR_CLEANUP(mr_columns_freep) struct mr_columns *row = mr_columns_new(&kind->output);
        OK(mr_contract_decode(kind, MR_OUTPUT, mr_slice(event->record.data, event->record.len), row,
                              &err));
        int64_t ind = mr_column_int(&row->columns[0], 0);
        assert_int_equal(ind, event->origin->offset);
        assert_int_equal(ind % 3, b->out[i].partition);
        assert_true(ind > last[b->out[i].partition]);
        last[b->out[i].partition] = ind;
        millrace__v1__event__free_unpacked(event, NULL);
    }
}

static int64_t
metric(struct bench *b, const char *name, const char *second)
{
    const char *labels[] = { "pin", second };
    return atomic_load(&mr_metrics_cell(b->metrics, name, labels)->value);
}

/* ---- promises ---- */

static void
an_event_keeps_all_but_its_record(void **state)
{
    struct bench *b = *state;
    make_topics(b, "pin", NULL);
    put_pin(b, 7528, "124k");
    open_stage(b);
    struct mr_counts counts = run(b, "a.pin.valid");
    assert_int_equal(counts.in, 1);
    assert_int_equal(counts.good, 1);
    read_out(b, "a.pin.clean");
    assert_int_equal(b->out_count, 1);
    Millrace__V1__Event *event = event_at(b, 0);
    assert_string_equal(b->out[0].key.data, "7528");
    assert_int_equal(b->out[0].partition, 7528 % 3);
    assert_string_equal(event->kind, "pin");
    assert_int_equal(event->contract_version, 1);
    assert_string_equal(event->provenance->principal, "ann");
    assert_int_equal(event->origin->offset, 7528);
    const struct mr_kind *kind = mr_contracts_find(b->contracts, "pin");
    MR_CLEANUP(mr_columns_freep) struct mr_columns *row = mr_columns_new(&kind->output);
    OK(mr_contract_decode(kind, MR_OUTPUT, mr_slice(event->record.data, event->record.len), row,
                          &err));
    assert_int_equal(mr_column_int(&row->columns[4], 0), 124000);
    assert_true(mr_column_is_null(&row->columns[2], 0)); /* title "" */
    millrace__v1__event__free_unpacked(event, NULL);
}

static void
many_events_come_out_once_each_in_order(void **state)
{
    struct bench *b = *state;
    make_topics(b, "pin", NULL);
    for (int64_t i = 0; i < 1000; i++)
        put_pin(b, i, "5M");
    open_stage(b);
    struct mr_counts counts = run(b, "a.pin.valid");
    assert_int_equal(counts.in, 1000);
    assert_int_equal(counts.good, 1000);
    assert_each_once(b, 1000);
    assert_int_equal(metric(b, "millrace_rule_hits_total", "follower_count_scaled"), 1000);
    assert_int_equal(metric(b, "millrace_rule_hits_total", "title_missing"), 1000);
    assert_int_equal(metric(b, "millrace_column_nulls_total", "title"), 1000);
    assert_int_equal(metric(b, "millrace_column_nulls_total", "ind"), 0);
}

static void
a_failing_row_is_a_dead_letter_and_the_others_are_clean(void **state)
{
    struct bench *b = *state;
    make_topics(b, "pin", NULL);
    for (int64_t i = 0; i < 30; i++)
        put_pin(b, i, i == 11 ? "a lot" : "3");
    open_stage(b);
    struct mr_counts counts = run(b, "a.pin.valid");
    assert_int_equal(counts.in, 30);
    assert_int_equal(counts.good, 29);
    assert_int_equal(counts.dead, 1);
    read_out(b, "a.pin.clean");
    assert_int_equal(b->out_count, 29);
    read_out(b, "a.pin.dead");
    assert_int_equal(b->out_count, 1);
    Millrace__V1__DeadLetter *letter = letter_at(b, 0);
    assert_int_equal(letter->code, MILLRACE__V1__DEAD_CODE__RULE_FAILED);
    assert_string_equal(letter->stage, "cleaner");
    assert_string_equal(letter->kind, "pin");
    assert_int_equal(letter->origin->offset, 11);
    assert_string_equal(letter->provenance->principal, "ann");
    assert_non_null(strstr(letter->reason, "'a lot'"));
    MR_CLEANUP(mr_freep)
    char *original = mr_strndup((const char *)letter->original.data, letter->original.len);
    assert_non_null(strstr(original, "\"follower_count\":\"a lot\""));
    assert_int_equal(b->out[0].partition, 11 % 3);
    millrace__v1__dead_letter__free_unpacked(letter, NULL);
}

static void
a_record_that_is_no_event_is_a_dead_letter_from_its_own_place(void **state)
{
    struct bench *b = *state;
    make_topics(b, "pin", NULL);
    put(b, "a.pin.valid", 1, "", MR_SLICE("not protobuf"));
    put(b, "a.pin.valid", 1, "", mr_slice(NULL, 0));
    put_pin(b, 1, "3");
    open_stage(b);
    struct mr_counts counts = run(b, "a.pin.valid");
    assert_int_equal(counts.dead, 2);
    assert_int_equal(counts.good, 1);
    read_out(b, "a.pin.dead");
    assert_int_equal(b->out_count, 2);
    Millrace__V1__DeadLetter *letter = letter_at(b, 0);
    assert_string_equal(letter->origin->topic, "a.pin.valid");
    assert_int_equal(letter->origin->partition, 1);
    assert_int_equal(letter->original_bytes, 12);
    millrace__v1__dead_letter__free_unpacked(letter, NULL);
    letter = letter_at(b, 1);
    assert_int_equal(letter->origin->offset, 1);
    assert_true(letter->tombstone);
    millrace__v1__dead_letter__free_unpacked(letter, NULL);
}

static void
a_batch_that_was_aborted_comes_out_once(void **state)
{
    struct bench *b = *state;
    static const char *const calls[] = { "begin", "produce", "commit", "poll" };
    make_topics(b, "pin", NULL);
    for (int64_t i = 0; i < 300; i++)
        put_pin(b, i, i % 2 == 0 ? "5M" : "1");
    open_stage(b);
    for (size_t i = 0; i < MR_COUNT(calls); i++) {
        const struct mr_err away = { MR_E(UNAVAILABLE), MR_RETRY, "away" };
        mr_bus_memory_fault(b->bus, calls[i], 1, 1, &away);
    }
    struct mr_counts counts = run(b, "a.pin.valid");
    assert_int_equal(counts.in, 300);
    assert_int_equal(counts.good, 300);
    assert_each_once(b, 300);
    assert_int_equal(metric(b, "millrace_rule_hits_total", "follower_count_scaled"), 150);
}

static void
a_result_that_its_topic_does_not_take_is_a_dead_letter(void **state)
{
    struct bench *b = *state;
    static char title[6000];
    memset(title, 'x', sizeof(title) - 1);
    make_topics(b, "pin", "2000");
    put_pin(b, 0, "3");
    MR_CLEANUP(mr_freep) char *json = mr_printf("{\"index\":3,\"title\":\"%s\"}", title);
    put_event(b, "pin", 0, 3, 1, json);
    put_pin(b, 6, "3");
    open_stage(b);
    struct mr_counts counts = run(b, "a.pin.valid");
    assert_int_equal(counts.good, 2);
    assert_int_equal(counts.dead, 1);
    read_out(b, "a.pin.dead");
    assert_int_equal(b->out_count, 1);
    Millrace__V1__DeadLetter *letter = letter_at(b, 0);
    assert_int_equal(letter->code, MILLRACE__V1__DEAD_CODE__TOO_LARGE);
    assert_int_equal(letter->origin->offset, 3);
    millrace__v1__dead_letter__free_unpacked(letter, NULL);
}

/* Contracts whose pin is of version 2, or whose places may lack a half: changed by sed in a copy of
 * ours, made by the tool that people use. */
static char *
other_kinds(const char *sed, const char *file)
{
    char dir[] = "/tmp/millrace-kinds-XXXXXX";
    const char *source = getenv("MILLRACE_SOURCE");
    assert_non_null(mkdtemp(dir));
    MR_CLEANUP(mr_freep)
    char *command = mr_printf("cp -r %s/proto/kinds %s/src && "
                              "sed -i '%s' %s/src/%s && "
                              "%s/tools/kinds %s/src %s/kinds",
                              source, dir, sed, dir, file, source, dir, dir);
    assert_int_equal(system(command), 0);
    return mr_strdup(dir);
}

static void
events_of_a_newer_contract_wait_for_it_and_others_flow(void **state)
{
    struct bench *b = *state;
    uint32_t version = 0;
    make_topics(b, "pin", NULL);
    make_topics(b, "user", NULL);
    put_event(b, "pin", 0, 0, 2, "{\"index\":0}");
    for (int64_t i = 0; i < 50; i++)
        put_event(b, "user", (int32_t)(i % 3), i, 1, "{\"ind\":1,\"first_name\":\"Ann\"}");
    open_stage(b);
    struct mr_counts counts = run(b, "a.user.valid");
    assert_int_equal(counts.good, 50);
    assert_string_equal(cleaner_waits_for(&b->cleaner, &version), "pin");
    assert_int_equal(version, 2);
    read_out(b, "a.pin.clean");
    assert_int_equal(b->out_count, 0);

    MR_CLEANUP(mr_freep) char *dir = other_kinds("s/version: 1/version: 2/", "pin/pin.proto");
    MR_CLEANUP(mr_freep) char *kinds = mr_printf("%s/kinds", dir);
    MR_CLEANUP(mr_freep) char *remove = mr_printf("rm -r %s", dir);
    struct mr_contracts *next = NULL;
    struct mr_clean *clean = NULL;
    OK(mr_contracts_open(kinds, &next, &err));
    OK(mr_contracts_compatible(b->contracts, next, &err));
    OK(mr_clean_open(next, 0, &clean, &err));
    OK(cleaner_reload(&b->cleaner, clean, &err));
    mr_clean_close(b->clean);
    mr_contracts_close(b->contracts);
    b->clean = clean;
    b->contracts = next;
    assert_null(cleaner_waits_for(&b->cleaner, &version));
    counts = run(b, "a.pin.valid");
    assert_int_equal(counts.good, 1);
    read_out(b, "a.pin.clean");
    Millrace__V1__Event *event = event_at(b, 0);
    assert_int_equal(event->contract_version, 2);
    millrace__v1__event__free_unpacked(event, NULL);
    assert_int_equal(system(remove), 0);
}

/* clean.sql is foreign text: what it makes of one event must not stop those of others. */
static void
a_row_that_is_no_record_is_a_dead_letter_and_the_others_are_clean(void **state)
{
    struct bench *b = *state;
    MR_CLEANUP(mr_freep)
    char *dir =
        other_kinds("s/WHEN latitude IS NULL OR longitude IS NULL/WHEN false/", "geo/clean.sql");
    MR_CLEANUP(mr_freep) char *kinds = mr_printf("%s/kinds", dir);
    MR_CLEANUP(mr_freep) char *remove = mr_printf("rm -r %s", dir);
    mr_clean_close(b->clean);
    mr_contracts_close(b->contracts);
    OK(mr_contracts_open(kinds, &b->contracts, &err));
    OK(mr_clean_open(b->contracts, 0, &b->clean, &err));
    make_topics(b, "geo", NULL);
    put_event(b, "geo", 0, 0, 1, "{\"ind\":1,\"latitude\":1,\"longitude\":2}");
    put_event(b, "geo", 0, 1, 1, "{\"ind\":2,\"latitude\":1}");
    put_event(b, "geo", 0, 2, 1, "{\"ind\":3,\"latitude\":1,\"longitude\":2}");
    open_stage(b);
    struct mr_counts counts = run(b, "a.geo.valid");
    assert_int_equal(counts.good, 2);
    assert_int_equal(counts.dead, 1);
    read_out(b, "a.geo.dead");
    Millrace__V1__DeadLetter *letter = letter_at(b, 0);
    assert_int_equal(letter->code, MILLRACE__V1__DEAD_CODE__RULE_FAILED);
    assert_string_equal(letter->rule, "clean.sql");
    assert_non_null(strstr(letter->reason, "coordinates[1] is NULL"));
    assert_non_null(strstr(letter->value, "\"ind\":2"));
    millrace__v1__dead_letter__free_unpacked(letter, NULL);
    assert_int_equal(system(remove), 0);
}

static void
a_reload_that_misses_a_kind_in_use_changes_nothing(void **state)
{
    struct bench *b = *state;
    make_topics(b, "pin", NULL);
    put_pin(b, 0, "3");
    open_stage(b);
    (void)run(b, "a.pin.valid");
    char dir[] = "/tmp/millrace-kinds-XXXXXX";
    assert_non_null(mkdtemp(dir));
    MR_CLEANUP(mr_freep)
    char *command = mr_printf("cp -r %s/kinds/user %s/", getenv("MILLRACE_BUILD"), dir);
    MR_CLEANUP(mr_freep) char *remove = mr_printf("rm -r %s", dir);
    MR_CLEANUP(mr_contracts_closep) struct mr_contracts *next = NULL;
    MR_CLEANUP(mr_clean_closep) struct mr_clean *clean = NULL;
    struct mr_err refusal = { 0 };
    assert_int_equal(system(command), 0);
    OK(mr_contracts_open(dir, &next, &err));
    OK(mr_clean_open(next, 0, &clean, &err));
    assert_int_equal(cleaner_reload(&b->cleaner, clean, &refusal), MR_E(INVALID));
    assert_non_null(strstr(refusal.text, "kind pin"));
    put_pin(b, 3, "3");
    assert_int_equal(run(b, "a.pin.valid").good, 2);
    assert_int_equal(system(remove), 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_event_keeps_all_but_its_record),
        TEST(many_events_come_out_once_each_in_order),
        TEST(a_failing_row_is_a_dead_letter_and_the_others_are_clean),
        TEST(a_record_that_is_no_event_is_a_dead_letter_from_its_own_place),
        TEST(a_batch_that_was_aborted_comes_out_once),
        TEST(a_result_that_its_topic_does_not_take_is_a_dead_letter),
        TEST(events_of_a_newer_contract_wait_for_it_and_others_flow),
        TEST(a_row_that_is_no_record_is_a_dead_letter_and_the_others_are_clean),
        TEST(a_reload_that_misses_a_kind_in_use_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
