--- sync.waitgroup: wait until as many are done as were added.
--
-- As in Go. Where the tasks are one's own, a scope does the same and hears of their errors, too.

local kernel = require("kernel")
local failure = require("failure")
local sync_object = require("sync_object")

local enter, park = kernel.enter, kernel.park
local check_seconds = failure.check_seconds
local label, deadline, bad_self = sync_object.label, sync_object.deadline, sync_object.bad_self
local check_whole = sync_object.check_whole
local check_name = sync_object.check_name
local getmetatable, error = getmetatable, error

local M = {}

local Waitgroup = sync_object.class("waitgroup")

--- Make a wait group.
---@param name string|nil for reports
---@return table waitgroup
function M.new(name)
  check_name(1, "waitgroup", name)
  return sync_object.new(Waitgroup, name, { count = 0 })
end

local function detail(group)
  return label(group) .. " (" .. group.count .. " not done)"
end

local WAIT = sync_object.wait(detail)

--- So many more will be done. Not a checkpoint.
---@param n integer|nil 1
function Waitgroup:add(n)
  if getmetatable(self) ~= Waitgroup then
    bad_self(Waitgroup, "add", self)
  elseif n ~= nil then
    check_whole(1, "add", n, "the number to add", 1)
  end
  self.count = self.count + (n or 1)
end

--- One is done; the last one wakes who waits. Not a checkpoint.
function Waitgroup:done()
  if getmetatable(self) ~= Waitgroup then
    bad_self(Waitgroup, "done", self)
  elseif self.count == 0 then
    error(label(self) .. ": done was called more often than was added", 2)
  end
  self.count = self.count - 1
  if self.count == 0 then
    self.waiters:wake_all(true)
  end
end

--- Wait until all are done; at once when none is left. A checkpoint.
---@param timeout number|nil seconds; nil waits for ever
---@return boolean|nil true, or nil and "timeout"
function Waitgroup:wait(timeout)
  if getmetatable(self) ~= Waitgroup then
    bad_self(Waitgroup, "wait", self)
  elseif timeout ~= nil then
    check_seconds(1, "wait", timeout)
  end
  enter()
  if self.count == 0 then
    return true
  end
  return park(WAIT, self.waiters, timeout and deadline(timeout))
end

--- How many are not done, how many tasks wait. Not a checkpoint.
---@return table {count, waiting}
function Waitgroup:statistics()
  if getmetatable(self) ~= Waitgroup then
    bad_self(Waitgroup, "statistics", self)
  end
  return { count = self.count, waiting = self.waiters:count() }
end

sync_object.offer(Waitgroup, "wait", {
  try = function(group)
    return group.count == 0, true
  end,
  detail = detail,
})

return M
