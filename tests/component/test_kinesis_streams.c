/*
 * Streams and shards through native Kinesis: made, listed, described and deleted.
 */
#include "kinesis_client.h"

#include "clock/clock.h"
#include "guard_fixture.h"

#include <stdlib.h>

static json_t *
stream_fields(const char *name)
{
    return json_pack("{ss}", "StreamName", name);
}

static int
partitions_of(struct gate *gate, const char *topic)
{
    MR_CLEANUP(mr_freep) struct mr_topic *topics = NULL;
    struct mr_err err = { 0 };
    size_t count;
    assert_int_equal(mr_bus_topics(gate->bus, &topics, &count, 1000, &err), 0);
    for (size_t i = 0; i < count; i++)
        if (strcmp(topics[i].name, topic) == 0)
            return topics[i].partitions;
    return 0;
}

static void
a_stream_is_made_with_all_its_topics_and_deleted_with_them(void **state)
{
    (void)state;
    static const char *const topics[] = { "t1.geo", "t1.geo.valid", "t1.geo.clean", "t1.geo.dead" };
    struct gate gate;
    client_open(&gate, 3);
    for (BOTH_CODINGS) {
        const char *name = "streaming-t1-geo";
        json_decref(client_ask(&gate, is_cbor, "CreateStream",
                               json_pack("{sssi}", "StreamName", name, "ShardCount", 5)));
        for (size_t i = 0; i < MR_COUNT(topics); i++)
            assert_int_equal(partitions_of(&gate, topics[i]), 5);
        client_refused(&gate, is_cbor, "CreateStream", stream_fields(name),
                       "ResourceInUseException",
                       "Stream streaming-t1-geo under account 000000000000 already exists.");
        json_t *summary = client_ask(&gate, is_cbor, "DescribeStreamSummary", stream_fields(name));
        assert_int_equal(
            json_integer_value(json_object_get(json_object_get(summary, "StreamDescriptionSummary"),
                                               "OpenShardCount")),
            5);
        json_decref(summary);
        json_decref(client_ask(&gate, is_cbor, "DeleteStream", stream_fields(name)));
        for (size_t i = 0; i < MR_COUNT(topics); i++)
            assert_int_equal(partitions_of(&gate, topics[i]), 0);
        client_refused(&gate, is_cbor, "DescribeStream", stream_fields(name),
                       "ResourceNotFoundException",
                       "Stream streaming-t1-geo under account 000000000000 not found.");
    }
    json_decref(client_ask(&gate, false, "CreateStream", stream_fields("t2-user")));
    assert_int_equal(partitions_of(&gate, "t2.user"), 3);
    gate_close(&gate);
}

