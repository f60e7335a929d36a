--- Named events: wait for a name, emit values to all who wait for it now.
--
-- Belongs here: the script's `event` library. An event is not remembered: who waits later misses it.

local kernel = require("kernel")
local failure = require("failure")
local timers = require("timers")
local waitlist = require("waitlist")

local enter, park, pack, unpack, now =
  kernel.enter, kernel.park, kernel.pack, kernel.unpack, kernel.now
local TIMEOUT, arm = kernel.TIMEOUT, timers.arm
local type, select = type, select

local M = {}

local events = {} -- name -> waitlist

local EVENT = {
  reason = "event",
  abort = function(task)
    local list = task.on
    list:remove(task)
    if list.count == 0 then
      events[list.name] = nil -- names come and go, empty lists must not stay
    end
    return true
  end,
  detail = function(task)
    return "event '" .. task.on.name .. "'"
  end,
  finish = function(values)
    if values == TIMEOUT then
      return nil, "timeout"
    end
    return unpack(values, 1, values.n)
  end,
}

local NOTHING = { n = 0 }

local function check_name(name, what)
  if type(name) ~= "string" then
    failure.bad_argument(1, what, "event name (a string) expected, got " .. type(name), 2)
  end
end

local function list_of(name)
  local list = events[name]
  if not list then
    list = waitlist.new()
    list.name = name
    events[name] = list
  end
  return list
end

--- Wait until somebody emits `name`. A checkpoint.
---@param name string
---@param timeout number|nil seconds; nil waits for ever
---@return any ... the emitted values, or nil, "timeout"
function M.wait(name, timeout)
  check_name(name, "wait")
  if timeout ~= nil then
    failure.check_seconds(2, "wait", timeout)
  end
  local task = enter()
  if timeout then
    arm(task, now() + timeout)
  end
  list_of(name):add(task)
  return park(task, EVENT, events[name])
end

--- Wake every task that waits for `name` now. Not a checkpoint.
---@param name string
---@param ... any given to every waiter
---@return integer woken how many tasks
function M.emit(name, ...)
  check_name(name, "emit")
  local list = events[name]
  if not list then
    return 0
  end
  events[name] = nil
  return list:wake_all(select("#", ...) > 0 and pack(...) or NOTHING)
end

return M
