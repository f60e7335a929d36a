"""The child process of an isolated runtime: an ordinary runtime that serves the parent.

Belongs here: the order of things from the first message to the last, and what each request leads to.
Does not belong here: the parent's things in the child (proxies.py).

Nothing is printed: the parent tells what went wrong, and the script's own output goes to the inherited
stdout and stderr.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import attrs
import trio

from bridge.capi import flush_stdout
from bridge.errors import (
    DeadlockError,
    LimitReached,
    LuaError,
    LuaSyntaxError,
    SchedulerError,
    ScriptExit,
    WaitingTask,
    printable,
)
from scheduler.clock import virtual_clock
from scheduler.function import LuaFunction
from scheduler.isolate import limits, protocol
from scheduler.isolate.channel import MAX_BYTES, Channel
from scheduler.isolate.errors import OUT_OF_MEMORY
from scheduler.isolate.modules import WITHOUT_FILES
from scheduler.isolate.proxies import HostError, Peer
from scheduler.isolate.spec import FunctionSpec
from scheduler.limits import Limits
from scheduler.runtime import Runtime, open_runtime
from scheduler.sandbox import Sandbox
from scheduler.task import LuaTask

__all__ = ["main"]

# Characters of a name or a place in a deadlock report that crosses.
MAX_WAITING_TEXT = 1000
# Of the report of a crash.
MAX_CRASH_TEXT = 8000


def main(argv: Sequence[str]) -> NoReturn:
    """Run the child.

    Args:
        argv: descriptors of the connection and of the lifeline, as decimal numbers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    _die_with_parent(int(argv[1]))
    child = _Child(socket.socket(fileno=int(argv[0])))
    status = 1
    try:
        start = child.first_message()
        if start.default_sigpipe:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        trio.run(child.serve, start, clock=virtual_clock() if start.virtual_clock else None)
        status = 0
    except BaseException as error:
        if _ran_out_of_memory(error):
            status = OUT_OF_MEMORY
        else:
            child.failed(error)
    finally:
        flush_stdout()
        # Tearing the interpreter down takes time, may touch what a script has left, and is of no use.
        os._exit(status)


def _die_with_parent(lifeline: int) -> None:
    # The kernel sends SIGIO, which ends a process, when the parent's end of this pipe closes: also when
    # the parent was killed, and when the child holds the processor inside C. (PR_SET_PDEATHSIG means the
    # thread that started the child, and trio starts processes from threads that come and go.)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        if os.read(lifeline, 1) == b"":
            os._exit(0)  # it was gone before


