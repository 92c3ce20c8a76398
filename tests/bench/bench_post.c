/*
 * Posts events to a gateway in the dialect of the REST Proxy v2 and says how it went:
 *
 *   bench_post HOST PORT PATH EVENTS FIRST COUNT CONNECTIONS BATCH keep|new RATE
 *
 * FIRST is the number of the first event, BATCH how many go into one request; "new" opens a
 * connection for each request; RATE is events a second, 0: each connection posts again as soon as
 * it has its answer. Prints JSON: events whose request got a 2xx and those whose did not, wall
 * time, and how long answers took.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock/clock.h"
#include "events.h"

enum { CONNECTIONS_MAX = 1024, ANSWER_BYTES_MAX = 1 << 20, STALL_MS = 30000 };

struct conn {
    int fd;
    struct mr_buf request;
    size_t sent;
    char *answer;
    size_t answered;
    int64_t began_us;
    bool is_busy;
};

static struct {
    struct sockaddr_in to;
    const char *host, *path;
    struct events events;
    uint64_t next;
    int64_t left, waiting, batch, rate, good, bad;
    bool is_new;
    int epoll;
    struct conn conns[CONNECTIONS_MAX];
    size_t count;
    int64_t *took_us;
    size_t answers;
} load;

static void
need(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static void
dial(struct conn *conn)
{
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(conn->fd >= 0, "socket");
    need(connect(conn->fd, (struct sockaddr *)&load.to, sizeof(load.to)) == 0, load.host);
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = conn };
    need(epoll_ctl(load.epoll, EPOLL_CTL_ADD, conn->fd, &event) == 0, "epoll_ctl");
}

static void
put_request(struct conn *conn)
{
    static struct mr_buf body;
    if (body.max == 0)
        mr_buf_init(&body, 64 << 20);
    mr_buf_reset(&body);
    mr_buf_text(&body, "{\"records\":[");
    for (int64_t i = 0; i < load.batch; i++) {
        struct mr_slice value = events_at(&load.events, load.next++);
        mr_buf_text(&body, i == 0 ? "{\"value\":" : ",{\"value\":");
        mr_buf_put(&body, value.data, value.size);
        mr_buf_text(&body, "}");
    }
    mr_buf_text(&body, "]}");
    mr_buf_reset(&conn->request);
    mr_buf_printf(&conn->request,
                  "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: "
                  "application/vnd.kafka.json.v2+json\r\nContent-Length: %zu\r\n%s\r\n",
                  load.path, load.host, body.size, load.is_new ? "Connection: close\r\n" : "");
    mr_buf_put(&conn->request, body.data, body.size);
}

static void
post(struct conn *conn)
{
    if (conn->fd < 0)
        dial(conn);
    put_request(conn);
    conn->answered = 0;
    conn->is_busy = true;
    conn->began_us = mr_now_us();
    load.left -= load.batch;
    load.waiting++;
    for (conn->sent = 0; conn->sent < conn->request.size;) {
        ssize_t sent = send(conn->fd, conn->request.data + conn->sent,
                            conn->request.size - conn->sent, MSG_NOSIGNAL);
        need(sent > 0, "send");
        conn->sent += (size_t)sent;
    }
}

/* 0 while more is to come. */
static int
status_of(const struct conn *conn)
{
    const char *end = strstr(conn->answer, "\r\n\r\n"), *length;
    int status = 0;
    if (end == NULL || sscanf(conn->answer, "HTTP/1.1 %d", &status) != 1)
        return 0;
    length = strcasestr(conn->answer, "\r\ncontent-length:");
    size_t body = length != NULL ? strtoul(length + 17, NULL, 10) : 0;
    return conn->answered >= (size_t)(end + 4 - conn->answer) + body ? status : 0;
}

