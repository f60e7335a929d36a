--- Preemption: what becomes of a task that does not give up the processor.
--
-- Belongs here: the kernel's answer to the watchdog (bridge/preemption.py). Its hook stops the task between two
-- of its instructions; then this decides, outside the task, for there may be no room for a call inside.
-- A preemption is a checkpoint: in a cancelled task the mark is raised.

local kernel = require("kernel")
local scope = require("scope")
local failure = require("failure")

local getinfo, sethook = debug.getinfo, debug.sethook
local is_kernels = failure.is_kernels
local current, set_aside, book, nest = kernel.current, kernel.set_aside, kernel.book, kernel.nest

local M = {}

-- Raise the mark at the script's next instruction. In a task that was killed and goes on all the same, at each
-- one: nothing of it (`<close>`, a reader given to `load`) gets further than its first instruction.
local function strike(task, thread)
  local for_good = task.struck and scope.is_killed(task)
  task.struck = true
  sethook(thread, function()
    if is_kernels(getinfo(2, "S").short_src) then
      return
    end
    local cancelled = scope.is_cancelled(task)
    if not (cancelled and for_good) then
      sethook()
    end
    if cancelled then
      scope.check(task)
    else
      task.struck = nil -- what was killed has ended; what runs here goes on
    end
  end, "", 1)
end

--- The running task was stopped by the hook. Called from outside while it stands still.
---@return string verdict "again": let it go on for a few instructions, for this is the scheduler's own code,
--   which is not ready for others in every line; "aside": its turn comes again; "struck": let it go on
function M.overrun()
  local task = current()
  local thread = task and nest.levels[nest.depth]
  local info = thread and getinfo(thread, 0, "S")
  if not info or is_kernels(info.short_src) then
    return "again"
  end
  book(task) -- may reach a limit
  if scope.is_cancelled(task) then
    strike(task, thread)
    return "struck"
  end
  set_aside(task)
  return "aside"
end

return M
