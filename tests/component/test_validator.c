/*
 * What the validator makes of records: LAW 3 and 5, verdicts, poison. One behaviour a test.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "stage_fixture.h"
#include "test.h"

static void
assert_counts(struct mill *mill, int64_t in, int64_t good, int64_t repeated, int64_t dead)
{
    struct mr_counts counts = mill_counts(mill);
    assert_int_equal(counts.in, in);
    assert_int_equal(counts.good, good);
    assert_int_equal(counts.repeated, repeated);
    assert_int_equal(counts.dead, dead);
    assert_int_equal(mill_records(mill, MILL_VALID), good);
    assert_int_equal(mill_records(mill, MILL_DEAD), dead);
}

static void
a_record_of_a_native_producer_is_as_good(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    mill_start(mill);
    mill_post(mill, 0, NULL, "{\"index\":7}");
    mill_post(mill, 0, NULL, "{\"index\":7}");
    mill_run(mill, 2);
    assert_counts(mill, 2, 2, 0, 0);
}

static void
the_same_id_with_the_same_value_is_repeated(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    mill_start(mill);
    mill_post(mill, 0, "id-1", "{\"index\":1}");
    mill_post(mill, 0, "id-2", "{\"index\":1}");
    mill_post(mill, 0, "id-1", "{\"index\":1}");
    mill_post(mill, 1, "id-1", "{\"index\":1}"); /* another partition: another window */
    mill_run(mill, 4);
    assert_counts(mill, 4, 3, 1, 0);
}

static void
the_same_id_with_another_value_is_dead_and_not_repeated(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    mill_start(mill);
    mill_post(mill, 0, "id-1", "{\"index\":1}");
    mill_post(mill, 0, "id-1", "{\"index\":2}");
    mill_run(mill, 2);
    assert_counts(mill, 2, 1, 0, 1);
    char *codes = mill_dead(mill);
    assert_string_equal(codes, "ID_REUSED");
    free(codes);
}

static void
a_header_that_lies_about_the_value_hides_no_value(void **state)
{
    struct mill *mill = *state;
    uint8_t id[16] = "id-1";
    Millrace__V1__Provenance provenance = MILLRACE__V1__PROVENANCE__INIT;
    provenance.version = 1;
    provenance.event_id = (ProtobufCBinaryData){ sizeof(id), id };
    provenance.idempotency_hash = (ProtobufCBinaryData){ sizeof(id), id };
    provenance.value_hash = 7;
    mill_topics(mill, 0);
    mill_start(mill);
    mill_post_with(mill, &provenance, "{\"index\":1}");
    mill_post_with(mill, &provenance, "{\"index\":2}");
    mill_run(mill, 2);
    assert_counts(mill, 2, 1, 0, 1);
}

static void
a_replay_is_no_repeat_of_what_it_replays(void **state)
{
    struct mill *mill = *state;
    uint8_t id[16] = "id-1";
    Millrace__V1__Provenance provenance = MILLRACE__V1__PROVENANCE__INIT;
    Millrace__V1__Origin origin = MILLRACE__V1__ORIGIN__INIT;
    provenance.version = 1;
    provenance.event_id = (ProtobufCBinaryData){ sizeof(id), id };
    provenance.idempotency_hash = (ProtobufCBinaryData){ sizeof(id), id };
    mill_topics(mill, 0);
    mill_start(mill);
    mill_post_with(mill, &provenance, "{\"index\":1}");
    provenance.replay_of = &origin;
    origin.topic = (char *)"t.pin.dead";
    mill_post_with(mill, &provenance, "{\"index\":1}");
    origin.offset = 5;
    mill_post_with(mill, &provenance, "{\"index\":1}");
    mill_post_with(mill, &provenance, "{\"index\":1}"); /* the same replay once more */
    mill_run(mill, 4);
    assert_counts(mill, 4, 3, 1, 0);
}

