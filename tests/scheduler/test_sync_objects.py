"""What each kind of object of `sync` means."""

from __future__ import annotations

import pytest
from conftest import Lua, run_in_virtual_time
from hypothesis import given, settings
from hypothesis import strategies as st

import scheduler

# -- mutex ---------------------------------------------------------------------------------------


async def test_mutex_is_handed_over_first_come_first_served(lua: Lua) -> None:
    """Nobody barges in: the one that has just unlocked waits for its next turn like everybody."""
    assert await lua("""
        local m, log, inside = sync.mutex(), {}, 0
        for i = 1, 3 do
          task.spawn(function()
            for turn = 1, 2 do
              m:lock()
              inside = inside + 1
              assert(inside == 1)
              log[#log + 1] = i * 10 + turn
              task.yield()
              inside = inside - 1
              m:unlock()
            end
          end)
        end
        task.sleep(1)
        return log, m:statistics()
    """) == ([11, 21, 31, 12, 22, 32], {"locked": False, "waiting": 0})


async def test_unlock_hands_over_at_once(lua: Lua) -> None:
    assert await lua("""
        local m, log = sync.mutex(), {}
        m:lock()
        local t = task.spawn(function() m:lock() log[#log + 1] = "other" m:unlock() end)
        task.yield()
        m:unlock()
        log[#log + 1] = { m:statistics().owner == t, (select(2, m:try_lock())) }
        m:lock()
        log[#log + 1] = "mine again"
        m:unlock()
        return log
    """) == [[True, "locked"], "other", "mine again"]


async def test_mutex_is_the_owners_alone(lua: Lua) -> None:
    assert await lua("""
        local m = sync.mutex("m")
        local log = {}
        local function try(fn)
          local ok, err = pcall(fn)
          log[#log + 1] = err
        end
        try(function() m:unlock() end)
        m:lock()
        try(function() m:lock() end)
        try(function() m:try_lock() end)
        try(function() m:with(print) end)
        task.spawn_with({ name = "thief" }, function() try(function() m:unlock() end) end):join()
        m:unlock()
        return log
    """) == [
        "string:8: mutex 'm' is not locked",
        "string:10: task 1 'string' holds mutex 'm' already: it would wait for itself",
        "string:11: task 1 'string' holds mutex 'm' already: it would wait for itself",
        "string:12: task 1 'string' holds mutex 'm' already: it would wait for itself",
        "string:13: mutex 'm' is held by task 1 'string': only it can unlock it",
    ]


async def test_try_lock_is_no_checkpoint(lua: Lua) -> None:
    assert await lua("""
        local m, log = sync.mutex(), {}
        local t
        t = task.spawn(function()
          t:cancel()
          log[#log + 1] = m:try_lock()
          m:unlock()
          m:lock()
          log[#log + 1] = "not reached"
        end)
        task.yield()
        log[#log + 1] = t:status()
        return log
    """) == [True, "cancelled"]


WITH = pytest.mark.parametrize(
    ("make", "method", "free"),
    [
        ("sync.mutex()", "with", "not o:statistics().locked"),
        ("sync.semaphore(1)", "with", "o:statistics().permits == 1"),
        ("sync.rwlock()", "with_read", "o:statistics().readers == 0"),
        ("sync.rwlock()", "with_write", "o:statistics().writer == nil"),
    ],
    ids=["mutex", "semaphore", "reading", "writing"],
)


@WITH
async def test_with_returns_the_values_and_releases(lua: Lua, make: str, method: str, free: str) -> None:
    assert await lua(f"""
        local o, held = {make}, nil
        local function n(...) return select("#", ...), ... end
        local function work(...)
          held = not ({free})
          return ...
        end
        local count, a, b, c = n(o:{method}(work, 1, nil, 3, nil))
        return {{ count, a, tostring(b), c, held, {free} }}
    """) == [4, 1, "nil", 3, True, True]


@WITH
async def test_with_releases_on_error_and_keeps_its_traceback(
    lua: Lua, make: str, method: str, free: str
) -> None:
    with pytest.raises(scheduler.LuaError) as caught:
        await lua(f"""
        local o, value = {make}, {{ "any value" }}
        local ok, err = pcall(o.{method}, o, error, value)
        assert(not ok and err == value and {free})
        local function inner()
          error("broken")
        end
        o:{method}(inner)
        """)
    assert caught.value.message == "string:6: broken"
    assert "string:6: in " in caught.value.lua_traceback


@WITH
async def test_with_releases_on_cancellation(lua: Lua, make: str, method: str, free: str) -> None:
    assert await lua(f"""
        local o, log = {make}, {{}}
        local t = task.spawn(function()
          o:{method}(function()
            pcall(task.sleep, 100)
            log[#log + 1] = "swallowed"
          end)
          log[#log + 1] = "went on"
        end)
        task.sleep(1)
        log[#log + 1] = {free}
        t:cancel()
        task.yield()
        log[#log + 1] = {{ {free}, t:status() }}
        return log
    """) == [False, [True, "cancelled"]]


@WITH
async def test_with_waits_its_turn_and_gives_up_when_cancelled(
    lua: Lua, make: str, method: str, free: str
) -> None:
    write = method.replace("with_read", "with_write")
    assert await lua(f"""
        local o, log = {make}, {{}}
        task.spawn(o.{write}, o, task.sleep, 2)
        task.yield()
        local cut = task.spawn(o.{method}, o, function() log[#log + 1] = "cut" end)
        task.spawn(o.{method}, o, function() log[#log + 1] = "second" end)
        task.yield()
        cut:cancel()
        task.sleep(3)
        return log, {free}, o:statistics().waiting
    """) == (["second"], True, 0)


@WITH
async def test_with_needs_a_function(lua: Lua, make: str, method: str, free: str) -> None:
    ok, error, is_free = await lua(f"""
        local o = {make}
        local ok, err = pcall(function()
          o:{method}(5) end)
        return ok, err, {free}
    """)
    assert (ok, is_free) == (False, True)
    assert error == f"string:4: bad argument #1 to '{method}' (function expected, got number)"


