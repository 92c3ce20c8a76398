/*
 * bus: ordered partitions of bytes, transactions, and start offsets chosen by the caller.
 *
 * Three handles. A bus is a connection and answers questions about topics and offsets. A reader
 * consumes: as a member of a group, or with partitions assigned by hand. A writer produces:
 * idempotent, or in transactions that also carry a reader's positions.
 *
 * Two drivers: Kafka (librdkafka 2.8.0 or newer; forced settings stand in one table in kafka.c,
 * facts and reasons beside each) and memory (tests: same promises, no network).
 *
 * Rebalances do not happen behind the caller's back. mr_reader_poll returns them as events and
 * nothing is fetched until the caller has answered:
 *
 *   MR_BUS_ASSIGNED  parts[] names what is now ours with its offsets; choose start offsets and
 *                    call mr_reader_assign
 *   MR_BUS_REVOKED   commit or abort what is open, then call mr_reader_release
 *   MR_BUS_LOST      somebody else may have it already: abort, then call mr_reader_release
 *
 * The group metadata that a commit carries is the one taken when ASSIGNED was reported; a commit
 * after the assignment has moved on fails with STALE (LAW 7).
 *
 * Threads: a handle belongs to one thread; handles of one bus may live in different threads. The
 * bus outlives its readers and writers. The delivered callback runs inside calls of its writer, on
 * the caller's thread.
 */
#ifndef MR_BUS_H
#define MR_BUS_H

#include "base/base.h"

struct mr_bus;
struct mr_reader;
struct mr_writer;

enum { MR_TOPIC_ID_BYTES = 16, MR_BUS_TOPIC_MAX = 249, MR_BUS_BATCH_MAX = 10000 };

/* The one header that our records carry; others are not shown. */
#define MR_BUS_HEADER "millrace"

/* ---- bus ---- */

struct mr_bus_options {
    const char *bootstrap;    /* host:port,... */
    const char *kafka_config; /* properties file of librdkafka or Java names, or NULL */
    const char *client_id;    /* also the group in whose name readers without a group read */
};
int mr_bus_open(const struct mr_bus_options *options, struct mr_bus **ret, struct mr_err *err);
void mr_bus_close(struct mr_bus *bus);
void mr_bus_closep(struct mr_bus **bus);

/* The cluster's id; borrowed for the life of the bus. */
int mr_bus_cluster_id(struct mr_bus *bus, const char **ret, int timeout_ms, struct mr_err *err);

struct mr_topic {
    char name[MR_BUS_TOPIC_MAX + 1];
    uint8_t id[MR_TOPIC_ID_BYTES];
    int partitions;
    int replicas;
};
/* All topics of the cluster but internal ones, sorted by name; the caller frees *ret. */
int mr_bus_topics(struct mr_bus *bus, struct mr_topic **ret, size_t *ret_count, int timeout_ms,
                  struct mr_err *err);

struct mr_topic_spec {
    const char *name;
    int partitions, replicas;
    const char *const *settings; /* key, value, key, value, .. NULL; or NULL */
};
/* Creates one after the other in the given order; one that exists already is fine. Returns when
 * each is known with all its partitions to this bus. */
int mr_bus_create(struct mr_bus *bus, const struct mr_topic_spec *specs, size_t count,
                  int timeout_ms, struct mr_err *err);
/* Deletes the topic with all its records; returns when it is no longer known to this bus. Those who
 * wrote to it learn of it up to two seconds later. NOT_FOUND: there is none. */
int mr_bus_delete(struct mr_bus *bus, const char *topic, int timeout_ms, struct mr_err *err);

struct mr_setting {
    const char *name;
    const char *value;  /* NULL: a secret, or none */
    const char *source; /* "DYNAMIC_TOPIC_CONFIG", "DEFAULT_CONFIG" .. as Kafka names them */
    bool is_default, is_read_only, is_sensitive;
    const struct mr_setting *synonyms; /* from where the value comes, first one first */
    size_t synonyms_count;
};
/* All settings of a topic, sorted by name, in the arena. */
int mr_bus_settings(struct mr_bus *bus, const char *topic, struct mr_arena *arena,
                    const struct mr_setting **ret, size_t *ret_count, int timeout_ms,
                    struct mr_err *err);
/* One of them ("min.insync.replicas"), into ret_value. */
int mr_bus_setting(struct mr_bus *bus, const char *topic, const char *setting, char *ret_value,
                   size_t size, int timeout_ms, struct mr_err *err);

struct mr_broker {
    int32_t id;
    const char *host;
    int port;
};
struct mr_partition {
    int32_t leader;                   /* of brokers; -1: none now */
    const int32_t *replicas, *insync; /* of brokers */
    size_t replicas_count, insync_count;
};
struct mr_description {
    const struct mr_broker *brokers; /* sorted by id */
    size_t brokers_count;
    int32_t controller;                    /* of brokers; -1: not known */
    const struct mr_partition *partitions; /* by their numbers */
    size_t partitions_count;
};
/* Brokers and, unless topic is NULL, its partitions; everything in the arena. NOT_FOUND: there is
 * no such topic. */
