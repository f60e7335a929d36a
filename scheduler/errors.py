"""The public errors; they are made at the boundary (bridge/errors.py)."""

from bridge.errors import (
    ConversionError,
    DeadlockError,
    HostMisuse,
    LuaError,
    LuaSyntaxError,
    RuntimeClosed,
    SchedulerCrash,
    SchedulerError,
    ScriptExit,
    TaskCancelled,
    TaskTimeout,
    WaitingTask,
    WrongThread,
)

__all__ = [
    "ConversionError",
    "DeadlockError",
    "HostMisuse",
    "LuaError",
    "LuaSyntaxError",
    "RuntimeClosed",
    "SchedulerCrash",
    "SchedulerError",
    "ScriptExit",
    "TaskCancelled",
    "TaskTimeout",
    "WaitingTask",
    "WrongThread",
]
