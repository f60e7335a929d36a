"""`python -m scheduler`: run a script and say with an exit code how it went.

Belongs here: the order of things around a run, and what is printed to stderr.
"""

from __future__ import annotations

import functools
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import attrs
import trio

from scheduler.cli.interrupt import EXIT_CODE as INTERRUPTED
from scheduler.cli.interrupt import on_interrupt
from scheduler.cli.options import Options, Usage, parse
from scheduler.clock import virtual_clock
from scheduler.errors import (
    DeadlockError,
    LuaError,
    LuaSyntaxError,
    SchedulerError,
    ScriptExit,
    TaskCancelled,
)
from scheduler.runtime import Runtime, open_runtime
from scheduler.source import BadSource, Source
from scheduler.task import RuntimeStatistics

__all__ = ["main"]

OK, RAISED, USAGE, DEADLOCK, TIMEOUT = 0, 1, 2, 3, 124


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
    clock = virtual_clock() if options.virtual_clock else None
    return trio.run(functools.partial(_run, options, source), clock=clock)


def _behave_like_a_filter() -> None:
    # As `lua` does: a closed pipe ends the program silently. Python ignores SIGPIPE, and Lua's print would
    # then write into the void for ever.
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def _read(options: Options) -> Source:
    if options.code is not None:
        return Source.of_text(options.code, "(command line)")
    if options.script == "-":
        return Source.of_text(sys.stdin.buffer.read(), "stdin")
    assert options.script is not None
    return Source.read(Path(options.script))


def _complain(text: str, code: int) -> int:
    print(f"scheduler: {text}", file=sys.stderr)
    return code


@attrs.define
class _Ending:
    """What ended the script early, if anything did."""

    interrupted: bool = False
    statistics: RuntimeStatistics | None = None


async def _run(options: Options, source: Source) -> int:
    ending = _Ending()
    began = time.process_time()
    with trio.CancelScope() as scope:
        token = trio.lowlevel.current_trio_token()

        def interrupt() -> None:
            ending.interrupted = True
            token.run_sync_soon(scope.cancel)

        with on_interrupt(interrupt, _flush):
            if options.timeout_s is not None:
                scope.deadline = trio.current_time() + options.timeout_s
            code = await _script(options, source, ending)
    if ending.interrupted:
        code = _complain("interrupted", INTERRUPTED)
    elif scope.cancelled_caught:
        code = _complain(f"timed out after {options.timeout_s:g} s", TIMEOUT)
    _flush()
    if options.stats and ending.statistics is not None:
        _print_statistics(ending.statistics, time.process_time() - began, sys.stderr)
    return code


async def _script(options: Options, source: Source, ending: _Ending) -> int:
    try:
        async with open_runtime(
            engine=options.engine, params=options.params, detect_deadlock=True, measure=options.stats
        ) as runtime:
            try:
                await runtime.run_source(source, *options.arguments)
            finally:
                ending.statistics = _statistics(runtime)
    except BaseExceptionGroup as group:
        lua, rest = group.split(SchedulerError)
        if rest is not None or lua is None:
            raise
        for error in lua.exceptions:
            code = _explain(error)
        return code
    except SchedulerError as error:
        return _explain(error)
    return OK
