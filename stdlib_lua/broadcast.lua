--- Broadcasts: one value to everybody who has subscribed.
--
-- Belongs here: sending, and what happens when a subscriber is slow. Receiving: subscription.lua; the values:
-- broadcast_log.lua. (One value to one receiver: channel.lua.)

local kernel = require("kernel")
local failure = require("failure")
local logs = require("broadcast_log")
local subscriptions = require("subscription")
local cuts = require("broadcast_cuts")
local waitlist = require("waitlist")
local select = require("select")

local park, enter, wake, pressing = kernel.park, kernel.enter, kernel.wake, kernel.pressing
local check_place, isyieldable = kernel.check_place, coroutine.isyieldable
local bad_argument, describe, NIL = failure.bad_argument, select.describe, subscriptions.NIL
local setmetatable, getmetatable, type, error = setmetatable, getmetatable, type, error
local tostring, format, pairs, infinity = tostring, string.format, pairs, math.huge

local M = {}

local Broadcast = { __name = "broadcast" }
Broadcast.__index = Broadcast

local function check_broadcast(self, name)
  if getmetatable(self) ~= Broadcast then
    local got = self == nil and "no value" or describe(self)
    local text = "broadcast expected, got %s; call it with a colon, as in news:%s()"
    bad_argument(1, name, format(text, got, name), 2)
  end
end

Broadcast.__tostring = function(broadcast)
  return broadcast.title
end

local POLICIES = { wait = true, drop_oldest = true, close = true }

local function check_options(options)
  if type(options) ~= "table" then
    bad_argument(2, "new", "table of options expected, got " .. describe(options), 2)
  end
  for key in pairs(options) do
    if key ~= "policy" and key ~= "name" then
      local name = type(key) == "string" and "'" .. key .. "'" or "(a " .. describe(key) .. ")"
      bad_argument(2, "new", "unknown option " .. name .. "; known are policy and name", 2)
    end
  end
  local policy, name = options.policy, options.name
  if policy ~= nil and not POLICIES[policy] then
    local got = type(policy) == "string" and '"' .. policy .. '"' or describe(policy)
    local text = 'option \'policy\' must be "wait", "drop_oldest" or "close", got '
    bad_argument(2, "new", text .. got, 2)
  elseif name ~= nil and type(name) ~= "string" then
    bad_argument(2, "new", "option 'name' must be a string, got " .. describe(name), 2)
  end
end

--- Make a broadcast.
---@param buffer integer how many values it keeps for those who are behind: at least 1; math.huge: any number
---@param options table|nil {policy="wait"|"drop_oldest"|"close", name=string}: what happens when the slowest
--   subscription is further behind: the sender waits (default), it loses the oldest value, it is cut off
---@return table broadcast
function M.new(buffer, options)
  if type(buffer) ~= "number" then
    local got = buffer == nil and "no value" or describe(buffer)
    bad_argument(1, "new", "buffer must be a number, got " .. got)
  elseif not (buffer >= 1) or buffer ~= infinity and buffer % 1 ~= 0 then
    local text = "buffer must be a whole number, at least 1, or math.huge, got "
    bad_argument(1, "new", text .. tostring(buffer))
  end
  if options ~= nil then
    check_options(options)
  end
  local name = options and options.name
  return setmetatable({
    buffer = buffer,
    policy = options and options.policy or "wait",
    title = name and "broadcast '" .. name .. "'" or "broadcast",
    log = logs.new(),
    senders = waitlist.new({}), -- with the values they bring
    closed = false,
  }, Broadcast)
end

--- Subscribe: from now on every value. Not a checkpoint.
---@return table subscription it ends at the latest with the scope or task that made it
function Broadcast:subscribe()
  check_broadcast(self, "subscribe")
  return subscriptions.new(self)
end

-- ---------------------------------------------------------------------------------------------
-- Sending

local function refuse_closed(broadcast)
  local text = broadcast.title .. " is closed: nothing can be sent any more"
  error(failure.new("closed", text), 0)
end

