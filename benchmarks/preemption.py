"""What does it cost that tasks can be preempted and limited, and does it keep its promises?

Programs that compute run in one task: armed with a slice that they do not reach, beside preemption switched
off or Lua without us (column raw 54); and with the usual slice, so that they are set aside again and again.
Metering: the switch and spawn questions with limits that nobody reaches, beside the same without. All of this
in processor time, the best of several runs in each process: 1 % is less than what a busy machine adds to one.

The promises: ten tasks that never wait and a heartbeat beside them, in real time; the most processor time
that one of the ten got, divided by the least; and how much longer than allowed a limited task runs that
resists, in processor time, the worst of several kills.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import trio

import scheduler
from benchmarks import contest, spawn, switch
from benchmarks.contenders import raw_runtime
from benchmarks.heartbeat import Heart

FIB = """
local n = ...
local function fib(n)
  if n < 2 then
    return n
  end
  return fib(n - 1) + fib(n - 2)
end
local began = os.clock()
fib(n)
return (os.clock() - began) * 1e3
"""

LOOP = """
local n = ...
local began, sum = os.clock(), 0
for i = 1, n do
  sum = sum + i % 3
end
return (os.clock() - began) * 1e3
"""

TREES = """
local depth = ...
local function grow(depth)
  if depth == 0 then
    return {}
  end
  return { grow(depth - 1), grow(depth - 1) }
end
local function count(tree)
  return tree[1] and 1 + count(tree[1]) + count(tree[2]) or 1
end
local began = os.clock()
for _ = 1, 10 do
  count(grow(depth))
