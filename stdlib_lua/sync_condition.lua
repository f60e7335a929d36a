--- sync.condition: wait until something that a mutex guards has changed.
--
-- A waiter gives the mutex up and holds it again when `wait` returns, however that ends: notified, timed
-- out or cancelled. Waking moves it from the condition's queue into the mutex's, so that it runs once, when
-- it has the mutex. Hence a condition cannot stand in a select: its other cases could not wait for the
-- mutex.

local kernel = require("kernel")
local failure = require("failure")
local scope = require("scope")
local mutexes = require("sync_mutex")
local sync_object = require("sync_object")

local enter, current, park = kernel.enter, kernel.current, kernel.park
local TIMEOUT, CANCELLED = kernel.TIMEOUT, kernel.CANCELLED
local check_seconds, bad_argument = failure.check_seconds, failure.bad_argument
local label, deadline, bad_self = sync_object.label, sync_object.deadline, sync_object.bad_self
local check_whole, check_name = sync_object.check_whole, sync_object.check_name
local Mutex, take, let_go = mutexes.Mutex, mutexes.take, mutexes.let_go
local is_cancelled, is_killed, check_cancelled = scope.is_cancelled, scope.is_killed, scope.check
local getmetatable, error = getmetatable, error

local M = {}

local Condition = sync_object.class("condition")

--- Make a condition.
---@param mutex table|nil nil makes one; it is the field `mutex`
---@param name string|nil for reports
---@return table condition
function M.new(mutex, name)
  if mutex ~= nil and getmetatable(mutex) ~= Mutex then
    bad_argument(1, "condition", "mutex expected, got " .. sync_object.got(mutex))
  end
  check_name(2, "condition", name)
  return sync_object.new(Condition, name, { mutex = mutex or mutexes.new() })
end

-- Woken, it waits for the mutex, which nothing but a kill can cut short.
local RELOCK = {
  reason = "resource",
  abort = function(task)
    if not is_killed(task) then
      return false
    end
    task.on:remove(task)
    task.recalled = nil
    return true
  end,
  detail = function(task)
    return mutexes.detail(task.on.object)
  end,
  blockers = function(task)
    return { task.on.object }
  end,
}

-- Into the mutex's queue; the mutex has an owner.
local function requeue(mutex, task, why)
  task.recalled = why -- why `wait` ends, nil when notified
  mutex.waiters:add(task)
  task.wait, task.on = RELOCK, mutex.waiters
end

local WAIT = {
  reason = "resource",
  begin = function(task, condition)
    condition.waiters:add(task)
    let_go(condition.mutex, task)
  end,
  abort = function(task)
    local condition = task.on
    local mutex = condition.mutex
    condition.waiters:remove(task)
    if not mutex.owner then
      take(mutex, task)
      return true
    elseif current() == task or is_killed(task) then
      -- It turned out that it cannot wait (kernel.relay), or must not: it goes on without the mutex.
      return true
    end
    requeue(mutex, task, is_cancelled(task) and CANCELLED or TIMEOUT)
    return false
  end,
  detail = function(task)
    return "a notification of " .. label(task.on)
  end,
  finish = function(result)
    local task = current()
    local why = task.recalled or result
    task.recalled = nil
    if why == CANCELLED then
      check_cancelled(task)
    end
    if why == TIMEOUT then
      return nil, "timeout"
    end
    return true
  end,
}

local function check_owner(condition, what)
  if condition.mutex.owner ~= current() or not condition.mutex.owner then
    error(what .. " needs " .. label(condition.mutex) .. " locked by the caller", 3)
  end
end

--- Give up the mutex and wait for a notification; holds the mutex again afterwards. A checkpoint.
---@param timeout number|nil seconds; nil waits for ever
---@return boolean|nil true, or nil and "timeout"
function Condition:wait(timeout)
  if getmetatable(self) ~= Condition then
    bad_self(Condition, "wait", self)
  elseif timeout ~= nil then
    check_seconds(1, "wait", timeout)
  end
  enter()
  check_owner(self, "wait")
  return park(WAIT, self, timeout and deadline(timeout))
end

local function wake_first(condition, n)
  local waiters, woken = condition.waiters, 0
  while woken < n do
    local task = waiters:pop()
    if not task then
      break
    end
    requeue(condition.mutex, task)
    woken = woken + 1
  end
  return woken
end

--- Wake those who wait longest; they go on when they have got the mutex. Only for its owner. Not a
-- checkpoint.
---@param n integer|nil how many; 1
---@return integer woken
function Condition:notify(n)
  if getmetatable(self) ~= Condition then
    bad_self(Condition, "notify", self)
  elseif n ~= nil then
    check_whole(1, "notify", n, "the number of tasks to wake", 1)
  end
  check_owner(self, "notify")
  return wake_first(self, n or 1)
end

--- Wake everybody. Not a checkpoint.
---@return integer woken
function Condition:notify_all()
  if getmetatable(self) ~= Condition then
    bad_self(Condition, "notify_all", self)
  end
  check_owner(self, "notify_all")
  return wake_first(self, self.waiters:count())
end

--- How many wait. Not a checkpoint.
---@return table {waiting}
function Condition:statistics()
  if getmetatable(self) ~= Condition then
    bad_self(Condition, "statistics", self)
  end
  return { waiting = self.waiters:count() }
end

return M
