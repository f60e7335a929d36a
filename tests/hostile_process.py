"""One hostile script in a process of its own: run it, measure it, end it for certain.

Belongs here: processes, clocks and memory. Nothing here knows what the script should have done.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO

import attrs

__all__ = ["Ending", "run_process"]

# Of each stream so much is kept from both ends; print in a loop makes 50 MB in a second.
KEEP_BYTES = 256 * 1024
ESCAPED = b"ESCAPED"
# `ru_maxrss` is in kilobytes, on macOS in bytes.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024

# A process begins with the peak memory of the one that forked it, so pytest's own would be measured. A tiny
# process in between forks and waits. It runs with -I -S: 10 ms.
_MEASURE = """
import os, sys
report, *command = sys.argv[1:]
os.set_inheritable(int(report), False)
child = os.posix_spawn(command[0], command, os.environ)
_, status, usage = os.wait4(child, 0)
os.write(int(report), b"%d %d" % (os.waitstatus_to_exitcode(status), usage.ru_maxrss))
"""


@attrs.define(eq=False)
class _Stream:
    total: int = 0
    head: bytes = b""
    tail: bytes = b""
    escaped: bool = False

    def feed(self, data: bytes) -> None:
        self.total += len(data)
        self.head += data[: max(0, KEEP_BYTES - len(self.head))]
        joined = self.tail + data
        # The tail is longer than the word, so a word cut in two by a read is seen.
        self.escaped = self.escaped or ESCAPED in joined
        self.tail = joined[-KEEP_BYTES:]


@attrs.frozen
class Ending:
    """How a process ended."""

    # The exit code; negative: the signal that ended it; None: it was killed at the wall limit.
    code: int | None
    stdout_tail: bytes
    stderr_head: bytes
    stderr_bytes: int
    # The word ESCAPED was anywhere in its output.
    escaped: bool
    # Of the process and of the children that it waited for.
    max_rss_bytes: int
    seconds: float

    @property
    def last_line(self) -> str:
        """The last line of stdout; what a script wrote there need not be text."""
        return self.stdout_tail.rstrip(b"\n").rpartition(b"\n")[2].decode(errors="replace")

    @property
    def limit(self) -> str | None:
        """Which limit the message on stderr names."""
        match = re.search(rb"limit reached: (\w+)", self.stderr_head)
        return match[1].decode() if match else None


def run_process(command: Sequence[str], *, wall_s: float, cwd: str) -> Ending:
    """Run a command to its end, at most for `wall_s` seconds; then its whole session is killed. Blocks."""
    began = time.monotonic()
    report_read, report_write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _MEASURE, str(report_write), *command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": cwd},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(report_write,),
        start_new_session=True,
    )
    os.close(report_write)
    stdout, stderr, report = _Stream(), _Stream(), _Stream()
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr, open(report_read, "rb", buffering=0) as report_file:
        files: list[tuple[IO[bytes], _Stream]] = [
            (process.stdout, stdout),
            (process.stderr, stderr),
            (report_file, report),
        ]
        if not _read_all(files, began + wall_s):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    words = report.head.split()
    return Ending(
        code=int(words[0]) if words else None,
        stdout_tail=stdout.tail,
        stderr_head=stderr.head,
        stderr_bytes=stderr.total,
        escaped=stdout.escaped or stderr.escaped,
        max_rss_bytes=int(words[1]) * RSS_UNIT if words else 0,
        seconds=time.monotonic() - began,
    )


def _read_all(files: list[tuple[IO[bytes], _Stream]], deadline: float) -> bool:
    """Read until all files have ended; False when the deadline (monotonic) came first."""
    with selectors.DefaultSelector() as selector:
        for file, stream in files:
            selector.register(file, selectors.EVENT_READ, stream)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for key, _ in selector.select(left):
                data = os.read(key.fd, 65536)
                if data:
                    key.data.feed(data)
                else:
                    selector.unregister(key.fileobj)
    return True
