"""Wall clocks that jump and, at the healing, jump back. The services are started with a library
(tests/fault/clock.c) that shifts theirs; those of the broker and of the S3 server stay right."""

import struct

import pipeline
from faults import Fault

HOUR_S = 3600
# Kafka 4 refuses records that are more than an hour ahead of its own clock.
JUMPS_S = {"ahead": (HOUR_S - 600, HOUR_S, HOUR_S + 600), "back": (-HOUR_S + 600, -HOUR_S, -HOUR_S - 600)}
LIBRARY = pipeline.BUILD / "tests/libfault_clock.so"


class Clocks:
    """A file for each program, which holds the nanoseconds that its clock is ahead."""

    def __init__(self, system):
        self.folder = system.folder / "clocks"
        self.folder.mkdir()
        for stage in pipeline.SERVICES:
            self.shift(stage, 0)
        system.vars |= {"LD_PRELOAD": str(LIBRARY), "MILLRACE_TEST_CLOCK": str(self.folder)}

    def shift(self, stage, seconds):
        path = self.folder / f"millrace-{stage}"
        with path.open("r+b" if path.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds * 10**9))


class Jump(Fault):
    hold_s = (2, 8)

    def __init__(self, way, stages):
        self.way, self.shifted = way, stages
        self.name = f"clock-{way}" + (f"-{stages[0]}" if len(stages) == 1 else "")
        self.what = f"the clock of {stages[0] if len(stages) == 1 else 'all services'} jumps an hour {way}"

    def install(self, system):
        if not hasattr(system, "clocks"):
            system.clocks = Clocks(system)

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
