--- A FIFO of waiters with removal from the middle: who waits for an event, a task's end, a channel.
--
-- A waiter is a parked task, or a case: a table with a method `fire(result)`, through which one task waits
-- for several things (select.lua) or a promise for a task. `waiter.slot` is its index here; a task or a case
-- is in at most one list at a time, so one field is enough and removal is O(1) whatever the length.

local kernel = require("kernel")

local wake_each = kernel.wake_each
local setmetatable = setmetatable

local M = {}
M.__index = M

--- Make a list. With `values` each waiter has brought one (a sender its message).
---@param values table|nil an empty table
function M.new(values)
  return setmetatable({
    first = 1, -- waiters are at first .. last, false where one has left
    last = 0,
    holes = 0, -- their number
    passed = 0, -- `last` when those that were let go had become the longer part
    values = values or false, -- (nil would be looked for in M)
  }, M)
end

--- Append `waiter` (kernel.park does the same in place for a wait whose kind is `queued`).
---@param value any what it has brought, in a list with values
function M:add(waiter, value)
  local last = self.last + 1
  self.last = last
  self[last] = waiter
  waiter.slot = last
  if self.values then
    self.values[last] = value
  end
end

-- Close the gaps, so that the list starts at 1 again.
local function compact(list)
  local kept, values = 0, list.values
  for i = list.first, list.last do
    local waiter = list[i]
    list[i] = nil
    if waiter then
      kept = kept + 1
      list[kept] = waiter
      waiter.slot = kept
    end
    if values then
      local value = values[i]
      values[i] = nil
      if waiter then
        values[kept] = value
      end
    end
  end
  list.first, list.last, list.holes = 1, kept, 0
end

--- Take `waiter` out again (the abort of its wait).
---@return boolean empty
function M:remove(waiter)
  local slot, last = waiter.slot, self.last
  if slot == last and slot == self.first then -- it was alone
    self[slot] = nil
    self.first, self.last = 1, 0
    if self.values then
      self.values[slot] = nil
    end
    return true
  end
  self[slot] = false
  if slot > last then
    return false -- `wake_all` is under way: another case of the same select came first
  end
  if self.values then
    self.values[slot] = nil
  end
  local holes = self.holes + 1
  self.holes = holes
  local length = last - self.first + 1
  -- 32: fewer holes are not worth the walk. The last one to leave empties the list, too.
  if holes == length or holes > 32 and holes * 2 > length then
    compact(self)
  end
  return self.last == 0
end

--- Take out who came first.
---@return table|nil waiter
---@return any value what it has brought
function M:pop()
  local first, last, values = self.first, self.last, self.values
  while first <= last do
    local waiter, value = self[first], nil
    self[first] = nil
    if values then
      value = values[first]
      values[first] = nil
    end
    if waiter then
      if self.holes == last - first then
        for i = first + 1, last do
          self[i] = nil -- nobody is left: callers see it by `last`
        end
        self.first, self.last, self.holes = 1, 0, 0
      else
        self.first = first + 1
        -- A window that slides over a table for ever would live in its hash part (10x slower on LuaJIT). But
        -- where nobody has come meanwhile nothing slides: the list is about to be empty.
        if first > 32 and first * 2 > last and last ~= self.passed then
          if self.passed > 0 and last > self.passed then
            compact(self)
            self.passed = 0
          else
            self.passed = last
          end
        end
      end
      return waiter, value
    end
    self.holes = self.holes - 1
    first = first + 1
  end
  return nil
end

--- Who came first, without taking it out.
---@return table|nil waiter
---@return any value what it has brought
function M:peek()
  local first, last, values = self.first, self.last, self.values
  while first <= last and not self[first] do
    self[first] = nil
    self.holes = self.holes - 1
    first = first + 1
    self.first = first
  end
  return self[first], values and values[first]
end

--- How many wait.
function M:count()
  return self.last - self.first + 1 - self.holes
end

--- Wake everyone, first come first served.
---@return integer how many waiters were woken
function M:wake_all(result)
  local first, last, count = self.first, self.last, self:count()
  self.first, self.last, self.holes = 1, 0, 0
  wake_each(self, first, last, result)
  return count
end

return M
