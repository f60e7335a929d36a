"""The `promise` library beyond Promises/A+: executors, await, scopes, cancellation, combinators."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from conftest import Lua, Shell, opened

import scheduler

# What the programs below share: `log` is what they return; `pending()` a promise and its two functions.
TOOLS = """
local log = {}
local function note(...)
  local row = { ... }
  for i = 1, select("#", ...) do
    if row[i] == nil then row[i] = "nil" end
  end
  log[#log + 1] = row
end
local function noted(name)
  return function(value) note(name, value) return value end
end
local function pending()
  local resolve, reject
  local p = promise.new(function(res, rej) resolve, reject = res, rej end)
  return p, resolve, reject
end
local function later(seconds, value)
  return promise.new(function(resolve) sleep(seconds) resolve(value) end)
end
local function later_no(seconds, reason)
  return promise.new(function(_, reject) sleep(seconds) reject(reason) end)
end
"""


async def run(lua: Lua, code: str, **options: Any) -> Any:
    return await lua(TOOLS + code + "\nreturn log", **options)


# -- promise.new ---------------------------------------------------------------------------------


async def test_c17_an_executor_that_does_not_wait_has_run_when_new_returns(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p = promise.new(function(resolve) note("executor") resolve(42) end)
        note("new has returned", p:status(), p:await())
        """,
    ) == [["executor"], ["new has returned", "fulfilled", 42]]


async def test_c9_an_executor_may_yield_and_sleep_and_its_maker_goes_on(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p = promise.new(function(resolve)
          note("begins")
          coroutine.yield()
          note("goes on")
          sleep(2)
          resolve("done at", task.now())
        end)
        note("new has returned", p:status())
        note(p:await())
        """,
    ) == [["begins"], ["new has returned", "pending"], ["goes on"], ["done at", 2]]


async def test_c6_executors_of_two_promises_overlap(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local a, b = later(3, "a"), later(2, "b")
        note(a:await(), b:await(), task.now())
        """,
    ) == [["a", "b", 3]]


async def test_an_executor_is_a_task_of_its_own(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local me = task.current()
        task.local_storage().who = "main"
        promise.new(function(resolve)
          note(task.current() == me, task.local_storage().who, coroutine.isyieldable())
          task.local_storage().who = "executor"
          resolve()
        end)
        note(task.current() == me, task.local_storage().who)
        """,
    ) == [[False, "main", True], [True, "main"]]


async def test_executors_inside_executors_and_inside_coroutines(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local wrapped = coroutine.wrap(function()
          local p = promise.new(function(resolve)
            local inner = promise.new(function(res) note("inner") sleep(1) res("from inside") end)
            note("outer")
            resolve(inner)
          end)
          note("made")
          coroutine.yield("a value of the generator's")
          note(p:await())
        end)
        note(wrapped())
        wrapped()
        """,
    ) == [["inner"], ["outer"], ["made"], ["a value of the generator's"], ["from inside"]]


async def test_executors_deep_inside_one_another(lua: Lua) -> None:
    """Beyond a depth they begin in the next round: no stack overflows."""
    assert await run(
        lua,
        """
        local function down(n)
          return promise.new(function(resolve)
            if n == 0 then resolve("the bottom") else resolve(down(n - 1)) end
          end)
        end
        note(down(50):status(), down(1000):status(), down(1000):await())
        """,
    ) == [["fulfilled", "pending", "the bottom"]]


async def test_executors_that_begin_with_a_host_call_overlap(lua: Lua) -> None:
    async def fetch(name: str) -> str:
        await trio.sleep(2)
        return name.upper()

    assert await run(
        lua,
        """
        local ps = {}
        for i, name in ipairs({ "a", "b", "c" }) do
          ps[i] = promise.new(function(resolve) resolve(fetch(name)) end)
        end
        note("made", ps[1]:status())
        local values = promise.all(ps):await()
        note(values[1], values[2], values[3], task.now())
        """,
        host={"fetch": fetch},
    ) == [["made", "pending"], ["A", "B", "C", 2]]


async def test_an_executor_cancelled_before_its_first_host_call_does_not_make_it(lua: Lua) -> None:
    calls: list[str] = []

    async def fetch(name: str) -> None:
        calls.append(name)
        await trio.sleep(100)

    assert await run(
        lua,
        """
        local p = promise.new(function(resolve) resolve(fetch("a")) end)
        note(p:cancel(), p:status())
        sleep(1)
        note(#task.list(), task.now())
        """,
        host={"fetch": fetch},
    ) == [[True, "rejected"], [1, 1]]
    assert calls == []


async def test_an_executor_may_call_a_synchronous_host_function(lua: Lua) -> None:
    def double(x: float) -> float:
        return 2 * x

    assert await run(
        lua,
        """
        local p = promise.new(function(resolve) resolve(double(21)) end)
        note(p:await())
        """,
        host={"double": double},
    ) == [[42]]


async def test_an_executor_that_waits_where_lua_cannot_yield_holds_its_maker_up(lua: Lua) -> None:
    """Their stacks lie upon each other; the others go on."""
    assert await run(
        lua,
        """
        task.spawn(function() sleep(0.5) note("another", task.now()) end)
        local p = promise.new(function(resolve)
          table.sort({ 2, 1 }, function(a, b) sleep(1) return a < b end)
          note("sorted")
          sleep(1)
          resolve("v")
        end)
        note("made", p:status())
        note(p:await())
        """,
    ) == [["another", 0.5], ["sorted"], ["made", "pending"], ["v"]]


async def test_an_error_of_the_executor_is_the_reason(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local reason = {}
        local at_once = promise.new(function() error(reason) end)
        local later = promise.new(function() sleep(1) error(reason) end)
        for _, p in ipairs({ at_once, later }) do
          local ok, err = pcall(p.await, p)
          note(ok, err == reason)
        end
        """,
    ) == [[False, True], [False, True]]


async def test_an_error_of_the_executor_after_it_has_resolved_is_not_lost(lua: Lua) -> None:
    assert await run(
        lua,
        """
        note(pcall(task.scope, function()
          local p = promise.new(function(resolve) resolve(1) sleep(1) error("too late", 0) end)
          note(p:await())
        end))
        """,
    ) == [[1], [False, "too late"]]


async def test_new_takes_several_values_like_the_others(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p = promise.new(function(resolve) resolve(1, nil, 3, nil) end)
        note(select("#", p:await()), (select(3, p:await())))
        note(p:next(function(...) return select("#", ...), ... end):await())
        note(promise.resolve(nil, "closed"):await())
        """,
    ) == [[4, 3], [4, 1, "nil", 3, "nil"], ["nil", "closed"]]


