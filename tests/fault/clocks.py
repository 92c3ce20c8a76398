"""Wall clocks of services that were started with tests/fault/clock.c."""

import struct

import pipeline

HOUR_S = 3600
LIBRARY = pipeline.BUILD / "tests/libfault_clock.so"


class Clocks:
    """A file for each program, which holds the nanoseconds that its clock is ahead."""

    def __init__(self, folder):
        self.folder = folder
        self.env = {"LD_PRELOAD": str(LIBRARY), "MILLRACE_TEST_CLOCK": str(folder)}
        for stage in pipeline.SERVICES:
            self.shift(stage, 0)

    def shift(self, stage, seconds):
        path = self.folder / f"millrace-{stage}"
        with path.open("r+b" if path.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds * 10**9))
