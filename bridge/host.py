"""Host functions: Python functions that Lua calls.

Belongs here: the registry, argument checks, and running what is called. Every host call passes
`HostFunctions.call`, every end of an asynchronous one `HostFunctions.take_completed`.

A synchronous function runs at once, on the kernel loop's greenlet, outside Lua. An asynchronous one runs
in a trio task of a pool: starting a task costs 11 us, waking an idle worker 2. An (async) generator keeps
one worker of its own for its whole life, so that cancel scopes inside it never change tasks.
"""

from __future__ import annotations

import contextvars
import inspect
import types
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import attrs
import outcome
import trio

from bridge.convert import Converter
from bridge.errors import ConversionError, DeadlockError, HostMisuse, ScriptExit, TaskCancelled

__all__ = ["HostFunctions"]

# How a call ended; stdlib_lua/host.lua knows the same numbers.
OK, RAISED, MISUSED, ITERATOR = 0, 1, 2, 3
# What a Lua callback raises in Python when it did not fail but was ended.
_ENDINGS = (TaskCancelled, ScriptExit, DeadlockError)
_PARKED = (b"parked",)
_CANCELLED = (b"cancelled",)
# Host functions behind every iterator (host.lua: STEP, CLOSE); registered ones follow.
_STEP, _CLOSE, _FIRST_FREE = 1, 2, 3
# Idle workers kept for the next call: each costs about 2 kB, and 20 us to make anew.
_MAX_IDLE = 1000

# Results that are no iterators, without looking closer.
_PLAIN = frozenset({bool, int, float, str, bytes, tuple, list, dict})

Reply = tuple[Any, ...]


@attrs.define(eq=False)
class _Function:
    name: str
    call: Callable[..., Any]
    signature: _Signature


@attrs.define(eq=False)
class _Job:
    """One asynchronous call under way."""

    # The Lua task that waits, None for work nobody waits for (closing a dropped iterator).
    task_id: int | None
    function: str
    work: Awaitable[Any]
    # Set: the work is a step of this iterator, or its closing.
    stream: _Stream | None = None
    closing: bool = False
    worker: _Worker | None = None
    cancelled: bool = False


