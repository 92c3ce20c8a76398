/*
 * What tests of bus share: a member of a group that answers its events and remembers what it saw,
 * and short forms for topics and writers. Everything fails the running test on an error.
 */
#ifndef MR_BUS_TOOLS_H
#define MR_BUS_TOOLS_H

#include "bus/bus.h"

enum { WAIT_MS = 30000, SEEN_MAX = 20000, MEMBER_PARTS_MAX = 16, VALUE_TEXT_MAX = 32 };

struct seen {
    int32_t partition;
    bool is_end;
    int64_t offset;
    char value[VALUE_TEXT_MAX]; /* cut */
};

struct member {
    struct mr_reader *reader;
    struct mr_part parts[MEMBER_PARTS_MAX];
    size_t parts_count;
    bool assigned;
    unsigned assigned_count, revoked_count, lost_count;
    struct seen *seen; /* records and ends, in order */
    size_t seen_count;
};

/* A new topic with a name of its own; the name lives in a ring of 64. */
const char *tool_topic(struct mr_bus *bus, int partitions, const char *const *settings);
/* A name that no other test of this or another run has. */
const char *tool_name(const char *what);

struct mr_writer *tool_writer(struct mr_bus *bus, const char *transactional_id);
/* Produces one record to the partition. */
void tool_put(struct mr_writer *writer, const char *topic, int32_t partition, const char *value);
/* Produces count records "0", "1" .. and waits until they are stored. */
void tool_fill(struct mr_bus *bus, const char *topic, int32_t partition, int count);

/* topic NULL: no subscription. */
void member_open(struct member *member, struct mr_bus *bus, const char *group, const char *instance,
                 const char *topic);
void member_close(struct member *member);
/* One partition of a topic, by hand, from start. */
void member_open_at(struct member *member, struct mr_bus *bus, const char *topic, int32_t partition,
                    int64_t start);
/* Answers an event (starts at committed offsets, or where the log starts) or keeps records. */
void member_answer(struct member *member, const struct mr_batch *batch);
/* One poll, answered. */
void member_step(struct member *member, int timeout_ms);
void member_wait_assigned(struct member *member);
/* Steps until count records (ends not counted) have been seen. */
void member_wait_records(struct member *member, size_t count);
/* Steps until the end of the partition is told at offset or beyond. */
void member_wait_end(struct member *member, int32_t partition, int64_t offset);
size_t member_records(const struct member *member);
/* The i-th record, ends not counted. */
const struct seen *member_record(const struct member *member, size_t i);
bool member_saw(const struct member *member, const char *value);

/* Committed offset and end of one partition. */
struct mr_offsets tool_offsets(struct mr_bus *bus, const char *group, const char *topic,
                               int32_t partition);
int64_t tool_now_ms(void); /* monotonic */

/* TOOL_OK(mr_writer_flush(writer, WAIT_MS, &oops)); fails the test with the text of the error. */
#define TOOL_OK(call)                                                                              \
    do {                                                                                           \
        struct mr_err oops = { 0 };                                                                \
        if ((call) < 0)                                                                            \
            fail_msg("%s: %s: %s", #call, mr_code_name(oops.code), oops.text);                     \
    } while (0)

#endif
