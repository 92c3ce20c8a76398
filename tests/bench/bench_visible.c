/*
 * How long it takes from a POST until SQL sees the event. One thread posts a probe every PROBE_MS,
 * each a pin with a key of its own, higher than all others; another asks millrace-query every
 * ASK_MS which of them it sees. The time is from before the first byte of the POST until the answer
 * that holds the probe is here, so it counts the question, too.
 *
 *   bench_visible HOST PORT QUERY_URL TENANT EVENTS FIRST SECONDS
 *
 * FIRST is above all keys so far. Prints JSON: probes, those never seen, p50, p90, p99 and the
 * longest, and the time of one answer.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "clock/clock.h"
#include "columns/columns.h"
#include "events.h"
#include "millrace/v1/rpc.pb-c.h"
#include "rpc/rpc.h"

enum {
    PROBE_MS = 20,
    ASK_MS = 20,
    PROBES_MAX = 100000,
    ANSWER_BYTES_MAX = 65536,
    CALL_MS = 10000,
    LATE_MS = 30000, /* from the last probe until the rest counts as never seen */
};

static struct {
    struct sockaddr_in to;
    const char *url, *tenant;
    struct events events;
    uint64_t first;
    size_t count;
    _Atomic size_t posted;
    _Atomic int64_t posted_us[PROBES_MAX];
    int64_t seen_us[PROBES_MAX], answer_us[PROBES_MAX];
    size_t seen, answers;
} probes;

static void
need(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "bench_visible: %s\n", what);
    exit(1);
}

static void
sleep_until_us(int64_t then_us)
{
    int64_t left_us = then_us - mr_now_us();
    struct timespec pause = { .tv_sec = left_us / 1000000, .tv_nsec = left_us % 1000000 * 1000 };
    if (left_us > 0)
        (void)nanosleep(&pause, NULL);
}

/* ---- the one who posts ---- */

static void
post(int fd, uint64_t number)
{
    char request[2 * ANSWER_BYTES_MAX], answer[ANSWER_BYTES_MAX];
    struct mr_slice value = events_at(&probes.events, number);
    int size = snprintf(request, sizeof(request),
                        "POST /topics/%s.pin HTTP/1.1\r\nHost: bench\r\nContent-Type: "
                        "application/vnd.kafka.json.v2+json\r\nContent-Length: %zu\r\n\r\n"
                        "{\"records\":[{\"value\":%s}]}",
                        probes.tenant, value.size + 24, (const char *)value.data);
    need(size > 0 && (size_t)size < sizeof(request), "the event is too long");
    need(send(fd, request, (size_t)size, MSG_NOSIGNAL) == size, "cannot send");
    ssize_t got = recv(fd, answer, sizeof(answer), 0);
    need(got > 12 && memcmp(answer, "HTTP/1.1 200", 12) == 0, "a probe was refused");
}

static void *
post_all(void *self)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(fd >= 0, "socket");
    need(connect(fd, (struct sockaddr *)&probes.to, sizeof(probes.to)) == 0, "no gateway");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    int64_t began_us = mr_now_us();
    for (size_t i = 0; i < probes.count; i++) {
        sleep_until_us(began_us + (int64_t)i * PROBE_MS * 1000);
        probes.posted_us[i] = mr_now_us();
        probes.posted = i + 1;
        post(fd, probes.first + i);
    }
    return self;
}

/* ---- the one who asks ---- */

static void
take_rows(struct mr_slice body)
{
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = NULL;
    Millrace__V1__Chunk *chunk = millrace__v1__chunk__unpack(NULL, body.size, body.data);
    need(chunk != NULL, "the answer is no Chunk");
    need(mr_columns_map(mr_slice(chunk->columns.data, chunk->columns.len), &rows, &err) == 0,
         err.text);
    const int64_t *keys = rows->columns[0].values;
    for (size_t row = 0; row < rows->rows; row++) {
        size_t i = (size_t)((uint64_t)keys[row] - probes.first);
        if (i >= probes.count || probes.seen_us[i] != 0)
            continue;
        probes.seen_us[i] = mr_now_us();
        probes.seen++;
    }
    millrace__v1__chunk__free_unpacked(chunk, NULL);
}

