"""An HTTP proxy before an S3 server that does what servers do on bad days.

    with S3Proxy(port) as proxy:
        proxy.endpoint                       # http://127.0.0.1:N
        proxy.trouble("slow_down", 0.5)      # from now on, to half of the requests
        proxy.heal("slow_down")
        proxy.struck()                       # {sort: requests that met it}

Requests are signed for the name that the client called, and a server checks that: so the Host header
passes unchanged. Sorts of trouble:

  internal           500 InternalError, nothing done
  slow_down          503 SlowDown with Retry-After: 1, nothing done
  unavailable        503 ServiceUnavailable, nothing done
  lost_reply         all is done, then the connection is reset instead of an answer
  lost_commit        the same, of the first try of each commit that follows another in a table
  conflict           409 ConditionalRequestConflict to conditional PUTs, nothing done
  conflict_done      the same after the write was done
  exists             412 PreconditionFailed to conditional PUTs, nothing done
  exists_done        the same after the write was done
  reset_early        reset before the body was read, nothing done
  reset_late         reset after the body was read, nothing done
  half               half of the answer's body, then reset
  full               507 InsufficientStorage to PUTs, nothing done
  revoked            403 InvalidAccessKeyId
  bad_signature      403 SignatureDoesNotMatch
  skewed             403 RequestTimeTooSkewed
  late               the request waits `seconds`, then is done although the client may have gone
  stall              no answer for `seconds`, nothing done, then reset"""

import asyncio
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from proxy import CHUNK, Child, reset, serve_commands  # noqa: E402

HEAD_MAX = 64 * 1024

# What is answered instead of the server: status, code, further header lines.
INSTEAD = {
    "internal": ("500 Internal Server Error", "InternalError", ""),
    "slow_down": ("503 Slow Down", "SlowDown", "Retry-After: 1\r\n"),
    "unavailable": ("503 Service Unavailable", "ServiceUnavailable", ""),
    "conflict": ("409 Conflict", "ConditionalRequestConflict", ""),
    "exists": ("412 Precondition Failed", "PreconditionFailed", ""),
    "full": ("507 Insufficient Storage", "InsufficientStorage", ""),
    "revoked": ("403 Forbidden", "InvalidAccessKeyId", ""),
    "bad_signature": ("403 Forbidden", "SignatureDoesNotMatch", ""),
    "skewed": ("403 Forbidden", "RequestTimeTooSkewed", ""),
}
CREATES_ONLY = ("conflict", "conflict_done", "exists", "exists_done")
PUTS_ONLY = (*CREATES_ONLY, "full")
LOST = ("lost_reply", "lost_commit")
SORTS = (*INSTEAD, "conflict_done", "exists_done", *LOST, "reset_early", "reset_late", "half",
         "late", "stall")


class S3Proxy(Child):
    def __init__(self, target):
        super().__init__(__file__, target)
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def trouble(self, sort, share=1.0, seconds=30):
        assert sort in SORTS, sort
        self.ask("trouble", sort, share, seconds)

    def heal(self, sort):
        self.ask("heal", sort)

    def struck(self):
        return self.ask("struck")


# ---- the program ----

class Head:
    """The first line and the headers of a request or an answer."""

    def __init__(self, raw):
        self.raw = raw
        self.first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        self.fields = {}
        for line in lines:
            name, _, value = line.partition(":")
            self.fields[name.strip().lower()] = value.strip()

    @property
    def length(self):
        return int(self.fields.get("content-length", 0))

    @property
    def is_create(self):
        return "if-none-match" in self.fields

    @property
    def is_commit(self):
        return self.is_create and "/_delta_log/" in self.first and f"{0:020}.json" not in self.first

    @property
    def method(self):
        return self.first.split(" ", 1)[0]


class Gone(Exception):
    """The connection ends here."""


class Server:
    def __init__(self, target):
        self.target = target
        self.troubles = {}  # {sort: (share, seconds)}
        self.counts = {}
        self.commits = set()  # that were lost once

    def pick(self, head):
        """The trouble that this request meets and its seconds, or None."""
        for sort, (share, seconds) in self.troubles.items():
            if sort in PUTS_ONLY and head.method != "PUT" or \
                    sort in CREATES_ONLY and not head.is_create or \
                    sort == "lost_commit" and not self.is_new_commit(head) or \
                    random.random() >= share:
                continue
            self.counts[sort] = self.counts.get(sort, 0) + 1
            return sort, seconds
        return None, 0

    def is_new_commit(self, head):
        known = head.first in self.commits
        if head.is_commit:
            self.commits.add(head.first)
        return head.is_commit and not known

    async def connected(self, reader, writer):
        try:
            while await self.exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, Gone):
            reset(writer)
        else:
            writer.close()

    async def exchange(self, reader, writer):
        raw = await reader.readuntil(b"\r\n\r\n")
        head = Head(raw)
        sort, seconds = self.pick(head)
        if sort == "reset_early":
            raise Gone
        body = await reader.readexactly(head.length)
        if sort == "stall":
            await asyncio.sleep(seconds)
            raise Gone
        if sort == "reset_late":
            raise Gone
        if sort == "late":
            await asyncio.sleep(seconds)
        if sort in INSTEAD:
            await self.answer(writer, head, *INSTEAD[sort])
            return True
        answer, content = await self.forward(head, body)
        if sort in LOST:
            raise Gone
        if sort in ("conflict_done", "exists_done"):
            await self.answer(writer, head, *INSTEAD[sort.removesuffix("_done")])
            return True
        if sort == "half":
            writer.write(answer.raw + content[:len(content) // 2])
            await writer.drain()
            raise Gone
        writer.write(answer.raw + content)
        await writer.drain()
        return answer.fields.get("connection", "").lower() != "close"

    async def forward(self, head, body):
        """The server's own answer. One connection each: what is lost on one touches no other."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target, limit=HEAD_MAX)
        try:
            writer.write(head.raw + body)
            await writer.drain()
            answer = Head(await reader.readuntil(b"\r\n\r\n"))
            bare = head.method == "HEAD" or answer.first.split()[1] in ("204", "304")
            if answer.fields.get("transfer-encoding", "").lower() == "chunked" and not bare:
                content = await self.chunks(reader)
            else:
                content = b"" if bare else await reader.readexactly(answer.length)
            return answer, content
        finally:
            writer.close()

    @staticmethod
    async def chunks(reader):
        """A chunked body as it came."""
        content = b""
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            content += line + await reader.readexactly(size + 2)
            if size == 0:
                return content

    @staticmethod
    async def answer(writer, head, status, code, extra):
        text = "" if head.method == "HEAD" else \
            f"<Error><Code>{code}</Code><Message>sent by the test's proxy</Message></Error>"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\n{extra}"
                     f"Content-Length: {len(text)}\r\n\r\n{text}".encode())
        await writer.drain()

    # ---- commands ----

    async def trouble(self, sort, share, seconds):
        self.troubles[sort] = share, seconds

    async def heal(self, sort):
        self.troubles.pop(sort, None)

    async def struck(self):
        return self.counts


async def main():
    server = Server(int(sys.argv[1]))
    listener = await asyncio.start_server(server.connected, "127.0.0.1", 0, limit=CHUNK)
    await serve_commands(server, listener.sockets[0].getsockname()[1])


if __name__ == "__main__":
    asyncio.run(main())
