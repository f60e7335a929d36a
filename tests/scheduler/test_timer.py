"""The `timer` library: after, every, debounce, throttle."""

from __future__ import annotations

import pytest
from conftest import Lua

import scheduler

HEAD = "local timer, log, began = require('timer'), {}, task.now()\n"


# -- after ---------------------------------------------------------------------------------------


async def test_after_calls_with_all_arguments_and_keeps_its_scope_open(lua: Lua) -> None:
    assert await lua(f"""{HEAD}
        task.scope(function()
          local function note(...) log[#log + 1] = {{ select("#", ...), (...), task.now() - began }} end
          timer.after(2, note, "a", nil)
          timer.after(1, note)
          log[#log + 1] = "made"
        end)
        log[#log + 1] = task.now() - began
        return log
    """) == ["made", {1: 0, 3: 1}, [2, "a", 2], 2]


async def test_after_0_gives_the_others_a_turn(lua: Lua) -> None:
    assert await lua(f"""{HEAD}
        timer.after(0, function() log[#log + 1] = {{ "timer", task.now() - began }} end)
        task.spawn(function() log[#log + 1] = "task" end)
        log[#log + 1] = "script"
        task.sleep(1)
        return log
    """) == ["script", "task", ["timer", 0]]


async def test_after_cancelled_does_not_call_and_ends_its_scope_at_once(lua: Lua) -> None:
    assert await lua(f"""{HEAD}
        local t
        for _, wait in ipairs({{ function() end, task.yield, function() task.sleep(3) end }}) do
          task.scope(function()
            t = timer.after(5, function() log[#log + 1] = "called" end)
            wait()
            log[#log + 1] = {{ t:statistics().active, t:cancel(), t:cancel(), t:statistics().active }}
          end)
        end
        log[#log + 1] = task.now() - began
        task.sleep(10)
        log[#log + 1] = t.task:status()
        return log
    """) == [[True, True, False, False], [True, True, False, False], [True, True, False, False], 3, "done"]


async def test_cancel_does_not_interrupt_a_call_under_way(lua: Lua) -> None:
    """The field `task` does: it is a task like others."""
    assert await lua(f"""{HEAD}
        local t = timer.after(1, function() task.sleep(2) log[#log + 1] = "went on" return "value" end)
        local cut = timer.after(1, function() task.sleep(2) log[#log + 1] = "not reached" end)
        task.sleep(2)
        log[#log + 1] = t:cancel()
        cut.task:cancel()
        local value = t.task:join()
        log[#log + 1] = {{ value, task.now() - began, cut.task:status() }}
        return log
    """) == [False, "went on", ["value", 3, "cancelled"]]


async def test_cancel_that_comes_with_the_moment_itself_wins(lua: Lua) -> None:
    """The timer has fired, its task has not run yet."""
    assert await lua(f"""{HEAD}
        local t
        task.spawn(function() task.sleep(1) log[#log + 1] = t:cancel() end)
        task.yield()
        t = timer.after(1, function() log[#log + 1] = "called" end)
        task.sleep(2)
        return log
    """) == [True]


async def test_error_in_after_is_its_scopes(lua: Lua) -> None:
    with pytest.raises(scheduler.LuaError) as caught:
        await lua(
            "local timer = require('timer')\n"
            "local ok, err = pcall(task.scope, function()\n"
            "  timer.after(1, error, { 'value' })\n"
            "  task.sleep(5)\n"
            "end)\n"
            "assert(not ok and err[1] == 'value' and task.now() == 1)\n"
            "timer.after(1, function()\n"
            "  error('late')\n"
            "end)"
        )
    assert caught.value.message == "string:8: late"
    assert "'timer.after'" in caught.value.task
    assert caught.value.spawned_at == "registered at string:7"


@pytest.mark.parametrize("call", ["after(1, fn)", "every(1, fn)", "debounce(1, fn)()", "throttle(1, fn)()"])
async def test_error_of_a_function_is_reported_with_where_it_was_given(lua: Lua, call: str) -> None:
    """Only the line where the function stands was told."""
    with pytest.raises(scheduler.LuaError) as caught:
        await lua(f"local function fn()\n  error('failed')\nend\nrequire('timer').{call}\ntask.sleep(5)")
    assert caught.value.message == "string:2: failed"
    assert caught.value.spawned_at == "registered at string:4"


async def test_cancelled_scope_cancels_its_timers(lua: Lua) -> None:
    assert await lua(f"""{HEAD}
        local kept = {{ task.timeout(2, function()
          timer.after(1, function() log[#log + 1] = "after" end)
          timer.after(3, function() log[#log + 1] = "never" end)
          timer.every(0.75, function(k) log[#log + 1] = k end)
        end) }}
        log[#log + 1] = {{ tostring(kept[1]), kept[2], task.now() - began }}
        task.sleep(5)
        return log
    """) == [1, "after", 2, ["nil", "timeout", 2]]


