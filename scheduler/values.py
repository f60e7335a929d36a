"""Values with a life of their own across the boundary: functions, iterators, handles, globals.

Belongs here: making them for one runtime, as bridge/convert.py asks for them, and putting them among the
globals of the scripts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from bridge.confine import read_module
from bridge.convert import Converter
from bridge.host import HostFunctions
from bridge.vm import VM
from scheduler.function import Core, LuaFunction
from scheduler.sandbox import Sandbox

__all__ = ["Values"]

# Source: Lua 5.4 manual, 3.1.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset(
    {"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local"}
    | {"nil", "not", "or", "repeat", "return", "then", "true", "until", "while"}
)


class Values:
    """The converter of one runtime and what it needs."""

    def __init__(self, core: Core, vm: VM) -> None:
        """Make the converter; `connect` gives it the host functions, which need the converter first."""
        self._core = core
        self._vm = vm
        self._functions: HostFunctions
        # Names of the host functions, for `Sandbox.check`.
        self._registered: list[str] = []
        # Not yet checked against them.
        self._sandbox: Sandbox | None = None
        self.converter = Converter(
            self,
            new_table=vm.new_table,
            table_type=vm.table_type,
            function_type=vm.function_type,
            exact_integers=vm.exact_integers,
        )

    def connect(self, functions: HostFunctions) -> None:
        """Set the registry of host functions."""
        self._functions = functions

    def to_lua(self, values: Iterable[Any]) -> list[Any]:
        """Convert several values.

        Raises:
            ConversionError: names the place.
        """
        return [self.converter.to_lua(value) for value in values]

    # -- globals -------------------------------------------------------------------------------

    def register(self, name: str, function: Callable[..., Any]) -> None:
        """Make `function` callable from Lua as `name`."""
        parts = name.split(".") if isinstance(name, str) else []
        if not parts or not all(_NAME.fullmatch(part) and part not in _RESERVED for part in parts):
            raise ValueError(
                f"bad host function name {name!r}: expected NAME or TABLE.NAME, as Lua spells names"
            )
        number = self._functions.add(name, function)
        problem = self._vm.kernel.register(
            self._vm.globals, number, name.encode(), self._functions.waits(number)
        )
        if problem is not None:
            raise ValueError(f"cannot register {name!r}: {problem.decode()}")
        self._registered.append(name)

    def open_sandbox(self, sandbox: Sandbox, params: Mapping[str, Any]) -> None:
        """Confine all scripts; before the first one."""
        self._sandbox = sandbox
        spec = self._vm.new_table()
        spec[b"allow"] = self.converter.to_lua(dict.fromkeys(sandbox.allow, True))
        spec[b"params"] = self.converter.to_lua(dict(params))
        spec[b"env"] = self.converter.to_lua(sandbox.env)
        self._vm.kernel.open_sandbox(spec, _read_module)

    def check_sandbox(self) -> None:
        """Raise ValueError if the sandbox allows a name that nothing answers to. Once: a script starts."""
        if self._sandbox is not None:
            self._sandbox.check(self._registered)
            self._sandbox = None

    def set_global(self, name: str, value: Any) -> None:
        """Set a global of the scripts."""
        self._vm.globals[name.encode()] = self.converter.to_lua(value)

    def set_arguments(self, folder: str | None, script: str, args: Iterable[Any]) -> None:
        """Set `arg`, and look for modules in `folder`."""
        values = self.to_lua(args)
        place = None if folder is None else folder.encode()
        self._vm.kernel.set_arguments(self._vm.globals, place, script.encode(), *values)

    # -- what the converter needs --------------------------------------------------------------

    def wrap_function(self, function: Any) -> LuaFunction:
        """Make a Python object of a Lua function."""
        return LuaFunction(self._core, function)

    def unwrap_function(self, value: Any) -> Any | None:
        """Return the Lua function behind a LuaFunction of this runtime."""
        return value.lua_function_for(self._core) if isinstance(value, LuaFunction) else None

    def host_function(self, function: Callable[..., Any]) -> Any:
        """Make a Lua function of a Python one."""
        name = getattr(function, "__qualname__", None) or repr(function)
        number = self._functions.add(name, function)
        return self._vm.kernel.anonymous_function(number, name.encode(), self._functions.waits(number))

    def iterator(self, iterator: Any) -> Any:
        """Make a Lua iterator function of a Python iterator."""
        return self._vm.kernel.iterator(self._functions.add_stream(type(iterator).__name__, iterator))

    def handle(self, value: object) -> Any:
        """Make an opaque Lua handle of a Python object."""
        return self._vm.kernel.handle(value, id(value), type(value).__name__.encode())

    def object_of(self, table: Any) -> object | None:
        """Return the Python object behind a handle."""
        value: object | None = self._vm.kernel.object_of(table)
        return value


def _read_module(folder: bytes, name: bytes) -> tuple[bytes | None, bytes]:
    return read_module(Path(os.fsdecode(folder)), name)
