--- Channels: values from task to task, first in, first out.
--
-- Belongs here: one value to one receiver. (One value to everybody: broadcast.lua.) As in Go, a channel of
-- capacity 0 hands a value over when both sides are there, and closing is the sender's word that no more
-- come; unlike there, a closed channel never makes a receiver fail.
--
-- No value is lost and none arrives twice: a sender that waits has its value in `senders`, and takes it along
-- when it is cancelled; a receiver that was woken has its value, cancelled or not.

local kernel = require("kernel")
local failure = require("failure")
local waitlist = require("waitlist")
local select = require("select")

local park, wake, enter = kernel.park, kernel.wake, kernel.enter
local bad_argument, describe = failure.bad_argument, select.describe
local getmetatable, setmetatable, type, error = getmetatable, setmetatable, type, error
local tostring, format, infinity = tostring, string.format, math.huge

local M = {}

local Channel = { __name = "channel" }
Channel.__index = Channel
M.Channel = Channel

-- What a nil in a buffer or on its way is, and what wakes who waits when the channel closes. Functions, so
-- that comparing asks no __eq.
local function NIL() end
local function CLOSED() end

local function check_channel(self, name)
  if getmetatable(self) ~= Channel then
    local hint = type(self) == "table" and "" or " (call it with a colon: ch:" .. name .. "(...))"
    bad_argument("self", name, "channel expected, got " .. describe(self) .. hint, 2)
  end
end

local function label(channel)
  return channel.name and "channel '" .. channel.name .. "'" or "channel"
end
Channel.__tostring = label

local function refuse_closed(channel)
  error(failure.new("closed", label(channel) .. " is closed: nothing can be sent any more"), 0)
end

--- Make a channel.
---@param capacity integer|nil how many values it holds without a receiver; 0, the default: none, a sender waits
--   for one (rendezvous); math.huge: any number
---@param name string|nil for reports
---@return table channel
function M.new(capacity, name)
  if capacity == nil then
    capacity = 0
  elseif type(capacity) ~= "number" or not (capacity >= 0) then
    local got = type(capacity) == "number" and tostring(capacity) or describe(capacity)
    bad_argument(1, "new", "capacity must be a number that is not negative, got " .. got)
  elseif capacity ~= infinity and capacity % 1 ~= 0 then
    bad_argument(
      1,
      "new",
      "capacity must be a whole number or math.huge, got " .. tostring(capacity)
    )
  end
  if name ~= nil and type(name) ~= "string" then
    bad_argument(2, "new", "name (a string) expected, got " .. describe(name))
  end
  return setmetatable({
    capacity = capacity,
    name = name,
    -- The buffer: values at first .. last.
    first = 1,
    last = 0,
    senders = waitlist.new({}), -- with the values they bring
    receivers = waitlist.new(),
    closed = false,
  }, Channel)
end

-- ---------------------------------------------------------------------------------------------
-- The buffer

local function push(channel, value)
  local last = channel.last + 1
  channel.last = last
  channel[last] = value
end

-- A window that slides over a table for ever would live in its hash part: move it back to the start.
local function move_down(channel, first, last)
  local count = last - first + 1
  for i = 1, count do
    channel[i] = channel[first + i - 1]
  end
  for i = count + 1, last do
    channel[i] = nil
  end
  channel.first, channel.last = 1, count
end

-- Take the first value out of a buffer that holds one; whoever waits to send gets room.
local function pop(channel)
  local first, last = channel.first, channel.last
  local value = channel[first]
  channel[first] = nil
  if first == last then
    channel.first, channel.last = 1, 0
  else
    channel.first = first + 1
    if first > 32 and first * 2 > last then
      move_down(channel, first + 1, last)
    end
  end
  if channel.senders.last > 0 then
    local sender, waiting = channel.senders:pop()
    push(channel, waiting)
    wake(sender, true)
  end
  return value
end

-- ---------------------------------------------------------------------------------------------
-- Sending

local sending -- the value of a `send`, between it and `begin`

local function sent(result)
  if result == CLOSED then
    error(failure.new("closed", "the channel was closed while a value waited to be sent"), 0)
  end
  return true
end

local function send_detail(channel)
  return label(channel) .. (channel.capacity == 0 and ": a receiver" or " full")
end

local SEND = {
  reason = "resource",
  begin = function(task, channel)
    channel.senders:add(task, sending)
    sending = nil
  end,
  abort = function(task)
    task.on.senders:remove(task)
    return true
  end,
  detail = function(task)
    return send_detail(task.on)
  end,
  finish = sent,
}

