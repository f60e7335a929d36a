"""Promises/A+ 1.1 (promisesaplus.com), one test for each rule, by its number."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Lua

# What the programs below share: `log` is what they return; `pending()` a promise and its two functions.
TOOLS = """
local log = {}
local function note(...) log[#log + 1] = { ... } end
local function noted(name)
  return function(value) note(name, value) return value end
end
local function pending()
  local resolve, reject
  local p = promise.new(function(res, rej) resolve, reject = res, rej end)
  return p, resolve, reject
end
local function settle() task.sleep(1) end
local function thenable(fn)
  return { next = function(_, res, rej) return fn(res, rej) end }
end
"""


async def run(lua: Lua, code: str) -> Any:
    return await lua(TOOLS + code + "\nreturn log")


# -- 2.1 states ----------------------------------------------------------------------------------


async def test_2_1_1_1_a_pending_promise_may_become_fulfilled_or_rejected(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, resolve = pending()
        local q, _, reject = pending()
        note(p:status(), q:status())
        resolve(1); reject(2)
        note(p:status(), q:status())
        q:catch(function() end)
        """,
    ) == [["pending", "pending"], ["fulfilled", "rejected"]]


async def test_2_1_2_1_a_fulfilled_promise_stays_fulfilled(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, resolve, reject = pending()
        resolve(1); reject(2); resolve(3); p:cancel()
        p:next(noted("ok"), noted("err"))
        settle()
        note(p:status())
        """,
    ) == [["ok", 1], ["fulfilled"]]


async def test_2_1_2_2_the_value_does_not_change(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local value = { 1 }
        local p, resolve = pending()
        resolve(value); resolve({ 2 })
        note(p:await() == value, p:await() == value)
        """,
    ) == [[True, True]]


async def test_2_1_3_1_a_rejected_promise_stays_rejected(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, resolve, reject = pending()
        reject(1); resolve(2); reject(3); p:cancel()
        p:next(noted("ok"), noted("err"))
        settle()
        note(p:status())
        """,
    ) == [["err", 1], ["rejected"]]


async def test_2_1_3_2_the_reason_does_not_change(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local reason = { 1 }
        local p, _, reject = pending()
        reject(reason); reject({ 2 })
        for _ = 1, 2 do
          local ok, err = pcall(p.await, p)
          note(ok, err == reason)
        end
        """,
    ) == [[False, True], [False, True]]


# -- 2.2 next ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ignored", ["nil", "false", "5", "{}", "'text'"])
async def test_2_2_1_1_a_value_handler_that_is_no_function_is_ignored(lua: Lua, ignored: str) -> None:
    assert await run(
        lua,
        f"""
        promise.reject("why"):next({ignored}, noted("err"))
        promise.resolve("v"):next({ignored}, noted("err")):next(noted("ok"))
        settle()
        """,
    ) == [["err", "why"], ["ok", "v"]]


@pytest.mark.parametrize("ignored", ["nil", "false", "5", "{}", "'text'"])
async def test_2_2_1_2_a_reason_handler_that_is_no_function_is_ignored(lua: Lua, ignored: str) -> None:
    assert await run(
        lua,
        f"""
        promise.resolve("v"):next(noted("ok"), {ignored})
        promise.reject("why"):next(noted("ok"), {ignored}):catch(noted("err"))
        settle()
        """,
    ) == [["ok", "v"], ["err", "why"]]


async def test_2_2_1_a_callable_table_is_a_function(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local callable = setmetatable({}, { __call = function(_, value) note("called", value) end })
        promise.resolve(1):next(callable)
        promise.reject(2):next(nil, callable)
        settle()
        """,
    ) == [["called", 1], ["called", 2]]


async def test_2_2_2_1_the_value_handler_is_called_after_fulfilment_with_the_value(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, resolve = pending()
        p:next(function(...) note(p:status(), select("#", ...), ...) end)
        resolve("v")
        settle()
        """,
    ) == [["fulfilled", 1, "v"]]


