--- Errors of guarded functions, as the native function would have raised them at the script's line.
--
-- Belongs here: finding the script's frame and the name it used. A guarded function is a Lua function, so
-- an error that Lua's own function raised below it would name this library's line and an upvalue.

local getinfo, error, pcall = debug.getinfo, error, pcall
local type, tonumber = type, tonumber
local find, gsub, match = string.find, string.gsub, string.match

local M = {}

local OURS = "^@%[scheduler%]/guard"
local OURS_AT = "^%[scheduler%]/guard[%w_]*%.lua:%d+: "

-- The level of the frame that called the outermost guarded function, as seen by the caller of this one,
-- and how it named that function: name, kind of name, whether the call was a tail call. `through` is a
-- native function that may lie between frames of ours.
local function caller(through)
  local level = 2
  local info = getinfo(level, "Sf")
  while info and (find(info.source, OURS) or info.func == through) do
    level = level + 1
    info = getinfo(level, "Sf")
  end
  local called = getinfo(level - 1, "nt") or {}
  return level - 1, called.name, called.namewhat, called.istailcall
end

--- Raise `message` with the position of the script's call.
---@param message string
---@param through? function the native function that called us
function M.raise(message, through)
  error(message, (caller(through)))
end

-- "string.rep" is how Lua names a library function whose caller did not: pcall(string.rep).
local function renamed(message, full_name, name, kind, tail_call)
  local number, culprit, text = match(message, "^bad argument #(%d+) to '(.-)' (.*)$")
  if not number or culprit ~= "?" and culprit ~= full_name then
    -- Another's: of a function in C that is a metamethod, and has no line.
    return message, number ~= nil
  end
  if not name then
    name = tail_call and match(full_name, "[^.]*$") or full_name
  elseif kind == "method" then
    number = tonumber(number) - 1 -- the string metatable may be one without arithmetic
    if number == 0 then
      return "calling '" .. name .. "' on bad self " .. text
    end
  end
  return "bad argument #" .. number .. " to '" .. name .. "' " .. text
end

--- Raise what Lua's own function, called by `pcall`, raised.
---@param full_name string "string.rep"
---@param message any
function M.pass_on(full_name, message)
  if type(message) ~= "string" then
    error(message, 0)
  end
  local level, name, kind, tail_call = caller()
  local text, is_others = renamed(message, full_name, name, kind, tail_call)
  error(text, is_others and 0 or level)
end

local function settle(full_name, ok, ...)
  if ok then
    return ...
  end
  M.pass_on(full_name, (...))
end

local function settle_bare(ok, ...)
  if ok then
    return ...
  end
  local message = (...)
  if type(message) == "string" then
    message = gsub(message, OURS_AT, "")
  end
  error(message, 0)
end

--- Do by a function of ours what Lua's own does in C, where metamethods are called: a message that says where
-- it comes from would name a line of ours. In C there is no line, so there is none here.
---@param fn function
---@return any ... its results
function M.bare(fn, ...)
  return settle_bare(pcall(fn, ...))
end

--- Call Lua's own function with arguments that it will probably refuse; it calls nothing of the script.
---@param full_name string "string.rep"
---@param native function
---@return any ... its results, if it accepts them
function M.refuse(full_name, native, ...)
  return settle(full_name, pcall(native, ...))
end

return M
