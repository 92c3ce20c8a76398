/*
 * The promises of bus.h on a real broker, and what only a real broker can show: processes that are
 * killed or stopped in a transaction, members that were away too long, logins, a broker that goes
 * away. A second process is this program again, started with a role.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "bus_promises.h"
#include "bus_tools.h"

enum { COMMITS = 200, SHORT_TXN_MS = 3000, AWAY_MS_MAX = 20000 };

static struct broker broker;
static const char *program;

static struct mr_bus *
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

static struct mr_writer *
short_writer(struct mr_bus *bus, const char *id)
{
    struct mr_writer *writer;
    struct mr_writer_options options = { .transactional_id = id,
                                         .linger_ms = -1,
                                         .queue_bytes_max = 1 << 20,
                                         .transaction_timeout_ms = SHORT_TXN_MS };
    TOOL_OK(mr_writer_open(bus, &options, &writer, &oops));
    return writer;
}

/* ---- a second process ---- */

struct second {
    pid_t pid;
    int to, from; /* pipes */
};

/* Waits for one line from the process. */
static void
hear(const struct second *second, char *ret_line, size_t size)
{
    size_t length = 0;
    char c = '\0';
    while (c != '\n') {
        struct pollfd readable = { .fd = second->from, .events = POLLIN };
        assert_true(poll(&readable, 1, WAIT_MS) == 1);
        assert_int_equal(read(second->from, &c, 1), 1);
        if (c != '\n' && length + 1 < size)
            ret_line[length++] = c;
    }
    ret_line[length] = '\0';
}

static void
start_second(struct second *second, const char *role, const char *topic, const char *output,
             const char *group, const char *name)
{
    int to[2], from[2];
    char line[64];
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    second->pid = fork();
    assert_true(second->pid >= 0);
    if (second->pid == 0) {
        (void)dup2(to[0], STDIN_FILENO);
        (void)dup2(from[1], STDOUT_FILENO);
        (void)execl(program, program, role, broker.bootstrap, topic, output, group, name,
                    (char *)NULL);
        _exit(127);
    }
    (void)close(to[0]);
    (void)close(from[1]);
    second->to = to[1];
    second->from = from[0];
    hear(second, line, sizeof(line));
    assert_string_equal(line, "ready");
}

static void
end_second(struct second *second)
{
    (void)kill(second->pid, SIGKILL);
    (void)waitpid(second->pid, NULL, 0);
    (void)close(second->to);
    (void)close(second->from);
}

/* Role "writer": writes one record in a transaction and stays in it. */
static void
stay_in_transaction(struct mr_bus *bus, const char *output, const char *name)
{
    struct mr_writer *writer = short_writer(bus, name);
    TOOL_OK(mr_writer_begin(writer, &oops));
    tool_put(writer, output, 0, "never");
    TOOL_OK(mr_writer_flush(writer, WAIT_MS, &oops));
    (void)puts("ready");
    (void)fflush(stdout);
    (void)pause();
}

/* Role "member": takes one record from topic to output in a transaction, waits to be told, and only
 * then commits; tells how that ended. */
static void
commit_when_told(struct mr_bus *bus, char *const *arguments, bool is_static)
{
    struct mr_writer *writer = tool_writer(bus, arguments[3]);
    struct mr_position position = { .next = 1 };
    struct mr_err err = { 0 };
    struct member member;
    char told;
    member_open(&member, bus, arguments[2], is_static ? arguments[3] : NULL, arguments[0]);
    member_wait_records(&member, 1);
    TOOL_OK(mr_writer_begin(writer, &oops));
    tool_put(writer, arguments[1], 0, "zombie");
    TOOL_OK(mr_writer_flush(writer, WAIT_MS, &oops));
    (void)puts("ready");
    (void)fflush(stdout);
    if (read(STDIN_FILENO, &told, 1) != 1)
        exit(1);
    int code = mr_writer_commit(writer, member.reader, &position, 1, WAIT_MS, &err);
    (void)puts(mr_code_name(code));
    (void)fflush(stdout);
    err = (struct mr_err){ 0 };
    (void)mr_writer_abort(writer, WAIT_MS, &err);
    (void)puts(mr_code_name(err.code));
    (void)fflush(stdout);
}

