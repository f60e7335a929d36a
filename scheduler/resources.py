"""Resources: what tasks may claim, what they use, and limits for tasks that run already.

Belongs here: the public face, allocations and their capacity, sums over groups. Counting is
stdlib_lua/usage.lua's, limits are stdlib_lua/limits.lua's, bytes on the network bridge/traffic.py's.
"""

from __future__ import annotations

import functools
import math
import os
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Protocol, Self

import attrs

from bridge.errors import InsufficientResources
from scheduler.checks import amount as check_amount
from scheduler.checks import amount_field, check_kind
from scheduler.endings import Endings
from scheduler.limits import Limits
from scheduler.task import LuaTask

__all__ = ["Allocation", "Capacity", "ResourceUsage", "Resources"]

# One runtime runs its Lua on one OS thread: more processors would not help it.
_WHOLE_CPU = 100.0

_amount = amount_field()


@attrs.frozen(kw_only=True)
class Capacity:
    """How much the allocations of one runtime may claim together; None takes the default.

    Raises:
        ValueError: an amount that is none; the message names it.
    """

    # Default: `memory_bytes` of the runtime's limits, otherwise the machine's physical memory (of a
    # container's own limit it knows nothing).
    memory_bytes: float | None = attrs.field(default=None, validator=_amount)
    # Percent of one processor. Default: 100, all that the one thread of a runtime can get.
    cpu_percent: float | None = attrs.field(default=None, validator=_amount)
    # Bytes per second. Default: no bound, for nobody can tell what the network bears.
    network_bps: float | None = attrs.field(default=None, validator=_amount)

    def filled(self, limits: Limits | None) -> Capacity:
        """Return the same with the defaults for what is None; `limits` are the runtime's."""
        memory = self.memory_bytes
        if memory is None:
            memory = limits.memory_bytes if limits is not None else None
        return Capacity(
            memory_bytes=_physical_memory() if memory is None else memory,
            cpu_percent=_WHOLE_CPU if self.cpu_percent is None else self.cpu_percent,
            network_bps=math.inf if self.network_bps is None else self.network_bps,
        )


def _physical_memory() -> float:
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return math.inf  # this platform does not tell


@attrs.frozen(kw_only=True)
class ResourceUsage:
    """What a task, or several together, have used since counting began: see `Resources`."""

    # By how much the steps of the tasks made Lua's heap grow, garbage not yet collected included: an
    # estimate. Objects of Python that the task holds are not in it.
    memory_bytes: float = 0.0
    # Seconds of the processor spent in Lua; what host functions use is not in it.
    cpu_s: float = 0.0
    # What host functions have said of it (bridge/traffic.py).
    network_bytes_sent: int = 0
    network_bytes_received: int = 0
    # Seconds on the runtime's clock from the first step counted until now or the end; of several tasks the
    # longest.
    duration_s: float = 0.0

    @property
    def cpu_percent(self) -> float:
        """Average percentage of one processor over the duration; 0 when that is 0."""
        return 100 * self.cpu_s / self.duration_s if self.duration_s > 0 else 0.0

    def __add__(self, other: ResourceUsage) -> ResourceUsage:
        return ResourceUsage(
            memory_bytes=self.memory_bytes + other.memory_bytes,
            cpu_s=self.cpu_s + other.cpu_s,
            network_bytes_sent=self.network_bytes_sent + other.network_bytes_sent,
            network_bytes_received=self.network_bytes_received + other.network_bytes_received,
            duration_s=max(self.duration_s, other.duration_s),
        )


