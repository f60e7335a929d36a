--- Searching for the next match in bounded steps, when one call of Lua's own function may take too long.
--
-- Belongs here: a plan per pattern (its bounds, its ways to be searched), the bounded cache of plans, and
-- `next_match`. Three ways, the first that is cheap enough: Lua's own function; a loop over the starts
-- in Lua with Lua's own function at each; the matcher in Lua.

local pattern = require("guard_pattern")
local bound = require("guard_bound")
local matcher = require("guard_matcher")

local native_find, native_match, sub = string.find, string.match, string.sub
local concat, floor = table.concat, math.floor

local M = {}

local MAX_PLANS, MAX_LENGTH = 400, 500
-- Shorter windows cost more than they save; longer ones are copied for nothing.
M.MIN_WINDOW = 200
local MAX_WINDOW = 50000
local plans, kept = {}, 0

-- The set that a match's first character must be in; nil when a match may be empty.
local function beginning(items)
  for index = 1, #items do
    local item = items[index]
    if item.op == "single" or item.op == "frontier" and not item.set[0] then
      return item, index
    elseif item.op ~= "open" and item.op ~= "position" then
      return nil
    end
  end
end

-- Whether an attempt that fails at the start of a run of the first set fails at every start in the run:
-- `%w+=` takes the whole run each time, and what follows cannot begin inside it.
local function fails_for_whole_run(items, index)
  local star = items[index + 1]
  if not star or not star.plus then
    return false
  end
  for later = index + 2, #items do
    local item = items[later]
    if item.op == "single" or item.op == "frontier" then
      for other = later + 1, #items do
        if items[other].op == "back" then
          return false
        end
      end
      return pattern.disjoint(star.set, item.set)
    elseif item.op ~= "close" and item.op ~= "open" and item.op ~= "position" then
      return false
    end
  end
  return false
end

