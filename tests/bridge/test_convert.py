"""The conversion table, row by row, both ways, on each engine."""

from __future__ import annotations

import functools
import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from types import MappingProxyType
from typing import Any

import pytest
import trio
from conftest import Lua, lua_on, opened

import scheduler

# What Lua says about a value: its type, and what it holds.
DESCRIBE = """
    local function describe(value)
      local kind = math.type and math.type(value) or type(value)
      if type(value) ~= "table" then return kind .. " " .. tostring(value) end
      local keys = {}
      for key, item in pairs(value) do
        keys[#keys + 1] = "[" .. describe(key) .. "] = " .. describe(item)
      end
      table.sort(keys)
      return "{" .. table.concat(keys, ", ") .. "}"
    end
    return describe(...)
"""

CYCLE: list[Any] = []
CYCLE.append(CYCLE)
MAPPING_CYCLE: dict[str, Any] = {}
MAPPING_CYCLE["me"] = [MAPPING_CYCLE]


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


# -- scalars -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "described"),
    [
        (None, "nil nil"),
        (True, "boolean true"),
        (False, "boolean false"),
        ("text", "string text"),
        ("", "string "),
        ("grüße 日本 🎈", "string grüße 日本 🎈"),
        ("zero \0 inside", "string zero \0 inside"),
    ],
)
async def test_e49_nil_booleans_and_text_there_and_back(lua: Lua, value: Any, described: str) -> None:
    assert await lua(DESCRIBE, value) == described
    assert await lua("return ...", value) == value
    assert await lua("return { ... }", value) == ([value] if value is not None else {})


@pytest.mark.parametrize("value", [0, 1, -1, 2**31, 2**53, -(2**53), 2**63 - 1, -(2**63)])
async def test_integers_of_64_bits(lua_with_close: Lua, value: int) -> None:
    described, back = await lua_with_close("return math.type(...) .. ' ' .. ..., ...", value)
    assert (described, back, type(back)) == (f"integer {value}", value, int)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30])
async def test_larger_integers_are_a_clear_error(lua_with_close: Lua, value: int) -> None:
    with pytest.raises(scheduler.ConversionError, match=f"value: integer {value} does not fit Lua's 64 bits"):
        await lua_with_close("return ...", value)


async def test_luajit_has_exact_integers_up_to_2_to_53() -> None:
    lua = lua_on("luajit")
    back = await lua("return ...", 2**53)
    assert (back, type(back)) == (2**53, int)
    with pytest.raises(scheduler.ConversionError, match="not exact in LuaJIT's doubles"):
        await lua("return ...", 2**53 + 1)


@pytest.mark.parametrize("value", [0.5, -1.25, 1e300, 5e-324, math.inf, -math.inf])
async def test_floats_and_infinities(lua: Lua, value: float) -> None:
    back = await lua("return ...", value)
    assert (back, type(back)) == (value, float)


async def test_nan_stays_nan(lua: Lua) -> None:
    is_nan, back = await lua("local x = ... return x ~= x, 0/0", math.nan)
    assert is_nan is True
    assert math.isnan(back)


async def test_whole_floats_stay_floats_where_lua_tells_them_apart(lua_with_close: Lua) -> None:
    kind, back = await lua_with_close("return math.type(...), ...", 2.0)
    assert (kind, back, type(back)) == ("float", 2.0, float)


async def test_negative_zero_keeps_its_sign(lua: Lua) -> None:
    assert await lua("return 1 / (...)", -0.0) == -math.inf


@pytest.mark.parametrize(
    "value",
    [b"\xff\xfe", bytes(range(256)), b"caf\xe9", b"\xed\xa0\x80", bytearray(b"\x80ab"), memoryview(b"\x80")],
)
async def test_binary_strings_survive_unchanged(lua: Lua, value: Any) -> None:
    length, back = await lua("return #(...), ...", value)
    assert (length, back, type(back)) == (len(value), bytes(value), bytes)


async def test_bytes_that_are_text_come_back_as_text(lua: Lua) -> None:
    assert await lua("return ...", b"plain") == "plain"


async def test_text_with_a_lone_surrogate_is_a_clear_error(lua: Lua) -> None:
    with pytest.raises(
        scheduler.ConversionError, match=r"the string holds a lone surrogate at 1; pass bytes instead"
    ):
        await lua("return ...", "a\ud800")


