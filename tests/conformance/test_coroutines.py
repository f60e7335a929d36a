"""A script's own coroutines keep their Lua meaning, and cancellation passes through all of them."""

from __future__ import annotations

import pytest
from conftest import Lua, lua_on

NOT_SUSPENDED = "cannot resume non-suspended coroutine"


async def test_generators_sleep_between_their_yields(lua: Lua) -> None:
    assert await lua(
        """
        local log = {}
        local function note(x) log[#log + 1] = x end
        local start = task.now()
        local function run(name, pause)
          for i in coroutine.wrap(function()
            for i = 1, 3 do
              task.sleep(pause)
              coroutine.yield(i)
            end
          end) do
            note(name .. i .. " " .. string.format("%d", task.now() - start))
          end
        end
        task.all({ function() run("a", 2) end, function() run("b", 3) end })
        return log
        """
    ) == ["a1 2", "b1 3", "a2 4", "b2 6", "a3 6", "b3 9"]


async def test_a_sleep_below_a_hundred_coroutines_parks_the_task_alone(lua: Lua) -> None:
    assert await lua(
        """
        local log = {}
        local function note(x) log[#log + 1] = x end
        local function nest(depth)
          if depth == 0 then
            task.sleep(5)
            return "deep"
          end
          if depth % 2 == 0 then
            return (coroutine.wrap(nest)(depth - 1))
          end
          local co = coroutine.create(nest)
          local ok, value = coroutine.resume(co, depth - 1)
          log.dead = log.dead ~= false and coroutine.status(co) == "dead"
          return value
        end
        task.all({
          function() note(nest(100)) end,
          function() task.sleep(1) note("other") end,
        })
        return { log[1], log[2], log.dead }
        """
    ) == ["other", "deep", True]


async def test_yields_and_waits_mix_in_every_frame(lua: Lua) -> None:
    """Values pass both ways, nil and nothing included, whatever waits between."""
    assert await lua(
        """
        local function count(...) return select("#", ...) end
        local co = coroutine.create(function(...)
          task.sleep(1)
          local n = count(...)
          local m = count(pcall(function()
            task.yield()
            return coroutine.yield(n, nil)
          end))
          table.sort({ 2, 1 }, function(a, b) task.sleep(1) return a < b end)
          local k = count(coroutine.yield())
          task.sleep(1)
          return m, k, nil
        end)
        return {
          count(coroutine.resume(co, nil, nil)),
          count(coroutine.resume(co, nil, nil, nil)),
          count(coroutine.resume(co)),
          coroutine.status(co),
          select(2, coroutine.resume(co)),
        }
        """
    ) == [3, 1, 4, "dead", "cannot resume dead coroutine"]


async def test_another_task_cannot_touch_a_coroutine_that_waits(lua: Lua) -> None:
    assert await lua(
        """
        local log = {}
        local function note(ok, err) log[#log + 1] = tostring(ok) .. " " .. tostring(err) end
        local co
        local wrapped = coroutine.wrap(function() task.sleep(10) end)
        task.spawn(function()
          co = coroutine.create(function() task.sleep(10) return "own result" end)
          note(coroutine.resume(co))
        end)
        task.spawn(wrapped)
        task.sleep(1)
        note(coroutine.resume(co))
        note(pcall(wrapped))
        note(coroutine.status(co), "")
        if coroutine.close then
          note(pcall(coroutine.close, co))
        else
          note(false, "cannot close a normal coroutine")
        end
        task.sleep(20)
        note(coroutine.status(co), "")
        return log
        """
    ) == [
        f"false {NOT_SUSPENDED}",
        f"false {NOT_SUSPENDED}",
        "normal ",
        "false cannot close a normal coroutine",
        "true own result",
        "dead ",
    ]


async def test_a_generator_goes_from_task_to_task(lua: Lua) -> None:
    """Its waits park whoever resumes it."""
    assert await lua(
        """
        local log = {}
        local function note(x) log[#log + 1] = x end
        local generator = coroutine.wrap(function()
          for i = 1, 3 do
            task.sleep(i)
            coroutine.yield(task.current().name .. i)
          end
        end)
        for _, name in ipairs({ "x", "y", "z" }) do
          task.spawn_with({ name = name }, function() note(generator()) end):join()
        end
        return log
        """
    ) == ["x1", "y2", "z3"]


