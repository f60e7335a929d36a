--- What tasks hold: the locks that have an owner, until he gives them back or ends.
--
-- A task that ends gives back what it holds, so that nobody waits for the dead. If it had failed or was
-- cancelled, that is all: it is as if everything it did had stood in a `with`. If it returned, it has
-- forgotten an unlock, and fails with an error that names the locks. (trio breaks the lock instead: the
-- error then comes to whoever locks it next, or to nobody. Go and Tarantool leave it locked for ever.)

local kernel = require("kernel")
local failure = require("failure")

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

local function older(one, other)
  return one.number < other.number
end

-- Everything that `task` ended without giving back.
local function give_back(task, ok, ...)
  local held = task.held
  task.held = nil
  if next(held) == nil then
    return ok, ...
  end
  local list = {}
  for object in pairs(held) do
    list[#list + 1] = object
  end
  sort(list, older)
  for i = 1, #list do
    local object = list[i]
    getmetatable(object).__let_go(object, task)
    list[i] = tostring(object)
  end
  if not ok then
    return ok, ...
  end
  local text = tostring(task) .. " ended while it held " .. concat(list, ", ")
  return false, failure.new("held", text .. "; unlock what was locked, or use with")
end
kernel.set_give_back(give_back)

return M
