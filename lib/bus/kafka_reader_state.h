/*
 * The reader of the Kafka driver. kafka_group.c: what the group gives and takes; kafka_reader.c:
 * records and positions.
 */
#ifndef MR_KAFKA_READER_STATE_H
#define MR_KAFKA_READER_STATE_H

#include "bus/kafka_state.h"

struct slot {
    const char *topic; /* in reader->parts */
    int32_t partition;
    bool paused;
    int64_t next; /* behind the last record told; what comes from before is old */
};

/* What the caller has been told to hold. */
enum claim { NOTHING, ASKED, OWNING };

struct kafka_reader {
    struct mr_reader base;
    struct kafka_client client;
    rd_kafka_queue_t *queue;
    char *group, *instance; /* instance NULL: no static member */
    char *member;           /* our id in the last generation that was confirmed; or NULL */
    struct mr_reader_options options; /* without its texts */
    bool subscribed, closing;

    /* Recorded by the rebalance callback, told by poll. */
    rd_kafka_topic_partition_list_t *offer; /* an assignment not told yet; or NULL */
    bool going, lost;                       /* the claim must be given back; it is gone already */

    int64_t gap_due_ms; /* when to have the group assign anew, as it misses partitions; 0: never */
    int gap_wait_ms;    /* before the next time, if that does not help */

    enum claim claim;
    struct mr_part *parts; /* of the claim */
    size_t parts_count;
    rd_kafka_consumer_group_metadata_t *metadata; /* of the claim */

    struct slot *slots; /* in the order of mr_reader_assign */
    uint32_t *sorted;   /* slots by topic and partition */
    size_t slots_count;
    const rd_kafka_topic_t *last_topic; /* slot of the last record, for the next one */
    int32_t last_partition;
    uint32_t last_slot;

    rd_kafka_message_t **messages; /* lent out with the records */
    size_t messages_count, room;
    struct mr_record *records;
    struct mr_err failed;
    int64_t looked_ms; /* when the connection was last looked at */
};

/* kafka_group.c */
void kafka_group_conf(rd_kafka_conf_t *conf);
/* 1: an event is told in ret; 0: none is due; or an error, and the event stays due. */
int kafka_group_tell(struct kafka_reader *reader, struct mr_batch *ret, struct mr_err *err);
int kafka_group_release(struct mr_reader *reader, struct mr_err *err);
int kafka_group_stale(const struct kafka_reader *reader, struct mr_err *err);
bool kafka_group_has_gone(struct kafka_reader *reader);
void kafka_group_close(struct kafka_reader *reader); /* leaves rk to be destroyed */
/* kafka_cover.c */
/* Looks whether held, by all members, is all that the subscription means now; else a time is set.
 */
int kafka_group_look_for_gaps(struct kafka_reader *reader, rd_kafka_topic_partition_list_t *held,
                              int timeout_ms, struct mr_err *err);
/* Has the group assign anew when that time has come. */
int kafka_group_close_gaps(struct kafka_reader *reader, struct mr_err *err);
/* kafka_members.c */
int kafka_reader_is_taken(struct mr_reader *reader, int timeout_ms, struct mr_err *err);
/* kafka_reader.c */
/* Another client in the place of one that is of no use any more, with the same subscription. */
int kafka_reader_renew(struct kafka_reader *reader, struct mr_err *err);
void kafka_reader_drop(struct kafka_reader *reader);   /* lent messages */
void kafka_reader_forget(struct kafka_reader *reader); /* and slots */

#endif
