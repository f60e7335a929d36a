--- Tasks together: all, race, map.
--
-- Belongs here: what is written on scopes and joins alone, as a script could.

local kernel = require("kernel")
local failure = require("failure")
local joiners = require("joiners")
local scope = require("scope")
local task_library = require("task")

local park, pack, unpack = kernel.park, kernel.pack, kernel.unpack
local bad_argument, check_callable = failure.bad_argument, failure.check_callable
local is_task = task_library.is_task
local rawequal, type, error, tostring, pcall = rawequal, type, error, tostring, pcall
local CANCEL = failure.CANCEL

local M = {}

-- A join that does not care how the task ends.
local END = joiners.kind(nil)

local function check_list(name, list)
  if type(list) ~= "table" or is_task(list) then
    bad_argument(1, name, "list of functions or tasks expected, got " .. type(list), 2)
  end
  local n = list.n
  if n == nil then
    n = #list
  else
    n = failure.check_length(1, name, n, 2)
  end
  for i = 1, n do
    local item = list[i]
    if type(item) ~= "function" and not is_task(item) then
      bad_argument(1, name, "item " .. i .. " is a " .. type(item) .. ", not a function or task", 2)
    end
  end
  return n
end

local function value_of(item)
  if is_task(item) then
    return item:join()
  end
  return item()
end

-- Run `fn(list, n)`; when it fails, or when it has returned, the tasks of the list that are alive are
-- cancelled and waited for. Cut off by a cancellation from outside, it leaves them to those who own them.
local function with_tasks(fn, list, n)
  local ok, value = pcall(fn, list, n)
  if not ok and rawequal(value, CANCEL) then
    error(CANCEL, 0)
  end
  for i = 1, n do
    local item = list[i]
    if is_task(item) and item:cancel("not needed any more") then
      park(END, item)
    end
  end
  if not ok then
    error(value, 0)
  end
  return value
end

local function run_all(list, n)
  local values = { n = n }
  scope.run({ passed = true }, function(nursery)
    for i = 1, n do
      nursery:spawn(function()
        values[i] = (value_of(list[i]))
      end)
    end
  end)
  return values
end

--- Run all together; first values in the order given. The first failure cancels the rest. A checkpoint.
---@param list table functions or tasks
---@return table values with field n
function M.all(list)
  return with_tasks(run_all, list, check_list("all", list))
end

local function run_race(list, n)
  local winner
  scope.run({ passed = true }, function(nursery)
    for i = 1, n do
      local item = list[i]
      nursery:spawn(function()
        if is_task(item) and not item.state then
          park(END, item)
        end
        if is_task(item) and item.state == "cancelled" then
          return -- no winner; the others go on
        end
        local values = pack(value_of(item))
        if not winner then
          winner = values
          nursery:cancel("lost the race")
        end
      end)
    end
  end)
  return winner
end

--- The first to end wins: its values are returned (its error raised), the others are cancelled and
-- waited for. A cancelled task does not win. A checkpoint.
---@param list table functions or tasks, at least one
function M.race(list)
  local n = check_list("race", list)
  if n == 0 then
    bad_argument(1, "race", "a race needs at least one function or task")
  end
  local winner = with_tasks(run_race, list, n)
  if not winner then
    error(failure.new("cancelled", "every task of the race was cancelled"), 2)
  end
  return unpack(winner, 1, winner.n)
end

--- Apply `fn(item)` to every item, at most `limit` at a time; first values in order. A checkpoint.
---@param list table
---@param fn function
---@param options table|nil {limit=integer}
---@return table values with field n
function M.map(list, fn, options)
  if type(list) ~= "table" then
    bad_argument(1, "map", "list expected, got " .. type(list))
  end
  check_callable(2, "map", fn)
  local n = #list
  local limit = options and options.limit or n
  if type(limit) ~= "number" or not (limit >= 1) and n > 0 then
    bad_argument(3, "map", "limit must be a number of at least 1, got " .. tostring(limit))
  end
  local values = { n = n }
  local started = 0
  local function worker()
    while started < n do
      started = started + 1
      local i = started
      values[i] = (fn(list[i]))
    end
  end
  scope.run({ passed = true }, function(nursery)
    for _ = 1, limit < n and limit or n do
      nursery:spawn(worker)
    end
  end)
  return values
end

return M
