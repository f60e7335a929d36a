--- What a stream can begin with: a list, an iterator, a channel, a subscription.

local failure = require("failure")
local core = require("stream_core")
local Channel = require("channel").Channel
local subscription = require("subscription")
local describe = require("select").describe

local bad_argument, new = failure.bad_argument, core.new
local getmetatable, type, error = getmetatable, type, error
local Subscription, receive_from = subscription.Subscription, subscription.receive
local receive, close_channel = Channel.receive, Channel.close

local M = {}

local function nothing() end

-- ---------------------------------------------------------------------------------------------
-- Lists, iterators

local function list_step(stage)
  local index = stage.index + 1
  local list = stage.list
  local length = stage.length or #list
  if type(length) ~= "number" then
    error("the length of the list (its __len) must be a number, got " .. describe(length), 0)
  elseif index > length then
    return false
  end
  stage.index = index
  return true, list[index]
end

local function of_list(list)
  local length = type(list.n) == "number" and list.n or nil
  return new({ step = list_step, shut = nothing, list = list, index = 0, length = length })
end

local function iterator_step(stage)
  local value = stage.fn(stage.state, stage.control)
  if value == nil then
    return false
  end
  stage.control = value
  return true, value
end

-- As a `for` loop of Lua 5.4 does with its fourth value. Where the reading task just goes away no code of the
-- script's may run: its garbage collector closes a file then.
local function shut_iterator(stage, quiet)
  local closing = stage.closing
  stage.closing = nil
  local meta = closing ~= nil and getmetatable(closing)
  local method = type(meta) == "table" and meta.__close
  if method and not quiet then
    method(closing, nil)
  end
end

local function of_iterator(fn, state, control, closing)
  return new({
    step = iterator_step,
    shut = shut_iterator,
    fn = fn,
    state = state,
    control = control,
    closing = closing,
  })
end

-- ---------------------------------------------------------------------------------------------
-- Channels, subscriptions

local function channel_step(stage)
  local value, state = receive(stage.channel)
  return state == nil, value
end

local function shut_channel(stage)
  close_channel(stage.channel)
end

local function subscription_step(stage)
  local value, state = receive_from(stage.subscription)
  return state == nil, value
end

local function shut_subscription(stage)
  stage.subscription:close()
end

-- ---------------------------------------------------------------------------------------------

local function is_callable(value)
  local meta = getmetatable(value)
  return type(value) == "function" or type(meta) == "table" and meta.__call ~= nil
end

--- The stream of anything iterable, or nil.
function M.of(value, ...)
  local class = getmetatable(value)
  if core.is_stream(value) then
    return value
  elseif class == Channel then
    return new({ step = channel_step, shut = shut_channel, channel = value })
  elseif class == Subscription then
    return new({ step = subscription_step, shut = shut_subscription, subscription = value })
  elseif is_callable(value) then
    return of_iterator(value, ...)
  elseif type(value) == "table" and type(value.iter) == "function" then
    return of_iterator(value:iter())
  elseif type(value) == "table" then
    return of_list(value)
  end
end

--- The same, of argument `n` of `name`.
function M.check(n, name, value, ...)
  local stream = M.of(value, ...)
  if not stream then
    local got = value == nil and "no value" or describe(value)
    local text =
      "something iterable expected (iterator function, list, channel, subscription, stream), got "
    bad_argument(n, name, text .. got, 2)
  end
  return stream
end

return M
