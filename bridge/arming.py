"""Arming: giving a running Lua coroutine a hook from another OS thread.

Belongs here: where Lua keeps the fields that `lua_sethook` writes. That function is made for signal handlers,
during which the coroutine stands still. It also visits every active function of the coroutine; in another
thread that is a walk along a list that changes under it, and a script that returns out of a deep recursion
crashed the process within a second (measured; tests/stress/preemption.py). What is written here instead are
the same fields, and the flag of the function that runs now: nothing is walked. Functions called later see
the hook by themselves.

The fields' places belong to Lua's versions, are in no header that it installs, and are proved before the
first use: `Arming` lets `lua_sethook` write them in a coroutine that stands still and looks where it wrote.
"""

from __future__ import annotations

import attrs

from bridge.capi import LUA_MASKCOUNT, CApi, CApiMissing

__all__ = ["Arming"]


@attrs.frozen
class _Layout:
    """Offsets in bytes. Source: lstate.h of that version."""

    # In lua_State.
    hook: int
    base_count: int
    count: int
    mask: int
    ci: int
    # In CallInfo.
    previous: int
    trap: int
    status: int
    # The bit of `status` that says: a C function.
    is_c: int


_LAYOUTS = {
    "lua54": _Layout(160, 184, 188, 192, 32, previous=16, trap=40, status=60, is_c=1 << (16 + 1)),
    "lua55": _Layout(160, 188, 192, 196, 32, previous=16, trap=40, status=60, is_c=1 << 15),
}
# Functions looked at from the running one outward, for one that is Lua's: a C function calls few others.
_DEPTH = 3
# An address and a number that nothing else has.
_PROBE_HOOK, _PROBE_COUNT = 0x5A5A5A5A5A50, 0x5A5A5A


class Arming:
    """Arms coroutines of one runtime."""

    def __init__(self, capi: CApi, engine: str, suspended: int) -> None:
        """Prove the layout.

        Args:
            capi: of the engine, with hooks prepared.
            engine: "lua54" or "lua55".
            suspended: address of a coroutine that waits in `coroutine.yield`, called by a Lua function.

        Raises:
            CApiMissing: no layout for this engine, or it is not what this build of Lua has.
        """
        if engine not in _LAYOUTS:
            raise CApiMissing(f"{engine} cannot be preempted")
        self._capi = capi
        self._layout = _LAYOUTS[engine]
        if not self._proved(suspended):
            raise CApiMissing(f"this build of {engine} keeps its hooks elsewhere")

    def arm(self, state: int, hook: int, instructions: int) -> None:
        """Let `hook` run on `state` after so many instructions. Callable from any OS thread.

        A C function that is running is not interrupted; the Lua function that called it is.
        """
        capi, layout = self._capi, self._layout
        capi.poke_pointer(state + layout.hook, hook)
        capi.poke_int(state + layout.base_count, instructions)
        capi.poke_int(state + layout.count, instructions)
        capi.poke_int(state + layout.mask, LUA_MASKCOUNT)
        self.remind(state)

    def remind(self, state: int) -> None:
        """Let the function that runs now see the hook of an armed `state`. Callable from any OS thread."""
        capi, layout = self._capi, self._layout
        activation = capi.peek_pointer(state + layout.ci)
        for _ in range(_DEPTH):
            if not activation:
                return
            if not self._is_c(activation):
                capi.poke_int(activation + layout.trap, 1)
                return
            activation = capi.peek_pointer(activation + layout.previous)

    def _is_c(self, activation: int) -> bool:
        return self._capi.peek_int(activation + self._layout.status) & self._layout.is_c != 0

    def _proved(self, state: int) -> bool:
        # The fields of lua_State first: a Lua where they are elsewhere is refused before a pointer is
        # followed.
        capi, layout = self._capi, self._layout
        probe = (_PROBE_HOOK, LUA_MASKCOUNT, _PROBE_COUNT)
        capi.set_hook(state, probe)
        found = (
            capi.peek_pointer(state + layout.hook),
            capi.peek_int(state + layout.base_count),
            capi.peek_int(state + layout.count),
            capi.peek_int(state + layout.mask),
        )
        capi.set_hook(state, (None, 0, 0))
        mask = capi.peek_int(state + layout.mask)
        if (*found, mask) != (_PROBE_HOOK, _PROBE_COUNT, _PROBE_COUNT, LUA_MASKCOUNT, 0):
            return False
        yielding = capi.peek_pointer(state + layout.ci)
        caller = capi.peek_pointer(yielding + layout.previous)
        if not self._is_c(yielding) or self._is_c(caller):
            return False
        capi.poke_int(caller + layout.trap, 0)
        capi.set_hook(state, probe)
        trap = capi.peek_int(caller + layout.trap)
        capi.set_hook(state, (None, 0, 0))
        return trap == 1
