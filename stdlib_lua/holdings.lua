--- What tasks hold: the locks that have an owner, until he gives them back or ends.
--
-- A task that ends gives back what it holds, so that nobody waits for the dead. If it had failed or was
-- cancelled, that is all: it is as if everything it did had stood in a `with`. If it returned, it has
-- forgotten an unlock, and fails with an error that names the locks. (trio breaks the lock instead: the
-- error then comes to whoever locks it next, or to nobody. Go and Tarantool leave it locked for ever.)

local kernel = require("kernel")
local failure = require("failure")
local put_off = require("backlog").put_off

local getmetatable, next, pairs, tostring = getmetatable, next, pairs, tostring
local sort, concat = table.sort, table.concat

local M = {}

--- Note that `task` holds `object`, which has a number.
function M.take(task, object)
  local held = task.held
  if not held then
    held = {}
    task.held = held
  end
  held[object] = true
end

-- Locks that a report names.
local MOST = 10

-- What is held, oldest first. (Lua compares numbers without a call: there may be very many.)
local function in_order(held)
  local numbers, by_number = {}, {}
  for object in pairs(held) do
    local number = object.number
    numbers[#numbers + 1], by_number[number] = number, object
  end
  sort(numbers)
  for i = 1, #numbers do
    numbers[i] = by_number[numbers[i]]
  end
  return numbers
end

-- So many are given back at once; the others a little later (backlog.lua).
local PIECE = 1000

-- Give back those in `list` after number `done`.
local function let_go(list)
  local done, n = list.done, #list
  local last = done + PIECE < n and done + PIECE or n
  for i = done + 1, last do
    getmetatable(list[i]).__let_go(list[i], list.task)
  end
  list.done = last
  if last < n then
    put_off(let_go, list)
  end
end

-- Give back all that `task` holds.
---@return table list
local function let_all_go(task)
  local list = in_order(task.held)
  task.held = nil
  list.task, list.done = task, 0
  let_go(list)
  return list
end

--- The work of `task` was cut off, though the task may return a value: by its own timeout.
function M.cut_off(task)
  if task.held then
    let_all_go(task)
  end
end

-- Everything that `task` ended without giving back.
local function give_back(task, ok, ...)
  if next(task.held) == nil then
    task.held = nil
    return ok, ...
  end
  local list = let_all_go(task)
  if not ok then
    return ok, ...
  end
  local names = {}
  for i = 1, #list < MOST and #list or MOST do
    names[i] = tostring(list[i])
  end
  if #list > MOST then
    names[MOST + 1] = #list - MOST .. " more"
  end
  local text = tostring(task) .. " ended while it held " .. concat(names, ", ")
  return false, failure.new("held", text .. "; unlock what was locked, or use with")
end
kernel.set_give_back(give_back)

return M
