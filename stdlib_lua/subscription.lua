--- A subscription to a broadcast: receives every value sent after it was made.
--
-- Belongs here: receiving, and how a subscription ends. (Sending: broadcast.lua.) It ends by `close`, at the
-- latest with the scope or task that made it; else a forgotten one would hold the senders up for ever.

local kernel = require("kernel")
local failure = require("failure")
local lifetime = require("lifetime")
local waitlist = require("waitlist")
local select = require("select")

local park, enter, pressing = kernel.park, kernel.enter, kernel.pressing
local bad_argument, describe = failure.bad_argument, select.describe
local setmetatable, getmetatable, error, format = setmetatable, getmetatable, error, string.format

-- `admit(broadcast)`: there may be room, senders go on; set by broadcast.lua.
local M = { admit = nil }

local Subscription = { __name = "subscription" }
Subscription.__index = Subscription
M.Subscription = Subscription

-- As in channel.lua: a nil on its way, and the two ends.
local function NIL() end
local function CLOSED() end
local function SLOW() end
M.NIL = NIL

local function check_subscription(self, name)
  if getmetatable(self) ~= Subscription then
    local got = self == nil and "no value" or describe(self)
    local text = "subscription expected, got %s; call it with a colon, as in sub:%s()"
    bad_argument(1, name, format(text, got, name), 2)
  end
end

local function label(subscription)
  return "subscription to " .. subscription.broadcast.title
end
Subscription.__tostring = label

-- End it for `reason`; who waits for its values hears it.
local function finish(subscription, reason)
  subscription.ended = reason
  lifetime.untie(subscription)
  subscription.log:remove(subscription)
  subscription.receivers:wake_all(reason)
end

-- Its scope or task has ended.
local function on_end(subscription)
  finish(subscription, CLOSED)
  M.admit(subscription.broadcast)
end

--- Make one that belongs to the running code.
---@param broadcast table {title=, log=, senders=, closed=}
function M.new(broadcast)
  local subscription = setmetatable({
    broadcast = broadcast,
    log = broadcast.log,
    position = nil, -- of the next value; see broadcast_log.lua
    prev = nil,
    next = nil,
    receivers = waitlist.new(),
    ended = nil, -- CLOSED or SLOW
    lost = 0, -- in all
    lost_before = nil, -- of the value that a select takes now
    tie = nil,
  }, Subscription)
  subscription.receivers.subscription = subscription
  lifetime.tie(subscription, on_end, "subscribe")
  broadcast.log:add(subscription)
  return subscription
end

--- It was too slow for its broadcast, and misses what it has not read.
function M.cut_off(subscription)
  finish(subscription, SLOW)
end

--- The broadcast is closed: nothing comes any more for those who wait.
function M.wake_receivers(subscription)
  subscription.receivers:wake_all(CLOSED)
end

-- ---------------------------------------------------------------------------------------------
-- Receiving

local marks = {
  [NIL] = function()
    return nil
  end,
  [CLOSED] = function()
    return nil, "closed"
  end,
  [SLOW] = function()
    return nil, "slow"
  end,
}

local function received(value)
  if marks[value] then
    return marks[value]()
  end
  return value
end

local function detail(subscription)
  return label(subscription) .. ": a value"
end

local RECEIVE = {
  reason = "resource",
  queued = true,
  abort = function(task)
    task.on:remove(task)
    return true
  end,
  detail = function(task)
    return detail(task.on.subscription)
  end,
  marks = marks,
}

-- Without waiting: whether there was something, the value or an end, how many were lost before it.
local function take(subscription)
  local log, broadcast = subscription.log, subscription.broadcast
  if subscription.ended then
    return true, subscription.ended
  elseif subscription.position <= log.last then
    local value, lost = log:read(subscription)
    if lost then
      subscription.lost = subscription.lost + lost
    end
    if broadcast.senders.last > 0 then
      M.admit(broadcast)
    end
    return true, value, lost
  elseif broadcast.closed then
    return true, CLOSED
  end
  return false
end

local function with_lost(value, lost)
  if lost then
    local plain = received(value)
    return plain, nil, lost
  end
  return received(value)
end

--- Receive the next value; waits while there is none. A checkpoint; others only run when it waits.
---@return any value nil and "closed" at the end, nil and "slow" after it was cut off; nil alone is a nil that
--   was sent
---@return string|nil state
---@return integer|nil lost how many values were dropped before this one
function Subscription:receive()
  check_subscription(self, "receive")
  if pressing.cancels > 0 then
    enter()
  end
  local found, value, lost = take(self)
  if not found then
    return park(RECEIVE, self.receivers)
  end
  return with_lost(value, lost)
end
local receive = Subscription.receive

--- Receive if that needs no wait. Not a checkpoint.
---@return any value nil and "empty", "closed" or "slow" when there is none
function Subscription:try_receive()
  check_subscription(self, "try_receive")
  local found, value, lost = take(self)
  if not found then
    return nil, "empty"
  end
  return with_lost(value, lost)
end

--- `receive` for loops: who was cut off must not take that for the end.
function M.receive(subscription)
  local value, state, lost = receive(subscription)
  if state == "slow" then
    local text = "the "
      .. label(subscription)
      .. " was too slow and was cut off: values are missing"
    error(failure.new("slow", text), 0)
  end
  return value, state, lost
end
local receive_or_raise = M.receive

local function next_value(subscription)
  local value, state, lost = receive_or_raise(subscription)
  if value == nil and state == nil then
    local text = "a nil was sent on %s: a loop cannot have it as its value; use receive there"
    error(format(text, subscription.broadcast.title), 2)
  end
  return value, lost
end

--- `for value, lost in sub:iter() do`: until the end. Raises {kind="slow"} when it was cut off.
function Subscription:iter()
  check_subscription(self, "iter")
  return next_value, self, nil
end

--- End the subscription; what it has not received it will not. Not a checkpoint.
---@return boolean first false when it had ended already
function Subscription:close()
  check_subscription(self, "close")
  if self.ended then
    return false
  end
  finish(self, CLOSED)
  M.admit(self.broadcast)
  return true
end
Subscription.__close = Subscription.close

--- What it has yet to receive. Not a checkpoint.
---@return table {buffered, lost, receivers_waiting, closed}
function Subscription:statistics()
  check_subscription(self, "statistics")
  local first, last = self.log.first, self.log.last
  local missed = not self.ended and self.position < first and first - self.position or 0
  local position = missed > 0 and first or self.position
  return {
    buffered = self.ended and 0 or last - position + 1,
    lost = self.lost + missed,
    receivers_waiting = self.receivers:count(),
    closed = self.ended ~= nil or self.broadcast.closed and position > last,
  }
end

select.offer(Subscription, "receive", {
  try = function(subscription)
    local found, value, lost = take(subscription)
    subscription.lost_before = lost
    return found, value
  end,
  add = function(case)
    case.object.receivers:add(case)
  end,
  remove = function(case)
    case.object.receivers:remove(case)
  end,
  finish = function(value, subscription)
    local lost = subscription.lost_before
    subscription.lost_before = nil
    return with_lost(value, lost)
  end,
  detail = detail,
})

return M
