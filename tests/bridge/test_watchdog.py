"""The watchdog ends overdue slices, and only those."""

from __future__ import annotations

import math
import threading
import time

import pytest
import trio
from conftest import GIVE_UP_S, Lua, opened

import scheduler
from bridge.watchdog import Watchdog


class Target:
    """Notes what it was asked for."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.asked = threading.Event()
        self.overran = threading.Event()
        self.is_stuck = threading.Event()

    def end_slice(self) -> None:
        self.said.append("end_slice")
        self.asked.set()

    def preempt(self) -> None:
        self.said.append("preempt")
        self.overran.set()

    def stuck(self) -> bool:
        self.said.append("stuck")
        self.is_stuck.set()
        return True


@pytest.fixture
def target() -> Target:
    return Target()


def watch(target: Target, **options: float) -> Watchdog:
    return Watchdog(target, threading.Lock(), **options)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "scheduler-watchdog"]


def test_overdue_slice_is_asked_to_end(target: Target) -> None:
    watchdog = watch(target, step_s=math.inf)
    watchdog.slice_begins()
    assert target.asked.wait(GIVE_UP_S)
    watchdog.slice_ends()
    watchdog.close()
    assert set(target.said) == {"end_slice"}


def test_step_that_goes_on_is_preempted_before_the_slice_is_ended_again(target: Target) -> None:
    watchdog = watch(target)
    watchdog.slice_begins()
    assert target.overran.wait(GIVE_UP_S)
    target.asked.clear()
    assert target.asked.wait(GIVE_UP_S)
    watchdog.close()
    first = target.said.index("preempt")
    # Each look that preempts then ends the slice: the kernel loop that the next look finds armed.
    assert target.said[first : first + 2] == ["preempt", "end_slice"]


def test_slice_is_asked_to_end_at_an_earlier_look_than_the_one_that_preempts(target: Target) -> None:
    """`preempt` may read what the kernel loop does only when that was armed before and has not run."""
    watchdog = watch(target, step_s=0.05)  # so that a late first look is not late enough
    watchdog.slice_begins()
    assert target.overran.wait(GIVE_UP_S)
    watchdog.close()
    assert target.said[0] == "end_slice"


def test_preempting_and_ending_hold_the_lock(target: Target) -> None:
    """A slice cannot end, nor a hook run, in the middle of a look."""
    lock = threading.Lock()
    watchdog = Watchdog(target, lock)
    with lock:
        watchdog.slice_begins()
        assert not target.asked.wait(0.05)  # ten looks
    assert target.asked.wait(GIVE_UP_S)
    watchdog.slice_ends()
    target.said.clear()
    assert not target.is_stuck.is_set()
    watchdog.close()
    assert target.said == []


def test_stuck_slice_is_reported_once_and_still_preempted(target: Target) -> None:
    watchdog = watch(target, step_s=0.0, stuck_s=0.02)
    watchdog.slice_begins()
    assert target.is_stuck.wait(GIVE_UP_S)
    for _ in range(5):
        target.asked.clear()
        assert target.asked.wait(GIVE_UP_S)
    assert target.said.count("stuck") == 1
    watchdog.slice_ends()
    target.is_stuck.clear()
    watchdog.slice_begins()
    assert target.is_stuck.wait(GIVE_UP_S)
    watchdog.close()
    assert target.said.count("stuck") == 2


def test_thread_starts_with_the_first_slice_and_ends_with_close(target: Target) -> None:
    watchdog = watch(target)
    assert threads() == []
    watchdog.slice_begins()
    assert threads() == ["scheduler-watchdog"]
    watchdog.slice_ends()
    watchdog.close()
    assert threads() == []


def test_close_without_any_slice(target: Target) -> None:
    watchdog = watch(target)
    watchdog.close()
    assert target.said == []


def test_watchdog_wakes_from_its_rest_for_the_next_slice(target: Target) -> None:
    watchdog = watch(target)
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


@pytest.mark.trio(run=trio.run)
async def test_a_callback_that_raises_does_not_end_the_watchdog(
    engine_with_close: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing was preempted any more, and no limit held."""
    called = threading.Event()

    def on_stuck() -> None:
        called.set()
        raise ValueError("of the program")

    limits = scheduler.Limits(cpu_s=0.1)
    async with opened(engine_with_close, on_stuck=on_stuck) as runtime:
        runtime._driver._watchdog.stuck_s = 0.02
        # No hook runs in a finalizer.
        await runtime.run("""
            setmetatable({}, { __gc = function() for _ = 1, 30000000 do end end })
            collectgarbage()
            collectgarbage()
        """)
        assert called.is_set()
        runtime._driver._watchdog.stuck_s = math.inf
        with pytest.raises(scheduler.LimitReached), trio.fail_after(20):
            await runtime.run("while true do end", limits=limits)
    assert [record.message for record in caplog.records] == ["on_stuck raised"]


@pytest.mark.trio(run=trio.run)
async def test_a_slow_host_function_is_not_stuck(engine_with_close: str) -> None:
    """The program was told that a C function of the script's did not return."""
    called = threading.Event()
    async with opened(engine_with_close, on_stuck=called.set) as runtime:
        runtime.register("slow", lambda: time.sleep(0.1))
        runtime._driver._watchdog.stuck_s = 0.03
        await runtime.run("slow() slow()")
    assert not called.is_set()
