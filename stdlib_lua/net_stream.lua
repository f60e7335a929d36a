--- Streams: a connection as a task uses it.
--
-- Belongs here: reading what comes, writing, closing, and what the reactor says of it. Lines and the like:
-- net_reading.lua.
--
-- The reactor reads ahead, up to a window, and what it has read waits here; so a read needs no request. A
-- write goes out when the slice ends; it waits only while much is unsent.

local kernel = require("kernel")
local failure = require("failure")
local waitlist = require("waitlist")
local select_library = require("select")
local wire = require("net_wire")
local errors = require("net_errors")

local park, enter, pressing, wake = kernel.park, kernel.enter, kernel.pressing, kernel.wake
local ask, send = wire.ask, wire.send
local is_cancelled = require("scope").is_cancelled
local bad_argument, describe = failure.bad_argument, select_library.describe
local setmetatable, type, error = setmetatable, type, error
local tostring, select, concat, sub = tostring, select, table.concat, string.sub

local M = {}

local Stream = { __name = "net.stream" }
Stream.__index = Stream
M.Stream = Stream
wire.collected(Stream)

-- All of them: asking here costs a third of `getmetatable`.
local is_stream = setmetatable({}, { __mode = "k" })

-- Unsent bytes above which a writer waits.
local HIGH_BYTES = 65536

-- Bytes that wait here for somebody to take them, from where on no more are read.
local AHEAD_BYTES = 65536

--- Make the stream of a socket that is connected.
---@param number integer
---@param host string|nil of the other side, or the path of a Unix socket
---@param port integer|nil
---@return table stream
function M.new(number, host, port)
  local stream = setmetatable({
    number = number, -- false when it is closed
    host = host,
    port = port,
    reader = false, -- task or case that waits for data
    filling = false, -- what comes is put behind what is here, the reader only woken
    buffer = false, -- string: what was read and not taken, from `at` on; false: nothing
    at = 1,
    pieces = false, -- what came after it
    size = 0, -- bytes in both
    paused = false, -- the reactor was asked to read no more
    input = false, -- how reading has ended: "eof", or an error; false: it has not
    output = false, -- the same for writing: an error
    backlog = 0, -- unsent bytes, as the reactor said
    unsent = 0, -- the same with what was written in slice `batch`
    batch = 0,
    slot = 0,
    writers = false, -- waitlist of those held back
    shut = false, -- by `shutdown`
    closer = false, -- task that waits for the end of sending
  }, Stream)
  is_stream[stream] = true
  wire.attach(number, stream)
  wire.watch(stream)
  return stream
end

local function label(stream)
  return errors.address(stream.host, stream.port)
end
M.label = label

function Stream:__tostring()
  return "net.stream " .. label(self) .. (self.number and "" or " (closed)")
end

local function check_self(self, name)
  if not is_stream[self] then
    local got = self == nil and "no value" or describe(self)
    local text = "stream expected, got "
      .. got
      .. "; call it with a colon, as in stream:"
      .. name
      .. "()"
    bad_argument(1, name, text, 2)
  end
end
M.check_self = check_self

--- A whole number of at least `least`, nil for none.
local function check_count(n, name, value, least)
  local whole = type(value) == "number" and value % 1 == 0 and value >= least
  if not whole then
    local got = type(value) == "number" and tostring(value) or describe(value)
    local text = "a whole number of at least " .. least .. " expected, got " .. got
    bad_argument(n, name, text, 2)
  end
end
M.check_count = check_count

-- ---------------------------------------------------------------------------------------------
-- The buffer

local function resume(stream)
  stream.paused = false
  if stream.number then
    ask(stream.number, wire.RESUME)
  end
end

--- Everything in one string; there is something.
---@return string buffer
---@return integer at where it begins
function M.whole(stream)
  local pieces = stream.pieces
  if pieces then
    if stream.at > 1 then
      pieces[1] = sub(pieces[1], stream.at)
      stream.at = 1
    end
    stream.buffer, stream.pieces = concat(pieces), false
  end
  return stream.buffer, stream.at
end

--- Let the first bytes go.
---@param bytes integer
function M.drop(stream, bytes)
  if bytes == stream.size then
    stream.buffer, stream.pieces, stream.at = false, false, 1
  else
    stream.at = stream.at + bytes
  end
  local size = stream.size - bytes
  stream.size = size
  if stream.paused and size <= AHEAD_BYTES / 2 then
    resume(stream)
  end
end
local whole, drop = M.whole, M.drop

--- Take up to `most` bytes out; there is something.
local function take(stream, most)
  local buffer, at = whole(stream)
  local size = stream.size
  if size <= most then
    local data = at == 1 and buffer or sub(buffer, at)
    drop(stream, size)
    return data
  end
  local data = sub(buffer, at, at + most - 1)
  drop(stream, most)
  return data
