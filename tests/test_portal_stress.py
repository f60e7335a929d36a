"""Hundreds of tasks parked inside sort, gsub, metamethods, `require` and `<close>`, in a subprocess.

A crash of the process is then a failure with its output. The work is in tests/stress/portal.lua.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Real seconds after which a hanging process is ended; it runs for a few.
PATIENCE_S = 30


def run_python(*arguments: str | Path) -> str:
    """Run Python with our packages in reach; returns its output, fails with all of it."""
    environment = dict(os.environ, PYTHONPATH=str(HERE.parent), PYTHONFAULTHANDLER="1")
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=environment,
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    # Lua's own words about a finalizer that raises.
    noise = ("Lua warning: error in __gc", "ERROR in finalizer")
    assert [line for line in done.stderr.splitlines() if not line.startswith(noise)] == []
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["lua54", "lua55", "luajit"])
def test_tasks_parked_in_callbacks_survive_cancellation_and_collection(engine: str) -> None:
    seeds = ["1", "2", "3"]
    output = run_python(HERE / "stress" / "portal.py", engine, *seeds)
    assert [line.split()[0] for line in output.splitlines()] == seeds
