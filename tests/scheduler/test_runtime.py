"""Embedding: a Lua runtime inside a trio program."""

# ruff: noqa: PT012  # what is tested is raised by the end of an `async with` block

from __future__ import annotations

import functools
import threading
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.lowlevel
from conftest import Shell, opened, run_in_virtual_time

import scheduler

# -- spawn, join, run ----------------------------------------------------------------------------


async def test_block_registers_spawns_joins_runs_and_emits(engine: str, tmp_path: Path) -> None:
    log: list[Any] = []

    async def fetch(city: str) -> str:
        await trio.sleep(1)
        return f"rain in {city}"

    script = tmp_path / "script.lua"
    script.write_text("note(params.who, arg[1]) event.wait('ready') event.emit('done', 'ok', 2) return 'ran'")
    async with opened(engine, params={"who": "Ann"}) as runtime:
        runtime.register("weather.get", fetch)
        runtime.register("note", lambda *values: log.append(values))
        task = runtime.spawn("return weather.get(...)", "Oslo", name="w", timeout=5)
        log.append(await task.join())
        async with trio.open_nursery() as nursery:

            async def await_done() -> None:
                log.append(await runtime.wait_event("done"))

            nursery.start_soon(await_done)
            nursery.start_soon(runtime.run, script, "argument")
            await trio.sleep(1)
            log.append(runtime.emit("ready", 1))
    assert log == ["rain in Oslo", ("Ann", "argument"), 1, ("ok", 2)]


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("", None),
        ("return 1", 1),
        ("return nil", None),
        ("return 1, nil, 'x'", (1, None, "x")),
        ("return {}", {}),
    ],
)
async def test_join_returns_none_the_value_or_a_tuple(engine: str, code: str, value: Any) -> None:
    async with opened(engine) as runtime:
        assert await runtime.run(code) == value


async def test_arguments_reach_the_script(engine: str) -> None:
    async with opened(engine) as runtime:
        assert await runtime.run("return select('#', ...), ...", 1, None, "x", None) == (
            4,
            1,
            None,
            "x",
            None,
        )


async def test_run_takes_source_path_folder_and_lua_function(engine: str, tmp_path: Path) -> None:
    (tmp_path / "main.lua").write_text("return 'main of a folder', arg[0]:match('[^/]+$')")
    async with opened(engine) as runtime:
        function = await runtime.run("return function(x) task.sleep(1) return x * 2 end")
        assert [
            await runtime.run("return 'source'"),
            await runtime.run(tmp_path),
            await runtime.run(tmp_path / "main.lua"),
            await runtime.run(function, 21),
        ] == ["source", ("main of a folder", "main.lua"), ("main of a folder", "main.lua"), 42]


async def test_leaving_the_block_waits_for_its_tasks(engine: str) -> None:
    began = trio.current_time()
    async with opened(engine) as runtime:
        task = runtime.spawn("task.spawn(task.sleep, 5) task.sleep(3) return 'done'")
    assert trio.current_time() - began == pytest.approx(5)
    assert (task.status, task.result_nowait()) == ("done", "done")


async def test_e4_status_and_result_nowait_of_a_task(engine: str) -> None:
    async with opened(engine) as runtime:
        task = runtime.spawn("task.sleep(1) return 5", name="n")
        assert (task.status, task.name) == ("running", "n")
        with pytest.raises(trio.WouldBlock):
            task.result_nowait()
        await trio.sleep(2)
        assert (task.status, task.result_nowait()) == ("done", 5)


async def test_e9_handles_are_hashable_and_compare_by_identity(engine: str) -> None:
    async with opened(engine) as runtime:
        a, b = runtime.spawn("return 1"), runtime.spawn("return 1")
        assert {a: "a", b: "b"}[a] == "a"
        assert a == a
        assert a != b
        assert a.id < b.id


