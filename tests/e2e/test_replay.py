"""Bad events die, their contract is mended, `millrace replay` plays them again: each once, whoever is
killed and however often it is asked. The law holds before and after."""

import json
import os
import random
import signal
import subprocess
import time

import pytest
import requests

import pipeline

BAD, GOOD = 3000, 5
TENANT = "shop"
RAW = f"{TENANT}.visit"
RELOAD_ORDER = ("query", "archiver", "cleaner", "validator", "gateway")


def make_kinds(source, target):
    subprocess.run([pipeline.SOURCE / "tools/kinds", source, target], check=True)


class Mending:
    """The kind `visit` and its second version, which takes back a rule that was wrong."""

    def __init__(self, folder):
        self.first, self.second = folder / "first", folder / "second"
        self.kinds = folder / "kinds"
        for source in (self.first, self.second):
            subprocess.run(["cp", "-r", pipeline.SOURCE / "tests/e2e/kinds", source], check=True)
        proto = self.second / "visit/visit.proto"
        text = proto.read_text()
        mended = text.replace("version: 1", "version: 2").replace(" [(millrace.v1.field) = { min: 0 }]",
                                                                  "")
        assert mended.count("version: 2") == 1 and len(mended) < len(text)
        proto.write_text(mended)
        make_kinds(self.first, self.kinds)

    def mend(self, up):
        make_kinds(self.second, self.kinds)
        for name in RELOAD_ORDER:
            os.kill(up.pid(name), signal.SIGHUP)
        numbers = iter(range(1000000, 2000000))

        def is_loaded():
            number = next(numbers)
            post(up, [visit(number, euros=-1)], tenant="probe")
            return up.await_done("probe", {"visit": number - 999999})["visit"]["good"] > 0
        pipeline.until(is_loaded, "the validator has the second version")


@pytest.fixture(scope="module")
def mending(tmp_path_factory):
    return Mending(tmp_path_factory.mktemp("kinds"))


@pytest.fixture(scope="module")
def up(tmp_path_factory, mending):
    running = pipeline.Up(tmp_path_factory.mktemp("up"), env={"MILLRACE_KINDS": str(mending.kinds)})
    yield running
    print(running.said())
    assert running.stop() == 0


def visit(number, **more):
    return {"id": number, "door": "north", **more}


def post(up, events, tenant=TENANT):
    body = "".join(json.dumps(event) + "\n" for event in events)
    answer = requests.post(f"{up.env()['GATEWAY_URL']}/v1/events/{tenant}/visit", data=body,
                           headers={"Content-Type": "application/x-ndjson"}, timeout=30)
    assert answer.status_code == 200, answer.text


