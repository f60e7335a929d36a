"""Ctrl-C: the first cancels, the second ends at once, also while Lua holds the processor.

Belongs here: SIGINT. Python runs a signal handler only between its own instructions, and a Lua loop that
never yields lets none run; so an OS thread reads the wake-up descriptor that the C-level handler writes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["EXIT_CODE", "on_interrupt"]

EXIT_CODE = 130
# How long the last output may take to leave when the user wants the program to end at once.
FLUSH_S = 0.3


@contextlib.contextmanager
def on_interrupt(cancel: Callable[[], None], flush: Callable[[], None]) -> Iterator[None]:
    """Handle SIGINT inside the block, which must run in the main thread and inside trio.

    Args:
        cancel: called at the first Ctrl-C, from another OS thread.
        flush: called before the process ends at the second.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    old_descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    old_handler = signal.signal(signal.SIGINT, _nothing)
    thread = threading.Thread(
        target=_watch, args=(reader, old_descriptor, cancel, flush), name="scheduler-interrupt", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old_handler)
        signal.set_wakeup_fd(old_descriptor, warn_on_full_buffer=False)
        writer.close()
        thread.join()
        reader.close()


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Be a Python handler, so that the C-level one writes the wake-up descriptor."""


def _watch(
    reader: socket.socket, forward: int, cancel: Callable[[], None], flush: Callable[[], None]
) -> None:
    interrupts = 0
    while data := reader.recv(64):
        if forward >= 0:
            # trio had the descriptor before and relies on it for other signals.
            with contextlib.suppress(OSError):
                os.write(forward, data)
        for number in data:
            if number == signal.SIGINT:
                interrupts += 1
                if interrupts == 1:
                    cancel()
                else:
                    # The main thread may hold stdout's lock for ever, so flush beside the exit.
                    flusher = threading.Thread(target=flush, daemon=True)
                    flusher.start()
                    flusher.join(FLUSH_S)
                    os._exit(EXIT_CODE)
