"""Our own dialect with requests, and CloudEvents 1.0 as the CloudEvents SDK makes them."""

import gzip
import json

import pytest
import requests
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from door import event_id

PIN, PIN2 = {"index": 1, "title": "ü"}, {"index": 2, "title": ""}
RAW, RAW2 = json.dumps(PIN).encode(), json.dumps(PIN2).encode()


def post(gateway, tenant, data, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(f"{gateway.url}/v1/events/{tenant}/pin", data=data, headers=headers,
                         timeout=20)


def check(broker, tenant, answer, *values):
    """A receipt for each event, in order; the records that they name."""
    assert answer.status_code == 200, answer.text
    told, topic = answer.json(), f"{tenant}.pin"
    stands = broker.records(topic)
    assert told["failed"] == 0 and {place["topic"] for place in told["receipts"]} == {topic}
    records = [stands[place["partition"], place["offset"]] for place in told["receipts"]]
    assert tuple(record.value for record in records) == values and len(stands) == len(values)
    return records


BODIES = {
    "object": ("application/json", RAW, (RAW,)),
    "list": ("application/json", b"[%b, %b]" % (RAW, RAW2), (RAW, RAW2)),
    "lines": ("application/x-ndjson", b"%b\n%b\n" % (RAW, RAW2), (RAW, RAW2)),
    "curl -d": ("application/x-www-form-urlencoded", b"%b\r\n%b" % (RAW, RAW2), (RAW, RAW2)),
}


@pytest.mark.parametrize("form", BODIES)
def test_form(broker, gateway, tenant, form):
    content, body, values = BODIES[form]
    check(broker, tenant, post(gateway, tenant, body, Content_Type=content), *values)


def test_many_compressed_lines(broker, gateway, tenant):
    values = [b'{"index":%d}' % number for number in range(5000)]
    answer = post(gateway, tenant, gzip.compress(b"\n".join(values)),
                  Content_Type="application/x-ndjson", Content_Encoding="gzip")
    check(broker, tenant, answer, *values)


def cloud_event(number, **more):
    return CloudEvent({"id": f"e{number}", "source": "/emulator", "type": "pin.made",
                       "datacontenttype": "application/json", **more}, PIN)


def check_named(broker, tenant, key, *answers):
    """Posted again it is the same event: one record, one receipt."""
    stands = broker.records(f"{tenant}.pin")
    for answer in answers:
        assert answer.status_code == 200, answer.text
        place, = answer.json()["receipts"]
        record = stands[place["partition"], place["offset"]]
        assert record.key == key and json.loads(record.value) == PIN
    assert len(stands) == 1


@pytest.mark.parametrize("form", [to_binary_event, to_structured_event])
@pytest.mark.parametrize("more,key", [({}, None), ({"subject": "s"}, b"s"),
                                      ({"subject": "s", "partitionkey": "k"}, b"k")])
def test_cloud_event(broker, gateway, tenant, form, more, key):
    message = form(cloud_event(7, **more), JSONFormat())
    answers = [requests.post(f"{gateway.url}/v1/events/{tenant}/pin", data=message.body, timeout=20,
                             headers=message.headers) for _ in range(2)]
    check_named(broker, tenant, key, *answers)


def test_cloud_events_in_a_batch(broker, gateway, tenant):
    batch = [json.loads(JSONFormat().write(cloud_event(number))) for number in range(3)]
    answer = post(gateway, tenant, json.dumps(batch),
                  Content_Type="application/cloudevents-batch+json; charset=utf-8")
    records = check(broker, tenant, answer, RAW, RAW, RAW)
    assert len({event_id(record) for record in records}) == 3


def test_refusals_name_the_fix(broker, gateway, tenant):
    check(broker, tenant, post(gateway, tenant, RAW), RAW)
    for body, headers, status, text in (
            (b"", {}, 422, "empty"),
            (b"{", {}, 400, "at byte"),
            (RAW, {"Content_Type": "text/csv"}, 415, "text/csv"),
            (RAW, {"ce-specversion": "1.0", "ce-id": "1"}, 400, "source"),
            (b"<a/>", {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t",
                       "Content_Type": "text/xml"}, 415, "text/xml")):
        answer = post(gateway, tenant, body, **headers)
        assert answer.status_code == status, (body, answer.text)
        assert text in answer.text, answer.text
    assert len(broker.records(f"{tenant}.pin")) == 1
