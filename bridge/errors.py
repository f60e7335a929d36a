"""What can go wrong, and who is at fault. A leaf: imports nothing of ours.

`LuaError` the script, `HostMisuse` and `ConversionError` the embedding program or the script's arguments,
`TaskTimeout` time, `DeadlockError` the script, `SchedulerCrash` us.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

__all__ = [
    "ConversionError",
    "CpuLimitExceeded",
    "DeadlockError",
    "HostMisuse",
    "InsufficientResources",
    "LimitReached",
    "LuaError",
    "LuaSyntaxError",
    "MemoryLimitExceeded",
    "RuntimeClosed",
    "SchedulerCrash",
    "SchedulerError",
    "ScriptExit",
    "TaskCancelled",
    "TaskTimeout",
    "WaitingTask",
    "WrongThread",
    "printable",
]


# Reports list so many failures and waiting tasks; the exceptions hold them all.
MAX_PARTS, MAX_WAITING = 20, 100


# Characters of a name and of a place in a report.
MAX_NAME, MAX_PLACE, MAX_STEP = 100, 300, 600


def printable(text: str, most: int | None = MAX_NAME, *, keep: str = "") -> str:
    r"""Return a text that a script has chosen as a report may print it: the one way they all take.

    A terminal obeys some characters (ESC), and a line break would forge a line of the report.

    Args:
        text: a name, a place, what a task waits for.
        most: characters shown of it; None: all.
        keep: characters that stay as they are; others that cannot be printed become escapes, as `\x1b`.
    """
    if most is not None and len(text) > most:
        text = text[:most] + "..."
    if text.isprintable():
        return text
    # `repr` escapes one without loading a codec, which an isolated child could not.
    return "".join(each if each.isprintable() or each in keep else repr(each)[1:-1] for each in text)


def _more(count: int, shown: int) -> list[str]:
    return [f"  ... and {count - shown} more"] if count > shown else []


class SchedulerError(Exception):
    """Base of every error this package raises."""


class LuaError(SchedulerError):
    """A Lua task failed.

    Attributes:
        message: what the script raised, as text.
        lua_traceback: Lua's traceback of where it was raised, without our frames.
        kind: `kind` of an error table (for a failed host function the Python class name), or None.
        task: label of the task it was raised in, such as "task 3 'worker'".
        spawned_at: where that task was spawned, or the function it runs.
        errors: the single failures when several tasks failed together, else empty.

    `__cause__` is the Python exception when a host function failed.
    """

    def __init__(
        self,
        message: str,
        *,
        lua_traceback: str = "",
        kind: str | None = None,
        task: str = "",
        spawned_at: str = "",
        errors: Sequence[LuaError] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.lua_traceback = lua_traceback
        self.kind = kind
        self.task = task
        self.spawned_at = spawned_at
        self.errors = tuple(errors)

    def report(self) -> str:
        """Return message, Lua traceback and task as people read them on a terminal."""
        if self.errors:
            parts = [error.report() for error in self.errors[:MAX_PARTS]]
            return "\n".join(
                [f"{len(self.errors)} tasks failed:", *parts, *_more(len(self.errors), MAX_PARTS)]
            )
        lines = [self.message]
        if self.lua_traceback:
            lines.append(printable(self.lua_traceback, None, keep="\n\t"))
        if self.task:
            place = printable(self.spawned_at, MAX_PLACE)
            lines.append(f"in {printable(self.task, 2 * MAX_NAME)}, {place}")
        return "\n".join(lines)


class LuaSyntaxError(LuaError):
    """The source does not compile; the message names file and line."""


class TaskTimeout(LuaError, TimeoutError):
    """A task spawned from Python passed its `timeout`; everything inside was cancelled."""


class LimitReached(LuaError):
    """A task used more than its `Limits` allow and was ended.

    Attributes:
        limit: "cpu", "memory", "wall", "tasks", "output" or "host_calls".
        used: how much, in seconds, bytes or pieces.
        allowed: how much it was allowed.
    """

    limit: str = ""
    used: float = 0.0
    allowed: float = 0.0


class MemoryLimitExceeded(LimitReached):
    """Lua's heap grew by more than `memory_bytes`."""

    @property
    def current(self) -> float:
        """Bytes used, as the mission's documents call it."""
        return self.used


class CpuLimitExceeded(LimitReached):
    """More than `cpu_s` seconds of the processor, or more than `cpu_percent` of it."""

    @property
    def current(self) -> float:
        """Seconds or percent used, as the mission's documents call it."""
        return self.used


class InsufficientResources(SchedulerError):
    """An allocation asks for more than is left.

    Attributes:
        resource: "memory_bytes", "cpu_percent" or "network_bps".
        asked: how much.
        left: how much of the runtime's capacity is not allocated.
    """

    def __init__(self, resource: str, *, asked: float, left: float, task: str) -> None:
        super().__init__(
            f"cannot allocate {asked:.10g} {resource} to {task}: {left:.10g} are left; "
            "release an allocation, or open the runtime with a larger Capacity"
        )
        self.resource = resource
        self.asked = asked
        self.left = left


class TaskCancelled(SchedulerError):
    """The joined task was cancelled; the message gives the reason."""


class ScriptExit(SchedulerError):
    """The script called `os.exit`.

    Attributes:
        code: the exit code it asked for.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"the script called os.exit({code})")
        self.code = code


@attrs.frozen
class WaitingTask:
    """One line of a deadlock report."""

    id: int
    name: str
    # Why it waits: "sleep", "io", "event", "host", "resource"; "ready" or "running" when it does not.
    reason: str
    detail: str
    # "file:line" of the waiting call, "?" when the stack shows none of the script's frames.
    where: str

    def __str__(self) -> str:
        name = "" if self.name == "task" else f" '{printable(self.name)}'"
        detail, reason = printable(self.detail, 2 * MAX_NAME), printable(self.reason)
        return f"task {self.id}{name} waits for {detail} ({reason}) at {printable(self.where, MAX_PLACE)}"


class DeadlockError(SchedulerError):
    """Every task waits and nothing is left that could wake one.

    Attributes:
        tasks: who waits for what, where.
        cycles: tasks that wait for each other, as lines: "task 2 holds mutex 'a' and waits for mutex 'b'
            (held by task 3)", and so on round the cycle.
    """

    def __init__(self, tasks: Sequence[WaitingTask], cycles: Sequence[Sequence[str]] = ()) -> None:
        self.tasks = tuple(tasks)
        self.cycles = tuple(tuple(cycle) for cycle in cycles)
        lines = ["deadlock: every task waits and nothing can wake them"]
        lines += [f"  {task}" for task in self.tasks[:MAX_WAITING]]
        lines += _more(len(self.tasks), MAX_WAITING)
        for cycle in self.cycles:
            lines.append("  a cycle:")
            lines += [f"    {printable(step, MAX_STEP)}" for step in cycle[:MAX_WAITING]]
            lines += [f"  {line}" for line in _more(len(cycle), MAX_WAITING)]
        super().__init__("\n".join(lines))


class ConversionError(SchedulerError, TypeError):
    """A value cannot cross between Python and Lua; the message names where in it and why."""


class HostMisuse(SchedulerError, TypeError):
    """A host function was called with wrong arguments; names the function and the argument."""


class RuntimeClosed(SchedulerError):
    """The runtime has ended; open a new one."""


class WrongThread(SchedulerError, RuntimeError):
    """A runtime was used from an OS thread that it does not belong to."""


class SchedulerCrash(SchedulerError):
    """The kernel itself failed: a bug of ours, or memory ran out. The runtime is unusable."""