async def test_2_2_2_2_the_value_handler_is_not_called_before(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, resolve = pending()
        p:next(noted("ok"))
        settle()
        note("still nothing")
        resolve("v")
        settle()
        """,
    ) == [["still nothing"], ["ok", "v"]]


async def test_2_2_2_3_the_value_handler_is_called_once(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, resolve, reject = pending()
        p:next(noted("ok"), noted("err"))
        resolve("v"); resolve("w"); reject("why")
        settle()
        resolve("x")
        settle()
        """,
    ) == [["ok", "v"]]


async def test_2_2_3_1_the_reason_handler_is_called_after_rejection_with_the_reason(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, _, reject = pending()
        p:next(nil, function(...) note(p:status(), select("#", ...), ...) end)
        reject("why")
        settle()
        """,
    ) == [["rejected", 1, "why"]]


async def test_2_2_3_2_the_reason_handler_is_not_called_before(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, _, reject = pending()
        p:next(nil, noted("err"))
        settle()
        note("still nothing")
        reject("why")
        settle()
        """,
    ) == [["still nothing"], ["err", "why"]]


async def test_2_2_3_3_the_reason_handler_is_called_once(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, resolve, reject = pending()
        p:next(noted("ok"), noted("err"))
        reject("why"); resolve("v"); reject("again")
        settle()
        """,
    ) == [["err", "why"]]


async def test_2_2_4_handlers_are_not_called_by_whoever_settles_or_registers(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, resolve = pending()
        p:next(noted("first"))
        resolve("v")
        note("resolved")
        p:next(noted("second"))
        promise.reject("why"):catch(noted("third"))
        note("registered")
        settle()
        """,
    ) == [["resolved"], ["registered"], ["first", "v"], ["second", "v"], ["third", "why"]]


async def test_2_2_4_nor_by_a_handler_that_settles(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, resolve = pending()
        p:next(noted("inner"))
        promise.resolve():next(function()
          resolve("v")
          note("the outer one returns")
        end)
        settle()
        """,
    ) == [["the outer one returns"], ["inner", "v"]]


async def test_2_2_5_handlers_are_called_as_functions(lua: Lua) -> None:
    """Nothing is passed but the value: no object in front."""
    assert await run(
        lua,
        """
        promise.resolve("v"):next(function(...) note(select("#", ...), ...) end)
        promise.reject("why"):catch(function(...) note(select("#", ...), ...) end)
        settle()
        """,
    ) == [[1, "v"], [1, "why"]]


async def test_2_2_6_1_value_handlers_are_called_in_order_of_registration(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, resolve = pending()
        for i = 1, 4 do
          p:next(function()
            note(i)
            if i == 2 then error("one that fails") end
            return { i }
          end):catch(function() end)
        end
        resolve("v")
        p:next(noted("late"))
        settle()
        """,
    ) == [[1], [2], [3], [4], ["late", "v"]]


async def test_2_2_6_2_reason_handlers_are_called_in_order_of_registration(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p, _, reject = pending()
        for i = 1, 4 do
          p:catch(function()
            note(i)
            if i == 2 then error("one that fails") end
          end):catch(function() end)
        end
        reject("why")
        p:catch(noted("late"))
        settle()
        """,
    ) == [[1], [2], [3], [4], ["late", "why"]]


async def test_2_2_7_next_returns_another_promise(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p = promise.resolve(1)
        local q = p:next()
        note(p == q, getmetatable(p) == getmetatable(q), q:await())
        """,
    ) == [[False, True, 1]]


async def test_2_2_7_1_what_a_handler_returns_resolves_the_promise(lua: Lua) -> None:
    assert await run(
        lua,
        """
        note(promise.resolve(1):next(function(v) return v + 1 end):await())
        note(promise.reject(1):next(nil, function(v) return v + 2 end):await())
        note(promise.resolve(1):next(function(v) return promise.resolve(v + 3) end):await())
        note(promise.resolve(1):next(function(v) return thenable(function(res) res(v + 4) end) end):await())
        """,
    ) == [[2], [3], [4], [5]]


async def test_2_2_7_2_what_a_handler_raises_rejects_the_promise(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local reason = { 1 }
        local function raise() error(reason) end
        local function is_it(r) return r == reason end
        note(promise.resolve(1):next(raise):catch(is_it):await())
        note(promise.reject(1):catch(raise):catch(is_it):await())
        """,
    ) == [[True], [True]]


async def test_2_2_7_3_without_a_value_handler_the_value_passes_through(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local value = {}
        local p, resolve = pending()
        local q = p:next():next(nil, noted("err"))
        resolve(value)
        note(q:await() == value)
        """,
    ) == [[True]]


