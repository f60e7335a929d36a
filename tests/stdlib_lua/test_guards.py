"""The guards of limited runs: the same results and errors as Lua's own functions, and no call takes long."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.vm import ENGINES
from stdlib_lua import sources

LIMITED = ("lua54", "lua55")

BOOT = """
local sources, memory = ...
local loaded = {}
function require_ours(name)
  if loaded[name] == nil then
    local environment = setmetatable({ require = require_ours }, { __index = _G })
    loaded[name] = assert(load(sources[name], "@[scheduler]/" .. name .. ".lua", "t", environment))(name)
  end
  return loaded[name]
end
native, guarded = {}, {}
for _, name in ipairs({ "string", "table", "_G" }) do
  native[name], guarded[name] = {}, {}
  for key, value in pairs(_G[name]) do
    native[name][key], guarded[name][key] = value, value
  end
end
require_ours("guards").install(guarded, {
  bytes = function(n)
    if n > memory then
      error("memory limit", 0)
    end
  end,
})
-- Code that sees one set of libraries, also as methods of strings.
function compile(libraries, code)
  local environment = setmetatable({}, {
    __index = function(_, name)
      return libraries[name] or libraries._G[name]
    end,
  })
  local chunk = assert(native._G.load(code, "=script", "t", environment))
  return function(...)
    debug.getmetatable("").__index = libraries.string
    local results = native.table.pack(pcall(chunk, ...))
    debug.getmetatable("").__index = native.string
    for index = 1, results.n do
      local value = results[index]
      results[index] = type(value) == "table" and "table" or tostring(value)
    end
    return native.table.concat(results, "|", 1, results.n)
  end
end
function both(code, ...)
  return compile(native, code)(...), compile(guarded, code)(...)
