"""Wall clocks that jump and, at the healing, jump back. Those of the broker and of the S3 server
stay right."""

import pipeline
from clocks import HOUR_S, Clocks
from faults import Fault

# Kafka 4 refuses records that are more than an hour ahead of its own clock.
JUMPS_S = {"ahead": (HOUR_S - 600, HOUR_S, HOUR_S + 600),
           "back": (-HOUR_S + 600, -HOUR_S, -HOUR_S - 600)}


class Jump(Fault):
    hold_s = (2, 8)

    def __init__(self, way, stages):
        self.way, self.shifted = way, stages
        who = stages[0] if len(stages) == 1 else ""
        self.name = f"clock-{way}" + (f"-{who}" if who else "")
        self.what = f"the clock of {who or 'all services'} jumps an hour {way}"

    def install(self, system):
        if not hasattr(system, "clocks"):
            (system.folder / "clocks").mkdir()
            system.clocks = Clocks(system.folder / "clocks")
            system.vars |= system.clocks.env

    def strike(self, system, random):
        seconds = random.choice(JUMPS_S[self.way])
        for stage in self.shifted:
            system.clocks.shift(stage, seconds)
        return f"{seconds} s for {', '.join(self.shifted)}"

    def heal(self, system):
        for stage in self.shifted:
            system.clocks.shift(stage, 0)


SORTS = [Jump(way, stages) for way in JUMPS_S
         for stages in (pipeline.SERVICES, *((stage,) for stage in pipeline.SERVICES))]
