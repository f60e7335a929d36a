--- timer.debounce and timer.throttle: a function that is called often and runs seldom.
--
-- A run is a task of the scope that made the object, wherever the call comes from, and keeps that scope
-- open from the call on. Of several calls before a run the last one's arguments count.

local kernel = require("kernel")
local failure = require("failure")
local scope = require("scope")
local select_library = require("select")
local clock = require("timer_clock")

local spawn, now, pack, unpack = kernel.spawn, kernel.now, kernel.pack, kernel.unpack
local check_callable, check_seconds = failure.check_callable, failure.check_seconds
local describe, wait, hurry = select_library.describe, clock.wait, clock.hurry
local registered = clock.registered
local getmetatable, setmetatable, error = getmetatable, setmetatable, error
local format, infinity = string.format, math.huge

local M = {}

local Calls = { __name = "timer" }
Calls.__index = Calls

function Calls:__tostring()
  return format("timer.%s(%g)", self.kind, self.seconds)
end

local function make(kind, seconds, fn)
  check_seconds(1, kind, seconds) -- (called by a tail call: the levels of its errors count on it)
  check_callable(2, kind, fn)
  local home = scope.current()
  if not home then
    error("cannot make a timer outside a task", 2)
  end
  return setmetatable({
    kind = kind,
    seconds = seconds,
    fn = fn,
    scope = home,
    options = { name = "timer." .. kind },
    site = registered(),
    at = -infinity, -- when it may run
    arguments = nil, -- of the run to come, packed
    task = nil, -- which waits for its turn
    calls = 0,
    runs = 0,
  }, Calls)
end

local function run(calls, ...)
  calls.runs = calls.runs + 1
  return calls.fn(...)
end

-- The body of a task: wait, however often `at` is put off, then run.
local function run_later(calls)
  while calls.arguments and now() < calls.at do
    wait(calls, calls.at)
  end
  local arguments = calls.arguments
  calls.task, calls.arguments = nil, nil
  if arguments then
    if calls.kind == "throttle" then
      calls.at = now() + calls.seconds
    end
    return run(calls, unpack(arguments, 1, arguments.n))
  end
end

-- Whether a call has not led to a run yet.
local function is_pending(calls)
  return calls.arguments ~= nil and calls.task ~= nil and not calls.task.state
end

function Calls:__call(...)
  if self.scope.closed then
    error("the scope that made this " .. self.kind .. " has ended", 2)
  end
  self.calls = self.calls + 1
  local time = now()
  if self.kind == "debounce" then
    self.at = time + self.seconds
  elseif time >= self.at and not is_pending(self) then
    self.at = time + self.seconds
    spawn(self.scope, run, pack(self, ...), self.options).site = self.site
    return
  end
  self.arguments = pack(...)
  if not self.task or self.task.state then
    self.task = spawn(self.scope, run_later, pack(self), self.options)
    self.task.site = self.site
  end
end

--- Make an object to be called: `fn` runs when no call has come for `seconds`. Not a checkpoint.
---@param seconds number
---@param fn function gets the arguments of the last call
---@return table debounce
function M.debounce(seconds, fn)
  return make("debounce", seconds, fn)
end

--- Make an object to be called: `fn` runs at the first call and then once in `seconds` at most, the last
-- time with the arguments of the last call. Not a checkpoint.
---@param seconds number
---@param fn function
---@return table throttle
function M.throttle(seconds, fn)
  return make("throttle", seconds, fn)
end

local function check_self(self, name)
  if getmetatable(self) ~= Calls then
    local text = "calling '" .. name .. "' on bad self (timer expected, got " .. describe(self)
    error(text .. "; is it called with a colon, as in t:" .. name .. "()?)", 3)
  end
end

--- Forget the call that has not run yet. Not a checkpoint.
---@return boolean accepted false when there was none
function Calls:cancel()
  check_self(self, "cancel")
  if not is_pending(self) then
    return false
  end
  self.arguments = nil
  hurry(self.task)
  return true
end

--- What has happened. Not a checkpoint.
---@return table {calls, runs, pending}
function Calls:statistics()
  check_self(self, "statistics")
  return { calls = self.calls, runs = self.runs, pending = is_pending(self) }
end

return M
