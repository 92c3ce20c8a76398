/*
 * The events that the benches play: the lines of a file again and again, each with a number of its
 * own in the place of the first MARK. The numbers make keys that differ.
 */
#ifndef BENCH_EVENTS_H
#define BENCH_EVENTS_H

#include "base/base.h"

enum { EVENT_DIGITS = 10, EVENTS_MAX = 10000, EVENT_BYTES_MAX = 1 << 20 };

#define EVENT_MARK "9999999999"

struct events {
    struct mr_slice at[EVENTS_MAX];
    char *digits[EVENTS_MAX];
    size_t count;
};

void events_load(struct events *events, const char *path);
/* Valid until the same line comes again. number has EVENT_DIGITS digits. */
struct mr_slice events_at(struct events *events, uint64_t number);

#endif
