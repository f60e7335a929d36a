"""What does a Lua state in a process of its own cost?

An isolated runtime (column lua54) beside an ordinary one (raw 54), in real time, because two processes share
the work: opening and closing a runtime, starting a script and joining it, a host call, a large value. Also
the resident memory of the child.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import trio

import scheduler
from benchmarks import contest
from scheduler.isolate.opening import open_isolated

Opener = Callable[[], AbstractAsyncContextManager[scheduler.Runtime]]
Measure = Callable[[Opener, int], Awaitable[float]]

CALLS = "local n = ... for i = 1, n do host(i) end"
SIDE_BY_SIDE = """
local n = ...
task.scope(function(scope)
  for _ = 1, 100 do
    scope:spawn(function()
      for i = 1, n / 100 do
        host(i)
      end
    end)
  end
end)
"""


def plain(number: int) -> int:
    return number


async def immediate(number: int) -> int:
    return number


async def opening(opener: Opener, _n: int) -> float:
    began = time.perf_counter()
    async with opener():
        ready = time.perf_counter()
    return (ready - began) * 1e3


async def opening_and_closing(opener: Opener, _n: int) -> float:
    began = time.perf_counter()
    async with opener():
        pass
    return (time.perf_counter() - began) * 1e3


async def scripts(opener: Opener, n: int) -> float:
    async with opener() as runtime:
        began = time.perf_counter()
        for _ in range(n):
            await runtime.run("return 1")
        return (time.perf_counter() - began) * 1e6 / n


def calling(host: Callable[[int], object], script: str) -> Measure:
    async def measure(opener: Opener, n: int) -> float:
        async with opener() as runtime:
            runtime.register("host", host)
            began = time.perf_counter()
            await runtime.run(script, n)
            return (time.perf_counter() - began) * 1e6 / n

    return measure


async def megabyte(opener: Opener, _n: int) -> float:
    text = "x" * 2**20
    async with opener() as runtime:
        await runtime.run("return ...", text)
        began = time.perf_counter()
        await runtime.run("return ...", text)
        return (time.perf_counter() - began) * 1e3


async def child_memory() -> float:
    async with open_isolated() as runtime:
        pid = runtime._driver.pid  # type: ignore[attr-defined]
        status = await trio.Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


QUESTIONS: tuple[tuple[str, str, Measure], ...] = (
    ("open", "ms", opening),
    ("open and close", "ms", opening_and_closing),
    ("run 'return 1'", "us", scripts),
    ("host call, def, 1 task", "us", calling(plain, CALLS)),
    ("host call, async def, 1 task", "us", calling(immediate, CALLS)),
    ("host call, async def, 100 tasks", "us", calling(immediate, SIDE_BY_SIDE)),
    ("1 MiB string there and back", "ms", megabyte),
)


def rows(quick: bool) -> list[contest.Row]:
    n = 200 if quick else 5000
    found = [
        contest.Row(
            f"isolate: {title}, real time",
            unit,
            {
                "lua54": partial(trio.run, measure, open_isolated, n),
                "raw 54": partial(trio.run, measure, scheduler.open_runtime, n),
            },
        )
        for title, unit, measure in QUESTIONS
    ]
    if Path("/proc/self/status").exists():
        found.append(
            contest.Row("isolate: memory of the child", "MiB", {"lua54": partial(trio.run, child_memory)})
        )
    return found


if __name__ == "__main__":
    contest.main("benchmarks.isolate")
