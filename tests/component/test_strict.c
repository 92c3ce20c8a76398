/*
 * Strict mode: what the validator would put to the dead letters is refused at the door, with field,
 * rule and value, in each dialect's words; others' events go on as they are.
 */
#include "gate.h"

#define T    "a1b2c3.geo"
#define OWN  "/v1/events/a1b2c3/geo"
#define GOOD "{\"ind\":1,\"latitude\":1.5}"
#define BAD  "{\"ind\":2,\"latitude\":91}"

static void
open_strict(struct gate *gate, const char *strict)
{
    gate_open(gate, &(struct gate_wish){ .topic = T, .strict = strict });
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
check(struct gate *gate, const char *path, const char *body, int status, const char *part)
{
    struct answer answer;
    gate_call(gate, "POST", path, "", mr_slice_text(body), &answer);
    if (answer.status != status || strstr(answer.body, part) == NULL)
        fail_msg("%d %s is not %d with %s", answer.status, answer.body, status, part);
    answer_fini(&answer);
}

static void
nothing_is_stored_when_one_breaks_the_contract(void **state)
{
    (void)state;
    static const char told[] = "\"errors\":[{\"index\":1,\"field\":\"latitude\",\"rule\":\"max\","
                               "\"value\":\"91\",\"reason\":";
    struct gate gate;
    open_strict(&gate, "a1b2c3");
    check(&gate, OWN, "[" GOOD "," BAD "," GOOD "]", 422, told);
    check(&gate, OWN, "[" GOOD "," BAD "]", 422, "1 of 2 events break the contract");
    check(&gate, "/topics/" T, "{\"records\":[{\"value\":" GOOD "},{\"value\":" BAD "}]}", 422,
          told);
    check(&gate, "/topics/" T, "{\"records\":[{\"value\":null}]}", 422, "post a JSON object");
    check(&gate, "/streams/a1b2c3-geo/record", "{\"Data\":" BAD "}", 400,
          "\"__type\":\"InvalidArgumentException\"");
    check(&gate, OWN, "{\"latitude\":1}", 422, "\"rule\":\"required\"");
    assert_count(&gate, 0);
    check(&gate, OWN, "[" GOOD "]", 200, "\"failed\":0");
    assert_count(&gate, 1);
    gate_close(&gate);
}

static void
a_kinesis_list_says_which_records_failed(void **state)
{
    (void)state;
    struct gate gate;
    open_strict(&gate, "*");
    check(&gate, "/streams/a1b2c3-geo/records",
          "{\"Records\":[{\"Data\":" BAD "},{\"Data\":" GOOD "}]}", 200,
          "{\"FailedRecordCount\":1,\"Records\":[{\"ErrorCode\":\"InvalidArgumentException\"");
    assert_count(&gate, 1);
    check(&gate, "/streams/a1b2c3-geo/records", "{\"Records\":[{\"Data\":" BAD "}]}", 200,
          "{\"FailedRecordCount\":1,");
    assert_count(&gate, 1);
    gate_close(&gate);
}

static void
patterns_say_whose_events_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *strict;
        bool is_checked;
    } forms[] = {
        { "a1b2c3", true },      { "a1b2c3.geo", true }, { "*.geo", true },
        { "*", true },           { "a1b2c3.*", true },   { "b,*.pin,a1b2c3.geo", true },
        { "a1b2c3.pin", false }, { "A1B2C3", false },    { "*.pin,b", false },
    };
    for (size_t i = 0; i < MR_COUNT(forms); i++) {
        struct gate gate;
        open_strict(&gate, forms[i].strict);
        check(&gate, OWN, BAD, forms[i].is_checked ? 422 : 200, "");
        assert_count(&gate, forms[i].is_checked ? 0 : 1);
        gate_close(&gate);
    }
}

static void
a_pattern_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const forms[] = { ",", "a.b.c", "a b", "a1b2c3.", "a1b2c3.Pin", "a,,b" };
    struct gate gate;
    open_strict(&gate, "*");
    for (size_t i = 0; i < MR_COUNT(forms); i++) {
        struct door *door = NULL;
        struct mr_err err = { 0 };
        struct door_options options = { .bus = gate.bus,
                                        .plan = gate.plan,
                                        .host = "127.0.0.1",
                                        .kinds = "/nonexistent",
                                        .strict = forms[i],
                                        .in_flight_bytes_max = 1 << 20,
                                        .metrics = gate.metrics };
        assert_int_equal(door_open(&options, &door, &err), MR_E(INVALID));
        assert_non_null(strstr(err.text, "--strict"));
    }
    gate_close(&gate);
}

static void
contracts_are_read_again_on_reload(void **state)
{
    (void)state;
    struct gate gate;
    struct mr_err err = { 0 };
    open_strict(&gate, "*");
    assert_int_equal(door_reload(gate.door, &err), 0);
    check(&gate, OWN, BAD, 422, "latitude");
    gate_close(&gate);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_stored_when_one_breaks_the_contract),
        cmocka_unit_test(a_kinesis_list_says_which_records_failed),
        cmocka_unit_test(patterns_say_whose_events_are_checked),
        cmocka_unit_test(a_pattern_that_is_none_is_refused),
        cmocka_unit_test(contracts_are_read_again_on_reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
