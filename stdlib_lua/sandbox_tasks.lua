--- The `task` library of one script: handles in place of our records, and its own tasks only.
--
-- Belongs here: what stands between a script and task.lua, scope.lua and combinators.lua. A handle is an
-- empty table with a locked metatable; the map to the record is private, and what a script does to a handle
-- our code never reads.

local kernel = require("kernel")
local failure = require("failure")
local library = require("task")
local combinators = require("combinators")
local handles = require("handles")
local pollable = require("pollable")
local select_library = require("select")
local errors = require("sandbox_errors")
local objects = require("sandbox_objects")
local values = require("sandbox_values")

local Task, Scope = kernel.Task, require("scope").Scope
local public, label = library.public, library.label
local spawn, spawn_with, scope_of = public.spawn, public.spawn_with, public.scope
local current, all_tasks = kernel.current, public.list
local bad_argument, check_callable = failure.bad_argument, failure.check_callable
local printable, plain, records = errors.printable, values.plain, handles.records
local setmetatable, type, error, pcall = setmetatable, type, error, pcall
local raw_metatable, math_type = debug.getmetatable, math.type

local M = {}

-- The script (its box) that a task belongs to: the one whose library spawned it, or that of the task whose
-- scope it lives in.
local function box_of(task)
  local each = task
  while each do
    local box = each.box
    if box then
      task.box = box
      return box
    end
    each = each.home.owner
  end
end

--- Let `task`, which nobody spawned from Lua, belong to the script that `box` stands for.
function M.adopt(task, box)
  task.box = box
end

-- `pcall` kept our own line out of the message; level 2 is the script, for every call of this is a tail call.
local function checked(ok, ...)
  if not ok then
    error((...), 2)
  end
  return ...
end

-- The options of a spawn. The high class would take three rounds of four from everybody else.
local function spawn_options(options)
  local copy = plain(options)
  if type(copy) == "table" and copy.priority == "high" then
    bad_argument(1, "spawn_with", 'priority "high" is not available in the sandbox', 2)
  end
  if type(copy) == "table" and type(copy.name) == "string" then
    copy.name = printable(copy.name)
  end
  return copy
end

local function reason_of(reason)
  if reason ~= nil and type(reason) ~= "string" then
    bad_argument(1, "cancel", "reason expected (a string), got " .. type(reason), 2)
  end
  return reason and printable(reason)
end

