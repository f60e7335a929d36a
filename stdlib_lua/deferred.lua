--- Promises from inside: the record, how it is settled, who is told, whose rejection nobody has heard.
--
-- Belongs here: the rules of Promises/A+ 1.1 (promisesaplus.com), by their numbers. What scripts call is in
-- promise.lua, when handlers run in reactions.lua.
--
-- Nothing here waits, and no handler runs while a promise is being settled: whoever waits for it is told at
-- once. Such a waiter is one of
--   a promise made by `next`: its handler is put into the queue of its scope; without a handler for what
--     happened, or when it was resolved with this one, it is settled in the same way (2.2.7.3, 2.3.2)
--   a task that is parked: it becomes ready
--   any other table: its method `fire(promise)` is called, and may return a promise that it has settled; one
--     with the field `deaf` does not hear of a rejection

local kernel = require("kernel")
local failure = require("failure")
local joiners = require("joiners")
local reactions = require("reactions")
local scope_library = require("scope")
local waitlist = require("waitlist")

local getmetatable, setmetatable, type, rawequal = getmetatable, setmetatable, type, rawequal
local pcall, xpcall, error, select, rawget = pcall, xpcall, error, select, rawget
local tostring = tostring
local reschedule, current, pack, unpack =
  kernel.reschedule, kernel.current, kernel.pack, kernel.unpack
local on_error, remember, CANCEL = failure.handler, failure.remember, failure.CANCEL
local add_reaction = reactions.add
local Task = kernel.Task

local M = {}

local Promise = { __name = "promise" } -- methods are added by promise.lua
Promise.__index = Promise
M.Promise = Promise

local FULFILLED, REJECTED = "fulfilled", "rejected"
M.FULFILLED, M.REJECTED = FULFILLED, REJECTED

--- Make a pending promise. Four fields: Lua would make room for eight if there were a fifth, and the size of
-- the record is half the cost of a long chain.
---@param scope table where it was made: there its handlers run, and an unheard rejection raises
---@param handler function|false for one made by `next`: what makes its value
function M.new(scope, handler)
  return setmetatable({
    state = false,
    value = handler, -- while it is pending; then its first value, or the reason
    waiters = false, -- one, or a waitlist
    scope = scope,
    -- Some have these, too:
    --   err     the handler for a rejection
    --   extra   fulfilled: all values packed, when they are several; rejected: the failure (failure.lua)
    --   heard   somebody was given its rejection, or will be
    --   list    the waitlist of its scope's rejections that it is in
    --   slot    in that list, or in the list of waiters of another promise
    --   source  what it was resolved with, while that is pending: a promise or a task
    --   task    of promise.run, and of promise.new while the executor waits
    --   group   of several promises (promise_combinators.lua)
  }, Promise)
end

-- ---------------------------------------------------------------------------------------------
-- Rejections

-- Made here, for a cancellation. That nobody hears of one is no failure, as with tasks.
local cancellations = setmetatable({}, { __mode = "k" })

--- The reason of a rejection by cancellation.
---@param text string
function M.cancellation(text)
  local reason = failure.new("cancelled", text)
  cancellations[reason] = true
  return reason
end
local cancellation = M.cancellation

--- CANCEL is no reason: it belongs to the task that is cancelled.
function M.reason_of(value)
  if rawequal(value, CANCEL) then
    return failure.new("cancelled", failure.text(value))
  end
  return value
end
local reason_of = M.reason_of

--- The failure for a reason that was not raised: with the line that gave it.
---@param level integer of the stack at which the search for that line begins
function M.fail_with(reason, level)
  local line = failure.line_of(nil, level + 1) or "?"
  local task = current()
  return {
    value = reason,
    traceback = "stack traceback:\n\t" .. line .. ": rejected here",
    task = task and { id = task.id, name = rawget(task, "name"), site = line },
  }
end

-- Nobody has heard of it so far: at the end of its scope that is a failure.
local function keep(promise)
  if type(promise.value) == "table" and cancellations[promise.value] then
    return
  end
  local scope = reactions.open(promise.scope)
  if not scope.parent then
    -- Its script has ended and no task runs: a finalizer has rejected it.
    local reason = type(promise.value) == "table" and rawget(promise.value, "message")
      or promise.value
    local text = type(reason) == "string" and reason or type(reason)
    return kernel.post("warn", "a promise was rejected and nobody is left to hear of it: " .. text)
  end
  local list = scope.rejected
  if not list then
    list = waitlist.new()
    scope.rejected = list
  end
  list:add(promise)
  promise.list = list
end

--- Somebody hears of the rejection, or will.
function M.hear(promise)
  if promise.state == FULFILLED then
    return
  end
  promise.heard = true
  if promise.list then
    promise.list:remove(promise)
    promise.list = nil
  end
end
local hear = M.hear

--- The failures that the rejections in `list`, those of a scope that ends, are.
function scope_library.rejections(list)
  local failures = {}
  local promise = list:pop()
  while promise do
    promise.list, promise.heard = nil, true
    local fail = promise.extra
    local origin = fail.task
    failures[#failures + 1] = {
      value = fail.value,
      traceback = fail.traceback,
      parts = fail.parts,
      task = origin
        and {
          id = origin.id,
          name = rawget(origin, "name"),
          site = (origin.site or failure.site_of(origin)) .. ", a rejection that nobody handled",
        },
    }
    promise = list:pop()
  end
  return failures
end

