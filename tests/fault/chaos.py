"""The runner: constant load, faults at random points, then the oracle; round after round.
tests/fault/run starts it."""

import argparse
import json
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
import traceback
import urllib.request
from collections import defaultdict
from pathlib import Path

from system import STAGES, Broker, System  # first: it says where the other modules are

import pipeline
from faults import sorts
from load import Load
from oracle import Oracle
from recovery import Recovery
from timeline import Timeline

CLIENTS = 6
SEVERAL = 0.3  # how often several faults strike at one time
SEVERAL_MAX = 3
LOOK_S = 0.2


def arguments():
    parser = argparse.ArgumentParser(
        prog="tests/fault/run", formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Runs a millrace under constant load on a real broker and a real S3 server, "
        "breaks it at random points, and looks after each round whether anything that was accepted "
        "is lost, doubled or changed.  Exit code: 0 the law held, 1 it did not or something did "
        "not recover (the evidence is kept), 2 misuse.")
    add = parser.add_argument
    add("--minutes", type=float, default=5, help="no round begins later")
    add("--seed", type=int, default=random.SystemRandom().randrange(1 << 32), help="random if none")
    add("--only", default="", metavar="A,B", help="these sorts of faults, or those that begin so")
    add("--not", default="", metavar="A,B", dest="without", help="not these")
    add("--rate", type=float, default=150, help="events per second")
    add("--interval", type=float, default=1, help="seconds between strikes, on average")
    add("--round", type=float, default=60, help="seconds of strikes before each look at the law")
    add("--kafka", default=Broker.version, metavar="VERSION", help="of the broker, if another one than tools/kafka takes")
    add("--each", action="store_true", help="each sort once, in random order, instead of a time")
    add("--dir", type=Path, help="where all state goes (default: build/fault/SEED)")
    add("--json", type=Path, metavar="FILE", help="the figures also as JSON")
    add("--keep", action="store_true", help="keep all state, also when the law held")
    add("--list", action="store_true", help="show the sorts of faults")
    return parser.parse_args()


def choose(options):
    """The sorts that --only and --not leave."""
    def names(text):
        return tuple(name for name in text.split(",") if name)
    every = sorts()
    for name in names(options.only) + names(options.without):
        if not any(sort.startswith(name) for sort in every):
            sys.exit(f"tests/fault/run: no sort of faults begins with {name}: see --list")
    chosen = [sort for name, sort in every.items()
              if (name.startswith(names(options.only)) if options.only else not sort.by_name)
              and not (options.without and name.startswith(names(options.without)))]
    if not chosen:
        sys.exit("tests/fault/run: --only and --not leave no sort of faults")
    return chosen