async def test_e14_timeout_of_a_task(engine: str) -> None:
    began = trio.current_time()
    async with opened(engine) as runtime:
        with pytest.raises(scheduler.TaskTimeout, match="timed out after 2") as caught:
            await runtime.run("task.spawn(task.sleep, 50) task.sleep(100)", timeout=2)
        assert isinstance(caught.value, TimeoutError)
    assert trio.current_time() - began == pytest.approx(2)


async def test_refused_timeout() -> None:
    async with opened() as runtime:
        with pytest.raises(ValueError, match="timeout must be a number that is not negative, got nan"):
            runtime.spawn("return 1", timeout=float("nan"))


# -- failures ------------------------------------------------------------------------------------


async def test_error_that_a_joiner_received_is_not_raised_again(engine: str) -> None:
    async with opened(engine) as runtime:
        task = runtime.spawn("task.sleep(1) error('boom', 0)")
        with pytest.raises(scheduler.LuaError, match="boom"):
            await task.join()
        assert await runtime.run("return 'still alive'") == "still alive"


async def test_several_joiners_all_receive_the_error(engine: str) -> None:
    received: list[str] = []

    async def join(task: scheduler.LuaTask) -> None:
        try:
            await task.join()
        except scheduler.LuaError as error:
            received.append(error.message)

    async with opened(engine) as runtime, trio.open_nursery() as nursery:
        task = runtime.spawn("task.sleep(1) error('boom', 0)")
        for _ in range(3):
            nursery.start_soon(join, task)
    assert received == ["boom"] * 3


async def test_task_that_fails_without_joiner_cancels_the_block_and_its_error_is_raised(engine: str) -> None:
    log: list[str] = []
    began = trio.current_time()
    with pytest.raises(scheduler.LuaError, match="nobody listens"):
        async with opened(engine) as runtime:
            runtime.spawn("task.sleep(2) error('nobody listens')")
            runtime.spawn("task.sleep(50)")
            try:
                await trio.sleep(100)
            finally:
                log.append("block cancelled")
    assert log == ["block cancelled"]
    assert trio.current_time() - began == pytest.approx(2)


async def test_several_failures_without_joiner_are_an_exception_group(engine: str) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with opened(engine) as runtime:
            runtime.spawn("task.sleep(1) error('first', 0)")
            runtime.spawn("task.sleep(1) error('second', 0)")
    assert [str(error) for error in caught.value.exceptions] == ["first", "second"]


async def test_body_that_raises_cancels_the_tasks_and_waits_for_their_cleanup(engine_with_close: str) -> None:
    log: list[str] = []
    with pytest.raises(KeyError, match="mine"):
        async with opened(engine_with_close) as runtime:
            runtime.register("note", log.append)
            runtime.spawn("""
                local guard <close> = setmetatable({}, { __close = function()
                  task.shield(function() task.sleep(3) note("cleaned up") end)
                end })
                task.sleep(100)
            """)
            await trio.sleep(1)
            raise KeyError("mine")
    assert log == ["cleaned up"]


async def test_body_that_raises_while_lua_fails_too_reports_both(engine_with_close: str) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with opened(engine_with_close) as runtime:
            runtime.spawn("""
                local guard <close> = setmetatable({}, { __close = function() error("lua cleanup", 0) end })
                task.sleep(100)
            """)
            await trio.sleep(1)
            raise KeyError("mine")
    assert sorted(type(error).__name__ for error in caught.value.exceptions) == ["KeyError", "LuaError"]


async def test_failure_after_the_joiner_was_cancelled_is_not_lost(engine: str) -> None:
    with pytest.raises(scheduler.LuaError, match="late"):
        async with opened(engine) as runtime:
            task = runtime.spawn("task.sleep(5) error('late', 0)")
            with trio.move_on_after(1):
                await task.join()


# -- cancellation --------------------------------------------------------------------------------


async def test_cancelling_a_task_from_python(engine: str) -> None:
    async with opened(engine) as runtime:
        task = runtime.spawn("task.sleep(100)", name="w")
        await trio.sleep(1)
        task.cancel("enough")
        with pytest.raises(scheduler.TaskCancelled, match="task 'w' was cancelled: enough"):
            await task.join()
        task.cancel("again")
        assert task.status == "failed"


