--- load and require of one script: source text only, compiled for the script's own environment.
--
-- Belongs here: everything that turns text into a function. No bytecode comes in, no other globals than the
-- script's are given to what is loaded, and compiling takes a bounded time (it is one C call).

local failure = require("failure")
local guarded = require("coroutine")
local errors = require("sandbox_errors")
local kernel = require("kernel")
local compiler = require("compiler")

local load, type, error, select, tostring = load, type, error, select, tostring
local find, gsub, sub, concat = string.find, string.gsub, string.sub, table.concat
local pcall, xpcall = guarded.pcall, guarded.xpcall -- a cancellation passes them
local current, misused = kernel.current, errors.misused

local M = {}

-- Measured on 5.4: ordinary source compiles at 40 MB/s, so this is 25 ms.
local MAX_SOURCE = 1048576
-- Compiling can be interrupted between two pieces of the source (compiler.lua). For each of these words Lua's
-- compiler walks, within one piece, all jumps that are open: of 50,000 in a chain the last piece takes 16 ms.
local CHAINED = { "%f[%w_]and%f[^%w_]", "%f[%w_]or%f[^%w_]", "%f[%w_]elseif%f[^%w_]" }
local MAX_CHAINED = 50000
-- n jumps to one label are n squared steps when it comes: 32,000, the most that Lua allows, take 0.7 s, these
-- 30 ms.
local LEAPS = { "%f[%w_]goto%f[^%w_]", "%f[%w_]break%f[^%w_]" }
local MAX_LEAPS = 6000
-- The shortest source with so many: "break ".
local MAY_HAVE_TOO_MANY = MAX_LEAPS * 5

-- Our own files are told by their chunk names (failure.lua); a script's chunk must not look like one.
local OURS = "[scheduler]/"

local function count(source, words)
  local found = 0
  for i = 1, #words do
    local _, n = gsub(source, words[i], "")
    found = found + n
  end
  return found
end

local function too_costly(source)
  if #source > MAX_SOURCE then
    return "source of " .. #source .. " bytes; the sandbox compiles at most " .. MAX_SOURCE
  elseif #source > MAY_HAVE_TOO_MANY then
    local chained, leaps = count(source, CHAINED), count(source, LEAPS)
    if chained > MAX_CHAINED then
      return chained .. " times and, or, elseif; the sandbox compiles at most " .. MAX_CHAINED
    elseif leaps > MAX_LEAPS then
      return leaps .. " times goto, break; the sandbox compiles at most " .. MAX_LEAPS
    end
  end
end

-- Without a name a chunk is named after its first line, as in Lua.
local function chunk_name(name, source)
  if find(name or sub(source, 1, 200), OURS, 1, true) then
    return "=(load)"
  end
  return name and sub(name, 1, 1000) or source
end

--- Compile a script's source.
---@param source string
---@param name string|nil Lua's chunk name
---@param env any what the chunk sees as its globals
---@return function|nil fn, string|nil message
function M.compile(source, name, env)
  local why = too_costly(source)
  if why then
    return nil, why
  end
  return compiler.load(source, chunk_name(name, source), "t", env)
end

-- All that a reader function gives, read here so that an endless one can be interrupted.
local function read_all(reader, bytes)
  local pieces, size, n = {}, 0, 0
  while true do
    local ok, piece = pcall(reader)
    if not ok then
      return nil, piece
    elseif piece == nil or piece == "" then
      return concat(pieces)
    elseif type(piece) == "number" then
      piece = tostring(piece)
    elseif type(piece) ~= "string" then
      return nil, "reader function must return a string"
    end
    size = size + #piece
    if size > MAX_SOURCE then
      return nil, "source of more than " .. MAX_SOURCE .. " bytes; the sandbox compiles no more"
    end
    bytes(size)
    n = n + 1
    pieces[n] = piece
  end
end

local function optional_string(n, value)
  if value == nil or type(value) == "string" then
    return value
  elseif type(value) == "number" then
    return tostring(value)
  end
  error("bad argument #" .. n .. " to 'load' (string expected, got " .. type(value) .. ")", 3)
end

--- Make `load` for scripts whose globals are `env`.
---@param bytes function(n) raises when the script may not have n more bytes
function M.loader(env, bytes)
  return function(...)
    local chunk, name, mode, given = ...
    name, mode = optional_string(2, name), optional_string(3, mode)
    if type(chunk) == "number" then
      chunk = tostring(chunk)
    elseif type(chunk) == "function" then
      local text, message = read_all(chunk, bytes)
      if not text then
        return nil, message
      end
      chunk, name = text, name or "=(load)"
    elseif type(chunk) ~= "string" then
      misused("load", load, ...)
    end
    if mode and not find(mode, "t", 1, true) then
      return nil, "attempt to load a text chunk (mode is '" .. sub(mode, 1, 20) .. "')"
    end
    if select("#", ...) < 4 then
      given = env
    end
    return M.compile(chunk, name, given)
  end
end

-- An error in a module keeps the traceback of its origin, as in a scope (scope.lua).
local function returned(ok, ...)
  if ok then
    return ...
  end
  local task = current()
  if task then
    failure.remember(task, failure.capture((...), task))
  end
  error((...), 0)
end

--- Make `require`: modules beside the script, and the script's libraries by their names.
---@param env table
---@param loaded table modules by name, of this script alone
---@param library function (name) -> a library that is made when it is first required, or nil
---@param read_module function|nil (name) -> source, chunk name; or nil, why not. Must not raise.
function M.requirer(env, loaded, library, read_module)
  local loading = {} -- name -> the task that loads it

  return function(name)
    name = errors.check_string(1, "require", name)
    local found = loaded[name]
    if found == nil then
      found = library(name)
      loaded[name] = found
    end
    if found ~= nil then
      return found
    end
    local shown = errors.bounded(name, 100)
    local task = current()
    if task and loading[name] == task then
      error("module '" .. shown .. "' is required while it is being loaded (a loop)", 2)
    end
    local source, where = nil, "there are no modules beside it"
    if read_module then
      source, where = read_module(name)
    end
    if not source then
      error("module '" .. shown .. "' not found: " .. where, 2)
    end
    local fn, message = M.compile(source, where, env)
    if not fn then
      error("error loading module '" .. shown .. "':\n\t" .. message, 2)
    end
    loading[name] = task
    local ok, value = xpcall(fn, failure.handler, name, where)
    loading[name] = nil
    value = returned(ok, value)
    if loaded[name] == nil then
      loaded[name] = value == nil and true or value
    end
    return loaded[name], where
  end
end

return M
