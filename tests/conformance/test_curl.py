"""curl: every way it has to send a body, and other readers of what was posted."""

import base64
import json
import subprocess
import zlib

import pyarrow
import pytest

import door
from door import SOURCE, event_id, run

JSON = "application/vnd.kafka.json.v2+json"
BINARY = "application/vnd.kafka.binary.v2+json"
PIN = b'{"index":7528,"title":"\xe2\x80\xa6 \xf0\x9f\x8c\xb1","tag_list":"a,b"}'


def curl(url, *options, data=None, content=JSON, status=200):
    """The JSON answer; the body of the request goes through standard input as `@-` or `-T -`."""
    out = run("curl", "-sS", "-w", r"\n%{http_code} %{content_type}", "-H",
              f"Content-Type: {content}", *options, url, input=data)
    body, _, end = out.rpartition(b"\n")
    assert end.split()[0] == str(status).encode(), out
    return json.loads(body)


def envelope(*values):
    return b'{"records":[' + b",".join(b'{"value":' + value + b"}" for value in values) + b"]}"


def place(receipt):
    assert receipt["error_code"] is None and receipt["error"] is None
    return receipt["partition"], receipt["offset"]


def check(broker, topic, answer, *expected):
    """The receipts name exactly what stands in the topic, in the order of the request."""
    stands = broker.records(topic)
    assert [stands[place(receipt)][:2] for receipt in answer["offsets"]] == list(expected)
    assert len(stands) == len(expected)


FORMS = {
    "inline": ["--data-binary", "@-"],
    "chunked": ["-X", "POST", "-H", "Transfer-Encoding: chunked", "-T", "-"],
    "expect": ["-H", "Expect: 100-continue", "--expect100-timeout", "20", "--data-binary", "@-"],
    "http10": ["--http1.0", "--data-binary", "@-"],
    "put": ["-X", "PUT", "--data-binary", "@-"],
    "upgrade": ["--http2", "--data-binary", "@-"],
    "basic": ["-u", "someone:secret", "--data-binary", "@-"],
    "close": ["-H", "Connection: close", "--data-binary", "@-"],
}


@pytest.mark.parametrize("form", FORMS)
def test_json(broker, gateway, tenant, form):
    answer = curl(f"{gateway.url}/topics/{tenant}.pin", *FORMS[form],
                  data=envelope(PIN, b'{"index":2}'))
    assert answer["key_schema_id"] is None and answer["value_schema_id"] is None
    check(broker, f"{tenant}.pin", answer, (None, PIN), (None, b'{"index":2}'))


def test_file(broker, gateway, tenant, tmp_path):
    """-d drops line breaks of the file, --data-binary keeps them: both are the same event."""
    pretty = b'{\n  "index": 5\n}'
    (tmp_path / "body").write_bytes(envelope(pretty))
    for option, value in ("--data-binary", pretty), ("-d", pretty.replace(b"\n", b"")):
        topic = f"{tenant}{option.count('b')}.pin"
        answer = curl(f"{gateway.url}/topics/{topic}", option, f"@{tmp_path}/body")
        check(broker, topic, answer, (None, value))


def test_large_body_after_100_continue(broker, gateway, tenant):
    """Above 1 MiB curl waits for 100 Continue by itself."""
    values = [b'{"index":%d,"title":"%s"}' % (i, b"x" * 500) for i in range(3000)]
    answer = curl(f"{gateway.url}/topics/{tenant}.pin", "--expect100-timeout", "20",
                  "--data-binary", "@-", data=envelope(*values))
    check(broker, f"{tenant}.pin", answer, *((None, value) for value in values))


def test_keys_partitions_and_binary(broker, gateway, tenant):
    raw = bytes(range(256))
    body = json.dumps({"records": [
        {"key": base64.b64encode(b"k\x00").decode(), "value": base64.b64encode(raw).decode()},
        {"value": base64.b64encode(b"").decode(), "partition": 2}, {"value": None, "key": None}]})
    answer = curl(f"{gateway.url}/topics/{tenant}.pin", "-d", body, content=BINARY)
    check(broker, f"{tenant}.pin", answer, (b"k\x00", raw), (None, b""), (None, None))
    assert answer["offsets"][1]["partition"] == 2
    answer = curl(f"{gateway.url}/topics/{tenant}.geo/partitions/1", "-d",
                  '{"records":[{"key":{"ind":1},"value":{"ind":1}}]}')
    check(broker, f"{tenant}.geo", answer, (b'{"ind":1}', b'{"ind":1}'))
    assert place(answer["offsets"][0]) == (1, 0)


CODINGS = {
    "gzip": lambda data: run("gzip", "-c", input=data),
    "deflate": zlib.compress,
    "zstd": lambda data: pyarrow.compress(data, codec="zstd", asbytes=True),
}


@pytest.mark.parametrize("coding", CODINGS)
def test_compressed(broker, gateway, tenant, coding):
    packed = CODINGS[coding](envelope(PIN))
    for number, form in enumerate((FORMS["inline"], FORMS["chunked"])):
        topic = f"{tenant}{number}.pin"
        answer = curl(f"{gateway.url}/topics/{topic}", "-H", f"Content-Encoding: {coding}", *form,
                      data=packed)
        check(broker, topic, answer, (None, PIN))


