--- Rejections: what a reason is, and those that nobody has heard of yet.
--
-- Belongs here: that no rejection is lost. One that nobody has heard of by the end of its scope is a failure
-- of that scope (scope.lua). Somebody hears of it who awaits or selects the promise and is given the
-- rejection, or has registered a handler, or combined the promise with others.

local kernel = require("kernel")
local failure = require("failure")
local reactions = require("reactions")
local scope_library = require("scope")
local waitlist = require("waitlist")

local setmetatable, type, rawequal, rawget = setmetatable, type, rawequal, rawget
local current, CANCEL = kernel.current, failure.CANCEL

local M = {}

-- Made here, for a cancellation. That nobody hears of one is no failure, as with tasks.
local cancellations = setmetatable({}, { __mode = "k" })

--- The reason of a rejection by cancellation.
---@param text string
function M.cancellation(text)
  local reason = failure.new("cancelled", text)
  cancellations[reason] = true
  return reason
end
--- CANCEL is no reason: it belongs to the task that is cancelled.
function M.reason_of(value)
  if rawequal(value, CANCEL) then
    return failure.new("cancelled", failure.text(value))
  end
  return value
end

--- The failure for a reason that was not raised: with the line that gave it.
---@param level integer of the stack at which the search for that line begins
---@param site string|nil said where there is no such line
function M.fail_with(reason, level, site)
  local task = current()
  local line = failure.line_of(nil, level + 1) or site
  if not line then
    -- `return reject(...)`, a tail call, has left its function.
    line = task and task.handler and failure.site_of({ fn = task.handler }) or "in a tail call"
  end
  return {
    value = reason,
    traceback = "stack traceback:\n\t" .. line .. ": rejected here",
    task = task and { id = task.id, name = rawget(task, "name"), site = line },
  }
end

--- Nobody has heard of the rejection so far.
function M.keep(promise)
  if type(promise.value) == "table" and cancellations[promise.value] then
    return
  end
  local scope = reactions.open(promise.scope)
  if not scope.parent then
    -- Its script has ended and no task runs: a finalizer has rejected it.
    local reason = type(promise.value) == "table" and rawget(promise.value, "message")
      or promise.value
    local text = type(reason) == "string" and reason or type(reason)
    return kernel.post("warn", "a promise was rejected and nobody is left to hear of it: " .. text)
  end
  local list = scope.rejected
  if not list then
    list = waitlist.new()
    scope.rejected = list
  end
  list:add(promise)
  promise.list = list
end

--- Somebody hears of the rejection, or will.
function M.hear(promise)
  if promise.state == "fulfilled" then
    return
  end
  promise.heard = true
  if promise.list then
    promise.list:remove(promise)
    promise.list = nil
  end
end
-- Rejections that a scope reports one by one.
local MOST = 100

--- The failures that the rejections in `list`, those of a scope that ends, are.
function scope_library.rejections(list)
  local failures = {}
  local promise = list:pop()
  while promise and #failures < MOST do
    promise.list, promise.heard = nil, true
    local fail = promise.extra
    local origin = fail.task
    failures[#failures + 1] = {
      value = fail.value,
      traceback = fail.traceback,
      parts = fail.parts,
      task = origin
        and {
          id = origin.id,
          name = rawget(origin, "name"),
          site = (origin.site or failure.site_of(origin)) .. ", a rejection that nobody handled",
        },
    }
    promise = list:pop()
  end
  if promise then
    local text = list:count() + 1 .. " more rejections that nobody handled"
    failures[#failures + 1] = { value = failure.new("rejections", text), traceback = "" }
  end
  return failures
end

return M