async def test_e3_cancelling_the_join_leaves_the_task_alone(engine: str) -> None:
    async with opened(engine) as runtime:
        task = runtime.spawn("task.sleep(5) return 'value'")
        with trio.move_on_after(1) as scope:
            await task.join()
        assert scope.cancelled_caught
        assert await task.join() == "value"


async def test_cancelling_run_cancels_the_script(engine: str) -> None:
    began = trio.current_time()
    async with opened(engine) as runtime:
        with trio.move_on_after(1) as scope:
            await runtime.run("task.sleep(100)")
        assert scope.cancelled_caught
    assert trio.current_time() - began == pytest.approx(1)


async def test_runtime_cancel_ends_every_task_and_runs_cleanup(engine_with_close: str) -> None:
    log: list[str] = []
    async with opened(engine_with_close) as runtime:
        runtime.register("note", log.append)
        tasks = [
            runtime.spawn(f"""
                local guard <close> = setmetatable({{}}, {{ __close = function()
                  task.shield(function() task.sleep({seconds}) note("clean {seconds}") end)
                end }})
                task.sleep(100)
            """)
            for seconds in (3, 2)
        ]
        await trio.sleep(1)
        runtime.cancel("shutting down")
    assert log == ["clean 2", "clean 3"]
    for task in tasks:
        with pytest.raises(scheduler.TaskCancelled, match="shutting down"):
            task.result_nowait()


@pytest.mark.parametrize("where", ["around the block", "inside the block", "task beside"])
async def test_trio_cancellation_cancels_lua_and_waits_for_its_cleanup(
    engine_with_close: str, where: str
) -> None:
    log: list[Any] = []
    began = trio.current_time()
    code = """
        local guard <close> = setmetatable({}, { __close = function()
          task.shield(function() task.sleep(3) note(task.now()) end)
        end })
        while true do pcall(task.sleep, 100) end
    """

    async def use(scope: trio.CancelScope) -> None:
        async with opened(engine_with_close) as runtime:
            runtime.register("note", lambda time: log.append(time - began))
            runtime.spawn(code)
            if where == "inside the block":
                await trio.sleep(2)
                scope.cancel()
            await trio.sleep_forever()

    with trio.CancelScope() as scope:
        if where == "around the block":
            scope.deadline = trio.current_time() + 2
            await use(scope)
        elif where == "inside the block":
            await use(scope)
        else:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(use, scope)
                await trio.sleep(2)
                scope.cancel()
    assert scope.cancelled_caught
    assert log == [pytest.approx(5)]
    assert trio.current_time() - began == pytest.approx(5)


async def test_deadline_around_the_block_is_kept_while_the_block_waits_at_its_end(engine: str) -> None:
    began = trio.current_time()
    with trio.move_on_after(2) as scope:
        async with opened(engine) as runtime:
            runtime.spawn("task.sleep(100)")
    assert scope.cancelled_caught
    assert trio.current_time() - began == pytest.approx(2)


# -- events --------------------------------------------------------------------------------------


async def test_emit_from_python_tells_how_many_woke(engine: str) -> None:
    async with opened(engine) as runtime:
        tasks = [runtime.spawn("return event.wait('go')") for _ in range(3)]
        assert runtime.emit("go", "too early") == 0
        await trio.sleep(1)
        assert runtime.emit("go", "now", [1, 2]) == 3
        assert [await task.join() for task in tasks] == [("now", [1, 2])] * 3


async def test_wait_event_returns_what_lua_emits(engine: str) -> None:
    async with opened(engine) as runtime:
        runtime.spawn("task.sleep(1) event.emit('none') task.sleep(1) event.emit('one', 1)")
        assert await runtime.wait_event("none") is None
        assert await runtime.wait_event("one") == 1


