/*
 * fetch: bounded reads of one partition from an offset on, off the door's thread. The readers of
 * the partitions that were read last stay open where they are, so that whoever reads on needs no
 * new assignment. What is there is given at once; at the end of the partition that is nothing.
 *
 *   struct mine { struct fetch fetch; ... };     fetch first
 *   mine->fetch = (struct fetch){ .errand.finish = done, .partition = 3, .offset = 17, .. };
 *   fetch_submit(fetches, &mine->fetch, &err);
 *
 * done finds errand.job.result, and the records until it frees them with fetch_fini. As with every
 * errand it is called once, on the door's thread, also when the door closes.
 */
#ifndef MR_FETCH_H
#define MR_FETCH_H

#include "base/base.h"
#include "bus/bus.h"
#include "gateway/errand.h"

enum {
    FETCH_THREADS = 2,
    FETCH_READERS_MAX = 4, /* kept open by each thread */
    FETCH_COUNT_MAX = 10000,
    FETCH_BYTES_MAX = 2 << 20, /* one record alone may have more */
    FETCH_MS_MAX = 3000,       /* for each of the question and the reading */
};

struct fetched {
    int64_t offset, time_ms;
    struct mr_slice key, value; /* as in struct mr_record */
};

struct fetch {
    struct errand errand;
    struct lane *lane; /* fetch_submit's */
    char topic[MR_BUS_TOPIC_MAX + 1];
    int32_t partition;
    int64_t offset; /* below the start of the log: from there */
    size_t count_max;

    struct mr_arena arena; /* of the records */
    struct fetched *records;
    size_t count, bytes;
    int64_t next, end; /* where to read on, and where the partition ended */
};

struct fetches;
struct fetches *fetches_open(struct mr_bus *bus);
/* Waits for what runs. */
void fetches_close(struct fetches *fetches);
/* To be watched and served as errands; i below FETCH_THREADS. */
struct errands *fetches_errands(struct fetches *fetches, size_t i);
int fetch_submit(struct fetches *fetches, struct fetch *fetch, struct mr_err *err);
void fetch_fini(struct fetch *fetch);

#endif