async def test_with_lets_its_function_unlock(lua: Lua) -> None:
    assert await lua("""
        local m, log = sync.mutex(), {}
        local other
        m:with(function()
          other = task.spawn(function() m:lock() task.sleep(2) m:unlock() end)
          task.yield()
          m:unlock()
        end)
        log[#log + 1] = m:statistics().owner == other
        other:join()
        return log, m:statistics().locked
    """) == ([True], False)


# -- tasks that end while they hold something ----------------------------------------------------


async def test_a_task_that_returns_with_a_lock_fails_and_gives_it_back(lua: Lua) -> None:
    assert await lua("""
        local m, r, log = sync.mutex("m"), sync.rwlock("r"), {}
        local t = task.spawn_with({ name = "forgetful" }, function()
          r:read_lock()
          m:lock()
          task.sleep(1)
        end)
        local other = task.spawn(function()
          task.yield()
          m:lock()
          log[#log + 1] = "got it"
          m:unlock()
        end)
        local ok, err = pcall(t.join, t)
        log[#log + 1] = { ok, err.kind, err.message }
        other:join()
        return log, m:statistics(), r:statistics()
    """) == (
        [
            "got it",
            [
                False,
                "held",
                "task 2 'forgetful' ended while it held mutex 'm', rwlock 'r'; "
                "unlock what was locked, or use with",
            ],
        ],
        {"locked": False, "waiting": 0},
        {"readers": 0, "waiting": 0},
    )


async def test_a_task_that_fails_or_is_cancelled_gives_its_locks_back(lua: Lua) -> None:
    """The failure is what it was; nobody waits for the dead."""
    assert await lua("""
        local m, r, log = sync.mutex("m"), sync.rwlock("r"), {}
        local failing = task.spawn(function() m:lock() r:write_lock() task.sleep(1) error("own fault", 0) end)
        local ok, err = pcall(failing.join, failing)
        log[#log + 1] = { ok, err, m:statistics().locked, r:statistics().writer == nil }
        local cut = task.spawn(function() m:lock() r:read_lock() task.sleep(9) end)
        task.yield()
        local waiter = task.spawn(function()
          m:lock() m:unlock()
          r:write_lock() r:write_unlock()
          return "through"
        end)
        task.yield()
        cut:cancel()
        log[#log + 1] = { waiter:join(), cut:status(), m:statistics().locked, r:statistics().readers }
        return log
    """) == [[False, "own fault", False, True], ["through", "cancelled", False, 0]]


async def test_a_task_that_its_own_timeout_ends_gives_its_locks_back(lua: Lua) -> None:
    """It has forgotten nothing, and its children may wait for what it holds."""
    assert await lua("""
        local m, r, log = sync.mutex("m"), sync.rwlock("r"), {}
        local late = task.spawn_with({ timeout = 1 }, function()
          m:lock() r:write_lock()
          task.spawn(task.shield, function() m:lock() log[#log + 1] = "child" m:unlock() end)
          task.sleep(9)
        end)
        local _, why = late:join()
        log[#log + 1] = { why, late:status(), m:statistics().locked, r:statistics().writer == nil }
        -- What it does after a timeout of its body's is its own affair: this one goes on and forgets.
        local careless = task.spawn_with({ timeout = 9 }, function()
          return task.timeout(1, function() m:lock() task.sleep(9) end)
        end)
        local ok, err = pcall(careless.join, careless)
        log[#log + 1] = { ok, err.kind, m:statistics().locked }
        return log
    """) == ["child", ["timeout", "done", False, True], [False, "held", False]]


@pytest.mark.parametrize(
    ("make", "with_", "free"),
    [
        ("sync.mutex()", "o:with(%s)", "not o:statistics().locked"),
        ("sync.rwlock()", "o:with_read(%s)", "o:statistics().readers == 0"),
        ("sync.rwlock()", "o:with_write(%s)", "not o:statistics().writer"),
        ("sync.semaphore(1)", "o:with(%s)", "o:statistics().permits == 1"),
        ("sync.once(function(fn) fn() end)", "o(%s)", "o:statistics().state ~= 'running'"),
    ],
)
async def test_a_with_whose_coroutine_is_closed_lets_go(
    lua_with_close: Lua, make: str, with_: str, free: str
) -> None:
    """The coroutine yielded in the middle of it and never goes on: it stayed locked until the task's end."""
    assert await lua_with_close(f"""
        local o, log = {make}, {{}}
        local function free() return {free} end
        local co = coroutine.create(function() {with_ % "coroutine.yield"} end)
        coroutine.resume(co)
        log[1] = free()
        local waiter = task.spawn(function() {with_ % "function() end"} return "through" end)
        task.yield()
        coroutine.close(co)
        log[2] = waiter:join()
        log[3] = free()
        return log
    """) == [False, "through", True]


async def test_a_coroutine_that_is_closed_too_late_lets_nothing_go(lua_with_close: Lua) -> None:
    """Its task has unlocked by hand, or has ended, and another holds the lock."""
    assert await lua_with_close("""
        local m, r, log = sync.mutex(), sync.rwlock(), {}
        local kept = {}
        local first = task.spawn(function()
          for i, with in ipairs({ "with_write", "with" }) do
            local lock = i == 1 and r or m
            kept[i] = coroutine.create(function() lock[with](lock, coroutine.yield) end)
            coroutine.resume(kept[i])
          end
        end)
        pcall(first.join, first)
        m:with(function()
          r:with_write(function()
            coroutine.close(kept[1])
            coroutine.close(kept[2])
            log[1] = m:statistics().owner == task.current()
            log[2] = r:statistics().writer == task.current()
          end)
        end)
        local own = coroutine.create(function()
          m:with(function() m:unlock() m:lock() m:unlock() coroutine.yield() end)
        end)
        coroutine.resume(own)
        log[3] = coroutine.close(own) and not m:statistics().locked
        local ended = coroutine.create(function() m:with(function() end) coroutine.yield() end)
        coroutine.resume(ended)
        m:lock()
        coroutine.close(ended)
        log[4] = m:statistics().locked
        m:unlock()
        return log
    """) == [True, True, True, True]


