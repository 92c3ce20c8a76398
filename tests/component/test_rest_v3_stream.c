/*
 * Records of v3 on a connection that stays open: chunks in, answers out, in order.
 */
#include "gate.h"

#include "clock/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define T       "12b287eedf6d.pin"
#define RECORDS "/v3/clusters/memory/topics/" T "/records"
#define VALUE   "{\"value\":{\"type\":\"JSON\",\"data\":1}}"

enum { MANY = 3000, RECORD_MAX = 2 << 20, WAIT_MS_MAX = 10000, HEAD_BYTES = 1024 };

struct client {
    struct gate *gate;
    int fd;
    bool is_closed; /* by the server */
    struct mr_buf text;
};

static int64_t
real_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
receive(struct client *client)
{
    char piece[65536];
    ssize_t count;
    (void)door_step(client->gate->door, 1);
    while ((count = recv(client->fd, piece, sizeof(piece), MSG_DONTWAIT)) > 0)
        mr_buf_put(&client->text, piece, (size_t)count);
    client->is_closed = client->is_closed || count == 0 || errno != EAGAIN;
}

/* A server that has closed takes no more: that is no fault here. */
static void
say(struct client *client, const void *data, size_t size)
{
    int64_t deadline_ms = real_ms() + WAIT_MS_MAX;
    for (size_t at = 0; at < size && !client->is_closed;) {
        ssize_t count =
            send(client->fd, (const char *)data + at, size - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        at += count > 0 ? (size_t)count : 0;
        receive(client);
        assert_true(real_ms() < deadline_ms);
    }
}

static void
say_chunk(struct client *client, const void *data, size_t size)
{
    char line[24];
    int length = snprintf(line, sizeof(line), "%zx\r\n", size);
    say(client, line, (size_t)length);
    say(client, data, size);
    say(client, "\r\n", 2);
}

static void
say_text(struct client *client, const char *text)
{
    say_chunk(client, text, strlen(text));
}

static void
client_open(struct client *client, struct gate *gate, const char *path, const char *headers)
{
    char head[HEAD_BYTES];
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)door_port(gate->door)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    *client = (struct client){ .gate = gate };
    mr_buf_init(&client->text, 16 << 20);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    int size = snprintf(head, sizeof(head),
                        "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n%s\r\n", path,
                        headers);
    say(client, head, (size_t)size);
}

static void
client_close(struct client *client)
{
    (void)close(client->fd);
    mr_buf_fini(&client->text);
}

static bool
has(const struct client *client, const char *words)
{
    return client->text.size > 0 && strstr(client->text.data, words) != NULL;
}

static void
await(struct client *client, const char *words)
{
    int64_t deadline_ms = real_ms() + WAIT_MS_MAX;
    while (!has(client, words)) {
        receive(client);
        if (real_ms() >= deadline_ms)
            fail_msg("%s is not in %s", words, client->text.size > 0 ? client->text.data : "");
    }
}

static void
await_close(struct client *client)
{
    int64_t deadline_ms = real_ms() + WAIT_MS_MAX;
    while (!client->is_closed) {
        receive(client);
        assert_true(real_ms() < deadline_ms);
    }
}

static void
finish(struct client *client)
{
    say(client, "0\r\n\r\n", 5);
    await(client, "\r\n0\r\n\r\n");
}

/* The objects in the chunks of the answer, as a list. */
static json_t *
answers(const struct client *client)
{
    json_t *list = json_array();
    const char *at = strstr(client->text.data, "\r\n\r\n");
    assert_non_null(at);
    for (at += 4; *at != '\0';) {
        char *line_end;
        size_t size = strtoul(at, &line_end, 16);
        const char *object = line_end + 2, *end = object + size;
        while (object < end) {
            json_error_t where;
            json_t *one =
                json_loadb(object, (size_t)(end - object), JSON_DISABLE_EOF_CHECK, &where);
            if (one == NULL)
                fail_msg("%s", object);
            (void)json_array_append_new(list, one);
            object += where.position + 1;
        }
        at = end + 2;
    }
    return list;
}

static json_int_t
number(const json_t *list, size_t i, const char *field)
{
    return json_integer_value(json_object_get(json_array_get(list, i), field));
}

static void
answers_leave_while_the_connection_stays_open(void **state)
{
    (void)state;
    struct gate gate;
    struct client client;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    client_open(&client, &gate, "/kafka" RECORDS, "Content-Type: application/json\r\n");
    for (int i = 0; i < 3; i++) {
        char words[32];
        (void)snprintf(words, sizeof(words), "\"offset\":%d,", i);
        say_text(&client, VALUE "\r\n");
        await(&client, words);
    }
    assert_true(has(&client, "HTTP/1.1 200 OK\r\n"));
    assert_true(has(&client, "Content-Type: application/json\r\n"));
    finish(&client);
    json_t *list = answers(&client);
    assert_int_equal(json_array_size(list), 3);
    json_decref(list);
    client_close(&client);
    gate_close(&gate);
}