class _Child:
    def __init__(self, connection: socket.socket) -> None:
        self._peer = Peer(self._dispatch)
        encoder, decoder = protocol.codec(
            protocol.FromParent, encode=self._peer.encode, decode=self._peer.decode
        )
        self._channel = self._peer.channel = Channel(connection, encoder, decoder)
        self._runtime: Runtime | None = None
        # By the parent's numbers.
        self._tasks: dict[int, LuaTask] = {}
        self._leave = trio.Event()
        # The counters when the block ended.
        self._counted: Any = None

    def first_message(self) -> protocol.Start:
        """Block until the parent has said what to open."""
        while not self._channel.inbox:
            self._channel.receive_blocking()
            self._end_if_alone()
        start = self._channel.inbox.popleft()
        assert isinstance(start, protocol.Start)
        return start

    async def serve(self, start: protocol.Start) -> None:
        """Open the runtime and serve until it ends."""
        failure: protocol.Failure | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._channel.write_forever)
            nursery.start_soon(self._listen)
            try:
                await self._host(start)
            except Exception as error:
                if _ran_out_of_memory(error):
                    raise
                failure = self._failure(_first(error))
            nursery.cancel_scope.cancel()
        # C's buffer first: whoever sees the end has the output.
        flush_stdout()
        self._peer.post(protocol.Ended(failure, self._counted))
        self._channel.finish()

    def failed(self, error: BaseException) -> None:
        """Tell the parent of an exception that nobody expected, as the last message."""
        lines = "".join(traceback.format_exception(error))
        text = f"the process of the isolated Lua runtime failed: {_first(error)!r}; a bug of the scheduler\n"
        with contextlib.suppress(Exception):  # then the exit status is all that it hears
            message = printable(text + lines, MAX_CRASH_TEXT, keep="\n")
            self._channel.post(protocol.Ended(protocol.Failure("SchedulerCrash", message), self._counted))
            self._channel.finish()

    async def _host(self, start: protocol.Start) -> None:
        async with open_runtime(
            engine=start.engine,
            params=start.params,
            detect_deadlock=start.detect_deadlock,
            measure=start.measure,
            portal=start.portal,
            sandbox=None
            if start.sandbox is None
            else Sandbox(allow=start.sandbox.allow, env=start.sandbox.env, net_hosts=start.sandbox.net_hosts),
            limits=_budget(start.budget),
            on_stuck="abort",
            slice_s=start.slice_s,
        ) as runtime:
            self._runtime = runtime
            try:
                # The driver's first slice starts its threads; later there will be none to have.
                for _ in range(3):
                    await trio.lowlevel.checkpoint()
                limits.apply(memory_bytes=start.memory_bytes, cpu_s=start.cpu_s, open_files=start.open_files)
                if not start.open_files:
                    self._do_without_files(start.modules)
                self._peer.post(protocol.Ready())
                await self._leave.wait()
            except trio.Cancelled:
                fatal = self._driver.endings.fatal_error
                if fatal is not None:
                    self._peer.post(protocol.Cut(self._failure(fatal)))
                raise
            finally:
                with contextlib.suppress(SchedulerError):
                    self._counted = attrs.asdict(self._driver.statistics())

    def _do_without_files(self, modules: FunctionSpec) -> None:
        vm = self._driver.vm
        read = self._driver.values.host_function(self._peer.host_function(modules))
        vm._load(WITHOUT_FILES, b"=isolate")(vm.globals, read)

    @property
    def _driver(self) -> Any:
        # The parent speaks to the driver: what `Runtime` adds (reading scripts) was done there.
        return None if self._runtime is None else self._runtime._driver

    # -- listening -----------------------------------------------------------------------------

    async def _listen(self) -> None:
        while True:
            try:
                await self._channel.receive()
                self._dispatch()
            except MemoryError:
                # A script has taken everything and goes on; there is a reserve for us, once.
                if not limits.use_reserve():
                    raise

    def _end_if_alone(self) -> None:
        if self._channel.ended:
            os._exit(0)

    def _dispatch(self) -> None:
        """Act on what has arrived; also called while a synchronous host function is waited for."""
        inbox = self._channel.inbox
        while inbox:
            message = inbox.popleft()
            try:
                _ACTIONS[type(message)](self, message)
            except (ValueError, SchedulerError) as error:
                # Above all RuntimeClosed: the parent has not heard yet that the block has ended.
                request = getattr(message, "request", None)
                if request is not None:
                    self._peer.post(protocol.Refused(request, self._failure(error)))
        self._end_if_alone()

    # -- requests ------------------------------------------------------------------------------

    def _spawn_source(self, message: protocol.SpawnSource) -> None:
        task = self._driver.spawn_source(
            message.code,
            message.chunk_name,
            message.values,
            name=message.name,
            timeout=message.timeout,
            limits=_budget(message.budget),
        )
        self._spawned(message.task, task)
        self._peer.post(protocol.Answer(message.request, None))

    def _spawn_function(self, message: protocol.SpawnFunction) -> None:
        function: LuaFunction = self._peer.function(message.function)
        try:
            task = self._driver.spawn_function(
                function.lua_function_for(self._driver),
                message.values,
                name=message.name,
                timeout=message.timeout,
                limits=_budget(message.budget),
                call=self._peer.kernel_call(message.call),
            )
        except SchedulerError as error:
            self._peer.post(protocol.Done(message.task, [], self._failure(error)))
            return
        self._spawned(message.task, task)

    def _spawn_wait(self, message: protocol.SpawnWait) -> None:
        self._spawned(message.task, self._driver.spawn_wait(message.event))

    def _spawned(self, number: int, task: LuaTask) -> None:
        self._tasks[number] = task
        self._peer.post(protocol.Spawned(number, task.id))
        # A watcher counts as a joiner: whether a failure ends everything is for the parent to say.
        task.watch(lambda: self._done(number))

    def _done(self, number: int) -> None:
        task = self._tasks.pop(number)
        failure: protocol.Failure | None = None
        values: list[Any] = []
        try:
            result = task.result_nowait()
            values = list(result) if isinstance(result, tuple) else [] if result is None else [result]
        except Exception as error:
            failure = self._failure(error)
        try:
            self._peer.post(protocol.Done(number, values, failure))
        except (SchedulerError, NotImplementedError) as error:
            self._peer.post(protocol.Done(number, [], self._failure(error)))

    def _set_arguments(self, message: protocol.SetArguments) -> None:
        self._driver.values.set_arguments(message.folder, message.script, message.values)

    def _register(self, message: protocol.Register) -> None:
        self._driver.values.register(message.function.name, self._peer.host_function(message.function))
        self._peer.post(protocol.Answer(message.request, None))

    def _emit(self, message: protocol.Emit) -> None:
        woken = self._driver.emit(message.event, message.values)
        self._peer.post(protocol.Answer(message.request, woken))

    def _tasks_asked(self, message: protocol.Tasks) -> None:
        rows = [attrs.asdict(info) for info in self._driver.task_infos()]
        self._peer.post(protocol.Answer(message.request, rows))

    def _statistics(self, message: protocol.Statistics) -> None:
        counted = self._counted
        if counted is None or not self._driver.closed:
            counted = attrs.asdict(self._driver.statistics())
        self._peer.post(protocol.Answer(message.request, counted))

    def _cancel_task(self, message: protocol.CancelTask) -> None:
        task = self._tasks.get(message.task)
        if task is not None:
            task.cancel(message.reason)

    def _cancel_all(self, message: protocol.CancelAll) -> None:
        self._driver.cancel_all(message.reason)

    def _leave_asked(self, _message: protocol.Leave) -> None:
        self._leave.set()

    def _reply(self, message: protocol.Reply) -> None:
        self._peer.replied(message.call, message.reply)

    def _release(self, message: protocol.Released) -> None:
        self._peer.release(message.functions)

    def _ping(self, _message: protocol.Ping) -> None:
        self._peer.post(protocol.Pong())

    # -- failures ------------------------------------------------------------------------------

    def _failure(self, error: BaseException) -> protocol.Failure:
        cause = error.__cause__
        lua = error if isinstance(error, LuaError) else LuaError(str(error))
        return protocol.Failure(
            _kind(error),
            lua.message,
            lua.lua_traceback,
            lua.kind,
            lua.task,
            lua.spawned_at,
            [self._failure(part) for part in lua.errors],
            cause.handle if isinstance(cause, HostError) else None,
            error.code if isinstance(error, ScriptExit) else 0,
            _waiting(error.tasks) if isinstance(error, DeadlockError) else [],
            self._driver is not None and error is self._driver.endings.fatal_error,
            (error.limit, error.used, error.allowed) if isinstance(error, LimitReached) else None,
            [list(cycle) for cycle in error.cycles] if isinstance(error, DeadlockError) else [],
        )


