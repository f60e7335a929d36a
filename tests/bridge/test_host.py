"""Host functions: Python as Lua calls it."""

from __future__ import annotations

import contextvars
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import trio
import trio.lowlevel
from conftest import Lua, opened

import scheduler

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="default")


# -- calls ---------------------------------------------------------------------------------------


async def test_async_function_looks_like_a_plain_call_and_parks_only_its_task(lua: Lua) -> None:
    async def fetch(seconds: float) -> str:
        await trio.sleep(seconds)
        return f"after {seconds:g}"

    assert await lua(
        """
        local log = {}
        local function note(x) log[#log + 1] = x end
        task.scope(function()
          task.spawn(function() note(fetch(3)) end)
          task.spawn(function() note(fetch(1)) end)
          task.spawn(function() task.sleep(2) note("slept 2") end)
          task.yield()
          note("others run")
        end)
        return log
        """,
        host={"fetch": fetch},
    ) == ["others run", "after 1", "slept 2", "after 3"]


async def test_results_none_one_and_several(lua: Lua) -> None:
    assert await lua(
        """
        local function count(...) return select("#", ...) .. ":" .. tostring((...)) end
        return { count(nothing()), count(one()), count(pair()), count(empty()), count(list()) :sub(1, 8) }
        """,
        host={
            "nothing": lambda: None,
            "one": lambda: 1,
            "pair": lambda: ("a", None),
            "empty": lambda: (),
            "list": lambda: [1, 2],
        },
    ) == ["0:nil", "1:1", "2:a", "0:nil", "1:table:"]


async def test_async_function_that_never_waits_answers_too(lua: Lua) -> None:
    async def immediate(x: int) -> int:
        return x + 1

    assert (
        await lua(
            "local x = 0 for i = 1, 100 do x = immediate(x) end return x", host={"immediate": immediate}
        )
        == 100
    )


async def test_names_with_dots_are_fields_of_tables(lua: Lua) -> None:
    assert await lua(
        "return a.b.c(1), a.b.d(2), type(a)",
        host={"a.b.c": lambda x: x, "a.b.d": lambda x: -x},
    ) == (1, -2, "table")


async def test_host_functions_work_inside_coroutines_sort_and_gsub(lua: Lua) -> None:
    async def less(a: int, b: int) -> bool:
        await trio.sleep(1)
        return a < b

    def upper(text: str) -> str:
        return text.upper()

    assert await lua(
        """
        local t = { 3, 1, 2 }
        coroutine.wrap(function() table.sort(t, less) end)()
        local text = string.gsub("a-b", "%a", upper)
        local generator = coroutine.wrap(function() for i = 1, 2 do coroutine.yield(less(i, 2)) end end)
        return t, text, generator(), generator()
        """,
        host={"less": less, "upper": upper},
    ) == ([1, 2, 3], "A-B", True, False)


async def test_e3_cancelling_the_task_cancels_the_trio_work_and_waits_for_its_cleanup(lua: Lua) -> None:
    log: list[Any] = []

    async def work() -> None:
        try:
            await trio.sleep(100)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)
            log.append("trio cleanup")
            raise

    assert await lua(
        """
        local began = task.now()
        local t = task.spawn(function() pcall(work) end)
        task.sleep(1)
        t:cancel()
        pcall(t.join, t)
        local v, why = task.timeout(5, work)
        return t:status(), task.now() - began, tostring(v), why
        """,
        host={"work": work},
    ) == ("cancelled", 10, "nil", "timeout")
    assert log == ["trio cleanup", "trio cleanup"]


async def test_host_function_that_returns_although_cancelled_does_not_revive_the_task(lua: Lua) -> None:
    async def stubborn() -> str:
        with trio.CancelScope(shield=True):
            await trio.sleep(3)
        return "result"

    assert await lua(
        """
        local log = {}
        local t = task.spawn(function()
          log[#log + 1] = "got " .. stubborn()
          task.sleep(1)
          log[#log + 1] = "never"
        end)
        task.sleep(1)
        t:cancel()
        pcall(t.join, t)
        return t:status(), log[2] == nil
        """,
        host={"stubborn": stubborn},
    ) == ("cancelled", True)