static void
take_answer(struct conn *conn)
{
    ssize_t got =
        recv(conn->fd, conn->answer + conn->answered, ANSWER_BYTES_MAX - 1 - conn->answered, 0);
    if (got > 0) {
        conn->answered += (size_t)got;
        conn->answer[conn->answered] = '\0';
    }
    int status = got > 0 ? status_of(conn) : -1;
    if (status == 0)
        return;
    if (conn->is_busy) {
        *(status / 100 == 2 ? &load.good : &load.bad) += load.batch;
        load.took_us[load.answers++] = mr_now_us() - conn->began_us;
        conn->is_busy = false;
        load.waiting--;
    }
    if (load.is_new || status < 0) {
        (void)close(conn->fd);
        conn->fd = -1;
    }
}

/* Gives work to idle connections as far as the rate allows; how long to wait for more. */
static int
hand_out(int64_t began_us, int64_t total)
{
    for (size_t i = 0; i < load.count && load.left >= load.batch; i++) {
        int64_t started = total - load.left;
        if (load.rate > 0 && started * 1000000 / load.rate > mr_now_us() - began_us)
            return 1;
        if (!load.conns[i].is_busy)
            post(&load.conns[i]);
    }
    return load.rate > 0 ? 1 : STALL_MS;
}

static int
ascending(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, two = *(const int64_t *)b;
    return (one > two) - (one < two);
}

static void
play(void)
{
    struct epoll_event events[CONNECTIONS_MAX];
    int64_t began_us = mr_now_us(), moved_us = began_us, total = load.left;
    while (load.left >= load.batch || load.waiting > 0) {
        int wait_ms = hand_out(began_us, total);
        int ready = epoll_wait(load.epoll, events, CONNECTIONS_MAX, wait_ms);
        for (int i = 0; i < ready; i++)
            take_answer(events[i].data.ptr);
        if (ready > 0)
            moved_us = mr_now_us();
        if (mr_now_us() - moved_us > STALL_MS * 1000LL) {
            (void)fprintf(stderr, "no answer for %d ms\n", STALL_MS);
            exit(1);
        }
    }
    double wall_s = (double)(mr_now_us() - began_us) / 1e6;
    qsort(load.took_us, load.answers, sizeof(*load.took_us), ascending);
    printf("{\"good\":%lld,\"bad\":%lld,\"wall_s\":%.3f,\"p50_ms\":%.2f,\"p99_ms\":%.2f}\n",
           (long long)load.good, (long long)load.bad, wall_s,
           (double)load.took_us[load.answers / 2] / 1e3,
           (double)load.took_us[load.answers * 99 / 100] / 1e3);
}

int
main(int argc, char **argv)
{
    if (argc != 11) {
        (void)fprintf(stderr, "bench_post HOST PORT PATH EVENTS FIRST COUNT CONNECTIONS BATCH "
                              "keep|new RATE\n");
        return 2;
    }
    load.host = argv[1];
    load.to.sin_family = AF_INET;
    load.to.sin_port = htons((uint16_t)strtol(argv[2], NULL, 10));
    need(inet_pton(AF_INET, argv[1], &load.to.sin_addr) == 1, argv[1]);
    load.path = argv[3];
    events_load(&load.events, argv[4]);
    load.next = strtoull(argv[5], NULL, 10);
    load.left = strtoll(argv[6], NULL, 10);
    load.count = strtoul(argv[7], NULL, 10);
    load.batch = strtoll(argv[8], NULL, 10);
    load.is_new = strcmp(argv[9], "new") == 0;
    load.rate = strtoll(argv[10], NULL, 10);
    MR_ASSERT(load.count >= 1 && load.count <= CONNECTIONS_MAX && load.batch >= 1);
    MR_ASSERT(load.left >= load.batch);
    load.took_us = mr_alloc((size_t)load.left * sizeof(*load.took_us));
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    need(load.epoll >= 0, "epoll_create1");
    for (size_t i = 0; i < load.count; i++) {
        load.conns[i].fd = -1;
        load.conns[i].answer = mr_alloc(ANSWER_BYTES_MAX);
        mr_buf_init(&load.conns[i].request, 64 << 20);
    }
    play();
    return 0;
}
