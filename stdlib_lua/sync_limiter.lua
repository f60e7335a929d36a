--- sync.rate_limiter: so many per second, so many at once.
--
-- A token bucket, kept as the moment at which it was last full and the number of tokens taken since: counts
-- are exact, so nothing adds up, and the moment a waiter's timer is set for is the very one at which the
-- tokens are there. (Kept as one number, the moment at which it will be full, as in ATM's GCRA, it gave one
-- token less than its burst where a sum of rounded times lay one bit too high.) First come, first served;
-- only the first one in the queue has a timer, the limiter's own.

local kernel = require("kernel")
local failure = require("failure")
local sync_object = require("sync_object")
local timers = require("timers")

local enter, park, wake, now = kernel.enter, kernel.park, kernel.wake, kernel.now
local check_seconds, bad_argument = failure.check_seconds, failure.bad_argument
local arm, disarm = timers.arm, timers.disarm
local label, deadline, bad_self = sync_object.label, sync_object.deadline, sync_object.bad_self
local check_name, got = sync_object.check_name, sync_object.got
local getmetatable, type, pairs, tostring = getmetatable, type, pairs, tostring
local format, floor, abs, infinity = string.format, math.floor, math.abs, math.huge

local M = {}

local Limiter = sync_object.class("rate limiter")

local OPTIONS = { per_second = true, burst = true, name = true }

local function check_option(options, key, least)
  local value = options[key]
  if type(value) ~= "number" or not (value >= least and value > 0) then
    local wanted = least > 0 and "a number of at least " .. least or "a number greater than 0"
    local text = "option '" .. key .. "' must be " .. wanted .. ", got " .. got(value)
    bad_argument(1, "rate_limiter", text, 2)
  end
  return value
end

--- Make a limiter.
---@param options table {per_second=number, burst=number, name=string}: burst, 1 if not given, is how many
--   may go at once after a pause
---@return table limiter
function M.new(options)
  if type(options) ~= "table" then
    bad_argument(1, "rate_limiter", "table of options expected, got " .. got(options))
  end
  for key in pairs(options) do
    if not OPTIONS[key] then
      local text = "unknown option '" .. tostring(key) .. "'; known are per_second, burst, name"
      bad_argument(1, "rate_limiter", text)
    end
  end
  local rate = check_option(options, "per_second", 0)
  local burst = options.burst == nil and 1 or check_option(options, "burst", 1)
  check_name(1, "rate_limiter", options.name)
  return sync_object.new(Limiter, options.name, {
    per_second = rate,
    burst = burst,
    since = -infinity, -- when the bucket was full
    taken = 0.0, -- tokens since then; a float: whole numbers of Lua 5.4 would wrap around
    waiters = {}, -- each with the number of tokens it wants
    timer = nil, -- of the first waiter (timers.lua)
  })
end

local function detail(limiter)
  return label(limiter) .. format(" (%g per second)", limiter.per_second)
end

-- The moment from which on `n` tokens are there.
local function ready_at(limiter, n)
  return limiter.since + (limiter.taken + n - limiter.burst) / limiter.per_second
end

-- What a script adds up, times or amounts, is rounded each time: 16 units in the last place are forgiven.
-- Nobody gains by it, for what is taken is counted in full.
local ROUNDING = 2 ^ -49

-- How many tokens may be missing by rounding alone.
local function slack(limiter, time)
  local seconds = abs(time) + abs(limiter.since)
  return ROUNDING * (seconds * limiter.per_second + limiter.taken + limiter.burst)
end

local function is_ready(limiter, n, time)
  if not (time < ready_at(limiter, n)) then
    return true
  end
  local missing = limiter.taken + n - limiter.burst - (time - limiter.since) * limiter.per_second
  return missing <= slack(limiter, time) and missing < n / 100 -- rounding, not a faster rate
end

-- Beyond this, one token more is lost in rounding.
local MOST_TAKEN = 2 ^ 48

local function take(limiter, n, time)
  local full_at = limiter.since + limiter.taken / limiter.per_second
  if not (time < full_at) then
    limiter.since, limiter.taken = time, 0.0
  elseif limiter.taken > MOST_TAKEN then
    limiter.since, limiter.taken = full_at, 0.0
  end
  limiter.taken = limiter.taken + n
