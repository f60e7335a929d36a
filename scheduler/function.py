"""Lua functions in Python's hands.

Belongs here: calling them. Each call is a Lua task of its own, so it may wait like any other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

import trio

from bridge.errors import DeadlockError, RuntimeClosed, ScriptExit, TaskCancelled
from bridge.workers import current_call

if TYPE_CHECKING:
    from bridge.portal import KernelLoop, Loops
    from scheduler.task import LuaTask

__all__ = ["Core", "LuaFunction"]


class Core(Protocol):
    """What a Lua function needs from its runtime."""

    loops: Loops
    closed: bool

    def spawn_function(
        self,
        function: Any,
        args: Iterable[Any],
        *,
        name: str,
        timeout: float | None = None,
        call: int = 0,
    ) -> LuaTask:
        """Spawn it as a task."""

    def is_call_cancelled(self, call: int) -> bool:
        """Whether the task that made a host call is cancelled."""

    def unblock(self, loop: KernelLoop) -> None:
        """Let the synchronous host function on `loop` go on."""


class LuaFunction:
    """A Lua function that was handed to Python.

    `await function(...)` from asynchronous code; `function.call_sync(...)` from a synchronous host
    function, while the Lua task that called it waits. Handed back to Lua it is the same function again.
    """

    def __init__(self, core: Core, function: Any) -> None:
        """Not for callers: the converter makes them."""
        self._core = core
        self._function = function

    def __repr__(self) -> str:
        return "<LuaFunction>"

    def lua_function_for(self, core: object) -> Any | None:
        """Return lupa's object when the function belongs to `core`, else None."""
        return self._function if core is self._core else None

    async def __call__(self, *args: Any) -> Any:
        """Run it as a Lua task and wait for its values; cancelling the wait cancels the task.

        Checkpoint: yes.

        Raises:
            LuaError: the function failed.
        """
        call = current_call.get()
        task = self._core.spawn_function(self._function, args, name="call from Python", call=call)
        try:
            return await task.join()
        except trio.Cancelled:
            task.cancel("the Python caller was cancelled")
            # How it was ended does not matter, trio's Cancelled is on its way; a failing cleanup does.
            with trio.CancelScope(shield=True), contextlib.suppress(TaskCancelled, ScriptExit, DeadlockError):
                await task.join()
            raise

    def call_sync(self, *args: Any) -> Any:
        """Run it to its end from a synchronous host function; the function may wait, other tasks go on.

        Checkpoint: no (trio does not know; only Lua tasks and trio's other tasks go on meanwhile).

        Raises:
            LuaError: the function failed.
            TaskCancelled: the Lua task that called the host function was cancelled; let it pass.
            RuntimeError: not called from a synchronous host function.
        """
        if self._core.closed:
            raise RuntimeClosed("this Lua runtime has ended; open a new one")
        loops = self._core.loops
        loop = loops.inside()
        if loop is None:
            raise RuntimeError(
                "call_sync works only inside a synchronous host function that Lua called; "
                "use `await function(...)` here"
            )
        if loop.cancelled or self._core.is_call_cancelled(loop.caller):
            loop.cancelled = True
            raise TaskCancelled("the Lua task that called the host function was cancelled")
        task = self._core.spawn_function(self._function, args, name="call from Python", call=loop.caller)
        task.watch(lambda: self._core.unblock(loop))
        loops.block(loop, lambda: task.cancel("its caller was cancelled"))
        return task.result_nowait()
