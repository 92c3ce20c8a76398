/*
 * The promises of bus.h on a real broker, and what only a real broker can show: what a transaction
 * costs, logins, a broker that does not answer or goes away; kafka_away.c has the rest.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bus_promises.h"
#include "clock/clock.h"
#include "kafka_tests.h"

enum { COMMITS = 200 };

struct broker broker;
const char *program;

struct mr_bus *
open_bus_at(const char *bootstrap, const char *config)
{
    struct mr_bus *bus;
    struct mr_bus_options options = { .bootstrap = bootstrap,
                                      .client_id = "test",
                                      .kafka_config = config };
    TOOL_OK(mr_bus_open(&options, &bus, &oops));
    return bus;
}

static int
open_bus(void **state)
{
    *state = open_bus_at(broker.bootstrap, NULL);
    return 0;
}

static int
close_bus(void **state)
{
    mr_bus_close(*state);
    return 0;
}

void
write_config(char path[], size_t size, const char *text)
{
    (void)snprintf(path, size, "%s/config-%s", broker.dir, tool_name("c"));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* ---- cost ---- */

static int
by_number(const void *a, const void *b)
{
    const int64_t *one = a, *other = b;
    return (*one > *other) - (*one < *other);
}

static int64_t
now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void
transactions_commit_with_their_positions_again_and_again(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL), *output = tool_topic(bus, 3, NULL);
    const char *group = tool_name("g");
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, tool_name("txn"));
    int64_t commits[COMMITS], begins[COMMITS / 10];
    struct member member;
    tool_fill(bus, topic, 0, COMMITS);
    member_open(&member, bus, group, NULL, topic);
    member_wait_records(&member, COMMITS);
    for (int i = 0; i < COMMITS; i++) {
        struct mr_position position = { .next = i + 1, .note = "1 in=1" };
        TOOL_OK(mr_writer_begin(writer, &oops));
        for (int j = 0; j < 100; j++)
            tool_put(writer, output, j % 3, "x");
        int64_t from_us = now_us();
        TOOL_OK(mr_writer_commit(writer, member.reader, &position, 1, WAIT_MS, &oops));
        commits[i] = now_us() - from_us;
        member_step(&member, 0);
    }
    for (size_t i = 0; i < MR_COUNT(begins); i++) {
        TOOL_OK(mr_writer_begin(writer, &oops));
        tool_put(writer, output, 0, "x");
        TOOL_OK(mr_writer_abort(writer, WAIT_MS, &oops));
        int64_t from_us = now_us();
        TOOL_OK(mr_writer_begin(writer, &oops));
        begins[i] = now_us() - from_us;
        TOOL_OK(mr_writer_commit(writer, NULL, NULL, 0, WAIT_MS, &oops));
    }
    qsort(commits, COMMITS, sizeof(*commits), by_number);
    qsort(begins, MR_COUNT(begins), sizeof(*begins), by_number);
    print_message("commit of 100 records with position: p50 %.1f ms, p99 %.1f ms\n",
                  (double)commits[COMMITS / 2] / 1000, (double)commits[COMMITS * 99 / 100] / 1000);
    print_message("fresh producer after an abort: p50 %.1f ms, most %.1f ms\n",
                  (double)begins[MR_COUNT(begins) / 2] / 1000,
                  (double)begins[MR_COUNT(begins) - 1] / 1000);
    assert_int_equal(tool_offsets(bus, group, topic, 0).committed, COMMITS);
    member_close(&member);
}

/* ---- a broker that does not answer, or is gone ---- */

/* The outcome of the commit is open until the next begin; whatever it was, position and record
 * agree and nothing is doubled. */
