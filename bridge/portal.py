"""The portal: kernel loops on greenlets, so that a task may wait where Lua cannot yield.

Belongs here: every greenlet of the project. A kernel loop is a Lua coroutine driven by a greenlet. When a
task waits inside a C call of Lua (a `table.sort` comparator), its loop's C stack is left as it is and
another loop goes on with the same run queue; the frozen one is switched back in when the task is ready.
As an operating-system thread in a blocking call hands its processor over (Go's scheduler, cqueues).

Safe only because no switch ever happens inside a Python function that lupa called: the portal is a raw C
function (capi), and Python host functions run between two steps of the loop, on the loop's greenlet but
outside Lua. docs/design.md tells what the naive version breaks.
"""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable
from typing import Any

import attrs
import greenlet
import trio

__all__ = ["KernelLoop", "Loops", "Message"]

# What a loop tells its driver: a tag and values, as Lua yielded them.
Message = tuple[Any, ...]

_FROZEN: Message = (b"frozen",)
# Messages that end a loop's turn; the others are answered on the spot.
_FOR_THE_HUB = frozenset({b"idle", b"slice", b"pause", b"thaw"})
_OVERRUN: Message = (b"overrun",)

# Greenlets, and their Lua coroutines, whose C stack still holds Lua frames when a runtime ends: of abandoned
# tasks, or of a broken runtime. Unwinding such a stack would run Lua code of a dead runtime, so it is kept
# for ever, with the state it belongs to: some 100 kB to 1 MB. What scripts held there is let go
# (stdlib_lua/preemption.lua).
_abandoned: list[tuple[object, object]] = []


@attrs.define(eq=False)
class KernelLoop:
    """One kernel loop: a Lua coroutine and the greenlet that resumes it."""

    id: int
    # lupa's thread object; lives as long as the runtime, because lupa keeps bare pointers to it.
    thread: Any
    # Address of the coroutine's lua_State, for the watchdog; 0 when unknown.
    address: int
    greenlet: greenlet.greenlet
    frozen: bool = False
    # It gave trio a checkpoint in the middle of a task's step: it must go on before it can serve others.
    paused: bool = False
    # What the kernel said of its task, which had overrun its slice.
    verdict: bytes = b""
    # Number of the host call that it performs, 0 when it runs Lua.
    caller: int = 0
    # That task was cancelled while its host function was blocked: what it waits for must end.
    cancelled: bool = False
    # Ends what the blocked host function waits for; None when it does not wait.
    cancel_wait: Callable[[], None] | None = None


def _unpacked(packed: Any, *first: Any) -> Message:
    return (*first, *(packed[index] for index in range(1, int(packed[b"n"]) + 1)))