end

local function try(limiter, n)
  local time = now()
  if limiter.waiters.last > 0 or not is_ready(limiter, n, time) then
    return false
  end
  take(limiter, n, time)
  return true
end

-- Set the timer for the one who is first now.
local function set_timer(limiter)
  disarm(limiter)
  local waiter, wanted = limiter.waiters:peek()
  if waiter then
    arm(limiter, ready_at(limiter, wanted))
  end
end

--- The first one's tokens are there, perhaps more.
function Limiter:on_deadline()
  local waiters = self.waiters
  while waiters.last > 0 do
    local time = now()
    local waiter, wanted = waiters:peek()
    if not waiter or not is_ready(self, wanted, time) then
      break
    end
    waiters:pop()
    take(self, wanted, time)
    wake(waiter, true)
  end
  set_timer(self)
end

local function wrong_amount(limiter, n)
  if type(n) ~= "number" or not (n > 0) then
    return "the number of tokens must be a number greater than 0, got " .. got(n)
  elseif n > limiter.burst then
    return format(
      "the bucket never holds more than %g tokens (its burst), got %g",
      limiter.burst,
      n
    )
  end
end

local asked -- what an `acquire` wants, between it and `begin`

-- A waiter has left: the next one may be ready earlier, or later.
local ACQUIRE = sync_object.wait(detail, set_timer)
ACQUIRE.queued = nil

local function queue(limiter, waiter, n)
  limiter.waiters:add(waiter, n)
  if not limiter.timer then
    set_timer(limiter)
  end
end

function ACQUIRE.begin(task, waiters)
  queue(waiters.object, task, asked)
end

--- Take tokens; waits until they are there and it is one's turn. A checkpoint.
---@param n number|nil how many, not more than the burst; 1
---@param timeout number|nil seconds; nil waits for ever
---@return boolean|nil true, or nil and "timeout"
function Limiter:acquire(n, timeout)
  if getmetatable(self) ~= Limiter then
    bad_self(Limiter, "acquire", self)
  end
  local wrong = n ~= nil and wrong_amount(self, n)
  if wrong then
    bad_argument(1, "acquire", wrong)
  elseif timeout ~= nil then
    check_seconds(2, "acquire", timeout)
  end
  enter()
  if try(self, n or 1) then
    return true
  end
  asked = n or 1
  return park(ACQUIRE, self.waiters, timeout and deadline(timeout))
end

--- Take tokens if they are there. Not a checkpoint.
---@param n number|nil how many, not more than the burst; 1
---@return boolean|nil true, or nil and "exhausted"
function Limiter:try_acquire(n)
  if getmetatable(self) ~= Limiter then
    bad_self(Limiter, "try_acquire", self)
  end
  local wrong = n ~= nil and wrong_amount(self, n)
  if wrong then
    bad_argument(1, "try_acquire", wrong)
  end
  if try(self, n or 1) then
    return true
  end
  return nil, "exhausted"
end

--- What is there, how many wait. Not a checkpoint.
---@return table {per_second, burst, available, waiting}
function Limiter:statistics()
  if getmetatable(self) ~= Limiter then
    bad_self(Limiter, "statistics", self)
  end
  local time = now()
  local lacking = self.taken - (time - self.since) * self.per_second
  local whole = floor(lacking + 0.5)
  if abs(lacking - whole) <= slack(self, time) then
    lacking = whole -- else it would show 0.99999999999999 tokens where `acquire` gives one
  end
  return {
    per_second = self.per_second,
    burst = self.burst,
    available = self.burst - (lacking > 0 and lacking or 0),
    waiting = self.waiters:count(),
  }
end

sync_object.offer(Limiter, "acquire", {
  check = function(limiter, n)
    return n ~= nil and wrong_amount(limiter, n) or nil
  end,
  try = function(limiter, n)
    return try(limiter, n or 1), true
  end,
  add = function(case)
    queue(case.object, case, case.value or 1)
  end,
  removed = set_timer,
  detail = detail,
})

return M
