"""Errors of any make are printed safely: bounded, once, in the task that failed. Needs safe_errors.patch."""

from __future__ import annotations

import pytest
import trio
from harness import sandboxed

import scheduler

LIMIT = 8192 + 40


async def failure(engine: str, code: str) -> scheduler.LuaError:
    async with sandboxed(engine, detect_deadlock=True) as runtime:
        with pytest.raises(scheduler.LuaError) as caught:
            await runtime.run(code)
    return caught.value


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("error(('x'):rep(1e6), 0)", "xxx"),
        ("error(setmetatable({}, { __tostring = function() return ('y'):rep(1e6) end }))", "yyy"),
        ("error(setmetatable({}, { __name = ('z'):rep(1e6) }))", "zzz"),
        (
            "error(setmetatable({}, { __tostring = function() error('no') end }))",
            "(error object is a table value",
        ),
        (
            "error(setmetatable({}, { __tostring = function() return {} end }))",
            "(error object is a table value",
        ),
        (
            "local function f() return f() .. '' end error(setmetatable({}, { __tostring = f }))",
            "(error object",
        ),
        ("error(setmetatable({}, { __tostring = function() sleep(1) return 'slept' end }))", "slept"),
        ("error(setmetatable({}, { __tostring = function(e) error(e) end }))", "(error object"),
        ("error({ kind = ('k'):rep(1e6), message = ('m'):rep(1e6) })", "mmm"),
        ("error(setmetatable({}, { __index = function() error('no') end }))", ""),
    ],
)
async def test_error_of_any_make_is_reported_within_bounds(
    engine_with_close: str, code: str, expected: str
) -> None:
    error = await failure(engine_with_close, code)
    assert expected in error.message
    assert len(error.message) < LIMIT
    assert len(error.lua_traceback) < LIMIT
    assert len(error.kind or "") <= 100


async def test_group_that_holds_itself_is_printed(engine_with_close: str) -> None:
    """Two references to itself made 2^200 steps, in the report that Python asked for."""
    error = await failure(
        engine_with_close,
        """
        local _, group = pcall(task.scope, function(s)
          s:spawn(function() sleep(1) error("a", 0) end)
          s:spawn(function()
            local watch <close> = setmetatable({}, { __close = function() error("b", 0) end })
            sleep(9)
          end)
        end)
        group.errors[1], group.errors[2] = group, group
        error(group)
        """,
    )
    assert error.message == "2 tasks failed:\n  1. a\n  2. b"


async def test_chunk_that_names_itself_like_ours_does_not_hide(engine_with_close: str) -> None:
    error = await failure(engine_with_close, "load('error(1, 0) -- [scheduler]/')()")
    assert "(load)" in error.lua_traceback or "[string" in error.lua_traceback


async def test_ring_of_coroutines_named_like_ours_does_not_hang_reports(engine_with_close: str) -> None:
    """`runtime.tasks()` followed the local `co` of a chunk that named itself "@[scheduler]/x", for ever."""
    code = """
        local name = "@[scheduler]/x"
        local a = coroutine.create(load("local co = ... coroutine.yield()", name))
        local b = coroutine.create(load("local co = ... coroutine.yield()", name))
        coroutine.resume(a, b) coroutine.resume(b, a)
        load("local co = ... task.sleep(5)", name)(a)
    """
    async with scheduler.open_runtime(engine=engine_with_close) as runtime:
        task = runtime.spawn(code)
        await trio.sleep(1)
        assert len(runtime.tasks()) == 1
        task.cancel()


async def test_mark_of_cancellation_cannot_be_changed(engine_with_close: str) -> None:
    async with sandboxed(engine_with_close) as runtime:
        assert await runtime.run(
            """
            local mark
            task.timeout(1, function()
              local watch <close> = setmetatable({}, { __close = function(_, err) mark = err end })
              sleep(2)
            end)
            return pcall(function() mark.x = 1 end)
            """
        ) == (False, "string:7: a cancellation cannot be changed")
