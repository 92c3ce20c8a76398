/*
 * clock: time with its unit in the name, and a hand-cranked clock for tests.
 *
 * Threads: any; the test clock is set before threads start.
 */
#ifndef MR_CLOCK_H
#define MR_CLOCK_H

#include "base/base.h"

int64_t mr_now_ms(void);  /* monotonic, for deadlines and ages */
int64_t mr_now_us(void);  /* monotonic */
int64_t mr_wall_us(void); /* UTC microseconds since 1970-01-01T00:00:00Z */
int64_t mr_wall_ms(void);

/* How long is left until deadline_ms (monotonic), not below 0, not above most_ms. */
int64_t mr_left_ms(int64_t deadline_ms, int64_t most_ms);

/* 0.1 to 5 s with jitter: the pause before try number attempt (0, 1, 2 ..). */
int64_t mr_backoff_ms(unsigned attempt);

/* UTC text of wall microseconds: YYYY-MM-DDTHH:MM:SS.ffffffZ, or with milliseconds. */
enum { MR_TIME_TEXT = 32 };
void mr_time_text(int64_t wall_us, char ret_text[MR_TIME_TEXT]);
/* Days since 1970-01-01 of a proleptic Gregorian date; false when there is no such day. */
bool mr_days_from_civil(int year, int month, int day, int64_t *ret_days);

/* Tests: from here on both clocks stand still and move only by mr_clock_crank. */
void mr_clock_hold(int64_t now_ms, int64_t wall_us);
void mr_clock_crank(int64_t ms);
void mr_clock_release(void);

#endif
