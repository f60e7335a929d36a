"""Random programs of channels and select, with cancellation and timeouts anywhere, lose and double nothing.

Hypothesis makes the programs (data), `INTERPRETER` runs them and logs what happens, `check` reads the log and
knows nothing of channel.lua: every value names its sender and its number.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scheduler
from scheduler.clock import virtual_clock

# A value is "task:number". In the log: "offer" before a send, "sent" after it, "got" after a receive.
INTERPRETER = """
local capacities, programs = ...
local channels, tasks, log = {}, {}, {}
for i = 1, #capacities do
  local capacity = capacities[i]
  channels[i] = channel.new(capacity < 0 and math.huge or capacity)
end
local function note(...) log[#log + 1] = table.concat({ ... }, " ") end

local function got(i, me, value, state)
  if state == nil then note("got", i, me, value) else note("none", i, me, state) end
  return state
end

local run
local actions = {}

function actions.send(me, i)
  local value = me .. ":" .. #log
  note("offer", i, value)
  if channels[i]:send(value) then note("sent", i, value) end
end

function actions.receive(me, i) got(i, me, channels[i]:receive()) end

function actions.try_send(me, i)
  local value = me .. ":" .. #log
  note("offer", i, value)
  local done, why = channels[i]:try_send(value)
  note(done and "sent" or "refused", i, value, why or "")
end

function actions.try_receive(me, i) got(i, me, channels[i]:try_receive()) end

function actions.loop(me, i, most)
  for value in channels[i]:iter() do
    note("got", i, me, value)
    most = most - 1
    if most == 0 then break end
  end
end

function actions.select(me, cases, timeout, default)
  local spec, values = {}, {}
  for k = 1, #cases do
    local operation, i = cases[k][1], cases[k][2]
    if operation == "send" then
      values[k] = me .. ":" .. #log
      note("offer", i, values[k])
    end
    spec[k] = { channels[i], operation, values[k] }
  end
  spec.timeout, spec.default = timeout >= 0 and timeout or nil, default or nil
  if #spec == 0 and not spec.default and not spec.timeout then return end
  local index, value, state = task.select(spec)
  if index == nil then return note("none", 0, me, value) end
  local i = cases[index][2]
  if cases[index][1] == "send" then note("sent", i, values[index]) else got(i, me, value, state) end
end

function actions.sleep(_, seconds) task.sleep(seconds) end
function actions.cancel(_, other) if tasks[other] then tasks[other]:cancel() end end
function actions.timeout(me, seconds, body) task.timeout(seconds, run, me, body) end
function actions.close(_, i) if channels[i]:close() then note("closed", i) end end
function actions.coroutine(me, body) coroutine.wrap(run)(me, body) end
function actions.sort(me, body)
  local first = true
  table.sort({ 2, 1 }, function(a, b)
    if first then first = false; run(me, body) end
    return a < b
  end)
end

local unpack = table.unpack or unpack
function run(me, body)
  for k = 1, #body do
    local ok, err = pcall(actions[body[k][1]], me, unpack(body[k], 2))
    if not ok and not (type(err) == "table" and err.kind == "closed") then error(err, 0) end
  end
end

for me = 1, #programs do
  tasks[me] = task.spawn_with({ background = true }, run, me, programs[me])
end
task.sleep(1000)
local waiting = 0
for me = 1, #tasks do
  if tasks[me]:status() == "blocked" then waiting = waiting + 1 end
end
note("waiting", waiting)
for me = 1, #tasks do tasks[me]:cancel() end
task.sleep(1)
for i = 1, #channels do
  local s = channels[i]:statistics()
  note("left", i, s.senders_waiting, s.receivers_waiting, s.buffered)
  local value, state = channels[i]:try_receive()
  while state == nil do
    note("got", i, 0, value)
    value, state = channels[i]:try_receive()
  end
end
return log
"""


@attrs.frozen
class Program:
    capacities: list[int]
    tasks: list[list[Any]]


async def _run(program: Program, engine: str) -> list[str]:
    async with scheduler.open_runtime(engine=engine, slice_s=math.inf) as runtime:
        log: list[str] = await runtime.run(INTERPRETER, program.capacities, program.tasks)
        return log


def execute(program: Program, engine: str) -> list[str]:
    return trio.run(_run, program, engine, clock=virtual_clock())


def check(program: Program, engine: str) -> None:
    """Run twice, compare, and hold the log against the rules."""
    log = execute(program, engine)
    assert execute(program, engine) == log, "another run of the same program went another way"
    offered: dict[str, int] = {}  # value -> channel
    sent: list[str] = []
    refused: set[str] = set()
    got: list[tuple[int, int, str]] = []
    for line in log:
        kind, *words = line.split(" ")
        if kind == "offer":
            offered[words[1]] = int(words[0])
        elif kind == "sent":
            sent.append(words[1])
        elif kind == "refused":
            refused.add(words[1])
        elif kind == "got":
            got.append((int(words[0]), int(words[1]), words[2]))
        elif kind == "left":
            assert words[1:3] == ["0", "0"], (
                f"channel {words[0]} has waiters of tasks that have ended: {line}"
            )
    arrived = Counter(value for _, _, value in got)
    assert all(count == 1 for count in arrived.values()), f"doubled: {arrived}"
    for channel, _, value in got:
        assert offered[value] == channel, f"{value} came out of channel {channel}"
    assert not refused & set(arrived), "delivered although it was refused"
    # A sender that was told so has delivered; one that was cancelled after it was woken is not told.
    lost = set(sent) - set(arrived)
    assert not lost, f"lost: {lost}"
    # Nothing overtakes: values come out in the order of offering, whoever sent them. (A receiver
    # that was woken runs a little later, so the order is judged for each receiver.)
    for key in {(channel, receiver) for channel, receiver, _ in got}:
        values = [value for channel, receiver, value in got if (channel, receiver) == key]
        numbers = [int(value.split(":")[1]) for value in values]
        assert numbers == sorted(numbers), f"{key} got {values}"


# -- programs ------------------------------------------------------------------------------------

CHANNELS = st.integers(1, 2)
TASKS = st.integers(1, 5)
# Multiples of a quarter: sums are exact, and several tasks wake at the same time.
SECONDS = st.integers(0, 4).map(lambda quarters: quarters / 4)
CASES = st.lists(st.tuples(st.sampled_from(["send", "receive"]), CHANNELS), max_size=4)
LEAVES = st.one_of(
    st.tuples(st.just("send"), CHANNELS),
    st.tuples(st.just("send"), CHANNELS),
    st.tuples(st.just("receive"), CHANNELS),
    st.tuples(st.just("receive"), CHANNELS),
    st.tuples(st.just("try_send"), CHANNELS),
    st.tuples(st.just("try_receive"), CHANNELS),
    st.tuples(st.just("loop"), CHANNELS, st.integers(1, 4)),
    st.tuples(st.just("select"), CASES, st.sampled_from([-1, -1, 0, 0.25, 1]), st.just(False)),
    st.tuples(st.just("select"), CASES, st.just(-1), st.just(True)),
    st.tuples(st.just("sleep"), SECONDS),
    st.tuples(st.just("cancel"), TASKS),
    st.tuples(st.just("close"), CHANNELS),
)
ACTIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.just("timeout"), SECONDS, st.lists(inner, min_size=1, max_size=4)),
        st.tuples(st.sampled_from(["coroutine", "sort"]), st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=6,
)
PROGRAMS = st.builds(
    Program,
    st.lists(st.sampled_from([0, 0, 1, 2, -1]), min_size=2, max_size=2),
    st.lists(st.lists(ACTIONS, min_size=1, max_size=8), min_size=2, max_size=5),
)

RULES = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@settings(RULES, max_examples=700)
@given(PROGRAMS)
def test_channels_on_lua54(program: Program) -> None:
    check(program, "lua54")


@pytest.mark.slow
@settings(RULES, max_examples=200)
@given(PROGRAMS)
def test_channels_on_lua55(program: Program) -> None:
    check(program, "lua55")


@pytest.mark.slow
@settings(RULES, max_examples=300)
@given(PROGRAMS)
def test_channels_on_luajit(program: Program) -> None:
    check(program, "luajit")


def test_the_rules_find_a_channel_that_loses_a_value() -> None:
    """The judge can say no: a channel of its own that drops every third value."""
    broken = INTERPRETER.replace(
        "function actions.send(me, i)",
        """local real, dropped = channel.new(0), 0
        local methods = getmetatable(real).__index
        local send = methods.send
        methods.send = function(ch, value)
          dropped = dropped + 1
          return dropped % 3 == 0 or send(ch, value)
        end
        function actions.send(me, i)""",
        1,
    )
    program = Program([3, 0], [[("send", 1)] * 3, [("receive", 1)] * 2])

    async def main() -> list[str]:
        async with scheduler.open_runtime() as runtime:
            log: list[str] = await runtime.run(broken, program.capacities, program.tasks)
            return log

    log = trio.run(main, clock=virtual_clock())
    sent = {line.split(" ")[2] for line in log if line.startswith("sent")}
    arrived = {line.split(" ")[3] for line in log if line.startswith("got")}
    assert len(sent - arrived) == 1