# -- containers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("{}", {}),
        ("{ 1, 2, 3 }", [1, 2, 3]),
        ("{ 'a', { 'b', { 'c' } } }", ["a", ["b", ["c"]]]),
        ("{ n = 3, 1, nil, 3 }", [1, None, 3]),
        ("{ n = 2 }", {"n": 2}),  # a dict that happens to have this key stays one
        ("{ n = 0 }", {"n": 0}),
        ("{ n = 1, 1, 2 }", {"n": 1, 1: 1, 2: 2}),
        ("{ n = 'text', 1 }", {"n": "text", 1: 1}),
        ("{ a = 1, b = { c = 2 } }", {"a": 1, "b": {"c": 2}}),
        ("{ 1, 2, x = 3 }", {1: 1, 2: 2, "x": 3}),
        ("{ [2] = 'b' }", {2: "b"}),
        ("{ [0] = 'zero', 'one' }", {0: "zero", 1: "one"}),
        ("{ [1.5] = 'x', [true] = 'y' }", {1.5: "x", True: "y"}),
        ("{ ['\\255'] = 1 }", {b"\xff": 1}),
        ("{ {}, {} }", [{}, {}]),
    ],
)
async def test_e49_tables_become_lists_and_dicts(lua: Lua, code: str, value: Any) -> None:
    assert await lua(f"return {code}") == value


@pytest.mark.parametrize(
    ("value", "described"),
    [
        ([], "{}"),
        ({}, "{}"),
        (["a", "b"], "{[N 1] = string a, [N 2] = string b}"),
        (("a", ["b"]), "{[N 1] = string a, [N 2] = {[N 1] = string b}}"),
        (["a", None, "c"], "{[N 1] = string a, [N 3] = string c, [string n] = N 3}"),
        ([None], "{[string n] = N 1}"),
        ({"k": {"deep": [True]}}, "{[string k] = {[string deep] = {[N 1] = boolean true}}}"),
        ({"gone": None, "k": "v"}, "{[string k] = string v}"),
        ({True: "yes"}, "{[boolean true] = string yes}"),
        ({b"\xff": "bin"}, None),
        (OrderedDict(a="x"), "{[string a] = string x}"),
        (MappingProxyType({"a": "x"}), "{[string a] = string x}"),
    ],
)
async def test_e49_sequences_and_mappings_become_tables(lua: Lua, value: Any, described: str | None) -> None:
    if described is None:
        assert await lua("return (...)['\\255']", value) == "bin"
        return
    got: str = await lua(DESCRIBE, value)
    assert got.replace("integer", "N").replace("number", "N") == described


@pytest.mark.parametrize(
    "value",
    [
        [1, 2, 3],
        {"a": [1, {"b": 2}]},
        [None, 1, None],
        {"text": "ü", "bin": b"\xff"},
        [[], [1]],
        nested(100),
    ],
)
async def test_containers_there_and_back(lua: Lua, value: Any) -> None:
    back = await lua("return ...", value)
    # An empty list is an empty table, which is a dict: the one thing Lua cannot tell.
    assert back == _empty_lists_as_dicts(value)


def _empty_lists_as_dicts(value: Any) -> Any:
    if isinstance(value, list):
        return [_empty_lists_as_dicts(item) for item in value] or {}
    return value


async def test_dict_changed_in_lua_leaves_the_python_one_alone(lua: Lua) -> None:
    original = {"a": [1]}
    assert await lua("local t = ... t.a[2] = 2 t.b = 1 return t", original) == {"a": [1, 2], "b": 1}
    assert original == {"a": [1]}


async def test_shared_containers_are_no_cycle(lua: Lua) -> None:
    shared = [1]
    assert await lua("local t = ... return t[1][1] + t[2][1], t", [shared, shared]) == (2, [[1], [1]])
    assert await lua("local shared = { 1 } return { a = shared, b = shared }") == {"a": [1], "b": [1]}


@pytest.mark.parametrize("value", [CYCLE, MAPPING_CYCLE])
async def test_cyclic_containers_of_python_are_a_clear_error(lua: Lua, value: Any) -> None:
    with pytest.raises(scheduler.ConversionError, match="contains itself"):
        await lua("return ...", value)


@pytest.mark.parametrize(
    "code", ["local t = {} t.t = t return t", "local a, b = {}, {} a[1] = b b[1] = a return a"]
)
async def test_cyclic_tables_are_a_clear_error(lua: Lua, code: str) -> None:
    with pytest.raises(scheduler.ConversionError, match="contains itself"):
        await lua(code)


async def test_very_deep_containers_are_a_clear_error(lua: Lua) -> None:
    with pytest.raises(scheduler.ConversionError, match="nested deeper than 150 levels"):
        await lua("return ...", nested(200))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1, 2}, "a set has no order; pass sorted"),
        ({"k": [frozenset()]}, r"value\['k'\]\[0\]: a set has no order"),
        ({(1, 2): 3}, r"\(1, 2\) cannot be a Lua table key"),
        ({None: 3}, "None cannot be a Lua table key"),
        ({math.nan: 3}, "nan cannot be a Lua table key"),
        ({"deep": [0, {"er": 2**64}]}, r"value\['deep'\]\[1\]\['er'\]: integer"),
    ],
)
async def test_what_lua_cannot_hold_is_named_with_its_place(lua: Lua, value: Any, message: str) -> None:
    with pytest.raises(scheduler.ConversionError, match=message):
        await lua("return ...", value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("return coroutine.create(print)", "a Lua thread .coroutine. cannot be handed to Python"),
        ("return io.stdout", "a Lua userdata cannot be handed to Python"),
        ("return { list = { 1, io.stdout } }", r"value\['list'\]\[2\]: a Lua userdata cannot"),
        ("return { [{}] = 1 }", "a table key must be a string, number or boolean"),
        ("return { [print] = 1 }", "a table key must be a string, number or boolean"),
    ],
)
async def test_what_python_cannot_hold_is_named_with_its_place(lua: Lua, code: str, message: str) -> None:
    with pytest.raises(scheduler.ConversionError, match=message):
        await lua(code)


