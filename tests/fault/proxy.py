"""A TCP proxy in a process of its own, so that its clients' load does not slow the test's Python.

    with Proxy(9092) as proxy:     # to 127.0.0.1:9092
        proxy.port                 # where clients connect; stays
        proxy.cut()                # connections are reset, new ones refused
        proxy.stall()              # connections stay, new ones are taken, not a byte passes
        proxy.resume()

As a program it takes these words, line by line, from its standard input, and ends with it."""

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys

CHUNK = 256 * 1024
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST


class Child:
    """A proxy program: commands in, an answer for each."""

    def __init__(self, program, *words):
        self.process = subprocess.Popen([sys.executable, program, *map(str, words)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        assert line, "the proxy has ended"
        return json.loads(line)

    def ask(self, *words):
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        if self.process.returncode is not None:
            return
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Proxy(Child):
    def __init__(self, target=0):
        super().__init__(__file__, target)

    def aim(self, target):
        """At another port of this machine, for new connections."""
        self.ask("aim", target)

    def cut(self):
        self.ask("cut")

    def stall(self):
        self.ask("stall")

    def resume(self):
        self.ask("resume")

    def passed(self):
        """Bytes so far, both ways."""
        return self.ask("passed")


# ---- the program ----

async def serve_commands(commands, first):
    """Reads lines of ["name", argument ..] until the end of standard input."""
    def say(answer):
        print(json.dumps(answer), flush=True)

    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    say(first)
    while line := await reader.readline():
        name, *arguments = json.loads(line)
        say(await getattr(commands, name)(*arguments))
    os._exit(0)  # whatever is still under way


def reset(writer):
    """Closes like a machine that knows nothing of the connection."""
    if not writer.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


class Server:
    def __init__(self, target):
        self.target = target
        self.port, self.listener = 0, None
        self.writers = set()
        self.flows = asyncio.Event()
        self.flows.set()
        self.bytes = 0

    async def listen(self):
        self.listener = await asyncio.start_server(self.connected, "127.0.0.1", self.port)
        self.port = self.listener.sockets[0].getsockname()[1]

    async def pump(self, reader, writer):
        while data := await reader.read(CHUNK):
            await self.flows.wait()
            writer.write(data)
            await writer.drain()
            self.bytes += len(data)
        writer.write_eof()

    async def connected(self, reader, writer):
        self.writers.add(writer)
        ours = [writer]
        try:
            await self.flows.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
            ours.append(far_writer)
            self.writers.add(far_writer)
            await asyncio.gather(self.pump(reader, far_writer), self.pump(far_reader, writer))
        except OSError:
            pass
        finally:
            for one in ours:
                self.writers.discard(one)
                reset(one)

    # ---- commands ----

    async def aim(self, target):
        self.target = target

    async def cut(self):
        if self.listener:
            self.listener.close()
            self.listener = None
        for writer in list(self.writers):
            reset(writer)

    async def stall(self):
        self.flows.clear()

    async def resume(self):
        self.flows.set()
        if not self.listener:
            await self.listen()

    async def passed(self):
        return self.bytes


async def main():
    server = Server(int(sys.argv[1]))
    await server.listen()
    await serve_commands(server, server.port)


if __name__ == "__main__":
    asyncio.run(main())
