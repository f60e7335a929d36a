"""Contests: the same work done by several contenders, each in a fresh process, printed as one table.

Belongs here: processes, medians, the table. What is measured is in the files that ask the questions, how
a contender runs its program in contenders.py.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

import attrs

__all__ = ["COLUMNS", "Row", "main"]

# Contenders in the order of the table. A raw one runs in the same engine as the one before it.
COLUMNS = ("lua54", "raw 54", "luajit", "raw jit", "asyncio", "uvloop", "trio", "gevent", "node")
_RATIOS = {"raw 54": "lua54", "raw jit": "luajit"}
# Peers that may be absent; the others come with the project or with Python.
_OPTIONAL = ("uvloop", "gevent")
# A contender that takes longer than this is stuck.
_TIMEOUT_S = 300


@attrs.frozen
class Row:
    """One line of the table."""

    title: str
    # Of the values, for example "us".
    unit: str
    # Column -> does the work once, in a process of its own, and returns the value. A column without an
    # entry cannot do this kind of work.
    contenders: Mapping[str, Callable[[], float]]
    # What we want of our own columns: at most so many times the raw one, or so many units.
    aim_ratio: float | None = None
    aim_value: float | None = None

    @property
    def aim(self) -> str:
        """The aim as the table prints it."""
        if self.aim_ratio is not None:
            return f"<= {self.aim_ratio:g}x raw"
        return "" if self.aim_value is None else f"<= {self.aim_value:g} {self.unit}"


def main(*modules: str) -> None:
    """Run the questions in `modules` and print the table (stdout; progress goes to stderr)."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Print one table of us beside our peers; see benchmarks/README.md.",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, one run: a smoke test")
    parser.add_argument("--runs", type=int, help="runs per contender, the median counts (default 3)")
    parser.add_argument("--only", help="comma-separated columns: " + ", ".join(COLUMNS))
    options = parser.parse_args()
    runs = options.runs or (1 if options.quick else 3)
    only = options.only.split(",") if options.only else COLUMNS
    columns = [column for column in COLUMNS if column in only]
    absent = [peer for peer in _OPTIONAL if importlib.util.find_spec(peer) is None]
    if shutil.which("node") is None:
        absent.append("node")
    table = []
    failed = False
    for module in modules:
        for index, row in enumerate(_rows(module, options.quick)):
            present = [name for name in columns if name in row.contenders and name not in absent]
            values: dict[str, list[float]] = {name: [] for name in present}
            for turn in range(runs):
                # All contenders of a row take turns, so that a machine that slows down slows all of them.
                for name in present:
                    _progress(f"{row.title}: {name} ({turn + 1}/{runs})")
                    value = _measure(module, index, name, options.quick)
                    if value is None:
                        failed = True
                    else:
                        values[name].append(value)
            _progress("")
            table.append(_cells(row, columns, absent, values))
    _print(table, columns, absent, runs, options.quick)
    sys.exit(1 if failed else 0)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print("\r\033[K" + text, end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def _rows(module: str, quick: bool) -> list[Row]:
    rows: list[Row] = importlib.import_module(module).rows(quick)
    return rows


def _measure(module: str, index: int, contender: str, quick: bool) -> float | None:
    command = [sys.executable, "-m", "benchmarks.contest", module, str(index), contender, str(int(quick))]
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        print(f"\n{contender} did not end within {_TIMEOUT_S} s", file=sys.stderr)
        return None
    if result.returncode != 0:
        print(f"\n{contender} failed with code {result.returncode}", file=sys.stderr)
        return None
    return float(result.stdout)


def _cells(
    row: Row, columns: Sequence[str], absent: Sequence[str], values: Mapping[str, Sequence[float]]
) -> list[str]:
    medians = {name: statistics.median(runs) for name, runs in values.items() if runs}
    cells = [f"{row.title} [{row.unit}]"]
    for name in columns:
        if name in medians:
            cells.append(_number(medians[name]))
        elif name in values:
            cells.append("failed")
        else:
            cells.append("absent" if name in absent and name in row.contenders else "-")
        ours = _RATIOS.get(name)
        if ours is not None:
            both = name in medians and ours in medians
            cells.append(f"{medians[ours] / medians[name]:.2f}x" if both else "")
    ours_missed = []
    for raw, ours in _RATIOS.items():
        value = medians.get(ours)
        if value is None:
            continue
        over_ratio = row.aim_ratio is not None and raw in medians and value > row.aim_ratio * medians[raw]
        if over_ratio or (row.aim_value is not None and value > row.aim_value):
            ours_missed.append(ours)
    cells.append(row.aim + (f" (missed: {', '.join(ours_missed)})" if ours_missed else ""))
    return cells


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _print(
    table: list[list[str]], columns: Sequence[str], absent: Sequence[str], runs: int, quick: bool
) -> None:
    header = [""]
    for name in columns:
        header.append(name)
        if name in _RATIOS:
            header.append("us/raw")
    header.append("aim")
    print("CPU time per operation unless the row says otherwise; median of", runs, "runs in fresh processes.")
    if quick:
        print("QUICK: small sizes, a smoke test; the numbers mean nothing.")
    print(_versions())
    if absent:
        print("absent: not installed:", " ".join(absent), "(but for node: python -m pip install)")
    print()
    widths = [max(len(line[i]) for line in [header, *table]) for i in range(len(header))]
    for line in [header, *table]:
        first, *middle, last = line
        numbers = (cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True))
        print("  ".join([first.ljust(widths[0]), *numbers, last]).rstrip())


def _versions() -> str:
    import lupa.lua54
    import lupa.luajit21

    engines = (lupa.lua54.LuaRuntime(), lupa.luajit21.LuaRuntime())
    parts = [f"CPython {platform.python_version()}"]
    parts += [runtime.eval("jit and jit.version or _VERSION") for runtime in engines]
    for package in ("lupa", "trio", "greenlet", *_OPTIONAL):
        try:
            parts.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join([*parts, f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"])


def _child(module: str, index: str, contender: str, quick: str) -> None:
    print(_rows(module, quick == "1")[int(index)].contenders[contender]())


if __name__ == "__main__":
    _child(*sys.argv[1:])
