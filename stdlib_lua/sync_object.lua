--- What all objects of `sync` have in common: a number, perhaps a name, tasks that wait in a queue.
--
-- Belongs here: how they appear in reports, how they refuse misuse, `with` and what it rests on. Does not
-- belong here: what any of them means.

local kernel = require("kernel")
local failure = require("failure")
local select_library = require("select")
local waitlist = require("waitlist")

local current, now, fire_soon = kernel.current, kernel.now, kernel.fire_soon
local TIMEOUT, CANCEL = kernel.TIMEOUT, failure.CANCEL
local handler, capture, remember = failure.handler, failure.capture, failure.remember
local bad_argument, describe = failure.bad_argument, select_library.describe
local setmetatable, getmetatable, type = setmetatable, getmetatable, type
local tostring, error, rawequal, xpcall = tostring, error, rawequal, xpcall

local M = {}

-- Objects made so far: tells those without a name apart, and orders them.
local made = 0

-- "mutex 'm1'" or "mutex #3".
local function label(object)
  local noun = getmetatable(object).__name
  return object.name and noun .. " '" .. object.name .. "'" or noun .. " #" .. object.number
end
M.label = label

--- A class of such objects. Its metatable may hold, for those that tasks own:
--   __holders  function(object) -> list of the tasks that hold it
--   __let_go   function(object, task): `task` has ended and held it
---@param noun string
function M.class(noun)
  local class = { __name = noun, __tostring = label }
  class.__index = class
  return class
end

--- Check the name that argument `n` of the function `maker` gives an object.
function M.check_name(n, maker, name)
  if name ~= nil and type(name) ~= "string" then
    bad_argument(n, maker, "name (a string) expected, got " .. describe(name), 2)
  end
end

--- Make an object.
---@param class table
---@param name string|nil for reports, checked
---@param fields table
function M.new(class, name, fields)
  made = made + 1
  fields.number, fields.name = made, name
  local waiters = waitlist.new(fields.waiters)
  waiters.object, fields.waiters = fields, waiters
  return setmetatable(fields, class)
end

-- What a wrong argument is: a number itself, of anything else the type.
local function got(value)
  return value == nil and "no value"
    or type(value) == "number" and tostring(value)
    or describe(value)
end
M.got = got

--- A method was called with a dot, or on something else.
function M.bad_self(class, name, self)
  local what = "calling '"
    .. name
    .. "' on bad self ("
    .. class.__name
    .. " expected, got "
    .. describe(self)
  error(what .. "; is it called with a colon, as in object:" .. name .. "()?)", 3)
end

--- What is wrong with `value`, which must be a whole number of at least `least`; nil for nothing.
function M.wrong_whole(value, what, least)
  if type(value) ~= "number" or not (value >= least) or value % 1 ~= 0 then
    return what .. " must be a whole number of at least " .. least .. ", got " .. got(value)
  end
end
local wrong_whole = M.wrong_whole

--- Check such an argument.
function M.check_whole(n, name, value, what, least)
  local wrong = wrong_whole(value, what, least)
  if wrong then
    bad_argument(n, name, wrong, 2)
  end
end

--- When a wait of so many seconds ends. Ask it in the line that parks.
---@param timeout number checked
function M.deadline(timeout)
  if timeout == 0 then
    fire_soon()
  end
  return now() + timeout
end

--- The task behind a waiter.
function M.task_of(waiter)
  return waiter.co and waiter or waiter.cases.task
end

-- ---------------------------------------------------------------------------------------------
-- Waiting

local function ended(result)
  if result == TIMEOUT then
    return nil, "timeout"
  end
  return result
end

local function removed(task)
  task.on:remove(task)
  return true
end

local function blockers(task)
  return { task.on.object }
end

--- The kind of a wait in an object's own queue: `park(kind, object.waiters, at)`.
---@param detail function(object) -> string
---@param after_abort function(object)|nil called when a waiter has left the queue early
function M.wait(detail, after_abort)
  return {
    reason = "resource",
    queued = true,
    abort = after_abort and function(task)
      local object = task.on.object
      removed(task)
      after_abort(object)
      return true
    end or removed,
    detail = function(task)
      return detail(task.on.object)
    end,
    finish = ended,
    blockers = blockers,
  }
end
M.ended = ended

local function remove(case)
  case.object.waiters:remove(case)
end

--- Let an object be waited for in a select, in its own queue.
---@param kind table {try=, detail=} and what else `select.offer` takes
function M.offer(class, operation, kind)
  if kind.add then
    kind.remove = remove
  else
    kind.queue = "waiters"
  end
  kind.finish = ended
  select_library.offer(class, operation, kind)
end

-- ---------------------------------------------------------------------------------------------
-- Running a function of the script's that must be followed by something

local Guard = {}

function Guard.__close(guard)
  local cut = guard.cut
  if cut then
    cut(guard.object, guard.task)
  end
end

local function left(guard, finish, ...)
  local cut = guard.cut
  guard.cut = nil
  return finish(cut, guard.object, guard.task, ...)
end

local function once()
  return true
end

local closes = coroutine.close -- nil on LuaJIT, which cannot close a coroutine
local nest = kernel.nest

--- Call `fn(...)`, then `finish(cut, object, task, ok, ...)`, with what xpcall returned. When `fn` has
-- yielded in a coroutine of the script's own and that is closed, `cut(object, task)` is called instead.
---@return any ... the values of `finish`
function M.run(finish, cut, object, task, fn, ...)
  if nest.depth == 1 or not closes then
    return finish(cut, object, task, xpcall(fn, handler, ...))
  end
  local guard = setmetatable({ cut = cut, object = object, task = task }, Guard)
  -- The fourth value of a `for` is a variable with <close>, which LuaJIT's parser does not know.
  for _ in once, nil, nil, guard do -- luacheck: ignore 512
    return left(guard, finish, xpcall(fn, handler, ...))
  end
end
local run = M.run

-- ---------------------------------------------------------------------------------------------
-- with

local function leave(release, object, task, ok, ...)
  if ok then
    release(object, task)
    return ...
  end
  local value = ...
  if rawequal(value, CANCEL) then
    release(object, task)
    error(CANCEL, 0)
  end
  local failed = capture(value, task)
  release(object, task)
  remember(task, failed) -- raised again, it keeps the traceback of its origin
  error(value, 0)
end

--- Call `fn(...)`, and `release(object, task)` whatever becomes of it.
---@return any ... fn's values
function M.with(release, object, fn, ...)
  return run(leave, release, object, current(), fn, ...)
end

return M