-- Everybody who is as far behind as the buffer is long.
local function cut_off_slowest(log)
  local slowest, reader = {}, log.oldest
  while reader do
    if reader.position == log.first then
      slowest[#slowest + 1] = reader
    end
    reader = reader.next
  end
  cuts.cut_off(slowest)
end

-- Without waiting: to how many it went; nil and why when it cannot.
local function offer(broadcast, value)
  local log = broadcast.log
  if broadcast.closed then
    return nil, "closed"
  elseif log:size() >= broadcast.buffer then
    if broadcast.policy == "wait" then
      return nil, "full"
    elseif broadcast.policy == "drop_oldest" then
      log:drop()
    else
      cut_off_slowest(log)
      if broadcast.closed then -- by another task, while there were many to be cut off
        return nil, "closed"
      end
    end
  end
  log:append(value)
  return log.readers
end

function subscriptions.admit(broadcast)
  local senders, log = broadcast.senders, broadcast.log
  while senders.last > 0 and log:size() < broadcast.buffer do
    local sender, value = senders:pop()
    log:append(value)
    wake(sender, log.readers)
  end
end

-- Woken by `close`, a sender gets the broadcast, and makes its error in its own turn: there may be many.
local function sent(result)
  if type(result) == "table" then
    local text = result.title .. " was closed while a value waited to be sent"
    error(failure.new("closed", text), 0)
  end
  return result
end

local function detail(broadcast)
  local log = broadcast.log
  local text = "%s full (%d of %d subscriptions have not received its oldest value)"
  return format(text, broadcast.title, log.at[log.first], log.readers)
end

local sending -- the value of a `send`, between it and `begin`

local SEND = {
  reason = "resource",
  begin = function(task, broadcast)
    broadcast.senders:add(task, sending)
    sending = nil
  end,
  abort = function(task)
    task.on.senders:remove(task)
    return true
  end,
  detail = function(task)
    return detail(task.on)
  end,
  finish = sent,
}

--- Send a value to every subscription; may wait, see the policy. A checkpoint; others only run when it waits.
---@param value any
---@return integer subscriptions to how many
function Broadcast:send(value)
  check_broadcast(self, "send")
  if value == nil then
    value = NIL
  end
  if pressing.cancels > 0 then
    enter()
  end
  local count, why = offer(self, value)
  if count then
    return count
  elseif why == "closed" then
    refuse_closed(self)
  end
  if not isyieldable() then
    check_place() -- raises in a finalizer, which may run in the middle of the next two lines
  end
  sending = value
  return park(SEND, self)
end

--- Send if that needs no wait. Not a checkpoint.
---@return integer|nil subscriptions to how many; nil and "full" or "closed"
---@return string|nil why
function Broadcast:try_send(value)
  check_broadcast(self, "try_send")
  if value == nil then
    value = NIL
  end
  return offer(self, value)
end

--- Close: nothing can be sent any more, what was sent is received. Senders that wait raise. Not a checkpoint.
---@return boolean first false when it was closed already
function Broadcast:close()
  check_broadcast(self, "close")
  if self.closed then
    return false
  end
  self.closed = true
  self.senders.values = {}
  self.senders:wake_all(self)
  local reader = self.log.oldest
  while reader do
    subscriptions.wake_receivers(reader)
    reader = reader.next
  end
  return true
end

--- Who waits and what lies in it. Not a checkpoint.
---@return table {buffer, policy, buffered, subscriptions, senders_waiting, closed}
function Broadcast:statistics()
  check_broadcast(self, "statistics")
  return {
    buffer = self.buffer,
    policy = self.policy,
    buffered = self.log:size(),
    subscriptions = self.log.readers,
    senders_waiting = self.senders:count(),
    closed = self.closed,
  }
end

select.offer(Broadcast, "send", {
  try = function(broadcast, value)
    if value == nil then
      value = NIL
    end
    local count, why = offer(broadcast, value)
    if why == "closed" then
      refuse_closed(broadcast)
    end
    return count ~= nil, count
  end,
  add = function(case)
    local value = case.value
    if value == nil then
      value = NIL
    end
    case.object.senders:add(case, value)
  end,
  remove = function(case)
    case.object.senders:remove(case)
  end,
  finish = sent,
  detail = detail,
})

-- What scripts see.
M.public = { new = M.new }

return M