-- ---------------------------------------------------------------------------------------------
-- Who waits

--- Tell `waiter` when the pending `promise` is settled.
function M.add(promise, waiter)
  local present = promise.waiters
  if not present then
    promise.waiters = waiter
  elseif present.last then
    present:add(waiter)
  else
    local list = waitlist.new()
    list:add(present)
    list:add(waiter)
    promise.waiters = list
  end
end
local add = M.add

--- Do not tell it.
function M.remove(promise, waiter)
  local present = promise.waiters
  if present == waiter then
    promise.waiters = false
  elseif present then
    present:remove(waiter)
  end
end

-- Tell `waiter` that `promise` is settled.
---@return table|nil promise that is settled thereby
local function tell(waiter, promise)
  if waiter.waiters ~= nil then -- a promise
    if waiter.state then
      return nil -- cancelled meanwhile
    end
    local state = promise.state
    local handler = waiter.value
    if state == REJECTED then
      handler, promise.heard = waiter.err, true
    end
    if handler then
      add_reaction(waiter, promise)
      return nil
    end
    waiter.state, waiter.value, waiter.source = state, promise.value, nil
    waiter.extra = promise.extra
    return waiter
  elseif waiter.co then
    hear(promise)
    reschedule(waiter, promise)
  else
    if not waiter.deaf then
      hear(promise)
    end
    return waiter:fire(promise)
  end
end

-- ---------------------------------------------------------------------------------------------
-- Settling

-- All who waited for `promise` have been told.
local function after_telling(promise)
  if promise.state == REJECTED and not promise.heard then
    keep(promise)
  end
end

-- Take out those who wait for a promise that was settled thereby.
local function waiters_of(promise)
  local waiters = promise.waiters
  promise.waiters = false
  return waiters
end

-- Tell a list of waiters, then those of the promises that are settled thereby. Chains may be long: a loop.
local function spread_list(promise, waiters)
  local todo, n, done = {}, 0, 0
  while promise do
    if waiters and waiters.last then
      local first, last = waiters.first, waiters.last
      waiters.first, waiters.last, waiters.holes = 1, 0, 0
      for i = first, last do
        local waiter = waiters[i]
        waiters[i] = nil
        local settled = waiter and tell(waiter, promise)
        if settled then
          n = n + 1
          todo[n] = settled
        end
      end
    elseif waiters then
      local settled = tell(waiters, promise)
      if settled then
        n = n + 1
        todo[n] = settled
      end
    end
    after_telling(promise)
    done = done + 1
    promise = todo[done]
    waiters = promise and waiters_of(promise)
  end
end

-- The same for one or many; nearly always one.
local function spread(promise, waiters)
  while not (waiters and waiters.last) do
    local settled = waiters and tell(waiters, promise)
    after_telling(promise)
    if not settled then
      return
    end
    promise, waiters = settled, waiters_of(settled)
  end
  return spread_list(promise, waiters)
end

--- Settle a pending promise, once and for all.
---@param state string "fulfilled" or "rejected"
---@param extra table|nil see `new`
local function settle(promise, state, value, extra)
  promise.state, promise.value = state, value
  if extra then
    promise.extra = extra
  end
  local waiters = promise.waiters
  if not waiters then
    if state == REJECTED and not promise.heard then
      keep(promise)
    end
    return
  end
  promise.waiters = false
  return spread(promise, waiters)
end
M.settle = settle

--- Reject a promise unless it is settled.
---@param fail table the failure
function M.reject(promise, fail)
  if not promise.state then
    settle(promise, REJECTED, fail.value, fail)
  end
end
local reject = M.reject

--- Reject it because something was cancelled, unless it is settled.
function M.cancel(promise, text)
  if not promise.state then
    local reason = cancellation(text)
    settle(promise, REJECTED, reason, { value = reason, traceback = "" })
  end
end
local cancel = M.cancel

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

M.settle_as = settle_as

--- `promise`, which was just made, waits for one that is settled.
function M.pass_on(source, promise)
  hear(source)
  if tell(promise, source) and promise.state == REJECTED then
    keep(promise)
  end
end

--- The task that `promise` follows has ended.
function Promise:fire(task)
  self.task, self.source = nil, nil
  if not self.state then
    settle_as(self, task)
  end
end

-- ---------------------------------------------------------------------------------------------
-- The promise resolution procedure (2.3)

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
    local fail = M.fail_with(failure.new("type", text), 2)
    return settle(promise, REJECTED, fail.value, fail)
  end
  promise.source, promise.value, promise.err = other, false, nil
  add(other, promise)
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
      reject(promise, M.fail_with(reason_of(reason), 2))
    end
  end
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
  -- 2.3.3.1: asked for once; that may run code of the script's, and fail.
  local got, step = pcall(get_next, value)
  if not got then
    if is_cancellation(step) then
      cancel(promise, "cancelled while its value was being looked at")
      error(CANCEL, 0)
    end
    return reject(promise, M.fail_with(reason_of(step), 2))
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
  promise.state, promise.value, promise.waiters = FULFILLED, value, false
  if not waiter.value or waiter.state then
    return spread(promise, waiter)
  elseif queue.tail == 0 and waiter.scope == queue.scope then
    return waiter, promise
  end
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

-- The handler was cancelled.
local function cut(promise)
  cancel(promise, "the handler of a promise was cancelled with its scope")
end

reactions.connect({ run = run, cut = cut })

return M
