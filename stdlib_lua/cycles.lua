--- Cycles: tasks that wait for each other, for a deadlock report.
--
-- Belongs here: finding and wording them. What a task waits for says its wait's kind, in the field
--   blockers  function(task) -> list of tasks, and of objects whose metatable has `__holders`
--   (sync_object.lua) A wait without it is one that any task could end, such as a channel's: no cycle goes
--   through it.

local listing = require("listing")
local kernel = require("kernel")

local Task = kernel.Task
local getmetatable, tostring, sub, sort = getmetatable, tostring, string.sub, table.sort

local M = {}

local MOST = 10 -- cycles in a report

local NONE = {}

-- The tasks and the objects that `node`, one of these, waits for.
local function blockers(node)
  local meta = getmetatable(node)
  if meta == Task then
    local find = node.wait and node.wait.blockers
    return find and find(node) or NONE
  end
  return meta and meta.__holders and meta.__holders(node) or NONE
end

local function is_task(node)
  return getmetatable(node) == Task
end

-- A task waits: it holds what the one before it wants, and wants what the one after it holds.
local function step(before, task, after)
  local text = tostring(task)
  if not is_task(before) then
    text = text .. " holds " .. tostring(before) .. " and"
  end
  text = text .. " waits for " .. task.wait.detail(task)
  if task.wait.many and is_task(after) then
    text = text .. ", among them " .. tostring(after)
  end
  return sub(text, 1, 500)
end

-- The cycle path[from] .. path[to], beginning with its oldest task: {oldest=, steps=}.
local function describe(path, from, to)
  local n, first = to - from + 1, nil
  for i = from, to do
    if is_task(path[i]) and (not first or path[i].id < path[first].id) then
      first = i
    end
  end
  local function node(i)
    return path[from + (first - from + i) % n]
  end
  local steps = {}
  for i = 0, n - 1 do
    if is_task(node(i)) then
      steps[#steps + 1] = step(node(i - 1), node(i), node(i + 1))
    end
  end
  return { oldest = path[first].id, steps = steps }
end

-- Depth first from `start`; `place` tells where a node is on the path, false when all behind it is known.
local function search(start, place, found)
  local path, todo, at = { start }, { blockers(start) }, { 0 }
  local depth = 1
  place[start] = 1
  while depth > 0 do
    at[depth] = at[depth] + 1
    local node = todo[depth][at[depth]]
    if node == nil then
      place[path[depth]] = false
      depth = depth - 1
    elseif place[node] == nil then
      depth = depth + 1
      path[depth], todo[depth], at[depth] = node, blockers(node), 0
      place[node] = depth
    elseif place[node] and #found < MOST then
      found[#found + 1] = describe(path, place[node], depth)
    end
  end
end

local function older(one, other)
  return one.oldest < other.oldest
end

--- The cycles among the live tasks, each a list of texts: "task 2 holds mutex 'a' and waits for ...".
-- Not all, when tasks are entangled in several ways, but one at least of each such tangle.
---@return table list
function M.find()
  local place, found = {}, {}
  local tasks = listing.all()
  for i = 1, #tasks do
    if place[tasks[i]] == nil then
      search(tasks[i], place, found)
    end
  end
  sort(found, older)
  for i = 1, #found do
    found[i] = found[i].steps
  end
  return found
end

return M
