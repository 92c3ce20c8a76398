/*
 * See gate.h. Every wait ends after ten seconds in a failed test.
 */
#include "gate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS_MAX = 10000, TEXT_MAX = 64 << 20, PATH_BYTES = 4096 };

static int64_t
real_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the door ---- */

static struct mr_plan *
make_plan(const struct gate_wish *wish)
{
    char path[] = "/tmp/millrace-plan-XXXXXX";
    struct mr_plan *plan = NULL;
    struct mr_err err = { 0 };
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    dprintf(fd, "{\"partitions\":%d,\"replicas\":%d,\"settings\":{\"max.message.bytes\":%lld}}",
            wish->partitions > 0 ? wish->partitions : 1, wish->replicas > 0 ? wish->replicas : 1,
            (long long)(wish->record_bytes_max > 0 ? wish->record_bytes_max : 1048588));
    (void)close(fd);
    if (mr_plan_open(path, &plan, &err) != 0)
        fail_msg("%s", err.text);
    (void)unlink(path);
    return plan;
}

static void
make_topic(struct gate *gate, const char *topic)
{
    struct mr_topic_name name;
    struct mr_err err = { 0 };
    assert_true(mr_topic_parse(topic, &name));
    if (mr_plan_make(gate->plan, gate->bus, name.tenant, name.kind, WAIT_MS_MAX, &err) != 0)
        fail_msg("%s", err.text);
}

void
gate_open(struct gate *gate, const struct gate_wish *wish)
{
    static char kinds[PATH_BYTES];
    struct mr_err err = { 0 };
    const char *folder = getenv(wish->strict != NULL ? "MILLRACE_BUILD" : "MILLRACE_SOURCE");
    assert_non_null(folder);
    (void)snprintf(kinds, sizeof(kinds), wish->strict != NULL ? "%s/kinds" : "%s/proto/kinds",
                   folder);
    *gate = (struct gate){ .bus = wish->bus != NULL ? wish->bus : mr_bus_memory(),
                           .plan = make_plan(wish),
                           .is_guest = wish->is_guest };
    gate->metrics = mr_metrics_open(gateway_metrics, gateway_metrics_count);
    if (wish->topic != NULL)
        make_topic(gate, wish->topic);
    struct door_options options = {
        .bus = gate->bus,
        .plan = gate->plan,
        .host = "127.0.0.1",
        .kinds = kinds,
        .strict = wish->strict,
        .query = wish->query,
        .policy = wish->policy,
        .tls = wish->tls,
        .auto_topics = wish->auto_topics,
        .consumers_max = wish->consumers_max,
        .consumer_idle_ms = wish->consumer_idle_ms,
        .pipeline = "mill",
        .delivery_ms_max = wish->delivery_ms_max,
        .in_flight_bytes_max = wish->in_flight_bytes_max > 0 ? wish->in_flight_bytes_max : 24 << 20,
        .receipts_bytes_max = wish->receipts_bytes_max > 0 ? wish->receipts_bytes_max : 8 << 20,
        .access_log = wish->access_log,
        .metrics = gate->metrics,
    };
    if (door_open(&options, &gate->door, &err) != 0)
        fail_msg("%s", err.text);
}

void
gate_close(struct gate *gate)
{
    door_close(gate->door);
    if (!gate->is_guest)
        mr_bus_close(gate->bus);
    mr_plan_close(gate->plan);
    mr_metrics_close(gate->metrics);
}

void
gate_await(struct gate *gate, bool (*fact)(void *self), void *self)
{
    int64_t deadline_ms = real_ms() + WAIT_MS_MAX;
    while (!fact(self)) {
        (void)door_step(gate->door, 1);
        assert_true(real_ms() < deadline_ms);
    }
}

/* ---- the client ---- */

int
gate_send(struct gate *gate, const char *method, const char *path, const char *headers,
          struct mr_slice body)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)door_port(gate->door)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct mr_buf text;
    int64_t deadline_ms = real_ms() + WAIT_MS_MAX;
    mr_buf_init(&text, TEXT_MAX);
    mr_buf_printf(&text, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s", method, path,
                  headers);
    mr_buf_printf(&text, "Content-Length: %zu\r\n\r\n", body.size);
    mr_buf_put(&text, body.data, body.size);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    for (size_t at = 0; at < text.size;) {
        ssize_t count = send(fd, text.data + at, text.size - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        at += count > 0 ? (size_t)count : 0;
        (void)door_step(gate->door, 0);
        assert_true(real_ms() < deadline_ms);
    }
    mr_buf_fini(&text);
    return fd;
}

