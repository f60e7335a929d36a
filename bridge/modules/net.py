"""The network as scripts ask for it: names, addresses, grants; sockets are the reactor's.

Belongs here: the host functions behind stdlib_lua/net_connect.lua. Expected failures are returned as None,
kind, why; what the addresses of a sandbox's grants are is asked here, before DNS and after it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable
from typing import Any

import trio

from bridge.confine_net import AddressRefused, HostPattern, check_address
from bridge.reactor import ABORT, Reactor, kind_of

__all__ = ["Grants", "Net"]

# Of a sandbox: the pattern that covers host and port, or None.
Grants = Callable[[str, int], HostPattern | None]
Failed = tuple[None, str, str]

_RESOLVE_KINDS = {
    socket.EAI_NONAME: "not_found",
    getattr(socket, "EAI_NODATA", socket.EAI_NONAME): "not_found",
    socket.EAI_AGAIN: "unreachable",
    socket.EAI_FAIL: "not_found",
}


class Net:
    """The functions of one runtime."""

    def __init__(self, reactor: Reactor, grants: Grants | None) -> None:
        """Prepare.

        Args:
            reactor: has the sockets.
            grants: which hosts may be reached; None: all.
        """
        self._reactor = reactor
        self._grants = grants

    def functions(self) -> Iterable[Callable[..., Any]]:
        """Return what Lua may call."""
        return self.connect, self.connect_unix, self.listen, self.listen_unix, self.close, self.resolve

    def _check(self, address: str, port: int, name: str) -> Failed | None:
        if self._grants is None:
            return None
        pattern = self._grants(name, port)
        if pattern is None:
            return _not_granted(name, port)
        try:
            check_address(address, pattern.granted)
        except AddressRefused as error:
            return None, "denied", str(error.strerror)
        return None

    def connect(self, address: bytes, port: int, name: bytes) -> int | Failed:
        """Begin to connect to an address, which `name` was resolved to."""
        refused = self._check(_text(address), port, _text(name))
        if refused is not None:
            return refused
        try:
            family, target = _target(_text(address), port)
            return self._reactor.connect(family, target)
        except OSError as error:
            return _failed(error)

    def connect_unix(self, path: bytes) -> int | Failed:
        """Begin to connect to a Unix socket."""
        if self._grants is not None:
            return None, "denied", "Unix sockets are not granted in a sandbox"
        try:
            return self._reactor.connect(socket.AF_UNIX, path)
        except OSError as error:
            return _failed(error)

    def listen(
        self, address: bytes, port: int, backlog: int, reuse_port: bool, name: bytes
    ) -> tuple[int, str, int] | Failed:
        """Listen at an address; returns number, address, port."""
        refused = self._check(_text(address), port, _text(name))
        if refused is not None:
            return refused
        try:
            family, target = _target(_text(address), port)
            number, used = self._reactor.listen(family, target, backlog=backlog, reuse_port=reuse_port)
        except OSError as error:
            return _failed(error)
        return number, used[0], used[1]

    def listen_unix(self, path: bytes, backlog: int) -> tuple[int, bytes] | Failed:
        """Listen at a path, which is removed again with the server; returns number, path."""
        if self._grants is not None:
            return None, "denied", "Unix sockets are not granted in a sandbox"
        try:
            number, _used = self._reactor.listen(socket.AF_UNIX, path, backlog=backlog, reuse_port=False)
        except OSError as error:
            return _failed(error)
        return number, path

    def close(self, number: int) -> None:
        """Close a socket now, not at the end of the slice."""
        self._reactor.perform((number, ABORT))

    async def resolve(self, host: bytes, port: int) -> tuple[str, ...] | Failed:
        """Return the addresses of a host, in the order in which they should be tried."""
        name = _text(host)
        if self._grants is not None and self._grants(name, port) is None:
            return _not_granted(name, port)
        try:
            found = await trio.socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            return None, _RESOLVE_KINDS.get(error.errno or 0, "not_found"), str(error.strerror)
        except UnicodeError as error:
            return None, "not_found", f"it is no host name: {error}"
        except OSError as error:
            return _failed(error)
        return tuple(_interleaved([(family, str(address[0])) for family, _t, _p, _c, address in found]))


def _text(host: bytes) -> str:
    # What is no text is no host either, and says so where it is looked up.
    return host.decode(errors="backslashreplace")


def _not_granted(name: str, port: int) -> Failed:
    return None, "denied", f"'{name}' port {port} was not granted to this sandbox (net_hosts)"


def _failed(error: OSError) -> Failed:
    return None, kind_of(error), error.strerror or str(error)


def _target(address: str, port: int) -> tuple[int, Any]:
    host, _, zone = address.partition("%")
    with contextlib.suppress(OSError):
        socket.inet_pton(socket.AF_INET, host)
        return socket.AF_INET, (host, port)
    with contextlib.suppress(OSError):
        socket.inet_pton(socket.AF_INET6, host)
        scope = 0
        if zone:
            scope = int(zone) if zone.isdigit() else socket.if_nametoindex(zone)
        return socket.AF_INET6, (host, port, 0, scope)
    raise OSError(2, f"{address!r} is not an IP address")


def _interleaved(found: list[tuple[int, str]]) -> list[str]:
    """Alternate between the families. Source: RFC 8305, section 4."""
    first = found[0][0] if found else 0
    ours = list(dict.fromkeys(address for family, address in found if family == first))
    others = list(dict.fromkeys(address for family, address in found if family != first))
    mixed = [address for pair in zip(ours, others, strict=False) for address in pair]
    shared = min(len(ours), len(others))
    return mixed + ours[shared:] + others[shared:]