async def test_a_killed_task_gives_its_locks_back(lua_with_close: Lua) -> None:
    """Its coroutine never runs again, so no `with` can end."""
    assert await lua_with_close("""
        local m, log = sync.mutex(), {}
        local function stubborn()
          while true do pcall(function() while true do end end) end
        end
        local _, err = task.limit({ cpu_s = 0.02 }, function() m:with(stubborn) end)
        log[#log + 1] = { err.limit, m:statistics().locked }
        local o = sync.once(function(first)
          if first then stubborn() end
          return "run by the second"
        end)
        local t = task.spawn(task.limit, { cpu_s = 0.02 }, o, true)
        task.yield()
        local u = task.spawn(o, false)
        t:join()
        log[#log + 1] = u:join()
        return log
    """) == [["cpu", False], "run by the second"]


async def test_the_script_itself_must_not_end_with_a_lock(lua: Lua) -> None:
    with pytest.raises(scheduler.LuaError, match="ended while it held mutex 'm'") as caught:
        await lua("sync.mutex('m'):lock()")
    assert caught.value.kind == "held"


async def test_a_lock_is_given_back_before_the_task_waits_for_its_children(lua: Lua) -> None:
    """They may wait for it."""
    with pytest.raises(scheduler.LuaError, match="ended while it held mutex 'm'"):
        await lua("""
            local m = sync.mutex("m")
            m:lock()
            task.spawn(function() m:lock() m:unlock() end)
        """)


async def test_a_lock_handed_to_a_task_that_is_cancelled_before_it_runs_comes_back(lua: Lua) -> None:
    assert await lua("""
        local m = sync.mutex()
        m:lock()
        local t = task.spawn(function() m:lock() task.yield() m:unlock() end)
        task.yield()
        m:unlock()
        t:cancel()
        task.yield() task.yield()
        return t:status(), m:statistics()
    """) == ("cancelled", {"locked": False, "waiting": 0})


# -- deadlocks -----------------------------------------------------------------------------------


async def cycles_of(lua: Lua, source: str) -> list[tuple[str, ...]]:
    with pytest.raises(scheduler.DeadlockError) as caught:
        await lua(source)
    return list(caught.value.cycles)


async def test_report_names_the_cycle_of_two_mutexes(lua: Lua) -> None:
    with pytest.raises(scheduler.DeadlockError) as caught:
        await lua(
            "local m1, m2 = sync.mutex('m1'), sync.mutex('m2')\n"
            "local function both(first, second)\n"
            "  first:lock()\n"
            "  task.yield()\n"
            "  second:lock()\n"
            "end\n"
            "task.spawn_with({ name = 'A' }, both, m1, m2)\n"
            "task.spawn_with({ name = 'B' }, both, m2, m1)"
        )
    assert str(caught.value).splitlines()[2:] == [
        "  task 2 'A' waits for mutex 'm2' (held by task 3 'B') (resource) at string:5",
        "  task 3 'B' waits for mutex 'm1' (held by task 2 'A') (resource) at string:5",
        "  a cycle:",
        "    task 2 'A' holds mutex 'm1' and waits for mutex 'm2' (held by task 3 'B')",
        "    task 3 'B' holds mutex 'm2' and waits for mutex 'm1' (held by task 2 'A')",
    ]


async def test_report_names_each_of_several_cycles_once(lua: Lua) -> None:
    """And begins each with its oldest task, whoever leads into it."""
    assert await cycles_of(
        lua,
        """
        local function ring(n)
          local locks = {}
          for i = 1, n do locks[i] = sync.mutex(n .. "-" .. i) end
          for i = 1, n do
            task.spawn(function()
              locks[i]:lock()
              task.yield()
              locks[i % n + 1]:lock()
            end)
          end
          return locks
        end
        local two, three = ring(2), ring(3)
        task.yield() task.yield()
        task.spawn(two[1].lock, two[1])
        three[2]:lock()
        """,
    ) == [
        (
            "task 2 holds mutex '2-1' and waits for mutex '2-2' (held by task 3)",
            "task 3 holds mutex '2-2' and waits for mutex '2-1' (held by task 2)",
        ),
        (
            "task 4 holds mutex '3-1' and waits for mutex '3-2' (held by task 5)",
            "task 5 holds mutex '3-2' and waits for mutex '3-3' (held by task 6)",
            "task 6 holds mutex '3-3' and waits for mutex '3-1' (held by task 4)",
        ),
    ]


async def test_report_finds_cycles_through_scopes_joins_readers_and_selects(lua: Lua) -> None:
    assert await cycles_of(
        lua,
        """
        local m, r = sync.mutex("m"), sync.rwlock("r")
        task.spawn(function()
          m:with(function()
            task.scope(function() task.spawn(m.lock, m) end)
          end)
        end)
        local joiner
        local reader = task.spawn(function()
          r:read_lock()
          task.yield()
          joiner:join()
        end)
        joiner = task.spawn(function()
          task.yield()
          task.select({ { r, "write_lock" }, { "never", "wait" } })
        end)
        """,
    ) == [
        (
            "task 2 holds mutex 'm' and waits for the end of 1 task of its scope, among them task 5",
            "task 5 waits for mutex 'm' (held by task 2)",
        ),
        (
            "task 3 holds rwlock 'r' and waits for the end of task 4",
            "task 4 waits for one of: writing rwlock 'r' (read by task 3), event 'never'",
        ),
    ]


