"""How each contender runs a program: us through the public API, raw Lua through lupa, Python's loops.

Belongs here: what the questions share. Every program measures itself with the CPU clock of the process
(`os.clock` in Lua, `time.process_time` in Python), so that imports and start-up stay outside.
"""

from __future__ import annotations

import asyncio
import importlib
import subprocess
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import trio

import scheduler

__all__ = ["RAW_SCHEDULER", "in_asyncio", "in_node", "in_raw_lua", "in_runtime", "in_uvloop", "raw_runtime"]

_RAW = {"lua54": "lupa.lua54", "luajit": "lupa.luajit21"}

# The least a scheduler can be: a round-robin queue of coroutines. One that yields true goes on in the
# next round, one that yields anything else or ends is dropped from the queue.
RAW_SCHEDULER = """
local create, resume, yield = coroutine.create, coroutine.resume, coroutine.yield
local queue, last = {}, 0

local function push(co)
  last = last + 1
  queue[last] = co
end

local function run()
  while last > 0 do
    local size, kept = last, 0
    for i = 1, size do
      local co = queue[i]
      local _, again = resume(co)
      if again then
        kept = kept + 1
        queue[kept] = co
      end
    end
    for i = size + 1, last do -- pushed during the round
      kept = kept + 1
      queue[kept] = queue[i]
    end
    for i = kept + 1, last do
      queue[i] = nil
    end
    last = kept
  end
end
"""


def in_runtime(
    engine: str, source: str, *args: Any, host: Mapping[str, Callable[..., Any]] | None = None
) -> Any:
    """Run Lua source as a script of ours; returns its value."""

    async def main() -> Any:
        async with scheduler.open_runtime(engine=engine) as runtime:
            for name, function in (host or {}).items():
                runtime.register(name, function)
            return await runtime.run(source, *args)

    return trio.run(main)


def raw_runtime(engine: str) -> Any:
    """Open the same engine without us."""
    return importlib.import_module(_RAW[engine]).LuaRuntime()


def in_raw_lua(engine: str, source: str, *args: Any) -> Any:
    """Run Lua source, which may use RAW_SCHEDULER's functions, without us; returns its value."""
    return raw_runtime(engine).execute(RAW_SCHEDULER + source, *args)


def in_node(source: str, n: int, k: int = 0) -> float:
    """Run JavaScript, the body of an asynchronous function of n and k, on node; us of CPU time per n."""
    program = f"""
    async function main(n, k) {{ {source} }}
    const began = process.cpuUsage()
    main({n}, {k}).then(() => {{
      const used = process.cpuUsage(began)
      console.log((used.user + used.system) / {n})
    }})
    """
    return float(subprocess.run(["node", "-e", program], stdout=subprocess.PIPE, check=True).stdout)


def in_asyncio(main: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
    """Run on asyncio's own loop."""
    return asyncio.run(main(*args))


def in_uvloop(main: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
    """Run on uvloop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main(*args))
