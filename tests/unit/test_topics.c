/*
 * topics: the plan file, its faults, and what is made of it on a bus in memory.
 */
#include "bus/memory.h"
#include "topics/topics.h"

#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int
open_text(const char *text, struct mr_plan **ret, struct mr_err *err)
{
    char path[] = "/tmp/millrace-topics-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
    int code = mr_plan_open(path, ret, err);
    (void)unlink(path);
    return code;
}

static void
the_shipped_plan_is_good(void **state)
{
    (void)state;
    char path[4096];
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_plan_closep) struct mr_plan *plan = NULL;
    (void)snprintf(path, sizeof(path), "%s/deploy/topics.json", getenv("MILLRACE_SOURCE"));
    assert_int_equal(mr_plan_open(path, &plan, &err), 0);
    assert_int_equal(mr_plan_partitions(plan), 3);
    assert_int_equal(mr_plan_replicas(plan), 1);
    assert_string_equal(mr_plan_setting(plan, MR_TOPIC_RAW, "min.insync.replicas"), "1");
    assert_string_equal(mr_plan_setting(plan, MR_TOPIC_DEAD, "unclean.leader.election.enable"),
                        "false");
}

static void
what_a_role_says_of_itself_wins(void **state)
{
    (void)state;
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_plan_closep) struct mr_plan *plan = NULL;
    int code = open_text("{\"partitions\":1,\"replicas\":2,\"settings\":{\"retention.ms\":1,"
                         "\"max.message.bytes\":\"2000\"},\"dead\":{\"retention.ms\":-1,"
                         "\"max.message.bytes\":900000},\"clean\":{\"max.message.bytes\":3000}}",
                         &plan, &err);
    assert_int_equal(code, 0);
    assert_string_equal(mr_plan_setting(plan, MR_TOPIC_RAW, "retention.ms"), "1");
    assert_string_equal(mr_plan_setting(plan, MR_TOPIC_DEAD, "retention.ms"), "-1");
    assert_string_equal(mr_plan_setting(plan, MR_TOPIC_RAW, "max.message.bytes"), "2000");
    assert_string_equal(mr_plan_setting(plan, MR_TOPIC_VALID, "max.message.bytes"), "67536");
    assert_string_equal(mr_plan_setting(plan, MR_TOPIC_CLEAN, "max.message.bytes"), "67536");
    assert_string_equal(mr_plan_setting(plan, MR_TOPIC_DEAD, "max.message.bytes"), "900000");
    assert_null(mr_plan_setting(plan, MR_TOPIC_RAW, "segment.bytes"));
    for (int role = MR_TOPIC_RAW; role <= MR_TOPIC_DEAD; role++) /* the broker's may be compact */
        assert_string_equal(mr_plan_setting(plan, (enum mr_topic_role)role, "cleanup.policy"),
                            "delete");
}

static void
a_faulty_plan_is_refused_with_its_fault(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } faulty[] = {
        { "", "line" },
        { "[]", "one object is expected" },
        { "{\"replicas\":1}", "partitions must be a whole number from 1" },
        { "{\"partitions\":0,\"replicas\":1}", "partitions must be" },
        { "{\"partitions\":10001,\"replicas\":1}", "partitions must be" },
        { "{\"partitions\":1,\"replicas\":101}", "replicas must be" },
        { "{\"partitions\":1,\"replicas\":1,\"partition\":1}", "partition is not known" },
        { "{\"partitions\":1,\"replicas\":1,\"settings\":[]}", "must be an object" },
        { "{\"partitions\":1,\"replicas\":1,\"settings\":{\"a\":null}}", "setting a must be" },
        { "{\"partitions\":1,\"replicas\":1,\"settings\":{\"max.message.bytes\":12}}",
          "out of range" },
        { "{\"partitions\":1,\"replicas\":1,\"valid\":{\"cleanup.policy\":\"compact,delete\"}}",
          "cleanup.policy must be delete, not compact,delete" },
    };
    for (size_t i = 0; i < MR_COUNT(faulty); i++) {
        struct mr_err err = { 0 };
        struct mr_plan *plan = NULL;
        assert_int_equal(open_text(faulty[i].text, &plan, &err), MR_E(INVALID));
        if (strstr(err.text, faulty[i].words) == NULL)
            fail_msg("%s: %s", faulty[i].text, err.text);
        assert_null(plan);
    }
}

