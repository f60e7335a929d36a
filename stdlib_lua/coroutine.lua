--- The script's `coroutine` library and protected calls, with Lua's meaning kept.
--
-- Belongs here: letting a kernel request made inside a script's own coroutines travel outward to the
-- kernel and the answer back in, and letting a cancellation pass every protected call.
-- `coroutine.create`, `yield`, `running` and `isyieldable` stay Lua's own.

local kernel = require("kernel")
local scope = require("scope")
local failure = require("failure")

local resume, create, co_status, co_close =
  coroutine.resume, coroutine.create, coroutine.status, coroutine.close
local pcall, xpcall, error, type = pcall, xpcall, error, type
local rawequal, setmetatable = rawequal, setmetatable
local relay, is_tag, owner_of = kernel.relay, kernel.is_tag, kernel.owner_of
local raises, must_go_on = scope.raises, scope.must_go_on
local CANCEL = failure.CANCEL

local M = {}

-- Coroutines that wait inside some task: suspended for Lua, but nobody else may resume them.
local waiting = setmetatable({}, { __mode = "k" })

local NOT_SUSPENDED = "cannot resume non-suspended coroutine"

-- ---------------------------------------------------------------------------------------------
-- resume, wrap

local function resumed(co, before, ok, first, ...)
  if ok then
    if is_tag[first] then
      waiting[co] = true
      relay(first)
      waiting[co] = nil
      return resumed(co, before, resume(co))
    end
    return true, first, ...
  end
  if must_go_on(first, before) then
    error(CANCEL, 0)
  end
  return false, first
end

local function is_taken(co)
  return waiting[co] or owner_of(co)
end

--- As Lua's, but a wait inside `co` parks the whole task.
function M.resume(co, ...)
  if type(co) == "thread" and is_taken(co) then
    return false, NOT_SUSPENDED
  end
  return resumed(co, raises(), resume(co, ...))
end

-- An error that leaves a wrapped coroutine gets the position of the call, as in Lua's auxwrap.
local function unwrapped(co, ok, ...)
  if ok then
    return ...
  end
  local err = (...)
  if co_close and co_status(co) == "dead" then
    local closed, close_err = co_close(co)
    if not closed then
      err = close_err
    end
  end
  if type(err) == "string" then
    error(err, 2)
  end
  error(err, 0)
end

--- As Lua's, but a wait inside the coroutine parks the whole task.
function M.wrap(fn)
  local co = create(fn)
  return function(...)
    if is_taken(co) then
      error(NOT_SUSPENDED, 2)
    end
    return unwrapped(co, resumed(co, raises(), resume(co, ...)))
  end
end

-- ---------------------------------------------------------------------------------------------
-- status, close

--- As Lua's; a coroutine that waits inside a task, and a task's own, is "normal": alive, not resumable.
function M.status(co)
  local state = co_status(co)
  if state == "suspended" and is_taken(co) then
    return "normal"
  end
  return state
end

if co_close then
  --- As Lua's; refuses a coroutine that a task is using.
  function M.close(co, ...)
    if type(co) == "thread" and is_taken(co) and co_status(co) == "suspended" then
      error("cannot close a normal coroutine", 2)
    end
    local before = raises()
    local ok, err = co_close(co, ...)
    if not ok and must_go_on(err, before) then
      error(CANCEL, 0)
    end
    if ok then
      return true
    end
    return false, err
  end
end

-- ---------------------------------------------------------------------------------------------
-- Protected calls

local function passed(before, ok, ...)
  if not ok and must_go_on((...), before) then
    error(CANCEL, 0)
  end
  return ok, ...
end

--- As Lua's; a cancellation is not an error to catch and goes on.
M.pcall = function(...)
  return passed(raises(), pcall(...))
end

--- As Lua's; the handler is not called for a cancellation.
M.xpcall = function(fn, handler, ...)
  if type(handler) ~= "function" then
    return passed(raises(), xpcall(fn, handler, ...))
  end
  local function guarded(err)
    if rawequal(err, CANCEL) and must_go_on(err, raises()) then
      return err
    end
    return handler(err)
  end
  return passed(raises(), xpcall(fn, guarded, ...))
end

--- Give a script's environment these functions instead of Lua's own.
function M.install(globals)
  local library = globals.coroutine
  library.resume, library.wrap, library.status = M.resume, M.wrap, M.status
  if co_close then
    library.close = M.close
  end
  globals.pcall, globals.xpcall = M.pcall, M.xpcall
end

return M