static void
commit_without_an_answer_is_settled_by_the_next_begin(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL), *output = tool_topic(bus, 1, NULL);
    const char *group = tool_name("g");
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, tool_name("txn"));
    struct mr_position position = { .next = 1 };
    struct mr_err err = { 0 };
    struct member member, reader;
    tool_fill(bus, topic, 0, 1);
    member_open(&member, bus, group, NULL, topic);
    member_wait_records(&member, 1);
    TOOL_OK(mr_writer_begin(writer, &oops));
    tool_put(writer, output, 0, "first");
    TOOL_OK(mr_writer_flush(writer, WAIT_MS, &oops));
    broker_signal(&broker, SIGSTOP);
    int code = mr_writer_commit(writer, member.reader, &position, 1, 1000, &err);
    struct mr_err abort_err = { 0 };
    int64_t from_ms = tool_now_ms();
    (void)mr_writer_abort(writer, 1000, &abort_err);
    int64_t took_ms = tool_now_ms() - from_ms;
    broker_signal(&broker, SIGCONT);
    assert_int_equal(code, MR_E(TIMEOUT));
    assert_int_equal(err.remedy, MR_RETRY);
    assert_int_equal(abort_err.code, 0);
    assert_true(took_ms < 5000);
    TOOL_OK(mr_writer_begin(writer, &oops));
    bool committed = tool_offsets(bus, group, topic, 0).committed == 1;
    tool_put(writer, output, 0, "second");
    TOOL_OK(mr_writer_commit(writer, NULL, NULL, 0, WAIT_MS, &oops));
    member_open_at(&reader, bus, output, 0, 0);
    member_wait_records(&reader, committed ? 2 : 1);
    member_wait_end(&reader, 0, tool_offsets(bus, NULL, output, 0).end);
    assert_int_equal(member_saw(&reader, "first"), committed);
    assert_int_equal(member_records(&reader), committed ? 2 : 1);
    member_close(&reader);
    member_close(&member);
}

static void
nobody_at_the_address_is_unavailable_and_named(void **state)
{
    (void)state;
    MR_CLEANUP(mr_bus_closep) struct mr_bus *bus = open_bus_at("127.0.0.1:1", NULL);
    struct mr_err err = { 0 };
    const char *id;
    int64_t from_ms = tool_now_ms();
    assert_int_equal(mr_bus_cluster_id(bus, &id, 2000, &err), MR_E(UNAVAILABLE));
    assert_int_equal(err.remedy, MR_RETRY);
    assert_non_null(strstr(err.text, "127.0.0.1:1"));
    assert_true(tool_now_ms() - from_ms < 4000);
}

/* Stays last but one: the broker is killed and comes back on the same port. */
static void
all_goes_on_when_the_broker_comes_back(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL), *group = tool_name("g");
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, tool_name("txn"));
    struct member member;
    struct mr_batch batch;
    struct mr_err err = { 0 };
    member_open(&member, bus, group, NULL, topic);
    member_wait_assigned(&member);
    member_wait_end(&member, 0, 0);
    assert_true(broker_tool(&broker, "kill", ""));
    int64_t deadline_ms = tool_now_ms() + WAIT_MS;
    while (mr_reader_poll(member.reader, 10, 50, &batch, &err) >= 0)
        assert_true(tool_now_ms() < deadline_ms);
    assert_int_equal(err.code, MR_E(UNAVAILABLE));
    assert_int_equal(err.remedy, MR_RETRY);
    struct mr_err begin_err = { 0 };
    TOOL_OK(mr_writer_begin(writer, &oops));
    tool_put(writer, topic, 0, "lost");
    assert_true(mr_writer_commit(writer, NULL, NULL, 0, 1000, &begin_err) < 0);
    assert_int_equal(begin_err.remedy, MR_RETRY);
    TOOL_OK(mr_writer_abort(writer, 1000, &oops));
    assert_true(broker_tool(&broker, "start", ""));
    deadline_ms = tool_now_ms() + WAIT_MS;
    for (int begun = -1; begun < 0;) {
        assert_true(tool_now_ms() < deadline_ms);
        struct mr_err again = { 0 };
        begun = mr_writer_begin(writer, &again);
    }
    tool_put(writer, topic, 0, "good");
    TOOL_OK(mr_writer_commit(writer, NULL, NULL, 0, WAIT_MS, &oops));
    while (member_records(&member) == 0) {
        struct mr_err again = { 0 };
        assert_true(tool_now_ms() < deadline_ms);
        if (mr_reader_poll(member.reader, 10, 50, &batch, &again) >= 0)
            member_answer(&member, &batch);
    }
    assert_string_equal(member_record(&member, 0)->value, "good");
    member_close(&member);
}

/* ---- logins ---- */

static const char listeners[] =
    "listeners=PLAINTEXT://127.0.0.1:@PORT@,CONTROLLER://127.0.0.1:@PORT1@,"
    "LOGIN://127.0.0.1:@PORT2@\n"
    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT\n"
    "listener.name.login.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512\n"
    "listener.name.login.plain.sasl.jaas.config="
    "org.apache.kafka.common.security.plain.PlainLoginModule required user_bob=\"bob-secret\";\n"
    "listener.name.login.scram-sha-512.sasl.jaas.config="
    "org.apache.kafka.common.security.scram.ScramLoginModule required;\n";

