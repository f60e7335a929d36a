--- What the embedding side calls: plain functions, never waiting, run between steps of the loop.
--
-- Belongs here: the other end of bridge/vm.py. Ids go across, tables of ours never do.

local kernel = require("kernel")
local scope = require("scope")
local failure = require("failure")
local host = require("host")
local cycles = require("cycles")
local task_library = require("task")
local event = require("event")
local script = require("script")
local sandbox = require("sandbox")
local limits = require("limits")
local timers = require("timers")
local listing = require("listing")
local guards = require("guards")
local preemption = require("preemption")
local compiler = require("compiler")
local resources = require("resources")

local require = require
local load, type, tostring, ipairs, rawequal = load, type, tostring, ipairs, rawequal
local collectgarbage, gmatch, concat = collectgarbage, string.gmatch, table.concat
local pack, unpack, post, now = kernel.pack, kernel.unpack, kernel.post, kernel.now

local M = {}

local root = scope.root()
local next_script = nil -- in a sandbox: what set_arguments has said of the script spawned next
local read_module = nil -- in a sandbox: function(folder, name), see sandbox.environment
local watched = {} -- id -> task spawned by Python, until its end was reported
local ended = nil -- id -> ended task whose usage Python will ask for; nil while nobody counts

-- ---------------------------------------------------------------------------------------------
-- Ends

local function timed_out(task, values)
  return task.own and task.own.cancelled == "timeout" and values and rawequal(values[2], "timeout")
end

--- Everything that runs, together, gets limits; when one is reached all of it ends.
---@param spec table see limits.new
function M.limit_all(spec)
  local budget = limits.new(spec)
  function budget.on_exceeded(err)
    post("limit", failure.text(err), err.limit, err.used, err.allowed)
  end
  limits.attach(root, budget)
end

--- Tell Python how a watched task ended.
function scope.on_watched_end(task, heard)
  watched[task.id] = nil
  if ended then
    ended[task.id] = task
  end
  local own = task.own
  for _, budget in ipairs({ own and own.budget, own and own.enforced }) do
    if budget.scope == own and budget.timer then
      timers.disarm(budget)
    end
  end
  local exceeded = own and own.exceeded
  if exceeded then
    local fail = { value = exceeded, traceback = "", task = task }
    post("done", task.id, "failed", heard or false, M.describe_failure(fail))
    return
  end
  if task.state == "done" then
    local values = task.on
    if timed_out(task, values) then
      local late = failure.new("timeout", "timed out after " .. task.timeout .. " s")
      local fail = { value = late, traceback = "", task = task }
      post("done", task.id, "failed", heard or false, M.describe_failure(fail))
    elseif values then
      post("done", task.id, "done", unpack(values, 1, values.n))
    else
      post("done", task.id, "done")
    end
  elseif task.state == "cancelled" then
    post("done", task.id, "cancelled", tostring(task.doomed or root.cancelled or "cancelled"))
  elseif compiler.refusal(task.on.value) then
    post("done", task.id, "refused", heard or false, compiler.refusal(task.on.value))
  else
    post("done", task.id, "failed", heard or false, M.describe_failure(task.on))
  end
end

--- One failure as plain values, for Python.
---@return string text, string traceback, string|nil kind, string label, string site
---@return any cause, table|nil parts, table|nil limit packed: name, used, allowed
function M.describe_failure(fail)
  local value = fail.value
  failure.render(fail)
  local origin = fail.task
  local parts
  if fail.parts then
    parts = {}
    for i = 1, #fail.parts do
      parts[i] = pack(M.describe_failure(fail.parts[i]))
    end
  end
  return fail.text,
    fail.traceback,
    fail.kind,
    origin and task_library.label(origin) or "",
    origin and failure.site_of(origin) or "",
    failure.cause(value),
    parts,
    limits.amounts(value)
end

-- ---------------------------------------------------------------------------------------------
-- Spawning

local function watch(task)
  task.watched = true
  watched[task.id] = task
  return task.id
end

