"""A whole millrace for a test: tools/up on a folder of its own, and what looks at it from outside:
HTTP, Kafka by kcat, tables by delta-rs and DuckDB, objects by pyarrow."""

import json
import os
import shlex
import signal
import subprocess
import threading
import time
from collections import defaultdict
from pathlib import Path

import duckdb
import duckdb_extension_delta
import pyarrow
import pyarrow.fs
from deltalake import DeltaTable, QueryBuilder

import expected

SOURCE = Path(os.environ["MILLRACE_SOURCE"])
BUILD = Path(os.environ["MILLRACE_BUILD"])
REAL = SOURCE / "../shared/data/emissions_seed100.ndjson"
PUBLISHED = SOURCE / "../shared/data/answers_n139"
SERVICES = ("gateway", "validator", "cleaner", "archiver", "query")
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret",
        "AWS_REGION": "us-east-1"}
QUICK = {"MILLRACE_TABLE_AGE": "1s", "MILLRACE_RAW_AGE": "1s"}


def until(look, what, seconds=60):
    """What look() returns as soon as it is true; fails after the deadline."""
    end = time.monotonic() + seconds
    while True:
        result = look()
        if result:
            return result
        assert time.monotonic() < end, f"not within {seconds} s: {what() if callable(what) else what}"
        time.sleep(0.05)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def read_emissions(path, count):
    with path.open() as lines:
        return [json.loads(line) for _, line in zip(range(count), lines)]


