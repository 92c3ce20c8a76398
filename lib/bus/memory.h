/*
 * The memory driver of bus, for tests of logic: same promises as Kafka (order, transactions with
 * offsets, fencing, groups with eager rebalances, markers that take offsets), one process, no
 * threads of its own. Truth is tested on a real broker.
 */
#ifndef MR_BUS_MEMORY_H
#define MR_BUS_MEMORY_H

#include "bus/bus.h"

struct mr_bus *mr_bus_memory(void);
/* Asks the group to rebalance: each member sees REVOKED (or LOST), then ASSIGNED. */
void mr_bus_memory_rebalance(struct mr_bus *bus, const char *group, bool lost);
/* The next count calls of the named kind ("produce" "commit" "begin" "abort" "poll" "seek"
 * "offsets" "describe" "create" "delete") after skip good ones fail with err. "commit-reply": the
 * commit takes effect, its answer is err. */
void mr_bus_memory_fault(struct mr_bus *bus, const char *call, unsigned skip, unsigned count,
                         const struct mr_err *err);
/* While true, mr_writer_poll serves no delivery reports: the broker takes its time. */
void mr_bus_memory_hold(struct mr_bus *bus, bool hold);
/* Forgets what the group has committed for the topic, as a broker does after offsets.retention. */
void mr_bus_memory_forget(struct mr_bus *bus, const char *group, const char *topic);
/* Deletes records below offset (retention), or deletes and re-creates the topic with a new id. */
void mr_bus_memory_trim(struct mr_bus *bus, const char *topic, int32_t partition, int64_t offset);
void mr_bus_memory_recreate(struct mr_bus *bus, const char *topic);
/* It was made anew and filled as far as before, between two looks of those who read it. */
void mr_bus_memory_swap(struct mr_bus *bus, const char *topic);

#endif
