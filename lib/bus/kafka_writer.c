/*
 * Messages and their reports. Reports come as a callback inside our own polls; an eventfd on
 * librdkafka's queue wakes an epoll loop. The limit on queued bytes is counted here, because
 * librdkafka's own would refuse a single record above it for ever.
 *
 * Partition counts are asked for in the background and refreshed while they are in use; nothing in
 * librdkafka hands out what its cache holds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bus/kafka_writer_state.h"
#include "clock/clock.h"

enum { REFRESH_MS = 2000, CLOSE_MS_MAX = 2000, MEET_MS_MAX = 500, HEAR_STEP_MS = 100 };

/* ---- topics ---- */

/* Index of the first topic not below name. */
static size_t
lower_bound(const struct kafka_writer *writer, const char *name)
{
    size_t low = 0, high = writer->topics_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(writer->topics[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct topic *
kafka_writer_topic(struct kafka_writer *writer, const char *name)
{
    if (writer->last_topic != NULL && strcmp(writer->last_topic->name, name) == 0)
        return writer->last_topic;
    size_t at = lower_bound(writer, name);
    if (at == writer->topics_count || strcmp(writer->topics[at]->name, name) != 0) {
        size_t count = writer->topics_count + 1;
        writer->topics = mr_realloc(writer->topics, count * sizeof(struct topic *));
        memmove(writer->topics + at + 1, writer->topics + at,
                (writer->topics_count - at) * sizeof(struct topic *));
        writer->topics[at] = mr_alloc(sizeof(struct topic));
        writer->topics[at]->name = mr_strdup(name);
        writer->topics_count = count;
    }
    return writer->last_topic = writer->topics[at];
}

static void
ask(struct kafka_writer *writer, struct topic *topic)
{
    if (topic->asked != NULL)
        return;
    topic->asked = rd_kafka_queue_new(writer->client.bus->client.rk);
    kafka_ask_topic(writer->client.bus, topic->name, topic->asked);
}

/* Takes the answer if it is there within timeout_ms. A failure leaves an old count in use; that a
 * topic is not there is never kept. */
static int
take_answer(struct kafka_writer *writer, struct topic *topic, int timeout_ms, struct mr_err *err)
{
    MR_CLEANUP(kafka_event_freep)
    rd_kafka_event_t *event = rd_kafka_queue_poll(topic->asked, timeout_ms);
    if (event == NULL)
        return mr_fail(err, MR_E(UNAVAILABLE), MR_RETRY, "the partitions of topic %s are asked for",
                       topic->name);
    kafka_queue_freep(&topic->asked);
    topic->answered_ms = mr_now_ms();
    int count = kafka_topic_answer(writer->client.bus, event, topic->name, err);
    if (count > 0 || err->code == MR_E(NOT_FOUND))
        topic->partitions = count > 0 ? count : 0;
    return count;
}

static int
partitions(struct mr_writer *handle, const char *name, int timeout_ms, struct mr_err *err)
{
    struct kafka_writer *writer = (struct kafka_writer *)handle;
    struct topic *topic = kafka_writer_topic(writer, name);
    struct mr_err late = { 0 };
    if (topic->partitions == 0) {
        ask(writer, topic);
        return take_answer(writer, topic, timeout_ms, err);
    }
    if (mr_now_ms() > topic->answered_ms + REFRESH_MS)
        ask(writer, topic);
    if (topic->asked != NULL && take_answer(writer, topic, 0, &late) < 0 &&
        late.code == MR_E(NOT_FOUND))
        return mr_fail(err, late.code, late.remedy, "%s", late.text);
    return topic->partitions;
}

/* ---- producing ---- */

/* librdkafka 2.8.0 waits for timers of 0.5 and 1 s before the first request of a producer and
 * before the first record of a topic, unless it has just been told where they live. A failure here
 * shows later, where it matters. */
void
kafka_writer_meet(struct kafka_writer *writer, rd_kafka_topic_t *topic)
{
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(writer->client.rk, 0, topic, &metadata, MEET_MS_MAX) ==
        RD_KAFKA_RESP_ERR_NO_ERROR)
        rd_kafka_metadata_destroy(metadata);
}

static int
meet_topic(struct kafka_writer *writer, struct topic *topic, struct mr_err *err)
{
    topic->handle = rd_kafka_topic_new(writer->client.rk, topic->name, NULL);
    if (topic->handle == NULL)
        return kafka_fail(err, &writer->client, rd_kafka_last_error(), "topic %s", topic->name);
    kafka_writer_meet(writer, topic->handle);
    return 0;
}

static int
refuse(struct kafka_writer *writer, const struct mr_message *message, rd_kafka_resp_err_t code,
       struct mr_err *err)
{
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return mr_fail(err, MR_E(FULL), MR_RETRY, "too many records wait to be acknowledged");
    if (code == RD_KAFKA_RESP_ERR__STATE) {
        kafka_writer_hear(writer, KAFKA_REPORT_MS_MAX);
        if (writer->failed.code < 0)
            return kafka_writer_failure(writer, err);
        return mr_fail(err, MR_E(ABORTED), MR_RETRY, "topic %s: the transaction has failed",
                       message->topic);
    }
    return kafka_fail(err, &writer->client, code, "topic %s", message->topic);
}

static rd_kafka_resp_err_t
hand_over(struct kafka_writer *writer, rd_kafka_topic_t *topic, const struct mr_message *message)
{
    int flags = message->value_borrowed ? 0 : RD_KAFKA_MSG_F_COPY;
    void *key = (void *)(uintptr_t)message->key.data;
    void *value = (void *)(uintptr_t)message->value.data;
    const rd_kafka_vu_t parts[] = {
        { .vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic },
        { .vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = message->partition },
        { .vtype = RD_KAFKA_VTYPE_KEY, .u.mem = { key, message->key.size } },
        { .vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = { value, message->value.size } },
        { .vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = flags },
        { .vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = message->time_ms },
        { .vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = message->opaque },
        { .vtype = RD_KAFKA_VTYPE_HEADER,
          .u.header = { MR_BUS_HEADER, message->header.data, (ssize_t)message->header.size } },
    };
    size_t count = MR_COUNT(parts) - (message->header.data == NULL);
    rd_kafka_error_t *error = rd_kafka_produceva(writer->client.rk, parts, count);
    rd_kafka_resp_err_t code = rd_kafka_error_code(error); /* of NULL: no error */
    rd_kafka_error_destroy(error);
    return code;
}

static int
produce(struct mr_writer *handle, const struct mr_message *message, struct mr_err *err)
{
    struct kafka_writer *writer = (struct kafka_writer *)handle;
    MR_ASSERT(writer->client.rk != NULL || writer->fenced);
    int64_t bytes = (int64_t)(message->key.size + message->value.size);
    if (kafka_writer_fenced(writer, err) < 0)
        return err->code;
    if (writer->queued_bytes > 0 && writer->queued_bytes + bytes > writer->options.queue_bytes_max)
        return mr_fail(err, MR_E(FULL), MR_RETRY, "%lld bytes wait to be acknowledged",
                       (long long)writer->queued_bytes);
    struct topic *topic = kafka_writer_topic(writer, message->topic);
    if (topic->handle == NULL && meet_topic(writer, topic, err) < 0)
        return err->code;
    rd_kafka_resp_err_t code = hand_over(writer, topic->handle, message);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return refuse(writer, message, code, err);
    writer->queued_bytes += bytes;
    return 0;
}

/* ---- reports ---- */

static void
fail_report(struct kafka_writer *writer, const rd_kafka_message_t *message, struct mr_err *ret)
{
    /* Not rd_kafka_message_errstr: of a produced record that gives the payload, without an end. */
    (void)kafka_fail(ret, &writer->client, message->err,
                     "topic %s partition %d refused a record of %zu bytes (%s)",
                     rd_kafka_topic_name(message->rkt), (int)message->partition, message->len,
                     rd_kafka_err2str(message->err));
    if (ret->code != MR_E(ABORTED)) /* purged, because of another */
        (void)mr_fail(&writer->failed, ret->code, ret->remedy, "%s", ret->text);
}

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    struct kafka_writer *writer = ((struct kafka_client *)opaque)->owner;
    struct mr_err err = { 0 };
    writer->queued_bytes -= (int64_t)(message->key_len + message->len);
    writer->served++;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail_report(writer, message, &err);
    if (writer->options.delivered != NULL)
        writer->options.delivered(writer->options.self, message->_private, message->partition,
                                  message->offset, err.code < 0 ? &err : NULL);
}

/* librdkafka fails a transaction before the report that says why can be read, and its own flush
 * waits for the records behind a refused one until they time out. */
void
kafka_writer_hear(struct kafka_writer *writer, int wait_ms)
{
    int64_t deadline_ms = mr_now_ms() + wait_ms;
    while (writer->failed.code == 0 && rd_kafka_outq_len(writer->client.rk) > 0) {
        int64_t left_ms = mr_left_ms(deadline_ms, HEAR_STEP_MS);
        if (left_ms == 0)
            return;
        (void)rd_kafka_poll(writer->client.rk, (int)left_ms);
    }
}

/* A record that is too large will be so again: the caller has to know. */
int
kafka_writer_failure(const struct kafka_writer *writer, struct mr_err *err)
{
    MR_ASSERT(writer->failed.code < 0);
    int code = writer->failed.code == MR_E(TOO_LARGE) ? MR_E(TOO_LARGE) : MR_E(ABORTED);
    return mr_fail(err, code, MR_RETRY, "%s", writer->failed.text);
}

void
kafka_writer_conf(rd_kafka_conf_t *conf)
{
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
}

void
kafka_writer_wake(struct kafka_writer *writer)
{
    static const uint64_t one = 1;
    MR_CLEANUP(kafka_queue_freep)
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(writer->client.rk);
    rd_kafka_queue_io_event_enable(queue, writer->fd, &one, sizeof(one));
}

static int
poll_writer(struct mr_writer *handle, int timeout_ms)
{
    struct kafka_writer *writer = (struct kafka_writer *)handle;
    eventfd_t spent;
    writer->served = 0;
    /* Spent first: what comes from here on wakes anew. */
    (void)eventfd_read(writer->fd, &spent);
    if (writer->client.rk != NULL)
        (void)rd_kafka_poll(writer->client.rk, timeout_ms);
    return writer->served;
}

static int
flush(struct mr_writer *handle, int timeout_ms, struct mr_err *err)
{
    struct kafka_writer *writer = (struct kafka_writer *)handle;
    if (kafka_writer_fenced(writer, err) < 0)
        return err->code;
    if (writer->client.rk == NULL)
        return 0;
    rd_kafka_resp_err_t code = rd_kafka_flush(writer->client.rk, timeout_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &writer->client, code, "%lld bytes are not acknowledged",
                          (long long)writer->queued_bytes);
    if (writer->transactional_id != NULL || writer->failed.code == 0)
        return 0;
    (void)mr_fail(err, writer->failed.code, writer->failed.remedy, "%s", writer->failed.text);
    writer->failed = (struct mr_err){ 0 };
    return err->code;
}

static int
fd(struct mr_writer *handle)
{
    return ((struct kafka_writer *)handle)->fd;
}

/* ---- open and close ---- */

static void
close_writer(struct mr_writer *handle)
{
    struct kafka_writer *writer = (struct kafka_writer *)handle;
    struct mr_err ignored = { 0 };
    if (writer->in_txn)
        (void)kafka_txn_abort(handle, CLOSE_MS_MAX, &ignored);
    kafka_producer_close(writer);
    kafka_client_fini(&writer->client);
    for (size_t i = 0; i < writer->topics_count; i++) {
        kafka_queue_freep(&writer->topics[i]->asked);
        free(writer->topics[i]->name);
        free(writer->topics[i]);
    }
    free(writer->topics);
    free(writer->transactional_id);
    if (writer->fd >= 0)
        (void)close(writer->fd);
    free(writer);
}

static const struct mr_writer_driver driver = {
    .close = close_writer,
    .produce = produce,
    .partitions = partitions,
    .fd = fd,
    .poll = poll_writer,
    .flush = flush,
    .begin = kafka_txn_begin,
    .commit = kafka_txn_commit,
    .abort = kafka_txn_abort,
};

int
kafka_writer_open(struct mr_bus *handle, const struct mr_writer_options *options,
                  struct mr_writer **ret, struct mr_err *err)
{
    struct kafka_writer *writer = mr_alloc(sizeof(*writer));
    MR_CLEANUP(mr_writer_closep) struct mr_writer *owned = &writer->base;
    writer->base.driver = &driver;
    writer->options = *options;
    writer->options.transactional_id = NULL; /* kept below */
    kafka_client_init(&writer->client, (struct kafka_bus *)handle, writer);
    if (options->transactional_id != NULL)
        writer->transactional_id = mr_strdup(options->transactional_id);
    writer->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (writer->fd < 0)
        return mr_fail(err, MR_E(IO), MR_RETRY, "cannot make an eventfd: %s", strerror(errno));
    if (kafka_producer_open(writer, err) < 0)
        return err->code;
    *ret = MR_TAKE(owned);
    return 0;
}
