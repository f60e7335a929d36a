"""Cancellation: level-triggered, cannot be swallowed, lets cleanup run."""

from __future__ import annotations

import pytest
from conftest import Lua

# A task that logs, is cancelled while it waits inside what the test inserts, and must not go on after it.
FRAME = """
    local log = {{}}
    local function note(x) log[#log + 1] = x end
    local t = task.spawn(function()
      {body}
      note("went on")
    end)
    task.sleep(1)
    t:cancel("why not")
    pcall(t.join, t)
    note(t:status())
    return log
"""


async def cancelled_inside(lua: Lua, body: str) -> list[str]:
    result: list[str] = await lua(FRAME.format(body=body))
    return result


async def test_e3_cancelled_task_ends_at_its_wait(lua: Lua) -> None:
    assert await cancelled_inside(lua, "task.sleep(100)") == ["cancelled"]


@pytest.mark.parametrize(
    "swallow",
    [
        "pcall(task.sleep, 100)",
        "pcall(pcall, task.sleep, 100)",
        "pcall(function() local ok = pcall(task.sleep, 100); note('after inner pcall') end)",
        "xpcall(task.sleep, function(e) note('handler'); return e end, 100)",
        "xpcall(task.sleep, function() error('from handler') end, 100)",
        "xpcall(task.sleep, print, 100)",
        "xpcall(task.sleep, tostring, 100)",
        "pcall(function() local ok, e = pcall(task.sleep, 100); error('other: ' .. tostring(e)) end)",
        "pcall(coroutine.wrap(function() task.sleep(100) end))",
        "coroutine.resume(coroutine.create(function() task.sleep(100) end))",
        "coroutine.wrap(function() coroutine.wrap(function() pcall(task.sleep, 100) end)() end)()",
        "coroutine.resume(coroutine.create(function() pcall(task.sleep, 100); note('after') end))",
        "pcall(table.sort, { 2, 1 }, function() task.sleep(100) end)",
        "pcall(table.sort, { 2, 1 }, function() pcall(task.sleep, 100); note('in sort') return true end)",
        "pcall(string.gsub, 'ab', '%a', function() task.sleep(100) end)",
        "pcall(tostring, setmetatable({}, { __tostring = function() task.sleep(100) return 'x' end }))",
        "while true do pcall(task.sleep, 100) end",
        "while true do pcall(event.wait, 'never') end",
        "pcall(task.scope, function() task.spawn(task.sleep, 100) end)",
        "pcall(task.all, { function() task.sleep(100) end })",
        "pcall(task.race, { function() task.sleep(100) end })",
        "pcall(task.timeout, 1000, task.sleep, 100)",
        "pcall(function() task.spawn(task.sleep, 100):join() end)",
        "select(2, pcall(error, select(2, pcall(task.sleep, 100))))",
    ],
)
async def test_cancellation_cannot_be_swallowed(lua: Lua, swallow: str) -> None:
    assert await cancelled_inside(lua, swallow) == ["cancelled"]


async def test_cancellation_is_raised_again_at_every_further_wait(lua_with_close: Lua) -> None:
    assert await cancelled_inside(
        lua_with_close,
        """
        local guard <close> = setmetatable({}, { __close = function(_, e)
          note("closing: " .. tostring(e))
          for name, wait in pairs({
            sleep = function() task.sleep(1) end,
          }) do
            local inner <close> = setmetatable({}, { __close = function() note("not after " .. name) end })
            wait()
            note("waited in " .. name)
          end
        end })
        task.sleep(100)
        """,
    ) == ["closing: cancelled", "not after sleep", "cancelled"]


