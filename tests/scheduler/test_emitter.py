"""The `emitter` library: handlers that are tasks, names with wildcards."""

from __future__ import annotations

import pytest
from conftest import Lua, Shell

import scheduler
from scheduler import DeadlockError

HEAD = """
local emitter = require("emitter")
local e = emitter.new("bus")
local log = {}
local function put(...)
  local parts = { ... }
  for i = 1, select("#", ...) do parts[i] = tostring(parts[i]) end
  log[#log + 1] = table.concat(parts, " ")
end
local function state()
  local s = e:statistics()
  return s.names .. " " .. s.handlers .. " " .. s.waiting
end
"""


# -- handlers ------------------------------------------------------------------------------------


async def test_handlers_begin_in_order_of_registration_with_all_values(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        for i = 1, 3 do
          e:on("x", function(...) put(i, select("#", ...), ...) end)
        end
        put("emitted", e:emit("x", 1, nil, 3))
        task.yield()
        put("emitted", e:emit("x"))
        task.yield()
        put("emitted", e:emit("other"))
        return log
        """
    ) == [
        "emitted 3",
        *[f"{i} 3 1 nil 3" for i in (1, 2, 3)],
        "emitted 3",
        *[f"{i} 0" for i in (1, 2, 3)],
        "emitted 0",
    ]


async def test_handlers_may_wait_and_overlap(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        e:on("x", function(v) put("begins", v); task.sleep(2); put("ends", v) end)
        e:emit("x", 1)
        task.sleep(1)
        e:emit("x", 2)
        task.sleep(5)
        return log
        """
    ) == ["begins 1", "begins 2", "ends 1", "ends 2"]


async def test_once_hears_one_event(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        e:once("x", function(v) put("once", v) end)
        e:on("x", function(v) put("on", v) end)
        put(e:emit("x", 1), e:emit("x", 2), state())
        task.yield()
        return log
        """
    ) == ["2 1 1 1 0", "once 1", "on 1", "on 2"]


async def test_off_by_handler_name_and_function(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local function f() put("f") end
        local function g() put("g") end
        local h = e:on("x", f)
        e:on("x", g); e:on("x", f); e:on("y", f)
        put(e:off(h), e:off(h), e:emit("x"))
        put(e:off("x", f), e:emit("x"))
        put(e:off("x"), e:emit("x"), e:off("x"), e:off("never"))
        put(state())
        put(emitter.new():off(e:on("z", f)), e:emit("z"))
        task.yield()
        return log
        """
    ) == ["1 0 2", "1 1", "1 0 0 0", "1 1 0", "0 1", "g", "f", "g", "f"]


async def test_a_handler_that_has_begun_goes_on_after_off(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local h = e:on("x", function() put("begins"); task.sleep(1); put("ends") end)
        e:emit("x")
        e:off(h)
        task.sleep(2)
        return log
        """
    ) == ["begins", "ends"]


async def test_handlers_registered_by_a_handler_hear_the_next_event(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        e:once("x", function() e:on("x", function(v) put("inner", v) end) end)
        e:emit("x", 1)
        task.yield()
        e:emit("x", 2)
        task.yield()
        return log
        """
    ) == ["inner 2"]


# -- names ---------------------------------------------------------------------------------------


async def test_wildcards_get_the_name_and_keep_the_order_of_registration(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local names = { "user.*", "user.login", "**", "*.login", "user.**", "*", "a.*.c", "user.login.*" }
        for _, name in ipairs(names) do
          e:on(name, function(...) put(name, ":", ...) end)
        end
        for _, name in ipairs({ "user.login", "user", "user.login.failed", "a.b.c", "..", "user." }) do
          put("emit", name, e:emit(name, 7))
          task.yield()
        end
        return log
        """
    ) == [
        "emit user.login 5",
        "user.* : user.login 7",
        "user.login : 7",
        "** : user.login 7",
        "*.login : user.login 7",
        "user.** : user.login 7",
        "emit user 2",
        "** : user 7",
        "* : user 7",
        "emit user.login.failed 3",
        "** : user.login.failed 7",
        "user.** : user.login.failed 7",
        "user.login.* : user.login.failed 7",
        "emit a.b.c 2",
        "** : a.b.c 7",
        "a.*.c : a.b.c 7",
        "emit .. 1",
        "** : .. 7",
        "emit user. 3",
        "user.* : user. 7",
        "** : user. 7",
        "user.** : user. 7",
    ]


async def test_names_are_no_patterns(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        e:on("a%d.*", function(name) put(name) end)
        e:emit("a1.x"); e:emit("a%d.x")
        task.yield()
        return log
        """
    ) == ["a%d.x"]


