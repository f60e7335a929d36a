"""What do the guards of limited runs cost programs that use patterns, strings and tables a lot?

Each program runs with the library that a limited run gets (column lua54) and with Lua's own (raw 54), no
scheduler in either. It is handed `string` and `table` and returns how many operations it did; methods of
strings (`s:find(...)`) go to the same library.
"""

from __future__ import annotations

import time
from functools import partial

from benchmarks import contest
from benchmarks.contenders import raw_runtime
from stdlib_lua import sources

# Loads the guards as stdlib_lua/boot.lua does; returns the libraries, guarded or not.
LIBRARIES = """
local sources, guarded = ...
local loaded = {}
local function require_ours(name)
  if loaded[name] == nil then
    local environment = setmetatable({ require = require_ours }, { __index = _G })
    loaded[name] = assert(load(sources[name], "@[scheduler]/" .. name .. ".lua", "t", environment))(name)
  end
  return loaded[name]
end
local libraries = {}
for _, name in ipairs({ "string", "table" }) do
  libraries[name] = {}
  for key, value in pairs(_G[name]) do
    libraries[name][key] = value
  end
end
if guarded then
  require_ours("guards").install(libraries, { bytes = function() end })
end
debug.getmetatable("").__index = libraries.string
return libraries.string, libraries.table
"""

LOG_LINES = r"""
local n = ...
local line = '192.168.1.17 - alice [10/Oct/2025:13:55:36 +0000] "GET /items/%d?q=x HTTP/1.1" 200 %d'
local lines = {}
for i = 1, 100 do
  lines[i] = line:format(i, i * 37)
end
local pattern = '^(%S+) %S+ (%S+) %[(.-)%] "(%u+) (.-) HTTP/(.-)" (%d+) (%d+)$'
local bytes = 0
for i = 1, n do
  local address, user, _, method, path, _, status, size = lines[i % 100 + 1]:match(pattern)
  if status == "200" and method == "GET" and #path > 0 and user and address then
    bytes = bytes + size
  end
end
return n
"""

CSV = r"""
local n = ...
local rows = {}
for i = 1, 100 do
  rows[i] = ("%d,name %d,%d.%d,some longer text in a field,2025-10-%02d"):format(i, i, i, i, i % 28 + 1)
end
for i = 1, n do
  local fields, count = {}, 0
  for field in rows[i % 100 + 1]:gmatch("([^,]*),?") do
    count = count + 1
    fields[count] = field
  end
  local year, month, day = fields[5]:match("^(%d+)-(%d+)-(%d+)$")
  assert(year and month and day)
end
return n
"""

TOKENS = r"""
local n, kilobytes = ...
local function tokens(source)
  local at, count = 1, 0
  while true do
    local _, stop = source:find("^%s*", at)
    at = stop + 1
    if at > #source then
      return count
    end
    local _, last = source:find("^[%a_][%w_]*", at)
    if not last then
      _, last = source:find("^%d+%.?%d*", at)
    end
    if not last then
      _, last = source:find('^"[^"]*"', at)
    end
    at = (last or at) + 1
    count = count + 1
  end
end
local source = ('local total = first_value + 42 * (other - 3.14) -- "text"\n'):rep(17 * kilobytes)
local count = 0
for _ = 1, n do
  count = count + tokens(source)
end
return count
"""

TEMPLATES = r"""
local n, kilobytes = ...
local text = ("Dear {{name}}, your order {{order}} of {{count}} items has left us.\n"):rep(15 * kilobytes)
local values = { name = "Alice", order = "17-42", count = "3" }
for _ = 1, n do
  local filled = text:gsub("{{(%w+)}}", values)
  filled = filled:gsub("[<>&]", function(letter)
    return "&#" .. letter:byte() .. ";"
  end)
  assert(#filled:gsub("%s+", " ") > 0)
end
return n * kilobytes
"""

PAIRS = r"""
local n, kilobytes = ...
local text = ("colour=blue size=12 weight=3 name=something; "):rep(23 * kilobytes)
local count = 0
for _ = 1, n do
  for key, value in text:gmatch("(%w+)=(%w+)") do
    count = count + (#key > 0 and #value > 0 and 1 or 0)
  end
end
return count
"""

BUILDING = r"""
local n, string, table = ...
local length = 0
for i = 1, n do
  local parts = {}
  for k = 1, 20 do
    table.insert(parts, string.format("%s-%d", "item", k))
  end
  local text = table.concat(parts, ", ") .. ("="):rep(20)
  length = length + #text:upper() + #text:sub(5, 20)
end
return n
"""

TABLES = r"""
local n, string, table = ...
for i = 1, n do
  local queue = {}
  for k = 1, 100 do
    queue[k] = (k * 7919) % 1009
  end
  table.sort(queue)
  table.sort(queue, function(a, b)
    return a > b
  end)
  for _ = 1, 20 do
    table.insert(queue, table.remove(queue, 1))
  end
end
return n
"""


def cost(guarded: bool, program: str, *sizes: int) -> float:
    lua = raw_runtime("lua54")
    modules = lua.table_from({name: text.decode() for name, text in sources().items() if "guard" in name})
    string, table = lua.execute(LIBRARIES, modules, guarded)
    run = lua.eval("function(code) return load(code) end")(program)
    began = time.process_time()
    operations: int = run(*sizes, string, table)
    return (time.process_time() - began) * 1e6 / operations


def rows(quick: bool) -> list[contest.Row]:
    small = 50 if quick else 1

    def row(title: str, program: str, *sizes: int) -> contest.Row:
        sizes = (max(1, sizes[0] // small), *sizes[1:])
        columns = {
            "lua54": partial(cost, True, program, *sizes),
            "raw 54": partial(cost, False, program, *sizes),
        }
        return contest.Row(title, "us", columns, aim_ratio=1.15)

    return [
        row("guards: a log line, 8 captures", LOG_LINES, 200_000),
        row("guards: a CSV row, 5 fields and a date", CSV, 200_000),
        row("guards: a token, source of 1 kB", TOKENS, 2_000, 1),
        row("guards: a token, source of 100 kB", TOKENS, 20, 100),
        row("guards: a kB of template, 1 kB each", TEMPLATES, 10_000, 1),
        row("guards: a kB of template, 100 kB each", TEMPLATES, 100, 100),
        row("guards: a key=value pair, text of 1 kB", PAIRS, 5_000, 1),
        row("guards: a key=value pair, text of 100 kB", PAIRS, 50, 100),
        row("guards: 20 x format and insert, concat, rep", BUILDING, 50_000),
        row("guards: two sorts of 100, 20 x insert and remove", TABLES, 5_000),
    ]


if __name__ == "__main__":
    contest.main("benchmarks.guards")
