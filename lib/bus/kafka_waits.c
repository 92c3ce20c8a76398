/*
 * librdkafka waits until a moment of the wall clock (its issue 2145): when somebody sets that clock
 * back by an hour, a wait of 100 ms takes an hour, in a poll of ours as in its own thread that
 * sends the heartbeats. So the linker puts these in the place of the two waits of its portability
 * layer and of the clock that their moments are made with, which nothing else uses: monotonic all
 * three.
 *
 * Times of records are not touched: those are read by gettimeofday.
 */
#include <errno.h>
#include <pthread.h>
#include <threads.h>
#include <time.h>

#include "base/base.h"

/* What librdkafka means by the seconds of a moment (rdtime.h): no end, or do not wait. */
enum { INFINITE = -1, NOWAIT = 0 };

/* With the names that the linker's --wrap gives them. */
int __wrap_timespec_get(struct timespec *ret, int base);
int __wrap_cnd_timedwait_abs(pthread_cond_t *cond, pthread_mutex_t *mutex,
                             const struct timespec *until);
int __wrap_cnd_timedwait_ms(pthread_cond_t *cond, pthread_mutex_t *mutex, int timeout_ms);

static int
wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
    int result = pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, until);
    MR_ASSERT(result == 0 || result == ETIMEDOUT);
    return result == 0 ? thrd_success : thrd_timedout;
}

static int
wait_for_ever(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    int result = pthread_cond_wait(cond, mutex);
    MR_ASSERT(result == 0);
    return thrd_success;
}

int
__wrap_timespec_get(struct timespec *ret, int base)
{
    int failed = clock_gettime(CLOCK_MONOTONIC, ret);
    MR_ASSERT(failed == 0);
    return base;
}

int
__wrap_cnd_timedwait_abs(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
    if (until->tv_sec == INFINITE)
        return wait_for_ever(cond, mutex);
    return until->tv_sec == NOWAIT ? thrd_timedout : wait_until(cond, mutex, until);
}

int
__wrap_cnd_timedwait_ms(pthread_cond_t *cond, pthread_mutex_t *mutex, int timeout_ms)
{
    struct timespec until;
    if (timeout_ms == INFINITE)
        return wait_for_ever(cond, mutex);
    (void)__wrap_timespec_get(&until, TIME_UTC);
    int64_t ns = until.tv_nsec + (int64_t)timeout_ms * 1000000;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    return wait_until(cond, mutex, &until);
}
