/*
 * A validator on a stage on the memory bus: post records, step, count what stands behind.
 */
#ifndef STAGE_FIXTURE_H
#define STAGE_FIXTURE_H

#include "bus/bus.h"
#include "bus/memory.h"
#include "contract/contract.h"
#include "millrace/v1/event.pb-c.h"
#include "stage/stage.h"
#include "validate.h"

enum { MILL_PARTS = 2, MILL_WINDOW = 1000 };

#define MILL_RAW   "t.pin"
#define MILL_VALID "t.pin.valid"
#define MILL_DEAD  "t.pin.dead"
#define MILL_GROUP "test.validator"

struct mill {
    struct mr_bus *bus;
    struct mr_contracts *contracts;
    struct mr_metric *table;
    struct mr_metrics *metrics;
    struct validator validator;
    struct mr_stage *stage; /* NULL while stopped */
    struct mr_writer *poster;
    /* Of the next start; mill_open fills them. */
    const char *pipeline, *instance;
    size_t batch_max;
    int64_t batch_wait_ms, memory_max;
};

int mill_open(void **state);
int mill_close(void **state);
void mill_topics(struct mill *mill, int64_t record_max); /* all three; 0: no limit set */
void mill_start(struct mill *mill);
void mill_stop(struct mill *mill);  /* drained */
void mill_crash(struct mill *mill); /* gone without a word */
/* Steps until count records in all are judged, or fails the test after some seconds. */
void mill_run(struct mill *mill, int64_t count);
/* One step; its result, errors included. */
int mill_step(struct mill *mill, struct mr_err *err);

/* id: an Idempotency-Key's hash, or NULL for a record of a native producer. */
void mill_post(struct mill *mill, int32_t partition, const char *id, const char *value);
void mill_post_raw(struct mill *mill, struct mr_slice value, struct mr_slice header);
void mill_post_with(struct mill *mill, const Millrace__V1__Provenance *provenance,
                    const char *value);
char *mill_pin(int index); /* JSON of a pin; the caller frees */

struct mr_counts mill_counts(struct mill *mill);            /* committed, all partitions */
int64_t mill_records(struct mill *mill, const char *topic); /* visible to read committed */
/* Calls each for every record that read-committed readers see; how many there are. slot: of the
 * partition of that number. */
int64_t mill_each(struct mill *mill, const char *topic,
                  void (*each)(const struct mr_record *, void *), void *self);
/* The codes of all dead letters, joined by blanks; the caller frees. */
char *mill_dead(struct mill *mill);
/* The last dead letter; the caller frees. */
Millrace__V1__DeadLetter *mill_letter(struct mill *mill);
/* How many of topic's events come from each origin: fails the test if one comes twice. */
void mill_assert_origins_once(struct mill *mill);

#endif
