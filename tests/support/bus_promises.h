/* What bus.h promises, as suites that every driver passes. *state is the struct mr_bus. */
#ifndef MR_BUS_PROMISES_H
#define MR_BUS_PROMISES_H

#include "test.h"

#include "bus/bus.h"

extern const struct CMUnitTest bus_topics[]; /* descriptions, settings, deletion */
extern const size_t bus_topics_count;
extern const struct CMUnitTest bus_reading[]; /* topics, offsets, records */
extern const size_t bus_reading_count;
extern const struct CMUnitTest bus_writing[]; /* deliveries, transactions, groups */
extern const size_t bus_writing_count;

#endif