async def test_two_hundred_calls_at_once(lua: Lua) -> None:
    running, most = 0, 0

    async def work(i: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(1)
        running -= 1
        return i

    assert (
        await lua(
            """
            local numbers, sum = {}, 0
            for i = 1, 200 do numbers[i] = i end
            for _, x in ipairs(task.map(numbers, work)) do sum = sum + x end
            return sum
            """.replace("work)", "function(i) return work(i) end)"),
            host={"work": work},
        )
        == 20100
    )
    assert most == 200


# -- arguments -----------------------------------------------------------------------------------


def typed(a: int, b: float = 1.0, c: str | None = None, d: list[int] | None = None) -> str:
    return f"{a!r} {b!r} {c!r} {d!r}"


@pytest.mark.parametrize(
    ("call", "result"),
    [
        ("typed(1)", "1 1.0 None None"),
        ("typed(1, 2)", "1 2.0 None None"),
        ("typed(1.0, 2.5, 'c')", "1 2.5 'c' None"),
        ("typed(1, 2, nil, { 1, 2 })", "1 2.0 None [1, 2]"),
        ("typed(1, 2, nil, {})", "1 2.0 None []"),
        ("typed(1, 2, nil, nil, nil, nil)", "1 2.0 None None"),
    ],
)
async def test_annotated_arguments_are_accepted(lua: Lua, call: str, result: str) -> None:
    assert await lua(f"return {call}", host={"typed": typed}) == result


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("a.typed()", "bad argument #1 to 'a.typed' (no value for 'a'; 1 argument is needed)"),
        ("a.typed('x')", "bad argument #1 to 'a.typed' (integer expected for 'a', got string 'x')"),
        ("a.typed(1.5)", "bad argument #1 to 'a.typed' (integer expected for 'a', got number 1.5)"),
        ("a.typed(nil)", "bad argument #1 to 'a.typed' (integer expected for 'a', got nil)"),
        ("a.typed(true)", "bad argument #1 to 'a.typed' (integer expected for 'a', got boolean)"),
        ("a.typed(1, 'x')", "bad argument #2 to 'a.typed' (number expected for 'b', got string 'x')"),
        ("a.typed(1, 1, 5)", "bad argument #3 to 'a.typed' (nil or string expected for 'c', got number 5)"),
        (
            "a.typed(1, 1, '\\255')",
            "bad argument #3 to 'a.typed' (nil or string expected for 'c', got string that is not",
        ),
        (
            "a.typed(1, 1, 'c', { x = 1 })",
            "bad argument #4 to 'a.typed' "
            "(nil or table with keys 1..n expected for 'd', got a table with other keys)",
        ),
        ("a.typed(1, 1, 'c', { 1 }, 5)", "bad argument #5 to 'a.typed' (takes at most 4 arguments, got 5)"),
        (
            "a.typed(coroutine.create(print))",
            "bad argument #1 to 'a.typed' (value: a Lua thread (coroutine) cannot",
        ),
    ],
)
async def test_wrong_arguments_name_function_argument_and_line(lua: Lua, call: str, message: str) -> None:
    ok, error = await lua(
        f"return pcall(function()\n local x = {call} return x end)", host={"a.typed": typed}
    )
    assert not ok
    assert error.startswith("string:2: "), error
    assert message in error


async def test_wrong_arguments_end_the_script_when_nobody_catches(lua: Lua) -> None:
    with pytest.raises(scheduler.LuaError, match=r"string:1: bad argument #1 to 'typed'"):
        await lua("typed('x')", host={"typed": typed})


# -- errors --------------------------------------------------------------------------------------


class Refused(Exception):
    """An error of the embedding program."""


def refuse(text: str = "no entry") -> None:
    raise Refused(text)


async def refuse_later(text: str = "no entry") -> None:
    await trio.sleep(1)
    raise Refused(text)


@pytest.mark.parametrize("function", [refuse, refuse_later])
async def test_exception_is_an_error_table_with_kind_and_message_in_lua(lua: Lua, function: Any) -> None:
    assert await lua(
        """
        local ok, e = pcall(refuse)
        local keys = {}
        for key in pairs(e) do keys[#keys + 1] = key end
        table.sort(keys)
        return ok, type(e), e.kind, e.message, tostring(e), keys
        """,
        host={"refuse": function},
    ) == (False, "table", "Refused", "no entry", "Refused: no entry", ["kind", "message"])


@pytest.mark.parametrize("function", [refuse, refuse_later])
async def test_uncaught_exception_is_the_cause_of_the_lua_error(lua: Lua, function: Any) -> None:
    with pytest.raises(scheduler.LuaError) as caught:
        await lua("local function call()\n refuse('closed')\nend\ncall()", host={"refuse": function})
    error = caught.value
    assert (error.kind, error.message) == ("Refused", "Refused: closed")
    assert "string:2: in " in error.lua_traceback
    assert "[scheduler]" not in error.lua_traceback
    assert isinstance(error.__cause__, Refused)
    frames = []
    trace = error.__cause__.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert frames == [function.__name__]