async def test_a_deadlock_without_a_cycle_names_none(lua: Lua) -> None:
    assert (
        await cycles_of(
            lua,
            """
        local m = sync.mutex("m")
        task.spawn(function() m:lock() event.wait("never") end)
        task.spawn(function() task.yield() m:lock() end)
        """,
        )
        == []
    )


async def test_report_is_quick_with_many_entangled_tasks(lua: Lua) -> None:
    """Each of a thousand writers waits for each of a thousand readers: a million edges."""
    assert await cycles_of(
        lua,
        """
        local r, m = sync.rwlock("r"), sync.mutex("m")
        m:lock()
        for i = 1, 1000 do task.spawn(function() r:read_lock() m:lock() end) end
        task.yield()
        for i = 1, 1000 do task.spawn(function() r:write_lock() end) end
        task.yield()
        r:write_lock()
        """,
    ) == [
        (
            "task 1 'string' holds mutex 'm' and waits for writing rwlock 'r' "
            "(read by task 2, task 3, task 4, task 5, task 6, 995 more)",
            "task 2 holds rwlock 'r' and waits for mutex 'm' (held by task 1 'string')",
        )
    ]


# -- semaphore -----------------------------------------------------------------------------------


async def test_semaphore_serves_in_order_whatever_each_wants(lua: Lua) -> None:
    assert await lua("""
        local s, log = sync.semaphore(3), {}
        assert(s:acquire(2))
        for i, n in ipairs({ 3, 1, 2 }) do
          task.spawn(function() s:acquire(n) log[#log + 1] = i end)
        end
        task.yield()
        log[#log + 1] = { s:statistics().permits, s:statistics().waiting, select(2, s:try_acquire()) }
        s:release(2) task.yield()
        s:release() task.yield()
        s:release(2) task.yield()
        log[#log + 1] = { s:statistics().permits, s:statistics().waiting }
        return log
    """) == [[1, 3, "exhausted"], 1, 2, 3, [0, 0]]


async def test_semaphore_serves_those_behind_one_who_leaves(lua: Lua) -> None:
    assert await lua("""
        local s, log = sync.semaphore(1), {}
        local greedy = task.spawn(s.acquire, s, 5)
        task.yield()
        for i = 1, 2 do task.spawn(function() s:acquire() log[#log + 1] = i end) end
        task.yield()
        greedy:cancel()
        task.yield() task.yield()
        log[#log + 1] = s:statistics()
        s:release()
        task.yield()
        task.spawn(s.acquire, s, 5, 1)
        task.yield()
        task.spawn(function() s:acquire(nil, 3) log[#log + 1] = "later" s:release() end)
        s:release()
        task.sleep(2)
        log[#log + 1] = s:statistics()
        return log
    """) == [1, {"permits": 0, "waiting": 1}, 2, "later", {"permits": 1, "waiting": 0}]


async def test_semaphore_counts_what_is_produced(lua: Lua) -> None:
    """Any task may release, also more than there were."""
    assert await lua("""
        local s, taken = sync.semaphore(0), 0
        local t = task.spawn(function() for _ = 1, 3 do s:acquire() taken = taken + 1 end end)
        task.yield()
        s:release(5)
        t:join()
        return taken, s:try_acquire(2), s:statistics()
    """) == (3, True, {"permits": 0, "waiting": 0})


WHOLE = "must be a whole number of at least"
BAD_CALLS = [
    ("semaphore()", f"'semaphore' (the number of permits {WHOLE} 0, got no value)"),
    ("semaphore(-1)", f"'semaphore' (the number of permits {WHOLE} 0, got -1)"),
    ("semaphore(1.5)", f"{WHOLE} 0, got 1.5)"),
    ("semaphore(0/0)", f"{WHOLE} 0, got "),
    ("semaphore('3')", f"{WHOLE} 0, got string)"),
    ("semaphore(1):acquire(0)", f"'acquire' (the number of permits {WHOLE} 1, got 0)"),
    ("semaphore(1):try_acquire(-1)", f"'try_acquire' (the number of permits {WHOLE} 1, got -1)"),
    ("semaphore(1):release({})", f"'release' (the number of permits {WHOLE} 1, got table)"),
    ("barrier(0)", f"'barrier' (the number of tasks {WHOLE} 1, got 0)"),
    ("barrier(2.5)", f"{WHOLE} 1, got 2.5)"),
    ("waitgroup():add(-1)", f"'add' (the number to add {WHOLE} 1, got -1)"),
    ("condition({})", "'condition' (mutex expected, got table)"),
    ("once()", "'once' (function expected, got no value)"),
    ("rate_limiter()", "'rate_limiter' (table of options expected, got no value)"),
    ("rate_limiter({})", "(option 'per_second' must be a number greater than 0, got no value)"),
    ("rate_limiter({ per_second = 0 })", "'per_second' must be a number greater than 0, got 0)"),
    ("rate_limiter({ per_second = -1 })", "must be a number greater than 0, got -1)"),
    ("rate_limiter({ per_second = 0/0 })", "must be a number greater than 0, got "),
    ("rate_limiter({ per_second = 1, burst = 0 })", "'burst' must be a number of at least 1, got 0)"),
    ("rate_limiter({ brust = 2 })", "(unknown option 'brust'; known are per_second, burst, name)"),
    ("rate_limiter({ per_second = 1 }):acquire(3)", "never holds more than 1 tokens (its burst), got 3)"),
    ("rate_limiter({ per_second = 1 }):acquire(0)", "must be a number greater than 0, got 0)"),
    ("rate_limiter({ per_second = 1 }):try_acquire({})", "greater than 0, got table)"),
]


@pytest.mark.parametrize(("call", "message"), BAD_CALLS)
async def test_bad_arguments_name_function_and_value(lua: Lua, call: str, message: str) -> None:
    ok, error = await lua(f"return pcall(function()\n local _ = sync.{call} end)")
    assert not ok
    assert error.startswith("string:2: bad argument #1 to ")
    assert message in error


