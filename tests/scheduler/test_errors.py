"""What failures look like: to Lua, to Python, and in a deadlock report."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from conftest import Lua, Shell, opened

import scheduler
from bridge.errors import (
    ConversionError,
    DeadlockError,
    HostMisuse,
    LuaError,
    LuaSyntaxError,
    RuntimeClosed,
    SchedulerCrash,
    SchedulerError,
    ScriptExit,
    TaskCancelled,
    TaskTimeout,
    printable,
)

# -- LuaError ------------------------------------------------------------------------------------


async def test_lua_error_has_message_traceback_task_and_spawn_site(lua: Lua) -> None:
    with pytest.raises(LuaError) as caught:
        await lua(
            "local function inner()\n"
            "  error('boom')\n"
            "end\n"
            "task.spawn_with({ name = 'worker' }, function()\n"
            "  task.sleep(1)\n"
            "  inner()\n"
            "end)"
        )
    error = caught.value
    assert (error.message, str(error), error.kind, error.errors) == (
        "string:2: boom",
        "string:2: boom",
        None,
        (),
    )
    assert error.task == "task 2 'worker'"
    assert error.spawned_at == "function <string:4>"
    assert error.__cause__ is None
    lines = error.lua_traceback.splitlines()
    assert lines[0] == "stack traceback:"
    assert [line.strip().split(" in ")[0] for line in lines[1:]] == ["[C]:", "string:2:", "string:6:"]
    assert error.report() == f"string:2: boom\n{error.lua_traceback}\nin task 2 'worker', function <string:4>"


async def test_a14_error_names_where_the_task_was_spawned_with_statistics_on(lua: Lua) -> None:
    with pytest.raises(LuaError) as caught:
        await lua("local function f() error('x') end\n\ntask.spawn(f)", measure=True)
    assert caught.value.spawned_at == "string:3"


async def test_traceback_of_an_error_inside_coroutines_and_sort_has_the_raising_line(lua: Lua) -> None:
    with pytest.raises(LuaError, match="string:4: deep") as caught:
        await lua(
            "coroutine.wrap(function()\n"
            "  table.sort({ 2, 1 }, function(a, b)\n"
            "    task.sleep(1)\n"
            "    error('deep')\n"
            "  end)\n"
            "end)()"
        )
    assert "string:" in caught.value.lua_traceback
    assert "[scheduler]" not in caught.value.lua_traceback


async def test_error_raised_again_by_a_joiner_keeps_its_origin(lua: Lua) -> None:
    with pytest.raises(LuaError) as caught:
        await lua("local t = task.spawn_with({ name = 'origin' }, function() error('x', 0) end)\nt:join()")
    assert caught.value.task == "task 2 'origin'"


async def test_several_failures_are_fields_of_one_error(lua: Lua) -> None:
    with pytest.raises(LuaError) as caught:
        await lua("""
            for i = 1, 3 do
              task.spawn_with({ name = "t" .. i }, function() task.sleep(1) error("failure " .. i, 0) end)
            end
            task.sleep(10)
        """)
    error = caught.value
    assert error.kind == "failures"
    assert [(part.message, part.task) for part in error.errors] == [
        ("failure 1", "task 2 't1'"),
        ("failure 2", "task 3 't2'"),
        ("failure 3", "task 4 't3'"),
    ]
    assert error.report().splitlines()[0] == "3 tasks failed:"
    assert error.message.splitlines() == [
        "3 tasks failed:",
        "  1. failure 1",
        "  2. failure 2",
        "  3. failure 3",
    ]


@pytest.mark.parametrize(
    ("raised", "message", "kind"),
    [
        ("nil", "nil (error raised without a message)", None),
        ("42", "42", None),
        ("true", "true", None),
        ("{}", "(error object is a table value)", None),
        ("{ kind = 'mine', message = 'text' }", "text", "mine"),
        ("{ kind = 5, message = 5 }", "(error object is a table value)", None),
        ("setmetatable({}, { __tostring = function() return 'own' end })", "own", None),
        (
            "setmetatable({}, { __tostring = function() error('no') end })",
            "(error object is a table value whose __tostring fails)",
            None,
        ),
        ("'\\255\\254'", "\N{REPLACEMENT CHARACTER}" * 2, None),
        ("''", "", None),
    ],
)
async def test_error_values_of_every_kind(lua: Lua, raised: str, message: str, kind: str | None) -> None:
    with pytest.raises(LuaError) as caught:
        await lua(f"task.spawn(function() error({raised}, 0) end)")
    if raised == "nil" and caught.value.message == "<no error object>":
        message = "<no error object>"  # Lua 5.5 makes this text of a nil itself
    assert (caught.value.message, caught.value.kind) == (message, kind)


@pytest.mark.parametrize(
    "raised", ["nil", "42", "{}", "print", "setmetatable({}, { __tostring = error })", "'text'"]
)
async def test_error_values_reach_pcall_and_joiners_unchanged(lua: Lua, raised: str) -> None:
    assert await lua(f"""
        local value = {raised}
        local ok, e = pcall(error, value, 0)
        if value == nil then value = e end -- Lua 5.5 makes a text of it
        local t = task.spawn(function() error(value, 0) end)
        local ok2, e2 = pcall(t.join, t)
        local ok3, e3 = pcall(task.scope, function() error(value, 0) end)
        return ok or ok2 or ok3, rawequal(e, value), rawequal(e2, value), rawequal(e3, value)
    """) == (False, True, True, True)


async def test_tostring_that_waits_in_an_error_report_does_no_harm(lua: Lua) -> None:
    with pytest.raises(LuaError):
        await lua("""
            error(setmetatable({}, { __tostring = function() task.sleep(1) return "late" end }))
        """)


@pytest.mark.slow
def test_stack_overflow_is_an_error_of_its_task(shell: Shell, engine: str) -> None:
    """Looking for the spawn site once took time quadratic in the depth; a subprocess, as it hung."""
    shell.write(
        "deep.lua",
        """
        local function deep() return 1 + deep() end
        local function overflow(ok, e) print(ok, tostring(e):find("stack overflow") ~= nil) end
        overflow(pcall(deep))
        local t = task.spawn(deep)
        overflow(pcall(t.join, t))
        task.sleep(0.001)
        deep()
        """,
    )
    code, stdout, stderr = shell.run("--engine", engine, "deep.lua")
    assert (code, stdout) == (1, "false\ttrue\nfalse\ttrue\n")
    assert "stack overflow" in stderr


async def test_error_in_an_error_handler_is_an_error(lua: Lua) -> None:
    ok, e = await lua("return xpcall(error, function() error('handler') end, 'x')")
    assert ok is False
    assert e is not None


@pytest.mark.parametrize(
    "rubbish",
    [
        "",
        "nil",
        "1, 2, 3",
        "{}",
        "print",
        "'park'",
        "setmetatable({}, { __eq = error })",
        "task.current()",
        "coroutine.running()",
    ],
)
async def test_a_task_that_yields_rubbish_has_yielded_cooperatively(lua: Lua, rubbish: str) -> None:
    assert await lua(f"""
        local log = {{}}
        task.spawn(function() log[#log + 1] = "other" end)
        local n = select("#", coroutine.yield({rubbish}))
        log[#log + 1] = n
        log[#log + 1] = task.current():status()
        return log
    """) == ["other", 0, "running"]


@pytest.mark.parametrize("answer", ["return true", "return false", "error('from __eq')"])
async def test_a_yielded_table_with_a_lying_eq_is_rubbish_too(lua: Lua, answer: str) -> None:
    """The kernel must never let a script's metamethod decide what a yield means."""
    assert (
        await lua(f"""
        local rubbish = setmetatable({{}}, {{ __eq = function() {answer} end }})
        local t = task.spawn(function()
          coroutine.yield(rubbish)
          coroutine.wrap(function() coroutine.yield(rubbish) end)()
          return "went on"
        end)
        return t:join()
    """)
        == "went on"
    )


async def test_an_error_value_with_a_lying_eq_is_an_error(lua: Lua) -> None:
    assert await lua("""
        local value = setmetatable({}, { __eq = function() return true end })
        local log = {}
        local t = task.spawn(function()
          log[1] = pcall(error, value)
          task.shield(function() task.sleep(1) log[2] = pcall(error, value) end)
          error(value)
        end)
        task.sleep(0.5)
        t:cancel()
        local ok, e = pcall(t.join, t)
        return log[1], log[2], ok, rawequal(e, value), t:status()
    """) == (False, False, False, True, "failed")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("local = 1", r"string:1: "),
        ("\n\nfor", r"string:3: "),
        ("x = 'unfinished", r"string:1: unfinished string"),
        ("return return", r"string:1: "),
    ],
)
async def test_syntax_errors_name_the_line(lua: Lua, code: str, message: str) -> None:
    with pytest.raises(LuaSyntaxError, match=message):
        await lua(code)


# -- scheduler's threads are out of reach --------------------------------------------------------


async def test_scripts_can_neither_resume_nor_close_the_schedulers_threads(lua: Lua) -> None:
    assert await lua("""
        local main = coroutine.running()
        local waiting
        local t = task.spawn(function() waiting = coroutine.running() task.sleep(5) return "fine" end)
        task.sleep(1)
        local resumed, closed = {}, {}
        for i, co in ipairs({ main, waiting }) do
          local ok, e = coroutine.resume(co)
          resumed[i] = tostring(ok) .. ": " .. tostring(e)
          closed[i] = coroutine.close ~= nil and pcall(coroutine.close, co)
        end
        return { resumed, closed, (t:join()) }
    """) in (
        [["false: cannot resume non-suspended coroutine"] * 2, [False, False], "fine"],
        # LuaJIT's own text for a coroutine that resumes itself
        [
            ["false: cannot resume running coroutine", "false: cannot resume non-suspended coroutine"],
            [False, False],
            "fine",
        ],
    )


async def test_coroutine_parked_in_one_task_cannot_be_resumed_from_another(lua: Lua) -> None:
    assert await lua("""
        local co = coroutine.create(function() task.sleep(5) return "mine" end)
        local t = task.spawn(function() return select(2, coroutine.resume(co)) end)
        task.sleep(1)
        local ok, e = coroutine.resume(co)
        local status = coroutine.status(co)
        return { ok, e, status ~= "suspended", t:join() }
    """) == [False, "cannot resume non-suspended coroutine", True, "mine"]


async def test_generators_that_sleep_between_their_yields(lua: Lua) -> None:
    assert await lua("""
        local log, began = {}, task.now()
        local function numbers(n)
          return coroutine.wrap(function()
            for i = 1, n do task.sleep(1) coroutine.yield(i, task.now() - began) end
            return nil
          end)
        end
        task.spawn(function() task.sleep(1.5) log[#log + 1] = "other" end)
        for i, at in numbers(3) do log[#log + 1] = i * 10 + at end
        return log
    """) == [11, "other", 22, 33]


# -- deadlocks -----------------------------------------------------------------------------------


ODD = "\x1b[2J\n\x9b\x00\N{RIGHT-TO-LEFT OVERRIDE}é" + "n" * 1_000_000


@pytest.mark.parametrize("isolate", [False, True])
async def test_reports_print_no_control_characters_and_no_long_names(isolate: bool) -> None:
    """ESC sequences and line breaks in the names of events went to the terminal as they were."""
    with pytest.raises(DeadlockError) as caught:
        async with opened(detect_deadlock=True, isolate=isolate) as runtime:
            runtime.spawn(
                "local odd = ...\n"
                "local waits = load('event.wait(...)', '@' .. odd:sub(1, 40))\n"
                "local a = task.spawn_with({ name = odd }, waits, odd)\n"
                "task.spawn(function() a:join() end)",
                ODD,
                name=ODD,
            )
    lines = str(caught.value).split("\n")
    assert len(lines) == 4
    assert all(line.isprintable() and len(line) < 800 for line in lines), lines
    shown = r"'\x1b[2J\n\x9b\x00\u202eén"
    assert f"task 2 {shown}" in lines[2]
    assert r"waits for event '\x1b[2J\n\x9b\x00" in lines[2]
    assert r"the end of task 2 '\x1b[2J\n" in lines[3]


async def test_errors_print_no_control_characters_of_names() -> None:
    """Nor do failures, limits, cancellations and what Lua says of tasks."""
    async with opened() as runtime:
        with pytest.raises(LuaError) as caught:
            await runtime.run(
                "local t = { [...] = function(f) f() end }\n"
                "task.spawn_with({ name = ... }, function(name) t[name](error) end, ...):join()",
                ODD,
            )
        report = caught.value.report()
        assert (len(report) < 3000, set(report) - {"\n", "\t"}) == (
            True,
            set(filter(str.isprintable, report)),
        )
        with pytest.raises(scheduler.TaskCancelled) as cancelled:
            await runtime.run("task.current():cancel(...) task.sleep(1)", ODD, name=ODD)
        assert (len(str(cancelled.value)) < 1500, str(cancelled.value).isprintable()) == (True, True)
        told, itself = await runtime.run(
            "local t = task.spawn_with({ name = ... }, task.sleep, 1)\n"
            "t:cancel(...)\n"
            "local _, err = pcall(t.join, t)\n"
            "local _, itself = pcall(task.current().join, task.current())\n"
            "return tostring(err), itself",
            ODD,
            name=ODD,
        )
        for message in (told, itself):
            assert r"\x1b[2J\n\x9b\x00" in message
            assert (len(message) < 1500, "\x1b" in message, "\x9b" in message) == (True, False, False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain 'é'", "plain 'é'"),
        ("a\tb\x7f", r"a\tb\x7f"),
        ("n" * 101, "n" * 100 + "..."),
        ("\ud800", r"\ud800"),
    ],
)
def test_printable_escapes_and_cuts(text: str, shown: str) -> None:
    assert printable(text) == shown


async def test_e34_e35_deadlock_lists_every_waiting_task_with_wait_and_line(lua: Lua) -> None:
    with pytest.raises(DeadlockError) as caught:
        await lua(
            "local a, b\n"
            "a = task.spawn_with({ name = 'a' }, function()\n"
            "  event.wait('never')\n"
            "end)\n"
            "task.spawn(function()\n"
            "  coroutine.wrap(function()\n"
            "    coroutine.resume(coroutine.create(function()\n"
            "      event.wait('nested')\n"
            "    end))\n"
            "  end)()\n"
            "end)\n"
            "task.spawn(function()\n"
            "  table.sort({ 2, 1 }, function()\n"
            "    event.wait('sort')\n"
            "  end)\n"
            "end)\n"
            "task.spawn(function()\n"
            "  task.scope(function()\n"
            "    task.spawn(event.wait, 'child')\n"
            "  end)\n"
            "end)\n"
            "a:join()"
        )
    described = [(task.id, task.name, task.reason, task.detail, task.where) for task in caught.value.tasks]
    assert described == [
        (1, "string", "resource", "the end of task 2 'a'", "string:22"),
        (2, "a", "event", "event 'never'", "string:3"),
        (3, "task", "event", "event 'nested'", "string:8"),
        (4, "task", "event", "event 'sort'", "string:14"),
        (5, "task", "resource", "the end of 1 task of its scope", "string:18"),
        (6, "task", "event", "event 'child'", described[-1][-1]),
    ]
    assert str(caught.value).splitlines()[:2] == [
        "deadlock: every task waits and nothing can wake them",
        "  task 1 'string' waits for the end of task 2 'a' (resource) at string:22",
    ]


async def test_a_deadlock_cannot_be_caught_and_cleanup_runs(lua_with_close: Lua) -> None:
    log: list[str] = []
    with pytest.raises(DeadlockError):
        await lua_with_close(
            """
            local guard <close> = setmetatable({}, { __close = function()
              task.shield(function() task.sleep(1) note("cleanup") end)
            end })
            pcall(event.wait, "never")
            task.shield(note, "never")
            """,
            host={"note": log.append},
        )
    assert log == ["cleanup"]


async def test_waiting_with_a_deadline_or_a_host_call_is_no_deadlock(lua: Lua) -> None:
    async def fetch() -> int:
        await trio.sleep(1000)
        return 1

    assert await lua(
        """
        local t = task.spawn(fetch)
        return event.wait("never", 50), (t:join())
        """.replace("task.spawn(fetch)", "task.spawn(function() return fetch() end)"),
        host={"fetch": fetch},
    ) == (None, 1)


async def test_without_the_check_an_embedded_runtime_is_idle_and_python_can_wake_it(engine: str) -> None:
    async with opened(engine) as runtime:
        task = runtime.spawn("return event.wait('from python')")
        await trio.sleep(1000)
        assert (task.status, [info.status for info in runtime.tasks()]) == ("running", ["blocked"])
        runtime.emit("from python", "hello")
        assert await task.join() == "hello"


# -- the classes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        (LuaError, (SchedulerError,)),
        (LuaSyntaxError, (LuaError,)),
        (TaskTimeout, (LuaError, TimeoutError)),
        (TaskCancelled, (SchedulerError,)),
        (ScriptExit, (SchedulerError,)),
        (DeadlockError, (SchedulerError,)),
        (ConversionError, (SchedulerError, TypeError)),
        (HostMisuse, (SchedulerError, TypeError)),
        (RuntimeClosed, (SchedulerError,)),
        (SchedulerCrash, (SchedulerError,)),
    ],
)
def test_errors_are_public_and_say_who_is_at_fault(kind: type, bases: tuple[type, ...]) -> None:
    assert kind.__bases__ == bases
    assert getattr(scheduler, kind.__name__) is kind


