# ruff: noqa: PT012, ASYNC222, ASYNC240 - a block raises when it ends; the files are those of /proc
"""Runtimes whose Lua is in a child process: the same contract as the ordinary ones, and what dies alone."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel

import scheduler
from scheduler.isolate import IsolateDied, ProcessLimits, protocol
from scheduler.isolate.channel import MAX_BYTES, Channel
from scheduler.isolate.errors import BadMessage, explain
from scheduler.isolate.opening import open_isolated
from tests.conftest import trio_tasks

# Each child takes a tenth of a second of real time.
pytestmark = [pytest.mark.slow]
real_time = pytest.mark.trio(run=trio.run)

Opener = Callable[..., contextlib.AbstractAsyncContextManager[scheduler.Runtime]]


@pytest.fixture(params=["ordinary", "isolated"])
def opened(request: pytest.FixtureRequest) -> Opener:
    return scheduler.open_runtime if request.param == "ordinary" else open_isolated


@pytest.fixture(autouse=True)
def no_process_left_over() -> Iterator[None]:
    yield
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def pid_of(runtime: scheduler.Runtime) -> int:
    driver: Any = runtime._driver
    pid: int = driver.pid
    return pid


def died(error: BaseException) -> IsolateDied:
    """The one IsolateDied of a (group of) errors."""
    while isinstance(error, BaseExceptionGroup):
        assert len(error.exceptions) == 1
        error = error.exceptions[0]
    assert isinstance(error, IsolateDied), repr(error)
    return error


# -- the contract, both ways -----------------------------------------------------------------------


@real_time
async def test_values_cross_as_the_table_says(opened: Opener) -> None:
    thing = object()
    values = [
        None,
        True,
        7,
        -(2**63),
        2**63 - 1,
        1.5,
        float("inf"),
        "text ü",
        b"\xff\x00",
        [1, None, 3],
        {"a": [1, 2], "b": {}},
        {1.5: "x", 7: "y", False: "z"},
        thing,
    ]
    async with opened(params={"list": [1, 2]}) as runtime:
        assert [await runtime.run("return ...", value) for value in values] == values
        assert await runtime.run("return #params.list, ...", (1, 2), []) == (2, [1, 2], {})
        nan = await runtime.run("return 0/0")
        assert nan != nan
        assert await runtime.run("local a, b = ... return a == b, a", thing, thing) == (True, thing)
        double = await runtime.run("return function(x) return x * 2 end")
        assert isinstance(double, scheduler.LuaFunction)
        assert await double(21) == 42
        assert await runtime.run("local a, b = ... return a == b, a(4)", double, double) == (True, 8)
        assert await runtime.run(double, 5) == 10
        for bad in (2**63, {1, 2}, "\udc80", {(1,): 2}):
            with pytest.raises(scheduler.ConversionError):
                await runtime.run("return ...", bad)
        cycle: list[Any] = []
        cycle.append(cycle)
        with pytest.raises(scheduler.ConversionError, match="contains itself"):
            await runtime.run("return ...", cycle)
        with pytest.raises(scheduler.ConversionError, match="contains itself"):
            await runtime.run("local t = {} t.t = t return t")


@real_time
async def test_every_kind_of_host_function(opened: Opener) -> None:
    log: list[str] = []

    def plain(a: int, text: str = "q", raw: bytes = b"", items: list = []) -> Any:  # noqa: B006
        return a, [text, None, raw], type(items).__name__

    async def fetch(x: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return x, "y"

    def count(n: int) -> Iterator[tuple[int, int]]:
        try:
            for i in range(n):
                yield i, i * 2
        finally:
            log.append("count closed")

    async def ticks(n: int) -> AsyncIterator[int]:
        try:
            for i in range(n):
                await trio.lowlevel.checkpoint()
                yield i
        finally:
            log.append("ticks closed")

    def later() -> Any:
        return fetch("later")  # a plain function that returns a coroutine

    async def apply(function: Any, *values: Any) -> list[Any]:
        return [await function(value) for value in values]

    def maker() -> Any:
        return lambda x: x + 1, iter([1, 2])

    async with opened() as runtime:
        for name, function in {
            "h.plain": plain,
            "fetch": fetch,
            "count": count,
            "ticks": ticks,
            "later": later,
            "apply": apply,
            "maker": maker,
        }.items():
            runtime.register(name, function)
        run = runtime.run
        assert await run("return h.plain(1.0, nil, '\\255', {})") == (1, [None, None, b"\xff"], "list")
        assert await run("return h.plain(1, 'a', 'b')") == (1, ["a", None, "b"], "list")
        assert await run("return fetch({1, 2})") == ([1, 2], "y")
        assert await run("return later()") == ("later", "y")
        assert await run("return apply(function(x) task.yield() return x * 2 end, 1, 2)") == [2, 4]
        assert await run("local f, it = maker() return f(1), it(), it(), it()") == (2, 1, 2, None)
        loop = (
            "local t = {} for i, j in %s do t[#t + 1] = i .. ':' .. tostring(j) "
            "if i == 2 then break end end return t"
        )
        assert await run(loop % "count(2)") == ["0:0", "1:2"]
        assert await run(loop % "count(9)") == ["0:0", "1:2", "2:4"]
        assert await run(loop % "ticks(9)") == ["0:nil", "1:nil", "2:nil"]
        assert await run("for i in ticks(1) do end") is None
        assert log == ["count closed", "count closed", "ticks closed", "ticks closed"]
        told = []
        for call in ("h.plain('z')", "fetch(1, 2)", "h.plain()", "apply()"):
            told.append(await run(f"return select(2, pcall(function() {call} end))"))
        assert told == [
            "string:1: bad argument #1 to 'h.plain' (integer expected for 'a', got string 'z')",
            "string:1: bad argument #2 to 'fetch' (takes at most 1 argument, got 2)",
            "string:1: bad argument #1 to 'h.plain' (no value for 'a'; 1 argument is needed)",
            "string:1: bad argument #1 to 'apply' (no value for 'function'; 1 argument is needed)",
        ]
        for name, error in (("a.b!", ValueError), ("string", ValueError), ("x", scheduler.HostMisuse)):
            with pytest.raises(error):
                runtime.register(name, fetch if error is ValueError else 7)  # type: ignore[arg-type]


@real_time
async def test_failures_arrive_whole(opened: Opener) -> None:
    def fail(text: str) -> None:
        raise KeyError(text)

    async def fail_later(text: str) -> None:
        raise ConnectionError(text)

    async def nothing_to_hold() -> Any:
        return {1, 2}

    found: list[Any] = []
    async with opened() as runtime:
        runtime.register("fail", fail)
        runtime.register("fail_later", fail_later)
        runtime.register("set", nothing_to_hold)
        for script in (
            "error('plain')",
            "error({kind = 'mine', message = 'told'})",
            "local x = fail('k')",
            "local x = fail_later('c')",
            "local x = set()",
        ):
            with pytest.raises(scheduler.LuaError) as caught:
                await runtime.run(script, name="job")
            error = caught.value
            found.append((str(error), error.kind, error.task, type(error.__cause__), error.spawned_at))
            assert "in main chunk" in error.lua_traceback
        with pytest.raises(scheduler.LuaSyntaxError, match="unexpected symbol"):
            runtime.spawn("x = = 1")
        with pytest.raises(scheduler.TaskTimeout, match=r"timed out after 0\.01 s"):
            await runtime.run("task.sleep(60)", timeout=0.01)
        task = runtime.spawn("task.sleep(60)", name="slow")
        task.cancel("not needed")
        with pytest.raises(scheduler.TaskCancelled, match="task 'slow' was cancelled: not needed"):
            await task.join()
        assert await runtime.run("local ok, e = pcall(fail, 'x') return e.kind, e.message") == (
            "KeyError",
            "'x'",
        )
    assert found == [
        ("string:1: plain", None, "task 1 'job'", type(None), "string"),
        ("told", "mine", "task 2 'job'", type(None), "string"),
        ("KeyError: 'k'", "KeyError", "task 3 'job'", KeyError, "string"),
        ("ConnectionError: c", "ConnectionError", "task 4 'job'", ConnectionError, "string"),
        (
            "ConversionError: host function 'set' returned what Lua cannot hold: "
            "value: a set has no order; pass sorted(...) or a dict",
            "ConversionError",
            "task 5 'job'",
            scheduler.ConversionError,
            "string",
        ),
    ]


@real_time
async def test_a_failure_that_nobody_joins_ends_the_block(opened: Opener) -> None:
    with pytest.raises(scheduler.LuaError, match="string:1: lost") as caught:
        async with opened() as runtime:
            other = runtime.spawn("task.sleep(60)")
            runtime.spawn("error('lost')", name="loser")
            await trio.sleep(60)
    assert caught.value.task == "task 2 'loser'"
    assert other.status == "failed"
    with pytest.raises(scheduler.RuntimeClosed):
        runtime.emit("x")


@real_time
async def test_several_failures_are_all_raised(opened: Opener) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with opened() as runtime:
            runtime.spawn("event.wait('go') error('one', 0)")
            runtime.spawn("event.wait('go') error('two', 0)")
            await trio.sleep(0.05)
            runtime.emit("go")
    assert sorted(str(error) for error in caught.value.exceptions) == ["one", "two"]


@real_time
async def test_exits_and_deadlocks(opened: Opener) -> None:
    counted = []
    with pytest.raises(scheduler.ScriptExit) as exited:
        async with opened() as runtime:
            try:
                await runtime.run("os.exit(7)")
            finally:
                counted.append(runtime.statistics().tasks_spawned)
    assert exited.value.code == 7
    assert counted == [1]
    with pytest.raises(scheduler.DeadlockError) as stuck:
        async with opened(detect_deadlock=True) as runtime:
            await runtime.run("event.wait('never') print()", name="waiter")
    assert str(stuck.value) == (
        "deadlock: every task waits and nothing can wake them\n"
        "  task 1 'waiter' waits for event 'never' (event) at string:1"
    )
    assert stuck.value.cycles == ()


@real_time
async def test_deadlock_names_its_cycle(opened: Opener) -> None:
    with pytest.raises(scheduler.DeadlockError) as stuck:
        async with opened(detect_deadlock=True) as runtime:
            await runtime.run("""
                local m = sync.mutex("m")
                m:with(function() task.scope(function() task.spawn(m.lock, m) end) end)
            """)
    assert stuck.value.cycles == (
        (
            "task 1 'string' holds mutex 'm' and waits for the end of 1 task of its scope, among them task 2",
            "task 2 waits for mutex 'm' (held by task 1 'string')",
        ),
    )


@real_time
async def test_events_and_looking_on(opened: Opener) -> None:
    async with opened() as runtime:
        task = runtime.spawn("local n = event.wait('ready') event.emit('done', n + 1) return 1", name="w")
        await trio.sleep(0.05)
        infos = runtime.tasks()
        assert [(info.id, info.name, info.status, info.detail) for info in infos] == [
            (1, "w", "blocked", "event 'ready'")
        ]
        assert task.id == 1
        counters = runtime.statistics()
        assert (counters.tasks_alive, counters.tasks_spawned, counters.host_calls) == (1, 1, 0)
        with trio.move_on_after(0):
            await runtime.wait_event("never")
        assert runtime.emit("nobody") == 0
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                assert await runtime.wait_event("done") == 2

            nursery.start_soon(wait)
            await trio.sleep(0.02)
            assert runtime.emit("ready", 1) == 1
        assert await task.join() == 1


@real_time
async def test_a_cancelled_call_is_cancelled_in_python(opened: Opener) -> None:
    log: list[str] = []

    async def work(name: str) -> str:
        try:
            await trio.sleep(60)
        except trio.Cancelled:
            log.append(name)
            raise
        return name

    async with opened() as runtime:
        runtime.register("work", work)
        assert await runtime.run("return task.timeout(0.01, work, 'timed')") == (None, "timeout")
        with trio.move_on_after(0.05):
            await runtime.run("work('from outside')")
    assert log == ["timed", "from outside"]


@real_time
async def test_cancelling_the_block_runs_cleanup(opened: Opener) -> None:
    log: list[str] = []
    with trio.move_on_after(0.5) as scope:
        async with opened() as runtime:
            runtime.register("log", log.append)
            await runtime.run(
                "local _ <close> = setmetatable({}, {__close = function() log('closed') end}) task.sleep(60)"
            )
    assert scope.cancelled_caught
    assert log == ["closed"]


@real_time
async def test_many_calls_at_once(opened: Opener) -> None:
    running = 0
    everybody = trio.Event()

    async def work(n: int) -> int:
        nonlocal running
        running += 1
        if running == 500:
            everybody.set()
        await everybody.wait()
        return n * 2

    async with opened() as runtime:
        runtime.register("work", work)
        script = "local t = {} for i = 1, 500 do t[i] = i end return task.map(t, work)"
        assert await runtime.run(script) == [n * 2 for n in range(1, 501)]


@real_time
async def test_host_functions_may_use_the_runtime_they_are_called_from(opened: Opener) -> None:
    async with opened() as runtime:
        found: list[Any] = []

        def look() -> int:
            found.append(runtime.spawn("return 'spawned inside'"))
            return len(runtime.tasks()) + runtime.emit("wake")

        runtime.register("look", look)
        assert await runtime.run("return look()") == 2
        assert await found[0].join() == "spawned inside"


# -- isolated only ---------------------------------------------------------------------------------


@real_time
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
async def test_a_dead_child_fails_every_task_and_nothing_else(number: signal.Signals) -> None:
    cancelled: list[str] = []

    async def work() -> None:
        try:
            await trio.sleep(60)
        finally:
            cancelled.append("work")

    async def ticks() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
                await trio.sleep(60)
        finally:
            cancelled.append("ticks")

    with pytest.raises(IsolateDied) as caught:
        async with open_isolated() as runtime:
            runtime.register("work", work)
            runtime.register("ticks", ticks)
            tasks = [runtime.spawn(code) for code in ("work()", "for i in ticks() do end", "task.sleep(60)")]
            await trio.sleep(0.05)
            os.kill(pid_of(runtime), number)
            for task in tasks:
                with pytest.raises(IsolateDied):
                    await task.join()
            with pytest.raises(IsolateDied):
                runtime.emit("x")
            await trio.sleep(60)
    assert caught.value.returncode == -number
    assert sorted(cancelled) == ["ticks", "work"]
    with pytest.raises(scheduler.RuntimeClosed):
        runtime.emit("x")


@real_time
async def test_a_stuck_child_is_killed() -> None:
    began = time.monotonic()
    with pytest.raises(IsolateDied, match="did not answer") as caught:
        async with open_isolated(limits=ProcessLimits(grace_s=0.3)) as runtime:
            await runtime.run("string.find(string.rep('a', 40), string.rep('a*', 20) .. 'b')")
    assert caught.value.limit == "stuck"
    assert time.monotonic() - began < 3


@real_time
async def test_asking_a_stuck_child_takes_no_longer_than_the_grace() -> None:
    with pytest.raises(IsolateDied) as caught:
        async with open_isolated(limits=ProcessLimits(grace_s=0.3)) as runtime:
            os.kill(pid_of(runtime), signal.SIGSTOP)
            runtime.emit("x")
    assert caught.value.limit == "stuck"


@real_time
async def test_a_script_that_does_not_end_when_cancelled_is_killed() -> None:
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        async with open_isolated(limits=ProcessLimits(cleanup_s=0.3)) as runtime:
            runtime.spawn("task.shield(task.sleep, 60)")
            await trio.sleep(0.05)
            runtime.cancel()
    assert died(caught.value).limit == "cleanup"


@real_time
async def test_limit_of_processor_time() -> None:
    with pytest.raises(IsolateDied, match="1 s of processor time") as caught:
        async with open_isolated(limits=ProcessLimits(cpu_s=1)) as runtime:
            await runtime.run("string.find(string.rep('a', 40), string.rep('a*', 20) .. 'b')")
    assert (caught.value.limit, caught.value.returncode) == ("cpu", -signal.SIGXCPU)


@real_time
async def test_limit_of_memory() -> None:
    """A value that is too large is Lua's own error, and the runtime goes on."""
    async with open_isolated(limits=ProcessLimits(memory_bytes=64 * 2**20)) as runtime:
        assert await runtime.run("return pcall(string.rep, 'x', 2^28)") == (False, "not enough memory")
        assert await runtime.run("return ('x'):rep(2^20)") == "x" * 2**20


