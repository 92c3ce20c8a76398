/* Snapshot and tail: each row once, and honest about what is covered. Answers: test_query.c. */
#include <stdio.h>
#include <stdlib.h>

#include "bus/memory.h"
#include "clock/clock.h"
#include "query_fixture.h"
#include "test.h"

#define CLEAN "t.pin.clean"

static void
each_row_is_there_once_through_commits(void **state)
{
    struct bench *b = *state;
    struct desk desk;
    bench_topic(b, CLEAN, 2);
    struct archive *archive = bench_archive(b, NULL);
    desk_open(&desk, b, NULL);
    for (int i = 0; i < 60; i++) {
        char all[64];
        bench_pin(b, CLEAN, i % 2, i, "x");
        if (i % 7 == 3)
            bench_settle(archive);
        else if (i % 7 == 5)
            bench_step(archive);
        if (i % 4 != 0)
            desk_step(&desk);
        if (i % 4 != 0)
            continue;
        desk_catch_up(&desk);
        (void)snprintf(all, sizeof(all), "%d %d %d", i + 1, i + 1, i * (i + 1) / 2);
        ask_is(&desk, "", "SELECT count(*), count(DISTINCT ind), CAST(sum(ind) AS BIGINT) FROM pin",
               all);
    }
    archive_close(archive);
    desk_close(&desk);
}

static bool
tail_is_empty(struct desk *desk)
{
    const struct table *table = catalog_find(&desk->q, "t_pin_table");
    return table != NULL && table->snapshot != NULL && table->snapshot->version >= 0 &&
           table->tail_rows == 0;
}

static bool
is_behind_the_marker(struct desk *desk)
{
    for (size_t i = 0; i < desk->q.lanes_count; i++)
        if (strcmp(desk->q.lanes[i].part.topic, CLEAN) == 0)
            return desk->q.lanes[i].next == 2;
    return false;
}

/* Whoever waits for the high watermark waits for this (LAW 12, 26). */
static void
the_position_goes_behind_the_marker_at_the_end(void **state)
{
    struct bench *b = *state;
    struct desk desk;
    const struct mr_writer_options options = { .transactional_id = "one",
                                               .queue_bytes_max = 1 << 20 };
    struct mr_writer *plain = b->writer;
    bench_topic(b, CLEAN, 1);
    desk_open(&desk, b, NULL);
    BENCH_OK(mr_writer_open(b->bus, &options, &b->writer, &oops));
    BENCH_OK(mr_writer_begin(b->writer, &oops));
    bench_pin(b, CLEAN, 0, 1, "x");
    BENCH_OK(mr_writer_commit(b->writer, NULL, NULL, 0, 1000, &oops));
    mr_writer_close(b->writer);
    b->writer = plain;
    desk_until(&desk, is_behind_the_marker);
    desk_close(&desk);
}

static void
a_question_keeps_what_it_pinned_while_commits_come(void **state)
{
    struct bench *b = *state;
    struct desk desk;
    struct call call;
    bench_topic(b, CLEAN, 1);
    struct archive *archive = bench_archive(b, NULL);
    desk_open(&desk, b, NULL);
    for (int i = 0; i < 10; i++)
        bench_pin(b, CLEAN, 0, i, "x");
    desk_catch_up(&desk);
    send_run(&desk, &call, "", "SELECT count(*) FROM pin", CALL_MS_MAX);
    bench_pin(b, CLEAN, 0, 10, "x");
    bench_settle(archive);
    desk_until(&desk, tail_is_empty);
    call_wait(&desk, &call);
    assert_string_equal(call.text.data, "10");
    assert_int_equal(call.covered, 10);
    call_fini(&call);
    ask_is(&desk, "", "SELECT count(*) FROM pin", "11");
    archive_close(archive);
    desk_close(&desk);
}

