/*
 * The records go first: only when all are stored their offsets are known, which the marks name.
 */
#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "private.h"

enum {
    FLUSH_MS_MAX = 8000, /* with the commit below transaction.timeout */
    COMMIT_MS_MAX = 8000,
    QUEUE_BYTES = 64 << 20,
    ROOM_MS = 10,
};

struct item {
    Millrace__V1__Provenance provenance; /* of the replay */
    Millrace__V1__Origin origin;         /* of what died */
    struct mr_slice key, value, header;
    int32_t letter_partition;
    int64_t offset; /* of the new record; -1: not stored yet */
};

struct batch {
    const struct replay *replay;
    struct mr_writer *writer;
    char raw[MR_TOPIC_MAX + 1], dead[MR_TOPIC_MAX + 1];
    struct mr_arena arena;
    struct item *items;
    size_t count, bytes;
    struct mr_err failed; /* of the first record that was not stored */
};

static void
delivered(void *self, void *opaque, int32_t partition, int64_t offset, const struct mr_err *err)
{
    struct batch *batch = self;
    struct item *item = opaque;
    (void)partition;
    if (err != NULL && batch->failed.code == 0)
        batch->failed = *err;
    else if (err == NULL && item != NULL)
        item->offset = offset;
}

int
batch_open(const struct replay *replay, struct batch **ret, struct mr_err *err)
{
    MR_CLEANUP(batch_closep) struct batch *batch = mr_alloc(sizeof(*batch));
    MR_CLEANUP(mr_freep)
    char *name = mr_printf("%s.replay.%s.%s", replay->pipeline, replay->tenant, replay->kind);
    const struct mr_writer_options options = { .transactional_id = name,
                                               .linger_ms = -1,
                                               .queue_bytes_max = QUEUE_BYTES,
                                               .delivered = delivered,
                                               .self = batch };
    batch->replay = replay;
    mr_arena_init(&batch->arena);
    batch->items = mr_alloc(REPLAY_BATCH_MAX * sizeof(*batch->items));
    mr_topic_format(replay->tenant, replay->kind, MR_TOPIC_RAW, batch->raw);
    mr_topic_format(replay->tenant, replay->kind, MR_TOPIC_DEAD, batch->dead);
    if (mr_writer_open(replay->bus, &options, &batch->writer, err) != 0)
        return err->code;
    *ret = MR_TAKE(batch);
    return 0;
}

void
batch_closep(struct batch **at)
{
    struct batch *batch = MR_TAKE(*at);
    if (batch == NULL)
        return;
    mr_writer_close(batch->writer);
    mr_arena_fini(&batch->arena);
    free(batch->items);
    free(batch);
}

/* ---- adding ---- */

static struct mr_slice
keep(struct batch *batch, struct mr_slice bytes)
{
    if (bytes.data == NULL)
        return bytes;
    batch->bytes += bytes.size;
    return mr_slice(mr_arena_copy(&batch->arena, bytes.data, bytes.size), bytes.size);
}

static ProtobufCBinaryData
keep_bytes(struct batch *batch, ProtobufCBinaryData bytes)
{
    return (ProtobufCBinaryData){ bytes.len, mr_arena_copy(&batch->arena, bytes.data, bytes.len) };
}

static struct mr_slice
pack(struct batch *batch, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = mr_arena_alloc(&batch->arena, size);
    (void)protobuf_c_message_pack(message, packed);
    return mr_slice(packed, size);
}

void
batch_add(struct batch *batch, int32_t partition, const struct replay_letter *from)
{
    MR_ASSERT(!batch_is_full(batch));
    const Millrace__V1__DeadLetter *letter = from->letter;
    struct item *item = &batch->items[batch->count++];
    Millrace__V1__Provenance provenance = *letter->provenance;
    provenance.replay_of = letter->origin;
    provenance.deaths = letter->attempts > 0 ? letter->attempts : 1;
    provenance.first_dead_us = letter->attempts > 0 ? letter->first_dead_us : letter->dead_us;
    provenance.value_hash = mr_hash64(from->value.data, from->value.size, 0);
    *item = (struct item){ .origin = *letter->origin,
                           .key = keep(batch, from->key),
                           .value = keep(batch, from->value),
                           .header = pack(batch, &provenance.base),
                           .letter_partition = partition,
                           .offset = -1 };
    item->origin.topic = batch->raw;
    item->origin.topic_id = keep_bytes(batch, letter->origin->topic_id);
    millrace__v1__provenance__init(&item->provenance);
    item->provenance.version = provenance.version;
    item->provenance.event_id = keep_bytes(batch, provenance.event_id);
}

