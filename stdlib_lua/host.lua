--- Host functions: Python functions as scripts see them, and what comes back from a call.
--
-- Belongs here: the Lua half of calls, iterators and handles. The Python half is bridge/host.py.
-- Every host call passes `perform` here and `HostFunctions.call` there, and nothing else.

local kernel = require("kernel")
local failure = require("failure")

local enter, current, call = kernel.enter, kernel.current, kernel.call
local reschedule, post = kernel.reschedule, kernel.post
local pack, unpack = kernel.pack, kernel.unpack
local check_place, check_result = kernel.check_place, kernel.check_result
local error, setmetatable, type, getmetatable = error, setmetatable, type, getmetatable
local tostring, pairs = tostring, pairs
local newproxy = newproxy

local M = {}

-- How a call ended; bridge/host.py sends the same numbers.
local OK, RAISED, MISUSED = 0, 1, 2 -- anything else: an iterator

-- Calls are numbered: what is said about one that has ended must not hit the task's next.
local last_call = 0
-- Number of a call -> task, while it is under way. (Weak: a task that is abandoned does not see its end.)
local calls = setmetatable({}, { __mode = "v" })
M.names = {} -- id of a host function -> name

-- A host call is over when Python says so: cancelling it cancels the trio work and waits for its end.
local HOST = {
  reason = "host",
  abort = function(task)
    if task.aborting ~= task.call then
      task.aborting = task.call
      post("abort", task.call)
    end
    return false
  end,
  detail = function(task)
    return M.names[task.called] or "a host call"
  end,
}

-- Tables have no __gc on LuaJIT, there `newproxy` makes a userdata that has.
local function on_collect(fn)
  if newproxy then
    local proxy = newproxy(true)
    getmetatable(proxy).__gc = fn
    getmetatable(proxy).__metatable = false
    return proxy
  end
  -- Locked: a script that could replace the __gc would have code run outside every task.
  return setmetatable({}, { __gc = fn, __metatable = false })
end

local new_iterator

local function finish(name, results)
  local status = results[1]
  if status == OK then
    return unpack(results, 2, results.n)
  elseif status == RAISED then
    error(failure.from_host(results[2], results[3], results[4]), 0)
  elseif status == MISUSED then
    -- Everything between `finish` and the caller of the host function was a tail call.
    error(results[2], 2)
  end
  return new_iterator(name, results[2])
end

-- `waits`: a checkpoint. What cannot wait is none, so a cancelled task may still call it in its cleanup.
local function perform(fn, name, waits, ...)
  check_place() -- before anything is noted: this may be a finalizer, and no task's doing
  local task = waits and enter() or current()
  if not task then
    error("cannot call " .. name .. " outside a task", 0)
  end
  if kernel.limited then -- either may raise
    kernel.count_call(task)
    kernel.reserve_copies(...)
  end
  local id = last_call + 1
  last_call = id
  calls[id] = task
  task.call, task.called = id, fn
  local results = call(task, HOST, pack(id, fn, ...))
  calls[id] = nil
  check_result(task, results)
  return finish(name, results)
end

--- The Lua function that calls host function number `fn`.
---@param fn integer
---@param name string for messages
---@param waits boolean whether it may wait
function M.new_function(fn, name, waits)
  M.names[fn] = name
  return function(...)
    return perform(fn, name, waits, ...)
  end
end

--- The same for a function without a name: Python forgets it when Lua does.
function M.anonymous_function(fn, name, waits)
  M.names[fn] = name
  local guard = on_collect(function()
    M.names[fn] = nil
    post("release", fn)
  end)
  return function(...)
    return perform(guard and fn, name, waits, ...)
  end
end

--- The iterator function alone, for an iterator inside a table.
function M.iterator(id)
  return (new_iterator("iterator", id))
end

--- The task whose host call has this number, or nil.
function M.caller(id)
  return calls[id]
end

local function ended(id, result)
  local task = calls[id]
  calls[id] = nil
  if kernel.count_pending then
    kernel.count_pending(task, -1)
  end
  reschedule(task, result)
end

--- Python: call number `id` is over; `...` as in `finish`.
function M.complete(id, ...)
  ended(id, pack(...))
end

--- Python: call number `id` was cancelled and its trio work has ended.
function M.complete_cancelled(id)
  ended(id, kernel.CANCELLED)
end

-- ---------------------------------------------------------------------------------------------
-- Iterators: a Python generator or iterator as a generic `for` sees it

local STEP, CLOSE = 1, 2 -- numbers of the two host functions behind every iterator
M.names[STEP] = "the next value of an iterator"
M.names[CLOSE] = "closing an iterator"

function new_iterator(name, id)
  local open = true
  local guard = on_collect(function()
    if open then
      post("drop", id)
    end
  end)
  local closer = setmetatable({ guard = guard }, {
    __name = "host iterator",
    __metatable = false,
    __close = function()
      if open then
        perform(CLOSE, name, false, id)
        open = false
      end
    end,
  })
  local function receive(first, ...)
    if first == nil then
      open = false
    end
    return first, ...
  end
  local function advance()
    if not open or not closer.guard then
      return nil
    end
    return receive(perform(STEP, name, true, id))
  end
  -- The fourth value is closed when a `for` ends early (Lua 5.4 and later).
  return advance, nil, nil, closer
end

-- ---------------------------------------------------------------------------------------------
-- Handles: opaque host objects

-- handle -> lupa's userdata, which keeps the object alive
local objects = setmetatable({}, { __mode = "k" })
local handles = setmetatable({}, { __mode = "v" }) -- id(object) in Python -> handle

--- The handle of a Python object: the same object has the same handle while the handle lives.
---@param object userdata
---@param key integer id(object); unique while the object lives, which the handle ensures
---@param type_name string
function M.handle(object, key, type_name)
  local handle = handles[key]
  if not handle then
    handle = setmetatable({}, {
      __name = type_name,
      __tostring = function()
        return "host object <" .. type_name .. ">"
      end,
      __index = function(_, field)
        error(
          "host object <" .. type_name .. "> is opaque: it has no field '" .. tostring(field) .. "'",
          2
        )
      end,
      __newindex = function()
        error("host object <" .. type_name .. "> is opaque and cannot be changed", 2)
      end,
      __metatable = false,
    })
    handles[key] = handle
    objects[handle] = object
  end
  return handle
end

--- lupa's userdata behind a handle, or nil.
function M.object_of(value)
  return type(value) == "table" and objects[value] or nil
end

--- Drop every reference to Python objects: the runtime is closing, and no collector sees a cycle through
-- Lua.
function M.close()
  for handle in pairs(objects) do
    objects[handle] = nil
  end
  failure.drop_causes()
end

return M
