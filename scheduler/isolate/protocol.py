"""What parent and child say to each other: one structure per message.

Belongs here: the messages and their encoding (MessagePack, by msgspec, which checks each field's type as
it decodes; never pickle, since the child is not trusted). Does not belong here: moving bytes (channel.py),
what a message leads to (parent.py, child.py).

A value is what MessagePack has, plus extensions for what has an identity. From the parent it looks as Lua
will see it: tables are maps, strings are bytes. From the child it looks as Python will see it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.msgpack import Decoder, Encoder, Ext

from scheduler.isolate.spec import FunctionSpec

__all__ = [
    "CLOSE",
    "FUNCTION",
    "HANDLE",
    "HOST_FUNCTION",
    "ITERATOR_VALUE",
    "STEP",
    "Answer",
    "Call",
    "CancelAll",
    "CancelCall",
    "CancelTask",
    "Cut",
    "Done",
    "Dropped",
    "Emit",
    "Ended",
    "Ext",
    "Failure",
    "FromChild",
    "FromParent",
    "Leave",
    "Ping",
    "Pong",
    "Ready",
    "Refused",
    "Register",
    "Released",
    "Reply",
    "SetArguments",
    "SpawnFunction",
    "SpawnSource",
    "SpawnWait",
    "Spawned",
    "Start",
    "Statistics",
    "Tasks",
    "codec",
]

# Extension types. A Lua function: its number in the child. The rest number things of the parent.
FUNCTION, HOST_FUNCTION, HANDLE, ITERATOR_VALUE = 1, 2, 3, 4
# Numbers of the host functions behind every iterator, as bridge/host.py has them.
STEP, CLOSE = 1, 2

Values = list[Any]


class _Message(msgspec.Struct, tag=True, array_like=True, forbid_unknown_fields=True):
    pass


# -- parent to child -------------------------------------------------------------------------------


# scheduler.Limits, the fields that are given; None for no limits.
Budget = dict[str, float | int | str] | None


class SandboxSpec(_Message):
    """What of a scheduler.Sandbox concerns the child."""

    allow: list[str]
    env: dict[str, str] | None
    # As written, see HostPattern.parse.
    net_hosts: list[str]


class Start(_Message):
    """The first message."""

    engine: str
    params: Any
    detect_deadlock: bool
    measure: bool
    portal: bool
    virtual_clock: bool
    # Limits; see limits.py.
    memory_bytes: int | None
    cpu_s: float | None
    open_files: bool
    # Reads modules; see modules.py.
    modules: FunctionSpec
    # SIGPIPE ends the process, as it does for the parent.
    default_sigpipe: bool
    slice_s: float | None
    # Limits of all scripts together (scheduler.Limits, what is given), and of the sandbox what concerns Lua.
    budget: Budget = None
    sandbox: SandboxSpec | None = None


class SpawnSource(_Message):
    """Answered by `Answer` with None, or by `Refused` (a syntax error)."""

    request: int
    # The parent's number of the task.
    task: int
    code: bytes
    chunk_name: str
    name: str
    timeout: float | None
    values: Values
    budget: Budget = None


class SpawnFunction(_Message):
    """Not answered."""

    task: int
    function: int
    name: str
    timeout: float | None
    # Number of the host call that calls it back, 0 for none.
    call: int
    values: Values
    budget: Budget = None


class SpawnWait(_Message):
    """Wait for an event in a task; not answered."""

    task: int
    event: str


class SetArguments(_Message):
    """Set `arg`; not answered."""

    folder: str | None
    script: str
    values: Values


class Register(_Message):
    """Answered: None."""

    request: int
    function: FunctionSpec


class Emit(_Message):
    """Answered: how many were woken."""

    request: int
    event: str
    values: Values


class Tasks(_Message):
    """Answered: the snapshots."""

    request: int


class Statistics(_Message):
    """Answered: the counters."""

    request: int


class CancelTask(_Message):
    """Cancel one task."""

    task: int
    reason: str | None


class CancelAll(_Message):
    """Cancel all tasks."""

    reason: str


class Leave(_Message):
    """End when the tasks have."""


class Reply(_Message):
    """How a host call ended, or PARKED; see bridge/reply.py. An exception is its handle."""

    call: int
    reply: Values


class Released(_Message):
    """The parent has dropped these Lua functions."""

    functions: list[int]


class Ping(_Message):
    """Answered by Pong: the child's loop turns."""


FromParent = (
    Start
    | SpawnSource
    | SpawnFunction
    | SpawnWait
    | SetArguments
    | Register
    | Emit
    | Tasks
    | Statistics
    | CancelTask
    | CancelAll
    | Leave
    | Reply
    | Released
    | Ping
)

# -- child to parent -------------------------------------------------------------------------------


class Failure(_Message):
    """An exception of the child; `kind` is a key of the tables in failures.py."""

    kind: str
    message: str
    lua_traceback: str = ""
    lua_kind: str | None = None
    task: str = ""
    spawned_at: str = ""
    errors: list[Failure] = []
    # Handle of the exception that a host function raised.
    cause: Any = None
    # Of a ScriptExit.
    code: int = 0
    # Of a DeadlockError.
    waiting: Values = []
    # It ends the whole runtime.
    fatal: bool = False
    # Of a LimitReached: its name, used, allowed.
    limit: tuple[str, float, float] | None = None
    # Of a DeadlockError.
    cycles: list[list[str]] = []


class Ready(_Message):
    """The runtime is open and the limits hold."""


class Answer(_Message):
    """What a request asked for."""

    request: int
    value: Any


class Refused(_Message):
    """A request failed."""

    request: int
    failure: Failure


class Spawned(_Message):
    """The child's id of a task, as `tasks()` shows it."""

    task: int
    id: int


class Done(_Message):
    """A task has ended: with its values, or a failure."""

    task: int
    values: Values
    failure: Failure | None


class Call(_Message):
    """Call a host function; the child numbers its calls upwards."""

    call: int
    function: int
    # The child does nothing else until it is answered, with PARKED at least.
    blocking: bool
    values: Values


class CancelCall(_Message):
    """Cancel the trio work of a call."""

    call: int


class Dropped(_Message):
    """The child's Lua has collected these things of the parent."""

    streams: list[int]
    functions: list[int]
    # And how often each was received.
    handles: list[tuple[int, int]]


class Cut(_Message):
    """Something ends the whole runtime; its tasks are being cancelled."""

    failure: Failure


class Pong(_Message):
    """Answer to Ping."""


class Ended(_Message):
    """The last message, with the counters as they were when the block ended."""

    failure: Failure | None
    statistics: Any


FromChild = Ready | Answer | Refused | Spawned | Done | Call | CancelCall | Dropped | Cut | Pong | Ended


def codec(
    receives: Any, *, encode: Callable[[Any], Any], decode: Callable[[int, memoryview], Any]
) -> tuple[Encoder, Decoder[Any]]:
    """Make encoder and decoder of one side.

    Args:
        receives: `FromParent` or `FromChild`.
        encode: makes an `Ext` of a value that MessagePack does not have.
        decode: the reverse; gets type and data.
    """
    return Encoder(enc_hook=encode), Decoder(receives, ext_hook=decode)