static void
the_first_of_a_key_stays_across_snapshot_and_tail(void **state)
{
    struct bench *b = *state;
    struct desk desk;
    bench_topic(b, CLEAN, 1);
    struct archive *archive = bench_archive(b, NULL);
    desk_open(&desk, b, NULL);
    bench_pin(b, CLEAN, 0, 1, "a");
    bench_pin(b, CLEAN, 0, 1, "b");
    desk_catch_up(&desk);
    ask_is(&desk, "", "SELECT ind, title FROM pin ORDER BY 1", "1 a");
    ask_is(&desk, "", "SELECT title FROM pin WHERE ind BETWEEN 0 AND 5", "a");
    bench_settle(archive);
    desk_until(&desk, tail_is_empty);
    bench_pin(b, CLEAN, 0, 1, "c");
    bench_pin(b, CLEAN, 0, 2, "d");
    bench_pin(b, CLEAN, 0, 2, "e");
    desk_catch_up(&desk);
    ask_is(&desk, "", "SELECT ind, title FROM pin ORDER BY 1", "1 a 2 d");
    ask_is(&desk, "", "SELECT title FROM pin WHERE ind BETWEEN 2 AND 5", "d");
    archive_close(archive);
    desk_close(&desk);
}

static bool
letters_are_committed(struct desk *desk)
{
    const struct table *table = catalog_find(&desk->q, "t_dead_table");
    return table != NULL && table->snapshot != NULL && table->snapshot->version >= 0 &&
           table->tail_rows == 0;
}

static void
dead_letters_are_a_table_of_the_tenant(void **state)
{
    struct bench *b = *state;
    struct desk desk;
    bench_topic(b, "t.pin.dead", 1);
    bench_topic(b, "t.geo.dead", 1);
    desk_open(&desk, b, NULL);
    bench_letter(b, "t.pin.dead", 0, "pin", "one");
    bench_letter(b, "t.geo.dead", 0, "geo", "two");
    desk_catch_up(&desk);
    ask_is(&desk, "", "SELECT kind, reason, original FROM dead ORDER BY kind",
           "geo two not JSON pin one not JSON");
    desk_close(&desk);
}

static void
a_mark_is_no_letter_and_says_what_became_of_one(void **state)
{
    static const char all[] = "SELECT reason, replayed_partition, replayed_offset, "
                              "epoch_us(replayed_at) FROM dead ORDER BY reason";
    struct bench *b = *state;
    struct desk desk;
    bench_topic(b, "t.pin.dead", 1);
    bench_topic(b, "t.geo.dead", 1);
    struct archive *archive = bench_archive(b, NULL);
    desk_open(&desk, b, NULL);
    bench_letter(b, "t.pin.dead", 0, "pin", "pins");
    bench_letter(b, "t.geo.dead", 0, "geo", "geos");
    desk_catch_up(&desk);
    ask_is(&desk, "", all, "geos NULL NULL NULL pins NULL NULL NULL");
    bench_mark(b, "t.pin.dead", 0, "pin", 12);
    desk_catch_up(&desk);
    ask_is(&desk, "", all, "geos NULL NULL NULL pins 0 12 1700000001000000");
    ask_is(&desk, "", "SELECT count(*) FROM \"t_dead_table\"", "2");
    bench_settle(archive);
    desk_until(&desk, letters_are_committed);
    bench_mark(b, "t.geo.dead", 0, "geo", 8);
    desk_catch_up(&desk);
    ask_is(&desk, "", all, "geos 0 8 1700000001000000 pins 0 12 1700000001000000");
    MR_CLEANUP(mr_freep)
    char *rows = bench_rows(
        b, "t_dead_table", "SELECT code IS NULL AS is_mark, count(*) FROM t GROUP BY 1 ORDER BY 1");
    assert_string_equal(rows, "0 2 1 1");
    archive_close(archive);
    desk_close(&desk);
}

static bool
is_full(struct desk *desk)
{
    return desk->q.is_full;
}