static void
ask(struct mr_rpc_client *client, size_t oldest)
{
    char sql[160];
    uint8_t body[512];
    struct mr_err err = { 0 };
    struct mr_rpc_answer answer;
    Millrace__V1__RunRequest request = MILLRACE__V1__RUN_REQUEST__INIT;
    (void)snprintf(sql, sizeof(sql), "SELECT ind FROM pin WHERE ind >= %llu",
                   (unsigned long long)(probes.first + oldest));
    request.sql = sql;
    request.tenant = (char *)(uintptr_t)probes.tenant;
    MR_ASSERT(millrace__v1__run_request__get_packed_size(&request) <= sizeof(body));
    size_t size = millrace__v1__run_request__pack(&request, body);
    int64_t from_us = mr_now_us();
    need(mr_rpc_call(client, "Run", mr_slice(body, size), CALL_MS, &answer, &err) == 0, err.text);
    need(answer.status == MR_RPC_OK, answer.message);
    if (probes.answers < PROBES_MAX)
        probes.answer_us[probes.answers++] = mr_now_us() - from_us;
    take_rows(answer.body);
}

static void
ask_until_seen(void)
{
    struct mr_err err = { 0 };
    struct mr_rpc_client *client;
    size_t oldest = 0;
    int64_t late_ms = mr_now_ms() + (int64_t)probes.count * PROBE_MS + LATE_MS;
    need(mr_rpc_dial(probes.url, &client, &err) == 0, err.text);
    while (probes.seen < probes.count && mr_now_ms() < late_ms) {
        int64_t next_us = mr_now_us() + ASK_MS * 1000;
        ask(client, oldest);
        while (oldest < probes.posted && probes.seen_us[oldest] != 0)
            oldest++;
        sleep_until_us(next_us);
    }
    mr_rpc_close(client);
}

/* ---- report ---- */

static int
ascending(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, two = *(const int64_t *)b;
    return (one > two) - (one < two);
}

static double
at_ms(const int64_t *us, size_t count, size_t percent)
{
    size_t at = count * percent / 100;
    return count == 0 ? 0 : (double)us[at < count ? at : count - 1] / 1e3;
}

static void
report(void)
{
    size_t count = 0;
    for (size_t i = 0; i < probes.count; i++)
        if (probes.seen_us[i] != 0)
            probes.seen_us[count++] = probes.seen_us[i] - probes.posted_us[i];
    qsort(probes.seen_us, count, sizeof(*probes.seen_us), ascending);
    qsort(probes.answer_us, probes.answers, sizeof(*probes.answer_us), ascending);
    printf("{\"probes\":%zu,\"missing\":%zu,\"p50_ms\":%.1f,\"p90_ms\":%.1f,\"p99_ms\":%.1f,"
           "\"max_ms\":%.1f,\"answer_p50_ms\":%.1f}\n",
           probes.count, probes.count - count, at_ms(probes.seen_us, count, 50),
           at_ms(probes.seen_us, count, 90), at_ms(probes.seen_us, count, 99),
           at_ms(probes.seen_us, count, 100), at_ms(probes.answer_us, probes.answers, 50));
}

int
main(int argc, char **argv)
{
    pthread_t poster;
    if (argc != 8) {
        (void)fprintf(stderr, "bench_visible HOST PORT QUERY_URL TENANT EVENTS FIRST SECONDS\n");
        return 2;
    }
    probes.to.sin_family = AF_INET;
    probes.to.sin_port = htons((uint16_t)strtol(argv[2], NULL, 10));
    need(inet_pton(AF_INET, argv[1], &probes.to.sin_addr) == 1, argv[1]);
    probes.url = argv[3];
    probes.tenant = argv[4];
    events_load(&probes.events, argv[5]);
    probes.first = strtoull(argv[6], NULL, 10);
    probes.count = strtoul(argv[7], NULL, 10) * 1000 / PROBE_MS;
    need(probes.count > 0 && probes.count <= PROBES_MAX, "SECONDS is out of range");
    need(pthread_create(&poster, NULL, post_all, NULL) == 0, "no thread");
    ask_until_seen();
    (void)pthread_join(poster, NULL);
    report();
    return 0;
}