@pytest.mark.parametrize(
    "wait",
    [
        "task.sleep(1)",
        "task.sleep(0)",
        "task.yield()",
        "event.wait('never')",
        "event.wait('never', 5)",
        "other:join()",
        "task.scope(function(s) s:spawn(task.sleep, 5) end)",
        "task.timeout(5, task.sleep, 1)",
        "task.all({ function() task.sleep(1) end })",
        "coroutine.wrap(function() task.sleep(1) end)()",
        "table.sort({ 2, 1 }, function(a, b) task.sleep(1) return a < b end)",
    ],
)
async def test_every_wait_after_the_cancellation_raises_it(lua_with_close: Lua, wait: str) -> None:
    assert await lua_with_close(f"""
        local log = {{}}
        local other = task.spawn(task.sleep, 50)
        local t = task.spawn(function()
          local guard <close> = setmetatable({{}}, {{ __close = function()
            log[#log + 1] = "cleanup"
            {wait}
            log[#log + 1] = "waited"
          end }})
          task.sleep(100)
        end)
        task.sleep(1)
        local began = task.now()
        t:cancel()
        pcall(t.join, t)
        return {{ log, t:status(), task.now() - began }}
    """) == [["cleanup"], "cancelled", 0]


async def test_close_variables_run_in_order_also_through_coroutines_and_sort(lua_with_close: Lua) -> None:
    assert await cancelled_inside(
        lua_with_close,
        """
        local function closer(name)
          return setmetatable({}, { __close = function() note(name) end })
        end
        local a <close> = closer("outer")
        local b <close> = closer("second")
        coroutine.wrap(function()
          local c <close> = closer("in coroutine")
          table.sort({ 2, 1 }, function(x, y)
            local d <close> = closer("in sort")
            task.sleep(100)
            return x < y
          end)
        end)()
        """,
    ) == ["in sort", "in coroutine", "second", "outer", "cancelled"]


