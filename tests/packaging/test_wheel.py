"""The built wheel, installed into an empty environment, runs a script from another folder."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_wheel_in_empty_environment_runs_a_script(tmp_path: Path) -> None:
    # A copy without untracked files: what git does not know must not be needed.
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    subprocess.run(["tar", "x"], input=archive, cwd=checkout, check=True)
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, checkout, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    shipped = set(zipfile.ZipFile(wheel).namelist())
    for source in (ROOT / "stdlib_lua").rglob("*.lua"):
        assert str(source.relative_to(ROOT)) in shipped

    run(sys.executable, "-m", "venv", tmp_path / "empty", cwd=tmp_path)
    python = tmp_path / "empty" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", wheel, cwd=tmp_path)
    script = tmp_path / "elsewhere" / "hello.lua"
    script.parent.mkdir()
    script.write_text(
        "print(task.race({ function() task.sleep(0.01) return 'slow' end, function() return 'fast' end }))\n"
    )
    assert run(python, "-m", "scheduler", "hello.lua", cwd=script.parent) == "fast\n"