static void
a_second_replay_is_a_repeat_whoever_made_the_id(void **state)
{
    struct mill *mill = *state;
    uint8_t id[16] = "of a native one";
    Millrace__V1__Provenance provenance = MILLRACE__V1__PROVENANCE__INIT;
    Millrace__V1__Origin origin = MILLRACE__V1__ORIGIN__INIT;
    provenance.version = 1;
    provenance.event_id = (ProtobufCBinaryData){ sizeof(id), id };
    provenance.replay_of = &origin;
    mill_topics(mill, 0);
    mill_start(mill);
    mill_post_with(mill, &provenance, "{\"index\":1}");
    mill_post_with(mill, &provenance, "{\"index\":1}");
    mill_run(mill, 2);
    assert_counts(mill, 2, 1, 1, 0);
}

static void
a_replay_that_dies_counts_its_deaths(void **state)
{
    struct mill *mill = *state;
    uint8_t id[16] = "id-1";
    Millrace__V1__Provenance provenance = MILLRACE__V1__PROVENANCE__INIT;
    Millrace__V1__Origin origin = MILLRACE__V1__ORIGIN__INIT;
    provenance.version = 1;
    provenance.event_id = (ProtobufCBinaryData){ sizeof(id), id };
    mill_topics(mill, 0);
    mill_start(mill);
    mill_post_with(mill, &provenance, "not JSON");
    mill_run(mill, 1);
    Millrace__V1__DeadLetter *first = mill_letter(mill);
    assert_int_equal(first->attempts, 1);
    assert_int_equal(first->first_dead_us, first->dead_us);
    provenance.replay_of = &origin;
    provenance.deaths = first->attempts;
    provenance.first_dead_us = first->first_dead_us;
    mill_post_with(mill, &provenance, "not JSON");
    mill_run(mill, 2);
    Millrace__V1__DeadLetter *second = mill_letter(mill);
    assert_int_equal(second->attempts, 2);
    assert_int_equal(second->first_dead_us, first->dead_us);
    assert_true(second->dead_us >= first->dead_us);
    millrace__v1__dead_letter__free_unpacked(first, NULL);
    millrace__v1__dead_letter__free_unpacked(second, NULL);
}

/* Partition 0 still looks back when a commit of partition 1 is aborted. */
static void
an_abort_elsewhere_does_not_cut_the_look_back_short(void **state)
{
    struct mill *mill = *state;
    struct mr_err fault = { .code = MR_E(ABORTED), .remedy = MR_RETRY, .text = "on purpose" };
    mill_topics(mill, 0);
    mill_start(mill);
    for (int i = 0; i < 100; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "id-%d", i);
        mill_post(mill, 0, id, "{\"index\":1}");
    }
    mill_run(mill, 100);
    mill_crash(mill);
    for (int i = 0; i < 20; i++)
        mill_post(mill, 1, NULL, "{\"index\":1}");
    mr_bus_memory_fault(mill->bus, "commit", 0, 3, &fault);
    mill_start(mill);
    mill_run(mill, 120);
    for (int i = 0; i < 100; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "id-%d", i);
        mill_post(mill, 0, id, "{\"index\":1}");
    }
    mill_run(mill, 220);
    assert_counts(mill, 220, 120, 100, 0);
}

static void
the_window_is_rebuilt_from_the_log_after_a_restart(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    mill_start(mill);
    for (int i = 0; i < 50; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "id-%d", i);
        mill_post(mill, 0, id, "{\"index\":1}");
    }
    mill_run(mill, 50);
    mill_crash(mill);
    mill_start(mill);
    for (int i = 0; i < 50; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "id-%d", i);
        mill_post(mill, 0, id, "{\"index\":1}");
    }
    mill_run(mill, 100);
    assert_counts(mill, 100, 50, 50, 0);
}

