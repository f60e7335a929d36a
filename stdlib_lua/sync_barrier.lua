--- sync.barrier: so many tasks go on together.
--
-- It can be used again and again: who has been let go belongs to the past, and comes back as a new arrival.
-- A task that is cancelled or times out has not arrived.

local kernel = require("kernel")
local failure = require("failure")
local sync_object = require("sync_object")

local enter, park, wake = kernel.enter, kernel.park, kernel.wake
local check_seconds = failure.check_seconds
local label, deadline, bad_self = sync_object.label, sync_object.deadline, sync_object.bad_self
local check_name = sync_object.check_name
local getmetatable = getmetatable

local M = {}

local Barrier = sync_object.class("barrier")

--- Make a barrier.
---@param n integer how many tasks must arrive, at least 1
---@param name string|nil for reports
---@return table barrier
function M.new(n, name)
  sync_object.check_whole(1, "barrier", n, "the number of tasks", 1)
  check_name(2, "barrier", name)
  return sync_object.new(Barrier, name, { parties = n })
end

local function detail(barrier)
  return label(barrier)
    .. " ("
    .. barrier.waiters:count()
    .. " of "
    .. barrier.parties
    .. " arrived)"
end

local WAIT = sync_object.wait(detail)

-- One more arrives: is it the last? Then the others go on, each with its place in the order of arrival.
local function arrive(barrier)
  local waiters, before = barrier.waiters, barrier.waiters:count()
  if before + 1 < barrier.parties then
    return false
  end
  for place = 1, before do
    local waiter = waiters:pop()
    if waiter then -- or it was another case of a select that has gone on
      wake(waiter, place)
    end
  end
  return true, before + 1
end

--- Arrive, and wait until all have. A checkpoint.
---@param timeout number|nil seconds; nil waits for ever
---@return integer|nil place in the order of arrival: the last one gets the number of tasks; nil and
--   "timeout"
function Barrier:wait(timeout)
  if getmetatable(self) ~= Barrier then
    bad_self(Barrier, "wait", self)
  elseif timeout ~= nil then
    check_seconds(1, "wait", timeout)
  end
  enter()
  local complete, place = arrive(self)
  if complete then
    return place
  end
  return park(WAIT, self.waiters, timeout and deadline(timeout))
end

--- How many have arrived. Not a checkpoint.
---@return table {parties, waiting}
function Barrier:statistics()
  if getmetatable(self) ~= Barrier then
    bad_self(Barrier, "statistics", self)
  end
  return { parties = self.parties, waiting = self.waiters:count() }
end

sync_object.offer(Barrier, "wait", { try = arrive, detail = detail })

return M
