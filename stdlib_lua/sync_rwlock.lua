--- sync.rwlock: many read or one writes.
--
-- First come, first served among both, so that neither starves: who wants to read waits behind a writer who
-- waits; readers next to each other in the queue get in together. It cannot be taken twice by one task, nor
-- turned from reading into writing (two who try both wait for the other).

local kernel = require("kernel")
local failure = require("failure")
local holdings = require("holdings")
local sync_object = require("sync_object")

local enter, current, park, wake = kernel.enter, kernel.current, kernel.park, kernel.wake
local check_seconds, check_callable = failure.check_seconds, failure.check_callable
local label, task_of, deadline = sync_object.label, sync_object.task_of, sync_object.deadline
local bad_self, with, hold = sync_object.bad_self, sync_object.with, holdings.take
local check_name = sync_object.check_name
local getmetatable, error, tostring, pairs = getmetatable, error, tostring, pairs
local concat, sort = table.concat, table.sort

local M = {}

local Rwlock = sync_object.class("rwlock")

--- Make a lock.
---@param name string|nil for reports
---@return table rwlock
function M.new(name)
  check_name(1, "rwlock", name)
  return sync_object.new(Rwlock, name, {
    writer = false, -- the task that writes
    readers = {}, -- set of the tasks that read
    reading = 0, -- their number
    held_by = false, -- what a report says about it, until that changes
    waiters = {}, -- each with "read" or "write"
  })
end

local function by_id(one, other)
  return one.id < other.id
end

