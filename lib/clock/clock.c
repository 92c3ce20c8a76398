/*
 * Two clocks of the kernel behind one switch for tests.
 */
#include "clock/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MOST_MS = 5000, MAGNITUDE_MAX = 6 };

static struct {
    atomic_bool is_held;
    _Atomic int64_t now_us, wall_us;
} held;

static int64_t
read_us(clockid_t clock)
{
    struct timespec time;
    int failed = clock_gettime(clock, &time);
    MR_ASSERT(failed == 0);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

int64_t
mr_now_us(void)
{
    return atomic_load(&held.is_held) ? atomic_load(&held.now_us) : read_us(CLOCK_MONOTONIC);
}

int64_t
mr_now_ms(void)
{
    return mr_now_us() / 1000;
}

int64_t
mr_wall_us(void)
{
    return atomic_load(&held.is_held) ? atomic_load(&held.wall_us) : read_us(CLOCK_REALTIME);
}

int64_t
mr_wall_ms(void)
{
    return mr_wall_us() / 1000;
}

int64_t
mr_left_ms(int64_t deadline_ms, int64_t most_ms)
{
    int64_t left_ms = deadline_ms - mr_now_ms();
    if (left_ms < 0)
        return 0;
    return left_ms < most_ms ? left_ms : most_ms;
}

/* Doubling with "equal jitter": half of it fixed, half of it random, so that many processes that
 * failed together do not come back together. */
int64_t
mr_backoff_ms(unsigned attempt)
{
    uint32_t random;
    unsigned magnitude = attempt < MAGNITUDE_MAX ? attempt : MAGNITUDE_MAX;
    int64_t most_ms = (int64_t)(2 * BACKOFF_FIRST_MS) << magnitude;
    if (most_ms > BACKOFF_MOST_MS)
        most_ms = BACKOFF_MOST_MS;
    mr_random(&random, sizeof(random));
    return most_ms / 2 + random % (most_ms / 2 + 1);
}

void
mr_time_text(int64_t wall_us, char ret_text[MR_TIME_TEXT])
{
    int64_t seconds = wall_us / 1000000, rest_us = wall_us % 1000000;
    if (rest_us < 0) {
        seconds--;
        rest_us += 1000000;
    }
    struct tm utc;
    time_t time = (time_t)seconds;
    MR_ASSERT(gmtime_r(&time, &utc) != NULL);
    size_t length = strftime(ret_text, MR_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(ret_text + length, MR_TIME_TEXT - length, ".%06dZ", (int)rest_us);
}

/* Days of whole 400-year eras, then of years that begin in March, so that the leap day comes last:
 * the arithmetic is H. Hinnant's, "chrono-compatible low-level date algorithms", days_from_civil.
 */
bool
mr_days_from_civil(int year, int month, int day, int64_t *ret_days)
{
    static const int days_of_month[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month < 1 || month > 12 || day < 1 ||
        day > days_of_month[month - 1] + (month == 2 && is_leap))
        return false;
    int64_t y = month <= 2 ? (int64_t)year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    *ret_days = era * 146097 + day_of_era - 719468;
    return true;
}

void
mr_clock_hold(int64_t now_ms, int64_t wall_us)
{
    atomic_store(&held.now_us, now_ms * 1000);
    atomic_store(&held.wall_us, wall_us);
    atomic_store(&held.is_held, true);
}

void
mr_clock_crank(int64_t ms)
{
    MR_ASSERT(atomic_load(&held.is_held));
    atomic_fetch_add(&held.now_us, ms * 1000);
    atomic_fetch_add(&held.wall_us, ms * 1000);
}

void
mr_clock_release(void)
{
    atomic_store(&held.is_held, false);
}
