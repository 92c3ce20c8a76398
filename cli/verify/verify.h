/*
 * verify: the law checked from the records themselves. What stands in the topics, the raw objects
 * and the tables is written down as facts; checks.c asks SQL whether they fit each other. No
 * counter of a service is believed.
 *
 * Facts of one tenant's kind (T is its raw topic); p and o are partition and offset:
 *
 *   raw(p, o, id, value_hash, line, tombstone, header_ok)         records of T
 *   valid(p, o, op, oo)   clean(p, o, op, oo, k, h)               with their origins in T
 *   dead(p, o, op, oo, stage, h)
 *   objects(p, o, line, wrapped, is_null)                         lines of the raw objects
 *   ranges(p, first, start, next, lines, sha_ok)                  the objects themselves
 *   commits(version, topic, p, start, next, good, repeated)       of both tables
 *   kept(k, h)   kept_dead(h)                                     rows of the tables
 *   marks(topic, p, log_start, handled, archived)                 how far each topic's readers were
 *
 * k and h are hashes of a row's key and of the whole row, made by the engine alike on both sides.
 */
#ifndef MR_VERIFY_H
#define MR_VERIFY_H

#include "bus/bus.h"
#include "contract/contract.h"
#include "facts.h"
#include "names/names.h"
#include "store/store.h"

struct verify {
    struct mr_bus *bus;
    struct mr_store *store;
    const struct mr_kind *kind;
    struct ground ground;
    const char *tenant, *pipeline;
    char topics[MR_TOPIC_DEAD + 1][MR_TOPIC_MAX + 1]; /* by role */
};

/* topics.c */
int find_marks(struct verify *v, struct mr_err *err);
int find_raw(struct verify *v, struct mr_err *err);
int find_valid(struct verify *v, struct mr_err *err);
int find_clean(struct verify *v, struct mr_err *err);
int find_dead(struct verify *v, struct mr_err *err);

/* archive.c */
int find_objects(struct verify *v, struct mr_err *err);

/* tables.c: before the topics, so that what moves on meanwhile is in flight */
int find_tables(struct verify *v, struct mr_err *err);

/* Appends an SQL expression: the hash of these columns (-1: all) as a BIGINT. */
void hash_expression(const struct mr_schema *schema, int column, struct mr_buf *ret);

/* checks.c: prints one line for each broken rule with its first places, and the law by stage. */
struct check_options {
    int64_t repeat_window;
    bool json;
};
/* *ret_holds: nothing is lost, doubled or changed. */
int check_all(struct verify *v, const struct check_options *options, bool *ret_holds,
              struct mr_err *err);

#endif
