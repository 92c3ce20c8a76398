/*
 * What native Kinesis refuses, and in which words: the service's where it has some, and the fix.
 */
#include "kinesis_client.h"

#include "gateway/kinesis_doc.h"

#include <stdio.h>
#include <stdlib.h>

#define S      "\"StreamName\":\"" CLIENT_STREAM "\""
#define SHARD  S ",\"ShardId\":\"shardId-000000000000\""
#define RECORD "\"Data\":\"e30=\",\"PartitionKey\":\"k\""
#define WRONG  " failed to satisfy constraint: Member must "
#define NONE   "Stream streaming-nobody-pin under account 000000000000 not found"

static const struct {
    const char *operation, *body, *type, *words;
} refusals[] = {
    { "PutRecord", "", "SerializationException", "the body is empty" },
    { "PutRecord", "[]", "SerializationException", "is not an object" },
    { "PutRecord", "{\"a\":", "SerializationException", "a value is expected at byte 5" },
    { "PutRecord", "{\"a\":\"\\x\"}", "SerializationException", "an escape that there is not" },
    { "PutRecord", "{\"a\":\"\\ud800\"}", "SerializationException", "is not UTF-8" },
    { "PutRecord", "{\"a\":1e999}", "SerializationException", "a number is too large" },
    { "PutRecord", "{}", "ValidationException",
      "3 validation errors detected: Value null at 'streamName'" WRONG "not be null; Value null at "
      "'data'" WRONG "not be null; Value null at 'partitionKey'" WRONG "not be null" },
    { "PutRecord", "{" S "," RECORD ",\"PartitionKey\":\"\"}", "ValidationException",
      "1 validation error detected: Value '' at 'partitionKey'" WRONG
      "have length greater than or equal to 1" },
    { "PutRecord", "{" S "," RECORD ",\"PartitionKey\":5}", "SerializationException",
      "PartitionKey is a number where a text is expected" },
    { "PutRecord", "{" S "," RECORD ",\"StreamName\":\"a b\"}", "ValidationException",
      "Value 'a b' at 'streamName'" WRONG "satisfy regular expression pattern: [a-zA-Z0-9_.-]+" },
    { "PutRecord", "{\"StreamARN\":\"arn:none/\"," RECORD "}", "ValidationException",
      "Value 'arn:none/' at 'streamARN'" WRONG "satisfy regular expression pattern: arn:aws" },
    { "PutRecord", "{\"StreamName\":\"nothing\"," RECORD "}", "ResourceNotFoundException",
      "streams are named streaming-<tenant>-<kind>" },
    { "PutRecord", "{\"StreamName\":\"streaming-nobody-pin\"," RECORD "}",
      "ResourceNotFoundException", "Topic nobody.pin not found" },
    { "PutRecord", "{" S "," RECORD ",\"ExplicitHashKey\":\"-1\"}", "ValidationException",
      "Value '-1' at 'explicitHashKey'" WRONG "satisfy regular expression pattern: 0|([1-9]" },
    { "PutRecord",
      "{" S "," RECORD ",\"ExplicitHashKey\":\"340282366920938463463374607431768211456\"}",
      "InvalidArgumentException",
      "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified "
      "value was 340282366920938463463374607431768211456" },
    { "PutRecord", "{" S "," RECORD ",\"Data\":{\"a\":1}}", "SerializationException",
      "Data is an object where base64 is expected; encode the event's JSON" },
    { "PutRecord", "{" S "," RECORD ",\"Data\":\"{}\"}", "SerializationException",
      "Data is not base64" },
    { "PutRecord", "{" S "," RECORD ",\"Data\":\"ZXlKaElqb3hmUT09\"}", "InvalidArgumentException",
      "Data is base64 twice" },
    { "PutRecord", "{\"records\":[{\"value\":{}}]}", "ValidationException",
      "this is a REST proxy body; POST it to /topics/<tenant>.<kind>" },
    { "PutRecord", "{" S ",\"Records\":[{" RECORD "}]}", "ValidationException",
      "X-Amz-Target says PutRecord" },
    { "PutRecords", "{" S "," RECORD "}", "ValidationException",
      "this is the record of a PutRecord, but X-Amz-Target says PutRecords" },
    { "PutRecords", "{" S "}", "ValidationException", "Value null at 'records'" },
    { "PutRecords", "{" S ",\"Records\":{" RECORD "}}", "SerializationException",
      "Records is no list; one record alone goes with PutRecord" },
    { "PutRecords", "{" S ",\"Records\":[{" RECORD "},7]}", "SerializationException",
      "records.2.member. is no object" },
    { "PutRecords", "{" S ",\"Records\":[{" RECORD "},{\"Data\":\"e30=\"}]}", "ValidationException",
      "Value null at 'records.2.member.partitionKey'" WRONG "not be null" },
    { "PutRecords", "{" S ",\"Records\":[{" RECORD "},{" RECORD ",\"Data\":\"ZTMwPQ==\"}]}",
      "InvalidArgumentException", "records.2.member.Data is base64 twice" },
    { "GetShardIterator", "{" SHARD ",\"ShardIteratorType\":\"NEXT\"}", "ValidationException",
      "Value 'NEXT' at 'shardIteratorType'" WRONG "satisfy enum value set: [AT_SEQUENCE_NUMBER" },
    { "GetShardIterator",
      "{" S ",\"ShardId\":\"shardId-000000000001\",\"ShardIteratorType\":\"LATEST\"}",
      "ResourceNotFoundException",
      "Shard shardId-000000000001 in stream " CLIENT_STREAM
      " under account 000000000000 does not exist" },
    { "GetShardIterator", "{" S ",\"ShardId\":\"first\",\"ShardIteratorType\":\"LATEST\"}",
      "ResourceNotFoundException", "Shard first in stream" },
    { "GetShardIterator", "{" SHARD ",\"ShardIteratorType\":\"AT_SEQUENCE_NUMBER\"}",
      "InvalidArgumentException",
      "Request specified AT_SEQUENCE_NUMBER and no StartingSequenceNumber." },
    { "GetShardIterator",
      "{" SHARD ",\"ShardIteratorType\":\"LATEST\",\"StartingSequenceNumber\":\"1\"}",
      "InvalidArgumentException", "Request specified LATEST and also a StartingSequenceNumber." },
    { "GetShardIterator",
      "{" SHARD ",\"ShardIteratorType\":\"AT_SEQUENCE_NUMBER\",\"StartingSequenceNumber\":\"17\"}",
      "InvalidArgumentException", "is invalid because it did not come from this stream." },
    { "GetShardIterator",
      "{" SHARD ",\"ShardIteratorType\":\"AT_SEQUENCE_NUMBER\","
      "\"StartingSequenceNumber\":\"49000000000000000000000003\"}",
      "InvalidArgumentException",
      "It encodes shardId-000000000003, while it was used in a call to a shard with "
      "shardId-000000000000" },
    { "GetShardIterator", "{" SHARD ",\"ShardIteratorType\":\"AT_TIMESTAMP\"}",
      "InvalidArgumentException", "Current request has no timestamp parameter." },
    { "GetShardIterator",
      "{" SHARD ",\"ShardIteratorType\":\"AT_TIMESTAMP\",\"Timestamp\":9999999999}",
      "InvalidArgumentException", "cannot be greater than the currentTimestampInMillis" },
    { "GetShardIterator", "{" SHARD ",\"ShardIteratorType\":\"AT_TIMESTAMP\",\"Timestamp\":-1}",
      "SerializationException", "Timestamp is no time" },
    { "GetRecords", "{}", "ValidationException", "Value null at 'shardIterator'" },
    { "GetRecords", "{\"ShardIterator\":\"x\"}", "InvalidArgumentException",
      "Invalid ShardIterator." },
    { "GetRecords", "{\"ShardIterator\":\"x\",\"Limit\":0}", "ValidationException",
      "Value '0' at 'limit'" WRONG "have value greater than or equal to 1" },
    { "GetRecords", "{\"ShardIterator\":\"x\",\"Limit\":10001}", "ValidationException",
      "Value '10001' at 'limit'" WRONG "have value less than or equal to 10000" },
    { "GetRecords", "{\"ShardIterator\":\"x\",\"Limit\":1.5}", "SerializationException",
      "Limit is 1.5 where a whole number is expected" },
    { "ListStreams", "{\"NextToken\":\"x\"}", "InvalidArgumentException", "NextToken is invalid" },
    { "ListShards", "{}", "InvalidArgumentException",
      "Either NextToken or StreamName should be provided." },
    { "ListShards", "{" S ",\"NextToken\":\"x\"}", "InvalidArgumentException",
      "NextToken and StreamName cannot be provided together." },
    { "ListShards", "{" S ",\"ShardFilter\":{\"Type\":\"ALL\"}}", "ValidationException",
      "Value 'ALL' at 'shardFilter.type'" WRONG "satisfy enum value set: [AFTER_SHARD_ID" },
    { "ListShards", "{" S ",\"ShardFilter\":{\"Type\":\"AFTER_SHARD_ID\"}}", "ValidationException",
      "Value null at 'shardFilter.shardId'" },
    { "ListShards", "{\"StreamName\":\"streaming-nobody-pin\"}", "ResourceNotFoundException",
      NONE },
    { "DescribeStream", "{\"StreamName\":\"streaming-nobody-pin\"}", "ResourceNotFoundException",
      NONE },
    { "DescribeStreamSummary", "{}", "ValidationException", "Value null at 'streamName'" },
    { "CreateStream", "{\"StreamName\":\"streaming-a-nokind\"}", "InvalidArgumentException",
      "names no kind of event that is known here; name it streaming-<tenant>-<kind>, kinds are: "
      "geo, pin, user" },
    { "CreateStream", "{\"StreamName\":\"a-geo\",\"ShardCount\":0}", "ValidationException",
      "Value '0' at 'shardCount'" },
    { "CreateStream", "{\"StreamName\":\"a-geo\",\"ShardCount\":501}", "LimitExceededException",
      "501 shards were asked for, a stream is made with at most 500" },
    { "CreateStream", "{\"StreamName\":\"a-geo\",\"Tags\":{\"a\":\"b\"}}",
      "InvalidArgumentException", "Tags are not kept here" },
    { "CreateStream", "{\"StreamName\":\"12B287eedf6d-geo\"}", "ResourceInUseException",
      "differs only in case" },
    { "DeleteStream", "{\"StreamName\":\"streaming-nobody-pin\"}", "ResourceNotFoundException",
      NONE },
    { "SplitShard", "{}", "UnknownOperationException",
      "Kinesis_20131202.SplitShard is not offered here; offered are" },
};