local function spawn(fn, name, timeout, background, args, spec, caller)
  local task = kernel.spawn(root, fn, args, { name = name, background = background })
  task.site, task.timeout = failure.site_of(task), timeout
  local budget = spec and limits.new(spec, root.budget)
  scope.enclose(task, timeout and now() + timeout, budget, caller)
  if budget then
    limits.begin(budget)
  end
  return watch(task)
end

-- What failure.site_of says of a main chunk; this one may not be compiled yet.
local function chunk_site(chunk_name)
  return failure.site_of({ fn = load("", chunk_name) })
end

--- Compile and spawn a script.
---@param source string
---@param chunk_name string with "@" for a file
---@param spec table|nil limits, see limits.new
---@return integer|nil id, string|nil message nil and Lua's message for a syntax error; that of a long source
--   is told when the task ends
function M.spawn_source(source, chunk_name, name, timeout, spec, ...)
  local fn, message, env
  if read_module then
    env, next_script = sandbox.environment(next_script or {}), nil
    fn, message = compiler.prepare(sandbox.compile, true, source, chunk_name, env)
  else
    fn, message = compiler.prepare(compiler.load, spec ~= nil or kernel.limited, source, chunk_name)
  end
  if not fn then
    return nil, message
  end
  local id = spawn(fn, name, timeout, false, pack(...), spec)
  watched[id].site = chunk_site(chunk_name)
  if env then
    sandbox.adopt(watched[id], env)
  end
  return id
end

-- Host functions that call Lua back and Lua functions that call host functions, inside one another: as many
-- as Lua allows C calls. Each takes some 40 kB in Python, and ending n of them takes n squared steps.
local MAX_CALLBACKS = 200

local function callbacks_around(task)
  while task do
    if task.callbacks then
      return task.callbacks
    end
    task = task.home.owner
  end
  return 0
end

--- Spawn a Lua function; `call` is the number of the host call that calls it back, 0 for none.
---@return integer|nil id, string|nil message nil when calls are nested too deep
function M.spawn_function(fn, name, timeout, spec, call, ...)
  local caller = host.caller(call)
  local callbacks = caller and callbacks_around(caller) + 1
  if caller and callbacks > MAX_CALLBACKS then
    return nil, "calls from Python back to Lua are nested more than " .. MAX_CALLBACKS .. " deep"
  end
  local id = spawn(fn, name, timeout, false, pack(...), spec, caller)
  watched[id].caller, watched[id].callbacks = caller, callbacks
  return id
end

--- Whether the task that made host call `call` is cancelled.
function M.is_call_cancelled(call)
  local caller = host.caller(call)
  return caller ~= nil and scope.is_cancelled(caller)
end

local function values(...)
  return ...
end

--- Wait for an event on behalf of Python, from this moment on.
function M.spawn_wait(name)
  local task = kernel.spawn(root, values, nil, {
    name = "waits for event '" .. name .. "'",
    background = true,
    parked = true,
  })
  event.begin_at(name, task)
  return watch(task)
end

-- ---------------------------------------------------------------------------------------------
-- Acting

function M.cancel(id, reason)
  local task = watched[id]
  if task then
    task:cancel(reason)
  end
end

function M.cancel_all(reason)
  root:cancel(reason)
end

--- End even shielded waits.
function M.kill_all()
  root:kill("killed")
end

--- os.exit: everything is cancelled, the code goes to Python.
function script.on_exit(code)
  post("exit", code)
  root:cancel("os.exit(" .. tostring(code) .. ")")
end

--- Emit an event from Python.
function M.emit(...)
  if read_module then
    return sandbox.emit(...)
  end
  return event.emit(...)
end

M.sandbox_environment = sandbox.environment
M.complete, M.complete_cancelled = host.complete, host.complete_cancelled
M.handle, M.object_of = host.handle, host.object_of
M.anonymous_function, M.iterator = host.anonymous_function, host.iterator
M.loop, M.end_slice = kernel.loop, kernel.end_slice
M.overrun, M.levels, M.abandoned = preemption.overrun, kernel.nest.levels, kernel.abandoned

