"""The wire: batches between the reactor and Lua.

Belongs here: one exchange, after each slice. What sockets do is in reactor.py, what tasks see of it in
stdlib_lua/net_wire.lua.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from bridge.reactor import Reactor

__all__ = ["Wire"]

# Values of one call into Lua.
MAX_VALUES = 200


class Wire:
    """The reactor of one runtime and Lua's end of it."""

    def __init__(self, reactor: Reactor, ends: Callable[[], tuple[Any, Any, Any, Any]]) -> None:
        """Prepare.

        Args:
            reactor: has the sockets.
            ends: gives Lua's functions take, deliver, event, waiting; called at the first exchange, for a
                script is in the middle of its `require` now.
        """
        self.reactor = reactor
        self._ends = ends
        # Bytes that may enter Lua now; None: any number. Past its wall Lua would end the process.
        self.room: Callable[[], float] | None = None
        self._take: Callable[[], Any] | None = None
        self._deliver: Callable[..., None]
        self._event: Callable[..., None]
        self._waiting: Callable[[], bool]

    @trio.lowlevel.enable_ki_protection
    def exchange(self, wait_s: float = 0) -> bool:
        """Do what Lua has asked for, and tell it what has happened. Not a checkpoint.

        Args:
            wait_s: block so long for something to happen; the selector counts in milliseconds.

        Returns:
            Whether something has.
        """
        reactor, take = self.reactor, self._take
        if take is None:
            take = self._open()
        requests = take()
        while requests is not None:
            reactor.perform(requests)
            requests = take()
        came = False
        if reactor.events:
            came = True
            self._tell()  # of what was asked for; only then what has come
        batch = reactor.poll(wait_s)
        if batch and self.room is not None:
            batch = self._fitting(batch, self.room())
        if batch:
            came = True
            if len(batch) <= MAX_VALUES:
                self._deliver(*batch)
            else:
                for first in range(0, len(batch), MAX_VALUES):
                    self._deliver(*batch[first : first + MAX_VALUES])
        if reactor.events:
            came = True
            self._tell()
        return came or reactor.busy

    def _fitting(self, batch: list[Any], room: float) -> list[Any]:
        kept: list[Any] = []
        for number, data in zip(batch[::2], batch[1::2], strict=True):
            room -= len(data)
            if room > 0:
                kept += number, data
            else:
                self.reactor.fail(number, "limit", "what came does not fit into what the memory limit leaves")
        return kept

    def _open(self) -> Callable[[], Any]:
        take, self._deliver, self._event, self._waiting = self._ends()
        self._take = take
        return self._take

    def _tell(self) -> None:
        for number, what, *values in self.reactor.take_events():
            self._event(number, what.encode(), *(v.encode() if isinstance(v, str) else v for v in values))

    def has_waiting(self) -> bool:
        """Whether tasks wait for sockets."""
        return self._take is not None and bool(self._waiting())