# -- condition -----------------------------------------------------------------------------------


async def test_condition_wakes_in_order_and_each_holds_the_mutex(lua: Lua) -> None:
    assert await lua("""
        local c, log = sync.condition(), {}
        for i = 1, 4 do
          task.spawn(function()
            c.mutex:lock()
            local woken = c:wait()
            log[#log + 1] = { i, woken, c.mutex:statistics().owner == task.current() }
            task.yield()
            c.mutex:unlock()
          end)
        end
        task.yield()
        c.mutex:with(function()
          log[#log + 1] = c:notify()
          log[#log + 1] = c:notify(2)
          task.yield()
          log[#log + 1] = "main" -- they cannot run before the mutex is free
        end)
        task.sleep(1)
        c.mutex:with(function() log[#log + 1] = c:notify_all() + c:notify_all() end)
        task.sleep(1)
        return log, c:statistics().waiting, c.mutex:statistics().locked
    """) == (
        [1, 2, "main", [1, True, True], [2, True, True], [3, True, True], 1, [4, True, True]],
        0,
        False,
    )


async def test_two_conditions_share_a_mutex(lua: Lua) -> None:
    assert await lua("""
        local m, log, box = sync.mutex(), {}, nil
        local filled, emptied = sync.condition(m, "filled"), sync.condition(m)
        task.spawn(function()
          for i = 1, 3 do
            m:lock()
            while box do emptied:wait() end
            box = i
            filled:notify()
            m:unlock()
          end
        end)
        for _ = 1, 3 do
          m:with(function()
            while not box do filled:wait() end
            log[#log + 1], box = box, nil
            emptied:notify()
          end)
        end
        return log, filled.mutex == m
    """) == ([1, 2, 3], True)


async def test_condition_needs_the_mutex(lua: Lua) -> None:
    assert await lua("""
        local c = sync.condition(sync.mutex("m"))
        local log = {}
        for _, name in ipairs({ "wait", "notify", "notify_all" }) do
          log[#log + 1] = select(2, pcall(function()
            local _ = c[name](c) end))
        end
        task.spawn(function() c.mutex:with(task.sleep, 2) end)
        task.yield()
        log[#log + 1] = select(2, pcall(function() local _ = c:wait() end))
        return log
    """) == [
        "string:6: wait needs mutex 'm' locked by the caller",
        "string:6: notify needs mutex 'm' locked by the caller",
        "string:6: notify_all needs mutex 'm' locked by the caller",
        "string:10: wait needs mutex 'm' locked by the caller",
    ]


async def test_condition_holds_the_mutex_after_a_timeout_and_after_a_cancellation(lua: Lua) -> None:
    """Both wait for the mutex, however long another task keeps it."""
    assert await lua("""
        local c, log, began = sync.condition(), {}, task.now()
        local function note(what, value)
          log[#log + 1] = { what, value, c.mutex:statistics().owner == task.current(), task.now() - began }
        end
        local late = task.spawn(function()
          c.mutex:lock()
          note(select(2, c:wait(1)), 0)
          c.mutex:unlock()
        end)
        local cut = task.spawn(function()
          c.mutex:lock()
          task.timeout(2, function() c:wait() end)
          note("cut", 0)
          c.mutex:unlock()
        end)
        task.yield()
        c.mutex:lock()
        task.sleep(3)
        note("main", c.mutex:statistics().waiting)
        c.mutex:unlock()
        task.sleep(1)
        return log, c:statistics().waiting, c.mutex:statistics()
    """) == (
        [["main", 2, True, 3], ["timeout", 0, True, 3], ["cut", 0, True, 3]],
        0,
        {"locked": False, "waiting": 0},
    )


async def test_a_notified_waiter_that_is_cancelled_before_it_has_the_mutex_returns_first(lua: Lua) -> None:
    """The notification is not lost: it can look at what has changed before its next checkpoint ends it."""
    assert await lua("""
        local c, log = sync.condition(), {}
        local t = task.spawn(function()
          c.mutex:with(function()
            local woken = c:wait(100)
            log[#log + 1] = woken
            task.yield()
            log[#log + 1] = "not reached"
          end)
        end)
        task.yield()
        c.mutex:with(function()
          c:notify()
          log[#log + 1] = t:info().detail
          t:cancel()
          task.sleep(1)
          log[#log + 1] = t:status()
        end)
        task.yield() task.yield()
        return log, t:status(), c.mutex:statistics().locked
    """) == (["mutex #1 (held by task 1 'string')", "blocked", True], "cancelled", False)


async def test_a_kill_ends_the_wait_for_the_mutex(lua: Lua) -> None:
    """The owner waits for its children, one of them waits for the mutex: nothing else can end that."""
    with pytest.raises(scheduler.DeadlockError) as caught:
        await lua("""
            local c = sync.condition(nil, "c")
            local function child() c.mutex:with(function() c:wait() end) end
            task.timeout(1, function()
              task.spawn(child)
              task.yield()
              c.mutex:lock()
              task.sleep(2)
              c.mutex:unlock()
            end)
        """)
    assert caught.value.cycles == (
        (
            "task 1 'string' holds mutex #1 and waits for the end of 1 task of its scope, among them task 2",
            "task 2 waits for mutex #1 (held by task 1 'string')",
        ),
    )


async def test_condition_waits_of_a_deadlock_unwind(lua: Lua) -> None:
    """The waiter gets the mutex back from a holder who is cancelled, too."""
    with pytest.raises(scheduler.DeadlockError) as caught:
        await lua("""
            local c = sync.condition(nil, "c")
            task.spawn(function() c.mutex:with(function() c:wait() end) end)
            task.yield()
            c.mutex:lock()
            event.wait("never")
        """)
    assert [task.detail for task in caught.value.tasks] == [
        "event 'never'",
        "a notification of condition 'c'",
    ]


# -- rwlock --------------------------------------------------------------------------------------


