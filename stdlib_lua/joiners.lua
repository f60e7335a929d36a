--- Who waits for a task's end: nobody, one waiter, or a list. Nearly always one, which then needs no table.

local kernel = require("kernel")
local waitlist = require("waitlist")

local wake, wake_each = kernel.wake, kernel.wake_each
local pcall, setmetatable, tostring = pcall, setmetatable, tostring

local M = {}

--- Add a waiter.
---@param joiner table a task that is about to park, or a case (waitlist.lua) with `quiet`: how the task ends
--   does not matter to it
function M.add(task, joiner)
  local present = task.joiners
  if not present then
    task.joiners = joiner
  elseif present.last then
    present:add(joiner)
  else
    local list = waitlist.new()
    list:add(present)
    list:add(joiner)
    task.joiners = list
  end
end
local add = M.add

local function is_quiet(joiner)
  if joiner.co then
    return joiner.wait.quiet
  end
  return joiner.quiet
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

-- Wake those in `list`. One that raises (memory was exhausted, say) must not leave the others waiting.
---@return string|nil trouble the first error
local function wake_all(list, task)
  local first, last, trouble = list.first, list.last, nil
  list.first, list.last, list.holes = 1, 0, 0
  repeat
    local done, raised = pcall(wake_each, list, first, last, task)
    if not done then
      trouble = trouble or raised
      while first <= last and not list[first] do
        first = first + 1
      end
    end
  until done
  return trouble
end

-- Stands for all who have left and are told of the end all the same.
local Ear = { fire = function() end }
Ear.__index = Ear

--- Take `joiner` out again; a failure of the task is still none that nobody hears of.
function M.leave(task, joiner)
  M.remove(task, joiner)
  if not task.ear then
    task.ear = setmetatable({}, Ear)
    add(task, task.ear)
  end
end

--- Wake them all with the task as result.
---@return boolean heard whether one of them will see how the task ended
---@return any trouble an error that one of them has raised
function M.wake(task)
  local present = task.joiners
  if not present then
    return false
  elseif not present.last then
    local heard = not is_quiet(present)
    if present.co then
      wake(present, task)
      return heard
    end
    local done, raised = pcall(present.fire, present, task)
    return heard, not done and raised or nil
  end
  local heard = false
  for i = present.first, present.last do
    heard = heard or present[i] and not is_quiet(present[i])
  end
  return heard, wake_all(present, task)
end

--- The kind of a wait for a task's end.
---@param finish function|nil what to make of the ended task; nil: how it ended does not matter
---@param check function|nil check(joiner, task) raises when `joiner` may not wait for `task`
function M.kind(finish, check)
  return {
    reason = "resource",
    begin = function(joiner, task)
      -- A task that runs no other scope than its home and waits for nothing waits for nobody.
      if check and (task.wait or task.inner or joiner == task) then
        check(joiner, task)
      end
      if task.joiners then
        add(task, joiner)
      else
        task.joiners = joiner
      end
    end,
    abort = function(joiner)
      M.remove(joiner.on, joiner)
      return true
    end,
    detail = function(joiner)
      return "the end of " .. tostring(joiner.on)
    end,
    blockers = function(joiner)
      return { joiner.on }
    end,
    finish = finish,
    quiet = not finish,
  }
end

return M
