/*
 * Records and positions. Records borrow librdkafka's messages until the next call.
 *
 * The position of a slot is kept here, behind the last record told. librdkafka's own is not relied
 * on: reading in batches moves it behind an end-of-partition (mended in 2.13.2), so going on after
 * a pause would skip a record, or ask behind the end. Hence it is placed before it resumes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bus/kafka_reader_state.h"
#include "clock/clock.h"

enum {
    SEEK_MS_MAX = 5000,
    SETTLE_MS = 20, /* how soon an outdated offer is looked at again */
    LOOK_MS = 500,  /* how often a broken connection is looked at, and for how long */
    SESSION_MS = 6000,
    UNPACKED_MAX = 32, /* an answer may grow so many times when it is unpacked, within its share */
    FETCH_BYTES_MIN = 16 << 10,
    RECORD_FRAME = 1024, /* librdkafka's own bytes for a record that is queued */
    RECORDS_MIN = 1000,
};

/* ---- slots ---- */

void
kafka_reader_drop(struct kafka_reader *reader)
{
    for (size_t i = 0; i < reader->messages_count; i++)
        rd_kafka_message_destroy(reader->messages[i]);
    reader->messages_count = 0;
}

/* librdkafka keeps a pause beyond the assignment in which it was made; ours end with it. */
static void
resume_all(struct kafka_reader *reader)
{
    MR_CLEANUP(kafka_list_freep)
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(0);
    for (size_t i = 0; i < reader->slots_count; i++)
        if (reader->slots[i].paused)
            (void)rd_kafka_topic_partition_list_add(list, reader->slots[i].topic,
                                                    reader->slots[i].partition);
    if (list->cnt > 0)
        (void)rd_kafka_resume_partitions(reader->client.rk, list);
}

void
kafka_reader_forget(struct kafka_reader *reader)
{
    resume_all(reader);
    kafka_reader_drop(reader);
    reader->slots_count = 0;
    reader->last_topic = NULL;
}

static int
compare(const char *topic_a, int32_t partition_a, const struct slot *b)
{
    int order = strcmp(topic_a, b->topic);
    return order != 0 ? order : (partition_a > b->partition) - (partition_a < b->partition);
}

static int
by_name(const void *a, const void *b, void *slots)
{
    const struct slot *one = (const struct slot *)slots + *(const uint32_t *)a;
    return compare(one->topic, one->partition, (const struct slot *)slots + *(const uint32_t *)b);
}

/* The slot of a message; NULL: not assigned (any more). */
static struct slot *
find_slot(struct kafka_reader *reader, const rd_kafka_message_t *message)
{
    if (message->rkt == NULL)
        return NULL;
    if (message->rkt == reader->last_topic && message->partition == reader->last_partition)
        return &reader->slots[reader->last_slot];
    const char *topic = rd_kafka_topic_name(message->rkt);
    size_t low = 0, high = reader->slots_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        uint32_t index = reader->sorted[middle];
        int order = compare(topic, message->partition, &reader->slots[index]);
        if (order == 0) {
            reader->last_topic = message->rkt;
            reader->last_partition = message->partition;
            reader->last_slot = index;
            return &reader->slots[index];
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static void
put_slots(struct kafka_reader *reader, const struct mr_part *parts, size_t count)
{
    reader->slots = mr_realloc(reader->slots, count * sizeof(*reader->slots));
    reader->sorted = mr_realloc(reader->sorted, count * sizeof(*reader->sorted));
    for (size_t i = 0; i < count; i++) {
        reader->slots[i] = (struct slot){ .topic = reader->parts[i].topic,
                                          .partition = parts[i].partition,
                                          .next = parts[i].start };
        reader->sorted[i] = (uint32_t)i;
    }
    reader->slots_count = count;
    qsort_r(reader->sorted, count, sizeof(*reader->sorted), by_name, reader->slots);
}

static void
keep_parts(struct kafka_reader *reader, const struct mr_part *parts, size_t count)
{
    if (reader->parts != parts) {
        reader->parts = mr_realloc(reader->parts, count * sizeof(*parts));
        memcpy(reader->parts, parts, count * sizeof(*parts));
    }
    reader->parts_count = count;
}

static int
assign(struct mr_reader *handle, const struct mr_part *parts, size_t count, struct mr_err *err)
{
    struct kafka_reader *reader = (struct kafka_reader *)handle;
    if (reader->subscribed && (reader->claim != ASKED || reader->going))
        return kafka_group_stale(reader, err);
    MR_ASSERT(!reader->subscribed || count == reader->parts_count);
    MR_CLEANUP(kafka_list_freep)
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, parts[i].topic, parts[i].partition)->offset =
            parts[i].start;
    kafka_reader_forget(reader);
    rd_kafka_resp_err_t code = rd_kafka_assign(reader->client.rk, list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &reader->client, code, "assignment of %zu partitions", count);
    reader->failed = (struct mr_err){ 0 };
    keep_parts(reader, parts, count);
    put_slots(reader, parts, count);
    if (reader->subscribed)
        reader->claim = OWNING;
    return 0;
}

static int
subscribe(struct mr_reader *handle, const char *const *topics, size_t count, struct mr_err *err)
{
    struct kafka_reader *reader = (struct kafka_reader *)handle;
    MR_CLEANUP(kafka_list_freep)
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        (void)rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(reader->client.rk, list);
    if (code == RD_KAFKA_RESP_ERR__INVALID_ARG)
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "a topic pattern of group %s is no extended regular expression, such as %s",
                       reader->group, topics[0]);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &reader->client, code, "subscription of group %s", reader->group);
    reader->subscribed = true;
    return 0;
}

