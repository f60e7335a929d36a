"""The `broadcast` library: every subscriber gets every value, with a policy for slow ones."""

from __future__ import annotations

import pytest
from conftest import Lua

import scheduler
from scheduler import DeadlockError

# Before each program below: a log, and a reader that notes what it gets.
HEAD = """
local broadcast = require("broadcast")
local log = {}
local function put(...)
  local parts = { ... }
  for i = 1, select("#", ...) do parts[i] = tostring(parts[i]) end
  log[#log + 1] = table.concat(parts, " ")
end
"""


# -- the ordinary --------------------------------------------------------------------------------


async def test_every_subscriber_gets_every_value_in_order(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b = broadcast.new(4)
        for i = 1, 3 do
          local sub = b:subscribe()
          task.spawn(function() for v in sub:iter() do put(i, v) end put(i, "end") end)
        end
        put("sent to", b:send("x"))
        b:send("y")
        b:close()
        task.sleep(1)
        return log
        """
    ) == [
        "sent to 3",
        "1 x",
        "1 y",
        "1 end",
        "2 x",
        "2 y",
        "2 end",
        "3 x",
        "3 y",
        "3 end",
    ]


async def test_who_subscribes_later_gets_what_is_sent_later(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b = broadcast.new(10)
        put(b:send("nobody"))
        local first = b:subscribe()
        b:send("one")
        local second = b:subscribe()
        b:send("two")
        put(first:try_receive()); put(first:try_receive()); put(first:try_receive())
        put(second:try_receive()); put(second:try_receive())
        return log
        """
    ) == ["0", "one", "two", "nil empty", "two", "nil empty"]


async def test_a_value_that_everybody_has_is_kept_no_longer(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b = broadcast.new(100)
        local one, two = b:subscribe(), b:subscribe()
        for i = 1, 5 do b:send(i) end
        for _ = 1, 4 do one:receive() end
        put(b:statistics().buffered)
        for _ = 1, 3 do two:receive() end
        put(b:statistics().buffered)
        put(one:receive()); put(two:receive()); put(two:receive())
        put(b:statistics().buffered)
        return log
        """
    ) == ["5", "2", "5", "4", "5", "0"]


async def test_long_runs_keep_order_for_readers_of_different_speed(lua: Lua) -> None:
    """The log moves down on the way."""
    assert await lua(
        HEAD
        + """
        local b, wrong, counts = broadcast.new(50), 0, {}
        for i = 1, 3 do
          local sub = b:subscribe()
          counts[i] = 0
          task.spawn(function()
            for v in sub:iter() do
              counts[i] = counts[i] + 1
              if v ~= counts[i] then wrong = wrong + 1 end
              if v % (i * 3) == 0 then task.yield() end
            end
          end)
        end
        for i = 1, 2000 do b:send(i) end
        b:close()
        task.sleep(1)
        return wrong, counts, b:statistics().buffered
        """
    ) == (0, [2000, 2000, 2000], 0)


async def test_several_tasks_share_one_subscription(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b = broadcast.new(10)
        local sub = b:subscribe()
        for i = 1, 3 do task.spawn(function() put(i, sub:receive()) end) end
        task.yield()
        for _, v in ipairs({ "a", "b", "c" }) do b:send(v) end
        task.yield()
        return log
        """
    ) == ["1 a", "2 b", "3 c"]