# -- every ---------------------------------------------------------------------------------------


async def test_every_ticks_without_drift(lua: Lua) -> None:
    assert await lua(f"""{HEAD}
        local t = timer.every(0.5, function(k)
          log[#log + 1] = {{ k, task.now() - began }}
          task.sleep(0.25)
        end)
        task.sleep(1.75)
        log[#log + 1] = t:statistics()
        return log
    """) == [[1, 0.5], [2, 1], [3, 1.5], {"ticks": 3, "missed": 0, "active": True}]


async def test_every_ends_with_its_scopes_other_work(lua: Lua) -> None:
    assert await lua(f"""{HEAD}
        local t
        task.scope(function()
          t = timer.every(1, function(k) log[#log + 1] = k end)
          timer.after(2.5, function() end)
        end)
        log[#log + 1] = {{ task.now() - began, t:statistics().active, t:cancel() }}
        return log
    """) == [1, 2, [2.5, False, False]]


async def test_every_skips_and_counts_what_it_misses(lua: Lua) -> None:
    """Ticks stay where they belong; one that comes at the very end of a call is not missed."""
    assert await lua(f"""{HEAD}
        local naps = {{ 0.5, 2.25, 0, 1, 3 }}
        local t = timer.every(1, function(k)
          log[#log + 1] = {{ k, task.now() - began }}
          task.sleep(table.remove(naps, 1) or 0)
        end)
        task.sleep(10.5)
        log[#log + 1] = {{ t:statistics().ticks, t:statistics().missed }}
        return log
    """) == [[1, 1], [2, 2], [5, 5], [6, 6], [7, 7], [10, 10], [6, 4]]


async def test_every_keeps_to_its_period_though_it_has_no_exact_fraction(lua: Lua) -> None:
    assert await lua(f"""{HEAD}
        local worst, last = 0, 0
        local t = timer.every(0.1, function(k)
          assert(k == last + 1)
          last = k
          worst = math.max(worst, math.abs(task.now() - began - k * 0.1))
        end)
        task.sleep(1000.05)
        return {{ t:statistics().ticks, t:statistics().missed, worst < 1e-9 }}
    """) == [10000, 0, True]


async def test_every_cancelled_within_its_own_call_finishes_it(lua: Lua) -> None:
    assert await lua(f"""{HEAD}
        local t
        t = timer.every(1, function(k)
          log[#log + 1] = {{ k, t:cancel(), t:cancel() }}
          task.sleep(0.5)
          log[#log + 1] = "finished"
        end)
        task.sleep(5)
        log[#log + 1] = {{ t.task:status(), t:statistics().ticks }}
        return log
    """) == [[1, True, False], "finished", ["done", 1]]


async def test_every_runs_one_call_at_a_time_and_its_error_ends_it(lua: Lua) -> None:
    assert await lua(f"""{HEAD}
        local t
        local ok, err = pcall(task.scope, function()
          local inside = 0
          t = timer.every(1, function(k)
            inside = inside + 1
            assert(inside == 1)
            task.sleep(1.5)
            inside = inside - 1
            if k == 3 then error("third", 0) end
          end)
          task.sleep(100)
        end)
        return {{ ok, err, task.now() - began, t:statistics().ticks, t:statistics().missed }}
    """) == [False, "third", 4.5, 2, 1]


# -- debounce and throttle -----------------------------------------------------------------------


async def test_debounce_runs_once_it_is_quiet_with_the_last_arguments(lua: Lua) -> None:
    assert await lua(f"""{HEAD}
        local d = timer.debounce(1, function(...)
          log[#log + 1] = {{ task.now() - began, select("#", ...), ... }}
        end)
        task.scope(function(scope)
          for i = 1, 3 do d(i) task.sleep(0.75) end
          task.sleep(1)
          d("x", "y")
        end)
        log[#log + 1] = {{ d:statistics().calls, d:statistics().runs, d:statistics().pending }}
        task.sleep(2)
        return log, d:statistics().runs
    """) == ([[2.5, 1, 3], [4, 1, True], [4.25, 2, "x", "y"]], 2)


async def test_throttle_runs_at_once_and_then_once_in_a_while(lua: Lua) -> None:
    assert await lua(f"""{HEAD}
        local t = timer.throttle(1, function(x) log[#log + 1] = {{ x, task.now() - began }} end)
        for i = 1, 8 do t(i) task.sleep(0.25) end
        task.sleep(5)
        t("a") t("b") t("c")
        task.sleep(5)
        log[#log + 1] = {{ t:statistics().calls, t:statistics().runs, t:statistics().pending }}
        return log
    """) == [[1, 0], [4, 1], [8, 2], ["a", 7], ["c", 8], [11, 5, False]]