@real_time
@pytest.mark.parametrize("kept", ["local kept", "kept"])
async def test_memory_that_is_used_up(kept: str) -> None:
    """Lua gets its error first; when Python in the child cannot go on either, the child dies of it."""
    found: list[BaseException] = []
    try:
        async with open_isolated(limits=ProcessLimits(memory_bytes=64 * 2**20)) as runtime:
            await runtime.run(f"{kept} = {{}} while true do kept[#kept + 1] = ('x'):rep(1000) .. #kept end")
    except* (scheduler.LuaError, IsolateDied) as group:
        found.extend(group.exceptions)
    assert found
    for error in found:
        if isinstance(error, IsolateDied):
            assert error.limit == "memory"
        else:
            assert str(error) == "not enough memory"


@real_time
async def test_no_files_no_processes_no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOST_SECRET", "s3cret")
    kept = tmp_path / "kept"
    kept.write_text("")
    kept.chmod(0o666)
    tmp_path.chmod(0o777)
    async with open_isolated(limits=ProcessLimits(environment={"GRANTED": "yes"})) as runtime:
        found = await runtime.run(
            """
            local kept = ...
            return io.open("/etc/passwd") == nil, io.open(kept, "w") == nil, io.tmpfile() == nil,
              os.remove(kept) == nil, os.rename(kept, kept .. "2") == nil, os.execute("exit 0") == nil,
              io.popen("exit 0") == nil, (pcall(require, "none")), os.getenv("HOST_SECRET"),
              os.getenv("GRANTED"), type(os.date())
            """,
            str(kept),
        )
        status = Path(f"/proc/{pid_of(runtime)}/limits").read_text()
    assert found == (*[True] * 7, False, None, "yes", "string")
    assert kept.exists()
    limits = {line[:26].strip(): line[26:].split()[:2] for line in status.splitlines()}
    assert limits["Max open files"] == ["0", "0"]
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max processes"] == ["0", "0"]


