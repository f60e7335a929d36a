"""What does it cost to give the processor to the next task?

n tasks yield k times each. The clock runs from the moment when every task has begun to the moment when
it has done its last yield: no spawn and no end is inside. The floor rows resume the same number of
coroutines in a plain loop that asks nothing about them.
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

BODY = """
local n, k = ...
local clock = os.clock
local starting, running = n, n
local began, elapsed
local function body()
  starting = starting - 1
  local first = 1
  while starting > 0 do
    YIELD -- whoever spawns may have been set aside
    first = 2 -- the last of these is inside
  end
  began = began or clock()
  for _ = first, k do
    YIELD
  end
  running = running - 1
  if running == 0 then
    elapsed = clock() - began
  end
  YIELD
end
"""

OURS = (
    "local yield = task.yield\n"
    + BODY.replace("YIELD", "yield()")
    + """
task.scope(function(scope)
  for _ = 1, n do
    scope:spawn(body)
  end
end)
return elapsed * 1e6 / (n * k)
"""
)

RAW = (
    BODY.replace("YIELD", "yield(true)")
    + """
for _ = 1, n do
  push(create(body))
end
run()
return elapsed * 1e6 / (n * k)
"""
)

FLOOR = """
local n, k = ...
local function body()
  while true do
    yield()
  end
end
local all = {}
for i = 1, n do
  all[i] = create(body)
  resume(all[i])
end
local began = os.clock()
for _ = 1, k do
  for i = 1, n do
    resume(all[i])
  end
end
return (os.clock() - began) * 1e6 / (n * k)
"""


class Course:
    """The clock of Python's contenders, as in BODY."""

    def __init__(self, n: int, k: int) -> None:
        self.n = n
        self.k = k
        self.starting = self.running = n
        self.began = self.elapsed = 0.0

    def start(self) -> None:
        """Note that a task has begun; the last one starts the clock."""
        self.starting -= 1
        if self.starting == 0:
            self.began = time.process_time()

    def finish(self) -> None:
        """Note that a task has done its yields; the last one stops the clock."""
        self.running -= 1
        if self.running == 0:
            self.elapsed = time.process_time() - self.began

    async def run(self, checkpoint: Callable[..., Any], *args: Any) -> None:
        """Be one of the tasks."""
        self.start()
        for _ in range(self.k):
            await checkpoint(*args)
        self.finish()
        await checkpoint(*args)

    @property
    def result(self) -> float:
        """Microseconds per switch."""
        return self.elapsed * 1e6 / (self.n * self.k)


async def asyncio_main(n: int, k: int) -> float:
    course = Course(n, k)
    async with asyncio.TaskGroup() as group:
        for _ in range(n):
            group.create_task(course.run(asyncio.sleep, 0))
    return course.result


async def trio_main(n: int, k: int) -> float:
    course = Course(n, k)
    async with trio.open_nursery() as nursery:
        for _ in range(n):
            nursery.start_soon(course.run, trio.lowlevel.checkpoint)
    return course.result


def in_gevent(n: int, k: int) -> float:
    import gevent

    course = Course(n, k)

    def body() -> None:
        course.start()
        for _ in range(k):
            gevent.sleep(0)
        course.finish()
        gevent.sleep(0)

    gevent.joinall([gevent.spawn(body) for _ in range(n)])
    return course.result


def rows(quick: bool) -> list[contest.Row]:
    found = []
    for n, k in ((1_000, 1_000), (100_000, 10), (10, 100_000)):
        title = f"{n:,} tasks x {k:,}"
        if quick:
            n, k = (n, k // 100) if n <= k else (n // 100, k)
        found.append(
            contest.Row(
                f"switch: {title}",
                "us",
                {
                    "lua54": partial(in_runtime, "lua54", OURS, n, k),
                    "raw 54": partial(in_raw_lua, "lua54", RAW, n, k),
                    "luajit": partial(in_runtime, "luajit", OURS, n, k),
                    "raw jit": partial(in_raw_lua, "luajit", RAW, n, k),
                    "asyncio": partial(in_asyncio, asyncio_main, n, k),
                    "uvloop": partial(in_uvloop, asyncio_main, n, k),
                    "trio": partial(trio.run, trio_main, n, k),
                    "gevent": partial(in_gevent, n, k),
                },
                aim_ratio=1.25,
            )
        )
        found.append(
            contest.Row(
                "  floor: bare resume + yield",
                "us",
                {
                    "raw 54": partial(in_raw_lua, "lua54", FLOOR, n, k),
                    "raw jit": partial(in_raw_lua, "luajit", FLOOR, n, k),
                },
            )
        )
    return found


if __name__ == "__main__":
    contest.main("benchmarks.switch")
