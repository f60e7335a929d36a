--- sync.once: a function that runs once, whoever calls it and however often.
--
-- The first caller runs it, those who come meanwhile wait, all get its values. An error is a result, too:
-- it is raised in each of them, and at each later call (as Go's OnceFunc does with a panic). A cancellation
-- is none: when the caller who runs it is cancelled, the next one who waits runs it from the start.

local kernel = require("kernel")
local failure = require("failure")
local holdings = require("holdings")
local sync_object = require("sync_object")
local waitlist = require("waitlist")

local enter, current, park, wake = kernel.enter, kernel.current, kernel.park, kernel.wake
local pack, unpack, TIMEOUT, CANCEL = kernel.pack, kernel.unpack, kernel.TIMEOUT, failure.CANCEL
local check_seconds, check_callable = failure.check_seconds, failure.check_callable
local capture, remember = failure.capture, failure.remember
local label, deadline, bad_self = sync_object.label, sync_object.deadline, sync_object.bad_self
local check_name, run = sync_object.check_name, sync_object.run
local getmetatable, error, tostring, rawequal = getmetatable, error, tostring, rawequal

local M = {}

local Once = sync_object.class("once")

--- Make such a function.
---@param fn function
---@param name string|nil for reports
---@return table once call it, or its method `call`
function M.new(fn, name)
  check_callable(1, "once", fn)
  check_name(2, "once", name)
  local once = sync_object.new(Once, name, {
    fn = fn,
    runner = false, -- the task that runs it, or has been woken to do so
    values = false, -- what it returned, packed
    failed = false, -- what it raised
    watchers = waitlist.new(), -- who waits for the result but does not run it; `waiters` would
  })
  once.watchers.object = once
  return once
end

function Once.__holders(once)
  return { once.runner or nil }
end

local function detail(once)
  return label(once) .. (once.runner and " (run by " .. tostring(once.runner) .. ")" or "")
end

local CALL = sync_object.wait(detail)

local function outcome(once)
  if once.failed then
    remember(current(), once.failed)
    error(once.failed.value, 0)
  end
  return unpack(once.values, 1, once.values.n)
end

local WAIT = sync_object.wait(detail)
function WAIT.finish(once)
  if once == TIMEOUT then
    return nil, "timeout"
  end
  return outcome(once)
end

local function appoint(once, task)
  once.runner = task
  holdings.take(task, once)
end

-- The runner will not finish it: the next one's turn. Also when it ended without having been asked.
local function pass_on(once)
  local waiter = once.waiters:pop()
  if waiter then
    appoint(once, waiter)
    wake(waiter, true)
  else
    once.runner = false
  end
end
Once.__let_go = pass_on

-- The runner's coroutine was closed in the middle of it.
local function cut(once, task)
  if once.runner == task then
    task.held[once] = nil
    pass_on(once)
  end
end

local function settle(_, once, task, ok, ...)
  task.held[once] = nil
  if not ok and rawequal((...), CANCEL) then
    pass_on(once)
    error(CANCEL, 0)
  end
  if ok then
    once.values = pack(...)
  else
    once.failed = capture((...), task)
  end
  once.runner, once.fn = false, nil
  once.waiters:wake_all(true)
  once.watchers:wake_all(once)
  return outcome(once)
end

--- Run the function, or wait for the one who does, or take what is known. A checkpoint.
---@param ... any arguments, if this call is the one that runs it
---@return any ... its values; its error is raised
function Once:call(...)
  if getmetatable(self) ~= Once then
    bad_self(Once, "call", self)
  end
  local task = enter()
  if self.runner == task then
    error(tostring(task) .. " runs " .. label(self) .. " already: it would wait for itself", 2)
  elseif self.runner then
    park(CALL, self.waiters)
  elseif self.fn then
    appoint(self, task)
  end
  if self.runner == task then
    return run(settle, cut, self, task, self.fn, ...)
  end
  return outcome(self)
end
Once.__call = Once.call

--- Wait until it has run, without running it. A checkpoint.
---@param timeout number|nil seconds; nil waits for ever
---@return any ... its values, its error is raised; nil and "timeout"
function Once:wait(timeout)
  if getmetatable(self) ~= Once then
    bad_self(Once, "wait", self)
  elseif timeout ~= nil then
    check_seconds(1, "wait", timeout)
  end
  if self.runner and self.runner == enter() then
    error(tostring(self.runner) .. " runs " .. label(self) .. " itself", 2)
  elseif not self.fn then
    enter()
    return outcome(self)
  end
  return park(WAIT, self.watchers, timeout and deadline(timeout))
end

--- How far it is, how many wait. Not a checkpoint.
---@return table {state = "new", "running", "done" or "failed", waiting}
function Once:statistics()
  if getmetatable(self) ~= Once then
    bad_self(Once, "statistics", self)
  end
  local state = self.runner and "running" or self.fn and "new" or self.failed and "failed" or "done"
  return { state = state, waiting = self.waiters:count() + self.watchers:count() }
end

require("select").offer(Once, "wait", {
  try = function(once)
    return not once.fn, once
  end,
  add = function(case)
    case.object.watchers:add(case)
  end,
  remove = function(case)
    case.object.watchers:remove(case)
  end,
  finish = outcome,
  detail = detail,
})

return M