class Chaos:
    def __init__(self, options, chosen):
        self.options, self.sorts = options, chosen
        self.folder = (options.dir or pipeline.BUILD / f"fault/{options.seed}").absolute()
        self.folder.mkdir(parents=True)
        self.random = random.Random(options.seed)
        self.timeline = Timeline(self.folder / "timeline.ndjson")
        Broker.version = options.kafka
        self.system = System(self.folder, "chaos", self.timeline)
        self.due = self.random.sample(chosen, len(chosen)) if options.each else None
        self.struck = defaultdict(list)  # by sort, seconds to recover, None beside others
        self.rounds = 0
        self.begin = time.monotonic()

    def run(self):
        """Raises AssertionError with what does not hold."""
        for sort in self.sorts:
            sort.install(self.system)
        self.system.start_servers()
        for sort in self.sorts:
            sort.connect(self.system)
        self.system.start_services()
        self.timeline.say("ready", s3=self.system.s3_endpoint, broker=self.system.bootstrap)
        self.load = Load(self.system, self.options.seed, CLIENTS, self.options.rate)
        self.oracle = Oracle(self.system)
        self.recovery = Recovery(self.system)
        self.begin = time.monotonic()
        while self.goes_on():
            self.rounds += 1
            self.round()
        bad = self.system.drain()
        assert not bad, f"not drained at the end: {bad}"

    def goes_on(self):
        if self.due is not None:
            return bool(self.due)
        return self.rounds == 0 or time.monotonic() - self.begin < self.options.minutes * 60

    def round(self):
        self.load.start()
        end = time.monotonic() + self.options.round
        while time.monotonic() < end and (self.due is None or self.due):
            self.wait(self.random.uniform(0, 2 * self.options.interval))
            self.strike(self.next_faults())
        for stage in STAGES:
            self.system.scale(stage, 1)
        self.load.stop()
        self.timeline.say("load stopped")
        self.oracle.check()
        self.timeline.say("the law holds", round=self.rounds, accepted=self.oracle.told.accepted)

    def wait(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.load.check()
            time.sleep(min(LOOK_S, max(0, end - time.monotonic())))

    def next_faults(self):
        if self.due is not None:
            return [self.due.pop()]
        count = self.random.randint(2, SEVERAL_MAX) if self.random.random() < SEVERAL else 1
        chosen = []
        for _ in range(count):
            sort, = self.random.choices(self.sorts, [sort.weight for sort in self.sorts])
            if sort not in chosen and not (chosen and (sort.alone or chosen[0].alone)):
                chosen.append(sort)
        return chosen

    def strike(self, faults):
        hold = max(self.random.uniform(*fault.hold_s) for fault in faults)
        struck = []
        try:
            for fault in faults:
                struck.append(fault)
                self.timeline.say("strike", sort=fault.name, what=fault.strike(
                    self.system, random.Random(self.random.random())))
            self.wait(hold)
        finally:
            for fault in sorted(struck, key=lambda fault: not fault.heals_first):
                fault.heal(self.system)
        since = time.monotonic()
        if hold:
            self.timeline.say("healed", sorts=[fault.name for fault in faults])
        stages = {stage for fault in faults for stage in fault.stages}
        took = self.recovery.await_flow(stages, since, max(fault.recover_s for fault in faults))
        seconds = max(took.values())
        self.timeline.say("recovered", took=round(seconds, 2), sorts=[fault.name for fault in faults],
                          **{stage: round(s, 2) for stage, s in took.items()})
        for fault in faults:
            self.struck[fault.name].append(seconds if len(faults) == 1 else None)

    # ---- at the end ----

    def figures(self):
        oracle = getattr(self, "oracle", None)
        lines = list(oracle.totals.values()) if oracle else []
        law = {name: sum(line[name] for line in lines)
               for name in ("in", "good", "repeated", "dead")}
        faults = {}
        for name, seconds in sorted(self.struck.items()):
            alone = [s for s in seconds if s is not None]
            faults[name] = {"count": len(seconds), "alone": len(alone),
                            "p50_s": round(statistics.median(alone), 2) if alone else None,
                            "max_s": round(max(alone), 2) if alone else None}
        return {"seed": self.options.seed, "rounds": self.rounds,
                "minutes": round((time.monotonic() - self.begin) / 60, 2), "faults": faults,
                "accepted": oracle.told.accepted if oracle else 0, **law,
                "lost": oracle.lost if oracle else 0, "doubled": oracle.doubled if oracle else 0}

    def show(self, figures):
        print(f"\n{'fault':<22} {'count':>6} {'alone':>6} {'p50 s':>7} {'max s':>7}")
        for name, line in figures["faults"].items():
            p50, most = (line[key] if line["alone"] else "" for key in ("p50_s", "max_s"))
            print(f"{name:<22} {line['count']:>6} {line['alone']:>6} {p50:>7} {most:>7}")
        total = sum(line["count"] for line in figures["faults"].values())
        print(f"\n{total} faults in {figures['minutes']} minutes and {figures['rounds']} rounds; "
              f"accepted {figures['accepted']}, in {figures['in']} = good {figures['good']} + "
              f"repeated {figures['repeated']} + dead {figures['dead']}; "
              f"lost {figures['lost']}, doubled {figures['doubled']}")

    def keep_evidence(self):
        """What only the living can say, before they end."""
        with (self.folder / "status").open("w") as file:
            for one in self.system.all():
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{one.admin}/status",
                                                timeout=2) as answer:
                        print(one, answer.read().decode(), file=file)
                except OSError as error:
                    print(one, error, file=file)
            try:
                process = self.system.start_millrace("status", tenant=self.system.tenant)
                print(*process.communicate(timeout=60), file=file)
            except (AssertionError, AttributeError, subprocess.TimeoutExpired) as error:
                process.kill()
                print(error, file=file)

    def end(self):
        self.system.stop()
        for sort in self.sorts:
            sort.remove(self.system)


def without_seed(words):
    kept = [word for word in words if not word.startswith("--seed=")]
    if "--seed" in kept:
        at = kept.index("--seed")
        del kept[at:at + 2]
    return kept


def interrupt(number, _):
    raise KeyboardInterrupt(signal.Signals(number).name)


def main():
    options = arguments()
    chosen = choose(options)
    if options.list:
        for sort in chosen:
            print(f"{sort.name:<22} {sort.what}")
        return 0
    print(f"seed {options.seed}", flush=True)
    signal.signal(signal.SIGTERM, interrupt)
    chaos = Chaos(options, chosen)
    held = False
    try:
        chaos.run()
        held = True
    except (Exception, KeyboardInterrupt) as failure:
        traceback.print_exc()
        chaos.timeline.say("failed", why=failure)
        chaos.keep_evidence()
    finally:
        chaos.end()
    figures = chaos.figures()
    chaos.show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures | {"held": held}) + "\n")
    if held and not options.keep:
        shutil.rmtree(chaos.folder)
    else:
        print(f"all of it is in {chaos.folder}")
    if not held:
        words = " ".join(without_seed(sys.argv[1:]))
        print(f"the same again: tests/fault/run --seed {options.seed} {words}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