async def test_nil_and_false_can_be_sent(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b = broadcast.new(10)
        local sub = b:subscribe()
        b:send(nil); b:send(false)
        put(sub:receive()); put(sub:receive())
        task.spawn(function() put(sub:receive()); put(sub:receive()) end)
        task.yield()
        b:send(nil)
        task.yield()
        b:send(false)
        task.yield()
        b:close()
        put(sub:receive())
        return log
        """
    ) == ["nil", "false", "nil", "false", "nil closed"]


async def test_a_nil_in_a_loop_is_an_error_at_the_loop(lua: Lua) -> None:
    with pytest.raises(
        scheduler.LuaError, match=r"^string:5: a nil was sent on broadcast 'news': a loop cannot"
    ):
        await lua("""local broadcast = require("broadcast")
            local b = broadcast.new(1, { name = "news" })
            local sub = b:subscribe()
            b:send(nil)
            for v in sub:iter() do error("not reached") end
        """)


# -- slow subscribers ----------------------------------------------------------------------------


async def test_policy_wait_holds_senders_back_in_order(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b = broadcast.new(2)
        local quick, slow = b:subscribe(), b:subscribe()
        task.spawn_with({ background = true }, function() for v in quick:iter() do put("quick", v) end end)
        for i = 1, 4 do
          task.spawn(function() b:send(i); put("sent", i) end)
        end
        task.sleep(1)
        put("waiting", b:statistics().senders_waiting, b:try_send(9))
        for _ = 1, 4 do put("slow", slow:receive()); task.sleep(1) end
        return log
        """
    ) == [
        "sent 1",
        "sent 2",
        "quick 1",
        "quick 2",
        "waiting 2 nil full",
        "slow 1",
        "quick 3",
        "sent 3",
        "slow 2",
        "quick 4",
        "sent 4",
        "slow 3",
        "slow 4",
    ]


async def test_policy_drop_oldest_tells_how_many_were_lost(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b = broadcast.new(2, { policy = "drop_oldest" })
        local slow, loop, choice = b:subscribe(), b:subscribe(), b:subscribe()
        for i = 1, 5 do b:send(i) end
        put(slow:statistics().buffered, slow:statistics().lost)
        put(slow:receive()); put(slow:try_receive()); put(slow:try_receive())
        for v, lost in loop:iter() do
          put("loop", v, lost)
          if v == 5 then break end
        end
        put("select", task.select({ { choice, "receive" } }))
        put("select", task.select({ { choice, "receive" } }))
        b:send(6)
        put(slow:receive())
        put(slow:statistics().lost)
        return log
        """
    ) == [
        "2 3",
        "4 nil 3",
        "5",
        "nil empty",
        "loop 4 3",
        "loop 5 nil",
        "select 1 4 nil 3",
        "select 1 5",
        "6",
        "3",
    ]


async def test_policy_close_cuts_off_the_slowest_alone(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b = broadcast.new(2, { policy = "close" })
        local quick, slow = b:subscribe(), b:subscribe()
        put(b:send(1), b:send(2))
        put(quick:receive())
        put(b:send(3))
        put(slow:receive()); put(slow:try_receive())
        put(quick:receive()); put(quick:receive())
        put(b:statistics().subscriptions, slow:statistics().closed)
        return log
        """
    ) == ["2 2", "1", "1", "nil slow", "nil slow", "2", "3", "1 true"]


async def test_policy_close_cuts_off_several_at_once(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b, subs = broadcast.new(50, { policy = "close" }), {}
        for i = 1, 5 do subs[i] = b:subscribe() end
        for i = 1, 50 do b:send(i) end
        for _ = 1, 40 do subs[2]:receive(); subs[4]:receive() end
        put(b:send(51))
        for i = 1, 5 do put(i, subs[i]:try_receive()) end
        return log
        """
    ) == ["2", "1 nil slow", "2 41", "3 nil slow", "4 41", "5 nil slow"]


async def test_a_loop_over_a_subscription_that_was_cut_off_raises(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b = broadcast.new(1, { policy = "close", name = "news" })
        local sub = b:subscribe()
        b:send(1); b:send(2)
        local ok, err = pcall(function() for v in sub:iter() do put(v) end end)
        return ok, err.kind, tostring(err), #log
        """
    ) == (
        False,
        "slow",
        "the subscription to broadcast 'news' was too slow and was cut off: values are missing",
        0,
    )


