"""The `sync` library: what holds for every wait of it. (Each kind of object: test_sync_objects.py.)"""

from __future__ import annotations

import re

import attrs
import pytest
from conftest import Lua

import scheduler


@attrs.frozen
class Wait:
    """A wait for `o`, in pieces of Lua."""

    # Makes `o`, so that the wait waits.
    setup: str
    # Takes its timeout at %s.
    wait: str
    # Lets one waiter go on.
    free: str
    detail: str
    # In a select; None: cannot stand there.
    operation: str | None = None
    # What the waiter owes when it has got what it waited for; and whatever came of it.
    leave: str = ""
    always: str = ""
    # What the script owes when nobody has gone on; None: the same as `free`.
    cleanup: str | None = None
    value: object = True

    def code(self, source: str) -> str:
        """Fill in a test's source; WAIT(2) waits for two seconds."""
        source = re.sub(r"\bWAIT\((.*?)\)", lambda found: self.wait % (found[1] or "nil"), source)
        for word, piece in {
            "SETUP": self.setup,
            "FREE": self.free,
            "LEAVE": f"{self.leave} {self.always}",
            "ALWAYS": self.always,
            "CLEANUP": self.free if self.cleanup is None else self.cleanup,
            "OPERATION": f"'{self.operation}'",
        }.items():
            source = source.replace(word, piece)
        return source


WAITS = {
    "mutex": Wait(
        "local o = sync.mutex('x') o:lock()",
        "o:lock(%s)",
        "o:unlock()",
        "mutex 'x' (held by task 1 'string')",
        "lock",
        leave="o:unlock()",
    ),
    "semaphore": Wait(
        "local o = sync.semaphore(0, 'x')",
        "o:acquire(1, %s)",
        "o:release()",
        "semaphore 'x' (0 permits free)",
        "acquire",
    ),
    "reading": Wait(
        "local o = sync.rwlock('x') o:write_lock()",
        "o:read_lock(%s)",
        "o:write_unlock()",
        "reading rwlock 'x' (written by task 1 'string')",
        "read_lock",
        leave="o:read_unlock()",
    ),
    "writing": Wait(
        "local o = sync.rwlock('x') o:read_lock()",
        "o:write_lock(%s)",
        "o:read_unlock()",
        "writing rwlock 'x' (read by task 1 'string')",
        "write_lock",
        leave="o:write_unlock()",
    ),
    "condition": Wait(
        "local o = sync.condition(nil, 'x')",
        "(function() o.mutex:lock() return o:wait(%s) end)()",
        "o.mutex:lock() o:notify() o.mutex:unlock()",
        "a notification of condition 'x'",
        always="o.mutex:unlock()",
    ),
    "barrier": Wait(
        "local o = sync.barrier(2, 'x')",
        "o:wait(%s)",
        "o:wait()",
        "barrier 'x' (1 of 2 arrived)",
        "wait",
        cleanup="",
        value=1,
    ),
    "waitgroup": Wait(
        "local o = sync.waitgroup('x') o:add()",
        "o:wait(%s)",
        "o:done()",
        "waitgroup 'x' (1 not done)",
        "wait",
    ),
    "event": Wait(
        "local o = sync.event('x')",
        "o:wait(%s)",
        "o:set()",
        "sync.event 'x'",
        "wait",
    ),
    "once": Wait(
        "local o = sync.once(function() event.wait('go') return true end, 'x')\n"
        "task.spawn_with({ name = 'runner' }, o) task.yield()",
        "o:wait(%s)",
        "event.emit('go') task.yield()",
        "once 'x' (run by task 2 'runner')",
        "wait",
    ),
}
SELECTABLE = [name for name, wait in WAITS.items() if wait.operation]

each_wait = pytest.mark.parametrize("wait", WAITS.values(), ids=list(WAITS))
each_case = pytest.mark.parametrize("wait", [WAITS[name] for name in SELECTABLE], ids=SELECTABLE)


@each_wait
async def test_wait_ends_when_it_may(lua: Lua, wait: Wait) -> None:
    assert await lua(
        wait.code("""
        SETUP
        local log = {}
        local t = task.spawn(function()
          local value, why = WAIT()
          log[#log + 1] = { value, tostring(why) }
          LEAVE
        end)
        task.yield()
        local info = t:info()
        log[#log + 1] = { info.status, info.reason, info.detail, o:statistics().waiting }
        FREE
        t:join()
        log[#log + 1] = o:statistics().waiting
        return log
    """)
    ) == [["blocked", "resource", wait.detail, 1], [wait.value, "nil"], 0]


