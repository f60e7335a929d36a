--- sync.event: a flag to wait for. Set, it stays set, and nobody waits any more.
--
-- Not the named events (event.lua), which carry values and are not remembered.

local kernel = require("kernel")
local failure = require("failure")
local sync_object = require("sync_object")

local enter, park = kernel.enter, kernel.park
local check_seconds = failure.check_seconds
local label, deadline, bad_self = sync_object.label, sync_object.deadline, sync_object.bad_self
local check_name = sync_object.check_name
local getmetatable = getmetatable

local M = {}

local Event = sync_object.class("sync.event")

--- Make an event, not set.
---@param name string|nil for reports
---@return table event
function M.new(name)
  check_name(1, "event", name)
  return sync_object.new(Event, name, { flag = false })
end

local WAIT = sync_object.wait(label)

--- Set it; everybody who waits goes on. Not a checkpoint.
---@return boolean first false when it was set already
function Event:set()
  if getmetatable(self) ~= Event then
    bad_self(Event, "set", self)
  end
  if self.flag then
    return false
  end
  self.flag = true
  self.waiters:wake_all(true)
  return true
end

--- From now on one waits again. Not a checkpoint.
function Event:clear()
  if getmetatable(self) ~= Event then
    bad_self(Event, "clear", self)
  end
  self.flag = false
end

--- Whether it is set. Not a checkpoint.
---@return boolean
function Event:is_set()
  if getmetatable(self) ~= Event then
    bad_self(Event, "is_set", self)
  end
  return self.flag
end

--- Wait until it is set; not at all when it is. A checkpoint.
---@param timeout number|nil seconds; nil waits for ever
---@return boolean|nil true, or nil and "timeout"
function Event:wait(timeout)
  if getmetatable(self) ~= Event then
    bad_self(Event, "wait", self)
  elseif timeout ~= nil then
    check_seconds(1, "wait", timeout)
  end
  enter()
  if self.flag then
    return true
  end
  return park(WAIT, self.waiters, timeout and deadline(timeout))
end

--- Whether it is set, how many wait. Not a checkpoint.
---@return table {set, waiting}
function Event:statistics()
  if getmetatable(self) ~= Event then
    bad_self(Event, "statistics", self)
  end
  return { set = self.flag, waiting = self.waiters:count() }
end

sync_object.offer(Event, "wait", {
  try = function(event)
    return event.flag, true
  end,
  detail = label,
})

return M
