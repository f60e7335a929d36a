"""Memory comes back after many tasks: a small run of tests/stress/soak.py, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import GIVE_UP_S

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_memory_after_many_waves_is_that_after_ten(engine_with_close: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "stress" / "soak.py"), engine_with_close, "30", "600"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=2 * GIVE_UP_S,
        check=False,
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["tasks", "lua:", "process:"]
