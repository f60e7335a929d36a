"""Signatures: what a host function takes.

Belongs here: checking and converting the arguments of a call before it runs, so that the message can name
the function and the argument. Does not belong here: calling.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

import attrs

from bridge.convert import Converter
from bridge.errors import ConversionError, HostMisuse

__all__ = ["Signature"]

_LUA_NAMES = {
    int: "integer",
    float: "number",
    str: "string",
    bytes: "string",
    bool: "boolean",
    list: "table with keys 1..n",
    dict: "table with names as keys",
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
    if isinstance(value, list):
        return "a table with keys 1..n"
    if isinstance(value, dict):
        return "a table with other keys"
    return "nil" if value is None else "function" if callable(value) else type(value).__name__


@attrs.frozen
class _Parameter:
    name: str
    # Accepted classes, None for any.
    accepts: frozenset[type] | None


@attrs.frozen
class Signature:
    """The positional parameters of one host function."""

    function: str
    parameters: tuple[_Parameter, ...]
    required: int
    variadic: bool

    @classmethod
    def of(cls, name: str, function: Callable[..., Any]) -> Signature:
        """Read the parameters and their annotations.

        Raises:
            HostMisuse: a required parameter is keyword-only.
        """
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
        if type(value) is dict and not value and list in accepts:
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
