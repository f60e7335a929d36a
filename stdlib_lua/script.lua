--- What surrounds a script: its globals, `arg`, where `require` looks, `os.exit`.

local kernel = require("kernel")
local guarded = require("coroutine")
local library = require("task")
local scope = require("scope")
local event = require("event")
local combinators = require("combinators")
local limits = require("limits")
local guards = require("guards")
local libraries = require("libraries")
local pollable = require("pollable")
local preemption = require("preemption")

local type, error, math_floor, jit = type, error, math.floor, jit
local select, tostring, getmetatable = select, tostring, getmetatable
local setmetatable, rawget, rawset = setmetatable, rawget, rawset
local pack, unpack, native_gethook = kernel.pack, kernel.unpack, debug.gethook

local M = {}

-- The script's `os.exit`: tasks are cancelled, <close> variables run, then the program ends.
local function exit(code)
  if code == nil or code == true then
    code = 0
  elseif code == false then
    code = 1
  elseif type(code) ~= "number" or code ~= math_floor(code) then
    error("bad argument #1 to 'exit' (integer or boolean expected, got " .. type(code) .. ")", 2)
  end
  M.on_exit(code)
  local task = kernel.current()
  if task then
    scope.leave_now(task)
  end
end

-- On LuaJIT "the collector does not run" means two things, that it was stopped or that a finalizer runs;
-- the kernel must know which.
local collectgarbage = collectgarbage
local function collect(option, ...)
  if option == "stop" then
    kernel.collector_stopped = true
  elseif option == "restart" then
    kernel.collector_stopped = false
  end
  return collectgarbage(option, ...)
end

-- Lua runs no hooks while a finalizer runs. In a coroutine of its own it does, so that one that never ends
-- can be stopped.
local function with_finalizers(native)
  local ours = setmetatable({}, { __mode = "k" })
  return function(...)
    local _, metatable = ...
    local finalizer = type(metatable) == "table" and rawget(metatable, "__gc")
    if type(finalizer) == "function" and not ours[finalizer] then
      local function in_coroutine(object)
        guarded.wrap(finalizer)(object)
      end
      ours[in_coroutine] = true
      rawset(metatable, "__gc", in_coroutine)
    end
    return native(...)
  end
end

-- With the first limit: what cannot be interrupted gets guards, what is written is counted.
local function guard(globals, allowance)
  guards.install({ string = globals.string, table = globals.table, _G = globals }, allowance)
  globals.load = guarded.wrap_load(globals.load)
  globals.setmetatable = with_finalizers(globals.setmetatable)
  local io = globals.io
  local print, write, stdout = globals.print, io.write, io.stdout
  local write_to = stdout.write

  local function size_of(...)
    local size = 0
    for i = 1, select("#", ...) do
      local part = select(i, ...)
      size = size + (type(part) == "string" and #part or 24) -- no number is longer
    end
    return size
  end

  function globals.print(...)
    local parts = pack(...)
    for i = 1, parts.n do
      parts[i] = tostring(parts[i])
    end
    allowance.output(size_of(unpack(parts, 1, parts.n)) + 1)
    print(unpack(parts, 1, parts.n))
  end

  function io.write(...)
    allowance.output(size_of(...))
    return write(...)
  end

  -- Files share their methods: only standard output counts.
  local methods = getmetatable(stdout).__index
  function methods.write(file, ...)
    if file == stdout then
      allowance.output(size_of(...))
    end
    return write_to(file, ...)
  end
end

local function shown(hook, ...)
  if hook == "external hook" or preemption.strikes[hook] then
    return nil
  end
  return hook, ...
end

-- A watchdog's hook that is about to run must not show.
local function gethook(...)
  if native_gethook(...) == "external hook" and type((...)) ~= "thread" then
    return shown(native_gethook()) -- it has run meanwhile
  end
  return shown(native_gethook(...))
end

--- Give the globals the libraries; `python`, lupa's own table, goes.
function M.install(globals)
  guarded.install(globals)
  local task_table, event_table = library.public, { wait = event.wait, emit = event.emit }
  task_table.limit = limits.limit
  task_table.pollable, task_table.POLL_PENDING = pollable.pollable, pollable.POLL_PENDING
  function limits.on_first(allowance)
    guard(globals, allowance)
  end
  library.with_limits = limits.wrap
  task_table.all, task_table.race, task_table.map =
    combinators.all, combinators.race, combinators.map
  globals.task, globals.event, globals.sleep = task_table, event_table, library.sleep
  libraries.install(globals)
  globals.os.exit = exit
  globals.load = guarded.wrap_load(globals.load)
  globals.loadfile, globals.dofile =
    guarded.wrap_file(globals.loadfile), guarded.wrap_file(globals.dofile)
  if globals.loadstring then
    globals.loadstring = guarded.wrap_load(globals.loadstring)
  end
  globals.debug.gethook = gethook
  globals.python = nil
  if jit then
    globals.collectgarbage = collect
  end
  local loaded = globals.package.loaded
  loaded.python = nil
  loaded.task, loaded.event, loaded.sleep = task_table, event_table, library.sleep
end

--- `arg` as in `lua`, and the script's folder in front of package.path.
---@param globals table
---@param folder string|nil
function M.set_arguments(globals, folder, script_name, ...)
  local arg = { ... }
  arg[0] = script_name
  globals.arg = arg
  if folder then
    local package = globals.package
    package.path = folder .. "/?.lua;" .. folder .. "/?/init.lua;" .. package.path
  end
end

return M