async def test_task_cancelled_before_it_starts_never_runs(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        local t = task.spawn(function() log[#log + 1] = "ran" end)
        t:cancel()
        pcall(t.join, t)
        log[#log + 1] = t:status()
        return log
    """) == ["cancelled"]


async def test_task_spawned_into_a_cancelled_scope_never_runs(lua: Lua) -> None:
    assert await lua("""
        local log, t = {}, nil
        task.scope(function(scope)
          scope:cancel()
          t = scope:spawn(function() log[#log + 1] = "ran" end)
        end)
        log[#log + 1] = t:status()
        return log
    """) == ["cancelled"]


async def test_cancelling_oneself_is_seen_at_the_next_wait(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        local t = task.spawn(function()
          task.current():cancel()
          log[#log + 1] = "still running"
          task.yield()
          log[#log + 1] = "never"
        end)
        pcall(t.join, t)
        log[#log + 1] = t:status()
        return log
    """) == ["still running", "cancelled"]


async def test_task_that_ends_without_another_wait_is_done_although_cancelled(lua: Lua) -> None:
    assert await lua("""
        local t = task.spawn(function() task.current():cancel() return "value" end)
        return t:join(), t:status()
    """) == ("value", "done")


async def test_error_of_the_cleanup_is_not_lost(lua_with_close: Lua) -> None:
    assert await lua_with_close("""
        local t = task.spawn(function()
          local guard <close> = setmetatable({}, { __close = function() error("cleanup broke", 0) end })
          task.sleep(100)
        end)
        task.sleep(1)
        t:cancel()
        local ok, e = pcall(t.join, t)
        return { ok, e, t:status() }
    """) == [False, "cleanup broke", "failed"]


async def test_error_of_ones_own_after_swallowing_another_error_is_an_error(lua: Lua) -> None:
    """Only a cancellation passes pcall; an ordinary error in a task that is cancelled later stays one."""
    assert await lua("""
        local log = {}
        local t = task.spawn(function()
          log[#log + 1] = { pcall(error, "ordinary", 0) }
          task.sleep(100)
        end)
        task.sleep(1)
        t:cancel()
        pcall(t.join, t)
        log[#log + 1] = t:status()
        return log
    """) == [[False, "ordinary"], "cancelled"]


async def test_cancelled_error_of_a_joined_task_can_be_caught(lua: Lua) -> None:
    """Joining a cancelled task raises a plain error table: the joiner itself is not cancelled."""
    assert (
        await lua("""
        local target = task.spawn(task.sleep, 100)
        local t = task.spawn(function()
          local ok, e = pcall(target.join, target)
          task.sleep(1)
          return e.kind
        end)
        task.sleep(1)
        target:cancel()
        return t:join()
    """)
        == "cancelled"
    )


async def test_cancelling_a_task_cancels_the_scopes_it_has_open(lua: Lua) -> None:
    assert await lua("""
        local children = {}
        local t = task.spawn(function()
          task.scope(function(scope)
            children[1] = scope:spawn(task.sleep, 100)
            task.timeout(50, function()
              children[2] = task.spawn(task.sleep, 100)
              task.sleep(100)
            end)
          end)
        end)
        task.sleep(1)
        t:cancel()
        pcall(t.join, t)
        return { children[1]:status(), children[2]:status(), t:status() }
    """) == ["cancelled", "cancelled", "cancelled"]


async def test_cancelling_a_task_spares_siblings_it_has_spawned(lua: Lua) -> None:
    assert await lua("""
        local sibling
        local t = task.spawn(function()
          sibling = task.spawn(function() task.sleep(5) return "alive" end)
          task.sleep(100)
        end)
        task.sleep(1)
        t:cancel()
        return sibling:join(), t:status()
    """) == ("alive", "cancelled")


async def test_cancel_from_inside_cleanup_of_another_task(lua_with_close: Lua) -> None:
    assert await lua_with_close("""
        local log = {}
        local second = task.spawn(task.sleep, 100)
        local first = task.spawn(function()
          local guard <close> = setmetatable({}, { __close = function()
            log[#log + 1] = second:cancel()
          end })
          task.sleep(100)
        end)
        task.sleep(1)
        first:cancel()
        pcall(first.join, first)
        pcall(second.join, second)
        return { log, first:status(), second:status() }
    """) == [[True], "cancelled", "cancelled"]


async def test_join_wakes_when_the_joiner_is_cancelled_and_the_target_lives_on(lua: Lua) -> None:
    assert await lua("""
        local target = task.spawn(function() task.sleep(10) return "value" end)
        local joiner = task.spawn(target.join, target)
        task.sleep(1)
        joiner:cancel()
        pcall(joiner.join, joiner)
        return joiner:status(), target:join()
    """) == ("cancelled", "value")


async def test_reasons_reach_info_and_the_joiners_error(lua: Lua) -> None:
    assert (
        await lua("""
        local t = task.spawn_with({ name = "x" }, task.sleep, 100)
        task.sleep(1)
        t:cancel("user pressed stop")
        local ok, e = pcall(t.join, t)
        return e.message
    """)
        == "task 2 'x' was cancelled: user pressed stop"
    )


async def test_a_task_in_an_abandoned_coroutine_is_no_obstacle(lua: Lua) -> None:
    assert await cancelled_inside(
        lua,
        """
        local generator = coroutine.wrap(function()
          for i = 1, 3 do coroutine.yield(i) end
        end)
        note(generator())
        task.sleep(100)
        """,
    ) == [1, "cancelled"]


async def test_two_hundred_tasks_in_sort_callbacks_are_cancelled_together(lua: Lua) -> None:
    assert await lua("""
        local cancelled, began = 0, task.now()
        local v, why = task.timeout(1, function()
          for i = 1, 200 do
            task.spawn(function()
              table.sort({ 3, 1, 2 }, function(a, b) task.sleep(i) return a < b end)
            end)
          end
          task.sleep(0.5)
          for _, t in ipairs(task.list()) do
            if t:status() == "sleeping" then cancelled = cancelled + 1 end
          end
        end)
        return { why, cancelled, #task.list() }
    """) == ["timeout", 200, 1]
