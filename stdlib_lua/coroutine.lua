--- The script's `coroutine` library and protected calls, with Lua's meaning kept.
--
-- Belongs here: letting a kernel request made inside a script's own coroutines travel outward to the
-- kernel and the answer back in, and letting a cancellation pass every protected call.
-- `coroutine.create`, `yield` and `isyieldable` stay Lua's own. What a script can tell apart
-- from Lua's own functions is listed in docs/conformance.md.

local kernel = require("kernel")
local scope = require("scope")
local failure = require("failure")

local resume, create, wrap = coroutine.resume, coroutine.create, coroutine.wrap
local co_status, co_close = coroutine.status, coroutine.close
local pcall, xpcall, error, type, select = pcall, xpcall, error, type, select
local rawequal, setmetatable, getinfo = rawequal, setmetatable, debug.getinfo
local relay, is_tag, owned = kernel.relay, kernel.is_tag, kernel.owned
local count, must_go_on, is_killed = scope.count, scope.must_go_on, scope.is_killed
local gsub, find, sub, running = string.gsub, string.find, string.sub, coroutine.running
local CANCEL, is_ours = failure.CANCEL, failure.is_ours
local seen_by_script = kernel.seen
local nest, levels, nobody = kernel.nest, kernel.nest.levels, kernel.nest.nobody

local M = {}

