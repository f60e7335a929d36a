--- task.select: wait for several things, take one.
--
-- Belongs here: how a task waits in several lists at once. Does not belong here: what can be waited for; its
-- own file says so with `select.offer`. Ideas: Go's select (one case takes effect; which of several that are
-- ready is left open, for fairness), Concurrent ML's events.

local kernel = require("kernel")
local failure = require("failure")

local park, enter, wake, now = kernel.park, kernel.enter, kernel.reschedule, kernel.now
local bad_argument = failure.bad_argument
local type, next, getmetatable = type, next, debug.getmetatable -- the real one, also for strings
local tostring, pairs, concat, sort = tostring, pairs, table.concat, table.sort

local M = {}

-- What objects of a class offer: class (metatable) -> operation -> kind of case.
local offers = {}

--- Let objects of `class` be waited for in a select.
---@param class table|string their metatable, or "string": a case that begins with a string
---@param operation string as scripts write it: "receive"
---@param kind table what such a case means:
--   check   function(object, value) -> nil or what is wrong with it (optional)
--   try     function(object, value) -> done, result: take effect now if that needs no wait
--   queue   name of the object's field with the waitlist that a case waits in; or, where there is more to do,
--   add     function(case): it waits; put it where others find it, `case.object` tells whose
--   remove  function(case): it does not wait any more
--   removed function(object): cases were removed, perhaps others are served now (optional)
--   finish  function(result, object) -> ...: turns the result, of `try` or of `fire`, into the case's values
--   detail  function(object, value) -> string: what it waits for, for people
function M.offer(class, operation, kind)
  if class == "string" then
    class = getmetatable("")
  end
  local operations = offers[class] or {}
  offers[class] = operations
  operations[operation] = kind
end

-- A case is one thing that a select waits for: {cases=, index=, object=, kind=, value=, waits=, fire=}.
-- `waits` says that it is in somebody's list, `fire` makes it a waiter (waitlist.lua).

local function withdraw(cases)
  local told = false
  for i = 1, cases.n do
    local case = cases[i]
    if case.waits then
      local kind = case.kind
      case.waits = false
      if kind.queue then
        case.object[kind.queue]:remove(case)
      else
        kind.remove(case)
      end
      if kind.removed then
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

-- It happened: this case takes effect and no other.
local function fire(case, result)
  local cases = case.cases
  case.waits, cases.result = false, result
  local told = withdraw(cases)
  wake(cases.task, case)
  if told then
    tell(cases)
  end
end

-- To make eight cases costs more than all the rest of a select over eight channels: they are used again.
local spare = {} -- number of cases -> the one given back last, `next` the one before it
local kept = 0
local MAX_KEPT = 100

local function new_cases(n)
  local cases = spare[n]
  if cases then
    spare[n], cases.next = cases.next, nil
    kept = kept - 1
    return cases
  end
  cases = { n = n, task = nil, result = nil, next = nil }
  for i = 1, n do
    cases[i] = {
      cases = cases,
      index = i,
      object = nil,
      kind = nil,
      value = nil,
      waits = false,
      fire = fire,
    }
  end
  return cases
end

local function give_back(cases)
  local n = cases.n
  cases.task, cases.result = nil, nil
  for i = 1, n do
    local case = cases[i]
    case.object, case.value = nil, nil
  end
  if kept < MAX_KEPT then
    kept = kept + 1
    cases.next, spare[n] = spare[n], cases
  end
end

local function finish(case, result)
  local index, kind, object = case.index, case.kind, case.object
  give_back(case.cases) -- before `finish`, which may raise
  return index, kind.finish(result, object)
end

