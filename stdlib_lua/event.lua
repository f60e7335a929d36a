--- Named events: wait for a name, emit values to all who wait for it now.
--
-- Belongs here: the script's `event` library. An event is not remembered: who waits later misses it.

local kernel = require("kernel")
local failure = require("failure")
local waitlist = require("waitlist")
local select_library = require("select")

local park, pack, unpack, now = kernel.park, kernel.pack, kernel.unpack, kernel.now
local TIMEOUT, check_seconds = kernel.TIMEOUT, failure.check_seconds
local printable = failure.printable
local type, select, gsub = type, select, string.gsub

local M = {}

local events = {} -- name -> waitlist

local function detail(name)
  -- A sandboxed script's names have a prefix that ends in a NUL (sandbox_events.lua).
  return "event '" .. printable((gsub(name, "^script %d+%z", ""))) .. "'"
end

local EVENT = {
  reason = "event",
  queued = true,
  abort = function(task)
    local list = task.on
    if list:remove(task) then
      events[list.name] = nil
    end
    return true
  end,
  detail = function(task)
    return detail(task.on.name)
  end,
  finish = function(values)
    if values == TIMEOUT then
      return nil, "timeout"
    end
    return unpack(values, 1, values.n)
  end,
}

local function check_name(name, what)
  failure.bad_argument(1, what, "event name (a string) expected, got " .. type(name), 2)
end

-- Names come and go, so an event that nobody waits for has no list; the last one freed is used again, for
-- its array has grown already.
local spare = waitlist.new()

local function new_list(name)
  local list = spare or waitlist.new()
  spare = nil
  list.name = name
  events[name] = list
  return list
end

--- Wait until somebody emits `name`. A checkpoint.
---@param name string
---@param timeout number|nil seconds; nil waits for ever
---@return any ... the emitted values, or nil, "timeout"
function M.wait(name, timeout)
  local list = events[name]
  if not list and type(name) ~= "string" then
    check_name(name, "wait")
  end
  if timeout ~= nil then
    check_seconds(2, "wait", timeout)
    if timeout == 0 then
      kernel.fire_soon()
    end
  end
  return park(EVENT, list or new_list(name), timeout and now() + timeout)
end

select_library.offer("string", "wait", {
  try = function()
    return false -- an event is not remembered
  end,
  add = function(case)
    local list = events[case.object] or new_list(case.object)
    list:add(case)
    case.list = list
  end,
  remove = function(case)
    if case.list:remove(case) then
      events[case.list.name] = nil
    end
  end,
  finish = function(values)
    if values then
      return unpack(values, 1, values.n)
    end
  end,
  detail = detail,
})

--- Let a task that was spawned parked begin at the next emit of `name`, with the values.
function M.begin_at(name, task)
  local list = events[name] or new_list(name)
  list:add(task)
  task.wait, task.on = EVENT, list
end

--- Wake every task that waits for `name` now. Not a checkpoint.
---@param name string
---@param ... any given to every waiter
---@return integer woken how many tasks
function M.emit(name, ...)
  if type(name) ~= "string" then
    check_name(name, "emit")
  end
  local list = events[name]
  if not list then
    return 0
  end
  events[name] = nil
  spare = list
  return list:wake_all(select("#", ...) > 0 and pack(...) or nil)
end

return M