# -- promise.run ---------------------------------------------------------------------------------


async def test_run_is_a_task_whose_values_or_error_the_promise_keeps(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p = promise.run(function(a, b) note("runs") sleep(1) return a + b, nil, "three" end, 1, 2)
        note(p:status())
        note(p:await())
        local reason = {}
        local q = promise.run(function() error(reason) end)
        local ok, err = pcall(q.await, q)
        note(ok, err == reason, q:status())
        note(select("#", promise.run(function() end):await()))
        """,
    ) == [["pending"], ["runs"], [3, "nil", "three"], [False, True, "rejected"], [1]]


async def test_run_of_a_function_that_returns_a_promise_or_a_task_waits_for_it(lua: Lua) -> None:
    assert await run(
        lua,
        """
        note(promise.run(function() return later(1, "a") end):await())
        note(promise.run(function() return task.spawn(function() sleep(1) return "b", 2 end) end):await())
        note(promise.resolve(task.spawn(function() return "c" end)):await())
        local t = task.spawn(error, "why", 0)
        note(pcall(function() promise.resolve(t):await() end))
        """,
    ) == [["a"], ["b", 2], ["c"], [False, "why"]]


async def test_a_cancelled_task_rejects_its_promise(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local t = task.spawn_with({ name = "w" }, sleep, 100)
        local p = promise.resolve(t)
        task.yield()
        t:cancel("enough")
        local ok, err = pcall(p.await, p)
        note(ok, err.kind, tostring(err))
        """,
    ) == [[False, "cancelled", "task 2 'w' was cancelled: enough"]]


# -- await ---------------------------------------------------------------------------------------


async def test_a8_awaiting_the_same_promise_again_gives_the_same_values(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local value = {}
        local p = later(1, value)
        for i = 1, 3 do
          task.spawn(function() note(i, p:await() == value, task.now()) end)
        end
        sleep(2)
        note(p:await() == value, p:await() == value)
        """,
    ) == [[1, True, 1], [2, True, 1], [3, True, 1], [True, True]]


async def test_await_raises_the_very_reason_each_time(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local reason = setmetatable({}, { __eq = function() error("compared") end })
        local p = later_no(1, reason)
        for _ = 1, 2 do
          local ok, err = pcall(p.await, p)
          note(ok, rawequal(err, reason))
        end
        """,
    ) == [[False, True], [False, True]]


async def test_await_with_a_timeout(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p = later(5, "v")
        local v, why = p:await(2)
        note(v, why, task.now())
        v, why = p:await(0)
        note(v, why, task.now())
        note(p:await(10), task.now())
        note(p:await(0))
        """,
    ) == [["nil", "timeout", 2], ["nil", "timeout", 2], ["v", 5], ["v"]]


async def test_await_of_a_settled_promise_is_a_checkpoint(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p = promise.resolve(1)
        local t = task.spawn(function()
          task.current():cancel()
          p:await()
          note("not reached")
        end)
        task.yield()
        note(t:status())
        """,
    ) == [["cancelled"]]


async def test_a_cancelled_waiter_leaves_the_promise_as_it_is(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, resolve = pending()
        local ts = {}
        for i = 1, 4 do ts[i] = task.spawn(function() return p:await() end) end
        task.yield()
        ts[1]:cancel()
        ts[3]:cancel()
        task.yield()
        resolve("v")
        note(ts[1]:status(), ts[2]:join(), ts[3]:status(), ts[4]:join())
        """,
    ) == [["cancelled", "v", "cancelled", "v"]]


async def test_a_value_that_was_given_is_not_lost_by_a_cancellation(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, resolve = pending()
        local t = task.spawn(function() note(p:await()) sleep(1) note("not reached") end)
        task.yield()
        resolve("v")
        t:cancel()
        sleep(1)
        note(t:status())
        """,
    ) == [["v"], ["cancelled"]]


async def test_await_inside_coroutines_and_callbacks(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local generator = coroutine.wrap(function()
          coroutine.yield(later(1, "first"):await())
          coroutine.yield(later(1, "second"):await())
        end)
        note(generator(), generator())
        note((("x"):gsub("x", function() return later(1, "y"):await() end)))
        """,
    ) == [["first", "second"], ["y"]]


async def test_a_task_cannot_await_its_own_promise(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p
        p = promise.run(function() return pcall(p.await, p) end)
        note(p:await())
        local q
        q = promise.run(function() return pcall(task.select, { { q, "await" } }) end)
        local ok, err = q:await()
        note(ok, err)
        """,
    ) == [
        [False, "a task cannot wait for its own promise: it would wait for ever"],
        [
            False,
            "bad argument #1 to 'select' (case 1: a task cannot wait for its own promise: "
            "it would wait for ever)",
        ],
    ]


# -- select --------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["join", "await"])
async def test_select_over_promises(lua: Lua, operation: str) -> None:
    assert await run(
        lua,
        f"""
        local slow, quick = later(2, "slow"), promise.run(function() sleep(1) return "quick", 2 end)
        note(task.select({{ {{ slow, "{operation}" }}, {{ quick, "{operation}" }} }}))
        note(task.select({{ {{ slow, "{operation}" }}, timeout = 0.5 }}))
        note(task.select({{ {{ slow, "{operation}" }}, default = true }}))
        note(task.select({{ {{ slow, "{operation}" }}, {{ "never", "wait" }} }}))
        note(task.select({{ {{ slow, "{operation}" }} }}))
        note(task.now())
        """,
    ) == [[2, "quick", 2], ["nil", "timeout"], ["nil", "default"], [1, "slow"], [1, "slow"], [2]]


