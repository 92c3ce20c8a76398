/*
 * A topic that grows on a real broker (LAW 6): what has an id still goes to its partition, through
 * a gateway that knew the topic no sooner, and the validator still knows it for a repeat.
 */
#include "gate.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "clock/clock.h"
#include "stage/stage.h"

#define T "a1b2c3.pin"

enum { EVENTS = 30, BEFORE = 3, AFTER = 7, PATIENCE_MS = 40000, ASK_MS = 20000 };

static struct broker broker;

static struct mr_bus *
open_bus(void)
{
    struct mr_bus *bus = NULL;
    struct mr_err err = { 0 };
    const struct mr_bus_options options = { .bootstrap = broker.bootstrap, .client_id = "test" };
    if (mr_bus_open(&options, &bus, &err) != 0)
        fail_msg("%s", err.text);
    return bus;
}

/* Through a gateway of its own. */
static void
post(const char *topic, int ret_partitions[EVENTS])
{
    struct gate gate;
    struct answer answer;
    struct mr_buf body;
    gate_open(&gate,
              &(struct gate_wish){ .bus = open_bus(), .partitions = BEFORE, .topic = topic });
    mr_buf_init(&body, 1 << 16);
    for (int i = 0; i < EVENTS; i++)
        mr_buf_printf(&body, "%s{\"index\":%d}", i == 0 ? "[" : ",", i);
    mr_buf_text(&body, "]");
    gate_call(&gate, "POST", "/v1/events/a1b2c3/pin?id=index", "", mr_buf_slice(&body), &answer);
    json_t *parsed = json_loads(answer.body, 0, NULL);
    const json_t *receipts = json_object_get(parsed, "receipts");
    if (answer.status != 200 || json_array_size(receipts) != EVENTS)
        fail_msg("%s", answer.text.data);
    for (size_t i = 0; i < EVENTS; i++)
        ret_partitions[i] =
            (int)json_integer_value(json_object_get(json_array_get(receipts, i), "partition"));
    json_decref(parsed);
    answer_fini(&answer);
    mr_buf_fini(&body);
    gate_close(&gate);
}

static void
grow(struct mr_bus *bus)
{
    char command[256];
    struct mr_topic *topics = NULL;
    struct mr_err err = { 0 };
    size_t count = 0;
    (void)snprintf(command, sizeof(command),
                   "org.apache.kafka.tools.TopicCommand --bootstrap-server %s --alter --topic "
                   "'a1b2c3[.]pin.*' --partitions %d",
                   broker.bootstrap, AFTER);
    assert_true(broker_tool(&broker, "run", command));
    assert_int_equal(mr_bus_topics(bus, &topics, &count, ASK_MS, &err), 0);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(topics[i].partitions, AFTER);
    free(topics);
}

static pid_t
start_validator(void)
{
    char kinds[512], program[512];
    const char *build = getenv("MILLRACE_BUILD");
    (void)snprintf(kinds, sizeof(kinds), "%s/kinds", build);
    (void)snprintf(program, sizeof(program), "%s/bin/millrace-validator", build);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)execl(program, program, "--bootstrap", broker.bootstrap, "--kinds", kinds, "--pipeline",
                "growth", "--instance", "one", "--admin", "127.0.0.1:0", "--rpc", "", (char *)NULL);
    _exit(127);
}

static struct mr_counts
count_all(struct mr_bus *bus)
{
    struct mr_err err = { 0 };
    struct mr_counts sum = { 0 }, one;
    struct mr_offsets at[AFTER];
    for (int32_t p = 0; p < AFTER; p++)
        at[p] = (struct mr_offsets){ .topic = T, .partition = p };
    if (mr_bus_offsets(bus, "growth.validator", at, AFTER, ASK_MS, &err) != 0)
        fail_msg("%s", err.text);
    for (int32_t p = 0; p < AFTER; p++) {
        if (at[p].committed == MR_NO_OFFSET)
            continue;
        assert_true(mr_counts_parse(at[p].note, &one));
        sum.in += one.in;
        sum.good += one.good;
        sum.repeated += one.repeated;
    }
    return sum;
}

static void
an_id_keeps_its_partition_and_is_repeated_there(void **state)
{
    (void)state;
    int before[EVENTS], after[EVENTS], status;
    bool is_used[BEFORE] = { false };
    MR_CLEANUP(mr_bus_closep) struct mr_bus *bus = open_bus();
    post(T, before);
    grow(bus);
    post(NULL, after);
    for (int i = 0; i < EVENTS; i++) {
        assert_in_range(before[i], 0, BEFORE - 1);
        assert_int_equal(after[i], before[i]);
        is_used[before[i]] = true;
    }
    assert_true(is_used[0] && is_used[1] && is_used[2]);

    pid_t validator = start_validator();
    int64_t until_ms = mr_now_ms() + PATIENCE_MS;
    struct mr_counts counts = { 0 };
    while (counts.in < 2LL * EVENTS && mr_now_ms() < until_ms)
        counts = count_all(bus);
    (void)kill(validator, SIGTERM);
    assert_int_equal(waitpid(validator, &status, 0), validator);
    assert_int_equal(counts.in, 2 * EVENTS);
    assert_int_equal(counts.good, EVENTS);
    assert_int_equal(counts.repeated, EVENTS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_keeps_its_partition_and_is_repeated_there),
    };
    broker_start(&broker, NULL);
    return cmocka_run_group_tests_name("growth on Kafka", tests, NULL, NULL);
}
