/*
 * faulty_bus: the memory bus with calls that fail as strike says. What its handles do is done on
 * the bus inside; a test itself uses that one, on which nothing fails.
 */
#ifndef MR_FAULTY_BUS_H
#define MR_FAULTY_BUS_H

#include "bus/bus.h"

/* inner: of mr_bus_memory; borrowed. */
struct mr_bus *faulty_bus(struct mr_bus *inner);

#endif
