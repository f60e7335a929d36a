"""Limits: what the scripts of a runtime, or one task, may use.

Belongs here: the numbers a Python program writes down, checked. What they do: stdlib_lua/limits.lua.
"""

from __future__ import annotations

import math
from typing import Any

import attrs

from scheduler.checks import amount_field, check_choice

__all__ = ["POLICIES", "Limits"]

POLICIES = ("kill", "throttle", "warn")

_amount = amount_field()


def _check_policy(_limits: object, field: attrs.Attribute[Any], value: object) -> None:
    check_choice(field.name, value, POLICIES)


@attrs.frozen(kw_only=True)
class Limits:
    """What may be used; None (or math.inf) is no limit. Everything below a limited task counts.

    Raises:
        ValueError: an amount that is none, or an unknown policy; the message names it.
    """

    # Seconds of the processor.
    cpu_s: float | None = attrs.field(default=None, validator=_amount)
    # Percent of one processor, averaged over a second or more of the runtime's clock. "throttle" holds the
    # tasks to it.
    cpu_percent: float | None = attrs.field(default=None, validator=_amount)
    # By how much the steps of the tasks make Lua's heap grow: an estimate.
    memory_bytes: float | None = attrs.field(default=None, validator=_amount)
    # Seconds on the runtime's clock.
    wall_s: float | None = attrs.field(default=None, validator=_amount)
    # Tasks alive at the same time.
    tasks: int | None = attrs.field(default=None, validator=_amount)
    # Bytes that `print` and `io.write` send to standard output.
    output_bytes: float | None = attrs.field(default=None, validator=_amount)
    # Calls of host functions.
    host_calls: int | None = attrs.field(default=None, validator=_amount)
    # "kill": the tasks end, whatever they do. "throttle": they get a fifth of the processor from then on.
    # "warn": a line in the log "scheduler", and again at each doubling.
    policy: str = attrs.field(default="kill", validator=_check_policy)

    def given(self) -> dict[str, Any]:
        """Return what is limited, as the kernel takes it."""
        return {
            name: value
            for name, value in attrs.asdict(self).items()
            if value is not None and value != math.inf
        }