end
"""


def machine(engine: str, memory: int = 100_000_000) -> Any:
    lua = importlib.import_module(ENGINES[engine]).LuaRuntime(encoding=None)
    modules = lua.table()
    for name, source in sources().items():
        modules[name.encode()] = source
    lua.execute(BOOT.encode(), modules, memory)
    return lua


@pytest.fixture(params=LIMITED)
def lua(request: pytest.FixtureRequest) -> Any:
    return machine(request.param)


# -- the same as Lua's own ---------------------------------------------------------------------------

# One line of code each; results or errors are compared.
SAME = """
string.rep('x', {})
('x'):rep({})
('x'):rep(1.5)
string.rep('x', '3')
string.rep('x', 3.0, ',')
string.rep(5, 3)
pcall(string.rep, {}, 1)
string.rep('ab', 700001, ','):sub(-7)
string.rep('x', -5)
string.format('%d', 'x')
('%d'):format('x')
string.format('%d', 1.5)
string.format('%s')
string.format('%y', 1)
string.format('%s %s', nil, setmetatable({}, {__tostring=function() return 'T' end}))
string.format('%s', setmetatable({}, {__tostring=function() error('boom') end}))
string.format('%s', setmetatable({}, {__tostring=function() return 1 end}))
string.format('%5.2f|%q|%-5s|%d%d%d%d%d%d', 1/3, 'a', 'b', 1, 2, 3, 4, 5, 6)
string.pack('i4', 'x')
string.pack('i4z', 5, 'x')
string.find(nil, 'a')
string.find('a', 'b', 'x')
string.find('a', 'a', 1.5)
('a'):find({})
('a'):find('a', '1')
('a'):find('a', 1.0)
string.find(12345, 34)
string.find('a', '[a')
('a'):match('%')
string.gmatch('a', 'a', {})
string.gsub('a', 'a', true)
('a'):gsub('a', 'b', 'x')
('abc'):gsub('%w', '%0%0', 2)
('abc'):gsub('%w', 5)
('abc'):gsub('%w', {a=1, b=true})
('abc'):gsub('%w', string.upper)
('abc'):gsub('%w', function() error('boom') end)
('abc'):gsub('(', 'x')
string.find(('a'):rep(300), ('a?'):rep(300))
table.concat({1, 2, 3}, ', ', '2', 3.0)
table.concat({1, {}, 3})
table.concat({1, 2}, nil, 1, 3)
table.concat({1, 2}, {})
table.concat({1, 2}, 5)
table.concat(setmetatable({}, {__len=function() return 3 end, __index=function(_, i) return 'v'..i end}), '-')
table.concat(setmetatable({}, {__len=function() return 3 end}), '-')
table.concat({[math.maxinteger]='z', [math.maxinteger-1]='y'}, ',', math.maxinteger-1, math.maxinteger)
table.insert({})
table.insert({}, 1, 2, 3)
table.insert({1}, 5, 5)
table.insert({1}, 1.5, 5)
table.insert(nil, 2)
(function(t) local i = table.insert i(t, 1, 'a') i(t, 2.0, 'b') i(t, '3', 'c') return #t, t[2], t[3] end)({9})
(function(t) local r = table.remove return r(t), r(t, 1), r(t, #t + 1), r(t, '1'), #t end)({1, 2, 3, 4})
table.remove({1, 2}, 7)
table.remove({1, 2}, 'x')
table.remove({}, 0)
table.remove(5)
table.move({1, 2, 3}, 1, 3, 2)[4]
table.move({1, 2, 3}, 2, 3, 1)[1]
table.move({1, 2, 3}, 1.5, 3, 1)
table.move({1, 2, 3}, '1', 3.0, 2)[4]
table.move({}, 1, math.maxinteger, 2)
table.move({}, 1, 2, math.maxinteger)
table.move({1}, 1, 1, 1, 5)
table.sort({}, 5)
table.sort({1, 2}, 5)
table.sort({3, 'a'})
table.sort({{}, {}})
(function(t) table.sort(t) return table.unpack(t) end)({'b', 'a', 'c'})
load('return 1')()
load('x y')
load(function() error('x', 0) end)
load('return x', 'n', 't', {x=7})()
load('return ...', 'n', 'x')
#load('return "' .. ('y'):rep(20000) .. '"')()
select(2, load(('x = 1 '):rep(5000) .. '+'))
select(2, load((' '):rep(20000) .. '+', '@file'))
collectgarbage('bad')
""".strip().splitlines()


@pytest.mark.parametrize("code", SAME)
def test_results_and_errors_are_those_of_lua(lua: Any, code: str) -> None:
    both = lua.globals()[b"both"]
    native, ours = both(f"local a, b, c, d = {code} return a, b, c, d".encode())
    assert ours == native


MATCHING = rb"""
local s, p, r, init = ...
local out = {}
local function note(...)
  local row = table.pack(...)
  for i = 1, row.n do
    row[i] = tostring(row[i])
  end
  out[#out + 1] = table.concat(row, " ", 1, row.n)
end
local function try(f)
  note(pcall(f))
end
try(function() local a, b, c, d, e = string.find(s, p, init) return a, b, c, d, e end)
try(function() local a, b, c, d, e = string.match(s, p, init) return a, b, c, d, e end)
try(function()
  for a, b, c in string.gmatch(s, p, init) do
    note(a, b, c)
    if #out > 100 then break end
  end
end)
try(function() local a, b = string.gsub(s, p, r) return a, b end)
try(function() local a, b = string.gsub(s, p, r, 2) return a, b end)
try(function() local a, b = string.gsub(s, p, { a = "X", b = false, ab = 5, "P", "Q" }) return a, b end)
try(function()
  local a, b = string.gsub(s, p, function(...)
    note(...)
    return #out % 2 == 0 and "<" .. #out .. ">" or nil
  end)
  return a, b
end)
try(function() local a, b = string.find(s, p, init, true) return a, b end)
return table.concat(out, "\n")
"""

SINGLE = st.sampled_from(
    [
        "a",
        "b",
        "c",
        ".",
        "%a",
        "[ab]",
        "[^a]",
        "%w",
        "[^b]",
        "%s",
        "%A",
        "[a-b]",
        "[%w]",
        "[]]",
        "[^]a]",
        "%.",
        "%%",
    ]
)
QUANTIFIED = st.tuples(SINGLE, st.sampled_from(["", "", "*", "+", "-", "?"])).map("".join)
ODD = st.sampled_from(
    [
        "[",
        "%",
        "(",
        ")",
        "%f",
        "%b",
        "[a",
        "[^",
        "$",
        "^",
        "*",
        "-",
        "%0",
        "%1",
        "%2",
        "()",
        "%bab",
        "%b()",
        "%f[a]",
        "%f[^a]",
        "%f[%z]",
    ]
)
ITEM = st.recursive(
    st.one_of(QUANTIFIED, QUANTIFIED, QUANTIFIED, ODD),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: "(" + "".join(items) + ")"),
    max_leaves=5,
)
PATTERNS = st.tuples(
    st.sampled_from(["", "", "^"]), st.lists(ITEM, max_size=6).map("".join), st.sampled_from(["", "", "$"])
).map("".join)
SUBJECTS = st.text("aabbc( )]\0", max_size=24)
REPLACEMENTS = st.sampled_from(["x", "", "%0%0", "%1", "[%1]", "%%", "%2", "%x", "<%1-%0>", "%"])
INITS = st.sampled_from([None, None, 1, 2, 5, -1, -3, 0, 30])
# From "always the matcher in Lua" to "always Lua's own function".
BUDGETS = (3, 20, 60, 200, 1000, 2_000_000)
RULES = settings(
    deadline=None, derandomize=True, database=None, max_examples=90, suppress_health_check=list(HealthCheck)
)


@pytest.mark.slow
@pytest.mark.parametrize("budget", BUDGETS)
def test_random_patterns_match_as_in_lua(lua: Any, budget: int) -> None:
    both = lua.globals()[b"both"]
    lua.execute(
        b"require_ours('guard_search').MIN_WINDOW = 4 require_ours('guard_bound').BUDGET = ...", budget
    )

    @settings(RULES)
    @given(SUBJECTS, PATTERNS, REPLACEMENTS, INITS)
    def check(subject: str, pattern: str, replacement: str, init: int | None) -> None:
        texts = (text.encode("latin1") for text in (subject, pattern, replacement))
        native, ours = both(MATCHING, *texts, init)
        assert ours == native

    check()


# -- nothing takes long -------------------------------------------------------------------------------

# Runs a script under a hook that kills it after a while; returns the longest time without a hook.
WATCH = rb"""
local code, limit = ...
local clock, gap = os.clock, 0
local began = clock()
local last = began
local run = compile(guarded, code)
debug.sethook(function()
  local now = clock()
  gap = now - last > gap and now - last or gap
  last = now
  if now - began > limit then
    debug.sethook()
    error("killed", 0)
  end
end, "", 1)
local result = run()
debug.sethook()
return gap, result
"""
# Real seconds of the processor: a call is to end within 5 to 8 ms; a loaded machine takes longer.
LONGEST_CALL_S = 0.1
KILL_AFTER_S = 0.15

PATTERN_BOMBS = [
    "a*a*a*a*b",
    ".-.-.-.-x",
    "(.-)%1%1x",
    "[^x]*[^y]*[^z]*w",
    "(a*)*b",
    "((a*)a*)a*b",
    "a?" * 30 + "a" * 30,
    "a?" * 150 + "b",
    ".-a.-a.-a.-a.-b",
    "%w*%d",
    "(.+)(.+)(.+)x",
    "(.-)(.-)%1%2x",
    "^(a-)(a-)(a-)b$",
    "a" * 5000 + "b",
]
BOMBS = [
    'return (("("):rep(50000)):find("%b()%b()")',
    'return #(("("):rep(200000)):gsub("%b()", "")',
    'return (("%["):rep(200000)):find("%[(.-)%]")',
    'return (("a"):rep(20000)):find(("[" .. ("a"):rep(5000) .. "]"):rep(3) .. "*b")',
    'return (("a"):rep(3000000)):find(("a"):rep(100000) .. "b", 1, true)',
    'return (("a"):rep(9000000)):find("[%d]+")',
    'return #(("ab "):rep(1000000)):gsub("", ("x"):rep(1000))',
    'return #(("ab "):rep(100000)):gsub("%w+", ("%0"):rep(1000))',
    'return #(("a"):rep(1000000)):gsub(".", { a = ("x"):rep(1000000) })',
    'return #(("collect "):rep(300000)):gsub("%w+", collectgarbage)',
    'return #("x"):rep(1e10)',
    'return #(""):rep(1e17)',
    'return #string.pack("c2000000000", "")',
    'local t = {} for i = 1, 1e4 do t[i] = "" end return #table.concat(t, ("x"):rep(1e6))',
    'return table.concat(setmetatable({}, {__index=function() return "x" end,'
    " __len=function() return 1 << 50 end}))",
    'table.insert(setmetatable({}, {__len=function() return 1 << 60 end}), 1, "x")',
    "table.remove(setmetatable({}, {__len=function() return 1 << 60 end}), 1)",
    "table.move({}, 1, 1 << 60, 2)",
    "table.move({}, -(1 << 60), -1, 1, {})",
    "local t = {} for i = 1, 1e4 do t[i] = 'collect' end table.sort(t, collectgarbage)",
    "table.sort(setmetatable({}, {__len=function() return 1 << 30 end, __index=function(_, i) return -i end,"
    " __newindex=function() end}))",
    'return load(function() return "x = 1 " end)',
    'return load(("x = 1 "):rep(500000))',
    'return load(string.gmatch(("x = 1 "):rep(500000), "x = 1 "))',
]


@pytest.mark.slow
@pytest.mark.parametrize("pattern", PATTERN_BOMBS, ids=lambda pattern: pattern[:20])
def test_evil_pattern_can_be_interrupted(lua: Any, pattern: str) -> None:
    for call in ("s:find(p)", "#s:gsub(p, 'x')", "s:match(p)", "s:gmatch(p)()"):
        code = f'local s, p = ("a"):rep(30000), "{pattern}" return {call}'
        gap, result = lua.execute(WATCH, code.encode(), KILL_AFTER_S)
        assert gap < LONGEST_CALL_S, (call, gap, result)


@pytest.mark.slow
@pytest.mark.parametrize("code", BOMBS, ids=lambda code: code[:40])
def test_long_call_can_be_interrupted(lua: Any, code: str) -> None:
    gap, result = lua.execute(WATCH, code.encode(), KILL_AFTER_S)
    assert gap < LONGEST_CALL_S, (gap, result)


def test_bombs_hold_without_guards_what_they_promise(lua: Any) -> None:
    """The hook does not see Lua's own functions: else the tests above would prove nothing."""
    watch = WATCH.replace(b"compile(guarded, code)", b"compile(native, code)")
    gap, _ = lua.execute(watch, b'return (("a"):rep(200)):find("a*a*a*b")', 60)
    assert gap > 0.05


# Metamethods and callbacks that fail: functions in C, no functions at all, and those that blame their caller.
FAILING_METHODS = r"""
table.concat(setmetatable({}, {__len=function() return 3 end, __index=string.len}))
table.concat(setmetatable({}, {__len=string.rep}))
table.concat(setmetatable({}, {__len=function() return {} end}))
table.concat(setmetatable({}, {__len=function() return 3 end, __index=5}))
table.concat(setmetatable({}, {__len=function() return 3 end, __index=function(t, i) return t.x.y end}))
table.concat(setmetatable({}, {__len=function() return 3 end, __index=function(t, i) error('mine', 2) end}))
table.concat(setmetatable({}, {__len=function() return 3 end, __index=function(t, i) error('mine') end}))
table.concat(setmetatable({}, {__len=function() return 3 end, __index=function(t, i) error({}) end}))
table.insert(setmetatable({}, {__len=string.rep}), 1)
table.insert(setmetatable({}, {__len=string.rep}), 1, 2)
table.insert(setmetatable({}, {__newindex=string.rep}), 1)
table.insert(setmetatable({}, {__newindex=string.rep}), 1, 2)
table.insert(setmetatable({}, {__len=function() return 5 end, __index=string.rep}), 1, 2)
table.insert(setmetatable({}, {__newindex=5}), 1, 2)
table.insert(setmetatable({}, {__newindex=function() error('mine', 2) end}), 1)
table.remove(setmetatable({}, {__len=string.rep}))
table.remove(setmetatable({}, {__len=string.rep}), 1)
table.remove(setmetatable({}, {__len=function() return 5 end, __index=string.rep}), 1)
table.remove(setmetatable({}, {__len=function() return 5 end, __index=string.rep}))
table.remove(setmetatable({1,2,3}, {__len=function() return 5 end, __newindex=string.rep}), 5)
table.remove(setmetatable({}, {__len=function() return 5 end, __index=5}), 5)
table.move(setmetatable({}, {__index=string.rep}), 1, 5, 2)
table.move(setmetatable({}, {__index=5}), 1, 5, 2)
table.sort(setmetatable({}, {__len=string.rep}))
table.sort(setmetatable({}, {__len=function() return 5 end, __index=string.rep}))
table.sort(setmetatable({1, {}}, {}))
table.sort(setmetatable({{}, {}}, {}))
table.sort(setmetatable({{}, {}}, {}), string.rep)
table.sort({{}, {}}, string.rep)
(function(t) for i = 1, 200 do t[i] = {} end table.sort(t) end)({})
(function(t, m) m = {__lt=string.rep} for i = 1, 101 do t[i] = setmetatable({}, m) end table.sort(t) end)({})
(function(t) for i = 1, 20000 do t[i] = i end t[5] = 'x' table.sort(t) end)({})
string.gsub('abc', '.', setmetatable({}, {__index=string.rep}))
string.gsub('abc', '.', setmetatable({}, {__index=5}))
string.gsub('abc', '.', error)
string.gsub(('a'):rep(300), '.-.-.-.-.-.-.-', setmetatable({}, {__index=string.rep}))
string.gsub(('a'):rep(300), '.-.-.-.-.-.-.-', setmetatable({}, {__index=5}))
string.gsub(('a'):rep(300), '.-.-.-.-.-.-.-', {})
string.gsub(('a'):rep(300), '.-.-.-.-.-.-.-', function() return {} end)
string.format('%s', setmetatable({}, {__tostring=string.rep}))
string.format('%s', setmetatable({}, {__tostring=function() error('mine', 2) end}))
string.format('%s', setmetatable({}, {__tostring=function() return 5 end}))
string.format('%s', setmetatable({}, {__tostring=5}))
load(setmetatable({}, {__call=function() end}))
load(function() error('mine', 2) end)
load(error)
collectgarbage('x')
collectgarbage(5, 'x')
string.rep('x', {}, 'y')
string.rep(setmetatable({}, {__tostring=string.rep}), 5)
"""


@pytest.mark.parametrize("code", FAILING_METHODS.strip().splitlines())
def test_error_of_a_metamethod_does_not_name_a_line_of_ours(lua: Any, code: str) -> None:
    """A metamethod in C blamed "[scheduler]/guard_tables.lua:40"; Lua's own functions blame nobody."""
    native, guarded = lua.globals()[b"both"](f"local a, b, c = {code}\nreturn a, b, c".encode())
    assert guarded == native


@pytest.mark.parametrize(
    "code",
    [
        "table.create()",
        "table.create(-1)",
        "table.create(1.5)",
        "table.create(5, 'x')",
        "table.create(1 << 40)",
        "table.create(1, 1 << 40)",
        "#table.create(10, 10)",
    ],
)
def test_create_is_as_luas_own(code: str) -> None:
    native, guarded = machine("lua55").globals()[b"both"](f"local a = {code}\nreturn a".encode())
    assert guarded == native


@pytest.mark.parametrize("code", ["table.create(1 << 26)", "table.create(0, 1 << 24)", "table.create(2^26)"])
def test_large_table_is_refused_before_it_is_made(code: str) -> None:
    """`table.create(1 << 26)` asked for 604 MB before it was noticed."""
    lua = machine("lua55", memory=100_000_000)
    code = f"local ok, why = pcall({code[:12]}, {code[13:-1]}) return why, collectgarbage('count') < 50000"
    assert lua.globals()[b"compile"](lua.globals()[b"guarded"], code.encode())() == b"true|memory limit|true"


# -- memory -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "('x'):rep(2000000)",
        "('x'):rep(1000, ('y'):rep(2000))",
        "string.format(('%s'):rep(40), (function(s) return " + "s, " * 39 + "s end)(('x'):rep(50000)))",
        "string.pack('c2000000', '')",
        "(function(t) for i = 1, 1000 do t[i] = ('x'):rep(5000) end return table.concat(t) end)({})",
        "('a'):rep(100):gsub('a', ('x'):rep(60000))",
        "('a'):rep(100):gsub('a', {a = ('x'):rep(60000)})",
    ],
)
def test_large_result_is_refused_before_it_is_made(engine_with_close: str, code: str) -> None:
    lua = machine(engine_with_close, memory=1_000_000)
    assert lua.globals()[b"compile"](lua.globals()[b"guarded"], f"return {code}".encode())() == (
        b"false|memory limit"
    )


def test_methods_of_strings_are_guarded_where_they_are_installed(lua: Any) -> None:
    assert lua.execute(
        b"return require_ours('guards').install({string = string, table = table}, {}) == string"
    )


def test_cache_of_patterns_is_bounded(lua: Any) -> None:
    plans = lua.execute(b"""
        local forgotten = 0
        local search = require_ours("guard_search")
        local on_full = search.on_full
        search.on_full = function() forgotten = forgotten + 1 on_full() end
        for i = 1, 2000 do
          assert(guarded.string.find("x" .. i .. "y", "x(" .. i .. ")y"))
        end
        return forgotten
    """)
    assert plans >= 4
