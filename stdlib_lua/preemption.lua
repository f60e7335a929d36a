--- Preemption: what becomes of a task that does not give up the processor.
--
-- Belongs here: the kernel's answer to the watchdog (bridge/preemption.py). Its hook stops the task between
-- two of its instructions; then this decides, outside the task, for there may be no room for a call inside.
-- A preemption is a checkpoint: in a cancelled task the mark is raised. A killed task that goes on all the
-- same is abandoned.

local kernel = require("kernel")
local scope = require("scope")
local failure = require("failure")

local getinfo, setlocal, sethook = debug.getinfo, debug.setlocal, debug.sethook
local collectgarbage, ipairs, setmetatable = collectgarbage, ipairs, setmetatable
local is_kernels = failure.is_kernels
local current, book, nest = kernel.current, kernel.book, kernel.nest

local M = {}

-- The hooks that raise the mark. They stay on a coroutine until it runs again, and scripts do not see them.
M.strikes = setmetatable({}, { __mode = "k" })

-- Raise the mark at the script's next instruction, in whichever of the task's coroutines that is: the
-- innermost may yield before it comes to one.
local function strike(task)
  task.struck = true
  local function raise()
    if current() ~= task then
      sethook() -- a coroutine that another task has resumed since
    elseif not is_kernels(getinfo(2, "S").short_src) then
      sethook()
      scope.check(task)
    end
  end
  M.strikes[raise] = true
  for i = 1, nest.depth do
    sethook(nest.levels[i], raise, "", 1)
  end
end

-- Levels of a stack whose variables are let go; asking for level n costs n steps.
local MAX_LEVELS = 1000

-- What stands on this stack will never run again: let go what it holds.
local function empty(thread)
  for level = 0, MAX_LEVELS do
    if not getinfo(thread, level, "l") then
      return
    end
    for _, step in ipairs({ 1, -1 }) do -- its variables, its extra arguments
      local index = step
      while setlocal(thread, level, index, nil) do
        index = index + step
      end
    end
  end
end

local function abandon(task)
  for i = 1, nest.depth do
    empty(nest.levels[i])
  end
  kernel.abandon(task)
end

--- The running task was stopped by the hook. Called from outside while it stands still.
---@return string verdict "again": let it go on for a few instructions, for this is the scheduler's own code,
--   which is not ready for others in every line; "aside": its turn comes again; "abandoned": never let
--   it go on; "struck": let it go on, it will raise
function M.overrun()
  local task = current()
  local thread = task and nest.levels[nest.depth]
  local info = thread and getinfo(thread, 0, "S")
  if not info or is_kernels(info.short_src) then
    return "again"
  end
  book(task) -- may reach a limit
  if collectgarbage("isrunning") == nil then
    -- In a finalizer: while it waited for its turn nobody's garbage would be collected.
    if not scope.is_killed(task) then
      return "again"
    end
    strike(task)
    return "struck"
  elseif task.struck and scope.is_killed(task) then
    abandon(task)
    return "abandoned"
  elseif scope.is_cancelled(task) then
    strike(task)
  end
  kernel.set_aside(task)
  return "aside"
end

return M