local function holders(lock)
  if lock.writer then
    return { lock.writer }
  end
  local list = {}
  for task in pairs(lock.readers) do
    list[#list + 1] = task
  end
  sort(list, by_id)
  return list
end
Rwlock.__holders = holders

local MOST = 5 -- readers that a report names

local function held_by(lock)
  local known = lock.held_by
  if known then
    return known -- each of many who wait asks
  end
  local list = holders(lock)
  local n = #list
  for i = 1, n do
    list[i] = i <= MOST and tostring(list[i]) or nil
  end
  list[#list + 1] = n > MOST and n - MOST .. " more" or nil
  lock.held_by = (lock.writer and "written by " or "read by ") .. concat(list, ", ")
  return lock.held_by
end

local function read_detail(lock)
  return "reading "
    .. label(lock)
    .. " ("
    .. held_by(lock)
    .. (lock.writer and ")" or "; a writer waits first)")
end

local function write_detail(lock)
  return "writing " .. label(lock) .. " (" .. held_by(lock) .. ")"
end

-- ---------------------------------------------------------------------------------------------
-- Who gets it

local function take_read(lock, task)
  lock.held_by = false
  lock.readers[task] = true
  lock.reading = lock.reading + 1
  hold(task, lock)
end

local function take_write(lock, task)
  lock.held_by = false
  lock.writer = task
  hold(task, lock)
end

-- Let those in whose turn it is.
local function admit(lock)
  local waiters = lock.waiters
  while not lock.writer and waiters.last > 0 do
    local waiter, mode = waiters:peek()
    if not waiter or mode == "write" and lock.reading > 0 then
      return
    end
    waiters:pop()
    local take = mode == "write" and take_write or take_read
    take(lock, task_of(waiter))
    wake(waiter, true)
  end
end

local function try_read(lock, task)
  if lock.writer or lock.waiters.last > 0 then
    return false
  end
  take_read(lock, task)
  return true
end

local function try_write(lock, task)
  if lock.writer or lock.reading > 0 then
    return false
  end
  take_write(lock, task)
  return true
end

-- `task` does not hold it any more.
local function let_go(lock, task)
  lock.held_by = false
  if lock.writer == task then
    lock.writer = false
  elseif lock.readers[task] then
    lock.readers[task] = nil
    lock.reading = lock.reading - 1
  else
    return -- the end of a `with` whose function has unlocked
  end
  if task.held then
    task.held[lock] = nil
  end
  admit(lock)
end
Rwlock.__let_go = let_go

local function own_already(lock, task)
  local how = lock.writer == task and " writes " or lock.readers[task] and " reads "
  return how and tostring(task) .. how .. label(lock) .. " already: it would wait for itself"
end

local function check_other(lock, task)
  if lock.writer == task or lock.reading > 0 and lock.readers[task] then
    error(own_already(lock, task), 3)
  end
end

-- With a writer gone that waited, readers behind it may get in.
local READ = sync_object.wait(read_detail, admit)
local WRITE = sync_object.wait(write_detail, admit)
READ.queued, WRITE.queued = nil, nil
function READ.begin(task, waiters)
  waiters:add(task, "read")
end
function WRITE.begin(task, waiters)
  waiters:add(task, "write")
end

-- ---------------------------------------------------------------------------------------------
-- Locking

--- Lock for reading. A checkpoint; others only run when it waits.
---@param timeout number|nil seconds; nil waits for ever
---@return boolean|nil true, or nil and "timeout"
function Rwlock:read_lock(timeout)
  if getmetatable(self) ~= Rwlock then
    bad_self(Rwlock, "read_lock", self)
  elseif timeout ~= nil then
    check_seconds(1, "read_lock", timeout)
  end
  local task = enter()
  check_other(self, task)
  if try_read(self, task) then
    return true
  end
  return park(READ, self.waiters, timeout and deadline(timeout))
end

--- Lock for writing: alone. A checkpoint; others only run when it waits.
---@param timeout number|nil seconds; nil waits for ever
---@return boolean|nil true, or nil and "timeout"
function Rwlock:write_lock(timeout)
  if getmetatable(self) ~= Rwlock then
    bad_self(Rwlock, "write_lock", self)
  elseif timeout ~= nil then
    check_seconds(1, "write_lock", timeout)
  end
  local task = enter()
  check_other(self, task)
  if try_write(self, task) then
    return true
  end
  return park(WRITE, self.waiters, timeout and deadline(timeout))
end

local function running_task()
  local task = current()
  if not task then
    error("cannot lock outside a task", 3)
  end
  return task
end

--- Lock for reading if that needs no wait. Not a checkpoint.
---@return boolean|nil true, or nil and "locked"
function Rwlock:try_read_lock()
  if getmetatable(self) ~= Rwlock then
    bad_self(Rwlock, "try_read_lock", self)
  end
  local task = running_task()
  check_other(self, task)
  if try_read(self, task) then
    return true
  end
  return nil, "locked"
end

--- Lock for writing if that needs no wait. Not a checkpoint.
---@return boolean|nil true, or nil and "locked"
function Rwlock:try_write_lock()
  if getmetatable(self) ~= Rwlock then
    bad_self(Rwlock, "try_write_lock", self)
  end
  local task = running_task()
  check_other(self, task)
  if try_write(self, task) then
    return true
  end
  return nil, "locked"
end

--- End reading. Only for a task that reads. Not a checkpoint.
function Rwlock:read_unlock()
  if getmetatable(self) ~= Rwlock then
    bad_self(Rwlock, "read_unlock", self)
  end
  local task = current()
  if not task or not self.readers[task] then
    error(label(self) .. " is not being read by " .. tostring(task or "this code"), 2)
  end
  let_go(self, task)
end

--- End writing. Only for the task that writes. Not a checkpoint.
function Rwlock:write_unlock()
  if getmetatable(self) ~= Rwlock then
    bad_self(Rwlock, "write_unlock", self)
  end
  local task = current()
  if not task or self.writer ~= task then
    error(label(self) .. " is not being written by " .. tostring(task or "this code"), 2)
  end
  let_go(self, task)
end

--- Call `fn(...)` while reading. A checkpoint.
---@param fn function
---@return any ... fn's values
function Rwlock:with_read(fn, ...)
  if getmetatable(self) ~= Rwlock then
    bad_self(Rwlock, "with_read", self)
  end
  check_callable(1, "with_read", fn)
  local task = enter()
  check_other(self, task)
  if not try_read(self, task) then
    park(READ, self.waiters)
  end
  return with(let_go, self, fn, ...)
end

--- Call `fn(...)` while writing. A checkpoint.
---@param fn function
---@return any ... fn's values
function Rwlock:with_write(fn, ...)
  if getmetatable(self) ~= Rwlock then
    bad_self(Rwlock, "with_write", self)
  end
  check_callable(1, "with_write", fn)
  local task = enter()
  check_other(self, task)
  if not try_write(self, task) then
    park(WRITE, self.waiters)
  end
  return with(let_go, self, fn, ...)
end

--- Who holds it and how many wait. Not a checkpoint.
---@return table {readers, writer, waiting}
function Rwlock:statistics()
  if getmetatable(self) ~= Rwlock then
    bad_self(Rwlock, "statistics", self)
  end
  return { readers = self.reading, writer = self.writer or nil, waiting = self.waiters:count() }
end

local function offer(operation, mode, try, detail)
  sync_object.offer(Rwlock, operation, {
    check = function(lock)
      local task = current()
      return task and own_already(lock, task) or nil
    end,
    try = function(lock)
      return try(lock, current()), true
    end,
    add = function(case)
      case.object.waiters:add(case, mode)
    end,
    removed = admit,
    detail = detail,
  })
end
offer("read_lock", "read", try_read, read_detail)
offer("write_lock", "write", try_write, write_detail)

return M