async def test_emitters_are_apart(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local other = emitter.new()
        e:on("x", put)
        put(other:emit("x"), event.emit("x"), tostring(e), tostring(other))
        return log
        """
    ) == ["0 0 emitter 'bus' emitter"]


# -- where handlers live -------------------------------------------------------------------------


async def test_handlers_go_with_the_scope_that_registered_them(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        task.scope(function()
          e:on("x", function(v) task.sleep(1); put(v) end)
          e:on("x.*", put)
          put(e:emit("x", "inside"), state())
        end)
        put(e:emit("x", "outside"), state())
        return log
        """
    ) == ["1 2 2 0", "inside", "0 0 0 0"]


async def test_handlers_of_a_task_live_in_the_scope_around_it(lua: Lua) -> None:
    """A task that sets things up and ends leaves its handlers, like the tasks that it has spawned."""
    assert await lua(
        HEAD
        + """
        task.scope(function()
          task.spawn(function() e:on("x", put) end):join()
          put(e:emit("x", "heard"))
        end)
        put(e:emit("x", "not heard"))
        return log
        """
    ) == ["1", "heard", "0"]


async def test_the_error_of_a_handler_is_raised_in_its_scope(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local ok, err = pcall(task.scope, function()
          e:on("x", function(v) error("no luck with " .. v, 0) end)
          task.sleep(5)
        end)
        put(ok, err)
        ok, err = pcall(task.scope, function()
          e:on("x", function(v) error("no luck with " .. v, 0) end)
          task.spawn(function() e:emit("x", 7) end)
          task.sleep(5)
        end)
        put(ok, err, state())
        return log
        """
    ) == ["true nil", "false no luck with 7 0 0 0"]


def test_a_failing_handler_is_reported_with_where_it_was_registered(shell: Shell) -> None:
    shell.write(
        "bus.lua",
        """local e = require("emitter").new()
local function handler(v)
  error("no luck with " .. v)
end
e:on("job.*", handler)
e:emit("job.done", 7)
sleep(1)
""",
    )
    code, out, err = shell.run("bus.lua")
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert lines[0] == "scheduler: bus.lua:3: no luck with job.done"
    assert lines[-1] == "in task 2 'on job.*, registered at bus.lua:5', function <bus.lua:2>"


async def test_a_scope_waits_for_handlers_that_have_begun(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        task.scope(function()
          e:on("x", function() task.sleep(3); put("done") end)
          e:emit("x")
        end)
        put("after")
        return log
        """
    ) == ["done", "after"]


# -- waiting -------------------------------------------------------------------------------------


async def test_wait_returns_the_values_or_a_timeout(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        task.spawn(function() put("exact", e:wait("x.y")) end)
        task.spawn(function() put("wild", e:wait("x.*")) end)
        task.yield()
        put(state())
        put(e:emit("x.y", 1, nil, 3), state())
        task.yield()
        put(e:wait("x.y", 2.5))
        put(e:wait("x.y", 0)); put(state())
        return log
        """
    ) == [
        "2 0 2",
        "2 0 0 0",
        "exact 1 nil 3",
        "wild x.y 1 nil 3",
        "nil timeout",
        "nil timeout",
        "0 0 0",
    ]


async def test_cancelled_waiters_leave_nothing(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local a, b = task.spawn(e.wait, e, "x"), task.spawn(e.wait, e, "x.*")
        task.yield()
        put(state())
        a:cancel(); b:cancel()
        put(state(), e:emit("x"))
        put(select(2, task.timeout(1, e.wait, e, "x")), state())
        local t
        t = task.spawn(function() t:cancel(); e:wait("x") end)
        task.yield()
        put(t:status(), state())
        return log
        """
    ) == ["2 0 2", "0 0 0 0", "timeout 0 0 0", "cancelled 0 0 0"]


