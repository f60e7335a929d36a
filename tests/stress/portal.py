"""Run portal.lua with several seeds: `portal.py ENGINE SEED...`; tests/test_portal_stress.py starts it."""

from __future__ import annotations

import faulthandler
import gc
import sys
from pathlib import Path
from typing import Any

import trio

import scheduler
from scheduler.clock import virtual_clock

SCRIPT = Path(__file__).with_suffix(".lua")
TASKS = 300


async def run(engine: str, seed: int) -> Any:
    async def host_async(seconds: float) -> str:
        await trio.sleep(seconds)
        return "async"

    def host_sync(function: scheduler.LuaFunction, value: str) -> Any:
        return function.call_sync(value)

    async with scheduler.open_runtime(engine=engine) as runtime:
        runtime.register("host_async", host_async)
        runtime.register("host_sync", host_sync)
        runtime.register("host_collect", lambda: gc.collect() and None)
        result = await runtime.run(SCRIPT, seed, TASKS)
        statistics = runtime.statistics()
    assert statistics.loops_frozen == 0, statistics
    assert statistics.portal_parks > TASKS, statistics
    return result


def main(engine: str, *seeds: str) -> None:
    faulthandler.enable()
    for seed in seeds:
        # Results, not traces: trio wakes tasks of one instant in random order, so host calls vary.
        done, cancelled, closed, _seconds = trio.run(run, engine, int(seed), clock=virtual_clock())
        assert done + cancelled == TASKS
        print(seed, done, cancelled, closed)


if __name__ == "__main__":
    main(*sys.argv[1:])
