"""Checks of what the embedding program passes.

Belongs here: whether one option is of a type and value that makes sense, and the message when it is not.
A value that is wrong is refused where it is written down, under its name; three layers further in its
message would speak of something else. What Lua code passes is checked in Lua.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import attrs

__all__ = [
    "MAX_AMOUNT",
    "amount",
    "amount_field",
    "check_choice",
    "check_flag",
    "check_kind",
    "check_text_map",
    "shown",
]

# Up to here a float is exact, which is what Lua counts with.
MAX_AMOUNT = 2**53
# Characters of a refused value in a message.
MAX_SHOWN = 80


def shown(value: object) -> str:
    """Return a value for a message, cut where it is long."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"  # Python refuses to print many digits
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def amount(
    name: str, value: Any, *, positive: bool = False, infinite: bool = True, most: int = MAX_AMOUNT
) -> None:
    """Refuse what is no amount.

    Args:
        name: of the option.
        value: what was given.
        positive: 0 is refused, too.
        infinite: math.inf passes.
        most: the largest that is not infinite.

    Raises:
        ValueError: no number, NaN, negative or too large.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number{_allowed(positive)}, got {shown(value)}")
    if not (value > 0 if positive else value >= 0):
        raise ValueError(f"{name} must be a number{_allowed(positive)}, got {shown(value)}")
    if value > most and not (infinite and value == math.inf):
        bound = "2**53" if most == MAX_AMOUNT else f"{most:g}"
        hint = " (or math.inf)" if infinite else ""
        raise ValueError(f"{name} must be at most {bound}{hint}, got {shown(value)}")


def _allowed(positive: bool) -> str:
    return " greater than 0" if positive else " that is not negative"


def amount_field(
    *, optional: bool = True, **options: Any
) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    """Make the attrs validator that calls `amount` with these options; with `optional` None passes."""

    def check(_owner: object, field: attrs.Attribute[Any], value: Any) -> None:
        if value is not None or not optional:
            amount(field.name, value, **options)

    return check


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Refuse what is none of the words.

    Raises:
        ValueError: lists them.
    """
    if not isinstance(value, str) or value not in choices:
        known = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name} must be one of {known}, got {shown(value)}")


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False: "no" is true, and somebody meant the opposite.

    Raises:
        TypeError: says what it is.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")


def check_kind(name: str, value: object, *kinds: type, optional: bool = True) -> None:
    """Refuse what is none of these kinds; with `optional` None passes.

    Raises:
        TypeError: says what it is.
    """
    if not isinstance(value, kinds) and not (optional and value is None):
        allowed = [kind.__name__ for kind in kinds] + ["None"] * optional
        raise TypeError(f"{name} must be {' or '.join(allowed)}, got {shown(value)}")


def check_text_map(name: str, value: object) -> None:
    """Refuse what is no mapping from str to str.

    Raises:
        TypeError: names the entry.
    """
    check_kind(name, value, Mapping, optional=False)
    assert isinstance(value, Mapping)
    for key, text in value.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"{name}: names and values must be str, got {shown(key)}: {shown(text)}")
