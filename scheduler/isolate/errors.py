"""What can go wrong with a Lua state in another process. A leaf but for `SchedulerError`.

Belongs here: the error, and reading an exit status. Does not belong here: what Lua code raises; that
arrives as the errors of bridge/errors.py.
"""

from __future__ import annotations

import signal

from bridge.errors import SchedulerError

__all__ = ["OUT_OF_MEMORY", "STUCK", "BadMessage", "IsolateDied", "explain"]

# Exit status of a child whose Python ran out of memory (EX_OSERR of BSD's sysexits).
OUT_OF_MEMORY = 71

# Exit status of a child that one call of a C function has kept busy for too long (on_stuck="abort").
STUCK = 4

_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE}


class IsolateDied(SchedulerError):
    """The child process of an isolated runtime has died; every task of it failed, the program lives on.

    Attributes:
        returncode: exit status of the child, minus the number of the signal that ended it, or None when
            it is unknown.
        limit: the limit that it looks like: "cpu", "memory", "stuck" (it did not answer), "cleanup" (it
            did not end after its cancellation), "protocol" (it sent what no child of ours sends), or None.
    """

    def __init__(self, message: str, *, returncode: int | None = None, limit: str | None = None) -> None:
        super().__init__(message)
        self.returncode = returncode
        self.limit = limit


class BadMessage(Exception):
    """The other side sent what the protocol does not allow."""


def explain(returncode: int | None, *, cpu_s: float | None, memory_bytes: int | None) -> IsolateDied:
    """Make the error for a child that ended by itself.

    Args:
        returncode: as `subprocess.Popen.returncode`.
        cpu_s: its limit of processor time, None without one.
        memory_bytes: its limit of memory, None without one.
    """
    limit: str | None = None
    if returncode is None or returncode >= 0:
        how = f"ended with exit status {returncode}"
        if returncode == OUT_OF_MEMORY:
            limit, how = "memory", "ran out of memory"
        elif returncode == STUCK:
            limit, how = "cpu", "ended itself: limit reached: cpu: one call of a C function did not return"
    else:
        number = -returncode
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        how = f"was ended by {name}"
        if name == "SIGXCPU" or (name == "SIGKILL" and cpu_s is not None):
            limit = "cpu"
        elif name in {crash.name for crash in _CRASHES}:
            how = f"crashed ({name})"
            if memory_bytes is not None and name == "SIGABRT":
                limit = "memory"
    told = {
        "cpu": f"; its limit is {cpu_s:g} s of processor time"
        if cpu_s is not None and returncode != STUCK
        else "",
        "memory": f"; its limit is {memory_bytes} bytes of memory" if memory_bytes is not None else "",
    }
    message = f"the process of the isolated Lua runtime {how}{told.get(limit or '', '')}; open a new runtime"
    return IsolateDied(message, returncode=returncode, limit=limit)