async def test_wait_event_is_cancelled_by_trio_and_by_the_end_of_the_runtime(engine: str) -> None:
    async with opened(engine) as runtime:
        with trio.move_on_after(1) as scope:
            await runtime.wait_event("never")
        assert scope.cancelled_caught
        assert runtime.emit("never") == 0
    log: list[str] = []

    async def wait(runtime: scheduler.Runtime) -> None:
        try:
            await runtime.wait_event("never")
        except scheduler.TaskCancelled as error:
            log.append(str(error))

    async with opened(engine) as runtime, trio.open_nursery() as nursery:
        nursery.start_soon(wait, runtime)
        await trio.sleep(1)
        runtime.cancel("closing down")
    assert log == ["task 'waits for event 'never'' was cancelled: closing down"]


async def test_b5_messages_from_a_foreign_thread_arrive_on_the_owning_loop(engine: str) -> None:
    async with opened(engine) as runtime:
        task = runtime.spawn("return event.wait('mail')")
        await trio.sleep(1)
        token = trio.lowlevel.current_trio_token()
        thread = threading.Thread(
            target=functools.partial(
                trio.from_thread.run_sync, runtime.emit, "mail", "hello", trio_token=token
            )
        )
        thread.start()
        assert await task.join() == "hello"
        thread.join()


# -- looking on ----------------------------------------------------------------------------------


async def test_e30_e31_tasks_are_frozen_snapshots(engine: str) -> None:
    async with opened(engine, measure=True) as runtime:
        code = """task.spawn_with({ name = 'child', background = true }, function()
            task.sleep(5)
        end)
        event.wait('go')"""
        runtime.spawn(code, name="main")
        await trio.sleep(1)
        main, child = runtime.tasks()
        assert (
            main.name,
            main.status,
            main.reason,
            main.detail,
            main.where,
            main.parent,
            main.background,
        ) == (
            "main",
            "blocked",
            "event",
            "event 'go'",
            "string:4",
            None,
            False,
        )
        assert (child.name, child.status, child.reason, child.where, child.parent, child.background) == (
            "child",
            "sleeping",
            "sleep",
            "string:2",
            main.id,
            True,
        )
        assert child.site == "string:1"
        assert (main.yields, child.yields) == (1, 1)
        assert main.run_time_s is not None
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            main.status = "done"  # type: ignore[misc]
        runtime.emit("go")


async def test_statistics_count(engine: str) -> None:
    async def answer() -> int:
        await trio.sleep(1)
        return 1

    async with opened(engine) as runtime:
        runtime.register("answer", answer)
        task = runtime.spawn("""
            for i = 1, 4 do task.spawn(task.sleep, 2) end
            answer()
            table.sort({ 2, 1 }, function(a, b) task.sleep(5) return a < b end)
        """)
        await trio.sleep(0.5)
        during = runtime.statistics()
        await trio.sleep(2)
        later = runtime.statistics()
        await task.join()
        await trio.lowlevel.checkpoint()
        end = runtime.statistics()
    assert (during.tasks_spawned, during.tasks_alive, during.tasks_ended) == (5, 5, 0)
    assert (during.host_calls, during.host_calls_pending, during.loops_frozen) == (1, 1, 0)
    assert (later.tasks_alive, later.tasks_ended, later.host_calls_pending, later.loops_frozen) == (
        1,
        4,
        0,
        1,
    )
    assert (end.tasks_alive, end.tasks_ended, end.portal_parks, end.loops_frozen) == (0, 5, 1, 0)
    assert end.switches > during.switches >= 5
    assert end.lua_bytes > 0
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        end.switches = 0  # type: ignore[misc]


# -- several runtimes ----------------------------------------------------------------------------


