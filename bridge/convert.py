"""Values across the boundary: the one conversion table.

    Lua                            Python
    nil                            None
    boolean                        bool
    integer (64 bit)               int; larger: ConversionError
    float, nan, inf                float (LuaJIT: numbers with an integral value are int)
    string, valid UTF-8            str
    string, anything else          bytes (and bytes, bytearray, memoryview become strings unchanged)
    table with keys 1..n           list (and list, tuple become such tables)
    table with n, keys in 1..n     list of length n, holes are None (a list holding None has n; one with
                                   nothing but None comes back as a dict)
    other table, empty table       dict (keys: str, int, float, bool)
    function                       LuaFunction (awaitable call); Python functions become host functions
    handle of a host object        the object itself (other Python objects become opaque handles)
    (iterator function)            iterators and generators, sync or async; one way
    thread, userdata of Lua's own  ConversionError
    cycle                          ConversionError, both ways

Belongs here: values. What a call means is in host.py, errors are in errors.py.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bridge.errors import ConversionError

__all__ = ["Converter", "Host"]

# Deeper structures are cycles in disguise or bugs; Python's own recursion limit is near 1,000.
MAX_DEPTH = 150
# Some ten seconds of work.
MAX_VALUES = 10_000_000
# A table costs as much as so many numbers (3 us and 0.3, measured).
TABLE_VALUES = 10
# Smaller values are not worth asking for.
_BIG = 65536

_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1
# LuaJIT's numbers are doubles: integers are exact up to here.
_MAX_EXACT = 2**53


class Host(Protocol):
    """What the converter needs from its runtime."""

    def wrap_function(self, function: Any) -> Any:
        """Make a Python object of a Lua function."""

    def unwrap_function(self, value: Any) -> Any | None:
        """Return the Lua function behind an object of `wrap_function`, else None."""

    def host_function(self, function: Callable[..., Any]) -> Any:
        """Make a Lua function of a Python one."""

    def iterator(self, iterator: Any) -> Any:
        """Make a Lua iterator function of a Python iterator."""

    def handle(self, value: object) -> Any:
        """Make an opaque Lua handle of a Python object."""

    def object_of(self, table: Any) -> object | None:
        """Return the Python object behind a handle, else None."""


class Converter:
    """Converts values for one Lua runtime."""

    def __init__(
        self,
        host: Host,
        *,
        new_table: Callable[[], Any],
        table_type: type,
        function_type: type,
        exact_integers: bool,
    ) -> None:
        """Prepare.

        Args:
            host: makes functions and handles.
            new_table: makes an empty Lua table.
            table_type: lupa's class of Lua tables.
            function_type: lupa's class of Lua functions.
            exact_integers: whether Lua has 64-bit integers (LuaJIT has doubles only).
        """
        self._host = host
        self._new_table = new_table
        self._table_type = table_type
        self._function_type = function_type
        self._exact_integers = exact_integers
        # Values that one table may unfold to; it may hold others twice, and those, too.
        self.max_values = MAX_VALUES
        self._left = 0
        # Bytes of strings that one table may unfold to.
        self.max_bytes = math.inf
        self._bytes_left = math.inf
        # Bytes that have entered Lua since the last look at the room.
        self._entered = 0
        # Called with a number of bytes that are about to enter Lua; raises ConversionError for too many.
        self.check_room: Callable[[int], None] = lambda _bytes: None

    # -- Lua to Python -------------------------------------------------------------------------

    def to_python(self, value: Any) -> Any:
        """Convert what lupa handed over.

        Raises:
            ConversionError: a thread, a userdata or a cycle; names the place in the value.
        """
        kind = type(value)
        if kind is bytes:
            try:
                return value.decode()
            except UnicodeDecodeError:
                return value
        if value is None or kind is int or kind is float or kind is bool:
            return value
        return self._structure(value, "value", ())

    def _structure(self, value: Any, where: str, above: tuple[Any, ...]) -> Any:
        kind = type(value)
        if kind is self._table_type:
            return self._table(value, where, above)
        if kind is self._function_type:
            return self._host.wrap_function(value)
        if kind is bytes or kind is int or kind is float or kind is bool:
            return self.to_python(value)
        # lupa shows a thread that has not started as a "coroutine function".
        is_thread = kind.__name__ in ("_LuaThread", "_LuaCoroutineFunction")
        name = "thread (coroutine)" if is_thread else "userdata"
        raise ConversionError(f"{where}: a Lua {name} cannot be handed to Python")

    def _table(self, table: Any, where: str, above: tuple[Any, ...]) -> Any:
        known = self._host.object_of(table)
        if known is not None:
            return known
        # lupa's wrappers of one table compare by identity of the table only through Lua; depth finds
        # cycles without asking for every level.
        if len(above) >= MAX_DEPTH:
            raise ConversionError(
                f"{where[:60]}...: the table is nested deeper than {MAX_DEPTH} levels or contains itself"
            )
        if not above:
            self._left, self._bytes_left = self.max_values, self.max_bytes
        path = (*above, table)
        items: dict[Any, Any] = {}
        for key, item in table.items():
            self._left -= 1
            if self._left < 0:
                raise ConversionError(
                    f"{where[:60]}: more than {self.max_values} values; a table counts as {TABLE_VALUES}, "
                    "and twice when it is reached twice"
                )
            name = self._key(key, where)
            kind = type(item)
            if kind is int or kind is float or kind is bool:
                items[name] = item
            elif kind is bytes:
                self._bytes_left -= len(item)
                if self._bytes_left < 0:
                    raise ConversionError(
                        f"{where[:60]}: more than {self.max_bytes:.0f} bytes of strings; "
                        "a string that is reached twice counts twice"
                    )
                items[name] = self.to_python(item)
            else:
                self._left -= TABLE_VALUES - 1
                items[name] = self._structure(item, f"{where}[{name!r}]", path)
        return _sequence(items)

    def _key(self, key: Any, where: str) -> Any:
        kind = type(key)
        if kind is bytes:
            return self.to_python(key)
        if kind is int or kind is float or kind is bool:
            return key
        raise ConversionError(f"{where}: a table key must be a string, number or boolean")

    # -- Python to Lua -------------------------------------------------------------------------

    def to_lua(self, value: Any) -> Any:
        """Convert into what lupa pushes as the right Lua value.

        Raises:
            ConversionError: an integer too large, a set, an unencodable string, a key Lua cannot have,
                or a cycle; names the place in the value.
        """
        kind = type(value)
        if value is None or kind is bool or kind is float:
            return value
        if kind is bytes:
            self._enter(len(value))
            return value
        if kind is str:
            return self._string(value, "value")
        if kind is int and -_MAX_EXACT <= value <= _MAX_EXACT:
            return value
        return self._to_lua(value, "value", ())

    def results(self, value: Any) -> tuple[Any, ...]:
        """Convert a function's result: a tuple is several Lua values, anything else one."""
        if type(value) is tuple:
            return tuple(self.to_lua(item) for item in value)
        return (self.to_lua(value),)

    def _enter(self, size: int) -> None:
        # Many small ones count as a large one.
        self._entered += size
        if self._entered > _BIG:
            size, self._entered = self._entered, 0
            self.check_room(size)

    def _string(self, value: str, where: str) -> bytes:
        try:
            encoded = value.encode()
            self._enter(len(encoded))
            return encoded
        except UnicodeEncodeError as error:
            raise ConversionError(
                f"{where}: the string holds a lone surrogate at {error.start}; pass bytes instead"
            ) from None

    def _to_lua(self, value: Any, where: str, above: tuple[int, ...]) -> Any:
        if value is None or isinstance(value, (bool, float)):
            return value
        if isinstance(value, (bytes, bytearray, memoryview)):
            self._enter(value.nbytes if isinstance(value, memoryview) else len(value))
            return bytes(value)
        if isinstance(value, int):
            return self._integer(int(value), where)
        if isinstance(value, str):
            return self._string(str(value), where)
        if isinstance(value, (list, tuple, Mapping)):
            return self._container(value, where, above)
        if isinstance(value, (set, frozenset)):
            raise ConversionError(f"{where}: a set has no order; pass sorted(...) or a dict")
        original = self._host.unwrap_function(value)
        if original is not None:
            return original
        if inspect.isroutine(value) or isinstance(value, functools.partial):
            return self._host.host_function(value)
        if hasattr(value, "__next__") or hasattr(value, "__anext__"):
            return self._host.iterator(value)
        return self._host.handle(value)

    def _integer(self, value: int, where: str) -> int:
        if self._exact_integers:
            if _MIN_INTEGER <= value <= _MAX_INTEGER:
                return value
            raise ConversionError(f"{where}: integer {value} does not fit Lua's 64 bits")
        if -_MAX_EXACT <= value <= _MAX_EXACT:
            return value
        raise ConversionError(f"{where}: integer {value} is not exact in LuaJIT's doubles (beyond 2^53)")

    def _container(self, value: Any, where: str, above: tuple[int, ...]) -> Any:
        if id(value) in above:
            raise ConversionError(f"{where}: the {type(value).__name__} contains itself")
        if len(above) >= MAX_DEPTH:
            raise ConversionError(f"{where[:60]}...: nested deeper than {MAX_DEPTH} levels")
        path = (*above, id(value))
        self._enter(len(value) * 64)  # bytes of an entry, at least
        table = self._new_table()
        if isinstance(value, Mapping):
            for key, item in value.items():
                name = self._lua_key(key, where)
                table[name] = self._to_lua(item, f"{where}[{key!r}]", path)
            return table
        for index, item in enumerate(value, 1):
            if item is not None:
                table[index] = self._to_lua(item, f"{where}[{index - 1}]", path)
        if any(item is None for item in value):
            table[b"n"] = len(value)
        return table

    def _lua_key(self, key: Any, where: str) -> Any:
        if isinstance(key, str):
            return self._string(key, where)
        if isinstance(key, bool):
            return key
        if isinstance(key, bytes):
            self._enter(len(key))
            return key
        if isinstance(key, int):
            return self._integer(key, where)
        if isinstance(key, float) and not math.isnan(key):
            return key
        raise ConversionError(f"{where}: {key!r} cannot be a Lua table key (use a string or a number)")


def _sequence(items: dict[Any, Any]) -> Any:
    """Return a list when the keys say so, else the dict. Order of a dict is the table's own."""
    n = len(items)
    if n == 0:
        return items
    length = items.get("n")
    # Without any element it may as well be a dict that has the key "n".
    if type(length) is int and n > 1 and length <= 1_000_000:
        if all(type(key) is int and 1 <= key <= length for key in items if key != "n"):
            return [items.get(index) for index in range(1, length + 1)]
        return items
    if 1 in items and n in items and all(type(key) is int and 1 <= key <= n for key in items):
        return [items[index] for index in range(1, n + 1)]
    return items
