/* Answers: cursors, deadlines, limits, and what people's SQL may say. Tail: test_query_tail.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock/clock.h"
#include "query_fixture.h"
#include "test.h"

#define CLEAN "t.pin.clean"
#define MANY  "SELECT i, i * 3, 'some text that makes rows longer' FROM range(100000) AS r(i)"

static void
open_with_rows(struct desk *desk, struct bench *b, const struct desk_wish *wish)
{
    bench_topic(b, CLEAN, 1);
    bench_topic(b, "t.geo.clean", 1);
    desk_open(desk, b, wish);
    bench_pin(b, CLEAN, 0, 1, "a");
    bench_pin(b, CLEAN, 0, 2, "b");
    desk_catch_up(desk);
}

/* ---- cursors ---- */

static void
chunks_come_in_order_until_the_last(void **state)
{
    struct desk desk;
    struct call call, next;
    open_with_rows(&desk, *state, NULL);
    send_run(&desk, &call, "", MANY, CALL_MS_MAX);
    call_wait(&desk, &call);
    assert_int_equal(call.status, MR_RPC_OK);
    assert_false(call.is_last);
    size_t rows = call.rows, chunks = 1;
    for (bool is_last = false; !is_last; chunks++) {
        send_next(&desk, &next, call.cursor, (uint32_t)chunks);
        call_wait(&desk, &next);
        assert_int_equal(next.status, MR_RPC_OK);
        assert_int_equal(next.sequence, chunks);
        assert_int_equal(strtoll(next.text.data, NULL, 10), rows);
        rows += next.rows;
        is_last = next.is_last;
        if (is_last)
            assert_int_equal(next.rows_total, 100000);
        call_fini(&next);
    }
    assert_int_equal(rows, 100000);
    assert_true(chunks < 30); /* of 256 KiB and more, not one for each 2,048 rows */
    send_next(&desk, &next, call.cursor, (uint32_t)chunks);
    call_wait(&desk, &next);
    assert_int_equal(next.status, MR_RPC_NOT_FOUND);
    call_fini(&next);
    call_fini(&call);
    desk_close(&desk);
}

static void
a_chunk_out_of_turn_is_refused_and_a_cancelled_cursor_is_gone(void **state)
{
    struct desk desk;
    struct call call, other;
    open_with_rows(&desk, *state, NULL);
    send_run(&desk, &call, "", MANY, CALL_MS_MAX);
    call_wait(&desk, &call);
    send_next(&desk, &other, call.cursor, 5);
    call_wait(&desk, &other);
    assert_int_equal(other.status, MR_RPC_INVALID_ARGUMENT);
    call_fini(&other);
    send_cancel(&desk, &other, call.cursor);
    call_wait(&desk, &other);
    assert_int_equal(other.status, MR_RPC_OK);
    call_fini(&other);
    send_next(&desk, &other, call.cursor, 1);
    call_wait(&desk, &other);
    assert_int_equal(other.status, MR_RPC_NOT_FOUND);
    call_fini(&other);
    call_fini(&call);
    ask_is(&desk, "", "SELECT count(*) FROM pin", "2");
    desk_close(&desk);
}

static void
a_cursor_that_nobody_comes_for_makes_room(void **state)
{
    struct desk desk;
    struct call call, next;
    mr_clock_hold(1000000, 1700000000000000);
    bench_topic(*state, CLEAN, 1);
    desk_open(&desk, *state, NULL);
    desk.crank_ms = 20;
    desk_catch_up(&desk);
    desk.crank_ms = 0; /* what follows takes real time, and the held clock must not run away */
    send_run(&desk, &call, "", "SELECT i FROM range(3000000) AS r(i)", MR_RPC_TIMEOUT_MAX_MS);
    call_wait(&desk, &call);
    assert_string_not_equal(call.cursor, "");
    mr_clock_crank(CURSOR_IDLE_MS + 1000);
    desk_step(&desk);
    send_next(&desk, &next, call.cursor, 1);
    call_wait(&desk, &next);
    assert_int_equal(next.status, MR_RPC_NOT_FOUND);
    call_fini(&next);
    call_fini(&call);
    send_run(&desk, &call, "", "SELECT count(*) FROM pin", MR_RPC_TIMEOUT_MAX_MS);
    call_wait(&desk, &call); /* its process is free for others */
    assert_string_equal(call.text.data, "0");
    call_fini(&call);
    desk_close(&desk);
    mr_clock_release();
}

