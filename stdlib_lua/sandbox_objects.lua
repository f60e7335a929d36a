--- The libraries built on tasks (libraries.lua) of one script: handles in place of our objects.
--
-- Belongs here: what stands between a script and channels, locks, promises, streams and so on. Their methods
-- check what they are called on, so all that is done here is to put the record in the handle's place, and a
-- handle in place of each record that comes back.

local kernel = require("kernel")
local failure = require("failure")
local handles = require("handles")
local libraries = require("libraries")
local errors = require("sandbox_errors")
local values = require("sandbox_values")

local Task, records, pack, unpack = kernel.Task, handles.records, kernel.pack, kernel.unpack
local raw_metatable, setmetatable = debug.getmetatable, setmetatable
local type, next, error, pcall, tostring = type, next, error, pcall, tostring
local printable, plain, bad_argument = errors.printable, values.plain, failure.bad_argument
local rawlen, rawget, select, math_type, require = rawlen, rawget, select, math.type, require

local M = {}

-- ---------------------------------------------------------------------------------------------
-- What scripts may call: an allow-list, by the `__name` of the class

--   methods   as they are: they take and give values of the script's
--   makes     may take handles, give objects
--   iterates  has `iter`
--   fields    objects of ours that a script may read
local CLASSES = {
  channel = {
    methods = { "send", "try_send", "receive", "try_receive", "close" },
    iterates = true,
  },
  broadcast = { methods = { "send", "try_send", "close" }, makes = { "subscribe" } },
  subscription = { methods = { "receive", "try_receive", "close" }, iterates = true },
  emitter = { methods = { "emit", "wait" }, makes = { "on", "once", "off" } },
  handler = {},
  timer = { methods = { "cancel" }, fields = { task = true } },
  stream = {
    methods = { "collect", "each", "close" },
    makes = { "map", "filter", "take", "batch", "merge", "buffer" },
    iterates = true,
  },
  promise = { methods = { "await", "status" }, makes = { "next", "catch", "finally", "cancel" } },
  mutex = { methods = { "lock", "try_lock", "unlock", "with" } },
  semaphore = { methods = { "acquire", "try_acquire", "release", "with" } },
  condition = { methods = { "wait", "notify", "notify_all" }, fields = { mutex = true } },
  rwlock = {
    methods = {
      "read_lock",
      "write_lock",
      "try_read_lock",
      "try_write_lock",
      "read_unlock",
      "write_unlock",
      "with_read",
      "with_write",
    },
  },
  barrier = { methods = { "wait" } },
  waitgroup = { methods = { "add", "done", "wait" } },
  ["sync.event"] = { methods = { "set", "clear", "is_set", "wait" } },
  once = { methods = { "call", "wait" } },
  ["rate limiter"] = { methods = { "acquire", "try_acquire" } },
  ["net.stream"] = {
    methods = {
      "read",
      "read_exactly",
      "read_line",
      "read_until",
      "lines",
      "write",
      "shutdown",
      "close",
      "peer",
    },
  },
  ["net.server"] = { methods = { "close", "address" }, makes = { "accept", "serve" } },
}

-- What can begin a stream.
local SOURCES = { channel = true, subscription = true, stream = true }

-- The functions of each library:
--   objects  the first argument, or with `all` each one, may be an object of these classes; any other handle
--            is a value of the script's as good as others, and stays what it is
--   name     the argument that names the object, for reports
--   options  the argument that is a table of options
--   list     the first argument is a list
--   wraps    gives a function that makes objects
--   values   takes and gives no object
--   streams  functions among the arguments are given streams
local FUNCTIONS = {
  channel = { new = { name = 2 } },
  sync = {
    barrier = { name = 2 },
    condition = { name = 2, objects = { mutex = true } },
    event = { name = 1 },
    mutex = { name = 1 },
    once = { name = 2 },
    rate_limiter = { options = 1 },
    rwlock = { name = 1 },
    semaphore = { name = 2 },
    waitgroup = { name = 1 },
  },
  promise = {
    all = { list = true },
    all_settled = { list = true },
    any = { list = true },
    new = {},
    race = { list = true },
    reject = {},
    resolve = { objects = { promise = true } },
    run = {},
  },
  broadcast = { new = { options = 2 } },
  callback = {
    cancel = { values = true },
    from_promise = { values = true },
    has_pending = { values = true },
    process = { values = true },
    to_promise = { wraps = true },
    wrap = { values = true },
  },
  emitter = { new = { name = 1 } },
  net = { connect = { options = 3 }, connect_unix = { options = 2 }, listen = { options = 1 } },
  stream = { of = { objects = SOURCES } },
  timer = { after = {}, debounce = {}, every = {}, throttle = {} },
}

