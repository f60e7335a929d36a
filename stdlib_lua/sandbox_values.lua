--- Copies of plain values, so that no two scripts hold the same table.

local next, pairs, type, select, rawget = next, pairs, type, select, rawget
local raw_metatable = debug.getmetatable
local unpack = table.unpack or unpack

local M = {}

--- A copy of `value` and of the tables in it. Functions, and tables with a metatable (host objects), stay
-- themselves: scripts cannot look into them.
---@param made table|nil copies by original
function M.copy(value, made)
  if type(value) ~= "table" or raw_metatable(value) then
    return value
  end
  made = made or {}
  if made[value] then
    return made[value]
  end
  local copy = {}
  made[value] = copy
  for key, item in next, value do
    copy[key] = M.copy(item, made)
  end
  return copy
end

--- A plain table with the same raw fields: no metamethod of the script's runs inside our library.
function M.plain(options)
  if type(options) ~= "table" then
    return options
  end
  local copy = {}
  for key, value in next, options do
    copy[type(key) == "string" and key or "[" .. type(key) .. "]"] = value
  end
  return copy
end

--- `copy` of each argument.
function M.copies(...)
  local values = { ... }
  local n = select("#", ...)
  local made = {}
  for i = 1, n do
    values[i] = M.copy(values[i], made)
  end
  return unpack(values, 1, n)
end

--- A table with the entries of `library` that `names` lists, or with all of them.
---@param names string[]|nil
function M.selection(library, names)
  local chosen = {}
  if names then
    for i = 1, #names do
      chosen[names[i]] = rawget(library, names[i])
    end
    return chosen
  end
  for name, value in pairs(library) do
    chosen[name] = value
  end
  return chosen
end

return M
