"""Kinesis in its native form: boto3, the aws command, and AWS's SDK for JavaScript."""

import base64
import json
import os
import subprocess

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from door import DEPS, run

HERE = os.path.dirname(__file__)
KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any-secret",
        "AWS_DEFAULT_REGION": "us-east-1"}
PIN = b'{"index": 1, "title": "\xc3\xbc"}'


@pytest.fixture(scope="module")
def kinesis(gateway):
    return boto3.client("kinesis", endpoint_url=gateway.url, region_name="us-east-1",
                        aws_access_key_id="any", aws_secret_access_key="any-secret",
                        config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def stream(tenant):
    return f"streaming-{tenant}-pin"


def read(kinesis, stream, shard, kind, **more):
    """All records from an iterator on, until it has caught up."""
    at = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType=kind,
                                    **more)["ShardIterator"]
    records = []
    while True:
        page = kinesis.get_records(ShardIterator=at, Limit=2)
        assert len(page["Records"]) <= 2
        records += page["Records"]
        at = page["NextShardIterator"]
        if not page["Records"] and page["MillisBehindLatest"] == 0:
            return records


def test_put_record(broker, kinesis, tenant, stream):
    receipt = kinesis.put_record(StreamName=stream, Data=PIN, PartitionKey="k")
    (place, record), = broker.records(f"{tenant}.pin").items()
    assert record[:2] == (b"k", PIN)
    assert receipt["ShardId"] == f"shardId-{place[0]:012}"
    read_back, = read(kinesis, stream, receipt["ShardId"], "TRIM_HORIZON")
    assert read_back["Data"] == PIN and read_back["PartitionKey"] == "k"
    assert read_back["SequenceNumber"] == receipt["SequenceNumber"]


def test_put_records(broker, kinesis, tenant, stream):
    """500 at once; all of a partition key are in one shard, in order."""
    records = [{"Data": b'{"index":%d}' % number, "PartitionKey": f"k{number % 7}"}
               for number in range(500)]
    answer = kinesis.put_records(StreamName=stream, Records=records)
    assert answer["FailedRecordCount"] == 0
    stands, shards = broker.records(f"{tenant}.pin"), {}
    assert len(stands) == 500
    for sent, told in zip(records, answer["Records"]):
        shards.setdefault(told["ShardId"], []).append((told["SequenceNumber"], sent))
    for shard, told in shards.items():
        numbers = [int(number) for number, _ in told]
        assert numbers == sorted(set(numbers))
        there = [stands[place] for place in sorted(stands) if place[0] == int(shard[8:])]
        assert [(record.key.decode(), record.value) for record in there] == [
            (sent["PartitionKey"], sent["Data"]) for _, sent in told]
    assert len({(sent["PartitionKey"], shard) for shard, told in shards.items()
                for _, sent in told}) == 7


def test_explicit_hash_key(broker, kinesis, tenant, stream):
    kinesis.put_record(StreamName=stream, Data=PIN, PartitionKey="k")
    shards = kinesis.list_shards(StreamName=stream)["Shards"]
    assert len(shards) == 3
    for shard in shards:
        for end in "StartingHashKey", "EndingHashKey":
            told = kinesis.put_record(StreamName=stream, Data=PIN, PartitionKey="any",
                                      ExplicitHashKey=shard["HashKeyRange"][end])
            assert told["ShardId"] == shard["ShardId"]
    whole = sorted((int(shard["HashKeyRange"]["StartingHashKey"]),
                    int(shard["HashKeyRange"]["EndingHashKey"])) for shard in shards)
    assert whole[0][0] == 0 and whole[-1][1] == 2**128 - 1
    assert all(before[1] + 1 == after[0] for before, after in zip(whole, whole[1:]))