async def test_readers_share_and_writers_are_alone_and_neither_starves(lua: Lua) -> None:
    assert await lua("""
        local r, log, began = sync.rwlock(), {}, task.now()
        local function user(name, method, seconds)
          task.spawn(function()
            r[method](r, function()
              log[#log + 1] = { name, task.now() - began, r:statistics().readers }
              task.sleep(seconds)
            end)
          end)
        end
        user("r1", "with_read", 2)
        user("r2", "with_read", 3)
        user("w1", "with_write", 1)
        user("r3", "with_read", 1) -- behind w1, although others read
        user("r4", "with_read", 1)
        user("w2", "with_write", 1)
        user("r5", "with_read", 1)
        task.sleep(20)
        return log, r:statistics()
    """) == (
        [
            ["r1", 0, 1],
            ["r2", 0, 2],
            ["w1", 3, 0],
            ["r3", 4, 2],
            ["r4", 4, 2],
            ["w2", 5, 0],
            ["r5", 6, 1],
        ],
        {"readers": 0, "waiting": 0},
    )


@pytest.mark.parametrize("end", ["writer:cancel()", "task.sleep(2)"])
async def test_readers_behind_a_writer_who_leaves_get_in(lua: Lua, end: str) -> None:
    assert await lua(f"""
        local r, log = sync.rwlock("r"), {{}}
        r:read_lock()
        local writer = task.spawn(r.write_lock, r, 1)
        task.yield()
        local reader = task.spawn(function() r:with_read(function() log[#log + 1] = "reads" end) end)
        task.yield()
        log[#log + 1] = reader:info().detail
        {end}
        task.yield() task.yield()
        r:read_unlock()
        return log, r:statistics()
    """) == (
        ["reading rwlock 'r' (read by task 1 'string'; a writer waits first)", "reads"],
        {"readers": 0, "waiting": 0},
    )


async def test_rwlock_is_its_holders_alone(lua: Lua) -> None:
    assert await lua("""
        local r, log = sync.rwlock("r"), {}
        local function try(name)
          local ok, err = pcall(function()
            local _ = r[name](r) end)
          log[#log + 1] = tostring(err)
        end
        try("read_unlock") try("write_unlock")
        r:read_lock()
        try("read_lock") try("write_lock") try("try_read_lock") try("try_write_lock") try("write_unlock")
        r:read_unlock()
        r:write_lock()
        try("read_lock") try("write_lock")
        task.spawn(function() try("write_unlock") end):join()
        r:write_unlock()
        return log
    """) == [
        "string:5: rwlock 'r' is not being read by task 1 'string'",
        "string:5: rwlock 'r' is not being written by task 1 'string'",
        "string:5: task 1 'string' reads rwlock 'r' already: it would wait for itself",
        "string:5: task 1 'string' reads rwlock 'r' already: it would wait for itself",
        "string:5: task 1 'string' reads rwlock 'r' already: it would wait for itself",
        "string:5: task 1 'string' reads rwlock 'r' already: it would wait for itself",
        "string:5: rwlock 'r' is not being written by task 1 'string'",
        "string:5: task 1 'string' writes rwlock 'r' already: it would wait for itself",
        "string:5: task 1 'string' writes rwlock 'r' already: it would wait for itself",
        "string:5: rwlock 'r' is not being written by task 2",
    ]


async def test_rwlock_tries(lua: Lua) -> None:
    assert await lua("""
        local r, log = sync.rwlock(), {}
        local function other(name)
          task.spawn(function()
            local got, why = r["try_" .. name .. "_lock"](r)
            log[#log + 1] = got or why
            if got then r[name .. "_unlock"](r) end
          end):join()
        end
        r:try_read_lock()
        other("read") other("write")
        local writer = task.spawn(r.write_lock, r, 1)
        task.yield()
        other("read") -- a writer waits first
        writer:cancel()
        task.yield()
        r:read_unlock()
        r:try_write_lock()
        other("read") other("write")
        r:write_unlock()
        return log
    """) == [True, "locked", "locked", "locked", "locked"]


# -- barrier -------------------------------------------------------------------------------------


async def test_barrier_lets_go_in_generations(lua: Lua) -> None:
    """Who is let go may come back at once, before the others of its generation have run."""
    assert await lua("""
        local b, log = sync.barrier(3), {}
        for i = 1, 3 do
          task.spawn(function()
            for round = 1, 3 do
              local place = b:wait()
              log[#log + 1] = { round, i, place }
            end
          end)
        end
        task.sleep(1)
        return log, b:statistics()
    """) == (
        [
            [1, 3, 3],
            [1, 1, 1],
            [1, 2, 2],
            [2, 2, 3],
            [2, 3, 1],
            [2, 1, 2],
            [3, 1, 3],
            [3, 2, 1],
            [3, 3, 2],
        ],
        {"parties": 3, "waiting": 0},
    )


async def test_barrier_stays_usable_after_a_cancellation_and_a_timeout(lua: Lua) -> None:
    assert await lua("""
        local b, log = sync.barrier(3), {}
        local cut = task.spawn(b.wait, b)
        local late = task.spawn(b.wait, b, 1)
        task.yield()
        cut:cancel()
        log[#log + 1] = { b:statistics().waiting, select(2, late:join()) }
        for i = 1, 3 do
          task.spawn(function()
            local place = b:wait()
            log[#log + 1] = place
          end)
        end
        task.yield() task.yield()
        return log, b:statistics().waiting
    """) == ([[1, "timeout"], 3, 1, 2], 0)


async def test_barrier_of_one_holds_nobody_up(lua: Lua) -> None:
    assert await lua("local b = sync.barrier(1) return b:wait(), b:wait()") == (1, 1)


# -- waitgroup, event ----------------------------------------------------------------------------


