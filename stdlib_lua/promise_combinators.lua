--- Promises together: all, all_settled, any, race, as in JavaScript.
--
-- Belongs here: a promise of several others. The list holds promises, tasks, thenables and plain values; what
-- is promised counts by its first value.

local kernel = require("kernel")
local failure = require("failure")
local deferred = require("deferred")
local rejections = require("rejections")
local promise_list = require("promise_list")
local resolution = require("resolution")
local select_library = require("select")

local getmetatable, setmetatable, type, next = getmetatable, setmetatable, type, next
local error, leave = error, resolution.leave
local current, bad_argument = kernel.current, failure.bad_argument
local Promise, new, settle = deferred.Promise, deferred.new, deferred.settle
local FULFILLED, REJECTED = deferred.FULFILLED, deferred.REJECTED

require("promise_object") -- gives promises their methods

local M = {}

-- What a promise of several waits for. `rule` says what each of them means.
local Group = {}
Group.__index = Group

-- One of them that is pending, or was.
local Member = {}
Member.__index = Member

--- Do not wait for any of them.
function Group:disband()
  for i = 1, self.n do
    local member = self[i]
    if member and member.waits then
      member.waits = false
      local source = member.source
      deferred.remove(source, member)
      if source.ours then
        leave(source)
      end
    end
  end
end

--- `source` is settled. (Called while promises are being settled: see deferred.lua.)
function Member:fire(source)
  self.waits = false
  local group = self.group
  local state, value, extra = group.rule(group, self.index, source)
  if not state then
    return nil
  end
  group:disband()
  local promise = group.promise
  promise.state, promise.value, promise.extra = state, value, extra
  return promise
end

-- ---------------------------------------------------------------------------------------------
-- Rules: function(group, index, source) -> state, value, extra of the group's promise, or nothing yet

local function one_less(group)
  group.left = group.left - 1
  return group.left == 0
end

local function all(group, index, source)
  if source.state == REJECTED then
    return REJECTED, source.value, source.extra
  end
  group.values[index] = source.value
  if one_less(group) then
    return FULFILLED, group.values
  end
end

local function all_settled(group, index, source)
  if source.state == REJECTED then
    group.values[index] = { status = REJECTED, reason = source.value }
  else
    group.values[index] = { status = FULFILLED, value = source.value }
  end
  if one_less(group) then
    return FULFILLED, group.values
  end
end

local function no_winner(group)
  local n = group.values.n
  local text = n == 1 and "the only promise was rejected"
    or "all " .. n .. " promises were rejected"
  text = n == 0 and "no promise was given, so none is fulfilled"
    or text .. "; the field 'errors' lists the reasons"
  local reason = failure.new("failures", text)
  reason.errors = group.values
  local fail = rejections.fail_with(reason, 3)
  return REJECTED, reason, fail
end

local function any(group, index, source)
  if source.state == FULFILLED then
    return FULFILLED, source.value, source.extra
  end
  group.values[index] = source.value
  if one_less(group) then
    return no_winner(group)
  end
end

local function race(_, _, source)
  return source.state, source.value, source.extra
end

-- ---------------------------------------------------------------------------------------------
-- Making them

local function length_of(list, name)
  local class = getmetatable(list)
  if type(list) ~= "table" or class == Promise or class == kernel.Task then
    local got = list == nil and "no value" or select_library.describe(list)
    bad_argument(1, name, "list of promises, tasks or values expected, got " .. got, 2)
  end
  local n = list.n
  if n ~= nil then
    return failure.check_length(1, name, n, 2)
  end
  n = #list
  if n == 0 and next(list) ~= nil then -- all of it would be passed over in silence
    local text = "a list expected, with items at 1, 2 and so on; this table has other keys only"
    bad_argument(1, name, text, 2)
  end
  return n
end

-- Let `group` hear of its source number `i`.
---@return boolean over nothing that follows can matter
local function attach(group, i, source)
  local promise = group.promise
  if promise.state then
    return true -- another source has decided it, while there were many to be attached
  elseif not source.state then
    group[i] = setmetatable({ group = group, index = i, source = source, waits = true }, Member)
    deferred.add(source, group[i])
    return false
  end
  local state, value, extra = group.rule(group, i, source)
  if state then
    group:disband()
    settle(promise, state, value, extra)
  end
  return state ~= nil
end

local function combine(name, rule, list, n)
  local task = current()
  if not task then
    error("cannot call promise." .. name .. " outside a task", 3)
  end
  local scope = task.inner or task.home
  local promise = new(scope, false)
  local group = setmetatable({
    promise = promise,
    name = name,
    rule = rule,
    n = n,
    left = n,
    values = { n = n },
  }, Group)
  local sources = promise_list.promises(list, n, scope)
  promise_list.attach(group, sources, attach)
  if not promise.state then
    promise.group = group
  end
  return promise
end

--- A promise of the array of all values, in order; the first rejection rejects it. Not a checkpoint.
---@param list table
---@return table promise of an array with field n
function M.all(list)
  local n = length_of(list, "all")
  local promise = combine("all", all, list, n)
  if n == 0 then
    settle(promise, FULFILLED, { n = 0 })
  end
  return promise
end

--- A promise of an array of {status="fulfilled", value=} and {status="rejected", reason=}. Not a checkpoint.
---@param list table
---@return table promise of an array with field n
function M.all_settled(list)
  local n = length_of(list, "all_settled")
  local promise = combine("all_settled", all_settled, list, n)
  if n == 0 then
    settle(promise, FULFILLED, { n = 0 })
  end
  return promise
end

--- A promise of the first value; rejected when all are, with an error of kind "failures". Not a checkpoint.
---@param list table
---@return table promise
function M.any(list)
  local n = length_of(list, "any")
  local promise = combine("any", any, list, n)
  if n == 0 then
    settle(promise, no_winner(promise.group))
  end
  return promise
end

--- A promise of what happens first. The others go on. Not a checkpoint.
---@param list table at least one
---@return table promise
function M.race(list)
  local n = length_of(list, "race")
  if n == 0 then
    bad_argument(1, "race", "a race needs at least one promise, task or value")
  end
  return combine("race", race, list, n)
end

return M
