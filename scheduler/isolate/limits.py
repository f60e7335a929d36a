"""Limits of the child process, which the operating system enforces.

Belongs here: what they are, and putting them into force. They are applied when everything is loaded and the
runtime is open, since from then on nothing may be opened or started.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISREG
from typing import Any

import attrs

from scheduler.checks import amount_field, check_flag, check_text_map

try:
    import resource
except ImportError:  # Windows has no such limits: `open_isolated` refuses there.
    resource = None  # type: ignore[assignment]

__all__ = ["ProcessLimits", "apply", "use_reserve"]

# Address space that is opened when a script has used up its own, so that Python can still tell.
RESERVE_BYTES = 64 * 1024 * 1024
# Seconds between SIGXCPU and SIGKILL for a child that survives the first.
CPU_GRACE_S = 1
# The user "nobody" of every Linux.
NOBODY = 65534


# What the operating system takes as a time, and more than anybody waits for.
MAX_SECONDS = 10**9

_seconds = amount_field(positive=True, infinite=False, most=MAX_SECONDS)
# Not None: a child that hangs would hang the program.
_grace = amount_field(optional=False, positive=True, infinite=False, most=MAX_SECONDS)
_size = amount_field(positive=True, infinite=False)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and math.isfinite(value) else value


def _flag(_limits: object, field: attrs.Attribute[Any], value: object) -> None:
    check_flag(field.name, value)


def _text_map(_limits: object, field: attrs.Attribute[Any], value: object) -> None:
    check_text_map(field.name, value)


@attrs.frozen(kw_only=True)
class ProcessLimits:
    """What the child process of an isolated runtime may use; None is no limit.

    Raises:
        ValueError: an amount that is none; the message names it.
        TypeError: another field of a wrong type.
    """

    # Address space beyond what the interpreter takes, which is more than the script's data takes.
    memory_bytes: int | None = attrs.field(default=1024**3, validator=_size, converter=_whole)
    # Processor time of the process; whole seconds, rounded up.
    cpu_s: float | None = attrs.field(default=None, validator=_seconds)
    # Whether scripts may open files (and `require` modules).
    open_files: bool = attrs.field(default=False, validator=_flag)
    # The child is killed when it has not answered for so long (real seconds), ...
    grace_s: float = attrs.field(default=5.0, validator=_grace)
    # ... or has not ended so long after everything in it was cancelled.
    cleanup_s: float = attrs.field(default=5.0, validator=_grace)
    # Its environment, beside the language and the time zone.
    environment: Mapping[str, str] = attrs.field(factory=dict, validator=_text_map)


def apply(*, memory_bytes: int | None, cpu_s: float | None, open_files: bool) -> None:
    """Put the limits of this process into force, for ever.

    Raises:
        OSError: the system refuses; nothing may run then.
    """
    time.tzset()  # reads its file now: os.date could not
    _limit(resource.RLIMIT_CORE, 0)
    if memory_bytes is not None:
        allowed = _address_space() + memory_bytes
        _limit(resource.RLIMIT_AS, allowed, allowed + RESERVE_BYTES)
    if cpu_s is not None:
        used = sum(os.times()[:2])
        soft = math.ceil(used + cpu_s)
        _limit(resource.RLIMIT_CPU, soft, soft + CPU_GRACE_S)
    if not open_files:
        if not any(S_ISREG(os.fstat(number).st_mode) for number in _open(1, 2)):
            _limit(resource.RLIMIT_FSIZE, 0)
        _limit(resource.RLIMIT_NOFILE, 0)
        _become_nobody()  # who could read less than the script's own files
    _limit(resource.RLIMIT_NPROC, 0)


def use_reserve() -> bool:
    """Open the reserve of memory; returns whether there was one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == hard:
        return False
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    return True


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    try:
        resource.setrlimit(kind, (soft, soft if hard is None else hard))
    except ValueError as error:  # more than the hard limit that is there already, which then holds
        old = resource.getrlimit(kind)[1]
        if old == resource.RLIM_INFINITY or old > soft:
            raise OSError(f"cannot set limit {kind} to {soft}: {error}") from error


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _open(*numbers: int) -> list[int]:
    found = []
    for number in numbers:
        try:
            os.fstat(number)
        except OSError:
            continue
        found.append(number)
    return found


def _become_nobody() -> None:
    # RLIMIT_NPROC does not bind root, who may also read and signal everything.
    if os.geteuid() != 0:
        return
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError:
        # A container without that user: it stays root, and starting processes is prevented by
        # RLIMIT_NOFILE alone, which keeps a new program from loading its libraries.
        return
