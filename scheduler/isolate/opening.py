"""Opening an isolated runtime.

Belongs here: `open_isolated`. parent.py and child.py are the two sides, docs/isolation.md tells what holds.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import trio

from scheduler.checks import MAX_AMOUNT
from scheduler.isolate.limits import MAX_SECONDS, ProcessLimits
from scheduler.isolate.parent import IsolatedDriver
from scheduler.limits import Limits
from scheduler.runtime import Runtime, check_options, owned
from scheduler.sandbox import Sandbox

__all__ = ["open_isolated"]


@contextlib.asynccontextmanager
async def open_isolated(
    *,
    engine: str = "lua54",
    params: Mapping[str, Any] | None = None,
    detect_deadlock: bool = False,
    measure: bool = False,
    portal: bool = True,
    limits: ProcessLimits | None = None,
    virtual_clock: bool = False,
    sandbox: Sandbox | None = None,
    budget: Limits | None = None,
    slice_s: float | None = None,
) -> AsyncIterator[Runtime]:
    """Open a Lua runtime in a child process; used as one of `open_runtime` is.

    Checkpoint: yes, at entry and exit.

    Args:
        engine: see `open_runtime`, like the next four.
        params: the global table `params` of the scripts.
        detect_deadlock: also when only this program could emit an event.
        measure: count steps and processor time per task.
        portal: whether waits work where Lua cannot yield.
        limits: what the child may use; the default is 1 GiB of memory, no files, no processes.
        sandbox: see `open_runtime`.
        slice_s: see `open_runtime`.
        budget: its `limits`: of all scripts together. `limits` are the child's, by default somewhat wider.
        virtual_clock: the child's time jumps whenever its tasks all wait; it knows nothing of a virtual
            clock of this program.

    Raises:
        IsolateDied: the child did not come up, or died; besides what `open_runtime` raises.
    """
    check_options(engine=engine, params=params, slice_s=slice_s)
    await trio.lowlevel.checkpoint()  # cancelled already: no process starts
    driver = await IsolatedDriver.start(
        engine,
        params=params or {},
        detect_deadlock=detect_deadlock,
        measure=measure,
        portal=portal,
        limits=limits or _process_limits(budget),
        virtual_clock=virtual_clock,
        sandbox=sandbox,
        budget=budget,
        slice_s=slice_s,
    )
    same: Any = driver  # as Driver, for a runtime
    async with owned(driver):
        yield Runtime(same)


def _process_limits(budget: Limits | None) -> ProcessLimits:
    # The outer wall: what the budget misses ends the process. Twice, because Lua's heap may double.
    if budget is None:
        return ProcessLimits()
    given = budget.given()
    memory, cpu_s = given.get("memory_bytes"), given.get("cpu_s")
    return ProcessLimits(
        memory_bytes=1024**3 if memory is None else min(int(memory * 2) + 64 * 1024**2, MAX_AMOUNT),
        cpu_s=None if cpu_s is None else min(cpu_s + 5, MAX_SECONDS),
    )
