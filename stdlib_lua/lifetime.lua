--- What ends with the code that made it: a subscription, a stream, an emitter's handler.
--
-- Belongs here: how such an object hears of that end: of the innermost scope that the running task has
-- opened, or, if there is none, of the task. `close` by hand comes first where somebody thinks of it; this is
-- for cancellation, errors and forgetfulness, on engines without `<close>` too.

local kernel = require("kernel")
local joiners = require("joiners")
local waitlist = require("waitlist")

local current = kernel.current
local setmetatable, error = setmetatable, error

local M = {}

-- Stands among those who wait for the end. How a task ends does not matter to it.
local Tie = { quiet = true }
Tie.__index = Tie

function Tie:fire()
  local object = self.object
  object.tie = nil
  self.on_end(object)
end

--- Call `on_end(object)` when the scope around the running code ends. It must neither raise nor wait.
---@param object table its field `tie` is used
---@param on_end function
---@param what string for the error outside a task
function M.tie(object, on_end, what)
  local task = current()
  if not task then
    error("cannot " .. what .. " outside a task", 3)
  end
  if task.inner then
    M.tie_to_scope(task.inner, object, on_end)
  else
    M.tie_to_task(task, object, on_end)
  end
end

local function new(object, on_end)
  local tie = setmetatable({ object = object, on_end = on_end, task = nil, list = nil }, Tie)
  object.tie = tie
  return tie
end

--- The same for the end of `task`, however it ends.
function M.tie_to_task(task, object, on_end)
  local tie = new(object, on_end)
  tie.task = task
  joiners.add(task, tie)
end

--- The same for the end of `scope`.
function M.tie_to_scope(scope, object, on_end)
  local tie = new(object, on_end)
  tie.list = scope.tied or waitlist.new()
  scope.tied = tie.list
  tie.list:add(tie)
end

--- Not any more.
function M.untie(object)
  local tie = object.tie
  if not tie then
    return
  end
  object.tie = nil
  if tie.task then
    joiners.remove(tie.task, tie)
  else
    tie.list:remove(tie)
  end
end

return M
