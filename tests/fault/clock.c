/*
 * A wall clock that jumps, for one process: loaded before it (LD_PRELOAD), it adds to the clock the
 * nanoseconds that stand in a file named like the program, in the folder MILLRACE_TEST_CLOCK; a
 * test rewrites it at any moment. The monotonic clock stays as it is, as when an operator sets the
 * time.
 *
 * A wait on a condition until a moment of the wall clock ends, as in the kernel, when that clock
 * says so: one that jumps back makes the wait longer. It is looked at in slices.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { SLICE_NS = 20 * 1000 * 1000, SECOND_NS = 1000 * 1000 * 1000 };

/* glibc's mark of a condition that waits by CLOCK_MONOTONIC (internaltypes.h). */
enum { COND_MONOTONIC = 2 };

static int (*real_clock)(clockid_t, struct timespec *);
static const volatile int64_t *offset_ns;

static void
open_file(void)
{
    static const int64_t none;
    const char *folder = getenv("MILLRACE_TEST_CLOCK");
    int dir = folder != NULL ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int fd = dir >= 0 ? openat(dir, program_invocation_short_name, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd >= 0 ? mmap(NULL, sizeof(*offset_ns), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0)
        (void)close(fd);
    if (dir >= 0)
        (void)close(dir);
    *(void **)&real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    offset_ns = map != MAP_FAILED ? (const volatile int64_t *)map : &none;
}

static int
read_clock(clockid_t clock, struct timespec *ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, open_file);
    int result = real_clock(clock, ret);
    if (result != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return result;
    int64_t ns = ret->tv_nsec + *offset_ns % SECOND_NS;
    int64_t carry = ns < 0 ? -1 : ns / SECOND_NS;
    ret->tv_sec += *offset_ns / SECOND_NS + carry;
    ret->tv_nsec = ns - carry * SECOND_NS;
    return 0;
}

int
clock_gettime(clockid_t clock, struct timespec *ret)
{
    return read_clock(clock, ret);
}

int
timespec_get(struct timespec *ret, int base)
{
    return base == TIME_UTC && read_clock(CLOCK_REALTIME, ret) == 0 ? base : 0;
}

int
gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    if (read_clock(CLOCK_REALTIME, &now) != 0)
        return -1;
    *ret = (struct timeval){ .tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000 };
    return 0;
}

time_t
time(time_t *ret)
{
    struct timespec now;
    (void)read_clock(CLOCK_REALTIME, &now);
    if (ret != NULL)
        *ret = now.tv_sec;
    return now.tv_sec;
}

static int64_t
ns_until(clockid_t clock, const struct timespec *until)
{
    struct timespec now;
    (void)read_clock(clock, &now);
    return (int64_t)(until->tv_sec - now.tv_sec) * SECOND_NS + (until->tv_nsec - now.tv_nsec);
}

int
pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                       const struct timespec *restrict until)
{
    if ((cond->__data.__wrefs & COND_MONOTONIC) != 0)
        return pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, until);
    int result = ETIMEDOUT;
    for (int64_t left; result == ETIMEDOUT && (left = ns_until(CLOCK_REALTIME, until)) > 0;) {
        struct timespec slice;
        int64_t wait = left < SLICE_NS ? left : SLICE_NS;
        (void)read_clock(CLOCK_MONOTONIC, &slice);
        slice.tv_sec += (slice.tv_nsec + wait) / SECOND_NS;
        slice.tv_nsec = (slice.tv_nsec + wait) % SECOND_NS;
        result = pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &slice);
    }
    return result;
}
