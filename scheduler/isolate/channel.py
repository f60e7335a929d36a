"""A channel: whole messages over a socket, for a trio program that sometimes must wait without trio.

Belongs here: framing (four bytes of length, then the message), buffers, and the two ways to wait. Does not
belong here: what messages mean.

Both sides need both ways: a synchronous host function is a plain call for Lua and blocks the child, as
`emit`, which returns a count, blocks the parent. Whoever blocks keeps reading and writing, so two that
block at the same time do not wait for each other for ever.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections import deque
from typing import Any

import trio
from msgspec.msgpack import Decoder, Encoder

from bridge.errors import ConversionError
from scheduler.isolate.errors import BadMessage

__all__ = ["MAX_BYTES", "Channel"]

# Longest message. A decoded value takes up to 60 times its length (a list of empty lists), so this bounds
# what a child can make the parent allocate at once to 1 GB.
MAX_BYTES = 16 * 1024 * 1024
_HEADER = 4
_READ_BYTES = 256 * 1024
# Writing to a dead child must be an error here, whatever the program does with SIGPIPE.
_NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)


class Channel:
    """One end of the connection between parent and child."""

    def __init__(self, sock: socket.socket, encoder: Encoder, decoder: Decoder[Any]) -> None:
        """Take over the socket."""
        sock.setblocking(False)
        self._socket = sock
        self._encoder = encoder
        self._decoder = decoder
        # Made now: the child may open no descriptors later.
        self._selector = selectors.DefaultSelector()
        self._watched = selectors.EVENT_READ
        self._selector.register(sock, self._watched)
        # Messages received, in order.
        self.inbox: deque[Any] = deque()
        # Set at the end of the stream: nothing more will come.
        self.ended = False
        self._received = bytearray()
        self._unsent = bytearray()
        self._writable_wanted = trio.Event()
        self._nap: trio.CancelScope | None = None

    def close(self) -> None:
        """Close the socket; a message still to be sent is lost."""
        self.ended = True
        self._selector.close()
        self._socket.close()

    # -- sending -------------------------------------------------------------------------------

    def post(self, message: Any) -> None:
        """Send `message` now, or as soon as the other side reads. Checkpoint: no.

        Raises:
            ConversionError: it is longer than MAX_BYTES, or nested too deeply.
        """
        try:
            data = self._encoder.encode(message)
        except RecursionError:
            raise ConversionError("a value is nested too deeply to cross to another process") from None
        if len(data) > MAX_BYTES:
            raise ConversionError(
                f"a message of {len(data)} bytes is too long for the isolated runtime; "
                f"at most {MAX_BYTES} bytes of values cross at once"
            )
        waiting = bool(self._unsent)
        self._unsent += len(data).to_bytes(_HEADER, "big")
        self._unsent += data
        if not waiting:
            self._send()
            if self._unsent:
                self._writable_wanted.set()

    def _send(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent, _NO_SIGNAL)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._unsent.clear()  # the other side is gone, which reading tells

    async def write_forever(self) -> None:
        """Send what `post` could not, until cancelled. Checkpoint: yes."""
        while True:
            await self._writable_wanted.wait()
            self._writable_wanted = trio.Event()
            while self._unsent:
                await trio.lowlevel.wait_writable(self._socket)
                self._send()

    def finish(self) -> None:
        """Block until everything is sent. Checkpoint: no."""
        with contextlib.suppress(OSError):
            self._socket.setblocking(True)
            self._socket.sendall(self._unsent, _NO_SIGNAL)
        self._unsent.clear()

    # -- receiving -----------------------------------------------------------------------------

    async def receive(self) -> None:
        """Wait until `inbox` has something or the stream has ended. Checkpoint: yes."""
        await trio.lowlevel.checkpoint()
        while not self.inbox and not self.ended:
            with trio.CancelScope() as self._nap:
                await trio.lowlevel.wait_readable(self._socket)
            self._nap = None
            self._fill()

    def receive_blocking(self, timeout_s: float | None = None) -> None:
        """Block this thread until something new is in `inbox` or the stream has ended. Checkpoint: no.

        Args:
            timeout_s: seconds of real time.

        Raises:
            TimeoutError: nothing came.
        """
        known = len(self.inbox)
        while len(self.inbox) == known and not self.ended:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
            if wanted != self._watched:
                self._selector.modify(self._socket, wanted)
                self._watched = wanted
            ready = self._selector.select(timeout_s)
            if not ready:
                raise TimeoutError
            if ready[0][1] & selectors.EVENT_WRITE:
                self._send()
            if ready[0][1] & selectors.EVENT_READ:
                self._fill()

    def wake(self) -> None:
        """Let `receive` look at `inbox`, which `receive_blocking` has filled."""
        if self._nap is not None and self.inbox:
            self._nap.cancel()

    def _fill(self) -> None:
        if self.ended:
            return
        try:
            data = self._socket.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.ended = True
            return
        self._received += data
        self._parse()

    def _parse(self) -> None:
        received, start = self._received, 0
        with contextlib.ExitStack() as cleanup:
            view = cleanup.enter_context(memoryview(received))
            while len(received) - start >= _HEADER:
                size = int.from_bytes(view[start : start + _HEADER], "big")
                if size > MAX_BYTES:
                    raise BadMessage(f"a message of {size} bytes, which is more than {MAX_BYTES}")
                end = start + _HEADER + size
                if end > len(received):
                    break
                try:
                    # A copy: what is decoded must not point into the buffer.
                    self.inbox.append(self._decoder.decode(bytes(view[start + _HEADER : end])))
                except Exception as error:
                    raise BadMessage(f"{type(error).__name__}: {error}") from error
                start = end
        if start:
            del received[:start]
