/*
 * What consumer.c (membership, positions) and consumer_read.c (records) share.
 */
#ifndef MR_CONSUMER_PRIVATE_H
#define MR_CONSUMER_PRIVATE_H

#include "gateway/consumer.h"

struct consumer_slot {
    int64_t next; /* behind the last record that was given to the client */
    int64_t committed;
    int64_t again; /* first record that was polled but not given; MR_NO_OFFSET: none */
    bool is_internal;
};

struct consumer {
    struct mr_bus *bus;
    struct consumer_options options;
    char *group;
    char **topics; /* subscribed; or */
    size_t topics_count;
    struct mr_part *wished; /* assigned by hand */
    size_t wished_count;

    struct mr_reader *reader; /* NULL: nothing is wished, or it has to be opened again */
    struct mr_part *parts;
    struct consumer_slot *slots;
    size_t parts_count;
    bool is_paused;
    int64_t read_ms; /* the end of the last read */
};

/* Opens the reader when something is wished. */
int consumer_ensure(struct consumer *consumer, struct mr_err *err);
/* Closes it; the wish stays. */
void consumer_drop(struct consumer *consumer);
void consumer_pause(struct consumer *consumer, bool paused);
void consumer_answer(struct consumer *consumer, const struct mr_batch *batch);
/* All that was given, without waiting. */
void consumer_commit_soon(struct consumer *consumer);

#endif