static int
play_role(char *const *arguments)
{
    struct mr_bus *bus = open_bus_at(arguments[1], NULL);
    if (strcmp(arguments[0], "writer") == 0)
        stay_in_transaction(bus, arguments[3], arguments[5]);
    else
        commit_when_told(bus, arguments + 2, strcmp(arguments[0], "static-member") == 0);
    _exit(0);
}

/* ---- killed in a transaction ---- */

/* A hole: a record of a dead transaction, and a good one behind it. Returns a reader before it. */
static void
make_hole(struct mr_bus *bus, const char *topic, const char *name, struct member *ret_member)
{
    struct second second;
    start_second(&second, "writer", "-", topic, "-", name);
    end_second(&second);
    tool_fill(bus, topic, 0, 1);
    member_open_at(ret_member, bus, topic, 0, 0);
    member_wait_end(ret_member, 0, 0);
    assert_int_equal(member_records(ret_member), 0);
}

static void
killed_name_that_returns_frees_the_partition_at_once(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL), *name = tool_name("txn");
    struct member member;
    make_hole(bus, topic, name, &member);
    int64_t from_ms = tool_now_ms();
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = short_writer(bus, name);
    member_wait_records(&member, 1);
    int64_t took_ms = tool_now_ms() - from_ms;
    print_message("killed, the name returns: visible after %lld ms\n", (long long)took_ms);
    assert_true(took_ms < SHORT_TXN_MS);
    assert_string_equal(member_record(&member, 0)->value, "0");
    member_close(&member);
}

static void
killed_name_that_never_returns_delays_by_the_timeout_only(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL);
    struct member member;
    int64_t from_ms = tool_now_ms();
    make_hole(bus, topic, tool_name("txn"), &member);
    member_wait_records(&member, 1);
    int64_t took_ms = tool_now_ms() - from_ms;
    print_message("killed for ever, timeout %d ms: visible after %lld ms\n", SHORT_TXN_MS,
                  (long long)took_ms);
    assert_true(took_ms < 3 * SHORT_TXN_MS);
    assert_false(member_saw(&member, "never"));
    member_close(&member);
}

/* ---- zombies: away too long, replaced, back ---- */

static void
assert_only_the_heir_is_seen(struct mr_bus *bus, const char *output)
{
    struct member reader;
    member_open_at(&reader, bus, output, 0, 0);
    member_wait_records(&reader, 1);
    member_wait_end(&reader, 0, tool_offsets(bus, NULL, output, 0).end);
    assert_int_equal(member_records(&reader), 1);
    assert_true(member_saw(&reader, "heir"));
    member_close(&reader);
}

/* The second member takes over, handles the same record and commits. */
static void
take_over(struct mr_bus *bus, const char *topic, const char *output, const char *group)
{
    struct member heir;
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, tool_name("heir"));
    struct mr_position position = { .next = 1 };
    member_open(&heir, bus, group, NULL, topic);
    member_wait_records(&heir, 1);
    TOOL_OK(mr_writer_begin(writer, &oops));
    tool_put(writer, output, 0, "heir");
    TOOL_OK(mr_writer_commit(writer, heir.reader, &position, 1, WAIT_MS, &oops));
    member_close(&heir);
}

