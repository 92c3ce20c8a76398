/*
 * Kafka by librdkafka: what every client of ours is told, opening, and errors.
 *
 * A setting stands in one of two tables. A forced one carries a promise of bus.h; a file that says
 * otherwise is refused, naming both, also when it uses another name for the same setting. A chosen
 * one is only our better default.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/kafka_state.h"

enum {
    CONSUMER = KAFKA_CONSUMER,
    PRODUCER = KAFKA_PRODUCER,
    ALL = KAFKA_ADMIN | KAFKA_CONSUMER | KAFKA_PRODUCER
};
enum { LISTEN_MAX = 1000 }; /* a consumer that is broken for good has something to say each time */

struct rule {
    unsigned roles;
    const char *name, *value;
};

static const struct rule forced[] = {
    /* Nagle against delayed acknowledgement: 43 ms a commit instead of 3. */
    { ALL, "socket.nagle.disable", "true" },
    /* A topic is made by an operator or by us, with its partitions, never by a typing error. */
    { ALL, "allow.auto.create.topics", "false" },
    { ALL, "enable.metrics.push", "false" }, /* else each close waits a second for a last push */
    /* A new topic's first event is to be visible within 5 s (LAW 11). */
    { ALL, "topic.metadata.refresh.interval.ms", "2000" },
    /* We count for ourselves; its JSON costs CPU. */
    { ALL, "statistics.interval.ms", "0" },
    /* Retries never double or reorder; acknowledged means stored by all in-sync replicas. */
    { PRODUCER, "enable.idempotence", "true" },
    { PRODUCER, "acks", "all" },
    /* After a commit the broker writes markers for a few ms more and answers the next transaction
     * with "concurrent": at the default of 100 ms each commit costs 106 ms, so 9. */
    { ALL, "retry.backoff.ms", "5" },
    /* Java's default partitioner for keys, any partition without a key. */
    { PRODUCER, "partitioner", "murmur2_random" },
    /* Not the judge of a record's size, the broker is (LAW 14). */
    { PRODUCER, "message.max.bytes", "67108864" },
    /* Below the smallest max.message.bytes that a topic of ours may have, 1 MiB: so a batch that
     * the broker finds too large holds one record only, the guilty one. */
    { PRODUCER, "batch.size", "1000000" },
    /* Least CPU of broker and client together. */
    { PRODUCER, "compression.codec", "lz4" },
    /* Our own limit in bytes (queue_bytes_max) comes first; these must not. */
    { PRODUCER, "queue.buffering.max.messages", "10000000" },
    { PRODUCER, "queue.buffering.max.kbytes", "2147483647" },
    /* A fetch answers as soon as one record is there; an idle one costs 10 requests a second. */
    { CONSUMER, "fetch.min.bytes", "1" },
    { CONSUMER, "fetch.wait.max.ms", "100" },
    /* Aborted records stay hidden. */
    { CONSUMER, "isolation.level", "read_committed" },
    /* An expired offset must never turn into loss or doubling in silence (LAW 11). */
    { CONSUMER, "auto.offset.reset", "error" },
    /* Offsets are committed in transactions or by the table, by nobody else. */
    { CONSUMER, "enable.auto.commit", "false" },
    { CONSUMER, "enable.auto.offset.store", "false" },
    /* Lag and "drained": markers take offsets, so the end cannot be counted to (LAW 12). */
    { CONSUMER, "enable.partition.eof", "true" },
    /* Eager; the cooperative one has open faults below 2.10.1. */
    { CONSUMER, "partition.assignment.strategy", "roundrobin" },
    { CONSUMER, "group.protocol", "classic" },
    /* A partition whose queue was full for a moment is fetched again soon, not after 1 s. */
    { CONSUMER, "fetch.queue.backoff.ms", "20" },
};

