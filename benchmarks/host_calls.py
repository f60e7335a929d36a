"""What does it cost when a task calls the host?

Three host functions of one argument and one result: a sync one, an async one that returns at once, an async
one with one checkpoint; each called from one task alone and from 100 tasks side by side. Beside us: raw is
Lua calling a Python function through lupa and nothing else; the peers await an equivalent coroutine, which
does not leave their task (they have no boundary to cross), and in the last row start a task for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio

from benchmarks import contest
from benchmarks.contenders import in_asyncio, in_runtime, in_uvloop, raw_runtime

OURS = """
local n, calls = ...
local host = host
local began = os.clock()
task.scope(function(scope)
  for _ = 1, n do
    scope:spawn(function()
      for i = 1, calls do
        host(i)
      end
    end)
  end
end)
return (os.clock() - began) * 1e6 / (n * calls)
"""

RAW = """
local host, calls = ...
local began = os.clock()
for i = 1, calls do
  host(i)
end
return (os.clock() - began) * 1e6 / calls
"""


def sync(number: int) -> int:
    return number


async def immediate(number: int) -> int:
    return number


async def trio_checkpoint(number: int) -> int:
    await trio.lowlevel.checkpoint()
    return number


async def asyncio_checkpoint(number: int) -> int:
    await asyncio.sleep(0)
    return number


async def trio_task(number: int) -> int:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio_checkpoint, number)
    return number


async def asyncio_task(number: int) -> int:
    return await asyncio.create_task(asyncio_checkpoint(number))


Call = Callable[[int], Awaitable[int]]


async def caller(call: Call, calls: int) -> None:
    for i in range(calls):
        await call(i)


async def asyncio_main(n: int, calls: int, call: Call) -> float:
    began = time.process_time()
    await asyncio.gather(*[caller(call, calls) for _ in range(n)])
    return (time.process_time() - began) * 1e6 / (n * calls)


async def trio_main(n: int, calls: int, call: Call) -> float:
    began = time.process_time()
    async with trio.open_nursery() as nursery:
        for _ in range(n):
            nursery.start_soon(caller, call, calls)
    return (time.process_time() - began) * 1e6 / (n * calls)


def rows(quick: bool) -> list[contest.Row]:
    total = 2_000 if quick else 100_000
    found = []

    def add(what: str, host: Callable[..., Any], loop_call: Call | None, trio_call: Call | None) -> None:
        for n, who in ((1, "1 task"), (100, "100 tasks")):
            calls = total // n
            contenders: dict[str, Callable[[], float]] = {}
            for engine, raw in (("lua54", "raw 54"), ("luajit", "raw jit")):
                contenders[engine] = partial(in_runtime, engine, OURS, n, calls, host={"host": host})
                if host is sync and n == 1:
                    contenders[raw] = partial(_in_raw_lua, engine, calls)
            if loop_call is not None:
                contenders["asyncio"] = partial(in_asyncio, asyncio_main, n, calls, loop_call)
                contenders["uvloop"] = partial(in_uvloop, asyncio_main, n, calls, loop_call)
            if trio_call is not None:
                contenders["trio"] = partial(trio.run, trio_main, n, calls, trio_call)
            aim = None if host is sync else 6
            found.append(contest.Row(f"host call: {what}, {who}", "us", contenders, aim_value=aim))

    add("sync", sync, None, None)
    add("async, immediate", immediate, immediate, immediate)
    add("async, one checkpoint", trio_checkpoint, asyncio_checkpoint, trio_checkpoint)
    for n, who in ((1, "1 task"), (100, "100 tasks")):
        calls = total // n
        found.append(
            contest.Row(
                f"  the same in a task of its own, {who}",
                "us",
                {
                    "asyncio": partial(in_asyncio, asyncio_main, n, calls, asyncio_task),
                    "uvloop": partial(in_uvloop, asyncio_main, n, calls, asyncio_task),
                    "trio": partial(trio.run, trio_main, n, calls, trio_task),
                },
            )
        )
    return found


def _in_raw_lua(engine: str, calls: int) -> float:
    result: float = raw_runtime(engine).execute(RAW, sync, calls)
    return result


if __name__ == "__main__":
    contest.main("benchmarks.host_calls")