# -- functions -----------------------------------------------------------------------------------


async def test_lua_function_may_be_awaited_in_python_and_waits_itself(engine: str) -> None:
    async with opened(engine) as runtime:
        add = await runtime.run("return function(a, b) task.sleep(1) return a + b, 'second' end")
        assert await add(1, 2) == (3, "second")
        assert repr(add) == "<LuaFunction>"


async def test_lua_function_comes_back_as_itself(engine: str) -> None:
    async with opened(engine) as runtime:
        runtime.register("echo", lambda value: value)
        assert await runtime.run("""
            local function f() return 1 end
            local t = echo({ f })
            return echo(f) == f, t[1] == f, echo(print) == print
        """) == (True, True, True)


async def test_python_functions_of_every_kind_become_lua_functions(engine: str) -> None:
    async def later(x: int) -> int:
        await trio.sleep(1)
        return x + 1

    class Thing:
        def method(self, x: int) -> int:
            return x * 10

    async with opened(engine) as runtime:
        functions = {
            "now": lambda x: x - 1,
            "later": later,
            "method": Thing().method,
            "partial": functools.partial(later, 41),
            "builtin": len,
        }
        assert await runtime.run(
            "local f = ... return { f.now(1), f.later(1), f.method(1), f.partial(), f.builtin('four') }",
            functions,
        ) == [0, 2, 10, 42, 4]


async def test_iterators_become_lua_iterators(engine: str) -> None:
    async def ticks() -> AsyncIterator[int]:
        for i in range(3):
            await trio.sleep(1)
            yield i

    def pairs() -> Iterator[tuple[str, int]]:
        yield "a", 1
        yield "b", 2

    async with opened(engine) as runtime:
        assert await runtime.run(
            """
            local log = {}
            local f = ...
            for i in f.ticks do log[#log + 1] = i end
            for k, v in f.pairs do log[#log + 1] = k .. v end
            for x in f.list do log[#log + 1] = x end
            return log
            """,
            {"ticks": ticks(), "pairs": pairs(), "list": iter("xy")},
        ) == [0, 1, 2, "a1", "b2", "x", "y"]


# -- host objects --------------------------------------------------------------------------------


class Connection:
    """An object Lua may hold but not look into."""

    def __init__(self) -> None:
        self.secret = "s3cret"


async def test_host_objects_are_opaque_and_come_back_as_themselves(engine: str) -> None:
    connection, other = Connection(), Connection()
    async with opened(engine) as runtime:
        runtime.register("get", lambda: connection)
        runtime.register("other", lambda: other)
        runtime.register("is_it", lambda value: value is connection)
        assert await runtime.run("""
            local c = get()
            local key = { [c] = "as key" }
            return { tostring(c), c == get(), c == other(), is_it(c), is_it(other()), key[get()],
              (getmetatable(c)) }
        """) == ["host object <Connection>", True, False, True, False, "as key", False]
        assert (await runtime.run("return get()")) is connection
        assert (await runtime.run("return { c = get() }"))["c"] is connection


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("return c.secret", "host object <Connection> is opaque: it has no field 'secret'"),
        ("return c:close()", "host object <Connection> is opaque: it has no field 'close'"),
        ("c.secret = 1", "host object <Connection> is opaque and cannot be changed"),
        ("return c.__class__", "is opaque"),
    ],
)
async def test_host_objects_cannot_be_looked_into(lua: Lua, code: str, message: str) -> None:
    ok, error = await lua(f"local c = ... return pcall(function()\n {code} end)", Connection())
    assert not ok
    assert error.startswith("string:2: ")
    assert message in error


async def test_host_object_lives_as_long_as_lua_holds_it(engine: str) -> None:
    import gc
    import weakref

    async with opened(engine) as runtime:
        connection = Connection()
        reference = weakref.ref(connection)
        runtime.register("open", lambda box=[connection]: box.pop())  # one use
        await runtime.run("kept = open()")
        del connection
        gc.collect()
        assert reference() is not None
        await runtime.run("kept = nil collectgarbage() collectgarbage()")
        gc.collect()
        assert reference() is None
