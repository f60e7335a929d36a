"""The reactor: all sockets of a runtime behind one selector, in batches.

Belongs here: readiness, reading, sending, accepting, connecting. Does not belong here: Lua, names, grants
(modules/net.py), who waits for what (stdlib_lua/net_*.lua).

Sockets are numbers outside. What is asked for comes as pairs (number, what), what happened leaves as pairs
(number, bytes) and as events. Linux's epoll, edge-triggered: each socket is registered once, and its
readiness is remembered here. Nothing is read before the selector says so, for an EAGAIN that is raised
costs more than the rest of a read. What comes is read before anybody asks for it; who does not take it says
so (PAUSE), and the rest waits in the operating system.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs

__all__ = ["ABORT", "ACCEPT", "FINISH", "REPORT", "SHUTDOWN", "Event", "Reactor", "kind_of"]

# What can be asked of a socket beside sending bytes.
ABORT: Final = -6  # close now; what is not sent is lost
FINISH: Final = -1  # close when everything is sent, then say "closed"
SHUTDOWN: Final = -2  # nothing more will be sent, when everything is
REPORT: Final = -3  # say how much is not sent yet, now and when it is little
PAUSE: Final = -4  # read no more: enough is there that nobody has taken
RESUME: Final = -5
ACCEPT: Final = 0  # and above: take so many connections

# Of one read. Below 128 KiB, from where on malloc would map and unmap memory at each of them.
READ_BYTES = 65536
# Unsent bytes below which a sender may go on.
LOW_BYTES = 16384
# Taken from the selector at once, and of one listener; the others are not forgotten, only later.
MAX_READY = 256
MAX_ACCEPTS = 64

# Source: Linux, sys/epoll.h. Spelled out, so that this file can be imported where there is no epoll.
_IN, _OUT, _ERR, _HUP, _RDHUP, _ET = 0x1, 0x4, 0x8, 0x10, 0x2000, 0x80000000
_ENDED = _RDHUP | _HUP | _ERR
_ALL = _IN | _OUT | _RDHUP | _ET
# What the selector says of a socket that has something to read and is as it should be: the short way.
_PLAIN = _IN | _OUT

# (number, what, values...): "backlog" bytes; "connected"; "failed" kind, message; "closed"; "eof" is an
# empty read; "accepted" number, host, port.
Event = tuple[Any, ...]

_KINDS = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ECONNABORTED: "reset",
    errno.ENOTCONN: "reset",
    errno.ETIMEDOUT: "timeout",
    errno.ENOENT: "not_found",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTDOWN: "unreachable",
    errno.ENETDOWN: "unreachable",
    errno.EADDRINUSE: "in_use",
    errno.EADDRNOTAVAIL: "unavailable",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EMFILE: "exhausted",
    errno.ENFILE: "exhausted",
    errno.ENOBUFS: "exhausted",
    errno.ENOMEM: "exhausted",
    errno.EAGAIN: "busy",
}


def kind_of(error: OSError) -> str:
    """Return the kind that scripts see of an error of the operating system; "io" for the rare ones."""
    return _KINDS.get(error.errno or 0, "io")


def _text(error: OSError) -> str:
    return error.strerror or str(error)


@attrs.define(eq=False, slots=True)
class _Socket:
    """One socket and what is remembered of it."""

    number: int
    sock: socket.socket
    fd: int
    recv: Callable[[int], bytes]
    send: Callable[[Any], int]
    # _PLAIN while it is established, read from, and no end was announced: the short way to read. Else 0.
    plain: int = 0
    # Established, everything sent, not broken: the short way to send.
    direct: bool = False
    # "stream", "listener", "connecting".
    role: str = "stream"
    # There may be something to read: an edge was seen and the socket not emptied since.
    readable: bool = False
    # The end of the stream or an error waits behind what is to be read.
    ended: bool = False
    # It was told; nothing more will be read.
    done: bool = False
    paused: bool = False
    # Not sent yet; None when everything is.
    backlog: deque[Any] | None = None
    unsent: int = 0
    report: bool = False
    finishing: bool = False
    shutting: bool = False
    # Connections a listener may still take.
    wanted: int = 0
    # Of a listener: the path it has made, and what tells it from one that took its place.
    path: Any = None
    made: tuple[int, int] | None = None


class Reactor:
    """The sockets of one runtime. Not a thread: somebody calls `perform` and `poll`."""

    def __init__(self) -> None:
        """Open the selector; `close` closes it and every socket."""
        self._epoll = select.epoll()
        self._poll = self._epoll.poll
        self._by_fd: dict[int, _Socket] = {}
        self._by_number: dict[int, _Socket] = {}
        self._last = 0
        # Readable without a new edge: more was there than one read took, or the window was closed.
        self._again: list[_Socket] = []
        # For the next `take_events`.
        self.events: list[Event] = []
        self.closed = False

    @property
    def fd(self) -> int:
        """Descriptor of the selector: readable when `poll` would find something."""
        return self._epoll.fileno()

    @property
    def count(self) -> int:
        """Open sockets."""
        return len(self._by_number)

    @property
    def busy(self) -> bool:
        """Whether `poll` has something to do that the selector does not know of."""
        return bool(self._again)

    # -- opening -------------------------------------------------------------------------------

    def _add(self, sock: socket.socket, role: str) -> _Socket:
        self._last += 1
        fd = sock.fileno()
        entry = _Socket(self._last, sock, fd, sock.recv, sock.send, role=role)
        if role == "stream":
            entry.plain, entry.direct = _PLAIN, True
        self._epoll.register(fd, _ALL)
        self._by_fd[fd] = self._by_number[entry.number] = entry
        return entry

    def connect(self, family: int, address: Any) -> int:
        """Begin to connect; "connected" or "failed" follows.

        Raises:
            OSError: it has failed already.
        """
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = sock.connect_ex(address)
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, os.strerror(code))
            entry = self._add(sock, "connecting")
        except BaseException:
            sock.close()
            raise
        if code == 0:
            self._connected(entry)
        return entry.number

    def listen(self, family: int, address: Any, *, backlog: int, reuse_port: bool) -> tuple[int, Any]:
        """Listen.

        Returns:
            number, address in use.

        Raises:
            OSError: the address cannot be had.
        """
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if family != socket.AF_UNIX:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            sock.listen(backlog)
            entry = self._add(sock, "listener")
        except BaseException:
            sock.close()
            raise
        if family == socket.AF_UNIX:
            entry.path, entry.made = address, _identity(address)
        return entry.number, sock.getsockname()

    # -- what is asked for ---------------------------------------------------------------------

    def perform(self, requests: Iterable[Any]) -> None:
        """Send and do what was asked for: number, what, number, what, ..."""
        by_number = self._by_number
        each = iter(requests)
        for number, what in zip(each, each, strict=True):
            entry = by_number.get(number)
            if entry is None:
                continue
            if type(what) is not bytes:
                self._command(entry, int(what))
            elif entry.direct:
                try:
                    n = entry.send(what)
                except BlockingIOError:
                    n = 0
                except OSError as error:
                    self._broken(entry, error)
                    continue
                if n != len(what):
                    self._block(entry, what, n)
            elif entry.backlog is not None:
                entry.backlog.append(what)
                entry.unsent += len(what)

    def _block(self, entry: _Socket, what: bytes, sent: int) -> None:
        entry.backlog = deque([memoryview(what)[sent:]])
        entry.unsent = len(what) - sent
        entry.direct = False
        self.events.append((entry.number, "backlog", entry.unsent))

    def _broken(self, entry: _Socket, error: OSError) -> None:
        entry.direct = False
        entry.backlog = None
        entry.unsent = 0
        self.events.append((entry.number, "broken", kind_of(error), _text(error)))
        if entry.finishing:
            self._finish(entry)

    def _command(self, entry: _Socket, what: int) -> None:
        if what >= ACCEPT:
            entry.wanted = what
            if entry.readable:
                self._again.append(entry)
        elif what == ABORT:
            self._close(entry)
        elif what == PAUSE:
            entry.paused = True
            entry.plain = 0
        elif what == RESUME:
            entry.paused = False
            if entry.readable:
                self._again.append(entry)
            elif not entry.done:
                entry.plain = _PLAIN
        elif what == FINISH:
            entry.finishing = True
            entry.plain = 0
            if entry.backlog is None:
                self._finish(entry)
        elif what == SHUTDOWN:
            entry.shutting = True
            if entry.backlog is None:
                self._shut(entry)
        elif what == REPORT:
            entry.report = entry.unsent > LOW_BYTES
            if not entry.report:
                self.events.append((entry.number, "backlog", entry.unsent))

    def _shut(self, entry: _Socket) -> None:
        with contextlib.suppress(OSError):
            entry.sock.shutdown(socket.SHUT_WR)

    def _finish(self, entry: _Socket) -> None:
        self.events.append((entry.number, "closed"))
        self._close(entry)

    def _close(self, entry: _Socket) -> None:
        if self._by_number.pop(entry.number, None) is None:
            return
        del self._by_fd[entry.fd]
        entry.done = True
        entry.backlog = None
        # Not by the close alone: a child process may hold the same socket.
        with contextlib.suppress(OSError):
            self._epoll.unregister(entry.fd)
        entry.sock.close()
        if entry.made is not None and _identity(entry.path) == entry.made:
            with contextlib.suppress(OSError):
                os.unlink(entry.path)

    # -- what has happened ---------------------------------------------------------------------

    def poll(self, wait_s: float = 0) -> list[Any]:
        """Read what can be read. Not a checkpoint.

        Args:
            wait_s: block so long when there is nothing.

        Returns:
            number, bytes, number, bytes, ...; empty bytes are the end of the stream.
        """
        batch: list[Any] = []
        ready = self._poll(wait_s, MAX_READY)
        if self._again:
            again, self._again = self._again, []
            for hungry in again:
                self._read(hungry, batch)
        by_fd = self._by_fd
        for fd, mask in ready:
            entry = by_fd.get(fd)
            if entry is None:
                continue  # closed in this turn
            if mask == entry.plain:
                try:
                    data = entry.recv(READ_BYTES)
                except OSError as error:
                    self._read_failed(entry, error)
                    continue
                if 0 < len(data) < READ_BYTES:
                    batch.append(entry.number)
                    batch.append(data)
                else:
                    self._received(entry, data, batch)
            else:
                self._ready(entry, mask, batch)
        return batch

    def take_events(self) -> list[Event]:
        """Return what happened beside reading: (number, what, values...), in order."""
        events, self.events = self.events, []
        return events

    def fail(self, number: int, kind: str, why: str) -> None:
        """Read no more from a socket, and say that it is as good as reset."""
        entry = self._by_number.get(number)
        if entry is not None:
            entry.done = True
            entry.plain = 0
            self.events.append((number, "reset", kind, why))

    def _ready(self, entry: _Socket, mask: int, batch: list[Any]) -> None:
        if entry.role == "connecting":
            if mask & (_OUT | _ERR | _HUP):
                code = entry.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    error = OSError(code, os.strerror(code))
                    self.events.append((entry.number, "failed", kind_of(error), _text(error)))
                    self._close(entry)
                    return
                self._connected(entry)
                if mask & (_IN | _ENDED):
                    entry.readable = True
                    entry.ended = bool(mask & _ENDED)
                    entry.plain = 0
                    self._again.append(entry)
            return
        if mask & _ENDED:
            entry.ended = True
            entry.plain = 0
        if mask & (_IN | _ENDED):
            entry.readable = True
            self._read(entry, batch)
        if mask & (_OUT | _ERR) and entry.backlog is not None:
            self._drain(entry)

    def _connected(self, entry: _Socket) -> None:
        entry.role = "stream"
        entry.plain, entry.direct = _PLAIN, True
        self.events.append((entry.number, "connected"))

    def _read(self, entry: _Socket, batch: list[Any]) -> None:
        if entry.done or not entry.readable:
            return
        if entry.role == "listener":
            self._accept(entry)
            return
        if entry.paused or entry.finishing:
            return
        try:
            data = entry.recv(READ_BYTES)
        except OSError as error:
            self._read_failed(entry, error)
            return
        self._received(entry, data, batch)

    def _received(self, entry: _Socket, data: bytes, batch: list[Any]) -> None:
        n = len(data)
        batch.append(entry.number)
        batch.append(data)
        # A read that was not filled has emptied the socket; but an end that was announced is still there.
        entry.readable = n == READ_BYTES or (entry.ended and n > 0)
        entry.done = n == 0
        entry.plain = 0 if entry.readable or entry.done else _PLAIN
        if entry.readable:
            self._again.append(entry)

    def _read_failed(self, entry: _Socket, error: OSError) -> None:
        if isinstance(error, BlockingIOError):
            # Nothing there, so no end either: what was said was of a socket that had the descriptor before.
            entry.readable = entry.ended = False
            entry.plain = _PLAIN
            return
        entry.done = True
        entry.plain = 0
        self.events.append((entry.number, "reset", kind_of(error), _text(error)))

    def _drain(self, entry: _Socket) -> None:
        backlog = entry.backlog
        assert backlog is not None
        while backlog:
            what = backlog[0]
            try:
                n = entry.send(what)
            except BlockingIOError:
                n = 0
            except OSError as error:
                self._broken(entry, error)
                return
            entry.unsent -= n
            if n != len(what):
                backlog[0] = memoryview(what)[n:]
                break
            backlog.popleft()
        else:
            entry.backlog = None
            entry.direct = True
            if entry.shutting:
                self._shut(entry)
            if entry.finishing:
                self._finish(entry)
                return
        if entry.backlog is None or (entry.report and entry.unsent <= LOW_BYTES):
            entry.report = False
            self.events.append((entry.number, "backlog", entry.unsent))

    def _accept(self, entry: _Socket) -> None:
        for _ in range(MAX_ACCEPTS):
            if entry.wanted <= 0:
                return
            try:
                sock, address = entry.sock.accept()
            except BlockingIOError:
                entry.readable = False
                return
            except OSError as error:
                # Of one connection, or of the machine: the listener is still there.
                self.events.append((entry.number, "trouble", kind_of(error), _text(error)))
                entry.wanted = 0
                return
            entry.wanted -= 1
            try:
                sock.setblocking(False)
                if sock.family != socket.AF_UNIX:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                number = self._add(sock, "stream").number
            except OSError:  # it is gone already, or the selector is full
                sock.close()
                continue
            host, port = (address[0], address[1]) if isinstance(address, tuple) else (None, None)
            self.events.append((entry.number, "accepted", number, host, port))
        self._again.append(entry)

    def close(self) -> None:
        """Close everything."""
        self.closed = True
        for entry in list(self._by_number.values()):
            self._close(entry)
        self._again.clear()
        self.events.clear()
        self._epoll.close()


def _identity(path: Any) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except (OSError, ValueError):  # ValueError: an abstract name begins with a zero byte
        return None
    return found.st_dev, found.st_ino
