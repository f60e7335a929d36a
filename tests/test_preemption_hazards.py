"""Ways in which a watchdog that reaches into a running Lua corrupted memory, each in a process of its own.

As test_hazards.py: a hazard's regression shows as a crash, a hang or a wrong line.
"""

from __future__ import annotations

import pytest
from test_hazards import outcome_of

pytestmark = pytest.mark.slow
all_engines = pytest.mark.parametrize("engine", ["lua54", "lua55"])

# Real time and short slices: the watchdog is armed nearly always.
PREEMPTED = """
def go(main):
    return trio.run(main)

def opened(**options):
    return scheduler.open_runtime(engine=ENGINE, slice_s=0.001, **options)

async def run(script):
    async with opened() as runtime:
        runtime.register("many", lambda *values: values)
        runtime.register("back", lambda function: function.call_sync())
        result = await runtime.run(script)
        assert runtime.statistics().preemptions > 0
        print(result)
"""


def result_of(script: str, engine: str) -> str:
    return outcome_of(f"{PREEMPTED}\ngo(lambda: run({script!r}))", engine)


@all_engines
def test_deep_recursion_unwinds_while_the_watchdog_arms(engine: str) -> None:
    """lua_sethook walks the list of calls in another thread: this crashed at once."""
    script = """
    local function deep(n) if n == 0 then return 0 end return 1 + deep(n - 1) end
    local total = 0
    for i = 1, 400 do
      local ok, depth = pcall(deep, 5000)
      total = total + depth
      if i % 10 == 0 then collectgarbage() end
    end
    return total
    """
    assert result_of(script, engine) == "2000000\n"


@all_engines
def test_stack_overflows_while_the_watchdog_arms(engine: str) -> None:
    script = """
    local function deep() return 1 + deep() end
    local function overflow()
      local message
      for i = 1, 2 do
        message = select(2, pcall(deep))
        collectgarbage()
      end
      return message:match("stack overflow")
    end
    return table.concat(task.all({ overflow, overflow, overflow }), ", ")
    """
    assert result_of(script, engine) == "stack overflow, stack overflow, stack overflow\n"


@all_engines
def test_stacks_that_are_reallocated_under_the_watchdog(engine: str) -> None:
    """It read a coroutine's stack, which moves when it grows and when the collector shrinks it."""
    script = """
    local list = {}
    for i = 1, 5000 do list[i] = i end
    local function wide(n)
      if n == 0 then return 0 end
      local got = select("#", table.unpack(list, 1, n * 400))
      return wide(n - 1) + got
    end
    local function grow()
      local total = 0
      for i = 1, 150 do
        total = total + coroutine.wrap(wide)(12)
        collectgarbage("step", 50)
      end
      return total
    end
    return task.all({ grow, grow, grow })[3]
    """
    assert result_of(script, engine) == f"{150 * 400 * 78}\n"


@all_engines
def test_coroutines_made_and_dropped_while_armed(engine: str) -> None:
    """Armed, then collected: nobody may touch it again."""
    script = """
    local function churn()
      local total = 0
      for i = 1, 20000 do
        local co = coroutine.create(function(a)
          for _ = 1, 100 do a = a + 0 end
          return a + coroutine.yield(a)
        end)
        local _, value = coroutine.resume(co, 1)
        total = total + value
        if i % 3 == 0 then coroutine.close(co) elseif i % 3 == 1 then coroutine.resume(co, 1) end
        if i % 500 == 0 then collectgarbage() end
      end
      return total
    end
    return table.concat(task.all({ churn, churn, churn }), " ")
    """
    assert result_of(script, engine) == "20000 20000 20000\n"


@all_engines
def test_messages_of_many_values(engine: str) -> None:
    """lupa moves them onto a stack without lua_checkstack: with a hundred the heap was overwritten."""
    code = """
    LIST = "local t = {} for i = 1, ... do t[i] = i end "

    async def main():
        async with scheduler.open_runtime(engine=ENGINE) as runtime:
            runtime.register("many", lambda *values: values)
            for count in (10, 100, 1000, 5000):
                values = await runtime.run(LIST + "return table.unpack(t)", count)
                assert values == tuple(range(1, count + 1))
                print(count, await runtime.run(LIST + '''
                    local back = table.pack(many(table.unpack(t)))
                    for i = 1, back.n do assert(back[i] == i) end
                    collectgarbage()
                    return back.n
                ''', count))
            arguments = list(range(5000))
            print(await runtime.run("collectgarbage() return select('#', ...)", *arguments))
            print(await runtime.run('''
                local t = {}
                for i = 1, 1000 do t[i] = i end
                local sums = {}
                for n = 1, 20 do
                  task.spawn(function() sums[n] = select("#", many(table.unpack(t, 1, n * 50))) end)
                end
                sleep(0.1)
                local sum = 0
                for n = 1, 20 do sum = sum + sums[n] end
                return sum
            '''))
    go(main)
    """
    expected = "10 10\n100 100\n1000 1000\n5000 5000\n5000\n10500\n"
    assert outcome_of(code, engine) == expected


@all_engines
def test_messages_of_more_values_than_any_stack_holds(engine: str) -> None:
    code = """
    LIST = "local t = {} for i = 1, ... do t[i] = i end "

    async def main():
        async with scheduler.open_runtime(engine=ENGINE) as runtime:
            runtime.register("many", lambda *values: len(values))
            for count in (50_000, 200_000, 900_000):
                for script in ("return table.unpack(t)", "return many(table.unpack(t))",
                               "task.spawn(many, table.unpack(t))"):
                    try:
                        await runtime.run(LIST + script, count)
                    except scheduler.LuaError as error:
                        assert "too many" in error.message or "stack overflow" in error.message, error.message
            print(await runtime.run("collectgarbage() return 'alive'"))
    go(main)
    """
    assert outcome_of(code, engine) == "alive\n"


@all_engines
def test_call_backs_between_busy_tasks(engine: str) -> None:
    """Frozen by the portal, set aside by the watchdog and blocked in Python, all in one stack of loops."""
    script = """
    local function spin() local s = 0 for i = 1, 700000 do s = s + i % 7 end return s end
    local wrong = 0
    local function work()
      for _ = 1, 3 do
        if back(function() return back(spin) end) ~= 2100000 then wrong = wrong + 1 end
        table.sort({ 3, 1, 2 }, function(a, b) spin() sleep(0.0001) return a < b end)
      end
    end
    task.all({ work, work, work, work, spin, spin })
    return wrong
    """
    assert result_of(script, engine) == "0\n"
