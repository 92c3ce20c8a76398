/*
 * validate: judges raw records by their kind's contract. A good one becomes an Event on T.valid,
 * keyed by the contract's key; a repeat is only counted; anything else is a dead letter.
 *
 * The handler of a stage (lib/stage). Threads: the stage's.
 */
#ifndef MR_VALIDATOR_VALIDATE_H
#define MR_VALIDATOR_VALIDATE_H

#include "contract/contract.h"
#include "metrics/metrics.h"
#include "stage/stage.h"

struct lane;

struct validator {
    struct mr_stage *stage;               /* set after mr_stage_open */
    const struct mr_contracts *contracts; /* borrowed; replaced on reload */
    struct mr_metrics *metrics;
    int64_t window;     /* W: offsets that an explicit event id is remembered for */
    struct lane *lanes; /* of the partitions that are open */
    struct mr_buf record, key;
    struct mr_verdict verdict;
};

extern const struct mr_stage_handler validator_handler;
extern const struct mr_metric validator_metrics[];
extern const size_t validator_metrics_count;

void validator_init(struct validator *validator, const struct mr_contracts *contracts,
                    int64_t window, struct mr_metrics *metrics);
void validator_fini(struct validator *validator);
/* JSON object: how far the window of repeats may reach, how far it does in each partition. */
void validator_status(const struct validator *validator, struct mr_buf *ret_json);
/* After a reload: partitions that are open judge by these from the next record on. */
int validator_reload(struct validator *validator, const struct mr_contracts *contracts,
                     struct mr_err *err);

#endif