class Loops:
    """All kernel loops of one runtime; at most one of them runs, the others are frozen or spare."""

    def __init__(
        self,
        new_thread: Callable[[int], tuple[Any, int]],
        handle: Callable[[Message], Any],
        overrun: Callable[[], bytes],
    ) -> None:
        """Prepare; the first loop is made at the first slice.

        Args:
            new_thread: makes the Lua coroutine of loop number n, returns it and its address.
            handle: answers a message that needs no other greenlet (a host call, a task's end);
                runs on the loop's greenlet, may call `freeze`.
            overrun: decides what becomes of a task that was stopped in a hook: b"again", b"struck",
                b"aside", or b"abandoned": its loop and stack stay as they are for ever.
        """
        self._new_thread = new_thread
        self._handle = handle
        self._overrun = overrun
        self._loops: dict[int, KernelLoop] = {}
        self._spare: list[KernelLoop] = []
        self._thawed: deque[KernelLoop] = deque()
        self._active: KernelLoop | None = None
        self._hub: greenlet.greenlet | None = None
        self._closing = False

    @property
    def active(self) -> KernelLoop | None:
        """The loop that runs, or will run next."""
        return self._active

    @property
    def frozen_count(self) -> int:
        """How many loops hold the stack of a waiting task or host function."""
        return sum(loop.frozen for loop in self._loops.values())

    @property
    def has_thawed(self) -> bool:
        """Whether a blocked host function can go on: the driver must not park."""
        return bool(self._thawed)

    def run_slice(self) -> Message:
        """Let the kernel run until its slice is over or nothing is ready. Not a checkpoint.

        Returns:
            (b"idle", deadline or None), (b"slice", None) or (b"crash", exception).
        """
        self._hub = greenlet.getcurrent()
        loop = self._active
        if self._thawed:
            if loop is not None and loop.paused:
                self._thawed.append(loop)
            elif loop is not None:
                self._spare.append(loop)
            loop = self._thawed.popleft()
        elif loop is None:
            loop = self._fresh()
        while True:
            self._active = loop
            loop.frozen = loop.paused = False
            message: Message = loop.greenlet.switch()
            tag = message[0]
            if tag == b"frozen":
                loop.frozen = True
                loop = self._fresh()
            elif tag == b"thaw":
                self._spare.append(loop)
                loop = self._loops[message[1]]
            elif tag == b"pause":
                loop.paused = True
                return b"slice", None
            elif tag == b"overrun":
                loop.frozen = True  # should this fail, it never goes on
                loop.verdict = self._overrun()
                if loop.verdict in (b"aside", b"abandoned"):
                    loop = self._fresh()
            else:
                return message

    @trio.lowlevel.enable_ki_protection
    def freeze(self) -> None:
        """Leave the running loop's stack as it is until it is thawed. Called by Lua; never raises."""
        hub = self._hub
        assert hub is not None
        hub.switch(_FROZEN)

    @trio.lowlevel.enable_ki_protection
    def stop(self) -> bytes:
        """Stop the running task, which has overrun its slice, until its turn comes. Called in a hook.

        Returns:
            What became of it: b"aside"; b"struck"; or b"again", left to go on in the scheduler's own code;
            b"" when no task runs on this greenlet.
        """
        hub, loop = self._hub, self._active
        if hub is None or loop is None or loop.greenlet is not greenlet.getcurrent():
            return b""
        hub.switch(_OVERRUN)
        return loop.verdict

    def inside(self) -> KernelLoop | None:
        """Return the loop on whose greenlet the caller runs: it is in a synchronous host function."""
        loop = self._active
        # A destructor may run while Lua does: there, inside lupa, a switch would corrupt memory.
        if loop is None or not loop.caller or loop.greenlet is not greenlet.getcurrent():
            return None
        return loop

    def block(self, loop: KernelLoop, cancel_wait: Callable[[], None]) -> None:
        """Stop the synchronous host function on `loop`, the caller, until `unblock`.

        Args:
            loop: what `inside` returned.
            cancel_wait: called when the Lua task behind the host function is cancelled meanwhile.
        """
        loop.cancel_wait = cancel_wait
        try:
            self.freeze()
        finally:
            loop.cancel_wait = None

    def unblock(self, loop: KernelLoop) -> None:
        """Let a blocked host function go on at the next slice."""
        self._thawed.append(loop)

    def cancel_blocked(self, call_id: int) -> None:
        """Cancel what a blocked synchronous host call waits for, if it is one."""
        for loop in self._loops.values():
            if loop.caller == call_id and loop.cancel_wait is not None:
                loop.cancelled = True
                loop.cancel_wait()

    def _fresh(self) -> KernelLoop:
        if self._spare:
            return self._spare.pop()
        number = len(self._loops) + 1
        thread, address = self._new_thread(number)
        runner = greenlet.greenlet(self._run)
        # A new greenlet has an empty context: contextvars and sniffio would see nothing.
        runner.gr_context = contextvars.copy_context()
        loop = KernelLoop(number, thread, address, runner)
        self._loops[number] = loop
        return loop

    @trio.lowlevel.enable_ki_protection
    def _run(self) -> None:
        loop = self._active
        assert loop is not None
        send = loop.thread.send
        reply: Any = None
        while not self._closing:
            try:
                message: Message = send(reply)
                if message[0] == b"many":
                    message = _unpacked(*message[1:])
                tag = message[0]
                reply = None
                if tag in _FOR_THE_HUB:
                    assert self._hub is not None
                    self._hub.switch(message)
                elif tag == b"call":
                    loop.caller, loop.cancelled = message[1], False
                    reply = self._handle(message)
                    loop.caller = 0
                else:
                    reply = self._handle(message)
            except BaseException as error:
                assert self._hub is not None
                self._hub.switch((b"crash", error))

    def close(self) -> None:
        """End the greenlets that can end; the stacks of frozen ones are kept for ever."""
        self._closing = True
        self._hub = greenlet.getcurrent()
        for loop in self._loops.values():
            if loop.frozen:
                _abandoned.append((loop.greenlet, loop.thread))
            elif loop.greenlet:
                loop.greenlet.parent = self._hub
                loop.greenlet.switch()
        self._spare.clear()
        self._loops.clear()
        self._active = None
        # The frames of abandoned greenlets hold this object: it must not hold the runtime.
        del self._handle, self._overrun, self._new_thread
