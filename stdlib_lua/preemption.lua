--- Preemption: what becomes of a task that does not give up the processor.
--
-- Belongs here: the kernel's answer to the watchdog (bridge/preemption.py). Its hook stops the task between
-- two of its instructions; then this decides, outside the task, for there may be no room for a call inside.
-- A preemption is a checkpoint: in a cancelled task the mark is raised. A killed task that goes on all the
-- same is abandoned.

local kernel = require("kernel")
local scope = require("scope")
local failure = require("failure")

local getinfo, sethook = debug.getinfo, debug.sethook
local setlocal, setupvalue = debug.setlocal, debug.setupvalue
local collectgarbage, ipairs, pairs, setmetatable = collectgarbage, ipairs, pairs, setmetatable
local co_status = coroutine.status
local is_kernels = failure.is_kernels
local current, book, nest = kernel.current, kernel.book, kernel.nest

local M = {}

-- The hooks that raise the mark. They stay on a coroutine until it runs again, and scripts do not see them.
M.strikes = setmetatable({}, { __mode = "k" })

-- Raise the mark at the script's next instruction, in whichever of the task's coroutines that is: the
-- innermost may yield before it comes to one.
local function strike(task)
  task.struck = scope.is_killed(task) and "killed" or "cancelled"
  local function raise()
    if current() ~= task then
      sethook() -- a coroutine that another task has resumed since
    elseif not is_kernels(getinfo(2, "S").short_src) then
      sethook()
      if task.struck == "cancelled" then
        task.struck = nil -- it may be cancelled again, by another scope
      end
      scope.check(task)
    end
  end
  M.strikes[raise] = true
  for i = 1, nest.depth do
    sethook(nest.levels[i], raise, "", 1)
  end
end

-- It was set aside before it was cancelled or killed: that must not take another slice.
kernel.set_resumed(function(task)
  if not task.struck or task.struck == "cancelled" and scope.is_killed(task) then
    strike(task)
  end
end)

-- The innermost coroutine of the task. One that has ended counts no more: a level may be left behind where
-- a function of coroutine.lua was left by an error (a stack overflow).
local function innermost()
  local levels = nest.levels
  for depth = nest.depth, 2, -1 do
    if co_status(levels[depth]) == "normal" then
      break
    end
    levels[depth], nest.depth = nest.nobody, depth - 1
  end
  return levels[nest.depth]
end

-- Levels of a stack that are emptied; asking for level n costs n steps.
local MAX_LEVELS = 1000

-- Let go what the functions on this stack hold; none of them will run again, nor any other that shares it.
local function empty(thread)
  for level = 0, MAX_LEVELS do
    local info = getinfo(thread, level, "f")
    if not info then
      return
    end
    for _, step in ipairs({ 1, -1 }) do -- its variables, its extra arguments
      local index = step
      while setlocal(thread, level, index, nil) do
        index = index + step
      end
    end
    local index = 1
    while setupvalue(info.func, index, nil) do
      index = index + 1
    end
  end
end

--- The runtime has ended. The stacks of abandoned tasks cannot be unwound (bridge/portal.py): what they hold,
-- and what the globals do, goes now.
---@param globals table
function M.close(globals)
  local left = kernel.abandoned
  if #left == 0 then
    return
  end
  for i = 1, #left do
    for _, thread in ipairs(left[i]) do
      empty(thread)
    end
  end
  for key in pairs(globals) do
    globals[key] = nil
  end
  collectgarbage()
  collectgarbage()
end

--- The running task was stopped by the hook. Called from outside while it stands still.
---@return string verdict "again": let it go on for a few instructions, for this is the scheduler's own code,
--   which is not ready for others in every line; "aside": its turn comes again; "abandoned": never let
--   it go on; "struck": let it go on, it will raise
function M.overrun()
  local task = current()
  local thread = task and innermost()
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
    strike(task)
    return "struck"
  elseif task.struck == "killed" and scope.is_killed(task) then
    scope.note_obstinate(task)
    kernel.abandon(task)
    return "abandoned"
  elseif scope.is_cancelled(task) then
    scope.note_obstinate(task)
    strike(task)
  end
  kernel.set_aside(task)
  return "aside"
end

return M
