"""What is done in pieces because there is very much of it (backlog.lua): nothing is lost, order is kept."""

from __future__ import annotations

from conftest import Lua


async def test_long_chain_of_promises_is_settled_to_its_end(lua: Lua) -> None:
    assert await lua("""
        local settle
        local p = promise.new(function(resolve) settle = resolve end)
        local log = {}
        for i = 1, 10000 do
          p = p:next()
          if i % 4000 == 0 then
            p:next(function() log[#log + 1] = i end)
          end
        end
        settle("value")
        log[#log + 1] = p:status()
        local value = p:await()
        log[#log + 1] = value
        task.sleep(0.001)
        return log
    """) == ["pending", 4000, 8000, "value"]


async def test_many_handlers_are_cut_with_their_scope(lua: Lua) -> None:
    assert await lua("""
        local list, ran = {}, 0
        task.scope(function(scope)
          local p = promise.resolve(1)
          for i = 1, 5000 do
            list[i] = p:next(function() ran = ran + 1 end)
          end
          scope:cancel()
        end)
        task.sleep(0.01)
        local counts = {}
        for i = 1, #list do
          counts[list[i]:status()] = (counts[list[i]:status()] or 0) + 1
        end
        return { ran, counts.rejected or 0, counts.pending or 0 }
    """) == [0, 5000, 0]


async def test_objects_of_a_scope_that_ended_end_with_it(lua: Lua) -> None:
    assert await lua("""
        local e, calls = require("emitter").new(), 0
        task.scope(function()
          for _ = 1, 3500 do
            e:on("x", function() calls = calls + 1 end)
          end
        end)
        e:emit("x")
        task.sleep(0.01)
        return { calls, e:statistics().handlers }
    """) == [0, 0]


async def test_locks_of_an_ended_task_are_all_given_back(lua: Lua) -> None:
    assert await lua("""
        local locks, got = {}, 0
        for i = 1, 3500 do
          locks[i] = sync.mutex("m" .. i)
        end
        local t = task.spawn(function()
          for i = 1, #locks do locks[i]:lock() end
          task.sleep(1)
        end)
        task.yield()
        for i = 1, #locks, 500 do
          task.spawn(locks[i].with, locks[i], function() got = got + 1 end)
        end
        local message = tostring(select(2, pcall(t.join, t)))
        task.sleep(0.01)
        local free = locks[3500]:try_lock()
        locks[3500]:unlock()
        return { got, message:find("'m10', 3490 more", 1, true) ~= nil, free }
    """) == [7, True, True]


async def test_scope_reports_its_first_hundred_rejections(lua: Lua) -> None:
    assert await lua("""
        local _, failed = pcall(task.scope, function()
          for i = 1, 150 do promise.reject("reason " .. i) end
        end)
        local text = tostring(failed)
        return { text:find("reason 100", 1, true) ~= nil, text:find("reason 101", 1, true) ~= nil,
          text:find("50 more rejections", 1, true) ~= nil }
    """) == [True, False, True]
