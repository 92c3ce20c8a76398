/*
 * Posts with ?wait=visible: answered when validator, cleaner and query service have all gone past
 * the events, in this order, and at the deadline otherwise. The stages are played by the test.
 */
#include "gate.h"

#include "rpc/rpc.h"

#include <millrace/v1/rpc.pb-c.h>
#include <stdio.h>

#define T    "a1b2c3.pin"
#define OWN  "/v1/events/a1b2c3/pin"
#define WAIT OWN "?wait=visible"

struct mill {
    struct gate gate;
    struct mr_rpc_server *query;
    bool is_cleaned, must_be_cleaned;
    int64_t clean_next, dead_next; /* what the query service says */
    size_t asked;
};

static void
open_mill(struct mill *mill)
{
    struct mr_err err = { 0 };
    *mill = (struct mill){ 0 };
    assert_int_equal(mr_rpc_serve("tcp://127.0.0.1:0", &mill->query, &err), 0);
    gate_open(&mill->gate, &(struct gate_wish){ .topic = T, .query = mr_rpc_url(mill->query) });
}

static void
close_mill(struct mill *mill)
{
    gate_close(&mill->gate);
    mr_rpc_close_server(mill->query);
}

/* ---- the stages ---- */

static void
produce(struct mill *mill, const char *topic)
{
    struct mr_err err = { 0 };
    struct mr_writer *writer = NULL;
    const struct mr_writer_options options = { .queue_bytes_max = 1 << 20 };
    const struct mr_message message = { .topic = topic, .value = MR_SLICE("v") };
    assert_int_equal(mr_writer_open(mill->gate.bus, &options, &writer, &err), 0);
    assert_int_equal(mr_writer_produce(writer, &message, &err), 0);
    assert_int_equal(mr_writer_flush(writer, 1000, &err), 0);
    mr_writer_close(writer);
}

static void
commit(struct mill *mill, const char *group, const char *topic, int64_t next)
{
    struct mr_err err = { 0 };
    struct mr_reader *reader = NULL;
    const struct mr_reader_options options = { .group = group, .queue_bytes_max = 1 << 20 };
    const struct mr_position position = { .next = next };
    struct mr_part part = { 0 };
    (void)snprintf(part.topic, sizeof(part.topic), "%s", topic);
    assert_int_equal(mr_reader_open(mill->gate.bus, &options, &reader, &err), 0);
    assert_int_equal(mr_reader_assign(reader, &part, 1, &err), 0);
    if (mr_reader_commit(reader, &position, 1, 1000, &err) != 0)
        fail_msg("%s", err.text);
    mr_reader_close(reader);
}

static void
validate(struct mill *mill)
{
    produce(mill, T ".valid");
    commit(mill, "mill.validator", T, 1);
}

static void
clean(struct mill *mill)
{
    produce(mill, T ".clean");
    produce(mill, T ".dead");
    mill->is_cleaned = true;
    commit(mill, "mill.cleaner", T ".valid", 1);
}

static void
serve_query(struct mill *mill)
{
    struct mr_rpc_call *call = mr_rpc_take(mill->query, 0);
    if (call == NULL)
        return;
    Millrace__V1__Covered covered[2] = { MILLRACE__V1__COVERED__INIT, MILLRACE__V1__COVERED__INIT };
    Millrace__V1__Covered *list[2] = { &covered[0], &covered[1] };
    Millrace__V1__Freshness freshness = MILLRACE__V1__FRESHNESS__INIT;
    uint8_t packed[256];
    assert_string_equal(call->method, "Positions");
    assert_true(mill->is_cleaned); /* not before the others are through */
    covered[0].topic = (char *)T ".clean";
    covered[0].next = mill->clean_next;
    covered[1].topic = (char *)T ".dead";
    covered[1].next = mill->dead_next;
    freshness.n_covered = 2;
    freshness.covered = list;
    size_t size = millrace__v1__freshness__pack(&freshness, packed);
    mill->asked++;
    mr_rpc_reply(call, &(struct mr_rpc_answer){
                           .status = MR_RPC_OK, .body = mr_slice(packed, size), .is_last = true });
}

