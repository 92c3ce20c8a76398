"""Faults of the store: a proxy before the real S3 server, and a disk of that server that gets full."""

import mounts
from faults import Fault
from faults.disk import Disk
from proxy import Proxy
from s3_proxy import S3Proxy

USERS = ("archiver", "query")
SHARES = (0.3, 0.7, 1.0)  # of the requests
DISK_MB = 512


def port_of(endpoint):
    return int(endpoint.rsplit(":", 1)[1])


def s3_proxy(system):
    """One for all sorts of trouble."""
    if not hasattr(system, "s3_proxy"):
        system.s3_proxy = S3Proxy(port_of(system.s3_endpoint))
        system.s3_endpoint = system.s3_proxy.endpoint
    return system.s3_proxy


class Trouble(Fault):
    stages, recover_s = USERS, 60

    def __init__(self, trouble, what, hold_s=(1, 8), seconds=(1, 1)):
        self.name, self.what = f"s3-{trouble.replace('_', '-')}", f"S3: {what}"
        self.trouble, self.hold_s, self.seconds = trouble, hold_s, seconds

    def connect(self, system):
        self.proxy = s3_proxy(system)

    def strike(self, system, random):
        share, seconds = random.choice(SHARES), random.uniform(*self.seconds)
        self.proxy.trouble(self.trouble, share, seconds)
        return f"{self.trouble} to {share:.0%} of the requests"

    def heal(self, system):
        self.proxy.heal(self.trouble)

    def remove(self, system):
        self.proxy.close()


class Cut(Fault):
    name, what = "net-store-cut", "connections to S3 are reset, new ones refused"
    stages, hold_s = USERS, (1, 10)

    def connect(self, system):
        if not hasattr(system, "store_line"):
            system.store_line = Proxy(port_of(system.s3_endpoint))
            system.s3_endpoint = f"http://127.0.0.1:{system.store_line.port}"
        self.line = system.store_line

    def strike(self, system, random):
        self.line.cut()
        return "the line to S3 is cut"

    def heal(self, system):
        self.line.resume()

    def remove(self, system):
        self.line.close()


class Stall(Cut):
    name, what = "net-store-stall", "connections to S3 stay, no byte passes"
    hold_s = (1, 15)

    def strike(self, system, random):
        self.line.stall()
        return "the line to S3 is silent"


class ServerDisk(Disk):
    name, what = "s3-disk-full", "the disk of the S3 server is full"
    stages, hold_s = USERS, (2, 8)

    def install(self, system):
        self.place = system.folder / "s3"
        self.place.mkdir()
        mounts.mount_disk(system.folder / "s3.disk", self.place, DISK_MB)


class Restart(Fault):
    name, what = "s3-kill", "kill -9 of the S3 server, which is started again on its port"
    stages, hold_s = USERS, (0, 5)

    def strike(self, system, random):
        system.s3.tool("kill")
        return "kill -9 of the S3 server"

    def heal(self, system):
        system.s3.tool("start")


SORTS = [
    Trouble("internal", "500 InternalError, nothing done"),
    Trouble("slow_down", "503 SlowDown with Retry-After"),
    Trouble("unavailable", "503 ServiceUnavailable"),
    Trouble("stall", "no answer for 30 s, nothing done", (10, 32), (30, 30)),
    Trouble("late", "done after 8 to 25 s, when the client has gone", (5, 15), (8, 25)),
    Trouble("lost_reply", "the reply dropped after the work was done"),
    Trouble("conflict", "409 to conditional writes, nothing done"),
    Trouble("conflict_done", "409 to conditional writes that were done"),
    Trouble("exists", "412 to conditional writes, nothing done"),
    Trouble("exists_done", "412 to conditional writes that were done"),
    Trouble("reset_early", "reset before the body was read"),
    Trouble("reset_late", "reset after the body was read, nothing done"),
    Trouble("half", "half an answer, then reset"),
    Trouble("full", "507 InsufficientStorage to writes"),
    Trouble("revoked", "403 InvalidAccessKeyId for a while"),
    Trouble("bad_signature", "403 SignatureDoesNotMatch for a while"),
    Cut(), Stall(), ServerDisk(), Restart(),
]
