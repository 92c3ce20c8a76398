/*
 * Consumers of the REST proxy on a real broker: what only a real group shows.
 */
#include "broker.h"
#include "consumer_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WAIT_S = 60 };

#define BOTH  "{\"topics\":[\"" PIN "\"]}"
#define EARLY "'format':'json','auto.offset.reset':'earliest','auto.commit.enable':'false'"

static struct broker broker;

/* With an empty topic. */
static void
open_gate(struct gate *gate)
{
    struct mr_bus_options options = { broker.bootstrap, NULL, "test" };
    struct mr_err err = { 0 };
    struct mr_bus *bus = NULL;
    if (mr_bus_open(&options, &bus, &err) != 0)
        fail_msg("%s", err.text);
    if (mr_bus_delete(bus, PIN, WAIT_S * 1000, &err) != 0 && err.code != MR_E(NOT_FOUND))
        fail_msg("%s", err.text);
    gate_open(gate, &(struct gate_wish){ .bus = bus, .topic = PIN, .partitions = 2 });
}

static void
cluster_is_described(void **state)
{
    (void)state;
    struct gate gate;
    open_gate(&gate);
    say(&gate, "GET", "/brokers", "", 200, "{\"brokers\":[1]}");
    say(&gate, "GET", "/topics/" PIN "/partitions/1", "", 200,
        "{\"partition\":1,\"leader\":1,\"replicas\":[{\"broker\":1,\"leader\":true,\"in_sync\":"
        "true}]}");
    say(&gate, "GET", "/topics/" PIN, "", 200, "\"max.message.bytes\":\"1048588\"");
    say(&gate, "GET", "/topics/none", "", 404, "40401");
    say(&gate, "GET", "/topics/" PIN "/partitions/2/offsets", "", 404, "40402");
    gate_close(&gate);
}

static void
new_instance_goes_on_behind_what_was_committed(void **state)
{
    (void)state;
    struct gate gate;
    open_gate(&gate);
    put(&gate, 0, 0, 10);
    put(&gate, 1, 10, 10);
    make_consumer(&gate, "first", EARLY);
    say(&gate, "POST", "/consumers/first/instances/c/subscription", BOTH, 204, "");
    free(read_records(&gate, "/consumers/first/instances/c", 20));
    say(&gate, "POST", "/consumers/first/instances/c/offsets", "", 200, "[]");
    say(&gate, "GET", "/consumers/first/instances/c/offsets",
        "{\"partitions\":[{\"topic\":\"" PIN "\",\"partition\":1}]}", 200, "\"offset\":10,");
    say(&gate, "DELETE", "/consumers/first/instances/c", "", 204, "");
    put(&gate, 1, 20, 3);
    make_consumer(&gate, "first", EARLY);
    say(&gate, "POST", "/consumers/first/instances/c/subscription", BOTH, 204, "");
    char *read = read_records(&gate, "/consumers/first/instances/c", 3);
    assert_non_null(strstr(read, "{\"n\":20}"));
    free(read);
    say(&gate, "DELETE", "/consumers/first/instances/c", "", 204, "");
    gate_close(&gate);
}

/* How many partitions the instance has. */
static size_t
parts_of(struct gate *gate, const char *instance)
{
    char path[128];
    struct answer answer;
    (void)snprintf(path, sizeof(path), "%s/assignments", instance);
    gate_call(gate, "GET", path, "", mr_slice_text(""), &answer);
    size_t count = count_of(answer.body, "\"partition\":");
    answer_fini(&answer);
    return count;
}

static void
two_instances_share_the_partitions(void **state)
{
    (void)state;
    static const char one[] = "/consumers/two/instances/c", other[] = "/consumers/two/instances/d";
    struct gate gate;
    open_gate(&gate);
    make_consumer(&gate, "two", "'format':'json'");
    say(&gate, "POST", "/consumers/two", "{\"name\":\"d\",\"format\":\"json\"}", 200, "\"d\"");
    say(&gate, "POST", "/consumers/two/instances/c/subscription", BOTH, 204, "");
    say(&gate, "POST", "/consumers/two/instances/d/subscription", BOTH, 204, "");
    time_t until = time(NULL) + WAIT_S;
    while (parts_of(&gate, one) != 1 || parts_of(&gate, other) != 1) {
        (void)door_step(gate.door, 100);
        assert_true(time(NULL) < until);
    }
    put(&gate, 0, 100, 5);
    put(&gate, 1, 200, 5);
    free(read_records(&gate, one, 5));
    free(read_records(&gate, other, 5));
    /* What the one leaves behind goes to the other. */
    say(&gate, "DELETE", one, "", 204, "");
    while (parts_of(&gate, other) != 2) {
        (void)door_step(gate.door, 100);
        assert_true(time(NULL) < until);
    }
    put(&gate, 0, 300, 2);
    put(&gate, 1, 400, 2);
    free(read_records(&gate, other, 4));
    say(&gate, "DELETE", other, "", 204, "");
    gate_close(&gate);
}

/* Reads until something comes. */
static void
read_some(struct gate *gate, const char *path, struct answer *ret)
{
    time_t until = time(NULL) + WAIT_S;
    for (;;) {
        gate_call(gate, "GET", path, "", mr_slice_text(""), ret);
        if (strcmp(ret->body, "[]") != 0)
            return;
        answer_fini(ret);
        assert_true(time(NULL) < until);
    }
}

static void
assignment_by_hand_needs_no_group(void **state)
{
    (void)state;
    static const char part[] = "{\"partitions\":[{\"topic\":\"" PIN "\",\"partition\":0}]}";
    struct gate gate;
    struct answer answer;
    open_gate(&gate);
    make_consumer(&gate, "hand", EARLY);
    put(&gate, 0, 500, 3);
    say(&gate, "POST", "/consumers/hand/instances/c/assignments", part, 204, "");
    read_some(&gate, "/consumers/hand/instances/c/records?max_bytes=1", &answer);
    assert_non_null(strstr(answer.body, "{\"n\":500}"));
    assert_int_equal(count_of(answer.body, "\"offset\":"), 1);
    answer_fini(&answer);
    read_some(&gate, "/consumers/hand/instances/c/records?max_bytes=20", &answer);
    assert_non_null(
        strstr(answer.body, "[{\"topic\":\"" PIN "\",\"key\":null,\"value\":{\"n\":501}"));
    answer_fini(&answer);
    say(&gate, "POST", "/consumers/hand/instances/c/positions/end", part, 204, "");
    say(&gate, "GET", "/consumers/hand/instances/c/records?timeout=200", "", 200, "\r\n\r\n[]");
    put(&gate, 0, 600, 1);
    char *read = read_records(&gate, "/consumers/hand/instances/c", 1);
    assert_non_null(strstr(read, "{\"n\":600}"));
    free(read);
    say(&gate, "POST", "/consumers/hand/instances/c/offsets", "", 200, "[]");
    gate_close(&gate);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cluster_is_described),
        cmocka_unit_test(new_instance_goes_on_behind_what_was_committed),
        cmocka_unit_test(two_instances_share_the_partitions),
        cmocka_unit_test(assignment_by_hand_needs_no_group),
    };
    broker_start(&broker, NULL);
    return cmocka_run_group_tests_name("consumers on kafka", tests, NULL, NULL);
}
