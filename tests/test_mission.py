"""Lines of the mission that no other test proves, and the table that says which hold (docs/mission.md)."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest
import trio
from conftest import Lua, opened

import scheduler

ROOT = Path(__file__).parents[1]


async def test_a14_errors_inside_an_asynchronous_call_are_lua_errors_with_the_text(lua: Lua) -> None:
    async def fetch(url: str) -> str:
        await trio.sleep(1)
        raise ConnectionError(f"no answer from {url}")

    assert await lua(
        "local ok, err = pcall(fetch, 'a.example') return ok, tostring(err)", host={"fetch": fetch}
    ) == (False, "ConnectionError: no answer from a.example")


async def test_a26_long_waits_never_end_in_a_timeout_nobody_asked_for(lua: Lua) -> None:
    async def answer() -> str:
        await trio.sleep(80_000)
        return "at last"

    assert await lua("return answer(), task.sleep(1e6), task.now()", host={"answer": answer}) == (
        "at last",
        1e6,
        1_080_000,
    )


@pytest.mark.trio(run=trio.run)
async def test_b8_handlers_are_tasks_on_the_loop_and_blocking_python_goes_to_a_thread(lua: Lua) -> None:
    loop_thread = threading.get_ident()
    both_are_in = threading.Barrier(2, timeout=30)
    threads: list[int] = []

    def block() -> None:
        both_are_in.wait()  # returns only when both calls are under way at once
        threads.append(threading.get_ident())

    async def handle() -> bool:
        here = threading.get_ident() == loop_thread
        await trio.to_thread.run_sync(block)
        return here

    assert await lua("return task.all({ handle, handle })", host={"handle": handle}) == [True, True]
    assert loop_thread not in threads


async def test_c10_hand_written_loop_with_the_global_sleep(lua: Lua) -> None:
    assert await lua("""
        local frames, results = 0, {}
        for i = 1, 3 do
          task.spawn(function() sleep(0.1 * i) results[#results + 1] = i end)
        end
        while #results < 3 do frames = frames + 1 sleep(0.0625) end
        return frames, results, type(sleep)
    """) == (5, [1, 2, 3], "function")


@pytest.mark.trio(run=trio.run)
async def test_c13_c14_callbacks_of_threads_run_on_the_lua_thread_and_share_its_state(
    lua: Lua,
) -> None:
    loop_thread = threading.get_ident()
    seen: list[bool] = []

    async def compute(number: int, callback: Any) -> None:
        value = await trio.to_thread.run_sync(lambda: (number * number, threading.get_ident() != loop_thread))
        await callback(*value)

    def note() -> None:
        seen.append(threading.get_ident() == loop_thread)

    result = await lua(
        """
        local sum = 0 -- an upvalue: the callback is the same function, not a copy of it
        task.map({ 1, 2, 3 }, function(n)
          compute(n, function(square, elsewhere)
            assert(elsewhere)
            note()
            sum = sum + square
          end)
        end)
        return sum
        """,
        host={"compute": compute, "note": note},
    )
    assert (result, seen) == (14, [True] * 3)


async def test_e2_e39_join_returns_the_result_or_raises_the_lua_error(engine: str) -> None:
    async with opened(engine) as runtime:
        assert await runtime.spawn("return 1").join() == 1
        with pytest.raises(scheduler.LuaError, match="string:1: broken"):
            await runtime.spawn("error('broken')").join()


async def test_e28_every_reason_to_wait_is_answered(lua: Lua) -> None:
    async def host() -> str:
        await trio.sleep(1)
        return "host"

    assert await lua(
        """
        task.spawn(function() sleep(3) event.emit("news", "event") end)
        local joined = task.spawn(function() sleep(1) return "joined" end)
        local log = {}
        coroutine.yield()
        log[#log + 1] = "cooperative at " .. task.now()
        sleep(0.5)
        log[#log + 1] = "sleep at " .. task.now()
        log[#log + 1] = joined:join() .. " at " .. task.now()
        log[#log + 1] = host() .. " at " .. task.now()
        log[#log + 1] = event.wait("news") .. " at " .. task.now()
        for i, line in ipairs(log) do log[i] = line:gsub("%.0$", "") end
        return log
        """,
        host={"host": host},
    ) == ["cooperative at 0", "sleep at 0.5", "joined at 1", "host at 2", "event at 3"]


async def test_e34_blocked_tasks_say_by_what(engine: str) -> None:
    async with opened(engine) as runtime:
        runtime.register("callback", trio.sleep_forever)
        runtime.spawn("task.scope(function(scope) scope:spawn(event.wait, 'news') end)")
        runtime.spawn("callback()")
        await trio.testing.wait_all_tasks_blocked()
        assert [(info.status, info.reason, info.detail) for info in runtime.tasks()] == [
            ("blocked", "resource", "the end of 1 task of its scope"),
            ("blocked", "host", "callback"),
            ("blocked", "event", "event 'news'"),
        ]
        runtime.cancel()


async def test_e37_a_step_completes_yields_blocks_or_fails(lua: Lua) -> None:
    assert await lua("""
        local function after_one_step(fn)
          local t = task.spawn(fn)
          task.yield()
          local status, reason = t:status(), t:info().reason
          t:cancel()
          return status .. " " .. tostring(reason)
        end
        local failed
        pcall(task.scope, function(scope) failed = scope:spawn(error, "x") end)
        return {
          after_one_step(function() end),
          after_one_step(function() task.yield() end),
          after_one_step(function() event.wait("x") end),
          after_one_step(function() sleep(1) end),
          failed:status(),
        }
    """) == ["done nil", "ready nil", "blocked event", "sleeping sleep", "failed"]


# -- the table -----------------------------------------------------------------------------------


@pytest.mark.trio(run=trio.run)
async def test_a28_a_task_that_computes_does_not_stall_other_work(engine_with_close: str) -> None:
    """Neither tasks of Lua nor the program's; both have their turns before the computation ends."""
    async with opened(engine=engine_with_close) as runtime:
        busy = runtime.spawn("while true do end")
        beats = runtime.spawn("local n = 0; while true do sleep(0.001); n = n + 1; event.emit('beat', n) end")
        while await runtime.wait_event("beat") < 3:
            assert busy.status == "running"
        busy.cancel()
        beats.cancel()


@pytest.mark.trio(run=trio.run)
async def test_e14_timeout_ends_a_task_that_never_waits(engine_with_close: str) -> None:
    async with opened(engine=engine_with_close) as runtime:
        assert await runtime.run("return task.timeout(0.01, function() while true do end end)") == (
            None,
            "timeout",
        )
        with pytest.raises(scheduler.TaskTimeout):
            await runtime.run("while true do pcall(function() while true do end end) end", timeout=0.01)


def rows() -> list[tuple[str, list[str]]]:
    """The ids of each row that holds, and the tests it names."""
    text = (ROOT / "docs" / "mission.md").read_text()
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and re.fullmatch(r"[A-E]\d+", cells[0]):
            found.append((cells[0], re.findall(r"`([\w/.]+::\w+)`", cells[2])))
    return found


def test_every_line_that_holds_names_a_test() -> None:
    assert len(rows()) > 20
    assert [line for line, tests in rows() if not tests] == []


def test_every_named_test_exists() -> None:
    missing = []
    for _line, tests in rows():
        for name in tests:
            path, function = name.split("::")
            file = ROOT / path
            if not file.exists() or not re.search(rf"def {function}\(", file.read_text()):
                missing.append(name)
    assert missing == []