static void
a_full_tail_stands_with_an_older_watermark_and_goes_on_without_a_hole(void **state)
{
    struct bench *b = *state;
    struct desk desk;
    struct call call;
    static char title[9001];
    memset(title, 'x', sizeof(title) - 1);
    bench_topic(b, CLEAN, 1);
    struct archive *archive = bench_archive(b, NULL);
    for (int i = 0; i < 6000; i++)
        bench_pin(b, CLEAN, 0, i, i < 4500 ? title : "y");
    desk_open(&desk, b, &(struct desk_wish){ .tail_bytes = 1 << 20 });
    desk_until(&desk, is_full);
    int64_t full_us = mr_wall_us();
    for (int i = 0; i < 20; i++)
        desk_step(&desk);
    send_run(&desk, &call, "", "SELECT count(*), max(ind) FROM pin", CALL_MS_MAX);
    call_wait(&desk, &call);
    char some[64];
    (void)snprintf(some, sizeof(some), "%d %d", (int)call.covered, (int)call.covered - 1);
    assert_string_equal(call.text.data, some);
    assert_true(call.covered < 6000);
    assert_true(call.as_of_us < full_us);
    call_fini(&call);
    bench_settle(archive);
    desk_catch_up(&desk);
    ask_is(&desk, "", "SELECT count(*), max(ind) FROM pin", "6000 5999");
    archive_close(archive);
    desk_close(&desk);
}

/* ---- what is away ---- */

static bool
has_trouble(struct desk *desk)
{
    return desk->q.trouble[0] != '\0';
}

static bool
is_not_refreshing(struct desk *desk)
{
    return !desk->q.is_refreshing;
}

static bool
is_ready(struct desk *desk)
{
    char why[TEXT_BYTES];
    return query_ready(&desk->q, why, sizeof(why));
}

static void
a_commit_whose_files_could_not_come_is_taken_in_later(void **state)
{
    struct bench *b = *state;
    struct desk desk;
    bench_topic(b, CLEAN, 1);
    struct archive *archive = bench_archive(b, NULL);
    desk_open(&desk, b, NULL);
    bench_pin(b, CLEAN, 0, 1, "a");
    bench_settle(archive);
    desk_until(&desk, tail_is_empty);
    bench_pin(b, CLEAN, 0, 2, "b");
    desk_catch_up(&desk);
    desk_until(&desk, is_not_refreshing); /* no look at the store before the fault is there */
    bench_settle(archive);
    desk_fetch_away(2);
    desk_until(&desk, has_trouble);
    assert_false(is_ready(&desk));
    ask_is(&desk, "", "SELECT count(*) FROM pin", "2"); /* with what is there */
    desk_until(&desk, tail_is_empty);
    desk_until(&desk, is_ready);
    ask_is(&desk, "", "SELECT count(*) FROM pin", "2");
    archive_close(archive);
    desk_close(&desk);
}

static void
a_broker_that_is_away_leaves_what_is_there_and_its_time(void **state)
{
    struct bench *b = *state;
    struct desk desk;
    struct call call;
    const struct mr_err away = { .code = MR_E(UNAVAILABLE), .remedy = MR_RETRY, .text = "away" };
    bench_topic(b, CLEAN, 1);
    desk_open(&desk, b, NULL);
    bench_pin(b, CLEAN, 0, 1, "a");
    desk_catch_up(&desk);
    desk_until(&desk, is_ready);
    mr_bus_memory_fault(b->bus, "offsets", 0, 3, &away);
    desk_until(&desk, has_trouble);
    int64_t away_us = mr_wall_us();
    assert_false(is_ready(&desk));
    send_run(&desk, &call, "", "SELECT count(*) FROM pin", CALL_MS_MAX);
    assert_true(tail_as_of_us(&desk.q) <= away_us);
    call_wait(&desk, &call);
    assert_string_equal(call.text.data, "1");
    call_fini(&call);
    desk_until(&desk, is_ready);
    desk_catch_up(&desk);
    desk_close(&desk);
}

static void
new_topics_are_followed_from_their_first_record(void **state)
{
    struct bench *b = *state;
    struct desk desk;
    bench_topic(b, CLEAN, 1);
    desk_open(&desk, b, NULL);
    desk_catch_up(&desk);
    bench_topic(b, "u.pin.clean", 2);
    bench_pin(b, "u.pin.clean", 1, 7, "u");
    desk_catch_up(&desk);
    ask_is(&desk, "u", "SELECT ind FROM pin", "7");
    ask_is(&desk, "t", "SELECT count(*) FROM pin", "0");
    desk_close(&desk);
}

