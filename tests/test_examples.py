"""Each example runs as its header says, and prints what stands beside it.

`NN_name.out` is its output, `NN_name.err` what it says on stderr (no file: nothing).
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(path for path in (ROOT / "examples").glob("[0-9]*") if path.suffix in (".lua", ".py"))
# Real seconds after which a hanging program is killed; no test waits for it when all is well.
GIVE_UP_S = 30


def run(command: str) -> tuple[int, str, str]:
    python, *words = shlex.split(command)
    assert python == "python"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=GIVE_UP_S,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def beside(example: Path, suffix: str) -> str:
    path = example.with_suffix(suffix)
    return path.read_text() if path.exists() else ""


def command_of(example: Path) -> tuple[str, int]:
    """The line "Run: python ..." of the header, and the exit code it announces."""
    line = re.search(r"Run: (python .*?)(?:  \(exit code (\d+)\))?$", example.read_text(), re.MULTILINE)
    assert line, "the header has no line 'Run: python ...'"
    return line[1], int(line[2] or 0)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_prints_what_stands_beside_it(example: Path) -> None:
    command, code = command_of(example)
    assert example.with_suffix(".out").exists()
    assert run(command) == (code, beside(example, ".out"), beside(example, ".err"))


def on_other_engines() -> Iterator[Any]:
    for example in EXAMPLES:
        if example.suffix == ".lua":
            needs_close = "Needs Lua 5.4" in example.read_text()
            for engine in ("lua55",) if needs_close else ("lua55", "luajit"):
                yield pytest.param(example, engine, id=f"{engine}-{example.stem}")


@pytest.mark.slow
@pytest.mark.parametrize(("example", "engine"), list(on_other_engines()))
def test_example_prints_the_same_on_the_other_engines(example: Path, engine: str) -> None:
    command, code = command_of(example)
    command = command.replace("-m scheduler", f"-m scheduler --engine {engine}")
    assert run(command) == (code, beside(example, ".out"), beside(example, ".err"))


def test_there_are_examples() -> None:
    """The glob above finds them: an empty parametrization would pass unseen."""
    assert len(EXAMPLES) >= 10


def test_every_example_is_in_the_index() -> None:
    index = (ROOT / "examples" / "README.md").read_text()
    assert [path.name for path in EXAMPLES if f"({path.name})" not in index] == []


@pytest.mark.slow
def test_demo_ranks_the_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "small.py").write_bytes(b"pass\n")
    (tmp_path / "deep" / "large.lua").write_bytes(b"--\n" * 20)
    (tmp_path / "deep" / "er" / "no_newline_at_its_end.md").write_bytes(b"\xff\none\ntwo")
    (tmp_path / "empty.toml").write_bytes(b"")
    (tmp_path / "__pycache__" / "skipped.py").write_bytes(b"\n" * 99)
    (tmp_path / "picture.png").write_bytes(b"\n" * 99)

    code, out, err = run(f"python -m examples.demo {shlex.quote(str(tmp_path))}")

    assert (code, out) == (
        0,
        " lines     bytes  path\n"
        "    20        60  deep/large.lua\n"
        "     3         9  deep/er/no_newline_at_its_end.md\n"
        "     1         5  small.py\n"
        "     0         0  empty.toml\n"
        "    24        74  in 4 files\n",
    )
    # Four files are read within one look of the progress task or several: the last line is certain.
    assert "[########################] 4 of 4 files read, 3 folders\n" in err
    assert "\r" not in err


@pytest.mark.slow
def test_demo_reports_a_missing_folder() -> None:
    code, out, err = run("python -m examples.demo /does/not/exist")
    assert (code, out) == (1, "")
    assert err.startswith("FileNotFoundError: ")
    assert "examples/demo/largest.lua" in err


@pytest.mark.slow
def test_demo_rewrites_one_line_on_a_terminal(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number:02}.py").write_bytes(b"pass\n" * number)
    terminal, stderr = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "examples.demo", str(tmp_path)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            timeout=GIVE_UP_S,
            check=True,
        )
        progress, summary, *_ = os.read(terminal, 65536).decode().split("\r\n")
    finally:
        os.close(terminal)
        os.close(stderr)
    # Each state begins at the line's start; the last one is complete.
    assert progress.startswith("\r[")
    assert progress.endswith("\r[########################] 50 of 50 files read, 1 folders")
    assert summary.startswith("8 tasks read them in ")
    assert done.stdout.decode().splitlines()[1:3] == [
        "    49       245  49.py",
        "    48       240  48.py",
    ]