async def test_e39_unknown_and_ended_tasks_are_harmless_to_cancel(lua: Lua) -> None:
    values: Any = await lua("""
        local t = task.spawn(function() return 1 end)
        t:join()
        return t:cancel(), t:status(), t:join()
    """)
    assert values == (False, "done", 1)


async def test_cycles_of_a_deadlock_show_no_control_characters(lua: Lua) -> None:
    """The name of a mutex could forge lines of the report, and send escapes to the terminal."""
    code = """
        local one, other = sync.mutex("a\\27[31m\\nforged"), sync.mutex("b")
        local function both(first, second)
          return function()
            first:lock()
            task.sleep(1)
            second:lock()
          end
        end
        task.spawn(both(one, other))
        task.spawn(both(other, one))
    """
    with pytest.raises(DeadlockError) as caught:
        await lua(code)
    assert "a cycle:" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert "\nforged" not in str(caught.value)


async def test_deadlock_report_names_the_function_that_left_by_a_tail_call() -> None:
    """It said "at its end". (LuaJIT does not tell.)"""
    with pytest.raises(scheduler.DeadlockError) as caught:
        async with scheduler.open_runtime(detect_deadlock=True) as runtime:
            await runtime.run("""
                local ch = channel.new()
                task.spawn(function()
                  task.sleep(1)
                  return ch:receive()
                end)
                task.spawn(function() ch:receive() end)
            """)
    assert [(t.id, t.where) for t in caught.value.tasks] == [
        (1, "its end"),
        (2, "function <string:3>"),
        (3, "string:7"),
    ]
