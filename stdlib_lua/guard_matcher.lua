--- A backtracking matcher in Lua, where the debug hook can preempt and kill it.
--
-- Belongs here: matching one pattern at one position as lstrlib.c does. An item becomes a function
-- (state, position, depth) -> end or nil that calls the function of what follows. The functions hold no
-- state, so tasks may share them; `state` belongs to one call of find, match, gmatch or gsub.
-- Source: lstrlib.c of Lua 5.4 for the meaning, `depth` included ("pattern too complex").

local blame = require("guard_blame")

local byte, find, sub = string.byte, string.find, string.sub
local unpack = table.unpack or unpack

local M = {}

local MAX_DEPTH = 200 -- MAXCCALLS of lstrlib.c
local POSITION = -2
-- A run of one set is measured by Lua itself up to so many characters, in about 2 ms.
local NATIVE_RUN = 250000

local function deeper(depth)
  if depth == 0 then
    blame.raise("pattern too complex")
  end
  return depth - 1
end

local make = {}

function make.single(item, follow)
  local set = item.set
  return function(state, at, depth)
    if set[byte(state.subject, at)] then
      return follow(state, at + 1, depth)
    end
  end
end

-- Where the run of the item's set that begins at `at` ends.
local function run_of(item)
  local set, run = item.set, "^" .. item.class .. "*"
  local most = NATIVE_RUN / item.width
  return function(state, at)
    local subject = state.subject
    if #subject - at <= most then
      local _, last = find(subject, run, at)
      return last + 1
    end
    while set[byte(subject, at)] do
      at = at + 1
    end
    return at
  end
end

function make.star(item, follow)
  local run_end, plus = run_of(item), item.plus
  return function(state, at, depth)
    local stop = run_end(state, at)
    if stop > at or plus then
      depth = deeper(depth)
    end
    for position = stop, at, -1 do
      local found = follow(state, position, depth)
      if found then
        return found
      end
    end
  end
end

function make.lazy(item, follow)
  local set = item.set
  return function(state, at, depth)
    local subject = state.subject
    if not set[byte(subject, at)] then
      return follow(state, at, depth)
    end
    depth = deeper(depth)
    while true do
      local found = follow(state, at, depth)
      if found then
        return found
      elseif not set[byte(subject, at)] then
        return nil
      end
      at = at + 1
    end
  end
end

function make.maybe(item, follow)
  local set = item.set
  return function(state, at, depth)
    local found = set[byte(state.subject, at)] and follow(state, at + 1, deeper(depth))
    if found then
      return found
    end
    return follow(state, at, depth)
  end
end

-- The last function on a way that leads to the end has set a capture: nothing is undone on the way back.
function make.open(item, follow)
  local index = item.index
  return function(state, at, depth)
    state.first[index] = at
    return follow(state, at, deeper(depth))
  end
end

function make.close(item, follow)
  local index = item.index
  return function(state, at, depth)
    state.last[index] = at - 1
    return follow(state, at, deeper(depth))
  end
end

function make.position(item, follow)
  local index = item.index
  return function(state, at, depth)
    state.first[index], state.last[index] = at, POSITION
    return follow(state, at, deeper(depth))
  end
end

function make.balance(item, follow)
  local a, b = item.a, item.b
  return function(state, at, depth)
    local subject = state.subject
    if byte(subject, at) ~= a then
      return nil
    end
    local level = 1
    for position = at + 1, #subject do
      local code = byte(subject, position)
      if code == b then
        level = level - 1
        if level == 0 then
          return follow(state, position + 1, depth)
        end
      elseif code == a then
        level = level + 1
      end
    end
  end
end

function make.frontier(item, follow)
  local set = item.set
  return function(state, at, depth)
    local subject = state.subject
    local before = at > 1 and byte(subject, at - 1) or 0
    if not set[before] and set[byte(subject, at) or 0] then
      return follow(state, at, depth)
    end
  end
end

function make.back(item, follow)
  local index = item.index
  return function(state, at, depth)
    local subject = state.subject
    local first, last = state.first[index], state.last[index]
    local stop = at + last - first
    -- The last character first: most comparisons fail, and copies cost memory.
    if stop <= #subject and (last < first or byte(subject, stop) == byte(subject, last)) then
      if sub(subject, first, last) == sub(subject, at, stop) then
        return follow(state, stop + 1, depth)
      end
    end
  end
end

function make.finish()
  return function(state, at)
    return at == #state.subject + 1 and at or nil
  end
end

function make.never()
  return function() end
end

function make.malformed(item)
  return function()
    blame.raise(item.message)
  end
end

local function matched(_, at)
  return at
end

--- Make the function that matches these items.
function M.compile(items)
  local run = matched
  for index = #items, 1, -1 do
    local item = items[index]
    run = make[item.op](item, run)
  end
  return run
end

--- What one search of `subject` needs.
function M.state(subject)
  return { subject = subject, first = {}, last = {} }
end

--- Match at `at`; returns the position after the match, or nil.
function M.match_at(run, state, at)
  return run(state, at, MAX_DEPTH - 1)
end

--- Stands for a capture that the pattern does not close; to retrieve it is an error.
M.UNFINISHED = {}

--- The captures of the last match, as Lua gives them.
function M.captures(state, count)
  local values = {}
  for index = 1, count do
    local first, last = state.first[index], state.last[index]
    if not last then
      values[index] = M.UNFINISHED
    else
      values[index] = last == POSITION and first or sub(state.subject, first, last)
    end
  end
  return unpack(values, 1, count)
end

return M