/* ---- records ---- */

static struct mr_slice
find_header(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t size;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, MR_BUS_HEADER, &value, &size) !=
            RD_KAFKA_RESP_ERR_NO_ERROR)
        return mr_slice(NULL, 0);
    return mr_slice(value, size);
}

/* 1: a record or end to tell; 0: old, paused or not assigned. */
static int
put_record(struct kafka_reader *reader, const rd_kafka_message_t *message, struct slot *slot,
           struct mr_record *ret)
{
    if (slot == NULL || slot->paused || reader->lost || message->offset < slot->next)
        return 0;
    *ret = (struct mr_record){ .slot = (uint32_t)(slot - reader->slots),
                               .is_end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF,
                               .offset = message->offset };
    slot->next = message->offset + !ret->is_end;
    if (ret->is_end)
        return 1;
    ret->time_ms = rd_kafka_message_timestamp(message, NULL);
    ret->key = mr_slice(message->key, message->key_len);
    ret->value = mr_slice(message->payload, message->len);
    ret->header = find_header(message);
    return 1;
}

/* Kept until the records that came with it have been told; it stays until the next assignment. */
static int
tell_failure(const struct kafka_reader *reader, struct mr_err *err)
{
    return mr_fail(err, reader->failed.code, reader->failed.remedy, "%s", reader->failed.text);
}

/* 0: it will pass by itself (connections are looked at apart, lost assignments are told as such,
 * a topic of the subscription may come yet). */
static int
judge(struct kafka_reader *reader, const rd_kafka_message_t *message, const struct slot *slot,
      struct mr_err *err)
{
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        if (slot == NULL)
            return 0;
        return mr_fail(
            err, MR_E(NOT_FOUND), MR_FATAL,
            "offset %lld of topic %s partition %d is not in the log, the reader has come "
            "to %lld (%s)",
            (long long)message->offset, slot->topic, (int)slot->partition, (long long)slot->next,
            rd_kafka_message_errstr(message));
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        return kafka_fail(err, &reader->client, message->err, "%s %s",
                          message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : reader->group,
                          rd_kafka_message_errstr(message));
    default:
        return 0;
    }
}

static int
take_messages(struct kafka_reader *reader, size_t count, struct mr_batch *ret, struct mr_err *err)
{
    size_t told = 0;
    reader->messages_count = count;
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_message_t *message = reader->messages[i];
        struct slot *slot = find_slot(reader, message);
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR ||
            message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            told += (size_t)put_record(reader, message, slot, &reader->records[told]);
        else
            (void)judge(reader, message, slot, &reader->failed);
    }
    kafka_client_well(&reader->client);
    if (told == 0 && reader->failed.code < 0)
        return tell_failure(reader, err);
    *ret = (struct mr_batch){ .event = MR_BUS_RECORDS, .records = reader->records, .count = told };
    return (int)told;
}

