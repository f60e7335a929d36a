"""Random programs of coroutines and protected calls print the same under plain Lua and under the scheduler.

The yardstick is the same engine of lupa without our runtime. Every program runs three ways: in plain Lua,
as a task, and as a task in which every line that is logged waits first, with several programs at a time,
so that waits happen at any depth of coroutines, handlers, metamethods and callbacks. All three logs must
be equal, line by line: values, error texts, positions, statuses.

Left out on purpose, since they do differ (docs/conformance.md): tail calls of protected calls and of
wrapped coroutines, and error levels that count frames across them.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scheduler
from bridge.vm import ENGINES
from scheduler.clock import virtual_clock
from scheduler.source import Source

# -- programs ------------------------------------------------------------------------------------

# `log` writes what Lua's print would, without addresses; `wait` is empty or a wait.
PRELUDE = """
local wait, done = ...
local lines = {}
local function show(value)
  local kind = type(value)
  if kind == "table" or kind == "function" or kind == "thread" then return kind end
  return tostring(value)
end
local function log(...)
  wait()
  local row = {}
  for i = 1, select("#", ...) do row[i] = show((select(i, ...))) end
  lines[#lines + 1] = table.concat(row, " ")
  return ...
end
local A, B, C, V, W
local main = coroutine.running()
local function closer(name, body)
  return setmetatable({}, { __close = function(_, err) log(name, err) body() end })
end
local function program(...)
%s
end
log(pcall(program))
done(table.concat(lines, "\\n"))
"""

THREADS = st.sampled_from(["A", "B", "C"])
WRAPS = st.sampled_from(["V", "W"])
VALUES = st.sampled_from(["1", "nil", "'v'", "...", "2, nil", "{}", "nil, nil", ""])
# What may be handed to resume, status and close: also things that are no coroutines of the script's.
TARGETS = st.sampled_from(["A", "B", "C", "A", "B", "C", "coroutine.running()", "main", "7", "nil", ""])
ERRORS = st.sampled_from(
    [
        "error('e')",
        "error('e', 0)",
        "error('e', 2)",
        "error({})",
        "error()",
        "error(nil)",
        "error(12)",
        "local x = nil .. 'x'",
        "undefined.field = 1",
        "local x = #5",
        "assert(false)",
        "assert(nil, 'asserted')",
        "string.rep()",
        "setmetatable(1, 2)",
    ]
)
EVENTS = ["__index", "__newindex", "__call", "__concat", "__eq", "__lt", "__add", "__unm", "__tostring"]
USES = {
    "__index": "log(x.field)",
    "__newindex": "x.field = 1",
    "__call": "log(x(1, 2))",
    "__concat": "log(x .. 'y')",
    "__eq": "log(x == y)",
    "__lt": "log(x < y)",
    "__add": "log(1 + x)",
    "__unm": "log(-x)",
    "__tostring": "log(tostring(x))",
}
HANDLERS = [
    "log('handled', e)",
    "error('in handler')",
    "return",
    "return e, 1",
    "log(coroutine.isyieldable())",
]


def one_line(*parts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(parts)


def leaves(has_close: bool) -> st.SearchStrategy[str]:
    """Statements without a body."""
    calls = [
        st.builds("log('values', select('#', {}))".format, VALUES.filter(bool)),
        st.builds("log('yielded', coroutine.yield({}))".format, VALUES),
        st.builds("log('yielded', coroutine.yield({}))".format, VALUES),
        st.builds("log('resumed', coroutine.resume({}, 's'))".format, THREADS),
        st.builds("log('resumed', coroutine.resume({}))".format, THREADS),
        st.builds("log('resumed', pcall(coroutine.resume, {}))".format, TARGETS.filter(bool)),
        st.builds("log('resumed', coroutine.resume({}))".format, TARGETS),
        st.builds("log('status', coroutine.status({}))".format, TARGETS),
        st.builds("log('wrapped', {}(3, nil))".format, WRAPS),
        st.builds("log('wrapped', pcall({}, 4))".format, WRAPS),
        st.builds("for a, b in {} do log('for', a, b) end".format, WRAPS),
        st.builds("log(coroutine.running() == {})".format, THREADS),
        st.builds("log(xpcall({}, error))".format, WRAPS),
        one_line(
            "log(coroutine.isyieldable())",
            "log(coroutine.running() == main)",
            "log(pcall(pcall))",
            "log(pcall(xpcall))",
            "log(pcall(xpcall, log, 5))",
            "log(pcall(error))",
            "log(pcall())",
            "log(xpcall(nil, log))",
            "log(pcall(coroutine.wrap, 1))",
            "coroutine.wrap()",
            "log(select('#', coroutine.resume(coroutine.create(function() end))))",
            "log(select('#', coroutine.wrap(function() end)()))",
        ),
        ERRORS,
    ]
    if has_close:
        calls.append(st.builds("log('closed', coroutine.close({}))".format, THREADS))
        calls.append(st.builds("log('closed', pcall(coroutine.close, {}))".format, THREADS))
    return st.one_of(calls)


def function(body: str) -> str:
    return f"function(...)\n{body}\nend"


def nested(bodies: st.SearchStrategy[str], has_close: bool) -> st.SearchStrategy[str]:
    """Statements with bodies in them."""
    functions = bodies.map(function)
    forms = [
        st.builds(
            "{} = coroutine.create({})\nlog(coroutine.resume({}, 5))".format, THREADS, functions, THREADS
        ),
        st.builds("{} = coroutine.create({})".format, THREADS, functions),
        st.builds("{} = coroutine.wrap({})".format, WRAPS, functions),
        st.builds("log('pcall', pcall({}, 6))".format, functions),
        st.builds(
            "log('xpcall', xpcall({}, function(e) {} end, 7))".format, functions, st.sampled_from(HANDLERS)
        ),
        st.builds("for a, b in coroutine.wrap({}) do log('for', a, b) end".format, functions),
        st.builds(
            lambda event, body: (
                f"do local meta = {{ {event} = {function(body)} }}\n"
                f"local x, y = setmetatable({{}}, meta), setmetatable({{}}, meta)\n{USES[event]} end"
            ),
            st.sampled_from(EVENTS),
            bodies,
        ),
        st.builds(
            "table.sort({{ 3, 1, 2 }}, function(...)\nlocal a, b = ...\n{}\nreturn a < b end)".format, bodies
        ),
        st.builds("log(string.gsub('ab', '%a', {}))".format, functions),
        st.builds(
            "do local n = 0 log(load(function(...)\nn = n + 1 if n > 2 then return end\n{}\nend)) end".format,
            bodies,
        ),
    ]
    if has_close:
        forms.append(
            st.builds("do local c <close> = closer('c', {})\n{} end".format, functions, bodies),
        )
        forms.append(st.builds("local c <close> = closer('c', {})".format, functions))
    return st.one_of(forms)


def bodies(has_close: bool) -> st.SearchStrategy[str]:
    """Sequences of statements, nested up to a size."""

    def block(statements: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        lines = st.lists(statements, min_size=1, max_size=5)
        # A return ends a block only as its last statement; `do` keeps it legal anywhere.
        ends = st.one_of(st.just(""), st.builds("do return {} end".format, VALUES))
        return st.builds(lambda body, end: "\n".join([*body, end]), lines, ends)

    leaf = leaves(has_close)
    return block(
        st.recursive(leaf, lambda inner: nested(block(st.one_of(leaf, inner)), has_close), max_leaves=14)
    )


# -- running -------------------------------------------------------------------------------------

# Drives a program as the kernel drives a task: what it yields at its own level is a turn.
DRIVE = b"""
local load, create, resume, status = ...
return function(text)
  local result
  local co = create(assert(load(text, "=program")))
  local ok, err = resume(co, function() end, function(text) result = text end)
  while ok and status(co) ~= "dead" do
    ok, err = resume(co)
  end
  return result or "program ended early: " .. tostring(err)
end
"""


@functools.cache
def plain_driver(engine: str) -> Any:
    runtime = importlib.import_module(ENGINES[engine]).LuaRuntime(
        encoding=None, register_eval=False, register_builtins=False
    )
    library = runtime.globals()[b"coroutine"]
    load = runtime.eval(b"loadstring or load")
    return runtime.execute(DRIVE, load, library[b"create"], library[b"resume"], library[b"status"])


def in_plain_lua(engine: str, text: str) -> list[str]:
    result: bytes = plain_driver(engine)(text.encode())
    return result.decode(errors="replace").split("\n")


async def _as_tasks(engine: str, texts: list[str], wait: str) -> list[list[str]]:
    logs: list[list[str]] = [[] for _ in texts]
    wrapper = (
        "local program, name, wait = ...\nlocal run = assert((loadstring or load)(program, '=program'))\n"
    )
    wrapper += "local result\nrun(assert((loadstring or load)(wait)), function(text) result = text end)\n"
    wrapper += "return result"

    async with scheduler.open_runtime(engine=engine, detect_deadlock=True) as runtime:
        tasks = [runtime.spawn(Source.of_text(wrapper, "wrapper"), text, "program", wait) for text in texts]
        for index, task in enumerate(tasks):
            result = await task.join()
            text = result.decode(errors="replace") if isinstance(result, bytes) else result
            logs[index] = text.split("\n")
    return logs


def as_tasks(engine: str, texts: list[str], wait: str) -> list[list[str]]:
    return trio.run(_as_tasks, engine, texts, wait, clock=virtual_clock())


def check(engine: str, programs: list[str]) -> None:
    texts = [PRELUDE % program for program in programs]
    expected = [in_plain_lua(engine, text) for text in texts]
    assert as_tasks(engine, texts, "") == expected
    assert as_tasks(engine, texts, "task.sleep(1)") == expected


SETTINGS = settings(
    max_examples=40,
    deadline=None,
    database=None,
    derandomize=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@SETTINGS
@given(st.lists(bodies(has_close=True), min_size=1, max_size=8))
def test_programs_print_as_in_plain_lua_54(programs: list[str]) -> None:
    check("lua54", programs)


@SETTINGS
@given(st.lists(bodies(has_close=True), min_size=1, max_size=8))
def test_programs_print_as_in_plain_lua_55(programs: list[str]) -> None:
    check("lua55", programs)


@SETTINGS
@given(st.lists(bodies(has_close=False), min_size=1, max_size=8))
def test_programs_print_as_in_plain_luajit(programs: list[str]) -> None:
    check("luajit", programs)
