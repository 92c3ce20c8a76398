/*
 * What the files of the Kafka driver share. kafka.c: settings, opening, errors; kafka_admin.c,
 * kafka_describe.c and kafka_offsets.c: questions; kafka_group.c and kafka_reader.c: consuming;
 * kafka_writer.c and kafka_txn.c: producing.
 */
#ifndef MR_KAFKA_STATE_H
#define MR_KAFKA_STATE_H

#include "bus/driver.h"
#include "bus/kafka_config.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>

enum { KAFKA_TROUBLE_MAX = 200, KAFKA_LOOK_AGAIN_MS = 5, KAFKA_ASKERS_MAX = 32 };
enum kafka_role { KAFKA_ADMIN = 1, KAFKA_CONSUMER = 2, KAFKA_PRODUCER = 4 };

/* One librdkafka instance and what it said last about its own health. */
struct kafka_client {
    rd_kafka_t *rk; /* NULL: not open */
    struct kafka_bus *bus;
    void *owner;          /* the reader or writer, for its callbacks */
    pthread_mutex_t lock; /* over the rest: logs come from threads of librdkafka */
    rd_kafka_resp_err_t trouble;
    bool down; /* no broker can be reached */
    char trouble_text[KAFKA_TROUBLE_MAX];
};

struct kafka_asker {
    char *group;
    struct kafka_client client;
};

struct kafka_bus {
    struct mr_bus base;
    char *bootstrap, *client_id;
    struct kafka_config config;
    struct kafka_client client; /* asks questions */
    struct kafka_client seer;   /* sees what is not committed; open once it was needed */
    char *cluster_id;
    pthread_mutex_t lock; /* over opening the seer, and the list of askers */
    struct kafka_asker askers[KAFKA_ASKERS_MAX];
    size_t askers_count;
};

struct kafka_option {
    const char *name, *value; /* NULL: left out */
};
/* Opens client->rk: the user's settings, the forced ones, then the options (ends with name NULL).
 * conf may carry callbacks; it is taken. */
int kafka_client_open(struct kafka_client *client, enum kafka_role role, rd_kafka_conf_t *conf,
                      const struct kafka_option *options, struct mr_err *err);
void kafka_client_init(struct kafka_client *client, struct kafka_bus *bus, void *owner);
void kafka_client_fini(struct kafka_client *client); /* destroys rk too */
/* Serves the error callback of a consumer that has nothing assigned. */
void kafka_client_listen(struct kafka_client *client);
/* Trouble that is over: something has worked since. */
void kafka_client_well(struct kafka_client *client);
bool kafka_client_is_down(struct kafka_client *client);

/* Fills err from an error of librdkafka; what it reported about the connection goes with it. */
int kafka_fail(struct mr_err *err, struct kafka_client *client, rd_kafka_resp_err_t code,
               const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same from an error object, which is destroyed. */
int kafka_fail_with(struct mr_err *err, struct kafka_client *client, rd_kafka_error_t *error,
                    const char *what);

/* kafka_admin.c */
extern const struct mr_bus_driver kafka_bus_driver;
void kafka_event_freep(rd_kafka_event_t **event);
void kafka_queue_freep(rd_kafka_queue_t **queue);
void kafka_options_freep(rd_kafka_AdminOptions_t **options);
void kafka_list_freep(rd_kafka_topic_partition_list_t **list);
void kafka_pause(void); /* KAFKA_LOOK_AGAIN_MS, between two questions */
rd_kafka_AdminOptions_t *kafka_options(struct kafka_bus *bus, rd_kafka_admin_op_t operation,
                                       int timeout_ms);
/* Takes the next answer from the queue. */
int kafka_await(struct kafka_bus *bus, rd_kafka_queue_t *queue, int timeout_ms, const char *what,
                rd_kafka_event_t **ret, struct mr_err *err);
void kafka_describe(struct kafka_bus *bus, const char **topics, size_t count, int timeout_ms,
                    rd_kafka_queue_t *queue);
void kafka_topic_id(const rd_kafka_TopicDescription_t *topic, uint8_t ret[MR_TOPIC_ID_BYTES]);
/* Asks for one topic, answered on queue; and what the answer says: its partitions, or an error. */
void kafka_ask_topic(struct kafka_bus *bus, const char *topic, rd_kafka_queue_t *queue);
int kafka_topic_answer(struct kafka_bus *bus, rd_kafka_event_t *event, const char *topic,
                       struct mr_err *err);

/* kafka_describe.c */
int kafka_remove(struct mr_bus *bus, const char *topic, int timeout_ms, struct mr_err *err);
int kafka_settings(struct mr_bus *bus, const char *topic, struct mr_arena *arena,
                   struct mr_settings *ret, int timeout_ms, struct mr_err *err);
int kafka_describe_parts(struct mr_bus *bus, const char *topic, struct mr_arena *arena,
                         struct mr_description *ret, int timeout_ms, struct mr_err *err);

/* kafka_offsets.c */
int kafka_offsets(struct mr_bus *bus, const char *group, struct mr_offsets *offsets, size_t count,
                  int timeout_ms, struct mr_err *err);
int kafka_high_watermarks(struct mr_bus *bus, struct mr_offsets *offsets, size_t count,
                          int timeout_ms, struct mr_err *err);
/* member: a reader's client, which asks for its own group. */
int kafka_reader_offsets(struct kafka_bus *bus, struct kafka_client *member,
                         struct mr_offsets *offsets, size_t count, int timeout_ms,
                         struct mr_err *err);
int kafka_offset_at(struct mr_bus *bus, struct mr_offsets *offsets, int64_t time_ms,
                    int64_t *ret_offset, int timeout_ms, struct mr_err *err);
/* Fills everything but start of the parts; for takeover. */
int kafka_part_offsets(struct kafka_bus *bus, struct kafka_client *member, struct mr_part *parts,
                       size_t count, int timeout_ms, struct mr_err *err);
/* kafka_members.c */
/* 1: the group is settled and exactly these parts are the member's, and what all members hold is
 * added to held; 0: not so now. */
int kafka_group_confirms(struct kafka_bus *bus, const rd_kafka_consumer_group_metadata_t *metadata,
                         const rd_kafka_topic_partition_list_t *parts,
                         rd_kafka_topic_partition_list_t *held, int timeout_ms, struct mr_err *err);

/* kafka_reader.c */
int kafka_reader_open(struct mr_bus *bus, const struct mr_reader_options *options,
                      struct mr_reader **ret, struct mr_err *err);
/* The metadata and positions that a commit carries, or STALE or FENCED. The list is the caller's.
 */
int kafka_reader_positions(struct mr_reader *reader, const struct mr_position *positions,
                           size_t count, const rd_kafka_consumer_group_metadata_t **ret_metadata,
                           rd_kafka_topic_partition_list_t **ret_list, struct mr_err *err);

/* kafka_writer.c */
int kafka_writer_open(struct mr_bus *bus, const struct mr_writer_options *options,
                      struct mr_writer **ret, struct mr_err *err);

#endif
