"""The watchdog: an OS thread that ends an overdue slice.

Belongs here: noticing that a slice lasts too long and saying so. No clock is read per switch: the thread
looks every few milliseconds. First it asks for the slice's end after the step under way; a step that goes
on for longer than a slice is then preempted; a process that cannot even be preempted is stuck. What a script
pays that gives up the processor in time: nothing (measured: 0.0 %).
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import AbstractContextManager
from typing import Protocol

__all__ = ["SLICE_S", "STEP_S", "VIRTUAL_SLICE_S", "Watchdog"]

# A slice may last this long before trio gets a checkpoint. Users feel 10 ms; 4 leave room for the interval
# between looks and for the step that is under way.
SLICE_S = 0.004
# A task that has not given up the processor after so long is preempted.
STEP_S = 0.010
# Both with a virtual clock: there the order of tasks is to be the same in each run, however slow the machine.
VIRTUAL_SLICE_S = 1.0
LOOK_S = 0.002
# Without a running slice for so long the thread stops looking and waits for the next slice.
IDLE_LOOKS = 4


class _Target(Protocol):
    def end_slice(self) -> None: ...
    def preempt(self) -> None: ...
    def stuck(self) -> bool: ...


class Watchdog:
    """Calls its target, from its own thread, about a slice that lasts too long.

    `end_slice()` at every look after `slice_s`; after `step_s`, before it, `preempt()`: so that preempting
    always comes at least a look later; `stuck()` once after `stuck_s`, again so much later where it returned
    False. The first two are called with the lock.
    """

    def __init__(
        self,
        target: _Target,
        lock: AbstractContextManager[object],
        *,
        step_s: float = STEP_S,
        slice_s: float = SLICE_S,
        stuck_s: float = math.inf,
    ) -> None:
        """Prepare; the thread starts with the first slice."""
        self._target = target
        self._lock = lock
        self._step_s = step_s
        self._slice_s = slice_s
        # May become less while it works.
        self.stuck_s = stuck_s
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

    def look_closely(self) -> None:
        """Use at most the ordinary times from now on: there are limits."""
        self._step_s = min(self._step_s, STEP_S)
        self._slice_s = min(self._slice_s, SLICE_S)

    def slice_ends(self) -> None:
        """Stop timing; waits for a look that is under way."""
        with self._lock:
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
        reported = 0.0
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
                lasted = time.perf_counter() - began
                if lasted >= self.stuck_s and reported != began:
                    if self._target.stuck():
                        reported = began
                    else:
                        self._count_anew(began)
                elif lasted >= self._slice_s:
                    self._act(began, lasted)

    def _count_anew(self, began: float) -> None:
        with self._lock:
            if self._began == began:
                self._began = time.perf_counter()

    def _act(self, began: float, lasted: float) -> None:
        with self._lock:
            if self._began != began:
                return
            if lasted >= self._step_s:
                self._target.preempt()
            self._target.end_slice()
