--- timer.after and timer.every: functions called when their time comes.
--
-- `after` is work and keeps its scope open; `every` is a background task and ends with the scope's other
-- work.

local kernel = require("kernel")
local failure = require("failure")
local select_library = require("select")

local park, spawn, now, fire_soon = kernel.park, kernel.spawn, kernel.now, kernel.fire_soon
local abort, pack = kernel.abort, kernel.pack
local bad_argument, check_seconds = failure.bad_argument, failure.check_seconds
local check_callable, describe = failure.check_callable, select_library.describe
local getmetatable, setmetatable, error, tostring = getmetatable, setmetatable, error, tostring
local floor, format = math.floor, string.format

local M = {}

local WAIT = {
  reason = "sleep",
  abort = function()
    return true -- the timer goes with the wait
  end,
  expire = function()
    return nil
  end,
  detail = function(task)
    return "the time of " .. tostring(task.on)
  end,
}

--- Wait for the absolute second `at`, or until `hurry`.
---@param owner table for reports
function M.wait(owner, at)
  if at <= now() then
    fire_soon()
  end
  park(WAIT, owner, at)
end
local wait = M.wait

--- End the wait of `task`, if it is one of these.
function M.hurry(task)
  if task.wait == WAIT then
    abort(task, true)
  end
end
local hurry = M.hurry

--- Where the function of a timer was given, for reports on its error.
function M.registered()
  return "registered at " .. (failure.line_of(nil, 2) or "?")
end
local registered = M.registered

local Timer = { __name = "timer" }
Timer.__index = Timer

function Timer:__tostring()
  return format("timer.%s(%g)", self.kind, self.seconds)
end

local function make(kind, seconds)
  return setmetatable({
    kind = kind,
    seconds = seconds,
    made = now(),
    task = nil, -- in which its function runs
    ended = false, -- no call will follow
    ticks = 0, -- how often its function was called
    missed = 0, -- ticks of `every` that came while the function was still running
  }, Timer)
end

local function run_after(timer, fn, ...)
  if not timer.ended then
    wait(timer, timer.made + timer.seconds)
  end
  if not timer.ended then -- nobody has cancelled it meanwhile
    timer.ended, timer.ticks = true, 1
    return fn(...)
  end
end

local AFTER = { name = "timer.after" }

--- Call `fn(...)` after `seconds`, in a task of the current scope, which stays open for it. Not a
-- checkpoint.
---@param seconds number
---@param fn function
---@param ... any its arguments
---@return table timer
function M.after(seconds, fn, ...)
  check_seconds(1, "after", seconds)
  check_callable(2, "after", fn)
  local timer = make("after", seconds)
  timer.task = spawn(nil, run_after, pack(timer, fn, ...), AFTER)
  timer.task.site = registered()
  return timer
end

-- The tick after number `k`: the first one that has not passed yet.
local function next_tick(timer, k)
  local made, seconds, time = timer.made, timer.seconds, now()
  local following = k + 1
  if made + following * seconds >= time then
    return following
  end
  local tick = floor((time - made) / seconds)
  if made + tick * seconds < time then
    tick = tick + 1
  end
  timer.missed = timer.missed + tick - following
  return tick
end

-- Ticks are at made + k * seconds, however late one is served: nothing adds up.
local function run_every(timer, fn)
  local k = 0
  while not timer.ended do
    k = next_tick(timer, k)
    wait(timer, timer.made + k * timer.seconds)
    if not timer.ended then
      timer.ticks = timer.ticks + 1
      fn(k)
    end
  end
end

local EVERY = { name = "timer.every", background = true }

--- Call `fn(k)` at `seconds`, 2 * `seconds`, ... from now, in one background task of the current scope:
-- never two calls at once. Ticks that come while `fn` still runs are skipped and counted. Not a checkpoint.
---@param seconds number more than 0
---@param fn function gets the number of the tick: it belongs to the moment k * `seconds`
---@return table timer
function M.every(seconds, fn)
  check_seconds(1, "every", seconds)
  if seconds == 0 then
    bad_argument(1, "every", "seconds must be more than 0, got 0")
  end
  check_callable(2, "every", fn)
  local timer = make("every", seconds)
  timer.task = spawn(nil, run_every, pack(timer, fn), EVERY)
  timer.task.site = registered()
  return timer
end

local function check_self(self, name)
  if getmetatable(self) ~= Timer then
    local text = "calling '" .. name .. "' on bad self (timer expected, got " .. describe(self)
    error(text .. "; is it called with a colon, as in t:" .. name .. "()?)", 3)
  end
end

--- No further call. One under way goes on; to end that, too, cancel the timer's field `task`. Not a
-- checkpoint.
---@return boolean accepted false when there was nothing left to cancel
function Timer:cancel()
  check_self(self, "cancel")
  if self.ended or self.task.state then
    return false
  end
  self.ended = true
  hurry(self.task)
  return true
end

--- What has happened. Not a checkpoint.
---@return table {ticks, missed, active}: active: calls may follow
function Timer:statistics()
  check_self(self, "statistics")
  local active = not self.ended and not self.task.state
  return { ticks = self.ticks, missed = self.missed, active = active }
end

return M
