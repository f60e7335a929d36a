--- Named events: wait for a name, emit values to all who wait for it now.
--
-- Belongs here: the script's `event` library. An event is not remembered: who waits later misses it.

local kernel = require("kernel")
local failure = require("failure")
local waitlist = require("waitlist")

local enter, park, pack, unpack, now =
  kernel.enter, kernel.park, kernel.pack, kernel.unpack, kernel.now
local TIMEOUT = kernel.TIMEOUT
local type = type

local M = {}

local events = {} -- name -> waitlist

local EVENT = {
  reason = "event",
  abort = function(task)
    task.on:remove(task)
    return true
  end,
  detail = function(task)
    return "event '" .. task.on.name .. "'"
  end,
}

local NOTHING = { n = 0 }

local function check_name(name, what)
  if type(name) ~= "string" then
    failure.bad_argument(1, what, "event name (a string) expected, got " .. type(name), 2)
  end
end

--- Wait until somebody emits `name`. A checkpoint.
---@param name string
---@param timeout number|nil seconds; nil waits for ever
---@return any ... the emitted values, or nil, "timeout"
function M.wait(name, timeout)
  check_name(name, "wait")
  local at
  if timeout ~= nil then
    failure.check_seconds(2, "wait", timeout)
    at = now() + timeout
  end
  local task = enter()
  local list = events[name]
  if not list then
    list = waitlist.new()
    list.name = name
    events[name] = list
  end
  list:add(task)
  local values = park(task, EVENT, list, at)
  if list.count == 0 and events[name] == list then
    events[name] = nil -- names come and go; an empty list would stay for ever
  end
  if values == TIMEOUT then
    return nil, "timeout"
  end
  return unpack(values, 1, values.n)
end

--- Wake every task that waits for `name` now. Not a checkpoint.
---@param name string
---@param ... any given to every waiter
---@return integer woken how many tasks
function M.emit(name, ...)
  check_name(name, "emit")
  local list = events[name]
  if not list or list.count == 0 then
    return 0
  end
  return list:wake_all(select("#", ...) > 0 and pack(...) or NOTHING)
end

return M
