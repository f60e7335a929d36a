--- Promises from inside: the record, how it is settled, who is told.
--
-- Belongs here: the rules 2.1 and 2.2 of Promises/A+ 1.1 (promisesaplus.com). What a promise is settled with:
-- resolution.lua. When handlers run: reactions.lua. What scripts call: promise_object.lua.
--
-- Nothing here waits, and no handler runs while a promise is being settled: whoever waits for it is told at
-- once. Such a waiter is one of
--   a promise made by `next`: its handler is put into the queue of its scope; without a handler for what
--     happened, or when it was resolved with this one, it is settled in the same way (2.2.7.3, 2.3.2)
--   a task that is parked: it becomes ready
--   any other table: its method `fire(promise)` is called, and may return a promise that it has settled; one
--     with the field `deaf` does not hear of a rejection

local kernel = require("kernel")
local reactions = require("reactions")
local rejections = require("rejections")
local waitlist = require("waitlist")

local setmetatable = setmetatable
local reschedule, add_reaction = kernel.reschedule, reactions.add
local put_off = require("backlog").put_off
local hear, keep, cancellation = rejections.hear, rejections.keep, rejections.cancellation

local M = {}

local Promise = { __name = "promise" } -- methods are added by promise_object.lua
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
    --   source  what it was resolved with, while that is pending: a promise, a task or a thenable
    --   task    of promise.run, and of promise.new while the executor waits
    --   group   of several promises (promise_combinators.lua)
    --   ours    made for a task in a list of several (promise_list.lua)
  }, Promise)
end

-- ---------------------------------------------------------------------------------------------
-- Who waits

-- A promise that was made by `next` and cancelled meanwhile. It does not know whom it waits for: that would
-- keep all of a chain.
local function is_gone(waiter)
  return waiter.waiters ~= nil and waiter.state
end

-- So many may wait before the list is searched for such promises, then twice as many as are left.
local MANY = 64

local function sweep(list)
  local kept = 0
  for i = list.first, list.last do
    local waiter = list[i]
    list[i] = nil
    if waiter and not is_gone(waiter) then
      kept = kept + 1
      list[kept], waiter.slot = waiter, kept
    end
  end
  list.first, list.last, list.holes = 1, kept, 0
  list.due = kept * 2 > MANY and kept * 2 or MANY
end

--- Tell `waiter` when the pending `promise` is settled.
function M.add(promise, waiter)
  local present = promise.waiters
  if not present then
    promise.waiters = waiter
  elseif present.last then
    if present.last >= (present.due or MANY) then
      sweep(present)
    end
    present:add(waiter)
  elseif is_gone(present) then
    promise.waiters = waiter
  else
    local list = waitlist.new()
    list:add(present)
    list:add(waiter)
    promise.waiters = list
  end
end
--- Do not tell it.
function M.remove(promise, waiter)
  local present = promise.waiters
  if present == waiter then
    promise.waiters = false
  elseif present and present:remove(waiter) then
    present.due = nil
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

-- So many promises are settled in one go; the others of a chain follow a little later (backlog.lua).
local PIECE = 2000

-- Tell lists of waiters, then those of the promises that are settled thereby: `todo`, from `done` on. Chains
-- may be long: a loop.
local function spread_all(todo)
  local done, left = todo.done, PIECE
  local promise = todo[done]
  while promise do
    if left == 0 then
      todo.done = done
      return put_off(spread_all, todo)
    end
    left = left - 1
    local waiters, n = promise.waiters, todo.n
    if waiters and waiters.last then
      -- It stays where `remove` finds it: to tell one may mean that another waits no more.
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
    promise.waiters = false
    after_telling(promise)
    todo[done], todo.n = nil, n
    done = done + 1
    promise = todo[done]
  end
end

--- Tell those who wait for a promise that was settled: one or many, nearly always one.
local function spread(promise)
  local waiters, left = promise.waiters, PIECE
  while not (waiters and waiters.last) do
    if left == 0 then
      return put_off(spread, promise)
    end
    left = left - 1
    promise.waiters = false
    local settled = waiters and tell(waiters, promise)
    after_telling(promise)
    if not settled then
      return
    end
    promise, waiters = settled, settled.waiters
  end
  return spread_all({ promise, n = 1, done = 1 })
end
M.spread = spread

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
  return spread(promise)
end
M.settle = settle

--- Reject a promise unless it is settled.
---@param fail table the failure
function M.reject(promise, fail)
  if not promise.state then
    settle(promise, REJECTED, fail.value, fail)
  end
end
--- Reject it because something was cancelled, unless it is settled.
function M.cancel(promise, text)
  if not promise.state then
    M.cut(promise, M.cancelled(text))
  end
end

--- The failure that a cancellation is, for several promises.
function M.cancelled(text)
  return { value = cancellation(text), traceback = "" }
end

--- Reject it with such a failure, unless it is settled.
function M.cut(promise, fail)
  if not promise.state then
    settle(promise, REJECTED, fail.value, fail)
  end
end
--- `promise`, which was just made, waits for one that is settled.
function M.pass_on(source, promise)
  hear(source)
  if tell(promise, source) and promise.state == REJECTED then
    keep(promise)
  end
end

return M
