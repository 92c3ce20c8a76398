"""One broker and one gateway for a test, and what stands in Kafka afterwards."""

import json
import os
import re
import secrets
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections import namedtuple
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

SOURCE = Path(os.environ["MILLRACE_SOURCE"])
BUILD = Path(os.environ["MILLRACE_BUILD"])
DEPS = Path(os.environ.get("MILLRACE_DEPS", BUILD / "deps"))

# header: the bytes of the header "millrace"
Record = namedtuple("Record", "key value header")


def until(look, what, seconds=30):
    """What look() returns as soon as it is true; fails after the deadline."""
    end = time.monotonic() + seconds
    while True:
        result = look()
        if result:
            return result
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def new_tenant():
    """As the users' ids look; topics of it belong to one test only."""
    return secrets.token_hex(6)


def run(*words, **options):
    """What a program prints; its errors are the test's."""
    done = subprocess.run([str(word) for word in words], capture_output=True, timeout=60, **options)
    assert done.returncode == 0, f"{words}: {done.returncode} {done.stdout} {done.stderr}"
    return done.stdout


def provenance(header):
    """{field: value} of the packed message Provenance in proto/millrace/v1/event.proto."""
    fields, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = header[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(header):
        tag = varint()
        wire = tag & 7
        if wire == 0:
            fields[tag >> 3] = varint()
            continue
        size = 8 if wire == 1 else varint()
        fields[tag >> 3] = header[at:at + size]
        at += size
    return fields


def event_id(record):
    return provenance(record.header)[2]


class Certificates:
    """An authority of our own, and what it signs."""

    def __init__(self, folder):
        folder.mkdir(exist_ok=True)
        self.folder, self.ca = folder, folder / "ca.pem"
        self.request("ca.key", "-x509", "-out", "ca.pem", "-subj", "/CN=millrace test", "-days", "2")

    def openssl(self, *words):
        run("openssl", *words, cwd=self.folder)

    def request(self, key, *words):
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-keyout", key, *words)

    def make(self, name, subject):
        """name.pem and name.key, for 127.0.0.1; those of the same name are replaced."""
        (self.folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        self.request("new.key", "-out", "new.csr", "-subj", f"/CN={subject}")
        self.openssl("x509", "-req", "-in", "new.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                     "-CAcreateserial", "-out", "new.pem", "-days", "2", "-extfile", "names")
        for suffix in "key", "pem":
            (self.folder / f"new.{suffix}").rename(self.folder / f"{name}.{suffix}")
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"


class Broker:
    """A real Kafka."""

    def __init__(self, folder):
        self.folder = folder
        self.address = self.start()
        self.reader = Consumer({"bootstrap.servers": self.address, "group.id": "reader",
                                "fetch.wait.max.ms": 10, "log_level": 0})

    def tool(self, *words):
        return run(SOURCE / "tools/kafka", *words, "--dir", self.folder).decode()

    def start(self):
        return self.tool("start").strip()

    def stop(self):
        self.reader.close()
        self.tool("stop", "--wipe")

    def kill(self):
        self.tool("kill")

    def freeze(self):
        os.kill(int((self.folder / "pid").read_text()), signal.SIGSTOP)

    def thaw(self):
        os.kill(int((self.folder / "pid").read_text()), signal.SIGCONT)

    def make_topic(self, name, partitions=3):
        self.tool("topics", "--create", "--topic", name, "--partitions", str(partitions))

    def records(self, topic):
        """{(partition, offset): Record} of all that stands in a topic."""
        partitions = self.reader.list_topics(topic, timeout=30).topics[topic].partitions
        places = [TopicPartition(topic, partition, 0) for partition in partitions]
        missing = sum(self.reader.get_watermark_offsets(place, timeout=30)[1] for place in places)
        result, end = {}, time.monotonic() + 60
        self.reader.assign(places)
        while len(result) < missing:
            assert time.monotonic() < end, f"{topic}: {len(result)} of {missing} records"
            for message in self.reader.consume(10000, 0.1):
                assert message.error() is None, message.error()
                (name, header), = message.headers()
                assert name == "millrace"
                place = message.partition(), message.offset()
                result[place] = Record(message.key(), message.value(), header)
        self.reader.unassign()
        return result


class Gateway:
    """The process; `options` are those of its command line."""

    def __init__(self, folder, broker, *options, listen="127.0.0.1:0", env=None):
        folder.mkdir(exist_ok=True)
        self.log = folder / "gateway.log"
        words = [BUILD / "bin/millrace-gateway", "--bootstrap", broker.address, "--listen", listen,
                 "--kinds", BUILD / "kinds", "--topics", SOURCE / "deploy/topics.json",
                 "--admin", "127.0.0.1:0", "--auto-topics", *options]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log,
                                            env=os.environ | (env or {}))
        self.address = until(lambda: self.said(r"event=listening address=(\S+)"), "it listens")
        self.port = int(self.address.rpartition(":")[2])
        self.admin = "http://127.0.0.1:" + until(lambda: self.said(r"admin=(\d+)"), "it starts")
        self.url = f"http://{self.address}"
        until(self.is_ready, lambda: self.log.read_text())

    def said(self, pattern):
        found = re.search(pattern, self.log.read_text())
        assert found or self.process.poll() is None, self.log.read_text()
        return found and found[1]

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"{self.admin}/ready", timeout=5) as answer:
                return answer.status == 200
        except urllib.error.HTTPError as error:
            assert error.code == 503, error
            return False

    def status(self):
        with urllib.request.urlopen(f"{self.admin}/status", timeout=5) as answer:
            return json.load(answer)["detail"]

    def rss(self):
        """Bytes of memory that the process holds now."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024

    def rss_peak(self):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) * 1024

    def term(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        """The exit code after SIGTERM."""
        if self.process.poll() is None:
            self.term()
        return self.process.wait(40)
