/*
 * What keeping the first row of each key costs the archiver, in a table that grows: commits of pins
 * one after the other, as its worker thread makes them, on a local folder. Every hundredth row has
 * a key of before.
 *
 *   bench_first KINDS_DIR [ROWS] [growing|random] [ROWS_OF_A_COMMIT]
 *
 * Prints, each time the table has grown by a tenth: time and bytes read of one commit (the median
 * of those since) and of a commit of 1,000 rows, and the most memory that the process had.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "clock/clock.h"
#include "contract/contract.h"
#include "delta.h"

enum { SAMPLES_MAX = 100000, STEPS = 10, SMALL_ROWS = 1000, REPEAT_EVERY = 100 };

static const char topic[] = "t.pin.clean", table[] = "t_pin_table";

static struct {
    const struct mr_kind *kind;
    struct keeper *keeper;
    int64_t next;
    bool random;
} bench;

struct cost {
    double cpu_s, wall_s, read_mb;
};

static void
need(int code, const struct mr_err *err)
{
    if (code < 0) {
        (void)fprintf(stderr, "bench_first: %s\n", err->text);
        exit(1);
    }
}

static double
cpu_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A figure of /proc/self/NAME; in kB where the file says so. */
static int64_t
figure(const char *file, const char *name)
{
    char line[256];
    int64_t value = -1;
    FILE *lines = fopen(file, "re");
    MR_ASSERT(lines != NULL);
    while (value < 0 && fgets(line, sizeof(line), lines) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoll(line + strlen(name) + 1, NULL, 10);
    (void)fclose(lines);
    return value;
}

static int64_t
key_of(int64_t number)
{
    return bench.random ? (int64_t)(mr_hash64(&number, sizeof(number), 7) >> 2) : number;
}

static void
put_row(struct mr_columns *to, int64_t number)
{
    int64_t back = number / 2;
    bool is_repeat = number % REPEAT_EVERY == REPEAT_EVERY - 1;
    for (size_t c = 0; c < to->count; c++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "column %zu of event %lld", c, (long long)number);
        if ((int)c == bench.kind->key_out)
            mr_columns_int(to, c, key_of(is_repeat ? back : number));
        else if (to->columns[c].field.type == MR_TYPE_STRING)
            mr_columns_text(to, c, mr_slice_text(text));
        else
            mr_columns_int(to, c, number % 100000);
    }
    mr_columns_end_row(to);
}

/* One commit, as flow.c hands it to the worker thread. */
static struct cost
commit(int64_t rows)
{
    struct mr_err err = { 0 };
    struct delta_batch *batch = delta_batch_new(table, bench.kind);
    batch->work.keeper = bench.keeper;
    batch->owner = mr_alloc((size_t)rows * sizeof(*batch->owner));
    batch->ranges = mr_alloc(sizeof(*batch->ranges));
    batch->ranges_count = 1;
    batch->ranges[0] =
        (struct delta_range){ .from = bench.next, .next = bench.next + rows, .rows = rows };
    (void)snprintf(batch->ranges[0].part.topic, sizeof(batch->ranges[0].part.topic), "%s", topic);
    for (int64_t row = 0; row < rows; row++)
        put_row(batch->rows, bench.next + row);
    int64_t began_us = mr_now_us(), before = figure("/proc/self/io", "rchar:");
    double began_s = cpu_s();
    need(batch->work.job.run(&batch->work.job, &err), &err);
    const struct cost cost = { cpu_s() - began_s, (double)(mr_now_us() - began_us) / 1e6,
                               (double)(figure("/proc/self/io", "rchar:") - before) / 1e6 };
    bench.next += rows;
    delta_batch_free(batch);
    return cost;
}

static int
compare(const void *a, const void *b)
{
    double x = ((const struct cost *)a)->cpu_s, y = ((const struct cost *)b)->cpu_s;
    return (x > y) - (x < y);
}

static void
grow(int64_t rows, int64_t of_a_commit)
{
    static struct cost costs[SAMPLES_MAX];
    printf("%10s %7s | a commit: %5s %7s %8s | of 1,000: %5s %7s %8s | %6s\n", "rows", "files",
           "CPU s", "wall s", "MB read", "CPU s", "wall s", "MB read", "RSS MB");
    for (int step = 0; step < STEPS; step++) {
        size_t count = 0, files;
        while (bench.next < rows / STEPS * (step + 1) && count < SAMPLES_MAX)
            costs[count++] = commit(of_a_commit);
        qsort(costs, count, sizeof(*costs), compare);
        const struct cost middle = costs[count / 2], small = commit(SMALL_ROWS);
        (void)mr_table_files(bench.keeper->tables[0].table, &files);
        printf("%10lld %7zu | %15.3f %7.3f %8.1f | %15.3f %7.3f %8.1f | %6lld\n",
               (long long)bench.next, files, middle.cpu_s, middle.wall_s, middle.read_mb,
               small.cpu_s, small.wall_s, small.read_mb,
               (long long)(figure("/proc/self/status", "VmHWM:") / 1024));
        (void)fflush(stdout);
    }
}

int
main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "bench_first KINDS_DIR [ROWS] [growing|random] [ROWS_OF_A_COMMIT]\n");
        return 2;
    }
    struct mr_err err = { 0 };
    struct mr_contracts *contracts;
    struct keeper_options options = { .pipeline = "bench", .cluster = "bench" };
    char dir[] = "/var/tmp/millrace-bench-XXXXXX";
    if (mkdtemp(dir) == NULL) {
        perror(dir);
        return 1;
    }
    MR_CLEANUP(mr_freep) char *url = mr_printf("file:%s/store", dir);
    MR_CLEANUP(mr_freep) char *work = mr_printf("%s/work", dir);
    const char *const dirs[] = { work, NULL };
    /* As the archiver has it by default. */
    const struct mr_sql_options engine = { .memory_max = 60 << 20, .dirs = dirs };
    options.work_dir = work;
    need(mr_contracts_open(argv[1], &contracts, &err), &err);
    need(mr_store_open(url, NULL, &options.store, &err), &err);
    need(mr_sql_open(&engine, &options.sql, &err), &err);
    need(keeper_open(&options, &bench.keeper, &err), &err);
    bench.kind = mr_contracts_find(contracts, "pin");
    bench.random = argc > 3 && strcmp(argv[3], "random") == 0;
    grow(argc > 2 ? strtoll(argv[2], NULL, 10) : 1000000,
         argc > 4 ? strtoll(argv[4], NULL, 10) : 100000);
    keeper_close(bench.keeper);
    mr_contracts_close(contracts);
    MR_CLEANUP(mr_freep) char *clean = mr_printf("rm -r %s", dir);
    return system(clean) == 0 ? 0 : 1;
}
