--- Emitters: named events with handlers.
--
-- Belongs here: who is called when. (Events without an object or handlers: event.lua.) Each handler runs as a
-- task of the scope that registered it: it may wait, its error is that scope's, and it goes with that scope.

local kernel = require("kernel")
local failure = require("failure")
local lifetime = require("lifetime")
local waitlist = require("waitlist")
local select_library = require("select")
local calls = require("emitter_calls")

local park, enter, now = kernel.park, kernel.enter, kernel.now
local current = kernel.current
local pack, unpack, TIMEOUT = kernel.pack, kernel.unpack, kernel.TIMEOUT
local bad_argument, check_callable = failure.bad_argument, failure.check_callable
local check_seconds, describe = failure.check_seconds, select_library.describe
local setmetatable, getmetatable, type, error = setmetatable, getmetatable, type, error
local find, format, pairs = string.find, string.format, pairs
local sort, split = table.sort, calls.split
local add_matching, begin_handlers = calls.add_matching, calls.begin

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

-- It goes into reports, and each of its parts into a comparison.
local LONGEST = 1000

-- What is wrong with a name to listen to, or nil.
local function wrong_with(name)
  if type(name) ~= "string" then
    return "event name (a string) expected, got " .. (name == nil and "no value" or describe(name))
  elseif name == "" then
    return "event name must not be empty"
  elseif #name > LONGEST then
    return "event name must not be longer than " .. LONGEST .. " bytes, got " .. #name
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
    ears = {}, -- name -> ear
    wild = waitlist.new(), -- those of names with wildcards
    registered = 0, -- handlers so far, for their order
  }, Emitter)
end

-- An ear is what an emitter has for a name: its handlers and who waits. It is there while somebody listens.
local function ear_of(emitter, name)
  local ear = emitter.ears[name]
  if not ear then
    ear = {
      emitter = emitter,
      name = name,
      parts = nil,
      handlers = waitlist.new(), -- of this sort for its quick `remove`
      waiters = waitlist.new(),
      slot = nil, -- in emitter.wild
    }
    ear.waiters.ear, emitter.ears[name] = ear, ear
    if find(name, "*", 1, true) then
      ear.parts = split(name)
      emitter.wild:add(ear)
    end
  end
  return ear
end

-- Somebody has ceased to listen.
local function release(ear)
  local emitter = ear.emitter
  if ear.handlers.last > 0 or ear.waiters.last > 0 or emitter.ears[ear.name] ~= ear then
    return
  end
  emitter.ears[ear.name] = nil
  if ear.parts then
    emitter.wild:remove(ear)
  end
end

-- Append what is in a waitlist.
local function copy_to(target, list)
  local n = #target
  for i = list.first, list.last do
    local item = list[i]
    if item then
      n = n + 1
      target[n] = item
    end
  end
  return target
end

local function unregister(handler)
  local ear = handler.ear
  if not ear then
    return 0
  end
  handler.ear = nil
  lifetime.untie(handler)
  ear.handlers:remove(handler)
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
    slot = nil, -- in ear.handlers
  }, Handler)
  handler.ear.handlers:add(handler)
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
  local ear = self.ears[what]
  return ear and calls.remove(copy_to({}, ear.handlers), fn, unregister) or 0
end

-- ---------------------------------------------------------------------------------------------
-- Emitting

-- The handlers of several ears in order of their registration.
local function in_order(handlers)
  local numbers, by_number = {}, {}
  for i = 1, #handlers do
    local number = handlers[i].number
    numbers[i], by_number[number] = number, handlers[i]
  end
  sort(numbers) -- numbers: Lua compares them without a call
  for i = 1, #numbers do
    handlers[i] = by_number[numbers[i]]
  end
end

-- Begin the handlers of `ears` in order of their registration, then wake who waits.
local function serve(ears, name, plain)
  local handlers, named = {}, nil
  for i = 1, #ears do
    copy_to(handlers, ears[i].handlers)
    if ears[i].parts and not named then
      named = pack(name, unpack(plain, 1, plain.n))
    end
  end
  if #ears > 1 then
    in_order(handlers)
  end
  local count = begin_handlers(handlers, plain, named, unregister)
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
  local ears = { self.ears[name] }
  if self.wild.last > 0 then
    add_matching(ears, copy_to({}, self.wild), name)
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
  local names, handlers, waiting = 0, 0, 0
  for _, ear in pairs(self.ears) do
    names = names + 1
    handlers, waiting = handlers + ear.handlers:count(), waiting + ear.waiters:count()
  end
  return { names = names, handlers = handlers, waiting = waiting }
end

-- What scripts see.
M.public = { new = M.new }

return M
