"""What cannot be used becomes a dead letter that says why, wherever it comes from and whatever it
is; nothing stops for it, nothing is lost, and a mended contract takes what can be mended."""

import base64
import json
import os
import signal
import subprocess
from collections import Counter

import confluent_kafka
import confluent_kafka.admin
import pytest
import requests

import pipeline

RELOAD_ORDER = ("query", "archiver", "cleaner", "validator", "gateway")
LARGE, ORIGINAL_MAX = 20 << 20, 4 << 20
EVENT_ID = b"\x12\x10" + bytes(range(16))  # of a Provenance, as a native producer may write it
BEYOND = b"\x18" + b"\xff" * 8 + b"\x7f"   # received_us: the largest int64

# How it comes ("http", or the header of a native record), value, code, and what field, rule, value
# and reason of the letter must say.
POISON = [
    ("http", b"not json", "NOT_JSON", "", "json", "not json", "byte 0"),
    ("http", b'{"id":1,"city":"\xff\xfe"}', "NOT_UTF8", "", "utf8", "\\xff\\xfe", "encode it as UTF-8"),
    ("http", b'{"id":1,"city":"a\\u0000b"}', "BAD_TEXT", "", "text", "\\u0000", "leave it out"),
    ("http", b'{"id":1,"city":"a\x00b"}', "NOT_JSON", "", "json", "\\x00b", "must be escaped"),
    ("http", b'{"id":1,"city":' + b"[" * 100 + b"]" * 100 + b"}", "TOO_DEEP", "", "depth", "[[[[",
     "more than 64"),
    ("http", b'{"id":1,"label":"' + b"y" * 1000000 + b'"}', "TOO_LONG", "label", "max_length",
     "yyyy", "has 1000000 characters: 40 are the most"),
    ("http", b'{"id":1,"id":2,"city":"Ulm"}', "DUPLICATE_FIELD", "id", "once", "2", "id is sent twice"),
    ("http", b'{"id":9223372036854775808,"city":"Ulm"}', "OUT_OF_RANGE", "id", "type",
     "9223372036854775808", "id does not fit into 64 bits"),
    ("http", b'{"id":1,"city":"Ulm","ratio":1e999}', "OUT_OF_RANGE", "ratio", "type", "1e999",
     "ratio is too large for a double"),
    ("http", b'{"id":1,"city":"Ulm","password":"hunter2"}', "UNKNOWN_FIELD", "password",
     "unknown_fields", "***", "password is no field of kind parcel"),
    ("http", b'{"id":1,"city":"\\u001b]0;x","weight":"\x7f\xc2\x9b31m"}', "WRONG_TYPE", "weight",
     "type", "31m", "weight must be a whole number"),
    ("http", b'{"id":1,"city":"Ulm","price":"free"}', "RULE_FAILED", "", "clean.sql", '{"id":1',
     '"free"'),
    ("http", '{"id":1,"city":"Ulm","price":"'.encode() + "€".encode() * 300 + b'"}', "RULE_FAILED", "",
     "clean.sql", '{"id":1', "€€€"),
    ("http", b'{"id":1,"city":"Ulm","ratio":-1}', "RULE_FAILED", "", "clean.sql", '{"id":1',
     "pair[1] is NULL"),
    ("http", b'{"id":1,"copies":9,"city":"' + base64.b64encode(os.urandom(200000)) + b'"}',
     "TOO_LARGE", "", "max.message.bytes", '{"id":1', "larger than poison.parcel.clean takes"),
    (None, b"", "EMPTY", "", "event", "", "the value is empty"),
    (None, None, "TOMBSTONE", "", "event", "", "the record has no value"),
    (None, b"\xff\x00garbage", "NOT_JSON", "", "json", "\\xff\\x00garbage", "byte 0"),
    (None, b'{"id":1,"label":"' + b"z" * LARGE + b'"}', "TOO_LONG", "label", "max_length", "zzz",
     f"has {LARGE} characters"),  # Kafka takes it, since it is small when compressed
    (None, b"[x" + base64.b64encode(os.urandom(LARGE * 3 // 4)), "NOT_JSON", "", "json", "x",
     "byte 1"),
    (b"\x08\x02" + EVENT_ID, b'{"id":1,"city":"Ulm"}', "BAD_HEADER", "millrace", "header",
     "\\x08\\x02", "not of version 1"),
    (b"garbage header", b'{"id":1,"city":"Ulm"}', "BAD_HEADER", "millrace", "header",
     "garbage header", "no Provenance message"),
    (b"\x08\x01" + EVENT_ID + b"\x32\x02\xff\xfe", b'{"id":1,"city":"Ulm"}', "BAD_HEADER", "millrace",
     "header", "\\xff\\xfe", "not valid UTF-8"),
    (b"\x08\x01" + EVENT_ID + BEYOND, b'{"id":1,"city":"Ulm"}', "BAD_HEADER", "millrace", "header",
     "\\xff", "not in the years 1970 to 9999"),
]

# Of 10,000 events; the first six are good by the mended contract.
SORTS = {
    "UNKNOWN_FIELD": b'{"id":%d,"city":"Ulm","colour":"red"}',
    "MISSING_FIELD": b'{"id":%d}',
    "OUT_OF_RANGE": b'{"id":%d,"city":"Ulm","weight":40000}',
    "TOO_LONG": b'{"id":%d,"city":"Ulm","label":"' + b"x" * 60 + b'"}',
    "BAD_PATTERN": b'{"id":%d,"city":"Ulm","postcode":"SW1A"}',
    "RULE_FAILED": b'{"id":%d,"city":"Ulm","price":"free"}',
    "NOT_JSON": b'{"id":%d,"city"',
    "NOT_UTF8": b'{"id":%d,"city":"\xff"}',
    "NOT_ONE_OBJECT": b'"parcel %d"',
    "DUPLICATE_FIELD": b'{"id":%d,"city":"Ulm","city":"Bonn"}',
    "WRONG_TYPE": b'{"id":%d,"city":"Ulm","weight":"heavy"}',
    "BAD_TIME": b'{"id":%d,"city":"Ulm","sent_at":"2021-02-30 12:00:00"}',
}
MENDED = list(SORTS)[:6]
EVENTS, BAD = 10000, 100


def make_kinds(source, target):
    subprocess.run([pipeline.SOURCE / "tools/kinds", pipeline.SOURCE / source, target], check=True)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    make_kinds("tests/e2e/parcels/first", folder)
    make_kinds("proto/kinds", folder)
    return folder


@pytest.fixture(scope="module")
def up(tmp_path_factory, kinds):
    running = pipeline.Up(tmp_path_factory.mktemp("up"), env={"MILLRACE_KINDS": str(kinds)})
    yield running
    print(running.said())
    assert running.stop() == 0


class Door:
    """Both ways in. Remembers what stands where."""

    def __init__(self, up, tenant):
        self.url = f"{up.env()['GATEWAY_URL']}/v1/events/{tenant}/parcel"
        self.topic, self.sent = f"{tenant}.parcel", {}
        self.kafka = {"bootstrap.servers": up.env()["BOOTSTRAP"]}
        self.producer = confluent_kafka.Producer(self.kafka | {"message.max.bytes": 2 * LARGE})

    def post(self, *values):
        body = b"\n".join(values)
        kind = "application/x-ndjson" if len(values) > 1 or not body.startswith(b"{") else \
            "application/json"
        answer = requests.post(self.url, body, headers={"Content-Type": kind}, timeout=30)
        assert answer.status_code == 200, answer.text
        places = [(at["partition"], at["offset"]) for at in answer.json()["receipts"]]
        assert len(places) == len(values)
        self.sent |= zip(places, values)
        return places

    def produce(self, value, header):
        done = []
        self.producer.produce(self.topic, value, partition=0,
                              headers=[("millrace", header)] if header else None,
                              on_delivery=lambda error, message: done.append((error, message)))
        self.producer.flush(30)
        (error, message), = done
        assert error is None, error
        self.sent[message.partition(), message.offset()] = value
        return message.partition(), message.offset()

    def allow(self, size):
        resource = confluent_kafka.admin.ConfigResource("topic", self.topic)
        resource.add_incremental_config(confluent_kafka.admin.ConfigEntry(
            "max.message.bytes", str(size),
            incremental_operation=confluent_kafka.admin.AlterConfigOpType.SET))
        client = confluent_kafka.admin.AdminClient(self.kafka)
        for done in client.incremental_alter_configs([resource]).values():
            done.result(10)


def good(number):
    return b'{"id":%d,"city":"Ulm","weight":7}' % number


def letters(up, tenant, *words):
    out = up.millrace("dead", "list", "--json", "--limit", 1000, *words, tenant=tenant)
    return {(row["partition"], row["offset"]): row for row in map(json.loads, out.splitlines())}


def counts(up, tenant, *words):
    """(code, field): (letters, replayed), as stats says."""
    out = up.millrace("dead", "stats", "--json", *words, tenant=tenant)
    return {(row["code"], row["field"]): (row["letters"], row["replayed"])
            for row in map(json.loads, out.splitlines())}


def check_law(up, tenant, **law):
    up.await_done(tenant, {"parcel": law["in"]})
    line = up.totals(tenant)["parcel"]
    assert {name: line[name] for name in law} == law and line["holds"] and line["in_flight"] == 0
    up.millrace("verify", "--kind", "parcel", "--work-dir", up.folder, tenant=tenant)


def from_line(line):
    """What was posted, from its line of the archive (LAW 15)."""
    if line == b'{"millrace_null":true}':
        return None
    if line.startswith(b'{"millrace_base64":"'):
        return base64.b64decode(json.loads(line)["millrace_base64"], validate=True)
    return line


def check_archive(up, door):
    lines = {}
    for partition, objects in up.objects(door.topic).items():
        for first, texts in objects:
            for i, text in enumerate(texts):
                assert lines.setdefault((partition, first + i), text) is text, "an offset twice"
    assert {place: from_line(line) for place, line in lines.items()} == door.sent


@pytest.fixture(scope="module")
def poisoned(up):
    """Every poison with a good event before and behind: {place: what is expected}, and the door."""
    door, expected = Door(up, "poison"), {}
    door.post(good(1000))
    door.allow(LARGE + (1 << 20))
    for number, (way, value, *words) in enumerate(POISON):
        if way == "http":
            place, = door.post(value)
        else:
            place = door.produce(value, way)
        expected[place] = words
        door.post(good(number))
    return door, expected


def test_poison_is_dead_for_a_reason_and_nothing_stops(up, poisoned):
    door, expected = poisoned
    flowed = len(POISON) + 1
    check_law(up, "poison", **{"in": 2 * len(POISON) + 1, "good": flowed, "repeated": 0,
                               "dead": len(POISON)})
    assert sorted(row["id"] for row in up.table("poison", "parcel")) == \
        [*range(len(POISON)), 1000]
    check_archive(up, door)
    status = json.loads(up.millrace("status", "--json", tenant="poison"))["stages"]
    assert {line["stage"]: sum(line["dead_codes"].values()) for line in status} == \
        {line["stage"]: line["dead"] for line in status}
    found = letters(up, "poison")
    assert found.keys() == expected.keys()
    for place, (code, field, rule, value, reason) in expected.items():
        row = found[place]
        assert (row["code"], row["field"], row["rule"]) == (code, field, rule), row
        assert value in row["value"] and reason in row["reason"], row
        assert row["attempts"] == 1 and row["replayed_at"] is None
    dead_by_code = Counter()
    for (code, _), (dead, _) in counts(up, "poison").items():
        dead_by_code[code] += dead
    assert dead_by_code == Counter(words[0] for words in expected.values())


def test_a_letter_shows_what_was_posted(up, poisoned):
    door, _ = poisoned
    for place, row in letters(up, "poison").items():
        name = f"{door.topic}/{place[0]}/{place[1]}"
        show = up.start_millrace("dead", "show", "--raw", name, tenant="")
        raw, value = show.stdout.buffer.read(), door.sent[place] or b""
        assert show.wait() == 0, show.stderr.read()
        if row["code"] == "TOO_LARGE":  # of the cleaner
            assert len(raw) == 65536 and raw.startswith(b'{"id":1,"city":"')
        elif row["stage"] == "cleaner":  # it knows the record only, not how it was written
            assert json.loads(value).items() <= json.loads(raw).items()
        elif len(value) > ORIGINAL_MAX:
            assert raw == value[:65536]
        else:
            assert raw == value
    missing = up.start_millrace("dead", "show", f"{door.topic}/0/999999", tenant="")
    assert missing.wait() == 1
    assert "there is no dead letter poison.parcel/0/999999: see millrace dead list" in \
        missing.stderr.read()


def test_a_letter_for_people(up, poisoned):
    door, expected = poisoned
    by_code = {code: place for place, (code, *_) in expected.items()}
    for code, shown in (("TOMBSTONE", "none: a record without value"), ("BAD_TEXT", "\\u0000"),
                        ("NOT_UTF8", "00000000  7b 22 69 64"), ("WRONG_TYPE", "\\x7f\\xc2\\x9b31m")):
        partition, offset = by_code[code]
        text = up.millrace("dead", "show", f"{door.topic}/{partition}/{offset}", tenant="")
        assert f"code              {code}\n" in text and shown in text
        assert not set(text) & {"\x1b", "\x7f", "\x9b", "\0"}


def test_a_list_for_people(up, poisoned):
    door, expected = poisoned
    text = up.millrace("dead", "list", "--limit", 100, tenant="poison")
    assert len(text.splitlines()) == len(expected) + 1
    assert all(f"{door.topic}/{place[0]}/{place[1]} " in text for place in expected)
    assert "hunter2" not in text and "***" in text
    assert not set(text) & {"\x1b", "\x7f", "\x9b", "\0"}
    late = up.millrace("dead", "list", "--until", "1h", tenant="poison")
    assert len(late.splitlines()) == 1
    for words, told in ((("--kind", "wurst"), "there is no kind wurst; there are: parcel"),
                        (("--code", "WURST"), "--code WURST is no code; there are NOT_JSON"),
                        (("--tenant", "wurst"), "there is no tenant wurst; there are:"),
                        (("--since", "wurst"), "--since wurst is no time: give")):
        refused = up.start_millrace("dead", "list", *words, tenant="poison")
        assert refused.wait() in (1, 2) and told in refused.stderr.read()


def reload(up, kinds):
    make_kinds("tests/e2e/parcels/fixed", kinds)
    for name in RELOAD_ORDER:
        log = up.folder / "log" / f"{name}.log"
        before = log.read_text().count("event=reloaded")
        os.kill(up.pid(name), signal.SIGHUP)
        pipeline.until(lambda log=log, before=before:
                       log.read_text().count("event=reloaded") > before, f"{name} reloads")


def bad_events():
    """(sort, value) of every hundredth event."""
    names = list(SORTS)
    return {number * (EVENTS // BAD): (names[number % len(names)],
                                       SORTS[names[number % len(names)]] % (number * EVENTS // BAD))
            for number in range(BAD)}


def test_mended_contract_takes_what_can_be_mended(up, kinds):
    door, bad, tenant = Door(up, "mixed"), bad_events(), "mixed"
    values = [bad[number][1] if number in bad else good(number) for number in range(EVENTS)]
    for at in range(0, EVENTS, 1000):
        door.post(*values[at:at + 1000])
    sent = Counter(sort for sort, _ in bad.values())
    before = {"in": EVENTS, "good": EVENTS - BAD, "repeated": 0, "dead": BAD}
    check_law(up, tenant, **before)
    assert Counter({code: dead for (code, _), (dead, _) in counts(up, tenant).items()}) == sent
    first = letters(up, tenant)

    reload(up, kinds)
    told = up.millrace("replay", "--kind", "parcel", tenant=tenant)
    mended = sum(sent[sort] for sort in MENDED)
    check_law(up, tenant, **{"in": EVENTS + BAD, "good": EVENTS - BAD + mended, "repeated": 0,
                             "dead": BAD + BAD - mended})
    ids = {row["id"] for row in up.table(tenant, "parcel")}
    assert all((number in ids) == (sort in MENDED) for number, (sort, _) in bad.items()), told
    again = {place: row for place, row in letters(up, tenant).items() if place not in first}
    assert Counter(row["code"] for row in again.values()) == \
        Counter({sort: dead for sort, dead in sent.items() if sort not in MENDED})
    assert all(row["attempts"] == 2 and row["replayed_at"] is None for row in again.values())
    played = letters(up, tenant)
    assert all(played[place]["replayed_at"] for place in first)
    assert sum(replayed for _, replayed in counts(up, tenant).values()) == BAD
