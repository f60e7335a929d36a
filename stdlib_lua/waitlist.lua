--- A FIFO of parked tasks with removal from the middle: who waits for an event, or for a task's end.
--
-- `task.slot` is the task's index here; a task waits in at most one list at a time, so one field is
-- enough and removal is O(1) whatever the length.

local kernel = require("kernel")

local reschedule_all = kernel.reschedule_all
local setmetatable = setmetatable

local M = {}
M.__index = M

function M.new()
  return setmetatable({ last = 0, holes = 0 }, M)
end

--- Append `task` (kernel.park does the same in place for a wait whose kind is `queued`).
function M:add(task)
  local last = self.last + 1
  self.last = last
  self[last] = task
  task.slot = last
end

local function compact(list)
  local kept = 0
  for i = 1, list.last do
    local task = list[i]
    list[i] = nil
    if task then
      kept = kept + 1
      list[kept] = task
      task.slot = kept
    end
  end
  list.last, list.holes = kept, 0
end

--- Take `task` out again (the abort of its wait).
---@return boolean empty
function M:remove(task)
  self[task.slot] = false
  self.holes = self.holes + 1
  -- 32: fewer holes are not worth the walk. The last one to leave empties the list, too.
  if self.holes == self.last or self.holes > 32 and self.holes * 2 > self.last then
    compact(self)
  end
  return self.last == 0
end

--- How many wait.
function M:count()
  return self.last - self.holes
end

--- Wake everyone, first come first served.
---@return integer how many tasks were made ready
function M:wake_all(result)
  local last, count = self.last, self.last - self.holes
  self.last, self.holes = 0, 0
  reschedule_all(self, last, result)
  return count
end

return M