async def test_the_same_promise_twice_wakes_once(lua: Lua) -> None:
    """The second case was once told although the first one had withdrawn it."""
    assert await run(
        lua,
        """
        for _, timeout in ipairs({ 0, 5 }) do
          local p = promise.run(function() sleep(2) return "v" end)
          sleep(2)
          local index, value = task.select({ { p, "await" }, { p, "await" }, timeout = timeout })
          note(index == 1 or index == 2, value)
        end
        """,
    ) == [[True, "v"], [True, "v"]]


async def test_select_raises_a_rejection_and_has_heard_it(lua: Lua) -> None:
    assert await run(
        lua,
        """
        task.scope(function()
          note(pcall(task.select, { { later_no(1, "why"), "await" } }))
          note(pcall(task.select, { { promise.reject("why not"), "await" } }))
        end)
        """,
    ) == [[False, "why"], [False, "why not"]]


async def test_a_rejection_after_another_case_won_is_not_heard(lua: Lua) -> None:
    assert await run(
        lua,
        """
        note(pcall(task.scope, function()
          note(task.select({ { later_no(2, "why"), "await" }, { later(1, "v"), "await" } }))
        end))
        note(pcall(task.scope, function() note(later_no(2, "why"):await(1)) end))
        """,
    ) == [[2, "v"], [False, "why"], ["nil", "timeout"], [False, "why"]]


# -- catch, finally ------------------------------------------------------------------------------


async def test_c19_catch_handles_a_rejection_and_lets_values_through(lua: Lua) -> None:
    assert await run(
        lua,
        """
        note(promise.reject("why"):catch(function(reason) return "caught " .. reason end):await())
        note(promise.resolve("v"):catch(noted("not called")):await())
        """,
    ) == [["caught why"], ["v"]]


async def test_finally_is_called_without_values_and_lets_them_through(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local function cleanup(...) note("cleanup", select("#", ...)) return "ignored" end
        note(promise.resolve("v", 2):finally(cleanup):await())
        local reason = {}
        local p = promise.reject(reason):finally(cleanup)
        local ok, err = pcall(p.await, p)
        note(ok, err == reason)
        """,
    ) == [["cleanup", 0], ["v", 2], ["cleanup", 0], [False, True]]


async def test_finally_that_fails_replaces_what_it_was_given(lua: Lua) -> None:
    assert (
        await run(
            lua,
            """
        for _, p in ipairs({ promise.resolve("v"), promise.reject("why") }) do
          local q = p:finally(function() error("cleanup failed", 0) end)
          note(pcall(q.await, q))
          q = p:finally(function() return promise.reject("rejected cleanup") end)
          note(pcall(q.await, q))
        end
        """,
        )
        == [[False, "cleanup failed"], [False, "rejected cleanup"]] * 2
    )


async def test_finally_waits_for_a_promise_it_returns(lua: Lua) -> None:
    assert await run(
        lua,
        """
        note(promise.resolve("v"):finally(function() return later(2, "x") end):await(), task.now())
        note(promise.resolve("v"):finally(function() sleep(2) end):await(), task.now())
        note(promise.resolve("v"):finally(nil):await())
        """,
    ) == [["v", 2], ["v", 4], ["v"]]


# -- handlers among tasks ------------------------------------------------------------------------


async def test_a_handler_may_wait_and_those_behind_it_do_not(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, resolve = pending()
        for i = 1, 4 do
          p:next(function()
            note("begin", i)
            if i % 2 == 1 then sleep(i) end
            note("end", i, task.now())
          end)
        end
        resolve()
        sleep(5)
        """,
    ) == [
        ["begin", 1],
        ["begin", 2],
        ["end", 2, 0],
        ["begin", 3],
        ["begin", 4],
        ["end", 4, 0],
        ["end", 1, 1],
        ["end", 3, 3],
    ]


async def test_what_a_waiting_handler_makes_ready_does_not_wait_for_it(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, resolve = pending()
        p:next(noted("second"))
        promise.resolve():next(function()
          note("first")
          resolve("v")
          sleep(1)
          note("the first one ends", task.now())
        end)
        sleep(2)
        """,
    ) == [["first"], ["second", "v"], ["the first one ends", 1]]


async def test_handlers_settle_each_other_while_both_wait(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local a, resolve_a = pending()
        local b, resolve_b = pending()
        local x = promise.resolve():next(function() resolve_a("for b") return b:await() end)
        local y = promise.resolve():next(function() resolve_b("for a") return a:await() end)
        note(x:await(), y:await())
        """,
    ) == [["for a", "for b"]]


async def test_long_chains_let_others_run(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, turns = promise.resolve(0), 0
        for _ = 1, 5000 do p = p:next(function(n) return n + 1 end) end
        local t = task.spawn_with({ background = true }, function()
          while true do turns = turns + 1 task.yield() end
        end)
        note(p:await(), turns > 30)
        """,
    ) == [[5000, True]]


async def test_long_chains_without_handlers_and_of_promises_that_follow_others(lua: Lua) -> None:
    """They are settled in a loop: no stack grows with them."""
    assert await run(
        lua,
        """
        local p, resolve = pending()
        local q = p
        for _ = 1, 30000 do q = q:next() end
        for _ = 1, 30000 do q = promise.new(function(r) r(q) end) end
        for _ = 1, 30000 do q = promise.race({ q }) end
        resolve("v")
        note(q:await())
        """,
    ) == [["v"]]


async def test_an_endless_asynchronous_loop_does_not_grow_a_stack(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local function step(n)
          if n == 0 then return "done" end
          return promise.resolve(n - 1):next(step)
        end
        note(step(20000):await())
        """,
    ) == [["done"]]