/* What an operator sees of one window: metric and status say the same. */
static void
assert_reach(struct mill *mill, int64_t offsets, int64_t entries)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf metrics, status;
    mr_buf_init(&metrics, 1 << 20);
    mr_buf_init(&status, 1 << 20);
    mr_metrics_write(mill->metrics, &metrics);
    validator_status(&mill->validator, &status);
    MR_CLEANUP(mr_freep)
    char *metric = mr_printf("millrace_window_offsets{topic=\"t.pin\",partition=\"0\"} %lld\n",
                             (long long)offsets);
    MR_CLEANUP(mr_freep)
    char *part =
        mr_printf("{\"topic\":\"t.pin\",\"partition\":0,\"offsets\":%lld,\"entries\":%lld,",
                  (long long)offsets, (long long)entries);
    if (strstr(metrics.data, metric) == NULL)
        fail_msg("no %s in %s", metric, metrics.data);
    if (strstr(status.data, part) == NULL)
        fail_msg("no %s in %s", part, status.data);
    assert_non_null(strstr(status.data, "\"offsets_max\":1000,"));
}

static void
the_reach_of_a_window_is_shown(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    mill_start(mill);
    for (int i = 0; i < MILL_WINDOW + 200; i++) {
        if (i == MILL_WINDOW / 2) {
            mill_run(mill, i);
            assert_reach(mill, MILL_WINDOW / 2, 1); /* the log is younger than the window */
        }
        mill_post(mill, 0, i == 0 || i == MILL_WINDOW ? "id-a" : NULL, "{\"index\":1}");
    }
    mill_run(mill, MILL_WINDOW + 200);
    assert_reach(mill, MILL_WINDOW, 1);
    mill_crash(mill);
    mill_start(mill);
    mill_post(mill, 0, NULL, "{\"index\":1}");
    mill_run(mill, MILL_WINDOW + 201);
    assert_reach(mill, MILL_WINDOW, 1); /* and read again as far */
}

static void
the_window_ends_exactly_at_its_reach(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    mill_start(mill);
    mill_post(mill, 0, "id-a", "{\"index\":1}"); /* offset 0 */
    mill_post(mill, 0, "id-b", "{\"index\":1}"); /* offset 1 */
    for (int i = 2; i < MILL_WINDOW + 1; i++)
        mill_post(mill, 0, NULL, "{\"index\":1}");
    mill_post(mill, 0, "id-b", "{\"index\":1}"); /* offset W + 1: 1 is just inside */
    mill_post(mill, 0, "id-a", "{\"index\":1}"); /* offset W + 2: 0 is outside */
    mill_run(mill, MILL_WINDOW + 3);
    assert_counts(mill, MILL_WINDOW + 3, MILL_WINDOW + 2, 1, 0);
}

/* Retention has taken a part of what the window reaches back to. */
static void
looking_back_begins_where_the_log_begins(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    mill_start(mill);
    mill_post(mill, 0, "id-0", "{\"index\":1}");
    mill_post(mill, 0, "id-1", "{\"index\":1}");
    mill_run(mill, 2);
    mill_crash(mill);
    mr_bus_memory_trim(mill->bus, MILL_RAW, 0, 1);
    mill_start(mill);
    mill_post(mill, 0, "id-1", "{\"index\":1}");
    mill_run(mill, 3);
    assert_counts(mill, 3, 2, 1, 0);
}

static void
the_window_holds_no_more_than_its_reach(void **state)
{
    enum { COUNT = 3 * MILL_WINDOW };
    static const char *const labels[] = { MILL_RAW, "0" };
    struct mill *mill = *state;
    struct mr_cell *entries = mr_metrics_cell(mill->metrics, "millrace_window_entries", labels);
    mill_topics(mill, 0);
    mill_start(mill);
    for (int i = 0; i < COUNT; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "id-%d", i);
        mill_post(mill, 0, id, "{\"index\":1}");
    }
    mill_run(mill, COUNT);
    assert_int_equal(entries->value, MILL_WINDOW);
}

static void
a_record_that_comes_again_after_an_abort_is_no_repeat_of_itself(void **state)
{
    struct mill *mill = *state;
    struct mr_err fault = { .code = MR_E(ABORTED), .remedy = MR_RETRY, .text = "on purpose" };
    mill_topics(mill, 0);
    mill_start(mill);
    mill_post(mill, 0, "id-0", "{\"index\":1}");
    mill_run(mill, 1); /* the partition's start is committed */
    mill_post(mill, 0, "id-1", "{\"index\":1}");
    mr_bus_memory_fault(mill->bus, "commit", 0, 3, &fault);
    mill_run(mill, 2);
    assert_counts(mill, 2, 2, 0, 0);
    mill_post(mill, 0, "id-1", "{\"index\":1}");
    mill_run(mill, 3);
    assert_counts(mill, 3, 2, 1, 0);
}

