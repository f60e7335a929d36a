--- The wire: what sockets ask of the reactor, and what comes from it, in batches.
--
-- Belongs here: the two directions and who is meant. Does not belong here: what streams, servers and
-- connecting tasks make of it (net_stream.lua, net_server.lua, net_connect.lua), nor sockets: a socket is a
-- number here, and the rest of it is in bridge/reactor.py.
--
-- Python calls `take` after each slice and `deliver` and `event` before the next one, with everything that
-- happened meanwhile. So a message costs two values each way, and no call of its own.

local kernel = require("kernel")
local usage = require("usage")

local wake, reschedule = kernel.wake, kernel.reschedule
local setmetatable, getmetatable, pairs = setmetatable, getmetatable, pairs
local select, concat = select, table.concat
local unpack, newproxy = kernel.unpack, newproxy

local current = kernel.current

local M = {}

-- Whether anybody has asked what tasks use (usage.lua).
local metering = usage.counting
usage.started[#usage.started + 1] = function()
  metering = true
end
local count_bytes = usage.count_bytes

-- What can be asked of a socket, as in bridge/reactor.py. A number from 0 on: take so many connections.
M.FINISH, M.SHUTDOWN, M.REPORT, M.PAUSE, M.RESUME, M.ABORT = -1, -2, -3, -4, -5, -6

-- number -> stream, server or attempt. Weak: who forgets a stream has its socket closed.
local objects = setmetatable({}, { __mode = "v" })

-- To be asked: number, what, number, what, ... at 1 .. count. `taken` of these Python has.
local queue, count, taken = {}, 0, 0
local stale = 0 -- slots behind `count` that still hold what was sent
local batch = 1 -- another number for each `take`
local lists = {} -- slot -> pieces that go there together, in `joined` slots
local joined, joins = {}, 0
-- Numbers of sockets nobody holds any more. Finalizers run anywhere, also inside `send`: a list of its own.
local dropped, drops = {}, 0

-- ---------------------------------------------------------------------------------------------
-- To the reactor

--- Ask something of a socket.
---@param number integer
---@param what integer see M.ABORT and so on
local function ask(number, what)
  queue[count + 1], queue[count + 2] = number, what
  count = count + 2
end
M.ask = ask

--- Send; several pieces of a stream in one slice go together.
---@param stream table
---@param data string
---@return integer unsent bytes that are not known to be on their way
function M.send(stream, data)
  local unsent
  if stream.batch == batch then
    local slot = stream.slot
    local list = lists[slot]
    if list then
      list[#list + 1] = data
    else
      lists[slot] = { queue[slot], data }
      joins = joins + 1
      joined[joins] = slot
    end
    unsent = stream.unsent + #data
  else
    local slot = count + 2
    queue[slot - 1], queue[slot] = stream.number, data
    count = slot
    stream.batch, stream.slot = batch, slot
    unsent = stream.backlog + #data
  end
  stream.unsent = unsent
  if metering then
    count_bytes(current(), #data, 0)
  end
  return unsent
end

--- Bytes of `stream` that are not known to be on their way.
function M.unsent(stream)
  return stream.batch == batch and stream.unsent or stream.backlog
end

local function forget_sent()
  for i = 1, stale do
    queue[i] = nil
  end
  stale = 0
end

local function join_pieces()
  for i = 1, joins do
    local slot = joined[i]
    queue[slot], lists[slot] = concat(lists[slot]), nil
  end
  joins = 0
end

-- From the end, one by one: a finalizer may add to the list meanwhile.
local function ask_to_drop()
  while drops > 0 do
    local number = dropped[drops]
    dropped[drops] = nil
    drops = drops - 1
    ask(number, M.ABORT)
  end
end

local MOST_VALUES = 200 -- of one call: Lua's stack of C must hold them

--- Python: what is asked for, until it returns nothing.
---@return ... number, what, number, what, ...
function M.take()
  if taken == 0 then
    if drops > 0 then
      ask_to_drop()
    end
    if count == 0 then
      if stale > 0 then
        forget_sent()
      end
      return
    elseif joins > 0 then
      join_pieces()
    end
    batch = batch + 1
  end
  local first, last = taken + 1, count
  if last - taken <= MOST_VALUES then
    if last > stale then
      stale = last
    end
    count, taken = 0, 0
    return unpack(queue, first, last)
  end
  taken = taken + MOST_VALUES
  return unpack(queue, first, taken)
end

-- ---------------------------------------------------------------------------------------------
-- From the reactor

local on_data, on_end -- of streams, which alone are read from
local awaited = {} -- class -> function(object) -> boolean
local handlers = {} -- class -> what its objects do at events, by name

--- Say what streams do with data and with their end.
---@param data function(stream, string)
---@param ending function(stream, err)
function M.streams(data, ending)
  on_data, on_end = data, ending
end

--- Say what objects of a class do when something happens to their socket.
---@param class table
---@param events table name -> function(object, ...); the names are the reactor's
---@param waits function(object) -> boolean: does a task wait for it?
function M.handle(class, events, waits)
  handlers[class], awaited[class] = events, waits
end

--- Python, when nothing is ready: does any task wait for a socket? Mostly the first one looked at is awaited,
-- so this costs less than to keep count.
---@return boolean
function M.waiting()
  for _, object in pairs(objects) do
    if awaited[getmetatable(object)](object) then
      return true
    end
  end
  return false
end

--- Python: data that were read.
---@param ... any number, string, number, string, ...; an empty string is the end of the stream
function M.deliver(...)
  local values = { ... }
  for i = 1, select("#", ...), 2 do
    local stream = objects[values[i]]
    if stream then
      local data = values[i + 1]
      local reader = stream.reader
      if metering then
        count_bytes(reader and (reader.co and reader or reader.cases.task) or nil, 0, #data)
      end
      if data == "" then
        on_end(stream, nil)
      elseif reader and not stream.filling then
        -- The usual way: straight to the task that waits.
        stream.reader = false
        if reader.co then
          reschedule(reader, data)
        else
          wake(reader, data)
        end
      else
        on_data(stream, data)
      end
    end
  end
end

--- Python: what else has happened to a socket.
---@param number integer
---@param what string see `handle`
---@param ... any
function M.event(number, what, ...)
  local object = objects[number]
  if object then
    handlers[getmetatable(object)][what](object, ...)
  elseif what == "accepted" then
    ask((...), M.ABORT) -- the server was collected meanwhile
  end
end

-- ---------------------------------------------------------------------------------------------
-- Who is meant

--- Let `object` hear of socket `number`.
function M.attach(number, object)
  objects[number] = object
end

--- Not any more; its socket is closed, or about to be.
function M.detach(number)
  objects[number] = nil
end

--- The finalizer of objects with the field `number`: closes the socket, unless `number` is false.
local function on_collect(object)
  local number = object.number
  if number then
    drops = drops + 1
    dropped[drops] = number
  end
end

--- Make a class whose objects close their sockets when they are collected. On LuaJIT tables have no
-- finalizers: there each object keeps a userdata that has (see `watch`).
function M.collected(class)
  class.__gc = on_collect
end

--- Begin to watch an object of such a class.
function M.watch(object)
  if newproxy then
    -- The proxy must not hold the object, or neither would ever go: they share what is needed.
    local shared = { number = object.number }
    local proxy = newproxy(true)
    getmetatable(proxy).__gc = function()
      on_collect(shared)
    end
    object.proxy, object.shared = proxy, shared
  end
end

--- The object's socket is closed: nothing is left to be done when it is collected.
function M.unwatch(object)
  object.number = false
  if object.shared then
    object.shared.number = false
  end
end

return M
