"""Tasks as Python sees them, and how they end.

Belongs here: the handle of a Lua task spawned from Python, and the frozen snapshots.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs
import outcome
import trio

__all__ = ["LuaTask", "RuntimeStatistics", "TaskInfo"]


@attrs.frozen
class TaskInfo:
    """A snapshot of one live Lua task."""

    id: int
    name: str
    # "ready", "running", "sleeping" or "blocked".
    status: str
    # Why it waits: "sleep", "io", "event", "host", "resource"; None when it does not.
    reason: str | None
    # What it waits for, for people.
    detail: str | None
    # "file:line" where it waits, "function <file:line>" in a tail call (LuaJIT: None), None before its first
    # step.
    where: str | None
    # Where it was spawned (with statistics on) or the function it runs.
    site: str
    background: bool
    # Steps and seconds of the processor; None unless the runtime measures.
    yields: int | None
    run_time_s: float | None
    # The task whose scope it lives in, None for tasks spawned from Python.
    parent: int | None


@attrs.frozen
class RuntimeStatistics:
    """Counters of one runtime since it opened."""

    tasks_alive: int
    tasks_ready: int
    tasks_spawned: int
    tasks_ended: int
    # Steps: how often a task was given the processor.
    switches: int
    # Waits of any kind, and those made where Lua cannot yield (portal).
    parks: int
    portal_parks: int
    # Times a task was set aside because it did not give up the processor.
    preemptions: int
    host_calls: int
    host_calls_pending: int
    # Kernel loops whose stack belongs to a waiting task or host function.
    loops_frozen: int
    # Slices the driver has run; between two of them trio ran.
    slices: int
    lua_bytes: int


class _Endings(Protocol):
    def heard(self, task: LuaTask) -> None: ...

    def joined(self, task: LuaTask) -> None: ...

    def abandoned(self, task: LuaTask) -> None: ...


class _Core(Protocol):
    @property
    def endings(self) -> _Endings: ...

    def cancel_task(self, task: LuaTask, reason: str | None) -> None: ...


class LuaTask:
    """A Lua task spawned from Python."""

    def __init__(self, core: _Core, id: int, name: str, source: str) -> None:
        """Not for callers: `Runtime.spawn` makes tasks."""
        self.id = id
        self.name = name
        self.source = source
        # True: does not keep the runtime open.
        self.background = False
        self._core = core
        self._outcome: outcome.Outcome[Any] | None = None
        self._ended = trio.Event()
        self._joiners = 0
        self._watchers: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<LuaTask {self.id} {self.name!r} {self.status}>"

    @property
    def status(self) -> str:
        """Tell "running" until it has ended, then "done" or "failed" (cancelled and timed out included)."""
        if self._outcome is None:
            return "running"
        return "done" if isinstance(self._outcome, outcome.Value) else "failed"

    async def join(self) -> Any:
        """Wait for the task's end.

        Cancelling the wait does not cancel the task. Checkpoint: yes.

        Returns:
            None, the value, or a tuple of the values the Lua function returned.

        Raises:
            LuaError: the task failed.
            TaskTimeout: it passed its `timeout`.
            TaskCancelled: it was cancelled.
            ScriptExit: it called `os.exit` (a joiner inside the runtime's block is cancelled instead, and
                the block raises it).
        """
        self._joiners += 1
        try:
            await self._ended.wait()
        except BaseException:
            if self._joiners == 1 and self.error is not None:
                self._core.endings.abandoned(self)
            raise
        finally:
            self._joiners -= 1
        self._core.endings.joined(self)
        assert self._outcome is not None
        return _fresh(self._outcome)

    def cancel(self, reason: str | None = None) -> None:
        """Cancel the task and everything it owns; its cleanup runs. Checkpoint: no."""
        if self._outcome is None:
            self._core.cancel_task(self, reason)

    def result_nowait(self) -> Any:
        """Return or raise the outcome of an ended task.

        Raises:
            trio.WouldBlock: it has not ended.
        """
        if self._outcome is None:
            raise trio.WouldBlock
        self._core.endings.heard(self)
        return _fresh(self._outcome)

    # -- for the driver ------------------------------------------------------------------------

    @property
    def has_joiner(self) -> bool:
        """Whether somebody waits for the outcome now."""
        return self._joiners > 0 or bool(self._watchers)

    @property
    def error(self) -> BaseException | None:
        """The exception it ended with, if any."""
        return self._outcome.error if isinstance(self._outcome, outcome.Error) else None

    def watch(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the task has ended (at once if it has)."""
        if self._outcome is None:
            self._watchers.append(callback)
        else:
            callback()

    def settle(self, result: outcome.Outcome[Any]) -> None:
        """Record the end and wake whoever waits."""
        self._outcome = result
        self._ended.set()
        watchers, self._watchers = self._watchers, []
        for callback in watchers:
            callback()


def _fresh(result: outcome.Outcome[Any]) -> Any:
    """Unwrap without consuming: several joiners may ask, and a raised exception keeps its cause."""
    if isinstance(result, outcome.Value):
        return result.value
    assert isinstance(result, outcome.Error)
    raise result.error
