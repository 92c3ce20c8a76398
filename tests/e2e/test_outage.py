"""S3 is away while events flow: the archiver pauses partitions, keeps its budget, also while it
catches up afterwards, and nothing is lost.

The budget is about RssAnon, what the process allocates; the most of it is sampled. VmHWM has the
pages of programs and libraries in it too, about 45 MB that the kernel can share and drop.
MILLRACE_OUTAGE_S makes the outage longer: five minutes are a run by hand.
"""

import json
import os
import random
import string
import threading
import time

import pytest
import requests

import pipeline

OUTAGE_S = int(os.environ.get("MILLRACE_OUTAGE_S", "20"))
TENANT = "away"
MEMORY_MB = 96
OWN_MB = 32     # over the budget: 8 of an idle process, and batches that grow by doubling
MAPPED_MB = 56  # 46 were seen
BATCH = 500     # events in a post
POSTS = 60      # at once, more than the budget takes; then one a second
WIDTH = 2000    # of a description
NOISE = "".join(random.Random(1).choices(string.ascii_letters, k=1 << 20))


@pytest.fixture(scope="module")
def up(tmp_path_factory, s3):
    running = pipeline.Up(tmp_path_factory.mktemp("up"), s3=s3,
                          env={"MILLRACE_MEMORY": f"{MEMORY_MB}M"})
    yield running
    print(running.said())
    assert running.stop() == 0


class Watch(threading.Thread):
    """The most memory that a process is seen to have."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.anon_mb, self.ends = pid, 0, threading.Event()
        self.start()

    def read_mb(self, name):
        with open(f"/proc/{self.pid}/status") as status:
            return int(status.read().split(f"{name}:")[1].split()[0]) / 1024

    def run(self):
        while not self.ends.wait(0.01):
            self.anon_mb = max(self.anon_mb, self.read_mb("RssAnon"))

    def end(self):
        self.ends.set()
        self.join()
        return self.anon_mb, self.read_mb("VmHWM")


def paused(up):
    status = requests.get(up.env()["ADMIN_ARCHIVER"] + "/status", timeout=5).json()
    return [part for part in status["detail"]["parts"] if part["held"]]


def description(number):
    """Every other post packs well: what an answer of the broker has is small until it is unpacked."""
    if number % 2:
        return "x" * WIDTH
    at = random.randrange(len(NOISE) - WIDTH)
    return NOISE[at:at + WIDTH]


def post(up, number):
    lines = "".join(json.dumps({"index": number * BATCH + i, "title": "t",
                                "description": description(number)}) + "\n" for i in range(BATCH))
    answer = requests.post(f"{up.env()['GATEWAY_URL']}/v1/events/{TENANT}/pin", data=lines,
                           headers={"Content-Type": "application/x-ndjson"}, timeout=60)
    assert answer.status_code == 200, answer.text
    return BATCH


def test_the_archiver_outlives_an_outage_within_its_budget(up, s3):
    posted = post(up, 0)
    up.await_done(TENANT, {"pin": posted})
    pid = up.pid("archiver")
    memory = Watch(pid)
    s3.tool("kill")
    ends = time.monotonic() + OUTAGE_S
    for number in range(1, POSTS):
        posted += post(up, number)
    pipeline.until(lambda: paused(up), "partitions pause")
    while time.monotonic() < ends:
        number += 1
        posted += post(up, number)
        time.sleep(1)  # the pace of the load
    assert paused(up)
    s3.tool("start")
    totals = up.await_done(TENANT, {"pin": posted})
    pipeline.until(lambda: not paused(up), "partitions flow again")
    anon_mb, most_mb = memory.end()
    print(f"{posted} events, at most {anon_mb:.0f} MB allocated, {most_mb:.0f} MB with what is mapped")
    assert totals["pin"]["in"] == totals["pin"]["good"] == posted
    assert up.pid("archiver") == pid, "it was the same process all the time"
    assert anon_mb < MEMORY_MB + OWN_MB
    assert most_mb < MEMORY_MB + OWN_MB + MAPPED_MB
    up.millrace("verify", "--tenant", TENANT, tenant=TENANT)