-- The same for methods.
local METHODS = {
  emitter = { off = { objects = { handler = true } } },
  ["net.server"] = { serve = { streams = true } },
  promise = { cancel = { name = 1 } },
  stream = { map = { options = 2 }, merge = { objects = SOURCES, all = true } },
}
local AS_THEY_ARE = {}

-- Those that a script has only if it was granted.
local GRANTED = { net = true }

-- Is it a stream of the network? (They come to scripts also as arguments and out of a select.)
local function is_net_stream(value)
  local class = type(value) == "table" and raw_metatable(value)
  return class and rawget(class, "__name") == "net.stream" and class == require("net_stream").Stream
end

-- ---------------------------------------------------------------------------------------------
-- Arguments

-- What `pcall` gives in a function that the script called: level 3. (`pcall` kept our own line out.)
local function checked(ok, ...)
  if not ok then
    error((...), 3)
  end
  return ...
end

-- A list of our own: the script's may change, and reading it may run metamethods.
local function copy_of_list(list)
  local n = list.n
  if math_type(n) ~= "integer" or n < 0 then
    n = #list
  end
  local copy = { n = n }
  for i = 1, n do
    copy[i] = list[i]
  end
  return copy
end

-- ---------------------------------------------------------------------------------------------
-- One script

--- Make the libraries of one script.
---@param box table stands for the script, with its `task_record` and `task_handle` (sandbox_tasks.lua)
---@param allow table set of names: what was granted
---@return table globals library by name
---@return function library function(name) -> a library that comes by `require`, or nil
function M.new(box, allow)
  local metas = {} -- our class -> metatable of its handles
  local mine = {} -- those metatables
  local task_record, task_handle = box.task_record, box.task_handle

  -- The record behind a handle of this script's.
  local function object_record(value)
    return mine[raw_metatable(value)] and records[value]
  end

  local function record_of(value)
    return object_record(value) or task_record(value)
  end
  box.record_of = record_of

  local new_meta

  -- What the script gets for a value of ours: of an object a handle.
  local function shown(value)
    local class = type(value) == "table" and raw_metatable(value)
    if not class then
      return value
    elseif class == Task then
      return task_handle(value)
    end
    local meta = metas[class] or new_meta(class)
    if not meta then
      return value
    end
    local handle = value.handle
    if not handle then
      handle = setmetatable({}, meta)
      records[handle] = value
      if class.__name == "mutex" then
        value.handle = handle -- its conditions show it again
      end
    end
    return handle
  end

  local function show_streams(first, ...)
    if is_net_stream(first) then
      first = shown(first)
    end
    if select("#", ...) == 0 then
      return first
    end
    return first, show_streams(...)
  end
  box.show_streams = show_streams

  -- A function of the script's that is called with streams.
  local function with_streams(fn)
    return function(...)
      return fn(show_streams(...))
    end
  end

  -- The object that was made; what was given is given back with the handle it has.
  local function made(given, ok, value, ...)
    if not ok then
      error(value, 2)
    elseif given and object_record(given) == value then
      return given
    end
    return shown(value), ...
  end

  -- Objects for handles where they are meant, names and options made harmless; `how`: see FUNCTIONS.
  local function translated(how, ...)
    if how == AS_THEY_ARE then
      return ...
    end
    local args = pack(...)
    local objects, name, options = how.objects, how.name, how.options
    for i = 1, objects and (how.all and args.n or 1) or 0 do
      local record = object_record(args[i])
      if record and objects[raw_metatable(record).__name] then
        args[i] = record
      end
    end
    if name and type(args[name]) == "string" then
      args[name] = printable(args[name])
    end
    if options and type(args[options]) == "table" then
      args[options] = plain(args[options])
      local title = args[options].name
      args[options].name = type(title) == "string" and printable(title) or title
    end
    for i = 1, how.streams and args.n or 0 do
      if type(args[i]) == "function" then
        args[i] = with_streams(args[i])
      end
    end
    if how.list and type(args[1]) == "table" then
      args[1] = record_of(args[1]) or copy_of_list(args[1])
    end
    return unpack(args, 1, args.n)
  end

  -- A function of ours for the script.
  local function lent(fn, how)
    if how.values then
      return fn
    elseif how.wraps then
      return function(...)
        local make = checked(pcall(fn, ...))
        return function(...)
          return made(nil, pcall(make, ...))
        end
      end
    end
    if next(how) == nil then
      how = AS_THEY_ARE
    end
    return function(...)
      return made(how.objects and (...), pcall(fn, translated(how, ...)))
    end
  end

  local function lent_method(meta, method)
    return function(handle, ...)
      return method(raw_metatable(handle) == meta and records[handle] or handle, ...)
    end
  end

  local function lent_iter(meta, iter)
    return function(handle)
      local record = raw_metatable(handle) == meta and records[handle] or handle
      local step = checked(pcall(iter, record))
      return function()
        return step(record)
      end
    end
  end

  local function lent_statistics(meta, statistics)
    return function(handle)
      local record = raw_metatable(handle) == meta and records[handle] or handle
      local counts = checked(pcall(statistics, record))
      for key, value in next, counts do
        counts[key] = shown(value)
      end
      return counts
    end
  end

  function new_meta(class)
    local lists = CLASSES[class.__name]
    if not lists then
      return nil
    end
    local methods, fields, noun = {}, lists.fields, class.__name
    local meta = {
      __name = noun,
      __metatable = false,
      __index = methods,
      __newindex = function()
        error("a " .. noun .. " cannot be changed", 2)
      end,
      __tostring = function(handle)
        local record = records[handle]
        return record and tostring(record) or noun
      end,
    }
    for _, name in next, lists.methods or {} do
      methods[name] = class[name] and lent_method(meta, class[name])
    end
    for _, name in next, lists.makes or {} do
      local how = METHODS[noun] and METHODS[noun][name] or AS_THEY_ARE
      local method = class[name]
      methods[name] = function(handle, ...)
        local record = raw_metatable(handle) == meta and records[handle] or handle
        return made(nil, pcall(method, record, translated(how, ...)))
      end
    end
    if lists.iterates then
      methods.iter = lent_iter(meta, class.iter)
    end
    if class.statistics then
      methods.statistics = lent_statistics(meta, class.statistics)
    end
    if class.__call then
      meta.__call = lent_method(meta, class.__call)
    end
    if class.__close then
      meta.__close = lent_method(meta, class.__close)
    end
    if fields then
      function meta.__index(handle, key)
        local record = fields[key] and records[handle]
        if record then
          return shown(record[key])
        end
        return methods[key]
      end
    end
    metas[class], mine[meta] = meta, true
    return meta
  end

  local function library(name)
    local functions = {}
    local public = libraries.public(name)
    for key, how in next, FUNCTIONS[name] do
      functions[key] = lent(public[key], how)
    end
    return functions
  end

  local globals = {}
  for name in next, libraries.global do
    globals[name] = library(name)
  end
  return globals,
    function(name)
      if not FUNCTIONS[name] or globals[name] or GRANTED[name] and not allow[name] then
        return nil
      end
      return library(name)
    end
end

--- `task.select` of one script: the cases are read here, raw, and handles replaced.
---@param choose function our `select`
function M.select(box, choose)
  local function case_of(case)
    local record = box.record_of(case)
    if record then
      return record -- to be complained about
    elseif type(case) ~= "table" or raw_metatable(case) ~= nil then
      return case -- a wrong one, or one with metamethods, which our library must not run
    end
    return { box.record_of(case[1]) or case[1], case[2], case[3] }
  end

  return function(spec)
    if type(spec) ~= "table" or box.record_of(spec) then
      bad_argument(1, "select", "table of cases expected, got " .. type(spec))
    end
    local copy = {}
    for key, value in next, spec do
      copy[key] = math_type(key) == "integer"
          and key >= 1
          and key <= rawlen(spec)
          and case_of(value)
        or value
    end
    return box.show_streams(choose(copy))
  end
end

return M
