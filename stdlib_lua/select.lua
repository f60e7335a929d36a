--- task.select: wait for several things, take one.
--
-- Belongs here: how a task waits in several lists at once. Does not belong here: what can be waited for; its
-- own file says so with `select.offer`. Ideas: Go's select (one case takes effect; which of several that are
-- ready is left open, for fairness), Concurrent ML's events.

local kernel = require("kernel")
local failure = require("failure")

local park, enter, wake, now = kernel.park, kernel.enter, kernel.reschedule, kernel.now
local bad_argument = failure.bad_argument
local type, getmetatable, setmetatable = type, getmetatable, setmetatable
local tostring, pairs, concat, sort = tostring, pairs, table.concat, table.sort

local M = {}

-- What objects of a class offer: class (metatable) -> operation -> kind of case.
local offers = {}
-- Where a case begins with a string: a named event.
local named = {}

--- Let objects of `class` be waited for in a select.
---@param class table|string their metatable, or "string"
---@param operation string as scripts write it: "receive"
---@param kind table what such a case means:
--   check   function(object, value) -> nil or what is wrong with it (optional)
--   try     function(object, value) -> done, result: take effect now if that needs no wait
--   add     function(case): it waits; put it where others find it, `case.object` tells whose
--   remove  function(case): it does not wait any more
--   removed function(object): cases were removed, perhaps others are served now (optional)
--   finish  function(result, object) -> ...: turns the result, of `try` or of `fire`, into the case's values
--   detail  function(object, value) -> string: what it waits for, for people
function M.offer(class, operation, kind)
  local target = named
  if class ~= "string" then
    target = offers[class] or {}
    offers[class] = target
  end
  target[operation] = kind
end

-- One thing that a select waits for.
local Case = {}
Case.__index = Case

local function withdraw(cases)
  local told = false
  for i = 1, cases.n do
    local case = cases[i]
    if case.waits then
      case.waits = false
      case.kind.remove(case)
      if case.kind.removed then
        case.left, told = true, true
      end
    end
  end
  return told
end

-- Only when no case waits any more: what others get now may be what another case here has waited for.
local function tell(cases)
  for i = 1, cases.n do
    local case = cases[i]
    if case.left then
      case.left = false
      case.kind.removed(case.object)
    end
  end
end

--- It happened: this case takes effect and no other.
function Case:fire(result)
  self.waits, self.result = false, result
  local cases = self.cases
  local told = withdraw(cases)
  wake(cases.task, self)
  if told then
    tell(cases)
  end
end

local SELECT = {
  reason = "resource",
  begin = function(task, cases) -- nothing is registered before it is certain that the task can park
    cases.task = task
    for i = 1, cases.n do
      local case = cases[i]
      case.waits = true
      case.kind.add(case)
    end
  end,
  abort = function(task)
    if withdraw(task.on) then
      tell(task.on)
    end
    return true
  end,
  detail = function(task)
    local parts, cases = {}, task.on
    for i = 1, cases.n do
      local case = cases[i]
      parts[case.index] = case.kind.detail(case.object, case.value)
    end
    return #parts == 1 and parts[1] or "one of: " .. concat(parts, ", ")
  end,
  blockers = function(task)
    local list, cases = {}, task.on
    for i = 1, cases.n do
      list[i] = cases[i].object
    end
    return list
  end,
  finish = function(case)
    if case == kernel.TIMEOUT then
      return nil, "timeout"
    end
    return case.index, case.kind.finish(case.result, case.object)
  end,
}

local function known(operations)
  local names = {}
  for name in pairs(operations) do
    names[#names + 1] = '"' .. name .. '"'
  end
  sort(names)
  return concat(names, " or ")
end

local function describe(value)
  local meta = getmetatable(value)
  return type(meta) == "table" and type(meta.__name) == "string" and meta.__name or type(value)
end

local function new_case(spec, index, cases)
  local where = "case " .. index
  if type(spec) ~= "table" then
    bad_argument(
      1,
      "select",
      where .. ' must be a table, as in {ch, "receive"}, got ' .. type(spec),
      3
    )
  end
  local object, operation, value = spec[1], spec[2], spec[3]
  local operations = type(object) == "string" and named or offers[getmetatable(object) or {}]
  if not operations then
    bad_argument(1, "select", where .. ": cannot wait for a " .. describe(object), 3)
  end
  local kind = operations[operation]
  if not kind then
    local what = type(operation) == "string" and '"' .. operation .. '"' or describe(operation)
    local message = where
      .. ": a "
      .. describe(object)
      .. " is waited for with "
      .. known(operations)
    bad_argument(1, "select", message .. ", got " .. what, 3)
  end
  local wrong = kind.check and kind.check(object, value)
  if wrong then
    bad_argument(1, "select", where .. ": " .. wrong, 3)
  end
  return setmetatable({
    cases = cases,
    index = index,
    object = object,
    kind = kind,
    value = value,
    waits = false, -- it is in somebody's list
    result = nil,
  }, Case)
end

local OPTIONS = { timeout = true, default = true }

-- The cases of a specification, checked before anything is done.
local function read(spec)
  if type(spec) ~= "table" then
    bad_argument(1, "select", "table of cases expected, got " .. type(spec), 2)
  end
  local cases = { n = #spec, task = nil }
  for key in pairs(spec) do
    if not OPTIONS[key] and not (type(key) == "number" and key >= 1 and key <= cases.n) then
      local name = type(key) == "string" and "'" .. key .. "'"
        or type(key) == "number" and tostring(key)
        or "(a " .. describe(key) .. ")"
      local text = "unknown option " .. name .. "; known are timeout and default"
      bad_argument(1, "select", text, 2)
    end
  end
  if spec.timeout ~= nil then
    if type(spec.timeout) ~= "number" or not (spec.timeout >= 0) then
      local got = type(spec.timeout) == "number" and tostring(spec.timeout)
        or describe(spec.timeout)
      local text = "timeout must be a number of seconds, not negative, got " .. got
      bad_argument(1, "select", text, 2)
    end
  end
  for i = 1, cases.n do
    cases[i] = new_case(spec[i], i, cases)
  end
  if cases.n == 0 and spec.timeout == nil and not spec.default then
    bad_argument(1, "select", "no case, no timeout, no default: it would wait for ever", 2)
  end
  return cases
end

-- A number from 0 to n - 1: a generator of our own, so that a run can be repeated (Park and Miller's).
local seed = 1
local function any_of(n)
  seed = seed * 16807 % 2147483647
  return seed % n
end

local function finish(case, result)
  return case.index, case.kind.finish(result, case.object)
end

--- Wait for the first of several things. A checkpoint.
---@param spec table cases `{object, operation [, value]}` and the options timeout=seconds, default=true
---@return integer|nil index of the case that took effect, nil and "timeout" or "default" for none
---@return any ... its values
function M.select(spec)
  local cases = read(spec)
  local n = cases.n
  enter()
  -- Tried in an order drawn anew each time: of those that are ready each has the same chance. (To begin
  -- anywhere and go on in order would favour the one that follows many that are not.)
  for i = 1, n do
    local case = cases[i]
    if i < n then
      local j = i + any_of(n - i + 1)
      cases[i], cases[j] = cases[j], case
      case = cases[i]
    end
    local done, result = case.kind.try(case.object, case.value)
    if done then
      return finish(case, result)
    end
  end
  if spec.default then
    return nil, "default"
  end
  local timeout = spec.timeout
  if timeout == 0 then
    kernel.fire_soon()
  end
  return park(SELECT, cases, timeout and now() + timeout)
end

M.describe = describe

return M
