/*
 * The topics that the door writes to: which exist, with how many partitions, and, with
 * --auto-topics, how one of a known kind comes into being on its first use.
 *
 * Nothing here blocks: the writer's cache answers at once, and whatever must ask the broker is an
 * errand. Threads: the door's.
 */
#ifndef MR_GATEWAY_TOPICS_H
#define MR_GATEWAY_TOPICS_H

#include "base/base.h"
#include "bus/bus.h"
#include "gateway/errand.h"
#include "metrics/metrics.h"
#include "names/names.h"
#include "topics/topics.h"

struct topics;

struct topic {
    char name[MR_BUS_TOPIC_MAX + 1];
    int partitions;
    int spread; /* over so many of them records with an id are spread (LAW 6); 0: not known */
    bool is_spread_asked;
    int64_t spread_ms;             /* when that was recorded or read last */
    uint8_t id[MR_TOPIC_ID_BYTES]; /* zero: not listed yet */
    uint32_t incarnation;          /* changes when it is made anew under its name */
    struct mr_cell *in, *good;
    struct topic *next; /* of the same bucket */
    bool durability_checked;
};

struct topics_options {
    struct errands *errands;
    struct mr_writer *writer;
    const struct mr_plan *plan;
    const char *kinds; /* folder: a kind is known when it has a folder here */
    bool auto_topics;
    struct mr_metrics *metrics;
};
struct topics *topics_open(const struct topics_options *options);
void topics_close(struct topics *topics);
/* Looks again when it is time. */
void topics_step(struct topics *topics);

enum lookup {
    LOOKUP_READY,
    LOOKUP_WAIT,    /* ask again soon */
    LOOKUP_UNKNOWN, /* there is no such topic, and err says what would make one */
    LOOKUP_REFUSED, /* it is not to be posted to, or could not be made: err says why */
};
/* Topics live as long as `topics`. */
enum lookup topics_look(struct topics *topics, const char *name, struct topic **ret,
                        struct mr_err *err);
/* Asks for topic->spread when it is not known, and records it again from time to time. False: ask
 * again soon. */
bool topics_know_spread(struct topics *topics, struct topic *topic);
bool topics_kind_known(const struct topics *topics, const char *kind);
/* The known ones, as "geo, pin, user". */
void topics_kinds(const struct topics *topics, struct mr_buf *ret_text);
/* All topics of the cluster as last seen, sorted by name; borrowed until the next step. NULL:
 * none have been seen yet. */
const struct mr_topic *topics_list(const struct topics *topics, size_t *ret_count);
/* The cluster's id, or NULL while the broker has never answered. */
const char *topics_cluster(const struct topics *topics);
const struct mr_plan *topics_plan(const struct topics *topics);
/* False for what no topic of clients may be called. */
bool topics_name_ok(const char *name);
/* One of them, or NULL. */
const struct mr_topic *topics_find(const struct topics *topics, const char *name);
/* Takes a list that somebody has just got, so that what was made or deleted shows at once. */
void topics_take_list(struct topics *topics, struct mr_topic *list, size_t count);
/* False when the broker has not answered for a while. */
bool topics_reachable(const struct topics *topics);
/* How many topics are kept by fewer replicas than the plan asks for (LAW 23). */
size_t topics_weak(const struct topics *topics);

#endif
