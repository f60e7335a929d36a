"""The harness of test_hostile.py: its judge can find fault, and a process is measured right."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hostile_corpus import GROUPS, Expected, read_corpus
from hostile_judge import damage, departures
from hostile_process import Ending, run_process

CORPUS = read_corpus()

# -- the corpus ------------------------------------------------------------------------------------


def test_the_corpus_is_large_and_fills_every_group() -> None:
    count = Counter(script.path.parent.name for script in CORPUS)
    assert sorted(count) == list(GROUPS)
    assert len(CORPUS) >= 160
    assert min(count.values()) >= 20
    assert max(len(script.path.read_text().splitlines()) for script in CORPUS) <= 60


def test_no_two_scripts_say_the_same() -> None:
    assert [what for what, times in Counter(script.what for script in CORPUS).items() if times > 1] == []


GOOD = Ending(
    code=0,
    stdout_tail=b"x\ncontained\n",
    stderr_head=b"",
    stderr_bytes=0,
    escaped=False,
    max_rss_bytes=50 << 20,
    seconds=0.3,
)
CONTAINED = Expected.parse("exit=0 stdout=contained")
KILLED = Expected.parse("exit=4 limit=cpu|memory")
RAISED = Expected.parse("exit=1 stderr=a piece with spaces|another")


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        (CONTAINED, {}),
        (KILLED, {"code": 4, "stderr_head": b"scheduler: limit reached: memory: used 101 MB"}),
        (RAISED, {"code": 1, "stderr_head": b"scheduler: another", "stdout_tail": b""}),
    ],
)
def test_judge_is_content(expected: Expected, changes: dict[str, Any]) -> None:
    ending = attrs.evolve(GOOD, **changes)
    assert damage(ending) + departures(expected, ending) == []


@pytest.mark.parametrize(
    ("judge", "changes", "problem"),
    [
        (damage, {"code": None}, "hangs: killed after 0 s"),
        (damage, {"code": -11}, "died by signal 11"),
        (damage, {"escaped": True}, "escaped"),
        (damage, {"stderr_head": b"Traceback (most recent call last):\n"}, "Python frames on stderr"),
        (damage, {"stderr_head": b'  File "/x/driver.py", line 1'}, "Python frames on stderr"),
        (damage, {"max_rss_bytes": 256 << 20}, "took 256 MB"),
        (damage, {"stderr_bytes": 1 << 16}, "wrote 65536 bytes to stderr"),
        (CONTAINED, {"code": 4}, "exit 4, not [0]"),
        (CONTAINED, {"stdout_tail": b"contained\nmore\n"}, "stdout ends with 'more'"),
        (KILLED, {"code": 4}, "limit None, not ['cpu', 'memory']"),
        (KILLED, {"code": 4, "stderr_head": b"limit reached: wall"}, "limit wall, not ['cpu', 'memory']"),
        (RAISED, {"code": 1}, "stderr is without ('a piece with spaces', 'another')"),
    ],
)
def test_judge_finds(
    judge: Expected | Callable[[Ending], list[str]], changes: dict[str, Any], problem: str
) -> None:
    ending = attrs.evolve(GOOD, **changes)
    assert (departures(judge, ending) if isinstance(judge, Expected) else judge(ending)) == [problem]


@pytest.mark.parametrize(
    "text", ["exit=5", "exit=4", "exit=1 limit=cpu", "exit=4 limit=time", "exit=1 stdout=x", "limit=cpu"]
)
def test_header_that_contradicts_itself_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        Expected.parse(text)


# -- the process -----------------------------------------------------------------------------------


def run_python(code: str, wall_s: float = 20) -> Ending:
    return run_process(
        [sys.executable, "-I", "-S", "-c", code], wall_s=wall_s, cwd=str(Path(__file__).parent)
    )


@pytest.mark.slow
def test_process_is_measured_without_the_tests_own_memory() -> None:
    """A forked process inherits the peak of its parent: without the one in between, this finds 300 MB."""
    large = bytearray(300 << 20)
    assert run_python("x = bytearray(50 << 20)").max_rss_bytes in range(50 << 20, 100 << 20)
    assert len(large) == 300 << 20


@pytest.mark.slow
def test_process_that_hangs_is_killed_with_its_children() -> None:
    ending = run_python("import os; os.fork(); print('on', flush=True)\nwhile True: pass", wall_s=0.5)
    assert (ending.code, ending.stdout_tail) == (None, b"on\non\n")


@pytest.mark.slow
def test_process_that_floods_keeps_both_ends_and_the_word() -> None:
    ending = run_python(
        "import sys, os\n"
        "sys.stderr.write('begin' + 'x' * 2_000_000)\n"
        "sys.stdout.write('y' * 2_000_000 + 'ESCAPED' + 'y' * 2_000_000 + '\\nend\\n')\n"
        "sys.stdout.flush()\n"
        "os.abort()"
    )
    assert (ending.code, ending.last_line, ending.stderr_bytes) == (-6, "end", 2_000_005)
    assert ending.stderr_head.startswith(b"beginx")
    assert ending.escaped
