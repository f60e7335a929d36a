--- Guards for library functions that a debug hook cannot interrupt, for limited runs.
--
-- A hook runs between Lua instructions, never inside a C function. A guarded function calls Lua's own when
-- a cheap bound says that it ends within about 5 ms; otherwise the same work is done in Lua, or in pieces
-- of that size, where the hook can preempt and kill. So there is no counter: preemption is the counter.
-- Belongs here: which functions are replaced. The replacements are in the files guard_*.lua.

local patterns = require("guard_patterns")
local gsub = require("guard_gsub")
local strings = require("guard_strings")
local tables = require("guard_tables")
local basics = require("guard_basics")

local type, pairs, getinfo, setmetatable = type, pairs, debug.getinfo, setmetatable

local M = {}

-- All functions of Lua's own that a script can name.
local function native_functions(libraries)
  local found = setmetatable({}, { __mode = "k" })
  for _, library in pairs(libraries) do
    for _, value in pairs(library) do
      if type(value) == "function" and getinfo(value, "S").what == "C" then
        found[value] = true
      end
    end
  end
  return found
end

--- Replace the functions that can run long.
---@param libraries table<string, table> name ("string", "table", "_G", ...) to a table of its functions; the
--- entries of these tables are replaced
---@param allowance {bytes: fun(n: integer)} `bytes` raises when n more bytes would exceed the memory limit
---@return table methods the guarded `string` functions, for the string metatable's __index
function M.install(libraries, allowance)
  local is_native = native_functions(libraries)
  local reserve = allowance.bytes
  local string = libraries.string
  string.find, string.match, string.gmatch = patterns.find, patterns.match, patterns.gmatch
  string.gsub = gsub.new(reserve, is_native)
  string.rep, string.format = strings.new_rep(reserve), strings.new_format(reserve)
  string.pack = strings.new_pack(reserve)
  local table = libraries.table
  table.concat, table.sort = tables.new_concat(reserve), tables.new_sort(is_native)
  table.move, table.insert, table.remove = tables.move, tables.insert, tables.remove
  if table.create then
    table.create = tables.new_create(reserve)
  end
  local globals = libraries._G
  if globals then
    globals.load, globals.collectgarbage = basics.new_load(reserve), basics.collectgarbage
  end
  return string
end

return M
