"""The `stream` library: lazy values through stages, with backpressure, closing and errors."""

from __future__ import annotations

import pytest
from conftest import Lua

import scheduler

# Before each program below. `read` is how far a counter was read, `tasks()` says who else is alive.
HEAD = """
local stream = require("stream")
local log = {}
local function put(...)
  local parts = { ... }
  for i = 1, select("#", ...) do
    parts[i] = type(parts[i]) == "table" and table.concat(parts[i], " ") or tostring(parts[i])
  end
  log[#log + 1] = table.concat(parts, " ")
end
local read = 0
local function counter(n)
  local i = 0
  return function()
    if i < n then i = i + 1; read = i; return i end
  end
end
local function tasks()
  local names = {}
  for _, t in ipairs(task.list()) do
    if t ~= task.current() then names[#names + 1] = t.name end
  end
  return #names == 0 and "nobody" or table.concat(names, ", ")
end
"""


# -- sources -------------------------------------------------------------------------------------


async def test_every_kind_of_source(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        put(stream.of({ 1, 2, 3 }):collect())
        put(stream.of({}):collect())
        put(stream.of(counter(3)):collect())
        put(stream.of(ipairs({ "a", "b" })):collect())
        put(stream.of(string.gmatch("x y z", "%a")):collect())
        put(stream.of(coroutine.wrap(function()
          for i = 1, 3 do task.sleep(1); coroutine.yield(i) end
        end)):collect())
        put(stream.of(setmetatable({}, { __call = counter(2) })):collect())
        local ch = channel.new(3)
        for i = 1, 3 do ch:send(i) end
        ch:close()
        put(stream.of(ch):collect())
        local b = require("broadcast").new(3)
        local sub = b:subscribe()
        b:send("x"); b:send("y"); b:close()
        put(stream.of(sub):collect())
        put(stream.of({ iter = function(self) return counter(2), nil, nil end }):collect())
        local s = stream.of({ 7 })
        put(stream.of(s) == s, tostring(s))
        return log
        """
    ) == ["1 2 3", "", "1 2 3", "1 2", "x y z", "1 2 3", "1 2", "1 2 3", "x y", "1 2", "true stream"]


async def test_a_list_whose_length_is_none(lua_with_close: Lua) -> None:
    assert (
        await lua_with_close("""
        local list = setmetatable({}, { __len = function() return "x" end })
        return select(2, pcall(function() require("stream").of(list):collect() end))
        """)
        == "the length of the list (its __len) must be a number, got string"
    )


async def test_nil_is_a_value_of_lists_and_channels(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local list = stream.of({ 1, nil, 3, nil, n = 4 }):collect()
        put(list.n, list[1], list[2], list[3], list[4])
        local ch = channel.new(3)
        ch:send(nil); ch:send(false); ch:close()
        put(stream.of(ch):each(function(v) put("each", v) end))
        local mapped = stream.of({ 1, 2 }):map(function() end):collect()
        put(mapped.n, mapped[1])
        local function not_two(x) if x ~= 2 then return x end end
        local results = stream.of({ 1, 2, 3 }):map(not_two, { concurrency = 3 }):buffer(2):collect()
        put(results.n, results[1], results[2], results[3])
        put(pcall(function() for _ in stream.of({ nil, 2, n = 2 }):iter() do end end))
        return log
        """
    ) == [
        "4 1 nil 3 nil",
        "each nil",
        "each false",
        "2",
        "2 nil",
        "3 1 nil 3",
        "false string:36: the stream's next value is nil: a loop cannot have it as its value; use each",
    ]


# -- stages --------------------------------------------------------------------------------------


async def test_stages_work_lazily_value_by_value(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local s = stream.of(counter(100))
          :map(function(x) put("map", x); return x * x end)
          :filter(function(x) put("filter", x); return x % 2 == 1 end)
        put("read", read)
        for v in s:iter() do
          put("got", v)
          if v == 9 then break end
        end
        put("read", read)
        return log
        """
    ) == [
        "read 0",
        "map 1",
        "filter 1",
        "got 1",
        "map 2",
        "filter 4",
        "map 3",
        "filter 9",
        "got 9",
        "read 3",
    ]


async def test_take_reads_no_further_and_closes_the_source(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        put(stream.of(counter(100)):take(3):collect())
        put("read", read)
        local ch = channel.new(0)
        local t = task.spawn(function()
          local ok, err = pcall(function() for i = 1, 100 do ch:send(i) end end)
          put("producer", ok, err.kind)
        end)
        for v in stream.of(ch):take(2):iter() do
          put("got", v, ch:statistics().closed)
        end
        t:join()
        put(stream.of(counter(100)):take(0):collect().n, read)
        put(stream.of({ 1 }):take(5):collect())
        return log
        """
    ) == [
        "1 2 3",
        "read 3",
        "got 1 false",
        "got 2 true",
        "producer false closed",
        "0 3",
        "1",
    ]


