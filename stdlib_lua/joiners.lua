--- Who waits for a task's end: nobody, one task, or a list. Nearly always one, which then needs no table.

local kernel = require("kernel")
local waitlist = require("waitlist")

local reschedule = kernel.reschedule
local tostring = tostring

local M = {}

--- Add `joiner`, which is about to park.
function M.add(task, joiner)
  local present = task.joiners
  if not present then
    task.joiners = joiner
  elseif present.co then
    local list = waitlist.new()
    list:add(present)
    list:add(joiner)
    task.joiners = list
  else
    present:add(joiner)
  end
end

--- Take `joiner` out again (the abort of its wait).
function M.remove(task, joiner)
  local present = task.joiners
  if present == joiner then
    task.joiners = nil
  else
    present:remove(joiner)
  end
end

--- Wake them all with the task as result.
---@return boolean any
function M.wake(task)
  local present = task.joiners
  if not present then
    return false
  elseif present.co then
    reschedule(present, task)
    return true
  end
  return present:wake_all(task) > 0
end

--- The kind of a wait for a task's end.
---@param finish function|nil what to make of the ended task
function M.kind(finish)
  return {
    reason = "resource",
    begin = function(joiner, task)
      M.add(task, joiner)
    end,
    abort = function(joiner)
      M.remove(joiner.on, joiner)
      return true
    end,
    detail = function(joiner)
      return "the end of " .. tostring(joiner.on)
    end,
    finish = finish,
  }
end

return M
