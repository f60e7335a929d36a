--- Reading by length, line and separator.
--
-- Belongs here: the methods of a stream that look for something in what has come. They search Lua's string:
-- one crossing brings many lines, asking Python for each would cost more than finding it here.

local failure = require("failure")
local kernel = require("kernel")
local errors = require("net_errors")
local streams = require("net_stream")

local enter, pressing = kernel.enter, kernel.pressing
local Stream, check_self, check_count = streams.Stream, streams.check_self, streams.check_count
local fill, whole, drop, ended, label =
  streams.fill, streams.whole, streams.drop, streams.ended, streams.label
local find, sub, byte, type, error = string.find, string.sub, string.byte, type, error
local bad_argument = failure.bad_argument

-- Of a line whose reader has not said how long it may be.
local MOST_LINE = 1048576

-- The stream has ended before what was asked for: the rest comes along in the error.
local function cut_short(stream, what)
  local rest = ""
  if stream.buffer then
    local buffer, at = whole(stream)
    rest = sub(buffer, at)
    drop(stream, stream.size)
  end
  if stream.input ~= "eof" then
    return ended(stream)
  end
  local err = errors.new("eof", what .. " from " .. label(stream), "the stream ended before that")
  err.partial = rest
  return nil, err
end

--- Read exactly `n` bytes. A checkpoint.
---@param n integer
---@return string|nil data nil and an error when the stream ends before; err.partial is what came
---@return table|nil err
function Stream:read_exactly(n)
  check_self(self, "read_exactly")
  check_count(1, "read_exactly", n, 0)
  if pressing.cancels > 0 then
    enter()
  end
  while self.size < n do
    if not fill(self, "read_exactly") then
      return cut_short(self, "read " .. n .. " bytes")
    end
  end
  if n == 0 then
    return ""
  end
  local buffer, at = whole(self)
  local data = sub(buffer, at, at + n - 1)
  drop(self, n)
  return data
end

-- Find `separator`: where it begins in the buffer, and where it ends. nil: the stream has ended; false: it
-- is not within the first `most` bytes.
local function look(stream, separator, most, name)
  local seen = 0 -- bytes that were searched
  while true do
    if stream.size > seen then
      local buffer, at = whole(stream)
      local from = at + seen - #separator + 1 -- it may have begun before
      local first, last = find(buffer, separator, from < at and at or from, true)
      if first then
        if first - at > most then
          return false
        end
        return first, last
      end
      seen = stream.size
      if seen - #separator + 1 > most then
        return false
      end
    end
    if not fill(stream, name) then
      return nil
    end
  end
end

local function too_long(stream, most, name)
  local text = "more than " .. most .. " bytes came without its end"
  return nil, errors.new("limit", name .. " from " .. label(stream), text)
end

local function read_line(stream, most, name)
  if pressing.cancels > 0 then
    enter()
  end
  local first, last = look(stream, "\n", most + 1, name)
  if first then
    local buffer, at = stream.buffer, stream.at
    local stop = first - 1
    if stop >= at and byte(buffer, stop) == 13 then
      stop = stop - 1
    end
    if stop - at + 1 > most then
      return too_long(stream, most, name)
    end
    drop(stream, last - at + 1)
    return sub(buffer, at, stop)
  elseif first == false then
    return too_long(stream, most, name)
  elseif stream.buffer and stream.input == "eof" then
    local buffer, at = whole(stream)
    local rest = sub(buffer, at)
    drop(stream, stream.size)
    return rest
  end
  return ended(stream)
end

--- Read a line, without its end ("\n" or "\r\n"). The last one needs no end. A checkpoint.
---@param most integer|nil bytes; a longer one is an error of kind "limit", and stays; 1 MiB by default
---@return string|nil line nil alone at the end of the stream
---@return table|nil err
function Stream:read_line(most)
  check_self(self, "read_line")
  if most then
    check_count(1, "read_line", most, 0)
  end
  return read_line(self, most or MOST_LINE, "read_line")
end

--- Read up to a separator, which is taken, too, and not returned. A checkpoint.
---@param separator string
---@param most integer|nil bytes before it; more is an error of kind "limit", and stays; 1 MiB by default
---@return string|nil data nil and an error when the stream ends before; err.partial is what came
---@return table|nil err
function Stream:read_until(separator, most)
  check_self(self, "read_until")
  if type(separator) ~= "string" or separator == "" then
    local got = type(separator) == "string" and "an empty one" or type(separator)
    bad_argument(1, "read_until", "separator (a string) expected, got " .. got)
  end
  if most then
    check_count(2, "read_until", most, 0)
  end
  most = most or MOST_LINE
  if pressing.cancels > 0 then
    enter()
  end
  local first, last = look(self, separator, most, "read_until")
  if first then
    local buffer, at = self.buffer, self.at
    drop(self, last - at + 1)
    return sub(buffer, at, first - 1)
  elseif first == false then
    return too_long(self, most, "read_until")
  end
  return cut_short(self, "read_until")
end

--- `for line in stream:lines() do`: until the stream ends; an error is raised. Each step is a checkpoint.
---@param most integer|nil as for `read_line`
function Stream:lines(most)
  check_self(self, "lines")
  if most then
    check_count(1, "lines", most, 0)
  end
  return function()
    local line, err = read_line(self, most or MOST_LINE, "lines")
    if err then
      error(err, 0)
    end
    return line
  end
end

return Stream
