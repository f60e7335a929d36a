"""What does a wait cost where Lua cannot yield?

Every task calls `string.gsub` with a callback that lets the others run; the callback runs once per
character, each time with a C frame on the stack that Lua cannot leave. gevent switches greenlets too and is
the measure; asyncio, trio and raw Lua cannot wait there at all. The last row is the same wait as an ordinary
yield, in the same loop.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial

from benchmarks import contest
from benchmarks.contenders import in_runtime

LETTERS = 100  # waits within one call of gsub

OURS = """
local n, calls, letters = ...
local gsub, yield = string.gsub, task.yield
local text = ("x"):rep(letters)
local function callback()
  yield()
end
local began = os.clock()
task.scope(function(scope)
  for _ = 1, n do
    scope:spawn(function()
      for _ = 1, calls do
        WAITS
      end
    end)
  end
end)
return (os.clock() - began) * 1e6 / (n * calls * letters)
"""
IN_GSUB = OURS.replace("WAITS", 'gsub(text, ".", callback)')
IN_LOOP = OURS.replace("WAITS", "for _ = 1, letters do callback() end")


def in_gevent(n: int, calls: int, letters: int) -> float:
    import gevent

    text = "x" * letters

    def callback(match: re.Match[str]) -> str:
        gevent.sleep(0)
        return "x"

    def body() -> None:
        for _ in range(calls):
            re.sub(".", callback, text)

    began = time.process_time()
    gevent.joinall([gevent.spawn(body) for _ in range(n)])
    return (time.process_time() - began) * 1e6 / (n * calls * letters)


def rows(quick: bool) -> list[contest.Row]:
    total = 2_000 if quick else 200_000
    found = []
    for n, who in ((1, "1 task"), (100, "100 tasks")):
        sizes = (n, max(total // LETTERS // n, 1), LETTERS)
        contenders: dict[str, Callable[[], float]] = {
            "lua54": partial(in_runtime, "lua54", IN_GSUB, *sizes),
            "luajit": partial(in_runtime, "luajit", IN_GSUB, *sizes),
            "gevent": partial(in_gevent, *sizes),
        }
        found.append(contest.Row(f"portal: wait in a gsub callback, {who}", "us", contenders))
        yields: dict[str, Callable[[], float]] = {
            engine: partial(in_runtime, engine, IN_LOOP, *sizes) for engine in ("lua54", "luajit")
        }
        found.append(contest.Row(f"  the same as an ordinary yield, {who}", "us", yields))
    return found


if __name__ == "__main__":
    contest.main("benchmarks.portal")
