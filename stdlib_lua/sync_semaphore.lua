--- sync.semaphore: a number of permits; who wants more than there are waits.
--
-- Permits have no owner: any task may release, and more than there were at first (a semaphore of 0 counts
-- what has been produced). First come, first served: who wants one waits behind who wants ten.

local kernel = require("kernel")
local failure = require("failure")
local sync_object = require("sync_object")

local enter, park, wake = kernel.enter, kernel.park, kernel.wake
local check_seconds, check_callable = failure.check_seconds, failure.check_callable
local label, deadline, bad_self = sync_object.label, sync_object.deadline, sync_object.bad_self
local check_whole, wrong_whole, with =
  sync_object.check_whole, sync_object.wrong_whole, sync_object.with
local check_name = sync_object.check_name
local getmetatable = getmetatable

local M = {}

local Semaphore = sync_object.class("semaphore")

local PERMITS = "the number of permits"

--- Make a semaphore.
---@param n integer permits at first, 0 or more
---@param name string|nil for reports
---@return table semaphore
function M.new(n, name)
  check_whole(1, "semaphore", n, PERMITS, 0)
  check_name(2, "semaphore", name)
  return sync_object.new(Semaphore, name, {
    permits = n,
    waiters = {}, -- each with the number of permits it wants
  })
end

local function detail(semaphore)
  local n = semaphore.permits
  return label(semaphore) .. " (" .. n .. (n == 1 and " permit" or " permits") .. " free)"
end

-- Serve those who wait, as far as the permits go.
local function serve(semaphore)
  local waiters = semaphore.waiters
  while waiters.last > 0 do
    local waiter, wanted = waiters:peek()
    if not waiter or wanted > semaphore.permits then
      return
    end
    waiters:pop()
    semaphore.permits = semaphore.permits - wanted
    wake(waiter, true)
  end
end

local function try(semaphore, n)
  if semaphore.waiters.last == 0 and semaphore.permits >= n then
    semaphore.permits = semaphore.permits - n
    return true
  end
  return false
end

local asked -- what an `acquire` wants, between it and `begin`

-- With the one who wanted ten gone, those behind may have theirs.
local ACQUIRE = sync_object.wait(detail, serve)
ACQUIRE.queued = nil
function ACQUIRE.begin(task, waiters)
  waiters:add(task, asked)
end

--- Take permits; waits until there are enough and it is one's turn. A checkpoint.
---@param n integer|nil how many; 1
---@param timeout number|nil seconds; nil waits for ever
---@return boolean|nil true, or nil and "timeout"
function Semaphore:acquire(n, timeout)
  if getmetatable(self) ~= Semaphore then
    bad_self(Semaphore, "acquire", self)
  end
  if n == nil then
    n = 1
  else
    check_whole(1, "acquire", n, PERMITS, 1)
  end
  if timeout ~= nil then
    check_seconds(2, "acquire", timeout)
  end
  enter()
  if try(self, n) then
    return true
  end
  asked = n
  return park(ACQUIRE, self.waiters, timeout and deadline(timeout))
end

--- Take permits if that needs no wait. Not a checkpoint.
---@param n integer|nil how many; 1
---@return boolean|nil true, or nil and "exhausted"
function Semaphore:try_acquire(n)
  if getmetatable(self) ~= Semaphore then
    bad_self(Semaphore, "try_acquire", self)
  elseif n ~= nil then
    check_whole(1, "try_acquire", n, PERMITS, 1)
  end
  if try(self, n or 1) then
    return true
  end
  return nil, "exhausted"
end

--- Give permits; who waits longest gets them. Not a checkpoint.
---@param n integer|nil how many; 1
function Semaphore:release(n)
  if getmetatable(self) ~= Semaphore then
    bad_self(Semaphore, "release", self)
  elseif n ~= nil then
    check_whole(1, "release", n, PERMITS, 1)
  end
  self.permits = self.permits + (n or 1)
  if self.waiters.last > 0 then
    serve(self)
  end
end

local function release_one(semaphore)
  semaphore:release()
end

--- Call `fn(...)` with a permit; releases it when `fn` returns, raises or is cancelled. A checkpoint.
---@param fn function
---@return any ... fn's values
function Semaphore:with(fn, ...)
  if getmetatable(self) ~= Semaphore then
    bad_self(Semaphore, "with", self)
  end
  check_callable(1, "with", fn)
  self:acquire()
  return with(release_one, self, fn, ...)
end

--- How many permits are free, how many tasks wait. Not a checkpoint.
---@return table {permits, waiting}
function Semaphore:statistics()
  if getmetatable(self) ~= Semaphore then
    bad_self(Semaphore, "statistics", self)
  end
  return { permits = self.permits, waiting = self.waiters:count() }
end

sync_object.offer(Semaphore, "acquire", {
  check = function(_, n)
    return n ~= nil and wrong_whole(n, PERMITS, 1) or nil
  end,
  try = function(semaphore, n)
    return try(semaphore, n or 1), true
  end,
  add = function(case)
    case.object.waiters:add(case, case.value or 1)
  end,
  removed = serve,
  detail = detail,
})

return M
