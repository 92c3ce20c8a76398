/*
 * What the files of the memory driver share. memory.c: topics, logs, offsets, faults;
 * memory_describe.c: what is known of them; memory_group.c: who owns what; memory_reader.c and
 * memory_writer.c: the handles.
 *
 * Everything hangs on the bus and is guarded by its one lock. Logs, names and notes are allocated
 * from the arena of the bus and live as long as it does; an offset is an index into its log.
 */
#ifndef MR_MEMORY_STATE_H
#define MR_MEMORY_STATE_H

#include "bus/driver.h"
#include "bus/memory.h"

#include <pthread.h>
#include <regex.h>

enum {
    MEMORY_FAULTS_MAX = 32,
    MEMORY_PATTERNS_MAX = 256,
    MEMORY_RECORD_BYTES_MAX = 1048588, /* Kafka's default of max.message.bytes */
};

enum txn_state { TXN_OPEN, TXN_COMMITTED, TXN_ABORTED };
struct txn {
    enum txn_state state;
};

struct entry {
    const struct txn *txn; /* NULL: written outside of transactions */
    bool is_marker;
    int64_t time_ms;
    struct mr_slice key, value, header;
};

struct log {
    struct entry *entries;
    int64_t count, capacity;
    int64_t start;
    int64_t decided; /* no entry before it has an open transaction */
};

struct topic {
    struct topic *next;
    struct mr_topic pub;
    int64_t record_max; /* bytes: max.message.bytes */
    char **settings;    /* key, value, .. NULL */
    struct log *logs;
};

struct committed {
    struct committed *next;
    const char *group;
    const struct topic *topic;
    int32_t partition;
    int64_t offset;
    char note[MR_POSITION_NOTE_MAX];
};

/* The last writer that was opened with a name; older epochs are fenced. */
struct producer {
    struct producer *next;
    const char *id;
    int64_t epoch;
    struct memory_writer *writer;
};

struct fault {
    char call[16];
    unsigned skip, count;
    struct mr_err err;
};

/* Where a member stands in its group:
 *
 *   WAITING -> OFFERED -> ASKED -> OWNING -> LEAVING -> WAITING, or OFFERED when it was LOST */
enum member_state { ALONE, WAITING, OFFERED, ASKED, OWNING, LEAVING };

struct slot {
    struct topic *topic;
    int32_t partition;
    int64_t next;
    int64_t end_told; /* offset of the last end-of-partition told */
    bool paused;
};

struct memory_reader {
    struct mr_reader base;
    struct memory_bus *bus;
    struct memory_reader *next; /* all readers and ghosts of the bus */
    const char *group, *instance;
    char *patterns[MEMORY_PATTERNS_MAX];
    regex_t compiled[MEMORY_PATTERNS_MAX]; /* of those with a leading ^ */
    size_t patterns_count;

    enum member_state state;
    bool lost;            /* LEAVING: others do not wait for it */
    bool offered_anew;    /* LEAVING and lost: the next generation has dealt it a hand already */
    bool fenced;          /* another reader took its instance name */
    bool closed;          /* a ghost: a static member that may come back */
    uint64_t seen;        /* the last change of topics that it was told of */
    struct mr_part *hand; /* dealt by the group */
    size_t hand_count;
    struct mr_part *going; /* what LEAVING loses */
    size_t going_count;

    struct slot *slots;
    size_t slots_count, turn;
    struct mr_record *records;
    struct mr_arena batch; /* copies, freed at the next call: a late look is caught */
};

struct report {
    void *opaque;
    int32_t partition;
    int64_t offset;
    size_t bytes;
    struct mr_err err;
};

struct memory_writer {
    struct mr_writer base;
    struct memory_bus *bus;
    struct mr_writer_options options;
    struct producer *producer; /* NULL: no transactions */
    int64_t epoch;
    struct txn *txn;       /* open */
    struct topic **topics; /* touched by txn, with their partitions */
    int32_t *partitions;
    size_t touched;
    struct mr_err failed; /* first message of txn, or since the last flush, that was not stored */
    struct report *reports;
    size_t reports_count, reports_capacity, reports_first;
    int64_t queued_bytes;
    uint32_t turn;
    int fd;
};

struct memory_bus {
    struct mr_bus base;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct mr_arena arena;
    struct topic *topics; /* sorted by name */
    struct topic *gone;   /* deleted ones: readers and open transactions may hold them */
    struct committed *committed;
    struct producer *producers;
    struct memory_reader *readers;
    uint64_t changes; /* of topics */
    struct fault faults[MEMORY_FAULTS_MAX];
    size_t faults_count;
    bool hold; /* delivery reports */
};

/* memory.c; all but memory_lock want the lock held. */
struct memory_bus *memory_lock(struct memory_bus *bus);
void memory_unlock(struct memory_bus **bus);
#define MEMORY_LOCKED(bus)                                                                         \
    MR_CLEANUP(memory_unlock)                                                                      \
    struct memory_bus *locked __attribute__((unused)) = memory_lock(bus)
int memory_fault(struct memory_bus *bus, const char *call, struct mr_err *err);
struct topic *memory_topic(struct memory_bus *bus, const char *name);
int64_t memory_stable_end(struct log *log);
int64_t memory_append(struct memory_bus *bus, struct log *log, const struct entry *entry);
void memory_commit_offset(struct memory_bus *bus, const char *group, const struct slot *slot,
                          const struct mr_position *position);
int memory_part_offsets(struct memory_bus *bus, const char *group, struct mr_part *part,
                        struct mr_err *err);
/* False: deadline_ms has passed. */
bool memory_wait(struct memory_bus *bus, int64_t deadline_ms);
int64_t memory_deadline(int timeout_ms);

void memory_forget_offsets(struct memory_bus *bus, const char *group, const struct topic *topic);

/* memory_describe.c */
int memory_remove(struct mr_bus *bus, const char *topic, int timeout_ms, struct mr_err *err);
int memory_settings(struct mr_bus *bus, const char *topic, struct mr_arena *arena,
                    struct mr_settings *ret, int timeout_ms, struct mr_err *err);
int memory_describe(struct mr_bus *bus, const char *topic, struct mr_arena *arena,
                    struct mr_description *ret, int timeout_ms, struct mr_err *err);

/* memory_group.c */
void memory_group_join(struct memory_reader *reader);
void memory_group_leave(struct memory_reader *reader);
void memory_group_released(struct memory_reader *reader);
void memory_group_rebalance(struct memory_bus *bus, const char *group, bool lost);
void memory_group_topic_changed(struct memory_bus *bus, const struct topic *topic);
void memory_reader_free(struct memory_reader *reader);

/* memory_reader.c, memory_writer.c */
int memory_reader_open(struct mr_bus *bus, const struct mr_reader_options *options,
                       struct mr_reader **ret, struct mr_err *err);
int memory_writer_open(struct mr_bus *bus, const struct mr_writer_options *options,
                       struct mr_writer **ret, struct mr_err *err);
/* STALE or FENCED, or 0 when positions may be committed for this reader. */
int memory_reader_owns(const struct memory_reader *reader, struct mr_err *err);

#endif
