"""The virtual machine: engines, what scripts can reach, what an engine lacks."""

from __future__ import annotations

import pytest
from conftest import Lua, lua_on

from bridge.capi import CApi, CApiMissing
from bridge.errors import SchedulerError
from bridge.vm import ENGINES, VM

VERSIONS = {"lua54": "Lua 5.4", "lua55": "Lua 5.5", "luajit": "Lua 5.1"}


def make(engine: str, **options: bool) -> VM:
    return VM(engine, now=lambda: 0.0, freeze=lambda: None, stop=bytes, **options)


def test_engines_are_the_documented_ones() -> None:
    assert sorted(ENGINES) == sorted(VERSIONS)


async def test_engine_is_the_lua_it_says(engine: str) -> None:
    version, jit = await lua_on(engine)("return _VERSION, jit ~= nil")
    assert (version, jit) == (VERSIONS[engine], engine == "luajit")


def test_unknown_engine_names_the_known_ones() -> None:
    with pytest.raises(SchedulerError, match="unknown engine 'perl'; known are lua54, lua55, luajit"):
        make("perl")


def test_portal_is_available_and_can_be_switched_off(engine: str) -> None:
    on, off = make(engine), make(engine, portal=False)
    assert (on.portal_missing, on.can_end_slices) == (None, True)
    assert (off.portal_missing, off.can_end_slices) == ("switched off", False)


def test_missing_c_api_is_said_and_everything_else_loads(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_module: object) -> CApi:
        raise CApiMissing("lupa.lua54 does not export lua_sethook")

    monkeypatch.setattr(CApi, "load", missing)
    vm = make(engine)
    assert (vm.portal_missing, vm.can_end_slices) == ("lupa.lua54 does not export lua_sethook", False)


async def test_missing_c_api_makes_such_waits_raise_the_reason(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_module: object) -> CApi:
        raise CApiMissing("this build exports nothing")

    monkeypatch.setattr(CApi, "load", missing)
    ok, error = await lua_on(engine)("""
        task.sleep(1)
        return pcall(table.sort, { 2, 1 }, function() task.sleep(1) end)
    """)
    assert not ok
    assert "the portal is not available: this build exports nothing" in error


async def test_lua_never_sees_lupas_own_table(lua: Lua) -> None:
    *gone, error = await lua("""
        local found, e = pcall(require, "python")
        return python == nil, package.loaded.python == nil, found, e
    """)
    assert gone == [True, True, False]
    assert "module 'python' not found" in error


async def test_globals_are_ordinary_lua_functions(lua: Lua) -> None:
    """What we replace still looks like Lua's own to a script."""
    kinds = await lua("""
        local kinds = {}
        for _, value in ipairs({ pcall, xpcall, coroutine.resume, coroutine.wrap, coroutine.status,
          os.exit, sleep, task.spawn, task.now, event.wait, require, print }) do
          kinds[#kinds + 1] = type(value)
        end
        return kinds
    """)
    assert kinds == ["function"] * 12


async def test_two_machines_share_no_globals(engine: str) -> None:
    one, two = make(engine), make(engine)
    one.globals[b"x"] = 1
    assert two.globals[b"x"] is None
