"""Many HTTP clients at once, that note what was promised to them."""

import asyncio
import json
from collections import Counter, namedtuple

Answer = namedtuple("Answer", "status headers body")


class Closed(Exception):
    """The server closed the connection and gave no answer; the request may be sent again."""


class Connection:
    """One keep-alive connection to an address, opened at the first request and after a close."""

    def __init__(self, address, tls=None):
        self.address, self.tls, self.streams = address, tls, None

    async def send(self, data):
        if self.streams is None:
            host, _, port = self.address.rpartition(":")
            self.streams = await asyncio.open_connection(host, int(port), ssl=self.tls)
        self.streams[1].write(data)
        await self.streams[1].drain()

    async def receive(self):
        reader = self.streams[0]
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        status = int(lines[0].split()[1])
        headers = {name.lower(): value for name, _, value in
                   (line.partition(": ") for line in lines[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(status, headers, body)

    async def post(self, path, body, **headers):
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = (f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
                f"{lines}Content-Length: {len(body)}\r\n\r\n")
        try:
            await self.send(head.encode() + body)
            answer = await self.receive()
        except (OSError, EOFError) as error:
            self.close()
            raise Closed from error
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    def close(self):
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


class Notes:
    """What was posted to one topic, what the gateway said to it, and whether it told the truth."""

    def __init__(self, topic):
        self.topic, self.path = topic, f"/topics/{topic}"
        self.posted, self.receipts, self.statuses = set(), {}, Counter()

    def body(self, values):
        self.posted.update(values)
        return b'{"records":[' + b",".join(b'{"value":' + value + b"}" for value in values) + b"]}"

    def take(self, values, answer):
        """Whether all of it was acknowledged."""
        self.statuses[answer.status] += 1
        if answer.status == 503 or answer.status == 429:
            assert int(answer.headers["retry-after"]) >= 1, answer
        if answer.status != 200:
            return False
        receipts = json.loads(answer.body)["offsets"]
        assert len(receipts) == len(values)
        for value, receipt in zip(values, receipts):
            if receipt["error_code"] is None:
                self.receipts.setdefault((receipt["partition"], receipt["offset"]), value)
        return all(receipt["error_code"] is None for receipt in receipts)

    def check(self, broker):
        """Each receipt names its event, and nothing stands there that was not posted. All that
        does stand there."""
        stands = broker.records(self.topic)
        assert self.receipts, self.statuses
        for place, value in self.receipts.items():
            assert stands[place].value == value, (place, value)
        assert self.posted.issuperset(record.value for record in stands.values())
        return stands