end
return (os.clock() - began) * 1e3
"""

STRINGS = """
local n = ...
local began = os.clock()
for _ = 1, 10 do
  local parts = {}
  for i = 1, n do
    parts[i] = "item " .. i .. ("-"):rep(i % 10)
  end
  local text = table.concat(parts, ",")
  assert(#text:upper():gsub("ITEM", "x") > n)
end
return (os.clock() - began) * 1e3
"""

BUSY = """
local n, seconds = ...
local all = {}
for i = 1, n do
  all[i] = task.spawn_with({ background = true }, function()
    local x = 0
    while true do
      x = x + 1
    end
  end)
end
-- The first round counts apart: nobody knows yet that these tasks are busy.
local worst_ever, worst = 0, 0
local began = task.now()
local last = began
repeat
  task.sleep(0.01)
  local now = task.now()
  worst_ever = math.max(worst_ever, now - last)
  if last > began + seconds / 10 then
    worst = math.max(worst, now - last)
  end
  last = now
until now >= began + seconds
local least, most = math.huge, 0
for _, t in ipairs(all) do
  local run_time = t:info().run_time or 0
  least, most = math.min(least, run_time), math.max(most, run_time)
end
return worst * 1e3, worst_ever * 1e3, most / least
"""

# Each resists in another way; what is between the clocks is the whole of the limited call.
KILL = """
local runs = ...
local allowed = 0.02
local function spin()
  while true do
  end
end
local worst = 0
for _ = 1, runs do
  local began = os.clock()
  local value, err = task.limit({ cpu_s = allowed }, function()
    RESIST
  end)
  assert(value == nil and err.limit == "cpu")
  worst = math.max(worst, os.clock() - began - allowed)
end
return worst * 1e3
"""

RESISTANCES = {
    "a loop": "spin()",
    "a loop of pcalls": "while true do pcall(spin) end",
    "coroutines in coroutines": """
      local fn = spin
      for _ = 1, 20 do
        fn = coroutine.wrap(fn)
      end
      fn()""",
    "a comparator of table.sort": """
      while true do
        pcall(table.sort, { 3, 1, 2 }, spin)
      end""",
    "a <close> that loops": """
      local _ <close> = setmetatable({}, { __close = spin })
      spin()""",
}

NOBODY_REACHES = scheduler.Limits(cpu_s=1e6, memory_bytes=1e12, wall_s=1e6, tasks=10**9, host_calls=10**9)


def ours(source: str, *args: Any, **options: Any) -> Any:
    """Run Lua source in a runtime opened with `options`; returns its value."""

    async def main() -> Any:
        async with scheduler.open_runtime(**options) as runtime:
            return await runtime.run(source, *args)

    return trio.run(main)


def raw(source: str, *args: Any) -> Any:
    return raw_runtime("lua54").execute(source, *args)


def best(runs: int, measure: Callable[..., Any], *args: Any, **options: Any) -> float:
    return min(float(measure(*args, **options)) for _ in range(runs))


def beside_busy_tasks(which: int, seconds: float) -> float:
    found = ours(BUSY, 10, seconds, measure=True)
    return float(found[which])


def trio_beside_busy_tasks(seconds: float) -> float:
    async def main() -> float:
        async with scheduler.open_runtime() as runtime:
            for _ in range(10):
                runtime.spawn("while true do end")
            heart = Heart()
            ends = trio.current_time() + seconds
            while trio.current_time() < ends:
                await trio.sleep(0.01)
                heart.beat()
            runtime.cancel()
        return heart.worst_ms

    return trio.run(main)


def rows(quick: bool) -> list[contest.Row]:
    runs = 1 if quick else 5
    found: list[contest.Row] = []

    def row(
        title: str, unit: str, with_it: Callable[[], float], without: Callable[[], float], aim: float | None
    ) -> None:
        found.append(contest.Row(title, unit, {"lua54": with_it, "raw 54": without}, aim_ratio=aim))

    for title, source, size in (
        ("fib(30)", FIB, 20 if quick else 30),
        ("loop of 30 million", LOOP, 30_000 if quick else 30_000_000),
        ("binary trees", TREES, 6 if quick else 15),
        ("string building", STRINGS, 200 if quick else 40_000),
    ):
        unused = partial(best, runs, ours, source, size, slice_s=60.0)
        off = partial(best, runs, ours, source, size, slice_s=math.inf)
        row(f"preemption: {title}, nobody overruns", "ms", unused, off, 1.01)
        row("  beside Lua without us", "ms", unused, partial(best, runs, raw, source, size), 1.01)
        row("  set aside every 10 ms", "ms", partial(best, runs, ours, source, size), off, None)
        row(
            "  set aside every 10 ms, lua55",
            "ms",
            partial(best, runs, ours, source, size, engine="lua55"),
            partial(best, runs, ours, source, size, engine="lua55", slice_s=math.inf),
            None,
        )
    n, k = (1_000, 10) if quick else (1_000, 500)
    spawned = 1_000 if quick else 100_000
    for title, source, args in (
        ("switch, 1,000 tasks", switch.OURS, (n, k)),
        ("spawn + join, one by one", spawn.OURS_ONE_BY_ONE, (spawned,)),
        ("spawn + join, at once", spawn.OURS_AT_ONCE, (spawned,)),
    ):
        plain = partial(best, runs, ours, source, *args)
        row(
            f"preemption: {title}",
            "us",
            plain,
            partial(best, runs, ours, source, *args, slice_s=math.inf),
            1.01,
        )
        row("  metering", "us", partial(best, runs, ours, source, *args, limits=NOBODY_REACHES), plain, None)

    seconds = 0.2 if quick else 10.0
    promises: list[tuple[str, str, Callable[[], float], float]] = [
        ("busy tasks: worst gap, a Lua task of 10 ms", "ms", partial(beside_busy_tasks, 0, seconds), 50),
        ("  their first round too", "ms", partial(beside_busy_tasks, 1, seconds), 50),
        ("busy tasks: worst gap, a trio task of 10 ms", "ms", partial(trio_beside_busy_tasks, seconds), 50),
        ("busy tasks: most / least processor time", "", partial(beside_busy_tasks, 2, seconds), 1.2),
    ]
    for title, code in RESISTANCES.items():
        kill = partial(ours, KILL.replace("RESIST", code), 1 if quick else 20)
        promises.append((f"limit: beyond it, {title}", "ms", kill, 60))
    for title, unit, measure, aim_value in promises:
        found.append(contest.Row(title, unit, {"lua54": measure}, aim_value=aim_value))
    return found


if __name__ == "__main__":
    contest.main("benchmarks.preemption")
