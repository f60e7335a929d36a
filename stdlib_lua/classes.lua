--- The run queues beside the kernel's own, hot, one of normal priority: the high and the low class, and the
-- tasks that have overrun their slice.
--
-- Each is two arrays swapped every round, as there. Strict order with guards, so that nobody starves: normal
-- work gets every 4th round however busy the others are, an overrun task another, low work every 16th.

local setmetatable = setmetatable

local Class = {}
Class.__index = Class

local M = { ready = 0 } -- how many tasks are ready in all classes together

local rounds = 0

local function new(name)
  return setmetatable({ name = name, cur = {}, nxt = {}, head = 1, tail = 0, ntail = 0 }, Class)
end

local high, low = new("high"), new("low")
local overrun = new("overrun")
M.by_name = { high = high, low = low }
M.low, M.overrun = low, overrun

--- Make `co` run in the class's next round.
function Class:push(co)
  M.ready = M.ready + 1
  local n = self.ntail + 1
  self.ntail = n
  self.nxt[n] = co
end

--- Begin the next round, unless one is under way (a frozen loop may have left it).
function Class:begin_round()
  if self.head > self.tail then
    self.cur, self.nxt = self.nxt, self.cur
    self.head, self.tail, self.ntail = 1, self.ntail, 0
  end
end

--- Take the next coroutine of this round, or nil.
function Class:pop()
  local at = self.head
  if at > self.tail then
    return nil
  end
  local co = self.cur[at]
  self.cur[at] = nil
  self.head = at + 1
  M.ready = M.ready - 1
  return co
end

local function has_work(class)
  return class.head <= class.tail or class.ntail > 0
end

--- Whose round is next: a class, or nil for normal priority.
---@param normal_ready boolean
function M.pick(normal_ready)
  rounds = rounds + 1
  local others = normal_ready or has_work(high)
  if has_work(low) and (rounds % 16 == 0 or not others and not has_work(overrun)) then
    return low
  elseif has_work(overrun) and (rounds % 4 == 2 or not others) then
    return overrun
  elseif has_work(high) and (rounds % 4 ~= 0 or not normal_ready) then
    return high
  end
  return nil
end

return M