static void
stop_and_replace(struct mr_bus *bus, const char *role)
{
    const char *topic = tool_topic(bus, 1, NULL), *output = tool_topic(bus, 1, NULL);
    const char *group = tool_name("g");
    struct second zombie;
    char line[64];
    tool_fill(bus, topic, 0, 1);
    start_second(&zombie, role, topic, output, group, tool_name("zombie"));
    assert_int_equal(kill(zombie.pid, SIGSTOP), 0);
    take_over(bus, topic, output, group);
    assert_int_equal(kill(zombie.pid, SIGCONT), 0);
    assert_int_equal(write(zombie.to, "!", 1), 1);
    hear(&zombie, line, sizeof(line));
    print_message("%s, stopped past its session: commit %s\n", role, line);
    assert_string_not_equal(line, "OK");
    hear(&zombie, line, sizeof(line));
    end_second(&zombie);
    assert_only_the_heir_is_seen(bus, output);
    assert_int_equal(tool_offsets(bus, group, topic, 0).committed, 1);
}

static void
process_stopped_past_its_session_never_commits(void **state)
{
    stop_and_replace(*state, "member");
}

static void
static_member_stopped_past_its_session_never_commits(void **state)
{
    stop_and_replace(*state, "static-member");
}

/* The same name again while the first lives on: fenced, as writer and as member. */
static void
process_whose_name_was_taken_never_commits(void **state)
{
    struct mr_bus *bus = *state;
    const char *topic = tool_topic(bus, 1, NULL), *output = tool_topic(bus, 1, NULL);
    const char *group = tool_name("g"), *name = tool_name("name");
    struct second zombie;
    struct member heir;
    struct mr_position position = { .next = 1 };
    char line[64];
    tool_fill(bus, topic, 0, 1);
    start_second(&zombie, "static-member", topic, output, group, name);
    MR_CLEANUP(mr_writer_closep) struct mr_writer *writer = tool_writer(bus, name);
    member_open(&heir, bus, group, name, topic);
    member_wait_records(&heir, 1);
    TOOL_OK(mr_writer_begin(writer, &oops));
    tool_put(writer, output, 0, "heir");
    TOOL_OK(mr_writer_commit(writer, heir.reader, &position, 1, WAIT_MS, &oops));
    assert_int_equal(write(zombie.to, "!", 1), 1);
    hear(&zombie, line, sizeof(line));
    assert_string_equal(line, "FENCED");
    end_second(&zombie);
    member_close(&heir);
    assert_only_the_heir_is_seen(bus, output);
}