@real_time
@pytest.mark.parametrize("engine", ["lua54", "luajit"])
async def test_modules_beside_the_script_are_read_by_the_parent(tmp_path: Path, engine: str) -> None:
    (tmp_path / "main.lua").write_text("""
      local one, two = require("one"), require("sub.two")
      local _, message = pcall(require, "../../etc/passwd")
      local _, missing = pcall(require, "none")
      local _, broken = pcall(require, "broken")
      return one.name, two.name, require("one") == one, message, missing, broken
    """)
    (tmp_path / "sub" / "two").mkdir(parents=True)
    (tmp_path / "one.lua").write_text("return {name = 'one'}")
    (tmp_path / "broken.lua").write_text("return +")
    (tmp_path / "sub" / "two" / "init.lua").write_text("return {name = 'two'}")
    async with open_isolated(engine=engine) as runtime:
        *found, message, missing, broken = await runtime.run(tmp_path)
    assert found == ["one", "two", True]
    assert "no module can be called '../../etc/passwd'" in message
    assert f"no file '{tmp_path / 'none' / 'init.lua'}'" in missing
    assert f"from file '{tmp_path / 'broken.lua'}':" in broken


@real_time
async def test_large_values() -> None:
    async with open_isolated() as runtime:
        text = "x" * 2**20
        assert await runtime.run("return ...", text) == text
        rows = [[n, str(n)] for n in range(20_000)]
        assert await runtime.run("return ...", rows) == rows
        runtime.register("echo", lambda value: value)
        assert await runtime.run("return echo(...)", text) == text
        with pytest.raises(scheduler.ConversionError, match="too long"):
            runtime.spawn("", "x" * (MAX_BYTES + 1))
        with pytest.raises(scheduler.ConversionError, match="too long"):
            await runtime.run(f"return ('x'):rep({MAX_BYTES + 1})")
        runtime.register("much", lambda: "x" * (MAX_BYTES + 1))
        assert await runtime.run("return select(2, pcall(much)).kind") == "ConversionError"
        assert await runtime.run(f"return (pcall(echo, ('x'):rep({MAX_BYTES + 1})))") is False
        # Both sides send more than the socket holds at the same time.
        both = await runtime.run("return task.map({...}, echo)", *[text] * 12)
        assert both == [text] * 12


