"""What every test shares: engines, runtimes in virtual time, and the check that nothing is left over."""

from __future__ import annotations

import contextlib
import gc
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.abc import Clock

import scheduler
from scheduler.clock import virtual_clock

ENGINES = ("lua54", "lua55", "luajit")
# Real seconds after which a hanging program is killed; no test waits for it when all is well.
GIVE_UP_S = 30


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=("lua54", "lua55"))
def engine_with_close(request: pytest.FixtureRequest) -> str:
    """The engines that have `<close>` and 64-bit integers."""
    return request.param


def run_in_virtual_time(main: Callable[..., Any], *, clock: Clock | None = None, **options: Any) -> Any:
    """`trio.run` where time jumps as soon as every task waits."""
    return trio.run(main, clock=clock or virtual_clock(), **options)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give asynchronous tests virtual time; `@pytest.mark.trio(run=trio.run)` asks for the real one."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.add_marker(pytest.mark.trio(run=run_in_virtual_time))


def _scheduler_threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("scheduler-"))


def _descriptors() -> dict[str, str]:
    found = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[number] = os.readlink(f"/proc/self/fd/{number}")
    return found


@pytest.fixture(autouse=True)
def nothing_left_over() -> Iterator[None]:
    """Descriptors and OS threads are after each test what they were before."""
    if not os.path.isdir("/proc/self/fd"):
        yield
        return
    threads, descriptors = _scheduler_threads(), _descriptors()
    yield
    if len(_descriptors()) != len(descriptors):
        gc.collect()
    assert _scheduler_threads() == threads
    assert len(_descriptors()) == len(descriptors), (descriptors, _descriptors())


def trio_tasks() -> list[str]:
    """Names of all trio tasks of this run, system tasks apart."""
    found, todo = [], [trio.lowlevel.current_root_task()]
    while todo:
        task = todo.pop()
        assert task is not None
        found.append(task.name)
        for nursery in task.child_nurseries:
            todo.extend(nursery.child_tasks)
    return sorted(found)


@contextlib.asynccontextmanager
async def opened(engine: str = "lua54", **options: Any) -> AsyncIterator[scheduler.Runtime]:
    """`open_runtime` that checks that it leaves no trio task behind."""
    before = trio_tasks()
    try:
        async with scheduler.open_runtime(engine=engine, **options) as runtime:
            yield runtime
    finally:
        await trio.lowlevel.cancel_shielded_checkpoint()
        assert trio_tasks() == before


Lua = Callable[..., Awaitable[Any]]


def lua_on(engine: str) -> Lua:
    async def lua(code: str, *args: Any, host: dict[str, Any] | None = None, **options: Any) -> Any:
        # Fail instead of hanging: whoever waits for ever is a deadlock here.
        async with opened(engine, **{"detect_deadlock": True, **options}) as runtime:
            for name, function in (host or {}).items():
                runtime.register(name, function)
            return await runtime.run(code, *args)

    return lua


@pytest.fixture
def lua(engine: str) -> Lua:
    """Run Lua source on each engine: `await lua(code, *args, host={name: function})`."""
    return lua_on(engine)


@pytest.fixture
def lua_with_close(engine_with_close: str) -> Lua:
    """The same on the engines that have `<close>`."""
    return lua_on(engine_with_close)


class Shell:
    """Runs `python -m scheduler` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str | bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return name

    def environment(self, **more: str) -> dict[str, str]:
        root = str(Path(scheduler.__file__).parents[1])
        return {**os.environ, "PYTHONPATH": root, **more}

    def run(self, *words: str, stdin: bytes = b"", **environment: str) -> tuple[int, str, str]:
        """Return exit code, stdout and stderr."""
        done = subprocess.run(
            [sys.executable, "-m", "scheduler", *words],
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            timeout=GIVE_UP_S,
            env=self.environment(**environment),
            check=False,
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "scheduler", *words],
            cwd=self.folder,
            bufsize=0,  # or `communicate` would miss what `readline` has buffered
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment(),
        )


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)
