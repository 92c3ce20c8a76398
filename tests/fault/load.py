"""Clients that post all the time and note what they were told.

Each is a thread with a ledger, a file of lines that only grows:
    {"post": 7, "kind": "pin", "dialect": "rest", "key": null, "code": null, "events": [text, ..]}
    {"post": 7, "status": 200, "sent": [0, 1], "places": ["0/17", null]}   one for each attempt
Status 0: no answer came.  A place is where the gateway says that an event stands, null when it did
not take it.  What was not taken is posted again: under a key the whole request, otherwise the rest."""

import http.client
import json
import random
import threading
import time

import events

ANSWER_S = 15  # no answer within it counts as none
PAUSE_S = (0.05, 0.5)  # before another attempt
SETTLE_S = 60  # for what is under way when all faults are lifted
LEAVE = 0.05  # how often a connection is not used again
DEBT_S = 1  # of lateness that is made up for, afterwards the rate is just lower


def form(tenant, post, texts, number):
    """(method, path, content type, body) of a request in its dialect."""
    if post["dialect"] == "rest":
        body = ",".join(f'{{"value":{text}}}' for text in texts)
        return ("POST", f"/test/topics/{tenant}.{post['kind']}",
                "application/vnd.kafka.json.v2+json", f'{{"records":[{body}]}}')
    if post["dialect"] == "kinesis":
        body = ",".join(f'{{"data":{text},"partition-key":"{number}"}}' for text in texts)
        return ("PUT", f"/prod/streams/streaming-{tenant}-{post['kind']}/records",
                "application/json", f'{{"records":[{body}]}}')
    return ("POST", f"/v1/events/{tenant}/{post['kind']}", "application/x-ndjson",
            "".join(text + "\n" for text in texts))


def places(post, answer):
    """Where the events of a request stand."""
    if post["dialect"] == "kinesis":
        return [f"{one['ShardId']}/{one['SequenceNumber']}" if one.get("SequenceNumber") else None
                for one in answer["Records"]]
    receipts = answer["offsets"] if post["dialect"] == "rest" else answer["receipts"]
    return [f"{one['partition']}/{one['offset']}" if one.get("offset") is not None else None
            for one in receipts]


class Client:
    def __init__(self, system, seed, number, bodies):
        self.system, self.number = system, number
        self.posts = events.Posts(seed, number, bodies)
        self.random = random.Random(f"{seed}/{number}/ways")  # for what does not decide the posts
        self.ledger = (system.folder / "ledger" / f"client-{number}.ndjson").open("a")
        self.connection, self.address = None, None
        self.failure = None

    def note(self, **line):
        print(json.dumps(line), file=self.ledger, flush=True)

    def run(self, stop, rate):
        """Posts rate events a second until stop is set; what belongs together is finished."""
        due = time.monotonic()
        while not stop.is_set() and not self.failure:
            for post in self.posts.next():
                self.deliver(post, stop)
                due = max(due, time.monotonic() - DEBT_S) + len(post["events"]) / rate
            stop.wait(max(0, due - time.monotonic()))

    def deliver(self, post, stop):
        self.note(**post)
        left, give_up = list(range(len(post["events"]))), None
        while left and not self.failure:
            status, answer = self.request(post, [post["events"][i] for i in left])
            found = places(post, answer) if status == 200 else [None] * len(left)
            self.note(post=post["post"], status=status, sent=left, places=found)
            if status == 409 and post["code"] == "ID_REUSED":
                return
            if status not in (0, 200, 429, 500, 503):
                self.failure = f"client {self.number}, post {post['post']}: {status} {answer}"
            missing = [i for i, place in zip(left, found) if place is None]
            left = left if post["key"] and missing else missing
            if stop.is_set():
                give_up = give_up or time.monotonic() + SETTLE_S
                if left and time.monotonic() > give_up:
                    self.failure = (f"client {self.number}, post {post['post']}: not taken "
                                    f"{SETTLE_S} s after all faults: {status} {answer}")
            if left:
                time.sleep(self.random.uniform(*PAUSE_S))

    def request(self, post, texts):
        """(status, answer) of one attempt."""
        method, path, content, body = form(self.system.tenant, post, texts, post["post"])
        headers = {"Content-Type": content}
        if post["key"]:
            headers["Idempotency-Key"] = post["key"]
        try:
            connection = self.connect()
            connection.request(method, path, body.encode(), headers)
            response = connection.getresponse()
            text = response.read()
            if response.status != 200:
                return response.status, text
            self.system.accepted_at[self.address] = time.monotonic()
            return 200, json.loads(text)
        except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
            self.hang_up()
            return 0, error

    def connect(self):
        """Kept until it breaks or its gateway is no more, or just not any longer."""
        ways = self.system.gateways()
        if self.connection is None or self.address not in ways or self.random.random() < LEAVE:
            self.hang_up()
            self.address = self.random.choice(ways)
            self.connection = http.client.HTTPConnection(*self.address, timeout=ANSWER_S)
        return self.connection

    def hang_up(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None


class Load:
    def __init__(self, system, seed, clients, rate):
        (system.folder / "ledger").mkdir()
        bodies = events.bodies()
        self.clients = [Client(system, seed, number, bodies) for number in range(clients)]
        self.rate = rate / clients

    def start(self):
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=client.run, args=(self.ending, self.rate),
                                         daemon=True) for client in self.clients]
        for thread in self.threads:
            thread.start()

    def stop(self):
        """When all faults are lifted: until each client has been told what became of its posts."""
        self.ending.set()
        for thread in self.threads:
            thread.join()
        self.check()

    def check(self):
        for client in self.clients:
            assert not client.failure, client.failure
