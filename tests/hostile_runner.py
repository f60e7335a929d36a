"""A hostile script beside an innocent heartbeat in one runtime: `python hostile_runner.py --engine E SCRIPT`.

Belongs here: one run, reported as the last line of stdout, a JSON object: `code`, the exit code that the
command line would give, and `worst_gap_ms`, the longest time between two beats of a trio task (`host`) and
of a Lua task (`lua`) that both sleep 10 ms at a time. Whether that is good is for test_hostile.py to say.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import attrs
import trio

import scheduler
from bridge.capi import flush_stdout

BEAT_S = 0.01
# Below what the corpus says on the command line: what is measured are gaps, and they show sooner.
CPU_S = 0.4
MEMORY_BYTES = 100_000_000
# A script that only waits is of no interest here.
PATIENCE_S = 3.0

HEARTBEAT = "while true do task.sleep(0.01) beat() end"


@attrs.define(eq=False)
class Heartbeat:
    """The longest gap between two beats."""

    worst_s: float = 0.0
    last: float = attrs.field(factory=time.monotonic)

    def beat(self) -> None:
        """Note a beat now."""
        now = time.monotonic()
        self.worst_s = max(self.worst_s, now - self.last)
        self.last = now

    async def beat_for_ever(self) -> None:
        """Beat as a trio task."""
        while True:
            await trio.sleep(BEAT_S)
            self.beat()


async def _kill_late(runtime: scheduler.Runtime, seconds: float) -> None:
    # As the command line does: a shield does not outlast the time.
    await trio.sleep(seconds)
    runtime.kill()


async def beside_a_heartbeat(
    script: Path, engine: str, limits: scheduler.Limits, timeout_s: float
) -> dict[str, object]:
    """Run `script` under `limits` beside two heartbeats; never raises for what the script did."""
    sandbox = scheduler.Sandbox(allow=scheduler.Sandbox().allow | {"beat"})
    code = 0
    async with trio.open_nursery() as nursery:
        # Somewhat more for all: behind it stands the wall that no single call passes.
        wall = scheduler.Limits(memory_bytes=MEMORY_BYTES * 1.1)
        async with scheduler.open_runtime(
            engine=engine, sandbox=sandbox, limits=wall, on_stuck="abort"
        ) as runtime:
            host, lua = Heartbeat(), Heartbeat()
            nursery.start_soon(host.beat_for_ever)
            runtime.register("beat", lua.beat)
            runtime.spawn(HEARTBEAT, name="heartbeat")
            nursery.start_soon(_kill_late, runtime, timeout_s + 2)
            try:
                await runtime.spawn(script, limits=limits, timeout=timeout_s).join()
            except scheduler.LimitReached:
                code = 4
            except (scheduler.TaskTimeout, scheduler.TaskCancelled):
                code = 124
            except scheduler.SchedulerError:
                code = 1
            host.beat()
            lua.beat()  # a gap that has not ended counts too
            runtime.cancel("measured")
        nursery.cancel_scope.cancel()
    gaps = {"host": round(host.worst_s * 1000), "lua": round(lua.worst_s * 1000)}
    return {"code": code, "worst_gap_ms": gaps}


def main() -> None:
    """Read the arguments, run, print the report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", required=True)
    parser.add_argument("--timeout", type=float, default=PATIENCE_S)
    parser.add_argument("--max-tasks", type=int)
    parser.add_argument("script", type=Path)
    given = parser.parse_args()
    limits = scheduler.Limits(
        cpu_s=CPU_S, memory_bytes=MEMORY_BYTES, output_bytes=64e6, tasks=given.max_tasks
    )
    report = trio.run(beside_a_heartbeat, given.script, given.engine, limits, given.timeout)
    flush_stdout()  # Lua's own buffer: the report has to be the last line
    sys.stdout.write(f"\n{json.dumps(report)}\n")


if __name__ == "__main__":
    main()
