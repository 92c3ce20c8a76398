"""The second half of tools/up: runs Kafka and the five services of one millrace on this machine,
plays the sample and prints the answers.  Arguments are name=value, as tools/up passes them.

One event loop: a task keeps each process alive, another tells the story from start to answers.
Processes start from the main thread, so that they end with it (setpriv --pdeathsig), and in their
own sessions, so that a Ctrl-C reaches only this one, which then drains them in order."""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import types
from pathlib import Path

SERVICES = ("gateway", "validator", "cleaner", "archiver", "query")
KINDS = ("pin", "geo", "user")
QUESTIONS = {
    "q1": "1. The most popular category in each country",
    "q2": "2. Posts per category and year, 2018 to 2022",
    "q2_top": "2. The most popular category of each year",
    "q3a": "3. Who has the most followers in each country",
    "q3b": "3. The country of whoever has the most of all",
    "q4": "4. The most popular category in each age group",
    "q5": "5. Median of followers per age group",
    "q6": "6. Users joined per year, 2015 to 2020",
    "q7": "7. Median of followers per year of joining",
    "q8": "8. Median of followers per age group and year of joining",
}
ROWS_SHOWN = 12
READY_S = 60  # from start to ready
STILL_S = 60  # without any progress on the way to the tables
DRAIN_S = 25  # longer than the services' own limit
BACKOFF_S = (0, 1, 2, 4, 8, 16, 32, 60)  # before each start after an end
CALM_S = 60  # a process that lived so long starts again without delay

begin = time.monotonic()


class Failure(Exception):
    """Says what did not hold; ends the run with exit code 1."""


def show(*lines):
    """Prints, also when whoever read it has gone, as in `tools/up | head`."""
    try:
        print(*lines, sep="\n", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text):
    show(f"[{time.monotonic() - begin:6.1f} s] {text}")


@contextlib.asynccontextmanager
async def progress(look, every_s=2):
    """Says what look() returns, every now and then, as long as the block takes."""
    async def speak():
        while True:
            await asyncio.sleep(every_s)
            say(f"... {look()}")
    task = asyncio.create_task(speak())
    try:
        yield
    finally:
        task.cancel()


async def output(*command, env=None):
    """What a command prints on stdout; a Failure with its own words when there is nothing."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, start_new_session=True)
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode != 0 and not out:
        words = err.decode().strip().splitlines() or [f"exit code {process.returncode}"]
        raise Failure(f"{Path(command[0]).name} {command[1]}: {words[-1]}")
    return out.decode()


async def get(port, path):
    """Status and body of a GET on one of our admin ports; status 0 when nobody answers."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        writer.close()
        return int(head.split()[1]), body
    except (OSError, IndexError):
        return 0, "not listening yet"


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port():
    """Below the ports that the kernel gives to outgoing connections, and below tools/kafka's."""
    while True:
        port = random.randrange(10000, 20000)
        if is_free(port):
            return port


