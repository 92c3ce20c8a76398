"""What was posted with ?wait=visible is in the next answer of `millrace query`."""

import json
import time

import pytest
import requests

import pipeline

TENANT = "sight"
HELD_MS = 5000  # far below the 30 s that nobody should have to wait


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    running = pipeline.Up(tmp_path_factory.mktemp("up"))
    yield running
    print(running.said())
    assert running.stop() == 0


def post(up, event, headers=None, timeout_ms=30000):
    url = f"{up.env()['GATEWAY_URL']}/v1/events/{TENANT}/geo"
    return requests.post(url, params={"wait": "visible", "timeout_ms": timeout_ms},
                         data=json.dumps(event), headers=headers, timeout=60)


def count(up, table, where="true"):
    out = up.query(TENANT, f"SELECT count(*) AS n FROM {table} WHERE {where}")
    return int(out.splitlines()[1])


def geo(ind, **more):
    return {"ind": ind, "latitude": 1.5, "longitude": 2.5, "country": "Malta",
            "timestamp": "2020-01-02 03:04:05"} | more


def test_a_good_event_is_in_the_next_answer(up):
    for ind in range(5):
        answer = post(up, geo(ind))
        assert answer.status_code == 200, answer.text
        assert "visible" in answer.json()["outcome"]
        assert count(up, "geo", f"ind = {ind}") == 1


def test_a_dead_event_is_in_the_next_answer_about_dead_letters(up):
    before = count(up, "dead")
    answer = post(up, geo(100, latitude=91))
    assert answer.status_code == 200, answer.text
    assert count(up, "dead") == before + 1 and count(up, "geo", "ind = 100") == 0


def test_a_repeat_is_waited_for_and_counts_once(up):
    for _ in range(3):
        answer = post(up, geo(200), {"Idempotency-Key": "one"})
        assert answer.status_code == 200, answer.text
        assert count(up, "geo", "ind = 200") == 1
    assert post(up, geo(200)).status_code == 200  # another event with the same key: KEEP_FIRST
    assert count(up, "geo", "ind = 200") == 1


def test_it_takes_no_longer_than_it_must(up):
    begun = time.monotonic()
    assert post(up, geo(300)).status_code == 200
    assert time.monotonic() - begun < HELD_MS / 1000


def test_at_the_deadline_it_is_504_with_the_receipts(up):
    answer = post(up, geo(400), timeout_ms=1)
    assert answer.status_code == 504, answer.text
    assert answer.json()["receipts"][0]["offset"] >= 0
    pipeline.until(lambda: count(up, "geo", "ind = 400") == 1, "it is visible all the same")
