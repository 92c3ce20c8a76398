"""A REST proxy client from PyPI (nlp-kafka-rest-api), written against an API gateway in front of
Confluent's proxy: it sends x-api-key, and reads in the binary format."""

import json

import kafka_rest
import pytest
import requests

from door import run, until


def test_producer(broker, gateway, tenant):
    producer = kafka_rest.Producer(kafka_rest_api_url=f"{gateway.url}/prod",
                                   topic_id=f"{tenant}.pin", auth_headers={"x-api-key": "any"})
    messages = [{"index": number, "title": "ü"} for number in range(10)]
    keys = producer.produce(messages, "pin")
    stands = {json.loads(record.key): json.loads(record.value)
              for record in broker.records(f"{tenant}.pin").values()}
    assert stands == {key: {"endpoint": "pin", "payload": message}
                      for key, message in zip(keys, messages)}


def test_consumer(broker, gateway, tenant):
    """It creates an instance, subscribes to the topic with -response behind its name, reads
    everything in the binary format, and deletes the instance."""
    topic = f"{tenant}-response"
    broker.make_topic(topic)
    for number in range(5):
        run("kcat", "-P", "-b", broker.address, "-t", topic, "-k", f'"k{number}"',
            input=b'{"index":%d}' % number)
    with kafka_rest.Consumer(kafka_rest_api_url=gateway.url, topic_id=tenant) as consumer:
        keys = [f"k{number}" for number in range(5)]
        pages = consumer.consume(keys, interval_sec=0)
        found = [record for page, _ in pages for record in page]
    assert sorted(record["value"]["index"] for record in found) == list(range(5))
    assert sorted(record["key"] for record in found) == keys
    with pytest.raises(requests.HTTPError, match="404"):
        consumer.consume_earliest()


def test_consumer_step_by_step(broker, gateway, tenant):
    """The cycle of the documentation: create, subscribe, read, commit, and go on behind it with
    another instance of the group."""
    topic, v2 = f"{tenant}.pin", {"Content-Type": "application/vnd.kafka.v2+json"}
    group = f"{gateway.url}/consumers/g{tenant}"
    requests.post(f"{gateway.url}/topics/{topic}", timeout=20, json={"records": [
        {"key": "k", "value": {"index": number}, "partition": 1} for number in range(3)]})

    def create(name):
        body = {"name": name, "format": "json", "auto.offset.reset": "earliest",
                "auto.commit.enable": "false"}
        answer = requests.post(group, headers=v2, json=body, timeout=20)
        assert answer.status_code == 200 and answer.json()["instance_id"] == name, answer.text
        base = answer.json()["base_uri"]
        done = requests.post(f"{base}/subscription", headers=v2, timeout=20,
                             json={"topics": [topic]})
        assert done.status_code == 204, done.text
        return base

    def read(base, count):
        found = []

        def some():
            answer = requests.get(f"{base}/records", params={"timeout": 500}, timeout=20,
                                  headers={"Accept": "application/vnd.kafka.json.v2+json"})
            assert answer.status_code == 200, answer.text
            found.extend(answer.json())
            return len(found) >= count
        until(some, f"{count} records")
        return [(one["topic"], one["partition"], one["offset"], one["key"], one["value"])
                for one in found]
    first = create("one")
    assert read(first, 3) == [(topic, 1, number, "k", {"index": number}) for number in range(3)]
    offsets = {"offsets": [{"topic": topic, "partition": 1, "offset": 1}]}
    done = requests.post(f"{first}/offsets", headers=v2, json=offsets, timeout=20)
    assert done.status_code == 200
    again = requests.post(group, headers=v2, timeout=20,
                          json={"name": "one", "format": "json"})
    assert (again.status_code, again.json()["error_code"]) == (409, 40902), again.text
    assert requests.delete(first, headers=v2, timeout=20).status_code == 204
    assert requests.get(f"{first}/records", timeout=20).json()["error_code"] == 40403
    second = create("two")
    assert read(second, 1) == [(topic, 1, 2, "k", {"index": 2})]
    assert requests.delete(second, headers=v2, timeout=20).status_code == 204


# ---- REST v3, as its documentation's examples use it ----

