"""The part of Lua's C API that lupa does not offer, through ctypes.

Belongs here: every ctypes call of the project. lupa's wheels export the C API of the Lua they contain;
that is not documented, so `CApi.load` tests it and says why it is missing. Callers then do without.

Rules (docs/design.md, "The portal"): functions are called with the GIL held (PyDLL); a callback never
raises and is never unwound by a Lua error.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import ModuleType
from typing import Any

import attrs

__all__ = ["CApi", "CApiMissing", "flush_stdout"]

# Lua 5.1's pseudo-index of the table of globals; 5.2 and later have lua_setglobal instead.
LUA_GLOBALSINDEX_51 = -10002
LUA_MASKCOUNT = 8

_CFunction = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class CApiMissing(Exception):
    """The C API cannot be used; the message says what is missing."""


@attrs.define(eq=False)
class CApi:
    """Lua's C API of one lupa module (`lupa.lua54`, ...)."""

    _dll: ctypes.PyDLL
    # Callbacks that Lua may still call; ctypes frees them with their last reference.
    _callbacks: list[Any] = attrs.field(factory=list)

    @classmethod
    def load(cls, module: ModuleType) -> CApi:
        """Open the module's shared object.

        Raises:
            CApiMissing: the object cannot be opened or does not export what is needed.
        """
        path = module.__file__
        if path is None:
            raise CApiMissing(f"{module.__name__} has no file")
        try:
            dll = ctypes.PyDLL(path)
        except OSError as error:
            raise CApiMissing(f"cannot open {path}: {error}") from error
        for name in ("lua_pushcclosure", "lua_setfield", "lua_sethook", "lua_gethook", "lua_settop"):
            if not hasattr(dll, name):
                raise CApiMissing(f"{module.__name__} does not export {name}")
        dll.lua_pushcclosure.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
        dll.lua_pushcclosure.restype = None
        dll.lua_setfield.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
        dll.lua_setfield.restype = None
        dll.lua_sethook.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
        dll.lua_gethook.argtypes = [ctypes.c_void_p]
        dll.lua_gethook.restype = ctypes.c_void_p
        if hasattr(dll, "lua_setglobal"):
            dll.lua_setglobal.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
            dll.lua_setglobal.restype = None
        return cls(dll)

    def set_global_function(self, state: int, name: bytes, function: Callable[[], None]) -> None:
        """Make `function` a global C function without arguments or results.

        Args:
            state: address of a `lua_State` that is not running.
            name: the global's name.
            function: must not raise.
        """

        def call(_state: int | None) -> int:
            function()
            return 0

        callback = _CFunction(call)
        self._callbacks.append(callback)
        self._dll.lua_pushcclosure(state, ctypes.cast(callback, ctypes.c_void_p), 0)
        if hasattr(self._dll, "lua_setglobal"):
            self._dll.lua_setglobal(state, name)
        else:
            self._dll.lua_setfield(state, LUA_GLOBALSINDEX_51, name)

    def hook_of(self, state: int) -> int | None:
        """Return the address of the hook that `debug.sethook` installed on this thread."""
        address: int | None = self._dll.lua_gethook(state)
        return address

    def arm(self, state: int, hook: int) -> None:
        """Let `hook` run at the next instruction of `state`. Callable from any OS thread.

        Source: Lua manual, lua_sethook; "can be called asynchronously" in ldebug.c and lj_dispatch.c.
        """
        self._dll.lua_sethook(state, hook, LUA_MASKCOUNT, 1)

    def disarm(self, state: int) -> None:
        """Remove the hook; `debug.sethook`'s own record of it stays, so that `arm` works again."""
        self._dll.lua_sethook(state, None, 0, 0)


def flush_stdout() -> None:
    """Flush C's stdout, where Lua's `print` and `io.write` go; Python's own buffer is another one."""
    try:
        libc = ctypes.CDLL(None)
        stdout = ctypes.c_void_p.in_dll(libc, "stdout")
        libc.fflush(stdout)
    except (OSError, ValueError, AttributeError):
        # A platform without that symbol: C flushes when the process ends.
        return
