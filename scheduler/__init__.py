"""Lua coroutines as cooperative tasks inside trio.

    async with scheduler.open_runtime() as runtime:
        runtime.register("weather.get", fetch_weather)
        print(await runtime.run(Path("script.lua")))

See README.md and docs/embedding.md; `python -m scheduler --help` for the shell.
"""

from bridge.errors import (
    ConversionError,
    CpuLimitExceeded,
    DeadlockError,
    HostMisuse,
    InsufficientResources,
    LimitReached,
    LuaError,
    LuaSyntaxError,
    MemoryLimitExceeded,
    RuntimeClosed,
    SchedulerCrash,
    SchedulerError,
    ScriptExit,
    TaskCancelled,
    TaskTimeout,
    WaitingTask,
    WrongThread,
)
from scheduler._version import VERSION
from scheduler.function import LuaFunction
from scheduler.isolate.errors import IsolateDied
from scheduler.isolate.limits import ProcessLimits
from scheduler.limits import Limits
from scheduler.resources import Allocation, Capacity, Resources, ResourceUsage
from scheduler.runtime import Runtime, open_runtime, run
from scheduler.sandbox import Sandbox
from scheduler.source import BadSource
from scheduler.task import LuaTask, RuntimeStatistics, TaskInfo

__version__ = VERSION

__all__ = [
    "Allocation",
    "BadSource",
    "Capacity",
    "ConversionError",
    "CpuLimitExceeded",
    "DeadlockError",
    "HostMisuse",
    "InsufficientResources",
    "IsolateDied",
    "LimitReached",
    "Limits",
    "LuaError",
    "LuaFunction",
    "LuaSyntaxError",
    "LuaTask",
    "MemoryLimitExceeded",
    "ProcessLimits",
    "ResourceUsage",
    "Resources",
    "Runtime",
    "RuntimeClosed",
    "RuntimeStatistics",
    "Sandbox",
    "SchedulerCrash",
    "SchedulerError",
    "ScriptExit",
    "TaskCancelled",
    "TaskInfo",
    "TaskTimeout",
    "WaitingTask",
    "WrongThread",
    "__version__",
    "open_runtime",
    "run",
]
