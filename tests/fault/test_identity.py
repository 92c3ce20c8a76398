"""Topics that are deleted and made again under their names while everything runs (LAW 2), and topics
that have fewer replicas than planned (LAW 23)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

sys.path[:0] = [str(Path(__file__).parents[1] / "e2e"), str(Path(__file__).parents[2] / "tools")]
import expected  # noqa: E402
import pipeline  # noqa: E402
import run as supervisor  # noqa: E402  (tools/run.py)

ROUNDS, LATER = 10, 5
ASK_S = 20
TENANT = "anew"
AGAIN = {"anew.pin": "validator", "anew.geo.valid": "cleaner"}


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    folder = tmp_path_factory.mktemp("up")
    running = pipeline.Up(folder, "--store", f"file:{folder}/store")
    yield running
    print(running.said())
    running.stop()  # 1: the stages cannot drain


@pytest.fixture(scope="module")
def admin(up):
    return AdminClient({"bootstrap.servers": up.env()["BOOTSTRAP"]})


def ids(up):
    lines = map(str.split, up.millrace("topics", tenant=TENANT).splitlines())
    return {line[0]: line[-1].removeprefix("id=") for line in lines}


def make_again(admin, topics):
    for done in admin.delete_topics(topics, operation_timeout=ASK_S).values():
        done.result(ASK_S)
    for topic in topics:
        pipeline.until(lambda topic=topic: is_made(admin, topic), f"{topic} is there again", ASK_S)


def is_made(admin, topic):
    """The name of a deleted topic is not free at once."""
    try:
        admin.create_topics([NewTopic(topic, 3, 1)])[topic].result(ASK_S)
    except KafkaException:
        return False
    return True


def post(url):
    event = pipeline.made_up(1)[0]["pin"]
    try:
        answer = requests.post(f"{url}/v1/events/{TENANT}/pin", json=event, timeout=ASK_S)
    except requests.ConnectionError:
        return False
    return answer.status_code == 200


def fatal(up, stage):
    log = (up.folder / "log" / f"{stage}.log").read_text().splitlines()
    return [line for line in log if "event=fatal" in line]


def is_refused(up, stage, topic, before, now):
    """Ended by itself, for this topic. The group's offsets went with the topic, so one that starts
    again has only the outputs to go by; that may be the first to say so, as librdkafka 2.8.0 can
    crash when a topic has another id."""
    return f"{stage} ended (exit code 2)" in up.said() and any(
        before in line and now in line or f"has no offsets of topic {topic}, but" in line
        for line in fatal(up, stage))


def written(up):
    """All that is stored for the tenant: objects, tables, and the topics behind the raw ones."""
    files = {path: path.read_bytes() for path in (up.folder / "store").rglob(f"*{TENANT}*/**/*")
             if path.is_file()}
    topics = {topic: up.records(topic) for topic in ids(up)
              if topic.count(".") > 1 and topic not in AGAIN}
    return files, topics


def verify(up):
    done = subprocess.run(
        [pipeline.BUILD / "bin/millrace", "verify", "--json", "--work-dir", up.folder],
        env=up.vars | up.env() | {"MILLRACE_TENANT": TENANT}, capture_output=True, text=True,
        timeout=60)
    assert done.returncode == 1, done.stdout + done.stderr
    return {flow["law"][0]["kind"]: {rule["rule"] for rule in flow["rules"] if rule["broken"]}
            for flow in json.loads(done.stdout)["flows"]}


def test_a_gateway_that_plans_for_more_replicas_says_so_in_log_and_status(up, tmp_path):
    plan, log = tmp_path / "topics.json", tmp_path / "gateway.log"
    listen, admin = (f"127.0.0.1:{supervisor.free_port()}" for _ in range(2))
    plan.write_text(json.dumps({"partitions": 3, "replicas": 3,
                                "settings": {"min.insync.replicas": 2}}))
    up.play(pipeline.made_up(1), TENANT)
    with log.open("w") as out:
        gateway = subprocess.Popen(
            [pipeline.BUILD / "bin/millrace-gateway", "--bootstrap", up.env()["BOOTSTRAP"],
             "--kinds", pipeline.BUILD / "kinds", "--topics", plan, "--listen", listen,
             "--admin", admin], stdout=out, stderr=out)
    try:
        pipeline.until(lambda: post(f"http://{listen}"), log.read_text, ASK_S)
        pipeline.until(lambda: "event=topic-less-durable-than-planned topic=anew.pin replicas=1 "
                       "planned=3 min_insync=1 planned_min_insync=2" in log.read_text(),
                       log.read_text, ASK_S)
        pipeline.until(lambda: '"topics_less_durable_than_planned":1' in requests.get(
            f"http://{admin}/status", timeout=ASK_S).text, "it stands in /status", ASK_S)
    finally:
        gateway.terminate()
        assert gateway.wait(ASK_S) == 0


def test_a_topic_made_again_ends_its_readers_and_nothing_is_written(up, admin):
    up.play(pipeline.made_up(ROUNDS), TENANT)
    up.await_done(TENANT, {kind: ROUNDS for kind in expected.KINDS})
    before, stored = ids(up), written(up)
    make_again(admin, list(AGAIN))
    now = pipeline.until(lambda: ids(up).keys() >= before.keys() and ids(up), "all topics are listed")
    for _ in range(LATER):
        pipeline.until(lambda: post(up.env()["GATEWAY_URL"]), "the door takes events", ASK_S)
    for topic, stage in (*AGAIN.items(), ("anew.pin", "archiver")):
        assert now[topic] != before[topic]
        pipeline.until(lambda stage=stage, topic=topic: is_refused(
            up, stage, topic, before[topic], now[topic]),
            lambda stage=stage: f"{stage} ends: {fatal(up, stage)}", ASK_S)
    assert any(before["anew.pin"] in line and now["anew.pin"] in line
               for line in fatal(up, "archiver")), "objects name the former id"
    assert written(up) == stored
    broken = verify(up)
    assert "no outcome of the validator is without its record" in broken["pin"]
    assert "no outcome of the cleaner is without its event" in broken["geo"]
    assert not broken["user"]
