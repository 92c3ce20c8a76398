/*
 * The same events again: answered from the receipts while they are kept, refused when the value is
 * another, waited for while in flight; beyond the window and on another gateway the same event id
 * in the same partition, which the validator recognises (component.validator).
 */
#include "gate.h"

#include "clock/clock.h"
#include "gateway/receipts.h"

#include <stdio.h>

#define T    "a1b2c3.pin"
#define OWN  "/v1/events/a1b2c3/pin"
#define REST "/topics/" T
#define KEY  "Idempotency-Key: order-1\r\n"

static const struct gate_wish three = { .partitions = 3, .topic = T };

static void
post(struct gate *gate, const char *path, const char *headers, const char *body, struct answer *ret)
{
    gate_call(gate, "POST", path, headers, mr_slice_text(body), ret);
}

static void
assert_same(struct gate *gate, const char *path, const char *headers, const char *body)
{
    struct answer first, again;
    post(gate, path, headers, body, &first);
    post(gate, path, headers, body, &again);
    assert_int_equal(first.status, 200);
    assert_int_equal(again.status, 200);
    assert_string_equal(again.body, first.body);
    answer_fini(&first);
    answer_fini(&again);
}

static void
assert_count(struct gate *gate, size_t count)
{
    struct stored stored;
    stored_read(gate, T, &stored);
    assert_int_equal(stored.count, count);
    stored_fini(&stored);
}

static void
the_same_request_gets_the_same_receipts(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate, &three);
    assert_same(&gate, OWN, KEY, "[{\"n\":1},{\"n\":2}]");
    assert_count(&gate, 2);
    assert_same(&gate, REST, KEY "Content-Type: application/vnd.kafka.json.v2+json\r\n",
                "{\"records\":[{\"value\":{\"n\":1}},{\"value\":{\"n\":2}}]}");
    assert_count(&gate, 2);
    assert_same(&gate, OWN "?id=n", "", "{\"n\":1}\n{\"n\":2}\n{\"n\":1}");
    assert_count(&gate, 4);
    assert_same(&gate, "/streams/a1b2c3-pin/record", "Idempotency-Key: order-2\r\n",
                "{\"Data\":{\"n\":1},\"PartitionKey\":\"p\"}");
    assert_count(&gate, 5);
    gate_close(&gate);
}

static void
what_is_new_beside_what_is_known_is_stored(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    gate_open(&gate, &three);
    post(&gate, OWN "?id=n", "", "{\"n\":1}", &answer);
    answer_fini(&answer);
    post(&gate, OWN "?id=n", "", "[{\"n\":2},{\"n\":1},{\"n\":3}]", &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"failed\":0"));
    answer_fini(&answer);
    assert_count(&gate, 3);
    gate_close(&gate);
}

static void
another_value_under_a_known_id_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path, *headers, *body, *text;
    } forms[] = {
        { OWN, KEY, "[{\"n\":1},{\"n\":3}]", "event 1 has the id" },
        { REST, KEY, "{\"records\":[{\"value\":{\"n\":9}}]}", "\"error_code\":409" },
        { "/streams/a1b2c3-pin/record", KEY, "{\"Data\":{\"n\":9}}",
          "\"__type\":\"InvalidArgumentException\"" },
        { OWN "?id=n", "", "[{\"n\":7},{\"n\":7,\"m\":1}]", "event 1 has the id" },
    };
    struct gate gate;
    struct answer answer;
    gate_open(&gate, &three);
    post(&gate, OWN, KEY, "[{\"n\":1},{\"n\":2}]", &answer);
    answer_fini(&answer);
    for (size_t i = 0; i < MR_COUNT(forms); i++) {
        post(&gate, forms[i].path, forms[i].headers, forms[i].body, &answer);
        assert_int_equal(answer.status, 409);
        assert_non_null(strstr(answer.body, forms[i].text));
        answer_fini(&answer);
    }
    assert_count(&gate, 2);
    post(&gate, OWN "?id=n", "", "{\"n\":7}", &answer); /* what was refused is not known */
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    assert_count(&gate, 3);
    gate_close(&gate);
}