/* All brokers were unreachable a while ago and nothing came since: are they still? */
static int
check_connection(struct kafka_reader *reader, struct mr_err *err)
{
    const struct rd_kafka_metadata *metadata;
    if (!kafka_client_is_down(&reader->client) || mr_now_ms() < reader->looked_ms + LOOK_MS)
        return 0;
    rd_kafka_resp_err_t code = rd_kafka_metadata(reader->client.rk, 0, NULL, &metadata, LOOK_MS);
    reader->looked_ms = mr_now_ms();
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &reader->client, code, "no broker of %s answers",
                          reader->client.bus->bootstrap);
    rd_kafka_metadata_destroy(metadata);
    kafka_client_well(&reader->client);
    return 0;
}

static int
fetch(struct kafka_reader *reader, size_t count_max, int timeout_ms, struct mr_batch *ret,
      struct mr_err *err)
{
    if (reader->room < count_max) {
        reader->messages = mr_realloc(reader->messages, count_max * sizeof(*reader->messages));
        reader->records = mr_realloc(reader->records, count_max * sizeof(*reader->records));
        reader->room = count_max;
    }
    *ret = (struct mr_batch){ .event = MR_BUS_RECORDS };
    kafka_reader_drop(reader);
    rd_kafka_message_t *first = rd_kafka_consumer_poll(reader->client.rk, timeout_ms);
    if (first == NULL)
        return check_connection(reader, err);
    ssize_t more = 0;
    reader->messages[0] = first;
    if (count_max > 1)
        more = rd_kafka_consume_batch_queue(reader->queue, 0, reader->messages + 1, count_max - 1);
    return take_messages(reader, 1 + (size_t)(more > 0 ? more : 0), ret, err);
}

static int
poll_reader(struct mr_reader *handle, size_t count_max, int timeout_ms, struct mr_batch *ret,
            struct mr_err *err)
{
    struct kafka_reader *reader = (struct kafka_reader *)handle;
    int64_t deadline_ms = mr_now_ms() + timeout_ms;
    kafka_reader_drop(reader);
    if (reader->failed.code < 0)
        return tell_failure(reader, err);
    /* While an assignment waits for a look-up or its answer the member must stay alive and hear of
     * what comes next; no records can come then. */
    if (reader->offer != NULL || reader->claim == ASKED || reader->lost)
        kafka_client_listen(&reader->client);
    for (;;) {
        int told = kafka_group_tell(reader, ret, err);
        if (told != 0)
            return told < 0 ? told : 0;
        int left_ms = (int)mr_left_ms(deadline_ms, timeout_ms);
        bool settles = reader->offer != NULL && left_ms > SETTLE_MS;
        int count = fetch(reader, count_max, settles ? SETTLE_MS : left_ms, ret, err);
        if (count != 0 || left_ms == 0)
            return count;
    }
}

/* ---- positions ---- */

static rd_kafka_topic_partition_list_t *
list_of(const struct slot *slot)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, slot->topic, slot->partition)->offset = slot->next;
    return list;
}

static int
seek_now(struct kafka_reader *reader, const struct slot *slot, struct mr_err *err)
{
    MR_CLEANUP(kafka_list_freep) rd_kafka_topic_partition_list_t *list = list_of(slot);
    rd_kafka_error_t *error = rd_kafka_seek_partitions(reader->client.rk, list, SEEK_MS_MAX);
    if (kafka_group_has_gone(reader)) {
        if (error != NULL)
            rd_kafka_error_destroy(error);
        return kafka_group_stale(reader, err);
    }
    if (error != NULL)
        return kafka_fail_with(err, &reader->client, error, "seek");
    if (list->elems[0].err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &reader->client, list->elems[0].err, "seek in topic %s partition %d",
                          slot->topic, (int)slot->partition);
    return 0;
}

static int
seek(struct mr_reader *handle, uint32_t index, int64_t offset, struct mr_err *err)
{
    struct kafka_reader *reader = (struct kafka_reader *)handle;
    if (index >= reader->slots_count || kafka_group_has_gone(reader))
        return kafka_group_stale(reader, err);
    struct slot *slot = &reader->slots[index];
    slot->next = offset;
    return slot->paused ? 0 : seek_now(reader, slot, err);
}