@attrs.define(eq=False)
class _Stream:
    """An iterator handed to Lua."""

    name: str
    source: Iterator[Any] | AsyncIterator[Any]
    # The worker that owns an async iterator, made at the first step.
    worker: _Worker | None = None


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
        self._wake = wake
        self._on_fatal = on_fatal
        self._was_cancelled = was_cancelled
        self._cancel_blocked = cancel_blocked
        self._functions: dict[int, _Function] = {}
        self._by_identity: dict[int, int] = {}
        self._next = _FIRST_FREE
        self._streams: dict[int, _Stream] = {}
        self._next_stream = 1
        self._jobs: dict[int, _Job] = {}
        self._idle: list[_Worker] = []
        self._completed: list[tuple[int, Reply | None]] = []
        self._nursery: trio.Nursery | None = None

    # -- registry ------------------------------------------------------------------------------

    def add(self, name: str, function: Callable[..., Any]) -> int:
        """Register `function`; returns its number."""
        if not callable(function):
            raise HostMisuse(f"cannot register {name!r}: {function!r} is not callable")
        number = self._next
        self._next += 1
        self._functions[number] = _Function(name, function, _Signature.of(name, function))
        return number

    def waits(self, number: int) -> bool:
        """Whether a call of the function is a checkpoint, as far as its definition tells."""
        return inspect.iscoroutinefunction(inspect.unwrap(self._functions[number].call))

    def release(self, number: int) -> None:
        """Forget an anonymous function; Lua has collected it."""
        self._functions.pop(number, None)

    def add_stream(self, name: str, source: Any) -> int:
        """Register an iterator; returns its number."""
        number = self._next_stream
        self._next_stream += 1
        self._streams[number] = _Stream(name, source)
        return number

    def open(self, nursery: trio.Nursery) -> None:
        """Run asynchronous functions in `nursery` from now on."""
        self._nursery = nursery

    def close(self) -> None:
        """Close the iterators that scripts left open, and let every idle worker end.

        Awaits in an iterator's cleanup raise Cancelled, as in any cancelled scope.
        """
        for stream in self._streams.values():
            self._begin_close(None, stream, cancelled=True)
        self._streams.clear()
        for worker in list(self._idle):
            worker.scope.cancel()

    @property
    def pending(self) -> int:
        """Asynchronous calls under way."""
        return len(self._jobs)

    # -- calls ---------------------------------------------------------------------------------

    def call(self, message: tuple[Any, ...]) -> Reply:
        """Perform a call: (b"call", task id, function number, arguments...). Not a checkpoint.

        Returns:
            (b"parked",), or how the call ended.
        """
        task_id, number = message[1], message[2]
        if number == _STEP:
            return self._step(task_id, message[3])
        if number == _CLOSE:
            return self._close_stream(task_id, message[3])
        function = self._functions[number]
        try:
            arguments = function.signature.bind(message[3:], self._convert)
        except HostMisuse as error:
            return MISUSED, str(error).encode()
        try:
            value = function.call(*arguments)
            if type(value) is types.CoroutineType:
                return self._start(_Job(task_id, function.name, value))
            return self._reply(function.name, value)
        except _ENDINGS as error:
            # From call_sync: the Lua task's own cancellation, on its way out through Python.
            return _CANCELLED if self._was_cancelled() else _raised(error)
        except Exception as error:
            return _raised(error)
        except BaseException as error:
            self._on_fatal(error)
            return _raised(error)

    def cancel(self, task_id: int) -> None:
        """Cancel the trio work of a call, or what its synchronous function waits for."""
        job = self._jobs.get(task_id)
        if job is None:
            self._cancel_blocked(task_id)
        elif not job.cancelled:
            job.cancelled = True
            if job.worker is not None:
                job.worker.scope.cancel()

    def drop(self, number: int) -> None:
        """Close an iterator that Lua has collected."""
        stream = self._streams.pop(number, None)
        if stream is not None:
            self._begin_close(None, stream)

    def take_completed(self) -> list[tuple[int, Reply | None]]:
        """Return (task id, reply) of the calls that ended; reply None means cancelled."""
        completed, self._completed = self._completed, []
        return completed

    @property
    def has_completed(self) -> bool:
        """Whether `take_completed` has something."""
        return bool(self._completed)

    def _reply(self, name: str, value: Any) -> Reply:
        if value is None:
            return (OK,)
        try:
            # Asking a number for an attribute it lacks costs as much as the rest.
            if type(value) not in _PLAIN and (hasattr(value, "__anext__") or hasattr(value, "__next__")):
                return ITERATOR, self.add_stream(name, value)
            return (OK, *self._convert.results(value))
        except ConversionError as error:
            return _raised(ConversionError(f"host function '{name}' returned what Lua cannot hold: {error}"))

    # -- iterators -----------------------------------------------------------------------------

    def _step(self, task_id: int, number: int) -> Reply:
        stream = self._streams.get(number)
        if stream is None:
            return (OK,)
        source = stream.source
        if isinstance(source, AsyncIterator) or hasattr(source, "__anext__"):
            return self._start(_Job(task_id, stream.name, source.__anext__(), stream))
        try:
            return self._item(stream, next(source))
        except StopIteration:
            del self._streams[number]
            return (OK,)
        except Exception as error:
            self._streams.pop(number, None)
            return _raised(error)

    def _item(self, stream: _Stream, value: Any) -> Reply:
        if value is None or (type(value) is tuple and (not value or value[0] is None)):
            message = f"'{stream.name}' yielded None, which would end a Lua loop; yield False or a tuple"
            return _raised(ConversionError(message))
        return self._reply(stream.name, value)

    def _close_stream(self, task_id: int, number: int) -> Reply:
        stream = self._streams.pop(number, None)
        return (OK,) if stream is None else self._begin_close(task_id, stream)

    def _begin_close(self, task_id: int | None, stream: _Stream, *, cancelled: bool = False) -> Reply:
        source = stream.source
        if hasattr(source, "aclose"):
            if stream.worker is None or stream.worker.ended:
                return (OK,)  # never started, or wound up by its cancellation
            job = _Job(task_id, stream.name, source.aclose(), stream, closing=True, cancelled=cancelled)
            return self._start(job)
        if hasattr(source, "close"):
            try:
                source.close()
            except Exception as error:
                if task_id is None:
                    self._on_fatal(error)  # nobody waits for it, and it must not be lost
                return _raised(error)
        return (OK,)

    # -- asynchronous work ---------------------------------------------------------------------

    def _start(self, job: _Job) -> Reply:
        if job.task_id is not None:
            self._jobs[job.task_id] = job
        stream = job.stream
        if stream is None:
            if self._idle:
                self._idle.pop().begin(job)
                return _PARKED
            worker = _Worker(self, keep=True)
        elif stream.worker is not None and not stream.worker.ended:
            stream.worker.begin(job)
            return _PARKED
        else:
            worker = stream.worker = _Worker(self, keep=False)
        assert self._nursery is not None
        self._nursery.start_soon(worker.run, job, name=f"lua host call {job.function}")
        return _PARKED

    def _complete(self, job: _Job, reply: Reply | None) -> None:
        if job.task_id is not None:
            del self._jobs[job.task_id]
            self._completed.append((job.task_id, reply))
            if len(self._completed) == 1:
                self._wake()
        elif reply is not None and reply[0] == RAISED:
            self._on_fatal(reply[3])  # nobody waits for it, and it must not be lost

    def _retire(self, worker: _Worker) -> bool:
        """Keep an idle worker for the next call; False when there are enough."""
        if len(self._idle) >= _MAX_IDLE:
            return False
        self._idle.append(worker)
        return True

    def _forget(self, worker: _Worker) -> None:
        if worker in self._idle:
            self._idle.remove(worker)

    def _finish(self, job: _Job, value: Any) -> Reply:
        if job.closing:
            return (OK,)
        if job.stream is not None:
            return self._item(job.stream, value)
        return self._reply(job.function, value)