static const struct rule chosen[] = {
    { ALL, "reconnect.backoff.ms", "50" },
    { ALL, "reconnect.backoff.max.ms", "1000" },
    { ALL, "log.connection.close", "false" },
    /* A member that hangs gives its partitions away after a minute, not after five. */
    { CONSUMER, "max.poll.interval.ms", "60000" },
    /* How soon a rebalance is noticed. */
    { CONSUMER, "heartbeat.interval.ms", "500" },
    { CONSUMER, "fetch.error.backoff.ms", "100" },
};

/* ---- settings ---- */

static int
set(rd_kafka_conf_t *conf, const char *name, const char *value, struct mr_err *err)
{
    char text[256];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof(text)) != RD_KAFKA_CONF_OK)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "kafka setting %s=%s: %s", name, value, text);
    return 0;
}

static int
set_rules(rd_kafka_conf_t *conf, const struct rule *rules, size_t count, unsigned role,
          struct mr_err *err)
{
    for (size_t i = 0; i < count; i++)
        if ((rules[i].roles & role) != 0 && set(conf, rules[i].name, rules[i].value, err) < 0)
            return err->code;
    return 0;
}

/* Empty when it has no value. */
static void
get(const rd_kafka_conf_t *conf, const char *name, char *ret_value, size_t size)
{
    if (rd_kafka_conf_get(conf, name, ret_value, &size) != RD_KAFKA_CONF_OK)
        ret_value[0] = '\0';
}

static bool
is_equal(const rd_kafka_conf_t *a, const rd_kafka_conf_t *b, const char *name)
{
    char value_a[256], value_b[256];
    get(a, name, value_a, sizeof(value_a));
    get(b, name, value_b, sizeof(value_b));
    return strcmp(value_a, value_b) == 0;
}

static void
conf_freep(rd_kafka_conf_t **conf)
{
    if (*conf != NULL)
        rd_kafka_conf_destroy(*conf);
    *conf = NULL;
}

/* What each process sets by itself, from its options. */
static const char *const own[] = {
    "group.id",
    "group.instance.id",
    "session.timeout.ms",
    "transactional.id",
    "transaction.timeout.ms",
    "message.timeout.ms",
    "linger.ms",
    "client.id",
    "queued.max.messages.kbytes",
};

static int
apply(const struct kafka_config *config, const struct kafka_setting *setting, rd_kafka_conf_t *conf,
      struct mr_err *err)
{
    char text[256];
    rd_kafka_conf_res_t result =
        rd_kafka_conf_set(conf, setting->name, setting->value, text, sizeof(text));
    if (result == RD_KAFKA_CONF_OK)
        return 0;
    return mr_fail(err, MR_E(INVALID), MR_FATAL,
                   result == RD_KAFKA_CONF_UNKNOWN ? "%s line %u: there is no setting %s"
                                                   : "%s line %u: the value of %s is not valid",
                   config->file, setting->line, setting->name);
}

/* Tries the setting and looks what it changed: its name may be an alias. */
static int
check_setting(const struct kafka_config *config, const struct kafka_setting *setting,
              struct mr_err *err)
{
    MR_CLEANUP(conf_freep) rd_kafka_conf_t *before = rd_kafka_conf_new();
    if (set_rules(before, forced, MR_COUNT(forced), ALL, err) < 0)
        return err->code;
    MR_CLEANUP(conf_freep) rd_kafka_conf_t *after = rd_kafka_conf_dup(before);
    if (apply(config, setting, after, err) < 0)
        return err->code;
    for (size_t i = 0; i < MR_COUNT(forced); i++)
        if (!is_equal(before, after, forced[i].name))
            return mr_fail(err, MR_E(INVALID), MR_FATAL,
                           "%s line %u: %s cannot be changed: %s=%s is part of what is promised",
                           config->file, setting->line, setting->name, forced[i].name,
                           forced[i].value);
    for (size_t i = 0; i < MR_COUNT(own); i++)
        if (!is_equal(before, after, own[i]))
            return mr_fail(err, MR_E(INVALID), MR_FATAL,
                           "%s line %u: %s cannot be set here: each process sets its own",
                           config->file, setting->line, setting->name);
    return 0;
}