end
M.take = take

-- ---------------------------------------------------------------------------------------------
-- Reading

-- How a read ends when no data come any more.
local function ended(stream)
  local input = stream.input
  if input == "eof" then
    return nil
  end
  return nil, input
end
M.ended = ended

local function begin_read(task, stream)
  stream.reader = task
end

local function abort_read(task)
  task.on.reader, task.on.filling = false, false
  return true
end

local function read_detail(task)
  return "read from " .. label(task.on)
end

local READ = {
  reason = "io",
  begin = begin_read,
  abort = abort_read,
  detail = read_detail,
}

local FILL = {
  reason = "io",
  begin = function(task, stream)
    stream.filling = true
    if stream.paused then
      resume(stream) -- who waits for more takes what is here, however much it is
    end
    begin_read(task, stream)
  end,
  abort = abort_read,
  detail = read_detail,
}

local function refuse_second(stream, name, level)
  local text = ": another task reads from it; let one task read and pass on what it gets"
  error("cannot " .. name .. " from " .. label(stream) .. text, level + 1)
end

--- Wait until there is more in the buffer. A checkpoint.
---@return boolean more false when nothing comes any more
function M.fill(stream, name)
  if stream.input then
    return false
  end
  if stream.reader then
    refuse_second(stream, name, 3)
  end
  local before = stream.size
  park(FILL, stream)
  return stream.size > before
end

--- Read what there is; waits while there is nothing. A checkpoint.
---@param most integer|nil at most so many bytes
---@return string|nil data nil alone at the end of the stream
---@return table|nil err
function Stream:read(most)
  if not is_stream[self] then
    check_self(self, "read")
  end
  if most then
    check_count(1, "read", most, 1)
  end
  if self.buffer then
    if pressing.cancels > 0 then
      enter()
    end
    return take(self, most or self.size)
  elseif self.input then
    if pressing.cancels > 0 then
      enter()
    end
    return ended(self)
  end
  if self.reader then
    refuse_second(self, "read", 2)
  end
  if most then
    park(FILL, self)
    if self.buffer then
      return take(self, most)
    end
    return ended(self)
  end
  local data = park(READ, self)
  if data then
    return data
  end
  return ended(self)
end

-- ---------------------------------------------------------------------------------------------
-- Writing

local function write_detail(task)
  return "write to " .. label(task.on)
end

local WRITE = {
  reason = "io",
  begin = function(task, stream)
    local writers = stream.writers or waitlist.new()
    stream.writers = writers
    writers:add(task)
  end,
  abort = function(task)
    task.on.writers:remove(task)
    return true
  end,
  detail = write_detail,
  finish = function(stream)
    if stream.output then
      return nil, stream.output
    end
    return true
  end,
}

-- Anything that is no string: a number as `io.write` takes it.
local function text_of(n, value, level)
  if type(value) == "string" then
    return value
  elseif type(value) == "number" then
    return tostring(value)
  end
  local got = value == nil and "no value" or describe(value)
  bad_argument(n, "write", "string expected, got " .. got, level)
end

local function join(...)
  local parts = { ... }
  for i = 1, select("#", ...) do
    parts[i] = text_of(i, parts[i], 3)
  end
  return concat(parts)
end

-- Python holds what is unsent, outside every limit: with limits it gets a piece at a time.
local PIECE_BYTES = 1048576

local function write_pieces(stream, data)
  for first = 1, #data, PIECE_BYTES do
    send(stream, sub(data, first, first + PIECE_BYTES - 1))
    ask(stream.number, wire.REPORT)
    local done, err = park(WRITE, stream)
    if not done then
      return nil, err
    end
  end
  return true
end

--- Write; waits while much is unsent. What was written is on its way when the task waits next. A checkpoint.
---@param data string several are written as one
---@return boolean|nil true, or nil and an error
---@return table|nil err
function Stream:write(data, ...)
  if not is_stream[self] then
    check_self(self, "write")
  end
  if select("#", ...) > 0 then
    data = join(data, ...)
  elseif type(data) ~= "string" then
    data = text_of(1, data, 2)
  end
  if pressing.cancels > 0 then
    enter()
  end
  if self.output then
    return nil, self.output
  elseif data == "" then
    return true
  end
  if #data > PIECE_BYTES and kernel.limited then
    return write_pieces(self, data)
  elseif send(self, data) <= HIGH_BYTES then
    return true
  end
  ask(self.number, wire.REPORT)
  return park(WRITE, self)
end

-- ---------------------------------------------------------------------------------------------
-- What the reactor says

local events = {} -- not methods: no script is to call them

