--- Arguments that are numbers, as Lua's own functions take them.
--
-- Belongs here: what each guard must know of an integer before it decides. Complaints are blame's.

local type, tonumber = type, tonumber
local to_integer = math.tointeger
  or function(value)
    return value and value % 1 == 0 and value or nil
  end

local M = {}

--- math.type; on LuaJIT, which has one kind of number, "integer" for a whole one.
---@type fun(value: any): string|nil
M.math_type = math.type
  or function(value)
    return type(value) == "number" and value % 1 == 0 and "integer" or nil
  end

--- An optional integer, "2" and 2.0 included.
---@return integer|nil value `default` for nil; nil when it is not one
function M.integer(value, default)
  if value == nil then
    return default
  end
  return to_integer(tonumber(value))
end

return M