static void
no_answer_leaves_before_its_record_is_stored(void **state)
{
    (void)state;
    struct gate gate;
    struct client client;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    client_open(&client, &gate, RECORDS, "");
    say_text(&client, VALUE);
    await(&client, "\"offset\":0,");
    mr_bus_memory_hold(gate.bus, true);
    say_text(&client, VALUE VALUE);
    say_text(&client, VALUE);
    for (int i = 0; i < 20; i++)
        receive(&client);
    assert_false(has(&client, "\"offset\":1,"));
    mr_bus_memory_hold(gate.bus, false);
    await(&client, "\"offset\":3,");
    finish(&client);
    client_close(&client);
    gate_close(&gate);
}

static void
record_may_be_cut_anywhere(void **state)
{
    (void)state;
    static const char body[] = "{\"key\":{\"type\":\"STRING\",\"data\":\"}\\\"]{\"},\"value\":{"
                               "\"type\":\"JSON\",\"data\":[\"\\\\\",{\"a\":\"}\"}]}} \n" VALUE;
    struct gate gate;
    struct client client;
    struct stored stored;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    client_open(&client, &gate, RECORDS, "");
    for (size_t i = 0; i + 1 < sizeof(body); i++)
        say_chunk(&client, &body[i], 1);
    finish(&client);
    json_t *list = answers(&client);
    assert_int_equal(json_array_size(list), 2);
    assert_int_equal(number(list, 0, "error_code"), 200);
    assert_int_equal(number(list, 1, "offset"), 1);
    stored_read(&gate, T, &stored);
    assert_string_equal(stored.keys[0].data, "}\"]{");
    assert_string_equal(stored.values[0].data, "[\"\\\\\",{\"a\":\"}\"}]");
    stored_fini(&stored);
    json_decref(list);
    client_close(&client);
    gate_close(&gate);
}

/* Every seventh record is refused; its place in the answer is its own. */
static void
many_records_in_chunks_of_any_size_are_answered_in_order(void **state)
{
    (void)state;
    struct gate gate;
    struct client client;
    struct mr_buf body;
    gate_open(&gate, &(struct gate_wish){ .topic = T, .partitions = 3 });
    mr_buf_init(&body, 1 << 20);
    for (int i = 0; i < MANY; i++)
        mr_buf_printf(&body,
                      i % 7 == 0 ? "{\"valu\":%d}"
                                 : "{\"partition_id\":0,\"value\":{\"type\":"
                                   "\"JSON\",\"data\":%d}}",
                      i);
    client_open(&client, &gate, RECORDS, "");
    for (size_t at = 0, size = 1; at < body.size; at += size, size = size * 7 % 9973) {
        size = size < body.size - at ? size : body.size - at;
        say_chunk(&client, body.data + at, size);
    }
    finish(&client);
    json_t *list = answers(&client);
    json_int_t offset = 0;
    assert_int_equal(json_array_size(list), MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(number(list, i, "error_code"), i % 7 == 0 ? 400 : 200);
        if (i % 7 != 0)
            assert_int_equal(number(list, i, "offset"), offset++);
    }
    json_decref(list);
    client_close(&client);
    mr_buf_fini(&body);
    gate_close(&gate);
}

static void
one_record_alone_in_chunks_has_its_own_status(void **state)
{
    (void)state;
    static const struct {
        const char *path, *body, *words[2];
    } cases[] = {
        { RECORDS, VALUE "\n", { "HTTP/1.1 200 OK\r\n", "{\"error_code\":200," } },
        { RECORDS, "{}", { "HTTP/1.1 400 Bad Request\r\n", "value is missing" } },
        { RECORDS, "", { "HTTP/1.1 422 ", "{\"error_code\":42206," } },
        { RECORDS, "{\"value\":", { "HTTP/1.1 400 ", "is not closed" } },
        { RECORDS, "7", { "HTTP/1.1 400 ", "which begins with '{'" } },
        { "/v3/clusters/memory/topics/a.pin/records", VALUE, { "HTTP/1.1 404 ", "40401" } },
        { "/v3/clusters/other/topics/a.pin/records", VALUE, { "HTTP/1.1 404 ", "Cluster other" } },
    };
    struct gate gate;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        char body[256];
        struct client client;
        (void)snprintf(body, sizeof(body), "%zx\r\n%s\r\n0\r\n\r\n", strlen(cases[i].body),
                       cases[i].body);
        client_open(&client, &gate, cases[i].path, "Connection: close\r\n");
        if (cases[i].body[0] == '\0')
            say(&client, "0\r\n\r\n", 5);
        else
            say(&client, body, strlen(body));
        await_close(&client);
        for (size_t j = 0; j < 2; j++)
            if (!has(&client, cases[i].words[j]))
                fail_msg("%s: %s", cases[i].body, client.text.data);
        client_close(&client);
    }
    gate_close(&gate);
}

