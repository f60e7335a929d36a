"""What promises are resolved with: tasks that return tasks, getters of the script's, and who is told."""

from __future__ import annotations

import pytest
from conftest import Lua, Shell

# Writes "kind: message" of the error that awaiting `p` raises, with its tasks numbered from 1 on.
TOOLS = """
local function rejection(p)
  local ok, err = pcall(p.await, p, 50)
  return ok, type(err) == "table" and err.kind, (tostring(err):gsub("task %d+", "task", 1))
end
local function slow(value) -- a table for whose fields one has to wait
  return setmetatable({}, { __index = function() sleep(2) return value end })
end
"""
RING = (
    "task returned itself, or a task that returned it: a promise of it would never have a value; "
    "return something else"
)


async def test_a_task_that_returns_itself_rejects_its_promises_and_wakes_its_joiners(lua: Lua) -> None:
    """It recursed in our own files, without end on Lua 5.4, past every limit."""
    assert await lua(
        TOOLS
        + """
        local p = promise.run(function() sleep(1) return task.current() end)
        local me
        me = task.spawn(function() sleep(1) return me end)
        local q = promise.resolve(me)
        local joined = task.spawn(function() return me:join() == me end)
        local late = { rejection(p) }
        return late, { rejection(q) }, joined:join(), { rejection(promise.resolve(me)) }
        """
    ) == ([False, "type", RING], [False, "type", RING], True, [False, "type", RING])


@pytest.mark.parametrize("before", [0, 1, 2, 5])
@pytest.mark.parametrize("n", [2, 3, 7])
async def test_a_ring_of_tasks_is_found(lua: Lua, n: int, before: int) -> None:
    """`before` tasks lead into the ring, so that its first task is not where the search begins."""
    assert await lua(
        TOOLS
        + f"""
        local n, before = {n}, {before}
        local ring = {{}}
        for i = 1, n do ring[i] = task.spawn(function() sleep(i) return ring[i % n + 1] end) end
        local first = ring[1]
        for _ = 1, before do local nearer = first first = task.spawn(function() return nearer end) end
        local soon = promise.resolve(first)
        sleep(20)
        local a, b = {{ rejection(soon) }}, {{ rejection(promise.resolve(first)) }}
        return a, b
        """
    ) == ([False, "type", RING], [False, "type", RING])


async def test_a_long_chain_of_tasks_that_return_the_one_before(lua: Lua) -> None:
    """It overflowed the stack on LuaJIT. Longer than what is looked at in one go."""
    assert await lua("""
        local first = task.spawn(function() sleep(1) return "end", 2 end)
        local last = first
        for _ = 1, 20000 do local before = last last = task.spawn(function() return before end) end
        local early = promise.resolve(last)
        task.yield()
        local going = promise.resolve(last)
        sleep(2)
        local p = promise.resolve(last)
        local cancelled = { p:status(), p:cancel() }
        local status, late = early:status(), promise.resolve(last)
        return status, { early:await() }, { going:await() }, { late:await() }, cancelled, p:status()
    """) == ("fulfilled", ["end", 2], ["end", 2], ["end", 2], ["pending", True], "rejected")


async def test_a_ring_is_found_under_a_limit(lua_with_close: Lua) -> None:
    assert (
        await lua_with_close(
            TOOLS
            + """
        return task.limit({ cpu_s = 5 }, function()
          local p = promise.run(function() sleep(1) return task.current() end)
          return (select(2, rejection(p)))
        end)
        """
        )
        == "type"
    )


async def test_an_error_in_one_who_is_told_of_an_end_does_not_keep_the_others_waiting(lua: Lua) -> None:
    """Memory may be exhausted there. Whoever came after it waited for ever, the scope as well."""
    for joiners in ("{ 'promise', 'task', 'promise', 'promise', 'task' }", "{ 'promise' }"):
        assert await lua(
            f"local joiners = {joiners}\n"
            + """
            local start, class, heard, rest = task.now(), getmetatable(promise.resolve()), {}, {}
            local ok, err = pcall(task.scope, function()
              local t = task.spawn(function() sleep(1) return "value" end)
              for i, kind in ipairs(joiners) do
                if kind == "task" then
                  task.spawn(task.shield, function()
                    local value = t:join()
                    heard[#heard + 1] = value
                  end)
                else
                  rest[i] = promise.resolve(t)
                end
                task.yield()
              end
              local fire, first = class.fire, true
              class.fire = function(...)
                if first then first = false error("broken", 0) end
                return fire(...)
              end
              sleep(5)
            end)
            local last = rest[#joiners - 1]
            return ok, err, table.concat(heard, " "), last and last:status(), task.now() - start
            """
        ) == (
            (False, "broken", "value value", "fulfilled", 1.0)
            if "task" in joiners
            else (False, "broken", "", None, 1.0)
        )


# -- a getter of the script's --------------------------------------------------------------------


async def test_a_promise_resolved_with_a_slow_getter_is_not_resolved_again(lua: Lua) -> None:
    """Promises/A+ 2.1.2, 2.1.3. It was rejected in between, then fulfilled: a handler saw both."""
    assert await lua(
        TOOLS
        + """
        local resolve, reject
        local p = promise.new(function(a, b) resolve, reject = a, b end)
        local value, seen = slow(nil), {}
        p:next(function(v) seen[#seen + 1] = v == value end, function() seen[#seen + 1] = "rejected" end)
        task.spawn(function() resolve(value) end)
        sleep(1)
        reject("in between")
        resolve("in between")
        local between = p:status()
        sleep(5)
        return between, p:await() == value, seen, rawget(p, "source")
        """
    ) == ("pending", True, [True], None)


