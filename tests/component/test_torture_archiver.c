/*
 * Torture of the archiver: every call on the bus and in the store (for tables those that move a
 * position or touch the store: a run costs a tenth of a second) fails once, in every way that it
 * may, while raw objects and table commits are made, partitions move, another archiver commits in
 * between and the process starts again. An archiver never has a reason to end; afterwards objects
 * and commits cover each offset once, and the table holds what it should.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "archiver_fixture.h"
#include "bus/memory.h"
#include "clock/clock.h"
#include "faulty_bus.h"
#include "private.h"
#include "sql/sql.h"
#include "strike.h"
#include "test.h"

enum { STEPS_MAX = 4000, STEP_MS = 20, WAIT_MS = 1, ENGINES_MAX = 4 };

#define GROUP "millrace.archiver"
#define RAW   "t.pin"
#define CLEAN "t.pin.clean"
#define DEAD  "t.pin.dead"

struct rack {
    struct bench *b;
    struct mr_bus *outer;
    struct archive *archive; /* NULL while stopped */
};

/* ---- what hundreds of runs need not pay for ---- */

/* Engines keep no tables: one that was closed serves the next archiver. */
static struct mr_sql *engines[ENGINES_MAX];
static size_t engines_count;

int __real_mr_sql_open(const struct mr_sql_options *options, struct mr_sql **ret,
                       struct mr_err *err);
int __wrap_mr_sql_open(const struct mr_sql_options *options, struct mr_sql **ret,
                       struct mr_err *err);
void __real_mr_sql_close(struct mr_sql *sql);
void __wrap_mr_sql_close(struct mr_sql *sql);
int __wrap_fsync(int fd);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

int
__wrap_mr_sql_open(const struct mr_sql_options *options, struct mr_sql **ret, struct mr_err *err)
{
    static const char *const any_run[] = { "/tmp", NULL };
    struct mr_sql_options shared = *options;
    shared.dirs = any_run;
    if (engines_count == 0)
        return __real_mr_sql_open(&shared, ret, err);
    *ret = engines[--engines_count];
    return 0;
}

void
__wrap_mr_sql_close(struct mr_sql *sql)
{
    if (sql != NULL && engines_count < MR_COUNT(engines))
        engines[engines_count++] = sql;
    else
        __real_mr_sql_close(sql);
}

static int
close_engines(void **state)
{
    (void)state;
    while (engines_count > 0)
        __real_mr_sql_close(engines[--engines_count]);
    return 0;
}

/* No power fails here. */
int
__wrap_fsync(int fd)
{
    return fd >= 0 ? 0 : -1;
}

/* Between two tries of the store. */
int
__wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)time;
    (void)left;
    return 0;
}

/* ---- the process and its supervisor ---- */

static void
step(struct rack *rack)
{
    struct mr_err err = { 0 };
    mr_clock_crank(STEP_MS);
    if (rack->archive == NULL) {
        rack->archive = bench_archive_on(rack->b, rack->outer, NULL, &err);
        return;
    }
    if (archive_step(rack->archive, WAIT_MS, &err) < 0 && err.remedy != MR_RETRY)
        fail_msg("ended: %s", err.text);
}

static int64_t
taken(const struct rack *rack)
{
    int64_t sum = 0;
    if (rack->archive == NULL || rack->archive->phase != PHASE_FLOWING)
        return -1;
    for (size_t i = 0; i < rack->archive->parts_count; i++)
        sum += rack->archive->parts[i].next;
    return sum;
}

/* Until the positions of all partitions together have come to next. */
static void
read_until(struct rack *rack, int64_t next)
{
    int steps = 0;
    for (; taken(rack) < next && steps < STEPS_MAX; steps++)
        step(rack);
    if (steps == STEPS_MAX)
        fail_msg("%lld of %lld were read: %s", (long long)taken(rack), (long long)next,
                 rack->archive->trouble);
}

static bool
is_durable(const struct rack *rack, int64_t next)
{
    return taken(rack) >= next && archive_flush(rack->archive);
}

static void
store_until(struct rack *rack, int64_t next)
{
    int steps = 0;
    for (; !is_durable(rack, next) && steps < STEPS_MAX; steps++)
        step(rack);
    if (steps == STEPS_MAX)
        fail_msg("not everything is durable: %s", rack->archive->trouble);
}

static void
stop(struct rack *rack)
{
    archive_close(MR_TAKE(rack->archive));
}

static void
open_rack(struct rack *rack)
{
    void *state;
    (void)bench_open(&state);
    rack->b = state;
    rack->b->raw.records = 4;
    rack->outer = faulty_bus(rack->b->bus);
    mr_clock_hold(1000000, 1700000000000000);
}

static void
close_rack(struct rack *rack)
{
    void *state = rack->b;
    mr_clock_release();
    mr_bus_close(rack->outer);
    (void)bench_close(&state);
}

/* ---- raw objects ---- */

/* Aborted ones leave a gap behind. */
static void
put_aborted(struct bench *b, int32_t partition)
{
    const struct mr_writer_options options = { .transactional_id = "poster",
                                               .queue_bytes_max = 1 << 20 };
    struct mr_writer *idempotent = b->writer;
    BENCH_OK(mr_writer_open(b->bus, &options, &b->writer, &oops));
    BENCH_OK(mr_writer_begin(b->writer, &oops));
    bench_put_text(b, RAW, partition, "aborted");
    BENCH_OK(mr_writer_abort(b->writer, 1000, &oops));
    mr_writer_close(b->writer);
    b->writer = idempotent;
}

