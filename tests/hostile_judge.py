"""How a hostile script ended, against what is promised for all and documented for each.

Belongs here: every bound of issue 3 that one process can break. The harness's tests show that each is found.
"""

from __future__ import annotations

import re

from hostile_corpus import Expected
from hostile_process import Ending

__all__ = ["damage", "departures"]

MAX_RSS_BYTES = 256 * 1024 * 1024
MAX_STDERR_BYTES = 64 * 1024
PYTHON_FRAMES = re.compile(rb'Traceback \(most recent call last\)|File "[^"\n]*\.py"')


def damage(ending: Ending) -> list[str]:
    """What no script may do, whatever its header says."""
    found = []
    if ending.code is None:
        found.append(f"hangs: killed after {ending.seconds:.0f} s")
    elif ending.code < 0:
        found.append(f"died by signal {-ending.code}")
    if ending.escaped:
        found.append("escaped")
    if PYTHON_FRAMES.search(ending.stderr_head):
        found.append("Python frames on stderr")
    if ending.max_rss_bytes >= MAX_RSS_BYTES:
        found.append(f"took {ending.max_rss_bytes >> 20} MB")
    if ending.stderr_bytes >= MAX_STDERR_BYTES:
        found.append(f"wrote {ending.stderr_bytes} bytes to stderr")
    return found


def departures(expected: Expected, ending: Ending) -> list[str]:
    """Where the ending is not the documented one."""
    code = ending.code
    if code not in expected.exits:
        return [f"exit {code}, not {sorted(expected.exits)}"]
    if code == 4 and ending.limit not in expected.limits:
        return [f"limit {ending.limit}, not {sorted(expected.limits)}"]
    if code == 0 and expected.stdout is not None and ending.last_line != expected.stdout:
        return [f"stdout ends with {ending.last_line[:200]!r}"]
    if (
        code == 1
        and expected.stderr
        and not any(piece.encode() in ending.stderr_head for piece in expected.stderr)
    ):
        return [f"stderr is without {expected.stderr}"]
    return []
