/*
 * A wrapped call fails in one of the ways that bus.h allows it. Rebalances and fences are not made
 * up: they happen on the bus inside just before the call, which then answers what it answers.
 *
 * The wrapper also watches two rules that the bus inside would pass over: nothing is committed for
 * an assignment that is known to be lost, and nothing is written by one that knows of its fence.
 */
#include "faulty_bus.h"

#include <stdio.h>
#include <stdlib.h>

#include "bus/driver.h"
#include "bus/memory.h"
#include "strike.h"

struct faulty {
    struct mr_bus base;
    struct mr_bus *inner;
};

struct faulty_reader {
    struct mr_reader base;
    struct faulty *bus;
    struct mr_reader *inner;
    char group[MR_BUS_TOPIC_MAX + 1]; /* "": none */
    bool is_lost;                     /* told so, and not given back yet */
};

struct faulty_writer {
    struct mr_writer base;
    struct faulty *bus;
    struct mr_writer *inner;
    char name[MR_BUS_TOPIC_MAX + 1]; /* "": no transactions */
    bool is_unsure;                  /* a call got no answer: the next begin settles it */
    bool is_fenced;                  /* told so: nothing more goes into it */
};

#define GROUP_MOVES                                                                                \
    { .way = STRIKE_REVOKED },                                                                     \
    {                                                                                              \
        .way = STRIKE_LOST                                                                         \
    }
#define REFUSED(e)                                                                                 \
    {                                                                                              \
        .way = STRIKE_REFUSED, .code = MR_E(e)                                                     \
    }
#define SILENT(e)                                                                                  \
    {                                                                                              \
        .way = STRIKE_SILENT, .code = MR_E(e)                                                      \
    }
static const struct strike ask[] = { REFUSED(UNAVAILABLE) };
static const struct strike polls[] = { REFUSED(UNAVAILABLE), GROUP_MOVES };
static const struct strike moves[] = { REFUSED(TIMEOUT), SILENT(TIMEOUT), GROUP_MOVES };
static const struct strike begins[] = { REFUSED(TIMEOUT), { .way = STRIKE_FENCED }, GROUP_MOVES };
static const struct strike produces[] = {
    REFUSED(ABORTED), REFUSED(FULL), GROUP_MOVES, { .way = STRIKE_FENCED }
};
static const struct strike sends[] = { REFUSED(UNAVAILABLE), REFUSED(FULL) };
static const struct strike commits[] = {
    REFUSED(TIMEOUT), SILENT(TIMEOUT), REFUSED(ABORTED), GROUP_MOVES, { .way = STRIKE_FENCED }
};
static const struct strike aborts[] = { REFUSED(TIMEOUT),
                                        SILENT(TIMEOUT),
                                        { .way = STRIKE_FENCED } };
static const struct strike stores[] = { REFUSED(TIMEOUT), SILENT(TIMEOUT) };

/* True: the call has to fail with *ret. */
static bool
is_struck(const struct strike **ret, const char *call, const struct strike *ways, size_t count)
{
    *ret = strike_now(STRIKE_BUS, call, ways, count);
    return *ret != NULL && (*ret)->way <= STRIKE_HALF;
}

#define STRUCK(ret, call, ways) is_struck(&(ret), call, ways, MR_COUNT(ways))

/* ---- bus ---- */

static struct mr_bus *
inner_of(struct mr_bus *bus)
{
    return ((struct faulty *)bus)->inner;
}

static void
close_bus(struct mr_bus *bus)
{
    free(bus);
}

static int
cluster_id(struct mr_bus *bus, const char **ret, int timeout_ms, struct mr_err *err)
{
    const struct strike *strike;
    if (STRUCK(strike, "cluster-id", ask))
        return strike_fail(strike, "cluster-id", err);
    return mr_bus_cluster_id(inner_of(bus), ret, timeout_ms, err);
}

static int
topics(struct mr_bus *bus, struct mr_topic **ret, size_t *ret_count, int timeout_ms,
       struct mr_err *err)
{
    const struct strike *strike;
    if (STRUCK(strike, "topics", ask))
        return strike_fail(strike, "topics", err);
    return mr_bus_topics(inner_of(bus), ret, ret_count, timeout_ms, err);
}