static void
poison_becomes_dead_letters_and_the_flow_goes_on(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    mill_start(mill);
    mill_post_raw(mill, mr_slice(NULL, 0), mr_slice(NULL, 0));
    mill_post_raw(mill, mr_slice("", 0), mr_slice(NULL, 0));
    mill_post_raw(mill, MR_SLICE("not json"), mr_slice(NULL, 0));
    mill_post_raw(mill, MR_SLICE("{\"title\":\"\xff\"}"), mr_slice(NULL, 0));
    mill_post_raw(mill, MR_SLICE("[]"), mr_slice(NULL, 0));
    mill_post_raw(mill, MR_SLICE("{\"title\":\"no key\"}"), mr_slice(NULL, 0));
    mill_post_raw(mill, MR_SLICE("{\"index\":1}"), MR_SLICE("\x08\x63")); /* version 99 */
    mill_post_raw(mill, MR_SLICE("{\"index\":1}"), MR_SLICE("\xff"));
    mill_post_raw(mill, MR_SLICE("{\"index\":1}"), mr_slice(NULL, 0));
    mill_run(mill, 9);
    assert_counts(mill, 9, 1, 0, 8);
    char *codes = mill_dead(mill);
    assert_string_equal(codes, "TOMBSTONE EMPTY NOT_JSON NOT_UTF8 NOT_ONE_OBJECT MISSING_FIELD "
                               "BAD_HEADER BAD_HEADER");
    free(codes);
}

/* Any Kafka client can write this header. What it says goes into the table of dead letters, which
 * one text that is no UTF-8, or one time without a calendar, makes unreadable as a whole. */
static void
a_header_that_a_table_cannot_hold_is_dead(void **state)
{
    struct mill *mill = *state;
    uint8_t id[16] = "id-1";
    Millrace__V1__Origin origin = MILLRACE__V1__ORIGIN__INIT;
    Millrace__V1__Provenance fine = MILLRACE__V1__PROVENANCE__INIT, bad[9];
    fine.version = 1;
    fine.event_id = (ProtobufCBinaryData){ sizeof(id), id };
    for (size_t i = 0; i < MR_COUNT(bad); i++)
        bad[i] = fine;
    bad[0].traceparent = (char *)"\xff\xfe";
    bad[1].principal = (char *)"\xff\xfe";
    bad[2].received_us = INT64_MAX;
    bad[3].received_us = INT64_MIN;
    bad[4].version = 2;
    bad[5].event_id.len = 3;
    bad[6].first_dead_us = INT64_MAX;
    bad[7].deaths = UINT32_MAX;
    bad[8].replay_of = &origin;
    origin.topic = (char *)"\xff\xfe";
    mill_topics(mill, 0);
    mill_start(mill);
    for (size_t i = 0; i < MR_COUNT(bad); i++)
        mill_post_with(mill, &bad[i], "{\"index\":1}");
    mill_post_with(mill, &fine, "{\"index\":1}");
    mill_run(mill, 10);
    assert_counts(mill, 10, 1, 0, 9);
    char *codes = mill_dead(mill);
    assert_string_equal(codes, "BAD_HEADER BAD_HEADER BAD_HEADER BAD_HEADER BAD_HEADER BAD_HEADER "
                               "BAD_HEADER BAD_HEADER BAD_HEADER");
    Millrace__V1__DeadLetter *letter = mill_letter(mill);
    assert_string_equal(letter->field, "millrace");
    assert_string_equal(letter->rule, "header");
    assert_non_null(strstr(letter->value, "\\xff\\xfe"));
    assert_non_null(strstr(letter->reason, "not valid UTF-8"));
    assert_string_equal(letter->provenance->traceparent, "");
    millrace__v1__dead_letter__free_unpacked(letter, NULL);
    free(codes);
}

