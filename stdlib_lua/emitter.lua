--- Emitters: named events with handlers.
--
-- Belongs here: who is called when. (Events without an object or handlers: event.lua.) Each handler runs as a
-- task of the scope that registered it: it may wait, its error is that scope's, and it goes with that scope.

local kernel = require("kernel")
local failure = require("failure")
local lifetime = require("lifetime")
local waitlist = require("waitlist")
local select_library = require("select")

local park, enter, now = kernel.park, kernel.enter, kernel.now
local spawn, current = kernel.spawn, kernel.current
local pack, unpack, TIMEOUT = kernel.pack, kernel.unpack, kernel.TIMEOUT
local bad_argument, check_callable = failure.bad_argument, failure.check_callable
local check_seconds, describe = failure.check_seconds, select_library.describe
local setmetatable, getmetatable, type, error = setmetatable, getmetatable, type, error
local find, sub, format, pairs = string.find, string.sub, string.format, pairs
local sort, remove = table.sort, table.remove

local M = {}

local Emitter = { __name = "emitter" }
Emitter.__index = Emitter
local Handler = { __name = "handler" }
Handler.__index = Handler

function Emitter.__tostring(emitter)
  return emitter.title
end

function Handler.__tostring(handler)
  return handler.options.name
end

-- ---------------------------------------------------------------------------------------------
-- Names: parts between dots. To those that listen, `*` stands for one part, a last `**` for the rest.

