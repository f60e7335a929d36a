--- Usage: what each task has used of the processor, of memory and of the network.
--
-- Belongs here: one record per task, what becomes of it when the task ends, and adding records up. Who
-- looks at Lua's heap and what is too much: limits.lua.
--
-- A record begins with the task's first step after somebody has asked for usage. When the task ends, its
-- record is added to `below` of the task that owns it, so ended tasks cost nothing. A sum is made when it
-- is asked for.

local kernel = require("kernel")
local listing = require("listing")
local host = require("host")

local now, all_tasks = kernel.now, listing.all

-- `started`: functions to be called when counting begins.
local M = { counting = false, started = {} }

local function new_record(began)
  return {
    cpu = 0, -- seconds
    memory = 0, -- bytes, an estimate: by how much Lua's heap grew during its steps
    sent = 0, -- bytes
    received = 0, -- bytes
    began = began, -- second on the runtime's clock
    below = nil, -- the same of ended tasks below it
    final = nil, -- second at which it has ended
  }
end

local function record_of(task)
  local record = task.used
  if not record then
    record = new_record(now())
    task.used = record
  end
  return record
end

-- What tasks without an owner, all ended, have used.
local gone = new_record(now())

local function add(to, record)
  to.cpu = to.cpu + record.cpu
  to.memory = to.memory + record.memory
  to.sent = to.sent + record.sent
  to.received = to.received + record.received
end

-- The task that `task` works for: the owner of its scope, or the one whose host call has called it back.
local function owner_of(task)
  return task.home.owner or task.caller
end

local function settle(task, record)
  record.final = now()
  local owner = owner_of(task)
  while owner and owner.state do
    owner = owner_of(owner)
  end
  local to = gone
  if owner then
    local above = record_of(owner)
    to = above.below
    if not to then
      to = new_record(above.began)
      above.below = to
    end
  end
  add(to, record)
  if record.below then
    add(to, record.below)
  end
end

--- Count from now on; whoever meters the steps asks `counting`.
function M.begin()
  M.counting = true
  gone.began = now()
  for i = 1, #M.started do
    M.started[i]()
  end
end

--- A step of `task`, or a part of one, is over.
---@param spent number seconds of the processor
function M.count_time(task, spent)
  local record = task.used
  if not record then
    record = new_record(now() - spent)
    task.used = record
  end
  record.cpu = record.cpu + spent
  if task.state and not record.final then
    settle(task, record)
  end
end

--- During a step of `task` Lua's heap has grown.
---@param grown number bytes, negative when garbage went
function M.count_memory(task, grown)
  local record = record_of(task)
  local memory = record.memory + grown
  record.memory = memory > 0 and memory or 0 -- the garbage may have been another task's
end

--- A task has sent or received something itself; nil: nobody could be told.
---@param task table|nil
function M.count_bytes(task, sent, received)
  local record = task and not task.state and record_of(task) or gone
  record.sent = record.sent + sent
  record.received = record.received + received
end

--- A host call has sent or received something.
---@param call integer number of the call; of one that has ended, or 0: nobody's
function M.count_traffic(call, sent, received)
  local task = host.caller(call)
  local record = task and record_of(task) or gone
  record.sent = record.sent + sent
  record.received = record.received + received
end

-- ---------------------------------------------------------------------------------------------
-- Adding up

-- Live tasks by id: who owns comes before who is owned.
local function add_below(sum, task)
  local inside = { [task] = true }
  local tasks = all_tasks()
  local n = 0
  for i = 1, #tasks do
    local each = tasks[i]
    local owner = owner_of(each)
    if owner and inside[owner] and not inside[each] then
      inside[each] = true
      n = n + 1
      if each.used then
        add(sum, each.used)
        if each.used.below then
          add(sum, each.used.below)
        end
      end
    end
  end
  return n
end

--- What `task` has used, living or ended, and with `subtree` everything below it, too.
---@param task table
---@param subtree boolean|nil
---@return table record see new_record; not to be kept up to date
---@return integer descendants alive, 0 without `subtree`
function M.of(task, subtree)
  local used = task.used
  local sum = new_record(used and used.began or now())
  sum.final = used and used.final or now()
  if used then
    add(sum, used)
  end
  if not subtree then
    return sum, 0
  end
  if used and used.below then
    add(sum, used.below)
  end
  if task.state then
    return sum, 0
  end
  return sum, add_below(sum, task)
end

--- What everything has used, ended tasks too.
---@return table record
function M.total()
  local sum = new_record(gone.began)
  sum.final = now()
  add(sum, gone)
  local tasks = all_tasks()
  for i = 1, #tasks do
    local used = tasks[i].used
    if used then
      add(sum, used)
      if used.below then
        add(sum, used.below)
      end
    end
  end
  return sum
end

--- The fields of a record as scripts and Python see them.
---@return table
function M.shown(record)
  local duration = record.final - record.began
  return {
    cpu_s = record.cpu,
    cpu_percent = duration > 0 and 100 * record.cpu / duration or 0,
    memory_bytes = record.memory,
    network_bytes_sent = record.sent,
    network_bytes_received = record.received,
    duration_s = duration,
  }
end

return M
