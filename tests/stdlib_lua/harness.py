"""Sandboxed runtimes for tests: `open_runtime` with the sandbox hooked into the kernel's Lua files.

Belongs here: the hook, until `open_runtime(sandbox=...)` has it. Nothing of it is an API.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import bridge.vm
import scheduler
from bridge.confine import read_module
from scheduler.sandbox import Sandbox
from stdlib_lua import sources

_HOOKS = (
    (
        "local fn, message = load(source, chunk_name)\n",
        "local env = sandbox.environment(M.next_script)\n"
        "  local fn, message = sandbox.compile(source, chunk_name, env)\n",
    ),
    (
        "  return spawn(fn, name, timeout, false, pack(...))\nend\n\n--- Spawn a Lua function;",
        "  local id = spawn(fn, name, timeout, false, pack(...))\n"
        "  sandbox.adopt(watched[id], env)\n  return id\nend\n\n--- Spawn a Lua function;",
    ),
    ("M.emit = event.emit\n", "M.emit = sandbox.emit\n"),
    (
        "function M.register(globals, fn, name, waits)\n",
        "function M.register(globals, fn, name, waits)\n"
        "  do return sandbox.register(name, host.new_function(fn, name, waits)) end\n",
    ),
    (
        "M.install = script.install\n",
        "function M.install(globals)\n  script.install(globals)\nend\nM.open_sandbox = sandbox.open\n"
        "M.sandbox_environment = sandbox.environment\n",
    ),
)


def hooked_sources() -> dict[str, bytes]:
    """The kernel's Lua files with the sandbox between Python and the scripts."""
    files = dict(sources())
    embed = (
        files["embed"]
        .decode()
        .replace("local M = {}\n", 'local sandbox = require("sandbox")\nlocal M = {}\n', 1)
    )
    for old, new in _HOOKS:
        assert embed.count(old) == 1, old
        embed = embed.replace(old, new)
    return files | {"embed": embed.encode()}


@contextlib.asynccontextmanager
async def sandboxed(
    engine: str = "lua54",
    *,
    sandbox: Sandbox | None = None,
    output: Any = None,
    bytes_: Any = None,
    folder: Path | None = None,
    guards: str | None = None,
    params: dict[str, Any] | None = None,
    host: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[scheduler.Runtime]:
    """`open_runtime` whose scripts run in `sandbox`.

    Args:
        output: called with the bytes of each piece of output, before it is written.
        bytes_: called with the bytes that a guarded function is about to make.
        folder: where `require` looks.
        guards: a Lua expression, the guards module.
        engine, sandbox, params, host, **options: as for a runtime.
    """
    sandbox = sandbox or Sandbox()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bridge.vm, "sources", hooked_sources)
        async with scheduler.open_runtime(engine=engine, **options) as runtime:
            driver = runtime._driver
            table = driver.vm.new_table
            spec, allow, allowance = table(), table(), table()
            for name in sandbox.allow:
                allow[name.encode()] = True
            allowance[b"output"], allowance[b"bytes"] = output, bytes_
            spec[b"allow"], spec[b"allowance"] = allow, allowance
            spec[b"params"] = driver.values.converter.to_lua(params or {})
            if sandbox.env is not None:
                spec[b"env"] = driver.values.converter.to_lua(dict(sandbox.env))
            if guards is not None:
                spec[b"guards"] = driver.vm._lua.eval(guards.encode())
            driver.vm.embed[b"open_sandbox"](spec)
            script = table()
            script[b"read_module"] = partial(read_module, folder)
            driver.vm.embed[b"next_script"] = script
            for name, function in (host or {}).items():
                runtime.register(name, function)
            yield runtime