@attrs.frozen(kw_only=True, eq=False)
class Allocation:
    """A claim of one task, until `release`, the end of a `with` block, or the task's end."""

    task: LuaTask
    memory_bytes: float
    cpu_percent: float
    network_bps: float
    _owner: Resources = attrs.field(repr=False)

    def release(self) -> None:
        """Give it back; once more does nothing. Checkpoint: no."""
        self._owner._release(self)

    def limits(self, policy: str = "kill") -> Limits:
        """Return memory and processor as limits, for `Resources.enforce`. An amount of 0 is no limit."""
        return Limits(
            memory_bytes=self.memory_bytes or None, cpu_percent=self.cpu_percent or None, policy=policy
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class _Core(Protocol):
    """What resources need from the driver."""

    @property
    def endings(self) -> Endings: ...

    def check_open(self) -> None: ...

    def usage(self, task_id: int, subtree: bool) -> Any: ...

    def total_usage(self) -> Any: ...

    def enforce(self, task: LuaTask, limits: Limits) -> bool: ...


class Resources:
    """What the tasks of one runtime claim and use; `Runtime.resources`.

    Counting begins when it is first asked for: from then on every step of every task is measured, which a
    runtime that nobody asks never pays.
    """

    def __init__(self, core: _Core, capacity: Capacity) -> None:
        """Not for callers: see `Runtime.resources`."""
        self._core = core
        # How much may be claimed; no field is None.
        self.capacity = capacity
        # Live allocations, in order.
        self._allocations: dict[LuaTask, list[Allocation]] = {}
        # Of ended tasks: alone, and with everything below.
        self._ended: weakref.WeakKeyDictionary[LuaTask, tuple[ResourceUsage, ResourceUsage]]
        self._ended = weakref.WeakKeyDictionary()
        # Group -> its live tasks, in order, and what its ended ones have used.
        self._members: dict[str, dict[LuaTask, None]] = {}
        self._finished: dict[str, ResourceUsage] = {}
        # Live task -> its groups.
        self._groups_of: dict[LuaTask, list[str]] = {}

    # -- allocations ---------------------------------------------------------------------------

    def allocate(
        self, task: LuaTask, *, memory_bytes: float = 0, cpu_percent: float = 0, network_bps: float = 0
    ) -> Allocation:
        """Set something aside for `task`, until it ends. Checkpoint: no.

        A claim, not a limit: `enforce(task, allocation.limits())` makes it one.

        Args:
            task: a live task that Python has spawned.
            memory_bytes: bytes of Lua's heap.
            cpu_percent: percent of one processor.
            network_bps: bytes per second.

        Raises:
            InsufficientResources: the claims together would exceed `capacity`; nothing is allocated.
            ValueError: an amount that is none, or the task has ended.
        """
        self._check_live(task)
        asked = {"memory_bytes": memory_bytes, "cpu_percent": cpu_percent, "network_bps": network_bps}
        available = attrs.asdict(self.available())
        for resource, amount in asked.items():
            check_amount(resource, amount)
            if amount > available[resource]:
                raise InsufficientResources(
                    resource, asked=amount, left=available[resource], task=f"task {task.id} {task.name!r}"
                )
        allocation = Allocation(task=task, owner=self, **asked)
        self._allocations.setdefault(task, []).append(allocation)
        return allocation

    def allocations(self) -> tuple[Allocation, ...]:
        """Return the live allocations. Checkpoint: no."""
        return tuple(each for of_task in self._allocations.values() for each in of_task)

    def available(self) -> Capacity:
        """Return how much is not claimed. Checkpoint: no."""
        claims = self.allocations()

        def left(resource: str) -> float:
            whole: float = getattr(self.capacity, resource)
            return max(0.0, whole - math.fsum(getattr(claim, resource) for claim in claims))

        return Capacity(
            memory_bytes=left("memory_bytes"),
            cpu_percent=left("cpu_percent"),
            network_bps=left("network_bps"),
        )

    def _release(self, allocation: Allocation) -> None:
        of_task = self._allocations.get(allocation.task, [])
        if allocation in of_task:
            of_task.remove(allocation)
            if not of_task:
                del self._allocations[allocation.task]

    # -- usage ---------------------------------------------------------------------------------

    def monitor(self, task: LuaTask | int, *, subtree: bool = False) -> ResourceUsage:
        """Return what a task has used. Checkpoint: no.

        Args:
            task: a task that Python has spawned, living or ended; or the id of a live one (`TaskInfo.id`).
            subtree: add everything below it: tasks in its scopes and theirs, and Lua functions that its host
                calls have called back; ended ones too.

        Raises:
            ValueError: no such task, or it ended before anybody asked for resources.
        """
        if isinstance(task, LuaTask) and self._core.endings.tasks.get(task.id) is not task:
            if task not in self._ended:
                raise ValueError(f"nothing is known of {task!r}: it ended before anybody asked for resources")
            return self._ended[task][subtree]
        self._core.check_open()
        task_id = task.id if isinstance(task, LuaTask) else task
        row = self._core.usage(task_id, subtree)
        if row is None:
            raise ValueError(f"there is no live task {task_id}")
        return _usage_of(row)

    def assign(self, task: LuaTask, group: str) -> None:
        """Count `task`, with everything below it, for a group (a coordination id, say). Checkpoint: no.

        Raises:
            ValueError: the task has ended.
        """
        self._check_live(task)
        members = self._members.setdefault(group, {})
        self._finished.setdefault(group, ResourceUsage())
        if task not in members:
            members[task] = None
            self._groups_of.setdefault(task, []).append(group)

    def usage(self, group: str | None = None) -> ResourceUsage:
        """Sum up what a group has used, or everything since counting began. Checkpoint: no.

        Raises:
            ValueError: no task was ever assigned to it.
        """
        if group is None:
            self._core.check_open()
            return _usage_of(self._core.total_usage())
        if group not in self._finished:
            raise ValueError(f"there is no group {group!r}; known are {sorted(self._finished)}")
        living = (self.monitor(task, subtree=True) for task in self._members[group])
        return _sum([self._finished[group], *living])

    def groups(self) -> dict[str, ResourceUsage]:
        """Sum up each group. Checkpoint: no."""
        return {group: self.usage(group) for group in self._finished}

    def drop_group(self, group: str) -> ResourceUsage:
        """Sum up a group for the last time and forget it. Checkpoint: no."""
        used = self.usage(group)
        for task in self._members.pop(group):
            self._groups_of[task].remove(group)
        del self._finished[group]
        return used

    # -- limits --------------------------------------------------------------------------------

    def enforce(self, task: LuaTask, limits: Limits, *, policy: str | None = None) -> None:
        """Limit a running task and everything below it. Checkpoint: no.

        The processor time, memory and tasks that it uses so far count; `wall_s`, `output_bytes` and
        `host_calls` begin now. Limits that it was spawned with stay; those of an earlier `enforce` are
        replaced.

        Args:
            task: a live task that Python has spawned.
            limits: what it may use.
            policy: instead of that of `limits`. "kill": it ends, and `join` raises MemoryLimitExceeded,
                CpuLimitExceeded or another LimitReached. "throttle": it gets less of the processor. "warn": a
                line in the log "scheduler".

        Raises:
            ValueError: the task has ended, or the engine cannot preempt.
        """
        self._check_live(task)
        check_kind("limits", limits, Limits, optional=False)
        if policy is not None:
            limits = attrs.evolve(limits, policy=policy)
        if not self._core.enforce(task, limits):
            raise ValueError(f"{task!r} cannot be limited: it is about to end")

    # -- for the driver ------------------------------------------------------------------------

    def task_ended(self, task: LuaTask, rows: tuple[Any, Any] | None) -> None:
        """Keep what an ended task has used, and let its allocations go.

        Args:
            task: no longer among the live ones.
            rows: alone and with everything below, as Lua tells it; None when it does not know.
        """
        self._allocations.pop(task, None)
        alone, whole = (ResourceUsage(), ResourceUsage()) if rows is None else map(_usage_of, rows)
        self._ended[task] = (alone, whole)
        for group in self._groups_of.pop(task, ()):
            del self._members[group][task]
            self._finished[group] += whole

    def _check_live(self, task: LuaTask) -> None:
        self._core.check_open()
        if self._core.endings.tasks.get(task.id) is not task:
            raise ValueError(f"{task!r} is no live task of this runtime")


def _usage_of(row: Any) -> ResourceUsage:
    return ResourceUsage(
        memory_bytes=row[b"memory_bytes"],
        cpu_s=row[b"cpu_s"],
        network_bytes_sent=int(row[b"network_bytes_sent"]),
        network_bytes_received=int(row[b"network_bytes_received"]),
        duration_s=row[b"duration_s"],
    )


def _sum(usages: Iterable[ResourceUsage]) -> ResourceUsage:
    return functools.reduce(ResourceUsage.__add__, usages)