async def test_an_unbounded_buffer_never_holds_anybody_back(lua: Lua) -> None:
    assert (
        await lua(
            HEAD
            + """
        local b = broadcast.new(math.huge)
        local sub = b:subscribe()
        for i = 1, 1000 do b:send(i) end
        b:close()
        local sum = 0
        for v in sub:iter() do sum = sum + v end
        return sum
        """
        )
        == 500500
    )


# -- ending --------------------------------------------------------------------------------------


async def test_closing_lets_subscribers_receive_what_was_sent(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b = broadcast.new(5, { name = "news" })
        local behind, waiting = b:subscribe(), b:subscribe()
        b:send(1)
        waiting:receive()
        task.spawn(function() put("waiting", waiting:receive()) end)
        task.yield()
        put(b:close(), b:close())
        task.yield()
        put(behind:receive()); put(behind:receive())
        local ok, err = pcall(b.send, b, 2)
        put(ok, err.kind, err)
        put(b:try_send(2))
        return log
        """
    ) == [
        "true false",
        "waiting nil closed",
        "1",
        "nil closed",
        "false closed broadcast 'news' is closed: nothing can be sent any more",
        "nil closed",
    ]


async def test_senders_that_wait_raise_when_it_closes(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b = broadcast.new(1, { name = "news" })
        local sub = b:subscribe()
        b:send(1)
        task.spawn(function() local ok, err = pcall(b.send, b, 2) put(ok, err.kind, err) end)
        task.yield()
        b:close()
        task.yield()
        put(sub:receive()); put(sub:receive())
        return log
        """
    ) == [
        "false closed broadcast 'news' was closed while a value waited to be sent",
        "1",
        "nil closed",
    ]


async def test_closing_a_subscription_lets_senders_go_on(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b = broadcast.new(1)
        local sub = b:subscribe()
        b:send(1)
        task.spawn(function() put("sent to", b:send(2)) end)
        task.yield()
        put(sub:close(), sub:close())
        task.yield()
        put(sub:receive())
        put(b:statistics().subscriptions, b:statistics().buffered)
        return log
        """
    ) == ["true false", "sent to 0", "nil closed", "0 0"]


@pytest.mark.parametrize("how", ["returns", "fails", "is cancelled"])
async def test_a_subscription_ends_with_the_task_that_made_it(lua: Lua, how: str) -> None:
    """Else a sender would wait for ever for one that nobody reads."""
    assert await lua(
        HEAD
        + """
        local how = ...
        local b = broadcast.new(1)
        local t = task.spawn(function()
          local sub = b:subscribe()
          task.sleep(1)
          if how == "fails" then error("no luck", 0) elseif how == "is cancelled" then task.sleep(100) end
        end)
        task.spawn(function() pcall(t.join, t) end)
        task.yield()
        b:send(1)
        task.spawn(function() task.sleep(2); t:cancel() end)
        local began = task.now()
        b:send(2)
        put(b:statistics().subscriptions, task.now() - began > 0)
        return log
        """,
        how,
    ) == ["0 true"]


async def test_a_subscription_ends_with_the_scope_that_made_it(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b = broadcast.new(1)
        local kept
        task.timeout(1, function()
          kept = b:subscribe()
          local inner = b:subscribe()
          inner:close()
          task.sleep(10)
        end)
        put(b:statistics().subscriptions, kept:receive())
        return log
        """
    ) == ["0 nil closed"]


async def test_close_variables_end_a_subscription(lua_with_close: Lua) -> None:
    assert await lua_with_close(
        HEAD
        + """
        local b = broadcast.new(1)
        do
          local sub <close> = b:subscribe()
          put(b:statistics().subscriptions)
        end
        put(b:statistics().subscriptions)
        return log
        """
    ) == ["1", "0"]


# -- cancellation, timeouts, select --------------------------------------------------------------