async def test_a_getter_that_resolves_the_promise_is_ignored(lua: Lua) -> None:
    assert await lua("""
        local resolve
        local p = promise.new(function(r) resolve = r end)
        local first = task.spawn(function() return type(p:await()) end)
        task.yield()
        resolve(setmetatable({}, { __index = function() resolve("inner") sleep(0) return nil end }))
        return first:join(), type(p:await())
    """) == ("table", "table")


@pytest.mark.parametrize("step", ["nil", "function(_, resolve) resolve('of a thenable') end"])
@pytest.mark.parametrize(
    "make",
    [
        "promise.new(function(resolve) sleep(0) resolve(value) end)",
        "promise.resolve(1):next(function() return value end)",
        "promise.run(function() return value end)",
        "promise.resolve(task.spawn(function() return value end))",
    ],
)
async def test_a_promise_cancelled_while_its_value_is_looked_at(lua: Lua, make: str, step: str) -> None:
    assert await lua(
        TOOLS
        + f"""
        local value = slow({step})
        local p = {make}
        sleep(1)
        local cancelled = {{ p:cancel("no"), p:status() }}
        sleep(5)
        return cancelled, p:status(), (select(2, rejection(p)))
        """
    ) == ([True, "rejected"], "rejected", "cancelled")


async def test_a_getter_runs_when_the_task_that_returned_it_has_ended(lua: Lua) -> None:
    """It ran, and waited, in the middle of that task's end: joiners of it heard of it only afterwards."""
    assert await lua(
        TOOLS
        + """
        local t = task.spawn(function() sleep(1) return slow(function(_, resolve) resolve("got") end) end)
        local p = promise.resolve(t)
        local joined = task.spawn(function() t:join() return task.now() end)
        return joined:join(), p:await(), task.now()
        """
    ) == (1.0, "got", 3.0)


async def test_next_is_found_along_tables_without_a_wait(lua: Lua) -> None:
    assert await lua("""
        local Base = { next = function(self, resolve) resolve("from " .. self.name) end }
        Base.__index = Base
        local Derived = setmetatable({ __index = nil }, Base)
        Derived.__index = Derived
        local plain = setmetatable({}, { __index = {} })
        local deep = { next = function(_, resolve) resolve("deep") end }
        for _ = 1, 30 do deep = setmetatable({}, { __index = deep, __metatable = false }) end
        return promise.resolve(setmetatable({ name = "derived" }, Derived)):await(),
          promise.resolve(plain):status(), promise.resolve(deep):await()
    """) == ("from derived", "fulfilled", "deep")


async def test_an_error_of_a_getter_after_a_task_has_returned_it_is_the_reason(lua: Lua) -> None:
    assert await lua(
        TOOLS
        + """
        local value = setmetatable({}, { __index = function(_, key) error("no " .. key, 0) end })
        return { rejection(promise.run(function() return value end)) },
          { rejection(promise.resolve(1):next(function() return value end)) }
        """
    ) == ([False, False, "no next"], [False, False, "no next"])


# -- where a rejection was made ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "site"),
    [
        (
            "promise.resolve(1):next(function()\n  return promise.reject('no')\nend)",
            "function <tail.lua:1>",
        ),
        (
            "local function refuse() return promise.reject('no') end\n"
            "promise.resolve(1):next(function()\n  return refuse()\nend)",
            "function <tail.lua:2>",
        ),
        ("promise.new(function(_, reject)\n  return reject('no')\nend)", "function <tail.lua:1>"),
        ("promise.new(function(_, reject)\n  sleep(1) return reject('no')\nend)", "function <tail.lua:1>"),
        ("promise.run(function()\n  return promise.reject('no')\nend)", "in a tail call"),
    ],
)
async def test_a_rejection_made_by_a_tail_call_says_where(shell: Shell, script: str, site: str) -> None:
    """It said "?": such a call has left the function that made it."""
    shell.write("tail.lua", script + "\nsleep(2)\n")
    code, _, err = shell.run("--virtual-clock", "tail.lua")
    lines = err.splitlines()
    assert (code, lines[:3]) == (1, ["scheduler: no", "stack traceback:", f"\t{site}: rejected here"])
    assert lines[3].endswith(f", {site}, a rejection that nobody handled")


FORGOTTEN = "held: the handler function <> ended while it held mutex 'm'; unlock what was locked, or use with"

# -- locks ---------------------------------------------------------------------------------------


async def test_a_handler_that_forgets_an_unlock_is_rejected_and_those_behind_it_may_lock(lua: Lua) -> None:
    """The next one, in the same task, heard that it held the lock already."""
    assert await lua("""
        local m, log = sync.mutex("m"), {}
        local p = promise.resolve(1)
        local a = p:next(function() m:lock() end)
        local b = p:next(function() m:lock() log[#log + 1] = "b" m:unlock() return "b" end)
        local c = p:next(function() m:lock() error("own error", 0) end)
        local d = p:next(function() m:lock() sleep(1) log[#log + 1] = "d" end)
        local e = p:next(function() return m:with(function() return "e", task.now() end) end)
        local rows = {}
        for i, each in ipairs({ a, b, c, d, e }) do
          rows[i] = { pcall(each.await, each) }
          local err = rows[i][2]
          if type(err) == "table" then rows[i][2] = err.kind .. ": " .. err.message:gsub("%b<>", "<>") end
        end
        return rows, log, m:statistics().locked
    """) == (
        [
            [
                False,
                FORGOTTEN,
            ],
            [True, "b"],
            [False, "own error"],
            [
                False,
                FORGOTTEN,
            ],
            [True, "e", 1.0],
        ],
        ["b", "d"],
        False,
    )