static void
write_config(char path[], size_t size, const char *text)
{
    (void)snprintf(path, size, "%s/config-%s", broker.dir, tool_name("c"));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* A reader that was not polled for longer than max.poll.interval.ms, with its transaction open. */
struct sleeper {
    struct mr_bus *bus;
    struct mr_writer *writer;
    struct member member;
    const char *topic, *output, *group;
};

static void
fall_asleep(struct sleeper *sleeper, struct mr_bus *bus)
{
    char path[2 * BROKER_TEXT_MAX];
    write_config(path, sizeof(path), "max.poll.interval.ms=6000\n");
    *sleeper = (struct sleeper){ .bus = open_bus_at(broker.bootstrap, path),
                                 .topic = tool_topic(bus, 1, NULL),
                                 .output = tool_topic(bus, 1, NULL),
                                 .group = tool_name("g") };
    tool_fill(bus, sleeper->topic, 0, 1);
    sleeper->writer = tool_writer(sleeper->bus, tool_name("sleeper"));
    member_open(&sleeper->member, sleeper->bus, sleeper->group, NULL, sleeper->topic);
    member_wait_records(&sleeper->member, 1);
    TOOL_OK(mr_writer_begin(sleeper->writer, &oops));
    tool_put(sleeper->writer, sleeper->output, 0, "zombie");
    TOOL_OK(mr_writer_flush(sleeper->writer, WAIT_MS, &oops));
    take_over(bus, sleeper->topic, sleeper->output, sleeper->group);
}

static void
wake_up(struct sleeper *sleeper)
{
    mr_writer_close(sleeper->writer);
    member_close(&sleeper->member);
    mr_bus_close(sleeper->bus);
}

static void
member_not_polled_too_long_never_commits(void **state)
{
    struct sleeper sleeper;
    struct mr_position position = { .next = 1 };
    struct mr_err err = { 0 };
    fall_asleep(&sleeper, *state);
    assert_true(
        mr_writer_commit(sleeper.writer, sleeper.member.reader, &position, 1, WAIT_MS, &err) < 0);
    print_message("not polled too long: commit %s (%s)\n", mr_code_name(err.code), err.text);
    assert_int_equal(err.code, MR_E(STALE));
    TOOL_OK(mr_writer_abort(sleeper.writer, WAIT_MS, &oops));
    assert_only_the_heir_is_seen(*state, sleeper.output);
    wake_up(&sleeper);
}

/* Polling again joins the group anew in the background: what was begun before must not be committed
 * in the name of the new generation. */
static void
member_that_polls_again_is_told_of_the_loss_before_it_can_commit(void **state)
{
    struct sleeper sleeper;
    struct mr_position position = { .next = 1 };
    struct mr_batch batch = { 0 };
    fall_asleep(&sleeper, *state);
    int64_t deadline_ms = tool_now_ms() + WAIT_MS;
    while (batch.event == MR_BUS_RECORDS) {
        assert_true(tool_now_ms() < deadline_ms);
        TOOL_OK(mr_reader_poll(sleeper.member.reader, 10, 50, &batch, &oops));
    }
    assert_int_equal(batch.event, MR_BUS_LOST);
    for (int i = 0; i < 2; i++) {
        struct mr_err err = { 0 };
        assert_int_equal(
            mr_writer_commit(sleeper.writer, sleeper.member.reader, &position, 1, WAIT_MS, &err),
            MR_E(STALE));
        if (i == 0)
            TOOL_OK(mr_reader_release(sleeper.member.reader, &oops));
    }
    TOOL_OK(mr_writer_abort(sleeper.writer, WAIT_MS, &oops));
    assert_only_the_heir_is_seen(*state, sleeper.output);
    sleeper.member.assigned = false;
    sleeper.member.parts_count = 0;
    member_wait_assigned(&sleeper.member);
    assert_int_equal(sleeper.member.parts[0].committed, 1);
    wake_up(&sleeper);
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
                   atoi(strchr(broker.bootstrap, ':') + 1) + 2);
    write_config(path, sizeof(path), config);
    MR_CLEANUP(mr_bus_closep) struct mr_bus *bus = open_bus_at(address, path);
    *ret_err = (struct mr_err){ 0 };
    return mr_bus_cluster_id(bus, &id, 5000, ret_err);
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
        cmocka_unit_test(killed_name_that_returns_frees_the_partition_at_once),
        cmocka_unit_test(killed_name_that_never_returns_delays_by_the_timeout_only),
        cmocka_unit_test(process_stopped_past_its_session_never_commits),
        cmocka_unit_test(static_member_stopped_past_its_session_never_commits),
        cmocka_unit_test(process_whose_name_was_taken_never_commits),
        cmocka_unit_test(member_not_polled_too_long_never_commits),
        cmocka_unit_test(member_that_polls_again_is_told_of_the_loss_before_it_can_commit),
        cmocka_unit_test(transactions_commit_with_their_positions_again_and_again),
        cmocka_unit_test(jaas_lines_log_in_and_a_wrong_password_is_denied),
        cmocka_unit_test(nobody_at_the_address_is_unavailable_and_named),
        cmocka_unit_test(commit_without_an_answer_is_settled_by_the_next_begin),
        cmocka_unit_test(all_goes_on_when_the_broker_comes_back),
    };
    broker_start(&broker, listeners);
    int failed = _cmocka_run_group_tests("reading from Kafka", bus_reading, bus_reading_count,
                                         open_bus, close_bus);
    failed += _cmocka_run_group_tests("writing to Kafka", bus_writing, bus_writing_count, open_bus,
                                      close_bus);
    return failed + cmocka_run_group_tests_name("Kafka itself", tests, open_bus, close_bus);
}
