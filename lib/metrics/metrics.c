/*
 * Each metric has a list of cells, one for each set of label values, found by a linear walk: cells
 * are looked up once per partition or code, not per event. Cells never move and never go away; a
 * hidden one is only left out of the text until it is looked up again.
 */
#include "metrics/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { BOUNDS = 15 };

static const int64_t bounds_us[BOUNDS] = { 1000,    2500,    5000,     10000,    25000,
                                           50000,   100000,  250000,   500000,   1000000,
                                           2500000, 5000000, 10000000, 25000000, 60000000 };
static const int64_t bounds_bytes[BOUNDS] = { 16,      64,      256,     1024,    4096,
                                              16384,   65536,   262144,  1 << 20, 1 << 22,
                                              1 << 24, 1 << 26, 1 << 28, 1 << 30, 1LL << 32 };

struct mr_histogram {
    const int64_t *bounds;
    _Atomic int64_t counts[BOUNDS + 1]; /* the last: beyond all bounds */
    _Atomic int64_t sum;
};

struct node {
    struct mr_cell cell; /* first: a cell's address is its node's */
    atomic_bool is_hidden;
    char *labels; /* {a="b",c="d"} or "" */
    struct node *next;
};

struct family {
    const struct mr_metric *metric;
    struct node *first, *last;
    size_t count;
};

struct mr_metrics {
    pthread_mutex_t lock; /* of the lists, not of the values */
    struct family *families;
    size_t count;
};

struct mr_metrics *
mr_metrics_open(const struct mr_metric *table, size_t count)
{
    struct mr_metrics *metrics = mr_alloc(sizeof(*metrics));
    pthread_mutex_init(&metrics->lock, NULL);
    metrics->families = mr_alloc((count + 1) * sizeof(*metrics->families));
    metrics->count = count;
    for (size_t i = 0; i < count; i++)
        metrics->families[i].metric = &table[i];
    return metrics;
}

void
mr_metrics_close(struct mr_metrics *metrics)
{
    if (metrics == NULL)
        return;
    for (size_t i = 0; i < metrics->count; i++) {
        for (struct node *node = metrics->families[i].first; node != NULL;) {
            struct node *next = node->next;
            free(node->cell.histogram);
            free(node->labels);
            free(node);
            node = next;
        }
    }
    free(metrics->families);
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

static bool
is_in_seconds(const char *name)
{
    const char *at = strstr(name, "_seconds");
    return at != NULL && (strcmp(at, "_seconds") == 0 || strcmp(at, "_seconds_total") == 0);
}

/* ---- look-up ---- */

static struct family *
family_of(struct mr_metrics *metrics, const char *name)
{
    for (size_t i = 0; i < metrics->count; i++)
        if (strcmp(metrics->families[i].metric->name, name) == 0)
            return &metrics->families[i];
    return NULL;
}

static void
put_label_value(struct mr_buf *text, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"')
            mr_buf_printf(text, "\\%c", *value);
        else if (*value == '\n')
            mr_buf_text(text, "\\n");
        else
            mr_buf_put(text, value, 1);
    }
}

/* {stage="validator",tenant="a"}; other: every value is "other". */
static char *
format_labels(const char *names, const char *const *values, bool other)
{
    struct mr_buf text;
    mr_buf_init(&text, 8192);
    for (size_t i = 0; *names != '\0'; i++) {
        size_t length = strcspn(names, ",");
        mr_buf_printf(&text, "%s%.*s=\"", i == 0 ? "{" : ",", (int)length, names);
        put_label_value(&text, other ? "other" : values[i]);
        mr_buf_text(&text, "\"");
        names += length + (names[length] == ',');
    }
    mr_buf_text(&text, text.size > 0 ? "}" : "");
    MR_ASSERT(!text.failed);
    return text.data;
}

static struct node *
add_node(struct family *family, char *labels)
{
    struct node *node = mr_alloc(sizeof(*node));
    node->labels = labels;
    if (family->metric->type == MR_HISTOGRAM) {
        node->cell.histogram = mr_alloc(sizeof(*node->cell.histogram));
        node->cell.histogram->bounds =
            is_in_seconds(family->metric->name) ? bounds_us : bounds_bytes;
    }
    if (family->last != NULL)
        family->last->next = node;
    else
        family->first = node;
    family->last = node;
    family->count++;
    return node;
}

static struct node *
find_node(const struct family *family, const char *labels)
{
    struct node *node = family->first;
    while (node != NULL && strcmp(node->labels, labels) != 0)
        node = node->next;
    return node;
}

static struct node *
find_or_add(struct family *family, const char *const *values)
{
    char *labels = format_labels(family->metric->labels, values, false);
    struct node *node = find_node(family, labels);
    if (node == NULL && family->count >= MR_METRIC_CELLS_MAX - 1) {
        free(labels);
        labels = format_labels(family->metric->labels, values, true);
        node = find_node(family, labels);
    }
    if (node == NULL)
        return add_node(family, labels);
    free(labels);
    return node;
}

