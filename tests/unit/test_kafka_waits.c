/*
 * Waits inside of librdkafka when somebody sets the clock back. tests/fault/clock.c is linked in.
 */
#include "test.h"

#include "bus/bus.h"
#include "clock/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLOCK_VARIABLE "MILLRACE_TEST_CLOCK"

enum { JUMP_AT_MS = 300, WAIT_MS = 1000, LATE_MS = 5000, HANG_S = 30 };

/* Connections succeed, nobody ever answers. */
static int
listen_silently(char *ret_address, size_t size)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    (void)snprintf(ret_address, size, "127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

static char path[64]; /* the clock's file */

static void
set_clock(int64_t offset_ns)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(pwrite(fd, &offset_ns, sizeof(offset_ns), 0), sizeof(offset_ns));
    (void)close(fd);
}

static void *
set_clock_back(void *unused)
{
    const struct timespec in_the_wait = { .tv_nsec = JUMP_AT_MS * 1000000 };
    (void)unused;
    (void)nanosleep(&in_the_wait, NULL);
    set_clock((int64_t)-3600 * 1000000000);
    return NULL;
}

static void
a_clock_set_back_by_an_hour_holds_up_no_wait(void **state)
{
    (void)state;
    char address[32];
    const char *id = NULL;
    struct mr_err err = { 0 };
    pthread_t setter;
    int fd = listen_silently(address, sizeof(address));
    struct mr_bus_options options = { .bootstrap = address, .client_id = "test" };
    MR_CLEANUP(mr_bus_closep) struct mr_bus *bus = NULL;
    assert_int_equal(mr_bus_open(&options, &bus, &err), 0);
    set_clock(0);
    assert_int_equal(pthread_create(&setter, NULL, set_clock_back, NULL), 0);

    int64_t began_ms = mr_now_ms(), wall_ms = mr_wall_ms();
    assert_true(mr_bus_cluster_id(bus, &id, WAIT_MS, &err) < 0);
    assert_in_range(mr_now_ms() - began_ms, JUMP_AT_MS, LATE_MS);

    assert_int_equal(pthread_join(setter, NULL), 0);
    assert_true(mr_wall_ms() < wall_ms);
    (void)close(fd);
}

int
main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_set_back_by_an_hour_holds_up_no_wait),
    };
    (void)count;
    const char *folder = getenv(CLOCK_VARIABLE);
    char fresh[] = "/tmp/millrace-clock-XXXXXX";
    (void)snprintf(path, sizeof(path), "%s/%s", folder != NULL ? folder : mkdtemp(fresh),
                   program_invocation_short_name);
    /* The clock's file is opened before main. */
    if (folder == NULL) {
        set_clock(0);
        (void)setenv(CLOCK_VARIABLE, fresh, 1);
        return execv(program_invocation_name, arguments);
    }
    (void)alarm(HANG_S);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    (void)rmdir(folder);
    return failed;
}
