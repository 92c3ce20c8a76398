"""The producers that exist, in all the forms in which they were seen: Python's requests, one record
a request, a new connection each time, three requests for each emission."""

import base64
import json
import sys
from collections import Counter
from pathlib import Path

import pytest
import requests

from door import BUILD, run

KINDS = ("pin", "geo", "user")
PIN = {"index": 7528, "unique_id": "fbe53c66-3442-4773-b19e-d3ec6f54dddf", "downloaded": 1,
       "title": "…\u00a0 🌱 'a'", "follower_count": "124k"}


def text(value):
    """As json.dumps puts it into a body, and so as it stands in Kafka."""
    return json.dumps(value).encode()


def made_up(count):
    return run(BUILD / "bin/millrace", "emulate", "--print", "--count", count)


def values(broker, topic):
    return [record.value for record in broker.records(topic).values()]


@pytest.mark.parametrize("stage", ["", "/test", "/Production"])
def test_the_script_as_it_is(broker, gateway, tenant, tmp_path, stage):
    (tmp_path / "rows").write_bytes(made_up(5))
    out = run(sys.executable, Path(__file__).with_name("user_script.py"), gateway.url + stage,
              tenant, tmp_path / "rows").decode()
    answers = [line.partition(" ")[::2] for line in out.splitlines()]
    assert [status for status, _ in answers] == ["200"] * 30, out
    for _, body in answers:
        body = json.loads(body)
        assert body.keys() in ({"offsets", "key_schema_id", "value_schema_id"},
                               {"ShardId", "SequenceNumber"}), body
    emissions = [json.loads(line) for line in made_up(5).splitlines()]
    for emission in emissions:
        for kind, field in ("geo", "timestamp"), ("user", "date_joined"):
            emission[kind][field] = emission[kind][field].replace("T", " ")
    for kind in KINDS:
        stands = Counter(values(broker, f"{tenant}.{kind}"))
        assert stands == Counter(2 * [text(emission[kind]) for emission in emissions])


# ---- batch: the REST proxy behind an API gateway ----

KAFKA = {"Content-Type": "application/vnd.kafka.json.v2+json"}
RECORD = {"records": [{"value": PIN}]}
BATCH = {
    "bare": ("POST", "/topics/{}.pin", KAFKA, RECORD, PIN),
    "PUT": ("PUT", "/dev/topics/{}.pin", KAFKA, RECORD, PIN),
    "slash at the end": ("POST", "/test/topics/{}.pin/", KAFKA, RECORD, PIN),
    "id with a dash": ("POST", "/test/topics/{}-a.pin", KAFKA, RECORD, PIN),
    "application/json": ("POST", "/test/topics/{}.pin", {"Content-Type": "application/json"},
                         RECORD, PIN),
    "no embedded format": ("POST", "/test/topics/{}.pin",
                           {"Content-Type": "application/vnd.kafka.v2+json"}, RECORD, PIN),
    "old": ("POST", "/test/topics/{}.pin", {"Content-Type": "application/vnd.kafka+json"}, RECORD,
            PIN),
    "Accept": ("POST", "/test/topics/{}.pin", KAFKA | {"Accept": "application/vnd.kafka.v2+json"},
               RECORD, PIN),
    "key null": ("POST", "/test/topics/{}.pin", KAFKA, {"records": [{"key": None, "value": PIN}]},
                 PIN),
    "text": ("POST", "/test/topics/{}.pin", KAFKA, {"records": [{"value": json.dumps(PIN)}]},
             json.dumps(PIN)),
    "list": ("POST", "/test/topics/{}.pin", KAFKA, {"records": [{"value": [PIN]}]}, [PIN]),
    "value in value": ("POST", "/test/topics/{}.pin", KAFKA,
                       {"records": [{"value": {"value": PIN}}]}, {"value": PIN}),
    "numbers as strings": ("POST", "/test/topics/{}.pin", KAFKA,
                           {"records": [{"value": PIN | {"index": "7528", "img_src": None}}]},
                           PIN | {"index": "7528", "img_src": None}),
}


