/*
 * The floors of Kafka: what plain librdkafka costs for the same bytes, with the settings that
 * millrace uses and nothing of millrace in between.
 *
 *   bench_kafka produce BOOTSTRAP TOPIC EVENTS FIRST COUNT
 *   bench_kafka consume BOOTSTRAP TOPIC COUNT
 *   bench_kafka copy    BOOTSTRAP TOPIC COUNT TO     in transactions of TXN_RECORDS
 *   bench_kafka ends    BOOTSTRAP TOPIC              prints the sum of its end offsets
 *
 * Prints microseconds of this process's CPU for each event, once WARM_PERCENT of them are through.
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "clock/clock.h"
#include "events.h"

enum {
    TXN_RECORDS = 1000,
    WARM_PERCENT = 10,
    POLL_MS = 100,
    CALL_MS = 10000,
    PARTITIONS = 3,
    HEADER_BYTES = 60,
    STALL_MS = 30000,
};

static const char *bootstrap;
static char text[512];

static void
need(rd_kafka_resp_err_t code, const char *what)
{
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    (void)fprintf(stderr, "bench_kafka: %s: %s\n", what, rd_kafka_err2str(code));
    exit(1);
}

static void
need_ok(rd_kafka_error_t *error, const char *what)
{
    if (error == NULL)
        return;
    (void)fprintf(stderr, "bench_kafka: %s: %s\n", what, rd_kafka_error_string(error));
    exit(1);
}

static double
cpu_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Both begin at the warm event. */
struct watch {
    int64_t warm, count, began_us;
    double cpu;
};

static void
watch_step(struct watch *watch, int64_t done)
{
    if (watch->began_us == 0 && done >= watch->warm) {
        watch->warm = done;
        watch->began_us = mr_now_us();
        watch->cpu = cpu_us();
    }
}

static void
watch_end(const struct watch *watch)
{
    int64_t count = watch->count - watch->warm;
    printf("{\"cpu_us\":%.3f,\"events_s\":%.0f}\n", (cpu_us() - watch->cpu) / (double)count,
           (double)count * 1e6 / (double)(mr_now_us() - watch->began_us));
}

static void
on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    (void)opaque;
    need(message->err, "delivery");
}

/* settings: name, value, name, value, NULL */
static rd_kafka_t *
open_client(rd_kafka_type_t type, const char *const *settings)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, text, sizeof(text));
    for (size_t i = 0; settings[i] != NULL; i += 2)
        if (rd_kafka_conf_set(conf, settings[i], settings[i + 1], text, sizeof(text)) !=
            RD_KAFKA_CONF_OK) {
            (void)fprintf(stderr, "bench_kafka: %s\n", text);
            exit(1);
        }
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof(text));
    if (rk == NULL) {
        (void)fprintf(stderr, "bench_kafka: %s\n", text);
        exit(1);
    }
    return rk;
}

static rd_kafka_t *
open_reader(const char *topic)
{
    static const char *const settings[] = { "group.id",
                                            "bench",
                                            "enable.auto.commit",
                                            "false",
                                            "isolation.level",
                                            "read_committed",
                                            "queued.max.messages.kbytes",
                                            "16384",
                                            "fetch.queue.backoff.ms",
                                            "5",
                                            NULL };
    rd_kafka_t *rk = open_client(RD_KAFKA_CONSUMER, settings);
    rd_kafka_topic_partition_list_t *parts = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int32_t p = 0; p < PARTITIONS; p++)
        rd_kafka_topic_partition_list_add(parts, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    need(rd_kafka_poll_set_consumer(rk), "poll");
    need(rd_kafka_assign(rk, parts), "assign");
    rd_kafka_topic_partition_list_destroy(parts);
    return rk;
}

static void
produce(const char *topic, const char *path, uint64_t first, int64_t count)
{
    static const char *const settings[] = { "enable.idempotence",
                                            "true",
                                            "compression.codec",
                                            "lz4",
                                            "linger.ms",
                                            "5",
                                            "batch.size",
                                            "1000000",
                                            "queue.buffering.max.messages",
                                            "1000000",
                                            NULL };
    static struct events events;
    static const char header[HEADER_BYTES] = "one header, as long as a Provenance";
    events_load(&events, path);
    rd_kafka_t *rk = open_client(RD_KAFKA_PRODUCER, settings);
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
    struct watch watch = { .warm = count * WARM_PERCENT / 100, .count = count };
    for (int64_t i = 0; i < count; i++) {
        watch_step(&watch, i);
        struct mr_slice value = events_at(&events, first + (uint64_t)i);
        rd_kafka_resp_err_t code;
        while ((code = rd_kafka_producev(
                    rk, RD_KAFKA_V_RKT(rkt), RD_KAFKA_V_PARTITION((int32_t)(i / 100 % PARTITIONS)),
                    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                    RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.size),
                    RD_KAFKA_V_HEADER("millrace", header, sizeof(header)), RD_KAFKA_V_END)) ==
               RD_KAFKA_RESP_ERR__QUEUE_FULL)
            (void)rd_kafka_poll(rk, 10);
        need(code, "produce");
        if (i % 100 == 0)
            (void)rd_kafka_poll(rk, 0);
    }
    need(rd_kafka_flush(rk, 60000), "flush");
    watch_end(&watch);
    rd_kafka_topic_destroy(rkt);
    rd_kafka_destroy(rk);
}

