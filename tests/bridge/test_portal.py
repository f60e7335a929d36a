"""Waits in places where Lua itself cannot yield."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import trio
from conftest import Lua, Shell, opened

import scheduler

# Each place runs `wait` inside a C function of Lua and returns a value that proves it went through.
PLACES = {
    "sort": "local t = { 3, 1, 2 }"
    " table.sort(t, function(a, b) wait() return a < b end) return table.concat(t)",
    "gsub": "return (string.gsub('abc', '%a', function(c) wait() return c:upper() end))",
    "tostring": "return tostring(setmetatable({}, { __tostring = function() wait() return 'text' end }))",
    "format": "local thing = setmetatable({}, { __tostring = function() wait() return 'text' end })"
    " return string.format('%s', thing)",
    "load reader": "local parts = { 'return ', '5' } local i = 0"
    " return load(function() wait() i = i + 1 return parts[i] end)()",
    "nested": """
        local t = { 2, 1 }
        table.sort(t, function(a, b)
          local text = string.gsub("x", "x", function() wait() return "y" end)
          wait()
          return a < b
        end)
        return table.concat(t)
    """,
    "coroutine in sort": """
        local t = { 2, 1 }
        table.sort(t, function(a, b)
          coroutine.wrap(function() wait() coroutine.wrap(wait)() end)()
          return a < b
        end)
        return table.concat(t)
    """,
    "sort in coroutine": """
        return coroutine.wrap(function()
          local t = { 2, 1 }
          table.sort(t, function(a, b) wait() return a < b end)
          coroutine.yield(table.concat(t))
        end)()
    """,
    "pcall in sort": """
        local t = { 2, 1 }
        table.sort(t, function(a, b) pcall(function() wait() error("x") end) return a < b end)
        return table.concat(t)
    """,
    "require": """
        package.preload.waiting = function() wait() return "module" end
        return (require("waiting"))
    """,
}
RESULTS = {
    "sort": "123",
    "gsub": "ABC",
    "tostring": "text",
    "format": "text",
    "load reader": 5,
    "nested": "12",
    "coroutine in sort": "12",
    "sort in coroutine": "12",
    "pcall in sort": "12",
    "require": "module",
}
WAITS = {
    "sleep": "task.sleep(1)",
    "yield": "task.yield()",
    "event": "task.spawn(function() task.sleep(1) event.emit('e') end) event.wait('e')",
    "join": "task.spawn(task.sleep, 1):join()",
    "host": "host()",
    "scope": "task.scope(function(s) s:spawn(task.sleep, 1) end)",
    "timeout": "task.timeout(1, task.sleep, 5)",
    "coroutine.yield": "if not coroutine.isyieldable() then task.yield() end",
}


async def host() -> None:
    await trio.sleep(1)


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("place", PLACES)
async def test_f1_every_wait_works_in_every_place(lua: Lua, place: str, wait: str) -> None:
    code = f"""
        local others = 0
        task.spawn_with({{ background = true }}, function()
          while true do task.sleep(0.1) others = others + 1 end
        end)
        local function wait() {WAITS[wait]} end
        local function place() {PLACES[place]} end
        return place(), others
    """
    result, others = await lua(code, host={"host": host})
    assert result == RESULTS[place]
    if wait not in ("yield", "coroutine.yield"):
        assert others >= 9


async def test_a25_raw_yield_in_a_place_where_lua_cannot_is_luas_own_error(lua: Lua) -> None:
    """A raw yield is Lua's; only waits of ours go through the portal."""
    ok, error = await lua("return pcall(table.sort, { 2, 1 }, function() coroutine.yield() end)")
    assert not ok
    assert "attempt to yield across" in error


async def test_error_raised_after_a_wait_has_the_right_text(lua: Lua) -> None:
    assert await lua("""
        local ok, e = pcall(table.sort, { 2, 1 }, function() task.sleep(1) error("from inside") end)
        local value = {}
        local ok2, e2 = pcall(string.gsub, "a", "a", function() task.sleep(1) error(value) end)
        return { ok, e, ok2, e2 == value }
    """) == [False, "string:2: from inside", False, True]


