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

local park, enter, pressing = kernel.park, kernel.enter, kernel.pressing
local wake_first, check_place = kernel.wake_first, kernel.check_place
local isyieldable = coroutine.isyieldable
local bad_argument, describe = failure.bad_argument, select.describe
local setmetatable, type, error = setmetatable, type, error
local tostring, format, infinity = tostring, string.format, math.huge

local M = {}

local Channel = { __name = "channel" }
Channel.__index = Channel
M.Channel = Channel

-- What a nil in a buffer or on its way is, and what wakes receivers when the channel closes. Functions, so
-- that comparing asks no __eq.
local function NIL() end
local function CLOSED() end

-- All of them. Asking here costs a third of `getmetatable`, and no value makes it fail.
local is_channel = setmetatable({}, { __mode = "k" })

local function check_channel(self, name)
  if not is_channel[self] then
    local got = self == nil and "no value" or describe(self)
    local text = "channel expected, got "
      .. got
      .. "; call it with a colon, as in ch:"
      .. name
      .. "()"
    bad_argument(1, name, text, 2)
  end
end

local function label(channel)
  return channel.name and "channel '" .. channel.name .. "'" or "channel"
end
Channel.__tostring = label

--- Make a channel.
---@param capacity integer|nil how many values it holds without a receiver; 0, the default: none, a sender
--   waits for one (rendezvous); math.huge: any number
---@param name string|nil for reports
---@return table channel
function M.new(capacity, name)
  if capacity == nil then
    capacity = 0
  elseif type(capacity) ~= "number" then
    bad_argument(1, "new", "capacity must be a number, got " .. describe(capacity))
  elseif not (capacity >= 0) or capacity ~= infinity and capacity % 1 ~= 0 then
    local text = "capacity must be a whole number, not negative, or math.huge, got "
    bad_argument(1, "new", text .. tostring(capacity))
  end
  if name ~= nil and type(name) ~= "string" then
    bad_argument(2, "new", "name (a string) expected, got " .. describe(name))
  end
  local channel = setmetatable({
    capacity = capacity,
    name = name,
    -- The buffer: values at first .. last; last is 0 when it is empty.
    first = 1,
    last = 0,
    senders = waitlist.new({}), -- with the values they bring
    receivers = waitlist.new(),
    closed = false,
  }, Channel)
  channel.receivers.channel = channel
  is_channel[channel] = true
  return channel
end

-- ---------------------------------------------------------------------------------------------
-- The buffer

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
  local value, senders = channel[first], channel.senders
  channel[first] = nil
  if first == last then
    channel.first, channel.last = 1, 0
  else
    channel.first = first + 1
    if first > 32 and first * 2 > last then
      move_down(channel, first + 1, last)
    end
  end
  if senders.last > 0 then -- last: a finalizer that runs meanwhile may use the channel
    local next_value = wake_first(senders, true)
    last = channel.last + 1
    channel[last], channel.last = next_value, last
  end
  return value
end

-- ---------------------------------------------------------------------------------------------
-- Sending

local function refuse_closed(channel)
  error(failure.new("closed", label(channel) .. " is closed: nothing can be sent any more"), 0)
end

-- Woken by `close`, a sender gets the channel, and makes its error in its own turn: there may be many.
local function sent(result)
  if result ~= true then
    local text = label(result) .. " was closed while a value waited to be sent"
    error(failure.new("closed", text), 0)
  end
  return true
end

local function send_detail(channel)
  return label(channel) .. (channel.capacity == 0 and ": a receiver" or " full")
end

local sending -- the value of a `send`, between it and `begin`

local SEND = {
  reason = "resource",
  begin = function(task, channel) -- `senders:add`, in line
    local senders = channel.senders
    local last = senders.last + 1
    senders.last = last
    senders[last], senders.values[last] = task, sending
    task.slot, sending = last, nil
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

-- Without waiting: done, or why not. (Where somebody waits to receive, the channel is open and empty.)
local function offer(channel, value)
  if channel.receivers.last > 0 then
    wake_first(channel.receivers, value)
    return true
  elseif channel.closed then
    return false, CLOSED
  end
  local last = channel.last
  if last - channel.first + 1 < channel.capacity then
    channel.last = last + 1
    channel[last + 1] = value
    return true
  end
  return false
end

--- Send a value; waits while the channel is full. A checkpoint; others only run when it waits.
---@param value any
---@return boolean true
function Channel:send(value)
  if not is_channel[self] then
    check_channel(self, "send")
  end
  if value == nil then
    value = NIL
  end
  if pressing.cancels > 0 then
    enter()
  end
  local receivers = self.receivers
  if receivers.last > 0 then -- the most frequent case of `offer`, in line
    wake_first(receivers, value)
    return true
  end
  local done, why = offer(self, value)
  if done then
    return true
  elseif why then
    refuse_closed(self)
  end
  if not isyieldable() then
    check_place() -- raises in a finalizer, which may run in the middle of the next two lines
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
  queued = true,
  abort = function(task)
    task.on:remove(task)
    return true
  end,
  detail = function(task)
    return receive_detail(task.on.channel)
  end,
  -- What `received` does, without a call for each value.
  marks = {
    [NIL] = function()
      return nil
    end,
    [CLOSED] = function()
      return nil, "closed"
    end,
  },
}

-- Without waiting: whether there was something, and the value or CLOSED.
local function take(channel)
  if channel.last > 0 then
    return true, pop(channel)
  elseif channel.senders.last > 0 then
    return true, wake_first(channel.senders, true)
  elseif channel.closed then
    return true, CLOSED
  end
  return false
end

--- Receive a value; waits while there is none. A checkpoint; others only run when it waits.
---@return any value nil and "closed" when the channel is closed and empty; nil alone is a nil that was sent
---@return string|nil state
function Channel:receive()
  if not is_channel[self] then
    check_channel(self, "receive")
  end
  if self.last == 0 and self.senders.last == 0 and not self.closed then
    return park(RECEIVE, self.receivers)
  end
  if pressing.cancels > 0 then
    enter()
  end
  local _, value = take(self)
  if value == NIL or value == CLOSED then
    return received(value)
  end
  return value
end
local receive = Channel.receive

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
  local value, state = receive(channel)
  if value == nil and state == nil then
    local text = "a nil was sent on %s: a loop cannot have it as its value; use receive there"
    error(format(text, label(channel)), 2)
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
  self.senders.values = {}
  self.senders:wake_all(self)
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
  queue = "receivers",
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