int mr_bus_describe(struct mr_bus *bus, const char *topic, struct mr_arena *arena,
                    struct mr_description *ret, int timeout_ms, struct mr_err *err);

enum { MR_POSITION_NOTE_MAX = 1024 };
#define MR_NO_OFFSET ((int64_t)-1)

struct mr_offsets {
    const char *topic;                   /* in: borrowed */
    int32_t partition;                   /* in */
    uint8_t topic_id[MR_TOPIC_ID_BYTES]; /* out: another one than before: it was made anew */
    int64_t log_start;                   /* out: first offset still there */
    int64_t end;       /* out: behind the last committed record (last stable offset) */
    int64_t high;      /* out of mr_bus_high_watermarks: behind the last record, committed or not */
    int64_t committed; /* out: of the group; MR_NO_OFFSET: none, or no group asked for */
    char note[MR_POSITION_NOTE_MAX]; /* out: what was committed with it */
};
/* Fills the out fields; group may be NULL. An unknown topic or partition: NOT_FOUND. Any thread. */
int mr_bus_offsets(struct mr_bus *bus, const char *group, struct mr_offsets *offsets, size_t count,
                   int timeout_ms, struct mr_err *err);
/* Fills high and nothing else: what is written is below it, also where the end still waits for the
 * marker of a transaction that is already committed. Errors as above. Any thread. */
int mr_bus_high_watermarks(struct mr_bus *bus, struct mr_offsets *offsets, size_t count,
                           int timeout_ms, struct mr_err *err);
/* The first offset whose record is of time_ms (UTC) or later; the end when there is none. Fills log
 * start and end too. Any thread. */
int mr_bus_offset_at(struct mr_bus *bus, struct mr_offsets *offsets, int64_t time_ms,
                     int64_t *ret_offset, int timeout_ms, struct mr_err *err);

/* ---- reader ---- */

struct mr_reader_options {
    const char *group;       /* NULL: no group, use mr_reader_assign by hand */
    const char *instance;    /* group.instance.id (static membership), or NULL */
    int64_t queue_bytes_max; /* prefetched records of all partitions together */
    int session_timeout_ms;  /* 0: 6000 */
};
int mr_reader_open(struct mr_bus *bus, const struct mr_reader_options *options,
                   struct mr_reader **ret, struct mr_err *err);
void mr_reader_close(struct mr_reader *reader); /* leaves; a static member keeps its place */
void mr_reader_closep(struct mr_reader **reader);

/* Names or, with a leading ^, extended regular expressions. */
int mr_reader_subscribe(struct mr_reader *reader, const char *const *topics, size_t count,
                        struct mr_err *err);

enum mr_bus_event { MR_BUS_RECORDS, MR_BUS_ASSIGNED, MR_BUS_REVOKED, MR_BUS_LOST };

struct mr_part {
    char topic[MR_BUS_TOPIC_MAX + 1];
    uint8_t topic_id[MR_TOPIC_ID_BYTES];
    int32_t partition;
    int64_t log_start, end, committed; /* as in mr_offsets, taken at assignment */
    char note[MR_POSITION_NOTE_MAX];
    int64_t start; /* chosen by the caller before mr_reader_assign */
};

/* 0: what was asked just now is of the very topic that the part was assigned of. Else IDENTITY,
 * naming both ids: one that was deleted and made again between two looks of the client library is
 * read on at the old position, in silence (LAW 2). */
int mr_part_check_topic(const struct mr_part *part, const struct mr_offsets *now,
                        struct mr_err *err);

struct mr_record {
    uint32_t slot; /* index into the parts given to mr_reader_assign */
    bool is_end;   /* no record: the partition has been read up to offset (end-of-partition) */
    int64_t offset;
    int64_t time_ms;        /* broker or producer time, UTC */
    struct mr_slice key;    /* data NULL: no key */
    struct mr_slice value;  /* data NULL: tombstone */
    struct mr_slice header; /* value of the millrace header; data NULL: none */
};

struct mr_batch {
    enum mr_bus_event event;
    const struct mr_record *records; /* borrowed until the next call on the reader */
    size_t count;
    struct mr_part *parts; /* ASSIGNED: ours to fill in start; REVOKED, LOST: what goes */
    size_t parts_count;
};
/* Waits up to timeout_ms for the first record, then takes what is there, at most count_max. A
 * batch that ends early does so at an event. Returns the count of records, 0, or an error. */
int mr_reader_poll(struct mr_reader *reader, size_t count_max, int timeout_ms, struct mr_batch *ret,
                   struct mr_err *err);

