"""Options of wrong types and values: refused where they are given, with their name."""

from __future__ import annotations

import math
from typing import Any

import pytest
from conftest import opened

import scheduler
from scheduler import Capacity, Limits, Sandbox
from scheduler.isolate.limits import ProcessLimits


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slice_s": -1}, "slice_s must be a number greater than 0, got -1"),
        ({"slice_s": 0}, "slice_s must be a number greater than 0, got 0"),
        ({"slice_s": math.nan}, "slice_s must be a number greater than 0, got nan"),
        ({"slice_s": "x"}, "slice_s must be a number greater than 0, got 'x'"),
        ({"slice_s": -1, "isolate": True}, "slice_s must be a number greater than 0, got -1"),
        ({"engine": None}, "engine must be str, got None"),
        ({"params": [1]}, r"params must be Mapping or None, got \[1\]"),
        ({"params": [1], "isolate": True}, r"params must be Mapping or None, got \[1\]"),
        ({"detect_deadlock": "no"}, "detect_deadlock must be True or False, got 'no'"),
        ({"measure": 1}, "measure must be True or False, got 1"),
        ({"portal": None}, "portal must be True or False, got None"),
        ({"sandbox": True}, "sandbox must be Sandbox or None, got True"),
        ({"limits": {"cpu_s": 1}}, "limits must be Limits or None, got {'cpu_s': 1}"),
        ({"limits": ProcessLimits()}, "limits must be Limits or None, got ProcessLimits"),
        ({"resources": 5}, "resources must be Capacity or None, got 5"),
        ({"isolate": "yes"}, "isolate must be bool or ProcessLimits, got 'yes'"),
        ({"isolate": Limits()}, "isolate must be bool or ProcessLimits, got Limits"),
        ({"on_stuck": "ignore"}, "on_stuck must be 'abort', a function or None, got 'ignore'"),
        ({"engine": "x" * 500, "params": "x" * 500}, "params must be .* got 'x{79}[.]{3}$"),
    ],
)
async def test_options_of_a_runtime_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        async with opened(**options):
            pass


async def test_options_of_a_task_are_checked() -> None:
    async with opened() as runtime:
        for options, message in [
            ({"timeout": -1}, "timeout must be a number that is not negative, got -1"),
            ({"timeout": "1"}, "timeout must be a number that is not negative, got '1'"),
            ({"timeout": 10**400}, "timeout must be at most"),
            ({"limits": 5}, "limits must be Limits or None, got 5"),
            ({"name": 5}, "name must be str or None, got 5"),
        ]:
            with pytest.raises((TypeError, ValueError), match=message):
                runtime.spawn("return 1", **options)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="event must be str, got 5"):
            runtime.emit(5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="event must be str, got None"):
            await runtime.wait_event(None)  # type: ignore[arg-type]
        task = runtime.spawn("task.sleep(0)")
        with pytest.raises(TypeError, match="limits must be Limits, got 5"):
            runtime.resources.enforce(task, 5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Sandbox, {"allow": 5}, "allow must be Iterable, got 5"),
        (Sandbox, {"fs_root": 5}, "fs_root must be str or PathLike or None, got 5"),
        (Sandbox, {"net_hosts": 5}, "net_hosts must be Iterable, got 5"),
        (Sandbox, {"net_hosts": [5]}, "net_hosts: a pattern must be str or HostPattern, got 5"),
        (Sandbox, {"env": "HOME"}, "env must be Mapping, got 'HOME'"),
        (Sandbox, {"env": {"A": 1}}, "env: names and values must be str, got 'A': 1"),
        (Capacity, {"memory_bytes": "5M"}, "memory_bytes must be a number that is not negative, got '5M'"),
        (ProcessLimits, {"grace_s": 0}, "grace_s must be a number greater than 0, got 0"),
        (ProcessLimits, {"grace_s": None}, "grace_s must be a number greater than 0, got None"),
        (ProcessLimits, {"grace_s": "x"}, "grace_s must be a number greater than 0, got 'x'"),
        (ProcessLimits, {"grace_s": math.inf}, r"grace_s must be at most 1e\+09, got inf"),
        (ProcessLimits, {"cleanup_s": math.nan}, "cleanup_s must be a number greater than 0, got nan"),
        (ProcessLimits, {"cpu_s": math.inf}, r"cpu_s must be at most 1e\+09, got inf"),
        (ProcessLimits, {"memory_bytes": 2**70}, r"memory_bytes must be at most 2\*\*53, got"),
        (ProcessLimits, {"memory_bytes": "1G"}, "memory_bytes must be a number greater than 0, got '1G'"),
        (ProcessLimits, {"open_files": "no"}, "open_files must be True or False, got 'no'"),
        (ProcessLimits, {"environment": {"A": 1}}, "environment: names and values must be str, got 'A': 1"),
    ],
)
def test_grants_and_limits_are_checked(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        kind(**options)


async def test_infinite_limits_are_no_limits() -> None:
    """`Limits(memory_bytes=math.inf)` was an OverflowError of lupa's wall."""
    endless = Limits(memory_bytes=math.inf, cpu_s=math.inf, wall_s=math.inf, tasks=5)
    assert endless.given() == {"tasks": 5, "policy": "kill"}
    async with scheduler.open_runtime(limits=endless) as runtime:
        assert await runtime.run("return 1", limits=Limits(memory_bytes=math.inf)) == 1


def test_a_limit_of_no_processor_time_is_watched() -> None:
    """Zero counted as no limit when the time was chosen after which a call is stuck."""
    from scheduler.driver import STUCK_GRACE_S, stuck_after

    assert stuck_after(Limits(cpu_s=0)) == STUCK_GRACE_S
    assert stuck_after(Limits(memory_bytes=1)) == math.inf
