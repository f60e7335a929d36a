"""Preemption: the watchdog's way into a task that does not give up the processor.

Belongs here: which coroutine is armed with a hook, and the hook. What becomes of the task is the kernel's
affair (stdlib_lua/preemption.lua); its stack stays as it is, on a greenlet (portal.py).

Arm outward-in. The kernel loop's coroutine was armed at an earlier look, and has not run an instruction
since: it is resuming the task. The coroutines of the task and of the script's own inside it are in
`kernel.nest.levels`, outermost first. No stack is read from here: it may move at any moment (measured: a
crash within a second).

Why a pointer that was read is still valid when it is armed: to let go a coroutine, the one that resumed it
must go on; that one is armed already, and its hook first takes the lock that is held here. (The kernel
loop's hook is plain Lua; but the loop keeps what it has resumed until the driver has got the lock.)
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import trio

from bridge.arming import Arming
from bridge.capi import NO_HOOK, CApi, Hook

__all__ = ["Preemption"]

# Where the kernel itself is running, whose functions are short, the next try comes after a random number of
# instructions: with a fixed one a loop of the script that calls it could be met there for ever. The range
# doubles from this to that: a try costs 10 us, and there are scripts that are nearly always in the kernel;
# but an instruction may be the call of a C function that takes half a millisecond (debug.traceback).
_SOON, _LATE = 64, 512


class Preemption:
    """The hooks of one runtime; see the module's docstring."""

    def __init__(
        self, capi: CApi, arming: Arming, *, reader: int, levels: bytes, stop: Callable[[], bytes]
    ) -> None:
        """Prepare.

        Args:
            capi: of the runtime's engine, with hooks prepared.
            arming: the same engine's.
            reader: address of a coroutine that never runs, for the watchdog's thread.
            levels: name of a global: the kernel's array.
            stop: called in the hook: lets others run and returns when the task goes on, with the kernel's
                verdict; b"again": it stood in code of the scheduler, ask again soon.
        """
        self._capi = capi
        self._arming = arming
        self._stop = stop
        self._reader = reader
        self._levels = capi.keep_global(reader, levels)
        self._nobody = capi.thread_at(reader, self._levels, 2)
        self._hook = capi.make_hook(self._on_hook)
        # The range of the next try; grows while a slice's tries end in the kernel.
        self._range = _SOON
        # Held while coroutines are looked at from the watchdog's thread.
        self.lock = threading.Lock()
        # Armed in this slice: none of them has run an instruction since.
        self._wanted: set[int] = set()
        # Armed, with the hook each had before: the script's own, if it uses debug.sethook.
        self._armed: dict[int, Hook] = {}

    def reach(self, loop: int) -> None:
        """Arm the running task's coroutine and those inside it. Watchdog's thread, with the lock.

        Args:
            loop: address of the kernel loop's coroutine, armed at an earlier look.
        """
        capi = self._capi
        if capi.get_hook(loop)[1] == 0:
            return  # it has run: the slice is ending
        level = 1
        state = capi.thread_at(self._reader, self._levels, level)
        while state is not None and state != self._nobody:
            hook = capi.get_hook(state)
            if state not in self._wanted or hook[0] != self._hook:
                # Not armed yet; or armed, and then the script has set a hook of its own.
                self._arm(state, hook, 1)
            else:
                # The flag may have landed in the record of a function that returned just then; the one
                # that runs now would not see the hook, and a loop without calls would go on.
                self._arming.remind(state)
            level += 1
            state = capi.thread_at(self._reader, self._levels, level)

    def _arm(self, state: int, before: Hook, instructions: int) -> None:
        self._wanted.add(state)
        if before[0] != self._hook:
            self._armed[state] = before
        self._arming.arm(state, self._hook, instructions)

    def slice_ended(self) -> None:
        """Forget who is wanted. A hook that is still armed removes itself when it runs."""
        self._wanted.clear()
        self._range = _SOON

    @trio.lowlevel.enable_ki_protection
    def _on_hook(self, state: int) -> None:
        with self.lock:
            before = self._armed.pop(state, NO_HOOK)
            wanted = state in self._wanted
            others = self._wanted - {state}
            self._wanted.clear()
            self._capi.set_hook(state, before)
        verdict = self._stop() if wanted else b""
        if verdict == b"again":
            with self.lock:
                # Those around it have not run an instruction: a task that is nearly always in finalizers is
                # stopped when it comes out of one.
                self._wanted |= others
                self._arm(state, before, random.randrange(1, self._range))
                self._range = min(self._range * 2, _LATE)
        elif wanted:
            self._range = _SOON
