--- Sandboxed scripts: what each one sees as its globals.
--
-- Belongs here: the allow-list, and putting an environment together. Every script gets tables of its own;
-- what scripts share is functions, which nobody can look into or change without the debug library.

local guarded = require("coroutine")
local tasks = require("sandbox_tasks")
local events = require("sandbox_events")
local objects = require("sandbox_objects")
local metatables = require("sandbox_metatables")
local code = require("sandbox_code")
local output = require("sandbox_output")
local random = require("sandbox_random")
local values = require("sandbox_values")

local raw_metatable, setmetatable = debug.getmetatable, setmetatable
local error, type, next, rawget, rawset = error, type, next, rawget, rawset
local collectgarbage = collectgarbage
local gmatch, sub, find, concat = string.gmatch, string.sub, string.find, table.concat
local copy, selection = values.copy, values.selection

local M = { compile = code.compile, emit = events.emit }

-- Lua's functions that scripts get as they are.
local GLOBALS = {
  "_VERSION",
  "assert",
  "error",
  "ipairs",
  "next",
  "pairs",
  "pcall",
  "rawequal",
  "rawget",
  "rawlen",
  "select",
  "tonumber",
  "tostring",
  "type",
  "xpcall",
}
local OS = { "clock", "date", "difftime", "time" }
-- Libraries without a way out; a script gets copies of the tables.
local PURE = { "string", "table", "math", "utf8" }
-- Taken from them: functions whose state or results reach beyond the script.
local REMOVED = { string = { "dump" }, math = { "random", "randomseed" } }

local originals = selection(_G, GLOBALS)
for _, name in next, { "string", "table", "math", "utf8", "coroutine", "os" } do
  originals[name] = selection(_G[name] or {}, name == "os" and OS or nil)
end

local policy -- what `open` was given
local pure -- the pure libraries, guarded
local host_functions = {} -- in order of registration: {path=, fn=}
local boxes = setmetatable({}, { __mode = "k" }) -- environment -> its script
local model -- an environment that no script gets, to check names against

-- ---------------------------------------------------------------------------------------------
-- One environment

local function collect(option)
  if option == "count" then
    return collectgarbage("count")
  elseif option == "step" then
    return collectgarbage("step")
  end
  error('collectgarbage: only "count" and "step" are available in the sandbox', 2)
end