async def test_select_over_emitters(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local other = emitter.new()
        task.spawn(function() task.sleep(1); other:emit("done.well", 7) end)
        put(task.select({ { e, "wait", "x" }, { other, "wait", "done.*" } }))
        put(state(), other:statistics().waiting)
        put(task.select({ { e, "wait", "x" }, { e, "wait", "*" }, timeout = 1 }))
        task.spawn(function() e:emit("x") end)
        put(task.select({ { e, "wait", "x" }, { e, "wait", "**" } }))
        put(state())
        put(select(2, pcall(task.select, { { e, "wait", "x*" } })))
        return log
        """
    ) == [
        "2 done.well 7",
        "0 0 0 0",
        "nil timeout",
        "1",
        "0 0 0",
        "bad argument #1 to 'select' (case 1: a wildcard is a whole part,"
        " * for one or a last ** for the rest, got 'x*')",
    ]


async def test_the_deadlock_report_names_emitter_and_event(lua: Lua) -> None:
    with pytest.raises(DeadlockError) as caught:
        await lua(
            'local e = require("emitter").new("bus")\n'
            "task.spawn(function()\n  task.select({ { e, 'wait', 'y' }, { e, 'wait', 'z.*' } })\nend)\n"
            "e:wait('x')"
        )
    assert [(t.id, t.reason, t.detail, t.where) for t in caught.value.tasks] == [
        (1, "event", "emitter 'bus': event 'x'", "string:5"),
        (2, "resource", "one of: emitter 'bus': event 'y', emitter 'bus': event 'z.*'", "string:3"),
    ]


async def test_a_limited_scope_pays_for_its_own_handlers() -> None:
    async with scheduler.open_runtime(detect_deadlock=True) as runtime:
        assert await runtime.run(
            HEAD
            + """
            local _, err = task.limit({ tasks = 2 }, function()
              for _ = 1, 3 do e:on("x", task.sleep) end
              task.spawn(function() put("emitted", e:emit("x", 1)) end)
              task.sleep(5)
            end)
            put(err.limit)
            return log
            """
        ) == ["tasks"]


# -- bad input -----------------------------------------------------------------------------------

WILD = "a wildcard is a whole part, * for one or a last ** for the rest, got"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("emitter.new(5)", "#1 to 'new' (name (a string) expected, got number)"),
        ("e:on(5, print)", "#1 to 'on' (event name (a string) expected, got number)"),
        ("e:on('', print)", "#1 to 'on' (event name must not be empty)"),
        ("e:on('us*r', print)", f"#1 to 'on' ({WILD} 'us*r')"),
        ("e:once('**.x', print)", f"#1 to 'once' ({WILD} '**.x')"),
        ("e:on('x')", "#2 to 'on' (function expected, got no value)"),
        ("e:once('x', 5)", "#2 to 'once' (function expected, got number)"),
        ("e:emit()", "#1 to 'emit' (event name (a string) expected, got no value)"),
        ("e:emit('x.*')", "#1 to 'emit' (a name without wildcards expected, got 'x.*')"),
        ("e:wait({})", "#1 to 'wait' (event name (a string) expected, got table)"),
        ("e:wait('x', -1)", "#2 to 'wait' (seconds must not be negative or NaN, got -1)"),
        ("e:off()", "#1 to 'off' (handler or event name (a string) expected, got no value)"),
        ("e.emit('x')", "#1 to 'emit' (emitter expected, got string; call it with a colon, as in e:emit())"),
        ("e.on()", "#1 to 'on' (emitter expected, got no value; call it with a colon, as in e:on())"),
    ],
)
async def test_misuse_names_function_argument_and_line(lua: Lua, call: str, message: str) -> None:
    assert (
        await lua(f"""local emitter = require("emitter")
            local e = emitter.new()
            return select(2, pcall(function()
              {call}
            end))""")
        == f"string:4: bad argument {message}"
    )
