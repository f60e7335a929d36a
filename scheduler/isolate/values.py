"""The parent's side of values: what crosses, and what stays and is numbered.

Belongs here: the converter whose "Lua" is a message, and the table of objects that the child holds handles
of. Does not belong here: host functions (calls.py), tasks (parent.py).
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
import msgspec

from bridge.convert import Converter
from scheduler.function import Core, LuaFunction
from scheduler.isolate.calls import Functions
from scheduler.isolate.errors import BadMessage
from scheduler.isolate.protocol import (
    FUNCTION,
    HANDLE,
    HOST_FUNCTION,
    ITERATOR_VALUE,
    Ext,
)
from scheduler.isolate.spec import FunctionSpec

__all__ = ["IsolatedFunction", "IsolatedValues", "Objects"]

_KEYS = (str, int, float, bytes)


class IsolatedFunction(LuaFunction):
    """A Lua function of an isolated runtime; `await function(...)` runs it there."""

    def __init__(self, core: Core, number: int, gone: deque[int]) -> None:
        super().__init__(core, number)
        self._gone = gone

    def __del__(self) -> None:
        self._gone.append(self._function)  # sent later: a destructor may run anywhere

    def call_sync(self, *args: Any) -> Any:
        """Refuse: the host function would block the program while Lua needs it.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(
            "call_sync does not work with isolate=True; make the host function `async def` and use "
            "`await function(...)`"
        )


@attrs.define
class _Held:
    value: object
    # How often the child got it and has not dropped it.
    times: int = 0


class Objects:
    """Python objects whose handles the child holds."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._held: dict[int, _Held] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._held)

    def handle(self, value: object) -> Ext:
        """Return the extension that stands for `value`; the same one for the same object."""
        number = self._numbers.get(id(value))
        if number is None:
            number = self._last = self._last + 1
            self._numbers[id(value)] = number
            self._held[number] = _Held(value)
        self._held[number].times += 1
        return _ext(HANDLE, number)

    def get(self, number: int) -> object:
        """Return the object.

        Raises:
            KeyError: the child does not hold it.
        """
        return self._held[number].value

    def drop(self, number: int, times: int) -> None:
        """Note that the child has dropped it `times` times."""
        held = self._held.get(number)
        if held is None or not 0 < times <= held.times:
            raise BadMessage(f"object {number} was dropped more often than it was sent")
        held.times -= times
        if held.times == 0:
            del self._held[number], self._numbers[id(held.value)]


class IsolatedValues(Converter):
    """The converter of one isolated runtime, and the parent's things that the child can name.

    `to_lua` makes what `protocol` sends: a dict for a table, bytes for a string.
    """

    def __init__(self, core: Core, *, exact_integers: bool) -> None:
        """Prepare; `functions` must be set before the first conversion."""
        super().__init__(
            self, new_table=dict, table_type=_Nothing, function_type=_Nothing, exact_integers=exact_integers
        )
        self._core = core
        self.functions: Functions
        self.objects = Objects()
        # Lua functions that Python has dropped and the child has not been told of.
        self.gone: deque[int] = deque()
        # What the conversion under way has numbered; None between conversions.
        self._made: list[Ext] | None = None

    def arguments(self, values: Iterable[Any]) -> list[Any]:
        """Convert several values for the child.

        Raises:
            ConversionError: names the place.
        """
        with self._all_or_nothing():
            return [self.to_lua(value) for value in values]

    def to_lua(self, value: Any) -> Any:
        """As Converter.to_lua; what fails leaves nothing numbered."""
        with self._all_or_nothing():
            return super().to_lua(value)

    def results(self, value: Any) -> tuple[Any, ...]:
        """As Converter.results; what fails leaves nothing numbered."""
        with self._all_or_nothing():
            return super().results(value)

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        # The child drops what it has got, so nobody would drop what was never sent.
        if self._made is not None:
            yield  # a part of a larger conversion
            return
        made = self._made = []
        try:
            yield
        except BaseException:
            for ext in made:
                self._undo(ext)
            raise
        finally:
            self._made = None

    def unsent(self, message: Any) -> None:
        """Take back what was numbered for a message that could not be sent."""
        seen: set[int] = set()
        todo = [getattr(message, field) for field in message.__struct_fields__]
        while todo:
            item = todo.pop()
            if isinstance(item, Ext):
                self._undo(item)
            elif isinstance(item, dict | list | tuple) and id(item) not in seen:
                seen.add(id(item))
                todo.extend(item.values() if isinstance(item, dict) else item)

    def _undo(self, ext: Ext) -> None:
        content = msgspec.msgpack.decode(ext.data)
        if ext.code == HANDLE:
            self.objects.drop(content, 1)
        elif ext.code == HOST_FUNCTION:
            self.functions.release(msgspec.convert(content, FunctionSpec).number)
        elif ext.code == ITERATOR_VALUE:
            self.functions.drop(content[0])

    def _numbered(self, ext: Ext) -> Ext:
        if self._made is not None:
            self._made.append(ext)
        return ext

    # -- from the child ------------------------------------------------------------------------

    def decode(self, code: int, data: memoryview) -> Any:
        """Make what an extension stands for; for the decoder."""
        number = msgspec.msgpack.decode(data, type=int)
        if code == FUNCTION:
            return IsolatedFunction(self._core, number, self.gone)
        if code == HANDLE:
            return self.objects.get(number)
        raise BadMessage(f"unknown extension {code}")

    def to_python(self, value: Any) -> Any:
        """Take an argument of a host call, which the decoder has converted already."""
        if type(value) is bytes:
            try:
                return value.decode()
            except UnicodeDecodeError:
                return value
        if type(value) is dict or type(value) is list:
            _check_keys(value)
        return value

    # -- what the converter needs --------------------------------------------------------------

    def wrap_function(self, function: Any) -> Any:
        """Do nothing: the decoder makes functions."""
        return function

    def unwrap_function(self, value: Any) -> Any | None:
        """Return what stands for a Lua function of this runtime."""
        number = value.lua_function_for(self._core) if isinstance(value, LuaFunction) else None
        return None if number is None else _ext(FUNCTION, number)

    def host_function(self, function: Callable[..., Any]) -> Any:
        """Return what stands for a Python function."""
        number = self.functions.anonymous(function)
        return self._numbered(Ext(HOST_FUNCTION, msgspec.msgpack.encode(self.functions.spec(number))))

    def iterator(self, iterator: Any) -> Any:
        """Return what stands for an iterator."""
        number = self.functions.add_stream(type(iterator).__name__, iterator)
        content = number, self.functions.asynchronous[number]
        return self._numbered(Ext(ITERATOR_VALUE, msgspec.msgpack.encode(content)))

    def handle(self, value: object) -> Any:
        """Return what stands for a Python object."""
        return self._numbered(self.objects.handle(value))

    def object_of(self, table: Any) -> object | None:
        """Return nothing: the decoder finds objects."""
        return None


class _Nothing:
    """The class of no value: the decoder leaves nothing to convert."""


def _ext(code: int, number: int) -> Ext:
    return Ext(code, msgspec.msgpack.encode(number))


def _check_keys(value: Any) -> None:
    """Refuse a table that no child of ours sends: MessagePack allows any key, Lua's tables here do not."""
    todo = [value]
    while todo:
        item = todo.pop()
        parts = item
        if type(item) is dict:
            if not all(isinstance(key, _KEYS) for key in item):
                raise BadMessage("a table has a key that is no string, number or boolean")
            parts = item.values()
        todo.extend(part for part in parts if type(part) is dict or type(part) is list)