static int
log_in(const char *config, struct mr_err *ret_err)
{
    char path[2 * BROKER_TEXT_MAX], address[64];
    const char *id;
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d",
                   (int)strtol(strchr(broker.bootstrap, ':') + 1, NULL, 10) + 2);
    write_config(path, sizeof(path), config);
    MR_CLEANUP(mr_bus_closep) struct mr_bus *bus = open_bus_at(address, path);
    *ret_err = (struct mr_err){ 0 };
    return mr_bus_cluster_id(bus, &id, 5000, ret_err);
}

/* Kafka 4 refuses by itself what is an hour ahead. */
static void
a_record_of_a_clock_ahead_is_refused_for_now_with_the_reason(void **state)
{
    struct mr_bus *bus = *state;
    static const char *const settings[] = { "message.timestamp.after.max.ms", "60000", NULL };
    const char *topic = tool_topic(bus, 1, settings);
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, NULL);
    struct mr_message ahead = { .topic = topic,
                                .value = MR_SLICE("x"),
                                .time_ms = mr_wall_ms() + 3600 * 1000 };
    struct mr_err err = { 0 };
    TOOL_OK(mr_writer_produce(writer, &ahead, &oops));
    assert_int_equal(mr_writer_flush(writer, WAIT_MS, &err), MR_E(UNAVAILABLE));
    assert_int_equal(err.remedy, MR_RETRY);
    assert_non_null(strstr(err.text, "clock"));
    tool_put(writer, topic, 0, "y");
    TOOL_OK(mr_writer_flush(writer, WAIT_MS, &oops));
    assert_int_equal(tool_offsets(bus, NULL, topic, 0).end, 1);
}

static void
jaas_lines_log_in_and_a_wrong_password_is_denied(void **state)
{
    (void)state;
    struct mr_err err;
    char command[512];
    (void)snprintf(command, sizeof(command),
                   "kafka.admin.ConfigCommand --bootstrap-server %s --alter --entity-type users "
                   "--entity-name alice --add-config 'SCRAM-SHA-512=[password=alice-secret]'",
                   broker.bootstrap);
    assert_true(broker_tool(&broker, "run", command));
    static const char plain[] =
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n"
        "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\\n"
        "  username=\"bob\" password=\"bob-secret\";\n";
    static const char scram[] =
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n"
        "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
        "username=\"alice\" password=\"alice-secret\";\n";
    static const char wrong[] =
        "client.security.protocol=SASL_PLAINTEXT\nclient.sasl.mechanism=PLAIN\n"
        "client.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "
        "username=\"bob\" password=\"guessed\";\n";
    assert_int_equal(log_in(plain, &err), 0);
    assert_int_equal(log_in(scram, &err), 0);
    assert_int_equal(log_in(wrong, &err), MR_E(DENIED));
    assert_null(strstr(err.text, "guessed"));
}

int
main(int argc, char **argv)
{
    program = argv[0];
    if (argc > 1)
        return play_role(argv + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transactions_commit_with_their_positions_again_and_again),
        cmocka_unit_test_setup_teardown(
            a_record_of_a_clock_ahead_is_refused_for_now_with_the_reason, open_bus, close_bus),
        cmocka_unit_test(jaas_lines_log_in_and_a_wrong_password_is_denied),
        cmocka_unit_test(nobody_at_the_address_is_unavailable_and_named),
        cmocka_unit_test(commit_without_an_answer_is_settled_by_the_next_begin),
        cmocka_unit_test(all_goes_on_when_the_broker_comes_back),
    };
    broker_start(&broker, listeners);
    int failed = _cmocka_run_group_tests("reading from Kafka", bus_reading, bus_reading_count,
                                         open_bus, close_bus);
    failed += _cmocka_run_group_tests("topics of Kafka", bus_topics, bus_topics_count, open_bus,
                                      close_bus);
    failed += _cmocka_run_group_tests("writing to Kafka", bus_writing, bus_writing_count, open_bus,
                                      close_bus);
    failed += _cmocka_run_group_tests("too large for Kafka", kafka_large, kafka_large_count,
                                      open_bus, close_bus);
    failed += _cmocka_run_group_tests("away from Kafka", kafka_away, kafka_away_count, open_bus,
                                      close_bus);
    return failed + cmocka_run_group_tests_name("Kafka itself", tests, open_bus, close_bus);
}