struct mr_cell *
mr_metrics_cell(struct mr_metrics *metrics, const char *name, const char *const *label_values)
{
    pthread_mutex_lock(&metrics->lock);
    struct family *family = family_of(metrics, name);
    MR_ASSERT(family != NULL);
    struct node *node = find_or_add(family, label_values);
    atomic_store(&node->is_hidden, false);
    pthread_mutex_unlock(&metrics->lock);
    return &node->cell;
}

void
mr_metrics_hide(struct mr_cell *cell)
{
    atomic_store(&((struct node *)cell)->is_hidden, true);
}

static void
observe(struct mr_histogram *histogram, int64_t value)
{
    size_t bucket = 0;
    while (bucket < BOUNDS && value > histogram->bounds[bucket])
        bucket++;
    atomic_fetch_add_explicit(&histogram->counts[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum, value, memory_order_relaxed);
}

void
mr_observe_us(struct mr_cell *cell, int64_t us)
{
    MR_ASSERT(cell->histogram->bounds == bounds_us);
    observe(cell->histogram, us);
}

void
mr_observe_bytes(struct mr_cell *cell, int64_t bytes)
{
    MR_ASSERT(cell->histogram->bounds == bounds_bytes);
    observe(cell->histogram, bytes);
}

/* ---- text ---- */

static void
put_seconds(struct mr_buf *text, int64_t us)
{
    mr_buf_printf(text, "%s%" PRId64 ".%06" PRId64, us < 0 ? "-" : "",
                  (us < 0 ? -us : us) / 1000000, (us < 0 ? -us : us) % 1000000);
}

static void
put_bucket(struct mr_buf *text, const char *name, const char *labels, const char *bound,
           int64_t count)
{
    int inner = labels[0] != '\0' ? (int)strlen(labels) - 2 : 0;
    mr_buf_printf(text, "%s_bucket{%.*s%sle=\"%s\"} %" PRId64 "\n", name, inner,
                  inner > 0 ? labels + 1 : "", inner > 0 ? "," : "", bound, count);
}

static void
put_value(struct mr_buf *text, const char *name, int64_t value)
{
    if (is_in_seconds(name))
        put_seconds(text, value);
    else
        mr_buf_printf(text, "%" PRId64, value);
}

static void
put_histogram(struct mr_buf *text, const char *name, const struct node *node)
{
    struct mr_histogram *histogram = node->cell.histogram;
    int64_t count = 0;
    char bound[32];
    for (size_t i = 0; i < BOUNDS; i++) {
        int64_t value = histogram->bounds[i];
        count += atomic_load(&histogram->counts[i]);
        if (is_in_seconds(name))
            (void)snprintf(bound, sizeof(bound), "%g", (double)value / 1e6);
        else
            (void)snprintf(bound, sizeof(bound), "%" PRId64, value);
        put_bucket(text, name, node->labels, bound, count);
    }
    count += atomic_load(&histogram->counts[BOUNDS]);
    put_bucket(text, name, node->labels, "+Inf", count);
    mr_buf_printf(text, "%s_sum%s ", name, node->labels);
    put_value(text, name, atomic_load(&histogram->sum));
    mr_buf_printf(text, "\n%s_count%s %" PRId64 "\n", name, node->labels, count);
}

static void
put_node(struct mr_buf *text, const struct mr_metric *metric, const struct node *node)
{
    if (metric->type == MR_HISTOGRAM) {
        put_histogram(text, metric->name, node);
        return;
    }
    int64_t value = atomic_load_explicit(&node->cell.value, memory_order_relaxed);
    mr_buf_printf(text, "%s%s ", metric->name, node->labels);
    put_value(text, metric->name, value);
    mr_buf_text(text, "\n");
}

static const char *
type_name(enum mr_metric_type type)
{
    static const char *const names[] = { "counter", "gauge", "histogram" };
    return names[type];
}

void
mr_metrics_write(struct mr_metrics *metrics, struct mr_buf *ret_text)
{
    pthread_mutex_lock(&metrics->lock);
    for (size_t i = 0; i < metrics->count; i++) {
        const struct family *family = &metrics->families[i];
        const struct mr_metric *metric = family->metric;
        mr_buf_printf(ret_text, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help,
                      metric->name, type_name(metric->type));
        for (struct node *node = family->first; node != NULL; node = node->next)
            if (!atomic_load(&node->is_hidden))
                put_node(ret_text, metric, node);
    }
    pthread_mutex_unlock(&metrics->lock);
}

void
mr_metrics_reference(const struct mr_metric *table, size_t count, struct mr_buf *ret_text)
{
    mr_buf_text(ret_text, "| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < count; i++)
        mr_buf_printf(ret_text, "| `%s` | %s | %s | %s |\n", table[i].name,
                      type_name(table[i].type), table[i].labels, table[i].help);
}
