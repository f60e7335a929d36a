"""The `callback` library: waiting functions that return at once and call back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from conftest import Lua, Shell, opened

import scheduler

# `chat` stands for a function that waits; `async` is the form with callbacks.
TOOLS = """
local callback = require("callback")
local log = {}
local function note(...)
  local row = { ... }
  for i = 1, select("#", ...) do
    if row[i] == nil then row[i] = "nil" end
  end
  log[#log + 1] = row
end
local function noted(name)
  return function(...) note(name, ...) end
end
local function chat(prompt, seconds)
  sleep(seconds or 1)
  if prompt == "fail" then error("no answer", 0) end
  return "re: " .. prompt, seconds
end
local async = callback.wrap(chat)
"""


async def run(lua: Lua, code: str, **options: Any) -> Any:
    return await lua(TOOLS + code + "\nreturn log", **options)


async def test_c2_a_call_returns_an_id_at_once_and_calls_back_later(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local id, other = async("a", 2, noted("done")), async("b", 1, noted("done"))
        note(type(id), id ~= other, task.now())
        sleep(3)
        """,
    ) == [["number", True, 0], ["done", "re: b", 1], ["done", "re: a", 2]]


async def test_c3_the_errback_gets_errors_and_the_callback_does_not(lua: Lua) -> None:
    assert await run(
        lua,
        """
        async("fail", 1, noted("done"), noted("failed"))
        async("fine", 2, noted("done"), noted("failed"))
        sleep(3)
        """,
    ) == [["failed", "no answer"], ["done", "re: fine", 2]]


async def test_c4_has_pending_until_the_last_callback_has_begun(lua: Lua) -> None:
    assert await run(
        lua,
        """
        note(callback.has_pending())
        async("a", 1, function() note("in it", callback.has_pending()) end)
        async("b", 2, function() note("in it", callback.has_pending()) end)
        note(callback.has_pending())
        sleep(1.5)
        note(callback.has_pending())
        sleep(1)
        note(callback.has_pending())
        """,
    ) == [[False], [True], ["in it", True], [True], ["in it", False], [False]]


async def test_c5_process_runs_what_is_ready_and_tells_how_many(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local answers = {}
        local wait = callback.wrap(event.wait)
        for i = 1, 3 do wait("go", noted(i)) end
        note(callback.process())
        event.emit("go", "now")
        note("emitted")
        note(callback.process())
        note(callback.process(), callback.has_pending())
        """,
    ) == [[0], ["emitted"], [1, "now"], [2, "now"], [3, "now"], [3], [0, False]]


async def test_c11_the_hand_written_loop_works(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local running, frames, left = true, 0, 3
        for i = 1, 3 do async("q" .. i, i, function(answer) note(answer) left = left - 1 end) end
        local function update_ui() frames = frames + 1 end
        local function handle_input() running = left > 0 end
        while running do
          callback.process()
          update_ui()
          handle_input()
          if running then sleep(0.125) end
        end
        note(frames, task.now())
        """,
    ) == [["re: q1"], ["re: q2"], ["re: q3"], [25, 3]]


async def test_c12_calls_run_at_the_same_time(lua: Lua) -> None:
    async def fetch(name: str, seconds: float) -> str:
        await trio.sleep(seconds)
        return name

    assert await run(
        lua,
        """
        local n, fetch_async = 0, callback.wrap(fetch)
        for i = 1, 5 do fetch_async("x", i, function() n = n + 1 note(n, task.now()) end) end
        while callback.has_pending() do callback.process() sleep(0.3) end
        """,
        host={"fetch": fetch},
    ) == [[1, 1], [2, 2], [3, 3], [4, 4], [5, 5]]


async def test_c12_calls_of_a_host_function_in_three_modes(engine: str) -> None:
    """What `llm.chat`, `llm.chat_async` and `llm.chat_promise` will stand on."""

    async def chat(prompt: str, seconds: float) -> str:
        await trio.sleep(seconds)
        if prompt == "fail":
            raise OSError("no answer")
        return f"re: {prompt}"

    async with opened(engine=engine) as runtime:
        runtime.register("llm.chat", chat)
        assert await runtime.run("""
            local callback = require("callback")
            local chat_async = callback.wrap(llm.chat)
            local chat_promise = callback.to_promise(chat_async)
            local log, began = {}, task.now()
            local function note(name)
              return function(value)
                log[#log + 1] = { name, tostring(value), task.now() - began }
              end
            end
            note("simple")(llm.chat("a", 1))
            chat_async("b", 3, note("parallel"), error)
            chat_async("c", 1, note("parallel"), error)
            chat_async("fail", 2, error, note("failed"))
            while callback.has_pending() do
              callback.process()
              sleep(0.5)
            end
            began = task.now()
            local both = promise.all({ chat_promise("d", 2), chat_promise("e", 1) }):await()
            note("promise")(both[1] .. ", " .. both[2])
            return log
        """) == [
            ["simple", "re: a", 1],
            ["parallel", "re: c", 2],
            ["failed", "OSError: no answer", 3],
            ["parallel", "re: b", 4],
            ["promise", "re: d, re: e", 2],
        ]


