"""What does an echo cost the process that serves it?

TCP on the loopback, messages of 64 bytes, 1, 64 and 512 connections. The client is a program in C (echo.c),
the same for every server; it reads the processor time of the server's process, all threads. Server and
client have a core each where there are two. The column "raw 54" is C with epoll: the floor.

    python -m benchmarks.echo serve lua54     one server by itself; prints its port
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import trio

import scheduler
from benchmarks import contest

SOURCE = Path(__file__).with_suffix(".c")
BYTES = 64
READ = 65536

OURS = """
local net = require("net")
local server = assert(net.listen({ host = "127.0.0.1", backlog = 4096 }))
local _, port = server:address()
print(port)
io.stdout:flush()
server:serve(function(stream)
  while true do
    local data = stream:read()
    if not data then
      return
    end
    stream:write(data)
  end
end)
"""


# -- the servers -----------------------------------------------------------------------------------


def listener() -> socket.socket:
    """Listen at a free port and print it."""
    found = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(found.getsockname()[1], flush=True)
    return found


def serve_ours(engine: str) -> None:
    async def main() -> None:
        async with scheduler.open_runtime(engine=engine) as runtime:
            await runtime.run(OURS)

    trio.run(main)


class _Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.write = transport.write  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.write(data)


async def _protocol() -> None:
    server = await asyncio.get_running_loop().create_server(_Echo, sock=listener())
    await server.serve_forever()


async def _streams() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(READ):
            writer.write(data)
            await writer.drain()

    server = await asyncio.start_server(echo, sock=listener())
    await server.serve_forever()


def serve_uvloop(main: Callable[[], object]) -> None:
    import uvloop

    uvloop.run(main())  # type: ignore[arg-type]


async def _trio() -> None:
    async def echo(stream: trio.SocketStream) -> None:
        async for data in stream:
            await stream.send_all(data)

    found = listener()
    found.setblocking(False)
    await trio.serve_listeners(echo, [trio.SocketListener(trio.socket.from_stdlib_socket(found))])


def serve_gevent() -> None:
    from gevent.server import StreamServer
    from gevent.socket import socket as gevent_socket

    def echo(connection: gevent_socket, _address: object) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(READ):
            connection.sendall(data)

    server = StreamServer(("127.0.0.1", 0), echo, backlog=4096)
    server.start()
    print(server.server_port, flush=True)
    server.serve_forever()


SERVERS: dict[str, Callable[[], object]] = {
    "lua54": partial(serve_ours, "lua54"),
    "lua55": partial(serve_ours, "lua55"),
    "luajit": partial(serve_ours, "luajit"),
    "asyncio": lambda: asyncio.run(_protocol()),
    "asyncio streams": lambda: asyncio.run(_streams()),
    "uvloop": partial(serve_uvloop, _protocol),
    "uvloop streams": partial(serve_uvloop, _streams),
    "trio": lambda: trio.run(_trio),
    "gevent": serve_gevent,
}


# -- the question ----------------------------------------------------------------------------------


def ask(server: str, connections: int, messages: int) -> tuple[float, float, float]:
    """Start a server, load it.

    Returns:
        CPU microseconds for each message, median microseconds of a round trip, messages a second.
    """
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "echo")
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise RuntimeError("the client of this benchmark needs a C compiler (cc)")
        subprocess.run([compiler, "-O2", "-o", program, str(SOURCE)], check=True)
        words = [sys.executable, "-m", "benchmarks.echo", "serve", server]
        os.sched_setaffinity(0, cores[:1])
        with subprocess.Popen(
            [program, "serve"] if server == "c" else words, stdout=subprocess.PIPE, text=True
        ) as serving:
            try:
                assert serving.stdout is not None
                port = serving.stdout.readline().strip()
                os.sched_setaffinity(0, cores[-1:])
                numbers = [port, str(serving.pid), str(connections), str(messages), str(BYTES)]
                found = subprocess.run(
                    [program, "ask", *numbers], stdout=subprocess.PIPE, text=True, check=True, timeout=200
                )
            finally:
                serving.kill()
                os.sched_setaffinity(0, cores)
    cpu, median, rate = found.stdout.split()
    return float(cpu), float(median), float(rate)


def rows(quick: bool) -> list[contest.Row]:
    """Return the questions."""

    def cost(server: str, connections: int) -> Callable[[], float]:
        messages = 2_000 if quick else 100_000 if connections > 1 else 30_000
        return lambda: ask(server, connections, messages)[0]

    def row(title: str, connections: int, servers: dict[str, str], aim: float | None) -> contest.Row:
        contenders = {column: cost(server, connections) for column, server in servers.items()}
        return contest.Row(title, "us", contenders, aim_value=aim)

    protocols = {
        "lua54": "lua54",
        "raw 54": "c",
        "luajit": "luajit",
        "asyncio": "asyncio",
        "uvloop": "uvloop",
        "trio": "trio",
        "gevent": "gevent",
    }
    streams = {"lua54": "lua54", "asyncio": "asyncio streams", "uvloop": "uvloop streams"}
    return [
        row("echo, 1 connection (asyncio, uvloop: protocols)", 1, protocols, None),
        row("echo, 64 connections", 64, protocols, 8.0),
        row("echo, 512 connections", 512, protocols, 8.0),
        row("echo, 64 connections (asyncio, uvloop: streams)", 64, streams, 8.0),
    ]


def _main(words: list[str]) -> None:
    if words[:1] == ["serve"]:
        SERVERS[words[1]]()
    elif words[:1] == ["ask"]:  # server, connections, messages: all three numbers
        cpu, median, rate = ask(words[1], int(words[2]), int(words[3]))
        print(f"cpu {cpu:.2f} us, median {median:.1f} us, {rate:.0f}/s")
    else:
        contest.main("benchmarks.echo")


if __name__ == "__main__":
    _main(sys.argv[1:])
