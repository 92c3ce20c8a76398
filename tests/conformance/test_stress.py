"""Too many clients, slow clients, a broker that stands still or dies, and gateways that are
replaced, all while clients post and note what they were promised."""

import asyncio
import contextlib
import itertools
import socket
import ssl
import time
from collections import Counter

import pytest

import door
from door import event_id, new_tenant, until
from load import Closed, Connection, Notes

MIB = 1 << 20
SMALL = b'{"index":%d,"title":"%s"}'


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    running = door.Broker(tmp_path_factory.mktemp("kafka"))
    yield running
    running.stop()


@pytest.fixture
def start(tmp_path, broker):
    """Starts gateways; all of them end in order after the test."""
    running = []

    def start_one(*options, **more):
        gateway = door.Gateway(tmp_path / str(len(running)), broker, *options, **more)
        running.append(gateway)
        return gateway
    yield start_one
    for gateway in running:
        assert gateway.stop() == 0, gateway.log.read_text()


def batch(numbers, count, title_bytes):
    return [SMALL % (next(numbers), b"x" * title_bytes) for _ in range(count)]


def in_thread(function, *words):
    """What would block, beside the clients that go on."""
    return asyncio.get_running_loop().run_in_executor(None, function, *words)


def check_ids(stands, posted):
    """Each event is there, and whatever came again has the id of the first, in its partition."""
    ids = {}
    for (partition, _), record in stands.items():
        ids.setdefault(record.value, set()).add((event_id(record), partition))
    assert ids.keys() == posted
    assert all(len(found) == 1 for found in ids.values()), "a repeat is not known as one"
    assert len(set.union(*ids.values())) == len(posted), "two events share an id"


# ---- overload ----

CLIENTS, BATCH, TITLE = 200, 200, 1000  # 40 MB at once: ten times --in-flight-bytes


def test_overload(broker, start):
    """With the broker standing still nothing can be stored, and ten times what may wait is posted:
    what does not fit is refused at once, what fits is acknowledged when the broker goes on."""
    gateway = start("--in-flight-bytes", "4M", "--body-bytes-max", "1M", "--connections-max", "150",
                    "--memory", "64M")
    notes, numbers = Notes(f"{new_tenant()}.pin"), itertools.count()
    stop = False

    async def client():
        connection = Connection(gateway.address)
        while not stop:
            values = batch(numbers, BATCH, TITLE)
            try:
                if not notes.take(values, await connection.post(notes.path, notes.body(values))):
                    await asyncio.sleep(0.1)
            except Closed:
                notes.statuses["closed"] += 1
                await asyncio.sleep(0.1)
        connection.close()

    async def world():
        nonlocal stop
        await Connection(gateway.address).post(notes.path, notes.body([b'{"index":-1}']))
        broker.freeze()
        clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
        try:
            await in_thread(until, lambda: notes.statuses[503] > 10 * CLIENTS, "most is refused")
            assert not notes.receipts
        finally:
            broker.thaw()
        await in_thread(until, lambda: notes.statuses[200] > CLIENTS, "it recovers by itself")
        stop = True
        await asyncio.gather(*clients)
    asyncio.run(world())

    assert notes.statuses.keys() <= {200, 429, 503, "closed"} and notes.statuses[200] > 0
    notes.check(broker)
    assert gateway.rss_peak() <= 64 * MIB, gateway.rss_peak()
    until(lambda: gateway.status()["in_flight_bytes"] == 0, "nothing is in flight")
    until(lambda: gateway.status()["connections"] == 0, "no connection is left")


# ---- slow clients ----

SLOW = 150  # connections of each way to be slow
HEADER = b"POST /topics/a.pin HTTP/1.1\r\nHost: test\r\n"


