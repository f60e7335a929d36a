"""What does a task cost that waits: processor time, memory, and the processor while all wait?

The sleepers sleep 0..1 s by the real clock; their cost is all of spawn, sleep, wake-up and end. Memory is
the growth of the resident set by n tasks that wait, after a collection, over n. Idle is the CPU time of
the whole process during two seconds in which 1,000 tasks sleep.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import trio
import trio.testing

import scheduler
from benchmarks import contest
from benchmarks.contenders import in_asyncio, in_runtime, in_uvloop, raw_runtime

# -- sleepers --------------------------------------------------------------------------------------


def nap_s(index: int) -> float:
    """Seconds that sleeper `index` sleeps: spread over 0..1, the same for all contenders."""
    return index * 7919 % 100_003 / 100_003


OURS_SLEEPERS = """
local n = ...
local sleep = task.sleep
local began = os.clock()
task.scope(function(scope)
  for i = 1, n do
    scope:spawn(sleep, i * 7919 % 100003 / 100003)
  end
end)
return (os.clock() - began) * 1e6 / n
"""


async def asyncio_sleepers(n: int) -> float:
    began = time.process_time()
    async with asyncio.TaskGroup() as group:
        for i in range(1, n + 1):
            group.create_task(asyncio.sleep(nap_s(i)))
    return (time.process_time() - began) * 1e6 / n


async def trio_sleepers(n: int) -> float:
    began = time.process_time()
    async with trio.open_nursery() as nursery:
        for i in range(1, n + 1):
            nursery.start_soon(trio.sleep, nap_s(i))
    return (time.process_time() - began) * 1e6 / n


def gevent_sleepers(n: int) -> float:
    import gevent

    began = time.process_time()
    gevent.joinall([gevent.spawn(gevent.sleep, nap_s(i)) for i in range(1, n + 1)])
    return (time.process_time() - began) * 1e6 / n


# -- memory ----------------------------------------------------------------------------------------


def resident_bytes() -> int:
    """Resident set of this process; Linux only."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


OURS_PARKED = """
local n = ...
local waiting = 0
local function body()
  waiting = waiting + 1
  event.wait("never")
end
collectgarbage()
local before = resident_bytes()
for _ = 1, n do
  task.spawn(body)
end
repeat
  task.yield()
until waiting == n
collectgarbage()
local bytes = (resident_bytes() - before) / n
event.emit("never")
return bytes
"""

RAW_PARKED = """
local resident_bytes, n = ...
local create, resume, yield = coroutine.create, coroutine.resume, coroutine.yield
local function body()
  yield()
end
collectgarbage()
local before = resident_bytes()
local all = {}
for i = 1, n do
  all[i] = create(body)
  resume(all[i])
end
collectgarbage()
return (resident_bytes() - before) / n
"""


def ours_parked(engine: str, n: int) -> float:
    result: float = in_runtime(engine, OURS_PARKED, n, host={"resident_bytes": resident_bytes})
    return result


def raw_parked(engine: str, n: int) -> float:
    result: float = raw_runtime(engine).execute(RAW_PARKED, resident_bytes, n)
    return result


async def asyncio_parked(n: int) -> float:
    never = asyncio.Event()
    gc.collect()
    before = resident_bytes()
    async with asyncio.TaskGroup() as group:
        for _ in range(n):
            group.create_task(never.wait())
        await asyncio.sleep(0)
        gc.collect()
        grown = resident_bytes() - before
        never.set()
    return grown / n


async def trio_parked(n: int) -> float:
    never = trio.Event()
    gc.collect()
    before = resident_bytes()
    async with trio.open_nursery() as nursery:
        for _ in range(n):
            nursery.start_soon(never.wait)
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        grown = resident_bytes() - before
        never.set()
    return grown / n