static void
an_answer_ends_at_its_maximum_of_rows(void **state)
{
    struct desk desk;
    open_with_rows(&desk, *state, &(struct desk_wish){ .rows_max = 3 });
    ask_is(&desk, "", "SELECT i FROM range(3) AS r(i)", "0 1 2");
    ask_is(&desk, "", "SELECT i FROM range(4) AS r(i)", "0 1 2");
    desk_close(&desk);
}

static void
an_answer_that_was_cut_says_so_and_no_other_does(void **state)
{
    struct desk desk;
    open_with_rows(&desk, *state, &(struct desk_wish){ .rows_max = 3000 });
    assert_false(ask_is_cut(&desk, "SELECT i FROM range(2) AS r(i)"));
    assert_false(ask_is_cut(&desk, "SELECT i FROM range(3000) AS r(i)"));
    assert_true(ask_is_cut(&desk, "SELECT i FROM range(3001) AS r(i)"));
    assert_true(ask_is_cut(&desk, "SELECT i FROM range(100000) AS r(i)"));
    desk_close(&desk);
}

static void
rows_too_big_for_one_frame_go_in_several(void **state)
{
    struct desk desk;
    struct call call, next;
    open_with_rows(&desk, *state, &(struct desk_wish){ .sql_memory = 512 << 20 });
    send_run(&desk, &call, "", "SELECT i, repeat('x', 20000) FROM range(1000) AS r(i)",
             CALL_MS_MAX);
    call_wait(&desk, &call);
    size_t rows = call.rows;
    for (uint32_t i = 1; !call.is_last && call.status == MR_RPC_OK; i++) {
        send_next(&desk, &next, call.cursor, i);
        call_wait(&desk, &next);
        rows += next.rows;
        call.is_last = next.is_last;
        call.status = next.status;
        call_fini(&next);
    }
    assert_int_equal(call.status, MR_RPC_OK);
    assert_int_equal(rows, 1000);
    call_fini(&call);
    ask_fails(&desk, "SELECT repeat('x', 10000000)", MR_RPC_RESOURCE_EXHAUSTED,
              "select fewer columns or shorter text");
    desk_close(&desk);
}

/* ---- limits ---- */

static void
a_question_without_end_is_stopped_at_its_deadline(void **state)
{
    struct desk desk;
    struct call call;
    open_with_rows(&desk, *state, NULL);
    send_run(&desk, &call, "",
             "SELECT count(*) FROM range(1000000000) AS a(i), range(1000000000) AS b(j) "
             "WHERE i * j % 7 = 3",
             300);
    call_wait(&desk, &call);
    assert_int_equal(call.status, MR_RPC_DEADLINE_EXCEEDED);
    call_fini(&call);
    ask_is(&desk, "", "SELECT count(*) FROM pin", "2");
    desk_close(&desk);
}

static void
a_question_that_eats_memory_is_refused(void **state)
{
    struct desk desk;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* its shadow allows no limit on addresses */
#endif
    open_with_rows(&desk, *state, &(struct desk_wish){ .sql_memory = 64 << 20 });
    static const char *const hogs[] = {
        "SELECT length(repeat('x', 2000000000) || repeat('y', 2000000000))",
        "SELECT len(list_transform(range(500000000), lambda x: x || 'a'))",
        "SELECT len(list(a.i)) FROM range(100000) AS a(i), range(10000) AS b(j)",
    };
    for (size_t i = 0; i < MR_COUNT(hogs); i++) {
        ask_fails(&desk, hogs[i], MR_RPC_RESOURCE_EXHAUSTED, "");
        ask_is(&desk, "", "SELECT count(*) FROM pin", "2");
    }
    desk_close(&desk);
}