static void
settings_have_a_largest_number(void **state)
{
    (void)state;
    for (int count = 62; count <= 63; count++) { /* and two that are added */
        struct mr_buf text;
        struct mr_err err = { 0 };
        struct mr_plan *plan = NULL;
        mr_buf_init(&text, 65536);
        mr_buf_text(&text, "{\"partitions\":1,\"replicas\":1,\"settings\":{\"s0\":0");
        for (int i = 1; i < count; i++)
            mr_buf_printf(&text, ",\"s%d\":0", i);
        mr_buf_text(&text, "}}");
        assert_int_equal(open_text(text.data, &plan, &err), count == 62 ? 0 : MR_E(TOO_LARGE));
        mr_plan_close(plan);
        mr_buf_fini(&text);
    }
}

/* Whoever sees T may take for granted that its followers are there (LAW 13). */
static void
topics_are_made_downstream_first(void **state)
{
    (void)state;
    static const char *const order[] = { "abc.pin.clean", "abc.pin.dead", "abc.pin.valid" };
    for (unsigned made = 0; made < MR_COUNT(order) + 1; made++) {
        struct mr_err err = { 0 }, fault = { .code = MR_E(TIMEOUT), .remedy = MR_RETRY };
        MR_CLEANUP(mr_plan_closep) struct mr_plan *plan = NULL;
        MR_CLEANUP(mr_freep) struct mr_topic *topics = NULL;
        size_t count;
        struct mr_bus *bus = mr_bus_memory();
        assert_int_equal(open_text("{\"partitions\":2,\"replicas\":1}", &plan, &err), 0);
        mr_bus_memory_fault(bus, "create", made, 1, &fault);
        assert_int_equal(mr_plan_make(plan, bus, "abc", "pin", 1000, &err), MR_E(TIMEOUT));
        assert_int_equal(mr_bus_topics(bus, &topics, &count, 1000, &err), 0);
        assert_int_equal(count, made);
        for (size_t i = 0; i < count; i++)
            assert_string_equal(topics[i].name, order[i]);
        mr_bus_close(bus);
    }
}

static void
a_tenant_that_differs_only_in_case_gets_no_topics(void **state)
{
    (void)state;
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_plan_closep) struct mr_plan *plan = NULL;
    MR_CLEANUP(mr_freep) struct mr_topic *topics = NULL;
    size_t count;
    struct mr_bus *bus = mr_bus_memory();
    assert_int_equal(open_text("{\"partitions\":2,\"replicas\":1}", &plan, &err), 0);
    assert_int_equal(mr_plan_make(plan, bus, "abc", "pin", 1000, &err), 0);
    assert_int_equal(mr_plan_make(plan, bus, "abc", "pin", 1000, &err), 0);
    assert_int_equal(mr_plan_make(plan, bus, "aBc", "geo", 1000, &err), MR_E(CONFLICT));
    assert_int_equal(mr_bus_topics(bus, &topics, &count, 1000, &err), 0);
    assert_int_equal(count, 4);
    mr_bus_close(bus);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shipped_plan_is_good),
        cmocka_unit_test(what_a_role_says_of_itself_wins),
        cmocka_unit_test(a_faulty_plan_is_refused_with_its_fault),
        cmocka_unit_test(settings_have_a_largest_number),
        cmocka_unit_test(topics_are_made_downstream_first),
        cmocka_unit_test(a_tenant_that_differs_only_in_case_gets_no_topics),
    };
    return cmocka_run_group_tests_name("topics", tests, NULL, NULL);
}
