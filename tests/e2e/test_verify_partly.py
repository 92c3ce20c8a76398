"""`millrace verify` where not everything is asked for, or still there: from a time on (--since), and
when the topics' retention has passed. It checks the rest, and says what it cannot check."""

import json
from datetime import datetime, timedelta, timezone

import pytest
import requests

import pipeline
from still import await_committed, damage, left_of

BEFORE, AFTER = 30, 20  # pins of one tenant before and behind the time
FROM_TIME = ("sound", "old", "new", "lost", "again")
TRIMMED = ("half", "half-lost", "all", "all-torn", "unarchived", "unseen")
SMALL = {"MILLRACE_RECEIPTS_BYTES": "0", "MILLRACE_RAW_RECORDS": "3", "MILLRACE_TABLE_ROWS": "5"}


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    with left_of(tmp_path_factory.mktemp("up"), play, SMALL) as left:
        left.since = ("--since", left.played.isoformat())
        yield left


def play(up):
    """Returns the time between before and behind."""
    for tenant in FROM_TIME + TRIMMED:
        post(up, tenant, 0, BEFORE)
    await_all(up, BEFORE)
    time = datetime.now(timezone.utc)
    for tenant in FROM_TIME + TRIMMED:
        post(up, tenant, BEFORE, BEFORE + AFTER)
    post(up, "again", BEFORE - 1, BEFORE)  # its id came before the time
    await_all(up, BEFORE + AFTER, again=1)
    return time


def post(up, tenant, first, end):
    """Each by itself, with an id and a key of its own; every tenth is dead."""
    url = f"{up.env()['GATEWAY_URL']}/v1/events/{tenant}/pin"
    for number in range(first, end):
        body = {"index": "none" if number % 10 == 4 else number}
        assert requests.post(url, json.dumps(body), headers={
            "Idempotency-Key": str(number)}).status_code == 200


def await_all(up, count, again=0):
    for tenant in FROM_TIME + TRIMMED:
        up.await_done(tenant, {"pin": count + (again if tenant == "again" else 0)})
    await_committed(up)


# ---- from a time on ----

def test_only_what_came_since_is_counted(still):
    flow = still.flow("sound", *still.since)
    assert (flow["law"]["validator"]["in"], flow["law"]["validator"]["dead"]) == (AFTER, 2)
    assert flow["law"]["archive"]["good"] == AFTER
    assert sum("before --since" in gap for gap in flow["unchecked"]) == 4, flow
    assert still.flow("sound")["unchecked"] == []
    assert still.flow("sound", "--since", "5m")["law"]["validator"]["in"] == BEFORE + AFTER


@pytest.mark.parametrize("time", ("yesterday", "-2h", "2y", "2026-13-01T00:00:00Z", "12"))
def test_a_time_that_is_none_is_refused(still, time):
    assert still.verify("sound", f"--since={time}")[0] == 2


def test_a_time_in_the_future_leaves_nothing_to_check(still):
    future = datetime.now(timezone.utc) + timedelta(minutes=50)
    assert still.flow("sound", "--since", future.isoformat())["law"]["validator"]["in"] == 0


def test_what_was_wrong_before_is_taken_as_given(still):
    damage(still.objects("old.pin")[0])
    still.finds("old", "raw objects are as long as they say, and unchanged",
                "each line of the objects is its record")
    assert still.flow("old", *still.since)["broken"] == set()


def test_what_is_wrong_since_is_found(still):
    damage(still.objects("new.pin")[-1])
    still.finds("new", "raw objects are as long as they say, and unchanged",
                "each line of the objects is its record", words=still.since)


def test_a_record_lost_since_is_found(still):
    still.kcat("-P", "-t", "lost.pin", "-p", "0", input=b'{"index": 77}')
    still.group("validator", "lost.pin:0", "--reset-offsets", "--to-latest", "--execute")
    still.finds("lost", "a record without outcome is a repeat", words=still.since)


def test_a_repeat_of_what_came_before_is_one(still):
    law = still.flow("again", *still.since)["law"]["validator"]
    assert (law["in"], law["repeated"]) == (AFTER + 1, 1)


# ---- retention ----

def topics(tenant):
    return [f"{tenant}.pin{role}" for role in ("", ".valid", ".clean", ".dead")]


def cut(still, tenant, share):
    """That share of each log is gone."""
    still.trim({(topic, partition): start + int((end - start) * share)
                for topic in topics(tenant)
                for partition, (start, end) in still.ends(topic).items()})


def test_the_rest_is_checked_and_what_is_gone_is_named(still):
    cut(still, "half", 0.5)
    flow = still.flow("half")
    assert flow["broken"] == set()
    law = flow["law"]["validator"]
    assert law["holds"] and 0 < law["in"] < BEFORE + AFTER
    assert sum("is gone from the log" in gap for gap in flow["unchecked"]) == 3, flow
    assert any("rows of the table" in gap for gap in flow["unchecked"]), flow


def test_a_loss_in_the_rest_is_found(still):
    cut(still, "half-lost", 0.4)
    still.kcat("-P", "-t", "half-lost.pin", "-p", "0", input=b'{"index": 77}')
    still.group("validator", "half-lost.pin:0", "--reset-offsets", "--to-latest", "--execute")
    still.finds("half-lost", "a record without outcome is a repeat")


def test_without_any_record_objects_and_commits_are_checked(still):
    cut(still, "all", 1)
    flow = still.flow("all")
    assert flow["broken"] == set() and flow["law"]["validator"]["in"] == 0
    still.rewrite("all", lambda table: table.slice(1))
    still.finds("all", "the table has as many rows as its commits count")


def test_a_torn_chain_is_found_without_any_record(still):
    cut(still, "all-torn", 1)
    still.objects("all-torn.pin")[1].unlink()
    still.finds("all-torn", "raw objects follow each other without gap or overlap")
    damage(still.objects("all-torn.pin")[0])
    commits = sorted(still.root.glob("tables/all-torn_pin_table/_delta_log/*.json"))
    commit = next(path for path in commits[2:] if '"partitions":{"all-torn' in path.read_text())
    commit.chmod(0o600)
    commit.write_text(commit.read_text().replace('"from":', '"from":1', 1))
    still.finds("all-torn", "raw objects follow each other without gap or overlap",
                "raw objects are as long as they say, and unchanged",
                "commits follow each other without gap or overlap")


def test_records_that_left_the_log_before_they_were_archived_are_lost(still):
    for path in still.objects("unarchived.pin"):
        path.unlink()
    cut(still, "unarchived", 1)
    assert {"no record left the log before it was archived",
            "the archiver's last object is there"} == still.flow("unarchived", code=1)["broken"]


def test_what_nobody_knows_of_does_not_stay_in_flight(still):
    """All objects and the archiver's offset are gone: as if it had never come to them."""
    for path in still.objects("unseen.pin"):
        path.unlink()
    still.group("archiver", "unseen.pin:0", "--delete-offsets")
    assert still.flow("unseen")["law"]["archive"]["in_flight"] > 0
    still.finds("unseen", "nothing stays in flight", words=("--in-flight-max", "1s"))