def gevent_parked(n: int) -> float:
    import gevent
    import gevent.event

    never = gevent.event.Event()
    gc.collect()
    before = resident_bytes()
    tasks = [gevent.spawn(never.wait) for _ in range(n)]
    gevent.sleep(0)
    gc.collect()
    grown = resident_bytes() - before
    never.set()
    gevent.joinall(tasks)
    return grown / n


# -- idle ------------------------------------------------------------------------------------------

IDLE_TASKS = 1_000
OURS_IDLE = """
local n = ...
for _ = 1, n do
  task.spawn(task.sleep, 1000)
end
"""


def ours_idle(engine: str, seconds: float) -> float:
    async def main() -> float:
        async with scheduler.open_runtime(engine=engine) as runtime:
            runtime.spawn(OURS_IDLE, IDLE_TASKS)
            await trio.sleep(0.1)
            began = time.process_time()
            await trio.sleep(seconds)
            used = time.process_time() - began
            runtime.cancel()
        return used * 1e3

    return trio.run(main)


async def asyncio_idle(seconds: float) -> float:
    tasks = [asyncio.create_task(asyncio.sleep(1000)) for _ in range(IDLE_TASKS)]
    await asyncio.sleep(0.1)
    began = time.process_time()
    await asyncio.sleep(seconds)
    used = time.process_time() - began
    for task in tasks:
        task.cancel()
    return used * 1e3


async def trio_idle(seconds: float) -> float:
    async with trio.open_nursery() as nursery:
        for _ in range(IDLE_TASKS):
            nursery.start_soon(trio.sleep, 1000)
        await trio.sleep(0.1)
        began = time.process_time()
        await trio.sleep(seconds)
        used = time.process_time() - began
        nursery.cancel_scope.cancel()
    return used * 1e3


def gevent_idle(seconds: float) -> float:
    import gevent

    tasks = [gevent.spawn(gevent.sleep, 1000) for _ in range(IDLE_TASKS)]
    gevent.sleep(0.1)
    began = time.process_time()
    gevent.sleep(seconds)
    used = time.process_time() - began
    gevent.killall(tasks)
    return used * 1e3


def _peers(
    in_loop: Any, in_trio: Any, in_gevent: Callable[[Any], float], amount: float
) -> dict[str, Callable[[], float]]:
    return {
        "asyncio": partial(in_asyncio, in_loop, amount),
        "uvloop": partial(in_uvloop, in_loop, amount),
        "trio": partial(trio.run, in_trio, amount),
        "gevent": partial(in_gevent, amount),
    }


def rows(quick: bool) -> list[contest.Row]:
    n = 5_000 if quick else 100_000
    idle_s = 0.2 if quick else 2.0
    return [
        contest.Row(
            "sleepers: 100,000 of 0..1 s",
            "us",
            {
                "lua54": partial(in_runtime, "lua54", OURS_SLEEPERS, n),
                "luajit": partial(in_runtime, "luajit", OURS_SLEEPERS, n),
                **_peers(asyncio_sleepers, trio_sleepers, gevent_sleepers, n),
            },
        ),
        contest.Row(
            "memory of a parked task, n = 100,000",
            "bytes",
            {
                "lua54": partial(ours_parked, "lua54", n),
                "raw 54": partial(raw_parked, "lua54", n),
                "luajit": partial(ours_parked, "luajit", n),
                "raw jit": partial(raw_parked, "luajit", n),
                **_peers(asyncio_parked, trio_parked, gevent_parked, n),
            },
            aim_value=1600,
        ),
        contest.Row(
            "idle: CPU in 2 s, 1,000 tasks asleep",
            "ms",
            {
                "lua54": partial(ours_idle, "lua54", idle_s),
                "luajit": partial(ours_idle, "luajit", idle_s),
                **_peers(asyncio_idle, trio_idle, gevent_idle, idle_s),
            },
            aim_value=1,
        ),
    ]


if __name__ == "__main__":
    contest.main("benchmarks.sleepers")