async def test_c16_callbacks_run_whenever_the_script_waits_and_before_it_ends(lua: Lua) -> None:
    assert await lua(
        TOOLS
        + """
        async("a", 1, noted("while it sleeps"))
        sleep(2)
        note("awake")
        async("b", 1, function(...) note("at the end", ...) result = log end)
        task.spawn(function() sleep(10) end)
        """
        + "task.scope(function() async('c', 1, noted('in a scope')) end) return log"
    ) == [
        ["while it sleeps", "re: a", 1],
        ["awake"],
        ["at the end", "re: b", 1],
        ["in a scope", "re: c", 1],
    ]


async def test_callbacks_run_in_order_of_completion_each_once(lua: Lua) -> None:
    assert await run(
        lua,
        """
        for i, seconds in ipairs({ 3, 1, 2, 1, 3, 0 }) do async(tostring(i), seconds, noted(i)) end
        for _ = 1, 100 do callback.process() sleep(0.0625) end
        local order = {}
        for i, row in ipairs(log) do order[i] = row[1] end
        log = { order }
        """,
    ) == [[6, 2, 4, 3, 1, 5]]


async def test_a_callback_that_waits_holds_nobody_up(lua: Lua) -> None:
    assert await run(
        lua,
        """
        async("a", 1, function() note("begins") sleep(5) note("ends", task.now()) end)
        async("b", 1, noted("b"))
        sleep(2)
        note(callback.process(), task.now())
        sleep(5)
        """,
    ) == [["begins"], ["b", "re: b", 1], [0, 2], ["ends", 6]]