static int
offsets(struct mr_bus *bus, const char *group, struct mr_offsets *all, size_t count, int timeout_ms,
        struct mr_err *err)
{
    const struct strike *strike;
    if (STRUCK(strike, "offsets", ask))
        return strike_fail(strike, "offsets", err);
    return mr_bus_offsets(inner_of(bus), group, all, count, timeout_ms, err);
}

/* ---- reader ---- */

static struct mr_reader *
reader_of(struct mr_reader *reader)
{
    return ((struct faulty_reader *)reader)->inner;
}

/* The group of a reader moves on, when it has one. */
static void
rebalance(struct faulty_reader *reader, const struct strike *strike)
{
    if (strike != NULL && reader->group[0] != '\0')
        mr_bus_memory_rebalance(reader->bus->inner, reader->group, strike->way == STRIKE_LOST);
}

static void
close_reader(struct mr_reader *reader)
{
    mr_reader_close(reader_of(reader));
    free(reader);
}

static int
subscribe(struct mr_reader *reader, const char *const *all, size_t count, struct mr_err *err)
{
    return mr_reader_subscribe(reader_of(reader), all, count, err);
}

static int
poll_reader(struct mr_reader *reader, size_t count_max, int timeout_ms, struct mr_batch *ret,
            struct mr_err *err)
{
    const struct strike *strike;
    if (STRUCK(strike, "poll", polls))
        return strike_fail(strike, "poll", err);
    rebalance((struct faulty_reader *)reader, strike);
    int count = mr_reader_poll(reader_of(reader), count_max, timeout_ms, ret, err);
    if (count >= 0)
        ((struct faulty_reader *)reader)->is_lost = ret->event == MR_BUS_LOST;
    return count;
}

static int
assign(struct mr_reader *reader, const struct mr_part *parts, size_t count, struct mr_err *err)
{
    const struct strike *strike;
    if (STRUCK(strike, "assign", polls))
        return strike_fail(strike, "assign", err);
    rebalance((struct faulty_reader *)reader, strike);
    return mr_reader_assign(reader_of(reader), parts, count, err);
}

static int
release(struct mr_reader *reader, struct mr_err *err)
{
    const struct strike *strike;
    if (STRUCK(strike, "release", ask))
        return strike_fail(strike, "release", err);
    return mr_reader_release(reader_of(reader), err);
}

static int
seek(struct mr_reader *reader, uint32_t slot, int64_t offset, struct mr_err *err)
{
    const struct strike *strike;
    bool fails = STRUCK(strike, "seek", moves);
    if (!fails)
        rebalance((struct faulty_reader *)reader, strike);
    if ((!fails || strike->way == STRIKE_SILENT) &&
        mr_reader_seek(reader_of(reader), slot, offset, err) != 0)
        return err->code;
    return fails ? strike_fail(strike, "seek", err) : 0;
}

static int
pause_slot(struct mr_reader *reader, uint32_t slot, bool paused, struct mr_err *err)
{
    const struct strike *strike;
    bool fails = STRUCK(strike, "pause", moves);
    if (!fails)
        rebalance((struct faulty_reader *)reader, strike);
    if ((!fails || strike->way == STRIKE_SILENT) &&
        mr_reader_pause(reader_of(reader), slot, paused, err) != 0)
        return err->code;
    return fails ? strike_fail(strike, "pause", err) : 0;
}

static int
commit_positions(struct mr_reader *reader, const struct mr_position *positions, size_t count,
                 int timeout_ms, struct mr_err *err)
{
    const struct strike *strike;
    bool fails = STRUCK(strike, "reader-commit", stores);
    if ((!fails || strike->way == STRIKE_SILENT) &&
        mr_reader_commit(reader_of(reader), positions, count, timeout_ms, err) != 0)
        return err->code;
    return fails ? strike_fail(strike, "reader-commit", err) : 0;
}

