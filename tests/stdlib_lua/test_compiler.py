"""Compiling piece by piece: long sources of limited and sandboxed scripts compile inside their task."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from conftest import Shell, opened

from scheduler import CpuLimitExceeded, Limits, LuaError, LuaSyntaxError, Sandbox

# What a busy task does takes real time; no test asserts how much.
real_time = pytest.mark.trio(run=trio.run)

# Longer than what `spawn` compiles at once.
FILLING = "-- nothing\n" * 10_000
# In 100 functions of 190 variables each, each name is looked up in all of them: seconds for Lua's compiler.
NAMES = ",".join(f"a{i}" for i in range(190))
SLOW = f"local {NAMES} local function f() " * 100 + "X=1 " * 200_000 + "end " * 100

SANDBOXED = {"sandbox": Sandbox()}
LIMITED = {"limits": Limits(memory_bytes=1e9)}
ways = pytest.mark.parametrize("options", [SANDBOXED, LIMITED], ids=["sandbox", "limits"])


@ways
async def test_long_script_runs_with_its_arguments(engine_with_close: str, options: dict[str, Any]) -> None:
    async with opened(engine_with_close, **options) as runtime:
        assert await runtime.run(FILLING + "local a, b = ... return a, b, select('#', ...)", 1, None) == (
            1,
            None,
            2,
        )


@ways
async def test_long_script_that_does_not_compile(engine_with_close: str, options: dict[str, Any]) -> None:
    async with opened(engine_with_close, **options) as runtime:
        with pytest.raises(LuaSyntaxError, match=r"string:10001: <name> expected near '='"):
            await runtime.run(FILLING + "local = 1")


async def test_error_in_a_long_script_is_that_of_a_short_one(engine_with_close: str) -> None:
    reports = []
    for filling in ("\n" * 10_000, FILLING):
        async with opened(engine_with_close, **LIMITED) as runtime:
            with pytest.raises(LuaError) as caught:
                await runtime.run(filling + "error('late')")
        reports.append((type(caught.value), caught.value.report()))
    assert reports[0] == reports[1]


async def test_script_cannot_pretend_not_to_compile(engine_with_close: str) -> None:
    async with opened(engine_with_close, **SANDBOXED) as runtime:
        with pytest.raises(LuaError) as caught:
            await runtime.run(FILLING + "error({ message = 'x', kind = 'syntax' })")
    assert type(caught.value) is LuaError


@ways
async def test_spawn_raises_for_a_short_script(engine_with_close: str, options: dict[str, Any]) -> None:
    """It is compiled at once, so a program that only spawns hears of it, too."""
    async with opened(engine_with_close, **options) as runtime:
        with pytest.raises(LuaSyntaxError):
            runtime.spawn("local = 1")


@real_time
@pytest.mark.parametrize("sandbox", [Sandbox(), None], ids=["sandbox", "trusted"])
async def test_compiling_a_script_is_limited(engine_with_close: str, sandbox: Sandbox | None) -> None:
    """A script's own source was compiled before its limits began: 7 s in one call."""
    async with opened(engine_with_close, sandbox=sandbox) as runtime:
        with pytest.raises(CpuLimitExceeded):
            await runtime.run(SLOW, limits=Limits(cpu_s=0.05))
        assert await runtime.run("return 1") == 1


@real_time
@pytest.mark.parametrize("sandbox", [Sandbox(), None], ids=["sandbox", "trusted"])
async def test_kill_in_load_does_not_come_out_as_its_message(
    engine_with_close: str, sandbox: Sandbox | None
) -> None:
    """`load` catches all errors: the mark of a kill came back as the message, and the script went on."""
    code = "local source = ... while true do local fn, message = load(source) went_on(type(message)) end"
    heard: list[object] = []
    options = {"sandbox": Sandbox(allow={"went_on"})} if sandbox else {}
    async with opened(engine_with_close, **options) as runtime:
        runtime.register("went_on", heard.append)
        with pytest.raises(CpuLimitExceeded):
            await runtime.run(code, SLOW, limits=Limits(cpu_s=0.05))
    assert heard == []


@pytest.mark.slow
def test_command_line_tells_a_syntax_error_of_a_long_script(shell: Shell) -> None:
    name = shell.write("long.lua", FILLING + "x = = 1")
    code, _, errors = shell.run("--sandbox", name)
    assert (code, errors) == (2, "scheduler: long.lua:10001: unexpected symbol near '='\n")
