"""`task.pollable`: coroutines that a script drives by hand until their result is there."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from conftest import Lua, opened

import scheduler

# `drive(co, ...)` is the loop as scripts write it; returns how often it looked, then the result.
DRIVE = """
local log = {}
local function note(...) log[#log + 1] = { ... } end
local function drive(co, ...)
  local looks = 1
  local r, more = co(...)
  while r == task.POLL_PENDING do
    coroutine.yield()
    looks = looks + 1
    r, more = co()
  end
  return looks, r, more
end
local function slow(seconds, ...) sleep(seconds) return ... end
"""


async def run(lua: Lua, code: str, **options: Any) -> Any:
    return await lua(DRIVE + code + "\nreturn log", **options)


async def test_a9_a_hand_written_poller_ends_with_the_result(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local co = coroutine.wrap(task.pollable(slow))
        local looks, a, b = drive(co, 3, "first", "second")
        note(a, b, task.now())
        note(drive(coroutine.wrap(task.pollable(function() return 1 end))) <= 3)
        """,
    ) == [["first", "second", 3], [True]]


async def test_a10_it_is_woken_and_not_busy(lua: Lua) -> None:
    """The result of an hour costs about as many looks as that of a minute; the last one is at its time."""
    assert await run(
        lua,
        """
        local looks = drive(coroutine.wrap(task.pollable(slow)), 0.001)
        note(looks, task.now())
        looks = drive(coroutine.wrap(task.pollable(slow)), 60)
        note(looks < 100, task.now())
        looks = drive(coroutine.wrap(task.pollable(slow)), 3600)
        note(looks < 4000, task.now())
        """,
    ) == [[2, 0.001], [True, 60.001], [True, 3660.001]]


@pytest.mark.trio(run=trio.run)
async def test_a10_a_poller_uses_no_processor_while_it_waits(engine: str) -> None:
    async with opened(engine, measure=True) as runtime:
        turns = await runtime.run(DRIVE + "return (drive(coroutine.wrap(task.pollable(slow)), 0.2))")
        assert turns < 20


async def test_a11_the_function_may_call_the_host(lua: Lua) -> None:
    async def fetch(url: str) -> str:
        await trio.sleep(2)
        return f"<{url}>"

    assert await run(
        lua,
        """
        note(select(2, drive(coroutine.wrap(task.pollable(fetch)), "a")))
        """,
        host={"fetch": fetch},
    ) == [["<a>"]]


async def test_errors_inside_are_errors_of_that_call(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local reason = {}
        local ok, err = pcall(drive, coroutine.wrap(task.pollable(function() sleep(1) error(reason) end)))
        note(ok, err == reason, task.now())
        local co = coroutine.create(task.pollable(error))
        note(tostring(select(2, coroutine.resume(co, "at once", 0))))
        task.yield()
        note(coroutine.resume(co))
        note(coroutine.status(co))
        """,
    ) == [[False, True, 1], ["POLL_PENDING"], [False, "at once"], ["dead"]]


async def test_several_are_polled_in_turn_and_each_wakes_the_loop(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local left = {}
        for i, seconds in ipairs({ 3, 1, 2 }) do
          left[i] = { co = coroutine.wrap(task.pollable(slow)), seconds = seconds }
        end
        local n = 3
        while n > 0 do
          for _, each in ipairs(left) do
            local r = not each.done and each.co(each.seconds, "result " .. each.seconds)
            if r and r ~= task.POLL_PENDING then
              each.done, n = true, n - 1
              note(r, task.now())
            end
          end
          if n > 0 then coroutine.yield() end
        end
        """,
    ) == [["result 1", 1], ["result 2", 2], ["result 3", 3]]


async def test_inside_a_generator_of_the_scripts_own(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local outer = coroutine.wrap(function()
          local _, r = drive(coroutine.wrap(task.pollable(slow)), 2, "inner")
          return r
        end)
        local r = outer()
        while r == nil do coroutine.yield() r = outer() end
        note(r, task.now())
        """,
    ) == [["inner", 2]]


async def test_a_loop_without_yield_waits_all_the_same(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local co, looks = coroutine.wrap(task.pollable(slow)), 1
        local r = co(10, "v")
        while r == task.POLL_PENDING do r = co() looks = looks + 1 end
        note(r, task.now(), looks < 200)
        """,
    ) == [["v", 10, True]]


