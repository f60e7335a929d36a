--- sync.mutex: one task at a time.
--
-- As trio.Lock: it has an owner, and whoever unlocks hands it to the one who waits longest, so that nobody
-- who comes later gets it first.

local kernel = require("kernel")
local failure = require("failure")
local holdings = require("holdings")
local sync_object = require("sync_object")

local enter, current, park = kernel.enter, kernel.current, kernel.park
local wake, reschedule = kernel.wake, kernel.reschedule
local check_seconds, check_callable = failure.check_seconds, failure.check_callable
local label, task_of, deadline = sync_object.label, sync_object.task_of, sync_object.deadline
local bad_self, with = sync_object.bad_self, sync_object.with
local hold = holdings.take
local check_name = sync_object.check_name
local getmetatable, error, tostring = getmetatable, error, tostring

local M = {}

local Mutex = sync_object.class("mutex")
M.Mutex = Mutex

--- Make a mutex.
---@param name string|nil for reports
---@return table mutex
function M.new(name)
  check_name(1, "mutex", name)
  return sync_object.new(Mutex, name, {
    owner = false, -- the task that holds it
  })
end

function Mutex.__holders(mutex)
  return { mutex.owner or nil }
end

local function detail(mutex)
  return label(mutex) .. (mutex.owner and " (held by " .. tostring(mutex.owner) .. ")" or "")
end
M.detail = detail

local LOCK = sync_object.wait(detail)

local function own_already(mutex, task)
  return tostring(task) .. " holds " .. label(mutex) .. " already: it would wait for itself"
end

--- Make `task` the owner of a free mutex.
local function take(mutex, task)
  mutex.owner = task
  hold(task, mutex)
end
M.take = take

-- Give it to the next one, if any.
local function hand_over(mutex)
  local waiters = mutex.waiters
  local waiter = waiters.last > 0 and waiters:pop()
  if not waiter then
    mutex.owner = false
    return
  end
  local held = waiter.held
  if held then -- a task that has held something before: the same without the calls
    mutex.owner, held[mutex] = waiter, true
    reschedule(waiter, true)
  else
    take(mutex, task_of(waiter))
    wake(waiter, true)
  end
end
Mutex.__let_go = hand_over

--- Take it from its owner and hand it over.
function M.let_go(mutex, task)
  task.held[mutex] = nil
  hand_over(mutex)
end
local let_go = M.let_go

--- Lock; waits while another task holds it. A checkpoint; others only run when it waits.
---@param timeout number|nil seconds; nil waits for ever
---@return boolean|nil true, or nil and "timeout"
function Mutex:lock(timeout)
  if getmetatable(self) ~= Mutex then
    bad_self(Mutex, "lock", self)
  elseif timeout ~= nil then
    check_seconds(1, "lock", timeout)
  end
  local task = enter()
  local owner, held = self.owner, task.held
  if not owner then
    if held then -- `take`, without the call
      self.owner, held[self] = task, true
    else
      take(self, task)
    end
    return true
  elseif owner == task then
    error(own_already(self, task), 2)
  end
  return park(LOCK, self.waiters, timeout and deadline(timeout))
end

--- Lock if that needs no wait. Not a checkpoint.
---@return boolean|nil true, or nil and "locked"
function Mutex:try_lock()
  if getmetatable(self) ~= Mutex then
    bad_self(Mutex, "try_lock", self)
  end
  local task, owner = current(), self.owner
  if not task then
    error("cannot lock outside a task", 2)
  elseif not owner then
    take(self, task)
    return true
  elseif owner == task then
    error(own_already(self, task), 2)
  end
  return nil, "locked"
end

--- Unlock; whoever waits longest has it now. Only for its owner. Not a checkpoint.
function Mutex:unlock()
  if getmetatable(self) ~= Mutex then
    bad_self(Mutex, "unlock", self)
  end
  local owner = self.owner
  if not owner then
    error(label(self) .. " is not locked", 2)
  elseif owner ~= current() then
    error(label(self) .. " is held by " .. tostring(owner) .. ": only it can unlock it", 2)
  end
  owner.held[self] = nil
  if self.waiters.last > 0 then
    hand_over(self)
  else
    self.owner = false
  end
end

-- The end of `with`. `fn` may have unlocked it, and others may hold it now.
local function release(mutex, task)
  if mutex.owner == task then
    let_go(mutex, task)
  end
end

--- Call `fn(...)` with the mutex locked; unlocks when it returns, raises or is cancelled. A checkpoint.
---@param fn function
---@return any ... fn's values
function Mutex:with(fn, ...)
  if getmetatable(self) ~= Mutex then
    bad_self(Mutex, "with", self)
  end
  check_callable(1, "with", fn)
  local task = enter()
  if not self.owner then
    take(self, task)
  elseif self.owner == task then
    error(own_already(self, task), 2)
  else
    park(LOCK, self.waiters)
  end
  return with(release, self, fn, ...)
end

--- Who holds it and how many wait. Not a checkpoint.
---@return table {locked, owner, waiting}
function Mutex:statistics()
  if getmetatable(self) ~= Mutex then
    bad_self(Mutex, "statistics", self)
  end
  return {
    locked = self.owner ~= false,
    owner = self.owner or nil,
    waiting = self.waiters:count(),
  }
end

sync_object.offer(Mutex, "lock", {
  check = function(mutex)
    local task = current()
    return task and mutex.owner == task and own_already(mutex, task) or nil
  end,
  try = function(mutex)
    if mutex.owner then
      return false
    end
    take(mutex, current())
    return true, true
  end,
  detail = detail,
})

return M