@pytest.mark.parametrize("kind", ["debounce", "throttle"])
async def test_a_call_that_has_not_run_can_be_cancelled(lua: Lua, kind: str) -> None:
    assert await lua(f"""{HEAD}
        local d = timer.{kind}(1, function(x) log[#log + 1] = x end)
        if "{kind}" == "throttle" then d("leading") task.yield() log = {{}} end
        log[#log + 1] = d:cancel()
        task.scope(function()
          d(1)
          log[#log + 1] = {{ d:cancel(), d:cancel() }}
          d(2)
          task.yield()
          log[#log + 1] = d:cancel()
          d(3) -- before the task that waited for 2 has ended
        end)
        task.sleep(2)
        log[#log + 1] = d:statistics().pending
        return log
    """) == [False, [True, False], True, 3, False]


@pytest.mark.parametrize("kind", ["debounce", "throttle"])
async def test_runs_belong_to_the_scope_that_made_it(lua: Lua, kind: str) -> None:
    """Its error, its deadline; and after its end nothing can be called any more."""
    assert await lua(f"""{HEAD}
        local d
        local ok, err = pcall(task.scope, function()
          d = timer.{kind}(1, function() error("broken", 0) end)
          task.spawn(function()
            task.scope(function() d() end)
            log[#log + 1] = "the inner scope is closed"
          end)
          task.sleep(10)
        end)
        log[#log + 1] = {{ ok, err }}
        log[#log + 1] = select(2, pcall(function()
          d() end))
        return log
    """) == [
        "the inner scope is closed",
        [False, "broken"],
        f"string:14: the scope that made this {kind} has ended",
    ]


async def test_a_run_may_wait_while_calls_go_on(lua: Lua) -> None:
    assert await lua(f"""{HEAD}
        local d = timer.debounce(1, function(x)
          log[#log + 1] = {{ "begins", x, task.now() - began }}
          task.sleep(3)
          log[#log + 1] = {{ "ends", x, task.now() - began }}
        end)
        d(1)
        task.sleep(2)
        d(2)
        task.sleep(10)
        return log
    """) == [["begins", 1, 1], ["begins", 2, 3], ["ends", 1, 4], ["ends", 2, 6]]


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["after", "every", "debounce", "throttle"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("-1, print", "#1 to 'NAME' (seconds must not be negative or NaN, got -1)"),
        ("0/0, print", "#1 to 'NAME' (seconds must not be negative or NaN, got "),
        ("'1', print", "#1 to 'NAME' (number of seconds expected, got string)"),
        ("nil, print", "#1 to 'NAME' (number of seconds expected, got no value)"),
        ("1", "#2 to 'NAME' (function expected, got no value)"),
        ("1, {}", "#2 to 'NAME' (function expected, got table)"),
    ],
)
async def test_bad_arguments(lua: Lua, name: str, arguments: str, message: str) -> None:
    ok, error = await lua(f"{HEAD} return pcall(function()\n local _ = timer.{name}({arguments}) end)")
    assert not ok
    assert error.startswith("string:3: bad argument ")
    assert message.replace("NAME", name) in error


async def test_every_needs_a_period(lua: Lua) -> None:
    ok, error = await lua(f"{HEAD} return pcall(timer.every, 0, print)")
    assert (ok, error) == (False, "bad argument #1 to 'every' (seconds must be more than 0, got 0)")


async def test_methods_refuse_another_self(lua: Lua) -> None:
    for error in await lua(f"""{HEAD}
        local t, d = timer.after(0, function() end), timer.debounce(1, function() end)
        for _, name in ipairs({{ "cancel", "statistics" }}) do
          for _, object in ipairs({{ t, d }}) do
            log[#log + 1] = select(2, pcall(function()
              local _ = object[name](5) end))
          end
        end
        return log
    """):
        assert error.startswith("string:7: calling '")
        assert "on bad self (timer expected, got number;" in error


async def test_a_waiting_timer_says_what_it_waits_for(lua: Lua) -> None:
    assert await lua(f"""{HEAD}
        local t, d = timer.after(1.5, function() end), timer.debounce(2, function() end)
        d()
        task.yield()
        for _, each in ipairs(task.list()) do
          local info = each:info()
          if each.name:find("timer") then log[#log + 1] = {{ info.name, info.reason, info.detail }} end
        end
        return log
    """) == [
        ["timer.after", "sleep", "the time of timer.after(1.5)"],
        ["timer.debounce", "sleep", "the time of timer.debounce(2)"],
    ]


async def test_ten_thousand_timers_leave_nothing(lua: Lua) -> None:
    assert await lua(f"""{HEAD}
        local fired = 0
        local timers = {{}}
        for i = 1, 10000 do
          timers[i] = timer.after(i % 100, function() fired = fired + 1 end)
        end
        task.yield()
        for i = 1, 10000, 2 do timers[i]:cancel() end
        task.sleep(200)
        return fired, #task.list()
    """) == (5000, 1)