async def test_a_loop_that_sleeps_keeps_its_own_pace(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local cos, frames = {}, 0
        for i = 1, 50 do cos[i] = coroutine.wrap(task.pollable(slow)) cos[i](1) end
        local pending = 50
        while pending > 0 do
          frames = frames + 1
          sleep(0.125)
          for i = #cos, 1, -1 do
            if cos[i]() ~= task.POLL_PENDING then table.remove(cos, i) pending = pending - 1 end
          end
        end
        note(frames, task.now())
        """,
    ) == [[8, 1]]


async def test_a_loop_with_a_deadline_of_its_own_looks_at_the_clock(lua: Lua) -> None:
    assert await run(
        lua,
        """
        task.scope(function(scope)
          local co = coroutine.wrap(task.pollable(slow))
          local r = co(100)
          while r == task.POLL_PENDING and task.now() < 10 do coroutine.yield() r = co() end
          note(r == task.POLL_PENDING, task.now() < 11.1)
          scope:cancel()
        end)
        """,
    ) == [[True, True]]


async def test_a_loop_sees_what_other_tasks_have_done(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local stop = false
        task.spawn(function() sleep(4) stop = true end)
        task.scope(function(scope)
          local co = coroutine.wrap(task.pollable(slow))
          local r = co(100)
          while r == task.POLL_PENDING and not stop do coroutine.yield() r = co() end
          note(stop, task.now() < 5.1)
          scope:cancel()
        end)
        """,
    ) == [[True, True]]


async def test_a_yield_without_a_poll_is_a_cooperative_one(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local co = coroutine.wrap(task.pollable(slow))
        co(1)
        coroutine.yield()
        local before = task.now()
        for _ = 1, 10 do coroutine.yield() end
        note(task.now() == before)
        """,
    ) == [[True]]


async def test_called_in_a_task_it_just_waits(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local fetch = task.pollable(slow)
        note(fetch(2, "a", "b"))
        note(task.spawn(fetch, 1, "joined"):join())
        local sorted = coroutine.wrap(function()
          local t = { 2, 1 }
          table.sort(t, function(a, b) fetch(1) return a < b end)
          return t[1]
        end)()
        note(sorted)
        """,
    ) == [["a", "b"], ["joined"], [1]]


async def test_a_cancelled_poller_unwinds_and_so_does_what_it_polls(lua_with_close: Lua) -> None:
    assert await run(
        lua_with_close,
        """
        local function polite()
          local _ <close> = setmetatable({}, { __close = function() note("closed", task.now()) end })
          sleep(100)
        end
        note(task.timeout(2, function()
          pcall(drive, coroutine.wrap(task.pollable(polite)))
          note("not reached")
        end))
        note(#task.list())
        """,
    ) == [["closed", 2], {2: "timeout"}, [1]]


async def test_a_task_that_polls_may_be_cancelled_alone(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local co = coroutine.wrap(task.pollable(slow))
        local t = task.spawn(function() drive(co, 3, "v") note("not reached") end)
        sleep(1)
        local info = t:info()
        note(info.status, info.reason, info.detail)
        t:cancel()
        task.yield() task.yield()
        note(t:status(), select(2, drive(co)), task.now())
        """,
    ) == [["blocked", "resource", "what it polls: promise of task 3"], ["cancelled", "v", 3]]


async def test_a_failure_nobody_polls_for_any_more_is_not_lost(lua: Lua) -> None:
    with pytest.raises(scheduler.LuaError, match="unheard"):
        await run(
            lua,
            """
            local co = coroutine.wrap(task.pollable(function() sleep(1) error("unheard") end))
            co()
            sleep(5)
            """,
        )


async def test_poll_pending_is_one_value_and_cannot_be_changed(lua: Lua) -> None:
    assert await lua("""
        local p = task.POLL_PENDING
        return tostring(p), p == task.POLL_PENDING, (pcall(function() p.x = 1 end)), getmetatable(p)
    """) == ("POLL_PENDING", True, False, False)


async def test_pollable_refuses_what_cannot_be_called(lua: Lua) -> None:
    assert await lua("return pcall(function() task.pollable(5) end)") == (
        False,
        "string:1: bad argument #1 to 'pollable' (function expected, got number)",
    )