async def test_two_runtimes_in_one_trio_program_share_nothing(engine: str) -> None:
    async with opened(engine) as one, opened("lua54") as two:
        for runtime, name in ((one, "one"), (two, "two")):
            runtime.register("name", lambda name=name: name)
            await runtime.run("shared = name()")
        a, b = one.spawn("return event.wait('e')"), two.spawn("return event.wait('e')")
        await trio.sleep(1)
        assert (one.emit("e", "to one"), await one.run("return shared")) == (1, "one")
        await trio.sleep(1)
        assert (a.status, b.status) == ("done", "running")
        two.emit("e", await two.run("return shared"))
        assert (await a.join(), await b.join()) == ("to one", "two")


async def test_lua_function_of_another_runtime_is_refused() -> None:
    async with opened() as one, opened() as two:
        function = await one.run("return function() return 1 end")
        with pytest.raises(ValueError, match="belongs to another runtime"):
            two.spawn(function)


async def test_runtime_inside_a_host_function_of_another(engine: str) -> None:
    async def nested(code: str) -> Any:
        async with opened(engine) as inner:
            return await inner.run(code)

    async with opened(engine) as outer:
        outer.register("nested", nested)
        assert await outer.run("return 1 + nested('task.sleep(1) return 41')") == 42


@pytest.mark.parametrize("threads", [4])
def test_runtimes_in_several_os_threads(engine: str, threads: int) -> None:
    results: dict[int, Any] = {}

    def work(number: int) -> None:
        async def main() -> Any:
            async with opened(engine) as runtime:
                return await runtime.run(
                    """
                    local sum = 0
                    local got = task.map({ 1, 2, 3, 4, 5 }, function(x)
                      local t = { 3, 1, 2 }
                      table.sort(t, function(a, b) task.sleep(x) return a < b end)
                      return t[1] * x * ...
                    end)
                    for _, x in ipairs(got) do sum = sum + x end
                    return sum
                    """.replace("...", str(number)),
                )

        results[number] = run_in_virtual_time(main)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == {number: 15 * number for number in range(threads)}


# -- run -----------------------------------------------------------------------------------------


def test_a12_run_from_a_program_without_an_event_loop(engine: str, shell: Shell) -> None:
    path = shell.folder / shell.write("script.lua", "return params.a + ..., arg[1], require('beside')")
    shell.write("beside.lua", "return 'beside'")
    value = scheduler.run(path, 5, engine=engine, params={"a": 2})
    assert value[:3] == (7, 5, "beside")


def test_run_takes_a_path_as_text_and_raises_what_the_script_raises(shell: Shell) -> None:
    path = str(shell.folder / shell.write("script.lua", "error({ kind = 'mine', message = 'text' })"))
    with pytest.raises(scheduler.LuaError) as caught:
        scheduler.run(path)
    assert (caught.value.message, caught.value.kind) == ("text", "mine")


def test_run_finds_deadlocks(shell: Shell) -> None:
    path = shell.folder / shell.write("script.lua", "event.wait('never')")
    with pytest.raises(scheduler.DeadlockError) as caught:
        scheduler.run(path)
    assert [(task.reason, task.detail) for task in caught.value.tasks] == [("event", "event 'never'")]


def test_run_of_a_missing_script() -> None:
    with pytest.raises(scheduler.BadSource, match=r"no such script: missing\.lua"):
        scheduler.run("missing.lua")


# -- the end -------------------------------------------------------------------------------------


async def test_os_exit_in_an_embedded_runtime_is_an_exception_with_the_code(engine: str) -> None:
    log: list[str] = []
    with pytest.raises(scheduler.ScriptExit) as caught:
        async with opened(engine) as runtime:
            runtime.spawn("task.sleep(1) os.exit(7)")
            try:
                await trio.sleep(100)
            finally:
                log.append("block cancelled")
    assert (caught.value.code, log) == (7, ["block cancelled"])


async def test_os_exit_of_the_script_that_the_block_runs(engine: str) -> None:
    log: list[str] = []
    with pytest.raises(scheduler.ScriptExit) as caught:
        async with opened(engine) as runtime:
            await runtime.run("os.exit(3)")
            log.append("never")
    assert (caught.value.code, log) == (3, [])


