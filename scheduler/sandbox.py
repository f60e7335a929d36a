"""Sandboxes: what scripts of others may reach.

Belongs here: the grants a Python program writes down, checked. What they do: stdlib_lua/sandbox.lua (what
a script sees), bridge/confine.py (files) and bridge/confine_net.py (hosts).
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from bridge.confine_net import HostPattern
from scheduler.checks import check_kind, check_text_map

__all__ = ["MODULES", "Sandbox"]

# What every sandboxed script has. Naming one in `allow` changes nothing.
MODULES = frozenset(
    {"task", "event", "sleep", "channel", "sync", "promise"}
    | {"broadcast", "callback", "emitter", "stream", "timer"}
    | {"string", "table", "math", "utf8", "coroutine", "os", "io", "debug"}
)
# What a sandboxed script has when it is granted, beside the program's own host functions.
GRANTABLE = frozenset({"net"})
# Dotted, as `Runtime.register` takes it.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


def _names(value: Iterable[str]) -> frozenset[str]:
    if isinstance(value, str):
        raise TypeError(f"allow must be a set of names, not one string: {{{value!r}}}")
    check_kind("allow", value, Iterable, optional=False)
    names = frozenset(value)
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"allow: {name!r} is no name; expected 'llm' or 'weather.get'")
    return names


def _root(value: str | Path | None) -> Path | None:
    if value is None:
        return None
    check_kind("fs_root", value, str, os.PathLike)
    root = Path(value).absolute()
    if not root.is_dir():
        raise ValueError(f"fs_root: {str(value)!r} is not a directory")
    return root


def _patterns(value: Iterable[str | HostPattern]) -> tuple[HostPattern, ...]:
    if isinstance(value, str):
        raise TypeError(f"net_hosts must be a sequence of patterns, not one string: [{value!r}]")
    check_kind("net_hosts", value, Iterable, optional=False)
    for each in value:
        check_kind("net_hosts: a pattern", each, str, HostPattern, optional=False)
    return tuple(each if isinstance(each, HostPattern) else HostPattern.parse(each) for each in value)


def _environment(value: Mapping[str, str] | None) -> Mapping[str, str] | None:
    if value is None:
        return None
    check_text_map("env", value)
    return dict(value)


@attrs.frozen(kw_only=True)
class Sandbox:
    """What the scripts of a runtime may reach beyond Lua's pure libraries, tasks and events.

    Attributes:
        allow: host functions by name ("weather.get") or by group ("weather"), and "net", the library.
        fs_root: the directory that the file modules are confined to; None: no files.
        net_hosts: the hosts that the network modules may reach, as `HostPattern.parse` reads them; checked
            again after DNS. Listening needs a grant, too, of the address and port: "127.0.0.1".
        env: what `os.getenv` gives; None: there is no `os.getenv`.

    Raises:
        ValueError: a name, directory or pattern that is none; the message names it.
        TypeError: one string where several are meant, or an `env` of other values than str.
    """

    allow: frozenset[str] = attrs.field(factory=frozenset, converter=_names)
    fs_root: Path | None = attrs.field(default=None, converter=_root)
    net_hosts: tuple[HostPattern, ...] = attrs.field(default=(), converter=_patterns)
    # Values are secrets as often as not.
    env: Mapping[str, str] | None = attrs.field(default=None, converter=_environment, repr=False)

    def check(self, registered: Iterable[str]) -> None:
        """Raise if `allow` has a name that nothing answers to: a typing error grants less than was meant.

        Called before the first script starts, for only then the host functions are known.

        Args:
            registered: names of the host functions, "weather.get".

        Raises:
            ValueError: names the unknown ones, the likely meaning, and what is known.
        """
        known = set(MODULES | GRANTABLE)
        for name in registered:
            parts = name.split(".")
            known.update(".".join(parts[:n]) for n in range(1, len(parts) + 1))
        for name in sorted(self.allow - known):
            likely = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f" (did you mean {likely[0]!r}?)" if likely else ""
            raise ValueError(f"allow: unknown name {name!r}{hint}; known are {', '.join(sorted(known))}")

    def host_pattern(self, host: str, port: int) -> HostPattern | None:
        """Return the first grant that covers `host` and `port`, or None; `check_address` comes after DNS."""
        return next((each for each in self.net_hosts if each.matches(host, port)), None)
