/*
 * The writer of the Kafka driver. kafka_writer.c: messages, reports, partition counts; kafka_txn.c:
 * the producer's life and its transactions.
 */
#ifndef MR_KAFKA_WRITER_STATE_H
#define MR_KAFKA_WRITER_STATE_H

#include "bus/kafka_state.h"

/* From the failure of a transaction to the report that says why. */
enum { KAFKA_REPORT_MS_MAX = 1000 };

struct topic {
    char *name;
    rd_kafka_topic_t *handle; /* of the present producer; NULL: none yet */
    int partitions;           /* 0: not known */
    rd_kafka_queue_t *asked;  /* where the answer comes; NULL: no question is open */
    int64_t answered_ms;
};

struct kafka_writer {
    struct mr_writer base;
    struct kafka_client client;
    struct mr_writer_options options;
    char *transactional_id;
    int fd;
    struct topic **topics; /* sorted by name */
    size_t topics_count;
    struct topic *last_topic;

    int64_t queued_bytes;
    int served;           /* reports of the poll that runs */
    struct mr_err failed; /* why the first message since the last flush or begin was not stored */

    bool in_txn;
    bool is_unsure; /* a transaction call failed or timed out: do not ask this producer again */
    bool fenced;
};

/* kafka_writer.c */
struct topic *kafka_writer_topic(struct kafka_writer *writer, const char *name);
void kafka_writer_conf(rd_kafka_conf_t *conf);
void kafka_writer_wake(struct kafka_writer *writer); /* the eventfd on the producer's queue */
void kafka_writer_meet(struct kafka_writer *writer, rd_kafka_topic_t *topic);
/* Serves reports until one failed, all are there, or for wait_ms. */
void kafka_writer_hear(struct kafka_writer *writer, int wait_ms);
/* The transaction fails for what failed says. */
int kafka_writer_failure(const struct kafka_writer *writer, struct mr_err *err);

/* kafka_txn.c */
int kafka_producer_open(struct kafka_writer *writer, struct mr_err *err);
void kafka_producer_close(struct kafka_writer *writer);
int kafka_txn_begin(struct mr_writer *writer, struct mr_err *err);
int kafka_txn_commit(struct mr_writer *writer, struct mr_reader *reader,
                     const struct mr_position *positions, size_t count, int timeout_ms,
                     struct mr_err *err);
int kafka_txn_abort(struct mr_writer *writer, int timeout_ms, struct mr_err *err);
int kafka_writer_fenced(const struct kafka_writer *writer, struct mr_err *err);

#endif