async def test_a_callback_may_call_again(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local function again(n)
          return function(answer)
            note(answer, task.now())
            if n > 0 then async("next", 1, again(n - 1)) end
          end
        end
        async("first", 1, again(2))
        while callback.has_pending() do sleep(0.5) end
        """,
    ) == [["re: first", 1], ["re: next", 2], ["re: next", 3]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("noted('done')", [["fn", 0], ["done", "v"]]),
        ("1, noted('done')", [["fn", 1, 1], ["done", "v"]]),
        ("1, noted('done'), nil", [["fn", 1, 1], ["done", "v"]]),
        ("1, noted('done'), noted('failed')", [["fn", 1, 1], ["done", "v"]]),
        ("nil, noted('done')", [["fn", 1, "nil"], ["done", "v"]]),
        ("1, nil, 3, noted('done'), noted('failed')", [["fn", 3, 1, "nil", 3], ["done", "v"]]),
        ("1, 2", [["fn", 2, 1, 2]]),
        ("", [["fn", 0]]),
    ],
)
async def test_the_last_one_or_two_functions_are_the_callbacks(
    lua: Lua, arguments: str, expected: list[Any]
) -> None:
    assert (
        await run(
            lua,
            f"""
        callback.wrap(function(...) note("fn", select("#", ...), ...) return "v" end)({arguments})
        sleep(1)
        """,
        )
        == expected
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("1, print, noted('done')", [["fn", 2], ["done", "v"]]),
        ("1, nil, noted('done')", [["fn", 2], ["done", "v"]]),
        ("1, 2, nil, noted('failed')", [["fn", 2]]),
        ("'fail', print, nil, noted('failed')", [["fn", 2], ["failed", "why"]]),
        ("1", [["fn", 2]]),
        ("1, 2, callable, noted('failed')", [["fn", 2], ["called", "v"]]),
    ],
)
async def test_with_a_number_of_arguments_their_places_are_fixed(
    lua: Lua, arguments: str, expected: list[Any]
) -> None:
    assert (
        await run(
            lua,
            f"""
        local callable = setmetatable({{}}, {{ __call = function(_, ...) note("called", ...) end }})
        callback.wrap(function(...)
          note("fn", select("#", ...))
          if (...) == "fail" then error("why", 0) end
          return "v"
        end, 2)({arguments})
        sleep(1)
        """,
        )
        == expected
    )


async def test_all_values_reach_the_callback(lua: Lua) -> None:
    assert await run(
        lua,
        """
        callback.wrap(function() return nil, "closed", nil end)(function(...) note(select("#", ...), ...) end)
        sleep(1)
        """,
    ) == [[3, "nil", "closed", "nil"]]


async def test_an_error_without_errback_surfaces_where_the_call_was_made(shell: Shell) -> None:
    program = (
        "local callback = require('callback')\n"
        "local function fetch()\n"
        "  sleep(1)\n"
        "  error('no luck')\n"
        "end\n"
        "local fetch_async = callback.wrap(fetch)\n"
        "fetch_async(print)\n"
        "sleep(100)\n"
    )
    shell.write("failing.lua", program)
    assert shell.run("--virtual-clock", "failing.lua") == (
        1,
        "",
        "scheduler: failing.lua:4: no luck\n"
        "stack traceback:\n"
        "\t[C]: in function 'error'\n"
        "\tfailing.lua:4: in function <failing.lua:2>\n"
        "in task 2 'callback', registered at failing.lua:7\n",
    )


async def test_an_error_of_a_callback_surfaces_with_where_it_was_registered(lua: Lua) -> None:
    with pytest.raises(scheduler.LuaError, match="string:3: in the callback") as caught:
        await lua("""local callback = require("callback")
            callback.wrap(sleep)(1, function()
              error("in the callback")
            end, print)
            while callback.has_pending() do callback.process() sleep(0.1) end
            sleep(100)
        """)
    assert caught.value.spawned_at == "registered at string:2"
    assert "\n\tstring:3: in function" in caught.value.lua_traceback


async def test_an_error_raised_again_by_the_errback_keeps_its_origin(lua: Lua) -> None:
    with pytest.raises(scheduler.LuaError, match="first") as caught:
        await lua("""local callback = require("callback")
            callback.wrap(function()
              error("first")
            end)(print, function(err) error(err, 0) end)
        """)
    assert "string:3: in function <string:2>" in caught.value.lua_traceback


async def test_errors_surface_in_the_scope_of_the_call(lua: Lua) -> None:
    assert await run(
        lua,
        """
        note(pcall(task.scope, function() async("fail", 1, print) sleep(100) end))
        note(task.now(), callback.has_pending())
        """,
    ) == [[False, "no answer"], [1, False]]


EXAMPLE = Path(__file__).parents[2] / "examples" / "17_callback_modes.lua"


@pytest.mark.parametrize(("mode", "seconds"), [("simple", "6.12"), ("parallel", "2.25"), ("promise", "2.25")])
async def test_c18_the_three_modes_of_the_example(shell: Shell, mode: str, seconds: str) -> None:
    """The wall time of calls at the same time is that of the slowest."""
    code, out, err = shell.run("--virtual-clock", "--param", f"mode={mode}", str(EXAMPLE))
    lines = out.splitlines()
    assert (code, err, lines[0], lines[-1]) == (0, "", mode, f"  {seconds} s")
    assert "  What is a scope? an answer of 16 letters" in lines


async def test_cancel_by_id(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local id = async("a", 5, noted("never"), noted("never"))
        local early = async("b", 0, noted("done"))
        sleep(1)
        note(callback.cancel(id), callback.has_pending(), callback.cancel(id))
        note(callback.cancel(early), callback.cancel(99))
        sleep(10)
        note(#task.list())
        """,
    ) == [["done", "re: b", 0], [True, False, False], [False, False], [1]]


async def test_a_call_whose_scope_is_cancelled_calls_nobody(lua: Lua) -> None:
    assert await run(
        lua,
        """
        note(task.timeout(1, function()
          async("a", 5, noted("never"), noted("never"))
          sleep(100)
        end))
        note(callback.has_pending())
        """,
    ) == [["nil", "timeout"], [False]]


