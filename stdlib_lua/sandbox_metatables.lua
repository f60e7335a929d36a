--- getmetatable, setmetatable and rawset of one script: it reaches the metatables it has set, no others.
--
-- Belongs here: the rule that guards every object of ours and of other scripts (handles, error tables,
-- iterators) whether or not its maker thought of locking it.

local guarded = require("sandbox_errors")

local getmetatable, setmetatable, rawset = getmetatable, setmetatable, rawset
local raw_metatable = debug.getmetatable
local rawget, type, error, select = rawget, type, error, select
local misused = guarded.misused

local M = {}

--- Make the three functions.
---@return table functions by name
function M.new()
  -- Metatables that this script has set. Without it our own would be reachable, and a function put as __gc
  -- into one that has a __gc would run in the collector, outside every task and every limit.
  local mine = setmetatable({}, { __mode = "k" })

  local function is_foreign(meta)
    return meta ~= nil and not mine[meta]
  end

  local functions = {}

  --- As Lua's; false for what the script has not set itself.
  function functions.getmetatable(...)
    if select("#", ...) == 0 then
      misused("getmetatable", getmetatable)
    end
    local meta = raw_metatable((...))
    if is_foreign(meta) then
      return false
    end
    local shown = meta and rawget(meta, "__metatable")
    if shown ~= nil then
      return shown
    end
    return meta
  end

  --- As Lua's, without __gc.
  function functions.setmetatable(...)
    local object, meta = ...
    if
      type(object) ~= "table" or type(meta) ~= "table" and (meta ~= nil or select("#", ...) < 2)
    then
      misused("setmetatable", setmetatable, ...)
    end
    local present = raw_metatable(object)
    if present ~= nil and (not mine[present] or rawget(present, "__metatable") ~= nil) then
      error("cannot change a protected metatable", 2)
    end
    if meta then
      if rawget(meta, "__gc") ~= nil then
        error("setmetatable: a __gc metamethod is not available in the sandbox", 2)
      end
      if not mine[meta] then -- nearly always a class that is there already: a look is cheaper
        mine[meta] = true
      end
    end
    return setmetatable(object, meta)
  end

  --- As Lua's; refuses objects of ours and of other scripts, which several may share.
  function functions.rawset(...)
    local object = ...
    if type(object) ~= "table" or select("#", ...) < 3 then
      misused("rawset", rawset, ...)
    elseif is_foreign(raw_metatable(object)) then
      error("cannot change a protected table", 2)
    end
    local _, key, value = ...
    if key == nil or key ~= key then
      misused("rawset", rawset, ...)
    end
    return rawset(object, key, value)
  end

  return functions
end

return M
