"""Limits: what is counted, what happens when it is used up, and that everybody else lives on."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest
import trio
from conftest import Lua, Shell, opened

import scheduler
from scheduler import CpuLimitExceeded, LimitReached, Limits, MemoryLimitExceeded

# What a busy task does takes real time; no test asserts how much.
real_time = pytest.mark.trio(run=trio.run)

PRELUDE = """
local function told(value, err)
  if value ~= nil then return "value", value end
  return err.kind, err.limit, err.used > err.allowed or err.used == err.allowed, err.allowed
end
local function loop() while true do end end
local function fill() local t = {} for i = 1, 1e9 do t[i] = { i } end end
"""


@pytest.fixture(name="lua")
def limited_lua(lua_with_close: Lua) -> Lua:
    """Run Lua source after `PRELUDE`, on the engines that can limit."""

    async def run(code: str, *args: Any, **options: Any) -> Any:
        return await lua_with_close(PRELUDE + code, *args, **options)

    return run


# -- each limit ------------------------------------------------------------------------------------

REACHED = {
    "cpu": ("cpu_s = 0.03", "loop", 0.03),
    "memory": ("memory_bytes = 3e6", "fill", 3e6),
    "wall": ("wall_s = 5", "function() sleep(100) end", 5),
    "tasks": ("tasks = 3", "function() for _ = 1, 9 do task.spawn(sleep, 1) end end", 3),
    "output": ("output_bytes = 10", "function() allow(100) end", 10),
    "host_calls": ("host_calls = 2", "function() for _ = 1, 9 do host() end end", 2),
}


@real_time
@pytest.mark.parametrize("limit", ["cpu", "memory"])
async def test_busy_limit_is_reached(lua: Lua, limit: str) -> None:
    spec, fn, allowed = REACHED[limit]
    assert await lua(f"return told(task.limit({{ {spec} }}, {fn}))") == ("limit", limit, True, allowed)


@pytest.mark.parametrize("limit", ["wall", "tasks", "host_calls"])
async def test_limit_is_reached(lua: Lua, limit: str) -> None:
    spec, fn, allowed = REACHED[limit]
    code = f"local v, e = task.limit({{ {spec} }}, {fn}) return v, e.kind, e.limit, e.allowed"
    assert await lua(code, host={"host": lambda: None}) == (None, "limit", limit, allowed)


async def test_output_limit_is_reached(engine_with_close: str) -> None:
    """Output is counted where it can be seen: in the sandbox."""
    async with opened(engine_with_close, sandbox=scheduler.Sandbox(), detect_deadlock=True) as runtime:
        with pytest.raises(LimitReached, match=r"limit reached: output: used .* allowed 10 bytes") as caught:
            await runtime.run("print(('x'):rep(100)) error('goes on')", limits=Limits(output_bytes=10))
    assert (caught.value.limit, caught.value.allowed) == ("output", 10)


async def test_what_stays_within_its_limits_gets_its_values(lua: Lua) -> None:
    spec = "{ cpu_s = 100, memory_bytes = 1e9, wall_s = 100, tasks = 9, output_bytes = 9, host_calls = 9 }"
    code = (
        f"return select('#', task.limit({spec}, function(...) sleep(1) host() return ... end, nil, 2, nil))"
    )
    assert await lua(code, host={"host": lambda: None}) == 3


async def test_limits_that_are_exactly_used_are_not_reached(lua: Lua) -> None:
    code = """
        return task.limit({ tasks = 2, host_calls = 2 }, function()
          for _ = 1, 3 do
            local a, b = task.spawn(sleep, 1), task.spawn(sleep, 1)
            a:join() b:join()
          end
          host() host()
          return "fine"
        end)
    """
    assert await lua(code, host={"host": lambda: None}) == "fine"


async def test_message_says_which_how_much_and_of_whom(lua: Lua) -> None:
    result = await lua("""
        local message
        task.spawn_with({ name = "worker" }, function()
          local _, err = task.limit({ wall_s = 2 }, sleep, 9)
          message = tostring(err)
        end):join()
        return message
    """)
    assert result.startswith("limit reached: wall: used 2 s, allowed 2 s")


# -- what counts, and where ------------------------------------------------------------------------


@real_time
async def test_children_count(lua: Lua) -> None:
    result = await lua("""
        local v, e = task.limit({ cpu_s = 0.05 }, function()
          for _ = 1, 5 do task.spawn(loop) end
          sleep(1000)
        end)
        return v, e.limit
    """)
    assert result == (None, "cpu")


@real_time
async def test_garbage_does_not_count_as_memory(lua: Lua) -> None:
    code = """
        return task.limit({ memory_bytes = 5e6 }, function()
          for i = 1, 100 do local t = {} for j = 1, 10000 do t[j] = j end end
          return "fine"
        end)
    """
    assert await lua(code) == "fine"


@real_time
@pytest.mark.parametrize(
    ("outer", "inner", "result"),
    [
        ("cpu_s = 0.03", "wall_s = 1000", "outer"),
        ("wall_s = 1000", "cpu_s = 0.03", "inner went on"),
        ("cpu_s = 1000", "cpu_s = 0.03", "inner went on"),
        ("cpu_s = 0.03", "cpu_s = 1000", "outer"),
    ],
)
async def test_nearest_limit_that_is_reached_ends_its_own_scope(
    lua: Lua, outer: str, inner: str, result: str
) -> None:
    code = f"""
        local value, err = task.limit({{ {outer} }}, function()
          local _, inner = task.limit({{ {inner} }}, loop)
          return inner.kind == "limit" and "inner went on"
        end)
        return value or err.kind == "limit" and "outer"
    """
    assert await lua(code) == result


async def test_limit_inside_does_not_loosen_the_one_around_it(lua: Lua) -> None:
    code = """
        local v, e = task.limit({ tasks = 2 }, function()
          task.limit({ tasks = 100 }, function() for _ = 1, 9 do task.spawn(sleep, 1) end end)
        end)
        return v, e.limit, e.allowed
    """
    assert await lua(code) == (None, "tasks", 2)


async def test_use_before_the_limit_does_not_count(lua: Lua) -> None:
    code = "host() host() return task.limit({ host_calls = 1 }, function() host() return 'fine' end)"
    assert await lua(code, host={"host": lambda: None}) == "fine"


# -- an end, for certain ---------------------------------------------------------------------------

EVASIONS = {
    "pcall in a loop": "while true do pcall(loop) end",
    "an error handler": "while true do xpcall(loop, loop) end",
    "an error handler that raises": "while true do xpcall(loop, function() error('other', 0) end) end",
    "coroutines": "while true do pcall(coroutine.wrap(loop)) end",
    "__close": "local x <close> = setmetatable({}, { __close = loop }) loop()",
    "a helper": "task.spawn(loop) while true do pcall(sleep, 1000) end",
    "a shield": "task.shield(function() while true do pcall(task.shield, loop) end end)",
    "a comparator": "while true do pcall(table.sort, { 2, 1 }, loop) end",
    "a metamethod": "local t = setmetatable({}, { __len = loop }) while true do pcall(select, '#', #t) end",
    "recursion": "local function deep() return 1 + deep() end while true do pcall(deep) end",
    "a reader of load": "while true do pcall(load, loop) end",
    "waits": "while true do pcall(task.yield) end",
}


@real_time
@pytest.mark.slow
@pytest.mark.parametrize("evasion", EVASIONS)
async def test_kill_cannot_be_evaded(lua: Lua, evasion: str) -> None:
    """The task's scope sees nil and an error; a neighbour lives on and the runtime works."""
    code = f"""
        local beats, stop = 0, false
        local function beat() while not stop do sleep(0.001) beats = beats + 1 end return "alive" end
        local other = task.spawn(beat)
        local v, e = task.limit({{ cpu_s = 0.03 }}, function() {EVASIONS[evasion]} end)
        stop = true
        return v, e.kind, e.limit, other:join(), beats > 0
    """
    assert await lua(code) == (None, "limit", "cpu", "alive", True)


