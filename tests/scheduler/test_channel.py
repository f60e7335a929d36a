"""The `channel` library as scripts see it."""

from __future__ import annotations

import pytest
from conftest import Lua, Shell, opened

import scheduler
from scheduler import DeadlockError

# -- the ordinary --------------------------------------------------------------------------------


async def test_a_buffer_keeps_order_and_nothing_waits_while_there_is_room(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(3), {}
        for i = 1, 3 do log[#log + 1] = tostring(ch:send(i)) end
        for _ = 1, 3 do log[#log + 1] = ch:receive() end
        return log
    """) == ["true", "true", "true", 1, 2, 3]


async def test_rendezvous_hands_over_when_both_sides_are_there(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(), {}
        local t = task.spawn(function()
          log[#log + 1] = "sends"
          ch:send("v")
          log[#log + 1] = "sent"
        end)
        task.sleep(1)
        log[#log + 1] = t:status()
        log[#log + 1] = ch:receive()
        log[#log + 1] = "received"
        t:join()
        return log
    """) == ["sends", "blocked", "v", "received", "sent"]


async def test_a_full_channel_holds_senders_back_in_order(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(2), {}
        for i = 1, 5 do
          task.spawn(function() ch:send(i); log[#log + 1] = "sent " .. i end)
        end
        task.sleep(1)
        for _ = 1, 5 do
          local v = ch:receive()
          log[#log + 1] = v
          task.yield()
        end
        return log
    """) == ["sent 1", "sent 2", 1, "sent 3", 2, "sent 4", 3, "sent 5", 4, 5]


async def test_an_unbounded_channel_never_holds_a_sender_back(lua: Lua) -> None:
    assert await lua("""
        local ch = channel.new(math.huge)
        for i = 1, 10000 do ch:send(i) end
        local sum, in_order = 0, true
        for i = 1, 10000 do
          local v = ch:receive()
          in_order = in_order and v == i
          sum = sum + v
        end
        return sum, in_order, ch:statistics().buffered
    """) == (50005000, True, 0)


async def test_receivers_are_served_first_come_first_served(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(1), {}
        for i = 1, 4 do
          task.spawn(function() local v = ch:receive(); log[#log + 1] = { i, v } end)
        end
        task.yield()
        for _, v in ipairs({ "a", "b", "c", "d" }) do ch:send(v) end
        task.yield()
        return log
    """) == [[1, "a"], [2, "b"], [3, "c"], [4, "d"]]


async def test_a_window_that_slides_for_long_keeps_order(lua: Lua) -> None:
    """The buffer moves down and the lists of waiters are compacted on the way."""
    assert await lua("""
        local ch, wrong = channel.new(70), 0
        task.spawn(function() for i = 1, 5000 do ch:send(i) end ch:close() end)
        local expected, steps = 1, 0
        for v in ch:iter() do
          if v ~= expected then wrong = wrong + 1 end
          expected = expected + 1
          steps = steps + 1
          if steps % 7 == 0 then task.yield() end
        end
        return wrong, expected
    """) == (0, 5001)


async def test_every_kind_of_value_passes_unchanged(lua: Lua) -> None:
    assert (
        await lua("""
        local t = setmetatable({}, { __eq = function() error("asked") end })
        local f = function() end
        local log = {}
        for _, capacity in ipairs({ 0, 1 }) do
          local ch = channel.new(capacity)
          task.spawn(function()
            ch:send(false); ch:send(nil); ch:send(t); ch:send(f); ch:send(0)
          end)
          log[#log + 1] = { select("#", ch:receive()), select("#", ch:receive()), rawequal(ch:receive(), t),
            ch:receive() == f, ch:receive() }
        end
        return log
    """)
        == [[1, 1, True, True, 0]] * 2
    )


@pytest.mark.parametrize("capacity", [0, 1])
async def test_a_nil_that_was_sent_is_told_from_the_end(lua: Lua, capacity: int) -> None:
    assert await lua(
        """
        local ch = channel.new((...))
        task.spawn(function() ch:send(nil); ch:close() end)
        local log = {}
        for _ = 1, 2 do
          local v, state = ch:receive()
          log[#log + 1] = tostring(v) .. " " .. tostring(state)
        end
        return log
        """,
        capacity,
    ) == ["nil nil", "nil closed"]


async def test_a_waiting_receiver_gets_a_nil_as_one_value(lua: Lua) -> None:
    assert (
        await lua("""
        local ch = channel.new()
        local t = task.spawn(function() return select("#", ch:receive()) end)
        task.yield()
        ch:send(nil)
        return t:join()
    """)
        == 1
    )


async def test_an_operation_that_need_not_wait_does_not_give_up_the_processor(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(1), {}
        task.spawn(function() log[#log + 1] = "other" end)
        ch:send(1)
        ch:receive()
        log[#log + 1] = "first"
        task.yield()
        return log
    """) == ["first", "other"]


async def test_woken_tasks_keep_their_priority(lua: Lua) -> None:
    assert await lua("""
        local low, high, log = channel.new(), channel.new(), {}
        for name, ch in pairs({ low = low, high = high }) do
          task.spawn_with({ priority = name }, function()
            local value = ch:receive()
            log[#log + 1] = name .. " " .. value
          end)
        end
        task.sleep(1)
        task.spawn(function() log[#log + 1] = "normal" end)
        low:send(1)
        high:send(2)
        task.sleep(1)
        return log
    """) == ["high 2", "normal", "low 1"]


async def test_two_tasks_that_talk_leave_a_third_its_turn(lua: Lua) -> None:
    """Rounds of one task are run without the ceremony of a round; what becomes ready is not forgotten."""
    assert await lua("""
        local there, back, log = channel.new(), channel.new(), {}
        task.spawn(function()
          for i = 1, 4 do
            local value = there:receive()
            if i == 2 then task.spawn(function() log[#log + 1] = "spawned" end) end
            back:send(value)
          end
        end)
        for i = 1, 4 do
          there:send(i)
          local value = back:receive()
          log[#log + 1] = value
        end
        return log
    """) == [1, 2, "spawned", 3, 4]


async def test_channel_is_a_global_and_by_require(lua: Lua) -> None:
    assert await lua("""
        return require("channel") == channel, tostring(channel.new(0, "jobs")), tostring(channel.new())
    """) == (
        True,
        "channel 'jobs'",
        "channel",
    )


# -- without waiting -----------------------------------------------------------------------------


async def test_try_send_and_try_receive_say_why_not(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(1), {}
        local function note(...) log[#log + 1] = tostring((...)) .. " " .. tostring((select(2, ...))) end
        note(ch:try_receive())
        note(ch:try_send("a"))
        note(ch:try_send("b"))
        note(ch:try_receive())
        note(ch:try_send(nil))
        note(ch:try_receive())
        ch:try_send("last")
        ch:close()
        note(ch:try_send("c"))
        note(ch:try_receive())
        note(ch:try_receive())
        return log
    """) == [
        "nil empty",
        "true nil",
        "nil full",
        "a nil",
        "true nil",
        "nil nil",
        "nil closed",
        "last nil",
        "nil closed",
    ]


async def test_try_operations_meet_those_who_wait(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(), {}
        task.spawn(function() local v = ch:receive(); log[#log + 1] = v end)
        task.yield()
        log[#log + 1] = tostring(ch:try_send("to the one who waits"))
        task.yield()
        task.spawn(function() ch:send("from the one who waits") end)
        task.yield()
        log[#log + 1] = ch:try_receive()
        return log
    """) == ["true", "to the one who waits", "from the one who waits"]


async def test_try_operations_are_no_checkpoints(lua_with_close: Lua) -> None:
    """In the cleanup of a cancelled task they work; what would be a checkpoint raises."""
    assert await lua_with_close("""
        local ch, log = channel.new(2), {}
        local t = task.spawn(function()
          local _ <close> = setmetatable({}, { __close = function()
            ch:try_send("goodbye")
            log[#log + 1] = ch:try_receive()
            ch:send("not sent")
          end })
          task.sleep(10)
        end)
        task.yield()
        t:cancel()
        task.sleep(1)
        return log, ch:statistics().buffered, t:status()
    """) == (["goodbye"], 0, "cancelled")


# -- closing -------------------------------------------------------------------------------------


async def test_what_was_sent_is_received_after_the_close(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(5), {}
        ch:send(1); ch:send(2)
        log[#log + 1] = tostring(ch:close())
        log[#log + 1] = tostring(ch:close())
        for v in ch:iter() do log[#log + 1] = v end
        log[#log + 1] = select(2, ch:receive())
        return log
    """) == ["true", "false", 1, 2, "closed"]


async def test_closing_wakes_every_receiver(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(), {}
        for i = 1, 3 do
          task.spawn(function()
            local v, state = ch:receive()
            log[#log + 1] = i .. tostring(v) .. state
          end)
        end
        task.yield()
        ch:close()
        task.yield()
        return log
    """) == ["1nilclosed", "2nilclosed", "3nilclosed"]


async def test_sending_on_a_closed_channel_raises_an_error_of_kind_closed(lua: Lua) -> None:
    assert await lua("""
        local ch = channel.new(1, "jobs")
        ch:close()
        local ok, err = pcall(ch.send, ch, 1)
        return ok, err.kind, tostring(err)
    """) == (False, "closed", "channel 'jobs' is closed: nothing can be sent any more")


async def test_senders_that_wait_raise_when_the_channel_closes(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(0, "jobs"), {}
        for i = 1, 2 do
          task.spawn(function()
            local ok, err = pcall(ch.send, ch, i)
            log[#log + 1] = { i, ok, err.kind, tostring(err) }
          end)
        end
        task.yield()
        ch:close()
        task.yield()
        return log, ch:statistics().senders_waiting, select(2, ch:receive())
    """) == (
        [
            [1, False, "closed", "channel 'jobs' was closed while a value waited to be sent"],
            [2, False, "closed", "channel 'jobs' was closed while a value waited to be sent"],
        ],
        0,
        "closed",
    )


async def test_a_nil_in_a_loop_is_an_error_at_the_loop(lua: Lua) -> None:
    with pytest.raises(scheduler.LuaError, match=r"^string:3: a nil was sent on channel 'c': a loop cannot"):
        await lua("""
            local ch = channel.new(1, "c"); ch:send(nil)
            for v in ch:iter() do error("not reached") end
        """)


# -- statistics ----------------------------------------------------------------------------------


async def test_statistics_count_who_waits_and_what_is_buffered(lua: Lua) -> None:
    assert await lua("""
        local log = {}
        local function note(ch)
          local s = ch:statistics()
          log[#log + 1] = { s.capacity, s.buffered, s.senders_waiting, s.receivers_waiting, s.closed }
        end
        local full, empty = channel.new(1), channel.new(0)
        for _ = 1, 3 do task.spawn(full.send, full, 1) end
        for _ = 1, 2 do task.spawn(empty.receive, empty) end
        task.yield()
        note(full); note(empty)
        for _ = 1, 3 do full:receive() end
        empty:close()
        task.yield()
        note(full); note(empty)
        return log
    """) == [[1, 1, 2, 0, False], [0, 0, 0, 2, False], [1, 0, 0, 0, False], [0, 0, 0, 0, True]]


# -- cancellation --------------------------------------------------------------------------------


async def test_a_cancelled_sender_takes_its_value_along(lua: Lua) -> None:
    assert await lua("""
        local ch, senders, log = channel.new(0), {}, {}
        for i = 1, 4 do senders[i] = task.spawn(ch.send, ch, i) end
        task.yield()
        senders[2]:cancel(); senders[4]:cancel()
        log[#log + 1] = ch:receive()
        log[#log + 1] = ch:receive()
        log[#log + 1] = select(2, ch:try_receive())
        task.yield()
        for i = 1, 4 do log[#log + 1] = senders[i]:status() end
        return log
    """) == [1, 3, "empty", "done", "cancelled", "done", "cancelled"]


async def test_a_list_left_with_holes_only_is_empty(lua: Lua) -> None:
    """The last waiter was popped in front of holes, and the next send took a hole for a receiver."""
    assert await lua("""
        local ch, tasks = channel.new(1), {}
        for i = 1, 3 do tasks[i] = task.spawn(ch.receive, ch) end
        task.yield()
        tasks[2]:cancel(); tasks[3]:cancel()
        ch:send("first")
        ch:send("second")
        return tasks[1]:join(), ch:statistics().receivers_waiting, ch:receive()
    """) == ("first", 0, "second")


async def test_a_receiver_that_was_woken_has_its_value_though_it_is_cancelled(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(0), {}
        local t = task.spawn(function()
          log[#log + 1] = ch:receive()
          task.yield()
          log[#log + 1] = "never"
        end)
        task.yield()
        ch:send("kept")
        t:cancel()
        task.sleep(1)
        return log, t:status()
    """) == (["kept"], "cancelled")


async def test_a_timeout_leaves_nothing_behind(lua: Lua) -> None:
    assert await lua("""
        local empty, full = channel.new(0), channel.new(1)
        full:send("x")
        local log = {}
        log[#log + 1] = select(2, task.timeout(1, empty.receive, empty))
        log[#log + 1] = select(2, task.timeout(1, full.send, full, "y"))
        log[#log + 1] = empty:statistics().receivers_waiting
        log[#log + 1] = full:statistics().senders_waiting
        log[#log + 1] = full:receive()
        log[#log + 1] = select(2, full:try_receive())
        return log
    """) == ["timeout", "timeout", 0, 0, "x", "empty"]


@pytest.mark.parametrize("operation", ["ch:send(1)", "ch:receive()"])
async def test_operations_are_checkpoints_also_where_they_need_not_wait(lua: Lua, operation: str) -> None:
    assert await lua(f"""
        local ch = channel.new(5)
        ch:send("there")
        local reached = false
        local t = task.spawn(function()
          pcall(task.sleep, 10)
        end)
        local u
        u = task.spawn(function()
          u:cancel()
          {operation}
          reached = true
        end)
        task.sleep(1)
        t:cancel()
        return reached, u:status(), ch:statistics().buffered
    """) == (False, "cancelled", 1)


async def test_many_cancelled_waiters_are_forgotten(lua: Lua) -> None:
    assert await lua("""
        local ch, tasks = channel.new(0), {}
        for i = 1, 300 do tasks[i] = task.spawn(ch.receive, ch) end
        task.yield()
        for i = 1, 300 do if i % 3 ~= 0 then tasks[i]:cancel() end end
        local waiting = ch:statistics().receivers_waiting
        for i = 1, 100 do ch:send(i) end
        local got = {}
        for i = 1, 100 do got[i] = tasks[3 * i]:join() == i and 1 or 0 end
        local sum = 0
        for i = 1, 100 do sum = sum + got[i] end
        return waiting, sum, ch:statistics().receivers_waiting
    """) == (100, 100, 0)


async def test_waits_inside_coroutines_and_sort_callbacks(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(), {}
        task.spawn(function()
          coroutine.wrap(function() log[#log + 1] = ch:receive() end)()
          table.sort({ 2, 1 }, function(a, b) log[#log + 1] = ch:receive() return a < b end)
        end)
        ch:send("nested")
        ch:send("sort")
        task.yield()
        return log
    """) == ["nested", "sort"]


# -- bad input -----------------------------------------------------------------------------------


CAPACITY = "capacity must be a whole number, not negative, or math.huge, got"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("channel.new(-1)", f"#1 to 'new' ({CAPACITY} -1)"),
        ("channel.new(1.5)", f"#1 to 'new' ({CAPACITY} 1.5)"),
        ("channel.new('5')", "#1 to 'new' (capacity must be a number, got string)"),
        ("channel.new({})", "#1 to 'new' (capacity must be a number, got table)"),
        ("channel.new(1, 5)", "#2 to 'new' (name (a string) expected, got number)"),
    ],
)
async def test_misuse_of_new_names_argument_and_line(lua: Lua, call: str, message: str) -> None:
    assert (
        await lua(f"return select(2, pcall(function()\n{call}\nend))") == f"string:2: bad argument {message}"
    )


@pytest.mark.parametrize(
    ("name", "argument", "got"),
    [
        ("send", "5", "number"),
        ("send", "{}", "table"),
        ("receive", "", "no value"),
        ("close", "false", "boolean"),
        ("iter", "task.current()", "task"),
        ("try_send", "''", "string"),
        ("try_receive", "0", "number"),
        ("statistics", "", "no value"),
    ],
)
async def test_a_dot_for_a_colon_is_told(lua: Lua, name: str, argument: str, got: str) -> None:
    assert await lua(f"""local ch = channel.new()
        return select(2, pcall(function()
          ch.{name}({argument})
        end))""") == (
        f"string:3: bad argument #1 to '{name}' (channel expected, got {got};"
        f" call it with a colon, as in ch:{name}())"
    )


async def test_nan_is_no_capacity(lua: Lua) -> None:
    assert "capacity must be a whole number" in await lua("return select(2, pcall(channel.new, 0/0))")


# -- deadlocks -----------------------------------------------------------------------------------


async def test_the_deadlock_report_names_channel_and_line(lua: Lua) -> None:
    with pytest.raises(DeadlockError) as caught:
        await lua(
            "local full, empty, bare = channel.new(1, 'jobs'), channel.new(2, 'results'), channel.new()\n"
            "full:send(1)\n"
            "task.spawn(function()\n  full:send(2)\nend)\n"
            "task.spawn(function()\n  bare:send(3)\nend)\n"
            "empty:receive()"
        )
    assert [(t.id, t.reason, t.detail, t.where) for t in caught.value.tasks] == [
        (1, "resource", "channel 'results' empty", "string:9"),
        (2, "resource", "channel 'jobs' full", "string:4"),
        (3, "resource", "channel: a receiver", "string:7"),
    ]


def test_the_deadlock_report_as_people_see_it(shell: Shell) -> None:
    shell.write("jobs.lua", 'local jobs = channel.new(0, "jobs")\njobs:receive()\n')
    assert shell.run("jobs.lua") == (
        3,
        "",
        "scheduler: deadlock: every task waits and nothing can wake them\n"
        "  task 1 'jobs.lua' waits for channel 'jobs' empty (resource) at jobs.lua:2\n",
    )


@pytest.mark.parametrize("seed", range(6))
async def test_long_queues_keep_their_order_while_they_grow_drain_and_lose_members(
    lua: Lua, seed: int
) -> None:
    """Queues of waiters are moved down in their tables when they slide, not when they drain."""
    assert await lua(
        """
        local random = ... -- Park and Miller's, the same on all engines
        local function any_of(n)
          random = random * 16807 % 2147483647
          return random % n + 1
        end
        local ch, waiting, sent, problems = channel.new(), {}, 0, 0
        for phase = 1, 12 do
          local grow, leave = ({ 90, 10, 50 })[any_of(3)], ({ 0, 30 })[any_of(2)]
          for _ = 1, 120 do
            local draw = any_of(100)
            if draw <= grow then
              sent = sent + 1
              waiting[#waiting + 1] = { value = sent, task = task.spawn(ch.send, ch, sent) }
              task.yield()
            elseif draw <= grow + leave and waiting[1] then
              table.remove(waiting, any_of(#waiting)).task:cancel()
              task.yield()
            else
              local value = ch:try_receive()
              local first = table.remove(waiting, 1)
              if value ~= (first and first.value) then problems = problems + 1 end
            end
            if ch:statistics().senders_waiting ~= #waiting then problems = problems + 1 end
          end
        end
        while ch:try_receive() do end
        return sent > 300, problems
        """,
        seed + 1,
    ) == (True, 0)


@pytest.mark.parametrize("what", ["channel.new(0)", "require('broadcast').new(1)"])
async def test_refused_send_leaves_its_value_to_nobody(engine: str, what: str) -> None:
    """It waited in a variable for the wait to begin: when a finalizer's send failed, another task sent it."""
    code = f"""
        local ch, weak = {what}, setmetatable({{}}, {{ __mode = "v" }})
        if ch.subscribe then ch:subscribe() ch:try_send(1) end
        local function send() weak[1] = {{}} ch:send(weak[1]) end
        local ok, message = pcall(table.sort, {{ 1, 2 }}, send)
        collectgarbage() collectgarbage()
        return ok, message, weak[1]
    """
    async with opened(engine, portal=False) as runtime:
        ok, message, left = await runtime.run(code)
    assert (ok, "cannot wait here" in message, left) == (False, True, None)
