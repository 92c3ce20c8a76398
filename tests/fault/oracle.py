"""What must be true after each round, computed from the clients' ledgers and from nothing else."""

import json
import re
import subprocess
import time
from collections import Counter, defaultdict

import events
import expected
import pipeline

DRAIN_S = 90  # until nothing is under way any more
VERIFY_S = 300
SHOWN = 5  # of the events that are wrong, per sort of wrong


class Span:
    """How often an event may come out."""

    def __init__(self):
        self.least = self.most = 0


class Told:
    """What the clients were told, so far."""

    def __init__(self, folder):
        self.folder = folder
        self.at = Counter()  # of each ledger, how far it was read
        self.posts = {}
        self.copies = defaultdict(Span)  # by (kind, text)
        self.keyed = set()  # (client, key, index): counted in copies as certain
        self.perhaps = set()  # the same, as possible
        self.code = {}  # by (kind, text)
        self.places = defaultdict(set)
        self.unsure = Counter()  # events that may stand in a topic, and nobody was told
        self.accepted = 0

    def read(self):
        for path in sorted(self.folder.glob("client-*.ndjson")):
            with path.open() as lines:
                lines.seek(self.at[path])
                for line in iter(lines.readline, ""):
                    self.take(path.stem, json.loads(line))
                self.at[path] = lines.tell()

    def take(self, client, line):
        post = self.posts.setdefault((client, line["post"]), line)
        if "status" not in line:
            self.code.update({(line["kind"], text): line["code"] for text in line["events"]})
            return
        for index, place in zip(line["sent"], line["places"]):
            self.outcome(client, post, index, place, line["status"])

    def outcome(self, client, post, index, place, status):
        """One event of one attempt.  Only 2xx is a promise and only 4xx a refusal (LAW 4)."""
        kind, text = post["kind"], post["events"][index]
        if place is not None:
            self.accepted += place not in self.places[kind]
            self.places[kind].add(place)
        elif 400 <= status < 500:
            return
        else:
            self.unsure[kind] += 1
        span, name = self.copies[kind, text], (client, post["key"], index)
        if post["key"] is None or post["code"] == "ID_REUSED":
            span.least += place is not None
            span.most += 1
            return
        if name not in self.perhaps:
            self.perhaps.add(name)
            span.most += 1
        if place is not None and name not in self.keyed:
            self.keyed.add(name)
            span.least += 1

    def good(self, kind):
        return {text: span for (kind_, text), span in self.copies.items()
                if kind_ == kind and self.code[kind, text] is None}

    def emissions(self):
        """Of which everything was accepted, and nothing else can be in the tables."""
        rows = defaultdict(dict)
        for kind in expected.KINDS:
            for text, span in self.good(kind).items():
                assert span.least, f"nobody knows whether this {kind} was taken: {text}"
                record = json.loads(text)
                rows[record["index" if kind == "pin" else "ind"]][kind] = record
        return list(rows.values())

    def dead(self):
        """{token: (code, span)}"""
        return {re.search(r"bad-c\d+-\d+-", text)[0]: (self.code[kind, text], span)
                for (kind, text), span in self.copies.items() if self.code[kind, text]}


class Oracle:
    def __init__(self, system):
        self.system = system
        self.told = Told(system.folder / "ledger")
        self.lost = self.doubled = 0
        self.totals = {}

    def check(self):
        """After the load has ended; raises AssertionError with what does not hold."""
        self.drain()
        self.system.timeline.say("drained")
        self.verify()
        self.system.timeline.say("verified")
        self.told.read()
        self.check_totals()
        self.check_ticks()
        self.check_dead()
        emissions = self.told.emissions()
        self.check_rows(emissions)
        pipeline.check_answers(self.system, self.system.tenant, emissions)

    def drain(self):
        """Nothing waits anywhere."""
        seen = {}

        def is_drained():
            process = self.system.start_millrace("status", "--json", tenant=self.system.tenant)
            out, err = process.communicate(timeout=120)
            if not out:
                seen.update(error=err)
                return False
            status = json.loads(out)
            seen.update(status=status, error="")
            self.totals = {line["kind"]: line for line in status["stages"]
                           if line["stage"] == "total"}
            return not [lag for lag in status["lag"] if lag["records"] > 0] and \
                all(line["in_flight"] == 0 for line in self.totals.values())
        pipeline.until(is_drained, lambda: f"all is drained, last seen {seen}", DRAIN_S)
        broken = [line for line in seen["status"]["stages"] if not line["holds"]]
        assert not broken, f"the law is broken: {broken}"

    def verify(self):
        process = self.system.start_millrace("verify", "--work-dir", self.system.folder,
                                             tenant=self.system.tenant)
        try:
            out, err = process.communicate(timeout=VERIFY_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        with (self.system.folder / "verify.out").open("a") as file:
            print(time.ctime(), out, err, sep="\n", file=file)
        assert process.returncode == 0, f"millrace verify: {process.returncode}\n{out}{err}"

    def check_totals(self):
        """As many records came in as clients were told, and what nobody was told at most."""
        for kind in events.KINDS:
            line, least = self.totals[kind], len(self.told.places[kind])
            most = least + self.told.unsure[kind]
            assert least <= line["in"] <= most, f"{kind}: {least} to {most} were taken: {line}"

    def compare(self, what, spans, found):
        """{name: Span} against {name: how often it is there}."""
        lost = [name for name, span in spans.items() if found[name] < span.least]
        doubled = [name for name, span in spans.items() if found[name] > span.most]
        unknown = [name for name in found if name not in spans]
        self.lost += len(lost)
        self.doubled += len(doubled)
        assert not lost, f"{what}: accepted and missing: {len(lost)}, such as {lost[:SHOWN]}"
        assert not doubled, f"{what}: doubled: {len(doubled)}, such as {doubled[:SHOWN]}"
        assert not unknown, f"{what}: nobody posted {unknown[:SHOWN]}"

    def check_ticks(self):
        """Each as often as it was accepted: this table keeps equal keys."""
        spans = {json.loads(text)["token"]: span for text, span in self.told.good("tick").items()}
        rows = self.system.table(self.system.tenant, "tick")
        self.compare("ticks", spans, Counter(row["token"] for row in rows))

    def check_dead(self):
        dead = self.told.dead()
        if not dead:
            return
        found, wrong = Counter(), []
        for row in self.system.table(self.system.tenant, "dead"):
            token = re.search(rb"bad-c\d+-\d+-", row["original"])
            assert token, f"a dead letter of what was good: {row}"
            token = token[0].decode()
            found[token] += 1
            if token in dead and row["code"] != dead[token][0]:
                wrong.append((token, row["code"], dead[token][0]))
        self.compare("dead letters", {token: span for token, (_, span) in dead.items()}, found)
        assert not wrong, f"dead letters of another code: {wrong[:SHOWN]}"

    def check_rows(self, emissions):
        for kind, rows in expected.tables(emissions).items():
            spans = {}
            for key in rows:
                spans[key] = Span()
                spans[key].least = spans[key].most = 1
            read = self.system.table(self.system.tenant, kind)
            self.compare(f"rows of {kind}", spans, Counter(row["ind"] for row in read))
            changed = [row for row in read if rows[row["ind"]] != row]
            assert not changed, f"rows of {kind} that differ: {changed[:SHOWN]}"
