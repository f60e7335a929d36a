"""The `task` library as scripts see it, row by row."""

from __future__ import annotations

import pytest
from conftest import Lua

import scheduler


async def test_spawn_hands_over_arguments_and_starts_in_the_next_round(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        local t = task.spawn(function(a, b, c)
          log[#log + 1] = { a, tostring(b), c }
        end, 1, nil, "three")
        log[#log + 1] = t:status()
        t:join()
        log[#log + 1] = t:status()
        return log
    """) == ["ready", [1, "nil", "three"], "done"]


async def test_spawned_tasks_run_in_order_of_spawning(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        for i = 1, 5 do
          task.spawn(function()
            for step = 1, 2 do log[#log + 1] = i * 10 + step; task.yield() end
          end)
        end
        task.sleep(1)
        return log
    """) == [11, 21, 31, 41, 51, 12, 22, 32, 42, 52]


async def test_a_round_ends_before_what_it_spawned_starts(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        task.spawn(function()
          log[#log + 1] = "first"
          task.spawn(function() log[#log + 1] = "grandchild" end)
        end)
        task.spawn(function() log[#log + 1] = "second" end)
        task.sleep(0); task.sleep(0)
        return log
    """) == ["first", "second", "grandchild"]


async def test_spawn_with_name_priority_and_timeout(lua: Lua) -> None:
    assert await lua("""
        local t = task.spawn_with({ name = "w", timeout = 2 }, function(x)
          task.sleep(10)
          return x
        end, 5)
        local nothing, why = t:join()
        return { t.name, nothing == nil, why, task.now() - 0 == task.now() }
    """) == ["w", True, "timeout", True]


async def test_e13_priorities_run_high_before_normal_before_low(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        for _, priority in ipairs({ "low", "normal", "high" }) do
          task.spawn_with({ priority = priority }, function()
            log[#log + 1] = priority
          end)
        end
        task.sleep(1)
        return log
    """) == ["high", "normal", "low"]


async def test_e13_low_priority_is_not_starved_by_busy_high_and_normal_tasks(lua: Lua) -> None:
    assert await lua("""
        local low_steps, busy_steps, stop = 0, 0, false
        for _, priority in ipairs({ "high", "normal" }) do
          task.spawn_with({ priority = priority }, function()
            while not stop do busy_steps = busy_steps + 1; task.yield() end
          end)
        end
        local t = task.spawn_with({ priority = "low" }, function()
          for _ = 1, 20 do low_steps = low_steps + 1; task.yield() end
        end)
        t:join()
        stop = true
        return low_steps, busy_steps < 2000
    """) == (20, True)


async def test_background_task_is_cancelled_when_the_other_work_of_its_scope_has_ended(lua: Lua) -> None:
    assert await lua("""
        local ticks, background = 0, nil
        task.scope(function(scope)
          background = scope:spawn_with({ background = true }, function()
            while true do task.sleep(1); ticks = ticks + 1 end
          end)
          scope:spawn(function() task.sleep(3.5) end)
        end)
        return { ticks, background:status(), task.now() < 1e9 }
    """) == [3, "cancelled", True]


async def test_background_task_does_not_keep_the_script_open(lua: Lua) -> None:
    assert (
        await lua("""
        task.spawn_with({ background = true }, function() while true do task.sleep(1) end end)
        return "ended"
    """)
        == "ended"
    )


async def test_e7_sleep_returns_the_seconds_really_slept(lua: Lua) -> None:
    assert await lua("""
        local began = task.now()
        local slept = task.sleep(2.5)
        local other = sleep(0.5)
        return { slept, other, task.now() - began, task.sleep(0) }
    """) == [2.5, 0.5, 3, 0]


async def test_e6_yield_and_sleep_0_let_every_ready_task_run_once(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        task.spawn(function() for i = 1, 3 do log[#log + 1] = i; task.yield() end end)
        task.yield(); log[#log + 1] = "a"
        task.sleep(0); log[#log + 1] = "b"
        coroutine.yield("rubbish"); log[#log + 1] = "c"
        return log
    """) == [1, "a", 2, "b", 3, "c"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("-1", "bad argument #1 to 'sleep' (seconds must not be negative or NaN, got -1)"),
        ("0/0", "seconds must not be negative or NaN, got"),
        ("'soon'", "bad argument #1 to 'sleep' (number of seconds expected, got string)"),
        ("nil", "bad argument #1 to 'sleep' (number of seconds expected, got no value)"),
        ("{}", "bad argument #1 to 'sleep' (number of seconds expected, got table)"),
    ],
)
async def test_sleep_refuses_what_is_no_duration(lua: Lua, argument: str, message: str) -> None:
    ok, error = await lua(f"return pcall(function()\n task.sleep({argument}) end)")
    assert not ok
    assert error.startswith("string:2: ")
    assert message in error


async def test_sleepers_wake_in_order_of_deadline_then_of_sleeping(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        for i, s in ipairs({ 3, 1, 2, 1, 3 }) do
          task.spawn(function() task.sleep(s); log[#log + 1] = i end)
        end
        task.sleep(5)
        return log
    """) == [2, 4, 3, 1, 5]


async def test_join_returns_all_values_again_and_again(lua: Lua) -> None:
    assert await lua("""
        local t = task.spawn(function() task.sleep(1) return 1, nil, 3, nil end)
        local function count(...) return { select("#", ...), (...), (select(3, ...)) } end
        return { count(t:join()), count(t:join()), count(task.spawn(function() end):join()) }
    """) == [[4, 1, 3], [4, 1, 3], [0]]


async def test_join_raises_the_error_of_the_task_unchanged(lua: Lua) -> None:
    assert await lua("""
        local value = { code = 42 }
        local t = task.spawn(function() task.sleep(1) error(value) end)
        local ok, e = pcall(t.join, t)
        local again, e2 = pcall(t.join, t)
        return { ok, e == value, again, e2 == value, t:status() }
    """) == [False, True, False, True, "failed"]


async def test_join_of_a_cancelled_task_raises_a_cancelled_error(lua: Lua) -> None:
    assert await lua("""
        local t = task.spawn_with({ name = "w" }, function() task.sleep(100) end)
        task.yield()
        t:cancel("not needed")
        local ok, e = pcall(t.join, t)
        return { ok, e.kind, tostring(e), task.current():status() }
    """) == [False, "cancelled", "task 2 'w' was cancelled: not needed", "running"]


async def test_joining_oneself_is_an_error(lua: Lua) -> None:
    ok, error = await lua("""
        return pcall(function() task.current():join() end)
    """)
    assert not ok
    assert "task 1" in error
    assert "cannot join itself" in error


async def test_joining_in_a_cycle_is_an_error_not_a_hang(lua: Lua) -> None:
    ok, error, left = await lua("""
        local a, b, c
        a = task.spawn_with({ name = "a" }, function() b:join() return "a" end)
        b = task.spawn_with({ name = "b" }, function() c:join() end)
        local ok, e
        c = task.spawn_with({ name = "c" }, function()
          task.sleep(1)
          ok, e = pcall(a.join, a)
        end)
        a:join()
        return ok, e, a:status()
    """)
    assert (ok, left) == (False, "done")
    assert "task 4 'c' cannot join: it would wait for itself (task 2 'a' waits for task 3 'b'" in error


async def test_joining_the_task_that_owns_ones_scope_is_an_error(lua: Lua) -> None:
    ok, error = await lua("""
        local parent = task.current()
        local ok, e
        task.scope(function(scope)
          scope:spawn(function() ok, e = pcall(parent.join, parent) end)
        end)
        return ok, e
    """)
    assert not ok
    assert "would wait for itself" in error


async def test_several_joiners_all_receive_the_values(lua: Lua) -> None:
    assert await lua("""
        local t = task.spawn(function() task.sleep(1) return "v" end)
        local log = {}
        for i = 1, 3 do task.spawn(function() local v = t:join(); log[#log + 1] = i .. v end) end
        task.sleep(2)
        return log
    """) == ["1v", "2v", "3v"]


async def test_e32_status_through_a_tasks_life(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        local t
        local function see() log[#log + 1] = t:status() end
        t = task.spawn(function()
          see()
          task.sleep(1)
          event.wait("go")
          task.yield()
        end)
        see()
        task.yield(); see()
        task.sleep(2); see()
        event.emit("go"); see()
        task.sleep(1); see()
        local failed = task.spawn(error, "x"); pcall(failed.join, failed)
        local cancelled = task.spawn(task.sleep, 9); cancelled:cancel(); pcall(cancelled.join, cancelled)
        log[#log + 1] = failed:status()
        log[#log + 1] = cancelled:status()
        return log
    """) == ["ready", "running", "sleeping", "blocked", "ready", "done", "failed", "cancelled"]


async def test_e33_info_tells_the_reason_and_detail_of_every_kind_of_wait(lua: Lua) -> None:
    import trio

    async def fetch() -> None:
        await trio.sleep(100)

    assert await lua(
        """
        local target = task.spawn_with({ name = "target" }, task.sleep, 50)
        local waiters = {
          target,
          task.spawn(event.wait, "news"),
          task.spawn(target.join, target),
          task.spawn(task.scope, function(scope) scope:spawn(task.sleep, 60) end),
          task.spawn(function() web.fetch() end),
        }
        task.sleep(1)
        local log = {}
        for i, t in ipairs(waiters) do
          local info = t:info()
          log[i] = { info.status, info.reason, (info.detail:gsub("%d[%d.]*", "N")), info.id == t.id }
        end
        task.spawn(function() end)
        log[#log + 1] = task.current():info().reason or "none"
        for _, t in ipairs(waiters) do t:cancel() end
        return log
        """,
        host={"web.fetch": fetch},
    ) == [
        ["sleeping", "sleep", "its time to wake", True],
        ["blocked", "event", "event 'news'", True],
        ["blocked", "resource", "the end of task N 'target'", True],
        ["blocked", "resource", "the end of N task of its scope", True],
        ["blocked", "host", "web.fetch", True],
        "none",
    ]


async def test_e31_info_has_spawn_site_yields_and_run_time_with_statistics_on(lua: Lua) -> None:
    site, yields, measured, named = await lua(
        """
        local t = task.spawn(function() for _ = 1, 4 do task.yield() end end)
        t:join()
        local info = t:info()
        return info.site, info.yields, info.run_time >= 0, info.name
        """,
        measure=True,
    )
    assert (site, yields, measured, named) == ("string:2", 5, True, "task")


async def test_info_names_the_line_where_the_task_waits(lua: Lua) -> None:
    assert (
        await lua(
            """
        local t = task.spawn(function()
          local x = 1
          task.sleep(x)
        end)
        task.yield()
        return t:info().where
        """
        )
        == "string:4"
    )


async def test_task_ids_rise_and_names_are_kept(lua: Lua) -> None:
    assert await lua("""
        local a, b = task.spawn(function() end), task.spawn_with({ name = "b" }, function() end)
        return b.id - a.id, b.name, tostring(b):match("'b'"), a.id > task.current().id
    """) == (1, "b", "'b'", True)


async def test_cancel_tells_whether_it_was_in_time(lua: Lua) -> None:
    assert await lua("""
        local t = task.spawn(task.sleep, 5)
        task.yield()
        local first = t:cancel()
        pcall(t.join, t)
        return first, t:cancel()
    """) == (True, False)


async def test_all_returns_first_results_in_order_with_nil_kept(lua: Lua) -> None:
    assert await lua("""
        local existing = task.spawn(function() task.sleep(2) return "task" end)
        local got = task.all({
          function() task.sleep(3) return "slow", "second value" end,
          function() return nil end,
          existing,
          function() return nil end,
        })
        return { n = 5, got[1], got[2], got[3], got[4], got.n }
    """) == ["slow", None, "task", None, 4]


async def test_all_of_nothing_returns_an_empty_array(lua: Lua) -> None:
    assert await lua("""
        local a, m = task.all({}), task.map({}, print)
        return { a.n, #a, m.n, #m }
    """) == [0, 0, 0, 0]


async def test_all_runs_together_and_cancels_the_rest_at_the_first_failure(lua: Lua) -> None:
    assert await lua("""
        local began, log = task.now(), {}
        local ok, e = pcall(task.all, {
          function() task.sleep(1) error("boom", 0) end,
          function() task.sleep(5) log[#log + 1] = "never" end,
        })
        return { ok, e, #log, task.now() - began }
    """) == [False, "boom", 0, 1]


async def test_race_returns_the_winners_values_cancels_the_losers_and_waits_for_them(
    lua_with_close: Lua,
) -> None:
    assert await lua_with_close("""
        local log = {}
        local began = task.now()
        local a, b = task.race({
          function()
            local guard <close> = setmetatable({}, { __close = function()
              task.shield(task.sleep, 1)
              log[#log + 1] = "loser cleaned up"
            end })
            task.sleep(10)
          end,
          function() task.sleep(2) return "won", 7 end,
        })
        log[#log + 1] = a .. b
        log[#log + 1] = task.now() - began
        return log
    """) == ["loser cleaned up", "won7", 3]


async def test_race_cancels_tasks_given_to_it_too(lua: Lua) -> None:
    assert await lua("""
        local loser = task.spawn(task.sleep, 100)
        local won = task.race({ loser, function() task.sleep(1) return "quick" end })
        return won, loser:status()
    """) == ("quick", "cancelled")


async def test_race_raises_the_error_of_a_winner_that_failed(lua: Lua) -> None:
    assert await lua("""
        return pcall(task.race, {
          function() task.sleep(1) error("first to end", 0) end,
          function() task.sleep(2) return "too late" end,
        })
    """) == (False, "first to end")


async def test_race_returns_nil_when_the_winner_does(lua: Lua) -> None:
    assert (
        await lua("""
        local function count(...) return select("#", ...) end
        return count(task.race({ function() return nil, nil end, function() task.sleep(1) return 1 end }))
    """)
        == 2
    )


async def test_map_keeps_order_and_limit(lua: Lua) -> None:
    assert await lua("""
        local running, most = 0, 0
        local got = task.map({ 3, 1, 2, 0 }, function(seconds, ...)
          assert(select("#", ...) == 0, "fn gets the item alone, so that any function will do")
          running = running + 1
          most = math.max(most, running)
          task.sleep(seconds)
          running = running - 1
          return seconds * 10
        end, { limit = 2 })
        return { got, most, got.n }
    """) == [[30, 10, 20, 0], 2, 4]


async def test_map_without_limit_runs_all_at_once(lua: Lua) -> None:
    assert (
        await lua("""
        local began = task.now()
        task.map({ 1, 2, 3 }, task.sleep)
        return task.now() - began
    """)
        == 3
    )


async def test_current_list_and_now(lua: Lua) -> None:
    assert await lua("""
        local a = task.spawn_with({ name = "a" }, task.sleep, 1)
        local b = task.spawn_with({ name = "b" }, task.sleep, 2)
        local function names()
          local log = {}
          for _, t in ipairs(task.list()) do log[#log + 1] = t.id end
          return table.concat(log, " ")
        end
        local log = { names(), task.current().id }
        task.sleep(1.5)
        log[#log + 1] = names()
        return log
    """) == ["1 2 3", 1, "1 3"]


async def test_local_storage_is_copied_to_children(lua: Lua) -> None:
    assert await lua("""
        task.local_storage().user = "Ann"
        local log = {}
        local t = task.spawn(function()
          log[#log + 1] = task.local_storage().user
          task.local_storage().user = "Bob"
          task.spawn(function() log[#log + 1] = task.local_storage().user end)
        end)
        task.local_storage().user = "Eve"
        t:join()
        task.yield()
        log[#log + 1] = task.local_storage().user
        return log
    """) == ["Ann", "Bob", "Eve"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("task.spawn()", "bad argument #1 to 'spawn' (function expected, got no value)"),
        ("task.spawn(5)", "bad argument #1 to 'spawn' (function expected, got number)"),
        (
            "task.spawn_with(5, print)",
            "bad argument #1 to 'spawn_with' (table of options expected, got number)",
        ),
        ("task.spawn_with({}, {})", "bad argument #2 to 'spawn_with' (function expected, got table)"),
        ("task.spawn_with({ nmae = 'x' }, print)", "unknown option 'nmae'"),
        ("task.spawn_with({ name = 5 }, print)", "option 'name' must be a string, got number"),
        ("task.spawn_with({ priority = 'urgent' }, print)", 'must be "high", "normal" or "low"'),
        ("task.spawn_with({ timeout = -1 }, print)", "seconds must not be negative"),
        ("task.timeout('x', print)", "bad argument #1 to 'timeout' (number of seconds expected, got string)"),
        ("task.timeout(1)", "bad argument #2 to 'timeout' (function expected, got no value)"),
        ("task.scope()", "bad argument #1 to 'scope' (function expected, got no value)"),
        ("task.shield()", "bad argument #1 to 'shield' (function expected, got no value)"),
        ("task.all(5)", "bad argument #1 to 'all' (list of functions or tasks expected, got number)"),
        ("task.all({ print, 5 })", "bad argument #1 to 'all' (item 2 is a number, not a function or task)"),
        ("task.race({})", "bad argument #1 to 'race' (a race needs at least one function or task)"),
        ("task.map(5, print)", "bad argument #1 to 'map' (list expected, got number)"),
        ("task.map({ 1 })", "bad argument #2 to 'map' (function expected, got no value)"),
        (
            "task.map({ 1 }, print, { limit = 0 })",
            "bad argument #3 to 'map' (limit must be a number of at least 1",
        ),
        ("task.current().join(5)", "bad argument #1 to 'join' (task expected, got number)"),
        ("task.current().cancel(5)", "bad argument #1 to 'cancel' (task expected, got number)"),
        ("event.wait(5)", "bad argument #1 to 'wait' (event name (a string) expected, got number)"),
        ("event.wait('e', -1)", "bad argument #2 to 'wait' (seconds must not be negative or NaN, got -1)"),
        ("event.emit()", "bad argument #1 to 'emit' (event name (a string) expected, got nil)"),
    ],
)
async def test_wrong_arguments_are_named_with_the_callers_line(lua: Lua, call: str, message: str) -> None:
    ok, error = await lua(f"return pcall(function()\n local x = {call}\n return x end)")
    assert not ok
    assert error.startswith("string:2: "), error
    assert message in error


async def test_libraries_are_globals_and_modules_and_nothing_else_is_added(lua: Lua) -> None:
    same, extra = await lua("""
        local known = {}
        for name in ([[assert collectgarbage dofile error getmetatable ipairs load loadfile loadstring
          next pairs pcall print rawequal rawget rawlen rawset require select setmetatable tonumber
          tostring type warn xpcall _G _VERSION bit coroutine debug io jit math os package string table
          utf8 bit32 unpack setfenv getfenv module newproxy gcinfo
          task event sleep params channel sync promise]]):gmatch("%S+") do known[name] = true end
        local extra = {}
        for name in pairs(_G) do if not known[name] then extra[#extra + 1] = tostring(name) end end
        return require("task") == task and require("event") == event and require("sleep") == sleep, extra
    """)
    assert same
    assert extra == {}


async def test_names_of_the_task_library_are_the_documented_ones(lua: Lua) -> None:
    names = await lua("""
        local names = {}
        for name in pairs(task) do names[#names + 1] = name end
        table.sort(names)
        return names
    """)
    # The library as scripts see it; what is not documented is not theirs.
    assert names == sorted(
        [
            *("spawn", "spawn_with", "sleep", "yield", "scope", "timeout", "shield"),
            *("all", "race", "map", "current", "list", "now", "local_storage", "limit", "usage"),
            *("select", "pollable", "POLL_PENDING"),
        ]
    )


async def test_task_failure_error_is_a_lua_error(lua: Lua) -> None:
    with pytest.raises(scheduler.LuaError, match="string:1: boom") as caught:
        await lua("task.spawn(function() error('boom') end):join()")
    assert caught.value.lua_traceback.endswith("\n\tstring:1: in function <string:1>")


async def test_a_callable_table_has_a_site_before_its_first_step(lua: Lua) -> None:
    """The debug library was asked about the table itself, and raised in whoever looked."""
    assert await lua("""
        local meta = { __call = function() end }
        local t = task.spawn(setmetatable({}, meta))
        local site = t:info().site
        local u = task.spawn(setmetatable({}, meta))
        meta.__call = setmetatable({}, meta)
        local other = u:info().site
        meta.__call = function() end
        return { site, other }
    """) == ["function <string:2>", "a callable table"]
