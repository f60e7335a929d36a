"""Replies: how a host call ended, as the kernel gets it.

Belongs here: the numbers that stdlib_lua/host.lua knows too, and exceptions as replies. A leaf.
"""

from __future__ import annotations

from typing import Any

__all__ = ["CANCELLED", "ITERATOR", "MISUSED", "OK", "PARKED", "RAISED", "Reply", "raised"]

# (OK, values...), (RAISED, class name, message, exception), (MISUSED, message) or (ITERATOR, number).
Reply = tuple[Any, ...]

OK, RAISED, MISUSED, ITERATOR = 0, 1, 2, 3
# The answer comes later.
PARKED: Reply = (b"parked",)
# The task was cancelled during its call: the kernel raises the mark.
CANCELLED: Reply = (b"cancelled",)


def raised(error: BaseException) -> Reply:
    """Return the reply for a Python exception; the object travels along for `__cause__`."""
    return RAISED, type(error).__name__.encode(), _text(error).encode(errors="replace"), error


# Characters of an exception's text that Lua gets; the exception itself stays whole.
MAX_TEXT = 8192


def _text(error: BaseException) -> str:
    try:
        return str(error)[:MAX_TEXT]
    except Exception:
        return f"(str() of this {type(error).__name__} fails)"
