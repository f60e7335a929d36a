"""The driver: one trio task, woken and never polling, and what it does when things break."""

# ruff: noqa: PT012  # what is tested is raised by the end of an `async with` block

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import trio
from conftest import Lua, opened, trio_tasks

import scheduler


async def test_trio_sees_one_driver_however_many_lua_tasks_there_are(engine: str) -> None:
    async with opened(engine) as runtime:
        before = trio_tasks()
        runtime.spawn("for i = 1, 500 do task.spawn(task.sleep, i) end")
        await trio.sleep(1)
        assert trio_tasks() == before
        assert [name for name in before if name.startswith("lua")] == ["lua cancellation", "lua driver"]
        runtime.cancel()


async def test_idle_workers_are_used_again(engine: str) -> None:
    async def work() -> None:
        await trio.sleep(1)

    async with opened(engine) as runtime:
        runtime.register("work", work)
        await runtime.run("for _ = 1, 20 do work() end")
        assert len([name for name in trio_tasks() if "host call" in name]) == 1
        await runtime.run("task.all({ work, work, work })")
        assert len([name for name in trio_tasks() if "host call" in name]) == 3


async def test_e38_a_sleeping_runtime_runs_one_slice_per_wake_up(engine: str) -> None:
    async with opened(engine) as runtime:
        task = runtime.spawn("for _ = 1, 10 do task.sleep(1) end")
        await trio.sleep(0.5)
        before = runtime.statistics().slices
        await task.join()
        assert runtime.statistics().slices - before <= 12


async def test_e38_a_cancelled_timer_wakes_nobody(engine: str) -> None:
    async with opened(engine) as runtime:
        await runtime.run("for _ = 1, 200 do task.timeout(5, task.yield) end")
        await trio.sleep(1)
        before = runtime.statistics().slices
        await trio.sleep(100)
        assert runtime.statistics().slices - before <= 2


async def test_e28_results_of_host_calls_are_delivered_in_order_of_completion(lua: Lua) -> None:
    async def work(seconds: float) -> float:
        await trio.sleep(seconds)
        return seconds

    assert await lua(
        """
        local log = {}
        for _, s in ipairs({ 3, 1, 2, 1 }) do
          task.spawn(function() local got = work(s) log[#log + 1] = got end)
        end
        task.sleep(5)
        return log
        """,
        host={"work": work},
    ) == [1, 1, 2, 3]


async def test_many_host_results_in_one_batch(lua: Lua) -> None:
    gate = trio.Event()

    async def wait_for_gate(i: int) -> int:
        await gate.wait()
        return i

    assert await lua(
        """
        local log = {}
        local waiters = {}
        for i = 1, 100 do waiters[i] = task.spawn(function() local got = wait(i) log[#log + 1] = got end) end
        task.sleep(1)
        open()
        for _, t in ipairs(waiters) do t:join() end
        table.sort(log)
        return #log, log[1], log[100]
        """,
        host={"wait": wait_for_gate, "open": gate.set},
    ) == (100, 1, 100)


async def test_c13_a_host_function_may_use_the_runtime_that_called_it(engine: str) -> None:
    async with opened(engine) as runtime:
        log: list[Any] = []

        def start(code: str) -> None:
            runtime.spawn(code)
            log.append(runtime.emit("nobody"))
            log.append([info.status for info in runtime.tasks()])

        runtime.register("start", start)
        runtime.register("note", log.append)
        await runtime.run("start('note(\"from the started task\")') task.sleep(1)")
    assert log[0] == 0
    assert log[2] == "from the started task"
    assert "ready" in log[1]


async def test_c13_an_async_host_function_may_run_scripts_in_the_runtime(engine: str) -> None:
    async with opened(engine) as runtime:

        async def evaluate(code: str) -> Any:
            return await runtime.run(code)

        runtime.register("evaluate", evaluate)
        assert await runtime.run("return evaluate('task.sleep(1) return 41') + 1") == 42


async def test_emit_from_a_host_function_wakes_lua_tasks(engine: str) -> None:
    async with opened(engine) as runtime:
        runtime.register("shout", lambda name: runtime.emit(name, "heard"))
        assert await runtime.run("""
            local t = task.spawn(event.wait, "e")
            task.yield()
            local woken = shout("e")
            return woken, t:join()
        """) == (1, "heard")


async def test_synchronous_host_function_works_in_the_cleanup_of_a_cancelled_task(
    lua_with_close: Lua,
) -> None:
    """What does not wait does not raise: a cleanup may log and close without a shield."""
    log: list[str] = []
    await lua_with_close(
        """
        local t = task.spawn(function()
          local guard <close> = setmetatable({}, { __close = function() note("closing") note("closed") end })
          task.sleep(100)
        end)
        task.sleep(1)
        t:cancel()
        pcall(t.join, t)
        """,
        host={"note": log.append},
    )
    assert log == ["closing", "closed"]