async def test_waitgroup_waits_for_all_and_can_be_used_again(lua: Lua) -> None:
    assert await lua("""
        local w, log = sync.waitgroup(), {}
        log[#log + 1] = w:wait()
        for round = 1, 2 do
          w:add(2) w:add()
          for i = 1, 3 do
            task.spawn(function() task.sleep(i) log[#log + 1] = i w:done() end)
          end
          for _ = 1, 2 do task.spawn(function() w:wait() log[#log + 1] = "all" end) end
          w:wait()
          task.yield()
        end
        return log, w:statistics()
    """) == ([True, 1, 2, 3, "all", "all", 1, 2, 3, "all", "all"], {"count": 0, "waiting": 0})


async def test_waitgroup_refuses_one_done_too_many(lua: Lua) -> None:
    assert await lua("""
        local w = sync.waitgroup("jobs")
        w:add()
        w:done()
        return pcall(function()
          w:done() end)
    """) == (False, "string:6: waitgroup 'jobs': done was called more often than was added")


async def test_event_stays_set_until_it_is_cleared(lua: Lua) -> None:
    assert await lua("""
        local e, log = sync.event(), {}
        for i = 1, 2 do task.spawn(function() e:wait() log[#log + 1] = i end) end
        task.yield()
        log[#log + 1] = { e:is_set(), e:statistics().waiting, e:set(), e:set(), e:is_set() }
        log[#log + 1] = e:wait()
        task.yield()
        e:clear()
        log[#log + 1] = { e:is_set(), select(2, e:wait(1)) }
        return log, e:statistics()
    """) == ([[False, 2, True, False, True], True, 1, 2, [False, "timeout"]], {"set": False, "waiting": 0})


# -- once ----------------------------------------------------------------------------------------


async def test_once_runs_once_and_all_get_its_values(lua: Lua) -> None:
    assert await lua("""
        local runs, log = 0, {}
        local o = sync.once(function(...)
          runs = runs + 1
          task.sleep(1)
          return select("#", ...), nil, "third"
        end)
        log[#log + 1] = o:statistics().state
        for i = 1, 3 do
          task.spawn(function()
            local n, none, third = o(i, "x")
            log[#log + 1] = { i, n, none == nil, third }
          end)
        end
        task.spawn(function()
          local n = o:wait()
          log[#log + 1] = { "wait", n }
        end)
        task.yield()
        log[#log + 1] = { o:statistics().state, o:statistics().waiting }
        task.sleep(2)
        log[#log + 1] = { (o:call()), o:statistics().state, runs }
        return log
    """) == [
        "new",
        ["running", 3],
        [1, 2, True, "third"],
        [2, 2, True, "third"],
        [3, 2, True, "third"],
        ["wait", 2],
        [2, "done", 1],
    ]


async def test_once_raises_its_error_in_every_caller_for_ever(lua: Lua) -> None:
    assert await lua("""
        local runs, log, value = 0, {}, { "the error" }
        local o = sync.once(function() runs = runs + 1 task.sleep(1) error(value) end)
        for i = 1, 2 do
          task.spawn(function()
            local ok, err = pcall(o)
            log[#log + 1] = { i, ok, err == value }
          end)
        end
        task.sleep(2)
        local ok, err = pcall(o)
        log[#log + 1] = { ok, err == value, runs, o:statistics().state }
        return log
    """) == [[1, False, True], [2, False, True], [False, True, 1, "failed"]]


async def test_once_is_run_by_the_next_when_its_runner_is_cancelled(lua: Lua) -> None:
    assert await lua("""
        local log, began = {}, task.now()
        local o = sync.once(function(i)
          log[#log + 1] = "run by " .. i
          task.sleep(2)
          return "done by " .. i
        end)
        local tasks = {}
        for i = 1, 3 do
          tasks[i] = task.spawn(function()
            local value = o(i)
            log[#log + 1] = { i, value, task.now() - began }
          end)
        end
        task.sleep(1)
        tasks[1]:cancel()
        task.sleep(5)
        local lonely = sync.once(task.sleep)
        local t = task.spawn(lonely.call, lonely, 5)
        task.yield()
        t:cancel()
        task.yield()
        log[#log + 1] = lonely:statistics().state
        local slept = lonely(1)
        log[#log + 1] = slept
        return log
    """) == ["run by 1", "run by 2", [2, "done by 2", 3], [3, "done by 2", 3], "new", 1]


async def test_once_refuses_to_wait_for_itself(lua: Lua) -> None:
    assert await lua("""
        local o
        o = sync.once(function(method) o[method](o) end, "o")
        local p
        p = sync.once(function() p:wait() end, "p")
        return { select(2, pcall(o, "call")), select(2, pcall(p)) }
    """) == [
        "string:3: task 1 'string' runs once 'o' already: it would wait for itself",
        "string:5: task 1 'string' runs once 'p' itself",
    ]


async def test_once_keeps_the_traceback_of_its_error(lua: Lua) -> None:
    with pytest.raises(scheduler.LuaError) as caught:
        await lua("local o = sync.once(function()\n error('broken')\nend)\npcall(o)\no()")
    assert caught.value.message == "string:2: broken"
    assert "string:2: in " in caught.value.lua_traceback


# -- rate limiter --------------------------------------------------------------------------------


async def test_limiter_lets_a_burst_through_and_then_the_rate(lua: Lua) -> None:
    assert await lua("""
        local l, log, began = sync.rate_limiter({ per_second = 4, burst = 3 }), {}, task.now()
        local function go(n)
          for _ = 1, n do l:acquire() log[#log + 1] = task.now() - began end
        end
        go(5)
        log[#log + 1] = l:statistics().available
        task.sleep(10) -- no more than the burst gathers
        log[#log + 1] = l:statistics().available
        began = task.now()
        go(4)
        return log
    """) == [0, 0, 0, 0.25, 0.5, 0, 3, 0, 0, 0, 0.25]


