"""Ten seconds of the fuzzer (tests/fuzz.py), and that it can find something."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz import Fuzz
from fuzz_programs import program

ROOT = Path(__file__).parents[1]
SECONDS = 10
# Each of the other tests' runs begins here, too: a finding can be repeated.
FIRST_SEED = 1


@pytest.mark.slow
def test_no_program_harms_the_process() -> None:
    fuzz = Fuzz(FIRST_SEED, workers=os.cpu_count() or 1)
    fuzz.run(SECONDS)
    assert fuzz.findings == [], "\n".join(map(str, fuzz.findings))
    # It has done something, and not only one thing.
    assert {"done", "LuaError", "LuaSyntaxError", "CpuLimitExceeded"} <= set(fuzz.outcomes), fuzz.outcomes


def test_program_depends_on_its_seed_alone() -> None:
    programs = [program(seed) for seed in range(50)]
    assert programs == [program(seed) for seed in range(50)]
    assert len(set(programs)) > 45


@pytest.mark.slow
def test_fuzzer_finds_every_kind_of_harm(tmp_path: Path) -> None:
    """Four programs do harm; those between them go on."""
    code = """
import os, signal, sys, time
import fuzz

def fail():
    raise KeyError("lost")

HARM = {
    3: lambda: os.kill(os.getpid(), signal.SIGSEGV),
    5: fail,
    7: lambda: os._exit(7),
    9: lambda: time.sleep(60),
}

def program(seed):
    if seed in HARM and "--work" in sys.argv:
        HARM[seed]()
    return "return 1"

fuzz.program = program
fuzz.PATIENCE_S = 1.5
fuzz.__file__ = __file__
if "--work" in sys.argv:
    fuzz.main(sys.argv[1:])
else:
    run = fuzz.Fuzz(1, workers=1)
    run.run(8)
    for finding in run.findings:
        print(finding.seed, finding.what.partition(":")[0])
    print(run.outcomes["done"] > 10)
"""
    script = tmp_path / "harmful.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "3 the process ended with -11",
        "5 PYTHON KeyError",
        "7 the process ended with 7",
        "9 goes on for 1.5 s",
        "True",
    ]