def made_up(count):
    """What `millrace emulate` posts."""
    out = subprocess.run([BUILD / "bin/millrace", "emulate", "--print", "--count", str(count)],
                         check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


class S3:
    """A real S3 server with one bucket."""

    def __init__(self, folder):
        self.folder = folder
        self.endpoint = self.tool("start", "--bucket", "mill").strip()

    def tool(self, *words):
        return subprocess.run([SOURCE / "tools/s3", *words, "--dir", self.folder], check=True,
                              stdout=subprocess.PIPE, text=True).stdout

    def up_options(self):
        return "--store", "s3://mill/e2e", "--s3-endpoint", self.endpoint

    def stop(self):
        self.tool("stop")


class Millrace:
    """What looks at a running one, whoever runs it and says its folder, s3, vars and env()."""

    # ---- through the command line tool ----

    def start_millrace(self, *words, tenant):
        env = self.vars | self.env() | {"MILLRACE_TENANT": tenant}
        return subprocess.Popen([BUILD / "bin/millrace", *map(str, words)], env=env, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def millrace(self, *words, tenant):
        process = self.start_millrace(*words, tenant=tenant)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, f"millrace {words}: {process.returncode} {out} {err}"
        return out

    def start_emulate(self, emissions, tenant, go_on=None):
        """With an event go_on the second half is posted when it is set."""
        path = self.folder / f"{tenant}.ndjson"
        lines = [json.dumps(emission) + "\n" for emission in emissions]
        if go_on is None:
            path.write_text("".join(lines))
        else:
            os.mkfifo(path)
            threading.Thread(target=self.feed, args=(path, lines, go_on), daemon=True).start()
        return self.start_millrace("emulate", "--fast", "--data", path, "--count", len(emissions),
                                   tenant=tenant)

    @staticmethod
    def feed(path, lines, go_on):
        with path.open("w") as pipe:
            pipe.writelines(lines[:len(lines) // 2])
            pipe.flush()
            go_on.wait(120)
            pipe.writelines(lines[len(lines) // 2:])

    def play(self, emissions, tenant):
        process = self.start_emulate(emissions, tenant)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err

    def totals(self, tenant):
        """{kind: line of the law}; empty while it cannot be read."""
        process = self.start_millrace("status", "--json", tenant=tenant)
        out, _ = process.communicate(timeout=120)
        stages = json.loads(out)["stages"] if out else []
        assert all(stage["holds"] for stage in stages), stages
        return {stage["kind"]: stage for stage in stages if stage["stage"] == "total"}

    def await_done(self, tenant, posted):
        """Waits until all that was posted is in tables and archive; {kind: line of the law}."""
        now = {}

        def is_done():
            now.update(self.totals(tenant))
            return all(kind in now and now[kind]["in"] >= count and now[kind]["in_flight"] == 0
                       for kind, count in posted.items())
        until(is_done, lambda: f"all of {tenant} is in its tables, last seen {now}", 120)
        for kind in posted:
            ends = self.ends(f"{tenant}.{kind}")
            until(lambda kind=kind, ends=ends: sum(self.archived(f"{tenant}.{kind}").values())
                  >= ends, f"{tenant}.{kind} is in the archive")
        return now

    def query(self, tenant, *words):
        return self.millrace("query", "--quiet", "--format", "csv", *words, tenant=tenant)

    # ---- Kafka ----

    def records(self, topic):
        """{(partition, offset): value}, read by another Kafka client."""
        out = subprocess.run(
            ["kcat", "-C", "-b", self.env()["BOOTSTRAP"], "-t", topic, "-o", "beginning", "-e",
             "-q", "-f", "%p %o %S %s\n"], check=True, capture_output=True).stdout
        result, at = {}, 0
        while at < len(out):
            partition, offset, size, _ = out[at:at + 100].split(b" ", 3)
            begin = at + len(partition) + len(offset) + len(size) + 3
            size = max(int(size), 0)  # -1: a tombstone
            result[int(partition), int(offset)] = out[begin:begin + size]
            at = begin + size + 1
        return result

    def ends(self, topic):
        return len(self.records(topic))

    # ---- the store ----

    def store(self):
        """A file system and the path of the store in it."""
        url = self.env()["STORE_URL"]
        if url.startswith("file:"):
            return pyarrow.fs.LocalFileSystem(), url[5:]
        files = pyarrow.fs.S3FileSystem(
            access_key=KEYS["AWS_ACCESS_KEY_ID"], secret_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            region=KEYS["AWS_REGION"], scheme="http",
            endpoint_override=self.s3.endpoint.removeprefix("http://"))
        return files, url.removeprefix("s3://")

    def objects(self, topic):
        """{partition: [(offset in the name, lines)]}, in order of the offsets."""
        files, root = self.store()
        found = files.get_file_info(
            pyarrow.fs.FileSelector(f"{root}/topics/{topic}", recursive=True, allow_not_found=True))
        result = defaultdict(list)
        for info in found:
            if info.type != pyarrow.fs.FileType.File:
                continue
            name, partition, first = info.base_name.removesuffix(".json").split("+")
            assert name == topic and f"/partition={partition}/" in info.path and len(first) == 10
            with files.open_input_stream(info.path) as stream:
                text = stream.read()
            assert text.endswith(b"\n")
            result[int(partition)].append((int(first), text[:-1].split(b"\n")))
        return {partition: sorted(objects) for partition, objects in result.items()}

    def archived(self, topic):
        return {partition: sum(len(lines) for _, lines in objects)
                for partition, objects in self.objects(topic).items()}

    def table(self, tenant, kind):
        """Its rows as delta-rs reads them, from wherever it is."""
        url, options = self.env()["STORE_URL"], {}
        if self.s3:
            options = KEYS | {"AWS_ENDPOINT_URL": self.s3.endpoint, "AWS_ALLOW_HTTP": "true"}
        table = DeltaTable(f"{url.removeprefix('file:')}/tables/{tenant}_{kind}_table",
                           storage_options=options)
        rows = QueryBuilder().register("t", table).execute("SELECT * FROM t").read_all()
        return pyarrow.table(rows).to_pylist()

    def table_in_duckdb(self, tenant, kind):
        """The same as DuckDB's Delta extension reads them, from the files below the S3 server."""
        url = self.env()["STORE_URL"]
        root = url[5:] if url.startswith("file:") else \
            f"{self.s3.folder}/data/{url.removeprefix('s3://')}"
        extension = next(Path(duckdb_extension_delta.__file__).parent.rglob(
            "delta.duckdb_extension"))
        with duckdb.connect() as db:
            db.execute(f"LOAD '{extension}'")
            db.execute("SET TimeZone='UTC'")
            rows = db.execute(f"SELECT * FROM delta_scan('{root}/tables/{tenant}_{kind}_table')")
            return rows.to_arrow_table().to_pylist()


class Up(Millrace):
    """tools/up --idle, running."""

    def __init__(self, folder, *options, s3=None, env=None):
        self.folder, self.s3 = folder, s3
        self.vars = os.environ | QUICK | (KEYS if s3 else {}) | (env or {})
        folder.mkdir(exist_ok=True)
        self.out = folder / "up.out"
        words = [SOURCE / "tools/up", "--idle", "--dir", folder, *options,
                 *(s3.up_options() if s3 else ())]
        with self.out.open("w") as out:
            self.process = subprocess.Popen(words, stdout=out, stderr=out, env=self.vars)
        until(lambda: self.process.poll() is not None or "Ctrl-C ends it all" in self.said(),
              "tools/up is ready", 90)
        assert self.process.poll() is None, self.said()

    def said(self):
        return self.out.read_text()

    def env(self):
        """up.env, as a shell reads it."""
        text = (self.folder / "up.env").read_text()
        return dict(word.split("=", 1) for word in shlex.split(text))

    def pid(self, name):
        return int(self.env()[f"PID_{name.upper()}"])

    def pids(self):
        return [int(value) for name, value in self.env().items() if name.startswith("PID_")]

    def stop(self):
        """The exit code after SIGTERM."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


# ---- what must hold, whatever was posted and whatever happened meanwhile ----

def check_law(totals, emissions, resent=False):
    """Exactly the numbers; when posts may have been sent again, each more is a repeat."""
    for kind in expected.KINDS:
        line, law = totals[kind], expected.law(emissions)
        more = line["in"] - law["in"]
        assert more == 0 or resent and more > 0
        assert {name: line[name] for name in law} == \
            law | {"in": law["in"] + more, "repeated": law["repeated"] + more}
        assert line["in_flight"] == 0 and line["holds"]


def by_key(rows):
    result = {row["ind"]: row for row in rows}
    assert len(result) == len(rows), "a key stands in the table more than once"
    return result


def check_tables(up, tenant, emissions):
    for kind, rows in expected.tables(emissions).items():
        read = up.table(tenant, kind)
        assert by_key(read) == rows
        assert list(read[0]) == list(next(iter(rows.values()))), "the order of columns"
        assert by_key(up.table_in_duckdb(tenant, kind)) == rows


def check_archive(up, topic):
    """Each offset once: line i of an object is the record at the offset in its name + i."""
    lines = {}
    for partition, objects in up.objects(topic).items():
        for first, texts in objects:
            for i, text in enumerate(texts):
                assert lines.setdefault((partition, first + i), text) is text, "an offset twice"
    assert lines == up.records(topic)
    return lines


def check_archives(up, tenant, emissions, resent=False):
    """The archive holds what was posted, as it was posted."""
    for kind in expected.KINDS:
        lines = [json.loads(line) for line in check_archive(up, f"{tenant}.{kind}").values()]
        posted = [emission[kind] for emission in emissions]
        def text(record):
            return json.dumps(record, sort_keys=True)
        if resent:
            assert {*map(text, lines)} == {*map(text, posted)}
        else:
            assert sorted(map(text, lines)) == sorted(map(text, posted))


def check_answers(up, tenant, emissions):
    for median, words in ((None, "exact"), (expected.lower_median, "lower")):
        answers = expected.answers(emissions, median) if median else expected.answers(emissions)
        for name, rows in answers.items():
            got = up.query(tenant, "--median", words, name)
            assert got == expected.csv_text(name, rows), f"{name}, {words} median"


def check_all(up, tenant, emissions, totals, resent=False):
    check_law(totals, emissions, resent)
    check_tables(up, tenant, emissions)
    check_archives(up, tenant, emissions, resent)
    check_answers(up, tenant, emissions)
