/*
 * The law on a real broker: validators are processes that get killed, stopped past their session
 * and woken, fenced, and left without a broker. Afterwards each record of T is exactly what a model
 * of the repeat window says: once in T.valid, once in T.dead, or repeated; and the counts that
 * stand in the notes of the committed offsets say the same.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "bus/bus.h"
#include "clock/clock.h"
#include "millrace/v1/event.pb-c.h"
#include "stage/stage.h"
#include "test.h"

enum {
    PARTS = 3,
    RECORDS_MAX = 30000,
    IDS = 400,
    ASK_MS = 20000,
    PATIENCE_MS = 40000,
    READY_MS = 5000, /* within which a broker that went away shows */
};

static const char pipeline[] = "law";
static struct broker broker;

/* What was posted to one partition, by offset. */
enum outcome { GOOD, REPEATED, DEAD, OUTCOMES };
struct line {
    uint8_t expected[RECORDS_MAX], seen[RECORDS_MAX];
    bool has_id[IDS];
    int count;
};

struct child {
    const char *name;
    pid_t pid; /* 0: not running */
    char log[64];
};

struct world {
    struct mr_bus *bus;
    struct mr_writer *writer;
    char raw[32], valid[48], dead[48];
    struct child children[2];
    struct line lines[PARTS];
};

/* ---- topics and records ---- */

static int
open_world(void **state)
{
    static int number;
    struct mr_err err = { 0 };
    struct world *w = mr_alloc(sizeof(*w));
    struct mr_bus_options options = { .bootstrap = broker.bootstrap, .client_id = "law-test" };
    struct mr_writer_options writer = { .linger_ms = -1, .queue_bytes_max = 64 << 20 };
    (void)snprintf(w->raw, sizeof(w->raw), "t%d.pin", ++number);
    (void)snprintf(w->valid, sizeof(w->valid), "%s.valid", w->raw);
    (void)snprintf(w->dead, sizeof(w->dead), "%s.dead", w->raw);
    assert_int_equal(mr_bus_open(&options, &w->bus, &err), 0);
    assert_int_equal(mr_writer_open(w->bus, &writer, &w->writer, &err), 0);
    *state = w;
    return 0;
}

static int
close_world(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < MR_COUNT(w->children); i++) {
        if (w->children[i].pid == 0)
            continue;
        (void)kill(w->children[i].pid, SIGKILL); /* the test has failed */
        (void)waitpid(w->children[i].pid, NULL, 0);
    }
    mr_writer_close(w->writer);
    mr_bus_close(w->bus);
    free(w);
    return 0;
}

static void
make_topics(struct world *w, bool with_outputs)
{
    struct mr_err err = { 0 };
    const struct mr_topic_spec specs[] = { { w->dead, PARTS, 1, NULL },
                                           { w->valid, PARTS, 1, NULL },
                                           { w->raw, PARTS, 1, NULL } };
    size_t from = with_outputs ? 0 : 2;
    if (mr_bus_create(w->bus, specs + from, MR_COUNT(specs) - from, ASK_MS, &err) != 0)
        fail_msg("%s", err.text);
}

static void
put(struct world *w, int32_t partition, const char *value, struct mr_slice header)
{
    const struct mr_message message = {
        .topic = w->raw, .partition = partition, .value = mr_slice_text(value), .header = header
    };
    struct mr_err err = { 0 };
    while (mr_writer_produce(w->writer, &message, &err) != 0) {
        assert_int_equal(err.code, MR_E(FULL));
        err = (struct mr_err){ 0 };
        (void)mr_writer_poll(w->writer, 10);
    }
}

/* One record in ten is no JSON, three in ten carry a client's id, often one that came before. */
static void
post_one(struct world *w)
{
    struct line *line = &w->lines[rand() % PARTS];
    int32_t partition = (int32_t)(line - w->lines);
    Millrace__V1__Provenance provenance = MILLRACE__V1__PROVENANCE__INIT;
    uint8_t packed[128], id[16] = { 0 };
    char value[64];
    int chance = rand() % 10, key = rand() % IDS;
    enum outcome expected = chance == 0 ? DEAD : GOOD;
    struct mr_slice header = { 0 };
    assert_true(line->count < RECORDS_MAX);
    (void)snprintf(value, sizeof(value), chance == 0 ? "not JSON %d" : "{\"index\":%d}", key);
    if (chance > 6) {
        memcpy(id, &key, sizeof(key));
        provenance.version = 1;
        provenance.event_id = (ProtobufCBinaryData){ sizeof(id), id };
        provenance.idempotency_hash = provenance.event_id;
        header = mr_slice(packed, millrace__v1__provenance__pack(&provenance, packed));
        expected = line->has_id[key] ? REPEATED : GOOD;
        line->has_id[key] = true;
    }
    line->expected[line->count++] = (uint8_t)expected;
    put(w, partition, value, header);
}

