--- table.concat, move, insert, remove and sort in bounded pieces.
--
-- Belongs here: functions whose work depends on how many elements there are, or say they are: `__len` may
-- give any number. A piece is a call of Lua's own function for so many elements that it ends in about 1 ms.

local blame = require("guard_blame")
local numbers = require("guard_numbers")

local math_type, integer = numbers.math_type, numbers.integer
local native_concat, native_move = table.concat, table.move
local native_insert, native_remove, native_sort = table.insert, table.remove, table.sort
local type, select, rawequal, pcall = type, select, rawequal, pcall
local max_integer = math.maxinteger or 2 ^ 53
local real_metatable = debug.getmetatable
local native_unpack = table.unpack or unpack
local native_create = table.create -- luacheck: ignore 143 (Lua 5.5)

local M = {}

local PIECE = 50000 -- elements moved at a time
local CONCAT_PIECE = 128 -- elements joined at a time; their bytes are only known afterwards
local SMALL = 65536 -- results below this are not worth asking for
local MAX_CREATED = 2 ^ 31 -- elements that table.create accepts
-- Comparisons that table.sort may do by itself, and bytes that they may look at.
local SORT_LENGTH, SORT_BYTES = 15000, 3000000

local function same(...)
  return ...
end

-- ---------------------------------------------------------------------------------------------
-- Elements of a table with a metatable
--
-- By functions in C: an error of a metamethod then has no position, as it has none in Lua's own functions,
-- instead of a line of this file.

local function element(list, index)
  return (native_unpack(list, index, index))
end

local function set_element(list, index, value)
  native_move({ value }, 1, 1, index, list)
end

local function native_length(list)
  return #list
end

local function length_of(list)
  if real_metatable(list) then
    return (blame.bare(native_length, list))
  end
  return #list
end

-- ---------------------------------------------------------------------------------------------
-- concat