@real_time
async def test_runtime_is_usable_after_a_memory_kill(lua: Lua) -> None:
    result = await lua("""
        local ends = {}
        for i = 1, 5 do
          local _, e = task.limit({ memory_bytes = 5e6 }, fill)
          ends[i] = e.limit
        end
        collectgarbage()
        local small = collectgarbage("count") < 10000
        local function fine() return "fine" end
        return table.concat(ends, " "), small, task.limit({ memory_bytes = 5e6 }, fine)
    """)
    assert result == ("memory memory memory memory memory", True, "fine")


@real_time
async def test_huge_string_is_refused_before_it_is_made(engine_with_close: str) -> None:
    async with opened(engine_with_close, sandbox=scheduler.Sandbox()) as runtime:
        with pytest.raises(MemoryLimitExceeded):
            await runtime.run("return ('x'):rep(1e9)", limits=Limits(memory_bytes=1e7))
        assert runtime.statistics().lua_bytes < 1e7
        assert await runtime.run("return ('x'):rep(3)") == "xxx"


async def test_cleanup_of_what_a_limit_ended_from_outside_runs_not(lua: Lua) -> None:
    """A killed task gets no further: an ordinary cancellation is what lets cleanup run."""
    result = await lua("""
        local log = {}
        task.limit({ wall_s = 1 }, function()
          local x <close> = setmetatable({}, { __close = function() sleep(1) log[#log + 1] = "slept" end })
          sleep(100)
        end)
        return #log
    """)
    assert result == 0


