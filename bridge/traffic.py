"""Traffic: how many bytes host calls send and receive, and for which Lua task.

Belongs here: the two functions that host modules call, and the ledger they write in. Who reads it:
scheduler/resources.py.

    async def get(url: str) -> bytes:
        ...
        traffic.count_sent(len(request))
        traffic.count_received(len(body))

The ledger is in the context, as the number of the call is (workers.py), so a host function needs no
argument for it, and what it starts in other threads with trio counts for its task. While nobody asks for
resources both functions return at once.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable

from bridge.workers import current_call

__all__ = ["Ledger", "count_received", "count_sent"]

_current_ledger: contextvars.ContextVar[Ledger | None] = contextvars.ContextVar(
    "current_ledger", default=None
)


def count_sent(n: int) -> None:
    """Count bytes that the current host call has sent. Callable from any OS thread. Checkpoint: no.

    Args:
        n: bytes; outside host calls nothing is counted.
    """
    ledger = _current_ledger.get()
    if ledger is not None and ledger.open:
        ledger.count(n, 0)


def count_received(n: int) -> None:
    """Count bytes that the current host call has received. See `count_sent`."""
    ledger = _current_ledger.get()
    if ledger is not None and ledger.open:
        ledger.count(0, n)


class Ledger:
    """Bytes of one runtime by host call, until somebody books them."""

    def __init__(self, running_call: Callable[[], int]) -> None:
        """Prepare.

        Args:
            running_call: number of the synchronous host call that the caller is in, 0 for none.
        """
        # Whether anything is counted.
        self.open = False
        self._running_call = running_call
        # Number of the call -> (sent, received); 0: no call could be told.
        self._counts: dict[int, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Let host calls that start in this context write here."""
        _current_ledger.set(self)

    @property
    def has_counts(self) -> bool:
        """Whether `take` has something."""
        return bool(self._counts)

    def count(self, sent: int, received: int) -> None:
        """Add bytes to the current call's."""
        call = self._running_call() or current_call.get()
        with self._lock:
            before = self._counts.get(call, (0, 0))
            self._counts[call] = (before[0] + sent, before[1] + received)

    def take(self) -> dict[int, tuple[int, int]]:
        """Return what was counted since the last time: call -> (sent, received)."""
        with self._lock:
            counts, self._counts = self._counts, {}
        return counts