static int
pause_slot(struct mr_reader *handle, uint32_t index, bool paused, struct mr_err *err)
{
    struct kafka_reader *reader = (struct kafka_reader *)handle;
    if (index >= reader->slots_count || kafka_group_has_gone(reader))
        return kafka_group_stale(reader, err);
    struct slot *slot = &reader->slots[index];
    if (slot->paused == paused)
        return 0;
    MR_CLEANUP(kafka_list_freep) rd_kafka_topic_partition_list_t *list = list_of(slot);
    /* Before it flows: from the position of its own it would ask for what is behind the log. */
    if (!paused && seek_now(reader, slot, err) < 0)
        return err->code;
    rd_kafka_resp_err_t code = paused ? rd_kafka_pause_partitions(reader->client.rk, list)
                                      : rd_kafka_resume_partitions(reader->client.rk, list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = list->elems[0].err;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &reader->client, code, "pause of topic %s partition %d", slot->topic,
                          (int)slot->partition);
    slot->paused = paused;
    return 0;
}

static rd_kafka_topic_partition_list_t *
positions_list(const struct kafka_reader *reader, const struct mr_position *positions, size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        MR_ASSERT(positions[i].slot < reader->slots_count);
        const struct slot *slot = &reader->slots[positions[i].slot];
        rd_kafka_topic_partition_t *one =
            rd_kafka_topic_partition_list_add(list, slot->topic, slot->partition);
        one->offset = positions[i].next;
        if (positions[i].note == NULL)
            continue;
        one->metadata_size = strlen(positions[i].note);
        one->metadata = mr_strdup(positions[i].note);
    }
    return list;
}

int
kafka_reader_positions(struct mr_reader *handle, const struct mr_position *positions, size_t count,
                       const rd_kafka_consumer_group_metadata_t **ret_metadata,
                       rd_kafka_topic_partition_list_t **ret_list, struct mr_err *err)
{
    struct kafka_reader *reader = (struct kafka_reader *)handle;
    if (reader->claim != OWNING || reader->lost || reader->metadata == NULL)
        return kafka_group_stale(reader, err);
    *ret_metadata = reader->metadata;
    *ret_list = positions_list(reader, positions, count);
    return 0;
}

static rd_kafka_resp_err_t
commit_and_wait(struct kafka_reader *reader, const rd_kafka_topic_partition_list_t *list,
                int timeout_ms)
{
    MR_CLEANUP(kafka_queue_freep) rd_kafka_queue_t *queue = rd_kafka_queue_new(reader->client.rk);
    rd_kafka_resp_err_t code = rd_kafka_commit_queue(reader->client.rk, list, queue, NULL, NULL);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return code;
    MR_CLEANUP(kafka_event_freep) rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
    if (event == NULL)
        return RD_KAFKA_RESP_ERR__TIMED_OUT;
    code = rd_kafka_event_error(event);
    const rd_kafka_topic_partition_list_t *told = rd_kafka_event_topic_partition_list(event);
    for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && told != NULL && i < told->cnt; i++)
        code = told->elems[i].err;
    return code;
}

static int
commit(struct mr_reader *handle, const struct mr_position *positions, size_t count, int timeout_ms,
       struct mr_err *err)
{
    struct kafka_reader *reader = (struct kafka_reader *)handle;
    if (reader->subscribed && (reader->claim != OWNING || reader->lost))
        return kafka_group_stale(reader, err);
    MR_CLEANUP(kafka_list_freep)
    rd_kafka_topic_partition_list_t *list = positions_list(reader, positions, count);
    rd_kafka_resp_err_t code = timeout_ms > 0 ? commit_and_wait(reader, list, timeout_ms)
                                              : rd_kafka_commit(reader->client.rk, list, 1);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &reader->client, code, "commit of group %s", reader->group);
    return 0;
}

static int
offsets(struct mr_reader *handle, struct mr_offsets *all, size_t count, int timeout_ms,
        struct mr_err *err)
{
    struct kafka_reader *reader = (struct kafka_reader *)handle;
    return kafka_reader_offsets(reader->client.bus, &reader->client, all, count, timeout_ms, err);
}

/* ---- open and close ---- */

static void
close_reader(struct mr_reader *handle)
{
    struct kafka_reader *reader = (struct kafka_reader *)handle;
    kafka_reader_forget(reader);
    if (reader->client.rk != NULL)
        kafka_group_close(reader);
    kafka_queue_freep(&reader->queue);
    kafka_client_fini(&reader->client);
    free(reader->parts);
    free(reader->slots);
    free(reader->sorted);
    free(reader->messages);
    free(reader->records);
    free(reader->group);
    free(reader->instance);
    free(reader->member);
    free(reader);
}

