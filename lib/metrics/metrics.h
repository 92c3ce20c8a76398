/*
 * metrics: counters and gauges of one process, declared in one table, written as Prometheus text
 * (exposition format 0.0.4).
 *
 * A cell is the value of one metric for one set of label values. Look it up once, keep the pointer,
 * add to it: cells live as long as the registry. The number of cells per metric is bounded
 * (MR_METRIC_CELLS_MAX); beyond it the last cell, whose label values are all "other", serves.
 * Threads: cells are atomic and may be touched from any thread; look-up takes a lock.
 */
#ifndef MR_METRICS_H
#define MR_METRICS_H

#include <stdatomic.h>

#include "base/base.h"

enum { MR_METRIC_CELLS_MAX = 4096, MR_METRIC_LABELS_MAX = 5 };

enum mr_metric_type { MR_COUNTER, MR_GAUGE, MR_HISTOGRAM };

struct mr_metric {
    const char *name; /* millrace_events_total: name_unit, _total for counters */
    enum mr_metric_type type;
    const char *labels; /* "stage,tenant,kind,outcome" or "" */
    const char *help;   /* one sentence */
};

/* Histograms have fixed bounds: those whose name ends in _seconds 0.001 0.0025 0.005 0.01 .. 25 60,
 * the others (bytes) 16 64 256 .. 4 GiB. */
struct mr_cell {
    _Atomic int64_t value; /* gauges in seconds hold microseconds, see mr_metrics_write */
    struct mr_histogram *histogram;
};

struct mr_metrics;

/* The table is borrowed for the life of the registry. A gauge or counter whose name ends in
 * _seconds or _seconds_total holds microseconds and is written as seconds. */
struct mr_metrics *mr_metrics_open(const struct mr_metric *table, size_t count);
void mr_metrics_close(struct mr_metrics *metrics);
/* label_values: as many as the metric has labels, in their order. */
struct mr_cell *mr_metrics_cell(struct mr_metrics *metrics, const char *name,
                                const char *const *label_values);
static inline void
mr_add(struct mr_cell *cell, int64_t n)
{
    atomic_fetch_add_explicit(&cell->value, n, memory_order_relaxed);
}
static inline void
mr_set(struct mr_cell *cell, int64_t n)
{
    atomic_store_explicit(&cell->value, n, memory_order_relaxed);
}
void mr_observe_us(struct mr_cell *histogram, int64_t us);
void mr_observe_bytes(struct mr_cell *histogram, int64_t bytes);
/* Forgets a gauge's cell from the next write on (a partition that went away). */
void mr_metrics_hide(struct mr_cell *cell);
void mr_metrics_write(struct mr_metrics *metrics, struct mr_buf *ret_text);
/* Markdown table of name, type, labels, help: for docs/reference/metrics.md. */
void mr_metrics_reference(const struct mr_metric *table, size_t count, struct mr_buf *ret_text);

#endif
