"""The Lua virtual machine: the only file that imports lupa.

Belongs here: choosing the engine, loading our Lua files, and the kernel's functions as Python callables.
Hazards that shape it (docs/design.md, "The boundary"): strings cross as bytes; objects of Lua come to
Python only from kernel loops, whose states live as long as the runtime; no Python function is reachable
from a script, except through the kernel.
"""

from __future__ import annotations

import importlib
import math
import time
import weakref
from collections.abc import Callable
from typing import Any, NoReturn

from bridge.arming import Arming
from bridge.capi import CApi, CApiMissing
from bridge.errors import LuaSyntaxError, SchedulerError
from bridge.preemption import Preemption
from stdlib_lua import sources

__all__ = ["ENGINES", "VM", "KernelFunctions"]

# Engine name to lupa module. Plain `lupa.LuaRuntime` is Lua 5.5 since lupa 2.7, so name them.
ENGINES = {"lua54": "lupa.lua54", "lua55": "lupa.lua55", "luajit": "lupa.luajit21"}

# What must be left of `max_memory` beside the text of a file that enters: lupa and the string's own header.
SOURCE_MARGIN_BYTES = 64 * 1024


def _deny(_object: object, _name: object, _setting: bool) -> NoReturn:
    raise AttributeError("host objects are opaque")