async def test_everything_after_the_block_raises_runtime_closed(engine: str) -> None:
    async with opened(engine) as runtime:
        function = await runtime.run("return function() end")
        ended = runtime.spawn("return 'value'")
    for use in (
        lambda: runtime.spawn("return 1"),
        lambda: runtime.emit("e"),
        lambda: runtime.register("f", print),
        runtime.tasks,
        runtime.statistics,
    ):
        with pytest.raises(scheduler.RuntimeClosed, match="this Lua runtime has ended; open a new one"):
            use()
    for asynchronous in (
        functools.partial(runtime.run, "return 1"),
        functools.partial(runtime.wait_event, "e"),
        function,
    ):
        with pytest.raises(scheduler.RuntimeClosed):
            await asynchronous()
    with pytest.raises(scheduler.RuntimeClosed):
        function.call_sync()
    runtime.cancel()  # what is over cannot be cancelled: no error, as with trio's scopes
    ended.cancel()
    assert (ended.status, await ended.join()) == ("done", "value")


async def test_unknown_engine() -> None:
    with pytest.raises(
        scheduler.SchedulerError, match="unknown engine 'lua99'; known are lua54, lua55, luajit"
    ):
        async with scheduler.open_runtime(engine="lua99"):
            pass


async def test_syntax_error_is_raised_at_spawn_with_file_and_line(engine: str) -> None:
    async with opened(engine) as runtime:
        with pytest.raises(scheduler.LuaSyntaxError, match=r"^string:2: "):
            runtime.spawn("local x = 1\nlocal = 2")
        assert runtime.tasks() == ()


async def test_bad_registrations_are_refused() -> None:
    def keyword(*, needed: int) -> None: ...

    async with opened() as runtime:
        await runtime.run("number = 5")
        for name, function, error, message in (
            ("not a name", print, ValueError, "not a name"),
            ("", print, ValueError, "''"),
            ("number.field", print, ValueError, "'number' is a number already, not a table"),
            ("text", "no function", scheduler.HostMisuse, "'no function' is not callable"),
            ("keyword", keyword, scheduler.HostMisuse, "parameter 'needed' is keyword-only and required"),
        ):
            with pytest.raises(error, match=message):
                runtime.register(name, function)


async def test_params_default_to_an_empty_table_and_hold_any_value(engine: str) -> None:
    async with opened(engine) as runtime:
        assert await runtime.run("return type(params), next(params)") == ("table", None)
    async with opened(engine, params={"list": [1, 2], "flag": True, "text": "ü"}) as runtime:
        assert await runtime.run("return params.list[2], params.flag, params.text") == (2, True, "ü")


async def test_a10_a11_parked_task_is_woken_not_polled(engine: str) -> None:
    """The driver's slices are counted: a waiting runtime runs none."""
    async with opened(engine) as runtime:
        task = runtime.spawn("return event.wait('go')")
        await trio.sleep(1)
        before = runtime.statistics().slices
        for _ in range(1000):
            await trio.sleep(1)
        assert runtime.statistics().slices == before
        runtime.emit("go", "woken")
        assert await task.join() == "woken"
        assert runtime.statistics().slices <= before + 3


@pytest.mark.parametrize("isolate", [False, True])
async def test_calls_back_are_nested_200_deep(isolate: bool) -> None:
    """Each level takes 40 kB in Python, and ending n of them took n squared steps: 100 s for 29,000."""

    async def call(fn: Any) -> Any:
        return await fn()

    code = """
        local depth, kind = 0, nil
        local function deeper()
          depth = depth + 1
          local ok, err = pcall(call, deeper)
          kind = kind or not ok and tostring(err)
        end
        deeper()
        return depth, kind
    """
    async with opened(isolate=isolate) as runtime:
        runtime.register("call", call)
        depth, message = await runtime.run(code)
    assert depth == 201
    assert "calls from Python back to Lua are nested more than 200 deep" in message
