"""A million tasks in waves; the memory they took must come back: `soak.py ENGINE [WAVES [TASKS_A_WAVE]]`.

By hand: `soak.py lua54` is 100 waves of 10,000. tests/test_soak.py runs a small one. Ends with an error when
the process after the last wave is more than 1.1 times as large as after the tenth.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Any

import trio

import scheduler
from scheduler.clock import virtual_clock

# The tenth wave: by then every pool, queue and cache has grown to what a wave needs.
BASE_WAVE = 10
GROWTH = 1.1
# Lua's own heap is 5.3 to 7.0 MB after a wave, as chance has left the queues and the spare coroutines.
LUA_GROWTH = 1.5

# One of each way to end, to wait and to be ended; `...` is the number of the wave and how many tasks.
WAVE = """
local wave, count = ...
local ended = {} -- not a counter: between reading and writing it another task may run
local kinds = {
  function() end,
  function() task.yield() end,
  function(i) sleep(i % 7 / 10) end,
  function(i) assert(later(i) == i) end,
  function() return pcall(error, { "an error", wave }) end,
  function() return task.timeout(0.1, event.wait, "never " .. wave) end,
  function() return coroutine.wrap(function() coroutine.yield(sleep(0.1)) end)() end,
  function() task.scope(function(s) s:spawn(sleep, 0.1) s:spawn(function() end) end) end,
  function() task.local_storage().wave = wave event.wait("wave " .. wave, 5) end,
  function() task.limit({ cpu_s = 10, memory_bytes = 1e9 }, sleep, 0.1) end,
  function() local t = task.spawn(sleep, 100) t:cancel("enough") pcall(t.join, t) end,
  function() pcall(task.scope, function(s) s:spawn(error, "failed") end) end,
}
task.scope(function(s)
  for i = 1, count do
    s:spawn_with({ name = "task " .. i }, function()
      kinds[i % #kinds + 1](i)
      ended[i] = true
    end)
  end
  for i = 1, count // 500 do
    s:spawn(table.sort, { 2, 1 }, function(a, b) sleep(0.2) return a < b end)
  end
  sleep(2)
  event.emit("wave " .. wave)
end)
local number = #ended
ended = nil
collectgarbage() collectgarbage()
return number
"""


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def soak(engine: str, waves: int, tasks: int) -> list[tuple[int, int]]:
    """Run the waves; returns Lua's heap and the process's memory after each, in bytes."""

    async def later(value: Any) -> Any:
        await trio.sleep(0.05)
        return value

    sizes = []
    async with scheduler.open_runtime(engine=engine) as runtime:
        runtime.register("later", later)
        for wave in range(1, waves + 1):
            assert await runtime.run(WAVE, wave, tasks) == tasks
            gc.collect()
            statistics = runtime.statistics()
            assert statistics.tasks_alive == 0, statistics
            assert statistics.loops_frozen == 0, statistics
            sizes.append((statistics.lua_bytes, resident()))
        print("tasks", runtime.statistics().tasks_spawned)
    return sizes


def main(engine: str, waves: str = "100", tasks: str = "10000") -> None:
    """Print the sizes after the tenth and the last wave."""
    sizes = trio.run(soak, engine, int(waves), int(tasks), clock=virtual_clock())
    allowed = {"lua": LUA_GROWTH, "process": GROWTH}
    for (name, growth), series in zip(allowed.items(), zip(*sizes, strict=True), strict=True):
        base, last = series[BASE_WAVE - 1], series[-1]
        print(f"{name}: {base / 1e6:.2f} MB, then {last / 1e6:.2f} MB, {last / base:.3f} times")
        assert last <= base * growth, name


if __name__ == "__main__":
    main(*sys.argv[1:])