static void
post(struct world *w, int count)
{
    struct mr_err err = { 0 };
    for (int i = 0; i < count; i++)
        post_one(w);
    if (mr_writer_flush(w->writer, ASK_MS, &err) != 0)
        fail_msg("%s", err.text);
}

static int64_t
posted(const struct world *w)
{
    int64_t count = 0;
    for (int p = 0; p < PARTS; p++)
        count += w->lines[p].count;
    return count;
}

/* ---- validators ---- */

static void
start(struct child *child, const char *name)
{
    char kinds[512], program[512];
    const char *build = getenv("MILLRACE_BUILD");
    static int number;
    (void)snprintf(kinds, sizeof(kinds), "%s/kinds", build);
    (void)snprintf(program, sizeof(program), "%s/bin/millrace-validator", build);
    (void)snprintf(child->log, sizeof(child->log), "%.40s/v%d.log", broker.dir, ++number);
    child->name = name;
    child->pid = fork();
    assert_true(child->pid >= 0);
    if (child->pid > 0)
        return;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (freopen(child->log, "w", stderr) == NULL || freopen(child->log, "a", stdout) == NULL)
        _exit(126);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)execl(program, program, "--bootstrap", broker.bootstrap, "--kinds", kinds, "--pipeline",
                pipeline, "--instance", name, "--admin", "127.0.0.1:0", "--rpc", "", (char *)NULL);
    _exit(127);
}

/* The exit code, or 128 + the signal. */
static int
end(struct child *child, int with)
{
    int status;
    (void)kill(child->pid, with);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    child->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A word behind a mark in the log, such as admin=4711; false: not there yet. */
static bool
find_in_log(const struct child *child, const char *mark, char *ret, size_t size)
{
    char line[4096];
    bool found = false;
    FILE *file = fopen(child->log, "r");
    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
        const char *at = strstr(line, mark);
        found = at != NULL;
        if (found)
            (void)snprintf(ret, size, "%.*s", (int)strcspn(at + strlen(mark), " \n\""),
                           at + strlen(mark));
    }
    if (file != NULL)
        (void)fclose(file);
    return found;
}

/* What /ready answers: 200, 503; 0: no answer. */
static int
ask_ready(const struct child *child)
{
    static const char request[] = "GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    char port[16], answer[256] = "";
    int code = 0;
    if (!find_in_log(child, "admin=", port, sizeof(port)))
        return 0;
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)strtol(port, NULL, 10)) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
        write(fd, request, strlen(request)) > 0 && read(fd, answer, sizeof(answer) - 1) > 0)
        (void)sscanf(answer, "HTTP/1.1 %d", &code);
    (void)close(fd);
    return code;
}

static void
wait_ready(const struct child *child, int code, int64_t within_ms)
{
    int64_t until_ms = mr_now_ms() + within_ms;
    while (ask_ready(child) != code) {
        if (mr_now_ms() > until_ms)
            fail_msg("%s: /ready is not %d after %lld ms", child->name, code, (long long)within_ms);
        (void)usleep(20000);
    }
}

/* ---- what stands in the broker ---- */

static struct mr_counts
counts(struct world *w)
{
    struct mr_err err = { 0 };
    struct mr_counts sum = { 0 }, one;
    struct mr_offsets at[PARTS];
    char group[64];
    (void)snprintf(group, sizeof(group), "%s.validator", pipeline);
    for (int32_t p = 0; p < PARTS; p++)
        at[p] = (struct mr_offsets){ .topic = w->raw, .partition = p };
    if (mr_bus_offsets(w->bus, group, at, PARTS, ASK_MS, &err) != 0)
        fail_msg("%s", err.text);
    for (int32_t p = 0; p < PARTS; p++) {
        if (at[p].committed == MR_NO_OFFSET)
            continue;
        assert_true(mr_counts_parse(at[p].note, &one));
        assert_int_equal(one.in, at[p].committed); /* T is dense here */
        assert_int_equal(one.in, one.good + one.repeated + one.dead);
        sum.in += one.in;
        sum.good += one.good;
        sum.repeated += one.repeated;
        sum.dead += one.dead;
    }
    return sum;
}

static void
wait_in(struct world *w, int64_t count)
{
    int64_t until_ms = mr_now_ms() + PATIENCE_MS;
    while (counts(w).in < count)
        if (mr_now_ms() > until_ms)
            fail_msg("%lld of %lld judged", (long long)counts(w).in, (long long)count);
}

