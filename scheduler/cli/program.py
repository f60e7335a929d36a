"""`python -m scheduler`: run a script and say with an exit code how it went.

Belongs here: the order of things around a run, and what is printed to stderr.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import attrs
import trio

from bridge.capi import flush_stdout
from bridge.errors import (
    DeadlockError,
    LimitReached,
    LuaError,
    LuaSyntaxError,
    RuntimeClosed,
    SchedulerError,
    ScriptExit,
)
from scheduler.cli.interrupt import EXIT_CODE as INTERRUPTED
from scheduler.cli.interrupt import on_interrupt
from scheduler.cli.options import Options, Usage, parse
from scheduler.clock import virtual_clock
from scheduler.isolate.errors import IsolateDied
from scheduler.runtime import Runtime, open_runtime
from scheduler.sandbox import Sandbox
from scheduler.source import BadSource, Source
from scheduler.task import RuntimeStatistics

__all__ = ["main"]

# Characters of one report.
MAX_REPORT = 32_000
# Seconds that a script's cleanup has after --timeout before it is killed.
CLEANUP_S = 2.0

OK, RAISED, USAGE, DEADLOCK, LIMIT, TIMEOUT = 0, 1, 2, 3, 4, 124


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    _behave_like_a_filter()
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
        source = _read(options)
    except Usage as error:
        return _complain(f"{error}\nTry 'python -m scheduler --help'.", USAGE)
    except BadSource as error:
        return _complain(str(error), USAGE)
    # With --isolate it is the child's time that jumps.
    clock = virtual_clock() if options.virtual_clock and not options.isolate else None
    return trio.run(functools.partial(_run, options, source), clock=clock)


def _behave_like_a_filter() -> None:
    # As `lua` does: a closed pipe ends the program silently. Python ignores SIGPIPE, and Lua's print would
    # then write into the void for ever.
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def _read(options: Options) -> Source:
    if options.code is not None:
        return Source.of_text(options.code, "(command line)", script="(command line)")
    if options.script == "-":
        return Source.of_text(sys.stdin.buffer.read(), "stdin", script="-")
    assert options.script is not None
    return Source.read(Path(options.script))


def _complain(text: str, code: int) -> int:
    if len(text) > MAX_REPORT:
        text = f"{text[:MAX_REPORT]}\n... ({len(text) - MAX_REPORT} characters more)"
    print(f"scheduler: {text}", file=sys.stderr)
    return code


@attrs.define
class _Ending:
    """What ended the script early, if anything did."""

    interrupted: bool = False
    # While it is open.
    runtime: Runtime | None = None
    statistics: RuntimeStatistics | None = None


async def _run(options: Options, source: Source) -> int:
    ending = _Ending()
    began = time.process_time()
    async with trio.open_nursery() as nursery:
        if options.timeout_s is not None:
            nursery.start_soon(_kill_late, ending, options.timeout_s + CLEANUP_S)
        code = await _timed(options, source, ending)
        nursery.cancel_scope.cancel()
    flush_stdout()
    if options.stats and ending.statistics is not None:
        _print_statistics(ending.statistics, time.process_time() - began)
    return code


async def _kill_late(ending: _Ending, seconds: float) -> None:
    await trio.sleep(seconds)
    if ending.runtime is not None:
        ending.runtime.kill("the time was over")


async def _timed(options: Options, source: Source, ending: _Ending) -> int:
    with trio.CancelScope() as scope:
        token = trio.lowlevel.current_trio_token()

        def interrupt() -> None:
            ending.interrupted = True
            token.run_sync_soon(scope.cancel)

        with on_interrupt(interrupt, flush_stdout):
            if options.timeout_s is not None:
                scope.deadline = trio.current_time() + options.timeout_s
            code = await _script(options, source, ending)
    if ending.interrupted:
        code = _complain("interrupted", INTERRUPTED)
    elif scope.cancelled_caught:
        code = _complain(f"timed out after {options.timeout_s:g} s", TIMEOUT)
    return code


async def _script(options: Options, source: Source, ending: _Ending) -> int:
    code = OK
    try:
        async with _runtime(options) as runtime:
            ending.runtime = runtime
            try:
                await runtime.run(source, *options.arguments)
            finally:
                with contextlib.suppress(RuntimeClosed, IsolateDied):  # after a crash there is nothing to ask
                    ending.statistics = runtime.statistics()
    except* SchedulerError as group:
        code = max(_explain(error) for error in _leaves(group))
    return code


def _runtime(options: Options) -> AbstractAsyncContextManager[Runtime]:
    sandbox = Sandbox() if options.sandbox else None
    if not options.isolate:
        return open_runtime(
            engine=options.engine,
            params=options.params,
            detect_deadlock=True,
            measure=options.stats,
            sandbox=sandbox,
            limits=options.limits,
            slice_s=options.slice_s,
            on_stuck="abort",
        )
    from scheduler.isolate.opening import open_isolated  # inside: costs a process that needs none of it 30 ms

    return open_isolated(
        engine=options.engine,
        params=options.params,
        detect_deadlock=True,
        measure=options.stats,
        virtual_clock=options.virtual_clock,
        sandbox=sandbox,
        budget=options.limits,
        slice_s=options.slice_s,
    )


def _leaves(group: BaseExceptionGroup[SchedulerError]) -> list[SchedulerError]:
    found: list[SchedulerError] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found


def _explain(error: SchedulerError) -> int:
    if isinstance(error, ScriptExit):
        return error.code
    if isinstance(error, DeadlockError):
        return _complain(str(error), DEADLOCK)
    if isinstance(error, LimitReached):
        return _complain(error.report(), LIMIT)
    if isinstance(error, LuaSyntaxError):
        return _complain(error.message, USAGE)
    if isinstance(error, LuaError):
        code = _complain(error.report(), RAISED)
        if error.__cause__ is not None:
            print("\nThe host function raised:", file=sys.stderr)
            traceback.print_exception(error.__cause__)
        return code
    if isinstance(error, IsolateDied):
        if error.returncode == -signal.SIGPIPE:
            os.kill(os.getpid(), signal.SIGPIPE)  # as the script would have ended this process
        return _complain(str(error), RAISED if error.limit is None else LIMIT)
    return _complain(str(error), RAISED)


def _print_statistics(statistics: RuntimeStatistics, cpu_s: float) -> None:
    for name, value in attrs.asdict(statistics).items():
        print(f"{name:>20} {value}", file=sys.stderr)
    print(f"{'cpu_s':>20} {cpu_s:.3f}", file=sys.stderr)