async def trickle(address, begin):
    """Sends a byte now and then until the server has had enough; what it said then."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    said = asyncio.create_task(reader.read())
    writer.write(begin)
    while not said.done():
        writer.write(b"x")
        await asyncio.sleep(0.2)
    writer.close()
    return said.exception() or said.result()


def ask_and_never_read(address):
    """Asks for more than the sockets of both sides hold."""
    host, _, port = address.rpartition(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((host, int(port)))
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        client.send(2000 * b"GET /openapi.json HTTP/1.1\r\nHost: test\r\n\r\n")
    return client


def test_slow_clients(broker, start):
    """Hundreds that send a byte now and then, say nothing, or never read what they asked for: each
    way ends by its limit, while good clients are served as if nothing were."""
    gateway = start("--header-ms-max", "3s", "--body-ms-max", "4s", "--idle-ms-max", "3s",
                    "--write-ms-max", "3s", "--memory", "64M")
    notes, numbers = Notes(f"{new_tenant()}.pin"), itertools.count()
    stop = False

    async def good():
        connection = Connection(gateway.address)
        while not stop:
            values = batch(numbers, 5, 100)
            assert notes.take(values, await connection.post(notes.path, notes.body(values)))
        connection.close()

    async def world():
        nonlocal stop
        served = asyncio.gather(*(good() for _ in range(5)))
        slow = [trickle(gateway.address, HEADER + b"X-Slow: ") for _ in range(SLOW)]
        slow += [trickle(gateway.address, HEADER + b"Content-Length: 99999\r\n\r\n")
                 for _ in range(SLOW)]
        silent = [await asyncio.open_connection(*gateway.address.split(":")) for _ in range(SLOW)]
        deaf = [ask_and_never_read(gateway.address) for _ in range(SLOW)]
        slow = asyncio.gather(*slow)
        await in_thread(until, lambda: gateway.status()["connections"] > SLOW, "they are there")
        before = notes.statuses[200]
        said = await slow
        assert all(isinstance(one, OSError) or one.startswith(b"HTTP/1.1 408") for one in said), said
        assert sum(isinstance(one, bytes) for one in said) > SLOW
        assert notes.statuses[200] > before
        for reader, writer in silent:
            assert await reader.read() == b""
            writer.close()
        await in_thread(until, lambda: gateway.status()["connections"] == 5, "the slow are gone")
        stop = True
        await served
        for client in deaf:
            client.close()
    asyncio.run(world())

    assert notes.statuses.keys() == {200}
    notes.check(broker)
    assert gateway.rss_peak() <= 64 * MIB, gateway.rss_peak()


# ---- a dead broker ----

DELIVERY_S, READY_S, SLACK_S = 10, 5, 3


def test_outage(broker, start):
    """Clients that send again under the same Idempotency-Key until they get a 2xx: each event of
    theirs is there once by its id, whatever was killed meanwhile."""
    gateway = start()
    notes, numbers = Notes(f"{new_tenant()}.pin"), itertools.count()
    stop, slowest, retried = False, 0.0, 0

    async def client():
        nonlocal slowest, retried
        connection = Connection(gateway.address)
        while not stop:
            values = batch(numbers, 3, 10)
            key = f"key-{values[0].hex()}"
            while True:
                begin = time.monotonic()
                answer = await connection.post(notes.path, notes.body(values), Idempotency_Key=key)
                slowest = max(slowest, time.monotonic() - begin)
                if notes.take(values, answer):
                    break
                retried += 1
                await asyncio.sleep(0.2)
        connection.close()

    async def world():
        nonlocal stop
        clients = [asyncio.create_task(client()) for _ in range(20)]
        await in_thread(until, lambda: notes.statuses[200] > 500, "there is load")
        await in_thread(broker.kill)
        dead = time.monotonic()
        await in_thread(until, lambda: not gateway.is_ready(), "it says that it is not ready")
        assert time.monotonic() - dead < READY_S + SLACK_S
        await in_thread(until, lambda: notes.statuses[503] > 0, "a request fails")
        await in_thread(broker.start)
        await in_thread(until, gateway.is_ready, "it is ready again by itself")
        before = notes.statuses[200]
        await in_thread(until, lambda: notes.statuses[200] > before + 100, "events flow again")
        stop = True
        await asyncio.gather(*clients)
    asyncio.run(world())

    assert notes.statuses.keys() == {200, 503} and retried > 0
    assert slowest < DELIVERY_S + SLACK_S, slowest
    check_ids(notes.check(broker), notes.posted)


# ---- gateways that are replaced, and certificates ----

def test_rolling_restart(broker, start):
    """Two gateways in the list of each client, which goes on to the next when its connection is
    closed without an answer: no answer but 200."""
    gateways = [start(), start()]
    addresses = [gateway.address for gateway in gateways]
    notes, numbers, again = Notes(f"{new_tenant()}.pin"), itertools.count(), 0
    stop = False

    async def client(number):
        nonlocal again
        connections = itertools.cycle([Connection(address) for address in addresses])
        for _ in range(number % 2 + 1):
            connection = next(connections)
        while not stop:
            values = batch(numbers, 2, 10)
            for _ in range(20):
                try:
                    answer = await connection.post(notes.path, notes.body(values),
                                                   Idempotency_Key=f"key-{values[0].hex()}")
                    break
                except Closed:
                    connection, again = next(connections), again + 1
            assert notes.take(values, answer), answer

    async def world():
        nonlocal stop
        clients = [asyncio.create_task(client(number)) for number in range(20)]
        for number, address in enumerate(addresses):
            before = notes.statuses[200]
            await in_thread(until, lambda: notes.statuses[200] > before + 200, "there is load")
            assert await in_thread(gateways[number].stop) == 0
            await in_thread(lambda: start(listen=address))
        stop = True
        await asyncio.gather(*clients)
    asyncio.run(world())

    assert notes.statuses.keys() == {200} and again > 0, (notes.statuses, again)
    check_ids(notes.check(broker), notes.posted)


def test_certificate_reload(broker, start, tmp_path):
    """New connections see the new certificate, those that are open go on, no request fails."""
    certificates = door.Certificates(tmp_path / "tls")
    pem, key = certificates.make("gateway", "first")
    gateway = start("--tls-cert", pem, "--tls-key", key)
    tls = ssl.create_default_context(cafile=certificates.ca)
    notes, numbers = Notes(f"{new_tenant()}.pin"), itertools.count()
    stop, seen = False, Counter()

    async def client(is_new_each_time):
        connection = Connection(gateway.address, tls)
        while not stop:
            values = batch(numbers, 2, 10)
            assert notes.take(values, await connection.post(notes.path, notes.body(values)))
            if is_new_each_time:
                peer = connection.streams[1].get_extra_info("peercert")
                seen[dict(pair for names in peer["subject"] for pair in names)["commonName"]] += 1
                connection.close()
        connection.close()

    async def world():
        nonlocal stop
        clients = [asyncio.create_task(client(number % 2)) for number in range(10)]
        for subject in "first", "second", "third":
            if subject != "first":
                await in_thread(certificates.make, "gateway", subject)
            await in_thread(until, lambda: seen[subject] > 20, f"{subject} is seen")
            assert not any(client.done() for client in clients)
        stop = True
        await asyncio.gather(*clients)
    asyncio.run(world())

    assert notes.statuses.keys() == {200} and seen.keys() == {"first", "second", "third"}
    notes.check(broker)
