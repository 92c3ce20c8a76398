"""`millrace verify` finds what is lost, doubled or changed, and only that. The faults are planted
when all services have ended: only the broker runs, and the store is a folder."""

import json

import pyarrow
import pytest
import requests

import expected
import pipeline
from still import await_committed, damage, left_of

COUNT = 20
PLAIN = ("fine", "copied", "skipped", "changed", "shortened", "emptied", "doubled", "rewritten")
ODD = b'{"ind": 1}\n[]\nnot json\n\xff\xfe\n{"millrace_base64":"AA=="}\n{"millrace_null":true}\n'


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    # Without receipts at the door the validator has to know what comes again.
    with left_of(tmp_path_factory.mktemp("up"), play, {"MILLRACE_RECEIPTS_BYTES": "0"}) as left:
        yield left


def play(up):
    emissions = pipeline.made_up(COUNT)
    for tenant in PLAIN:
        up.play(emissions, tenant)
    post_odd(up)
    for tenant in PLAIN:
        up.await_done(tenant, {kind: COUNT for kind in expected.KINDS})
    up.await_done("odd", {"pin": 11})
    await_committed(up)


def post_odd(up):
    """Events that are dead, repeated, or written in a way that a line has to change."""
    url = up.env()["GATEWAY_URL"]
    lines = {"Content-Type": "application/x-ndjson"}
    pretty = json.dumps(pipeline.made_up(1)[0]["pin"], indent=1).encode()
    assert requests.post(f"{url}/v1/events/odd/pin", ODD, headers=lines).status_code == 200
    assert requests.post(f"{url}/v1/events/odd/pin", pretty).status_code == 200
    null = json.dumps({"records": [{"value": None}]})
    rest = {"Content-Type": "application/vnd.kafka.json.v2+json"}
    assert requests.post(f"{url}/topics/odd.pin", null, headers=rest).status_code == 200
    for _ in range(3):
        again = requests.post(f"{url}/v1/events/odd/pin", pretty.replace(b"\n", b"\r\n"),
                              headers={"Idempotency-Key": "again"})
        assert again.status_code == 200


def test_what_is_whole_is_found_whole(still):
    code, out = still.verify("fine")
    assert code == 0 and "nothing is lost, doubled or changed" in out, out
    code, out = still.verify("fine", "--json")
    law = expected.law(pipeline.made_up(COUNT))
    for flow in json.loads(out)["flows"]:
        assert all(rule["broken"] == 0 for rule in flow["rules"])
        stages = {line["stage"]: line for line in flow["law"]}
        assert stages["archive"]["good"] == stages["validator"]["in"] == law["in"]
        archiver = stages["archiver"]
        assert (archiver["good"], archiver["repeated"]) == (law["good"], law["repeated"])


def test_odd_records_are_told_from_broken_ones(still):
    code, out = still.verify("odd", "--json")
    assert code == 0, out
    validator = next(line for line in json.loads(out)["flows"][0]["law"]
                     if line["stage"] == "validator")
    assert validator["in"] == validator["good"] + validator["repeated"] + validator["dead"]
    assert (validator["in"], validator["dead"], validator["in_flight"]) == (11, 6, 0), validator


def test_an_event_that_was_cleaned_twice(still, tmp_path):
    copy = tmp_path / "copy"
    copy.write_bytes(still.kcat("-C", "-t", "copied.pin.clean", "-p", "0", "-o", "0", "-c", "1",
                                "-D", "", "-e", "-q"))
    still.kcat("-P", "-t", "copied.pin.clean", "-p", "0", copy)
    still.finds("copied", "the cleaner gives each event one outcome")


def test_a_record_that_was_passed_over(still):
    still.kcat("-P", "-t", "skipped.pin", "-p", "0", input=b'{"ind": 77}')

    still.group("validator", "skipped.pin:0", "--reset-offsets", "--to-latest", "--execute")
    still.finds("skipped", "a record without outcome is a repeat")


def test_a_changed_line(still):
    damage(still.file("topics/changed.pin/partition=0/*.json"))
    still.finds("changed", "raw objects are as long as they say, and unchanged",
                "each line of the objects is its record")


def test_a_lost_line(still):
    path = still.file("topics/shortened.pin/partition=0/*.json")
    path.chmod(0o600)
    lines = path.read_bytes().splitlines(keepends=True)
    with path.open("r+b") as file:
        file.truncate(sum(map(len, lines[:-1])))
    still.finds("shortened", "raw objects are as long as they say, and unchanged",
                "no record is missing in the objects")


def test_a_lost_object(still):
    still.file("topics/emptied.pin/partition=0/*.json").unlink()
    still.finds("emptied", "no record is missing in the objects",
                "the archiver's last object is there")


def test_a_row_that_is_kept_twice(still):
    still.rewrite("doubled", lambda table: pyarrow.concat_tables([table, table.slice(0, 1)]))
    still.finds("doubled", "the table keeps each key once",
                "the table has as many rows as its commits count")


def test_a_row_that_was_changed(still):
    def change(table):
        at = table.schema.get_field_index("title")
        values = table.column(at).to_pylist()
        return table.set_column(at, table.schema.field(at),
                                pyarrow.array(["another", *values[1:]], table.schema.field(at).type))
    still.rewrite("rewritten", change)
    still.finds("rewritten", "each row of the table is the first of its key",
                "each row of the table came with its commit")
