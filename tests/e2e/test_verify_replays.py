"""`millrace verify` finds replays without mark and marks without replay, planted when all services
have ended."""

import json
import subprocess

import confluent_kafka
import pytest
import requests

import pipeline
from still import await_committed, left_of

TENANTS = ("whole", "twice", "ghost", "astray", "unmarked")
ONCE = "a letter is marked as replayed once"
DIED = "what is marked as replayed had died"
AGAIN = "what is marked as replayed is in T again"
MARKED = "a replay is marked"


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    with left_of(tmp_path_factory.mktemp("up"), play) as left:
        yield left


def play(up):
    """Of each tenant one pin that died, was replayed and died again."""
    for tenant in TENANTS:
        url = f"{up.env()['GATEWAY_URL']}/v1/events/{tenant}/pin"
        assert requests.post(url, '{"index": "none"}', timeout=30).status_code == 200
    for tenant in TENANTS:
        up.await_done(tenant, {"pin": 1})
        assert "1 replayed" in up.millrace("replay", tenant=tenant)
    for tenant in TENANTS:
        assert up.await_done(tenant, {"pin": 2})["pin"]["dead"] == 2
    await_committed(up)


def letters(still, tenant):
    """The first letter, its mark and the second letter, as `millrace tail` shows them."""
    out = subprocess.run(
        [pipeline.BUILD / "bin/millrace", "tail", f"{tenant}.pin.dead", "--from", "start", "--once",
         "--bootstrap", still.vars["BOOTSTRAP"], "--kinds", pipeline.BUILD / "kinds"],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    found = [json.loads(line)["letter"] for line in out.splitlines()]
    assert [letter["stage"] for letter in found] == ["validator", "replay", "validator"], found
    return found


def packed(message, text):
    return subprocess.run(
        ["protoc", f"--proto_path={pipeline.SOURCE}/proto", f"--encode=millrace.v1.{message}",
         "millrace/v1/event.proto"], input=text.encode(), check=True, stdout=subprocess.PIPE).stdout


def put(still, topic, partition, value, **headers):
    producer = confluent_kafka.Producer({"bootstrap.servers": still.vars["BOOTSTRAP"]})
    producer.produce(topic, value, partition=partition, headers=headers)
    assert producer.flush(30) == 0


def put_mark(still, tenant, partition, offset, replayed):
    mark = packed("DeadLetter", f'kind: "pin" stage: "replay" replayed_us: 1 '
                  f'origin {{ topic: "{tenant}.pin" partition: {partition} offset: {offset} }} '
                  f'replayed_as {{ topic: "{tenant}.pin" partition: {partition} '
                  f'offset: {replayed} }}')
    put(still, f"{tenant}.pin.dead", partition, mark)


def test_replays_and_their_marks_are_found_whole(still):
    code, out = still.verify("whole")
    assert code == 0, out


def test_a_letter_that_is_marked_twice(still):
    _, mark, _ = letters(still, "twice")
    put_mark(still, "twice", mark["partition"], mark["offset"], mark["replayed_offset"])
    still.finds("twice", ONCE)


def test_a_mark_of_what_never_died(still):
    _, mark, _ = letters(still, "ghost")
    put_mark(still, "ghost", mark["partition"], 77, mark["replayed_offset"])
    still.finds("ghost", DIED, AGAIN)


def test_a_mark_without_its_replay(still):
    first, _, second = letters(still, "astray")
    put_mark(still, "astray", second["partition"], second["offset"], first["offset"])
    still.finds("astray", AGAIN)


def test_a_replay_without_its_mark(still):
    _, _, second = letters(still, "unmarked")
    header = packed("Provenance", f'version: 1 event_id: "0123456789abcdef" replay_of {{ topic: '
                    f'"unmarked.pin" partition: {second["partition"]} offset: {second["offset"]} }}')
    put(still, "unmarked.pin", second["partition"], b"", millrace=header)
    still.group("validator", f"unmarked.pin:{second['partition']}", "--reset-offsets",
                "--to-latest", "--execute")
    still.finds("unmarked", MARKED, "a record without outcome is a repeat",
                "values are what the gateway stored")