@pytest.mark.parametrize("state", ["not started", "sleeping", "running", "ready"])
async def test_threads_of_tasks_cannot_be_resumed_or_closed(engine: str, state: str) -> None:
    """Neither by the task itself, from a nested coroutine, nor by another task."""
    result = await lua_on(engine)(
        """
        local state = ...
        local log = {}
        local function note(x) log[#log + 1] = x end
        local thread
        local function try()
          local before = coroutine.status(thread)
          note(tostring(select(2, coroutine.resume(thread))))
          if coroutine.close then
            note(tostring(select(2, pcall(coroutine.close, thread))))
          end
          assert(coroutine.status(thread) == before and before ~= "dead" and before ~= "suspended")
        end
        local function body()
          thread = coroutine.running()
          if state == "running" then
            coroutine.wrap(try)()
          elseif state == "sleeping" then
            task.sleep(10)
          elseif state == "ready" then
            task.yield()
            task.yield()
          end
          return "unharmed"
        end
        local t = task.spawn(body)
        if state ~= "running" then
          if state == "not started" then
            thread = t.co -- no documented field, but a script can find it
          else
            task.yield()
          end
          try()
        end
        note(t:join())
        return log
        """,
        state,
    )
    # LuaJIT says it in its own words when Lua itself refuses.
    own_words = engine == "luajit" and state == "running"
    assert result[0] == ("cannot resume running coroutine" if own_words else NOT_SUSPENDED)
    assert result[-1] == "unharmed"
    assert result[1:-1] in ([], ["cannot close a normal coroutine"])


async def test_lua55_close_without_argument_ends_own_coroutines_but_no_task() -> None:
    assert await lua_on("lua55")(
        """
        local log = {}
        local function note(x) log[#log + 1] = x end
        local co = coroutine.create(function()
          local c <close> = setmetatable({}, { __close = function() task.sleep(1) note("closed") end })
          coroutine.close()
          note("went on")
        end)
        note(coroutine.resume(co))
        note(coroutine.status(co))
        note(select(2, pcall(coroutine.close)))
        note(select(2, pcall(coroutine.close, coroutine.running())))
        return log
        """
    ) == ["closed", True, "dead", "cannot close main thread", "cannot close main thread"]


async def test_raw_yield_at_task_level_is_a_turn(lua: Lua) -> None:
    assert await lua(
        """
        local log = {}
        local function note(x) log[#log + 1] = x end
        local function run(name)
          for i = 1, 2 do
            note(name .. i)
            note(select("#", coroutine.yield("rubbish", {}, nil)))
          end
        end
        task.all({ function() run("a") end, function() run("b") end })
        return log
        """
    ) == ["a1", "b1", 0, "a2", 0, "b2", 0, 0]


async def test_errors_keep_text_and_position_through_waits(lua: Lua) -> None:
    result = await lua(
        """
        local function fail() task.sleep(1) error("broken") end
        local inner = coroutine.wrap(fail)
        local function outer() local x = inner() return x end
        local ok, err = pcall(outer)
        local co = coroutine.create(fail)
        local ok2, err2 = coroutine.resume(co)
        local marker = {}
        local _, same = pcall(coroutine.wrap(function() task.yield() error(marker) end))
        return { err, err2, coroutine.status(co), same == marker, (debug.traceback(co)) }
        """
    )
    error, resumed, status, same, trace = result
    # As Lua's wrap does: where it was raised, behind where the wrapped coroutine was called.
    assert error == "string:4: string:2: broken"
    assert resumed == "string:2: broken"
    assert (status, same) == ("dead", True)
    assert "string:2: in" in trace


async def test_xpcall_with_debug_traceback_begins_where_the_error_was(lua: Lua) -> None:
    text = await lua(
        """
        local function f() task.sleep(1) local x = nil + 1 end
        return select(2, xpcall(f, debug.traceback))
        """
    )
    first, second, third = text.split("\n")[:3]
    assert first.startswith("string:2: attempt to perform arithmetic on a nil value")
    assert second == "stack traceback:"
    assert third.startswith("\tstring:2: in")


async def test_closing_a_suspended_generator_may_wait(lua_with_close: Lua) -> None:
    assert await lua_with_close(
        """
        local log = {}
        local function note(x) log[#log + 1] = x end
        local co = coroutine.create(function()
          local c <close> = setmetatable({}, { __close = function()
            task.sleep(3)
            note("closed")
          end })
          coroutine.yield("suspended")
        end)
        coroutine.resume(co)
        task.spawn(function() task.sleep(1) note("meanwhile") end)
        note(coroutine.close(co))
        note(coroutine.status(co))
        return log
        """
    ) == ["meanwhile", "closed", True, "dead"]


# -- cancellation --------------------------------------------------------------------------------

# Cancel a task that waits in `body`; nothing behind the wait may run.
CANCELLED = """
    local log = {{}}
    local function note(x) log[#log + 1] = tostring(x) end
    local function closer(name, extra)
      return setmetatable({{}}, {{ __close = function(_, err)
        note(name)
        if extra then extra() end
      end }})
    end
    local t = task.spawn(function() {body} note("went on") end)
    task.sleep(1)
    t:cancel()
    pcall(t.join, t)
    note(t:status())
    return log
"""


