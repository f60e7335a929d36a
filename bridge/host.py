"""Host functions: Python functions that Lua calls.

Belongs here: the registry, iterators, and what a call means. Every host call passes `HostFunctions.call`,
every end of an asynchronous one `Workers.take_completed`. Arguments are checked in signature.py,
asynchronous work runs in workers.py. A synchronous function runs at once, on the kernel loop's greenlet,
outside Lua.
"""

from __future__ import annotations

import contextvars
import inspect
import types
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import attrs

from bridge.convert import Converter
from bridge.errors import ConversionError, HostMisuse
from bridge.reply import CANCELLED, ITERATOR, MISUSED, OK, Reply, raised
from bridge.signature import Signature
from bridge.workers import ENDINGS, Job, Owner, Workers

__all__ = ["HostFunctions"]

# Host functions behind every iterator (host.lua: STEP, CLOSE); registered ones follow.
_STEP, _CLOSE, _FIRST_FREE = 1, 2, 3
# Results that are no iterators, without looking closer.
_PLAIN = frozenset({bool, int, float, str, bytes, tuple, list, dict})


@attrs.define(eq=False)
class _Function:
    name: str
    call: Callable[..., Any]
    signature: Signature
    # Turns what it returned into a reply.
    finish: Callable[[Any], Reply]
    # A call is a checkpoint, as far as its definition tells.
    waits: bool


@attrs.define(eq=False)
class _Stream:
    """An iterator handed to Lua."""

    name: str
    source: Iterator[Any] | AsyncIterator[Any]
    # Of an async iterator.
    owner: Owner = attrs.field(factory=Owner)