bool
batch_is_full(const struct batch *batch)
{
    return batch->count == REPLAY_BATCH_MAX || batch->bytes >= REPLAY_BATCH_BYTES;
}

size_t
batch_count(const struct batch *batch)
{
    return batch->count;
}

/* ---- the transaction ---- */

static int
produce(struct batch *batch, const struct mr_message *message, struct mr_err *err)
{
    int64_t until_ms = mr_now_ms() + FLUSH_MS_MAX;
    for (;;) {
        struct mr_err why = { 0 };
        if (mr_writer_produce(batch->writer, message, &why) == 0)
            return 0;
        if (why.code != MR_E(FULL) || mr_now_ms() > until_ms)
            return mr_fail(err, why.code, why.remedy, "%s", why.text);
        (void)mr_writer_poll(batch->writer, ROOM_MS);
    }
}

static int
put_records(struct batch *batch, struct mr_err *err)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct item *item = &batch->items[i];
        const struct mr_message message = { .topic = batch->raw,
                                            .partition = item->origin.partition,
                                            .key = item->key,
                                            .value = item->value,
                                            .header = item->header,
                                            .value_borrowed = true,
                                            .opaque = item };
        if (produce(batch, &message, err) != 0)
            return err->code;
    }
    if (mr_writer_flush(batch->writer, FLUSH_MS_MAX, err) != 0)
        return err->code;
    if (batch->failed.code != 0)
        return mr_fail(err, batch->failed.code, batch->failed.remedy, "%s", batch->failed.text);
    return 0;
}

static int
put_marks(struct batch *batch, struct mr_err *err)
{
    static char stage[] = "replay";
    for (size_t i = 0; i < batch->count; i++) {
        struct item *item = &batch->items[i];
        MR_ASSERT(item->offset >= 0);
        Millrace__V1__DeadLetter mark = MILLRACE__V1__DEAD_LETTER__INIT;
        Millrace__V1__Origin replayed = item->origin;
        replayed.offset = item->offset;
        mark.provenance = &item->provenance;
        mark.origin = &item->origin;
        mark.kind = (char *)batch->replay->kind;
        mark.stage = stage;
        mark.replayed_as = &replayed;
        mark.replayed_us = mr_wall_us();
        const struct mr_message message = { .topic = batch->dead,
                                            .partition = item->letter_partition,
                                            .value = pack(batch, &mark.base),
                                            .value_borrowed = true };
        if (produce(batch, &message, err) != 0)
            return err->code;
    }
    return 0;
}

/* A record that was dropped does not say that it was for a fence; the abort does. */
static int
give_up(struct batch *batch, const struct mr_err *why, struct mr_err *err)
{
    struct mr_err fenced = { 0 };
    bool is_fenced =
        mr_writer_abort(batch->writer, COMMIT_MS_MAX, &fenced) != 0 && fenced.code == MR_E(FENCED);
    *err = is_fenced ? fenced : *why;
    return err->code;
}

int
batch_commit(struct batch *batch, struct mr_err *err)
{
    struct mr_err why = { 0 };
    if (batch->count == 0)
        return 0;
    if (mr_writer_begin(batch->writer, &why) != 0 || put_records(batch, &why) != 0 ||
        put_marks(batch, &why) != 0 ||
        mr_writer_commit(batch->writer, NULL, NULL, 0, COMMIT_MS_MAX, &why) != 0)
        return give_up(batch, &why, err);
    batch->count = batch->bytes = 0;
    mr_arena_reset(&batch->arena);
    return 0;
}