class VM:
    """One Lua state with the kernel loaded."""

    def __init__(
        self,
        engine: str,
        *,
        now: Callable[[], float],
        freeze: Callable[[], None],
        stop: Callable[[], bytes] | None,
        open_module: Callable[[bytes], tuple[Any, ...]] | None = None,
        portal: bool = True,
        max_memory: int | None = None,
    ) -> None:
        """Create the state and load the kernel.

        Args:
            engine: a key of `ENGINES`.
            now: the clock, seconds; must not raise.
            freeze: switches to another kernel loop (portal.py).
            stop: the same for a task that has overrun its slice (preemption.py); None: no preemption.
            open_module: gives the host functions of one of our modules (kernel.lua); must not raise.
                None: there are none.
            max_memory: bytes that Lua may have, its own libraries included. Only an outer wall: a value
                that enters Lua when it is reached ends the process, so ask `room` first.
            portal: False does without the C API, as where it is missing.

        Raises:
            SchedulerError: unknown engine, or this build of lupa lacks it.
        """
        if engine not in ENGINES:
            known = ", ".join(ENGINES)
            raise SchedulerError(f"unknown engine {engine!r}; known are {known}")
        try:
            module = importlib.import_module(ENGINES[engine])
        except ImportError as error:
            raise SchedulerError(f"this build of lupa has no {engine}: {error}") from error
        self.engine = engine
        self.module = module
        self._max_memory = max_memory
        self._lua = module.LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_deny,
            max_memory=max_memory,
        )
        self.globals = self._lua.globals()
        self.new_table: Callable[[], Any] = self._lua.table
        self.table_type: type = type(self._lua.table())
        self.function_type: type = type(self._lua.eval(b"print"))
        self.exact_integers = engine != "luajit"
        # Why the portal cannot be used; None when it can.
        self.portal_missing: str | None = None
        self._capi: CApi | None = None
        # Taken before a script can replace them.
        self._format = self._lua.eval(b"string.format")
        self._sethook = self._lua.eval(b"debug.sethook")
        # Address of the C function behind debug.sethook.
        self._hook = 0

        door = self._lua.table()
        door[b"now"] = now
        door[b"real_now"] = time.perf_counter
        door[b"cpu_now"] = time.thread_time
        door[b"open_module"] = open_module
        if portal:
            self._open_portal(door, freeze)
        else:
            self.portal_missing = "switched off"
        if self.portal_missing is not None:
            door[b"portal_missing"] = self.portal_missing.encode()
        door[b"source"] = self._sources()
        boot = self._load(sources()["boot"], b"@[scheduler]/boot.lua")
        self.embed = boot(door)
        self.kernel = KernelFunctions(self.embed)
        # None where tasks cannot be preempted: LuaJIT, or no C API.
        self.preemption: Preemption | None = None
        self.preemption_missing: str | None = None
        self._arming: Arming | None = None
        self._open_preemption(stop)
        door[b"can_preempt"] = self.preemption is not None
        self.embed[b"install"](self.globals)

    def _sources(self) -> Callable[[bytes], bytes | None]:
        """Make the function that gives Lua the text of one of our files, when it is first needed.

        All of them together are half a megabyte, which every runtime would hold until it is collected.
        """
        this = weakref.ref(self)  # Lua must not keep what keeps it

        def source(name: bytes) -> bytes | None:
            text = sources()[name.decode()]
            vm = this()
            # None: a string that does not fit below `max_memory` would end the process.
            return text if vm is not None and vm.room() > len(text) + SOURCE_MARGIN_BYTES else None

        return source

    def _load(self, source: bytes, name: bytes) -> Any:
        loader = self._lua.eval(b"load")
        result = loader(source, name)
        if isinstance(result, tuple):
            raise LuaSyntaxError(result[1].decode(errors="replace"))
        return result

    def _open_portal(self, door: Any, freeze: Callable[[], None]) -> None:
        target: list[Callable[[], None]] = []
        probes: list[int] = []
        try:
            capi = CApi.load(self.module)
            # Not the main state: its address is not to be had on LuaJIT. A coroutine of our own does.
            self._keep = self._lua.eval(b"function() end").coroutine()
            capi.set_global_function(self._address(self._keep), b"[portal]", lambda: target[0]())
            portal = self.globals[b"[portal]"]
            self.globals[b"[portal]"] = None
            target.append(lambda: probes.append(1))
            portal()
            if probes != [1]:
                raise CApiMissing("a C function made through it was not called")
        except (CApiMissing, OSError, ValueError) as error:
            self.portal_missing = str(error)
            return
        target[0] = freeze
        door[b"portal"] = portal
        self._capi = capi

    def _open_preemption(self, stop: Callable[[], bytes] | None) -> None:
        if stop is None:
            self.preemption_missing = "switched off"
            return
        if self._capi is None:
            self.preemption_missing = self.portal_missing
            return
        capi = self._capi
        self._reader = self._lua.eval(b"function() end").coroutine()
        suspended = self._lua.eval(b"function() coroutine.yield() end").coroutine()
        suspended.send(None)
        self.globals[b"[levels]"] = self.embed[b"levels"]
        try:
            capi.prepare_hooks()
            self._arming = Arming(capi, self.engine, self._address(suspended))
            self.preemption = Preemption(
                capi,
                self._arming,
                reader=self._address(self._reader),
                levels=b"[levels]",
                stop=stop,
            )
        except CApiMissing as error:
            self.preemption_missing = str(error)
        finally:
            self.globals[b"[levels]"] = None

    def _address(self, thread: Any) -> int:
        text: bytes = self._format(b"%p", thread)
        return int(text, 16)

    def room(self) -> float:
        """Bytes left below `max_memory`."""
        if not self._max_memory:
            return math.inf
        return float(self._max_memory - self._lua.get_memory_used(total=True))

    def new_loop(self, number: int) -> tuple[Any, int]:
        """Make the coroutine of kernel loop `number`; it lives as long as this object.

        Returns:
            lupa's thread object and the address of its lua_State, 0 without the C API.
        """
        thread = self.embed[b"loop"].coroutine(number)
        if self._capi is None:
            return thread, 0
        address = self._address(thread)
        # debug.sethook records the Lua function; the C hook it installs is what `arm` needs.
        self._sethook(thread, self.embed[b"end_slice"], b"", 1)
        self._hook = self._capi.hook_of(address) or 0
        self._capi.disarm(address)
        return thread, address

    @property
    def can_end_slices(self) -> bool:
        """Whether `end_slice` works; otherwise the kernel reads the clock at each step."""
        return self._capi is not None

    def end_slice(self, address: int) -> None:
        """Let the kernel loop at `address` stop after its step. Callable from any OS thread."""
        if self._arming is not None and self._hook:
            self._arming.arm(address, self._hook, 1)
        elif self._capi is not None and self._hook:
            self._capi.arm(address, self._hook)

    def slice_ended(self, address: int) -> None:
        """Undo `end_slice`."""
        if self._capi is not None:
            self._capi.disarm(address)

    def close(self) -> None:
        """Cut every way from Lua to Python; the state itself goes with its last reference."""
        self.embed[b"close"](self.globals)


class KernelFunctions:
    """The kernel's functions (embed.lua) as attributes: `lua.emit(...)`; each is looked up once."""

    def __init__(self, embed: Any) -> None:
        self._embed = embed

    def __getattr__(self, name: str) -> Any:
        function = self._embed[name.encode()]
        if function is None:
            raise AttributeError(f"the kernel has no function {name!r}")
        setattr(self, name, function)
        return function
