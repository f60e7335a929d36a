"""Arming writes into Lua's own structures: only after the proof that they are where it believes."""

from __future__ import annotations

import attrs
import pytest
import trio
from conftest import opened

import scheduler
from bridge import arming
from bridge.capi import CApi

# "ci" and "previous" are followed: a wrong one of these alone is not to be survived.
FIELDS = ("hook", "base_count", "count", "mask", "trap", "status", "is_c")


@pytest.fixture
def moved(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One field of every layout is somewhere else, as in a Lua that nobody has seen yet."""
    for engine, layout in arming._LAYOUTS.items():
        place = getattr(layout, request.param)
        # Still inside the structure: what lies behind it may look right by chance.
        wrong = place << 1 if request.param == "is_c" else place - 8
        monkeypatch.setitem(arming._LAYOUTS, engine, attrs.evolve(layout, **{request.param: wrong}))


async def check_works_without(engine: str, reason: str) -> None:
    async with opened(engine, detect_deadlock=True) as runtime:
        assert runtime._driver.vm.preemption is None
        assert reason in (runtime._driver.vm.preemption_missing or "")
        script = """
            local out = {}
            task.spawn(function() for i = 1, 3 do sleep(1) out[#out + 1] = i end end)
            table.sort({ 2, 1 }, function(a, b) sleep(1.5) return a < b end)
            for _ = 1, 1e6 do end
            sleep(3)
            return table.concat(out)
        """
        assert await runtime.run(script) == "123"
        with pytest.raises(ValueError, match=f"limits need preemption, .*{reason}"):
            await runtime.run("return 1", limits=scheduler.Limits(cpu_s=1))


@pytest.mark.parametrize("moved", FIELDS, indirect=True)
@pytest.mark.usefixtures("moved")
async def test_wrong_layout_is_refused_and_the_runtime_works_without(engine_with_close: str) -> None:
    await check_works_without(engine_with_close, "keeps its hooks elsewhere")


async def test_engine_without_a_layout_is_refused(
    engine_with_close: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(arming._LAYOUTS, engine_with_close)
    await check_works_without(engine_with_close, f"{engine_with_close} cannot be preempted")


async def test_right_layout_is_proved(engine_with_close: str) -> None:
    async with opened(engine_with_close) as runtime:
        assert runtime._driver.vm.preemption_missing is None


async def test_busy_tasks_that_yield_let_trio_run_without_preemption(
    engine_with_close: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slices still end: by Lua's own `lua_sethook`."""
    monkeypatch.delitem(arming._LAYOUTS, engine_with_close)
    async with opened(engine_with_close) as runtime:
        task = runtime.spawn("while true do task.yield() end")
        for _ in range(20):
            await trio.lowlevel.checkpoint()
        assert runtime.statistics().slices >= 10
        task.cancel()
        with pytest.raises(scheduler.TaskCancelled):
            await task.join()


async def test_armed_coroutine_has_the_hook_that_lua_sees(engine_with_close: str) -> None:
    """What is written is what `lua_gethook` reads."""
    async with opened(engine_with_close) as runtime:
        vm = runtime._driver.vm
        thread = vm._lua.eval(b"function() coroutine.yield() end").coroutine()
        thread.send(None)
        address = vm._address(thread)
        capi = vm._capi
        assert isinstance(capi, CApi)
        assert vm._arming is not None
        hook = capi.make_hook(lambda _state: None)
        vm._arming.arm(address, hook, 77)
        assert capi.get_hook(address) == (hook, 8, 77)
        capi.disarm(address)
        assert capi.get_hook(address)[1] == 0
