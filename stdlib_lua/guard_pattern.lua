--- Patterns taken apart: parse(source) -> a list of items, the way lstrlib.c walks through them.
--
-- Belongs here: syntax and character sets. What a pattern costs is in guard_bound, matching in
-- guard_matcher. An item is a table with `op`:
--   single | star | lazy | maybe   one character of `set`, and how often; `x+` is a single and a star
--   open | close | position        a capture's number in `index`
--   balance (a, b: bytes) | frontier (set) | back (index) | finish (`$` at the end) | never
--   malformed                      `message` is raised when a match gets there, as Lua does
-- `set` maps a byte to true, `class` is its source in a pattern, `width` what testing a character costs
-- (in steps of 4 ns), `text` what the item looks like in the pattern.

local byte, char, sub, find = string.byte, string.char, string.sub, string.find
local gmatch, pairs = string.gmatch, pairs
local concat = table.concat

local M = {}

local MAX_CAPTURES = 32
local MAX_SETS = 200 -- sets that are kept; they are made again when they are needed again

local every_byte
do
  local bytes = {}
  for code = 0, 255 do
    bytes[#bytes + 1] = char(code)
  end
  every_byte = concat(bytes)
end

local sets, kept = {}, 0
local NOTHING = "[^\0-\255]"

-- The set that a single item stands for, found by asking Lua itself.
local function set_of(class)
  local set = sets[class]
  if set then
    return set
  end
  set = {}
  for found in gmatch(every_byte, class) do
    set[byte(found)] = true
  end
  if #class <= 100 then
    if kept >= MAX_SETS then
      sets, kept = {}, 0
    end
    sets[class] = set
    kept = kept + 1
  end
  return set
end

local every_set = set_of(".")

local function literal(code)
  local letter = char(code)
  return find(letter, "%p") and "%" .. letter or letter
end

-- The inside of brackets for the bytes that are in the set, or for those that are not.
local function ranges(set, wanted)
  local parts, low = {}, nil
  for code = 0, 256 do
    local inside = code < 256 and (set[code] or false) == wanted
    if inside and not low then
      low = code
    elseif not inside and low then
      local high = code - 1
      -- The ends of a range must not be magic; what is between may be.
      while low <= high and find(char(low), "%p") do
        parts[#parts + 1] = literal(low)
        low = low + 1
      end
      local tail = #parts + 1
      while low <= high and find(char(high), "%p") do
        parts[tail] = literal(high)
        tail, high = tail + 1, high - 1
      end
      if low < high then
        parts[tail] = char(low) .. "-" .. char(high)
      elseif low == high then
        parts[tail] = char(low)
      end
      low = nil
    end
  end
  return concat(parts)
end

-- A set's shortest source: "[aaaaaaaa...]" makes matching slow, and "[^x]" is faster than two ranges.
local function source_of(set)
  local members, others = ranges(set, true), ranges(set, false)
  if others == "" then
    return "."
  elseif members == "" or #others < #members then
    return "[^" .. others .. "]"
  end
  return "[" .. members .. "]"
end

-- The end of the single item at `at`, or a message; as classEnd.
local function class_end(source, at)
  local first = sub(source, at, at)
  if first == "%" then
    if at == #source then
      return nil, "malformed pattern (ends with '%')"
    end
    return at + 2
  elseif first ~= "[" then
    return at + 1
  end
  at = at + 1
  if sub(source, at, at) == "^" then
    at = at + 1
  end
  repeat
    if at > #source then
      return nil, "malformed pattern (missing ']')"
    end
    local letter = sub(source, at, at)
    at = at + 1
    if letter == "%" and at <= #source then
      at = at + 1
    end
  until sub(source, at, at) == "]"
  return at + 1
end

local function with_set(op, class)
  local set = set_of(class)
  local width = 0.5
  if #class > 2 then
    if #class > 40 then
      class = source_of(set)
    end
    width = 0.5 + #class / 8
  elseif #class == 2 and find(class, "%a", 2) then
    width = 1.2
  end
  return { op = op, set = set, class = class, width = width }
end

local function add(items, item)
  items[#items + 1] = item
end

-- `%b`, `%f`, `%1`; returns where it ends, or nil when it is a single item after all.
local function add_escape(items, source, at, closed)
  local kind = sub(source, at + 1, at + 1)
  if kind == "b" then
    if at + 3 > #source then
      return nil, "malformed pattern (missing arguments to '%b')"
    end
    local a, b = byte(source, at + 2, at + 3)
    add(items, { op = "balance", a = a, b = b })
    return at + 4
  elseif kind == "f" then
    if sub(source, at + 2, at + 2) ~= "[" then
      return nil, "missing '[' after '%f' in pattern"
    end
    local stop, message = class_end(source, at + 2)
    if stop then
      add(items, with_set("frontier", sub(source, at + 2, stop - 1)))
    end
    return stop, message
  elseif find(kind, "%d") then
    local index = byte(kind) - 48
    if not closed[index] then
      return nil, "invalid capture index %" .. index
    end
    -- Lua compares with the length of a position capture, which nothing equals.
    add(items, { op = closed[index] == true and "back" or "never", index = index })
    return at + 2
  end
  return nil
end

-- A bracket, a class or a letter, and its quantifier.
local function add_single(items, source, at)
  local stop, message = class_end(source, at)
  if not stop then
    return nil, message
  end
  local class = sub(source, at, stop - 1)
  if #class == 1 and find(class, "[%^%$%(%)%]%*%+%-%?]") then
    class = "%" .. class -- alone it stands for itself, at the start of a pattern it might not
  end
  local quantifier = sub(source, stop, stop)
  if quantifier == "*" then
    add(items, with_set("star", class))
  elseif quantifier == "-" then
    add(items, with_set("lazy", class))
  elseif quantifier == "?" then
    add(items, with_set("maybe", class))
  else
    add(items, with_set("single", class))
    if quantifier ~= "+" then
      return stop
    end
    add(items, with_set("star", class))
    items[#items].plus = true
  end
  return stop + 1
end

--- Take a pattern apart.
---@param source string without the anchor
---@return table items
---@return integer captures how many the pattern has
---@return boolean sound whether no match of it can raise
function M.parse(source)
  local items, levels, open, closed = {}, 0, {}, {}
  local at, message = 1, nil
  while at and at <= #source do
    local letter, from, before = sub(source, at, at), at, #items
    if letter == "(" then
      if levels >= MAX_CAPTURES then
        at, message = nil, "too many captures"
      else
        levels = levels + 1
        if sub(source, at + 1, at + 1) == ")" then
          add(items, { op = "position", index = levels })
          closed[levels] = "position"
          at = at + 2
        else
          add(items, { op = "open", index = levels })
          open[#open + 1] = levels
          at = at + 1
        end
      end
    elseif letter == ")" then
      local index = open[#open]
      if index then
        open[#open] = nil
        closed[index] = true
        add(items, { op = "close", index = index })
        at = at + 1
      else
        at, message = nil, "invalid pattern capture"
      end
    elseif letter == "$" and at == #source then
      add(items, { op = "finish" })
      at = at + 1
    else
      local stop
      if letter == "%" then
        stop, message = add_escape(items, source, at, closed)
      end
      if not stop and not message then
        stop, message = add_single(items, source, at)
      end
      at = stop
    end
    if at and #items > before then
      items[before + 1].text = sub(source, from, at - 1) -- of `x+`, with the star's
    end
  end
  if message then
    add(items, { op = "malformed", message = message })
  end
  return items, levels, not message and #open == 0
end

--- The source of the set of characters in `one` that are not in `other`.
function M.without(one, other)
  local set = {}
  for code in pairs(one) do
    if not other[code] then
      set[code] = true
    end
  end
  return source_of(set)
end

--- The source of the set of characters that no item can take; nil when there is none, or when an item
--- looks further than sets tell.
function M.barrier(items)
  local taken = {}
  for index = 1, #items do
    local item = items[index]
    if item.op == "balance" or item.op == "frontier" or item.op == "position" then
      return nil
    end
    for code in pairs(item.set or {}) do
      taken[code] = true
    end
  end
  local barrier = M.without(every_set, taken)
  return barrier ~= NOTHING and barrier or nil
end

--- Whether no character is in both sets.
function M.disjoint(one, other)
  for code in pairs(one) do
    if other[code] then
      return false
    end
  end
  return true
end

return M