/* The next records, at least one; those of an end or a passing error are left out. */
static size_t
take(rd_kafka_t *rk, rd_kafka_queue_t *queue, rd_kafka_message_t **messages, size_t max)
{
    int64_t end_ms = mr_now_ms() + STALL_MS;
    for (;;) {
        ssize_t got = rd_kafka_consume_batch_queue(queue, POLL_MS, messages, max);
        size_t kept = 0;
        for (ssize_t i = 0; i < got; i++) {
            if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR)
                messages[kept++] = messages[i];
            else
                rd_kafka_message_destroy(messages[i]);
        }
        if (kept > 0)
            return kept;
        if (mr_now_ms() > end_ms) {
            (void)fprintf(stderr, "bench_kafka: %s: nothing came for %d ms\n", rd_kafka_name(rk),
                          STALL_MS);
            exit(1);
        }
    }
}

static void
consume(const char *topic, int64_t count)
{
    rd_kafka_t *rk = open_reader(topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(rk);
    rd_kafka_message_t *messages[TXN_RECORDS];
    struct watch watch = { .warm = count * WARM_PERCENT / 100, .count = count };
    for (int64_t done = 0; done < count;) {
        watch_step(&watch, done);
        size_t got = take(rk, queue, messages, TXN_RECORDS);
        for (size_t i = 0; i < got; i++)
            rd_kafka_message_destroy(messages[i]);
        done += (int64_t)got;
    }
    watch_end(&watch);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
}

static void
copy_some(rd_kafka_t *writer, rd_kafka_topic_t *to, rd_kafka_message_t **messages, size_t count,
          rd_kafka_topic_partition_list_t *offsets)
{
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_message_t *m = messages[i];
        need(rd_kafka_producev(writer, RD_KAFKA_V_RKT(to), RD_KAFKA_V_PARTITION(m->partition),
                               RD_KAFKA_V_KEY(m->key, m->key_len),
                               RD_KAFKA_V_VALUE(m->payload, m->len), RD_KAFKA_V_END),
             "produce");
        offsets->elems[m->partition].offset = m->offset + 1;
    }
}

/* Values are borrowed, as our own stages do: messages live until their transaction has ended. */
static void
copy(const char *topic, int64_t count, const char *to)
{
    static const char *const settings[] = {
        "transactional.id", "bench-copy", "compression.codec", "lz4",     "linger.ms", "0",
        "retry.backoff.ms", "5",          "batch.size",        "1000000", NULL
    };
    rd_kafka_t *reader = open_reader(topic), *writer = open_client(RD_KAFKA_PRODUCER, settings);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(reader);
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(writer, to, NULL);
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(reader);
    rd_kafka_message_t *messages[TXN_RECORDS];
    struct watch watch = { .warm = count * WARM_PERCENT / 100, .count = count };
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int32_t p = 0; p < PARTITIONS; p++)
        (void)rd_kafka_topic_partition_list_add(offsets, topic, p);
    need_ok(rd_kafka_init_transactions(writer, CALL_MS), "init");
    for (int64_t done = 0; done < count;) {
        watch_step(&watch, done);
        size_t got = take(reader, queue, messages, 1);
        while (got < TXN_RECORDS && done + (int64_t)got < count)
            got += take(reader, queue, messages + got, TXN_RECORDS - got);
        need_ok(rd_kafka_begin_transaction(writer), "begin");
        copy_some(writer, rkt, messages, got, offsets);
        need_ok(rd_kafka_send_offsets_to_transaction(writer, offsets, group, CALL_MS), "offsets");
        need_ok(rd_kafka_commit_transaction(writer, CALL_MS), "commit");
        for (size_t i = 0; i < got; i++)
            rd_kafka_message_destroy(messages[i]);
        done += (int64_t)got;
    }
    watch_end(&watch);
    rd_kafka_topic_partition_list_destroy(offsets);
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_destroy(rkt);
    rd_kafka_destroy(writer);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(reader);
    rd_kafka_destroy(reader);
}

static void
ends(const char *topic)
{
    static const char *const settings[] = { NULL };
    rd_kafka_t *rk = open_client(RD_KAFKA_PRODUCER, settings);
    int64_t sum = 0;
    for (int32_t p = 0; p < PARTITIONS; p++) {
        int64_t low, high;
        need(rd_kafka_query_watermark_offsets(rk, topic, p, &low, &high, CALL_MS), topic);
        sum += high;
    }
    printf("%lld\n", (long long)sum);
    rd_kafka_destroy(rk);
}

int
main(int argc, char **argv)
{
    const char *what = argc > 3 ? argv[1] : "";
    bootstrap = argc > 3 ? argv[2] : NULL;
    if (strcmp(what, "produce") == 0 && argc == 7)
        produce(argv[3], argv[4], strtoull(argv[5], NULL, 10), strtoll(argv[6], NULL, 10));
    else if (strcmp(what, "consume") == 0 && argc == 5)
        consume(argv[3], strtoll(argv[4], NULL, 10));
    else if (strcmp(what, "copy") == 0 && argc == 6)
        copy(argv[3], strtoll(argv[4], NULL, 10), argv[5]);
    else if (strcmp(what, "ends") == 0 && argc == 4)
        ends(argv[3]);
    else
        return fprintf(stderr, "usage: see bench_kafka.c\n") > 0 ? 2 : 1;
    return 0;
}