--- Make the library of one script.
---@param box table stands for the script
---@return table library
function M.new(box)
  local scopes = setmetatable({}, { __mode = "k" }) -- handle -> scope
  local task_methods, scope_methods = {}, {}

  local task_meta = {
    __name = "task",
    __metatable = false,
    __index = function(handle, key)
      local method = task_methods[key]
      if method then
        return method
      end
      local task = records[handle]
      if task and (key == "id" or key == "name") then
        return task[key]
      end
    end,
    __newindex = function()
      error("a task cannot be changed; for data of your own use task.local_storage()", 2)
    end,
    __tostring = function(handle)
      local task = records[handle]
      return task and label(task) or "task"
    end,
  }
  local scope_meta = {
    __name = "scope",
    __metatable = false,
    __index = scope_methods,
    __newindex = function()
      error("a scope cannot be changed", 2)
    end,
    __tostring = function()
      return "scope"
    end,
  }

  -- The handle of a task: the same one while somebody holds it or the task lives.
  local function task_handle(task)
    local handle = task.handle
    if not handle then
      handle = setmetatable({}, task_meta)
      task.handle = handle
      records[handle] = task
    end
    return handle
  end

  local function spawned(ok, task)
    if not ok then
      return checked(ok, task)
    end
    task.box = box
    return task_handle(task)
  end

  -- The task behind a handle of this script's, or nil.
  local function task_record(handle)
    return raw_metatable(handle) == task_meta and records[handle] or nil
  end

  box.task_handle, box.task_record = task_handle, task_record

  local function record(handle, method)
    return task_record(handle) or bad_argument(1, method, "task expected, got " .. type(handle), 2)
  end

  local function scope_record(handle, method)
    return scopes[handle] or bad_argument(1, method, "scope expected, got " .. type(handle), 2)
  end

  -- -------------------------------------------------------------------------------------------
  -- Methods

  function task_methods.join(handle)
    return Task.join(record(handle, "join"))
  end

  function task_methods.cancel(handle, reason)
    return Task.cancel(record(handle, "cancel"), reason_of(reason))
  end

  function task_methods.status(handle)
    return Task.status(record(handle, "status"))
  end

  function task_methods.info(handle)
    return Task.info(record(handle, "info"))
  end

  function scope_methods.spawn(handle, fn, ...)
    return spawned(pcall(Scope.spawn, scope_record(handle, "spawn"), fn, ...))
  end

  function scope_methods.spawn_with(handle, options, fn, ...)
    local scope = scope_record(handle, "spawn_with")
    return spawned(pcall(Scope.spawn_with, scope, spawn_options(options), fn, ...))
  end

  function scope_methods.cancel(handle, reason)
    return Scope.cancel(scope_record(handle, "cancel"), reason_of(reason))
  end

  -- -------------------------------------------------------------------------------------------
  -- Functions

  -- The running task, if it is the script's: a function of the script may have been called by another one.
  local function own_task()
    local task = current()
    if not task then
      return nil
    end
    local owner = box_of(task)
    if not owner then
      task.box = box -- Python has called one of the script's functions
    elseif owner ~= box then
      return nil
    end
    return task
  end

  local functions = {}

  function functions.spawn(fn, ...)
    return spawned(pcall(spawn, fn, ...))
  end

  function functions.spawn_with(options, fn, ...)
    return spawned(pcall(spawn_with, spawn_options(options), fn, ...))
  end

  function functions.scope(fn)
    check_callable(1, "scope", fn)
    return scope_of(function(scope)
      local handle = setmetatable({}, scope_meta)
      scopes[handle] = scope
      return fn(handle)
    end)
  end

  function functions.current()
    local task = own_task()
    return task and task_handle(task)
  end

  function functions.list()
    own_task()
    local list = {}
    local tasks = all_tasks()
    for i = 1, #tasks do
      if box_of(tasks[i]) == box then
        list[#list + 1] = task_handle(tasks[i])
      end
    end
    return list
  end

  function functions.local_storage()
    if current() and not own_task() then
      error("this task belongs to another script", 2)
    end
    return checked(pcall(public.local_storage))
  end

  -- A list of our own with the records in it. The script's may change while the tasks run, and reading it
  -- may run metamethods.
  local function list_of(name, list)
    if type(list) ~= "table" or task_record(list) then
      bad_argument(1, name, "list of functions or tasks expected, got " .. type(list), 2)
    end
    local n = list.n
    if math_type(n) ~= "integer" or n < 0 then
      n = #list
    end
    local copy = { n = n }
    for i = 1, n do
      local item = list[i]
      local task = task_record(item)
      if not task and type(item) ~= "function" then
        bad_argument(
          1,
          name,
          "item " .. i .. " is a " .. type(item) .. ", not a function or task",
          2
        )
      end
      copy[i] = task or item
    end
    return copy
  end

  function functions.all(list)
    return combinators.all(list_of("all", list))
  end

  function functions.race(list)
    local copy = list_of("race", list)
    if copy.n == 0 then
      bad_argument(1, "race", "a race needs at least one function or task")
    end
    return combinators.race(copy)
  end

  function functions.map(list, fn, options)
    if options ~= nil and type(options) ~= "table" then
      bad_argument(3, "map", "table of options expected, got " .. type(options))
    end
    return combinators.map(list, fn, plain(options))
  end

  if public.limit then
    function functions.limit(limits, fn, ...)
      return public.limit(plain(limits), fn, ...)
    end
  end

  functions.select = objects.select(box, select_library.select)
  functions.POLL_PENDING = pollable.new_pending()
  functions.pollable = pollable.maker(functions.POLL_PENDING)

  -- What takes and gives nothing of ours.
  functions.now, functions.sleep, functions.yield = public.now, public.sleep, public.yield
  functions.timeout, functions.shield = public.timeout, public.shield
  return functions
end

return M
