/*
 * The producer's life and its transactions.
 *
 * librdkafka has no KIP-890: a late request of one transaction may land in the next one of the same
 * producer. So after any abort, and after any transaction call that failed or timed out, the
 * producer is closed and the next begin opens another; its InitProducerId fences what is in
 * flight and settles what was left open (LAW 8). That costs milliseconds.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bus/kafka_writer_state.h"
#include "clock/clock.h"

enum {
    INIT_MS_MAX = 5000,
    DELIVERY_MS = 10000,
    TRANSACTION_MS = 10000,
    LINGER_MS = 2,
    PURGE_MS_MAX = 5000,
    PURGE_STEP_MS = 10,
};

/* ---- the producer ---- */

int
kafka_writer_fenced(const struct kafka_writer *writer, struct mr_err *err)
{
    if (!writer->fenced)
        return 0;
    return mr_fail(err, MR_E(FENCED), MR_FATAL, "another writer took over the name %s",
                   writer->transactional_id);
}

/* Takes what error says. Only a transaction that is known to be abortable is still aborted by this
 * producer; otherwise it is not to be asked again. */
static int
give_up(struct kafka_writer *writer, rd_kafka_error_t *error, const char *what, struct mr_err *err)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    bool must_abort = rd_kafka_error_txn_requires_abort(error) != 0;
    writer->is_unsure = !must_abort;
    writer->fenced |= code == RD_KAFKA_RESP_ERR__FENCED ||
                      code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
                      code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
    if (kafka_writer_fenced(writer, err) < 0) {
        rd_kafka_error_destroy(error);
        return err->code;
    }
    (void)kafka_fail_with(err, &writer->client, error, what);
    if (!must_abort || err->code == MR_E(STALE) || err->remedy == MR_FATAL)
        return err->code;
    kafka_writer_hear(writer, KAFKA_REPORT_MS_MAX);
    err->code = MR_E(ABORTED);
    err->remedy = MR_RETRY;
    if (writer->failed.code == 0)
        return err->code;
    *err = (struct mr_err){ 0 };
    return kafka_writer_failure(writer, err);
}

static int
open_client(struct kafka_writer *writer, struct mr_err *err)
{
    const struct mr_writer_options *options = &writer->options;
    bool transactional = writer->transactional_id != NULL;
    int transaction_ms =
        options->transaction_timeout_ms > 0 ? options->transaction_timeout_ms : TRANSACTION_MS;
    int delivery_ms = options->delivery_timeout_ms > 0 ? options->delivery_timeout_ms : DELIVERY_MS;
    int linger_ms = options->linger_ms >= 0 ? options->linger_ms : transactional ? 0 : LINGER_MS;
    char linger[16], delivery[16], transaction[16];
    if (transactional && delivery_ms > transaction_ms)
        delivery_ms = transaction_ms;
    (void)snprintf(linger, sizeof(linger), "%d", linger_ms);
    (void)snprintf(delivery, sizeof(delivery), "%d", delivery_ms);
    (void)snprintf(transaction, sizeof(transaction), "%d", transaction_ms);
    const struct kafka_option all[] = {
        { "transactional.id", writer->transactional_id },
        { "transaction.timeout.ms", transactional ? transaction : NULL },
        { "message.timeout.ms", delivery },
        { "linger.ms", linger },
        { NULL, NULL },
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    kafka_writer_conf(conf);
    return kafka_client_open(&writer->client, KAFKA_PRODUCER, conf, all, err);
}

int
kafka_producer_open(struct kafka_writer *writer, struct mr_err *err)
{
    MR_ASSERT(writer->client.rk == NULL);
    if (open_client(writer, err) < 0)
        return err->code;
    kafka_writer_wake(writer);
    kafka_writer_meet(writer, NULL);
    writer->is_unsure = false;
    if (writer->transactional_id == NULL)
        return 0;
    rd_kafka_error_t *error = rd_kafka_init_transactions(writer->client.rk, INIT_MS_MAX);
    if (error == NULL)
        return 0;
    (void)rd_kafka_poll(writer->client.rk, 0);
    (void)give_up(writer, error, "transactions cannot begin", err);
    kafka_producer_close(writer);
    return err->code;
}

/* Every message still queued or on its way is reported before the producer goes. */
void
kafka_producer_close(struct kafka_writer *writer)
{
    rd_kafka_t *rk = writer->client.rk;
    if (rk == NULL)
        return;
    int64_t deadline_ms = mr_now_ms() + PURGE_MS_MAX;
    (void)rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    while (writer->queued_bytes > 0 && mr_now_ms() < deadline_ms)
        (void)rd_kafka_poll(rk, PURGE_STEP_MS);
    MR_ASSERT(writer->queued_bytes == 0);
    for (size_t i = 0; i < writer->topics_count; i++) {
        if (writer->topics[i]->handle != NULL)
            rd_kafka_topic_destroy(writer->topics[i]->handle);
        writer->topics[i]->handle = NULL;
    }
    rd_kafka_destroy(rk);
    writer->client.rk = NULL;
    writer->in_txn = false;
}

/* Records in flight behind one that was refused are refused too and return to the queue, where
 * librdkafka's abort would wait for their timeout, which is the transaction's. What is in flight is
 * awaited: it must not land after the abort. */
static void
drop_queue(struct kafka_writer *writer, int timeout_ms)
{
    rd_kafka_t *rk = writer->client.rk;
    int64_t deadline_ms = mr_now_ms() + timeout_ms;
    while (rd_kafka_outq_len(rk) > 0 && mr_now_ms() < deadline_ms) {
        (void)rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE);
        (void)rd_kafka_poll(rk, PURGE_STEP_MS);
    }
}