local function split(name)
  local parts, first = {}, 1
  while true do
    local dot = find(name, ".", first, true)
    parts[#parts + 1] = sub(name, first, dot and dot - 1)
    if not dot then
      return parts
    end
    first = dot + 1
  end
end

local function matches(pattern, parts)
  local n = #pattern
  if pattern[n] == "**" then
    if #parts < n then
      return false
    end
    n = n - 1
  elseif #parts ~= n then
    return false
  end
  for i = 1, n do
    if pattern[i] ~= "*" and pattern[i] ~= parts[i] then
      return false
    end
  end
  return true
end

-- What is wrong with a name to listen to, or nil.
local function wrong_with(name)
  if type(name) ~= "string" then
    return "event name (a string) expected, got " .. (name == nil and "no value" or describe(name))
  elseif name == "" then
    return "event name must not be empty"
  elseif find(name, "*", 1, true) then
    local parts = split(name)
    for i = 1, #parts do
      local part = parts[i]
      if find(part, "*", 1, true) and part ~= "*" and not (part == "**" and i == #parts) then
        return "a wildcard is a whole part, * for one or a last ** for the rest, got '"
          .. name
          .. "'"
      end
    end
  end
end

local function check_name(name, what)
  local wrong = wrong_with(name)
  if wrong then
    bad_argument(1, what, wrong, 2)
  end
end

local function check_emitter(self, name)
  if getmetatable(self) ~= Emitter then
    local got = self == nil and "no value" or describe(self)
    local text = "emitter expected, got %s; call it with a colon, as in e:%s()"
    bad_argument(1, name, format(text, got, name), 2)
  end
end

-- ---------------------------------------------------------------------------------------------
-- Who listens

--- Make an emitter.
---@param name string|nil for reports
---@return table emitter
function M.new(name)
  if name ~= nil and type(name) ~= "string" then
    bad_argument(1, "new", "name (a string) expected, got " .. describe(name))
  end
  return setmetatable({
    title = name and "emitter '" .. name .. "'" or "emitter",
    exact = {}, -- name -> ear
    wild = {}, -- ears of names with wildcards
    registered = 0, -- handlers so far, for their order
  }, Emitter)
end

-- An ear is what an emitter has for a name: its handlers and who waits. It is there while somebody listens.
local function ear_of(emitter, name)
  local ear = emitter.exact[name]
  for i = 1, ear and 0 or #emitter.wild do
    if emitter.wild[i].name == name then
      return emitter.wild[i]
    end
  end
  if not ear then
    ear = { emitter = emitter, name = name, parts = nil, handlers = {}, waiters = waitlist.new() }
    ear.waiters.ear = ear
    if find(name, "*", 1, true) then
      ear.parts = split(name)
      emitter.wild[#emitter.wild + 1] = ear
    else
      emitter.exact[name] = ear
    end
  end
  return ear
end

-- Somebody has ceased to listen.
local function release(ear)
  if ear.handlers[1] or ear.waiters.last > 0 then
    return
  end
  local emitter = ear.emitter
  if not ear.parts then
    if emitter.exact[ear.name] == ear then
      emitter.exact[ear.name] = nil
    end
    return
  end
  for i = 1, #emitter.wild do
    if emitter.wild[i] == ear then
      remove(emitter.wild, i)
      return
    end
  end
end

local function unregister(handler)
  local ear = handler.ear
  if not ear then
    return 0
  end
  handler.ear = nil
  lifetime.untie(handler)
  for i = 1, #ear.handlers do
    if ear.handlers[i] == handler then
      remove(ear.handlers, i)
      break
    end
  end
  release(ear)
  return 1
end

local function register(emitter, name, fn, once)
  local task = current()
  if not task then
    error("cannot register a handler outside a task", 3)
  end
  emitter.registered = emitter.registered + 1
  local home = task.inner or task.home
  local title = "on " .. name .. ", registered at " .. (failure.line_of(nil, 2) or "?")
  local handler = setmetatable({
    ear = ear_of(emitter, name),
    fn = fn,
    once = once,
    number = emitter.registered,
    home = home,
    options = { name = title }, -- of its tasks: a report on its error names it so
    tie = nil,
  }, Handler)
  local handlers = handler.ear.handlers
  handlers[#handlers + 1] = handler
  lifetime.tie_to_scope(home, handler, unregister)
  return handler
end

--- Call `fn(...)` with the values of each event of that name, as a task of the current scope; with a wildcard
-- in the name `fn(name, ...)`. It listens until `off`, or until the scope ends. Not a checkpoint.
---@param name string "user.login", "user.*", "user.**"
---@param fn function
---@return table handler for `off`
function Emitter:on(name, fn)
  check_emitter(self, "on")
  check_name(name, "on")
  check_callable(2, "on", fn)
  local handler = register(self, name, fn, false)
  return handler
end

--- As `on`, for the first event only.
---@return table handler
function Emitter:once(name, fn)
  check_emitter(self, "once")
  check_name(name, "once")
  check_callable(2, "once", fn)
  local handler = register(self, name, fn, true)
  return handler
end

--- Listen no more. What has begun goes on. Not a checkpoint.
---@param what table|string a handler, or a name: all its handlers, or those that call `fn`
---@param fn function|nil
---@return integer removed how many handlers
function Emitter:off(what, fn)
  check_emitter(self, "off")
  if getmetatable(what) == Handler then
    return what.ear and what.ear.emitter == self and unregister(what) or 0
  end
  local wrong = wrong_with(what)
  if wrong then
    local got = type(what) ~= "string" and "handler or " .. wrong or wrong
    bad_argument(1, "off", got)
  end
  local handlers, removed = ear_of(self, what).handlers, 0
  for i = #handlers, 1, -1 do
    if fn == nil or handlers[i].fn == fn then
      removed = removed + unregister(handlers[i])
    end
  end
  if removed == 0 then
    release(ear_of(self, what))
  end
  return removed
end

-- ---------------------------------------------------------------------------------------------
-- Emitting

local function by_number(one, other)
  return one.number < other.number
end

-- Begin the handlers of `ears` in order of their registration, then wake who waits.
local function serve(ears, name, plain)
  local handlers, named = {}, nil
  for i = 1, #ears do
    for j = 1, #ears[i].handlers do
      handlers[#handlers + 1] = ears[i].handlers[j]
    end
    if ears[i].parts and not named then
      named = pack(name, unpack(plain, 1, plain.n))
    end
  end
  if #ears > 1 then
    sort(handlers, by_number)
  end
  for i = 1, #handlers do
    local handler = handlers[i]
    spawn(handler.home, handler.fn, handler.ear.parts and named or plain, handler.options)
    if handler.once then
      unregister(handler)
    end
  end
  local count = #handlers
  for i = 1, #ears do
    local ear = ears[i]
    count = count + ear.waiters:wake_all(ear.parts and named or plain)
    release(ear)
  end
  return count
end

--- Begin the handlers of `name`, in order of their registration, and wake who waits. Not a checkpoint.
---@param name string without wildcards
---@param ... any for handlers and waiters
---@return integer count of handlers and waiters
function Emitter:emit(name, ...)
  check_emitter(self, "emit")
  check_name(name, "emit")
  if find(name, "*", 1, true) then
    bad_argument(1, "emit", "a name without wildcards expected, got '" .. name .. "'")
  end
  local ears = { self.exact[name] }
  if self.wild[1] then
    local parts = split(name)
    for i = 1, #self.wild do
      if matches(self.wild[i].parts, parts) then
        ears[#ears + 1] = self.wild[i]
      end
    end
  end
  if not ears[1] then
    return 0
  end
  return serve(ears, name, pack(...))
end

-- ---------------------------------------------------------------------------------------------
-- Waiting

local function detail(emitter, name)
  return emitter.title .. ": event '" .. name .. "'"
end

local WAIT = {
  reason = "event",
  queued = true,
  abort = function(task)
    local list = task.on
    if list:remove(task) then
      release(list.ear)
    end
    return true
  end,
  detail = function(task)
    return detail(task.on.ear.emitter, task.on.ear.name)
  end,
  finish = function(values)
    if values == TIMEOUT then
      return nil, "timeout"
    end
    return unpack(values, 1, values.n)
  end,
}

--- Wait for the next event of that name. A checkpoint.
---@param name string may hold wildcards; then the event's name comes before its values
---@param timeout number|nil seconds; nil waits for ever
---@return any ... its values, or nil, "timeout"
function Emitter:wait(name, timeout)
  check_emitter(self, "wait")
  check_name(name, "wait")
  if timeout ~= nil then
    check_seconds(2, "wait", timeout)
    if timeout == 0 then
      kernel.fire_soon()
    end
  end
  enter() -- before there is an ear
  return park(WAIT, ear_of(self, name).waiters, timeout and now() + timeout)
end

select_library.offer(Emitter, "wait", {
  check = function(_, name)
    return wrong_with(name)
  end,
  try = function()
    return false -- an event is not remembered
  end,
  add = function(case)
    case.list = ear_of(case.object, case.value).waiters
    case.list:add(case)
  end,
  remove = function(case)
    if case.list:remove(case) then
      release(case.list.ear)
    end
  end,
  finish = function(values)
    return unpack(values, 1, values.n)
  end,
  detail = detail,
})

--- Who listens. Not a checkpoint.
---@return table {names, handlers, waiting}
function Emitter:statistics()
  check_emitter(self, "statistics")
  local names, handlers, waiting = #self.wild, 0, 0
  for _, ear in pairs(self.exact) do
    names = names + 1
    handlers, waiting = handlers + #ear.handlers, waiting + ear.waiters:count()
  end
  for i = 1, #self.wild do
    local ear = self.wild[i]
    handlers, waiting = handlers + #ear.handlers, waiting + ear.waiters:count()
  end
  return { names = names, handlers = handlers, waiting = waiting }
end

-- What scripts see.
M.public = { new = M.new }

return M