-- A pattern that is tried before the real one, or nil. `.-` before a `]` nearly always stops at the first
-- `]`: with `[^%]]*` in its place nothing is tried twice. What it matches at the first start is what the
-- real pattern matches, when no repetition before had another choice.
local function guess_of(items)
  local parts, found = { "^" }, false
  for i = 1, #items do
    local item = items[i]
    local follow = i + 1
    while items[follow] and items[follow].op == "close" do
      follow = follow + 1
    end
    local stop = items[follow]
    local before_single = stop and stop.op == "single"
    if item.op == "lazy" and before_single and not pattern.disjoint(item.set, stop.set) then
      found = true
      parts[#parts + 1] = pattern.without(item.set, stop.set) .. "*"
    else
      parts[#parts + 1] = item.text or "" -- the star of `x+` has none
      local repeats = item.op == "star" or item.op == "lazy" or item.op == "maybe"
      if repeats and not (before_single and pattern.disjoint(item.set, stop.set)) then
        -- Another choice. What follows must be as it was.
        for later = i + 1, #items do
          parts[#parts + 1] = items[later].text or ""
        end
        break
      end
    end
  end
  return found and concat(parts) or nil
end

local function new_plan(source, anchored)
  local items, captures, sound = pattern.parse(source)
  -- A faulty pattern is the matcher's: it raises where Lua would.
  local limits = { attempt = -1, search = -1, replace = -1 }
  if sound then
    limits = bound.of(items, anchored, captures)
  end
  local guess = sound and guess_of(items)
  local first, index = nil, nil
  if not anchored then
    first, index = beginning(items)
  end
  return {
    anchored = anchored,
    source = anchored and "^" .. source or source,
    at_start = "^" .. source,
    items = items,
    captures = captures,
    attempt = limits.attempt,
    search = limits.search,
    replace = limits.replace,
    plain = bound.is_plain(source) and not anchored,
    first = first,
    run = first and fails_for_whole_run(items, index) and "^" .. first.class .. "*" or nil,
    barrier = first and sound and pattern.barrier(items),
    guess = guess,
    guess_limit = guess and bound.of((pattern.parse(sub(guess, 2))), true, captures).attempt or -1,
  }
end

--- The plan for a pattern.
---@param source string
function M.plan(source)
  local plan = plans[source]
  if plan then
    return plan
  end
  local anchored = sub(source, 1, 1) == "^"
  plan = new_plan(anchored and sub(source, 2) or source, anchored)
  if #source <= MAX_LENGTH then
    if kept >= MAX_PLANS then
      plans, kept = {}, 0
      M.on_full()
    end
    plans[source] = plan
    kept = kept + 1
  end
  return plan
end

--- Called when all plans are forgotten, so that whoever keeps more about patterns does the same.
function M.on_full() end

-- The next position from `at` on whose character is in the set of `item`.
local function next_in(subject, item, at)
  local size = bound.BUDGET / item.width
  size = floor(size) + 1
  if #subject - at < size then
    return (native_find(subject, item.class, at))
  end
  for from = at, #subject, size do
    local found = native_find(sub(subject, from, from + size - 1), item.class)
    if found then
      return from + found - 1
    end
  end
end

local function by_matcher(plan, subject, at)
  local run = plan.matcher
  if not run then
    run = matcher.compile(plan.items)
    plan.matcher = run
  end
  local state = matcher.state(subject)
  local stop = matcher.match_at(run, state, at)
  if not stop then
    return nil
  end
  return at, stop - 1, matcher.captures(state, plan.captures)
end

local function guessed(plan, subject, at, first, ...)
  if first then
    return first, ...
  end
  return by_matcher(plan, subject, at)
end

-- A match that begins at `at`.
local function attempt(plan, subject, at)
  local length = #subject - at + 1
  if length <= plan.attempt then
    return native_find(subject, plan.at_start, at)
  elseif length <= plan.guess_limit then
    return guessed(plan, subject, at, native_find(subject, plan.guess, at))
  end
  return by_matcher(plan, subject, at)
end

local by_starts

local function attempted(plan, subject, at, first, ...)
  if first then
    return first, ...
  end
  if plan.run then
    local _, last = native_find(subject, plan.run, at)
    at = last
  end
  return by_starts(plan, subject, at + 1)
end

-- A loop in the form of tail calls: captures stay where they are.
function by_starts(plan, subject, at)
  if plan.first then
    at = next_in(subject, plan.first, at)
  end
  if not at or at > #subject + 1 then
    return nil
  end
  return attempted(plan, subject, at, attempt(plan, subject, at))
end

--- Where the next match begins and ends, and its captures; nil when there is none.
---@param plan table
---@param subject string
---@param at integer the first start, at most #subject + 1
function M.next_match(plan, subject, at)
  if #subject - at + 1 <= plan.search then
    return native_find(subject, plan.anchored and plan.at_start or plan.source, at)
  elseif plan.anchored then
    return attempt(plan, subject, at)
  end
  return by_starts(plan, subject, at)
end

--- The piece of the subject from `at` on that can be searched by itself, because it ends with a character
--- that no item takes: no attempt looks beyond it. At most `limit` long; nil when there is none.
function M.window(plan, subject, at, limit)
  if not plan.barrier or limit < M.MIN_WINDOW then
    return nil
  elseif #subject - at < limit then
    return sub(subject, at)
  end
  limit = limit < MAX_WINDOW and limit or MAX_WINDOW
  return native_match(sub(subject, at, at + floor(limit) - 1), "^.*" .. plan.barrier)
end

--- `find` for plain text that is not empty, in windows that overlap.
function M.next_text(subject, text, at)
  local size = #text
  local starts = bound.plain(size)
  starts = floor(starts) + 1
  for from = at, #subject - size + 1, starts do
    local found = native_find(sub(subject, from, from + starts + size - 2), text, 1, true)
    if found then
      found = from + found - 1
      return found, found + size - 1
    end
  end
  return nil
end

return M