static int
reader_offsets(struct mr_reader *reader, struct mr_offsets *all, size_t count, int timeout_ms,
               struct mr_err *err)
{
    const struct strike *strike;
    if (STRUCK(strike, "reader-offsets", ask))
        return strike_fail(strike, "reader-offsets", err);
    return mr_reader_offsets(reader_of(reader), all, count, timeout_ms, err);
}

static int
is_taken(struct mr_reader *reader, int timeout_ms, struct mr_err *err)
{
    const struct strike *strike;
    if (STRUCK(strike, "is-taken", ask))
        return strike_fail(strike, "is-taken", err);
    return mr_reader_is_taken(reader_of(reader), timeout_ms, err);
}

static const struct mr_reader_driver reader_driver = {
    .close = close_reader,
    .subscribe = subscribe,
    .poll = poll_reader,
    .assign = assign,
    .release = release,
    .seek = seek,
    .pause = pause_slot,
    .commit = commit_positions,
    .offsets = reader_offsets,
    .is_taken = is_taken,
};

static int
reader_open(struct mr_bus *bus, const struct mr_reader_options *options, struct mr_reader **ret,
            struct mr_err *err)
{
    const struct strike *strike;
    struct mr_reader *inner;
    if (STRUCK(strike, "reader-open", ask))
        return strike_fail(strike, "reader-open", err);
    if (mr_reader_open(inner_of(bus), options, &inner, err) != 0)
        return err->code;
    struct faulty_reader *reader = mr_alloc(sizeof(*reader));
    *reader = (struct faulty_reader){ { &reader_driver }, (struct faulty *)bus, inner, "", false };
    (void)snprintf(reader->group, sizeof(reader->group), "%s",
                   options->group != NULL ? options->group : "");
    *ret = &reader->base;
    return 0;
}

/* ---- writer ---- */

static struct mr_writer *
writer_of(struct mr_writer *writer)
{
    return ((struct faulty_writer *)writer)->inner;
}

/* What happens around a writer's call. The group is that of the process: the name is the same but
 * for its last part. */
static void
happen(struct faulty_writer *writer, const struct strike *strike)
{
    char group[sizeof(writer->name)];
    if (strike == NULL || writer->name[0] == '\0')
        return;
    if (strike->way == STRIKE_FENCED) {
        const struct mr_writer_options options = { .transactional_id = writer->name,
                                                   .queue_bytes_max = 1 << 20 };
        MR_CLEANUP(mr_writer_closep) struct mr_writer *other = NULL;
        struct mr_err err = { 0 };
        MR_ASSERT(mr_writer_open(writer->bus->inner, &options, &other, &err) == 0);
        return;
    }
    memcpy(group, writer->name, sizeof(group));
    *strrchr(group, '.') = '\0';
    mr_bus_memory_rebalance(writer->bus->inner, group, strike->way == STRIKE_LOST);
}

/* Passes on what a call of the writer has answered. */
static int
answered(struct faulty_writer *writer, int code)
{
    writer->is_fenced |= code == MR_E(FENCED);
    return code;
}

static void
close_writer(struct mr_writer *writer)
{
    mr_writer_close(writer_of(writer));
    free(writer);
}

static int
produce(struct mr_writer *handle, const struct mr_message *message, struct mr_err *err)
{
    struct faulty_writer *writer = (struct faulty_writer *)handle;
    const struct strike *strike;
    bool fails = writer->name[0] != '\0' ? STRUCK(strike, "produce", produces)
                                         : STRUCK(strike, "produce", sends);
    if (fails)
        return strike_fail(strike, "produce", err);
    happen(writer, strike);
    MR_ASSERT(!writer->is_fenced);
    return answered(writer, mr_writer_produce(writer->inner, message, err));
}

static int
partitions(struct mr_writer *writer, const char *topic, int timeout_ms, struct mr_err *err)
{
    const struct strike *strike;
    if (STRUCK(strike, "partitions", ask))
        return strike_fail(strike, "partitions", err);
    return mr_writer_partitions(writer_of(writer), topic, timeout_ms, err);
}

static int
fd(struct mr_writer *writer)
{
    return mr_writer_fd(writer_of(writer));
}