/* ---- transactions ---- */

int
kafka_txn_begin(struct mr_writer *handle, struct mr_err *err)
{
    struct kafka_writer *writer = (struct kafka_writer *)handle;
    MR_ASSERT(writer->transactional_id != NULL);
    MR_ASSERT(!writer->in_txn);
    if (kafka_writer_fenced(writer, err) < 0)
        return err->code;
    if (writer->is_unsure)
        kafka_producer_close(writer);
    if (writer->client.rk == NULL && kafka_producer_open(writer, err) < 0)
        return err->code;
    rd_kafka_error_t *error = rd_kafka_begin_transaction(writer->client.rk);
    if (error != NULL)
        return give_up(writer, error, "begin", err);
    writer->failed = (struct mr_err){ 0 };
    writer->in_txn = true;
    return 0;
}

static int
send_positions(struct kafka_writer *writer, struct mr_reader *reader,
               const struct mr_position *positions, size_t count, int timeout_ms,
               struct mr_err *err)
{
    MR_CLEANUP(kafka_list_freep) rd_kafka_topic_partition_list_t *list = NULL;
    const rd_kafka_consumer_group_metadata_t *metadata;
    if (kafka_reader_positions(reader, positions, count, &metadata, &list, err) < 0)
        return err->code;
    rd_kafka_error_t *error =
        rd_kafka_send_offsets_to_transaction(writer->client.rk, list, metadata, timeout_ms);
    return error == NULL ? 0 : give_up(writer, error, "positions", err);
}

int
kafka_txn_commit(struct mr_writer *handle, struct mr_reader *reader,
                 const struct mr_position *positions, size_t count, int timeout_ms,
                 struct mr_err *err)
{
    struct kafka_writer *writer = (struct kafka_writer *)handle;
    int64_t deadline_ms = mr_now_ms() + timeout_ms;
    if (kafka_writer_fenced(writer, err) < 0)
        return err->code;
    MR_ASSERT(writer->in_txn);
    if (count > 0 && send_positions(writer, reader, positions, count, timeout_ms, err) < 0)
        return err->code;
    kafka_writer_hear(writer, (int)mr_left_ms(deadline_ms, timeout_ms));
    if (writer->failed.code < 0)
        return kafka_writer_failure(writer, err);
    int left_ms = (int)mr_left_ms(deadline_ms, timeout_ms);
    rd_kafka_error_t *error =
        rd_kafka_commit_transaction(writer->client.rk, left_ms > 0 ? left_ms : 1);
    if (error != NULL)
        return give_up(writer, error, "commit", err);
    writer->in_txn = false;
    return 0;
}

int
kafka_txn_abort(struct mr_writer *handle, int timeout_ms, struct mr_err *err)
{
    struct kafka_writer *writer = (struct kafka_writer *)handle;
    MR_ASSERT(writer->transactional_id != NULL);
    rd_kafka_error_t *error = NULL;
    int64_t deadline_ms = mr_now_ms() + timeout_ms;
    if (writer->client.rk != NULL && writer->in_txn && !writer->is_unsure) {
        drop_queue(writer, timeout_ms);
        int left_ms = (int)mr_left_ms(deadline_ms, timeout_ms);
        error = rd_kafka_abort_transaction(writer->client.rk, left_ms > 0 ? left_ms : 1);
    }
    if (error != NULL) {
        struct mr_err settled_by_the_next = { 0 };
        (void)give_up(writer, error, "abort", &settled_by_the_next);
    }
    kafka_producer_close(writer);
    return kafka_writer_fenced(writer, err);
}
