"""Clocks: virtual time for scripts and tests."""

from __future__ import annotations

from trio.abc import Clock

__all__ = ["virtual_clock"]


def virtual_clock() -> Clock:
    """Make a clock that starts at 0 and jumps to the next deadline whenever every task waits.

    Threads count as waiting: work in `trio.to_thread` takes no virtual time, and time may jump past it.
    Source: trio.testing.MockClock.
    """
    from trio.testing import MockClock  # test support is slow to import and rarely wanted

    return MockClock(autojump_threshold=0)
