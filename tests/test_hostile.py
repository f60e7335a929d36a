"""The hostile corpus: no script escapes, hangs, crashes the process or exceeds its limits.

`pytest -m "hostile and not isolate"`; `-k cpu/while_true` for one script. Scripts run several at a time in
batches, and each test looks at its own result, so the first test of a batch seems to take the time of all.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest
from hostile_corpus import ENGINES, HostileScript, read_corpus
from hostile_judge import damage, departures
from hostile_process import Ending, run_process

ROOT = Path(__file__).parents[1]
CORPUS = read_corpus()

# 1 s of processor on a machine that is busy with other tests, and what starting and ending takes.
WALL_S = 20.0
MAX_GAP_MS = 250
WORKERS = os.cpu_count() or 1
# One processor is left free: what is measured is our delay, not the machine's.
HEARTBEAT_WORKERS = max(1, WORKERS // 2)
# Scripts of a batch: enough to keep the workers busy, few enough to see progress.
BATCH = 8

LIMITS = ("--sandbox", "--cpu-limit", "1", "--memory-limit", "100M")


@attrs.frozen
class Case:
    """One script on one engine in one of the three ways."""

    script: HostileScript
    engine: str
    way: str  # "process", "isolate" or "heartbeat"

    @property
    def command(self) -> list[str]:
        words = [*self.script.options, "--engine", self.engine, str(self.script.path.relative_to(ROOT))]
        if self.way == "heartbeat":
            return [sys.executable, "tests/hostile_runner.py", *words]
        isolate = ["--isolate"] if self.way == "isolate" else []
        return [sys.executable, "-m", "scheduler", "run", *LIMITS, *isolate, *words]


def cases(way: str) -> list[Any]:
    return [
        pytest.param(Case(script, engine, way), id=f"{engine}-{script.name}")
        for engine in ENGINES
        for script in CORPUS
        if engine in script.engines
    ]


class Fleet:
    """Runs the cases that were selected, in batches, and keeps their endings."""

    def __init__(self, selected: list[Case]) -> None:
        self._selected = selected
        self._endings: dict[Case, Ending] = {}

    def ending(self, case: Case) -> Ending:
        if case not in self._endings:
            alike = [each for each in self._selected if each.way == case.way]
            start = alike.index(case) // BATCH * BATCH
            batch = alike[start : start + BATCH]
            workers = HEARTBEAT_WORKERS if case.way == "heartbeat" else WORKERS
            with ThreadPoolExecutor(workers) as pool:
                self._endings.update(zip(batch, pool.map(self._run, batch), strict=True))
        return self._endings[case]

    @staticmethod
    def _run(case: Case) -> Ending:
        return run_process(case.command, wall_s=WALL_S, cwd=str(ROOT))


@pytest.fixture(scope="session")
def fleet(request: pytest.FixtureRequest) -> Fleet:
    callspecs = [getattr(item, "callspec", None) for item in request.session.items]
    found = [spec.params.get("case") for spec in callspecs if spec is not None]
    return Fleet([case for case in found if isinstance(case, Case)])


def report(case: Case, problems: list[str], ending: Ending) -> str:
    return "\n".join(
        [
            f"{case.script.name} ({case.script.what}): {'; '.join(problems)}",
            " ".join(case.command),
            f"after {ending.seconds:.1f} s and {ending.max_rss_bytes >> 20} MB",
            f"stdout ends: {ending.stdout_tail[-500:]!r}",
            f"stderr begins: {ending.stderr_head[:1500]!r}",
        ]
    )


def check(case: Case, ending: Ending) -> None:
    expected = case.script.isolated if case.way == "isolate" else case.script.expected
    problems = damage(ending) + departures(expected, ending)
    if problems:
        pytest.fail(report(case, problems, ending), pytrace=False)


@pytest.mark.hostile
@pytest.mark.slow
@pytest.mark.parametrize("case", cases("process"))
def test_hostile_script_ends_as_documented(case: Case, fleet: Fleet) -> None:
    check(case, fleet.ending(case))


@pytest.mark.hostile
@pytest.mark.isolate
@pytest.mark.slow
@pytest.mark.parametrize("case", cases("isolate"))
def test_hostile_script_ends_as_documented_in_a_child_process(case: Case, fleet: Fleet) -> None:
    check(case, fleet.ending(case))


@pytest.mark.hostile
@pytest.mark.slow
@pytest.mark.parametrize("case", cases("heartbeat"))
def test_hostile_beside_a_heartbeat(case: Case, fleet: Fleet) -> None:
    ending, script = fleet.ending(case), case.script
    if script.single_c_call and ending.code == 4:
        return  # the last resort ended the process, as documented: there is no report
    problems = [found for found in damage(ending) if found != "escaped"]  # `beat` is a global here
    try:
        measured = json.loads(ending.last_line)
    except ValueError:
        measured = {}
        problems.append("no report")
    else:
        # A script that waits for ever is a deadlock only where nobody else is there.
        exits = {124 if code == 3 else code for code in script.expected.exits}
        if measured["code"] not in exits:
            problems.append(f"ended as {measured['code']}, not {sorted(exits)}")
        gap = max(measured["worst_gap_ms"].values())
        if gap >= MAX_GAP_MS * (2 if script.deep_stack else 1) and not script.single_c_call:
            problems.append(f"the heartbeat missed: {measured['worst_gap_ms']} ms")
    if problems:
        pytest.fail(report(case, problems, ending), pytrace=False)
