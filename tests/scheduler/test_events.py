"""The `event` library, among Lua tasks."""

from __future__ import annotations

from conftest import Lua


async def test_emit_wakes_every_waiter_in_order_with_all_values(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        for i = 1, 3 do
          task.spawn(function()
            local a, b, c = event.wait("news")
            log[#log + 1] = { i, a, tostring(b), c }
          end)
        end
        task.yield()
        log[#log + 1] = event.emit("news", 1, nil, 3)
        task.yield()
        return log
    """) == [3, [1, 1, "nil", 3], [2, 1, "nil", 3], [3, 1, "nil", 3]]


async def test_an_event_is_not_remembered(lua: Lua) -> None:
    assert await lua("""
        local woken = event.emit("early")
        return woken, event.wait("early", 1)
    """) == (0, None, "timeout")


async def test_emit_is_no_checkpoint_and_wait_without_values_returns_nothing(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        task.spawn(function() local n = select("#", event.wait("go")); log[#log + 1] = n end)
        task.yield()
        event.emit("go")
        log[#log + 1] = "emitted"
        task.yield()
        return log
    """) == ["emitted", 0]


async def test_wait_times_out_with_nil_and_the_reason(lua: Lua) -> None:
    assert await lua("""
        local began = task.now()
        local value, why = event.wait("never", 2.5)
        return { tostring(value), why, task.now() - began }
    """) == ["nil", "timeout", 2.5]


async def test_an_event_just_before_the_timeout_wins(lua: Lua) -> None:
    assert (
        await lua("""
        local t = task.spawn(event.wait, "close", 2)
        task.sleep(1.99)
        event.emit("close", "made it")
        local v = t:join()
        task.sleep(10)
        return v
    """)
        == "made it"
    )


async def test_waiter_that_waits_again_does_not_get_the_same_event_twice(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        task.spawn(function()
          for _ = 1, 2 do local value = event.wait("tick"); log[#log + 1] = value end
        end)
        task.yield()
        event.emit("tick", "first")
        task.yield()
        log[#log + 1] = "between"
        event.emit("tick", "second")
        task.yield()
        return log
    """) == ["first", "between", "second"]


async def test_cancelled_waiter_leaves_the_queue(lua: Lua) -> None:
    assert await lua("""
        local waiters = {}
        for i = 1, 3 do waiters[i] = task.spawn(event.wait, "e") end
        task.yield()
        waiters[2]:cancel()
        local woken = event.emit("e", "v")
        task.yield()
        return { woken, waiters[1]:status(), waiters[2]:status(), waiters[3]:join() }
    """) == [2, "done", "cancelled", "v"]


async def test_timed_out_waiter_leaves_the_queue(lua: Lua) -> None:
    assert await lua("""
        local a = task.spawn(event.wait, "e", 1)
        local b = task.spawn(event.wait, "e", 5)
        task.sleep(2)
        return event.emit("e", "late"), a:join(), b:join()
    """) == (1, None, "late")


async def test_names_are_apart(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        for _, name in ipairs({ "a", "b", "" }) do
          task.spawn(function() event.wait(name); log[#log + 1] = "<" .. name .. ">" end)
        end
        task.yield()
        event.emit("b"); task.yield()
        event.emit(""); task.yield()
        event.emit("a"); task.yield()
        return log
    """) == ["<b>", "<>", "<a>"]


async def test_an_event_reaches_waiters_inside_coroutines_and_sort_callbacks(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        task.spawn(function()
          local generator = coroutine.wrap(function()
            local v = event.wait("e")
            log[#log + 1] = { "nested", v }
          end)
          generator()
        end)
        task.spawn(function()
          table.sort({ 2, 1 }, function(a, b)
            local v = event.wait("e")
            log[#log + 1] = { "sort", v }
            return a < b
          end)
        end)
        task.yield()
        event.emit("e", 5)
        task.yield()
        return log
    """) == [["nested", 5], ["sort", 5]]


async def test_many_waiters_are_woken_again_and_again(lua: Lua) -> None:
    assert await lua("""
        local woken, rounds = 0, 0
        for _ = 1, 500 do
          task.spawn(function()
            for _ = 1, 4 do event.wait("tick"); woken = woken + 1 end
          end)
        end
        task.yield()
        while event.emit("tick") > 0 do rounds = rounds + 1; task.yield() end
        return woken, rounds
    """) == (2000, 4)


async def test_a_task_that_waits_in_a_loop_needs_no_larger_stack(lua: Lua) -> None:
    """Lua wants 20 free slots for a yield: one slot too many in our frames doubled such a task's stack."""
    bytes_each = await lua("""
        local n, waiting = 2000, 0
        local function body(first)
          for _ = 1, first do
            waiting = waiting + 1
            event.wait("go")
          end
        end
        for _ = 1, n do
          task.spawn(body, 1)
        end
        collectgarbage() collectgarbage()
        local before = collectgarbage("count")
        repeat task.yield() until waiting == n
        collectgarbage() collectgarbage()
        local grown = (collectgarbage("count") - before) * 1024 / n
        event.emit("go")
        return grown
    """)
    assert bytes_each < 600, bytes_each
