-- Calls every function of every library with tables whose metamethods note what they are given. Anything
-- noted must be the script's own, a plain value, or a handle. Returns how many calls it made, and the leaks.
-- With `objects` also those of the libraries built on tasks and the methods of what they make; they give
-- functions (of a promise its resolve and reject), so functions are not looked at.

local seed, rounds, objects = ...
math.randomseed(seed)
local own, leaks = setmetatable({}, { __mode = "k" }), {}
local open = {}
local functions = {}
local function harmless(value)
  local kind = type(value)
  if kind == "table" then
    return own[value] or (next(value) == nil and getmetatable(value) == false) or open[value]
  elseif kind == "function" then
    return objects or own[value] or functions[value]
  end
  return kind ~= "userdata" and kind ~= "thread" or own[value]
end
local function note(event, ...)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if not harmless(value) then
      leaks[#leaks + 1] = event .. " got " .. tostring(value)
    end
  end
end
local EVENTS = {
  "__index",
  "__newindex",
  "__call",
  "__tostring",
  "__len",
  "__pairs",
  "__eq",
  "__lt",
  "__le",
  "__concat",
  "__close",
  "__unm",
  "__add",
  "__mod",
  "__idiv",
  "__band",
}
local function proxy()
  local meta = { __name = "probe" }
  local object = {}
  own[object], own[meta] = true, true
  for _, name in ipairs(EVENTS) do
    local handler = function(...)
      note(name, ...)
      if name == "__tostring" then
        return "probe"
      end
      if name == "__len" then
        return 2
      end
      if name == "__pairs" then
        return next, {}
      end
      if name == "__index" then
        local answers = {
          nil,
          1,
          "low",
          object,
          function(...)
            note("function", ...)
          end,
        }
        own[answers[5]] = true
        return answers[math.random(5)]
      end
    end
    meta[name], own[handler] = handler, true
  end
  return setmetatable(object, meta)
end
local function callback(...)
  note("callback", ...)
  return math.random(3) == 1 and ({ ... })[1] or nil
end
own[callback] = true
local libraries = { _G, task, event, string, table, math, utf8, coroutine, os, debug, io }
if objects then
  libraries = { task, channel, sync, promise }
  for _, name in ipairs({ "broadcast", "callback", "emitter", "stream", "timer" }) do
    libraries[#libraries + 1] = require(name)
  end
end
open[task.POLL_PENDING] = true
local SKIP = {
  [print] = true,
  [io.write] = true,
  [require] = true,
  [task.yield] = true,
  [coroutine.yield] = true,
  [sleep] = true,
  [event.wait] = true,
  [rawset] = true,
  [coroutine.wrap] = true,
  [string.rep] = true,
}
local list = {}
for _, library in ipairs(libraries) do
  open[library] = true
  for name, fn in pairs(library) do
    if type(fn) == "function" then
      functions[fn] = true
      if not SKIP[fn] then
        list[#list + 1] = { name, fn }
      end
    end
  end
end
table.sort(list, function(a, b)
  return a[1] < b[1]
end)
for _, name in ipairs({ "join", "cancel", "status", "info" }) do
  local method = task.current()[name]
  functions[method] = true
  list[#list + 1] = {
    "t:" .. name,
    function(...)
      return method(task.spawn_with({ background = true }, callback), ...)
    end,
  }
end
-- Objects, and their methods by name.
local METHODS = "send receive try_send try_receive close statistics iter subscribe on once off emit "
  .. "wait cancel map filter take batch merge buffer collect each next catch finally await "
  .. "status lock try_lock unlock with acquire release notify notify_all read_lock "
  .. "write_lock read_unlock write_unlock with_read with_write add done set clear is_set "
  .. "call"
local made = {}
local function make_objects()
  local makers = {
    { channel.new, math.random(0, 3), "c" },
    { sync.mutex },
    { sync.semaphore, 1 },
    { sync.condition },
    { sync.rwlock },
    { sync.barrier, 2 },
    { sync.waitgroup },
    { sync.event },
    { sync.once, callback },
    { sync.rate_limiter, { per_second = 100 } },
    { promise.resolve, 1 },
    { promise.reject, 1 },
    { promise.run, callback },
    { require("broadcast").new, 2 },
    { require("emitter").new },
    { require("stream").of, { 1, 2, 3 } },
    { require("timer").after, 1, callback },
    { require("timer").debounce, 1, callback },
  }
  for i, maker in ipairs(makers) do
    made[i] = maker[1](table.unpack(maker, 2))
  end
end
local function call_method(...)
  local object, methods = made[math.random(#made)], {}
  for name in METHODS:gmatch("%S+") do
    methods[#methods + 1] = object[name]
  end
  return methods[math.random(#methods)](object, ...)
end
if objects then
  for _ = 1, #list do
    list[#list + 1] = { "a method", call_method }
  end
end
local function value()
  local pick = math.random(objects and 16 or 12)
  if pick > 12 then
    return made[math.random(#made)]
  elseif pick <= 4 then
    return proxy()
  elseif pick <= 6 then
    return callback
  elseif pick == 7 then
    return math.random(0, 3)
  elseif pick == 8 then
    return ({ "n", "t", "x", "return 1", "%s" })[math.random(5)]
  elseif pick == 9 then
    local t = { proxy(), callback }
    own[t] = true
    return t
  elseif pick == 10 then
    return task.spawn_with({ background = true }, callback)
  elseif pick == 11 then
    local t = { name = "x", limit = proxy(), n = 1 }
    own[t] = true
    return t
  end
  return nil
end
local done = 0
for _ = 1, rounds do
  local entry = list[math.random(#list)]
  local function round()
    task.scope(function()
      if objects then
        make_objects()
      end
      local args = { n = math.random(0, 4) }
      for i = 1, args.n do
        args[i] = value()
      end
      local results = table.pack(xpcall(entry[2], callback, table.unpack(args, 1, args.n)))
      done = done + 1
      for i = 1, results.n do
        local result = results[i]
        if type(result) == "table" then
          local meta = getmetatable(result)
          if meta and not harmless(meta) then
            leaks[#leaks + 1] = entry[1] .. " returned a metatable"
          end
          if meta == false and not harmless(result) and rawget(result, "message") == nil then
            leaks[#leaks + 1] = entry[1] .. " returned a record"
          end
          if not meta then
            own[result] = true
          end
        elseif type(result) == "function" or type(result) == "thread" then
          own[result] = true
        end
      end
    end)
  end
  -- What is made may be rejected, and locked, and nobody handles or unlocks it.
  local t = task.spawn(task.timeout, 0.01, round)
  pcall(t.join, t)
end
return done, leaks