-- Data came that nobody waits for, or who waits wants to have more together.
local function on_data(self, data)
  local size = #data
  self.size = self.size + size
  if not self.buffer then
    self.buffer, self.at = data, 1
  elseif self.pieces then
    self.pieces[#self.pieces + 1] = data
  else
    self.pieces = { self.buffer, data }
  end
  local reader = self.reader
  if reader then
    self.reader, self.filling = false, false
    wake(reader, true)
  elseif self.size >= AHEAD_BYTES and not self.paused then
    self.paused = true
    ask(self.number, wire.PAUSE)
  end
end

local function wake_writers(stream)
  local writers = stream.writers
  if writers and writers.last > 0 then
    writers:wake_all(stream)
  end
end

-- Nothing more will come; `err` nil: the other side has ended it as it should.
local function on_end(self, err)
  if self.input then
    return
  end
  self.input = err or "eof"
  local reader = self.reader
  if reader then
    self.reader, self.filling = false, false
    wake(reader, nil)
  end
end

-- Nothing more will be sent.
local function end_output(stream, err)
  if not stream.output then
    stream.output = err
  end
  wake_writers(stream)
end

-- So much is unsent.
function events.backlog(self, bytes)
  self.backlog = bytes
  if bytes <= HIGH_BYTES / 4 then
    wake_writers(self)
  end
end

-- Sending has failed; what came before may still be read.
function events.broken(self, kind, why)
  self.backlog = 0
  end_output(self, errors.new(kind, "write to " .. label(self), why))
end

-- Reading has failed: the connection is gone.
function events.reset(self, kind, why)
  local err = errors.new(kind, "connection to " .. label(self), why)
  end_output(self, err)
  on_end(self, err)
end

-- Everything is sent and the socket closed.
function events.closed(self)
  local closer = self.closer
  wire.detach(self.number)
  wire.unwatch(self)
  if closer then
    self.closer = false
    wake(closer)
  end
end

wire.streams(on_data, on_end)
wire.handle(Stream, events, function(stream)
  return stream.reader or stream.closer or stream.writers and stream.writers.last > 0
end)

-- ---------------------------------------------------------------------------------------------
-- Ending

-- From now on nobody reads or writes.
local function shut_both(stream)
  local err = errors.new("closed", "stream " .. label(stream), "it was closed on this side")
  stream.buffer, stream.pieces, stream.size = false, false, 0
  if stream.input then
    stream.input = err
  end
  on_end(stream, err)
  stream.output = err
  wake_writers(stream)
end

--- Close now: what is unsent is lost. Not a checkpoint.
function M.abort(stream)
  if stream.number then
    ask(stream.number, wire.ABORT)
    wire.detach(stream.number)
    wire.unwatch(stream)
    shut_both(stream)
  end
end
local abort = M.abort

local CLOSE = {
  reason = "io",
  begin = function(task, stream)
    stream.closer = task
  end,
  abort = function(task)
    local stream = task.on
    stream.closer = false
    abort(stream) -- cancelled: at once
    return true
  end,
  detail = function(task)
    return "the end of writing to " .. label(task.on)
  end,
}

--- Close, when everything that was written is sent; cancelled meanwhile, at once. A checkpoint if it waits.
---@return boolean true
function Stream:close()
  if not is_stream[self] then
    check_self(self, "close")
  end
  local number = self.number
  if not number or self.closer then
    return true
  end
  local lost = self.output and not self.shut
  if lost or wire.unsent(self) == 0 or pressing.cancels > 0 and is_cancelled(kernel.current()) then
    abort(self)
    return true
  end
  shut_both(self)
  ask(number, wire.FINISH)
  park(CLOSE, self)
  return true
end

Stream.__close = Stream.close

--- Say that nothing more will be written; reading goes on. What was written is sent. Not a checkpoint.
---@return boolean|nil true, or nil and an error
---@return table|nil err
function Stream:shutdown()
  if not is_stream[self] then
    check_self(self, "shutdown")
  end
  if self.output then
    return nil, self.output
  end
  ask(self.number, wire.SHUTDOWN)
  local err = errors.new("closed", "write to " .. label(self), "its writing side was shut down")
  end_output(self, err)
  self.shut = true
  return true
end

--- The other side: host and port, or the path of a Unix socket ("" without a name). Not a checkpoint.
---@return string host
---@return integer|nil port
function Stream:peer()
  check_self(self, "peer")
  return self.host or "", self.port
end

-- ---------------------------------------------------------------------------------------------
-- In a select

select_library.offer(Stream, "read", {
  check = function(stream)
    return stream.reader and "another task reads from " .. label(stream) or nil
  end,
  try = function(stream)
    if stream.buffer then
      return true, take(stream, stream.size)
    elseif stream.input then
      return true, nil
    end
    return false
  end,
  add = function(case)
    case.object.reader = case
  end,
  remove = function(case)
    case.object.reader = false
  end,
  finish = function(data, stream)
    if data then
      return data
    end
    return ended(stream)
  end,
  detail = function(stream)
    return "read from " .. label(stream)
  end,
})

return M