static void
what_is_in_flight_is_waited_for(void **state)
{
    (void)state;
    struct gate gate;
    struct answer first, again;
    gate_open(&gate, &three);
    mr_bus_memory_hold(gate.bus, true);
    int one = gate_send(&gate, "POST", OWN, KEY, MR_SLICE("{\"n\":1}"));
    assert_true(gate_is_silent(&gate, one));
    int two = gate_send(&gate, "POST", OWN, KEY, MR_SLICE("{\"n\":1}"));
    assert_true(gate_is_silent(&gate, two));
    mr_bus_memory_hold(gate.bus, false);
    gate_receive(&gate, one, &first);
    gate_receive(&gate, two, &again);
    assert_int_equal(again.status, 200);
    assert_string_equal(again.body, first.body);
    assert_count(&gate, 1);
    answer_fini(&first);
    answer_fini(&again);
    gate_close(&gate);
}

static void
what_was_not_stored_is_tried_again(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    gate_open(&gate, &three);
    mr_bus_memory_fault(gate.bus, "produce", 0, 1,
                        &(struct mr_err){ MR_E(TIMEOUT), MR_RETRY, "late" });
    post(&gate, OWN "?id=n", "", "[{\"n\":1},{\"n\":1}]", &answer);
    assert_int_equal(answer.status, 503); /* the second of the two has the fate of the first */
    answer_fini(&answer);
    assert_same(&gate, OWN "?id=n", "", "[{\"n\":1},{\"n\":1}]");
    assert_count(&gate, 1);
    gate_close(&gate);
}

/* Every second record is stored twice with the same id, in the same partition. */
static void
assert_recognisable(struct gate *gate, size_t count)
{
    struct stored stored;
    size_t pairs = 0;
    stored_read(gate, T, &stored);
    assert_int_equal(stored.count, count);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            pairs += stored.provenance[i]->idempotency_hash.len > 0 &&
                     memcmp(stored.provenance[i]->event_id.data,
                            stored.provenance[k]->event_id.data, 16) == 0 &&
                     stored.provenance[i]->value_hash == stored.provenance[k]->value_hash &&
                     stored.partitions[i] == stored.partitions[k];
    assert_int_equal(pairs, count / 2);
    stored_fini(&stored);
}

static void
beyond_the_window_it_is_the_same_event(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    struct gate_wish wish = three;
    wish.receipts_bytes_max = 2 * RECEIPT_BYTES;
    gate_open(&gate, &wish);
    for (int i = 0; i < 2; i++) {
        post(&gate, OWN "?id=n", "", "[{\"n\":1},{\"n\":2},{\"n\":3},{\"n\":4}]", &answer);
        assert_int_equal(answer.status, 200);
        answer_fini(&answer);
    }
    assert_recognisable(&gate, 8);
    assert_same(&gate, OWN "?id=n", "", "[{\"n\":3},{\"n\":4}]"); /* the last two are kept */
    assert_recognisable(&gate, 8);
    gate_close(&gate);
}

static void
on_another_gateway_it_is_the_same_event(void **state)
{
    (void)state;
    struct gate gate, other;
    struct answer answer;
    struct gate_wish wish = three;
    gate_open(&gate, &three);
    wish.bus = gate.bus;
    wish.is_guest = true;
    gate_open(&other, &wish);
    post(&gate, OWN, KEY, "[{\"n\":1},{\"n\":2}]", &answer);
    answer_fini(&answer);
    post(&other, OWN, KEY, "[{\"n\":1},{\"n\":2}]", &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    assert_recognisable(&gate, 4);
    gate_close(&other);
    gate_close(&gate);
}

static bool
is_stored_again(void *self)
{
    struct gate *gate = self;
    struct answer answer;
    post(gate, OWN, KEY, "{\"n\":1}", &answer);
    answer_fini(&answer);
    struct stored stored;
    stored_read(gate, T, &stored);
    bool done = stored.count > 0;
    stored_fini(&stored);
    return done;
}

static bool
is_seen(void *self)
{
    struct gate *gate = self;
    struct answer answer;
    gate_call(gate, "GET", "/topics", "", mr_slice(NULL, 0), &answer);
    bool seen = strstr(answer.body, T) != NULL;
    answer_fini(&answer);
    return seen;
}

/* A receipt of a topic that is gone would be an event that is acknowledged and nowhere. */
static void
a_topic_made_anew_knows_nothing_of_the_old(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate, &three);
    gate_await(&gate, is_seen, &gate);
    assert_same(&gate, OWN, KEY, "{\"n\":1}");
    mr_bus_memory_recreate(gate.bus, T);
    gate_await(&gate, is_stored_again, &gate);
    gate_close(&gate);
}

