"""Faults of processes: those of the stages, and the broker as a process."""

import signal

from confluent_kafka.admin import AdminClient, NewPartitions

import events
from faults import Fault
from system import STAGES, Instance

SESSION_S = 6  # after so long without a word a member of a group is dead
FENCED_MAX = 8  # ends of two processes with one name while both run: 1, 2, 4 s each, and a start
PARTITIONS_MAX = 8


class Stage(Fault):
    """A fault of one stage."""

    def __init__(self, stage):
        self.name, self.stage, self.stages = f"{self.sort}-{stage}", stage, (stage,)
        self.what = self.text.format(stage)


class Kill(Stage):
    sort, text = "kill", "kill -9 of one {}"
    weight = 3

    def strike(self, system, random):
        one = random.choice(system.stages[self.stage])
        said = f"kill -9 {one}"
        one.send(signal.SIGKILL)
        return said


class Term(Stage):
    sort, text = "term", "SIGTERM to one {}, which drains and is started again"

    def strike(self, system, random):
        one = random.choice(system.stages[self.stage])
        said = f"SIGTERM {one}"
        one.send(signal.SIGTERM)
        return said


class Freeze(Stage):
    sort, text = "freeze", "SIGSTOP of one {} for longer than the session timeout, beside another"
    hold_s = (SESSION_S + 1, SESSION_S + 4)

    def strike(self, system, random):
        system.scale(self.stage, max(2, len(system.stages[self.stage])))
        self.one = random.choice(system.stages[self.stage])
        self.one.send(signal.SIGSTOP)
        return f"SIGSTOP {self.one}"

    def heal(self, system):
        self.one.send(signal.SIGCONT)


class Scale(Stage):
    sort, text = "scale", "{}: 1 -> 4 -> 2 instances"
    hold_s = (2, 6)

    def strike(self, system, random):
        system.scale(self.stage, 4)
        return f"4 of {self.stage}"

    def heal(self, system):
        system.scale(self.stage, 2)


class Twins(Stage):
    sort, text = "twins", "two {}s with one name"
    hold_s = (6, 9)

    def strike(self, system, random):
        self.one = random.choice(system.stages[self.stage])
        self.before = len(self.one.codes)
        self.twin = Instance(system, self.stage, self.one.name)
        return f"a second {self.one}"

    def heal(self, system):
        codes = self.one.codes[self.before:] + self.twin.codes
        self.twin.stop()
        assert len(codes) <= FENCED_MAX, f"{self.one} and its twin fence each other: {codes}"


class KillBroker(Fault):
    name, what = "kill-broker", "kill -9 of the broker, which is started again on its port"
    hold_s, heals_first = (0, 3), True

    def strike(self, system, random):
        system.broker.kill()
        return f"kill -9 broker {system.broker.address}"

    def heal(self, system):
        system.broker.start()


class FreezeBroker(Fault):
    name, what = "freeze-broker", "SIGSTOP of the broker, for seconds or beyond the session timeout"
    hold_s, heals_first = (1, SESSION_S + 4), True

    def strike(self, system, random):
        system.broker.send(signal.SIGSTOP)
        return f"SIGSTOP broker {system.broker.address}"

    def heal(self, system):
        system.broker.send(signal.SIGCONT)


class Grow(Fault):
    """Downstream first (LAW 13)."""

    name, what = "grow", f"a partition more of all topics of one kind, up to {PARTITIONS_MAX}"
    alone = True

    def strike(self, system, random):
        kind = random.choice(events.KINDS)
        raw = f"{system.tenant}.{kind}"
        admin = AdminClient({"bootstrap.servers": system.broker.address, "log_level": 0})
        count = len(admin.list_topics(timeout=10).topics[raw].partitions) + 1
        if count > PARTITIONS_MAX:
            return f"{raw} has {count - 1} partitions"
        for role in (".clean", ".dead", ".valid", ""):
            made = admin.create_partitions([NewPartitions(raw + role, count)])
            made[raw + role].result(timeout=30)
        return f"{raw}: {count} partitions"


COMMITTING = ("validator", "cleaner", "archiver")
SORTS = [*map(Kill, STAGES), *map(Term, STAGES), *map(Freeze, STAGES), *map(Scale, STAGES),
         *map(Twins, COMMITTING), KillBroker(), FreezeBroker(), Grow()]