async def test_many_handlers_that_wait_run_in_order_and_leave_no_task(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, resolve = pending()
        local order, right = {}, true
        for i = 1, 1000 do
          p:next(function() order[#order + 1] = i if i % 3 == 0 then sleep(1) end end)
        end
        resolve()
        sleep(5)
        for i = 1, 1000 do right = right and order[i] == i end
        note(#order, right, #task.list())
        """,
    ) == [[1000, True, 1]]


# -- scopes --------------------------------------------------------------------------------------


async def test_a_scope_waits_for_handlers_that_are_ready_or_running(lua: Lua) -> None:
    assert await run(
        lua,
        """
        task.scope(function()
          promise.resolve():next(function() note("ready") sleep(2) note("running", task.now()) end)
        end)
        note("the scope has ended", task.now())
        """,
    ) == [["ready"], ["running", 2], ["the scope has ended", 2]]


async def test_a_pending_promise_holds_no_scope_open(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local kept, resolve
        task.scope(function()
          local p
          p, resolve = pending()
          kept = p:next(function() note("runs in the scope around it") return "v" end)
        end)
        note("the scope has ended", kept:status())
        resolve()
        note(kept:await())
        """,
    ) == [["the scope has ended", "pending"], ["runs in the scope around it"], ["v"]]


async def test_handlers_run_in_the_scope_that_called_next(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, resolve = pending()
        local q
        local t = task.spawn(function()
          note(task.timeout(3, function()
            q = p:next(function() note("begins") sleep(100) note("not reached") end)
            sleep(10)
          end))
        end)
        sleep(1)
        resolve()
        t:join()
        note(task.now(), q:status(), select(2, pcall(q.await, q)).kind)
        """,
    ) == [["begins"], ["nil", "timeout"], [3, "rejected", "cancelled"]]


async def test_in_a_cancelled_scope_no_handler_begins_and_its_promise_is_rejected(lua: Lua) -> None:
    assert (
        await run(
            lua,
            """
        local p, resolve = pending()
        local q, r
        task.scope(function(scope)
          q = p:next(noted("never")):next(noted("never"))
          r = p:finally(noted("never"))
          resolve("v")
          scope:cancel()
        end)
        for _, each in ipairs({ q, r }) do
          local ok, err = pcall(each.await, each)
          note(ok, err.kind, tostring(err))
        end
        """,
        )
        == [[False, "cancelled", "the handler of a promise was cancelled with its scope"]] * 2
    )


async def test_a_scope_cancelled_by_a_handler_runs_no_other(lua: Lua) -> None:
    assert await run(
        lua,
        """
        task.scope(function(scope)
          promise.resolve():next(function() note("first") scope:cancel() end):next(noted("never"))
          promise.resolve():next(noted("never"))
        end)
        """,
    ) == [["first"]]


async def test_handlers_count_in_the_limits_of_their_scope(engine_with_close: str) -> None:
    async with opened(engine_with_close) as runtime:
        value, kind = await runtime.run("""
            local value, err = task.limit({ cpu_s = 0.05 }, function()
              promise.resolve():next(function() while true do end end)
            end)
            return value, err.limit
        """)
    assert (value, kind) == (None, "cpu")


async def test_a_limit_on_tasks_that_a_handler_passes(engine_with_close: str) -> None:
    async with opened(engine_with_close) as runtime:
        assert await runtime.run("""
            local kept
            local value, err = task.limit({ tasks = 2 }, function()
              local p = promise.resolve()
              task.spawn(sleep, 1)
              task.spawn(sleep, 1)
              kept = p:next(function() return "not run" end)
            end)
            local ok, why = pcall(kept.await, kept)
            return value == nil, err.limit, ok, why.kind
        """) == (True, "tasks", False, "cancelled")


# -- rejections nobody handled -------------------------------------------------------------------


async def test_a_rejection_nobody_handled_raises_at_the_end_of_its_scope(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local reason = {}
        local ok, err = pcall(task.scope, function()
          promise.reject(reason)
          sleep(1)
          note("the scope goes on", task.now())
        end)
        note(ok, err == reason)
        """,
    ) == [["the scope goes on", 1], [False, True]]


@pytest.mark.parametrize(
    "rejection",
    [
        "promise.reject('why')",
        "promise.new(function(_, reject) reject('why') end)",
        "promise.new(function() error('why', 0) end)",
        "later_no(1, 'why')",
        "promise.run(error, 'why', 0)",
        "promise.resolve():next(function() error('why', 0) end)",
        "promise.reject('why'):next(print)",
        "promise.reject('why'):finally(function() end)",
        "promise.reject('x'):catch(function() error('why', 0) end)",
        "promise.all({ later(1), later_no(1, 'why') })",
        "promise.race({ later(2), later_no(1, 'why') })",
        "promise.resolve({ next = function(_, _, reject) reject('why') end })",
        "promise.resolve(task.spawn(error, 'why', 0))",
    ],
)
async def test_whatever_rejects_is_heard(lua: Lua, rejection: str) -> None:
    assert await run(
        lua,
        f"""
        note(pcall(task.scope, function() local _ = {rejection} end))
        note(pcall(task.scope, function() {rejection}:catch(noted("caught")) end))
        task.scope(function() local p = {rejection} note(pcall(p.await, p)) end)
        """,
    ) == [[False, "why"], ["caught", "why"], [True], [False, "why"]]


@pytest.mark.parametrize(
    "handled",
    [
        "p:catch(function() end)",
        "p:next(nil, function() end)",
        "pcall(p.await, p)",
        "pcall(task.select, { { p, 'await' } })",
        "promise.all_settled({ p })",
        "promise.all({ p }):catch(function() end)",
        "promise.any({ p }):catch(function() end)",
        "promise.race({ p }):catch(function() end)",
        "promise.new(function(resolve) resolve(p) end):catch(function() end)",
    ],
)
async def test_what_handles_a_rejection_before_or_after_it_happens(lua: Lua, handled: str) -> None:
    assert await run(
        lua,
        f"""
        task.scope(function()
          local p = promise.reject("why")
          sleep(1)
          {handled}
        end)
        task.scope(function()
          local p = later_no(1, "why")
          {handled}
        end)
        note("fine")
        """,
    ) == [["fine"]]


async def test_several_rejections_are_raised_together_in_order(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local ok, err = pcall(task.scope, function()
          later_no(2, "second")
          later_no(1, "first")
          promise.reject("at once")
          promise.reject("handled"):catch(function() end)
        end)
        note(ok, err.kind, err.errors)
        """,
    ) == [[False, "failures", ["at once", "first", "second"]]]


async def test_a_rejection_after_the_end_of_its_scope_raises_in_the_one_around_it(lua: Lua) -> None:
    assert await run(
        lua,
        """
        note(pcall(task.scope, function()
          local reject
          task.scope(function() local _ _, _, reject = pending() end)
          note("the inner one has ended")
          reject("why")
        end))
        """,
    ) == [["the inner one has ended"], [False, "why"]]


async def test_a_rejection_in_a_task_without_scopes_raises_where_the_task_lives(lua: Lua) -> None:
    with pytest.raises(scheduler.LuaError, match="why"):
        await lua("task.spawn(function() promise.reject('why') end) return 1")


async def test_rejections_that_were_handled_leave_nothing_in_their_scope(lua: Lua) -> None:
    assert await run(
        lua,
        """
        for _ = 1, 1000 do promise.reject({}):catch(function() end) end
        task.yield() task.yield()
        local seen = setmetatable({}, { __mode = "k" })
        for _ = 1, 1000 do
          local p = promise.reject({})
          seen[p] = true
          p:catch(function() end)
        end
        for _ = 1, 30 do task.yield() end
        collectgarbage() collectgarbage()
        local left = 0
        for _ in pairs(seen) do left = left + 1 end
        note(left <= 40)
        """,
    ) == [[True]]


async def test_the_report_tells_where_the_rejection_was_made(shell: Shell) -> None:
    shell.write(
        "made.lua",
        "local function refuse(reject)\n  reject('no luck')\nend\n"
        "promise.new(function(_, reject)\n  refuse(reject)\nend)\nsleep(1)\nprint('goes on')\n",
    )
    shell.write(
        "raised.lua",
        "local function helper(x)\n  return x.field\nend\n"
        "promise.resolve():next(function()\n  return (helper(nil))\nend)\n",
    )
    shell.write("run.lua", "promise.run(function() error('in a task', 0) end)\n")
    assert shell.run("--virtual-clock", "made.lua") == (
        1,
        "goes on\n",
        "scheduler: no luck\n"
        "stack traceback:\n"
        "\tmade.lua:2: rejected here\n"
        "in task 2, made.lua:2, a rejection that nobody handled\n",
    )
    code, _, err = shell.run("raised.lua")
    lines = err.splitlines()
    assert code == 1
    assert lines[0].startswith("scheduler: raised.lua:2: attempt to index a nil value")
    assert lines[1] == "stack traceback:"
    assert lines[2].startswith("\traised.lua:2: in ")
    assert lines[3].startswith("\traised.lua:5: in function <raised.lua:4>")
    assert lines[4:] == [
        "in task 2 'promise handlers', function <raised.lua:4>, a rejection that nobody handled"
    ]
    code, _, err = shell.run("run.lua")
    assert (code, err.splitlines()[0], err.splitlines()[-1]) == (
        1,
        "scheduler: in a task",
        "in task 2, function <run.lua:1>, a rejection that nobody handled",
    )


async def test_a_reason_raised_again_keeps_the_place_where_it_was_made(lua: Lua) -> None:
    with pytest.raises(scheduler.LuaError) as caught:
        await lua("""
            local p = promise.run(function()
              error("first") -- line 3
            end)
            p:next(print):catch(function(reason) error(reason, 0) end):await()
        """)
    assert "string:3: in function" in caught.value.lua_traceback


# -- cancel --------------------------------------------------------------------------------------


async def test_cancel_of_run_cancels_the_task_and_rejects_when_it_has_ended(lua_with_close: Lua) -> None:
    assert await run(
        lua_with_close,
        """
        local p = promise.run(function()
          local _ <close> = setmetatable({}, {
            __close = function() task.shield(sleep, 2) note("cleaned up") end
          })
          sleep(100)
        end)
        sleep(1)
        note(p:cancel("enough"), p:status())
        local ok, err = pcall(p.await, p)
        note(ok, err.kind, tostring(err), task.now())
        note(p:cancel())
        """,
    ) == [
        [True, "pending"],
        ["cleaned up"],
        [False, "cancelled", "task 2 was cancelled: enough", 3],
        [False],
    ]


async def test_cancel_of_new_rejects_at_once_and_cancels_the_executor(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p = promise.new(function(resolve) sleep(100) note("not reached") resolve() end)
        note(p:cancel("enough"), p:status(), p:cancel())
        local ok, err = pcall(p.await, p)
        note(ok, err.kind, tostring(err))
        task.yield()
        note(#task.list())
        local q, resolve = pending()
        note(q:cancel())
        resolve("ignored")
        note(q:status())
        """,
    ) == [
        [True, "rejected", False],
        [False, "cancelled", "the promise was cancelled: enough"],
        [1],
        [True],
        ["rejected"],
    ]


async def test_cancel_of_a_promise_made_by_next(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, resolve = pending()
        local before = p:next(noted("not called"))
        local ready = p:next(noted("not called"))
        local running = p:next(function() note("begins") sleep(100) note("not reached") end)
        local behind = p:next(noted("behind"))
        before:cancel()
        resolve("v")
        ready:cancel()
        sleep(1)
        running:cancel()
        task.yield()
        note(before:status(), ready:status(), running:status(), behind:status(), #task.list())
        """,
    ) == [["begins"], ["behind", "v"], ["rejected", "rejected", "rejected", "fulfilled", 1]]


async def test_cancel_of_promises_that_follow_others(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local inner, resolve = pending()
        local outer = promise.new(function(res) res(inner) end)
        local t = task.spawn(function() sleep(1) return "task" end)
        local of_task = promise.resolve(t)
        local all = promise.all({ inner, t })
        note(outer:cancel(), of_task:cancel(), all:cancel())
        resolve("v")
        sleep(2)
        note(outer:status(), of_task:status(), all:status(), inner:await(), t:join())
        """,
    ) == [[True, True, True], ["rejected", "rejected", "rejected", "v", "task"]]


async def test_cancelled_promises_are_no_failures_of_their_scope(lua: Lua) -> None:
    assert await run(
        lua,
        """
        task.scope(function()
          promise.run(sleep, 100):cancel()
          local p = promise.new(function() sleep(100) end)
          p:next(print):finally(function() note("finally") end)
          p:cancel()
          promise.all({ (promise.resolve(task.spawn(sleep, 1))) }):cancel()
        end)
        note("fine", task.now())
        """,
    ) == [["finally"], ["fine", 1]]


async def test_a_timeout_around_await_cancels_nothing_but_the_wait(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p = later(3, "v")
        note(task.timeout(1, p.await, p))
        note(p:await(), task.now())
        """,
    ) == [["nil", "timeout"], ["v", 3]]


# -- combinators ---------------------------------------------------------------------------------


async def test_c7_all_gives_the_values_in_the_order_given(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local values = promise.all({
          later(3, "slow"), later(1, "quick"), "plain", task.spawn(function() sleep(2) return "task" end),
          { next = function(_, res) res("thenable") end },
        }):await()
        note(values.n, values[1], values[2], values[3], values[4], values[5], task.now())
        values = promise.all({ promise.resolve(nil), nil, 3, n = 4 }):await()
        note(values.n, values[1], values[2], values[3], values[4])
        note(promise.all({}):status(), promise.all({}):await().n)
        """,
    ) == [[5, "slow", "quick", "plain", "task", "thenable", 3], [4, "nil", "nil", 3, "nil"], ["fulfilled", 0]]


async def test_all_is_rejected_by_the_first_rejection_and_the_others_go_on(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local other = later(3, "goes on")
        local p = promise.all({ other, later_no(2, "second"), later_no(1, "first") })
        note(pcall(p.await, p))
        note(task.now(), other:await())
        """,
    ) == [[False, "first"], [1, "goes on"]]


async def test_all_settled_tells_of_each(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local list = promise.all_settled({ later_no(2, "why"), later(1, "v"), 3 }):await()
        for i = 1, list.n do note(list[i].status, list[i].value, list[i].reason) end
        note(promise.all_settled({}):await().n)
        """,
    ) == [["rejected", "nil", "why"], ["fulfilled", "v", "nil"], ["fulfilled", 3, "nil"], [0]]


async def test_any_gives_the_first_value_or_all_reasons(lua: Lua) -> None:
    assert await run(
        lua,
        """
        note(promise.any({ later_no(1, "why"), later(3, "slow"), later(2, "v") }):await(), task.now())
        for _, p in ipairs({ promise.any({ later_no(2, "b"), later_no(1, "a") }), promise.any({}) }) do
          local ok, err = pcall(p.await, p)
          note(ok, err.kind, tostring(err), err.errors[1], err.errors[2], err.errors.n)
        end
        """,
    ) == [
        ["v", 2],
        [
            False,
            "failures",
            "all 2 promises were rejected; the field 'errors' lists the reasons",
            "b",
            "a",
            2,
        ],
        [
            False,
            "failures",
            "no promise was given, so none is fulfilled",
            "nil",
            "nil",
            0,
        ],
    ]


async def test_c19_race_is_what_happens_first(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local quick = promise.run(function() sleep(1) return "quick", 2 end)
        note(promise.race({ later(2, "slow"), quick }):await())
        local p = promise.race({ later(2, "slow"), later_no(1, "why") })
        note(pcall(p.await, p))
        note(promise.race({ later(2, "slow"), "plain" }):await())
        local twice = later(1, "the same one")
        note(promise.race({ twice, twice }):await())
        note(promise.all({ twice, twice }):await()[2])
        """,
    ) == [["quick", 2], [False, "why"], ["plain"], ["the same one"], ["the same one"]]


async def test_losers_of_a_race_are_heard_and_leave_nothing_behind(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local forever = promise.new(function() end)
        local count = setmetatable({}, { __mode = "k" })
        for _ = 1, 500 do
          local p = promise.race({ forever, promise.resolve() })
          count[p] = true
          promise.any({ forever, promise.resolve() })
        end
        collectgarbage() collectgarbage()
        note(next(count) == nil, forever.waiters == false)
        task.scope(function() promise.race({ later_no(2, "too late to matter"), later(1, "v") }):await() end)
        note("fine")
        """,
    ) == [[True, True], ["fine"]]


async def test_a_lost_race_leaves_nothing_on_its_tasks_and_their_failures_are_heard(lua: Lua) -> None:
    """A task in the list kept one promise for each race that it had not won."""
    assert await run(
        lua,
        """
        local seen = setmetatable({}, { __mode = "k" })
        task.scope(function()
          local long = task.spawn(function() sleep(9) error("too late to matter") end)
          for i = 1, 300 do
            seen[promise.race({ long, i })] = true
            seen[promise.race({ i, long })] = true
            seen[promise.any({ long, long, later(1) })] = true
            local all = promise.all({ long, long })
            seen[all] = true
            all:cancel()
          end
          local joined = task.spawn(pcall, long.join, long)
          sleep(2)
          local joiners, waiting = rawget(long, "joiners"), 0
          for i = joiners.first, joiners.last do waiting = waiting + (joiners[i] and 1 or 0) end
          note(waiting) -- who joins, and one that stands for all who have left
          collectgarbage() collectgarbage()
          local left = 0
          for _ in pairs(seen) do left = left + 1 end
          note(left <= 4)
        end)
        note("no failure", task.now())
        """,
    ) == [[2], [True], ["no failure", 9.0]]


async def test_cancelled_promises_of_next_leave_the_pending_one(lua: Lua) -> None:
    """Each stayed until that was settled. A few may stay, until the next ones come."""
    assert await run(
        lua,
        """
        local p, resolve = pending()
        local seen = setmetatable({}, { __mode = "k" })
        local order = {}
        p:next(function() order[#order + 1] = "first" end)
        for i = 1, 2000 do
          local q = p:next(print)
          seen[q] = true
          q:cancel()
          if i % 500 == 0 then p:next(function() order[#order + 1] = i end) end
        end
        local awaits = task.spawn(function() return p:await() end)
        task.yield()
        collectgarbage() collectgarbage()
        local left = 0
        for _ in pairs(seen) do left = left + 1 end
        note(left < 100)
        resolve("value")
        note(awaits:join(), table.concat(order, " "))
        local alone = pending()
        alone:next(print):cancel()
        local kept = alone:next(print)
        note(alone.waiters == kept)
        """,
    ) == [[True], ["value", "first 500 1000 1500 2000"], [True]]


@pytest.mark.parametrize("library", ["promise", "task"])
@pytest.mark.parametrize("n", ["-1", "2.5", "0/0", "1/0", "2^60", "'2'", "false"])
async def test_a_length_that_is_none(lua: Lua, library: str, n: str) -> None:
    text = await lua(f"return select(2, pcall({library}.all, {{ n = {n} }}))")
    assert "bad argument #1 to 'all' (the field 'n' of a list is its length, a whole number" in text


async def test_a_length_may_be_a_whole_float(lua: Lua) -> None:
    assert await lua("""
        local all = promise.all({ nil, 2, nil, n = 6 / 2 }):await()
        local tasks = task.all({ task.spawn(function() return 1 end), n = 2 / 2 })
        return all.n, all[2], tostring(all.n), tasks.n
    """) == (3, 2, "3", 1)


async def test_lengths_in_the_sandbox() -> None:
    """A wrong one was ignored there, and everything in the list with it."""
    async with opened(sandbox=scheduler.Sandbox()) as rt:
        assert await rt.run("""
            local function fails(list) return (select(2, pcall(promise.all, list)):match("%((.*)")) end
            local n = promise.all({ nil, 2, n = 3.0 }):await().n
            return n, fails({ n = 2.5 }), fails({ n = -1 }), fails({ a = 1 })
        """) == (
            3,
            "the field 'n' of a list is its length, a whole number of at least 0; got 2.5)",
            "the field 'n' of a list is its length, a whole number of at least 0; got -1)",
            "a list expected, with items at 1, 2 and so on; this table has other keys only)",
        )


# -- bad input, reports, memory ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("promise.new()", "bad argument #1 to 'new' (function expected, got no value)"),
        ("promise.new(5)", "bad argument #1 to 'new' (function expected, got number)"),
        ("promise.run('x')", "bad argument #1 to 'run' (function expected, got string)"),
        (
            "promise.all()",
            "bad argument #1 to 'all' (list of promises, tasks or values expected, got no value)",
        ),
        (
            "promise.all(5)",
            "bad argument #1 to 'all' (list of promises, tasks or values expected, got number)",
        ),
        (
            "promise.all(promise.resolve())",
            "bad argument #1 to 'all' (list of promises, tasks or values expected, got promise)",
        ),
        (
            "promise.any(task.current())",
            "bad argument #1 to 'any' (list of promises, tasks or values expected, got task)",
        ),
        (
            "promise.all({ a = p })",
            "bad argument #1 to 'all' (a list expected, with items at 1, 2 and so on; this table has other "
            "keys only)",
        ),
        (
            "promise.race({ a = p })",
            "bad argument #1 to 'race' (a list expected, with items at 1, 2 and so on; this table has other "
            "keys only)",
        ),
        ("promise.race({})", "bad argument #1 to 'race' (a race needs at least one promise, task or value)"),
        (
            "promise.all_settled('x')",
            "bad argument #1 to 'all_settled' (list of promises, tasks or values expected, got string)",
        ),
        ("p:await(-1)", "bad argument #1 to 'await' (seconds must not be negative or NaN, got -1)"),
        ("p:await('x')", "bad argument #1 to 'await' (number of seconds expected, got string)"),
        ("p:cancel(5)", "bad argument #1 to 'cancel' (reason (a string) expected, got number)"),
    ],
)
async def test_bad_arguments_are_errors_at_the_line_of_the_call(lua: Lua, call: str, message: str) -> None:
    assert await lua(
        f"local p = promise.new(function() end)\nreturn select(2, pcall(function()\n{call} return 1 end))"
    ) == (f"string:3: {message}")


@pytest.mark.parametrize(
    ("method", "argument", "got"),
    [
        ("await", "", "no value"),
        ("next", "print", "function"),
        ("catch", "print", "function"),
        ("finally", "{}", "table"),
        ("status", "5", "number"),
        ("cancel", "'x'", "string"),
    ],
)
async def test_methods_called_with_a_dot_say_so(lua: Lua, method: str, argument: str, got: str) -> None:
    assert await lua(
        f"local p = promise.new(function() end)\n"
        f"return select(2, pcall(function()\np.{method}({argument}) return 1 end))"
    ) == (
        f"string:3: bad argument #1 to '{method}' (promise expected, got {got}; "
        f"call it with a colon, as in p:{method}())"
    )


async def test_deadlock_report_tells_what_is_awaited(lua: Lua) -> None:
    with pytest.raises(scheduler.DeadlockError) as caught:
        await lua("""
            local function handler() end
            local p = promise.new(function() end)
            task.spawn(function() p:await() end)
            task.spawn(function() p:next(handler):await() end)
            task.spawn(function() promise.all({ p, p }):await() end)
            task.spawn(function() task.select({ { p, "await" } }) end)
            promise.run(function() event.wait("never") end):await()
        """)
    details = [task.detail for task in caught.value.tasks]
    assert details == [
        "promise of task 7",
        "promise",
        "promise of function <string:2>",
        "promise.all of 2",
        "promise",
        "event 'never'",
    ]


async def test_tasks_that_await_each_others_promises_are_a_cycle_in_the_report(lua: Lua) -> None:
    with pytest.raises(scheduler.DeadlockError) as caught:
        await lua("""
            local a, b
            a = promise.run(function() return b:await() end)
            b = promise.run(function() return a:await() end)
            a:await()
        """)
    assert "task 2 waits for promise of task 3" in str(caught.value)
    assert "task 3 waits for promise of task 2" in str(caught.value)


async def test_text_of_a_promise(lua: Lua) -> None:
    assert await lua("""
        local p = promise.new(function() end)
        return tostring(p), tostring(promise.resolve(1)), tostring(promise.run(print)), tostring(later)
    """) == ("promise", "promise", "promise of task 3", "nil")


async def test_a_promise_forgotten_is_garbage(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local seen = setmetatable({}, { __mode = "k" })
        for _ = 1, 200 do
          local p, resolve = pending()
          seen[p] = true
          seen[p:next(print):catch(print)] = true
          seen[promise.new(function(res) res(p) end)] = true
          seen[promise.all({ p })] = true
        end
        collectgarbage() collectgarbage()
        local left = 0
        for _ in pairs(seen) do left = left + 1 end
        note(left <= 4) -- the last ones may be in a stale slot of the stack
        """,
    ) == [[True]]


async def test_a_chain_keeps_nothing_but_its_end(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local seen, p = setmetatable({}, { __mode = "k" }), promise.resolve(0)
        for i = 1, 300 do
          p = p:next(function(n) return n + 1 end)
          if i < 300 then seen[p] = true end
        end
        note(p:await())
        collectgarbage() collectgarbage()
        note(next(seen) == nil, p:await())
        """,
    ) == [[300], [True, 300]]


async def test_promises_outside_a_task_are_an_error(lua: Lua) -> None:
    """A finalizer that runs between two steps is no task's doing; promises may be settled there."""
    assert await run(
        lua,
        """
        local p, resolve = pending()
        p:next(noted("settled by a finalizer"))
        local function drop()
          if newproxy then
            local proxy = newproxy(true)
            getmetatable(proxy).__gc = function() resolve("v") end
          else
            setmetatable({}, { __gc = function() resolve("v") end })
          end
        end
        drop()
        collectgarbage() collectgarbage()
        sleep(1)
        """,
    ) == [["settled by a finalizer", "v"]]


# -- preemption ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.trio(run=trio.run)
async def test_a28_executors_and_handlers_that_compute_do_not_stall_the_others(
    engine_with_close: str,
) -> None:
    async with opened(engine_with_close) as runtime:
        assert await runtime.run("""
            local beats, stop = 0, false
            task.spawn_with({ background = true }, function()
              while true do sleep(0.002) beats = beats + 1 end
            end)
            local function until_beats(n)
              local goal = beats + n
              while beats < goal do end
              return goal
            end
            local p = promise.new(function(resolve) resolve(until_beats(3)) end)
            local q = promise.resolve():next(function() return until_beats(3) end)
            local nested = coroutine.wrap(function()
              return promise.new(function(resolve) resolve(until_beats(3)) end):await()
            end)
            return p:await() >= 3, q:await() >= 6, nested() >= 9
        """) == (True, True, True)


@pytest.mark.slow
@pytest.mark.trio(run=trio.run)
async def test_many_executors_in_overdue_slices(engine_with_close: str) -> None:
    """The watchdog's hook once took the task that was about to begin for the one that stood still."""
    async with opened(engine_with_close) as runtime:
        assert await runtime.run("""
            local sum, n = 0, 60000
            for i = 1, n do sum = sum + promise.new(function(resolve) resolve(i) end):await() end
            return sum == n * (n + 1) / 2
        """)


@pytest.mark.trio(run=trio.run)
@pytest.mark.parametrize(
    "executor", ["while true do end", "while true do pcall(function() while true do end end) end"]
)
async def test_a_limit_ends_an_executor_and_its_maker(engine_with_close: str, executor: str) -> None:
    """Both stand on one stack: when the executor is abandoned, the task that made it is, too."""
    async with opened(engine_with_close) as runtime:
        assert await runtime.run(f"""
            local value, err = task.limit({{ cpu_s = 0.05 }}, function()
              promise.new(function() {executor} end)
              return "not reached"
            end)
            sleep(0.01)
            return value, err.limit, #task.list()
        """) == (None, "cpu", 1)


@pytest.mark.trio(run=trio.run)
async def test_a_cancelled_task_ends_the_executor_that_holds_it_up(engine_with_close: str) -> None:
    """It computes in its first step, so the task that made it stands beneath it."""
    async with opened(engine_with_close) as runtime:
        assert await runtime.run("""
            local p
            local t = task.spawn(function()
              p = promise.new(function() while true do pcall(string.rep, "x", 10) end end)
              sleep(0)
            end)
            sleep(0.03)
            t:cancel("enough")
            local ok, err = pcall(t.join, t)
            return ok, err.kind, #task.list()
        """) == (False, "cancelled", 1)


async def test_a_cancelled_task_ends_the_wait_of_an_executor_that_holds_it_up(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local t = task.spawn(function()
          promise.new(function()
            table.sort({ 2, 1 }, function(a, b) sleep(100) return a < b end)
          end)
          note("not a checkpoint")
          sleep(0)
          note("not reached")
        end)
        sleep(1)
        t:cancel()
        task.yield() task.yield()
        note(t:status(), #task.list(), task.now())
        """,
    ) == [["not a checkpoint"], ["cancelled", 1, 1]]


@pytest.mark.trio(run=trio.run)
async def test_a_timeout_ends_an_executor_that_computes(engine_with_close: str) -> None:
    async with opened(engine_with_close) as runtime:
        assert await runtime.run("""
            local value, why = task.timeout(0.02, function()
              promise.new(function() while true do end end)
            end)
            return value, why, #task.list()
        """) == (None, "timeout", 1)


async def test_shield_in_an_executor_holds_against_the_end_of_its_caller(lua: Lua) -> None:
    """The caller's cancellation was seen before the executor's own shield."""
    code = """
        local log = {}
        task.timeout(1, function()
          promise.new(function(resolve)
            task.shield(function()
              task.sleep(2)
              log[#log + 1] = "shield ended"
            end)
          end)
          task.sleep(100)
        end)
        return log[1]
    """
    assert await lua(code) == "shield ended"


@pytest.mark.trio(run=trio.run)
async def test_shield_in_an_executor_that_computes_holds(lua_with_close: Lua) -> None:
    """As above, in the executor's first step, which stands on its caller's stack."""
    code = """
        local log = {}
        task.timeout(0.02, function()
          promise.new(function(resolve)
            task.shield(function()
              local ends = os.clock() + 0.1
              while os.clock() < ends do end
              log[#log + 1] = "shield ended"
            end)
          end)
        end)
        return log[1]
    """
    assert await lua_with_close(code) == "shield ended"