def verify(up):
    """Fails with what it says when the law is broken; {stage: line of the law}."""
    process = up.start_millrace("verify", "--json", "--work-dir", up.folder, tenant=TENANT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    return {line["stage"]: line for line in json.loads(out)["flows"][0]["law"]}


def counts(up, total):
    line = up.await_done(TENANT, {"visit": total})["visit"]
    return {name: line[name] for name in ("in", "good", "repeated", "dead")}


def marks(up):
    """How many letters have been played again, as people ask it."""
    return int(up.query(TENANT, "SELECT count(*) FROM dead WHERE replayed_at IS NOT NULL")
               .splitlines()[1])


def letters(up):
    return int(up.query(TENANT, "SELECT count(*) FROM dead").splitlines()[1])


def replay(up, *words):
    process = up.start_millrace("replay", *words, tenant=TENANT)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_letters_wait_and_a_dry_run_tells_nothing_passes(up):
    post(up, [visit(number, euros=1) for number in range(GOOD)])
    for first in range(0, BAD, 500):
        post(up, [visit(GOOD + first + i, euros=-1) for i in range(500)])
    post(up, [visit(GOOD + BAD, window=1)])
    assert counts(up, GOOD + BAD + 1) == {"in": GOOD + BAD + 1, "good": GOOD, "repeated": 0,
                                          "dead": BAD + 1}
    verify(up)
    code, out, err = replay(up, "--dry-run")
    assert code == 0 and "would pass now" not in out, out + err
    assert [line.split() for line in out.splitlines() if "OUT_OF_RANGE" in line] == \
        [["OUT_OF_RANGE", "0", str(BAD), "0"]], out
    assert up.ends(RAW) == GOOD + BAD + 1


def test_a_filter_must_be_given_and_must_be_good(up):
    for words in (("replay",), ("replay", "--code", "NO_SUCH"), ("replay", "--origin", "shop.visit"),
                  ("replay", "--record", __file__)):
        process = up.start_millrace(*words, tenant="")
        _, err = process.communicate(timeout=30)
        assert process.returncode == 2 and "millrace: " in err, words


def test_a_mended_contract_lets_them_pass(up, mending):
    mending.mend(up)
    code, out, err = replay(up, "--dry-run")
    assert code == 0, err
    assert "would pass now, for example:" in out
    assert [line.split() for line in out.splitlines() if "OUT_OF_RANGE" in line][-1] == \
        ["OUT_OF_RANGE", str(BAD), "0", "0"], out


def test_replays_that_are_killed_play_and_mark_each_or_neither(up):
    """Also two at once: one is fenced, or both have done."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(5):
        process = up.start_millrace("replay", "--code", "OUT_OF_RANGE", tenant=TENANT)
        time.sleep(chance.uniform(0.05, 0.6))  # the moment of the kill, not a wait for anything
        process.kill()
        process.communicate(timeout=30)
    both = [up.start_millrace("replay", "--code", "OUT_OF_RANGE", tenant=TENANT) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    codes = [process.returncode for process in both]
    assert 0 in codes and set(codes) <= {0, 1}, said
    for code, (_, err) in zip(codes, said):
        assert code == 0 or "took over" in err, err
    after = counts(up, GOOD + 2 * BAD + 1)
    assert after == {"in": GOOD + 2 * BAD + 1, "good": GOOD + BAD, "repeated": 0, "dead": BAD + 1}
    law = verify(up)
    assert law["validator"]["dead"] == BAD + 1
    pipeline.until(lambda: marks(up) == BAD, "all are marked")
    assert letters(up) == BAD + 1


def test_a_second_replay_adds_nothing(up):
    before = up.ends(RAW), up.ends(RAW + ".dead")
    code, out, err = replay(up, "--code", "OUT_OF_RANGE")
    assert code == 0, err
    assert f"{RAW}: 0 replayed, " in out and f" {BAD} replayed before" in out
    assert (up.ends(RAW), up.ends(RAW + ".dead")) == before


def test_what_would_die_again_stays_and_one_repaired_record_passes(up, tmp_path):
    code, out, err = replay(up, "--passing")
    assert code == 0 and "0 replayed, 1 left that would die again" in out, out + err
    row = up.query(TENANT, "SELECT topic, partition, \"offset\" FROM dead WHERE field = 'window'")
    origin = row.splitlines()[1].replace(",", "/")
    repaired = tmp_path / "repaired.json"
    repaired.write_text(json.dumps(visit(GOOD + BAD)))
    code, out, err = replay(up, "--origin", origin, "--record", repaired)
    assert code == 0 and "1 replayed" in out, out + err
    assert counts(up, GOOD + 2 * BAD + 2) == {"in": GOOD + 2 * BAD + 2, "good": GOOD + BAD + 1,
                                              "repeated": 0, "dead": BAD + 1}
    code, out, err = replay(up, "--origin", origin)
    assert code == 0 and "0 replayed" in out and "1 replayed before" in out, out + err
    code, out, err = replay(up, "--origin", f"{RAW}/0/999999")
    assert code == 1 and "has no dead letter" in err


def test_what_dies_again_counts_its_deaths(up):
    post(up, [visit(GOOD + BAD + 1, window=2)])
    total = GOOD + 2 * BAD + 3
    counts(up, total)
    for _ in range(2):
        code, _, err = replay(up, "--code", "UNKNOWN_FIELD")
        assert code == 0, err
        total += 1
        counts(up, total)
    pipeline.until(lambda: up.query(
        TENANT, "SELECT attempts, first_dead_at < dead_at, replayed_at IS NULL FROM dead "
        "WHERE contains(decode(original), '\"window\": 2') ORDER BY attempts").splitlines()[1:] ==
        ["1,false,false", "2,true,false", "3,true,true"], "three letters of one event")


def test_the_law_holds_with_replays_in_topics_objects_and_tables(up):
    verify(up)
    pipeline.check_archive(up, RAW)
    rows = up.table(TENANT, "visit")
    assert sorted(row["id"] for row in rows) == list(range(GOOD + BAD + 1))
    dead = up.table(TENANT, "dead")
    assert sum(row["code"] is None for row in dead) == BAD + 3
    out = json.loads(up.millrace("status", "--json", tenant=TENANT))
    pipeline.until(lambda: not lags(up), lambda: f"all is committed, but {lags(up)}")
    assert all(stage["holds"] for stage in out["stages"])


def lags(up):
    """Markers at the end of a topic are none."""
    out = json.loads(up.millrace("status", "--json", tenant=TENANT))
    return [lag for lag in out["lag"] if lag["records"] > 0]
