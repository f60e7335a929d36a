--- Callbacks: waiting functions as functions that return at once and call back.
--
-- Belongs here: the script's `callback` library. A call is a task, which runs the callback, too. So callbacks
-- run in order of completion, each once, whenever the script waits, in the scope of the call. `process` is
-- one more such wait.

local kernel = require("kernel")
local failure = require("failure")
local promises = require("promise_object")
local resolution = require("resolution")
local scope_library = require("scope")
local select_library = require("select")
local task_library = require("task")

local setmetatable, type, error, rawequal = setmetatable, type, error, rawequal
local tostring, xpcall = tostring, xpcall
local current, spawn, yield, now = kernel.current, kernel.spawn, kernel.yield, kernel.now
local pack, unpack = kernel.pack, kernel.unpack
local check_callable, bad_argument = failure.check_callable, failure.bad_argument
local on_error, CANCEL, remember = failure.handler, failure.CANCEL, failure.remember
local is_callable = resolution.is_callable
local describe, sleep = select_library.describe, task_library.sleep

local M = {}

-- A loop may call `process` again and again without a sleep. After so many calls in a row that found nothing,
-- at a rate above one per SPARE seconds, it naps: others in the process, and a virtual clock, must get on.
local PATIENCE, SPARE, NAP = 32, 0.0005, 0.001

local calls = setmetatable({}, { __mode = "v" }) -- id -> call, until it is over
local last_id = 0

-- Functions that `wrap` has made -> what they were made of.
local wrapped = setmetatable({}, { __mode = "k" })

-- What is known of a script's calls; it lies in the outermost scope below the runtime's.
local function registry_of(name)
  local scope = scope_library.current()
  if not scope then
    error("cannot call callback." .. name .. " outside a task", 3)
  end
  while scope.parent and scope.parent.parent do
    scope = scope.parent
  end
  local registry = scope.callbacks
  if not registry then
    registry = {
      pending = 0, -- calls whose callback has not begun
      ran = 0, -- callbacks that have
      empty = 0, -- calls of `process` in a row that found nothing
      since = 0, -- when the first of these was
    }
    scope.callbacks = registry
  end
  return registry
end

-- ---------------------------------------------------------------------------------------------
-- Calls

-- One call. It joins its task, `quiet`: how that ends does not matter to it.
local Call = { quiet = true }
Call.__index = Call

-- Its callback runs now, or never.
local function is_over(call)
  calls[call.id] = nil
  call.over = true
  call.registry.pending = call.registry.pending - 1
end

--- Its task has ended.
function Call:fire()
  if not self.over then
    is_over(self)
  end
end

local function finish(call, ok, ...)
  if not ok and rawequal((...), CANCEL) then
    error(CANCEL, 0)
  elseif call.over and ok then
    return -- cancelled
  end
  local me, handler = current(), call.callback
  if not ok then
    remember(me, failure.capture((...), me)) -- raised again, here or by the errback, it keeps its origin
    handler = not call.over and call.errback
  end
  if not call.over then
    is_over(call)
  end
  if handler then
    call.registry.ran = call.registry.ran + 1
    return handler(...) -- a tail call: a traceback does not call it by the name of our variable
  elseif not ok then
    error((...), 0)
  end
end

-- The body of a call's task.
local function perform(call, fn, ...)
  finish(call, xpcall(fn, on_error, ...))
end

local function begin(fn, args, callback, errback)
  local id = last_id + 1
  last_id = id
  local call = setmetatable({
    id = id,
    registry = registry_of("wrap"),
    callback = callback,
    errback = errback,
    over = false,
    task = nil,
  }, Call)
  local task = spawn(nil, perform, pack(call, fn, unpack(args, 1, args.n)))
  task.name, task.joiners = "callback", call
  task.site = "registered at " .. (failure.line_of(nil, 2) or "?")
  call.task, calls[id] = task, call
  call.registry.pending = call.registry.pending + 1
  return id
end

-- ---------------------------------------------------------------------------------------------
-- Which arguments are the callbacks

local function check_handler(n, what, value)
  if value ~= nil and not is_callable(value) then
    bad_argument(n, "the wrapped function", what .. " expected, got " .. describe(value), 3)
  end
end

-- `count` arguments are the function's own, two more may follow.
local function split_at(count, args)
  if args.n > count + 2 then
    local text = "it takes " .. count .. " arguments, a callback and an errback"
    bad_argument(count + 3, "the wrapped function", text, 2)
  end
  local callback, errback = args[count + 1], args[count + 2]
  check_handler(count + 1, "callback", callback)
  check_handler(count + 2, "errback", errback)
  args.n = count
  return callback, errback
