--- What becomes of a promise that is given a value: the promise resolution procedure, and handlers' results.
--
-- Belongs here: Promises/A+ 1.1, rules 2.2.7 and 2.3.

local kernel = require("kernel")
local failure = require("failure")
local deferred = require("deferred")
local handles = require("handles")
local joiners = require("joiners")
local reactions = require("reactions")
local rejections = require("rejections")
local scope_library = require("scope")

local getmetatable, type, rawequal = getmetatable, type, rawequal
local pcall, xpcall, error, select, rawget = pcall, xpcall, error, select, rawget
local tostring = tostring
local current, pack, unpack = kernel.current, kernel.pack, kernel.unpack
local on_error, remember, CANCEL = failure.handler, failure.remember, failure.CANCEL
local Promise, settle, spread = deferred.Promise, deferred.settle, deferred.spread
local add, reject, cancel = deferred.add, deferred.reject, deferred.cancel
local FULFILLED, REJECTED = deferred.FULFILLED, deferred.REJECTED
local hear, reason_of, fail_with = rejections.hear, rejections.reason_of, rejections.fail_with
local add_reaction, Task = reactions.add, kernel.Task
local records = handles.records

local M = {}

-- Does `promise` wait, through others, for `target`? Looks so far, for the chain may be long.
local FAR = 100
local function waits_for(promise, target)
  for _ = 1, FAR do
    if promise == target then
      return true
    end
    promise = promise.source
    if getmetatable(promise) ~= Promise then
      return false
    end
  end
  return false
end

local function follow(promise, other)
  if other.state then
    hear(other)
    return settle(promise, other.state, other.value, other.extra)
  elseif waits_for(other, promise) then
    local text = "a promise cannot be resolved with itself, nor with one that waits for it"
    local fail = fail_with(failure.new("type", text), 2)
    return settle(promise, REJECTED, fail.value, fail)
  end
  promise.source, promise.value, promise.err = other, false, nil
  add(other, promise)
end

-- How an ended task ended is how `promise` ends.
local resolve
local function settle_as(promise, task)
  if task.state == "done" then
    local values = task.on
    resolve(promise, values and values[1], values and values.n ~= 1 and values or nil)
  elseif task.state == "cancelled" then
    cancel(
      promise,
      tostring(task) .. " was cancelled" .. (task.reason and ": " .. task.reason or "")
    )
  else
    local fail = task.on
    settle(promise, REJECTED, reason_of(fail.value), fail)
  end
end

--- Is it decided what becomes of it, though it may be pending still?
local function is_resolved(promise)
  return promise.state or promise.source or promise.value
end
M.is_resolved = is_resolved

--- A task has ended that the promise follows, or that was its executor's.
function Promise:fire(task)
  local follows = self.source == task
  self.task = nil
  if follows then
    self.source = nil
    if not self.state then
      settle_as(self, task)
    end
  elseif task.state == "failed" then
    if is_resolved(self) then
      scope_library.fail(task.home, task) -- nobody else would hear of it
    else
      settle_as(self, task)
    end
  elseif task.state == "cancelled" and not is_resolved(self) then
    cancel(self, tostring(task) .. ", its executor, was cancelled")
  end
end

local function follow_task(promise, task)
  if task.state then
    scope_library.hear(task)
    return settle_as(promise, task)
  end
  promise.source, promise.value, promise.err = task, false, nil
  joiners.add(task, promise)
end

-- What a handler returns that has taken care of its promise itself.
local HANDLED = {}

local function capture(raised, task)
  task.site = nil
  local fail = failure.capture(raised, task)
  fail.value = reason_of(fail.value)
  if fail.task == task then
    -- The runner goes on to other handlers, and forgets about this one.
    fail.task = { id = task.id, name = rawget(task, "name"), site = task.site or "unknown" }
  end
  return fail
end

-- Must `raised` go on, because the task that runs is cancelled?
local function is_cancellation(raised)
  if not rawequal(raised, CANCEL) or not kernel.cancelling() then
    return false
  end
  local task = current()
  return task ~= nil and scope_library.is_cancelled(task)
end

