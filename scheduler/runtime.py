"""Runtimes: Lua inside a trio program.

Belongs here: the public face, `open_runtime`, `Runtime`, `run`. The work is the driver's.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import trio

from scheduler.checks import amount, check_flag, check_kind, shown
from scheduler.driver import Driver
from scheduler.endings import Endings
from scheduler.function import LuaFunction
from scheduler.isolate.limits import ProcessLimits
from scheduler.limits import Limits
from scheduler.resources import Capacity, Resources
from scheduler.sandbox import Sandbox
from scheduler.source import Source
from scheduler.task import LuaTask, RuntimeStatistics, TaskInfo

__all__ = ["Runtime", "check_options", "open_runtime", "owned", "run"]


class Runtime:
    """A Lua runtime owned by an `async with open_runtime()` block; belongs to one OS thread."""

    def __init__(self, driver: Driver, capacity: Capacity | None = None) -> None:
        """Not for callers: use `open_runtime`."""
        self._driver = driver
        self._capacity = capacity

    def register(self, name: str, function: Callable[..., Any]) -> None:
        """Let Lua call `function` as `name`. Checkpoint: no.

        An `async def` looks like a plain call and parks only the calling task; cancelling the task
        cancels the trio work inside. (Async) generators become Lua iterators. Annotations of the
        parameters (int, float, str, bytes, bool, list, dict, and unions of them) are checked.

        Args:
            name: "fetch" or "weather.fetch" (a field of a global table, made if missing).
            function: positional parameters; returns one value, or a tuple for several.

        Raises:
            ValueError: not a name, or something else is there.
            HostMisuse: not callable, or it has required keyword-only parameters.
        """
        self._driver.check_open()
        self._driver.values.register(name, function)

    def spawn(
        self,
        script: str | Path | Source | LuaFunction,
        *args: Any,
        name: str | None = None,
        timeout: float | None = None,
        limits: Limits | None = None,
    ) -> LuaTask:
        """Start a Lua task; it begins at the next checkpoint. Checkpoint: no.

        A task that fails while nobody joins it cancels the runtime, and the block raises its error.

        Args:
            script: Lua source (str), the Path of a script or of a folder with main.lua, a Source, or a
                Lua function.
            *args: its arguments (`...`).
            name: for reports; the default tells the source.
            timeout: seconds; afterwards it is cancelled and `join` raises TaskTimeout.
            limits: what it and everything below it may use; beyond, it ends and `join` raises LimitReached.

        Raises:
            LuaSyntaxError: the source does not compile. One of more than 64 kB in a sandbox or with limits is
                compiled by its task: there it is `join` that raises.
            OSError: the script cannot be read.
            ConversionError: an argument cannot become a Lua value.
        """
        if timeout is not None:
            amount("timeout", timeout)
        check_kind("limits", limits, Limits)
        check_kind("name", name, str)
        if isinstance(script, LuaFunction):
            function = script.lua_function_for(self._driver)
            if function is None:
                raise ValueError("the Lua function belongs to another runtime")
            return self._driver.spawn_function(
                function, args, name=name or "function", timeout=timeout, limits=limits
            )
        source = Source.of(script)
        self._driver.values.check_sandbox()
        if source.script is not None:
            self._driver.values.set_arguments(source.folder, source.script, args)
        return self._driver.spawn_source(
            source.code, source.chunk_name, args, name=name or source.name, timeout=timeout, limits=limits
        )

    async def run(
        self,
        script: str | Path | Source | LuaFunction,
        *args: Any,
        name: str | None = None,
        timeout: float | None = None,
        limits: Limits | None = None,
    ) -> Any:
        """`spawn` and `join`: return the values of the script; cancelled, the script is too.

        Checkpoint: yes.
        """
        task = self.spawn(script, *args, name=name, timeout=timeout, limits=limits)
        try:
            return await task.join()
        except trio.Cancelled:
            task.cancel("the Python caller was cancelled")
            raise

    def emit(self, event: str, *values: Any) -> int:
        """Wake every Lua task (and `wait_event`) that waits for `event` now. Checkpoint: no.

        Returns:
            How many were woken; an event is not remembered.
        """
        check_kind("event", event, str, optional=False)
        return self._driver.emit(event, values)

    async def wait_event(self, event: str) -> Any:
        """Wait until somebody emits `event`. Checkpoint: yes.

        Returns:
            None, the value, or a tuple of the values emitted.
        """
        check_kind("event", event, str, optional=False)
        task = self._driver.spawn_wait(event)
        try:
            return await task.join()
        finally:
            task.cancel()

    def cancel(self, reason: str = "cancelled by the embedding program") -> None:
        """Cancel every task; their cleanup runs, then the block ends; after it, nothing. Checkpoint: no."""
        self._driver.cancel_all(reason)

    def kill(self, reason: str = "killed by the embedding program") -> None:
        """Cancel every task past every shield: each wait ends, each later one raises. Checkpoint: no."""
        self._driver.kill_all(reason)

    def tasks(self) -> tuple[TaskInfo, ...]:
        """Snapshots of all live Lua tasks, by id. Checkpoint: no."""
        return self._driver.task_infos()

    @property
    def resources(self) -> Resources:
        """What tasks claim and use. Counting begins when this is first asked for. Checkpoint: no.

        Raises:
            ValueError: the runtime is isolated; the operating system counts and limits its process.
        """
        if self._capacity is None:
            raise ValueError(
                "an isolated runtime counts no resources of single tasks; use ProcessLimits, or isolate=False"
            )
        return self._driver.open_resources(self._capacity)

    def statistics(self) -> RuntimeStatistics:
        """Counters since the runtime opened. Checkpoint: no."""
        return self._driver.statistics()


@contextlib.asynccontextmanager
async def open_runtime(
    *,
    engine: str = "lua54",
    params: Mapping[str, Any] | None = None,
    detect_deadlock: bool = False,
    measure: bool = False,
    portal: bool = True,
    sandbox: Sandbox | None = None,
    limits: Limits | None = None,
    resources: Capacity | None = None,
    slice_s: float | None = None,
    on_stuck: Literal["abort"] | Callable[[], None] | None = None,
    isolate: bool | ProcessLimits = False,
) -> AsyncIterator[Runtime]:
    """Open a Lua runtime inside a trio program.

    Leaving the block waits for its tasks, as a nursery does. Cancellation and deadlines of trio around
    the block cancel the Lua tasks and wait for their cleanup. Checkpoint: yes, at entry and exit.

    Args:
        engine: "lua54", "lua55" or "luajit" (no integers, no `<close>`).
        params: the global table `params` of the scripts.
        detect_deadlock: raise DeadlockError when every task waits and no timer, host call or event of
            Lua's own can wake one. Off, such a runtime is idle: Python may still `emit`.
        measure: count steps and processor time per task (`tasks()`), and record spawn sites.
        sandbox: what the scripts may reach; None: they are trusted (docs/security.md).
        limits: what all scripts together may use; beyond, everything ends and the block raises LimitReached.
        resources: how much `Runtime.resources` may allocate, and count from the start what tasks use; None:
            from the first use on, and with the default capacity (see `Capacity`).
        slice_s: seconds after which a task that does not give up the processor is set aside (lua54, lua55);
            math.inf: never; None: 0.01, or 1 without limits under trio's MockClock, so that the order of
            tasks does not depend on how fast the machine is.
        on_stuck: what to do when one call of a C function outlasts the limits by 2 s: "abort" ends
            the process with exit code 4; a function is called from another OS thread; None: nothing.
        isolate: run Lua in a child process (docs/isolation.md).
        portal: False makes waits in places where Lua cannot yield raise, as on platforms without it.

    Raises:
        ValueError: an option has a value that makes no sense; the message names it, and what is allowed.
        TypeError: an option is of a wrong type; the same.
        LuaError: a task failed and nobody joined it; several: an ExceptionGroup of them.
        DeadlockError: see `detect_deadlock`.
        ScriptExit: a script called `os.exit`.
    """
    check_options(engine=engine, params=params, slice_s=slice_s)
    for name, flag in {"detect_deadlock": detect_deadlock, "measure": measure, "portal": portal}.items():
        check_flag(name, flag)
    check_kind("sandbox", sandbox, Sandbox)
    check_kind("limits", limits, Limits)
    check_kind("resources", resources, Capacity)
    check_kind("isolate", isolate, bool, ProcessLimits, optional=False)
    if on_stuck not in (None, "abort") and not callable(on_stuck):
        raise TypeError(f"on_stuck must be 'abort', a function or None, got {shown(on_stuck)}")
    if isolate and resources is not None:
        raise ValueError("an isolated runtime counts no resources of single tasks; use ProcessLimits")
    if isolate:
        if on_stuck not in (None, "abort"):
            raise ValueError("on_stuck: an isolated runtime that is stuck is killed; leave it out")
        from scheduler.isolate.opening import open_isolated  # inside: needs msgspec, and 30 ms

        async with open_isolated(
            engine=engine,
            params=params,
            detect_deadlock=detect_deadlock,
            measure=measure,
            portal=portal,
            limits=isolate if isinstance(isolate, ProcessLimits) else None,
            sandbox=sandbox,
            budget=limits,
            slice_s=slice_s,
        ) as runtime:
            yield runtime
        return
    if sandbox is not None and engine == "luajit":
        raise ValueError("the sandbox needs the engine lua54 or lua55")
    await trio.lowlevel.checkpoint()  # cancelled already: no task starts
    driver = Driver(
        engine,
        detect_deadlock=detect_deadlock,
        portal=portal,
        measure=measure,
        slice_s=slice_s,
        on_stuck=functools.partial(_abort, limits) if on_stuck == "abort" else on_stuck,
        memory_bytes=None if limits is None else limits.given().get("memory_bytes"),
    )
    if limits is not None:
        driver.limit_all(limits)
    if sandbox is not None:
        driver.grants = sandbox.host_pattern
        driver.values.open_sandbox(sandbox, params or {})
    driver.values.set_global("params", dict(params or {}))
    runtime = Runtime(driver, (resources or Capacity()).filled(limits))
    async with owned(driver):
        if resources is not None:
            _ = runtime.resources  # counts from now on
        yield runtime


def check_options(*, engine: object, params: object, slice_s: object) -> None:
    """Refuse options of `open_runtime`, which `open_isolated` has, too.

    Raises:
        ValueError: a wrong value; the message names the option and what is allowed.
        TypeError: a wrong type; the same.
    """
    check_kind("engine", engine, str, optional=False)
    check_kind("params", params, Mapping)
    if slice_s is not None:
        amount("slice_s", slice_s, positive=True)


class _Driver(Protocol):
    # What owns a runtime needs of a driver: Driver, or isolate's.
    endings: Endings

    async def run(self, *, on_failure: Callable[[], None]) -> None: ...

    def leave(self) -> None: ...

    def cancel_all(self, reason: str) -> None: ...


@contextlib.asynccontextmanager
async def owned(driver: _Driver) -> AsyncIterator[None]:
    """Drive while the block runs, end as a nursery does, and raise what nobody has heard of."""
    # Cancelled when a failure has nobody to receive it: the block ends, as a nursery's would.
    body_scope = trio.CancelScope()
    failures: list[BaseException] = []
    try:
        async with trio.open_nursery() as nursery:
            relay_scope = trio.CancelScope()
            nursery.start_soon(_relay_cancellation, driver, relay_scope, name="lua cancellation")
            nursery.start_soon(_drive, driver, body_scope, relay_scope, name="lua driver")
            try:
                with body_scope:
                    yield
            finally:
                driver.leave()
    except BaseExceptionGroup as group:
        failures.extend(group.exceptions if len(group.exceptions) == 1 else [group])
    except BaseException as error:
        failures.append(error)
    unheard = driver.endings.errors(body_cut=body_scope.cancelled_caught)
    failures.extend(error for error in unheard if error not in failures)
    _raise(failures)


def _abort(limits: Limits | None) -> None:
    # Not a signal: nothing of the process is to run any more, and the exit code says why.
    name = "wall" if limits is None or limits.cpu_s is None else "cpu"
    os.write(2, f"scheduler: limit reached: {name}: one call of a C function does not return\n".encode())
    os._exit(4)


async def _drive(driver: _Driver, body_scope: trio.CancelScope, relay_scope: trio.CancelScope) -> None:
    try:
        await driver.run(on_failure=body_scope.cancel)
    finally:
        relay_scope.cancel()


async def _relay_cancellation(driver: _Driver, scope: trio.CancelScope) -> None:
    # The driver is shielded so that Lua's cleanup runs; this task is where trio's cancellation is seen.
    with scope:
        try:
            await trio.sleep_forever()
        finally:
            driver.cancel_all("cancelled by trio")


def _raise(failures: list[BaseException]) -> None:
    if not failures:
        return
    if len(failures) > 1:
        raise BaseExceptionGroup("the Lua runtime and its block failed", failures)
    error = failures[0]
    context = error.__context__
    try:
        raise error
    finally:
        # Raising it here must not change what the exception said about its origin.
        error.__context__ = context
        del error, failures


def run(
    script: str | Path,
    *args: Any,
    engine: str = "lua54",
    params: Mapping[str, Any] | None = None,
) -> Any:
    """Run a script from a program without an event loop; blocks until it has ended.

    Args:
        script: the path of a script, or of a folder with main.lua.
        *args: its arguments.
        engine: see `open_runtime`.
        params: see `open_runtime`.

    Returns:
        None, the value, or a tuple of the values the script returned.

    Raises:
        As `open_runtime`; DeadlockError too, since nothing outside can wake the script.
    """

    async def main() -> Any:
        async with open_runtime(engine=engine, params=params, detect_deadlock=True) as runtime:
            return await runtime.run(Path(script), *args)

    return trio.run(main)
