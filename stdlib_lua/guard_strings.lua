--- string.rep, format and pack: results that are much larger than their arguments.
--
-- Belongs here: sizes, checked before Lua's own function makes the string. Functions whose work is linear in
-- a string that exists (upper, reverse, sub, byte, tonumber, utf8.*) stay Lua's own: 0.5 to 4 ns a byte.

local blame = require("guard_blame")
local numbers = require("guard_numbers")

local math_type = numbers.math_type
local native_rep, native_format, native_pack = string.rep, string.format, string.pack
local gmatch, gsub, find = string.gmatch, string.gsub, string.find
local type, select, tonumber, tostring, pcall = type, select, tonumber, tostring, pcall
local error = error
local floor, concat, unpack = math.floor, table.concat, table.unpack

local M = {}

-- Results below this are not worth asking for.
local SMALL = 65536
-- Long strings are repeated in blocks of this size: copying blocks is faster than copying bytes.
local BLOCK = 1000000
local MAX_PACKED = _VERSION == "Lua 5.5" and math.huge or 2 ^ 31 -- more is no size for string.pack
local MAX_STRING = 2 ^ 47 -- more than any memory; Lua's own message says "resulting string too large"

local function same(...)
  return ...
end

-- ---------------------------------------------------------------------------------------------
-- rep

local function repeat_slowly(reserve, s, n, sep)
  local count = tonumber(n)
  local text = type(s) == "string" and s or type(s) == "number" and tostring(s)
  local between = sep == nil and ""
    or type(sep) == "string" and sep
    or type(sep) == "number" and tostring(sep)
  if not text or not between or not count or count % 1 ~= 0 then
    return blame.refuse("string.rep", native_rep, s, n, sep)
  end
  local unit = #text + #between
  if count <= 0 or unit == 0 then
    return ""
  elseif count * 1.0 * unit >= MAX_STRING then
    blame.raise("resulting string too large")
  end
  reserve(count * unit)
  count = floor(count)
  if unit >= BLOCK or count * unit <= BLOCK then
    return native_rep(text, count, between)
  end
  local per_block = floor(BLOCK / unit)
  local blocks = floor((count - 1) / per_block)
  local block, parts = native_rep(text .. between, per_block), {}
  for index = 1, blocks do
    parts[index] = block
  end
  parts[blocks + 1] = native_rep(text, count - blocks * per_block, between)
  return concat(parts)
end

--- Make `rep`.
---@param reserve fun(bytes: integer) raises when so many more bytes are not allowed
function M.new_rep(reserve)
  return function(s, n, sep)
    if
      sep == nil
      and type(s) == "string"
      and math_type(n) == "integer"
      and n <= SMALL
      and n * #s <= SMALL
    then
      return #s > 0 and native_rep(s, n) or ""
    end
    return same(repeat_slowly(reserve, s, n, sep))
  end
end

-- ---------------------------------------------------------------------------------------------
-- format, pack

-- The bytes of all strings among the values.
local function measure(values, count)
  local bytes = 0
  for index = 1, count do
    local value = values[index]
    if type(value) == "string" then
      bytes = bytes + #value
    end
  end
  return bytes
end

-- Templates that are known to be short, with three "%s" at most: the result is at most three times as long
-- as a string that exists, so it is enough to look at its length afterwards. No other conversion but "%q"
-- makes more than some 400 bytes.
local short_templates, kept = {}, 0
local MAX_TEMPLATE, MAX_KEPT = 60, 400
local STRINGS = "%%[-+ #0%d.]*s"

local function is_short(template)
  if
    type(template) ~= "string"
    or #template > MAX_TEMPLATE
    or find(template, "%q", 1, true)
    or select(2, gsub(template, STRINGS, "")) > 3
  then
    return false
  end
  kept = kept + 1
  if kept > MAX_KEPT then
    short_templates, kept = {}, 1
  end
  short_templates[template] = true
  return true
end

-- %q takes 10 ns a byte and twice the room, and cannot be interrupted.
local MAX_QUOTED = 1000000

local function refuse_quoting(template, ...)
  if type(template) ~= "string" or not find(template, "%q", 1, true) then
    return
  end
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if type(value) == "string" and #value > MAX_QUOTED then
      local why = "a string of " .. #value .. " bytes is too long for '%q' in a limited run"
      error("bad argument #" .. i + 1 .. " to 'format' (" .. why .. ")", 3)
    end
  end
end

-- What format itself complains about; everything else comes from a `__tostring`.
local OWN_MESSAGES = { "^bad argument #", "^invalid ", "^specifier ", "^'__tostring' " }

local function is_own(message)
  for index = 1, #OWN_MESSAGES do
    if type(message) == "string" and find(message, OWN_MESSAGES[index]) then
      return true
    end
  end
  return false
end

local function refused(message)
  if not is_own(message) then
    error(message, 0)
  end
  blame.pass_on("string.format", message)
end

-- Put the texts of objects in place of those that "%s" stands for, so that their lengths are known.
local function with_texts(template, values)
  local at = 0
  for conversion in gmatch(template, "%%[-+ #0%d.]*(.)") do
    if conversion ~= "%" then
      at = at + 1
      local value = values[at]
      if conversion == "s" and value ~= nil and type(value) ~= "string" then
        local ok, text = pcall(tostring, value)
        if not ok then
          refused(text)
        end
        values[at] = text
      end
    end
  end
end

local function format_long(reserve, template, ...)
  local count = select("#", ...)
  local values = { ... }
  if type(template) == "string" then
    with_texts(template, values)
    refuse_quoting(template, ...)
  end
  local bytes = measure(values, count)
  if bytes > SMALL then
    reserve(bytes)
  end
  return pcall(native_format, template, unpack(values, 1, count))
end

local function finished(ok, result)
  if not ok then
    refused(result)
  end
  return result
end

--- Make `format`. Widths and precisions have two digits at most, so only strings make long results.
function M.new_format(reserve)
  return function(template, ...)
    if not short_templates[template] and not is_short(template) then
      return same(finished(format_long(reserve, template, ...)))
    end
    local ok, result = pcall(native_format, template, ...)
    if not ok then
      return same(refused(result))
    elseif #result > SMALL then
      reserve(1) -- it counts already
    end
    return result
  end
end

--- Make `pack`; "c1000000" asks for so many bytes.
function M.new_pack(reserve)
  return function(template, ...)
    local bytes = measure({ ... }, select("#", ...))
    if type(template) == "string" and find(template, "c%d%d%d%d") then
      for size in gmatch(template, "c(%d+)") do
        local count = tonumber(size)
        bytes = bytes + (count < MAX_PACKED and count or 0)
      end
    end
    if bytes > SMALL then
      reserve(bytes)
    end
    return same(blame.refuse("string.pack", native_pack, template, ...))
  end
end

return M