/* What an abort takes back is not counted: the metric is as true as the law. */
static void
dead_letters_are_counted_by_code_once(void **state)
{
    struct mill *mill = *state;
    struct mr_err fault = { .code = MR_E(ABORTED), .remedy = MR_RETRY, .text = "on purpose" };
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mill_topics(mill, 0);
    mill_start(mill);
    mr_bus_memory_fault(mill->bus, "commit", 0, 3, &fault);
    mill_post_raw(mill, MR_SLICE("not json"), mr_slice(NULL, 0));
    mill_post_raw(mill, MR_SLICE("not json"), mr_slice(NULL, 0));
    mill_post_raw(mill, MR_SLICE(""), mr_slice(NULL, 0));
    mill_run(mill, 3);
    assert_counts(mill, 3, 0, 0, 3);
    mr_buf_init(&text, 1 << 20);
    mr_metrics_write(mill->metrics, &text);
    assert_non_null(strstr(text.data, "kind=\"pin\",code=\"NOT_JSON\"} 2\n"));
    assert_non_null(strstr(text.data, "kind=\"pin\",code=\"EMPTY\"} 1\n"));
}

static void
an_output_too_large_is_buried_and_its_neighbours_live(void **state)
{
    struct mill *mill = *state;
    char *large = mr_alloc(300000);
    (void)snprintf(large, 64, "{\"index\":1,\"unknown\":\"");
    size_t length = strlen(large);
    memset(large + length, 'x', 200000);
    (void)snprintf(large + length + 200000, 8, "\"");
    mill_topics(mill, 100000);
    mill_start(mill);
    for (int i = 0; i < 10; i++)
        mill_post(mill, 0, NULL, "{\"index\":1}");
    mill_post(mill, 0, "id-1", large); /* not JSON: its dead letter carries all of it */
    for (int i = 0; i < 10; i++)
        mill_post(mill, 0, NULL, "{\"index\":1}");
    mill_post(mill, 0, "id-1", large); /* the window knows it all the same */
    mill_run(mill, 22);
    assert_counts(mill, 22, 20, 1, 1);
    char *codes = mill_dead(mill);
    assert_string_equal(codes, "TOO_LARGE");
    free(codes);
    free(large);
}

/* The transaction that fails for its size is a later poll's: the record is not in hand any more. */
static void
a_large_record_that_waited_for_its_batch_is_buried_whole(void **state)
{
    enum { LENGTH = 200000 };
    struct mill *mill = *state;
    char *large = mr_alloc(LENGTH + 1);
    uint8_t sha256[32];
    memset(large, 'x', LENGTH);
    mill->batch_wait_ms = 20;
    mill_topics(mill, 100000);
    mill_start(mill);
    mill_post(mill, 0, "id-1", large);
    mill_run(mill, 1);
    assert_counts(mill, 1, 0, 0, 1);
    Millrace__V1__DeadLetter *letter = mill_letter(mill);
    (void)EVP_Digest(large, LENGTH, sha256, NULL, EVP_sha256(), NULL);
    assert_int_equal(letter->code, MILLRACE__V1__DEAD_CODE__TOO_LARGE);
    assert_int_equal(letter->original_bytes, LENGTH);
    assert_int_equal(letter->original.len, 65536);
    assert_memory_equal(letter->original.data, large, 65536);
    assert_memory_equal(letter->original_sha256.data, sha256, sizeof(sha256));
    assert_memory_equal(letter->provenance->event_id.data, "id-1", 5);
    millrace__v1__dead_letter__free_unpacked(letter, NULL);
    free(large);
}

