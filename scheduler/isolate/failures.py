"""Failures of the child as Python exceptions.

Belongs here: the table of what a child may report. Does not belong here: who hears of them.
"""

from __future__ import annotations

from typing import Any

from bridge.errors import (
    ConversionError,
    DeadlockError,
    HostMisuse,
    LuaSyntaxError,
    RuntimeClosed,
    SchedulerCrash,
    SchedulerError,
    ScriptExit,
    TaskCancelled,
    WaitingTask,
)
from scheduler.failure import lua_error
from scheduler.isolate.errors import BadMessage
from scheduler.isolate.protocol import Failure

__all__ = ["exception_of"]

_PLAIN: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (
        ConversionError,
        HostMisuse,
        LuaSyntaxError,
        RuntimeClosed,
        SchedulerCrash,
        SchedulerError,
        TaskCancelled,
        ValueError,
    )
}


_LUA = ("LuaError", "TaskTimeout", "LimitReached", "CpuLimitExceeded", "MemoryLimitExceeded")


def exception_of(failure: Failure) -> BaseException:
    """Make the exception that a child reports.

    Raises:
        BadMessage: no child of ours says that.
    """
    if failure.kind == "ScriptExit":
        return ScriptExit(failure.code)
    if failure.kind == "DeadlockError":
        return DeadlockError([_waiting(row) for row in failure.waiting], failure.cycles)
    if failure.kind in _LUA:
        return lua_error(*_row(failure))
    plain = _PLAIN.get(failure.kind)
    if plain is None:
        raise BadMessage(f"unknown failure {failure.kind!r}")
    return plain(failure.message)


def _row(failure: Failure) -> tuple[Any, ...]:
    """Spell a failure as the kernel does: `lua_error` then treats both alike."""
    kind = "timeout" if failure.kind == "TaskTimeout" else failure.lua_kind
    cause = failure.cause if isinstance(failure.cause, BaseException) else None
    parts = None
    if failure.errors:
        parts = {index: dict(enumerate(_row(part), 1)) for index, part in enumerate(failure.errors, 1)}
    return (
        failure.message.encode(),
        failure.lua_traceback.encode(),
        None if kind is None else kind.encode(),
        failure.task.encode(),
        failure.spawned_at.encode(),
        cause,
        parts,
        None
        if failure.limit is None
        else {1: failure.limit[0].encode(), 2: failure.limit[1], 3: failure.limit[2]},
    )


def _waiting(row: Any) -> WaitingTask:
    number, *texts = row
    if type(number) is not int or len(texts) != 4 or not all(type(text) is str for text in texts):
        raise BadMessage("a deadlock report has the wrong shape")
    return WaitingTask(number, *texts)