async def test_2_2_7_4_without_a_reason_handler_the_reason_passes_through(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local reason = {}
        local p, _, reject = pending()
        local q = p:next(noted("ok")):next(noted("ok"))
        reject(reason)
        local ok, err = pcall(q.await, q)
        note(ok, err == reason)
        """,
    ) == [[False, True]]


# -- 2.3 the promise resolution procedure --------------------------------------------------------


async def test_2_3_1_a_promise_resolved_with_itself_is_rejected(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local p
        p = promise.resolve():next(function() return p end)
        local ok, err = pcall(p.await, p)
        note(ok, err.kind)
        local q, resolve = pending()
        resolve(q)
        ok, err = pcall(q.await, q)
        note(ok, err.kind)
        """,
    ) == [[False, "type"], [False, "type"]]


async def test_2_3_1_promises_that_wait_for_each_other_are_rejected_too(lua: Lua) -> None:
    assert (
        await run(
            lua,
            """
        local a, resolve_a = pending()
        local b, resolve_b = pending()
        local c, resolve_c = pending()
        resolve_a(b); resolve_b(c); resolve_c(a)
        for _, p in ipairs({ a, b, c }) do
          local ok, err = pcall(p.await, p)
          note(ok, err.kind)
        end
        """,
        )
        == [[False, "type"]] * 3
    )


async def test_2_3_2_1_resolved_with_a_pending_promise_it_stays_pending(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local inner, resolve = pending()
        local p = promise.resolve():next(function() return inner end)
        settle()
        note(p:status())
        resolve("v")
        note(p:await())
        """,
    ) == [["pending"], ["v"]]


@pytest.mark.parametrize("when", ["before", "later"])
async def test_2_3_2_2_it_is_fulfilled_as_the_other_one(lua: Lua, when: str) -> None:
    assert await run(
        lua,
        f"""
        local inner, resolve = pending()
        if "{when}" == "before" then resolve("v") else task.spawn(function() settle() resolve("v") end) end
        note(promise.resolve():next(function() return inner end):await())
        local p, resolve_p, reject_p = pending()
        resolve_p(inner)
        reject_p("too late")
        note(p:await())
        """,
    ) == [["v"], ["v"]]


@pytest.mark.parametrize("when", ["before", "later"])
async def test_2_3_2_3_it_is_rejected_as_the_other_one(lua: Lua, when: str) -> None:
    assert await run(
        lua,
        f"""
        local inner, _, reject = pending()
        if "{when}" == "before" then reject("why") else task.spawn(function() settle() reject("why") end) end
        note(pcall(function() promise.resolve():next(function() return inner end):await() end))
        local p, resolve_p = pending()
        resolve_p(inner)
        resolve_p("too late")
        note(pcall(p.await, p))
        """,
    ) == [[False, "why"], [False, "why"]]


async def test_2_3_3_1_next_is_looked_up_once(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local x = setmetatable({}, { __index = function(_, key)
          note("asked for", key)
          return function(_, res) res("v") end
        end })
        note(promise.resolve():next(function() return x end):await())
        """,
    ) == [["asked for", "next"], ["v"]]


async def test_2_3_3_2_an_error_of_the_look_up_is_the_reason(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local reason = {}
        local x = setmetatable({}, { __index = function() error(reason) end })
        for _, p in ipairs({ promise.resolve():next(function() return x end), promise.resolve(x) }) do
          local ok, err = pcall(p.await, p)
          note(ok, err == reason)
        end
        """,
    ) == [[False, True], [False, True]]


async def test_2_3_3_3_next_is_called_with_the_thenable_and_two_functions(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local x = {}
        function x.next(...)
          local self, res, rej = ...
          note(select("#", ...), self == x, type(res), type(rej))
          res("v")
        end
        note(promise.resolve(x):await())
        """,
    ) == [[3, True, "function", "function"], ["v"]]


