"""Clocks: virtual time for scripts and tests."""

from __future__ import annotations

import sys

import trio
from trio.abc import Clock

__all__ = ["is_virtual", "virtual_clock"]


def virtual_clock() -> Clock:
    """Make a clock that starts at 0 and jumps to the next deadline whenever every task waits.

    Threads count as waiting: work in `trio.to_thread` takes no virtual time, and time may jump past it.
    Source: trio.testing.MockClock.
    """
    from trio.testing import MockClock  # test support is slow to import and rarely wanted

    return MockClock(autojump_threshold=0)


def is_virtual() -> bool:
    """Tell whether trio runs on a virtual clock (trio.testing.MockClock)."""
    testing = sys.modules.get("trio.testing")  # no virtual clock without it
    return testing is not None and isinstance(trio.lowlevel.current_clock(), testing.MockClock)