async def test_async_host_function_in_the_cleanup_of_a_cancelled_task_needs_a_shield(
    lua_with_close: Lua,
) -> None:
    log: list[str] = []

    async def save(what: str) -> None:
        await trio.sleep(1)
        log.append(what)

    await lua_with_close(
        """
        local t = task.spawn(function()
          local guard <close> = setmetatable({}, { __close = function()
            task.shield(function() save("shielded") end)
            save("bare")
          end })
          task.sleep(100)
        end)
        task.sleep(1)
        t:cancel()
        pcall(t.join, t)
        """,
        host={"save": save},
    )
    assert log == ["shielded"]


async def test_failure_of_the_kernel_is_a_crash_with_its_cause_and_nothing_hangs(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(scheduler.SchedulerCrash, match="the Lua kernel failed") as caught:
        async with opened(engine) as runtime:
            runtime.register("work", lambda: None)

            def broken(_message: Any) -> Any:
                raise MemoryError("no room")

            monkeypatch.setattr(runtime._driver.host, "call", broken)
            runtime.spawn("task.sleep(100)")
            runtime.spawn("work()")
            await trio.sleep_forever()
    assert isinstance(caught.value.__cause__, MemoryError)


async def test_joiners_of_a_crashed_runtime_receive_the_crash(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[str] = []

    async def join(task: scheduler.LuaTask) -> None:
        try:
            await task.join()
        except scheduler.SchedulerCrash as error:
            received.append(type(error).__name__)

    async with trio.open_nursery() as nursery:
        # The body was cut off, so the block raises too, whoever heard it before.
        with pytest.raises(scheduler.SchedulerCrash):
            async with opened(engine) as runtime:
                runtime.register("work", lambda: None)

                def broken(_message: Any) -> Any:
                    raise MemoryError("no room")

                monkeypatch.setattr(runtime._driver.host, "call", broken)
                nursery.start_soon(join, runtime.spawn("task.sleep(100)"))
                await trio.sleep(1)
                nursery.start_soon(join, runtime.spawn("work()"))
                await trio.sleep_forever()
    assert received == ["SchedulerCrash", "SchedulerCrash"]


async def test_runtime_is_collected_after_its_block(engine: str) -> None:
    """Cycles between Python and Lua are never collected, so none may stay."""

    class Tool:
        def use(self) -> str:
            return "used"

    tool = Tool()
    reference = weakref.ref(tool)
    async with opened(engine) as runtime:
        runtime.register("tool.use", tool.use)
        runtime.register("get", lambda tool=tool: tool)
        assert await runtime.run("kept = get() return tool.use()") == "used"
        driver = weakref.ref(runtime._driver)
    del runtime, tool
    gc.collect()
    assert (driver(), reference()) == (None, None)


async def test_runtime_without_a_task_opens_and_closes(engine: str) -> None:
    async with opened(engine) as runtime:
        assert runtime.tasks() == ()


async def test_hundred_runtimes_one_after_the_other(engine: str) -> None:
    for number in range(100):
        async with opened(engine) as runtime:
            assert await runtime.run("return ...", number) == number


async def test_same_program_gives_the_same_trace_every_time(lua: Lua) -> None:
    code = """
        local log = {}
        for i = 1, 20 do
          task.spawn_with({ priority = i % 3 == 0 and "high" or "normal" }, function()
            for step = 1, 3 do
              log[#log + 1] = i * 10 + step
              if (i + step) % 4 == 0 then task.sleep(0.5)
              elseif i % 2 == 0 then task.yield()
              else event.wait("e", step) end
            end
          end)
        end
        for _ = 1, 4 do task.sleep(0.7) event.emit("e") end
        task.sleep(10)
        return log
    """
    first = await lua(code)
    assert len(first) == 60
    assert [await lua(code) for _ in range(3)] == [first] * 3


async def test_a_slice_that_ends_early_does_not_change_the_order_of_a_round(lua: Lua) -> None:
    """A wait without patience ended in the middle of a round, if the machine was slow there."""
    assert await lua("""
        local log = {}
        task.spawn(function() event.wait("never", 0) log[#log + 1] = "timed out" end)
        task.spawn(function()
          local began = os.clock()
          while os.clock() < began + 0.03 do end -- real time: the watchdog ends the slice
        end)
        task.spawn(function() task.yield() log[#log + 1] = "yielded before the timeout" end)
        task.yield() task.yield()
        return log
    """) == ["yielded before the timeout", "timed out"]
