"""Failures of Lua tasks as Python exceptions.

Belongs here: turning what the kernel tells about a failure into LuaError, with its cause.
"""

from __future__ import annotations

import types
from typing import Any

from bridge.errors import CpuLimitExceeded, LimitReached, LuaError, MemoryLimitExceeded, TaskTimeout

__all__ = ["lua_error"]


def _text(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


_LIMITS = {b"cpu": CpuLimitExceeded, b"memory": MemoryLimitExceeded}
# Frames of these packages say nothing to the author of a host function.
_OURS = ("bridge.", "scheduler.")


def _strip_own_frames(error: BaseException) -> None:
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith(_OURS):
        trace = trace.tb_next
    error.__traceback__ = trace if isinstance(trace, types.TracebackType) else None


def lua_error(
    text: bytes,
    traceback: bytes,
    kind: bytes | None,
    task: bytes,
    site: bytes,
    cause: BaseException | None,
    parts: Any = None,
    limit: Any = None,
) -> LuaError:
    """Make the exception for a failure as embed.lua's `describe_failure` tells it."""
    errors = []
    if parts is not None:
        for index in range(1, len(parts) + 1):
            row = parts[index]
            errors.append(lua_error(*(row[field] for field in range(1, 9))))
    factory = TaskTimeout if kind == b"timeout" else LuaError
    if limit is not None:
        factory = _LIMITS.get(limit[1], LimitReached)
    error = factory(
        _text(text),
        lua_traceback=_text(traceback),
        kind=_text(kind),
        task=_text(task),
        spawned_at=_text(site),
        errors=errors,
    )
    if isinstance(error, LimitReached):
        error.limit, error.used, error.allowed = limit[1].decode(), limit[2], limit[3]
    if cause is not None:
        _strip_own_frames(cause)
        error.__cause__ = cause
    return error