local SELECT = {
  reason = "resource",
  begin = function(task, cases) -- nothing is registered before it is certain that the task can park
    cases.task = task
    for i = 1, cases.n do
      local case = cases[i]
      local kind = case.kind
      case.waits = true
      if kind.queue then
        case.object[kind.queue]:add(case)
      else
        kind.add(case)
      end
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
    return finish(case, case.cases.result)
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

-- What is wrong with a case, which `read` could not take.
local function complain(spec, index)
  local where = "case " .. index
  if type(spec) ~= "table" then
    local text = where .. ' must be a table, as in {ch, "receive"}, got ' .. type(spec)
    bad_argument(1, "select", text, 3)
  end
  local own = offers[getmetatable(spec)]
  if own then
    local noun = describe(spec)
    local text = where .. " is a " .. noun .. "; a case is a table, as in {the " .. noun .. ", "
    bad_argument(1, "select", text .. known(own) .. "}", 3)
  end
  local object, operation = spec[1], spec[2]
  local operations = offers[getmetatable(object)]
  if not operations then
    bad_argument(1, "select", where .. ": cannot wait for a " .. describe(object), 3)
  end
  local what = type(operation) == "string" and '"' .. operation .. '"' or describe(operation)
  local text = where .. ": a " .. describe(object) .. " is waited for with " .. known(operations)
  bad_argument(1, "select", text .. ", got " .. what, 3)
end

local function check_options(spec, n)
  for key in pairs(spec) do
    local is_case = type(key) == "number" and key >= 1 and key <= n
    if not is_case and key ~= "timeout" and key ~= "default" then
      local name = type(key) == "string" and "'" .. key .. "'"
        or type(key) == "number" and tostring(key)
        or "(a " .. describe(key) .. ")"
      local text = "unknown option " .. name .. "; known are timeout and default"
      bad_argument(1, "select", text, 3)
    end
  end
  local timeout = spec.timeout
  if timeout ~= nil and (type(timeout) ~= "number" or not (timeout >= 0)) then
    local got = type(timeout) == "number" and tostring(timeout) or describe(timeout)
    local text = "timeout must be a number of seconds, not negative, got " .. got
    bad_argument(1, "select", text, 3)
  end
  if n == 0 and timeout == nil and not spec.default then
    bad_argument(1, "select", "no case, no timeout, no default: it would wait for ever", 3)
  end
end

-- Nothing interrupts a select: so many take some 10 ms.
local MOST_CASES = 10000

-- The cases of a specification, checked before anything is done.
local function read(spec)
  if type(spec) ~= "table" then
    bad_argument(1, "select", "table of cases expected, got " .. type(spec), 2)
  end
  local n = #spec
  if type(n) ~= "number" or n % 1 ~= 0 or n < 0 then -- its __len may say anything
    local got = type(n) == "number" and tostring(n) or describe(n)
    local text = "the length of the table of cases (its __len) must be a whole number, got " .. got
    bad_argument(1, "select", text, 2)
  elseif n > MOST_CASES then
    local text = "at most " .. MOST_CASES .. " cases can be selected over, got " .. n
    bad_argument(1, "select", text .. "; let tasks send to one channel", 2)
  end
  local count = 0
  for _ in next, spec do
    count = count + 1
  end
  if count ~= n or n == 0 then -- there is more than cases, which are all looked at below
    check_options(spec, n)
  end
  local cases = new_cases(n)
  for i = 1, n do
    local each = spec[i]
    if type(each) ~= "table" then
      complain(each, i)
    end
    local case, object = cases[i], each[1]
    local operations = offers[getmetatable(object)]
    local kind = operations and operations[each[2]]
    if not kind then
      complain(each, i)
    end
    local value = each[3]
    local wrong = kind.check and kind.check(object, value)
    if wrong then
      bad_argument(1, "select", "case " .. i .. ": " .. wrong, 2)
    end
    case.index = i -- they were shuffled
    case.object, case.kind, case.value = object, kind, value
  end
  return cases
end

-- Random numbers: a generator of our own, so that a run can be repeated (Park and Miller's).
local seed = 1

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
      seed = seed * 16807 % 2147483647
      local j = i + seed % (n - i + 1)
      cases[i], cases[j] = cases[j], case
      case = cases[i]
    end
    local done, result = case.kind.try(case.object, case.value)
    if done then
      return finish(case, result)
    end
  end
  if spec.default then
    give_back(cases)
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
