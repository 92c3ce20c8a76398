"""The disks that services work on get full: the work folders, and the memory of query's tail."""

import mounts
from faults import Fault

WORK_MB = 192
TAIL_MB = 64


class Disk(Fault):
    stages, hold_s = ("archiver", "query"), (2, 8)

    def install(self, system):
        self.place = self.find(system)
        mounts.mount_memory(self.place, self.megabytes)

    def strike(self, system, random):
        return mounts.fill(self.place)

    def heal(self, system):
        mounts.empty(self.place)

    def remove(self, system):
        mounts.unmount(self.place)


class Work(Disk):
    name, what = "work-full", "the disk of the work folders of archiver and query is full"
    megabytes = WORK_MB

    def find(self, system):
        return system.folder / "work"


class Tail(Disk):
    name, what = "tail-full", "the memory file system of query's tail is full"
    stages, megabytes = ("query",), TAIL_MB

    def find(self, system):
        return system.memory


SORTS = [Work(), Tail()]
