"""One millrace under test: a real broker, a real S3 server, and the processes of each stage.  They
are kept alive as a supervisor does, and can be more or fewer at any time."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

SOURCE = Path(os.environ["MILLRACE_SOURCE"])
sys.path += [str(SOURCE / "tools"), str(SOURCE / "tests/e2e")]
import pipeline  # noqa: E402
import run as supervisor  # noqa: E402  (tools/run.py)

STAGES = pipeline.SERVICES
BACKOFF_S = supervisor.BACKOFF_S  # after ends that nobody asked for
CALM_S = 10  # a process that lived so long starts again without delay
DRAIN_S = 25  # longer than the services' own limit
READY_S = 60
# Small objects and commits, so that a fault meets many of them.
SMALL = {"MILLRACE_TABLE_AGE": "500ms", "MILLRACE_RAW_AGE": "500ms", "MILLRACE_RAW_RECORDS": "200",
         "MILLRACE_BATCH_MAX": "100"}


class Instance:
    """A process with a name, started again whenever it ends; a thread of its own waits for that."""

    def __init__(self, system, stage, name):
        self.system, self.stage, self.name = system, stage, name
        self.work = system.folder / "work" / f"{name}-{system.next_number()}"
        self.log = system.folder / "log" / f"{self.work.name}.log"
        self.admin, self.listen, self.rpc = (supervisor.free_port() for _ in range(3))
        self.process = None
        self.codes = []  # how it ended each time
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.live, name=name, daemon=True)
        self.thread.start()

    def __str__(self):
        return f"{self.name}({self.pid})"

    @property
    def pid(self):
        return self.process.pid if self.process else 0

    def live(self):
        attempt = 0
        while not self.ending.is_set():
            began = time.monotonic()
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    env=self.system.vars, start_new_session=True)
            code = self.process.wait()
            self.codes.append(code)
            self.system.timeline.say("ended", who=self, code=code)
            calm = code <= 0 or time.monotonic() - began >= CALM_S
            attempt = 0 if calm else attempt + 1
            self.ending.wait(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])

    def command(self):
        """setpriv: it ends with the runner, whatever happens to that."""
        if not supervisor.is_free(self.admin):
            self.admin = supervisor.free_port()
        return ["setpriv", "--pdeathsig", "KILL",
                str(pipeline.BUILD / f"bin/millrace-{self.stage}"),
                *self.system.options(self), "--admin", f"127.0.0.1:{self.admin}"]

    def send(self, number):
        if self.process is not None:
            self.process.send_signal(number)

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self, seconds=DRAIN_S):
        """Drains it; false when it had to be killed or did not end with 0."""
        self.ending.set()
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)
        self.thread.join(seconds)
        if self.thread.is_alive():
            self.send(signal.SIGKILL)
            self.thread.join()
            return False
        return not self.codes or self.codes[-1] == 0


class Broker:
    """A real Kafka of one node."""

    version = ""  # the default of tools/kafka, see docs/adr/0011

    def __init__(self, folder, props=None):
        self.folder, self.props = folder, props
        self.address = ""

    def tool(self, *words):
        done = subprocess.run([SOURCE / "tools/kafka", *map(str, words), "--dir", self.folder],
                              capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, f"tools/kafka {words}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def start(self):
        self.address = self.tool("start", *self.options())

    def options(self):
        version = ("--version", self.version) if self.version else ()
        return (*version, *(("--props", self.props) if self.props else ()))

    def kill(self):
        self.tool("kill")

    def send(self, number):
        os.kill(int((self.folder / "pid").read_text()), number)

    def stop(self):
        self.tool("kill")


class System(pipeline.Millrace):
    """Faults may put something else in place of `broker`, `bootstrap` and `s3_endpoint` before
    start(): the last two are what the services are told, everything else goes the direct way."""

    def __init__(self, folder, tenant, timeline):
        self.folder, self.tenant, self.timeline = folder, tenant, timeline
        self.vars = os.environ | SMALL | pipeline.KEYS
        for name in ("work", "log"):
            (folder / name).mkdir(parents=True)
        self.memory = Path(tempfile.mkdtemp(prefix="millrace-fault-", dir="/dev/shm"))
        self.kinds = folder / "kinds"
        for source in ("proto/kinds", "tests/fault/kinds"):
            subprocess.run([SOURCE / "tools/kinds", SOURCE / source, self.kinds], check=True)
        self.broker = Broker(folder / "kafka")
        self.topics = SOURCE / "deploy/topics.json"
        self.bootstrap = self.s3 = self.s3_endpoint = None
        self.stages = {stage: [] for stage in STAGES}
        self.accepted_at = {}  # by address, when a gateway last answered with 2xx (monotonic)
        self.numbers = 0

    def next_number(self):
        self.numbers += 1
        return self.numbers

    # ---- start and stop ----

    def start_servers(self):
        self.s3 = pipeline.S3(self.folder / "s3")
        self.s3_endpoint = self.s3_endpoint or self.s3.endpoint
        self.broker.start()
        self.bootstrap = self.bootstrap or self.broker.address

    def start_services(self):
        pipeline.until(self.creates_topics, "the topics are made", READY_S)
        for stage in ("query", "validator", "cleaner", "archiver", "gateway"):
            self.scale(stage, 1)
        self.await_ready()

    def creates_topics(self):
        """Not at once: a broker that has just started may still be fenced."""
        process = self.start_millrace("topics", "--create", tenant=self.tenant)
        process.communicate(timeout=READY_S)
        return process.returncode == 0

    def await_ready(self):
        for one in self.all():
            pipeline.until(one.is_ready, f"{one} is ready, see {one.log}", READY_S)

    def scale(self, stage, count):
        """So many instances of a stage: those with the highest numbers go first, in order."""
        ones = self.stages[stage]
        while len(ones) < count:
            ones.append(Instance(self, stage, f"{stage}-{len(ones)}"))
        while len(ones) > count:
            ones.pop().stop()

    def all(self):
        return [one for ones in self.stages.values() for one in ones]

    def gateways(self):
        return [("127.0.0.1", one.listen) for one in self.stages["gateway"]]

    def accepted(self, one):
        return self.accepted_at.get(("127.0.0.1", one.listen), 0)

    def drain(self):
        """What comes in first ends first; the names of those that did not drain."""
        bad = [str(one) for one in self.all() if not one.stop()]
        for ones in self.stages.values():
            ones.clear()
        return bad

    def stop(self):
        """Ends what still runs at once; what is on disk stays."""
        for one in self.all():
            one.stop(0)
        self.broker.stop()
        if self.s3:
            self.s3.tool("kill")
        shutil.rmtree(self.memory, ignore_errors=True)

    # ---- how a process is started, and what the command line tool is told ----

    def options(self, one):
        """The options of one instance, asked anew at each start."""
        common = ["--bootstrap", self.bootstrap, "--store", "s3://mill/fault",
                  "--s3-endpoint", self.s3_endpoint, "--kinds", str(self.kinds),
                  "--instance", one.name]
        if one.stage == "gateway":
            common += ["--listen", f"127.0.0.1:{one.listen}", "--auto-topics",
                       "--topics", str(self.topics),
                       "--query", self.query_url()]
        elif one.stage == "archiver":
            common += ["--work-dir", str(one.work)]
        elif one.stage == "query":
            shm = self.memory / one.work.name
            shutil.rmtree(shm, ignore_errors=True)  # what a killed one left
            shm.mkdir()
            common += ["--work-dir", str(one.work), "--shm-dir", str(shm),
                       "--rpc", f"tcp://127.0.0.1:{one.rpc}"]
        return common

    def query_url(self):
        return f"tcp://127.0.0.1:{self.stages['query'][0].rpc}"

    def env(self):
        """As up.env says it; the direct ways."""
        store = {"STORE_URL": "s3://mill/fault", "BOOTSTRAP": self.broker.address}
        queries = {"MILLRACE_QUERY": self.query_url()} if self.stages["query"] else {}
        return store | queries | {
            "MILLRACE_BOOTSTRAP": self.broker.address, "MILLRACE_STORE": "s3://mill/fault",
            "MILLRACE_S3_ENDPOINT": self.s3.endpoint, "MILLRACE_KINDS": str(self.kinds),
            "MILLRACE_TOPICS": str(self.topics),
            "MILLRACE_QUERIES": str(SOURCE / "deploy/queries"),
        }
