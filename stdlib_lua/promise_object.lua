--- Promises as scripts have them: how they are made, their methods.
--
-- Belongs here: what is called. The rules of settling are in deferred.lua, waiting in promise_waits.lua,
-- `all`, `any` and so on in promise_combinators.lua.

local kernel = require("kernel")
local failure = require("failure")
local deferred = require("deferred")
local joiners = require("joiners")
local reactions = require("reactions")
local rejections = require("rejections")
local resolution = require("resolution")
local scope_library = require("scope")
local select_library = require("select")
local waits = require("promise_waits")

local getmetatable, setmetatable, type, error = getmetatable, setmetatable, type, error
local select = select
local current, spawn, start_now = kernel.current, kernel.spawn, kernel.start_now
local killing, is_killed, check_cancelled =
  scope_library.killing, scope_library.is_killed, scope_library.check
local pack = kernel.pack
local check_callable, bad_argument = failure.check_callable, failure.bad_argument
local is_callable, is_resolved, resolve =
  resolution.is_callable, resolution.is_resolved, resolution.resolve
local describe = select_library.describe

local Promise, new = deferred.Promise, deferred.new
local Task, tasks, levels = kernel.Task, kernel.owned, kernel.nest.levels

local M = {}

local function check_promise(self, name)
  if getmetatable(self) ~= Promise then
    waits.bad_self(self, name)
  end
end

-- The scope in which the running task makes a promise.
local function here(name)
  local task = current()
  if not task then
    error("cannot call promise." .. name .. " outside a task", 3)
  end
  return task.inner or task.home
end

-- ---------------------------------------------------------------------------------------------
-- Making promises

local PARKED = { parked = true }

-- Executors lie upon each other in one step: killed, all that went on there would get a slice each.
local function check_killed()
  local task = killing() and current()
  if task and is_killed(task) then
    check_cancelled(task)
  end
end

--- Make a promise of what `executor(resolve, reject)` says. It runs at once, until its first wait, as a task
-- of its own. Not a checkpoint.
---@param executor function
---@return table promise
function M.new(executor)
  if type(executor) ~= "function" then
    check_callable(1, "new", executor)
  end
  local promise = new(here("new"), false)
  check_killed()

  local function resolve_it(value, ...)
    if not is_resolved(promise) then
      resolve(promise, value, select("#", ...) > 0 and pack(value, ...) or nil)
    end
  end
  local task
  local function reject_it(reason)
    if not is_resolved(promise) then
      local site = current() == task and failure.site_of({ fn = executor }) or nil
      deferred.reject(promise, rejections.fail_with(rejections.reason_of(reason), 1, site))
    end
  end

  task = spawn(nil, executor, { resolve_it, reject_it }, PARKED)
  task.joiners = promise
  start_now(task)
  if not task.state then
    promise.task = task
  end
  check_killed()
  return promise
end

--- Run `fn(...)` as a task; its values, or its error, are the promise's. Not a checkpoint.
---@param fn function
---@return table promise
function M.run(fn, ...)
  if type(fn) ~= "function" then
    check_callable(1, "run", fn)
  end
  local scope = here("run")
  local task = spawn(scope, fn, select("#", ...) > 0 and pack(...) or nil)
  -- `deferred.new`, in line.
  local promise = setmetatable({
    state = false,
    value = false,
    waiters = false,
    scope = scope,
    task = task,
    source = task,
    heard = nil, -- room for it
  }, Promise)
  task.joiners = promise
  return promise
end

--- A promise that is fulfilled with the value; of a promise that promise itself, of a task or a thenable
-- what becomes of it. Not a checkpoint.
---@param value any
---@return table promise
function M.resolve(value, ...)
  local more = select("#", ...) > 0
  if not more and getmetatable(value) == Promise then
    return value
  end
  local promise = new(here("resolve"), false)
  resolve(promise, value, more and pack(value, ...) or nil)
  return promise
end

--- A promise that is rejected. Not a checkpoint.
---@param reason any
---@return table promise
function M.reject(reason)
  local promise = new(here("reject"), false)
  deferred.reject(promise, rejections.fail_with(rejections.reason_of(reason), 1))
  return promise
end

-- ---------------------------------------------------------------------------------------------
-- Handlers

local function handler_of(value)
  return is_callable(value) and value or false
end

--- Let `ok(...)` be called with the value, or `err(reason)` with the reason, later, in the current scope.
-- What is no function is ignored. Not a checkpoint.
---@param ok function|nil
---@param err function|nil
---@return table promise of what the handler returns, or of its error
function Promise:next(ok, err)
  if getmetatable(self) ~= Promise then
    check_promise(self, "next")
  end
  local task = tasks[levels[1]] -- `current`, in line
  local scope = task and (task.inner or task.home) or here("next")
  if type(ok) ~= "function" then
    ok = handler_of(ok)
  end
  if err ~= nil and type(err) ~= "function" then
    err = handler_of(err)
  end
  -- `deferred.new`, in line.
  local promise =
    setmetatable({ state = false, value = ok, waiters = false, scope = scope }, Promise)
  if err then
    promise.err = err
  end
  if self.state then
    deferred.pass_on(self, promise)
  elseif self.waiters then
    deferred.add(self, promise)
  else
    self.waiters = promise
  end
  return promise
end

--- `next(nil, err)`.
---@param err function
---@return table promise
function Promise:catch(err)
  check_promise(self, "catch")
  return self:next(nil, err)
end

local function wait_for(value)
  if type(value) == "table" then
    M.resolve(value):await()
  end
end

--- Let `fn()` be called either way; value or reason pass through, unless it fails. Not a checkpoint.
---@param fn function
---@return table promise
function Promise:finally(fn)
  check_promise(self, "finally")
  if not is_callable(fn) then
    return self:next(fn, fn)
  end
  return self:next(function(...)
    wait_for(fn())
    return ...
  end, function(reason)
    wait_for(fn())
    error(reason, 0)
  end)
end

-- ---------------------------------------------------------------------------------------------
-- Looking on, ending

--- "pending", "fulfilled" or "rejected". Not a checkpoint.
---@return string
function Promise:status()
  check_promise(self, "status")
  return self.state or "pending"
end

--- Cancel: the task of promise.run is cancelled and the promise with it; any other promise is rejected now
-- with an error of kind "cancelled", and its handler or executor, if under way, cancelled. Not a checkpoint.
---@param reason string|nil
---@return boolean false when it was settled already
function Promise:cancel(reason)
  check_promise(self, "cancel")
  if reason ~= nil and type(reason) ~= "string" then
    bad_argument(1, "cancel", "reason (a string) expected, got " .. describe(reason))
  end
  if self.state then
    return false
  end
  local task, source = self.task, self.source
  if task and source == task then
    return task:cancel(reason)
  end
  if self.group then
    self.group:disband()
  elseif getmetatable(source) == Promise then
    deferred.remove(source, self)
  elseif getmetatable(source) == Task and not source.state then
    joiners.remove(source, self)
  end
  task = task or reactions.runner_of(self)
  deferred.cancel(self, "the promise was cancelled" .. (reason and ": " .. reason or ""))
  if task then
    task:cancel(reason)
  end
  return true
end

--- Wait for the value. A checkpoint; others only run when it waits.
---@param timeout number|nil seconds; nil waits for ever
---@return any ... the values; nil and "timeout" when it is pending still; the reason of a rejection is raised
Promise.await = waits.await

Promise.__tostring = waits.label

return M
