#include <stdio.h>
#include <stdlib.h>

#include "archiver_fixture.h"
#include "archiver_tests.h"
#include "bus/memory.h"
#include "clock/clock.h"
#include "private.h"
#include "test.h"

#define TABLE "t_pin_table"
#define CLEAN "t.pin.clean"

static void
check_rows(struct bench *b, const char *rows)
{
    MR_CLEANUP(mr_freep)
    char *found = bench_rows(b, TABLE, "SELECT ind, title FROM t ORDER BY ALL");
    assert_string_equal(found, rows);
}

static void
check_law(struct bench *b, const char *table, int64_t good, int64_t repeated)
{
    int64_t chain_good, chain_repeated;
    bench_chain(b, table, &chain_good, &chain_repeated);
    assert_int_equal(chain_good, good);
    assert_int_equal(chain_repeated, repeated);
}

static void
clean_events_become_rows_of_their_table(void **state)
{
    struct bench *b = *state;
    bench_topic(b, CLEAN, 2);
    struct archive *archive = bench_archive(b, NULL);
    bench_pin(b, CLEAN, 0, 1, "a");
    bench_pin(b, CLEAN, 1, 2, "b");
    bench_settle(archive);
    bench_pin(b, CLEAN, 0, 3, "c");
    bench_settle(archive);

    check_rows(b, "1 a 2 b 3 c");
    check_law(b, TABLE, 3, 0);
    static const char *const in[] = { "archiver", "t", "pin", "in" };
    assert_int_equal(bench_metric(b, "millrace_events_total", in), 3);
    archive_close(archive);
}

