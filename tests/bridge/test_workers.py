"""Asynchronous host calls: what a worker may do, and to whose call a message belongs."""

from __future__ import annotations

import contextvars
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

import scheduler

variable = contextvars.ContextVar("variable", default=0)


async def ticks() -> AsyncIterator[int]:
    token = variable.set(1)
    for number in range(3):
        await trio.sleep(1)
        yield number
    variable.reset(token)


async def test_an_iterator_is_advanced_by_one_task_at_a_time(engine: str) -> None:
    """The second step used to wake the worker out of the generator's own sleep, and the runtime died."""
    async with scheduler.open_runtime(engine=engine) as runtime:
        runtime.register("ticks", ticks)
        assert await runtime.run("""
            local advance = ticks()
            local other = task.spawn(advance)
            task.yield()
            local ok, e = pcall(advance)
            return ok, e.message, other:join(), advance()
        """) == (False, "the iterator of 'ticks' is being advanced by another task", 0, 1)


async def test_steps_of_an_iterator_share_one_context(engine: str) -> None:
    async with scheduler.open_runtime(engine=engine) as runtime:
        runtime.register("ticks", ticks)
        assert await runtime.run("local n = 0 for i in ticks() do n = n + i end return n") == 3


async def test_context_of_one_call_is_not_seen_by_the_next(engine: str) -> None:
    async with scheduler.open_runtime(engine=engine) as runtime:
        runtime.register("set", lambda: variable.set(7) and None)
        runtime.register("get", variable.get)
        assert await runtime.run("set() return get()") == 0


async def test_a_call_can_be_cancelled_after_one_that_was_cancelled_in_call_sync(engine: str) -> None:
    """The mark "its cancellation was asked for" used to outlive a synchronous call."""
    async with scheduler.open_runtime(engine=engine) as runtime:
        runtime.register("call", lambda function: function.call_sync())
        runtime.register("later", trio.sleep)
        assert await runtime.run("""
            task.timeout(1, call, function() task.sleep(50) end)
            local began = task.now()
            task.timeout(1, later, 100)
            return task.now() - began
        """) == pytest.approx(1)


async def test_a_late_cancellation_does_not_hit_the_next_call(engine: str) -> None:
    """A synchronous function that cancels its own task; the task goes on into a shielded call."""
    async with scheduler.open_runtime(engine=engine) as runtime:
        tasks: list[scheduler.LuaTask] = []
        runtime.register("stop_me", lambda: tasks[0].cancel("stop"))

        async def later() -> str:
            await trio.sleep(1)
            return "finished"

        seen: list[str] = []
        runtime.register("later", later)
        runtime.register("note", seen.append)
        tasks.append(runtime.spawn("stop_me() note(task.shield(later)) task.sleep(1)"))
        with pytest.raises(scheduler.TaskCancelled):
            await tasks[0].join()
        assert seen == ["finished"]


async def test_stop_async_iteration_of_a_function_is_an_error(engine: str) -> None:
    async def stop() -> None:
        raise StopAsyncIteration("mine")

    async with scheduler.open_runtime(engine=engine) as runtime:
        runtime.register("stop", stop)
        result = await runtime.run("local ok, e = pcall(stop) return ok, e.kind")
        assert result == (False, "StopAsyncIteration")


async def test_an_api_call_from_another_thread_says_so_and_does_no_harm(engine: str) -> None:
    """It used to take the driver's wake-up with it: nothing could end the runtime any more."""
    async with scheduler.open_runtime(engine=engine) as runtime:
        task = runtime.spawn("return event.wait('go')")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(scheduler.WrongThread, match="from_thread"):
            await trio.to_thread.run_sync(runtime.emit, "go", 1)
        runtime.emit("go", 2)
        assert await task.join() == 2


async def test_the_loser_of_a_race_does_not_take_its_failure_along(engine_with_close: str) -> None:
    async with scheduler.open_runtime(engine=engine_with_close) as runtime:
        with pytest.raises(scheduler.LuaError, match="cleanup failed"):
            await runtime.run("""
                local loser = task.spawn(function()
                  local guard <close> = setmetatable({}, { __close = function() error("cleanup failed") end })
                  task.sleep(100)
                end)
                task.race({ loser, function() task.sleep(1) end })
            """)


@pytest.mark.parametrize("call", ["sync", "async"])
async def test_joining_the_task_that_waits_for_the_callback_is_an_error(engine: str, call: str) -> None:
    """A cycle through Python used to hang."""
    async with scheduler.open_runtime(engine=engine) as runtime:

        async def wait(function: scheduler.LuaFunction) -> object:
            return await function()

        runtime.register("call", wait if call == "async" else lambda function: function.call_sync())
        message = await runtime.run("""
            local me = task.current()
            local ok, e = pcall(call, function() return me:join() end)
            return tostring(e)
        """)
        assert "cannot join: it would wait for itself" in message
