"""The child's calls of host functions.

Belongs here: the registry as the child may use it, and what becomes of a call. What a call means is in
bridge/host.py, which does the same for a Lua state of this process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from bridge.convert import Converter
from bridge.errors import ConversionError
from bridge.host import HostFunctions
from bridge.reply import CANCELLED, ITERATOR, PARKED, RAISED, Reply, raised
from scheduler.isolate import protocol
from scheduler.isolate.errors import BadMessage
from scheduler.isolate.spec import FunctionSpec

__all__ = ["Calls", "Functions"]


class Functions(HostFunctions):
    """The host functions of an isolated runtime and their calls."""

    def __init__(self, converter: Converter, **hooks: Callable[..., Any]) -> None:
        super().__init__(converter, was_cancelled=lambda: False, cancel_blocked=lambda _call: None, **hooks)
        # Which iterators are asynchronous.
        self.asynchronous: dict[int, bool] = {}
        # Functions without a name that the child holds.
        self._anonymous: set[int] = set()

    def spec(self, number: int) -> FunctionSpec:
        """Describe a function for the child."""
        function = self._functions[number]
        return FunctionSpec.of(number, function.name, function.waits, function.signature)

    def add_stream(self, name: str, source: Any) -> int:
        """Register an iterator; returns its number."""
        number = super().add_stream(name, source)
        self.asynchronous[number] = hasattr(source, "__anext__")
        return number

    def anonymous(self, function: Callable[..., Any]) -> int:
        """Register a function that is a value; returns its number."""
        number = self.add(getattr(function, "__qualname__", None) or repr(function), function)
        self._anonymous.add(number)
        return number

    def forget(self, number: int) -> None:
        """Undo `add`."""
        super().release(number)

    def release(self, number: int) -> None:
        """Forget an anonymous function; the child has collected it."""
        if number not in self._anonymous:
            raise BadMessage(f"host function {number} cannot be dropped")
        self._anonymous.discard(number)
        super().release(number)

    def drop(self, number: int) -> None:
        """Close an iterator that the child has collected."""
        self.asynchronous.pop(number, None)
        super().drop(number)


class Calls:
    """The calls that the child has under way."""

    def __init__(
        self,
        converter: Converter,
        *,
        post: Callable[[Any], None],
        handle: Callable[[object], Any],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """Prepare.

        Args:
            converter: converts results.
            post: sends a message to the child.
            handle: makes what stands for an exception.
            on_fatal: takes an exception that no script may see (KeyboardInterrupt, SystemExit).
        """
        self.functions = Functions(converter, wake=self._deliver, on_fatal=on_fatal)
        self._post = post
        self._handle = handle
        self._last = 0
        self._open: set[int] = set()
        # Set, and made anew, at the end of each.
        self._ended = trio.Event()

    def begin(self, message: protocol.Call) -> None:
        """Perform a call, or start it. Checkpoint: no."""
        number = message.call
        if number <= self._last:
            raise BadMessage(f"call {number} came after call {self._last}")
        self._last = number
        self._open.add(number)
        reply = self.functions.call((b"call", number, message.function, *message.values))
        if reply != PARKED:
            self._reply(number, reply)
        elif message.blocking:
            self._post(protocol.Reply(number, list(PARKED)))

    def cancel(self, message: protocol.CancelCall) -> None:
        """Cancel the trio work of a call."""
        self.functions.cancel(message.call)

    def dropped(self, message: protocol.Dropped) -> None:
        """Forget functions and iterators that the child has collected."""
        for number in message.streams:
            self.functions.drop(number)
        for number in message.functions:
            self.functions.release(number)

    async def end(self) -> None:
        """Cancel what is left, since nobody will hear the answers, and wait for its end."""
        for number in list(self._open):
            self.functions.cancel(number)
        while self._open:
            await self._ended.wait()
        self.functions.close()

    def _deliver(self) -> None:
        for number, reply in self.functions.workers.take_completed():
            self._reply(number, CANCELLED if reply is None else reply)

    def _reply(self, number: int, reply: Reply) -> None:
        self._open.discard(number)
        self._ended.set()
        self._ended = trio.Event()
        if reply[0] == RAISED:
            reply = (*reply[:3], self._handle(reply[3]))
        elif reply[0] == ITERATOR:
            reply = (*reply, self.functions.asynchronous[reply[1]])
        try:
            self._post(protocol.Reply(number, list(reply)))
        except ConversionError as error:
            self._reply(number, raised(error))