@real_time
async def test_what_one_side_drops_the_other_forgets() -> None:
    def fail() -> None:
        raise KeyError

    async with open_isolated() as runtime:
        driver: Any = runtime._driver
        runtime.register("fail", fail)
        runtime.register("fresh", lambda: (object(), lambda: None, iter([1])))
        registered = len(driver._functions._functions)
        await runtime.run("for i = 1, 50 do pcall(fail) fresh() end collectgarbage() collectgarbage()")
        await runtime.run("task.yield() collectgarbage()")
        runtime.emit("anything")
        await trio.sleep(0.05)
        assert len(driver._converter.objects) <= 4
        assert len(driver._functions._functions) - registered <= 4
        assert len(driver._functions._streams) <= 4
        functions = [await runtime.run("return print") for _ in range(5)]
        del functions
        gc.collect()
        assert len(driver._converter.gone) == 5
        runtime.emit("anything")
        assert not driver._converter.gone


@real_time
async def test_call_sync_is_refused() -> None:
    async with open_isolated() as runtime:
        runtime.register("twice", lambda function: function.call_sync(2))
        message = await runtime.run("return select(2, pcall(twice, print)).message")
    assert "call_sync does not work with isolate=True" in message


@real_time
async def test_cancelled_at_any_moment_nothing_is_left_over() -> None:
    async def work() -> None:
        await trio.sleep(0.01)

    before = trio_tasks()
    for wait_s in (0, 0.001, 0.05, 0.12, 0.15, 0.2, 0.25):
        with trio.move_on_after(wait_s):
            async with open_isolated() as runtime:
                runtime.register("work", work)
                await runtime.run("while true do work() end")
        assert trio_tasks() == before
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)