static void
put_lines(struct bench *b, int from, int to)
{
    for (int i = from; i < to; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "%d", i);
        bench_put_text(b, RAW, i % 2, text);
    }
}

static void
raw_scenario(void *self)
{
    struct rack *rack = self;
    open_rack(rack);
    struct bench *b = rack->b;
    bench_topic(b, RAW, 2);
    put_lines(b, 0, 6);
    put_aborted(b, 0);
    put_lines(b, 6, 12);
    strike_arm();
    read_until(rack, 14);
    put_lines(b, 12, 16);
    mr_bus_memory_rebalance(b->bus, GROUP, false);
    store_until(rack, 18);
    stop(rack);
    put_lines(b, 16, 20);
    mr_bus_memory_rebalance(b->bus, GROUP, true);
    store_until(rack, 22);
    stop(rack);
    strike_rest();
    MR_CLEANUP(mr_freep) char *zero = bench_raw(b, RAW, 0);
    assert_string_equal(zero, "0=0 1=2 2=4 5=6 6=8 7=10 8=12 9=14 10=16 11=18");
    MR_CLEANUP(mr_freep) char *one = bench_raw(b, RAW, 1);
    assert_string_equal(one, "0=1 1=3 2=5 3=7 4=9 5=11 6=13 7=15 8=17 9=19");
    close_rack(rack);
}

static void
raw_objects_hold_each_offset_once_whatever_call_fails(void **state)
{
    struct rack rack = { 0 };
    (void)state;
    strike_every("raw objects", raw_scenario, &rack, 0, NULL);
}

/* ---- tables ---- */

/* Every third is a repeat of the one before the last. */
static void
put_pins(struct bench *b, int from, int to)
{
    for (int i = from; i < to; i++)
        bench_pin(b, CLEAN, i % 2, i % 3 == 2 ? i - 2 : i, "x");
}

/* Another archiver of the same partitions, that of a zombie: nothing of it fails. */
static void
commit_elsewhere(struct rack *rack, bool everything)
{
    strike_rest();
    struct archive *zombie = bench_archive(rack->b, "zombies");
    bench_read(zombie);
    if (everything)
        bench_flush(zombie);
    archive_close(zombie);
    strike_arm();
}

static void
table_scenario(void *self)
{
    struct rack *rack = self;
    open_rack(rack);
    struct bench *b = rack->b;
    bench_topic(b, CLEAN, 2);
    bench_topic(b, DEAD, 1);
    put_pins(b, 0, 6);
    bench_letter(b, DEAD, 0, "pin", "one");
    strike_arm();
    store_until(rack, 7);
    put_pins(b, 6, 10);
    read_until(rack, 11);
    commit_elsewhere(rack, true);
    put_pins(b, 10, 12);
    bench_letter(b, DEAD, 0, "pin", "two");
    store_until(rack, 14);
    stop(rack);
    put_pins(b, 12, 16);
    mr_bus_memory_rebalance(b->bus, GROUP, true);
    store_until(rack, 18);
    stop(rack);
    strike_rest();
    int64_t good, repeated;
    bench_chain(b, "t_pin_table", &good, &repeated);
    assert_int_equal(good + repeated, 16);
    MR_CLEANUP(mr_freep)
    char *rows = bench_rows(b, "t_pin_table", "SELECT count(*), count(DISTINCT ind) FROM t");
    MR_CLEANUP(mr_freep) char *each = mr_printf("%lld %lld", (long long)good, (long long)good);
    assert_string_equal(rows, each);
    assert_int_equal(good, 11);
    bench_chain(b, "t_dead_table", &good, &repeated);
    assert_int_equal(good, 2);
    assert_int_equal(repeated, 0);
    close_rack(rack);
}

static void
tables_hold_each_event_once_whatever_call_fails(void **state)
{
    struct rack rack = { 0 };
    (void)state;
    strike_every("tables", table_scenario, &rack, 0,
                 " assign release seek put get head list remove");
}

/* The pause then fails as long as the rebalance is not answered. */
static void
rebalance_is_heard_while_a_partition_is_to_be_paused(void **state)
{
    struct bench *b = *state;
    bench_topic(b, CLEAN, 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_put_text(b, CLEAN, 0, "{}");
    while (archive->parts_count == 0 || archive->parts[0].trouble[0] == '\0')
        bench_step(archive);
    uint64_t generation = archive->generation;
    mr_bus_memory_rebalance(b->bus, "millrace.archiver", false);
    bench_step(archive);
    assert_true(archive->generation > generation);
    archive_close(archive);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(raw_objects_hold_each_offset_once_whatever_call_fails,
                                  strike_tell),
        cmocka_unit_test_teardown(tables_hold_each_event_once_whatever_call_fails, strike_tell),
        cmocka_unit_test_setup_teardown(rebalance_is_heard_while_a_partition_is_to_be_paused,
                                        bench_open, bench_close),
    };
    return cmocka_run_group_tests(tests, NULL, close_engines);
}
