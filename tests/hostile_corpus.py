"""The hostile corpus: which scripts there are, and what their headers promise.

Belongs here: reading `tests/hostile/<group>/<name>.lua`. Does not belong here: running them
(hostile_process.py) and judging how they ended (test_hostile.py).

A header is a run of comments at the top of the script:

    -- what: one line: what it tries
    -- expect: exit=4 limit=cpu             the end, see Expected; alternatives stand between bars
    -- isolate: exit=1 stderr=too long      the end with --isolate where it is another one
    -- engines: lua55                       left out: lua54 lua55
    -- options: --max-tasks 50              more options of the command line
    -- note: single C call                  a hook cannot end it: the heartbeat may miss
    -- note: deep stack                     the collector walks it in one go: the heartbeat may miss by 500 ms
"""

from __future__ import annotations

import re
from pathlib import Path

import attrs

__all__ = ["ENGINES", "GROUPS", "Expected", "HostileScript", "read_corpus"]

FOLDER = Path(__file__).parent / "hostile"
ENGINES = ("lua54", "lua55")
GROUPS = ("cpu", "errors", "escape", "evasion", "memory", "objects", "scheduler", "stack", "values")

_FIELDS = ("what", "expect", "isolate", "engines", "options", "note")
_LIMITS = frozenset(("cpu", "memory", "wall", "tasks", "output", "host_calls"))
_EXITS = frozenset((0, 1, 3, 4, 124))


@attrs.frozen
class Expected:
    """The documented end of a script; more than one where the engine or the clock may choose."""

    exits: frozenset[int]
    # Which limit it may reach; looked at for exit 4, and given only with it.
    limits: frozenset[str] = frozenset()
    # The last line of stdout; looked at for exit 0.
    stdout: str | None = None
    # One of these is in stderr; looked at for exit 1.
    stderr: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Expected:
        """Read `exit=1|4 stderr=a piece|another limit=cpu`.

        Raises:
            ValueError: an unknown field, exit code or limit, or a limit without exit 4 and vice versa.
        """
        # A value may contain spaces, so it ends where the next field begins.
        words = re.split(r" (?=(?:exit|limit|stdout|stderr)=)", text)
        fields = dict(word.split("=", 1) for word in words)
        exits = frozenset(int(code) for code in fields.pop("exit").split("|"))
        limits = frozenset(fields.pop("limit", "").split("|")) - {""}
        stdout = fields.pop("stdout", None)
        stderr = tuple(fields.pop("stderr", "").split("|")) if "stderr" in fields else ()
        if fields or not exits <= _EXITS or not limits <= _LIMITS:
            raise ValueError(f"not an expectation: {text!r}")
        if (4 in exits) != bool(limits) or (stdout is not None and 0 not in exits):
            raise ValueError(f"exit 4 and limit=, exit 0 and stdout= belong together: {text!r}")
        return cls(exits, limits, stdout, stderr)


@attrs.frozen
class HostileScript:
    """One script of the corpus."""

    path: Path
    what: str
    expected: Expected
    # The same with --isolate.
    isolated: Expected
    engines: tuple[str, ...] = ENGINES
    options: tuple[str, ...] = ()
    # Its damage is one C call, which ends only with the process.
    single_c_call: bool = False
    deep_stack: bool = False

    @property
    def name(self) -> str:
        """As "cpu/while_true"."""
        return f"{self.path.parent.name}/{self.path.stem}"

    @classmethod
    def read(cls, path: Path) -> HostileScript:
        """Read the header of one script.

        Raises:
            ValueError: a field is missing, unknown or given twice; names the file.
        """
        fields: dict[str, str] = {}
        for line in path.read_text().splitlines():
            match = re.fullmatch(r"-- (\w+): (.+)", line)
            if match is None:
                break
            name, value = match.groups()
            if name == "luacheck":
                continue
            if name not in _FIELDS or name in fields:
                raise ValueError(f"{path}: unknown or repeated field {name!r}")
            fields[name] = value
        if "what" not in fields or "expect" not in fields:
            raise ValueError(f"{path}: the header says neither what nor expect")
        engines = tuple(fields.get("engines", " ".join(ENGINES)).split())
        if not set(engines) <= set(ENGINES):
            raise ValueError(f"{path}: unknown engine in {engines}")
        return cls(
            path,
            what=fields["what"],
            expected=Expected.parse(fields["expect"]),
            isolated=Expected.parse(fields.get("isolate", fields["expect"])),
            engines=engines,
            options=tuple(fields.get("options", "").split()),
            single_c_call=fields.get("note") == "single C call",
            deep_stack=fields.get("note") == "deep stack",
        )


def read_corpus() -> list[HostileScript]:
    """All scripts, by group and name."""
    return [HostileScript.read(path) for path in sorted(FOLDER.glob("*/*.lua"))]
