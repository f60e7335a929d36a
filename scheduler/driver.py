"""The driver: the one trio task that feeds the kernel.

Belongs here: when the kernel runs, when trio does, and how ends and errors get out. trio sees one driver,
one deadline, however many Lua tasks there are. Idle costs nothing: the driver parks until a host call
completes, a deadline comes, or somebody outside calls.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import outcome
import trio

from bridge.errors import (
    ConversionError,
    DeadlockError,
    LuaError,
    LuaSyntaxError,
    RuntimeClosed,
    SchedulerCrash,
    ScriptExit,
    TaskCancelled,
    WaitingTask,
    WrongThread,
    printable,
)
from bridge.host import HostFunctions
from bridge.modules.net import Grants, Net
from bridge.portal import KernelLoop, Loops
from bridge.reactor import Reactor
from bridge.traffic import Ledger
from bridge.vm import VM
from bridge.watchdog import SLICE_S, STEP_S, VIRTUAL_SLICE_S, Watchdog
from bridge.wire import Wire
from scheduler.clock import is_virtual
from scheduler.endings import Endings
from scheduler.failure import lua_error
from scheduler.limits import Limits
from scheduler.resources import Capacity, Resources
from scheduler.task import LuaTask, RuntimeStatistics, TaskInfo
from scheduler.values import Values

__all__ = ["Driver"]

# lupa's own limit stands so far behind ours: ours is looked at every 10 ms, and Lua needs some memory to
# end a task.
WALL_BYTES = 48 * 1024**2
# Of these, what no value that enters may take.
MARGIN_BYTES = 8 * 1024**2
# Characters of the reason of a cancellation in a message.
MAX_REASON = 1000
# In a limited run a conversion, which nothing interrupts, takes at most about a tenth of a second: so many
# numbers or strings, or a tenth as many tables.
LIMITED_VALUES = 200_000
# And a table's strings, which Lua keeps once and Python as often as they are reached.
LIMITED_BYTES = 64 * 1024**2

# How long the driver waits for the network alone, see `Driver._exchange`; the selector counts milliseconds.
LINGER_S = 0.001

# The guards bound single calls of C functions to some 50 ms; what takes so long more is not one of theirs.
STUCK_GRACE_S = 2.0

_log = logging.getLogger("scheduler")


class Driver:
    """One Lua VM and what keeps it running."""

    def __init__(
        self,
        engine: str,
        *,
        detect_deadlock: bool,
        portal: bool,
        measure: bool,
        slice_s: float | None = None,
        on_stuck: Callable[[], None] | None = None,
        memory_bytes: float | None = None,
    ) -> None:
        """Load the VM; `run` drives it.

        Args:
            engine: "lua54", "lua55" or "luajit".
            detect_deadlock: end with DeadlockError when every task waits and nothing in this process can
                wake one. Off, such a runtime is idle: Python may still emit an event.
            portal: see VM.
            measure: count steps and run time of each task.
            slice_s: a task that has not given up the processor for so long is preempted; math.inf: never;
                None: 10 ms, or 1 s of real time when trio's clock is a virtual one. At most 10 ms once
                there is a limit. trio gets a checkpoint after 4 ms, with a virtual clock after 1 s.
            on_stuck: called from another OS thread when a slice outlasts the limits by far, which only a
                single call of a C function can do.
            memory_bytes: what all scripts together may use; a wall is put up somewhat behind it.
        """
        clock = trio.lowlevel.current_clock()
        self.endings = Endings(self.cancel_all)
        self.loops = Loops(self._new_loop, self._handle, self._overrun)
        end_s, step_s = SLICE_S, STEP_S
        if is_virtual() and slice_s in (None, math.inf):
            end_s = step_s = VIRTUAL_SLICE_S
        if slice_s is not None:
            step_s = slice_s
        self.vm = VM(
            engine,
            now=clock.current_time,
            freeze=self.loops.freeze,
            stop=self.loops.stop if step_s < math.inf else None,
            open_module=_weakly(self._open_module),
            portal=portal,
            max_memory=None if memory_bytes is None else int(memory_bytes) + WALL_BYTES,
        )
        self.values = Values(self, self.vm)
        self.host = HostFunctions(
            self.values.converter,
            wake=self.wake,
            on_fatal=self.endings.fatal,
            was_cancelled=self._caller_was_cancelled,
            cancel_blocked=self.loops.cancel_blocked,
        )
        self.values.connect(self.host)
        self._has_wall = memory_bytes is not None
        if self._has_wall:
            self.values.converter.check_room = self._check_room
        self._lua = self.vm.kernel
        preemption = self.vm.preemption
        self._watchdog = Watchdog(
            self,
            preemption.lock if preemption else threading.Lock(),
            step_s=step_s,
            slice_s=end_s,
        )
        self._on_stuck = on_stuck
        if not self.vm.can_end_slices:
            self._lua.time_slices(end_s)
        if measure:
            self._lua.measure()
        self._ledger = Ledger(self._running_call)
        # None while nobody has asked for it: counting costs something at each step.
        self._resources: Resources | None = None
        self._detect_deadlock = detect_deadlock
        self._thread = threading.get_ident()
        self._parked: trio.lowlevel.Task | None = None
        # Parked until this descriptor is readable; -1: until it is woken.
        self._watched = -1
        # None until a script asks for the network.
        self._wire: Wire | None = None
        # Hosts the network may reach; None: all.
        self.grants: Grants | None = None
        # Real time at which trio gets its next checkpoint, however much comes from the network.
        self._turn_ends = 0.0
        # The last answer came so soon that it was worth waiting for it without trio.
        self._lingers = False
        # trio had nothing to do but us, and neither it nor the program has had a turn since.
        self._alone = False
        self._woken = False
        self._leaving = False
        self.closed = False
        # Addresses of the loops that the watchdog has armed in this slice.
        self._armed: list[int] = []
        self._slices = 0

    # -- the loop ------------------------------------------------------------------------------

    async def run(self, *, on_failure: Callable[[], None]) -> None:
        """Drive until `leave` was called and every task has ended.

        Shielded: cancellation arrives as `cancel_all`, so that Lua's cleanup runs. Checkpoint: yes.

        Args:
            on_failure: called once when a failure has nobody to receive it.
        """
        self.endings.on_failure = on_failure
        self._ledger.enter()
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as workers:
                self.host.workers.open(workers)
                try:
                    await self._drive()
                except Exception as error:
                    self._crash(error)
                finally:
                    if self.endings.crashed:
                        workers.cancel_scope.cancel()
                    self.host.close()
                    self._close()

    async def _drive(self) -> None:
        while True:
            self._woken = False
            self._deliver()
            tag, detail = self._slice()
            if tag == b"crash":
                self._crash(detail)
                return
            came = self._wire is not None and self._exchange(self._wire, tag == b"idle", detail)
            if tag == b"slice" or (came and time.perf_counter() >= self._turn_ends):
                # Two: trio runs each batch of ready tasks in random order, so after one checkpoint a
                # neighbour may not have had its turn yet.
                await trio.lowlevel.cancel_shielded_checkpoint()
                await trio.lowlevel.cancel_shielded_checkpoint()
                self._turn_ends = time.perf_counter() + SLICE_S
                self._alone = False
            elif came:
                pass  # at once: what came is worth more than a look at what trio has
            elif self._woken or self.host.workers.has_completed or self.loops.has_thawed:
                await trio.lowlevel.cancel_shielded_checkpoint()
            elif self._leaving and self._finished():
                return
            elif detail is None and self._stuck():
                if self.endings.fatal_error is None:
                    self.endings.fatal(DeadlockError(self.waiting_tasks(), self._cycles()))
                else:
                    # Everything is cancelled and a shielded wait is left that nobody can end.
                    self._lua.kill_all()
                    await trio.lowlevel.cancel_shielded_checkpoint()
            else:
                await self._park(math.inf if detail is None else detail)

    def _finished(self) -> bool:
        if all(task.background for task in self.endings.tasks.values()):
            for task in list(self.endings.tasks.values()):
                self.cancel_task(task, "the runtime is closing")
        return not self.endings.tasks

    def _slice(self) -> tuple[bytes, Any]:
        self._slices += 1
        self._watchdog.slice_begins()
        tag, detail = self.loops.run_slice()
        self._watchdog.slice_ends()
        while self._armed:
            self.vm.slice_ended(self._armed.pop())
        if self.vm.preemption is not None:
            self.vm.preemption.slice_ended()
        return tag, detail

    def end_slice(self) -> None:
        """Let the slice end after its step. Called by the watchdog's thread."""
        loop = self.loops.active
        if loop is not None and loop.address and loop.address not in self._armed:
            self._armed.append(loop.address)
            self.vm.end_slice(loop.address)

    def preempt(self) -> None:
        """Set the running task aside, wherever it is. Called by the watchdog's thread."""
        loop = self.loops.active
        if loop is not None and loop.address in self._armed and self.vm.preemption is not None:
            self.vm.preemption.reach(loop.address)

    def _overrun(self) -> bytes:
        verdict: bytes = self._lua.overrun()
        return verdict

    def stuck(self) -> bool:
        """The loop has not turned for too long. Called by the watchdog's thread.

        Returns:
            False: a host function is running, so the time is the program's.
        """
        loop = self.loops.active
        if loop is not None and loop.caller:
            return False
        if self._on_stuck is not None:
            try:
                self._on_stuck()
            except BaseException:
                _log.exception("on_stuck raised")
        return True

    async def _park(self, deadline: float) -> None:
        self._parked = trio.lowlevel.current_task()
        if self._wire is not None and self._wire.reactor.count > 0:
            began = time.perf_counter()
            await self._park_at(self._wire.reactor.fd, deadline)
            now = time.perf_counter()
            self._lingers = now - began < LINGER_S
            self._alone = False
            self._turn_ends = now + SLICE_S
            return
        if deadline == math.inf:
            await trio.lowlevel.wait_task_rescheduled(_never_abort)
            return
        with trio.CancelScope(deadline=deadline):
            await trio.lowlevel.wait_task_rescheduled(self._abort_park)
        self._parked = None

    def _exchange(self, wire: Wire, idle: bool, deadline: float | None) -> bool:
        """Exchange with the network; wait a moment for it when nothing else is to be done.

        A round through trio costs as much as an echo. Whatever else may come meanwhile, from other threads,
        is late by that moment; so it is done only while answers come within it.

        Returns:
            Whether something came.
        """
        if not (idle and self._lingers) or self._woken or wire.reactor.count == 0:
            return wire.exchange()
        if deadline is not None and deadline - trio.current_time() < 2 * LINGER_S:
            return wire.exchange()
        if not self._alone:
            self._alone = _is_trio_idle()
            if not self._alone:
                return wire.exchange()
        self._lingers = wire.exchange(LINGER_S)
        return self._lingers

    async def _park_at(self, fd: int, deadline: float) -> None:
        self._watched = fd
        try:
            if deadline == math.inf:
                await trio.lowlevel.wait_readable(fd)
            else:
                with trio.CancelScope(deadline=deadline):
                    await trio.lowlevel.wait_readable(fd)
        except trio.ClosedResourceError:
            pass  # `wake`: no other call takes a task out of wait_readable
        finally:
            self._parked, self._watched = None, -1

    def _abort_park(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        self._parked = None
        return trio.lowlevel.Abort.SUCCEEDED

    def wake(self) -> None:
        """Let the kernel run soon: something became ready from outside. Checkpoint: no."""
        self._woken = True
        self._alone = False
        task = self._parked
        if task is not None:
            self._parked = None
            if self._watched >= 0:
                trio.lowlevel.notify_closing(self._watched)
            else:
                trio.lowlevel.reschedule(task)

    def _open_module(self, name: bytes) -> tuple[Any, ...]:
        """Open what a library of ours needs. Called by Lua; must not raise."""
        assert name == b"net"
        try:
            reactor = Reactor()
        except (OSError, AttributeError) as error:
            return b"", f"the network cannot be used: {error}".encode()
        self._wire = Wire(reactor, self._lua.open_wire)
        if self._has_wall:
            self._wire.room = lambda: self.vm.room() - MARGIN_BYTES
        found: list[Any] = []
        for function in Net(reactor, self.grants).functions():
            number = self.host.add(f"net.{function.__name__}", function)
            found += function.__name__.encode(), number, self.host.waits(number)
        return tuple(found)

    def _deliver(self) -> None:
        if self._resources is not None:
            self._book_traffic()
        for call_id, reply in self.host.workers.take_completed():
            if reply is None:
                self._lua.complete_cancelled(call_id)
            else:
                self._lua.complete(call_id, *reply)

    def _stuck(self) -> bool:
        if not self._detect_deadlock or not self.endings.tasks or self.host.workers.pending > 0:
            return False
        return self._wire is None or not self._wire.has_waiting()

    def _caller_was_cancelled(self) -> bool:
        loop = self.loops.active
        return loop is not None and loop.cancelled

    def is_call_cancelled(self, call: int) -> bool:
        """Whether the Lua task that made host call `call` is cancelled."""
        return bool(self._lua.is_call_cancelled(call))

    def unblock(self, loop: KernelLoop) -> None:
        """Let a blocked synchronous host function go on."""
        self.loops.unblock(loop)
        self.wake()

    def _new_loop(self, number: int) -> tuple[Any, int]:
        return self.vm.new_loop(number)

    # -- what the kernel says ------------------------------------------------------------------

    def _handle(self, message: tuple[Any, ...]) -> Any:
        tag = message[0]
        self._alone = False
        if tag == b"call":
            # No local variable: it would hold the exception in a reply, whose traceback holds this frame.
            try:
                return self.host.call(message)
            finally:
                if self._resources is not None:
                    self._book_traffic()  # before the call's number means nothing any more
        if tag == b"done":
            self._task_ended(message)
        elif tag == b"abort":
            self.host.cancel(message[1])
        elif tag == b"drop":
            self.host.drop(message[1])
        elif tag == b"release":
            self.host.release(message[1])
        elif tag == b"exit":
            self.endings.fatal(ScriptExit(message[1]))
        elif tag == b"limit":
            self.endings.fatal(lua_error(message[1], b"", b"limit", b"", b"", None, None, message[1:]))
        elif tag == b"limited":
            self._watchdog.look_closely()
            self.values.converter.max_values = LIMITED_VALUES
            self.values.converter.max_bytes = LIMITED_BYTES
        elif tag == b"warn":
            _log.warning("%s", message[1].decode(errors="replace"))
        else:
            raise SchedulerCrash(f"unknown message from the kernel: {tag!r}")
        return None

    def _task_ended(self, message: tuple[Any, ...]) -> None:
        _tag, task_id, status, *rest = message
        task = self.endings.tasks.pop(task_id)
        if self._resources is not None:
            self._resources.task_ended(task, self._lua.take_usage(task_id))
        if status == b"done":
            try:
                values = [self.values.converter.to_python(value) for value in rest]
            except ConversionError as error:
                self.endings.failed(task, ConversionError(f"result of {task.name!r}: {error}"))
                return
            value = values[0] if len(values) == 1 else tuple(values) if values else None
            task.settle(outcome.Value(value))
        elif status == b"cancelled":
            reason = rest[0].decode(errors="replace")
            name, why = printable(task.name), printable(reason, MAX_REASON)
            self.endings.failed(task, TaskCancelled(f"task '{name}' was cancelled: {why}"))
        elif status == b"refused":
            heard, text = rest
            self.endings.failed(task, LuaSyntaxError(text.decode(errors="replace")), heard=heard)
        else:
            heard, *failure = rest
            self.endings.failed(task, lua_error(*failure), heard=heard)

    def _crash(self, error: BaseException) -> None:
        crash = SchedulerCrash(f"the Lua kernel failed: {error!r}; the runtime is unusable")
        crash.__cause__ = error
        self.endings.crash(crash)

    # -- acting on the kernel ------------------------------------------------------------------

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise WrongThread(
                "a Lua runtime belongs to the OS thread that opened it; from another one use "
                "trio.from_thread.run_sync(...) or a trio token"
            )

    def check_open(self) -> None:
        """Raise where the runtime cannot be used.

        Raises:
            WrongThread: from another OS thread than its own.
            RuntimeClosed: after its end.
        """
        self._check_thread()
        if self.closed:
            raise RuntimeClosed("this Lua runtime has ended; open a new one")

    def _check_room(self, size: int) -> None:
        room = self.vm.room() - MARGIN_BYTES
        if size > room:
            raise ConversionError(f"{size} bytes do not fit into what the memory limit leaves ({room:.0f})")

    def limit_all(self, limits: Limits) -> None:
        """Limit everything that will run, together."""
        self._lua.limit_all(self._spec(limits))

    def _spec(self, limits: Limits | None) -> Any:
        """Return the limits as the kernel takes them; from now on a single call is watched, too."""
        if limits is None:
            return None
        if self.vm.preemption is None:
            reason = f"{self.vm.engine}: {self.vm.preemption_missing}"
            raise ValueError(f"limits need preemption, which this runtime has not ({reason})")
        if self._on_stuck is not None:
            self._watchdog.stuck_s = min(self._watchdog.stuck_s, stuck_after(limits))
        return self.values.converter.to_lua(limits.given())

    def open_resources(self, capacity: Capacity) -> Resources:
        """Count what tasks use from now on; the first call decides on `capacity`."""
        if self._resources is None:
            self.check_open()
            self._lua.count_usage()
            self._ledger.open = True
            self._resources = Resources(self, capacity)
        return self._resources

    def usage(self, task_id: int, subtree: bool) -> Any:
        """Return what a task uses as a table of Lua's, None when no such task lives."""
        self._book_traffic()
        return self._lua.usage(task_id, subtree)

    def total_usage(self) -> Any:
        """Return what everything has used since counting began, as a table of Lua's."""
        self._book_traffic()
        return self._lua.total_usage()

    def enforce(self, task: LuaTask, limits: Limits) -> bool:
        """Limit a running task; False when it has ended."""
        done: bool = self._lua.enforce(task.id, self._spec(limits))
        self.wake()
        return done

    def _running_call(self) -> int:
        loop = self.loops.inside()
        return 0 if loop is None else loop.caller

    def _book_traffic(self) -> None:
        if not self._ledger.has_counts:
            return
        for call, (sent, received) in self._ledger.take().items():
            self._lua.count_traffic(call, sent, received)

    def spawn_source(
        self,
        source: bytes,
        chunk_name: str,
        args: Iterable[Any],
        *,
        name: str,
        timeout: float | None,
        limits: Limits | None = None,
    ) -> LuaTask:
        """Compile and spawn; see Runtime.spawn."""
        self.check_open()
        values = self.values.to_lua(args)
        spec = self._spec(limits)
        result = self._lua.spawn_source(source, chunk_name.encode(), name.encode(), timeout, spec, *values)
        if isinstance(result, tuple):
            raise LuaSyntaxError(result[1].decode(errors="replace"))
        return self._spawned(result, name, chunk_name)

    def spawn_function(
        self,
        function: Any,
        args: Iterable[Any],
        *,
        name: str,
        timeout: float | None = None,
        limits: Limits | None = None,
        call: int = 0,
    ) -> LuaTask:
        """Spawn a Lua function (lupa's object); `call` is the host call that calls it back, 0 for none.

        Raises:
            LuaError: kind "nested": too many calls back are under way inside one another.
        """
        self.check_open()
        values = self.values.to_lua(args)
        task_id = self._lua.spawn_function(
            function, name.encode(), timeout, self._spec(limits), call, *values
        )
        if isinstance(task_id, tuple):
            raise LuaError(task_id[1].decode(), kind="nested")
        return self._spawned(task_id, name, name)

    def spawn_wait(self, event: str) -> LuaTask:
        """Spawn a background task that waits for a named event."""
        self.check_open()
        name = f"waits for event {event!r}"
        task = self._spawned(self._lua.spawn_wait(event.encode()), name, name)
        task.background = True
        return task

    def _spawned(self, task_id: int, name: str, source: str) -> LuaTask:
        task = LuaTask(self, task_id, name, source)
        self.endings.tasks[task_id] = task
        self.wake()
        return task

    def cancel_task(self, task: LuaTask, reason: str | None) -> None:
        """Cancel one task and what it owns."""
        self._check_thread()
        self._lua.cancel(task.id, None if reason is None else reason.encode())
        self.wake()

    def cancel_all(self, reason: str) -> None:
        """Cancel everything; cleanup runs."""
        self._check_thread()
        if not self.closed:
            self._lua.cancel_all(reason.encode())
            self.wake()

    def kill_all(self, reason: str) -> None:
        """Cancel everything, whatever shields it."""
        self._check_thread()
        if not self.closed:
            self._lua.cancel_all(reason.encode())
            self._lua.kill_all()
            self.wake()

    def leave(self) -> None:
        """End when the tasks have."""
        self._leaving = True
        self.wake()

    def emit(self, event: str, values: Iterable[Any]) -> int:
        """Emit a named event; returns how many tasks it woke."""
        self.check_open()
        woken: int = self._lua.emit(event.encode(), *self.values.to_lua(values))
        self.wake()
        return woken

    # -- looking on ----------------------------------------------------------------------------

    def task_infos(self) -> tuple[TaskInfo, ...]:
        """Snapshots of all live tasks, by id."""
        self.check_open()
        infos = []
        for row in self._lua.rows().values():
            fields = [row[index] for index in range(1, 12)]
            infos.append(TaskInfo(*(self.values.converter.to_python(field) for field in fields)))
        return tuple(infos)

    def waiting_tasks(self) -> tuple[WaitingTask, ...]:
        """Who waits for what, where: the lines of a deadlock report."""
        return tuple(
            WaitingTask(
                info.id,
                info.name,
                info.reason or info.status,
                info.detail or "its turn",
                info.where or "its end",
            )
            for info in self.task_infos()
        )

    def _cycles(self) -> list[list[str]]:
        found = self._lua.cycles()
        return [[step.decode(errors="replace") for step in cycle.values()] for cycle in found.values()]

    def statistics(self) -> RuntimeStatistics:
        """Return the counters."""
        self.check_open()
        row = self._lua.statistics()
        counts = {name.decode(): int(value) for name, value in row.items()}
        return RuntimeStatistics(
            **counts,
            host_calls_pending=self.host.workers.pending,
            loops_frozen=self.loops.frozen_count,
            slices=self._slices,
        )

    def _close(self) -> None:
        self.closed = True
        self._watchdog.close()
        if self._wire is not None:
            self._wire.reactor.close()
        if not self.endings.crashed:
            self.vm.close()
        self.loops.close()


def stuck_after(limits: Limits) -> float:
    """Seconds after which one slice has outlasted the limits by `STUCK_GRACE_S`."""
    seconds = (each for each in (limits.cpu_s, limits.wall_s) if each is not None)
    return min(seconds, default=math.inf) + STUCK_GRACE_S


def _never_abort(_raise_cancel: Any) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED


def _is_trio_idle() -> bool:
    """Whether no other trio task could run soon, as far as can be told."""
    busy = trio.lowlevel.current_statistics()
    waiting = busy.io_statistics
    return (
        busy.tasks_runnable == 0
        and busy.run_sync_soon_queue_size == 0
        and busy.seconds_to_next_deadline > 2 * LINGER_S
        and waiting.backend == "epoll"
        and waiting.tasks_waiting_read <= 1  # trio's own, for other threads
        and waiting.tasks_waiting_write == 0
    )


def _weakly(method: Callable[[bytes], tuple[Any, ...]]) -> Callable[[bytes], tuple[Any, ...]]:
    """Make a function for Lua, which must not keep what keeps it."""
    found = weakref.WeakMethod(method)

    def call(argument: bytes) -> tuple[Any, ...]:
        target = found()
        return (b"", b"the runtime is closed") if target is None else target(argument)

    return call
