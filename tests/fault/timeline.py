"""What happened when: a line for people on stdout, the same as JSON in a file."""

import datetime
import json
import threading
import time


class Timeline:
    def __init__(self, path):
        self.begin = time.monotonic()
        self.file = path.open("a")
        self.lock = threading.Lock()

    def say(self, event, **fields):
        now = time.monotonic() - self.begin
        wall = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        words = " ".join(f"{name}={value}" for name, value in fields.items())
        with self.lock:
            print(f"[{now:7.2f} s] {event} {words}", flush=True)
            print(json.dumps({"s": round(now, 3), "at": wall, "event": event} | fields,
                             default=str), file=self.file, flush=True)