async def cancel(lua: Lua, body: str) -> list[str]:
    result: list[str] = await lua(CANCELLED.format(body=body))
    return result


@pytest.mark.parametrize(
    "body",
    [
        "local co = coroutine.create(function() task.sleep(9) end) note(coroutine.resume(co))",
        "for i in coroutine.wrap(function() pcall(task.sleep, 9) coroutine.yield(1) end) do note(i) end",
        "pcall(coroutine.wrap(function() coroutine.wrap(function() task.sleep(9) end)() end))",
        "xpcall(coroutine.wrap(function() task.sleep(9) end), function(e) note('handler') end)",
        "xpcall(coroutine.wrap(function() task.sleep(9) end), debug.traceback)",
        "xpcall(coroutine.wrap(function() task.sleep(9) end), error)",
        "assert(load(function() task.sleep(9) return 'x' end))",
        "load(function() task.sleep(9) end) task.yield()",
        "while true do pcall(coroutine.yield) pcall(task.yield) pcall(task.sleep, 0.1) end",
        "pcall(string.gsub, 'ab', '.', coroutine.wrap(function() task.sleep(9) end))",
    ],
)
async def test_no_coroutine_or_protected_call_swallows_a_cancellation(lua: Lua, body: str) -> None:
    assert await cancel(lua, body) == ["cancelled"]


@pytest.mark.parametrize("call", ["coroutine.wrap(f)()", "coroutine.resume(coroutine.create(f))", "pcall(f)"])
async def test_close_variables_run_although_they_replace_the_error(lua_with_close: Lua, call: str) -> None:
    body = f"""
        local outer <close> = closer("outer")
        local function f()
          local a <close> = closer("inner", function() error("replaced") end)
          local b <close> = closer("innermost")
          task.sleep(9)
        end
        {call}
    """
    assert await cancel(lua_with_close, body) == ["innermost", "inner", "outer", "cancelled"]


@pytest.mark.parametrize(
    "close",
    [
        "coroutine.wrap(body)('fail')",
        "local co = coroutine.create(body) coroutine.resume(co) coroutine.close(co)",
    ],
)
async def test_a_cancellation_while_a_coroutine_is_being_closed_goes_on(
    lua_with_close: Lua, close: str
) -> None:
    body = f"""
        local function body(fail)
          local a <close> = closer("last", function() error("replaced") end)
          local b <close> = closer("first", function() task.sleep(9) note("went on") end)
          if fail then error("ordinary") end
          coroutine.yield()
        end
        {close}
    """
    assert await cancel(lua_with_close, body) == ["first", "last", "cancelled"]


async def test_cleanup_of_a_cancelled_task_catches_its_own_errors(lua_with_close: Lua) -> None:
    """Only a cancellation passes a protected call; errors made by cleanup are ordinary ones."""
    body = """
        local c <close> = closer("cleanup", function()
          note(select(2, pcall(error, "caught", 0)))
          note(select(2, coroutine.resume(coroutine.create(function() error("in coroutine", 0) end))))
          note(select(2, xpcall(error, function(e) return "handled " .. e end, "error", 0)))
          for i in coroutine.wrap(function() coroutine.yield("generator") end) do note(i) end
        end)
        task.sleep(9)
    """
    assert await cancel(lua_with_close, body) == [
        "cleanup",
        "caught",
        "in coroutine",
        "handled error",
        "generator",
        "cancelled",
    ]


async def test_a_cancelled_wait_kills_its_coroutine_and_spares_suspended_ones(lua: Lua) -> None:
    assert await lua(
        """
        local log = {}
        local inside = coroutine.create(function() task.sleep(9) end)
        local beside = coroutine.create(function() coroutine.yield(1) return "still usable" end)
        local t = task.spawn(function()
          coroutine.resume(beside)
          coroutine.resume(inside)
        end)
        task.sleep(1)
        t:cancel()
        pcall(t.join, t)
        return { coroutine.status(inside), coroutine.status(beside), select(2, coroutine.resume(beside)) }
        """
    ) == ["dead", "suspended", "still usable"]


async def test_a_timeout_inside_a_generator_ends_only_what_it_guards(lua: Lua) -> None:
    assert await lua(
        """
        local start = task.now()
        local generator = coroutine.wrap(function()
          for i = 1, 2 do
            local value, why = task.timeout(1, function()
              pcall(task.sleep, i == 1 and 9 or 0.5)
              return "in time"
            end)
            coroutine.yield(value or why)
          end
        end)
        return { generator(), generator(), task.now() - start }
        """
    ) == ["timeout", "in time", 1.5]