void
gate_receive(struct gate *gate, int fd, struct answer *ret)
{
    int64_t deadline_ms = real_ms() + WAIT_MS_MAX;
    char piece[65536];
    ssize_t count = -1;
    *ret = (struct answer){ 0 };
    mr_buf_init(&ret->text, TEXT_MAX);
    while (count != 0) {
        (void)door_step(gate->door, 1);
        count = recv(fd, piece, sizeof(piece), MSG_DONTWAIT);
        if (count > 0)
            mr_buf_put(&ret->text, piece, (size_t)count);
        assert_true(count >= 0 || errno == EAGAIN);
        assert_true(real_ms() < deadline_ms);
    }
    (void)close(fd);
    assert_true(ret->text.size > 12);
    ret->status = (int)strtol(ret->text.data + 9, NULL, 10);
    ret->body = strstr(ret->text.data, "\r\n\r\n");
    assert_non_null(ret->body);
    ret->body += 4;
}

bool
gate_is_silent(struct gate *gate, int fd)
{
    char byte;
    for (int i = 0; i < 5; i++)
        (void)door_step(gate->door, 0);
    return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

void
gate_call(struct gate *gate, const char *method, const char *path, const char *headers,
          struct mr_slice body, struct answer *ret)
{
    gate_receive(gate, gate_send(gate, method, path, headers, body), ret);
}

void
answer_fini(struct answer *answer)
{
    mr_buf_fini(&answer->text);
}

/* ---- what is stored ---- */

static void
keep(struct stored *stored, const struct mr_record *record, int32_t partition)
{
    size_t i = stored->count++;
    assert_true(i < GATE_RECORDS_MAX);
    mr_buf_init(&stored->keys[i], TEXT_MAX);
    mr_buf_init(&stored->values[i], TEXT_MAX);
    mr_buf_put(&stored->keys[i], record->key.data, record->key.size);
    mr_buf_put(&stored->values[i], record->value.data, record->value.size);
    stored->has_key[i] = record->key.data != NULL;
    stored->has_value[i] = record->value.data != NULL;
    stored->partitions[i] = partition;
    stored->provenance[i] =
        millrace__v1__provenance__unpack(NULL, record->header.size, record->header.data);
    assert_non_null(stored->provenance[i]);
    assert_int_equal(stored->provenance[i]->version, 1);
    assert_int_equal(stored->provenance[i]->event_id.len, 16);
    assert_true(stored->provenance[i]->value_hash ==
                mr_hash64(record->value.data, record->value.size, 0));
}

void
stored_read(struct gate *gate, const char *topic, struct stored *ret)
{
    struct mr_err err = { 0 };
    struct mr_reader *reader = NULL;
    struct mr_reader_options options = { .queue_bytes_max = TEXT_MAX };
    MR_CLEANUP(mr_freep) struct mr_topic *topics = NULL;
    size_t count = 0;
    int partitions = 0;

    *ret = (struct stored){ 0 };
    assert_int_equal(mr_bus_topics(gate->bus, &topics, &count, 1000, &err), 0);
    for (size_t i = 0; i < count; i++)
        if (strcmp(topics[i].name, topic) == 0)
            partitions = topics[i].partitions;
    assert_int_equal(mr_reader_open(gate->bus, &options, &reader, &err), 0);
    for (int p = 0; p < partitions; p++) {
        struct mr_part part = { .partition = p };
        struct mr_batch batch = { 0 };
        bool is_end = false;
        (void)snprintf(part.topic, sizeof(part.topic), "%s", topic);
        assert_int_equal(mr_reader_assign(reader, &part, 1, &err), 0);
        while (!is_end) {
            assert_true(mr_reader_poll(reader, 100, 1000, &batch, &err) > 0);
            for (size_t i = 0; i < batch.count && !is_end; i++) {
                is_end = batch.records[i].is_end;
                if (!is_end)
                    keep(ret, &batch.records[i], p);
            }
        }
    }
    mr_reader_close(reader);
}

void
stored_fini(struct stored *stored)
{
    for (size_t i = 0; i < stored->count; i++) {
        mr_buf_fini(&stored->keys[i]);
        mr_buf_fini(&stored->values[i]);
        millrace__v1__provenance__free_unpacked(stored->provenance[i], NULL);
    }
}