# -- policies --------------------------------------------------------------------------------------


@real_time
async def test_throttled_task_goes_on_and_gets_its_values(lua: Lua) -> None:
    result = await lua("""
        return task.limit({ cpu_s = 0.01, policy = "throttle" }, function()
          local sum = 0
          for i = 1, 3e6 do sum = sum + 1 end
          return sum
        end)
    """)
    assert result == 3_000_000


@real_time
async def test_throttled_task_gives_way(lua: Lua) -> None:
    """Of two that only compute, the throttled one does less."""
    result = await lua("""
        local counts, stop = { 0, 0 }, false
        local function count(i) while not stop do for _ = 1, 1000 do end counts[i] = counts[i] + 1 end end
        task.spawn(task.limit, { cpu_s = 0, policy = "throttle" }, count, 1)
        task.spawn(count, 2)
        while counts[2] < 5000 do sleep(0.01) end
        local first, second = counts[1], counts[2] -- it is slowed down by now
        while counts[2] < second + 25000 do sleep(0.01) end
        stop = true
        return counts[2] - second > counts[1] - first
    """)
    assert result is True


@pytest.mark.parametrize("policy", ["warn", "throttle"])
async def test_mild_policy_is_logged(lua: Lua, policy: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="scheduler")
    code = f"""
        return task.limit({{ host_calls = 2, policy = "{policy}" }}, function()
          for _ = 1, 5 do host() end
          return "went on"
        end)
    """
    assert await lua(code, host={"host": lambda: None}) == "went on"
    messages = [record.getMessage() for record in caplog.records]
    begin = "limit reached: host_calls: used 3, allowed 2 (task "
    assert messages[0].startswith(begin)
    # "warn" says so again at each doubling.
    assert len(messages) == (2 if policy == "warn" else 1)
    assert ("slowed down" in messages[0]) == (policy == "throttle")


async def test_kill_around_a_mild_policy_holds(lua: Lua) -> None:
    code = """
        local v, e = task.limit({ host_calls = 5 }, function()
          task.limit({ host_calls = 2, policy = "warn" }, function() while true do host() end end)
        end)
        return v, e.limit, e.allowed
    """
    assert await lua(code, host={"host": lambda: None}) == (None, "host_calls", 5)


# -- where limits are given ------------------------------------------------------------------------


async def test_spawn_with_limits_fails_as_a_task_does(lua: Lua) -> None:
    result = await lua("""
        local ok, err = pcall(task.scope, function(s)
          s:spawn_with({ limits = { wall_s = 1 }, name = "short" }, sleep, 100)
          sleep(50)
        end)
        return ok, err.kind, err.limit, task.now() < 40
    """)
    assert result == (False, "limit", "wall", True)


async def test_spawn_with_limits_gives_its_values(lua: Lua) -> None:
    code = (
        "return task.spawn_with({ limits = { tasks = 1 } }, function(...) return ... end, 1, nil, 3):join()"
    )
    assert await lua(code) == (1, None, 3)