static void
first_of_equal_keys_stays_within_a_batch(void **state)
{
    struct bench *b = *state;
    bench_topic(b, CLEAN, 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_pin(b, CLEAN, 0, 1, "first");
    bench_pin(b, CLEAN, 0, 1, "first");
    bench_pin(b, CLEAN, 0, 1, "other");
    bench_pin(b, CLEAN, 0, 2, "x");
    bench_settle(archive);

    check_rows(b, "1 first 2 x");
    check_law(b, TABLE, 2, 2);
    static const char *const kind[] = { "t", "pin" };
    assert_int_equal(bench_metric(b, "millrace_repeated_differing_total", kind), 1);
    MR_CLEANUP(mr_buf_fini) struct mr_buf commit;
    mr_buf_init(&commit, 1 << 20);
    BENCH_OK(mr_store_get(b->store, "tables/" TABLE "/_delta_log/00000000000000000001.json",
                          &commit, NULL, &oops));
    assert_non_null(strstr(commit.data, "\"isBlindAppend\":false")); /* it read the table */
    archive_close(archive);
}

static void
first_of_equal_keys_stays_across_batches_and_restarts(void **state)
{
    struct bench *b = *state;
    bench_topic(b, CLEAN, 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_pin(b, CLEAN, 0, 1, "a");
    bench_pin(b, CLEAN, 0, 2, "b");
    bench_settle(archive);
    bench_pin(b, CLEAN, 0, 2, "b");
    bench_pin(b, CLEAN, 0, 3, "c");
    bench_settle(archive);
    archive_close(archive);
    MR_CLEANUP(mr_freep) char *command = mr_printf("rm -r %s", b->work);
    assert_int_equal(system(command), 0); /* the cache is only a cache */
    archive = bench_archive(b, NULL);
    bench_pin(b, CLEAN, 0, 1, "changed");
    bench_pin(b, CLEAN, 0, 3, "c");
    bench_settle(archive); /* nothing but repeats: a commit without rows */

    check_rows(b, "1 a 2 b 3 c");
    check_law(b, TABLE, 3, 3);
    static const char *const kind[] = { "t", "pin" };
    assert_int_equal(bench_metric(b, "millrace_repeated_differing_total", kind), 1);
    archive_close(archive);
}

/* Somebody else's archiver for another partition of the same table. */
struct rival {
    struct bench *b;
    struct archive *archive;
};

static void
rival_commits(void *self)
{
    struct rival *rival = self;
    bench_flush(rival->archive);
}

/* Two archivers, each with one of the topic's two partitions. */
static void
open_two(struct bench *b, struct archive **ret_one, struct archive **ret_two)
{
    struct archive *one = bench_archive(b, NULL), *two = bench_archive(b, NULL);
    int64_t deadline_ms = mr_now_ms() + FIXTURE_WAIT_MS;
    while (one->phase != PHASE_FLOWING || two->phase != PHASE_FLOWING ||
           one->parts_count + two->parts_count != 2) {
        bench_step(one);
        bench_step(two);
        assert_true(mr_now_ms() < deadline_ms);
    }
    *ret_one = one;
    *ret_two = two;
}

static void
first_of_equal_keys_stays_across_a_conflict(void **state)
{
    struct bench *b = *state;
    struct archive *one, *two;
    bench_topic(b, CLEAN, 2);
    open_two(b, &one, &two);
    bench_pin(b, CLEAN, 0, 1, "same");
    bench_pin(b, CLEAN, 0, 2, "zero");
    bench_pin(b, CLEAN, 1, 1, "same");
    bench_pin(b, CLEAN, 1, 3, "one");
    bench_read(one);
    bench_read(two);
    /* When the first one creates its commit, the second one's is there. */
    struct rival rival = { b, two };
    bench_before_create("_delta_log/00000000000000000001", rival_commits, &rival);
    bench_flush(one);

    check_rows(b, "1 same 2 zero 3 one");
    check_law(b, TABLE, 3, 1);
    static const char *const table[] = { TABLE };
    assert_int_equal(bench_metric(b, "millrace_archiver_conflicts_total", table), 1);
    archive_close(one);
    archive_close(two);
}

/* A key is looked for in every file, the oldest ones too, which are known from a checkpoint alone,
 * and in the batch itself. */
static void
first_of_equal_keys_stays_wherever_it_came_first(void **state)
{
    enum { FILES = MR_TABLE_CHECKPOINT_EVERY + 5 };
    struct bench *b = *state;
    bench_topic(b, CLEAN, 1);
    struct archive *archive = bench_archive(b, NULL);
    for (int i = 0; i < FILES; i++) {
        bench_pin(b, CLEAN, 0, 2 * (i * 29 % FILES), "old"); /* in no order: bounds overlap */
        bench_settle(archive);
    }
    archive_close(archive);
    MR_CLEANUP(mr_freep) char *command = mr_printf("rm -r %s", b->work);
    assert_int_equal(system(command), 0);
    archive = bench_archive(b, NULL);
    for (int i = 0; i < FILES; i++) {
        bench_pin(b, CLEAN, 0, 2 * i, "new");
        bench_pin(b, CLEAN, 0, 2 * i + 1, "first");
        bench_pin(b, CLEAN, 0, 2 * i + 1, "second");
    }
    bench_settle(archive);

    MR_CLEANUP(mr_freep)
    char *titles = bench_rows(b, TABLE,
                              "SELECT title, count(*), count(DISTINCT ind) FROM t "
                              "GROUP BY title ORDER BY title");
    assert_string_equal(titles, "first 55 55 old 55 55");
    check_law(b, TABLE, 2 * FILES, 2 * FILES);
    archive_close(archive);
}

static void
a_key_of_the_batch_that_a_rival_adds_meanwhile_is_the_rivals(void **state)
{
    struct bench *b = *state;
    struct archive *one, *two;
    bench_topic(b, CLEAN, 2);
    open_two(b, &one, &two);
    /* Which of them has which partition is the group's affair. */
    int32_t mine = one->parts[0].bus.partition, other = 1 - mine;
    bench_pin(b, CLEAN, mine, 1, "mine");
    bench_pin(b, CLEAN, mine, 2, "mine");
    bench_pin(b, CLEAN, mine, 1, "again");
    bench_pin(b, CLEAN, other, 1, "rival");
    bench_read(one);
    bench_read(two);
    struct rival rival = { b, two };
    bench_before_create("_delta_log/00000000000000000001", rival_commits, &rival);
    bench_flush(one);

    check_rows(b, "1 rival 2 mine");
    check_law(b, TABLE, 2, 2);
    archive_close(one);
    archive_close(two);
}

static void
batch_that_somebody_else_has_committed_is_dropped(void **state)
{
    struct bench *b = *state;
    bench_topic(b, CLEAN, 1);
    struct archive *zombie = bench_archive(b, "zombies"), *owner = bench_archive(b, NULL);
    bench_pin(b, CLEAN, 0, 1, "a");
    bench_pin(b, CLEAN, 0, 2, "b");
    bench_read(zombie);
    bench_settle(owner);
    bench_pin(b, CLEAN, 0, 3, "c");
    bench_settle(zombie);
    bench_settle(owner);
    bench_pin(b, CLEAN, 0, 4, "d");
    bench_settle(owner);
    bench_settle(zombie);

    check_rows(b, "1 a 2 b 3 c 4 d");
    check_law(b, TABLE, 4, 0);
    static const char *const table[] = { TABLE };
    assert_true(bench_metric(b, "millrace_archiver_stale_total", table) >= 2);
    archive_close(zombie);
    archive_close(owner);
}

static void
start_is_the_tables_txn_not_the_groups_offset(void **state)
{
    struct bench *b = *state;
    bench_topic(b, CLEAN, 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_pin(b, CLEAN, 0, 1, "a");
    bench_settle(archive);
    bench_crash(archive); /* the group's offset was not shown yet */
    bench_pin(b, CLEAN, 0, 2, "b");

    archive = bench_archive(b, NULL);
    bench_settle(archive);
    check_law(b, TABLE, 2, 0);
    static const char *const table[] = { TABLE };
    assert_int_equal(bench_metric(b, "millrace_archiver_stale_total", table), 0);
    assert_int_equal(archive->parts[0].good, 2);
    archive_close(archive);
}

/* Records are taken apart in scratch memory; the name in which offsets are asked for lay there too.
 */
static void
the_group_has_its_name_also_when_records_have_come(void **state)
{
    struct bench *b = *state;
    bench_topic(b, CLEAN, 1);
    struct archive *archive = bench_archive(b, "millrace.archiver");
    bench_pin(b, CLEAN, 0, 1, "a");
    bench_pin(b, CLEAN, 0, 2, "b");
    bench_settle(archive);
    assert_string_equal(archive->options.group, "millrace.archiver");
    archive_close(archive);
}

static void
dead_letters_of_all_kinds_meet_in_one_table(void **state)
{
    struct bench *b = *state;
    bench_topic(b, "t.pin.dead", 1);
    bench_topic(b, "t.geo.dead", 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_letter(b, "t.pin.dead", 0, "pin", "one");
    bench_letter(b, "t.geo.dead", 0, "geo", "two");
    bench_letter(b, "t.geo.dead", 0, "geo", "two");
    bench_settle(archive);

    MR_CLEANUP(mr_freep)
    char *rows = bench_rows(b, "t_dead_table",
                            "SELECT kind, stage, code, reason, original, topic, \"offset\", "
                            "epoch_us(dead_at) AS at FROM t ORDER BY ALL");
    assert_string_equal(rows, "geo validator NOT_JSON two not JSON t.geo 7 1700000000000000 "
                              "geo validator NOT_JSON two not JSON t.geo 7 1700000000000000 "
                              "pin validator NOT_JSON one not JSON t.pin 7 1700000000000000");
    check_law(b, "t_dead_table", 3, 0);
    archive_close(archive);
}

/* What a commit says of the traces of its records; "" for nothing. The caller frees it. */
static char *
traces_of(struct bench *b, int version)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    MR_CLEANUP(mr_freep)
    char *key = mr_printf("tables/%s/_delta_log/%020d.json", TABLE, version);
    mr_buf_init(&body, 1 << 20);
    BENCH_OK(mr_store_get(b->store, key, &body, NULL, &oops));
    const char *at = strstr(body.data, "\"traces\":\"");
    return at != NULL ? mr_strndup(at + 10, strcspn(at + 10, "\"")) : mr_strdup("");
}

static void
a_sampled_trace_can_be_found_at_the_table(void **state)
{
    struct bench *b = *state;
    bench_topic(b, CLEAN, 1);
    bench_topic(b, "t.pin.dead", 1);
    struct archive *archive = bench_archive(b, NULL);
    b->trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    bench_pin(b, CLEAN, 0, 1, "sampled");
    bench_pin(b, CLEAN, 0, 2, "in the same request");
    bench_letter(b, "t.pin.dead", 0, "pin", "one");
    b->trace = "00-11111111111111111111111111111111-b7ad6b7169203331-00";
    bench_pin(b, CLEAN, 0, 3, "not sampled");
    b->trace = "00-22222222222222222222222222222222-b7ad6b7169203331-03";
    bench_pin(b, CLEAN, 0, 4, "sampled");
    bench_settle(archive);
    MR_CLEANUP(mr_freep) char *first = traces_of(b, 1);
    assert_string_equal(first, "0af7651916cd43dd8448eb211c80319c,22222222222222222222222222222222");
    MR_CLEANUP(mr_freep) char *row = bench_rows(b, "t_dead_table", "SELECT traceparent FROM t");
    assert_string_equal(row, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");

    for (int i = 0; i < DELTA_TRACES_MAX + 3; i++) {
        char trace[64];
        (void)snprintf(trace, sizeof(trace), "00-%032x-b7ad6b7169203331-01", i + 1);
        b->trace = trace;
        bench_pin(b, CLEAN, 0, 10 + i, "many");
    }
    bench_settle(archive);
    MR_CLEANUP(mr_freep) char *second = traces_of(b, 2);
    assert_int_equal(strlen(second), DELTA_TRACES_MAX * (DELTA_TRACE_TEXT + 1) - 1);
    archive_close(archive);
}

static void
markers_between_events_keep_the_chain_whole(void **state)
{
    struct bench *b = *state;
    struct mr_writer *idempotent = b->writer, *writer = NULL;
    const struct mr_writer_options options = { .transactional_id = "cleaner",
                                               .queue_bytes_max = 1 << 20 };
    bench_topic(b, CLEAN, 1);
    struct archive *archive = bench_archive(b, NULL);
    BENCH_OK(mr_writer_open(b->bus, &options, &writer, &oops));
    b->writer = writer;
    for (int i = 0; i < 3; i++) {
        BENCH_OK(mr_writer_begin(writer, &oops));
        bench_pin(b, CLEAN, 0, i, "x");
        BENCH_OK(i == 1 ? mr_writer_abort(writer, 1000, &oops)
                        : mr_writer_commit(writer, NULL, NULL, 0, 1000, &oops));
        bench_settle(archive);
    }
    b->writer = idempotent;
    check_rows(b, "0 x 2 x");
    check_law(b, TABLE, 2, 0);
    static const char *const lag[] = { "archiver", CLEAN, "0" };
    archive->survey_ms = 0;
    bench_step(archive);
    assert_int_equal(bench_metric(b, "millrace_lag_records", lag), 0);
    archive_close(archive);
    mr_writer_close(writer);
}

/* Of an idle topic retention leaves nothing, the marker behind the last event neither. */
static void
markers_that_left_the_log_are_no_loss(void **state)
{
    struct bench *b = *state;
    struct mr_writer *idempotent = b->writer, *writer = NULL;
    const struct mr_writer_options options = { .transactional_id = "cleaner",
                                               .queue_bytes_max = 1 << 20 };
    static const char *const topics[] = { CLEAN, "t.pin" };
    bench_topic(b, CLEAN, 1);
    bench_topic(b, "t.pin", 1);
    struct archive *archive = bench_archive(b, NULL);
    BENCH_OK(mr_writer_open(b->bus, &options, &writer, &oops));
    b->writer = writer;
    BENCH_OK(mr_writer_begin(writer, &oops));
    bench_pin(b, CLEAN, 0, 1, "x");
    bench_put_text(b, "t.pin", 0, "1");
    BENCH_OK(mr_writer_commit(writer, NULL, NULL, 0, 1000, &oops));
    b->writer = idempotent;
    bench_settle(archive);
    archive->survey_ms = 0;
    bench_step(archive);
    bench_crash(archive);
    for (size_t i = 0; i < MR_COUNT(topics); i++)
        mr_bus_memory_trim(b->bus, topics[i], 0, 2);
    archive = bench_archive(b, NULL);
    bench_pin(b, CLEAN, 0, 2, "x");
    bench_put_text(b, "t.pin", 0, "2");
    bench_settle(archive);
    check_rows(b, "1 x 2 x");
    check_law(b, TABLE, 2, 0);
    MR_CLEANUP(mr_freep) char *raw = bench_raw(b, "t.pin", 0);
    assert_string_equal(raw, "0=1 2=2");
    archive_close(archive);
    mr_writer_close(writer);
}

static void
newer_contract_stops_its_partition_only(void **state)
{
    struct bench *b = *state;
    bench_topic(b, CLEAN, 2);
    struct archive *archive = bench_archive(b, NULL);
    unsigned version = mr_contracts_find(b->contracts, "pin")->version;
    bench_pin(b, CLEAN, 0, 1, "a");
    bench_pin_version(b, CLEAN, 0, 2, version + 1);
    bench_pin(b, CLEAN, 0, 3, "behind it");
    bench_pin(b, CLEAN, 1, 4, "b");
    bench_settle(archive);

    check_rows(b, "1 a 4 b");
    char why[256];
    assert_false(archive_ready(archive, why, sizeof(why)));
    assert_non_null(strstr(why, "contract version"));
    archive_close(archive);
}

static void
partition_flows_on_when_its_contract_has_come(void **state)
{
    struct bench *b = *state;
    MR_CLEANUP(mr_freep) char *dir = mr_printf("%s/kinds", b->dir);
    MR_CLEANUP(mr_freep) char *copy = mr_printf("cp -r %s %s", b->kinds, dir);
    assert_int_equal(system(copy), 0);
    free((void *)b->kinds);
    b->kinds = mr_strdup(dir);
    bench_topic(b, CLEAN, 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_pin(b, CLEAN, 0, 1, "a");
    bench_pin_version(b, CLEAN, 0, 2, 2);
    bench_settle(archive);
    check_rows(b, "1 a");

    /* Version 2 of the contract has one more column. */
    MR_CLEANUP(mr_freep)
    char *change =
        mr_printf("cd %s && mkdir source && cp -r %s/proto/kinds/pin source && sed -i -e "
                  "'s/version: 1/version: 2/' -e '/message CleanPin/,/^}/s/^}/  optional string "
                  "mood = 40;\\n}/' source/pin/pin.proto && %s/tools/kinds source %s",
                  b->dir, getenv("MILLRACE_SOURCE"), getenv("MILLRACE_SOURCE"), dir);
    assert_int_equal(system(change), 0);
    BENCH_OK(archive_reload(archive, &oops));
    bench_settle(archive);

    MR_CLEANUP(mr_freep)
    char *rows = bench_rows(b, TABLE, "SELECT ind, mood FROM t ORDER BY ALL");
    assert_string_equal(rows, "1 NULL 2 NULL");
    check_law(b, TABLE, 2, 0);
    archive_close(archive);
}

static void
record_that_is_no_event_stops_its_partition(void **state)
{
    struct bench *b = *state;
    bench_topic(b, CLEAN, 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_put_text(b, CLEAN, 0, "{}");
    bench_settle(archive);
    char why[256];
    assert_false(archive_ready(archive, why, sizeof(why)));
    assert_non_null(strstr(why, "topic t.pin.clean part 0 offset 0"));
    archive_close(archive);
}

static void
table_of_another_topic_id_is_refused_naming_both(void **state)
{
    struct bench *b = *state;
    bench_topic(b, CLEAN, 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_pin(b, CLEAN, 0, 1, "a");
    bench_settle(archive);
    archive_close(archive);
    mr_bus_memory_recreate(b->bus, CLEAN);
    bench_pin(b, CLEAN, 0, 1, "a");
    struct mr_err err = { 0 };
    bench_archive_fails(b, &err);
    const char *cluster;
    BENCH_OK(mr_bus_cluster_id(b->bus, &cluster, FIXTURE_WAIT_MS, &oops));
    MR_CLEANUP(mr_freep) char *ours = mr_printf(", this is millrace/%s/", cluster);
    assert_int_equal(err.code, MR_E(IDENTITY));
    assert_non_null(strstr(err.text, "table holds millrace/"));
    assert_non_null(strstr(err.text, ours));
}

static void
table_of_another_pipeline_is_refused_naming_both(void **state)
{
    struct bench *b = *state;
    bench_topic(b, CLEAN, 2);
    struct archive *archive = bench_archive(b, NULL);
    bench_pin(b, CLEAN, 0, 1, "a");
    bench_settle(archive);
    archive_close(archive);
    b->pipeline = "other";
    struct mr_err err = { 0 };
    bench_archive_fails(b, &err);
    assert_int_equal(err.code, MR_E(IDENTITY));
    assert_non_null(strstr(err.text, "table holds millrace/"));
    assert_non_null(strstr(err.text, ", this is other/"));
}

/* Both begin with no table: the second one to commit finds the first one's records. */
static void
table_that_two_pipelines_began_is_refused_by_the_second(void **state)
{
    struct bench *b = *state;
    bench_topic(b, CLEAN, 1);
    struct archive *one = bench_archive(b, NULL);
    b->pipeline = "other";
    struct archive *two = bench_archive(b, "other.archiver");
    bench_read(one);
    bench_read(two);
    bench_pin(b, CLEAN, 0, 1, "a");
    bench_read(two);
    bench_settle(one);
    struct mr_err err = { 0 };
    int64_t deadline_ms = mr_now_ms() + FIXTURE_WAIT_MS;
    while (err.code == 0 && mr_now_ms() < deadline_ms && !archive_flush(two))
        (void)archive_step(two, 10, &err);
    assert_int_equal(err.code, MR_E(IDENTITY));
    check_rows(b, "1 a");
    check_law(b, TABLE, 1, 0);
    archive_close(one);
    archive_close(two);
}

static void
commit_that_fails_is_tried_again_and_nothing_is_doubled(void **state)
{
    struct bench *b = *state;
    bench_topic(b, CLEAN, 1);
    struct archive *archive = bench_archive(b, NULL);
    bench_pin(b, CLEAN, 0, 1, "a");
    bench_read(archive);
    bench_store_away("_delta_log/00000000000000000001", 2);
    bench_flush(archive);
    check_rows(b, "1 a");
    check_law(b, TABLE, 1, 0);
    assert_int_equal(bench_metric(b, "millrace_archiver_failures_total", NULL), 2);
    archive_close(archive);
}

int
archiver_table_tests(void)
{
#define ON_BENCH(test) cmocka_unit_test_setup_teardown(test, bench_open, bench_close)
    const struct CMUnitTest tables[] = {
        ON_BENCH(clean_events_become_rows_of_their_table),
        ON_BENCH(first_of_equal_keys_stays_within_a_batch),
        ON_BENCH(first_of_equal_keys_stays_across_batches_and_restarts),
        ON_BENCH(first_of_equal_keys_stays_across_a_conflict),
        ON_BENCH(first_of_equal_keys_stays_wherever_it_came_first),
        ON_BENCH(a_key_of_the_batch_that_a_rival_adds_meanwhile_is_the_rivals),
        ON_BENCH(batch_that_somebody_else_has_committed_is_dropped),
        ON_BENCH(start_is_the_tables_txn_not_the_groups_offset),
        ON_BENCH(the_group_has_its_name_also_when_records_have_come),
        ON_BENCH(dead_letters_of_all_kinds_meet_in_one_table),
        ON_BENCH(a_sampled_trace_can_be_found_at_the_table),
        ON_BENCH(markers_between_events_keep_the_chain_whole),
        ON_BENCH(markers_that_left_the_log_are_no_loss),
        ON_BENCH(newer_contract_stops_its_partition_only),
        ON_BENCH(partition_flows_on_when_its_contract_has_come),
        ON_BENCH(record_that_is_no_event_stops_its_partition),
        ON_BENCH(table_of_another_topic_id_is_refused_naming_both),
        ON_BENCH(table_of_another_pipeline_is_refused_naming_both),
        ON_BENCH(table_that_two_pipelines_began_is_refused_by_the_second),
        ON_BENCH(commit_that_fails_is_tried_again_and_nothing_is_doubled),
    };
    return cmocka_run_group_tests_name("tables", tables, NULL, NULL);
}