static int
set_all(const struct kafka_bus *bus, enum kafka_role role, rd_kafka_conf_t *conf,
        const struct kafka_option *options, struct mr_err *err)
{
    if (set_rules(conf, chosen, MR_COUNT(chosen), role, err) < 0)
        return err->code;
    for (size_t i = 0; i < bus->config.count; i++)
        if (apply(&bus->config, &bus->config.settings[i], conf, err) < 0)
            return err->code;
    if (set_rules(conf, forced, MR_COUNT(forced), role, err) < 0)
        return err->code;
    if (set(conf, "bootstrap.servers", bus->bootstrap, err) < 0 ||
        set(conf, "client.id", bus->client_id, err) < 0)
        return err->code;
    for (; options->name != NULL; options++)
        if (options->value != NULL && set(conf, options->name, options->value, err) < 0)
            return err->code;
    return 0;
}

/* ---- trouble ---- */

/* "All brokers are down" follows the error that says why, and a refused login is tried again and
 * again: the first reason is kept. */
static void
on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    (void)rk;
    struct kafka_client *client = opaque;
    MR_ASSERT(pthread_mutex_lock(&client->lock) == 0);
    if (client->trouble_text[0] == '\0' || code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        (void)snprintf(client->trouble_text, sizeof(client->trouble_text), "%s", reason);
    client->down |= code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
    if (client->trouble != RD_KAFKA_RESP_ERR__AUTHENTICATION)
        client->trouble = code;
    MR_ASSERT(pthread_mutex_unlock(&client->lock) == 0);
}

/* Outcomes come back as errors; what librdkafka writes beside is not ours to print. */
static void
on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

void
kafka_client_well(struct kafka_client *client)
{
    MR_ASSERT(pthread_mutex_lock(&client->lock) == 0);
    client->trouble = RD_KAFKA_RESP_ERR_NO_ERROR;
    client->trouble_text[0] = '\0';
    client->down = false;
    MR_ASSERT(pthread_mutex_unlock(&client->lock) == 0);
}

bool
kafka_client_is_down(struct kafka_client *client)
{
    MR_ASSERT(pthread_mutex_lock(&client->lock) == 0);
    bool down = client->down;
    MR_ASSERT(pthread_mutex_unlock(&client->lock) == 0);
    return down;
}

/* ---- errors ---- */