@real_time
async def test_limits_of_one_script_from_python(engine_with_close: str) -> None:
    async with opened(engine_with_close) as runtime:
        neighbour = runtime.spawn("sleep(0.01) return 'alive'")
        with pytest.raises(
            CpuLimitExceeded, match=r"limit reached: cpu: used .* s, allowed 0\.03 s"
        ) as caught:
            await runtime.spawn("while true do end", limits=Limits(cpu_s=0.03)).join()
        error = caught.value
        assert (error.kind, error.limit, error.allowed, error.used > 0.03) == ("limit", "cpu", 0.03, True)
        with pytest.raises(MemoryLimitExceeded) as caught_memory:
            await runtime.run("local t = {} for i = 1, 1e9 do t[i] = {} end", limits=Limits(memory_bytes=3e6))
        assert caught_memory.value.current == caught_memory.value.used > 3e6
        assert await neighbour.join() == "alive"
        assert await runtime.run("return 1", limits=Limits(cpu_s=10)) == 1


async def test_wall_limit_of_one_script_is_its_own_kind(engine_with_close: str) -> None:
    async with opened(engine_with_close) as runtime:
        with pytest.raises(LimitReached) as caught:
            await runtime.run("sleep(100)", limits=Limits(wall_s=3))
        assert (type(caught.value), caught.value.limit) == (LimitReached, "wall")
        assert trio.current_time() == pytest.approx(3, abs=1)


async def test_unheard_limit_ends_the_runtime(engine_with_close: str) -> None:
    with pytest.raises(LimitReached):  # noqa: PT012 - the block itself raises
        async with opened(engine_with_close) as runtime:
            runtime.spawn("sleep(100)", limits=Limits(wall_s=3))
            await trio.sleep_forever()


@real_time
async def test_limits_of_a_runtime_end_its_block(engine_with_close: str) -> None:
    with pytest.raises(CpuLimitExceeded) as caught:  # noqa: PT012 - the block itself raises
        async with opened(engine_with_close, limits=Limits(cpu_s=0.03)) as runtime:
            runtime.spawn("sleep(1000)")
            runtime.spawn("while true do pcall(function() while true do end end) end")
            await trio.sleep_forever()
    assert caught.value.limit == "cpu"


LARGE: dict[str, Any] = {
    "bytearray": lambda: bytearray(70_000_000),
    "bytes in a list": lambda: [b"x" * 70_000_000],
    "many small ones": lambda: ["x" * 1000] * 70_000,
    "a key": lambda: {b"x" * 70_000_000: 1},
    "three bytes a character": lambda: "\u4e00" * 30_000_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LARGE)
async def test_what_does_not_fit_is_refused_before_it_enters(engine_with_close: str, kind: str) -> None:
    """Only plain large strings were looked at: Lua ran out of memory in lupa's hands, and aborted."""
    async with opened(engine_with_close, limits=Limits(memory_bytes=100e6)) as runtime:
        runtime.register("large", LARGE[kind])
        message = await runtime.run("""
            local keep = {}
            for i = 1, 16 do keep[i] = ("x"):rep(5000000 + i) end
            local ok, err = pcall(large)
            return tostring(err), #keep
        """)
        assert "do not fit into what the memory limit leaves" in message[0]


async def test_strings_that_leave_count_as_often_as_they_are_given(engine_with_close: str) -> None:
    """One string of Lua's became as many of Python's as there were references to it."""
    async with opened(engine_with_close, limits=Limits(memory_bytes=50e6)) as runtime:
        runtime.register("take", lambda *_values: None)
        told = await runtime.run("""
            local s, t = ("x"):rep(1000000), {}
            for i = 1, 80 do t[i] = s end
            local _, in_a_table = pcall(take, t)
            local _, arguments = task.limit({ memory_bytes = 4e7 }, take, table.unpack(t))
            return tostring(in_a_table), arguments.limit
        """)
        assert "more than 67108864 bytes of strings" in told[0]
        assert told[1] == "memory"


@real_time
@pytest.mark.parametrize("waits", ["", "sleep(0)"])
async def test_a_loop_of_host_calls_ends_and_lets_timers_fire(engine_with_close: str, waits: str) -> None:
    """Between two calls trio got its checkpoint, but no timer fired and no other task ran: no limit held."""
    with trio.fail_after(20):
        async with opened(engine_with_close) as runtime:
            beats = []
            runtime.register("slow", lambda: time.sleep(0.002))
            runtime.register("beat", lambda: beats.append(1))
            heart = runtime.spawn("while true do sleep(0.01) beat() end")
            code = f"while true do slow() {waits} end"
            with pytest.raises(scheduler.TaskTimeout):
                await runtime.run(code, timeout=0.2)
            with pytest.raises(LimitReached):
                await runtime.run(code, limits=Limits(wall_s=0.2))
            assert await runtime.run(f"return task.timeout(0.1, function() {code} end)") == (None, "timeout")
            heart.cancel()
    assert len(beats) > 5