-- Coroutines that wait inside some task, and, behind them, the scheduler's own: suspended for Lua, but
-- nobody else may resume them. (What is not suspended Lua's own functions refuse.)
local taken = setmetatable({}, { __mode = "k", __index = owned })

local NOT_SUSPENDED = "cannot resume non-suspended coroutine"

-- LuaJIT calls a function "?" when the call does not name it; the others look it up in package.loaded.
local names_unnamed = not jit
local closes_running = _VERSION == "Lua 5.5" -- coroutine.close() ends the running coroutine

-- Raise what Lua's own function says about these arguments, at the line that called ours.
local function misused(name, native, ...)
  local _, message = pcall(native, ...) -- called so, it knows neither its name nor a line
  local called = getinfo(2, "n").name or names_unnamed and name or "?"
  message = gsub(message, "'%?'", function()
    return "'" .. called .. "'"
  end, 1)
  error(message, 3)
end

-- ---------------------------------------------------------------------------------------------
-- resume

-- Around every resume: `levels` names the coroutines that run inside the task's own, outermost first, so
-- that each can be preempted. (In line where it counts.)
local function enter(co)
  local depth = nest.depth + 1
  nest.depth, levels[depth] = depth, co
end

-- The levels are again what they were: whatever was left out on the way (a stack overflow in a function of
-- this file, a coroutine that closes itself) must not count as running for ever.
local function back_to(depth)
  for i = nest.depth, depth + 1, -1 do
    levels[i] = nobody
  end
  nest.depth = depth
end

local function leave(depth, ...)
  back_to(depth)
  return ...
end

-- Its <close> variables run on the coroutine itself.
local function close_thread(co)
  local depth = nest.depth
  enter(co)
  return leave(depth, co_close(co))
end

-- A cancellation passes through: the <close> variables of the coroutine run, as they do in any function; but
-- not when the task was killed, for Lua runs no hooks in a coroutine that a hook has ended.
local function pass_cancellation(co)
  if co_close and co_status(co) == "dead" and not is_killed(kernel.current()) then
    close_thread(co)
  end
  error(CANCEL, 0)
end

local function refuse_open_scope(co)
  local left, failed = scope.left_open(co)
  if failed then
    error(failed.value, 0)
  elseif left then
    error(
      "a coroutine yielded inside a scope it had opened; end task.scope, task.timeout or task.shield before",
      3
    )
  end
end

local function resumed(co, before, depth, ok, ...)
  back_to(depth)
  if ok then
    if is_tag[...] then
      taken[co] = true
      local problem = relay((...))
      taken[co] = nil
      if problem then
        error(problem, 0)
      end
      enter(co)
      return resumed(co, before, depth, resume(co))
    end
    if count.nested > 0 then
      refuse_open_scope(co)
    end
    return true, ...
  end
  if must_go_on((...), before) then
    pass_cancellation(co)
  end
  return false, ...
end

--- As Lua's, but a wait inside the coroutine parks the whole task.
function M.resume(...)
  local co = ...
  if type(co) ~= "thread" then
    misused("coroutine.resume", resume, ...)
  end
  if taken[co] and co_status(co) == "suspended" then
    return false, NOT_SUSPENDED
  end
  local depth = nest.depth + 1
  nest.depth, levels[depth] = depth, co
  return resumed(co, count.raises, depth - 1, resume(...))
end

-- ---------------------------------------------------------------------------------------------
-- wrap

-- As Lua's auxwrap: the <close> variables run, and a string gets the position of the call.
local function fail_wrapped(co, before, err)
  if must_go_on(err, before) then
    pass_cancellation(co)
  end
  if co_close and co_status(co) == "dead" then
    local closed, close_err = close_thread(co)
    if not closed then
      err = close_err
      if must_go_on(err, before) then
        error(CANCEL, 0)
      end
    end
  end
  error(err, type(err) == "string" and 3 or 0)
end

local function wrapped(co, before, depth, ok, ...)
  back_to(depth)
  if ok then
    if is_tag[...] then
      taken[co] = true
      local problem = relay((...))
      taken[co] = nil
      if problem then
        error(problem, 0)
      end
      enter(co)
      return wrapped(co, before, depth, resume(co))
    end
    if count.nested > 0 then
      refuse_open_scope(co)
    end
    return ...
  end
  fail_wrapped(co, before, ...)
end

--- As Lua's, but a wait inside the coroutine parks the whole task.
function M.wrap(...)
  if type((...)) ~= "function" then
    misused("coroutine.wrap", wrap, ...)
  end
  local co = create(...)
  return function(...)
    if taken[co] and co_status(co) == "suspended" then
      error(NOT_SUSPENDED, 2)
    end
    local depth = nest.depth + 1
    nest.depth, levels[depth] = depth, co
    return wrapped(co, count.raises, depth - 1, resume(co, ...))
  end
end

-- ---------------------------------------------------------------------------------------------
-- status, close

--- As Lua's; a coroutine that waits inside a task, and a task's own, is "normal": alive, not resumable.
function M.status(...)
  local co = ...
  if type(co) ~= "thread" then
    misused("coroutine.status", co_status, ...)
  end
  local state = co_status(co)
  return state == "suspended" and taken[co] and "normal" or state
end

local function closed(before, ok, ...)
  if not ok and must_go_on((...), before) then
    error(CANCEL, 0)
  end
  return ok, ...
end

--- As Lua's; refuses a coroutine that a task is using.
function M.close(...)
  local co = ...
  if closes_running and select("#", ...) == 0 then
    co = running()
  elseif type(co) ~= "thread" then
    misused("coroutine.close", co_close, ...)
  end
  local state = co_status(co)
  if taken[co] and co_status(co) == "suspended" then
    error("cannot close a normal coroutine", 2)
  elseif state == "running" and closes_running then
    if owned[co] then
      error("cannot close main thread", 2)
    end
  elseif state == "running" or state == "normal" then
    misused("coroutine.close", co_close, co)
  end
  return closed(count.raises, close_thread(co))
end

-- ---------------------------------------------------------------------------------------------
-- Protected calls

local function passed(before, depth, ok, ...)
  if nest.depth ~= depth then
    back_to(depth)
  end
  if not ok and must_go_on((...), before) then
    error(CANCEL, 0)
  end
  return ok, ...
end

--- As Lua's; a cancellation is not an error to catch and goes on.
function M.pcall(...)
  if (...) == nil and select("#", ...) == 0 then
    misused("pcall", pcall)
  end
  return passed(count.raises, nest.depth, pcall(...))
end

-- Handlers that look at the stack they are called on: a function of ours there would show. They may see
-- a cancellation; it passes unchanged.
local looks_at_stack = { [debug.traceback] = true, [error] = true }

-- A chunk that had a name like those of our files could not be preempted.
local function renamed(name)
  if type(name) == "string" and find(name, "^[@=]") and is_ours(sub(name, 2)) then
    return sub(name, 1, 1) .. "./" .. sub(name, 2)
  end
  return name
end
M.renamed = renamed

--- `load` in which a reader, the script's or compiler.lua's, may wait or be preempted: a cancellation raised
-- in it goes on, as from pcall.
---@param native function Lua's own, or a guarded one
function M.wrap_load(native)
  local function loaded(before, chunk, ...)
    local message = ...
    if chunk then
      return chunk, ...
    elseif must_go_on(message, before) then
      error(CANCEL, 0)
    elseif type(message) == "string" and find(message, "^%[scheduler%]/coroutine%.lua:%d+: ") then
      local info = getinfo(2, "Sl") -- the script's line, not that of the call below
      message = gsub(message, "^.-:%d+: ", info.short_src .. ":" .. info.currentline .. ": ")
    end
    return chunk, message
  end
  local function load_as(...)
    return loaded(count.raises, native(...))
  end
  return function(...)
    local chunk, name = ...
    local other = renamed(name)
    if other ~= name then
      return load_as(chunk, other, select(3, ...))
    end
    return load_as(...)
  end
end

--- `loadfile` and `dofile`: a file's name is its chunk's.
---@param native function Lua's own
function M.wrap_file(native)
  return function(...)
    local name = ...
    if type(name) == "string" and is_ours(name) then
      return native("./" .. name, select(2, ...))
    end
    return native(...)
  end
end

--- As Lua's; the handler is not called for a cancellation.
function M.xpcall(...)
  local fn, handler = ...
  if type(handler) ~= "function" then
    misused("xpcall", xpcall, ...)
  end
  if looks_at_stack[handler] then
    return passed(count.raises, nest.depth, xpcall(...))
  end
  local function guarded(err)
    if rawequal(err, CANCEL) and must_go_on(err, count.raises) then
      return err
    end
    return handler(err)
  end
  return passed(count.raises, nest.depth, xpcall(fn, guarded, select(3, ...)))
end

-- ---------------------------------------------------------------------------------------------
-- running

local function seen(co, ...)
  if owned[co] then
    seen_by_script[co] = true
  end
  return co, ...
end

--- As Lua's. A task's own coroutine that a script has seen is not used for another task.
function M.running()
  return seen(running())
end

--- Give a script's environment these functions instead of Lua's own.
function M.install(globals)
  local library = globals.coroutine
  library.resume, library.wrap, library.status = M.resume, M.wrap, M.status
  library.running = M.running
  if co_close then
    library.close = M.close
  end
  globals.pcall, globals.xpcall = M.pcall, M.xpcall
end

return M
