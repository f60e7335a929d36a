"""Command line of `python -m scheduler`: what the words mean.

Belongs here: parsing and its errors. Does not belong here: running anything.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from typing import NoReturn

import attrs

from bridge.vm import ENGINES
from scheduler._version import VERSION
from scheduler.limits import Limits

__all__ = ["Options", "Usage", "parse"]

_DESCRIPTION = """\
Run a Lua script whose tasks wait without blocking each other.

SCRIPT is a .lua file, a folder with main.lua, or "-" for standard input. Options may stand before or
after it; every other word, and everything after "--", goes to the script (`arg` and `...`).
"""

_EPILOG = """\
exit codes: 0 success; 1 the script raised; 2 usage or unreadable script; 3 deadlock;
4 a limit was reached; 124 timeout; 130 Ctrl-C (the first cancels and lets cleanup run,
the second ends at once); or what os.exit says

examples:
  python -m scheduler hello.lua
  python -m scheduler run job.lua --param city=Oslo --timeout 30 input.txt
  python -m scheduler --virtual-clock -e 'task.sleep(3600); print(task.now())'
"""


class Usage(Exception):
    """The command line is wrong; the message says which word and what to do."""


@attrs.frozen
class Options:
    """A parsed command line."""

    # Path, "-", or None with `code`.
    script: str | None
    code: str | None
    arguments: tuple[str, ...]
    params: dict[str, str]
    engine: str
    # Seconds for the whole script, None for no limit.
    timeout_s: float | None
    virtual_clock: bool
    stats: bool
    # Lua in a child process under limits of the operating system.
    isolate: bool
    # The script is not trusted.
    sandbox: bool
    # None without any limit.
    limits: Limits | None
    # A task is set aside after so long; math.inf: never.
    slice_s: float | None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Usage(message)


def _parser() -> _Parser:
    parser = _Parser(
        prog="python -m scheduler",
        usage="python -m scheduler [run] [OPTIONS] SCRIPT [ARGS...]\n"
        "       python -m scheduler [OPTIONS] -e CODE [ARGS...]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "-e", dest="code", metavar="CODE", action="append", help="run CODE instead of a script; repeatable"
    )
    parser.add_argument(
        "--param", action="append", default=[], metavar="K=V", help="set params.K to the string V; repeatable"
    )
    parser.add_argument(
        "--engine", choices=tuple(ENGINES), default="lua54", help="which Lua (default: %(default)s)"
    )
    parser.add_argument("--timeout", metavar="SECONDS", help="cancel the script then (exit code 124)")
    parser.add_argument(
        "--virtual-clock", action="store_true", help="time jumps whenever every task waits for it"
    )
    parser.add_argument(
        "--sandbox", action="store_true", help="the script is not trusted: pure libraries only"
    )
    parser.add_argument("--cpu-limit", metavar="SECONDS", help="of the processor; beyond, exit code 4")
    parser.add_argument(
        "--memory-limit", metavar="BYTES", help="of Lua's heap, as in 100M; beyond, exit code 4"
    )
    parser.add_argument(
        "--output-limit",
        metavar="BYTES",
        help="to standard output; beyond, exit code 4 (with --sandbox: 64M)",
    )
    parser.add_argument("--max-tasks", metavar="N", help="alive at the same time; beyond, exit code 4")
    parser.add_argument(
        "--slice",
        metavar="SECONDS",
        help="set a task aside that has not given up the processor for so long (default: 0.01, with "
        "--virtual-clock 1; inf: never)",
    )
    parser.add_argument(
        "--isolate", action="store_true", help="run Lua in a child process that may open no files"
    )
    parser.add_argument("--stats", action="store_true", help="print counters to stderr at the end")
    parser.add_argument("--version", action="version", version=f"lua-trio-scheduler {VERSION}")
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    return parser


def _params(pairs: Sequence[str]) -> dict[str, str]:
    params = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise Usage(f"bad --param {pair!r}: expected KEY=VALUE, as in --param city=Oslo")
        params[key] = value
    return params


_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def _bytes(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([KMG]?)B?", text.upper())
    if found is None:
        raise Usage(f"bad {option} {text!r}: expected bytes, as in 100M, 512K or 1000000")
    return float(found[1]) * _UNITS[found[2]]


def _count(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise Usage(f"bad {option} {text!r}: expected a whole number")
    if len(text) > 15:
        raise Usage(f"bad {option} {text[:30]!r}: expected a whole number of at most 15 digits")
    return int(text)


def _limits(found: argparse.Namespace) -> Limits | None:
    try:
        limits = Limits(
            cpu_s=_seconds("--cpu-limit", found.cpu_limit),
            memory_bytes=_bytes("--memory-limit", found.memory_limit),
            output_bytes=_bytes("--output-limit", found.output_limit or ("64M" if found.sandbox else None)),
            tasks=_count("--max-tasks", found.max_tasks),
        )
    except ValueError as error:
        raise Usage(f"{error}: see --cpu-limit, --memory-limit, --output-limit, --max-tasks") from None
    if len(limits.given()) == 1:  # the policy
        return None
    if found.engine == "luajit":
        raise Usage("limits and the sandbox need --engine lua54 or lua55: LuaJIT cannot be interrupted")
    return limits


def _seconds(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise Usage(f"bad {option} {text!r}: expected seconds, a number that is not negative")
    return seconds


def _slice(text: str | None) -> float | None:
    try:
        seconds = _seconds("--slice", text)
    except Usage:
        seconds = 0.0
    if seconds == 0.0:
        raise Usage(f"bad --slice {text!r}: expected seconds greater than 0, as in 0.01, or inf for never")
    return seconds


def _unknown(parser: _Parser, word: str) -> Usage:
    known = [option for action in parser._actions for option in action.option_strings]
    near = difflib.get_close_matches(word.partition("=")[0], known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return Usage(f"unknown option {word!r}: {hint}To hand it to the script, put it after --")


def parse(argv: Sequence[str]) -> Options:
    """Parse the words after the program's name.

    Raises:
        Usage: with what to do about it.
        SystemExit: after --help or --version.
    """
    words = list(argv)
    after: list[str] = []
    if "--" in words:
        at = words.index("--")
        words, after = words[:at], words[at + 1 :]
    if words and words[0] == "run":
        words = words[1:]
    parser = _parser()
    found, unknown = parser.parse_known_intermixed_args(words)
    for word in unknown:
        if word.startswith("-") and word != "-":
            raise _unknown(parser, word)
    positional = [*found.words, *after]
    script = None
    if found.code is None:
        if not positional:
            raise Usage("no script: name a .lua file, a folder with main.lua, or - for stdin; or use -e CODE")
        script, *positional = positional
        if not script:
            raise Usage("no script: its name is empty")
    return Options(
        script=script,
        code=None if found.code is None else "\n".join(found.code),
        arguments=tuple(positional),
        params=_params(found.param),
        engine=found.engine,
        timeout_s=_seconds("--timeout", found.timeout),
        virtual_clock=found.virtual_clock,
        stats=found.stats,
        isolate=found.isolate,
        sandbox=found.sandbox,
        limits=_limits(found),
        slice_s=_slice(found.slice),
    )