-- 2.3.3.3: `next` of a table that is no promise of ours, called as a handler.
local function assimilate(promise, thenable, step)
  local called = false
  local function fulfil(value, ...)
    if not called then
      called = true
      M.resolve(promise, value, select("#", ...) > 0 and pack(value, ...) or nil)
    end
  end
  local function refuse(reason)
    if not called then
      called = true
      reject(promise, fail_with(reason_of(reason), 2))
    end
  end
  promise.source = thenable
  function promise.value()
    local ok, raised = xpcall(step, on_error, thenable, fulfil, refuse)
    if not ok then
      if is_cancellation(raised) then
        error(CANCEL, 0)
      end
      local fail = capture(raised, current())
      if not called then
        called = true
        reject(promise, fail)
      end
    end
    return HANDLED
  end
  add_reaction(promise, { state = FULFILLED })
end

local function get_next(value)
  return value.next
end

local function is_callable(value)
  if type(value) == "function" then
    return true
  end
  local meta = getmetatable(value)
  return type(meta) == "table" and meta.__call ~= nil
end
M.is_callable = is_callable

--- Resolve a pending promise with a value, which may be a promise, a task or a thenable.
---@param extra table|nil all values packed, when they are several
function resolve(promise, value, extra)
  if type(value) ~= "table" then
    return settle(promise, FULFILLED, value, extra)
  end
  local class = getmetatable(value)
  if class == Promise then
    return follow(promise, value)
  elseif class == Task then
    return follow_task(promise, value)
  elseif rawequal(value, HANDLED) then
    return
  end
  local record = records[value] -- in a sandbox
  local kind = record and getmetatable(record)
  if kind == Promise then
    return follow(promise, record)
  elseif kind == Task then
    return follow_task(promise, record)
  end
  -- 2.3.3.1: asked for once; that may run code of the script's, and fail.
  local got, step = pcall(get_next, value)
  if not got then
    if is_cancellation(step) then
      cancel(promise, "cancelled while its value was being looked at")
      error(CANCEL, 0)
    end
    return reject(promise, fail_with(reason_of(step), 2))
  elseif step ~= nil and is_callable(step) then
    return assimilate(promise, value, step)
  end
  return settle(promise, FULFILLED, value, extra)
end

--- The same for one that may be settled by now.
function M.resolve(promise, value, extra)
  if not promise.state then
    return resolve(promise, value, extra)
  end
end

-- ---------------------------------------------------------------------------------------------
-- Running handlers, for reactions.lua

-- What the handler of `promise` returned or raised.
local function returned(queue, promise, ok, value, ...)
  if not ok then
    if is_cancellation(value) then
      error(CANCEL, 0)
    end
    return reject(promise, capture(value, current()))
  elseif promise.state then
    return -- cancelled meanwhile
  end
  local waiter = promise.waiters
  if type(value) == "table" or select("#", ...) > 0 or not waiter or waiter.waiters == nil then
    return resolve(promise, value, select("#", ...) > 0 and pack(value, ...) or nil)
  end
  -- The common case, `settle` in line: a promise made by `next` waits for this one.
  promise.state, promise.value = FULFILLED, value
  if not waiter.value or waiter.state then
    return spread(promise)
  elseif queue.tail == 0 and waiter.scope == queue.scope then
    promise.waiters = false
    return waiter, promise
  end
  promise.waiters = false
  return add_reaction(waiter, promise)
end

local function run(queue, runner, promise, source)
  if promise.state then
    return -- cancelled
  end
  local handler, extra = promise.value, source.extra
  promise.value = false
  if source.state == REJECTED then
    handler = promise.err
    remember(runner, extra) -- raised again, it keeps its origin
  elseif extra then
    return returned(queue, promise, xpcall(handler, on_error, unpack(extra, 1, extra.n)))
  end
  return returned(queue, promise, xpcall(handler, on_error, source.value))
end

local CUT = "the handler of a promise was cancelled with its scope"

-- The handler was cancelled.
local function cut(promise)
  cancel(promise, CUT)
end

-- Those of many were, before they began: one reason for all.
local function cut_each(take, queue, most)
  local fail = deferred.cancelled(CUT)
  local promise, n = take(queue), 1
  while promise do
    deferred.cut(promise, fail)
    if n == most then
      return
    end
    promise, n = take(queue), n + 1
  end
end

reactions.connect({ run = run, cut = cut, cut_each = cut_each })

return M