@pytest.mark.parametrize("form", BATCH)
def test_batch_form(broker, gateway, tenant, form):
    method, path, headers, body, value = BATCH[form]
    answer = requests.request(method, gateway.url + path.format(tenant), headers=headers,
                              data=json.dumps(body), timeout=20)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("application/vnd.kafka.v2+json")
    offset, = answer.json()["offsets"]
    topic = f"{tenant}-a.pin" if "dash" in form else f"{tenant}.pin"
    stands = broker.records(topic)
    record = stands.pop((offset["partition"], offset["offset"]))
    assert (record.key, record.value) == (None, text(value)) and not stands


# ---- streaming: Kinesis behind an API gateway ----

DATA = json.dumps(PIN)
TWICE = base64.b64encode(DATA.encode()).decode()
STREAM = {
    "slash at the end": ("PUT", "streaming-{}-pin/record/", {"Data": PIN, "PartitionKey": "p"}),
    "POST": ("POST", "streaming-{}-pin/record", {"Data": PIN, "PartitionKey": "p"}),
    "wrong StreamName": ("PUT", "streaming-{}-pin/record",
                         {"StreamName": "other", "Data": PIN, "PartitionKey": "p"}),
    "stream-name": ("PUT", "streaming-{}-pin/record",
                    {"stream-name": "s", "Data": PIN, "PartitionKey": "p"}),
    "in the query": ("PUT", "record?stream-name=streaming-{}-pin",
                     {"Data": PIN, "PartitionKey": "p"}),
    "records": ("PUT", "streaming-{}-pin/records",
                {"Records": [{"Data": PIN, "PartitionKey": "p"}]}),
    "records in small letters": ("PUT", "streaming-{}-pin/records",
                                 {"records": [{"data": TWICE, "partition-key": "p"}]}),
    "text": ("PUT", "streaming-{}-pin/record", {"Data": DATA, "PartitionKey": "p"}),
    "list": ("PUT", "streaming-{}-pin/record", {"Data": [PIN], "PartitionKey": "p"}),
    "base64": ("PUT", "streaming-{}-pin/record", {"Data": TWICE, "PartitionKey": "p"}),
    "Data in Data": ("PUT", "streaming-{}-pin/record",
                     {"Data": {"Data": PIN, "PartitionKey": "p"}, "PartitionKey": "p"}),
    "integer": ("PUT", "streaming-{}-pin/record", {"Data": PIN, "PartitionKey": 7}),
    "shared, dash": ("PUT", "Kinesis-Prod-Stream/record", {"Data": PIN, "PartitionKey": "{}-pin"}),
    "shared, _": ("PUT", "Kinesis-Prod-Stream/record", {"Data": PIN, "PartitionKey": "{}_pin"}),
    "shared, dot": ("PUT", "Kinesis-Prod-Stream/record", {"Data": PIN, "PartitionKey": "{}.pin"}),
    "shared, whole": ("PUT", "Kinesis-Prod-Stream/record",
                      {"Data": PIN, "PartitionKey": "streaming-{}-pin"}),
    "shared, kind": ("PUT", "{}/record", {"Data": PIN, "PartitionKey": "pin"}),
}


@pytest.mark.parametrize("form", STREAM)
def test_stream_form(broker, gateway, tenant, form):
    method, path, body = STREAM[form]
    body = json.dumps(body).replace("{}", tenant)
    answer = requests.request(method, f"{gateway.url}/Test/streams/{path.format(tenant)}",
                              headers={"Content-Type": "application/json"}, data=body, timeout=20)
    assert answer.status_code == 200, answer.text
    receipt = answer.json()
    if "records" in path:
        assert receipt["FailedRecordCount"] == 0
        receipt, = receipt["Records"]
    (place, record), = broker.records(f"{tenant}.pin").items()
    assert receipt["ShardId"] == f"shardId-{place[0]:012}" and receipt["SequenceNumber"].isdigit()
    assert record.value == text(PIN)
    assert record.key == str(json.loads(body).get("PartitionKey", "p")).encode()