@real_time
async def test_a_chunk_named_like_our_files_is_ended(engine_with_close: str) -> None:
    """It was taken for the scheduler's own code, which is never stopped."""
    for code in (
        'load("while true do end", "@[scheduler]/x.lua")()',
        'load(function() end, "=[scheduler]/x.lua") load("while true do end", "=[scheduler]/x.lua")()',
    ):
        with pytest.raises(CpuLimitExceeded), trio.fail_after(20):
            async with opened(engine_with_close) as runtime:
                await runtime.run(code, limits=Limits(cpu_s=0.05))


@real_time
async def test_what_a_killed_task_gave_away_stays(lua_with_close: Lua) -> None:
    """Its variables were emptied when it was abandoned: those that closures of others shared, too."""
    told = await lua_with_close("""
        local get
        local value, err = task.limit({ cpu_s = 0.03 }, function()
          local state = { n = 1 }
          get = function() return state end
          local x <close> = setmetatable({}, { __close = function() while true do end end })
          while true do end
        end)
        return value == nil and err.limit, get().n
    """)
    assert told == ("cpu", 1)


@real_time
async def test_memory_of_an_abandoned_task_goes_with_its_runtime(engine_with_close: str) -> None:
    """The stack is kept for ever, and with it went everything the script could reach."""
    code = """
        big = {}
        for i = 1, 100000 do big[i] = { i } end
        local more = {}
        for i = 1, 100000 do more[i] = { i } end
        local x <close> = setmetatable({}, { __close = function() while true do end end })
        while true do end
    """
    async with opened(engine_with_close) as runtime:
        vm = runtime._driver.vm
        with pytest.raises(CpuLimitExceeded):
            await runtime.run(code, limits=Limits(cpu_s=0.2))
    assert len(vm.embed[b"abandoned"]) == 1
    assert vm.embed[b"heap"]() < 3e6


@real_time
async def test_a_throttled_tasks_error_is_its_own(engine_with_close: str) -> None:
    """Set aside while its error was printed, it rested: the error was lost."""
    with pytest.raises(scheduler.LuaError, match="THE ERROR"):
        async with opened(engine_with_close, limits=Limits(cpu_s=0.01, policy="throttle")) as runtime:
            await runtime.run("""
                local function burn()
                  local began = os.clock()
                  while os.clock() - began < 0.05 do end
                end
                burn()
                task.spawn(function()
                  error(setmetatable({}, { __tostring = function() burn() return "THE ERROR" end }))
                end)
                task.sleep(10)
            """)


async def test_a_warning_comes_when_use_has_doubled(
    lua_with_close: Lua, caplog: pytest.LogCaptureFixture
) -> None:
    """With an amount of 0 there was a line for each step."""
    await lua_with_close("""
        task.limit({ host_calls = 0, cpu_s = 0, policy = "warn" }, function()
          for _ = 1, 2000 do task.yield() end
        end)
    """)
    assert len(caplog.records) < 30


async def test_a_task_that_was_refused_does_not_count(lua_with_close: Lua) -> None:
    """It counted for ever in the budgets around the one that refused it."""
    told = await lua_with_close("""
        local function refused() task.spawn(print) end
        local value, err = task.limit({ tasks = 5 }, function()
          for _ = 1, 20 do task.limit({ tasks = 0 }, refused) end
          return "lives"
        end)
        return value or tostring(err)
    """)
    assert told == "lives"


async def test_a_task_that_could_not_be_spawned_does_not_count(lua_with_close: Lua) -> None:
    """The copy of the storage that a child inherits did not fit: the child was counted already."""
    told = await lua_with_close("""
        local value, err = task.limit({ tasks = 2, memory_bytes = 1e9 }, function()
          local storage = task.local_storage()
          for i = 1, 100000 do storage[i] = i end
          for _ = 1, 5 do
            task.limit({ memory_bytes = 1e6 }, function() task.spawn(print) end)
          end
          for i = 1, 100000 do storage[i] = nil end
          task.spawn(function() end):join()
          return "lives"
        end)
        return value or tostring(err)
    """)
    assert told == "lives"


