"""How long do the others in the process wait while tasks compute?

Ten tasks each compute for 1 ms between their yields, for one second; beside them one task of the host's loop
sleeps 1 ms again and again. Reported is the worst gap between two of its beats, in real time. In asyncio,
trio and gevent the ten are tasks of the same loop, so a beat comes once a round at best.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

import trio

import scheduler
from benchmarks import contest
from benchmarks.contenders import in_asyncio, in_uvloop

TASKS = 10
SPIN_S = 0.001
BEAT_S = 0.001

OURS = """
local n, spin, seconds = ...
local clock = os.clock
local ends = task.now() + seconds
local function body()
  repeat
    local stop = clock() + spin
    repeat until clock() >= stop
    task.yield()
  until task.now() >= ends
end
for _ = 1, n do
  task.spawn(body)
end
"""


class Heart:
    """Remembers the worst gap between two beats."""

    def __init__(self) -> None:
        self.last = time.perf_counter()
        self.worst_ms = 0.0

    def beat(self) -> None:
        """Note the gap since the last beat."""
        now = time.perf_counter()
        self.worst_ms = max(self.worst_ms, (now - self.last) * 1e3)
        self.last = now


def spin() -> None:
    stop = time.process_time() + SPIN_S
    while time.process_time() < stop:
        pass


def ours(engine: str, seconds: float) -> float:
    async def main() -> float:
        async with scheduler.open_runtime(engine=engine) as runtime:
            heart = Heart()
            ends = trio.current_time() + seconds
            runtime.spawn(OURS, TASKS, SPIN_S, seconds)
            while trio.current_time() < ends:
                await trio.sleep(BEAT_S)
                heart.beat()
            return heart.worst_ms

    return trio.run(main)


async def asyncio_main(seconds: float) -> float:
    ends = time.perf_counter() + seconds

    async def body() -> None:
        while time.perf_counter() < ends:
            spin()
            await asyncio.sleep(0)

    heart = Heart()
    async with asyncio.TaskGroup() as group:
        for _ in range(TASKS):
            group.create_task(body())
        while time.perf_counter() < ends:
            await asyncio.sleep(BEAT_S)
            heart.beat()
    return heart.worst_ms


async def trio_main(seconds: float) -> float:
    ends = time.perf_counter() + seconds

    async def body() -> None:
        while time.perf_counter() < ends:
            spin()
            await trio.lowlevel.checkpoint()

    heart = Heart()
    async with trio.open_nursery() as nursery:
        for _ in range(TASKS):
            nursery.start_soon(body)
        while time.perf_counter() < ends:
            await trio.sleep(BEAT_S)
            heart.beat()
    return heart.worst_ms


def in_gevent(seconds: float) -> float:
    import gevent

    ends = time.perf_counter() + seconds

    def body() -> None:
        while time.perf_counter() < ends:
            spin()
            gevent.sleep(0)

    heart = Heart()
    tasks = [gevent.spawn(body) for _ in range(TASKS)]
    while time.perf_counter() < ends:
        gevent.sleep(BEAT_S)
        heart.beat()
    gevent.joinall(tasks)
    return heart.worst_ms


def rows(quick: bool) -> list[contest.Row]:
    seconds = 0.1 if quick else 1.0
    contenders: dict[str, Callable[[], float]] = {
        "lua54": partial(ours, "lua54", seconds),
        "luajit": partial(ours, "luajit", seconds),
        "asyncio": partial(in_asyncio, asyncio_main, seconds),
        "uvloop": partial(in_uvloop, asyncio_main, seconds),
        "trio": partial(trio.run, trio_main, seconds),
        "gevent": partial(in_gevent, seconds),
    }
    return [contest.Row("heartbeat: worst gap beside 10 busy tasks", "ms", contenders, aim_value=10)]


if __name__ == "__main__":
    contest.main("benchmarks.heartbeat")
