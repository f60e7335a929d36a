"""Preemption: a task that does not give up the processor is set aside wherever it is, and cannot tell.

Real time: what a busy task does cannot be waited for in virtual time. No test asserts how long anything took.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from conftest import GIVE_UP_S, Lua, Shell, opened

import scheduler
from bridge import preemption
from bridge.preemption import Preemption
from scheduler.driver import Driver

pytestmark = pytest.mark.slow
real_time = pytest.mark.trio(run=trio.run)

# `spin(n)` has a result that is known, and takes a few slices; `beats` counts what another task does.
PRELUDE = """
local beats, BUSY = 0, 3000000
task.spawn_with({ background = true }, function() while true do sleep(0.001) beats = beats + 1 end end)
local function spin(n)
  local sum = 0
  for i = 1, n or BUSY do sum = sum + i % 7 end
  return sum
end
local RIGHT = 8999997
local function busy(n)
  local sum = spin()
  while beats < (n or 3) do sum = spin() end
  return sum
end
"""


@pytest.fixture(name="lua")
def busy_lua(lua_with_close: Lua) -> Lua:
    """Run Lua source after `PRELUDE`, on the engines that preempt."""

    async def run(code: str, *args: Any, **options: Any) -> Any:
        with trio.fail_after(GIVE_UP_S):
            return await lua_with_close(PRELUDE + code, *args, **options)

    return run


# -- wherever it is --------------------------------------------------------------------------------

# Each returns what `busy` does, called in that place.
PLACES = {
    "the task itself": "return busy()",
    "a coroutine": "return coroutine.wrap(busy)()",
    "nested coroutines": """
        local function down(n) if n == 0 then return busy() end return coroutine.wrap(down)(n - 1) end
        return down(20)
    """,
    "a comparator": """
        local sum
        table.sort({ 2, 1 }, function(a, b) sum = sum or busy() return a < b end)
        return sum
    """,
    "a callback of gsub": """
        local sum
        string.gsub("x", "x", function() sum = busy() end)
        return sum
    """,
    "a coroutine in a comparator in a coroutine": """
        return coroutine.wrap(function()
          local sum
          table.sort({ 2, 1 }, function(a, b) sum = sum or coroutine.wrap(busy)() return a < b end)
          coroutine.yield(sum)
        end)()
    """,
    "__index": "return setmetatable({}, { __index = function() return busy() end }).x",
    "__concat": "return setmetatable({}, { __concat = function() return busy() end }) .. 1",
    "__lt": """
        local sum
        local meta = { __lt = function() sum = busy() return true end }
        assert(setmetatable({}, meta) < setmetatable({}, meta))
        return sum
    """,
    "__tostring": """
        local sum
        tostring(setmetatable({}, { __tostring = function() sum = busy() return "x" end }))
        return sum
    """,
    "__close": """
        local sum
        do local guard <close> = setmetatable({}, { __close = function() sum = busy() end }) end
        return sum
    """,
    "a for iterator": "for sum in function(_, before) return not before and busy() end do return sum end",
    "an error handler": "return select(2, xpcall(error, function() return busy() end))",
    "pcall": "return select(2, pcall(pcall, busy)) and select(3, pcall(pcall, busy))",
    "a reader of load": """
        local sum
        load(function() if not sum then sum = busy() return "return 1" end end)
        return sum
    """,
    "the end of a deep recursion": """
        local function deep(n) if n == 0 then return busy() end return (deep(n - 1)) end
        return deep(10000)
    """,
    "a loaded chunk": "return load('local busy = ... return busy()')(busy)",
    "a goto loop": """
        local i, sum = 1, 0
        ::again::
        sum = sum + i % 7
        i = i + 1
        if i <= BUSY or beats < 3 then goto again end
        return spin()
    """,
    "a timeout and a shield": "return task.timeout(1000, task.shield, busy)",
}


@real_time
@pytest.mark.parametrize("place", PLACES)
async def test_busy_loop_lets_others_run_and_gets_its_result(lua: Lua, place: str) -> None:
    """`busy` ends only when another task has run three times."""
    code = f"local function run() {PLACES[place]} end return run(), RIGHT, beats >= 3"
    result, right, beaten = await lua(code)
    assert (result, beaten) == (right, True)


@real_time
async def test_busy_callback_of_a_host_function_lets_others_run(lua: Lua) -> None:
    result = await lua("return host(busy), RIGHT", host={"host": lambda function: function.call_sync()})
    assert result[0] == result[1]


@real_time
async def test_busy_tasks_share(lua: Lua) -> None:
    """Neither of two tasks that only compute can end before the other has run."""
    result = await lua("""
        local turns, last = 0, nil
        local function work(me)
          while turns < 6 do
            if last ~= me then last, turns = me, turns + 1 end
          end
          return me
        end
        local a, b = task.spawn(work, "a"), task.spawn(work, "b")
        return a:join(), b:join()
    """)
    assert result == ("a", "b")


@real_time
async def test_trio_goes_on_beside_a_busy_task(engine_with_close: str) -> None:
    beats = 0
    async with opened(engine_with_close) as runtime:
        runtime.register("beats", lambda: beats)
        task = runtime.spawn("local sum = 0 while beats() < 5 do for i = 1, 1e7 do sum = sum + i end end")
        while task.status == "running":
            await trio.sleep(0.001)
            beats += 1
        await task.join()
        assert runtime.statistics().preemptions >= 1


# -- what the script sees --------------------------------------------------------------------------


@real_time
async def test_generator_sees_no_foreign_yield(lua: Lua) -> None:
    result = await lua("""
        local seen = {}
        local co = coroutine.create(function(...)
          local got = { ... }
          for i = 1, 3 do
            spin()
            got = { coroutine.yield(i, #got) }
          end
        end)
        repeat
          local values = table.pack(coroutine.resume(co, "a", "b"))
          seen[#seen + 1] = coroutine.status(co) .. values.n
            .. tostring(values[2]) .. tostring(values[3])
        until coroutine.status(co) == "dead"
        while beats < 3 do spin() end
        return table.concat(seen, " ")
    """)
    assert result == "suspended312 suspended322 suspended332 dead1nilnil"


@real_time
async def test_no_hook_is_to_be_seen(lua: Lua) -> None:
    """Before, in the middle of and after being preempted; `beats` tells that it was."""
    result = await lua("""
        local seen = {}
        local function look()
          local hook, mask, count = debug.gethook()
          seen[tostring(hook) .. tostring(mask) .. tostring(count)] = true
        end
        look()
        while beats < 30 do look() end
        look()
        local inner = coroutine.create(busy)
        coroutine.resume(inner)
        local names = {}
        for name in pairs(seen) do names[#names + 1] = name end
        return table.concat(names, ", "), tostring(debug.gethook(inner))
    """)
    assert result == ("nilnilnil", "nil")


@real_time
async def test_scripts_own_hook_survives(lua: Lua) -> None:
    result = await lua("""
        local hits = 0
        local function hook() hits = hits + 1 end
        debug.sethook(hook, "", 1000)
        busy(5)
        local now, mask, count = debug.gethook()
        debug.sethook()
        return now == hook, mask, count, hits > 3000
    """)
    assert result == (True, "", 1000, True)


@real_time
async def test_tracebacks_stay_the_same(lua: Lua) -> None:
    result = await lua("""
        local seen, count = {}, 0
        local function look()
          local text = debug.traceback("")
          if not seen[text] then seen[text], count = true, count + 1 end
        end
        while beats < 20 do look() end
        return count
    """)
    assert result == 1


# -- an end to it ----------------------------------------------------------------------------------


@real_time
@pytest.mark.parametrize(
    "body",
    [
        "while true do end",
        "while true do pcall(spin) end",
        "while true do coroutine.wrap(spin)() end",
        "coroutine.wrap(function() while true do end end)()",
        "table.sort({ 2, 1 }, function() while true do end end)",
        "while true do xpcall(spin, function() while true do end end) end",
        "local function deep() return 1 + deep() end while true do pcall(deep) end",
        "while true do pcall(error, setmetatable({}, { __index = spin })) end",
    ],
)
async def test_timeout_ends_a_busy_loop(lua: Lua, body: str) -> None:
    assert await lua(f"return task.timeout(0.05, function() {body} end)") == (None, "timeout")


@real_time
async def test_cancelled_busy_loop_ends_and_its_cleanup_runs(lua: Lua) -> None:
    result = await lua("""
        local log = {}
        local t = task.spawn(function()
          local guard <close> = setmetatable({}, { __close = function() log[#log + 1] = "closed" end })
          pcall(function() while true do end end)
          log[#log + 1] = "went on"
        end)
        sleep(0.01)
        t:cancel("enough")
        pcall(t.join, t)
        return t:status(), table.concat(log, " ")
    """)
    assert result == ("cancelled", "closed")


@real_time
async def test_cancelled_task_may_clean_up_for_long(lua: Lua) -> None:
    """The mark is raised once in what was only cancelled: cleanup that computes gets to its end."""
    result = await lua("""
        local sum
        local t = task.spawn(function()
          local function clean_up() task.shield(function() sum = busy(20) end) end
          local guard <close> = setmetatable({}, { __close = clean_up })
          while true do end
        end)
        sleep(0.01)
        t:cancel()
        pcall(t.join, t)
        return sum == RIGHT
    """)
    assert result is True


@real_time
async def test_trio_cancels_a_busy_runtime(engine_with_close: str) -> None:
    with trio.move_on_after(0.05) as scope:
        async with opened(engine_with_close) as runtime:
            await runtime.run("while true do pcall(function() while true do end end) end")
    assert scope.cancelled_caught


@real_time
async def test_several_ends_in_a_call_back_from_a_host_function(lua: Lua) -> None:
    """A cancelled task must not go on in a loop of synchronous host calls: call_sync waits."""
    result = await lua(
        "return task.timeout(0.05, function() while true do host(sleep, 0.001) end end)",
        host={"host": lambda function, *values: function.call_sync(*values)},
    )
    assert result == (None, "timeout")


@real_time
async def test_busy_neighbours_of_a_call_back_that_is_cancelled(lua: Lua) -> None:
    """The run queue lost a slot: "bad argument #1 to 'resume' (thread expected, got nil)"."""
    result = await lua(
        """
        return task.timeout(0.3, function()
          for _ = 1, 2 do task.spawn(function() while true do spin(100000) end end) end
          while true do host(spin, 100000) end
        end)
        """,
        host={"host": lambda function, *values: function.call_sync(*values)},
        slice_s=0.001,
    )
    assert result == (None, "timeout")


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(
    "body", ["while true do end", "while true do pcall(function() while true do end end) end"]
)
def test_interrupt_ends_a_busy_script(shell: Shell, body: str, engine_with_close: str) -> None:
    process = shell.start("--engine", engine_with_close, "-e", f"io.stdout:write('on\\n'):flush() {body}")
    assert process.stdout is not None
    assert process.stdout.readline() == b"on\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=GIVE_UP_S)
    assert (process.returncode, errors) == (130, b"scheduler: interrupted\n")


# -- where there is none ---------------------------------------------------------------------------


@real_time
async def test_luajit_says_that_it_does_not_preempt() -> None:
    async with opened("luajit", detect_deadlock=True) as runtime:
        assert runtime._driver.vm.preemption_missing
        assert await runtime.run("local n = 0 for i = 1, 1e7 do n = n + 1 end return n") == 10_000_000
        assert runtime.statistics().preemptions == 0
        with pytest.raises(ValueError, match="limits need preemption, which this runtime has not"):
            runtime.spawn("return 1", limits=scheduler.Limits(cpu_s=1))


@real_time
async def test_without_the_portal_nothing_is_preempted(engine_with_close: str) -> None:
    async with opened(engine_with_close, portal=False, detect_deadlock=True) as runtime:
        code = "local n = 0 for i = 1, 1e7 do n = n + 1 end task.yield() return n"
        assert await runtime.run(code) == 10_000_000
        assert runtime.statistics().preemptions == 0


# Each notes itself, computes for some slices, and notes itself again.
THREE_BUSY = """
local order = {}
for i = 1, 3 do
  task.spawn(function()
    order[#order + 1] = i
    for _ = 1, 5e6 do end
    order[#order + 1] = i
  end)
end
"""


@real_time
async def test_infinite_slice_never_preempts(engine_with_close: str) -> None:
    """In the order of a cooperative scheduler: nobody runs while one computes."""
    async with opened(engine_with_close, slice_s=math.inf, detect_deadlock=True) as runtime:
        order = await runtime.run(
            THREE_BUSY + "sleep(0) while #order < 6 do task.yield() end return table.concat(order)"
        )
        assert order == "112233"
        assert runtime.statistics().preemptions == 0


async def test_with_a_virtual_clock_order_does_not_depend_on_speed(engine_with_close: str) -> None:
    """A task of a property test was set aside on a machine that stood still for 10 ms."""
    async with opened(engine_with_close) as runtime:
        assert await runtime.run(THREE_BUSY + "sleep(1) return table.concat(order)") == "112233"
        assert runtime.statistics().preemptions == 0
        # What must be ended for certain is.
        limited = "return task.limit({ cpu_s = 0.01 }, function() while true do end end)"
        _, error = await runtime.run(limited)
        assert (error["limit"], error["used"] < 0.5) == ("cpu", True)


@real_time
async def test_a_busy_kernel_is_not_asked_too_often(
    engine_with_close: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that only spawned was stopped each 60 instructions, in vain: it became seven times slower."""
    verdicts: list[bytes] = []
    overrun = Driver._overrun

    def counted(driver: Driver) -> bytes:
        verdicts.append(overrun(driver))
        return verdicts[-1]

    monkeypatch.setattr(Driver, "_overrun", counted)
    async with opened(engine_with_close) as runtime:
        await runtime.run("local function body() end for _ = 1, 100000 do task.spawn(body) end")
        # A slice of spawning is some 10,000 calls; ranges double, so few tries end each.
        assert verdicts.count(b"again") < 50 * (runtime.statistics().slices + 1)
        assert b"aside" in verdicts


@real_time
async def test_a_hook_of_the_scripts_own_in_place_of_ours(
    engine_with_close: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Armed for a second try, the task set a hook of its own: it was never stopped again."""
    monkeypatch.setattr(preemption.random, "randrange", lambda _first, _end: 10**9)
    with trio.fail_after(GIVE_UP_S):
        async with opened(engine_with_close) as runtime:
            hits = await runtime.run("""
                -- Nearly all the time in the kernel's code: soon the first try has met that.
                local function body() end
                local began = os.clock()
                repeat task.spawn(body) until os.clock() - began > 0.05
                local hits, others = 0, false
                debug.sethook(function() hits = hits + 1 end, "", 1000)
                task.spawn(function() others = true end)
                while not others do end
                debug.sethook()
                return hits
            """)
        assert hits > 0


@real_time
async def test_limits_are_refused_where_nothing_is_preempted(engine_with_close: str) -> None:
    with pytest.raises(ValueError, match=r"limits need preemption, .*: switched off"):
        async with opened(engine_with_close, slice_s=math.inf, limits=scheduler.Limits(cpu_s=1)):
            pass
    async with opened(engine_with_close, slice_s=math.inf) as runtime:
        with pytest.raises(scheduler.LuaError, match=r"limits need preemption, which is off \(--slice inf\)"):
            await runtime.run("task.limit({ cpu_s = 1 }, print)")


# -- for long --------------------------------------------------------------------------------------


def test_busy_tasks_of_all_kinds_survive_cancellation(engine_with_close: str) -> None:
    """Three seconds of tests/stress/preemption.py, in a process of its own: it may crash."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(root / "tests" / "stress" / "preemption.py"), engine_with_close, "1"],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=3 * GIVE_UP_S,
        check=False,
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.stdout.splitlines()[-1].startswith("runs ")


@real_time
@pytest.mark.parametrize("slice_s", [0.0005])
async def test_a_failure_is_heard_by_who_joins_although_a_preemption_came_between(
    engine_with_close: str, slice_s: float
) -> None:
    """`local t = task.spawn(f) ... t:join()`: the child once failed unheard while its spawner stood aside."""
    async with opened(engine_with_close, slice_s=slice_s) as runtime:
        heard = await runtime.run("""
            local heard, others = 0, false
            task.spawn_with({ background = true }, function()
              while true do others = true task.yield() end
            end)
            for _ = 1, 30 do
              local t = task.spawn(error, "failed")
              others = false
              repeat until others -- until it was set aside once
              local ok, message = pcall(t.join, t)
              if not ok and message == "failed" then heard = heard + 1 end
            end
            return heard
        """)
        assert heard == 30
        assert runtime.statistics().preemptions > 0


@real_time
async def test_a_failure_nobody_joins_ends_a_scope_whose_body_never_waits(engine_with_close: str) -> None:
    async with opened(engine_with_close) as runtime:
        assert await runtime.run("""
            return pcall(task.scope, function(scope)
              scope:spawn(error, "failed")
              while true do end
            end)
        """) == (False, "failed")


class Memory:
    """A C API and an arming without Lua: hooks in a dict, and what was written in a list."""

    def __init__(self) -> None:
        self.hooks: dict[int, Any] = {1: (5, 8, 1)}  # of the kernel loop
        self.log: list[tuple[str, int]] = []

    def keep_global(self, _reader: int, _name: bytes) -> int:
        return 7

    def make_hook(self, _callback: Any) -> int:
        return 999

    def thread_at(self, _reader: int, _array: int, level: int) -> int | None:
        return {1: 100, 2: 200}.get(level)  # a task's coroutine, and nobody

    def get_hook(self, state: int) -> Any:
        return self.hooks.get(state, (None, 0, 0))

    def arm(self, state: int, hook: int, instructions: int) -> None:
        self.hooks[state] = (hook, 8, instructions)
        self.log.append(("arm", state))

    def remind(self, state: int) -> None:
        self.log.append(("remind", state))


def test_each_look_reminds_the_function_that_runs() -> None:
    """The flag was written once a slice; one that a returning function got left a loop alone for ever."""
    memory: Any = Memory()
    preemption = Preemption(memory, memory, reader=0, levels=b"levels", stop=lambda: b"")
    for _ in range(3):
        preemption.reach(1)
    assert memory.log == [("arm", 100), ("remind", 100), ("remind", 100)]
