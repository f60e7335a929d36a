--- The backlog: work of ours that is too long for one go, done in pieces between the steps of tasks.
--
-- Our own files are not preempted, so what a script can make long there (a chain of half a million promises
-- that is rejected) would hold up everybody.

local kernel = require("kernel")
local timers = require("timers")

local now, arm = kernel.now, timers.arm

local M = {}

-- Pieces at first .. last: functions, and what they are called with.
local queue = { first = 1, last = 0, arguments = {}, timer = nil }

-- Seconds until the next piece. Not 0: the timers that are due are served together.
local SOON = 1e-6

--- Call `fn(argument)` soon, after what was put off before. It must neither raise nor wait.
---@param fn function
---@param argument any
function M.put_off(fn, argument)
  local last = queue.last + 1
  queue.last, queue[last], queue.arguments[last] = last, fn, argument
  if not queue.timer then
    arm(queue, now() + SOON)
  end
end

function queue:on_deadline()
  local first, arguments = self.first, self.arguments
  local fn, argument = self[first], arguments[first]
  self[first], arguments[first] = nil, nil
  if first == self.last then
    self.first, self.last = 1, 0
  else
    self.first = first + 1
  end
  fn(argument)
  if self.last > 0 and not self.timer then
    arm(self, now() + SOON)
  end
end

return M