static void
mark(struct world *w, const Millrace__V1__Origin *origin, enum outcome outcome)
{
    assert_non_null(origin);
    assert_string_equal(origin->topic, w->raw);
    assert_in_range(origin->partition, 0, PARTS - 1);
    struct line *line = &w->lines[origin->partition];
    assert_in_range(origin->offset, 0, line->count - 1);
    if (line->seen[origin->offset] != 0)
        fail_msg("%s/%d@%lld is there twice", w->raw, (int)origin->partition,
                 (long long)origin->offset);
    line->seen[origin->offset] = (uint8_t)(1 + outcome);
}

static void
mark_record(struct world *w, const struct mr_record *record, enum outcome outcome)
{
    if (outcome == GOOD) {
        Millrace__V1__Event *event =
            millrace__v1__event__unpack(NULL, record->value.size, record->value.data);
        assert_non_null(event);
        mark(w, event->origin, outcome);
        millrace__v1__event__free_unpacked(event, NULL);
        return;
    }
    Millrace__V1__DeadLetter *letter =
        millrace__v1__dead_letter__unpack(NULL, record->value.size, record->value.data);
    assert_non_null(letter);
    mark(w, letter->origin, outcome);
    millrace__v1__dead_letter__free_unpacked(letter, NULL);
}

static void
mark_topic(struct world *w, const char *topic, enum outcome outcome)
{
    struct mr_err err = { 0 };
    struct mr_reader *reader = NULL;
    struct mr_reader_options options = { .queue_bytes_max = 32 << 20 };
    struct mr_part parts[PARTS] = { 0 };
    int64_t until_ms = mr_now_ms() + PATIENCE_MS;
    int ends = 0;
    for (int32_t p = 0; p < PARTS; p++) {
        (void)snprintf(parts[p].topic, sizeof(parts[p].topic), "%s", topic);
        parts[p].partition = p;
    }
    assert_int_equal(mr_reader_open(w->bus, &options, &reader, &err), 0);
    assert_int_equal(mr_reader_assign(reader, parts, PARTS, &err), 0);
    while (ends < PARTS) {
        struct mr_batch batch;
        assert_true(mr_now_ms() < until_ms);
        if (mr_reader_poll(reader, 1000, 100, &batch, &err) < 0)
            fail_msg("%s", err.text);
        for (size_t i = 0; i < batch.count; i++) {
            if (batch.records[i].is_end)
                ends++;
            else
                mark_record(w, &batch.records[i], outcome);
        }
    }
    mr_reader_close(reader);
}

/* Everything that was posted is what the model says, and the notes say so too. */
static void
assert_law(struct world *w)
{
    int64_t expected[OUTCOMES] = { 0 };
    wait_in(w, posted(w));
    mark_topic(w, w->valid, GOOD);
    mark_topic(w, w->dead, DEAD);
    for (int p = 0; p < PARTS; p++) {
        const struct line *line = &w->lines[p];
        for (int o = 0; o < line->count; o++) {
            int seen = line->seen[o] == 0 ? REPEATED : line->seen[o] - 1;
            expected[line->expected[o]]++;
            if (seen != line->expected[o])
                fail_msg("%s/%d@%d is %d, expected %d", w->raw, p, o, seen, line->expected[o]);
        }
    }
    struct mr_counts told = counts(w);
    assert_int_equal(told.in, posted(w));
    assert_int_equal(told.good, expected[GOOD]);
    assert_int_equal(told.repeated, expected[REPEATED]);
    assert_int_equal(told.dead, expected[DEAD]);
}

/* ---- the tests ---- */

static void
validators_killed_at_any_moment_lose_and_double_nothing(void **state)
{
    enum { KILLS = 10, LOAD = 1500 };
    static const char *const names[] = { "a", "b" };
    struct world *w = *state;
    struct child *children = w->children;
    make_topics(w, true);
    for (int i = 0; i < 2; i++)
        start(&children[i], names[i]);
    for (int i = 0; i < KILLS; i++) {
        int64_t before = posted(w);
        post(w, LOAD);
        struct child *victim = &children[rand() % 2];
        wait_in(w, before - LOAD / 2 + rand() % (LOAD / 2));
        assert_int_equal(end(victim, SIGKILL), 128 + SIGKILL);
        start(victim, victim->name);
    }
    assert_law(w);
    for (int i = 0; i < 2; i++)
        assert_int_equal(end(&children[i], SIGTERM), 0);
}

