"""`task.select`: one of several waits takes effect, the others leave nothing behind."""

from __future__ import annotations

import pytest
from conftest import Lua

import scheduler
from scheduler import DeadlockError

# -- the ordinary --------------------------------------------------------------------------------


async def test_a_case_that_is_ready_takes_effect_at_once(lua: Lua) -> None:
    assert await lua("""
        local a, b, log = channel.new(1), channel.new(1), {}
        task.spawn(function() log[#log + 1] = "other" end)
        b:send("from b")
        local index, value = task.select({ { a, "receive" }, { b, "receive" } })
        log[#log + 1] = index .. " " .. value
        task.yield()
        return log
    """) == ["2 from b", "other"]


async def test_waits_until_the_first_case_is_ready(lua: Lua) -> None:
    assert await lua("""
        local a, b = channel.new(), channel.new()
        task.spawn(function() task.sleep(2); b:send("b") end)
        task.spawn(function() task.sleep(3); a:send("a") end)
        local log, began = {}, task.now()
        for _ = 1, 2 do
          local index, value = task.select({ { a, "receive" }, { b, "receive" } })
          log[#log + 1] = { index, value, task.now() - began }
        end
        return log
    """) == [[2, "b", 2], [1, "a", 3]]


async def test_a_send_case_delivers_its_value_or_keeps_it(lua: Lua) -> None:
    assert await lua("""
        local out, stop, log = channel.new(), channel.new(), {}
        local function put(v) log[#log + 1] = v end
        task.spawn(function() put(out:receive()) end)
        put((task.select({ { out, "send", "v" }, { stop, "receive" } })))
        task.spawn(function() stop:send("stop") end)
        put((task.select({ { out, "send", "kept" }, { stop, "receive" } })))
        put(select(2, out:try_receive()))
        return log
    """) == ["v", 1, 2, "empty"]


