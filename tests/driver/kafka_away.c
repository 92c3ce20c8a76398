/*
 * Processes that are killed or stopped in a transaction, members that were away too long. None of
 * them may commit when somebody else has taken over. A second process is this program again,
 * started with a role.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kafka_tests.h"

enum { SHORT_TXN_MS = 3000 };

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

int
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

const struct CMUnitTest kafka_away[] = {
    cmocka_unit_test(killed_name_that_returns_frees_the_partition_at_once),
    cmocka_unit_test(killed_name_that_never_returns_delays_by_the_timeout_only),
    cmocka_unit_test(process_stopped_past_its_session_never_commits),
    cmocka_unit_test(static_member_stopped_past_its_session_never_commits),
    cmocka_unit_test(process_whose_name_was_taken_never_commits),
    cmocka_unit_test(member_not_polled_too_long_never_commits),
    cmocka_unit_test(member_that_polls_again_is_told_of_the_loss_before_it_can_commit),
};
const size_t kafka_away_count = MR_COUNT(kafka_away);
