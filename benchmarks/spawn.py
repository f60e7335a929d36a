"""What does a task cost from birth to end?

One after the other: spawn an empty task, wait for its end, n times. All at once: spawn n empty tasks, then
wait for all of them (what a fan-out does; memory and its collector have a say).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import trio

from benchmarks import contest
from benchmarks.contenders import in_asyncio, in_raw_lua, in_runtime, in_uvloop

OURS_ONE_BY_ONE = """
local n = ...
local spawn = task.spawn
local function body() end
local began = os.clock()
for _ = 1, n do
  spawn(body):join()
end
return (os.clock() - began) * 1e6 / n
"""

RAW_ONE_BY_ONE = """
local n = ...
local elapsed, ended
local function body()
  ended = true
end
push(create(function()
  local began = os.clock()
  for _ = 1, n do
    ended = false
    push(create(body))
    repeat
      yield(true)
    until ended
  end
  elapsed = os.clock() - began
end))
run()
return elapsed * 1e6 / n
"""

OURS_AT_ONCE = """
local n = ...
local spawn = task.spawn
local function body() end
local began = os.clock()
local all = {}
for i = 1, n do
  all[i] = spawn(body)
end
for i = 1, n do
  all[i]:join()
end
return (os.clock() - began) * 1e6 / n
"""

RAW_AT_ONCE = """
local n = ...
local elapsed
push(create(function()
  local ended = 0
  local function body()
    ended = ended + 1
  end
  local began = os.clock()
  local all = {}
  for i = 1, n do
    all[i] = create(body)
    push(all[i])
  end
  repeat
    yield(true)
  until ended == n
  elapsed = os.clock() - began
end))
run()
return elapsed * 1e6 / n
"""


async def nothing() -> None:
    pass


async def asyncio_one_by_one(n: int) -> float:
    began = time.process_time()
    for _ in range(n):
        await asyncio.create_task(nothing())
    return (time.process_time() - began) * 1e6 / n


async def asyncio_at_once(n: int) -> float:
    began = time.process_time()
    await asyncio.gather(*[asyncio.create_task(nothing()) for _ in range(n)])
    return (time.process_time() - began) * 1e6 / n


async def trio_one_by_one(n: int) -> float:
    began = time.process_time()
    for _ in range(n):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(nothing)
    return (time.process_time() - began) * 1e6 / n


async def trio_at_once(n: int) -> float:
    began = time.process_time()
    async with trio.open_nursery() as nursery:
        for _ in range(n):
            nursery.start_soon(nothing)
    return (time.process_time() - began) * 1e6 / n


def gevent_one_by_one(n: int) -> float:
    import gevent

    began = time.process_time()
    for _ in range(n):
        gevent.spawn(int).join()
    return (time.process_time() - began) * 1e6 / n


def gevent_at_once(n: int) -> float:
    import gevent

    began = time.process_time()
    gevent.joinall([gevent.spawn(int) for _ in range(n)])
    return (time.process_time() - began) * 1e6 / n


def _row(
    title: str, n: int, ours: str, raw: str, in_loop: Any, in_trio: Any, in_gevent: Callable[[int], float]
) -> contest.Row:
    return contest.Row(
        title,
        "us",
        {
            "lua54": partial(in_runtime, "lua54", ours, n),
            "raw 54": partial(in_raw_lua, "lua54", raw, n),
            "luajit": partial(in_runtime, "luajit", ours, n),
            "raw jit": partial(in_raw_lua, "luajit", raw, n),
            "asyncio": partial(in_asyncio, in_loop, n),
            "uvloop": partial(in_uvloop, in_loop, n),
            "trio": partial(trio.run, in_trio, n),
            "gevent": partial(in_gevent, n),
        },
        aim_ratio=1.5,
    )


def rows(quick: bool) -> list[contest.Row]:
    n = 5_000 if quick else 200_000
    return [
        _row(
            "spawn + join: 200,000 one by one",
            n,
            OURS_ONE_BY_ONE,
            RAW_ONE_BY_ONE,
            asyncio_one_by_one,
            trio_one_by_one,
            gevent_one_by_one,
        ),
        _row(
            "spawn + join: 200,000 at once",
            n,
            OURS_AT_ONCE,
            RAW_AT_ONCE,
            asyncio_at_once,
            trio_at_once,
            gevent_at_once,
        ),
    ]


if __name__ == "__main__":
    contest.main("benchmarks.spawn")