async def test_cause_survives_catching_and_raising_again(lua: Lua) -> None:
    with pytest.raises(scheduler.LuaError) as caught:
        await lua("local ok, e = pcall(refuse) task.sleep(1) error(e)", host={"refuse": refuse})
    assert isinstance(caught.value.__cause__, Refused)


async def test_exception_group_of_a_nursery_inside_a_host_function(lua: Lua) -> None:
    async def several() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse_later, "one")
            nursery.start_soon(refuse_later, "two")

    ok, kind, cause_text = await lua(
        "local ok, e = pcall(several) return ok, e.kind, e.message", host={"several": several}
    )
    assert (ok, kind) == (False, "ExceptionGroup")
    assert cause_text.startswith("Exceptions from Trio nursery")


async def test_exception_whose_str_fails(lua: Lua) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    def broken() -> None:
        raise Broken

    assert await lua("local ok, e = pcall(broken) return e.kind, e.message", host={"broken": broken}) == (
        "Broken",
        "(str() of this Broken fails)",
    )


async def test_result_that_lua_cannot_hold_names_the_function(lua: Lua) -> None:
    ok, kind, message = await lua(
        "local ok, e = pcall(data.get) return ok, e.kind, e.message", host={"data.get": lambda: {"k": {1}}}
    )
    assert (ok, kind) == (False, "ConversionError")
    assert message.startswith("host function 'data.get' returned what Lua cannot hold: value['k']: a set")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_keyboard_interrupt_and_system_exit_pass_every_pcall_and_leave_the_block(
    engine: str, error: type[BaseException], asynchronous: bool
) -> None:
    log: list[str] = []

    def now() -> None:
        raise error

    async def later() -> None:
        await trio.sleep(1)
        raise error

    caught: list[BaseException] = []
    try:
        async with opened(engine) as runtime:
            runtime.register("fatal", later if asynchronous else now)
            runtime.register("note", log.append)
            runtime.spawn("task.sleep(100) note('never')")
            runtime.spawn("pcall(fatal) task.sleep(50) note('never')")
    except BaseException as got:
        caught.append(got)
    assert [type(got) for got in caught] == [error]
    assert log == []


# -- context variables ---------------------------------------------------------------------------


async def test_host_functions_see_the_context_of_the_block(lua: Lua) -> None:
    VARIABLE.set("of the test")

    async def later() -> str:
        await trio.lowlevel.checkpoint()
        return VARIABLE.get()

    assert await lua("return now(), later()", host={"now": VARIABLE.get, "later": later}) == (
        "of the test",
        "of the test",
    )


async def test_b7_context_set_in_an_async_host_function_stays_in_its_call(lua: Lua) -> None:
    async def swap(value: str) -> str:
        before = VARIABLE.get()
        VARIABLE.set(value)
        await trio.sleep(1)
        return f"{before} {VARIABLE.get()}"

    assert await lua(
        "return task.all({ function() return swap('a') end, function() return swap('b') end }), swap('c')",
        host={"swap": swap},
    ) == (["default a", "default b"], "default c")


# -- generators ----------------------------------------------------------------------------------


async def test_generators_are_lua_iterators(lua: Lua) -> None:
    def count(n: int) -> Iterator[int]:
        yield from range(n)

    async def ticks(n: int) -> AsyncIterator[tuple[int, str]]:
        for i in range(n):
            await trio.sleep(1)
            yield i, f"tick {i}"

    assert await lua(
        """
        local log = {}
        local began = task.now()
        for i in count(3) do log[#log + 1] = i end
        for i, text in ticks(2) do log[#log + 1] = text end
        for _ in count(0) do log[#log + 1] = "never" end
        log[#log + 1] = task.now() - began
        return log
        """,
        host={"count": count, "ticks": ticks},
    ) == [0, 1, 2, "tick 0", "tick 1", 2]


async def test_an_exhausted_iterator_stays_exhausted(lua: Lua) -> None:
    def once() -> Iterator[int]:
        yield 1

    assert await lua(
        "local next = once() return { next(), tostring(next()), tostring(next()) }", host={"once": once}
    ) == [
        1,
        "nil",
        "nil",
    ]