async def test_2_3_3_3_next_is_called_later_and_may_wait(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local slow = thenable(function(res) note("called") sleep(2) res("slow") end)
        local p, q = promise.resolve(slow), promise.resolve(thenable(function(res) res("quick") end))
        note("not yet")
        note(q:await(), task.now() < 1)
        note(p:await(), task.now())
        """,
    ) == [["not yet"], ["called"], ["quick", True], ["slow", 2]]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1", 1),
        ("nil", "nil"),
        ("promise.resolve(2)", 2),
        ("promise.run(function() sleep(1) return 3 end)", 3),
        ("thenable(function(res) res(4) end)", 4),
        ("thenable(function(res) res(thenable(function(res) sleep(1) res(5) end)) end)", 5),
        ("{ next = 'no function' }", "no function"),
    ],
)
async def test_2_3_3_3_1_what_it_gives_is_resolved_again(lua: Lua, value: str, expected: Any) -> None:
    assert await run(
        lua,
        f"""
        local v = promise.resolve(thenable(function(res) res({value}) end)):await()
        if type(v) == "table" then v = v.next end
        note(v == nil and "nil" or v)
        """,
    ) == [[expected]]


@pytest.mark.parametrize("reason", ["'why'", "{}", "promise.resolve(1)", "thenable(function() end)"])
async def test_2_3_3_3_2_the_reason_it_gives_is_not_resolved(lua: Lua, reason: str) -> None:
    assert await run(
        lua,
        f"""
        local reason = {reason}
        local p = promise.resolve(thenable(function(_, rej) rej(reason) end))
        local ok, err = pcall(p.await, p)
        note(ok, err == reason)
        """,
    ) == [[False, True]]


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ("res(1) res(2)", ["ok", 1]),
        ("res(1) rej(2)", ["ok", 1]),
        ("rej(1) res(2)", ["err", 1]),
        ("rej(1) rej(2)", ["err", 1]),
        ("res(promise.new(function(r) sleep(1) r(1) end)) res(2)", ["ok", 1]),
        ("res(promise.new(function(r) sleep(1) r(1) end)) rej(2)", ["ok", 1]),
        ("task.spawn(function() sleep(2) res(2) end) sleep(1) res(1)", ["ok", 1]),
    ],
)
async def test_2_3_3_3_3_only_the_first_call_counts(lua: Lua, calls: str, expected: Any) -> None:
    assert await run(
        lua,
        f"""
        promise.resolve(thenable(function(res, rej) {calls} end)):next(noted("ok"), noted("err"))
        sleep(5)
        """,
    ) == [expected]


@pytest.mark.parametrize("first", ["res(1)", "res(promise.new(function(r) sleep(1) r(1) end))"])
async def test_2_3_3_3_4_1_an_error_after_the_first_call_is_ignored(lua: Lua, first: str) -> None:
    assert await run(
        lua,
        f"""
        local p = promise.resolve(thenable(function(res, rej) {first} error("ignored") end))
        p:next(noted("ok"), noted("err"))
        sleep(5)
        """,
    ) == [["ok", 1]]


async def test_2_3_3_3_4_2_an_error_before_it_is_the_reason(lua: Lua) -> None:
    assert await run(
        lua,
        """
        local reason, late = {}, nil
        local p = promise.resolve(thenable(function(res) late = res error(reason) end))
        local ok, err = pcall(p.await, p)
        late("too late")
        note(ok, err == reason, p:status())
        """,
    ) == [[False, True, "rejected"]]


@pytest.mark.parametrize("next_field", ["5", "{}", "'text'", "true"])
async def test_2_3_3_4_a_next_that_is_no_function_makes_no_thenable(lua: Lua, next_field: str) -> None:
    """A list whose nodes have a field `next` is a value."""
    assert await run(
        lua,
        f"""
        local node = {{ next = {next_field} }}
        note(promise.resolve(node):await() == node)
        note(promise.resolve():next(function() return node end):await() == node)
        """,
    ) == [[True], [True]]


@pytest.mark.parametrize("value", ["5", "'text'", "true", "print", "coroutine.create(print)", "{}", "0/1"])
async def test_2_3_4_any_other_value_fulfils(lua: Lua, value: str) -> None:
    assert await run(
        lua,
        f"""
        local value = {value}
        note(promise.resolve(value):await() == value)
        note(promise.resolve():next(function() return value end):await() == value)
        """,
    ) == [[True], [True]]
