"""The parent's side of an isolated runtime: a driver whose Lua state is in another process.

Belongs here: what `scheduler.runtime.Runtime` asks of its driver, as messages, and what the child's
messages lead to. Does not belong here: the process (process.py), values (values.py), who has heard of which
failure (scheduler/endings.py).

Nothing that the child sends is trusted: types are checked by the decoder, numbers here, and whatever is
wrong ends the child.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import msgspec
import outcome
import trio

from bridge.errors import ConversionError, RuntimeClosed, SchedulerCrash, WrongThread
from scheduler.endings import Endings
from scheduler.isolate import protocol
from scheduler.isolate.calls import Calls
from scheduler.isolate.channel import Channel
from scheduler.isolate.errors import BadMessage, IsolateDied
from scheduler.isolate.failures import exception_of
from scheduler.isolate.limits import ProcessLimits
from scheduler.isolate.link import Link
from scheduler.isolate.modules import Modules
from scheduler.isolate.process import Process
from scheduler.isolate.values import IsolatedValues
from scheduler.limits import Limits
from scheduler.sandbox import Sandbox
from scheduler.task import LuaTask, RuntimeStatistics, TaskInfo

__all__ = ["IsolatedDriver"]


class IsolatedTask(LuaTask):
    """A Lua task of the child, which knows it by `number`."""

    def __init__(self, core: IsolatedDriver, number: int, name: str, source: str) -> None:
        super().__init__(core, 0, name, source)  # the child's id comes with Spawned
        self.number = number


class IsolatedDriver:
    """What `scheduler.driver.Driver` is for a runtime in this process."""

    def __init__(self, process: Process, limits: ProcessLimits, *, exact_integers: bool) -> None:
        """Not for callers: use `start`."""
        self._thread = threading.get_ident()
        self.closed = False
        self._said_goodbye = False
        # What went wrong here, not in the child.
        self._bug: SchedulerCrash | None = None
        self._converter = IsolatedValues(cast(Any, self), exact_integers=exact_integers)
        encoder, decoder = protocol.codec(protocol.FromChild, encode=_refuse, decode=self._converter.decode)
        channel = Channel(process.connection, encoder, decoder)
        # As in Values.
        self._sandbox: Sandbox | None = None
        self._registered: list[str] = []
        self._link = Link(process, channel, limits, self._converter.gone, self._converter.unsent)
        self.endings = Endings(self.cancel_all)
        self._last_task = 0
        self._modules = Modules()
        # The child's counters at its end.
        self._counted: Any = None
        self._calls = Calls(
            self._converter,
            post=self._link.post,
            handle=self._converter.handle,
            on_fatal=self.endings.fatal,
        )
        self._functions = self._converter.functions = self._calls.functions

    @classmethod
    async def start(
        cls,
        engine: str,
        *,
        params: Mapping[str, Any],
        detect_deadlock: bool,
        measure: bool,
        portal: bool,
        limits: ProcessLimits,
        slice_s: float | None,
        budget: Limits | None = None,
        sandbox: Sandbox | None = None,
        virtual_clock: bool = False,
    ) -> IsolatedDriver:
        """Start a child with an open runtime; `run` must follow. Checkpoint: yes.

        Args:
            engine: see `open_runtime`, like the next four.
            params: the global table.
            detect_deadlock: also when only the parent could emit an event.
            measure: count steps and time.
            portal: whether waits work everywhere.
            limits: what the child may use.
            slice_s: see Driver.
            budget: what its scripts together may use.
            sandbox: what they may reach.
            virtual_clock: the child's time jumps whenever its tasks all wait.

        Raises:
            IsolateDied: it did not come up.
            SchedulerError: the engine is missing.
        """
        process = await Process.start(limits.environment)
        self = cls(process, limits, exact_integers=engine != "luajit")
        self._sandbox = sandbox
        try:
            self._link.channel.post(
                protocol.Start(
                    engine,
                    self._converter.to_lua(dict(params)),
                    detect_deadlock,
                    measure,
                    portal,
                    virtual_clock,
                    limits.memory_bytes,
                    limits.cpu_s,
                    limits.open_files,
                    self._functions.spec(self._functions.add("require", self._modules.read)),
                    signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL,
                    slice_s,
                    _budget(budget),
                    None
                    if sandbox is None
                    else protocol.SandboxSpec(
                        sorted(sandbox.allow),
                        _environment(sandbox),
                        [pattern.text for pattern in sandbox.net_hosts],
                    ),
                )
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._link.channel.write_forever)
                await self._link.channel.receive()
                nursery.cancel_scope.cancel()
            first = self._link.channel.inbox.popleft() if self._link.channel.inbox else None
            if isinstance(first, protocol.Ended) and first.failure is not None:
                raise exception_of(first.failure)
            if not isinstance(first, protocol.Ready):
                await self._link.process.end()
                raise self._link.cause_of_death()
        except BaseException:
            await self._link.process.end()
            self._link.channel.close()
            raise
        return self

    # -- the loop ------------------------------------------------------------------------------

    async def run(self, *, on_failure: Callable[[], None]) -> None:
        """Serve the child until it has ended; shielded. Checkpoint: yes.

        Args:
            on_failure: called once when a failure has nobody to receive it.
        """
        self.endings.on_failure = on_failure
        with trio.CancelScope(shield=True):
            try:
                async with trio.open_nursery() as workers:
                    self._functions.workers.open(workers)
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._link.channel.write_forever)
                        nursery.start_soon(self._link.look_after)
                        await self._listen()
                        nursery.cancel_scope.cancel()
                    await self._link.process.end()
                    if not self._said_goodbye:
                        self.endings.crash(self._bug or self._link.cause_of_death())
                    await self._calls.end()
            finally:
                await self._link.process.end()
                self.closed = True
                self._link.channel.close()

    async def _listen(self) -> None:
        while not self._said_goodbye:
            try:
                await self._link.channel.receive()
            except BadMessage as error:
                self._link.violated(error)
            self._dispatch()
            if self._link.death is not None or self._link.channel.ended:
                return

    def _dispatch(self) -> None:
        inbox = self._link.channel.inbox
        while inbox and self._link.death is None:
            message = inbox.popleft()
            try:
                self._act_on(message)
            except BadMessage as error:
                self._link.violated(error)
            except Exception as error:  # host functions' own are caught inside
                name = type(message).__name__
                self._bug = SchedulerCrash(
                    f"acting on the message {name} of an isolated Lua runtime failed: {error!r}; "
                    "this is a bug of the scheduler"
                )
                self._bug.__cause__ = error
                self._link.kill(None, "could not be served any more")

    def _act_on(self, message: Any) -> None:
        action = _ACTIONS.get(type(message))
        if action is None:
            raise BadMessage(f"{type(message).__name__} at this time")
        action(self, message)

    def _task_number(self, number: int) -> IsolatedTask:
        task = self.endings.tasks.get(number)
        if task is None:
            raise BadMessage(f"there is no task {number}")
        assert isinstance(task, IsolatedTask)
        return task

    # -- what the child says -------------------------------------------------------------------

    def _spawned_there(self, message: protocol.Spawned) -> None:
        self._task_number(message.task).id = message.id

    def _done(self, message: protocol.Done) -> None:
        task = self._task_number(message.task)
        del self.endings.tasks[message.task]
        if message.failure is not None:
            self.endings.failed(task, self._exception(message.failure))
            return
        values = message.values
        task.settle(outcome.Value(values[0] if len(values) == 1 else tuple(values) if values else None))

    def _exception(self, failure: protocol.Failure) -> BaseException:
        """Make the exception; one that ends the runtime is made once."""
        if not failure.fatal:
            return exception_of(failure)
        if self.endings.fatal_error is None:
            self.endings.fatal(exception_of(failure))
        assert self.endings.fatal_error is not None
        return self.endings.fatal_error

    def _call(self, message: protocol.Call) -> None:
        self._calls.begin(message)

    def _cancel_call(self, message: protocol.CancelCall) -> None:
        self._calls.cancel(message)

    def _dropped(self, message: protocol.Dropped) -> None:
        self._calls.dropped(message)
        for number, times in message.handles:
            self._converter.objects.drop(number, times)

    def _answered_late(self, message: protocol.Answer | protocol.Refused) -> None:
        self._link.answered_late(message)

    def _cut(self, message: protocol.Cut) -> None:
        self._exception(message.failure)

    def _pong(self, _message: protocol.Pong) -> None:
        self._link.answered()

    def _goodbye(self, message: protocol.Ended) -> None:
        self._counted = message.statistics
        self._said_goodbye = True
        if message.failure is not None and self.endings.fatal_error is None:
            self.endings.fatal(exception_of(message.failure))
        if self.endings.tasks:
            self.endings.crash(
                cast(Any, self.endings.fatal_error) or IsolateDied("the isolated runtime ended early")
            )

    # -- acting on the child -------------------------------------------------------------------

    def _ask(self, make: Callable[[int], Any]) -> Any:
        return self._link.ask(make, self._urgent)

    def _urgent(self, message: Any) -> bool:
        # The task that a caller gets from `spawn` has its id.
        if isinstance(message, protocol.Spawned) and message.task in self.endings.tasks:
            self._spawned_there(message)
            return True
        if isinstance(message, protocol.Ended):
            self._counted = message.statistics
        return False

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
            IsolateDied: its process is gone.
            RuntimeClosed: after its end.
        """
        self._check_thread()
        if self.closed or self._said_goodbye:
            raise RuntimeClosed("this Lua runtime has ended; open a new one")
        if self._link.death is not None:
            raise self._link.death

    @property
    def values(self) -> IsolatedDriver:
        """What `Runtime` asks the driver's values for is a request, too."""
        return self

    def check_sandbox(self) -> None:
        """As `Values.check_sandbox`."""
        if self._sandbox is not None:
            self._sandbox.check(self._registered)
            self._sandbox = None

    def register(self, name: str, function: Callable[..., Any]) -> None:
        """See Runtime.register."""
        if not isinstance(name, str):
            raise ValueError(f"bad host function name {name!r}: expected a string")
        number = self._functions.add(name, function)
        spec = self._functions.spec(number)
        try:
            self._ask(lambda request: protocol.Register(request, spec))
        except (ValueError, ConversionError):
            self._functions.forget(number)
            raise
        self._registered.append(name)

    def set_arguments(self, folder: str | None, script: str, args: Iterable[Any]) -> None:
        """See Values.set_arguments."""
        self._link.post(protocol.SetArguments(folder, script, self._converter.arguments(args)))
        if folder is not None:
            self._modules.look_in(folder)

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
        values = self._converter.arguments(args)
        task = self._task(name, chunk_name)
        try:
            self._ask(
                lambda request: protocol.SpawnSource(
                    request, task.number, source, chunk_name, name, timeout, values, _budget(limits)
                )
            )
        except BaseException:
            self.endings.tasks.pop(task.number, None)
            raise
        return task

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
        """Spawn a Lua function of the child, known by its number."""
        self.check_open()
        values = self._converter.arguments(args)
        return self._begin(
            self._task(name, name),
            lambda number: protocol.SpawnFunction(
                number, function, name, timeout, call, values, _budget(limits)
            ),
        )

    def spawn_wait(self, event: str) -> LuaTask:
        """Spawn a background task that waits for a named event."""
        self.check_open()
        name = f"waits for event {event!r}"
        task = self._task(name, name)
        task.background = True
        return self._begin(task, lambda number: protocol.SpawnWait(number, event))

    def _task(self, name: str, source: str) -> IsolatedTask:
        self._last_task += 1
        task = IsolatedTask(self, self._last_task, name, source)
        self.endings.tasks[task.number] = task
        return task

    def _begin(self, task: IsolatedTask, make: Callable[[int], Any]) -> LuaTask:
        try:
            self._link.post(make(task.number))
        except ConversionError:
            del self.endings.tasks[task.number]
            raise
        return task

    def cancel_task(self, task: LuaTask, reason: str | None) -> None:
        """Cancel one task and what it owns."""
        self._check_thread()
        assert isinstance(task, IsolatedTask)
        self._link.post(protocol.CancelTask(task.number, reason))

    def cancel_all(self, reason: str) -> None:
        """Cancel everything; cleanup runs, for `cleanup_s` at most."""
        self._check_thread()
        if not self.closed:
            self._link.must_end()
            self._link.post(protocol.CancelAll(reason))

    def kill_all(self, reason: str) -> None:
        """Cancel everything; a child that has not ended `cleanup_s` later is killed."""
        self.cancel_all(reason)

    def leave(self) -> None:
        """End when the tasks have."""
        if not self.closed:
            self._link.post(protocol.Leave())

    def emit(self, event: str, values: Iterable[Any]) -> int:
        """Emit a named event; returns how many tasks it woke."""
        self.check_open()
        converted = self._converter.arguments(values)
        return msgspec.convert(self._ask(lambda request: protocol.Emit(request, event, converted)), int)

    # -- looking on ----------------------------------------------------------------------------

    def task_infos(self) -> tuple[TaskInfo, ...]:
        """Snapshots of all live tasks, by id."""
        self.check_open()
        return msgspec.convert(self._ask(protocol.Tasks), tuple[TaskInfo, ...])

    def statistics(self) -> RuntimeStatistics:
        """Return the counters."""
        try:
            self.check_open()
            counted = self._ask(protocol.Statistics)
        except RuntimeClosed:
            # The child ends before our block does.
            if self.closed or self._counted is None:
                raise
            counted = self._counted
        return msgspec.convert(counted, RuntimeStatistics)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._link.process.pid


def _refuse(value: object) -> Any:
    raise ConversionError(f"{type(value).__name__} cannot be sent")  # the converter leaves none


_ACTIONS: dict[type, Any] = {
    protocol.Spawned: IsolatedDriver._spawned_there,
    protocol.Answer: IsolatedDriver._answered_late,
    protocol.Refused: IsolatedDriver._answered_late,
    protocol.Done: IsolatedDriver._done,
    protocol.Call: IsolatedDriver._call,
    protocol.CancelCall: IsolatedDriver._cancel_call,
    protocol.Dropped: IsolatedDriver._dropped,
    protocol.Cut: IsolatedDriver._cut,
    protocol.Pong: IsolatedDriver._pong,
    protocol.Ended: IsolatedDriver._goodbye,
}


def _budget(limits: Limits | None) -> protocol.Budget:
    return None if limits is None else limits.given()


def _environment(sandbox: Sandbox) -> dict[str, str] | None:
    return None if sandbox.env is None else dict(sandbox.env)
