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
_CHook = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)

# What a hook needs beyond the portal: name, result, arguments.
_VOIDP, _INT = ctypes.c_void_p, ctypes.c_int
_FOR_HOOKS: dict[str, tuple[Any, list[Any]]] = {
    "lua_gethookmask": (_INT, [_VOIDP]),
    "lua_gethookcount": (_INT, [_VOIDP]),
    "lua_tothread": (_VOIDP, [_VOIDP, _INT]),
    "lua_getglobal": (_INT, [_VOIDP, ctypes.c_char_p]),
    "lua_gettop": (_INT, [_VOIDP]),
    "lua_settop": (None, [_VOIDP, _INT]),
    "lua_rawgeti": (_INT, [_VOIDP, _INT, ctypes.c_longlong]),
}

# A hook as Lua keeps it: C function or None, mask, count.
Hook = tuple[int | None, int, int]
NO_HOOK: Hook = (None, 0, 0)


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

    # -- hooks of our own (Lua 5.2 and later) ------------------------------------------------------

    def prepare_hooks(self) -> None:
        """Make the functions below usable.

        Raises:
            CApiMissing: the Lua inside does not export what is needed (LuaJIT does not).
        """
        for name, (result, arguments) in _FOR_HOOKS.items():
            if not hasattr(self._dll, name):
                raise CApiMissing(f"{name} is not exported")
            function = getattr(self._dll, name)
            function.restype, function.argtypes = result, arguments

    def make_hook(self, function: Callable[[int], None]) -> int:
        """Return the address of a C hook that calls `function(state)`, which must not raise."""

        def call(state: int, _activation: int) -> None:
            function(state)

        callback = _CHook(call)
        self._callbacks.append(callback)
        address = ctypes.cast(callback, ctypes.c_void_p).value
        assert address is not None
        return address

    def get_hook(self, state: int) -> Hook:
        """Return the thread's hook, for `set_hook`. Callable from any OS thread."""
        dll = self._dll
        return dll.lua_gethook(state), dll.lua_gethookmask(state), dll.lua_gethookcount(state)

    def set_hook(self, state: int, hook: Hook) -> None:
        """Give the thread this hook. Callable from any OS thread, see `arm`."""
        self._dll.lua_sethook(state, *hook)

    def thread_at(self, reader: int, table: int, index: int) -> int | None:
        """Return the coroutine in an array kept on `reader`, which nobody else uses.

        Callable from any OS thread if the array does not grow and its slots hold nothing but coroutines.
        """
        dll = self._dll
        dll.lua_rawgeti(reader, table, index)
        address: int | None = dll.lua_tothread(reader, -1)
        dll.lua_settop(reader, -2)
        return address

    def keep_global(self, state: int, name: bytes) -> int:
        """Push the global `name` onto `state`, which never runs; returns its index for `thread_at`."""
        self._dll.lua_getglobal(state, name)
        index: int = self._dll.lua_gettop(state)
        return index

    # -- memory, for arming.py ---------------------------------------------------------------------

    def peek_pointer(self, address: int) -> int:
        """Read a pointer; 0 for none."""
        return ctypes.c_void_p.from_address(address).value or 0

    def peek_int(self, address: int) -> int:
        """Read a C int."""
        return ctypes.c_int.from_address(address).value

    def poke_pointer(self, address: int, value: int) -> None:
        """Write a pointer."""
        ctypes.c_void_p.from_address(address).value = value

    def poke_int(self, address: int, value: int) -> None:
        """Write a C int."""
        ctypes.c_int.from_address(address).value = value

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