async def test_tasks_of_a_runtime_count_together(engine_with_close: str) -> None:
    with pytest.raises(LimitReached, match="limit reached: tasks: used 4, allowed 3"):
        async with opened(engine_with_close, limits=Limits(tasks=3)) as runtime:
            await runtime.run("for _ = 1, 9 do task.spawn(sleep, 1) end")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--cpu-limit", "0.05"], "while true do pcall(load, 'x') end", "cpu: used "),
        (["--memory-limit", "5M"], "local t = {} while true do t[#t + 1] = {} end", "memory: used "),
        (["--max-tasks", "5"], "for _ = 1, 9 do task.spawn(sleep, 1) end", "tasks: used 6, allowed 5"),
        (["--sandbox", "--output-limit", "10"], "while true do print('x') end", "output: used "),
    ],
)
def test_command_line_ends_with_code_4(
    shell: Shell, engine_with_close: str, words: list[str], code: str, message: str
) -> None:
    exit_code, _, errors = shell.run("--engine", engine_with_close, *words, "-e", code)
    assert (exit_code, errors.startswith(f"scheduler: limit reached: {message}")) == (4, True), errors
    assert "Traceback" not in errors


# -- bad specifications ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nil, print", "bad argument #1 to 'limit' (table of limits expected, got nil)"),
        ("5, print", "bad argument #1 to 'limit' (table of limits expected, got number)"),
        ("{ cpu = 1 }, print", "bad argument #1 to 'limit' (unknown limit 'cpu'; known are cpu_s,"),
        ("{ 1 }, print", "bad argument #1 to 'limit' (unknown limit '1'; known are"),
        ("{ cpu_s = -1 }, print", "(limit 'cpu_s' must be a number that is not negative, got -1)"),
        ("{ cpu_s = 0/0 }, print", "(limit 'cpu_s' must be a number that is not negative, got "),
        ("{ tasks = '5' }, print", "(limit 'tasks' must be a number that is not negative, got 5)"),
        ("{ wall_s = {} }, print", "(limit 'wall_s' must be a number that is not negative, got table"),
        ("{ policy = 'x' }, print", "(policy must be \"kill\", \"throttle\" or \"warn\", got x)"),
        ("{ policy = 0/0 }, print", "(policy must be \"kill\", \"throttle\" or \"warn\", got "),
        ("{ cpu_s = 1 }", "bad argument #2 to 'limit'"),
        ("{ cpu_s = 1 }, 5", "bad argument #2 to 'limit'"),
    ],
)  # fmt: skip
async def test_bad_specification_is_refused(lua: Lua, arguments: str, message: str) -> None:
    result = await lua(f"local ok, e = pcall(task.limit, {arguments}) return ok, tostring(e)")
    assert result[0] is False
    assert message in result[1]


async def test_bad_specification_of_spawn_with_names_it(lua: Lua) -> None:
    result = await lua("return pcall(task.spawn_with, { limits = { cpu = 1 } }, print)")
    assert result[0] is False
    assert "to 'spawn_with' (unknown limit 'cpu'" in result[1]
    result = await lua("return pcall(task.spawn_with, { limits = 5 }, print)")
    assert "option 'limits' must be a table, got number" in result[1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cpu_s": -1}, "cpu_s must be a number that is not negative, got -1"),
        ({"memory_bytes": "5M"}, "memory_bytes must be a number that is not negative, got '5M'"),
        ({"tasks": True}, "tasks must be a number that is not negative, got True"),
        ({"wall_s": float("nan")}, "wall_s must be a number that is not negative, got nan"),
        ({"policy": "x"}, "policy must be one of 'kill', 'throttle', 'warn', got 'x'$"),
        ({"policy": ["kill"]}, r"policy must be one of .*, got \['kill'\]$"),
        ({"tasks": 2**70}, r"tasks must be at most 2\*\*53 \(or math.inf\), got 1180591620717411303424$"),
        ({"memory_bytes": 10**400}, r"memory_bytes must be at most .*, got an integer of 1329 bits$"),
        ({"memory_bytes": 1e300}, r"memory_bytes must be at most .*, got 1e\+300$"),
    ],
)
def test_bad_limits_of_python_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Limits(**given)


