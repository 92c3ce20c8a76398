/*
 * verify: the law checked from the records themselves. What stands in the topics, the raw objects
 * and the tables is written down as facts; rules.c asks SQL whether they fit each other. No
 * counter of a service is believed.
 *
 * Facts of one tenant's kind (T is its raw topic); p and o are partition and offset, op and oo the
 * origin in T, t a record's time in ms:
 *
 *   all_raw(p, o, t, ia, ib, value_hash, line, tombstone, header_ok, rp, ro)
 *                                       records of T; ia, ib: the id of a client's own or of a
 *                                       replay; rp, ro: what it replays
 *   all_valid(p, o, op, oo, t)   all_clean(p, o, op, oo, t, k, h)
 *   all_dead(p, o, op, oo, t, stage, rp, ro, h)
 *                                       stage replay: a mark; rp, ro: where the replay stands
 *   reads(topic, p, log_start, start, since)
 *                                       what of a topic was read; since: from where it is judged
 *   all_objects(p, o, line, wrapped, is_null)
 *                                       lines of the raw objects
 *   ranges(p, first, start, next, lines, sha_ok)                  the objects themselves
 *   commits(version, topic, p, start, next, good, repeated)       of both tables
 *   logs(topic, first)                                            the first commit still there
 *   all_kept(k, h, version)   all_kept_dead(op, oo, stage, h)     rows of the tables; version of
 *                                                                 the commit that added them
 *   marks(topic, p, handled, archived, adopted, object)           how far each topic's readers were
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

/* Nothing is left out because of its time. */
#define VERIFY_ALL INT64_MIN

struct verify {
    struct mr_bus *bus;
    struct mr_store *store;
    const struct mr_kind *kind;
    struct ground ground;
    const char *tenant, *pipeline;
    char topics[MR_TOPIC_DEAD + 1][MR_TOPIC_MAX + 1]; /* by role */
    int64_t since_ms;                                 /* UTC, or VERIFY_ALL */
    int64_t repeat_window;
    struct facts *reads;
    int64_t records, low, high; /* of T: how many there are, and their offsets [low, high) */
    /* By role and partition: the first offset of since_ms; of the outputs, one that lies surely
     * before what was made of it. */
    int64_t *since[MR_TOPIC_DEAD + 1];
    size_t since_count[MR_TOPIC_DEAD + 1];
};

/* marks.c */
int find_since(struct verify *v, struct mr_err *err); /* before all others */
int find_marks(struct verify *v, struct mr_err *err);
int64_t since_of(const struct verify *v, enum mr_topic_role role, size_t partition);
/* The partitions of a topic with their starts and ends; the caller frees *ret. */
int list_parts(struct verify *v, enum mr_topic_role role, struct mr_part **ret, size_t *ret_count,
               struct mr_err *err);

/* topics.c */
int find_raw(struct verify *v, struct mr_err *err);
int find_valid(struct verify *v, struct mr_err *err);
int find_clean(struct verify *v, struct mr_err *err);
int find_dead(struct verify *v, struct mr_err *err);

/* archive.c */
int find_objects(struct verify *v, struct mr_err *err);

/* tables.c: before the topics, so that what moves on meanwhile is in flight */
int find_tables(struct verify *v, struct mr_err *err);

/* Appends an SQL expression: the hash of a column of rows r, NULL when that is NULL, or (-1) of all
 * of them, as a BIGINT. */
void hash_expression(const struct mr_schema *schema, int column, struct mr_buf *ret);

/* rules.c */
enum by { ONCE, ORIGIN, KEY }; /* asked once, or for each slice of origins or of keys */
struct view {
    const char *name, *sql;
    enum by by;
    enum { PLAIN, BEFORE, DURING, GATHER } derived;
};
struct law {
    const char *stage;
    enum by by;
    const char *sql; /* in, good, repeated, dead, in flight; slices add up */
};
struct rule {
    const char *text;
    enum { ALWAYS, KEEP_FIRST, KEEP_ALL } when;
    enum by by;
    const char *sql; /* one column of text for each place that breaks it */
};
extern const struct view verify_views[];
extern const struct law verify_laws[];
extern const struct rule verify_rules[];
extern const char *const verify_gaps[]; /* one column of text for each thing not checked */
extern const size_t verify_views_count, verify_laws_count, verify_rules_count, verify_gaps_count;

/* checks.c: prints the law by stage, one line for each broken rule with its first places, and what
 * could not be checked. */
struct check_options {
    int64_t in_flight_ms;  /* what is in flight for longer is broken */
    int64_t now_ms;        /* when the reading began */
    int64_t slice_records; /* asked about at once */
    bool json;
};
/* *ret_holds: nothing is lost, doubled or changed. */
int check_all(struct verify *v, const struct check_options *options, bool *ret_holds,
              struct mr_err *err);

#endif
