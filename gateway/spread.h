/*
 * spread: over how many partitions the records with an id or Idempotency-Key are spread: as many as
 * the topic had when the first of them came, however many it gets (LAW 6). It is recorded on the
 * broker, so that every gateway and every later one goes by it.
 */
#ifndef MR_SPREAD_H
#define MR_SPREAD_H

#include "base/base.h"
#include "bus/bus.h"

/* What is recorded, or present when nothing was. It is recorded anew. Blocks. */
int spread_recorded(struct mr_bus *bus, const char *topic, int present, int *ret, int timeout_ms,
                    struct mr_err *err);

#endif
