/*
 * names: how tenants, kinds, topics and tables are called, in one place (LAW 1).
 *
 *   topic T = <tenant>.<kind>; behind it T.valid, T.clean, T.dead
 *   stream    streaming-<tenant>-<kind>, or plainly <tenant>-<kind> <tenant>_<kind> <tenant>.<kind>
 *   tables    <tenant>_<kind>_table and <tenant>_dead_table
 *
 * Plain functions without state. Threads: any.
 */
#ifndef MR_NAMES_H
#define MR_NAMES_H

#include "base/base.h"

enum { MR_TENANT_MAX = 64, MR_KIND_MAX = 32, MR_TOPIC_MAX = MR_TENANT_MAX + MR_KIND_MAX + 7 };

/* X(name, suffix): what a topic of a pipeline holds. */
enum mr_topic_role { MR_TOPIC_RAW, MR_TOPIC_VALID, MR_TOPIC_CLEAN, MR_TOPIC_DEAD };
const char *mr_topic_suffix(enum mr_topic_role role); /* "", ".valid", ".clean", ".dead" */

struct mr_topic_name {
    char tenant[MR_TENANT_MAX + 1];
    char kind[MR_KIND_MAX + 1];
    enum mr_topic_role role;
};

bool mr_tenant_ok(struct mr_slice tenant); /* [A-Za-z0-9_-]{1,64} */
bool mr_kind_ok(struct mr_slice kind);     /* [a-z][a-z0-9]{0,31}, not valid clean dead table */
/* False for a name that is no topic of ours. */
bool mr_topic_parse(const char *topic, struct mr_topic_name *ret);
void mr_topic_format(const char *tenant, const char *kind, enum mr_topic_role role,
                     char ret_topic[MR_TOPIC_MAX + 1]);
/* A Kinesis stream name to tenant and kind; the kind is what follows the last of . - _ before an
 * optional _table. */
bool mr_stream_parse(struct mr_slice stream, struct mr_topic_name *ret);
enum { MR_TABLE_MAX = MR_TENANT_MAX + MR_KIND_MAX + 8 };
void mr_table_name(const char *tenant, const char *kind, char ret_table[MR_TABLE_MAX + 1]);

#endif