async def test_every_object_that_waits_can_be_a_case(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(), {}
        local t = task.spawn(function() task.sleep(1); return "joined", 2 end)
        local cases = { { ch, "receive" }, { t, "join" }, { "news", "wait" } }
        local function note(...)
          local parts = { ... }
          for i = 1, select("#", ...) do parts[i] = tostring(parts[i]) end
          log[#log + 1] = table.concat(parts, " ")
        end
        note(task.select(cases))
        cases[2] = nil
        cases[2], cases[3] = cases[3], nil
        task.spawn(function() task.sleep(1); event.emit("news", "a", 7) end)
        note(task.select(cases))
        task.spawn(function() task.sleep(1); ch:send(false) end)
        note(task.select(cases))
        task.spawn(function() task.sleep(1); ch:close() end)
        note(task.select(cases))
        return log
    """) == ["2 joined 2", "2 a 7", "1 false", "1 nil closed"]


async def test_nil_can_be_sent_and_received(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(), {}
        task.spawn(function() task.select({ { ch, "send", nil } }); task.select({ { ch, "send" } }) end)
        for _ = 1, 2 do log[#log + 1] = select("#", task.select({ { ch, "receive" } })) end
        return log, ch:statistics().senders_waiting
    """) == ([2, 2], 0)


async def test_default_is_taken_when_nothing_is_ready(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(1), {}
        local function note(...) log[#log + 1] = tostring((...)) .. " " .. tostring((select(2, ...))) end
        task.spawn(function() log[#log + 1] = "other" end)
        note(task.select({ { ch, "receive" }, default = true }))
        ch:send("v")
        note(task.select({ { ch, "receive" }, default = true }))
        note(task.select({ default = true }))
        task.yield()
        return log
    """) == ["nil default", "1 v", "nil default", "other"]


async def test_timeout_ends_the_wait(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(), {}
        local function note(...)
          log[#log + 1] = { tostring((...)), tostring((select(2, ...))), task.now() }
        end
        local began = task.now()
        local none, why = task.select({ { ch, "receive" }, timeout = 2.5 })
        local first = { none == nil, why, task.now() - began }
        none, why = task.select({ { ch, "receive" }, timeout = 0 })
        local second = { none == nil, why, task.now() - began }
        none, why = task.select({ timeout = 1 })
        return first, second, { none == nil, why, task.now() - began }, ch:statistics().receivers_waiting
    """) == ([True, "timeout", 2.5], [True, "timeout", 2.5], [True, "timeout", 3.5], 0)


async def test_what_comes_just_before_the_timeout_wins(lua: Lua) -> None:
    assert await lua("""
        local ch = channel.new()
        task.spawn(function() task.sleep(1); ch:send("made it") end)
        local index, value = task.select({ { ch, "receive" }, timeout = 1.01 })
        task.sleep(10)
        return index, value
    """) == (1, "made it")


# -- one case, and nothing left behind -----------------------------------------------------------


async def test_losers_leave_nothing_behind(lua: Lua) -> None:
    assert await lua("""
        local a, b, c = channel.new(), channel.new(), channel.new()
        local slow = task.spawn(sleep, 100)
        task.spawn(function() task.sleep(1); b:send("b") end)
        local index = task.select({
          { a, "receive" }, { b, "receive" }, { c, "send", "lost" }, { slow, "join" }, { "e", "wait" },
        })
        local left = {}
        for _, ch in ipairs({ a, b, c }) do
          local s = ch:statistics()
          left[#left + 1] = s.senders_waiting + s.receivers_waiting
        end
        slow:cancel()
        return index, left, event.emit("e"), rawget(slow, "joiners") == nil, (c:try_receive())
    """) == (2, [0, 0, 0], 0, True, None)


async def test_one_close_fires_one_case_of_several_on_the_same_channel(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(), {}
        task.spawn(function()
          local index, value, state = task.select({ { ch, "receive" }, { ch, "receive" }, { ch, "receive" } })
          log[#log + 1] = index .. tostring(value) .. state
        end)
        task.spawn(function() local _, state = ch:receive(); log[#log + 1] = state end)
        task.yield()
        ch:close()
        task.yield()
        return #log, log[2], ch:statistics().receivers_waiting
    """) == (2, "closed", 0)


async def test_a_select_that_sends_and_receives_does_not_meet_itself(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(), {}
        local function both(name)
          local index, value = task.select({ { ch, "send", name }, { ch, "receive" } })
          log[#log + 1] = name .. index .. tostring(value)
        end
        task.spawn(both, "a")
        task.yield()
        local s = ch:statistics()
        log[#log + 1] = s.senders_waiting .. " " .. s.receivers_waiting
        task.spawn(both, "b")
        task.yield(); task.yield()
        s = ch:statistics()
        table.sort(log)
        return #log, log[1], s.senders_waiting + s.receivers_waiting
    """) == (3, "1 1", 0)


async def test_two_selects_on_the_same_channels_get_one_value_each(lua: Lua) -> None:
    assert await lua("""
        local a, b, log = channel.new(), channel.new(), {}
        for i = 1, 2 do
          task.spawn(function()
            local index, value = task.select({ { a, "receive" }, { b, "receive" } })
            log[#log + 1] = { i, index, value }
          end)
        end
        task.yield()
        a:send("to the first")
        b:send("to the second")
        task.yield()
        return log
    """) == [[1, 1, "to the first"], [2, 2, "to the second"]]


async def test_each_of_the_ready_cases_has_its_share(lua: Lua) -> None:
    """Two ready cases behind six that are not: neither may be starved by where the search begins."""
    assert await lua("""
        local cases, counts = {}, {}
        for i = 1, 8 do
          local ch = channel.new(1)
          if i <= 2 then ch:send(i) end
          cases[i] = { ch, "receive" }
          counts[i] = 0
        end
        for _ = 1, 2000 do
          local index, value = task.select(cases)
          counts[index] = counts[index] + 1
          cases[index][1]:send(value)
        end
        return counts[1] > 900 and counts[2] > 900, counts[1] + counts[2]
    """) == (True, 2000)


async def test_the_choice_is_the_same_in_every_run() -> None:
    program = """
        local a, b, log = channel.new(1), channel.new(1), {}
        for i = 1, 20 do
          a:try_send(i); b:try_send(i)
          log[i] = (task.select({ { a, "receive" }, { b, "receive" } }))
        end
        return log
    """
    runs = []
    for engine in ("lua54", "lua54", "lua55", "luajit"):
        async with scheduler.open_runtime(engine=engine) as runtime:
            runs.append(await runtime.run(program))
    assert runs[0] == runs[1] == runs[2] == runs[3]
    assert set(runs[0]) == {1, 2}


# -- cancellation, errors ------------------------------------------------------------------------


async def test_a_cancelled_select_withdraws_every_case(lua: Lua) -> None:
    assert await lua("""
        local a, b = channel.new(), channel.new()
        local t = task.spawn(task.select, { { a, "receive" }, { b, "send", "lost" }, { "e", "wait" } })
        task.yield()
        t:cancel()
        local s, u = a:statistics(), b:statistics()
        task.yield()
        return s.receivers_waiting, u.senders_waiting, event.emit("e"), t:status()
    """) == (0, 0, 0, "cancelled")


async def test_a_deadline_around_it_withdraws_every_case(lua: Lua) -> None:
    assert await lua("""
        local a, b = channel.new(), channel.new()
        local _, why = task.timeout(1, task.select, { { a, "receive" }, { b, "receive" }, timeout = 5 })
        return why, a:statistics().receivers_waiting, b:statistics().receivers_waiting
    """) == ("timeout", 0, 0)


async def test_a_select_that_was_woken_has_its_value_though_it_is_cancelled(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(), {}
        local t = task.spawn(function()
          log[1] = { task.select({ { ch, "receive" }, timeout = 5 }) }
          task.yield()
          log[2] = "never"
        end)
        task.yield()
        ch:send("kept")
        t:cancel()
        task.sleep(10)
        return log
    """) == [[1, "kept"]]


async def test_it_is_a_checkpoint_when_a_case_is_ready(lua: Lua) -> None:
    assert await lua("""
        local ch = channel.new(1)
        ch:send("stays")
        local t
        t = task.spawn(function()
          t:cancel()
          task.select({ { ch, "receive" }, default = true })
        end)
        task.yield()
        return t:status(), ch:statistics().buffered
    """) == ("cancelled", 1)


async def test_the_error_of_a_joined_task_is_raised_and_heard(lua: Lua) -> None:
    assert await lua("""
        local t = task.spawn(function() task.sleep(1); error("no luck", 0) end)
        local ch = channel.new()
        return pcall(task.select, { { ch, "receive" }, { t, "join" } })
    """) == (False, "no luck")


async def test_sending_on_a_closed_channel_raises(lua: Lua) -> None:
    assert await lua("""
        local closed, other, log = channel.new(0, "c"), channel.new(), {}
        local t = task.spawn(function()
          local ok, err = pcall(task.select, { { closed, "send", 1 }, { other, "receive" } })
          log[#log + 1] = { ok, err.kind, tostring(err) }
        end)
        task.yield()
        closed:close()
        t:join()
        local ok, err = pcall(task.select, { { closed, "send", 1 } })
        log[#log + 1] = { ok, err.kind, tostring(err) }
        return log, other:statistics().receivers_waiting
    """) == (
        [
            [False, "closed", "channel 'c' was closed while a value waited to be sent"],
            [False, "closed", "channel 'c' is closed: nothing can be sent any more"],
        ],
        0,
    )


async def test_select_inside_coroutines_and_sort_callbacks(lua: Lua) -> None:
    assert await lua("""
        local ch, log = channel.new(), {}
        local function one() log[#log + 1] = select(2, task.select({ { ch, "receive" } })) end
        task.spawn(function()
          coroutine.wrap(one)()
          table.sort({ 2, 1 }, function(a, b) one() return a < b end)
        end)
        ch:send("nested")
        ch:send("sort")
        task.yield()
        return log
    """) == ["nested", "sort"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("5", "table of cases expected, got number"),
        ("{ 5 }", 'case 1 must be a table, as in {ch, "receive"}, got number'),
        ("{ { ch, 'receive' }, { 5, 'receive' } }", "case 2: cannot wait for a number"),
        ("{ { nil, 'receive' } }", "case 1: cannot wait for a nil"),
        (
            "{ ch, 'receive' }",
            'case 1 is a channel; a case is a table, as in {the channel, "receive" or "send"}',
        ),
        ("{ { ch, 'recv' } }", 'case 1: a channel is waited for with "receive" or "send", got "recv"'),
        ("{ { ch } }", 'case 1: a channel is waited for with "receive" or "send", got nil'),
        ("{ { 'name', 'emit' } }", 'case 1: a string is waited for with "wait", got "emit"'),
        ("{ { task.current(), 'join' } }", "case 1: a task cannot wait for its own end"),
        ("{ timeot = 1 }", "unknown option 'timeot'; known are timeout and default"),
        ("{ [0] = 1, timeout = 1 }", "unknown option 0; known are timeout and default"),
        ("{ [bad] = 1, timeout = 1 }", "unknown option (a table); known are timeout and default"),
        ("{ timeout = -1 }", "timeout must be a number of seconds, not negative, got -1"),
        ("{ timeout = bad }", "timeout must be a number of seconds, not negative, got table"),
        ("{}", "no case, no timeout, no default: it would wait for ever"),
        ("{ default = false }", "no case, no timeout, no default: it would wait for ever"),
    ],
)
async def test_misuse_names_case_and_line(lua: Lua, spec: str, message: str) -> None:
    assert (
        await lua(f"""local ch = channel.new()
            local bad = setmetatable({{}}, {{ __tostring = function() error("asked") end }})
            return select(2, pcall(function()
              task.select({spec})
            end))""")
        == f"string:4: bad argument #1 to 'select' ({message})"
    )


@pytest.mark.parametrize(
    ("length", "got"), [("'x'", "string"), ("1.5", "1.5"), ("-1", "-1"), ("0/0", "nan"), ("{}", "table")]
)
async def test_a_length_that_is_none(lua_with_close: Lua, length: str, got: str) -> None:
    """It was compared with a number in a file of ours. (LuaJIT asks no `__len` of tables.)"""
    message = await lua_with_close(f"""
        local ch = channel.new()
        local spec = setmetatable({{ {{ ch, "receive" }} }}, {{ __len = function() return {length} end }})
        return select(2, pcall(function() task.select(spec) end))""")
    assert message.replace("-nan", "nan") == (
        "string:4: bad argument #1 to 'select' "
        f"(the length of the table of cases (its __len) must be a whole number, got {got})"
    )


async def test_nothing_takes_effect_when_a_case_is_wrong(lua: Lua) -> None:
    assert await lua("""
        local ch = channel.new(1)
        ch:send("stays")
        local ok = pcall(task.select, { { ch, "receive" }, { ch, "nonsense" } })
        return ok, ch:statistics().buffered
    """) == (False, 1)


async def test_the_deadlock_report_lists_the_cases_in_their_order(lua: Lua) -> None:
    with pytest.raises(DeadlockError) as caught:
        await lua(
            "local a, b, c = channel.new(0, 'a'), channel.new(0, 'b'), channel.new(3, 'c')\n"
            "local t = task.spawn_with({ name = 'quiet' }, event.wait, 'never')\n"
            "for _ = 1, 5 do\n"
            "  local cases = { { a, 'receive' }, { b, 'send', 1 }, { t, 'join' }, { 'e', 'wait' } }\n"
            "  task.spawn(task.select, cases)\n"
            "end\n"
            "task.select({ { c, 'receive' } })"
        )
    assert [(task.id, task.detail) for task in caught.value.tasks] == [
        (1, "channel 'c' empty"),
        (2, "event 'never'"),
        *(
            (
                number,
                "one of: channel 'a' empty, channel 'b': a receiver, the end of task 2 'quiet', event 'e'",
            )
            for number in range(3, 8)
        ),
    ]