@each_wait
async def test_wait_times_out_and_leaves_the_queue(lua: Lua, wait: Wait) -> None:
    assert await lua(
        wait.code("""
        SETUP
        local log, began = {}, task.now()
        task.spawn(function()
          local value, why = WAIT(1.5)
          log[#log + 1] = { tostring(value), why, task.now() - began }
          ALWAYS
        end):join()
        log[#log + 1] = o:statistics().waiting
        CLEANUP
        return log
    """)
    ) == [["nil", "timeout", 1.5], 0]


@pytest.mark.parametrize("name", sorted(WAITS.keys() - {"barrier"}))
async def test_wait_that_times_out_leaves_the_others_in_the_queue(lua: Lua, name: str) -> None:
    assert await lua(
        WAITS[name].code("""
        SETUP
        local log, began = {}, task.now()
        local tasks = {}
        for i, seconds in ipairs({ 4, 1.5, 3 }) do
          tasks[i] = task.spawn(function()
            local value, why = WAIT(seconds)
            log[#log + 1] = { i, tostring(value), why, task.now() - began }
            ALWAYS
          end)
        end
        tasks[2]:join()
        log[#log + 1] = o:statistics().waiting
        tasks[1]:join()
        log[#log + 1] = o:statistics().waiting
        CLEANUP
        return log
    """)
    ) == [[2, "nil", "timeout", 1.5], 2, [3, "nil", "timeout", 3], [1, "nil", "timeout", 4], 0]


@each_wait
async def test_wait_without_patience_gives_the_others_a_turn(lua: Lua, wait: Wait) -> None:
    assert await lua(
        wait.code("""
        SETUP
        local other
        local t = task.spawn(function()
          local value, why = WAIT(0)
          ALWAYS
          return { tostring(value), why, other }
        end)
        task.spawn(function() other = "has run" end)
        local began = task.now()
        local row = t:join()
        CLEANUP
        return { row, task.now() - began, o:statistics().waiting }
    """)
    ) == [["nil", "timeout", "has run"], 0, 0]


@each_wait
@pytest.mark.parametrize(
    ("timeout", "message"),
    [
        ("-1", "(seconds must not be negative or NaN, got -1)"),
        ("0/0", "(seconds must not be negative or NaN, got"),
        ("'soon'", "(number of seconds expected, got string)"),
    ],
)
async def test_wait_refuses_what_is_no_timeout(lua: Lua, wait: Wait, timeout: str, message: str) -> None:
    ok, error, waiting = await lua(
        wait.code(f"""
        SETUP
        local ok, err
        task.spawn(function()
          ok, err = pcall(function()
            local _ = WAIT({timeout}) end)
          ALWAYS
        end):join()
        CLEANUP
        return ok, err, o:statistics().waiting
    """)
    )
    assert (ok, waiting) == (False, 0)
    assert error.startswith("string:")
    assert message in error


@each_wait
async def test_cancelled_waiter_leaves_the_queue(lua: Lua, wait: Wait) -> None:
    assert await lua(
        wait.code("""
        SETUP
        local log = {}
        local function waiter(i)
          local _ = WAIT()
          log[#log + 1] = i
          LEAVE
        end
        local first = task.spawn(waiter, 1)
        task.yield()
        first:cancel()
        task.yield()
        log[#log + 1] = { first:status(), o:statistics().waiting }
        local second = task.spawn(waiter, 2)
        task.yield()
        FREE
        second:join()
        log[#log + 1] = o:statistics().waiting
        return log
    """)
    ) == [["cancelled", 0], 2, 0]


@each_wait
async def test_timeout_around_a_wait_ends_it(lua: Lua, wait: Wait) -> None:
    assert await lua(
        wait.code("""
        SETUP
        local began, row = task.now(), nil
        task.spawn(function()
          local value, why = task.timeout(2, function()
            local _ = WAIT()
            return "got it"
          end)
          row = { tostring(value), why, task.now() - began, o:statistics().waiting }
          ALWAYS
        end):join()
        CLEANUP
        return row
    """)
    ) == ["nil", "timeout", 2, 0]


@each_wait
async def test_what_was_given_is_not_lost_to_a_cancellation_that_comes_after_it(lua: Lua, wait: Wait) -> None:
    assert await lua(
        wait.code("""
        SETUP
        local log = {}
        local t = task.spawn(function()
          local value = WAIT()
          log[#log + 1] = { "got", value }
          LEAVE
          task.yield()
          log[#log + 1] = "not reached"
        end)
        task.yield()
        FREE
        log[#log + 1] = t:cancel()
        task.yield() task.yield()
        log[#log + 1] = { t:status(), o:statistics().waiting }
        return log
    """)
    ) == [True, ["got", wait.value], ["cancelled", 0]]


