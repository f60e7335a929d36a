--- Preemption: what becomes of a task that does not give up the processor.
--
-- Belongs here: the kernel's answer to the watchdog (bridge/preemption.py). Its hook stops the task between
-- two of its instructions; then this decides, outside the task, for there may be no room for a call inside.
-- A preemption is a checkpoint: in a cancelled task the mark is raised. A killed task that goes on all the
-- same is abandoned.

local kernel = require("kernel")
local scope = require("scope")
local failure = require("failure")

local getinfo, sethook, collectgarbage = debug.getinfo, debug.sethook, collectgarbage
local co_status = coroutine.status
local is_kernels = failure.is_kernels
local current, book, nest = kernel.current, kernel.book, kernel.nest

local M = {}

-- Raise the mark at the script's next instruction.
local function strike(task, thread)
  task.struck = true
  sethook(thread, function()
    if not is_kernels(getinfo(2, "S").short_src) then
      sethook()
      scope.check(task)
    end
  end, "", 1)
end

--- The running task was stopped by the hook. Called from outside while it stands still.
---@return string verdict "again": let it go on for a few instructions, for this is the scheduler's own code,
--   which is not ready for others in every line; "aside": its turn comes again; "abandoned": never let
--   it go on; "struck": let it go on, it will raise
function M.overrun()
  local task = current()
  local thread = task and nest.levels[nest.depth]
  -- Suspended: it is about to be resumed, or has just ended its step, inside another task's (start_now).
  local info = thread and co_status(thread) ~= "suspended" and getinfo(thread, 0, "S")
  if not info or is_kernels(info.short_src) then
    return "again"
  end
  book(task) -- may reach a limit
  if collectgarbage("isrunning") == nil then
    -- In a finalizer: while it waited for its turn nobody's garbage would be collected.
    if not scope.is_killed(task) then
      return "again"
    end
    strike(task, thread)
    return "struck"
  elseif task.struck and scope.is_killed(task) then
    kernel.abandon(task)
    return "abandoned"
  elseif scope.is_cancelled(task) then
    strike(task, thread)
  end
  kernel.set_aside(task)
  return "aside"
end

return M