async def test_luajit_refuses_limits() -> None:
    async with opened("luajit") as runtime:
        ok, message = await runtime.run("return pcall(task.limit, { cpu_s = 1 }, print)")
        assert ok is False
        assert "limits need preemption, which is off (--slice inf) or not to be had on this engine" in message
    with pytest.raises(ValueError, match="limits need preemption, which this runtime has not"):
        async with opened("luajit", limits=Limits(cpu_s=1)):
            pass


@pytest.mark.slow
def test_command_line_refuses_limits_on_luajit(shell: Shell) -> None:
    code, _, errors = shell.run("--engine", "luajit", "--cpu-limit", "1", "-e", "print(1)")
    assert (code, "need --engine lua54 or lua55" in errors) == (2, True)


# -- many at once, deep inside one another ----------------------------------------------------------

OBSTINATE = """
    local loops, cleanups = ...
    local ends = 0
    local _, err = task.limit({ cpu_s = 0.05 }, function()
      for _ = 1, 100 do
        task.spawn(function()
          local _ <close> = setmetatable({}, { __close = function()
            ends = ends + 1
            if cleanups then loop() end
          end })
          if loops then loop() end
          task.sleep(1000)
        end)
      end
      task.sleep(0)
      loop()
    end)
    return err.limit, ends
"""


@real_time
async def test_busy_tasks_that_were_set_aside_end_without_another_slice(lua: Lua) -> None:
    """Each killed task had a slice more before it was struck: 5,000 of them twice the limit."""
    limit, ends = await lua(OBSTINATE, True, False)
    # Those that had not begun when the limit came have nothing to clean up.
    assert (limit, 1 <= ends <= 100) == ("cpu", True)


@real_time
@pytest.mark.parametrize("loops", [True, False])
async def test_few_of_many_endless_cleanups_get_a_slice(lua: Lua, loops: bool) -> None:
    """Of a killed scope so many tasks may go on for a slice; the cleanup of the others does not run."""
    limit, ends = await lua(OBSTINATE, loops, True)
    assert (limit, 1 <= ends <= 10) == ("cpu", True)


async def test_cleanup_of_all_runs_when_it_is_quick(lua: Lua) -> None:
    code = """
        local ends = 0
        local _, err = task.limit({ host_calls = 0 }, function()
          for _ = 1, 100 do
            task.spawn(function()
              local _ <close> = setmetatable({}, { __close = function() ends = ends + 1 end })
              task.sleep(1000)
            end)
          end
          task.sleep(0)
          host()
        end)
        return err.limit, ends
    """
    assert await lua(code, host={"host": lambda: None}) == ("host_calls", 100)


@real_time
async def test_task_struck_before_has_its_cleanup_when_it_is_killed(lua: Lua) -> None:
    """A timeout that was caught counted as the kill's first try: the task was abandoned at once."""
    code = """
        local cleaned = false
        local _, err = task.limit({ cpu_s = 0.1 }, function()
          local _ <close> = setmetatable({}, { __close = function() cleaned = true end })
          task.timeout(0.02, loop)
          loop()
        end)
        return err.limit, cleaned
    """
    assert await lua(code) == ("cpu", True)


async def test_limits_are_nested_200_deep(lua: Lua) -> None:
    """Every step looked at all limits around it: thousands of them took three times the processor time."""
    code = """
        local depth, message = 0, nil
        local function deeper()
          depth = depth + 1
          local ok, err = pcall(task.limit, { cpu_s = 100 }, deeper)
          message = message or not ok and err
        end
        deeper()
        return depth, message
    """
    assert await lua(code) == (201, "limits are nested more than 200 deep")


async def test_host_calls_under_way_count_for_memory(lua_with_close: Lua) -> None:
    """Each is a trio task: a script that began thousands of them paid for none."""
    code = """
        local _, err = task.limit({ memory_bytes = 3e6 }, function()
          for _ = 1, 600 do task.spawn(host_wait) end
        end)
        -- Those that have ended count no more.
        local ok = task.limit({ memory_bytes = 3e6 }, function()
          for _ = 1, 2000 do host_wait(0) end
          return true
        end)
        return err and err.limit, ok
    """

    async def host_wait(seconds: float = 1000) -> None:
        await trio.sleep(seconds)

    assert await lua_with_close(code, host={"host_wait": host_wait}) == ("memory", True)