async def test_early_break_closes_the_generator(lua_with_close: Lua) -> None:
    log: list[str] = []

    def numbers() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            log.append("sync closed")

    async def ticks() -> AsyncIterator[int]:
        try:
            for i in range(100):
                await trio.sleep(1)
                yield i
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            log.append("async closed")

    assert (
        await lua_with_close(
            """
        for i in numbers() do if i == 2 then break end end
        note("after sync loop")
        for i in ticks() do if i == 2 then break end end
        note("after async loop")
        pcall(function() for i in ticks() do error("in the body") end end)
        """,
            host={"numbers": numbers, "ticks": ticks, "note": log.append},
        )
        is None
    )
    assert log == ["sync closed", "after sync loop", "async closed", "after async loop", "async closed"]


async def test_early_break_on_luajit_closes_the_generator_at_the_latest_with_the_runtime() -> None:
    log: list[str] = []

    async def ticks() -> AsyncIterator[int]:
        try:
            while True:
                await trio.sleep(1)
                yield 1
        finally:
            log.append("closed")

    async with opened("luajit") as runtime:
        runtime.register("ticks", ticks)
        await runtime.run("for i in ticks() do break end collectgarbage() collectgarbage()")
        await trio.sleep(1)
    assert log == ["closed"]


async def test_cancellation_inside_a_loop_over_a_generator_runs_its_cleanup(lua_with_close: Lua) -> None:
    log: list[str] = []

    async def ticks() -> AsyncIterator[int]:
        try:
            while True:
                await trio.sleep(10)
                yield 1
        finally:
            log.append("closed")

    assert await lua_with_close(
        """
        local v, why = task.timeout(5, function() for _ in ticks() do end end)
        local w, reason = task.timeout(15, function() for _ in ticks() do task.sleep(100) end end)
        return why, reason
        """,
        host={"ticks": ticks},
    ) == ("timeout", "timeout")
    assert log == ["closed", "closed"]


async def test_sync_generator_in_a_cancelled_task_runs_its_cleanup(lua_with_close: Lua) -> None:
    log: list[str] = []

    def numbers() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            log.append("closed")

    assert await lua_with_close(
        "return task.timeout(5, function() for _ in numbers() do task.sleep(100) end end)",
        host={"numbers": numbers},
    ) == (None, "timeout")
    assert log == ["closed"]


async def test_exception_inside_a_generator_is_raised_in_the_loop(lua: Lua) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise Refused("in generator")

    async def broken_later() -> AsyncIterator[int]:
        yield 1
        await trio.sleep(1)
        raise Refused("in async generator")

    assert await lua(
        """
        local log = {}
        for _, f in ipairs({ broken, broken_later }) do
          local ok, e = pcall(function() for i in f() do log[#log + 1] = i end end)
          log[#log + 1] = e.kind .. ": " .. e.message
        end
        return log
        """,
        host={"broken": broken, "broken_later": broken_later},
    ) == [1, "Refused: in generator", 1, "Refused: in async generator"]


async def test_yielded_none_is_a_clear_error(lua: Lua) -> None:
    def holes() -> Iterator[None]:
        yield None

    ok, message = await lua(
        "local ok, e = pcall(function() for _ in holes() do end end) return ok, e.message",
        host={"holes": holes},
    )
    assert not ok
    assert message == "'holes' yielded None, which would end a Lua loop; yield False or a tuple"


async def test_cancel_scope_inside_an_async_generator_keeps_its_task(lua: Lua) -> None:
    async def guarded() -> AsyncIterator[int]:
        with trio.CancelScope():
            for i in range(3):
                await trio.sleep(1)
                yield i

    assert (
        await lua("local s = 0 for i in guarded() do s = s + i end return s", host={"guarded": guarded}) == 3
    )


async def test_an_iterator_left_open_is_closed_with_the_runtime(engine: str) -> None:
    log: list[str] = []

    async def ticks() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            log.append("closed")

    async with opened(engine) as runtime:
        runtime.register("ticks", ticks)
        await runtime.run("kept = ticks() return kept()")
        assert log == []
    assert log == ["closed"]


# -- Lua functions in Python's hands -------------------------------------------------------------


async def test_call_sync_in_a_synchronous_host_function_lets_other_tasks_go_on(lua: Lua) -> None:
    def apply(function: scheduler.LuaFunction, x: int) -> Any:
        return function.call_sync(x)

    assert await lua(
        """
        local log = {}
        task.spawn(function() task.sleep(1) log[#log + 1] = "other task" end)
        local value = apply(function(x) task.sleep(2) log[#log + 1] = "callback" return x * 2 end, 21)
        log[#log + 1] = value
        return log
        """,
        host={"apply": apply},
    ) == ["other task", "callback", 42]