static void
what_is_no_record_ends_the_stream_behind_the_answers_before_it(void **state)
{
    (void)state;
    struct gate gate;
    struct client client;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    client_open(&client, &gate, RECORDS, "");
    say_text(&client, VALUE);
    await(&client, "\"offset\":0,");
    say_text(&client, VALUE ",");
    await_close(&client);
    json_t *list = answers(&client);
    assert_int_equal(json_array_size(list), 3);
    assert_int_equal(number(list, 1, "offset"), 1);
    assert_int_equal(number(list, 2, "error_code"), 400);
    assert_true(has(&client, "nothing from here on was read"));
    json_decref(list);
    client_close(&client);
    gate_close(&gate);
}

static void
what_concerns_all_is_told_of_each_record(void **state)
{
    (void)state;
    struct gate gate;
    struct client client;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    client_open(&client, &gate, "/v3/clusters/memory/topics/a.pin/records", "");
    say_text(&client, VALUE VALUE);
    await(&client, "Topic a.pin not found");
    say_text(&client, VALUE);
    finish(&client);
    json_t *list = answers(&client);
    assert_int_equal(json_array_size(list), 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(number(list, i, "error_code"), 40401);
    json_decref(list);
    client_close(&client);
    gate_close(&gate);
}

/* A record of size bytes. */
static void
say_large(struct client *client, size_t size)
{
    static const char head[] = "{\"value\":{\"type\":\"STRING\",\"data\":\"", tail[] = "\"}}";
    size_t rest = size - strlen(head) - strlen(tail);
    MR_CLEANUP(mr_freep) char *text = mr_alloc(rest + 1);
    memset(text, 'x', rest);
    say_text(client, head);
    say_chunk(client, text, rest);
    say_text(client, tail);
}

static void
record_may_have_two_mebibytes_at_most(void **state)
{
    (void)state;
    struct gate gate;
    struct client client;
    gate_open(&gate, &(struct gate_wish){ .topic = T, .record_bytes_max = 4 << 20 });
    client_open(&client, &gate, RECORDS, "");
    say_large(&client, RECORD_MAX);
    await(&client, "\"offset\":0,");
    say_large(&client, RECORD_MAX + 1);
    await_close(&client);
    assert_true(
        has(&client, "{\"error_code\":413,\"message\":\"a record of a stream may have 2 MiB"));
    client_close(&client);
    gate_close(&gate);
}

static void
record_that_the_topic_does_not_take_leaves_the_stream_open(void **state)
{
    (void)state;
    struct gate gate;
    struct client client;
    gate_open(&gate, &(struct gate_wish){ .topic = T, .record_bytes_max = 2000 });
    client_open(&client, &gate, RECORDS, "");
    say_large(&client, 3000);
    await(&client, "{\"error_code\":413,");
    say_text(&client, VALUE);
    await(&client, "\"offset\":0,");
    finish(&client);
    client_close(&client);
    gate_close(&gate);
}

static bool
is_idle(void *self)
{
    struct gate *gate = self;
    struct mr_buf status;
    mr_buf_init(&status, 1 << 16);
    door_status(gate->door, &status);
    bool is_waiting =
        strstr(status.data, "\"requests_waiting\":0,\"in_flight_bytes\":0,") == NULL ||
        strstr(status.data, "\"connections\":0") == NULL;
    mr_buf_fini(&status);
    return !is_waiting;
}

static bool
are_both_halves_held(void *self)
{
    struct gate *gate = self;
    struct mr_buf status;
    mr_buf_init(&status, 1 << 16);
    door_status(gate->door, &status);
    bool are_held = strstr(status.data, "\"streamed_bytes\":2000,") != NULL;
    mr_buf_fini(&status);
    return are_held;
}

static void
what_all_streams_hold_is_bounded(void **state)
{
    (void)state;
    enum { IN_FLIGHT = 8000, SHARE = IN_FLIGHT / 4 };
    static const char half[SHARE] = "{\"value\":\"";
    struct gate gate;
    struct client first, second;
    struct answer answer;
    gate_open(&gate, &(struct gate_wish){ .topic = T, .in_flight_bytes_max = IN_FLIGHT });
    client_open(&first, &gate, RECORDS, "");
    client_open(&second, &gate, RECORDS, "");
    say_chunk(&first, half, SHARE / 2);
    say_chunk(&second, half, SHARE / 2);
    gate_await(&gate, are_both_halves_held, &gate);
    receive(&first);
    assert_int_equal(first.text.size, 0);
    say_chunk(&second, half, 1);
    await(&second, "{\"error_code\":50003,");
    assert_true(has(&second, "HTTP/1.1 503 "));
    await_close(&second);
    client_close(&second);
    gate_call(&gate, "POST", RECORDS, "", MR_SLICE(VALUE), &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    client_close(&first);
    gate_await(&gate, is_idle, &gate);
    gate_close(&gate);
}

static void
client_that_goes_leaves_nothing_behind(void **state)
{
    (void)state;
    struct gate gate;
    struct client client;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    for (int round = 0; round < 2; round++) {
        mr_bus_memory_hold(gate.bus, round == 1);
        client_open(&client, &gate, RECORDS, "");
        say_text(&client, VALUE VALUE "{\"value\":");
        for (int i = 0; i < 10; i++)
            receive(&client);
        client_close(&client);
        for (int i = 0; i < 10; i++)
            (void)door_step(gate.door, 1);
        mr_bus_memory_hold(gate.bus, false);
        gate_await(&gate, is_idle, &gate);
    }
    gate_close(&gate);
}

static void
stream_sent_again_with_its_key_adds_nothing(void **state)
{
    (void)state;
    struct gate gate;
    struct client client;
    struct stored stored;
    gate_open(&gate, &(struct gate_wish){ .topic = T });
    for (int round = 0; round < 2; round++) {
        client_open(&client, &gate, RECORDS, "Idempotency-Key: k\r\n");
        say_text(&client, VALUE);
        await(&client, "\"offset\":0,");
        say_text(&client, VALUE VALUE);
        await(&client, "\"offset\":2,");
        finish(&client);
        client_close(&client);
    }
    stored_read(&gate, T, &stored);
    assert_int_equal(stored.count, 3);
    for (size_t i = 1; i < 3; i++)
        assert_memory_not_equal(stored.provenance[0]->event_id.data,
                                stored.provenance[i]->event_id.data, 16);
    stored_fini(&stored);
    gate_close(&gate);
}

/* A record of 2000 bytes. */
static void
say_2000(struct client *client)
{
    char text[2001];
    int size =
        snprintf(text, sizeof(text), "{\"value\":{\"type\":\"JSON\",\"data\":\"%01965d\"}}", 0);
    assert_int_equal(size, 2000);
    say_text(client, text);
}

static void
a_stream_is_held_to_the_limits_of_its_sender(void **state)
{
    (void)state;
    static const char policy[] = "{\"anonymous\":{\"grants\":[{\"tenants\":[\"*\"],\"kinds\":"
                                 "[\"*\"],\"rights\":[\"produce\"]}],\"limits\":"
                                 "{\"bytes_per_s\":1000,\"burst_s\":3}}}";
    char path[] = "/tmp/millrace-limits-XXXXXX";
    struct gate gate;
    struct client client;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, policy, sizeof(policy) - 1), sizeof(policy) - 1);
    mr_clock_hold(1000, 0);
    gate_open(&gate, &(struct gate_wish){ .topic = T, .policy = path });
    client_open(&client, &gate, RECORDS, "");
    say_2000(&client);
    await(&client, "\"offset\":0");
    mr_clock_crank(1000);
    say_2000(&client);
    await(&client, "\"offset\":1");
    say_2000(&client);
    await(&client, "{\"error_code\":429,");
    await_close(&client);
    assert_false(has(&client, "\"offset\":2"));
    client_close(&client);
    gate_close(&gate);
    mr_clock_release();
    (void)close(fd);
    (void)unlink(path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_leave_while_the_connection_stays_open),
        cmocka_unit_test(no_answer_leaves_before_its_record_is_stored),
        cmocka_unit_test(record_may_be_cut_anywhere),
        cmocka_unit_test(many_records_in_chunks_of_any_size_are_answered_in_order),
        cmocka_unit_test(one_record_alone_in_chunks_has_its_own_status),
        cmocka_unit_test(what_is_no_record_ends_the_stream_behind_the_answers_before_it),
        cmocka_unit_test(what_concerns_all_is_told_of_each_record),
        cmocka_unit_test(record_may_have_two_mebibytes_at_most),
        cmocka_unit_test(record_that_the_topic_does_not_take_leaves_the_stream_open),
        cmocka_unit_test(what_all_streams_hold_is_bounded),
        cmocka_unit_test(client_that_goes_leaves_nothing_behind),
        cmocka_unit_test(stream_sent_again_with_its_key_adds_nothing),
        cmocka_unit_test(a_stream_is_held_to_the_limits_of_its_sender),
    };
    return cmocka_run_group_tests_name("streams of rest v3", tests, NULL, NULL);
}