static void
the_sql_process_may_open_no_socket_and_start_no_program(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        char *const arguments[] = { (char *)(uintptr_t) "true", NULL };
        if (sandbox_confine(64 << 20) != 0)
            _exit(1);
        if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM)
            _exit(2);
        (void)execv("/bin/true", arguments);
        _exit(errno == EPERM ? 0 : 3);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- SQL ---- */

static void
sql_reads_tables_and_nothing_else(void **state)
{
    struct desk desk;
    open_with_rows(&desk, *state, NULL);
    static const char *const refused[] = {
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_parquet('cache/*.parquet')",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM read_csv('http://127.0.0.1:1/x')",
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM pragma_database_list()",
        "SELECT current_setting('temp_directory')",
        "SELECT getenv('HOME')",
        "COPY pin TO '/tmp/x.csv'",
        "COPY (SELECT 1) TO 'cache/x.csv'",
        "EXPORT DATABASE '/tmp/x'",
        "ATTACH '/tmp/x.db' AS x",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '100GB'",
        "PRAGMA threads = 64",
        "CREATE TABLE x AS SELECT 1",
        "DROP VIEW pin",
        "DELETE FROM pin",
        "INSERT INTO pin SELECT * FROM pin",
        "CALL enable_logging()",
        "BEGIN",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW pin",
        "SELECT * FROM query('SELECT 1')",
        "SELECT * FROM information_schema.tables",
        "SELEC 1",
    };
    for (size_t i = 0; i < MR_COUNT(refused); i++)
        ask_fails(&desk, refused[i], MR_RPC_INVALID_ARGUMENT, "");
    ask_is(&desk, "", "SELECT ind FROM pin ORDER BY ind", "1 2");
    desk_close(&desk);
}

static void
whoever_names_no_table_is_told_what_there_is(void **state)
{
    struct desk desk;
    open_with_rows(&desk, *state, NULL);
    ask_fails(&desk, "SELECT * FROM pins", MR_RPC_INVALID_ARGUMENT,
              "there is no table pins; there is geo, pin");
    desk_close(&desk);
}

static void
tables_have_full_names_and_plain_ones_within_a_tenant(void **state)
{
    struct bench *b = *state;
    struct desk desk;
    open_with_rows(&desk, b, NULL);
    ask_is(&desk, "", "SELECT count(*) FROM t_pin_table", "2");
    ask_is(&desk, "", "SELECT count(*) FROM \"t_pin_table\" JOIN PIN USING (ind)", "2");
    bench_topic(b, "u.pin.clean", 1);
    bench_pin(b, "u.pin.clean", 0, 3, "u");
    desk_catch_up(&desk);
    ask_is(&desk, "t", "SELECT count(*) FROM pin", "2");
    ask_is(&desk, "u", "SELECT ind FROM pin", "3");
    ask_is(&desk, "",
           "SELECT count(*) FROM (SELECT ind FROM t_pin_table UNION ALL "
           "SELECT ind FROM u_pin_table)",
           "3");
    ask_fails(&desk, "SELECT * FROM pin", MR_RPC_INVALID_ARGUMENT, "u_pin_table");
    desk_close(&desk);
}

static void
sparks_names_work(void **state)
{
    struct desk desk;
    open_with_rows(&desk, *state, NULL);
    ask_is(&desk, "", "SELECT get([5, 6], 0), element_at([5, 6], 1), size([1, 2, 3]), nvl(NULL, 4)",
           "5 5 3 4");
    ask_is(&desk, "", "SELECT percentile_approx(i, 0.5) FROM range(1, 4) AS r(i)", "2");
    ask_is(&desk, "", "SELECT CAST(regexp_like('abc', 'b+') AS INTEGER)", "1");
    desk_close(&desk);
}