@pytest.fixture
def v3(gateway):
    cluster, = requests.get(f"{gateway.url}/v3/clusters", timeout=20).json()["data"]
    return f"{gateway.url}/v3/clusters/{cluster['cluster_id']}"


def record(number, key="k", **more):
    return {"key": {"type": "STRING", "data": key},
            "value": {"type": "JSON", "data": {"index": number}}} | more


def objects(text):
    """JSON objects that stand one behind the other."""
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        one, at = decoder.raw_decode(text, at)
        yield one


def test_v3_topics(broker, v3, tenant):
    topic = f"plain-{tenant}"
    made = requests.post(f"{v3}/topics", timeout=20, json={"topic_name": topic,
                                                           "partitions_count": 2})
    assert made.status_code == 201 and made.json()["partitions_count"] == 2, made.text
    again = requests.post(f"{v3}/topics", timeout=20, json={"topic_name": topic})
    assert again.status_code == 400 and again.json()["error_code"] == 40002, again.text
    assert topic in [one["topic_name"] for one in requests.get(
        f"{v3}/topics", timeout=20).json()["data"]]
    told = requests.get(f"{v3}/topics/{topic}", timeout=20).json()
    assert told["kind"] == "KafkaTopic" and told["partitions_count"] == 2
    parts = requests.get(f"{v3}/topics/{topic}/partitions", timeout=20).json()["data"]
    assert [part["partition_id"] for part in parts] == [0, 1]
    assert requests.delete(f"{v3}/topics/{topic}", timeout=20).status_code == 204
    until(lambda: topic not in broker.tool("topics", "--list").split(), "the topic is gone")


def test_v3_records(broker, v3, tenant):
    """One, and a stream of several by curl; the answers are in the order of the records."""
    url = f"{v3}/topics/{tenant}.pin/records"
    one = requests.post(url, json=record(0, partition_id=1), timeout=20)
    assert one.status_code == 200 and one.json()["error_code"] == 200, one.text
    assert one.json()["partition_id"] == 1 and one.json()["offset"] == 0
    body = "\n".join(json.dumps(record(number, key=f"k{number}")) for number in range(1, 50))
    out = run("curl", "-sS", "-X", "POST", "-H", "Content-Type: application/json", "-H",
              "Transfer-Encoding: chunked", "-T", "-", url, input=body.encode()).decode()
    told, stands = list(objects(out)), broker.records(f"{tenant}.pin")
    assert len(told) == 49 and len(stands) == 50
    for number, receipt in enumerate(told, 1):
        stored = stands[receipt["partition_id"], receipt["offset"]]
        assert stored[:2] == (b"k%d" % number, b'{"index": %d}' % number)
        assert receipt["error_code"] == 200 and receipt["topic_name"] == f"{tenant}.pin"


def test_v3_batch(broker, v3, tenant):
    entries = [{"id": f"e{number}"} | record(number) for number in range(5)]
    entries[2]["value"] = {"type": "AVRO", "data": 1}
    answer = requests.post(f"{v3}/topics/{tenant}.pin/records:batch", json={"entries": entries},
                           timeout=20)
    assert answer.status_code == 207, answer.text
    told, stands = answer.json(), broker.records(f"{tenant}.pin")
    assert [one["id"] for one in told["failures"]] == ["e2"]
    assert [one["id"] for one in told["successes"]] == ["e0", "e1", "e3", "e4"]
    assert [json.loads(stands[place].value)["index"] for place in sorted(stands)] == [0, 1, 3, 4]


def test_v3_refusals(v3, tenant):
    for method, path, body, status, code in (
            ("GET", f"/topics/{tenant}.geo", None, 404, 40403),
            ("POST", f"/topics/{tenant}.nothing/records", record(1), 404, 40401),
            ("GET", "x/topics", None, 404, 404),
            ("POST", f"/topics/{tenant}.pin/records", {"value": 1}, 400, 400)):
        answer = requests.request(method, v3 + path, json=body, timeout=20)
        told = next(objects(answer.text))
        assert (answer.status_code, told["error_code"]) == (status, code), (path, answer.text)
        assert told["message"]