async def test_cancelled_receivers_and_senders_leave_nothing(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b = broadcast.new(1)
        local sub = b:subscribe()
        local r = task.spawn(sub.receive, sub)
        task.yield()
        r:cancel()
        put(sub:statistics().receivers_waiting)
        b:send(1)
        local s = task.spawn(b.send, b, 2)
        task.yield()
        s:cancel()
        put(b:statistics().senders_waiting)
        put(sub:receive()); put(sub:try_receive())
        put(select(2, task.timeout(1, sub.receive, sub)))
        b:send(3)
        put(select(2, task.timeout(1, b.send, b, 4)))
        put(sub:receive()); put(sub:try_receive())
        return log
        """
    ) == ["0", "0", "1", "nil empty", "timeout", "timeout", "3", "nil empty"]


async def test_a_receiver_that_was_woken_has_its_value_though_it_is_cancelled(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b = broadcast.new(1)
        local sub = b:subscribe()
        local t = task.spawn(function() put(sub:receive()); task.yield(); put("never") end)
        task.yield()
        b:send("kept")
        t:cancel()
        task.sleep(1)
        return log
        """
    ) == ["kept"]


async def test_select_over_subscriptions_and_a_send(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b, c = broadcast.new(1), broadcast.new(1)
        local sub, other = b:subscribe(), c:subscribe()
        task.spawn(function() task.sleep(1); c:send("c") end)
        put(task.select({ { sub, "receive" }, { other, "receive" } }))
        put(task.select({ { c, "send", "v" } }))
        put(task.select({ { c, "send", "lost" }, timeout = 1 }))
        put(other:receive()); put(other:try_receive())
        put(task.select({ { sub, "receive" }, default = true }))
        put(sub:statistics().receivers_waiting, c:statistics().senders_waiting)
        task.spawn(function() task.sleep(1); b:close() end)
        put(task.select({ { sub, "receive" } }))
        return log
        """
    ) == ["2 c", "1 1", "nil timeout", "v", "nil empty", "nil default", "0 0", "1 nil closed"]


async def test_one_select_over_two_subscriptions_to_one_broadcast(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b = broadcast.new(5)
        local one, two = b:subscribe(), b:subscribe()
        task.spawn(function() put(task.select({ { one, "receive" }, { two, "receive" } })) end)
        task.yield()
        b:send("v")
        task.yield()
        put(one:try_receive()); put(two:try_receive())
        return log
        """
    ) == ["1 v", "nil empty", "v"]


async def test_the_deadlock_report_names_the_broadcast(lua: Lua) -> None:
    with pytest.raises(DeadlockError) as caught:
        await lua(
            'local broadcast = require("broadcast")\n'
            'local news, quiet = broadcast.new(1, { name = "news" }), broadcast.new(1)\n'
            "local one, two = news:subscribe(), news:subscribe()\n"
            "local sub = quiet:subscribe()\n"
            "news:send(1)\n"
            "one:receive()\n"
            "task.spawn(function()\n  sub:receive()\nend)\n"
            "news:send(2)\n"
        )
    assert [(t.id, t.reason, t.detail, t.where) for t in caught.value.tasks] == [
        (
            1,
            "resource",
            "broadcast 'news' full (1 of 2 subscriptions have not received its oldest value)",
            "string:10",
        ),
        (2, "resource", "subscription to broadcast: a value", "string:8"),
    ]


# -- bad input -----------------------------------------------------------------------------------

