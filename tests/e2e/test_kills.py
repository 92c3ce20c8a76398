"""Each process is killed with -9 once while events flow; law, tables, archive and answers come out
as if nothing had happened.  Small objects and commits, so that a kill meets many of them."""

import os
import signal
import threading

import pytest

import expected
import pipeline

ROUNDS = 700
BEFORE = 300  # events that have arrived when the process is killed
SMALL = {"MILLRACE_TABLE_AGE": "200ms", "MILLRACE_RAW_AGE": "300ms", "MILLRACE_RAW_RECORDS": "60",
         "MILLRACE_BATCH_MAX": "50"}


@pytest.fixture(scope="module")
def up(tmp_path_factory, s3):
    running = pipeline.Up(tmp_path_factory.mktemp("up"), s3=s3, env=SMALL)
    yield running
    print(running.said())
    assert running.stop() == 0


@pytest.fixture(scope="module")
def emissions():
    if pipeline.REAL.exists():
        return pipeline.read_emissions(pipeline.REAL, ROUNDS)
    return pipeline.made_up(ROUNDS)


@pytest.mark.parametrize("name", (*pipeline.SERVICES, "kafka"))
def test_kill_in_mid_run_changes_nothing(up, emissions, name):
    tenant, pid = f"killed-{name}", up.pid(name)
    rest = threading.Event()
    producer = up.start_emulate(emissions, tenant, rest)
    pipeline.until(lambda: sum(line["in"] for line in up.totals(tenant).values()) >= BEFORE,
                   "events flow")
    assert producer.poll() is None, "the posts were over before the kill"
    rest.set()
    os.kill(pid, signal.SIGKILL)
    pipeline.until(lambda: up.pid(name) not in (0, pid) and pipeline.is_alive(up.pid(name)),
                   f"{name} is replaced", 20 if name == "kafka" else 3)

    out, err = producer.communicate(timeout=120)
    assert producer.returncode == 0, out + err
    totals = up.await_done(tenant, {kind: ROUNDS for kind in expected.KINDS})
    pipeline.check_all(up, tenant, emissions, totals, resent=name in ("gateway", "kafka"))