static void
records_gone_from_the_log_without_a_commit_are_told_not_skipped(void **state)
{
    struct bench *b = *state;
    struct desk desk;
    bench_topic(b, CLEAN, 1);
    bench_topic(b, "t.pin.dead", 1);
    for (int i = 0; i < 4; i++)
        bench_pin(b, CLEAN, 0, i, "x");
    mr_bus_memory_trim(b->bus, CLEAN, 0, 2);
    desk_open(&desk, b, NULL);
    desk_until(&desk, is_ready);
    desk_step(&desk);
    ask_fails(&desk, "SELECT count(*) FROM pin", MR_RPC_FAILED_PRECONDITION,
              "records [0, 2) are in no commit and gone from the log");
    ask_is(&desk, "", "SELECT count(*) FROM dead", "0");
    desk_close(&desk);
}

/* ---- contracts ---- */

static bool
lane_is_gone(struct desk *desk)
{
    for (size_t i = 0; i < desk->q.lanes_count; i++)
        if (desk->q.lanes[i].state == LANE_GONE)
            return true;
    return false;
}

static void
a_topic_that_was_deleted_keeps_its_rows_and_holds_nothing_up(void **state)
{
    struct bench *b = *state;
    struct desk desk;
    struct mr_err err = { 0 };
    bench_topic(b, CLEAN, 1);
    bench_topic(b, "u.pin.clean", 2);
    bench_pin(b, CLEAN, 0, 1, "t");
    bench_pin(b, "u.pin.clean", 1, 7, "u");
    desk_open(&desk, b, NULL);
    desk_catch_up(&desk);
    assert_int_equal(mr_bus_delete(b->bus, "u.pin.clean", CALL_MS_MAX, &err), 0);
    desk_until(&desk, lane_is_gone);
    bench_pin(b, CLEAN, 0, 2, "t");
    desk_catch_up(&desk); /* its time goes on too */
    desk_until(&desk, is_ready);
    ask_is(&desk, "t", "SELECT ind FROM pin ORDER BY ind", "1 2");
    ask_is(&desk, "u", "SELECT ind FROM pin", "7");
    desk_close(&desk);
}

static bool
lane_stands(struct desk *desk)
{
    for (size_t i = 0; i < desk->q.lanes_count; i++)
        if (desk->q.lanes[i].state > LANE_FLOWS)
            return true;
    return false;
}

static void
a_newer_contract_stops_its_partition_and_readiness(void **state)
{
    struct bench *b = *state;
    struct desk desk;
    char why[TEXT_BYTES];
    bench_topic(b, CLEAN, 2);
    desk_open(&desk, b, NULL);
    bench_pin(b, CLEAN, 0, 1, "a");
    bench_pin_version(b, CLEAN, 0, 2, 9);
    bench_pin(b, CLEAN, 0, 3, "never before the one above");
    bench_pin(b, CLEAN, 1, 4, "b");
    desk_until(&desk, lane_stands);
    for (int i = 0; i < 20; i++)
        desk_step(&desk);
    assert_false(query_ready(&desk.q, why, sizeof(why)));
    assert_non_null(strstr(why, "needs a newer contract than version 1 of pin"));
    ask_is(&desk, "", "SELECT ind FROM pin ORDER BY 1", "1 4");
    desk.q.reload_ms = 0;
    BENCH_OK(catalog_reload(&desk.q, &oops)); /* the same contracts: nothing changes */
    for (int i = 0; i < 20; i++)
        desk_step(&desk);
    assert_false(is_ready(&desk));
    ask_is(&desk, "", "SELECT ind FROM pin ORDER BY 1", "1 4");
    desk_close(&desk);
}

static void
rows_of_an_older_contract_have_null_in_new_columns(void **state)
{
    struct bench *b = *state;
    struct desk desk;
    struct mr_schema wider;
    bench_topic(b, CLEAN, 1);
    desk_open(&desk, b, NULL);
    bench_pin(b, CLEAN, 0, 1, "a");
    desk_catch_up(&desk);
    struct table *table = catalog_find(&desk.q, "t_pin_table");
    mr_schema_copy(table->schema, &wider);
    (void)snprintf(wider.fields[2].name, sizeof(wider.fields[2].name), "colour");
    table->schema = &wider; /* as a reload does */
    ask_is(&desk, "", "SELECT ind, colour, unique_id FROM pin", "1 NULL NULL");
    desk_close(&desk);
    mr_schema_fini(&wider);
}