def test_a_list_is_many_records(broker, gateway, tenant):
    body = {"Data": [PIN, {"index": 2}], "PartitionKey": "p"}
    answer = requests.put(f"{gateway.url}/test/streams/streaming-{tenant}-pin/record", json=body,
                          timeout=20)
    assert answer.status_code == 200
    stands = broker.records(f"{tenant}.pin")
    assert [stands[place].value for place in sorted(stands)] == [text(PIN), text({"index": 2})]
    assert len({partition for partition, _ in stands}) == 1


def test_same_topic_by_both_ways(broker, gateway, tenant):
    """<id>.pin, streaming-<id>-pin and <id>_pin_table are one logical stream."""
    for path in (f"topics/{tenant}.pin", f"streams/streaming-{tenant}-pin/record",
                 f"streams/{tenant}_pin_table/record"):
        body = RECORD if "topics" in path else {"Data": PIN, "PartitionKey": "p"}
        assert requests.post(f"{gateway.url}/{path}", json=body, timeout=20).status_code == 200
    assert values(broker, f"{tenant}.pin") == 3 * [text(PIN)]


def test_lists_that_scripts_read(gateway, tenant):
    for kind in KINDS:
        requests.post(f"{gateway.url}/topics/{tenant}.{kind}", json=RECORD, timeout=20)
    topics = requests.get(f"{gateway.url}/test/topics", timeout=20).json()
    assert {f"{tenant}.{kind}" for kind in KINDS} <= set(topics)
    first = f"streaming-{tenant}-geo"
    streams = requests.get(f"{gateway.url}/test/streams", timeout=20, params={
        "ExclusiveStartStreamName": first, "Limit": 2}).json()
    assert streams["StreamNames"][0] == f"streaming-{tenant}-pin"
    assert len(streams["StreamNames"]) <= 2 and isinstance(streams["HasMoreStreams"], bool)
    told = requests.get(f"{gateway.url}/test/streams/{first}", timeout=20).json()
    told = told["StreamDescription"]
    assert told["StreamName"] == first and told["StreamStatus"] == "ACTIVE"
    assert [shard["ShardId"] for shard in told["Shards"]] == [
        f"shardId-{number:012}" for number in range(3)]


def test_mistakes_are_told(broker, gateway, tenant):
    """What was seen, and what to send instead."""
    url, kinesis = gateway.url + "/test", {"Data": PIN, "PartitionKey": "p"}
    for method, path, headers, body, status, text_ in (
            ("POST", "/topics", KAFKA, RECORD, 404, "/topics/<tenant>.<kind>"),
            ("POST", "/topics/", KAFKA, RECORD, 404, "/topics/<tenant>.<kind>"),
            ("POST", f"/topics/{tenant}.pin", KAFKA, kinesis, 422, "/streams/"),
            ("POST", f"/topics/{tenant}.pin", KAFKA, PIN, 422, "records"),
            ("PUT", f"/streams/streaming-{tenant}-pin/record", KAFKA, RECORD, 400, "/topics/"),
            ("PUT", f"/streams/streaming-{tenant}-pin/record", KAFKA, {"PartitionKey": "p"}, 400,
             "Data"),
            ("POST", f"/topics/{tenant}.pin", KAFKA, {"records": [{"value": TWICE}]}, 422,
             "base64")):
        answer = requests.request(method, url + path, headers=headers, json=body, timeout=20)
        assert answer.status_code == status, (path, answer.text)
        assert text_ in answer.json()["message"], answer.text
    # The type of the one dialect on a good body of the other does no harm.
    answer = requests.put(f"{url}/streams/streaming-{tenant}-pin/record", json=kinesis,
                          headers=KAFKA, timeout=20)
    assert answer.status_code == 200 and values(broker, f"{tenant}.pin") == [text(PIN)]