static bool
has_asked_twice(void *self)
{
    struct mill *mill = self;
    serve_query(mill);
    return mill->asked >= 2;
}

static bool
has_asked_again(void *self)
{
    struct mill *mill = self;
    size_t before = mill->asked;
    serve_query(mill);
    return mill->asked > before;
}

struct expected {
    struct mill *mill;
    int fd;
};

static bool
has_answer(void *self)
{
    struct expected *expected = self;
    serve_query(expected->mill);
    return !gate_is_silent(&expected->mill->gate, expected->fd);
}

static void
receive(struct mill *mill, int fd, struct answer *ret)
{
    gate_await(&mill->gate, has_answer, &(struct expected){ mill, fd });
    gate_receive(&mill->gate, fd, ret);
}

static void
answer_is_given_behind_all_three(void **state)
{
    (void)state;
    struct mill mill;
    struct answer answer;
    open_mill(&mill);
    int one = gate_send(&mill.gate, "POST", WAIT, "", MR_SLICE("{\"n\":1}"));
    int two = gate_send(&mill.gate, "POST", WAIT "&timeout_ms=60000", "", MR_SLICE("[{},{}]"));
    assert_true(gate_is_silent(&mill.gate, one));
    produce(&mill, T ".valid");
    commit(&mill, "mill.validator", T, 3);
    assert_true(gate_is_silent(&mill.gate, one));
    clean(&mill);
    gate_await(&mill.gate, has_asked_twice, &mill);
    assert_true(gate_is_silent(&mill.gate, one));
    mill.clean_next = 1;
    gate_await(&mill.gate, has_asked_again, &mill);
    gate_await(&mill.gate, has_asked_again, &mill);
    assert_true(gate_is_silent(&mill.gate, one)); /* the dead letters are not covered yet */
    mill.dead_next = 1;
    receive(&mill, one, &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"outcome\":\"visible, dead or repeated\""));
    assert_non_null(strstr(answer.body, "\"offset\":0}"));
    answer_fini(&answer);
    receive(&mill, two, &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"offset\":2}"));
    answer_fini(&answer);
    close_mill(&mill);
}

/* The query service says that it is through, as soon as anybody asks. */
static void
stages_that_have_not_come_so_far_are_waited_for(void **state)
{
    (void)state;
    struct mill mill;
    struct answer answer;
    open_mill(&mill);
    mill.is_cleaned = true;
    mill.clean_next = mill.dead_next = 100;
    int fd = gate_send(&mill.gate, "POST", WAIT "&timeout_ms=500", "", MR_SLICE("{}"));
    receive(&mill, fd, &answer);
    assert_int_equal(answer.status, 504); /* not validated */
    answer_fini(&answer);
    validate(&mill);
    commit(&mill, "mill.validator", T, 2);
    fd = gate_send(&mill.gate, "POST", WAIT "&timeout_ms=500", "", MR_SLICE("{}"));
    receive(&mill, fd, &answer);
    assert_int_equal(answer.status, 504); /* not cleaned */
    answer_fini(&answer);
    clean(&mill);
    mill.clean_next = 0;
    commit(&mill, "mill.validator", T, 3);
    fd = gate_send(&mill.gate, "POST", WAIT "&timeout_ms=500", "", MR_SLICE("{}"));
    receive(&mill, fd, &answer);
    assert_int_equal(answer.status, 504); /* the rows are not covered */
    answer_fini(&answer);
    close_mill(&mill);
}