/* Starts fetching each part from its start. In a group: the answer to ASSIGNED, with the same
 * parts in the same order. By hand: replaces the assignment, and may come at any time. */
int mr_reader_assign(struct mr_reader *reader, const struct mr_part *parts, size_t count,
                     struct mr_err *err);
int mr_reader_release(struct mr_reader *reader, struct mr_err *err);
/* Drops everything prefetched of the slot and goes on from offset. STALE, here and for pause: the
 * partitions go, REVOKED or LOST comes next. */
int mr_reader_seek(struct mr_reader *reader, uint32_t slot, int64_t offset, struct mr_err *err);
/* A paused slot is not fetched and keeps its position; its prefetched records are dropped. */
int mr_reader_pause(struct mr_reader *reader, uint32_t slot, bool paused, struct mr_err *err);

struct mr_position {
    uint32_t slot;
    int64_t next;     /* last handled record + 1, or an end-of-partition offset (LAW 12) */
    const char *note; /* kept with the offset, up to MR_POSITION_NOTE_MAX - 1; or NULL */
};
/* Outside of transactions. timeout_ms 0: for display of lag only, sent and not waited for; else
 * all is stored when it returns 0. */
int mr_reader_commit(struct mr_reader *reader, const struct mr_position *positions, size_t count,
                     int timeout_ms, struct mr_err *err);
/* As mr_bus_offsets, of the reader's group. */
int mr_reader_offsets(struct mr_reader *reader, struct mr_offsets *offsets, size_t count,
                      int timeout_ms, struct mr_err *err);
/* 1: another process has joined the group with this reader's instance name; 0: none has. */
int mr_reader_is_taken(struct mr_reader *reader, int timeout_ms, struct mr_err *err);

/* ---- writer ---- */

struct mr_writer_options {
    const char *transactional_id; /* NULL: idempotent, no transactions */
    int linger_ms;                /* -1: 2 ms (0 in transactions) */
    int64_t queue_bytes_max;      /* records not yet acknowledged */
    int delivery_timeout_ms;      /* 0: 10000; below transaction_timeout_ms */
    int transaction_timeout_ms;   /* 0: 10000 */
    /* Once for each produced message: err NULL and its place, or why it was not stored. NULL: not
     * called (commit and flush report failures). */
    void (*delivered)(void *self, void *opaque, int32_t partition, int64_t offset,
                      const struct mr_err *err);
    void *self;
};
/* With a transactional_id: fences every older writer of that id before it returns (LAW 7, 9). */
int mr_writer_open(struct mr_bus *bus, const struct mr_writer_options *options,
                   struct mr_writer **ret, struct mr_err *err);
void mr_writer_close(struct mr_writer *writer); /* aborts what is open; drops what is queued */
void mr_writer_closep(struct mr_writer **writer);

struct mr_message {
    const char *topic;
    int32_t partition;      /* -1: murmur2 of the key, or any when there is no key */
    struct mr_slice key;    /* copied */
    struct mr_slice value;  /* data NULL: tombstone */
    struct mr_slice header; /* copied; data NULL: none */
    int64_t time_ms;        /* of the record, UTC; 0: now */
    bool value_borrowed;    /* value stays valid until delivered or commit/abort/flush returned */
    void *opaque;
};
/* FULL (RETRY): the queue is at its maximum; poll and try again. */
int mr_writer_produce(struct mr_writer *writer, const struct mr_message *message,
                      struct mr_err *err);
/* Partition count of a topic: from the cache, refreshed every 2 s in the background; asks the
 * broker the first time, up to timeout_ms (0: answers UNAVAILABLE and asks in the background). */
int mr_writer_partitions(struct mr_writer *writer, const char *topic, int timeout_ms,
                         struct mr_err *err);
/* A descriptor that becomes readable when delivery reports wait, for an epoll loop. */
int mr_writer_fd(struct mr_writer *writer);
int mr_writer_poll(struct mr_writer *writer, int timeout_ms); /* count of reports served */
int mr_writer_flush(struct mr_writer *writer, int timeout_ms, struct mr_err *err);

/* Transactions. ABORTED: call mr_writer_abort, rewind, begin again; TOO_LARGE: the same, because a
 * record was larger than its topic takes. FENCED is fatal. After any call that failed otherwise,
 * abort too; a producer that must not be used again is replaced inside the next begin (LAW 8). A
 * commit that failed with anything but ABORTED, TOO_LARGE, STALE or FENCED may have taken effect:
 * once the next begin has returned, mr_bus_offsets tells, and the reader goes on from what it says
 * is committed. */
int mr_writer_begin(struct mr_writer *writer, struct mr_err *err);
int mr_writer_commit(struct mr_writer *writer, struct mr_reader *reader,
                     const struct mr_position *positions, size_t count, int timeout_ms,
                     struct mr_err *err);
int mr_writer_abort(struct mr_writer *writer, int timeout_ms, struct mr_err *err);

#endif
