import contextlib

import attrs
import pytest

import scheduler
from scheduler.sandbox import Sandbox
from scheduler.source import Source


@contextlib.asynccontextmanager
async def sandboxed(
    engine="lua54",
    *,
    sandbox=None,
    output=None,
    bytes_=None,
    folder=None,
    guards=None,
    params=None,
    host=None,
    **options,
):
    if output or bytes_ or guards:
        pytest.skip("allowance")
    async with scheduler.open_runtime(
        engine=engine, sandbox=sandbox or Sandbox(), params=params, **options
    ) as runtime:
        for name, function in (host or {}).items():
            runtime.register(name, function)
        if folder is not None:
            plain = runtime.run
            runtime.run = lambda code: plain(
                attrs.evolve(Source.of_text(code), script="s.lua", folder=str(folder))
            )
        yield runtime