static void
records_of_one_key_stay_together(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    struct stored stored;
    gate_open(&gate, &three);
    post(&gate, OWN, KEY, "[{},{},{},{},{},{},{},{}]", &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, 8);
    for (size_t i = 1; i < stored.count; i++)
        assert_int_equal(stored.partitions[i], stored.partitions[0]);
    stored_fini(&stored);
    gate_close(&gate);
}

static void
the_partition_that_a_client_names_is_taken(void **state)
{
    (void)state;
    struct gate gate;
    struct stored stored;
    gate_open(&gate, &three);
    for (int i = 0; i < 8; i++) {
        char key[128];
        struct answer answer;
        (void)snprintf(key, sizeof(key),
                       "Content-Type: application/vnd.kafka.json.v2+json\r\n"
                       "Idempotency-Key: order-%d\r\n",
                       i);
        post(&gate, REST, key, "{\"records\":[{\"partition\":2,\"value\":{}}]}", &answer);
        assert_int_equal(answer.status, 200);
        answer_fini(&answer);
    }
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, 8);
    for (size_t i = 0; i < stored.count; i++)
        assert_int_equal(stored.partitions[i], 2);
    stored_fini(&stored);
    gate_close(&gate);
}

static void
record_spread(struct gate *gate, const char *note)
{
    struct mr_err err = { 0 };
    struct mr_reader *reader = NULL;
    const struct mr_reader_options options = { .group = "millrace-spread",
                                               .queue_bytes_max = 1 << 16 };
    const struct mr_part part = { .topic = T };
    const struct mr_position position = { .note = note };
    assert_int_equal(mr_reader_open(gate->bus, &options, &reader, &err), 0);
    assert_int_equal(mr_reader_assign(reader, &part, 1, &err), 0);
    assert_int_equal(mr_reader_commit(reader, &position, 1, 1000, &err), 0);
    mr_reader_close(reader);
}

/* The topic had one partition when the first event with an id came, and has three by now. */
static void
partitions_that_came_later_do_not_move_an_event(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    struct stored stored;
    gate_open(&gate, &three);
    record_spread(&gate, "partitions=1");
    post(&gate, OWN "?id=n", "", "[{\"n\":1},{\"n\":2},{\"n\":3},{\"n\":4},{\"n\":5},{\"n\":6}]",
         &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, 6);
    for (size_t i = 0; i < stored.count; i++)
        assert_int_equal(stored.partitions[i], 0);
    stored_fini(&stored);
    gate_close(&gate);
}

