"""Host functions described, so that the child has functions of the same signature.

Belongs here: what bridge/signature.py reads of a function, as a message part. A wrong argument is then
found in the child, where Lua's error gets its position, and once more in the parent.
"""

from __future__ import annotations

import functools
import inspect
import operator
import types
from typing import Any

import msgspec

from bridge.signature import Signature

__all__ = ["FunctionSpec"]

_TYPES: dict[str, type] = {
    kind.__name__: kind for kind in (int, float, str, bytes, bool, list, dict, types.NoneType)
}


class FunctionSpec(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A host function of the parent, with what bridge/signature.py reads."""

    number: int
    name: str
    # A call is a checkpoint.
    waits: bool
    # Names and accepted types (None for any) of the positional parameters.
    parameters: list[tuple[str, list[str] | None]]
    required: int
    variadic: bool

    @classmethod
    def of(cls, number: int, name: str, waits: bool, signature: Signature) -> FunctionSpec:
        """Describe a registered function."""
        parameters = [
            (
                parameter.name,
                None if parameter.accepts is None else sorted(kind.__name__ for kind in parameter.accepts),
            )
            for parameter in signature.parameters
        ]
        return cls(number, name, waits, parameters, signature.required, signature.variadic)

    def signature(self) -> tuple[inspect.Signature, dict[str, Any]]:
        """Return `__signature__` and `__annotations__` of a function that takes the same."""
        kind = inspect.Parameter.POSITIONAL_ONLY
        found = [
            inspect.Parameter(name, kind, default=inspect.Parameter.empty if index < self.required else None)
            for index, (name, _accepts) in enumerate(self.parameters)
        ]
        if self.variadic:
            found.append(inspect.Parameter("rest", inspect.Parameter.VAR_POSITIONAL))
        hints = {
            name: functools.reduce(operator.or_, [_TYPES[accepted] for accepted in accepts])
            for name, accepts in self.parameters
            if accepts
        }
        return inspect.Signature(found), hints
