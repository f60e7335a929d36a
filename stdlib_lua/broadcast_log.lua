--- The values of a broadcast: one log, and readers that each have a place in it.
--
-- Belongs here: who has read what, and when a value can go. Does not belong here: what happens when there are
-- too many (broadcast.lua), waiting (subscription.lua). One log for all, as in Tokio's broadcast channel: a
-- value is kept once, however many are behind, and sending costs a look at each reader.

local wake_first = require("kernel").wake_first
local setmetatable = setmetatable

local Log = {}
Log.__index = Log

local M = {}

--- Make an empty log.
function M.new()
  return setmetatable({
    first = 1, -- values at first .. last
    last = 0,
    at = { 0 }, -- position -> how many readers read it next; for first .. last + 1
    oldest = nil, -- readers, in order of coming
    newest = nil,
    readers = 0,
  }, Log)
end

-- A window that slides over a table for ever would live in its hash part: move it back to the start.
local function move_down(log)
  local shift, last, at = log.first - 1, log.last, log.at
  for i = log.first, last + 1 do
    log[i - shift], at[i - shift] = log[i], at[i]
  end
  for i = last + 2 - shift, last + 1 do
    log[i], at[i] = nil, nil
  end
  log.first, log.last = 1, last - shift
  local reader = log.oldest
  while reader do
    reader.position = reader.position - shift
    reader = reader.next
  end
end

-- Let go what everybody has read.
local function trim(log)
  local first, last, at = log.first, log.last, log.at
  while first <= last and at[first] == 0 do
    log[first], at[first] = nil, nil
    first = first + 1
  end
  log.first = first
  if first > 32 and first * 2 > last then
    move_down(log)
  end
end

--- How many values somebody has yet to read.
function Log:size()
  return self.last - self.first + 1
end

--- Add a reader: it reads what is appended from now on.
---@param reader table {receivers=}: who waits for its next value; gets position, prev and next
function Log:add(reader)
  local position = self.last + 1
  reader.position, reader.prev, reader.next = position, self.newest, nil
  if self.newest then
    self.newest.next = reader
  else
    self.oldest = reader
  end
  self.newest = reader
  self.readers = self.readers + 1
  self.at[position] = self.at[position] + 1
end

--- Take a reader out; what only it had yet to read goes.
function Log:remove(reader)
  local before, after = reader.prev, reader.next
  if before then
    before.next = after
  else
    self.oldest = after
  end
  if after then
    after.prev = before
  else
    self.newest = before
  end
  reader.prev, reader.next = nil, nil
  self.readers = self.readers - 1
  local position = reader.position
  if position < self.first then
    position = self.first
  end
  self.at[position] = self.at[position] - 1
  trim(self)
end

--- Append a value. Readers that wait for one get it at once.
function Log:append(value)
  local last, at = self.last + 1, self.at
  local handed, reader = 0, self.oldest
  while reader do
    local receivers = reader.receivers
    if receivers.last > 0 then
      handed = handed + 1
      reader.position = last + 1
      wake_first(receivers, value)
    end
    reader = reader.next
  end
  self[last], self.last = value, last
  at[last], at[last + 1] = at[last] - handed, handed
  if at[self.first] == 0 then
    trim(self)
  end
end

--- Let the first value go; those who have not read it have lost it.
function Log:drop()
  local first, at = self.first, self.at
  at[first + 1] = at[first + 1] + at[first]
  at[first] = 0
  trim(self)
end

--- Read the next value, which is there.
---@return any value
---@return integer|nil lost how many were dropped before it
function Log:read(reader)
  local position, first, at, lost = reader.position, self.first, self.at, nil
  if position < first then
    position, lost = first, first - position
  end
  reader.position = position + 1
  local value, left = self[position], at[position] - 1
  at[position], at[position + 1] = left, at[position + 1] + 1
  if left == 0 and position == first then
    trim(self)
  end
  return value, lost
end

return M