static void
the_count_of_partitions_is_recorded_with_the_first_event(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    struct mr_err err = { 0 };
    struct mr_offsets at = { .topic = T };
    gate_open(&gate, &three);
    post(&gate, OWN, "", "{\"n\":1}", &answer);
    answer_fini(&answer);
    assert_int_equal(mr_bus_offsets(gate.bus, "millrace-spread", &at, 1, 1000, &err), 0);
    assert_int_equal(at.committed, MR_NO_OFFSET); /* without an id it does not matter */
    post(&gate, OWN, KEY, "{\"n\":1}", &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    assert_int_equal(mr_bus_offsets(gate.bus, "millrace-spread", &at, 1, 1000, &err), 0);
    assert_string_equal(at.note, "partitions=3");
    gate_close(&gate);
}

static bool
is_recorded(void *self)
{
    struct gate *gate = self;
    struct mr_err err = { 0 };
    struct mr_offsets at = { .topic = T };
    assert_int_equal(mr_bus_offsets(gate->bus, "millrace-spread", &at, 1, 1000, &err), 0);
    return strcmp(at.note, "partitions=1") == 0;
}

/* Brokers forget the record a week after it was made, however busy the topic is. */
static void
the_count_of_partitions_is_recorded_again_before_it_is_forgotten(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    gate_open(&gate, &three);
    record_spread(&gate, "partitions=1");
    post(&gate, OWN, KEY, "{\"n\":1}", &answer);
    answer_fini(&answer);
    mr_bus_memory_forget(gate.bus, "millrace-spread", T);
    mr_clock_hold(mr_now_ms() + 3600000, mr_wall_us());
    int fd = gate_send(&gate, "POST", OWN, "Idempotency-Key: other\r\n", MR_SLICE("{\"n\":1}"));
    gate_await(&gate, is_recorded, &gate);
    mr_clock_release();
    gate_receive(&gate, fd, &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    gate_close(&gate);
}

static void
the_least_used_receipt_goes_first(void **state)
{
    (void)state;
    uint8_t ids[3][STAMP_ID_BYTES] = { { 1 }, { 2 }, { 3 } };
    struct receipts *receipts = receipts_open(2 * RECEIPT_BYTES);
    struct receipt receipt = { .value_hash = 5 };
    receipts_begin(receipts, ids[0], &receipt);
    receipts_begin(receipts, ids[1], &receipt);
    assert_non_null(receipts_find(receipts, ids[0], 0));
    receipts_begin(receipts, ids[2], &receipt);
    assert_int_equal(receipts_count(receipts), 2);
    assert_null(receipts_find(receipts, ids[1], 0));
    assert_non_null(receipts_find(receipts, ids[0], 0));
    /* Dropped and begun anew with another value: the old outcome is not the new one's. */
    receipts_settle(receipts, ids[0], &(struct receipt){ .value_hash = 6, .offset = 1 });
    assert_int_equal(receipts_find(receipts, ids[0], 0)->offset, -1);
    receipts_settle(receipts, ids[0], &(struct receipt){ .value_hash = 5, .offset = 1 });
    assert_int_equal(receipts_find(receipts, ids[0], 0)->offset, 1);
    receipts_forget(receipts, ids[0]);
    assert_null(receipts_find(receipts, ids[0], 0));
    receipts_begin(receipts, ids[1], &receipt);
    assert_non_null(receipts_find(receipts, ids[2], 0));
    assert_null(receipts_find(receipts, ids[2], 1)); /* of another topic under the name */
    assert_int_equal(receipts_count(receipts), 1);
    receipts_close(receipts);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_request_gets_the_same_receipts),
        cmocka_unit_test(what_is_new_beside_what_is_known_is_stored),
        cmocka_unit_test(another_value_under_a_known_id_is_refused),
        cmocka_unit_test(what_is_in_flight_is_waited_for),
        cmocka_unit_test(what_was_not_stored_is_tried_again),
        cmocka_unit_test(beyond_the_window_it_is_the_same_event),
        cmocka_unit_test(on_another_gateway_it_is_the_same_event),
        cmocka_unit_test(a_topic_made_anew_knows_nothing_of_the_old),
        cmocka_unit_test(records_of_one_key_stay_together),
        cmocka_unit_test(the_partition_that_a_client_names_is_taken),
        cmocka_unit_test(partitions_that_came_later_do_not_move_an_event),
        cmocka_unit_test(the_count_of_partitions_is_recorded_with_the_first_event),
        cmocka_unit_test(the_count_of_partitions_is_recorded_again_before_it_is_forgotten),
        cmocka_unit_test(the_least_used_receipt_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