async def test_limiter_serves_in_order_whatever_each_wants(lua: Lua) -> None:
    assert await lua("""
        local l, log, began = sync.rate_limiter({ per_second = 2, burst = 4 }), {}, task.now()
        l:acquire(4)
        for i, n in ipairs({ 4, 1, 0.5 }) do
          task.spawn(function() l:acquire(n) log[#log + 1] = { i, task.now() - began } end)
        end
        task.yield()
        log[#log + 1] = { l:statistics().waiting, select(2, l:try_acquire()) }
        task.sleep(10)
        log[#log + 1] = { l:try_acquire(4), l:statistics().waiting }
        return log
    """) == [[3, "exhausted"], [1, 2], [2, 2.5], [3, 2.75], [True, 0]]


async def test_limiter_gives_a_place_that_is_left_to_those_behind(lua: Lua) -> None:
    assert await lua("""
        local l, log, began = sync.rate_limiter({ per_second = 1, burst = 5 }), {}, task.now()
        l:acquire(5)
        local greedy = task.spawn(l.acquire, l, 5)
        local late = task.spawn(function()
          local value, why = l:acquire(5, 3)
          log[#log + 1] = { why, task.now() - began }
        end)
        task.spawn(function() l:acquire() log[#log + 1] = { "one", task.now() - began } end)
        task.sleep(2)
        greedy:cancel()
        task.sleep(8)
        return log, l:statistics().waiting
    """) == ([["timeout", 3], ["one", 3]], 0)


async def test_limiter_in_a_select(lua: Lua) -> None:
    assert await lua("""
        local l, log, began = sync.rate_limiter({ per_second = 1 }), {}, task.now()
        local function try(timeout)
          local index, why = task.select({ { l, "acquire" }, { "never", "wait" }, timeout = timeout })
          log[#log + 1] = { tostring(index), tostring(why), task.now() - began }
        end
        try() try(0.5) try()
        return log, l:statistics().waiting
    """) == ([["1", "true", 0], ["nil", "timeout", 0.5], ["1", "true", 1]], 0)


async def test_limiter_does_not_drift(lua: Lua) -> None:
    """A rate without an exact binary fraction: the thousandth token comes when it should."""
    assert await lua("""
        local l, began = sync.rate_limiter({ per_second = 10 }), task.now()
        for _ = 1, 1001 do l:acquire() end
        return math.abs(task.now() - began - 100) < 1e-6
    """)


@pytest.mark.parametrize("pause", [0, 0.1, 0.7, 1000.3, 1e9])
async def test_limiter_gives_exactly_its_burst(lua: Lua, pause: float) -> None:
    """Sums of rounded times took one token off: at 0.1 s a burst of 2 at 1 per second was one."""
    assert (
        await lua(f"""
        local wrong = {{}}
        task.sleep({pause})
        for rate = 1, 60 do
          for burst = 1, 30 do
            local l, got = sync.rate_limiter({{ per_second = rate, burst = burst }}), 0
            while l:try_acquire() do got = got + 1 end
            local left = l:statistics().available
            if got ~= burst or left ~= 0 then
              wrong[#wrong + 1] = ("%d/%d gave %d, left %g"):format(rate, burst, got, left)
            end
          end
        end
        return table.concat(wrong, "; ")
    """)
        == ""
    )


@settings(deadline=None, derandomize=True, database=None, max_examples=300)
@given(
    rate=st.floats(1e-3, 1e6),
    burst=st.integers(1, 40),
    start=st.floats(0, 1e4),
    parts=st.integers(1, 7),
    rounds=st.integers(1, 3),
)
def test_limiter_gives_its_burst_and_no_more(
    rate: float, burst: int, start: float, parts: int, rounds: int
) -> None:
    """Whatever the rate, the moment and the pieces in which a script waits: what is said is what is given."""
    source = """
        local rate, burst, start, parts, rounds = ...
        local l = sync.rate_limiter({ per_second = rate, burst = burst })
        task.sleep(start)
        local log = {}
        for round = 0, rounds do
          local said, got = l:statistics().available, 0
          while l:try_acquire() do got = got + 1 end
          log[#log + 1] = got
          log[#log + 1] = said == burst and l:statistics().available == 0
          for _ = 1, parts do task.sleep(burst / rate / parts) end
        end
        local began = task.now()
        for _ = 1, 2 * burst do l:acquire() end
        local over = (task.now() - began) * rate - burst
        log[#log + 1] = math.abs(over) < 1e-3 + 1e-10 * start * rate
        return log
    """

    async def main() -> object:
        async with scheduler.open_runtime() as runtime:
            return await runtime.run(source, rate, burst, start, parts, rounds)

    assert run_in_virtual_time(main) == [burst, True] * (rounds + 1) + [True]


async def test_limiter_with_very_large_numbers(lua: Lua) -> None:
    """No number wraps around, none is lost in rounding."""
    assert await lua("""
        local l, log = sync.rate_limiter({ per_second = 1, burst = 9007199254740991 }), {}
        for _ = 1, 3 do log[#log + 1] = (l:try_acquire(9007199254740991)) or false end
        l = sync.rate_limiter({ per_second = 2 ^ 48, burst = 2 ^ 48 })
        local began = task.now()
        for _ = 1, 9 do l:acquire(2 ^ 48) end
        log[#log + 1] = task.now() - began
        l:acquire()
        log[#log + 1] = l:statistics().available < 2
        l = sync.rate_limiter({ per_second = math.huge, burst = math.huge })
        log[#log + 1] = l:acquire(1e300) and l:acquire(5, 0)
        return log
    """) == [True, False, False, 8, True, True]


async def test_limiter_that_waits_is_no_deadlock(lua: Lua) -> None:
    assert (
        await lua("""
        local l = sync.rate_limiter({ per_second = 0.5, name = "slow" })
        l:acquire()
        local t = task.spawn(l.acquire, l)
        task.yield()
        local detail = t:info().detail
        t:join()
        return detail
    """)
        == "rate limiter 'slow' (0.5 per second)"
    )