-- Without waiting: done, or why not.
local function offer(channel, value)
  if channel.closed then
    return false, CLOSED
  elseif channel.receivers.last > 0 then
    wake(channel.receivers:pop(), value)
    return true
  elseif channel.last - channel.first + 1 < channel.capacity then
    push(channel, value)
    return true
  end
  return false
end

--- Send a value; waits while the channel is full. A checkpoint; others only run when it waits.
---@param value any
---@return boolean true
function Channel:send(value)
  if getmetatable(self) ~= Channel then
    check_channel(self, "send")
  end
  if value == nil then
    value = NIL
  end
  enter()
  local done, why = offer(self, value)
  if done then
    return true
  elseif why then
    refuse_closed(self)
  end
  sending = value
  return park(SEND, self)
end

--- Send if that needs no wait. Not a checkpoint.
---@return boolean|nil true, or nil and "full" or "closed"
---@return string|nil why
function Channel:try_send(value)
  check_channel(self, "try_send")
  if value == nil then
    value = NIL
  end
  local done, why = offer(self, value)
  if done then
    return true
  end
  return nil, why and "closed" or "full"
end

-- ---------------------------------------------------------------------------------------------
-- Receiving

local function received(value)
  if value == NIL then
    return nil
  elseif value == CLOSED then
    return nil, "closed"
  end
  return value
end

local function receive_detail(channel)
  return label(channel) .. " empty"
end

local RECEIVE = {
  reason = "resource",
  begin = function(task, channel)
    channel.receivers:add(task)
  end,
  abort = function(task)
    task.on.receivers:remove(task)
    return true
  end,
  detail = function(task)
    return receive_detail(task.on)
  end,
  finish = received,
}

-- Without waiting: whether there was something, and the value or CLOSED.
local function take(channel)
  if channel.last > 0 then
    return true, pop(channel)
  elseif channel.senders.last > 0 then
    local sender, value = channel.senders:pop()
    wake(sender, true)
    return true, value
  elseif channel.closed then
    return true, CLOSED
  end
  return false
end

--- Receive a value; waits while there is none. A checkpoint; others only run when it waits.
---@return any value nil and "closed" when the channel is closed and empty; nil alone is a nil that was sent
---@return string|nil state
function Channel:receive()
  if getmetatable(self) ~= Channel then
    check_channel(self, "receive")
  end
  enter()
  local found, value = take(self)
  if found then
    return received(value)
  end
  return park(RECEIVE, self)
end

--- Receive if that needs no wait. Not a checkpoint.
---@return any value nil and "empty" or "closed" when there is none
---@return string|nil state
function Channel:try_receive()
  check_channel(self, "try_receive")
  local found, value = take(self)
  if found then
    return received(value)
  end
  return nil, "empty"
end

local function next_value(channel)
  local value, state = channel:receive()
  if value == nil and state == nil then
    error(
      "a nil was sent on "
        .. label(channel)
        .. ", which ends no loop and cannot be its value; use receive",
      2
    )
  end
  return value
end

--- `for value in ch:iter() do`: until the channel is closed and empty. Each step is a checkpoint.
function Channel:iter()
  check_channel(self, "iter")
  return next_value, self, nil
end

-- ---------------------------------------------------------------------------------------------
-- Ending, looking on

--- Close: nothing can be sent any more, what was sent is received. Senders that wait raise. Not a checkpoint.
---@return boolean first false when it was closed already
function Channel:close()
  check_channel(self, "close")
  if self.closed then
    return false
  end
  self.closed = true
  local sender = self.senders:pop()
  while sender do
    wake(sender, CLOSED)
    sender = self.senders:pop()
  end
  self.receivers:wake_all(CLOSED)
  return true
end

--- Who waits and what lies in it. Not a checkpoint.
---@return table {capacity, buffered, senders_waiting, receivers_waiting, closed}
function Channel:statistics()
  check_channel(self, "statistics")
  return {
    capacity = self.capacity,
    buffered = self.last - self.first + 1,
    senders_waiting = self.senders:count(),
    receivers_waiting = self.receivers:count(),
    closed = self.closed,
  }
end

-- ---------------------------------------------------------------------------------------------
-- In a select

select.offer(Channel, "receive", {
  try = take,
  add = function(case)
    case.object.receivers:add(case)
  end,
  remove = function(case)
    case.object.receivers:remove(case)
  end,
  finish = received,
  detail = receive_detail,
})

select.offer(Channel, "send", {
  try = function(channel, value)
    if value == nil then
      value = NIL
    end
    local done, why = offer(channel, value)
    if why then
      refuse_closed(channel)
    end
    return done, true
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
  detail = send_detail,
})

-- What scripts see; the methods are in `Channel`.
M.public = { new = M.new }

return M
