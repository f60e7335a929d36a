--- Tasks that wait for promises: await, and promises in a select.

local kernel = require("kernel")
local failure = require("failure")
local deferred = require("deferred")
local rejections = require("rejections")
local select_library = require("select")

local getmetatable, type, error, tostring = getmetatable, type, error, tostring
local getinfo = debug.getinfo
local enter, park, current, now = kernel.enter, kernel.park, kernel.current, kernel.now
local describe = select_library.describe
local unpack, fire_soon, TIMEOUT = kernel.unpack, kernel.fire_soon, kernel.TIMEOUT
local Promise, REJECTED = deferred.Promise, deferred.REJECTED

local M = {}

--- For people: what the promise is of.
---@param promise table
---@return string
function M.label(promise)
  local handler = promise.value or promise.err
  if promise.task then
    return "promise of " .. tostring(promise.task)
  elseif promise.group then
    return "promise." .. promise.group.name .. " of " .. promise.group.n
  elseif not promise.state and type(handler) == "function" then
    local info = getinfo(handler, "S")
    return "promise of function <" .. info.short_src .. ":" .. info.linedefined .. ">"
  end
  return "promise"
end
local label = M.label

-- The values of a settled promise, or its reason raised.
local function outcome(promise)
  local extra = promise.extra
  if promise.state == REJECTED then
    failure.remember(current(), extra)
    error(promise.value, 0)
  elseif extra then
    return unpack(extra, 1, extra.n)
  end
  return promise.value
end
M.outcome = outcome

local AWAIT = {
  reason = "resource",
  begin = function(task, promise)
    deferred.add(promise, task)
  end,
  abort = function(task)
    deferred.remove(task.on, task)
    return true
  end,
  detail = function(task)
    return label(task.on)
  end,
  blockers = function(task)
    return { task.on.task }
  end,
  finish = function(promise)
    if promise == TIMEOUT then
      return nil, "timeout"
    end
    return outcome(promise)
  end,
}

local function own(promise)
  return promise.task ~= nil and promise.task == current()
end

local OWN = "a task cannot wait for its own promise: it would wait for ever"

--- Raise for a method that was called on `self`, which is no promise, at the line of its caller.
function M.bad_self(self, name)
  local got = self == nil and "no value" or describe(self)
  local text = "promise expected, got " .. got .. "; call it with a colon, as in p:" .. name .. "()"
  failure.bad_argument(1, name, text, 3)
end

--- The method `await`.
function M.await(promise, timeout)
  if getmetatable(promise) ~= Promise then
    local got = promise == nil and "no value" or describe(promise)
    local text = "promise expected, got " .. got .. "; call it with a colon, as in p:await()"
    failure.bad_argument(1, "await", text)
  end
  if timeout ~= nil then
    failure.check_seconds(1, "await", timeout)
  end
  if promise.state then
    enter()
    rejections.hear(promise)
    return outcome(promise)
  elseif own(promise) then
    error(OWN, 2)
  end
  if timeout == 0 then
    fire_soon()
  end
  return park(AWAIT, promise, timeout and now() + timeout)
end

local CASE = {
  check = function(promise)
    return not promise.state and own(promise) and OWN or nil
  end,
  try = function(promise)
    if promise.state then
      rejections.hear(promise)
      return true, promise
    end
    return false
  end,
  add = function(case)
    deferred.add(case.object, case)
  end,
  remove = function(case)
    deferred.remove(case.object, case)
  end,
  finish = outcome,
  detail = label,
}
select_library.offer(Promise, "join", CASE)
select_library.offer(Promise, "await", CASE)

return M