static void
what_is_wrong_is_told_in_the_words_of_the_service(void **state)
{
    (void)state;
    struct gate gate;
    client_open(&gate, 1);
    for (size_t i = 0; i < MR_COUNT(refusals); i++)
        client_refused_body(&gate, false, refusals[i].operation, mr_slice_text(refusals[i].body),
                            refusals[i].type, refusals[i].words);
    struct stored stored;
    stored_read(&gate, CLIENT_TOPIC, &stored);
    assert_int_equal(stored.count, 0);
    stored_fini(&stored);
    gate_close(&gate);
}

static void
requests_that_are_none_are_told_what_to_send(void **state)
{
    (void)state;
    static const struct {
        const char *path, *headers, *words;
    } cases[] = {
        { "/", "Content-Type: application/x-amz-json-1.1\r\n", "X-Amz-Target  is not offered" },
        { "/", "X-Amz-Target: DynamoDB_20120810.PutItem\r\n", "DynamoDB_20120810.PutItem" },
        { "/", "X-Amz-Target: Kinesis_20131202.PutRecord\r\nContent-Type: text/xml\r\n",
          "Content-Type text/xml is not taken here" },
        { "/stage", "X-Amz-Target: Kinesis_20131202.PutRecord\r\n", "Value null at 'streamName'" },
    };
    struct gate gate;
    client_open(&gate, 1);
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        struct answer answer;
        gate_call(&gate, "POST", cases[i].path, cases[i].headers, MR_SLICE("{}"), &answer);
        if (answer.status != 400 || strstr(answer.body, cases[i].words) == NULL)
            fail_msg("%s: %s", cases[i].headers, answer.text.data);
        answer_fini(&answer);
    }
    gate_close(&gate);
}

