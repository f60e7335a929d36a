--- Streams: the object, reading it, closing it.
--
-- A stream is a chain of stages. `stage:step()` returns true and the next value, or false at the end; it asks
-- the stage before it, so that nothing is made before somebody wants it. Stages that wait on their own have
-- tasks (stream_tasks.lua). Nothing here is interrupted by the watchdog: much of it runs where a scope ends.

local kernel = require("kernel")
local failure = require("failure")
local lifetime = require("lifetime")
local describe = require("select").describe

local enter, current = kernel.enter, kernel.current
local CANCEL, handler, capture, remember =
  failure.CANCEL, failure.handler, failure.capture, failure.remember
local bad_argument, tie, untie = failure.bad_argument, lifetime.tie, lifetime.untie
local xpcall, error, rawequal, tostring, format = xpcall, error, rawequal, tostring, string.format
local setmetatable, getmetatable, type, pairs = setmetatable, getmetatable, type, pairs
local infinity = math.huge

local M = {}

local Stream = { __name = "stream" }
Stream.__index = Stream
M.Stream = Stream

function Stream.__tostring()
  return "stream"
end

-- Reading and closing call from stage to stage, and closing may happen where an error must not: far below
-- what Lua's stack can take.
local MOST_STAGES = 1000

-- How many stages a stream has.
local function depth_of(fields)
  local deepest, sources = 0, fields.sources
  for i = 1, sources and #sources or 0 do
    local depth = sources[i].depth
    deepest = depth > deepest and depth or deepest
  end
  local source = fields.source
  return 1 + (source and source.depth or deepest)
end

--- Make a stage.
---@param fields table {step=, shut=, ...} step: function(stage) -> more, value; shut: function(stage, quiet)
--   closes what it reads from, without a word of the script's when `quiet`
---@return table stream
function M.new(fields)
  fields.depth = depth_of(fields)
  if fields.depth > MOST_STAGES then
    error(
      "a stream has at most " .. MOST_STAGES .. " stages; collect it, or buffer in a channel",
      2
    )
  end
  fields.ended = false
  fields.taken = false -- a later stage reads it
  fields.reader = nil -- the task that is reading it
  fields.begun = false
  fields.tie = nil
  return setmetatable(fields, Stream)
end

local function is_stream(value)
  return getmetatable(value) == Stream
end
M.is_stream = is_stream

--- Check `self` of a method: a stream, and, unless `any`, one that no other stage reads.
function M.check(self, name, any)
  if not is_stream(self) then
    local got = self == nil and "no value" or describe(self)
    local text = "stream expected, got %s; call it with a colon, as in s:%s()"
    bad_argument(1, name, format(text, got, name), 2)
  elseif self.taken and not any then
    error("cannot " .. name .. ": another stage reads this stream already", 3)
  end
end

--- Check a count that argument `n` of method `name` gives.
function M.check_count(n, name, value, least)
  if type(value) ~= "number" or not (value >= least) or value % 1 ~= 0 or value == infinity then
    local got = value == nil and "no value"
      or type(value) == "number" and tostring(value)
      or describe(value)
    local text = "whole number, at least " .. least .. ", expected, got " .. got
    bad_argument(n, name, text, 2)
  end
end

--- Check a table of options.
---@param known table name -> type
function M.check_options(n, name, options, known)
  if type(options) ~= "table" then
    bad_argument(n, name, "table of options expected, got " .. describe(options), 2)
  end
  for key, value in pairs(options) do
    local expected = known[key]
    if not expected then
      local text = type(key) == "string" and "'" .. key .. "'" or "(a " .. describe(key) .. ")"
      bad_argument(n, name, "unknown option " .. text .. "; known are " .. known[1], 2)
    elseif type(value) ~= expected then
      local text = "option '" .. key .. "' must be a " .. expected .. ", got " .. describe(value)
      bad_argument(n, name, text, 2)
    end
  end
end

-- ---------------------------------------------------------------------------------------------
-- Closing

--- End the stream, and with it what it reads from.
---@param quiet boolean|nil no code of the script's may run
---@return boolean first false when it had ended already
local function close(stream, quiet)
  if stream.ended then
    return false
  end
  stream.ended = true
  untie(stream)
  stream:shut(quiet)
  return true
end
M.close = close

--- The `shut` of a stage that has one source and no task.
function M.shut_source(stage, quiet)
  close(stage.source, quiet)
end

-- The scope or the task that began to read it has ended.
local function on_end(stream)
  close(stream, true)
end

-- ---------------------------------------------------------------------------------------------
-- Reading

--- `stream` is the source of a new stage.
function M.take_over(stream)
  stream.taken = true
  untie(stream)
  return stream
end

-- Reading begins: from now on the stream belongs to the running code.
local function begin(stream)
  local task = enter()
  if stream.reader then
    error("cannot read the stream: " .. tostring(stream.reader) .. " is reading it", 4)
  elseif not stream.begun and not stream.ended then
    stream.begun = true
    tie(stream, on_end, "read a stream")
  end
  stream.reader = task
end

-- Raise what has left a stage: it ends the stream. A cancellation may have been meant for this step alone.
local function fail(stream, raised)
  if rawequal(raised, CANCEL) then
    error(CANCEL, 0)
  end
  local task = current()
  local failed = capture(raised, task)
  close(stream)
  remember(task, failed)
  error(failed.value, 0)
end

local function have_read(stream, ok, more, value)
  stream.reader = nil
  if not ok then
    fail(stream, more)
  elseif not more then
    close(stream)
  end
  return more, value
end

--- The next value of a stream that somebody reads step by step.
---@return boolean more
---@return any value
function M.read(stream)
  if stream.ended then
    return false
  end
  begin(stream)
  return have_read(stream, xpcall(stream.step, handler, stream))
end

local function have_consumed(stream, ok, ...)
  stream.reader = nil
  if not ok then
    if rawequal((...), CANCEL) then
      close(stream)
    end
    fail(stream, (...))
  end
  close(stream)
  return ...
end

--- Run `body(stream, ...)`, which reads the whole stream; it is closed afterwards, however that ends.
---@return any ... the body's values
function M.consume(stream, body, ...)
  begin(stream)
  return have_consumed(stream, xpcall(body, handler, stream, ...))
end

--- One step, for bodies of `consume` and for stages.
function M.step(stream)
  if stream.ended then
    return false
  end
  return stream:step()
end

--- What a stage's step ends with when it has no value: the error that was kept until those before it were
-- read, once.
---@return boolean false
function M.over(stage)
  local failed = stage.failed
  if failed then
    stage.failed = nil
    remember(current(), failed)
    error(failed.value, 0)
  end
  return false
end

return M
