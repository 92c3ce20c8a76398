/*
 * stage: read one set of topics, write others, offsets and outputs in one Kafka transaction. It is
 * the frame of validator and cleaner and holds the rules of LAW.md 7 to 14 in one place: start
 * offsets, look-back, batches, aborts, rewinds, fencing, counts that are committed with the
 * offsets.
 *
 * A step: poll; hand records to the handler, which emits outputs; commit when batch_max records or
 * batch_wait_ms are reached. On abort everything since the last commit comes again.
 *
 * Durable counts: in, good, repeated, dead of a partition since its first record stand in the note
 * of its committed offset ("1 in=12 good=10 repeated=1 dead=1"), so they are exact across crashes.
 *
 * Threads: one.
 */
#ifndef MR_STAGE_H
#define MR_STAGE_H

#include "base/base.h"
#include "bus/bus.h"
#include "contract/contract.h"
#include "metrics/metrics.h"
#include "names/names.h"

struct mr_stage;
struct Millrace__V1__Provenance; /* millrace/v1/event.proto */
struct Millrace__V1__Origin;

enum { MR_DEAD_CODES = 32 }; /* numbers of Millrace__V1__DeadCode are below */
struct mr_counts {
    int64_t in, good, repeated, dead;
    int64_t codes[MR_DEAD_CODES]; /* dead by code; since when they are counted */
};
const char *mr_dead_code_name(int code); /* "NOT_JSON"; NULL: there is no such code */
/* The note of a committed offset: the counts up to it and the topic's id (NULL: left out). */
void mr_counts_note(const struct mr_counts *counts, const uint8_t *topic_id,
                    char ret_note[MR_POSITION_NOTE_MAX]);
bool mr_counts_parse(const char *note, struct mr_counts *ret);

/* One assigned input partition. */
struct mr_stage_part {
    struct mr_part part;
    struct mr_topic_name name;
    char raw[MR_TOPIC_MAX + 1], valid[MR_TOPIC_MAX + 1], clean[MR_TOPIC_MAX + 1],
        dead[MR_TOPIC_MAX + 1];
    struct mr_counts counts; /* committed + those of the open batch */
    void *state;             /* the handler's own */
};

struct mr_stage_handler {
    /* A partition came: make its state. NULL state is fine. */
    int (*open)(void *self, struct mr_stage_part *part, struct mr_err *err);
    void (*close)(void *self, struct mr_stage_part *part);
    /* A record below the committed offset (look-back): feeds windows, emits nothing. */
    void (*recall)(void *self, struct mr_stage_part *part, const struct mr_record *record);
    /* Records of one poll, in order, of any partitions; emits outputs and adds to
     * part->counts. records[i].slot is the index for mr_stage_part_at. An error takes the whole
     * open batch back and the records come again: bad records are dead letters, not errors. */
    int (*handle)(void *self, const struct mr_record *records, size_t count, struct mr_err *err);
    void (*committed)(void *self); /* the open batch is durable */
    void (*aborted)(void *self);   /* forget everything since the last commit */
    /* true: nothing of this partition for now, its contract is not here yet (LAW 22). Asked after
     * each abort and once a second. NULL: never. */
    bool (*holds)(void *self, const struct mr_stage_part *part);
    /* An output of this record alone is more than its topic takes: emit a dead letter TOO_LARGE
     * that carries a cut original instead (LAW 14), and count it. */
    int (*too_large)(void *self, const struct mr_record *record, struct mr_err *err);
};

struct mr_stage_options {
    struct mr_bus *bus;
    const char *pipeline, *name, *instance; /* "millrace", "validator", host name */
    const struct mr_contracts *contracts;   /* whose kinds' topics are read; borrowed at open */
    enum mr_topic_role input;
    enum mr_topic_role outputs[2]; /* checked to be there before an input partition flows */
    size_t batch_max;              /* records */
    int64_t batch_wait_ms;         /* 0..1000 after the first record */
    int64_t look_back;             /* W records below the committed offset */
    int64_t memory_max;            /* consumer and producer queues together */
    const struct mr_stage_handler *handler;
    void *self;
    struct mr_metrics *metrics; /* millrace_events_total, millrace_lag_* and millrace_stage_* */
};
extern const struct mr_metric mr_stage_metrics[];
extern const size_t mr_stage_metrics_count;

int mr_stage_open(const struct mr_stage_options *options, struct mr_stage **ret,
                  struct mr_err *err);
/* After a reload: reads the topics of these kinds from now on. */
int mr_stage_subscribe(struct mr_stage *stage, const struct mr_contracts *contracts,
                       struct mr_err *err);
/* One bounded piece of work of at most wait_ms idle time; the count of records handled. */
int mr_stage_step(struct mr_stage *stage, int wait_ms, struct mr_err *err);
/* Commits what is open and stops fetching. */
int mr_stage_drain(struct mr_stage *stage, struct mr_err *err);
void mr_stage_close(struct mr_stage *stage);
void mr_stage_closep(struct mr_stage **stage);

struct mr_stage_part *mr_stage_part_at(struct mr_stage *stage, uint32_t slot);
/* Produces into the open transaction. value must stay valid until committed or aborted (allocate
 * it from mr_stage_arena). partition -1: by key. Blocks, serving delivery, while the queue is
 * full. */
int mr_stage_emit(struct mr_stage *stage, const char *topic, int32_t partition, struct mr_slice key,
                  struct mr_slice header, struct mr_slice value, struct mr_err *err);

/* Emits the dead letter of one record to T.dead, same partition as the input, and counts it. All
 * but verdict and original may be NULL; an original above 4 MiB is cut, above 64 KiB with is_cut
 * (LAW 14). */
struct mr_dead {
    const struct Millrace__V1__Provenance *provenance;
    const struct Millrace__V1__Origin *origin;
    const struct mr_verdict *verdict;
    struct mr_slice original; /* data NULL: a tombstone */
    struct mr_slice key;      /* of the raw record, for a replay; data NULL: it has none */
    uint32_t contract_version;
    bool is_cut;
};
int mr_stage_emit_dead(struct mr_stage *stage, struct mr_stage_part *part,
                       const struct mr_dead *dead, struct mr_err *err);
struct mr_arena *mr_stage_arena(struct mr_stage *stage); /* reset at commit and abort */
/* true: assigned (or rightly idle), broker reachable, last commit good. */
bool mr_stage_ready(const struct mr_stage *stage, const char **ret_why_not);
/* JSON object of positions, lag in records and seconds, last commit. */
void mr_stage_status(const struct mr_stage *stage, struct mr_buf *ret_json);

#endif