static void
at_the_deadline_the_receipts_are_told_and_no_guess(void **state)
{
    (void)state;
    struct mill mill;
    struct answer answer;
    struct stored stored;
    open_mill(&mill);
    gate_call(&mill.gate, "POST", WAIT "&timeout_ms=50", "", MR_SLICE("{\"n\":1}"), &answer);
    assert_int_equal(answer.status, 504);
    assert_non_null(strstr(answer.body, "DEADLINE_EXCEEDED"));
    assert_non_null(strstr(answer.body, "\"receipts\":[{\"topic\":\"" T "\",\"partition\":0,"
                                        "\"offset\":0}]"));
    answer_fini(&answer);
    validate(&mill); /* not yet cleaned */
    gate_call(&mill.gate, "POST", WAIT "&timeout_ms=50", "", MR_SLICE("{\"n\":1}"), &answer);
    assert_int_equal(answer.status, 504);
    answer_fini(&answer);
    stored_read(&mill.gate, T, &stored);
    assert_int_equal(stored.count, 2);
    stored_fini(&stored);
    close_mill(&mill);
}

/* The markers of a transaction reach its partitions one after the other: the validator's offset can
 * be there before its records are. */
static void
records_whose_marker_is_not_there_yet_are_waited_for(void **state)
{
    (void)state;
    struct mill mill;
    struct answer answer;
    struct mr_err err = { 0 };
    struct mr_writer *writer = NULL;
    const struct mr_writer_options options = { .transactional_id = "mill.validator.one",
                                               .queue_bytes_max = 1 << 20 };
    const struct mr_message message = { .topic = T ".valid", .value = MR_SLICE("v") };
    open_mill(&mill);
    assert_int_equal(mr_writer_open(mill.gate.bus, &options, &writer, &err), 0);
    assert_int_equal(mr_writer_begin(writer, &err), 0);
    assert_int_equal(mr_writer_produce(writer, &message, &err), 0);
    commit(&mill, "mill.validator", T, 2);
    mill.is_cleaned = true; /* whoever asks the query service too early is told so by it */
    int fd = gate_send(&mill.gate, "POST", WAIT "&timeout_ms=500", "", MR_SLICE("{\"n\":1}"));
    receive(&mill, fd, &answer);
    assert_int_equal(answer.status, 504); /* the cleaner has not seen it */
    answer_fini(&answer);
    fd = gate_send(&mill.gate, "POST", WAIT, "", MR_SLICE("{\"n\":1}"));
    assert_int_equal(mr_writer_commit(writer, NULL, NULL, 0, 1000, &err), 0);
    mr_writer_close(writer);
    clean(&mill);
    commit(&mill, "mill.cleaner", T ".valid", 2); /* behind the marker */
    mill.clean_next = mill.dead_next = 1;
    receive(&mill, fd, &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    close_mill(&mill);
}

static void
what_cannot_be_waited_for_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int status;
        const char *text;
    } forms[] = {
        { WAIT, 501, "--query" },
        { OWN "?wait=seen", 400, "wait=visible" },
        { WAIT "&timeout_ms=0", 400, "from 1 to 60000" },
        { WAIT "&timeout_ms=60001", 400, "from 1 to 60000" },
        { WAIT "&timeout_ms=1s", 400, "from 1 to 60000" },
    };
    struct gate gate;
    struct answer answer;
    struct stored stored;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    for (size_t i = 0; i < MR_COUNT(forms); i++) {
        gate_call(&gate, "POST", forms[i].path, "", MR_SLICE("{}"), &answer);
        assert_int_equal(answer.status, forms[i].status);
        assert_non_null(strstr(answer.body, forms[i].text));
        answer_fini(&answer);
    }
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, 0);
    stored_fini(&stored);
    gate_close(&gate);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answer_is_given_behind_all_three),
        cmocka_unit_test(stages_that_have_not_come_so_far_are_waited_for),
        cmocka_unit_test(at_the_deadline_the_receipts_are_told_and_no_guess),
        cmocka_unit_test(records_whose_marker_is_not_there_yet_are_waited_for),
        cmocka_unit_test(what_cannot_be_waited_for_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