static bool
lane_flows(struct desk *desk)
{
    return desk->q.lanes_count > 0 && desk->q.lanes[0].state == LANE_FLOWS &&
           !desk->q.must_assign && desk->q.lanes[0].end_us > 0;
}

/* Of an idle topic retention leaves nothing, the marker behind the last event neither. */
static void
markers_that_left_the_log_are_no_hole(void **state)
{
    struct bench *b = *state;
    struct desk desk;
    struct mr_writer *idempotent = b->writer, *writer = NULL;
    const struct mr_writer_options options = { .transactional_id = "cleaner",
                                               .queue_bytes_max = 1 << 20 };
    bench_topic(b, CLEAN, 1);
    struct archive *archive = bench_archive(b, NULL);
    BENCH_OK(mr_writer_open(b->bus, &options, &writer, &oops));
    b->writer = writer;
    BENCH_OK(mr_writer_begin(writer, &oops));
    bench_pin(b, CLEAN, 0, 1, "x");
    BENCH_OK(mr_writer_commit(writer, NULL, NULL, 0, 1000, &oops));
    b->writer = idempotent;
    bench_settle(archive);
    BENCH_OK(archive_drain(archive, &oops)); /* shows its offsets */
    archive_close(archive);
    mr_bus_memory_trim(b->bus, CLEAN, 0, 2);
    desk_open(&desk, b, NULL);
    desk_until(&desk, lane_flows);
    bench_pin(b, CLEAN, 0, 2, "y");
    desk_catch_up(&desk);
    ask_is(&desk, "", "SELECT ind, title FROM pin ORDER BY 1", "1 x 2 y");
    desk_close(&desk);
    mr_writer_close(writer);
}

static void
what_cannot_be_read_is_told_and_other_tables_go_on(void **state)
{
    struct bench *b = *state;
    struct desk desk;
    bench_topic(b, CLEAN, 1);
    bench_topic(b, "t.pin.dead", 1);
    desk_open(&desk, b, NULL);
    bench_pin(b, CLEAN, 0, 1, "a");
    bench_put_text(b, CLEAN, 0, "\xff\xff no event");
    bench_letter(b, "t.pin.dead", 0, "pin", "one");
    desk_until(&desk, lane_stands);
    desk_step(&desk);
    ask_fails(&desk, "SELECT 1 FROM pin", MR_RPC_FAILED_PRECONDITION, "offset 1 cannot be read");
    ask_is(&desk, "", "SELECT reason FROM dead", "one");
    desk_close(&desk);
}

int
tail_tests(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)
    const struct CMUnitTest tests[] = {
        TEST(each_row_is_there_once_through_commits),
        TEST(the_position_goes_behind_the_marker_at_the_end),
        TEST(a_question_keeps_what_it_pinned_while_commits_come),
        TEST(the_first_of_a_key_stays_across_snapshot_and_tail),
        TEST(dead_letters_are_a_table_of_the_tenant),
        TEST(markers_that_left_the_log_are_no_hole),
        TEST(a_mark_is_no_letter_and_says_what_became_of_one),
        TEST(a_full_tail_stands_with_an_older_watermark_and_goes_on_without_a_hole),
        TEST(a_commit_whose_files_could_not_come_is_taken_in_later),
        TEST(a_broker_that_is_away_leaves_what_is_there_and_its_time),
        TEST(new_topics_are_followed_from_their_first_record),
        TEST(a_topic_that_was_deleted_keeps_its_rows_and_holds_nothing_up),
        TEST(records_gone_from_the_log_without_a_commit_are_told_not_skipped),
        TEST(a_newer_contract_stops_its_partition_and_readiness),
        TEST(rows_of_an_older_contract_have_null_in_new_columns),
        TEST(what_cannot_be_read_is_told_and_other_tables_go_on),
    };
    return cmocka_run_group_tests_name("query: tail", tests, NULL, NULL);
#undef TEST
}
