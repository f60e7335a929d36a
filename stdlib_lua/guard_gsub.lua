--- gsub that never holds the processor for long: see guard_patterns for the idea.

local search = require("guard_search")
local patterns = require("guard_patterns")
local blame = require("guard_blame")
local numbers = require("guard_numbers")

local native_gsub, native_find, sub = string.gsub, string.find, string.sub
local real_metatable, getinfo = debug.getmetatable, debug.getinfo
local type, tostring, tonumber, select = type, tostring, tonumber, select
local concat = table.concat
local learn, text, same = patterns.learn, patterns.text, patterns.same
local captured, retrieve, retrieved = patterns.captured, patterns.retrieve, patterns.retrieved
local next_different, forget = patterns.next_different, patterns.forget
local math_type, integer = numbers.math_type, numbers.integer
local match_limit, gsub_limit, gsub_captures =
  patterns.match_limit, patterns.gsub_limit, patterns.gsub_captures

local M = {}

local highest_capture, replacements = {}, 0 -- by replacement string, and how many are kept
local MAX_KEY = 500
-- Results up to this size are made in one call.
local SMALL_RESULT = 4000000

-- A replacement string as a list of strings and numbers of captures, up to the first fault.
local function parts_of(replacement)
  local parts, from, highest = {}, 1, 0
  while true do
    local at = native_find(replacement, "%", from, true)
    parts[#parts + 1] = sub(replacement, from, at and at - 1 or -1)
    if not at then
      return parts, highest
    end
    local letter = sub(replacement, at + 1, at + 1)
    if letter == "%" then
      parts[#parts + 1] = "%"
    elseif native_find(letter, "^%d") then
      local index = tonumber(letter)
      parts[#parts + 1] = index
      highest = index > highest and index or highest
    else
      parts.fault = "invalid use of '%' in replacement string"
      return parts, 1 / 0
    end
    from = at + 2
  end
end

-- The highest capture that a replacement string uses.
local function highest_in(replacement)
  local highest = highest_capture[replacement]
  if not highest then
    local _
    _, highest = parts_of(replacement)
    if #replacement <= 100 then
      replacements = replacements + 1
      if replacements > 400 then
        replacements = 1
        forget(highest_capture)
      end
      highest_capture[replacement] = highest
    end
  end
  return highest
end

-- What each kind of replacement gives for a match: (subject, first, last, captures...) -> value.
local function by_string(replacement)
  local parts = parts_of(replacement)
  return function(subject, first, last, ...)
    local whole, result = sub(subject, first, last), {}
    for i = 1, #parts do
      local part = parts[i]
      if type(part) == "number" then
        if part == 0 or part == 1 and select("#", ...) == 0 then
          part = whole
        elseif part > select("#", ...) then
          blame.raise("invalid capture index %" .. part)
        else
          part = select(part, ...)
          retrieve(part)
        end
      end
      result[i] = part
    end
    if parts.fault then
      blame.raise(parts.fault)
    end
    return concat(result)
  end
end

local function index(list, key)
  return list[key]
end

-- list[key], or with a metatable the same behind `blame.bare`.
local function value_at(list, key)
  if real_metatable(list) then
    return (blame.bare(index, list, key))
  end
  return list[key]
end

local function by_table(replacement)
  return function(...)
    local key = captured(...)
    retrieve(key)
    return value_at(replacement, key)
  end
end

local function by_function(replacement)
  if getinfo(replacement, "S").what == "C" then
    return function(subject, ...)
      return blame.bare(replacement, captured(subject, retrieved(...)))
    end
  end
  return function(subject, ...)
    return replacement(captured(subject, retrieved(...)))
  end
end

local by_kind = { string = by_string, table = by_table, ["function"] = by_function }

-- The result of a long gsub: pieces, joined now and then.
local function new_result(reserve)
  local pieces, count, joined, length, checked = {}, 0, {}, 0, SMALL_RESULT
  local function add(piece)
    count = count + 1
    pieces[count] = piece
    length = length + #piece
    if length > checked then
      reserve(length)
      checked = length + SMALL_RESULT
    end
    if count == 4096 then
      joined[#joined + 1] = concat(pieces)
      pieces, count = {}, 0
    end
  end
  return add, function()
    joined[#joined + 1] = concat(pieces)
    return concat(joined)
  end
end

local function replace(plan, subject, value_of, most, reserve)
  local add, finish = new_result(reserve)
  local at, copied, stop, count, changed = 1, 1, nil, 0, false
  local function step(first, last, ...)
    if not first then
      return false
    end
    count = count + 1
    local value = value_of(subject, first, last, ...)
    if value then
      if type(value) ~= "string" and type(value) ~= "number" then
        blame.raise("invalid replacement value (a " .. type(value) .. ")")
      end
      changed = true
      add(sub(subject, copied, first - 1))
      add(tostring(value))
      copied = last + 1
    end
    at, stop = last + 1, last + 1
    return not plan.anchored
  end
  while count < most do
    if not step(next_different(plan, subject, at, stop, search.next_match(plan, subject, at))) then
      break
    end
  end
  if not changed then
    return subject, count
  end
  add(sub(subject, copied))
  return finish(), count
end

-- Lua's own gsub on one window after the other.
local function replace_windows(plan, subject, replacement, most, limit, reserve)
  local add, finish = new_result(reserve)
  local at, count = 1, 0
  while at <= #subject and count < most do
    local window = search.window(plan, subject, at, limit)
    if not window then
      return nil
    end
    local piece, found = native_gsub(window, plan.source, replacement, most - count)
    add(piece)
    at, count = at + #window, count + found
  end
  add(sub(subject, at))
  return finish(), count
end

local function gsub_slowly(reserve, s, p, replacement, max_count)
  local subject, source = text(s), text(p)
  local kind, most = type(replacement), integer(max_count, subject and #subject + 1 or 1)
  if kind == "number" then
    replacement, kind = tostring(replacement), "string"
  end
  local make = by_kind[kind]
  if not subject or not source or not most or not make then
    return blame.refuse("string.gsub", native_gsub, s, p, replacement, max_count)
  end
  local plan = learn(source)
  if
    kind == "string"
    and #subject <= plan.replace
    and (#subject + 1) * #replacement <= SMALL_RESULT
    and highest_in(replacement) <= (plan.captures > 1 and plan.captures or 1)
  then
    return native_gsub(s, p, replacement, max_count)
  end
  -- Only strings: when a later piece has no window all begins anew, and functions would be called twice.
  if
    kind == "string"
    and plan.barrier
    and highest_in(replacement) <= (plan.captures > 1 and plan.captures or 1)
    and #replacement <= MAX_KEY
  then
    local result, count = replace_windows(plan, subject, replacement, most, plan.replace, reserve)
    if result then
      return result, count
    end
  end
  return replace(plan, subject, make(replacement), most, reserve)
end

-- A table behind a function: its values may be long, or wrong.
local function looked_up(replacement, reserve)
  local length, checked = 0, SMALL_RESULT
  return function(key)
    local value = value_at(replacement, key)
    if type(value) == "string" then
      length = length + #value
      if length > checked then
        reserve(length)
        checked = length + SMALL_RESULT
      end
    elseif value and type(value) ~= "number" then
      blame.raise("invalid replacement value (a " .. type(value) .. ")", native_gsub)
    end
    return value
  end
end

--- Make `gsub`.
---@param reserve fun(bytes: integer) raises when so many more bytes are not allowed
---@param is_native table<function, boolean> functions of Lua's own: called in a row by another one they
--- give the hook no place to run
function M.new(reserve, is_native)
  return function(s, p, replacement, max_count)
    local kind = type(replacement)
    if type(s) == "string" and (max_count == nil or math_type(max_count) == "integer") then
      if kind == "string" then
        local limit, highest = gsub_limit[p], highest_capture[replacement]
        if
          limit
          and #s <= limit
          and highest
          and highest <= gsub_captures[p]
          and (#s + 1) * #replacement <= SMALL_RESULT
        then
          return native_gsub(s, p, replacement, max_count)
        end
      else
        local limit = match_limit[p]
        if limit and #s <= limit then
          if kind == "function" and not is_native[replacement] then
            return native_gsub(s, p, replacement, max_count)
          elseif kind == "table" then
            return same(native_gsub(s, p, looked_up(replacement, reserve), max_count))
          end
        end
      end
    end
    return same(gsub_slowly(reserve, s, p, replacement, max_count))
  end
end

return M