async def test_call_sync_nested_and_interleaved(lua: Lua) -> None:
    def apply(function: scheduler.LuaFunction, *args: Any) -> Any:
        return function.call_sync(*args)

    assert await lua(
        """
        local log = {}
        local function work(name, seconds)
          return apply(function()
            local inner = apply(function() task.sleep(seconds) return name .. " inner" end)
            task.sleep(seconds)
            log[#log + 1] = name
            return inner
          end)
        end
        local got = task.all({
          function() return work("slow", 2) end,
          function() return work("quick", 1) end,
        })
        return { log, got }
        """,
        host={"apply": apply},
    ) == [["quick", "slow"], ["slow inner", "quick inner"]]


async def test_error_in_call_sync_reaches_python_and_goes_on_to_lua(lua: Lua) -> None:
    seen: list[str] = []

    def apply(function: scheduler.LuaFunction) -> None:
        try:
            function.call_sync()
        except scheduler.LuaError as error:
            seen.append(error.message)
            raise

    ok, kind, message = await lua(
        """
        local ok, e = pcall(apply, function() task.sleep(1) error("inside", 0) end)
        return ok, e.kind, e.message
        """,
        host={"apply": apply},
    )
    assert (ok, kind, message, seen) == (False, "LuaError", "inside", ["inside"])


async def test_call_sync_in_the_wrong_place_says_what_to_do(engine: str) -> None:
    async def wrong(function: scheduler.LuaFunction) -> None:
        function.call_sync()

    async with opened(engine) as runtime:
        function = await runtime.run("return function() end")
        with pytest.raises(RuntimeError, match="use `await function"):
            function.call_sync()
        runtime.register("wrong", wrong)
        with pytest.raises(
            scheduler.LuaError, match="call_sync works only inside a synchronous host function"
        ):
            await runtime.run("wrong(function() end)")


async def test_lua_function_awaited_in_an_async_host_function(lua: Lua) -> None:
    async def twice(function: scheduler.LuaFunction, x: int) -> Any:
        return await function(await function(x))

    assert (
        await lua("return twice(function(x) task.sleep(1) return x * 3 end, 2)", host={"twice": twice}) == 18
    )


async def test_cancelling_an_awaited_lua_function_cancels_it_and_waits_for_its_cleanup(
    engine_with_close: str,
) -> None:
    log: list[str] = []
    async with opened(engine_with_close) as runtime:
        runtime.register("note", log.append)
        function = await runtime.run("""
            return function()
              local guard <close> = setmetatable({}, { __close = function()
                task.shield(function() task.sleep(2) note("cleanup") end)
              end })
              task.sleep(100)
            end
        """)
        began = trio.current_time()
        with trio.move_on_after(1) as scope:
            await function()
        assert scope.cancelled_caught
        assert trio.current_time() - began == pytest.approx(3)
    assert log == ["cleanup"]


async def test_awaited_lua_function_that_fails_raises_lua_error_and_nothing_else_ends(engine: str) -> None:
    async with opened(engine) as runtime:
        function = await runtime.run("return function() error('mine', 0) end")
        with pytest.raises(scheduler.LuaError, match="mine"):
            await function()
        assert await runtime.run("return 'alive'") == "alive"


async def test_python_function_as_a_callback_value_may_be_called_long_after(lua: Lua) -> None:
    log: list[int] = []

    def subscribe() -> Any:
        return log.append

    assert (
        await lua(
            "local f = subscribe() collectgarbage() task.sleep(1) f(1) collectgarbage() f(2)",
            host={"subscribe": subscribe},
        )
        is None
    )
    assert log == [1, 2]


def test_no_host_object_is_reachable_from_scripts() -> None:
    """`python` of lupa, and the door of the kernel, are not there."""
    assert "lupa" in sys.modules
    script = """
        local found = {}
        local seen = {}
        local function walk(t, path)
          if seen[t] then return end
          seen[t] = true
          for key, value in pairs(t) do
            if type(value) == "userdata" then found[#found + 1] = path .. "." .. tostring(key) end
            if type(value) == "table" then walk(value, path .. "." .. tostring(key)) end
          end
        end
        walk(_G, "_G")
        return found, python == nil, package.loaded.python == nil, _G["[portal]"] == nil
    """

    async def main() -> Any:
        async with opened() as runtime:
            return await runtime.run(script)

    found, *gone = trio.run(main)
    assert [name for name in found if ".std" not in name] == []
    assert gone == [True, True, True]


async def test_a_block_that_is_cancelled_already_starts_no_task(engine: str) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        async with scheduler.open_runtime(engine=engine):
            pytest.fail("the block began")
    assert scope.cancelled_caught