class Part:
    """One process that is kept alive."""

    def __init__(self, up, name):
        self.up, self.name = up, name
        self.log = up.dir / "log" / f"{name}.log"
        self.pid = 0
        self.task = None

    def keep(self):
        self.task = asyncio.create_task(self.live())

    async def live(self):
        attempt = 0
        while True:
            started = time.monotonic()
            how = await self.once()
            if time.monotonic() - started >= CALM_S:
                attempt = 0
            self.pid = 0
            if how.startswith("exit") and not self.up.is_up:
                raise Failure(f"{self.name} does not start: {self.complaint()}")
            wait = BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)]
            attempt += 1
            say(f"{self.name} ended ({how}); it starts again"
                + (f" in {wait} s" if wait else "") + f" (log: {self.log})")
            await asyncio.sleep(wait)

    def complaint(self):
        """Its last error, or what it refused with before it logged."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines()
                 if " level=error " in line or not line.startswith("time=")]
        return lines[-1] if lines else f"see {self.log}"

    def began(self, pid):
        self.pid = pid
        if self.up.is_up:
            self.up.write_env()


class Kafka(Part):
    """Started by tools/kafka, so no child of ours: a pidfd tells its end."""

    def __init__(self, up):
        super().__init__(up, "kafka")
        self.started = asyncio.Event()
        self.log = up.dir / "kafka/log"

    def tool(self, *words):
        return str(self.up.root / "tools/kafka"), *words, "--dir", str(self.up.dir / "kafka")

    async def once(self):
        try:
            self.up.bootstrap = (await output(*self.tool("start"))).strip()
        except Failure as failure:
            if not self.up.is_up:
                raise
            return str(failure)
        pid = int((self.up.dir / "kafka/pid").read_text())
        fd = os.pidfd_open(pid)
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(fd, ended.set)
        self.began(pid)
        self.started.set()
        try:
            await ended.wait()
        finally:
            loop.remove_reader(fd)
            os.close(fd)
        return "killed or failed"

    async def stop(self):
        self.task.cancel()
        await output(*self.tool("stop"))


class Service(Part):
    def __init__(self, up, name, options):
        super().__init__(up, name)
        self.options = options
        self.admin = free_port()
        self.process = None
        self.why = "starting"

    def command(self):
        if not is_free(self.admin):
            self.admin = free_port()
        return ("setpriv", "--pdeathsig", "TERM", str(self.up.bin / f"millrace-{self.name}"),
                *self.up.common(), "--admin", f"127.0.0.1:{self.admin}", *self.options())

    async def once(self):
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        self.began(self.process.pid)
        code = await self.process.wait()
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    async def ready(self):
        while True:
            status, body = await get(self.admin, "/ready")
            if status == 200:
                return
            self.why = body.strip()
            await asyncio.sleep(0.05)

    async def stop(self):
        """True when it drained."""
        if self.task is None:
            return True
        self.task.cancel()
        if self.process is None or self.process.returncode is not None:
            return True
        self.process.terminate()
        try:
            code = await asyncio.wait_for(self.process.wait(), DRAIN_S)
        except asyncio.TimeoutError:
            self.process.kill()
            code = await self.process.wait()
        if code != 0:
            say(f"{self.name} did not drain (exit code {code}): see {self.log}")
        return code == 0


class Up:
    def __init__(self, options):
        self.options = options
        self.root, self.build = Path(options.root), Path(options.build).absolute()
        self.bin = self.build / "bin"
        self.kinds = os.environ.get("MILLRACE_KINDS") or str(self.build / "kinds")
        self.dir = Path(options.dir).absolute()
        self.store = options.store or f"file:{self.dir}/store"
        if self.store.startswith("file:"):
            self.store = f"file:{Path(self.store[5:]).absolute()}"
        mark = hashlib.sha256(str(self.dir).encode()).hexdigest()[:12]
        self.shm = Path("/dev/shm") / f"millrace-up-{os.getuid()}-{mark}"
        self.bootstrap = ""
        self.is_up = False
        self.gateway_port = int(options.port) or free_port()
        self.query_port = free_port()

    # ---- folders ----

    def take_dir(self):
        """One tools/up at a time for each folder."""
        self.dir.mkdir(parents=True, exist_ok=True)
        self.lock = (self.dir / "lock").open("w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(f"another tools/up runs in {self.dir}: give this one its own --dir") \
                from None
        if self.options.clean:
            subprocess.run([self.root / "tools/kafka", "kill", "--dir", self.dir / "kafka"],
                           check=True)
            for name in ("kafka", "store", "work", "log", "up.env"):
                path = self.dir / name
                (path.unlink if path.is_file() else shutil.rmtree)(path) if path.exists() else None
        if int(self.options.port) and not is_free(self.gateway_port):
            raise Failure(f"port {self.gateway_port} is taken: choose another with --port")
        for name in ("log", "work"):
            (self.dir / name).mkdir(exist_ok=True)
        if self.store.startswith("file:"):
            Path(self.store[5:]).mkdir(parents=True, exist_ok=True)

    def fresh_shm(self):
        """What a killed query service left in memory goes before the next one starts."""
        shutil.rmtree(self.shm, ignore_errors=True)
        self.shm.mkdir(mode=0o700)
        return str(self.shm)

    # ---- the parts ----

    def common(self):
        return ("--bootstrap", self.bootstrap, "--store", self.store,
                "--s3-endpoint", self.options.s3_endpoint, "--kinds", self.kinds,
                "--instance", "up")

    def parts(self):
        work = self.dir / "work"
        options = {
            "gateway": lambda: ("--listen", f"127.0.0.1:{self.gateway_port}", "--auto-topics",
                                "--topics", str(self.root / "deploy/topics.json"),
                                "--query", f"tcp://127.0.0.1:{self.query_port}"),
            "validator": lambda: (),
            "cleaner": lambda: (),
            "archiver": lambda: ("--work-dir", str(work / "archiver")),
            "query": lambda: ("--work-dir", str(work / "query"), "--shm-dir", self.fresh_shm(),
                              "--rpc", f"tcp://127.0.0.1:{self.query_port}"),
        }
        self.kafka = Kafka(self)
        self.services = [Service(self, name, options[name]) for name in SERVICES]
        (work / "archiver").mkdir(exist_ok=True)

    def env(self):
        """up.env: the public names, and what makes the command line tool find everything."""
        lines = {
            "GATEWAY_URL": f"http://127.0.0.1:{self.gateway_port}",
            "BOOTSTRAP": self.bootstrap, "STORE_URL": self.store,
            "S3_ENDPOINT": self.options.s3_endpoint,
            "QUERY_URL": f"tcp://127.0.0.1:{self.query_port}",
            "LOG_DIR": str(self.dir / "log"), "PID_KAFKA": self.kafka.pid,
        }
        for service in self.services:
            lines[f"PID_{service.name.upper()}"] = service.pid
            lines[f"ADMIN_{service.name.upper()}"] = f"http://127.0.0.1:{service.admin}"
        return lines | self.cli_env()

    def cli_env(self):
        return {
            "MILLRACE_BOOTSTRAP": self.bootstrap, "MILLRACE_STORE": self.store,
            "MILLRACE_S3_ENDPOINT": self.options.s3_endpoint,
            "MILLRACE_KINDS": self.kinds,
            "MILLRACE_TOPICS": str(self.root / "deploy/topics.json"),
            "MILLRACE_QUERIES": str(self.root / "deploy/queries"),
            "MILLRACE_QUERY": f"tcp://127.0.0.1:{self.query_port}",
            "MILLRACE_URL": f"http://127.0.0.1:{self.gateway_port}",
            "MILLRACE_TENANT": self.options.tenant,
        }

    def write_env(self):
        new = self.dir / "up.env.new"
        quoted = ((name, str(value).replace("'", "'\\''")) for name, value in self.env().items())
        new.write_text("".join(f"{name}='{value}'\n" for name, value in quoted))
        new.rename(self.dir / "up.env")

    async def millrace(self, *words):
        return await output(str(self.bin / "millrace"), *words, env=os.environ | self.cli_env())

    # ---- the story ----

    async def start(self):
        say(f"starting Kafka and the services (logs: {self.dir}/log, {self.dir}/kafka/log)")
        self.kafka.keep()
        async with progress(lambda: "waiting for Kafka"):
            await self.unless_ended(self.kafka.started.wait())
        await self.millrace("topics", "--create")
        for service in self.services:
            service.keep()
        waiting = [asyncio.create_task(service.ready()) for service in self.services]

        def look():
            return "waiting for " + ", ".join(
                f"{service.name} ({service.why})"
                for service, task in zip(self.services, waiting) if not task.done())
        async with progress(look):
            if not await self.unless_ended(asyncio.wait(waiting)):
                raise Failure(f"not ready after {READY_S} s: {look()}")
        self.is_up = True
        self.write_env()
        say(f"ready: http://127.0.0.1:{self.gateway_port} takes events, "
            f"Kafka is {self.bootstrap}, the store {self.store}")

    async def unless_ended(self, work):
        """Waits for work, or raises the Failure of a process that does not start."""
        work = asyncio.ensure_future(work)
        tasks = [part.task for part in (self.kafka, *self.services) if part.task]
        try:
            await asyncio.wait([work, *tasks], timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
            return work.done()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def totals(self):
        """{kind: its line of the law}, from the first stage to the tables."""
        stages = json.loads(await self.millrace("status", "--json"))["stages"]
        return {stage["kind"]: stage for stage in stages
                if stage["stage"] == "total" and stage["tenant"] == self.options.tenant
                and stage["kind"] in KINDS}

    async def play(self):
        options = self.options
        before = await self.totals()
        data = ("--data", str(Path(options.data).absolute())) if options.data else ()
        what = f"emissions from {options.data}" if options.data else "made-up emissions"
        say(f"posting up to {options.count} {what}, three events each, as {options.tenant}")
        began = time.monotonic()
        async with progress(lambda: f"posting, {time.monotonic() - began:.0f} s so far"):
            told = await self.millrace("emulate", "--fast", "--count", options.count, *data)
        say(told.strip())
        words = told.split()
        rounds, again = int(words[0]), int(words[5])
        await self.await_visible(before, rounds, again)

    async def await_visible(self, before, rounds, again):
        now, line, still = {}, "", time.monotonic()

        def is_done(kind):
            total, had = now.get(kind), before.get(kind, {"in": 0})["in"]
            return total and total["holds"] and total["in_flight"] == 0 and \
                had + rounds <= total["in"] <= had + rounds + again
        async with progress(lambda: "on the way: " + (line or "nothing yet")):
            while not all(is_done(kind) for kind in KINDS):
                if time.monotonic() - still > STILL_S:
                    raise Failure(f"no progress for {STILL_S} s: {line}\n{await self.law()}")
                await asyncio.sleep(0.1)
                now, last = await self.totals(), line
                line = ", ".join(f"{kind} {t['in'] - t['in_flight']} of {t['in']}"
                                 for kind, t in now.items())
                if line != last:
                    still = time.monotonic()
            good = [now[kind]["good"] for kind in KINDS]
            while await self.rows() != good:
                await asyncio.sleep(0.1)
                if time.monotonic() - still > STILL_S:
                    raise Failure(f"SQL sees {await self.rows()} rows, the tables hold {good}")
        say("every event is visible")

    async def rows(self):
        counts = ", ".join(f"(SELECT count(*) FROM {kind})" for kind in KINDS)
        out = await self.millrace("query", "--quiet", "--format", "csv", f"SELECT {counts}")
        return [int(number) for number in out.splitlines()[1].split(",")]

    async def ask_all(self, form):
        return await asyncio.gather(*(
            self.millrace("query", "--quiet", "--median", self.options.median, "--format", form,
                          name) for name in QUESTIONS))

    async def answer(self):
        async with progress(lambda: "asking the eight questions"):
            tables = await self.ask_all("table")
        for (name, title), table in zip(QUESTIONS.items(), tables):
            head, *rows = table.splitlines()
            show(f"\n{title}\n", *("  " + line for line in (head, *rows[:ROWS_SHOWN])))
            if len(rows) > ROWS_SHOWN:
                show(f"  ... and {len(rows) - ROWS_SHOWN} more: millrace query {name}")
        if self.options.answers:
            folder = Path(self.options.answers).absolute()
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in zip(QUESTIONS, await self.ask_all("csv")):
                (folder / f"{name}.csv").write_text(text)
            show(f"\nThe answers are also in {folder}.")

    async def law(self):
        return (await self.millrace("status")).rstrip()

    def next_steps(self):
        env = os.path.relpath(self.dir / "up.env")
        millrace = os.path.relpath(self.bin / "millrace")
        show(f"""