--- Bytes of Lua's heap; also when the runtime is closed.
function M.heap()
  return collectgarbage("count") * 1024
end

--- Put host function number `fn` at "a.b.c" among the globals.
---@return string|nil problem
function M.register(globals, fn, name, waits)
  if read_module then
    return sandbox.register(name, host.new_function(fn, name, waits))
  end
  local parent = globals
  local path = {}
  for part in gmatch(name, "[^.]+") do
    path[#path + 1] = part
  end
  for i = 1, #path - 1 do
    local child = parent[path[i]]
    if child == nil then
      child = {}
      parent[path[i]] = child
    elseif type(child) ~= "table" then
      return "'" .. concat(path, ".", 1, i) .. "' is a " .. type(child) .. " already, not a table"
    end
    parent = child
  end
  local present = parent[path[#path]]
  if present ~= nil and type(present) ~= "function" then
    return "it is a " .. type(present) .. " already"
  end
  parent[path[#path]] = host.new_function(fn, name, waits)
end

-- ---------------------------------------------------------------------------------------------
-- Looking on

--- All live tasks by id, each a packed row in the order of scheduler.task.TaskInfo.
function M.rows()
  local rows = {}
  for _, task in ipairs(listing.all()) do
    local info = task:info()
    rows[#rows + 1] = pack(
      info.id,
      info.name,
      info.status,
      info.reason,
      info.detail,
      info.where,
      info.site,
      info.background,
      info.yields,
      info.run_time,
      task.home.owner and task.home.owner.id
    )
  end
  return rows
end

--- Tasks that wait for each other: a list of cycles, each a list of texts.
M.cycles = cycles.find

function M.statistics()
  local counters = kernel.counters()
  counters.lua_bytes = M.heap()
  return counters
end

--- Count yields and run time, and record spawn sites, from now on.
function M.measure()
  kernel.measure(nil)
  task_library.set_recording(true)
end

--- Count what each task uses from now on; of a task spawned by Python `take_usage` must fetch it at its end.
function M.count_usage()
  ended = ended or {}
  resources.count()
end

--- What a task uses, nil when no such task lives.
function M.usage(id, subtree)
  local task = watched[id] or resources.find(id)
  return task and resources.of(task, subtree)
end

--- What a task that Python has spawned has used, alone and with everything below it: once, after its end.
-- Nothing when it ended before `count_usage`.
function M.take_usage(id)
  local task = ended[id]
  if not task then
    return
  end
  ended[id] = nil
  return resources.of(task, false), resources.of(task, true)
end

--- Limit a running task; false when it has ended or Python has not spawned it.
---@param spec table see limits.new
function M.enforce(id, spec)
  local task = watched[id]
  if not task or not task.own or task.own.closed then
    return false
  end
  resources.enforce(task, spec)
  return true
end

M.total_usage, M.count_traffic = resources.total, resources.count_traffic

--- There is no watchdog: end slices by the clock, at the price of two looks at it per step.
M.time_slices = kernel.measure

--- The reactor's side of the wire (net_wire.lua), once a script has asked for the network.
function M.open_wire()
  local wire = require("net_wire")
  return wire.take, wire.deliver, wire.event, wire.waiting
end

--- The runtime closes: no way to Python may stay open.
function M.close(globals)
  host.close()
  kernel.close()
  preemption.close(globals)
end

M.install = script.install

--- From now on scripts are sandboxed; before the first one.
---@param spec table see sandbox.open
---@param reader function(folder, name) -> source, chunk name or nil, why not
function M.open_sandbox(spec, reader)
  spec.allowance, spec.guards = limits.allowance, guards
  sandbox.open(spec)
  read_module = reader
end

--- See script.set_arguments.
function M.set_arguments(globals, folder, script_name, ...)
  if not read_module then
    return script.set_arguments(globals, folder, script_name, ...)
  end
  next_script = {
    script = script_name,
    arguments = pack(...),
    read_module = folder and function(name)
      return read_module(folder, name)
    end,
  }
end

return M
