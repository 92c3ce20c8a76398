"""One broker and one gateway for a test, and what stands in Kafka afterwards, as kcat reads it."""

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


class Broker:
    """A real Kafka."""

    def __init__(self, folder):
        self.folder = folder
        self.address = self.start()

    def tool(self, *words):
        return run(SOURCE / "tools/kafka", *words, "--dir", self.folder).decode()

    def start(self):
        return self.tool("start").strip()

    def stop(self):
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
        mark = secrets.token_bytes(16).hex()
        out = run("kcat", "-C", "-b", self.address, "-t", topic, "-o", "beginning", "-e", "-q",
                  "-X", "fetch.wait.max.ms=10", "-f", f"%p %o %K %S\n%k%s%h{mark}")
        result, at = {}, 0
        while at < len(out):
            line = out.index(b"\n", at)
            partition, offset, key_size, size = map(int, out[at:line].split())
            at, end = line + 1, line + 1 + max(key_size, 0) + max(size, 0)
            key, value = out[at:end - max(size, 0)], out[end - max(size, 0):end]
            stop = out.index(mark.encode(), end)
            name, _, header = out[end:stop].partition(b"=")
            assert name == b"millrace", f"the header is not there: {out[end:stop]}"
            result[partition, offset] = Record(key if key_size >= 0 else None,
                                               value if size >= 0 else None, header)
            at = stop + len(mark)
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
            return json.load(answer)

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