static const struct meaning {
    rd_kafka_resp_err_t code;
    int ours;
    enum mr_remedy remedy;
} meanings[] = {
    { RD_KAFKA_RESP_ERR__TIMED_OUT, MR_E(TIMEOUT), MR_RETRY },
    { RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, MR_E(TIMEOUT), MR_RETRY },
    { RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, MR_E(TIMEOUT), MR_RETRY },
    { RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, MR_E(TIMEOUT), MR_RETRY },
    { RD_KAFKA_RESP_ERR__TRANSPORT, MR_E(UNAVAILABLE), MR_RETRY },
    { RD_KAFKA_RESP_ERR__RESOLVE, MR_E(UNAVAILABLE), MR_RETRY },
    { RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, MR_E(UNAVAILABLE), MR_RETRY },
    { RD_KAFKA_RESP_ERR__NOENT, MR_E(UNAVAILABLE), MR_RETRY }, /* a leader, just now */
    { RD_KAFKA_RESP_ERR__WAIT_COORD, MR_E(UNAVAILABLE), MR_RETRY },
    { RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, MR_E(UNAVAILABLE), MR_RETRY },
    { RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, MR_E(UNAVAILABLE), MR_RETRY },
    { RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, MR_E(UNAVAILABLE), MR_RETRY },
    { RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, MR_E(UNAVAILABLE), MR_RETRY },
    { RD_KAFKA_RESP_ERR_NOT_COORDINATOR, MR_E(UNAVAILABLE), MR_RETRY },
    { RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, MR_E(UNAVAILABLE), MR_RETRY },
    { RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, MR_E(UNAVAILABLE), MR_RETRY },
    { RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT, MR_E(UNAVAILABLE), MR_RETRY },
    { RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, MR_E(UNAVAILABLE), MR_RETRY },
    { RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, MR_E(UNAVAILABLE), MR_RETRY },
    { RD_KAFKA_RESP_ERR__AUTHENTICATION, MR_E(DENIED), MR_FATAL },
    { RD_KAFKA_RESP_ERR__SSL, MR_E(DENIED), MR_FATAL },
    { RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, MR_E(DENIED), MR_FATAL },
    { RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, MR_E(DENIED), MR_FATAL },
    { RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, MR_E(DENIED), MR_FATAL },
    { RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, MR_E(DENIED), MR_FATAL },
    { RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, MR_E(DENIED), MR_FATAL },
    { RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, MR_E(NOT_FOUND), MR_REJECT },
    { RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, MR_E(NOT_FOUND), MR_REJECT },
    { RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, MR_E(NOT_FOUND), MR_REJECT },
    { RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, MR_E(NOT_FOUND), MR_FATAL },
    { RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, MR_E(NOT_FOUND), MR_FATAL },
    { RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, MR_E(EXISTS), MR_REJECT },
    { RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, MR_E(INVALID), MR_REJECT },
    { RD_KAFKA_RESP_ERR_INVALID_CONFIG, MR_E(INVALID), MR_REJECT },
    { RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, MR_E(INVALID), MR_REJECT },
    { RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, MR_E(INVALID), MR_REJECT },
    { RD_KAFKA_RESP_ERR_POLICY_VIOLATION, MR_E(INVALID), MR_REJECT },
    { RD_KAFKA_RESP_ERR_INVALID_REQUEST, MR_E(INVALID), MR_REJECT },
    { RD_KAFKA_RESP_ERR_TOPIC_DELETION_DISABLED, MR_E(UNSUPPORTED), MR_REJECT },
    { RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, MR_E(TOO_LARGE), MR_REJECT },
    { RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, MR_E(TOO_LARGE), MR_REJECT },
    { RD_KAFKA_RESP_ERR__FENCED, MR_E(FENCED), MR_FATAL },
    { RD_KAFKA_RESP_ERR_PRODUCER_FENCED, MR_E(FENCED), MR_FATAL },
    { RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, MR_E(FENCED), MR_FATAL },
    { RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, MR_E(FENCED), MR_FATAL },
    { RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, MR_E(STALE), MR_RETRY },
    { RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, MR_E(STALE), MR_RETRY },
    { RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, MR_E(STALE), MR_RETRY },
    { RD_KAFKA_RESP_ERR__PURGE_QUEUE, MR_E(ABORTED), MR_RETRY },
    { RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, MR_E(ABORTED), MR_RETRY },
    { RD_KAFKA_RESP_ERR__BAD_MSG, MR_E(CORRUPT), MR_FATAL },
    { RD_KAFKA_RESP_ERR__BAD_COMPRESSION, MR_E(CORRUPT), MR_FATAL },
};

static struct meaning
mean(rd_kafka_resp_err_t code)
{
    for (size_t i = 0; i < MR_COUNT(meanings); i++)
        if (meanings[i].code == code)
            return meanings[i];
    return (struct meaning){ code, MR_E(INTERNAL), MR_RETRY };
}

/* Records carry the time of who wrote them, and Kafka 4 takes none that are an hour ahead. */
static const char *
hint_of(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP ? "; is the clock of this machine ahead?"
                                                       : "";
}

