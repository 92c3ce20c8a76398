/*
 * For the fuzz targets of the gateway's bodies: a door on a bus in memory, one request at a time.
 * Records stay in memory for ever, so the whole is made anew from time to time.
 */
#ifndef MR_FUZZ_DOOR_H
#define MR_FUZZ_DOOR_H

#include "bus/memory.h"
#include "gateway/door.h"
#include "gateway/reply.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FUZZ_TOPIC "t.pin"
enum { DOOR_RUNS_MAX = 2000, DOOR_ANSWER_BYTES = 1 << 20 };

static struct {
    struct mr_bus *bus;
    struct mr_plan *plan;
    struct mr_metrics *metrics;
    struct door *door;
    const char *policy; /* file; NULL: none */
    int runs;
    char answer[DOOR_ANSWER_BYTES];
    size_t answer_size;
} fuzz;

static inline struct mr_plan *
fuzz_plan(struct mr_err *err)
{
    char path[] = "/tmp/millrace-fuzz-XXXXXX";
    struct mr_plan *plan = NULL;
    int fd = mkstemp(path);
    MR_ASSERT(fd >= 0);
    dprintf(fd, "{\"partitions\":1,\"replicas\":1}");
    (void)close(fd);
    int code = mr_plan_open(path, &plan, err);
    MR_ASSERT(code == 0);
    (void)unlink(path);
    return plan;
}

static inline void
fuzz_open(void)
{
    struct mr_err err = { 0 };
    if (fuzz.door != NULL && fuzz.runs++ < DOOR_RUNS_MAX)
        return;
    door_close(fuzz.door);
    mr_bus_close(fuzz.bus);
    mr_plan_close(fuzz.plan);
    mr_metrics_close(fuzz.metrics);
    fuzz.runs = 0;
    fuzz.bus = mr_bus_memory();
    fuzz.plan = fuzz_plan(&err);
    fuzz.metrics = mr_metrics_open(gateway_metrics, gateway_metrics_count);
    int code = mr_plan_make(fuzz.plan, fuzz.bus, "t", "pin", 1000, &err);
    MR_ASSERT(code == 0);
    struct door_options options = { .bus = fuzz.bus,
                                    .plan = fuzz.plan,
                                    .host = "127.0.0.1",
                                    .kinds = "/nonexistent",
                                    .policy = fuzz.policy,
                                    .in_flight_bytes_max = 1 << 24,
                                    .metrics = fuzz.metrics };
    code = door_open(&options, &fuzz.door, &err);
    MR_ASSERT(code == 0);
}

static inline int64_t
fuzz_stored(void)
{
    struct mr_offsets offsets = { .topic = FUZZ_TOPIC };
    struct mr_err err = { 0 };
    int code = mr_bus_offsets(fuzz.bus, NULL, &offsets, 1, 1000, &err);
    MR_ASSERT(code == 0);
    return offsets.end;
}

/* Sends a whole request and waits for the end of the answer; its status. */
static inline int
fuzz_send(const char *head, const uint8_t *body, size_t size)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)door_port(fuzz.door)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct linger abort_at_once = { .l_onoff = 1 };
    ssize_t length = (ssize_t)strlen(head);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_at_once, sizeof(abort_at_once));
    int failed = connect(fd, (struct sockaddr *)&address, sizeof(address));
    MR_ASSERT(failed == 0);
    ssize_t sent = send(fd, head, (size_t)length, MSG_NOSIGNAL);
    MR_ASSERT(sent == length);
    sent = send(fd, body, size, MSG_NOSIGNAL);
    MR_ASSERT(sent == (ssize_t)size);
    ssize_t count = -1;
    for (fuzz.answer_size = 0; count != 0;) {
        (void)door_step(fuzz.door, 1);
        count = recv(fd, fuzz.answer + fuzz.answer_size, DOOR_ANSWER_BYTES - 1 - fuzz.answer_size,
                     MSG_DONTWAIT);
        fuzz.answer_size += count > 0 ? (size_t)count : 0;
    }
    (void)close(fd);
    fuzz.answer[fuzz.answer_size] = '\0';
    MR_ASSERT(fuzz.answer_size > 12);
    return (int)strtol(fuzz.answer + 9, NULL, 10);
}

/* Posts body; the answer's status. */
static inline int
fuzz_post(const char *path, const char *headers, const uint8_t *body, size_t size)
{
    static char head[8192];
    (void)snprintf(head, sizeof(head),
                   "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s"
                   "Content-Length: %zu\r\n\r\n",
                   path, headers, size);
    return fuzz_send(head, body, size);
}

#endif
