--- What the sandboxed functions raise and print: Lua's own messages at the script's line, of bounded length.

local error, pcall, tostring, type = error, pcall, tostring, type
local gsub, sub, getinfo = string.gsub, string.sub, debug.getinfo

local M = {}

-- Longer texts are cut: a terminal's page, several times over.
local MAX_TEXT = 8192
M.MAX_TEXT = MAX_TEXT

--- Cut a long text and say so.
---@param text string
---@param limit integer|nil bytes
function M.bounded(text, limit)
  limit = limit or MAX_TEXT
  if #text <= limit then
    return text
  end
  return sub(text, 1, limit) .. "... (" .. #text - limit .. " bytes more)"
end

-- A name goes into reports, logs and terminals.
local MAX_NAME = 100

--- A text as it may stand in a report.
function M.printable(text)
  return (gsub(M.bounded(text, MAX_NAME), "%c", "?"))
end

--- Raise what Lua's own function says about these arguments, at the line that called ours. Call it in the
-- function that the script called, and only with arguments that `native` refuses.
---@param name string as it is named when the call does not tell
---@param native function
function M.misused(name, native, ...)
  local ok, message = pcall(native, ...) -- called so, it knows neither its name nor a line
  if ok then
    message = "bad argument to '" .. name .. "'"
  end
  local called = getinfo(2, "n").name or name
  message = gsub(tostring(message), "to '[^']*'", function()
    return "to '" .. called .. "'"
  end, 1)
  error(message, 3)
end

--- Check an argument that must be a string, as luaL_checkstring does.
---@return string
function M.check_string(n, name, value)
  if type(value) == "number" then
    return tostring(value)
  elseif type(value) ~= "string" then
    local got = value == nil and "no value" or type(value)
    error("bad argument #" .. n .. " to '" .. name .. "' (string expected, got " .. got .. ")", 3)
  end
  return value
end

return M
