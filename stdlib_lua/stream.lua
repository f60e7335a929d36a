--- Streams: values one after the other, lazily, through stages.
--
-- Belongs here: what scripts see. The stages: stream_stages.lua, stream_tasks.lua; what a stream is:
-- stream_core.lua.

local failure = require("failure")
local core = require("stream_core")
local sources = require("stream_sources")
local stages = require("stream_stages")
local tasks = require("stream_tasks")

local check, check_count, check_options = core.check, core.check_count, core.check_options
local check_callable, check_seconds = failure.check_callable, failure.check_seconds
local select, error = select, error
local read, consume, step = core.read, core.consume, core.step

local M = {}

local Stream = core.Stream

--- The stream of anything iterable. Not a checkpoint.
---@param iterable any a list (its length in `n`, if it is there), a function and what else a `for` loop
--   takes, a channel, a subscription, a stream, an object with a method `iter`
---@return table stream
function M.of(iterable, ...)
  local stream = sources.check(1, "of", iterable, ...)
  return stream
end

local MAP_OPTIONS = { "concurrency and ordered", concurrency = "number", ordered = "boolean" }

--- `fn(value)` in place of each value.
---@param fn function
---@param options table|nil {concurrency=integer, ordered=boolean}: at most so many in work or waiting to be
--   read (default 1: in the reader's task); ordered (default true): in the order of the source
---@return table stream
function Stream:map(fn, options)
  check(self, "map")
  check_callable(1, "map", fn)
  local concurrency, ordered = 1, true
  if options ~= nil then
    check_options(2, "map", options, MAP_OPTIONS)
    concurrency = options.concurrency or 1
    ordered = options.ordered ~= false
    check_count(2, "map", concurrency, 1)
  end
  if concurrency == 1 then
    return stages.map(self, fn)
  end
  return tasks.map(self, fn, concurrency, ordered)
end

--- Only the values for which `fn(value)` is true.
function Stream:filter(fn)
  check(self, "filter")
  check_callable(1, "filter", fn)
  return stages.filter(self, fn)
end

--- The first `n` values; then the source is closed.
function Stream:take(n)
  check(self, "take")
  check_count(1, "take", n, 0)
  return stages.take(self, n)
end

--- Lists of `n` values (their length in the field `n`), the last one shorter. With `seconds` a list ends so
-- long after its first value.
function Stream:batch(n, seconds)
  check(self, "batch")
  check_count(1, "batch", n, 1)
  if seconds == nil then
    return stages.batch(self, n)
  end
  check_seconds(2, "batch", seconds)
  return tasks.batch(self, n, seconds)
end

--- The values of this one and of others, as they come.
---@param ... any iterable, at least one
function Stream:merge(...)
  check(self, "merge")
  local list = { self }
  for i = 1, select("#", ...) > 0 and select("#", ...) or 1 do
    local other = sources.check(i, "merge", (select(i, ...)))
    check(other, "merge")
    for j = 1, #list do
      if list[j] == other then
        error("cannot merge a stream with itself", 2)
      end
    end
    list[i + 1] = other
  end
  return tasks.merge(list)
end

--- Read up to `n` values ahead.
function Stream:buffer(n)
  check(self, "buffer")
  check_count(1, "buffer", n, 1)
  return tasks.buffer(self, n)
end

-- ---------------------------------------------------------------------------------------------
-- Reading it

local function next_value(stream)
  local more, value = read(stream)
  if more and value == nil then
    error("the stream's next value is nil: a loop cannot have it as its value; use each", 2)
  end
  return value
end

--- `for value in s:iter() do`. Each step is a checkpoint. After a `break`, loop again later or close it.
function Stream:iter()
  check(self, "iter")
  return next_value, self, nil
end

local function collect(stream)
  local list, n = {}, 0
  local more, value = step(stream)
  while more do
    n = n + 1
    list[n] = value
    more, value = step(stream)
  end
  list.n = n
  return list
end

--- All values. A checkpoint.
---@return table values with their number in `n`
function Stream:collect()
  check(self, "collect")
  local list = consume(self, collect)
  return list
end

local function each(stream, fn)
  local n = 0
  local more, value = step(stream)
  while more do
    n = n + 1
    fn(value)
    more, value = step(stream)
  end
  return n
end

--- Call `fn(value)` for each value. A checkpoint.
---@return integer count
function Stream:each(fn)
  check(self, "each")
  check_callable(1, "each", fn)
  local count = consume(self, each, fn)
  return count
end

--- End it: its tasks are cancelled and its source is closed. Not a checkpoint.
---@return boolean first false when it had ended already
function Stream:close()
  check(self, "close", true)
  return core.close(self)
end
Stream.__close = Stream.close

-- What scripts see.
M.public = { of = M.of }

return M
