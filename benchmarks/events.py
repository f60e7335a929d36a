"""What does an event cost for each task it wakes?

n tasks wait for one event, which is fired until each has been woken k times; before each firing all that were
woken wait again. The clock runs from the first firing until the last task has received the last one.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

import trio

from benchmarks import contest
from benchmarks.contenders import in_asyncio, in_raw_lua, in_runtime, in_uvloop

# The wake-ups are counted by who fires. Of a counter that all tasks increase, an increase is lost when a task
# is preempted between reading and writing it, and a program that waits for the full number never ends.
OURS = """
local n, k = ...
local wait, emit, yield = event.wait, event.emit, task.yield
local function body()
  for _ = 1, k do
    wait("go")
  end
end
for _ = 1, n do
  task.spawn(body)
end
local woken = 0
local began
repeat
  yield()
  began = began or os.clock()
  woken = woken + emit("go")
until woken == n * k
yield()
return (os.clock() - began) * 1e6 / (n * k)
"""

RAW = """
local n, k = ...
local waiters = {}
local function body(me)
  for _ = 1, k do
    waiters[#waiters + 1] = me
    yield()
  end
end
for _ = 1, n do
  local me
  me = create(function()
    body(me)
  end)
  push(me)
end
local elapsed
push(create(function()
  local woken = 0
  local began
  repeat
    yield(true)
    began = began or os.clock()
    local woken_now = waiters
    waiters = {}
    woken = woken + #woken_now
    for i = 1, #woken_now do
      push(woken_now[i])
    end
  until woken == n * k
  yield(true)
  elapsed = os.clock() - began
end))
run()
return elapsed * 1e6 / (n * k)
"""


class Counters:
    """What Python's contenders count."""

    def __init__(self) -> None:
        self.waiting = self.received = 0
        self.began = 0.0


async def asyncio_main(n: int, k: int) -> float:
    counters = Counters()
    go = asyncio.Event()

    async def body() -> None:
        for _ in range(k):
            counters.waiting += 1
            await go.wait()
            counters.received += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(n):
            group.create_task(body())
        for round_ in range(1, k + 1):
            while counters.waiting < n * round_:  # noqa: ASYNC110 - the loop is what the others do
                await asyncio.sleep(0)
            counters.began = counters.began or time.process_time()
            go.set()
            go.clear()
        while counters.received < n * k:  # noqa: ASYNC110
            await asyncio.sleep(0)
        return (time.process_time() - counters.began) * 1e6 / (n * k)


async def trio_main(n: int, k: int) -> float:
    counters = Counters()
    # trio's events fire once: a fresh one for each round.
    events = [trio.Event() for _ in range(k)]

    async def body() -> None:
        for go in events:
            counters.waiting += 1
            await go.wait()
            counters.received += 1

    async with trio.open_nursery() as nursery:
        for _ in range(n):
            nursery.start_soon(body)
        for round_, go in enumerate(events, 1):
            while counters.waiting < n * round_:
                await trio.lowlevel.checkpoint()
            counters.began = counters.began or time.process_time()
            go.set()
        while counters.received < n * k:
            await trio.lowlevel.checkpoint()
        return (time.process_time() - counters.began) * 1e6 / (n * k)


def in_gevent(n: int, k: int) -> float:
    import gevent
    import gevent.event

    counters = Counters()
    events = [gevent.event.Event() for _ in range(k)]

    def body() -> None:
        for go in events:
            counters.waiting += 1
            go.wait()
            counters.received += 1

    tasks = [gevent.spawn(body) for _ in range(n)]
    for round_, go in enumerate(events, 1):
        while counters.waiting < n * round_:
            gevent.sleep(0)
        counters.began = counters.began or time.process_time()
        go.set()
    while counters.received < n * k:
        gevent.sleep(0)
    elapsed = time.process_time() - counters.began
    gevent.joinall(tasks)
    return elapsed * 1e6 / (n * k)


def rows(quick: bool) -> list[contest.Row]:
    n, k = (500, 4) if quick else (10_000, 20)
    return [
        contest.Row(
            "event: 10,000 waiters fired 20 times, a wake-up",
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
            aim_ratio=1.4,
        )
    ]


if __name__ == "__main__":
    contest.main("benchmarks.events")
