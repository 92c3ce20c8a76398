"""tools/up itself: its exit codes and files, two at once, drain, and what it leaves behind."""

import os
import signal
import subprocess

import pytest

import expected
import pipeline


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    running = pipeline.Up(tmp_path_factory.mktemp("up"))
    yield running
    print(running.said())
    assert running.stop() == 0


def run_up(*words):
    return subprocess.run([pipeline.SOURCE / "tools/up", *words], env=os.environ | pipeline.QUICK,
                          capture_output=True, text=True, timeout=150)


def check_nothing_left(folder, pids):
    assert not [pid for pid in pids if pipeline.is_alive(pid)]
    assert not (folder / "up.env").exists()
    with_folder = [pid for pid in os.listdir("/proc") if pid.isdigit() and holds(pid, folder)]
    assert not with_folder


def holds(pid, folder):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as words:
            return os.fsencode(folder) in words.read() and int(pid) != os.getpid()
    except OSError:
        return False


def test_once_prints_and_writes_the_answers_beside_another_run(up, tmp_path):
    emissions = pipeline.made_up(60)
    done = run_up("--once", "--count", "60", "--dir", tmp_path / "run",
                  "--answers", tmp_path / "answers")
    assert done.returncode == 0, done.stdout + done.stderr
    for name, rows in expected.answers(emissions).items():
        assert (tmp_path / f"answers/{name}.csv").read_text() == expected.csv_text(name, rows)
    for kind in expected.KINDS:
        law = expected.law(emissions)
        assert [*map(str, law.values()), "0", "holds"] in [
            line.split()[3:] for line in done.stdout.splitlines()
            if line.split()[1:3] == [kind, "total"]]
    check_nothing_left(tmp_path / "run", [])
    assert all(pipeline.is_alive(pid) for pid in up.pids())
    assert up.totals("12b287eedf6d")["pin"]["in"] == 0, "it went to the other run"


def test_second_run_in_the_same_folder_is_refused(up):
    done = run_up("--once", "--dir", up.folder)
    assert done.returncode == 1
    assert "another tools/up runs in" in done.stderr


@pytest.mark.parametrize("words", (
    ["--onse"], ["--count", "0"], ["--count"], ["--port", "70000"], ["--median", "upper"],
    ["--store", "here"], ["--data", "/nowhere"], ["--tenant", "a/b"], ["--once", "--idle"]))
def test_misuse_is_one_line_and_exit_code_2(words):
    done = run_up(*words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and words[0] in done.stderr


def test_each_service_drains_on_sigterm_and_is_replaced(up):
    for name in pipeline.SERVICES:
        pid = up.pid(name)
        os.kill(pid, signal.SIGTERM)
        pipeline.until(lambda: up.pid(name) not in (0, pid), f"{name} is replaced", 10)
        log = (up.folder / "log" / f"{name}.log").read_text()
        assert "event=state from=draining to=stopped" in log
        assert f"{name} ended (exit code 0)" in up.said()


def test_posts_accepted_before_sigterm_are_all_there_after_the_next_start(tmp_path):
    emissions, counts = pipeline.made_up(300), {kind: 300 for kind in expected.KINDS}
    first = pipeline.Up(tmp_path)
    first.play(emissions, "drained")
    pids = first.pids()
    assert first.stop() == 0, first.said()
    check_nothing_left(tmp_path, pids)
    again = pipeline.Up(tmp_path)
    try:
        totals = again.await_done("drained", counts)
        pipeline.check_all(again, "drained", emissions, totals)
    finally:
        assert again.stop() == 0