static void
check_original(struct mill *mill, int64_t count, size_t length, size_t kept)
{
    uint8_t sha256[32];
    MR_CLEANUP(mr_freep) char *text = mr_alloc(length);
    memset(text, 'x', length);
    mill_post_raw(mill, mr_slice(text, length), mr_slice(NULL, 0));
    mill_run(mill, count);
    Millrace__V1__DeadLetter *letter = mill_letter(mill);
    (void)EVP_Digest(text, length, sha256, NULL, EVP_sha256(), NULL);
    assert_int_equal(letter->code, MILLRACE__V1__DEAD_CODE__NOT_JSON);
    assert_int_equal(letter->original_bytes, length);
    assert_int_equal(letter->original.len, kept);
    assert_memory_equal(letter->original.data, text, kept);
    assert_int_equal(letter->original_sha256.len, kept < length ? sizeof(sha256) : 0);
    if (kept < length)
        assert_memory_equal(letter->original_sha256.data, sha256, sizeof(sha256));
    millrace__v1__dead_letter__free_unpacked(letter, NULL);
}

static void
an_original_above_4_MiB_is_cut_though_its_letter_would_fit(void **state)
{
    enum { WHOLE = 4 << 20, CUT = 64 << 10, TOPIC_MAX = 16 << 20 };
    struct mill *mill = *state;
    mill_topics(mill, TOPIC_MAX);
    mill_start(mill);
    check_original(mill, 1, WHOLE, WHOLE);
    check_original(mill, 2, WHOLE + 1, CUT);
}

static void
equal_keys_meet_in_one_partition(void **state)
{
    struct mill *mill = *state;
    mill_topics(mill, 0);
    mill_start(mill);
    mill_post(mill, 0, NULL, "{\"index\":21}");
    mill_post(mill, 1, NULL, "{\"index\":\"21\"}");
    mill_run(mill, 2);
    struct mr_err err = { 0 };
    int32_t home = (int32_t)(mr_murmur2("21", 2) % MILL_PARTS);
    struct mr_offsets at = { .topic = MILL_VALID, .partition = home };
    assert_int_equal(mr_bus_offsets(mill->bus, NULL, &at, 1, 1000, &err), 0);
    assert_int_equal(mill_records(mill, MILL_VALID), 2);
    assert_true(at.end >= 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_record_of_a_native_producer_is_as_good, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(the_same_id_with_the_same_value_is_repeated, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(the_same_id_with_another_value_is_dead_and_not_repeated,
                                        mill_open, mill_close),
        cmocka_unit_test_setup_teardown(the_window_is_rebuilt_from_the_log_after_a_restart,
                                        mill_open, mill_close),
        cmocka_unit_test_setup_teardown(a_header_that_lies_about_the_value_hides_no_value,
                                        mill_open, mill_close),
        cmocka_unit_test_setup_teardown(a_replay_is_no_repeat_of_what_it_replays, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(a_second_replay_is_a_repeat_whoever_made_the_id, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(a_replay_that_dies_counts_its_deaths, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(an_abort_elsewhere_does_not_cut_the_look_back_short,
                                        mill_open, mill_close),
        cmocka_unit_test_setup_teardown(the_reach_of_a_window_is_shown, mill_open, mill_close),
        cmocka_unit_test_setup_teardown(the_window_ends_exactly_at_its_reach, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(looking_back_begins_where_the_log_begins, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(the_window_holds_no_more_than_its_reach, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(
            a_record_that_comes_again_after_an_abort_is_no_repeat_of_itself, mill_open, mill_close),
        cmocka_unit_test_setup_teardown(poison_becomes_dead_letters_and_the_flow_goes_on, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(an_output_too_large_is_buried_and_its_neighbours_live,
                                        mill_open, mill_close),
        cmocka_unit_test_setup_teardown(a_large_record_that_waited_for_its_batch_is_buried_whole,
                                        mill_open, mill_close),
        cmocka_unit_test_setup_teardown(an_original_above_4_MiB_is_cut_though_its_letter_would_fit,
                                        mill_open, mill_close),
        cmocka_unit_test_setup_teardown(dead_letters_are_counted_by_code_once, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(a_header_that_a_table_cannot_hold_is_dead, mill_open,
                                        mill_close),
        cmocka_unit_test_setup_teardown(equal_keys_meet_in_one_partition, mill_open, mill_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
