/* An archiver on the memory bus and a folder, and what its tests put in and read back. */
#ifndef MR_ARCHIVER_FIXTURE_H
#define MR_ARCHIVER_FIXTURE_H

#include "archive.h"
#include "bus/bus.h"
#include "contract/contract.h"
#include "metrics/metrics.h"
#include "store/store.h"

enum { FIXTURE_WAIT_MS = 20000 };

struct bench {
    char dir[64], url[80], work[80];
    struct mr_bus *bus;
    struct mr_writer *writer;
    struct mr_contracts *contracts;
    struct mr_metrics *metrics;
    struct mr_store *store; /* of the test itself */
    struct archive_rotation raw, table;
    int64_t held_bytes_max;
    const char *kinds;
    const char *pipeline; /* of the next archive */
    const char *trace;    /* of the events and letters that are put from now on; NULL: none */
};

int bench_open(void **state);
int bench_close(void **state);

/* group NULL: the usual one. Archivers of different groups read the same partitions, as one whose
 * assignment was taken away without its knowledge does. */
struct archive *bench_archive(struct bench *b, const char *group);
/* The same over another way to the bus; NULL: it did not start. */
struct archive *bench_archive_on(struct bench *b, struct mr_bus *bus, const char *group,
                                 struct mr_err *err);
/* The error that a start ends with. */
void bench_archive_fails(struct bench *b, struct mr_err *ret);
void bench_crash(struct archive *archive); /* closes without a drain */
void bench_step(struct archive *archive);
/* Steps until it has partitions and nothing more comes. */
void bench_read(struct archive *archive);
void bench_flush(struct archive *archive);
void bench_settle(struct archive *archive); /* both */

void bench_put(struct bench *b, const char *topic, int32_t partition, struct mr_slice value);
void bench_put_text(struct bench *b, const char *topic, int32_t partition, const char *value);
/* An event on a clean topic: a row of its kind's output. */
void bench_event(struct bench *b, const char *topic, int32_t partition,
                 const struct mr_columns *rows, size_t row, unsigned version);
/* One of kind pin: key and one column. */
void bench_pin(struct bench *b, const char *topic, int32_t partition, int64_t ind,
               const char *title);
void bench_pin_version(struct bench *b, const char *topic, int32_t partition, int64_t ind,
                       unsigned version);
void bench_letter(struct bench *b, const char *topic, int32_t partition, const char *kind,
                  const char *reason);
/* The mark that this letter was replayed and stands at offset now. */
void bench_mark(struct bench *b, const char *topic, int32_t partition, const char *kind,
                int64_t offset);

/* A new topic with that many partitions. */
void bench_topic(struct bench *b, const char *topic, int partitions);

/* "offset=line" of every record in the raw objects of a partition, in the order of offsets, parted
 * by blanks; checks names, metadata and that the chain has no hole. The caller frees it. */
char *bench_raw(struct bench *b, const char *topic, int32_t partition);
/* The answer to SQL over the rows of a table (relation t), values parted by blanks. */
char *bench_rows(struct bench *b, const char *table, const char *sql);
int64_t bench_metric(struct bench *b, const char *name, const char *const *labels);
/* Good and repeated of all partitions of a table, and whether [from, next) of its commits form
 * chains. */
void bench_chain(struct bench *b, const char *table, int64_t *ret_good, int64_t *ret_repeated);

/* The next count creates of a key that contains text fail as if the store were away. */
void bench_store_away(const char *text, unsigned count);
/* Runs do_this once, on the calling thread, in front of the next create of such a key. */
void bench_before_create(const char *text, void (*do_this)(void *self), void *self);

#define BENCH_OK(call)                                                                             \
    do {                                                                                           \
        struct mr_err oops = { 0 };                                                                \
        if ((call) < 0)                                                                            \
            fail_msg("%s: %s: %s", #call, mr_code_name(oops.code), oops.text);                     \
    } while (0)

#endif
