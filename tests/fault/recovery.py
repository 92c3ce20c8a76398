"""How long a stage needs until it flows again.

Measured from the moment when the strike is over (it was healed, or needs no healing), until
  validator, cleaner, archiver   the stage has committed, on every partition of its inputs, all that
                                 stood there at that moment
  gateway                        each instance has acknowledged an event of the load
  query                          each instance has answered
so for the archiver the age of objects and commits is in it."""

import subprocess
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

import events
import pipeline

POLL_S = 0.05
ASK_S = 5

INPUTS = {
    "validator": ("",),
    "cleaner": (".valid",),
    "archiver": ("", ".clean", ".dead"),
}


class Recovery:
    def __init__(self, system):
        self.system = system
        self.trouble = None
        self.members = {}

    def await_flow(self, stages, since, limit_s):
        """{stage: seconds} from since (monotonic) on."""
        self.connect()
        waiting = {stage: None for stage in stages}
        took = {}
        while waiting:
            for stage in list(waiting):
                if waiting[stage] is None:
                    waiting[stage] = self.goal(stage)
                if waiting[stage] is not None and self.is_reached(stage, waiting[stage], since):
                    took[stage] = time.monotonic() - since
                    del waiting[stage]
            assert time.monotonic() - since < limit_s, \
                f"{', '.join(waiting)} did not flow {limit_s} s after the fault: " \
                f"{waiting}, {self.trouble}"
            time.sleep(POLL_S)
        return took

    def connect(self, trouble=None):
        """Anew: leaders are remembered with their epochs, also when those went back with a broker."""
        self.trouble = trouble
        self.admin = AdminClient({"bootstrap.servers": self.system.broker.address, "log_level": 0})

    def goal(self, stage):
        """What has to be reached; None when the broker does not say it now."""
        if stage not in INPUTS:
            return list(self.system.stages[stage])
        try:
            return self.ends(stage)
        except KafkaException as error:
            self.connect(error)
            return None

    def is_reached(self, stage, goal, since):
        try:
            if stage == "gateway":
                goal[:] = [one for one in goal if self.system.accepted(one) < since]
            elif stage == "query":
                goal[:] = [one for one in goal if not self.answers(one)]
            else:
                self.drop_reached(stage, goal)
        except KafkaException as error:
            self.connect(error)
            return False
        return not goal

    # ---- stages that commit ----

    def parts(self, stage):
        topics = self.admin.list_topics(timeout=ASK_S).topics
        return [TopicPartition(name, partition) for kind in events.KINDS
                for role in INPUTS[stage]
                for name in (f"{self.system.tenant}.{kind}{role}",) if name in topics
                for partition in topics[name].partitions]

    def ends(self, stage):
        asked = self.admin.list_offsets({part: OffsetSpec.latest() for part in self.parts(stage)},
                                        request_timeout=ASK_S)
        return {(part.topic, part.partition): answer.result().offset
                for part, answer in asked.items()}

    def member(self, stage):
        """Asks in the name of the group, which it never joins. An AdminClient crashes (librdkafka)
        when the coordinator has moved to another broker."""
        if stage not in self.members:
            self.members[stage] = Consumer({"bootstrap.servers": self.system.broker.address,
                                            "group.id": f"millrace.{stage}", "log_level": 0})
        return self.members[stage]

    def drop_reached(self, stage, goal):
        asked = self.member(stage).committed([TopicPartition(*part) for part in goal], ASK_S)
        for part in asked:
            if part.offset >= goal[part.topic, part.partition]:
                del goal[part.topic, part.partition]

    # ---- those that answer ----

    def answers(self, one):
        env = self.system.vars | self.system.env() | {
            "MILLRACE_QUERY": f"tcp://127.0.0.1:{one.rpc}", "MILLRACE_TENANT": self.system.tenant}
        try:
            done = subprocess.run([pipeline.BUILD / "bin/millrace", "query", "--quiet",
                                   "SELECT count(*) FROM tick"], env=env, capture_output=True,
                                  timeout=ASK_S)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0