static void
values_of_each_type_come_back(void **state)
{
    struct desk desk;
    open_with_rows(&desk, *state, NULL);
    ask_is(&desk, "",
           "SELECT 1.5::DOUBLE, NULL, [1, NULL, 3], ['a', 'b'], TIMESTAMP '1970-01-01 00:00:01', "
           "true, 'text', 7::BIGINT, sum(ind) FROM pin",
           "1.5 NULL [1,NULL,3] [a,b] 1000000 1 text 7 3");
    desk_close(&desk);
}

/* ---- the process ---- */

static void
who_waits_is_told_when_the_service_stops(void **state)
{
    struct desk desk;
    struct call calls[3];
    open_with_rows(&desk, *state, NULL);
    for (size_t i = 0; i < MR_COUNT(calls); i++)
        send_run(&desk, &calls[i], "",
                 "SELECT count(*) FROM range(1000000000) AS a, "
                 "range(1000000000) AS b",
                 CALL_MS_MAX);
    answers_close(&desk.q);
    for (size_t i = 0; i < MR_COUNT(calls); i++) {
        assert_true(call_is_done(&calls[i]));
        assert_int_equal(calls[i].status, MR_RPC_UNAVAILABLE);
        call_fini(&calls[i]);
    }
    MR_CLEANUP(mr_freep) char *shm = mr_strdup(desk.q.options.shm_dir);
    desk_close(&desk);
    assert_int_equal(access(shm, F_OK), -1);
}

static void
what_a_crashed_process_left_is_removed(void **state)
{
    struct bench *b = *state;
    struct desk desk;
    MR_CLEANUP(mr_freep) char *shm = mr_printf("%s/millrace-query.4711", b->dir);
    MR_CLEANUP(mr_freep) char *tail = mr_printf("%s/tail-1", shm);
    MR_CLEANUP(mr_freep) char *work = mr_printf("%s/query", b->dir);
    MR_CLEANUP(mr_freep) char *cache = mr_printf("%s/cache", work);
    MR_CLEANUP(mr_freep) char *file = mr_printf("%s/old.parquet", cache);
    assert_int_equal(mkdir(shm, 0700) | mkdir(work, 0700) | mkdir(cache, 0700), 0);
    FILE *made = fopen(tail, "w");
    assert_non_null(made);
    assert_int_equal(fclose(made), 0);
    assert_int_equal(link(tail, file), 0);
    open_with_rows(&desk, b, NULL);
    assert_int_equal(access(shm, F_OK), -1);
    assert_int_equal(access(file, F_OK), -1);

    struct query other = { .options = { .work_dir = work, .shm_dir = b->dir } };
    struct mr_err err = { 0 };
    assert_int_not_equal(folders_open(&other, &err), 0);
    assert_non_null(strstr(err.text, "is in use by another process: give each its own"));
    ask_is(&desk, "", "SELECT count(*) FROM pin", "2"); /* ours are still there */
    desk_close(&desk);
}

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], SANDBOX_FLAG) == 0)
        return sandbox_main(argc, argv);
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)
    const struct CMUnitTest tests[] = {
        TEST(chunks_come_in_order_until_the_last),
        TEST(a_chunk_out_of_turn_is_refused_and_a_cancelled_cursor_is_gone),
        TEST(a_cursor_that_nobody_comes_for_makes_room),
        TEST(an_answer_ends_at_its_maximum_of_rows),
        TEST(an_answer_that_was_cut_says_so_and_no_other_does),
        TEST(rows_too_big_for_one_frame_go_in_several),
        TEST(a_question_without_end_is_stopped_at_its_deadline),
        TEST(a_question_that_eats_memory_is_refused),
        cmocka_unit_test(the_sql_process_may_open_no_socket_and_start_no_program),
        TEST(sql_reads_tables_and_nothing_else),
        TEST(whoever_names_no_table_is_told_what_there_is),
        TEST(tables_have_full_names_and_plain_ones_within_a_tenant),
        TEST(sparks_names_work),
        TEST(values_of_each_type_come_back),
        TEST(who_waits_is_told_when_the_service_stops),
        TEST(what_a_crashed_process_left_is_removed),
    };
    int failed = cmocka_run_group_tests_name("query: answers", tests, NULL, NULL);
    return failed + tail_tests();
}