-- Put `fn` where its name says. Raw: the tables may be the script's by now, and with `keep` what it has put
-- there stays.
local function place(env, path, fn, keep)
  local parent = env
  for i = 1, #path - 1 do
    local child = rawget(parent, path[i])
    if child == nil then
      child = {}
      rawset(parent, path[i], child)
    elseif type(child) ~= "table" or raw_metatable(child) then
      return "'" .. concat(path, ".", 1, i) .. "' is a " .. type(child) .. " already, not a table"
    end
    parent = child
  end
  local name = path[#path]
  local present = rawget(parent, name)
  if present ~= nil and (keep or type(present) ~= "function") then
    return "it is a " .. type(present) .. " already"
  end
  rawset(parent, name, fn)
end

local function libraries_of(env)
  local loaded = { _G = env }
  for name, value in next, env do
    if type(value) == "table" or name == "sleep" then
      loaded[name] = value
    end
  end
  return loaded
end

--- Make the globals of one script.
---@param spec table {read_module=, script=, arguments=, name=}:
--   read_module  function(name) -> source, chunk name or nil, why not; nil: no modules
--   script       string|nil its path as arg[0]; nil: no `arg`
--   arguments    table|nil packed
---@return table env
function M.environment(spec)
  local env = selection(originals, GLOBALS)
  local box = {}
  for i = 1, #PURE do
    env[PURE[i]] = selection(pure[PURE[i]])
  end
  env.math.random, env.math.randomseed = random.new()
  env.coroutine = selection(originals.coroutine)
  for name, fn in next, metatables.new() do
    env[name] = fn
  end
  env.os = selection(originals.os)
  if policy.env then
    function env.os.getenv(name)
      if type(name) ~= "string" then
        error("bad argument #1 to 'getenv' (string expected, got " .. type(name) .. ")", 2)
      end
      return policy.env[name]
    end
  end
  env.debug = { traceback = output.traceback }
  env.print, env.io = output.new(policy.output)
  env.collectgarbage = collect
  env.task, env.event = tasks.new(box), events.new(box)
  env.sleep = env.task.sleep
  local globals, library = objects.new(box, policy.allow)
  for name, functions in next, globals do
    env[name] = functions
  end
  env._G = env
  env.load = code.loader(env, policy.bytes)
  env.require = code.requirer(env, libraries_of(env), library, spec.read_module)
  env.params = copy(policy.params)
  if spec.script then
    env.arg = copy(spec.arguments or {})
    env.arg.n, env.arg[0] = nil, spec.script
  end
  for i = 1, #host_functions do
    place(env, host_functions[i].path, host_functions[i].fn)
  end
  boxes[env] = box
  return env
end

--- Let a task that Python has spawned for a script belong to it.
---@param task table
---@param env table
function M.adopt(task, env)
  tasks.adopt(task, boxes[env])
end

-- ---------------------------------------------------------------------------------------------
-- The sandbox of a runtime

local function is_allowed(name)
  local at = 0
  while at do
    at = find(name, ".", at + 1, true)
    if policy.allow[at and sub(name, 1, at - 1) or name] then
      return true
    end
  end
  return false
end

--- Give a host function to the scripts, those that run and those to come, if its name is allowed.
---@param name string "get" or "weather.get"; allowing "weather" allows both
---@param fn function
---@return string|nil problem
function M.register(name, fn)
  if not is_allowed(name) then
    return nil
  end
  local path = {}
  for part in gmatch(name, "[^.]+") do
    path[#path + 1] = part
  end
  local problem = place(model, path, fn)
  if problem then
    return problem
  end
  host_functions[#host_functions + 1] = { path = path, fn = fn }
  for env in next, boxes do
    place(env, path, fn, true)
  end
end

local function unlimited() end

-- The guards get all functions that scripts can name; what they put among the pure ones counts.
local function guard(guards)
  local libraries = selection(pure)
  libraries._G, libraries.os = selection(originals, GLOBALS), selection(originals.os)
  return guards.install(libraries, { bytes = policy.bytes, output = policy.output })
end

--- Begin: before any script. The string metatable, which all share, is locked.
---@param spec table {allow=, env=, params=, allowance=, guards=}:
--   allow      set of names: host functions and groups of them
--   env        table|nil what os.getenv gives; nil: no os.getenv
--   params     table|nil the global `params`
--   allowance  table|nil {bytes=function(n), output=function(n)}, which raise at a limit
--   guards     table|nil {install=function(libraries, allowance) -> methods of strings}
function M.open(spec)
  local allowance = spec.allowance or {}
  policy = {
    allow = spec.allow or {},
    env = spec.env,
    params = spec.params,
    bytes = allowance.bytes or unlimited,
    output = allowance.output or unlimited,
  }
  pure = {}
  for i = 1, #PURE do
    local library = selection(originals[PURE[i]])
    for _, removed in next, REMOVED[PURE[i]] or {} do
      library[removed] = nil
    end
    pure[PURE[i]] = library
  end
  originals.pcall, originals.xpcall = guarded.pcall, guarded.xpcall
  for name, fn in next, selection(guarded, { "close", "resume", "running", "status", "wrap" }) do
    originals.coroutine[name] = fn
  end
  local methods = spec.guards and guard(spec.guards)
  local strings = raw_metatable("")
  strings.__index, strings.__metatable = selection(methods or pure.string), false
  model = M.environment({})
  boxes[model] = nil
end

return M
