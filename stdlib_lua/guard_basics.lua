--- load and collectgarbage: one call may compile megabytes, or mark and sweep a whole heap.

local blame = require("guard_blame")

local native_load, native_collect = load, collectgarbage
local type, sub = type, string.sub

local M = {}

-- Sources longer than this reach the compiler through a Lua function, where the hook can run: 20 ms for the
-- worst of such pieces.
local PIECE = 1024

-- Heaps larger than this (kB) are collected in steps: a full collection takes about 1 ms a megabyte.
local HEAP_KB = 8192
local STEP_KB = 1024

local function same(...)
  return ...
end

--- A function that gives `text` piece by piece, then nil.
---@param text string
function M.reader_of(text)
  local at = 1
  return function()
    local piece = sub(text, at, at + PIECE - 1)
    at = at + PIECE
    return piece ~= "" and piece or nil
  end
end
local reader_of = M.reader_of

--- Make `load`.
---@param reserve fun(bytes: integer) raises when so many more bytes are not allowed
function M.new_load(reserve)
  -- An absent environment is not a nil one, so count.
  local function compile(chunk, name, ...)
    if type(chunk) == "string" then
      if #chunk > PIECE then
        reserve(#chunk)
        return native_load(reader_of(chunk), name == nil and chunk or name, ...)
      end
    elseif type(chunk) == "function" then
      local reader = chunk
      chunk = function()
        return reader()
      end
    end
    return blame.refuse("load", native_load, chunk, name, ...)
  end
  return function(...)
    return same(compile(...))
  end
end

-- A whole cycle, step by step; the second one takes what finalizers and the first one left.
local function collect_in_steps()
  for _ = 1, 2 do
    repeat
      local finished = native_collect("step", STEP_KB)
    until finished ~= false -- nil inside a finalizer: the collector does not run there
  end
  return 0
end

--- As collectgarbage.
function M.collectgarbage(option, argument, ...)
  if option == nil or option == "collect" then
    if native_collect("count") > HEAP_KB then
      return collect_in_steps()
    end
  elseif option == "step" and type(argument) == "number" and argument > STEP_KB then
    argument = STEP_KB
  end
  return same(blame.refuse("collectgarbage", native_collect, option or "collect", argument, ...))
end

return M
