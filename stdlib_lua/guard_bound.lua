--- How much work a pattern can be: the longest subject that Lua's own function may be given.
--
-- Belongs here: bounds computed from the pattern alone. Costs are polynomials in the subject's length n,
-- as lists {c0, c1, c2, ...}, in steps of about 4 ns (one character tested). Nested repetitions divide the
-- length among them: n positions times c * n^d is c * n^(d+1) / (d+1), as in an integral.
--
-- For the items from i on, at one position:
--   cost[i]    of any attempt        fails[i]   whether an attempt can fail
--   failure[i] of a failing attempt (all tries of a repetition but its last one fail)

local pattern = require("guard_pattern")

local max, find, pairs = math.max, string.find, pairs
local disjoint = pattern.disjoint

local M = {}

--- Steps that a native call may take: 5 to 8 ms in the worst case.
M.BUDGET = 2000000
-- What a match costs beside its search: strings for captures, the copy into the result.
local PER_MATCH, PER_CAPTURE = 8, 5
local MAX_DEPTH = 190 -- below MAXCCALLS of lstrlib.c: such a pattern is never "too complex"

local function sum(a, b, factor)
  local result = {}
  factor = factor or 1
  for d = 1, max(#a, #b) do
    result[d] = (a[d] or 0) + (b[d] or 0) * factor
  end
  return result
end

local function times_length(a)
  local result = { 0 }
  for d = 1, #a do
    result[d + 1] = a[d] / d
  end
  return result
end

local function value(polynomial, n)
  local result = 0
  for d = #polynomial, 1, -1 do
    result = result * n + polynomial[d]
  end
  return result
end

-- What an attempt from item i costs that fails, begun at a character of `set`; and whether it always fails
-- there, because the first character cannot match.
local function failure_after(items, failure, i, set)
  local steps = 0.5
  while true do
    local item = items[i]
    local op = item and item.op
    if not op then
      return { steps }, false
    elseif op == "finish" or op == "never" then
      return { steps }, true
    elseif op == "open" or op == "close" or op == "position" then
      steps = steps + 1
    elseif op == "balance" then
      if not set[item.a] then
        return { steps }, true
      end
      return sum(failure[i], { steps }), false
    elseif op == "back" or not disjoint(set, item.set) then
      return sum(failure[i], { steps }), false
    else
      steps = steps + item.width
      if op == "single" or op == "frontier" then
        return { steps }, true
      end
    end
    i = i + 1
  end
end

-- Whether items after a repetition of every character let it stop at the end, at the latest: `.-%s*$`.
local function ends_anywhere(items, i)
  for code = 0, 255 do
    if not items[i].set[code] then
      return false
    end
  end
  for later = i + 1, #items do
    local op = items[later].op
    if op == "single" or op == "balance" or op == "frontier" or op == "back" or op == "never" then
      return false
    end
  end
  return true
end

-- The columns for all items. `quick` says whether repetitions waste no more than they match.
local function analyse(items)
  local last = #items
  local cost, failure, fails = { [last + 1] = { 1 } }, { [last + 1] = { 0 } }, {}
  local quick, depth = true, 0
  for i = last, 1, -1 do
    local item = items[i]
    local op, width = item.op, item.width
    local after, failed, may_fail = cost[i + 1], failure[i + 1], fails[i + 1]
    local base = { 1 }
    if op == "single" then
      base = { width }
    elseif op == "frontier" then
      base = { 2 * width }
    elseif op == "balance" then
      base = { 1, 0.5 }
    elseif op == "back" then
      base = { 2, 0.1 }
      quick = false
    elseif op == "star" or op == "lazy" or op == "maybe" then
      depth = depth + 1
      base = op == "star" and { 1, width } or { width }
      if may_fail then
        local again, surely = failure_after(items, failure, i + 1, item.set)
        quick = quick and #again == 1 and (surely or op == "lazy")
        if op == "lazy" then
          again = sum(again, { width })
        end
        base = sum(base, op == "maybe" and again or times_length(again))
      end
    end
    if op == "open" or op == "close" or op == "position" then
      depth = depth + 1
    end
    local optional = width and op ~= "single" and op ~= "frontier"
    if may_fail and (op == "star" or op == "lazy") and ends_anywhere(items, i) then
      may_fail = false
    end
    fails[i] = may_fail or not (optional or op == "open" or op == "close" or op == "position")
    cost[i] = sum(base, after)
    failure[i] = fails[i] and (may_fail and sum(base, failed) or base) or { 0 }
  end
  return { cost = cost[1], failure = failure[1], fails = fails, quick = quick, depth = depth }
end

-- Whether a repetition never takes a character that a match begins with. `.-"`, when nothing after the
-- quote can fail, takes no quote.
local function avoids(first, items, i, fails)
  local item = items[i]
  if disjoint(first, item.set) then
    return true
  end
  local follow = i + 1
  while item.op == "lazy" and items[follow] and items[follow].op == "close" do
    follow = follow + 1
  end
  local stop = items[follow]
  if item.op ~= "lazy" or not stop or stop.op ~= "single" or fails[follow + 1] then
    return false
  end
  for code in pairs(first) do
    if item.set[code] and not stop.set[code] then
      return false
    end
  end
  return true
end

-- How often a character can lie in the region of several attempts, when these begin at one character that
-- repetitions never take; nil when they may overlap at will.
local function overlaps(items, fails)
  local first, count = nil, 1
  for i = 1, #items do
    local item = items[i]
    local op = item.op
    if not first and op == "single" then
      first = item.set
    elseif op == "balance" or op == "back" or not first and item.set then
      return nil
    elseif item.set and op ~= "frontier" and not avoids(first, items, i, fails) then
      if op ~= "single" and op ~= "maybe" then
        return nil
      end
      count = count + 1
    end
  end
  return first and count
end

-- The sum of what all starts cost.
local function over_all_starts(a)
  return sum(times_length(a), a)
end

local function linear(a, factor)
  local total = value(a, 1) * factor
  return { total, total }
end

-- The largest n for which the polynomial stays within the budget, -1 when there is none.
local function longest(polynomial, budget)
  if value(polynomial, 0) > budget then
    return -1
  end
  local low, high = 0, 1
  while high < 1e12 and value(polynomial, high) <= budget do
    low, high = high, high * 2
  end
  while high - low > 1 and high - low > low / 100 do
    local middle = low + (high - low - (high - low) % 2) / 2
    if value(polynomial, middle) <= budget then
      low = middle
    else
      high = middle
    end
  end
  return low
end

--- Bound a pattern.
---@param items table from guard_pattern
---@param anchored boolean
---@param captures integer
---@return table limits lengths of subjects: `attempt` for one position, `search` until the next match,
--- `replace` for all matches
function M.of(items, anchored, captures)
  local work = analyse(items)
  if work.depth >= MAX_DEPTH then
    return { attempt = -1, search = -1, replace = -1 }
  end
  local cost = work.cost
  local search, every = cost, cost
  if not anchored then
    local failing = { 0 }
    if work.fails[1] then
      local count = overlaps(items, work.fails)
      if #work.failure == 1 then
        failing = linear(work.failure, 1)
      elseif #work.failure == 2 and count then
        failing = linear(work.failure, count)
      else
        failing = over_all_starts(work.failure)
      end
    end
    search = sum(failing, cost)
    every = sum(failing, (work.quick and #cost <= 2) and linear(cost, 1) or over_all_starts(cost))
    every = sum(every, linear({ PER_MATCH + PER_CAPTURE * captures }, 1))
  end
  local budget = M.BUDGET
  return {
    attempt = longest(cost, budget),
    search = longest(search, budget),
    replace = longest(every, budget),
  }
end

--- The longest subject in which `find` may look for plain text of this length.
function M.plain(length)
  return M.BUDGET / (3 + length / 100)
end

--- Whether `find` treats a pattern as plain text.
function M.is_plain(source)
  return not find(source, "[%^%$%*%+%?%.%(%[%%%-]")
end

return M
