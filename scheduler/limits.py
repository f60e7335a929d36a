"""Limits: what the scripts of a runtime, or one task, may use.

Belongs here: the numbers a Python program writes down, checked. What they do: stdlib_lua/limits.lua.
"""

from __future__ import annotations

from typing import Any

import attrs

__all__ = ["POLICIES", "Limits", "check_amount"]

POLICIES = ("kill", "throttle", "warn")


def check_amount(owner: object, field: attrs.Attribute[Any], value: float | None) -> None:
    """Refuse what is no amount: an attrs validator; None passes."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ValueError(f"{field.name} must be a number that is not negative, got {value!r}")


@attrs.frozen(kw_only=True)
class Limits:
    """What may be used; None is no limit. Everything below a limited task counts.

    Raises:
        ValueError: a negative amount or an unknown policy; the message names it.
    """

    # Seconds of the processor.
    cpu_s: float | None = attrs.field(default=None, validator=check_amount)
    # Percent of one processor, averaged over a second or more of the runtime's clock. "throttle" holds the
    # tasks to it.
    cpu_percent: float | None = attrs.field(default=None, validator=check_amount)
    # By how much the steps of the tasks make Lua's heap grow: an estimate.
    memory_bytes: float | None = attrs.field(default=None, validator=check_amount)
    # Seconds on the runtime's clock.
    wall_s: float | None = attrs.field(default=None, validator=check_amount)
    # Tasks alive at the same time.
    tasks: int | None = attrs.field(default=None, validator=check_amount)
    # Bytes that `print` and `io.write` send to standard output.
    output_bytes: float | None = attrs.field(default=None, validator=check_amount)
    # Calls of host functions.
    host_calls: int | None = attrs.field(default=None, validator=check_amount)
    # "kill": the tasks end, whatever they do. "throttle": they get a fifth of the processor from then on.
    # "warn": a line in the log "scheduler", and again at each doubling.
    policy: str = attrs.field(default="kill", validator=attrs.validators.in_(POLICIES))

    def given(self) -> dict[str, Any]:
        """Return what is set, as the kernel takes it."""
        return {name: value for name, value in attrs.asdict(self).items() if value is not None}