class HostFunctions:
    """The host functions of one runtime and their calls."""

    def __init__(
        self,
        converter: Converter,
        *,
        wake: Callable[[], None],
        on_fatal: Callable[[BaseException], None],
        was_cancelled: Callable[[], bool],
        cancel_blocked: Callable[[int], None],
    ) -> None:
        """Prepare.

        Args:
            converter: converts arguments and results.
            wake: tells the driver that a call has completed.
            on_fatal: takes an exception that no script may see (KeyboardInterrupt, SystemExit).
            was_cancelled: whether the task of the synchronous call that runs now was cancelled meanwhile.
            cancel_blocked: cancels what the synchronous call of a task waits for.
        """
        self._convert = converter
        self._on_fatal = on_fatal
        self.workers = Workers(wake=wake, on_fatal=on_fatal)
        self._was_cancelled = was_cancelled
        self._cancel_blocked = cancel_blocked
        self._functions: dict[int, _Function] = {}
        self._next = _FIRST_FREE
        self._streams: dict[int, _Stream] = {}
        self._next_stream = 1

    # -- registry ------------------------------------------------------------------------------

    def add(self, name: str, function: Callable[..., Any]) -> int:
        """Register `function`; returns its number."""
        if not callable(function):
            raise HostMisuse(f"cannot register {name!r}: {function!r} is not callable")
        number = self._next
        self._next += 1
        self._functions[number] = _Function(
            name,
            function,
            Signature.of(name, function),
            partial(self._reply, name),
            inspect.iscoroutinefunction(inspect.unwrap(function)),
        )
        return number

    def waits(self, number: int) -> bool:
        """Whether a call of the function is a checkpoint, as far as its definition tells."""
        return self._functions[number].waits

    def release(self, number: int) -> None:
        """Forget an anonymous function; Lua has collected it."""
        self._functions.pop(number, None)

    def add_stream(self, name: str, source: Any) -> int:
        """Register an iterator; returns its number."""
        number = self._next_stream
        self._next_stream += 1
        self._streams[number] = _Stream(name, source)
        return number

    def close(self) -> None:
        """Close the iterators that scripts left open, and let every idle worker end.

        Awaits in an iterator's cleanup raise Cancelled, as in any cancelled scope.
        """
        for stream in self._streams.values():
            self._begin_close(None, stream, cancelled=True)
        self._streams.clear()
        self.workers.close()

    # -- calls ---------------------------------------------------------------------------------

    def call(self, message: tuple[Any, ...]) -> Reply:
        """Perform a call: (b"call", its number, function number, arguments...). Not a checkpoint.

        Returns:
            (b"parked",), or how the call ended.
        """
        try:
            return self._call(message[1], message[2], message[3:])
        except HostMisuse as error:
            return MISUSED, str(error).encode()
        except ENDINGS as error:
            # From call_sync: the Lua task's own cancellation, on its way out through Python.
            return CANCELLED if self._was_cancelled() else raised(error)
        except Exception as error:
            return raised(error)
        except BaseException as error:
            self._on_fatal(error)
            return raised(error)

    def _call(self, call_id: int, number: int, raw: tuple[Any, ...]) -> Reply:
        if number == _STEP:
            return self._step(call_id, raw[0])
        if number == _CLOSE:
            return self._close_stream(call_id, raw[0])
        function = self._functions[number]
        arguments = function.signature.bind(raw, self._convert)
        if function.waits:
            value = function.call(*arguments)  # makes the coroutine, and its worker has a context
        else:
            value = contextvars.copy_context().run(function.call, *arguments)
        if type(value) is types.CoroutineType:
            return self.workers.start(Job(call_id, function.name, value, function.finish))
        return self._reply(function.name, value)

    def cancel(self, call_id: int) -> None:
        """Cancel the trio work of a call, or what its synchronous function waits for."""
        if not self.workers.cancel(call_id):
            self._cancel_blocked(call_id)

    def drop(self, number: int) -> None:
        """Close an iterator that Lua has collected."""
        stream = self._streams.pop(number, None)
        if stream is not None:
            self._begin_close(None, stream)

    def _reply(self, name: str, value: Any) -> Reply:
        if value is None:
            return (OK,)
        try:
            # Asking a number for an attribute it lacks costs as much as the rest.
            if type(value) not in _PLAIN and (hasattr(value, "__anext__") or hasattr(value, "__next__")):
                return ITERATOR, self.add_stream(name, value)
            return (OK, *self._convert.results(value))
        except ConversionError as error:
            return raised(ConversionError(f"host function '{name}' returned what Lua cannot hold: {error}"))

    # -- iterators -----------------------------------------------------------------------------

    def _free_stream(self, number: int) -> _Stream | None:
        """Return an iterator that nobody is advancing, None when it has ended."""
        stream = self._streams.get(number)
        if stream is not None and stream.owner.busy:
            raise RuntimeError(f"the iterator of '{stream.name}' is being advanced by another task")
        return stream

    def _step(self, call_id: int, number: int) -> Reply:
        stream = self._free_stream(number)
        if stream is None:
            return (OK,)
        source: Any = stream.source
        if hasattr(source, "__anext__"):
            step = Job(call_id, stream.name, source.__anext__(), partial(self._item, stream), stream.owner)
            return self.workers.start(step)
        stream.owner.busy = True  # it may call back and block, and then others run
        try:
            return self._item(stream, next(source))
        except StopIteration:
            self._streams.pop(number, None)
            return (OK,)
        except BaseException:
            self._streams.pop(number, None)
            raise
        finally:
            stream.owner.busy = False

    def _item(self, stream: _Stream, value: Any) -> Reply:
        if value is None or (type(value) is tuple and (not value or value[0] is None)):
            message = f"'{stream.name}' yielded None, which would end a Lua loop; yield False or a tuple"
            return raised(ConversionError(message))
        return self._reply(stream.name, value)

    def _close_stream(self, call_id: int, number: int) -> Reply:
        stream = self._free_stream(number)
        if stream is None:
            return (OK,)
        del self._streams[number]
        return self._begin_close(call_id, stream)

    def _begin_close(self, call_id: int | None, stream: _Stream, *, cancelled: bool = False) -> Reply:
        source = stream.source
        if hasattr(source, "aclose"):
            if not stream.owner.alive:
                return (OK,)  # never started, or wound up by its cancellation
            closing = Job(call_id, stream.name, source.aclose(), _closed, stream.owner)
            closing.last, closing.cancelled = True, cancelled
            return self.workers.start(closing)
        if hasattr(source, "close"):
            try:
                source.close()
            except Exception as error:
                if call_id is not None:
                    raise
                self._on_fatal(error)  # nobody waits for it, and it must not be lost
        return (OK,)


def _closed(_value: object) -> Reply:
    return (OK,)