def _waiting(tasks: Sequence[WaitingTask]) -> list[tuple[Any, ...]]:
    # As many as fit into one message; the texts are a script's.
    rows, room = [], MAX_BYTES // 4
    for task in tasks:
        row = tuple(
            value[:MAX_WAITING_TEXT] if isinstance(value, str) else value for value in attrs.astuple(task)
        )
        room -= sum(len(value) for value in row if isinstance(value, str)) + 100
        if room < 0:
            break
        rows.append(row)
    return rows


def _budget(given: protocol.Budget) -> Limits | None:
    amounts: Any = given
    return None if given is None else Limits(**amounts)


def _kind(error: BaseException) -> str:
    """Name the closest class that the parent knows."""
    for kind in type(error).__mro__:
        if kind in (LuaSyntaxError, ValueError) or issubclass(kind, SchedulerError):
            return kind.__name__
    return "SchedulerCrash"


def _ran_out_of_memory(error: BaseException | None) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_ran_out_of_memory(part) for part in error.exceptions)
    return error is not None and (isinstance(error, MemoryError) or _ran_out_of_memory(error.__cause__))


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


_ACTIONS: dict[type, Any] = {
    protocol.SpawnSource: _Child._spawn_source,
    protocol.SpawnFunction: _Child._spawn_function,
    protocol.SpawnWait: _Child._spawn_wait,
    protocol.SetArguments: _Child._set_arguments,
    protocol.Register: _Child._register,
    protocol.Emit: _Child._emit,
    protocol.Tasks: _Child._tasks_asked,
    protocol.Statistics: _Child._statistics,
    protocol.CancelTask: _Child._cancel_task,
    protocol.CancelAll: _Child._cancel_all,
    protocol.Leave: _Child._leave_asked,
    protocol.Reply: _Child._reply,
    protocol.Released: _Child._release,
    protocol.Ping: _Child._ping,
}


if __name__ == "__main__":
    main(sys.argv[1:])
