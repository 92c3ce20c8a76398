/*
 * consumer: one consumer instance of the REST proxy as Kafka sees it: a reader in a group or with
 * partitions assigned by hand, where it stands, and what of it is committed.
 *
 * Between two reads nothing is fetched and next to nothing kept: the partitions are paused, and
 * consumer_tend answers what the group wants.
 *
 * Threads: that of its instance (consumers.h); every call may take seconds.
 */
#ifndef MR_CONSUMER_H
#define MR_CONSUMER_H

#include "base/base.h"
#include "bus/bus.h"

#include <stdatomic.h>

enum { CONSUMER_BYTES_MAX = 4 << 20 }; /* of keys and values in one answer */

struct consumer_options {
    const char *group;
    bool is_json, is_earliest, auto_commit;
    int64_t bytes_min; /* a read waits for so many */
};

struct consumer;
struct consumer *consumer_new(struct mr_bus *bus, const struct consumer_options *options);
/* Leaves the group; what was read since the last commit will be read again. */
void consumer_free(struct consumer *consumer);

/* Replaces what was subscribed or assigned; names or, with a leading ^, patterns. */
int consumer_subscribe(struct consumer *consumer, const char *const *topics, size_t count,
                       struct mr_err *err);

struct place {
    const char *topic;
    int32_t partition;
    int64_t offset;
    const char *note; /* NULL: none */
};
/* By hand: goes on where the group stands. NOT_FOUND: there is no such partition. */
int consumer_assign(struct consumer *consumer, const struct place *places, size_t count,
                    struct mr_err *err);
/* Commits with auto_commit, then leaves the group. */
void consumer_leave(struct consumer *consumer);
/* What is assigned now; count 0: nothing (yet). Borrowed until the next call. */
const struct mr_part *consumer_parts(const struct consumer *consumer, size_t *ret_count);
/* To be called a few times in a second while nothing is read. */
void consumer_tend(struct consumer *consumer);

struct reading {
    int timeout_ms;
    int64_t bytes_max;
    const atomic_int *waiting; /* above 1: somebody else waits for this consumer, do not */
    struct mr_buf *body;       /* out: the JSON list */
    struct mr_arena *arena;    /* of topics */
    const char *topics[64];    /* out: each that something was read of */
    size_t topics_count;
};
/* Ends when there is enough, at the timeout, or before a record that is not JSON but should be;
 * CORRUPT: that one is the next. */
int consumer_read(struct consumer *consumer, struct reading *reading, struct mr_err *err);

enum seek { SEEK_OFFSET, SEEK_BEGINNING, SEEK_END };
/* Of what is assigned, else CONFLICT. An offset outside of the log is where the log begins or
 * ends, as the instance was told to start. */
int consumer_seek(struct consumer *consumer, enum seek seek, const struct place *places,
                  size_t count, struct mr_err *err);
/* Places hold the last offset that was handled. Count 0: all that was read. */
int consumer_commit(struct consumer *consumer, const struct place *places, size_t count,
                    struct mr_err *err);
/* What the group has committed, in the out fields. */
int consumer_committed(struct consumer *consumer, struct mr_offsets *offsets, size_t count,
                       struct mr_err *err);

#endif
