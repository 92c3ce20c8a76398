/*
 * topics: the four topics of a kind and how they are made, from one JSON file:
 *
 *   { "partitions": 3, "replicas": 1,
 *     "settings": { "min.insync.replicas": 1, "max.message.bytes": 1048588 },
 *     "valid": { ... }, "clean": { ... }, "dead": { ... } }
 *
 * All of T, T.valid, T.clean and T.dead get `settings`; valid, clean and dead may have more, and
 * take records 64 KiB larger than T (LAW 14) unless the file says even more; none is compacted,
 * whatever the broker's default is (LAW 13). They are made
 * downstream first (LAW 13).
 *
 * A plan is read-only after open. Threads: any number may read.
 */
#ifndef MR_TOPICS_H
#define MR_TOPICS_H

#include "base/base.h"
#include "bus/bus.h"
#include "names/names.h"

struct mr_plan;

int mr_plan_open(const char *file, struct mr_plan **ret, struct mr_err *err);
void mr_plan_close(struct mr_plan *plan);
void mr_plan_closep(struct mr_plan **plan);
int mr_plan_partitions(const struct mr_plan *plan);
int mr_plan_replicas(const struct mr_plan *plan);
/* Value of a setting for a role's topics, or NULL when the plan leaves it to the broker. */
const char *mr_plan_setting(const struct mr_plan *plan, enum mr_topic_role role, const char *name);
/* Makes what is missing of the four topics. CONFLICT: a tenant that differs only in case has
 * topics already (LAW 1). */
int mr_plan_make(const struct mr_plan *plan, struct mr_bus *bus, const char *tenant,
                 const char *kind, int timeout_ms, struct mr_err *err);
/* The same with another count of partitions than the plan's. */
int mr_plan_make_sized(const struct mr_plan *plan, struct mr_bus *bus, const char *tenant,
                       const char *kind, int partitions, int timeout_ms, struct mr_err *err);

#endif
