"""Scopes, timeouts and shields: who waits for whom and how failures travel."""

from __future__ import annotations

import pytest
from conftest import Lua

import scheduler


async def test_scope_returns_the_values_of_its_function_when_all_children_have_ended(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        local began = task.now()
        local a, b, c = task.scope(function(scope)
          scope:spawn(function() task.sleep(2) log[#log + 1] = "child" end)
          task.spawn(function() task.sleep(3) log[#log + 1] = "spawned inside" end)
          log[#log + 1] = "body"
          return 1, nil, 3
        end)
        log[#log + 1] = { a, tostring(b), c }
        log[#log + 1] = task.now() - began
        return log
    """) == ["body", "child", "spawned inside", [1, "nil", 3], 3]


async def test_children_that_spawn_keep_the_scope_open(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        task.scope(function(scope)
          scope:spawn(function()
            task.spawn(function() task.sleep(5) log[#log + 1] = "grandchild" end)
            log[#log + 1] = "child"
          end)
        end)
        log[#log + 1] = "after"
        return log
    """) == ["child", "grandchild", "after"]


async def test_first_failure_cancels_the_rest_and_is_raised(lua: Lua) -> None:
    assert await lua("""
        local log, began = {}, task.now()
        local sibling
        local ok, e = pcall(task.scope, function(scope)
          sibling = scope:spawn(function() task.sleep(10) log[#log + 1] = "never" end)
          scope:spawn(function() task.sleep(1) error("child failed", 0) end)
          task.sleep(20)
          log[#log + 1] = "never either"
        end)
        return { ok, e, sibling:status(), #log, task.now() - began }
    """) == [False, "child failed", "cancelled", 0, 1]


async def test_failure_of_the_body_cancels_the_children_and_is_raised(lua: Lua) -> None:
    assert await lua("""
        local child
        local ok, e = pcall(task.scope, function(scope)
          child = scope:spawn(task.sleep, 10)
          task.sleep(1)
          error({ code = 7 })
        end)
        return { ok, e.code, child:status() }
    """) == [False, 7, "cancelled"]


async def test_several_failures_are_raised_together_in_one_error_that_lists_all(lua: Lua) -> None:
    ok, kind, text, values = await lua("""
        local ok, e = pcall(task.scope, function(scope)
          for _, name in ipairs({ "first", "second" }) do
            scope:spawn(function() task.sleep(1) error(name, 0) end)
          end
          scope:spawn(function() task.sleep(1) error({ code = 3 }) end)
        end)
        return ok, e.kind, tostring(e), { e.errors[1], e.errors[2], e.errors[3].code }
    """)
    assert (ok, kind, values) == (False, "failures", ["first", "second", 3])
    assert text.splitlines() == [
        "3 tasks failed:",
        "  1. first",
        "  2. second",
        "  3. (error object is a table value)",
    ]


async def test_failure_during_cleanup_after_a_failure_is_listed_too(lua_with_close: Lua) -> None:
    assert await lua_with_close("""
        local ok, e = pcall(task.scope, function(scope)
          scope:spawn(function()
            local guard <close> = setmetatable({}, { __close = function() error("cleanup failed", 0) end })
            task.sleep(10)
          end)
          scope:spawn(function() task.sleep(1) error("cause", 0) end)
        end)
        return { ok, e.errors[1], e.errors[2] }
    """) == [False, "cause", "cleanup failed"]


async def test_failure_joined_by_somebody_does_not_end_the_scope(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        task.scope(function(scope)
          local failing = scope:spawn(function() task.sleep(1) error("handled", 0) end)
          scope:spawn(function() task.sleep(2) log[#log + 1] = "goes on" end)
          log[#log + 1] = { pcall(failing.join, failing) }
        end)
        return log
    """) == [[False, "handled"], "goes on"]


async def test_failure_nobody_handles_ends_the_script(lua: Lua) -> None:
    with pytest.raises(scheduler.LuaError, match="nobody looks") as caught:
        await lua("""
            task.spawn(function() error("nobody looks") end)
            task.sleep(100)
        """)
    assert caught.value.message == "string:2: nobody looks"


async def test_failure_travels_through_nested_scopes(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        local ok, e = pcall(task.scope, function()
          task.spawn(function()
            task.scope(function()
              task.spawn(function()
                task.scope(function() task.spawn(error, "deep", 0) end)
                log[#log + 1] = "never"
              end)
            end)
            log[#log + 1] = "never"
          end)
        end)
        return { ok, e, #log }
    """) == [False, "deep", 0]


async def test_scope_cancel_ends_children_and_is_no_error(lua: Lua) -> None:
    assert await lua("""
        local child
        local value, why = task.scope(function(scope)
          child = scope:spawn(task.sleep, 100)
          task.sleep(1)
          local first = scope:cancel("enough")
          task.sleep(1)
          return "not reached"
        end)
        return { tostring(value), why, child:status(), child:info().status }
    """) == ["nil", "enough", "cancelled", "cancelled"]


async def test_values_of_a_body_that_ended_before_its_scope_was_cancelled_are_kept(lua: Lua) -> None:
    assert (
        await lua("""
        return task.scope(function(scope)
          scope:spawn(function() task.sleep(1) scope:cancel() end)
          scope:spawn(task.sleep, 100)
          return "kept"
        end)
    """)
        == "kept"
    )


async def test_scope_can_be_cancelled_from_a_sibling_task(lua: Lua) -> None:
    assert await lua("""
        local shared
        local t = task.spawn(function()
          return task.scope(function(scope) shared = scope; task.sleep(100) return "never" end)
        end)
        task.sleep(1)
        shared:cancel("from outside")
        local value, why = t:join()
        return { value == nil, why, t:status() }
    """) == [True, "from outside", "done"]


async def test_spawning_in_another_tasks_scope_makes_it_wait(lua: Lua) -> None:
    assert await lua("""
        local shared, log = nil, {}
        local t = task.spawn(function()
          task.scope(function(scope) shared = scope; task.sleep(2) end)
          log[#log + 1] = "scope left"
        end)
        task.sleep(1)
        shared:spawn(function() task.sleep(5) log[#log + 1] = "guest" end)
        t:join()
        return log
    """) == ["guest", "scope left"]


async def test_spawning_in_an_ended_scope_is_an_error(lua: Lua) -> None:
    ok, error = await lua("""
        local kept
        task.scope(function(scope) kept = scope end)
        return pcall(function() kept:spawn(print) end)
    """)
    assert not ok
    assert error == "string:4: cannot spawn in a scope that has ended"


async def test_timeout_returns_values_in_time(lua: Lua) -> None:
    assert await lua("""
        local a, b, c = task.timeout(5, function(x, y) task.sleep(1) return x, y, "z" end, "x", nil)
        return { a, tostring(b), c }
    """) == ["x", "nil", "z"]


async def test_e14_timeout_cancels_everything_inside(lua: Lua) -> None:
    assert await lua("""
        local log, tasks, began = {}, {}, task.now()
        local value, why = task.timeout(2, function()
          tasks[1] = task.spawn(task.sleep, 100)
          task.scope(function()
            tasks[2] = task.spawn(function()
              task.scope(function() tasks[3] = task.spawn(event.wait, "never") end)
            end)
          end)
          log[#log + 1] = "never"
        end)
        for i, t in ipairs(tasks) do log[i] = t:status() end
        return { tostring(value), why, log, task.now() - began }
    """) == ["nil", "timeout", ["cancelled", "cancelled", "cancelled"], 2]


async def test_timeout_of_0_cancels_at_the_first_wait(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        local value, why = task.timeout(0, function()
          log[#log + 1] = "started"
          task.sleep(1)
          log[#log + 1] = "never"
        end)
        return { log, tostring(value), why }
    """) == [["started"], "nil", "timeout"]


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [(1, 5, ["outer: timeout"]), (5, 1, ["inner: timeout", "outer: done"]), (5, 5, ["outer: timeout"])],
)
async def test_nested_timeouts_end_where_the_time_has_passed(
    lua: Lua, outer: int, inner: int, expected: list[str]
) -> None:
    assert (
        await lua(
            """
            local outer, inner = ...
            local log = {}
            local v, why = task.timeout(outer, function()
              local w, reason = task.timeout(inner, task.sleep, 100)
              log[#log + 1] = "inner: " .. reason
              return "done"
            end)
            log[#log + 1] = "outer: " .. (v or why)
            return log
            """,
            outer,
            inner,
        )
        == expected
    )


async def test_error_inside_a_timeout_is_raised(lua: Lua) -> None:
    assert await lua("""
        return pcall(task.timeout, 5, function() task.sleep(1) error("inside", 0) end)
    """) == (False, "inside")


async def test_timeout_leaves_no_deadline_behind(lua: Lua) -> None:
    assert await lua("""
        local v = task.timeout(1, function() return "quick" end)
        task.sleep(10)
        return v, task.current():status()
    """) == ("quick", "running")


async def test_timeout_waits_for_the_cleanup_of_what_it_cancelled(lua_with_close: Lua) -> None:
    assert await lua_with_close("""
        local log, began = {}, task.now()
        task.timeout(1, function()
          local guard <close> = setmetatable({}, { __close = function()
            task.shield(function() task.sleep(3) log[#log + 1] = task.now() - began end)
          end })
          task.sleep(100)
        end)
        log[#log + 1] = task.now() - began
        return log
    """) == [4, 4]


async def test_shield_lets_work_end_although_the_task_is_cancelled(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        local t = task.spawn(function()
          local a, b = task.shield(function(x)
            task.sleep(2)
            log[#log + 1] = "saved"
            return x, "b"
          end, "a")
          log[#log + 1] = a .. b
          task.sleep(1)
          log[#log + 1] = "never"
        end)
        task.sleep(1)
        t:cancel()
        pcall(t.join, t)
        log[#log + 1] = t:status()
        return log
    """) == ["saved", "ab", "cancelled"]


async def test_timeout_inside_a_shield_still_works(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        local t = task.spawn(function()
          task.shield(function()
            local v, why = task.timeout(2, task.sleep, 100)
            log[#log + 1] = why
          end)
        end)
        task.sleep(1)
        t:cancel()
        pcall(t.join, t)
        log[#log + 1] = t:status()
        return log
    """) == ["timeout", "done"]


async def test_tasks_spawned_inside_a_shield_are_shielded_too(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        local t = task.spawn(function()
          task.shield(function()
            task.spawn(function() task.sleep(3) log[#log + 1] = "child saved" end)
          end)
        end)
        task.sleep(1)
        t:cancel()
        pcall(t.join, t)
        return log
    """) == ["child saved"]


async def test_children_of_a_task_without_scope_live_in_the_tasks_scope(lua: Lua) -> None:
    """`task.spawn` in a task makes a child of the current scope, which is its parent's."""
    assert await lua("""
        local log = {}
        task.scope(function(scope)
          scope:spawn(function()
            task.spawn(function() task.sleep(5) log[#log + 1] = "outlives its spawner" end)
          end):join()
          log[#log + 1] = "spawner ended"
        end)
        return log
    """) == ["spawner ended", "outlives its spawner"]


async def test_scope_with_only_background_tasks_ends_at_once(lua: Lua) -> None:
    assert await lua("""
        local began, t = task.now(), nil
        local value = task.scope(function(scope)
          t = scope:spawn_with({ background = true }, event.wait, "never")
          return "value"
        end)
        return { value, t:status(), task.now() - began }
    """) == ["value", "cancelled", 0]


async def test_failing_background_task_ends_its_scope(lua: Lua) -> None:
    assert await lua("""
        return pcall(task.scope, function(scope)
          scope:spawn_with({ background = true }, function() task.sleep(1) error("pump broke", 0) end)
          task.sleep(100)
        end)
    """) == (False, "pump broke")


async def test_script_ends_when_the_main_chunk_and_its_tasks_have(lua: Lua) -> None:
    log: list[str] = []
    result = await lua(
        """
        task.spawn(function() task.sleep(3) note("task") end)
        note("chunk")
        return "value"
        """,
        host={"note": log.append},
    )
    assert (result, log) == ("value", ["chunk", "task"])


async def test_a_coroutine_cannot_yield_out_of_a_scope_it_has_opened(lua: Lua) -> None:
    """A timeout in a generator that nobody resumes used to cancel whatever its task did next."""
    assert await lua("""
        local child
        local function generator()
          return coroutine.wrap(function()
            task.timeout(5, function()
              child = task.spawn(task.sleep, 100)
              coroutine.yield("inside")
            end)
          end)
        end
        local ok, e = pcall(generator())
        local slept = task.sleep(10)
        return ok, (e:gsub("^.-:%d+: ", "")), child:status(), slept
    """) == (
        False,
        "a coroutine yielded inside a scope it had opened; "
        "end task.scope, task.timeout or task.shield before",
        "cancelled",
        10,
    )


async def test_a_failure_in_a_scope_left_open_by_a_coroutine_is_not_lost(lua: Lua) -> None:
    assert await lua("""
        local generator = coroutine.wrap(function()
          task.scope(function(scope)
            scope:spawn(error, "from the child", 0)
            task.shield(task.sleep, 1)
            coroutine.yield("inside")
          end)
        end)
        return pcall(generator)
    """) == (False, "from the child")


async def test_a_raw_yield_at_task_level_can_be_cancelled(lua: Lua) -> None:
    assert await lua("""
        local closed = 0
        local t = task.spawn(function()
          local ok = pcall(function()
            while true do coroutine.yield() end
          end)
          closed = closed + 1
        end)
        task.yield()
        t:cancel()
        return (pcall(t.join, t)), t:status(), closed
    """) == (False, "cancelled", 0)


async def test_children_that_finalizers_spawn_are_cancelled_with_their_scope(lua_with_close: Lua) -> None:
    """A finalizer that ran in the middle of a spawn cut the list of children: a timeout missed some."""
    code = """
        local began = task.now()
        local function spawn() task.spawn(task.sleep, 1000) end
        local _, why = task.timeout(5, function()
          for _ = 1, 5000 do
            setmetatable({}, { __gc = spawn })
            task.spawn(task.sleep, 1000)
          end
        end)
        return why, task.now() - began
    """
    why, now = await lua_with_close(code)
    assert (why, round(now, 3)) == ("timeout", 5)