async def test_tasks_parked_in_callbacks_are_resumed_in_any_order(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        local order = { 5, 1, 4, 2, 3 }
        task.map(order, function(seconds)
          local t = { 2, 1 }
          table.sort(t, function(a, b) task.sleep(seconds) collectgarbage() return a < b end)
          log[#log + 1] = seconds * 10 + t[1]
        end)
        return log
    """) == [11, 21, 31, 41, 51]


async def test_loops_are_used_again(engine: str) -> None:
    """300 parks one after the other need two loops, not 300."""
    async with opened(engine) as runtime:
        await runtime.run("""
            for _ = 1, 300 do table.sort({ 2, 1 }, function(a, b) task.yield() return a < b end) end
        """)
        loops = runtime._driver.loops._loops
        assert len(loops) <= 3
        assert runtime.statistics().portal_parks >= 300


async def test_a_finalizer_cannot_wait_and_says_so(lua: Lua) -> None:
    outcome = await lua("""
        local log = {}
        local finalizer = { __gc = function() log[1] = { pcall(task.sleep, 1) } end }
        if newproxy then
          local proxy = newproxy(true)
          getmetatable(proxy).__gc = finalizer.__gc
          proxy = nil
        else
          setmetatable({}, finalizer)
        end
        collectgarbage() collectgarbage()
        task.sleep(1)
        return log
    """)
    # On LuaJIT a finalizer is an ordinary C call boundary: it may wait there or be refused, never hang.
    if outcome[0][0] is False:
        assert "__gc" in outcome[0][1]


@pytest.mark.parametrize("place", ["sort", "gsub"])
async def test_without_the_portal_such_waits_raise_and_say_so(lua: Lua, place: str) -> None:
    ok, error, after = await lua(
        f"""
        local function wait() task.sleep(1) end
        local ok, e = pcall(function() {PLACES[place]} end)
        task.sleep(1)
        return ok, tostring(e), "goes on"
        """,
        portal=False,
    )
    assert (ok, after) == (False, "goes on")
    assert "cannot wait here: Lua does not allow a yield in this place" in error
    assert "the portal is not available: switched off" in error


async def test_without_the_portal_everything_else_works(lua: Lua) -> None:
    assert await lua(
        """
        local log = {}
        local function note(x) log[#log + 1] = x end
        local t = task.spawn(function() note(host and "called") host() return "joined" end)
        note(task.timeout(0.5, task.sleep, 5) == nil)
        note((t:join()))
        local generator = coroutine.wrap(function() for i = 1, 2 do task.sleep(1) coroutine.yield(i) end end)
        note(generator() + generator())
        local refused = pcall(table.sort, { 2, 1 }, function() host() return true end)
        note(refused)
        for _ = 1, 1000 do task.yield() end
        return log
        """,
        host={"host": host},
        portal=False,
    ) == ["called", True, "joined", 3, False]


async def test_call_sync_without_the_portal_still_lets_the_function_wait(lua: Lua) -> None:
    def apply(function: scheduler.LuaFunction) -> Any:
        return function.call_sync()

    assert (
        await lua("return apply(function() task.sleep(1) return 5 end)", host={"apply": apply}, portal=False)
        == 5
    )


async def test_runtime_that_ends_while_tasks_are_frozen_unwinds_them(engine_with_close: str) -> None:
    log: list[str] = []
    async with opened(engine_with_close) as runtime:
        runtime.register("note", log.append)
        for _ in range(20):
            runtime.spawn("""
                table.sort({ 2, 1 }, function(a, b)
                  local guard <close> = setmetatable({}, { __close = function()
                    task.shield(note, "unwound")
                  end })
                  task.sleep(100)
                  return a < b
                end)
            """)
        await trio.sleep(1)
        assert runtime.statistics().loops_frozen == 20
        runtime.cancel()
    assert log == ["unwound"] * 20


async def test_greenlets_are_gone_after_the_block(engine: str) -> None:
    def live() -> int:
        return sum(type(thing).__name__ == "greenlet" and bool(thing) for thing in gc.get_objects())

    gc.collect()
    before = live()
    async with opened(engine) as runtime:
        await runtime.run("""
            task.map({ 1, 2, 3 }, function(s)
              table.sort({ 2, 1 }, function(a, b) task.sleep(s) return a < b end)
            end)
        """)
        assert live() > before
    del runtime
    gc.collect()
    assert live() == before


STRESS = """
math.randomseed(7)
local sorted, cancelled, parked = 0, 0, {}
for i = 1, 300 do
  parked[i] = task.spawn(function()
    local t = {}
    for j = 1, 5 do t[j] = (i * j * 7919) % 101 end
    table.sort(t, function(a, b)
      task.sleep(math.random(1, 5) / 1000)
      string.gsub("x", "x", function() task.yield() end)
      return a < b
    end)
    for j = 2, 5 do assert(t[j - 1] <= t[j]) end
    sorted = sorted + 1
  end)
end
local canceller = task.spawn(function()
  for i = 3, 300, 3 do
    task.sleep(0.0005)
    if parked[i]:cancel() then cancelled = cancelled + 1 end
    if i % 30 == 0 then collectgarbage() end
  end
end)
for _, t in ipairs(parked) do pcall(t.join, t) end
canceller:join()
print(sorted + cancelled, cancelled > 0, #task.list())
"""


@pytest.mark.slow
def test_f5_hundreds_of_parked_callbacks_cancelled_at_random_do_not_crash(shell: Shell, engine: str) -> None:
    shell.write("stress.lua", STRESS)
    assert shell.run("--virtual-clock", "--engine", engine, "stress.lua") == (0, "300\ttrue\t1\n", "")
