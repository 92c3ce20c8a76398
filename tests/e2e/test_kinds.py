"""A fourth kind is added as one folder while all runs: no rebuild, no restart."""

import os
import signal
import subprocess
from datetime import datetime, timezone

import pytest
import requests

import expected
import pipeline

EVENTS = """\
{"id": 1, "door": "north", "at": "2024-02-29 12:00:01", "euros": 12.35}
{"id": "2", "door": "south"}
{"id": 1, "door": "north", "at": "2024-02-29 12:00:01", "euros": 12.35}
{"id": 3}
{"id": 4, "door": "east", "euros": -1}
{"id": 5, "door": "west", "window": 1}
"""
RELOAD_ORDER = ("query", "archiver", "cleaner", "validator", "gateway")


def make_kinds(source, target):
    subprocess.run([pipeline.SOURCE / "tools/kinds", source, target], check=True)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    make_kinds(pipeline.SOURCE / "proto/kinds", folder)
    return folder


@pytest.fixture(scope="module")
def up(tmp_path_factory, kinds):
    running = pipeline.Up(tmp_path_factory.mktemp("up"), env={"MILLRACE_KINDS": str(kinds)})
    yield running
    print(running.said())
    assert running.stop() == 0


def post(up):
    return requests.post(f"{up.env()['GATEWAY_URL']}/v1/events/door-man/visit", data=EVENTS,
                         headers={"Content-Type": "application/x-ndjson"}, timeout=10)


def test_fourth_kind_flows_without_rebuild_or_restart(up, kinds):
    assert post(up).status_code == 404
    make_kinds(pipeline.SOURCE / "tests/e2e/kinds", kinds)
    pids = up.pids()
    for name in RELOAD_ORDER:
        os.kill(up.pid(name), signal.SIGHUP)
    pipeline.until(lambda: post(up).status_code == 200, "the gateway knows the kind")

    line = up.await_done("door-man", {"visit": 6})["visit"]
    assert {name: line[name] for name in ("in", "good", "repeated", "dead")} == \
        {"in": 6, "good": 2, "repeated": 1, "dead": 3}
    rows = [
        {"id": 1, "door": "NORTH", "cents": 1235,
         "at": datetime(2024, 2, 29, 12, 0, 1, tzinfo=timezone.utc)},
        {"id": 2, "door": "SOUTH", "cents": None, "at": None},
    ]
    for read in (up.table, up.table_in_duckdb):
        assert sorted(read("door-man", "visit"), key=lambda row: row["id"]) == rows
    assert len(pipeline.check_archive(up, "door-man.visit")) == 6
    assert up.query("door-man", 'SELECT id, door, cents FROM visit ORDER BY id') == \
        "id,door,cents\n1,NORTH,1235\n2,SOUTH,\n"
    dead = {(row["kind"], row["stage"], row["field"]): row["original"]
            for row in up.table("door-man", "dead")}
    lines = EVENTS.encode().splitlines()
    assert dead == {("visit", "validator", "door"): lines[3],
                    ("visit", "validator", "euros"): lines[4],
                    ("visit", "validator", "window"): lines[5]}
    assert up.pids() == pids, "a process was started again"


def test_kinds_of_before_flow_on(up):
    emissions = pipeline.made_up(30)
    up.play(emissions, "as-before")
    totals = up.await_done("as-before", {kind: 30 for kind in expected.KINDS})
    pipeline.check_law(totals, emissions)
    pipeline.check_tables(up, "as-before", emissions)
