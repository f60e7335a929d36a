"""Resources: allocations, what tasks use, and limits for tasks that run already.

Amounts of memory and processor time are estimates, so they are compared with bounds that hold on any machine.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest
import trio
from conftest import Lua, opened

import scheduler
from bridge import traffic
from scheduler import Capacity, CpuLimitExceeded, LimitReached, Limits, ResourceUsage

# One table of this length takes more than a megabyte on every engine.
HOARD = "local kept = {} for i = 1, 100000 do kept[i] = i + 0.5 end "
COMPUTE = "local sum = 0 for i = 1, 200000 do sum = sum + i % 7 end "
FOR_EVER = "while true do task.sleep(1) " + COMPUTE + "end"


def send(n: int) -> None:
    traffic.count_sent(n)


async def get(n: int) -> None:
    traffic.count_sent(1)
    await trio.sleep(1)
    traffic.count_received(n)


# -- allocations ---------------------------------------------------------------------------------


async def test_e60_allocations_never_exceed_the_capacity_together(engine: str) -> None:
    capacity = Capacity(memory_bytes=100, cpu_percent=50, network_bps=10)
    async with opened(engine, resources=capacity) as runtime:
        resources = runtime.resources
        one, two = (runtime.spawn("task.sleep(9)", name=name) for name in ("one", "two"))
        resources.allocate(one, memory_bytes=60, cpu_percent=20, network_bps=10)
        refused = []
        for claim in ({"memory_bytes": 41}, {"cpu_percent": 31}, {"network_bps": 0.5}):
            with pytest.raises(scheduler.InsufficientResources) as caught:
                resources.allocate(two, **claim)
            refused.append((caught.value.resource, caught.value.asked, caught.value.left, str(caught.value)))
        resources.allocate(two, memory_bytes=40, cpu_percent=30)
        assert resources.available() == Capacity(memory_bytes=0, cpu_percent=0, network_bps=0)
    advice = "are left; release an allocation, or open the runtime with a larger Capacity"
    assert refused == [
        ("memory_bytes", 41, 40, f"cannot allocate 41 memory_bytes to task 2 'two': 40 {advice}"),
        ("cpu_percent", 31, 30, f"cannot allocate 31 cpu_percent to task 2 'two': 30 {advice}"),
        ("network_bps", 0.5, 0, f"cannot allocate 0.5 network_bps to task 2 'two': 0 {advice}"),
    ]


async def test_e60_allocation_ends_with_release_its_block_or_its_task() -> None:
    async with opened(resources=Capacity(memory_bytes=100)) as runtime:
        resources = runtime.resources
        task = runtime.spawn("task.sleep(1)")
        left = []

        def note() -> None:
            left.append(resources.available().memory_bytes)

        with resources.allocate(task, memory_bytes=70):
            note()
        note()
        first = resources.allocate(task, memory_bytes=10)
        resources.allocate(task, memory_bytes=20)
        note()
        first.release()
        first.release()
        note()
        await task.join()
        note()
        assert (left, resources.allocations()) == ([30, 100, 70, 80, 100], ())


async def test_e60_a_refused_allocation_claims_nothing() -> None:
    async with opened(resources=Capacity(memory_bytes=100, cpu_percent=10)) as runtime:
        task = runtime.spawn("task.sleep(1)")
        with pytest.raises(scheduler.InsufficientResources):
            runtime.resources.allocate(task, memory_bytes=50, cpu_percent=11)
        with pytest.raises(ValueError, match="cpu_percent must be a number that is not negative, got -1"):
            runtime.resources.allocate(task, memory_bytes=50, cpu_percent=-1)
        with pytest.raises(ValueError, match="not negative, got nan"):
            runtime.resources.allocate(task, network_bps=float("nan"))
        assert runtime.resources.allocations() == ()


async def test_e60_tasks_that_have_ended_or_are_elsewhere_get_nothing() -> None:
    async with opened() as runtime, opened() as other:
        ended = runtime.spawn("return 1")
        await ended.join()
        foreign = other.spawn("return 1")
        for task in (ended, foreign):
            for call in (
                lambda task: runtime.resources.allocate(task, memory_bytes=1),
                lambda task: runtime.resources.assign(task, "group"),
                lambda task: runtime.resources.enforce(task, Limits(cpu_s=1)),
            ):
                with pytest.raises(ValueError, match="is no live task of this runtime"):
                    call(task)


async def test_e60_default_capacity_is_what_the_limits_leave_and_one_processor() -> None:
    async with opened(limits=Limits(memory_bytes=5e6)) as runtime:
        assert runtime.resources.capacity == Capacity(
            memory_bytes=5e6, cpu_percent=100, network_bps=float("inf")
        )
    async with opened() as runtime:
        assert (runtime.resources.capacity.memory_bytes or 0) > 1e6


async def test_e60_an_isolated_runtime_refuses() -> None:
    with pytest.raises(ValueError, match="an isolated runtime counts no resources"):
        async with scheduler.open_runtime(isolate=True, resources=Capacity()):
            pass


# -- usage ---------------------------------------------------------------------------------------


async def test_e61_monitor_tells_memory_processor_network_and_duration(engine: str) -> None:
    async with opened(engine) as runtime:
        resources = runtime.resources
        runtime.register("get", get)
        runtime.register("send", send)
        busy = runtime.spawn(HOARD + COMPUTE + "send(5) get(30) task.sleep(3) return #kept")
        idle = runtime.spawn("task.sleep(4)")
        await trio.sleep(2)
        used, rest = resources.monitor(busy), resources.monitor(idle)
        assert used.memory_bytes > 1e6 > 1e5 > rest.memory_bytes
        assert used.cpu_s > rest.cpu_s > 0
        assert (used.network_bytes_sent, used.network_bytes_received) == (6, 30)
        assert (rest.network_bytes_sent, rest.network_bytes_received) == (0, 0)
        # Time is virtual but for the processor time of the first step.
        assert used.duration_s == pytest.approx(2, abs=0.5)
        assert used.cpu_percent == 100 * used.cpu_s / used.duration_s
        await busy.join()
        assert resources.monitor(busy).duration_s == pytest.approx(4, abs=0.5)


async def test_e61_an_ended_task_keeps_its_usage(engine: str) -> None:
    async with opened(engine) as runtime:
        resources = runtime.resources
        task = runtime.spawn(COMPUTE)
        await task.join()
        used = resources.monitor(task)
        await trio.sleep(10)
        assert used.cpu_s > 0
        assert resources.monitor(task) == used


async def test_e61_tasks_spawned_in_lua_are_found_by_id() -> None:
    async with opened() as runtime:
        resources = runtime.resources
        runtime.register("send", send)
        task = runtime.spawn("task.spawn_with({ name = 'child' }, function() send(7) task.sleep(2) end)")
        await trio.sleep(1)
        (child,) = (info for info in runtime.tasks() if info.name == "child")
        assert resources.monitor(child.id).network_bytes_sent == 7
        await task.join()
        with pytest.raises(ValueError, match=f"there is no live task {child.id}"):
            resources.monitor(child.id)


async def test_e61_counting_begins_when_it_is_asked_for() -> None:
    async with opened() as runtime:
        early = runtime.spawn("return 1")
        await early.join()
        late = runtime.spawn(HOARD + "task.sleep(2) return #kept")
        await trio.sleep(1)
        resources = runtime.resources
        with pytest.raises(ValueError, match="it ended before anybody asked for resources"):
            resources.monitor(early)
        assert resources.monitor(late) == ResourceUsage()
        await late.join()
        assert resources.monitor(late).cpu_s > 0
        assert resources.monitor(late).memory_bytes < 1e6


async def test_e61_nobody_measures_while_nobody_asks(lua: Lua) -> None:
    assert await lua("task.yield() return task.current():info().run_time") is None


async def test_e61_usage_is_summed_over_a_task_and_everything_below_it(engine: str) -> None:
    async with opened(engine) as runtime:
        resources = runtime.resources
        runtime.register("send", send)
        task = runtime.spawn("""
            local function nested(depth)
              send(10 ^ depth)
              task.scope(function(scope)
                scope:spawn(send, 10 ^ depth) -- has ended when Python looks
                if depth < 3 then scope:spawn(nested, depth + 1) end
                task.sleep(2)
              end)
            end
            nested(0)
        """)
        other = runtime.spawn("send(50000)")
        await trio.sleep(1)
        sums = [resources.monitor(task).network_bytes_sent]
        sums.append(resources.monitor(task, subtree=True).network_bytes_sent)
        await task.join()
        sums.append(resources.monitor(task).network_bytes_sent)
        sums.append(resources.monitor(task, subtree=True).network_bytes_sent)
        await other.join()
        sums.append(resources.usage().network_bytes_sent)
        assert sums == [1, 2222, 1, 2222, 52222]


async def test_e61_called_back_functions_count_for_the_task_that_made_the_call() -> None:
    async with opened() as runtime:
        resources = runtime.resources
        runtime.register("send", send)

        async def later(function: Any) -> None:
            await function()

        runtime.register("later", later)
        runtime.register("now", lambda function: function.call_sync())
        task = runtime.spawn("later(function() send(3) end) now(function() task.sleep(1) send(4) end)")
        await task.join()
        assert resources.monitor(task).network_bytes_sent == 0
        assert resources.monitor(task, subtree=True).network_bytes_sent == 7


@pytest.mark.trio(run=trio.run)
async def test_e61_bytes_counted_in_other_threads_are_the_calling_tasks() -> None:
    here = threading.get_ident()

    def work(n: int) -> None:
        assert threading.get_ident() != here
        traffic.count_received(n)

    async def fetch(n: int) -> None:
        await trio.to_thread.run_sync(work, n)

    async with opened() as runtime:
        resources = runtime.resources
        runtime.register("fetch", fetch)
        tasks = [runtime.spawn("fetch(...)", n) for n in (1, 2, 3)]
        for task in tasks:
            await task.join()
        assert [resources.monitor(task).network_bytes_received for task in tasks] == [1, 2, 3]


async def test_e61_bytes_count_while_the_call_goes_on_and_outside_calls_for_nobody() -> None:
    async def stream() -> None:
        for _ in range(3):
            traffic.count_received(10)
            await trio.sleep(1)

    async with opened() as runtime:
        resources = runtime.resources
        runtime.register("stream", stream)
        traffic.count_received(1000)
        task = runtime.spawn("stream()")
        await trio.sleep(1.5)
        assert resources.monitor(task).network_bytes_received == 20
        await task.join()
        assert resources.usage().network_bytes_received == 30
    traffic.count_received(1000)


async def test_e61_scripts_ask_too(lua: Lua) -> None:
    names = ["cpu_percent", "cpu_s", "duration_s", "memory_bytes"]
    names += ["network_bytes_received", "network_bytes_sent"]
    assert await lua(
        """
        local before = task.usage() -- counts from here on
        local child = task.spawn(function() send(4) task.sleep(1) end)
        send(3)
        """
        + HOARD
        + """
        task.yield()
        local own, all, its = task.usage(), task.usage(nil, true), task.usage(child)
        local names = {}
        for name in pairs(own) do names[#names + 1] = name end
        table.sort(names)
        local _, message = pcall(function() task.usage(1) end)
        return names, own.memory_bytes - before.memory_bytes > 1e6 and #kept, own.cpu_s > before.cpu_s,
          { own.network_bytes_sent, all.network_bytes_sent, its.network_bytes_sent },
          message:gsub(".*: bad", "bad")
        """,
        host={"send": send},
        resources=Capacity(),
    ) == (
        names,
        100000,
        True,
        [3, 7, 4],
        "bad argument #1 to 'usage' (task expected, got number)",
        1,
    )


# -- enforcing -----------------------------------------------------------------------------------


async def test_e62_kill_ends_a_running_task_that_uses_too_much_memory(engine_with_close: str) -> None:
    async with opened(engine_with_close) as runtime:
        task = runtime.spawn(
            "kept = {} while true do kept[#kept + 1] = ('x'):rep(1e5) .. #kept task.sleep(1) end"
        )
        innocent = runtime.spawn("task.sleep(60) return 'lives'")
        runtime.resources.enforce(task, Limits(memory_bytes=1e6))
        with pytest.raises(scheduler.MemoryLimitExceeded) as caught:
            await task.join()
        error = caught.value
        assert (error.limit, error.allowed, error.current == error.used > 1e6) == ("memory", 1e6, True)
        assert await innocent.join() == "lives"


async def test_e62_kill_ends_a_running_task_that_computes_too_long(engine_with_close: str) -> None:
    async with opened(engine_with_close) as runtime:
        task = runtime.spawn("event.wait('go') while true do pcall(function() while true do end end) end")
        await trio.testing.wait_all_tasks_blocked()
        runtime.resources.enforce(task, Limits(cpu_s=0.02))
        runtime.emit("go")
        with pytest.raises(scheduler.CpuLimitExceeded) as caught:
            await task.join()
        assert caught.value.current == caught.value.used > caught.value.allowed == 0.02


async def test_e62_what_was_used_before_counts_and_a_waiting_task_ends_at_once() -> None:
    async with opened() as runtime:
        resources = runtime.resources
        hoard = runtime.spawn(HOARD + "event.wait('never') return #kept")
        below = runtime.spawn(
            "task.scope(function(scope) scope:spawn(function() " + COMPUTE + " event.wait('never') end) end)"
        )
        await trio.testing.wait_all_tasks_blocked()
        resources.enforce(hoard, Limits(memory_bytes=1e5))
        with pytest.raises(scheduler.MemoryLimitExceeded):
            await hoard.join()
        resources.enforce(below, Limits(cpu_s=0))
        with pytest.raises(scheduler.CpuLimitExceeded):
            await below.join()


async def test_e62_scopes_that_are_open_already_are_limited_too() -> None:
    """Each scope copies the budget around it when it opens; `enforce` must reach those copies."""
    async with opened() as runtime:
        task = runtime.spawn(
            "task.scope(function(scope) scope:spawn(task.limit, { wall_s = 1e6 }, function() "
            "event.wait('go') task.scope(function(s) s:spawn(function() while true do end end) end) "
            "end) end)",
            limits=Limits(cpu_s=1000),
        )
        await trio.testing.wait_all_tasks_blocked()
        runtime.resources.enforce(task, Limits(cpu_s=0.02))
        runtime.emit("go")
        with pytest.raises(scheduler.CpuLimitExceeded) as caught:
            await task.join()
        assert caught.value.allowed == 0.02


async def test_e62_the_number_of_tasks_counts_those_that_live_already() -> None:
    async with opened() as runtime:
        task = runtime.spawn("""
            task.scope(function(scope)
              for _ = 1, 3 do scope:spawn(event.wait, "end") end
              event.wait("more")
              scope:spawn(event.wait, "end")
              event.wait("more")
              scope:spawn(event.wait, "end")
            end)
        """)
        await trio.testing.wait_all_tasks_blocked()
        runtime.resources.enforce(task, Limits(tasks=4))
        runtime.emit("more")
        await trio.testing.wait_all_tasks_blocked()
        assert task.status == "running"
        runtime.emit("more")
        with pytest.raises(scheduler.LimitReached, match="tasks: used 5, allowed 4"):
            await task.join()


async def test_e62_enforcing_again_replaces_the_earlier_limits() -> None:
    async with opened() as runtime:
        resources = runtime.resources
        task = runtime.spawn("task.sleep(100) return 'ended by itself'")
        resources.enforce(task, Limits(wall_s=10))
        await trio.sleep(5)
        resources.enforce(task, Limits(wall_s=1000))
        assert await task.join() == "ended by itself"


async def test_e62_throttle_and_warn_write_a_line_and_let_the_task_live(
    caplog: pytest.LogCaptureFixture, engine_with_close: str
) -> None:
    async with opened(engine_with_close) as runtime:
        resources = runtime.resources
        for policy in ("throttle", "warn"):
            task = runtime.spawn(
                "for _ = 1, 20 do " + COMPUTE + "task.yield() end return task.now()", name=policy
            )
            resources.enforce(task, Limits(cpu_s=0.001, memory_bytes=1e9), policy=policy)
            began = trio.current_time()
            ended = await task.join()
            # Time is virtual: only a task that must rest makes it go on.
            assert (ended > began) == (policy == "throttle")
    lines = [record.getMessage() for record in caplog.records if record.name == "scheduler"]
    assert "limit reached: cpu: used" in lines[0]
    assert "its tasks are slowed down" in lines[0]
    assert ["'warn'" in line and "slowed" not in line for line in lines[1:]] == [True] * (len(lines) - 1)
    assert len(lines) > 1


async def test_e62_engines_that_cannot_preempt_refuse() -> None:
    async with opened("luajit") as runtime:
        task = runtime.spawn("task.sleep(1)")
        with pytest.raises(ValueError, match="limits need preemption, which this runtime has not"):
            runtime.resources.enforce(task, Limits(cpu_s=1))


# -- percentages and groups ----------------------------------------------------------------------


async def test_e63_a_percentage_of_the_processor_is_a_limit() -> None:
    async with opened(resources=Capacity()) as runtime:
        task = runtime.spawn(FOR_EVER)
        # Per virtual second the task computes for some real milliseconds.
        runtime.resources.enforce(task, Limits(cpu_percent=0.0001))
        with pytest.raises(scheduler.CpuLimitExceeded, match="of a processor") as caught:
            await task.join()
        assert caught.value.current > caught.value.allowed == 0.0001


async def test_e63_an_allocation_becomes_limits() -> None:
    async with opened() as runtime:
        task = runtime.spawn(FOR_EVER)
        allocation = runtime.resources.allocate(task, memory_bytes=1e8, cpu_percent=0.0001)
        assert allocation.limits("warn") == Limits(memory_bytes=1e8, cpu_percent=0.0001, policy="warn")
        runtime.resources.enforce(task, allocation.limits())
        with pytest.raises(scheduler.CpuLimitExceeded):
            await task.join()
        assert runtime.resources.allocations() == ()


async def test_e63_usage_is_summed_per_group_whoever_has_ended() -> None:
    async with opened() as runtime:
        resources = runtime.resources
        runtime.register("send", send)
        for n, group in ((1, "plan"), (20, "plan"), (300, "review")):
            task = runtime.spawn("send(...) task.spawn(send, ...) task.sleep(...)", n)
            resources.assign(task, group)
            resources.assign(task, group)
        await trio.sleep(10)  # one of "plan" has ended
        sums = {group: used.network_bytes_sent for group, used in resources.groups().items()}
        assert sums == {"plan": 42, "review": 600}
        assert resources.usage("plan").cpu_s > 0
        assert resources.usage("plan").duration_s == pytest.approx(10, abs=0.5)
        assert resources.drop_group("plan").network_bytes_sent == 42
        with pytest.raises(ValueError, match=r"there is no group 'plan'; known are \['review'\]"):
            resources.usage("plan")


@pytest.mark.trio(run=trio.run)
async def test_enforced_limits_hold_for_callbacks_under_way(engine_with_close: str) -> None:
    """What Python had called back before the limits came was not below the task."""

    async def call(fn: Any) -> Any:
        return await fn()

    async with opened(engine_with_close) as runtime:
        runtime.register("call", call)
        task = runtime.spawn("return call(function() while true do task.yield() end end)")
        await trio.sleep(0.02)
        runtime.resources.enforce(task, Limits(cpu_s=0.05))
        with pytest.raises(CpuLimitExceeded):
            await task.join()


async def test_callbacks_that_end_leave_no_tasks_in_enforced_limits(engine_with_close: str) -> None:
    async def call(fn: Any) -> Any:
        return await fn()

    code = """
        for _ = 1, 9 do task.spawn(call, function() task.sleep(2) end) end
        task.sleep(3)
        for _ = 1, 15 do task.spawn(task.sleep, 1) end
        task.sleep(1)
        return "fine"
    """
    async with opened(engine_with_close) as runtime:
        runtime.register("call", call)
        task = runtime.spawn(code)
        await trio.sleep(1)
        runtime.resources.enforce(task, Limits(tasks=19))
        assert await task.join() == "fine"


async def test_tasks_that_are_alive_count_when_limits_are_enforced(engine_with_close: str) -> None:
    async with opened(engine_with_close) as runtime:
        task = runtime.spawn("for _ = 1, 50 do task.spawn(task.sleep, 9) end")
        await trio.sleep(1)
        runtime.resources.enforce(task, Limits(tasks=10))
        with pytest.raises(LimitReached, match="tasks: used 50, allowed 10"):
            await task.join()
