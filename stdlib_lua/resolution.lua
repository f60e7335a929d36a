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
local put_off = require("backlog").put_off

local getmetatable, type, rawequal = getmetatable, type, rawequal
local metatable_of = debug.getmetatable -- the real one, also where __metatable hides it
local pcall, xpcall, error, select, rawget = pcall, xpcall, error, select, rawget
local tostring, sub = tostring, string.sub
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

-- The task that the table `value` is, or stands for in a sandbox.
local function task_of(value)
  if getmetatable(value) == Task then
    return value
  end
  local record = records[value]
  return record and getmetatable(record) == Task and record or nil
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

-- How a task ended that returned no value is how `promise` ends.
local function end_as(promise, task)
  if task.state == "cancelled" then
    cancel(
      promise,
      tostring(task) .. " was cancelled" .. (task.reason and ": " .. task.reason or "")
    )
  else
    local fail = task.on
    settle(promise, REJECTED, reason_of(fail.value), fail)
  end
end

local resolve, resolve_soon

-- Tasks of a chain that are looked at in one go; the others follow a little later (backlog.lua).
local PIECE = 2000

-- `promise` was resolved with `task`. That may have ended with a task as its value, and so on: a chain as
-- long as a script likes, or a ring. Brent's algorithm finds the ring: `mark` is a task passed before, put
-- forward to where we are after 1, 2, 4, 8... steps; who goes round passes it again.
---@param mark table|nil where an earlier piece has left off, as `lap` (steps between marks) and `steps`
local function follow_task(promise, task, mark, lap, steps)
  mark, lap, steps = mark or task, lap or 1, steps or 0
  local left = PIECE
  while task.state do
    scope_library.hear(task)
    local values = task.on
    local value = task.state == "done" and values and values[1]
    local nearer = type(value) == "table" and task_of(value)
    if not nearer then
      if task.state ~= "done" then
        return end_as(promise, task)
      end
      return resolve_soon(promise, value, values and values.n ~= 1 and values or nil)
    elseif nearer == mark then
      local text = tostring(nearer)
        .. " returned itself, or a task that returned it: a promise of it "
      local fail = failure.new("type", text .. "would never have a value; return something else")
      return reject(promise, fail_with(fail, 2, "at its end"))
    end
    task, steps = nearer, steps + 1
    if steps == lap then
      mark, lap, steps = task, lap * 2, 0
    end
    left = left - 1
    if left == 0 then
      promise.source, promise.value, promise.err = task, false, nil
      return put_off(function()
        if not promise.state then
          promise.source = nil
          follow_task(promise, task, mark, lap, steps)
        end
      end)
    end
  end
  promise.source, promise.value, promise.err = task, false, nil
  joiners.add(task, promise)
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
      follow_task(self, task)
    end
  elseif task.state == "failed" then
    if is_resolved(self) then
      scope_library.fail(task.home, task) -- nobody else would hear of it
    else
      end_as(self, task)
    end
  elseif task.state == "cancelled" and not is_resolved(self) then
    cancel(self, tostring(task) .. ", its executor, was cancelled")
  end
end

--- Nobody needs `promise` any more, which was made for a task. A failure of that counts as heard still.
function M.leave(promise)
  local task = promise.source
  promise.ours = nil
  if getmetatable(task) == Task and not task.state then
    joiners.leave(task, promise)
  end
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

-- Tables whose fields the next one lacks, as classes have; so many are looked through.
local DEEP = 20

-- The field `next` of a table, without running any code of the script's.
---@return boolean known false where only code of the script's can tell
---@return any step
local function peek_next(value)
  for _ = 1, DEEP do
    local step = rawget(value, "next")
    if step ~= nil then
      return true, step
    end
    local meta = metatable_of(value)
    local index = meta and rawget(meta, "__index")
    if index == nil then
      return true, nil
    elseif type(index) ~= "table" then
      return false
    end
    value = index
  end
  return false
end

local function is_callable(value)
  if type(value) == "function" then
    return true
  end
  local meta = metatable_of(value)
  return meta ~= nil and rawget(meta, "__call") ~= nil
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
  local known, step = peek_next(value)
  if not known then
    -- 2.3.3.1: asked for once. The script's code that runs may fail and may wait. Nothing else can
    -- resolve the promise meanwhile, but it may be cancelled.
    promise.source, promise.value, promise.err = value, false, nil
    local got
    got, step = pcall(get_next, value)
    if not got and is_cancellation(step) then
      cancel(promise, "cancelled while its value was being looked at")
      error(CANCEL, 0)
    elseif promise.state then
      return
    end
    promise.source = nil
    if not got then
      return reject(promise, fail_with(reason_of(step), 2))
    end
  end
  if step ~= nil and is_callable(step) then
    return assimilate(promise, value, step)
  end
  return settle(promise, FULFILLED, value, extra)
end

--- The same where no code of the script's may run: a task ends. A handler will look, if that must be.
function resolve_soon(promise, value, extra)
  if type(value) ~= "table" then
    return settle(promise, FULFILLED, value, extra)
  end
  local class = getmetatable(value)
  if class == Promise or records[value] or peek_next(value) then
    return resolve(promise, value, extra)
  end
  promise.source, promise.err = value, nil
  function promise.value()
    resolve(promise, value, extra)
    return HANDLED
  end
  add_reaction(promise, { state = FULFILLED })
end

--- The same for one that may be settled by now.
function M.resolve(promise, value, extra)
  if not promise.state then
    return resolve(promise, value, extra)
  end
end

-- ---------------------------------------------------------------------------------------------
-- Running handlers, for reactions.lua

-- A handler has ended with locks in its hands: they are let go, and if it returned it has forgotten an
-- unlock. Its runner goes on to other handlers, so it cannot wait until that ends.
local returned
local function without_locks(queue, runner, promise, had_returned, ok, value, ...)
  if ok or not had_returned then
    return returned(queue, runner, promise, ok, value, ...)
  end
  local site, label, message =
    failure.site_of({ fn = runner.handler }), tostring(runner), value.message
  if sub(message, 1, #label) == label then
    value.message = "the handler " .. site .. sub(message, #label + 1)
  end
  reject(promise, {
    value = value,
    traceback = "stack traceback:\n\t" .. site,
    task = { id = runner.id, name = rawget(runner, "name"), site = site },
  })
end

-- What the handler of `promise` returned or raised.
function returned(queue, runner, promise, ok, value, ...)
  if runner.held then
    return without_locks(queue, runner, promise, ok, kernel.give_back(runner, ok, value, ...))
  elseif not ok then
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
    runner.handler = handler
    return returned(queue, runner, promise, xpcall(handler, on_error, unpack(extra, 1, extra.n)))
  end
  runner.handler = handler
  return returned(queue, runner, promise, xpcall(handler, on_error, source.value))
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