@real_time
async def test_a_child_that_cannot_open_says_why() -> None:
    with pytest.raises(scheduler.SchedulerError, match="unknown engine 'lua99'"):
        async with open_isolated(engine="lua99"):
            raise AssertionError
    with pytest.raises(scheduler.ConversionError):
        async with open_isolated(params={"x": {1, 2}}):
            raise AssertionError


@real_time
async def test_the_time_of_a_child_can_be_virtual() -> None:
    async with open_isolated(engine="lua55", virtual_clock=True) as runtime:
        assert await runtime.run("task.sleep(86400) return task.now(), _VERSION") == (86400.0, "Lua 5.5")


def test_the_child_dies_with_its_parent_and_prints_where_it_should(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import trio
        from scheduler.isolate.opening import open_isolated

        async def main():
            async with open_isolated() as runtime:
                await runtime.run("print('from Lua') io.stdout:flush()")
                print(runtime._driver.pid, flush=True)
                # Busy in C: only the kernel can end it.
                await runtime.run("string.find(string.rep('a', 40), string.rep('a*', 20) .. 'b')")

        trio.run(main)
        """)
    )
    root = str(Path(scheduler.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"from Lua\n"
        pid = int(process.stdout.readline())
        process.kill()
        # The child held the other end.
        assert process.stdout.read() == b""
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists():
        stat = Path(f"/proc/{pid}/stat").read_text()
        if stat.rpartition(")")[2].split()[0] == "Z":
            break  # whoever adopts it has not looked yet
        assert time.monotonic() < deadline
        time.sleep(0.01)


# -- a child that is not ours ----------------------------------------------------------------------


def _forged(*frames: bytes) -> list[Any]:
    """Receive what a child might send."""
    ours, theirs = socket.socketpair()
    encoder, decoder = protocol.codec(protocol.FromChild, encode=repr, decode=lambda _code, _data: None)
    channel = Channel(ours, encoder, decoder)
    try:
        for frame in frames:
            theirs.sendall(frame)
        theirs.close()
        while not channel.ended:
            channel.receive_blocking(1)
        return list(channel.inbox)
    finally:
        channel.close()
        theirs.close()


def _frame(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack(">I", MAX_BYTES + 1),
        _frame(b""),
        _frame(b"\xff" * 9),
        _frame(b"\x91" * 5000 + b"\xc0"),
        _frame(b"\x92\xa4Pong\x01"),
        _frame(b"\x91\xa5Start"),
        _frame(b"\x93\xa4Done\xa1x\x90"),
        _frame(b"\x94\xa4Done\x01\xdd\xff\xff\xff\xff\xc0"),
    ],
)
def test_what_no_child_sends_is_refused(frame: bytes) -> None:
    with pytest.raises(BadMessage):
        _forged(frame)


def test_messages_are_cut_at_any_place() -> None:
    frames = _frame(b"\x91\xa4Pong") * 3
    assert [type(message).__name__ for message in _forged(*[bytes([byte]) for byte in frames])] == [
        "Pong"
    ] * 3


@real_time
async def test_what_could_not_be_sent_leaves_nothing_behind() -> None:
    """Objects, functions and iterators of a refused message stayed registered until the runtime's end."""

    def things(last: Any) -> list[Any]:
        return [object(), lambda: None, iter([1]), {"deep": [object()]}, last]

    too_long, surrogate = b"x" * (MAX_BYTES + 1), "\ud800"

    async def later(kind: str) -> Any:
        await trio.lowlevel.checkpoint()
        return things(too_long if kind == "long" else surrogate)

    def fail() -> None:
        raise ValueError("x" * (MAX_BYTES + 1))

    async with open_isolated() as runtime:
        driver: Any = runtime._driver
        runtime.register("now", lambda kind: things(too_long if kind == "long" else surrogate))
        runtime.register("several", lambda: (*things(1), surrogate))
        runtime.register("later", later)
        runtime.register("fail", fail)

        def registered() -> tuple[int, ...]:
            functions = driver._functions
            return (
                len(driver._converter.objects),
                len(functions._functions),
                len(functions._anonymous),
                len(functions._streams),
            )

        before = registered()
        await runtime.run(
            "for _, fn in ipairs({ now, later }) do pcall(fn, 'long') pcall(fn, 'surrogate') end\n"
            "pcall(several) pcall(fail) collectgarbage() collectgarbage()"
        )
        for last in (too_long, surrogate):
            for call in (
                lambda last=last: runtime.spawn("return 1", *things(1), things(last)),
                lambda last=last: runtime.emit("event", *things(1), things(last)),
            ):
                with pytest.raises(scheduler.ConversionError):
                    call()
        runtime.emit("anything")
        await runtime.run("task.yield() collectgarbage() collectgarbage() task.yield()")
        # The errors that scripts caught hold exceptions.
        assert registered()[1:] == before[1:]
        assert registered()[0] <= 6
        assert not driver.endings.tasks


@real_time
@pytest.mark.parametrize(
    "message",
    [
        protocol.Done(99, [], None),
        protocol.Answer(99, None),
        protocol.Call(0, 1, False, []),
        protocol.Dropped([], [1], []),
        protocol.Dropped([], [], [(1, 1)]),
        protocol.Cut(protocol.Failure("KeyboardInterrupt", "x", fatal=True)),
        protocol.Ready(),
    ],
)
async def test_a_lying_child_is_killed(message: Any) -> None:
    with pytest.raises(IsolateDied, match="broke the protocol") as caught:
        async with open_isolated() as runtime:
            driver: Any = runtime._driver
            driver._link.channel.inbox.append(message)
            driver._link.channel.wake()
            await trio.sleep(60)
    assert caught.value.limit == "protocol"


@real_time
async def test_a_bug_of_ours_in_the_child_is_told() -> None:
    """Only "ended with exit status 1" was left of it."""
    with pytest.raises(scheduler.SchedulerCrash, match=r"failed: KeyError.*a bug of the scheduler") as caught:
        async with open_isolated() as runtime:
            driver: Any = runtime._driver
            driver._link.channel.post(protocol.Reply(12345, [b"ok"]))  # to a call that it has not made
            await trio.sleep(60)
    assert "in replied" in str(caught.value)


@real_time
async def test_a_bug_of_ours_in_the_parent_does_not_blame_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was reported as a breach of the protocol by the child."""
    with pytest.raises(scheduler.SchedulerCrash, match=r"Call .*ZeroDivisionError.*a bug of") as caught:
        async with open_isolated() as runtime:
            driver: Any = runtime._driver
            runtime.register("fn", print)
            monkeypatch.setattr(driver._calls, "begin", lambda _message: 1 / 0)
            await runtime.run("fn()")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_exit_statuses_are_explained() -> None:
    told = [
        explain(status, cpu_s=2, memory_bytes=10).limit
        for status in (0, 71, -signal.SIGXCPU, -signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT, -64)
    ]
    assert told == [None, "memory", "cpu", "cpu", None, "memory", None]
    assert str(explain(-signal.SIGSEGV, cpu_s=None, memory_bytes=None)) == (
        "the process of the isolated Lua runtime crashed (SIGSEGV); open a new runtime"
    )
