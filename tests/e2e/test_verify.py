"""`millrace verify` finds what is lost, doubled or changed, and only that. The faults are planted
when all services have ended: only the broker runs, and the store is a folder."""

import json
import subprocess
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import requests

import expected
import pipeline

COUNT = 20
PLAIN = ("fine", "copied", "skipped", "changed", "shortened", "emptied", "doubled", "rewritten")
ODD = b'{"ind": 1}\n[]\nnot json\n\xff\xfe\n{"millrace_base64":"AA=="}\n{"millrace_null":true}\n'


class Still:
    """What is left of a millrace: broker and store."""

    def __init__(self, folder, env):
        self.folder, self.vars = folder, env
        self.root = Path(env["STORE_URL"].removeprefix("file:"))
        self.vars["BOOTSTRAP"] = self.kafka("start").strip()

    def kafka(self, *words):
        return subprocess.run([pipeline.SOURCE / "tools/kafka", *words, "--dir",
                               self.folder / "kafka"], check=True, stdout=subprocess.PIPE,
                              text=True).stdout

    def verify(self, tenant, *words):
        """(exit code, what it says)"""
        done = subprocess.run(
            [pipeline.BUILD / "bin/millrace", "verify", "--tenant", tenant, *words,
             "--bootstrap", self.vars["BOOTSTRAP"], "--store", self.vars["STORE_URL"],
             "--kinds", pipeline.BUILD / "kinds", "--work-dir", self.folder],
            stdout=subprocess.PIPE, text=True, timeout=60)
        return done.returncode, done.stdout

    def finds(self, tenant, *rules):
        """Exactly these rules are broken for pins, and nothing else of the tenant."""
        code, out = self.verify(tenant, "--json")
        flows = json.loads(out)["flows"]
        broken = {rule["rule"] for flow in flows for rule in flow["rules"] if rule["broken"]}
        assert code == 1 and broken == set(rules), out
        code, out = self.verify(tenant)
        assert code == 1 and "the law is BROKEN" in out and all(rule in out for rule in rules)

    def kcat(self, *words, **more):
        return subprocess.run(["kcat", "-b", self.vars["BOOTSTRAP"], *words], check=True,
                              capture_output=True, **more).stdout

    def file(self, pattern):
        return next(self.root.glob(pattern))

    def rewrite(self, tenant, change):
        path = self.file(f"tables/{tenant}_pin_table/*.parquet")
        table = pyarrow.parquet.read_table(path)
        path.chmod(0o600)
        pyarrow.parquet.write_table(change(table), path)


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    folder = tmp_path_factory.mktemp("up")
    # Without receipts at the door the validator has to know what comes again.
    up = pipeline.Up(folder, "--store", f"file:{folder}/store",
                     env={"MILLRACE_RECEIPTS_BYTES": "0"})
    try:
        play(up)
        env = up.env()
    finally:
        ended = up.stop()
    assert ended == 0
    left = Still(folder, env)
    yield left
    left.kafka("stop")


def play(up):
    emissions = pipeline.made_up(COUNT)
    for tenant in PLAIN:
        up.play(emissions, tenant)
    post_odd(up)
    for tenant in PLAIN:
        up.await_done(tenant, {kind: COUNT for kind in expected.KINDS})
    up.await_done("odd", {"pin": 11})
    pipeline.until(lambda: not lags(up), lambda: f"all is committed, but {lags(up)}")


def lags(up):
    out = json.loads(up.millrace("status", "--json", tenant=""))
    return [lag for lag in out["lag"] if lag["records"] > 0]


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

    def moved():
        done = subprocess.run(
            [pipeline.SOURCE / "tools/kafka", "run",
             "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--dir",
             still.folder / "kafka", "--bootstrap-server", still.vars["BOOTSTRAP"], "--group",
             "millrace.validator", "--topic", "skipped.pin:0", "--reset-offsets", "--to-latest",
             "--execute"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return "skipped.pin" in done.stdout and "Error" not in done.stdout
    pipeline.until(moved, "the group is empty and its offset moved", 30)
    still.finds("skipped", "a record without outcome is a repeat")


def test_a_changed_line(still):
    path = still.file("topics/changed.pin/partition=0/*.json")
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(10)
        byte = file.read(1)
        file.seek(10)
        file.write(b"x" if byte != b"x" else b"y")
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
    still.finds("emptied", "no record is missing in the objects")


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
    still.finds("rewritten", "each row of the table is the first of its key")
