--- What surrounds a script: its globals, `arg`, where `require` looks, `os.exit`.

local kernel = require("kernel")
local guarded = require("coroutine")
local library = require("task")
local scope = require("scope")
local event = require("event")
local combinators = require("combinators")
local limits = require("limits")

local type, error, math_floor, jit = type, error, math.floor, jit

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

--- Give the globals the libraries; `python`, lupa's own table, goes.
function M.install(globals)
  guarded.install(globals)
  local task_table, event_table = library.public, { wait = event.wait, emit = event.emit }
  task_table.limit = limits.limit
  library.with_limits = limits.wrap
  task_table.all, task_table.race, task_table.map =
    combinators.all, combinators.race, combinators.map
  globals.task, globals.event, globals.sleep = task_table, event_table, library.sleep
  globals.os.exit = exit
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