class _Worker:
    """A trio task that runs asynchronous calls, one after the other."""

    def __init__(self, owner: HostFunctions, *, keep: bool) -> None:
        self._owner = owner
        # Whether other calls may use it: an iterator's worker belongs to the iterator.
        self._keep = keep
        self._task: trio.lowlevel.Task | None = None
        self.scope = trio.CancelScope()
        self.ended = False

    def begin(self, job: _Job) -> None:
        """Give an idle worker its next job."""
        assert self._task is not None
        # Each call has a context of its own: what one sets in a context variable, the next does not see.
        self._task.context = contextvars.copy_context()
        trio.lowlevel.reschedule(self._task, outcome.Value(job))

    async def run(self, job: _Job | None) -> None:
        owner = self._owner
        self._task = trio.lowlevel.current_task()
        try:
            with self.scope:
                while job is not None:
                    job.worker = self
                    if job.cancelled:
                        self.scope.cancel()
                    reply: Reply | None
                    try:
                        reply = owner._finish(job, await job.work)
                    except StopAsyncIteration:
                        reply = (OK,)
                    except _ENDINGS as error:
                        # A Lua callback was cancelled together with this call.
                        reply = None if job.cancelled else _raised(error)
                    except Exception as error:
                        reply = _raised(error)
                    done, job = job, None
                    owner._complete(done, reply)
                    if done.closing or self.scope.cancel_called or (self._keep and not owner._retire(self)):
                        break
                    job = await trio.lowlevel.wait_task_rescheduled(self._abort)
        except Exception as error:
            # What remains of a group after the scope took its Cancelled out.
            if job is None:
                raise
            owner._complete(job, _raised(error))
            job = None
        except BaseException as error:
            if job is None or isinstance(error, trio.Cancelled):
                raise
            owner._complete(job, _raised(error))
            job = None
            owner._on_fatal(error)
        finally:
            self.ended = True
            if job is not None:
                owner._complete(job, None)

    def _abort(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        self._owner._forget(self)
        return trio.lowlevel.Abort.SUCCEEDED


def _raised(error: BaseException) -> Reply:
    return RAISED, type(error).__name__.encode(), _text(error).encode(errors="replace"), error


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return f"(str() of this {type(error).__name__} fails)"


# -- arguments ---------------------------------------------------------------------------------

_LUA_NAMES = {
    int: "integer",
    float: "number",
    str: "string",
    bytes: "string",
    bool: "boolean",
    list: "table with keys 1..n",
    dict: "table",
    types.NoneType: "nil",
}


def _lua_name(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return f"number {value}"
    if isinstance(value, str):
        return f"string {value[:40]!r}"
    if isinstance(value, bytes):
        return "string that is not valid UTF-8"
    if isinstance(value, (list, dict)):
        return "table"
    return "nil" if value is None else "function" if callable(value) else type(value).__name__


@attrs.frozen
class _Parameter:
    name: str
    # Accepted classes, None for any.
    accepts: frozenset[type] | None


@attrs.frozen
class _Signature:
    """What a host function takes, checked before it runs so that the message can name the argument."""

    function: str
    parameters: tuple[_Parameter, ...]
    required: int
    variadic: bool

    @classmethod
    def of(cls, name: str, function: Callable[..., Any]) -> _Signature:
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            return cls(name, (), 0, variadic=True)  # a builtin that does not tell
        try:
            hints = typing.get_type_hints(function)
        except Exception:
            hints = {}
        parameters: list[_Parameter] = []
        required = 0
        variadic = False
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_POSITIONAL:
                variadic = True
            elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
                raise HostMisuse(
                    f"cannot register {name!r}: parameter {parameter.name!r} is keyword-only and "
                    "required, Lua has positional arguments only"
                )
            elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                if parameter.default is parameter.empty:
                    required = len(parameters) + 1
                parameters.append(_Parameter(parameter.name, _accepts(hints.get(parameter.name))))
        return cls(name, tuple(parameters), required, variadic)

    def bind(self, arguments: tuple[Any, ...], converter: Converter) -> list[Any]:
        """Convert and check.

        Raises:
            HostMisuse: names the function and the argument.
        """
        parameters = self.parameters
        count = len(arguments)
        if count == 0 == self.required:
            return []
        if count > len(parameters) and not self.variadic:
            while count > len(parameters) and arguments[count - 1] is None:
                count -= 1
            if count > len(parameters):
                most = "1 argument" if len(parameters) == 1 else f"{len(parameters)} arguments"
                raise self._bad(len(parameters) + 1, f"takes at most {most}, got {count}")
        if count < self.required:
            missing = parameters[count].name
            needed = "1 argument is" if self.required == 1 else f"{self.required} arguments are"
            raise self._bad(count + 1, f"no value for '{missing}'; {needed} needed")
        values: list[Any] = []
        for index in range(count):
            parameter = parameters[index] if index < len(parameters) else None
            values.append(self._value(index + 1, parameter, arguments[index], converter))
        return values

    def _value(self, n: int, parameter: _Parameter | None, raw: Any, converter: Converter) -> Any:
        accepts = parameter.accepts if parameter is not None else None
        if type(raw) is bytes and accepts is not None and bytes in accepts:
            return raw
        try:
            value = converter.to_python(raw)
        except ConversionError as error:
            raise self._bad(n, str(error)) from None
        if accepts is None or type(value) in accepts:
            return value
        if type(value) is int and float in accepts:
            return float(value)
        if type(value) is float and int in accepts and value.is_integer():
            return int(value)
        if value == {} and list in accepts:
            return []
        if value is None and n > self.required:
            return value  # nil for an optional argument
        wanted = " or ".join(sorted({_LUA_NAMES[kind] for kind in accepts}))
        name = f" for '{parameter.name}'" if parameter is not None else ""
        raise self._bad(n, f"{wanted} expected{name}, got {_lua_name(value)}")

    def _bad(self, n: int, what: str) -> HostMisuse:
        return HostMisuse(f"bad argument #{n} to '{self.function}' ({what})")


def _accepts(hint: Any) -> frozenset[type] | None:
    """Return the checked classes of a type hint, None when it says nothing that can be checked."""
    if hint is None:
        return None
    if hint in _LUA_NAMES:
        return frozenset({hint})
    origin = typing.get_origin(hint)
    if origin in (list, dict):
        return frozenset({origin})
    if origin in (typing.Union, types.UnionType):
        parts = [_accepts(part) for part in typing.get_args(hint)]
        if any(part is None for part in parts):
            return None
        return frozenset(kind for part in parts if part is not None for kind in part)
    return None
