"""Confinement of the network: host patterns, and which addresses are public.

Belongs here: what may be asked for by name, and what a name may turn out to be. Functions of their arguments
alone; nothing of sockets, Lua or trio. The modules that connect ask here before DNS and after it.
"""

from __future__ import annotations

import errno
import ipaddress
import re
from collections.abc import Iterable

import attrs

__all__ = ["Address", "AddressRefused", "HostPattern", "Network", "check_address"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AddressRefused(OSError):
    """A network address that a sandboxed script may not reach; the message says which and why."""

    def __init__(self, address: object, why: str) -> None:
        super().__init__(errno.EACCES, f"address {address} refused: {why}")


# Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890) and multicast registries. Spelled
# out, because what `ipaddress` calls global has changed between Python's releases.
_SPECIAL: tuple[tuple[Network, str], ...] = tuple(
    (ipaddress.ip_network(network), what)
    for network, what in (
        ("0.0.0.0/8", "this host"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a provider's customers (CGNAT)"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "for documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "AMT relays"),
        ("192.88.99.0/24", "6to4 relays"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved or broadcast"),
        ("::/128", "this host"),
        ("::1/128", "loopback"),
        ("64:ff9b:1::/48", "local NAT64"),
        ("100::/64", "discarded"),
        ("2001::/23", "reserved for protocols"),
        ("2001:db8::/32", "for documentation"),
        ("3fff::/20", "for documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
# IPv6 addresses that carry an IPv4 one which is reached in the end, and how far it stands from the right.
_CARRIERS: tuple[tuple[ipaddress.IPv6Network, int], ...] = (
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated (SIIT)
    (ipaddress.IPv6Network("::/96"), 0),  # IPv4-compatible
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
)


def _carried(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv6Address):
        for network, shift in _CARRIERS:
            if address in network and int(address) > 1:
                return ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return None


def check_address(address: str | Address, granted: Iterable[Network] = ()) -> Address:
    """Check an address that DNS gave, or a script, before anything connects to it.

    Connect to the address that is returned, not to the name again: a second look-up may answer otherwise
    (DNS rebinding).

    Args:
        address: an IPv6 one may carry a zone ("fe80::1%eth0"), which is looked at like the rest.
        granted: ranges allowed although they are private or special, see `HostPattern.granted`.

    Raises:
        AddressRefused: it is not an address; or not a public one and not granted. An IPv6 address that
            carries an IPv4 one is as public as that.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        raise AddressRefused(repr(address), "it is not an IP address") from None
    ranges = tuple(granted)
    inner = _carried(parsed)
    for each in (parsed,) if inner is None else (parsed, inner):
        if any(each in network for network in ranges):
            return parsed
    target = parsed if inner is None else inner
    for network, what in _SPECIAL:
        if target in network:
            by = "" if inner is None else f", reached through {inner}"
            raise AddressRefused(parsed, f"{network} is not public ({what}{by}) and was not granted")
    return parsed


# Source: RFC 1123, section 2.1; "_" as in service names.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def _normal(host: str) -> str:
    """Spell a host name as patterns do: lower case, ASCII (IDNA), no dot at the end."""
    name = host.removesuffix(".").lower()
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        raise ValueError(f"bad host name {host!r}: it cannot be written as IDNA") from None


@attrs.frozen
class HostPattern:
    """Which hosts and ports a grant names: `api.example.com`, `*.example.com:8000-8100`, `10.0.0.0/8`."""

    # As written, for messages.
    text: str
    # A name in normal form; with `wildcard` what follows "*."; "" when `network` says it all or any host may.
    name: str
    wildcard: bool
    # Of an IP address or range; such a pattern grants private addresses, too.
    network: Network | None
    first_port: int
    last_port: int

    @classmethod
    def parse(cls, text: str) -> HostPattern:
        """Read a pattern.

        `*.example.com` means hosts below example.com, not that one. `*` means every host with a public
        address. An IP address, a range, or `localhost` grants what is private there.

        Raises:
            ValueError: names the pattern and what is wrong.
        """
        host, ports = _split(text)
        first, last = _port_range(text, ports)
        network = _network(host)
        if network is not None:
            return cls(text, "", False, network, first, last)
        if host == "*":
            return cls(text, "", True, None, first, last)
        wildcard = host.startswith("*.")
        name = _normal(host.removeprefix("*.")) if wildcard else _normal(host)
        labels = name.split(".")
        if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
            raise ValueError(
                f"bad host pattern {text!r}: expected a host name, '*.' and a domain, '*', an IP address "
                "or a range such as 10.0.0.0/8, and perhaps ':port' or ':first-last'"
            )
        if labels[-1].isdigit():
            raise ValueError(f"bad host pattern {text!r}: it looks like an IP address and is none")
        return cls(text, name, wildcard, None, first, last)

    def matches(self, host: str, port: int) -> bool:
        """Whether the pattern allows asking for this host, before DNS; `check_address` comes after it.

        Args:
            host: a name or an IP address (IPv6 without brackets).
            port: 0 to 65535.
        """
        if not self.first_port <= port <= self.last_port:
            return False
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            address = None
        if self.network is not None:
            return address is not None and address in self.network
        if not self.name:
            return True
        if address is not None:
            return False
        try:
            name = _normal(host)
        except ValueError:
            return False
        if self.wildcard:
            return name.endswith("." + self.name) and len(name) > len(self.name) + 1
        return name == self.name

    @property
    def granted(self) -> tuple[Network, ...]:
        """Ranges that may be reached through this pattern although they are not public."""
        if self.network is not None:
            return (self.network,)
        return _LOOPBACK if self.name == "localhost" and not self.wildcard else ()


def _split(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"bad host pattern {text!r}: expected '[IPv6 address]:port'")
        return host, rest[1:] if rest else None
    if text.count(":") > 1:
        return text, None  # an IPv6 address without a port
    host, colon, ports = text.partition(":")
    return host, ports if colon else None


def _port_range(text: str, ports: str | None) -> tuple[int, int]:
    if ports is None:
        return 0, 65535
    found = _PORTS.fullmatch(ports)
    if found:
        first = int(found[1])
        last = int(found[2]) if found[2] is not None else first
        if first <= last <= 65535:
            return first, last
    raise ValueError(f"bad host pattern {text!r}: {ports!r} is no port (0 to 65535) and no range first-last")


def _network(host: str) -> Network | None:
    try:
        return ipaddress.ip_network(host)
    except ValueError:
        return None
