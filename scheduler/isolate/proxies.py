"""The parent's functions, iterators and objects, as the child's Lua sees them.

Belongs here: things of the parent in the child, and calling them. Does not belong here: the child's own
tasks (child.py).

Things of the parent are numbered there. Each remembers how often the parent has sent it, so that "the
child has dropped it" cannot cross with "here it is again" and free what is in use.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import msgspec
import trio

from bridge.errors import HostMisuse
from bridge.reply import CANCELLED, ITERATOR, MISUSED, OK, PARKED
from bridge.workers import current_call
from scheduler.function import LuaFunction
from scheduler.isolate.channel import Channel
from scheduler.isolate.protocol import (
    CLOSE,
    FUNCTION,
    HANDLE,
    HOST_FUNCTION,
    ITERATOR_VALUE,
    STEP,
    Call,
    CancelCall,
    Dropped,
    Ext,
)
from scheduler.isolate.spec import FunctionSpec

__all__ = ["HostError", "Peer"]


class HostError(Exception):
    """An exception that a host function raised in the parent; a class of its name is made for each."""

    def __init__(self, message: str, handle: object) -> None:
        super().__init__(message)
        self.handle = handle


class _Handle:
    """An object of the parent."""

    __slots__ = ("__weakref__", "counted")

    def __init__(self, number: int) -> None:
        # The number and how often it was received; outlives the handle, to be sent back.
        self.counted = [number, 0]


class _Iterator:
    """A synchronous iterator of the parent."""

    def __init__(self, peer: Peer, number: int) -> None:
        self._peer = peer
        self._number = number

    def __iter__(self) -> _Iterator:
        return self

    def __next__(self) -> Any:
        reply = self._peer.call(STEP, [self._number])
        if len(reply) == 1 and reply[0] == OK:
            raise StopIteration
        return self._peer.value_of(reply)

    def close(self) -> None:
        """Close it in the parent."""
        self._peer.value_of(self._peer.call(CLOSE, [self._number]))


class _AsyncIterator:
    """An asynchronous iterator of the parent."""

    def __init__(self, peer: Peer, number: int) -> None:
        self._peer = peer
        self._number = number

    def __aiter__(self) -> _AsyncIterator:
        return self

    async def __anext__(self) -> Any:
        reply = await self._peer.call_async(STEP, [self._number])
        if len(reply) == 1 and reply[0] == OK:
            raise StopAsyncIteration
        return self._peer.value_of(reply)

    async def aclose(self) -> None:
        """Close it in the parent."""
        self._peer.value_of(await self._peer.call_async(CLOSE, [self._number]))


class _Pending:
    """A call that waits for its reply."""

    __slots__ = ("done", "kernel_call", "reply")

    def __init__(self, kernel_call: int) -> None:
        # None, or (PARKED[0],) for a plain function that turned out to be asynchronous: not yet.
        self.reply: list[Any] | None = None
        self.done: trio.Event | None = None
        # What the child's kernel calls it, 0 inside a synchronous function.
        self.kernel_call = kernel_call


class Peer:
    """The parent, as the child sees it."""

    def __init__(self, dispatch: Callable[[], None]) -> None:
        """Prepare.

        Args:
            dispatch: acts on the messages in the channel's inbox, replies to `replied`.
        """
        self.channel: Channel
        self._dispatch = dispatch
        self._last_call = 0
        self._pending: dict[int, _Pending] = {}
        self._handles: weakref.WeakValueDictionary[int, _Handle] = weakref.WeakValueDictionary()
        self._functions: dict[int, LuaFunction] = {}
        self._last_function = 0
        # What Lua has collected: collected first and sent later, since a finalizer may run anywhere.
        self._streams: list[int] = []
        self._host_functions: list[int] = []
        self._old_handles: list[Any] = []

    def post(self, message: Any) -> None:
        """Send a message to the parent. Checkpoint: no."""
        if self._streams or self._host_functions or self._old_handles:
            gone = (_taken(self._streams), _taken(self._host_functions), _taken(self._old_handles))
            self.channel.post(Dropped(*gone))
        self.channel.post(message)

    # -- values --------------------------------------------------------------------------------

    def encode(self, value: Any) -> Ext:
        """Encode what only we have; for the encoder."""
        if isinstance(value, LuaFunction):
            self._last_function += 1
            self._functions[self._last_function] = value
            return _ext(FUNCTION, self._last_function)
        if isinstance(value, _Handle):
            return _ext(HANDLE, value.counted[0])
        raise NotImplementedError(f"{type(value).__name__} cannot leave the isolated runtime")

    def decode(self, code: int, data: memoryview) -> Any:
        """Make what an extension stands for; for the decoder."""
        content = msgspec.msgpack.decode(data)
        if code == FUNCTION:
            return self._functions[content]
        if code == HANDLE:
            return self._handle(content)
        if code == HOST_FUNCTION:
            spec = msgspec.convert(content, FunctionSpec)
            function = self.host_function(spec)
            _when_gone(function, self._host_functions, spec.number)
            return function
        if code == ITERATOR_VALUE:
            return self._iterator(*content)
        raise ValueError(f"unknown extension {code}")

    def function(self, number: int) -> LuaFunction:
        """Return a Lua function that the parent holds."""
        return self._functions[number]

    def release(self, functions: list[int]) -> None:
        """Forget Lua functions that the parent has dropped."""
        for number in functions:
            self._functions.pop(number, None)

    def _handle(self, number: int) -> _Handle:
        handle = self._handles.get(number)
        if handle is None:
            handle = self._handles[number] = _Handle(number)
            _when_gone(handle, self._old_handles, handle.counted)
        handle.counted[1] += 1
        return handle

    def _iterator(self, number: int, asynchronous: bool) -> _Iterator | _AsyncIterator:
        made = _AsyncIterator(self, number) if asynchronous else _Iterator(self, number)
        _when_gone(made, self._streams, number)
        return made

    def host_function(self, spec: FunctionSpec) -> Callable[..., Any]:
        """Make the function that calls function number `spec.number` of the parent.

        It has the signature of the original: a wrong argument is found before anything is sent.
        """
        number = spec.number

        async def waiting(*values: Any) -> Any:
            return self.value_of(await self.call_async(number, list(values)))

        def plain(*values: Any) -> Any:
            return self.value_of(self.call(number, list(values)))

        function: Any = waiting if spec.waits else plain
        function.__name__ = function.__qualname__ = spec.name
        function.__signature__, function.__annotations__ = spec.signature()
        made: Callable[..., Any] = function
        return made

    # -- calls ---------------------------------------------------------------------------------

    def call(self, function: int, values: list[Any]) -> list[Any]:
        """Call a function of the parent and block until it answers; serves the parent meanwhile."""
        number, pending = self._begin(function, values, blocking=True)
        while pending.reply is None:
            self.channel.receive_blocking()
            self._dispatch()
        if pending.reply[0] == PARKED[0]:
            return [*pending.reply, number]
        del self._pending[number]
        return pending.reply

    async def call_async(self, function: int, values: list[Any]) -> list[Any]:
        """Call a function of the parent and wait for its end; cancelled, it is cancelled there."""
        number, _pending = self._begin(function, values, blocking=False)
        return await self._end(number)

    def replied(self, number: int, reply: list[Any]) -> None:
        """Take the parent's reply to a call."""
        pending = self._pending[number]
        pending.reply = reply
        if pending.done is not None and reply[0] != PARKED[0]:
            pending.done.set()

    def kernel_call(self, number: int) -> int:
        """Return what the child's kernel calls a call under way, 0 for none."""
        pending = self._pending.get(number)
        return 0 if pending is None else pending.kernel_call

    def value_of(self, reply: list[Any]) -> Any:
        """Return or raise what a reply says, as the original function would have."""
        status, *values = reply
        if status == OK:
            return None if not values else values[0] if len(values) == 1 else tuple(values)
        if status == ITERATOR:
            return self._iterator(*values)
        if status == PARKED[0]:
            return self._later(values[0])
        if status == MISUSED:
            raise HostMisuse(values[0].decode())
        name, message, handle = values
        raise type(name.decode(), (HostError,), {})(message.decode(errors="replace"), handle)

    async def _later(self, number: int) -> Any:
        return self.value_of(await self._end(number))

    def _begin(self, function: int, values: list[Any], *, blocking: bool) -> tuple[int, _Pending]:
        number = self._last_call + 1
        # A value that cannot be sent leaves no call behind.
        self.post(Call(number, function, blocking, values))
        self._last_call = number
        pending = self._pending[number] = _Pending(current_call.get())
        return number, pending

    async def _end(self, number: int) -> list[Any]:
        pending = self._pending[number]
        pending.done = trio.Event()
        if pending.reply is not None and pending.reply[0] != PARKED[0]:
            pending.done.set()
        try:
            await pending.done.wait()
        except trio.Cancelled:
            # The call is over when the parent says so; it may have a result all the same.
            self.post(CancelCall(number))
            with trio.CancelScope(shield=True):
                await pending.done.wait()
            if pending.reply == [CANCELLED[0]]:
                raise
        finally:
            self._pending.pop(number, None)
        assert pending.reply is not None
        return pending.reply


def _ext(code: int, number: int) -> Ext:
    return Ext(code, msgspec.msgpack.encode(number))


def _when_gone(thing: object, gone: list[Any], entry: Any) -> None:
    weakref.finalize(thing, gone.append, entry).atexit = False


def _taken(gone: list[Any]) -> list[Any]:
    """Empty a list that finalizers may append to meanwhile."""
    return [gone.pop() for _ in range(len(gone))]
