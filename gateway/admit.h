/*
 * admit: from events that a dialect found in a request to the answer that it gives. Limits, the
 * header of each record, produce, and the wait for all delivery reports stand here once for all
 * dialects.
 *
 *   struct post *post = post_new(call, &dialect);
 *   struct event *event = post_add(post, topic);    once or more often
 *   post_admit(post);                               dialect->answer(post) follows, now or later
 *
 * An event's value is borrowed from the request's memory; the request lives until its reply, and
 * the reply comes after the last report. Threads: the door's.
 */
#ifndef MR_ADMIT_H
#define MR_ADMIT_H

#include "base/base.h"
#include "bus/bus.h"
#include "gateway/reply.h"
#include "gateway/stamp.h"
#include "gateway/topics.h"
#include "http/http.h"

struct admit;
struct call;
struct principal;
struct post;
struct strict;

enum { POST_EVENTS_MAX = 10000 };

/* Of an event that can be told from all others again: by the name that its client gives it, or by
 * its request's Idempotency-Key and its place there. */
struct identity {
    struct stamp_name name;
    uint8_t id[STAMP_ID_BYTES];
    uint64_t value_hash;
    const struct event *twin; /* in the same post, with the same id and value; NULL: none */
    bool is_begun;            /* in flight under this id */
    bool is_known;            /* it stands already where its receipt says */
};

struct event {
    struct post *post;
    size_t place;          /* in the post: its own number, unless the dialect passed over some */
    const char *name;      /* of its topic, in the request's memory */
    struct topic *topic;   /* set by admit */
    struct mr_slice key;   /* data NULL: none */
    struct mr_slice value; /* data NULL: tombstone */
    int32_t partition;     /* wished (-1: any); then where it stands */
    int64_t offset;        /* -1: it is not stored */
    int code;              /* 0, or why it is not stored */
    bool is_retriable;
    const char *text;
    struct identity *identity; /* NULL: none, unless admit finds an Idempotency-Key */
    const void *hint;          /* the dialect's own, for its place */
};

struct post {
    struct admit *admit;
    struct mr_http_request *request;
    struct mr_arena *arena; /* of all that belongs to the post: the request's, or a stream's */
    const struct dialect *dialect;
    const struct principal *who;
    struct event *events;
    size_t count, room;
    size_t waiting; /* for so many reports */
    size_t bytes;   /* counted as in flight */
    int64_t received_us, started_us, deadline_ms;
    struct post *next;  /* of those that wait for their topic */
    uint32_t index;     /* of its first event in the request, if that has several posts */
    bool is_named;      /* its events have an identity */
    bool is_identified; /* and ids */
    bool is_part;       /* of a stream: what concerns all of it is told of each event, by answer */
    bool is_judged;     /* by strict mode */
    bool is_partial;    /* its answer can say of one event that it broke the contract */
    int form;           /* the dialect's own notes for its answer */
    void *state;
};

struct admit_options {
    struct mr_bus *bus; /* for the writer */
    struct errands *errands;
    const struct mr_plan *plan;
    const char *kinds;
    bool auto_topics;
    int linger_ms, delivery_ms_max;
    int64_t in_flight_bytes_max;
    int64_t receipts_bytes_max;
    struct strict *strict; /* NULL: every event goes on as it is */
    struct mr_metrics *metrics;
    struct replies *replies;
};
int admit_open(const struct admit_options *options, struct admit **ret, struct mr_err *err);
/* Requests that are still waiting are not answered. */
void admit_close(struct admit *admit);
int admit_fd(const struct admit *admit);
/* Serves reports, topics and deadlines. Count of reports served. */
int admit_step(struct admit *admit);
void admit_reports(void *admit); /* only the reports, for mr_http_watch */
/* How many requests wait for reports or for a topic. */
size_t admit_waiting(const struct admit *admit);
size_t admit_in_flight_bytes(const struct admit *admit);
/* For what streams have sent and nobody has posted yet: false beyond a quarter of what may be in
 * flight. What was taken is given back. */
bool admit_hold(struct admit *admit, size_t bytes);
void admit_give_back(struct admit *admit, size_t bytes);
size_t admit_held_bytes(const struct admit *admit);
size_t admit_receipts(const struct admit *admit); /* kept */
struct topics *admit_topics(struct admit *admit);
struct replies *admit_replies(struct admit *admit);

struct post *post_new(const struct call *call, const struct dialect *dialect);
/* A part of a stream; everything of it is in the arena, which must live until its answer. */
struct post *post_new_part(const struct call *call, const struct dialect *dialect,
                           struct mr_arena *arena);
/* NULL beyond POST_EVENTS_MAX. topic is borrowed from the request's memory. */
struct event *post_add(struct post *post, const char *topic);
/* The client's name for an event (LAW 3): the same source and id is the same event wherever it
 * stands. Of a post all events have one, or none. Both borrowed from the request's memory. */
void event_name(struct event *event, struct mr_slice source, struct mr_slice id);
void post_admit(struct post *post);
/* How many events are not stored, and the answer's status for that: 200 while at least one is. */
size_t post_failed(const struct post *post, int *ret_status);

#endif