def test_one_connection_for_many_requests(broker, gateway, tenant):
    """curl says how many connections it opened: one."""
    url = f"{gateway.url}/topics/{tenant}.pin"
    words = []
    for number in range(20):
        words += ["--next"] if number else []
        words += ["-sS", "-w", " %{http_code} %{num_connects}\n", "-o", "/dev/null", "-H",
                  f"Content-Type: {JSON}", "-d", envelope(b'{"index":%d}' % number).decode(), url]
    lines = run("curl", *words).decode().split("\n")
    assert [line.split() for line in lines if line] == [["200", "1"]] + [["200", "0"]] * 19
    values = {record.value for record in broker.records(f"{tenant}.pin").values()}
    assert values == {b'{"index":%d}' % number for number in range(20)}


def test_refusals_store_nothing(broker, gateway, tenant):
    """Each answer names the fix; the topic holds only the good record after all of them."""
    url, good = f"{gateway.url}/topics/{tenant}.pin", '{"records":[{"value":{"index":1}}]}'
    curl(url, "-d", good)
    refused = [
        (["-d", good, "-H", "Accept: text/html"], JSON, 406, 406, "Accept"),
        (["-d", good], "application/vnd.kafka.avro.v2+json", 415, 415, "schema registry"),
        (["-d", good], "text/csv", 415, 415, JSON),
        (["-d", '{"records":[{"value":}]}'], JSON, 400, 400, "at byte"),
        (["-d", '{"Data":{"index":1},"PartitionKey":"k"}'], JSON, 422, 422, "/streams/"),
        (["-d", '[{"value":1}]'], JSON, 422, 422, "records"),
        (["-d", '{"records":[{"value":"e30K"}]}', "-X", "DELETE"], JSON, 405, 405, "DELETE"),
        (["-d", '{"records":[{"value":"!"}]}'], BINARY, 422, None, "base64"),
    ]
    for options, content, status, code, text in refused:
        answer = curl(url, *options, content=content, status=status)
        assert set(answer) == {"error_code", "message"}, answer
        assert text in answer["message"] and code in (None, answer["error_code"]), answer
    answer = curl(f"{gateway.url}/topics/{tenant}.unheardof", "-d", good, status=404)
    assert answer["error_code"] == 40401
    assert len(broker.records(f"{tenant}.pin")) == 1


def test_idempotency_key(broker, gateway, tenant):
    """The repeat gets the receipts of the first, and is not stored again while they are known."""
    url, body = f"{gateway.url}/topics/{tenant}.pin", envelope(PIN, b'{"index":2}')
    first, again = (curl(url, "-H", "Idempotency-Key: a-1", "--data-binary", "@-", data=body)
                    for _ in range(2))
    assert first == again
    stands = broker.records(f"{tenant}.pin")
    assert len(stands) == 2
    assert len({event_id(record) for record in stands.values()}) == 2
    assert len({partition for partition, _ in stands}) == 1


def test_certificates(broker, tenant, tmp_path):
    """Who knows the authority and shows a certificate of it may post; others get no answer."""
    made = door.Certificates(tmp_path / "tls")
    pem, key = made.make("gateway", "127.0.0.1")
    own_pem, own_key = made.make("client", "someone")
    gateway = door.Gateway(tmp_path, broker, "--tls-cert", pem, "--tls-key", key,
                           "--tls-client-ca", made.ca)
    try:
        url = f"https://{gateway.address}/topics/{tenant}.pin"
        shown = ["--cacert", made.ca, "--cert", own_pem, "--key", own_key]
        for version in "--tls-max=1.2", "--tlsv1.3":
            words = version.split("=")
            curl(url, *shown, *words, "--data-binary", "@-", data=envelope(PIN))
        for refused in shown[:2], shown[2:], [*shown, "--tls-max", "1.1"]:
            done = subprocess.run(["curl", "-sS", *refused, "-d", "x", url], capture_output=True)
            assert done.returncode != 0 and not done.stdout, done
        assert [record.value for record in broker.records(f"{tenant}.pin").values()] == [PIN, PIN]
    finally:
        assert gateway.stop() == 0


def test_kcat_reads_what_was_posted(broker, gateway, tenant):
    body = envelope(PIN, b'{"index":2}')
    curl(f"{gateway.url}/topics/{tenant}.pin/partitions/1", "--data-binary", "@-", data=body)
    out = run("kcat", "-C", "-b", broker.address, "-t", f"{tenant}.pin", "-o", "beginning", "-e",
              "-q", "-f", "%p %o %k %S %s\n")
    assert out == b"1 0  %d %s\n1 1  11 {\"index\":2}\n" % (len(PIN), PIN)


def test_console_consumer_reads_what_was_posted(broker, gateway, tenant):
    """Kafka's own reader."""
    body = '{"records":[{"key":"k1","value":{"index":1}},{"value":{"index":2}}]}'
    curl(f"{gateway.url}/topics/{tenant}.pin/partitions/0", "-d", body)
    out = run(SOURCE / "tools/kafka", "run", "--dir", broker.folder,
              "org.apache.kafka.tools.consumer.ConsoleConsumer",
              "--bootstrap-server", broker.address, "--topic", f"{tenant}.pin", "--partition", "0",
              "--offset", "earliest", "--max-messages", "2", "--timeout-ms", "20000",
              "--property", "print.key=true",
              "--property", "print.headers=true")
    lines = out.split(b"\n")
    keys = [line.rpartition(b"\t")[0].rpartition(b"\t")[2] for line in lines if b"\t" in line]
    values = [line.rpartition(b"\t")[2] for line in lines if b"\t" in line]
    assert values == [b'{"index":1}', b'{"index":2}'] and keys == [b'"k1"', b"null"], out
    assert out.count(b"millrace:") == 2
