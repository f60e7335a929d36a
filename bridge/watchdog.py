"""The watchdog: an OS thread that ends an overdue slice.

Belongs here: noticing that a slice lasts too long and asking for its end. No clock is read per switch:
the thread looks every few milliseconds and arms a hook on the kernel loop's own coroutine, which sets a
flag there. A script that yields in time never notices (measured: 0.0 %).
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ["SLICE_S", "Watchdog"]

# A slice may last this long before trio gets a checkpoint. Users feel 10 ms; 4 leave room for the interval
# between looks and for the step that is under way.
SLICE_S = 0.004
LOOK_S = 0.002
# Without a running slice for so long the thread stops looking and waits for the next slice.
IDLE_LOOKS = 4


class _Armable(Protocol):
    def end_slice(self) -> None: ...


class Watchdog:
    """Calls `target.end_slice()` (from its own thread) once a slice has lasted `SLICE_S`."""

    def __init__(self, target: _Armable) -> None:
        self._target = target
        # When the running slice began (time.perf_counter), 0.0 between slices.
        self._began = 0.0
        self._resting = False
        self._stop = threading.Event()
        self._work = threading.Event()
        self._thread: threading.Thread | None = None

    def slice_begins(self) -> None:
        """Start timing; cheap, called for every slice."""
        self._began = time.perf_counter()
        if self._resting:
            self._resting = False
            self._work.set()
        elif self._thread is None:
            self._thread = threading.Thread(target=self._look, name="scheduler-watchdog", daemon=True)
            self._thread.start()

    def slice_ends(self) -> None:
        """Stop timing."""
        self._began = 0.0

    def close(self) -> None:
        """End the thread and wait for it."""
        self._stop.set()
        self._work.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _look(self) -> None:
        quiet = 0
        while not self._stop.wait(LOOK_S):
            began = self._began
            if began == 0.0:
                quiet += 1
                if quiet >= IDLE_LOOKS:
                    self._work.clear()
                    self._resting = True
                    # A slice that began between the look and the line above would not set the event.
                    if self._began == 0.0 and not self._stop.is_set():
                        self._work.wait()
                    self._resting = False
                    quiet = 0
            else:
                quiet = 0
                if time.perf_counter() - began >= SLICE_S:
                    self._target.end_slice()
