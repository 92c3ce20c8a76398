/*
 * The handler of the cleaner: Events of T.valid are collected per kind, cleaned in one batch, and
 * become Events on T.clean, same key and partition, or dead letters that hold the checked record as
 * JSON for a person to read.
 *
 * The handler of a stage (lib/stage). Threads: the stage's.
 */
#ifndef MR_CLEANER_CLEAN_H
#define MR_CLEANER_CLEAN_H

#include "clean/clean.h"
#include "metrics/metrics.h"
#include "stage/stage.h"

struct group;

struct cleaner {
    struct mr_stage *stage; /* set after mr_stage_open */
    struct mr_clean *clean; /* borrowed; replaced on reload */
    struct mr_metrics *metrics;
    struct group *groups; /* one a kind, made when a partition of it comes */
    struct mr_buf record, json;
};

extern const struct mr_stage_handler cleaner_handler;
extern const struct mr_metric cleaner_metrics[];
extern const size_t cleaner_metrics_count;

void cleaner_init(struct cleaner *cleaner, struct mr_clean *clean, struct mr_metrics *metrics);
void cleaner_fini(struct cleaner *cleaner);
/* After a reload: records from the next one on are cleaned by these. INVALID: a kind whose
 * partitions are open is missing; then nothing has changed. */
int cleaner_reload(struct cleaner *cleaner, struct mr_clean *clean, struct mr_err *err);
/* A kind of which events wait that a newer contract wrote (LAW 22), and the version that they
 * need; NULL: none. */
const char *cleaner_waits_for(const struct cleaner *cleaner, uint32_t *ret_version);

#endif