local function piece_size(separator)
  local size = SMALL / (#separator + 1)
  return size < 1 and 1 or size > CONCAT_PIECE and CONCAT_PIECE or size - size % 1
end

-- The elements of a table with a metatable, fetched in Lua.
local function fetched(reserve, list, separator, first, last)
  local result, count, bytes, checked = {}, 0, 0, SMALL
  for index = first, last do
    local value = element(list, index)
    local kind = type(value)
    if kind ~= "string" and kind ~= "number" then
      blame.refuse("table.concat", native_concat, { [index] = value }, "", index, index)
    end
    count = count + 1
    result[count] = value
    bytes = bytes + (kind == "string" and #value or 20) + #separator
    if bytes > checked then
      reserve(bytes)
      checked = bytes + SMALL
    end
  end
  return native_concat(result, separator)
end

local function concat_slowly(reserve, list, separator, first, last)
  local from, to = integer(first, 1), last
  if to == nil and type(list) == "table" then
    to = length_of(list)
    if not integer(to) then
      blame.raise("object length is not an integer")
    end
  end
  to = integer(to)
  local between = separator == nil and "" or separator
  if type(between) == "number" then
    between = between .. ""
  end
  if type(list) ~= "table" or type(between) ~= "string" or not from or not to then
    -- Refused before an element is looked at.
    local probe = type(list) == "table" and {} or list
    return blame.refuse("table.concat", native_concat, probe, separator, first, last)
  elseif real_metatable(list) then
    return fetched(reserve, list, between, from, to)
  end
  local pieces, count, bytes, checked = {}, 0, 0, SMALL
  local size = piece_size(between)
  while from <= to do
    local stop = to - from < size and to or from + size - 1
    local piece = blame.refuse("table.concat", native_concat, list, between, from, stop)
    count = count + 1
    pieces[count] = piece
    bytes = bytes + #piece + #between
    if bytes > checked then
      reserve(bytes)
      checked = bytes + SMALL
    end
    if stop == to then
      break -- `to` may be the largest integer
    end
    from = stop + 1
  end
  return native_concat(pieces, between)
end

local function is_separator(value)
  return value == nil or type(value) == "string" and #value <= 256
end

--- Make `concat`.
---@param reserve fun(bytes: integer) raises when so many more bytes are not allowed
function M.new_concat(reserve)
  return function(list, separator, first, last)
    if
      first == nil
      and last == nil
      and type(list) == "table"
      and not real_metatable(list)
      and #list <= CONCAT_PIECE
      and is_separator(separator)
    then
      local ok, result = pcall(native_concat, list, separator)
      if ok then
        return result
      end
      return same(blame.pass_on("table.concat", result))
    end
    return same(concat_slowly(reserve, list, separator, first, last))
  end
end

-- ---------------------------------------------------------------------------------------------
-- create, which Lua 5.5 has

-- Bytes of an element in the array part, and of one in the hash part, which is rounded up to a power of two.
local ELEMENT, RECORD = 9, 48

--- Make `create`.
---@param reserve fun(bytes: integer) raises when so many more bytes are not allowed
function M.new_create(reserve)
  return function(...)
    local elements, records = ...
    elements, records = integer(elements, 0) or 0, integer(records, 0) or 0
    -- A float: the product may be larger than an integer; what is out of range Lua refuses below.
    local bytes = elements * (ELEMENT + 0.0) + records * (RECORD + 0.0)
    if
      bytes > SMALL
      and elements >= 0
      and records >= 0
      and elements < MAX_CREATED
      and records < MAX_CREATED
    then
      reserve(bytes)
    end
    return same(blame.refuse("table.create", native_create, ...))
  end
end

-- ---------------------------------------------------------------------------------------------
-- move, insert, remove

-- As Lua's own loop: from the end when the ranges overlap that way.
local function move_pieces(source, first, last, target_first, target)
  if target_first > last or target_first <= first or not rawequal(source, target) then
    while last - first >= PIECE do
      native_move(source, first, first + PIECE - 1, target_first, target)
      first, target_first = first + PIECE, target_first + PIECE
    end
  else
    while last - first >= PIECE do
      native_move(source, last - PIECE + 1, last, target_first + (last - first) - PIECE + 1, target)
      last = last - PIECE
    end
  end
  native_move(source, first, last, target_first, target)
end

--- As table.move.
function M.move(source, first, last, target_first, target)
  local into = target == nil and source or target
  local from, to, at = integer(first), integer(last), integer(target_first)
  if
    type(source) ~= "table"
    or type(into) ~= "table"
    or not (from and to and at)
    or from <= 0 and to >= max_integer + from
    or to >= from and at > max_integer - (to - from)
  then
    return same(blame.refuse("table.move", native_move, source, first, last, target_first, target))
  elseif to >= from then
    move_pieces(source, from, to, at, into)
  end
  return into
end

local function insert_slowly(list, position, value)
  local length, at = length_of(list), integer(position)
  if not integer(length) then
    blame.raise("object length is not an integer")
  elseif not at or at < 1 or at > length + 1 or length == max_integer then
    return blame.refuse("table.insert", native_insert, {}, position, value)
  elseif at <= length then
    move_pieces(list, at, length, at + 1, list)
  end
  set_element(list, at, value)
end

--- As table.insert.
function M.insert(list, ...)
  local count = select("#", ...)
  if type(list) == "table" then
    if count == 1 then
      if real_metatable(list) then
        local length = length_of(list)
        if math_type(length) ~= "integer" then
          blame.raise("object length is not an integer")
        end
        return set_element(list, length + 1, (...))
      end
      list[#list + 1] = (...)
      return
    elseif count == 2 then
      local position, value = ...
      if not real_metatable(list) and math_type(position) == "integer" then
        local length = #list
        if length <= PIECE and position >= 1 and position <= length + 1 then
          return native_insert(list, position, value)
        end
      end
      return same(insert_slowly(list, position, value))
    end
  end
  return same(blame.refuse("table.insert", native_insert, list, ...))
end

local function remove_slowly(list, position)
  if type(list) ~= "table" then
    return blame.refuse("table.remove", native_remove, list, position)
  end
  local length, at = length_of(list), integer(position)
  if not integer(length) then
    blame.raise("object length is not an integer")
  elseif not at or at ~= length and (at < 1 or at > length + 1) then
    return blame.refuse("table.remove", native_remove, {}, position)
  end
  local value = element(list, at)
  if at < length then
    move_pieces(list, at + 1, length, at, list)
    at = length
  end
  set_element(list, at, nil)
  return value
end

--- As table.remove.
function M.remove(list, position)
  if type(list) == "table" then
    if position == nil then
      return native_remove(list)
    elseif not real_metatable(list) and math_type(position) == "integer" then
      local length = #list
      if length <= PIECE and position >= 1 and position <= length then
        return native_remove(list, position)
      end
    end
  end
  return same(remove_slowly(list, position))
end

-- ---------------------------------------------------------------------------------------------
-- sort

-- Numbers and strings are compared here. What may have a metamethod, or no order, Lua's own sort compares, in
-- C, as it does without us: it sorts two by one comparison.
local function less(one, other)
  local kind = type(one)
  if kind == type(other) and (kind == "number" or kind == "string") then
    return one < other
  end
  local two = { other, one }
  native_sort(two)
  return rawequal(two[1], one) and not rawequal(one, other)
end

-- Whether Lua's own comparisons of these elements end soon: numbers, strings that are not long, few tables.
local function compares_quickly(list, length)
  local longest, tables = 0, 0
  for index = 1, length do
    local value = list[index]
    local kind = type(value)
    if kind == "string" then
      longest = #value > longest and #value or longest
    elseif kind ~= "number" then
      tables = tables + 1
    end
  end
  return longest * length <= SORT_BYTES and tables <= 100
end

--- Make `sort`.
---@param is_native table<function, boolean> functions of Lua's own: as comparators they give the hook no
--- place to run
function M.new_sort(is_native)
  return function(list, comparator)
    if type(list) ~= "table" or comparator ~= nil and type(comparator) ~= "function" then
      -- Refused before an element is looked at; no matter which for one element.
      local probe = type(list) == "table" and (#list > 1 and { 1, 2 } or {}) or list
      return same(blame.refuse("table.sort", native_sort, probe, comparator))
    end
    if comparator then
      if is_native[comparator] then
        local native = comparator
        comparator = function(one, other)
          return native(one, other)
        end
      end
    elseif real_metatable(list) or #list > SORT_LENGTH or not compares_quickly(list, #list) then
      comparator = less
    end
    return native_sort(list, comparator)
  end
end

return M