Where to go next
  set -a; . {env}; set +a        # so that the commands below find everything
  {millrace} query "SELECT * FROM pin LIMIT 5"
  {millrace} query q1            # a saved question, from deploy/queries
  {millrace} status              # the law and the lag
  {millrace} tail "$MILLRACE_TENANT.pin"
  curl -H 'Content-Type: application/vnd.kafka.json.v2+json' \\
    -d '{{"records":[{{"value":{{"ind":1,"country":"Peru"}}}}]}}' \\
    "$GATEWAY_URL/topics/$MILLRACE_TENANT.geo"

Each has /status, /metrics, /ready and /live:""")
        for service in self.services:
            show(f"  {service.name:<9} http://127.0.0.1:{service.admin}/status")

    async def story(self):
        await self.start()
        if not self.options.idle:
            await self.play()
            await self.answer()
        show(f"\nThe law: in = good + repeated + dead\n\n{await self.law()}")
        if self.options.once:
            return
        self.next_steps()
        show("\nCtrl-C ends it all.")
        await asyncio.Event().wait()

    async def drain(self):
        """What comes in first ends first."""
        say("stopping")
        gateway, *others = self.services
        async with progress(lambda: "draining"):
            drained = [await gateway.stop(),
                       *await asyncio.gather(*(service.stop() for service in others))]
            if self.kafka.task:
                await self.kafka.stop()
        shutil.rmtree(self.shm, ignore_errors=True)
        (self.dir / "up.env").unlink(missing_ok=True)
        say("stopped")
        return all(drained)


async def main(options):
    up = Up(options)
    up.take_dir()
    up.parts()
    loop, code = asyncio.get_running_loop(), 0
    story = asyncio.create_task(up.story())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, story.cancel)
    try:
        await story
    except asyncio.CancelledError:
        code = 1 if options.once else 0
    except Failure as failure:
        say(f"failed: {failure}")
        code = 1
    finally:
        drained = await up.drain()
    return code if drained else 1


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(types.SimpleNamespace(
            **dict(word.split("=", 1) for word in sys.argv[1:])))))
    except Failure as failure:
        sys.exit(f"up: {failure}")
