"""The watchdog ends overdue slices, and only those."""

from __future__ import annotations

import threading

import pytest
import trio
from conftest import GIVE_UP_S, Lua, opened

from bridge.watchdog import Watchdog


class Target:
    """Notes that it was asked to end its slice."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def end_slice(self) -> None:
        self.asked.set()


@pytest.fixture
def target() -> Target:
    return Target()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "scheduler-watchdog"]


def test_overdue_slice_is_asked_to_end(target: Target) -> None:
    watchdog = Watchdog(target)
    watchdog.slice_begins()
    assert target.asked.wait(GIVE_UP_S)
    watchdog.slice_ends()
    watchdog.close()


def test_thread_starts_with_the_first_slice_and_ends_with_close(target: Target) -> None:
    watchdog = Watchdog(target)
    assert threads() == []
    watchdog.slice_begins()
    assert threads() == ["scheduler-watchdog"]
    watchdog.slice_ends()
    watchdog.close()
    assert threads() == []


def test_close_without_any_slice(target: Target) -> None:
    watchdog = Watchdog(target)
    watchdog.close()
    assert not target.asked.is_set()


def test_watchdog_wakes_from_its_rest_for_the_next_slice(target: Target) -> None:
    watchdog = Watchdog(target)
    watchdog.slice_begins()
    watchdog.slice_ends()
    resting = threading.Event()
    # Its own wait for work is where it rests.
    wait = watchdog._work.wait
    watchdog._work.wait = lambda timeout=None: (resting.set(), wait(timeout))[1]  # type: ignore[method-assign]
    assert resting.wait(GIVE_UP_S)
    target.asked.clear()
    watchdog.slice_begins()
    assert target.asked.wait(GIVE_UP_S)
    watchdog.close()


@pytest.mark.trio(run=trio.run)  # without the portal slices are timed by the clock
@pytest.mark.parametrize("portal", [True, False])
async def test_busy_tasks_that_yield_let_trio_run(engine: str, portal: bool) -> None:
    """Would never end if a slice lasted until nothing is ready."""
    heartbeats = 0

    async with opened(engine, portal=portal) as runtime:
        runtime.register("heartbeats", lambda: heartbeats)
        task = runtime.spawn("""
            for _ = 1, 10 do
              task.spawn_with({ background = true }, function() while true do task.yield() end end)
            end
            local switches = 0
            while heartbeats() < 5 do task.yield() switches = switches + 1 end
            return switches
        """)
        while task.status == "running":
            heartbeats += 1
            await trio.lowlevel.checkpoint()
        assert await task.join() > 5


async def test_busy_tasks_without_any_host_call_let_trio_run(engine: str) -> None:
    async with opened(engine) as runtime:
        task = runtime.spawn("while true do task.yield() end")
        for _ in range(20):
            await trio.lowlevel.checkpoint()
        slices = runtime.statistics().slices
        task.cancel()
        with pytest.raises(Exception, match="was cancelled"):
            await task.join()
    assert slices >= 10


async def test_ended_slice_loses_nothing(lua: Lua) -> None:
    """Slices end in the middle of rounds; the order of steps stays that of the rounds."""
    assert await lua("""
        local last, wrong = 0, 0
        for i = 1, 50 do
          task.spawn(function()
            for _ = 1, 400 do
              if i ~= last % 50 + 1 then wrong = wrong + 1 end
              last = i
              task.yield()
            end
          end)
        end
        for _ = 1, 500 do task.yield() end
        return wrong, last
    """) == (0, 50)


async def test_scripts_own_hooks_survive(lua_with_close: Lua) -> None:
    assert (
        await lua_with_close("""
        local lines = 0
        debug.sethook(function() lines = lines + 1 end, "l")
        local x = 1
        x = x + 1
        debug.sethook()
        for _ = 1, 200000 do task.yield() end
        return lines >= 2
    """)
        is True
    )