static const struct mr_reader_driver driver = {
    .close = close_reader,
    .subscribe = subscribe,
    .poll = poll_reader,
    .assign = assign,
    .release = kafka_group_release,
    .seek = seek,
    .pause = pause_slot,
    .commit = commit,
    .offsets = offsets,
    .is_taken = kafka_reader_is_taken,
};

/* Three quarters of the budget are queued records. The last is for one answer of a broker, which is
 * unpacked as a whole: text that repeats itself grows a hundred times. Only a single batch may be
 * larger, as it comes whole; ours have 1 MB at most when they are unpacked. */
static int
open_client(struct kafka_reader *reader, struct mr_err *err)
{
    const struct mr_reader_options *options = &reader->options;
    char session[16], kilobytes[24], fetch_bytes[24], records[24];
    int64_t budget = options->queue_bytes_max;
    int64_t packed = budget / 4 / UNPACKED_MAX, queued = budget / 4 * 3;
    int64_t most = queued / RECORD_FRAME > RECORDS_MIN ? queued / RECORD_FRAME : RECORDS_MIN;
    (void)snprintf(session, sizeof(session), "%d",
                   options->session_timeout_ms > 0 ? options->session_timeout_ms : SESSION_MS);
    (void)snprintf(kilobytes, sizeof(kilobytes), "%lld", (long long)(queued / 1024 + 1));
    (void)snprintf(fetch_bytes, sizeof(fetch_bytes), "%lld",
                   (long long)(packed > FETCH_BYTES_MIN ? packed : FETCH_BYTES_MIN));
    (void)snprintf(records, sizeof(records), "%lld",
                   (long long)(most < 10000000 ? most : 10000000));
    const struct kafka_option all[] = { { "group.id", reader->group },
                                        { "group.instance.id", reader->instance },
                                        { "session.timeout.ms", session },
                                        { "queued.max.messages.kbytes", kilobytes },
                                        { "queued.min.messages", records },
                                        { "message.max.bytes", fetch_bytes }, /* its least */
                                        { "fetch.max.bytes", fetch_bytes },
                                        { "max.partition.fetch.bytes", fetch_bytes },
                                        { NULL, NULL } };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    kafka_group_conf(conf);
    if (kafka_client_open(&reader->client, KAFKA_CONSUMER, conf, all, err) < 0)
        return err->code;
    (void)rd_kafka_poll_set_consumer(reader->client.rk);
    reader->queue = rd_kafka_queue_get_consumer(reader->client.rk);
    return 0;
}

int
kafka_reader_renew(struct kafka_reader *reader, struct mr_err *err)
{
    MR_CLEANUP(kafka_list_freep) rd_kafka_topic_partition_list_t *subscription = NULL;
    MR_ASSERT(reader->subscribed && reader->slots_count == 0);
    rd_kafka_resp_err_t code = rd_kafka_subscription(reader->client.rk, &subscription);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &reader->client, code, "subscription of group %s", reader->group);
    kafka_group_close(reader);
    kafka_queue_freep(&reader->queue);
    rd_kafka_destroy(reader->client.rk);
    reader->client.rk = NULL;
    kafka_client_well(&reader->client);
    reader->gap_due_ms = reader->gap_wait_ms = 0;
    if (open_client(reader, err) < 0)
        return err->code;
    code = rd_kafka_subscribe(reader->client.rk, subscription);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_fail(err, &reader->client, code, "subscription of group %s", reader->group);
    return 0;
}

int
kafka_reader_open(struct mr_bus *handle, const struct mr_reader_options *options,
                  struct mr_reader **ret, struct mr_err *err)
{
    struct kafka_bus *bus = (struct kafka_bus *)handle;
    struct kafka_reader *reader = mr_alloc(sizeof(*reader));
    MR_CLEANUP(mr_reader_closep) struct mr_reader *owned = &reader->base;
    reader->base.driver = &driver;
    kafka_client_init(&reader->client, bus, reader);
    /* librdkafka assigns only in the name of a group; without subscription it never joins it. */
    reader->group = mr_strdup(options->group != NULL ? options->group : bus->client_id);
    if (options->instance != NULL)
        reader->instance = mr_strdup(options->instance);
    reader->options = *options;
    reader->options.group = reader->options.instance = NULL; /* kept above */
    if (open_client(reader, err) < 0)
        return err->code;
    *ret = MR_TAKE(owned);
    return 0;
}