static void
partitions_that_move_between_instances_lose_and_double_nothing(void **state)
{
    enum { MOVES = 3, LOAD = 2000 };
    struct world *w = *state;
    struct child *stays = &w->children[0], *comes = &w->children[1];
    make_topics(w, true);
    start(stays, "a");
    for (int i = 0; i < MOVES; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "c%d", i);
        post(w, LOAD);
        start(comes, name); /* a name of its own: the group rebalances at once */
        wait_ready(comes, 200, PATIENCE_MS);
        post(w, LOAD);
        wait_in(w, posted(w) - LOAD / 2);
        assert_int_equal(end(comes, SIGTERM), 0);
    }
    assert_law(w);
    assert_int_equal(end(stays, SIGTERM), 0);
}

static void
one_that_wakes_after_its_session_adds_nothing(void **state)
{
    enum { LOAD = 4000 };
    struct world *w = *state;
    struct child *sleeper = &w->children[0], *other = &w->children[1];
    make_topics(w, true);
    start(sleeper, "a");
    start(other, "b");
    post(w, LOAD);
    wait_in(w, 100);
    assert_int_equal(kill(sleeper->pid, SIGSTOP), 0);
    post(w, LOAD);
    wait_in(w, posted(w)); /* all of it by the other: the sleeper's session is over */
    assert_int_equal(kill(sleeper->pid, SIGCONT), 0);
    post(w, LOAD);
    wait_in(w, posted(w));
    wait_ready(sleeper, 200, PATIENCE_MS);
    post(w, LOAD);
    assert_law(w);
    assert_int_equal(end(sleeper, SIGTERM), 0);
    assert_int_equal(end(other, SIGTERM), 0);
}

static void
two_of_one_name_end_with_one_and_a_loud_line(void **state)
{
    enum { LOAD = 1000 };
    struct world *w = *state;
    struct child *first = &w->children[0], *second = &w->children[1];
    char why[256];
    int status = 0;
    make_topics(w, true);
    start(first, "a");
    post(w, LOAD);
    wait_in(w, LOAD);
    start(second, "a");
    wait_ready(second, 200, PATIENCE_MS);
    post(w, LOAD);
    int64_t until_ms = mr_now_ms() + PATIENCE_MS;
    while (waitpid(first->pid, &status, WNOHANG) == 0)
        assert_true(mr_now_ms() < until_ms);
    first->pid = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_true(find_in_log(first, "event=fatal", why, sizeof(why)));
    assert_law(w);
    assert_int_equal(end(second, SIGTERM), 0);
}

/* The broker that comes back knows of a member what it had written last, which may be a former one
 * of that name: the process goes on all the same, as nobody else has taken its name. */
static void
a_broker_that_dies_again_and_again_shows_within_5_s_and_ends_no_process(void **state)
{
    enum { LOAD = 2000, KILLS = 4 };
    struct world *w = *state;
    struct child *child = &w->children[0];
    make_topics(w, true);
    start(child, "a");
    wait_ready(child, 200, PATIENCE_MS);
    for (int i = 0; i < KILLS; i++) {
        int64_t before = posted(w);
        post(w, LOAD);
        wait_in(w, before + rand() % LOAD);
        assert_true(broker_tool(&broker, "kill", ""));
        wait_ready(child, 503, READY_MS);
        assert_true(broker_tool(&broker, "start", ""));
        wait_ready(child, 200, PATIENCE_MS);
    }
    post(w, LOAD);
    assert_law(w);
    assert_int_equal(end(child, SIGTERM), 0);
}

static void
an_input_without_outputs_waits_and_flows_within_5_s_of_their_coming(void **state)
{
    enum { LOAD = 100 };
    struct world *w = *state;
    struct child *child = &w->children[0];
    make_topics(w, false);
    start(child, "a");
    wait_ready(child, 503, PATIENCE_MS);
    post(w, LOAD);
    make_topics(w, true);
    int64_t made_ms = mr_now_ms();
    wait_in(w, 1);
    assert_in_range(mr_now_ms() - made_ms, 0, READY_MS);
    assert_law(w);
    wait_ready(child, 200, READY_MS);
    assert_int_equal(end(child, SIGTERM), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(validators_killed_at_any_moment_lose_and_double_nothing,
                                        open_world, close_world),
        cmocka_unit_test_setup_teardown(
            partitions_that_move_between_instances_lose_and_double_nothing, open_world,
            close_world),
        cmocka_unit_test_setup_teardown(one_that_wakes_after_its_session_adds_nothing, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(two_of_one_name_end_with_one_and_a_loud_line, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(
            a_broker_that_dies_again_and_again_shows_within_5_s_and_ends_no_process, open_world,
            close_world),
        cmocka_unit_test_setup_teardown(
            an_input_without_outputs_waits_and_flows_within_5_s_of_their_coming, open_world,
            close_world),
    };
    unsigned seed = (unsigned)mr_wall_us();
    broker_start(&broker, "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000\n");
    printf("seed %u\n", seed);
    srand(seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
