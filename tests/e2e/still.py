"""What is left of a millrace when its services have ended: broker and store, and `millrace verify`
over them. Faults are planted here."""

import contextlib
import json
import subprocess
from pathlib import Path

import pyarrow.parquet

import pipeline


def await_committed(up):
    """Also what the archiver shows as its position."""
    def lags():
        out = json.loads(up.millrace("status", "--json", tenant=""))
        return [lag for lag in out["lag"] if lag["records"] > 0]
    pipeline.until(lambda: not lags(), lambda: f"all is committed, but {lags()}")


@contextlib.contextmanager
def left_of(folder, play, env=None):
    """A Still of a millrace that play(up) has used; what play returns is its `played`."""
    up = pipeline.Up(folder, "--store", f"file:{folder}/store", env=env)
    try:
        played = play(up)
        vars = up.env()
    finally:
        ended = up.stop()
    assert ended == 0
    left = Still(folder, vars)
    left.played = played
    yield left
    left.kafka("stop")


class Still:
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
            stdout=subprocess.PIPE, text=True, timeout=180)
        return done.returncode, done.stdout

    def flow(self, tenant, *words, kind="pin", code=0):
        """What verify says of one kind: {"law": {stage: numbers}, "broken": rules, "unchecked"}."""
        got, out = self.verify(tenant, "--json", "--kind", kind, *words)
        assert got == code, out
        flow, = json.loads(out)["flows"]
        return {"law": {line["stage"]: line for line in flow["law"]},
                "broken": {rule["rule"] for rule in flow["rules"] if rule["broken"]},
                "unchecked": flow["unchecked"]}

    def finds(self, tenant, *rules, words=()):
        """Exactly these rules are broken for pins, and nothing else of the tenant."""
        code, out = self.verify(tenant, "--json", *words)
        flows = json.loads(out)["flows"]
        broken = {rule["rule"] for flow in flows for rule in flow["rules"] if rule["broken"]}
        assert code == 1 and broken == set(rules), out
        code, out = self.verify(tenant, "--kind", "pin", *words)
        assert code == 1 and "the law is BROKEN" in out and all(rule in out for rule in rules)

    def kcat(self, *words, **more):
        return subprocess.run(["kcat", "-b", self.vars["BOOTSTRAP"], *words], check=True,
                              capture_output=True, **more).stdout

    def ends(self, topic):
        """{partition: (start, end)} of its log."""
        found = {}
        for which in (-2, -1):
            for partition in range(3):
                found.setdefault(partition, []).append(self.offset(topic, partition, which))
        return found

    def offset(self, topic, partition, which):
        """The start (-2) or the end (-1) of a log; kcat has little patience with a busy broker."""
        def ask():
            done = subprocess.run(["kcat", "-b", self.vars["BOOTSTRAP"], "-Q", "-t",
                                   f"{topic}:{partition}:{which}"], capture_output=True, text=True)
            return done.stdout.split()[-1:] if done.returncode == 0 else []
        return int(pipeline.until(ask, f"the broker knows offset {which} of {topic}")[0])

    def trim(self, offsets):
        """Retention: {(topic, partition): where the log begins from now on}."""
        path = self.folder / "trim.json"
        path.write_text(json.dumps({"version": 1, "partitions": [
            {"topic": topic, "partition": partition, "offset": offset}
            for (topic, partition), offset in offsets.items()]}))
        self.kafka("run", "org.apache.kafka.tools.DeleteRecordsCommand", "--bootstrap-server",
                   self.vars["BOOTSTRAP"], "--offset-json-file", path)

    def group(self, group, topic, *words):
        """kafka-consumer-groups, until it has its way with the topic."""
        def moved():
            done = subprocess.run(
                [pipeline.SOURCE / "tools/kafka", "run",
                 "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--dir",
                 self.folder / "kafka", "--bootstrap-server", self.vars["BOOTSTRAP"], "--group",
                 f"millrace.{group}", "--topic", topic, *words], stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True)
            return topic.split(":")[0] in done.stdout and "Error" not in done.stdout
        pipeline.until(moved, "the group is empty and its offset moved", 30)

    def objects(self, topic, partition=0):
        """In the order of their offsets."""
        return sorted(self.root.glob(f"topics/{topic}/partition={partition}/*.json"))

    def file(self, pattern):
        return next(self.root.glob(pattern))

    def rewrite(self, tenant, change):
        path = self.file(f"tables/{tenant}_pin_table/*.parquet")
        table = pyarrow.parquet.read_table(path)
        path.chmod(0o600)
        pyarrow.parquet.write_table(change(table), path)


def damage(path):
    """Another letter in the first line."""
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(10)
        byte = file.read(1)
        file.seek(10)
        file.write(b"x" if byte != b"x" else b"y")
