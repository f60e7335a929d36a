"""Run preemption.lua again and again: `preemption.py ENGINE SECONDS [SEED]`.

tests/test_preemption_stress.py starts it for 3 seconds; by hand, for minutes. In real
time, for that is what preempts; slices shorter than the default make more preemptions.
"""

from __future__ import annotations

import faulthandler
import sys
import time
from pathlib import Path
from typing import Any

import trio

import scheduler

SCRIPT = Path(__file__).with_suffix(".lua")
TASKS = 40
SLICE_S = 0.001


async def run(engine: str, seed: int) -> tuple[int, int, int, int]:
    def host_back(function: scheduler.LuaFunction) -> Any:
        return function.call_sync()

    def host_many(*values: int) -> tuple[int, ...]:
        return values

    async with scheduler.open_runtime(engine=engine, slice_s=SLICE_S) as runtime:
        runtime.register("host_back", host_back)
        runtime.register("host_many", host_many)
        task = runtime.spawn(SCRIPT, seed, TASKS)
        beats = 0
        while task.status == "running":
            await trio.sleep(0.005)
            beats += 1
        finished, cancelled, timed_out = await task.join()
        statistics = runtime.statistics()
    assert finished + cancelled + timed_out == TASKS, (finished, cancelled, timed_out)
    assert statistics.loops_frozen == 0, statistics
    assert statistics.preemptions > 0, statistics
    assert beats >= 3, beats
    return finished, cancelled, timed_out, statistics.preemptions


def main(engine: str, seconds: str, seed: str = "1") -> None:
    """Print a line a run and a sum."""
    faulthandler.enable()
    number, preempted, end = int(seed), 0, time.monotonic() + float(seconds)
    while True:
        print("seed", number, end=" ", flush=True)
        finished, cancelled, timed_out, preemptions = trio.run(run, engine, number)
        print(finished, "finished", cancelled, "cancelled", timed_out, "timed out", flush=True)
        preempted += preemptions
        if time.monotonic() > end:
            break
        number += 1
    print("runs", number - int(seed) + 1, "preemptions", preempted)


if __name__ == "__main__":
    main(*sys.argv[1:])
