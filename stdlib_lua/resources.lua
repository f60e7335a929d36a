--- Resources: what tasks use, told to whoever asks, and limits for tasks that run already.
--
-- Belongs here: `task.usage` and what scheduler/resources.py calls. Counting: usage.lua; what happens when
-- something is used up: limits.lua. Capacity and allocations are Python's alone.

local kernel = require("kernel")
local listing = require("listing")
local failure = require("failure")
local limits = require("limits")
local task_library = require("task")
local timers = require("timers")
local usage = require("usage")

local type = type
local current, book, all_tasks = kernel.current, kernel.book, listing.all
local bad_argument = failure.bad_argument

local M = {}

local function book_running()
  local task = current()
  if task then
    book(task)
  end
end

--- Count what each task uses from now on.
function M.count()
  if not usage.counting then
    limits.start_meter()
    book_running() -- what was used before does not count
    usage.begin()
  end
end

--- What a task has used, since its start or since somebody asked for the first time. Not a checkpoint.
---@param task table|nil the running one by default
---@param subtree boolean|nil everything below it counts, too
---@return table {cpu_s=, cpu_percent=, memory_bytes=, network_bytes_sent=, network_bytes_received=,
--   duration_s=}
function M.usage(task, subtree)
  if task == nil then
    task = current()
  end
  if not task_library.is_task(task) then
    bad_argument(1, "usage", "task expected, got " .. type(task))
  end
  M.count()
  book_running()
  return usage.shown((usage.of(task, subtree)))
end
task_library.public.usage = M.usage

--- The live task with this id, or nil.
function M.find(id)
  local tasks = all_tasks()
  for i = 1, #tasks do
    if tasks[i].id == id then
      return tasks[i]
    end
  end
end

--- For Python: what a task has used.
---@return table see `M.usage`
function M.of(task, subtree)
  return usage.shown((usage.of(task, subtree)))
end

--- What everything has used since counting began.
---@return table see `M.usage`
function M.total()
  return usage.shown(usage.total())
end

M.count_traffic = usage.count_traffic

-- ---------------------------------------------------------------------------------------------
-- Limits

-- Everything below `task` lies inside `budget` now: each scope there has had the budget `outer`, or one
-- inside it.
local function surround(task, outer, budget)
  local inside = { [task] = true }
  local tasks = all_tasks() -- by id: who owns, or calls back, comes before who is owned
  for i = 1, #tasks do
    local each = tasks[i]
    local owner = each.home.owner or each.caller
    if inside[each] or owner and inside[owner] then
      inside[each] = true
      local open = each.inner
      while open and open ~= each.home do
        local within = open.budget
        if within == outer then
          open.budget = budget
        else
          while within.outer ~= outer and within ~= budget do
            within = within.outer
          end
          if within ~= budget then
            within.outer = budget
          end
        end
        open = open.parent
      end
    end
  end
end

-- How many tasks count for it.
local function alive_in(budget)
  local alive = 0
  local tasks = all_tasks()
  for i = 1, #tasks do
    local around = tasks[i].home.budget
    while around and around ~= budget do
      around = around.outer
    end
    alive = alive + (around and 1 or 0)
  end
  return alive
end

--- Give limits to a running task that has a scope of its own (Python has spawned it). What it and everything
-- below it have used since counting began counts. The next call replaces what this one has set.
---@param task table
---@param spec table see limits.new
function M.enforce(task, spec)
  local own = task.own
  local budget = own.enforced
  if budget then
    local fresh = limits.new(spec, budget.outer)
    timers.disarm(budget)
    budget.limits, budget.policy, budget.throttled = fresh.limits, fresh.policy, false
    budget.wall_began = nil
  else
    budget = limits.new(spec, own.budget)
    local used = usage.of(task, true)
    budget.cpu, budget.memory = used.cpu, used.memory
    surround(task, own.budget, budget)
    own.budget, own.enforced, budget.scope = budget, budget, own
    budget.alive = alive_in(budget)
  end
  limits.begin(budget)
  limits.check(task, budget)
end

return M