async def test_batch_by_number(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        for batch in stream.of(counter(7)):batch(3):iter() do put(batch.n, "of", batch) end
        put(#stream.of({}):batch(3):collect())
        return log
        """
    ) == ["3 of 1 2 3", "3 of 4 5 6", "1 of 7", "0"]


async def test_batch_by_time(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local ch = channel.new()
        task.spawn(function()
          for _, pause in ipairs({ 0, 1, 1, 5, 0, 0, 0 }) do task.sleep(pause); ch:send(pause) end
          ch:close()
        end)
        local began = task.now()
        for batch in stream.of(ch):batch(3, 1.5):iter() do
          put(("%g s:"):format(task.now() - began), batch)
        end
        return log, tasks()
        """
    ) == (["1.5 s: 0 1", "3.5 s: 1", "7 s: 5 0 0", "7 s: 0"], "nobody")


async def test_merge_gives_values_as_they_come(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local function every(seconds, n, name)
          local i = 0
          return function()
            if i < n then i = i + 1; task.sleep(seconds); return name .. i end
          end
        end
        put(stream.of(every(2, 3, "a")):merge(every(3, 2, "b"), every(7, 1, "c")):collect())
        put(pcall(function() local s = stream.of({ 1 }) s:merge(s) end))
        return log, tasks()
        """
    ) == (
        ["a1 b1 a2 b2 a3 c1", "false string:33: cannot merge a stream with itself"],
        "nobody",
    )


async def test_buffer_reads_ahead_so_far_and_no_further(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local s = stream.of(counter(100)):buffer(3)
        local next_value = s:iter()
        put(next_value(s))
        task.sleep(1)
        put("read", read)
        put(next_value(s))
        task.sleep(1)
        put("read", read)
        s:close()
        task.sleep(1)
        put("read", read, tasks())
        return log
        """
    ) == ["1", "read 5", "2", "read 6", "read 6 nobody"]


# -- map with several at a time ------------------------------------------------------------------


async def test_map_with_concurrency_works_on_several_in_order(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local function slow(x) task.sleep(x); return x end
        for _, options in ipairs({ {}, { concurrency = 5 }, { concurrency = 5, ordered = false } }) do
          local began = task.now()
          put(stream.of({ 5, 4, 3, 2, 1 }):map(slow, options):collect(), ("in %g"):format(task.now() - began))
        end
        return log, tasks()
        """
    ) == (["5 4 3 2 1 in 15", "5 4 3 2 1 in 5", "1 2 3 4 5 in 5"], "nobody")


@pytest.mark.parametrize("ordered", [True, False])
async def test_no_more_than_allowed_are_in_work(lua: Lua, ordered: bool) -> None:
    assert await lua(
        HEAD
        + """
        local working, most = 0, 0
        local s = stream.of(counter(30)):map(function(x)
          working = working + 1
          most = math.max(most, working)
          task.sleep(x % 4)
          working = working - 1
          return x
        end, { concurrency = 4, ordered = (...) })
        local sum = 0
        for v in s:iter() do sum = sum + v; task.sleep(0.5) end
        return most, sum, working, tasks()
        """,
        ordered,
    ) == (4, 465, 0, "nobody")


async def test_results_that_nobody_takes_hold_the_work_back(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local s = stream.of(counter(100)):map(function(x) return x end, { concurrency = 3 })
        local next_value = s:iter()
        put(next_value(s))
        task.sleep(10)
        put("read", read)
        s:close()
        task.sleep(1)
        put(tasks())
        return log
        """
    ) == ["1", "read 4", "nobody"]


# -- closing -------------------------------------------------------------------------------------

PIPELINE = """
local function pipeline(source)
  return stream.of(source)
    :map(function(x) task.sleep(0.1); return x end, { concurrency = 3 })
    :filter(function(x) return x > 0 end)
    :buffer(2)
    :merge({ 100 })
    :batch(2, 1)
end
"""


async def test_close_after_a_break_ends_tasks_and_source(lua: Lua) -> None:
    assert await lua(
        HEAD
        + PIPELINE
        + """
        local ch = channel.new(0)
        local producer = task.spawn(function()
          local ok, err = pcall(function() for i = 1, 1000 do ch:send(i) end end)
          put("producer", ok, err.kind)
        end)
        local s = pipeline(ch)
        for _ in s:iter() do break end
        put(s:close(), s:close())
        producer:join()
        task.yield()
        put(tasks(), ch:statistics().senders_waiting)
        for _ in s:iter() do put("never") end
        put(s:collect().n)
        return log
        """
    ) == ["true false", "producer false closed", "nobody 0", "0"]


@pytest.mark.parametrize("how", ["returns", "fails", "is cancelled"])
async def test_a_stream_ends_with_the_task_that_reads_it(lua: Lua, how: str) -> None:
    assert await lua(
        HEAD
        + PIPELINE
        + """
        local how = ...
        local ch = channel.new(0)
        local producer = task.spawn(function() put("producer", (pcall(function()
          for i = 1, 1000 do ch:send(i) end
        end))) end)
        local reader = task.spawn(function()
          for _ in pipeline(ch):iter() do break end
          if how == "fails" then error("no luck", 0) elseif how == "is cancelled" then task.sleep(1000) end
        end)
        task.spawn(function() pcall(reader.join, reader) end)
        task.sleep(5)
        reader:cancel()
        producer:join()
        task.yield()
        put(reader:status(), tasks())
        return log
        """,
        how,
    ) == [
        "producer false",
        {"returns": "done", "fails": "failed", "is cancelled": "cancelled"}[how] + " nobody",
    ]


async def test_a_stream_ends_with_the_scope_in_which_reading_began(lua: Lua) -> None:
    assert await lua(
        HEAD
        + PIPELINE
        + """
        local ch = channel.new(math.huge)
        for i = 1, 100 do ch:send(i) end
        local s = pipeline(ch)
        local _, why = task.timeout(5, function()
          for _ in s:iter() do task.sleep(2) end
        end)
        put(why, tasks(), ch:statistics().closed)
        for _ in s:iter() do put("never") end
        return log
        """
    ) == ["timeout nobody true"]


async def test_a_scope_does_not_wait_for_a_stream_that_nobody_reads_on(lua: Lua) -> None:
    assert await lua(
        HEAD
        + PIPELINE
        + """
        local ch = channel.new(0)
        task.scope(function()
          for _ in pipeline(ch):iter() do break end
        end)
        return tasks(), ch:statistics().closed
        """
    ) == ("nobody", True)


async def test_a_stream_that_was_never_read_starts_nothing(lua: Lua) -> None:
    assert await lua(
        HEAD
        + PIPELINE
        + """
        local ch = channel.new(0)
        local s = pipeline(ch)
        task.sleep(1)
        put(tasks(), ch:statistics().receivers_waiting)
        put(s:close(), ch:statistics().closed, tasks())
        return log
        """
    ) == ["nobody 0", "true true nobody"]


async def test_close_before_the_tasks_have_begun(lua: Lua) -> None:
    assert await lua(
        HEAD
        + PIPELINE
        + """
        local ch = channel.new(0)
        local s = pipeline(ch)
        local reader = task.spawn(function() s:collect() end)
        local other = task.spawn(function() reader:cancel() end)
        task.sleep(1)
        put(reader:status(), tasks(), ch:statistics().closed)
        return log
        """
    ) == ["cancelled nobody true"]


async def test_closing_by_another_task_ends_the_loop(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local ch = channel.new(0)
        local s = stream.of(ch):buffer(1)
        local reader = task.spawn(function() for v in s:iter() do put(v) end put("end") end)
        ch:send(1)
        task.sleep(1)
        s:close()
        reader:join()
        put(tasks(), ch:statistics().closed)
        return log
        """
    ) == ["1", "end", "nobody true"]


async def test_the_closing_value_of_an_iterator_is_closed(lua_with_close: Lua) -> None:
    assert await lua_with_close(
        HEAD
        + """
        local function source(name)
          local closing = setmetatable({}, { __close = function(_, err) put("closed", name, err) end })
          return counter(5), nil, nil, closing
        end
        stream.of(source("at the end")):collect()
        stream.of(source("by take")):take(2):collect()
        local s = stream.of(source("by close"))
        for _ in s:iter() do break end
        s:close()
        pcall(function() stream.of(source("by an error")):each(function() error("no luck") end) end)
        local buffered = stream.of(source("by the pump")):buffer(1)
        for _ in buffered:iter() do break end
        buffered:close()
        task.yield()
        do local t <close> = stream.of(source("by a variable")) end
        return log
        """
    ) == [
        "closed at the end nil",
        "closed by take nil",
        "closed by close nil",
        "closed by an error nil",
        "closed by the pump nil",
        "closed by a variable nil",
    ]


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stage",
    [
        "",
        ":buffer(3)",
        ":merge({})",
        ":batch(1):map(function(b) return b[1] end)",
        ":batch(1, 1):map(function(b) return b[1] end)",
        ":map(function(x) return x end, { concurrency = 2 })",
        ":map(function(x) return x end, { concurrency = 2, ordered = false })",
    ],
)
async def test_an_error_arrives_once_after_what_came_before_it(lua: Lua, stage: str) -> None:
    assert await lua(
        HEAD
        + f"""
        local ch = channel.new(5)
        for i = 1, 5 do ch:send(i) end
        local failing = {{ code = 7 }}
        local s = stream.of(ch):map(function(x)
          task.sleep(0.1)
          if x == 3 then error(failing) end
          return x
        end){stage}
        local ok, err = pcall(function() for v in s:iter() do put(v); task.sleep(5) end end)
        put(ok, err == failing)
        for _ in s:iter() do put("never") end
        task.yield()
        put(tasks(), ch:statistics().closed)
        return log
        """
    ) == ["1", "2", "false true", "nobody true"]


async def test_an_error_of_concurrent_work_cancels_the_rest(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local finished = 0
        local s = stream.of(counter(100)):map(function(x)
          task.sleep(x == 2 and 1 or 3)
          if x == 2 then error("no luck", 0) end
          finished = finished + 1
          return x
        end, { concurrency = 4 })
        put(pcall(s.collect, s))
        task.sleep(10)
        put(finished, read, tasks())
        return log
        """
    ) == ["false no luck", "0 4 nobody"]


@pytest.mark.parametrize(
    "stage", ["", ":batch(2)", ":buffer(1)", ":map(function(x) return x end, { concurrency = 2 })"]
)
async def test_an_error_keeps_its_traceback(lua: Lua, stage: str) -> None:
    with pytest.raises(scheduler.LuaError) as caught:
        await lua(f"""local stream = require("stream")
local function broken(x)
  error("no luck")
end
stream.of({{ 1 }}):map(function(x)
  local value = broken(x)
  return value
end){stage}:each(print)""")
    assert str(caught.value).startswith("string:3: no luck")
    assert "string:6:" in caught.value.lua_traceback


async def test_the_readers_own_error_closes_the_stream(lua: Lua) -> None:
    assert await lua(
        HEAD
        + PIPELINE
        + """
        local ch = channel.new(5)
        for i = 1, 5 do ch:send(i) end
        local s = pipeline(ch)
        put(pcall(s.each, s, function() error("mine", 0) end))
        task.sleep(1)
        put(tasks(), ch:statistics().closed)
        return log
        """
    ) == ["false mine", "nobody true"]


async def test_a_subscription_that_was_cut_off_is_an_error(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local b = require("broadcast").new(1, { policy = "close" })
        local sub = b:subscribe()
        b:send(1); b:send(2)
        local ok, err = pcall(function() stream.of(sub):collect() end)
        return ok, err.kind
        """
    ) == (False, "slow")


# -- cancellation --------------------------------------------------------------------------------


async def test_a_step_that_is_cut_off_loses_nothing_it_has_not_read(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local ch = channel.new(0)
        local s = stream.of(ch):batch(3)
        local next_value = s:iter()
        task.spawn(function() for i = 1, 6 do ch:send(i); task.sleep(2) end end)
        -- Reading begins outside the scope of the timeouts.
        put(next_value(s))
        put(select(2, task.timeout(3, next_value, s)))
        put(next_value(s))
        return log
        """
    ) == ["1 2 3", "timeout", "4 5 6"]


@pytest.mark.parametrize("batch", ["batch(3)", "batch(3, 10)", "batch(3, 0.5)"])
async def test_a_batch_that_is_cut_off_is_filled_up_later(lua: Lua, batch: str) -> None:
    """With a time, what had been gathered was lost when the read was cancelled."""
    assert await lua(
        HEAD
        + f"""
        local ch = channel.new(10)
        local s = stream.of(ch):{batch}
        local next_value = s:iter()
        for i = 1, 3 do ch:send(i) end
        put(next_value(s))
        ch:send(4) ch:send(5)
        put(select(2, task.timeout(0.25, next_value, s)))
        put(select(2, task.timeout(0, next_value, s)))
        for i = 6, 8 do ch:send(i) end
        ch:close()
        put(next_value(s))
        put(next_value(s))
        put(next_value(s))
        return log
        """
    ) == ["1 2 3", "timeout", "timeout", "4 5 6", "7 8", "nil"]


SLOW = """
local function slow(n)
  local closing = setmetatable({}, { __close = function() task.sleep(1) put("slow closed") end })
  return counter(n), nil, nil, closing
end
"""


@pytest.mark.parametrize("stages", ["buffer(2)", "buffer(2):take(9):buffer(1)", "merge({}):batch(2, 1)"])
@pytest.mark.parametrize(
    "how",
    [
        "s:take(1):collect()",
        "for _ in s:iter() do break end s:close()",
        "pcall(s.each, s, error)",
        "s:collect()",
    ],
)
async def test_a_closing_value_may_wait_behind_a_task(lua_with_close: Lua, stages: str, how: str) -> None:
    """The stage's task was cancelled, and with it the wait of `__close`, though nobody cancelled the reader.

    The scope is left at once: it waits for the end of what has begun.
    """
    assert await lua_with_close(
        HEAD
        + SLOW
        + f"""
        task.scope(function()
          local s = stream.of(slow(9)):{stages}
          {how}
        end)
        put(tasks())
        return log
        """
    ) == ["slow closed", "nobody"]


async def test_a_closing_value_whose_task_has_not_begun(lua_with_close: Lua) -> None:
    assert await lua_with_close(
        HEAD
        + SLOW
        + """
        local s = stream.of(slow(9)):buffer(1)
        task.spawn(function() s:close() end) -- runs before the stage's task
        put(s:collect().n)
        task.sleep(5)
        put(read)
        return log
        """
    ) == ["0", "slow closed", "0"]


async def test_a_closing_value_is_cut_off_when_the_reader_is_cancelled(lua_with_close: Lua) -> None:
    assert await lua_with_close(
        HEAD
        + SLOW
        + """
        for _, size in ipairs({ 0, 1 }) do
          local began = task.now()
          local t = task.spawn(function()
            local s = stream.of(slow(9))
            if size > 0 then s = s:buffer(size) end
            s:each(function() task.sleep(9) end)
          end)
          task.sleep(1)
          t:cancel()
          pcall(t.join, t)
          put(task.now() - began == 1)
        end
        return log
        """
    ) == ["true", "true"]


async def test_a_batch_that_was_cut_off_keeps_its_time(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local ch, began = channel.new(10), task.now()
        local s = stream.of(ch):batch(3, 2)
        local next_value = s:iter()
        for i = 1, 3 do ch:send(i) end
        put(next_value(s))
        task.spawn(function() ch:send(4) task.sleep(3) ch:send(5) end)
        put(select(2, task.timeout(1, next_value, s)))
        put(next_value(s))
        put(task.now() - began == 2)
        put(next_value(s))
        put(task.now() - began == 5)
        return log
        """
    ) == ["1 2 3", "timeout", "4", "true", "5", "true"]


@pytest.mark.parametrize("batch", ["batch(5)", "batch(5, 10)"])
async def test_a_batch_is_given_before_the_error_that_cut_it_off(lua: Lua, batch: str) -> None:
    """Once: the values, then the error, then the end."""
    assert await lua(
        HEAD
        + f"""
        local ch = channel.new(10)
        for i = 1, 5 do ch:send(i) end
        local s = stream.of(ch):map(function(x)
          if x == 3 then error("bad 3", 0) end
          return x
        end):{batch}
        local next_value = s:iter()
        put(next_value(s))
        put(pcall(next_value, s))
        put(next_value(s))
        put(ch:statistics().closed)
        return log
        """
    ) == ["1 2", "false bad 3", "nil", "true"]


async def test_two_tasks_cannot_read_one_stream(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local ch = channel.new(0)
        local s = stream.of(ch)
        local reader = task.spawn_with({ name = "reader" }, function() for v in s:iter() do put(v) end end)
        task.yield()
        put(pcall(function() for _ in s:iter() do end end))
        put(pcall(function() s:collect() end))
        ch:send("goes on")
        task.yield()
        ch:close()
        reader:join()
        return log
        """
    ) == [
        "false string:30: cannot read the stream: task 2 'reader' is reading it",
        "false string:31: cannot read the stream: task 2 'reader' is reading it",
        "goes on",
    ]


async def test_a_stream_has_one_next_stage(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        local s = stream.of({ 1, 2, 3 })
        local mapped = s:map(function(x) return x end)
        put(pcall(function() s:filter(print) end))
        put(pcall(function() s:iter() end))
        put(mapped:collect())
        return log
        """
    ) == [
        "false string:28: cannot filter: another stage reads this stream already",
        "false string:29: cannot iter: another stage reads this stream already",
        "1 2 3",
    ]


async def test_waits_inside_coroutines_and_sort_callbacks(lua: Lua) -> None:
    assert await lua(
        HEAD
        + """
        coroutine.wrap(function()
          put(stream.of({ 2, 1 }):map(function(x) task.sleep(x); return x end, { concurrency = 2 }):collect())
        end)()
        table.sort({ 2, 1 }, function(a, b)
          put(stream.of({ 4, 3 }):map(function(x) task.sleep(x); return x end, { concurrency = 2 }):collect())
          return a < b
        end)
        return log[1], log[2], tasks()
        """
    ) == ("2 1", "4 3", "nobody")


async def test_an_endless_stream_of_quick_values_can_be_cut_off(lua_with_close: Lua) -> None:
    assert (
        await lua_with_close(
            HEAD
            + """
        local s = stream.of(function() return 1 end):filter(function() return false end)
        local t = task.spawn(s.collect, s)
        task.yield() -- it is preempted
        t:cancel()
        pcall(t.join, t)
        return t:status()
        """,
            slice_s=0.01,
        )
        == "cancelled"
    )


# -- bad input -----------------------------------------------------------------------------------

SOMETHING = "something iterable expected (iterator function, list, channel, subscription, stream), got"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("stream.of()", f"#1 to 'of' ({SOMETHING} no value)"),
        ("stream.of(5)", f"#1 to 'of' ({SOMETHING} number)"),
        ("s:merge(5)", f"#1 to 'merge' ({SOMETHING} number)"),
        ("s:merge({}, true)", f"#2 to 'merge' ({SOMETHING} boolean)"),
        ("s:merge()", f"#1 to 'merge' ({SOMETHING} no value)"),
        ("s:map()", "#1 to 'map' (function expected, got no value)"),
        ("s:map(print, 5)", "#2 to 'map' (table of options expected, got number)"),
        (
            "s:map(print, { limit = 5 })",
            "#2 to 'map' (unknown option 'limit'; known are concurrency and ordered)",
        ),
        ("s:map(print, { ordered = 1 })", "#2 to 'map' (option 'ordered' must be a boolean, got number)"),
        ("s:map(print, { concurrency = 0 })", "#2 to 'map' (whole number, at least 1, expected, got 0)"),
        ("s:filter(5)", "#1 to 'filter' (function expected, got number)"),
        ("s:take(-1)", "#1 to 'take' (whole number, at least 0, expected, got -1)"),
        ("s:take('5')", "#1 to 'take' (whole number, at least 0, expected, got string)"),
        ("s:batch(0)", "#1 to 'batch' (whole number, at least 1, expected, got 0)"),
        ("s:batch(1, -1)", "#2 to 'batch' (seconds must not be negative or NaN, got -1)"),
        ("s:buffer(1.5)", "#1 to 'buffer' (whole number, at least 1, expected, got 1.5)"),
        ("s:buffer()", "#1 to 'buffer' (whole number, at least 1, expected, got no value)"),
        ("s:each()", "#1 to 'each' (function expected, got no value)"),
        (
            "s.collect()",
            "#1 to 'collect' (stream expected, got no value; call it with a colon, as in s:collect())",
        ),
        ("s.map(print)", "#1 to 'map' (stream expected, got function; call it with a colon, as in s:map())"),
    ],
)
async def test_misuse_names_function_argument_and_line(lua: Lua, call: str, message: str) -> None:
    assert (
        await lua(f"""local stream = require("stream")
            local s = stream.of({{ 1 }})
            return select(2, pcall(function()
              {call}
            end))""")
        == f"string:4: bad argument {message}"
    )