@each_wait
async def test_a_cancelled_task_does_not_begin_to_wait(lua: Lua, wait: Wait) -> None:
    assert await lua(
        wait.code("""
        SETUP
        local t
        t = task.spawn(function()
          t:cancel()
          local _ = WAIT()
        end)
        task.yield()
        local row = { t:status(), o:statistics().waiting }
        CLEANUP
        return row
    """)
    ) == ["cancelled", 0]


@each_wait
async def test_wait_works_in_coroutines_and_where_lua_cannot_yield(lua: Lua, wait: Wait) -> None:
    assert await lua(
        wait.code("""
        SETUP
        local log = {}
        local t = task.spawn(function()
          table.sort({ 2, 1 }, function(a, b)
            coroutine.wrap(function()
              local value = WAIT()
              log[#log + 1] = value
              LEAVE
            end)()
            return a < b
          end)
        end)
        task.yield()
        FREE
        t:join()
        return log
    """)
    ) == [wait.value]


@each_wait
async def test_deadlock_report_names_what_is_waited_for(lua: Lua, wait: Wait) -> None:
    with pytest.raises(scheduler.DeadlockError) as caught:
        await lua(wait.code("SETUP\ntask.spawn(function()\n local _ = WAIT()\nend)\nevent.wait('never')"))
    line = wait.setup.count("\n") + 3
    found = [(task.reason, task.detail, task.where) for task in caught.value.tasks if task.id > 1]
    assert found[-1] == ("resource", wait.detail, f"string:{line}")


@each_wait
async def test_objects_without_a_name_have_a_number(lua: Lua, wait: Wait) -> None:
    """Each another one: a report must tell them apart."""
    text, other = await lua(
        wait.code("""
        SETUP
        local first = tostring(o)
        CLEANUP
        do SETUP CLEANUP return first, tostring(o) end
    """).replace("'x'", "nil")
    )
    noun, number = text.split("#")
    assert other.startswith(noun)
    assert int(other.split("#")[1]) > int(number)


@each_wait
async def test_name_must_be_a_string(lua: Lua, wait: Wait) -> None:
    ok, error = await lua(wait.code("return pcall(function()\n SETUP return o end)").replace("'x'", "{}"))
    assert not ok
    assert error.startswith("string:2: bad argument #")
    assert "(name (a string) expected, got table)" in error


@each_wait
async def test_methods_refuse_another_self(lua: Lua, wait: Wait) -> None:
    """A dot in place of the colon, or another object's method."""
    messages = await lua(
        wait.code("""
        SETUP
        local found, names = {}, {}
        for name, method in pairs(getmetatable(o).__index) do
          if type(method) == "function" and name:sub(1, 2) ~= "__" then names[#names + 1] = name end
        end
        table.sort(names)
        for _, name in ipairs(names) do
          for _, self in ipairs({ 5, setmetatable({}, { __name = "thing" }) }) do
            local ok, err = pcall(function()
              local _ = o[name](self) end)
            found[#found + 1] = { name, ok, err }
          end
        end
        CLEANUP
        return found
    """)
    )
    for index, (name, ok, error) in enumerate(messages):
        assert not ok
        assert error.startswith("string:")
        assert f"calling '{name}' on bad self (" in error
        assert f"expected, got {('number', 'thing')[index % 2]};" in error


@each_wait
async def test_nothing_waits_outside_a_task(lua: Lua, wait: Wait) -> None:
    """A finalizer, for one: nobody could wake it."""
    error = await lua(
        wait.code("""
        SETUP
        local err
        local meta = { __gc = function() local ok ok, err = pcall(function() local _ = WAIT() end) end }
        if newproxy then
          getmetatable(newproxy(true)).__gc = meta.__gc
        else
          setmetatable({}, meta)
        end
        collectgarbage() collectgarbage()
        if o.mutex and o.mutex:statistics().locked then o.mutex:unlock() end
        CLEANUP
        return tostring(err)
    """)
    )
    assert "cannot wait" in error or "already" in error


# -- select --------------------------------------------------------------------------------------


@each_case
async def test_select_waits_for_it(lua: Lua, wait: Wait) -> None:
    assert await lua(
        wait.code("""
        SETUP
        local log = {}
        local t = task.spawn(function()
          local index, value = task.select({ { "never", "wait" }, { o, OPERATION } })
          log[#log + 1] = { index, value == true or value }
          LEAVE
        end)
        task.yield()
        log[#log + 1] = { t:info().detail, o:statistics().waiting }
        FREE
        t:join()
        log[#log + 1] = { o:statistics().waiting, event.emit("never") }
        return log
    """)
    ) == [[f"one of: event 'never', {wait.detail}", 1], [2, wait.value], [0, 0]]