end

-- The last argument that is not nil is the callback, or, after another function, the errback.
local function split(args)
  local n = args.n
  while n > 0 and args[n] == nil do
    n = n - 1
  end
  if type(args[n]) ~= "function" then
    return nil, nil
  elseif type(args[n - 1]) ~= "function" then
    args.n = n - 1
    return args[n], nil
  end
  args.n = n - 2
  return args[n - 1], args[n]
end

local MOST_ARGUMENTS = 200

local function check_count(n, name, count)
  if count == nil then
    return
  end
  local is_number = type(count) == "number"
  if is_number and count >= 0 and count <= MOST_ARGUMENTS and count % 1 == 0 then
    return
  end
  local got = is_number and tostring(count) or describe(count)
  local expected = "number of arguments (a whole number up to " .. MOST_ARGUMENTS .. ") expected"
  bad_argument(n, name, expected .. ", got " .. got, 2)
end

--- Make of a function that waits one that returns at once: `fn_async(..., callback [, errback])` runs
-- `fn(...)` as a task and returns an id. Later it calls `callback` with the values, or `errback` with the
-- error. Not a checkpoint.
---@param fn function
---@param count integer|nil how many arguments are fn's own; nil: all before the last one or two functions
---@return function fn_async
function M.wrap(fn, count)
  check_callable(1, "wrap", fn)
  check_count(2, "wrap", count)
  local function fn_async(...)
    local args = pack(...)
    if count then
      return begin(fn, args, split_at(count, args))
    end
    return begin(fn, args, split(args))
  end
  wrapped[fn_async] = fn
  return fn_async
end

-- ---------------------------------------------------------------------------------------------
-- Looking on

--- Has a callback of this script not been called yet? Not a checkpoint.
---@return boolean
function M.has_pending()
  return registry_of("has_pending").pending > 0
end

-- Nothing was ready again.
local function nap_if_busy(registry)
  local time = now()
  if registry.empty == 0 then
    registry.since = time
  end
  registry.empty = registry.empty + 1
  if registry.empty >= PATIENCE then
    if time - registry.since < registry.empty * SPARE then
      sleep(NAP)
    end
    registry.empty = 0
  end
end

--- Let the callbacks run that are ready. They also run whenever the script waits otherwise. A checkpoint.
---@return integer how many of this script's callbacks have begun meanwhile
function M.process()
  local registry = registry_of("process")
  local before = registry.ran
  yield()
  local ran = registry.ran - before
  if ran > 0 then
    registry.empty = 0
  elseif registry.pending > 0 then
    nap_if_busy(registry)
    ran = registry.ran - before
  end
  return ran
end

--- Cancel a call: its callbacks will not be called. Not a checkpoint.
---@param id integer what the call returned
---@return boolean false when its callback has begun already, or there is no such call
function M.cancel(id)
  if type(id) ~= "number" then
    bad_argument(1, "cancel", "id of a call (a number) expected, got " .. describe(id))
  end
  local call = calls[id]
  if not call or call.registry ~= registry_of("cancel") then
    return false -- numbers can be guessed: only a script's own
  end
  is_over(call)
  call.task:cancel("its callback was cancelled")
  return true
end

-- ---------------------------------------------------------------------------------------------
-- Promises and back

--- Make of a function that calls back one that returns a promise. Not a checkpoint.
---@param fn_async function `fn_async(..., callback, errback)`
---@param count integer|nil how many arguments come before the callback; nil: those of the call
---@return function
function M.to_promise(fn_async, count)
  check_callable(1, "to_promise", fn_async)
  check_count(2, "to_promise", count)
  local fn = wrapped[fn_async]
  if fn then
    return function(...)
      return promises.run(fn, ...)
    end
  end
  return function(...)
    local args = pack(...)
    local n = count or args.n
    return promises.new(function(resolve, reject)
      args[n + 1], args[n + 2] = resolve, reject
      fn_async(unpack(args, 1, n + 2))
    end)
  end
end

--- Make of a function that returns a promise one that calls back, as `wrap` does. Not a checkpoint.
---@param fn function
---@param count integer|nil see `wrap`
---@return function fn_async
function M.from_promise(fn, count)
  check_callable(1, "from_promise", fn)
  check_count(2, "from_promise", count)
  return M.wrap(function(...)
    return promises.resolve(fn(...)):await()
  end, count)
end

M.public = {
  cancel = M.cancel,
  from_promise = M.from_promise,
  has_pending = M.has_pending,
  process = M.process,
  to_promise = M.to_promise,
  wrap = M.wrap,
}

return M