/* A call that timed out because nobody could be reached, or let us in, says so. */
int
kafka_fail(struct mr_err *err, struct kafka_client *client, rd_kafka_resp_err_t code,
           const char *format, ...)
{
    char what[MR_ERR_TEXT_MAX / 2], trouble[KAFKA_TROUBLE_MAX];
    struct meaning meaning = mean(code);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    MR_ASSERT(pthread_mutex_lock(&client->lock) == 0);
    bool explained = client->trouble != RD_KAFKA_RESP_ERR_NO_ERROR &&
                     (meaning.ours == MR_E(TIMEOUT) || meaning.ours == MR_E(UNAVAILABLE));
    if (explained)
        meaning = mean(client->trouble);
    (void)snprintf(trouble, sizeof(trouble), "%s", client->trouble_text);
    MR_ASSERT(pthread_mutex_unlock(&client->lock) == 0);
    return mr_fail(err, meaning.ours, meaning.remedy, "%s: %s%s%s%s", what, rd_kafka_err2str(code),
                   explained ? ", " : "", explained ? trouble : "", hint_of(code));
}

int
kafka_fail_with(struct mr_err *err, struct kafka_client *client, rd_kafka_error_t *error,
                const char *what)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    char text[MR_ERR_TEXT_MAX / 2];
    (void)snprintf(text, sizeof(text), "%s (%s)", what, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return kafka_fail(err, client, code, "%s", text);
}

/* ---- clients ---- */

void
kafka_client_init(struct kafka_client *client, struct kafka_bus *bus, void *owner)
{
    *client = (struct kafka_client){ .bus = bus, .owner = owner };
    MR_ASSERT(pthread_mutex_init(&client->lock, NULL) == 0);
}

void
kafka_client_fini(struct kafka_client *client)
{
    if (client->bus == NULL)
        return;
    if (client->rk != NULL)
        rd_kafka_destroy(client->rk);
    (void)pthread_mutex_destroy(&client->lock);
    *client = (struct kafka_client){ 0 };
}

int
kafka_client_open(struct kafka_client *client, enum kafka_role role, rd_kafka_conf_t *taken,
                  const struct kafka_option *options, struct mr_err *err)
{
    MR_CLEANUP(conf_freep) rd_kafka_conf_t *conf = taken;
    char text[256];
    if (set_all(client->bus, role, conf, options, err) < 0)
        return err->code;
    rd_kafka_conf_set_opaque(conf, client);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    client->rk = rd_kafka_new(role == KAFKA_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf,
                              text, sizeof(text));
    if (client->rk == NULL)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "kafka client: %s", text);
    conf = NULL; /* the client's now */
    return 0;
}

void
kafka_client_listen(struct kafka_client *client)
{
    for (int i = 0; i < LISTEN_MAX; i++) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client->rk, 0);
        if (message == NULL)
            return;
        rd_kafka_message_destroy(message);
    }
}

/* ---- bus ---- */

int
mr_bus_open(const struct mr_bus_options *options, struct mr_bus **ret, struct mr_err *err)
{
    MR_ASSERT(options->bootstrap != NULL);
    MR_ASSERT(options->client_id != NULL);
    /* A consumer, because only a consumer knows the last stable offset; it never joins its group.
     */
    const struct kafka_option group[] = { { "group.id", options->client_id },
                                          { "session.timeout.ms", "6000" },
                                          { NULL, NULL } };
    struct kafka_bus *bus = mr_alloc(sizeof(*bus));
    MR_CLEANUP(mr_bus_closep) struct mr_bus *owned = &bus->base;
    bus->base.driver = &kafka_bus_driver;
    kafka_client_init(&bus->client, bus, bus);
    MR_ASSERT(pthread_mutex_init(&bus->lock, NULL) == 0);
    bus->bootstrap = mr_strdup(options->bootstrap);
    bus->client_id = mr_strdup(options->client_id);
    if (options->kafka_config != NULL && options->kafka_config[0] != '\0' &&
        kafka_config_read(options->kafka_config, &bus->config, err) < 0)
        return err->code;
    for (size_t i = 0; i < bus->config.count; i++)
        if (check_setting(&bus->config, &bus->config.settings[i], err) < 0)
            return err->code;
    if (kafka_client_open(&bus->client, KAFKA_ADMIN, rd_kafka_conf_new(), group, err) < 0)
        return err->code;
    (void)rd_kafka_poll_set_consumer(bus->client.rk);
    *ret = MR_TAKE(owned);
    return 0;
}