async def test_a_value_that_comes_in_spite_of_a_cancellation_is_dropped(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local id = callback.wrap(task.shield)(sleep, 2, noted("never"))
        sleep(1)
        note(callback.cancel(id))
        sleep(5)
        """,
    ) == [[True]]


async def test_scripts_have_their_own_pending_calls(engine: str) -> None:
    async with opened(engine) as runtime:
        other = runtime.spawn("require('callback').wrap(sleep)(100, print) sleep(100)")
        assert await runtime.run("sleep(1) return require('callback').has_pending()") is False
        other.cancel()


async def test_a_loop_without_sleep_lets_time_pass(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local calls = 0
        async("a", 1, noted("done"))
        while callback.has_pending() do callback.process() calls = calls + 1 end
        note(task.now() < 1.1, calls < 50000)
        """,
    ) == [["done", "re: a", 1], [True, True]]


async def test_to_promise_of_a_wrapped_function_and_of_any_other(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local function by_hand(a, b, done, failed)
          task.spawn(function()
            sleep(1)
            if a == "fail" then failed("why") else done(a, b) end
          end)
        end
        local chat_promise, hand_promise = callback.to_promise(async), callback.to_promise(by_hand, 2)
        note(chat_promise("a", 2):await())
        local p = chat_promise("fail")
        note(pcall(p.await, p))
        note(hand_promise("x", "y"):await())
        note(hand_promise("x"):await())
        p = hand_promise("fail")
        note(pcall(p.await, p))
        note(callback.to_promise(function(done) done("at once") end)():await())
        p = callback.to_promise(function() error("raised", 0) end)()
        note(pcall(p.await, p))
        """,
    ) == [
        ["re: a", 2],
        [False, "no answer"],
        ["x", "y"],
        ["x", "nil"],
        [False, "why"],
        ["at once"],
        [False, "raised"],
    ]


async def test_c8_promises_of_calls_overlap(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local chat_promise = callback.to_promise(async)
        local answers = promise.all({ chat_promise("a", 3), chat_promise("b", 1) }):await()
        note(answers[1], answers[2], task.now())
        """,
    ) == [["re: a", "re: b", 3]]


async def test_from_promise(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local function fetch(name)
          if name == "fail" then return promise.reject("why") end
          return promise.run(function() sleep(1) return name, 2 end)
        end
        local fetch_async = callback.from_promise(fetch)
        fetch_async("a", noted("done"), noted("failed"))
        fetch_async("fail", noted("done"), noted("failed"))
        callback.from_promise(function() return "plain" end)(noted("done"))
        callback.from_promise(error, 2)("raised", 0, nil, noted("failed"))
        sleep(2)
        """,
    ) == [["failed", "why"], ["done", "plain"], ["failed", "raised"], ["done", "a", 2]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("callback.wrap()", "bad argument #1 to 'wrap' (function expected, got no value)"),
        (
            "callback.wrap(print, 'x')",
            "bad argument #2 to 'wrap' (number of arguments (a whole number up to 200) expected, got string)",
        ),
        (
            "callback.wrap(print, -1)",
            "bad argument #2 to 'wrap' (number of arguments (a whole number up to 200) expected, got -1)",
        ),
        (
            "callback.wrap(print, 1.5)",
            "bad argument #2 to 'wrap' (number of arguments (a whole number up to 200) expected, got 1.5)",
        ),
        (
            "callback.wrap(print, 1)(1, 2)",
            "bad argument #2 to 'the wrapped function' (callback expected, got number)",
        ),
        (
            "callback.wrap(print, 1)(1, nil, 2)",
            "bad argument #3 to 'the wrapped function' (errback expected, got number)",
        ),
        (
            "callback.wrap(print, 0)(print, print, print)",
            "bad argument #3 to 'the wrapped function' (it takes 0 arguments, a callback and an errback)",
        ),
        (
            "callback.cancel('x')",
            "bad argument #1 to 'cancel' (id of a call (a number) expected, got string)",
        ),
        ("callback.to_promise(5)", "bad argument #1 to 'to_promise' (function expected, got number)"),
        ("callback.from_promise()", "bad argument #1 to 'from_promise' (function expected, got no value)"),
    ],
)
async def test_bad_arguments_are_errors_at_the_line_of_the_call(lua: Lua, call: str, message: str) -> None:
    assert await lua(
        f"local callback = require('callback')\nreturn select(2, pcall(function()\n{call} return 1 end))"
    ) == (f"string:3: {message}")


async def test_the_deadlock_report_tells_of_calls(lua: Lua) -> None:
    with pytest.raises(scheduler.DeadlockError) as caught:
        await lua("""require("callback").wrap(event.wait)("never", print)""")
    assert [(task.name, task.detail) for task in caught.value.tasks if task.name == "callback"] == [
        ("callback", "event 'never'")
    ]
