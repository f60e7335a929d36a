--- Pollers: what a function made by task.pollable does while a script's own coroutine drives it.
--
-- Belongs here: that a loop which polls costs nothing while it waits. A task that has polled in vain and
-- then calls `coroutine.yield()` is parked. What it polls wakes it. But such a loop may look at the time,
-- or at what others have done, so it gets a turn now and then: after a quarter of the time that it has
-- waited.

local kernel = require("kernel")
local deferred = require("deferred")
local promises = require("promise_object")
local rejections = require("rejections")
local waits = require("promise_waits")

local setmetatable, concat = setmetatable, table.concat
local running, isyieldable = coroutine.running, coroutine.isyieldable
local enter, park, now, turns = kernel.enter, kernel.park, kernel.now, kernel.turns
local reschedule, hand_out = kernel.reschedule, kernel.hand_out
local label = waits.label

local M = {}

-- Seconds between two turns that nobody's result has brought about.
local SHORTEST, LONGEST = 0.01, 1
local SHARE = 0.25 -- of the time that it has waited

-- A task's place among those who wait for one promise; `deaf`: it has only looked whether it is settled.
local Look = { deaf = true }
Look.__index = Look

local function withdraw(polls)
  for i = 1, polls.n do
    local look = polls[i]
    if look.waits then
      look.waits = false
      deferred.remove(look.promise, look)
    end
  end
end

function Look:fire()
  self.waits = false
  withdraw(self.polls)
  reschedule(self.polls.task)
end

local POLL = {
  reason = "resource",
  abort = function(task)
    withdraw(task.on)
    if task.on.yielded then
      kernel.strike(task.co) -- nothing of ours is on its stack to raise the mark
    end
    return true
  end,
  expire = function(task)
    withdraw(task.on)
    return nil
  end,
  detail = function(task)
    local parts, polls = {}, task.on
    for i = 1, polls.n do
      parts[i] = label(polls[i].promise)
    end
    return "what it polls: " .. concat(parts, ", ")
  end,
}

-- Let those that are pending wake the task. Returns when it shall have a turn anyway; nil: a result is there.
local function register(polls)
  local time, shortest = now(), LONGEST
  for i = 1, polls.n do
    local look = polls[i]
    if look.promise.state then
      return nil
    end
    local pause = (time - look.promise.polled) * SHARE
    shortest = pause < shortest and pause or shortest
  end
  for i = 1, polls.n do
    local look = polls[i]
    look.waits = true
    deferred.add(look.promise, look)
  end
  return time + (shortest > SHORTEST and shortest or SHORTEST)
end

--- The task has polled in vain and yielded. (Called by the kernel, between two steps.)
---@return boolean parked
function kernel.park_poller(task)
  local polls = task.polls
  task.polls = nil
  local at = register(polls)
  if not at then
    return false
  end
  polls.yielded = true
  kernel.park_yielded(task, POLL, polls, at)
  return true
end

-- `task` looks at `promise`, which is pending.
local function look_at(task, promise)
  local polls = task.polls
  if not polls then
    polls = { task = task, n = 0 }
    task.polls = polls
  end
  for i = 1, polls.n do
    local look = polls[i]
    if look.promise == promise then
      if look.turn == turns() then
        -- Again, without having given up the processor: the loop has no `coroutine.yield()`. Wait here.
        task.polls = nil
        local at = register(polls)
        return at and park(POLL, polls, at)
      end
      look.turn = turns()
      return
    end
  end
  promise.polled = promise.polled or now()
  local n = 0
  for i = 1, polls.n do
    if not polls[i].promise.state then
      n = n + 1
      polls[n] = polls[i]
    end
  end
  for i = n + 2, polls.n do
    polls[i] = nil
  end
  polls.n = n + 1
  polls[n + 1] =
    setmetatable({ polls = polls, promise = promise, turn = turns(), waits = false }, Look)
end

--- What such a function does: run `fn(...)` as a task and yield `pending` until that has ended.
function M.run(pending, fn, ...)
  local task = enter()
  if running() == task.co or not isyieldable() then
    return fn(...) -- nobody polls
  end
  local promise = promises.run(fn, ...)
  while not promise.state do
    look_at(task, promise)
    if not promise.state then
      hand_out(pending)
      task = enter() -- another one may drive the coroutine now
    end
  end
  rejections.hear(promise)
  return waits.outcome(promise)
end

return M