# -- what is left behind ---------------------------------------------------------------------------


@real_time
async def test_throttled_task_gets_the_results_of_its_calls(engine_with_close: str) -> None:
    """A rest between a host call and its caller's next instruction dropped the result."""
    code = """
        local wrong = 0
        for i = 1, 30000 do
          local ok, value = pcall(echo, i)
          if not ok or value ~= i then wrong = wrong + 1 end
        end
        return wrong
    """
    async with opened(engine_with_close) as runtime:
        runtime.register("echo", lambda value: value)
        # Beside another that wants the processor: only then is a loop of calls interrupted.
        runtime.spawn("task.spawn_with({ background = true }, function() while true do task.yield() end end)")
        assert await runtime.run(code, limits=Limits(cpu_s=0.01, policy="throttle")) == 0


async def test_refused_host_call_leaves_nothing(lua: Lua) -> None:
    """The task of a call that its limit refused stayed in the list of calls under way."""
    code = """
        local function one()
          local blob = ("x"):rep(10000)
          task.limit({ host_calls = 0 }, function() host() return blob end)
        end
        one()
        collectgarbage() collectgarbage()
        local before = collectgarbage("count")
        for _ = 1, 100 do one() end
        collectgarbage() collectgarbage()
        return collectgarbage("count") - before < 50
    """
    assert await lua(code, host={"host": lambda: None}) is True


async def test_clock_of_a_limit_ends_with_its_body(lua: Lua) -> None:
    """After an error the timer went on: a deadlock was told when it was over, and `warn` warned of it."""
    code = """
        local ok = pcall(task.limit, { wall_s = 3600 }, function() error("x", 0) end)
        pcall(event.wait, "never")
    """
    with pytest.raises(scheduler.DeadlockError):
        await lua(code)
    assert trio.current_time() < 3600


@pytest.mark.parametrize("policy", ["warn", "throttle"])
@pytest.mark.parametrize("spec", ["wall_s = 0", "memory_bytes = 0", "cpu_s = 0", "output_bytes = 0"])
async def test_milder_policies_with_limits_of_nothing_end(lua: Lua, policy: str, spec: str) -> None:
    """The amount of the next line was sought by doubling nothing, for ever, in the kernel."""
    code = f"""return task.limit({{ {spec}, policy = "{policy}" }}, function()
      task.sleep(0.01)
      return ("x"):rep(10)
    end)"""
    assert await lua(code) == "x" * 10


async def test_wall_clock_warns_at_each_doubling(lua: Lua, caplog: pytest.LogCaptureFixture) -> None:
    await lua("task.limit({ wall_s = 1, policy = 'warn' }, task.sleep, 9)")
    said = [record.getMessage().split(" (")[0] for record in caplog.records]
    assert said == [f"limit reached: wall: used {s} s, allowed {s} s" for s in (1, 2, 4, 8)]


async def test_a_script_does_not_flood_the_log(lua: Lua, caplog: pytest.LogCaptureFixture) -> None:
    code = """
        for _ = 1, 1000 do
          task.limit({ tasks = 0, policy = "warn" }, function() task.spawn(print) end)
        end
    """
    await lua(code.replace("print", "type, 1"))
    assert len(caplog.records) == 20
    assert "is not told" in caplog.records[-1].getMessage()


@pytest.mark.parametrize("size", ["9" * 400, "9" * 10, "2147483648"])
async def test_sizes_that_pack_refuses_are_no_memory(lua: Lua, engine_with_close: str, size: str) -> None:
    code = f"""
        local function pack() return pcall(string.pack, "c{size}", "x") end
        local ok, message = task.limit({{ memory_bytes = 1e8 }}, pack)
        return ok, type(message) == "table" and message.limit or message
    """
    ok, message = await lua(code)
    # Lua 5.5 takes any size: there it would be made.
    expected = "invalid format" if engine_with_close == "lua54" else "memory"
    assert (bool(ok), expected in message) == (False, True)