static void
an_api_gateway_makes_and_deletes_streams_too(void **state)
{
    (void)state;
    struct gate gate;
    struct answer answer;
    client_open(&gate, 1);
    gate_call(&gate, "POST", "/prod/streams/streaming-t1-geo", "Content-Type: application/json\r\n",
              MR_SLICE("{\"ShardCount\":2}"), &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    assert_int_equal(partitions_of(&gate, "t1.geo.dead"), 2);
    gate_call(&gate, "DELETE", "/prod/streams/streaming-t1-geo", "", MR_SLICE(""), &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    assert_int_equal(partitions_of(&gate, "t1.geo"), 0);
    gate_call(&gate, "DELETE", "/prod/streams/streaming-t1-geo", "", MR_SLICE(""), &answer);
    assert_int_equal(answer.status, 400);
    assert_non_null(strstr(answer.body, "ResourceNotFoundException"));
    answer_fini(&answer);
    gate_close(&gate);
}

static void
streams_are_listed_in_pages_of_both_kinds(void **state)
{
    (void)state;
    struct gate gate;
    client_open(&gate, 1);
    static const char *const names[] = { "streaming-12b287eedf6d-pin", "streaming-a-geo",
                                         "streaming-b-geo" };
    for (size_t i = 1; i < MR_COUNT(names); i++)
        json_decref(client_ask(&gate, false, "CreateStream", stream_fields(names[i])));
    for (BOTH_CODINGS) {
        for (int by_token = 0; by_token < 2; by_token++) {
            json_t *page = json_object();
            for (size_t i = 0; i < MR_COUNT(names); i++) {
                json_t *fields = json_pack("{si}", "Limit", 1);
                if (i > 0 && by_token)
                    (void)json_object_set(fields, "NextToken", json_object_get(page, "NextToken"));
                else if (i > 0)
                    (void)json_object_set_new(fields, "ExclusiveStartStreamName",
                                              json_string(names[i - 1]));
                json_decref(page);
                page = client_ask(&gate, is_cbor, "ListStreams", fields);
                const json_t *shown = json_object_get(page, "StreamNames");
                assert_int_equal(json_array_size(shown), 1);
                assert_string_equal(json_string_value(json_array_get(shown, 0)), names[i]);
                assert_int_equal(json_is_true(json_object_get(page, "HasMoreStreams")), i < 2);
            }
            json_decref(page);
        }
    }
    gate_close(&gate);
}

static json_t *
first_shard(json_t *page)
{
    return json_array_get(json_object_get(page, "Shards"), 0);
}

static void
shards_are_listed_in_pages_and_by_filter(void **state)
{
    (void)state;
    struct gate gate;
    mr_clock_hold(1000000, 1795262400000000);
    client_open(&gate, 3);
    for (BOTH_CODINGS) {
        json_t *page =
            client_ask(&gate, is_cbor, "ListShards",
                       json_pack("{sssi}", "StreamName", CLIENT_STREAM, "MaxResults", 2));
        assert_int_equal(json_array_size(json_object_get(page, "Shards")), 2);
        json_t *range = json_object_get(first_shard(page), "HashKeyRange");
        assert_string_equal(client_text(range, "StartingHashKey"), "0");
        assert_string_equal(client_text(range, "EndingHashKey"),
                            "113427455640312821154458202477256070484");
        json_t *token = json_pack("{ss}", "NextToken", client_text(page, "NextToken"));
        json_decref(page);
        page = client_ask(&gate, is_cbor, "ListShards", json_incref(token));
        assert_int_equal(json_array_size(json_object_get(page, "Shards")), 1);
        assert_string_equal(client_text(first_shard(page), "ShardId"), "shardId-000000000002");
        assert_null(json_object_get(page, "NextToken"));
        json_decref(page);
        mr_clock_crank(300001);
        client_refused(&gate, is_cbor, "ListShards", token, "ExpiredNextTokenException",
                       "list anew");

        page = client_ask(&gate, is_cbor, "ListShards",
                          json_pack("{sss{ssss}}", "StreamARN",
                                    "arn:aws:kinesis:eu-west-1:123456789012:stream/" CLIENT_STREAM,
                                    "ShardFilter", "Type", "AFTER_SHARD_ID", "ShardId",
                                    "shardId-000000000000"));
        assert_int_equal(json_array_size(json_object_get(page, "Shards")), 2);
        json_decref(page);
    }
    gate_close(&gate);
    mr_clock_release();
}

static void
a_stream_is_described_with_its_shards(void **state)
{
    (void)state;
    struct gate gate;
    client_open(&gate, 3);
    for (BOTH_CODINGS) {
        json_t *answer = client_ask(&gate, is_cbor, "DescribeStream",
                                    json_pack("{sssiss}", "StreamName", CLIENT_STREAM, "Limit", 1,
                                              "ExclusiveStartShardId", "shardId-000000000000"));
        const json_t *stream = json_object_get(answer, "StreamDescription");
        assert_string_equal(client_text(stream, "StreamStatus"), "ACTIVE");
        assert_string_equal(client_text(stream, "StreamARN"),
                            "arn:aws:kinesis:us-east-1:000000000000:stream/" CLIENT_STREAM);
        assert_int_equal(json_integer_value(json_object_get(stream, "RetentionPeriodHours")), 168);
        assert_true(json_is_true(json_object_get(stream, "HasMoreShards")));
        const json_t *shard = json_array_get(json_object_get(stream, "Shards"), 0);
        assert_string_equal(client_text(shard, "ShardId"), "shardId-000000000001");
        json_decref(answer);
        answer = client_ask(&gate, is_cbor, "ListTagsForStream", stream_fields(CLIENT_STREAM));
        assert_false(json_is_true(json_object_get(answer, "HasMoreTags")));
        json_decref(answer);
    }
    gate_close(&gate);
}

static bool
shows_streams(void *self)
{
    json_t *answer;
    int status = client_call(self, false, "ListStreams", json_object(), &answer);
    json_decref(answer);
    return status == 200;
}

static void
rights_decide_what_is_seen_and_done(void **state)
{
    (void)state;
    struct guarded guarded = { 0 };
    struct mr_err err = { 0 };
    const char *mine = "streaming-a1b2c3-pin", *other = "streaming-other-pin";
    guarded_open(&guarded, "{'principals':[{'name':'reader','api_keys':['" KEY2_HASH
                           "'],'grants':[{'tenants':['a1b2c3'],'kinds':['pin'],'rights':"
                           "['consume']}]}]}");
    struct gate *gate = &guarded.gate;
    assert_int_equal(mr_plan_make(gate->plan, gate->bus, "other", "pin", 1000, &err), 0);
    client_header(KEY2);
    gate_await(gate, shows_streams, gate);
    json_t *listed = client_ask(gate, false, "ListStreams", json_object());
    assert_int_equal(json_array_size(json_object_get(listed, "StreamNames")), 1);
    json_decref(listed);
    json_decref(client_ask(gate, true, "DescribeStream", stream_fields(mine)));
    json_t *began = client_ask(gate, false, "GetShardIterator",
                               json_pack("{ssssss}", "StreamName", mine, "ShardId", "0",
                                         "ShardIteratorType", "TRIM_HORIZON"));
    json_decref(client_ask(gate, true, "GetRecords", json_incref(began)));
    json_decref(began);
    static const char *const refused[] = { "DescribeStream", "ListShards", "DeleteStream",
                                           "CreateStream", "ListTagsForStream" };
    for (size_t i = 0; i < MR_COUNT(refused); i++)
        client_refused(gate, i % 2 == 0, refused[i], stream_fields(other), "AccessDeniedException",
                       "User: reader is not authorized to perform: kinesis:");
    json_t *put = client_record("{}", "k");
    (void)json_object_set_new(put, "StreamName", json_string(mine));
    client_refused(gate, true, "PutRecord", put, "AccessDeniedException", "may not post");
    client_refused(gate, false, "DeleteStream", stream_fields(mine), "AccessDeniedException", "");
    client_header(NULL);
    guarded_close(&guarded);
}

int
kinesis_stream_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_is_made_with_all_its_topics_and_deleted_with_them),
        cmocka_unit_test(an_api_gateway_makes_and_deletes_streams_too),
        cmocka_unit_test(streams_are_listed_in_pages_of_both_kinds),
        cmocka_unit_test(shards_are_listed_in_pages_and_by_filter),
        cmocka_unit_test(a_stream_is_described_with_its_shards),
        cmocka_unit_test(rights_decide_what_is_seen_and_done),
    };
    return cmocka_run_group_tests_name("streams", tests, NULL, NULL);
}