@each_case
async def test_select_that_loses_leaves_nothing(lua: Lua, wait: Wait) -> None:
    assert await lua(
        wait.code("""
        SETUP
        local log = {}
        for _, act in ipairs({
          function() event.emit("other") end,
          function() task.sleep(5) end,
          function(t) t:cancel() end,
        }) do
          local t = task.spawn(function()
            local index, why = task.select({ { o, OPERATION }, { "other", "wait" }, timeout = 5 })
            log[#log + 1] = { tostring(index), tostring(why) }
          end)
          task.yield()
          act(t)
          task.yield()
          log[#log + 1] = o:statistics().waiting
        end
        CLEANUP
        return log
    """)
    ) == [["2", "nil"], 0, ["nil", "timeout"], 0, 0]


@each_case
async def test_select_takes_it_at_once_when_it_is_there(lua: Lua, wait: Wait) -> None:
    assert (
        await lua(
            wait.code("""
        SETUP
        BEFORE
        local index = task.select({ { o, OPERATION }, timeout = 0 })
        LEAVE
        return index
    """).replace(
                "BEFORE",
                "task.spawn(function() o:wait() end) task.yield()" if "barrier" in wait.setup else wait.free,
            )
        )
        == 1
    )


async def test_a_condition_cannot_stand_in_a_select(lua: Lua) -> None:
    """Its other cases would go on without the mutex."""
    ok, error = await lua("return pcall(task.select, { { sync.condition(), 'wait' } })")
    assert not ok
    assert "cannot wait for a condition" in error


async def test_several_cases_of_one_select_on_the_same_object(lua: Lua) -> None:
    """Taking one case out let another one of the same select be served: the kernel crashed."""
    assert await lua("""
        local sem, rw = sync.semaphore(2), sync.rwlock()
        rw:read_lock()
        for round = 1, 20 do -- either case may come first in the queue
          local t = task.spawn(function()
            local index = task.select({ { sem, "acquire", 4 }, { sem, "acquire", 3 }, timeout = 1 })
            if index then sem:release(({ 4, 3 })[index]) end
          end)
          task.yield()
          if round % 2 == 0 then sem:release(2) end
          t:join()
          if round % 2 == 0 then sem:acquire(2) end
          task.spawn(rw.write_lock, rw, 1)
          t = task.spawn(function()
            local index = task.select({ { rw, "write_lock" }, { rw, "read_lock" }, timeout = 2 })
            if index == 2 then rw:read_unlock() end
          end)
          t:join()
        end
        rw:read_unlock()
        return { sem:statistics(), rw:statistics() }
    """) == [{"permits": 2, "waiting": 0}, {"readers": 0, "waiting": 0}]


async def test_a_case_that_leaves_lets_those_behind_it_in(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        local sem, rw = sync.semaphore(1), sync.rwlock()
        rw:read_lock()
        task.spawn(function() task.select({ { sem, "acquire", 5 }, { rw, "write_lock" }, timeout = 2 }) end)
        task.yield()
        task.spawn(function() sem:acquire() log[#log + 1] = { "permit", task.now() } end)
        task.spawn(function() rw:with_read(function() log[#log + 1] = { "reads", task.now() } end) end)
        local began = task.now()
        task.sleep(3)
        for _, row in ipairs(log) do row[2] = row[2] - began end
        rw:read_unlock()
        table.sort(log, function(a, b) return a[1] < b[1] end)
        return log
    """) == [["permit", 2], ["reads", 2]]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("{ sync.semaphore(1), 'acquire', 0 }", "the number of permits must be a whole number of at least 1"),
        ("{ sync.rate_limiter({ per_second = 1 }), 'acquire', 2 }", "never holds more than 1 tokens"),
        ("{ sync.mutex(), 'unlock' }", 'a mutex is waited for with "lock", got "unlock"'),
        ("{ held, 'lock' }", "holds mutex 'h' already: it would wait for itself"),
        ("{ read, 'write_lock' }", "reads rwlock 'r' already: it would wait for itself"),
    ],
)
async def test_select_refuses_what_is_wrong_with_a_case(lua: Lua, case: str, message: str) -> None:
    ok, error = await lua(f"""
        local held, read = sync.mutex("h"), sync.rwlock("r")
        held:lock() read:read_lock()
        local ok, err = pcall(task.select, {{ {case} }})
        held:unlock() read:read_unlock()
        return ok, err
    """)
    assert not ok
    assert "case 1: " in error
    assert message in error


# -- the library ---------------------------------------------------------------------------------


async def test_the_library_is_global_and_can_be_required(lua: Lua) -> None:
    assert await lua("""
        local names = {}
        for name in pairs(sync) do names[#names + 1] = name end
        table.sort(names)
        return require("sync") == sync, names
    """) == (
        True,
        [
            "barrier",
            "condition",
            "event",
            "mutex",
            "once",
            "rate_limiter",
            "rwlock",
            "semaphore",
            "waitgroup",
        ],
    )
