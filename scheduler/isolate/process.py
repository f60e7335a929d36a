"""The child process itself: starting it, its connection, its end.

Belongs here: descriptors and the operating system. Does not belong here: what is said over the connection.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Mapping

import trio

__all__ = ["Process"]

# SIGINT is ignored before anything is imported: Ctrl-C reaches the whole group, and the parent decides.
_CODE = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "import sys; from scheduler.isolate.child import main; main(sys.argv[1:])"
)
# What a script may see of the program's environment: secrets live there.
_HARMLESS = ("LANG", "LANGUAGE", "TZ", "PYTHONHASHSEED")


class Process:
    """A child process, the socket to it, and the pipe whose end tells it that we are gone."""

    def __init__(self, process: trio.Process, connection: socket.socket, lifeline: int) -> None:
        """Not for callers: use `start`."""
        self._process = process
        self.connection = connection
        self._lifeline = lifeline

    @classmethod
    async def start(cls, environment: Mapping[str, str]) -> Process:
        """Start a child; it waits for the first message. Checkpoint: yes.

        Args:
            environment: the child's, beside what it needs itself.
        """
        ours, theirs = socket.socketpair()
        reader, writer = os.pipe()
        try:
            with trio.CancelScope(shield=True):  # a child that nobody holds would never end
                process = await trio.lowlevel.open_process(
                    [sys.executable, "-P", "-c", _CODE, str(theirs.fileno()), str(reader)],
                    pass_fds=(theirs.fileno(), reader),
                    env=_environment(environment),
                )
        except BaseException:
            ours.close()
            os.close(writer)
            raise
        finally:
            theirs.close()
            os.close(reader)
        return cls(process, ours, writer)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended, None while it runs."""
        return self._process.returncode

    def kill(self) -> None:
        """End it at once. When it is ending already, its status stays what it is. Checkpoint: no."""
        self._process.kill()

    def end_blocking(self) -> None:
        """Kill it and block this thread until it is gone: some milliseconds. Checkpoint: no."""
        self.kill()
        while self._process.poll() is None:
            time.sleep(0.0005)

    async def end(self) -> None:
        """Kill it, wait for its end and release what belongs to it; shielded. Checkpoint: yes."""
        self.kill()
        with trio.CancelScope(shield=True):
            await self._process.wait()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in _HARMLESS or name.startswith("LC_")}
    # The modules that this program would import; -P keeps the current folder out.
    path = os.pathsep.join(folder for folder in sys.path if folder and os.pathsep not in folder)
    # One arena: each further one takes 64 MB of the address space that is limited.
    return {**kept, **more, "PYTHONPATH": path, "MALLOC_ARENA_MAX": "1", "PYTHONNOUSERSITE": "1"}
