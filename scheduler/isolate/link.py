"""The link to a child: asking it something, noticing that it does not answer, and how it died.

Belongs here: requests, pings, the reason of a kill. Does not belong here: what messages mean (parent.py),
the process (process.py), moving bytes (channel.py).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import trio

from bridge.errors import ConversionError, RuntimeClosed
from scheduler.isolate.channel import Channel
from scheduler.isolate.errors import BadMessage, IsolateDied, explain
from scheduler.isolate.failures import exception_of
from scheduler.isolate.limits import ProcessLimits
from scheduler.isolate.process import Process
from scheduler.isolate.protocol import Answer, Ended, Ping, Refused, Released

__all__ = ["Link"]

# Real seconds between looks whether the child still answers.
LOOK_S = 0.25
# Messages that a child may send before its answer.
MAX_WAITING = 200_000


class Link:
    """One child process as a partner that may stop answering."""

    def __init__(
        self,
        process: Process,
        channel: Channel,
        limits: ProcessLimits,
        gone: deque[int],
        unsent: Callable[[Any], None],
    ) -> None:
        """Take over both.

        Args:
            process: the child.
            channel: the connection to it.
            limits: how long it may take.
            gone: Lua functions that Python has dropped; the child is told with the next message.
            unsent: takes back what was registered for a message that then could not be sent.
        """
        self.process = process
        self.channel = channel
        self._limits = limits
        self._gone = gone
        self._unsent = unsent
        # Why it was killed, or that it died.
        self.death: IsolateDied | None = None
        self._last_request = 0
        self._answers: dict[int, Answer | Refused] = {}
        # time.monotonic() of the ping that was not answered, and of when everything was cancelled.
        self._pinged: float | None = None
        self._cancelled: float | None = None

    def post(self, message: Any) -> None:
        """Send a message. Checkpoint: no.

        Raises:
            ConversionError: it is too long.
        """
        if self._gone:
            self.channel.post(Released([self._gone.popleft() for _ in range(len(self._gone))]))
        try:
            self.channel.post(message)
        except ConversionError:
            self._unsent(message)
            raise

    def ask(self, make: Callable[[int], Any], urgent: Callable[[Any], bool]) -> Any:
        """Send a request and block until it is answered: at most until the child's slice is over.

        Args:
            make: makes the request of its number.
            urgent: acts on a message that must not wait until the answer is there; False: it may wait.

        Raises:
            RuntimeClosed: it has ended meanwhile.
            IsolateDied: it is gone, or did not answer within the grace.
        """
        request = self._last_request = self._last_request + 1
        self.post(make(request))
        deadline = time.monotonic() + self._limits.grace_s
        known = 0  # messages that were looked at
        try:
            while request not in self._answers and not self.channel.ended:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError  # also when something comes all the time, but not the answer
                self.channel.receive_blocking(left)
                self._take_answers(known, urgent)
                known = len(self.channel.inbox)
                if known > MAX_WAITING:
                    raise BadMessage(f"more than {MAX_WAITING} messages before an answer")
        except TimeoutError:
            self._not_answering()
        except BadMessage as error:
            self.violated(error)
        self.channel.wake()
        answer = self._answers.pop(request, None)
        if answer is None:
            if self.death is None and any(isinstance(message, Ended) for message in self.channel.inbox):
                raise RuntimeClosed("this Lua runtime has ended; open a new one")
            self.process.end_blocking()
            raise self.cause_of_death()
        if isinstance(answer, Refused):
            raise exception_of(answer.failure)
        return answer.value

    def _take_answers(self, known: int, urgent: Callable[[Any], bool]) -> None:
        inbox = self.channel.inbox
        new = len(inbox) - known
        inbox.rotate(new)  # the new ones first; what is kept goes back behind the others
        for _ in range(new):
            message = inbox.popleft()
            if isinstance(message, (Answer, Refused)):
                self._answers[message.request] = message
            elif not urgent(message):
                inbox.append(message)  # everything else keeps its order

    def answered_late(self, message: Answer | Refused) -> None:
        """Pass over an answer that nobody waits for any more (Ctrl-C has ended the wait)."""
        if not 0 < message.request <= self._last_request:
            raise BadMessage(f"an answer to request {message.request}, which was never made")

    # -- time ----------------------------------------------------------------------------------

    async def look_after(self) -> None:
        """Kill the child when it stops answering, or does not end; until cancelled. Checkpoint: yes."""
        clock = trio.lowlevel.current_clock()
        if clock.deadline_to_sleep_time(clock.current_time() + LOOK_S) > 2 * LOOK_S:
            return  # virtual time would jump past every grace
        while True:
            await trio.sleep(LOOK_S)
            now = time.monotonic()
            if self._cancelled is not None and now - self._cancelled > self._limits.cleanup_s:
                self.kill("cleanup", f"did not end within {self._limits.cleanup_s:g} s of its cancellation")
            elif self._pinged is None:
                self._pinged = now
                self.post(Ping())
            elif now - self._pinged > self._limits.grace_s:
                # Perhaps it was this program that stood still: the answer may be here.
                await trio.sleep(LOOK_S)
                if self._pinged is not None:
                    self._not_answering()

    def answered(self) -> None:
        """Note that the child has answered a ping."""
        self._pinged = None

    def must_end(self) -> None:
        """Note that everything in the child was cancelled."""
        if self._cancelled is None:
            self._cancelled = time.monotonic()

    # -- death ---------------------------------------------------------------------------------

    def kill(self, limit: str | None, what: str) -> None:
        """End the child; the first reason counts. Checkpoint: no."""
        if self.death is None:
            self.death = IsolateDied(
                f"the process of the isolated Lua runtime {what} and was killed; open a new runtime",
                limit=limit,
            )
        self.process.kill()

    def _not_answering(self) -> None:
        self.kill("stuck", f"did not answer for {self._limits.grace_s:g} s")

    def violated(self, error: Exception) -> None:
        """End a child that sent what no child of ours sends."""
        self.kill("protocol", f"broke the protocol ({error})")
        assert self.death is not None
        self.death.__cause__ = error

    def cause_of_death(self) -> IsolateDied:
        """Return the error for a child that has ended without saying so."""
        if self.death is None:
            self.death = explain(
                self.process.returncode, cpu_s=self._limits.cpu_s, memory_bytes=self._limits.memory_bytes
            )
        self.death.returncode = self.process.returncode
        return self.death
