#include "service/service.h"

#include <semaphore.h>

#include "test.h"

enum { WAIT_MS = 20000, QUEUE = 3 };

struct gated {
    struct mr_job job; /* first: a job's address is its gated's */
    sem_t *began, *gate;
    int code;
};

static int
run_gated(struct mr_job *job, struct mr_err *err)
{
    struct gated *gated = (struct gated *)job;
    sem_post(gated->began);
    sem_wait(gated->gate);
    return gated->code < 0 ? mr_fail(err, gated->code, MR_RETRY, "told so") : gated->code;
}

struct bench {
    struct mr_worker *worker;
    sem_t began, gate;
    struct gated jobs[QUEUE + 2];
};

static int
set_up(void **state)
{
    static struct bench bench;
    bench = (struct bench){ .worker = mr_worker_open(QUEUE) };
    sem_init(&bench.began, 0, 0);
    sem_init(&bench.gate, 0, 0);
    for (size_t i = 0; i < MR_COUNT(bench.jobs); i++)
        bench.jobs[i] = (struct gated){ { .run = run_gated }, &bench.began, &bench.gate, (int)i };
    *state = &bench;
    return 0;
}

static int
tear_down(void **state)
{
    struct bench *bench = *state;
    mr_worker_close(bench->worker);
    return 0;
}

static void
jobs_come_back_in_their_order_with_what_they_returned(void **state)
{
    struct bench *bench = *state;
    bench->jobs[1].code = MR_E(TIMEOUT);
    for (size_t i = 0; i < QUEUE; i++)
        assert_int_equal(mr_worker_submit(bench->worker, &bench->jobs[i].job, NULL), 0);
    for (size_t i = 0; i < QUEUE; i++)
        sem_post(&bench->gate);
    for (size_t i = 0; i < QUEUE; i++) {
        struct mr_job *job = mr_worker_done(bench->worker, WAIT_MS);
        assert_ptr_equal(job, &bench->jobs[i].job);
        assert_int_equal(job->result, bench->jobs[i].code);
        assert_int_equal(job->err.code, i == 1 ? MR_E(TIMEOUT) : 0);
    }
    assert_int_equal(mr_worker_pending(bench->worker), 0);
}

static void
the_queue_takes_its_maximum_and_not_one_more(void **state)
{
    struct bench *bench = *state;
    struct mr_err err = { 0 };
    assert_int_equal(mr_worker_submit(bench->worker, &bench->jobs[0].job, &err), 0);
    sem_wait(&bench->began); /* it runs and waits no more */
    for (size_t i = 1; i <= QUEUE; i++)
        assert_int_equal(mr_worker_submit(bench->worker, &bench->jobs[i].job, &err), 0);
    assert_int_equal(mr_worker_submit(bench->worker, &bench->jobs[QUEUE + 1].job, &err),
                     MR_E(FULL));
    assert_int_equal(err.remedy, MR_RETRY);
    assert_int_equal(mr_worker_pending(bench->worker), QUEUE + 1);
    for (size_t i = 0; i <= QUEUE; i++)
        sem_post(&bench->gate);
    for (size_t i = 0; i <= QUEUE; i++)
        assert_non_null(mr_worker_done(bench->worker, WAIT_MS));
}

static void
nothing_is_done_before_it_is_done(void **state)
{
    struct bench *bench = *state;
    assert_null(mr_worker_done(bench->worker, 0));
    assert_int_equal(mr_worker_submit(bench->worker, &bench->jobs[0].job, NULL), 0);
    sem_wait(&bench->began);
    assert_null(mr_worker_done(bench->worker, 0));
    assert_null(mr_worker_done(bench->worker, 1));
    sem_post(&bench->gate);
    assert_non_null(mr_worker_done(bench->worker, WAIT_MS));
}

static void
a_job_can_be_submitted_again_without_its_old_error(void **state)
{
    struct bench *bench = *state;
    struct gated *gated = &bench->jobs[0];
    gated->code = MR_E(IO);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mr_worker_submit(bench->worker, &gated->job, NULL), 0);
        sem_post(&bench->gate);
        assert_ptr_equal(mr_worker_done(bench->worker, WAIT_MS), &gated->job);
        assert_int_equal(gated->job.err.code, i == 0 ? MR_E(IO) : 0);
        gated->code = 0;
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_come_back_in_their_order_with_what_they_returned,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_queue_takes_its_maximum_and_not_one_more, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_done_before_it_is_done, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_job_can_be_submitted_again_without_its_old_error, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