/* ---- CBOR ---- */

static void
cbor_that_is_broken_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        struct mr_slice body;
        const char *words;
    } cases[] = {
        { MR_SLICE("\xa1\x61"), "it ends too early at byte 1" },
        { MR_SLICE("\xa1\x61\x61"), "it ends too early at byte 3" },
        { MR_SLICE("\xbf\x61\x61\x01"), "it ends too early" },
        { MR_SLICE("\xa1\x01\x01"), "the name of a field is not a text" },
        { MR_SLICE("\xa0\x00"), "something stands behind the end" },
        { MR_SLICE("\xff"), "there is a break too many" },
        { MR_SLICE("\x1c"), "a byte that begins no value" },
        { MR_SLICE("\xc1\xc1\x01"), "a tag has a tag" },
        { MR_SLICE("\x5f\x61\x61\xff"), "a piece of another type" },
        { MR_SLICE("\xa1\x61\x61\x61\xff"), "is not UTF-8" },
        { MR_SLICE("\xf9\x7c\x00"), "a number is not finite" },
        { MR_SLICE("\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "it ends too early" },
        { MR_SLICE("\x7b\x7f\xff\xff\xff\xff\xff\xff\xff\x61"), "it ends too early" },
        { MR_SLICE("\x80"), "is not an object" },
    };
    struct gate gate;
    client_open(&gate, 1);
    for (size_t i = 0; i < MR_COUNT(cases); i++)
        client_refused_body(&gate, true, "ListStreams", cases[i].body, "SerializationException",
                            cases[i].words);
    gate_close(&gate);
}

static void
cbor_strings_may_come_in_pieces(void **state)
{
    (void)state;
    static const struct mr_slice body = MR_SLICE("\xbf"
                                                 "\x6aStreamName"
                                                 "\x7f\x63t-p\x62in\xff"
                                                 "\x64"
                                                 "Data"
                                                 "\x5f\x41{\x41}\xff"
                                                 "\x7f\x69Partition\x63Key\xff"
                                                 "\x61k"
                                                 "\x64None\xf6"
                                                 "\xff");
    struct gate gate;
    struct answer answer;
    struct stored stored;
    gate_open(&gate, &(struct gate_wish){ .topic = "t.pin" });
    gate_call(&gate, "POST", "/",
              "X-Amz-Target: Kinesis_20131202.PutRecord\r\n"
              "Content-Type: application/x-amz-cbor-1.1\r\n",
              body, &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    stored_read(&gate, "t.pin", &stored);
    assert_string_equal(stored.values[0].data, "{}");
    assert_string_equal(stored.keys[0].data, "k");
    stored_fini(&stored);
    gate_close(&gate);
}

static int
read_repeated(bool is_cbor, const char *opening, const char *closing, size_t count)
{
    struct mr_buf body;
    struct mr_arena arena;
    struct mr_err err = { 0 };
    const struct doc *doc;
    mr_arena_init(&arena);
    mr_buf_init(&body, 1 << 20);
    for (size_t i = 0; i < count; i++)
        mr_buf_text(&body, opening);
    mr_buf_text(&body, is_cbor ? "\xf6" : "0");
    for (size_t i = 0; i < count; i++)
        mr_buf_text(&body, closing);
    int code = is_cbor ? doc_from_cbor(mr_buf_slice(&body), &arena, &doc, &err)
                       : doc_from_json(mr_buf_slice(&body), &arena, &doc, &err);
    mr_buf_fini(&body);
    mr_arena_fini(&arena);
    return code;
}

static void
bodies_are_bounded_in_depth(void **state)
{
    (void)state;
    assert_int_equal(read_repeated(true, "\x81", "", DOC_DEPTH_MAX), 0);
    assert_int_equal(read_repeated(true, "\x81", "", DOC_DEPTH_MAX + 1), MR_E(INVALID));
    assert_int_equal(read_repeated(false, "[", "]", DOC_DEPTH_MAX), 0);
    assert_int_equal(read_repeated(false, "[", "]", DOC_DEPTH_MAX + 1), MR_E(INVALID));
}

static int
read_many(bool is_cbor, size_t count)
{
    struct mr_buf body;
    struct mr_arena arena;
    struct mr_err err = { 0 };
    const struct doc *doc;
    mr_arena_init(&arena);
    mr_buf_init(&body, 1 << 20);
    mr_buf_text(&body, is_cbor ? "\x9f" : "[");
    for (size_t i = 0; i < count; i++)
        mr_buf_text(&body, is_cbor ? "\x01" : i == 0 ? "1" : ",1");
    mr_buf_text(&body, is_cbor ? "\xff" : "]");
    int code = is_cbor ? doc_from_cbor(mr_buf_slice(&body), &arena, &doc, &err)
                       : doc_from_json(mr_buf_slice(&body), &arena, &doc, &err);
    assert_true(code != 0 || doc->count == count);
    mr_buf_fini(&body);
    mr_arena_fini(&arena);
    return code;
}

static void
bodies_are_bounded_in_their_count_of_values(void **state)
{
    (void)state;
    for (BOTH_CODINGS) {
        assert_int_equal(read_many(is_cbor, DOC_VALUES_MAX), 0);
        assert_int_equal(read_many(is_cbor, DOC_VALUES_MAX + 1), MR_E(INVALID));
    }
}

int
kinesis_refusal_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_told_in_the_words_of_the_service),
        cmocka_unit_test(requests_that_are_none_are_told_what_to_send),
        cmocka_unit_test(cbor_that_is_broken_is_refused_with_its_place),
        cmocka_unit_test(cbor_strings_may_come_in_pieces),
        cmocka_unit_test(bodies_are_bounded_in_depth),
        cmocka_unit_test(bodies_are_bounded_in_their_count_of_values),
    };
    return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}