BUFFER = "buffer must be a whole number, at least 1, or math.huge, got"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("broadcast.new()", "#1 to 'new' (buffer must be a number, got no value)"),
        ("broadcast.new('5')", "#1 to 'new' (buffer must be a number, got string)"),
        ("broadcast.new(0)", f"#1 to 'new' ({BUFFER} 0)"),
        ("broadcast.new(1.5)", f"#1 to 'new' ({BUFFER} 1.5)"),
        ("broadcast.new(1, 5)", "#2 to 'new' (table of options expected, got number)"),
        ("broadcast.new(1, { nam = 'x' })", "#2 to 'new' (unknown option 'nam'; known are policy and name)"),
        (
            "broadcast.new(1, { policy = 'drop' })",
            '#2 to \'new\' (option \'policy\' must be "wait", "drop_oldest" or "close", got "drop")',
        ),
        ("broadcast.new(1, { name = 5 })", "#2 to 'new' (option 'name' must be a string, got number)"),
        (
            "b.send(5)",
            "#1 to 'send' (broadcast expected, got number; call it with a colon, as in news:send())",
        ),
        (
            "b.close()",
            "#1 to 'close' (broadcast expected, got no value; call it with a colon, as in news:close())",
        ),
        (
            "sub.close(b)",
            "#1 to 'close' (subscription expected, got broadcast; call it with a colon, as in sub:close())",
        ),
        (
            "sub.iter()",
            "#1 to 'iter' (subscription expected, got no value; call it with a colon, as in sub:iter())",
        ),
    ],
)
async def test_misuse_names_function_argument_and_line(lua: Lua, call: str, message: str) -> None:
    assert (
        await lua(f"""local broadcast = require("broadcast")
            local b = broadcast.new(1)
            local sub = b:subscribe()
            return select(2, pcall(function()
              {call}
            end))""")
        == f"string:5: bad argument {message}"
    )


# -- at random -----------------------------------------------------------------------------------

RANDOM = """
local policy, seed = ...
local broadcast = require("broadcast")
local function random(n) -- the same on every engine
  seed = seed * 16807 % 2147483647
  return seed % n + 1
end
local b = broadcast.new(random(6), { policy = policy })
local sent, problems, received, cut = 0, {}, 0, 0

-- Reads for a while at a pace of its own; what it gets follows on what it got, but for what was lost.
local function reader()
  local sub = b:subscribe()
  local expected, mode, pace = nil, random(4), random(5) - 1
  for step = 1, random(60) do
    local value, state, lost
    if mode == 1 then
      value, state, lost = sub:try_receive()
    elseif mode == 2 then
      local index
      index, value, state, lost = task.select({ { sub, "receive" }, { "never", "wait" }, timeout = 2 })
      if not index then state = "empty" end
    elseif mode == 3 then
      local done
      done, value, state, lost = task.timeout(random(3), function() return true, sub:receive() end)
      if not done then state = "empty" end
    else
      value, state, lost = sub:receive()
    end
    if state == "closed" or state == "slow" then
      if state == "slow" then cut = cut + 1 end
      break
    elseif state == nil then
      received = received + 1
      if expected and value ~= expected + (lost or 0) then
        problems[#problems + 1] = ("%s instead of %s, lost %s"):format(value, expected, tostring(lost))
      end
      expected = value + 1
    end
    if pace == 0 then task.yield() else task.sleep(pace / 4) end
  end
  if random(2) == 1 then sub:close() end -- else it ends with the task
end

local writer = task.spawn(function()
  for _ = 1, 150 do
    sent = sent + 1
    local value = sent -- the number is given with the sending: a send that is cut off leaves no gap
    if random(4) == 1 then
      if not b:try_send(value) then sent = sent - 1 end
    elseif random(5) == 1 then
      if not task.timeout(0.5, function() b:send(value); return true end) then sent = sent - 1 end
    else
      b:send(value)
    end
    if random(3) == 1 then task.sleep(random(4) / 4) end
  end
  b:close()
end)
local readers = {}
for i = 1, 12 do
  readers[i] = task.spawn(function()
    task.sleep(random(40) / 4)
    reader()
  end)
end
for i = 1, 3 do
  task.spawn(function()
    task.sleep(random(80) / 4)
    readers[i]:cancel()
    pcall(readers[i].join, readers[i])
  end)
end
writer:join()
task.sleep(500)
local s = b:statistics()
return table.concat(problems, "; "), received > 0, { s.subscriptions, s.buffered, s.senders_waiting }
"""


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["wait", "drop_oldest", "close"])
async def test_readers_and_writers_at_random_miss_nothing_untold(lua: Lua, policy: str) -> None:
    for seed in range(1, 41):
        assert await lua(RANDOM, policy, seed) == ("", True, [0, 0, 0]), f"seed {seed}"