def test_iterators(kinesis, stream):
    """All five types, seen from the middle one of three records."""
    told = [kinesis.put_record(StreamName=stream, Data=b'{"index":%d}' % number,
                               PartitionKey="k") for number in range(3)]
    shard, middle = told[0]["ShardId"], told[1]["SequenceNumber"]

    def indexes(kind, **more):
        return [json.loads(record["Data"])["index"]
                for record in read(kinesis, stream, shard, kind, **more)]
    assert indexes("TRIM_HORIZON") == [0, 1, 2]
    assert indexes("AT_SEQUENCE_NUMBER", StartingSequenceNumber=middle) == [1, 2]
    assert indexes("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=middle) == [2]
    assert indexes("AT_TIMESTAMP", Timestamp=1) == [0, 1, 2]
    assert indexes("LATEST") == []


def test_streams(kinesis, tenant, stream):
    kinesis.create_stream(StreamName=stream, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=stream,
                                             WaiterConfig={"Delay": 1, "MaxAttempts": 10})
    told = kinesis.describe_stream(StreamName=stream)["StreamDescription"]
    assert told["StreamName"] == stream and len(told["Shards"]) == 2
    summary = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 2 and summary["StreamStatus"] == "ACTIVE"
    with pytest.raises(kinesis.exceptions.ResourceInUseException):
        kinesis.create_stream(StreamName=stream, ShardCount=2)
    names = [name for page in kinesis.get_paginator("list_streams").paginate(Limit=2)
             for name in page["StreamNames"]]
    assert stream in names and len(names) == len(set(names))
    kinesis.delete_stream(StreamName=stream)
    kinesis.get_waiter("stream_not_exists").wait(StreamName=stream,
                                                 WaiterConfig={"Delay": 1, "MaxAttempts": 20})


def test_errors_as_the_service_gives_them(kinesis, tenant, stream):
    kinesis.put_record(StreamName=stream, Data=PIN, PartitionKey="k")
    for call, words, name in (
            ("put_record", {"StreamName": "nothing-of-the-kind-here", "Data": b"1",
                            "PartitionKey": "k"}, "ResourceNotFoundException"),
            ("describe_stream", {"StreamName": f"{tenant}-geo"}, "ResourceNotFoundException"),
            ("put_records", {"StreamName": stream, "Records":
                             501 * [{"Data": b"1", "PartitionKey": "k"}]}, "ValidationException"),
            ("put_record", {"StreamName": stream, "Data": b"1", "PartitionKey": "k",
                            "ExplicitHashKey": str(2**128)}, "InvalidArgumentException"),
            ("get_records", {"ShardIterator": "nonsense"}, "InvalidArgumentException"),
            ("get_shard_iterator", {"StreamName": stream, "ShardId": "shardId-000000000009",
                                    "ShardIteratorType": "LATEST"}, "ResourceNotFoundException"),
            ("merge_shards", {"StreamName": stream, "ShardToMerge": "shardId-000000000000",
                              "AdjacentShardToMerge": "shardId-000000000001"}, None)):
        with pytest.raises(ClientError) as caught:
            getattr(kinesis, call)(**words)
        error = caught.value.response["Error"]
        assert name in (None, error["Code"]) and error["Message"], (call, error)


def test_aws_command(broker, gateway, tenant, stream, tmp_path):
    """Version 2 is given bytes as base64 within --records, version 1 as they are."""
    def aws(*words):
        out = run("aws", "--endpoint-url", gateway.url, "--output", "json", "kinesis", *words,
                  env=os.environ | KEYS)
        return json.loads(out) if out else {}
    (tmp_path / "data").write_bytes(PIN)
    receipt = aws("put-record", "--stream-name", stream, "--partition-key", "k", "--data",
                  f"fileb://{tmp_path}/data")
    shard = receipt["ShardId"]
    is_first = run("aws", "--version").startswith(b"aws-cli/1")
    data = PIN.decode() if is_first else base64.b64encode(PIN).decode()
    entries = json.dumps([{"Data": data, "PartitionKey": "k"}] * 2)
    told = aws("put-records", "--stream-name", stream, "--records", entries)
    assert told["FailedRecordCount"] == 0
    stands = broker.records(f"{tenant}.pin")
    assert [record[:2] for record in stands.values()] == 3 * [(b"k", PIN)]
    told = aws("describe-stream", "--stream-name", stream)["StreamDescription"]
    listed = aws("list-shards", "--stream-name", stream)["Shards"]
    assert [one["ShardId"] for one in told["Shards"]] == [one["ShardId"] for one in listed]
    assert shard in [one["ShardId"] for one in listed]
    at = aws("get-shard-iterator", "--stream-name", stream, "--shard-id", shard,
             "--shard-iterator-type", "TRIM_HORIZON")["ShardIterator"]
    records = aws("get-records", "--shard-iterator", at)["Records"]
    assert [base64.b64decode(record["Data"]) for record in records] == 3 * [PIN]
    assert records[0]["SequenceNumber"] == receipt["SequenceNumber"]


def test_javascript_sdk(broker, gateway, tenant, stream):
    """kinesis.js puts, lists and reads, and prints what it got."""
    out = subprocess.run(["node", f"{HERE}/kinesis.js", gateway.url, stream], timeout=60, text=True,
                         env=os.environ | {"NODE_PATH": str(DEPS / "node/node_modules")},
                         capture_output=True)
    assert out.returncode == 0, out.stdout + out.stderr
    told = json.loads(out.stdout)
    stands = broker.records(f"{tenant}.pin")
    assert [record[:2] for record in stands.values()] == 3 * [(b"k", b'{"index":1}')]
    assert told["read"] == 3 * ['{"index":1}'] and told["failed"] == 0
    assert told["shards"] == [f"shardId-{number:012}" for number in range(3)]
    assert told["error"] == "ResourceNotFoundException"
