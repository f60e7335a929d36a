"""Clocks: virtual time for scripts and tests."""

from __future__ import annotations

import sys

import trio
from trio.abc import Clock

from bridge.watchdog import STEP_S, VIRTUAL_STEP_S

__all__ = ["default_step_s", "virtual_clock"]


def virtual_clock() -> Clock:
    """Make a clock that starts at 0 and jumps to the next deadline whenever every task waits.

    Threads count as waiting: work in `trio.to_thread` takes no virtual time, and time may jump past it.
    Source: trio.testing.MockClock.
    """
    from trio.testing import MockClock  # test support is slow to import and rarely wanted

    return MockClock(autojump_threshold=0)


def default_step_s() -> float:
    """Return after how many seconds (of real time) a task is preempted when nobody has said."""
    testing = sys.modules.get("trio.testing")  # no virtual clock without it
    virtual = testing is not None and isinstance(trio.lowlevel.current_clock(), testing.MockClock)
    return VIRTUAL_STEP_S if virtual else STEP_S