static int
poll_writer(struct mr_writer *writer, int timeout_ms)
{
    return mr_writer_poll(writer_of(writer), timeout_ms);
}

static int
flush(struct mr_writer *writer, int timeout_ms, struct mr_err *err)
{
    const struct strike *strike;
    bool fails = STRUCK(strike, "flush", stores);
    if ((!fails || strike->way == STRIKE_SILENT) &&
        mr_writer_flush(writer_of(writer), timeout_ms, err) != 0)
        return err->code;
    return fails ? strike_fail(strike, "flush", err) : 0;
}

static int
begin(struct mr_writer *handle, struct mr_err *err)
{
    struct faulty_writer *writer = (struct faulty_writer *)handle;
    const struct strike *strike;
    if (STRUCK(strike, "begin", begins))
        return strike_fail(strike, "begin", err);
    happen(writer, strike);
    if (writer->is_unsure && mr_writer_abort(writer->inner, 1000, err) != 0)
        return answered(writer, err->code);
    writer->is_unsure = false;
    return answered(writer, mr_writer_begin(writer->inner, err));
}

static int
commit(struct mr_writer *handle, struct mr_reader *reader, const struct mr_position *positions,
       size_t count, int timeout_ms, struct mr_err *err)
{
    struct faulty_writer *writer = (struct faulty_writer *)handle;
    const struct strike *strike;
    bool fails = STRUCK(strike, "commit", commits);
    writer->is_unsure |= fails;
    MR_ASSERT(!writer->is_fenced);
    MR_ASSERT(reader == NULL || !((struct faulty_reader *)reader)->is_lost);
    if (!fails)
        happen(writer, strike);
    if ((!fails || strike->way == STRIKE_SILENT) &&
        mr_writer_commit(writer->inner, reader != NULL ? reader_of(reader) : NULL, positions, count,
                         timeout_ms, err) != 0)
        return answered(writer, err->code);
    return fails ? strike_fail(strike, "commit", err) : 0;
}

static int
abort_txn(struct mr_writer *handle, int timeout_ms, struct mr_err *err)
{
    struct faulty_writer *writer = (struct faulty_writer *)handle;
    const struct strike *strike;
    bool fails = STRUCK(strike, "abort", aborts);
    writer->is_unsure |= fails;
    if (!fails)
        happen(writer, strike);
    if ((!fails || strike->way == STRIKE_SILENT) &&
        mr_writer_abort(writer->inner, timeout_ms, err) != 0)
        return answered(writer, err->code);
    return fails ? strike_fail(strike, "abort", err) : 0;
}

static const struct mr_writer_driver writer_driver = {
    .close = close_writer,
    .produce = produce,
    .partitions = partitions,
    .fd = fd,
    .poll = poll_writer,
    .flush = flush,
    .begin = begin,
    .commit = commit,
    .abort = abort_txn,
};

static int
writer_open(struct mr_bus *bus, const struct mr_writer_options *options, struct mr_writer **ret,
            struct mr_err *err)
{
    const struct strike *strike;
    struct mr_writer *inner;
    if (STRUCK(strike, "writer-open", ask))
        return strike_fail(strike, "writer-open", err);
    if (mr_writer_open(inner_of(bus), options, &inner, err) != 0)
        return err->code;
    struct faulty_writer *writer = mr_alloc(sizeof(*writer));
    *writer =
        (struct faulty_writer){ { &writer_driver }, (struct faulty *)bus, inner, "", false, false };
    (void)snprintf(writer->name, sizeof(writer->name), "%s",
                   options->transactional_id != NULL ? options->transactional_id : "");
    *ret = &writer->base;
    return 0;
}

static const struct mr_bus_driver driver = {
    .close = close_bus,
    .cluster_id = cluster_id,
    .topics = topics,
    .offsets = offsets,
    .reader_open = reader_open,
    .writer_open = writer_open,
};

struct mr_bus *
faulty_bus(struct mr_bus *inner)
{
    struct faulty *bus = mr_alloc(sizeof(*bus));
    *bus = (struct faulty){ { &driver }, inner };
    return &bus->base;
}
